// SPDX-License-Identifier: BSD-3-Clause
/*
 * Discovery through libpci, on a sysfs of our own in a temporary folder.
 */
#include "unit.h"

#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/vdma-pci-XXXXXX";

static void put(const char *bdf, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/devices/%s/%s", root, bdf, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void device(const char *bdf, const char *vendor, const char *id, const char *class)
{
	static const char *const zero[] = { "irq", "resource", "subsystem_vendor",
					    "subsystem_device" };
	char path[256];
	size_t i;

	snprintf(path, sizeof(path), "%s/devices/%s", root, bdf);
	assert_int_equal(mkdir(path, 0700), 0);
	put(bdf, "vendor", vendor);
	put(bdf, "device", id);
	put(bdf, "class", class);
	put(bdf, "revision", "0x10\n");
	for (i = 0; i < sizeof(zero) / sizeof(zero[0]); i++)
		put(bdf, zero[i], "0x0\n");
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", bdf);
	fake_file(path, "");
}

static int build(void **state)
{
	char path[64], link[128];

	(void)state;
	fake_reset();
	if (!mkdtemp(root))
		return -1;
	snprintf(path, sizeof(path), "%s/devices", root);
	mkdir(path, 0700);
	/* Not in the order of their addresses. */
	device("0001:02:03.4", "0x144d\n", "0xa80a\n", "0x010802\n");
	device(EDU, "0x1234\n", "0x11e8\n", "0x00ff00\n");
	device(NIC, "0x8086\n", "0x10d3\n", "0x020000\n");
	fake_link("/sys/bus/pci/devices/" NIC "/iommu_group", "../../../kernel/iommu_groups/17");
	snprintf(link, sizeof(link), "%s/devices/" NIC "/driver", root);
	snprintf(path, sizeof(path), "%s/drivers", root);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/drivers/e1000e", root);
	mkdir(path, 0700);
	assert_int_equal(symlink("../../drivers/e1000e", link), 0);
	setenv("FAKE_PCI_PATH", root, 1);
	return 0;
}

static int remove_all(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", root);
	return system(command);
}

static void test_query(void **state)
{
	struct vdma_pci_info info = { .size = sizeof(info) };

	(void)state;
	ASSERT_OK(vdma_pci_query("00:11.0", &info));
	assert_int_equal(info.size, sizeof(info));
	assert_string_equal(info.bdf, NIC);
	assert_int_equal(info.vendor, 0x8086);
	assert_int_equal(info.device, 0x10d3);
	assert_int_equal(info.class_code, 0x020000);
	assert_int_equal(info.revision, 0x10);
	assert_int_equal(info.group, 17);
	assert_string_equal(info.driver, "e1000e");
	assert_non_null(strstr(info.vendor_name, "Intel"));
	assert_non_null(strstr(info.device_name, "82574L"));
	assert_non_null(strstr(info.class_name, "Ethernet"));

	ASSERT_OK(vdma_pci_query(EDU, &info));
	assert_int_equal(info.group, -1);
	assert_string_equal(info.driver, "");

	ASSERT_FAILS(vdma_pci_query("00:1f.0", &info), ENODEV, VDMA_CAUSE_NO_DEVICE,
		     "0000:00:1f.0");
	ASSERT_FAILS(vdma_pci_query("nonsense", &info), EINVAL, VDMA_CAUSE_BDF, "nonsense");
	ASSERT_FAILS(vdma_pci_query(NULL, &info), EINVAL, VDMA_CAUSE_BDF, "null");
	assert_string_equal(info.bdf, EDU);
	info.size = 8;
	ASSERT_FAILS(vdma_pci_query(EDU, &info), EINVAL, VDMA_CAUSE_ARGUMENT, "sizeof");
}

static int collect(const struct vdma_pci_info *pci, void *ctx)
{
	char *list = ctx;

	snprintf(list + strlen(list), 256 - strlen(list), "%s=%04x ", pci->bdf, pci->vendor);
	return 0;
}

static int stop_at_edu(const struct vdma_pci_info *pci, void *ctx)
{
	(*(unsigned int *)ctx)++;
	return !strcmp(pci->bdf, EDU) ? 42 : 0;
}

static void test_foreach(void **state)
{
	char list[256] = "";
	unsigned int calls = 0;

	(void)state;
	ASSERT_OK(vdma_pci_foreach(collect, list));
	assert_string_equal(list, "0000:00:10.0=1234 0000:00:11.0=8086 0001:02:03.4=144d ");
	assert_int_equal(vdma_pci_foreach(stop_at_edu, &calls), 42);
	assert_int_equal(calls, 1);
	ASSERT_FAILS(vdma_pci_foreach(NULL, NULL), EINVAL, VDMA_CAUSE_ARGUMENT, "NULL");
}

/* libpci's way out of an error is exit(); ours is a result. */
static void test_libpci_fails(void **state)
{
	char list[256] = "";

	(void)state;
	setenv("FAKE_PCI_PATH", "/nonexistent", 1);
	ASSERT_FAILS(vdma_pci_foreach(collect, list), EIO, VDMA_CAUSE_SYSTEM, "libpci");
	assert_string_equal(list, "");
	setenv("FAKE_PCI_PATH", root, 1);
	ASSERT_OK(vdma_pci_foreach(collect, list));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_query),
		cmocka_unit_test(test_foreach),
		cmocka_unit_test(test_libpci_fails),
	};

	return cmocka_run_group_tests(tests, build, remove_all);
}
