// SPDX-License-Identifier: BSD-3-Clause
/*
 * bench-instructions NAME: a loop for bench/instructions, which has callgrind
 * count what is in it. The same number every time: nothing here depends on the
 * clock or on where memory lies. --list prints names, and operations in a loop.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <vdma.h>

#include "../libvdma/iova.h"
#include "../tests/random.h"

#define ROUNDS 10240
#define PACKET 2048
#define BURST 32
#define DEEP 1024
#define COUNT 4096
#define LIVE_IOVAS 100000
#define LIVE_BUFS 1000
#define LIVE_OBJECTS 1000
#define REGIONS 100
#define MANY_REGIONS 10000
/* Valgrind charges a window in full, and has no room for a large one. */
#define WINDOW ((size_t)1 << 30)
#define IOVA_WINDOW (UINT64_C(256) << 30)

static struct vdma_arena *arena;
static void *vas[ROUNDS];
static char *foreign;
static uint64_t ring[BURST];

static struct vdma_iova_space space;
static struct vdma_range ranges[LIVE_IOVAS];

static struct vdma_buf_opts buf_opts = {
	.size = sizeof(buf_opts),
	.contiguity = VDMA_CONTIG_INDIFFERENT,
};
static struct vdma_buf bufs[LIVE_BUFS];

static const struct vdma_region_opts region_opts = {
	.size = sizeof(region_opts),
	.provider = VDMA_PROVIDER_ANON,
};

static struct vdma_pool *pool;
static struct vdma_pool_handle *handle;
static uint32_t numbers[DEEP];

static uint64_t rng = 1;

static void fail(const char *what)
{
	fprintf(stderr, "bench-instructions: %s: %s\n", what, vdma_explain());
	exit(1);
}

static void loop_iova(void)
{
	for (int i = 0; i < ROUNDS; i++) {
		vdma_iova_t iova = vdma_iova(arena, vas[i]);

		__asm__ volatile("" : : "r"(iova) : "memory");
	}
}

static void loop_iova_checked(void)
{
	for (int i = 0; i < ROUNDS; i++) {
		vdma_iova_t iova = vdma_iova_checked(arena, vas[i], PACKET);

		__asm__ volatile("" : : "r"(iova) : "memory");
	}
}

static void loop_iova_any(void)
{
	for (int i = 0; i < ROUNDS; i++) {
		vdma_iova_t iova = vdma_iova_any(arena, vas[i], PACKET);

		__asm__ volatile("" : : "r"(iova) : "memory");
	}
}

/* Memory that was imported, in slots of 2 MiB and, at both ends, in pages. */
static void loop_iova_foreign(void)
{
	for (int i = 0; i < ROUNDS; i++) {
		vdma_iova_t iova = vdma_iova_any(arena, foreign + PACKET * (size_t)i, PACKET);

		__asm__ volatile("" : : "r"(iova) : "memory");
	}
}

static void loop_va(void)
{
	for (int i = 0; i < ROUNDS; i++) {
		void *va = vdma_va(arena, (vdma_iova_t)i * PACKET);

		__asm__ volatile("" : : "r"(va) : "memory");
	}
}

static __attribute__((noinline)) void fill(void *const *from, uint64_t *restrict to)
{
	vdma_iova_burst(arena, from, to, BURST);
}

static void loop_iova_burst(void)
{
	for (int i = 0; i < ROUNDS; i += BURST) {
		fill(vas + i, ring);
		__asm__ volatile("" : : "r"(ring) : "memory");
	}
}

static void take(struct vdma_range *range, uint64_t len)
{
	const struct vdma_iova_request req = { .len = len, .limit = UINT64_MAX };

	if (vdma_iova_alloc(&space, &req, &range->first))
		abort();
	range->last = range->first + (len - 1);
}

static void give(const struct vdma_range *range)
{
	if (vdma_iova_free(&space, range->first, range->last - range->first + 1))
		abort();
}

