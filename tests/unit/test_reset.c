// SPDX-License-Identifier: BSD-3-Clause
/*
 * Resets, alone and with the whole bus, and who stands in the way of that; VF tokens
 * between the drivers of a physical function and its virtual ones.
 */
#include "unit.h"

#include <linux/vfio.h>

#include "../../libvdma/iommufd_abi.h"

#define CARD "0000:01:00.0"
#define CARD1 "0000:01:00.1"
#define CARD2 "0000:01:00.2"

#define TOKEN "bd8d9d2b-5a5f-4f5a-a211-f591514ba1f3"
#define OTHER_TOKEN "00000000-0000-0000-0000-00000000000A"

static struct vdma_arena *arena;

static int with_arena(void **state)
{
	reset(state);
	return vdma_arena_create(NULL, &arena);
}

static int without_arena(void **state)
{
	return vdma_arena_destroy(arena) ? -1 : check_clean(state);
}

static struct vdma_device_info info_of(struct vdma_device *dev)
{
	struct vdma_device_info info = { .size = sizeof(info) };

	ASSERT_OK(vdma_device_query(dev, &info));
	return info;
}

static void test_methods(void **state)
{
	static const struct {
		const char *list;
		uint32_t resets, reset;
	} rows[] = {
		{ "flr\n", VDMA_RESET_FLR, VDMA_RESET_FLR },
		{ "af_flr pm bus\n", VDMA_RESET_FLR | VDMA_RESET_PM | VDMA_RESET_BUS,
		  VDMA_RESET_FLR },
		{ "pm bus\n", VDMA_RESET_PM | VDMA_RESET_BUS, VDMA_RESET_PM },
		{ "device_specific acpi flr cxl_bus\n",
		  VDMA_RESET_OTHER | VDMA_RESET_FLR | VDMA_RESET_BUS, VDMA_RESET_OTHER },
		{ "\n", VDMA_RESET_OTHER, VDMA_RESET_OTHER },
	};
	struct vdma_ioas *ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	struct vdma_device *dev;
	size_t i;

	(void)state;
	add_edu(EDU, 5);
	dev = device_of(ioas, EDU);
	/* Linux before 5.15. */
	assert_int_equal(info_of(dev).resets, VDMA_RESET_OTHER);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fake_file("/sys/bus/pci/devices/" EDU "/reset_method", rows[i].list);
		assert_int_equal(info_of(dev).resets, rows[i].resets);
		assert_int_equal(info_of(dev).reset, rows[i].reset);
		assert_int_equal(info_of(dev).hot_functions, 0);
	}
	ASSERT_OK(vdma_device_let_go(dev));
	assert_int_equal(info_of(dev).resets, 0);
	assert_int_equal(info_of(dev).reset, 0);
	ASSERT_FAILS(vdma_device_hot_reset(dev), ENODEV, VDMA_CAUSE_GONE, EDU);
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

