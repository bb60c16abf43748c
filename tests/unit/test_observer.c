// SPDX-License-Identifier: BSD-3-Clause
/* Observers: told of every region, once, in order, and never in the middle of something. */
#include "unit.h"

#include <pthread.h>
#include <sched.h>

#include "../random.h"

#define MOST 64

static struct vdma_arena *arena;

/* A mirror: what an observer knows of, in the order in which it was told. */
struct mirror {
	const char *name;
	struct vdma_observer *observer;
	struct vdma_region *known[MOST];
	size_t n;
	unsigned int added, removed;
	int refuse;		/* what added() returns */
	struct vdma_region *at; /* the region that was refused or removed last */
	bool asks;		/* all that may be asked, with each call */
};

/* In the order of the calls: "a+ b+ b- a- ". */
static char calls[512];

static void note(const struct mirror *m, char what)
{
	size_t used = strlen(calls);

	snprintf(calls + used, sizeof(calls) - used, "%s%c ", m->name, what);
}

/* What an observer may ask, and what it may not do. */
static void ask(struct vdma_region *region)
{
	struct vdma_region_info info = { .size = sizeof(info) };
	struct vdma_arena_info arena_info = { .size = sizeof(arena_info) };
	struct vdma_iova_info owner = { .size = sizeof(owner) };
	struct vdma_stats stats = { .size = sizeof(stats) };
	struct vdma_buf buf = vdma_region_buf(region), other;
	struct vdma_observer_ops ops = { .size = sizeof(ops) };
	struct vdma_observer *observer;
	struct vdma_region *more;
	struct vdma_ioas *ioas;
	struct vdma_range ranges[4];
	size_t n = 4, len = 0;

	memset(buf.va, 7, buf.len);
	assert_int_equal(vdma_iova(arena, buf.va), buf.iova);
	assert_ptr_equal(vdma_va(arena, buf.iova), buf.va);
	ASSERT_OK(vdma_region_query(region, &info));
	assert_int_equal(info.buf_len, buf.len);
	assert_true(info.granule >= 4096);
	ASSERT_OK(vdma_arena_query(arena, &arena_info));
	assert_true(arena_info.regions);
	ASSERT_OK(vdma_arena_ranges(arena, ranges, &n));
	ASSERT_OK(vdma_arena_stats(arena, &stats));
	ASSERT_OK(vdma_arena_dump(arena, NULL, &len));
	ASSERT_OK(vdma_explain_iova(arena, buf.iova, &owner));
	ASSERT_OK(vdma_region_find(arena, buf.va, &more));
	assert_ptr_equal(more, region);
	/* No buffer is cut out of it yet. */
	ASSERT_FAILS(vdma_buf_query(arena, &buf, &info), EINVAL, VDMA_CAUSE_ARGUMENT, "");
	ASSERT_FAILS(vdma_arena_destroy(arena), EDEADLK, VDMA_CAUSE_OBSERVING, "");
	ASSERT_FAILS(vdma_region_create(arena, 4096, NULL, &more), EDEADLK, VDMA_CAUSE_OBSERVING,
		     "observer", "later");
	ASSERT_FAILS(vdma_region_destroy(region), EDEADLK, VDMA_CAUSE_OBSERVING, "");
	ASSERT_FAILS(vdma_buf_alloc(arena, 64, NULL, &other), EDEADLK, VDMA_CAUSE_OBSERVING, "");
	ASSERT_FAILS(vdma_buf_free(arena, &buf), EDEADLK, VDMA_CAUSE_OBSERVING, "");
	ASSERT_FAILS(vdma_buf_trim(arena), EDEADLK, VDMA_CAUSE_OBSERVING, "");
	ASSERT_FAILS(vdma_ioas_create(arena, NULL, &ioas), EDEADLK, VDMA_CAUSE_OBSERVING, "");
	ASSERT_FAILS(vdma_observer_add(arena, &ops, NULL, &observer), EDEADLK, VDMA_CAUSE_OBSERVING,
		     "");
}

static int added(void *ctx, struct vdma_region *region)
{
	struct mirror *m = ctx;
	size_t i;

	note(m, '+');
	if (m->asks)
		ask(region);
	for (i = 0; i < m->n; i++)
		assert_ptr_not_equal(m->known[i], region);
	m->at = region;
	if (m->refuse)
		return m->refuse;
	assert_true(m->n < MOST);
	m->known[m->n++] = region;
	m->added++;
	return 0;
}

static void removed(void *ctx, struct vdma_region *region)
{
	struct mirror *m = ctx;
	size_t i = 0;

	note(m, '-');
	if (m->asks)
		ask(region);
	while (i < m->n && m->known[i] != region)
		i++;
	assert_true(i < m->n);
	memmove(&m->known[i], &m->known[i + 1], (m->n - i - 1) * sizeof(m->known[0]));
	m->n--;
	m->removed++;
	m->at = region;
}

