/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a region is made of; shared by region and ioas.
 */
#ifndef VDMA_INTERNAL_REGION_H
#define VDMA_INTERNAL_REGION_H

#include <sys/queue.h>
#include <vdma/region.h>

#include "constraints.h"
#include "provider.h"
#include "site.h"

struct vdma_region {
	LIST_ENTRY(vdma_region) link;
	struct vdma_arena *arena;
	struct vdma_buf buf;
	uint64_t place; /* in the space of the arena, and how much of it */
	uint64_t room;
	enum vdma_provider provider;
	const struct vdma_provider_ops *ops;
	enum vdma_access access;
	struct vdma_memory memory;
	struct vdma_why why; /* it is not as preferred */
	uint64_t populate_ns;
	struct vdma_site born;
	bool chunk;	   /* buffers are cut out of it */
	const void *freer; /* of one that buffers, or a pool's, lie in: who gives it back */

	/* Of memory that was there before, import.c and foreign.c: */
	int fd;
	uint64_t offset;
	uint64_t skew;	     /* of its device address from the place, lest it leave 2 MiB pages */
	unsigned int *users; /* the device's count of imports of its BARs */
	bool view;	     /* what the caller has of a user's memory; not in the arena's list */
	bool claimed;	     /* a view: its pages are */
	struct vdma_region *base;     /* a view: the region that its device address lies in */
	LIST_ENTRY(vdma_region) idle; /* claimed by nobody any more */
	uint32_t claims;
	uint16_t tag; /* of its entries in the table */

	/* Guarded by the arena's lock: */
	bool named;	 /* those it is for, by the caller */
	uint64_t spaces; /* bit n: for arena->ioas[n]; all bits if they are not named */
	uint64_t mapped; /* bit n: in arena->ioas[n] */
	uint64_t map_ns;
	bool gone;     /* the device whose BAR it was: it is mapped no more */
	bool observed; /* see observer.h */
};

/* Bytes of the pages, each a run, that a provider's memory is built of; 0: it is one run. */
size_t vdma_region_granule(enum vdma_provider provider, size_t page_size);

/* What vdma_region_query() tells, of a region of ours, into a caller's @info. Explained. */
int vdma_region_tell(struct vdma_region *region, struct vdma_region_info *info);

/*
 * vdma_region_create() for the caller at @pc, so that what is built on regions is not
 * said to have asked for them itself. Of a @chunk the lock of buffers is held,
 * and is when it is destroyed.
 */
int vdma_region_make(struct vdma_arena *arena, size_t len, const struct vdma_region_opts *opts,
		     bool chunk, const void *pc, struct vdma_region **out);

/* More @len than the arena's window has. Explained. */
int vdma_region_over_window(const struct vdma_arena *arena, size_t len);

/* The struct, and its memory's descriptor. */
void vdma_region_free(struct vdma_region *region);

/* What of a region is locked for each address space. */
static inline uint64_t vdma_region_locked(const struct vdma_region *region)
{
	return region->ops->io ? 0 : region->buf.len;
}

/* A region for all address spaces, without memory; NULL if there is none for it. @pc: who asks. */
struct vdma_region *vdma_region_new(struct vdma_arena *arena, enum vdma_access access,
				    const void *pc);

/* What memory it will get: @len bytes, whole pages of the provider. */
void vdma_region_shape(struct vdma_region *region, enum vdma_provider provider,
		       const struct vdma_provider_ops *ops, size_t len);

/*
 * Gets its memory, address, a multiple of @unit at least, and mappings; the arena is
 * locked. free() is the caller's, on failure as well.
 */
int vdma_region_build(struct vdma_region *region, size_t unit, size_t page_size,
		      const struct vdma_constraints *c);

/*
 * Tells those who observe of one that was built; the arena is not locked. If they refuse,
 * it is torn down; free() is the caller's.
 */
int vdma_region_announce(struct vdma_region *region);

/* The way back: unmapped, its addresses free. Explained; it can be repeated. */
int vdma_region_tear(struct vdma_region *region, const void *pc);

#endif
