// SPDX-License-Identifier: BSD-3-Clause
/*
 * Devices that are taken out while they do DMA, by request and by surprise: edu in a
 * PCI Express slot, QEMU's monitor on /dev/ttyS1 (scripts/guest --hotplug).
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "guest.h"

#define SLOT_TIMEOUT_MS 20000

/* In a row, and nothing may be left of any. */
static unsigned int times(void)
{
	const char *text = getenv("VDMA_TEST_TIMES");

	return text ? (unsigned int)atoi(text) : 50;
}

static int monitor = -1;
static char slot_power[64];

static void on_edge(const char *why)
{
	fail_msg("%s: %s", why, strerror(errno));
}

/* Reads lines until one has the word; they are QEMU's, and short. */
static void monitor_expect(const char *word)
{
	char line[1024];
	size_t used = 0;

	for (;;) {
		struct pollfd p = { .fd = monitor, .events = POLLIN };

		if (poll(&p, 1, SLOT_TIMEOUT_MS) <= 0)
			fail_msg("QEMU's monitor did not say \"%s\"", word);
		if (read(monitor, line + used, 1) != 1)
			on_edge("/dev/ttyS1");
		if (line[used] != '\n' && used < sizeof(line) - 2) {
			used++;
			continue;
		}
		line[used] = '\0';
		used = 0;
		if (strstr(line, "\"error\""))
			fail_msg("QEMU: %s", line);
		if (strstr(line, word))
			return;
	}
}

/*
 * The terminal has echoed the monitor's greeting to it, or a part of it, which it did not
 * like, or waits for the rest of. 0xff is in no JSON, so there it begins anew.
 */
static void monitor_begin(void)
{
	struct pollfd p = { .fd = monitor, .events = POLLIN };
	char c;

	if (write(monitor, "\xff\n", 2) != 2)
		on_edge("/dev/ttyS1");
	while (poll(&p, 1, 500) == 1)
		if (read(monitor, &c, 1) != 1)
			on_edge("/dev/ttyS1");
}

static void monitor_run(const char *command)
{
	ssize_t len = (ssize_t)strlen(command);

	if (write(monitor, command, (size_t)len) != len)
		on_edge("/dev/ttyS1");
	monitor_expect("\"return\"");
}

static int setup(void **state)
{
	struct termios raw;
	glob_t found;

	(void)state;
	monitor = open("/dev/ttyS1", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (monitor < 0 || tcgetattr(monitor, &raw))
		on_edge("/dev/ttyS1");
	cfmakeraw(&raw);
	tcsetattr(monitor, TCSANOW, &raw);
	monitor_begin();
	monitor_run("{\"execute\":\"qmp_capabilities\"}\n");
	assert_int_equal(glob("/sys/bus/pci/slots/*/power", 0, NULL, &found), 0);
	assert_int_equal(found.gl_pathc, 1);
	snprintf(slot_power, sizeof(slot_power), "%s", found.gl_pathv[0]);
	globfree(&found);
	return 0;
}

static bool has(const char *bdf, const char *file)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", bdf, file);
	return !access(path, F_OK);
}

static bool is_there(const char *bdf)
{
	return has(bdf, "vendor");
}

/* drivers_probe finds it: Linux adds files for BARs when the bus has the device in its list. */
static bool is_added(const char *bdf)
{
	return has(bdf, "resource0");
}

static void wait_for(const char *bdf, bool there)
{
	double start = now_ms();

	while (is_there(bdf) != there || (there && !is_added(bdf))) {
		if (now_ms() - start > SLOT_TIMEOUT_MS)
			fail_msg("%s has not %s", bdf, there ? "come" : "gone");
		usleep(10 * 1000);
	}
}

/* The slot's own state follows its device's. */
static void wait_for_power(const char *value)
{
	double start = now_ms();
	char now[8];

	do {
		if (now_ms() - start > SLOT_TIMEOUT_MS)
			fail_msg("%s is not %s", slot_power, value);
		usleep(10 * 1000);
		file_read(slot_power, now, sizeof(now));
	} while (strcmp(now, value));
}

static void bind_to_vfio(const char *bdf)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver_override", bdf);
	file_write(path, "vfio-pci\n");
	file_write("/sys/bus/pci/drivers_probe", bdf);
}

static void plug(const char *bdf, unsigned int n)
{
	char command[128];

	snprintf(command, sizeof(command),
		 "{\"execute\":\"device_add\",\"arguments\":"
		 "{\"driver\":\"edu\",\"id\":\"edu-%u\",\"bus\":\"riser\"}}\n",
		 n);
	monitor_run(command);
	wait_for(bdf, true);
	wait_for_power("1");
	bind_to_vfio(bdf);
}

static void *power_off(void *unused)
{
	(void)unused;
	file_write(slot_power, "0\n");
	return NULL;
}

/*
 * PCI Express 3.0, 7.8.10, Slot Control: power and its lamp off, on again, and the
 * interrupt held back meanwhile. A slot that is found without power has been switched
 * off by Linux itself, so Linux thinks; one with power and without a card has lost it.
 */
