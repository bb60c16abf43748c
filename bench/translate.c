// SPDX-License-Identifier: BSD-3-Clause
/*
 * bench-translate [SAMPLES]: from any pointer to its device address, beside
 * DPDK's rte_mem_virt2memseg() if that was there when this was built. Medians of
 * 15 samples from 5 processes, in turn within each; nanoseconds. Needs no
 * privileges.
 *
 * The loop by itself reads the pointers and does nothing with them. What a
 * translation takes when the next needs it is the difference to that.
 *
 * Translation looks neither at regions nor at memory. So a region has one page
 * of memory here, however far the pointers are apart. Of vdma_iova_any() the pointers
 * are into 64 MiB that were imported.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vdma.h>

#include "../tests/random.h"
#include "peer.h"
#include "translate.h"

#define PROCESSES 5
#define GIB ((size_t)1 << 30)
#define SIZE_2M ((size_t)2 << 20)
#define PACKET 2048
/* Memory at a pointer, which has to be there: as much for every row. */
#define IMPORTED ((size_t)64 << 20)

enum column { LOOP, IOVA, CHECKED, FOREIGN, PEER, COLUMNS };

struct job {
	unsigned int regions;
	size_t span; /* bytes over which the pointers lie */
	bool sequential;
	unsigned int samples;
};

static const struct job jobs[] = {
	{ .regions = 1, .span = GIB },
	{ .regions = 1, .span = GIB, .sequential = true },
	{ .regions = 4096, .span = 16 * GIB },
	{ .regions = 4096, .span = 16 * GIB, .sequential = true },
	{ .regions = 65536, .span = 128 * GIB },
	{ .regions = 65536, .span = 128 * GIB, .sequential = true },
};

static const char *const modes[MODES] = {
	[THROUGHPUT] = "one by one",
	[LATENCY] = "dependent",
	[BURST] = "bursts of 32",
};

static inline uint64_t nothing(const void *with, const void *va)
{
	(void)with;
	return (uint64_t)(uintptr_t)va;
}

static inline uint64_t iova(const void *with, const void *va)
{
	return vdma_iova(with, va);
}

static inline uint64_t checked(const void *with, const void *va)
{
	return vdma_iova_checked(with, va, PACKET);
}

static inline uint64_t foreign(const void *with, const void *va)
{
	return vdma_iova_any(with, va, PACKET);
}

BURST_OF(burst_nothing, nothing)
BURST_OF(burst_checked, checked)
BURST_OF(burst_foreign, foreign)

static __attribute__((noinline)) void burst_iova(const void *with, void *const *vas,
						 uint64_t *restrict ring)
{
	vdma_iova_burst(with, vas, ring, BURST_LEN);
}

static void fail(const char *what)
{
	fprintf(stderr, "bench-translate: %s: %s\n", what, vdma_explain());
	exit(1);
}

static struct vdma_arena *make_arena(unsigned int regions)
{
	struct vdma_region_opts opts = { .size = sizeof(opts), .provider = VDMA_PROVIDER_ANON };
	struct vdma_arena *arena;
	struct vdma_region *region;

	if (vdma_arena_create(NULL, &arena))
		fail("arena");
	for (unsigned int i = 0; i < regions; i++)
		if (vdma_region_create(arena, 4096, &opts, &region))
			fail("region");
	return arena;
}

static void point(const struct job *job, char *base, size_t span, void **vas)
{
	uint64_t rng = (uint64_t)getpid() << 1 | 1, packets = span / PACKET;

	for (size_t i = 0; i < POINTERS; i++)
		vas[i] = base + PACKET * (job->sequential ? i : random_below(&rng, packets));
}

static char *import(struct vdma_arena *arena)
{
	struct vdma_region *region;
	char *va = aligned_alloc(SIZE_2M, IMPORTED);

	if (!va || vdma_region_import_user(arena, va, IMPORTED, NULL, &region))
		fail("import");
	return va;
}

