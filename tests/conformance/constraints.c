// SPDX-License-Identifier: BSD-3-Clause
/* D4: a constraint is met, or the call fails. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "suite.h"
#include "uapi.h"

static int cpu_of_node(int node)
{
	char path[64], text[128];

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpulist", node);
	CHECK(file_text(path, text, sizeof(text)));
	return atoi(text);
}

static void run_on_node(int node)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu_of_node(node), &set);
	CHECK_OK(sched_setaffinity(0, sizeof(set), &set));
}

/* Is what was asked for so? Frames from pagemap, the node from QUERY. */
static void check_met(const char *va, size_t len, const struct map_contig_constraints *want)
{
	uint64_t *frames = pagemap_frames(va, len);
	uint64_t first = frames[0] * PAGE, last = first + len - 1;
	struct map_contig_query query;
	int node = node_open();

	CHECK(frames_consecutive(frames, len / PAGE));
	CHECK_OK(node_query(node, va, &query));
	CHECK_EQ(query.phys, first);
	if (want->alignment)
		CHECK_EQ(first % want->alignment, 0);
	if (want->boundary)
		CHECK_EQ(first / want->boundary, last / want->boundary);
	if (want->phys_max)
		CHECK(last <= want->phys_max);
	if (want->node_mode == MAP_CONTIG_NODE_STRICT)
		CHECK_EQ(query.node, want->node);
	close(node);
	free(frames);
}

/* Both ways to say a constraint: ALLOC, and CONFIGURE before mmap. */
static void *alloc_want(size_t len, const struct map_contig_constraints *want, bool configured)
{
	int node, err;
	void *va;

	if (!configured)
		return region_mmap(len, want);
	node = node_open();
	va = node_configure(node, want) ?
		     MAP_FAILED :
		     mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, node, 0);
	err = errno;
	close(node);
	errno = err;
	return va;
}

/* Several at once, as far as there are, so that the first free page does not happen to do. */
static void met(size_t len, struct map_contig_constraints want)
{
	void *va[12];
	int n;

	for (n = 0; n < 12; n++) {
		va[n] = alloc_want(len, &want, n & 1);
		if (n && va[n] == MAP_FAILED && errno == ENOMEM && oracle_largest(&want) < len)
			break;
		if (va[n] == MAP_FAILED)
			FAIL("%zu KiB, alignment 0x%llx boundary 0x%llx phys_max 0x%llx node %d: %m",
			     len / KIB, want.alignment, want.boundary, want.phys_max, want.node);
		check_met(va[n], len, &want);
	}
	while (n--)
		munmap(va[n], len);
}

#define MET(len, ...) met(len, (struct map_contig_constraints){ __VA_ARGS__ })

static void refused(size_t len, int err, struct map_contig_constraints want)
{
	for (int i = 0; i < 2; i++) {
		errno = 0;
		if (alloc_want(len, &want, i & 1) != MAP_FAILED)
			FAIL("%zu KiB, alignment 0x%llx boundary 0x%llx phys_max 0x%llx node %d mode %u fork %u: should be refused",
			     len / KIB, want.alignment, want.boundary, want.phys_max, want.node,
			     want.node_mode, want.fork);
		if (errno != err)
			FAIL("%zu KiB, alignment 0x%llx boundary 0x%llx phys_max 0x%llx node %d mode %u fork %u: %m, should be errno %d",
			     len / KIB, want.alignment, want.boundary, want.phys_max, want.node,
			     want.node_mode, want.fork, err);
	}
}

#define REFUSED(len, err, ...) refused(len, err, (struct map_contig_constraints){ __VA_ARGS__ })

static void d4_alignment(void)
{
	MET(PAGE, .alignment = 1);
	MET(PAGE, .alignment = PAGE);
	MET(PAGE, .alignment = 64 * KIB);
	MET(3 * PAGE, .alignment = 2 * MIB);
	MET(2 * MIB, .alignment = 2 * MIB);
	MET(5 * MIB, .alignment = 16 * MIB);
}

