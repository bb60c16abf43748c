/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a heap is made of; shared by the files of libvdma-heap.
 *
 *	vdma_malloc()         heap.c
 *	 | thread's cache     heap_cache.c: pointers, by size class
 *	 | jemalloc's arena   jemalloc.h: its own thread caches, slabs, extents
 *	 | chunks             heap_memory.c: pages out of vdma_buf_alloc()
 *
 * Below the chunks there are public functions only.
 */
#ifndef VDMA_INTERNAL_HEAP_H
#define VDMA_INTERNAL_HEAP_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/queue.h>
#include <vdma/buf.h>
#include <vdma/heap.h>

#include "jemalloc.h"

#define VDMA_HEAP_PAGE_SHIFT 12

/*
 * Classes of sizes that a thread keeps some of: those of jemalloc up to 64 KiB, from 1
 * on. A thread keeps nothing of the first and the last: a page in which no object
 * begins, and one of a larger object.
 */
#define VDMA_HEAP_NONE 0
#define VDMA_HEAP_LARGE 47
#define VDMA_HEAP_CLASSES 48
#define VDMA_HEAP_CACHED ((size_t)65536)
/* How many at most: of a size up to 4 KiB, and of larger ones. */
#define VDMA_HEAP_SLOTS 64
#define VDMA_HEAP_LARGE_SLOTS 16

struct vdma_heap_bin {
	uint32_t n, room;
	void **slots;
};

/* A thread's part of a heap. Only that thread looks into it. */
struct vdma_heap_cache {
	uint64_t number;	/* the heap's */
	struct vdma_heap *heap; /* NULL: it is gone */
	int flags;		/* for mallocx() and its like */
	unsigned int tcache;	/* of jemalloc, below this; or TCACHE_NONE */
	LIST_ENTRY(vdma_heap_cache) of_heap, of_thread;
	struct vdma_heap_bin bins[VDMA_HEAP_CLASSES];
};

#define VDMA_HEAP_TCACHE_NONE (~0U)

/* A piece of memory from the arena, and which of its pages jemalloc has. */
struct vdma_heap_chunk {
	LIST_ENTRY(vdma_heap_chunk) link;
	struct vdma_buf buf;
	size_t pages, free;
	uint64_t taken[];
};

#define VDMA_HEAP_SLOT_SHIFT 21
#define VDMA_HEAP_SLOT_PAGES ((size_t)1 << (VDMA_HEAP_SLOT_SHIFT - VDMA_HEAP_PAGE_SHIFT))

struct vdma_heap {
	/* What the short paths read: @fast is @number, or 0 if there is more to do. */
	uint64_t fast;
	uintptr_t va; /* of the arena's window */
	size_t len;
	/*
	 * For each slot of the window that memory of the heap is or was in, and for each
	 * page of that, the class of the objects that begin in it, or began last.
	 */
	unsigned char **slots;

	uint64_t number; /* that no other heap had */
	struct vdma_arena *arena;
	size_t grow;
	struct vdma_constraints constraints;
	bool checks;
	bool watched; /* by AddressSanitizer or Valgrind */

	extent_hooks_t hooks;
	unsigned int index; /* of jemalloc's arena */

	pthread_mutex_t lock; /* guards what follows */
	LIST_HEAD(, vdma_heap_chunk) chunks;
	uint64_t bytes;
	void *records; /* of live objects, if it checks: a tree of tsearch() */
	uint64_t nrecords;

	LIST_HEAD(, vdma_heap_cache) caches; /* under a lock of heap_cache.c */
};

/* heap_memory.c: jemalloc's arena and what is below it. Explained on failure. */
int vdma_heap_start(void);
int vdma_heap_arena_create(struct vdma_heap *heap);
void vdma_heap_arena_destroy(struct vdma_heap *heap);
void vdma_heap_purge(struct vdma_heap *heap);
void vdma_heap_count(struct vdma_heap *heap, uint64_t *objects, uint64_t *bytes);

