/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * jemalloc as the heap has it: a private copy, made of libjemalloc_pic.a by
 * cmake/private-jemalloc. Its names have vdma_je_ before them, so that it is nobody's
 * malloc(), and it has no constructor: the first call starts it.
 */
#ifndef VDMA_INTERNAL_JEMALLOC_H
#define VDMA_INTERNAL_JEMALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <jemalloc/jemalloc.h>

void *vdma_je_mallocx(size_t size, int flags);
void *vdma_je_rallocx(void *p, size_t size, int flags);
size_t vdma_je_sallocx(const void *p, int flags);
size_t vdma_je_nallocx(size_t size, int flags);
void vdma_je_dallocx(void *p, int flags);
int vdma_je_mallctl(const char *name, void *old, size_t *old_len, void *new, size_t new_len);

extern const char *vdma_je_malloc_conf;
extern void (*vdma_je_malloc_message)(void *ctx, const char *text);
extern bool vdma_je_opt_cache_oblivious;

/* What it calls in place of getenv() and readlink(). */
char *vdma_je_no_env(const char *name);
ssize_t vdma_je_no_link(const char *path, char *buf, size_t size);

/*
 * What "experimental.arenas_create_ext" takes (5.3), which has it in no public header.
 * It refuses a struct of another size.
 */
struct vdma_je_arena_config {
	extent_hooks_t *hooks;
	bool metadata_use_hooks;
};

#endif
