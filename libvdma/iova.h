/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which device addresses are taken. Pure arithmetic over ranges: it knows
 * nothing of memory or devices, takes no lock and records no reasons.
 *
 * Usable ranges and live ranges are independent of each other: a range that
 * is live stays so when the usable ranges change.
 */
#ifndef VDMA_INTERNAL_IOVA_H
#define VDMA_INTERNAL_IOVA_H

#include <stdbool.h>
#include <vdma/types.h>

struct vdma_iova_space {
	struct vdma_range *usable; /* ascending, disjoint */
	size_t nusable;
	struct vdma_range *live; /* ascending, disjoint */
	size_t nlive;
	size_t room; /* of live[] */
};

struct vdma_iova_request {
	uint64_t len;	/* at least 1 */
	uint64_t align; /* a power of two */
	uint64_t limit; /* the last byte is not above it */
	bool bottom_up; /* lowest address that fits, else the highest */
};

/* A zeroed struct is an empty space. */
void vdma_iova_fini(struct vdma_iova_space *space);

/* -ENOMEM; @ranges ascending and disjoint. */
int vdma_iova_set_usable(struct vdma_iova_space *space, const struct vdma_range *ranges, size_t n);

/* -ENOSPC: nothing fits. -ENOMEM: no bookkeeping memory. */
int vdma_iova_alloc(struct vdma_iova_space *space, const struct vdma_iova_request *req,
		    uint64_t *iova);

/* @iova came from vdma_iova_alloc(). */
void vdma_iova_free(struct vdma_iova_space *space, uint64_t iova);

/* The first live range that is not inside one of @ranges; NULL if all are. */
const struct vdma_range *vdma_iova_outside(const struct vdma_iova_space *space,
					   const struct vdma_range *ranges, size_t n);

uint64_t vdma_iova_usable(const struct vdma_iova_space *space);

/* Longest free run whose last byte is not above @limit. */
uint64_t vdma_iova_largest(const struct vdma_iova_space *space, uint64_t limit);

/*
 * What is in @a and in @b, into @out, which has room for @na + @nb ranges and
 * is none of both. Returns how many.
 */
size_t vdma_iova_intersect(const struct vdma_range *a, size_t na, const struct vdma_range *b,
			   size_t nb, struct vdma_range *out);

#endif