static const struct vdma_observer_ops both = {
	.size = sizeof(both),
	.added = added,
	.removed = removed,
};

static int with_arena(void **state)
{
	calls[0] = '\0';
	reset(state);
	return vdma_arena_create(NULL, &arena);
}

static int without_arena(void **state)
{
	return vdma_arena_destroy(arena) ? -1 : check_clean(state);
}

static void observe(struct mirror *m)
{
	ASSERT_OK(vdma_observer_add(arena, &both, m, &m->observer));
}

/* What was there is told first, the oldest first; in the end all of it is taken back. */
static void test_order(void **state)
{
	struct mirror a = { .name = "a" }, b = { .name = "b" };
	struct vdma_region *one = anon_region(arena, 4096), *two = anon_region(arena, 8192), *three;

	(void)state;
	observe(&a);
	assert_int_equal(a.n, 2);
	assert_ptr_equal(a.known[0], one);
	assert_ptr_equal(a.known[1], two);
	observe(&b);
	calls[0] = '\0';
	three = anon_region(arena, 4096);
	assert_string_equal(calls, "a+ b+ ");
	ASSERT_FAILS(vdma_arena_destroy(arena), EBUSY, VDMA_CAUSE_CHILDREN, "2 observers");
	calls[0] = '\0';
	ASSERT_OK(vdma_region_destroy(one));
	assert_string_equal(calls, "b- a- ");
	ASSERT_OK(vdma_observer_remove(a.observer));
	assert_int_equal(a.n, 0);
	assert_ptr_equal(a.at, two);
	calls[0] = '\0';
	ASSERT_OK(vdma_region_destroy(three));
	ASSERT_OK(vdma_region_destroy(two));
	assert_string_equal(calls, "b- b- ");
	assert_int_equal(b.n, 0);
	ASSERT_OK(vdma_observer_remove(b.observer));
	ASSERT_OK(vdma_observer_remove(NULL));
	assert_int_equal(a.added, 3);
	assert_int_equal(a.removed, 3);
}

/* All may be asked, of regions and of chunks of buffers; nothing may be changed. */
static void test_asks(void **state)
{
	struct mirror m = { .name = "m", .asks = true };
	struct vdma_region *region = anon_region(arena, 4096), *other;
	struct vdma_buf buf;

	(void)state;
	observe(&m);
	other = anon_region(arena, 4096);
	ASSERT_OK(vdma_buf_alloc(arena, 100, NULL, &buf));
	assert_int_equal(m.n, 3);
	/* The chunk that it lies in. */
	assert_true(buf.iova - vdma_region_buf(m.known[2]).iova < vdma_region_buf(m.known[2]).len);
	ASSERT_OK(vdma_buf_free(arena, &buf));
	assert_int_equal(m.n, 3);
	ASSERT_OK(vdma_buf_trim(arena));
	assert_int_equal(m.n, 2);
	ASSERT_OK(vdma_region_destroy(other));
	ASSERT_OK(vdma_observer_remove(m.observer));
	ASSERT_OK(vdma_region_destroy(region));
}

