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
 *
 * Where a process has joined the arena (join.h), what gets or gives back buffers
 * fails with EROFS.
 */
#ifndef VDMA_BUF_H
#define VDMA_BUF_H

#include <vdma/arena.h>
#include <vdma/constraints.h>
#include <vdma/region.h>
#include <vdma/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The buffer is zeroed; without it, it may hold what another had in it. */
#define VDMA_BUF_ZERO (1U << 0)

/**
 * struct vdma_buf_opts - what a buffer must be
 * @size: sizeof(struct vdma_buf_opts)
 * @align: as in struct vdma_constraints, for callers that have no
 *         @constraints; 0 for those that have
 * @boundary: the same
 * @address_bits: the same
 * @contiguity: the same
 * @flags: VDMA_BUF_ZERO
 * @constraints: where it has to lie and how; the caller's, and not needed
 *               after the call. NULL for none.
 */
struct vdma_buf_opts {
	size_t size;
	uint64_t align;
	uint64_t boundary;
	uint32_t address_bits;
	enum vdma_contiguity contiguity;
	uint32_t flags;
	const struct vdma_constraints *constraints;
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
 * Return: 0; -EINVAL if there is no such buffer, or no more; -EDEADLK (from inside of
 * an observer). If a chunk could not be unmapped, it stays. Thread-safe.
 */
VDMA_API int vdma_buf_free(struct vdma_arena *arena, const struct vdma_buf *buf);

/**
 * vdma_buf_query() - what a buffer's memory is made of
 * @arena: where it came from
 * @buf: as vdma_buf_alloc() filled it in, or a copy
 * @info: in: its size, out: what the region is made of that the buffer was cut
 *        out of: how the memory was delivered, and why it is not better
 *
 * @info's buf_len and extents are of that region. The buffer itself is
 * physically as many runs as it touches granules, one if it was delivered
 * contiguous; its reason is good until the buffer is freed.
 *
 * Return: 0; -EINVAL if there is no such buffer, or no more. Thread-safe.
 */
VDMA_API int vdma_buf_query(struct vdma_arena *arena, const struct vdma_buf *buf,
			    struct vdma_region_info *info);

/**
 * vdma_buf_trim() - give back chunks that no buffer lies in
 * @arena: the arena
 *
 * Return: 0; -EINVAL; -EIO or -ENOMEM if one could not be unmapped, and stays; -EDEADLK (from
 * inside of an observer). Thread-safe.
 */
VDMA_API int vdma_buf_trim(struct vdma_arena *arena);

#ifdef __cplusplus
}
#endif

#endif
