// SPDX-License-Identifier: BSD-3-Clause
/*
 * HOLD (D1 without an IOMMU): edu writes to memory whose process is killed.
 *
 * edu is driven by its BAR in sysfs, by another process than the one that has
 * the memory, so it goes on being commanded after that one's death. Section names
 * are those of QEMU's docs/specs/edu.rst.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "suite.h"

#define EDU_DMA_SRC 0x80
#define EDU_DMA_DST 0x88
#define EDU_DMA_COUNT 0x90
#define EDU_DMA_CMD 0x98
#define EDU_DMA_RUN 1
#define EDU_DMA_FROM_EDU 2
#define EDU_BUF 0x40000
#define EDU_BAR_LEN MIB

#define PCI_COMMAND 4
#define COMMAND_MEMORY 2
#define COMMAND_MASTER 4

#define LEN (64 * KIB)
/* So strict that the frames of a region can be had again. */
#define ALIGNMENT (64 * MIB)
#define MANY 16 /* devices that can hold one region */

/* What the device writes; less than a page, since it cannot fill all of its buffer. */
#define MARK 0x5a
#define MARKS 2048
#define PATTERN 0xa5

static int config_open(const char *bdf)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", bdf);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		fail_msg("%s: %m", path);
	return fd;
}

static bool is_master(const char *bdf)
{
	int fd = config_open(bdf);
	uint16_t command;

	assert_int_equal(pread(fd, &command, sizeof(command), PCI_COMMAND), sizeof(command));
	close(fd);
	return command & COMMAND_MASTER;
}

static void set_master(const char *bdf)
{
	int fd = config_open(bdf);
	uint16_t command;

	assert_int_equal(pread(fd, &command, sizeof(command), PCI_COMMAND), sizeof(command));
	command |= COMMAND_MASTER | COMMAND_MEMORY;
	assert_int_equal(pwrite(fd, &command, sizeof(command), PCI_COMMAND), sizeof(command));
	close(fd);
	assert_true(is_master(bdf));
}

static volatile void *bar_map(const char *bdf)
{
	char path[64];
	void *va;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource0", bdf);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		fail_msg("%s: %m", path);
	va = mmap(NULL, EDU_BAR_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (va == MAP_FAILED)
		fail_msg("%s: %m", path);
	close(fd);
	return va;
}

static volatile uint64_t *edu_reg(volatile void *bar, size_t reg)
{
	return (volatile uint64_t *)((volatile char *)bar + reg);
}

/* DMA controller: one transfer, and wait for its end; it begins 100 ms later. */
static void edu_dma(volatile void *bar, uint64_t src, uint64_t dst, uint64_t command)
{
	*edu_reg(bar, EDU_DMA_SRC) = src;
	*edu_reg(bar, EDU_DMA_DST) = dst;
	*edu_reg(bar, EDU_DMA_COUNT) = MARKS;
	*edu_reg(bar, EDU_DMA_CMD) = EDU_DMA_RUN | command;
	while (*edu_reg(bar, EDU_DMA_CMD) & EDU_DMA_RUN)
		usleep(1000);
}

static void edu_write(volatile void *bar, uint64_t phys)
{
	edu_dma(bar, EDU_BUF, phys, EDU_DMA_FROM_EDU);
}

/* Fills the device's own buffer with what it is going to write. */
static volatile void *edu_start(const char *bdf)
{
	struct region region = region_alloc(PAGE);
	volatile void *bar;
	char *va = region_map(&region);

	set_master(bdf);
	bar = bar_map(bdf);
	memset(va, MARK, PAGE);
	edu_dma(bar, region.phys, EDU_BUF, 0);
	memset(va, 0, PAGE);
	edu_write(bar, region.phys);
	assert_int_equal(va[0], MARK);
	assert_int_equal(va[MARKS - 1], MARK);
	assert_int_equal(va[MARKS], 0);
	munmap(va, PAGE);
	region_close(&region);
	assert_int_equal(ledger_wait(0), 0);
	return bar;
}

/* A process that has a region, and tells where. */
struct holder {
	pid_t pid;
	uint64_t phys;
	char *va;
};

static struct holder holder_start(const char *hold_bdf)
{
	struct holder holder;
	int pipes[2];

	assert_return_code(pipe(pipes), errno);
	fflush(stdout);
	holder.pid = fork();
	assert_return_code(holder.pid, errno);
	if (!holder.pid) {
		struct region region;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (region_alloc_at(&region, LEN, ALIGNMENT, 0))
			_exit(1);
		holder.phys = region.phys;
		holder.va = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, region.fd, 0);
		if (holder.va == MAP_FAILED ||
		    (hold_bdf && region_hold(region.fd, 0, hold_bdf, 0)) ||
		    write(pipes[1], &holder, sizeof(holder)) != sizeof(holder))
			_exit(1);
		for (;;)
			pause();
	}
	close(pipes[1]);
	{
		pid_t pid = holder.pid;

		assert_int_equal(read(pipes[0], &holder, sizeof(holder)), sizeof(holder));
		holder.pid = pid;
	}
	close(pipes[0]);
	return holder;
}