/* A region that is refused is none, and those who knew of it know no more. */
static void test_refused(void **state)
{
	struct mirror a = { .name = "a" }, b = { .name = "b", .refuse = -ENOBUFS };
	struct vdma_region *region = NULL;
	struct vdma_region_opts opts = { .size = sizeof(opts), .provider = VDMA_PROVIDER_ANON };
	struct vdma_arena_info info = { .size = sizeof(info) };
	struct vdma_buf_opts required = { .size = sizeof(required),
					  .contiguity = VDMA_CONTIG_REQUIRED };
	struct vdma_observer *observer = NULL;
	struct vdma_device *dev;
	struct vdma_ioas *ioas;
	struct vdma_buf buf = { 0 };
	size_t mapped;

	(void)state;
	add_edu(EDU, 5);
	ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	dev = device_of(ioas, EDU);
	observe(&a);
	observe(&b);
	mapped = fake_mapped();
	calls[0] = '\0';
	ASSERT_FAILS(vdma_region_create(arena, 3 * MIB, &opts, &region), ECANCELED,
		     VDMA_CAUSE_OBSERVER, "3 MiB", "returned -105", "No buffer space");
	assert_int_equal(vdma_last_failure()->sys_errno, ENOBUFS);
	assert_string_equal(calls, "a+ b+ a- ");
	assert_null(region);
	assert_int_equal(a.n, 0);
	assert_int_equal(fake_mappings(), 0);
	assert_int_equal(fake_mapped(), mapped);
	ASSERT_FAILS(vdma_buf_alloc(arena, 64, &required, &buf), ECANCELED, VDMA_CAUSE_OBSERVER,
		     "");
	assert_int_equal(a.n, 0);
	assert_int_equal(fake_mappings(), 0);
	ASSERT_OK(vdma_arena_query(arena, &info));
	assert_int_equal(info.regions, 0);
	assert_int_equal(info.bytes, 0);

	/* The same place can be had again. */
	b.refuse = 0;
	ASSERT_OK(vdma_region_create(arena, 3 * MIB, &opts, &region));
	assert_int_equal(fake_mappings(), 1);
	ASSERT_OK(vdma_observer_remove(b.observer));
	calls[0] = '\0';
	b.refuse = 1;
	ASSERT_FAILS(vdma_observer_add(arena, &both, &b, &observer), ECANCELED, VDMA_CAUSE_OBSERVER,
		     "returned 1");
	assert_null(observer);
	ASSERT_OK(vdma_region_destroy(region));
	assert_string_equal(calls, "b+ a- ");
	ASSERT_OK(vdma_observer_remove(a.observer));
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

/* The third of three is refused: the first two are taken back. */
static int third(void *ctx, struct vdma_region *region)
{
	struct mirror *m = ctx;

	return m->n == 2 ? -EIO : added(ctx, region);
}

static void test_catch_up(void **state)
{
	const struct vdma_observer_ops ops = { .size = sizeof(ops),
					       .added = third,
					       .removed = removed };
	struct vdma_region *regions[3];
	struct mirror m = { .name = "m" };
	struct vdma_observer *observer = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++)
		regions[i] = anon_region(arena, 4096);
	ASSERT_FAILS(vdma_observer_add(arena, &ops, &m, &observer), ECANCELED, VDMA_CAUSE_OBSERVER,
		     "");
	assert_string_equal(calls, "m+ m+ m- m- ");
	assert_ptr_equal(m.at, regions[0]);
	for (i = 0; i < 3; i++)
		ASSERT_OK(vdma_region_destroy(regions[i]));
	assert_int_equal(m.added, 2);
	assert_int_equal(m.n, 0);
}

