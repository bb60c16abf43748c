// SPDX-License-Identifier: BSD-3-Clause
/*
 * Heaps: objects of all sizes and alignments against a model, by one thread and by
 * several; memory that comes and goes, that a device has written all over, and that
 * there is none of; objects of VDMA_HEAP_CHECK; and a forked child.
 */
#include "unit.h"

#include <inttypes.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../libvdma/heap.h"
#include "../random.h"

#define LIVE 600

static struct vdma_arena *arena;
static struct vdma_heap *heap;

static int with_heap(void **state)
{
	reset(state);
	fake.lazy = true;
	if (vdma_arena_create(NULL, &arena))
		return -1;
	return vdma_heap_create(arena, NULL, &heap);
}

static int without_heap(void **state)
{
	if (vdma_heap_destroy(heap) || vdma_arena_destroy(arena))
		return -1;
	return check_clean(state);
}

static struct vdma_heap *heap_of(size_t grow, uint32_t flags, struct vdma_constraints constraints)
{
	const struct vdma_heap_opts opts = {
		.size = sizeof(opts), .grow = grow, .flags = flags, .constraints = &constraints
	};
	struct vdma_heap *h = NULL;

	constraints.size = sizeof(constraints);
	ASSERT_OK(vdma_heap_create(arena, &opts, &h));
	return h;
}

static struct vdma_heap_info query(struct vdma_heap *h)
{
	struct vdma_heap_info info = { .size = sizeof(info) };

	ASSERT_OK(vdma_heap_query(h, &info));
	return info;
}

static uint64_t arena_bufs(void)
{
	struct vdma_arena_info info = { .size = sizeof(info) };

	ASSERT_OK(vdma_arena_query(arena, &info));
	return info.bufs;
}

static void *get(struct vdma_heap *h, size_t size)
{
	void *p = vdma_malloc(h, size);

	if (!p)
		fail_msg("%zu bytes: %s", size, vdma_explain());
	return p;
}

/* It is NULL, and errno is what the failure says. */
static int refused(const void *p)
{
	int err = errno;

	assert_null(p);
	assert_int_equal(vdma_last_failure()->err, -err);
	return -err;
}

static void test_one(void **state)
{
	unsigned char *p, *q;
	unsigned long calls;
	unsigned int i;

	(void)state;
	assert_int_equal(query(heap).bytes, 0);
	p = get(heap, 100);
	assert_true(vdma_usable_size(heap, p) >= 100);
	assert_int_equal(vdma_iova_checked(arena, p, 100), vdma_iova(arena, p));
	memset(p, 1, 100);
	assert_int_equal(query(heap).objects, 1);
	assert_true(query(heap).object_bytes >= 100);
	assert_int_equal(query(heap).bytes, 2 * MIB);
	assert_int_equal(query(heap).chunks, 1);
	assert_int_equal(query(heap).caches, 1);
	assert_int_equal(query(heap).checks, 0);

	/* It has memory now, and asks for no more. */
	calls = fake.calls;
	for (i = 0; i < 1000; i++) {
		q = get(heap, 1 + i * 60);
		ASSERT_OK(vdma_free(heap, q));
	}
	assert_int_equal(fake.calls, calls);

	q = vdma_calloc(heap, 10, 10);
	assert_non_null(q);
	for (i = 0; i < 100; i++)
		assert_int_equal(q[i], 0);
	memset(q, 2, 100);
	q = vdma_realloc(heap, q, 5000);
	assert_non_null(q);
	for (i = 0; i < 100; i++)
		assert_int_equal(q[i], 2);
	q = vdma_realloc(heap, q, 10);
	for (i = 0; i < 10; i++)
		assert_int_equal(q[i], 2);
	q = vdma_realloc(heap, q, 3 * MIB);
	for (i = 0; i < 10; i++)
		assert_int_equal(q[i], 2);
	ASSERT_OK(vdma_free(heap, q));
	q = vdma_realloc(heap, NULL, 0);
	assert_non_null(q);
	q = vdma_realloc(heap, q, 0);
	assert_non_null(q);
	ASSERT_OK(vdma_free(heap, q));
	q = vdma_calloc(heap, 0, 7);
	assert_non_null(q);
	ASSERT_OK(vdma_free(heap, q));
	ASSERT_OK(vdma_free(heap, NULL));
	assert_int_equal(vdma_usable_size(heap, NULL), 0);
	for (i = 0; i < 100; i++)
		assert_int_equal(p[i], 1);
	ASSERT_OK(vdma_free(heap, p));
	assert_int_equal(query(heap).objects, 0);
	ASSERT_OK(vdma_heap_trim(heap));
	assert_int_equal(query(heap).bytes, 0);
	assert_int_equal(arena_bufs(), 0);
}

