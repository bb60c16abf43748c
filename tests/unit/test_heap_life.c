// SPDX-License-Identifier: BSD-3-Clause
/*
 * Heaps and threads, which come and go, and hand objects to each other (to be run
 * under ThreadSanitizer, too); heaps that go before their threads; and every allocation
 * of the library made to fail.
 */
#include "unit.h"

#include <pthread.h>

#include "../../libvdma/heap.h"
#include "../random.h"

#define THREADS 8
#define HEAPS 2
#define LIVE 100
#define HANDED 64
#define STEPS 4000

static struct vdma_arena *arena;
static struct vdma_heap *heaps[HEAPS];

struct object {
	unsigned char *p;
	size_t len;
	unsigned int heap;
	unsigned char number;
};

/* Objects that one thread leaves for any other. */
static struct object handed[HANDED];
static pthread_mutex_t handed_lock = PTHREAD_MUTEX_INITIALIZER;

struct worker {
	pthread_t thread;
	uint64_t rng;
	struct object live[LIVE];
	char wrong[512];
};

static void check(struct worker *w, bool right, const char *what)
{
	if (!right && !*w->wrong)
		snprintf(w->wrong, sizeof(w->wrong), "%s", what);
}

static void make(struct worker *w, struct object *o)
{
	size_t most = random_below(&w->rng, 20) ? 3000 : 150000;

	o->heap = (unsigned int)random_below(&w->rng, HEAPS);
	o->len = 1 + random_below(&w->rng, most);
	o->number = (unsigned char)random_below(&w->rng, 256);
	o->p = vdma_malloc(heaps[o->heap], o->len);
	check(w, o->p, vdma_explain());
	if (o->p)
		memset(o->p, o->number, o->len);
}

static void drop(struct worker *w, struct object *o)
{
	check(w, o->p[0] == o->number && o->p[o->len - 1] == o->number,
	      "somebody wrote to an object");
	check(w, !vdma_free(heaps[o->heap], o->p), vdma_explain());
	o->p = NULL;
}

static void swap(struct worker *w, struct object *o)
{
	struct object *other = &handed[random_below(&w->rng, HANDED)], mine = *o;

	pthread_mutex_lock(&handed_lock);
	*o = *other;
	*other = mine;
	pthread_mutex_unlock(&handed_lock);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct object *o;
	unsigned int i;

	for (i = 0; i < STEPS && !*w->wrong; i++) {
		o = &w->live[random_below(&w->rng, LIVE)];
		if (!random_below(&w->rng, 4))
			swap(w, o);
		else if (!o->p)
			make(w, o);
		else
			drop(w, o);
		if (i % 1000 == 500)
			check(w, !vdma_heap_trim(heaps[i / 1000 % HEAPS]), vdma_explain());
	}
	for (i = 0; i < LIVE; i++)
		if (w->live[i].p)
			drop(w, &w->live[i]);
	return NULL;
}

static void start(void)
{
	fake.lazy = true;
	ASSERT_OK(vdma_arena_create(NULL, &arena));
	for (unsigned int i = 0; i < HEAPS; i++)
		ASSERT_OK(vdma_heap_create(arena, NULL, &heaps[i]));
}

static void stop(void)
{
	for (unsigned int i = 0; i < HEAPS; i++)
		ASSERT_OK(vdma_heap_destroy(heaps[i]));
	ASSERT_OK(vdma_arena_destroy(arena));
	assert_int_equal(fake_mapped(), 0);
}

