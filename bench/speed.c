// SPDX-License-Identifier: BSD-3-Clause
/*
 * bench-speed: what it takes to have memory, all of it there: ours beside
 * hugetlb (2 MiB, from a pool) and anonymous 4 KiB pages that are locked. Medians
 * of 9 samples, the kinds in turn; and what 700 MiB cost in memory. As root, in a
 * guest with 4 GiB:
 *
 *	scripts/guest --mem 4G -- build/bench/bench-speed
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>

#include <vdma/uapi/map_contig.h>

#include "registration.h"
#include "sample.h"

#define MIB (1024UL * 1024)
#define SAMPLES 9

enum kind { OURS, HUGETLB, SMALL, KINDS };

static const char *const names[KINDS] = { "ours", "hugetlb", "4 KiB pages" };
static int node;

static void die(const char *what)
{
	fprintf(stderr, "bench-speed: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *map(enum kind kind, size_t length)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	void *addr;

	switch (kind) {
	case OURS: return mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, node, 0);
	case HUGETLB:
		return mmap(NULL, length, PROT_READ | PROT_WRITE,
			    flags | MAP_HUGETLB | MAP_POPULATE, -1, 0);
	default:
		/* Transparent huge pages must be off before the first page comes. */
		addr = mmap(NULL, length, PROT_NONE, flags, -1, 0);
		if (addr == MAP_FAILED || madvise(addr, length, MADV_NOHUGEPAGE) ||
		    mprotect(addr, length, PROT_READ | PROT_WRITE) || mlock(addr, length))
			return MAP_FAILED;
		return addr;
	}
}

static double sample(enum kind kind, size_t length)
{
	double start, ms;
	void *addr;

	/* The pool holds its pages already: taking them from it is what a program pays. */
	start = now_ns();
	addr = map(kind, length);
	ms = (now_ns() - start) / 1e6;
	if (addr == MAP_FAILED)
		die(names[kind]);
	munmap(addr, length);
	return ms;
}

static void measure(size_t length)
{
	double ms[KINDS][SAMPLES], medians[KINDS];

	if (hugetlb_pool_set(length))
		die("no pool of that size");
	for (int i = 0; i < SAMPLES; i++)
		for (int k = 0; k < KINDS; k++) {
			int kind = (i + k) % KINDS;

			ms[kind][i] = sample((enum kind)kind, length);
		}
	hugetlb_pool_set(0);
	for (int k = 0; k < KINDS; k++)
		medians[k] = median(ms[k], SAMPLES);
	printf("%5zu MiB", length / MIB);
	for (int k = 0; k < KINDS; k++)
		printf("  %9.2f ms (%4.2f)", medians[k], medians[k] / medians[OURS]);
	printf("\n");
	fflush(stdout);
}

static void cost(size_t length)
{
	int64_t before = free_memory(), after;
	void *addr = map(OURS, length);

	if (addr == MAP_FAILED)
		die("ours");
	after = free_memory();
	munmap(addr, length);
	printf("%zu MiB take %ld MiB of memory\n", length / MIB,
	       (long)((before - after + (int64_t)MIB / 2) / (int64_t)MIB));
}

int main(void)
{
	static const size_t lengths[] = { 2, 8, 32, 128, 256, 512, 1024 };

	node = open(MAP_CONTIG_DEVICE, O_RDWR | O_CLOEXEC);
	if (node < 0)
		die(MAP_CONTIG_DEVICE);
	printf("medians of %d, and relative to ours\n%9s", SAMPLES, "");
	for (int k = 0; k < KINDS; k++)
		printf("  %19s", names[k]);
	printf("\n");
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++)
		measure(lengths[i] * MIB);
	cost(700 * MIB);
	return 0;
}