static void test_arguments(void **state)
{
	struct vdma_heap_info info = { .size = 8 };
	struct vdma_constraints bad = { .size = sizeof(bad), .address_bits = 65 };
	struct vdma_heap_opts opts = { .size = sizeof(opts), .constraints = &bad };
	struct vdma_heap *h;
	struct vdma_buf buf;
	size_t align;
	int local;
	void *p;

	(void)state;
	ASSERT_FAILS(vdma_heap_create(arena, NULL, NULL), EINVAL, VDMA_CAUSE_ARGUMENT, "NULL");
	ASSERT_FAILS(vdma_heap_create(NULL, NULL, &h), EINVAL, VDMA_CAUSE_ARGUMENT, "");
	ASSERT_FAILS(vdma_heap_create(arena, &opts, &h), EINVAL, VDMA_CAUSE_ARGUMENT, "2^65");
	bad = (struct vdma_constraints){ .size = sizeof(bad), .boundary = 4096 };
	ASSERT_FAILS(vdma_heap_create(arena, &opts, &h), EINVAL, VDMA_CAUSE_ARGUMENT, "0x1000",
		     "vdma_buf_alloc");
	bad = (struct vdma_constraints){ .size = 4 };
	ASSERT_FAILS(vdma_heap_create(arena, &opts, &h), EINVAL, VDMA_CAUSE_ARGUMENT, "size");
	opts = (struct vdma_heap_opts){ .size = sizeof(opts), .flags = 2 };
	ASSERT_FAILS(vdma_heap_create(arena, &opts, &h), EINVAL, VDMA_CAUSE_ARGUMENT, "0x2");
	opts.size = 4;
	ASSERT_FAILS(vdma_heap_create(arena, &opts, &h), EINVAL, VDMA_CAUSE_ARGUMENT, "size");
	ASSERT_FAILS(vdma_heap_query(heap, &info), EINVAL, VDMA_CAUSE_ARGUMENT, "size");
	ASSERT_FAILS(vdma_heap_query(NULL, &info), EINVAL, VDMA_CAUSE_ARGUMENT, "NULL");
	ASSERT_FAILS(vdma_heap_trim(NULL), EINVAL, VDMA_CAUSE_ARGUMENT, "NULL");
	ASSERT_OK(vdma_heap_destroy(NULL));

	ASSERT_FAILS(refused(vdma_memalign(heap, 0, 1)), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "power of two");
	ASSERT_FAILS(refused(vdma_memalign(heap, 48, 1)), EINVAL, VDMA_CAUSE_ARGUMENT, "0x30");
	ASSERT_FAILS(refused(vdma_memalign(heap, 2 * GIB, 1)), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "1 GiB");
	ASSERT_FAILS(refused(vdma_malloc(heap, SIZE_MAX)), EADDRNOTAVAIL, VDMA_CAUSE_WINDOW, "");
	ASSERT_FAILS(refused(vdma_calloc(heap, SIZE_MAX / 2, 3)), EADDRNOTAVAIL, VDMA_CAUSE_WINDOW,
		     "");
	/* Not a malloc()ed one, nor of the stack, nor other memory of the arena. */
	ASSERT_OK(vdma_buf_alloc(arena, 10000, NULL, &buf));
	ASSERT_FAILS(vdma_free(heap, buf.va), EINVAL, VDMA_CAUSE_ARGUMENT, "inside");
	p = get(heap, 5);
	ASSERT_FAILS(vdma_free(heap, (char *)buf.va + 5000), EINVAL, VDMA_CAUSE_ARGUMENT, "inside");
	ASSERT_OK(vdma_free(heap, p));
	ASSERT_OK(vdma_buf_free(arena, &buf));
	ASSERT_FAILS(vdma_free(heap, &local), EINVAL, VDMA_CAUSE_ARGUMENT, "outside");
	assert_int_equal(vdma_usable_size(heap, &local), 0);
	ASSERT_FAILS(refused(vdma_realloc(heap, &local, 5)), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "outside");

	for (align = 1; align <= 64 * MIB; align *= 2) {
		p = vdma_memalign(heap, align, align / 2 + 3);
		assert_non_null(p);
		assert_int_equal((uintptr_t)p % align, 0);
		assert_int_equal(vdma_iova(arena, p) % align, 0);
		assert_true(vdma_usable_size(heap, p) >= align / 2 + 3);
		memset(p, 1, 64 < align / 2 ? 64 : 1);
		ASSERT_OK(vdma_free(heap, p));
		p = get(heap, align);
		assert_int_equal((uintptr_t)p % (align < 16 ? 8 : align < 16384 ? 16 : 4096), 0);
		ASSERT_OK(vdma_free(heap, p));
	}

	p = get(heap, 1);
	ASSERT_FAILS(vdma_heap_destroy(heap), EBUSY, VDMA_CAUSE_CHILDREN, "1 objects", "8 bytes");
	/* It goes on as before. */
	ASSERT_OK(vdma_free(heap, get(heap, 1000)));
	ASSERT_OK(vdma_free(heap, p));
}

