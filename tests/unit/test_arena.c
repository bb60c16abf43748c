// SPDX-License-Identifier: BSD-3-Clause
/*
 * The window and the translation through it; structs that carry their size.
 */
#include "unit.h"

static void test_window(void **state)
{
	struct vdma_arena_info info = { .size = sizeof(info) };
	struct vdma_range ranges[4];
	struct vdma_arena *arena;
	const struct vdma_window *w;
	size_t n = 4;

	(void)state;
	if (on_valgrind())
		skip();
	ASSERT_OK(vdma_arena_create(NULL, &arena));
	w = (const struct vdma_window *)(const void *)arena;
	assert_int_equal(w->len, 256 * GIB);
	assert_int_equal(w->va % GIB, 0);
	assert_int_equal(w->delta % GIB, 0);
	assert_true(fake_is_reserved((void *)w->va, w->len));
	ASSERT_OK(vdma_arena_query(arena, &info));
	assert_int_equal(info.window, 256 * GIB);
	assert_int_equal(info.window_wanted, 256 * GIB);
	assert_int_equal(info.assumed, 1);
	assert_int_equal(info.regions + info.bytes + info.ioas, 0);
	assert_int_equal(info.usable, 256 * GIB - 4096 - MIB);
	ASSERT_OK(vdma_arena_ranges(arena, ranges, &n));
	assert_int_equal(n, 2);
	assert_int_equal(ranges[0].first, 4096);
	assert_int_equal(ranges[0].last, 0xfedfffff);
	assert_int_equal(ranges[1].first, 0xfef00000);
	assert_int_equal(ranges[1].last, 256 * GIB - 1);
	n = 0;
	ASSERT_OK(vdma_arena_ranges(arena, NULL, &n));
	assert_int_equal(n, 2);
	ASSERT_OK(vdma_arena_destroy(arena));
	ASSERT_OK(vdma_arena_destroy(NULL));
}

static void test_translation(void **state)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts), .window = 4 * GIB };
	struct vdma_arena *arena;
	const struct vdma_window *w;
	enum { N = 19 }; /* no whole number of vectors */
	vdma_iova_t iovas[N] = { [N - 1] = 5 };
	void *vas[N];
	char *base;
	size_t i;

	(void)state;
	ASSERT_OK(vdma_arena_create(&opts, &arena));
	w = (const struct vdma_window *)(const void *)arena;
	base = (char *)w->va;
	assert_int_equal(vdma_iova(arena, base + 0x12345), 0x12345);
	assert_ptr_equal(vdma_va(arena, 0x12345), base + 0x12345);
	assert_ptr_equal(vdma_va(arena, 4 * GIB - 1), base + 4 * GIB - 1);
	assert_null(vdma_va(arena, 4 * GIB));
	assert_null(vdma_va(arena, UINT64_MAX));

	assert_int_equal(vdma_iova_checked(arena, base, 1), 0);
	assert_int_equal(vdma_iova_checked(arena, base, 4 * GIB), 0);
	assert_int_equal(vdma_iova_checked(arena, base + 4 * GIB - 1, 1), 4 * GIB - 1);
	assert_int_equal(vdma_iova_checked(arena, base, 4 * GIB + 1), VDMA_IOVA_NONE);
	assert_int_equal(vdma_iova_checked(arena, base + 4 * GIB - 1, 2), VDMA_IOVA_NONE);
	assert_int_equal(vdma_iova_checked(arena, base + 4 * GIB, 1), VDMA_IOVA_NONE);
	assert_int_equal(vdma_iova_checked(arena, base - 1, 1), VDMA_IOVA_NONE);
	assert_int_equal(vdma_iova_checked(arena, base - 1, 2), VDMA_IOVA_NONE);
	assert_int_equal(vdma_iova_checked(arena, base + 1, 0), VDMA_IOVA_NONE);
	assert_int_equal(vdma_iova_checked(arena, base, 0), VDMA_IOVA_NONE);
	assert_int_equal(vdma_iova_checked(arena, base + 100, SIZE_MAX - 50), VDMA_IOVA_NONE);
	assert_int_equal(vdma_iova_checked(arena, base, SIZE_MAX), VDMA_IOVA_NONE);
	assert_int_equal(vdma_iova_checked(arena, NULL, SIZE_MAX), VDMA_IOVA_NONE);
	assert_int_equal(vdma_iova_checked(arena, base + 1, SIZE_MAX), VDMA_IOVA_NONE);
	assert_int_equal(vdma_iova_checked(arena, NULL, 1), VDMA_IOVA_NONE);
	for (i = 0; i < N; i++)
		vas[i] = base + 0x1003 * i;
	vdma_iova_burst(arena, vas, iovas, N - 1);
	for (i = 0; i < N - 1; i++)
		assert_int_equal(iovas[i], vdma_iova(arena, vas[i]));
	assert_int_equal(iovas[N - 1], 5);
	ASSERT_OK(vdma_arena_destroy(arena));
}

