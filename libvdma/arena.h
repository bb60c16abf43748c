/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an arena is made of; shared by arena, region, ioas and who looks on.
 */
#ifndef VDMA_INTERNAL_ARENA_H
#define VDMA_INTERNAL_ARENA_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/queue.h>
#include <vdma/arena.h>

#include "iova.h"
#include "quarantine.h"
#include "stats.h"

#define VDMA_ARENA_MAX_IOAS 64

struct vdma_region;
struct vdma_ioas;
struct vdma_chunk;
struct vdma_foreign;
struct vdma_observer;
struct vdma_joined;
struct vdma_peer;

struct vdma_arena {
	struct vdma_window window; /* first: the public inline functions read it */
	uint64_t wanted;
	volatile uint64_t *ours;    /* a page that is zero in a child */
	bool checks;		    /* VDMA_ARENA_CHECK */
	bool shared;		    /* VDMA_ARENA_SHARED: regions have descriptors */
	bool identity;		    /* VDMA_ARENA_IDENTITY: device addresses are virtual ones */
	struct vdma_joined *joined; /* join.c's, if another process created it; else NULL */
	uint64_t guard;		    /* bytes behind each region that are its own, and unmapped */

	pthread_mutex_t lock; /* guards what follows, regions and ioas included */
	struct vdma_iova_space space;
	void *tree; /* the space's memory, and how much */
	size_t tree_len;
	uint64_t *slots; /* of the window, if the arena is physical */
	LIST_HEAD(, vdma_region) regions;
	uint64_t nregions;
	uint64_t bytes;
	struct vdma_foreign *foreign; /* NULL: no pointer was imported yet */
	struct vdma_ioas *ioas[VDMA_ARENA_MAX_IOAS];
	unsigned int nioas;
	bool assumed;
	struct vdma_quarantine freed_regions;
	struct vdma_counters counters;
	TAILQ_HEAD(vdma_observers, vdma_observer) observers; /* see observer.h */
	unsigned int nobservers;			     /* the program's own */

	pthread_mutex_t buf_lock; /* taken before lock; guards buf.c's own */
	LIST_HEAD(, vdma_chunk) chunks;
	uint64_t nbufs;
	uint64_t nchunks;
	bool cramped; /* it could not grow, and gaps between buffers had room */
	void *owners; /* of live buffers, if the arena checks: a tree of tsearch() */
	struct vdma_quarantine freed_bufs;
	uint64_t bufs_ever;
	uint64_t chunks_ever;
	LIST_HEAD(, vdma_peer) peers; /* see share.h */

	pthread_t observing; /* atomic: the thread that calls observers now, or 0 */
};

/*
 * Is there an arena, and is this the process that created it? A child has none
 * of its memory, but its descriptors, and would change the parent's mappings; and
 * another thread may have held a lock when it was forked. Every function that
 * takes an arena or what belongs to one asks this first, but for translation.
 * Explained; no system call.
 */
int vdma_arena_check(const struct vdma_arena *arena);

/*
 * The same for calls that change what the arena has: not from inside of an observer,
 * which is called in the middle of one.
 */
int vdma_arena_check_change(const struct vdma_arena *arena);

/* And this process created the arena, it has not joined it. */
int vdma_arena_check_own(const struct vdma_arena *arena);

/* vdma_arena_create() with options that are ours. */
int vdma_arena_make(const struct vdma_arena_opts *o, struct vdma_arena **out);

/* The lock of buffers, for a look: an observer that is being called has it already. */
void vdma_arena_lock_bufs(struct vdma_arena *arena);
void vdma_arena_unlock_bufs(struct vdma_arena *arena);

/* The last device address of the window, but in a physical arena: the last offset. */
static inline uint64_t vdma_arena_last(const struct vdma_arena *arena)
{
	return arena->space.base + (arena->window.len - 1);
}

/* The virtual address of a place in the window. */
static inline void *vdma_arena_at(const struct vdma_arena *arena, uint64_t place)
{
	return (void *)(arena->window.va + (place - arena->space.base));
}

/* Tells the inline functions where a region lies, or that it is gone (@delta 0). */
void vdma_arena_publish(struct vdma_arena *arena, uint64_t place, uint64_t room, uint64_t delta);

/*
 * Takes the usable ranges from the attached address spaces. If @with is given,
 * its @ranges are taken for it; a region outside them fails the call, which is
 * explained, and nothing has changed.
 */
int vdma_arena_set_usable(struct vdma_arena *arena, const struct vdma_ioas *with,
			  const struct vdma_range *ranges, size_t n);

#endif