static void cut_power(void)
{
	assert_int_equal(system("setpci -s $VDMA_BDF_PCIE_ROOT_PORT CAP_EXP+18.w=0700:0720 "
				"CAP_EXP+18.w=0100:0700 CAP_EXP+18.w=0020:0020"),
			 0);
}

/* A driver at work. */
struct driver {
	struct space s;
	struct vdma_region *region;
	struct vdma_buf buf;
	struct edu edu;
	struct vdma_bar bar;
	pthread_t reader;
	_Atomic bool stop;
};

/* Reads a register as a driver's other thread would, all the time. */
static void *read_registers(void *arg)
{
	struct driver *d = arg;

	while (!d->stop)
		(void)vdma_mmio_read32(d->bar.va, 0);
	return NULL;
}

static void start(struct driver *d, const char *bdf)
{
	memset(d, 0, sizeof(*d));
	d->s = space_create();
	d->region = region_of(d->s.arena, VDMA_PROVIDER_CONTIG, 4 * MIB, EDU_ADDRESS_BITS);
	d->buf = vdma_region_buf(d->region);
	EDU_WORKS(&d->edu, edu_open(&d->edu, d->s.ioas, bdf, EDU_ADDRESS_BITS));
	EDU_WORKS(&d->edu, edu_irq_use(&d->edu, VDMA_IRQ_MSI));
	WORKS(vdma_device_bar(d->edu.dev, 0, &d->bar));
	dma_verify(&d->edu, &d->buf, 5);
	assert_int_equal(pthread_create(&d->reader, NULL, read_registers, d), 0);
}

/* DMA until the device is gone: the driver's call ends with -ENODEV, whenever that is. */
static void work_until_gone(struct driver *d)
{
	double begin = now_ms();
	int err;

	do {
		err = edu_dma_read(&d->edu, d->buf.iova, 0, EDU_BUF_USABLE);
		if (now_ms() - begin > SLOT_TIMEOUT_MS)
			fail_msg("the device never went: %d, %s", err, d->edu.why);
	} while (!err);
	assert_int_equal(err, -ENODEV);
	assert_int_equal(vdma_last_failure()->cause, VDMA_CAUSE_GONE);
}

static void finish(struct driver *d)
{
	WORKS(vdma_device_let_go(d->edu.dev));
	assert_int_equal(vdma_mmio_read32(d->bar.va, 0), UINT32_MAX);
	assert_int_equal(edu_dma_read(&d->edu, d->buf.iova, 0, 100), -ENODEV);
	d->stop = true;
	assert_int_equal(pthread_join(d->reader, NULL), 0);
	edu_close(&d->edu);
	WORKS(vdma_region_destroy(d->region));
	space_destroy(&d->s);
}

static unsigned int descriptors(void)
{
	glob_t found;
	unsigned int n;

	assert_int_equal(glob("/proc/self/fd/*", 0, NULL, &found), 0);
	n = (unsigned int)found.gl_pathc;
	globfree(&found);
	return n;
}

/* What the first time leaves is the C library's. */
static void check_nothing_left(unsigned int n, unsigned int *fds, int64_t *rss)
{
	assert_int_equal(ledger_wait(0), 0);
	if (n < 2) {
		*fds = descriptors();
		*rss = status("VmRSS");
		return;
	}
	assert_int_equal(descriptors(), *fds);
	assert_true(status("VmRSS") < *rss + (int64_t)MIB);
}

/* By request: the slot is switched off, which waits until the driver has let go. */
static void orderly(void **state)
{
	const char *bdf = bdf_of("VDMA_BDF_EDU");
	unsigned int fds = 0;
	int64_t rss = 0;

	(void)state;
	for (unsigned int n = 0; n < times(); n++) {
		static struct driver d; /* its reader outlives a test that fails */
		pthread_t remover;

		start(&d, bdf);
		assert_int_equal(pthread_create(&remover, NULL, power_off, NULL), 0);
		work_until_gone(&d);
		assert_true(is_there(bdf));
		finish(&d);
		assert_int_equal(pthread_join(remover, NULL), 0);
		wait_for(bdf, false);
		check_nothing_left(n, &fds, &rss);
		monitor_expect("DEVICE_DELETED");
		plug(bdf, n);
	}
}

/* By surprise: power goes first, under the device's DMA; then everybody is told. */
static void surprise(void **state)
{
	const char *bdf = bdf_of("VDMA_BDF_EDU");
	unsigned int fds = 0;
	int64_t rss = 0;

	(void)state;
	WORKS(vdma_bus_guard(1));
	for (unsigned int n = 0; n < times(); n++) {
		static struct driver d;

		start(&d, bdf);
		cut_power();
		work_until_gone(&d);
		finish(&d);
		wait_for(bdf, false);
		check_nothing_left(n, &fds, &rss);
		monitor_expect("DEVICE_DELETED");
		/* Linux switches the slot off, and sees nothing for a second (remove_board()). */
		wait_for_power("0");
		usleep(1100 * 1000);
		plug(bdf, times() + n);
	}
	WORKS(vdma_bus_guard(0));
}

int run_hotplug(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(orderly),
		cmocka_unit_test(surprise),
	};

	return cmocka_run_group_tests_name("hotplug", tests, setup, NULL);
}
