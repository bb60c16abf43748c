// SPDX-License-Identifier: BSD-3-Clause
/*
 * The struct of constraints as a whole: as older callers know it, where device addresses
 * are physical, and at random: none is missed in a long run.
 */
#include "constrained.h"

#include <inttypes.h>
#include <time.h>

#include "../random.h"

/* A caller that was built when the options ended before the constraints. */
static void test_older_callers(void **state)
{
	struct vdma_region_opts opts = {
		.size = offsetof(struct vdma_region_opts, constraints),
		.provider = ANON,
		.address_bits = 24,
		.constraints = (void *)1,
	};
	struct vdma_region_info info = { .size = offsetof(struct vdma_region_info, delivered),
					 .reason = (void *)1 };
	struct vdma_buf_opts buf_opts = {
		.size = offsetof(struct vdma_buf_opts, constraints),
		.align = 8192,
		.contiguity = REQUIRED,
		.constraints = (void *)1,
	};
	struct vdma_region *r;
	struct vdma_buf b;

	(void)state;
	ASSERT_OK(vdma_region_create(arena, 4096, &opts, &r));
	assert_true(vdma_region_buf(r).iova < 1 << 24);
	ASSERT_OK(vdma_region_query(r, &info));
	assert_ptr_equal(info.reason, (void *)1);
	ASSERT_OK(vdma_region_destroy(r));
	ASSERT_OK(vdma_buf_alloc(arena, 4096, &buf_opts, &b));
	assert_int_equal(b.iova % 8192, 0);
	ASSERT_OK(vdma_buf_free(arena, &b));
	buf_opts.size = sizeof(buf_opts);
	buf_opts.constraints = &C(.size = sizeof(struct vdma_constraints));
	ASSERT_FAILS(vdma_buf_alloc(arena, 4096, &buf_opts, &b), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "have constraints", "align");
}

/* Device addresses are physical, so the module keeps what regards them. */
static void test_physical(void **state)
{
	struct vdma_region *r, *other;
	struct vdma_buf a;

	(void)state;
	restart(0, VDMA_TRANSLATION_PHYSICAL);
	fake.contig_pa = 0x40003000;
	ASSERT_OK(region(3 * 4096, AUTO, C(.boundary = 64 << 10, .align = 16 << 10), &r));
	assert_int_equal(fake.alloc.want.boundary, 64 << 10);
	assert_int_equal(fake.alloc.want.alignment, 16 << 10);
	assert_int_equal(fake.alloc.want.phys_max, 0);
	assert_int_equal(vdma_region_buf(r).iova % (16 << 10), 0);
	/* There is only one kind of memory. */
	ASSERT_OK(region(4096, AUTO, C(.contiguity = INDIFFERENT, .address_bits = 64), &other));
	assert_int_equal(about(other).provider, VDMA_PROVIDER_CONTIG);
	assert_int_equal(fake.alloc.want.phys_max, 0);
	ASSERT_OK(vdma_region_destroy(other));
	ASSERT_OK(buf(4096, C(.contiguity = INDIFFERENT, .max_segments = 1, .align = 8192), &a));
	assert_int_equal(a.iova % 8192, 0);
	ASSERT_OK(vdma_buf_free(arena, &a));
	fake.contig_err = ENOMEM;
	fake.largest = 8192;
	fake.blocker = MAP_CONTIG_BLOCK_LIMIT;
	ASSERT_FAILS(region(MIB, AUTO, C(.align = MIB, .boundary = 2 * MIB, .address_bits = 32),
			    &other),
		     ENOMEM, VDMA_CAUSE_NO_RUN,
		     "1 MiB up to physical address 0xffffffff at a multiple of 0x100000 across no "
		     "multiple of 0x200000",
		     "8 KiB. In the way of more: the end of what the constraints allow");
	assert_null(strstr(vdma_explain(), "ANON"));
	assert_int_equal(fake.oracle.want.alignment, MIB);
	fake.contig_err = EPERM;
	ASSERT_FAILS(region(MIB, AUTO, C(.align = 4 * MIB), &other), EPERM, VDMA_CAUSE_PRIVILEGE,
		     "CAP_SYS_RAWIO");
	ASSERT_OK(vdma_region_destroy(r));
}

static uint64_t rng;

static uint64_t rnd(uint64_t below)
{
	return random_below(&rng, below);
}

