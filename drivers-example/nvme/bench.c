// SPDX-License-Identifier: BSD-3-Clause
/* vdma-nvme bench: as many transfers as there can be, by all queues. */
#define _POSIX_C_SOURCE 200809L
#include "program.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct runner;

/* A transfer, which begins anew when it has ended. */
struct transfer {
	struct runner *r;
	struct vdma_buf buf;
	double start;
	bool again;
};

/**
 * struct runner - a thread with its queue and its part of the namespace
 * @p: shared, not written
 * @q: its queue
 * @thread: if @started
 * @started: and not yet joined
 * @first: block
 * @slots: transfers that fit in from there
 * @next: of the sequential ones
 * @chance: state of the random numbers
 * @transfers: opts.depth of them
 * @end: when to stop, in seconds
 * @done: transfers that have ended
 * @sum: of their latencies, in seconds
 * @worst: of them
 * @err: what it ended with
 */
struct runner {
	const struct program *p;
	struct nvme_queue *q;
	pthread_t thread;
	bool started;
	uint64_t first, slots, next, chance;
	struct transfer *transfers;
	double end;
	uint64_t done;
	double sum, worst;
	int err;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void transfer_done(void *ctx, int status, uint32_t result)
{
	struct transfer *t = ctx;
	double took = now() - t->start;

	(void)result;
	t->r->done++;
	t->r->sum += took;
	if (took > t->r->worst)
		t->r->worst = took;
	if (status && !t->r->err)
		t->r->err = nvme_fail(t->r->q->why, sizeof(t->r->q->why), -EIO, "a transfer: %s",
				      nvme_status_text(status));
	t->again = t->start + took < t->r->end && !t->r->err;
}

static int begin(struct runner *r, struct transfer *t)
{
	uint32_t blocks = (uint32_t)(r->p->set.size / r->p->ns.block_len);
	uint64_t slot = r->next++ % r->slots;
	struct nvme_sqe cmd;

	if (r->p->set.random) {
		/* Knuth's linear congruential generator, its upper bits */
		r->chance =
			r->chance * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		slot = (r->chance >> 20) % r->slots;
	}
	cmd = r->p->set.write ? nvme_write_command(&r->p->ns, r->first + slot * blocks, blocks) :
				nvme_read_command(&r->p->ns, r->first + slot * blocks, blocks);
	t->start = now();
	t->again = false;
	return nvme_submit(r->q, &cmd, &t->buf, 1, transfer_done, t);
}

static int run(struct runner *r)
{
	unsigned int depth = r->p->nvme.opts.depth;
	int err = 0, n;

	for (unsigned int i = 0; i < depth && !err; i++)
		err = begin(r, &r->transfers[i]);
	while (!err && r->q->out) {
		n = nvme_wait(r->q);
		if (n < 0)
			return n;
		for (unsigned int i = 0; i < depth && !err; i++)
			if (r->transfers[i].again)
				err = begin(r, &r->transfers[i]);
	}
	return err ? err : r->err;
}

static void *run_thread(void *arg)
{
	struct runner *r = arg;

	r->err = run(r);
	return NULL;
}

/* Thread i of n: its part of the buffers, and of the namespace. */
static int start(struct program *p, struct runner *r, unsigned int i, unsigned int n, double end)
{
	uint64_t blocks = p->set.size / p->ns.block_len;
	unsigned int depth = p->nvme.opts.depth;

	r->p = p;
	r->q = p->nvme.queues[i];
	r->first = p->ns.blocks * i / n;
	r->slots = p->ns.blocks / n / blocks;
	r->chance = p->set.seed + i;
	r->end = end;
	if (!r->slots)
		return complain("bench",
				"the namespace is too small for this size and number of threads");
	r->transfers = calloc(depth, sizeof(*r->transfers));
	if (!r->transfers)
		return complain("bench", strerror(ENOMEM));
	for (unsigned int k = 0; k < depth; k++) {
		size_t at = (i * (size_t)depth + k) * p->set.size;

		r->transfers[k].r = r;
		r->transfers[k].buf = (struct vdma_buf){
			.va = (char *)p->buf.va + at,
			.iova = p->buf.iova + at,
			.len = p->set.size,
			.pa = VDMA_PA_NONE,
		};
	}
	if (pthread_create(&r->thread, NULL, run_thread, r))
		return complain("bench", "no thread");
	r->started = true;
	return 0;
}

static void show(const struct program *p, double seconds, uint64_t done, double sum, double worst)
{
	size_t pages = (p->set.size + p->nvme.page_len - 1) / p->nvme.page_len;
	bool sgl = p->nvme.queues[0]->sgl;

	printf("%s %s of %zu bytes, %u queues of depth %u, %s, %s\n",
	       p->set.random ? "random" : "sequential", p->set.write ? "writes" : "reads",
	       p->set.size, p->nvme.opts.queues, p->nvme.opts.depth,
	       p->nvme.opts.poll ? "polled" : "MSI-X", sgl ? "SGL" : "PRP");
	printf("%" PRIu64 " in %.2f s: %.0f a second, %.1f MiB/s\n", done, seconds,
	       (double)done / seconds, (double)done * (double)p->set.size / seconds / (1 << 20));
	printf("latency: %.3f ms on average, %.3f ms at worst\n",
	       done ? sum / (double)done * 1e3 : 0, worst * 1e3);
	printf("addresses for a command: %zu\n", sgl ? (size_t)1 : pages);
}

int do_bench(struct program *p)
{
	unsigned int n = p->nvme.opts.queues;
	double begin_at, worst = 0, sum = 0;
	struct runner *runners;
	uint64_t done = 0;
	int err = 0;

	if (!p->set.size || p->set.size % p->ns.block_len || p->set.size > p->nvme.transfer_max ||
	    p->set.size / p->ns.block_len > 0x10000)
		return complain("bench",
				"--size has to be whole blocks, and no more than a command takes "
				"(vdma-nvme identify)");
	if (get_buf(p, p->set.size * p->nvme.opts.depth * n))
		return -1;
	runners = calloc(n, sizeof(*runners));
	if (!runners)
		return complain("bench", strerror(ENOMEM));
	begin_at = now();
	for (unsigned int i = 0; i < n && !err; i++)
		err = start(p, &runners[i], i, n, begin_at + p->set.seconds);
	for (unsigned int i = 0; i < n; i++) {
		if (runners[i].started)
			pthread_join(runners[i].thread, NULL);
		if (runners[i].err)
			err = complain("bench", runners[i].q->why);
		done += runners[i].done;
		sum += runners[i].sum;
		worst = runners[i].worst > worst ? runners[i].worst : worst;
	}
	if (!err)
		show(p, now() - begin_at, done, sum, worst);
	/* After a failure some are still under way, and nvme_close() would tell them. */
	for (unsigned int i = 0; i < n; i++)
		nvme_queue_forget(p->nvme.queues[i]);
	for (unsigned int i = 0; i < n; i++)
		free(runners[i].transfers);
	free(runners);
	return err;
}
