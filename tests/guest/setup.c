// SPDX-License-Identifier: BSD-3-Clause
/*
 * What can be wrong with a machine before the first byte moves: each provoked,
 * explained, and mended as the explanation says.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "guest.h"

/* A child makes one of its own. */
static struct space space;

static int create(void **state)
{
	(void)state;
	space = space_create();
	return 0;
}

static int destroy(void **state)
{
	(void)state;
	space_destroy(&space);
	return 0;
}

static int open_device(const char *bdf)
{
	/* Untouched on failure. */
	struct vdma_device *const none = (struct vdma_device *)&space;
	struct vdma_device *dev = none;
	int err = vdma_device_open(space.ioas, bdf, NULL, &dev);

	if (!err)
		vdma_device_close(dev);
	else if (dev != none)
		_exit(98);
	return err;
}

static void bad_address(void **state)
{
	static const char *const bad[] = {
		"",
		"edu",
		"0000:00:10",
		"00:10",
		"0000:00:20.0",
		"0000:00:10.8",
		"0000:00:10.0 ",
		"000g:00:10.0",
		"0000:00:10.00",
		"00000:00:10.0",
		"0000/00:10.0",
	};
	struct vdma_pci_info pci = { .size = sizeof(pci) };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_true(EXPLAINED(open_device(bad[i]), EINVAL, BDF, bad[i], "0000:"));
		assert_int_equal(vdma_pci_query(bad[i], &pci), -EINVAL);
	}
}

static void no_such_device(void **state)
{
	struct vdma_pci_info pci = { .size = sizeof(pci) };

	(void)state;
	assert_true(EXPLAINED(open_device("0000:00:1d.7"), ENODEV, NO_DEVICE, "0000:00:1d.7"));
	assert_true(EXPLAINED(open_device("00:1d.7"), ENODEV, NO_DEVICE, "0000:00:1d.7"));
	assert_true(
		EXPLAINED(vdma_pci_query("0000:00:1d.7", &pci), ENODEV, NO_DEVICE, "0000:00:1d.7"));
}

static void without_driver(void **state)
{
	const char *bdf = bdf_of("VDMA_BDF_EDU3");

	(void)state;
	assert_true(EXPLAINED(open_device(bdf), ENODEV, NOT_BOUND, bdf, "no driver", "vfio-pci",
			      "driver_override"));
	follow_remedy();
	WORKS(open_device(bdf));
}

/* Bound by hand to a driver that is none of VFIO's, then by the remedy to vfio-pci. */
static void with_another_driver(void **state)
{
	const char *bdf = bdf_of("VDMA_BDF_E1000E");
	char path[96], driver[64];
	ssize_t n;

	(void)state;
	assert_int_equal(system("modprobe e1000e"), 0);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver_override", bdf);
	file_write(path, "e1000e\n");
	file_write("/sys/bus/pci/drivers/vfio-pci/unbind", bdf);
	file_write("/sys/bus/pci/drivers_probe", bdf);
	assert_true(EXPLAINED(open_device(bdf), ENODEV, NOT_BOUND, bdf, "e1000e", "unbind"));
	follow_remedy();
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", bdf);
	n = readlink(path, driver, sizeof(driver) - 1);
	assert_true(n > 0);
	driver[n] = 0;
	assert_string_equal(strrchr(driver, '/'), "/vfio-pci");
	WORKS(open_device(bdf));
}

static void group_not_viable(void **state)
{
	const char *bdf = bdf_of("VDMA_BDF_EDU4"), *other = bdf_of("VDMA_BDF_E1000");
	char line[64], path[96];

	(void)state;
	snprintf(line, sizeof(line), "%s, driver e1000", other);
	assert_true(EXPLAINED(open_device(bdf), EBUSY, NOT_VIABLE, bdf, line, "/driver/unbind"));
	/* What it says, with the ADDRESS that it gave. */
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver/unbind", other);
	file_write(path, other);
	WORKS(open_device(bdf));
	file_write("/sys/bus/pci/drivers/e1000/bind", other);
	assert_int_equal(open_device(bdf), -EBUSY);
	file_write(path, other);
}

static void group_busy(void **state)
{
	const char *bdf = bdf_of("VDMA_BDF_EDU");
	int ready[2], wstatus;
	char byte, pid_text[16];
	pid_t pid;

	(void)state;
	assert_return_code(pipe(ready), errno);
	fflush(stdout);
	pid = fork();
	assert_return_code(pid, errno);
	if (!pid) {
		struct vdma_ioas_opts opts = { .size = sizeof(opts), .backend = backend() };
		struct space s;
		struct vdma_device *dev;

		if (vdma_arena_create(NULL, &s.arena) ||
		    vdma_ioas_create(s.arena, &opts, &s.ioas) ||
		    vdma_device_open(s.ioas, bdf, NULL, &dev) || write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	snprintf(pid_text, sizeof(pid_text), "process %d ", pid);
	assert_true(EXPLAINED(open_device(bdf), EBUSY, GROUP_BUSY, node_path(bdf), pid_text,
			      "(guest-tests)"));
	assert_int_equal(vdma_last_failure()->pid, pid);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &wstatus, 0), pid);
	WORKS(open_device(bdf));
}

