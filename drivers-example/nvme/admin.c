// SPDX-License-Identifier: BSD-3-Clause
/* Admin commands (5). */
#define _POSIX_C_SOURCE 200809L
#include "nvme.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

uint16_t nvme_get16(const void *data, size_t at)
{
	uint16_t v;

	memcpy(&v, (const char *)data + at, sizeof(v));
	return v;
}

uint32_t nvme_get32(const void *data, size_t at)
{
	uint32_t v;

	memcpy(&v, (const char *)data + at, sizeof(v));
	return v;
}

uint64_t nvme_get64(const void *data, size_t at)
{
	uint64_t v;

	memcpy(&v, (const char *)data + at, sizeof(v));
	return v;
}

/* With the lock held. */
static int admin(struct nvme *nvme, const struct nvme_sqe *cmd, const struct vdma_buf *data,
		 uint32_t *result)
{
	return nvme_run(nvme->admin, cmd, data, data ? 1 : 0, result);
}

/* What went wrong, for the caller on the controller. */
static int tell(struct nvme *nvme, int err, const char *what)
{
	if (!err)
		return 0;
	return nvme_fail(nvme->why, sizeof(nvme->why), err, "%.900s\n(%s)", nvme->admin->why, what);
}

int nvme_identify(struct nvme *nvme, uint8_t cns, uint32_t nsid, void *data)
{
	const struct nvme_sqe cmd = {
		.opcode = NVME_ADMIN_IDENTIFY,
		.nsid = nsid,
		.cdw10 = cns,
	};
	int err;

	pthread_mutex_lock(&nvme->lock);
	err = tell(nvme, admin(nvme, &cmd, &nvme->page, NULL), "Identify, 5.15");
	if (!err)
		memcpy(data, nvme->page.va, NVME_IDENTIFY_LEN);
	pthread_mutex_unlock(&nvme->lock);
	return err;
}

/* ASCII, padded with blanks (1.5). */
static void text(char *to, const void *data, size_t at, size_t len)
{
	memcpy(to, (const char *)data + at, len);
	while (len && (to[len - 1] == ' ' || !to[len - 1]))
		len--;
	to[len] = 0;
	for (size_t i = 0; i < len; i++)
		if (to[i] < ' ' || to[i] > '~')
			to[i] = '?';
}

/* 5.15.2.2: Identify Controller */
int nvme_admin_identify(struct nvme *nvme)
{
	uint8_t data[NVME_IDENTIFY_LEN];
	uint32_t sgls;
	int err;

	err = nvme_identify(nvme, NVME_CNS_CONTROLLER, 0, data);
	if (err)
		return err;
	text(nvme->serial, data, NVME_CTRL_SN, sizeof(nvme->serial) - 1);
	text(nvme->model, data, NVME_CTRL_MN, sizeof(nvme->model) - 1);
	text(nvme->firmware, data, NVME_CTRL_FR, sizeof(nvme->firmware) - 1);
	nvme->namespaces = nvme_get32(data, NVME_CTRL_NN);
	nvme->has_deallocate = nvme_get16(data, NVME_CTRL_ONCS) & NVME_ONCS_DSM;
	nvme->has_cache = data[NVME_CTRL_VWC] & NVME_VWC_PRESENT;
	nvme->shutdown_ms = nvme_get32(data, NVME_CTRL_RTD3E) / 1000;
	nvme->transfer_max = NVME_TRANSFER_MAX;
	if (data[NVME_CTRL_MDTS] && data[NVME_CTRL_MDTS] < 20 &&
	    nvme->page_len << data[NVME_CTRL_MDTS] < NVME_TRANSFER_MAX)
		nvme->transfer_max = nvme->page_len << data[NVME_CTRL_MDTS];
	sgls = nvme_get32(data, NVME_CTRL_SGLS) & NVME_SGLS_MASK;
	nvme->has_sgl = sgls == NVME_SGLS_ANY || sgls == NVME_SGLS_DWORD;
	nvme->sgl_align = sgls == NVME_SGLS_DWORD ? 4 : 1;
	return 0;
}

