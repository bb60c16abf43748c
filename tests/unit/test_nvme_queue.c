// SPDX-License-Identifier: BSD-3-Clause
/*
 * Queues of drivers-example/nvme, and whoever waits for a batch of commands, against a disk
 * that is made up. What it does while it is waited for happens in nvme_look(), which the
 * waiting calls now and then.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <nvme.h>

#define DEPTH 8
/* Long enough that a busy machine makes nothing late that is not. */
#define TIMEOUT_MS 500

int vdma_buf_alloc(struct vdma_arena *arena, size_t len, const struct vdma_buf_opts *opts,
		   struct vdma_buf *buf)
{
	static vdma_iova_t next = UINT64_C(0x7000000000);

	(void)arena;
	(void)opts;
	*buf = (struct vdma_buf){ .va = calloc(1, len), .len = len, .iova = next };
	assert_non_null(buf->va);
	next += (len + 8191) / 4096 * 4096;
	return 0;
}

int vdma_buf_free(struct vdma_arena *arena, const struct vdma_buf *buf)
{
	(void)arena;
	free(buf->va);
	return 0;
}

struct host {
	struct nvme nvme;
	struct nvme_ns ns;
	struct nvme_queue *q;
	uint8_t registers[NVME_DBS + 64];
	struct vdma_buf data;
	/* The disk's side: where the next completion goes, and commands that it has ended. */
	unsigned int tail, phase, ended;
	/* What the next looks find, and what happens at each. */
	int look_err;
	unsigned int looks;
	void (*at_look)(struct host *h);
	/* Aborts, and of which command the last one was. */
	unsigned int aborts, aborted;
};

static struct host *host;

int nvme_look(struct nvme *nvme, char *why, size_t size)
{
	(void)nvme;
	(void)why;
	(void)size;
	if (host->at_look)
		host->at_look(host);
	return host->look_err;
}

int nvme_abort(struct nvme_queue *q, unsigned int cid, bool *done)
{
	assert_ptr_equal(q, host->q);
	host->aborts++;
	host->aborted = cid;
	*done = false;
	return 0;
}

int nvme_identify(struct nvme *nvme, uint8_t cns, uint32_t nsid, void *data)
{
	(void)nvme;
	(void)cns;
	(void)nsid;
	(void)data;
	return -EIO;
}

/* Of what Identify tells: nothing. */
uint32_t nvme_get32(const void *data, size_t at)
{
	(void)data;
	(void)at;
	return 0;
}

uint64_t nvme_get64(const void *data, size_t at)
{
	(void)data;
	(void)at;
	return 0;
}

static void host_begin(struct host *h)
{
	memset(h, 0, sizeof(*h));
	host = h;
	h->phase = 1;
	h->nvme = (struct nvme){
		.bdf = "0000:00:10.0",
		.regs = h->registers,
		.page_len = 4096,
		.transfer_max = 4096,
		.opts = { .poll = true, .timeout_ms = TIMEOUT_MS },
	};
	h->ns = (struct nvme_ns){ .nvme = &h->nvme, .id = 1, .blocks = 1024, .block_len = 512 };
	assert_int_equal(nvme_queue_create(&h->nvme, 1, DEPTH, 4096, &h->q), 0);
	assert_int_equal(vdma_buf_alloc(NULL, 16 * 4096, NULL, &h->data), 0);
}

static void host_end(struct host *h)
{
	vdma_buf_free(NULL, &h->data);
	nvme_queue_destroy(h->q);
}

/* 4.6 */
static void end(struct host *h, unsigned int cid)
{
	struct nvme_cqe *cq = h->q->cq_mem.va;

	cq[h->tail].tail = cid | h->phase << 16;
	if (++h->tail > DEPTH) {
		h->tail = 0;
		h->phase ^= 1;
	}
	h->ended++;
}

static void count(void *ctx, int status, uint32_t result)
{
	(void)status;
	(void)result;
	++*(unsigned int *)ctx;
}

/* A command of the caller's own, that was submitted so long ago. */
static unsigned int submit_own(struct host *h, unsigned int *ended, uint64_t ago_ms)
{
	struct nvme_sqe cmd = nvme_read_command(&h->ns, 0, 1);
	unsigned int cid = h->q->free;

	assert_int_equal(nvme_submit(h->q, &cmd, &h->data, 1, count, ended), 0);
	h->q->slots[cid].since_ms -= ago_ms;
	return cid;
}