static struct vdma_constraints any_constraints(size_t len)
{
	struct vdma_constraints c = { .contiguity = (enum vdma_contiguity)rnd(3) };

	if (!rnd(3))
		c.align = UINT64_C(1) << rnd(24);
	if (!rnd(3)) {
		c.boundary = UINT64_C(1) << (12 + rnd(20));
		while (c.boundary < len)
			c.boundary *= 2;
	}
	if (!rnd(4))
		c.address_bits = (uint32_t)(26 + rnd(10));
	if (!rnd(4))
		c.node = VDMA_NODE(rnd(2));
	if (!rnd(3))
		c.max_segments = (uint32_t)(1 + rnd(8));
	return c;
}

static void assert_met(const struct vdma_buf *b, const struct vdma_constraints *c,
		       const struct vdma_region_info *info)
{
	uint64_t first = b->iova, last = b->iova + (b->len - 1);
	uint64_t granule = info->granule;

	assert_true(!c->align || !(first % c->align));
	assert_true(!c->boundary || first / c->boundary == last / c->boundary);
	assert_true(!c->address_bits || !(last >> c->address_bits));
	assert_true(!c->node || (uint32_t)info->node == c->node - 1);
	if (c->max_segments && info->delivered != VDMA_DELIVERED_CONTIGUOUS)
		assert_true(last / granule - first / granule < c->max_segments);
	if (c->contiguity == REQUIRED)
		assert_int_equal(info->delivered, VDMA_DELIVERED_CONTIGUOUS);
	/* What is less than preferred has a reason, and nothing else. */
	if (c->contiguity == PREFERRED)
		assert_int_equal(info->provider != VDMA_PROVIDER_CONTIG, info->cause != 0);
	assert_int_equal(info->cause != 0, *info->reason != 0);
}

/* Thousands of regions and buffers, at times without this memory or that. */
static void random_life(enum vdma_translation translation, uint32_t flags, unsigned int steps)
{
	struct {
		struct vdma_region *region;
		struct vdma_buf buf;
	} live[16] = { 0 };
	unsigned int step, met = 0, i;

	restart(flags, translation);
	for (step = 0; step < steps; step++) {
		size_t len = 1 + rnd(rnd(8) ? 40000 : 6 * MIB);
		struct vdma_constraints c = any_constraints(len);
		struct vdma_region_info info;

		i = (unsigned int)rnd(16);
		fake.contig_max = rnd(3) ? UINT64_MAX : rnd(MIB);
		fake.hugetlb_free = rnd(4) ? 32 : 0;
		if (live[i].region)
			ASSERT_OK(vdma_region_destroy(live[i].region));
		else if (live[i].buf.len)
			ASSERT_OK(vdma_buf_free(arena, &live[i].buf));
		memset(&live[i], 0, sizeof(live[i]));
		if (rnd(2)) {
			if (region(len, AUTO, c, &live[i].region))
				continue;
			live[i].buf = vdma_region_buf(live[i].region);
			info = about(live[i].region);
		} else {
			if (buf(len, c, &live[i].buf))
				continue;
			info = about_buf(&live[i].buf);
		}
		met++;
		assert_met(&live[i].buf, &c, &info);
	}
	assert_true(met > steps / 2);
	print_message("%u of %u requests were met\n", met, steps);
	for (i = 0; i < 16; i++)
		if (live[i].region)
			ASSERT_OK(vdma_region_destroy(live[i].region));
		else if (live[i].buf.len)
			ASSERT_OK(vdma_buf_free(arena, &live[i].buf));
}

static void test_random(void **state)
{
	const char *env = getenv("VDMA_SEED");

	(void)state;
	rng = (env ? strtoull(env, NULL, 0) : (uint64_t)time(NULL)) << 1 | 1;
	print_message("VDMA_SEED=%" PRIu64 "\n", rng >> 1);
	fake.lazy = true;
	fake.largest = MIB;
	/* No chunk is as long, so none lies on another. */
	fake.contig_step = 256 * MIB + 4096;
	random_life(VDMA_TRANSLATION_LINEAR, 0, 10000);
	random_life(VDMA_TRANSLATION_LINEAR, VDMA_ARENA_CHECK, 5000);
	random_life(VDMA_TRANSLATION_PHYSICAL, 0, 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ARENA_TEST(test_older_callers),
		ARENA_TEST(test_physical),
		ARENA_TEST(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
