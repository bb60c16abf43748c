// SPDX-License-Identifier: BSD-3-Clause
/*
 * Where a heap's memory comes from, and jemalloc's arena over it. A chunk is a
 * buffer of the arena, in which a bit tells of each page whether jemalloc has it.
 * jemalloc asks seldom, so the bits are looked through from the beginning.
 *
 * heap->lock is taken under locks of jemalloc, and the arena's under it: jemalloc is
 * never called with it held.
 */
#include "heap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "explain.h"
#include "poison.h"

#define PAGE ((size_t)1 << VDMA_HEAP_PAGE_SHIFT)
#define MIB ((size_t)1 << 20)
#define STEP_MIN (2 * MIB)
#define STEP_MAX (64 * MIB)

/*
 * retain: what is freed goes back to where it was asked for, which is us, not into a
 * cache of address space. dirty_decay_ms: it goes when it is told to, vdma_heap_purge().
 * narenas: of the one that nobody allocates from. oversize_threshold: no arena of its
 * own for large objects.
 */
const char *vdma_je_malloc_conf = "retain:false,dirty_decay_ms:-1,muzzy_decay_ms:0,narenas:1,"
				  "oversize_threshold:0,tcache_max:65536";

_Thread_local bool vdma_heap_refused __attribute__((tls_model("initial-exec")));

char *vdma_je_no_env(const char *name)
{
	(void)name;
	return NULL;
}

ssize_t vdma_je_no_link(const char *path, char *buf, size_t size)
{
	(void)path;
	(void)buf;
	(void)size;
	errno = ENOENT;
	return -1;
}

/* It has something to say only if a program has written into its metadata. */
static void say_nothing(void *ctx, const char *text)
{
	(void)ctx;
	(void)text;
}

static int start_err;

static void start(void)
{
	bool stats = false;
	size_t size = sizeof(stats);

	vdma_je_malloc_message = say_nothing;
	/* Large objects begin at pages, and end there; its configuration has no word for that. */
	vdma_je_opt_cache_oblivious = false;
	if (vdma_je_mallctl("config.stats", &stats, &size, NULL, 0) || !stats)
		start_err = -EOPNOTSUPP;
	else
		start_err = vdma_heap_caches_start();
}

int vdma_heap_start(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, start);
	if (start_err == -EOPNOTSUPP)
		return vdma_fail(VDMA_CAUSE_UNSUPPORTED, NULL,
				 "The jemalloc in this libvdma-heap counts nothing. Build it with "
				 "one that was configured with --enable-stats.");
	return start_err ? vdma_fail_sys(start_err, "prepare for threads that end") : 0;
}

static void flip(struct vdma_heap_chunk *chunk, size_t first, size_t n)
{
	for (size_t page = first; page < first + n; page++)
		chunk->taken[page / 64] ^= UINT64_C(1) << page % 64;
}

/* The first page from @page on that is taken, or not; @end if there is none before. */
static size_t next(const struct vdma_heap_chunk *chunk, size_t page, size_t end, bool taken)
{
	while (page < end) {
		uint64_t bits = chunk->taken[page / 64] ^ (taken ? 0 : UINT64_MAX);

		bits &= UINT64_MAX << page % 64;
		if (bits) {
			page = page / 64 * 64 + (size_t)__builtin_ctzll(bits);
			break;
		}
		page = (page / 64 + 1) * 64;
	}
	return page < end ? page : end;
}

static void *take(struct vdma_heap_chunk *chunk, size_t pages, size_t align)
{
	uintptr_t va = (uintptr_t)chunk->buf.va;
	size_t first = 0, hole;

	if (chunk->free < pages)
		return NULL;
	for (;;) {
		first = next(chunk, first, chunk->pages, false);
		first += (-(va + first * PAGE) & (align - 1)) / PAGE;
		if (first >= chunk->pages || pages > chunk->pages - first)
			return NULL;
		hole = next(chunk, first, first + pages, true);
		if (hole == first + pages)
			break;
		first = hole;
	}
	flip(chunk, first, pages);
	chunk->free -= pages;
	return (char *)chunk->buf.va + first * PAGE;
}

