// SPDX-License-Identifier: BSD-3-Clause
/*
 * A PCI function, whichever driver of the kernel lends it. "PCI" is the PCI Local
 * Bus Specification 3.0.
 */
#include "device.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vdma/removal.h>

#include "explain.h"
#include "guard.h"
#include "import.h"
#include "ioas.h"
#include "opts.h"
#include "probe.h"
#include "share.h"
#include "sys.h"
#include "vacant.h"

static int config_access(struct vdma_device *dev, unsigned int offset, unsigned int width,
			 void *value, bool write)
{
	uint64_t at = dev->config_offset + offset;
	ssize_t n;

	if ((width != 1 && width != 2 && width != 4) || offset % width)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL,
				 "Config space is accessed by 1, 2 or 4 bytes at a multiple of that, "
				 "not by %u bytes at 0x%x.",
				 width, offset);
	if (offset >= dev->config_len)
		return vdma_fail(VDMA_CAUSE_NOT_THERE,
				 &(struct vdma_facts){ .need = offset, .limit = dev->config_len },
				 "%s has %llu bytes of config space, so nothing at 0x%x.",
				 dev->bdf.s, (unsigned long long)dev->config_len, offset);
	n = write ? vdma_sys_pwrite(dev->config_fd, value, width, at) :
		    vdma_sys_pread(dev->config_fd, value, width, at);
	if (n != (ssize_t)width)
		return vdma_fail_sys(n < 0 ? (int)n : -EIO, "config space of %s at 0x%x",
				     dev->bdf.s, offset);
	return 0;
}

int vdma_device_check(const struct vdma_device *dev)
{
	if (!dev)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "The device is NULL.");
	if (dev->gone && !vdma_arena_check(dev->ioas->arena))
		return vdma_fail(VDMA_CAUSE_GONE, NULL,
				 "%s was let go (vdma_device_let_go): the kernel has it again. Close "
				 "it, and open it again when it is back.",
				 dev->bdf.s);
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

int vdma_device_command(struct vdma_device *dev, uint32_t set, uint32_t clear)
{
	uint32_t old, now;
	int err = vdma_device_config_read(dev, PCI_COMMAND, 2, &old);

	if (err)
		return err;
	now = (old | set) & ~clear;
	return now == old ? 0 : vdma_device_config_write(dev, PCI_COMMAND, 2, now);
}

static int set_command(struct vdma_device *dev, uint32_t set, uint32_t clear)
{
	int err;

	pthread_mutex_lock(&dev->lock);
	err = vdma_device_command(dev, set, clear);
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

/*
 * Bus mastering off stops new requests only. VFIO waits for those under way when
 * it takes the device back; without an IOMMU memory may go before that.
 */
#define CONVENTIONAL_MS 5 /* as the module's hold.c */
#define PENDING_MS 700	  /* more than pci_wait_for_pending_transaction() */

static unsigned int find_capability(struct vdma_device *dev, uint32_t id)
{
	uint32_t at, word, left = 48; /* as many as there is room for */

	if (vdma_device_config_read(dev, PCI_CAPABILITY_LIST, 1, &at))
		return 0;
	while (at >= 0x40 && left--) {
		if (vdma_device_config_read(dev, at & ~3u, 2, &word))
			return 0;
		if ((word & 0xff) == id)
			return at & ~3u;
		at = word >> 8;
	}
	return 0;
}

/* Is it known that the device does no more DMA? */
static bool silence(struct vdma_device *dev)
{
	unsigned int express, ms;
	uint32_t status;

	if (vdma_device_set_bus_master(dev, 0))
		return false;
	express = find_capability(dev, PCI_CAP_ID_EXP);
	if (!express) {
		vdma_sys_poll_in(-1, -1, CONVENTIONAL_MS);
		return true;
	}
	for (ms = 0; ms < PENDING_MS; ms += 10) {
		if (vdma_device_config_read(dev, express + PCI_EXP_DEVSTA, 2, &status))
			return false;
		if (!(status & PCI_EXP_DEVSTA_TRPND))
			return true;
		vdma_sys_poll_in(-1, -1, 10);
	}
	return false;
}

static int probe(struct vdma_device *dev)
{
	uint32_t id;
	int err = dev->ops->probe(dev);

	if (err)
		return err;
	err = vdma_device_config_read(dev, PCI_VENDOR_ID, 4, &id);
	if (!err)
		err = set_command(dev, PCI_COMMAND_MEMORY, PCI_COMMAND_MASTER);
	if (err) {
		dev->ops->release(dev);
		return err;
	}
	dev->vendor_id = (uint16_t)id;
	dev->device_id = (uint16_t)(id >> 16);
	return 0;
}

static int not_bound(const struct vdma_device *dev, const char *driver)
{
	bool uio = !vdma_ioas_translates(dev->ioas);
	const char *want = uio ? "uio_pci_generic" : "vfio-pci", *bdf = dev->bdf.s;
	char unbind[96] = "";

	if (*driver)
		snprintf(unbind, sizeof(unbind),
			 "\n  echo %s > /sys/bus/pci/devices/%s/driver/unbind", bdf, bdf);
	return vdma_fail(VDMA_CAUSE_NOT_BOUND, NULL,
			 "%s is bound to %s, not to %s%s. As root:\n"
			 "  modprobe %s\n"
			 "  echo %s > /sys/bus/pci/devices/%s/driver_override%s\n"
			 "  echo %s > /sys/bus/pci/drivers_probe",
			 bdf, *driver ? driver : "no driver", want,
			 uio ? " (or vfio-pci, in its mode without an IOMMU)" : "", want, want, bdf,
			 unbind, bdf);
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
			 "in QEMU: -device intel-iommu,intremap=on. Or create the arena with "
			 "VDMA_TRANSLATION_AUTO, if device and program are trusted with all memory.");
}

