// SPDX-License-Identifier: BSD-3-Clause
/*
 * malloc() and its like on a heap. The short paths are a thread's cache; all else is
 * out of line.
 */
#include "heap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "explain.h"
#include "opts.h"
#include "poison.h"

#define PAGE ((size_t)1 << VDMA_HEAP_PAGE_SHIFT)
#define MIB ((size_t)1 << 20)
#define MAX_ALIGN ((size_t)1 << 30)
/* Of an object; no window is larger. */
#define MAX_SIZE ((size_t)1 << 46)

#define likely(what) __builtin_expect(!!(what), 1)

static uint64_t next_number(void)
{
	static uint64_t last;

	return 1 + __atomic_fetch_add(&last, 1, __ATOMIC_RELAXED);
}

/* Threads' caches of the heap, if it had some before, are nobody's. */
static void renumber(struct vdma_heap *heap)
{
	heap->number = next_number();
	heap->fast = heap->checks || heap->watched ? 0 : heap->number;
}

static int check(const struct vdma_heap_opts *o, const struct vdma_constraints *c)
{
	if (o->grow > MAX_SIZE || o->flags & ~VDMA_HEAP_CHECK)
		return vdma_fail(
			VDMA_CAUSE_ARGUMENT,
			&(struct vdma_facts){ .need = o->grow, .limit = MAX_SIZE },
			"There is no heap that grows by %zu bytes, with flags 0x%x: it grows by "
			"at most 2^46, and VDMA_HEAP_CHECK is the only flag.",
			o->grow, o->flags);
	if (c->align || c->boundary || c->address_bits > 64 || c->node > VDMA_NODE(1023) ||
	    (unsigned int)c->contiguity > VDMA_CONTIG_INDIFFERENT)
		return vdma_fail(
			VDMA_CAUSE_ARGUMENT, &(struct vdma_facts){ .need = c->boundary },
			"There is no heap below 2^%u, on node %lld, with contiguity %d, "
			"alignment 0x%llx and boundary 0x%llx: address_bits is at most 64, the "
			"node 1023, and the last two are 0. vdma_memalign() aligns, and buffers, "
			"vdma_buf_alloc(), cross no boundary.",
			c->address_bits, (long long)c->node - 1, (int)c->contiguity,
			(unsigned long long)c->align, (unsigned long long)c->boundary);
	return 0;
}

int vdma_heap_create(struct vdma_arena *arena, const struct vdma_heap_opts *opts,
		     struct vdma_heap **out)
{
	struct vdma_arena_info info = { .size = sizeof(info) };
	struct vdma_constraints c = { 0 };
	struct vdma_heap_opts o;
	struct vdma_heap *heap;
	int err;

	if (!out)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "An argument is NULL.");
	err = vdma_arena_query(arena, &info);
	if (!err)
		err = vdma_opts_get(&o, sizeof(o), opts, sizeof(o));
	if (!err)
		err = vdma_opts_get(&c, sizeof(c), o.constraints, sizeof(c));
	if (!err)
		err = check(&o, &c);
	if (!err)
		err = vdma_heap_start();
	if (err)
		return err;
	heap = calloc(1, sizeof(*heap));
	if (!heap)
		return vdma_fail_malloc(sizeof(*heap));
	/* What the window does not have need not be asked for, with bookkeeping for all of it. */
	heap->grow = ((o.grow < info.window ? o.grow : info.window) + 2 * MIB - 1) & ~(2 * MIB - 1);
	heap->constraints = c;
	heap->constraints.size = sizeof(c);
	heap->arena = arena;
	heap->va = ((const struct vdma_window *)(const void *)arena)->va;
	heap->len = info.window;
	/* A page of it for each GiB that it touches. */
	heap->slots = calloc(heap->len >> VDMA_HEAP_SLOT_SHIFT, sizeof(*heap->slots));
	heap->checks = o.flags & VDMA_HEAP_CHECK || info.flags & VDMA_ARENA_CHECK;
	heap->watched = vdma_poison_is_seen();
	renumber(heap);
	err = heap->slots ?
		      vdma_heap_arena_create(heap) :
		      vdma_fail_malloc((heap->len >> VDMA_HEAP_SLOT_SHIFT) * sizeof(*heap->slots));
	if (err) {
		free(heap->slots);
		free(heap);
		return err;
	}
	pthread_mutex_init(&heap->lock, NULL);
	*out = heap;
	return 0;
}

