// SPDX-License-Identifier: BSD-3-Clause
/*
 * Several address spaces in one arena: regions for all of them or for those that are
 * named, failures in the third of five, and devices that narrow what there is.
 */
#include "unit.h"

#include <linux/vfio.h>

#include "../../libvdma/iommufd_abi.h"

#define SPACES 5

static const char *const bdfs[SPACES] = { "0000:00:10.0", "0000:00:11.0", "0000:00:12.0",
					  "0000:00:13.0", "0000:00:14.0" };
static struct vdma_arena *arena;
static struct vdma_ioas *spaces[SPACES];
static struct vdma_device *devs[SPACES];

static int with_arena(void **state)
{
	int i;

	reset(state);
	for (i = 0; i < SPACES; i++)
		add_edu(bdfs[i], 5 + i);
	return vdma_arena_create(NULL, &arena);
}

static int without_arena(void **state)
{
	return vdma_arena_destroy(arena) ? -1 : check_clean(state);
}

/* Type1 and iommufd by turns, and a device in each. */
static void open_all(void)
{
	int i;

	for (i = 0; i < SPACES; i++) {
		spaces[i] = ioas_of(arena, i % 2 ? VDMA_BACKEND_IOMMUFD : VDMA_BACKEND_TYPE1);
		devs[i] = device_of(spaces[i], bdfs[i]);
	}
}

static void close_all(void)
{
	int i;

	for (i = 0; i < SPACES; i++) {
		ASSERT_OK(vdma_device_close(devs[i]));
		ASSERT_OK(vdma_ioas_destroy(spaces[i]));
	}
}

static int create(struct vdma_ioas *const *ioas, size_t n, struct vdma_region **region)
{
	struct vdma_region_opts opts = {
		.size = sizeof(opts),
		.provider = VDMA_PROVIDER_ANON,
		.ioas = ioas,
		.nioas = n,
	};

	return vdma_region_create(arena, 4096, &opts, region);
}

static unsigned int reachable(const struct vdma_region *region)
{
	struct vdma_buf buf = vdma_region_buf(region);

	return fake_reachable(buf.iova, buf.va, buf.len);
}

static void test_third_of_five(void **state)
{
	static const unsigned long requests[] = { VFIO_IOMMU_MAP_DMA, IOMMUFD_ABI_IOAS_MAP };
	struct vdma_region *region = NULL, *before;
	unsigned int i, r, skip;
	uint64_t locked, user_locked;

	(void)state;
	open_all();
	before = anon_region(arena, 8192);
	assert_int_equal(reachable(before), SPACES);
	locked = fake.locked;
	user_locked = fake.user_locked;
	/* Each of the five in turn: the third is the second of type1. */
	for (r = 0; r < 2; r++)
		for (skip = 0; skip < (r ? 2 : 3); skip++) {
			fake.fail_request = requests[r];
			fake.fail_request_skip = skip;
			fake.fail_request_err = r ? EADDRINUSE : EEXIST;
			ASSERT_FAILS(create(NULL, 0, &region), EIO, VDMA_CAUSE_SYSTEM,
				     r ? "IOMMU_IOAS_MAP" : "Something is mapped");
			assert_int_equal(vdma_last_failure()->sys_errno, r ? EADDRINUSE : EEXIST);
			assert_null(region);
			assert_int_equal(fake_mappings(), SPACES);
			assert_int_equal(fake.locked, locked);
			assert_int_equal(fake.user_locked, user_locked);
			for (i = 0; i < SPACES; i++)
				assert_int_equal(ioas_info(spaces[i]).entries_used, 1);
		}
	ASSERT_OK(vdma_region_destroy(before));
	close_all();
}

/* A device that comes later, whose third of five regions fails: none is left in its space. */
static void replay_fails(enum vdma_backend backend, unsigned long request)
{
	struct vdma_ioas *ioas = ioas_of(arena, backend), *other = ioas_of(arena, backend);
	struct vdma_device *dev = device_of(other, bdfs[1]), *late = NULL;
	struct vdma_region *regions[5];
	size_t files = fake_open_files();
	int i;

	for (i = 0; i < 5; i++)
		regions[i] = anon_region(arena, 4096);
	fake.fail_request = request;
	fake.fail_request_skip = 2;
	fake.fail_request_err = EBUSY;
	ASSERT_FAILS(vdma_device_open(ioas, bdfs[0], NULL, &late), EIO, VDMA_CAUSE_SYSTEM, "MAP");
	assert_null(late);
	assert_int_equal(fake_open_files(), files);
	assert_int_equal(fake_mappings(), 5);
	assert_int_equal(fake.locked + fake.user_locked, 5 * 4096);
	assert_int_equal(ioas_info(ioas).entries_used, 0);
	assert_int_equal(ioas_info(other).entries_used, 5);
	for (i = 0; i < 5; i++)
		assert_int_equal(reachable(regions[i]), 1);
	late = device_of(ioas, bdfs[0]);
	for (i = 0; i < 5; i++) {
		assert_int_equal(reachable(regions[i]), 2);
		ASSERT_OK(vdma_region_destroy(regions[i]));
	}
	ASSERT_OK(vdma_device_close(late));
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
	ASSERT_OK(vdma_ioas_destroy(other));
}

