// SPDX-License-Identifier: BSD-3-Clause
/*
 * Threads that take and give back buffers, translate addresses and create
 * regions in one arena, on this machine as it is, without devices. Meant to run
 * under ThreadSanitizer; by itself it sees that no two have the same bytes.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <vdma.h>

#include "../random.h"

#define THREADS 8
#define ROUNDS 1500
#define LIVE 16

static struct vdma_arena *arena;

struct worker {
	pthread_t thread;
	unsigned int number;
	char wrong[512]; /* "" if nothing was */
};

static bool mine(const struct vdma_buf *buf, unsigned int number)
{
	const unsigned char *va = buf->va;

	return va[0] == number && va[buf->len - 1] == number &&
	       vdma_iova(arena, &va[buf->len - 1]) == buf->iova + buf->len - 1 &&
	       vdma_iova_checked(arena, va, buf->len) == buf->iova;
}

static void *work(void *arg)
{
	const struct vdma_buf_opts opts = { .size = sizeof(opts),
					    .contiguity = VDMA_CONTIG_INDIFFERENT };
	struct vdma_region_opts region_opts = { .size = sizeof(region_opts),
						.provider = VDMA_PROVIDER_ANON };
	struct vdma_buf live[LIVE] = { 0 };
	struct worker *w = arg;
	uint64_t rng = w->number;
	unsigned int i;
	int err = 0;

	for (i = 0; i < ROUNDS && !err; i++) {
		struct vdma_buf *buf = &live[random_below(&rng, LIVE)];
		struct vdma_arena_info info = { .size = sizeof(info) };
		struct vdma_iova_info owner = { .size = sizeof(owner) };
		struct vdma_stats stats = { .size = sizeof(stats) };
		size_t room = 0;

		if (buf->len) {
			if (!mine(buf, w->number)) {
				snprintf(w->wrong, sizeof(w->wrong),
					 "somebody wrote to IOVA 0x%llx",
					 (unsigned long long)buf->iova);
				return NULL;
			}
			err = vdma_buf_free(arena, buf);
			buf->len = 0;
		} else {
			err = vdma_buf_alloc(arena, 1 + random_below(&rng, 100000), &opts, buf);
			if (!err)
				memset(buf->va, (int)w->number, buf->len);
		}
		if (!err && !(i % 100)) {
			struct vdma_region *region;

			err = vdma_region_create(arena, 8192, &region_opts, &region);
			if (!err)
				err = vdma_arena_query(arena, &info);
			if (!err)
				err = vdma_explain_iova(arena, vdma_region_buf(region).iova,
							&owner);
			if (!err)
				err = vdma_arena_stats(arena, &stats);
			if (!err)
				err = vdma_arena_dump(arena, NULL, &room);
			if (!err)
				err = vdma_region_destroy(region);
			if (!err)
				err = vdma_buf_trim(arena);
		}
	}
	for (i = 0; i < LIVE; i++)
		if (live[i].len && !err)
			err = vdma_buf_free(arena, &live[i]);
	/* The reason is the thread's own. */
	if (err)
		snprintf(w->wrong, sizeof(w->wrong), "%s", vdma_explain());
	return NULL;
}

static void run(uint32_t flags)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts),
					.window = (size_t)4 << 30,
					.flags = flags };
	struct worker workers[THREADS] = { 0 };
	unsigned int i;

	assert_int_equal(vdma_arena_create(&opts, &arena), 0);
	for (i = 0; i < THREADS; i++) {
		workers[i].number = i + 1;
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
	for (i = 0; i < THREADS; i++)
		assert_string_equal(workers[i].wrong, "");
	assert_int_equal(vdma_arena_destroy(arena), 0);
}

static void test_threads(void **state)
{
	(void)state;
	run(0);
}

static void test_checks(void **state)
{
	(void)state;
	run(VDMA_ARENA_CHECK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_checks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