/* The slots that a chunk lies in stay as long as the heap: another may lie there, too. */
static int slots_create(struct vdma_heap *heap, const struct vdma_buf *buf)
{
	uintptr_t at = (uintptr_t)buf->va - heap->va;
	size_t slot = at >> VDMA_HEAP_SLOT_SHIFT,
	       last = (at + buf->len - 1) >> VDMA_HEAP_SLOT_SHIFT;

	for (; slot <= last; slot++) {
		unsigned char *classes = heap->slots[slot];

		if (classes)
			continue;
		classes = calloc(1, VDMA_HEAP_SLOT_PAGES);
		if (!classes)
			return vdma_fail_malloc(VDMA_HEAP_SLOT_PAGES);
		__atomic_store_n(&heap->slots[slot], classes, __ATOMIC_RELEASE);
	}
	return 0;
}

static struct vdma_heap_chunk *chunk_of(struct vdma_heap *heap, const void *va)
{
	struct vdma_heap_chunk *chunk;

	LIST_FOREACH(chunk, &heap->chunks, link)
	if ((uintptr_t)va - (uintptr_t)chunk->buf.va < chunk->buf.len)
		break;
	return chunk;
}

static int chunk_create(struct vdma_heap *heap, size_t len, size_t align)
{
	struct vdma_constraints constraints = heap->constraints;
	const struct vdma_buf_opts opts = { .size = sizeof(opts), .constraints = &constraints };
	struct vdma_heap_chunk *chunk;
	size_t pages = len / PAGE, size = sizeof(*chunk) + pages / 64 * sizeof(chunk->taken[0]);
	int err;

	constraints.align = align;
	chunk = calloc(1, size);
	if (!chunk)
		return vdma_fail_malloc(size);
	err = vdma_buf_alloc(heap->arena, len, &opts, &chunk->buf);
	if (err) {
		free(chunk);
		return err;
	}
	err = slots_create(heap, &chunk->buf);
	if (err) {
		vdma_buf_free(heap->arena, &chunk->buf);
		free(chunk);
		return err;
	}
	chunk->pages = chunk->free = pages;
	if (heap->watched)
		vdma_poison(chunk->buf.va, len);
	LIST_INSERT_HEAD(&heap->chunks, chunk, link);
	heap->bytes += len;
	return 0;
}

static void chunk_destroy(struct vdma_heap *heap, struct vdma_heap_chunk *chunk)
{
	size_t page;

	LIST_REMOVE(chunk, link);
	heap->bytes -= chunk->buf.len;
	for (page = 0; page < chunk->pages; page++)
		vdma_heap_set_class(heap, (char *)chunk->buf.va + page * PAGE, VDMA_HEAP_NONE);
	vdma_buf_free(heap->arena, &chunk->buf);
	free(chunk);
}

/* By as much as there is, or else by what it needs. */
static int grow(struct vdma_heap *heap, size_t size, size_t align)
{
	size_t need = (size + STEP_MIN - 1) & ~(STEP_MIN - 1), step = heap->grow;
	struct vdma_kept before;
	int err;

	if (!step)
		step = heap->bytes < STEP_MIN ? STEP_MIN :
		       heap->bytes > STEP_MAX ? STEP_MAX :
						heap->bytes & ~(STEP_MIN - 1);
	if (align < STEP_MIN)
		align = STEP_MIN;
	vdma_keep_failure(&before);
	err = chunk_create(heap, step > need ? step : need, align);
	if (err && step > need)
		err = chunk_create(heap, need, align);
	if (!err)
		vdma_restore_failure(&before);
	return err;
}

static struct vdma_heap *heap_of(extent_hooks_t *hooks)
{
	return (struct vdma_heap *)(void *)((char *)hooks - offsetof(struct vdma_heap, hooks));
}

/* What it gives is never known to be zero, and nobody asks for that. */
static void *extent_alloc(extent_hooks_t *hooks, void *at, size_t size, size_t align, bool *zero,
			  bool *commit, unsigned int index)
{
	struct vdma_heap *heap = heap_of(hooks);
	struct vdma_heap_chunk *chunk;
	void *va = NULL;

	(void)index;
	if (at || *zero)
		return NULL;
	pthread_mutex_lock(&heap->lock);
	LIST_FOREACH(chunk, &heap->chunks, link)
	{
		va = take(chunk, size / PAGE, align);
		if (va)
			break;
	}
	if (!va) {
		vdma_heap_refused = grow(heap, size, align);
		if (!vdma_heap_refused)
			va = take(LIST_FIRST(&heap->chunks), size / PAGE, align);
	}
	pthread_mutex_unlock(&heap->lock);
	*commit = true;
	return va;
}

