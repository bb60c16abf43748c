// SPDX-License-Identifier: BSD-3-Clause
/* C1, C2, C7, C8, D2: what one gets, or does not get. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "observe.h"
#include "suite.h"

static const size_t sizes[] = {
	4 * KIB, 12 * KIB, 64 * KIB, 2 * MIB,	2 * MIB + 12 * KIB,
	4 * MIB, 5 * MIB,  64 * MIB, 512 * MIB, 700 * MIB,
};

/* Faults taken by writing to every page of new memory. */
static long faults_of_touching(volatile char *va, size_t len)
{
	long before = faults();

	for (size_t i = 0; i < len; i += PAGE)
		va[i] = 1;
	return faults() - before;
}

static void c1_contiguous(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *va = contig_mmap(sizes[i]);
		uint64_t *frames;

		if (va == MAP_FAILED)
			fail_msg("%zu KiB: %m", sizes[i] / KIB);
		frames = pagemap_frames(va, sizes[i]);
		if (!frames_consecutive(frames, sizes[i] / PAGE))
			fail_msg("%zu KiB are not contiguous", sizes[i] / KIB);
		free(frames);
		assert_return_code(munmap(va, sizes[i]), errno);
	}
}

/* Whole folios are mapped by PMD, at once, wherever the kernel can. */
static void assert_pmd_mapped(size_t len)
{
	char *va = contig_mmap(len);
	int64_t mapped;

	if (va == MAP_FAILED)
		fail_msg("%zu MiB: %m", len / MIB);
	mapped = smaps(va, "FilePmdMapped");
	assert_int_equal(mapped, kernel_has_folios() ? len / FOLIO * FOLIO : 0);
	assert_int_equal(smaps(va, "Rss"), len);
	munmap(va, len);
}

static void c1_pmd_mapped(void **state)
{
	(void)state;
	assert_pmd_mapped(2 * MIB);
	assert_pmd_mapped(4 * MIB + 12 * KIB);
	assert_pmd_mapped(256 * MIB);
}

static void c1_pmd_mapped_on_used_memory(void **state)
{
	(void)state;
	memory_churn();
	assert_pmd_mapped(2 * MIB);
	assert_pmd_mapped(256 * MIB);
}

/* At an address that PMDs cannot serve, the mapping is whole all the same. */
static void c1_unaligned_address(void **state)
{
	size_t len = 4 * MIB;
	char *hole = mmap(NULL, len + FOLIO, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *va, *at;
	uint64_t *frames;

	(void)state;
	assert_ptr_not_equal(hole, MAP_FAILED);
	at = (char *)(((uintptr_t)hole + FOLIO - 1) / FOLIO * FOLIO) + 3 * PAGE;
	va = contig_mmap_at(at, len - FOLIO, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED);
	assert_ptr_equal(va, at);
	assert_int_equal(faults_of_touching(va, len - FOLIO), 0);
	frames = pagemap_frames(va, len - FOLIO);
	assert_true(frames_consecutive(frames, (len - FOLIO) / PAGE));
	free(frames);
	munmap(hole, len + FOLIO);
}

static void c2_fails_whole(void **state)
{
	size_t too_large = (size_t)meminfo("MemTotal") + 64 * MIB;
	int64_t before, after;
	void *va;

	(void)state;
	before = mem_free_settled();
	va = contig_mmap(too_large);
	assert_ptr_equal(va, MAP_FAILED);
	assert_int_equal(errno, ENOMEM);

	/* Not larger than memory, but no zone holds such a run: memory is in use. */
	va = contig_mmap((size_t)meminfo("MemTotal") - 32 * MIB);
	assert_ptr_equal(va, MAP_FAILED);
	assert_int_equal(errno, ENOMEM);

	after = mem_free_settled();
	assert_in_range(after, before - (int64_t)(4 * MIB), before + (int64_t)(64 * MIB));
	assert_int_equal(ledger_lines(), 0);
	assert_int_equal(status("VmLck"), 0);
	assert_int_equal(status("VmPin"), 0);
}

/* Movable pages are in the way: anonymous ones, every other folio kept. */
static void c7_migrates_movable_pages(void **state)
{
	size_t len = ((size_t)meminfo("MemAvailable") - 128 * MIB) / FOLIO * FOLIO;
	size_t want = 256 * MIB;
	uint64_t *frames;
	char *fill, *va;

	(void)state;
	fill = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		    -1, 0);
	assert_ptr_not_equal(fill, MAP_FAILED);
	assert_return_code(madvise(fill, len, MADV_NOHUGEPAGE), errno);
	for (size_t i = 0; i < len; i += PAGE)
		memcpy(fill + i, &i, sizeof(i));
	/* Free every other 64 KiB: half of memory is free, no run is long. */
	for (size_t i = 0; i < len; i += 128 * KIB)
		assert_return_code(madvise(fill + i, 64 * KIB, MADV_DONTNEED), errno);

	va = contig_mmap(want);
	if (va == MAP_FAILED)
		fail_msg("256 MiB with half of memory free in pieces of 64 KiB: %m");
	frames = pagemap_frames(va, want);
	assert_true(frames_consecutive(frames, want / PAGE));
	free(frames);

	/* What was moved out of the way is as it was. */
	for (size_t i = 64 * KIB; i < len; i += 128 * KIB)
		for (size_t j = i; j < i + 64 * KIB && j < len; j += PAGE)
			assert_memory_equal(fill + j, &j, sizeof(j));
	munmap(va, want);
	munmap(fill, len);
}

static void c8_no_fault_on_first_touch(void **state)
{
	char warm[16];

	(void)state;
	/* The code that measures has pages of its own. */
	faults_of_touching(warm, sizeof(warm));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		/* Without MAP_POPULATE. */
		char *va = contig_mmap(sizes[i]);

		assert_ptr_not_equal(va, MAP_FAILED);
		assert_int_equal(faults_of_touching(va, sizes[i]), 0);
		munmap(va, sizes[i]);
	}
}

static void c8_no_fault_with_populate(void **state)
{
	char *va = contig_mmap_at(NULL, 8 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE);

	(void)state;
	assert_ptr_not_equal(va, MAP_FAILED);
	assert_int_equal(faults_of_touching(va, 8 * MIB), 0);
	munmap(va, 8 * MIB);
}

static int is_zero(const char *va, size_t len)
{
	return !va[0] && !memcmp(va, va + 1, len - 1);
}

/* Memory that was full of somebody's bytes comes back as zeroes. */
static void d2_zeroed(void **state)
{
	(void)state;
	memory_churn();
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *va = contig_mmap(sizes[i]);

		assert_ptr_not_equal(va, MAP_FAILED);
		if (!is_zero(va, sizes[i]))
			fail_msg("%zu KiB are not zeroed", sizes[i] / KIB);
		memset(va, 0x5a, sizes[i]);
		munmap(va, sizes[i]);
	}
}

int run_allocation(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(c1_contiguous),
		cmocka_unit_test(c1_pmd_mapped),
		cmocka_unit_test(c1_unaligned_address),
		cmocka_unit_test(c2_fails_whole),
		cmocka_unit_test(c8_no_fault_on_first_touch),
		cmocka_unit_test(c8_no_fault_with_populate),
		cmocka_unit_test(d2_zeroed),
		cmocka_unit_test(c1_pmd_mapped_on_used_memory),
		cmocka_unit_test(c7_migrates_movable_pages),
	};

	return cmocka_run_group_tests_name("allocation", tests, NULL, NULL);
}
