/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An arena is one range of virtual addresses laid over one range of device
 * addresses (IOVA) of the same size, which begins at 0 (but with VDMA_ARENA_IDENTITY).
 * Regions are placed at the same offset in both, so the device address of any byte is
 * its virtual address minus a constant, for every device that is opened through the arena.
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
 * @delta: virtual address minus device address, the same for every byte; 0 with
 *         VDMA_ARENA_IDENTITY
 * @slots: NULL in a linear arena. In a physical one, for each slot of 2 MiB of the
 *         window: virtual address minus physical address, 0 where there is nothing
 * @reach: bytes of the window for which @delta holds: @len in a linear arena, 0 in
 *         a physical one. So one comparison tells both.
 * @foreign: the table of memory outside the window (import.h); NULL before the
 *           first pointer is imported
 * @foreign_end: the end of the addresses that it covers; 0 before it is there
 *
 * Every arena begins with this struct, and it is constant for as long as the
 * arena lives, but for the last two, which change once: that is what the inline functions below stand on.
 */
struct vdma_window {
	uintptr_t va;
	size_t len;
	uint64_t delta;
	const uint64_t *slots;
	size_t reach;
	const uint64_t *foreign;
	uintptr_t foreign_end;
};

/* log2 of the size of a slot. */
#define VDMA_SLOT_SHIFT 21

/**
 * enum vdma_translation - what device addresses of an arena are
 * @VDMA_TRANSLATION_LINEAR: addresses that an IOMMU translates
 * @VDMA_TRANSLATION_PHYSICAL: physical ones, for devices that no IOMMU stands
 *                             before (VDMA_BACKEND_NOIOMMU). Such a device reaches
 *                             all memory: for programs that are trusted with that
 * @VDMA_TRANSLATION_AUTO: linear where the machine has an IOMMU, else physical
 */
enum vdma_translation {
	VDMA_TRANSLATION_LINEAR,
	VDMA_TRANSLATION_PHYSICAL,
	VDMA_TRANSLATION_AUTO,
};

/*
 * Checking mode, for tests and for the search for errors. What a device does
 * beyond its buffers, or after they were freed, becomes an IOMMU fault wherever it
 * can: every region has an unmapped gap behind it, and so behind the one before
 * it; addresses of what was freed are nobody's for a while. vdma_explain_iova()
 * (owner.h) then tells whose they were. It takes about 1 MiB at most for what was
 * freed lately, 8192 regions and 8192 buffers, and some 120 bytes for each live
 * buffer.
 */
#define VDMA_ARENA_CHECK (1U << 0)

/*
 * Other processes may join (join.h). The window lies at a place that they are likely
 * to have free, and each region has a descriptor of its own: memory of
 * VDMA_PROVIDER_HUGETLB and _ANON is that of a file without a name (memfd), shared.
 */
#define VDMA_ARENA_SHARED (1U << 1)

/*
 * Device addresses are the virtual ones, for others that take that for granted (DPDK's
 * "IOVA as VA"; dpdk.h). The window lies where IOMMUs with 39 address bits reach, or at
 * the base that is given; so there is nothing for devices with 32 bits. Memory imported
 * at a pointer alone has another device address, in the window, as in every arena. Not
 * with VDMA_ARENA_SHARED, and not in a physical arena.
 */
#define VDMA_ARENA_IDENTITY (1U << 2)

/**
 * struct vdma_arena_opts - how an arena is made
 * @size: sizeof(struct vdma_arena_opts)
 * @window: size of the window in bytes, a multiple of 1 GiB, at most 2^46.
 *          0 stands for 256 GiB, or less where the system does not allow that
 *          much address space (vdma_arena_query tells). Any other value is
 *          met or the call fails.
 * @translation: what device addresses are. A physical arena takes memory of
 *               VDMA_PROVIDER_CONTIG only, and 2 MiB of its window for each region
 *               at least
 * @flags: VDMA_ARENA_CHECK, VDMA_ARENA_SHARED, VDMA_ARENA_IDENTITY; guard and
 *         quarantines are for the first, and 0 without it
 * @guard: bytes of the gap behind each region, rounded up to whole pages, at
 *         most 1 GiB; 0 for 64 KiB
 * @quarantine: bytes of addresses of freed regions that are held back, the
 *              oldest are released first; 0 for a quarter of the window, 1 for
 *              none. They cost no memory.
 * @buf_quarantine: bytes of freed buffers that are held back; 0 for 4 MiB, 1 for
 *                  none. They stay mapped, and take memory.
 * @base: with VDMA_ARENA_SHARED: the window's first virtual address, a multiple of
 *        1 GiB, or the call fails; 0 for the library's choice, 0x400000000000 if
 *        that is free. Others, for who needs them: 0x7e8000000000 (ThreadSanitizer),
 *        0x2000000000 (Valgrind). With VDMA_ARENA_IDENTITY: the same, and so its first
 *        device address; 0 for the library's choice below 2^39
 *
 * Whatever is held back is released before a call would fail for the want of it.
 */
struct vdma_arena_opts {
	size_t size;
	size_t window;
	enum vdma_translation translation;
	uint32_t flags;
	uint32_t guard;
	uint64_t quarantine;
	uint64_t buf_quarantine;
	uintptr_t base;
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
 * @translation: LINEAR or PHYSICAL
 * @held: bytes of addresses of freed regions that are held back
 * @bufs_held: bytes of freed buffers that are held back
 * @flags: as it was made with
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
	enum vdma_translation translation;
	uint64_t held;
	uint64_t bufs_held;
	uint32_t flags;
};

