// SPDX-License-Identifier: BSD-3-Clause
/* Interrupts of a PCI function as descriptors. */
#include <errno.h>
#include <stdlib.h>

#include "device.h"
#include "explain.h"
#include "sys.h"

static const char *const kinds[] = {
	[VDMA_IRQ_INTX] = "INTx",
	[VDMA_IRQ_MSI] = "MSI",
	[VDMA_IRQ_MSIX] = "MSI-X",
};

#define NKINDS (sizeof(kinds) / sizeof(kinds[0]))

static void close_vectors(int *vectors, unsigned int count)
{
	while (count)
		vdma_sys_close(vectors[--count]);
	free(vectors);
}

static int open_vectors(struct vdma_device *dev, unsigned int count, int **out)
{
	int *vectors = calloc(count, sizeof(*vectors));
	unsigned int i;

	if (!vectors)
		return vdma_fail_malloc(count * sizeof(*vectors));
	for (i = 0; i < count; i++) {
		vectors[i] = dev->ops->irq_open(dev, i);
		if (vectors[i] < 0) {
			int err = vectors[i];

			close_vectors(vectors, i);
			return err;
		}
	}
	*out = vectors;
	return 0;
}

static void forget_vectors(struct vdma_device *dev)
{
	close_vectors(dev->vectors, dev->nvectors);
	dev->vectors = NULL;
	dev->nvectors = 0;
}

/* The device is locked. */
static int enable(struct vdma_device *dev, enum vdma_irq_kind kind, unsigned int count)
{
	int err;

	if (dev->nvectors)
		return vdma_fail(VDMA_CAUSE_OPEN, NULL,
				 "%s interrupts of %s are on already. Switch them off first.",
				 kinds[dev->irq_kind], dev->bdf.s);
	if (count > dev->irqs[kind])
		return vdma_fail(VDMA_CAUSE_NOT_THERE,
				 &(struct vdma_facts){ .need = count, .limit = dev->irqs[kind] },
				 "%s has %u %s vectors (INTx %u, MSI %u, MSI-X %u), not %u.",
				 dev->bdf.s, dev->irqs[kind], kinds[kind], dev->irqs[VDMA_IRQ_INTX],
				 dev->irqs[VDMA_IRQ_MSI], dev->irqs[VDMA_IRQ_MSIX], count);
	err = open_vectors(dev, count, &dev->vectors);
	if (err)
		return err;
	dev->nvectors = count;
	dev->irq_kind = kind;
	err = dev->ops->irq_on(dev);
	if (err)
		forget_vectors(dev);
	return err;
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
		err = dev->ops->irq_off(dev);
		forget_vectors(dev);
	}
	pthread_mutex_unlock(&dev->lock);
	return err;
}

void vdma_device_irq_off(struct vdma_device *dev)
{
	pthread_mutex_lock(&dev->lock);
	if (dev->nvectors)
		dev->ops->irq_off(dev);
	pthread_mutex_unlock(&dev->lock);
}

void vdma_device_irq_forget(struct vdma_device *dev)
{
	if (dev->nvectors)
		forget_vectors(dev);
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

static int is_leaving(struct vdma_device *dev)
{
	int err = vdma_device_check(dev);

	if (err)
		return err;
	return vdma_fail(VDMA_CAUSE_GONE, NULL,
			 "The kernel wants %s back: it is being removed, or unbound from its driver, "
			 "which waits until this process lets go (vdma_device_let_go).",
			 dev->bdf.s);
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
		uint64_t passed;

		ret = dev->ops->irq_take(dev, fd, &fired);
		if (!ret) {
			if (count)
				*count = fired;
			return 0;
		}
		if (ret == -ENODEV)
			return is_leaving(dev);
		if (ret != -EAGAIN)
			return vdma_fail_sys(ret, "read vector %u of %s", vector, dev->bdf.s);
		if (timeout_ms >= 0) {
			passed = (vdma_sys_now_ns() - start) / 1000000;
			left = passed < (uint64_t)timeout_ms ? timeout_ms - (int)passed : 0;
		}
		ret = vdma_sys_poll_in(fd, dev->removal_fd, left);
		if (ret < 0)
			return vdma_fail_sys(ret, "poll vector %u of %s", vector, dev->bdf.s);
		if (ret == 2)
			return is_leaving(dev);
		if (!ret)
			return vdma_fail(VDMA_CAUSE_TIMEOUT,
					 &(struct vdma_facts){ .limit = (uint64_t)timeout_ms },
					 "Vector %u of %s did not fire within %d ms. Is the device's "
					 "interrupt enabled, and (MSI) its bus mastering on?",
					 vector, dev->bdf.s, timeout_ms);
	}
}

static int mask(struct vdma_device *dev, bool on)
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
				"The kernel masks INTx only; %s interrupts of %s are held back by "
				"the device's own registers.",
				kinds[dev->irq_kind], dev->bdf.s);
	else
		err = dev->ops->irq_mask(dev, on);
	pthread_mutex_unlock(&dev->lock);
	return err;
}

int vdma_device_irq_mask(struct vdma_device *dev)
{
	return mask(dev, true);
}

int vdma_device_irq_unmask(struct vdma_device *dev)
{
	return mask(dev, false);
}
