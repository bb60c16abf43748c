// SPDX-License-Identifier: BSD-3-Clause
/*
 * Pools: what they are made of, how they grow, run low and out, who gets what others
 * put, and what the checking mode catches; by chance, against a table of who has what.
 */
#include "unit.h"

#include <sys/wait.h>
#include <unistd.h>

#include "../random.h"

static const struct vdma_region_opts anon = { .size = sizeof(anon),
					      .provider = VDMA_PROVIDER_ANON };

static struct vdma_arena *arena;

static int set_up(void **state)
{
	int err = reset(state);

	return err ? err : vdma_arena_create(NULL, &arena);
}

static int tear_down(void **state)
{
	ASSERT_OK(vdma_arena_destroy(arena));
	assert_int_equal(fake_mapped(), 0);
	return check_clean(state);
}

#define POOL_TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

static struct vdma_pool *pool_of(size_t len, uint32_t count, struct vdma_pool_opts opts)
{
	struct vdma_pool *pool = NULL;

	opts.size = sizeof(opts);
	if (!opts.region)
		opts.region = &anon;
	ASSERT_OK(vdma_pool_create(arena, len, count, &opts, &pool));
	return pool;
}

static struct vdma_pool_handle *handle_of(struct vdma_pool *pool)
{
	struct vdma_pool_handle *handle = NULL;

	ASSERT_OK(vdma_pool_handle_create(pool, &handle));
	return handle;
}

static struct vdma_pool_info info_of(struct vdma_pool *pool)
{
	struct vdma_pool_info info = { .size = sizeof(info) };

	ASSERT_OK(vdma_pool_query(pool, &info));
	return info;
}

static void put_all(struct vdma_pool_handle *handle, const uint32_t *numbers, uint32_t n)
{
	ASSERT_OK(vdma_pool_put_bulk(handle, numbers, n));
}

static void test_layout(void **state)
{
	/* Chunks of 100 and 7 buffers. */
	struct vdma_pool *pool =
		pool_of(1000, 100,
			(struct vdma_pool_opts){
				.max = 120, .grow = 7, .align = 256, .private_len = 13 });
	struct vdma_pool_handle *handle = handle_of(pool);
	uint32_t numbers[121];
	size_t i;

	(void)state;
	assert_int_equal(vdma_pool_get_bulk(handle, numbers, 121), 120);
	assert_string_equal(vdma_cause_name(vdma_last_failure()->cause), "too-many");
	for (i = 0; i < 120; i++) {
		char *va = vdma_pool_va(pool, numbers[i]);
		uint64_t *priv = vdma_pool_private(pool, numbers[i]);
		struct vdma_buf buf = vdma_pool_buf(pool, numbers[i]);

		assert_int_equal((uintptr_t)va % 256, 0);
		assert_int_equal(vdma_pool_iova(pool, numbers[i]), vdma_iova(arena, va));
		assert_ptr_equal(buf.va, va);
		assert_int_equal(buf.len, 1000);
		assert_int_equal(buf.iova, vdma_iova(arena, va));
		assert_int_equal(vdma_pool_number(pool, va), numbers[i]);
		assert_int_equal(vdma_pool_number(pool, va + 1023), numbers[i]);
		assert_int_equal((uintptr_t)priv % 8, 0);
		/* New ones are zero; nobody else has them. */
		for (size_t b = 0; b < 1000; b++)
			assert_int_equal(va[b], 0);
		assert_int_equal(priv[0], 0);
		assert_int_equal(priv[1], 0);
		memset(va, 1, 1000);
		priv[0] = priv[1] = 1;
	}
	assert_int_equal(vdma_pool_number(pool, numbers), VDMA_POOL_NONE);
	assert_int_equal(vdma_pool_number(pool, NULL), VDMA_POOL_NONE);
	for (i = 0; i < 4; i++) {
		/* The last one of its chunk, and what lies behind. */
		uint32_t last = i ? 128 * (uint32_t)i + 7 - 1 : 99;
		char *va = vdma_pool_va(pool, i == 3 ? last - 1 : last);

		assert_true(vdma_pool_number(pool, va + 1023) != VDMA_POOL_NONE);
		assert_int_equal(vdma_pool_number(pool, va + 1024), VDMA_POOL_NONE);
	}
	assert_int_equal(info_of(pool).chunks, 4);
	assert_int_equal(info_of(pool).out, 120);
	assert_int_equal(info_of(pool).stride, 1024);
	put_all(handle, numbers, 120);
	ASSERT_OK(vdma_pool_handle_destroy(handle));
	ASSERT_OK(vdma_pool_destroy(pool));
}