static void test_threads(void **state)
{
	static struct worker workers[THREADS];
	struct vdma_heap_info info = { .size = sizeof(info) };
	unsigned int i;

	(void)state;
	start();
	memset(workers, 0, sizeof(workers));
	for (i = 0; i < THREADS; i++) {
		workers[i].rng = i + 1;
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
	for (i = 0; i < THREADS; i++)
		assert_string_equal(workers[i].wrong, "");
	for (i = 0; i < HANDED; i++)
		if (handed[i].p)
			drop(&workers[0], &handed[i]);
	/* What threads had in their caches has gone with them. */
	ASSERT_OK(vdma_heap_query(heaps[0], &info));
	assert_int_equal(info.objects, 0);
	assert_int_equal(info.caches, 1);
	stop();
}

/* A thread that has caches of heaps that are gone, and goes on with new ones. */
static pthread_barrier_t turn;

static void *outlive(void *unused)
{
	void *p = vdma_malloc(heaps[0], 100), *q = vdma_malloc(heaps[1], 100);
	int err = !p || !q || vdma_free(heaps[0], p) || vdma_free(heaps[1], q);

	(void)unused;
	pthread_barrier_wait(&turn);
	pthread_barrier_wait(&turn);
	if (err)
		return "before";
	p = vdma_malloc(heaps[0], 100);
	if (!p || vdma_free(heaps[0], p))
		return "after";
	pthread_barrier_wait(&turn);
	pthread_barrier_wait(&turn);
	return NULL;
}

static void test_heap_first(void **state)
{
	void *wrong = NULL;
	pthread_t thread;

	(void)state;
	start();
	assert_int_equal(pthread_barrier_init(&turn, NULL, 2), 0);
	assert_int_equal(pthread_create(&thread, NULL, outlive, NULL), 0);
	pthread_barrier_wait(&turn);
	stop();
	start();
	pthread_barrier_wait(&turn);
	pthread_barrier_wait(&turn);
	stop();
	pthread_barrier_wait(&turn);
	assert_int_equal(pthread_join(thread, &wrong), 0);
	assert_null(wrong);
	pthread_barrier_destroy(&turn);
}

static bool failed;

static bool ok(int err)
{
	if (!err)
		return true;
	failed = true;
	assert_int_equal(vdma_last_failure()->err, err);
	assert_true(strlen(vdma_explain()) > 10);
	return false;
}

static void *object(void *p)
{
	ok(p ? 0 : -errno);
	return p;
}

/* All ways to an object, and past a thread's cache. */
static void life(uint32_t flags)
{
	/* Otherwise there is something to fall back on. */
	const struct vdma_constraints required = { .size = sizeof(required),
						   .contiguity = VDMA_CONTIG_REQUIRED };
	const struct vdma_heap_opts opts = { .size = sizeof(opts),
					     .flags = flags,
					     .constraints = &required };
	struct vdma_heap_info info = { .size = sizeof(info) };
	struct vdma_heap *h;
	void *p[5], *q;

	ASSERT_OK(vdma_arena_create(NULL, &arena));
	if (ok(vdma_heap_create(arena, &opts, &h))) {
		p[0] = object(vdma_malloc(h, 100));
		p[1] = object(vdma_calloc(h, 10, 300000));
		p[2] = object(vdma_memalign(h, 4 * MIB, 100));
		p[3] = object(vdma_malloc(h, 50000));
		p[4] = object(vdma_malloc(h, 30));
		q = p[4] ? object(vdma_realloc(h, p[4], 65 * MIB)) : NULL;
		p[4] = q ? q : p[4];
		for (unsigned int i = 0; i < 5; i++)
			assert_int_equal(vdma_free(h, p[i]), 0);
		ok(vdma_heap_query(h, &info));
		ok(vdma_heap_trim(h));
		assert_int_equal(vdma_heap_destroy(h), 0);
	}
	if (!ok(vdma_arena_destroy(arena)))
		assert_int_equal(vdma_arena_destroy(arena), 0);
}

static unsigned long allocs_made;

static void one_life(uint32_t flags, unsigned long fail_at, unsigned long fail_alloc)
{
	size_t before = fake_allocations(), after;

	fake_reset();
	fake.lazy = true;
	failed = false;
	fake.fail_at = fail_at;
	fake.fail_err = ENOMEM;
	fake_fail_alloc(fail_alloc);
	life(flags);
	allocs_made = fake_alloc_calls();
	fake_fail_alloc(0);
	after = fake_allocations();
	if (after != before || fake_mapped() || fake_open_files())
		fail_msg("call %lu or allocation %lu failed: %zu allocations, %zu bytes mapped, %zu "
			 "files are left",
			 fail_at, fail_alloc, after - before, fake_mapped(), fake_open_files());
}

/* The arena itself is another test's; from behind what it takes. */
static void each_failure(uint32_t flags)
{
	unsigned long allocs, calls, first_alloc, first_call, n, noticed = 0;

	fake_reset();
	fake_fail_alloc(0);
	ASSERT_OK(vdma_arena_create(NULL, &arena));
	first_alloc = fake_alloc_calls() + 1;
	first_call = fake.calls + 1;
	ASSERT_OK(vdma_arena_destroy(arena));
	one_life(flags, 0, 0);
	assert_false(failed);
	calls = fake.calls;
	allocs = allocs_made;
	assert_true(allocs > first_alloc + 10);
	assert_true(calls > first_call + 5);
	for (n = first_alloc; n <= allocs; n++) {
		one_life(flags, 0, n);
		noticed += failed;
	}
	print_message("%lu of %lu allocations that failed were noticed\n", noticed,
		      allocs - first_alloc + 1);
	assert_true(noticed > 4);
	/* The last calls give back the window. */
	for (noticed = 0, n = first_call; n <= calls; n++) {
		one_life(flags, n, 0);
		noticed += failed;
	}
	print_message("%lu of %lu calls that failed were noticed\n", noticed,
		      calls - first_call + 1);
	assert_true(noticed > 2);
}

static void test_failures(void **state)
{
	(void)state;
	each_failure(0);
}

static void test_failures_checked(void **state)
{
	(void)state;
	each_failure(VDMA_HEAP_CHECK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLEAN_TEST(test_threads),
		CLEAN_TEST(test_heap_first),
		CLEAN_TEST(test_failures),
		CLEAN_TEST(test_failures_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
