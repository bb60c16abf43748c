// SPDX-License-Identifier: BSD-3-Clause
/*
 * bench-control [SAMPLES]: what regions and buffers take, beside how many others
 * live, in an arena without devices. Medians of 15 samples from 5 processes,
 * DPDK's in turn if it was there when this was built; nanoseconds. Needs no
 * privileges. DPDK's regions are foreign memory that is made known to it, of which
 * it takes some 125; its buffers are of rte_malloc().
 *
 * "Bookkeeping": system calls about memory are answered at once, with success
 * and without memory (the linker puts ours in their place), so what is left is
 * the library's own. Nobody touches the memory then.
 *
 * What the system limits: vm.max_map_count, 65,530 as a rule. Neighbouring regions of
 * ordinary memory are one mapping to the kernel, so 65,536 of them are no problem; those
 * with a gap to the next are two each, and regions of the module are one each.
 */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vdma.h>

#include "../tests/random.h"
#include "peer.h"
#include "sample.h"

#define PROCESSES 5
#define PEER_LIVE 120
#define PAGE ((size_t)4096)
#define KIB ((size_t)1 << 10)
#define SIZE_2M ((size_t)2 << 20)

enum column { PAIR, ANY, PEER_PAIR, PEER_ANY, COLUMNS };

struct job {
	const char *name;
	bool bufs;	    /* else regions */
	bool bookkeeping;   /* no system calls about memory */
	bool gaps;	    /* every second one is destroyed again */
	bool threads;	    /* pairs in two threads at once, in place of any */
	size_t least, most; /* bytes of one */
	size_t live, peer_live;
	unsigned int rounds, samples;
};

static const struct job jobs[] = {
	{ "region, 2 MiB, bookkeeping", .bookkeeping = true, .least = SIZE_2M, .most = SIZE_2M,
	  .live = 1000, .peer_live = PEER_LIVE, .rounds = 20000 },
	{ "region, 2 MiB, bookkeeping", .bookkeeping = true, .least = SIZE_2M, .most = SIZE_2M,
	  .live = 65536, .rounds = 20000 },
	{ "region, 4 KiB", .least = PAGE, .most = PAGE, .live = 1000, .rounds = 2000 },
	{ "region, 4 KiB", .least = PAGE, .most = PAGE, .live = 65536, .rounds = 2000 },
	{ "region, 4 KiB, with gaps", .gaps = true, .least = PAGE, .most = PAGE, .live = 32000,
	  .rounds = 2000 },
	{ "buffer, 1 KiB", .bufs = true, .bookkeeping = true, .least = KIB, .most = KIB,
	  .live = 1000, .peer_live = 1000, .rounds = 100000 },
	{ "buffer, 64 KiB", .bufs = true, .bookkeeping = true, .least = 64 * KIB, .most = 64 * KIB,
	  .live = 1000, .peer_live = 1000, .rounds = 20000 },
	{ "buffer, 64 B to 64 KiB", .bufs = true, .bookkeeping = true, .least = 64,
	  .most = 64 * KIB, .live = 1000, .peer_live = 1000, .rounds = 50000 },
	{ "buffer, 64 B to 64 KiB", .bufs = true, .bookkeeping = true, .least = 64,
	  .most = 64 * KIB, .live = 10000, .peer_live = 10000, .rounds = 50000 },
	{ "buffer, 4 KiB", .bufs = true, .bookkeeping = true, .least = PAGE, .most = PAGE,
	  .live = 100000, .peer_live = 100000, .rounds = 50000 },
	{ "buffer, 4 KiB", .bufs = true, .bookkeeping = true, .least = PAGE, .most = PAGE,
	  .live = 1000000, .rounds = 50000 },
	{ "buffer, 1 KiB, two threads", .bufs = true, .bookkeeping = true, .threads = true,
	  .least = KIB, .most = KIB, .live = 1000, .peer_live = 1000, .rounds = 50000 },
};

