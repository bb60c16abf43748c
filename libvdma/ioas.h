/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Address spaces towards regions and devices. All functions are called with
 * the arena's lock held, and explain their failures.
 */
#ifndef VDMA_INTERNAL_IOAS_H
#define VDMA_INTERNAL_IOAS_H

#include <stdbool.h>
#include <sys/queue.h>
#include <vdma/ioas.h>

#include "arena.h"
#include "backend.h"
#include "host.h"

struct vdma_device;
struct vdma_function;

struct vdma_ioas {
	struct vdma_arena *arena;
	const struct vdma_backend_ops *ops;
	struct vdma_space *space;
	const char *reason; /* why this backend */
	unsigned int slot;  /* in arena->ioas, and bit in region->mapped */
	LIST_HEAD(, vdma_device) devices;
	unsigned int ndevices;
	LIST_HEAD(, vdma_function) functions; /* hold.c's */

	/* While a device is attached: */
	struct vdma_range *ranges;
	size_t nranges;
	uint64_t page_sizes;
	uint64_t entries_used;
	uint64_t bytes; /* of what is mapped, or held */
};

/* The device's descriptor; all regions are mapped. @group: -1 for none. */
int vdma_ioas_attach(struct vdma_ioas *ioas, const struct vdma_bdf *bdf, int group);

/* @silent: the device is known to do no more DMA. */
void vdma_ioas_detach(struct vdma_ioas *ioas, const struct vdma_bdf *bdf, int group, int fd,
		      bool silent);

/* Is there an IOMMU between its devices and memory? */
bool vdma_ioas_translates(const struct vdma_ioas *ioas);

/* Would a region of @bytes more be refused by one of the attached spaces? */
int vdma_ioas_room_all(struct vdma_arena *arena, uint64_t bytes);

/* Into all attached spaces, or, on failure, into none. */
int vdma_ioas_map_all(struct vdma_region *region);

/* What could not be unmapped stays marked in region->mapped. */
int vdma_ioas_unmap_all(struct vdma_region *region);

#endif