static char holder_byte(const struct holder *holder, size_t offset)
{
	char byte;
	struct iovec to = { &byte, 1 }, from = { holder->va + offset, 1 };

	assert_int_equal(process_vm_readv(holder->pid, &to, 1, &from, 1, 0), 1);
	return byte;
}

static void process_kill(pid_t pid)
{
	assert_return_code(kill(pid, SIGKILL), errno);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* A process that commands the device again and again. */
static pid_t ringer_start(volatile void *bar, uint64_t phys)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	assert_return_code(pid, errno);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			edu_write(bar, phys);
	}
	return pid;
}

/* The frames at phys once more: what is in the way is held until they come. */
static struct region region_at(uint64_t phys)
{
	struct region regions[64], found = { .fd = -1 };
	size_t n = 0;

	while (found.fd < 0) {
		assert_true(n < 64);
		if (region_alloc_at(&regions[n], LEN, ALIGNMENT, phys + LEN - 1))
			break;
		if (regions[n].phys == phys)
			found = regions[n];
		else
			n++;
	}
	while (n--)
		region_close(&regions[n]);
	if (found.fd < 0)
		fail_msg("the frames at %#lx cannot be had again", (unsigned long)phys);
	return found;
}

static bool intact(const char *va)
{
	for (size_t i = 0; i < LEN; i++)
		if (va[i] != (char)PATTERN)
			return false;
	return true;
}

/* Killed while the device writes: its bus master is off before the frames are free. */
static void d1_killed_process_of_a_held_region(void **state)
{
	const char *bdf = bdf_of("VDMA_BDF_EDU");
	volatile void *bar = edu_start(bdf);
	struct holder holder = holder_start(bdf);
	pid_t ringer = ringer_start(bar, holder.phys);
	struct region region;
	char *va;

	(void)state;
	for (int i = 0; i < 200 && holder_byte(&holder, 0) != MARK; i++)
		usleep(10 * 1000);
	assert_int_equal(holder_byte(&holder, 0), MARK);
	assert_true(is_master(bdf));
	process_kill(holder.pid);
	assert_int_equal(ledger_wait(0), 0);
	assert_false(is_master(bdf));

	region = region_at(holder.phys);
	va = region_map(&region);
	assert_int_equal(va[0], 0);
	memset(va, PATTERN, LEN);
	/* Ten of its transfers and more. */
	sleep(2);
	assert_true(intact(va));

	/* It is the bus master bit that kept them away, nothing else. */
	set_master(bdf);
	for (int i = 0; i < 200 && va[0] != MARK; i++)
		usleep(10 * 1000);
	assert_int_equal(va[0], MARK);
	process_kill(ringer);
	/* A transfer that it began may still come. */
	sleep(1);
	munmap(va, LEN);
	region_close(&region);
	munmap((void *)bar, EDU_BAR_LEN);
	assert_int_equal(ledger_wait(0), 0);
}

/* What D1 does not promise: nobody told the module of the device. */
static void d1_without_hold_the_device_writes_on(void **state)
{
	const char *bdf = bdf_of("VDMA_BDF_EDU");
	volatile void *bar = edu_start(bdf);
	struct holder holder = holder_start(NULL);
	struct region region;
	char *va;

	(void)state;
	process_kill(holder.pid);
	assert_int_equal(ledger_wait(0), 0);
	assert_true(is_master(bdf));
	region = region_at(holder.phys);
	va = region_map(&region);
	memset(va, PATTERN, LEN);
	edu_write(bar, holder.phys);
	assert_false(intact(va));
	munmap(va, LEN);
	region_close(&region);
	munmap((void *)bar, EDU_BAR_LEN);
	assert_int_equal(ledger_wait(0), 0);
}

