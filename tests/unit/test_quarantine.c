// SPDX-License-Identifier: BSD-3-Clause
/*
 * Checking mode: gaps around regions, and addresses of what was freed, which
 * nobody gets for a while, and without which no call fails.
 */
#include "unit.h"

#include "../../libvdma/quarantine.h"
#include "../../libvdma/sys.h"

#define PAGE ((uint64_t)4096)

/* What the ring let go, in order. */
static uint64_t released[3 * VDMA_QUARANTINE_RECORDS];
static size_t nreleased;

static void note(void *ctx, const struct vdma_record *record)
{
	assert_ptr_equal(ctx, released);
	assert_false(record->held);
	released[nreleased++] = record->iova;
}

static void add(struct vdma_quarantine *q, uint64_t iova, uint64_t len)
{
	vdma_quarantine_add(q, &(struct vdma_record){ .iova = iova, .len = len });
}

static void test_ring(void **state)
{
	struct vdma_quarantine q = { .limit = 0 };
	size_t i;

	(void)state;
	/* None: nothing to release, nothing to forget. */
	assert_false(vdma_quarantine_release(&q, 1));
	vdma_quarantine_fini(&q);

	fake.fail_at = fake.calls + 1;
	fake.fail_err = ENOMEM;
	assert_int_equal(vdma_quarantine_init(&q, 25, note, released), -ENOMEM);
	nreleased = 0;
	assert_int_equal(vdma_quarantine_init(&q, 25, note, released), 0);
	assert_null(vdma_quarantine_find(&q, 100, 0));
	add(&q, 100, 10);
	add(&q, 200, 10);
	assert_int_equal(q.held, 20);
	assert_int_equal(nreleased, 0);
	/* The oldest goes, and is remembered. */
	add(&q, 300, 10);
	assert_int_equal(q.held, 20);
	assert_int_equal(nreleased, 1);
	assert_int_equal(released[0], 100);
	assert_false(vdma_quarantine_find(&q, 109, 0)->held);
	assert_true(vdma_quarantine_find(&q, 209, 0)->held);
	assert_null(vdma_quarantine_find(&q, 110, 0));
	assert_null(vdma_quarantine_find(&q, 99, 0));
	assert_int_equal(vdma_quarantine_find(&q, 112, 3)->iova, 100);
	assert_null(vdma_quarantine_find(&q, 113, 3));
	/* The younger one of two. */
	add(&q, 105, 1);
	assert_int_equal(vdma_quarantine_find(&q, 105, 0)->len, 1);
	assert_int_equal(vdma_quarantine_find(&q, 104, 0)->len, 10);
	/* Out of turn, then in turn. */
	vdma_quarantine_release_within(&q, &(struct vdma_range){ 300, 300 });
	assert_int_equal(released[nreleased - 1], 300);
	assert_int_equal(q.held, 11);
	assert_true(vdma_quarantine_release(&q, 1));
	assert_int_equal(released[nreleased - 1], 200);
	assert_true(vdma_quarantine_release(&q, UINT64_MAX));
	assert_int_equal(released[nreleased - 1], 105);
	assert_int_equal(q.held, 0);
	assert_false(vdma_quarantine_release(&q, 1));
	/* What is larger than the limit does not stay, but is remembered. */
	add(&q, 5000, 26);
	assert_int_equal(released[nreleased - 1], 5000);
	assert_int_equal(vdma_quarantine_find(&q, 5025, 0)->iova, 5000);

	/* Full: the ring lets go what it has to forget. */
	q.limit = UINT64_MAX;
	nreleased = 0;
	for (i = 0; i < 2 * VDMA_QUARANTINE_RECORDS; i++)
		add(&q, 10000 + i, 1);
	assert_int_equal(q.held, VDMA_QUARANTINE_RECORDS);
	assert_int_equal(nreleased, VDMA_QUARANTINE_RECORDS);
	for (i = 0; i < VDMA_QUARANTINE_RECORDS; i++)
		assert_int_equal(released[i], 10000 + i);
	assert_null(vdma_quarantine_find(&q, 10000 + VDMA_QUARANTINE_RECORDS - 1, 0));
	assert_non_null(vdma_quarantine_find(&q, 10000 + VDMA_QUARANTINE_RECORDS, 0));
	vdma_quarantine_fini(&q);
}

static struct vdma_arena *arena;

static void checking(struct vdma_arena_opts opts)
{
	opts.size = sizeof(opts);
	opts.flags = VDMA_ARENA_CHECK;
	ASSERT_OK(vdma_arena_create(&opts, &arena));
}

