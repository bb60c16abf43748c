// SPDX-License-Identifier: BSD-3-Clause
/*
 * bench-fragmentation FOLDER [SEED]: what can be had on a machine that is full.
 *
 * Fills memory, page by page, with page cache (a file in FOLDER, on a disk),
 * anonymous memory and some pages that cannot move (pipes), then frees pages at
 * random until 50, 75 or 90 % are in use. Then asks for contiguous memory: ours,
 * 2 MiB to 1 GiB and the largest that the oracle names; hugetlb pages at run time;
 * transparent huge pages. Each on a machine filled anew from the same seed.
 *
 * Judges: on a quiet machine ours must succeed wherever the oracle names no blocker
 * and wherever hugetlb does; else the exit status is 1. Under load (memory is
 * written and the file read meanwhile) the two may disagree: the rate is printed.
 *
 * As root, in a guest; scripts/stress fragmentation makes the file system.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <vdma/uapi/map_contig.h>

#include "../tests/random.h"
#include "registration.h"
#include "sample.h"

#define MIB (1024UL * 1024)
#define PAGE 4096UL
#define TRIES_MAX 8
#define PIPES 96
#define TRACING "/sys/kernel/tracing/"

static uint64_t random_state;
static size_t total;
static int file = -1;
static size_t file_pages;
static char *anonymous;
static size_t anonymous_pages;
static size_t anonymous_used;
static int pipes[PIPES][2];
static int node = -1;
static int wrong;

static void die(const char *what)
{
	fprintf(stderr, "bench-fragmentation: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t draw(uint64_t below)
{
	return random_below(&random_state, below);
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_TRUNC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		die(path);
	close(fd);
}

static size_t meminfo_of(const char *field)
{
	FILE *f = fopen("/proc/meminfo", "re");
	char line[128], name[64];
	size_t kib, value = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%63[^:]: %lu", name, &kib) == 2 && !strcmp(name, field))
			value = kib * 1024;
	if (!f || !value)
		die(field);
	fclose(f);
	return value;
}

/* --- The machine --- */

static void file_create(const char *folder)
{
	static char block[MIB];
	char path[256];

	snprintf(path, sizeof(path), "%s/fragmentation", folder);
	file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	file_pages = total * 45 / 100 / MIB * (MIB / PAGE);
	memset(block, 0x5a, sizeof(block));
	for (size_t i = 0; file >= 0 && i < file_pages * PAGE; i += MIB)
		if (write(file, block, MIB) != (ssize_t)MIB)
			die(path);
	if (file < 0 || fsync(file))
		die(path);
	/* No pages that are not asked for. */
	posix_fadvise(file, 0, 0, POSIX_FADV_RANDOM);
}

static void unfill(void)
{
	if (anonymous)
		munmap(anonymous, anonymous_pages * PAGE);
	anonymous = NULL;
	for (int i = 0; i < PIPES; i++) {
		if (pipes[i][0] > 0) {
			close(pipes[i][0]);
			close(pipes[i][1]);
		}
		pipes[i][0] = 0;
	}
	posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
	put("/proc/sys/vm/drop_caches", "3");
	put("/proc/sys/vm/compact_memory", "1");
}

/* Until nearly nothing is free, a bit of each kind in turn. */
static void fill_up(void)
{
	size_t read_pages = 0, rounds = 0;
	static char pages[64 * PAGE];

	memset(pages, 1, PAGE);
	anonymous_pages = total / PAGE;
	anonymous_used = 0;
	anonymous = mmap(NULL, total, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (anonymous == MAP_FAILED || madvise(anonymous, total, MADV_NOHUGEPAGE))
		die("anonymous memory");
	while (rounds++ % 16 || meminfo_of("MemFree") > total / 25) {
		size_t n = 1 + draw(64);

		if (draw(2) && read_pages + n <= file_pages) {
			if (pread(file, pages, n * PAGE, (off_t)(read_pages * PAGE)) !=
			    (ssize_t)(n * PAGE))
				die("reading");
			read_pages += n;
		} else if (anonymous_used + n < anonymous_pages) {
			for (size_t i = 0; i < n; i++)
				anonymous[anonymous_used++ * PAGE] = 1;
		}
		/* A page of a pipe's; which one is full takes no more. */
		if (!draw(12)) {
			int *ends = pipes[draw(PIPES)];

			if (!ends[0] && pipe2(ends, O_CLOEXEC | O_NONBLOCK))
				die("pipe");
			if (write(ends[1], pages, PAGE) < 0 && errno != EAGAIN)
				die("pipe");
		}
	}
}

static void thin_out(size_t percent)
{
	size_t want = total / 100 * (100 - percent);

	while (meminfo_of("MemFree") < want) {
		for (int i = 0; i < 256; i++) {
			if (draw(2))
				madvise(anonymous + draw(anonymous_used) * PAGE, PAGE,
					MADV_DONTNEED);
			else
				posix_fadvise(file, (off_t)(draw(file_pages) * PAGE), PAGE,
					      POSIX_FADV_DONTNEED);
		}
	}
}

static void fill(uint64_t seed, size_t percent)
{
	unfill();
	random_state = seed * 0x9e3779b97f4a7c15ULL | 1;
	fill_up();
	thin_out(percent);
}

/* --- Load --- */

static atomic_bool load_on;

static void *load(void *unused)
{
	uint64_t state = 88172645463325252ULL;
	char page[PAGE];

	(void)unused;
	while (load_on) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		anonymous[state % anonymous_used * PAGE]++;
		if (state >> 60 == 0 &&
		    pread(file, page, PAGE, (off_t)(state % file_pages * PAGE)) < 0)
			die("reading");
	}
	return NULL;
}

