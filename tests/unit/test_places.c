// SPDX-License-Identifier: BSD-3-Clause
/*
 * Where memory lies: device addresses by alignment, boundary, address bits and the holes
 * of the attached spaces; frames by NUMA node. Each is met, or refused with a reason.
 */
#include "constrained.h"

static void test_places_of_regions(void **state)
{
	const struct vdma_constraints ten_bits = C(.size = sizeof(ten_bits), .address_bits = 10);
	struct vdma_region_opts opts = { .size = sizeof(opts), .constraints = &ten_bits };
	struct vdma_region *first, *r;
	struct vdma_buf all;

	(void)state;
	ASSERT_OK(region(4096, ANON, C(), &first));
	ASSERT_OK(region(8192, ANON, C(.align = 64 << 10), &r));
	all = vdma_region_buf(r);
	assert_int_equal(all.iova % (64 << 10), 0);
	assert_int_equal((uintptr_t)all.va % (64 << 10), 0);
	ASSERT_OK(vdma_region_destroy(r));
	ASSERT_OK(region(3 * MIB, ANON, C(.align = 16 * MIB), &r));
	assert_int_equal(vdma_region_buf(r).iova % (16 * MIB), 0);
	ASSERT_OK(vdma_region_destroy(r));
	ASSERT_OK(region(3 * 4096, ANON, C(.boundary = 4 * 4096, .address_bits = 24), &r));
	all = vdma_region_buf(r);
	assert_int_equal(all.iova / (4 * 4096), (all.iova + all.len - 1) / (4 * 4096));
	assert_true(all.iova + all.len <= 1 << 24);
	ASSERT_OK(vdma_region_destroy(r));
	ASSERT_OK(vdma_region_destroy(first));

	/* One huge page is longer than the boundary: not taken, or not possible. */
	fake.contig_err = ENOMEM;
	ASSERT_OK(region(4096, AUTO, C(.boundary = 64 << 10), &r));
	assert_int_equal(about(r).provider, ANON);
	ASSERT_OK(vdma_region_destroy(r));
	ASSERT_FAILS(region(4096, VDMA_PROVIDER_HUGETLB, C(.boundary = 64 << 10), &r), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "pages of 2 MiB", "boundary, 64 KiB");

	ASSERT_FAILS(region(1, ANON, C(.align = 3), &r), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "powers of two");
	ASSERT_FAILS(region(1, ANON, C(.align = 2 * GIB), &r), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "at most 1 GiB");
	ASSERT_FAILS(region(8192, ANON, C(.boundary = 4096), &r), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "boundary at least its length");
	ASSERT_FAILS(region(1, ANON, C(.node = VDMA_NODE(1024)), &r), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "VDMA_NODE(1023)");
	ASSERT_FAILS(region(1, ANON, C(.contiguity = (enum vdma_contiguity)3), &r), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "contiguity 3");
	ASSERT_FAILS(region(1, ANON, ten_bits, &r), EADDRNOTAVAIL, VDMA_CAUSE_ADDRESS_BITS, "2^10",
		     "largest free run");
	opts.page_size = 4096;
	opts.provider = AUTO;
	ASSERT_FAILS(vdma_region_create(arena, 1, &opts, &r), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "page_size is 4096", "AUTO");
	/* Twice, and with a size that is none. */
	opts.page_size = 0;
	opts.address_bits = 32;
	ASSERT_FAILS(vdma_region_create(arena, 1, &opts, &r), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "have constraints", "address_bits");
	opts.address_bits = 0;
	opts.constraints = &C(.address_bits = 10);
	ASSERT_FAILS(vdma_region_create(arena, 1, &opts, &r), EINVAL, VDMA_CAUSE_ARGUMENT, "size");
}

