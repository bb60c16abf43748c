/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Structs that begin with their own size and grow at their end, between a
 * caller and a library of different ages.
 */
#ifndef VDMA_INTERNAL_OPTS_H
#define VDMA_INTERNAL_OPTS_H

#include <stddef.h>
#include <vdma/types.h>

/*
 * The caller's options into ours of @size bytes. What the caller's struct
 * lacks is zero, and so must be what ours lacks. @min: size of the first
 * released struct.
 */
VDMA_API int vdma_opts_get(void *ours, size_t size, const void *theirs, size_t min);

/* The size of a struct whose last member this was. */
#define VDMA_UP_TO(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))

/* Is the caller's info struct at least @min bytes? */
VDMA_API int vdma_info_check(const void *theirs, size_t min);

/* Our info into the caller's, as much as fits; its size stays. */
VDMA_API void vdma_info_put(void *theirs, const void *ours, size_t size);

#endif