static void open_already(void **state)
{
	const char *bdf = bdf_of("VDMA_BDF_EDU");
	struct vdma_device *dev;
	struct vdma_ioas *other;

	(void)state;
	WORKS(vdma_device_open(space.ioas, bdf, NULL, &dev));
	assert_true(EXPLAINED(open_device(bdf), EBUSY, OPEN, bdf));
	/* Through another address space: the kernel refuses, the holder is ourselves. */
	other = ioas_of(space.arena);
	assert_int_equal(vdma_device_open(other, bdf, NULL, &dev), -EBUSY);
	WORKS(vdma_ioas_destroy(other));
	assert_true(EXPLAINED(vdma_ioas_destroy(space.ioas), EBUSY, CHILDREN, "1"));
	assert_true(EXPLAINED(vdma_arena_destroy(space.arena), EBUSY, CHILDREN, "1"));
	vdma_device_close(dev);
}

/* Without a node of its own, iommufd gets a device by its group. */
static void by_group(void **state)
{
	const char *bdf = bdf_of("VDMA_BDF_EDU");
	struct vdma_buf buf;
	struct vdma_region *region;
	struct edu edu;
	char node[64];
	struct stat st;

	(void)state;
	if (backend() != VDMA_BACKEND_IOMMUFD)
		skip();
	snprintf(node, sizeof(node), "%s", node_path(bdf));
	assert_return_code(stat(node, &st), errno);
	assert_return_code(unlink(node), errno);
	region = region_of(space.arena, VDMA_PROVIDER_ANON, PAGE, EDU_ADDRESS_BITS);
	buf = vdma_region_buf(region);
	EDU_WORKS(&edu, edu_open(&edu, space.ioas, bdf, EDU_ADDRESS_BITS));
	EDU_WORKS(&edu, edu_irq_use(&edu, VDMA_IRQ_MSI));
	dma_verify(&edu, &buf, 5);
	edu_close(&edu);
	WORKS(vdma_region_destroy(region));
	assert_return_code(mknod(node, st.st_mode, st.st_rdev), errno);
	WORKS(open_device(bdf));
}

/* As an unprivileged user, in a child: 0 if all was explained. */
static int permission_child(void *unused)
{
	const char *bdf = bdf_of("VDMA_BDF_EDU");
	struct vdma_region *region = NULL;
	bool good;

	(void)unused;
	space = space_create();
	become(NOBODY, 64 * MIB);
	good = EXPLAINED(vdma_region_create(space.arena, PAGE, NULL, &region), EACCES, PERMISSION,
			 "/dev/map_contig", "As root");
	good &= EXPLAINED(open_device(bdf), EACCES, PERMISSION, node_path(bdf), "As root");
	return good && !region ? 0 : 1;
}

static int container_child(void *unused)
{
	struct vdma_ioas_opts opts = { .size = sizeof(opts), .backend = backend() };
	struct vdma_ioas *ioas = NULL;

	(void)unused;
	space = space_create();
	become(NOBODY, 64 * MIB);
	return EXPLAINED(vdma_ioas_create(space.arena, &opts, &ioas), EACCES, PERMISSION,
			 space_path()) &&
			       !ioas ?
		       0 :
		       1;
}

static void permission_denied(void **state)
{
	struct stat st;

	(void)state;
	/* The modes that the kernel gives by itself, and an administrator who is strict. */
	assert_return_code(stat("/dev/map_contig", &st), errno);
	assert_int_equal(st.st_mode & 07, 0);
	assert_int_equal(in_child(permission_child, NULL), 0);
	assert_return_code(stat(space_path(), &st), errno);
	assert_return_code(chmod(space_path(), 0600), errno);
	assert_int_equal(in_child(container_child, NULL), 0);
	assert_return_code(chmod(space_path(), st.st_mode & 07777), errno);
}

int run_setup(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_address),	    cmocka_unit_test(no_such_device),
		cmocka_unit_test(without_driver),   cmocka_unit_test(with_another_driver),
		cmocka_unit_test(group_not_viable), cmocka_unit_test(group_busy),
		cmocka_unit_test(open_already),	    cmocka_unit_test(permission_denied),
		cmocka_unit_test(by_group),
	};

	return cmocka_run_group_tests_name("setup", tests, create, destroy);
}
