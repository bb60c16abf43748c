// SPDX-License-Identifier: BSD-3-Clause
/*
 * Discovery and names, by libpci over sysfs.
 */
#include <pci/pci.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vdma/pci.h>

#include "explain.h"
#include "host.h"
#include "opts.h"
#include "sys.h"

/*
 * libpci calls its error handler where it cannot go on, and the handler must
 * not return; libpci's own ends the process.
 */
static _Thread_local jmp_buf escape;
static _Thread_local char complaint[256];

static void __attribute__((noreturn, format(printf, 1, 2))) on_error(char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(complaint, sizeof(complaint), fmt, args);
	va_end(args);
	longjmp(escape, 1);
}

static void __attribute__((format(printf, 1, 2))) be_silent(char *fmt, ...)
{
	(void)fmt;
}

struct found {
	struct vdma_pci_info *all;
	size_t count, room;
};

static int add(struct found *found, const struct vdma_pci_info *info)
{
	if (found->count == found->room) {
		size_t room = found->room ? 2 * found->room : 64;
		struct vdma_pci_info *all = realloc(found->all, room * sizeof(*all));

		if (!all)
			return vdma_fail_malloc(room * sizeof(*all));
		found->all = all;
		found->room = room;
	}
	found->all[found->count++] = *info;
	return 0;
}

static void look_at(struct pci_access *access, struct pci_dev *dev, struct vdma_pci_info *info)
{
	const int flags = PCI_LOOKUP_NO_HWDB;
	const char *driver;

	pci_fill_info(dev, PCI_FILL_IDENT | PCI_FILL_CLASS | PCI_FILL_CLASS_EXT | PCI_FILL_SUBSYS |
				   PCI_FILL_DRIVER);
	*info = (struct vdma_pci_info){
		.size = sizeof(*info),
		.vendor = dev->vendor_id,
		.device = dev->device_id,
		.class_code = (uint32_t)dev->device_class << 8 | dev->prog_if,
		.revision = dev->rev_id,
		.subvendor = dev->subsys_vendor_id,
		.subdevice = dev->subsys_id,
	};
	snprintf(info->bdf, sizeof(info->bdf), "%04x:%02x:%02x.%x", dev->domain & 0xffff, dev->bus,
		 dev->dev, dev->func & 7);
	info->group = vdma_host_group(info->bdf);
	if (info->group < 0)
		info->group = -1;
	driver = pci_get_string_property(dev, PCI_FILL_DRIVER);
	snprintf(info->driver, sizeof(info->driver), "%s", driver ? driver : "");
	pci_lookup_name(access, info->vendor_name, sizeof(info->vendor_name),
			PCI_LOOKUP_VENDOR | flags, dev->vendor_id);
	pci_lookup_name(access, info->device_name, sizeof(info->device_name),
			PCI_LOOKUP_DEVICE | flags, dev->vendor_id, dev->device_id);
	pci_lookup_name(access, info->class_name, sizeof(info->class_name),
			PCI_LOOKUP_CLASS | flags, dev->device_class);
}

/* All functions, or the one at @only. */
static int scan(struct pci_access *access, const struct vdma_bdf *only, struct found *found)
{
	struct vdma_pci_info info;
	struct pci_dev *dev;
	int err = 0;

	access->method = PCI_ACCESS_SYS_BUS_PCI;
	access->error = on_error;
	access->warning = be_silent;
	access->debug = be_silent;
	if (setjmp(escape))
		return vdma_fail(VDMA_CAUSE_SYSTEM, NULL, "libpci: %s", complaint);
	pci_set_param(access, "sysfs.path", (char *)vdma_sys_pci_path());
	pci_init(access);
	if (only) {
		dev = pci_get_dev(access, (int)only->domain, (int)only->bus, (int)only->dev,
				  (int)only->func);
		look_at(access, dev, &info);
		pci_free_dev(dev);
		return add(found, &info);
	}
	pci_scan_bus(access);
	for (dev = access->devices; dev && !err; dev = dev->next) {
		look_at(access, dev, &info);
		err = add(found, &info);
	}
	return err;
}

static int find(const struct vdma_bdf *only, struct found *found)
{
	struct pci_access *access = pci_alloc();
	int err;

	err = scan(access, only, found);
	pci_cleanup(access);
	if (err) {
		free(found->all);
		*found = (struct found){ NULL, 0, 0 };
	}
	return err;
}

int vdma_pci_query(const char *bdf, struct vdma_pci_info *info)
{
	struct found found = { NULL, 0, 0 };
	struct vdma_bdf address;
	int err;

	err = vdma_info_check(info, VDMA_UP_TO(struct vdma_pci_info, class_name));
	if (err)
		return err;
	if (vdma_bdf_parse(bdf, &address))
		return vdma_fail_bdf(bdf);
	if (!vdma_host_has_device(address.s))
		return vdma_fail_no_device(address.s);
	err = find(&address, &found);
	if (err)
		return err;
	vdma_info_put(info, &found.all[0], sizeof(*info));
	free(found.all);
	return 0;
}

static int by_address(const void *a, const void *b)
{
	return strcmp(((const struct vdma_pci_info *)a)->bdf,
		      ((const struct vdma_pci_info *)b)->bdf);
}

int vdma_pci_foreach(int (*fn)(const struct vdma_pci_info *pci, void *ctx), void *ctx)
{
	struct found found = { NULL, 0, 0 };
	size_t i;
	int ret;

	if (!fn)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "The function is NULL.");
	ret = find(NULL, &found);
	if (ret)
		return ret;
	if (found.count)
		qsort(found.all, found.count, sizeof(*found.all), by_address);
	for (i = 0; i < found.count && !ret; i++)
		ret = fn(&found.all[i], ctx);
	free(found.all);
	return ret;
}
