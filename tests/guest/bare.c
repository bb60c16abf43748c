// SPDX-License-Identifier: BSD-3-Clause
/* A guest without an IOMMU, without map_contig.ko, and in the end without VFIO. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "guest.h"

static void no_iommu(void **state)
{
	const char *bdf = bdf_of("VDMA_BDF_EDU");
	struct vdma_pci_info pci = { .size = sizeof(pci) };
	struct space s = space_create();
	struct vdma_device *dev = NULL;

	(void)state;
	assert_true(EXPLAINED(vdma_device_open(s.ioas, bdf, NULL, &dev), EOPNOTSUPP, NO_IOMMU,
			      "No IOMMU", "intel_iommu=on"));
	assert_null(dev);
	WORKS(vdma_pci_query(bdf, &pci));
	assert_int_equal(pci.group, -1);
	space_destroy(&s);
}

static int exec_demo(void *bdf)
{
	execl(demo_path, "edu-demo", (const char *)bdf, NULL);
	return 127;
}

static void demo_without_iommu(void **state)
{
	(void)state;
	assert_int_equal(in_child(exec_demo, (void *)(uintptr_t)bdf_of("VDMA_BDF_EDU")), 1);
}

/* The other way: a driver that is trusted with all memory. */
static void remedy_without_iommu(void **state)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts),
					.translation = VDMA_TRANSLATION_AUTO };
	const char *bdf = bdf_of("VDMA_BDF_EDU");
	struct vdma_device *dev;
	struct space s;

	(void)state;
	WORKS(vdma_arena_create(&opts, &s.arena));
	WORKS(vdma_ioas_create(s.arena, NULL, &s.ioas));
	assert_true(EXPLAINED(vdma_device_open(s.ioas, bdf, NULL, &dev), ENODEV, NOT_BOUND, bdf,
			      "uio_pci_generic"));
	follow_remedy();
	WORKS(vdma_device_open(s.ioas, bdf, NULL, &dev));
	WORKS(vdma_device_close(dev));
	space_destroy(&s);
}

static void no_module(void **state)
{
	struct vdma_region *region = NULL;
	struct vdma_arena *arena;

	(void)state;
	assert_int_equal(access("/dev/map_contig", F_OK), -1);
	WORKS(vdma_arena_create(NULL, &arena));
	assert_true(EXPLAINED(vdma_region_create(arena, PAGE, NULL, &region), ENOENT, NO_MODULE,
			      "/dev/map_contig", "insmod map_contig.ko"));
	assert_null(region);
	/* Other memory goes on. */
	region = region_of(arena, VDMA_PROVIDER_ANON, 2 * MIB, 0);
	WORKS(vdma_region_destroy(region));
	WORKS(vdma_arena_destroy(arena));
}

static void no_vfio(void **state)
{
	struct vdma_arena *arena;
	struct vdma_ioas *ioas = NULL;

	(void)state;
	WORKS(vdma_arena_create(NULL, &arena));
	/* type1 goes, VFIO stays; then all of it. */
	assert_int_equal(system("rmmod vfio_iommu_type1"), 0);
	assert_true(EXPLAINED(vdma_ioas_create(arena, NULL, &ioas), ENOENT, NO_VFIO,
			      "modprobe vfio_iommu_type1"));
	follow_remedy();
	WORKS(vdma_ioas_create(arena, NULL, &ioas));
	WORKS(vdma_ioas_destroy(ioas));
	ioas = NULL;
	assert_int_equal(system("modprobe -r vfio-pci && rmmod vfio_iommu_type1 vfio"), 0);
	assert_true(EXPLAINED(vdma_ioas_create(arena, NULL, &ioas), ENOENT, NO_VFIO,
			      "/dev/vfio/vfio", "modprobe vfio-pci"));
	assert_null(ioas);
	follow_remedy();
	WORKS(vdma_ioas_create(arena, NULL, &ioas));
	WORKS(vdma_ioas_destroy(ioas));
	WORKS(vdma_arena_destroy(arena));
}

int run_bare(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_iommu),
		cmocka_unit_test(demo_without_iommu),
		cmocka_unit_test(remedy_without_iommu),
		cmocka_unit_test(no_module),
		cmocka_unit_test(no_vfio),
	};

	return cmocka_run_group_tests_name("bare", tests, NULL, NULL);
}