static void destroy(void)
{
	ASSERT_OK(vdma_arena_destroy(arena));
}

static struct vdma_arena_info query(void)
{
	struct vdma_arena_info info = { .size = sizeof(info) };

	ASSERT_OK(vdma_arena_query(arena, &info));
	return info;
}

static struct vdma_region *region_below(size_t len, uint32_t bits)
{
	struct vdma_region_opts opts = { .size = sizeof(opts),
					 .provider = VDMA_PROVIDER_ANON,
					 .address_bits = bits };
	struct vdma_region *region = NULL;

	ASSERT_OK(vdma_region_create(arena, len, &opts, &region));
	return region;
}

static void test_options(void **state)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts), .flags = 8 };
	struct vdma_arena *none = NULL;

	(void)state;
	ASSERT_FAILS(vdma_arena_create(&opts, &none), EINVAL, VDMA_CAUSE_ARGUMENT, "flags 0x8");
	opts.flags = 0;
	opts.guard = 4096;
	ASSERT_FAILS(vdma_arena_create(&opts, &none), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "VDMA_ARENA_CHECK");
	opts.guard = 0;
	opts.quarantine = 1;
	ASSERT_FAILS(vdma_arena_create(&opts, &none), EINVAL, VDMA_CAUSE_ARGUMENT, "");
	opts.quarantine = 0;
	opts.buf_quarantine = 1;
	ASSERT_FAILS(vdma_arena_create(&opts, &none), EINVAL, VDMA_CAUSE_ARGUMENT, "");
	opts.flags = VDMA_ARENA_CHECK;
	opts.guard = (1U << 30) + 1;
	ASSERT_FAILS(vdma_arena_create(&opts, &none), EINVAL, VDMA_CAUSE_ARGUMENT, "1 GiB");
	assert_null(none);
	/* A caller from before there were flags. */
	opts = (struct vdma_arena_opts){ .size = offsetof(struct vdma_arena_opts, flags),
					 .window = GIB,
					 .flags = 8 };
	ASSERT_OK(vdma_arena_create(&opts, &arena));
	destroy();
}

/* Regions of all sizes, up and down: nothing is mapped on either side of any. */
static void test_gaps(void **state)
{
	static const size_t lens[] = { 1, 8192, 2 * MIB, 3 * MIB, 4096, GIB, 64 * MIB, 100 };
	struct vdma_region *regions[2 * 8];
	struct vdma_device *dev;
	struct vdma_ioas *ioas;
	size_t i, j;

	(void)state;
	add_edu(EDU, 5);
	checking((struct vdma_arena_opts){ .guard = 5000 });
	ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	dev = device_of(ioas, EDU);
	for (i = 0; i < 16; i++) {
		const struct vdma_region_opts opts = { .size = sizeof(opts),
						       .address_bits = i % 2 ? 0 : 34 };

		ASSERT_OK(vdma_region_create(arena, lens[i / 2], &opts, &regions[i]));
	}
	/* The gaps are not mapped either. */
	assert_int_equal(fake_mappings(), 16);
	for (i = 0; i < 16; i++) {
		struct vdma_buf a = vdma_region_buf(regions[i]);

		assert_true(fake_is_mapped(0, a.iova, a.va, a.len));
		assert_true(fake_is_reserved((char *)a.va + a.len, 8192));
		assert_true(fake_is_reserved((char *)a.va - 4096, 4096));
		for (j = 0; j < 16; j++) {
			struct vdma_buf b = vdma_region_buf(regions[j]);

			/* 5000 bytes are two pages. */
			if (j != i && b.iova > a.iova)
				assert_true(b.iova >= a.iova + a.len + 8192);
		}
	}
	for (i = 0; i < 16; i++)
		ASSERT_OK(vdma_region_destroy(regions[i]));
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
	destroy();
}

/* The gap takes no room from devices with few address bits: it lies above. */
static void test_gap_above_limit(void **state)
{
	const struct vdma_region_opts opts = { .size = sizeof(opts),
					       .provider = VDMA_PROVIDER_ANON,
					       .address_bits = 16 };
	struct vdma_region *region, *other;

	(void)state;
	checking((struct vdma_arena_opts){ .window = GIB });
	region = region_below(60 << 10, 16);
	assert_int_equal(vdma_region_buf(region).iova, PAGE);
	ASSERT_FAILS(vdma_region_create(arena, 1, &opts, &other), EADDRNOTAVAIL,
		     VDMA_CAUSE_ADDRESS_BITS, "guard gap", "68 KiB", "0 bytes");
	ASSERT_OK(vdma_region_destroy(region));
	ASSERT_FAILS(vdma_region_create(arena, GIB, NULL, &other), EADDRNOTAVAIL, VDMA_CAUSE_WINDOW,
		     "guard gap");
	destroy();
}

