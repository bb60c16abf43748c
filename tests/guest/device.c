// SPDX-License-Identifier: BSD-3-Clause
/* A PCI function: its names, config space, BARs, bus master, reset; and edu-demo. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest.h"

#define PCI_COMMAND 0x04
#define PCI_COMMAND_MEMORY 0x2
#define PCI_COMMAND_MASTER 0x4
#define PCI_CLASS_REVISION 0x08
#define PCI_CACHE_LINE_SIZE 0x0c

#define NVME_CC 0x14
#define NVME_CC_SIZES 0x00460000 /* of queue entries; not enabled */

static int exec_demo(void *bdf)
{
	const char *name = getenv("VDMA_TEST_BACKEND");

	execl(demo_path, "edu-demo", "--backend", name ? name : "auto", (const char *)bdf, NULL);
	return 127;
}

/* Lines of the kernel's log with both words. */
static unsigned int kernel_log(const char *word, const char *and)
{
	FILE *f = popen("dmesg", "re");
	unsigned int n = 0;
	char line[1024];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, word) && strstr(line, and);
	assert_int_equal(pclose(f), 0);
	return n;
}

static void demo_works(void **state)
{
	const char *bdf = bdf_of("VDMA_BDF_EDU");
	char fault[64];

	(void)state;
	snprintf(fault, sizeof(fault), "device [%s] fault addr 0x", bdf + strlen("0000:"));
	assert_int_equal(kernel_log("DMAR: [DMA", fault), 0);
	assert_int_equal(in_child(exec_demo, (void *)(uintptr_t)bdf), 0);
	assert_int_equal(ledger_lines(), 0);
	/*
	 * The transfers outside were tried, and it was the IOMMU that stopped
	 * them. Not all of them: the kernel limits the rate.
	 */
	assert_true(kernel_log("DMAR: [DMA Write", fault) >= 1);
	assert_true(kernel_log("DMAR: [DMA Read", fault) >= 1);
}

/* It says so, and by its exit status, where the device is none. */
static void demo_fails(void **state)
{
	(void)state;
	assert_int_equal(in_child(exec_demo, (void *)(uintptr_t)bdf_of("VDMA_BDF_NVME")), 1);
	assert_int_equal(in_child(exec_demo, (void *)(uintptr_t) "0000:00:1d.7"), 1);
}

/* One field of lspci -mm: 1 class, 2 vendor, 3 device. */
static void lspci_field(const char *bdf, unsigned int field, char *text, size_t size)
{
	char command[64], line[512] = "", *p = line;
	FILE *f;

	snprintf(command, sizeof(command), "lspci -mm -s %s", bdf);
	f = popen(command, "re");
	assert_non_null(f);
	if (!fgets(line, sizeof(line), f) || pclose(f))
		fail_msg("%s gives nothing", command);
	for (unsigned int quotes = 2 * field - 1; quotes; quotes--) {
		p = strchr(p, '"');
		assert_non_null(p);
		p++;
	}
	snprintf(text, size, "%.*s", (int)strcspn(p, "\""), p);
}

static void names(void **state)
{
	static const char *const variable[] = {
		"VDMA_BDF_EDU",
		"VDMA_BDF_E1000E",
		"VDMA_BDF_E1000",
	};
	struct vdma_pci_info pci = { .size = sizeof(pci) };
	char text[256];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		const char *bdf = bdf_of(variable[i]);

		WORKS(vdma_pci_query(bdf, &pci));
		assert_string_equal(pci.bdf, bdf);
		lspci_field(bdf, 1, text, sizeof(text));
		assert_string_equal(pci.class_name, text);
		lspci_field(bdf, 2, text, sizeof(text));
		assert_string_equal(pci.vendor_name, text);
		lspci_field(bdf, 3, text, sizeof(text));
		assert_string_equal(pci.device_name, text);
		assert_int_equal(pci.vendor | (uint32_t)pci.device << 16, sysfs_config(bdf, 0, 4));
		assert_int_equal(pci.class_code << 8 | pci.revision,
				 sysfs_config(bdf, PCI_CLASS_REVISION, 4));
	}
	assert_string_equal(pci.driver, "e1000");
	/* Domain 0 can be left out. */
	WORKS(vdma_pci_query(bdf_of("VDMA_BDF_EDU") + strlen("0000:"), &pci));
	assert_string_equal(pci.driver, "vfio-pci");
	WORKS(vdma_pci_query(bdf_of("VDMA_BDF_EDU3"), &pci));
	assert_string_equal(pci.driver, "");
}

struct walk {
	char last[16];
	unsigned int count;
	unsigned int edus;
};

static int walk_one(const struct vdma_pci_info *pci, void *ctx)
{
	struct walk *w = ctx;

	assert_true(strcmp(w->last, pci->bdf) < 0);
	strcpy(w->last, pci->bdf);
	w->count++;
	w->edus += pci->vendor == 0x1234 && pci->device == 0x11e8;
	return 0;
}

