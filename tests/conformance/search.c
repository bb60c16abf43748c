// SPDX-License-Identifier: BSD-3-Clause
/* C7 and D6, and what ORACLE says: what a search finds, how long it takes, and who waits for it. */
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "suite.h"
#include "uapi.h"

/* Large enough that half of it has to be moved away. */
#define LARGE (384 * MIB)

/*
 * As large, or as there is: where the kernel's own pages have come to lie in the course of
 * all tests, and how much is available, differs from boot to boot. What lies on per-CPU
 * lists does not count as available, which makes that waver by tens of MiB.
 */
static size_t large(void)
{
	const struct map_contig_constraints want = { 0 };
	size_t len = oracle_largest(&want), available = limits_now().available / 8 * 7;

	if (len > available)
		len = available;
	if (len < LARGE)
		note("%zu MiB instead of %zu", len / MIB, (size_t)(LARGE / MIB));
	CHECK(len >= LARGE / 4);
	return len < LARGE ? len / FOLIO * FOLIO : LARGE;
}

/* Memory is in the way: a quarter in small pieces, half of them free, the rest in large ones. */
static void *fragment(size_t *len)
{
	char *va;

	*len = (size_t)(meminfo("MemAvailable") - (int64_t)(320 * MIB)) / FOLIO * FOLIO;
	va = mmap(NULL, *len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		  -1, 0);
	CHECK_OK(va);
	CHECK_OK(madvise(va, *len / 4 / FOLIO * FOLIO, MADV_NOHUGEPAGE));
	for (size_t i = 0; i < *len; i += PAGE)
		va[i] = 1;
	for (size_t i = 0; i < *len / 4; i += 64 * KIB)
		CHECK_OK(madvise(va + i, 32 * KIB, MADV_DONTNEED));
	return va;
}

/*
 * One that is not heard while it searches is gone when it has found. Two seconds are enough
 * wherever a piece of 256 MiB is prepared in less; with KASAN and page poisoning it
 * takes seconds, and then the time of a whole search, in the same run, is the measure.
 */
static void d6_killed_while_it_searches(void)
{
	double worst = 0, whole, idle, bound;
	size_t len, size;
	void *fill = fragment(&len), *va;

	size = large();
	whole = now_ms();
	va = contig_alloc(size);
	whole = now_ms() - whole;
	CHECK_OK(va);
	munmap(va, size);
	idle = kill_idle_ms(size);
	for (unsigned int i = 0; i < 4; i++) {
		double took;
		pid_t pid = fork();

		CHECK_OK(pid);
		if (!pid)
			for (;;) {
				va = contig_alloc(size);
				CHECK_OK(va);
				munmap(va, size);
			}
		usleep(20000 + 41000 * i);
		took = kill_ms(pid);
		if (took > worst)
			worst = took;
	}
	note("%zu MiB: gone %.0f ms after SIGKILL, at worst, one that sleeps %.0f ms; had in %.0f ms",
	     size / MIB, worst, idle, whole);
	bound = 2 * idle + whole / 2;
	CHECK(worst < (bound > 2000 ? bound : 2000));
	munmap(fill, len);
	CHECK_EQ(ledger_wait(0), 0);
}

static void d6_deadline(void)
{
	struct map_contig_constraints want = { .deadline_ms = 10 };
	int64_t before;
	double start, took;
	size_t len, size;
	void *fill = fragment(&len);

	size = large();
	before = mem_free_settled();
	start = now_ms();
	CHECK_ERRNO(region_mmap(size, &want), ETIME);
	took = now_ms() - start;
	note("%zu MiB with a deadline of 10 ms: given up after %.0f ms", size / MIB, took);
	CHECK(took < 2000);
	check_free(before);
	CHECK_EQ(ledger_wait(0), 0);

	/* One that is far enough away does not matter. */
	want.deadline_ms = 1000000;
	CHECK_OK(region_mmap(32 * MIB, &want));
	munmap(fill, len);
}

/* Threads of the same process go on mapping and unmapping meanwhile. */
struct neighbour {
	volatile bool on;
	double worst;
	unsigned long rounds;
};

static void *map_and_unmap(void *arg)
{
	struct neighbour *n = arg;

	while (n->on) {
		double start = now_ms(), took;
		char *va = mmap(NULL, 64 * KIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				-1, 0);

		CHECK_OK(va);
		va[0] = 1;
		CHECK_OK(munmap(va, 64 * KIB));
		took = now_ms() - start;
		if (took > n->worst)
			n->worst = took;
		n->rounds++;
		usleep(1000);
	}
	return NULL;
}

static void d6_other_threads_go_on(void)
{
	struct neighbour n = { .on = true };
	pthread_t thread;
	double start, took;
	size_t len;
	void *fill = fragment(&len);
	int node = node_open(), region;
	size_t size = large();

	CHECK_EQ(pthread_create(&thread, NULL, map_and_unmap, &n), 0);
	usleep(50 * 1000);
	n.worst = 0;
	n.rounds = 0;
	start = now_ms();
	region = region_alloc(node, size, NULL);
	took = now_ms() - start;
	n.on = false;
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_OK(region);
	note("ALLOC of %zu MiB took %.0f ms; another thread's mmap and munmap %.1f ms at worst, %lu times",
	     size / MIB, took, n.worst, n.rounds);
	CHECK(n.rounds > 5);
	CHECK(n.worst < took / 3);
	close(region);
	munmap(fill, len);
}

