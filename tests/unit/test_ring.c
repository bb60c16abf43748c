// SPDX-License-Identifier: BSD-3-Clause
/*
 * Rings against a model that counts with 64 bits and divides, for sizes that are powers
 * of two and others, over the end of 32-bit counters; their memory and their doorbell.
 */
#include "unit.h"

#include "../random.h"

static const uint32_t counts[] = { 1, 3, 256, 1000 };

static struct vdma_ring ring_of(void *memory, size_t len, size_t entry, uint32_t count,
				uint32_t gap)
{
	struct vdma_buf buf = { .va = memory, .len = len, .iova = 0x100000, .pa = VDMA_PA_NONE };
	struct vdma_ring ring;

	ASSERT_OK(vdma_ring_init(&buf, entry, count, gap, &ring));
	return ring;
}

static void compare(const struct vdma_ring *ring, uint64_t consumed, uint64_t produced,
		    uint32_t gap)
{
	uint32_t count = ring->count, used = (uint32_t)(produced - consumed);

	assert_int_equal(ring->head, consumed % count);
	assert_int_equal(ring->tail, produced % count);
	assert_int_equal(vdma_ring_used(ring), used);
	assert_int_equal(vdma_ring_free(ring), count - gap - used);
	assert_int_equal(vdma_ring_head_phase(ring), !(consumed / count % 2));
	assert_int_equal(vdma_ring_tail_phase(ring), !(produced / count % 2));
	if (used < count)
		assert_int_equal(vdma_ring_between(ring, ring->head, ring->tail), used);
	else
		assert_int_equal(vdma_ring_between(ring, ring->head, ring->tail), 0);
}

static void go_round(uint32_t count, uint32_t gap, uint64_t begin)
{
	static char memory[1000 * 24];
	struct vdma_ring ring = ring_of(memory, sizeof(memory), 24, count, gap);
	uint64_t rng = count + 1, consumed = begin, produced = begin;

	/* As if it had gone on for that long. */
	ring.head = ring.tail = (uint32_t)(begin % count);
	ring.head_lap = ring.tail_lap = (uint32_t)(begin / count);
	ring.consumed = ring.produced = (uint32_t)begin;
	for (int i = 0; i < 20000; i++) {
		uint32_t n = (uint32_t)random_below(&rng, vdma_ring_free(&ring) + 1);

		vdma_ring_produce(&ring, n);
		produced += n;
		compare(&ring, consumed, produced, gap);
		n = (uint32_t)random_below(&rng, vdma_ring_used(&ring) + 1);
		vdma_ring_consume(&ring, n);
		consumed += n;
		compare(&ring, consumed, produced, gap);
	}
}

static void test_arithmetic(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		for (uint32_t gap = 0; gap < 2 && gap < counts[i]; gap++) {
			go_round(counts[i], gap, 0);
			/* A hundred before 32 bits are full. */
			go_round(counts[i], gap, UINT32_MAX - 100);
		}
}

static void test_slots(void **state)
{
	static char memory[16];
	struct vdma_ring ring;

	(void)state;
	/* The largest there is: slots do not overflow. */
	ring = ring_of(memory, SIZE_MAX, 1, UINT32_C(1) << 31, 0);
	assert_int_equal(vdma_ring_add(&ring, ring.count - 1, ring.count), ring.count - 1);
	assert_int_equal(vdma_ring_add(&ring, ring.count - 1, 1), 0);
	assert_int_equal(vdma_ring_between(&ring, ring.count - 1, 0), 1);
	assert_int_equal(vdma_ring_between(&ring, 0, ring.count - 1), ring.count - 1);
	vdma_ring_produce(&ring, ring.count);
	assert_int_equal(vdma_ring_free(&ring), 0);
	assert_int_equal(ring.tail_lap, 1);

	ring = ring_of(memory, sizeof(memory), 5, 3, 0);
	assert_ptr_equal(vdma_ring_at(&ring, 2), memory + 10);
	assert_int_equal(vdma_ring_iova(&ring, 2), 0x10000a);
	vdma_ring_produce(&ring, 2);
	vdma_ring_consume(&ring, 1);
	vdma_ring_reset(&ring);
	assert_int_equal(ring.head, 0);
	assert_int_equal(vdma_ring_free(&ring), 3);
}