static int walk_stop(const struct vdma_pci_info *pci, void *ctx)
{
	(void)pci;
	return ++*(int *)ctx == 2 ? 42 : 0;
}

static void discovery(void **state)
{
	struct walk w = { .last = "" };
	char text[32];
	int seen = 0;
	FILE *f = popen("ls /sys/bus/pci/devices | wc -l", "re");

	(void)state;
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	pclose(f);
	WORKS(vdma_pci_foreach(walk_one, &w));
	assert_int_equal(w.count, atoi(text));
	assert_int_equal(w.edus, 4);
	assert_int_equal(vdma_pci_foreach(walk_stop, &seen), 42);
	assert_int_equal(seen, 2);
}

static void info(void **state)
{
	struct space s = space_create();
	struct vdma_device_info edu = { .size = sizeof(edu) }, nvme = { .size = sizeof(nvme) };
	struct vdma_device *a, *b;
	char link[256];
	const char *bdf = bdf_of("VDMA_BDF_EDU");

	(void)state;
	WORKS(vdma_device_open(s.ioas, bdf, NULL, &a));
	WORKS(vdma_device_open(s.ioas, bdf_of("VDMA_BDF_NVME"), NULL, &b));
	WORKS(vdma_device_query(a, &edu));
	WORKS(vdma_device_query(b, &nvme));
	assert_string_equal(edu.bdf, bdf);
	snprintf(link, sizeof(link), "/dev/vfio/%d", edu.group);
	assert_return_code(access(link, F_OK), errno);
	assert_int_equal(edu.vendor | (uint32_t)edu.device << 16, sysfs_config(bdf, 0, 4));
	assert_int_equal(edu.bar_len[0], 1 << 20);
	for (int i = 1; i < 6; i++)
		assert_int_equal(edu.bar_len[i], 0);
	assert_int_equal(edu.irqs[VDMA_IRQ_INTX], 1);
	assert_int_equal(edu.irqs[VDMA_IRQ_MSI], 1);
	assert_int_equal(edu.irqs[VDMA_IRQ_MSIX], 0);
	assert_false(edu.can_reset);
	assert_true(nvme.irqs[VDMA_IRQ_MSIX] > 1);
	assert_true(nvme.can_reset);
	vdma_device_close(b);
	vdma_device_close(a);
	space_destroy(&s);
}

static void config_space(void **state)
{
	struct space s = space_create();
	const char *bdf = bdf_of("VDMA_BDF_EDU");
	struct vdma_device *dev;
	uint32_t v = 0;

	(void)state;
	WORKS(vdma_device_open(s.ioas, bdf, NULL, &dev));
	WORKS(vdma_device_config_read(dev, 0, 4, &v));
	assert_int_equal(v, 0x11e81234);
	WORKS(vdma_device_config_read(dev, 2, 2, &v));
	assert_int_equal(v, 0x11e8);
	WORKS(vdma_device_config_read(dev, 3, 1, &v));
	assert_int_equal(v, 0x11);
	/* A register that VFIO passes on. */
	WORKS(vdma_device_config_write(dev, PCI_CACHE_LINE_SIZE, 1, 0x10));
	WORKS(vdma_device_config_read(dev, PCI_CACHE_LINE_SIZE, 1, &v));
	assert_int_equal(v, 0x10);
	assert_int_equal(sysfs_config(bdf, PCI_CACHE_LINE_SIZE, 1), 0x10);
	WORKS(vdma_device_config_write(dev, PCI_CACHE_LINE_SIZE, 1, 0));
	assert_int_equal(sysfs_config(bdf, PCI_CACHE_LINE_SIZE, 1), 0);

	v = 77;
	assert_true(EXPLAINED(vdma_device_config_read(dev, 1, 2, &v), EINVAL, ARGUMENT, "0x1"));
	assert_true(EXPLAINED(vdma_device_config_read(dev, 0, 3, &v), EINVAL, ARGUMENT, "3 bytes"));
	assert_true(EXPLAINED(vdma_device_config_read(dev, 1 << 16, 4, &v), ENXIO, NOT_THERE, bdf));
	assert_true(EXPLAINED(vdma_device_config_write(dev, PCI_CACHE_LINE_SIZE, 1, 256), EINVAL,
			      ARGUMENT, "0x100"));
	assert_int_equal(v, 77);
	vdma_device_close(dev);
	space_destroy(&s);
}

