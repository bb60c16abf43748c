/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an arena has done and holds: numbers for a program, the same as JSON for
 * a monitor, and a text with a map of the window for a person.
 *
 *	struct vdma_stats stats = { .size = sizeof(stats) };
 *
 *	vdma_arena_stats(arena, &stats);
 *	printf("%llu bytes locked\n", (unsigned long long)stats.locked);
 *
 * The texts tell what room they need, as snprintf() does:
 *
 *	size_t len = 0;
 *	char *text;
 *
 *	vdma_arena_dump(arena, NULL, &len);
 *	text = malloc(++len);
 *	vdma_arena_dump(arena, text, &len);
 *
 * All three hold the arena's locks meanwhile: they are for looking on, not for
 * where packets pass. Translation takes no lock and is never held up.
 *
 * A library that was built with VDMA_PROBES tells of the same events as they
 * happen, by USDT probes of the provider libvdma, which cost a nop each while
 * nobody listens (bpftrace, perf, gdb, SystemTap):
 *
 *	region_create(arena, iova, len, va, provider)
 *	region_destroy(arena, iova, len)
 *	buf_alloc(arena, iova, len)
 *	buf_free(arena, iova, len)
 *	map(ioas, iova, len, ns, err)
 *	unmap(ioas, iova, len, ns, err)
 *	attach(ioas, bdf, group, err)
 *	detach(ioas, bdf, group)
 *
 * arena and ioas are the pointers that the program has, provider is an enum
 * vdma_provider, bdf a string, group the device's IOMMU group or -1, ns how long
 * the kernel took, err 0 or a negative errno. What a probe without err tells of
 * has worked. Without an IOMMU there is no map and no unmap.
 *
 *	bpftrace -e 'usdt:/usr/lib/libvdma.so:libvdma:map { @ns = hist(arg3); }'
 */
#ifndef VDMA_STATS_H
#define VDMA_STATS_H

#include <vdma/arena.h>
#include <vdma/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Number n of a histogram counts what has 2^n to 2^(n+1) - 1 ns; the last one also what took longer. */
#define VDMA_STATS_NS 32

/* Number n of a histogram counts what has 2^n to 2^(n+1) - 1 bytes. */
#define VDMA_STATS_BYTES 48

/**
 * struct vdma_call_stats - calls of one kind, and the time that they took
 * @calls: how many, failed ones included
 * @failures: those that failed
 * @sum_ns: time of all, nanoseconds
 * @min_ns: of the shortest; 0 if there was none
 * @max_ns: of the longest
 * @log2_ns: how many took 2^n nanoseconds or more, but less than 2^(n+1);
 *           the last one: or more than that
 */
struct vdma_call_stats {
	uint64_t calls;
	uint64_t failures;
	uint64_t sum_ns;
	uint64_t min_ns;
	uint64_t max_ns;
	uint64_t log2_ns[VDMA_STATS_NS];
};

/**
 * struct vdma_stats - what an arena holds, and has done since it was created
 * @size: in: sizeof(struct vdma_stats)
 * @regions: live regions, chunks included
 * @regions_ever: regions created, live ones included
 * @bytes: of live regions
 * @bytes_ever: of regions created
 * @contig_bytes: those of @bytes that map_contig.ko gave. The module locks
 *                them and charges them to their user, once, whatever @locked says.
 * @extents: physically contiguous runs of live regions, by size: how many have
 *           2^n bytes or more, but less than 2^(n+1). A region that is known to
 *           be one run counts once, any other by its pages (granule of struct
 *           vdma_region_info), some of which may lie side by side.
 * @chunks: live regions that buffers lie in or will
 * @chunks_ever: such regions created
 * @bufs: live buffers, of vdma_buf_alloc()
 * @bufs_ever: buffers handed out
 * @buf_bytes: bytes of chunks that are taken: of live buffers, each rounded up to 64,
 *             and of freed ones that are held back (VDMA_ARENA_CHECK)
 * @ioas: live address spaces
 * @devices: open devices
 * @entries: DMA entries in use, over all address spaces; none without an IOMMU
 * @locked: bytes that the kernel has pinned for all address spaces. A region
 *          counts again for each that it is mapped into, as the kernel counts it
 *          against RLIMIT_MEMLOCK. 0 without an IOMMU.
 * @populate: how memory was had for regions
 * @map: calls to the kernel that map one region into one address space
 * @unmap: calls that unmap one. What goes with the last device of an address
 *         space takes none. Without an IOMMU there are no such calls.
 *
 * Fields are added at the end only.
 */
struct vdma_stats {
	size_t size;
	uint64_t regions;
	uint64_t regions_ever;
	uint64_t bytes;
	uint64_t bytes_ever;
	uint64_t contig_bytes;
	uint64_t extents[VDMA_STATS_BYTES];
	uint64_t chunks;
	uint64_t chunks_ever;
	uint64_t bufs;
	uint64_t bufs_ever;
	uint64_t buf_bytes;
	uint64_t ioas;
	uint64_t devices;
	uint64_t entries;
	uint64_t locked;
	struct vdma_call_stats populate;
	struct vdma_call_stats map;
	struct vdma_call_stats unmap;
};

/**
 * vdma_arena_stats() - what an arena holds and has done, in numbers
 * @arena: the arena
 * @stats: in: its size, out: the rest, all of one moment
 *
 * Return: 0, -EINVAL, -ECHILD. Thread-safe.
 */
VDMA_API int vdma_arena_stats(struct vdma_arena *arena, struct vdma_stats *stats);

/**
 * vdma_arena_json() - the same as a JSON object
 * @arena: the arena
 * @buf: out: the text, cut to what fits, and a 0 behind it; NULL if *@len is 0
 * @len: in: bytes of room in @buf, out: bytes of the whole text, without the 0;
 *       it was cut if that is not less than the room
 *
 * One line. Its names are those of struct vdma_stats; a histogram is an
 * object that has, of the numbers other than 0, the least value that each
 * stands for as name: {"4096":7,"67108864":2}.
 *
 * Return: 0, -EINVAL, -ECHILD. Thread-safe.
 */
VDMA_API int vdma_arena_json(struct vdma_arena *arena, char *buf, size_t *len);

/**
 * vdma_arena_dump() - what is where in an arena, for a person to read
 * @arena: the arena
 * @buf: out: the text, cut to what fits, and a 0 behind it; NULL if *@len is 0
 * @len: in: bytes of room in @buf, out: bytes of the whole text, without the 0;
 *       it was cut if that is not less than the room. Another thread may make it
 *       longer between two calls.
 *
 * The window with a map of it, the address spaces and their devices, and a line
 * for each chunk and each region. It has virtual addresses, and the physical
 * ones that this process was told. Its form may change: it is not for programs.
 *
 * Return: 0, -EINVAL, -ENOMEM, -ECHILD. Thread-safe.
 */
VDMA_API int vdma_arena_dump(struct vdma_arena *arena, char *buf, size_t *len);

#ifdef __cplusplus
}
#endif

#endif