static void assert_made_of(const char *provider)
{
	char text[4096];
	size_t len = sizeof(text);

	ASSERT_OK(vdma_arena_dump(arena, text, &len));
	if (!strstr(text, provider))
		fail_msg("no %s: %s", provider, text);
}

/* Of memory that is one run, by default, and known to be. */
static void test_providers(void **state)
{
	struct vdma_pool *pool;

	(void)state;
	ASSERT_OK(vdma_pool_create(arena, 4096, 1024, NULL, &pool));
	assert_int_equal(vdma_pool_buf(pool, 1023).pa,
			 vdma_pool_buf(pool, 0).pa + (uint64_t)1023 * 4096);
	assert_made_of("contig");
	ASSERT_OK(vdma_pool_destroy(pool));
	fake.contig_err = ENOMEM;
	ASSERT_OK(vdma_pool_create(arena, 4096, 1024, NULL, &pool));
	assert_made_of("hugetlb");
	ASSERT_OK(vdma_pool_destroy(pool));
	fake.hugetlb_free = 0;
	ASSERT_OK(vdma_pool_create(arena, 4096, 1024, NULL, &pool));
	assert_int_equal(vdma_pool_buf(pool, 0).pa, VDMA_PA_NONE);
	assert_made_of("anon");
	/* What had to be tried first is not told of. */
	assert_null(strstr(vdma_explain(), "hugetlb"));
	ASSERT_OK(vdma_pool_destroy(pool));
}

static void test_exhaustion(void **state)
{
	struct vdma_pool *pool = pool_of(64, 64, (struct vdma_pool_opts){ .cache = 8 });
	struct vdma_pool_handle *a = handle_of(pool), *b = handle_of(pool);
	uint32_t numbers[64], more[64], n;

	(void)state;
	n = vdma_pool_get_bulk(a, numbers, 60);
	assert_int_equal(n, 60);
	/* What one handle holds, another does not get. */
	assert_int_equal(info_of(pool).free, 4);
	assert_int_equal(vdma_pool_get_bulk(b, more, 5), 4);
	assert_int_equal(vdma_pool_get(b), VDMA_POOL_NONE);
	assert_non_null(strstr(vdma_explain(), "vdma_pool_grow()"));
	assert_int_equal(info_of(pool).exhausted, 2);
	assert_int_equal(info_of(pool).least, 0);
	put_all(a, numbers, 8);
	assert_int_equal(info_of(pool).cached, 8);
	assert_int_equal(vdma_pool_get(b), VDMA_POOL_NONE);
	ASSERT_OK(vdma_pool_flush(a));
	assert_int_equal(info_of(pool).cached, 0);
	assert_int_equal(info_of(pool).free, 8);
	assert_int_equal(vdma_pool_get_bulk(b, numbers, 8), 8);
	ASSERT_FAILS(vdma_pool_grow(pool), ENOSPC, VDMA_CAUSE_TOO_MANY, "all of the 64");

	ASSERT_FAILS(vdma_pool_destroy(pool), EBUSY, VDMA_CAUSE_CHILDREN, "2 handles");
	put_all(b, numbers, 60);
	ASSERT_OK(vdma_pool_handle_destroy(a));
	ASSERT_OK(vdma_pool_handle_destroy(b));
	ASSERT_FAILS(vdma_pool_destroy(pool), EBUSY, VDMA_CAUSE_CHILDREN, "4 of the pool's 64",
		     "VDMA_POOL_CHECK");
	assert_int_equal(vdma_last_failure()->used, 4);
	a = handle_of(pool);
	put_all(a, more, 4);
	ASSERT_OK(vdma_pool_handle_destroy(a));
	ASSERT_OK(vdma_pool_destroy(pool));
}

struct low {
	unsigned int calls;
	bool grow;
	struct vdma_pool *pool;
	struct vdma_pool_handle *handle; /* by which it gets one, and puts it */
};

static void on_low(struct vdma_pool *pool, void *ctx)
{
	struct low *low = ctx;

	low->calls++;
	low->pool = pool;
	if (low->grow)
		ASSERT_OK(vdma_pool_grow(pool));
	if (low->handle)
		ASSERT_OK(vdma_pool_put(low->handle, vdma_pool_get(low->handle)));
}

