// SPDX-License-Identifier: BSD-3-Clause
/*
 * Data queues (5.9.7.3): requests go out, and end in any order. Nothing here is shared with
 * another queue's thread but what crypto_open() has settled, and crypto->canceled, which
 * is read.
 */
#define _POSIX_C_SOURCE 200809L
#include "crypto.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Between looks at the device while its queue is empty, and when anything is late. */
#define LOOK_MS 20
/* Looks at the queue before the processor is offered to others. */
#define SPINS 200
/* What the device overwrites, if it does anything. */
#define NO_STATUS 0xff

/* The request with its IV, source, destination, status. */
#define CHAIN_MAX (2 * CRYPTO_PIECES_MAX + 2)

#define FAIL(q, err, ...) virtio_fail((q)->why, sizeof((q)->why), err, __VA_ARGS__)

static struct crypto_frame *frame_of(const struct crypto_queue *q, unsigned int id)
{
	return (struct crypto_frame *)q->frames.va + id;
}

void crypto_queue_reset(struct crypto_queue *q)
{
	virtqueue_reset(&q->vq);
	for (unsigned int id = 0; id < q->vq.chains; id++) {
		struct crypto_slot *slot = &q->slots[id];
		bool tell = slot->busy && slot->done;

		slot->busy = false;
		if (tell)
			slot->done(slot->ctx, -ECANCELED);
	}
}

int crypto_queue_create(struct crypto *crypto, unsigned int index, unsigned int size,
			unsigned int depth, bool indirect, struct crypto_queue **result)
{
	struct crypto_queue *q = calloc(1, sizeof(*q));
	int err;

	if (!q)
		goto no_memory;
	q->crypto = crypto;
	q->depth = depth;
	err = virtqueue_create(&q->vq, crypto->arena, size, depth, indirect ? CHAIN_MAX : 0,
			       crypto->why, sizeof(crypto->why));
	if (err) {
		crypto_queue_destroy(q);
		return err;
	}
	err = vdma_buf_alloc(crypto->arena, q->vq.chains * sizeof(struct crypto_frame), NULL,
			     &q->frames);
	if (err) {
		crypto_queue_destroy(q);
		return virtio_fail(crypto->why, sizeof(crypto->why), err, "%s", vdma_explain());
	}
	q->slots = calloc(q->vq.chains, sizeof(*q->slots));
	if (!q->slots)
		goto no_memory;
	q->vq.index = (uint16_t)index;
	q->vq.quiet = crypto->opts.poll;
	crypto_queue_reset(q);
	*result = q;
	return 0;

no_memory:
	crypto_queue_destroy(q);
	return virtio_fail(crypto->why, sizeof(crypto->why), -ENOMEM,
			   "virtio-crypto: no memory for a queue of %u requests", depth);
}

void crypto_queue_destroy(struct crypto_queue *q)
{
	if (!q)
		return;
	if (q->frames.va)
		vdma_buf_free(q->crypto->arena, &q->frames);
	virtqueue_destroy(&q->vq);
	free(q->slots);
	free(q);
}

static uint64_t length_of(const struct vdma_buf *pieces, unsigned int n)
{
	uint64_t len = 0;

	for (unsigned int i = 0; i < n; i++)
		len += pieces[i].len;
	return len;
}

/* What can be known of a request before the device sees it. */
static int check(struct crypto_queue *q, const struct crypto_session *session, uint64_t src,
		 uint64_t dst)
{
	if (session->crypto != q->crypto || session->reset != q->crypto->resets)
		return FAIL(q, -ESTALE,
			    "virtio-crypto: the session was destroyed, or is from before a reset of "
			    "the device: create it again");
	if (!src || src != dst || src % session->unit)
		return FAIL(
			q, -EINVAL,
			"virtio-crypto: source of %llu bytes, destination of %llu: they have to be "
			"as long as each other, and multiples of %u bytes",
			(unsigned long long)src, (unsigned long long)dst, session->unit);
	/* 5.9.5.2: the device would have to be reset. */
	if (src > UINT32_MAX || src + dst + session->iv_len > q->crypto->size_max)
		return FAIL(
			q, -E2BIG,
			"virtio-crypto: %llu bytes, more than a request of %s has (max_size %llu)",
			(unsigned long long)src, q->crypto->pci.bdf,
			(unsigned long long)q->crypto->size_max);
	return 0;
}

