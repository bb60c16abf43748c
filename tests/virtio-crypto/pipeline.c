// SPDX-License-Identifier: BSD-3-Clause
/* Random requests, many at a time, whose results are compared with OpenSSL's. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../random.h"
#include "crypto_tests.h"

#define POISON 0xa5
/* Between pieces, all together, and behind the last. */
#define GAPS (CRYPTO_PIECES_MAX * 64)

#define FAIL(p, error, ...) ((p)->err = virtio_fail((p)->why, sizeof((p)->why), error, __VA_ARGS__))

static void fill(struct pipeline *p, uint8_t *to, size_t len)
{
	uint64_t word = random_below(&p->chance, UINT64_MAX);

	for (size_t i = 0; i < len; i++) {
		if (i % 8 == 0)
			word = word * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		to[i] = (uint8_t)(word >> (8 * (i % 8)));
	}
}

static size_t mem_len(const struct pipeline *p)
{
	return p->max_len + GAPS + PAGE;
}

int pipeline_sessions(struct pipeline *p)
{
	struct crypto *crypto = p->q->crypto;

	for (unsigned int i = 0; i < p->n_keys; i++)
		for (int encrypt = 0; encrypt < 2; encrypt++) {
			int err = crypto_session_create(crypto, p->cipher, encrypt, p->keys[i],
							p->key_len[i], &p->sessions[i][encrypt]);

			if (err)
				return FAIL(p, err, "%s", crypto->why);
		}
	return 0;
}

int pipeline_begin(struct pipeline *p, struct accel *a, enum crypto_cipher cipher, size_t max_len,
		   uint64_t seed)
{
	static const size_t aes[] = { 16, 24, 32 }, xts[] = { 32, 64 }, des[] = { 24 };
	const size_t *lens = aes;
	unsigned int n = 3;
	int err;

	if (cipher == CRYPTO_AES_XTS) {
		lens = xts;
		n = 2;
	} else if (cipher == CRYPTO_3DES_ECB || cipher == CRYPTO_3DES_CBC ||
		   cipher == CRYPTO_3DES_CTR) {
		lens = des;
		n = 1;
	}
	memset(p, 0, sizeof(*p));
	p->q = a->crypto.queues[0];
	p->cipher = cipher;
	p->max_len = max_len;
	p->chance = seed;
	p->n_keys = 2 * n;
	for (unsigned int i = 0; i < p->n_keys; i++) {
		p->key_len[i] = lens[i % n];
		fill(p, p->keys[i], p->key_len[i]);
	}
	p->got = malloc(max_len);
	p->want = malloc(max_len);
	if (!p->got || !p->want)
		return FAIL(p, -ENOMEM, "no memory to compare with");
	err = vdma_buf_alloc(a->s.arena, 2 * FLIGHTS * mem_len(p), NULL, &p->mem);
	if (err)
		return FAIL(p, err, "%s", vdma_explain());
	memset(p->mem.va, POISON, p->mem.len);
	for (unsigned int i = 0; i < FLIGHTS; i++) {
		struct flight *f = &p->flights[i];

		f->p = p;
		f->idle = true;
		f->plain = malloc(max_len);
		if (!f->plain)
			return FAIL(p, -ENOMEM, "no memory to compare with");
		f->src_mem = f->dst_mem = p->mem;
		f->src_mem.len = f->dst_mem.len = mem_len(p);
		f->src_mem.va = (char *)p->mem.va + 2 * i * mem_len(p);
		f->src_mem.iova += 2 * i * mem_len(p);
		f->dst_mem.va = (char *)f->src_mem.va + mem_len(p);
		f->dst_mem.iova = f->src_mem.iova + mem_len(p);
	}
	return pipeline_sessions(p);
}

int pipeline_end(struct pipeline *p)
{
	int err = 0;

	for (unsigned int i = 0; i < p->n_keys; i++)
		for (int encrypt = 0; encrypt < 2; encrypt++)
			if (!err && crypto_session_destroy(&p->sessions[i][encrypt]))
				err = FAIL(p, -EIO, "%s", p->q->crypto->why);
	for (unsigned int i = 0; i < FLIGHTS; i++)
		free(p->flights[i].plain);
	free(p->got);
	free(p->want);
	if (vdma_buf_free(p->q->crypto->arena, &p->mem) && !err)
		err = FAIL(p, -EIO, "%s", vdma_explain());
	return err;
}

/* As many short ones as long ones, and the extremes first. */
static size_t some_len(struct pipeline *p)
{
	size_t blocks = p->max_len / 16, top = blocks >> random_below(&p->chance, 17);

	if (p->begun < 8)
		return p->begun % 2 ? p->max_len : 16;
	return 16 * (1 + random_below(&p->chance, top ? top : 1));
}

/* One piece half of the time, else pieces of any length, some with gaps between them. */
static unsigned int lay_out(struct pipeline *p, const struct vdma_buf *mem, size_t len,
			    struct vdma_buf *pieces)
{
	unsigned int most = len < CRYPTO_PIECES_MAX ? (unsigned int)len : CRYPTO_PIECES_MAX;
	size_t at = random_below(&p->chance, PAGE);
	unsigned int n = 1;

