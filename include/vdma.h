/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libvdma: DMA memory for userspace drivers. This header includes all others;
 * each of them can also be included alone.
 *
 *	struct vdma_arena *arena;
 *	struct vdma_ioas *ioas;
 *	struct vdma_device *dev;
 *	struct vdma_region *region;
 *
 *	if (vdma_arena_create(NULL, &arena) ||
 *	    vdma_ioas_create(arena, NULL, &ioas) ||
 *	    vdma_device_open(ioas, "0000:00:10.0", NULL, &dev) ||
 *	    vdma_region_create(arena, 64 << 20, NULL, &region)) {
 *		fprintf(stderr, "%s\n", vdma_explain());
 *		return 1;
 *	}
 *	struct vdma_buf buf = vdma_region_buf(region);
 *	// buf.va for the CPU, buf.iova for the device
 *
 * Objects are destroyed in the reverse order; a parent that still has
 * children answers -EBUSY.
 *
 * Every function that can fail returns 0 or a negative errno (docs/errors.md
 * gives each errno its one meaning) and leaves its result arguments untouched
 * on failure. vdma_explain() tells cause and remedy in words. Options structs
 * begin with their own size, NULL stands for all defaults.
 *
 * The library prints nothing, ends nothing, starts no thread and has no
 * constructor. Its descriptors are close-on-exec. After fork the child owns
 * none of these objects: region memory is not inherited, and every call with
 * its parent's fails with ECHILD, but for those that only compute: translation,
 * vdma_region_buf() and vdma_region_slice(). A child that needs the library
 * creates an arena of its own.
 */
#ifndef VDMA_H
#define VDMA_H

#include <vdma/arena.h>
#include <vdma/barrier.h>
#include <vdma/buf.h>
#include <vdma/constraints.h>
#include <vdma/device.h>
#include <vdma/dpdk.h>
#include <vdma/explain.h>
#include <vdma/heap.h>
#include <vdma/import.h>
#include <vdma/ioas.h>
#include <vdma/join.h>
#include <vdma/mmap.h>
#include <vdma/mmio.h>
#include <vdma/observer.h>
#include <vdma/owner.h>
#include <vdma/pci.h>
#include <vdma/pool.h>
#include <vdma/region.h>
#include <vdma/removal.h>
#include <vdma/ring.h>
#include <vdma/stats.h>
#include <vdma/typed_mem.h>
#include <vdma/types.h>

#endif
