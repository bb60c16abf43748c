// SPDX-License-Identifier: BSD-3-Clause
/*
 * iommufd: the same regions at the same addresses as over VFIO's containers,
 * what it does otherwise, and its refusals in words.
 */
#include "unit.h"

#include "../../libvdma/iommufd_abi.h"

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

static void test_choice(void **state)
{
	struct vdma_ioas *ioas = ioas_of(arena, VDMA_BACKEND_AUTO), *named;

	(void)state;
	assert_int_equal(ioas_info(ioas).backend, VDMA_BACKEND_TYPE1);
	assert_non_null(strstr(ioas_info(ioas).reason, "containers of type1 v2"));
	named = ioas_of(arena, VDMA_BACKEND_IOMMUFD);
	assert_int_equal(ioas_info(named).backend, VDMA_BACKEND_IOMMUFD);
	assert_non_null(strstr(ioas_info(named).reason, "named"));
	ASSERT_OK(vdma_ioas_destroy(named));
	ASSERT_OK(vdma_ioas_destroy(ioas));

	/* A kernel without containers. */
	fake_remove("/dev/vfio/vfio");
	ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	assert_int_equal(ioas_info(ioas).backend, VDMA_BACKEND_IOMMUFD);
	assert_non_null(strstr(ioas_info(ioas).reason, "no containers"));
	ASSERT_OK(vdma_ioas_destroy(ioas));

	/* One that has neither: the remedy is VFIO's. */
	fake_remove("/dev/iommu");
	ASSERT_FAILS(vdma_ioas_create(arena, NULL, &ioas), ENOENT, VDMA_CAUSE_NO_VFIO,
		     "/dev/vfio/vfio", "modprobe vfio-pci");
	ASSERT_FAILS(vdma_ioas_create(arena,
				      &(struct vdma_ioas_opts){
					      .size = sizeof(struct vdma_ioas_opts),
					      .backend = VDMA_BACKEND_IOMMUFD },
				      &ioas),
		     ENOENT, VDMA_CAUSE_NO_VFIO, "/dev/iommu", "modprobe iommufd");
	/* What may not be opened is not gone round. */
	fake_file("/dev/iommu", "");
	fake_deny("/dev/vfio/vfio", EACCES);
	ASSERT_FAILS(vdma_ioas_create(arena, NULL, &ioas), EACCES, VDMA_CAUSE_PERMISSION,
		     "/dev/vfio/vfio");
}

static void test_replay(void **state)
{
	struct vdma_ioas *ioas = ioas_of(arena, VDMA_BACKEND_IOMMUFD);
	struct vdma_region *before = anon_region(arena, MIB), *after;
	struct vdma_device *dev, *nic;
	struct vdma_range ranges[4];
	size_t n = 4;

	(void)state;
	dev = device_of(ioas, EDU);
	assert_int_equal(fake_mappings(), 1);
	assert_int_equal(fake.user_locked, MIB);
	after = anon_region(arena, 4096);
	assert_int_equal(ioas_info(ioas).entries_used, 2);
	assert_int_equal(ioas_info(ioas).entries_left, UINT64_MAX);
	assert_int_equal(ioas_info(ioas).page_sizes, 4096);
	ASSERT_OK(vdma_ioas_ranges(ioas, ranges, &n));
	assert_int_equal(n, 2);
	assert_int_equal(ranges[1].first, 0xfef00000);
	nic = device_of(ioas, NIC);
	assert_int_equal(fake_mappings(), 2);
	ASSERT_OK(vdma_device_close(dev));
	assert_int_equal(fake_mappings(), 2);

	/* iommufd would keep the mappings. */
	ASSERT_OK(vdma_device_close(nic));
	assert_int_equal(fake_mappings(), 0);
	assert_int_equal(fake.user_locked, 0);
	ASSERT_OK(vdma_region_destroy(after));
	dev = device_of(ioas, EDU);
	assert_int_equal(fake_mappings(), 1);
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_region_destroy(before));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

