/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DPDK in an arena's memory: rings and packets of its ports lie in regions of libvdma,
 * at the device addresses that the arena's own devices see them at.
 *
 *	struct vdma_arena_opts opts = { .size = sizeof(opts), .flags = VDMA_ARENA_IDENTITY };
 *
 *	rte_eal_init(argc, argv);
 *	vdma_arena_create(&opts, &arena);
 *	vdma_dpdk_create(arena, NULL, &dpdk);
 *	vdma_dpdk_grow(dpdk, 64 << 20, NULL, &buf);
 *	socket = vdma_dpdk_socket(dpdk);
 *	pool = rte_pktmbuf_pool_create("packets", 8191, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
 *				       socket);
 *	rte_eth_rx_queue_setup(port, 0, 1024, socket, NULL, pool);
 *
 * Two kinds of memory, of which DPDK's tables have the device addresses (rte_memseg):
 *
 * - The heap's, a named external heap of rte_malloc: what vdma_dpdk_grow() takes from the
 *   arena. It is DPDK's alone, which allocates out of it for whoever names its socket
 *   (pools, queues, rte_malloc_socket()), and keeps its headers there, as it always does.
 * - All other regions of the arena, chunks for buffers included, as they come and go:
 *   packets can point into them (rte_pktmbuf_attach_extbuf()), and DPDK allocates nothing
 *   there. Not those that devices may only read or only write, since DPDK lets its ports
 *   do both; nor memory imported at a pointer. Their owner sees to it that no packet
 *   points into a region that is destroyed.
 *
 * Both are mapped for DPDK's ports on VFIO, all of which share one container. The arena's
 * own address spaces have nothing to do with that, and need not be there. DPDK takes
 * virtual addresses for device addresses ("IOVA as VA"), here and there without a look
 * into its tables (rte_mem_virt2iova()), so the arena has to be one with
 * VDMA_ARENA_IDENTITY. Then none of its addresses can be those of DPDK's own memory either.
 *
 * While ports come and go:
 *
 * - The heap's memory is mapped for those that are probed later, by DPDK. Other regions
 *   that were there before the first port was, are mapped by vdma_dpdk_map().
 * - vdma_dpdk_destroy() comes before the last port on VFIO is removed (rte_dev_remove()).
 *   Without any, new regions are refused; and for one that is probed then DPDK maps
 *   neighbouring regions as one, of which the kernel later gives back all or nothing.
 *
 * Observers that are added later are asked later: where one of them refuses a region of the
 * heap, DPDK may have allocated there already. So this has to be the arena's last.
 *
 * A region that DPDK refuses is not created: vdma_region_create() fails with ECANCELED, and
 * @refused of vdma_dpdk_query() has the reason. DPDK has room for some 120 regions (128 lists
 * of memory, its own included), and for 256 mappings.
 *
 * A library of its own: link with -lvdma-dpdk as well (pkg-config vdma-dpdk, CMake
 * vdma::dpdk), and with DPDK. It is there if libvdma was built where DPDK (22.11 and newer,
 * libdpdk) is. In DPDK's primary process only; a secondary one has none of the memory, so
 * pools that lie in it are not for it. A child gets ECHILD from every call.
 */
#ifndef VDMA_DPDK_H
#define VDMA_DPDK_H

#include <vdma/arena.h>
#include <vdma/region.h>
#include <vdma/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An arena that DPDK has to do with. */
struct vdma_dpdk;

/**
 * struct vdma_dpdk_opts - how DPDK is told of an arena
 * @size: sizeof(struct vdma_dpdk_opts)
 * @name: of the heap, for rte_malloc_heap_get_socket(); up to 31 characters, and no other
 *        heap's. NULL for "vdma". Copied
 */
struct vdma_dpdk_opts {
	size_t size;
	const char *name;
};

/**
 * struct vdma_dpdk_info - what DPDK has of an arena
 * @size: in: sizeof(struct vdma_dpdk_info)
 * @socket: as vdma_dpdk_socket() has it
 * @follows: 1 if DPDK itself maps the heap's memory for its ports as it comes and goes; 0
 *           if this library does, since DPDK was started without huge pages or with
 *           --legacy-mem
 * @heap_regions: regions that are the heap's
 * @heap_bytes: of them
 * @heap_used: how many of these bytes DPDK has allocated, its headers included
 * @regions: other regions that it knows of
 * @unmapped: those regions of both kinds that this library would map, and has not: there
 *            was no port on VFIO yet
 * @refused: why the last region was refused, in words; "" if none was
 */
struct vdma_dpdk_info {
	size_t size;
	int32_t socket;
	uint32_t follows;
	uint64_t heap_regions;
	uint64_t heap_bytes;
	uint64_t heap_used;
	uint64_t regions;
	uint64_t unmapped;
	char refused[512];
};