static int has_iommu(const char *bdf)
{
	return vdma_fail(VDMA_CAUSE_TRANSLATION, NULL,
			 "%s is behind an IOMMU, so it does not see physical addresses. Bind it to "
			 "vfio-pci, and create the arena with VDMA_TRANSLATION_LINEAR (or _AUTO).",
			 bdf);
}

/* What sysfs says against opening the device. Its group, and how it is asked. */
static int check_host(struct vdma_device *dev)
{
	bool translates = vdma_ioas_translates(dev->ioas), vfio;
	const char *bdf = dev->bdf.s;
	char driver[64];
	int group;

	if (!vdma_host_has_device(bdf))
		return vdma_fail_no_device(bdf);
	group = vdma_host_group(bdf);
	if (group >= 0 && vdma_host_group_is_noiommu(group) == translates)
		return translates ? no_iommu() : has_iommu(bdf);
	if (group < 0 && translates)
		return no_iommu();
	vdma_host_driver(bdf, driver, sizeof(driver));
	vfio = vdma_host_is_vfio_driver(driver);
	/* VFIO makes a group where there is none. */
	if (vfio ? group < 0 : translates || strcmp(driver, "uio_pci_generic"))
		return not_bound(dev, driver);
	dev->group = vfio ? group : -1;
	dev->ops = vfio ? &vdma_device_vfio : &vdma_device_uio;
	return 0;
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
	dev->fd = vdma_ioas_attach(dev->ioas, &dev->bdf, dev->group,
				   dev->has_token ? &dev->token : NULL);
	if (dev->fd < 0)
		return dev->fd;
	err = probe(dev);
	if (err) {
		vdma_ioas_detach(dev->ioas, &dev->bdf, dev->group, dev->fd, true);
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
	int err;

	if (!ioas || !bdf || !out)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "An argument is NULL.");
	err = vdma_arena_check(ioas->arena);
	if (!err)
		err = vdma_opts_get(&o, sizeof(o), opts,
				    VDMA_UP_TO(struct vdma_device_opts, flags));
	if (err)
		return err;
	if (o.flags)
		return vdma_fail(VDMA_CAUSE_OPTIONS, NULL,
				 "This library knows none of the flags 0x%llx.",
				 (unsigned long long)o.flags);
	if (vdma_bdf_parse(bdf, &address))
		return vdma_fail_bdf(bdf);
	dev = calloc(1, sizeof(*dev));
	if (!dev)
		return vdma_fail_malloc(sizeof(*dev));
	dev->ioas = ioas;
	dev->bdf = address;
	err = check_host(dev);
	if (!err && o.vf_token)
		err = vdma_device_take_token(dev, o.vf_token);
	if (err)
		goto free_dev;
	dev->removal_fd = vdma_sys_eventfd();
	if (dev->removal_fd < 0) {
		err = vdma_fail_sys(dev->removal_fd, "eventfd for %s", address.s);
		goto free_dev;
	}
	pthread_mutex_init(&dev->lock, NULL);
	pthread_mutex_lock(&ioas->arena->lock);
	err = attach(dev);
	pthread_mutex_unlock(&ioas->arena->lock);
	VDMA_PROBE(attach, ioas, &dev->bdf.s[0], dev->group, err);
	if (err)
		goto close;
	vdma_share_device(dev, true);
	*out = dev;
	return 0;
close:
	pthread_mutex_destroy(&dev->lock);
	vdma_sys_close(dev->removal_fd);
free_dev:
	free(dev);
	return err;
}

/*
 * Silences the device, and gives it back to the kernel. A device that is not there any
 * more fails the first two; the kernel silences one that is there when its descriptor
 * is closed.
 */
static void give_back(struct vdma_device *dev)
{
	struct vdma_arena *arena = dev->ioas->arena;
	struct vdma_kept before;
	bool silent = true;

	vdma_keep_failure(&before);
	vdma_device_irq_off(dev);
	if (vdma_ioas_translates(dev->ioas))
		vdma_device_set_bus_master(dev, 0);
	else
		silent = silence(dev);
	vdma_restore_failure(&before);
	dev->gone = true;
	pthread_mutex_lock(&arena->lock);
	LIST_REMOVE(dev, link);
	dev->ops->release(dev);
	vdma_ioas_detach(dev->ioas, &dev->bdf, dev->group, dev->fd, silent);
	dev->ioas->ngone++;
	pthread_mutex_unlock(&arena->lock);
	VDMA_PROBE(detach, dev->ioas, &dev->bdf.s[0], dev->group);
	vdma_share_device(dev, false);
}

