/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of drivers-example/virtio-crypto share; they run in a guest (CMakeLists.txt). */
#ifndef CRYPTO_TESTS_H
#define CRYPTO_TESTS_H

#include <crypto.h>
#include <guest.h>

/* Path of vdma-crypto, and of this program. */
extern const char *program_path;
extern const char *own_path;

/* A device, opened by the driver. */
struct accel {
	struct space s;
	struct crypto crypto;
};
void accel_open(struct accel *a, const char *bdf, const struct crypto_opts *opts);
/* It stops in order, and nothing is left. */
void accel_close(struct accel *a);

/* Fails the test with the words of the device, the queue or the pipeline. */
#define ACCEL_WORKS(why, call) accel_works((why), (call), #call, __FILE__, __LINE__)
void accel_works(const char *why, int err, const char *call, const char *file, int line);

/* Binds the device to another driver, vfio-pci or another. */
void bind_to(const char *bdf, const char *driver);

/* oracle.c: what OpenSSL makes of the same. -EIO if it does not. */
int oracle(enum crypto_cipher cipher, bool encrypt, const uint8_t *key, size_t key_len,
	   const uint8_t *iv, const uint8_t *from, uint8_t *to, size_t len);

/* Requests under way at once. */
#define FLIGHTS 64
#define KEYS 6

/**
 * struct flight - a request whose result is compared
 * @p: of which pipeline
 * @key: number of the key
 * @encrypt: or decrypt
 * @iv: random
 * @len: bytes
 * @src: where they lie, in pieces
 * @n_src: how many
 * @dst: where the result goes
 * @n_dst: how many
 * @src_mem: memory that the pieces are in, with gaps
 * @dst_mem: the same, all POISON but for the pieces
 * @plain: the source, in one piece
 * @status: what it ended with
 * @idle: it is not under way
 * @landed: it is over, and was not yet compared
 */
struct flight {
	struct pipeline *p;
	unsigned int key;
	bool encrypt;
	uint8_t iv[16];
	size_t len;
	struct vdma_buf src[CRYPTO_PIECES_MAX];
	unsigned int n_src;
	struct vdma_buf dst[CRYPTO_PIECES_MAX];
	unsigned int n_dst;
	struct vdma_buf src_mem, dst_mem;
	uint8_t *plain;
	int status;
	bool idle, landed;
};

/**
 * struct pipeline - random requests without end, all compared with OpenSSL's results
 * @q: the queue
 * @cipher: what with
 * @max_len: bytes of a request at most; a multiple of 16
 * @chance: state of the random numbers
 * @n_keys: keys of different lengths
 * @keys: they
 * @key_len: bytes of each
 * @sessions: decryption and encryption with each
 * @mem: all flights' memory
 * @flights: under way, or could be
 * @begun: how many were begun; the first few are of the shortest and longest there are
 * @compared: vectors that were the same
 * @scattered: those in more than one piece
 * @canceled: those that a reset has ended
 * @deepest: as many were under way at once
 * @bytes: of those that were compared
 * @got: a result in one piece
 * @want: what it should be
 * @err: why it ended
 * @why: in words
 */
struct pipeline {
	struct crypto_queue *q;
	enum crypto_cipher cipher;
	size_t max_len;
	uint64_t chance;
	unsigned int n_keys;
	uint8_t keys[KEYS][CRYPTO_KEY_MAX];
	size_t key_len[KEYS];
	struct crypto_session sessions[KEYS][2];
	struct vdma_buf mem;
	struct flight flights[FLIGHTS];
	unsigned int begun, compared, scattered, canceled, deepest;
	uint64_t bytes;
	uint8_t *got, *want;
	int err;
	char why[1024];
};

/* pipeline.c: -errno and words in why. No cmocka, for they run in threads and children, too. */
int pipeline_begin(struct pipeline *p, struct accel *a, enum crypto_cipher cipher, size_t max_len,
		   uint64_t seed);
/* Until count vectors were compared, or something goes wrong; -EILSEQ if a byte did. */
int pipeline_run(struct pipeline *p, unsigned int count);
/* Keys anew, after a reset. */
int pipeline_sessions(struct pipeline *p);
/* Frees what pipeline_begin() got; none is under way any more. */
int pipeline_end(struct pipeline *p);

/* The program that is killed. */
int load_for_ever(const char *bdf);

int run_vectors(void);
int run_program(void);
int run_trouble(void);
int run_kill(void);
int run_gone(void);
int run_physical(void);

#endif
