// SPDX-License-Identifier: BSD-3-Clause
/* Arenas whose device addresses are physical ones, and devices without an IOMMU. */
#include "unit.h"

#include <linux/pci_regs.h>
#include <linux/vfio.h>

static int machine(void **state)
{
	reset(state);
	bare_machine();
	return 0;
}

#define NOIOMMU_TEST(fn) cmocka_unit_test_setup_teardown(fn, machine, check_clean)

static struct vdma_arena *arena_of(enum vdma_translation translation)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts), .translation = translation };
	struct vdma_arena *arena = NULL;

	ASSERT_OK(vdma_arena_create(&opts, &arena));
	return arena;
}

static enum vdma_translation translation_of(struct vdma_arena *arena)
{
	struct vdma_arena_info info = { .size = sizeof(info) };

	ASSERT_OK(vdma_arena_query(arena, &info));
	assert_int_equal(info.assumed, info.translation == VDMA_TRANSLATION_LINEAR);
	return info.translation;
}

static void auto_asks_the_machine(void **state)
{
	struct vdma_arena *arena = arena_of(VDMA_TRANSLATION_AUTO);
	struct vdma_arena_opts opts = { .size = sizeof(opts), .translation = 3 };

	(void)state;
	/* A group of VFIO's own is no IOMMU's. */
	assert_int_equal(translation_of(arena), VDMA_TRANSLATION_PHYSICAL);
	ASSERT_OK(vdma_arena_destroy(arena));
	fake_file("/sys/kernel/iommu_groups/3/type", "DMA\n");
	arena = arena_of(VDMA_TRANSLATION_AUTO);
	assert_int_equal(translation_of(arena), VDMA_TRANSLATION_LINEAR);
	ASSERT_OK(vdma_arena_destroy(arena));
	arena = arena_of(VDMA_TRANSLATION_LINEAR);
	assert_int_equal(translation_of(arena), VDMA_TRANSLATION_LINEAR);
	ASSERT_OK(vdma_arena_destroy(arena));
	ASSERT_FAILS(vdma_arena_create(&opts, &arena), EINVAL, VDMA_CAUSE_ARGUMENT, "3");
	fake_remove("/sys/kernel/iommu_groups/3");
	opts.translation = VDMA_TRANSLATION_AUTO;
	opts.flags = VDMA_ARENA_CHECK;
	ASSERT_FAILS(vdma_arena_create(&opts, &arena), EINVAL, VDMA_CAUSE_TRANSLATION,
		     "VDMA_ARENA_CHECK");
}

static void owners_are_known(struct vdma_arena *arena, const struct vdma_region *region)
{
	struct vdma_iova_info info = { .size = sizeof(info) };
	struct vdma_buf buf = vdma_region_buf(region);

	ASSERT_OK(vdma_explain_iova(arena, buf.iova + 5, &info));
	assert_true(info.state == VDMA_IOVA_LIVE && info.base == buf.iova && info.offset == 5);
	ASSERT_OK(vdma_explain_iova(arena, UINT64_C(1) << 45, &info));
	assert_int_equal(info.state, VDMA_IOVA_UNUSED);
}

