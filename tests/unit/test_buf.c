// SPDX-License-Identifier: BSD-3-Clause
/*
 * Buffers: what they are asked to be, chunks that come and go, refusals that
 * leave nothing behind, and a long random run against a model.
 */
#include "unit.h"

#include <inttypes.h>
#include <time.h>

#include "../random.h"

static struct vdma_arena *arena;

static int with_arena(void **state)
{
	reset(state);
	add_edu(EDU, 5);
	return vdma_arena_create(NULL, &arena);
}

static int without_arena(void **state)
{
	return vdma_arena_destroy(arena) ? -1 : check_clean(state);
}

static struct vdma_arena_info query(void)
{
	struct vdma_arena_info info = { .size = sizeof(info) };

	ASSERT_OK(vdma_arena_query(arena, &info));
	return info;
}

static struct vdma_buf get(size_t len, struct vdma_buf_opts opts)
{
	struct vdma_buf buf = { 0 };

	opts.size = sizeof(opts);
	ASSERT_OK(vdma_buf_alloc(arena, len, &opts, &buf));
	assert_int_equal(buf.len, len);
	assert_int_equal(buf.iova, vdma_iova(arena, buf.va));
	return buf;
}

static void put(const struct vdma_buf *buf)
{
	ASSERT_OK(vdma_buf_free(arena, buf));
}

static void test_one(void **state)
{
	struct vdma_buf a, b, c, copy;
	unsigned long calls;

	(void)state;
	ASSERT_OK(vdma_buf_alloc(arena, 100, NULL, &a));
	b = get(64, (struct vdma_buf_opts){ 0 });
	assert_int_equal(query().chunks, 1);
	assert_int_equal(query().regions, 1);
	assert_int_equal(query().bytes, 64 * MIB);
	assert_int_equal(query().bufs, 2);
	assert_true(b.iova >= a.iova + 128 || a.iova >= b.iova + 64);
	assert_int_equal(a.pa - b.pa, a.iova - b.iova);
	memset(a.va, 0xff, a.len);

	/* Out of a chunk that is there, and back: without a system call. */
	calls = fake.calls;
	c = get(5000, (struct vdma_buf_opts){ 0 });
	put(&c);
	assert_int_equal(fake.calls, calls);

	/* Not a part of it, not more than it, not twice, not of somewhere else. */
	copy = a;
	copy.len = 64;
	ASSERT_FAILS(vdma_buf_free(arena, &copy), EINVAL, VDMA_CAUSE_ARGUMENT, "64 bytes");
	copy = a;
	copy.iova += 64;
	copy.len = 36;
	ASSERT_FAILS(vdma_buf_free(arena, &copy), EINVAL, VDMA_CAUSE_ARGUMENT, "");
	copy = a;
	copy.len = 256;
	ASSERT_FAILS(vdma_buf_free(arena, &copy), EINVAL, VDMA_CAUSE_ARGUMENT, "");
	copy.len = SIZE_MAX;
	ASSERT_FAILS(vdma_buf_free(arena, &copy), EINVAL, VDMA_CAUSE_ARGUMENT, "");
	copy = a;
	copy.iova = 4096;
	ASSERT_FAILS(vdma_buf_free(arena, &copy), EINVAL, VDMA_CAUSE_ARGUMENT, "0x1000");
	ASSERT_FAILS(vdma_arena_destroy(arena), EBUSY, VDMA_CAUSE_CHILDREN, "2 buffers");
	put(&a);
	ASSERT_FAILS(vdma_buf_free(arena, &a), EINVAL, VDMA_CAUSE_ARGUMENT, "100 bytes", "already");
	put(&b);
	assert_int_equal(query().bufs, 0);
	/* One waits for more. */
	assert_int_equal(query().chunks, 1);
	ASSERT_OK(vdma_buf_free(arena, NULL));
	ASSERT_OK(vdma_buf_trim(arena));
	assert_int_equal(query().chunks, 0);
	assert_int_equal(query().regions, 0);
	a = get(4096, (struct vdma_buf_opts){ .flags = VDMA_BUF_ZERO });
	for (size_t i = 0; i < a.len; i++)
		assert_int_equal(((unsigned char *)a.va)[i], 0);
	put(&a);
}

