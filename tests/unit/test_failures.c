// SPDX-License-Identifier: BSD-3-Clause
/*
 * Every system call and every allocation is made to fail once, one after the
 * other, while a program goes through its life. Whatever fails is said with a reason, and nothing is
 * left when the program is over.
 */
#include "unit.h"

#include <linux/vfio.h>

static bool failed;

/* A failing call has a reason of its own, and says how it ends. */
static bool ok(int ret)
{
	if (!ret)
		return true;
	failed = true;
	assert_true(ret < 0);
	assert_int_equal(vdma_last_failure()->err, ret);
	assert_true(vdma_last_failure()->cause != VDMA_CAUSE_NONE);
	assert_true(strlen(vdma_explain()) > 10);
	return false;
}

static void use_device(struct vdma_device *dev, const char *bdf)
{
	struct vdma_bar bar;
	uint32_t value;

	if (ok(vdma_device_bar(dev, 0, &bar)))
		vdma_mmio_write32(bar.va, 0, 1);
	ok(vdma_device_config_read(dev, 0, 4, &value));
	ok(vdma_device_set_bus_master(dev, 1));
	if (ok(vdma_device_irq_enable(dev, VDMA_IRQ_MSI, 2))) {
		fake_fire(bdf, VFIO_PCI_MSI_IRQ_INDEX, 1);
		ok(vdma_device_irq_wait(dev, 1, 1000, NULL));
		ok(vdma_device_irq_disable(dev));
	}
	ok(vdma_device_reset(dev));
}

static void use_region(struct vdma_arena *arena, enum vdma_provider provider, size_t len)
{
	struct vdma_region_opts opts = { .size = sizeof(opts), .provider = provider };
	struct vdma_region *region;
	struct vdma_buf buf;

	if (!ok(vdma_region_create(arena, len, &opts, &region)))
		return;
	buf = vdma_region_buf(region);
	memset(buf.va, 1, buf.len);
	if (!ok(vdma_region_destroy(region)))
		assert_int_equal(vdma_region_destroy(region), 0);
}

/* Whatever has failed, what is counted agrees with what there is. */
static void look_on(struct vdma_arena *arena)
{
	struct vdma_stats stats = { .size = sizeof(stats) };
	size_t json = 0, dump = 0;

	assert_int_equal(vdma_arena_stats(arena, &stats), 0);
	assert_int_equal(stats.entries, fake_mappings());
	assert_true(stats.populate.calls - stats.populate.failures >= stats.regions_ever);
	if (ok(vdma_arena_json(arena, NULL, &json)))
		assert_true(json > 100);
	if (ok(vdma_arena_dump(arena, NULL, &dump)))
		assert_true(dump > 600);
}

/* The same without an IOMMU: EDU of UIO, NIC of VFIO, memory tied to both. */
static void bare_life(void)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts),
					.translation = VDMA_TRANSLATION_PHYSICAL };
	struct vdma_region *region = NULL, *late = NULL;
	struct vdma_device *edu = NULL, *nic = NULL;
	struct vdma_ioas *ioas = NULL;
	struct vdma_arena *arena;
	struct vdma_bar bar;
	struct vdma_buf buf;

	if (!ok(vdma_arena_create(&opts, &arena)))
		return;
	ok(vdma_region_create(arena, 3 << 20, NULL, &region));
	if (ok(vdma_ioas_create(arena, NULL, &ioas))) {
		if (ok(vdma_device_open(ioas, EDU, NULL, &edu))) {
			ok(vdma_device_bar(edu, 0, &bar));
			if (ok(vdma_device_irq_enable(edu, VDMA_IRQ_INTX, 1))) {
				fake_uio_fire(EDU);
				ok(vdma_device_irq_wait(edu, 0, 1000, NULL));
				ok(vdma_device_irq_unmask(edu));
			}
			ok(vdma_device_reset(edu));
		}
		if (ok(vdma_device_open(ioas, NIC, NULL, &nic)))
			use_device(nic, NIC);
	}
	ok(vdma_region_create(arena, 4096, NULL, &late));
	look_on(arena);
	if (ok(vdma_buf_alloc(arena, MIB, NULL, &buf)))
		ok(vdma_buf_free(arena, &buf));
	if (!ok(vdma_buf_trim(arena)))
		assert_int_equal(vdma_buf_trim(arena), 0);
	if (region && !ok(vdma_region_destroy(region)))
		assert_int_equal(vdma_region_destroy(region), 0);
	assert_int_equal(vdma_device_close(edu), 0);
	assert_int_equal(vdma_device_close(nic), 0);
	if (late && !ok(vdma_region_destroy(late)))
		assert_int_equal(vdma_region_destroy(late), 0);
	assert_int_equal(vdma_ioas_destroy(ioas), 0);
	assert_int_equal(vdma_arena_destroy(arena), 0);
}

