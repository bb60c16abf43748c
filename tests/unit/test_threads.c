// SPDX-License-Identifier: BSD-3-Clause
/*
 * Threads that take and give back buffers and regions, translate addresses, open
 * and close devices, create and destroy address spaces, all in one arena. Meant to
 * run under ThreadSanitizer; by itself it sees that no two have the same bytes, and
 * that what lives is mapped for each device while it is open. The machine is the
 * made-up one, whose lock orders threads, too: what goes on without a system call
 * (buffers, translation, queries) is where most is seen.
 */
#include <pthread.h>
#include <sys/mman.h>

#include "../random.h"
#include "unit.h"

#define THREADS 8
#define ROUNDS 1500
#define LIVE 16
#define IMPORTS 4
#define ALIEN 12288 /* so that threads share slots of 2 MiB, and not pages */

static struct vdma_arena *arena;
static struct vdma_ioas *common; /* through which half of the threads open theirs */

struct worker {
	pthread_t thread;
	unsigned int number;
	uint64_t rng;
	char bdf[16];
	struct vdma_buf live[LIVE];
	struct vdma_ioas *ioas;
	struct vdma_device *dev;
	struct vdma_region *region;
	char *alien; /* memory of its own that is outside of the window */
	struct vdma_region *imports[IMPORTS];
	char wrong[2560]; /* "" if nothing was */
};

static bool mine(const struct vdma_buf *buf, unsigned int number)
{
	const unsigned char *va = buf->va;

	return va[0] == number && va[buf->len - 1] == number &&
	       vdma_iova(arena, &va[buf->len - 1]) == buf->iova + buf->len - 1 &&
	       vdma_iova_checked(arena, va, buf->len) == buf->iova &&
	       vdma_va(arena, buf->iova) == va;
}

static bool check(struct worker *w, bool right, const char *what)
{
	if (!right && !*w->wrong)
		snprintf(w->wrong, sizeof(w->wrong), "%s", what);
	return right;
}

static int use_buf(struct worker *w)
{
	const struct vdma_buf_opts opts = { .size = sizeof(opts),
					    .contiguity = VDMA_CONTIG_INDIFFERENT };
	struct vdma_buf *buf = &w->live[random_below(&w->rng, LIVE)];
	int err;

	if (buf->len) {
		check(w, mine(buf, w->number), "somebody wrote to a buffer");
		err = vdma_buf_free(arena, buf);
		buf->len = 0;
		return err;
	}
	err = vdma_buf_alloc(arena, 1 + random_below(&w->rng, 100000), &opts, buf);
	if (!err)
		memset(buf->va, (int)w->number, buf->len);
	return err;
}

static int use_region(struct worker *w)
{
	struct vdma_region_opts opts = { .size = sizeof(opts), .provider = VDMA_PROVIDER_ANON };
	struct vdma_region_info info = { .size = sizeof(info) };
	struct vdma_iova_info owner = { .size = sizeof(owner) };
	struct vdma_buf buf;
	int err;

	if (!w->region) {
		err = vdma_region_create(arena, 8192, &opts, &w->region);
		if (err)
			return err;
		buf = vdma_region_buf(w->region);
		memset(buf.va, (int)w->number, buf.len);
		err = vdma_region_query(w->region, &info);
		return err ? err : vdma_explain_iova(arena, buf.iova, &owner);
	}
	buf = vdma_region_buf(w->region);
	check(w, mine(&buf, w->number), "somebody wrote to a region");
	err = vdma_region_destroy(w->region);
	w->region = NULL;
	return err;
}

/* What it has imported is found at each time, whatever others import and drop beside it. */
static void look_for(struct worker *w, const struct vdma_region *region)
{
	struct vdma_buf buf = vdma_region_buf(region);
	vdma_iova_t any = vdma_iova_any(arena, buf.va, buf.len);

	check(w, any != VDMA_IOVA_NONE, "an import is not found");
	check(w, vdma_iova_any(arena, (char *)buf.va + buf.len - 1, 1) != VDMA_IOVA_NONE,
	      "the end of an import is not found");
	check(w, any % 4096 == buf.iova % 4096, "an import is found elsewhere");
	check(w, vdma_va_any(arena, any) == buf.va, "what is found is other memory");
}

/* Imports of some pages, which overlap each other. */
static int use_import(struct worker *w)
{
	struct vdma_region **r = &w->imports[random_below(&w->rng, IMPORTS)];
	size_t at = random_below(&w->rng, ALIEN), i;
	int err;

	if (*r) {
		look_for(w, *r);
		err = vdma_region_destroy(*r);
		*r = NULL;
		return err;
	}
	err = vdma_region_import_user(arena, w->alien + at, 1 + random_below(&w->rng, ALIEN - at),
				      NULL, r);
	for (i = 0; i < IMPORTS && !err; i++)
		if (w->imports[i])
			look_for(w, w->imports[i]);
	return err;
}

