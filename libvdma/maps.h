/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What this process has mapped where, as /proc/self/maps says.
 */
#ifndef VDMA_INTERNAL_MAPS_H
#define VDMA_INTERNAL_MAPS_H

#include <stddef.h>
#include <stdint.h>

struct vdma_map {
	uintptr_t first, end;
	char prot[5]; /* "rw-p" */
	unsigned long inode;
	char name[128]; /* a path, [stack] or the like; cut; "" if there is none */
};

/* The first mapping that has a byte of these; -ENOENT if there is none. */
int vdma_maps_find(uintptr_t va, size_t len, struct vdma_map *map);

#endif
