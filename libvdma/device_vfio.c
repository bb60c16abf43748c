// SPDX-License-Identifier: BSD-3-Clause
/*
 * A PCI function through the VFIO device API (linux/vfio.h).
 */
#include <errno.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "device.h"
#include "explain.h"
#include "sys.h"

/* VFIO_PCI_HOT_RESET_FLAG_DEV_ID and VFIO_PCI_DEVID_NOT_OWNED, which Debian 12's header lacks. */
#define HOT_RESET_DEV_ID (1U << 0)
#define HOT_RESET_NOT_OWNED UINT32_MAX

static const struct {
	uint32_t index;
	const char *name;
} kinds[] = {
	[VDMA_IRQ_INTX] = { VFIO_PCI_INTX_IRQ_INDEX, "INTx" },
	[VDMA_IRQ_MSI] = { VFIO_PCI_MSI_IRQ_INDEX, "MSI" },
	[VDMA_IRQ_MSIX] = { VFIO_PCI_MSIX_IRQ_INDEX, "MSI-X" },
};

#define NKINDS (sizeof(kinds) / sizeof(kinds[0]))

/* VFIO_DEVICE_GET_REGION_INFO with its capabilities; free() is the caller's. */
static int get_region(int fd, uint32_t index, struct vfio_region_info **out)
{
	struct vfio_region_info *info = NULL, *more;
	uint32_t size = sizeof(*info);
	int err;

	for (;;) {
		more = realloc(info, size);
		if (!more) {
			free(info);
			return vdma_fail_malloc(size);
		}
		info = more;
		memset(info, 0, size);
		info->argsz = size;
		info->index = index;
		err = vdma_sys_ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, info);
		if (err < 0) {
			free(info);
			return vdma_fail_sys(err, "VFIO_DEVICE_GET_REGION_INFO, region %u", index);
		}
		if (info->argsz <= size)
			break;
		size = info->argsz;
	}
	*out = info;
	return 0;
}

static int probe_config(struct vdma_device *dev)
{
	struct vfio_region_info *info;
	int err = get_region(dev->fd, VFIO_PCI_CONFIG_REGION_INDEX, &info);

	if (err)
		return err;
	dev->config_fd = dev->fd;
	dev->config_offset = info->offset;
	dev->config_len = info->size;
	free(info);
	return 0;
}

static int probe_bar(struct vdma_device *dev, unsigned int index)
{
	struct vfio_region_info *info;
	int err = get_region(dev->fd, VFIO_PCI_BAR0_REGION_INDEX + index, &info);

	if (err)
		return err;
	dev->bars[index].len = info->size;
	dev->bars[index].mappable = info->flags & VFIO_REGION_INFO_FLAG_MMAP;
	free(info);
	return 0;
}

static int probe_irqs(struct vdma_device *dev)
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
	struct vfio_irq_set bare = { .argsz = 0 },
			    *set = data ? calloc(1, sizeof(bare) + bytes) : &bare;
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
	if (data)
		free(set);
	return err < 0 ? vdma_fail_sys(err, "VFIO_DEVICE_SET_IRQS of %s", dev->bdf.s) : 0;
}

/* VFIO_PCI_REQ_IRQ_INDEX, Linux 4.0; fired at once, and then every 10 s. */
static int probe_removal(struct vdma_device *dev)
{
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = VFIO_PCI_REQ_IRQ_INDEX };
	int err;

	if (vdma_sys_ioctl(dev->fd, VFIO_DEVICE_GET_IRQ_INFO, &info) < 0 || !info.count)
		return 0;
	err = set_irqs(dev, VFIO_PCI_REQ_IRQ_INDEX,
		       VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, 1,
		       &dev->removal_fd);
	dev->tells = !err;
	return err;
}

static int vfio_probe(struct vdma_device *dev)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	unsigned int i;
	int err;

	err = vdma_sys_ioctl(dev->fd, VFIO_DEVICE_GET_INFO, &info);
	if (err < 0)
		return vdma_fail_sys(err, "VFIO_DEVICE_GET_INFO, %s", dev->bdf.s);
	if (!(info.flags & VFIO_DEVICE_FLAGS_PCI) ||
	    info.num_regions <= VFIO_PCI_CONFIG_REGION_INDEX)
		return vdma_fail(VDMA_CAUSE_UNSUPPORTED, NULL,
				 "VFIO does not offer %s as a PCI device.", dev->bdf.s);
	dev->can_reset = info.flags & VFIO_DEVICE_FLAGS_RESET;
	err = probe_config(dev);
	for (i = 0; i < VDMA_NBARS && !err; i++)
		err = probe_bar(dev, i);
	if (!err)
		err = probe_irqs(dev);
	return err ? err : probe_removal(dev);
}

