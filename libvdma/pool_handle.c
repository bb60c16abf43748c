// SPDX-License-Identifier: BSD-3-Clause
/*
 * Handles of a pool: what get and put do when a stack is empty or full.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "explain.h"
#include "pool.h"
#include "sys.h"

#define LINE 64

/* Of a number that no buffer has; above all ports. */
#define NOBODY UINT16_MAX

static size_t handle_len(const struct vdma_pool *pool)
{
	return sizeof(struct vdma_pool_handle) + pool->opts.cache * sizeof(uint32_t);
}

/* As many as a stack takes or passes on at a time: a small one the half of it. */
static uint32_t some(const struct vdma_pool *pool)
{
	return pool->opts.cache / 2 < VDMA_POOL_SOME ? pool->opts.cache / 2 : VDMA_POOL_SOME;
}

/* One thread writes, others may look. */
static void set_n(uint32_t *n, uint32_t value)
{
	__atomic_store_n(n, value, __ATOMIC_RELAXED);
}

static void count(uint64_t *counter, uint64_t more)
{
	__atomic_store_n(counter, *counter + more, __ATOMIC_RELAXED);
}

/*
 * An inbox's numbers are in the other thread's cache. All lines are asked for at once, and
 * come while the lock is taken, or owners are looked at.
 */
static void expect(const uint32_t *numbers, uint32_t n)
{
	for (uint32_t i = 0; i < n; i += LINE / sizeof(*numbers))
		__builtin_prefetch(numbers + i, 1);
}

/* Up to @want of what lies in an inbox. */
static uint32_t take_inbox(struct vdma_pool_port *port, uint32_t *numbers, uint32_t want)
{
	uint32_t there = __atomic_load_n(&port->n, __ATOMIC_RELAXED), n;

	if (!there)
		return 0;
	n = there < want ? there : want;
	expect(port->inbox + (there - n), n);
	pthread_mutex_lock(&port->lock);
	n = port->n < want ? port->n : want;
	set_n(&port->n, port->n - n);
	memcpy(numbers, port->inbox + port->n, n * sizeof(*numbers));
	pthread_mutex_unlock(&port->lock);
	return n;
}

/* False if the handle is gone. */
static bool put_inbox(const struct vdma_pool *pool, struct vdma_pool_port *port,
		      const uint32_t *numbers, uint32_t n)
{
	bool room;

	pthread_mutex_lock(&port->lock);
	room = port->live && n <= pool->opts.max - port->n;
	if (room) {
		memcpy(port->inbox + port->n, numbers, n * sizeof(*numbers));
		set_n(&port->n, port->n + n);
	}
	pthread_mutex_unlock(&port->lock);
	return room;
}

static void own(struct vdma_pool *pool, uint16_t id, const uint32_t *numbers, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		pool->owners[numbers[i]] = id;
}

/* What was put for threads that do not come for it. */
static uint32_t scavenge(struct vdma_pool *pool, struct vdma_pool_port *mine, uint32_t *numbers,
			 uint32_t want)
{
	uint32_t nports = __atomic_load_n(&pool->nports, __ATOMIC_ACQUIRE), n = 0, i;

	for (i = 0; i < nports && n < want; i++)
		if (pool->ports[i] != mine)
			n += take_inbox(pool->ports[i], numbers + n, want - n);
	count(&mine->scavenged, n);
	return n;
}

/* Fills an empty stack. False if there is nothing, which is explained. */
static bool refill(struct vdma_pool_handle *handle)
{
	uint32_t *stack = VDMA_POOL_STACK(handle), n;
	struct vdma_pool_port *port = handle->port;
	struct vdma_pool *pool = handle->pool;
	bool low = false;

	n = take_inbox(port, stack, some(pool));
	if (!n) {
		n = vdma_pool_take(pool, stack, some(pool), &low);
		if (!n)
			n = scavenge(pool, port, stack, some(pool));
		if (!n)
			n = vdma_pool_take_grown(pool, stack, some(pool), &low);
		own(pool, port->id, stack, n);
	}
	set_n(&handle->n, n);
	count(&port->refills, n > 0);
	/* Now, for it may use this handle. */
	if (low)
		pool->opts.on_low(pool, pool->opts.ctx);
	return n;
}

uint32_t vdma_pool_get_more(struct vdma_pool_handle *handle, uint32_t *numbers, uint32_t want)
{
	struct vdma_pool *pool = handle->pool;
	uint32_t got = 0, n;

	if (!pool) {
		vdma_pool_fail_forked();
		return 0;
	}
	if (pool->marks)
		return vdma_pool_get_checked(handle, numbers, want, __builtin_return_address(0));
	while (got < want && (handle->n || refill(handle))) {
		n = handle->n < want - got ? handle->n : want - got;
		set_n(&handle->n, handle->n - n);
		memcpy(numbers + got, VDMA_POOL_STACK(handle) + handle->n, n * sizeof(*numbers));
		got += n;
	}
	count(&handle->port->exhausted, got < want);
	return got;
}

