/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that exists already, made a region: of a file, of another device, or at a
 * pointer that the caller has. Such a region is like any other: mapped for every
 * device that is and will be there, queried, sliced and destroyed as they are.
 *
 * Files and BARs are mapped into the arena's window, a second time if they are mapped
 * already, and translate as all that is there: by one subtraction. The mapping holds
 * the file; the descriptor stays the caller's, who may close it at once.
 *
 * Memory at a pointer stays where it is. It gets device addresses of its own in the
 * same window, and vdma_iova_any() finds them:
 *
 *	vdma_region_import_user(arena, packets, len, NULL, &region);
 *	...
 *	descriptor->addr = vdma_iova_any(arena, packet, packet_len);
 *
 * It remains the caller's: to be unmapped, or given to something else, after the
 * region was destroyed, not before. What is imported more than once is mapped once
 * for devices where that can be: a part of what is imported already, or two buffers
 * that share pages, have them in common, and keep them until the last one goes. A
 * child of fork() gets what the kernel gives it: since Linux 5.12 a copy of pinned
 * private memory, while the parent keeps the pages that devices know.
 *
 * A dma-buf has to be told before and after the CPU uses its memory
 * (DMA_BUF_IOCTL_SYNC in linux/dma-buf.h, on its descriptor, with START and END): the
 * library does not do it, since only the caller knows when. Those of udmabuf and of
 * map_contig are coherent on x86, where it changes nothing.
 *
 * Which address space takes which memory, on which kernel, is in docs/providers.md.
 * A physical arena takes none of it: without an IOMMU nothing keeps the memory where it
 * is while a device writes to it.
 *
 * Where a process has joined the arena (join.h), what imports
 * fails with EROFS.
 */
#ifndef VDMA_IMPORT_H
#define VDMA_IMPORT_H

#include <vdma/arena.h>
#include <vdma/device.h>
#include <vdma/region.h>
#include <vdma/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct vdma_import_opts - how memory is imported
 * @size: sizeof(struct vdma_import_opts)
 * @address_bits: 1 to 64: device addresses stay below 2^address_bits. 0: anywhere in
 *                the window.
 * @access: what devices may do with it. With VDMA_ACCESS_READ the memory need not be
 *          writable; if it is not, the program cannot write it either.
 * @ioas: the address spaces that it is mapped into, as in struct vdma_region_opts; of
 *        pages that are imported already, the same have to be named. A BAR can so be
 *        for containers where there is iommufd, too
 * @nioas: 0 for all that there are and will be
 */
struct vdma_import_opts {
	size_t size;
	uint32_t address_bits;
	enum vdma_access access;
	struct vdma_ioas *const *ioas;
	size_t nioas;
};

/**
 * vdma_region_import_fd() - make a region of a file
 * @arena: where it shall live
 * @fd: a memfd, a file of hugetlbfs, a dma-buf, a region descriptor of map_contig, or
 *      any other that can be mapped shared; not a VFIO device's (vdma_region_import_bar())
 * @offset: where in it, bytes, a multiple of its page (4096, or the hugetlb page's size)
 * @len: bytes, rounded up to whole pages; 0 for all from @offset on
 * @opts: NULL for defaults
 * @region: out: owned by the caller, vdma_region_destroy() gives it back
 *
 * Holes in the file are filled. It must not be cut shorter while the region lives:
 * then access to what it had raises SIGBUS.
 *
 * Return: 0, -EINVAL (@fd, @offset or @len make no sense for this file, or the arena is
 * physical), -E2BIG, -EACCES (not open for reading and writing), -EPERM (sealed against
 * writing), -EOPNOTSUPP (it cannot be mapped; or not for the devices that there are),
 * -ENOMEM, -EAGAIN (RLIMIT_MEMLOCK), -ENOSPC (DMA entries), -EADDRNOTAVAIL, -EINTR,
 * -EMFILE, -EIO, -ECANCELED (an observer refused it), -EDEADLK (from inside of one).
 * Thread-safe.
 */
VDMA_API int vdma_region_import_fd(struct vdma_arena *arena, int fd, uint64_t offset, size_t len,
				   const struct vdma_import_opts *opts,
				   struct vdma_region **region);

