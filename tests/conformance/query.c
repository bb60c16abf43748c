// SPDX-License-Identifier: BSD-3-Clause
/* D3: what the module tells about physical addresses, and to whom. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <vdma/typed_mem.h>

#include "suite.h"
#include "uapi.h"

#define PHYS_FOR_ALL "/sys/module/map_contig/parameters/phys_for_all"

static int query(struct map_contig_query *q, const void *addr)
{
	int node = node_open(), ret, err;

	ret = node_query(node, addr, q);
	err = errno;
	close(node);
	errno = err;
	return ret;
}

static void d3_query_tells_what_pagemap_shows(void)
{
	size_t len = 4 * MIB + 8 * KIB;
	char *va = contig_alloc(len);
	uint64_t *frames = pagemap_frames(va, len);
	struct map_contig_query q;

	CHECK_OK(query(&q, va));
	CHECK_EQ(q.phys, frames[0] * PAGE);
	CHECK_EQ(q.length, len);
	CHECK(q.node >= 0);
	CHECK_EQ(q.folio_shift, node_features() & MAP_CONTIG_HAS_FOLIOS ? 21 : 12);

	/* In the middle, unaligned; and in the tail, which is no folio. */
	CHECK_OK(query(&q, va + 5 * PAGE + 7));
	CHECK_EQ(q.phys, frames[5] * PAGE + 7);
	CHECK_EQ(q.length, len - 5 * PAGE - 7);
	CHECK_OK(query(&q, va + len - 1));
	CHECK_EQ(q.phys, frames[len / PAGE - 1] * PAGE + PAGE - 1);
	CHECK_EQ(q.length, 1);
	CHECK_EQ(q.folio_shift, 12);

	/* The kernel keeps apart what it has split: it is one run all the same. */
	CHECK_OK(mprotect(va + 5 * PAGE, PAGE, PROT_READ));
	CHECK_OK(query(&q, va));
	CHECK_EQ(q.length, len);
	/* Up to where another part of it, or nothing, follows. */
	CHECK_OK(munmap(va + 9 * PAGE, PAGE));
	CHECK_OK(query(&q, va));
	CHECK_EQ(q.length, 9 * PAGE);
	free(frames);
	munmap(va, len);
}

/* An address is a secret; the memory itself is not denied. */
static int as_user(void *arg)
{
	bool told = *(bool *)arg;
	struct map_contig_alloc alloc = { .size = sizeof(alloc), .length = PAGE };
	struct map_contig_limits limits;
	struct map_contig_query q;
	int node;
	char *va;

	become(USER, 64 * KIB);
	va = contig_alloc(PAGE);
	CHECK_OK(va);
	memset(va, 1, PAGE);
	node = node_open();
	CHECK_OK(ioctl(node, MAP_CONTIG_ALLOC, &alloc));
	CHECK_OK(node_limits(node, &limits));
	if (told) {
		CHECK_OK(query(&q, va));
		CHECK(q.phys && q.phys != MAP_CONTIG_PHYS_NONE);
		CHECK(alloc.phys && alloc.phys != MAP_CONTIG_PHYS_NONE);
		CHECK_OK(node_query(alloc.fd, NULL, &q));
		CHECK_EQ(q.phys, alloc.phys);
		CHECK(limits.privileges & MAP_CONTIG_MAY_SEE_PHYS);
	} else {
		CHECK_ERRNO(query(&q, va), EPERM);
		CHECK_EQ(alloc.phys, MAP_CONTIG_PHYS_NONE);
		CHECK_ERRNO(node_query(alloc.fd, NULL, &q), EPERM);
		CHECK(!(limits.privileges & MAP_CONTIG_MAY_SEE_PHYS));
	}
	return 0;
}

static void d3_physical_address_needs_privilege(void)
{
	bool told = true, not_told = false;

	node_let_in(USER);
	file_set(PHYS_FOR_ALL, "N");
	CHECK_EQ(in_child(as_user, &not_told), 0);
	file_set(PHYS_FOR_ALL, "Y");
	CHECK_EQ(in_child(as_user, &told), 0);
	file_set(PHYS_FOR_ALL, "N");
	CHECK_EQ(in_child(as_user, &not_told), 0);
}

