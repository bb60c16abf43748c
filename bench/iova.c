// SPDX-License-Identifier: BSD-3-Clause
/*
 * bench-iova: what it takes to take a range of device addresses and give one
 * back, beside how many others live; no system call is in it. Nothing in Debian
 * has the like to be a peer, so the floor is: the same loop, which chooses one
 * of the ranges by chance and looks at it, without the allocator. Medians of 15
 * samples from 5 processes, in nanoseconds. Needs no privileges:
 *
 *	build/bench/bench-iova [SAMPLES]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../libvdma/iova.h"
#include "../tests/random.h"
#include "sample.h"

#define PROCESSES 5
#define ROUNDS 500000

enum what { PAIR, RANDOM, FLOOR, WHATS };

static const char *const names[WHATS] = {
	"take, give back the same",
	"give back any, take another",
	"the loop by itself",
};

struct mix {
	const char *name;
	unsigned int orders; /* of pages: 1 << 0 to 1 << (orders - 1) */
	uint64_t window;
};

static const struct mix mixes[] = {
	{ "4 KiB", 1, UINT64_C(256) << 30 },
	{ "4 KiB to 1 MiB", 9, UINT64_C(1) << 40 },
};

struct job {
	const struct mix *mix;
	size_t live;
	unsigned int samples;
};

static const size_t lives[] = { 1000, 100000, 1000000 };

static uint64_t rng = 1;

static uint64_t rnd(uint64_t below)
{
	return random_below(&rng, below);
}

static void take(struct vdma_iova_space *space, const struct mix *mix, struct vdma_range *range)
{
	struct vdma_iova_request req = { .limit = UINT64_MAX };

	req.len = UINT64_C(4096) << (mix->orders > 1 ? rnd(mix->orders) : 0);
	if (vdma_iova_alloc(space, &req, &range->first)) {
		fputs("bench-iova: the window is full\n", stderr);
		exit(1);
	}
	range->last = range->first + (req.len - 1);
}

static void give(struct vdma_iova_space *space, const struct vdma_range *range)
{
	vdma_iova_free(space, range->first, range->last - range->first + 1);
}

static double sample(struct vdma_iova_space *space, const struct mix *mix, enum what what,
		     struct vdma_range *live, size_t n)
{
	struct vdma_range *any, *next = &live[rnd(n)], one;
	double start = now_ns();
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < ROUNDS; i++) {
		/* Who gives a range back has its address at hand. */
		any = next;
		next = &live[rnd(n)];
		__builtin_prefetch(next);
		switch (what) {
		case PAIR:
			take(space, mix, &one);
			give(space, &one);
			break;
		case RANDOM:
			give(space, any);
			take(space, mix, any);
			break;
		default: sum += any->first + (mix->orders > 1 ? rnd(mix->orders) : 0);
		}
	}
	/* Keeps the compiler from leaving the floor's loop out. */
	__asm__ volatile("" : : "r"(sum));
	return (now_ns() - start) / ROUNDS;
}

static void measure(const void *arg, int out)
{
	const struct job *job = arg;
	const struct mix *mix = job->mix;
	const struct vdma_range usable[] = { { 0x1000, 0xfedfffff },
					     { 0xfef00000, mix->window - 1 } };
	struct vdma_range *live = calloc(job->live, sizeof(*live));
	struct vdma_iova_space space;
	unsigned int i, what;
	void *memory;
	size_t j;

	rng = (uint64_t)getpid() << 1 | 1;
	memory = calloc(1, vdma_iova_memory(mix->window, 12));
	if (!live || !memory) {
		fputs("bench-iova: no memory\n", stderr);
		exit(1);
	}
	vdma_iova_init(&space, 0, mix->window, 12, memory);
	if (vdma_iova_set_usable(&space, usable, 2))
		exit(1);
	for (j = 0; j < job->live; j++)
		take(&space, mix, &live[j]);
	for (i = 0; i < job->samples; i++) {
		double took[WHATS];

		for (what = 0; what < WHATS; what++)
			took[what] = sample(&space, mix, (enum what)what, live, job->live);
		sample_put(out, took, sizeof(took));
	}
}

static void row(const struct job *job)
{
	void *records;
	size_t n = sample_collect(PROCESSES, measure, job, WHATS * sizeof(double), &records);
	unsigned int what;

	printf("%-15s %8zu ", job->mix->name, job->live);
	for (what = 0; what < WHATS; what++) {
		struct spread s = sample_spread(records, n, WHATS, what);

		printf("  %7.1f (%.1f to %.1f)", s.median, s.min, s.max);
	}
	putchar('\n');
	free(records);
}

int main(int argc, char **argv)
{
	unsigned int samples = argc > 1 ? (unsigned int)strtoul(argv[1], NULL, 0) : 3, what;
	size_t m, l;

	if (!samples || argc > 2) {
		fputs("usage: bench-iova [SAMPLES]\n", stderr);
		return 2;
	}
	printf("ns: median (min to max) of %u samples\n%-15s %8s ", PROCESSES * samples, "sizes",
	       "live");
	for (what = 0; what < WHATS; what++)
		printf("  %s", names[what]);
	putchar('\n');
	fflush(stdout);
	for (m = 0; m < sizeof(mixes) / sizeof(mixes[0]); m++)
		for (l = 0; l < sizeof(lives) / sizeof(lives[0]); l++)
			row(&(struct job){ &mixes[m], lives[l], samples });
	return 0;
}