	if (random_below(&p->chance, 2))
		n = 1 + (unsigned int)random_below(&p->chance, most);
	for (unsigned int i = 0; i < n; i++) {
		size_t left = n - 1 - i, step = 1 + random_below(&p->chance, 2 * len / (left + 1));

		/* At least a byte for each of the others. */
		if (step > len - left || !left)
			step = len - left;
		pieces[i] = (struct vdma_buf){ .va = (char *)mem->va + at,
					       .iova = mem->iova + at,
					       .len = step,
					       .pa = VDMA_PA_NONE };
		len -= step;
		at += step + random_below(&p->chance, 3) % 2 * random_below(&p->chance, 64);
	}
	return n;
}

static void landed(void *ctx, int status)
{
	struct flight *f = ctx;

	f->status = status;
	f->landed = true;
}

static int take_off(struct pipeline *p, struct flight *f)
{
	const uint8_t *from;
	int err;

	f->key = (unsigned int)random_below(&p->chance, p->n_keys);
	f->encrypt = random_below(&p->chance, 2);
	f->len = some_len(p);
	fill(p, f->iv, sizeof(f->iv));
	fill(p, f->plain, f->len);
	f->n_src = lay_out(p, &f->src_mem, f->len, f->src);
	f->n_dst = lay_out(p, &f->dst_mem, f->len, f->dst);
	from = f->plain;
	for (unsigned int i = 0; i < f->n_src; i++) {
		memcpy(f->src[i].va, from, f->src[i].len);
		from += f->src[i].len;
	}
	f->landed = false;
	err = crypto_submit(p->q, &p->sessions[f->key][f->encrypt], f->iv, f->src, f->n_src, f->dst,
			    f->n_dst, landed, f);
	/* Without indirect descriptors there may be no room; the next try has other pieces. */
	if (err == -EAGAIN && p->q->vq.out)
		return 0;
	if (err)
		return FAIL(p, err, "%.1000s", p->q->why);
	f->idle = false;
	p->begun++;
	if (p->q->vq.out > p->deepest)
		p->deepest = p->q->vq.out;
	return 0;
}

static int compare(struct pipeline *p, struct flight *f)
{
	const uint8_t *mem = f->dst_mem.va;
	size_t at = 0, end;

	for (unsigned int i = 0; i < f->n_dst; i++) {
		memcpy(p->got + at, f->dst[i].va, f->dst[i].len);
		memset(f->dst[i].va, POISON, f->dst[i].len);
		at += f->dst[i].len;
	}
	if (oracle(p->cipher, f->encrypt, p->keys[f->key], p->key_len[f->key], f->iv, f->plain,
		   p->want, f->len))
		return FAIL(p, -EIO, "OpenSSL does not do it");
	for (at = 0; at < f->len && p->got[at] == p->want[at]; at++)
		;
	if (at < f->len)
		return FAIL(p, -EILSEQ,
			    "%s, key of %zu bytes, %s: byte %zu of %zu is 0x%02x, OpenSSL says 0x%02x "
			    "(%u pieces, %u pieces)",
			    crypto_cipher_name(p->cipher), p->key_len[f->key],
			    f->encrypt ? "encryption" : "decryption", at, f->len, p->got[at],
			    p->want[at], f->n_src, f->n_dst);
	/* What is not of the pieces was not to be touched, and they were overwritten just now. */
	end = (size_t)((uint8_t *)f->dst[f->n_dst - 1].va - mem) + f->dst[f->n_dst - 1].len + 64;
	if (mem[0] != POISON || memcmp(mem, mem + 1, end - 1))
		return FAIL(p, -EILSEQ, "memory beside the result was written");
	p->compared++;
	p->scattered += f->n_src > 1 || f->n_dst > 1;
	p->bytes += f->len;
	return 0;
}

/* Those that are over. */
static int collect(struct pipeline *p)
{
	for (unsigned int i = 0; i < FLIGHTS; i++) {
		struct flight *f = &p->flights[i];

		if (f->idle || !f->landed)
			continue;
		f->idle = true;
		if (f->status == -ECANCELED) {
			p->canceled++;
			/* It may be there in part. */
			memset(f->dst_mem.va, POISON, f->dst_mem.len);
		} else if (f->status) {
			return FAIL(p, -EIO, "a request: %s", crypto_status_text(f->status));
		} else if (compare(p, f)) {
			return p->err;
		}
	}
	return 0;
}

int pipeline_run(struct pipeline *p, unsigned int count)
{
	unsigned int end = p->compared + count;

	p->err = 0;
	while (p->compared < end || p->q->vq.out) {
		int n;

		/* After a reset: those that it has ended. */
		if (collect(p))
			return p->err;
		for (unsigned int i = 0; i < FLIGHTS && p->compared < end; i++)
			if (p->flights[i].idle && take_off(p, &p->flights[i]))
				return p->err;
		n = crypto_wait(p->q);
		if (n < 0)
			return FAIL(p, n, "%.1000s", p->q->why);
		if (collect(p))
			return p->err;
	}
	return 0;
}

int load_for_ever(const char *bdf)
{
	static struct pipeline p;
	static struct accel a;

	a.s = space_create();
	if (crypto_open(&a.crypto, a.s.arena, a.s.ioas, bdf, NULL)) {
		fprintf(stderr, "%s\n", a.crypto.why);
		return 1;
	}
	if (!pipeline_begin(&p, &a, CRYPTO_AES_CBC, MIB, 5))
		pipeline_run(&p, UINT32_MAX / 2);
	fprintf(stderr, "%s\n", p.why);
	return 1;
}
