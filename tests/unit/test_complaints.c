// SPDX-License-Identifier: BSD-3-Clause
/*
 * Failures that users of other libraries complain about, as docs/complaints.md lists
 * them: those that no other test provokes, each told with its cause, its numbers and
 * what to do.
 */
#include "unit.h"

#include <linux/vfio.h>

#include "../../libvdma/iommufd_abi.h"

#define THIRD "0000:00:12.0"

static struct vdma_arena *arena;

static const struct kind {
	enum vdma_backend backend;
	unsigned long map;
} kinds[] = {
	{ VDMA_BACKEND_TYPE1, VFIO_IOMMU_MAP_DMA },
	{ VDMA_BACKEND_IOMMUFD, IOMMUFD_ABI_IOAS_MAP },
};

static int with_arena(void **state)
{
	reset(state);
	add_edu(EDU, 5);
	add_edu(NIC, 6);
	add_edu(THIRD, 7);
	return vdma_arena_create(NULL, &arena);
}

static int without_arena(void **state)
{
	return vdma_arena_destroy(arena) ? -1 : check_clean(state);
}

static int create_fails(size_t len)
{
	struct vdma_region_opts opts = { .size = sizeof(opts), .provider = VDMA_PROVIDER_ANON };
	struct vdma_region *const none = (void *)1, *region = none;
	int err = vdma_region_create(arena, len, &opts, &region);

	assert_ptr_equal(region, none);
	return err;
}

/* The next region's mapping is refused with this errno, by a device's address space. */
static int mapping_fails(const struct kind *kind, int err)
{
	struct vdma_ioas *ioas = ioas_of(arena, kind->backend);
	struct vdma_device *dev = device_of(ioas, EDU);
	int ret;

	fake.fail_request = kind->map;
	fake.fail_request_err = err;
	ret = create_fails(8192);
	assert_int_equal(vdma_last_failure()->sys_errno, err);
	assert_int_equal(fake_mappings(), 0);
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
	return ret;
}

/* 1, 3: entries that are gone between the look and the call. */
static void entries_gone_meanwhile(void **state)
{
	(void)state;
	ASSERT_FAILS(mapping_fails(&kinds[0], ENOSPC), ENOSPC, VDMA_CAUSE_DMA_ENTRIES,
		     "1 more DMA entries are needed, 0 of 0 are in use",
		     "Use fewer and larger regions",
		     "echo NUMBER > /sys/module/vfio_iommu_type1/parameters/dma_entry_limit");
}

/* 4, 5: the kernel unmaps nothing, and says so by the size alone. */
static void unmapped_size(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct vdma_ioas *ioas = ioas_of(arena, kinds[i].backend);
		struct vdma_device *dev = device_of(ioas, EDU);
		struct vdma_region *region = anon_region(arena, 8192), *other;
		char what[64];

		snprintf(what, sizeof(what), "unmapped 0x0 bytes at IOVA 0x%zx instead of 0x2000",
			 window_of(arena) - 8192);
		fake.short_unmap = true;
		ASSERT_FAILS(vdma_region_destroy(region), EIO, VDMA_CAUSE_SYSTEM, what,
			     "forked child", "address are kept", "Close the devices",
			     "can be destroyed");
		assert_int_equal(vdma_last_failure()->need, 8192);
		assert_int_equal(vdma_last_failure()->limit, 0);
		fake.short_unmap = false;
		/* Nobody else gets the address, at which the device still finds the old pages. */
		other = anon_region(arena, 8192);
		assert_int_equal(vdma_region_buf(other).iova, vdma_region_buf(region).iova - 8192);
		/* What the words say helps. */
		ASSERT_OK(vdma_device_close(dev));
		assert_int_equal(fake_mappings(), 0);
		ASSERT_OK(vdma_region_destroy(region));
		ASSERT_OK(vdma_region_destroy(other));
		ASSERT_OK(vdma_ioas_destroy(ioas));
	}
}

/* 4, 6: there is a mapping, and it is not ours. */
static void mapped_by_somebody_else(void **state)
{
	size_t window = window_of(arena), i;
	char what[64];

	(void)state;
	snprintf(what, sizeof(what), "mapped in IOVA 0x%zx to 0x%zx", window - 8192, window - 1);
	for (i = 0; i < 2; i++) {
		ASSERT_FAILS(mapping_fails(&kinds[i], EEXIST), EIO, VDMA_CAUSE_SYSTEM, what,
			     "forked child", "Nothing was mapped", "Close the devices");
		assert_int_equal(vdma_last_failure()->need, 8192);
	}
}

