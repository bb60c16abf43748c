/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who has a device address, or had it: what vdma_explain_iova() is made of, and
 * the owners of buffers that an arena knows if it checks.
 */
#ifndef VDMA_INTERNAL_OWNER_H
#define VDMA_INTERNAL_OWNER_H

#include <vdma/owner.h>

#include "arena.h"

/* A buffer lives. Explained on failure. With arena->buf_lock held, as the next. */
int vdma_owner_add(struct vdma_arena *arena, vdma_iova_t iova, uint64_t len, const void *pc);

/* Is there one that is exactly this? */
bool vdma_owner_has(struct vdma_arena *arena, vdma_iova_t iova, uint64_t len);

/* No more; false if there is none that is exactly this. */
bool vdma_owner_remove(struct vdma_arena *arena, vdma_iova_t iova, uint64_t len,
		       struct vdma_record *record);

/* All of @info but its size. Without any lock. */
void vdma_owner_look(struct vdma_arena *arena, vdma_iova_t iova, struct vdma_iova_info *info);

/* What still lives, a line each that begins with a newline; the first few, and how many more. */
void vdma_owner_leaks(struct vdma_arena *arena, char *buf, size_t size);

#endif