static void vfio_release(struct vdma_device *dev)
{
	(void)dev; /* all went through the device's descriptor */
}

/*
 * Where the list of parts that the kernel lets be mapped lies, and their
 * number; 0 if the whole may be. Before Linux 6.6 capabilities are not aligned.
 */
static uint32_t find_sparse(const struct vfio_region_info *r, uint32_t *areas)
{
	struct vfio_region_info_cap_sparse_mmap cap;
	uint32_t at = r->flags & VFIO_REGION_INFO_FLAG_CAPS ? r->cap_offset : 0;

	while (at && at <= r->argsz && r->argsz - at >= sizeof(cap)) {
		memcpy(&cap, (const char *)r + at, sizeof(cap));
		at += sizeof(cap);
		if (cap.header.id == VFIO_REGION_INFO_CAP_SPARSE_MMAP) {
			*areas = cap.nr_areas;
			return cap.nr_areas <= (r->argsz - at) / sizeof(cap.areas[0]) ? at : 0;
		}
		at = cap.header.next;
	}
	return 0;
}

static int map_region(struct vdma_device *dev, const struct vfio_region_info *r, void **out)
{
	int prot = (r->flags & VFIO_REGION_INFO_FLAG_READ ? PROT_READ : 0) |
		   (r->flags & VFIO_REGION_INFO_FLAG_WRITE ? PROT_WRITE : 0);
	uint32_t areas, sparse = find_sparse(r, &areas), i;
	void *va, *part;
	int err;

	if (!sparse)
		return vdma_sys_mmap(NULL, r->size, prot, MAP_SHARED, dev->fd, r->offset, out);
	err = vdma_sys_mmap(NULL, r->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			    -1, 0, &va);
	if (err)
		return err;
	for (i = 0; i < areas && !err; i++) {
		struct vfio_region_sparse_mmap_area area;

		memcpy(&area, (const char *)r + sparse + i * sizeof(area), sizeof(area));
		if (area.size)
			err = vdma_sys_mmap((char *)va + area.offset, area.size, prot,
					    MAP_SHARED | MAP_FIXED, dev->fd,
					    r->offset + area.offset, &part);
	}
	if (err)
		vdma_sys_munmap(va, r->size);
	else
		*out = va;
	return err;
}

static int vfio_map_bar(struct vdma_device *dev, unsigned int index, void **va)
{
	struct vfio_region_info *r;
	int err = get_region(dev->fd, VFIO_PCI_BAR0_REGION_INDEX + index, &r);

	if (err)
		return err;
	err = map_region(dev, r, va);
	free(r);
	return err ? vdma_fail_sys(err, "map BAR %u of %s", index, dev->bdf.s) : 0;
}

static int vfio_bar_offset(struct vdma_device *dev, unsigned int index, uint64_t *offset)
{
	struct vfio_region_info *r;
	int err = get_region(dev->fd, VFIO_PCI_BAR0_REGION_INDEX + index, &r);

	if (err)
		return err;
	*offset = r->offset;
	free(r);
	return 0;
}

static int vfio_reset(struct vdma_device *dev)
{
	int err = vdma_sys_ioctl(dev->fd, VFIO_DEVICE_RESET, NULL);

	return err < 0 ? vdma_fail_sys(err, "VFIO_DEVICE_RESET, %s", dev->bdf.s) : 0;
}

/* VFIO_DEVICE_GET_PCI_HOT_RESET_INFO; free() is the caller's. */
static int get_affected(int fd, struct vfio_pci_hot_reset_info **out)
{
	struct vfio_pci_hot_reset_info *info = NULL, *more;
	size_t size = sizeof(*info);
	int err;

	for (;;) {
		more = realloc(info, size);
		if (!more) {
			free(info);
			return vdma_fail_malloc(size);
		}
		info = more;
		memset(info, 0, size);
		info->argsz = (uint32_t)size;
		err = vdma_sys_ioctl(fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info);
		if (err != -ENOSPC)
			break;
		size = sizeof(*info) + info->count * sizeof(info->devices[0]);
	}
	if (err < 0)
		free(info);
	else
		*out = info;
	return err;
}

