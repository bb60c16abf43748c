// SPDX-License-Identifier: BSD-3-Clause
/*
 * PCI functions: opening and what stands in the way, BARs, config space,
 * interrupts, reset.
 */
#include "unit.h"

#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static struct vdma_arena *arena;
static struct vdma_ioas *ioas;

static int with_ioas(void **state)
{
	reset(state);
	return vdma_arena_create(NULL, &arena) || vdma_ioas_create(arena, NULL, &ioas) ? -1 : 0;
}

static int without_ioas(void **state)
{
	return vdma_ioas_destroy(ioas) || vdma_arena_destroy(arena) ? -1 : check_clean(state);
}

static struct vdma_device *open_device(const char *bdf)
{
	struct vdma_device *dev = NULL;

	ASSERT_OK(vdma_device_open(ioas, bdf, NULL, &dev));
	return dev;
}

static void test_open(void **state)
{
	struct vdma_device_info info = { .size = sizeof(info) };
	struct vdma_device *dev;

	(void)state;
	add_edu(EDU, 5);
	dev = open_device("00:10.0");
	ASSERT_OK(vdma_device_query(dev, &info));
	assert_string_equal(info.bdf, EDU);
	assert_int_equal(info.vendor, 0x1234);
	assert_int_equal(info.device, 0x11e8);
	assert_int_equal(info.group, 5);
	assert_int_equal(info.can_reset, 1);
	assert_int_equal(info.irqs[VDMA_IRQ_INTX], 1);
	assert_int_equal(info.irqs[VDMA_IRQ_MSI], 4);
	assert_int_equal(info.irqs[VDMA_IRQ_MSIX], 8);
	assert_int_equal(info.bar_len[0], 1 << 20);
	assert_int_equal(info.bar_len[1], 0);
	/* Memory space on, bus mastering off, whatever it was before. */
	assert_int_equal(fake_config(EDU)[PCI_COMMAND], PCI_COMMAND_MEMORY);
	ASSERT_OK(vdma_device_set_bus_master(dev, 1));
	assert_int_equal(fake_config(EDU)[PCI_COMMAND], PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	ASSERT_OK(vdma_device_set_bus_master(dev, 0));
	assert_int_equal(fake_config(EDU)[PCI_COMMAND], PCI_COMMAND_MEMORY);
	ASSERT_OK(vdma_device_set_bus_master(dev, 1));
	ASSERT_OK(vdma_device_close(dev));
	assert_int_equal(fake_config(EDU)[PCI_COMMAND] & PCI_COMMAND_MASTER, 0);
	ASSERT_OK(vdma_device_close(NULL));
}

static void test_bad_arguments(void **state)
{
	static const char *const bad[] = {
		"",
		"0",
		"00:10",
		"00:10.8",
		"00:20.0",
		"0000:00:10.0x",
		"0000:00:10",
		"000:00:10.0",
		"0000:00:10.00",
		"zz:10.0",
		"0000.00.10.0",
		" 00:10.0",
		"00:1g.0",
	};
	struct vdma_device_opts opts = { .size = sizeof(opts), .flags = 1 };
	struct vdma_device *dev = (void *)1;
	size_t i;

	(void)state;
	add_edu(EDU, 5);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ASSERT_FAILS(vdma_device_open(ioas, bad[i], NULL, &dev), EINVAL, VDMA_CAUSE_BDF,
			     bad[i], "0000:00:10.0");
	ASSERT_FAILS(vdma_device_open(ioas, EDU, &opts, &dev), E2BIG, VDMA_CAUSE_OPTIONS, "0x1");
	ASSERT_FAILS(vdma_device_open(NULL, EDU, NULL, &dev), EINVAL, VDMA_CAUSE_ARGUMENT, "NULL");
	ASSERT_FAILS(vdma_device_open(ioas, "0000:00:1F.7", NULL, &dev), ENODEV,
		     VDMA_CAUSE_NO_DEVICE, "0000:00:1f.7", "lspci");
	assert_ptr_equal(dev, (void *)1);
}

static void test_no_iommu(void **state)
{
	struct vdma_device *dev;

	(void)state;
	add_edu(EDU, 5);
	fake_remove("/sys/bus/pci/devices/" EDU "/iommu_group");
	ASSERT_FAILS(vdma_device_open(ioas, EDU, NULL, &dev), EOPNOTSUPP, VDMA_CAUSE_NO_IOMMU,
		     "not for this device");
	fake_remove("/sys/kernel/iommu_groups");
	ASSERT_FAILS(vdma_device_open(ioas, EDU, NULL, &dev), EOPNOTSUPP, VDMA_CAUSE_NO_IOMMU,
		     "/sys/kernel/iommu_groups is empty", "intel_iommu=on");
}

static void test_not_bound(void **state)
{
	const struct fake_pci pci = { .vendor = 0x8086 };
	struct vdma_device *dev;

	(void)state;
	fake_device(EDU, 5, "e1000e", &pci);
	fake_device(NIC, 6, NULL, &pci);
	ASSERT_FAILS(vdma_device_open(ioas, EDU, NULL, &dev), ENODEV, VDMA_CAUSE_NOT_BOUND,
		     "bound to e1000e", "modprobe vfio-pci",
		     "echo vfio-pci > /sys/bus/pci/devices/0000:00:10.0/driver_override",
		     "echo 0000:00:10.0 > /sys/bus/pci/devices/0000:00:10.0/driver/unbind",
		     "echo 0000:00:10.0 > /sys/bus/pci/drivers_probe");
	ASSERT_FAILS(vdma_device_open(ioas, NIC, NULL, &dev), ENODEV, VDMA_CAUSE_NOT_BOUND,
		     "bound to no driver", "driver_override");
	assert_null(strstr(vdma_explain(), "unbind"));
}

static void test_no_group_node(void **state)
{
	struct vdma_device *dev;

	(void)state;
	add_edu(EDU, 5);
	fake_remove("/dev/vfio/5");
	ASSERT_FAILS(vdma_device_open(ioas, EDU, NULL, &dev), ENOENT, VDMA_CAUSE_NO_VFIO,
		     "/dev/vfio/5");
}

static void test_group_not_viable(void **state)
{
	const struct fake_pci pci = { .vendor = 0x8086 };
	struct vdma_device *dev;

	(void)state;
	add_edu(EDU, 5);
	fake_device("0000:00:10.1", 5, "snd_hda_intel", &pci);
	fake_device("0000:00:10.2", 5, NULL, &pci);
	fake_device("0000:00:10.3", 5, "pcieport", &pci);
	fake_group_not_viable(5);
	ASSERT_FAILS(vdma_device_open(ioas, EDU, NULL, &dev), EBUSY, VDMA_CAUSE_NOT_VIABLE,
		     "group 5", "0000:00:10.1, driver snd_hda_intel", "driver/unbind");
	/* Those that do no harm are not named. */
	assert_null(strstr(vdma_explain(), "0000:00:10.2"));
	assert_null(strstr(vdma_explain(), "0000:00:10.3"));

	/* A driver that comes between the look and the claim. */
	add_edu(NIC, 6);
	fake.fail_request = VFIO_GROUP_SET_CONTAINER;
	fake.fail_request_err = EPERM;
	ASSERT_FAILS(vdma_device_open(ioas, NIC, NULL, &dev), EBUSY, VDMA_CAUSE_NOT_VIABLE,
		     "group 6");
}

static void test_group_busy(void **state)
{
	struct vdma_device *dev, *other;
	struct vdma_ioas *second;

	(void)state;
	add_edu(EDU, 5);
	fake_group_held(5, 777, "qemu-system-x86\n");
	ASSERT_FAILS(vdma_device_open(ioas, EDU, NULL, &dev), EBUSY, VDMA_CAUSE_GROUP_BUSY,
		     "/dev/vfio/5", "process 777 (qemu-system-x86)",
		     "End it, or use a device of another group");
	assert_int_equal(vdma_last_failure()->pid, 777);
	/* Another user's descriptors cannot be seen. */
	fake_remove("/proc/777");
	ASSERT_FAILS(vdma_device_open(ioas, EDU, NULL, &dev), EBUSY, VDMA_CAUSE_GROUP_BUSY,
		     "another user", "fuser", "use a device of another group");
	assert_int_equal(vdma_last_failure()->pid, 0);
	/* The holder is this process. */
	add_edu(NIC, 6);
	dev = open_device(NIC);
	ASSERT_OK(vdma_ioas_create(arena, NULL, &second));
	ASSERT_FAILS(vdma_device_open(second, NIC, NULL, &other), EBUSY, VDMA_CAUSE_GROUP_BUSY,
		     "This process", "same ioas");
	assert_int_equal(vdma_last_failure()->pid, FAKE_PID);
	ASSERT_FAILS(vdma_device_open(ioas, NIC, NULL, &other), EBUSY, VDMA_CAUSE_OPEN,
		     "open already");
	ASSERT_OK(vdma_ioas_destroy(second));
	ASSERT_OK(vdma_device_close(dev));
}

static void test_group_permission(void **state)
{
	struct vdma_device *dev;

	(void)state;
	add_edu(EDU, 5);
	fake_deny("/dev/vfio/5", EACCES);
	ASSERT_FAILS(vdma_device_open(ioas, EDU, NULL, &dev), EACCES, VDMA_CAUSE_PERMISSION,
		     "/dev/vfio/5", "chown", "udev");
}

static void test_group_shared(void **state)
{
	struct vdma_device *a, *b;
	size_t files = fake_open_files();

	(void)state;
	add_edu(EDU, 5);
	add_edu(NIC, 5);
	a = open_device(EDU);
	b = open_device(NIC);
	/* One group, two devices, and for each an eventfd that tells when it has to go. */
	assert_int_equal(fake_open_files(), files + 5);
	ASSERT_OK(vdma_device_close(a));
	assert_int_equal(fake_open_files(), files + 3);
	ASSERT_OK(vdma_device_set_bus_master(b, 1));
	ASSERT_OK(vdma_device_close(b));
	assert_int_equal(fake_open_files(), files);
}

static void test_interrupt_remapping(void **state)
{
	struct vdma_device *dev, *nic;

	(void)state;
	add_edu(EDU, 5);
	add_edu(NIC, 6);
	fake.set_iommu_err = EPERM;
	ASSERT_FAILS(vdma_device_open(ioas, EDU, NULL, &dev), EPERM, VDMA_CAUSE_UNSAFE_IRQ,
		     "interrupt remapping", "allow_unsafe_interrupts");
	fake.set_iommu_err = ENODEV;
	ASSERT_FAILS(vdma_device_open(ioas, EDU, NULL, &dev), ENOENT, VDMA_CAUSE_NO_VFIO,
		     "modprobe vfio_iommu_type1");
	fake.set_iommu_err = 0;
	dev = open_device(EDU);
	fake.second_group_err = EINVAL;
	ASSERT_FAILS(vdma_device_open(ioas, NIC, NULL, &nic), ERANGE, VDMA_CAUSE_UNREACHABLE, NIC,
		     "0x00000000fee00000", "Open this device first");
	fake.second_group_err = EPERM;
	ASSERT_FAILS(vdma_device_open(ioas, NIC, NULL, &nic), EPERM, VDMA_CAUSE_UNSAFE_IRQ, "");
	ASSERT_OK(vdma_device_close(dev));
}

static void test_config(void **state)
{
	struct vdma_device *dev;
	uint32_t v = 7;

	(void)state;
	add_edu(EDU, 5);
	dev = open_device(EDU);
	ASSERT_OK(vdma_device_config_read(dev, 0, 4, &v));
	assert_int_equal(v, 0x11e81234);
	ASSERT_OK(vdma_device_config_read(dev, 2, 2, &v));
	assert_int_equal(v, 0x11e8);
	ASSERT_OK(vdma_device_config_read(dev, 3, 1, &v));
	assert_int_equal(v, 0x11);
	ASSERT_OK(vdma_device_config_write(dev, 0x40, 4, 0x89abcdef));
	assert_int_equal(fake_config(EDU)[0x40], 0xef);
	assert_int_equal(fake_config(EDU)[0x43], 0x89);
	ASSERT_OK(vdma_device_config_write(dev, 0x42, 2, 0x1122));
	ASSERT_OK(vdma_device_config_write(dev, 0x41, 1, 0x33));
	ASSERT_OK(vdma_device_config_read(dev, 0x40, 4, &v));
	assert_int_equal(v, 0x112233ef);
	ASSERT_OK(vdma_device_config_read(dev, 252, 4, &v));

	v = 7;
	ASSERT_FAILS(vdma_device_config_read(dev, 256, 4, &v), ENXIO, VDMA_CAUSE_NOT_THERE, "256");
	ASSERT_FAILS(vdma_device_config_read(dev, 1, 2, &v), EINVAL, VDMA_CAUSE_ARGUMENT, "0x1");
	ASSERT_FAILS(vdma_device_config_read(dev, 0, 3, &v), EINVAL, VDMA_CAUSE_ARGUMENT, "3");
	ASSERT_FAILS(vdma_device_config_read(dev, 0, 0, &v), EINVAL, VDMA_CAUSE_ARGUMENT, "");
	ASSERT_FAILS(vdma_device_config_write(dev, 0, 0, 0), EINVAL, VDMA_CAUSE_ARGUMENT, "");
	ASSERT_FAILS(vdma_device_config_write(dev, 0x40, 1, 256), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "0x100");
	assert_int_equal(v, 7);
	ASSERT_OK(vdma_device_close(dev));
}

static void test_bars(void **state)
{
	struct vdma_device *dev;
	struct vdma_bar bar = { NULL, 1 }, again;

	(void)state;
	add_edu(EDU, 5);
	dev = open_device(EDU);
	ASSERT_FAILS(vdma_device_bar(dev, 1, &bar), ENXIO, VDMA_CAUSE_NOT_THERE, "no BAR 1");
	ASSERT_FAILS(vdma_device_bar(dev, 6, &bar), ENXIO, VDMA_CAUSE_NOT_THERE, "no BAR 6");
	ASSERT_FAILS(vdma_device_bar(dev, 2, &bar), EOPNOTSUPP, VDMA_CAUSE_UNSUPPORTED,
		     "I/O ports");
	assert_int_equal(bar.len, 1);
	ASSERT_OK(vdma_device_bar(dev, 0, &bar));
	assert_int_equal(bar.len, 1 << 20);
	vdma_mmio_write32(bar.va, 0x10, 0x12345678);
	assert_int_equal(vdma_mmio_read32(bar.va, 0x10), 0x12345678);
	assert_int_equal(vdma_mmio_read16(bar.va, 0x12), 0x1234);
	assert_int_equal(vdma_mmio_read8(bar.va, 0x10), 0x78);
	vdma_mmio_write64(bar.va, 8, UINT64_C(0x1122334455667788));
	assert_true(vdma_mmio_read64(bar.va, 8) == UINT64_C(0x1122334455667788));
	vdma_mmio_write8(bar.va, 8, 1);
	vdma_mmio_write16(bar.va, 10, 2);
	assert_int_equal(vdma_mmio_read32(bar.va, 8), 0x00027701);
	ASSERT_OK(vdma_device_bar(dev, 0, &again));
	assert_ptr_equal(again.va, bar.va);
	ASSERT_OK(vdma_device_close(dev));
}

static struct vdma_ioas *shared;
static struct vdma_device *late;
static int late_err;

/* What another thread does while a device is closed. */
static void open_late(void)
{
	late_err = vdma_device_open(shared, NIC, NULL, &late);
}

/* A mapping of a BAR would keep the device open, so that the other one is refused. */
static void close_and_open(int group)
{
	struct vdma_device *dev;
	struct vdma_bar bar;

	fake_reset();
	ASSERT_OK(vdma_arena_create(NULL, &arena));
	add_edu(EDU, 5);
	add_edu(NIC, group);
	shared = ioas_of(arena, VDMA_BACKEND_TYPE1);
	dev = device_of(shared, EDU);
	ASSERT_OK(vdma_device_bar(dev, 0, &bar));
	late = NULL;
	late_err = 1;
	fake.at_unmap = open_late;
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(late_err);
	ASSERT_OK(vdma_device_close(late));
	ASSERT_OK(vdma_ioas_destroy(shared));
	ASSERT_OK(vdma_arena_destroy(arena));
}

static void test_close_and_open(void **state)
{
	(void)state;
	close_and_open(6);
	close_and_open(5);
}

static int child_reads(const volatile char *va)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		_exit(*va & 0);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void test_sparse_bar(void **state)
{
	const struct fake_pci pci = {
		.vendor = 0x8086,
		.bar = { 0x8000 },
		.sparse = { 0x2000, 0x5fff },
	};
	struct vdma_device *dev;
	struct vdma_bar bar;

	(void)state;
	fake_device(EDU, 5, "vfio-pci", &pci);
	dev = open_device(EDU);
	ASSERT_OK(vdma_device_bar(dev, 0, &bar));
	assert_int_equal(bar.len, 0x8000);
	vdma_mmio_write32(bar.va, 0x2000, 1);
	vdma_mmio_write32(bar.va, 0x5ffc, 1);
	assert_int_equal(child_reads((char *)bar.va + 0x1fff), SIGSEGV);
	assert_int_equal(child_reads((char *)bar.va + 0x6000), SIGSEGV);
	assert_int_equal(child_reads((char *)bar.va + 0x5fff), 0);
	ASSERT_OK(vdma_device_close(dev));
}

static void test_msi(void **state)
{
	struct vdma_device *dev;
	uint64_t count = 99;
	int fd, fd1;

	(void)state;
	add_edu(EDU, 5);
	dev = open_device(EDU);
	ASSERT_FAILS(vdma_device_irq_fd(dev, 0, &fd), ENXIO, VDMA_CAUSE_NOT_THERE, "0 vectors");
	ASSERT_FAILS(vdma_device_irq_wait(dev, 0, 0, NULL), ENXIO, VDMA_CAUSE_NOT_THERE, "");
	ASSERT_FAILS(vdma_device_irq_enable(dev, VDMA_IRQ_MSI, 5), ENXIO, VDMA_CAUSE_NOT_THERE,
		     "4 MSI vectors", "not 5");
	ASSERT_FAILS(vdma_device_irq_enable(dev, VDMA_IRQ_MSI, 0), EINVAL, VDMA_CAUSE_ARGUMENT, "");
	ASSERT_OK(vdma_device_irq_enable(dev, VDMA_IRQ_MSI, 2));
	ASSERT_FAILS(vdma_device_irq_enable(dev, VDMA_IRQ_MSIX, 1), EBUSY, VDMA_CAUSE_OPEN, "MSI");
	ASSERT_OK(vdma_device_irq_fd(dev, 0, &fd));
	ASSERT_OK(vdma_device_irq_fd(dev, 1, &fd1));
	ASSERT_FAILS(vdma_device_irq_fd(dev, 2, &fd), ENXIO, VDMA_CAUSE_NOT_THERE, "number 2");
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);

	ASSERT_FAILS(vdma_device_irq_wait(dev, 0, 0, &count), ETIMEDOUT, VDMA_CAUSE_TIMEOUT,
		     "0 ms");
	ASSERT_FAILS(vdma_device_irq_wait(dev, 0, 20, &count), ETIMEDOUT, VDMA_CAUSE_TIMEOUT,
		     "Vector 0", "20 ms");
	assert_int_equal(count, 99);
	fake_fire(EDU, VFIO_PCI_MSI_IRQ_INDEX, 1);
	fake_fire(EDU, VFIO_PCI_MSI_IRQ_INDEX, 1);
	ASSERT_FAILS(vdma_device_irq_wait(dev, 0, 0, &count), ETIMEDOUT, VDMA_CAUSE_TIMEOUT, "");
	ASSERT_OK(vdma_device_irq_wait(dev, 1, -1, &count));
	assert_int_equal(count, 2);
	fake_fire(EDU, VFIO_PCI_MSI_IRQ_INDEX, 0);
	ASSERT_OK(vdma_device_irq_wait(dev, 0, 1000, NULL));
	ASSERT_FAILS(vdma_device_irq_mask(dev), EOPNOTSUPP, VDMA_CAUSE_UNSUPPORTED, "INTx only");
	fake_fail_alloc(1);
	ASSERT_OK(vdma_device_irq_disable(dev));
	fake_fail_alloc(0);
	ASSERT_OK(vdma_device_irq_disable(dev));
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(fcntl(fd1, F_GETFD), -1);
	/* Another kind can follow; close switches it off. */
	ASSERT_OK(vdma_device_irq_enable(dev, VDMA_IRQ_MSIX, 8));
	fake_fire(EDU, VFIO_PCI_MSIX_IRQ_INDEX, 7);
	ASSERT_OK(vdma_device_irq_wait(dev, 7, 0, &count));
	ASSERT_OK(vdma_device_close(dev));
}

