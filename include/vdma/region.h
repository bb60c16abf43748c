/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A region is memory in an arena: populated, at a fixed device address, mapped
 * for every device that is or will be attached to the arena's address spaces.
 * It may be created before the first device is opened and outlive the last.
 *
 * Where its memory comes from is the provider's business: by default
 * physically contiguous memory from the kernel module map_contig.
 *
 *	struct vdma_region_opts opts = {
 *		.size = sizeof(opts),
 *		.address_bits = 28,
 *	};
 *	vdma_region_create(arena, 4096, &opts, &region);
 *	struct vdma_buf buf = vdma_region_buf(region);
 *
 * Memory is zeroed when it is new. A child process does not inherit it.
 */
#ifndef VDMA_REGION_H
#define VDMA_REGION_H

#include <vdma/arena.h>
#include <vdma/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A piece of memory in an arena. */
struct vdma_region;

/**
 * enum vdma_provider - where a region's memory comes from
 * @VDMA_PROVIDER_CONTIG: one physically contiguous run, from map_contig.ko
 * @VDMA_PROVIDER_HUGETLB: pages of the kernel's hugetlb pool
 * @VDMA_PROVIDER_ANON: ordinary memory, scattered
 */
enum vdma_provider {
	VDMA_PROVIDER_CONTIG,
	VDMA_PROVIDER_HUGETLB,
	VDMA_PROVIDER_ANON,
};

/**
 * enum vdma_access - what devices may do with a region
 * @VDMA_ACCESS_BOTH: read and write it
 * @VDMA_ACCESS_READ: read it: what is sent, commands. A device that writes
 *                    there is stopped by the IOMMU.
 * @VDMA_ACCESS_WRITE: write it: what is received, completions. A device may
 *                     be able to read it, too: Linux's driver of Intel's IOMMU
 *                     lets it (6.12, __domain_mapping(): the bit that it sets
 *                     in every entry, DMA_FL_PTE_PRESENT, is DMA_PTE_READ).
 */
enum vdma_access {
	VDMA_ACCESS_BOTH,
	VDMA_ACCESS_READ,
	VDMA_ACCESS_WRITE,
};

/**
 * struct vdma_region_opts - how a region is made
 * @size: sizeof(struct vdma_region_opts)
 * @provider: where the memory comes from
 * @address_bits: 1 to 64: device addresses stay below 2^address_bits, for
 *                devices that cannot drive more. 0: anywhere in the window.
 * @page_size: bytes; 0 for the provider's default.
 *             CONTIG: 0 only, the module builds of the largest pages it can.
 *             HUGETLB: 2 MiB (the default) or 1 GiB.
 *             ANON: 4096 (never huge pages), 2 MiB (transparent huge pages
 *             where the kernel has some), 0 (as the system is set up).
 * @access: what devices may do with it; the program may read and write it
 */
struct vdma_region_opts {
	size_t size;
	enum vdma_provider provider;
	uint32_t address_bits;
	size_t page_size;
	enum vdma_access access;
};

/**
 * struct vdma_region_info - what a region is made of
 * @size: in: sizeof(struct vdma_region_info)
 * @buf_len: bytes, as rounded up
 * @provider: where the memory came from
 * @extents: physically contiguous runs; 0 if not known
 * @granule: bytes of the page that it is built of, as far as known; the
 *           alignment that its addresses share is at least this
 * @dma_entries: entries that it takes in each address space that it is
 *               mapped into
 * @mapped: address spaces that it is mapped into
 * @populate_ns: time that the memory took, nanoseconds
 * @map_ns: time that the map call(s) into all those address spaces took when
 *          it was last mapped, nanoseconds; 0 if it never was
 * @node: NUMA node of the memory; -1 if not known
 * @access: what devices may do with it
 */
struct vdma_region_info {
	size_t size;
	uint64_t buf_len;
	enum vdma_provider provider;
	uint32_t extents;
	uint64_t granule;
	uint32_t dma_entries;
	uint32_t mapped;
	uint64_t populate_ns;
	uint64_t map_ns;
	int32_t node;
	enum vdma_access access;
};

/**
 * vdma_region_create() - get memory and map it everywhere
 * @arena: where it shall live
 * @len: bytes, at least 1; rounded up to whole pages of the provider
 * @opts: NULL for defaults
 * @region: out: owned by the caller, vdma_region_destroy() gives it back
 *
 * From 2 MiB on the region is aligned to 2 MiB, from 1 GiB on to 1 GiB if the
 * window has room for that. A failure in one address space leaves the region
 * mapped in none.
 *
 * Return: 0, -EINVAL, -E2BIG, -ENOMEM (no such memory), -ENOENT (the module is
 * not loaded), -EACCES, -EPERM, -EAGAIN (RLIMIT_MEMLOCK), -EDQUOT (a quota of
 * the administrator), -ENOSPC (DMA entries), -EADDRNOTAVAIL (no room in the
 * window or below the address limit), -EOPNOTSUPP (no such page size), -EINTR,
 * -EMFILE, -EIO.
 * Thread-safe; other threads' calls on the arena, its regions and address
 * spaces wait until the memory is there.
 */
VDMA_API int vdma_region_create(struct vdma_arena *arena, size_t len,
				const struct vdma_region_opts *opts, struct vdma_region **region);

/**
 * vdma_region_destroy() - unmap the memory everywhere and give it back
 * @region: NULL is allowed; no device may be using the memory
 *
 * Return: 0; -EIO or -ENOMEM if the kernel refused to unmap: then the region
 * lives on, possibly unmapped from some address spaces, and the call can be
 * repeated. Thread-safe, but nobody else may use @region.
 */
VDMA_API int vdma_region_destroy(struct vdma_region *region);

/**
 * vdma_region_buf() - the whole region as a buffer
 * @region: the region
 *
 * Return: the buffer, good until the region is destroyed. Thread-safe.
 */
VDMA_API struct vdma_buf vdma_region_buf(const struct vdma_region *region);

/**
 * vdma_region_slice() - a part of a region as a buffer
 * @region: the region
 * @offset: first byte
 * @len: bytes, at least 1
 * @buf: out: the buffer, good until the region is destroyed
 *
 * Return: 0; -EINVAL if the part is not inside the region. Thread-safe.
 */
VDMA_API int vdma_region_slice(const struct vdma_region *region, size_t offset, size_t len,
			       struct vdma_buf *buf);

/**
 * vdma_region_query() - what a region is made of
 * @region: the region
 * @info: in: its size, out: the rest
 *
 * Return: 0, -EINVAL. Thread-safe.
 */
VDMA_API int vdma_region_query(struct vdma_region *region, struct vdma_region_info *info);

#ifdef __cplusplus
}
#endif

#endif