static bool extent_dalloc(extent_hooks_t *hooks, void *va, size_t size, bool committed,
			  unsigned int index)
{
	struct vdma_heap *heap = heap_of(hooks);
	struct vdma_heap_chunk *chunk;

	(void)committed;
	(void)index;
	pthread_mutex_lock(&heap->lock);
	chunk = chunk_of(heap, va);
	flip(chunk, (size_t)((char *)va - (char *)chunk->buf.va) / PAGE, size / PAGE);
	chunk->free += size / PAGE;
	if (chunk->free == chunk->pages)
		chunk_destroy(heap, chunk);
	pthread_mutex_unlock(&heap->lock);
	return false;
}

static bool extent_split(extent_hooks_t *hooks, void *va, size_t size, size_t left, size_t right,
			 bool committed, unsigned int index)
{
	(void)hooks;
	(void)va;
	(void)size;
	(void)left;
	(void)right;
	(void)committed;
	(void)index;
	return false;
}

/* Chunks may lie side by side, and still be of two regions, or two runs. */
static bool extent_merge(extent_hooks_t *hooks, void *left, size_t left_size, void *right,
			 size_t right_size, bool committed, unsigned int index)
{
	struct vdma_heap *heap = heap_of(hooks);
	bool apart;

	(void)left_size;
	(void)right_size;
	(void)committed;
	(void)index;
	pthread_mutex_lock(&heap->lock);
	apart = chunk_of(heap, left) != chunk_of(heap, right);
	pthread_mutex_unlock(&heap->lock);
	return apart;
}

int vdma_heap_arena_create(struct vdma_heap *heap)
{
	struct vdma_je_arena_config config = { .hooks = &heap->hooks };
	size_t size = sizeof(heap->index);
	int err;

	heap->hooks = (extent_hooks_t){
		.alloc = extent_alloc,
		.dalloc = extent_dalloc,
		.split = extent_split,
		.merge = extent_merge,
	};
	err = vdma_je_mallctl("experimental.arenas_create_ext", &heap->index, &size, &config,
			      sizeof(config));
	if (!err)
		return 0;
	if (err == EAGAIN)
		return vdma_fail(VDMA_CAUSE_TOO_MANY, NULL,
				 "jemalloc has no arena left for another heap, of which there are "
				 "some 4,000, or no memory for one. Destroy heaps.");
	return vdma_fail(VDMA_CAUSE_UNSUPPORTED, &(struct vdma_facts){ .sys_errno = err },
			 "The jemalloc in this libvdma-heap makes no arena whose metadata lie "
			 "outside of it (experimental.arenas_create_ext: %s). Build it with "
			 "jemalloc 5.3.",
			 vdma_error_words(err).s);
}

static void call(const struct vdma_heap *heap, const char *what)
{
	char name[32];

	snprintf(name, sizeof(name), "arena.%u.%s", heap->index, what);
	vdma_je_mallctl(name, NULL, NULL, NULL, 0);
}

void vdma_heap_arena_destroy(struct vdma_heap *heap)
{
	struct vdma_heap_chunk *chunk;
	size_t slot;

	call(heap, "destroy");
	while ((chunk = LIST_FIRST(&heap->chunks)) != NULL)
		chunk_destroy(heap, chunk);
	for (slot = 0; slot < heap->len >> VDMA_HEAP_SLOT_SHIFT; slot++)
		free(heap->slots[slot]);
}

void vdma_heap_purge(struct vdma_heap *heap)
{
	call(heap, "purge");
}

static uint64_t stat_of(const struct vdma_heap *heap, const char *what)
{
	char name[64];
	uint64_t n = 0;
	size_t size = sizeof(n);

	snprintf(name, sizeof(name), "stats.arenas.%u.%s", heap->index, what);
	vdma_je_mallctl(name, &n, &size, NULL, 0);
	return n;
}

void vdma_heap_count(struct vdma_heap *heap, uint64_t *objects, uint64_t *bytes)
{
	uint64_t epoch = 1;

	vdma_je_mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch));
	*objects = stat_of(heap, "small.nmalloc") - stat_of(heap, "small.ndalloc") +
		   stat_of(heap, "large.nmalloc") - stat_of(heap, "large.ndalloc");
	*bytes = stat_of(heap, "small.allocated") + stat_of(heap, "large.allocated");
}