static void test_properties(void **state)
{
	struct vdma_heap *low = heap_of(0, 0, (struct vdma_constraints){ .address_bits = 30 });
	struct vdma_heap *steps = heap_of(31 * MIB, 0, (struct vdma_constraints){ 0 });
	struct vdma_heap *any =
		heap_of(0, 0, (struct vdma_constraints){ .contiguity = VDMA_CONTIG_INDIFFERENT });
	struct vdma_heap *elsewhere;
	void *p = get(low, 100000), *q = get(steps, 10), *r;

	(void)state;
	assert_true(vdma_iova(arena, p) + 100000 <= 1U << 30);
	assert_int_equal(query(steps).bytes, 32 * MIB);
	/* Of what there is none of, a heap takes what does not have to be. */
	fake.contig_err = ENOMEM;
	r = get(any, 10);
	ASSERT_FAILS(refused(vdma_malloc(low, 1000 * MIB)), EADDRNOTAVAIL, VDMA_CAUSE_ADDRESS_BITS,
		     "");
	elsewhere = heap_of(0, 0, (struct vdma_constraints){ .node = VDMA_NODE(7) });
	ASSERT_FAILS(refused(vdma_malloc(elsewhere, 10)), EINVAL, VDMA_CAUSE_NODE, "NUMA node 7");
	ASSERT_OK(vdma_heap_destroy(elsewhere));
	ASSERT_OK(vdma_free(low, p));
	ASSERT_OK(vdma_free(steps, q));
	ASSERT_OK(vdma_free(any, r));
	ASSERT_OK(vdma_heap_destroy(low));
	ASSERT_OK(vdma_heap_destroy(any));
	ASSERT_OK(vdma_heap_destroy(steps));
}

/* No step, but enough; nothing; and then something again. */
static void test_no_memory(void **state)
{
	struct vdma_heap *h =
		heap_of(64 * MIB, 0,
			(struct vdma_constraints){ .contiguity = VDMA_CONTIG_REQUIRED });
	void *p, *q;

	(void)state;
	fake.contig_err = ENOMEM;
	ASSERT_FAILS(refused(vdma_malloc(h, 10)), ENOMEM, VDMA_CAUSE_NO_RUN, "contiguous");
	assert_int_equal(query(h).bytes, 0);
	fake.contig_err = 0;
	p = get(h, 10);
	assert_int_equal(query(h).bytes, 64 * MIB);
	fake.contig_err = ENOMEM;
	/* What it has is still there. */
	q = get(h, 8 * MIB);
	ASSERT_FAILS(refused(vdma_malloc(h, 64 * MIB)), ENOMEM, VDMA_CAUSE_NO_RUN, "");
	ASSERT_FAILS(refused(vdma_realloc(h, q, 64 * MIB)), ENOMEM, VDMA_CAUSE_NO_RUN, "");
	ASSERT_OK(vdma_free(h, q));
	ASSERT_OK(vdma_free(h, p));
	ASSERT_OK(vdma_heap_trim(h));
	assert_int_equal(query(h).bytes, 0);
	ASSERT_OK(vdma_heap_destroy(h));
}

