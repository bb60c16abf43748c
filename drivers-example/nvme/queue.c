// SPDX-License-Identifier: BSD-3-Clause
/*
 * A pair of queues (4.1): commands go out, completions come in, in any order. Nothing
 * here is shared with another queue's thread but what nvme_open() has settled, and
 * nvme->canceled, which is read.
 */
#define _POSIX_C_SOURCE 200809L
#include "nvme.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Between looks at the controller while its queue is empty, and when anything is late. */
#define LOOK_MS 20
/* Looks at the queue before the processor is offered to others. */
#define SPINS 200

uint64_t nvme_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

int nvme_fail(char *why, size_t size, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, size, format, args);
	va_end(args);
	return err;
}

#define FAIL(q, err, ...) nvme_fail((q)->why, sizeof((q)->why), err, __VA_ARGS__)

const char *nvme_status_text(int status)
{
	static _Thread_local char text[96];
	const char *what = "see 4.6.1.2";

	if (status < 0)
		return strerror(-status);
	switch (status) {
	case 0: return "success";
	case NVME_SC_INVALID_OPCODE: what = "invalid opcode"; break;
	case NVME_SC_INVALID_FIELD: what = "invalid field"; break;
	case NVME_SC_DATA_TRANSFER: what = "data transfer error: its DMA failed"; break;
	case NVME_SC_ABORT_REQUESTED: what = "aborted on request"; break;
	case NVME_SC_SQ_DELETED: what = "aborted, its queue was deleted"; break;
	case NVME_SC_INVALID_NAMESPACE: what = "invalid namespace"; break;
	case NVME_SC_LBA_RANGE: what = "blocks beyond the namespace's end"; break;
	case NVME_SC_CAPACITY: what = "capacity exceeded"; break;
	case NVME_SC_NOT_READY: what = "namespace not ready"; break;
	case NVME_SC_WRITE_FAULT: what = "write fault"; break;
	case NVME_SC_READ_ERROR: what = "unrecovered read error"; break;
	}
	snprintf(text, sizeof(text), "status type %d, code 0x%02x (%s)", status >> 8, status & 0xff,
		 what);
	return text;
}

/* 3.1.24, 3.1.25: doorbells of queue y lie at (2y) and (2y + 1) strides. */
static size_t doorbell(const struct nvme_queue *q, unsigned int completion)
{
	return NVME_DBS + (size_t)(2 * q->id + completion) * (4U << NVME_CAP_DSTRD(q->nvme->cap));
}

void nvme_queue_reset(struct nvme_queue *q)
{
	for (unsigned int cid = 0; cid < q->depth; cid++) {
		struct nvme_slot *slot = &q->slots[cid];
		bool tell = slot->busy && slot->done;

		slot->busy = false;
		slot->next = cid + 1;
		if (tell)
			slot->done(slot->ctx, -ECANCELED, 0);
	}
	q->free = 0;
	q->out = 0;
	q->tail = 0;
	q->rung = 0;
	q->head = 0;
	/* 4.6: the controller begins with phase 1, so no entry may look like that. */
	q->phase = 1;
	memset(q->cq_mem.va, 0, q->cq_mem.len);
}

int nvme_queue_create(struct nvme *nvme, unsigned int id, unsigned int depth, size_t list_len,
		      struct nvme_queue **result)
{
	struct vdma_buf_opts opts = { .size = sizeof(opts), .align = nvme->page_len };
	struct nvme_queue *q = calloc(1, sizeof(*q));
	int err;

	if (!q)
		goto no_memory;
	q->nvme = nvme;
	q->id = id;
	q->depth = depth;
	q->list_len = list_len;
	q->slots = calloc(depth, sizeof(*q->slots));
	if (!q->slots)
		goto no_memory;
	err = vdma_buf_alloc(nvme->arena, (size_t)(depth + 1) << NVME_SQE_SHIFT, &opts, &q->sq_mem);
	if (!err)
		err = vdma_buf_alloc(nvme->arena, (size_t)(depth + 1) << NVME_CQE_SHIFT, &opts,
				     &q->cq_mem);
	if (!err && list_len)
		err = vdma_buf_alloc(nvme->arena, depth * list_len, &opts, &q->lists);
	if (err) {
		nvme_queue_destroy(q);
		return nvme_fail(nvme->why, sizeof(nvme->why), err, "%s", vdma_explain());
	}
	nvme_queue_reset(q);
	*result = q;
	return 0;

no_memory:
	nvme_queue_destroy(q);
	return nvme_fail(nvme->why, sizeof(nvme->why), -ENOMEM,
			 "nvme: no memory for a queue of %u commands", depth);
}

void nvme_queue_destroy(struct nvme_queue *q)
{
	if (!q)
		return;
	if (q->lists.va)
		vdma_buf_free(q->nvme->arena, &q->lists);
	if (q->cq_mem.va)
		vdma_buf_free(q->nvme->arena, &q->cq_mem);
	if (q->sq_mem.va)
		vdma_buf_free(q->nvme->arena, &q->sq_mem);
	free(q->slots);
	free(q);
}