/**
 * vdma_dpdk_create() - tell DPDK of an arena
 * @arena: one with VDMA_ARENA_IDENTITY; it cannot be destroyed before
 * @opts: NULL for defaults
 * @dpdk: out: owned by the caller, vdma_dpdk_destroy() gives it back
 *
 * After rte_eal_init(). The heap is empty; the regions that there are become known and
 * mapped. An arena has one at a time.
 *
 * Return: 0, -EINVAL (also: the arena is another one, DPDK is not initialized or takes
 * physical addresses, the name is a heap's, or the arena has one), -E2BIG, -EOPNOTSUPP (a
 * secondary process), -ENOSPC (more heaps, regions or mappings than DPDK has room for),
 * -ENOMEM, -EIO (DPDK could not map a region for its ports), -EDEADLK (from inside of an
 * observer), -ECHILD. Thread-safe.
 */
VDMA_API int vdma_dpdk_create(struct vdma_arena *arena, const struct vdma_dpdk_opts *opts,
			      struct vdma_dpdk **dpdk);

/**
 * vdma_dpdk_destroy() - have DPDK forget an arena
 * @dpdk: NULL is allowed
 *
 * What pools, queues and others have from the heap is freed before
 * (rte_mempool_free(), rte_eth_dev_close(), rte_free()). The heap's regions are destroyed, the
 * others unmapped for the ports.
 *
 * Return: 0; -EBUSY while DPDK has something from the heap: then those of its regions in
 * which there is nothing may be gone, and the call can be repeated; as it can with -ENOMEM,
 * -EIO (a region could not be unmapped for the arena's devices, or DPDK did not unmap one for
 * its ports, which are to be closed then), -EDEADLK, -ECHILD. No other thread may use it
 * meanwhile, nor anybody but for this call once it has failed with -EIO.
 */
VDMA_API int vdma_dpdk_destroy(struct vdma_dpdk *dpdk);

/**
 * vdma_dpdk_grow() - give the heap memory
 * @dpdk: whose heap
 * @len: bytes, at least 1; rounded up to 2 MiB
 * @opts: the region that is made of it (struct vdma_region_opts), whose access is
 *        VDMA_ACCESS_BOTH; NULL for defaults
 * @buf: out: the region's memory, for vdma_dpdk_shrink(); NULL is allowed
 *
 * All of it is one run of device addresses, and one page to DPDK, or, where its length and
 * address are no multiples of that, as few as possible; of 1 GiB at most. So a pool or a ring
 * that fits is never cut up. It is zeroed.
 *
 * Return: 0; what vdma_region_create() returns; -EINVAL, -ENOSPC (more regions or mappings
 * than DPDK has room for), -EIO (DPDK could not map it for its ports), -EDEADLK, -ECHILD.
 * Thread-safe; while ports receive and send, too.
 */
VDMA_API int vdma_dpdk_grow(struct vdma_dpdk *dpdk, size_t len, const struct vdma_region_opts *opts,
			    struct vdma_buf *buf);

/**
 * vdma_dpdk_shrink() - take memory from the heap, and destroy its region
 * @dpdk: whose heap
 * @va: where vdma_dpdk_grow() said that it begins
 *
 * Return: 0; -EBUSY while DPDK has something in it: nothing has changed; -EINVAL (no region
 * of the heap begins there); -EIO or -ENOMEM if the kernel refused to unmap it for the
 * arena's devices: DPDK does not have it any more, and the call can be repeated; -EDEADLK,
 * -ECHILD. Thread-safe; while ports receive and send, too.
 */
VDMA_API int vdma_dpdk_shrink(struct vdma_dpdk *dpdk, const void *va);

/**
 * vdma_dpdk_map() - map what is not mapped yet
 * @dpdk: whose memory
 *
 * When the first port on VFIO was probed (rte_dev_probe()) after regions came; else there
 * is nothing to do.
 *
 * Return: 0, also if there is still no port; -ENOSPC, -EIO: some may be mapped, and the
 * call can be repeated; -ECHILD. Thread-safe.
 */
VDMA_API int vdma_dpdk_map(struct vdma_dpdk *dpdk);

/**
 * vdma_dpdk_socket() - the number that stands for the heap in DPDK's calls
 * @dpdk: whose heap
 *
 * Return: the socket id, which is no NUMA node. Thread-safe, no lock.
 */
VDMA_API int vdma_dpdk_socket(const struct vdma_dpdk *dpdk);

/**
 * vdma_dpdk_query() - what DPDK has of the arena
 * @dpdk: whose
 * @info: in: its size, out: the rest
 *
 * Return: 0, -EINVAL, -ECHILD. Thread-safe.
 */
VDMA_API int vdma_dpdk_query(struct vdma_dpdk *dpdk, struct vdma_dpdk_info *info);

#ifdef __cplusplus
}
#endif

#endif
