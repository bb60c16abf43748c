// SPDX-License-Identifier: BSD-3-Clause
/*
 * A PCI function through the VFIO device API (linux/vfio.h). "PCI" is the PCI
 * Local Bus Specification 3.0.
 */
#include "device.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "explain.h"
#include "ioas.h"
#include "opts.h"
#include "sys.h"

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

static int probe_region(int fd, uint32_t index, struct vdma_device_region *region)
{
	struct vfio_region_info *info;
	int err = get_region(fd, index, &info);

	if (err)
		return err;
	region->offset = info->offset;
	region->len = info->size;
	region->flags = info->flags;
	free(info);
	return 0;
}

static int config_access(struct vdma_device *dev, unsigned int offset, unsigned int width,
			 void *value, bool write)
{
	uint64_t at = dev->config.offset + offset;
	ssize_t n;

	if ((width != 1 && width != 2 && width != 4) || offset % width)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL,
				 "Config space is accessed by 1, 2 or 4 bytes at a multiple of that, "
				 "not by %u bytes at 0x%x.",
				 width, offset);
	if (offset >= dev->config.len)
		return vdma_fail(VDMA_CAUSE_NOT_THERE,
				 &(struct vdma_facts){ .need = offset, .limit = dev->config.len },
				 "%s has %llu bytes of config space, so nothing at 0x%x.",
				 dev->bdf.s, (unsigned long long)dev->config.len, offset);
	n = write ? vdma_sys_pwrite(dev->fd, value, width, at) :
		    vdma_sys_pread(dev->fd, value, width, at);
	if (n != (ssize_t)width)
		return vdma_fail_sys(n < 0 ? (int)n : -EIO, "config space of %s at 0x%x",
				     dev->bdf.s, offset);
	return 0;
}

int vdma_device_check(const struct vdma_device *dev)
{
	if (!dev)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "The device is NULL.");
	return vdma_arena_check(dev->ioas->arena);
}

int vdma_device_config_read(struct vdma_device *dev, unsigned int offset, unsigned int width,
			    uint32_t *value)
{
	unsigned char bytes[4] = { 0 };
	int err;

	if (!value)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "An argument is NULL.");
	err = vdma_device_check(dev);
	if (!err)
		err = config_access(dev, offset, width, bytes, false);
	if (err)
		return err;
	*value = bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
		 (uint32_t)bytes[3] << 24;
	return 0;
}

int vdma_device_config_write(struct vdma_device *dev, unsigned int offset, unsigned int width,
			     uint32_t value)
{
	unsigned char bytes[4] = { (unsigned char)value, (unsigned char)(value >> 8),
				   (unsigned char)(value >> 16), (unsigned char)(value >> 24) };

	int err = vdma_device_check(dev);

	if (err)
		return err;
	if (width < 4 && value >> (8 * width))
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "0x%x does not fit into %u bytes.",
				 value, width);
	return config_access(dev, offset, width, bytes, true);
}

/* PCI 6.2.2: bits of the command register. */
static int set_command(struct vdma_device *dev, uint32_t set, uint32_t clear)
{
	uint32_t old, now;
	int err;

	pthread_mutex_lock(&dev->lock);
	err = vdma_device_config_read(dev, PCI_COMMAND, 2, &old);
	if (!err) {
		now = (old | set) & ~clear;
		if (now != old)
			err = vdma_device_config_write(dev, PCI_COMMAND, 2, now);
	}
	pthread_mutex_unlock(&dev->lock);
	return err;
}

int vdma_device_set_bus_master(struct vdma_device *dev, int on)
{
	int err = vdma_device_check(dev);

	if (err)
		return err;
	return set_command(dev, on ? PCI_COMMAND_MASTER : 0, on ? 0 : PCI_COMMAND_MASTER);
}