/* 5.21.1.7: "shall only be issued during initialization prior to creation of any I/O queues" */
static int ask_for_queues(struct nvme *nvme)
{
	unsigned int n = nvme->opts.queues, sqs, cqs;
	const struct nvme_sqe cmd = {
		.opcode = NVME_ADMIN_SET_FEATURES,
		.cdw10 = NVME_FEATURE_QUEUES,
		.cdw11 = (n - 1) << 16 | (n - 1),
	};
	uint32_t result;
	int err;

	err = tell(nvme, admin(nvme, &cmd, NULL, &result), "Number of Queues, 5.21.1.7");
	if (err)
		return err;
	sqs = (result & 0xffff) + 1;
	cqs = (result >> 16) + 1;
	if (sqs < n || cqs < n)
		return nvme_fail(
			nvme->why, sizeof(nvme->why), -ENOSPC,
			"nvme: %s has %u I/O queues, %u were asked for: take as many threads",
			nvme->bdf, sqs < cqs ? sqs : cqs, n);
	return 0;
}

/* 5.3, 5.4: the completion queue comes first. */
static int create_queue(struct nvme *nvme, const struct nvme_queue *q)
{
	struct nvme_sqe cmd = {
		.opcode = NVME_ADMIN_CREATE_CQ,
		.dptr.prp[0] = q->cq_mem.iova,
		.cdw10 = q->depth << 16 | q->id,
		.cdw11 = NVME_QUEUE_CONTIGUOUS,
	};
	int err;

	if (!nvme->opts.poll)
		cmd.cdw11 |= q->id << 16 | NVME_QUEUE_INTERRUPTS;
	err = tell(nvme, admin(nvme, &cmd, NULL, NULL), "Create I/O Completion Queue, 5.3");
	if (err)
		return err;
	cmd.opcode = NVME_ADMIN_CREATE_SQ;
	cmd.dptr.prp[0] = q->sq_mem.iova;
	cmd.cdw11 = q->id << 16 | NVME_QUEUE_CONTIGUOUS;
	return tell(nvme, admin(nvme, &cmd, NULL, NULL), "Create I/O Submission Queue, 5.4");
}

int nvme_admin_create_queues(struct nvme *nvme)
{
	int err;

	pthread_mutex_lock(&nvme->lock);
	err = ask_for_queues(nvme);
	for (unsigned int i = 0; i < nvme->opts.queues && !err; i++)
		err = create_queue(nvme, nvme->queues[i]);
	pthread_mutex_unlock(&nvme->lock);
	return err;
}

/* 5.5, 5.6: the submission queue goes first. */
int nvme_admin_delete_queues(struct nvme *nvme)
{
	int err = 0;

	pthread_mutex_lock(&nvme->lock);
	for (unsigned int i = 0; i < nvme->opts.queues && !err; i++) {
		struct nvme_sqe cmd = {
			.opcode = NVME_ADMIN_DELETE_SQ,
			.cdw10 = nvme->queues[i]->id,
		};

		err = tell(nvme, admin(nvme, &cmd, NULL, NULL), "Delete I/O Submission Queue, 5.6");
		cmd.opcode = NVME_ADMIN_DELETE_CQ;
		if (!err)
			err = tell(nvme, admin(nvme, &cmd, NULL, NULL),
				   "Delete I/O Completion Queue, 5.5");
	}
	pthread_mutex_unlock(&nvme->lock);
	return err;
}

int nvme_abort(struct nvme_queue *q, unsigned int cid, bool *done)
{
	struct nvme *nvme = q->nvme;
	const struct nvme_sqe cmd = {
		.opcode = NVME_ADMIN_ABORT,
		.cdw10 = cid << 16 | q->id,
	};
	uint32_t result;
	int err;

	pthread_mutex_lock(&nvme->lock);
	err = admin(nvme, &cmd, NULL, &result);
	if (err)
		nvme_fail(q->why, sizeof(q->why), err, "%.900s\n(Abort, 5.1)", nvme->admin->why);
	pthread_mutex_unlock(&nvme->lock);
	if (!err)
		*done = !(result & NVME_ABORT_NOT_DONE);
	return err;
}
