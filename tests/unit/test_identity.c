// SPDX-License-Identifier: BSD-3-Clause
/*
 * Arenas whose device addresses are the virtual ones.
 */
#include "unit.h"

#define WINDOW (4 * GIB)
/* Beyond 39 bits, where AddressSanitizer leaves room as well. */
#define FAR ((uintptr_t)1 << 45)

static const struct vdma_window *window(const struct vdma_arena *arena)
{
	return (const struct vdma_window *)(const void *)arena;
}

static struct vdma_arena_opts identity(uint32_t flags, uintptr_t base)
{
	return (struct vdma_arena_opts){ .size = sizeof(struct vdma_arena_opts),
					 .window = WINDOW,
					 .flags = VDMA_ARENA_IDENTITY | flags,
					 .base = base };
}

/* AddressSanitizer has what lies below 2^39 for itself. */
static bool low_is_taken(void)
{
	struct vdma_arena_opts opts = identity(0, 0);
	struct vdma_arena *arena;

	if (vdma_arena_create(&opts, &arena))
		return true;
	ASSERT_OK(vdma_arena_destroy(arena));
	return false;
}

static void far_ranges(void)
{
	fake.ranges[0] = (struct vdma_range){ 0, 0xfedfffff };
	fake.ranges[1] = (struct vdma_range){ 0xfef00000, ((uint64_t)1 << 48) - 1 };
	fake.nranges = 2;
}

static void assert_same(const struct vdma_arena *arena, const struct vdma_buf *buf)
{
	assert_int_equal(buf->iova, (uintptr_t)buf->va);
	assert_int_equal(vdma_iova(arena, (char *)buf->va + 5), buf->iova + 5);
	assert_int_equal(vdma_iova_checked(arena, buf->va, buf->len), buf->iova);
	assert_ptr_equal(vdma_va(arena, buf->iova + 5), (char *)buf->va + 5);
}

static void assert_owner(struct vdma_arena *arena, vdma_iova_t iova, enum vdma_iova_state state,
			 const char *words)
{
	struct vdma_iova_info info = { .size = sizeof(info) };

	ASSERT_OK(vdma_explain_iova(arena, iova, &info));
	assert_int_equal(info.state, state);
	if (!strstr(info.text, words))
		fail_msg("%s lacks %s", info.text, words);
}

static bool dumps(struct vdma_arena *arena, const char *words)
{
	char text[8192];
	size_t len = sizeof(text);

	ASSERT_OK(vdma_arena_dump(arena, text, &len));
	return strstr(text, words);
}

static void test_same_addresses(void **state)
{
	const struct vdma_constraints low = { .size = sizeof(low), .address_bits = 32 };
	struct vdma_region_opts opts = { .size = sizeof(opts),
					 .provider = VDMA_PROVIDER_ANON,
					 .constraints = &low };
	struct vdma_arena_info info = { .size = sizeof(info) };
	struct vdma_arena_opts far = identity(VDMA_ARENA_CHECK, FAR);
	struct vdma_region *before, *after, *none;
	struct vdma_buf buf, cut;
	struct vdma_arena *arena;
	struct vdma_device *dev;
	struct vdma_ioas *ioas;
	char line[64];

	(void)state;
	far_ranges();
	add_edu(EDU, 5);
	ASSERT_OK(vdma_arena_create(&far, &arena));
	ASSERT_OK(vdma_arena_query(arena, &info));
	assert_int_equal(info.flags, VDMA_ARENA_IDENTITY | VDMA_ARENA_CHECK);
	assert_int_equal(info.usable, WINDOW);
	assert_int_equal(info.assumed, 1);
	assert_int_equal(window(arena)->va, FAR);
	assert_int_equal(window(arena)->delta, 0);

	before = anon_region(arena, 3 * MIB);
	buf = vdma_region_buf(before);
	assert_same(arena, &buf);
	ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	dev = device_of(ioas, EDU);
	assert_int_equal(fake_reachable(buf.iova, buf.va, buf.len), 1);
	after = anon_region(arena, 4096);
	buf = vdma_region_buf(after);
	assert_same(arena, &buf);
	assert_int_equal(fake_reachable(buf.iova, buf.va, buf.len), 1);
	ASSERT_OK(vdma_buf_alloc(arena, 1000, NULL, &cut));
	assert_same(arena, &cut);

	/* All of it lies above 32 bits. */
	ASSERT_FAILS(vdma_region_create(arena, 4096, &opts, &none), EADDRNOTAVAIL,
		     VDMA_CAUSE_ADDRESS_BITS, "2^32", "0 bytes");

	assert_null(vdma_va(arena, 0));
	assert_null(vdma_va(arena, FAR - 1));
	assert_null(vdma_va(arena, FAR + WINDOW));
	assert_owner(arena, FAR - 1, VDMA_IOVA_OUTSIDE, "which begins at 0x200000000000");
	assert_owner(arena, FAR + WINDOW, VDMA_IOVA_OUTSIDE, "which ends at 0x2000ffffffff");
	assert_owner(arena, FAR, VDMA_IOVA_UNUSED, "nobody's");
	assert_owner(arena, buf.iova + 1, VDMA_IOVA_LIVE, "byte 0x1 of the region of 4 KiB");
	assert_true(dumps(arena, "virtual address = IOVA\nusable 0x200000000000-0x2000ffffffff"));
	/* The map begins where the window does; what there is lies at its end. */
	assert_true(dumps(arena, "\n  0x200000000000 ...."));
	snprintf(line, sizeof(line), "0x%012llx", (unsigned long long)buf.iova);
	assert_true(dumps(arena, line));

	ASSERT_OK(vdma_buf_free(arena, &cut));
	ASSERT_OK(vdma_region_destroy(before));
	assert_owner(arena, buf.iova, VDMA_IOVA_LIVE, "region");
	ASSERT_OK(vdma_region_destroy(after));
	assert_owner(arena, buf.iova, VDMA_IOVA_FREED, "of the region of 4 KiB");
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
	ASSERT_OK(vdma_arena_destroy(arena));
}