/**
 * vdma_region_import_bar() - make a region of a device's memory
 * @arena: that of the device's address space
 * @dev: whose memory it is; others in the arena reach it, peer to peer
 * @index: BAR, 0 to 5
 * @offset: where in it, bytes, a multiple of the page size
 * @len: bytes, a multiple of the page size; 0 for all from @offset on
 * @opts: NULL for defaults
 * @region: out: owned by the caller, vdma_region_destroy() gives it back
 *
 * iommufd maps no BARs: with such an address space in the arena it fails, unless others are
 * named, and a device that is opened there later fails while the region lives. Whether transfers between two
 * devices pass is the matter of the bridges between them. The memory is uncached for the
 * CPU (mmio.h), and is not locked, so nothing counts it.
 *
 * @dev cannot be closed while the region lives; if it is let go (removal.h), the region is
 * mapped for nobody, and 0xff bytes.
 *
 * Return: 0, -EINVAL, -E2BIG, -ENODEV (@dev was let go), -ENXIO (no such BAR),
 * -EOPNOTSUPP (I/O ports, a part that VFIO keeps to itself, iommufd), -ENOMEM, -ENOSPC
 * (DMA entries), -EADDRNOTAVAIL, -EINTR, -EMFILE, -EIO, -ECANCELED, -EDEADLK (as above).
 * Thread-safe.
 */
VDMA_API int vdma_region_import_bar(struct vdma_arena *arena, struct vdma_device *dev,
				    unsigned int index, uint64_t offset, size_t len,
				    const struct vdma_import_opts *opts,
				    struct vdma_region **region);

/**
 * vdma_region_import_user() - make a region of memory at a pointer
 * @arena: where it gets device addresses
 * @va: first byte; need not be aligned. Not inside the arena's window: what is there
 *      has device addresses
 * @len: bytes, at least 1. Devices reach the whole pages that these lie in
 * @opts: NULL for defaults. Of pages that are imported already, @access must be
 *        allowed, and their addresses must be within @address_bits
 * @region: out: owned by the caller, vdma_region_destroy() gives it back; its buffer
 *          is @va and @len
 *
 * The memory is populated, and must be readable, and writable unless devices only read
 * it. With what is imported already it shares whatever it lies in wholly; if it lies in
 * that in part, it is mapped once more as a whole. The first one in an arena reserves a
 * table (512 MiB of address space on x86-64) that costs 4 KiB for each GiB of addresses
 * that are imported, and for each 2 MiB in which an import begins or ends.
 *
 * Return: 0, -EINVAL (not mapped, in the window, above 2^47; the arena is physical),
 * -E2BIG, -EACCES (not readable or writable), -EOPNOTSUPP (the kernel cannot pin it),
 * -ENOMEM, -EAGAIN (RLIMIT_MEMLOCK), -ENOSPC (DMA entries), -EADDRNOTAVAIL, -EINTR,
 * -EMFILE, -EIO, -EDEADLK (from inside of an observer). Thread-safe. It takes time with the
 * number of imports, some 32 bytes to be moved for each.
 */
VDMA_API int vdma_region_import_user(struct vdma_arena *arena, void *va, size_t len,
				     const struct vdma_import_opts *opts,
				     struct vdma_region **region);

/* What the table covers: all that a program gets without asking for more. */
#ifdef __x86_64__
#define VDMA_FOREIGN_BITS 47
#else
#define VDMA_FOREIGN_BITS 48
#endif
#define VDMA_FOREIGN_PAGE_SHIFT 12

/*
 * An entry is virtual minus device address, with the first bit set and bits below a page
 * that tell imports apart; or the address of 512 entries, one for each page, with the
 * second bit set; or 0.
 */
#define VDMA_FOREIGN_HERE UINT64_C(1)
#define VDMA_FOREIGN_LEAF UINT64_C(2)
#define VDMA_FOREIGN_DELTA (~UINT64_C(0) << VDMA_FOREIGN_PAGE_SHIFT)

/**
 * vdma_foreign_entry() - the table's entry for an address; vdma_iova_any() reads it
 * @table: the table
 * @va: address below 2^VDMA_FOREIGN_BITS
 *
 * Return: the entry, 0 if there is none. Thread-safe, no lock.
 */
