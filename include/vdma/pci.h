/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which PCI devices the machine has, what they are called, and which driver
 * has them. No privileges are needed, and nothing is opened.
 *
 *	static int show(const struct vdma_pci_info *pci, void *ctx)
 *	{
 *		printf("%s %s\n", pci->bdf, pci->device_name);
 *		return 0;
 *	}
 *	...
 *	vdma_pci_foreach(show, NULL);
 *
 * Names come from the machine's pci.ids through libpci.
 */
#ifndef VDMA_PCI_H
#define VDMA_PCI_H

#include <vdma/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct vdma_pci_info - one PCI function
 * @size: sizeof(struct vdma_pci_info); set by the caller of vdma_pci_query()
 * @bdf: address, "dddd:bb:dd.f"
 * @vendor: vendor id
 * @device: device id
 * @subvendor: subsystem vendor id
 * @subdevice: subsystem id
 * @class_code: class, subclass and programming interface, 24 bits
 * @revision: revision id
 * @group: number of its IOMMU group; -1 if no IOMMU translates for it
 * @driver: name of the kernel driver that has it; "" if none
 * @vendor_name: as in pci.ids
 * @device_name: as in pci.ids
 * @class_name: as in pci.ids
 */
struct vdma_pci_info {
	size_t size;
	char bdf[16];
	uint16_t vendor;
	uint16_t device;
	uint16_t subvendor;
	uint16_t subdevice;
	uint32_t class_code;
	uint32_t revision;
	int32_t group;
	char driver[36];
	char vendor_name[128];
	char device_name[128];
	char class_name[128];
};

/**
 * vdma_pci_query() - look at one PCI function
 * @bdf: its address, "0000:00:10.0", or "00:10.0" for domain 0
 * @info: in: its size, out: the rest
 *
 * Return: 0, -EINVAL (@bdf is not an address), -ENODEV, -ENOMEM, -EIO.
 * Thread-safe.
 */
VDMA_API int vdma_pci_query(const char *bdf, struct vdma_pci_info *info);

/**
 * vdma_pci_foreach() - look at all PCI functions, in the order of their
 * addresses
 * @fn: called for each; a return value other than 0 ends the walk
 * @ctx: handed to @fn
 *
 * Return: 0, what @fn returned, -EINVAL, -ENOMEM, -EIO. Thread-safe; @fn is called
 * without any lock.
 */
VDMA_API int vdma_pci_foreach(int (*fn)(const struct vdma_pci_info *pci, void *ctx), void *ctx);

#ifdef __cplusplus
}
#endif

#endif
