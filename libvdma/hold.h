/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where no IOMMU translates, memory is tied to the devices of an address space
 * instead of mapped for them: the module stops a device before it frees memory that
 * the device was told of, however the process ends. The arena is locked.
 */
#ifndef VDMA_INTERNAL_HOLD_H
#define VDMA_INTERNAL_HOLD_H

#include "ioas.h"

struct vdma_region;

/* A device of the address space. */
struct vdma_function {
	LIST_ENTRY(vdma_function) link;
	struct vdma_bdf bdf;
};

/*
 * One region for all devices, or for none; and the other way round. Tied once more, or
 * untied, is as good: a call that failed can be repeated.
 */
int vdma_hold_region(struct vdma_ioas *ioas, struct vdma_region *region);
int vdma_release_region(struct vdma_ioas *ioas, struct vdma_region *region);

/* All regions for a device that comes; none of them on failure. */
int vdma_hold_all(struct vdma_ioas *ioas, const struct vdma_bdf *bdf);

/*
 * For one that goes. If it is not known to be @silent, it stays tied: the module
 * will make sure of it before the memory goes.
 */
void vdma_release_all(struct vdma_ioas *ioas, const struct vdma_bdf *bdf, bool silent);

#endif
