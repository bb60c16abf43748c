// SPDX-License-Identifier: BSD-3-Clause
/* Every byte, as the driver, the kernel's driver and the host's image have it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

#include "nvme_tests.h"

static unsigned int rounds(void)
{
	const char *text = getenv("VDMA_TEST_ROUNDS");

	return text ? (unsigned int)atoi(text) : 150;
}

/* Written by four threads, read by them, by whoever has the image, and by the kernel. */
static void verify(const struct nvme_opts *opts, uint64_t seed)
{
	const char *bdf = bdf_of("VDMA_BDF_NVME");
	char image[128], node[64];
	struct nvme_verify v;
	struct disk d;
	double start = now_ms();

	disk_open(&d, bdf, opts);
	assert_int_equal(d.nvme.queues[0]->sgl, opts->list != NVME_LIST_PRP);
	assert_int_equal(nvme_verify_begin(&v, &d.ns, seed), 0);
	DISK_WORKS(v.why, nvme_verify_run(&v, rounds(), MIB));
	printf("%llu writes, %llu reads, %llu MiB compared in %.0f ms\n",
	       (unsigned long long)v.writes, (unsigned long long)v.reads,
	       (unsigned long long)v.bytes >> 20, now_ms() - start);
	disk_close(&d);
	image_path(1, image, sizeof(image));
	compare_file(&v, image, 0);
	give_to_kernel(bdf, node, sizeof(node));
	compare_file(&v, node, O_DIRECT);
	take_from_kernel(bdf);
	nvme_verify_end(&v, NULL);
}

static void verify_sgl_interrupts(void **state)
{
	(void)state;
	verify(&(struct nvme_opts){ .queues = THREADS }, 1);
}

static void verify_prp_polled(void **state)
{
	(void)state;
	verify(&(struct nvme_opts){ .queues = THREADS, .poll = true, .list = NVME_LIST_PRP }, 2);
}

/* The other way: what the kernel writes, the driver reads. */
static void kernel_writes(void **state)
{
	const char *bdf = bdf_of("VDMA_BDF_NVME");
	struct nvme_verify v;
	struct disk d;
	char node[64];
	uint8_t *bytes;
	int fd;

	(void)state;
	disk_open(&d, bdf, NULL);
	load_prepare(&v, &d);
	v.seed++;
	disk_close(&d);
	give_to_kernel(bdf, node, sizeof(node));
	fd = open(node, O_WRONLY | O_DIRECT | O_CLOEXEC);
	bytes = aligned_alloc(PAGE, MIB);
	assert_true(fd >= 0 && bytes);
	for (uint64_t lba = 0; lba < v.ns.blocks; lba += MIB / v.ns.block_len) {
		for (uint64_t i = 0; i < MIB / v.ns.block_len; i++)
			nvme_verify_block(&v, lba + i, bytes + i * v.ns.block_len);
		assert_int_equal(pwrite(fd, bytes, MIB, (off_t)(lba * v.ns.block_len)), MIB);
	}
	free(bytes);
	assert_int_equal(close(fd), 0);
	take_from_kernel(bdf);
	disk_open(&d, bdf, &(struct nvme_opts){ .list = NVME_LIST_PRP });
	load_check(&v, &d);
	disk_close(&d);
	nvme_verify_end(&v, NULL);
}

struct one {
	unsigned int *order;
	unsigned int at;
	int status;
};

static void one_done(void *ctx, int status, uint32_t result)
{
	struct one *one = ctx;

	(void)result;
	one->status = status;
	one->at = ++*one->order;
}

/* All that a queue holds: 256 commands at once, and not one more. */
static void depth_256(void **state)
{
	enum { N = 256 };
	static struct one ones[N];
	unsigned int order = 0;
	struct vdma_buf buf;
	struct nvme_queue *q;
	struct disk d;

	(void)state;
	disk_open(&d, bdf_of("VDMA_BDF_NVME"), NULL);
	q = d.nvme.queues[0];
	assert_int_equal(q->depth, N);
	WORKS(vdma_buf_alloc(d.s.arena, 2 * N * 4 * KIB, NULL, &buf));
	for (unsigned int round = 0; round < 4; round++) {
		/* Rounds write and read in turn; the queue wraps at another place each time. */
		order = 0;
		for (unsigned int i = 0; i < N; i++) {
			size_t at = (i + (round & 1) * N) * 4 * KIB;
			struct vdma_buf data = { .iova = buf.iova + at, .len = 4 * KIB };
			uint64_t lba = (uint64_t)(i * 37 % N) * 8;
			struct nvme_sqe cmd = round & 1 ? nvme_read_command(&d.ns, lba, 8) :
							  nvme_write_command(&d.ns, lba, 8);

			memset((char *)buf.va + at, round & 1 ? 0 : (int)(i + round), 4 * KIB);
			ones[i] = (struct one){ .order = &order, .status = -1 };
			assert_int_equal(nvme_submit(q, &cmd, &data, 1, one_done, &ones[i]), 0);
		}
		if (!round) {
			struct nvme_sqe cmd = { .opcode = NVME_CMD_FLUSH, .nsid = 1 };

			assert_int_equal(nvme_submit(q, &cmd, NULL, 0, NULL, NULL), -EAGAIN);
			assert_non_null(strstr(q->why, "256"));
		}
		while (q->out)
			if (nvme_wait(q) < 0)
				fail_msg("%s", q->why);
		assert_int_equal(order, N);
		for (unsigned int i = 0; i < N; i++) {
			assert_int_equal(ones[i].status, 0);
			assert_true(ones[i].at);
			assert_true(is_filled((char *)buf.va + (i + (round & 1) * N) * 4 * KIB,
					      4 * KIB, (unsigned char)(i + (round & ~1U))));
		}
	}
	WORKS(vdma_buf_free(d.s.arena, &buf));
	disk_close(&d);
}