/* It could not be cleared when its last device went: it is before the next one comes. */
static void test_stale(void **state)
{
	struct vdma_ioas *ioas = ioas_of(arena, VDMA_BACKEND_IOMMUFD);
	struct vdma_region *region = anon_region(arena, MIB);
	struct vdma_device *dev = device_of(ioas, EDU);

	(void)state;
	fake.fail_request = IOMMUFD_ABI_IOAS_UNMAP;
	fake.fail_request_err = EIO;
	ASSERT_FAILS(vdma_device_query(dev, NULL), EINVAL, VDMA_CAUSE_ARGUMENT, "");
	ASSERT_OK(vdma_device_close(dev));
	assert_int_equal(vdma_last_failure()->cause, VDMA_CAUSE_ARGUMENT);
	assert_int_equal(fake_mappings(), 1);
	fake.fail_request_err = EIO;
	ASSERT_FAILS(vdma_device_open(ioas, EDU, NULL, &dev), EIO, VDMA_CAUSE_SYSTEM,
		     "IOMMU_IOAS_UNMAP");
	dev = device_of(ioas, EDU);
	assert_int_equal(fake_mappings(), 1);
	ASSERT_OK(vdma_region_destroy(region));
	assert_int_equal(fake_mappings(), 0);
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

static void test_refusals(void **state)
{
	struct vdma_ioas *ioas = ioas_of(arena, VDMA_BACKEND_IOMMUFD), *other;
	struct vdma_device *dev = NULL, *second = NULL;
	struct vdma_region *region;

	(void)state;
	fake_deny("/dev/vfio/devices/vfio0", EACCES);
	ASSERT_FAILS(vdma_device_open(ioas, EDU, NULL, &dev), EACCES, VDMA_CAUSE_PERMISSION,
		     "/dev/vfio/devices/vfio0");
	fake_file("/dev/vfio/devices/vfio0", "");

	fake.set_iommu_err = EPERM;
	ASSERT_FAILS(vdma_device_open(ioas, EDU, NULL, &dev), EPERM, VDMA_CAUSE_UNSAFE_IRQ,
		     "/sys/module/iommufd/parameters/allow_unsafe_interrupts");
	fake.set_iommu_err = 0;

	fake.second_group_err = EADDRINUSE;
	ASSERT_FAILS(vdma_device_open(ioas, EDU, NULL, &dev), ERANGE, VDMA_CAUSE_UNREACHABLE, EDU,
		     "msi");
	fake.second_group_err = 0;

	/* Held by another process through the group; by ourselves through the node. */
	fake_group_held(6, 31, "qemu");
	ASSERT_FAILS(vdma_device_open(ioas, NIC, NULL, &dev), EBUSY, VDMA_CAUSE_GROUP_BUSY,
		     "/dev/vfio/6", "process 31 (qemu)");
	other = ioas_of(arena, VDMA_BACKEND_IOMMUFD);
	dev = device_of(ioas, EDU);
	ASSERT_FAILS(vdma_device_open(other, EDU, NULL, &second), EBUSY, VDMA_CAUSE_GROUP_BUSY,
		     "This process", "/dev/vfio/devices/vfio0");
	ASSERT_OK(vdma_ioas_destroy(other));

	fake.memlock_limit = 64 << 10;
	ASSERT_FAILS(vdma_region_create(arena, MIB,
					&(struct vdma_region_opts){
						.size = sizeof(struct vdma_region_opts),
						.provider = VDMA_PROVIDER_ANON },
					&region),
		     EAGAIN, VDMA_CAUSE_MEMLOCK, "1 MiB", "64 KiB", "ulimit -l");
	/* One that the user has no room for, though the process would. */
	region = anon_region(arena, 64 << 10);
	ASSERT_FAILS(vdma_region_create(arena, 4096,
					&(struct vdma_region_opts){
						.size = sizeof(struct vdma_region_opts),
						.provider = VDMA_PROVIDER_ANON },
					&region),
		     EAGAIN, VDMA_CAUSE_MEMLOCK, "4 KiB", "64 KiB", "iommufd");
	ASSERT_OK(vdma_region_destroy(region));
	fake.memlock_limit = UINT64_MAX;
	assert_int_equal(fake_mappings(), 0);

	region = anon_region(arena, 4096);
	fake.short_unmap = true;
	ASSERT_FAILS(vdma_region_destroy(region), EIO, VDMA_CAUSE_SYSTEM, "0x0 bytes", "0x1000");
	fake.short_unmap = false;
	ASSERT_OK(vdma_region_destroy(region));
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

/* Linux before 6.6 has no nodes of devices, and a container's /dev may lack them. */
static void test_groups(void **state)
{
	struct vdma_ioas *ioas = ioas_of(arena, VDMA_BACKEND_IOMMUFD);
	struct vdma_region *region = anon_region(arena, MIB);
	struct vdma_device *dev, *nic, *other;
	size_t files = fake_open_files();

	(void)state;
	add_edu("0000:01:00.0", 5);
	fake_remove("/sys/bus/pci/devices/" EDU "/vfio-dev");
	fake_remove("/sys/bus/pci/devices/0000:01:00.0/vfio-dev");
	dev = device_of(ioas, EDU);
	assert_int_equal(fake_mappings(), 1);
	assert_int_equal(fake.user_locked, MIB);
	/* A second one of the group, and one that has a node. */
	other = device_of(ioas, "0000:01:00.0");
	nic = device_of(ioas, NIC);
	assert_int_equal(fake_mappings(), 1);
	/* Its group shows whose it is. */
	ASSERT_OK(vdma_device_hot_reset(other));
	assert_int_equal(fake_hot_resets("0000:01:00.0"), 1);
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_device_close(nic));
	assert_int_equal(fake_mappings(), 1);
	ASSERT_OK(vdma_device_close(other));
	assert_int_equal(fake_mappings(), 0);
	assert_int_equal(fake_open_files(), files);

	/* Nor the node that sysfs tells of. */
	fake_remove("/dev/vfio/devices/vfio1");
	nic = device_of(ioas, NIC);
	ASSERT_OK(vdma_device_close(nic));

	fake.set_iommu_err = EPERM;
	ASSERT_FAILS(vdma_device_open(ioas, EDU, NULL, &dev), EPERM, VDMA_CAUSE_UNSAFE_IRQ,
		     "/sys/module/iommufd/parameters/allow_unsafe_interrupts");
	fake.set_iommu_err = 0;
	fake.second_group_err = EADDRINUSE;
	ASSERT_FAILS(vdma_device_open(ioas, EDU, NULL, &dev), ERANGE, VDMA_CAUSE_UNREACHABLE, EDU,
		     "msi");
	fake.second_group_err = 0;
	fake.fail_request = IOMMUFD_ABI_VFIO_IOAS;
	fake.fail_request_err = EIO;
	ASSERT_FAILS(vdma_device_open(ioas, EDU, NULL, &dev), EIO, VDMA_CAUSE_SYSTEM,
		     "IOMMU_VFIO_IOAS");
	fake_remove("/dev/vfio/5");
	ASSERT_FAILS(vdma_device_open(ioas, EDU, NULL, &dev), ENOENT, VDMA_CAUSE_NO_VFIO,
		     "/dev/vfio/5");
	fake_file("/dev/vfio/5", "");
	fake_group_not_viable(5);
	ASSERT_FAILS(vdma_device_open(ioas, EDU, NULL, &dev), EBUSY, VDMA_CAUSE_NOT_VIABLE, EDU);
	assert_int_equal(fake_open_files(), files);
	ASSERT_OK(vdma_region_destroy(region));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

/* A second device's IOMMU reaches less far: through its node, and through its group. */
static void test_reach(void **state)
{
	struct vdma_ioas *ioas = ioas_of(arena, VDMA_BACKEND_IOMMUFD);
	struct vdma_device *dev = device_of(ioas, EDU), *nic;
	struct vdma_region *region;
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		/* Nothing is mapped, so there is nothing to name. */
		fake.second_group_err = EADDRINUSE;
		ASSERT_FAILS(vdma_device_open(ioas, NIC, NULL, &nic), ERANGE,
			     VDMA_CAUSE_UNREACHABLE, NIC, "msi");
		assert_null(strstr(vdma_explain(), "highest"));
		fake.second_group_err = 0;

		region = anon_region(arena, 4096);
		fake_reach(6, vdma_region_buf(region).iova - 1);
		ASSERT_FAILS(vdma_device_open(ioas, NIC, NULL, &nic), ERANGE,
			     VDMA_CAUSE_UNREACHABLE, NIC, "msi",
			     "the highest of its regions, of 4 KiB, ends at IOVA",
			     "IOMMU may have fewer address bits");
		assert_int_equal(vdma_last_failure()->need, vdma_region_buf(region).iova + 4095);
		assert_int_equal(vdma_last_failure()->sys_errno, EADDRINUSE);
		ASSERT_OK(vdma_region_destroy(region));
		nic = device_of(ioas, NIC);
		ASSERT_OK(vdma_device_close(nic));
		fake_remove("/sys/bus/pci/devices/" NIC "/vfio-dev");
	}
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

/* One arena, an address space of each kind. */
static void test_both(void **state)
{
	struct vdma_ioas *old = ioas_of(arena, VDMA_BACKEND_TYPE1),
			 *new = ioas_of(arena, VDMA_BACKEND_IOMMUFD);
	struct vdma_device *edu = device_of(old, EDU), *nic = device_of(new, NIC), *dev;
	struct vdma_region *region = anon_region(arena, MIB);
	struct vdma_region_info info = { .size = sizeof(info) };

	(void)state;
	ASSERT_OK(vdma_region_query(region, &info));
	assert_int_equal(info.mapped, 2);
	assert_int_equal(fake_mappings(), 2);
	/* iommufd refuses: it must not stay with the other. */
	fake.fail_request = IOMMUFD_ABI_IOAS_MAP;
	fake.fail_request_err = EINVAL;
	ASSERT_FAILS(vdma_region_create(arena, MIB, NULL, &region), EIO, VDMA_CAUSE_SYSTEM,
		     "IOMMU_IOAS_MAP");
	assert_int_equal(fake_mappings(), 2);
	ASSERT_FAILS(vdma_device_open(new, EDU, NULL, &dev), EBUSY, VDMA_CAUSE_GROUP_BUSY,
		     "This process", "/dev/vfio/5");
	ASSERT_OK(vdma_region_destroy(region));
	ASSERT_OK(vdma_device_close(edu));
	ASSERT_OK(vdma_device_close(nic));
	ASSERT_OK(vdma_ioas_destroy(old));
	ASSERT_OK(vdma_ioas_destroy(new));
}

static void test_access(void **state)
{
	static const enum vdma_backend backends[] = { VDMA_BACKEND_TYPE1, VDMA_BACKEND_IOMMUFD };
	/* VFIO_DMA_MAP_FLAG_READ is what the device may do, and 1; _WRITE is 2. */
	static const uint32_t want[] = { 3, 1, 2 };
	struct vdma_region_opts bad = { .size = sizeof(bad) };
	struct vdma_region *none;
	size_t i, a;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct vdma_ioas *ioas = ioas_of(arena, backends[i]);
		struct vdma_device *dev = device_of(ioas, EDU);

		for (a = 0; a < 3; a++) {
			struct vdma_region_opts opts = { .size = sizeof(opts),
							 .access = (enum vdma_access)a };
			struct vdma_region_info info = { .size = sizeof(info) };
			struct vdma_region *region;

			ASSERT_OK(vdma_region_create(arena, 4096, &opts, &region));
			assert_int_equal(fake.map_access, want[a]);
			ASSERT_OK(vdma_region_query(region, &info));
			assert_int_equal(info.access, a);
			/* The same for a device that comes later. */
			ASSERT_OK(vdma_device_close(dev));
			fake.map_access = 0;
			dev = device_of(ioas, EDU);
			assert_int_equal(fake.map_access, want[a]);
			ASSERT_OK(vdma_region_destroy(region));
		}
		ASSERT_OK(vdma_device_close(dev));
		ASSERT_OK(vdma_ioas_destroy(ioas));
	}
	bad.access = (enum vdma_access)3;
	ASSERT_FAILS(vdma_region_create(arena, 4096, &bad, &none), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "access 3");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_choice, with_arena, without_arena),
		cmocka_unit_test_setup_teardown(test_replay, with_arena, without_arena),
		cmocka_unit_test_setup_teardown(test_stale, with_arena, without_arena),
		cmocka_unit_test_setup_teardown(test_refusals, with_arena, without_arena),
		cmocka_unit_test_setup_teardown(test_access, with_arena, without_arena),
		cmocka_unit_test_setup_teardown(test_groups, with_arena, without_arena),
		cmocka_unit_test_setup_teardown(test_reach, with_arena, without_arena),
		cmocka_unit_test_setup_teardown(test_both, with_arena, without_arena),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
