// SPDX-License-Identifier: BSD-3-Clause
/* Sessions: the device is given keys by the control queue (5.9.7.2). */
#define _POSIX_C_SOURCE 200809L
#include "crypto.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FAIL(crypto, err, ...) virtio_fail((crypto)->why, sizeof((crypto)->why), err, __VA_ARGS__)

/* Between looks at the device while its answer has not come. */
#define LOOK_MS 20

/* In the page of control requests: the request with the key, and behind them the answer. */
#define ANSWER_AT 2048

/* Ids that crypto_sessions_sweep() asks for. */
#define SWEEP 256

static const struct {
	enum crypto_cipher cipher;
	const char *name;
	unsigned int iv_len, unit;
	size_t keys[3];
} ciphers[] = {
	{ CRYPTO_AES_ECB, "AES-ECB", 0, 16, { 16, 24, 32 } },
	{ CRYPTO_AES_CBC, "AES-CBC", 16, 16, { 16, 24, 32 } },
	{ CRYPTO_AES_CTR, "AES-CTR", 16, 1, { 16, 24, 32 } },
	{ CRYPTO_3DES_ECB, "DES-EDE3-ECB", 0, 8, { 24 } },
	{ CRYPTO_3DES_CBC, "DES-EDE3-CBC", 8, 8, { 24 } },
	{ CRYPTO_3DES_CTR, "DES-EDE3-CTR", 8, 1, { 24 } },
	{ CRYPTO_AES_XTS, "AES-XTS", 16, 16, { 32, 64 } },
};
#define CIPHERS (sizeof(ciphers) / sizeof(ciphers[0]))

/* CIPHERS if there is no such. */
static size_t find(enum crypto_cipher cipher)
{
	size_t i;

	for (i = 0; i < CIPHERS && ciphers[i].cipher != cipher; i++)
		;
	return i;
}

const char *crypto_cipher_name(enum crypto_cipher cipher)
{
	size_t i = find(cipher);

	return i < CIPHERS ? ciphers[i].name : NULL;
}

const char *crypto_status_text(int status)
{
	static _Thread_local char text[64];
	const char *what = "see 5.9.7.1";

	if (status < 0)
		return strerror(-status);
	switch (status) {
	case CRYPTO_OK: return "success";
	case CRYPTO_ERR: what = "it failed"; break;
	case CRYPTO_BADMSG: what = "authentication failed"; break;
	case CRYPTO_NOTSUPP: what = "not supported"; break;
	case CRYPTO_INVSESS: what = "no such session"; break;
	case CRYPTO_NOSPC: what = "no session is free"; break;
	case CRYPTO_KEY_REJECTED: what = "the key was rejected"; break;
	}
	snprintf(text, sizeof(text), "status %d (%s)", status, what);
	return text;
}

/*
 * Sends out_len bytes of the page, and waits for in_len bytes of answer, with the lock
 * held. Keys do not stay in the page.
 */
static int control(struct crypto *crypto, size_t out_len, size_t in_len)
{
	const struct vdma_buf pieces[2] = {
		{ .iova = crypto->page.iova, .len = out_len },
		{ .iova = crypto->page.iova + ANSWER_AT, .len = in_len },
	};
	uint64_t start = virtio_now_ms(), looked = start, now;
	uint32_t written = 0;
	int id, err;

	id = virtqueue_add(&crypto->control, pieces, 1, 1);
	if (id < 0)
		return FAIL(crypto, id, "virtio-crypto: no control request fits into the queue");
	virtqueue_kick(&crypto->control);
	while ((err = virtqueue_take(&crypto->control, &written)) == -EAGAIN) {
		now = virtio_now_ms();
		if (now - looked >= LOOK_MS) {
			looked = now;
			err = virtio_pci_look(&crypto->pci, crypto->why, sizeof(crypto->why));
			if (!err && now - start > crypto->opts.timeout_ms)
				err = FAIL(crypto, -ETIMEDOUT,
					   "virtio-crypto: %s did not answer on its control queue "
					   "within %u ms",
					   crypto->pci.bdf, crypto->opts.timeout_ms);
			if (err)
				break;
		}
		sched_yield();
	}
	if (err != id) {
		crypto->stuck = true;
		if (err >= 0 || err == -EIO)
			err = FAIL(crypto, -EIO,
				   "virtio-crypto: %s answers what it was not asked: reset it",
				   crypto->pci.bdf);
		return err;
	}
	memset(crypto->page.va, 0, out_len);
	if (written < in_len)
		return FAIL(crypto, -EIO, "virtio-crypto: %s has answered %u bytes instead of %zu",
			    crypto->pci.bdf, written, in_len);
	return 0;
}

/* With the lock held. */
static int usable(struct crypto *crypto)
{
	if (crypto->stuck)
		return FAIL(crypto, -ECONNRESET,
			    "virtio-crypto: %s has not answered an earlier control request: reset it",
			    crypto->pci.bdf);
	return 0;
}

/* 5.9.7.2.1 */
static int create(struct crypto *crypto, const void *key, size_t key_len,
		  struct crypto_session *session)
{
	struct crypto_create_answer *answer;
	struct crypto_create_req *req = crypto->page.va;
	uint32_t status;
	int err = usable(crypto);