struct vdma_buf nvme_next_list(const struct nvme_queue *q)
{
	size_t at = q->free * q->list_len;

	return (struct vdma_buf){
		.va = (char *)q->lists.va + at,
		.iova = q->lists.iova + at,
		.len = q->list_len,
		.pa = VDMA_PA_NONE,
	};
}

/* 4.3, 4.4: where the data lie; a list lies in the slot's own memory. */
static int point(struct nvme_queue *q, struct nvme_sqe *cmd, const struct vdma_buf *data,
		 unsigned int n)
{
	struct vdma_buf list = nvme_next_list(q);
	int got;

	if (q->sgl) {
		cmd->flags |= NVME_FLAGS_SGL;
		got = nvme_sgl_build(&list, q->nvme->sgl_align, data, n, &cmd->dptr);
	} else {
		got = nvme_prp_build(&list, q->nvme->page_len, data, n, &cmd->dptr);
	}
	if (got == -E2BIG)
		return FAIL(q, got,
			    "nvme: %u pieces of data need a longer list than the queue's %zu bytes",
			    n, q->list_len);
	if (got < 0)
		return FAIL(
			q, got,
			q->sgl ?
				"nvme: data of SGLs are multiples of %zu bytes, and lie so" :
				"nvme: PRPs tell data of which each piece but the first starts at a page "
				"of %zu bytes, and each but the last ends at one; the first at a "
				"multiple of 4",
			q->sgl ? (size_t)q->nvme->sgl_align : q->nvme->page_len);
	return 0;
}

int nvme_submit(struct nvme_queue *q, const struct nvme_sqe *cmd, const struct vdma_buf *data,
		unsigned int n, nvme_done_fn *done, void *ctx)
{
	struct nvme_sqe *sq = q->sq_mem.va, entry = *cmd;
	struct nvme_slot *slot;
	int err;

	if (q->free == q->depth)
		return FAIL(q, -EAGAIN,
			    "nvme: %u commands are under way in queue %u, as many as it takes",
			    q->out, q->id);
	entry.cid = (uint16_t)q->free;
	if (n) {
		err = point(q, &entry, data, n);
		if (err)
			return err;
	}
	slot = &q->slots[q->free];
	q->free = slot->next;
	q->out++;
	*slot = (struct nvme_slot){
		.done = done, .ctx = ctx, .since_ms = nvme_now_ms(), .busy = true
	};
	sq[q->tail] = entry;
	q->tail = q->tail == q->depth ? 0 : q->tail + 1;
	return 0;
}

void nvme_ring(struct nvme_queue *q)
{
	if (q->rung == q->tail)
		return;
	q->rung = q->tail;
	/* The entries are in memory before it: vdma/mmio.h. */
	vdma_mmio_write32(q->nvme->regs, doorbell(q, 0), q->tail);
}

/* 4.6: an entry is new when its phase tag has changed since the last round. */
static bool fresh(const struct nvme_queue *q, uint32_t *tail)
{
	const struct nvme_cqe *cq = q->cq_mem.va;

	*tail = __atomic_load_n(&cq[q->head].tail, __ATOMIC_RELAXED);
	return NVME_CQE_PHASE(*tail) == q->phase;
}

int nvme_poll(struct nvme_queue *q)
{
	const struct nvme_cqe *cq = q->cq_mem.va;
	uint32_t tail, result;
	int n = 0;

	while (fresh(q, &tail)) {
		unsigned int cid = NVME_CQE_CID(tail);
		struct nvme_slot *slot;

		/*
		 * The rest of the entry, and the command's data, are read after the phase
		 * tag. The device wrote them in this order; the barrier is the one that
		 * orders a register's read before memory's.
		 */
		VDMA_MMIO_AFTER_READ();
		result = cq[q->head].result;
		if (++q->head > q->depth) {
			q->head = 0;
			q->phase ^= 1;
		}
		n++;
		if (cid >= q->depth || !q->slots[cid].busy)
			return FAIL(q, -EIO,
				    "nvme: %s says that command %u of queue %u is over, which it was "
				    "never told: reset it",
				    q->nvme->bdf, cid, q->id);
		slot = &q->slots[cid];
		slot->busy = false;
		slot->next = q->free;
		q->free = cid;
		q->out--;
		if (slot->done)
			slot->done(slot->ctx, NVME_CQE_STATUS(tail), result);
	}
	/* The controller may use these entries again. */
	if (n)
		vdma_mmio_write32(q->nvme->regs, doorbell(q, 1), q->head);
	return n;
}

/* A batch that was forgotten may have been where this one is. */
static bool is_of(const struct nvme_slot *slot, const struct nvme_batch *batch)
{
	return slot->busy && slot->done == nvme_batch_done && slot->ctx == batch;
}

