// SPDX-License-Identifier: BSD-3-Clause
/* C1, C2, C7, C8, D2: what one gets, or does not get. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>

#include "observe.h"
#include "suite.h"
#include "uapi.h"

static const size_t sizes[] = {
	4 * KIB, 12 * KIB, 64 * KIB, 2 * MIB, 2 * MIB + 12 * KIB, 4 * MIB, 5 * MIB, 64 * MIB,
};
#define NSIZES (sizeof(sizes) / sizeof(sizes[0]))

/* Faults taken by writing to every page of new memory. */
static long faults_of_touching(volatile char *va, size_t len)
{
	long before = faults();

	for (size_t i = 0; i < len; i += PAGE)
		va[i] = 1;
	return faults() - before;
}

static void check_good(size_t len)
{
	char *va = contig_alloc(len);
	uint64_t *frames;

	if (va == MAP_FAILED)
		FAIL("%zu KiB: %m", len / KIB);
	frames = pagemap_frames(va, len);
	if (!frames_consecutive(frames, len / PAGE))
		FAIL("%zu KiB are not contiguous", len / KIB);
	free(frames);
	CHECK_OK(munmap(va, len));
}

static void c1_contiguous(void)
{
	for (size_t i = 0; i < NSIZES; i++)
		check_good(sizes[i]);
}

/* As large as half a gigabyte and more; not a power of two. */
static void c1_contiguous_large(void)
{
	check_good(512 * MIB);
	check_good(700 * MIB);
}

static void c1_contiguous_1g(void)
{
	SKIP_IF(meminfo("MemTotal") < (int64_t)(2800 * MIB), "less than 3 GiB of memory");
	check_good(GIB);
}

/* Whole folios are mapped by PMD, at once. */
static void check_pmd_mapped(size_t len)
{
	char *va = contig_alloc(len);
	int64_t mapped;

	SKIP_IF(!(node_features() & MAP_CONTIG_HAS_FOLIOS),
		"the kernel has no 2 MiB folios for it");
	if (va == MAP_FAILED)
		FAIL("%zu MiB: %m", len / MIB);
	mapped = smaps(va, "FilePmdMapped");
	CHECK_EQ(mapped, len / FOLIO * FOLIO);
	CHECK_EQ(smaps(va, "Rss"), len);
	munmap(va, len);
}

static void c1_pmd_mapped(void)
{
	check_pmd_mapped(2 * MIB);
	check_pmd_mapped(4 * MIB + 12 * KIB);
	check_pmd_mapped(256 * MIB);
}

static void c1_pmd_mapped_on_used_memory(void)
{
	memory_churn();
	check_pmd_mapped(2 * MIB);
	check_pmd_mapped(256 * MIB);
}

/* At an address that PMDs cannot serve, the mapping is whole all the same. */
static void c1_unaligned_address(void)
{
	size_t len = 4 * MIB;
	char *hole = mmap(NULL, len + FOLIO, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *va, *at;
	uint64_t *frames;

	CHECK_OK(hole);
	at = (char *)(((uintptr_t)hole + FOLIO - 1) / FOLIO * FOLIO) + 3 * PAGE;
	va = contig_mmap_at(at, len - FOLIO, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED);
	CHECK(va == at);
	CHECK_EQ(faults_of_touching(va, len - FOLIO), 0);
	frames = pagemap_frames(va, len - FOLIO);
	CHECK(frames_consecutive(frames, (len - FOLIO) / PAGE));
	free(frames);
	munmap(hole, len + FOLIO);
}

static void c2_fails_whole(void)
{
	size_t too_large = (size_t)meminfo("MemTotal") + 64 * MIB;
	int64_t before, after;

	before = mem_free_at_rest();
	CHECK_ERRNO(contig_alloc(too_large), ENOMEM);

	/* Not larger than memory, but no zone holds such a run: memory is in use. */
	CHECK_ERRNO(contig_alloc((size_t)meminfo("MemTotal") - 32 * MIB), ENOMEM);

	after = mem_free_at_rest();
	CHECK_RANGE(after, before - (int64_t)(4 * MIB), before + (int64_t)(64 * MIB));
	CHECK_EQ(ledger_lines(), 0);
	CHECK_EQ(status("VmLck"), 0);
	CHECK_EQ(status("VmPin"), 0);
}

/* Movable pages are in the way: anonymous ones, every other folio kept. */
static void c7_migrates_movable_pages(void)
{
	size_t len = ((size_t)meminfo("MemAvailable") - 128 * MIB) / FOLIO * FOLIO;
	size_t want = 256 * MIB;
	uint64_t *frames;
	char *fill, *va;

	fill = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		    -1, 0);
	CHECK_OK(fill);
	CHECK_OK(madvise(fill, len, MADV_NOHUGEPAGE));
	for (size_t i = 0; i < len; i += PAGE)
		memcpy(fill + i, &i, sizeof(i));
	/* Free every other 64 KiB: half of memory is free, no run is long. */
	for (size_t i = 0; i < len; i += 128 * KIB)
		CHECK_OK(madvise(fill + i, 64 * KIB, MADV_DONTNEED));

	va = contig_alloc(want);
	if (va == MAP_FAILED)
		FAIL("256 MiB with half of memory free in pieces of 64 KiB: %m");
	frames = pagemap_frames(va, want);
	CHECK(frames_consecutive(frames, want / PAGE));
	free(frames);

	/* What was moved out of the way is as it was. */
	for (size_t i = 64 * KIB; i < len; i += 128 * KIB)
		for (size_t j = i; j < i + 64 * KIB && j < len; j += PAGE)
			CHECK(!memcmp(fill + j, &j, sizeof(j)));
	munmap(va, want);
	munmap(fill, len);
}

