/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose is a device address? The way back from what a device or the kernel
 * tells, such as an IOMMU fault,
 *
 *	DMAR: [DMA Write] Request device [00:04.0] fault addr 0x8001000 ...
 *
 * to the buffer that it has to do with, who allocated it, and who gave it back.
 *
 *	struct vdma_iova_info info = { .size = sizeof(info) };
 *
 *	if (!vdma_explain_iova(arena, 0x8001000, &info))
 *		fprintf(stderr, "%s\n", info.text);
 *
 * What lives is known in every arena. VDMA_ARENA_CHECK adds what was freed, where
 * buffers came from, and gaps that make a fault of an overrun: without them it may
 * hit the neighbour. A fault's address is that of a page (4 KiB) on most IOMMUs.
 */
#ifndef VDMA_OWNER_H
#define VDMA_OWNER_H

#include <sys/types.h>
#include <vdma/arena.h>
#include <vdma/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * enum vdma_iova_state - what is at a device address
 * @VDMA_IOVA_LIVE: memory of the owner
 * @VDMA_IOVA_FREED: nobody's; it was the owner's
 * @VDMA_IOVA_GAP: nobody's, close to the owner's: a guard gap, or what lies
 *                 between two buffers
 * @VDMA_IOVA_UNUSED: nobody's, nor was it as far as is remembered
 * @VDMA_IOVA_RESERVED: no region can lie here: page 0, the MSI range, what the
 *                      devices' IOMMUs do not reach
 * @VDMA_IOVA_OUTSIDE: outside of the arena's window
 */
enum vdma_iova_state {
	VDMA_IOVA_LIVE,
	VDMA_IOVA_FREED,
	VDMA_IOVA_GAP,
	VDMA_IOVA_UNUSED,
	VDMA_IOVA_RESERVED,
	VDMA_IOVA_OUTSIDE,
};

/**
 * enum vdma_owner - what kind of owner
 * @VDMA_OWNER_NONE: none
 * @VDMA_OWNER_REGION: a region, of vdma_region_create()
 * @VDMA_OWNER_BUF: a buffer, of vdma_buf_alloc()
 * @VDMA_OWNER_CHUNK: a region out of which buffers are cut, and none of them
 */
enum vdma_owner {
	VDMA_OWNER_NONE,
	VDMA_OWNER_REGION,
	VDMA_OWNER_BUF,
	VDMA_OWNER_CHUNK,
};

/**
 * struct vdma_iova_info - what is known of a device address
 * @size: in: sizeof(struct vdma_iova_info)
 * @state: what is there
 * @owner: whose it is, or was, or who lies beside it; what follows is about that
 *         one
 * @base: its first address; of a reserved range, that range's
 * @len: its bytes; of a buffer, if the arena does not check, rounded up to 64
 * @offset: of the address from @base: negative before it, @len or more behind
 *          its end
 * @held: 1 if it was freed and its addresses are held back: nobody has had them
 *        since
 * @alloc_tid: thread that allocated it; 0 if that is not known
 * @alloc_ns: when, CLOCK_MONOTONIC, nanoseconds; 0 if that is not known
 * @alloc_pc: where from: the return address of the call; NULL if that is not known
 * @free_tid: thread that freed it; 0 while it lives
 * @free_ns: when; 0 while it lives
 * @free_pc: where from; NULL while it lives
 * @text: all of that in words, the neighbours on both sides, and functions by
 *        name where their object exports them; one or more lines, no newline at
 *        the end
 *
 * Regions carry where they came from in every arena, buffers with
 * VDMA_ARENA_CHECK.
 */
struct vdma_iova_info {
	size_t size;
	enum vdma_iova_state state;
	enum vdma_owner owner;
	vdma_iova_t base;
	uint64_t len;
	int64_t offset;
	uint32_t held;
	pid_t alloc_tid;
	uint64_t alloc_ns;
	const void *alloc_pc;
	uint64_t free_ns;
	const void *free_pc;
	pid_t free_tid;
	char text[1536];
};

/**
 * vdma_explain_iova() - whose is a device address?
 * @arena: the arena
 * @iova: any value
 * @info: in: its size, out: the rest
 *
 * Meant for error paths: it looks through all regions, and waits while another
 * thread creates one.
 *
 * Return: 0, -EINVAL, -ECHILD. Thread-safe, not to be called from a signal
 * handler.
 */
VDMA_API int vdma_explain_iova(struct vdma_arena *arena, vdma_iova_t iova,
			       struct vdma_iova_info *info);

#ifdef __cplusplus
}
#endif

#endif
