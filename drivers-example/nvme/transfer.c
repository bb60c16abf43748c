// SPDX-License-Identifier: BSD-3-Clause
/* vdma-nvme read, write, deallocate: a namespace's bytes from and to a file. */
#define _POSIX_C_SOURCE 200809L
#include "program.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Bytes of a step; whole blocks of any namespace. */
#define STEP ((size_t)1 << 20)

static int open_file(const char *name, const char *mode, FILE *standard, FILE **file)
{
	*file = standard;
	if (!name || !strcmp(name, "-"))
		return 0;
	*file = fopen(name, mode);
	return *file ? 0 : complain(name, strerror(errno));
}

/* Blocks that the command line's offset and length stand for, or complains. */
static int begin(struct program *p, uint64_t *lba, uint64_t *left)
{
	uint64_t size = p->ns.blocks * p->ns.block_len;
	char why[160];

	if (p->set.offset % p->ns.block_len || p->set.offset >= size ||
	    p->set.length > size - p->set.offset) {
		snprintf(why, sizeof(why),
			 "the namespace has %" PRIu64
			 " bytes, and begins to transfer at multiples of "
			 "%" PRIu32,
			 size, p->ns.block_len);
		return complain("offset and length", why);
	}
	*lba = p->set.offset / p->ns.block_len;
	*left = p->set.length ? p->set.length : size - p->set.offset;
	return get_buf(p, STEP);
}

static struct vdma_buf first_bytes(const struct program *p, size_t len)
{
	struct vdma_buf buf = p->buf;

	/* Whole blocks. */
	buf.len = (len + p->ns.block_len - 1) / p->ns.block_len * p->ns.block_len;
	return buf;
}

int do_read(struct program *p)
{
	struct nvme_queue *q = p->nvme.queues[0];
	uint64_t lba, left, total = 0;
	FILE *file;
	int err = 0;

	if (begin(p, &lba, &left) || open_file(p->set.file, "wb", stdout, &file))
		return -1;
	while (left && !err) {
		size_t len = left < STEP ? (size_t)left : STEP;
		struct vdma_buf data = first_bytes(p, len);

		if (nvme_read(q, &p->ns, lba, &data, 1))
			err = complain("reading", q->why);
		else if (fwrite(data.va, 1, len, file) != len)
			err = complain("writing the file", strerror(errno));
		lba += data.len / p->ns.block_len;
		left -= len;
		total += len;
	}
	if (fflush(file) || (file != stdout && fclose(file)))
		err = complain("writing the file", strerror(errno));
	if (!err)
		fprintf(stderr, "%" PRIu64 " bytes read from offset %" PRIu64 "\n", total,
			p->set.offset);
	return err;
}

/* The rest of the last block is what was there. */
static int complete(struct program *p, struct nvme_queue *q, uint64_t lba, size_t len)
{
	struct vdma_buf last = p->buf;
	size_t whole = len / p->ns.block_len * p->ns.block_len;
	char head[65536];

	if (whole == len)
		return 0;
	last.va = (char *)last.va + whole;
	last.iova += whole;
	last.len = p->ns.block_len;
	memcpy(head, last.va, len - whole);
	if (nvme_read(q, &p->ns, lba + whole / p->ns.block_len, &last, 1))
		return complain("reading the last block", q->why);
	memcpy(last.va, head, len - whole);
	return 0;
}

int do_write(struct program *p)
{
	struct nvme_queue *q = p->nvme.queues[0];
	uint64_t lba, left, total = 0;
	FILE *file;
	int err = 0;

	if (begin(p, &lba, &left) || open_file(p->set.file, "rb", stdin, &file))
		return -1;
	while (!err) {
		size_t len = left < STEP ? (size_t)left : STEP;
		struct vdma_buf data;

		len = len ? fread(p->buf.va, 1, len, file) : 0;
		if (!len)
			break;
		data = first_bytes(p, len);
		if (complete(p, q, lba, len))
			err = -1;
		else if (nvme_write(q, &p->ns, lba, &data, 1))
			err = complain("writing", q->why);
		lba += data.len / p->ns.block_len;
		left -= len;
		total += len;
	}
	if (!err && ferror(file))
		err = complain("reading the file", strerror(errno));
	else if (!err && !left && !p->set.length && fgetc(file) != EOF)
		err = complain("writing", "the file is longer than the namespace");
	if (!err && nvme_flush(q, &p->ns))
		err = complain("flushing", q->why);
	if (file != stdin)
		fclose(file);
	if (!err)
		fprintf(stderr, "%" PRIu64 " bytes written at offset %" PRIu64 "\n", total,
			p->set.offset);
	return err;
}

int do_deallocate(struct program *p)
{
	struct nvme_queue *q = p->nvme.queues[0];
	uint64_t lba, left, blocks;

	if (begin(p, &lba, &left))
		return -1;
	for (blocks = left / p->ns.block_len; blocks;) {
		struct nvme_range range = {
			.blocks = blocks < 0x10000 ? (uint32_t)blocks : 0x10000,
			.lba = lba,
		};

		if (nvme_deallocate(q, &p->ns, &range, 1))
			return complain("deallocating", q->why);
		blocks -= range.blocks;
		lba += range.blocks;
	}
	fprintf(stderr, "%" PRIu64 " bytes deallocated at offset %" PRIu64 "\n",
		left / p->ns.block_len * p->ns.block_len, p->set.offset);
	return 0;
}
