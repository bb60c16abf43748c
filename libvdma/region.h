/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a region is made of; shared by region and ioas.
 */
#ifndef VDMA_INTERNAL_REGION_H
#define VDMA_INTERNAL_REGION_H

#include <sys/queue.h>
#include <vdma/region.h>

#include "provider.h"
#include "site.h"

struct vdma_region {
	LIST_ENTRY(vdma_region) link;
	struct vdma_arena *arena;
	struct vdma_buf buf;
	uint64_t place; /* offset in the window, and how much of it */
	uint64_t room;
	enum vdma_provider provider;
	const struct vdma_provider_ops *ops;
	enum vdma_access access;
	struct vdma_memory memory;
	uint64_t populate_ns;
	struct vdma_site born;
	bool chunk;	   /* buffers are cut out of it */
	const void *freer; /* of a chunk: who gives it back */

	/* Guarded by the arena's lock: */
	uint64_t mapped; /* bit n: in arena->ioas[n] */
	uint64_t map_ns;
};

#endif
