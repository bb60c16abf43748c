/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NUMA nodes, for memory that the kernel would have anywhere. A node is
 * written as in struct vdma_constraints: its number and one.
 */
#ifndef VDMA_INTERNAL_NODE_H
#define VDMA_INTERNAL_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Is it there, with memory? Explained. */
int vdma_node_check(uint32_t node);

/*
 * Before it is populated: pages come from the node, or not at all. For ordinary pages
 * (@pages): refused if they look too many, for the kernel would kill to get them.
 * Explained.
 */
int vdma_node_bind(void *va, size_t len, uint32_t node, bool pages);

/* After that: do all pages, a granule each, lie there? Explained. */
int vdma_node_verify(void *va, size_t len, size_t granule, uint32_t node);

#endif
