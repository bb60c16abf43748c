/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What buffers are cut out of; shared by buf, owner, stats and dump. All of it is guarded by
 * arena->buf_lock.
 */
#ifndef VDMA_INTERNAL_BUF_H
#define VDMA_INTERNAL_BUF_H

#include <stdbool.h>
#include <sys/queue.h>
#include <vdma/buf.h>

#include "iova.h"
#include "quarantine.h"

/* Buffers are cut in units of 64 bytes. */
#define VDMA_BUF_UNIT_SHIFT 6

static inline uint64_t vdma_buf_whole_units(uint64_t len)
{
	return (len + (1 << VDMA_BUF_UNIT_SHIFT) - 1) >> VDMA_BUF_UNIT_SHIFT << VDMA_BUF_UNIT_SHIFT;
}

struct vdma_chunk {
	LIST_ENTRY(vdma_chunk) link;
	struct vdma_region *region;
	struct vdma_iova_space space;
	void *tree; /* the space's memory */
	/* A bit for each unit: the first, and the last one of a buffer. */
	uint64_t *starts, *ends;
	uint64_t held; /* buffers that were freed, but are still taken */
	/*
	 * What it was made for: buffers without a limit keep off those below one, and those
	 * for any node off those of one.
	 */
	uint32_t address_bits;
	uint32_t node;
	enum vdma_contiguity contiguity;
	bool stuck; /* could not be destroyed; so it may be unmapped, and is no good */
};

/* vdma_buf_alloc() and vdma_buf_free() for the caller at @pc. */
int vdma_buf_make(struct vdma_arena *arena, size_t len, const struct vdma_buf_opts *opts,
		  const void *pc, struct vdma_buf *buf);
int vdma_buf_drop(struct vdma_arena *arena, const struct vdma_buf *buf, const void *pc);

/* The chunk that has this address, or NULL. */
struct vdma_chunk *vdma_chunk_of(const struct vdma_arena *arena, vdma_iova_t iova);

/*
 * The whole units of the buffer that has @iova, which lies in the chunk: live, or
 * held back. False if there is none, and @range is the gap.
 */
bool vdma_chunk_look(const struct vdma_chunk *chunk, vdma_iova_t iova, struct vdma_range *range);

/* A buffer is no longer held back; @ctx is the arena. */
void vdma_buf_release(void *ctx, const struct vdma_record *record);

#endif
