// SPDX-License-Identifier: BSD-3-Clause
/* C9: when memory goes back. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "suite.h"
#include "uapi.h"

static void c9_munmap_whole(void)
{
	int64_t before = mem_free_at_rest();
	void *va = contig_alloc(128 * MIB);

	CHECK_OK(va);
	CHECK(before - mem_free_at_rest() > (int64_t)(120 * MIB));
	CHECK_EQ(ledger_lines(), 1);
	munmap(va, 128 * MIB);
	CHECK_EQ(ledger_lines(), 0);
	check_free(before);
}

/* Parts go back by themselves: by page, or by folio where built of folios. */
static void c9_munmap_part(void)
{
	size_t len = 128 * MIB;
	int64_t before = mem_free_at_rest(), whole;
	char *va = contig_alloc(len);
	uint64_t *frames, *after;

	CHECK_OK(va);
	memset(va, 6, len);
	frames = pagemap_frames(va, len);
	whole = mem_free_at_rest();
	/* From the middle, off by some pages from the folios' borders. */
	munmap(va + 32 * MIB + 4 * PAGE, 64 * MIB);
	CHECK_RANGE(mem_free_at_rest() - whole, 58 * MIB, 68 * MIB);
	/* What is left of a folio that was cut comes back by minor faults. */
	for (size_t i = 0; i < 32 * MIB + 4 * PAGE; i += PAGE)
		CHECK_EQ(va[i], 6);
	after = pagemap_frames(va, 32 * MIB + 4 * PAGE);
	CHECK(!memcmp(frames, after, (32 * MIB / PAGE + 4) * sizeof(*frames)));
	free(after);
	CHECK(!(pagemap_any_present(va + 32 * MIB + 4 * PAGE, 64 * MIB)));
	for (size_t i = 96 * MIB + 4 * PAGE; i < len; i += PAGE)
		CHECK_EQ(va[i], 6);
	CHECK_EQ(ledger_lines(), 1);

	/* The rest, page by page at one border, so that a folio goes with its last page. */
	for (size_t i = 30 * MIB; i < 32 * MIB + 4 * PAGE; i += PAGE)
		munmap(va + i, PAGE);
	munmap(va, 30 * MIB);
	munmap(va + 96 * MIB + 4 * PAGE, 32 * MIB - 4 * PAGE);
	CHECK_EQ(ledger_lines(), 0);
	check_free(before);
	free(frames);
}

struct holder {
	size_t len;
	const char *how;
	int ready;
};

static int hold(void *arg)
{
	struct holder *holder = arg;
	char *va = contig_alloc(holder->len);

	if (va == MAP_FAILED)
		return 1;
	memset(va, 1, holder->len);
	if (!strcmp(holder->how, "exit"))
		return 0;
	if (!strcmp(holder->how, "exec"))
		return execl("/bin/true", "true", NULL);
	if (!strcmp(holder->how, "kill"))
		kill(getpid(), SIGKILL);
	if (!strcmp(holder->how, "crash"))
		raise(SIGABRT);
	return 2;
}

static void c9_process_ends(void)
{
	static const char *const how[] = { "exit", "exec", "kill", "crash" };
	int64_t before = mem_free_settled();

	for (size_t i = 0; i < 4; i++) {
		struct holder holder = { .len = 64 * MIB, .how = how[i] };
		int expected[] = { 0, 0, 256 + SIGKILL, 256 + SIGABRT };

		CHECK_EQ(in_child(hold, &holder), expected[i]);
		CHECK_EQ(ledger_wait(0), 0);
		check_free(before);
	}
}

/* SIGKILL in the midst of mmap: nothing stays. */
static void c9_killed_during_mmap(void)
{
	int64_t before = mem_free_settled();

	for (int i = 0; i < 10; i++) {
		pid_t pid = fork();
		int wstatus;

		CHECK_OK(pid);
		if (!pid)
			for (;;) {
				void *va = contig_alloc(256 * MIB);

				if (va == MAP_FAILED)
					_exit(1);
				munmap(va, 256 * MIB);
			}
		usleep(5000 + 23000 * (unsigned int)i);
		kill(pid, SIGKILL);
		CHECK_EQ(waitpid(pid, &wstatus, 0), pid);
		CHECK(WIFSIGNALED(wstatus));
	}
	CHECK_EQ(ledger_wait(0), 0);
	check_free(before);
}

/* One descriptor makes as many regions as it is mapped, each its own. */
static void c9_regions_are_separate(void)
{
	int fd = open("/dev/map_contig", O_RDWR | O_CLOEXEC);
	char *a = mmap(NULL, FOLIO, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *b = mmap(NULL, FOLIO, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	CHECK_OK(a);
	CHECK_OK(b);
	a[0] = 1;
	CHECK_EQ(b[0], 0);
	CHECK_EQ(ledger_lines(), 2);
	close(fd);
	/* One laid over the other: the old one goes, the new one stands. */
	b[0] = 2;
	CHECK(contig_mmap_at(b, FOLIO, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED) == b);
	CHECK_EQ(b[0], 0);
	CHECK_EQ(ledger_wait(2), 2);
	munmap(a, FOLIO);
	munmap(b, FOLIO);
	CHECK_EQ(ledger_wait(0), 0);
}

/* A region lives as long as a descriptor or a mapping of it, whichever goes last. */
static void c9_region_descriptor(void)
{
	int64_t before = mem_free_at_rest();
	int node = node_open(), region = region_alloc(node, 64 * MIB, NULL), second;
	char *whole, *part;

	CHECK_OK(region);
	close(node);
	CHECK(before - mem_free_at_rest() > (int64_t)(58 * MIB));
	whole = region_map(region, 64 * MIB);
	CHECK_OK(whole);
	part = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, region, (off_t)(5 * MIB));
	CHECK_OK(part);
	strcpy(part, "the same memory");
	CHECK(!strcmp(whole + 5 * MIB, part));
	CHECK_ERRNO(mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, region, (off_t)(64 * MIB - PAGE)),
		    ENXIO);
	CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, region, 0), EINVAL);

	/* Unmapped, and mapped again through the descriptor: the bytes are there. */
	munmap(whole, 64 * MIB);
	munmap(part, MIB);
	CHECK_EQ(ledger_lines(), 1);
	whole = region_map(region, 64 * MIB);
	CHECK_OK(whole);
	CHECK(!strcmp(whole + 5 * MIB, "the same memory"));

	/* The descriptors go, the mapping stays. */
	second = dup(region);
	close(region);
	close(second);
	CHECK_EQ(ledger_lines(), 1);
	CHECK(!strcmp(whole + 5 * MIB, "the same memory"));
	munmap(whole, 64 * MIB);
	CHECK_EQ(ledger_wait(0), 0);
	check_free(before);
}

const struct test teardown_tests[] = {
	TEST_FRONTS(c9_munmap_whole, FRONT_ALL),
	TEST_FRONTS(c9_munmap_part, FRONT_ALL),
	TEST_FRONTS(c9_process_ends, FRONT_ALL),
	TEST_FRONTS(c9_killed_during_mmap, FRONT_IOCTL | FRONT_MMAP),
	TEST(c9_regions_are_separate),
	TEST(c9_region_descriptor),
	TESTS_END,
};