/* A gigabyte-aligned run: at most a few exist, each is free or it is not. */
static void d4_alignment_1g(void)
{
	struct map_contig_constraints want = { .alignment = GIB };
	char *va = region_mmap(4 * MIB, &want);

	if (va == MAP_FAILED) {
		CHECK_EQ(errno, ENOMEM);
		note("no page frame that is aligned to 1 GiB can be had here");
		return;
	}
	check_met(va, 4 * MIB, &want);
	munmap(va, 4 * MIB);
}

static void d4_boundary(void)
{
	MET(3 * PAGE, .boundary = 16 * KIB);
	MET(64 * KIB, .boundary = 64 * KIB);
	MET(40 * KIB, .boundary = 64 * KIB);
	MET(3 * MIB, .boundary = 4 * MIB);
	MET(4 * MIB, .boundary = 4 * MIB);
	MET(40 * KIB, .boundary = 64 * KIB, .alignment = 16 * KIB);
}

static void d4_highest_address(void)
{
	MET(PAGE, .phys_max = 0xffffffff);
	MET(4 * MIB, .phys_max = 0xffffffff);
	MET(PAGE, .phys_max = GIB - 1);
	MET(8 * MIB, .phys_max = GIB - 1);
	MET(8 * MIB, .phys_max = 256 * MIB - 1);
	/* Just above the middle of a frame: the frame is not to be used. */
	MET(PAGE, .phys_max = 512 * MIB + 17);
}

static void d4_all_together(void)
{
	MET(3 * MIB, .alignment = 512 * KIB, .boundary = 8 * MIB, .phys_max = GIB - 1,
	    .node_mode = MAP_CONTIG_NODE_STRICT);
}

/* With all memory in use by others, it is moved out of the way. */
static void d4_met_under_pressure(void)
{
	struct map_contig_constraints want = { .phys_max = GIB - 1, .alignment = 2 * MIB };
	size_t len;
	void *fill = memory_fill(128 * MIB, &len), *va;

	va = region_mmap(16 * MIB, &want);
	CHECK_OK(va);
	check_met(va, 16 * MIB, &want);
	munmap(va, 16 * MIB);
	memory_fill_check(fill, len);
	munmap(fill, len);
}

static void d4_cannot_be_met(void)
{
	int64_t before = mem_free_settled();

	/* No page lies there, or not as many. */
	REFUSED(PAGE, ENOMEM, .phys_max = PAGE - 1);
	REFUSED(2 * MIB, ENOMEM, .phys_max = MIB);
	REFUSED(16 * MIB, ENOMEM, .phys_max = 12 * MIB);
	REFUSED(PAGE, ENOMEM, .alignment = 1UL << 46);
	CHECK_EQ(ledger_wait(0), 0);
	check_free(before);
}

static void d4_nonsense(void)
{
	REFUSED(PAGE, EINVAL, .alignment = 3 * PAGE);
	REFUSED(PAGE, EINVAL, .boundary = 3 * PAGE);
	REFUSED(PAGE, EINVAL, .boundary = 16);
	REFUSED(2 * PAGE, EINVAL, .boundary = PAGE);
	REFUSED(PAGE, EINVAL, .node = 1);
	REFUSED(PAGE, EINVAL, .node = -1, .node_mode = MAP_CONTIG_NODE_STRICT);
	REFUSED(PAGE, EINVAL, .node = 1 << 20, .node_mode = MAP_CONTIG_NODE_STRICT);
	REFUSED(PAGE, EINVAL, .node = 1 << 20, .node_mode = MAP_CONTIG_NODE_PREFERRED);
	REFUSED(PAGE, EOPNOTSUPP, .node_mode = 3);
	REFUSED(PAGE, EOPNOTSUPP, .fork = 3);
	CHECK_EQ(ledger_wait(0), 0);
}

static void d4_node_strict(void)
{
	SKIP_IF(numa_nodes() < 2, "one NUMA node");
	for (int cpu_node = 0; cpu_node < 2; cpu_node++) {
		run_on_node(cpu_node);
		for (int node = 0; node < 2; node++) {
			MET(PAGE, .node = node, .node_mode = MAP_CONTIG_NODE_STRICT);
			MET(8 * MIB, .node = node, .node_mode = MAP_CONTIG_NODE_STRICT);
		}
	}
	/* As much as a node and a half: only strict must fail. */
	REFUSED((size_t)meminfo("MemTotal") * 3 / 4, ENOMEM, .node = 1,
		.node_mode = MAP_CONTIG_NODE_STRICT);
}