/* 9, 10: an IOMMU of 36 bits, and a region above. */
static void beyond_the_iommu(void **state)
{
	struct vdma_region *region;
	struct vdma_device *dev;
	struct vdma_ioas *ioas;

	(void)state;
	if (on_valgrind())
		skip();
	region = anon_region(arena, 4096);
	ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	fake.ranges[1].last = 64 * GIB - 1;
	ASSERT_FAILS(vdma_device_open(ioas, EDU, NULL, &dev), ERANGE, VDMA_CAUSE_UNREACHABLE,
		     "4 KiB at IOVA 0x3ffffff000", "up to 0xfffffffff, in 2 ranges",
		     "Open the device before", "or destroy the region");
	assert_int_equal(vdma_last_failure()->need, 256 * GIB - 1);
	assert_int_equal(vdma_last_failure()->limit, 64 * GIB - 1);
	ASSERT_OK(vdma_region_destroy(region));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

/* 12: four times 1 GiB for a device of 32 address bits, among page 0 and the MSI range. */
static void four_times_a_gibibyte(void **state)
{
	struct vdma_region_opts opts = {
		.size = sizeof(opts),
		.provider = VDMA_PROVIDER_ANON,
		.address_bits = 32,
	};
	struct vdma_region *regions[3], *more = NULL;
	size_t i;

	(void)state;
	if (on_valgrind())
		skip();
	fake.lazy = true;
	for (i = 0; i < 2; i++)
		ASSERT_OK(vdma_region_create(arena, GIB, &opts, &regions[i]));
	ASSERT_FAILS(vdma_region_create(arena, GIB, &opts, &more), EADDRNOTAVAIL,
		     VDMA_CAUSE_ADDRESS_BITS, "1 GiB do not fit below 2^32",
		     "largest free run of device addresses there is 1048572 KiB", "smaller region",
		     "more address_bits", "destroy regions");
	assert_null(more);
	assert_int_equal(vdma_last_failure()->need, GIB);
	assert_int_equal(vdma_last_failure()->limit, GIB - 4096);
	/* The first remedy. */
	ASSERT_OK(vdma_region_create(arena, GIB - 4096, &opts, &regions[2]));
	for (i = 0; i < 3; i++)
		ASSERT_OK(vdma_region_destroy(regions[i]));
}

/* 22, 23, 25: N address spaces take N times the limit; N devices in one take it once. */
static void limit_for_many_devices(void **state)
{
	static const char *const bdf[] = { EDU, NIC, THIRD };
	struct vdma_device *devs[3], *none;
	struct vdma_ioas *ioas[3];
	struct vdma_region *region;
	size_t i;

	(void)state;
	fake.memlock_limit = 8 * MIB;
	region = anon_region(arena, 4 * MIB);
	for (i = 0; i < 3; i++)
		ioas[i] = ioas_of(arena, VDMA_BACKEND_TYPE1);
	for (i = 0; i < 2; i++)
		devs[i] = device_of(ioas[i], bdf[i]);
	ASSERT_FAILS(vdma_device_open(ioas[2], THIRD, NULL, &none), EAGAIN, VDMA_CAUSE_MEMLOCK,
		     "would lock 4 MiB, the process has 8 MiB locked",
		     "RLIMIT_MEMLOCK is 8 MiB; it has to be 12 MiB at least", "ulimit -l",
		     "limits.conf", "LimitMEMLOCK=", "CAP_IPC_LOCK",
		     "devices that share one need it once");
	assert_int_equal(vdma_last_failure()->need, 4 * MIB);
	assert_int_equal(vdma_last_failure()->used, 8 * MIB);
	assert_int_equal(vdma_last_failure()->limit, 8 * MIB);
	/* Either remedy. */
	devs[2] = device_of(ioas[1], THIRD);
	ASSERT_OK(vdma_device_close(devs[2]));
	fake.memlock_limit = 12 * MIB;
	devs[2] = device_of(ioas[2], THIRD);
	ASSERT_FAILS(create_fails(4096), EAGAIN, VDMA_CAUSE_MEMLOCK, "would lock 4 KiB",
		     "has 12 MiB locked", "it has to be 12292 KiB at least");
	for (i = 0; i < 3; i++) {
		ASSERT_OK(vdma_device_close(devs[i]));
		ASSERT_OK(vdma_ioas_destroy(ioas[i]));
	}
	ASSERT_OK(vdma_region_destroy(region));
}

/* 25: type1's ENOMEM, which only the kernel's log calls RLIMIT_MEMLOCK. */
static void limit_lowered_meanwhile(void **state)
{
	(void)state;
	fake.fail_memlock = 4096;
	ASSERT_FAILS(mapping_fails(&kinds[0], ENOMEM), EAGAIN, VDMA_CAUSE_MEMLOCK,
		     "would lock 8 KiB", "has 0 bytes locked", "RLIMIT_MEMLOCK is 4 KiB",
		     "at least", "ulimit -l");
	assert_int_equal(vdma_last_failure()->need, 8192);
	assert_int_equal(vdma_last_failure()->limit, 4096);
}

/* 23, 24: iommufd counts for the user, who may have other processes. */
static void limit_of_the_user(void **state)
{
	struct vdma_ioas *one = ioas_of(arena, VDMA_BACKEND_IOMMUFD),
			 *two = ioas_of(arena, VDMA_BACKEND_IOMMUFD);
	struct vdma_device *edu = device_of(one, EDU), *nic = device_of(two, NIC);

	(void)state;
	fake.memlock_limit = 1 * MIB;
	ASSERT_FAILS(create_fails(MIB), EAGAIN, VDMA_CAUSE_MEMLOCK,
		     "would lock 2 MiB more (1 MiB in each of 2 address spaces)",
		     "RLIMIT_MEMLOCK is 1 MiB for all that this user has locked through iommufd in "
		     "all processes",
		     "ulimit -l", "CAP_IPC_LOCK", "devices that share one need it once");
	assert_int_equal(vdma_last_failure()->need, 2 * MIB);
	assert_int_equal(vdma_last_failure()->limit, MIB);
	assert_int_equal(fake_mappings(), 0);
	/* Another process of this user has some: what the kernel alone knows. */
	fake.user_locked = 1 * MIB;
	ASSERT_FAILS(create_fails(4096), EAGAIN, VDMA_CAUSE_MEMLOCK, "would lock 4 KiB more",
		     "RLIMIT_MEMLOCK is 1 MiB", "all processes");
	assert_int_equal(vdma_last_failure()->sys_errno, ENOMEM);
	assert_int_equal(fake_mappings(), 0);
	fake.user_locked = 0;
	ASSERT_OK(vdma_device_close(edu));
	ASSERT_OK(vdma_device_close(nic));
	ASSERT_OK(vdma_ioas_destroy(one));
	ASSERT_OK(vdma_ioas_destroy(two));
}

/*
 * 23: what is locked for the process and what for the user is not one sum. Whichever of
 * them comes first, the limit is enough for one space of each; not for two of a kind.
 */
static void limit_of_each(enum vdma_backend first, enum vdma_backend second)
{
	struct vdma_ioas *ioas[] = { ioas_of(arena, first), ioas_of(arena, second),
				     ioas_of(arena, first) };
	static const char *const bdf[] = { EDU, NIC, THIRD };
	struct vdma_device *devs[3];
	struct vdma_region *region;
	size_t i;

	fake.memlock_limit = MIB + MIB / 2;
	for (i = 0; i < 2; i++)
		devs[i] = device_of(ioas[i], bdf[i]);
	region = anon_region(arena, MIB);
	assert_int_equal(fake.locked, MIB);
	assert_int_equal(fake.user_locked, MIB);
	ASSERT_OK(vdma_region_destroy(region));
	devs[2] = device_of(ioas[2], bdf[2]);
	ASSERT_FAILS(create_fails(MIB), EAGAIN, VDMA_CAUSE_MEMLOCK, "would lock 2 MiB",
		     "(1 MiB in each of 2 address spaces)");
	assert_int_equal(vdma_last_failure()->sys_errno, 0);
	fake.memlock_limit = 2 * MIB;
	region = anon_region(arena, MIB);
	assert_int_equal(fake_mappings(), 3);
	ASSERT_OK(vdma_region_destroy(region));
	for (i = 0; i < 3; i++) {
		ASSERT_OK(vdma_device_close(devs[i]));
		ASSERT_OK(vdma_ioas_destroy(ioas[i]));
	}
}

static void limit_of_both(void **state)
{
	(void)state;
	limit_of_each(VDMA_BACKEND_TYPE1, VDMA_BACKEND_IOMMUFD);
	limit_of_each(VDMA_BACKEND_IOMMUFD, VDMA_BACKEND_TYPE1);
}

/* 28: memory that is not to be pinned for long. */
static void not_pinned(void **state)
{
	static const char *const who[] = { "VFIO's type1 cannot map these 8 KiB",
					   "iommufd cannot map these 8 KiB" };
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		ASSERT_FAILS(mapping_fails(&kinds[i], EOPNOTSUPP), EOPNOTSUPP,
			     VDMA_CAUSE_UNSUPPORTED, who[i], "FOLL_LONGTERM", "DAX file system",
			     "Use device DAX", "memfd");
		assert_int_equal(vdma_last_failure()->need, 8192);
		ASSERT_FAILS(mapping_fails(&kinds[i], EFAULT), EOPNOTSUPP, VDMA_CAUSE_UNSUPPORTED,
			     who[i], "FOLL_LONGTERM", "tracks dirty pages",
			     "use a memfd or hugetlbfs");
		assert_int_equal(vdma_last_failure()->need, 8192);
	}
}

#define ARENA_TEST(fn) cmocka_unit_test_setup_teardown(fn, with_arena, without_arena)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ARENA_TEST(entries_gone_meanwhile),  ARENA_TEST(unmapped_size),
		ARENA_TEST(mapped_by_somebody_else), ARENA_TEST(beyond_the_iommu),
		ARENA_TEST(four_times_a_gibibyte),   ARENA_TEST(limit_for_many_devices),
		ARENA_TEST(limit_lowered_meanwhile), ARENA_TEST(limit_of_the_user),
		ARENA_TEST(limit_of_both),	     ARENA_TEST(not_pinned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
