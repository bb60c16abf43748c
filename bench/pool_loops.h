/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The loops in which get and put are timed: ours and the peer's are compiled from the
 * same lines, each beside the functions that it calls, so that what is inline stays
 * inline. Whoever includes this has defined
 *
 *	item_t                    what is got
 *	access_t                  by what, of one thread
 *	BEGIN(), END()            in a thread of its own
 *	GET(access, item)         one into an item_t
 *	PUT(access, item)
 *	GET_BULK(access, items)   BULK of them
 *	PUT_BULK(access, items)
 *
 * and gets pool_ns(), which takes one access for each of two threads.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include "pool.h"
#include "sample.h"

#define BULK 32
#define DEEP 1024
#define PAIRS 400000
#define LAPS (PAIRS / DEEP)
/* Of items on their way from one thread to the other. */
#define WAY 4096

/* Something looks at it. */
#define USE(p) __asm__ volatile("" : : "r"(p) : "memory")

static double single_ns(access_t *a)
{
	double start = now_ns();

	for (int i = 0; i < PAIRS; i++) {
		item_t item;

		GET(a, item);
		USE(item);
		PUT(a, item);
	}
	return (now_ns() - start) / PAIRS;
}

static double bulk_ns(access_t *a)
{
	item_t items[BULK];
	double start = now_ns();

	for (int i = 0; i < PAIRS; i++) {
		GET_BULK(a, items);
		USE(items);
		PUT_BULK(a, items);
	}
	return (now_ns() - start) / PAIRS / BULK;
}

static double deep_ns(access_t *a)
{
	static item_t items[DEEP];
	double start = now_ns();

	for (int lap = 0; lap < LAPS; lap++) {
		for (int i = 0; i < DEEP; i++)
			GET(a, items[i]);
		USE(items);
		for (int i = 0; i < DEEP; i++)
			PUT(a, items[i]);
	}
	return (now_ns() - start) / LAPS / DEEP;
}

static double deep_bulk_ns(access_t *a)
{
	static item_t items[DEEP];
	double start = now_ns();

	for (int lap = 0; lap < LAPS; lap++) {
		for (int i = 0; i < DEEP; i += BULK)
			GET_BULK(a, items + i);
		USE(items);
		for (int i = 0; i < DEEP; i += BULK)
			PUT_BULK(a, items + i);
	}
	return (now_ns() - start) / LAPS / DEEP;
}

/* One thread's items to another: a ring of which each side writes a cache line of its own. */
struct way {
	_Alignas(64) _Atomic uint32_t tail;
	_Alignas(64) _Atomic uint32_t head;
	_Alignas(64) item_t items[WAY];
};

struct other {
	pthread_t thread;
	pthread_barrier_t barrier;
	access_t *access;
	struct way way;
};

/* To the first CPU or to the second: DPDK has put its thread to one, and others inherit that. */
static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void *other_pairs(void *arg)
{
	struct other *o = arg;

	pin(1);
	BEGIN();
	pthread_barrier_wait(&o->barrier);
	single_ns(o->access);
	END();
	return NULL;
}

/* Puts what comes. */
static void *other_puts(void *arg)
{
	struct other *o = arg;
	uint32_t head = 0, end = PAIRS / BULK * BULK;

	pin(1);
	BEGIN();
	pthread_barrier_wait(&o->barrier);
	while (head != end) {
		item_t items[BULK];

		while (atomic_load_explicit(&o->way.tail, memory_order_acquire) == head)
			;
		for (int i = 0; i < BULK; i++)
			items[i] = o->way.items[(head + i) % WAY];
		head += BULK;
		atomic_store_explicit(&o->way.head, head, memory_order_release);
		PUT_BULK(o->access, items);
	}
	END();
	return NULL;
}

static void produce(access_t *a, struct way *way)
{
	for (uint32_t tail = 0; tail != PAIRS / BULK * BULK;) {
		item_t items[BULK];

		while (tail - atomic_load_explicit(&way->head, memory_order_acquire) > WAY - BULK)
			;
		GET_BULK(a, items);
		for (int i = 0; i < BULK; i++)
			way->items[(tail + i) % WAY] = items[i];
		tail += BULK;
		atomic_store_explicit(&way->tail, tail, memory_order_release);
	}
}

static double two_ns(access_t *a, access_t *b, void *(*other)(void *))
{
	static struct other o;
	double start;

	pin(0);
	o.access = b;
	atomic_store(&o.way.head, 0);
	atomic_store(&o.way.tail, 0);
	pthread_barrier_init(&o.barrier, NULL, 2);
	if (pthread_create(&o.thread, NULL, other, &o))
		exit(1);
	pthread_barrier_wait(&o.barrier);
	start = now_ns();
	if (other == other_pairs)
		single_ns(a);
	else
		produce(a, &o.way);
	pthread_join(o.thread, NULL);
	pthread_barrier_destroy(&o.barrier);
	return (now_ns() - start) / PAIRS;
}

static double pool_ns(enum pattern pattern, access_t *a, access_t *b)
{
	switch (pattern) {
	case SINGLE: return single_ns(a);
	case BULKS: return bulk_ns(a);
	case DEEPS: return deep_ns(a);
	case DEEP_BULKS: return deep_bulk_ns(a);
	case TWO_THREADS: return two_ns(a, b, other_pairs);
	default: return two_ns(a, b, other_puts);
	}
}