static int probe(struct vdma_device *dev)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	uint32_t id, i;
	int err;

	err = vdma_sys_ioctl(dev->fd, VFIO_DEVICE_GET_INFO, &info);
	if (err < 0)
		return vdma_fail_sys(err, "VFIO_DEVICE_GET_INFO, %s", dev->bdf.s);
	if (!(info.flags & VFIO_DEVICE_FLAGS_PCI) ||
	    info.num_regions <= VFIO_PCI_CONFIG_REGION_INDEX)
		return vdma_fail(VDMA_CAUSE_UNSUPPORTED, NULL,
				 "VFIO does not offer %s as a PCI device.", dev->bdf.s);
	dev->can_reset = info.flags & VFIO_DEVICE_FLAGS_RESET;
	err = probe_region(dev->fd, VFIO_PCI_CONFIG_REGION_INDEX, &dev->config);
	for (i = 0; i < VDMA_NBARS && !err; i++)
		err = probe_region(dev->fd, VFIO_PCI_BAR0_REGION_INDEX + i, &dev->bars[i]);
	if (!err)
		err = vdma_device_irq_probe(dev);
	if (!err)
		err = vdma_device_config_read(dev, PCI_VENDOR_ID, 4, &id);
	if (err)
		return err;
	dev->vendor_id = (uint16_t)id;
	dev->device_id = (uint16_t)(id >> 16);
	return set_command(dev, PCI_COMMAND_MEMORY, PCI_COMMAND_MASTER);
}

static int not_bound(const char *bdf, const char *driver)
{
	char unbind[96] = "";

	if (*driver)
		snprintf(unbind, sizeof(unbind),
			 "\n  echo %s > /sys/bus/pci/devices/%s/driver/unbind", bdf, bdf);
	return vdma_fail(VDMA_CAUSE_NOT_BOUND, NULL,
			 "%s is bound to %s, not to vfio-pci. As root:\n"
			 "  modprobe vfio-pci\n"
			 "  echo vfio-pci > /sys/bus/pci/devices/%s/driver_override%s\n"
			 "  echo %s > /sys/bus/pci/drivers_probe",
			 bdf, *driver ? driver : "no driver", bdf, unbind, bdf);
}

static int no_iommu(void)
{
	if (vdma_host_has_iommu())
		return vdma_fail(VDMA_CAUSE_NO_IOMMU, NULL,
				 "The machine has an IOMMU, but not for this device. Use a device "
				 "behind it.");
	return vdma_fail(VDMA_CAUSE_NO_IOMMU, NULL,
			 "No IOMMU is active (/sys/kernel/iommu_groups is empty). Switch it on in "
			 "the firmware (VT-d, AMD-Vi, SMMU) and boot with intel_iommu=on (Intel); "
			 "in QEMU: -device intel-iommu,intremap=on.");
}

/* What sysfs says against opening the device; its group otherwise. */
static int check_host(const char *bdf)
{
	char driver[64];
	int group;

	if (!vdma_host_has_device(bdf))
		return vdma_fail_no_device(bdf);
	group = vdma_host_group(bdf);
	if (group < 0)
		return no_iommu();
	vdma_host_driver(bdf, driver, sizeof(driver));
	return vdma_host_is_vfio_driver(driver) ? group : not_bound(bdf, driver);
}

/* The arena is locked. */
static int attach(struct vdma_device *dev)
{
	struct vdma_device *other;
	int err;

	LIST_FOREACH(other, &dev->ioas->devices, link)
	if (!strcmp(other->bdf.s, dev->bdf.s))
		return vdma_fail(VDMA_CAUSE_OPEN, NULL,
				 "This process has %s open already. Share the object.", dev->bdf.s);
	dev->fd = vdma_ioas_attach(dev->ioas, dev->bdf.s, dev->group);
	if (dev->fd < 0)
		return dev->fd;
	err = probe(dev);
	if (err) {
		vdma_ioas_detach(dev->ioas, dev->group, dev->fd);
		return err;
	}
	LIST_INSERT_HEAD(&dev->ioas->devices, dev, link);
	return 0;
}

int vdma_device_open(struct vdma_ioas *ioas, const char *bdf, const struct vdma_device_opts *opts,
		     struct vdma_device **out)
{
	struct vdma_device_opts o;
	struct vdma_device *dev;
	struct vdma_bdf address;
	int err, group;

	if (!ioas || !bdf || !out)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "An argument is NULL.");
	err = vdma_arena_check(ioas->arena);
	if (!err)
		err = vdma_opts_get(&o, sizeof(o), opts, sizeof(o));
	if (err)
		return err;
	if (o.flags)
		return vdma_fail(VDMA_CAUSE_OPTIONS, NULL,
				 "This library knows none of the flags 0x%llx.",
				 (unsigned long long)o.flags);
	if (vdma_bdf_parse(bdf, &address))
		return vdma_fail_bdf(bdf);
	group = check_host(address.s);
	if (group < 0)
		return group;

	dev = calloc(1, sizeof(*dev));
	if (!dev)
		return vdma_fail_malloc(sizeof(*dev));
	dev->ioas = ioas;
	dev->bdf = address;
	dev->group = group;
	pthread_mutex_init(&dev->lock, NULL);
	pthread_mutex_lock(&ioas->arena->lock);
	err = attach(dev);
	pthread_mutex_unlock(&ioas->arena->lock);
	if (err) {
		pthread_mutex_destroy(&dev->lock);
		free(dev);
		return err;
	}
	*out = dev;
	return 0;
}

