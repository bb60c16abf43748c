// SPDX-License-Identifier: BSD-3-Clause
/*
 * vdma-crypto encrypt, decrypt: a file by AES-CBC. Each step's last block of ciphertext is
 * the next one's IV; the last block is padded (PKCS#7, RFC 5652, 6.3).
 */
#define _POSIX_C_SOURCE 200809L
#include "program.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BLOCK 16
/* Bytes of a step; whole blocks. */
#define STEP ((size_t)1 << 20)

static int open_file(const char *name, const char *mode, FILE *standard, FILE **file)
{
	*file = standard;
	if (!name || !strcmp(name, "-"))
		return 0;
	*file = fopen(name, mode);
	return *file ? 0 : complain(name, strerror(errno));
}

/* len bytes at the start of the buffer become others at STEP + BLOCK. */
static int step(struct program *p, const struct crypto_session *session, size_t len)
{
	struct vdma_buf src = part_of(p, 0, len), dst = part_of(p, STEP + BLOCK, len);
	struct crypto_queue *q = p->crypto.queues[0];

	if (crypto_run(q, session, p->set.iv, &src, 1, &dst, 1))
		return complain(session->encrypt ? "encryption" : "decryption", q->why);
	memcpy(p->set.iv, (char *)(session->encrypt ? dst.va : src.va) + len - BLOCK, BLOCK);
	return 0;
}

/* Bytes of the last step that are padding; 0 if that cannot be. */
static size_t padding(const uint8_t *end)
{
	size_t n = end[-1];

	if (!n || n > BLOCK)
		return 0;
	for (size_t i = 1; i <= n; i++)
		if (end[-(ptrdiff_t)i] != n)
			return 0;
	return n;
}

static int convert(struct program *p, const struct crypto_session *session, FILE *in, FILE *out)
{
	uint8_t *src = p->buf.va, *dst = src + STEP + BLOCK;
	uint64_t total = 0;
	bool last;

	do {
		size_t len = fread(src, 1, STEP, in), pad = 0;
		int next = len == STEP ? fgetc(in) : EOF;

		if (ferror(in))
			return complain("reading the file", strerror(errno));
		last = next == EOF;
		if (!last)
			ungetc(next, in);
		if (session->encrypt && last) {
			pad = BLOCK - len % BLOCK;
			memset(src + len, (int)pad, pad);
			len += pad;
		} else if (!len || len % BLOCK) {
			return complain("decryption",
					"the file's length is no multiple of 16 bytes");
		}
		if (step(p, session, len))
			return -1;
		if (!session->encrypt && last) {
			pad = padding(dst + len);
			if (!pad)
				return complain("decryption",
						"its end is not as it should be: another key or IV, "
						"or another file");
			len -= pad;
		}
		if (fwrite(dst, 1, len, out) != len)
			return complain("writing the file", strerror(errno));
		total += len;
	} while (!last);
	if (fflush(out))
		return complain("writing the file", strerror(errno));
	fprintf(stderr, "%" PRIu64 " bytes written\n", total);
	return 0;
}

static int with_session(struct program *p, bool encrypt, FILE *in, FILE *out)
{
	struct crypto_session session;
	int err;

	err = crypto_session_create(&p->crypto, CRYPTO_AES_CBC, encrypt, p->set.key, p->set.key_len,
				    &session);
	memset(p->set.key, 0, sizeof(p->set.key));
	if (err)
		return complain("giving the device the key", p->crypto.why);
	err = convert(p, &session, in, out);
	/* A request that has not ended uses it, and the memory, until the device is closed. */
	if (p->crypto.queues[0]->vq.out)
		return err;
	if (crypto_session_destroy(&session) && !err)
		err = complain("destroying the session", p->crypto.why);
	/* Plaintext does not stay in memory that is given back. */
	memset(p->buf.va, 0, p->buf.len);
	return err;
}

static int do_file(struct program *p, bool encrypt)
{
	FILE *in, *out;
	int err;

	if (get_buf(p, 2 * (STEP + BLOCK)) || open_file(p->set.in, "rb", stdin, &in))
		return -1;
	err = open_file(p->set.out, "wb", stdout, &out);
	if (!err) {
		err = with_session(p, encrypt, in, out);
		if (out != stdout && fclose(out) && !err)
			err = complain("writing the file", strerror(errno));
	}
	if (in != stdin)
		fclose(in);
	return err;
}

int do_encrypt(struct program *p)
{
	return do_file(p, true);
}

int do_decrypt(struct program *p)
{
	return do_file(p, false);
}
