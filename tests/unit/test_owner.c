// SPDX-License-Identifier: BSD-3-Clause
/*
 * Whose is an address: of every kind, in words and in numbers, with the checking
 * mode and without; and what an arena says that still has children.
 */
#include "unit.h"

#include "../../libvdma/quarantine.h"
#include "../../libvdma/sys.h"

#define PAGE ((uint64_t)4096)
#define GUARD ((uint64_t)64 << 10)

static struct vdma_arena *arena;

static int with_checks(void **state)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts), .flags = VDMA_ARENA_CHECK };

	reset(state);
	return vdma_arena_create(&opts, &arena);
}

static int without_checks(void **state)
{
	reset(state);
	return vdma_arena_create(NULL, &arena);
}

static int teardown(void **state)
{
	return vdma_arena_destroy(arena) ? -1 : check_clean(state);
}

static struct vdma_buf get(size_t len)
{
	struct vdma_buf buf = { 0 };

	ASSERT_OK(vdma_buf_alloc(arena, len, NULL, &buf));
	return buf;
}

static void put(const struct vdma_buf *buf)
{
	ASSERT_OK(vdma_buf_free(arena, buf));
}

/* The answer is this, and the text contains every one of the strings. */
#define ASSERT_IOVA(iova, state, owner, base, len, ...) \
	assert_iova((iova), VDMA_IOVA_##state, VDMA_OWNER_##owner, (base), (len), \
		    (const char *const[]){ __VA_ARGS__, NULL })

static struct vdma_iova_info assert_iova(uint64_t iova, enum vdma_iova_state state,
					 enum vdma_owner owner, uint64_t base, uint64_t len,
					 const char *const *parts)
{
	struct vdma_iova_info info = { .size = sizeof(info) };

	ASSERT_OK(vdma_explain_iova(arena, iova, &info));
	if (info.state != state || info.owner != owner || info.base != base || info.len != len)
		fail_msg("state %d, owner %d, 0x%llx + 0x%llx, expected %d, %d, 0x%llx + 0x%llx: "
			 "%s",
			 info.state, info.owner, (unsigned long long)info.base,
			 (unsigned long long)info.len, state, owner, (unsigned long long)base,
			 (unsigned long long)len, info.text);
	if (owner != VDMA_OWNER_NONE)
		assert_int_equal(info.offset, (int64_t)(iova - base));
	for (; *parts; parts++)
		if (!strstr(info.text, *parts))
			fail_msg("\"%s\" is not in: %s", *parts, info.text);
	return info;
}

static const char *thread(void)
{
	static char words[32];

	snprintf(words, sizeof(words), "by thread %d", (int)vdma_sys_tid());
	return words;
}

static void test_arguments(void **state)
{
	struct vdma_iova_info info = { .size = sizeof(info) - 1, .len = 7 };

	(void)state;
	ASSERT_FAILS(vdma_explain_iova(NULL, 0, &info), EINVAL, VDMA_CAUSE_ARGUMENT, "NULL");
	ASSERT_FAILS(vdma_explain_iova(arena, 0, NULL), EINVAL, VDMA_CAUSE_ARGUMENT, "NULL");
	ASSERT_FAILS(vdma_explain_iova(arena, 0, &info), EINVAL, VDMA_CAUSE_ARGUMENT, "sizeof");
	assert_int_equal(info.len, 7);
}

/* Both with and without checks. */
static void test_nobody(void **state)
{
	(void)state;
	ASSERT_IOVA(0, RESERVED, NONE, 0, PAGE, "IOVA 0x0 is", "from 0x0 to 0xfff");
	ASSERT_IOVA(4095, RESERVED, NONE, 0, PAGE, "");
	ASSERT_IOVA(4096, UNUSED, NONE, 0, 0, "0x1000", "nobody's");
	ASSERT_IOVA(0xfee00000, RESERVED, NONE, 0xfee00000, MIB, "from 0xfee00000 to 0xfeefffff",
		    "MSI");
	ASSERT_IOVA(0xfef00000, UNUSED, NONE, 0, 0, "");
	ASSERT_IOVA(window_of(arena) - 1, UNUSED, NONE, 0, 0, "");
	ASSERT_IOVA(window_of(arena), OUTSIDE, NONE, 0, 0, "window",
		    on_valgrind() ? "ffffffff" : "0x3fffffffff");
	ASSERT_IOVA(UINT64_MAX, OUTSIDE, NONE, 0, 0, "0xffffffffffffffff");
}

