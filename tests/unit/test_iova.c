// SPDX-License-Identifier: BSD-3-Clause
/*
 * Address arithmetic: edges, and long random runs against a model that knows
 * nothing but one flag per unit.
 */
#include "unit.h"

#include <inttypes.h>
#include <time.h>

#include "../../libvdma/iova.h"

#define TOP UINT64_MAX

static uint64_t take(struct vdma_iova_space *s, uint64_t len, uint64_t align, uint64_t limit,
		     bool up)
{
	struct vdma_iova_request req = { len, align, limit, up };
	uint64_t iova = 0xdead;
	int err = vdma_iova_alloc(s, &req, &iova);

	if (!err)
		return iova;
	assert_int_equal(err, -ENOSPC);
	assert_int_equal(iova, 0xdead);
	return TOP;
}

static void test_directions(void **state)
{
	const struct vdma_range usable[] = { { 0x1000, 0xffff }, { 0x20000, 0x2ffff } };
	struct vdma_iova_space s = { 0 };

	(void)state;
	assert_int_equal(vdma_iova_set_usable(&s, usable, 2), 0);
	assert_int_equal(vdma_iova_usable(&s), 0xf000 + 0x10000);
	assert_int_equal(take(&s, 0x1000, 0x1000, TOP, false), 0x2f000);
	assert_int_equal(take(&s, 0x1000, 0x1000, TOP, false), 0x2e000);
	assert_int_equal(take(&s, 0x1000, 0x1000, TOP, true), 0x1000);
	assert_int_equal(take(&s, 0x1000, 0x1000, TOP, true), 0x2000);
	/* A hole is never spanned, and the limit holds in both directions. */
	assert_int_equal(take(&s, 0x10000, 0x1000, TOP, false), TOP);
	assert_int_equal(take(&s, 0x1000, 0x1000, 0x28fff, false), 0x28000);
	assert_int_equal(take(&s, 0x1000, 0x1000, 0x0fff, true), TOP);
	assert_int_equal(take(&s, 0x8000, 0x8000, TOP, false), 0x20000);
	assert_int_equal(take(&s, 0x8000, 0x8000, TOP, false), 0x8000);
	/* What is given back is one free run with its neighbours. */
	vdma_iova_free(&s, 0x2e000);
	vdma_iova_free(&s, 0x2f000);
	vdma_iova_free(&s, 0x28000);
	assert_int_equal(vdma_iova_largest(&s, TOP), 0x8000);
	assert_int_equal(take(&s, 0x8000, 0x1000, TOP, true), 0x28000);
	vdma_iova_fini(&s);
}

static void test_top_of_space(void **state)
{
	const struct vdma_range usable[] = { { TOP - 0xffff, TOP } };
	struct vdma_iova_space s = { 0 };

	(void)state;
	assert_int_equal(vdma_iova_set_usable(&s, usable, 1), 0);
	assert_int_equal(take(&s, 0x1000, 0x1000, TOP, false), TOP - 0xfff);
	assert_int_equal(take(&s, 0x1000, 0x1000, TOP, true), TOP - 0xffff);
	assert_int_equal(take(&s, TOP, 0x1000, TOP, true), TOP);
	/* Rounding up would wrap. */
	assert_int_equal(take(&s, 0x1000, UINT64_C(1) << 63, TOP, true), TOP);
	assert_int_equal(take(&s, 0xe000, 0x1000, TOP, false), TOP - 0xefff);
	assert_int_equal(take(&s, 1, 1, TOP, false), TOP);
	assert_int_equal(vdma_iova_largest(&s, TOP), 0);
	vdma_iova_fini(&s);
}

static void test_usable_changes(void **state)
{
	const struct vdma_range wide[] = { { 0, 0xfffff } };
	const struct vdma_range holed[] = { { 0, 0x7fff }, { 0x9000, 0xfffff } };
	const struct vdma_range narrow[] = { { 0, 0x7ffff } };
	struct vdma_iova_space s = { 0 };

	(void)state;
	vdma_iova_set_usable(&s, wide, 1);
	assert_int_equal(take(&s, 0x2000, 0x1000, TOP, false), 0xfe000);
	assert_int_equal(take(&s, 0x2000, 0x1000, 0x9fff, false), 0x8000);
	assert_null(vdma_iova_outside(&s, wide, 1));
	assert_int_equal(vdma_iova_outside(&s, holed, 2)->first, 0x8000);
	assert_int_equal(vdma_iova_outside(&s, narrow, 1)->first, 0xfe000);
	assert_int_equal(vdma_iova_outside(&s, NULL, 0)->first, 0x8000);
	/* Live ranges survive where nothing new may go. */
	vdma_iova_set_usable(&s, narrow, 1);
	assert_int_equal(take(&s, 0x1000, 0x1000, TOP, false), 0x7f000);
	vdma_iova_free(&s, 0xfe000);
	assert_int_equal(take(&s, 0x1000, 0x1000, TOP, false), 0x7e000);
	/* Freeing what was never taken changes nothing. */
	vdma_iova_free(&s, 0x9000);
	vdma_iova_free(&s, 0x100000);
	assert_int_equal(s.nlive, 3);
	vdma_iova_fini(&s);
}