static void addresses_are_physical(void **state)
{
	struct vdma_arena *arena = arena_of(VDMA_TRANSLATION_PHYSICAL);
	const struct vdma_window *w = (const struct vdma_window *)(const void *)arena;
	static const size_t lens[] = { 4096, 2 * MIB, 5 * MIB };
	struct vdma_region *regions[3];
	vdma_iova_t iovas[3];
	struct vdma_range range;
	void *vas[3];
	size_t i, n = 1;

	(void)state;
	for (i = 0; i < 3; i++) {
		struct vdma_buf buf;
		char *va;

		ASSERT_OK(vdma_region_create(arena, lens[i], NULL, &regions[i]));
		buf = vdma_region_buf(regions[i]);
		va = buf.va;
		assert_true(buf.pa == 0x40000000 + (i + 1) * BARE_STEP);
		assert_true(buf.iova == buf.pa);
		memset(va, 1, buf.len);
		assert_true(vdma_iova(arena, va + 5) == buf.pa + 5);
		assert_true(vdma_iova(arena, va + buf.len - 1) == buf.pa + buf.len - 1);
		assert_true(vdma_iova_checked(arena, va, buf.len) == buf.pa);
		/* Its slots end with it, or the next one's begin. */
		assert_true(vdma_iova_checked(arena, va, buf.len + 2 * MIB) == VDMA_IOVA_NONE);
		assert_ptr_equal(vdma_va(arena, buf.pa + 77), va + 77);
		assert_null(vdma_va(arena, buf.pa + buf.len));
		vas[i] = va + 9;
	}
	vdma_iova_burst(arena, vas, iovas, 3);
	for (i = 0; i < 3; i++)
		assert_true(iovas[i] == vdma_region_buf(regions[i]).pa + 9);
	assert_true(vdma_iova_checked(arena, (void *)(w->va + w->len), 1) == VDMA_IOVA_NONE);
	owners_are_known(arena, regions[1]);
	assert_true(vdma_iova_checked(arena, vdma_region_buf(regions[0]).va, 0) == VDMA_IOVA_NONE);
	ASSERT_OK(vdma_arena_ranges(arena, &range, &n));
	assert_true(n == 1 && range.first == 0 && range.last == UINT64_MAX);
	for (i = 0; i < 3; i++) {
		struct vdma_buf buf = vdma_region_buf(regions[i]);

		ASSERT_OK(vdma_region_destroy(regions[i]));
		assert_true(vdma_iova_checked(arena, buf.va, 1) == VDMA_IOVA_NONE);
		assert_null(vdma_va(arena, buf.pa));
	}
	assert_true(fake_is_reserved((void *)w->va, w->len));
	ASSERT_OK(vdma_arena_destroy(arena));
}

static void limits_are_physical(void **state)
{
	struct vdma_arena *arena = arena_of(VDMA_TRANSLATION_PHYSICAL);
	struct vdma_region_opts opts = { .size = sizeof(opts), .address_bits = 32 };
	struct vdma_region *region;

	(void)state;
	ASSERT_OK(vdma_region_create(arena, 4096, &opts, &region));
	assert_true(fake.alloc.want.phys_max == 0xffffffff);
	ASSERT_OK(vdma_region_destroy(region));
	fake.contig_err = ENOMEM;
	fake.largest = 8192;
	ASSERT_FAILS(vdma_region_create(arena, MIB, &opts, &region), ENOMEM, VDMA_CAUSE_NO_RUN,
		     "1 MiB", "0xffffffff", "8 KiB", "address_bits");
	assert_true(fake.oracle.want.phys_max == 0xffffffff);
	fake.contig_err = EPERM;
	ASSERT_FAILS(vdma_region_create(arena, MIB, &opts, &region), EPERM, VDMA_CAUSE_PRIVILEGE,
		     "CAP_SYS_RAWIO");
	fake.contig_err = 0;
	/* A module that cannot promise it gets no chance to miss it. */
	fake.contig_old = true;
	ASSERT_FAILS(vdma_region_create(arena, MIB, &opts, &region), EOPNOTSUPP,
		     VDMA_CAUSE_UNSUPPORTED, "map_contig", "0xffffffff", "this version");
	fake.contig_old = false;
	fake.contig_secret = true;
	ASSERT_FAILS(vdma_region_create(arena, MIB, NULL, &region), EPERM, VDMA_CAUSE_PRIVILEGE,
		     "CAP_SYS_RAWIO");
	ASSERT_OK(vdma_arena_destroy(arena));
}