static void test_replay_fails(void **state)
{
	(void)state;
	replay_fails(VDMA_BACKEND_TYPE1, VFIO_IOMMU_MAP_DMA);
	replay_fails(VDMA_BACKEND_IOMMUFD, IOMMUFD_ABI_IOAS_MAP);
}

static void test_named(void **state)
{
	struct vdma_region_info info = { .size = sizeof(info) };
	struct vdma_ioas *two[] = { NULL, NULL, NULL }, *later;
	struct vdma_region *region, *all;

	(void)state;
	open_all();
	/* One of them named twice. */
	two[0] = spaces[1];
	two[1] = spaces[3];
	two[2] = spaces[1];
	ASSERT_OK(create(two, 3, &region));
	all = anon_region(arena, 4096);
	assert_int_equal(reachable(region), 2);
	assert_int_equal(reachable(all), SPACES);
	ASSERT_OK(vdma_region_query(region, &info));
	assert_int_equal(info.mapped, 2);
	assert_int_equal(ioas_info(spaces[0]).entries_used, 1);
	assert_int_equal(ioas_info(spaces[1]).entries_used, 2);

	/* Not replayed into another, nor into one that comes; but into its own again. */
	ASSERT_OK(vdma_device_close(devs[0]));
	ASSERT_OK(vdma_device_close(devs[1]));
	assert_int_equal(reachable(region), 1);
	devs[0] = device_of(spaces[0], bdfs[0]);
	assert_int_equal(reachable(region), 1);
	assert_int_equal(ioas_info(spaces[0]).entries_used, 1);
	later = ioas_of(arena, VDMA_BACKEND_TYPE1);
	devs[1] = device_of(later, bdfs[1]);
	assert_int_equal(reachable(region), 1);
	ASSERT_OK(vdma_device_close(devs[1]));
	ASSERT_OK(vdma_ioas_destroy(later));
	devs[1] = device_of(spaces[1], bdfs[1]);
	assert_int_equal(reachable(region), 2);
	assert_int_equal(reachable(all), SPACES);
	ASSERT_OK(vdma_region_destroy(all));

	/* Its spaces live as long as it does. */
	ASSERT_OK(vdma_device_close(devs[1]));
	ASSERT_FAILS(vdma_ioas_destroy(spaces[1]), EBUSY, VDMA_CAUSE_CHILDREN, "1 regions",
		     "vdma_region_opts.ioas");
	ASSERT_OK(vdma_region_destroy(region));
	devs[1] = device_of(spaces[1], bdfs[1]);
	close_all();
}

/* All 64 that there can be, by name. */
static void test_all_named(void **state)
{
	struct vdma_ioas *ioas[64];
	struct vdma_region *region;
	int i;

	(void)state;
	for (i = 0; i < 64; i++)
		ioas[i] = ioas_of(arena, VDMA_BACKEND_TYPE1);
	devs[0] = device_of(ioas[63], bdfs[0]);
	ASSERT_OK(create(ioas, 64, &region));
	assert_int_equal(reachable(region), 1);
	ASSERT_FAILS(vdma_ioas_destroy(ioas[0]), EBUSY, VDMA_CAUSE_CHILDREN, "named by 1");
	ASSERT_OK(vdma_region_destroy(region));
	ASSERT_OK(vdma_device_close(devs[0]));
	for (i = 0; i < 64; i++)
		ASSERT_OK(vdma_ioas_destroy(ioas[i]));
}