/* Is a command late, of this batch if there is one? */
static int look_late(struct nvme_queue *q, const struct nvme_batch *batch, uint64_t now)
{
	unsigned int oldest = q->depth;

	for (unsigned int cid = 0; cid < q->depth; cid++)
		if (q->slots[cid].busy && (!batch || is_of(&q->slots[cid], batch)) &&
		    (oldest == q->depth || q->slots[cid].since_ms < q->slots[oldest].since_ms))
			oldest = cid;
	if (oldest == q->depth || now - q->slots[oldest].since_ms <= q->nvme->opts.timeout_ms)
		return 0;
	q->late = oldest;
	return FAIL(q, -ETIMEDOUT,
		    "nvme: %s did not complete command %u of queue %u within %u ms, %u are under way",
		    q->nvme->bdf, oldest, q->id, q->nvme->opts.timeout_ms, q->out);
}

static int look(struct nvme_queue *q, uint64_t now)
{
	int err;

	q->looked_ms = now;
	if (q->id && q->nvme->canceled)
		return FAIL(q, -ECANCELED, "nvme: %s is about to be reset", q->nvme->bdf);
	err = nvme_look(q->nvme, q->why, sizeof(q->why));
	return err ? err : look_late(q, NULL, now);
}

/* Nothing has come: sleeps until the vector fires, or spins. */
static int idle(struct nvme_queue *q)
{
	uint32_t tail;
	int err;

	if (!q->nvme->opts.poll) {
		err = vdma_device_irq_wait(q->nvme->dev, q->id, LOOK_MS, NULL);
		if (err && err != -ETIMEDOUT && err != -EINTR)
			return FAIL(q, err, "%s", vdma_explain());
		return 0;
	}
	for (unsigned int i = 0; i < SPINS; i++)
		if (fresh(q, &tail))
			return 0;
	sched_yield();
	return 0;
}

int nvme_wait(struct nvme_queue *q)
{
	uint64_t now;
	int n, err;

	nvme_ring(q);
	for (;;) {
		n = nvme_poll(q);
		if (n < 0)
			return n;
		/* Also while others complete, lest one command be forgotten. */
		now = nvme_now_ms();
		if (now - q->looked_ms >= LOOK_MS) {
			err = look(q, now);
			if (err)
				return err;
		}
		if (n || !q->out)
			return n;
		err = idle(q);
		if (err)
			return err;
	}
}

void nvme_batch_done(void *ctx, int status, uint32_t result)
{
	struct nvme_batch *batch = ctx;

	batch->left--;
	batch->result = result;
	if (!batch->status)
		batch->status = status;
}

/* Nobody waits for them any more; their slots stay taken until they are over. */
static void forget(struct nvme_queue *q, const struct nvme_batch *batch)
{
	for (unsigned int cid = 0; cid < q->depth; cid++)
		if (is_of(&q->slots[cid], batch))
			q->slots[cid].done = NULL;
}

/* As if they were submitted now. */
static void restart(struct nvme_queue *q, const struct nvme_batch *batch)
{
	for (unsigned int cid = 0; cid < q->depth; cid++)
		if (is_of(&q->slots[cid], batch))
			q->slots[cid].since_ms = nvme_now_ms();
}

void nvme_queue_forget(struct nvme_queue *q)
{
	for (unsigned int cid = 0; cid < q->depth; cid++)
		q->slots[cid].done = NULL;
}

int nvme_batch_wait(struct nvme_queue *q, struct nvme_batch *batch)
{
	bool aborted = false, done;
	int n;

	while (batch->left) {
		n = nvme_wait(q);
		/* It tells of the queue: what is over is over whatever comes behind it. */
		if (n >= 0 || !batch->left)
			continue;
		if (n == -ETIMEDOUT) {
			/* Others that are late are the caller's, who is told when he waits. */
			n = look_late(q, batch, nvme_now_ms());
			if (!n)
				continue;
			if (q->id && !aborted) {
				/* They have the same time again, to end by themselves or by it. */
				aborted = true;
				n = nvme_abort(q, q->late, &done);
				if (!n) {
					restart(q, batch);
					continue;
				}
			}
		}
		forget(q, batch);
		return n;
	}
	if (!batch->status)
		return 0;
	q->status = batch->status;
	return FAIL(q, batch->status < 0 ? batch->status : -EIO, "nvme: %s, queue %u: %s",
		    q->nvme->bdf, q->id, nvme_status_text(batch->status));
}

int nvme_run(struct nvme_queue *q, const struct nvme_sqe *cmd, const struct vdma_buf *data,
	     unsigned int n, uint32_t *result)
{
	struct nvme_batch batch = { .left = 1 };
	int err;

	err = nvme_submit(q, cmd, data, n, nvme_batch_done, &batch);
	if (!err)
		err = nvme_batch_wait(q, &batch);
	if (!err && result)
		*result = batch.result;
	return err;
}