static void test_intersect(void **state)
{
	const struct vdma_range a[] = { { 0, 9 }, { 20, 29 }, { 40, TOP } };
	const struct vdma_range b[] = { { 5, 24 }, { 26, 50 }, { TOP, TOP } };
	const struct vdma_range want[] = {
		{ 5, 9 }, { 20, 24 }, { 26, 29 }, { 40, 50 }, { TOP, TOP }
	};
	struct vdma_range out[6];
	size_t i;

	(void)state;
	assert_int_equal(vdma_iova_intersect(a, 3, b, 3, out), 5);
	for (i = 0; i < 5; i++) {
		assert_int_equal(out[i].first, want[i].first);
		assert_int_equal(out[i].last, want[i].last);
	}
	assert_int_equal(vdma_iova_intersect(a, 3, b, 0, out), 0);
	assert_int_equal(vdma_iova_intersect(a, 1, b + 1, 1, out), 0);
}

/* The model: 256 units, usable or not, taken or not. */
#define UNITS 256

struct model {
	bool usable[UNITS], taken[UNITS];
	uint64_t len[UNITS]; /* at the first unit of what was taken */
};

static bool fits(const struct model *m, uint64_t at, uint64_t len, uint64_t limit)
{
	uint64_t i;

	for (i = at; i < at + len; i++)
		if (i >= UNITS || i > limit || !m->usable[i] || m->taken[i])
			return false;
	return true;
}

static uint64_t model_find(const struct model *m, uint64_t len, uint64_t align, uint64_t limit,
			   bool up)
{
	uint64_t at, best = TOP;

	for (at = 0; at < UNITS; at += align)
		if (fits(m, at, len, limit)) {
			if (up)
				return at;
			best = at;
		}
	return best;
}

static uint64_t model_largest(const struct model *m, uint64_t limit)
{
	uint64_t i, run = 0, best = 0;

	for (i = 0; i < UNITS; i++) {
		/* Adjacent usable ranges are kept apart by the caller. */
		run = i <= limit && m->usable[i] && !m->taken[i] ? run + 1 : 0;
		best = run > best ? run : best;
	}
	return best;
}

static uint64_t rng;

static uint64_t rnd(uint64_t below)
{
	/* xorshift64* */
	rng ^= rng >> 12;
	rng ^= rng << 25;
	rng ^= rng >> 27;
	return (rng * UINT64_C(0x2545f4914f6cdd1d) >> 33) % below;
}

static void random_usable(struct model *m, struct vdma_iova_space *s)
{
	struct vdma_range ranges[UNITS];
	uint64_t at = rnd(8);
	size_t n = 0;

	memset(m->usable, 0, sizeof(m->usable));
	while (at < UNITS) {
		uint64_t last = at + rnd(100), i;

		if (last >= UNITS)
			last = UNITS - 1;
		for (i = at; i <= last; i++)
			m->usable[i] = true;
		ranges[n++] = (struct vdma_range){ at, last };
		at = last + 2 + rnd(6);
	}
	assert_int_equal(vdma_iova_set_usable(s, ranges, n), 0);
}

static void one_run(unsigned int steps)
{
	struct vdma_iova_space s = { 0 };
	struct model m = { 0 };
	uint64_t i;

	random_usable(&m, &s);
	while (steps--) {
		uint64_t what = rnd(100);

		if (what < 55) {
			uint64_t len = 1 + rnd(rnd(10) ? 12 : 80), align = UINT64_C(1) << rnd(6);
			uint64_t limit = rnd(3) ? TOP : rnd(UNITS), at;
			bool up = rnd(2);

			at = take(&s, len, align, limit, up);
			assert_int_equal(at, model_find(&m, len, align, limit, up));
			if (at == TOP)
				continue;
			for (i = at; i < at + len; i++)
				m.taken[i] = true;
			m.len[at] = len;
		} else if (what < 98) {
			uint64_t at = rnd(UNITS);

			for (i = 0; i < UNITS && !m.len[at]; i++)
				at = (at + 1) % UNITS;
			if (!m.len[at])
				continue;
			vdma_iova_free(&s, at);
			for (i = at; i < at + m.len[at]; i++)
				m.taken[i] = false;
			m.len[at] = 0;
		} else {
			random_usable(&m, &s);
		}
		what = rnd(UNITS);
		assert_int_equal(vdma_iova_largest(&s, what), model_largest(&m, what));
	}
	vdma_iova_fini(&s);
}

static void test_random(void **state)
{
	const char *env = getenv("VDMA_SEED");
	uint64_t seed = env ? strtoull(env, NULL, 0) : (uint64_t)time(NULL);
	unsigned int run;

	(void)state;
	print_message("VDMA_SEED=%" PRIu64 "\n", seed);
	for (run = 0; run < 200; run++) {
		rng = (seed + run) * UINT64_C(0x9e3779b97f4a7c15) | 1;
		one_run(1000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_directions),     cmocka_unit_test(test_top_of_space),
		cmocka_unit_test(test_usable_changes), cmocka_unit_test(test_intersect),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
