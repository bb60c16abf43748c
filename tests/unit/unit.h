/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What unit tests share: cmocka in its order of includes, and a check of
 * failures and their explanations.
 */
#ifndef VDMA_TEST_UNIT_H
#define VDMA_TEST_UNIT_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <vdma.h>

#include "fake.h"

#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)

/*
 * The call fails with this errno and cause, and the explanation contains
 * every one of the strings.
 */
#define ASSERT_FAILS(call, err, why, ...) \
	assert_failure((call), err, why, #call, (const char *const[]){ __VA_ARGS__, NULL })

static inline void assert_failure(int ret, int err, enum vdma_cause cause, const char *call,
				  const char *const *parts)
{
	const struct vdma_failure *f = vdma_last_failure();

	if (ret != -err || f->err != -err || f->cause != cause)
		fail_msg("%s: returned %d (%s), cause %s, expected %d, cause %s; text: %s", call,
			 ret, strerror(-ret), vdma_cause_name(f->cause), -err,
			 vdma_cause_name(cause), f->text);
	assert_ptr_equal(f->text, vdma_explain());
	for (; *parts; parts++)
		if (!strstr(f->text, *parts))
			fail_msg("%s: explanation lacks \"%s\": %s", call, *parts, f->text);
}

#define ASSERT_OK(call) \
	do { \
		int ret_ = (call); \
		if (ret_) \
			fail_msg("%s: returned %d: %s", #call, ret_, vdma_explain()); \
	} while (0)

static size_t allocated_before;

static inline int reset(void **state)
{
	(void)state;
	fake_reset();
	fake_fail_alloc(0);
	allocated_before = fake_allocations();
	return 0;
}

/* Nothing that a test opened, mapped or allocated is left. */
static inline int check_clean(void **state)
{
	size_t allocated = fake_allocations() - allocated_before;

	(void)state;
	if (allocated)
		print_error("%zu allocations are left\n", allocated);
	if (fake_open_files())
		print_error("%zu descriptors are still open\n", fake_open_files());
	if (fake_mappings())
		print_error("%zu DMA mappings are left\n", fake_mappings());
	if (fake_holds())
		print_error("%zu ties of memory to devices are left\n", fake_holds());
	return allocated || fake_open_files() || fake_mappings() || fake_holds() ? -1 : 0;
}

#define CLEAN_TEST(fn) cmocka_unit_test_setup_teardown(fn, reset, check_clean)

#define EDU "0000:00:10.0"
#define NIC "0000:00:11.0"

static const struct fake_pci edu_pci = {
	.vendor = 0x1234,
	.device = 0x11e8,
	.bar = { 1 << 20, 0, 256, 2048 },
	.bar_io = { false, false, true },
	.irqs = { 1, 4, 8 },
	.can_reset = true,
};

static inline void add_edu(const char *bdf, int group)
{
	fake_device(bdf, group, "vfio-pci", &edu_pci);
}

/* No two regions alike modulo 2 MiB. */
#define BARE_STEP (3 * MIB + 4096)

/* No IOMMU: uio_pci_generic has EDU, VFIO in its mode for that has NIC. */
static inline void bare_machine(void)
{
	fake_remove("/sys/kernel/iommu_groups/0");
	fake_device(EDU, -1, "uio_pci_generic", &edu_pci);
	fake_device(NIC, 7, "vfio-pci", &edu_pci);
	fake_group_noiommu(7);
	fake.noiommu = 1;
	fake.contig_step = BARE_STEP;
}

/* Bytes of an arena's window. By default 256 GiB, of which Valgrind has less. */
static inline size_t window_of(const struct vdma_arena *arena)
{
	return ((const struct vdma_window *)(const void *)arena)->len;
}

/* scripts/check says so; what needs more address space is left out then. */
static inline bool on_valgrind(void)
{
	return getenv("VDMA_VALGRIND");
}

/* What tests make and ask in passing; it has to work. */

static inline struct vdma_ioas *ioas_of(struct vdma_arena *arena, enum vdma_backend backend)
{
	struct vdma_ioas_opts opts = { .size = sizeof(opts), .backend = backend };
	struct vdma_ioas *ioas = NULL;

	ASSERT_OK(vdma_ioas_create(arena, &opts, &ioas));
	return ioas;
}

static inline struct vdma_ioas_info ioas_info(struct vdma_ioas *ioas)
{
	struct vdma_ioas_info info = { .size = sizeof(info) };

	ASSERT_OK(vdma_ioas_query(ioas, &info));
	return info;
}

static inline struct vdma_device *device_of(struct vdma_ioas *ioas, const char *bdf)
{
	struct vdma_device *dev = NULL;

	ASSERT_OK(vdma_device_open(ioas, bdf, NULL, &dev));
	return dev;
}

static inline struct vdma_region *anon_region(struct vdma_arena *arena, size_t len)
{
	struct vdma_region_opts opts = { .size = sizeof(opts), .provider = VDMA_PROVIDER_ANON };
	struct vdma_region *region = NULL;

	ASSERT_OK(vdma_region_create(arena, len, &opts, &region));
	return region;
}

#endif