/* Whatever the queue's state is, a batch of which all has ended has ended. */
static void over_is_over(void **state)
{
	static const int errs[] = { -ECONNRESET, -ENODEV, -ETIMEDOUT, -ECANCELED };
	static struct host h;

	(void)state;
	for (unsigned int i = 0; i < sizeof(errs) / sizeof(errs[0]); i++) {
		struct nvme_batch batch = { .left = 1 };
		unsigned int own = 0, cid;
		struct nvme_sqe cmd;

		host_begin(&h);
		cmd = nvme_write_command(&h.ns, 0, 1);
		if (errs[i] == -ETIMEDOUT)
			submit_own(&h, &own, 10 * TIMEOUT_MS);
		else if (errs[i] == -ECANCELED)
			h.nvme.canceled = true;
		else
			h.look_err = errs[i];
		cid = h.q->free;
		assert_int_equal(nvme_submit(h.q, &cmd, &h.data, 1, nvme_batch_done, &batch), 0);
		end(&h, cid);
		assert_int_equal(nvme_batch_wait(h.q, &batch), 0);
		assert_int_equal(batch.left, 0);
		/* The queue tells it whoever waits next. */
		submit_own(&h, &own, 0);
		h.q->looked_ms = 0;
		assert_int_equal(nvme_wait(h.q), errs[i]);
		assert_int_equal(h.aborts, 0);
		host_end(&h);
	}
}

/* The second one is the batch's. */
static void end_second(struct host *h)
{
	if (++h->looks == 3)
		end(h, 1);
}

/* The caller's command that is late is neither aborted, nor does it end another's wait. */
static void late_is_the_callers(void **state)
{
	static struct host h;
	unsigned int own = 0, late;
	uint64_t since;

	(void)state;
	host_begin(&h);
	late = submit_own(&h, &own, 10 * TIMEOUT_MS);
	since = h.q->slots[late].since_ms;
	h.at_look = end_second;
	assert_int_equal(nvme_read(h.q, &h.ns, 0,
				   &(struct vdma_buf){ .iova = h.data.iova, .len = 4096 }, 1),
			 0);
	assert_int_equal(h.looks, 3);
	assert_int_equal(h.aborts, 0);
	/* He is told when he waits, and nobody has given it time. */
	assert_int_equal(h.q->slots[late].since_ms, since);
	assert_int_equal(nvme_wait(h.q), -ETIMEDOUT);
	assert_int_equal(h.q->late, late);
	host_end(&h);
}

/* Its own is aborted once, has the same time again, and is forgotten. */
static void late_is_its_own(void **state)
{
	static struct host h;
	struct vdma_buf data;
	unsigned int own = 0, late;
	uint64_t start = nvme_now_ms();

	(void)state;
	host_begin(&h);
	data = h.data;
	data.len = 4096;
	late = submit_own(&h, &own, 10 * TIMEOUT_MS);
	assert_int_equal(nvme_read(h.q, &h.ns, 0, &data, 1), -ETIMEDOUT);
	assert_true(nvme_now_ms() - start >= 2 * TIMEOUT_MS);
	assert_int_equal(h.aborts, 1);
	assert_int_not_equal(h.aborted, late);
	assert_int_equal(h.q->late, h.aborted);
	assert_non_null(strstr(h.q->why, "command 1 "));
	/* Its slot is taken, and another batch at the same place is not taken for it. */
	assert_int_equal(h.q->out, 2);
	start = nvme_now_ms();
	assert_int_equal(nvme_read(h.q, &h.ns, 0, &data, 1), -ETIMEDOUT);
	assert_true(nvme_now_ms() - start >= 2 * TIMEOUT_MS);
	assert_int_equal(h.aborts, 2);
	assert_int_equal(h.aborted, 2);
	host_end(&h);
}

/* All that is the batch's ends at each look, and more of it comes. */
static void end_all_but_first(struct host *h)
{
	for (unsigned int cid = 1; cid < DEPTH; cid++)
		if (h->q->slots[cid].busy)
			end(h, cid);
}

/* A transfer of more commands than there is room for, beside one that is late. */
static void full(void **state)
{
	static struct host h;
	unsigned int own = 0;
	uint64_t start;

	(void)state;
	host_begin(&h);
	submit_own(&h, &own, 10 * TIMEOUT_MS);
	h.at_look = end_all_but_first;
	assert_int_equal(nvme_read(h.q, &h.ns, 0, &h.data, 1), 0);
	assert_int_equal(h.ended, 16);
	assert_int_equal(h.aborts, 0);
	/* The caller's are all that there is room for. */
	h.at_look = NULL;
	while (h.q->free != DEPTH)
		submit_own(&h, &own, 10 * TIMEOUT_MS);
	start = nvme_now_ms();
	assert_int_equal(nvme_read(h.q, &h.ns, 0, &h.data, 1), -ETIMEDOUT);
	assert_true(nvme_now_ms() - start >= TIMEOUT_MS);
	assert_int_equal(h.aborts, 0);
	host_end(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(over_is_over),
		cmocka_unit_test(late_is_the_callers),
		cmocka_unit_test(late_is_its_own),
		cmocka_unit_test(full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