static void test_constraints(void **state)
{
	struct vdma_buf a, b, c, d, e;

	(void)state;
	a = get(100, (struct vdma_buf_opts){ .align = 4096 });
	assert_int_equal(a.iova % 4096, 0);
	b = get(4096, (struct vdma_buf_opts){ .boundary = 4096 });
	assert_int_equal(b.iova / 4096, (b.iova + 4095) / 4096);
	/* A boundary inside of a unit. */
	c = get(16, (struct vdma_buf_opts){ .boundary = 16 });
	assert_int_equal(c.iova % 64, 0);
	put(&c);
	/* A kind of its own, which the others keep off. */
	c = get(4096, (struct vdma_buf_opts){ .address_bits = 28 });
	assert_true(c.iova + c.len <= 1U << 28);
	assert_int_equal(query().chunks, 2);
	d = get(4096, (struct vdma_buf_opts){ .address_bits = 24 });
	assert_true(d.iova + d.len <= 1U << 24);
	/* Larger than a chunk, and aligned to more than chunks are. */
	e = get(100 * MIB, (struct vdma_buf_opts){ .align = 16 * MIB });
	assert_int_equal(e.iova % (16 * MIB), 0);
	assert_int_equal((uintptr_t)e.va % (16 * MIB), 0);
	put(&a);
	put(&b);
	put(&c);
	put(&d);
	put(&e);

	ASSERT_FAILS(vdma_buf_alloc(arena, 0, NULL, &a), EINVAL, VDMA_CAUSE_ARGUMENT, "1 byte");
	ASSERT_FAILS(vdma_buf_alloc(arena, 8192,
				    &(struct vdma_buf_opts){ .size = sizeof(struct vdma_buf_opts),
							     .boundary = 4096 },
				    &a),
		     EINVAL, VDMA_CAUSE_ARGUMENT, "boundary");
	ASSERT_FAILS(vdma_buf_alloc(arena, 1,
				    &(struct vdma_buf_opts){ .size = sizeof(struct vdma_buf_opts),
							     .align = 3 },
				    &a),
		     EINVAL, VDMA_CAUSE_ARGUMENT, "powers of two");
	ASSERT_FAILS(vdma_buf_alloc(arena, SIZE_MAX, NULL, &a), EINVAL, VDMA_CAUSE_ARGUMENT, "");
	ASSERT_FAILS(vdma_buf_alloc(arena, 1,
				    &(struct vdma_buf_opts){ .size = sizeof(struct vdma_buf_opts),
							     .address_bits = 12 },
				    &a),
		     EADDRNOTAVAIL, VDMA_CAUSE_ADDRESS_BITS, "2^12");
}

/* Longer than the window, with whatever a chunk would have to be longer: refused at once. */
static void test_too_long(void **state)
{
	static const struct vdma_buf_opts opts[] = {
		{ .size = sizeof(opts[0]) },
		{ .size = sizeof(opts[0]), .boundary = UINT64_C(1) << 63 },
		{ .size = sizeof(opts[0]), .align = GIB },
		{ .size = sizeof(opts[0]), .align = GIB, .boundary = UINT64_C(1) << 63 },
	};
	const size_t lens[] = { INT64_MAX, INT64_MAX - 2 * MIB, window_of(arena) + 1 };
	unsigned long calls = fake.calls;
	struct vdma_buf buf;
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(opts) / sizeof(opts[0]); i++)
		for (j = 0; j < sizeof(lens) / sizeof(lens[0]); j++) {
			ASSERT_FAILS(vdma_buf_alloc(arena, lens[j], &opts[i], &buf), EADDRNOTAVAIL,
				     VDMA_CAUSE_WINDOW, "A region of", "the arena's window holds");
			assert_int_equal(vdma_last_failure()->need, lens[j]);
			assert_int_equal(vdma_last_failure()->limit, window_of(arena));
		}
	assert_int_equal(fake.calls, calls);
	assert_int_equal(query().chunks, 0);
}

