// SPDX-License-Identifier: BSD-3-Clause
/*
 * Threads' caches. jemalloc's own come next, and fill and empty these; they do not do
 * alone, since what takes an arena and a cache by number takes 260 instructions a pair.
 *
 * A cache is in two lists, its heap's and its thread's, and either may go first. The
 * thread's is looked through by that thread alone, without a lock; so a heap that goes
 * takes out what is in its caches, and leaves them to their threads. A lock, which is
 * the process's, guards the heaps' lists, and what retires a cache.
 */
#include "heap.h"

#include <errno.h>
#include <stdlib.h>

#include "explain.h"

#define MAX_SMALL 4096

LIST_HEAD(cache_list, vdma_heap_cache);

unsigned char vdma_heap_small_classes[MAX_SMALL / 8 + 1], vdma_heap_large_classes[64 + 1];
static size_t class_sizes[VDMA_HEAP_CLASSES];
static unsigned int nclasses; /* the last, and 1 */

static pthread_mutex_t lists_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_key_t key; /* of nothing but the end of a thread */

/* No heap's, and empty: so that there always is a current one. */
static struct vdma_heap_cache none = { .number = UINT64_MAX };

_Thread_local struct vdma_heap_cache *vdma_heap_current
	__attribute__((tls_model("initial-exec"))) = &none;
static _Thread_local struct cache_list mine __attribute__((tls_model("initial-exec")));

/* Sizes as jemalloc has them. */
static void learn_classes(void)
{
	size_t size = 1, i;

	for (nclasses = 1; size <= VDMA_HEAP_CACHED && nclasses < VDMA_HEAP_LARGE; nclasses++) {
		class_sizes[nclasses] = vdma_je_nallocx(size, 0);
		size = class_sizes[nclasses] + 1;
	}
	for (i = 1, size = 0; size <= MAX_SMALL; size += 8) {
		i += size > class_sizes[i];
		vdma_heap_small_classes[size / 8] = (unsigned char)i;
	}
	for (i = 1, size = 0; size <= VDMA_HEAP_CACHED; size += 1024) {
		while (size > class_sizes[i])
			i++;
		vdma_heap_large_classes[size / 1024] = (unsigned char)i;
	}
}

/* It has nothing any more, and is of no heap. */
static void retire(struct vdma_heap_cache *cache)
{
	LIST_REMOVE(cache, of_heap);
	vdma_heap_cache_empty(cache);
	if (cache->tcache != VDMA_HEAP_TCACHE_NONE)
		vdma_je_mallctl("tcache.destroy", NULL, NULL, &cache->tcache,
				sizeof(cache->tcache));
	cache->heap = NULL;
}

/* Of this thread's caches those that are of no heap. */
static void sweep(void)
{
	struct vdma_heap_cache *cache, *following;

	vdma_heap_current = &none;
	for (cache = LIST_FIRST(&mine); cache; cache = following) {
		following = LIST_NEXT(cache, of_thread);
		if (cache->heap)
			continue;
		LIST_REMOVE(cache, of_thread);
		free(cache);
	}
}

static void thread_ends(void *unused)
{
	struct vdma_heap_cache *cache;

	(void)unused;
	pthread_mutex_lock(&lists_lock);
	LIST_FOREACH(cache, &mine, of_thread)
	if (cache->heap)
		retire(cache);
	sweep();
	pthread_mutex_unlock(&lists_lock);
}

static void before_fork(void)
{
	pthread_mutex_lock(&lists_lock);
}

static void parent_goes_on(void)
{
	pthread_mutex_unlock(&lists_lock);
}

/* Its only thread finds no cache, and a heap that makes it one asks the arena first. */
static void child_begins(void)
{
	pthread_mutex_unlock(&lists_lock);
	vdma_heap_current = &none;
	LIST_INIT(&mine);
}

int vdma_heap_caches_start(void)
{
	int err;

	learn_classes();
	err = pthread_key_create(&key, thread_ends);
	if (!err)
		err = pthread_atfork(before_fork, parent_goes_on, child_begins);
	return -err;
}

static struct vdma_heap_cache *cache_create(struct vdma_heap *heap)
{
	size_t slots = 0, size = sizeof(unsigned int);
	struct vdma_heap_cache *cache;
	unsigned int i;
	void **next;

