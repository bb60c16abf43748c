/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who is told of each region of an arena as it comes and goes: for adapters that
 * mirror its memory into another system (DPDK's heaps, RDMA, a GPU's runtime).
 *
 *	static int added(void *ctx, struct vdma_region *region)
 *	{
 *		struct vdma_region_info info = { .size = sizeof(info) };
 *		struct vdma_buf buf = vdma_region_buf(region);
 *
 *		vdma_region_query(region, &info);
 *		return mirror_add(ctx, buf.va, buf.iova, buf.len, info.granule);
 *	}
 *
 *	static const struct vdma_observer_ops ops = {
 *		.size = sizeof(ops),
 *		.added = added,
 *		.removed = removed,
 *	};
 *	vdma_observer_add(arena, &ops, mirror, &observer);
 *
 * Buffers lie in regions, too (chunks), of which observers are told like of any
 * other; not of each buffer. Nor are they told of memory at a pointer
 * (vdma_region_import_user()): it is the program's own, which it can mirror itself.
 * What holds for the calls:
 *
 * - `added` is called when the region is mapped for all devices, and before
 *   anybody has it: before vdma_region_create() or the first vdma_buf_alloc() out
 *   of it returns. `removed` is called while it still is mapped, and nobody's any
 *   more.
 * - They are made one at a time in each arena, by the thread whose call creates or
 *   destroys the region, in the order in which observers were added; `removed` in the
 *   reverse order. No call comes for an observer after vdma_observer_remove().
 * - The bytes are not the observer's: under AddressSanitizer and Valgrind those of a chunk
 *   are out of bounds, but for its buffers.
 * - Each region is told of by one `added` and later one `removed`, also where
 *   something fails in between.
 * - Meanwhile other threads wait that get or give back buffers, that have a region to
 *   tell of, or, if the arena is shared, a device. An observer may translate, and ask
 *   anything: of regions, buffers, address spaces, devices, the arena. What creates or
 *   destroys regions, buffers, address spaces or observers of the same arena is refused
 *   with EDEADLK. It must not wait for a thread that does.
 * - A part of a BAR (vdma_region_import_bar()) whose device goes is mapped for nobody from
 *   then on, and 0xff bytes; `removed` comes when the region is destroyed.
 */
#ifndef VDMA_OBSERVER_H
#define VDMA_OBSERVER_H

#include <vdma/arena.h>
#include <vdma/region.h>
#include <vdma/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One who is told. */
struct vdma_observer;

/**
 * struct vdma_observer_ops - what is called
 * @size: sizeof(struct vdma_observer_ops)
 * @added: there is a region. vdma_region_buf() and vdma_region_query() tell what it
 *         is. Anything but 0 refuses it, best a negative errno: then it is not
 *         created, those who were told of it are told that it is removed, and the
 *         call that wanted it fails with ECANCELED (vdma_last_failure()->sys_errno
 *         has what was returned). In an arena with VDMA_ARENA_CHECK its addresses are
 *         held back as those of a region that was destroyed. NULL: not called
 * @removed: there will not be that region any more; its memory is there until this
 *           returns. NULL: not called
 */
struct vdma_observer_ops {
	size_t size;
	int (*added)(void *ctx, struct vdma_region *region);
	void (*removed)(void *ctx, struct vdma_region *region);
};

/**
 * vdma_observer_add() - be told of an arena's regions
 * @arena: the arena
 * @ops: what is called; copied
 * @ctx: passed to the calls
 * @observer: out: owned by the caller, vdma_observer_remove() gives it back
 *
 * Calls @added for the regions that there are, the oldest first: none is missed,
 * none is told twice. If one is refused, @removed is called for those before it.
 *
 * Return: 0, -EINVAL, -E2BIG, -ENOMEM, -ECANCELED (@added refused a region),
 * -EDEADLK (from inside of an observer), -ECHILD. Thread-safe.
 */
VDMA_API int vdma_observer_add(struct vdma_arena *arena, const struct vdma_observer_ops *ops,
			       void *ctx, struct vdma_observer **observer);

/**
 * vdma_observer_remove() - be told no more
 * @observer: NULL is allowed
 *
 * Calls its @removed for the regions that there are, the newest first, so that what it
 * mirrors is empty afterwards. An arena with observers cannot be destroyed.
 *
 * Return: 0, -ENOMEM (nothing has changed), -EDEADLK, -ECHILD. Thread-safe.
 */
VDMA_API int vdma_observer_remove(struct vdma_observer *observer);

#ifdef __cplusplus
}
#endif

#endif
