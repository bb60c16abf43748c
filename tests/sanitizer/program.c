// SPDX-License-Identifier: BSD-3-Clause
/*
 * program WHAT: uses a buffer as it should, and one byte of it as WHAT says, on this
 * machine as it is, without devices. The sanitizer that it is run under is to tell.
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

int main(int argc, char **argv)
{
	/* Valgrind has no room for the usual window. */
	const struct vdma_arena_opts opts = { .size = sizeof(opts),
					      .window = (size_t)1 << 30,
					      .flags = argc > 2 ? VDMA_ARENA_CHECK : 0 };
	const char *what = argc > 1 ? argv[1] : "";
	struct vdma_buf a, b;
	volatile char *p;

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
	    vdma_buf_trim(arena) || vdma_arena_destroy(arena))
		goto fail;
	printf("done\n");
	return 0;
fail:
	printf("%s\n", vdma_explain());
	return 1;
}
