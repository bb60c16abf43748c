/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What memory must be like for those who use it: one struct for regions and
 * buffers. A driver writes down once what its device needs, and passes it
 * wherever it allocates; what is 0 is no constraint.
 *
 *	static const struct vdma_constraints ring = {
 *		.size = sizeof(ring),
 *		.address_bits = 32,
 *		.boundary = 65536,
 *		.node = VDMA_NODE(1),
 *	};
 *	struct vdma_buf_opts opts = { .size = sizeof(opts), .constraints = &ring };
 *
 *	vdma_buf_alloc(arena, 4096, &opts, &buf);
 *
 * All of them are met, or the call fails and vdma_explain() tells which could
 * not be, and how near it came. Contiguity alone may be a wish:
 * vdma_region_query() and vdma_buf_query() tell what became of it, and why.
 */
#ifndef VDMA_CONSTRAINTS_H
#define VDMA_CONSTRAINTS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * enum vdma_contiguity - must the memory be one physical run?
 * @VDMA_CONTIG_PREFERRED: memory of map_contig.ko; if there is none when it is
 *                         wanted, huge pages, then ordinary ones
 * @VDMA_CONTIG_REQUIRED: memory of map_contig.ko, or the call fails
 * @VDMA_CONTIG_INDIFFERENT: ordinary memory. It is contiguous for the device
 *                           in any case, at its IOVA.
 */
enum vdma_contiguity {
	VDMA_CONTIG_PREFERRED,
	VDMA_CONTIG_REQUIRED,
	VDMA_CONTIG_INDIFFERENT,
};

/* NUMA node @n, 0 to 1023, as a constraint, in which 0 is any node. */
#define VDMA_NODE(n) ((uint32_t)(n) + 1)

/**
 * struct vdma_constraints - what memory must be like
 * @size: sizeof(struct vdma_constraints)
 * @address_bits: 1 to 64: device addresses stay below 2^address_bits, for
 *                devices that cannot drive more. 0: anywhere in the window.
 * @node: VDMA_NODE(n): all of it is on NUMA node n. 0: on any.
 * @align: of its device and virtual addresses, a power of two up to 1 GiB; 0
 *         for what is natural: a page for regions, 64 bytes for buffers. Of a buffer
 *         in a physical arena only the device address is so aligned
 * @boundary: a power of two, no multiple of which its device addresses cross;
 *            a region, which is whole pages, is not longer either. 0 for none.
 * @max_segments: physically contiguous runs that it has at most. Counted in
 *                pages or huge pages: neighbours by chance do not count as one.
 *                0: any number.
 * @contiguity: see enum vdma_contiguity; of regions with VDMA_PROVIDER_AUTO
 *
 * In a physical arena device addresses are physical ones, so the module solves
 * them all, and contiguity is given.
 */
struct vdma_constraints {
	size_t size;
	uint32_t address_bits;
	uint32_t node;
	uint64_t align;
	uint64_t boundary;
	uint32_t max_segments;
	enum vdma_contiguity contiguity;
};

#ifdef __cplusplus
}
#endif

#endif
