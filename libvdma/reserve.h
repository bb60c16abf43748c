/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reserved virtual addresses: a range that nobody else's mmap can fall into,
 * and memory laid over parts of it.
 */
#ifndef VDMA_INTERNAL_RESERVE_H
#define VDMA_INTERNAL_RESERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* @len bytes at a multiple of @align; or -errno. */
int vdma_reserve_create(size_t len, size_t align, uintptr_t *va);
/* There and nowhere else; -EEXIST if something is mapped there. */
int vdma_reserve_at(uintptr_t va, size_t len);
void vdma_reserve_destroy(uintptr_t va, size_t len);

/*
 * Lays a mapping over a reserved part. If that fails, the part is reserved
 * again, or *@lost is set: a mapping of somebody else has got in, and the part
 * must never be used again.
 */
int vdma_reserve_fill(void *va, size_t len, int flags, int fd, bool *lost);

/* The same for a part of a file, and not always to be written. */
int vdma_reserve_fill_at(void *va, size_t len, int prot, int flags, int fd, uint64_t offset,
			 bool *lost);

/*
 * The same with memory that has a file, which others can map: *@fd is the caller's.
 * @huge_shift: log2 of the hugetlb page, 0 for ordinary ones.
 */
int vdma_reserve_fill_shared(void *va, size_t len, unsigned int huge_shift, int *fd, bool *lost);

/* Replaces what was laid over by a reservation, in one step. */
int vdma_reserve_restore(void *va, size_t len);

#endif