	for (i = 1; i < nclasses; i++)
		slots += class_sizes[i] <= MAX_SMALL ? VDMA_HEAP_SLOTS : VDMA_HEAP_LARGE_SLOTS;
	cache = calloc(1, sizeof(*cache) + slots * sizeof(void *));
	if (!cache)
		return NULL;
	next = (void **)(cache + 1);
	for (i = 1; i < nclasses; i++) {
		cache->bins[i].slots = next;
		cache->bins[i].room = class_sizes[i] <= MAX_SMALL ? VDMA_HEAP_SLOTS :
								    VDMA_HEAP_LARGE_SLOTS;
		next += cache->bins[i].room;
	}
	cache->number = heap->number;
	cache->heap = heap;
	cache->flags = MALLOCX_ARENA(heap->index);
	if (vdma_je_mallctl("tcache.create", &cache->tcache, &size, NULL, 0)) {
		cache->tcache = VDMA_HEAP_TCACHE_NONE;
		cache->flags |= MALLOCX_TCACHE_NONE;
	} else {
		cache->flags |= MALLOCX_TCACHE(cache->tcache);
	}
	return cache;
}

int vdma_heap_cache_get(struct vdma_heap *heap, struct vdma_heap_cache **out)
{
	struct vdma_arena_info info = { .size = sizeof(info) };
	struct vdma_heap_cache *cache = vdma_heap_current;
	int err;

	if (cache->number == heap->number)
		goto found;
	LIST_FOREACH(cache, &mine, of_thread)
	if (cache->number == heap->number)
		goto found;

	/* In a child there is no other way to a cache than past this. */
	err = vdma_arena_query(heap->arena, &info);
	if (err)
		return err;
	cache = cache_create(heap);
	if (!cache || pthread_setspecific(key, cache)) {
		free(cache);
		return vdma_fail_malloc(sizeof(*cache));
	}
	pthread_mutex_lock(&lists_lock);
	sweep();
	LIST_INSERT_HEAD(&heap->caches, cache, of_heap);
	LIST_INSERT_HEAD(&mine, cache, of_thread);
	pthread_mutex_unlock(&lists_lock);
found:
	vdma_heap_current = cache;
	*out = cache;
	return 0;
}

void *vdma_heap_cache_refill(struct vdma_heap_cache *cache, unsigned int class)
{
	struct vdma_heap_bin *bin = &cache->bins[class];
	size_t size = class_sizes[class];
	void *p = vdma_je_mallocx(size, cache->flags);
	/* Of a small size there is a slab, of which others are left. */
	uint32_t n = p && size <= MAX_SMALL ? bin->room / 4 : 0;

	if (p)
		vdma_heap_set_class(cache->heap, p, class);
	while (bin->n < n) {
		bin->slots[bin->n] = vdma_je_mallocx(size, cache->flags);
		if (!bin->slots[bin->n])
			break;
		vdma_heap_set_class(cache->heap, bin->slots[bin->n++], class);
	}
	return p;
}

/* The older half, which the processor's cache has less of. */
void vdma_heap_cache_drain(struct vdma_heap_cache *cache, unsigned int class)
{
	struct vdma_heap_bin *bin = &cache->bins[class];
	uint32_t i, half = bin->room / 2;

	for (i = 0; i < half; i++)
		vdma_je_dallocx(bin->slots[i], cache->flags);
	bin->n -= half;
	for (i = 0; i < bin->n; i++)
		bin->slots[i] = bin->slots[i + half];
}

void vdma_heap_cache_empty(struct vdma_heap_cache *cache)
{
	unsigned int i;

	for (i = 1; i < nclasses; i++)
		while (cache->bins[i].n)
			vdma_je_dallocx(cache->bins[i].slots[--cache->bins[i].n], cache->flags);
	if (cache->tcache != VDMA_HEAP_TCACHE_NONE)
		vdma_je_mallctl("tcache.flush", NULL, NULL, &cache->tcache, sizeof(cache->tcache));
}

void vdma_heap_caches_drop(struct vdma_heap *heap)
{
	struct vdma_heap_cache *cache;

	pthread_mutex_lock(&lists_lock);
	while ((cache = LIST_FIRST(&heap->caches)) != NULL)
		retire(cache);
	sweep();
	pthread_mutex_unlock(&lists_lock);
}

uint32_t vdma_heap_caches_count(struct vdma_heap *heap)
{
	struct vdma_heap_cache *cache;
	uint32_t n = 0;

	pthread_mutex_lock(&lists_lock);
	LIST_FOREACH(cache, &heap->caches, of_heap)
	n++;
	pthread_mutex_unlock(&lists_lock);
	return n;
}