/* 4 KiB, beside 100,000 others of all sizes. */
static void loop_take_give(void)
{
	struct vdma_range one;

	for (int i = 0; i < ROUNDS; i++) {
		take(&one, 4096);
		give(&one);
	}
}

/* Any of them, for one of 4 KiB to 1 MiB. */
static void loop_take_give_any(void)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct vdma_range *any = &ranges[random_below(&rng, LIVE_IOVAS)];

		give(any);
		take(any, UINT64_C(4096) << random_below(&rng, 9));
	}
}

static void loop_buf_alloc_free(void)
{
	struct vdma_buf buf;

	for (int i = 0; i < ROUNDS; i++)
		if (vdma_buf_alloc(arena, 1024, &buf_opts, &buf) || vdma_buf_free(arena, &buf))
			abort();
}

static void loop_buf_alloc_free_any(void)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct vdma_buf *any = &bufs[random_below(&rng, LIVE_BUFS)];

		if (vdma_buf_free(arena, any) ||
		    vdma_buf_alloc(arena, 1 + random_below(&rng, 65536), &buf_opts, any))
			abort();
	}
}

#ifdef HEAP
static struct vdma_heap *heap;
static void *objects[LIVE_OBJECTS];

static inline __attribute__((always_inline)) void heap_any(void)
{
	for (int i = 0; i < ROUNDS; i++) {
		void **any = &objects[random_below(&rng, LIVE_OBJECTS)];

		vdma_free(heap, *any);
		*any = vdma_malloc(heap, 64 + random_below(&rng, 65536 - 63));
	}
}

static void loop_heap_any(void)
{
	heap_any();
}

static void loop_heap_pair(void)
{
	for (int i = 0; i < ROUNDS; i++)
		vdma_free(heap, vdma_malloc(heap, 1024));
}

static void set_up_heap(void)
{
	const struct vdma_constraints any = { .size = sizeof(any),
					      .contiguity = VDMA_CONTIG_INDIFFERENT };
	const struct vdma_heap_opts opts = { .size = sizeof(opts), .constraints = &any };

	if (vdma_heap_create(arena, &opts, &heap))
		fail("heap");
	for (int i = 0; i < LIVE_OBJECTS; i++)
		if (!(objects[i] = vdma_malloc(heap, 64 + random_below(&rng, 65536 - 63))))
			fail("object");
	/* As it is when it is in use. */
	heap_any();
}
#endif

/* The kernel's part, which grows with what it maps, is not among what is counted. */
static void loop_region(void)
{
	struct vdma_region *region;

	for (int i = 0; i < ROUNDS; i++)
		if (vdma_region_create(arena, 4096, &region_opts, &region) ||
		    vdma_region_destroy(region))
			abort();
}

static void loop_region_many(void)
{
	loop_region();
}

static void loop_pool_get_put(void)
{
	for (int i = 0; i < ROUNDS; i++) {
		uint32_t number = vdma_pool_get(handle);

		__asm__ volatile("" : : "r"(number) : "memory");
		vdma_pool_put(handle, number);
	}
}

static void loop_pool_bulk(void)
{
	for (int i = 0; i < ROUNDS; i += BURST) {
		vdma_pool_get_bulk(handle, numbers, BURST);
		__asm__ volatile("" : : "r"(numbers) : "memory");
		vdma_pool_put_bulk(handle, numbers, BURST);
	}
}

/* More than a handle holds, so that three quarters go to the store, and come from there. */
static void loop_pool_deep(void)
{
	for (int i = 0; i < ROUNDS; i += DEEP) {
		for (int k = 0; k < DEEP; k++)
			numbers[k] = vdma_pool_get(handle);
		for (int k = 0; k < DEEP; k++)
			vdma_pool_put(handle, numbers[k]);
	}
}

/* What fills a descriptor. */
static void loop_pool_iova(void)
{
	for (int i = 0; i < ROUNDS; i++) {
		vdma_iova_t iova = vdma_pool_iova(pool, (uint32_t)i % COUNT);

		__asm__ volatile("" : : "r"(iova) : "memory");
	}
}