static void test_watermark(void **state)
{
	struct low low = { 0 };
	struct vdma_pool *pool =
		pool_of(64, 64,
			(struct vdma_pool_opts){ .cache = 2,
						 .max = 128,
						 .low = 10,
						 .on_low = on_low,
						 .ctx = &low,
						 .flags = VDMA_POOL_GROW_BY_HAND });
	struct vdma_pool_handle *handle = handle_of(pool);
	uint32_t numbers[128];

	(void)state;
	assert_int_equal(vdma_pool_get_bulk(handle, numbers, 54), 54);
	assert_int_equal(low.calls, 0); /* 10 are left */
	numbers[54] = vdma_pool_get(handle);
	assert_int_equal(low.calls, 1);
	assert_ptr_equal(low.pool, pool);
	assert_int_equal(vdma_pool_get_bulk(handle, numbers + 55, 10), 9);
	assert_int_equal(low.calls, 1);
	/* By hand only. */
	assert_int_equal(info_of(pool).chunks, 1);
	put_all(handle, numbers, 64);
	ASSERT_OK(vdma_pool_flush(handle));
	low.grow = true;
	low.handle = handle;
	assert_int_equal(vdma_pool_get_bulk(handle, numbers, 64), 64);
	assert_int_equal(low.calls, 2);
	assert_int_equal(info_of(pool).buffers, 128);
	assert_int_equal(info_of(pool).lows, 2);
	put_all(handle, numbers, 64);
	ASSERT_OK(vdma_pool_handle_destroy(handle));
	ASSERT_OK(vdma_pool_destroy(pool));
}

static void test_growth(void **state)
{
	struct vdma_pool *pool =
		pool_of(4096, 16, (struct vdma_pool_opts){ .cache = 2, .max = 48 });
	struct vdma_pool_handle *handle = handle_of(pool);
	uint32_t numbers[48];

	(void)state;
	assert_int_equal(vdma_pool_get_bulk(handle, numbers, 17), 17);
	assert_int_equal(info_of(pool).chunks, 2);
	fake.max_mmap = 16 * 4096 - 1;
	assert_int_equal(vdma_pool_get_bulk(handle, numbers + 17, 31), 15);
	assert_string_equal(vdma_cause_name(vdma_last_failure()->cause), "no-memory");
	/* Not tried again by itself, for that takes its time. */
	fake.max_mmap = UINT64_MAX;
	assert_int_equal(vdma_pool_get(handle), VDMA_POOL_NONE);
	assert_non_null(strstr(vdma_explain(), "tries again"));
	ASSERT_OK(vdma_pool_grow(pool));
	assert_int_equal(vdma_pool_get_bulk(handle, numbers + 32, 16), 16);
	assert_int_equal(vdma_pool_get(handle), VDMA_POOL_NONE);
	assert_int_equal(info_of(pool).buffers, 48);
	put_all(handle, numbers, 48);
	ASSERT_OK(vdma_pool_handle_destroy(handle));
	ASSERT_OK(vdma_pool_destroy(pool));
}

/* One gets, another puts: they come back by the first one's inbox, many at a time. */
static void test_inbox(void **state)
{
	struct vdma_pool *pool = pool_of(64, 4096, (struct vdma_pool_opts){ .cache = 512 });
	struct vdma_pool_handle *rx = handle_of(pool), *tx = handle_of(pool);
	uint32_t numbers[32], free_before;
	struct vdma_pool_info info;
	int i;

	(void)state;
	for (i = 0; i < 512 / 32; i++) {
		assert_int_equal(vdma_pool_get_bulk(rx, numbers, 32), 32);
		put_all(tx, numbers, 32);
	}
	info = info_of(pool);
	assert_int_equal(info.cached, 512);
	assert_int_equal(info.returned, 0);
	free_before = info.free;
	assert_int_equal(vdma_pool_get_bulk(rx, numbers, 32), 32);
	put_all(tx, numbers, 32);
	info = info_of(pool);
	assert_int_equal(info.returned, 256);
	assert_int_equal(info.inboxes, 256);
	assert_int_equal(info.spills, 1);
	/* From now on no more come out of the store than lie in stacks. */
	for (i = 0; i < 1000; i++) {
		assert_int_equal(vdma_pool_get_bulk(rx, numbers, 32), 32);
		put_all(tx, numbers, 32);
	}
	info = info_of(pool);
	assert_true(info.free >= free_before - 512);
	assert_int_equal(info.free + info.inboxes + info.cached, 4096);
	assert_int_equal(info.returned, 256 * info.spills);

	/* The owner goes: what it had comes to the store, also what is put for it later. */
	assert_true(info.inboxes > 0);
	ASSERT_OK(vdma_pool_handle_destroy(rx));
	assert_int_equal(info_of(pool).inboxes, 0);
	ASSERT_OK(vdma_pool_flush(tx));
	info = info_of(pool);
	assert_int_equal(info.free, 4096);
	assert_int_equal(info.inboxes, 0);
	ASSERT_OK(vdma_pool_handle_destroy(tx));
	ASSERT_OK(vdma_pool_destroy(pool));
}

