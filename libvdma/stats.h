/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is counted beside the objects themselves, and told by probes. All
 * functions are called with the arena's lock held.
 */
#ifndef VDMA_INTERNAL_STATS_H
#define VDMA_INTERNAL_STATS_H

#include <vdma/stats.h>

struct vdma_ioas;
struct vdma_region;

struct vdma_counters {
	uint64_t regions_ever;
	uint64_t bytes_ever;
	uint64_t contig_bytes;
	uint64_t extents[VDMA_STATS_BYTES];
	struct vdma_call_stats populate;
	struct vdma_call_stats map;
	struct vdma_call_stats unmap;
};

void vdma_stats_region_created(const struct vdma_region *region);
void vdma_stats_region_destroyed(const struct vdma_region *region);

/* @err: what the call returned, @ns: how long it took. */
void vdma_stats_populated(const struct vdma_region *region, uint64_t ns, int err);
void vdma_stats_mapped(const struct vdma_ioas *ioas, const struct vdma_region *region, uint64_t ns,
		       int err);
void vdma_stats_unmapped(const struct vdma_ioas *ioas, const struct vdma_region *region,
			 uint64_t ns, int err);

#endif