static void only_contiguous_memory(void **state)
{
	struct vdma_arena *arena = arena_of(VDMA_TRANSLATION_PHYSICAL);
	struct vdma_region_opts opts = { .size = sizeof(opts), .provider = VDMA_PROVIDER_HUGETLB };
	struct vdma_buf_opts indifferent = { .size = sizeof(indifferent),
					     .contiguity = VDMA_CONTIG_INDIFFERENT,
					     .align = 4 * MIB,
					     .boundary = 8 * MIB };
	struct vdma_region *region;
	struct vdma_buf buf;

	(void)state;
	ASSERT_FAILS(vdma_region_create(arena, 2 * MIB, &opts, &region), EINVAL,
		     VDMA_CAUSE_TRANSLATION, "VDMA_PROVIDER_CONTIG", "may move");
	opts.provider = VDMA_PROVIDER_ANON;
	ASSERT_FAILS(vdma_region_create(arena, 2 * MIB, &opts, &region), EINVAL,
		     VDMA_CAUSE_TRANSLATION, "VDMA_PROVIDER_CONTIG");
	/* Buffers come out of it whatever they ask for, and keep what they ask for. */
	ASSERT_OK(vdma_buf_alloc(arena, 3 * MIB, &indifferent, &buf));
	assert_true(buf.iova == buf.pa && buf.pa % (4 * MIB) == 0);
	assert_true(vdma_iova(arena, buf.va) == buf.pa);
	ASSERT_OK(vdma_buf_free(arena, &buf));
	fake.contig_err = ENOMEM;
	ASSERT_OK(vdma_buf_trim(arena));
	ASSERT_FAILS(vdma_buf_alloc(arena, 3 * MIB, &indifferent, &buf), ENOMEM, VDMA_CAUSE_NO_RUN,
		     "MiB");
	ASSERT_OK(vdma_arena_destroy(arena));
}

static void kinds_do_not_mix(void **state)
{
	struct vdma_arena *physical = arena_of(VDMA_TRANSLATION_PHYSICAL);
	struct vdma_arena *linear = arena_of(VDMA_TRANSLATION_LINEAR);
	struct vdma_ioas_opts opts = { .size = sizeof(opts), .backend = VDMA_BACKEND_TYPE1 };
	struct vdma_ioas *ioas, *with;
	struct vdma_device *dev;

	(void)state;
	ASSERT_FAILS(vdma_ioas_create(physical, &opts, &ioas), EINVAL, VDMA_CAUSE_TRANSLATION,
		     "VDMA_TRANSLATION_LINEAR");
	opts.backend = VDMA_BACKEND_NOIOMMU;
	ASSERT_FAILS(vdma_ioas_create(linear, &opts, &ioas), EINVAL, VDMA_CAUSE_TRANSLATION,
		     "VDMA_TRANSLATION_PHYSICAL");
	with = ioas_of(linear, VDMA_BACKEND_AUTO);
	ASSERT_FAILS(vdma_device_open(with, EDU, NULL, &dev), EOPNOTSUPP, VDMA_CAUSE_NO_IOMMU,
		     "VDMA_TRANSLATION_AUTO");
	ASSERT_FAILS(vdma_device_open(with, NIC, NULL, &dev), EOPNOTSUPP, VDMA_CAUSE_NO_IOMMU,
		     "VDMA_TRANSLATION_AUTO");
	ioas = ioas_of(physical, VDMA_BACKEND_AUTO);
	assert_int_equal(ioas_info(ioas).backend, VDMA_BACKEND_NOIOMMU);
	assert_non_null(strstr(ioas_info(ioas).reason, "physical"));
	fake_device("0000:00:12.0", 8, "vfio-pci", &edu_pci);
	ASSERT_FAILS(vdma_device_open(ioas, "0000:00:12.0", NULL, &dev), EINVAL,
		     VDMA_CAUSE_TRANSLATION, "behind an IOMMU");
	fake_device("0000:00:13.0", -1, "e1000e", &edu_pci);
	ASSERT_FAILS(vdma_device_open(ioas, "0000:00:13.0", NULL, &dev), ENODEV,
		     VDMA_CAUSE_NOT_BOUND, "bound to e1000e", "uio_pci_generic",
		     "modprobe uio_pci_generic");
	ASSERT_OK(vdma_ioas_destroy(ioas));
	ASSERT_OK(vdma_ioas_destroy(with));
	ASSERT_OK(vdma_arena_destroy(linear));
	ASSERT_OK(vdma_arena_destroy(physical));
}