/* What lies in the inbox of one that does not come for it is not lost for others. */
static void test_scavenge(void **state)
{
	struct vdma_pool *pool = pool_of(64, 512, (struct vdma_pool_opts){ .cache = 256 });
	struct vdma_pool_handle *rx = handle_of(pool), *tx = handle_of(pool);
	static uint32_t numbers[512];
	uint32_t n;

	(void)state;
	n = vdma_pool_get_bulk(rx, numbers, 512);
	assert_int_equal(n, 512);
	put_all(tx, numbers, 512);
	/* 128 for each time that the stack was full. */
	assert_int_equal(info_of(pool).inboxes, 256);
	assert_int_equal(vdma_pool_get_bulk(tx, numbers, 512), 512);
	assert_int_equal(info_of(pool).scavenged, 256);
	assert_int_equal(info_of(pool).inboxes, 0);
	put_all(tx, numbers, 512);
	ASSERT_OK(vdma_pool_handle_destroy(rx));
	ASSERT_OK(vdma_pool_handle_destroy(tx));
	ASSERT_OK(vdma_pool_destroy(pool));
}

/* Few of each of many owners: together to the store. */
static void test_many_owners(void **state)
{
	struct vdma_pool *pool = pool_of(64, 2048, (struct vdma_pool_opts){ .cache = 256 });
	struct vdma_pool_handle *rx[4], *tx = handle_of(pool);
	static uint32_t numbers[1024];
	uint32_t i;

	(void)state;
	for (i = 0; i < 4; i++)
		rx[i] = handle_of(pool);
	for (i = 0; i < 1024; i++)
		numbers[i] = vdma_pool_get(rx[i % 4]);
	put_all(tx, numbers, 1024);
	assert_int_equal(info_of(pool).returned, 0);
	assert_int_equal(info_of(pool).inboxes, 0);
	assert_int_equal(info_of(pool).out, 0);
	for (i = 0; i < 4; i++)
		ASSERT_OK(vdma_pool_handle_destroy(rx[i]));
	ASSERT_OK(vdma_pool_handle_destroy(tx));
	assert_int_equal(info_of(pool).free, 2048);
	ASSERT_OK(vdma_pool_destroy(pool));
}

static void test_handles(void **state)
{
	struct vdma_pool *pool = pool_of(64, 64, (struct vdma_pool_opts){ 0 });
	static struct vdma_pool_handle *handles[VDMA_POOL_HANDLES];
	struct vdma_pool_handle *more;
	int i;

	(void)state;
	for (i = 0; i < VDMA_POOL_HANDLES; i++)
		handles[i] = handle_of(pool);
	ASSERT_FAILS(vdma_pool_handle_create(pool, &more), ENOSPC, VDMA_CAUSE_TOO_MANY, "1024");
	ASSERT_OK(vdma_pool_handle_destroy(handles[7]));
	handles[7] = handle_of(pool);
	for (i = 0; i < VDMA_POOL_HANDLES; i++)
		ASSERT_OK(vdma_pool_handle_destroy(handles[i]));
	ASSERT_OK(vdma_pool_handle_destroy(NULL));
	ASSERT_OK(vdma_pool_destroy(pool));
	ASSERT_OK(vdma_pool_destroy(NULL));
}