/* Its own address space, or the common one; with a device that only this thread has. */
static int use_device(struct worker *w)
{
	struct vdma_ioas_opts opts = { .size = sizeof(opts),
				       .backend = w->number % 4 ? VDMA_BACKEND_TYPE1 :
								  VDMA_BACKEND_IOMMUFD };
	struct vdma_ioas_info info = { .size = sizeof(info) };
	struct vdma_bar bar;
	struct vdma_buf buf;
	uint32_t id;
	int err;

	if (w->dev) {
		err = vdma_device_close(w->dev);
		w->dev = NULL;
		if (!err && w->ioas != common)
			err = vdma_ioas_destroy(w->ioas);
		w->ioas = NULL;
		return err;
	}
	w->ioas = common;
	err = w->number % 2 ? 0 : vdma_ioas_create(arena, &opts, &w->ioas);
	if (err)
		return err;
	err = vdma_device_open(w->ioas, w->bdf, NULL, &w->dev);
	if (!err)
		err = vdma_device_config_read(w->dev, 0, 4, &id);
	if (!err)
		err = vdma_device_bar(w->dev, 0, &bar);
	if (!err)
		err = vdma_device_irq_enable(w->dev, VDMA_IRQ_MSI, 2);
	if (!err)
		err = vdma_ioas_query(w->ioas, &info);
	if (err || !w->region)
		return err;
	check(w, info.entries_used && info.devices, "regions are not mapped");
	buf = vdma_region_buf(w->region);
	check(w, fake_reachable(buf.iova, buf.va, buf.len), "a region is mapped nowhere");
	return 0;
}

static int look(void)
{
	struct vdma_arena_info info = { .size = sizeof(info) };
	struct vdma_stats stats = { .size = sizeof(stats) };
	struct vdma_range ranges[8];
	size_t count = 8, room = 0;
	int err = vdma_arena_query(arena, &info);

	if (!err)
		err = vdma_arena_ranges(arena, ranges, &count);
	if (!err)
		err = vdma_arena_stats(arena, &stats);
	if (!err)
		err = vdma_arena_dump(arena, NULL, &room);
	return err ? err : vdma_buf_trim(arena);
}

static int step(struct worker *w, unsigned int round)
{
	unsigned int i;

	if (round % 20 == w->number)
		return use_region(w);
	if (round % 100 == 10 + w->number)
		return use_device(w);
	if (round % 100 == 30)
		return look();
	if (round % 5 == 1)
		return use_import(w);
	for (i = 0; i < IMPORTS; i++)
		if (w->imports[i])
			look_for(w, w->imports[i]);
	return use_buf(w);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	unsigned int i;
	int err = 0;

	w->rng = w->number;
	for (i = 0; i < ROUNDS && !err; i++)
		err = step(w, i);
	for (i = 0; i < LIVE; i++)
		if (w->live[i].len && !err)
			err = vdma_buf_free(arena, &w->live[i]);
	for (i = 0; i < IMPORTS; i++)
		if (w->imports[i] && !err)
			err = vdma_region_destroy(w->imports[i]);
	if (w->region && !err)
		err = use_region(w);
	if (w->dev && !err)
		err = use_device(w);
	/* The reason is the thread's own. */
	if (err)
		check(w, false, vdma_explain());
	return NULL;
}

static void run(uint32_t flags)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts), .window = 4 * GIB, .flags = flags };
	static struct worker workers[THREADS];
	char *aliens = mmap(NULL, THREADS * ALIEN, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int i;

	assert_true(aliens != MAP_FAILED);
	memset(workers, 0, sizeof(workers));
	for (i = 0; i < THREADS; i++) {
		workers[i].number = i + 1;
		workers[i].alien = aliens + (size_t)i * ALIEN;
		snprintf(workers[i].bdf, sizeof(workers[i].bdf), "0000:00:%02x.0", 16 + i);
		add_edu(workers[i].bdf, (int)i + 1);
	}
	ASSERT_OK(vdma_arena_create(&opts, &arena));
	common = ioas_of(arena, VDMA_BACKEND_TYPE1);
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
	for (i = 0; i < THREADS; i++)
		assert_string_equal(workers[i].wrong, "");
	ASSERT_OK(vdma_ioas_destroy(common));
	ASSERT_OK(vdma_arena_destroy(arena));
	assert_int_equal(fake_mapped(), 0);
	munmap(aliens, THREADS * ALIEN);
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
		CLEAN_TEST(test_threads),
		CLEAN_TEST(test_checks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