static int live(struct vdma_heap *heap, uint64_t objects, uint64_t bytes)
{
	char leaks[1024];

	vdma_heap_leaks(heap, leaks, sizeof(leaks));
	return vdma_fail(VDMA_CAUSE_CHILDREN,
			 &(struct vdma_facts){ .used = objects, .need = bytes },
			 "%llu objects of %s in all are still allocated from the heap. Free "
			 "them first%s%s",
			 (unsigned long long)objects, vdma_bytes(bytes).s,
			 heap->checks ? ":" : "; with VDMA_HEAP_CHECK they are named.", leaks);
}

int vdma_heap_destroy(struct vdma_heap *heap)
{
	struct vdma_arena_info info = { .size = sizeof(info) };
	uint64_t objects, bytes;
	int err;

	if (!heap)
		return 0;
	err = vdma_arena_query(heap->arena, &info);
	if (err)
		return err;
	vdma_heap_caches_drop(heap);
	vdma_heap_count(heap, &objects, &bytes);
	if (objects) {
		renumber(heap);
		return live(heap, objects, bytes);
	}
	vdma_heap_arena_destroy(heap);
	vdma_heap_records_drop(heap);
	pthread_mutex_destroy(&heap->lock);
	free(heap->slots);
	free(heap);
	return 0;
}

/* The heap's, and the calling thread's cache is empty. */
static int without_cache(struct vdma_heap *heap)
{
	struct vdma_heap_cache *cache;
	int err;

	if (!heap)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "The heap is NULL.");
	err = vdma_heap_cache_get(heap, &cache);
	if (!err)
		vdma_heap_cache_empty(cache);
	return err;
}

int vdma_heap_trim(struct vdma_heap *heap)
{
	int err = without_cache(heap);

	if (!err)
		vdma_heap_purge(heap);
	return err;
}

int vdma_heap_query(struct vdma_heap *heap, struct vdma_heap_info *info)
{
	struct vdma_heap_info now = { 0 };
	struct vdma_heap_chunk *chunk;
	int err = without_cache(heap);

	if (!err)
		err = vdma_info_check(info, sizeof(now));
	if (err)
		return err;
	now.caches = vdma_heap_caches_count(heap);
	now.checks = heap->checks;
	vdma_heap_count(heap, &now.objects, &now.object_bytes);
	pthread_mutex_lock(&heap->lock);
	now.bytes = heap->bytes;
	LIST_FOREACH(chunk, &heap->chunks, link)
	now.chunks++;
	pthread_mutex_unlock(&heap->lock);
	vdma_info_put(info, &now, sizeof(now));
	return 0;
}

static void *fails(int err)
{
	errno = -err;
	return NULL;
}

/* jemalloc's: the arena has said why it has no more, or it has no memory for itself. */
static void *refused(size_t size)
{
	return fails(vdma_heap_refused ? vdma_last_failure()->err : vdma_fail_malloc(size));
}

static int too_large(size_t size)
{
	return vdma_fail(VDMA_CAUSE_WINDOW, &(struct vdma_facts){ .need = size, .limit = MAX_SIZE },
			 "%s do not fit into an arena. Ask for less.", vdma_bytes(size).s);
}

