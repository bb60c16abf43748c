// SPDX-License-Identifier: BSD-3-Clause
/*
 * bench-heap [--svg FILE] [SAMPLES]: what objects of a heap take. Medians of 15 samples from 5
 * processes, in turn with DPDK's rte_malloc() if that was there when this was built, and
 * with the program's malloc(): the C library's, or which one it is given,
 *
 *	LD_PRELOAD=libjemalloc.so.2 bench-heap
 *	LD_PRELOAD=libmimalloc.so bench-heap
 *
 * Nanoseconds. Needs no privileges. Nobody writes into the objects, but all is
 * there: memory of the heap is populated, and each pattern runs once before it counts.
 * --svg draws a picture of it.
 */
#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vdma.h>

#include "../tests/random.h"
#include "peer.h"
#include "plot.h"
#include "sample.h"

#define PROCESSES 5
#define KIB ((size_t)1 << 10)
#define PEER_MIB 1024

enum column { OURS, MALLOC, PEER, COLUMNS };

struct job {
	const char *name;
	size_t least, most; /* bytes of one */
	size_t live;
	unsigned int threads;
	bool any; /* drop any of the live ones and make another, else make one and drop it */
	unsigned int rounds, samples;
};

static const struct job jobs[] = {
	{ "pair, 1 KiB", KIB, KIB, 1000, 1, false, 200000, 0 },
	{ "pair, 64 KiB", 64 * KIB, 64 * KIB, 1000, 1, false, 50000, 0 },
	{ "pair, 256 KiB", 256 * KIB, 256 * KIB, 100, 1, false, 20000, 0 },
	{ "any, 1 KiB", KIB, KIB, 1000, 1, true, 200000, 0 },
	{ "any, 64 B to 64 KiB", 64, 64 * KIB, 1000, 1, true, 100000, 0 },
	{ "any, 64 B to 64 KiB", 64, 64 * KIB, 10000, 1, true, 100000, 0 },
	{ "pair, 1 KiB, two threads", KIB, KIB, 1000, 2, false, 200000, 0 },
	{ "any, 64 B to 64 KiB, two threads", 64, 64 * KIB, 1000, 2, true, 100000, 0 },
};
#define JOBS (sizeof(jobs) / sizeof(jobs[0]))

static struct vdma_arena *arena;
static struct vdma_heap *heap;

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "bench-heap: %s: %s\n", what, why);
	exit(1);
}

static inline __attribute__((always_inline)) void *make(enum column column, size_t size)
{
	switch (column) {
	case OURS: return vdma_malloc(heap, size);
	case MALLOC: return malloc(size);
	default: return peer_alloc(size);
	}
}

static inline __attribute__((always_inline)) void drop(enum column column, void *p)
{
	switch (column) {
	case OURS: vdma_free(heap, p); return;
	case MALLOC: free(p); return;
	default: peer_free(p);
	}
}

struct worker {
	const struct job *job;
	enum column column;
	uint64_t rng;
	void **live;
	double ns;
};

static size_t size_of(struct worker *w)
{
	size_t least = w->job->least, most = w->job->most;

	return least == most ? least : least + random_below(&w->rng, most - least + 1);
}

/* The compiler may not know that what is made is dropped again. */
static inline void *seen(void *p)
{
	__asm__ volatile("" : "+r"(p) : : "memory");
	return p;
}

static inline __attribute__((always_inline)) void run_as(struct worker *w, enum column column)
{
	const struct job *job = w->job;
	double start = now_ns();

	for (unsigned int i = 0; i < job->rounds; i++) {
		void **one = &w->live[job->any ? random_below(&w->rng, job->live) : job->live];

		if (job->any)
			drop(column, *one);
		*one = seen(make(column, size_of(w)));
		if (!job->any)
			drop(column, *one);
	}
	w->ns = (now_ns() - start) / job->rounds;
}