static void test_checks(void **state)
{
	struct vdma_pool_opts opts = { .flags = VDMA_POOL_CHECK, .max = 16, .grow = 4 };
	struct vdma_pool *pool = pool_of(2048, 8, opts), *other = pool_of(2048, 8, opts);
	struct vdma_pool_handle *a = handle_of(pool), *b = handle_of(pool), *c = handle_of(other);
	uint32_t first = vdma_pool_get(a), second = vdma_pool_get(b), foreign = vdma_pool_get(c);
	uint32_t numbers[16], again;

	(void)state;
	assert_true(first != second);
	ASSERT_OK(vdma_pool_put(b, first));
	ASSERT_FAILS(vdma_pool_put(b, first), EINVAL, VDMA_CAUSE_ARGUMENT, "free already",
		     " ago at ", "unit_pool");
	/* Got anew, by a number that is not the same. */
	again = vdma_pool_get(a);
	assert_int_equal(VDMA_POOL_INDEX(again), VDMA_POOL_INDEX(first));
	assert_int_equal(vdma_pool_va(pool, again) == vdma_pool_va(pool, first), 1);
	assert_int_equal(vdma_pool_number(pool, vdma_pool_va(pool, again)), again);
	ASSERT_FAILS(vdma_pool_put(b, first), EINVAL, VDMA_CAUSE_ARGUMENT, "is out, but not by",
		     "was got", " ago at ");
	assert_int_equal(info_of(pool).double_puts, 2);
	/* Other pools' numbers: of a buffer that is out, one that is free, one that is not there. */
	assert_int_equal(VDMA_POOL_INDEX(foreign), VDMA_POOL_INDEX(again));
	ASSERT_FAILS(vdma_pool_put(a, foreign), EINVAL, VDMA_CAUSE_ARGUMENT, "another pool's");
	ASSERT_FAILS(vdma_pool_put(a, foreign + 5), EINVAL, VDMA_CAUSE_ARGUMENT, "never got");
	ASSERT_FAILS(vdma_pool_put(a, foreign + 12), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "no buffer of this");
	ASSERT_FAILS(vdma_pool_put(a, VDMA_POOL_NONE), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "no buffer of this");
	assert_int_equal(info_of(pool).foreign_puts, 2);

	/* Of many, all that can be are taken; the first that cannot is told of. */
	numbers[0] = again;
	numbers[1] = again;
	numbers[2] = VDMA_POOL_NONE;
	numbers[3] = second;
	ASSERT_FAILS(vdma_pool_put_bulk(a, numbers, 4), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "free already");
	assert_int_equal(info_of(pool).out, 0);

	/* It grows as others do, also over a chunk's unused indexes. */
	assert_int_equal(vdma_pool_get_bulk(a, numbers, 16), 16);
	assert_int_equal(vdma_pool_get(a), VDMA_POOL_NONE);
	assert_int_equal(info_of(pool).chunks, 3);
	ASSERT_FAILS(vdma_pool_put(a, (numbers[15] & ~UINT32_C(0xffffff)) + 12), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "no buffer of this");
	put_all(b, numbers, 15);
	ASSERT_OK(vdma_pool_handle_destroy(a));
	ASSERT_OK(vdma_pool_handle_destroy(b));
	ASSERT_FAILS(vdma_pool_destroy(pool), EBUSY, VDMA_CAUSE_CHILDREN, "1 of the pool's 16",
		     "The first", " ago at ", "unit_pool");
	a = handle_of(pool);
	ASSERT_OK(vdma_pool_put(a, numbers[15]));
	ASSERT_OK(vdma_pool_handle_destroy(a));
	ASSERT_OK(vdma_pool_put(c, foreign));
	ASSERT_OK(vdma_pool_handle_destroy(c));
	ASSERT_OK(vdma_pool_destroy(pool));
	ASSERT_OK(vdma_pool_destroy(other));
}

/* A number is good again after the same buffer was put 255 times, and not before. */
static void test_marks(void **state)
{
	struct vdma_pool *pool =
		pool_of(64, 1, (struct vdma_pool_opts){ .flags = VDMA_POOL_CHECK });
	struct vdma_pool_handle *handle = handle_of(pool);
	uint32_t first = vdma_pool_get(handle), number = first;
	int i;

	(void)state;
	for (i = 0; i < 255; i++) {
		assert_true(!i || number != first);
		assert_true(number != VDMA_POOL_NONE);
		ASSERT_OK(vdma_pool_put(handle, number));
		number = vdma_pool_get(handle);
	}
	assert_int_equal(number, first);
	ASSERT_OK(vdma_pool_put(handle, number));
	ASSERT_OK(vdma_pool_handle_destroy(handle));
	ASSERT_OK(vdma_pool_destroy(pool));
}