/* Ours in place of the C library's, for the library under test. */
void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
int __real_madvise(void *addr, size_t len, int advice);
int __wrap_madvise(void *addr, size_t len, int advice);

static bool answer_at_once;

/* What is laid over the window, which is there already. */
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	if (answer_at_once && flags & (MAP_FIXED | MAP_FIXED_NOREPLACE))
		return addr;
	return __real_mmap(addr, len, prot, flags, fd, offset);
}

int __wrap_madvise(void *addr, size_t len, int advice)
{
	return answer_at_once ? 0 : __real_madvise(addr, len, advice);
}

static void fail(const char *what)
{
	fprintf(stderr, "bench-control: %s: %s\n", what, vdma_explain());
	exit(1);
}

/* One that lives: a region, a buffer, or what the peer has for them. */
union item {
	struct vdma_region *region;
	struct vdma_buf buf;
	void *peer;
};

/* Who makes them: ours, or the peer. */
struct maker {
	const struct job *job;
	struct vdma_arena *arena;
	bool peer;
	uint64_t rng;
	char *next; /* the peer's next range, of address space that nobody uses */
};

static size_t size_of(struct maker *m)
{
	size_t least = m->job->least, most = m->job->most;

	return least == most ? least : least + random_below(&m->rng, most - least + 1);
}

static void make_ours(struct maker *m, size_t len, union item *item)
{
	static const struct vdma_region_opts region_opts = {
		.size = sizeof(region_opts),
		.provider = VDMA_PROVIDER_ANON,
	};
	static const struct vdma_buf_opts buf_opts = {
		.size = sizeof(buf_opts),
		.contiguity = VDMA_CONTIG_INDIFFERENT,
	};

	if (m->job->bufs ? vdma_buf_alloc(m->arena, len, &buf_opts, &item->buf) :
			   vdma_region_create(m->arena, len, &region_opts, &item->region))
		fail(m->job->name);
}

static void make_peer(struct maker *m, size_t len, union item *item)
{
	if (m->job->bufs) {
		item->peer = peer_alloc(len);
	} else if (!item->peer) {
		/* Its place, for good. */
		item->peer = m->next;
		m->next += len;
	}
	if (!item->peer || (!m->job->bufs && !peer_register(item->peer, len, SIZE_2M))) {
		fprintf(stderr, "bench-control: %s: DPDK has no more\n", m->job->name);
		exit(1);
	}
}

static void make(struct maker *m, union item *item)
{
	size_t len = size_of(m);

	if (m->peer)
		make_peer(m, len, item);
	else
		make_ours(m, len, item);
}

static void drop(struct maker *m, union item *item)
{
	if (m->peer && m->job->bufs) {
		peer_free(item->peer);
	} else if (m->peer) {
		peer_unregister(item->peer, m->job->most);
	} else if (m->job->bufs ? vdma_buf_free(m->arena, &item->buf) :
				  vdma_region_destroy(item->region)) {
		fail(m->job->name);
	}
}

static void *pairs(void *arg)
{
	struct maker m = *(struct maker *)arg;
	union item item = { 0 };

	for (unsigned int i = 0; i < m.job->rounds; i++) {
		make(&m, &item);
		drop(&m, &item);
	}
	return NULL;
}

static double pair_ns(struct maker *m)
{
	double start = now_ns();

	pairs(m);
	return (now_ns() - start) / m->job->rounds;
}

/* What a pair takes a thread if another does the same. */
static double two_threads_ns(struct maker *m)
{
	double start = now_ns();
	pthread_t other;

	if (pthread_create(&other, NULL, pairs, m))
		exit(1);
	pairs(m);
	pthread_join(other, NULL);
	return (now_ns() - start) / m->job->rounds;
}