/* Page cache is in the way, of a file that nobody maps. */
static void c7_migrates_page_cache(void)
{
	/* Half of memory is taken otherwise, and quickly. */
	size_t len, taken;
	void *fill = memory_fill((size_t)meminfo("MemAvailable") / 2, &taken);
	int fd = memfd_create("cache", MFD_CLOEXEC);
	char *block = calloc(1, MIB);
	uint64_t *frames;
	char *va;

	CHECK_OK(fd);
	len = ((size_t)meminfo("MemAvailable") - 160 * MIB) / FOLIO * FOLIO;
	for (size_t i = 0; i < len; i += MIB) {
		for (size_t j = 0; j < MIB; j += PAGE)
			*(size_t *)(block + j) = i + j;
		CHECK_EQ(write(fd, block, MIB), MIB);
	}
	/* Half of it, in pieces. */
	for (size_t i = 0; i < len; i += 128 * KIB)
		CHECK_OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)i,
				   64 * KIB));
	va = contig_alloc(128 * MIB);
	CHECK_OK(va);
	frames = pagemap_frames(va, 128 * MIB);
	CHECK(frames_consecutive(frames, 128 * MIB / PAGE));
	for (size_t i = 0; i < len; i += 128 * KIB) {
		CHECK_EQ(pread(fd, block, 64 * KIB, (off_t)(i + 64 * KIB)), 64 * KIB);
		for (size_t j = 0; j < 64 * KIB; j += PAGE)
			CHECK_EQ(*(size_t *)(block + j), i + 64 * KIB + j);
	}
	munmap(va, 128 * MIB);
	memory_fill_check(fill, taken);
	munmap(fill, taken);
}

static void c8_no_fault_on_first_touch(void)
{
	char warm[16];

	/* The code that measures has pages of its own. */
	faults_of_touching(warm, sizeof(warm));
	for (size_t i = 0; i < NSIZES; i++) {
		/* Without MAP_POPULATE. */
		char *va = contig_alloc(sizes[i]);

		CHECK_OK(va);
		CHECK_EQ(faults_of_touching(va, sizes[i]), 0);
		munmap(va, sizes[i]);
	}
}

static void c8_no_fault_with_populate(void)
{
	char *va = contig_mmap_at(NULL, 8 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE);

	CHECK_OK(va);
	CHECK_EQ(faults_of_touching(va, 8 * MIB), 0);
	munmap(va, 8 * MIB);
}

/* Memory that was full of somebody's bytes comes back as zeroes. */
static void check_zeroed(size_t len)
{
	char *va = contig_alloc(len);

	CHECK_OK(va);
	if (!is_filled(va, len, 0))
		FAIL("%zu KiB are not zeroed", len / KIB);
	memset(va, 0x5a, len);
	munmap(va, len);
}

static void d2_zeroed(void)
{
	static const size_t some[] = { 4 * KIB, 12 * KIB, 2 * MIB + 12 * KIB, 16 * MIB };

	/* The second time, it is what was dirtied the first time, or its neighbour. */
	for (size_t i = 0; i < 4; i++) {
		check_zeroed(some[i]);
		check_zeroed(some[i]);
	}
}

static void d2_zeroed_on_used_memory(void)
{
	memory_churn();
	check_zeroed(128 * MIB);
	check_zeroed(4 * KIB);
}

const struct test contiguous_tests[] = {
	TEST_FRONTS(c1_contiguous, FRONT_ALL),
	TEST_FRONTS(c1_contiguous_large, FRONT_IOCTL),
	TEST_FRONTS(c1_contiguous_1g, FRONT_IOCTL),
	TEST_FRONTS(c1_pmd_mapped, FRONT_ALL),
	TEST(c1_unaligned_address),
	TEST_FRONTS(c2_fails_whole, FRONT_ALL),
	TEST_FRONTS(c8_no_fault_on_first_touch, FRONT_ALL),
	TEST(c8_no_fault_with_populate),
	TEST_FRONTS(d2_zeroed, FRONT_ALL),
	TEST(c1_pmd_mapped_on_used_memory),
	TEST(d2_zeroed_on_used_memory),
	TEST_FRONTS(c7_migrates_movable_pages, FRONT_MMAP),
	TEST_FRONTS(c7_migrates_page_cache, FRONT_IOCTL),
	TESTS_END,
};