/* Holes of the attached spaces, and the largest run between them. */
static void test_holes(void **state)
{
	struct vdma_region *r, *low, *other;
	struct vdma_device *dev;
	struct vdma_ioas *ioas;

	(void)state;
	add_edu(EDU, 5);
	fake.ranges[0] = (struct vdma_range){ MIB, 4 * MIB - 1 };
	fake.ranges[1] = (struct vdma_range){ 6 * MIB, 9 * MIB - 1 };
	ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	dev = device_of(ioas, EDU);
	ASSERT_OK(region(MIB, ANON, C(.align = 4 * MIB), &r));
	assert_int_equal(vdma_region_buf(r).iova, 8 * MIB);
	ASSERT_FAILS(region(MIB, ANON, C(.align = 4 * MIB), &r), EADDRNOTAVAIL, VDMA_CAUSE_WINDOW,
		     "1 MiB, aligned to 0x400000", "largest free run of device addresses is 3 MiB");
	assert_int_equal(vdma_last_failure()->limit, 3 * MIB);
	ASSERT_OK(vdma_region_destroy(r));
	ASSERT_OK(region(2 * MIB, ANON, C(.boundary = 4 * MIB), &r));
	assert_int_equal(vdma_region_buf(r).iova, 6 * MIB);
	ASSERT_OK(region(2 * MIB, ANON, C(.boundary = 2 * MIB, .address_bits = 22), &low));
	assert_int_equal(vdma_region_buf(low).iova, 2 * MIB);
	ASSERT_FAILS(region(MIB, ANON, C(.boundary = MIB, .align = 2 * MIB, .address_bits = 22),
			    &other),
		     EADDRNOTAVAIL, VDMA_CAUSE_ADDRESS_BITS,
		     "aligned to 0x200000 and crossing no multiple of 0x100000",
		     "do not fit below 2^22", "there is 1 MiB");
	ASSERT_OK(vdma_region_destroy(low));
	ASSERT_OK(vdma_region_destroy(r));
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

/* Behind each region is a gap, which neither counts for the boundary nor moves the region over it. */
static void test_boundary_and_guard(void **state)
{
	struct vdma_region *r[5];
	size_t i;

	(void)state;
	restart(VDMA_ARENA_CHECK, VDMA_TRANSLATION_LINEAR);
	for (i = 0; i < 5; i++) {
		struct vdma_buf all;

		ASSERT_OK(region(3 * 4096 << i, ANON, C(.boundary = 4 * 4096 << i), &r[i]));
		all = vdma_region_buf(r[i]);
		assert_int_equal(all.iova / (4 * 4096 << i),
				 (all.iova + all.len - 1) / (4 * 4096 << i));
	}
	while (i--)
		ASSERT_OK(vdma_region_destroy(r[i]));
}

static void test_nodes(void **state)
{
	const struct vdma_constraints one = C(.node = VDMA_NODE(1));
	struct vdma_region *r;
	struct vdma_buf a, b;

	(void)state;
	ASSERT_OK(region(4 * MIB, AUTO, one, &r));
	assert_int_equal(fake.alloc.want.node, 1);
	assert_int_equal(fake.alloc.want.node_mode, MAP_CONTIG_NODE_STRICT);
	assert_int_equal(about(r).node, 1);
	ASSERT_OK(vdma_region_destroy(r));
	ASSERT_OK(region(4 * MIB, AUTO, C(.node = VDMA_NODE(0)), &r));
	assert_int_equal(fake.alloc.want.node_mode, MAP_CONTIG_NODE_STRICT);
	assert_int_equal(about(r).node, 0);
	ASSERT_OK(vdma_region_destroy(r));
	ASSERT_OK(region(4 * MIB, ANON, one, &r));
	assert_int_equal(fake.bound.node, 1);
	assert_ptr_equal(fake.bound.va, vdma_region_buf(r).va);
	assert_int_equal(fake.bound.len, 4 * MIB);
	assert_int_equal(about(r).node, 1);
	ASSERT_OK(vdma_region_destroy(r));
	ASSERT_OK(region(4 * MIB, VDMA_PROVIDER_HUGETLB, one, &r));
	assert_int_equal(fake.bound.node, 1);
	assert_int_equal(about(r).node, 1);
	ASSERT_OK(vdma_region_destroy(r));
	/* Not known where none is asked for, as before. */
	ASSERT_OK(region(4 * MIB, ANON, C(), &r));
	assert_int_equal(about(r).node, -1);
	ASSERT_OK(vdma_region_destroy(r));

	/* Buffers: of a chunk of their own, which others keep off. */
	ASSERT_OK(buf(4096, one, &a));
	assert_int_equal(about_buf(&a).node, 1);
	ASSERT_OK(buf(4096, C(), &b));
	assert_int_equal(about_buf(&b).node, 0);
	ASSERT_OK(vdma_buf_free(arena, &a));
	ASSERT_OK(buf(4096, one, &a));
	assert_int_equal(about_buf(&a).node, 1);
	ASSERT_OK(vdma_buf_free(arena, &a));
	ASSERT_OK(vdma_buf_free(arena, &b));
}

static void test_nodes_refused(void **state)
{
	const struct vdma_constraints one = C(.node = VDMA_NODE(1));
	struct vdma_region *r;
	struct vdma_buf b;

	(void)state;
	ASSERT_FAILS(region(1, AUTO, C(.node = VDMA_NODE(7)), &r), EINVAL, VDMA_CAUSE_NODE,
		     "no NUMA node 7", "have some: 0-1");
	assert_int_equal(vdma_last_failure()->need, 7);
	ASSERT_FAILS(buf(1, C(.node = VDMA_NODE(7)), &b), EINVAL, VDMA_CAUSE_NODE, "NUMA node 7");
	/* It has processors only. */
	fake_file("/sys/devices/system/node/node2/meminfo", "Node 2 MemTotal: 0 kB\n");
	ASSERT_FAILS(region(1, ANON, C(.node = VDMA_NODE(2)), &r), EINVAL, VDMA_CAUSE_NODE,
		     "node 2 with memory");

	/* It could have, at most: what is free and what is cached, less a 32nd of all. */
	ASSERT_FAILS(region(968000 * 1024 + 1, ANON, one, &r), ENOMEM, VDMA_CAUSE_NO_MEMORY,
		     "NUMA node 1 has no", "it could free 968000 KiB");
	fake.bind_err = EINVAL;
	ASSERT_FAILS(region(1, ANON, one, &r), EINVAL, VDMA_CAUSE_NODE, "node 1", "cpuset");
	fake.bind_err = ENOSYS;
	ASSERT_FAILS(region(1, ANON, one, &r), EIO, VDMA_CAUSE_SYSTEM, "NUMA node 1", "mbind");
	fake.bind_err = 0;
	fake.stray_node = 0;
	ASSERT_FAILS(region(MIB, ANON, one, &r), ENOMEM, VDMA_CAUSE_NO_MEMORY,
		     "gave memory of NUMA node 0, though bound to node 1");
	fake.stray_node = -1;

	/* Its pool has 1 page of 3 free. */
	fake.populate_err = EFAULT;
	ASSERT_FAILS(region(4 * MIB, VDMA_PROVIDER_HUGETLB, one, &r), ENOMEM, VDMA_CAUSE_NO_HUGETLB,
		     "2 hugetlb pages of 2 MiB are needed on NUMA node 1", "1 are free there",
		     "echo 4 > /sys/devices/system/node/node1/hugepages/hugepages-2048kB");
	fake.populate_err = 0;
	fake.contig_err = ENOMEM;
	fake.largest = MIB;
	ASSERT_FAILS(region(4 * MIB, VDMA_PROVIDER_CONTIG, one, &r), ENOMEM, VDMA_CAUSE_NO_RUN,
		     "run of 4 MiB on NUMA node 1:", "could make there now is 1 MiB",
		     "fewer constraints");
	assert_int_equal(fake.oracle.want.node, 1);
	assert_int_equal(fake.oracle.want.node_mode, MAP_CONTIG_NODE_STRICT);
	fake.contig_err = EINVAL;
	ASSERT_FAILS(region(4 * MIB, VDMA_PROVIDER_CONTIG, one, &r), EINVAL, VDMA_CAUSE_NODE,
		     "node 1 went offline");
	fake.contig_err = 0;
	fake.contig_old = true;
	ASSERT_FAILS(region(4 * MIB, VDMA_PROVIDER_CONTIG, one, &r), EOPNOTSUPP,
		     VDMA_CAUSE_UNSUPPORTED, "takes no constraints", "4 MiB on NUMA node 1");
	/* And who prefers it gets what else there is on that node. */
	ASSERT_OK(region(4 * MIB, AUTO, one, &r));
	assert_int_equal(about(r).provider, VDMA_PROVIDER_HUGETLB);
	assert_int_equal(about(r).node, 1);
	ASSERT_OK(vdma_region_destroy(r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ARENA_TEST(test_places_of_regions),  ARENA_TEST(test_holes),
		ARENA_TEST(test_boundary_and_guard), ARENA_TEST(test_nodes),
		ARENA_TEST(test_nodes_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