static inline uint64_t vdma_foreign_entry(const uint64_t *table, uintptr_t va)
{
	uint64_t entry = __atomic_load_n(&table[va >> VDMA_SLOT_SHIFT], __ATOMIC_ACQUIRE);

	if (!(entry & VDMA_FOREIGN_LEAF))
		return entry;
	table = (const uint64_t *)(uintptr_t)(entry - VDMA_FOREIGN_LEAF);
	return __atomic_load_n(&table[va >> VDMA_FOREIGN_PAGE_SHIFT & 511], __ATOMIC_ACQUIRE);
}

/**
 * vdma_iova_foreign() - device address of a buffer outside of the window
 * @arena: the arena
 * @va: first byte
 * @len: bytes, at least 1
 *
 * What vdma_iova_any() calls for a buffer that lies over several pages of a slot in which
 * an import begins or ends, or over several slots.
 *
 * Return: the device address, VDMA_IOVA_NONE if there is none. Thread-safe, no lock;
 * but where imports overlap in part and the buffer lies across the border of their
 * common pages, it takes the arena's lock, and time with the number of imports.
 */
VDMA_API vdma_iova_t vdma_iova_foreign(const struct vdma_arena *arena, const void *va, size_t len);

/**
 * vdma_iova_any() - device address of a buffer, wherever it lies
 * @arena: the arena
 * @va: first byte
 * @len: bytes, at least 1
 *
 * In the window it is vdma_iova_checked(). Outside, the buffer has to lie in one import
 * of vdma_region_import_user(), whose pages count as a whole; of that its first and its
 * last byte are looked at.
 *
 * Other threads may import and destroy meanwhile, but not what @va points to: its
 * region has to live until the device is done with the address.
 *
 * Return: the device address of @va, VDMA_IOVA_NONE if there is none. Thread-safe, no
 * lock, but for the case that vdma_iova_foreign() names.
 */
static inline __attribute__((always_inline)) vdma_iova_t vdma_iova_any(
	const struct vdma_arena *arena, const void *va, size_t len)
{
	const struct vdma_window *w = (const struct vdma_window *)(const void *)arena;
	const uintptr_t slot = (uintptr_t)1 << VDMA_SLOT_SHIFT;
	const uintptr_t page = (uintptr_t)1 << VDMA_FOREIGN_PAGE_SHIFT;
	uintptr_t at = (uintptr_t)va, off = at - w->va;
	uint64_t entry;

	/* As in vdma_iova_checked(). */
	if (off + (len - 1) >= off && off + (len - 1) < w->reach)
		return at - w->delta;
	if (at >= __atomic_load_n(&w->foreign_end, __ATOMIC_ACQUIRE))
		return vdma_iova_checked(arena, va, len);
	/* Does it end in the slot, and is that one import's? A len of 0 is too long, too. */
	entry = __atomic_load_n(&w->foreign[at >> VDMA_SLOT_SHIFT], __ATOMIC_ACQUIRE);
	if (__builtin_expect(len - 1 <= (~at & (slot - 1)) && entry & VDMA_FOREIGN_HERE, 1))
		return at - (entry & VDMA_FOREIGN_DELTA);
	if (len - 1 > (~at & (page - 1)))
		return vdma_iova_foreign(arena, va, len);
	entry = vdma_foreign_entry(w->foreign, at);
	return entry ? at - (entry & VDMA_FOREIGN_DELTA) : VDMA_IOVA_NONE;
}

/**
 * vdma_va_any() - virtual address of a device address, wherever its memory lies
 * @arena: the arena
 * @iova: device address
 *
 * vdma_va() adds a constant, and so gives, for memory at a pointer, an address in the
 * window at which there is nothing. This one looks for the region.
 *
 * Return: the pointer, NULL if @iova is in no region. Thread-safe; it takes the arena's
 * lock, and time with the number of regions.
 */
static inline void *vdma_va_any(const struct vdma_arena *arena, vdma_iova_t iova)
{
	return vdma_va_physical(arena, iova);
}

#ifdef __cplusplus
}
#endif

#endif