static void hot_reset(enum vdma_backend backend)
{
	const struct fake_pci dull = { .vendor = 0x8086 };
	struct vdma_ioas *ioas = ioas_of(arena, backend);
	struct vdma_device *dev, *second, *root;

	add_edu(EDU, 5);
	add_edu(CARD, 6);
	fake_device(CARD1, 6, "vfio-pci", &dull);
	add_edu(CARD2, 7);
	root = device_of(ioas, EDU);
	dev = device_of(ioas, CARD);
	assert_int_equal(info_of(dev).hot_functions, 3);
	assert_true(info_of(dev).resets & VDMA_RESET_HOT);
	assert_int_equal(info_of(root).hot_functions, 0);
	ASSERT_FAILS(vdma_device_hot_reset(root), EOPNOTSUPP, VDMA_CAUSE_UNSUPPORTED, EDU,
		     "root bus");

	/* CARD1 is of the group that is ours, CARD2 is not. */
	ASSERT_FAILS(vdma_device_hot_reset(dev), EBUSY, VDMA_CAUSE_AFFECTED, CARD, "3 functions",
		     CARD2, "group 7", "not open");
	assert_null(strstr(vdma_explain(), CARD1));
	assert_int_equal(vdma_last_failure()->need, 3);
	assert_int_equal(vdma_last_failure()->limit, 2);
	assert_int_equal(fake_hot_resets(CARD), 0);

	second = device_of(ioas, CARD2);
	ASSERT_OK(vdma_device_hot_reset(dev));
	assert_int_equal(fake_hot_resets(CARD), 1);
	assert_int_equal(fake_hot_resets(CARD1), 1);
	assert_int_equal(fake_hot_resets(CARD2), 1);
	assert_int_equal(fake_hot_resets(EDU), 0);
	ASSERT_OK(vdma_device_close(second));

	/* Its own reset there is none of, but that one. */
	second = device_of(ioas, CARD1);
	ASSERT_FAILS(vdma_device_reset(second), EOPNOTSUPP, VDMA_CAUSE_UNSUPPORTED, CARD1,
		     "vdma_device_hot_reset(), which resets 2 functions with it");
	assert_int_equal(info_of(second).resets, VDMA_RESET_HOT);

	/* Somebody else has it. */
	fake_group_held(7, 31, "qemu");
	ASSERT_FAILS(vdma_device_hot_reset(dev), EBUSY, VDMA_CAUSE_AFFECTED, CARD2,
		     "in use by process 31 (qemu)");
	assert_int_equal(vdma_last_failure()->pid, 31);
	ASSERT_OK(vdma_device_close(second));
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_device_close(root));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

static void test_hot_reset_type1(void **state)
{
	(void)state;
	hot_reset(VDMA_BACKEND_TYPE1);
}

static void test_hot_reset_iommufd(void **state)
{
	(void)state;
	hot_reset(VDMA_BACKEND_IOMMUFD);
}

/* Groups prove who we are whatever container they are in; an iommufd does not. */
static void test_hot_reset_of_several_spaces(void **state)
{
	static const enum vdma_backend backends[] = { VDMA_BACKEND_TYPE1, VDMA_BACKEND_IOMMUFD };
	struct vdma_device *dev, *second;
	struct vdma_ioas *a, *b;
	size_t i;

	(void)state;
	add_edu(CARD, 6);
	add_edu(CARD1, 7);
	for (i = 0; i < 2; i++) {
		a = ioas_of(arena, backends[i]);
		b = ioas_of(arena, backends[i]);
		dev = device_of(a, CARD);
		second = device_of(b, CARD1);
		if (i == 0)
			ASSERT_OK(vdma_device_hot_reset(dev));
		else
			ASSERT_FAILS(vdma_device_hot_reset(dev), EBUSY, VDMA_CAUSE_AFFECTED, CARD1,
				     "open in this process", "another address space");
		ASSERT_OK(vdma_device_close(second));
		ASSERT_OK(vdma_device_close(dev));
		ASSERT_OK(vdma_ioas_destroy(a));
		ASSERT_OK(vdma_ioas_destroy(b));
	}
	assert_int_equal(fake_hot_resets(CARD1), 1);
}