static void test_named_badly(void **state)
{
	struct vdma_arena_opts physical = { .size = sizeof(physical),
					    .translation = VDMA_TRANSLATION_PHYSICAL };
	struct vdma_ioas *list[2] = { NULL, NULL }, *ioas = ioas_of(arena, VDMA_BACKEND_TYPE1);
	struct vdma_region_opts opts = { .size = sizeof(opts), .ioas = list, .nioas = 1 };
	struct vdma_region *region;
	struct vdma_arena *other;

	(void)state;
	ASSERT_FAILS(create(NULL, 1, &region), EINVAL, VDMA_CAUSE_ARGUMENT, "list", "NULL");
	list[0] = ioas;
	ASSERT_FAILS(create(list, 2, &region), EINVAL, VDMA_CAUSE_ARGUMENT, "space 1", "NULL");
	ASSERT_OK(vdma_arena_create(NULL, &other));
	list[1] = ioas_of(other, VDMA_BACKEND_TYPE1);
	ASSERT_FAILS(create(list, 2, &region), EINVAL, VDMA_CAUSE_ARGUMENT, "space 1",
		     "another arena");
	ASSERT_OK(vdma_ioas_destroy(list[1]));
	ASSERT_OK(vdma_arena_destroy(other));
	ASSERT_OK(vdma_arena_create(&physical, &other));
	ASSERT_FAILS(vdma_region_create(other, 4096, &opts, &region), EINVAL,
		     VDMA_CAUSE_TRANSLATION, "without an IOMMU");
	ASSERT_OK(vdma_arena_destroy(other));
	/* A failure later on leaves no name. */
	devs[0] = device_of(ioas, bdfs[0]);
	fake.fail_request = VFIO_IOMMU_MAP_DMA;
	fake.fail_request_err = EBUSY;
	ASSERT_FAILS(create(list, 1, &region), EIO, VDMA_CAUSE_SYSTEM, "MAP_DMA");
	ASSERT_OK(vdma_device_close(devs[0]));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

/* One that has nothing to do with a device's space does not keep the device away. */
static void test_named_and_reach(void **state)
{
	struct vdma_region *region, *all;
	struct vdma_ioas *a, *b;
	struct vdma_device *dev;

	(void)state;
	if (on_valgrind())
		skip();
	a = ioas_of(arena, VDMA_BACKEND_TYPE1);
	b = ioas_of(arena, VDMA_BACKEND_TYPE1);
	devs[0] = device_of(a, bdfs[0]);
	ASSERT_OK(create(&a, 1, &region));
	fake.nranges = 1;
	fake.ranges[0] = (struct vdma_range){ 0, 32 * GIB - 1 };
	devs[1] = device_of(b, bdfs[1]);
	assert_int_equal(reachable(region), 1);
	all = anon_region(arena, 4096);
	assert_int_equal(vdma_region_buf(all).iova, 32 * GIB - 4096);
	ASSERT_OK(vdma_region_destroy(all));
	ASSERT_OK(vdma_device_close(devs[1]));
	all = anon_region(arena, 4096);
	ASSERT_FAILS(vdma_device_open(b, bdfs[1], NULL, &dev), ERANGE, VDMA_CAUSE_UNREACHABLE,
		     "Open the device before");
	ASSERT_OK(vdma_region_destroy(all));
	ASSERT_OK(vdma_region_destroy(region));
	ASSERT_OK(vdma_device_close(devs[0]));
	ASSERT_OK(vdma_ioas_destroy(a));
	ASSERT_OK(vdma_ioas_destroy(b));
}

/* A second device in a space reserves more: ranges are read again when it comes and goes. */
static void narrows(enum vdma_backend backend)
{
	const uint64_t top = window_of(arena);
	const struct vdma_range reserved = { top - 2 * GIB, top - GIB - 1 };
	struct vdma_ioas *ioas = ioas_of(arena, backend);
	struct vdma_arena_info before = { .size = sizeof(before) }, now = before;
	struct vdma_region *low, *high;
	struct vdma_range ranges[8];
	char words[64];
	size_t n = 8;

	fake_reserve(6, reserved);
	devs[0] = device_of(ioas, bdfs[0]);
	ASSERT_OK(vdma_ioas_ranges(ioas, ranges, &n));
	assert_int_equal(n, 2);
	ASSERT_OK(vdma_arena_query(arena, &before));
	/* A region of 1.5 GiB reaches into what the second device will not have. */
	fake.lazy = true;
	high = anon_region(arena, GIB + GIB / 2);
	assert_true(vdma_region_buf(high).iova <= reserved.last);
	snprintf(words, sizeof(words), "1536 MiB at IOVA 0x%llx lies in 0x%llx",
		 (unsigned long long)vdma_region_buf(high).iova,
		 (unsigned long long)reserved.first);
	ASSERT_FAILS(vdma_device_open(ioas, bdfs[1], NULL, &devs[1]), ERANGE,
		     VDMA_CAUSE_UNREACHABLE, words, "group of 0000:00:11.0, 6, reserves");
	assert_int_equal(reachable(high), 1);
	ASSERT_OK(vdma_region_destroy(high));

	devs[1] = device_of(ioas, bdfs[1]);
	n = 8;
	ASSERT_OK(vdma_ioas_ranges(ioas, ranges, &n));
	assert_int_equal(n, 3);
	ASSERT_OK(vdma_arena_query(arena, &now));
	assert_int_equal(now.usable, before.usable - GIB);
	low = anon_region(arena, GIB + GIB / 2);
	assert_true(vdma_region_buf(low).iova + vdma_region_buf(low).len <= reserved.first);
	ASSERT_OK(vdma_device_close(devs[1]));
	n = 8;
	ASSERT_OK(vdma_ioas_ranges(ioas, ranges, &n));
	assert_int_equal(n, 2);
	ASSERT_OK(vdma_arena_query(arena, &now));
	assert_int_equal(now.usable, before.usable);
	ASSERT_OK(vdma_region_destroy(low));

	/* What sysfs does not tell, the kernel says by itself. */
	high = anon_region(arena, GIB + GIB / 2);
	fake_deny("/sys/kernel/iommu_groups/6/reserved_regions", EACCES);
	ASSERT_FAILS(vdma_device_open(ioas, bdfs[1], NULL, &devs[1]), ERANGE,
		     VDMA_CAUSE_UNREACHABLE, "0000:00:11.0", "reserves");
	ASSERT_OK(vdma_region_destroy(high));
	ASSERT_OK(vdma_device_close(devs[0]));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

/* Its IOMMU has fewer address bits, which the kernel is the first to see. */
static void shortens(enum vdma_backend backend)
{
	const uint64_t half = window_of(arena) / 2;
	const struct vdma_region_opts opts = { .size = sizeof(opts),
					       .provider = VDMA_PROVIDER_ANON,
					       .address_bits = 31 };
	struct vdma_ioas *ioas = ioas_of(arena, backend), *other = ioas_of(arena, backend);
	struct vdma_region *low[2], *high, *elsewhere;
	struct vdma_range ranges[8];
	char words[128];
	uint64_t last;
	size_t n = 8;

	fake_reach(7, half - 1);
	devs[0] = device_of(ioas, bdfs[0]);
	/* The highest of all is not this space's, and the latest is not its highest. */
	ASSERT_OK(create(&other, 1, &elsewhere));
	ASSERT_OK(vdma_region_create(arena, 4096, &opts, &low[0]));
	high = anon_region(arena, 8192);
	ASSERT_OK(vdma_region_create(arena, 4096, &opts, &low[1]));
	last = vdma_region_buf(high).iova + 8191;
	assert_true(vdma_region_buf(elsewhere).iova > last && last >= half);
	snprintf(words, sizeof(words), "the highest of its regions, of 8 KiB, ends at IOVA 0x%llx;",
		 (unsigned long long)last);
	ASSERT_FAILS(vdma_device_open(ioas, bdfs[2], NULL, &devs[2]), ERANGE,
		     VDMA_CAUSE_UNREACHABLE, bdfs[2], words, "IOMMU may have fewer address bits",
		     "Open this device first");
	assert_int_equal(vdma_last_failure()->need, last);
	assert_int_equal(vdma_last_failure()->sys_errno,
			 backend == VDMA_BACKEND_TYPE1 ? EINVAL : EADDRINUSE);
	assert_int_equal(reachable(high), 1);

	/* Without that one it can be had, and what comes then is in its reach. */
	ASSERT_OK(vdma_region_destroy(high));
	devs[2] = device_of(ioas, bdfs[2]);
	ASSERT_OK(vdma_ioas_ranges(ioas, ranges, &n));
	assert_int_equal(ranges[n - 1].last, half - 1);
	high = anon_region(arena, 8192);
	assert_true(vdma_region_buf(high).iova + 8192 <= half);
	ASSERT_OK(vdma_region_destroy(high));
	ASSERT_OK(vdma_region_destroy(low[0]));
	ASSERT_OK(vdma_region_destroy(low[1]));
	ASSERT_OK(vdma_region_destroy(elsewhere));
	ASSERT_OK(vdma_device_close(devs[0]));
	ASSERT_OK(vdma_device_close(devs[2]));
	ASSERT_OK(vdma_ioas_destroy(ioas));
	ASSERT_OK(vdma_ioas_destroy(other));
}

static void test_narrows_type1(void **state)
{
	(void)state;
	narrows(VDMA_BACKEND_TYPE1);
	shortens(VDMA_BACKEND_TYPE1);
}

static void test_narrows_iommufd(void **state)
{
	(void)state;
	narrows(VDMA_BACKEND_IOMMUFD);
	shortens(VDMA_BACKEND_IOMMUFD);
}

#define ARENA_TEST(fn) cmocka_unit_test_setup_teardown(fn, with_arena, without_arena)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ARENA_TEST(test_third_of_five), ARENA_TEST(test_replay_fails),
		ARENA_TEST(test_named),		ARENA_TEST(test_all_named),
		ARENA_TEST(test_named_badly),	ARENA_TEST(test_named_and_reach),
		ARENA_TEST(test_narrows_type1), ARENA_TEST(test_narrows_iommufd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