static void life(enum vdma_backend backend, uint32_t flags)
{
	struct vdma_arena_opts arena_opts = { .size = sizeof(arena_opts), .flags = flags };
	struct vdma_ioas_opts opts = { .size = sizeof(opts), .backend = backend };
	struct vdma_ioas *ioas = NULL, *second = NULL;
	struct vdma_device *edu = NULL, *nic = NULL;
	struct vdma_region *region = NULL;
	struct vdma_ioas_info info = { .size = sizeof(info) };
	struct vdma_arena *arena;
	/* Otherwise, or for less than a usual chunk, there is something to fall back on. */
	struct vdma_buf_opts required = { .size = sizeof(required),
					  .contiguity = VDMA_CONTIG_REQUIRED };
	struct vdma_buf buf;

	if (!ok(vdma_arena_create(&arena_opts, &arena)))
		return;
	ok(vdma_region_create(arena, 3 << 20, NULL, &region));
	if (ok(vdma_ioas_create(arena, &opts, &ioas))) {
		if (ok(vdma_device_open(ioas, EDU, NULL, &edu)))
			use_device(edu, EDU);
		ok(vdma_ioas_query(ioas, &info));
	}
	if (ok(vdma_ioas_create(arena, &opts, &second)))
		ok(vdma_device_open(second, NIC, NULL, &nic));
	use_region(arena, VDMA_PROVIDER_CONTIG, 4096);
	use_region(arena, VDMA_PROVIDER_HUGETLB, 2 << 20);
	use_region(arena, VDMA_PROVIDER_ANON, 8192);
	if (ok(vdma_buf_alloc(arena, 65 * MIB, &required, &buf)))
		ok(vdma_buf_free(arena, &buf));
	look_on(arena);
	if (!ok(vdma_buf_trim(arena)))
		assert_int_equal(vdma_buf_trim(arena), 0);
	assert_int_equal(vdma_device_close(edu), 0);
	if (region && !ok(vdma_region_destroy(region)))
		assert_int_equal(vdma_region_destroy(region), 0);
	if (nic)
		ok(vdma_device_let_go(nic));
	assert_int_equal(vdma_device_close(nic), 0);
	assert_int_equal(vdma_ioas_destroy(second), 0);
	assert_int_equal(vdma_ioas_destroy(ioas), 0);
	look_on(arena);
	{
		const struct vdma_window *w = (const struct vdma_window *)(const void *)arena;

		assert_true(fake_is_reserved((void *)w->va, w->len));
	}
	assert_int_equal(vdma_arena_destroy(arena), 0);
}

static void one_life(enum vdma_backend backend, uint32_t flags, unsigned long fail_at, int err,
		     unsigned long fail_alloc)
{
	size_t allocations = fake_allocations();

	fake_reset();
	if (backend == VDMA_BACKEND_NOIOMMU) {
		bare_machine();
	} else {
		add_edu(EDU, 5);
		add_edu(NIC, 6);
	}
	failed = false;
	fake.fail_at = fail_at;
	fake.fail_err = err;
	fake_fail_alloc(fail_alloc);
	if (backend == VDMA_BACKEND_NOIOMMU)
		bare_life();
	else
		life(backend, flags);
	allocations = fake_allocations() - allocations;
	if (fake_open_files() || fake_mappings() || fake.locked || fake_mapped() || allocations)
		fail_msg("call %lu failed with %d, or allocation %lu: %zu files, %zu mappings, %llu "
			 "bytes locked, %zu of address space, %zu allocations are left",
			 fail_at, err, fail_alloc, fake_open_files(), fake_mappings(),
			 (unsigned long long)fake.locked, fake_mapped(), allocations);
}

static void each_call(enum vdma_backend backend, uint32_t flags)
{
	static const int errs[] = { ENOMEM, EIO, EMFILE, EINTR };
	unsigned long calls, allocs, n, noticed = 0;
	size_t e;

	one_life(backend, flags, 0, 0, 0);
	assert_false(failed);
	allocs = fake_alloc_calls();
	calls = fake.calls;
	assert_true(calls > 90);
	for (e = 0; e < sizeof(errs) / sizeof(errs[0]); e++)
		for (n = 1; n <= calls; n++) {
			one_life(backend, flags, n, errs[e], 0);
			noticed += failed;
		}
	print_message("%lu calls, %lu of %zu failures noticed\n", calls, noticed,
		      calls * sizeof(errs) / sizeof(errs[0]));
	/* The others were optional: words for an explanation, a physical address. */
	/* On Valgrind also: a window that is too large is asked for again. */
	assert_true(noticed > calls * 3 - (on_valgrind() ? 12 : 0));

	assert_true(allocs > 30);
	for (noticed = 0, n = 1; n <= allocs; n++) {
		one_life(backend, flags, 0, 0, n);
		noticed += failed;
	}
	fake_fail_alloc(0);
	print_message("%lu of %lu allocations that failed were noticed\n", noticed, allocs);
	assert_true(noticed > allocs / 2);
}

static void test_type1(void **state)
{
	(void)state;
	each_call(VDMA_BACKEND_AUTO, 0);
}

static void test_iommufd(void **state)
{
	(void)state;
	each_call(VDMA_BACKEND_IOMMUFD, 0);
}

static void test_checks(void **state)
{
	(void)state;
	each_call(VDMA_BACKEND_AUTO, VDMA_ARENA_CHECK);
}

static void test_noiommu(void **state)
{
	(void)state;
	each_call(VDMA_BACKEND_NOIOMMU, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_type1),
		cmocka_unit_test(test_iommufd),
		cmocka_unit_test(test_noiommu),
		cmocka_unit_test(test_checks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