/* What the oracle promises can be had; for more, it names what is in the way. */
static void d6_oracle_tells_the_truth(void)
{
	struct map_contig_oracle oracle = { .size = sizeof(oracle), .length = 32 * MIB };
	int node = node_open(), region;
	size_t len;
	void *fill = fragment(&len);

	CHECK_OK(ioctl(node, MAP_CONTIG_ORACLE, &oracle));
	CHECK(oracle.largest >= 32 * MIB);
	CHECK_EQ(oracle.blocker, MAP_CONTIG_BLOCK_NONE);
	CHECK_EQ(oracle.blocker_phys, MAP_CONTIG_PHYS_NONE);
	region = region_alloc(node, 32 * MIB, NULL);
	CHECK_OK(region);
	close(region);

	oracle = (struct map_contig_oracle){ .size = sizeof(oracle), .length = 1UL << 45 };
	CHECK_OK(ioctl(node, MAP_CONTIG_ORACLE, &oracle));
	CHECK(oracle.largest < 1UL << 45);
	CHECK(oracle.blocker != MAP_CONTIG_BLOCK_NONE);
	munmap(fill, len);
	CHECK_ERRNO(region_alloc(node, 1UL << 45, NULL), ENOMEM);

	/* With a constraint it answers for that. */
	oracle = (struct map_contig_oracle){ .size = sizeof(oracle),
					     .length = MIB,
					     .want = { .phys_max = 2 * PAGE } };
	CHECK_OK(ioctl(node, MAP_CONTIG_ORACLE, &oracle));
	CHECK(oracle.largest <= 2 * PAGE);
	oracle.want.phys_max = 0;
	oracle.want.alignment = 3;
	CHECK_ERRNO(ioctl(node, MAP_CONTIG_ORACLE, &oracle), EINVAL);
}

/* Small ones come without a search. */
static void d6_small_sizes_are_quick(void)
{
	double start, small, large;
	void *va;

	start = now_ms();
	for (int i = 0; i < 100; i++) {
		va = contig_alloc(8 * KIB);
		CHECK_OK(va);
		munmap(va, 8 * KIB);
	}
	small = (now_ms() - start) / 100;
	start = now_ms();
	va = contig_alloc(64 * MIB);
	large = now_ms() - start;
	CHECK_OK(va);
	note("8 KiB: %.2f ms, 64 MiB: %.1f ms", small, large);
	CHECK(small < large);
	munmap(va, 64 * MIB);
}

#define WINDOW (32 * MIB)

static void only_length_aligned(bool on)
{
	static const char path[] = "/sys/module/map_contig/parameters/search_length_aligned_only";
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	CHECK_OK(fd);
	CHECK_EQ(write(fd, on ? "1" : "0", 1), 1);
	close(fd);
}

static uint64_t physical(int node, const void *va)
{
	struct map_contig_query query;

	CHECK_OK(node_query(node, va, &query));
	return query.phys;
}

/*
 * The kernel's alloc_contig_pages() tries starts that are aligned to the length
 * and no others. Every such window gets a block of 2 MiB: at its start, the next
 * one at its end, so that between two of them there is room for a window, but not
 * for an aligned one.
 */
static void c7_finds_what_no_aligned_window_has(void)
{
	int node = node_open();
	unsigned int blocked = 0;
	uint64_t at;
	char *va;

	only_length_aligned(true);
	while ((va = region_mmap(WINDOW, NULL)) != MAP_FAILED) {
		at = physical(node, va);
		CHECK_EQ(at % WINDOW, 0);
		CHECK(++blocked < 4096);
		if (at / WINDOW % 2)
			CHECK_OK(munmap(va, WINDOW - FOLIO));
		else
			CHECK_OK(munmap(va + FOLIO, WINDOW - FOLIO));
	}
	CHECK_EQ(errno, ENOMEM);
	/* Without an earlier one to compare with, this would prove nothing. */
	CHECK(blocked > 2);

	only_length_aligned(false);
	va = region_mmap(WINDOW, NULL);
	CHECK_OK(va);
	at = physical(node, va);
	note("%u aligned windows of %lu MiB blocked, one found at 0x%" PRIx64, blocked,
	     WINDOW / MIB, at);
	CHECK(at % WINDOW != 0);
	only_length_aligned(true);
	CHECK_ERRNO(region_mmap(WINDOW, NULL), ENOMEM);
}

const struct test search_tests[] = {
	TEST_SLOW(c7_finds_what_no_aligned_window_has, 240),
	TEST_FRONTS(d6_killed_while_it_searches, FRONT_IOCTL | FRONT_MMAP),
	TEST(d6_deadline),
	TEST(d6_other_threads_go_on),
	TEST(d6_oracle_tells_the_truth),
	TEST_FRONTS(d6_small_sizes_are_quick, FRONT_IOCTL),
	TESTS_END,
};