/* heap_cache.c: the cache that this thread used last; what it has of each size class. */
#pragma GCC visibility push(hidden) /* so that they are read, not looked up first */
extern _Thread_local struct vdma_heap_cache *vdma_heap_current
	__attribute__((tls_model("initial-exec")));
extern unsigned char vdma_heap_small_classes[4096 / 8 + 1], vdma_heap_large_classes[64 + 1];
/* Has its last mallocx() or rallocx() got nothing from the arena, which is explained? */
extern _Thread_local bool vdma_heap_refused __attribute__((tls_model("initial-exec")));
#pragma GCC visibility pop

int vdma_heap_caches_start(void);

/*
 * This thread's of @heap, made if need be. -ECHILD in a child, -ENOMEM; explained.
 */
int vdma_heap_cache_get(struct vdma_heap *heap, struct vdma_heap_cache **cache);

/* One out of jemalloc and some more into the bin; half a bin back. */
void *vdma_heap_cache_refill(struct vdma_heap_cache *cache, unsigned int class);
void vdma_heap_cache_drain(struct vdma_heap_cache *cache, unsigned int class);

void vdma_heap_cache_empty(struct vdma_heap_cache *cache);
/* All threads' of a heap, which nobody uses; and how many there are. */
void vdma_heap_caches_drop(struct vdma_heap *heap);
uint32_t vdma_heap_caches_count(struct vdma_heap *heap);

/* The class that has so many bytes, 1 to VDMA_HEAP_CACHED. */
static inline unsigned int vdma_heap_class(size_t size)
{
	if (__builtin_expect(size <= 4096, 1))
		return vdma_heap_small_classes[(size + 7) / 8];
	return vdma_heap_large_classes[(size + 1023) / 1024];
}

/* The class of what begins at @va; VDMA_HEAP_NONE if nothing of the heap's does. */
static inline unsigned int vdma_heap_class_at(const struct vdma_heap *heap, const void *va)
{
	uintptr_t at = (uintptr_t)va - heap->va;
	const unsigned char *classes;

	if (__builtin_expect(at >= heap->len, 0))
		return VDMA_HEAP_NONE;
	classes = __atomic_load_n(&heap->slots[at >> VDMA_HEAP_SLOT_SHIFT], __ATOMIC_ACQUIRE);
	if (__builtin_expect(!classes, 0))
		return VDMA_HEAP_NONE;
	at = at >> VDMA_HEAP_PAGE_SHIFT & (VDMA_HEAP_SLOT_PAGES - 1);
	return __atomic_load_n(&classes[at], __ATOMIC_RELAXED);
}

/* An object of jemalloc's begins at @va. Those that begin in one page are of one class. */
static inline void vdma_heap_set_class(struct vdma_heap *heap, const void *va, unsigned int class)
{
	uintptr_t at = (uintptr_t)va - heap->va;
	unsigned char *classes = heap->slots[at >> VDMA_HEAP_SLOT_SHIFT];

	at = at >> VDMA_HEAP_PAGE_SHIFT & (VDMA_HEAP_SLOT_PAGES - 1);
	if (__atomic_load_n(&classes[at], __ATOMIC_RELAXED) != class)
		__atomic_store_n(&classes[at], (unsigned char)class, __ATOMIC_RELAXED);
}

/* heap_check.c: live objects, with heap->lock not held. The first is explained on failure. */
int vdma_heap_record(struct vdma_heap *heap, const void *va, size_t len, const void *pc);
int vdma_heap_forget(struct vdma_heap *heap, const void *va);
/* Of a live object, as asked for; 0 if it is none. */
size_t vdma_heap_recorded(struct vdma_heap *heap, const void *va);
/* The first few, a line each that begins with a newline, and how many more. */
void vdma_heap_leaks(struct vdma_heap *heap, char *buf, size_t size);
void vdma_heap_records_drop(struct vdma_heap *heap);

#endif