static double any_ns(struct maker *m, union item *live, size_t n)
{
	double start;

	if (m->job->threads)
		return two_threads_ns(m);
	start = now_ns();
	for (unsigned int i = 0; i < m->job->rounds; i++) {
		union item *any = &live[random_below(&m->rng, n)];

		drop(m, any);
		make(m, any);
	}
	return (now_ns() - start) / m->job->rounds;
}

static union item *fill(struct maker *m, size_t n)
{
	size_t all = m->job->gaps ? 2 * n : n;
	union item *live = calloc(all, sizeof(*live));

	if (!live)
		exit(1);
	for (size_t i = 0; i < all; i++)
		make(m, &live[i]);
	for (size_t i = 0; m->job->gaps && i < n; i++) {
		drop(m, &live[2 * i + 1]);
		live[i] = live[2 * i];
	}
	return live;
}

static void measure(const void *arg, int out)
{
	const struct job *job = arg;
	struct maker ours = { .job = job, .rng = (uint64_t)getpid() << 1 | 1 };
	struct maker theirs = { .job = job, .rng = ours.rng, .peer = true };
	union item *live, *peer_live = NULL;

	if (vdma_arena_create(NULL, &ours.arena))
		fail("arena");
	if (job->peer_live && peer_start(job->bufs ? 2048 : 64)) {
		/* One more has to fit between. */
		theirs.next = mmap(NULL, (job->peer_live + 2) * SIZE_2M, PROT_NONE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (theirs.next == MAP_FAILED)
			exit(1);
		theirs.next += -(uintptr_t)theirs.next % SIZE_2M;
		peer_live = fill(&theirs, job->peer_live);
	}
	answer_at_once = job->bookkeeping;
	live = fill(&ours, job->live);
	for (unsigned int i = 0; i < job->samples; i++) {
		double took[COLUMNS] = { [PEER_PAIR] = NAN, [PEER_ANY] = NAN };

		took[PAIR] = pair_ns(&ours);
		answer_at_once = false;
		if (peer_live)
			took[PEER_PAIR] = pair_ns(&theirs);
		answer_at_once = job->bookkeeping;
		took[ANY] = any_ns(&ours, live, job->live);
		answer_at_once = false;
		if (peer_live)
			took[PEER_ANY] = any_ns(&theirs, peer_live, job->peer_live);
		answer_at_once = job->bookkeeping;
		sample_put(out, took, sizeof(took));
	}
	free(live);
	free(peer_live);
}

static void print(struct spread s)
{
	printf("  %6.0f (%.0f to %.0f)", s.median, s.min, s.max);
}

static void row(const struct job *job)
{
	void *records;
	size_t n = sample_collect(PROCESSES, measure, job, COLUMNS * sizeof(double), &records);
	bool peer = !isnan(((const double *)records)[PEER_PAIR]);

	printf("%-27s %8zu", job->name, job->live);
	for (size_t c = 0; c < (peer ? COLUMNS : PEER_PAIR); c++)
		print(sample_spread(records, n, COLUMNS, c));
	if (peer) {
		printf("  %.1f", sample_ratio(records, n, COLUMNS, PEER_PAIR, PAIR).median);
		printf("  %.1f", sample_ratio(records, n, COLUMNS, PEER_ANY, ANY).median);
		if (job->peer_live != job->live)
			printf("  (beside %zu)", job->peer_live);
	}
	putchar('\n');
	free(records);
}

int main(int argc, char **argv)
{
	unsigned int samples = argc > 1 ? (unsigned int)strtoul(argv[1], NULL, 0) : 3;

	if (!samples || argc > 2) {
		fputs("usage: bench-control [SAMPLES]\n", stderr);
		return 2;
	}
	printf("ns: median (min to max) of %u samples; peer: %s\n"
	       "%-27s %8s  make, drop the same  drop any, make another; two threads: each a pair  "
	       "the peer's  its ratios\n",
	       PROCESSES * samples, peer_name(), "what", "live");
	for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++) {
		struct job job = jobs[i];

		job.samples = samples;
		row(&job);
	}
	return 0;
}