static void test_physical(void **state)
{
	const struct vdma_arena_opts opts = { .size = sizeof(opts),
					      .window = GIB,
					      .translation = VDMA_TRANSLATION_PHYSICAL };
	struct vdma_arena *physical;
	struct vdma_heap *h;
	unsigned char *p[40];
	unsigned int refusals = 0;
	size_t i;

	(void)state;
	bare_machine();
	fake.contig_step = 70 * MIB + 4096;
	fake.lazy = true;
	ASSERT_OK(vdma_arena_create(&opts, &physical));
	ASSERT_OK(vdma_heap_create(physical, NULL, &h));
	for (i = 0; i < 40; i++) {
		size_t len = 1 + i * MIB / 8;

		p[i] = get(h, len);
		/* One run each, whatever lies beside it. */
		assert_int_equal(vdma_iova(physical, p[i] + len - 1) - vdma_iova(physical, p[i]),
				 len - 1);
	}
	/* Pages always agree; what is aligned to more may have no place. */
	for (i = 0; i < 20; i++) {
		size_t align = (size_t)4096 << i % 10;
		void *q = vdma_memalign(h, align, 100);

		if (q) {
			assert_int_equal(((uintptr_t)q | vdma_iova(physical, q)) % align, 0);
			ASSERT_OK(vdma_free(h, q));
		} else {
			assert_true(align > 4096);
			ASSERT_FAILS(refused(q), ENOMEM, VDMA_CAUSE_NO_RUN, "not for devices");
			refusals++;
		}
	}
	assert_true(refusals > 0);
	assert_true(query(h).bytes <= 256 * MIB);
	for (i = 0; i < 40; i++)
		ASSERT_OK(vdma_free(h, p[i]));
	ASSERT_OK(vdma_heap_destroy(h));
	ASSERT_OK(vdma_arena_destroy(physical));
}

struct object {
	unsigned char *p;
	size_t len;
};

struct model {
	struct vdma_heap *heap;
	struct object live[LIVE];
	uint64_t rng;
	unsigned char number;
};

/* First and last byte, and one in between, bear a number, so that none lies on another. */
static void mark(struct model *m, struct object *o)
{
	unsigned char number = (unsigned char)(m->number + (o - m->live) * 7);

	o->p[0] = o->p[o->len / 2] = o->p[o->len - 1] = number;
}

static bool is_marked(struct model *m, struct object *o)
{
	unsigned char number = (unsigned char)(m->number + (o - m->live) * 7);

	return o->p[0] == number && o->p[o->len / 2] == number && o->p[o->len - 1] == number;
}

static size_t any_size(struct model *m)
{
	uint64_t kind = random_below(&m->rng, 100);

	return 1 + random_below(&m->rng, kind < 60 ? 500 : kind < 90 ? 70000 : 400000);
}

/* False, and what was wrong in words, if something was. */
static bool step(struct model *m, const char **wrong)
{
	struct object *o = &m->live[random_below(&m->rng, LIVE)];
	size_t align = (size_t)1 << random_below(&m->rng, 15), len;
	unsigned char first, *p;

	*wrong = NULL;
	if (!o->p) {
		o->len = any_size(m);
		if (random_below(&m->rng, 4)) {
			o->p = vdma_malloc(m->heap, o->len);
			align = o->len < 16 ? 8 : 16;
		} else {
			o->p = vdma_memalign(m->heap, align, o->len);
		}
		if (!o->p)
			*wrong = vdma_explain();
		else if ((uintptr_t)o->p % align || vdma_usable_size(m->heap, o->p) < o->len)
			*wrong = "too small, or not aligned";
		else
			mark(m, o);
	} else if (!is_marked(m, o)) {
		*wrong = "somebody wrote to an object";
	} else if (!random_below(&m->rng, 4)) {
		len = any_size(m);
		first = o->p[0];
		p = vdma_realloc(m->heap, o->p, len);
		if (!p || p[0] != first || (len > o->len && p[o->len - 1] != first))
			*wrong = "realloc lost something";
		else
			*o = (struct object){ p, len }, mark(m, o);
	} else {
		if (vdma_free(m->heap, o->p))
			*wrong = vdma_explain();
		o->p = NULL;
	}
	return !*wrong;
}

static bool free_all(struct model *m, const char **wrong)
{
	*wrong = NULL;
	for (size_t i = 0; i < LIVE && !*wrong; i++) {
		if (!m->live[i].p)
			continue;
		if (!is_marked(m, &m->live[i]))
			*wrong = "somebody wrote to an object";
		else if (vdma_free(m->heap, m->live[i].p))
			*wrong = vdma_explain();
		m->live[i].p = NULL;
	}
	return !*wrong;
}

static uint64_t seed(void)
{
	const char *env = getenv("VDMA_SEED");
	uint64_t n = env ? strtoull(env, NULL, 0) : (uint64_t)time(NULL);

	print_message("VDMA_SEED=%" PRIu64 "\n", n);
	return n << 1 | 1;
}