/* Off when opened and when closed, also if the driver never thought of it. */
static void bus_master(void **state)
{
	struct space s = space_create();
	const char *bdf = bdf_of("VDMA_BDF_EDU");
	struct vdma_device *dev;

	(void)state;
	WORKS(vdma_device_open(s.ioas, bdf, NULL, &dev));
	assert_false(sysfs_config(bdf, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
	assert_true(sysfs_config(bdf, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY);
	WORKS(vdma_device_set_bus_master(dev, 1));
	assert_true(sysfs_config(bdf, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
	WORKS(vdma_device_set_bus_master(dev, 0));
	assert_false(sysfs_config(bdf, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
	WORKS(vdma_device_set_bus_master(dev, 1));
	vdma_device_close(dev);
	assert_false(sysfs_config(bdf, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
	space_destroy(&s);
}

static void bars(void **state)
{
	struct space s = space_create();
	const char *bdf = bdf_of("VDMA_BDF_EDU");
	struct vdma_bar bar = { 0 }, again;
	struct vdma_device *dev;

	(void)state;
	WORKS(vdma_device_open(s.ioas, bdf, NULL, &dev));
	WORKS(vdma_device_bar(dev, 0, &bar));
	assert_int_equal(bar.len, 1 << 20);
	assert_int_equal(vdma_mmio_read32(bar.va, 0), 0x010000ed);
	vdma_mmio_write32(bar.va, 4, 0x0f0f1234);
	assert_int_equal(vdma_mmio_read32(bar.va, 4), ~0x0f0f1234u);
	WORKS(vdma_device_bar(dev, 0, &again));
	assert_ptr_equal(again.va, bar.va);

	again.va = NULL;
	assert_true(EXPLAINED(vdma_device_bar(dev, 2, &again), ENXIO, NOT_THERE, bdf, "2"));
	assert_true(EXPLAINED(vdma_device_bar(dev, 6, &again), ENXIO, NOT_THERE, bdf, "6"));
	assert_null(again.va);
	vdma_device_close(dev);
	space_destroy(&s);
}

static void reset(void **state)
{
	struct space s = space_create();
	struct vdma_device *dev;
	struct vdma_bar bar;

	(void)state;
	WORKS(vdma_device_open(s.ioas, bdf_of("VDMA_BDF_NVME"), NULL, &dev));
	WORKS(vdma_device_bar(dev, 0, &bar));
	WORKS(vdma_device_set_bus_master(dev, 1));
	vdma_mmio_write32(bar.va, NVME_CC, NVME_CC_SIZES);
	assert_int_equal(vdma_mmio_read32(bar.va, NVME_CC), NVME_CC_SIZES);
	WORKS(vdma_device_reset(dev));
	assert_int_equal(vdma_mmio_read32(bar.va, NVME_CC), 0);
	assert_true(sysfs_config(bdf_of("VDMA_BDF_NVME"), PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
	vdma_device_close(dev);

	WORKS(vdma_device_open(s.ioas, bdf_of("VDMA_BDF_EDU"), NULL, &dev));
	assert_true(
		EXPLAINED(vdma_device_reset(dev), EOPNOTSUPP, UNSUPPORTED, bdf_of("VDMA_BDF_EDU")));
	vdma_device_close(dev);
	space_destroy(&s);
}

/* What the driver refuses, since the device does not, or ends QEMU on it. */
static void driver_refuses(void **state)
{
	struct space s = space_create();
	uint32_t result = 77;
	struct edu edu;

	(void)state;
	EDU_WORKS(&edu, edu_open(&edu, s.ioas, bdf_of("VDMA_BDF_EDU"), EDU_ADDRESS_BITS));
	assert_int_equal(edu_factorial(&edu, 13, &result), -ERANGE);
	assert_int_equal(result, 77);
	assert_int_equal(edu_dma_write(&edu, 0, PAGE, 0), -EINVAL);
	assert_int_equal(edu_dma_write(&edu, 0, PAGE, EDU_BUF_LEN), -EINVAL);
	assert_int_equal(edu_dma_write(&edu, 1, PAGE, EDU_BUF_USABLE), -EINVAL);
	assert_int_equal(edu_dma_read(&edu, PAGE, EDU_BUF_USABLE, 1), -EINVAL);
	assert_int_equal(edu_dma_read(&edu, PAGE, ~0u, 2), -EINVAL);
	assert_int_equal(edu_dma_read(&edu, (1 << EDU_ADDRESS_BITS) - 1, 0, 2), -ERANGE);
	assert_int_equal(edu_dma_read(&edu, ~0ULL, 0, 2), -ERANGE);
	edu_close(&edu);
	space_destroy(&s);
}

int run_demo(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(demo_works),
		cmocka_unit_test(demo_fails),
		cmocka_unit_test(driver_refuses),
	};

	return cmocka_run_group_tests_name("demo", tests, NULL, NULL);
}

int run_device(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),      cmocka_unit_test(discovery),
		cmocka_unit_test(info),	      cmocka_unit_test(config_space),
		cmocka_unit_test(bus_master), cmocka_unit_test(bars),
		cmocka_unit_test(reset),
	};

	return cmocka_run_group_tests_name("device", tests, NULL, NULL);
}
