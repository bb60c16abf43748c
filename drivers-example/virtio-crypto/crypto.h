/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver of virtio crypto devices, accelerators that encrypt and decrypt, over modern
 * virtio-pci. To be read beside the Virtual I/O Device (VIRTIO) specification, version 1.2,
 * whose sections are named here:
 *
 *	spec.h        layouts
 *	virtio_pci.c  registers: features, queues, reset (4.1, 3.1); of any virtio device
 *	virtqueue.c   chains of memory out and in (2.7); of any virtio device
 *	crypto.c      the device: open, reset, close (5.9.5, 5.9.6)
 *	session.c     keys, by the control queue (5.9.7.2)
 *	request.c     encryption and decryption, by data queues (5.9.7.3, 5.9.7.6)
 *
 *	crypto_open(&crypto, arena, ioas, "0000:00:10.0", NULL);
 *	crypto_session_create(&crypto, CRYPTO_AES_CBC, true, key, 16, &session);
 *	vdma_buf_alloc(arena, 65536, NULL, &src);
 *	vdma_buf_alloc(arena, 65536, NULL, &dst);
 *	crypto_run(crypto.queues[0], &session, iv, &src, 1, &dst, 1);
 *	crypto_session_destroy(&session);
 *	crypto_close(&crypto);
 *
 * Threads: a data queue is used by one thread at a time, and no call on it takes a lock or
 * touches what another queue's thread writes. Sessions may be created and destroyed by any
 * thread, and used on all queues. Calls on the device are for one thread at a time, but
 * for crypto_cancel().
 *
 * Data may lie in any memory of the arena, in pieces of any length and alignment. They are
 * the device's until the request has ended: a timeout does not give them back,
 * crypto_reset() does.
 *
 * Skipped: hashes, MACs, AEAD and asymmetric ciphers; algorithm chaining; requests without
 * a session and VIRTIO_CRYPTO_F_REVISION_1, which QEMU does not offer.
 *
 * Errata of QEMU 7.2 with cryptodev-backend-builtin: it tells of AES-CBC alone, and has all
 * others of enum crypto_cipher (see any_cipher), of CTR whole blocks only; it has 256 sessions, and those that are not destroyed stay when
 * the device is reset or its program is killed, until QEMU ends (see
 * crypto_sessions_sweep()); it ends itself when a
 * session is destroyed that there is not, so the driver never asks for that.
 */
#ifndef CRYPTO_H
#define CRYPTO_H

#include <pthread.h>
#include <stdatomic.h>

#include "virtio_pci.h"

/* Pieces that the source, or the destination, of one request may have. */
#define CRYPTO_PIECES_MAX 64U
/* Data queues: of a device with more, none is used. */
#define CRYPTO_QUEUES_MAX 16U
#define CRYPTO_IV_MAX 16U
/* The longest key there is, of AES-256-XTS */
#define CRYPTO_KEY_MAX 64U

struct crypto;

/**
 * enum crypto_cipher - 5.9.4.1: ciphers that the driver knows, by their numbers
 * @CRYPTO_AES_ECB: keys of 16, 24 or 32 bytes; no IV
 * @CRYPTO_AES_CBC: the same keys, an IV of 16 bytes
 * @CRYPTO_AES_CTR: the same, and data of any length
 * @CRYPTO_3DES_ECB: keys of 24 bytes, blocks of 8 bytes; no IV
 * @CRYPTO_3DES_CBC: the same, an IV of 8 bytes
 * @CRYPTO_3DES_CTR: the same, and data of any length
 * @CRYPTO_AES_XTS: keys of 32 or 64 bytes, an IV of 16 bytes
 */
enum crypto_cipher {
	CRYPTO_AES_ECB = 2,
	CRYPTO_AES_CBC = 3,
	CRYPTO_AES_CTR = 4,
	CRYPTO_3DES_ECB = 7,
	CRYPTO_3DES_CBC = 8,
	CRYPTO_3DES_CTR = 9,
	CRYPTO_AES_XTS = 13,
};

/**
 * struct crypto_opts - how a device is used; all-zero is the default
 * @depth: requests that are under way in each data queue at most; 0 for 256, or what the
 *         device has
 * @poll: completions are looked for all the time; else MSI-X tells
 * @direct: no indirect descriptors, even if the device has them: fewer requests fit
 * @any_cipher: sessions of ciphers that the device does not tell of are tried, too
 * @timeout_ms: for each request; 0 for 10000
 */
struct crypto_opts {
	unsigned int depth;
	bool poll;
	bool direct;
	bool any_cipher;
	unsigned int timeout_ms;
};