/* Who comes first does not matter: every region is tied to every device. */
static void memory_is_tied_to_devices(void **state)
{
	struct vdma_arena *arena = arena_of(VDMA_TRANSLATION_AUTO);
	struct vdma_ioas *ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	struct vdma_region_info info = { .size = sizeof(info) };
	struct vdma_region *before, *between, *late;
	struct vdma_device *uio, *vfio;

	(void)state;
	ASSERT_OK(vdma_region_create(arena, 4096, NULL, &before));
	assert_int_equal(fake_holds(), 0);
	uio = device_of(ioas, EDU);
	ASSERT_OK(vdma_region_create(arena, 3 * MIB, NULL, &between));
	vfio = device_of(ioas, NIC);
	ASSERT_OK(vdma_region_create(arena, 4096, NULL, &late));
	assert_int_equal(fake_holds(), 6);
	assert_true(fake_is_held(vdma_region_buf(before).va, EDU));
	assert_true(fake_is_held(vdma_region_buf(between).va, NIC));
	assert_int_equal(ioas_info(ioas).entries_used, 3);
	ASSERT_OK(vdma_region_query(before, &info));
	assert_int_equal(info.mapped, 1);
	ASSERT_OK(vdma_region_destroy(between));
	assert_int_equal(fake_holds(), 4);
	assert_false(fake_config(EDU)[PCI_COMMAND] & PCI_COMMAND_MASTER);
	ASSERT_OK(vdma_device_set_bus_master(uio, 1));
	ASSERT_OK(vdma_device_close(uio));
	assert_false(fake_config(EDU)[PCI_COMMAND] & PCI_COMMAND_MASTER);
	assert_int_equal(fake_holds(), 2);
	assert_true(fake_is_held(vdma_region_buf(late).va, NIC));
	ASSERT_OK(vdma_device_close(vfio));
	assert_int_equal(fake_holds(), 0);
	ASSERT_OK(vdma_region_query(before, &info));
	assert_int_equal(info.mapped, 0);
	ASSERT_OK(vdma_region_destroy(late));
	ASSERT_OK(vdma_region_destroy(before));
	ASSERT_OK(vdma_ioas_destroy(ioas));
	ASSERT_OK(vdma_arena_destroy(arena));
}

static void tying_fails_whole(void **state)
{
	static const struct {
		int err, gives;
		enum vdma_cause cause;
		const char *word;
	} cases[] = {
		{ EPERM, EPERM, VDMA_CAUSE_PRIVILEGE, "CAP_SYS_RAWIO" },
		{ ENOSPC, ENOSPC, VDMA_CAUSE_TOO_MANY, "16 devices" },
		{ ENOTTY, EOPNOTSUPP, VDMA_CAUSE_UNSUPPORTED, "MAP_CONTIG_HOLD" },
		{ ENODEV, ENODEV, VDMA_CAUSE_NO_DEVICE, EDU },
	};
	struct vdma_arena *arena = arena_of(VDMA_TRANSLATION_AUTO);
	struct vdma_ioas *ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	struct vdma_region *first, *region;
	struct vdma_device *dev;
	size_t i;

	(void)state;
	ASSERT_OK(vdma_region_create(arena, 4096, NULL, &first));
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake.hold_err = cases[i].err;
		ASSERT_FAILS(vdma_device_open(ioas, EDU, NULL, &dev), cases[i].gives,
			     cases[i].cause, cases[i].word);
		assert_int_equal(ioas_info(ioas).devices, 0);
		fake.hold_err = 0;
		dev = device_of(ioas, EDU);
		fake.hold_err = cases[i].err;
		ASSERT_FAILS(vdma_region_create(arena, 4096, NULL, &region), cases[i].gives,
			     cases[i].cause, cases[i].word);
		fake.hold_err = 0;
		assert_int_equal(fake_holds(), 1);
		ASSERT_OK(vdma_device_close(dev));
	}
	ASSERT_OK(vdma_region_destroy(first));
	ASSERT_OK(vdma_ioas_destroy(ioas));
	ASSERT_OK(vdma_arena_destroy(arena));
}

/* PCI Express says whether requests are under way (DEVSTA, transactions pending). */
static void express(const char *bdf, bool pending)
{
	uint8_t *config = fake_config(bdf);

	config[PCI_CAPABILITY_LIST] = 0x40;
	config[0x40] = PCI_CAP_ID_PM;
	config[0x41] = 0x60;
	config[0x60] = PCI_CAP_ID_EXP;
	config[0x61] = 0;
	config[0x60 + PCI_EXP_DEVSTA] = pending ? PCI_EXP_DEVSTA_TRPND : 0;
}