static void learn_class(struct vdma_heap *heap, const void *p)
{
	size_t size = vdma_je_sallocx(p, 0);

	vdma_heap_set_class(heap, p,
			    size <= VDMA_HEAP_CACHED ? vdma_heap_class(size) : VDMA_HEAP_LARGE);
}

/* @p has just been had. */
static void *hand_out(struct vdma_heap *heap, struct vdma_heap_cache *cache, void *p, size_t size,
		      const void *pc)
{
	int err = heap->checks ? vdma_heap_record(heap, p, size, pc) : 0;

	learn_class(heap, p);
	if (err) {
		vdma_je_dallocx(p, cache->flags);
		return fails(err);
	}
	if (heap->watched)
		vdma_unpoison(p, size);
	return p;
}

static int not_alike(size_t align)
{
	return vdma_fail(VDMA_CAUSE_NO_RUN, &(struct vdma_facts){ .need = align },
			 "The heap has memory that is aligned to %s for the program, but not for "
			 "devices: the module found it at other physical addresses. Ask "
			 "vdma_buf_alloc(), which aligns it for devices.",
			 vdma_bytes(align).s);
}

__attribute__((noinline)) static void *alloc(struct vdma_heap *heap, size_t align, size_t size,
					     const void *pc)
{
	struct vdma_heap_cache *cache;
	int err = vdma_heap_cache_get(heap, &cache);
	void *p;

	if (err)
		return fails(err);
	if (size > MAX_SIZE)
		return fails(too_large(size));
	vdma_heap_refused = false;
	size += !size;
	if (heap->fast && align == 1 && size <= VDMA_HEAP_CACHED) {
		p = vdma_heap_cache_refill(cache, vdma_heap_class(size));
		return p ? p : refused(size);
	}
	p = vdma_je_mallocx(size, cache->flags | MALLOCX_ALIGN(align));
	if (p && vdma_iova(heap->arena, p) & (align - 1)) {
		vdma_je_dallocx(p, cache->flags);
		return fails(not_alike(align));
	}
	return p ? hand_out(heap, cache, p, size, pc) : refused(size);
}

static inline __attribute__((always_inline)) void *get(struct vdma_heap *heap, size_t size,
						       const void *pc)
{
	struct vdma_heap_cache *cache = vdma_heap_current;
	struct vdma_heap_bin *bin;

	if (likely(size - 1 < VDMA_HEAP_CACHED && cache->number == heap->fast)) {
		bin = &cache->bins[vdma_heap_class(size)];
		if (likely(bin->n))
			return bin->slots[--bin->n];
	}
	return alloc(heap, 1, size, pc);
}

void *vdma_malloc(struct vdma_heap *heap, size_t size)
{
	return get(heap, size, __builtin_return_address(0));
}

void *vdma_calloc(struct vdma_heap *heap, size_t n, size_t size)
{
	void *p;

	if (__builtin_mul_overflow(n, size, &size))
		return fails(too_large(SIZE_MAX));
	p = get(heap, size, __builtin_return_address(0));
	return p ? memset(p, 0, size + !size) : NULL;
}

void *vdma_memalign(struct vdma_heap *heap, size_t align, size_t size)
{
	const void *pc = __builtin_return_address(0);

	if (!align || align & (align - 1) || align > MAX_ALIGN)
		return fails(
			vdma_fail(VDMA_CAUSE_ARGUMENT,
				  &(struct vdma_facts){ .need = align, .limit = MAX_ALIGN },
				  "An object cannot be aligned to 0x%zx: that has to be a power "
				  "of two up to 1 GiB.",
				  align));
	/* What is a multiple of it has a class that is, too, up to a page. */
	if (heap->fast && align <= PAGE && size <= VDMA_HEAP_CACHED - PAGE)
		return get(heap, (size + !size + align - 1) & -align, pc);
	return alloc(heap, align, size, pc);
}