/* --- Ours --- */

struct tries {
	unsigned int n;
	unsigned int got;
	unsigned int promised;
	unsigned int broken;
	uint64_t length;
	double ms[TRIES_MAX];
	long moved;
};

/* Pages that the allocations since the last call have moved. */
static long moved_since(void)
{
	FILE *f = fopen(TRACING "trace", "re");
	long sum = 0;
	char line[512], *at;

	if (!f)
		die(TRACING "trace");
	while (fgets(line, sizeof(line), f))
		if (strstr(line, "map_contig_alloc:") && (at = strstr(line, "moved=")))
			sum += strtol(at + 6, NULL, 10);
	fclose(f);
	put(TRACING "trace", "\n");
	return sum;
}

static void ask_oracle(struct map_contig_oracle *oracle, uint64_t length)
{
	*oracle = (struct map_contig_oracle){ .size = sizeof(*oracle), .length = length };
	if (ioctl(node, MAP_CONTIG_ORACLE, oracle))
		die("oracle");
}

/* length 0: the largest that the oracle names. All are held until the last one is had. */
static void try_ours(struct tries *tries, uint64_t length, unsigned int n, bool quiet)
{
	int fds[TRIES_MAX];

	memset(tries, 0, sizeof(*tries));
	moved_since();
	for (tries->n = 0; tries->n < n; tries->n++) {
		struct map_contig_alloc alloc = { .size = sizeof(alloc) };
		struct map_contig_oracle oracle;
		double start;

		ask_oracle(&oracle, length);
		alloc.length = tries->length = length ? length : oracle.largest;
		start = now_ns();
		fds[tries->n] = ioctl(node, MAP_CONTIG_ALLOC, &alloc) ? -1 : alloc.fd;
		tries->ms[tries->n] = (now_ns() - start) / 1e6;
		tries->got += fds[tries->n] >= 0;
		tries->promised += oracle.blocker == MAP_CONTIG_BLOCK_NONE;
		if (fds[tries->n] < 0 && oracle.blocker == MAP_CONTIG_BLOCK_NONE) {
			tries->broken++;
			if (quiet) {
				printf("  WRONG: %lu MiB failed though the oracle names no blocker (largest %llu MiB)\n",
				       (unsigned long)(alloc.length / MIB), oracle.largest / MIB);
				wrong = 1;
			}
		}
	}
	for (unsigned int i = 0; i < n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	tries->moved = moved_since();
}

static void tell(const char *name, struct tries *tries)
{
	double worst = 0;

	for (unsigned int i = 0; i < tries->n; i++)
		if (tries->ms[i] > worst)
			worst = tries->ms[i];
	printf("  %-28s %2u of %u %10.1f ms %10.1f ms", name, tries->got, tries->n,
	       median(tries->ms, tries->n), worst);
	if (tries->moved < 0)
		printf("\n"); /* nothing tells */
	else
		printf(" %10ld\n", tries->moved);
	fflush(stdout);
}

static const struct {
	uint64_t length;
	unsigned int tries;
} asks[] = { { 2 * MIB, 7 }, { 32 * MIB, 3 }, { 256 * MIB, 1 }, { 1024 * MIB, 1 }, { 0, 1 } };

#define ASKS (sizeof(asks) / sizeof(*asks))

static void ours(struct tries *tries, bool quiet)
{
	char name[64];

	for (size_t i = 0; i < ASKS; i++) {
		/* The large ones drive the page cache out. */
		try_ours(&tries[i], asks[i].length, asks[i].tries, quiet);
		snprintf(name, sizeof(name), "%s %lu MiB%s", quiet ? "ours" : "ours, load",
			 (unsigned long)(tries[i].length / MIB), asks[i].length ? "" : ", largest");
		tell(name, &tries[i]);
	}
}

/* --- Hugetlb and transparent huge pages --- */

static void hugetlb(struct tries *tries, size_t size, unsigned int n)
{
	unsigned long had = 0, have;
	char path[96], text[32];

	memset(tries, 0, sizeof(*tries));
	tries->length = size;
	tries->moved = -1;
	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%lukB/nr_hugepages",
		 (unsigned long)(size / 1024));
	for (tries->n = 0; tries->n < n; tries->n++) {
		double start = now_ns();
		FILE *f;

		snprintf(text, sizeof(text), "%lu", had + 1);
		put(path, text);
		tries->ms[tries->n] = (now_ns() - start) / 1e6;
		f = fopen(path, "re");
		if (!f || fscanf(f, "%lu", &have) != 1)
			die(path);
		fclose(f);
		tries->got += have > had;
		had = have;
	}
	put(path, "0");
	snprintf(text, sizeof(text), "hugetlb %lu MiB", (unsigned long)(size / MIB));
	tell(text, tries);
}

