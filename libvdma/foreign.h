/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that stays at its owner's virtual address, vdma_region_import_user(). What
 * the caller gets is a view. It lies in a region of whole pages that the library
 * makes, and several views may lie in one.
 */
#ifndef VDMA_INTERNAL_FOREIGN_H
#define VDMA_INTERNAL_FOREIGN_H

struct vdma_arena;
struct vdma_region;

/* Of a view; explained, and it can be repeated. The arena is locked. free() is the caller's. */
int vdma_foreign_drop(struct vdma_region *view, const void *pc);

/* A view that @va lies in, or NULL. The arena is locked. */
struct vdma_region *vdma_foreign_find(const struct vdma_arena *arena, const void *va);

/* There is no view any more. */
void vdma_foreign_destroy(struct vdma_arena *arena);

#endif
