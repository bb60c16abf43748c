// SPDX-License-Identifier: BSD-3-Clause
/*
 * Rings of descriptors: their memory. All else is inline.
 */
#include <string.h>
#include <vdma/ring.h>

#include "buf.h"
#include "explain.h"
#include "opts.h"

#define MAX_COUNT (UINT32_C(1) << 31)
#define DEFAULT_ALIGN 4096

static int check(size_t entry, uint32_t count, uint32_t gap)
{
	if (entry && entry <= UINT32_MAX && count && count <= MAX_COUNT && gap < count)
		return 0;
	return vdma_fail(
		VDMA_CAUSE_ARGUMENT, &(struct vdma_facts){ .need = count, .limit = MAX_COUNT },
		"There is no ring of %u entries of %zu bytes with a gap of %u: it has 1 to 2^31 "
		"entries of 1 byte to 4 GiB, and the gap is less than that.",
		count, entry, gap);
}

int vdma_ring_init(const struct vdma_buf *buf, size_t entry, uint32_t count, uint32_t gap,
		   struct vdma_ring *ring)
{
	int err;

	if (!buf || !ring)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "An argument is NULL.");
	err = check(entry, count, gap);
	if (err)
		return err;
	if (buf->len / entry < count)
		return vdma_fail(VDMA_CAUSE_ARGUMENT,
				 &(struct vdma_facts){ .need = entry * count, .limit = buf->len },
				 "%u entries of %zu bytes do not fit into a buffer of %zu bytes.",
				 count, entry, buf->len);
	*ring = (struct vdma_ring){
		.buf = *buf,
		.entry = (uint32_t)entry,
		.count = count,
		.room = count - gap,
	};
	return 0;
}

int vdma_ring_create(struct vdma_arena *arena, size_t entry, uint32_t count,
		     const struct vdma_ring_opts *opts, struct vdma_ring *ring)
{
	const void *pc = __builtin_return_address(0);
	struct vdma_buf_opts mem;
	struct vdma_ring_opts o;
	struct vdma_buf buf;
	int err;

	if (!ring)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "An argument is NULL.");
	err = vdma_opts_get(&o, sizeof(o), opts, sizeof(o));
	if (!err)
		err = vdma_opts_get(&mem, sizeof(mem), o.buf, sizeof(size_t));
	if (!err)
		err = check(entry, count, o.gap);
	if (err)
		return err;
	mem.size = sizeof(mem);
	mem.flags |= VDMA_BUF_ZERO;
	if (!o.buf)
		mem.align = DEFAULT_ALIGN;
	err = vdma_buf_make(arena, entry * count, &mem, pc, &buf);
	if (err)
		return err;
	vdma_ring_init(&buf, entry, count, o.gap, ring);
	ring->arena = arena;
	return 0;
}

int vdma_ring_destroy(struct vdma_ring *ring)
{
	const void *pc = __builtin_return_address(0);
	int err;

	if (!ring || !ring->arena)
		return 0;
	err = vdma_buf_drop(ring->arena, &ring->buf, pc);
	if (!err)
		ring->arena = NULL;
	return err;
}
