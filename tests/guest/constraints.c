// SPDX-License-Identifier: BSD-3-Clause
/* Constraints with real memory: nodes as the kernel tells them, and what is had where there is no run. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vdma/uapi/map_contig.h>

#include "guest.h"

#define LEN (8 * MIB)

static int create(struct vdma_arena *arena, size_t len, enum vdma_provider provider,
		  struct vdma_constraints c, struct vdma_region **region)
{
	struct vdma_region_opts opts = {
		.size = sizeof(opts),
		.provider = provider,
		.constraints = &c,
	};

	c.size = sizeof(c);
	return vdma_region_create(arena, len, &opts, region);
}

static struct vdma_region_info about(struct vdma_region *region)
{
	struct vdma_region_info info = { .size = sizeof(info) };

	WORKS(vdma_region_query(region, &info));
	return info;
}

#define C(...) ((struct vdma_constraints){ __VA_ARGS__ })

/* Each page of it, by move_pages(2). */
static void assert_on_node(const struct vdma_buf *buf, int node)
{
	void *pages[256];
	int nodes[256];

	for (size_t at = 0; at < buf->len;) {
		unsigned long n = 0;

		for (; n < 256 && at < buf->len; n++, at += PAGE)
			pages[n] = (char *)buf->va + at;
		assert_return_code(syscall(SYS_move_pages, 0, n, pages, NULL, nodes, 0), errno);
		for (unsigned long i = 0; i < n; i++)
			assert_int_equal(nodes[i], node);
	}
}

static void fill_pools(const char *pages)
{
	char path[96];

	for (int node = 0; node < numa_nodes(); node++) {
		snprintf(path, sizeof(path),
			 "/sys/devices/system/node/node%d/hugepages/hugepages-2048kB/nr_hugepages",
			 node);
		file_write(path, pages);
	}
}

static void nodes(void **state)
{
	static const enum vdma_provider providers[] = {
		VDMA_PROVIDER_CONTIG,
		VDMA_PROVIDER_HUGETLB,
		VDMA_PROVIDER_ANON,
	};
	struct vdma_region *region;
	struct vdma_arena *arena;

	(void)state;
	if (numa_nodes() < 2)
		skip();
	WORKS(vdma_arena_create(NULL, &arena));
	fill_pools("4");
	for (unsigned int i = 0; i < 6; i++) {
		int node = (int)(i & 1);
		struct vdma_constraints c = C(.size = sizeof(c), .node = VDMA_NODE(node));
		struct vdma_buf_opts opts = { .size = sizeof(opts), .constraints = &c };
		struct vdma_buf buf;

		WORKS(create(arena, LEN, providers[i / 2], c, &region));
		buf = vdma_region_buf(region);
		assert_on_node(&buf, node);
		assert_int_equal(about(region).node, node);
		WORKS(vdma_region_destroy(region));

		c.contiguity = i / 2 == 2 ? VDMA_CONTIG_INDIFFERENT : VDMA_CONTIG_REQUIRED;
		WORKS(vdma_buf_alloc(arena, 3 * PAGE, &opts, &buf));
		assert_on_node(&buf, node);
		WORKS(vdma_buf_free(arena, &buf));
	}
	/* Its pool has four pages, whatever the other one has. */
	assert_true(EXPLAINED(create(arena, LEN + 2 * MIB, VDMA_PROVIDER_HUGETLB,
				     C(.node = VDMA_NODE(1)), &region),
			      ENOMEM, NO_HUGETLB, "5 hugetlb pages", "node 1", "4 are free there"));
	fill_pools("0");
	assert_true(
		EXPLAINED(create(arena, LEN, VDMA_PROVIDER_AUTO, C(.node = VDMA_NODE(9)), &region),
			  EINVAL, NODE, "no NUMA node 9", "0-1"));
	/* As much as a node and a half. */
	assert_true(EXPLAINED(create(arena, (size_t)meminfo("MemTotal") / 4 * 3, VDMA_PROVIDER_ANON,
				     C(.node = VDMA_NODE(1)), &region),
			      ENOMEM, NO_MEMORY, "NUMA node 1", "it could free"));
	WORKS(vdma_arena_destroy(arena));
}