uint32_t vdma_pool_get_one_more(struct vdma_pool_handle *handle)
{
	struct vdma_pool *pool = handle->pool;
	uint32_t number = VDMA_POOL_NONE;

	if (!pool)
		vdma_pool_fail_forked();
	else if (pool->marks)
		vdma_pool_get_checked(handle, &number, 1, __builtin_return_address(0));
	else
		vdma_pool_get_more(handle, &number, 1);
	return number;
}

static void expect_inbox(const struct vdma_pool_port *port, uint32_t n)
{
	__builtin_prefetch(&port->lock, 1);
	expect(port->inbox + __atomic_load_n(&port->n, __ATOMIC_RELAXED), n);
}

static uint16_t owner_of(const struct vdma_pool *pool, uint32_t number)
{
	return number < pool->indexes ? pool->owners[number] : NOBODY;
}

/* Brings those of @owner to the front, where they are already as a rule; how many. */
static uint32_t gather(const struct vdma_pool *pool, uint32_t *numbers, uint32_t n, uint16_t owner)
{
	uint32_t m = 0, i, number;

	while (m < n && owner_of(pool, numbers[m]) == owner)
		m++;
	for (i = m; i < n; i++) {
		number = numbers[i];
		if (owner_of(pool, number) != owner)
			continue;
		numbers[i] = numbers[m];
		numbers[m++] = number;
	}
	return m;
}

static int drop_foreign(struct vdma_pool *pool, uint32_t number, uint32_t n)
{
	pthread_mutex_lock(&pool->lock);
	pool->foreign_puts += n;
	pthread_mutex_unlock(&pool->lock);
	return vdma_pool_fail_foreign(number);
}

/*
 * Many of one owner to its inbox; the thread's own, and what would be few at a time, to
 * the store. The order of @numbers is lost.
 */
static int pass_on(struct vdma_pool_handle *handle, uint32_t *numbers, uint32_t n)
{
	struct vdma_pool_port *port = handle->port;
	struct vdma_pool *pool = handle->pool;
	uint32_t batch = (some(pool) + 1) / 2, rest = 0, m;
	int err = 0, over;

	while (rest < n) {
		uint16_t owner = owner_of(pool, numbers[rest]);
		bool gone = true;

		if (owner != port->id && owner != NOBODY)
			expect_inbox(pool->ports[owner], n - rest);
		m = gather(pool, numbers + rest, n - rest, owner);
		if (owner == NOBODY)
			err = drop_foreign(pool, numbers[rest], m);
		else if (owner == port->id || m < batch ||
			 !put_inbox(pool, pool->ports[owner], numbers + rest, m))
			gone = false;
		else
			count(&port->returned, m);
		if (gone) {
			n -= m;
			memmove(numbers + rest, numbers + rest + m, (n - rest) * sizeof(*numbers));
		} else {
			rest += m;
		}
	}
	over = rest ? vdma_pool_give(pool, numbers, rest) : 0;
	return err ? err : over;
}

static int spill(struct vdma_pool_handle *handle, uint32_t n)
{
	set_n(&handle->n, handle->n - n);
	count(&handle->port->spills, 1);
	return pass_on(handle, VDMA_POOL_STACK(handle) + handle->n, n);
}

int vdma_pool_put_more(struct vdma_pool_handle *handle, const uint32_t *numbers, uint32_t n)
{
	struct vdma_pool *pool = handle->pool;
	uint32_t room, m;
	int err = 0, bad;

	if (!pool)
		return vdma_pool_fail_forked();
	if (pool->marks)
		return vdma_pool_put_checked(handle, numbers, n, __builtin_return_address(0));
	while (n) {
		room = handle->limit - handle->n;
		if (!room) {
			bad = spill(handle, some(pool));
			err = err ? err : bad;
			continue;
		}
		m = n < room ? n : room;
		memcpy(VDMA_POOL_STACK(handle) + handle->n, numbers, m * sizeof(*numbers));
		set_n(&handle->n, handle->n + m);
		numbers += m;
		n -= m;
	}
	return err;
}

int vdma_pool_put_one_more(struct vdma_pool_handle *handle, uint32_t number)
{
	if (handle->pool && handle->pool->marks)
		return vdma_pool_put_checked(handle, &number, 1, __builtin_return_address(0));
	return vdma_pool_put_more(handle, &number, 1);
}