/**
 * struct crypto_session - a key that the device has
 * @crypto: whose
 * @id: as the device calls it
 * @reset: @resets of the device when it was created: it is no more when that has changed
 * @cipher: what it is used with
 * @encrypt: or decrypt
 * @iv_len: bytes that each request needs
 * @unit: bytes; data are a multiple of them
 *
 * The program's own, as a value; the key is not in it.
 */
struct crypto_session {
	struct crypto *crypto;
	uint64_t id;
	uint64_t reset;
	enum crypto_cipher cipher;
	bool encrypt;
	unsigned int iv_len;
	unsigned int unit;
};

/*
 * A request is over. status is 0, what the device says (5.9.7.1), -EIO if it has written
 * less than it should, or -ECANCELED if it was reset. Called by the queue's thread out of
 * crypto_poll() or crypto_wait(), where it may submit requests, but not wait; or by
 * crypto_reset() and crypto_close(), where it may not.
 */
typedef void crypto_done_fn(void *ctx, int status);

/**
 * struct crypto_slot - a request that is under way, or could be
 * @done: whom to tell; NULL for nobody
 * @ctx: handed to @done
 * @since_ms: when it was submitted
 * @len: bytes that the device is to write, with the status
 * @busy: it is under way
 *
 * In memory that no device can write.
 */
struct crypto_slot {
	crypto_done_fn *done;
	void *ctx;
	uint64_t since_ms;
	uint64_t len;
	bool busy;
};

/**
 * struct crypto_frame - what a request has in DMA memory besides its data
 * @req: how it begins
 * @iv: behind it
 * @rsvd: nothing
 * @status: written by the device
 */
struct crypto_frame {
	struct crypto_data_req req;
	uint8_t iv[CRYPTO_IV_MAX];
	uint8_t rsvd[39];
	uint8_t status;
};
static_assert(sizeof(struct crypto_frame) == 128, "two cache lines");

/**
 * struct crypto_queue - a data queue
 * @crypto: whose
 * @vq: its virtqueue, whose ids are those of slots and frames
 * @depth: requests under way at most
 * @slots: by id
 * @frames: by id
 * @looked_ms: when the device was last looked at
 * @late: after -ETIMEDOUT: id of the request that took too long
 * @status: status of the last request that failed
 * @why: after a failed call: cause and remedy in words
 */
struct crypto_queue {
	struct crypto *crypto;
	struct virtqueue vq;
	unsigned int depth;
	struct crypto_slot *slots;
	struct vdma_buf frames;
	uint64_t looked_ms;
	unsigned int late;
	int status;
	char why[1024];
};

/**
 * struct crypto - an open device
 * @arena: where queues' memory comes from
 * @pci: the virtio device
 * @opts: as asked for, without zeroes
 * @ciphers: that the device tells of, bits by their numbers
 * @key_max: bytes of a key at most
 * @size_max: bytes of what a request's data, IV and result have together at most
 * @resets: another number after each open, reset and close, of any device in the process
 * @canceled: see crypto_cancel()
 * @lock: of the control queue
 * @control: the control queue (5.9.2)
 * @page: memory of a control request, with @lock held
 * @stuck: a control request has not ended: the page is the device's until it is reset
 * @n_queues: data queues
 * @queues: they
 * @why: after a failed call on the device: cause and remedy in words
 */
struct crypto {
	struct vdma_arena *arena;
	struct virtio_pci pci;
	struct crypto_opts opts;
	uint32_t ciphers;
	uint32_t key_max;
	uint64_t size_max;
	uint64_t resets;
	_Atomic bool canceled;
	pthread_mutex_t lock;
	struct virtqueue control;
	struct vdma_buf page;
	bool stuck;
	unsigned int n_queues;
	struct crypto_queue *queues[CRYPTO_QUEUES_MAX];
	char why[1024];
};

/*
 * Each call returns 0 (or what it says) or a negative errno, and leaves words in why
 * of the device or the queue then:
 *
 *	-ENODEV      the device is gone or has to go: crypto_close()
 *	-ECONNRESET  somebody has reset it, or pulls it out: crypto_reset() finds out
 *	-ETIMEDOUT   no answer in time: crypto_reset(); data of requests are the device's until then
 *	-ECANCELED   crypto_cancel() was called
 *	-EIO         the device reports an error: status of the queue, or one that needs a reset
 */

/* crypto.c */

