// SPDX-License-Identifier: BSD-3-Clause
/*
 * A program with a malloc() and with a heap, which have nothing to do with each other.
 * Its argument is libvdma.so, which it also loads.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef JEMALLOC
#include <jemalloc/jemalloc.h>
#endif
#include <vdma.h>

static int fail(const char *what)
{
	printf("%s: %s\n", what, vdma_explain());
	return 1;
}

/* Of the program's own malloc(), which is what it was linked with. */
static int is_own(const void *p)
{
#ifdef JEMALLOC
	unsigned int arenas = 0;
	size_t size = sizeof(arenas);

	/* "narenas:2" of MALLOC_CONF, which is for this one. */
	return !mallctl("opt.narenas", &arenas, &size, NULL, 0) && arenas == 2 &&
	       malloc_usable_size((void *)p) >= 1000;
#else
	Dl_info info;

	return p && dladdr((const void *)(size_t)malloc, &info) &&
	       !strstr(info.dli_fname, "jemalloc") && !strstr(info.dli_fname, "vdma");
#endif
}

int main(int argc, char **argv)
{
	const struct vdma_constraints any = { .size = sizeof(any),
					      .contiguity = VDMA_CONTIG_INDIFFERENT };
	const struct vdma_heap_opts opts = { .size = sizeof(opts), .constraints = &any };
	struct vdma_arena *arena;
	struct vdma_heap *heap;
	unsigned char *p, *q;

	if (vdma_arena_create(NULL, &arena) || vdma_heap_create(arena, &opts, &heap))
		return fail("create");
	p = vdma_malloc(heap, 1000);
	q = malloc(1000);
	if (!p || !q)
		return fail("malloc");
	memset(p, 1, 1000);
	memset(q, 2, 1000);
	if (vdma_iova_checked(arena, p, 1000) == VDMA_IOVA_NONE ||
	    vdma_iova_checked(arena, q, 1000) != VDMA_IOVA_NONE || !is_own(q))
		return fail("mixed up");
	if (!vdma_free(heap, q) || vdma_last_failure()->cause != VDMA_CAUSE_ARGUMENT)
		return fail("a foreign pointer");
	/* Not those that others had before: nothing is written into what is freed. */
	if (vdma_free(heap, p) || p[500] != 1)
		return fail("free");
	free(q);
	if (vdma_heap_destroy(heap) || vdma_arena_destroy(arena))
		return fail("destroy");
	if (argc != 2 || !dlopen(argv[1], RTLD_NOW | RTLD_LOCAL)) {
		printf("dlopen: %s\n", dlerror());
		return 1;
	}
	puts("heap works");
	return 0;
}
