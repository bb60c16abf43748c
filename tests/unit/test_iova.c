// SPDX-License-Identifier: BSD-3-Clause
/*
 * Address arithmetic: edges, and long random runs against a model that knows
 * nothing but one flag per unit.
 */
#include "unit.h"

#include <inttypes.h>
#include <time.h>

#include "../../libvdma/iova.h"
#include "../random.h"

#define TOP UINT64_MAX

static void *memory;

static void init(struct vdma_iova_space *s, uint64_t base, uint64_t len, unsigned int shift)
{
	size_t size = vdma_iova_memory(len, shift);

	assert_true(size > 0);
	memory = calloc(1, size);
	assert_non_null(memory);
	vdma_iova_init(s, base, len, shift, memory);
}

static void fini(struct vdma_iova_space *s)
{
	vdma_iova_fini(s);
	free(memory);
}

static uint64_t want(struct vdma_iova_space *s, const struct vdma_iova_request *req)
{
	uint64_t iova = 0xdead, live = s->live;
	int err = vdma_iova_alloc(s, req, &iova);

	if (!err) {
		assert_int_equal(s->live, live + 1);
		return iova;
	}
	assert_int_equal(err, -ENOSPC);
	assert_int_equal(iova, 0xdead);
	assert_int_equal(s->live, live);
	return TOP;
}

static uint64_t get(struct vdma_iova_space *s, uint64_t len, uint64_t align, uint64_t limit,
		    bool up)
{
	struct vdma_iova_request req = {
		.len = len, .align = align, .limit = limit, .bottom_up = up
	};

	return want(s, &req);
}

static void test_directions(void **state)
{
	const struct vdma_range usable[] = { { 0x1000, 0xffff }, { 0x20000, 0x2ffff } };
	struct vdma_iova_space s;

	(void)state;
	init(&s, 0, 0x100000, 12);
	assert_int_equal(get(&s, 1, 1, TOP, false), TOP);
	assert_int_equal(vdma_iova_set_usable(&s, usable, 2), 0);
	assert_int_equal(vdma_iova_usable(&s), 0xf000 + 0x10000);
	assert_int_equal(get(&s, 0x1000, 0x1000, TOP, false), 0x2f000);
	assert_int_equal(get(&s, 1, 1, TOP, false), 0x2e000);
	assert_int_equal(get(&s, 0x1000, 0x1000, TOP, true), 0x1000);
	assert_int_equal(get(&s, 0x1000, 0x1000, TOP, true), 0x2000);
	/* A hole is never spanned, and the limits hold in both directions. */
	assert_int_equal(get(&s, 0x10000, 0x1000, TOP, false), TOP);
	assert_int_equal(get(&s, 0x1000, 0x1000, 0x28fff, false), 0x28000);
	assert_int_equal(get(&s, 0x1000, 0x1000, 0x28ffe, false), 0x27000);
	assert_int_equal(get(&s, 0x1000, 0x1000, 0x0fff, true), TOP);
	/* A whole block is better than the gap above it that would just do. */
	assert_int_equal(get(&s, 0x7000, 0x8000, TOP, false), 0x8000);
	assert_int_equal(get(&s, 0x7000, 0x8000, TOP, false), 0x20000);
	assert_int_equal(vdma_iova_free(&s, 0x8000, 0x7000), 0);
	assert_int_equal(get(&s, 0x8000, 0x8000, TOP, false), 0x8000);
	/* What is given back is one free run with its neighbours. */
	assert_int_equal(vdma_iova_free(&s, 0x2e000, 1), 0);
	assert_int_equal(vdma_iova_free(&s, 0x2f000, 0x1000), 0);
	assert_int_equal(vdma_iova_free(&s, 0x28000, 0x1000), 0);
	assert_int_equal(vdma_iova_largest(&s, TOP), 0x8000);
	assert_int_equal(get(&s, 0x8000, 0x1000, TOP, true), 0x28000);
	fini(&s);
}

static void test_top_of_space(void **state)
{
	const struct vdma_range usable[] = { { TOP - 0xffff, TOP } };
	struct vdma_iova_space s;

	(void)state;
	init(&s, TOP - 0xfffff, 0x100000, 0);
	assert_int_equal(vdma_iova_set_usable(&s, usable, 1), 0);
	assert_int_equal(get(&s, 0x1000, 0x1000, TOP, false), TOP - 0xfff);
	assert_int_equal(get(&s, 0x1000, 0x1000, TOP, true), TOP - 0xffff);
	assert_int_equal(get(&s, TOP, 0x1000, TOP, true), TOP);
	/* Rounding up would wrap. */
	assert_int_equal(get(&s, 0x1000, UINT64_C(1) << 63, TOP, true), TOP);
	assert_int_equal(get(&s, 0xe000, 0x1000, TOP, false), TOP - 0xefff);
	assert_int_equal(get(&s, 1, 1, TOP, false), TOP);
	assert_int_equal(vdma_iova_largest(&s, TOP), 0);
	fini(&s);

	/* More units than the tree has. */
	assert_int_equal(vdma_iova_memory(UINT64_C(1) << 50, 12), 0);
}

