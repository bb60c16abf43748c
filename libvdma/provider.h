/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where memory comes from. A provider lays populated memory over reserved
 * virtual addresses; it knows nothing of device addresses.
 */
#ifndef VDMA_INTERNAL_PROVIDER_H
#define VDMA_INTERNAL_PROVIDER_H

#include <stdbool.h>
#include <vdma/region.h>

#include "host.h"

/* What the memory has to be like; 0 stands for anything. */
struct vdma_want {
	size_t page_size;
	uint64_t phys_max; /* the highest physical address */
};

struct vdma_memory {
	vdma_pa_t pa;	  /* VDMA_PA_NONE if not known, or not one run */
	uint32_t extents; /* 0 if not known */
	uint64_t granule;
	int32_t node; /* -1 if not known */
	bool lost;    /* after a failure: see vdma_reserve_fill() */
};

struct vdma_provider_ops {
	const char *name;

	/*
	 * Unit of length and alignment for the caller's page size, 0 for the
	 * default. Explained on failure.
	 */
	int (*unit)(size_t page_size, size_t *unit);

	/*
	 * @va and @len are multiples of the unit. On failure, which is
	 * explained, the reservation is back unless @mem->lost.
	 */
	int (*populate)(void *va, size_t len, const struct vdma_want *want,
			struct vdma_memory *mem);

	/*
	 * Ties memory to a device without an IOMMU, or unties it. Explained. NULL if
	 * the memory cannot be: it may move, or go while the device still writes.
	 */
	int (*hold)(void *va, const struct vdma_bdf *bdf, bool on);
};

extern const struct vdma_provider_ops vdma_provider_contig;
extern const struct vdma_provider_ops vdma_provider_hugetlb;
extern const struct vdma_provider_ops vdma_provider_anon;

#endif
