/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An arena is one range of virtual addresses laid over one range of device
 * addresses (IOVA) of the same size. Regions are placed at the same offset in
 * both, so the device address of any byte is its virtual address minus a
 * constant, for every device that is opened through the arena.
 *
 *	IOVA 0        2^32      top of the window
 *	|.|------->      |M|          <---------|
 *	 ^  regions with  ^            ordinary regions
 *	 |  address_bits  |
 *	 |                reserved (MSI): a hole
 *	 page 0 is never handed out
 *
 * The window is reserved (PROT_NONE) and costs no memory. Which device
 * addresses in it are usable depends on the IOMMU: until the first device is
 * opened, 39 bits without the x86 MSI range are assumed, from then on what
 * the kernel reports counts.
 *
 * mlockall(MCL_FUTURE), RLIMIT_AS and Valgrind charge the window in full:
 * choose a smaller one there. After fork the child has the window's address
 * range, but none of the memory in it; what it asks of the arena and of what
 * belongs to it fails with ECHILD, and the parent's is as it was.
 *
 *	vdma_arena_create(NULL, &arena);
 *	...
 *	descriptor->addr = vdma_iova(arena, packet);
 */
#ifndef VDMA_ARENA_H
#define VDMA_ARENA_H

#include <vdma/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An arena with its window, regions and address spaces. */
struct vdma_arena;

/**
 * struct vdma_window - where an arena lies
 * @va: its first virtual address, a multiple of 1 GiB
 * @len: bytes
 * @delta: virtual address minus device address, the same for every byte
 *
 * Every arena begins with this struct, and it is constant for as long as the
 * arena lives: that is what the inline functions below stand on.
 */
struct vdma_window {
	uintptr_t va;
	size_t len;
	uint64_t delta;
};

/**
 * struct vdma_arena_opts - how an arena is made
 * @size: sizeof(struct vdma_arena_opts)
 * @window: size of the window in bytes, a multiple of 1 GiB, at most 2^46.
 *          0 stands for 256 GiB, or less where the system does not allow that
 *          much address space (vdma_arena_query tells). Any other value is
 *          met or the call fails.
 */
struct vdma_arena_opts {
	size_t size;
	size_t window;
};

/**
 * struct vdma_arena_info - what an arena holds
 * @size: in: sizeof(struct vdma_arena_info)
 * @window: size of the window in bytes
 * @window_wanted: what it would be if the system allowed; larger than @window
 *                 if a default window had to shrink
 * @regions: live regions
 * @bytes: their size
 * @ioas: live address spaces
 * @usable: bytes of the window that devices can address
 * @assumed: 1 while no device is attached: the usable ranges are an assumption
 * @bufs: live buffers, of vdma_buf_alloc()
 * @chunks: regions that they lie in, and those that wait for more
 */
struct vdma_arena_info {
	size_t size;
	uint64_t window;
	uint64_t window_wanted;
	uint64_t regions;
	uint64_t bytes;
	uint64_t ioas;
	uint64_t usable;
	uint32_t assumed;
	uint64_t bufs;
	uint64_t chunks;
};

/**
 * vdma_arena_create() - reserve a window
 * @opts: NULL for defaults
 * @arena: out: owned by the caller, vdma_arena_destroy() gives it back
 *
 * Return: 0, -EINVAL, -E2BIG, -ENOMEM (no address space, no memory).
 * Thread-safe.
 */
VDMA_API int vdma_arena_create(const struct vdma_arena_opts *opts, struct vdma_arena **arena);

/**
 * vdma_arena_destroy() - give the window back
 * @arena: NULL is allowed
 *
 * Return: 0; -EBUSY while a region, a buffer or an address space lives; -EIO if
 * a chunk of buffers could not be unmapped; -ECHILD. No other thread
 * may use the arena meanwhile.
 */
VDMA_API int vdma_arena_destroy(struct vdma_arena *arena);

/**
 * vdma_arena_query() - what an arena holds
 * @arena: the arena
 * @info: in: its size, out: the rest
 *
 * Return: 0, -EINVAL. Thread-safe.
 */
VDMA_API int vdma_arena_query(struct vdma_arena *arena, struct vdma_arena_info *info);

/**
 * vdma_arena_ranges() - device addresses in which regions can lie
 * @arena: the arena
 * @ranges: out: up to *@count ranges, ascending; NULL if *@count is 0
 * @count: in: room in @ranges, out: number of ranges that there are
 *
 * Return: 0, -EINVAL. Thread-safe.
 */
VDMA_API int vdma_arena_ranges(struct vdma_arena *arena, struct vdma_range *ranges, size_t *count);

/**
 * vdma_iova() - device address of a virtual address, unchecked
 * @arena: the arena
 * @va: pointer into one of its regions; nothing is checked
 *
 * Return: the device address. Thread-safe, no lock, one subtraction.
 */
static inline vdma_iova_t vdma_iova(const struct vdma_arena *arena, const void *va)
{
	return (uint64_t)(uintptr_t)va - ((const struct vdma_window *)(const void *)arena)->delta;
}

/**
 * vdma_iova_checked() - device address of a buffer, if it lies in the window
 * @arena: the arena
 * @va: first byte
 * @len: bytes, at least 1
 *
 * It checks against the window, not against the regions in it.
 *
 * Return: the device address of @va, VDMA_IOVA_NONE if any of the @len bytes
 * is outside the arena. Thread-safe, no lock.
 */
static inline vdma_iova_t vdma_iova_checked(const struct vdma_arena *arena, const void *va,
					    size_t len)
{
	const struct vdma_window *w = (const struct vdma_window *)(const void *)arena;
	uintptr_t off = (uintptr_t)va - w->va;

	/* off < w->len keeps w->len - off from wrapping; len 0 wraps to the top. */
	if (off >= w->len || len - 1 >= w->len - off)
		return VDMA_IOVA_NONE;
	return (uint64_t)(uintptr_t)va - w->delta;
}

/**
 * vdma_va() - virtual address of a device address
 * @arena: the arena
 * @iova: device address
 *
 * Return: the pointer, NULL if @iova is outside the window. Thread-safe, no
 * lock.
 */
static inline void *vdma_va(const struct vdma_arena *arena, vdma_iova_t iova)
{
	const struct vdma_window *w = (const struct vdma_window *)(const void *)arena;
	uint64_t va = iova + w->delta;

	return va - w->va < w->len ? (void *)(uintptr_t)va : NULL;
}

#ifdef __cplusplus
}
#endif

#endif
