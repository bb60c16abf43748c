// SPDX-License-Identifier: BSD-3-Clause
/* C3: what the front ends refuse, and what they leave alone. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <vdma/mmap.h>
#include <vdma/typed_mem.h>

#include "suite.h"
#include "uapi.h"

#define RW (PROT_READ | PROT_WRITE)
#define CONTIG (MAP_CONTIG | MAP_ANONYMOUS | MAP_PRIVATE)

static void c3_anonymous_only(void)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	CHECK_OK(fd);
	CHECK_OK(ftruncate(fd, PAGE));
	CHECK_ERRNO(contig_map(NULL, PAGE, RW, MAP_CONTIG | MAP_PRIVATE, fd, 0), EINVAL);
	CHECK_ERRNO(contig_map(NULL, PAGE, RW, MAP_CONTIG | MAP_SHARED, fd, 0), EINVAL);
	CHECK_ERRNO(contig_map(NULL, PAGE, RW, CONTIG, fd, 0), EINVAL);
	CHECK_ERRNO(contig_map(NULL, PAGE, RW, MAP_CONTIG | MAP_PRIVATE, -1, 0), EINVAL);
	CHECK_ERRNO(contig_map(NULL, PAGE, RW, MAP_CONTIG | MAP_SHARED | MAP_ANONYMOUS, -1, 0),
		    EINVAL);
	CHECK_ERRNO(contig_map(NULL, PAGE, RW, CONTIG, -1, (off_t)PAGE), EINVAL);
	CHECK_ERRNO(contig_map(NULL, PAGE, RW, CONTIG | MAP_HUGETLB, -1, 0), EINVAL);
	CHECK_ERRNO(contig_map(NULL, 0, RW, CONTIG, -1, 0), EINVAL);
	CHECK_EQ(ledger_lines(), 0);
}

static void c3_flags_that_change_nothing(void)
{
	char *hole = mmap(NULL, 4 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *va;
	uint64_t *frames;

	va = contig_map(NULL, 3 * PAGE - 5, RW, CONTIG | MAP_POPULATE | MAP_LOCKED | MAP_NORESERVE,
			-1, 0);
	CHECK_OK(va);
	frames = pagemap_frames(va, 3 * PAGE);
	CHECK(frames_consecutive(frames, 3));
	munmap(va, 3 * PAGE);
	free(frames);
	va = contig_map(hole + PAGE, 2 * MIB, RW, CONTIG | MAP_FIXED, -1, 0);
	CHECK(va == hole + PAGE);
	frames = pagemap_frames(va, 2 * MIB);
	CHECK(frames_consecutive(frames, 2 * MIB / PAGE));
	CHECK_ERRNO(contig_map(va, PAGE, RW, CONTIG | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
	CHECK(frames_are(va, 2 * MIB, frames));
	/* As much as there is not: what was at the address is still there. */
	strcpy(va, "still here");
	CHECK_ERRNO(contig_map(va, (size_t)meminfo("MemTotal") + MIB, RW, CONTIG | MAP_FIXED, -1,
			       0),
		    ENOMEM);
	CHECK(!strcmp(va, "still here"));
	munmap(hole, 4 * MIB);
	free(frames);
	va = contig_map(NULL, PAGE, PROT_READ, CONTIG, -1, 0);
	CHECK_OK(va);
	CHECK_EQ(va[0], 0);
	munmap(va, PAGE);
	CHECK_EQ(ledger_wait(0), 0);
}

/* Without the flag it is mmap() as it always was. */
static void c3_other_calls_are_untouched(void)
{
	int fd = memfd_create("file", MFD_CLOEXEC);
	char *va, *moved;

	CHECK_OK(fd);
	CHECK_EQ(write(fd, "content", 8), 8);
	va = contig_map(NULL, PAGE, RW, MAP_SHARED, fd, 0);
	CHECK_OK(va);
	CHECK(!strcmp(va, "content"));
	munmap(va, PAGE);
	va = contig_map(NULL, 4 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK_OK(va);
	strcpy(va, "grows");
	moved = mremap(va, 4 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
	CHECK_OK(moved);
	CHECK(!strcmp(moved, "grows"));
	CHECK_OK(munmap(moved, 64 * PAGE));
	CHECK_ERRNO(contig_map(NULL, 0, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), EINVAL);
	CHECK_ERRNO(contig_map(NULL, PAGE, RW, MAP_PRIVATE, -1, 0), EBADF);
	CHECK_EQ(ledger_lines(), 0);
}

static int kernel_log_count(const char *text)
{
	int len = klogctl(10, NULL, 0), n = 0;
	char *log = calloc(1, (size_t)len + 1);

	CHECK(klogctl(3, log, len) > 0);
	for (char *at = log; (at = strstr(at, text)); at++)
		n++;
	free(log);
	return n;
}

static void c3_node_takes_shared_mappings_at_0(void)
{
	const char *text = "mmap with MAP_PRIVATE is refused";
	int node = node_open(), before = kernel_log_count(text);

	for (int i = 0; i < 3; i++)
		CHECK_ERRNO(mmap(NULL, PAGE, RW, MAP_PRIVATE, node, 0), EINVAL);
	/* Said at most once, for the first who does it. */
	CHECK(kernel_log_count(text) <= before + 1);
	CHECK_ERRNO(mmap(NULL, PAGE, RW, MAP_SHARED, node, (off_t)PAGE), EINVAL);
	CHECK_ERRNO(mmap(NULL, PAGE, RW, MAP_SHARED, node, (off_t)GIB), EINVAL);
	close(node);
}

/* POSIX: one way of allocating at most, a name that there is. */
static void c3_typed_memory_open(void)
{
	CHECK_ERRNO(posix_typed_mem_open("/memory/ram", O_RDWR,
					 POSIX_TYPED_MEM_ALLOCATE |
						 POSIX_TYPED_MEM_ALLOCATE_CONTIG),
		    EINVAL);
	CHECK_ERRNO(posix_typed_mem_open("/memory/none", O_RDWR, POSIX_TYPED_MEM_ALLOCATE_CONTIG),
		    ENOENT);
}

const struct test rules_tests[] = {
	TEST_FRONTS(c3_anonymous_only, FRONT_VDMA | FRONT_PRELOAD),
	TEST_FRONTS(c3_flags_that_change_nothing, FRONT_VDMA | FRONT_PRELOAD),
	TEST_FRONTS(c3_other_calls_are_untouched, FRONT_VDMA | FRONT_PRELOAD),
	TEST(c3_node_takes_shared_mappings_at_0),
	TEST(c3_typed_memory_open),
	TESTS_END,
};
