// SPDX-License-Identifier: BSD-3-Clause
/*
 * How memory lies physically: one run, so many at most, or indifferent. What is
 * preferred falls back step by step and tells why, what is required is had or refused
 * with what stands in the way.
 */
#include "constrained.h"

/* Preferred: contiguous, then huge pages, then any, each time with the reasons. */
static void test_fallback_of_regions(void **state)
{
	struct vdma_region_info info;
	struct vdma_region *r;

	(void)state;
	ASSERT_OK(region(4 * MIB, AUTO, C(), &r));
	info = about(r);
	assert_int_equal(info.provider, VDMA_PROVIDER_CONTIG);
	assert_int_equal(info.delivered, VDMA_DELIVERED_CONTIGUOUS);
	assert_int_equal(info.cause, VDMA_CAUSE_NONE);
	assert_string_equal(info.reason, "");
	ASSERT_OK(vdma_region_destroy(r));

	ASSERT_FAILS(vdma_region_create(arena, 0, NULL, &r), EINVAL, VDMA_CAUSE_ARGUMENT, "");
	fake.contig_max = fake.largest = 3 * MIB;
	fake.blocker = MAP_CONTIG_BLOCK_HUGETLB;
	ASSERT_OK(region(4 * MIB, AUTO, C(), &r));
	info = about(r);
	assert_int_equal(info.provider, VDMA_PROVIDER_HUGETLB);
	assert_int_equal(info.delivered, VDMA_DELIVERED_HUGE);
	assert_int_equal(info.cause, VDMA_CAUSE_NO_RUN);
	assert_non_null(strstr(info.reason, "no physically contiguous run of 4 MiB"));
	assert_non_null(strstr(info.reason, "the largest that it could make now is 3 MiB"));
	assert_non_null(strstr(info.reason, "In the way of more: hugetlb pages"));
	assert_null(strchr(info.reason, '\n'));
	/* It succeeded, so it left no failure. */
	assert_int_equal(vdma_last_failure()->cause, VDMA_CAUSE_ARGUMENT);
	ASSERT_OK(vdma_region_destroy(r));

	ASSERT_OK(region(12 * MIB, AUTO, C(), &r));
	info = about(r);
	assert_int_equal(info.provider, ANON);
	assert_int_equal(info.delivered, VDMA_DELIVERED_SCATTERED);
	assert_int_equal(info.cause, VDMA_CAUSE_NO_RUN);
	assert_non_null(strstr(info.reason, "contiguous run of 12 MiB"));
	assert_non_null(strstr(info.reason, "\n6 hugetlb pages of 2 MiB are needed, 4 are free"));
	assert_int_equal(vdma_last_failure()->cause, VDMA_CAUSE_ARGUMENT);
	ASSERT_OK(vdma_region_destroy(r));

	/* Nothing at all: what the last one said. */
	fake.max_mmap = MIB;
	ASSERT_FAILS(region(12 * MIB, AUTO, C(), &r), ENOMEM, VDMA_CAUSE_NO_MEMORY,
		     "no 12 MiB of memory");
	fake.max_mmap = UINT64_MAX;
	fake.contig_max = UINT64_MAX;

	/* One page is one run, whoever has it. */
	fake.contig_err = EDQUOT;
	fake.hugetlb_free = 0;
	ASSERT_OK(region(1, AUTO, C(), &r));
	info = about(r);
	assert_int_equal(info.provider, ANON);
	assert_int_equal(info.delivered, VDMA_DELIVERED_CONTIGUOUS);
	assert_int_equal(info.cause, VDMA_CAUSE_QUOTA);
	ASSERT_OK(vdma_region_destroy(r));

	/* For the words there is no room. */
	fake_fail_alloc(2);
	ASSERT_OK(region(12 * MIB, AUTO, C(), &r));
	fake_fail_alloc(0);
	assert_int_equal(about(r).cause, VDMA_CAUSE_QUOTA);
	assert_non_null(strstr(about(r).reason, "hugetlb"));
	ASSERT_OK(vdma_region_destroy(r));
}

