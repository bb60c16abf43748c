/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which device addresses are taken. Pure arithmetic: it knows nothing of
 * memory or devices, takes no lock and records no reasons.
 *
 * One bit for each unit of the space, and above the bits a tree of 64 branches
 * a node, one byte a node: the largest naturally aligned block that is free
 * below it. Who looks for a block reads one cache line a level, however many
 * ranges live. What is free altogether is all zeros, so a large space costs
 * the memory of what is in use.
 *
 * Usable ranges and live ranges are independent of each other: a range that
 * is live stays so when the usable ranges change.
 */
#ifndef VDMA_INTERNAL_IOVA_H
#define VDMA_INTERNAL_IOVA_H

#include <stdbool.h>
#include <vdma/types.h>

/* 64^6 units: 256 TiB of 4 KiB. */
#define VDMA_IOVA_LEVELS 6

struct vdma_iova_space {
	uint64_t base;
	uint64_t units;
	unsigned int shift; /* a unit is 1 << shift bytes */
	unsigned int levels;
	uint64_t *taken;		  /* a bit for each unit */
	uint8_t *state[VDMA_IOVA_LEVELS]; /* a byte for each node; state[0] is of the words of taken[] */
	uint64_t live;			  /* ranges */
	uint64_t used;			  /* units of them */
	struct vdma_range *usable;	  /* ascending, disjoint */
	size_t nusable;
};

struct vdma_iova_request {
	uint64_t len;	   /* at least 1; in whole units */
	uint64_t align;	   /* a power of two; 0 for none */
	uint64_t boundary; /* a power of two, no multiple of which is crossed; 0 for none */
	uint64_t limit;	   /* the last byte is not above it */
	bool bottom_up;	   /* towards the lowest address that fits, else the highest */
	bool blocks_only;  /* not all gaps, if no block of its own size has room */
};

/* Bytes that a space of @len bytes needs for its tree; 0 if it has more units than a tree. */
size_t vdma_iova_memory(uint64_t len, unsigned int shift);

/*
 * A space of the addresses from @base to @base + @len - 1, none of them usable
 * yet. @base and @len are multiples of 1 << @shift; @base + @len may be 2^64.
 * @memory: that many bytes, zeroed and aligned to 8, the caller's; only what is
 * in use of it is written.
 */
void vdma_iova_init(struct vdma_iova_space *space, uint64_t base, uint64_t len, unsigned int shift,
		    void *memory);
void vdma_iova_fini(struct vdma_iova_space *space);

/* -ENOMEM; @ranges ascending and disjoint. Parts of units are not usable. */
int vdma_iova_set_usable(struct vdma_iova_space *space, const struct vdma_range *ranges, size_t n);

/*
 * -ENOSPC: nothing fits, anywhere. Blocks aligned to their size are tried
 * first, which takes the same time however many ranges live; then all gaps.
 */
int vdma_iova_alloc(struct vdma_iova_space *space, const struct vdma_iova_request *req,
		    uint64_t *iova);

/* -EINVAL, and nothing has changed, unless all of it is taken. */
int vdma_iova_free(struct vdma_iova_space *space, uint64_t iova, uint64_t len);

/* Is nothing of it taken? Whether it is usable does not matter. */
bool vdma_iova_is_free(const struct vdma_iova_space *space, uint64_t iova, uint64_t len);

/* Is the unit at @iova, which is in the space, taken? The run of such units around it. */
bool vdma_iova_run(const struct vdma_iova_space *space, uint64_t iova, struct vdma_range *run);

uint64_t vdma_iova_usable(const struct vdma_iova_space *space);

/* Longest free run whose last byte is not above @limit. */
uint64_t vdma_iova_largest(const struct vdma_iova_space *space, uint64_t limit);

/* Is that range inside one of @ranges? */
bool vdma_iova_inside(const struct vdma_range *ranges, size_t n, uint64_t first, uint64_t last);

/*
 * What is in @a and in @b, into @out, which has room for @na + @nb ranges and
 * is none of both. Returns how many.
 */
size_t vdma_iova_intersect(const struct vdma_range *a, size_t na, const struct vdma_range *b,
			   size_t nb, struct vdma_range *out);

#endif
