/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a pool is made of; shared by the pool and its store, by handles, and by the
 * checking mode. Pools know of the arena and its regions what a program knows.
 *
 * grow_lock is taken before lock, that before a port's. A number belongs to whoever
 * has it, so its owner is written and read without a lock.
 */
#ifndef VDMA_INTERNAL_POOL_H
#define VDMA_INTERNAL_POOL_H

#include <pthread.h>
#include <stdbool.h>
#include <vdma/pool.h>

#include "site.h"

/*
 * Numbers that a stack takes or passes on at a time. Of these fewer than half that are of
 * one owner go to the store, with others.
 */
#define VDMA_POOL_SOME 256

/*
 * What others know of a handle. It stays when the handle goes, for the next one: its
 * number still is the owner of buffers.
 */
struct vdma_pool_port {
	pthread_mutex_t lock; /* guards the inbox */
	uint32_t *inbox;      /* room for all that the pool may have */
	uint32_t n;	      /* looked at without the lock */
	bool live;
	uint16_t id;
	struct vdma_pool_handle *handle; /* guarded by the pool's lock */

	/* Written by the handle's thread only; a cache line away from what others write. */
	_Alignas(64) uint64_t refills;
	uint64_t spills;
	uint64_t returned;
	uint64_t scavenged;
	uint64_t exhausted;
};

/* Of a buffer, in the checking mode. */
struct vdma_pool_state {
	bool out;
	struct vdma_site last; /* where it was got, or put */
};

struct vdma_pool {
	struct vdma_pool_layout layout; /* first: the public inline functions read it */
	struct vdma_arena *arena;
	const void *maker; /* who called vdma_pool_create() */
	struct vdma_pool_opts opts;
	struct vdma_region_opts region_opts;
	size_t len;
	uint32_t count; /* in the first chunk */
	uint32_t max_chunks;
	uint32_t indexes;	 /* used or not: max_chunks << layout.shift */
	volatile uint64_t *ours; /* 0 in a child, as all of the store */
	uint16_t *owners;	 /* by index */

	pthread_mutex_t grow_lock; /* guards what chunks are added with */
	struct vdma_pool_chunk *chunks;
	struct vdma_region **regions;
	void **privs;
	bool grow_failed; /* gets do not try again */

	pthread_mutex_t lock; /* guards what follows */
	uint32_t *store;
	uint32_t nfree;
	uint32_t buffers;
	uint32_t least;
	bool is_low;
	uint64_t lows;
	uint64_t double_puts;
	uint64_t foreign_puts;
	struct vdma_pool_port *ports[VDMA_POOL_HANDLES];
	uint32_t nports; /* looked at without the lock */
	uint32_t nhandles;
	uint8_t *marks; /* the checking mode's, by index */
	struct vdma_pool_state *states;
};

/* Is there a pool, and is this the process that made it? Explained; no system call. */
int vdma_pool_check(const struct vdma_pool *pool);
int vdma_pool_fail_forked(void);

/* A table that is zero, and takes memory where it is written; explained. */
int vdma_pool_table(size_t len, void **table);
void vdma_pool_table_free(void *table, size_t len);

/* For few instructions under it; who finds it taken spins a while. */
void vdma_pool_init_lock(pthread_mutex_t *lock);

/* From the store, up to @count; how many. *@low is set if on_low is to be called. */
uint32_t vdma_pool_take(struct vdma_pool *pool, uint32_t *numbers, uint32_t count, bool *low);

/* The same after the pool has grown, if it may. 0 is explained. */
uint32_t vdma_pool_take_grown(struct vdma_pool *pool, uint32_t *numbers, uint32_t count, bool *low);

/* Into the store; the second with the lock held. Explained. */
int vdma_pool_give(struct vdma_pool *pool, const uint32_t *numbers, uint32_t count);
int vdma_pool_give_locked(struct vdma_pool *pool, const uint32_t *numbers, uint32_t count);

/* A number that is no buffer's; explained. */
int vdma_pool_fail_foreign(uint32_t number);

/* The checking mode. @pc: where the program called. */
int vdma_pool_checks_create(struct vdma_pool *pool);
void vdma_pool_checks_destroy(struct vdma_pool *pool);
void vdma_pool_checks_chunk(struct vdma_pool *pool, uint32_t c);
uint32_t vdma_pool_get_checked(struct vdma_pool_handle *handle, uint32_t *numbers, uint32_t count,
			       const void *pc);
int vdma_pool_put_checked(struct vdma_pool_handle *handle, const uint32_t *numbers, uint32_t count,
			  const void *pc);
/* " The first ...", or nothing: of the first buffer that is out. */
struct vdma_site_words vdma_pool_first_out(const struct vdma_pool *pool, uint32_t *index);

#endif