/* What a device's IOMMU does not reach, is reserved. */
static void test_reach(void **state)
{
	struct vdma_device *dev;
	struct vdma_ioas *ioas;

	(void)state;
	add_edu(EDU, 5);
	fake.ranges[0] = (struct vdma_range){ 0, UINT32_MAX };
	fake.nranges = 1;
	ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	dev = device_of(ioas, EDU);
	ASSERT_IOVA(0xfee00000, UNUSED, NONE, 0, 0, "");
	ASSERT_IOVA(4 * GIB, RESERVED, NONE, 4 * GIB, window_of(arena) - 4 * GIB, "do not reach");
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

/* Regions carry where they came from in every arena. */
static void test_live_region(void **state)
{
	uint64_t before = vdma_sys_now_ns();
	struct vdma_region *region = anon_region(arena, 8192);
	struct vdma_buf buf = vdma_region_buf(region);
	struct vdma_iova_info info;

	(void)state;
	info = ASSERT_IOVA(buf.iova + 0x1234, LIVE, REGION, buf.iova, 8192, "byte 0x1234",
			   "region of 8 KiB", "allocated 0.", "unit_owner+0x", thread());
	assert_true(info.alloc_ns >= before && info.alloc_ns <= vdma_sys_now_ns());
	assert_int_equal(info.alloc_tid, vdma_sys_tid());
	assert_non_null(info.alloc_pc);
	assert_int_equal(info.free_ns, 0);
	assert_int_equal(info.free_tid, 0);
	assert_null(info.free_pc);
	assert_int_equal(info.held, 0);
	ASSERT_IOVA(buf.iova, LIVE, REGION, buf.iova, 8192, "byte 0x0 of");
	ASSERT_IOVA(buf.iova + 8191, LIVE, REGION, buf.iova, 8192, "byte 0x1fff of");
	ASSERT_IOVA(buf.iova - 1, GAP, REGION, buf.iova, 8192, "0x1 bytes before the region");
	ASSERT_IOVA(buf.iova - PAGE, GAP, REGION, buf.iova, 8192, "0x1000 bytes before");
	/* Too far to be its fault, but it is named. */
	ASSERT_IOVA(buf.iova - GUARD - 1, UNUSED, NONE, 0, 0, "0x10001 bytes before the region");
	ASSERT_OK(vdma_region_destroy(region));
}

static void test_guard(void **state)
{
	/* With a page of memory a power of two, so the next one follows at once. */
	struct vdma_arena_opts opts = { .size = sizeof(opts),
					.flags = VDMA_ARENA_CHECK,
					.guard = GUARD - PAGE };
	struct vdma_region *low, *high;
	struct vdma_buf l, h;

	(void)state;
	ASSERT_OK(vdma_arena_create(&opts, &arena));
	high = anon_region(arena, PAGE);
	low = anon_region(arena, PAGE);
	h = vdma_region_buf(high);
	l = vdma_region_buf(low);
	assert_int_equal(h.iova - l.iova, GUARD);
	/* An overrun is likelier than its contrary; both are named. */
	ASSERT_IOVA(l.iova + PAGE, GAP, REGION, l.iova, PAGE, "the first byte behind the region",
		    "0xf000 bytes before the region");
	ASSERT_IOVA(l.iova + PAGE + 0x40, GAP, REGION, l.iova, PAGE, "0x40 bytes behind the end",
		    "0xefc0 bytes before the region");
	ASSERT_IOVA(h.iova - 1, GAP, REGION, l.iova, PAGE, "0xefff bytes behind the end",
		    "0x1 bytes before the region");
	ASSERT_OK(vdma_region_destroy(low));
	/* The gap of one that is freed is still its own. */
	assert_int_equal(ASSERT_IOVA(l.iova + PAGE + 0x40, GAP, REGION, l.iova, PAGE, "0x40 bytes",
				     ", freed 0.", "0xefc0 bytes before the region")
				 .held,
			 1);
	ASSERT_OK(vdma_region_destroy(high));
	ASSERT_OK(vdma_arena_destroy(arena));
}

static void test_freed_region(void **state)
{
	struct vdma_region *region = anon_region(arena, PAGE);
	struct vdma_buf buf = vdma_region_buf(region);
	struct vdma_iova_info info;
	size_t i;

	(void)state;
	ASSERT_OK(vdma_region_destroy(region));
	info = ASSERT_IOVA(buf.iova + 7, FREED, REGION, buf.iova, PAGE, "nobody's any more",
			   "byte 0x7 of the region of 4 KiB", ", allocated 0.", ", freed 0.",
			   "held back", thread());
	assert_int_equal(info.held, 1);
	assert_true(info.free_ns >= info.alloc_ns);
	assert_int_equal(info.free_tid, vdma_sys_tid());
	assert_non_null(info.free_pc);
	assert_ptr_not_equal(info.free_pc, info.alloc_pc);
	/* As many later it is forgotten. */
	for (i = 0; i < VDMA_QUARANTINE_RECORDS - 1; i++)
		ASSERT_OK(vdma_region_destroy(anon_region(arena, PAGE)));
	ASSERT_IOVA(buf.iova, FREED, REGION, buf.iova, PAGE, "");
	/* The place that this one gets is another. */
	ASSERT_OK(vdma_region_destroy(anon_region(arena, PAGE)));
	ASSERT_IOVA(buf.iova, UNUSED, NONE, 0, 0, "as far as is remembered");
}

/* What was released is remembered, until somebody else has it. */
static void test_last_owner(void **state)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts),
					.flags = VDMA_ARENA_CHECK,
					.quarantine = 1 };
	struct vdma_region *region;
	struct vdma_buf buf;

	(void)state;
	ASSERT_OK(vdma_arena_create(&opts, &arena));
	region = anon_region(arena, 2 * PAGE);
	buf = vdma_region_buf(region);
	ASSERT_OK(vdma_region_destroy(region));
	assert_int_equal(ASSERT_IOVA(buf.iova, FREED, REGION, buf.iova, 2 * PAGE, ", freed 0.").held,
			 0);
	region = anon_region(arena, PAGE);
	assert_int_equal(vdma_region_buf(region).iova, buf.iova + PAGE);
	ASSERT_IOVA(buf.iova + PAGE, LIVE, REGION, buf.iova + PAGE, PAGE,
		    "It was byte 0x1000 of the region of 8 KiB");
	/* A gap now, but it may have been the one before. */
	ASSERT_IOVA(buf.iova, GAP, REGION, buf.iova + PAGE, PAGE, "0x1000 bytes before",
		    "It was byte 0x0 of the region of 8 KiB");
	ASSERT_OK(vdma_region_destroy(region));
	ASSERT_OK(vdma_arena_destroy(arena));
}

