// SPDX-License-Identifier: BSD-3-Clause
/* Namespaces (6.1), and what is done with their blocks (6). */
#include "nvme.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

int nvme_ns_next(struct nvme *nvme, uint32_t after, uint32_t *id)
{
	uint8_t data[NVME_IDENTIFY_LEN];
	int err;

	/* 5.15.2.3: ids in ascending order, from the first above the given one. */
	err = nvme_identify(nvme, NVME_CNS_ACTIVE, after, data);
	if (!err)
		*id = nvme_get32(data, 0);
	return err;
}

int nvme_ns_open(struct nvme_ns *ns, struct nvme *nvme, uint32_t id)
{
	uint8_t data[NVME_IDENTIFY_LEN];
	uint32_t format;
	int err;

	if (!id || id > nvme->namespaces)
		return nvme_fail(nvme->why, sizeof(nvme->why), -EINVAL,
				 "nvme: namespace %" PRIu32 ": ids of %s are 1 to %" PRIu32, id,
				 nvme->bdf, nvme->namespaces);
	/* 5.15.2.1: Identify Namespace; an inactive one is all zero. */
	err = nvme_identify(nvme, NVME_CNS_NAMESPACE, id, data);
	if (err)
		return err;
	ns->nvme = nvme;
	ns->id = id;
	ns->blocks = nvme_get64(data, NVME_NS_NSZE);
	if (!ns->blocks)
		return nvme_fail(nvme->why, sizeof(nvme->why), -EINVAL,
				 "nvme: %s has no active namespace %" PRIu32, nvme->bdf, id);
	format = nvme_get32(data, NVME_NS_LBAF + 4 * (data[NVME_NS_FLBAS] & 0xfU));
	if ((format & 0xffff) || (format >> 16 & 0xff) < 9 || (format >> 16 & 0xff) > 16)
		return nvme_fail(nvme->why, sizeof(nvme->why), -EOPNOTSUPP,
				 "nvme: namespace %" PRIu32 " has blocks of 2^%" PRIu32
				 " bytes with %" PRIu32
				 " bytes of metadata: this driver takes 2^9 to "
				 "2^16, and none of that",
				 id, format >> 16 & 0xff, format & 0xffff);
	ns->block_len = 1U << (format >> 16 & 0xff);
	return 0;
}

/* 6.9, 6.15: first block, and number of blocks less 1 */
static struct nvme_sqe command(const struct nvme_ns *ns, uint8_t opcode, uint64_t lba,
			       uint32_t blocks)
{
	return (struct nvme_sqe){
		.opcode = opcode,
		.nsid = ns->id,
		.cdw10 = (uint32_t)lba,
		.cdw11 = (uint32_t)(lba >> 32),
		.cdw12 = (blocks - 1) & 0xffff,
	};
}

struct nvme_sqe nvme_read_command(const struct nvme_ns *ns, uint64_t lba, uint32_t blocks)
{
	return command(ns, NVME_CMD_READ, lba, blocks);
}

struct nvme_sqe nvme_write_command(const struct nvme_ns *ns, uint64_t lba, uint32_t blocks)
{
	return command(ns, NVME_CMD_WRITE, lba, blocks);
}

/* cut DATA: the next len bytes of it, from piece *i and *offset on. */
static unsigned int cut(const struct vdma_buf *data, unsigned int *i, size_t *offset, size_t len,
			struct vdma_buf *out)
{
	unsigned int n = 0;

	while (len) {
		size_t step = data[*i].len - *offset;

		step = step < len ? step : len;
		out[n++] = (struct vdma_buf){ .iova = data[*i].iova + *offset, .len = step };
		len -= step;
		*offset += step;
		if (*offset == data[*i].len) {
			(*i)++;
			*offset = 0;
		}
	}
	return n;
}

/*
 * Waits until there is a slot, for as long as a command may take: that one of them is late
 * does not matter if others end. The batch's own may be all that is under way.
 */
static int submit(struct nvme_queue *q, const struct nvme_sqe *cmd, const struct vdma_buf *data,
		  unsigned int n, struct nvme_batch *batch)
{
	uint64_t start = nvme_now_ms();
	int err;

	while ((err = nvme_submit(q, cmd, data, n, nvme_batch_done, batch)) == -EAGAIN) {
		err = nvme_wait(q);
		if (err < 0 &&
		    (err != -ETIMEDOUT || nvme_now_ms() - start > q->nvme->opts.timeout_ms))
			return err;
	}
	return err;
}

