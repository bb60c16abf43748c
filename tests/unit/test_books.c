// SPDX-License-Identifier: BSD-3-Clause
/*
 * A million times a buffer or a region is taken or given back, by chance, with
 * devices attached through both backends. A list of what lives says what must hold
 * of each; when all has gone, no byte, mapping or descriptor is left.
 */
#include "unit.h"

#include <inttypes.h>

#include "../random.h"

#define BUFS 200
#define REGIONS 24
#define SPACES 2 /* with a device */

struct piece {
	struct vdma_buf buf; /* len 0: none */
	struct vdma_region *region;
	uint64_t mark;
};

static struct vdma_arena *arena;
static struct piece pieces[BUFS + REGIONS];
static uint64_t rng, marks;
static size_t bufs, regions, taken, given_back;

static uint64_t rnd(uint64_t below)
{
	return random_below(&rng, below);
}

static uint64_t power(unsigned int orders)
{
	return rnd(3) ? 0 : UINT64_C(1) << rnd(orders);
}

/* The first and the last eight bytes of a piece; if it has less than both, the first only. */
static void at_ends(const struct piece *p, void **first, void **last, size_t *len)
{
	*len = p->buf.len < sizeof(p->mark) ? p->buf.len : sizeof(p->mark);
	*first = p->buf.va;
	*last = (char *)p->buf.va + (p->buf.len < 2 * sizeof(p->mark) ? 0 : p->buf.len - *len);
}

static void add(struct piece *p)
{
	void *first, *last;
	size_t i, len;

	for (i = 0; i < BUFS + REGIONS; i++) {
		const struct vdma_buf *b = &pieces[i].buf;

		if (&pieces[i] != p && b->len && p->buf.iova < b->iova + b->len &&
		    b->iova < p->buf.iova + p->buf.len)
			fail_msg("IOVA 0x%" PRIx64 " is in two pieces", p->buf.iova);
	}
	assert_int_equal(p->buf.iova, vdma_iova_checked(arena, p->buf.va, p->buf.len));
	assert_int_equal(fake_reachable(p->buf.iova, p->buf.va, p->buf.len), SPACES);
	p->mark = ++marks;
	at_ends(p, &first, &last, &len);
	memcpy(first, &p->mark, len);
	memcpy(last, &p->mark, len);
	taken++;
}

static void take_buf(struct piece *p)
{
	size_t len = 1 + rnd(UINT64_C(1) << rnd(21));
	struct vdma_buf_opts opts = {
		.size = sizeof(opts),
		.align = power(22),
		.boundary = power(24),
		.address_bits = rnd(8) ? 0 : 28,
		.contiguity = (enum vdma_contiguity)rnd(3),
	};

	if (opts.boundary < len)
		opts.boundary = 0;
	ASSERT_OK(vdma_buf_alloc(arena, len, &opts, &p->buf));
	assert_int_equal(p->buf.len, len);
	if (opts.align)
		assert_int_equal(p->buf.iova % opts.align, 0);
	if (opts.boundary)
		assert_int_equal(p->buf.iova / opts.boundary,
				 (p->buf.iova + len - 1) / opts.boundary);
	if (opts.address_bits)
		assert_int_equal((p->buf.iova + len - 1) >> opts.address_bits, 0);
	bufs++;
	add(p);
}

static void take_region(struct piece *p)
{
	size_t len = 1 + rnd(UINT64_C(1) << rnd(24));
	struct vdma_region_opts opts = {
		.size = sizeof(opts),
		.provider = rnd(4) ? VDMA_PROVIDER_ANON : VDMA_PROVIDER_CONTIG,
		.address_bits = rnd(8) ? 0 : 30,
	};

	ASSERT_OK(vdma_region_create(arena, len, &opts, &p->region));
	p->buf = vdma_region_buf(p->region);
	assert_int_equal(p->buf.len, (len + 4095) & ~(size_t)4095);
	assert_int_equal(p->buf.iova % (p->buf.len < 2 * MIB ? 4096 : 2 * MIB), 0);
	regions++;
	add(p);
}

static void give_back(struct piece *p)
{
	void *first, *last;
	size_t len;

	at_ends(p, &first, &last, &len);
	assert_memory_equal(first, &p->mark, len);
	assert_memory_equal(last, &p->mark, len);
	if (p->region) {
		ASSERT_OK(vdma_region_destroy(p->region));
		regions--;
	} else {
		ASSERT_OK(vdma_buf_free(arena, &p->buf));
		bufs--;
	}
	memset(p, 0, sizeof(*p));
	given_back++;
}

static void compare(void)
{
	struct vdma_arena_info info = { .size = sizeof(info) };

	ASSERT_OK(vdma_arena_query(arena, &info));
	assert_int_equal(info.bufs, bufs);
	assert_int_equal(info.regions, regions + info.chunks);
	assert_int_equal(fake_mappings(), SPACES * info.regions);
	assert_int_equal(fake.locked, info.bytes);
	assert_int_equal(fake.user_locked, info.bytes);
}

static void test_million(void **state)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts), .window = 4 * GIB };
	size_t allocations = fake_allocations(), i, steps = on_valgrind() ? 10000 : 1000000;
	const char *env = getenv("VDMA_SEED");
	struct vdma_ioas *ioas[SPACES];
	struct vdma_device *dev[SPACES];
	uint64_t seed = env ? strtoull(env, NULL, 0) : 20261125;

	(void)state;
	print_message("VDMA_SEED=%" PRIu64 "\n", seed);
	rng = seed | 1;
	fake.lazy = true;
	add_edu(EDU, 5);
	add_edu(NIC, 6);
	ASSERT_OK(vdma_arena_create(&opts, &arena));
	ioas[0] = ioas_of(arena, VDMA_BACKEND_TYPE1);
	ioas[1] = ioas_of(arena, VDMA_BACKEND_IOMMUFD);
	dev[0] = device_of(ioas[0], EDU);
	dev[1] = device_of(ioas[1], NIC);
	for (i = 0; i < steps; i++) {
		/* One in 32 is a region, which costs system calls. */
		struct piece *p = &pieces[rnd(32) ? rnd(BUFS) : BUFS + rnd(REGIONS)];

		if (p->buf.len)
			give_back(p);
		else if (p < &pieces[BUFS])
			take_buf(p);
		else
			take_region(p);
		if (!rnd(500))
			compare();
	}
	for (i = 0; i < BUFS + REGIONS; i++)
		if (pieces[i].buf.len)
			give_back(&pieces[i]);
	compare();
	print_message("%zu taken, %zu given back\n", taken, given_back);
	ASSERT_OK(vdma_buf_trim(arena));
	assert_int_equal(fake_mappings(), 0);
	assert_int_equal(fake.locked, 0);
	assert_int_equal(fake.user_locked, 0);
	for (i = 0; i < SPACES; i++) {
		ASSERT_OK(vdma_device_close(dev[i]));
		ASSERT_OK(vdma_ioas_destroy(ioas[i]));
	}
	ASSERT_OK(vdma_arena_destroy(arena));
	assert_int_equal(fake_mapped(), 0);
	assert_int_equal(fake_open_files(), 0);
	assert_int_equal(fake_allocations(), allocations);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLEAN_TEST(test_million),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