/* The device reaches what was asked for as its address bits and boundaries want it. */
static void places(void **state)
{
	struct space s = space_create();
	struct vdma_region *region;
	struct vdma_buf buf;
	struct edu edu;

	(void)state;
	EDU_WORKS(&edu, edu_open(&edu, s.ioas, bdf_of("VDMA_BDF_EDU"), EDU_ADDRESS_BITS));
	EDU_WORKS(&edu, edu_irq_use(&edu, VDMA_IRQ_MSI));
	WORKS(create(s.arena, 3 * PAGE, VDMA_PROVIDER_AUTO,
		     C(.address_bits = EDU_ADDRESS_BITS, .align = 4 * PAGE, .boundary = 4 * PAGE,
		       .max_segments = 1, .contiguity = VDMA_CONTIG_REQUIRED),
		     &region));
	buf = vdma_region_buf(region);
	assert_int_equal(buf.iova % (4 * PAGE), 0);
	assert_true(buf.iova + buf.len <= 1ULL << EDU_ADDRESS_BITS);
	assert_int_equal(about(region).delivered, VDMA_DELIVERED_CONTIGUOUS);
	dma_verify(&edu, &buf, 1);
	WORKS(vdma_region_destroy(region));
	edu_close(&edu);
	space_destroy(&s);
}

/* The administrator lets nobody have as much: huge pages, then any. */
static void falls_back(void **state)
{
	static const char quota[] = "/sys/module/map_contig/parameters/user_quota";
	struct vdma_region *region;
	struct vdma_region_info info;
	struct vdma_arena *arena;

	(void)state;
	WORKS(vdma_arena_create(NULL, &arena));
	file_write(quota, "1M");
	fill_pools("4");
	WORKS(create(arena, LEN, VDMA_PROVIDER_AUTO, C(0), &region));
	info = about(region);
	assert_int_equal(info.provider, VDMA_PROVIDER_HUGETLB);
	assert_int_equal(info.delivered, VDMA_DELIVERED_HUGE);
	assert_int_equal(info.cause, VDMA_CAUSE_QUOTA);
	assert_non_null(strstr(info.reason, "quota of 1 MiB"));
	WORKS(vdma_region_destroy(region));
	fill_pools("0");
	WORKS(create(arena, LEN, VDMA_PROVIDER_AUTO, C(0), &region));
	info = about(region);
	assert_int_equal(info.provider, VDMA_PROVIDER_ANON);
	assert_int_equal(info.delivered, VDMA_DELIVERED_SCATTERED);
	assert_non_null(strstr(info.reason, "4 hugetlb pages"));
	WORKS(vdma_region_destroy(region));
	assert_true(EXPLAINED(create(arena, LEN, VDMA_PROVIDER_AUTO,
				     C(.contiguity = VDMA_CONTIG_REQUIRED), &region),
			      EDQUOT, QUOTA, "user_quota"));
	file_write(quota, "none");
	WORKS(vdma_arena_destroy(arena));
}

/* More than the largest run that there is, less than all memory: no run goes over two nodes. */
static void no_run(void **state)
{
	struct map_contig_oracle oracle = { .size = sizeof(oracle) };
	int node = open(MAP_CONTIG_DEVICE, O_RDWR | O_CLOEXEC);
	struct vdma_region *region;
	struct vdma_region_info info;
	struct vdma_arena *arena;
	size_t len;

	(void)state;
	assert_return_code(node, errno);
	assert_return_code(ioctl(node, MAP_CONTIG_ORACLE, &oracle), errno);
	close(node);
	if (numa_nodes() < 2)
		skip();
	len = oracle.largest + 32 * MIB;
	WORKS(vdma_arena_create(NULL, &arena));
	assert_true(EXPLAINED(create(arena, len, VDMA_PROVIDER_AUTO,
				     C(.contiguity = VDMA_CONTIG_REQUIRED), &region),
			      ENOMEM, NO_RUN, "the largest that it could make now is",
			      "In the way of more: ", "physical address 0x"));
	assert_in_range(vdma_last_failure()->limit, MIB, len - 1);
	WORKS(create(arena, len, VDMA_PROVIDER_AUTO, C(0), &region));
	info = about(region);
	assert_int_equal(info.provider, VDMA_PROVIDER_ANON);
	assert_int_equal(info.cause, VDMA_CAUSE_NO_RUN);
	assert_non_null(strstr(info.reason, "In the way of more: "));
	print_message("%s\n", info.reason);
	WORKS(vdma_region_destroy(region));
	WORKS(vdma_arena_destroy(arena));
}

int run_constraints(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nodes),
		cmocka_unit_test(places),
		cmocka_unit_test(falls_back),
		cmocka_unit_test(no_run),
	};

	return cmocka_run_group_tests_name("constraints", tests, NULL, NULL);
}