static void test_regions_are_held(void **state)
{
	struct vdma_region *region;
	struct vdma_buf a, b, c, d;

	(void)state;
	/* Two of them; a page is the least of a gap. */
	checking((struct vdma_arena_opts){ .guard = 1, .quarantine = 2 * PAGE });
	region = region_below(1, 0);
	a = vdma_region_buf(region);
	ASSERT_OK(vdma_region_destroy(region));
	assert_int_equal(query().held, PAGE);
	assert_int_equal(query().regions, 0);
	assert_true(fake_is_reserved(a.va, a.len));
	region = region_below(1, 0);
	b = vdma_region_buf(region);
	assert_int_equal(b.iova, a.iova - 2 * PAGE);
	ASSERT_OK(vdma_region_destroy(region));
	region = region_below(1, 0);
	c = vdma_region_buf(region);
	assert_int_equal(c.iova, b.iova - 2 * PAGE);
	/* Now the first one's time is over. */
	ASSERT_OK(vdma_region_destroy(region));
	assert_int_equal(query().held, 2 * PAGE);
	region = region_below(1, 0);
	d = vdma_region_buf(region);
	assert_int_equal(d.iova, a.iova);
	ASSERT_OK(vdma_region_destroy(region));
	destroy();

	/* 1: none. */
	checking((struct vdma_arena_opts){ .quarantine = 1 });
	region = region_below(1, 0);
	a = vdma_region_buf(region);
	ASSERT_OK(vdma_region_destroy(region));
	assert_int_equal(query().held, 0);
	region = region_below(1, 0);
	assert_int_equal(vdma_region_buf(region).iova, a.iova);
	ASSERT_OK(vdma_region_destroy(region));
	destroy();
}

static int note_and_pass(void *ctx, struct vdma_region *region)
{
	*(struct vdma_buf *)ctx = vdma_region_buf(region);
	return 0;
}

static int refuse(void *ctx, struct vdma_region *region)
{
	(void)ctx;
	(void)region;
	return -ENOSPC;
}

/* One observer may have told a device of what the next one refused. */
static void test_refused_are_held(void **state)
{
	const struct vdma_observer_ops pass = { .size = sizeof(pass), .added = note_and_pass };
	const struct vdma_observer_ops no = { .size = sizeof(no), .added = refuse };
	struct vdma_region_opts opts = { .size = sizeof(opts), .provider = VDMA_PROVIDER_ANON };
	struct vdma_iova_info info = { .size = sizeof(info) };
	struct vdma_observer *first, *second;
	struct vdma_region *region = NULL;
	struct vdma_buf told = { 0 }, refused, buf;

	(void)state;
	checking((struct vdma_arena_opts){ .guard = 1 });
	ASSERT_OK(vdma_observer_add(arena, &pass, &told, &first));
	ASSERT_OK(vdma_observer_add(arena, &no, NULL, &second));
	ASSERT_FAILS(vdma_region_create(arena, 1, &opts, &region), ECANCELED, VDMA_CAUSE_OBSERVER,
		     "");
	refused = told;
	assert_int_equal(query().held, PAGE);
	assert_true(fake_is_reserved(told.va, told.len));
	ASSERT_OK(vdma_explain_iova(arena, told.iova, &info));
	assert_int_equal(info.state, VDMA_IOVA_FREED);
	assert_int_equal(info.owner, VDMA_OWNER_REGION);
	assert_int_equal(info.held, 1);
	/* Of a chunk as well. */
	ASSERT_FAILS(vdma_buf_alloc(arena, 1, NULL, &buf), ECANCELED, VDMA_CAUSE_OBSERVER, "");
	ASSERT_OK(vdma_explain_iova(arena, told.iova, &info));
	assert_int_equal(info.state, VDMA_IOVA_FREED);
	assert_int_equal(info.owner, VDMA_OWNER_CHUNK);
	ASSERT_OK(vdma_observer_remove(second));
	region = region_below(1, 0);
	assert_int_equal(told.iova, refused.iova - 2 * PAGE);
	ASSERT_OK(vdma_region_destroy(region));
	ASSERT_OK(vdma_observer_remove(first));
	destroy();
}

