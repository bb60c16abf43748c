// SPDX-License-Identifier: BSD-3-Clause
/* vdma-crypto bench: as many requests as there can be, by the first data queue. */
#define _POSIX_C_SOURCE 200809L
#include "program.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct bench;

/* A request, which begins anew when it has ended. */
struct request {
	struct bench *b;
	struct vdma_buf src[CRYPTO_PIECES_MAX], dst[CRYPTO_PIECES_MAX];
	double start;
	bool again;
};

/**
 * struct bench - a run
 * @q: the queue
 * @session: the key
 * @pieces: of each request's source and destination
 * @end: when to stop, in seconds
 * @done: requests that have ended
 * @sum: of their latencies, in seconds
 * @worst: of them
 * @status: of the first that failed, 0 if none has
 */
struct bench {
	struct crypto_queue *q;
	struct crypto_session session;
	unsigned int pieces;
	double end;
	uint64_t done;
	double sum, worst;
	int status;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void request_done(void *ctx, int status)
{
	struct request *r = ctx;
	double took = now() - r->start;

	r->b->done++;
	r->b->sum += took;
	if (took > r->b->worst)
		r->b->worst = took;
	if (status && !r->b->status)
		r->b->status = status;
	r->again = r->start + took < r->b->end && !r->b->status;
}

static int begin(struct bench *b, struct request *r)
{
	static const uint8_t iv[CRYPTO_IV_MAX];

	r->start = now();
	r->again = false;
	return crypto_submit(b->q, &b->session, iv, r->src, b->pieces, r->dst, b->pieces,
			     request_done, r);
}

/* As many as there are; without indirect descriptors fewer may fit. */
static int begin_all(struct bench *b, struct request *requests, unsigned int n)
{
	int err = 0;

	for (unsigned int i = 0; i < n && !err; i++)
		err = begin(b, &requests[i]);
	return err == -EAGAIN && b->q->vq.out ? 0 : err;
}

static int run(struct bench *b, struct request *requests, unsigned int n)
{
	int err = begin_all(b, requests, n), got;

	while (!err && b->q->vq.out) {
		got = crypto_wait(b->q);
		if (got < 0)
			return got;
		for (unsigned int i = 0; i < n && !err; i++)
			if (requests[i].again)
				err = begin(b, &requests[i]);
	}
	if (!err && b->status)
		err = virtio_fail(b->q->why, sizeof(b->q->why), -EIO, "a request: %s",
				  crypto_status_text(b->status));
	return err;
}

/* Source and destination of each, cut into pieces with a gap behind each of them. */
static void lay_out(struct program *p, struct bench *b, struct request *requests, unsigned int n)
{
	size_t blocks = p->set.size / 16, gap = b->pieces > 1 ? 64 : 0, at = 0;

	for (unsigned int i = 0; i < 2 * n; i++) {
		struct vdma_buf *pieces = i % 2 ? requests[i / 2].dst : requests[i / 2].src;

		requests[i / 2].b = b;
		for (unsigned int k = 0; k < b->pieces; k++) {
			size_t len = (blocks * (k + 1) / b->pieces - blocks * k / b->pieces) * 16;

			pieces[k] = part_of(p, at, len);
			at += len + gap;
		}
	}
}

static void show(const struct program *p, const struct bench *b, double seconds)
{
	printf("%s of %zu bytes in %u pieces, AES-128-CBC, depth %u, %s, %s descriptors\n",
	       p->set.decrypt ? "decryption" : "encryption", p->set.size, b->pieces, b->q->depth,
	       p->set.opts.poll ? "polled" : "MSI-X",
	       b->q->vq.table_entries ? "indirect" : "direct");
	printf("%" PRIu64 " in %.2f s: %.0f a second, %.1f MiB/s\n", b->done, seconds,
	       (double)b->done / seconds,
	       (double)b->done * (double)p->set.size / seconds / (1 << 20));
	printf("latency: %.3f ms on average, %.3f ms at worst\n",
	       b->done ? b->sum / (double)b->done * 1e3 : 0, b->worst * 1e3);
}

int do_bench(struct program *p)
{
	static const uint8_t key[16];
	struct bench b = { .q = p->crypto.queues[0], .pieces = p->set.pieces };
	unsigned int n = b.q->depth;
	struct request *requests;
	double start;
	int err;

	if (get_buf(p, 2 * n * (p->set.size + (size_t)b.pieces * 64)))
		return -1;
	memset(p->buf.va, 0x5a, p->buf.len);
	requests = calloc(n, sizeof(*requests));
	if (!requests)
		return complain("bench", strerror(ENOMEM));
	if (crypto_session_create(&p->crypto, CRYPTO_AES_CBC, !p->set.decrypt, key, sizeof(key),
				  &b.session)) {
		free(requests);
		return complain("a session", p->crypto.why);
	}
	lay_out(p, &b, requests, n);
	start = now();
	b.end = start + p->set.seconds;
	err = run(&b, requests, n);
	if (err)
		complain("bench", b.q->why);
	else
		show(p, &b, now() - start);
	/* After a failure some are still under way, and crypto_close() would tell them. */
	crypto_queue_forget(b.q);
	free(requests);
	if (!b.q->vq.out && crypto_session_destroy(&b.session) && !err)
		err = complain("destroying the session", p->crypto.why);
	return err;
}