/* Without checks, what is too much is found when it comes to the store. */
static void test_too_many_puts(void **state)
{
	struct vdma_pool *pool = pool_of(64, 8, (struct vdma_pool_opts){ .cache = 16 });
	struct vdma_pool_handle *handle = handle_of(pool);
	uint32_t numbers[8];

	(void)state;
	assert_int_equal(vdma_pool_get_bulk(handle, numbers, 8), 8);
	put_all(handle, numbers, 8);
	put_all(handle, numbers, 2);
	ASSERT_OK(vdma_pool_put(handle, 0xabcdef));
	ASSERT_FAILS(vdma_pool_flush(handle), EINVAL, VDMA_CAUSE_ARGUMENT, "");
	assert_int_equal(info_of(pool).double_puts, 2);
	assert_int_equal(info_of(pool).foreign_puts, 1);
	assert_int_equal(info_of(pool).free, 8);
	ASSERT_OK(vdma_pool_handle_destroy(handle));
	ASSERT_OK(vdma_pool_destroy(pool));
}

static void test_arguments(void **state)
{
	static const struct {
		size_t len;
		uint32_t count;
		struct vdma_pool_opts opts;
	} bad[] = {
		{ 0, 8, { 0 } },
		{ GIB + 1, 1, { 0 } },
		{ 64, 0, { 0 } },
		{ 64, UINT32_C(1) << 24, { 0 } },
		{ 64, 8, { .max = 7 } },
		{ 64, 8, { .max = UINT32_C(1) << 24 } },
		{ 64, 8, { .align = 32 } },
		{ 64, 8, { .align = 8192 } },
		{ 64, 8, { .align = 192 } },
		{ 64, 8, { .private_len = 65536 } },
		{ 64, 8, { .cache = 1 } },
		{ 64, 8, { .cache = 65537 } },
		{ 64, 8, { .flags = 4 } },
	};
	struct vdma_region_opts odd = { .size = sizeof(odd), .address_bits = 65 };
	struct vdma_pool_info info = { .size = 8 };
	struct vdma_pool_opts opts;
	struct vdma_pool *pool;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		opts = bad[i].opts;
		opts.size = sizeof(opts);
		opts.region = &anon;
		ASSERT_FAILS(vdma_pool_create(arena, bad[i].len, bad[i].count, &opts, &pool),
			     EINVAL, VDMA_CAUSE_ARGUMENT, "There is no pool of");
	}
	/* 2^19 chunks of 2^6 indexes. */
	opts = (struct vdma_pool_opts){ .size = sizeof(opts), .max = UINT32_C(1) << 20, .grow = 2 };
	ASSERT_FAILS(vdma_pool_create(arena, 64, 64, &opts, &pool), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "more than 2^24 numbers");
	opts = (struct vdma_pool_opts){ .size = 8 };
	ASSERT_FAILS(vdma_pool_create(arena, 64, 64, &opts, &pool), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "sizeof");
	opts = (struct vdma_pool_opts){ .size = sizeof(opts), .region = &odd };
	ASSERT_FAILS(vdma_pool_create(arena, 64, 64, &opts, &pool), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "65");
	ASSERT_FAILS(vdma_pool_create(arena, 64, 64, NULL, NULL), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "NULL");
	ASSERT_FAILS(vdma_pool_create(NULL, 64, 64, NULL, &pool), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "NULL");
	ASSERT_FAILS(vdma_pool_grow(NULL), EINVAL, VDMA_CAUSE_ARGUMENT, "NULL");
	ASSERT_FAILS(vdma_pool_handle_create(NULL, NULL), EINVAL, VDMA_CAUSE_ARGUMENT, "NULL");
	ASSERT_FAILS(vdma_pool_flush(NULL), EINVAL, VDMA_CAUSE_ARGUMENT, "NULL");
	ASSERT_FAILS(vdma_pool_query(NULL, NULL), EINVAL, VDMA_CAUSE_ARGUMENT, "NULL");
	pool = pool_of(64, 1, (struct vdma_pool_opts){ 0 });
	ASSERT_FAILS(vdma_pool_query(pool, &info), EINVAL, VDMA_CAUSE_ARGUMENT, "sizeof");
	ASSERT_FAILS(vdma_pool_handle_create(pool, NULL), EINVAL, VDMA_CAUSE_ARGUMENT, "NULL");
	ASSERT_OK(vdma_pool_destroy(pool));
}