/* Three units that no block aligned to four holds; one that only begins where nothing may. */
static void test_gaps(void **state)
{
	const struct vdma_range usable[] = { { 0x3000, 0x5fff } };
	struct vdma_iova_request req = { .len = 0x3000, .limit = TOP };
	struct vdma_iova_space s;

	(void)state;
	init(&s, 0, 0x100000000, 12);
	assert_int_equal(vdma_iova_set_usable(&s, usable, 1), 0);
	req.boundary = 0x4000;
	assert_int_equal(want(&s, &req), TOP);
	req.len = 0x2000;
	assert_int_equal(want(&s, &req), 0x4000);
	assert_int_equal(vdma_iova_free(&s, 0x4000, 0x2000), 0);
	req.boundary = 0x1000;
	assert_int_equal(want(&s, &req), TOP);
	req.boundary = 0;
	req.len = 0x3000;
	req.blocks_only = true;
	assert_int_equal(want(&s, &req), TOP);
	req.blocks_only = false;
	assert_int_equal(want(&s, &req), 0x3000);
	fini(&s);
}

static void test_usable_changes(void **state)
{
	const struct vdma_range wide[] = { { 0, 0xfffff } };
	const struct vdma_range narrow[] = { { 0, 0x7ffff } };
	struct vdma_iova_space s;

	(void)state;
	init(&s, 0, 0x100000, 12);
	vdma_iova_set_usable(&s, wide, 1);
	assert_int_equal(get(&s, 0x2000, 0x1000, TOP, false), 0xfe000);
	assert_int_equal(get(&s, 0x2000, 0x1000, 0x9fff, false), 0x8000);
	/* Live ranges survive where nothing new may go. */
	vdma_iova_set_usable(&s, narrow, 1);
	assert_int_equal(get(&s, 0x1000, 0x1000, TOP, false), 0x7f000);
	assert_int_equal(vdma_iova_free(&s, 0xfe000, 0x2000), 0);
	assert_int_equal(get(&s, 0x1000, 0x1000, TOP, false), 0x7e000);
	/* Freeing what is not taken, or not all of it, changes nothing. */
	assert_int_equal(vdma_iova_free(&s, 0xfe000, 0x2000), -EINVAL);
	assert_int_equal(vdma_iova_free(&s, 0x9000, 0x2000), -EINVAL);
	assert_int_equal(vdma_iova_free(&s, 0x100000, 0x1000), -EINVAL);
	assert_false(vdma_iova_is_free(&s, 0x9000, 0x1000));
	assert_false(vdma_iova_is_free(&s, 0x7d000, 0x2000));
	assert_false(vdma_iova_is_free(&s, 0xff000, 0x2000));
	assert_true(vdma_iova_is_free(&s, 0x90000, 0x2000));
	assert_int_equal(s.live, 3);
	fini(&s);
}