/* A program that ends in good order stops its device itself. */
static void hold_released_leaves_the_device_alone(void **state)
{
	const char *bdf = bdf_of("VDMA_BDF_EDU");
	struct region region = region_alloc(LEN);

	(void)state;
	set_master(bdf);
	assert_int_equal(region_hold(region.fd, 0, bdf, 0), 0);
	assert_int_equal(region_hold(region.fd, 0, bdf, MAP_CONTIG_HOLD_RELEASE), 0);
	region_close(&region);
	assert_int_equal(ledger_wait(0), 0);
	assert_true(is_master(bdf));
}

/* Closed and unmapped without a word, too. A PCIe function tells what is pending. */
static void hold_stops_devices_at_the_last_use(void **state)
{
	const char *bdfs[] = { bdf_of("VDMA_BDF_EDU"), bdf_of("VDMA_BDF_NVME") };
	struct region region = region_alloc(LEN);
	char *va = region_map(&region);

	(void)state;
	for (int i = 0; i < 2; i++) {
		set_master(bdfs[i]);
		assert_int_equal(region_hold(region.fd, LEN - 1, bdfs[i], 0), 0);
	}
	region_close(&region);
	assert_int_equal(ledger_lines(), 1);
	assert_true(is_master(bdfs[0]));
	munmap(va, LEN);
	assert_int_equal(ledger_wait(0), 0);
	assert_false(is_master(bdfs[0]));
	assert_false(is_master(bdfs[1]));
}

/* The device works on, so what is unmapped stays until all of it goes, or is let go. */
static void hold_keeps_what_is_unmapped(void **state)
{
	int node = open(MAP_CONTIG_DEVICE, O_RDWR | O_CLOEXEC);
	const char *bdf = bdf_of("VDMA_BDF_EDU");
	char *va = contig_mmap(4 * FOLIO);

	(void)state;
	set_master(bdf);
	assert_int_equal(region_hold(node, (uintptr_t)va, bdf, 0), 0);
	munmap(va + 2 * FOLIO, 2 * FOLIO);
	assert_int_equal(ledger_sum("bytes_held"), 4 * FOLIO);
	assert_true(is_master(bdf));
	assert_int_equal(region_hold(node, (uintptr_t)va, bdf, MAP_CONTIG_HOLD_RELEASE), 0);
	assert_int_equal(ledger_sum("bytes_held"), 2 * FOLIO);
	assert_int_equal(region_hold(node, (uintptr_t)va, bdf, 0), 0);
	munmap(va, 2 * FOLIO);
	assert_int_equal(ledger_wait(0), 0);
	assert_false(is_master(bdf));
	close(node);
}

/* A process that switches the device's bus mastering on again and again. */
static pid_t start_again_and_again(const char *bdf)
{
	uint16_t command = COMMAND_MASTER | COMMAND_MEMORY;
	pid_t pid;
	int fd;

	fflush(stdout);
	pid = fork();
	assert_return_code(pid, errno);
	if (pid)
		return pid;
	fd = config_open(bdf);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		if (pwrite(fd, &command, sizeof(command), PCI_COMMAND) < 0)
			_exit(1);
}

/*
 * A device that does not stop keeps the memory, until it does. On a busy host the process
 * may stand still for the 5 ms in which the module looks whether the device has stopped,
 * and then it has: so there are several tries at one that does not.
 */
static void hold_makes_orphans_while_a_device_does_not_stop(void **state)
{
	const char *bdf = bdf_of("VDMA_BDF_EDU");
	pid_t pid = start_again_and_again(bdf);
	bool kept = false;

	(void)state;
	for (int i = 0; i < 20 && !kept; i++) {
		struct region region = region_alloc(LEN);

		set_master(bdf);
		assert_int_equal(region_hold(region.fd, 0, bdf, 0), 0);
		region_close(&region);
		usleep(20 * 1000);
		kept = ledger_lines() == 1;
	}
	assert_true(kept);
	process_kill(pid);
	assert_int_equal(ledger_wait(0), 0);
	assert_false(is_master(bdf));
}