static void run(struct worker *w)
{
	switch (w->column) {
	case OURS: run_as(w, OURS); break;
	case MALLOC: run_as(w, MALLOC); break;
	default: run_as(w, PEER);
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;
	size_t i;

	w->live = calloc(w->job->live + 1, sizeof(*w->live));
	for (i = 0; w->live && i < w->job->live; i++) {
		w->live[i] = make(w->column, size_of(w));
		if (!w->live[i])
			fail(w->job->name, w->column == OURS ? vdma_explain() : "no memory");
	}
	run(w);
	run(w);
	for (i = 0; w->live && i < w->job->live; i++)
		drop(w->column, w->live[i]);
	free(w->live);
	return NULL;
}

/* What an operation takes a thread, if others do the same. */
static double ns(const struct job *job, enum column column)
{
	struct worker workers[2] = {
		{ .job = job, .column = column, .rng = (uint64_t)getpid() << 1 | 1 },
		{ .job = job, .column = column, .rng = (uint64_t)getpid() << 2 | 1 },
	};
	pthread_t other;

	if (job->threads == 1) {
		work(&workers[0]);
		return workers[0].ns;
	}
	if (pthread_create(&other, NULL, work, &workers[1]))
		exit(1);
	work(&workers[0]);
	pthread_join(other, NULL);
	return (workers[0].ns + workers[1].ns) / 2;
}

static void measure(const void *arg, int out)
{
	const struct vdma_constraints any = { .size = sizeof(any),
					      .contiguity = VDMA_CONTIG_INDIFFERENT };
	const struct vdma_heap_opts opts = { .size = sizeof(opts), .constraints = &any };
	const struct job *job = arg;
	bool peer = peer_start(PEER_MIB);

	if (vdma_arena_create(NULL, &arena) || vdma_heap_create(arena, &opts, &heap))
		fail("heap", vdma_explain());
	for (unsigned int i = 0; i < job->samples; i++) {
		double took[COLUMNS] = { [PEER] = NAN };

		took[OURS] = ns(job, OURS);
		took[MALLOC] = ns(job, MALLOC);
		if (peer)
			took[PEER] = ns(job, PEER);
		sample_put(out, took, sizeof(took));
	}
}

static void row(const struct job *job, double medians[COLUMNS])
{
	void *records;
	size_t n = sample_collect(PROCESSES, measure, job, COLUMNS * sizeof(double), &records);
	size_t columns = isnan(((const double *)records)[PEER]) ? PEER : COLUMNS;

	medians[PEER] = NAN;
	printf("%-32s %6zu", job->name, job->live);
	for (size_t c = 0; c < columns; c++) {
		struct spread s = sample_spread(records, n, COLUMNS, c);

		medians[c] = s.median;
		printf("  %7.1f (%.1f to %.1f)", s.median, s.min, s.max);
	}
	for (size_t c = 1; c < columns; c++)
		printf("  %.2f", sample_ratio(records, n, COLUMNS, c, OURS).median);
	putchar('\n');
	fflush(stdout);
	free(records);
}

static int draw(const double medians[JOBS][COLUMNS], unsigned int samples, const char *path)
{
	struct plot_group groups[JOBS] = { 0 };
	char labels[JOBS][64], live[16], machine[160], source[256];
	struct plot plot = {
		.title = "Heaps: one object dropped, another made",
		.subtitle = "Nanoseconds, median, logarithmic: shorter is better. Pair: the same "
			    "one. Any: one of those that live.",
		.unit = " ns",
		.base = 1,
		.series = { "vdma_malloc()", "malloc() of the program", "rte_malloc()" },
		.groups = groups,
		.n = JOBS,
		.source = source,
	};
	int err;

	for (size_t i = 0; i < JOBS; i++) {
		snprintf(labels[i], sizeof(labels[i]), "%s, beside %s", jobs[i].name,
			 plot_number(live, sizeof(live), (double)jobs[i].live));
		groups[i].label = labels[i];
		memcpy(groups[i].values, medians[i], sizeof(medians[i]));
	}
	plot_machine(machine, sizeof(machine), peer_name());
	snprintf(source, sizeof(source), "bench-heap: %u samples, all in turn; %s",
		 PROCESSES * samples, machine);
	err = plot_write(&plot, path);
	if (err)
		fprintf(stderr, "bench-heap: %s: %s\n", path, strerror(-err));
	return err ? 1 : 0;
}

int main(int argc, char **argv)
{
	const char *svg = plot_option(&argc, &argv);
	double medians[JOBS][COLUMNS];
	unsigned int samples = argc > 1 ? (unsigned int)strtoul(argv[1], NULL, 0) : 3;
	Dl_info info = { 0 };

	if (!samples || argc > 2) {
		fputs("usage: bench-heap [--svg FILE] [SAMPLES]\n", stderr);
		return 2;
	}
	dladdr(dlsym(RTLD_DEFAULT, "malloc"), &info);
	printf("ns: median (min to max) of %u samples\n%-32s %6s  vdma_malloc()  malloc() of %s  "
	       "rte_malloc() of %s  their ratios\n",
	       PROCESSES * samples, "what", "live", info.dli_fname, peer_name());
	for (size_t i = 0; i < JOBS; i++) {
		struct job job = jobs[i];

		job.samples = samples;
		row(&job, medians[i]);
	}
	return svg ? draw(medians, samples, svg) : 0;
}