/* The same regions in DPDK, over address space that nobody uses. False if it does not take all. */
static bool fill_peer(const struct job *job, char *base)
{
	size_t len = job->span / job->regions;

	if (!peer_start(64))
		return false;
	for (unsigned int i = 0; i < job->regions; i++)
		if (!peer_register(base + i * len, len, len < SIZE_2M ? 4096 : SIZE_2M))
			return false;
	return true;
}

static void measure_mode(enum mode mode, const struct vdma_arena *arena, void *const *vas,
			 void *const *alien, double *took)
{
	switch (mode) {
#define MODE(m) \
	case m: \
		took[LOOP] = translate_loop(m, nothing, burst_nothing, arena, vas); \
		took[IOVA] = translate_loop(m, iova, burst_iova, arena, vas); \
		took[CHECKED] = translate_loop(m, checked, burst_checked, arena, vas); \
		took[FOREIGN] = translate_loop(m, foreign, burst_foreign, arena, alien); \
		break
		MODE(THROUGHPUT);
		MODE(LATENCY);
		MODE(BURST);
	default: break;
	}
}

static void measure(const void *arg, int out)
{
	static void *ours[POINTERS], *theirs[POINTERS], *alien[POINTERS];
	const struct job *job = arg;
	struct vdma_arena *arena = make_arena(job->regions);
	char *base = vdma_va(arena, 0), *map;
	bool peer;

	map = mmap(NULL, job->span + SIZE_2M, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED) {
		perror("bench-translate");
		exit(1);
	}
	map += -(uintptr_t)map % SIZE_2M;
	point(job, base, job->span, ours);
	point(job, map, job->span, theirs);
	point(job, import(arena), IMPORTED, alien);
	peer = fill_peer(job, map);
	for (unsigned int i = 0; i < job->samples; i++) {
		double took[MODES][COLUMNS];

		for (int mode = 0; mode < MODES; mode++) {
			measure_mode((enum mode)mode, arena, ours, alien, took[mode]);
			took[mode][PEER] = peer ? peer_translate((enum mode)mode, theirs) : NAN;
		}
		sample_put(out, took, sizeof(took));
	}
}

static void print(struct spread s)
{
	printf("  %6.2f (%.2f to %.2f)", s.median, s.min, s.max);
}

static void rows(const struct job *job)
{
	void *records;
	size_t n =
		sample_collect(PROCESSES, measure, job, MODES * COLUMNS * sizeof(double), &records);

	for (size_t mode = 0; mode < MODES; mode++) {
		size_t first = mode * COLUMNS;

		printf("%5u, %3zu GiB, %-10s  %-12s", job->regions, job->span / GIB,
		       job->sequential ? "sequential" : "random", modes[mode]);
		for (size_t c = LOOP; c <= FOREIGN; c++)
			print(sample_spread(records, n, MODES * COLUMNS, first + c));
		if (isnan(((const double *)records)[PEER])) {
			puts("  -");
			continue;
		}
		print(sample_spread(records, n, MODES * COLUMNS, first + PEER));
		print(sample_ratio(records, n, MODES * COLUMNS, first + PEER, first + CHECKED));
		putchar('\n');
	}
	free(records);
}

int main(int argc, char **argv)
{
	unsigned int samples = argc > 1 ? (unsigned int)strtoul(argv[1], NULL, 0) : 3;

	if (!samples || argc > 2) {
		fputs("usage: bench-translate [SAMPLES]\n", stderr);
		return 2;
	}
	printf("ns: median (min to max) of %u samples; peer: %s; -: it takes no so many regions\n"
	       "%-38s  the loop by itself   vdma_iova            vdma_iova_checked    "
	       "vdma_iova_any        rte_mem_virt2memseg  its ratio to vdma_iova_checked\n",
	       PROCESSES * samples, peer_name(), "regions");
	for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++) {
		struct job job = jobs[i];

		job.samples = samples;
		rows(&job);
	}
	return 0;
}