int vdma_device_close(struct vdma_device *dev)
{
	unsigned int i;
	int err;

	if (!dev)
		return 0;
	err = vdma_device_check(dev);
	if (err)
		return err;
	/*
	 * A device that is gone fails these; the kernel silences one that is
	 * there when its descriptor is closed.
	 */
	vdma_device_irq_disable(dev);
	vdma_device_set_bus_master(dev, 0);
	for (i = 0; i < VDMA_NBARS; i++)
		if (dev->bar_va[i])
			vdma_sys_munmap(dev->bar_va[i], dev->bars[i].len);

	pthread_mutex_lock(&dev->ioas->arena->lock);
	LIST_REMOVE(dev, link);
	vdma_ioas_detach(dev->ioas, dev->group, dev->fd);
	pthread_mutex_unlock(&dev->ioas->arena->lock);
	pthread_mutex_destroy(&dev->lock);
	free(dev);
	return 0;
}

int vdma_device_query(struct vdma_device *dev, struct vdma_device_info *info)
{
	struct vdma_device_info now = { .size = 0 };
	unsigned int i;
	int err;

	err = vdma_device_check(dev);
	if (!err)
		err = vdma_info_check(info, sizeof(now));
	if (err)
		return err;
	memcpy(now.bdf, dev->bdf.s, sizeof(now.bdf));
	now.vendor = dev->vendor_id;
	now.device = dev->device_id;
	now.group = dev->group;
	now.can_reset = dev->can_reset;
	memcpy(now.irqs, dev->irqs, sizeof(now.irqs));
	for (i = 0; i < VDMA_NBARS; i++)
		now.bar_len[i] = dev->bars[i].len;
	vdma_info_put(info, &now, sizeof(now));
	return 0;
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

static int map_bar(struct vdma_device *dev, const struct vfio_region_info *r, void **out)
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

int vdma_device_bar(struct vdma_device *dev, unsigned int index, struct vdma_bar *bar)
{
	struct vfio_region_info *r;
	int err = vdma_device_check(dev);

	if (err)
		return err;
	if (!bar)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "An argument is NULL.");
	if (index >= VDMA_NBARS || !dev->bars[index].len)
		return vdma_fail(VDMA_CAUSE_NOT_THERE, NULL, "%s has no BAR %u.", dev->bdf.s,
				 index);
	if (!(dev->bars[index].flags & VFIO_REGION_INFO_FLAG_MMAP))
		return vdma_fail(
			VDMA_CAUSE_UNSUPPORTED, NULL,
			"BAR %u of %s cannot be mapped: it is I/O ports, or smaller than a page "
			"that it shares with something else.",
			index, dev->bdf.s);
	pthread_mutex_lock(&dev->lock);
	if (!dev->bar_va[index]) {
		err = get_region(dev->fd, VFIO_PCI_BAR0_REGION_INDEX + index, &r);
		if (!err) {
			err = map_bar(dev, r, &dev->bar_va[index]);
			if (err)
				err = vdma_fail_sys(err, "map BAR %u of %s", index, dev->bdf.s);
			free(r);
		}
	}
	if (!err)
		*bar = (struct vdma_bar){ .va = dev->bar_va[index], .len = dev->bars[index].len };
	pthread_mutex_unlock(&dev->lock);
	return err;
}

int vdma_device_reset(struct vdma_device *dev)
{
	int err = vdma_device_check(dev);

	if (err)
		return err;
	if (!dev->can_reset)
		return vdma_fail(
			VDMA_CAUSE_UNSUPPORTED, NULL,
			"%s has no reset of its own (no FLR, no power state reset, not alone on "
			"its bus). Reset it by its own registers, or close and open it.",
			dev->bdf.s);
	err = vdma_sys_ioctl(dev->fd, VFIO_DEVICE_RESET, NULL);
	return err < 0 ? vdma_fail_sys(err, "VFIO_DEVICE_RESET, %s", dev->bdf.s) : 0;
}