/* Between regions of 32 MiB, where a chunk does not lie at a multiple of what may not be crossed. */
static void test_boundary(void **state)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts), .window = GIB };
	struct vdma_region *at[32], *small[32];
	struct vdma_buf buf;
	size_t i;

	(void)state;
	ASSERT_OK(vdma_arena_destroy(arena));
	ASSERT_OK(vdma_arena_create(&opts, &arena));
	for (i = 31; i; i--) {
		at[i] = anon_region(arena, 32 * MIB);
		assert_int_equal(vdma_region_buf(at[i]).iova, i * 32 * MIB);
	}
	at[0] = anon_region(arena, 31 * MIB);

	/* From 65 to 67 MiB. */
	ASSERT_OK(vdma_region_destroy(at[2]));
	for (i = 32; i--;) {
		small[i] = anon_region(arena, MIB);
		assert_int_equal(vdma_region_buf(small[i]).iova, (64 + i) * MIB);
	}
	ASSERT_OK(vdma_region_destroy(small[1]));
	ASSERT_OK(vdma_region_destroy(small[2]));
	ASSERT_FAILS(vdma_buf_alloc(arena, 2 * MIB,
				    &(struct vdma_buf_opts){ .size = sizeof(struct vdma_buf_opts),
							     .align = 2 * MIB },
				    &buf),
		     EADDRNOTAVAIL, VDMA_CAUSE_WINDOW, "2 MiB, aligned to 0x200000");
	assert_int_equal(query().chunks, 0);
	for (i = 0; i < 32; i++)
		if (i != 1 && i != 2)
			ASSERT_OK(vdma_region_destroy(small[i]));
	at[2] = anon_region(arena, 32 * MIB);

	for (i = 3; i < 5; i++)
		ASSERT_OK(vdma_region_destroy(at[i]));
	ASSERT_FAILS(vdma_buf_alloc(arena, 60 * MIB,
				    &(struct vdma_buf_opts){ .size = sizeof(struct vdma_buf_opts),
							     .boundary = 64 * MIB },
				    &buf),
		     EADDRNOTAVAIL, VDMA_CAUSE_WINDOW, "largest free run");
	assert_int_equal(query().chunks, 0);
	for (i = 1; i < 6; i++)
		if (i < 3 || i > 4)
			ASSERT_OK(vdma_region_destroy(at[i]));
	buf = get(65 * MIB, (struct vdma_buf_opts){ .boundary = 128 * MIB });
	assert_int_equal(buf.iova / (128 * MIB), (buf.iova + buf.len - 1) / (128 * MIB));
	put(&buf);
	for (i = 0; i < 32; i++)
		if (!i || i > 5)
			ASSERT_OK(vdma_region_destroy(at[i]));
}