/* A chunk that is not unmapped: the pool stays until it is. */
static void test_stuck(void **state)
{
	struct vdma_ioas *ioas = ioas_of(arena, VDMA_BACKEND_TYPE1);
	struct vdma_device *dev;
	struct vdma_pool *pool;

	(void)state;
	add_edu(EDU, 5);
	dev = device_of(ioas, EDU);
	pool = pool_of(4096, 16, (struct vdma_pool_opts){ .max = 32 });
	ASSERT_OK(vdma_pool_grow(pool));
	assert_int_equal(fake_mappings(), 2);
	fake.short_unmap = true;
	assert_int_equal(vdma_pool_destroy(pool), -EIO);
	fake.short_unmap = false;
	ASSERT_OK(vdma_pool_destroy(pool));
	assert_int_equal(fake_mappings(), 0);
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

static int in_child(struct vdma_pool *pool, struct vdma_pool_handle *handle, uint32_t number)
{
	struct vdma_pool_info info = { .size = sizeof(info) };
	struct vdma_pool_handle *more;
	uint32_t numbers[4];

	if (vdma_pool_get(handle) != VDMA_POOL_NONE || vdma_last_failure()->err != -ECHILD)
		return 1;
	if (vdma_pool_get_bulk(handle, numbers, 4) || vdma_pool_put(handle, number) != -ECHILD ||
	    vdma_pool_put_bulk(handle, &number, 1) != -ECHILD)
		return 2;
	if (vdma_pool_flush(handle) != -ECHILD || vdma_pool_handle_destroy(handle) != -ECHILD ||
	    vdma_pool_handle_create(pool, &more) != -ECHILD)
		return 3;
	if (vdma_pool_query(pool, &info) != -ECHILD || vdma_pool_grow(pool) != -ECHILD ||
	    vdma_pool_destroy(pool) != -ECHILD)
		return 4;
	return vdma_pool_number(pool, vdma_pool_va(pool, number)) == number ? 0 : 5;
}

static void test_fork(void **state)
{
	/* Static, for Valgrind looks in the child for who has it. */
	static struct vdma_pool *pool;
	struct vdma_pool_handle *handle;
	uint32_t number;
	int wstatus;
	pid_t pid;

	(void)state;
	pool = pool_of(64, 64, (struct vdma_pool_opts){ .max = 128 });
	handle = handle_of(pool);
	number = vdma_pool_get(handle);
	pid = fork();
	if (!pid)
		_exit(in_child(pool, handle, number));
	assert_int_equal(waitpid(pid, &wstatus, 0), pid);
	assert_int_equal(wstatus, 0);
	ASSERT_OK(vdma_pool_put(handle, number));
	ASSERT_OK(vdma_pool_handle_destroy(handle));
	ASSERT_OK(vdma_pool_destroy(pool));
}

/* Device addresses are physical ones, each chunk's beginning where it likes. */
static void test_physical(void **state)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts),
					.translation = VDMA_TRANSLATION_PHYSICAL };
	struct vdma_pool_opts grows = { .size = sizeof(grows), .max = 200 };
	struct vdma_pool_handle *handle;
	struct vdma_arena *physical;
	struct vdma_pool *pool;
	uint32_t numbers[200];

	(void)state;
	bare_machine();
	ASSERT_OK(vdma_arena_create(&opts, &physical));
	ASSERT_OK(vdma_pool_create(physical, 2048, 100, &grows, &pool));
	handle = handle_of(pool);
	assert_int_equal(vdma_pool_get_bulk(handle, numbers, 200), 200);
	for (size_t i = 0; i < 200; i++) {
		struct vdma_buf buf = vdma_pool_buf(pool, numbers[i]);

		assert_int_equal(buf.iova, buf.pa);
		assert_int_equal(buf.iova, vdma_iova_checked(physical, buf.va, 2048));
	}
	put_all(handle, numbers, 200);
	ASSERT_OK(vdma_pool_handle_destroy(handle));
	ASSERT_OK(vdma_pool_destroy(pool));
	ASSERT_OK(vdma_arena_destroy(physical));
}

/* AddressSanitizer's, where that is. */
int __asan_address_is_poisoned(const volatile void *addr) __attribute__((weak));

static void test_poison(void **state)
{
	struct vdma_pool *pool =
		pool_of(100, 2, (struct vdma_pool_opts){ .flags = VDMA_POOL_CHECK });
	struct vdma_pool_handle *handle = handle_of(pool);
	uint32_t number = vdma_pool_get(handle);
	char *va = vdma_pool_va(pool, number);

	(void)state;
	if (__asan_address_is_poisoned) {
		assert_false(__asan_address_is_poisoned(va));
		assert_false(__asan_address_is_poisoned(va + 99));
		assert_true(__asan_address_is_poisoned(va + 100));
		assert_true(__asan_address_is_poisoned(va + 128));
	}
	ASSERT_OK(vdma_pool_put(handle, number));
	if (__asan_address_is_poisoned)
		assert_true(__asan_address_is_poisoned(va));
	ASSERT_OK(vdma_pool_handle_destroy(handle));
	ASSERT_OK(vdma_pool_destroy(pool));
	/* The addresses are somebody else's next. */
	if (__asan_address_is_poisoned)
		assert_false(__asan_address_is_poisoned(va));
}