static uint64_t blocks_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (uint64_t)st.st_blocks;
}

/* What is deallocated takes no room in the image, and reads as zeroes (DLFEAT of QEMU's). */
static void deallocate_and_flush(void **state)
{
	struct nvme_range ranges[NVME_DATASET_RANGES];
	struct vdma_buf buf;
	struct nvme_queue *q;
	uint64_t full;
	char image[128];
	struct disk d;

	(void)state;
	image_path(1, image, sizeof(image));
	for (int list = NVME_LIST_PRP; list <= NVME_LIST_SGL; list++) {
		disk_open(&d, bdf_of("VDMA_BDF_NVME"),
			  &(struct nvme_opts){ .list = (enum nvme_list)list });
		q = d.nvme.queues[0];
		assert_true(d.nvme.has_deallocate);
		WORKS(vdma_buf_alloc(d.s.arena, 16 * MIB, NULL, &buf));
		memset(buf.va, 0x5c, buf.len);
		DISK_WORKS(q->why, nvme_write(q, &d.ns, 0, &buf, 1));
		DISK_WORKS(q->why, nvme_flush(q, &d.ns));
		full = blocks_of(image);
		/* 256 ranges of 32 KiB, with as much between them. */
		for (unsigned int i = 0; i < NVME_DATASET_RANGES; i++)
			ranges[i] = (struct nvme_range){ .lba = i * 128, .blocks = 64 };
		DISK_WORKS(q->why, nvme_deallocate(q, &d.ns, ranges, NVME_DATASET_RANGES));
		DISK_WORKS(q->why, nvme_flush(q, &d.ns));
		/* The host's file system has more pieces to remember. */
		assert_true(blocks_of(image) + 7 * MIB / 512 <= full);
		DISK_WORKS(q->why, nvme_read(q, &d.ns, 0, &buf, 1));
		for (size_t at = 0; at < buf.len; at += 32 * KIB)
			assert_true(is_filled((char *)buf.va + at, 32 * KIB,
					      at / (32 * KIB) % 2 ? 0x5c : 0));
		assert_int_equal(nvme_deallocate(q, &d.ns, ranges, 0), -EINVAL);
		assert_int_equal(nvme_deallocate(q, &d.ns, ranges, 257), -EINVAL);
		WORKS(vdma_buf_free(d.s.arena, &buf));
		disk_close(&d);
	}
}

/* What the driver sees for itself, and what the controller answers to the rest. */
static void refused(void **state)
{
	struct vdma_buf buf, data;
	struct nvme_queue *q;
	struct nvme_sqe cmd;
	struct nvme_ns ns;
	struct disk d;

	(void)state;
	disk_open(&d, bdf_of("VDMA_BDF_NVME"), &(struct nvme_opts){ .list = NVME_LIST_PRP });
	q = d.nvme.queues[0];
	WORKS(vdma_buf_alloc(d.s.arena, 64 * KIB, NULL, &buf));
	data = buf;
	assert_int_equal(nvme_read(q, &d.ns, d.ns.blocks, &data, 1), -EINVAL);
	assert_int_equal(nvme_read(q, &d.ns, d.ns.blocks - 127, &data, 1), -EINVAL);
	DISK_WORKS(q->why, nvme_read(q, &d.ns, d.ns.blocks - 128, &data, 1));
	data.len = 1000;
	assert_int_equal(nvme_read(q, &d.ns, 0, &data, 1), -EINVAL);
	data.len = 512;
	data.iova += 2;
	assert_int_equal(nvme_read(q, &d.ns, 0, &data, 1), -EINVAL);
	assert_non_null(strstr(q->why, "PRP"));
	assert_int_equal(nvme_ns_open(&ns, &d.nvme, 0), -EINVAL);
	assert_int_equal(nvme_ns_open(&ns, &d.nvme, 0xfffffffe), -EINVAL);

	/* Beyond the end, past the driver's own check; and at an address that is nobody's. */
	cmd = nvme_read_command(&d.ns, d.ns.blocks, 1);
	data.iova = buf.iova;
	assert_int_equal(nvme_run(q, &cmd, &data, 1, NULL), -EIO);
	assert_int_equal(q->status & 0xff, NVME_SC_LBA_RANGE);
	assert_non_null(strstr(q->why, "beyond the namespace"));
	cmd.opcode = 0x7f;
	assert_int_equal(nvme_run(q, &cmd, NULL, 0, NULL), -EIO);
	assert_int_equal(q->status & 0xff, NVME_SC_INVALID_OPCODE);
	DISK_WORKS(q->why, nvme_read(q, &d.ns, 0, &data, 1));
	assert_int_equal(q->out, 0);
	WORKS(vdma_buf_free(d.s.arena, &buf));
	disk_close(&d);
}

int run_data(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verify_sgl_interrupts), cmocka_unit_test(verify_prp_polled),
		cmocka_unit_test(kernel_writes),	 cmocka_unit_test(depth_256),
		cmocka_unit_test(deallocate_and_flush),	 cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests_name("data", tests, NULL, NULL);
}