static int vfio_affected(struct vdma_device *dev, struct vdma_affected **out)
{
	struct vfio_pci_hot_reset_info *info = NULL;
	struct vdma_affected *all;
	uint32_t i;
	int err = get_affected(dev->fd, &info);

	if (err == -ENODEV)
		return vdma_fail(
			VDMA_CAUSE_UNSUPPORTED, &(struct vdma_facts){ .sys_errno = ENODEV },
			"The slot or bus of %s cannot be reset: it is on the root bus, above "
			"which there is no bridge that could, or the bridge has a quirk. Move "
			"it behind a port.",
			dev->bdf.s);
	if (err < 0)
		return vdma_fail_sys(err, "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, %s", dev->bdf.s);
	all = calloc(info->count, sizeof(*all));
	if (!all) {
		err = vdma_fail_malloc(info->count * sizeof(*all));
		free(info);
		return err;
	}
	for (i = 0; i < info->count; i++) {
		const struct vfio_pci_dependent_device *d = &info->devices[i];
		struct vdma_affected *a = &all[i];

		a->bdf.domain = d->segment;
		a->bdf.bus = d->bus;
		a->bdf.dev = d->devfn >> 3;
		a->bdf.func = d->devfn & 7;
		snprintf(a->bdf.s, sizeof(a->bdf.s), "%04x:%02x:%02x.%x", d->segment, d->bus,
			 d->devfn >> 3, d->devfn & 7u);
		/* Linux 6.6: of a device's own node it says whose they are. */
		a->group = info->flags & HOT_RESET_DEV_ID ? -1 : (int)d->group_id;
		a->ours = d->group_id != HOT_RESET_NOT_OWNED;
	}
	err = (int)info->count;
	free(info);
	*out = all;
	return err;
}

static int vfio_hot_reset(struct vdma_device *dev, const int *groups, size_t n)
{
	struct vfio_pci_hot_reset *reset;
	size_t size = sizeof(*reset) + n * sizeof(reset->group_fds[0]);
	int err;

	reset = calloc(1, size);
	if (!reset)
		return vdma_fail_malloc(size);
	reset->argsz = (uint32_t)size;
	reset->count = (uint32_t)n;
	memcpy(reset->group_fds, groups, n * sizeof(reset->group_fds[0]));
	err = vdma_sys_ioctl(dev->fd, VFIO_DEVICE_PCI_HOT_RESET, reset);
	free(reset);
	return err < 0 ? vdma_fail_sys(err, "VFIO_DEVICE_PCI_HOT_RESET, %s", dev->bdf.s) : 0;
}

static int vfio_irq_open(struct vdma_device *dev, unsigned int vector)
{
	int fd = vdma_sys_eventfd();

	return fd < 0 ? vdma_fail_sys(fd, "eventfd for vector %u of %s", vector, dev->bdf.s) : fd;
}

static int vfio_irq_on(struct vdma_device *dev)
{
	return set_irqs(dev, kinds[dev->irq_kind].index,
			VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, dev->nvectors,
			dev->vectors);
}

/* A count of 0 is how the API switches an index off. */
static int vfio_irq_off(struct vdma_device *dev)
{
	return set_irqs(dev, kinds[dev->irq_kind].index,
			VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, 0, NULL);
}

static int vfio_irq_mask(struct vdma_device *dev, bool on)
{
	return set_irqs(dev, VFIO_PCI_INTX_IRQ_INDEX,
			VFIO_IRQ_SET_DATA_NONE |
				(on ? VFIO_IRQ_SET_ACTION_MASK : VFIO_IRQ_SET_ACTION_UNMASK),
			1, NULL);
}

static int vfio_irq_take(struct vdma_device *dev, int fd, uint64_t *count)
{
	ssize_t n = vdma_sys_read(fd, count, sizeof(*count));

	(void)dev;
	if (n == sizeof(*count))
		return 0;
	return n < 0 ? (int)n : -EIO;
}

const struct vdma_device_ops vdma_device_vfio = {
	.probe = vfio_probe,
	.release = vfio_release,
	.map_bar = vfio_map_bar,
	.bar_offset = vfio_bar_offset,
	.reset = vfio_reset,
	.affected = vfio_affected,
	.hot_reset = vfio_hot_reset,
	.irq_open = vfio_irq_open,
	.irq_on = vfio_irq_on,
	.irq_off = vfio_irq_off,
	.irq_mask = vfio_irq_mask,
	.irq_take = vfio_irq_take,
};
