// SPDX-License-Identifier: BSD-3-Clause
/*
 * Programs that were built with an older header, whose structs end earlier: they go
 * on working, and nothing behind their structs is read or written.
 */
#include "unit.h"

static struct vdma_arena *arena;
static struct vdma_ioas *ioas;

static int with_device(void **state)
{
	reset(state);
	add_edu(EDU, 5);
	ASSERT_OK(vdma_arena_create(NULL, &arena));
	ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	return 0;
}

static int without_device(void **state)
{
	ASSERT_OK(vdma_ioas_destroy(ioas));
	return vdma_arena_destroy(arena) ? -1 : check_clean(state);
}

/* A struct of @size bytes, with what must not be touched behind it. */
static union {
	size_t size;
	unsigned char bytes[4096];
	max_align_t align;
} old;

static void *of_size(size_t size, unsigned char fill)
{
	memset(old.bytes, fill, sizeof(old.bytes));
	memset(old.bytes + sizeof(size_t), 0, size - sizeof(size_t));
	old.size = size;
	return &old;
}

static bool rest_is(size_t size, unsigned char fill)
{
	while (size < sizeof(old.bytes) && old.bytes[size] == fill)
		size++;
	return size == sizeof(old.bytes);
}

/* Sizes of the first releases, as x86-64 and arm64 have them. */
static void test_opts(void **state)
{
	struct vdma_region *region;
	struct vdma_device *dev;
	struct vdma_arena *other;
	struct vdma_ioas *second;
	struct vdma_buf buf;

	(void)state;
	/* What follows would be options that nobody knows, or that are wrong. */
	ASSERT_OK(vdma_arena_create(of_size(16, 0xff), &other));
	ASSERT_OK(vdma_arena_destroy(other));
	ASSERT_OK(vdma_ioas_create(arena, of_size(16, 0xff), &second));
	ASSERT_OK(vdma_ioas_destroy(second));
	ASSERT_OK(vdma_device_open(ioas, EDU, of_size(16, 0xff), &dev));
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_region_create(arena, 4096, of_size(24, 0xff), &region));
	ASSERT_OK(vdma_region_destroy(region));
	ASSERT_OK(vdma_buf_alloc(arena, 4096, of_size(40, 0xff), &buf));
	ASSERT_OK(vdma_buf_free(arena, &buf));

	ASSERT_FAILS(vdma_arena_create(of_size(15, 0xff), &other), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "size is 15");
	ASSERT_FAILS(vdma_ioas_create(arena, of_size(11, 0xff), &second), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "size is 11");
	ASSERT_FAILS(vdma_device_open(ioas, EDU, of_size(15, 0xff), &dev), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "size is 15");
	ASSERT_FAILS(vdma_region_create(arena, 4096, of_size(23, 0xff), &region), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "size is 23");
}

static void test_info(void **state)
{
	struct vdma_device *dev = device_of(ioas, EDU);
	struct vdma_region *region = anon_region(arena, 4096);

	(void)state;
	ASSERT_OK(vdma_arena_query(arena, of_size(64, 0xa5)));
	assert_true(rest_is(64, 0xa5));
	assert_int_equal(old.size, 64);
	assert_int_equal(((const struct vdma_arena_info *)(void *)&old)->regions, 1);
	ASSERT_OK(vdma_ioas_query(ioas, of_size(40, 0xa5)));
	assert_true(rest_is(40, 0xa5));
	assert_int_equal(((const struct vdma_ioas_info *)(void *)&old)->entries_used, 1);
	ASSERT_OK(vdma_device_query(dev, of_size(96, 0xa5)));
	assert_true(rest_is(96, 0xa5));
	assert_int_equal(((const struct vdma_device_info *)(void *)&old)->bar_len[3], 2048);
	ASSERT_OK(vdma_region_query(region, of_size(64, 0xa5)));
	assert_true(rest_is(64, 0xa5));
	assert_int_equal(((const struct vdma_region_info *)(void *)&old)->buf_len, 4096);

	ASSERT_FAILS(vdma_arena_query(arena, of_size(32, 0xa5)), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "size is 32");
	ASSERT_FAILS(vdma_ioas_query(ioas, of_size(39, 0xa5)), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "size is 39");
	ASSERT_FAILS(vdma_device_query(dev, of_size(80, 0xa5)), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "size is 80");
	ASSERT_FAILS(vdma_region_query(region, of_size(56, 0xa5)), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "size is 56");
	assert_true(rest_is(56, 0xa5));
	ASSERT_OK(vdma_region_destroy(region));
	ASSERT_OK(vdma_device_close(dev));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_opts, with_device, without_device),
		cmocka_unit_test_setup_teardown(test_info, with_device, without_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