#define MODEL_MAX 1500
#define MODEL_HANDLES 5

/* By chance, with a table of who is out; indexes have a table's place. */
static void model(uint32_t flags, uint64_t rng)
{
	struct vdma_pool_opts opts = { .flags = flags,
				       .max = MODEL_MAX,
				       .grow = 100,
				       .cache = 2 + (uint32_t)random_below(&rng, 300),
				       .private_len = 8 };
	struct vdma_pool *pool = pool_of(64, 500, opts);
	struct vdma_pool_handle *handles[MODEL_HANDLES] = { 0 };
	static uint32_t out[MODEL_MAX];
	static bool is_out[1 << 14];
	uint32_t n = 0, i, k, want, got, rounds = on_valgrind() ? 2000 : 40000;

	for (uint32_t round = 0; round < rounds; round++) {
		struct vdma_pool_handle **h = &handles[random_below(&rng, MODEL_HANDLES)];

		if (!*h) {
			*h = handle_of(pool);
			continue;
		}
		switch (random_below(&rng, 100)) {
		case 0:
			ASSERT_OK(vdma_pool_handle_destroy(*h));
			*h = NULL;
			continue;
		case 1: ASSERT_OK(vdma_pool_flush(*h)); continue;
		default: break;
		}
		want = 1 + (uint32_t)random_below(&rng, random_below(&rng, 20) ? 32 : 400);
		if (random_below(&rng, 2)) {
			if (want > MODEL_MAX - n)
				want = MODEL_MAX - n;
			got = want == 1 ? (out[n] = vdma_pool_get(*h)) != VDMA_POOL_NONE :
					  vdma_pool_get_bulk(*h, out + n, want);
			for (k = n; k < n + got; k++) {
				i = VDMA_POOL_INDEX(out[k]);
				assert_false(is_out[i]);
				is_out[i] = true;
				*(uint64_t *)vdma_pool_va(pool, out[k]) = out[k];
				*(uint64_t *)vdma_pool_private(pool, out[k]) = out[k];
			}
			n += got;
		} else {
			if (want > n)
				want = n;
			/* Any of them, brought to the end. */
			for (k = 0; k < want; k++) {
				uint32_t any = (uint32_t)random_below(&rng, n - k),
					 number = out[any];

				assert_int_equal(*(uint64_t *)vdma_pool_va(pool, number), number);
				assert_int_equal(*(uint64_t *)vdma_pool_private(pool, number),
						 number);
				is_out[VDMA_POOL_INDEX(number)] = false;
				out[any] = out[n - k - 1];
				out[n - k - 1] = number;
			}
			n -= want;
			ASSERT_OK(want == 1 ? vdma_pool_put(*h, out[n]) :
					      vdma_pool_put_bulk(*h, out + n, want));
		}
		assert_int_equal(info_of(pool).out, n);
	}
	for (k = 0; k < MODEL_HANDLES; k++) {
		if (!handles[k])
			handles[k] = handle_of(pool);
		if (!k)
			put_all(handles[k], out, n);
		ASSERT_OK(vdma_pool_handle_destroy(handles[k]));
	}
	for (k = 0; k < n; k++)
		is_out[VDMA_POOL_INDEX(out[k])] = false;
	assert_int_equal(info_of(pool).free, info_of(pool).buffers);
	ASSERT_OK(vdma_pool_destroy(pool));
}

static void test_model(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 4; seed++) {
		model(0, seed);
		model(VDMA_POOL_CHECK, seed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		POOL_TEST(test_layout),	    POOL_TEST(test_providers),
		POOL_TEST(test_exhaustion), POOL_TEST(test_watermark),
		POOL_TEST(test_growth),	    POOL_TEST(test_inbox),
		POOL_TEST(test_scavenge),   POOL_TEST(test_many_owners),
		POOL_TEST(test_handles),    POOL_TEST(test_checks),
		POOL_TEST(test_marks),	    POOL_TEST(test_too_many_puts),
		POOL_TEST(test_arguments),  POOL_TEST(test_stuck),
		POOL_TEST(test_fork),	    POOL_TEST(test_physical),
		POOL_TEST(test_poison),	    POOL_TEST(test_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