/**
 * vdma_arena_create() - reserve a window
 * @opts: NULL for defaults
 * @arena: out: owned by the caller, vdma_arena_destroy() gives it back
 *
 * Return: 0, -EINVAL, -E2BIG, -ENOMEM (no address space, no memory), -EADDRINUSE (at
 * the base is something else), -EIO (a kernel without MADV_WIPEONFORK). Thread-safe.
 */
VDMA_API int vdma_arena_create(const struct vdma_arena_opts *opts, struct vdma_arena **arena);

/**
 * vdma_arena_destroy() - give the window back
 * @arena: NULL is allowed
 *
 * Return: 0; -EBUSY while a region, a buffer, an address space or an observer lives, of
 * which vdma_explain() names the first; -EIO if a chunk of buffers could not be
 * unmapped; -ECHILD; -EDEADLK (from inside of an observer). No other thread may use the
 * arena meanwhile.
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
 * Return: the device address. Thread-safe, no lock: one subtraction, and in a
 * physical arena a look at the slot's number before it.
 */
static inline vdma_iova_t vdma_iova(const struct vdma_arena *arena, const void *va)
{
	const struct vdma_window *w = (const struct vdma_window *)(const void *)arena;
	uint64_t at = (uint64_t)(uintptr_t)va;

	if (__builtin_expect(w->slots != NULL, 0))
		return at - __atomic_load_n(&w->slots[(at - w->va) >> VDMA_SLOT_SHIFT],
					    __ATOMIC_ACQUIRE);
	return at - w->delta;
}

/**
 * vdma_iova_checked() - device address of a buffer, if it lies in the window
 * @arena: the arena
 * @va: first byte
 * @len: bytes, at least 1
 *
 * A linear arena checks against the window, not against the regions in it. A
 * physical one checks that first and last byte lie in slots of one region, but not
 * against its end in the last slot.
 *
 * Return: the device address of @va, VDMA_IOVA_NONE if any of the @len bytes
 * is outside the arena. Thread-safe, no lock.
 */
static inline vdma_iova_t vdma_iova_checked(const struct vdma_arena *arena, const void *va,
					    size_t len)
{
	const struct vdma_window *w = (const struct vdma_window *)(const void *)arena;
	uintptr_t off = (uintptr_t)va - w->va, last = off + (len - 1);
	uint64_t delta;

	/* len 0 is too long, too: from off 0 its last byte is the highest there is, else it wraps. */
	if (__builtin_expect(last >= off && last < w->reach, 1))
		return (uint64_t)(uintptr_t)va - w->delta;
	if (!w->slots || last < off || last >= w->len)
		return VDMA_IOVA_NONE;
	delta = __atomic_load_n(&w->slots[off >> VDMA_SLOT_SHIFT], __ATOMIC_ACQUIRE);
	if (!delta ||
	    delta != __atomic_load_n(&w->slots[last >> VDMA_SLOT_SHIFT], __ATOMIC_ACQUIRE))
		return VDMA_IOVA_NONE;
	return (uint64_t)(uintptr_t)va - delta;
}

/**
 * vdma_iova_burst() - device addresses of many virtual addresses, unchecked
 * @arena: the arena
 * @va: @n pointers into its regions; nothing is checked
 * @iova: out: their device addresses; it overlaps neither @va nor the arena
 * @n: how many
 *
 * As vdma_iova() for each, but the arena is asked once what kind it is, so that the
 * compiler can make vector instructions of the rest. Thread-safe, no lock.
 */
static inline void vdma_iova_burst(const struct vdma_arena *arena, void *const *va,
				   vdma_iova_t *__restrict iova, size_t n)
{
	const struct vdma_window *w = (const struct vdma_window *)(const void *)arena;
	uint64_t delta = w->delta;
	size_t i;

	if (__builtin_expect(w->slots != NULL, 0)) {
		for (i = 0; i < n; i++)
			iova[i] = vdma_iova(arena, va[i]);
		return;
	}
	for (i = 0; i < n; i++)
		iova[i] = (uint64_t)(uintptr_t)va[i] - delta;
}

/**
 * vdma_va_physical() - virtual address of a physical one; vdma_va() is for all arenas
 * @arena: the arena
 * @iova: device address
 *
 * Return: the pointer, NULL if @iova is in no region. Thread-safe; it takes the
 * arena's lock, and time with the number of regions.
 */
VDMA_API void *vdma_va_physical(const struct vdma_arena *arena, vdma_iova_t iova);

/**
 * vdma_va() - virtual address of a device address
 * @arena: the arena
 * @iova: device address
 *
 * Memory that was imported at a pointer is not in the window: what comes out for it is
 * an address at which there is nothing. vdma_va_any() (import.h) finds it.
 *
 * Return: the pointer, NULL if @iova is outside the window. Thread-safe, no
 * lock; in a physical arena it is vdma_va_physical().
 */
static inline void *vdma_va(const struct vdma_arena *arena, vdma_iova_t iova)
{
	const struct vdma_window *w = (const struct vdma_window *)(const void *)arena;
	uint64_t va = iova + w->delta;

	if (__builtin_expect(va - w->va < w->reach, 1))
		return (void *)(uintptr_t)va;
	return w->slots ? vdma_va_physical(arena, iova) : NULL;
}

#ifdef __cplusplus
}
#endif

#endif
