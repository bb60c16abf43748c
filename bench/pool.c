// SPDX-License-Identifier: BSD-3-Clause
/*
 * bench-pool [--svg FILE] [SAMPLES [CACHE]]: get and put of a pool's buffers, beside DPDK's rte_mempool and
 * rte_pktmbuf if they were there when this was built. Medians of 15 samples from 5
 * processes, in turn within each; nanoseconds a buffer. Needs no privileges, and two CPUs.
 *
 * Nobody touches the buffers. From one thread to the other they go through a ring, whose
 * time is in all three. A thread keeps up to CACHE numbers for itself, 0 for what a pool of
 * this size has by itself, 2,048; DPDK's never more than 512. --svg draws a picture of it.
 */
#include "pool.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vdma.h>

#include "peer.h"
#include "plot.h"

typedef uint32_t item_t;
typedef struct vdma_pool_handle access_t;

static void fail(const char *what)
{
	fprintf(stderr, "bench-pool: %s: %s\n", what, vdma_explain());
	exit(1);
}

static inline uint32_t get(struct vdma_pool_handle *handle)
{
	uint32_t number = vdma_pool_get(handle);

	if (number == VDMA_POOL_NONE)
		fail("get");
	return number;
}

static inline void get_bulk(struct vdma_pool_handle *handle, uint32_t *numbers, uint32_t count)
{
	if (vdma_pool_get_bulk(handle, numbers, count) != count)
		fail("get");
}

#define BEGIN()
#define END()
#define GET(handle, number) ((number) = get(handle))
#define PUT(handle, number) vdma_pool_put(handle, number)
#define GET_BULK(handle, numbers) get_bulk(handle, numbers, BULK)
#define PUT_BULK(handle, numbers) vdma_pool_put_bulk(handle, numbers, BULK)

#include "pool_loops.h"

#define PROCESSES 5
#define COUNT 16384
#define LEN 2048

enum column { OURS, MEMPOOL, PKTMBUF, COLUMNS };

static const char *const patterns[PATTERNS] = {
	[SINGLE] = "get one, put it",
	[BULKS] = "get 32, put them",
	[DEEPS] = "1,024 gets, then puts",
	[DEEP_BULKS] = "32 x get 32, then put 32",
	[TWO_THREADS] = "two threads, one each",
	[CONSUMER] = "one thread gets 32, other puts",
};

static void make(struct vdma_pool_handle *handles[2], uint32_t cache)
{
	const struct vdma_region_opts region = { .size = sizeof(region),
						 .provider = VDMA_PROVIDER_ANON };
	const struct vdma_pool_opts opts = { .size = sizeof(opts),
					     .cache = cache,
					     .region = &region };
	struct vdma_arena *arena;
	struct vdma_pool *pool;

	if (vdma_arena_create(NULL, &arena))
		fail("arena");
	if (vdma_pool_create(arena, LEN, COUNT, &opts, &pool))
		fail("pool");
	for (int i = 0; i < 2; i++)
		if (vdma_pool_handle_create(pool, &handles[i]))
			fail("handle");
}

struct run {
	unsigned int samples;
	uint32_t cache;
};

static void measure(const void *arg, int out)
{
	const struct run *run = arg;
	struct vdma_pool_handle *handles[2];
	bool peer = peer_start(256) && peer_mempool_start(COUNT, LEN) &&
		    peer_pktmbuf_start(COUNT, LEN);

	make(handles, run->cache);
	for (unsigned int i = 0; i < run->samples; i++) {
		double took[PATTERNS][COLUMNS];

		for (int p = 0; p < PATTERNS; p++) {
			took[p][OURS] = pool_ns((enum pattern)p, handles[0], handles[1]);
			took[p][MEMPOOL] = peer ? peer_mempool_ns((enum pattern)p) : NAN;
			took[p][PKTMBUF] = peer ? peer_pktmbuf_ns((enum pattern)p) : NAN;
		}
		sample_put(out, took, sizeof(took));
	}
}

static void print(struct spread s)
{
	printf("  %6.2f (%.2f to %.2f)", s.median, s.min, s.max);
}

/* The medians. */
static int draw(const void *records, size_t n, const char *path)
{
	struct plot_group groups[PATTERNS];
	char machine[160], source[256];
	struct plot plot = {
		.title = "Pools: get and put of a buffer",
		.subtitle = "Nanoseconds for each buffer, median, logarithmic: shorter is better.",
		.unit = " ns",
		.base = 0.05,
		.series = { "vdma_pool", "rte_mempool", "rte_pktmbuf" },
		.groups = groups,
		.n = PATTERNS,
		.source = source,
	};
	int err;

	for (size_t p = 0; p < PATTERNS; p++) {
		groups[p] = (struct plot_group){ .label = patterns[p] };
		for (size_t c = 0; c < COLUMNS; c++)
			groups[p].values[c] =
				sample_spread(records, n, PATTERNS * COLUMNS, p * COLUMNS + c)
					.median;
	}
	plot_machine(machine, sizeof(machine), peer_name());
	snprintf(source, sizeof(source), "bench-pool: %zu samples, all in turn; %s", n, machine);
	err = plot_write(&plot, path);
	if (err)
		fprintf(stderr, "bench-pool: %s: %s\n", path, strerror(-err));
	return err ? 1 : 0;
}

int main(int argc, char **argv)
{
	const char *svg = plot_option(&argc, &argv);
	struct run run = { .samples = argc > 1 ? (unsigned int)strtoul(argv[1], NULL, 0) : 3,
			   .cache = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 0) : 0 };
	int err = 0;
	void *records;
	size_t n;

	if (!run.samples || argc > 3) {
		fputs("usage: bench-pool [--svg FILE] [SAMPLES [CACHE]]\n", stderr);
		return 2;
	}
	printf("ns a buffer: median (min to max) of %u samples; peer: %s\n"
	       "%-30s  vdma_pool             rte_mempool           rte_pktmbuf           their "
	       "ratios to vdma_pool\n",
	       PROCESSES * run.samples, peer_name(), "pattern");
	n = sample_collect(PROCESSES, measure, &run, PATTERNS * COLUMNS * sizeof(double), &records);
	for (size_t p = 0; p < PATTERNS; p++) {
		bool peer = !isnan(((const double *)records)[p * COLUMNS + MEMPOOL]);

		printf("%-30s", patterns[p]);
		for (size_t c = 0; c < (peer ? COLUMNS : MEMPOOL); c++)
			print(sample_spread(records, n, PATTERNS * COLUMNS, p * COLUMNS + c));
		for (size_t c = MEMPOOL; peer && c < COLUMNS; c++)
			printf("  %.1f", sample_ratio(records, n, PATTERNS * COLUMNS,
						      p * COLUMNS + c, p * COLUMNS)
						 .median);
		putchar('\n');
	}
	if (svg)
		err = draw(records, n, svg);
	free(records);
	return err;
}
