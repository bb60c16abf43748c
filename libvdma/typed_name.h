/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names of typed memory objects, as <vdma/typed_mem.h> explains them. Arithmetic
 * on strings: whether a node exists is not known here.
 */
#ifndef VDMA_INTERNAL_TYPED_NAME_H
#define VDMA_INTERNAL_TYPED_NAME_H

#include <stdint.h>

struct vdma_typed_pool {
	uint64_t phys_max; /* UINT64_MAX: no limit */
	int node;	   /* -1: any */
};

/* 0, -ENOENT or -ENAMETOOLONG. */
int vdma_typed_name_parse(const char *name, struct vdma_typed_pool *pool);

#endif