static int empty_inbox(struct vdma_pool_handle *handle)
{
	struct vdma_pool *pool = handle->pool;
	uint32_t *stack = VDMA_POOL_STACK(handle), n;
	int err = 0, bad;

	/* The stack is empty: there is room. */
	while ((n = take_inbox(handle->port, stack, pool->opts.cache))) {
		bad = vdma_pool_give(pool, stack, n);
		err = err ? err : bad;
	}
	return err;
}

int vdma_pool_flush(struct vdma_pool_handle *handle)
{
	int err = 0, bad;

	if (!handle)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "The handle is NULL.");
	if (!handle->pool)
		return vdma_pool_fail_forked();
	if (handle->n)
		err = spill(handle, handle->n);
	bad = empty_inbox(handle);
	return err ? err : bad;
}

static int make_port(struct vdma_pool *pool, struct vdma_pool_port **out)
{
	struct vdma_pool_port *port = NULL;
	void *inbox;
	int err;

	for (uint32_t i = 0; i < pool->nports; i++)
		if (!pool->ports[i]->handle) {
			*out = pool->ports[i];
			return 0;
		}
	if (pool->nports == VDMA_POOL_HANDLES)
		return vdma_fail(
			VDMA_CAUSE_TOO_MANY,
			&(struct vdma_facts){ .need = VDMA_POOL_HANDLES + 1,
					      .limit = VDMA_POOL_HANDLES,
					      .used = pool->nhandles },
			"The pool has %d handles, which is all that it can have. Destroy those of "
			"threads that have ended.",
			VDMA_POOL_HANDLES);
	err = vdma_pool_table(pool->opts.max * sizeof(*port->inbox), &inbox);
	if (err)
		return err;
	port = calloc(1, sizeof(*port));
	if (!port) {
		vdma_pool_table_free(inbox, pool->opts.max * sizeof(*port->inbox));
		return vdma_fail_malloc(sizeof(*port));
	}
	vdma_pool_init_lock(&port->lock);
	port->inbox = inbox;
	port->id = (uint16_t)pool->nports;
	pool->ports[port->id] = port;
	__atomic_store_n(&pool->nports, pool->nports + 1, __ATOMIC_RELEASE);
	*out = port;
	return 0;
}

/* A child finds it without a pool, and empty. */
static int make_handle(const struct vdma_pool *pool, struct vdma_pool_handle **handle)
{
	void *table;
	int err = vdma_pool_table(handle_len(pool), &table);

	if (err)
		return err;
	err = vdma_sys_madvise(table, handle_len(pool), MADV_WIPEONFORK);
	if (err) {
		vdma_pool_table_free(table, handle_len(pool));
		return vdma_fail_sys(err, "MADV_WIPEONFORK");
	}
	*handle = table;
	return 0;
}

int vdma_pool_handle_create(struct vdma_pool *pool, struct vdma_pool_handle **out)
{
	struct vdma_pool_handle *handle = NULL;
	struct vdma_pool_port *port = NULL;
	int err = vdma_pool_check(pool);

	if (!err && !out)
		err = vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "An argument is NULL.");
	if (!err)
		err = make_handle(pool, &handle);
	if (err)
		return err;
	pthread_mutex_lock(&pool->lock);
	err = make_port(pool, &port);
	if (!err) {
		handle->limit = pool->marks ? 0 : pool->opts.cache;
		handle->pool = pool;
		handle->port = port;
		port->handle = handle;
		pool->nhandles++;
	}
	pthread_mutex_unlock(&pool->lock);
	if (err) {
		vdma_pool_table_free(handle, handle_len(pool));
		return err;
	}
	pthread_mutex_lock(&port->lock);
	port->live = true;
	pthread_mutex_unlock(&port->lock);
	*out = handle;
	return 0;
}

int vdma_pool_handle_destroy(struct vdma_pool_handle *handle)
{
	struct vdma_pool_port *port;
	struct vdma_pool *pool;
	int err;

	if (!handle)
		return 0;
	pool = handle->pool;
	port = handle->port;
	if (!pool)
		return vdma_pool_fail_forked();
	/* From now on what others put for it goes to the store. */
	pthread_mutex_lock(&port->lock);
	port->live = false;
	pthread_mutex_unlock(&port->lock);
	err = vdma_pool_flush(handle);
	pthread_mutex_lock(&pool->lock);
	port->handle = NULL;
	pool->nhandles--;
	pthread_mutex_unlock(&pool->lock);
	vdma_pool_table_free(handle, handle_len(pool));
	return err;
}