static void test_required(void **state)
{
	struct vdma_region *r;
	struct vdma_buf b;

	(void)state;
	fake.contig_max = fake.largest = 3 * MIB;
	fake.blocker = MAP_CONTIG_BLOCK_PINNED;
	fake.blocker_node = 1;
	fake.blocker_phys = 0xabc000;
	ASSERT_FAILS(region(4 * MIB, AUTO, C(.contiguity = REQUIRED), &r), ENOMEM,
		     VDMA_CAUSE_NO_RUN, "run of 4 MiB:", "now is 3 MiB",
		     "In the way of more: memory that a driver pins", "NUMA node 1",
		     "physical address 0xabc000");
	assert_int_equal(vdma_last_failure()->need, 4 * MIB);
	assert_int_equal(vdma_last_failure()->limit, 3 * MIB);
	ASSERT_FAILS(buf(4 * MIB, C(.contiguity = REQUIRED), &b), ENOMEM, VDMA_CAUSE_NO_RUN,
		     "run of 4 MiB:", "0xabc000");
	ASSERT_OK(region(3 * MIB, AUTO, C(.contiguity = REQUIRED), &r));
	assert_int_equal(about(r).provider, VDMA_PROVIDER_CONTIG);
	ASSERT_OK(vdma_region_destroy(r));
	ASSERT_FAILS(region(1, ANON, C(.contiguity = REQUIRED), &r), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "provider anon", "VDMA_PROVIDER_AUTO");
	ASSERT_FAILS(region(1, VDMA_PROVIDER_HUGETLB, C(.contiguity = REQUIRED), &r), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "provider hugetlb");
	fake_remove("/dev/map_contig");
	ASSERT_FAILS(region(1, AUTO, C(.contiguity = REQUIRED), &r), ENOENT, VDMA_CAUSE_NO_MODULE,
		     "insmod");
}

/* Every reason that the module gives has words. */
static void test_blockers(void **state)
{
	static const char *const words[] = {
		[MAP_CONTIG_BLOCK_RESERVED] = "firmware",
		[MAP_CONTIG_BLOCK_UNMOVABLE] = "does not move",
		[MAP_CONTIG_BLOCK_PINNED] = "pins",
		[MAP_CONTIG_BLOCK_HUGETLB] = "hugetlb pages",
		[MAP_CONTIG_BLOCK_OFFLINE] = "not online",
		[MAP_CONTIG_BLOCK_POISON] = "bad memory",
		[MAP_CONTIG_BLOCK_ZONE] = "the end of what memory there is",
		[MAP_CONTIG_BLOCK_LIMIT] = "the constraints allow",
		[MAP_CONTIG_BLOCK_MEMORY] = "too little free memory",
	};
	struct vdma_region *r;

	(void)state;
	fake.contig_err = ENOMEM;
	fake.largest = MIB;
	for (fake.blocker = 1; fake.blocker < sizeof(words) / sizeof(words[0]); fake.blocker++)
		ASSERT_FAILS(region(2 * MIB, AUTO, C(.contiguity = REQUIRED), &r), ENOMEM,
			     VDMA_CAUSE_NO_RUN, "In the way of more: ", words[fake.blocker]);
	/* What a newer module may say. */
	ASSERT_FAILS(region(2 * MIB, AUTO, C(.contiguity = REQUIRED), &r), ENOMEM,
		     VDMA_CAUSE_NO_RUN, "now is 1 MiB. Ask");
}

static void test_indifferent(void **state)
{
	struct vdma_region *r;
	struct vdma_buf b;

	(void)state;
	ASSERT_OK(region(4 * MIB, AUTO, C(.contiguity = INDIFFERENT), &r));
	assert_int_equal(about(r).provider, ANON);
	assert_int_equal(about(r).delivered, VDMA_DELIVERED_SCATTERED);
	assert_int_equal(about(r).cause, VDMA_CAUSE_NONE);
	ASSERT_OK(vdma_region_destroy(r));
	ASSERT_OK(buf(4 * MIB, C(.contiguity = INDIFFERENT), &b));
	assert_int_equal(about_buf(&b).provider, ANON);
	assert_int_equal(about_buf(&b).cause, VDMA_CAUSE_NONE);
	ASSERT_OK(vdma_buf_free(arena, &b));
}

