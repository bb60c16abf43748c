/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A region is memory in an arena: populated, at a fixed device address, mapped
 * for every device that is or will be attached to the arena's address spaces, or to
 * those of them that its creator names.
 * It may be created before the first device is opened and outlive the last.
 *
 * Where its memory comes from is the provider's business: by default
 * physically contiguous memory from the kernel module map_contig.
 *
 *	const struct vdma_constraints constraints = {
 *		.size = sizeof(constraints),
 *		.address_bits = 28,
 *	};
 *	struct vdma_region_opts opts = {
 *		.size = sizeof(opts),
 *		.constraints = &constraints,
 *	};
 *	vdma_region_create(arena, 4096, &opts, &region);
 *	struct vdma_buf buf = vdma_region_buf(region);
 *
 * Memory is zeroed when it is new. A child process does not inherit it.
 *
 * Where a process has joined the arena (join.h), what creates or destroys regions
 * fails with EROFS.
 */
#ifndef VDMA_REGION_H
#define VDMA_REGION_H

#include <vdma/arena.h>
#include <vdma/constraints.h>
#include <vdma/explain.h>
#include <vdma/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A piece of memory in an arena. */
struct vdma_region;

/* An address space, of vdma/ioas.h. */
struct vdma_ioas;

/**
 * enum vdma_provider - where a region's memory comes from
 * @VDMA_PROVIDER_CONTIG: one physically contiguous run, from map_contig.ko
 * @VDMA_PROVIDER_HUGETLB: pages of the kernel's hugetlb pool
 * @VDMA_PROVIDER_ANON: ordinary memory, scattered
 * @VDMA_PROVIDER_AUTO: the first of these that has some, by the contiguity of
 *                      the constraints. Preferred: in this order. Required:
 *                      CONTIG, or the call fails. Indifferent: ANON. In a
 *                      physical arena: CONTIG
 * @VDMA_PROVIDER_MEMFD: a memfd of its own, ordinary memory or hugetlb pages
 * @VDMA_PROVIDER_FILE: vdma_region_import_fd() mapped a file
 * @VDMA_PROVIDER_BAR: vdma_region_import_bar() mapped memory of a device
 * @VDMA_PROVIDER_USER: vdma_region_import_user() was given a pointer
 *
 * vdma_region_create() takes those down to MEMFD; the others are in import.h.
 * docs/providers.md tells which address space takes which.
 */
enum vdma_provider {
	VDMA_PROVIDER_CONTIG,
	VDMA_PROVIDER_HUGETLB,
	VDMA_PROVIDER_ANON,
	VDMA_PROVIDER_AUTO,
	VDMA_PROVIDER_MEMFD,
	VDMA_PROVIDER_FILE,
	VDMA_PROVIDER_BAR,
	VDMA_PROVIDER_USER,
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
 * @address_bits: as in struct vdma_constraints, for callers that have no
 *                @constraints; 0 for those that have
 * @page_size: bytes; 0 for the provider's default.
 *             CONTIG: 0 only, the module builds of the largest pages it can.
 *             HUGETLB: 2 MiB (the default) or 1 GiB.
 *             ANON: 4096 (never huge pages), 2 MiB (transparent huge pages
 *             where the kernel has some), 0 (as the system is set up).
 *             AUTO: 0 only.
 *             MEMFD: 4096 (the default), or 2 MiB or 1 GiB of hugetlb pages.
 * @access: what devices may do with it; the program may read and write it
 * @ioas: the address spaces, of the same arena, that it is mapped into: @nioas of them. In
 *        others, and in those that are created later, its device addresses are nobody's.
 *        They cannot be destroyed before the region. Not in a physical arena
 * @nioas: 0 for all that there are and will be
 * @constraints: where it has to lie and how; the caller's, and not needed
 *               after the call. NULL for none.
 */
struct vdma_region_opts {
	size_t size;
	enum vdma_provider provider;
	uint32_t address_bits;
	size_t page_size;
	enum vdma_access access;
	struct vdma_ioas *const *ioas;
	size_t nioas;
	const struct vdma_constraints *constraints;
};

/**
 * enum vdma_delivered - how memory lies
 * @VDMA_DELIVERED_CONTIGUOUS: one physically contiguous run
 * @VDMA_DELIVERED_HUGE: one run for the device, at its IOVA, of huge pages
 * @VDMA_DELIVERED_SCATTERED: one run for the device, at its IOVA, of pages that
 *                            lie anywhere
 */
enum vdma_delivered {
	VDMA_DELIVERED_CONTIGUOUS,
	VDMA_DELIVERED_HUGE,
	VDMA_DELIVERED_SCATTERED,
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
 * @delivered: how it lies
 * @cause: why it is not contiguous though that was preferred: what stood in the
 *         way of the provider that was asked first. VDMA_CAUSE_NONE if it is as
 *         asked for.
 * @reason: the same in words, as vdma_explain() would have them, for each provider
 *          that refused, in the order in which they were asked; "" if none. Good
 *          until the region is destroyed.
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
	enum vdma_delivered delivered;
	enum vdma_cause cause;
	const char *reason;
};

/**
 * vdma_region_create() - get memory and map it everywhere
 * @arena: where it shall live
 * @len: bytes, at least 1; rounded up to whole pages of the provider
 * @opts: NULL for defaults
 * @region: out: owned by the caller, vdma_region_destroy() gives it back
 *
 * From 2 MiB on the region is aligned to 2 MiB, from 1 GiB on to 1 GiB if the
 * window has room for that, or to more if its constraints say so. A failure in one address space leaves the region
 * mapped in none.
 *
 * A call that succeeds with what another provider had to refuse leaves nothing
 * of that to vdma_explain(); vdma_region_query() has it.
 *
 * Return: 0, -EINVAL, -E2BIG, -ENOMEM (no such memory), -ENOENT (the module is
 * not loaded), -EACCES, -EPERM, -EAGAIN (RLIMIT_MEMLOCK), -EDQUOT (a quota of
 * the administrator), -ENOSPC (DMA entries), -EADDRNOTAVAIL (no room in the
 * window or below the address limit), -EOPNOTSUPP (no such page size), -EINTR,
 * -ETIME (the module's deadline), -EMFILE, -EIO, -ECANCELED (an observer refused it), -EDEADLK (from inside of one).
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
 * repeated; -EDEADLK (from inside of an observer). Thread-safe, but nobody else may
 * use @region.
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
 * vdma_region_find() - the region that has a virtual address
 * @arena: the arena
 * @va: any pointer
 * @region: out: the region, which stays its owner's: good until that destroys it, or, in
 *          an arena that was joined, until vdma_join_process()
 *
 * It looks through all regions: to look on, not for where packets pass.
 *
 * Return: 0; -EINVAL if no region has it; -ECHILD. Thread-safe.
 */
VDMA_API int vdma_region_find(struct vdma_arena *arena, const void *va,
			      struct vdma_region **region);

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