static void test_doorbell(void **state)
{
	static char memory[64];
	uint32_t bar[4] = { 77, 77, 77, 77 };
	struct vdma_ring ring = ring_of(memory, sizeof(memory), 16, 4, 1);

	(void)state;
	vdma_ring_set_doorbell(&ring, bar, 8);
	vdma_ring_publish(&ring);
	vdma_ring_release(&ring);
	assert_int_equal(bar[2], 77); /* nothing is new */
	vdma_ring_produce(&ring, 3);
	vdma_ring_publish(&ring);
	assert_int_equal(bar[2], 3);
	vdma_ring_consume(&ring, 2);
	vdma_ring_release(&ring);
	assert_int_equal(bar[2], 2);
	/* Once round, the tail is where it was, and still is news. */
	vdma_ring_consume(&ring, 1);
	for (int i = 0; i < 4; i++) {
		vdma_ring_produce(&ring, 1);
		vdma_ring_consume(&ring, 1);
	}
	bar[2] = 77;
	vdma_ring_publish(&ring);
	assert_int_equal(bar[2], 3);
	bar[2] = 77;
	vdma_ring_publish(&ring);
	assert_int_equal(bar[2], 77);
	assert_int_equal(bar[1], 77);
	assert_int_equal(bar[3], 77);
	vdma_barrier_to_device();
	vdma_barrier_from_device();
	vdma_barrier_to_and_from_device();
}

static void test_memory(void **state)
{
	struct vdma_buf_opts low = { .size = sizeof(low), .align = 128, .address_bits = 30 };
	struct vdma_ring_opts opts = { .size = sizeof(opts), .gap = 1, .buf = &low };
	struct vdma_arena *arena;
	struct vdma_ring ring;
	struct vdma_buf buf;

	(void)state;
	ASSERT_OK(vdma_arena_create(NULL, &arena));
	/* Zeroed, whatever was there. */
	ASSERT_OK(vdma_buf_alloc(arena, 16000, NULL, &buf));
	memset(buf.va, 0xaa, buf.len);
	ASSERT_OK(vdma_buf_free(arena, &buf));
	ASSERT_OK(vdma_ring_create(arena, 16, 1000, NULL, &ring));
	assert_int_equal(ring.buf.iova % 4096, 0);
	assert_int_equal(ring.buf.len, 16000);
	for (size_t i = 0; i < ring.buf.len; i++)
		assert_int_equal(((const char *)ring.buf.va)[i], 0);
	assert_int_equal(vdma_ring_iova(&ring, 999), vdma_iova(arena, vdma_ring_at(&ring, 999)));
	ASSERT_OK(vdma_ring_destroy(&ring));
	ASSERT_OK(vdma_ring_destroy(&ring));
	ASSERT_OK(vdma_ring_destroy(NULL));

	ASSERT_OK(vdma_ring_create(arena, 16, 256, &opts, &ring));
	assert_int_equal(ring.buf.iova % 128, 0);
	assert_true(ring.buf.iova < UINT64_C(1) << 30);
	assert_int_equal(vdma_ring_free(&ring), 255);
	ASSERT_OK(vdma_ring_destroy(&ring));
	ASSERT_OK(vdma_arena_destroy(arena));
}

static void test_arguments(void **state)
{
	static char memory[64];
	struct vdma_buf buf = { .va = memory, .len = sizeof(memory) };
	struct vdma_buf_opts odd = { .size = sizeof(odd), .align = 3 };
	struct vdma_ring_opts opts = { .size = sizeof(opts), .buf = &odd };
	struct vdma_arena *arena;
	struct vdma_ring ring;

	(void)state;
	ASSERT_OK(vdma_arena_create(NULL, &arena));
	ASSERT_FAILS(vdma_ring_init(&buf, 0, 4, 0, &ring), EINVAL, VDMA_CAUSE_ARGUMENT, "0 bytes");
	ASSERT_FAILS(vdma_ring_init(&buf, 16, 0, 0, &ring), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "1 to 2^31");
	ASSERT_FAILS(vdma_ring_init(&buf, 1, (UINT32_C(1) << 31) + 1, 0, &ring), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "1 to 2^31");
	ASSERT_FAILS(vdma_ring_init(&buf, 16, 4, 4, &ring), EINVAL, VDMA_CAUSE_ARGUMENT, "gap");
	ASSERT_FAILS(vdma_ring_init(&buf, 16, 5, 0, &ring), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "do not fit");
	ASSERT_FAILS(vdma_ring_init(NULL, 16, 4, 0, &ring), EINVAL, VDMA_CAUSE_ARGUMENT, "NULL");
	ASSERT_FAILS(vdma_ring_create(arena, 16, 4, NULL, NULL), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "NULL");
	ASSERT_FAILS(vdma_ring_create(NULL, 16, 4, NULL, &ring), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "NULL");
	ASSERT_FAILS(vdma_ring_create(arena, 16, 4, &opts, &ring), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "powers of two");
	opts = (struct vdma_ring_opts){ .size = 1 };
	ASSERT_FAILS(vdma_ring_create(arena, 16, 4, &opts, &ring), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "sizeof");
	opts = (struct vdma_ring_opts){ .size = sizeof(opts), .gap = 4 };
	ASSERT_FAILS(vdma_ring_create(arena, 16, 4, &opts, &ring), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "gap");
	ASSERT_OK(vdma_arena_destroy(arena));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLEAN_TEST(test_arithmetic), CLEAN_TEST(test_slots),	 CLEAN_TEST(test_doorbell),
		CLEAN_TEST(test_memory),     CLEAN_TEST(test_arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