static int node_of(const void *va)
{
	struct map_contig_query query;
	int node = node_open();

	CHECK_OK(node_query(node, va, &query));
	close(node);
	return query.node;
}

static void d4_node_preferred(void)
{
	struct map_contig_constraints want = { .node_mode = MAP_CONTIG_NODE_PREFERRED };
	struct map_contig_constraints strict = { .node_mode = MAP_CONTIG_NODE_STRICT, .node = 1 };
	size_t len;
	char *first;

	SKIP_IF(numa_nodes() < 2, "one NUMA node");
	for (int node = 0; node < 2; node++) {
		want.node = node;
		first = region_mmap(4 * MIB, &want);
		CHECK_OK(first);
		CHECK_EQ(node_of(first), node);
		munmap(first, 4 * MIB);
	}
	/* The preferred node has no such run any more: the other one serves. */
	for (int i = 0; i < 8 && oracle_largest(&strict) > 64 * MIB; i++) {
		len = oracle_largest(&strict) / 8 * 7 / PAGE * PAGE;
		CHECK_OK(region_mmap(len, &strict));
	}
	len = oracle_largest(&strict) / PAGE * PAGE + 4 * MIB;
	CHECK_ERRNO(region_mmap(len, &strict), ENOMEM);
	first = region_mmap(len, &want);
	CHECK_OK(first);
	CHECK_EQ(node_of(first), 0);
}

/* By default the caller's own node. */
static void d4_node_any(void)
{
	SKIP_IF(numa_nodes() < 2, "one NUMA node");
	for (int node = 0; node < 2; node++) {
		char *va;

		run_on_node(node);
		va = contig_alloc(4 * MIB);
		CHECK_OK(va);
		CHECK_EQ(node_of(va), node);
		munmap(va, 4 * MIB);
	}
}

/* By its offset, memory is mapped again only where the open node may have it lie. */
static void *map_again(uint64_t phys_max, uint64_t offset)
{
	struct map_contig_configure again = { .size = sizeof(again),
					      .mode = MAP_CONTIG_MODE_MAP,
					      .want = { .phys_max = phys_max } };
	int node = node_open();
	void *va;

	CHECK_OK(ioctl(node, MAP_CONTIG_CONFIGURE, &again));
	va = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, node, (off_t)offset);
	close(node);
	return va;
}

static void d4_mapped_again(void)
{
	struct map_contig_configure shared = { .size = sizeof(shared),
					       .flags = MAP_CONTIG_CONFIGURE_SHARED };
	struct map_contig_offset offset = { .size = sizeof(offset) };
	int node = node_open();
	uint64_t last;
	void *va;

	CHECK_OK(ioctl(node, MAP_CONTIG_CONFIGURE, &shared));
	va = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, node, 0);
	CHECK_OK(va);
	last = pagemap_frames(va, PAGE)[0] * PAGE + 2 * PAGE - 1;
	offset.addr = (uintptr_t)va;
	CHECK_OK(ioctl(node, MAP_CONTIG_OFFSET, &offset));
	CHECK_OK(map_again(0, offset.offset));
	CHECK_OK(map_again(last, offset.offset));
	CHECK_ERRNO(map_again(last - 1, offset.offset), ENXIO);
	close(node);
}

const struct test constraints_tests[] = {
	TEST(d4_alignment),
	TEST(d4_alignment_1g),
	TEST(d4_boundary),
	TEST(d4_highest_address),
	TEST(d4_all_together),
	TEST(d4_mapped_again),
	TEST(d4_met_under_pressure),
	TEST(d4_cannot_be_met),
	TEST(d4_nonsense),
	TEST(d4_node_strict),
	TEST(d4_node_preferred),
	TEST_FRONTS(d4_node_any, FRONT_ALL),
	TESTS_END,
};
