/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What tests of constraints share: an arena for each of them, and regions and buffers
 * with constraints that are written where they are asked for.
 */
#ifndef VDMA_TEST_CONSTRAINED_H
#define VDMA_TEST_CONSTRAINED_H

#include "unit.h"

static struct vdma_arena *arena;

static inline int with_arena(void **state)
{
	reset(state);
	return vdma_arena_create(NULL, &arena);
}

static inline int without_arena(void **state)
{
	return vdma_arena_destroy(arena) ? -1 : check_clean(state);
}

static inline void restart(uint32_t flags, enum vdma_translation translation)
{
	struct vdma_arena_opts opts = {
		.size = sizeof(opts),
		.flags = flags,
		.translation = translation,
	};

	ASSERT_OK(vdma_arena_destroy(arena));
	ASSERT_OK(vdma_arena_create(&opts, &arena));
}

static inline int region(size_t len, enum vdma_provider provider, struct vdma_constraints c,
			 struct vdma_region **out)
{
	struct vdma_region_opts opts = {
		.size = sizeof(opts),
		.provider = provider,
		.constraints = &c,
	};

	c.size = sizeof(c);
	return vdma_region_create(arena, len, &opts, out);
}

static inline int buf(size_t len, struct vdma_constraints c, struct vdma_buf *out)
{
	struct vdma_buf_opts opts = { .size = sizeof(opts), .constraints = &c };

	c.size = sizeof(c);
	return vdma_buf_alloc(arena, len, &opts, out);
}

static inline struct vdma_region_info about(struct vdma_region *r)
{
	struct vdma_region_info info = { .size = sizeof(info) };

	ASSERT_OK(vdma_region_query(r, &info));
	return info;
}

static inline struct vdma_region_info about_buf(const struct vdma_buf *b)
{
	struct vdma_region_info info = { .size = sizeof(info) };

	ASSERT_OK(vdma_buf_query(arena, b, &info));
	return info;
}

#define C(...) ((struct vdma_constraints){ __VA_ARGS__ })
#define AUTO VDMA_PROVIDER_AUTO
#define ANON VDMA_PROVIDER_ANON
#define PREFERRED VDMA_CONTIG_PREFERRED
#define REQUIRED VDMA_CONTIG_REQUIRED
#define INDIFFERENT VDMA_CONTIG_INDIFFERENT

/* A test with the arena, which leaves nothing behind. */
#define ARENA_TEST(fn) cmocka_unit_test_setup_teardown(fn, with_arena, without_arena)

#endif