/* Could it be an object of this heap? Explained if not. */
static int check_object(const struct vdma_heap *heap, const void *p)
{
	if (vdma_heap_class_at(heap, p) != VDMA_HEAP_NONE)
		return 0;
	return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL,
			 "%p is no object of the heap: there is none in its page. It lies %s of the "
			 "arena's window. Give it back where it was allocated.",
			 p, (uintptr_t)p - heap->va < heap->len ? "inside" : "outside");
}

/* To give something back must not fail for want of memory: then it goes past the cache. */
static int cache_or_none(struct vdma_heap *heap, struct vdma_heap_cache **cache)
{
	struct vdma_kept before;
	int err;

	*cache = vdma_heap_current;
	if (likely((*cache)->number == heap->number))
		return 0;
	vdma_keep_failure(&before);
	err = vdma_heap_cache_get(heap, cache);
	if (err != -ENOMEM)
		return err;
	vdma_restore_failure(&before);
	*cache = NULL;
	return 0;
}

__attribute__((noinline)) static int put(struct vdma_heap *heap, void *p)
{
	struct vdma_heap_cache *cache;
	unsigned int class = vdma_heap_class_at(heap, p);
	int err = check_object(heap, p);

	if (!err)
		err = cache_or_none(heap, &cache);
	if (!err && heap->checks)
		err = vdma_heap_forget(heap, p);
	if (err)
		return err;
	if (heap->watched)
		vdma_poison(p, vdma_je_sallocx(p, 0));
	if (!cache || !heap->fast || class == VDMA_HEAP_LARGE) {
		vdma_je_dallocx(p, cache ? cache->flags : MALLOCX_TCACHE_NONE);
		return 0;
	}
	if (cache->bins[class].n == cache->bins[class].room)
		vdma_heap_cache_drain(cache, class);
	cache->bins[class].slots[cache->bins[class].n++] = p;
	return 0;
}

int vdma_free(struct vdma_heap *heap, void *p)
{
	struct vdma_heap_cache *cache = vdma_heap_current;
	struct vdma_heap_bin *bin;

	if (!p)
		return 0;
	if (likely(cache->number == heap->fast)) {
		bin = &cache->bins[vdma_heap_class_at(heap, p)];
		if (likely(bin->n < bin->room)) {
			bin->slots[bin->n++] = p;
			return 0;
		}
	}
	return put(heap, p);
}

size_t vdma_usable_size(struct vdma_heap *heap, const void *p)
{
	struct vdma_heap_cache *cache;
	size_t size;

	if (!p || check_object(heap, p) || cache_or_none(heap, &cache))
		return 0;
	if (heap->checks)
		return vdma_heap_recorded(heap, p);
	size = vdma_je_sallocx(p, 0);
	if (heap->watched) /* who asks may use all of it */
		vdma_unpoison(p, size);
	return size;
}

/* jemalloc would copy by itself what is not to be touched, and move what is recorded. */
static void *move(struct vdma_heap *heap, void *p, size_t size, const void *pc)
{
	size_t had = vdma_usable_size(heap, p);
	void *to;

	if (!had)
		return fails(-EINVAL);
	to = alloc(heap, 1, size, pc);
	if (to) {
		memcpy(to, p, had < size ? had : size);
		put(heap, p);
	}
	return to;
}

void *vdma_realloc(struct vdma_heap *heap, void *p, size_t size)
{
	const void *pc = __builtin_return_address(0);
	struct vdma_heap_cache *cache;
	int err;

	if (!p)
		return get(heap, size, pc);
	err = vdma_heap_cache_get(heap, &cache);
	if (!err)
		err = check_object(heap, p);
	if (!err && size > MAX_SIZE)
		err = too_large(size);
	if (err)
		return fails(err);
	size += !size;
	if (!heap->fast)
		return move(heap, p, size, pc);
	vdma_heap_refused = false;
	p = vdma_je_rallocx(p, size, cache->flags);
	if (!p)
		return refused(size);
	learn_class(heap, p);
	return p;
}