static void test_intx(void **state)
{
	struct vdma_device *dev;

	(void)state;
	add_edu(EDU, 5);
	dev = open_device(EDU);
	ASSERT_FAILS(vdma_device_irq_unmask(dev), ENXIO, VDMA_CAUSE_NOT_THERE, "off");
	ASSERT_OK(vdma_device_irq_enable(dev, VDMA_IRQ_INTX, 1));
	/* Neither this nor switching them off takes memory. */
	fake_fail_alloc(1);
	ASSERT_OK(vdma_device_irq_mask(dev));
	fake_fail_alloc(0);
	assert_true(fake_irq_masked(EDU));
	ASSERT_OK(vdma_device_irq_unmask(dev));
	assert_false(fake_irq_masked(EDU));
	fake_fire(EDU, VFIO_PCI_INTX_IRQ_INDEX, 0);
	ASSERT_OK(vdma_device_irq_wait(dev, 0, 0, NULL));
	ASSERT_OK(vdma_device_close(dev));
}

static void test_reset(void **state)
{
	const struct fake_pci pci = { .vendor = 0x8086 };
	struct vdma_device *dev, *nic;

	(void)state;
	add_edu(EDU, 5);
	fake_device(NIC, 6, "vfio-pci", &pci);
	dev = open_device(EDU);
	nic = open_device(NIC);
	ASSERT_OK(vdma_device_reset(dev));
	assert_int_equal(fake_resets(EDU), 1);
	ASSERT_FAILS(vdma_device_reset(nic), EOPNOTSUPP, VDMA_CAUSE_UNSUPPORTED, NIC, "no reset");
	ASSERT_OK(vdma_device_close(nic));
	ASSERT_OK(vdma_device_close(dev));
}

#define IOAS_TEST(fn) cmocka_unit_test_setup_teardown(fn, with_ioas, without_ioas)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IOAS_TEST(test_open),
		IOAS_TEST(test_bad_arguments),
		IOAS_TEST(test_no_iommu),
		IOAS_TEST(test_not_bound),
		IOAS_TEST(test_no_group_node),
		IOAS_TEST(test_group_not_viable),
		IOAS_TEST(test_group_busy),
		IOAS_TEST(test_group_permission),
		IOAS_TEST(test_group_shared),
		IOAS_TEST(test_interrupt_remapping),
		IOAS_TEST(test_config),
		IOAS_TEST(test_bars),
		CLEAN_TEST(test_close_and_open),
		IOAS_TEST(test_sparse_bar),
		IOAS_TEST(test_msi),
		IOAS_TEST(test_intx),
		IOAS_TEST(test_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
