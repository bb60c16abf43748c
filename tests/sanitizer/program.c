// SPDX-License-Identifier: BSD-3-Clause
/*
 * program WHAT: uses a buffer, and an object of a heap if there are heaps, as it
 * should, and one byte of one as WHAT says, on this machine as it is, without devices.
 * The sanitizer that it is run under is to tell. --heaps: are there heaps?
 */
#include <stdio.h>
#include <string.h>

#include <vdma.h>

static struct vdma_arena *arena;

static int make(size_t len, struct vdma_buf *buf)
{
	const struct vdma_buf_opts opts = { .size = sizeof(opts),
					    .contiguity = VDMA_CONTIG_INDIFFERENT };

	return vdma_buf_alloc(arena, len, &opts, buf);
}

/* All of it may be read, though nothing wrote there that a sanitizer could see. */
static int sum(const struct vdma_buf *buf)
{
	const volatile unsigned char *p = buf->va;
	int sum = 0;
	size_t i;

	for (i = 0; i < buf->len; i++)
		sum += p[i];
	return sum;
}

#ifdef HEAP
static int use_heap(const char *what)
{
	const struct vdma_constraints any = { .size = sizeof(any),
					      .contiguity = VDMA_CONTIG_INDIFFERENT };
	const struct vdma_heap_opts opts = { .size = sizeof(opts), .constraints = &any };
	struct vdma_heap *heap;
	volatile char *p;
	int err = vdma_heap_create(arena, &opts, &heap);

	if (err)
		return err;
	p = vdma_malloc(heap, 100);
	if (!p)
		return -1;
	memset((char *)p, 1, 100);
	if (!strcmp(what, "object-beyond"))
		p[100] = 1;
	/* What there is more may be used when it was asked for. */
	memset((char *)p, 1, vdma_usable_size(heap, (char *)p));
	p = vdma_realloc(heap, (char *)p, 300);
	if (!p || p[99] != 1)
		return -1;
	p[299] = 1;
	err = vdma_free(heap, (char *)p);
	if (!strcmp(what, "object-after-free"))
		p[50] = 1;
	p = vdma_calloc(heap, 10, 30);
	if (!p || p[299])
		return -1;
	if (!err)
		err = vdma_free(heap, (char *)p);
	if (!err)
		err = vdma_heap_trim(heap);
	return err ? err : vdma_heap_destroy(heap);
}
#define HEAPS 1
#else
static int use_heap(const char *what)
{
	(void)what;
	return 0;
}
#define HEAPS 0
#endif

int main(int argc, char **argv)
{
	/* Valgrind has no room for the usual window. */
	const struct vdma_arena_opts opts = { .size = sizeof(opts),
					      .window = (size_t)1 << 30,
					      .flags = argc > 2 ? VDMA_ARENA_CHECK : 0 };
	const char *what = argc > 1 ? argv[1] : "";
	struct vdma_buf a, b;
	volatile char *p;

	if (!strcmp(what, "--heaps"))
		return HEAPS ? 0 : 1;
	if (vdma_arena_create(&opts, &arena) || make(100, &a) || make(4096, &b))
		goto fail;
	if (sum(&a) + sum(&b))
		printf("new memory is not zero\n");
	memset(a.va, 1, a.len);
	p = a.va;
	if (!strcmp(what, "beyond"))
		p[a.len] = 1;
	if (vdma_buf_free(arena, &a))
		goto fail;
	if (!strcmp(what, "after-free"))
		p[50] = 1;
	/* Whoever has it next may use it. */
	if (make(100, &a))
		goto fail;
	memset(a.va, 2, a.len);
	if (sum(&a) != 200 || vdma_buf_free(arena, &a) || vdma_buf_free(arena, &b) ||
	    use_heap(what) || vdma_buf_trim(arena) || vdma_arena_destroy(arena))
		goto fail;
	printf("done\n");
	return 0;
fail:
	printf("%s\n", vdma_explain());
	return 1;
}
