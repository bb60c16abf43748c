// SPDX-License-Identifier: BSD-3-Clause
/*
 * Threads that get and put buffers of one pool, hand them to each other, make and give
 * back handles, and look on, while the pool grows. By itself it sees that nobody gets
 * what another has, and that all of them are there at the end. Meant to run under
 * ThreadSanitizer, too: whoever gets a buffer writes to it without a lock.
 */
#include <pthread.h>

#include "../random.h"
#include "unit.h"

#define THREADS 6
#define MAX 4096
#define HOLD 200

static struct vdma_arena *arena;
static struct vdma_pool *pool;

/* What some thread has got and another will put. */
static struct {
	pthread_mutex_t lock;
	uint32_t numbers[1024];
	uint32_t n;
} exchange = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct worker {
	pthread_t thread;
	uint32_t id;
	uint64_t rng;
	uint32_t mine[HOLD];
	uint32_t n;
	struct vdma_pool_handle *handle;
	unsigned long got;
	char wrong[2200];
};

struct content {
	uint32_t owner;
	uint32_t number;
};

static bool check(struct worker *w, bool right, const char *what)
{
	if (!right && !*w->wrong)
		snprintf(w->wrong, sizeof(w->wrong), "%s", what);
	return right;
}

/* Writes into what it has got; nobody else has it. */
static void take(struct worker *w, uint32_t number)
{
	*(struct content *)vdma_pool_va(pool, number) = (struct content){ w->id, number };
	*(uint32_t *)vdma_pool_private(pool, number) = w->id;
	check(w, vdma_iova(arena, vdma_pool_va(pool, number)) == vdma_pool_iova(pool, number),
	      "an address is wrong");
	check(w, vdma_pool_number(pool, vdma_pool_va(pool, number)) == number, "a number is wrong");
	w->mine[w->n++] = number;
}

static void leave(struct worker *w, uint32_t number, uint32_t who)
{
	const struct content *c = vdma_pool_va(pool, number);

	check(w, c->number == number && (!who || c->owner == who), "somebody wrote to a buffer");
	check(w, *(uint32_t *)vdma_pool_private(pool, number) == c->owner,
	      "somebody wrote to a private area");
}

static void get(struct worker *w)
{
	uint32_t numbers[64], want = 1 + (uint32_t)random_below(&w->rng, 64), n, i;

	if (want > HOLD - w->n)
		want = HOLD - w->n;
	n = vdma_pool_get_bulk(w->handle, numbers, want);
	for (i = 0; i < n; i++)
		take(w, numbers[i]);
	w->got += n;
	if (w->n < HOLD && (numbers[0] = vdma_pool_get(w->handle)) != VDMA_POOL_NONE)
		take(w, numbers[0]);
}

static void put(struct worker *w)
{
	uint32_t n = (uint32_t)random_below(&w->rng, w->n + 1), i;

	for (i = w->n - n; i < w->n; i++)
		leave(w, w->mine[i], w->id);
	w->n -= n;
	check(w, !vdma_pool_put_bulk(w->handle, w->mine + w->n, n), vdma_explain());
	if (w->n) {
		leave(w, w->mine[--w->n], w->id);
		check(w, !vdma_pool_put(w->handle, w->mine[w->n]), vdma_explain());
	}
}

/* Gives some to the others, or puts some of theirs. */
static void trade(struct worker *w)
{
	uint32_t numbers[64], n = 0;

	pthread_mutex_lock(&exchange.lock);
	if (random_below(&w->rng, 2)) {
		while (w->n && exchange.n < 1024)
			exchange.numbers[exchange.n++] = w->mine[--w->n];
	} else {
		while (exchange.n && n < 64)
			numbers[n++] = exchange.numbers[--exchange.n];
	}
	pthread_mutex_unlock(&exchange.lock);
	for (uint32_t i = 0; i < n; i++)
		leave(w, numbers[i], 0);
	check(w, !vdma_pool_put_bulk(w->handle, numbers, n), vdma_explain());
}

static void other(struct worker *w)
{
	struct vdma_pool_info info = { .size = sizeof(info) };

	switch (random_below(&w->rng, 4)) {
	case 0:
		check(w, !vdma_pool_handle_destroy(w->handle), vdma_explain());
		w->handle = NULL;
		break;
	case 1: check(w, !vdma_pool_flush(w->handle), vdma_explain()); break;
	case 2: check(w, !vdma_pool_query(pool, &info), vdma_explain()); break;
	default: vdma_pool_grow(pool); /* it has all, or has more now */
	}
}

static void by_chance(struct worker *w, unsigned int percent)
{
	if (percent < 1)
		other(w);
	else if (percent < 30)
		trade(w);
	else if (percent < 65)
		put(w);
	else
		get(w);
}

