// SPDX-License-Identifier: BSD-3-Clause
/* Commands that take too long, and controllers that are reset under load. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nvme_tests.h"

static void count_canceled(void *ctx, int status, uint32_t result)
{
	unsigned int *counts = ctx;

	(void)result;
	counts[status == -ECANCELED]++;
}

/* A drive of two operations a second: the first is done at once, the others wait. */
static void timeouts(void **state)
{
	unsigned int counts[2] = { 0, 0 };
	struct vdma_buf buf;
	struct nvme_queue *q;
	struct nvme_sqe cmd;
	struct disk d;
	double start;
	bool done;
	int n;

	(void)state;
	disk_open(&d, bdf_of("VDMA_BDF_NVME2"), &(struct nvme_opts){ .timeout_ms = 300 });
	q = d.nvme.queues[0];
	/* mdts=0: no limit, but the driver's own. */
	assert_int_equal(d.nvme.transfer_max, NVME_TRANSFER_MAX);
	WORKS(vdma_buf_alloc(d.s.arena, 4 * KIB, NULL, &buf));
	cmd = nvme_read_command(&d.ns, 0, 8);
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(nvme_submit(q, &cmd, &buf, 1, count_canceled, counts), 0);
	start = now_ms();
	while ((n = nvme_wait(q)) > 0)
		;
	assert_int_equal(n, -ETIMEDOUT);
	assert_true(now_ms() - start >= 300);
	assert_non_null(strstr(q->why, "within 300 ms"));
	assert_true(q->slots[q->late].busy);
	/* 5.1: "best effort". QEMU's says that it has not, and it goes on to be late. */
	done = true;
	DISK_WORKS(q->why, nvme_abort(q, q->late, &done));
	printf("abort of command %u: %s\n", q->late, done ? "done" : "not done");
	/*
	 * One that is waited for is aborted by nvme_run(), which gives up after that. That
	 * others were late before has cost it nothing.
	 */
	start = now_ms();
	n = nvme_read(q, &d.ns, 0, &buf, 1);
	assert_true(n == -ETIMEDOUT);
	assert_true(now_ms() - start >= 600);
	assert_true(q->slots[q->late].busy && q->slots[q->late].ctx != counts);
	assert_true(q->out > 1);
	/* The reset takes all back. */
	DISK_WORKS(d.nvme.why, nvme_reset(&d.nvme));
	assert_int_equal(q->out, 0);
	assert_int_equal(counts[0] + counts[1], 8);
	assert_true(counts[1] > 0);
	d.nvme.opts.timeout_ms = 10000;
	DISK_WORKS(q->why, nvme_read(q, &d.ns, 0, &buf, 1));
	WORKS(vdma_buf_free(d.s.arena, &buf));
	disk_close(&d);
}

/* Closing with commands under way resets, and says so. */
static void close_while_busy(void **state)
{
	unsigned int counts[2] = { 0, 0 };
	struct vdma_buf buf;
	struct nvme_sqe cmd;
	struct disk d;

	(void)state;
	disk_open(&d, bdf_of("VDMA_BDF_NVME2"), NULL);
	WORKS(vdma_buf_alloc(d.s.arena, 4 * KIB, NULL, &buf));
	cmd = nvme_read_command(&d.ns, 0, 8);
	for (unsigned int i = 0; i < 5; i++)
		assert_int_equal(nvme_submit(d.nvme.queues[0], &cmd, &buf, 1, count_canceled,
					     counts),
				 0);
	nvme_ring(d.nvme.queues[0]);
	assert_int_equal(nvme_close(&d.nvme), -ECONNRESET);
	assert_int_equal(counts[1], 5);
	WORKS(vdma_buf_free(d.s.arena, &buf));
	disk_close(&d);
}

/*
 * As long as a region is part of the device's memory the device cannot be closed, and
 * nothing that it might reach is given back; afterwards it can, or works again.
 */
static void close_while_mapped(void **state)
{
	const char *bdf = bdf_of("VDMA_BDF_NVME2");
	struct vdma_region *region;
	struct vdma_buf buf;
	struct disk d;

	(void)state;
	disk_open(&d, bdf, NULL);
	WORKS(vdma_buf_alloc(d.s.arena, 4 * KIB, NULL, &buf));
	WORKS(vdma_region_import_bar(d.s.arena, d.nvme.dev, NVME_BAR, 0, PAGE, NULL, &region));
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(nvme_close(&d.nvme), -EBUSY);
		assert_non_null(strstr(d.nvme.why, bdf));
	}
	DISK_WORKS(d.nvme.why, nvme_reset(&d.nvme));
	DISK_WORKS(d.nvme.queues[0]->why, nvme_read(d.nvme.queues[0], &d.ns, 0, &buf, 1));
	assert_int_equal(nvme_close(&d.nvme), -EBUSY);
	WORKS(vdma_region_destroy(region));
	/* It was shut down in order, before. */
	DISK_WORKS(d.nvme.why, nvme_close(&d.nvme));
	WORKS(vdma_buf_free(d.s.arena, &buf));
	disk_close(&d);
}

/*
 * Four threads with 32 commands each, and the controller is reset: announced to them,
 * and as if by somebody else. Then all goes on, and no block is another than it was.
 */
static void reset_under_load(void **state)
{
	static struct load loads[THREADS];
	struct nvme_verify v;
	struct disk d;

	(void)state;
	disk_open(&d, bdf_of("VDMA_BDF_NVME"), &(struct nvme_opts){ .queues = THREADS });
	load_prepare(&v, &d);
	for (unsigned int round = 0; round < 6; round++) {
		bool announced = round % 2;

		load_start(loads, &v);
		usleep((round + 1) * 60 * 1000);
		if (announced)
			nvme_cancel(&d.nvme);
		else
			WORKS(vdma_device_reset(d.nvme.dev));
		if (announced)
			load_join(loads, -ECANCELED, -ECANCELED);
		else
			load_join(loads, -ECONNRESET, -ECONNRESET);
		DISK_WORKS(d.nvme.why, nvme_reset(&d.nvme));
		for (unsigned int i = 0; i < THREADS; i++)
			printf("%s%llu",
			       i ? ", " : "commands: ", (unsigned long long)loads[i].ended);
		printf("\n");
		load_end(loads);
	}
	load_check(&v, &d);
	nvme_verify_end(&v, NULL);
	disk_close(&d);
}

int run_trouble(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timeouts),
		cmocka_unit_test(close_while_busy),
		cmocka_unit_test(close_while_mapped),
		cmocka_unit_test(reset_under_load),
	};

	return cmocka_run_group_tests_name("trouble", tests, NULL, NULL);
}