static void test_bufs(void **state)
{
	struct vdma_buf a = get(100), b = get(4096), c = get(64), d;
	uint64_t chunk = a.iova;
	struct vdma_iova_info info;

	(void)state;
	info = ASSERT_IOVA(b.iova + 5, LIVE, BUF, b.iova, 4096, "byte 0x5 of the buffer of 4 KiB",
			   ", allocated 0.", "unit_owner+0x", thread(),
			   "behind the end of the buffer of 64 bytes");
	assert_int_equal(info.alloc_tid, vdma_sys_tid());
	/* Side by side, but for what fills the last unit; the larger one in a block. */
	assert_int_equal(c.iova, a.iova + 128);
	assert_int_equal(b.iova, a.iova + 4096);
	ASSERT_IOVA(a.iova + 99, LIVE, BUF, a.iova, 100, "");
	ASSERT_IOVA(a.iova + 100, GAP, BUF, a.iova, 100, "the first byte behind the buffer of 100",
		    "0x1c bytes before the buffer of 64 bytes");
	ASSERT_IOVA(c.iova + 64 + 0x40, GAP, BUF, c.iova, 64, "0x40 bytes behind the end of the");
	ASSERT_IOVA(chunk + 32 * MIB, UNUSED, CHUNK, chunk, 64 * MIB,
		    "byte 0x2000000 of the chunk for buffers of 64 MiB", "allocated 0.",
		    "behind the end of the buffer of 4 KiB");
	ASSERT_IOVA(chunk + 64 * MIB, GAP, CHUNK, chunk, 64 * MIB,
		    "the first byte behind the chunk");
	ASSERT_IOVA(chunk - 1, GAP, BUF, a.iova, 100, "0x1 bytes before the buffer of 100 bytes");

	put(&b);
	info = ASSERT_IOVA(b.iova + 5, FREED, BUF, b.iova, 4096, "byte 0x5 of the buffer of 4 KiB",
			   ", freed 0.", "held back", "behind the end of the buffer of 64 bytes");
	assert_int_equal(info.held, 1);
	assert_int_equal(info.free_tid, vdma_sys_tid());
	/* The neighbours are those that live. */
	ASSERT_IOVA(a.iova + 5, LIVE, BUF, a.iova, 100, "before the buffer of 64 bytes");
	put(&c);
	ASSERT_IOVA(c.iova + 5, FREED, BUF, c.iova, 64, "behind the end of the buffer of 100");
	put(&a);
	/* Of the chunk, too: the buffer that was cut out of it says more. */
	ASSERT_OK(vdma_buf_trim(arena));
	ASSERT_IOVA(b.iova + 5, FREED, BUF, b.iova, 4096, "byte 0x5 of the buffer", "held back");
	ASSERT_IOVA(chunk + 32 * MIB, FREED, CHUNK, chunk, 64 * MIB, "of the chunk", ", freed 0.");

	/* A buffer at the chunk's end: it is what a device overran. */
	d = get(64 * MIB);
	ASSERT_IOVA(d.iova + d.len, GAP, BUF, d.iova, 64 * MIB, "the first byte behind the buffer");
	put(&d);
}