/* Without a base: where 39 bits reach, and each arena somewhere else. */
static void test_low(void **state)
{
	struct vdma_arena_opts opts = identity(0, 0);
	struct vdma_arena *arena, *other;
	const struct vdma_window *w;
	struct vdma_region *region;
	struct vdma_device *dev;
	struct vdma_ioas *ioas;
	struct vdma_buf buf;

	(void)state;
	if (low_is_taken())
		skip();
	add_edu(EDU, 5);
	ASSERT_OK(vdma_arena_create(&opts, &arena));
	w = window(arena);
	assert_true(w->va >= 4 * GIB && w->va + w->len <= (uintptr_t)1 << 39);
	assert_true(fake_is_reserved((void *)w->va, w->len));
	ASSERT_OK(vdma_arena_create(&opts, &other));
	assert_true(window(other)->va + WINDOW <= w->va || window(other)->va >= w->va + WINDOW);
	assert_true(window(other)->va >= 4 * GIB);
	ASSERT_OK(vdma_arena_destroy(other));

	ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	dev = device_of(ioas, EDU);
	region = anon_region(arena, 2 * MIB);
	buf = vdma_region_buf(region);
	assert_same(arena, &buf);
	assert_int_equal(fake_reachable(buf.iova, buf.va, buf.len), 1);
	ASSERT_OK(vdma_region_destroy(region));
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
	ASSERT_OK(vdma_arena_destroy(arena));
}

/* A default window shrinks, and is told of; one that was asked for does not. */
static void test_low_window(void **state)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts), .flags = VDMA_ARENA_IDENTITY };
	struct vdma_arena_info info = { .size = sizeof(info) };
	struct vdma_arena *arena;

	(void)state;
	if (low_is_taken() || on_valgrind())
		skip();
	fake.max_mmap = 20 * GIB;
	ASSERT_OK(vdma_arena_create(&opts, &arena));
	ASSERT_OK(vdma_arena_query(arena, &info));
	assert_int_equal(info.window, 16 * GIB);
	assert_int_equal(info.window_wanted, 256 * GIB);
	ASSERT_OK(vdma_arena_destroy(arena));
	opts.window = 64 * GIB;
	ASSERT_FAILS(vdma_arena_create(&opts, &arena), ENOMEM, VDMA_CAUSE_RESERVE, "64 GiB",
		     "RLIMIT_AS");
}

static void test_occupied(void **state)
{
	struct vdma_arena_opts opts = identity(0, FAR);
	struct vdma_arena *arena, *none = NULL;

	(void)state;
	ASSERT_OK(vdma_arena_create(&opts, &arena));
	ASSERT_FAILS(vdma_arena_create(&opts, &none), EADDRINUSE, VDMA_CAUSE_OCCUPIED,
		     "0x200000000000");
	assert_null(none);
	ASSERT_OK(vdma_arena_destroy(arena));
}

/* A device whose IOMMU does not reach the window. */
static void test_out_of_reach(void **state)
{
	struct vdma_arena_opts opts = identity(0, FAR);
	struct vdma_region *region;
	struct vdma_arena *arena;
	struct vdma_device *dev;
	struct vdma_ioas *ioas;

	(void)state;
	add_edu(EDU, 5);
	ASSERT_OK(vdma_arena_create(&opts, &arena));
	region = anon_region(arena, 4096);
	ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	assert_int_not_equal(vdma_device_open(ioas, EDU, NULL, &dev), 0);
	assert_int_equal(vdma_last_failure()->cause, VDMA_CAUSE_UNREACHABLE);
	ASSERT_OK(vdma_region_destroy(region));
	ASSERT_OK(vdma_ioas_destroy(ioas));
	ASSERT_OK(vdma_arena_destroy(arena));
}

static void test_refused(void **state)
{
	struct vdma_arena_opts opts = identity(VDMA_ARENA_SHARED, 0);
	struct vdma_arena *none = NULL;

	(void)state;
	ASSERT_FAILS(vdma_arena_create(&opts, &none), EINVAL, VDMA_CAUSE_ARGUMENT, "not both");
	opts = identity(0, FAR + 4096);
	ASSERT_FAILS(vdma_arena_create(&opts, &none), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "multiple of 1 GiB");
	opts = identity(0, 0);
	opts.window = 509 * GIB;
	ASSERT_FAILS(vdma_arena_create(&opts, &none), EINVAL, VDMA_CAUSE_ARGUMENT, "509 GiB",
		     "give it a base");
	opts = identity(0, 0);
	opts.translation = VDMA_TRANSLATION_PHYSICAL;
	ASSERT_FAILS(vdma_arena_create(&opts, &none), EINVAL, VDMA_CAUSE_TRANSLATION,
		     "VDMA_ARENA_IDENTITY");
	bare_machine();
	opts.translation = VDMA_TRANSLATION_AUTO;
	ASSERT_FAILS(vdma_arena_create(&opts, &none), EINVAL, VDMA_CAUSE_TRANSLATION,
		     "takes an IOMMU");
	assert_null(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLEAN_TEST(test_same_addresses), CLEAN_TEST(test_low),
		CLEAN_TEST(test_low_window),	 CLEAN_TEST(test_occupied),
		CLEAN_TEST(test_out_of_reach),	 CLEAN_TEST(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