/* All addresses below 2^20 again and again, in one piece and in many. */
static void test_regions_never_in_the_way(void **state)
{
	struct vdma_region *regions[15];
	unsigned int round;
	size_t i;

	(void)state;
	checking((struct vdma_arena_opts){ .guard = 4096 });
	for (round = 0; round < 20; round++) {
		ASSERT_OK(vdma_region_destroy(region_below(MIB - PAGE, 20)));
		for (i = 0; i < 15; i++)
			regions[i] = region_below(60 << 10, 20);
		assert_int_equal(query().regions, 15);
		for (i = 0; i < 15; i++)
			ASSERT_OK(vdma_region_destroy(regions[i]));
	}
	destroy();
}

static struct vdma_buf get(size_t len, enum vdma_contiguity contiguity)
{
	struct vdma_buf_opts opts = { .size = sizeof(opts), .contiguity = contiguity };
	struct vdma_buf buf = { 0 };

	ASSERT_OK(vdma_buf_alloc(arena, len, &opts, &buf));
	return buf;
}

static void test_bufs_are_held(void **state)
{
	struct vdma_buf a, b, c, d, copy;
	char thread[32];

	(void)state;
	checking((struct vdma_arena_opts){ .buf_quarantine = 250 });
	a = get(100, VDMA_CONTIG_PREFERRED);
	/* Not a part, not what only takes as many units, not twice. */
	copy = a;
	copy.len = 64;
	ASSERT_FAILS(vdma_buf_free(arena, &copy), EINVAL, VDMA_CAUSE_ARGUMENT, "64 bytes",
		     "byte 0x0 of the buffer of 100 bytes");
	copy.len = 128;
	ASSERT_FAILS(vdma_buf_free(arena, &copy), EINVAL, VDMA_CAUSE_ARGUMENT, "128 bytes");
	copy.iova += 64;
	copy.len = 36;
	ASSERT_FAILS(vdma_buf_free(arena, &copy), EINVAL, VDMA_CAUSE_ARGUMENT, "byte 0x40 of the");
	copy.iova = 4096;
	ASSERT_FAILS(vdma_buf_free(arena, &copy), EINVAL, VDMA_CAUSE_ARGUMENT, "0x1000");
	ASSERT_OK(vdma_buf_free(arena, &a));
	assert_int_equal(query().bufs, 0);
	assert_int_equal(query().bufs_held, 100);
	snprintf(thread, sizeof(thread), "by thread %d", (int)vdma_sys_tid());
	ASSERT_FAILS(vdma_buf_free(arena, &a), EINVAL, VDMA_CAUSE_ARGUMENT, "given back already",
		     ", freed 0.", thread);
	b = get(100, VDMA_CONTIG_PREFERRED);
	assert_int_equal(b.iova, a.iova + 128);
	ASSERT_OK(vdma_buf_free(arena, &b));
	c = get(100, VDMA_CONTIG_PREFERRED);
	assert_int_equal(c.iova, a.iova + 256);
	ASSERT_OK(vdma_buf_free(arena, &c));
	assert_int_equal(query().bufs_held, 200);
	d = get(100, VDMA_CONTIG_PREFERRED);
	assert_int_equal(d.iova, a.iova);
	ASSERT_OK(vdma_buf_free(arena, &d));
	/* No buffer lives in the chunk: it goes, with what is held of it. */
	assert_int_equal(query().chunks, 1);
	ASSERT_OK(vdma_buf_trim(arena));
	assert_int_equal(query().chunks, 0);
	assert_int_equal(query().bufs_held, 0);
	assert_int_equal(query().held, 64 * MIB);
	ASSERT_FAILS(vdma_buf_free(arena, &d), EINVAL, VDMA_CAUSE_ARGUMENT, ", freed 0.", thread);
	destroy();
}

/* When there is no memory for one more chunk, what is held goes. */
static void test_bufs_never_in_the_way(void **state)
{
	const struct vdma_buf_opts opts = { .size = sizeof(opts),
					    .contiguity = VDMA_CONTIG_REQUIRED };
	struct vdma_buf a, b;
	unsigned int i;

	(void)state;
	checking((struct vdma_arena_opts){ .buf_quarantine = GIB });
	a = get(64, VDMA_CONTIG_REQUIRED);
	fake.contig_err = ENOMEM;
	for (i = 0; i < 10; i++) {
		b = get(60 * MIB, VDMA_CONTIG_REQUIRED);
		assert_int_equal(query().chunks, 1);
		ASSERT_OK(vdma_buf_free(arena, &b));
		assert_int_equal(query().bufs_held, 60 * MIB);
	}
	/* Where that does not help, the reason is the memory's. */
	ASSERT_FAILS(vdma_buf_alloc(arena, 64 * MIB, &opts, &b), ENOMEM, VDMA_CAUSE_NO_RUN, "");
	assert_int_equal(query().bufs_held, 0);
	ASSERT_OK(vdma_buf_free(arena, &a));
	destroy();
}