static void test_bufs_without_checks(void **state)
{
	struct vdma_buf a = get(100), b = get(4096), c = get(64);

	(void)state;
	ASSERT_IOVA(b.iova + 5, LIVE, BUF, b.iova, 4096, "byte 0x5 of the buffer of 4 KiB");
	/* Its length is known in units. */
	ASSERT_IOVA(a.iova + 127, LIVE, BUF, a.iova, 128, "");
	ASSERT_IOVA(c.iova + 64, GAP, BUF, c.iova, 64, "the first byte behind the buffer");
	put(&b);
	ASSERT_IOVA(b.iova + 64, GAP, BUF, c.iova, 64, "0xf80 bytes behind the end of the");
	ASSERT_IOVA(a.iova + 20 * MIB, UNUSED, CHUNK, a.iova, 64 * MIB, "VDMA_ARENA_CHECK");
	put(&a);
	put(&c);
}

static void test_leaks(void **state)
{
	struct vdma_region *regions[3];
	struct vdma_buf bufs[3];
	struct vdma_ioas *ioas;
	char place[64];
	size_t i;

	(void)state;
	ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	ASSERT_FAILS(vdma_arena_destroy(arena), EBUSY, VDMA_CAUSE_CHILDREN,
		     "0 buffers, 0 regions and 1 address spaces",
		     "\n  an address space with 0 open devices");
	assert_null(strstr(vdma_explain(), "more"));
	for (i = 0; i < 3; i++) {
		bufs[i] = get(1000 + i);
		regions[i] = anon_region(arena, PAGE);
	}
	/* One that was freed is none, even if it is held back. */
	put(&bufs[1]);
	snprintf(place, sizeof(place), "1002 bytes at IOVA 0x%llx, allocated 0.",
		 (unsigned long long)bufs[2].iova);
	ASSERT_FAILS(vdma_arena_destroy(arena), EBUSY, VDMA_CAUSE_CHILDREN,
		     "2 buffers, 3 regions and 1 address spaces", "\n  a buffer of 1000 bytes",
		     place, "\n  a region of 4 KiB at IOVA 0x", "unit_owner+0x", thread(),
		     "\n  and 2 more");
	assert_int_equal(vdma_last_failure()->used, 6);
	assert_null(strstr(vdma_explain(), "1001 bytes"));
	for (i = 0; i < 3; i++)
		ASSERT_OK(vdma_region_destroy(regions[i]));
	put(&bufs[0]);
	put(&bufs[2]);
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

#define NOINLINE __attribute__((noinline))

static NOINLINE void make_ring(struct vdma_ring *ring)
{
	ASSERT_OK(vdma_ring_create(arena, 16, 1000, NULL, ring));
}

static NOINLINE void drop_ring(struct vdma_ring *ring)
{
	ASSERT_OK(vdma_ring_destroy(ring));
}

static NOINLINE struct vdma_pool *make_pool(void)
{
	const struct vdma_region_opts mem = { .size = sizeof(mem), .provider = VDMA_PROVIDER_ANON };
	const struct vdma_pool_opts opts = { .size = sizeof(opts), .region = &mem };
	struct vdma_pool *pool;

	ASSERT_OK(vdma_pool_create(arena, 64, 64, &opts, &pool));
	return pool;
}

static NOINLINE void drop_pool(struct vdma_pool *pool)
{
	ASSERT_OK(vdma_pool_destroy(pool));
}

/* Small functions, in which the call is. */
static void assert_inside(const void *pc, void (*function)(void))
{
	assert_in_range((uintptr_t)pc, (uintptr_t)function, (uintptr_t)function + 1024);
}

/* A ring's buffer and a pool's regions come from who made it, not from the library. */
static void test_callers(void **state)
{
	struct vdma_iova_info info;
	struct vdma_ring ring;
	struct vdma_pool *pool;
	vdma_iova_t iova;

	(void)state;
	make_ring(&ring);
	info = ASSERT_IOVA(ring.buf.iova, LIVE, BUF, ring.buf.iova, 16000, "allocated");
	assert_inside(info.alloc_pc, (void (*)(void))make_ring);
	drop_ring(&ring);
	info = ASSERT_IOVA(ring.buf.iova, FREED, BUF, ring.buf.iova, 16000, "freed");
	assert_inside(info.free_pc, (void (*)(void))drop_ring);

	pool = make_pool();
	iova = vdma_pool_iova(pool, 0);
	info.size = sizeof(info);
	ASSERT_OK(vdma_explain_iova(arena, iova, &info));
	assert_inside(info.alloc_pc, (void (*)(void))make_pool);
	drop_pool(pool);
	ASSERT_OK(vdma_explain_iova(arena, iova, &info));
	assert_int_equal(info.state, VDMA_IOVA_FREED);
	assert_inside(info.free_pc, (void (*)(void))drop_pool);
}

/* Without checks: everything but where buffers came from. */
static void test_leaks_without_checks(void **state)
{
	struct vdma_buf a = get(1000), b = get(4096);

	(void)state;
	ASSERT_FAILS(vdma_arena_destroy(arena), EBUSY, VDMA_CAUSE_CHILDREN,
		     "2 buffers, 0 regions and 0 address spaces",
		     "\n  a buffer of 1 KiB at IOVA 0x", "\n  a buffer of 4 KiB at IOVA 0x");
	put(&a);
	put(&b);
}

#define WITH(fn) cmocka_unit_test_setup_teardown(fn, with_checks, teardown)
#define WITHOUT(fn) cmocka_unit_test_setup_teardown(fn, without_checks, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(test_arguments),
		WITHOUT(test_nobody),
		WITH(test_nobody),
		WITH(test_reach),
		WITHOUT(test_live_region),
		WITH(test_live_region),
		CLEAN_TEST(test_guard),
		WITH(test_freed_region),
		CLEAN_TEST(test_last_owner),
		WITH(test_bufs),
		WITHOUT(test_bufs_without_checks),
		WITH(test_leaks),
		WITHOUT(test_leaks_without_checks),
		WITH(test_callers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