	if (err)
		return err;
	answer = (struct crypto_create_answer *)(void *)((char *)crypto->page.va + ANSWER_AT);
	*req = (struct crypto_create_req){
		.header = { .opcode = CRYPTO_OP_CREATE_SESSION, .algo = session->cipher },
		.algo = session->cipher,
		.key_len = (uint32_t)key_len,
		.op = session->encrypt ? CRYPTO_SESSION_ENCRYPT : CRYPTO_SESSION_DECRYPT,
		.op_type = CRYPTO_SYM_CIPHER,
	};
	memcpy(req + 1, key, key_len);
	*answer = (struct crypto_create_answer){ .status = UINT32_MAX };
	err = control(crypto, sizeof(*req) + key_len, sizeof(*answer));
	if (err)
		return err;
	status = answer->status;
	if (status != CRYPTO_OK)
		return FAIL(crypto,
			    status == CRYPTO_NOTSUPP ? -EOPNOTSUPP :
			    status == CRYPTO_NOSPC   ? -ENOSPC :
						       -EIO,
			    "virtio-crypto: %s gives no session of %s with a key of %zu bytes: %s",
			    crypto->pci.bdf, crypto_cipher_name(session->cipher), key_len,
			    crypto_status_text((int)(status & 0xff)));
	session->id = answer->session;
	session->reset = crypto->resets;
	return 0;
}

int crypto_session_create(struct crypto *crypto, enum crypto_cipher cipher, bool encrypt,
			  const void *key, size_t key_len, struct crypto_session *session)
{
	struct crypto_session made = { .crypto = crypto, .cipher = cipher, .encrypt = encrypt };
	size_t i = find(cipher);
	bool good = false;
	int err;

	if (i == CIPHERS)
		return FAIL(crypto, -EINVAL, "virtio-crypto: the driver knows no cipher %d",
			    (int)cipher);
	if (!(crypto->ciphers >> cipher & 1) && !crypto->opts.any_cipher)
		return FAIL(crypto, -EOPNOTSUPP,
			    "virtio-crypto: %s does not tell of %s (cipher_algo_l 0x%x)",
			    crypto->pci.bdf, ciphers[i].name, crypto->ciphers);
	for (unsigned int k = 0; k < 3; k++)
		good = good || (key_len && ciphers[i].keys[k] == key_len);
	if (!good || key_len > crypto->key_max)
		return FAIL(crypto, -EINVAL, "virtio-crypto: %s has no keys of %zu bytes",
			    ciphers[i].name, key_len);
	made.iv_len = ciphers[i].iv_len;
	made.unit = ciphers[i].unit;
	pthread_mutex_lock(&crypto->lock);
	err = create(crypto, key, key_len, &made);
	pthread_mutex_unlock(&crypto->lock);
	if (!err)
		*session = made;
	return err;
}

/* 5.9.7.2.1 */
static int destroy(struct crypto *crypto, uint64_t id)
{
	struct crypto_destroy_req *req = crypto->page.va;
	uint8_t *answer = (uint8_t *)crypto->page.va + ANSWER_AT;
	int err = usable(crypto);

	if (err)
		return err;
	*req = (struct crypto_destroy_req){
		.header = { .opcode = CRYPTO_OP_DESTROY_SESSION },
		.session = id,
	};
	*answer = UINT8_MAX;
	err = control(crypto, sizeof(*req), 1);
	if (!err && *answer != CRYPTO_OK)
		err = FAIL(crypto, -EIO, "virtio-crypto: %s did not destroy a session: %s",
			   crypto->pci.bdf, crypto_status_text(*answer));
	return err;
}

int crypto_session_destroy(struct crypto_session *session)
{
	struct crypto *crypto = session->crypto;
	int err = 0;

	session->crypto = NULL;
	if (!crypto || !crypto->arena || session->reset != crypto->resets)
		return 0;
	pthread_mutex_lock(&crypto->lock);
	err = destroy(crypto, session->id);
	pthread_mutex_unlock(&crypto->lock);
	return err;
}

static void swept(void *ctx, int status)
{
	*(int *)ctx = status;
}

/* Encrypts a block of the page with a session that there may be, or not. */
static int probe(struct crypto *crypto, uint64_t id, int *status)
{
	static const uint8_t iv[CRYPTO_IV_MAX];
	const struct crypto_session session = {
		.crypto = crypto,
		.id = id,
		.reset = crypto->resets,
		.cipher = CRYPTO_AES_CBC,
		.encrypt = true,
		.iv_len = 16,
		.unit = 16,
	};
	const struct vdma_buf src = { .iova = crypto->page.iova, .len = 16 };
	const struct vdma_buf dst = { .iova = crypto->page.iova + ANSWER_AT, .len = 16 };

	return crypto_submit(crypto->queues[0], &session, iv, &src, 1, &dst, 1, swept, status);
}

int crypto_sessions_sweep(struct crypto *crypto)
{
	struct crypto_queue *q = crypto->queues[0];
	int status[SWEEP], err = 0, n = 0;

	for (unsigned int i = 0; (i < SWEEP || q->vq.out) && err >= 0;) {
		err = i < SWEEP ? probe(crypto, i, &status[i]) : -EAGAIN;
		if (!err)
			i++;
		else if (err == -EAGAIN)
			err = crypto_wait(q);
	}
	if (err < 0) {
		/* Nobody looks at their status any more. */
		crypto_queue_forget(q);
		return FAIL(crypto, err, "%.1000s", q->why);
	}
	err = 0;
	pthread_mutex_lock(&crypto->lock);
	for (unsigned int i = 0; i < SWEEP && !err; i++) {
		/* Whatever became of the block, the device knew the session. */
		if (status[i] == CRYPTO_INVSESS)
			continue;
		err = destroy(crypto, i);
		n++;
	}
	pthread_mutex_unlock(&crypto->lock);
	return err ? err : n;
}
