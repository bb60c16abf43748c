/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that was there before, from other files' point of view.
 */
#ifndef VDMA_INTERNAL_IMPORT_H
#define VDMA_INTERNAL_IMPORT_H

#include <vdma/import.h>

struct vdma_device;

/* What all imports may not be. Explained. */
int vdma_import_check(struct vdma_arena *arena, const struct vdma_import_opts *opts,
		      struct vdma_region_opts *o);

/*
 * The device goes: regions that are parts of its BARs are unmapped for devices, and 0xff
 * bytes for the program. Explained.
 */
int vdma_import_let_go(struct vdma_device *dev);

#endif