static void test_fallback_of_bufs(void **state)
{
	struct vdma_region_info info = { .size = sizeof(info) };
	struct vdma_buf a, b, c, other;

	(void)state;
	ASSERT_OK(buf(4096, C(), &a));
	assert_int_equal(about_buf(&a).delivered, VDMA_DELIVERED_CONTIGUOUS);
	assert_string_equal(about_buf(&a).reason, "");
	ASSERT_OK(vdma_buf_free(arena, &a));
	ASSERT_OK(vdma_buf_trim(arena));
	fake.contig_err = ENOMEM;
	fake.largest = MIB;
	ASSERT_OK(buf(4096, C(), &a));
	info = about_buf(&a);
	assert_int_equal(info.provider, VDMA_PROVIDER_HUGETLB);
	/* The pool has four pages, for which a usual chunk is too large: it is of one. */
	assert_int_equal(info.delivered, VDMA_DELIVERED_CONTIGUOUS);
	assert_int_equal(info.cause, VDMA_CAUSE_NO_RUN);
	assert_non_null(strstr(info.reason, "run of 2 MiB: the largest"));
	ASSERT_OK(buf(3 * MIB, C(), &b));
	assert_int_equal(about_buf(&b).delivered, VDMA_DELIVERED_HUGE);
	ASSERT_OK(buf(32 * MIB, C(), &c));
	info = about_buf(&c);
	assert_int_equal(info.delivered, VDMA_DELIVERED_SCATTERED);
	assert_int_equal(info.cause, VDMA_CAUSE_NO_RUN);
	assert_non_null(strstr(info.reason, "\n16 hugetlb pages"));
	/* Not a part of it, nor what is none. */
	other = c;
	other.len -= 64;
	ASSERT_FAILS(vdma_buf_query(arena, &other, &info), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "no buffer of");
	other = c;
	other.iova++;
	ASSERT_FAILS(vdma_buf_query(arena, &other, &info), EINVAL, VDMA_CAUSE_ARGUMENT, "");
	ASSERT_FAILS(vdma_buf_query(arena, NULL, &info), EINVAL, VDMA_CAUSE_ARGUMENT, "NULL");
	ASSERT_FAILS(vdma_buf_query(arena, &c, NULL), EINVAL, VDMA_CAUSE_ARGUMENT, "NULL");
	info.size = 8;
	ASSERT_FAILS(vdma_buf_query(arena, &c, &info), EINVAL, VDMA_CAUSE_ARGUMENT, "size");
	info.size = sizeof(info);
	ASSERT_OK(vdma_buf_free(arena, &c));
	ASSERT_FAILS(vdma_buf_query(arena, &c, &info), EINVAL, VDMA_CAUSE_ARGUMENT, "");
	ASSERT_OK(vdma_buf_free(arena, &b));
	ASSERT_OK(vdma_buf_free(arena, &a));

	/* Where lengths are known to the byte, only those are right. */
	restart(VDMA_ARENA_CHECK, VDMA_TRANSLATION_LINEAR);
	ASSERT_OK(buf(100, C(), &a));
	assert_int_equal(about_buf(&a).provider, VDMA_PROVIDER_HUGETLB);
	other = a;
	other.len = 128;
	ASSERT_FAILS(vdma_buf_query(arena, &other, &info), EINVAL, VDMA_CAUSE_ARGUMENT, "");
	ASSERT_OK(vdma_buf_free(arena, &a));
	ASSERT_FAILS(vdma_buf_query(arena, &a, &info), EINVAL, VDMA_CAUSE_ARGUMENT, "");
}