/* What a device that may still write was told of stays tied: the module sees to it. */
static void not_silent_stays_tied(void **state)
{
	struct vdma_arena *arena = arena_of(VDMA_TRANSLATION_AUTO);
	struct vdma_ioas *ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	struct vdma_region *region;
	struct vdma_device *dev;

	(void)state;
	ASSERT_OK(vdma_region_create(arena, 4096, NULL, &region));
	dev = device_of(ioas, EDU);
	express(EDU, true);
	ASSERT_OK(vdma_device_close(dev));
	assert_int_equal(fake_holds(), 1);
	/* It can be opened again, and is untied when it is silent. */
	dev = device_of(ioas, EDU);
	express(EDU, false);
	ASSERT_OK(vdma_device_close(dev));
	assert_int_equal(fake_holds(), 0);
	/* A list of capabilities that goes in circles ends. */
	dev = device_of(ioas, EDU);
	fake_config(EDU)[0x41] = 0x40;
	ASSERT_OK(vdma_device_close(dev));
	assert_int_equal(fake_holds(), 0);
	ASSERT_OK(vdma_region_destroy(region));
	ASSERT_OK(vdma_ioas_destroy(ioas));
	ASSERT_OK(vdma_arena_destroy(arena));
}

static void uio_interrupts(struct vdma_device *dev)
{
	struct vdma_device_info info = { .size = sizeof(info) };
	uint64_t count = 0;
	int fd;

	ASSERT_OK(vdma_device_query(dev, &info));
	assert_true(info.irqs[0] == 1 && info.irqs[1] == 0 && info.irqs[2] == 0);
	assert_int_equal(info.group, -1);
	ASSERT_FAILS(vdma_device_irq_enable(dev, VDMA_IRQ_MSI, 1), ENXIO, VDMA_CAUSE_NOT_THERE,
		     "MSI 0");
	/* Off until they are wanted. */
	fake_uio_fire(EDU);
	ASSERT_OK(vdma_device_irq_enable(dev, VDMA_IRQ_INTX, 1));
	ASSERT_FAILS(vdma_device_irq_wait(dev, 0, 0, NULL), ETIMEDOUT, VDMA_CAUSE_TIMEOUT, EDU);
	fake_uio_fire(EDU);
	fake_uio_fire(EDU); /* masked by the first */
	ASSERT_OK(vdma_device_irq_wait(dev, 0, 1000, &count));
	assert_int_equal(count, 1);
	ASSERT_OK(vdma_device_irq_unmask(dev));
	fake_uio_fire(EDU);
	ASSERT_OK(vdma_device_irq_unmask(dev));
	fake_uio_fire(EDU);
	ASSERT_OK(vdma_device_irq_wait(dev, 0, 1000, &count));
	assert_int_equal(count, 2);
	ASSERT_OK(vdma_device_irq_unmask(dev));
	ASSERT_OK(vdma_device_irq_mask(dev));
	fake_uio_fire(EDU);
	ASSERT_FAILS(vdma_device_irq_wait(dev, 0, 0, NULL), ETIMEDOUT, VDMA_CAUSE_TIMEOUT, EDU);
	ASSERT_OK(vdma_device_irq_fd(dev, 0, &fd));
	ASSERT_OK(vdma_device_irq_unmask(dev));
	fake_uio_fire(EDU);
	/* What came before they are switched on again is not told. */
	ASSERT_OK(vdma_device_irq_disable(dev));
	ASSERT_OK(vdma_device_irq_enable(dev, VDMA_IRQ_INTX, 1));
	ASSERT_FAILS(vdma_device_irq_wait(dev, 0, 0, NULL), ETIMEDOUT, VDMA_CAUSE_TIMEOUT, EDU);
}