/* What could not be destroyed is mapped for no device, so no buffer is cut out of it. */
static void test_stuck(void **state)
{
	struct vdma_ioas *ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	struct vdma_device *dev = device_of(ioas, EDU);
	struct vdma_buf buf, lost;

	(void)state;
	lost = get(4096, (struct vdma_buf_opts){ 0 });
	put(&lost);
	/* It is unmapped, and then the reservation cannot be laid over it. */
	fake.fail_at = fake.calls + 2;
	fake.fail_err = ENOMEM;
	ASSERT_FAILS(vdma_buf_trim(arena), ENOMEM, VDMA_CAUSE_NO_MEMORY, "");
	assert_int_equal(fake_reachable(lost.iova, lost.va, lost.len), 0);
	buf = get(4096, (struct vdma_buf_opts){ 0 });
	assert_int_equal(fake_reachable(buf.iova, buf.va, buf.len), 1);
	assert_int_equal(query().chunks, 2);
	ASSERT_FAILS(vdma_buf_free(arena, &lost), EINVAL, VDMA_CAUSE_ARGUMENT, "");
	ASSERT_OK(vdma_buf_trim(arena));
	assert_int_equal(query().chunks, 1);

	/* Nor is one lost for which there is no bookkeeping, and which cannot be unmapped. */
	fake.short_unmap = true;
	fake_fail_alloc(5); /* after the chunk, the region, and two for what VFIO tells */
	ASSERT_FAILS(vdma_buf_alloc(arena, 65 * MIB,
				    &(struct vdma_buf_opts){ .size = sizeof(struct vdma_buf_opts),
							     .contiguity = VDMA_CONTIG_REQUIRED },
				    &lost),
		     ENOMEM, VDMA_CAUSE_NO_MEMORY, "bookkeeping");
	fake_fail_alloc(0);
	fake.short_unmap = false;
	assert_int_equal(query().chunks, 2);
	put(&buf);
	ASSERT_OK(vdma_buf_trim(arena));
	assert_int_equal(query().chunks, 0);
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

static void test_fallback(void **state)
{
	struct vdma_buf a, b, c;

	(void)state;
	fake.contig_err = ENOMEM;
	ASSERT_FAILS(vdma_buf_alloc(arena, 4096,
				    &(struct vdma_buf_opts){ .size = sizeof(struct vdma_buf_opts),
							     .contiguity = VDMA_CONTIG_REQUIRED },
				    &a),
		     ENOMEM, VDMA_CAUSE_NO_RUN, "");
	ASSERT_FAILS(vdma_buf_alloc(arena, 0, NULL, &a), EINVAL, VDMA_CAUSE_ARGUMENT, "");
	/* The pool has 8 MiB: no chunk as usual, but one for this. */
	a = get(4096, (struct vdma_buf_opts){ 0 });
	assert_true(a.pa == VDMA_PA_NONE);
	assert_int_equal(query().bytes, 2 * MIB);
	/* What failed on the way does not count. */
	assert_int_equal(vdma_last_failure()->cause, VDMA_CAUSE_ARGUMENT);
	b = get(32 * MIB, (struct vdma_buf_opts){ 0 });
	assert_int_equal(query().bytes, 66 * MIB);
	fake.contig_err = 0;
	/* What is there is good for who does not care; not for who does. */
	c = get(4096, (struct vdma_buf_opts){ .contiguity = VDMA_CONTIG_REQUIRED });
	assert_true(c.pa != VDMA_PA_NONE);
	assert_int_equal(query().chunks, 3);
	put(&c);
	c = get(4096, (struct vdma_buf_opts){ .contiguity = VDMA_CONTIG_INDIFFERENT });
	assert_int_equal(query().chunks, 3);
	put(&a);
	put(&b);
	put(&c);
	ASSERT_OK(vdma_buf_trim(arena));
	/* What is there for who does not care is not preferred. */
	a = get(4096, (struct vdma_buf_opts){ .contiguity = VDMA_CONTIG_INDIFFERENT });
	b = get(4096, (struct vdma_buf_opts){ 0 });
	assert_true(a.pa == VDMA_PA_NONE);
	assert_true(b.pa != VDMA_PA_NONE);
	put(&a);
	put(&b);
}

/* What fits into a gap only takes a new chunk, and the gap where there is none. */
static void test_cramped(void **state)
{
	const struct vdma_buf_opts opts = {
		.size = sizeof(opts),
		.contiguity = VDMA_CONTIG_REQUIRED,
	};
	const size_t len = 9 * MIB / 4;
	struct vdma_buf bufs[32], a, b;
	unsigned long calls;
	size_t i;

	(void)state;
	/* At each multiple of 2 MiB. One goes: 2.5 MiB in one piece, of which 2 are a block. */
	for (i = 0; i < 32; i++)
		bufs[i] = get(3 * MIB / 2, opts);
	assert_int_equal(query().chunks, 1);
	put(&bufs[20]);
	a = get(len, opts);
	assert_int_equal(query().chunks, 2);
	put(&a);
	ASSERT_OK(vdma_buf_trim(arena));
	assert_int_equal(query().chunks, 1);

	fake.contig_err = ENOMEM;
	a = get(len, opts);
	assert_int_equal(query().chunks, 1);
	assert_true(a.iova > bufs[19].iova && a.iova < bufs[21].iova);
	/* The module is not asked each time, but again when no gap is left. */
	put(&a);
	calls = fake.calls;
	a = get(len, opts);
	assert_int_equal(fake.calls, calls);
	ASSERT_FAILS(vdma_buf_alloc(arena, len, &opts, &b), ENOMEM, VDMA_CAUSE_NO_RUN, "");
	fake.contig_err = 0;
	b = get(len, opts);
	assert_int_equal(query().chunks, 2);
	/* And then it grows as before. */
	put(&a);
	put(&b);
	ASSERT_OK(vdma_buf_trim(arena));
	a = get(len, opts);
	assert_int_equal(query().chunks, 2);
	put(&a);
	for (i = 0; i < 32; i++)
		if (i != 20)
			put(&bufs[i]);
}

/* Eight entries, one of them gone: 64 buffers in at most 7 chunks; then a refusal. */
static void test_entries(void **state)
{
	static const size_t sizes[] = { 64, 4096, 100, 65536, MIB, 3 * MIB, 2048, 9000 };
	struct vdma_buf bufs[64], big[8] = { 0 };
	struct vdma_ioas_info info = { .size = sizeof(info) };
	struct vdma_device *dev;
	struct vdma_ioas *ioas;
	size_t i, n;

	(void)state;
	fake.entry_limit = 8;
	ASSERT_OK(vdma_ioas_create(arena, NULL, &ioas));
	ASSERT_OK(vdma_device_open(ioas, EDU, NULL, &dev));
	for (i = 0; i < 64; i++)
		bufs[i] =
			get(sizes[i % 8], (struct vdma_buf_opts){ .align = i % 3 ? 0 : 4096,
								  .address_bits = i % 5 ? 0 : 32 });
	assert_true(query().chunks <= 7);
	assert_int_equal(fake_mappings(), query().chunks);
	for (n = 0; n < 8; n++) {
		struct vdma_buf buf;

		if (vdma_buf_alloc(arena, 60 * MIB, NULL, &buf))
			break;
		big[n] = buf;
	}
	assert_int_equal(vdma_last_failure()->cause, VDMA_CAUSE_DMA_ENTRIES);
	assert_non_null(strstr(vdma_explain(), "dma_entry_limit"));
	assert_int_equal(fake_mappings(), 8);
	assert_int_equal(query().regions, 8);
	ASSERT_OK(vdma_ioas_query(ioas, &info));
	assert_int_equal(info.entries_used, 8);
	for (i = 0; i < n; i++)
		put(&big[i]);
	for (i = 0; i < 64; i++)
		put(&bufs[i]);
	assert_int_equal(query().bufs, 0);
	/* One of each kind is left. */
	assert_int_equal(fake_mappings(), 2);
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

static uint64_t rng;

static uint64_t rnd(uint64_t below)
{
	return random_below(&rng, below);
}

/* Each buffer's first and last byte bear its number, so that none lies on another. */
static void mark(const struct vdma_buf *buf, size_t i)
{
	((unsigned char *)buf->va)[0] = (unsigned char)(i * 7);
	((unsigned char *)buf->va)[buf->len - 1] = (unsigned char)(i * 7);
}

static void test_random(void **state)
{
	const char *env = getenv("VDMA_SEED");
	struct vdma_buf live[500] = { 0 };
	unsigned int step;
	size_t i;

	(void)state;
	rng = (env ? strtoull(env, NULL, 0) : (uint64_t)time(NULL)) << 1 | 1;
	print_message("VDMA_SEED=%" PRIu64 "\n", rng >> 1);
	for (step = 0; step < 1000000; step++) {
		struct vdma_buf_opts opts = { .align = UINT64_C(1) << rnd(13) };
		struct vdma_buf *buf = &live[rnd(500)];
		size_t len = 1 + rnd(rnd(20) ? 5000 : 300000);

		i = (size_t)(buf - live);
		if (buf->len) {
			assert_int_equal(*(unsigned char *)buf->va, (unsigned char)(i * 7));
			assert_int_equal(((unsigned char *)buf->va)[buf->len - 1],
					 (unsigned char)(i * 7));
			put(buf);
			buf->len = 0;
			continue;
		}
		if (!rnd(4))
			opts.boundary = UINT64_C(1) << (20 + rnd(4));
		if (!rnd(8))
			opts.address_bits = 30;
		*buf = get(len, opts);
		assert_int_equal(buf->iova % opts.align, 0);
		if (opts.boundary)
			assert_int_equal(buf->iova / opts.boundary,
					 (buf->iova + len - 1) / opts.boundary);
		if (opts.address_bits)
			assert_true(buf->iova + len <= 1U << 30);
		mark(buf, i);
	}
	for (i = 0; i < 500; i++)
		if (live[i].len)
			put(&live[i]);
	assert_int_equal(query().bufs, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one, with_arena, without_arena),
		cmocka_unit_test_setup_teardown(test_constraints, with_arena, without_arena),
		cmocka_unit_test_setup_teardown(test_too_long, with_arena, without_arena),
		cmocka_unit_test_setup_teardown(test_boundary, with_arena, without_arena),
		cmocka_unit_test_setup_teardown(test_stuck, with_arena, without_arena),
		cmocka_unit_test_setup_teardown(test_fallback, with_arena, without_arena),
		cmocka_unit_test_setup_teardown(test_cramped, with_arena, without_arena),
		cmocka_unit_test_setup_teardown(test_entries, with_arena, without_arena),
		cmocka_unit_test_setup_teardown(test_random, with_arena, without_arena),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
