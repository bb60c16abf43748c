/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Buffers: memory of any size for devices, without a region for each. An arena
 * grows by chunks, regions of 64 MiB or what was asked for, which take one
 * entry in each address space; buffers are cut out of them without a system
 * call. A chunk that has no buffer left goes back, but for the last one of its kind.
 *
 *	vdma_buf_alloc(arena, 4096, NULL, &ring);
 *	vdma_mmio_write64(bar, RING_BASE, ring.iova);
 *	...
 *	vdma_buf_free(arena, &ring);
 *
 * What is known of buffers is kept outside of them, where no device can write.
 * They are cut in units of 64 bytes, a cache line. AddressSanitizer and Valgrind
 * know which bytes of a chunk are buffers, and tell of others. For packets and small
 * objects of one size that come and go all the time, this is too slow.
 */
#ifndef VDMA_BUF_H
#define VDMA_BUF_H

#include <vdma/arena.h>
#include <vdma/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * enum vdma_contiguity - must the buffer be one physical run?
 * @VDMA_CONTIG_PREFERRED: memory of map_contig.ko; if there is none when the
 *                         arena grows, huge pages, then ordinary ones
 * @VDMA_CONTIG_REQUIRED: memory of map_contig.ko, or the call fails
 * @VDMA_CONTIG_INDIFFERENT: ordinary memory. It is contiguous for the device
 *                           in any case, at its IOVA.
 */
enum vdma_contiguity {
	VDMA_CONTIG_PREFERRED,
	VDMA_CONTIG_REQUIRED,
	VDMA_CONTIG_INDIFFERENT,
};

/* The buffer is zeroed; without it, it may hold what another had in it. */
#define VDMA_BUF_ZERO (1U << 0)

/**
 * struct vdma_buf_opts - what a buffer must be
 * @size: sizeof(struct vdma_buf_opts)
 * @align: of its addresses, a power of two up to 1 GiB; 0 for 64 bytes
 * @boundary: a power of two, no multiple of which the buffer crosses; 0 for
 *            none
 * @address_bits: 1 to 64: device addresses stay below 2^address_bits; 0:
 *                anywhere
 * @contiguity: see enum vdma_contiguity
 * @flags: VDMA_BUF_ZERO
 */
struct vdma_buf_opts {
	size_t size;
	uint64_t align;
	uint64_t boundary;
	uint32_t address_bits;
	enum vdma_contiguity contiguity;
	uint32_t flags;
};

/**
 * vdma_buf_alloc() - get a buffer
 * @arena: where from
 * @len: bytes, at least 1
 * @opts: NULL for defaults
 * @buf: out: va, len as asked for, iova; pa if the buffer is one physical run
 *       that this process may know
 *
 * Return: 0, -EINVAL, -E2BIG, and what vdma_region_create() returns when the
 * arena has to grow. Thread-safe.
 */
VDMA_API int vdma_buf_alloc(struct vdma_arena *arena, size_t len, const struct vdma_buf_opts *opts,
			    struct vdma_buf *buf);

/**
 * vdma_buf_free() - give a buffer back
 * @arena: where it came from
 * @buf: as vdma_buf_alloc() filled it in, or a copy; NULL is allowed
 *
 * The device must not use it any more.
 *
 * Return: 0; -EINVAL if there is no such buffer, or no more. If a chunk could
 * not be unmapped, it stays. Thread-safe.
 */
VDMA_API int vdma_buf_free(struct vdma_arena *arena, const struct vdma_buf *buf);

/**
 * vdma_buf_trim() - give back chunks that no buffer lies in
 * @arena: the arena
 *
 * Return: 0; -EINVAL; -EIO if one could not be unmapped, and stays.
 * Thread-safe.
 */
VDMA_API int vdma_buf_trim(struct vdma_arena *arena);

#ifdef __cplusplus
}
#endif

#endif