int crypto_submit(struct crypto_queue *q, const struct crypto_session *session, const void *iv,
		  const struct vdma_buf *src, unsigned int n_src, const struct vdma_buf *dst,
		  unsigned int n_dst, crypto_done_fn *done, void *ctx)
{
	struct vdma_buf pieces[CHAIN_MAX];
	unsigned int id = virtqueue_next(&q->vq);
	struct crypto_frame *frame;
	vdma_iova_t frame_iova;
	uint64_t len;
	int got;

	if (n_src > CRYPTO_PIECES_MAX || n_dst > CRYPTO_PIECES_MAX)
		return FAIL(q, -E2BIG, "virtio-crypto: %u and %u pieces, there are up to %u", n_src,
			    n_dst, CRYPTO_PIECES_MAX);
	len = length_of(src, n_src);
	got = check(q, session, len, length_of(dst, n_dst));
	if (got)
		return got;
	if (q->vq.out >= q->depth || id >= q->vq.chains)
		goto full;

	/* 5.9.7.3: request, IV and source for the device to read, destination and status to write */
	frame = frame_of(q, id);
	frame_iova = q->frames.iova + id * sizeof(*frame);
	frame->req = (struct crypto_data_req){
		.opcode = session->encrypt ? CRYPTO_OP_ENCRYPT : CRYPTO_OP_DECRYPT,
		.algo = session->cipher,
		.session = session->id,
		.iv_len = session->iv_len,
		.src_len = (uint32_t)len,
		.dst_len = (uint32_t)len,
		.op_type = CRYPTO_SYM_CIPHER,
	};
	if (session->iv_len)
		memcpy(frame->iv, iv, session->iv_len);
	frame->status = NO_STATUS;
	pieces[0] = (struct vdma_buf){ .iova = frame_iova,
				       .len = sizeof(frame->req) + session->iv_len };
	memcpy(pieces + 1, src, n_src * sizeof(*src));
	memcpy(pieces + 1 + n_src, dst, n_dst * sizeof(*dst));
	pieces[1 + n_src + n_dst] =
		(struct vdma_buf){ .iova = frame_iova + offsetof(struct crypto_frame, status),
				   .len = 1 };
	got = virtqueue_add(&q->vq, pieces, 1 + n_src, n_dst + 1);
	if (got == -EAGAIN)
		goto full;
	if (got < 0)
		return FAIL(q, got,
			    got == -E2BIG ?
				    "virtio-crypto: %u pieces, more than a queue of %u entries has" :
				    "virtio-crypto: one of %u pieces is empty (queue of %u entries)",
			    n_src + n_dst, q->vq.size);
	q->slots[id] = (struct crypto_slot){
		.done = done, .ctx = ctx, .since_ms = virtio_now_ms(), .len = len + 1, .busy = true
	};
	return 0;

full:
	return FAIL(q, -EAGAIN,
		    "virtio-crypto: %u requests are under way in queue %u, as many as fit",
		    q->vq.out, q->vq.index);
}

void crypto_ring(struct crypto_queue *q)
{
	virtqueue_kick(&q->vq);
}

int crypto_poll(struct crypto_queue *q)
{
	uint32_t written = 0;
	int n, id;

	for (n = 0; (id = virtqueue_take(&q->vq, &written)) >= 0; n++) {
		struct crypto_slot *slot = &q->slots[id];
		int status =
			__atomic_load_n(&frame_of(q, (unsigned int)id)->status, __ATOMIC_RELAXED);

		/* 2.7.8.3: what is beyond that was not written. */
		if (status == NO_STATUS || written < slot->len)
			status = status && status != NO_STATUS ? status : -EIO;
		slot->busy = false;
		if (slot->done)
			slot->done(slot->ctx, status);
	}
	if (id == -EAGAIN)
		return n;
	return FAIL(q, -EIO,
		    "virtio-crypto: %s says that a request of queue %u is over which it was never "
		    "told of: reset it",
		    q->crypto->pci.bdf, q->vq.index);
}

