/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An I/O address space (IOAS): one set of page tables in the IOMMU, shared by
 * the devices opened through it. All regions of its arena are mapped into it, but for
 * those that name others, when its first device comes or when they are created. An
 * arena can have several, for devices that must not reach each other's
 * traffic, or that sit behind different IOMMUs.
 *
 * It is a VFIO container of type1 v2, or an IOAS of iommufd (Linux 6.2 and
 * newer, where it was built in), to which devices come through their own nodes or, where there
 * are none (before 6.6), through their groups. All mappings go with the last device; the
 * library maps all regions again when the next device is opened.
 *
 * Without an IOMMU, in a physical arena, there are no page tables, and a device
 * reaches all memory of the machine: nothing protects anybody from a device or a
 * driver that goes wrong. What the library sees to is that memory is not given to
 * others while a device may still write to it: each region is tied to the devices
 * by the module (MAP_CONTIG_HOLD), which stops them before it frees the memory,
 * also when the process is killed. At most 16 devices.
 *
 *	vdma_ioas_create(arena, NULL, &ioas);
 *	vdma_device_open(ioas, "0000:00:10.0", NULL, &dev);
 *
 * Where a process has joined the arena (join.h), what creates or destroys address spaces
 * fails with EROFS.
 */
#ifndef VDMA_IOAS_H
#define VDMA_IOAS_H

#include <vdma/arena.h>
#include <vdma/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One I/O address space. */
struct vdma_ioas;

/**
 * enum vdma_backend - how the kernel is asked
 * @VDMA_BACKEND_AUTO: the library chooses
 * @VDMA_BACKEND_TYPE1: VFIO container, VFIO_TYPE1v2_IOMMU
 * @VDMA_BACKEND_IOMMUFD: /dev/iommu and the devices' own nodes, /dev/vfio/devices/, or
 *                        their groups'
 * @VDMA_BACKEND_NOIOMMU: nothing translates: device addresses are physical ones, of
 *                        an arena with VDMA_TRANSLATION_PHYSICAL. Its devices are
 *                        bound to vfio-pci in VFIO's mode without an IOMMU, or to
 *                        uio_pci_generic. Needs CAP_SYS_RAWIO
 */
enum vdma_backend {
	VDMA_BACKEND_AUTO,
	VDMA_BACKEND_TYPE1,
	VDMA_BACKEND_IOMMUFD,
	VDMA_BACKEND_NOIOMMU,
};

/**
 * struct vdma_ioas_opts - how an address space is made
 * @size: sizeof(struct vdma_ioas_opts)
 * @backend: VDMA_BACKEND_AUTO for what there is
 */
struct vdma_ioas_opts {
	size_t size;
	enum vdma_backend backend;
};

/**
 * struct vdma_ioas_info - the state of an address space
 * @size: in: sizeof(struct vdma_ioas_info)
 * @backend: how the kernel is asked
 * @devices: open devices
 * @entries_used: DMA entries in use, one for each mapped region
 * @entries_left: how many more the kernel allows; UINT64_MAX if it does not
 *                say, or no device is attached
 * @page_sizes: bitmap of the page sizes that the IOMMU's driver reports, over
 *              iommufd of the smallest only; 0 if no device is attached
 * @reason: why this backend, in words; valid as long as the address space is
 */
struct vdma_ioas_info {
	size_t size;
	enum vdma_backend backend;
	uint32_t devices;
	uint64_t entries_used;
	uint64_t entries_left;
	uint64_t page_sizes;
	const char *reason;
};

/**
 * vdma_ioas_create() - open an address space
 * @arena: whose regions it maps; up to 64 address spaces for one arena
 * @opts: NULL for defaults
 * @ioas: out: owned by the caller, vdma_ioas_destroy() gives it back
 *
 * Return: 0, -EINVAL, -E2BIG, -ENOENT (VFIO is not loaded, or there is no
 * iommufd), -EACCES, -EOPNOTSUPP (this kernel's VFIO lacks type1 v2), -ENOSPC (64 of them),
 * -ENOMEM, -EMFILE, -EIO, -EDEADLK (from inside of an observer). Thread-safe.
 */
VDMA_API int vdma_ioas_create(struct vdma_arena *arena, const struct vdma_ioas_opts *opts,
			      struct vdma_ioas **ioas);

/**
 * vdma_ioas_destroy() - close an address space
 * @ioas: NULL is allowed
 *
 * Return: 0; -EBUSY while a device is open, or was let go and not closed, or a region names it (struct
 * vdma_region_opts); -EDEADLK (from inside of an observer). Thread-safe, but nobody else
 * may use @ioas.
 */
VDMA_API int vdma_ioas_destroy(struct vdma_ioas *ioas);

/**
 * vdma_ioas_query() - the state of an address space
 * @ioas: the address space
 * @info: in: its size, out: the rest
 *
 * Return: 0, -EINVAL, -EIO. Thread-safe.
 */
VDMA_API int vdma_ioas_query(struct vdma_ioas *ioas, struct vdma_ioas_info *info);

/**
 * vdma_ioas_ranges() - device addresses that its IOMMU can translate
 * @ioas: the address space
 * @ranges: out: up to *@count ranges, ascending; NULL if *@count is 0
 * @count: in: room in @ranges, out: number of ranges that there are; 0 if no
 *         device is attached, since the kernel does not know them before
 *
 * Return: 0, -EINVAL. Thread-safe.
 */
VDMA_API int vdma_ioas_ranges(struct vdma_ioas *ioas, struct vdma_range *ranges, size_t *count);

#ifdef __cplusplus
}
#endif

#endif
