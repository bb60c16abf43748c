// SPDX-License-Identifier: BSD-3-Clause
/*
 * bench-register BDF [MIB]: what registering memory with VFIO costs, and unmapping
 * it again, ours beside 4 KiB pages, transparent huge pages and hugetlb: on memory as
 * it is, beside many other regions that are mapped, and after all memory has been used
 * once. Medians of 15 samples from three processes, the kinds in turn. For a guest:
 *
 *	scripts/guest --device edu -- sh -c 'build/bench/bench-register $VDMA_BDF_EDU'
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registration.h"
#include "sample.h"

#define MIB (1024UL * 1024)
#define PROCESSES 3
#define PER_PROCESS 5
#define SAMPLES (PROCESSES * PER_PROCESS)
#define PAGE ((size_t)4096)
#define MANY 10000

struct job {
	const char *bdf;
	size_t len;
	size_t live; /* other regions */
};

struct result {
	struct registration_sample samples[REGISTRATION_KINDS];
	int64_t pmd_mapped;
};

static void fail(const char *what)
{
	fprintf(stderr, "bench-register: %s: %s\n", what, vdma_explain());
	exit(1);
}

static int64_t measure_pmd_mapped(struct vdma_arena *arena, size_t len)
{
	struct vdma_region *region;
	int64_t mapped;

	if (vdma_region_create(arena, len, NULL, &region))
		fail("contiguous memory");
	mapped = pmd_mapped(vdma_region_buf(region).va);
	vdma_region_destroy(region);
	return mapped;
}

/* Others that are mapped meanwhile, an entry of the container each. */
static struct vdma_region **others_create(struct vdma_arena *arena, size_t n)
{
	static const struct vdma_region_opts opts = {
		.size = sizeof(opts),
		.provider = VDMA_PROVIDER_ANON,
		.page_size = PAGE,
	};
	struct vdma_region **others = calloc(n + 1, sizeof(struct vdma_region *));

	for (size_t i = 0; i < n; i++)
		if (!others || vdma_region_create(arena, PAGE, &opts, &others[i]))
			fail("other regions");
	return others;
}

static void others_destroy(struct vdma_region **others)
{
	for (size_t i = 0; others[i]; i++)
		if (vdma_region_destroy(others[i]))
			fail("other regions");
	free(others);
}

static void measure(const void *arg, int out)
{
	const struct job *job = arg;
	struct vdma_region **others;
	struct vdma_arena *arena;
	struct vdma_ioas *ioas;
	struct vdma_device *dev;

	if (vdma_arena_create(NULL, &arena) || vdma_ioas_create(arena, NULL, &ioas) ||
	    vdma_device_open(ioas, job->bdf, NULL, &dev))
		fail(job->bdf);
	others = others_create(arena, job->live);
	for (int i = 0; i < PER_PROCESS; i++) {
		struct result result;

		if (registration_measure(arena, job->len, i, result.samples))
			fail("measuring");
		result.pmd_mapped = measure_pmd_mapped(arena, job->len);
		sample_put(out, &result, sizeof(result));
	}
	others_destroy(others);
	vdma_device_close(dev);
	vdma_ioas_destroy(ioas);
	vdma_arena_destroy(arena);
	fputs("  a process is done\n", stderr);
}

enum column { REGISTER, UNMAP, POPULATE, COLUMNS };

/* A kind's times, and how many times ours they are; the first kind is ours. */
static void print_times(const double *ms, size_t column, double *ours)
{
	struct spread s = sample_spread(ms, SAMPLES, COLUMNS, column);

	if (!*ours)
		*ours = s.median;
	printf(" %7.2f ms (%6.2f .. %6.2f) %7.2f", s.median, s.min, s.max, s.median / *ours);
}

/* Each process has its own arena and container. */
static void report(const char *title, const struct job *job)
{
	static double ms[REGISTRATION_KINDS][SAMPLES][COLUMNS];
	double our_register = 0, our_unmap = 0;
	int64_t least = INT64_MAX;
	struct result *results;
	void *records;

	if (sample_collect(PROCESSES, measure, job, sizeof(*results), &records) != SAMPLES)
		exit(1);
	results = records;
	for (int i = 0; i < SAMPLES; i++) {
		for (int k = 0; k < REGISTRATION_KINDS; k++) {
			ms[k][i][REGISTER] = results[i].samples[k].register_ms;
			ms[k][i][UNMAP] = results[i].samples[k].unmap_ms;
			ms[k][i][POPULATE] = results[i].samples[k].populate_ms;
		}
		if (results[i].pmd_mapped < least)
			least = results[i].pmd_mapped;
	}
	printf("%s: %zu MiB, beside %zu other regions, %d samples, ours mapped by PMD: at least %ld MiB\n",
	       title, job->len / MIB, job->live, SAMPLES, (long)(least / (int64_t)MIB));
	printf("  %-24s %10s %19s %7s %10s %19s %7s %12s %10s\n", "memory", "register",
	       "(min .. max)", "/ ours", "unmap", "(min .. max)", "/ ours", "populate", "runs");
	for (int k = 0; k < REGISTRATION_KINDS; k++) {
		printf("  %-24s", registration_name((enum registration_kind)k));
		print_times(ms[k][0], REGISTER, &our_register);
		print_times(ms[k][0], UNMAP, &our_unmap);
		printf(" %9.1f ms %10lu\n",
		       sample_spread(ms[k][0], SAMPLES, COLUMNS, POPULATE).median,
		       (unsigned long)results[0].samples[k].runs);
	}
	fflush(stdout);
	free(records);
}

int main(int argc, char **argv)
{
	struct job job = { 0 };

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: bench-register BDF [MIB]\n");
		return 2;
	}
	job.bdf = argv[1];
	job.len = (argc > 2 ? strtoul(argv[2], NULL, 0) : 256) * MIB;
	if (!job.len || hugetlb_pool_set(job.len)) {
		fprintf(stderr, "bench-register: no %zu MiB for a hugetlb pool\n", job.len / MIB);
		return 1;
	}
	report("memory as it is", &job);
	job.live = MANY;
	report("memory as it is", &job);
	job.live = 0;
	hugetlb_pool_set(0);
	if (use_memory_up() || hugetlb_pool_set(job.len)) {
		fprintf(stderr, "bench-register: could not use memory up\n");
		return 1;
	}
	report("after all memory has been used once", &job);
	hugetlb_pool_set(0);
	return 0;
}
