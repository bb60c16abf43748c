// SPDX-License-Identifier: BSD-3-Clause
/*
 * Interrupts of a PCI function as eventfds (VFIO_DEVICE_SET_IRQS).
 */
#include <errno.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "explain.h"
#include "sys.h"

static const struct {
	uint32_t index;
	const char *name;
} kinds[] = {
	[VDMA_IRQ_INTX] = { VFIO_PCI_INTX_IRQ_INDEX, "INTx" },
	[VDMA_IRQ_MSI] = { VFIO_PCI_MSI_IRQ_INDEX, "MSI" },
	[VDMA_IRQ_MSIX] = { VFIO_PCI_MSIX_IRQ_INDEX, "MSI-X" },
};

#define NKINDS (sizeof(kinds) / sizeof(kinds[0]))

int vdma_device_irq_probe(struct vdma_device *dev)
{
	size_t i;

	for (i = 0; i < NKINDS; i++) {
		struct vfio_irq_info info = { .argsz = sizeof(info), .index = kinds[i].index };
		int err = vdma_sys_ioctl(dev->fd, VFIO_DEVICE_GET_IRQ_INFO, &info);

		if (err < 0)
			return vdma_fail_sys(err, "VFIO_DEVICE_GET_IRQ_INFO, %s of %s",
					     kinds[i].name, dev->bdf.s);
		dev->irqs[i] = info.flags & VFIO_IRQ_INFO_EVENTFD ? info.count : 0;
	}
	return 0;
}

/* @data: @count descriptors, or NULL. */
static int set_irqs(struct vdma_device *dev, uint32_t index, uint32_t flags, uint32_t count,
		    const int *data)
{
	size_t bytes = data ? count * sizeof(*data) : 0;
	struct vfio_irq_set *set = calloc(1, sizeof(*set) + bytes);
	int err;

	if (!set)
		return vdma_fail_malloc(sizeof(*set) + bytes);
	set->argsz = (uint32_t)(sizeof(*set) + bytes);
	set->flags = flags;
	set->index = index;
	set->count = count;
	if (data)
		memcpy(set->data, data, bytes);
	err = vdma_sys_ioctl(dev->fd, VFIO_DEVICE_SET_IRQS, set);
	free(set);
	return err < 0 ? vdma_fail_sys(err, "VFIO_DEVICE_SET_IRQS of %s", dev->bdf.s) : 0;
}

static void close_vectors(int *vectors, unsigned int count)
{
	while (count)
		vdma_sys_close(vectors[--count]);
	free(vectors);
}

static int open_vectors(unsigned int count, int **out)
{
	int *vectors = calloc(count, sizeof(*vectors));
	unsigned int i;

	if (!vectors)
		return vdma_fail_malloc(count * sizeof(*vectors));
	for (i = 0; i < count; i++) {
		vectors[i] = vdma_sys_eventfd();
		if (vectors[i] < 0) {
			int err = vdma_fail_sys(vectors[i], "eventfd %u of %u", i, count);

			close_vectors(vectors, i);
			return err;
		}
	}
	*out = vectors;
	return 0;
}

/* The device is locked. */
static int enable(struct vdma_device *dev, enum vdma_irq_kind kind, unsigned int count)
{
	int *vectors = NULL, err;

	if (dev->nvectors)
		return vdma_fail(VDMA_CAUSE_OPEN, NULL,
				 "%s interrupts of %s are on already. Switch them off first.",
				 kinds[dev->irq_kind].name, dev->bdf.s);
	if (count > dev->irqs[kind])
		return vdma_fail(VDMA_CAUSE_NOT_THERE,
				 &(struct vdma_facts){ .need = count, .limit = dev->irqs[kind] },
				 "%s has %u %s vectors (INTx %u, MSI %u, MSI-X %u), not %u.",
				 dev->bdf.s, dev->irqs[kind], kinds[kind].name,
				 dev->irqs[VDMA_IRQ_INTX], dev->irqs[VDMA_IRQ_MSI],
				 dev->irqs[VDMA_IRQ_MSIX], count);
	err = open_vectors(count, &vectors);
	if (err)
		return err;
	err = set_irqs(dev, kinds[kind].index,
		       VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, count, vectors);
	if (err) {
		close_vectors(vectors, count);
		return err;
	}
	dev->vectors = vectors;
	dev->nvectors = count;
	dev->irq_kind = kind;
	return 0;
}