/* By pointer, so that each is a function that callgrind sees. */
static const struct {
	const char *name;
	void (*loop)(void);
} loops[] = {
	{ "iova", loop_iova },
	{ "iova_checked", loop_iova_checked },
	{ "iova_any", loop_iova_any },
	{ "iova_foreign", loop_iova_foreign },
	{ "va", loop_va },
	{ "iova_burst", loop_iova_burst },
	{ "take_give", loop_take_give },
	{ "take_give_any", loop_take_give_any },
	{ "buf_alloc_free", loop_buf_alloc_free },
	{ "buf_alloc_free_any", loop_buf_alloc_free_any },
#ifdef HEAP
	{ "heap_pair", loop_heap_pair },
	{ "heap_any", loop_heap_any },
#endif
	{ "region", loop_region },
	{ "region_many", loop_region_many },
	{ "pool_get_put", loop_pool_get_put },
	{ "pool_bulk", loop_pool_bulk },
	{ "pool_deep", loop_pool_deep },
	{ "pool_iova", loop_pool_iova },
};

static void make_pool(void)
{
	const struct vdma_pool_opts opts = { .size = sizeof(opts),
					     .cache = 512,
					     .region = &region_opts };

	if (vdma_pool_create(arena, PACKET, COUNT, &opts, &pool) ||
	    vdma_pool_handle_create(pool, &handle))
		fail("pool");
}

static void add_regions(int n)
{
	struct vdma_region *region;

	for (int i = 0; i < n; i++)
		if (vdma_region_create(arena, 4096, &region_opts, &region))
			fail("region");
}

static void import_foreign(void)
{
	size_t len = (size_t)ROUNDS * PACKET;
	struct vdma_region *region;

	foreign = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (foreign == MAP_FAILED || vdma_region_import_user(arena, foreign, len, NULL, &region))
		fail("import");
}

static void set_up(void)
{
	const struct vdma_arena_opts opts = { .size = sizeof(opts), .window = WINDOW };
	const struct vdma_range usable = { 4096, IOVA_WINDOW - 1 };
	void *memory = calloc(1, vdma_iova_memory(IOVA_WINDOW, 12));

	if (vdma_arena_create(&opts, &arena))
		fail("arena");
	for (int i = 0; i < ROUNDS; i++)
		vas[i] = (char *)vdma_va(arena, 0) + (size_t)i * PACKET;
	for (int i = 0; i < LIVE_BUFS; i++)
		if (vdma_buf_alloc(arena, 1 + random_below(&rng, 65536), &buf_opts, &bufs[i]))
			fail("buffer");

	if (!memory)
		abort();
	vdma_iova_init(&space, 0, IOVA_WINDOW, 12, memory);
	if (vdma_iova_set_usable(&space, &usable, 1))
		abort();
	for (int i = 0; i < LIVE_IOVAS; i++)
		take(&ranges[i], UINT64_C(4096) << random_below(&rng, 9));
}

int main(int argc, char **argv)
{
	const char *name = argc == 2 ? argv[1] : "";
	size_t i;

	for (i = 0; i < sizeof(loops) / sizeof(loops[0]); i++) {
		if (!strcmp(name, "--list")) {
			printf("%s %d\n", loops[i].name, ROUNDS);
		} else if (!strcmp(name, loops[i].name)) {
			set_up();
			if (!strcmp(name, "iova_foreign"))
				import_foreign();
			add_regions(!strcmp(name, "region_many") ? MANY_REGIONS : REGIONS);
			if (!strncmp(name, "pool", 4))
				make_pool();
#ifdef HEAP
			if (!strncmp(name, "heap_", 5))
				set_up_heap();
#endif
			loops[i].loop();
			return 0;
		}
	}
	if (!strcmp(name, "--list"))
		return 0;
	fputs("usage: bench-instructions --list | NAME\n", stderr);
	return 2;
}