static void test_inside(void **state)
{
	const struct vdma_range holed[] = { { 0, 0x7fff }, { 0x9000, 0xfffff } };

	(void)state;
	assert_true(vdma_iova_inside(holed, 2, 0, 0x7fff));
	assert_true(vdma_iova_inside(holed, 2, 0x9000, 0x9fff));
	assert_false(vdma_iova_inside(holed, 2, 0x7000, 0x8fff));
	assert_false(vdma_iova_inside(holed, 2, 0xff000, 0x100fff));
	assert_false(vdma_iova_inside(NULL, 0, 0, 0));
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

/*
 * The model: a flag for each unit. The space gets the same requests; its
 * answers are right if what it hands out is free, usable and as asked for,
 * and if what it refuses is nowhere to be had.
 */
struct model {
	uint64_t base, units;
	unsigned int shift;
	bool *usable, *taken;
	struct vdma_range *live;
	size_t nlive;
	struct vdma_iova_space s;
};

static uint64_t rng;

static uint64_t rnd(uint64_t below)
{
	return random_below(&rng, below);
}

static uint64_t address(const struct model *m, uint64_t unit)
{
	return m->base + (unit << m->shift);
}

static void random_usable(struct model *m)
{
	struct vdma_range *ranges = calloc(m->units, sizeof(*ranges));
	uint64_t at = rnd(8);
	size_t n = 0;

	assert_non_null(ranges);
	memset(m->usable, 0, m->units * sizeof(*m->usable));
	while (at < m->units) {
		uint64_t last = at + rnd(m->units / 2 + 2), i;

		if (last >= m->units)
			last = m->units - 1;
		for (i = at; i <= last; i++)
			m->usable[i] = true;
		ranges[n++] = (struct vdma_range){ address(m, at), address(m, last + 1) - 1 };
		/* Adjacent ranges would count as two. */
		at = last + 2 + rnd(6);
	}
	/* A part of a unit is none. */
	if (n && m->shift && ranges[0].first < ranges[0].last - (1U << m->shift)) {
		m->usable[(ranges[0].first - m->base) >> m->shift] = false;
		ranges[0].first++;
	}
	assert_int_equal(vdma_iova_set_usable(&m->s, ranges, n), 0);
	free(ranges);
}

static bool is_free(const struct model *m, uint64_t at, uint64_t len)
{
	uint64_t i;

	for (i = at; i < at + len; i++)
		if (i >= m->units || !m->usable[i] || m->taken[i])
			return false;
	return true;
}

/* Does the model agree that it may be had at that address? */
static bool fits(const struct model *m, const struct vdma_iova_request *r, uint64_t iova)
{
	uint64_t last = iova + (r->len - 1);

	return !(iova & (r->align - 1)) && last >= iova && last <= r->limit &&
	       (!r->boundary || iova / r->boundary == last / r->boundary) &&
	       is_free(m, (iova - m->base) >> m->shift, r->len >> m->shift);
}

static bool fits_anywhere(const struct model *m, const struct vdma_iova_request *r)
{
	uint64_t at;

	for (at = 0; at + (r->len >> m->shift) <= m->units; at++)
		if (m->usable[at] && !m->taken[at] && fits(m, r, address(m, at)))
			return true;
	return false;
}

static uint64_t model_largest(const struct model *m, uint64_t limit)
{
	uint64_t i, run = 0, best = 0;

	for (i = 0; i < m->units; i++) {
		run = address(m, i + 1) - 1 <= limit && m->usable[i] && !m->taken[i] ? run + 1 : 0;
		best = run > best ? run : best;
	}
	return best << m->shift;
}

static void check_run(const struct model *m, uint64_t unit)
{
	uint64_t first = unit, last = unit;
	struct vdma_range run;

	while (first && m->taken[first - 1] == m->taken[unit])
		first--;
	while (last + 1 < m->units && m->taken[last + 1] == m->taken[unit])
		last++;
	assert_int_equal(vdma_iova_run(&m->s, address(m, unit), &run), m->taken[unit]);
	assert_int_equal(run.first, address(m, first));
	assert_int_equal(run.last, address(m, last + 1) - 1);
}

static void random_alloc(struct model *m)
{
	uint64_t len = 1 + rnd(rnd(10) ? 12 : 80), unit = UINT64_C(1) << m->shift, i, at;
	struct vdma_iova_request req = { .limit = TOP, .bottom_up = rnd(2) };

	if (!rnd(50))
		len = 1 + rnd(m->units);
	req.len = len << m->shift;
	req.align = unit << rnd(7);
	if (!rnd(3))
		req.limit = address(m, rnd(m->units)) + rnd(2 * unit) - 1;
	if (!rnd(3))
		req.boundary = unit << rnd(9);
	if (vdma_iova_alloc(&m->s, &req, &at)) {
		assert_false(fits_anywhere(m, &req));
		return;
	}
	assert_true(fits(m, &req, at));
	m->live[m->nlive++] = (struct vdma_range){ at, at + (req.len - 1) };
	for (i = 0; i < len; i++)
		m->taken[((at - m->base) >> m->shift) + i] = true;
}

static void random_free(struct model *m)
{
	struct vdma_range r;
	uint64_t i;
	size_t n;

	if (!m->nlive)
		return;
	n = rnd(m->nlive);
	r = m->live[n];
	m->live[n] = m->live[--m->nlive];
	assert_int_equal(vdma_iova_free(&m->s, r.first, r.last - r.first + 1), 0);
	assert_int_equal(vdma_iova_free(&m->s, r.first, r.last - r.first + 1), -EINVAL);
	for (i = r.first - m->base; i <= r.last - m->base; i += UINT64_C(1) << m->shift)
		m->taken[i >> m->shift] = false;
}

static void one_run(uint64_t base, uint64_t units, unsigned int shift, unsigned int steps)
{
	struct model m = { .base = base, .units = units, .shift = shift };
	unsigned int step, full = 40 + (unsigned int)rnd(20);

	m.usable = calloc(units, sizeof(*m.usable));
	m.taken = calloc(units, sizeof(*m.taken));
	m.live = calloc(units, sizeof(*m.live));
	assert_true(m.usable && m.taken && m.live);
	init(&m.s, base, units << shift, shift);
	random_usable(&m);
	for (step = 0; step < steps; step++) {
		/* It fills and empties in turn. */
		if (rnd(100) < full)
			random_alloc(&m);
		else
			random_free(&m);
		assert_int_equal(m.s.live, m.nlive);
		if (!rnd(steps / 8))
			full = 20 + (unsigned int)rnd(75);
		if (!rnd(100))
			random_usable(&m);
		if (!rnd(20)) {
			uint64_t limit = address(&m, rnd(units)) + rnd(UINT64_C(2) << shift);

			assert_int_equal(vdma_iova_largest(&m.s, limit), model_largest(&m, limit));
			check_run(&m, rnd(units));
		}
	}
	while (m.nlive)
		random_free(&m);
	assert_int_equal(m.s.levels, units > 4096 ? 3 : units > 64 ? 2 : 1);
	fini(&m.s);
	free(m.usable);
	free(m.taken);
	free(m.live);
}

/* VDMA_RUNS=20000 makes some ten million steps of it. */
static void test_random(void **state)
{
	const char *env = getenv("VDMA_SEED"), *more = getenv("VDMA_RUNS");
	uint64_t seed = env ? strtoull(env, NULL, 0) : (uint64_t)time(NULL);
	unsigned int run, runs = more ? (unsigned int)strtoul(more, NULL, 0) : 3000;

	(void)state;
	print_message("VDMA_SEED=%" PRIu64 "\n", seed);
	for (run = 0; run < runs; run++) {
		static const uint64_t sizes[] = { 40, 64, 256, 1000, 4096, 9000 };
		uint64_t units;
		unsigned int shift;

		rng = (seed + run) * UINT64_C(0x9e3779b97f4a7c15) | 1;
		units = sizes[rnd(6)];
		shift = (unsigned int)rnd(2) * 12;
		one_run(rnd(2) ? 0 :
			rnd(2) ? TOP - (units << shift) + 1 :
				 rnd(1000) << shift,
			units, shift, 1000);
	}
}

/* Many live ranges, in the window that an arena has by default. */
static void test_many(void **state)
{
	const uint64_t window = UINT64_C(256) << 30;
	const struct vdma_range usable[] = { { 0x1000, 0xfedfffff }, { 0xfef00000, window - 1 } };
	const size_t n = on_valgrind() ? 20000 : 1000000;
	struct vdma_range *live = calloc(n, sizeof(*live));
	struct vdma_iova_space s;
	size_t i, other;

	(void)state;
	assert_non_null(live);
	rng = 1;
	init(&s, 0, window, 12);
	assert_int_equal(vdma_iova_set_usable(&s, usable, 2), 0);
	for (i = 0; i < 3 * n; i++) {
		uint64_t len = (1 + rnd(16)) << 12;
		struct vdma_range *r = &live[i % n];

		if (i >= n)
			assert_int_equal(vdma_iova_free(&s, r->first, r->last - r->first + 1), 0);
		r->first = rnd(4) ? get(&s, len, 0, TOP, false) :
				    get(&s, len, 0, (UINT64_C(1) << 36) - 1, true);
		assert_int_not_equal(r->first, TOP);
		r->last = r->first + len - 1;
	}
	/* One that another gave back is free, all others are taken. */
	for (i = 0; i < n; i += 2)
		assert_int_equal(vdma_iova_free(&s, live[i].first,
						live[i].last - live[i].first + 1),
				 0);
	for (i = 1; i < n; i += 2) {
		other = i - 1;
		assert_int_equal(vdma_iova_free(&s, live[other].first, 1), -EINVAL);
		assert_int_equal(vdma_iova_free(&s, live[i].first,
						live[i].last - live[i].first + 1),
				 0);
	}
	assert_int_equal(s.live, 0);
	assert_int_equal(vdma_iova_largest(&s, TOP), window - 0xfef00000);
	fini(&s);
	free(live);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_directions), cmocka_unit_test(test_top_of_space),
		cmocka_unit_test(test_gaps),	   cmocka_unit_test(test_usable_changes),
		cmocka_unit_test(test_inside),	   cmocka_unit_test(test_intersect),
		cmocka_unit_test(test_random),	   cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