int vdma_device_irq_enable(struct vdma_device *dev, enum vdma_irq_kind kind, unsigned int count)
{
	int err = vdma_device_check(dev);

	if (err)
		return err;
	if ((size_t)kind >= NKINDS || !count)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL,
				 "The kind (%d) is unknown, or no vector asked for.", (int)kind);
	pthread_mutex_lock(&dev->lock);
	err = enable(dev, kind, count);
	pthread_mutex_unlock(&dev->lock);
	return err;
}

int vdma_device_irq_disable(struct vdma_device *dev)
{
	int err = vdma_device_check(dev);

	if (err)
		return err;
	pthread_mutex_lock(&dev->lock);
	if (dev->nvectors) {
		/* A count of 0 is how the API switches an index off. */
		err = set_irqs(dev, kinds[dev->irq_kind].index,
			       VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, 0, NULL);
		close_vectors(dev->vectors, dev->nvectors);
		dev->vectors = NULL;
		dev->nvectors = 0;
	}
	pthread_mutex_unlock(&dev->lock);
	return err;
}

int vdma_device_irq_fd(struct vdma_device *dev, unsigned int vector, int *fd)
{
	int err = vdma_device_check(dev);

	if (err)
		return err;
	if (!fd)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "An argument is NULL.");
	pthread_mutex_lock(&dev->lock);
	if (vector < dev->nvectors)
		*fd = dev->vectors[vector];
	else
		err = vdma_fail(VDMA_CAUSE_NOT_THERE,
				&(struct vdma_facts){ .need = vector, .limit = dev->nvectors },
				"%s has %u vectors switched on, so none with number %u.",
				dev->bdf.s, dev->nvectors, vector);
	pthread_mutex_unlock(&dev->lock);
	return err;
}

int vdma_device_irq_wait(struct vdma_device *dev, unsigned int vector, int timeout_ms,
			 uint64_t *count)
{
	uint64_t start = vdma_sys_now_ns(), fired;
	int left = timeout_ms, fd, ret;

	ret = vdma_device_irq_fd(dev, vector, &fd);
	if (ret)
		return ret;
	for (;;) {
		ssize_t n = vdma_sys_read(fd, &fired, sizeof(fired));
		uint64_t passed;

		if (n == sizeof(fired)) {
			if (count)
				*count = fired;
			return 0;
		}
		if (n != -EAGAIN)
			return vdma_fail_sys(n < 0 ? (int)n : -EIO, "read eventfd");
		if (timeout_ms >= 0) {
			passed = (vdma_sys_now_ns() - start) / 1000000;
			left = passed < (uint64_t)timeout_ms ? timeout_ms - (int)passed : 0;
		}
		ret = vdma_sys_poll_in(fd, left);
		if (ret < 0)
			return vdma_fail_sys(ret, "poll eventfd");
		if (!ret)
			return vdma_fail(VDMA_CAUSE_TIMEOUT,
					 &(struct vdma_facts){ .limit = (uint64_t)timeout_ms },
					 "Vector %u of %s did not fire within %d ms. Is the device's "
					 "interrupt enabled, and (MSI) its bus mastering on?",
					 vector, dev->bdf.s, timeout_ms);
	}
}

static int mask(struct vdma_device *dev, uint32_t action)
{
	int err = vdma_device_check(dev);

	if (err)
		return err;
	pthread_mutex_lock(&dev->lock);
	if (!dev->nvectors)
		err = vdma_fail(VDMA_CAUSE_NOT_THERE, NULL, "Interrupts of %s are off.",
				dev->bdf.s);
	else if (dev->irq_kind != VDMA_IRQ_INTX)
		err = vdma_fail(VDMA_CAUSE_UNSUPPORTED, NULL,
				"VFIO masks INTx only; %s interrupts of %s are held back by the "
				"device's own registers.",
				kinds[dev->irq_kind].name, dev->bdf.s);
	else
		err = set_irqs(dev, VFIO_PCI_INTX_IRQ_INDEX, VFIO_IRQ_SET_DATA_NONE | action, 1,
			       NULL);
	pthread_mutex_unlock(&dev->lock);
	return err;
}

int vdma_device_irq_mask(struct vdma_device *dev)
{
	return mask(dev, VFIO_IRQ_SET_ACTION_MASK);
}

int vdma_device_irq_unmask(struct vdma_device *dev)
{
	return mask(dev, VFIO_IRQ_SET_ACTION_UNMASK);
}
