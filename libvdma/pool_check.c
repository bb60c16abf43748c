// SPDX-License-Identifier: BSD-3-Clause
/*
 * The checking mode of pools: every buffer's state is known, and every number is good
 * for one put. States and marks are guarded by the pool's lock, but for those who make
 * a number of an address, and must have the buffer.
 */
#include <errno.h>
#include <string.h>

#include "explain.h"
#include "poison.h"
#include "pool.h"

/* Below 255, so that no number is VDMA_POOL_NONE. */
#define MARKS 255

int vdma_pool_checks_create(struct vdma_pool *pool)
{
	void *marks, *states;
	int err = vdma_pool_table(pool->indexes, &marks);

	if (err)
		return err;
	pool->marks = marks;
	pool->layout.marks = marks;
	err = vdma_pool_table(pool->indexes * sizeof(*pool->states), &states);
	if (!err)
		pool->states = states;
	return err;
}

void vdma_pool_checks_destroy(struct vdma_pool *pool)
{
	vdma_pool_table_free(pool->marks, pool->indexes);
	vdma_pool_table_free(pool->states, pool->indexes * sizeof(*pool->states));
}

/* Other pools of the arena begin with other marks, as a rule. */
void vdma_pool_checks_chunk(struct vdma_pool *pool, uint32_t c)
{
	struct vdma_buf buf = vdma_region_buf(pool->regions[c]);
	uint32_t mark = (uint32_t)(buf.iova >> 12) * UINT32_C(0x9e3779b1) >> 16;

	memset(pool->marks + ((size_t)c << pool->layout.shift), (int)(mark % MARKS),
	       pool->chunks[c].count);
	vdma_poison(buf.va, buf.len);
}

static void set_mark(struct vdma_pool *pool, uint32_t i, uint32_t mark)
{
	__atomic_store_n(&pool->marks[i], (uint8_t)mark, __ATOMIC_RELAXED);
}

uint32_t vdma_pool_get_checked(struct vdma_pool_handle *handle, uint32_t *numbers, uint32_t count,
			       const void *pc)
{
	struct vdma_pool *pool = handle->pool;
	struct vdma_pool_port *port = handle->port;
	struct vdma_site site = vdma_site_now(pc);
	uint32_t got, more = 1, i;
	bool low = false;

	got = vdma_pool_take(pool, numbers, count, &low);
	while (got < count && more) {
		more = vdma_pool_take_grown(pool, numbers + got, count - got, &low);
		got += more;
	}
	pthread_mutex_lock(&pool->lock);
	for (i = 0; i < got; i++)
		pool->states[VDMA_POOL_INDEX(numbers[i])] =
			(struct vdma_pool_state){ .out = true, .last = site };
	pthread_mutex_unlock(&pool->lock);
	for (i = 0; i < got; i++)
		vdma_unpoison(vdma_pool_va(pool, numbers[i]), pool->len);
	if (low)
		pool->opts.on_low(pool, pool->opts.ctx);
	if (got < count)
		__atomic_store_n(&port->exhausted, port->exhausted + 1, __ATOMIC_RELAXED);
	return got;
}

/* Is there such a buffer? An index may be behind the last one of its chunk. */
static bool exists(const struct vdma_pool *pool, uint32_t i)
{
	uint32_t c = i >> pool->layout.shift;

	return c < pool->layout.nchunks && i - (c << pool->layout.shift) < pool->chunks[c].count;
}

enum verdict { GOOD, FOREIGN, FREE, STALE };

static enum verdict put_one(struct vdma_pool *pool, uint32_t number, struct vdma_site site,
			    struct vdma_site *before)
{
	uint32_t i = VDMA_POOL_INDEX(number), next;
	struct vdma_pool_state *state = &pool->states[i];

	if (!exists(pool, i)) {
		pool->foreign_puts++;
		return FOREIGN;
	}
	*before = state->last;
	if (!state->out || number >> 24 != pool->marks[i]) {
		pool->double_puts++;
		return state->out ? STALE : FREE;
	}
	vdma_poison(vdma_pool_va(pool, number), pool->layout.stride);
	*state = (struct vdma_pool_state){ .out = false, .last = site };
	next = (number >> 24) + 1;
	set_mark(pool, i, next % MARKS);
	number = i | (next % MARKS) << 24;
	/* There is room: it was out. */
	vdma_pool_give_locked(pool, &number, 1);
	return GOOD;
}

static int fail(enum verdict verdict, uint32_t number, const struct vdma_site *before)
{
	uint32_t i = VDMA_POOL_INDEX(number);

	if (verdict == FOREIGN)
		return vdma_pool_fail_foreign(number);
	if (verdict == FREE && !before->pc)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, &(struct vdma_facts){ .need = number },
				 "The buffer with index %u (number 0x%x) is free, and was never got: "
				 "the number is another pool's, or was made up.",
				 i, number);
	if (verdict == FREE)
		return vdma_fail(
			VDMA_CAUSE_ARGUMENT, &(struct vdma_facts){ .need = number },
			"The buffer with index %u (number 0x%x) is free already: it was put%s.", i,
			number, vdma_site_words(before).s);
	return vdma_fail(VDMA_CAUSE_ARGUMENT, &(struct vdma_facts){ .need = number },
			 "The buffer with index %u is out, but not by the number 0x%x: that was put "
			 "before, or is another pool's. The buffer was got%s.",
			 i, number, vdma_site_words(before).s);
}

int vdma_pool_put_checked(struct vdma_pool_handle *handle, const uint32_t *numbers, uint32_t count,
			  const void *pc)
{
	struct vdma_pool *pool = handle->pool;
	struct vdma_site site = vdma_site_now(pc), before = { 0 };
	enum verdict verdict;
	uint32_t i;
	int err = 0;

	for (i = 0; i < count; i++) {
		pthread_mutex_lock(&pool->lock);
		verdict = put_one(pool, numbers[i], site, &before);
		pthread_mutex_unlock(&pool->lock);
		/* The first one is what is explained. */
		if (verdict != GOOD && !err)
			err = fail(verdict, numbers[i], &before);
	}
	return err;
}

struct vdma_site_words vdma_pool_first_out(const struct vdma_pool *pool, uint32_t *index)
{
	struct vdma_site_words none = { .s = "" };

	for (uint32_t i = 0; pool->marks && i < pool->indexes; i++)
		if (pool->states[i].out) {
			*index = i;
			return vdma_site_words(&pool->states[i].last);
		}
	return none;
}