static void test_segments(void **state)
{
	struct vdma_region *r;
	struct vdma_buf a, b;

	(void)state;
	ASSERT_OK(region(64 * MIB, AUTO, C(.max_segments = 1), &r));
	assert_int_equal(about(r).extents, 1);
	ASSERT_OK(vdma_region_destroy(r));
	ASSERT_OK(region(8192, ANON, C(.max_segments = 2), &r));
	ASSERT_OK(vdma_region_destroy(r));
	ASSERT_FAILS(region(8193, ANON, C(.max_segments = 2), &r), ENOMEM, VDMA_CAUSE_SEGMENTS,
		     "12 KiB in pages of 4 KiB may be 3 physically contiguous runs",
		     "max_segments is 2", "VDMA_CONTIG_PREFERRED");
	assert_int_equal(vdma_last_failure()->need, 3);
	assert_int_equal(vdma_last_failure()->limit, 2);
	/* Transparent huge pages are a wish. */
	ASSERT_FAILS(vdma_region_create(arena, 2 * MIB,
					&(struct vdma_region_opts){
						.size = sizeof(struct vdma_region_opts),
						.provider = ANON,
						.page_size = 2 * MIB,
						.constraints =
							&C(.size = sizeof(struct vdma_constraints),
							   .max_segments = 1) },
					&r),
		     ENOMEM, VDMA_CAUSE_SEGMENTS, "512");

	fake.contig_err = ENOMEM;
	fake.largest = MIB;
	ASSERT_OK(region(4 * MIB, AUTO, C(.max_segments = 2), &r));
	assert_int_equal(about(r).provider, VDMA_PROVIDER_HUGETLB);
	ASSERT_OK(vdma_region_destroy(r));
	ASSERT_FAILS(region(6 * MIB, AUTO, C(.max_segments = 2), &r), ENOMEM, VDMA_CAUSE_SEGMENTS,
		     "may be 1536", "That was refused: ", "no physically contiguous run of 6 MiB",
		     "6 MiB in pages of 2 MiB may be 3");
	/* In the smaller of its pages. */
	ASSERT_OK(region(8192, AUTO, C(.max_segments = 2, .boundary = 8192), &r));
	assert_int_equal(about(r).provider, ANON);
	ASSERT_OK(vdma_region_destroy(r));

	/* A buffer is placed so that it is in no more; it does not take what would be more. */
	ASSERT_OK(buf(64, C(.contiguity = INDIFFERENT), &a));
	ASSERT_OK(buf(4096, C(.contiguity = INDIFFERENT, .max_segments = 1), &b));
	assert_int_equal(b.iova % 4096, 0);
	assert_int_equal(about_buf(&b).buf_len, 64 * MIB);
	ASSERT_OK(vdma_buf_free(arena, &b));
	ASSERT_OK(buf(8192, C(.contiguity = INDIFFERENT, .max_segments = 2), &b));
	assert_int_equal(b.iova % 4096, 0);
	ASSERT_OK(vdma_buf_free(arena, &b));
	ASSERT_OK(buf(4096, C(.contiguity = INDIFFERENT, .max_segments = 2), &b));
	assert_true(b.iova / 4096 + 1 >= (b.iova + b.len - 1) / 4096);
	ASSERT_OK(vdma_buf_free(arena, &b));
	ASSERT_FAILS(buf(8192, C(.contiguity = INDIFFERENT, .max_segments = 1), &b), ENOMEM,
		     VDMA_CAUSE_SEGMENTS, "8 KiB in pages of 4 KiB may be 2");
	ASSERT_OK(vdma_buf_free(arena, &a));

	/* Huge pages that were had for others do; ordinary ones do not. */
	ASSERT_OK(buf(3 * MIB, C(), &a));
	assert_int_equal(about_buf(&a).provider, VDMA_PROVIDER_HUGETLB);
	ASSERT_OK(buf(MIB, C(.max_segments = 1), &b));
	assert_int_equal(about_buf(&b).provider, VDMA_PROVIDER_HUGETLB);
	assert_int_equal(b.iova / (2 * MIB), (b.iova + b.len - 1) / (2 * MIB));
	ASSERT_OK(vdma_buf_free(arena, &b));
	ASSERT_OK(vdma_buf_free(arena, &a));
	ASSERT_OK(vdma_buf_trim(arena));
	fake.hugetlb_free = 0;
	ASSERT_OK(buf(MIB, C(), &a));
	assert_int_equal(about_buf(&a).provider, ANON);
	ASSERT_FAILS(buf(MIB, C(.max_segments = 1), &b), ENOMEM, VDMA_CAUSE_SEGMENTS,
		     "1 MiB in pages of 4 KiB may be 256", "no physically contiguous run of 2 MiB",
		     "1 hugetlb pages");
	ASSERT_OK(vdma_buf_free(arena, &a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ARENA_TEST(test_fallback_of_regions),
		ARENA_TEST(test_required),
		ARENA_TEST(test_blockers),
		ARENA_TEST(test_indifferent),
		ARENA_TEST(test_fallback_of_bufs),
		ARENA_TEST(test_segments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
