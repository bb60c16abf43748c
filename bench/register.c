// SPDX-License-Identifier: BSD-3-Clause
/*
 * bench-register BDF [MIB]: what registering memory with VFIO costs, ours
 * beside 4 KiB pages, transparent huge pages and hugetlb, on memory as it is
 * and again after all of it has been used once. Medians of 15 samples from
 * three processes, the kinds in turn. For a guest:
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

struct job {
	const char *bdf;
	size_t len;
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

static void measure(const void *arg, int out)
{
	const struct job *job = arg;
	struct vdma_arena *arena;
	struct vdma_ioas *ioas;
	struct vdma_device *dev;

	if (vdma_arena_create(NULL, &arena) || vdma_ioas_create(arena, NULL, &ioas) ||
	    vdma_device_open(ioas, job->bdf, NULL, &dev))
		fail(job->bdf);
	for (int i = 0; i < PER_PROCESS; i++) {
		struct result result;

		if (registration_measure(arena, job->len, i, result.samples))
			fail("measuring");
		result.pmd_mapped = measure_pmd_mapped(arena, job->len);
		sample_put(out, &result, sizeof(result));
	}
	vdma_device_close(dev);
	vdma_ioas_destroy(ioas);
	vdma_arena_destroy(arena);
	fputs("  a process is done\n", stderr);
}

/* Each process has its own arena and container. */
static void report(const char *title, const struct job *job)
{
	double registers[REGISTRATION_KINDS][SAMPLES], populates[REGISTRATION_KINDS][SAMPLES];
	double ours = 0;
	int64_t least = INT64_MAX;
	struct result *results;
	void *records;

	if (sample_collect(PROCESSES, measure, job, sizeof(*results), &records) != SAMPLES)
		exit(1);
	results = records;
	for (int i = 0; i < SAMPLES; i++) {
		for (int k = 0; k < REGISTRATION_KINDS; k++) {
			registers[k][i] = results[i].samples[k].register_ms;
			populates[k][i] = results[i].samples[k].populate_ms;
		}
		if (results[i].pmd_mapped < least)
			least = results[i].pmd_mapped;
	}
	printf("%s: %zu MiB, %d samples, ours mapped by PMD: at least %ld MiB\n", title,
	       job->len / MIB, SAMPLES, (long)(least / (int64_t)MIB));
	printf("  %-24s %10s %19s %8s %12s %10s\n", "memory", "register", "(min .. max)", "/ ours",
	       "populate", "runs");
	for (int k = 0; k < REGISTRATION_KINDS; k++) {
		double m = median(registers[k], SAMPLES);

		if (!k)
			ours = m;
		printf("  %-24s %7.2f ms (%6.2f .. %6.2f) %8.2f %9.1f ms %10lu\n",
		       registration_name((enum registration_kind)k), m, registers[k][0],
		       registers[k][SAMPLES - 1], m / ours, median(populates[k], SAMPLES),
		       (unsigned long)results[0].samples[k].runs);
	}
	fflush(stdout);
	free(records);
}

int main(int argc, char **argv)
{
	struct job job;

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
	hugetlb_pool_set(0);
	if (use_memory_up() || hugetlb_pool_set(job.len)) {
		fprintf(stderr, "bench-register: could not use memory up\n");
		return 1;
	}
	report("after all memory has been used once", &job);
	hugetlb_pool_set(0);
	return 0;
}