/* Nor by what is refused and what is not, of what he asks for. */
static int ask_cleverly(void *arg)
{
	bool told = *(bool *)arg;
	const struct {
		struct map_contig_constraints want;
		bool harmless;
	} cases[] = {
		{ { .phys_max = 0x40000fff }, false },
		{ { .phys_max = (1ULL << 32) - 1 }, false },
		{ { .phys_max = ~0ULL }, true },
		{ { .alignment = 4 * MIB }, false },
		{ { .boundary = 1ULL << 32 }, false },
		{ { .alignment = 2 * MIB, .boundary = 2 * MIB }, true },
	};
	int node;

	become(USER, 64 * KIB);
	node = node_open();
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct map_contig_oracle oracle = { .size = sizeof(oracle),
						    .length = i % 2 ? PAGE : 0,
						    .want = cases[i].want };
		struct map_contig_alloc alloc = { .size = sizeof(alloc),
						  .length = PAGE,
						  .want = cases[i].want };

		if (told || cases[i].harmless) {
			CHECK_OK(ioctl(node, MAP_CONTIG_ORACLE, &oracle));
			continue;
		}
		CHECK_ERRNO(ioctl(node, MAP_CONTIG_ORACLE, &oracle), EPERM);
		CHECK_ERRNO(ioctl(node, MAP_CONTIG_ALLOC, &alloc), EPERM);
	}
	CHECK_OK(posix_typed_mem_open("node0", O_RDWR, POSIX_TYPED_MEM_ALLOCATE));
	if (told)
		CHECK_OK(posix_typed_mem_open("below4G", O_RDWR, POSIX_TYPED_MEM_ALLOCATE));
	else
		CHECK_ERRNO(posix_typed_mem_open("below4G", O_RDWR, POSIX_TYPED_MEM_ALLOCATE),
			    EACCES);
	return 0;
}

static void d3_no_refusal_tells(void)
{
	bool told = true, not_told = false;

	node_let_in(USER);
	file_set(PHYS_FOR_ALL, "N");
	CHECK_EQ(in_child(ask_cleverly, &not_told), 0);
	file_set(PHYS_FOR_ALL, "Y");
	CHECK_EQ(in_child(ask_cleverly, &told), 0);
}

/* Nor by any other answer: the oracle's blocker, an offset, the ledger. */
static int find_out(void *arg)
{
	struct map_contig_oracle oracle = { .size = sizeof(oracle), .length = 1UL << 46 };
	struct map_contig_offset offset = { .size = sizeof(offset) };
	struct map_contig_configure configure = { .size = sizeof(configure) };
	int to = *(int *)arg, node, fd;
	char *va;

	become(USER, 64 * KIB);
	node = node_open();
	CHECK_OK(ioctl(node, MAP_CONTIG_ORACLE, &oracle));
	CHECK_EQ(oracle.blocker_phys, MAP_CONTIG_PHYS_NONE);
	CHECK_OK(ioctl(node, MAP_CONTIG_CONFIGURE, &configure));
	va = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, node, 0);
	CHECK_OK(va);
	offset.addr = (uintptr_t)va;
	CHECK_OK(ioctl(node, MAP_CONTIG_OFFSET, &offset));
	/* The parent sees the page itself, and compares. */
	CHECK_EQ(write(to, &va, sizeof(va)), sizeof(va));
	CHECK_EQ(write(to, &offset.offset, sizeof(offset.offset)), sizeof(offset.offset));
	fd = open("/sys/kernel/debug/map_contig/ledger", O_RDONLY);
	CHECK(fd < 0);
	pause();
	return 0;
}

static void d3_no_other_answer_tells(void)
{
	uint64_t offset, entry = 0;
	int ends[2], fd;
	char path[64];
	void *va;
	pid_t pid;

	node_let_in(USER);
	file_set(PHYS_FOR_ALL, "N");
	CHECK_OK(pipe(ends));
	pid = fork();
	CHECK_OK(pid);
	if (!pid)
		_exit(find_out(&ends[1]));
	close(ends[1]);
	CHECK_EQ(read(ends[0], &va, sizeof(va)), sizeof(va));
	CHECK_EQ(read(ends[0], &offset, sizeof(offset)), sizeof(offset));
	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK_OK(fd);
	CHECK_EQ(pread(fd, &entry, 8, (off_t)((uintptr_t)va / PAGE * 8)), 8);
	CHECK(entry >> 63);
	CHECK(offset != (entry & ((1ULL << 55) - 1)) * PAGE);
	CHECK_OK(kill(pid, SIGKILL));
}

const struct test query_tests[] = {
	TEST_FRONTS(d3_query_tells_what_pagemap_shows, FRONT_ALL),
	TEST_FRONTS(d3_physical_address_needs_privilege, FRONT_ALL),
	TEST(d3_no_other_answer_tells),
	TEST(d3_no_refusal_tells),
	TESTS_END,
};