/*
 * Takes the device at bdf, resets it, agrees on features, and sets its queues up. Besides:
 * what vdma_device_open() and vdma_buf_alloc() return; -ERANGE (depth), -ENOSPC (it has
 * fewer vectors than queues), -EOPNOTSUPP (its DMA would go past the IOMMU; no ciphers),
 * -EAGAIN (it is not ready).
 */
int crypto_open(struct crypto *crypto, struct vdma_arena *arena, struct vdma_ioas *ioas,
		const char *bdf, const struct crypto_opts *opts);

/*
 * Resets the device and gives everything back, also if it fails: then the device was gone,
 * or requests were under way (-ECONNRESET), which end with -ECANCELED. It is allowed after a
 * failed crypto_open(), and again. No other thread may be in a call.
 *
 * But for what vdma_device_close() returns, -EBUSY while a region is part of one of the
 * device's BARs: then nothing was given back, for the device might still reach it. Call it
 * again when that region is destroyed; until then requests under way have not ended, and
 * only crypto_reset(), which has the device work again, and crypto_session_destroy() are
 * allowed besides.
 */
int crypto_close(struct crypto *crypto);

/*
 * Reset (2.4), and everything anew. Requests under way end with -ECANCELED, and their data
 * is the caller's again. Sessions are no more. No other thread may be in a call.
 */
int crypto_reset(struct crypto *crypto);

/*
 * Has all calls on data queues end with -ECANCELED, soon, until crypto_reset(): that is how
 * threads are brought out of them. May be called by any thread at any time.
 */
void crypto_cancel(struct crypto *crypto);

/* session.c */

/*
 * -EOPNOTSUPP (the device does not tell of the cipher, or says that it has not got it),
 * -EINVAL (no such length of a key), -ENOSPC (no session is free), -EIO (the device says
 * that it failed; it may have none free). Thread-safe, but for why.
 */
int crypto_session_create(struct crypto *crypto, enum crypto_cipher cipher, bool encrypt,
			  const void *key, size_t key_len, struct crypto_session *session);

/*
 * No request may be using it. One from before a reset, of a device that was closed, even
 * if it is open again, or one that was destroyed, is no error. Thread-safe, but for why.
 */
int crypto_session_destroy(struct crypto_session *session);

/*
 * Destroys sessions with ids below 256 that whoever had the device before has left, when he
 * was killed or the device was reset; see errata. Which there are is asked by requests on
 * the first data queue, for there is no other way. To be called while there are no
 * sessions, by the thread of that queue. Returns how many there were.
 */
int crypto_sessions_sweep(struct crypto *crypto);

/* The name of a cipher, as OpenSSL has it but for the length of the key; NULL if there is no such. */
const char *crypto_cipher_name(enum crypto_cipher cipher);
/* A status in words, good until the thread's next call. */
const char *crypto_status_text(int status);

/* request.c */

int crypto_queue_create(struct crypto *crypto, unsigned int index, unsigned int size,
			unsigned int depth, bool indirect, struct crypto_queue **q);
void crypto_queue_destroy(struct crypto_queue *q);
/* As it was created, for a device that was reset; tells of requests under way. */
void crypto_queue_reset(struct crypto_queue *q);

/*
 * Puts a request into the queue; crypto_ring() or crypto_wait() shows it to the device.
 * iv has as many bytes as the session needs. The n_src pieces of the source and the n_dst
 * ones of the destination have the same length in all. Arrays and iv are not needed
 * afterwards. Returns -EAGAIN if no more fit for now, -EINVAL (lengths), -E2BIG (too many
 * pieces, or more than the device takes), -ESTALE (the session is from before a reset, or
 * from before the device was opened).
 */
int crypto_submit(struct crypto_queue *q, const struct crypto_session *session, const void *iv,
		  const struct vdma_buf *src, unsigned int n_src, const struct vdma_buf *dst,
		  unsigned int n_dst, crypto_done_fn *done, void *ctx);
void crypto_ring(struct crypto_queue *q);

/* Tells of requests that are over, and returns their number, without waiting. */
int crypto_poll(struct crypto_queue *q);

/*
 * Waits until a request is over, rings before that. Returns how many were, 0 if none is
 * under way.
 */
int crypto_wait(struct crypto_queue *q);

/* Submits a request and waits until it is over; others may end meanwhile. */
int crypto_run(struct crypto_queue *q, const struct crypto_session *session, const void *iv,
	       const struct vdma_buf *src, unsigned int n_src, const struct vdma_buf *dst,
	       unsigned int n_dst);

/* Nobody is told any more of requests that are under way. */
void crypto_queue_forget(struct crypto_queue *q);

#endif