static void *work(void *arg)
{
	unsigned int rounds = on_valgrind() ? 300 : 4000;
	struct worker *w = arg;

	for (unsigned int i = 0; i < rounds && !*w->wrong; i++) {
		if (!w->handle &&
		    !check(w, !vdma_pool_handle_create(pool, &w->handle), vdma_explain()))
			break;
		by_chance(w, (unsigned int)random_below(&w->rng, 100));
	}
	if (!w->handle)
		check(w, !vdma_pool_handle_create(pool, &w->handle), vdma_explain());
	while (w->n && !*w->wrong)
		put(w);
	check(w, !vdma_pool_handle_destroy(w->handle), vdma_explain());
	return NULL;
}

static void run(uint32_t flags)
{
	struct vdma_region_opts anon = { .size = sizeof(anon), .provider = VDMA_PROVIDER_ANON };
	struct vdma_pool_opts opts = { .size = sizeof(opts),
				       .max = MAX,
				       .grow = 256,
				       .cache = 128,
				       .private_len = 4,
				       .flags = flags,
				       .region = &anon };
	struct vdma_arena_opts small = { .size = sizeof(small), .window = GIB };
	struct vdma_pool_info info = { .size = sizeof(info) };
	static struct worker workers[THREADS];
	struct vdma_pool_handle *handle;
	unsigned int i;

	memset(workers, 0, sizeof(workers));
	ASSERT_OK(vdma_arena_create(&small, &arena));
	ASSERT_OK(vdma_pool_create(arena, 64, 512, &opts, &pool));
	for (i = 0; i < THREADS; i++) {
		workers[i].id = i + 1;
		workers[i].rng = i + 1;
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
	for (i = 0; i < THREADS; i++) {
		assert_string_equal(workers[i].wrong, "");
		assert_true(workers[i].got > 1000);
	}
	ASSERT_OK(vdma_pool_handle_create(pool, &handle));
	ASSERT_OK(vdma_pool_put_bulk(handle, exchange.numbers, exchange.n));
	exchange.n = 0;
	ASSERT_OK(vdma_pool_handle_destroy(handle));
	ASSERT_OK(vdma_pool_query(pool, &info));
	assert_int_equal(info.free, info.buffers);
	assert_int_equal(info.handles, 0);
	assert_int_equal(info.inboxes, 0);
	assert_int_equal(info.double_puts + info.foreign_puts, 0);
	assert_true(info.chunks > 1);
	ASSERT_OK(vdma_pool_destroy(pool));
	ASSERT_OK(vdma_arena_destroy(arena));
	assert_int_equal(fake_mapped(), 0);
}

#define GREEDY 1000 /* numbers that each thread wants */
#define GREEDY_CACHE 256

static void *be_greedy(void *arg)
{
	struct worker *w = arg;
	struct vdma_pool_handle *handle;
	static _Thread_local uint32_t mine[GREEDY];

	if (!check(w, !vdma_pool_handle_create(pool, &handle), vdma_explain()))
		return NULL;
	for (w->got = 0; w->got < GREEDY; w->got++)
		if (!check(w, (mine[w->got] = vdma_pool_get(handle)) != VDMA_POOL_NONE,
			   "nothing, though the pool may grow"))
			break;
	check(w, !vdma_pool_put_bulk(handle, mine, (uint32_t)w->got), vdma_explain());
	check(w, !vdma_pool_handle_destroy(handle), vdma_explain());
	return NULL;
}

/* A thread takes as many at once as a chunk has: what one has added another takes. */
static void test_growth(void **state)
{
	struct vdma_region_opts anon = { .size = sizeof(anon), .provider = VDMA_PROVIDER_ANON };
	struct vdma_pool_opts opts = { .size = sizeof(opts),
				       .max = THREADS * (GREEDY + GREEDY_CACHE),
				       .grow = 64,
				       .cache = GREEDY_CACHE,
				       .region = &anon };
	struct vdma_arena_opts small = { .size = sizeof(small), .window = GIB };
	static struct worker workers[THREADS];

	(void)state;
	ASSERT_OK(vdma_arena_create(&small, &arena));
	ASSERT_OK(vdma_pool_create(arena, 64, 64, &opts, &pool));
	for (unsigned int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&workers[i].thread, NULL, be_greedy, &workers[i]),
				 0);
	for (unsigned int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
	for (unsigned int i = 0; i < THREADS; i++)
		assert_string_equal(workers[i].wrong, "");
	ASSERT_OK(vdma_pool_destroy(pool));
	ASSERT_OK(vdma_arena_destroy(arena));
}

static void test_threads(void **state)
{
	(void)state;
	run(0);
}

static void test_checks(void **state)
{
	(void)state;
	run(VDMA_POOL_CHECK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLEAN_TEST(test_growth),
		CLEAN_TEST(test_threads),
		CLEAN_TEST(test_checks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