static void run(struct model *m, unsigned int steps)
{
	const char *wrong;

	for (unsigned int i = 0; i < steps; i++)
		if (!step(m, &wrong))
			fail_msg("step %u: %s", i, wrong);
}

static void random_run(struct vdma_heap *h, unsigned int steps)
{
	static struct model m;
	const char *wrong;

	m = (struct model){ .heap = h, .rng = seed() };
	run(&m, steps);
	if (!free_all(&m, &wrong))
		fail_msg("%s", wrong);
	assert_int_equal(query(h).objects, 0);
	ASSERT_OK(vdma_heap_trim(h));
	assert_int_equal(query(h).bytes, 0);
	assert_int_equal(arena_bufs(), 0);
}

static void test_random(void **state)
{
	(void)state;
	random_run(heap, on_valgrind() ? 20000 : 400000);
}

static void test_random_checked(void **state)
{
	struct vdma_heap *h = heap_of(0, VDMA_HEAP_CHECK, (struct vdma_constraints){ 0 });

	(void)state;
	random_run(h, on_valgrind() ? 5000 : 50000);
	ASSERT_OK(vdma_heap_destroy(h));
}

/* All that is no live object's, as a device that has gone mad writes it. */
__attribute__((no_sanitize("address"))) static void scribble(struct model *m, uint64_t salt)
{
	struct vdma_heap_chunk *chunk;

	LIST_FOREACH(chunk, &m->heap->chunks, link)
	{
		volatile uint64_t *at = chunk->buf.va, *end = at + chunk->buf.len / 8;
		struct object *in[LIVE];
		size_t n = 0;

		for (size_t i = 0; i < LIVE; i++)
			if (m->live[i].p && (uint64_t *)(void *)m->live[i].p >= at &&
			    (uint64_t *)(void *)m->live[i].p < end)
				in[n++] = &m->live[i];
		for (; at < end; at++) {
			bool live = false;

			/* The bytes of an object are its own, those behind it to the next 8 too. */
			for (size_t i = 0; i < n && !live; i++)
				live = (uintptr_t)at + 8 > (uintptr_t)in[i]->p &&
				       (uintptr_t)at < (uintptr_t)in[i]->p + in[i]->len;
			if (!live)
				*at = (salt *= UINT64_C(0x2545f4914f6cdd1d));
		}
	}
}

/* Nothing that jemalloc or the heap believes lies where a device can write. */
static void test_metadata(void **state)
{
	static struct model m;
	const char *wrong;
	unsigned int i;

	(void)state;
	if (on_valgrind()) /* which is told that nobody may write there */
		skip();
	m = (struct model){ .heap = heap, .rng = seed() };
	for (i = 0; i < 6; i++) {
		run(&m, 3000);
		/* Half of what is left is free, in caches, slabs and extents. */
		for (size_t k = i % 2; k < LIVE; k += 2)
			if (m.live[k].p && k % 3) {
				ASSERT_OK(vdma_free(heap, m.live[k].p));
				m.live[k].p = NULL;
			}
		if (i == 3)
			ASSERT_OK(vdma_heap_trim(heap));
		scribble(&m, i % 2 ? UINT64_MAX : 0x1234567 + i);
	}
	run(&m, 20000);
	if (!free_all(&m, &wrong))
		fail_msg("%s", wrong);
	scribble(&m, 3);
	assert_int_equal(query(heap).objects, 0);
	ASSERT_OK(vdma_heap_trim(heap));
	assert_int_equal(query(heap).bytes, 0);
}