static void uio_device(void **state)
{
	struct vdma_arena *arena = arena_of(VDMA_TRANSLATION_AUTO);
	struct vdma_ioas *ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	struct vdma_ioas *second = ioas_of(arena, VDMA_BACKEND_AUTO);
	struct vdma_device *dev = device_of(ioas, EDU), *again;
	struct vdma_device_info info = { .size = sizeof(info) };
	struct vdma_bar bar;
	uint32_t value;

	(void)state;
	ASSERT_OK(vdma_device_query(dev, &info));
	assert_true(info.vendor == 0x1234 && info.device == 0x11e8 && info.can_reset);
	assert_true(info.bar_len[0] == MIB && info.bar_len[1] == 0 && info.bar_len[2] == 256);
	ASSERT_OK(vdma_device_bar(dev, 0, &bar));
	vdma_mmio_write32(bar.va, MIB - 4, 1);
	ASSERT_FAILS(vdma_device_bar(dev, 2, &bar), EOPNOTSUPP, VDMA_CAUSE_UNSUPPORTED, "BAR 2");
	ASSERT_FAILS(vdma_device_bar(dev, 3, &bar), EOPNOTSUPP, VDMA_CAUSE_UNSUPPORTED, "page");
	ASSERT_FAILS(vdma_device_config_read(dev, 256, 4, &value), ENXIO, VDMA_CAUSE_NOT_THERE,
		     "256 bytes");
	ASSERT_OK(vdma_device_reset(dev));
	assert_int_equal(fake_uio_resets(EDU), 1);
	uio_interrupts(dev);
	ASSERT_FAILS(vdma_device_open(second, EDU, NULL, &again), EBUSY, VDMA_CAUSE_GROUP_BUSY,
		     "/dev/uio0", "in use");
	ASSERT_OK(vdma_device_close(dev));
	fake_deny("/dev/uio0", EACCES);
	ASSERT_FAILS(vdma_device_open(ioas, EDU, NULL, &dev), EACCES, VDMA_CAUSE_PERMISSION,
		     "/dev/uio0");
	fake_file("/dev/uio0", "");
	fake_deny("/sys/bus/pci/devices/" EDU "/config", EACCES);
	ASSERT_FAILS(vdma_device_open(ioas, EDU, NULL, &dev), EACCES, VDMA_CAUSE_PERMISSION,
		     "root");
	ASSERT_OK(vdma_ioas_destroy(second));
	ASSERT_OK(vdma_ioas_destroy(ioas));
	ASSERT_OK(vdma_arena_destroy(arena));
}

static void vfio_without_iommu(void **state)
{
	struct vdma_arena *arena = arena_of(VDMA_TRANSLATION_AUTO);
	struct vdma_ioas *ioas = ioas_of(arena, VDMA_BACKEND_NOIOMMU);
	struct vdma_device *dev;

	(void)state;
	fake.noiommu = 0;
	ASSERT_FAILS(vdma_device_open(ioas, NIC, NULL, &dev), ENOENT, VDMA_CAUSE_NO_VFIO,
		     "enable_unsafe_noiommu_mode", "uio_pci_generic");
	fake.noiommu = 1;
	fake.set_iommu_err = EPERM;
	ASSERT_FAILS(vdma_device_open(ioas, NIC, NULL, &dev), EPERM, VDMA_CAUSE_PRIVILEGE,
		     "CAP_SYS_RAWIO");
	fake.set_iommu_err = 0;
	dev = device_of(ioas, NIC);
	ASSERT_OK(vdma_device_irq_enable(dev, VDMA_IRQ_MSI, 2));
	fake_fire(NIC, VFIO_PCI_MSI_IRQ_INDEX, 1);
	ASSERT_OK(vdma_device_irq_wait(dev, 1, 1000, NULL));
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
	ASSERT_OK(vdma_arena_destroy(arena));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NOIOMMU_TEST(auto_asks_the_machine),
		NOIOMMU_TEST(addresses_are_physical),
		NOIOMMU_TEST(limits_are_physical),
		NOIOMMU_TEST(only_contiguous_memory),
		NOIOMMU_TEST(kinds_do_not_mix),
		NOIOMMU_TEST(memory_is_tied_to_devices),
		NOIOMMU_TEST(tying_fails_whole),
		NOIOMMU_TEST(not_silent_stays_tied),
		NOIOMMU_TEST(uio_device),
		NOIOMMU_TEST(vfio_without_iommu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
