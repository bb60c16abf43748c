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
	unsigned int ngone; /* devices that were let go, and not closed yet */
	unsigned int named; /* by so many regions, which are not mapped everywhere */
	LIST_HEAD(, vdma_function) functions; /* hold.c's */

	/* While a device is attached: */
	struct vdma_range *ranges;
	size_t nranges;
	uint64_t page_sizes;
	uint64_t entries_used;
	uint64_t bytes; /* of what is mapped, or held */
};

/* The device's descriptor; all its regions are mapped. @group: -1 for none, @token: NULL. */
int vdma_ioas_attach(struct vdma_ioas *ioas, const struct vdma_bdf *bdf, int group,
		     const struct vdma_token *token);

/* @silent: the device is known to do no more DMA. */
void vdma_ioas_detach(struct vdma_ioas *ioas, const struct vdma_bdf *bdf, int group, int fd,
		      bool silent);

/* Is there an IOMMU between its devices and memory? */
bool vdma_ioas_translates(const struct vdma_ioas *ioas);

/* The descriptor of a group in one of the arena's containers, or -ENOENT. */
int vdma_ioas_group_fd(const struct vdma_arena *arena, int group);

/*
 * A region's spaces by the caller's words; none: all that there are and will be. They
 * know then that they are named. And they no longer are.
 */
int vdma_ioas_name(struct vdma_region *region, struct vdma_ioas *const *ioas, size_t n);
void vdma_ioas_unname(struct vdma_region *region);

/* Would the region be refused by one of its spaces that are attached? */
int vdma_ioas_room_all(const struct vdma_region *region);

/* Into all of its spaces that are attached, or, on failure, into none. */
int vdma_ioas_map_all(struct vdma_region *region);

/* What could not be unmapped stays marked in region->mapped. */
int vdma_ioas_unmap_all(struct vdma_region *region);

#endif