int vdma_device_let_go(struct vdma_device *dev)
{
	unsigned int i;
	int err;

	if (!dev)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "The device is NULL.");
	err = vdma_arena_check(dev->ioas->arena);
	if (err || dev->gone)
		return err;
	/* Before the device goes: no access may find nothing at all. */
	for (i = 0; i < VDMA_NBARS && !err; i++)
		if (dev->bar_va[i])
			err = vdma_vacant_map(dev->bar_va[i], dev->bars[i].len);
	if (err)
		return vdma_fail_sys(err, "replace the BARs of %s", dev->bdf.s);
	err = vdma_import_let_go(dev);
	if (err)
		return err;
	give_back(dev);
	/* Whoever waits for an interrupt waits for this as well. */
	vdma_sys_eventfd_signal(dev->removal_fd);
	return 0;
}

int vdma_device_removal_fd(struct vdma_device *dev, int *fd)
{
	int err = vdma_device_check(dev);

	if (err)
		return err;
	if (!fd)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "An argument is NULL.");
	if (!dev->tells)
		return vdma_fail(
			VDMA_CAUSE_UNSUPPORTED, NULL,
			"The driver that lends %s asks nobody before the device goes. Wait for "
			"its interrupts: they fail then.",
			dev->bdf.s);
	*fd = dev->removal_fd;
	return 0;
}

/* Their mappings would keep the device open, and its group in the container. */
static int check_imports(struct vdma_device *dev)
{
	struct vdma_arena *arena = dev->ioas->arena;
	unsigned int imports;

	pthread_mutex_lock(&arena->lock);
	imports = dev->imports;
	pthread_mutex_unlock(&arena->lock);
	if (!imports)
		return 0;
	return vdma_fail(VDMA_CAUSE_CHILDREN, &(struct vdma_facts){ .used = imports },
			 "%u regions are parts of the BARs of %s (vdma_region_import_bar). Destroy "
			 "them first, or let the device go (vdma_device_let_go).",
			 imports, dev->bdf.s);
}

static void unmap_bars(struct vdma_device *dev)
{
	unsigned int i;

	for (i = 0; i < VDMA_NBARS; i++)
		if (dev->bar_va[i]) {
			vdma_guard_remove(dev->bar_va[i]);
			vdma_sys_munmap(dev->bar_va[i], dev->bars[i].len);
		}
}

int vdma_device_close(struct vdma_device *dev)
{
	int err;

	if (!dev)
		return 0;
	err = vdma_arena_check(dev->ioas->arena);
	if (!err)
		err = check_imports(dev);
	if (err)
		return err;
	/*
	 * First, as of imports: else the kernel has the device still open when the arena is
	 * unlocked, and refuses one that another thread opens.
	 */
	unmap_bars(dev);
	if (!dev->gone)
		give_back(dev);
	pthread_mutex_lock(&dev->ioas->arena->lock);
	dev->ioas->ngone--;
	pthread_mutex_unlock(&dev->ioas->arena->lock);
	vdma_device_irq_forget(dev);
	vdma_sys_close(dev->removal_fd);
	pthread_mutex_destroy(&dev->lock);
	free(dev);
	return 0;
}

int vdma_device_query(struct vdma_device *dev, struct vdma_device_info *info)
{
	struct vdma_device_info now = { .size = 0 };
	unsigned int i;
	int err;

	if (!dev)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "The device is NULL.");
	err = vdma_arena_check(dev->ioas->arena);
	if (!err)
		err = vdma_info_check(info, VDMA_UP_TO(struct vdma_device_info, bar_len));
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
	/* Who was built before does not ask. */
	if (info->size > offsetof(struct vdma_device_info, resets))
		vdma_device_reset_info(dev, &now);
	vdma_info_put(info, &now, sizeof(now));
	return 0;
}

int vdma_device_bar(struct vdma_device *dev, unsigned int index, struct vdma_bar *bar)
{
	int err = vdma_device_check(dev);

	if (err)
		return err;
	if (!bar)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "An argument is NULL.");
	if (index >= VDMA_NBARS || !dev->bars[index].len)
		return vdma_fail(VDMA_CAUSE_NOT_THERE, NULL, "%s has no BAR %u.", dev->bdf.s,
				 index);
	if (!dev->bars[index].mappable)
		return vdma_fail(
			VDMA_CAUSE_UNSUPPORTED, NULL,
			"BAR %u of %s cannot be mapped: it is I/O ports, or smaller than a page "
			"that it shares with something else.",
			index, dev->bdf.s);
	pthread_mutex_lock(&dev->lock);
	if (!dev->bar_va[index]) {
		err = dev->ops->map_bar(dev, index, &dev->bar_va[index]);
		/* One that there is no room for is not guarded. */
		if (!err)
			vdma_guard_add(dev->bar_va[index], dev->bars[index].len);
	}
	if (!err)
		*bar = (struct vdma_bar){ .va = dev->bar_va[index], .len = dev->bars[index].len };
	pthread_mutex_unlock(&dev->lock);
	return err;
}
