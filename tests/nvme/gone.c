// SPDX-License-Identifier: BSD-3-Clause
/*
 * A disk that is pulled out: the slot of nvme3 loses its power. Threads go on with it
 * after that, not before: QEMU 7.2 ends itself (a segmentation fault) when a transfer
 * to its image is over after the disk has gone.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvme_tests.h"

static void pulled_out(void **state)
{
	static struct load loads[THREADS];
	struct nvme_verify v;
	struct disk d;
	double start;

	(void)state;
	WORKS(vdma_bus_guard(1));
	disk_open(&d, bdf_of("VDMA_BDF_NVME3"), &(struct nvme_opts){ .queues = THREADS });
	load_prepare(&v, &d);
	/* PCI Express 3.0, 7.8.10: as tests/guest/hotplug.c does it */
	assert_int_equal(system("setpci -s $VDMA_BDF_PCIE_ROOT_PORT CAP_EXP+18.w=0700:0720 "
				"CAP_EXP+18.w=0100:0700 CAP_EXP+18.w=0020:0020"),
			 0);
	load_start(loads, &v);
	/* On its way out it looks for a moment as if somebody had reset it. */
	load_join(loads, -ENODEV, -ECONNRESET);
	printf("%s\n", loads[0].q->why);
	start = now_ms();
	while (nvme_reset(&d.nvme) != -ENODEV)
		assert_true(now_ms() - start < 20000);
	printf("%s\n", d.nvme.why);
	WORKS(vdma_device_let_go(d.nvme.dev));
	assert_int_equal(nvme_reset(&d.nvme), -ENODEV);
	assert_int_equal(nvme_close(&d.nvme), -ENODEV);
	load_end(loads);
	space_destroy(&d.s);
	assert_int_equal(ledger_wait(0), 0);
	nvme_verify_end(&v, NULL);
	WORKS(vdma_bus_guard(0));
}

int run_gone(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pulled_out),
	};

	return cmocka_run_group_tests_name("gone", tests, NULL, NULL);
}