/* The same without a command's limit on bytes. */
static int transfer(struct nvme_queue *q, const struct nvme_ns *ns, uint8_t opcode, uint64_t lba,
		    const struct vdma_buf *data, unsigned int n)
{
	size_t max = ns->nvme->transfer_max, offset = 0, len = 0;
	struct nvme_batch batch = { 0 };
	struct vdma_buf pieces[NVME_PIECES_MAX];
	unsigned int at = 0;
	int err = 0;

	/* 6.9: blocks are counted by 16 bits. */
	if (max / ns->block_len > 0x10000)
		max = (size_t)ns->block_len * 0x10000;
	for (unsigned int i = 0; i < n && n <= NVME_PIECES_MAX; i++)
		len += data[i].len;
	if (!len || len % ns->block_len || lba >= ns->blocks ||
	    len / ns->block_len > ns->blocks - lba)
		return nvme_fail(q->why, sizeof(q->why), -EINVAL,
				 "nvme: %zu bytes in %u pieces (up to %u) at block %" PRIu64
				 " of %" PRIu64 ": not whole blocks of %" PRIu32
				 " bytes within the namespace",
				 len, n, NVME_PIECES_MAX, lba, ns->blocks, ns->block_len);
	while (len && !err) {
		size_t step = len < max ? len : max;
		struct nvme_sqe cmd = command(ns, opcode, lba, (uint32_t)(step / ns->block_len));
		unsigned int count = cut(data, &at, &offset, step, pieces);

		batch.left++;
		err = submit(q, &cmd, pieces, count, &batch);
		if (err)
			batch.left--;
		len -= step;
		lba += step / ns->block_len;
	}
	/* What was submitted is waited for in any case, or forgotten by the queue. */
	if (err) {
		char why[sizeof(q->why)];

		memcpy(why, q->why, sizeof(why));
		nvme_batch_wait(q, &batch);
		memcpy(q->why, why, sizeof(why));
		return err;
	}
	return nvme_batch_wait(q, &batch);
}

int nvme_read(struct nvme_queue *q, const struct nvme_ns *ns, uint64_t lba,
	      const struct vdma_buf *data, unsigned int n)
{
	return transfer(q, ns, NVME_CMD_READ, lba, data, n);
}

int nvme_write(struct nvme_queue *q, const struct nvme_ns *ns, uint64_t lba,
	       const struct vdma_buf *data, unsigned int n)
{
	return transfer(q, ns, NVME_CMD_WRITE, lba, data, n);
}

int nvme_flush(struct nvme_queue *q, const struct nvme_ns *ns)
{
	/* 6.8: done at once where there is no volatile write cache. */
	const struct nvme_sqe cmd = { .opcode = NVME_CMD_FLUSH, .nsid = ns->id };

	return nvme_run(q, &cmd, NULL, 0, NULL);
}

int nvme_deallocate(struct nvme_queue *q, const struct nvme_ns *ns, const struct nvme_range *ranges,
		    unsigned int n)
{
	/* 6.7: attribute Deallocate; up to 256 ranges, their number less 1. */
	const struct nvme_sqe cmd = {
		.opcode = NVME_CMD_DATASET,
		.nsid = ns->id,
		.cdw10 = n - 1,
		.cdw11 = NVME_DATASET_DEALLOCATE,
	};
	struct vdma_buf data;

	if (!ns->nvme->has_deallocate)
		return nvme_fail(q->why, sizeof(q->why), -EOPNOTSUPP,
				 "nvme: %s has no Dataset Management (ONCS)", ns->nvme->bdf);
	if (!n || n > NVME_DATASET_RANGES)
		return nvme_fail(q->why, sizeof(q->why), -EINVAL,
				 "nvme: %u ranges, a command takes 1 to %u", n,
				 NVME_DATASET_RANGES);
	/* One page at most, at a page's start: no list, so it can lie in the list's place. */
	data = nvme_next_list(q);
	data.len = n * sizeof(*ranges);
	if (q->free != q->depth)
		memcpy(data.va, ranges, data.len);
	return nvme_run(q, &cmd, &data, 1, NULL);
}