/* Of two chunks in which nothing lives but what is held, one goes. */
static void test_chunks_shrink(void **state)
{
	struct vdma_buf a, b;

	(void)state;
	checking((struct vdma_arena_opts){ .buf_quarantine = GIB });
	a = get(64 * MIB, VDMA_CONTIG_PREFERRED);
	b = get(64 * MIB, VDMA_CONTIG_PREFERRED);
	assert_int_equal(query().chunks, 2);
	ASSERT_OK(vdma_buf_free(arena, &a));
	ASSERT_OK(vdma_buf_free(arena, &b));
	assert_int_equal(query().chunks, 1);
	assert_int_equal(query().bufs_held, 64 * MIB);
	/* One that cannot go may be unmapped: it is kept, but not for the next. */
	fake.fail_at = fake.calls + 1;
	fake.fail_err = ENOMEM;
	ASSERT_FAILS(vdma_buf_trim(arena), ENOMEM, VDMA_CAUSE_NO_MEMORY, "unmap");
	assert_int_equal(query().bufs_held, 64 * MIB);
	a = get(64 * MIB, VDMA_CONTIG_REQUIRED);
	assert_int_equal(query().chunks, 2);
	memset(a.va, 1, a.len);
	ASSERT_OK(vdma_buf_free(arena, &a));
	ASSERT_OK(vdma_buf_trim(arena));
	assert_int_equal(query().chunks, 0);
	assert_int_equal(query().bufs_held, 0);
	destroy();
}

/* As a device writes: no sanitizer sees it. */
__attribute__((no_sanitize("address"))) static void scribble(const struct vdma_buf *buf)
{
	volatile unsigned char *p = buf->va;
	size_t i;

	for (i = 0; i < buf->len; i++)
		p[i] = 0xff;
}

/*
 * A device that writes all over its memory, the free part of a chunk and what is
 * held of it included: nothing of what the library believes is there.
 */
static void test_out_of_band(void **state)
{
	struct vdma_region *region;
	struct vdma_buf bufs[100], chunk;
	unsigned int checks;
	size_t i;

	(void)state;
	/* Which sees that nobody has that memory. */
	if (on_valgrind())
		skip();
	for (checks = 0; checks < 2; checks++) {
		struct vdma_arena_opts opts = { .size = sizeof(opts),
						.flags = checks ? VDMA_ARENA_CHECK : 0 };

		ASSERT_OK(vdma_arena_create(&opts, &arena));
		region = region_below(MIB, 0);
		for (i = 0; i < 100; i++)
			bufs[i] = get(100 + 100 * i, VDMA_CONTIG_PREFERRED);
		/* The first one begins the chunk. */
		chunk = bufs[0];
		chunk.len = 64 * MIB;
		for (i = 0; i < 100; i += 2)
			ASSERT_OK(vdma_buf_free(arena, &bufs[i]));
		scribble(&chunk);
		chunk = vdma_region_buf(region);
		scribble(&chunk);
		for (i = 0; i < 100; i += 2) {
			ASSERT_FAILS(vdma_buf_free(arena, &bufs[i]), EINVAL, VDMA_CAUSE_ARGUMENT,
				     "");
			bufs[i] = get(bufs[i].len, VDMA_CONTIG_PREFERRED);
		}
		assert_int_equal(query().bufs, 100);
		assert_int_equal(query().chunks, 1);
		for (i = 0; i < 100; i++)
			ASSERT_OK(vdma_buf_free(arena, &bufs[i]));
		ASSERT_OK(vdma_region_destroy(region));
		destroy();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLEAN_TEST(test_ring),
		CLEAN_TEST(test_options),
		CLEAN_TEST(test_gaps),
		CLEAN_TEST(test_gap_above_limit),
		CLEAN_TEST(test_regions_are_held),
		CLEAN_TEST(test_refused_are_held),
		CLEAN_TEST(test_regions_never_in_the_way),
		CLEAN_TEST(test_bufs_are_held),
		CLEAN_TEST(test_bufs_never_in_the_way),
		CLEAN_TEST(test_chunks_shrink),
		CLEAN_TEST(test_out_of_band),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
