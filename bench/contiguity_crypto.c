// SPDX-License-Identifier: BSD-3-Clause
/* Encryption from and into either memory. */
#include "contiguity.h"

#include "crypto.h"
#include "sample.h"

#define PAGE ((size_t)4096)
#define DEPTH 16
#define LEN ((size_t)65536)
#define PAGES ((unsigned int)(LEN / PAGE))

/**
 * struct requests - what is encrypted
 * @c: the run
 * @q: by which queue
 * @session: with what key
 * @regions: from and into which memory
 * @paged: scattered memory is told page by page, none the next one's neighbour
 * @left: requests that are under way
 * @status: of the first that failed
 */
struct requests {
	const struct contiguity *c;
	struct crypto_queue *q;
	struct crypto_session session;
	struct vdma_region *regions[MEMORIES];
	bool paged;
	unsigned int left;
	int status;
};

static void request_done(void *ctx, int status)
{
	struct requests *r = ctx;

	r->left--;
	if (!r->status)
		r->status = status;
}

static unsigned int pieces_of(const struct requests *r, enum memory memory, unsigned int part,
			      struct vdma_buf *pieces)
{
	vdma_iova_t iova = vdma_region_buf(r->regions[memory]).iova + part * LEN;

	if (memory == CONTIGUOUS || !r->paged) {
		pieces[0] = (struct vdma_buf){ .iova = iova, .len = LEN };
		return 1;
	}
	/* 7 has no divisor in common with a power of two. */
	for (unsigned int i = 0; i < PAGES; i++)
		pieces[i] = (struct vdma_buf){ .iova = iova + i * 7 % PAGES * PAGE, .len = PAGE };
	return PAGES;
}

static double request_ns(void *ctx, enum memory memory)
{
	static const uint8_t iv[CRYPTO_IV_MAX];
	struct vdma_buf src[PAGES], dst[PAGES];
	struct requests *r = ctx;
	unsigned int done = 0;
	double start = now_ns(), took;

	do {
		for (unsigned int i = 0; i < DEPTH; i++, r->left++) {
			unsigned int n = pieces_of(r, memory, 2 * i, src);

			pieces_of(r, memory, 2 * i + 1, dst);
			if (crypto_submit(r->q, &r->session, iv, src, n, dst, n, request_done, r))
				contiguity_fail("encrypting", r->q->why);
		}
		while (r->left)
			if (crypto_wait(r->q) < 0)
				contiguity_fail("encrypting", r->q->why);
		if (r->status)
			contiguity_fail("encrypting", crypto_status_text(r->status));
		done += DEPTH;
		took = now_ns() - start;
	} while (took < r->c->slice_ns);
	return took / done;
}

void contiguity_crypto(const struct contiguity *c)
{
	static const struct crypto_opts opts = { .depth = DEPTH, .poll = true };
	static const uint8_t key[16];
	struct requests r = { .c = c };
	struct crypto crypto;

	if (crypto_open(&crypto, c->arena, c->ioas, c->crypto, &opts) ||
	    crypto_session_create(&crypto, CRYPTO_AES_CBC, true, key, sizeof(key), &r.session))
		contiguity_fail(c->crypto, crypto.why);
	r.q = crypto.queues[0];
	for (int m = 0; m < MEMORIES; m++)
		r.regions[m] = contiguity_region(c, (enum memory)m, 2 * DEPTH * LEN);
	contiguity_time(c, "virtio-crypto, 64 KiB", request_ns, &r);
	r.paged = true;
	contiguity_time(c, "virtio-crypto, 64 KiB, page by page", request_ns, &r);
	if (crypto_session_destroy(&r.session) || crypto_close(&crypto))
		contiguity_fail(c->crypto, crypto.why);
	for (int m = 0; m < MEMORIES; m++)
		vdma_region_destroy(r.regions[m]);
}