/* Of the mapping that begins at addr, from smaps. */
static size_t huge_bytes(const void *addr)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	char line[256], start[32];
	size_t kib = 0;
	bool seen = false;

	if (!f)
		die("/proc/self/smaps");
	snprintf(start, sizeof(start), "%lx-", (unsigned long)(uintptr_t)addr);
	while (fgets(line, sizeof(line), f)) {
		seen |= !strncmp(line, start, strlen(start));
		if (seen && sscanf(line, "AnonHugePages: %lu", &kib) == 1)
			break;
	}
	fclose(f);
	return kib * 1024;
}

static void thp(void)
{
	size_t length = 64 * MIB;
	struct tries tries = { .n = 1, .moved = -1 };
	char *addr = mmap(NULL, length + 2 * MIB, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *from = (char *)(((uintptr_t)addr + 2 * MIB - 1) & ~(2 * MIB - 1));
	size_t huge;
	double start;
	char name[64];

	if (addr == MAP_FAILED || madvise(from, length, MADV_HUGEPAGE))
		die("transparent huge pages");
	start = now_ns();
	for (size_t i = 0; i < length; i += PAGE)
		from[i] = 1;
	tries.ms[0] = (now_ns() - start) / 1e6;
	huge = huge_bytes(from);
	tries.got = huge == length;
	snprintf(name, sizeof(name), "THP 64 MiB: %lu huge", (unsigned long)(huge / MIB));
	tell(name, &tries);
	munmap(addr, length + 2 * MIB);
}

/* --- The course of it --- */

static void level(uint64_t seed, size_t percent)
{
	struct tries own[ASKS], pages, giant;

	printf("%zu %% of memory in use\n  %-28s %7s %13s %13s %10s\n", percent, "", "got",
	       "median", "worst", "moved");
	fill(seed, percent);
	ours(own, true);
	fill(seed, percent);
	hugetlb(&pages, 2 * MIB, asks[0].tries);
	hugetlb(&giant, 1024 * MIB, 1);
	fill(seed, percent);
	thp();
	if (pages.got > own[0].got || giant.got > own[3].got) {
		printf("  WRONG: hugetlb got what ours did not\n");
		wrong = 1;
	}
}

static void level_under_load(uint64_t seed, size_t percent)
{
	unsigned int asked = 0, broken = 0;
	struct tries own[ASKS];
	pthread_t thread;

	printf("%zu %% of memory in use, under load\n", percent);
	fill(seed, percent);
	load_on = true;
	if (pthread_create(&thread, NULL, load, NULL))
		die("thread");
	ours(own, false);
	load_on = false;
	pthread_join(thread, NULL);
	for (size_t i = 0; i < ASKS; i++) {
		asked += own[i].promised;
		broken += own[i].broken;
	}
	printf("  %u of %u that the oracle promised were not had\n", broken, asked);
}

int main(int argc, char **argv)
{
	static const size_t levels[] = { 50, 75, 90 };
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;

	if (argc < 2) {
		fprintf(stderr, "usage: bench-fragmentation FOLDER [SEED]\n");
		return 2;
	}
	total = meminfo_of("MemTotal");
	printf("seed %lu, %zu MiB of memory\n", (unsigned long)seed, total / MIB);
	node = open(MAP_CONTIG_DEVICE, O_RDWR | O_CLOEXEC);
	if (node < 0)
		die(MAP_CONTIG_DEVICE);
	put(TRACING "events/map_contig/map_contig_alloc/enable", "1");
	file_create(argv[1]);
	for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++)
		level(seed, levels[i]);
	for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++)
		level_under_load(seed, levels[i]);
	unfill();
	printf(wrong ? "WRONG\n" : "ours had all that the oracle promised and that hugetlb had\n");
	return wrong;
}