/* Is a request late? */
static int look_late(struct crypto_queue *q, uint64_t now)
{
	unsigned int oldest = q->vq.chains;

	for (unsigned int id = 0; id < q->vq.chains; id++)
		if (q->slots[id].busy &&
		    (oldest == q->vq.chains || q->slots[id].since_ms < q->slots[oldest].since_ms))
			oldest = id;
	if (oldest == q->vq.chains || now - q->slots[oldest].since_ms <= q->crypto->opts.timeout_ms)
		return 0;
	q->late = oldest;
	return FAIL(q, -ETIMEDOUT,
		    "virtio-crypto: %s did not complete request %u of queue %u within %u ms, %u are "
		    "under way: reset it",
		    q->crypto->pci.bdf, oldest, q->vq.index, q->crypto->opts.timeout_ms, q->vq.out);
}

static int look(struct crypto_queue *q, uint64_t now)
{
	int err;

	q->looked_ms = now;
	if (q->crypto->canceled)
		return FAIL(q, -ECANCELED, "virtio-crypto: %s is about to be reset",
			    q->crypto->pci.bdf);
	err = virtio_pci_look(&q->crypto->pci, q->why, sizeof(q->why));
	return err ? err : look_late(q, now);
}

/* Nothing has come: sleeps until the vector fires, or spins. */
static int idle(struct crypto_queue *q)
{
	int err;

	if (!q->crypto->opts.poll) {
		err = vdma_device_irq_wait(q->crypto->pci.dev, q->vq.index, LOOK_MS, NULL);
		if (err && err != -ETIMEDOUT && err != -EINTR)
			return FAIL(q, err, "%s", vdma_explain());
		return 0;
	}
	for (unsigned int i = 0; i < SPINS; i++)
		if (virtqueue_has_used(&q->vq))
			return 0;
	sched_yield();
	return 0;
}

int crypto_wait(struct crypto_queue *q)
{
	uint64_t now;
	int n, err;

	crypto_ring(q);
	for (;;) {
		n = crypto_poll(q);
		if (n < 0)
			return n;
		/* Also while others complete, lest one request be forgotten. */
		now = virtio_now_ms();
		if (now - q->looked_ms >= LOOK_MS) {
			err = look(q, now);
			if (err)
				return err;
		}
		if (n || !q->vq.out)
			return n;
		err = idle(q);
		if (err)
			return err;
	}
}

void crypto_queue_forget(struct crypto_queue *q)
{
	for (unsigned int id = 0; id < q->vq.chains; id++)
		q->slots[id].done = NULL;
}

/* The request that crypto_run() waits for. */
struct one {
	bool over;
	int status;
};

static void one_done(void *ctx, int status)
{
	struct one *one = ctx;

	one->over = true;
	one->status = status;
}

int crypto_run(struct crypto_queue *q, const struct crypto_session *session, const void *iv,
	       const struct vdma_buf *src, unsigned int n_src, const struct vdma_buf *dst,
	       unsigned int n_dst)
{
	struct one one = { .over = false };
	int err = crypto_submit(q, session, iv, src, n_src, dst, n_dst, one_done, &one);

	while (!err && !one.over) {
		int n = crypto_wait(q);

		if (n < 0 && !one.over)
			err = n;
	}
	if (err) {
		/* Nobody waits for it any more; its slot stays taken until it is over. */
		for (unsigned int id = 0; id < q->vq.chains; id++)
			if (q->slots[id].busy && q->slots[id].ctx == &one)
				q->slots[id].done = NULL;
		return err;
	}
	if (!one.status)
		return 0;
	q->status = one.status;
	return FAIL(q, one.status < 0 ? one.status : -EIO, "virtio-crypto: %s, queue %u: %s",
		    q->crypto->pci.bdf, q->vq.index, crypto_status_text(one.status));
}