static void test_window_shrinks(void **state)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts), .window = 64 * GIB };
	struct vdma_arena_info info = { .size = sizeof(info) };
	struct vdma_arena *arena = (void *)1;

	(void)state;
	fake.max_mmap = 20 * GIB;
	ASSERT_OK(vdma_arena_create(NULL, &arena));
	ASSERT_OK(vdma_arena_query(arena, &info));
	assert_int_equal(info.window, 16 * GIB);
	assert_int_equal(info.window_wanted, 256 * GIB);
	ASSERT_OK(vdma_arena_destroy(arena));

	/* A size that was asked for is met, or the call fails. */
	arena = (void *)1;
	ASSERT_FAILS(vdma_arena_create(&opts, &arena), ENOMEM, VDMA_CAUSE_RESERVE, "64 GiB",
		     "RLIMIT_AS");
	assert_ptr_equal(arena, (void *)1);
	assert_int_equal(vdma_last_failure()->sys_errno, ENOMEM);
	fake.max_mmap = 4096;
	ASSERT_FAILS(vdma_arena_create(NULL, &arena), ENOMEM, VDMA_CAUSE_RESERVE, "1 GiB");
}

static void test_opts(void **state)
{
	struct {
		struct vdma_arena_opts known;
		uint64_t newer;
	} opts = { .known = { .size = sizeof(opts), .window = GIB } };
	struct vdma_arena *arena;

	(void)state;
	/* A newer caller's struct: fine as long as the tail asks for nothing. */
	ASSERT_OK(vdma_arena_create(&opts.known, &arena));
	ASSERT_OK(vdma_arena_destroy(arena));
	opts.newer = 1;
	ASSERT_FAILS(vdma_arena_create(&opts.known, &arena), E2BIG, VDMA_CAUSE_OPTIONS, "unknown",
		     "newer libvdma");
	opts.known.size = 0;
	ASSERT_FAILS(vdma_arena_create(&opts.known, &arena), EINVAL, VDMA_CAUSE_ARGUMENT, "sizeof");
	opts.known.size = sizeof(opts.known);
	opts.known.window = GIB + 4096;
	ASSERT_FAILS(vdma_arena_create(&opts.known, &arena), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "multiple of 1 GiB");
	opts.known.window = (size_t)1 << 47;
	ASSERT_FAILS(vdma_arena_create(&opts.known, &arena), EINVAL, VDMA_CAUSE_ARGUMENT, "64 TiB");
	ASSERT_FAILS(vdma_arena_create(NULL, NULL), EINVAL, VDMA_CAUSE_ARGUMENT, "NULL");
}

static void test_info_size(void **state)
{
	struct {
		struct vdma_arena_info known;
		uint64_t newer;
	} info = { .newer = 7 };
	struct vdma_arena *arena;

	(void)state;
	ASSERT_OK(vdma_arena_create(NULL, &arena));
	ASSERT_FAILS(vdma_arena_query(arena, &info.known), EINVAL, VDMA_CAUSE_ARGUMENT, "sizeof");
	info.known.size = sizeof(info);
	ASSERT_OK(vdma_arena_query(arena, &info.known));
	assert_int_equal(info.known.size, sizeof(info));
	assert_int_equal(info.known.window, window_of(arena));
	assert_int_equal(info.newer, 0);
	ASSERT_OK(vdma_arena_destroy(arena));
}

static void test_children(void **state)
{
	struct vdma_region_opts anon = { .size = sizeof(anon), .provider = VDMA_PROVIDER_ANON };
	struct vdma_region *region;
	struct vdma_arena *arena;
	struct vdma_ioas *ioas;

	(void)state;
	ASSERT_OK(vdma_arena_create(NULL, &arena));
	ASSERT_OK(vdma_region_create(arena, 1, &anon, &region));
	ASSERT_FAILS(vdma_arena_destroy(arena), EBUSY, VDMA_CAUSE_CHILDREN, "1 regions");
	ASSERT_OK(vdma_region_destroy(region));
	ASSERT_OK(vdma_ioas_create(arena, NULL, &ioas));
	ASSERT_FAILS(vdma_arena_destroy(arena), EBUSY, VDMA_CAUSE_CHILDREN, "1 address space");
	ASSERT_OK(vdma_ioas_destroy(ioas));
	ASSERT_OK(vdma_arena_destroy(arena));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLEAN_TEST(test_window),	 CLEAN_TEST(test_translation),
		CLEAN_TEST(test_window_shrinks), CLEAN_TEST(test_opts),
		CLEAN_TEST(test_info_size),	 CLEAN_TEST(test_children),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