static void test_check(void **state)
{
	struct vdma_heap *plain = heap;
	unsigned char *p, *other, *lost[7];
	size_t i;

	(void)state;
	heap = heap_of(0, VDMA_HEAP_CHECK, (struct vdma_constraints){ 0 });
	assert_int_equal(query(heap).checks, 1);
	p = get(heap, 100);
	ASSERT_FAILS(vdma_free(heap, p + 16), EINVAL, VDMA_CAUSE_ARGUMENT, "16 bytes into",
		     "100 bytes", "allocated 0.");
	ASSERT_FAILS(refused(vdma_realloc(heap, p + 99, 5)), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "99 bytes into");
	assert_int_equal(vdma_usable_size(heap, p), 100);
	assert_int_equal(vdma_usable_size(heap, p + 1), 0);
	p = vdma_realloc(heap, p, 10);
	assert_int_equal(vdma_usable_size(heap, p), 10);
	other = get(plain, 64);
	ASSERT_FAILS(vdma_free(heap, other), EINVAL, VDMA_CAUSE_ARGUMENT, "none in its page");
	ASSERT_OK(vdma_free(plain, other));
	ASSERT_OK(vdma_free(heap, p));
	ASSERT_FAILS(vdma_free(heap, p), EINVAL, VDMA_CAUSE_ARGUMENT, "freed already");
	for (i = 0; i < 7; i++)
		lost[i] = get(heap, 1000 + i);
	ASSERT_FAILS(vdma_heap_destroy(heap), EBUSY, VDMA_CAUSE_CHILDREN, "7 objects", "bytes at",
		     "allocated", "and 3 more");
	for (i = 0; i < 7; i++)
		ASSERT_OK(vdma_free(heap, lost[i]));
	ASSERT_OK(vdma_heap_destroy(heap));
	heap = plain;
}

/* An arena that checks has heaps that do. */
static void test_check_of_arena(void **state)
{
	const struct vdma_arena_opts opts = { .size = sizeof(opts), .flags = VDMA_ARENA_CHECK };
	struct vdma_arena *checks;
	struct vdma_heap *h;

	(void)state;
	ASSERT_OK(vdma_arena_create(&opts, &checks));
	ASSERT_OK(vdma_heap_create(checks, NULL, &h));
	assert_int_equal(query(h).checks, 1);
	ASSERT_OK(vdma_heap_destroy(h));
	ASSERT_OK(vdma_arena_destroy(checks));
}

static int child(void *p)
{
	struct vdma_heap_info info = { .size = sizeof(info) };
	struct vdma_heap *h = heap;
	struct vdma_arena *own;
	void *q;

	ASSERT_FAILS(refused(vdma_malloc(h, 100)), ECHILD, VDMA_CAUSE_FORKED, "forked");
	ASSERT_FAILS(refused(vdma_calloc(h, 10, 10)), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(refused(vdma_memalign(h, 64, 100)), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(refused(vdma_realloc(h, p, 100)), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_free(h, p), ECHILD, VDMA_CAUSE_FORKED, "");
	assert_int_equal(vdma_usable_size(h, p), 0);
	ASSERT_FAILS(vdma_heap_trim(h), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_heap_query(h, &info), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_heap_destroy(h), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_heap_create(arena, NULL, &h), ECHILD, VDMA_CAUSE_FORKED, "");
	/* One of its own it can have. */
	ASSERT_OK(vdma_arena_create(NULL, &own));
	ASSERT_OK(vdma_heap_create(own, NULL, &h));
	q = vdma_malloc(h, 100);
	assert_non_null(q);
	memset(q, 1, 100);
	ASSERT_OK(vdma_free(h, q));
	ASSERT_OK(vdma_heap_destroy(h));
	ASSERT_OK(vdma_arena_destroy(own));
	return 0;
}

static void test_fork(void **state)
{
	int wstatus;
	pid_t pid;
	void *p;

	(void)state;
	p = vdma_malloc(heap, 100);
	assert_non_null(p);
	memset(p, 1, 100);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		_exit(child(p));
	assert_int_equal(waitpid(pid, &wstatus, 0), pid);
	assert_true(WIFEXITED(wstatus));
	assert_int_equal(WEXITSTATUS(wstatus), 0);
	assert_int_equal(((char *)p)[99], 1);
	ASSERT_OK(vdma_free(heap, p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one, with_heap, without_heap),
		cmocka_unit_test_setup_teardown(test_arguments, with_heap, without_heap),
		cmocka_unit_test_setup_teardown(test_properties, with_heap, without_heap),
		cmocka_unit_test_setup_teardown(test_no_memory, with_heap, without_heap),
		cmocka_unit_test_setup_teardown(test_physical, with_heap, without_heap),
		cmocka_unit_test_setup_teardown(test_random, with_heap, without_heap),
		cmocka_unit_test_setup_teardown(test_random_checked, with_heap, without_heap),
		cmocka_unit_test_setup_teardown(test_metadata, with_heap, without_heap),
		cmocka_unit_test_setup_teardown(test_check, with_heap, without_heap),
		cmocka_unit_test_setup_teardown(test_fork, with_heap, without_heap),
		cmocka_unit_test_setup_teardown(test_check_of_arena, with_heap, without_heap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