/* A device that has been taken out writes no more. */
static void hold_lets_go_of_a_device_that_is_gone(void **state)
{
	const char *bdf = bdf_of("VDMA_BDF_EDU2");
	struct region region = region_alloc(LEN);
	char path[64];

	(void)state;
	assert_int_equal(region_hold(region.fd, 0, bdf, 0), 0);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/remove", bdf);
	file_write(path, "1");
	assert_int_equal(region_hold(region.fd, 0, bdf, 0), -ENODEV);
	region_close(&region);
	assert_int_equal(ledger_wait(0), 0);
	file_write("/sys/bus/pci/rescan", "1");
	set_master(bdf);
}

struct attempt {
	int fd;
	const char *bdf;
};

static int hold_as_user(void *arg)
{
	const struct attempt *attempt = arg;

	become(1000, 64 * KIB);
	return -region_hold(attempt->fd, 0, attempt->bdf, 0);
}

static void hold_refuses(void **state)
{
	const char *bdf = bdf_of("VDMA_BDF_EDU");
	int node = open(MAP_CONTIG_DEVICE, O_RDWR | O_CLOEXEC);
	struct region region = region_alloc(LEN);
	struct attempt attempt = { region.fd, bdf };

	(void)state;
	assert_int_equal(in_child(hold_as_user, &attempt), EPERM);
	assert_int_equal(region_hold(region.fd, 0, "0000:00:1d.7", 0), -ENODEV);
	assert_int_equal(region_hold(region.fd, 0, "1234:00:10.0", 0), -ENODEV);
	assert_int_equal(region_hold(region.fd, 0, "ffffffff:00:10.0", 0), -ENODEV);
	assert_int_equal(region_hold(region.fd, 0, "0000:100:10.0", 0), -ENODEV);
	assert_int_equal(region_hold(region.fd, LEN, bdf, 0), -ENXIO);
	assert_int_equal(region_hold(node, 0, bdf, 0), -ENXIO);
	assert_int_equal(region_hold(region.fd, 0, bdf, 2), -EOPNOTSUPP);
	assert_int_equal(region_hold(region.fd, 0, bdf, MAP_CONTIG_HOLD_RELEASE), -ENOENT);
	assert_int_equal(region_hold(region.fd, 0, bdf, 0), 0);
	assert_int_equal(region_hold(region.fd, LEN / 2, bdf, 0), -EEXIST);
	assert_int_equal(region_hold(region.fd, 0, bdf, MAP_CONTIG_HOLD_RELEASE), 0);
	assert_int_equal(region_hold(region.fd, 0, bdf, MAP_CONTIG_HOLD_RELEASE), -ENOENT);
	close(node);
	region_close(&region);
	assert_int_equal(ledger_wait(0), 0);
}

static void hold_by_sixteen_devices(void **state)
{
	struct region region = region_alloc(LEN);
	char variable[32];

	(void)state;
	for (int i = 1; i <= MANY + 1; i++) {
		snprintf(variable, sizeof(variable), i == 1 ? "VDMA_BDF_EDU" : "VDMA_BDF_EDU%d", i);
		set_master(bdf_of(variable));
		assert_int_equal(region_hold(region.fd, 0, bdf_of(variable), 0),
				 i <= MANY ? 0 : -ENOSPC);
	}
	region_close(&region);
	assert_int_equal(ledger_wait(0), 0);
	for (int i = 1; i <= MANY + 1; i++) {
		snprintf(variable, sizeof(variable), i == 1 ? "VDMA_BDF_EDU" : "VDMA_BDF_EDU%d", i);
		assert_int_equal(is_master(bdf_of(variable)), i > MANY);
	}
}

int run_hold(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(d1_killed_process_of_a_held_region),
		cmocka_unit_test(d1_without_hold_the_device_writes_on),
		cmocka_unit_test(hold_released_leaves_the_device_alone),
		cmocka_unit_test(hold_stops_devices_at_the_last_use),
		cmocka_unit_test(hold_keeps_what_is_unmapped),
		cmocka_unit_test(hold_makes_orphans_while_a_device_does_not_stop),
		cmocka_unit_test(hold_lets_go_of_a_device_that_is_gone),
		cmocka_unit_test(hold_refuses),
		cmocka_unit_test(hold_by_sixteen_devices),
	};

	return cmocka_run_group_tests_name("hold", tests, NULL, NULL);
}
