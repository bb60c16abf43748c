/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where memory comes from. A provider lays populated memory over reserved
 * virtual addresses; it knows nothing of device addresses.
 */
#ifndef VDMA_INTERNAL_PROVIDER_H
#define VDMA_INTERNAL_PROVIDER_H

#include <stdbool.h>
#include <vdma/constraints.h>
#include <vdma/region.h>

#include "host.h"

/* What the memory has to be like; 0 stands for anything. */
struct vdma_want {
	size_t page_size;
	uint32_t node;	   /* as in struct vdma_constraints */
	uint64_t phys_max; /* the highest physical address */
	/* Of physical addresses, for who gives one run: */
	uint64_t align;
	uint64_t boundary;
	bool share; /* memory that has a descriptor, for other processes */

	/* Of memory that is there already: */
	int fd; /* the file, and where in it */
	uint64_t offset;
	enum vdma_access access; /* what devices will do with it */
};

struct vdma_memory {
	vdma_pa_t pa;	  /* VDMA_PA_NONE if not known, or not one run */
	uint32_t extents; /* 0 if not known */
	uint64_t granule; /* at least; the provider's to set */
	int32_t node;	  /* -1 if not known */
	int fd;		  /* if it is to be shared; else -1. Whoever has this closes it. */
	bool lost;	  /* after a failure: see vdma_reserve_fill() */
};

struct vdma_provider_ops {
	const char *name;

	/* Memory stays at its owner's virtual address: it is not laid into the window. */
	bool stays;
	/* It is no RAM: nobody counts it as locked. */
	bool io;

	/*
	 * Unit of length and alignment for the caller's page size, 0 for the
	 * default. Explained on failure. NULL for memory that is there already.
	 */
	int (*unit)(size_t page_size, size_t *unit);

	/*
	 * Bytes of the pages that its memory is built of at least, each a run; NULL
	 * if all of it is one run.
	 */
	size_t (*granule)(size_t page_size);

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
extern const struct vdma_provider_ops vdma_provider_memfd;
/* Of memory that is there already: */
extern const struct vdma_provider_ops vdma_provider_file;
extern const struct vdma_provider_ops vdma_provider_bar;
extern const struct vdma_provider_ops vdma_provider_user;

/* @len bytes of hugetlb pages of @unit bytes, of that node, could not be had; explained. */
int vdma_provider_no_hugetlb(int err, size_t len, size_t unit, uint32_t node);

#endif