/* One that cannot be unmapped is not told of twice. */
static void test_stuck(void **state)
{
	struct mirror m = { .name = "m" }, late = { .name = "l" };
	struct vdma_region *region;
	struct vdma_device *dev;
	struct vdma_ioas *ioas;

	(void)state;
	add_edu(EDU, 5);
	ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	dev = device_of(ioas, EDU);
	observe(&m);
	region = anon_region(arena, 4096);
	fake.short_unmap = true;
	assert_int_equal(vdma_region_destroy(region), -EIO);
	assert_int_equal(m.n, 0);
	observe(&late);
	assert_int_equal(late.added, 0);
	fake.short_unmap = false;
	ASSERT_OK(vdma_region_destroy(region));
	assert_int_equal(m.removed, 1);
	assert_int_equal(late.removed, 0);
	ASSERT_OK(vdma_observer_remove(m.observer));
	ASSERT_OK(vdma_observer_remove(late.observer));
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

static void test_arguments(void **state)
{
	struct vdma_observer_ops ops = { .size = sizeof(ops) };
	struct {
		struct vdma_observer_ops ops;
		void *more;
	} longer = { .ops.size = sizeof(longer), .more = &ops };
	struct vdma_observer *observer = NULL;
	struct vdma_region *region;

	(void)state;
	ASSERT_FAILS(vdma_observer_add(arena, NULL, NULL, &observer), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "NULL");
	ASSERT_FAILS(vdma_observer_add(arena, &ops, NULL, NULL), EINVAL, VDMA_CAUSE_ARGUMENT, "");
	ASSERT_FAILS(vdma_observer_add(NULL, &ops, NULL, &observer), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "");
	ASSERT_FAILS(vdma_observer_add(arena, &longer.ops, NULL, &observer), E2BIG,
		     VDMA_CAUSE_OPTIONS, "");
	ops.size = 4;
	ASSERT_FAILS(vdma_observer_add(arena, &ops, NULL, &observer), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "");
	/* One who is told nothing. */
	ops.size = sizeof(ops);
	ASSERT_OK(vdma_observer_add(arena, &ops, NULL, &observer));
	region = anon_region(arena, 4096);
	ASSERT_OK(vdma_region_destroy(region));
	ASSERT_OK(vdma_observer_remove(observer));
}

/* The first is without memory for its list, then the second allocation of each call. */
static void test_no_memory(void **state)
{
	struct mirror m = { .name = "m" };
	struct vdma_region *region = anon_region(arena, 4096);
	unsigned int nth;

	(void)state;
	for (nth = 1; nth <= 2; nth++) {
		fake_fail_alloc(nth);
		ASSERT_FAILS(vdma_observer_add(arena, &both, &m, &m.observer), ENOMEM,
			     VDMA_CAUSE_NO_MEMORY, "");
		assert_int_equal(m.added, 0);
	}
	fake_fail_alloc(0);
	observe(&m);
	fake_fail_alloc(1);
	ASSERT_FAILS(vdma_observer_remove(m.observer), ENOMEM, VDMA_CAUSE_NO_MEMORY, "");
	fake_fail_alloc(0);
	assert_int_equal(m.n, 1);
	ASSERT_OK(vdma_region_destroy(region));
	assert_int_equal(m.n, 0);
	ASSERT_OK(vdma_observer_remove(m.observer));
}

/*
 * Threads create and destroy regions and buffers, others add and remove observers
 * that keep a count each: it is what is there, and at the end nothing.
 */
#define ROUNDS 300

static unsigned int running;

struct count {
	long now; /* calls come one at a time: nothing else guards it */
	bool wrong;
};

static int count_added(void *ctx, struct vdma_region *region)
{
	struct vdma_region_info info = { .size = sizeof(info) };
	struct count *c = ctx;

	c->now++;
	c->wrong |= vdma_region_query(region, &info) || !info.buf_len;
	return 0;
}

static void count_removed(void *ctx, struct vdma_region *region)
{
	struct vdma_arena_info info = { .size = sizeof(info) };
	struct count *c = ctx;
	struct vdma_buf buf = vdma_region_buf(region);

	c->wrong |= vdma_arena_query(arena, &info) || !info.regions ||
		    vdma_va(arena, buf.iova) != buf.va;
	c->now--;
}

static bool change_region(struct vdma_region **region)
{
	const struct vdma_region_opts anon = { .size = sizeof(anon),
					       .provider = VDMA_PROVIDER_ANON };
	struct vdma_region *old = *region;

	*region = NULL;
	return !(old ? vdma_region_destroy(old) : vdma_region_create(arena, 4096, &anon, region));
}

static bool change_buf(struct vdma_buf *buf)
{
	const struct vdma_buf_opts any = { .size = sizeof(any),
					   .contiguity = VDMA_CONTIG_INDIFFERENT };

	if (!buf->len)
		return !vdma_buf_alloc(arena, 1000, &any, buf);
	if (vdma_buf_free(arena, buf))
		return false;
	buf->len = 0;
	return !vdma_buf_trim(arena);
}

static void *change(void *seed)
{
	uint64_t rng = (uintptr_t)seed;
	struct vdma_region *region = NULL;
	struct vdma_buf buf = { 0 };
	bool good = true;
	unsigned int i;

	for (i = 0; i < ROUNDS; i++)
		good &= random_below(&rng, 2) ? change_region(&region) : change_buf(&buf);
	if (region)
		good &= change_region(&region);
	if (buf.len)
		good &= change_buf(&buf);
	__atomic_fetch_sub(&running, 1, __ATOMIC_RELAXED);
	return good ? NULL : arena;
}

static void *look_on(void *unused)
{
	static const struct vdma_observer_ops ops = {
		.size = sizeof(ops),
		.added = count_added,
		.removed = count_removed,
	};
	struct vdma_observer *observer;
	bool good = true;

	while (good && __atomic_load_n(&running, __ATOMIC_RELAXED)) {
		struct count c = { 0 };

		good = !vdma_observer_add(arena, &ops, &c, &observer);
		sched_yield();
		good = good && !vdma_observer_remove(observer) && !c.now && !c.wrong;
	}
	return good ? unused : arena;
}

static void test_threads(void **state)
{
	pthread_t threads[6];
	uintptr_t i;
	void *wrong;

	(void)state;
	running = 4;
	for (i = 0; i < 6; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, i < 4 ? change : look_on,
						i < 4 ? (void *)(i + 1) : NULL),
				 0);
	for (i = 0; i < 6; i++) {
		assert_int_equal(pthread_join(threads[i], &wrong), 0);
		assert_null(wrong);
	}
}

#define OBSERVER_TEST(fn) cmocka_unit_test_setup_teardown(fn, with_arena, without_arena)

int main(void)
{
	const struct CMUnitTest tests[] = {
		OBSERVER_TEST(test_order),     OBSERVER_TEST(test_asks),
		OBSERVER_TEST(test_refused),   OBSERVER_TEST(test_catch_up),
		OBSERVER_TEST(test_stuck),     OBSERVER_TEST(test_arguments),
		OBSERVER_TEST(test_no_memory), OBSERVER_TEST(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