static void test_hot_reset_of_a_drivers(void **state)
{
	const struct fake_pci pci = { .vendor = 0x8086 };
	struct vdma_ioas *ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	struct vdma_device *dev;

	(void)state;
	add_edu(CARD, 6);
	fake_device(CARD1, 6, "pci-stub", &pci);
	fake_device(CARD2, 7, NULL, &pci);
	dev = device_of(ioas, CARD);
	ASSERT_FAILS(vdma_device_hot_reset(dev), EBUSY, VDMA_CAUSE_AFFECTED,
		     CARD1 ", driver pci-stub: bind it to vfio-pci", CARD2 ", driver none");
	/* Bound as it should be, and another process has it. */
	fake_remove("/sys/bus/pci/devices/" CARD1 "/driver");
	fake_remove("/sys/bus/pci/devices/" CARD2 "/driver");
	fake_link("/sys/bus/pci/devices/" CARD1 "/driver", "../drivers/vfio-pci");
	fake_link("/sys/bus/pci/devices/" CARD2 "/driver", "../drivers/vfio-pci");
	fake_group_held(7, 31, "qemu");
	ASSERT_FAILS(vdma_device_hot_reset(dev), EBUSY, VDMA_CAUSE_AFFECTED, "31");
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

static int open_with(struct vdma_ioas *ioas, const char *bdf, const char *token,
		     struct vdma_device **dev)
{
	struct vdma_device_opts opts = { .size = sizeof(opts), .vf_token = token };

	return vdma_device_open(ioas, bdf, &opts, dev);
}

static void test_tokens(void **state)
{
	struct vdma_ioas *ioas = ioas_of(arena, VDMA_BACKEND_TYPE1);
	struct vdma_device *pf, *vf, *dev;

	(void)state;
	add_edu(CARD, 6);
	add_edu(CARD1, 7);
	fake_sriov(CARD);
	fake_virtual(CARD1, CARD);
	ASSERT_OK(open_with(ioas, CARD, TOKEN, &pf));
	assert_string_equal(fake_token(CARD), TOKEN);
	ASSERT_FAILS(open_with(ioas, CARD1, NULL, &dev), EACCES, VDMA_CAUSE_VF_TOKEN, CARD1, CARD,
		     "vf_token is not set");
	ASSERT_FAILS(open_with(ioas, CARD1, OTHER_TOKEN, &dev), EACCES, VDMA_CAUSE_VF_TOKEN, CARD1,
		     CARD, "another one");
	assert_int_equal(vdma_last_failure()->sys_errno, EACCES);
	ASSERT_OK(open_with(ioas, CARD1, TOKEN, &vf));

	/* Who comes to the physical function while the virtual one is in use. */
	ASSERT_OK(vdma_device_close(pf));
	ASSERT_FAILS(open_with(ioas, CARD, NULL, &dev), EACCES, VDMA_CAUSE_VF_TOKEN,
		     "Virtual functions of " CARD " are in use", "not set");
	ASSERT_FAILS(open_with(ioas, CARD, OTHER_TOKEN, &dev), EACCES, VDMA_CAUSE_VF_TOKEN,
		     "another one");
	ASSERT_OK(open_with(ioas, CARD, TOKEN, &pf));
	ASSERT_OK(vdma_device_close(pf));
	ASSERT_OK(vdma_device_close(vf));
	/* Afterwards it may be a new one. */
	ASSERT_OK(open_with(ioas, CARD, OTHER_TOKEN, &pf));
	assert_string_equal(fake_token(CARD), OTHER_TOKEN);
	ASSERT_OK(vdma_device_close(pf));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

static void test_tokens_iommufd(void **state)
{
	struct vdma_ioas *ioas = ioas_of(arena, VDMA_BACKEND_IOMMUFD);
	size_t files = fake_open_files();
	struct vdma_device *dev;

	(void)state;
	add_edu(CARD, 6);
	add_edu(CARD1, 7);
	fake_sriov(CARD);
	fake_virtual(CARD1, CARD);
	fake.fail_request = IOMMUFD_ABI_DEVICE_FEATURE;
	fake.fail_request_err = EIO;
	ASSERT_FAILS(open_with(ioas, CARD, TOKEN, &dev), EIO, VDMA_CAUSE_SYSTEM, "VF_TOKEN", CARD);
	ASSERT_FAILS(open_with(ioas, CARD1, TOKEN, &dev), EOPNOTSUPP, VDMA_CAUSE_UNSUPPORTED, CARD1,
		     "6.17", "TYPE1");
	fake.fail_request = IOMMUFD_ABI_DEVICE_BIND;
	fake.fail_request_err = EACCES;
	ASSERT_FAILS(open_with(ioas, CARD1, NULL, &dev), EACCES, VDMA_CAUSE_VF_TOKEN, CARD1, CARD);
	assert_int_equal(fake_open_files(), files);
	ASSERT_OK(open_with(ioas, CARD, TOKEN, &dev));
	assert_string_equal(fake_token(CARD), TOKEN);
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(open_with(ioas, CARD1, NULL, &dev));
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

static void test_tokens_that_do_not_fit(void **state)
{
	static const char *const bad[] = {
		"",
		"bd8d9d2b",
		"bd8d9d2b-5a5f-4f5a-a211-f591514ba1f",
		"bd8d9d2b-5a5f-4f5a-a211-f591514ba1f3 ",
		"bd8d9d2b-5a5f-4f5a-a211-f591514ba1fg",
		"bd8d9d2b15a5f-4f5a-a211-f591514ba1f3",
		"bd8d9d2b-5a5f-4f5a-a211-f591514ba1f3-",
	};
	const struct fake_pci pci = { .vendor = 0x8086 };
	struct vdma_ioas *ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	struct vdma_device *dev;
	size_t i;

	(void)state;
	add_edu(CARD, 6);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ASSERT_FAILS(open_with(ioas, CARD, bad[i], &dev), EINVAL, VDMA_CAUSE_ARGUMENT,
			     bad[i], "UUID");
	ASSERT_FAILS(open_with(ioas, CARD, TOKEN, &dev), EINVAL, VDMA_CAUSE_ARGUMENT, CARD,
		     "SR-IOV", "without");
	/* The kernel drives its physical function, and is trusted. */
	add_edu(CARD1, 7);
	fake_device(CARD2, 8, "nvme", &pci);
	fake_sriov(CARD2);
	fake_virtual(CARD1, CARD2);
	ASSERT_FAILS(open_with(ioas, CARD1, TOKEN, &dev), EINVAL, VDMA_CAUSE_ARGUMENT, CARD1, CARD2,
		     "nvme");
	ASSERT_OK(open_with(ioas, CARD1, NULL, &dev));
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

static void test_uio(void **state)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts),
					.translation = VDMA_TRANSLATION_PHYSICAL };
	struct vdma_arena *physical;
	struct vdma_ioas *ioas;
	struct vdma_device *dev;

	(void)state;
	bare_machine();
	ASSERT_OK(vdma_arena_create(&opts, &physical));
	ioas = ioas_of(physical, VDMA_BACKEND_AUTO);
	ASSERT_FAILS(open_with(ioas, EDU, TOKEN, &dev), EINVAL, VDMA_CAUSE_ARGUMENT, EDU,
		     "uio_pci_generic");
	dev = device_of(ioas, EDU);
	ASSERT_FAILS(vdma_device_hot_reset(dev), EOPNOTSUPP, VDMA_CAUSE_UNSUPPORTED, EDU,
		     "uio_pci_generic");
	assert_int_equal(info_of(dev).hot_functions, 0);
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_FAILS(vdma_device_hot_reset(NULL), EINVAL, VDMA_CAUSE_ARGUMENT, "NULL");
	ASSERT_OK(vdma_ioas_destroy(ioas));
	ASSERT_OK(vdma_arena_destroy(physical));
}

#define ARENA_TEST(fn) cmocka_unit_test_setup_teardown(fn, with_arena, without_arena)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ARENA_TEST(test_methods),
		ARENA_TEST(test_hot_reset_type1),
		ARENA_TEST(test_hot_reset_iommufd),
		ARENA_TEST(test_hot_reset_of_several_spaces),
		ARENA_TEST(test_hot_reset_of_a_drivers),
		ARENA_TEST(test_tokens),
		ARENA_TEST(test_tokens_iommufd),
		ARENA_TEST(test_tokens_that_do_not_fit),
		ARENA_TEST(test_uio),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
