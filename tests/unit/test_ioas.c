// SPDX-License-Identifier: BSD-3-Clause
/*
 * Address spaces: every region is mapped for every device, before, between
 * and after them; a refusal leaves nothing behind.
 */
#include "unit.h"

#include <linux/vfio.h>

static struct vdma_arena *arena;

static int with_arena(void **state)
{
	reset(state);
	add_edu(EDU, 5);
	add_edu(NIC, 6);
	return vdma_arena_create(NULL, &arena);
}

static int without_arena(void **state)
{
	return vdma_arena_destroy(arena) ? -1 : check_clean(state);
}

static bool mapped(unsigned int container, const struct vdma_region *region)
{
	struct vdma_buf buf = vdma_region_buf(region);

	return fake_is_mapped(container, buf.iova, buf.va, buf.len);
}

static uint32_t mapped_count(struct vdma_region *region)
{
	struct vdma_region_info info = { .size = sizeof(info) };

	ASSERT_OK(vdma_region_query(region, &info));
	return info.mapped;
}

static void test_replay(void **state)
{
	struct vdma_ioas *ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	struct vdma_region *before = anon_region(arena, MIB), *after;
	struct vdma_device *dev, *nic;

	(void)state;
	assert_int_equal(mapped_count(before), 0);
	assert_int_equal(ioas_info(ioas).entries_left, UINT64_MAX);
	dev = device_of(ioas, EDU);
	assert_true(mapped(0, before));
	after = anon_region(arena, 4096);
	assert_true(mapped(0, after));
	assert_int_equal(ioas_info(ioas).entries_used, 2);
	assert_int_equal(ioas_info(ioas).entries_left, 98);
	assert_int_equal(ioas_info(ioas).page_sizes, 0x40201000);
	assert_int_equal(ioas_info(ioas).devices, 1);
	assert_int_equal(ioas_info(ioas).backend, VDMA_BACKEND_TYPE1);

	/* A second group in the same container needs no second mapping. */
	nic = device_of(ioas, NIC);
	assert_int_equal(fake_mappings(), 2);
	ASSERT_OK(vdma_device_close(dev));
	assert_int_equal(fake_mappings(), 2);
	assert_int_equal(mapped_count(before), 1);

	/* The kernel wipes the container with its last device. */
	ASSERT_OK(vdma_device_close(nic));
	assert_int_equal(fake_mappings(), 0);
	assert_int_equal(mapped_count(before), 0);
	assert_int_equal(ioas_info(ioas).entries_used, 0);
	ASSERT_OK(vdma_region_destroy(after));

	dev = device_of(ioas, EDU);
	assert_true(mapped(0, before));
	assert_int_equal(fake_mappings(), 1);
	ASSERT_OK(vdma_region_destroy(before));
	assert_int_equal(fake_mappings(), 0);
	ASSERT_FAILS(vdma_ioas_destroy(ioas), EBUSY, VDMA_CAUSE_CHILDREN, "1 open device");
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

static void test_several(void **state)
{
	struct vdma_ioas *a = ioas_of(arena, VDMA_BACKEND_AUTO),
			 *idle = ioas_of(arena, VDMA_BACKEND_AUTO),
			 *b = ioas_of(arena, VDMA_BACKEND_AUTO);
	struct vdma_device *edu = device_of(a, EDU), *nic = device_of(b, NIC);
	struct vdma_region *region = anon_region(arena, 4096);
	struct vdma_region_info info = { .size = sizeof(info) };

	(void)state;
	assert_true(mapped(0, region));
	assert_true(mapped(2, region));
	assert_int_equal(fake_mappings(), 2);
	ASSERT_OK(vdma_region_query(region, &info));
	assert_int_equal(info.mapped, 2);
	assert_true(info.map_ns > 0);
	ASSERT_OK(vdma_ioas_destroy(idle));
	ASSERT_OK(vdma_device_close(edu));
	assert_false(mapped(0, region));
	assert_true(mapped(2, region));
	ASSERT_OK(vdma_region_destroy(region));
	assert_int_equal(fake_mappings(), 0);
	ASSERT_OK(vdma_device_close(nic));
	ASSERT_OK(vdma_ioas_destroy(a));
	ASSERT_OK(vdma_ioas_destroy(b));
}

static void test_rollback(void **state)
{
	struct vdma_region_opts opts = { .size = sizeof(opts), .provider = VDMA_PROVIDER_ANON };
	struct vdma_ioas *a = ioas_of(arena, VDMA_BACKEND_AUTO),
			 *b = ioas_of(arena, VDMA_BACKEND_AUTO);
	struct vdma_device *edu = device_of(a, EDU), *nic = device_of(b, NIC);
	struct vdma_region *region = (void *)1;

	(void)state;
	fake.fail_request = VFIO_IOMMU_MAP_DMA;
	fake.fail_request_skip = 1;
	fake.fail_request_err = ENXIO;
	ASSERT_FAILS(vdma_region_create(arena, 4096, &opts, &region), EIO, VDMA_CAUSE_SYSTEM,
		     "VFIO_IOMMU_MAP_DMA of 4 KiB");
	assert_int_equal(vdma_last_failure()->sys_errno, ENXIO);
	assert_ptr_equal(region, (void *)1);
	assert_int_equal(fake_mappings(), 0);
	assert_int_equal(ioas_info(a).entries_used, 0);
	assert_true(fake_is_reserved(vdma_va(arena, window_of(arena) - 4096), 4096));
	/* The place is free again. */
	region = anon_region(arena, 4096);
	assert_int_equal(vdma_region_buf(region).iova, window_of(arena) - 4096);
	ASSERT_OK(vdma_region_destroy(region));
	ASSERT_OK(vdma_device_close(edu));
	ASSERT_OK(vdma_device_close(nic));
	ASSERT_OK(vdma_ioas_destroy(a));
	ASSERT_OK(vdma_ioas_destroy(b));
}

static void test_replay_fails(void **state)
{
	struct vdma_region *one = anon_region(arena, 4096), *two = anon_region(arena, 4096);
	struct vdma_device *dev = (void *)1;
	struct vdma_ioas *ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	size_t files = fake_open_files();

	(void)state;
	fake.fail_request = VFIO_IOMMU_MAP_DMA;
	fake.fail_request_skip = 1;
	fake.fail_request_err = ENXIO;
	ASSERT_FAILS(vdma_device_open(ioas, EDU, NULL, &dev), EIO, VDMA_CAUSE_SYSTEM, "MAP_DMA");
	assert_ptr_equal(dev, (void *)1);
	assert_int_equal(fake_open_files(), files);
	assert_int_equal(fake_mappings(), 0);
	assert_int_equal(ioas_info(ioas).devices, 0);
	assert_int_equal(ioas_info(ioas).entries_used, 0);
	assert_int_equal(mapped_count(one) + mapped_count(two), 0);
	dev = device_of(ioas, EDU);
	assert_true(mapped(0, one) && mapped(0, two));
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_region_destroy(one));
	ASSERT_OK(vdma_region_destroy(two));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

static void test_unmap_is_checked(void **state)
{
	struct vdma_ioas *ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	struct vdma_device *dev = device_of(ioas, EDU);
	struct vdma_region *region = anon_region(arena, 8192);

	(void)state;
	fake.short_unmap = true;
	ASSERT_FAILS(vdma_region_destroy(region), EIO, VDMA_CAUSE_SYSTEM, "0x0 bytes", "0x2000");
	/* A device can reach it: memory and address stay as they are. */
	assert_true(mapped(0, region));
	*(char *)vdma_region_buf(region).va = 1;
	fake.short_unmap = false;
	ASSERT_OK(vdma_region_destroy(region));
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

static void test_entries(void **state)
{
	struct vdma_region_opts opts = { .size = sizeof(opts), .provider = VDMA_PROVIDER_ANON };
	struct vdma_ioas *ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	struct vdma_region *regions[4], *more;
	struct vdma_device *dev;
	unsigned long calls;
	unsigned int i;

	(void)state;
	fake.entry_limit = 3;
	for (i = 0; i < 4; i++)
		regions[i] = anon_region(arena, 4096);
	/* Replay would not fit: nothing is mapped before that is said. */
	fake.fail_request = VFIO_IOMMU_MAP_DMA;
	fake.fail_request_err = ENXIO;
	ASSERT_FAILS(vdma_device_open(ioas, EDU, NULL, &dev), ENOSPC, VDMA_CAUSE_DMA_ENTRIES,
		     "4 more DMA entries", "0 of 3 are in use", "dma_entry_limit");
	fake.fail_request_err = 0;
	ASSERT_OK(vdma_region_destroy(regions[3]));
	dev = device_of(ioas, EDU);
	assert_int_equal(ioas_info(ioas).entries_left, 0);
	/* One that went is in use no more. */
	ASSERT_OK(vdma_region_destroy(regions[2]));
	regions[2] = anon_region(arena, 4096);
	calls = fake.calls;
	ASSERT_FAILS(vdma_region_create(arena, 4096, &opts, &more), ENOSPC, VDMA_CAUSE_DMA_ENTRIES,
		     "1 more DMA entries", "3 of 3",
		     "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit");
	assert_int_equal(vdma_last_failure()->need, 1);
	assert_int_equal(vdma_last_failure()->used, 3);
	assert_int_equal(vdma_last_failure()->limit, 3);
	/* Refused by looking only: two GET_INFO. */
	assert_int_equal(fake.calls - calls, 2);
	for (i = 0; i < 3; i++)
		ASSERT_OK(vdma_region_destroy(regions[i]));
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

static void test_memlock(void **state)
{
	struct vdma_region_opts opts = { .size = sizeof(opts), .provider = VDMA_PROVIDER_ANON };
	struct vdma_ioas *a = ioas_of(arena, VDMA_BACKEND_AUTO),
			 *b = ioas_of(arena, VDMA_BACKEND_AUTO);
	struct vdma_device *edu, *nic;
	struct vdma_region *one, *two;

	(void)state;
	fake.memlock_limit = 4 * MIB;
	/* As much as the limit can be allocated and registered once (D7). */
	one = anon_region(arena, 4 * MIB);
	edu = device_of(a, EDU);
	ASSERT_FAILS(vdma_region_create(arena, 4096, &opts, &two), EAGAIN, VDMA_CAUSE_MEMLOCK,
		     "would lock 4 KiB", "has 4 MiB locked", "RLIMIT_MEMLOCK is 4 MiB",
		     "ulimit -l");
	assert_int_equal(vdma_last_failure()->need, 4096);
	assert_int_equal(vdma_last_failure()->used, 4 * MIB);
	assert_int_equal(vdma_last_failure()->limit, 4 * MIB);
	/* The next container counts all again. */
	ASSERT_FAILS(vdma_device_open(b, NIC, NULL, &nic), EAGAIN, VDMA_CAUSE_MEMLOCK, "4 MiB");
	fake.memlock_limit = 8 * MIB + 4096;
	nic = device_of(b, NIC);
	ASSERT_FAILS(vdma_region_create(arena, 4096, &opts, &two), EAGAIN, VDMA_CAUSE_MEMLOCK,
		     "would lock 8 KiB (4 KiB in each of 2 address spaces)", "has 8 MiB locked");
	fake.cap_ipc_lock = true;
	two = anon_region(arena, 4096);
	ASSERT_OK(vdma_region_destroy(two));
	ASSERT_OK(vdma_region_destroy(one));
	ASSERT_OK(vdma_device_close(edu));
	ASSERT_OK(vdma_device_close(nic));
	ASSERT_OK(vdma_ioas_destroy(a));
	ASSERT_OK(vdma_ioas_destroy(b));
}

static void test_memlock_seen_by_the_kernel_only(void **state)
{
	struct vdma_region_opts opts = { .size = sizeof(opts), .provider = VDMA_PROVIDER_ANON };
	struct vdma_ioas *ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	struct vdma_device *dev = device_of(ioas, EDU);
	struct vdma_region *region;

	(void)state;
	/* type1's ENOMEM is told apart from a lack of memory by the numbers. */
	fake.fail_request = VFIO_IOMMU_MAP_DMA;
	fake.fail_request_err = ENOMEM;
	ASSERT_FAILS(vdma_region_create(arena, 4096, &opts, &region), ENOMEM, VDMA_CAUSE_NO_MEMORY,
		     "MAP_DMA");
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

static void test_usable_ranges(void **state)
{
	struct vdma_arena_info info = { .size = sizeof(info) };
	struct vdma_ioas *a, *b;
	struct vdma_range ranges[4];
	struct vdma_device *edu, *nic;
	struct vdma_region *region;
	size_t n = 4;

	(void)state;
	if (on_valgrind())
		skip();
	a = ioas_of(arena, VDMA_BACKEND_AUTO);
	b = ioas_of(arena, VDMA_BACKEND_AUTO);
	ASSERT_OK(vdma_ioas_ranges(a, ranges, &n));
	assert_int_equal(n, 0);
	fake.nranges = 1;
	fake.ranges[0] = (struct vdma_range){ 0, 64 * GIB - 1 };
	edu = device_of(a, EDU);
	n = 4;
	ASSERT_OK(vdma_ioas_ranges(a, ranges, &n));
	assert_int_equal(n, 1);
	assert_int_equal(ranges[0].first, 0);
	ASSERT_OK(vdma_arena_query(arena, &info));
	assert_int_equal(info.assumed, 0);
	assert_int_equal(info.usable, 64 * GIB - 4096);

	/* Another IOMMU can do less: what both can remains. */
	fake.ranges[0] = (struct vdma_range){ 0, 32 * GIB - 1 };
	nic = device_of(b, NIC);
	region = anon_region(arena, 4096);
	assert_int_equal(vdma_region_buf(region).iova, 32 * GIB - 4096);
	ASSERT_OK(vdma_device_close(nic));
	ASSERT_OK(vdma_region_destroy(region));
	region = anon_region(arena, 4096);
	assert_int_equal(vdma_region_buf(region).iova, 64 * GIB - 4096);
	/* That region is now out of the other's reach. */
	ASSERT_FAILS(vdma_device_open(b, NIC, NULL, &nic), ERANGE, VDMA_CAUSE_UNREACHABLE,
		     "4 KiB at IOVA 0xffffff000", "Open the device before");
	assert_int_equal(fake_mappings(), 1);
	ASSERT_OK(vdma_region_destroy(region));
	ASSERT_OK(vdma_device_close(edu));
	ASSERT_OK(vdma_arena_query(arena, &info));
	assert_int_equal(info.assumed, 1);
	ASSERT_OK(vdma_ioas_destroy(a));
	ASSERT_OK(vdma_ioas_destroy(b));
}

static void test_region_in_the_assumed_range(void **state)
{
	struct vdma_region *region;
	struct vdma_ioas *ioas;
	struct vdma_device *dev;
	size_t files;

	(void)state;
	if (on_valgrind())
		skip();
	region = anon_region(arena, 4096);
	ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	files = fake_open_files();
	/* 36 bits: fewer than assumed. */
	fake.nranges = 1;
	fake.ranges[0] = (struct vdma_range){ 0, 64 * GIB - 1 };
	ASSERT_FAILS(vdma_device_open(ioas, EDU, NULL, &dev), ERANGE, VDMA_CAUSE_UNREACHABLE,
		     "0x3ffffff000");
	assert_int_equal(fake_open_files(), files);
	ASSERT_OK(vdma_region_destroy(region));
	dev = device_of(ioas, EDU);
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

static void test_no_ranges_told(void **state)
{
	struct vdma_ioas *ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	struct vdma_device *dev;

	(void)state;
	fake.no_ranges = true;
	ASSERT_FAILS(vdma_device_open(ioas, EDU, NULL, &dev), EOPNOTSUPP, VDMA_CAUSE_UNSUPPORTED,
		     "Linux 5.4");
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

static void test_no_vfio(void **state)
{
	struct vdma_ioas_opts opts = { .size = sizeof(opts), .backend = (enum vdma_backend)9 };
	struct vdma_ioas *ioas = (void *)1;

	(void)state;
	fake_remove("/dev/iommu");
	ASSERT_FAILS(vdma_ioas_create(arena, &opts, &ioas), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "backend 9");
	fake.type1v2 = 0;
	ASSERT_FAILS(vdma_ioas_create(arena, NULL, &ioas), ENOENT, VDMA_CAUSE_NO_VFIO,
		     "modprobe vfio_iommu_type1");
	fake.api_version = 3;
	ASSERT_FAILS(vdma_ioas_create(arena, NULL, &ioas), EOPNOTSUPP, VDMA_CAUSE_UNSUPPORTED,
		     "API version 3");
	fake_deny("/dev/vfio/vfio", EACCES);
	ASSERT_FAILS(vdma_ioas_create(arena, NULL, &ioas), EACCES, VDMA_CAUSE_PERMISSION,
		     "/dev/vfio/vfio");
	fake_remove("/dev/vfio/vfio");
	ASSERT_FAILS(vdma_ioas_create(arena, NULL, &ioas), ENOENT, VDMA_CAUSE_NO_VFIO,
		     "/dev/vfio/vfio", "modprobe vfio-pci");
	assert_ptr_equal(ioas, (void *)1);
}

static void test_too_many(void **state)
{
	struct vdma_ioas *ioas[64], *more;
	unsigned int i;

	(void)state;
	for (i = 0; i < 64; i++)
		ioas[i] = ioas_of(arena, VDMA_BACKEND_AUTO);
	ASSERT_FAILS(vdma_ioas_create(arena, NULL, &more), ENOSPC, VDMA_CAUSE_TOO_MANY, "64");
	assert_int_equal(fake_open_files(), 64);
	/* The last slot works as the first. */
	{
		struct vdma_device *dev = device_of(ioas[63], EDU);
		struct vdma_region *region = anon_region(arena, 4096);

		assert_true(mapped(63, region));
		ASSERT_OK(vdma_region_destroy(region));
		ASSERT_OK(vdma_device_close(dev));
	}
	for (i = 0; i < 64; i++)
		ASSERT_OK(vdma_ioas_destroy(ioas[i]));
	ASSERT_OK(vdma_ioas_destroy(NULL));
}

#define ARENA_TEST(fn) cmocka_unit_test_setup_teardown(fn, with_arena, without_arena)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ARENA_TEST(test_replay),	   ARENA_TEST(test_several),
		ARENA_TEST(test_rollback),	   ARENA_TEST(test_replay_fails),
		ARENA_TEST(test_unmap_is_checked), ARENA_TEST(test_entries),
		ARENA_TEST(test_memlock),	   ARENA_TEST(test_memlock_seen_by_the_kernel_only),
		ARENA_TEST(test_usable_ranges),	   ARENA_TEST(test_region_in_the_assumed_range),
		ARENA_TEST(test_no_ranges_told),   ARENA_TEST(test_no_vfio),
		ARENA_TEST(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
