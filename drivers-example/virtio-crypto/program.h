/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the program vdma-crypto share. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include "crypto.h"

/**
 * struct settings - the command line
 * @backend: of the address space
 * @opts: of the device
 * @key: the key
 * @key_len: its bytes; 0 for none
 * @iv: the IV
 * @has_iv: it was given
 * @size: bytes of each request of bench
 * @pieces: that each of them has its source and its destination in
 * @decrypt: bench decrypts
 * @seconds: how long
 * @in: file to read; NULL or "-" for stdin
 * @out: file to write; NULL or "-" for stdout
 */
struct settings {
	enum vdma_backend backend;
	struct crypto_opts opts;
	uint8_t key[CRYPTO_KEY_MAX];
	size_t key_len;
	uint8_t iv[CRYPTO_IV_MAX];
	bool has_iv;
	size_t size;
	unsigned int pieces;
	bool decrypt;
	double seconds;
	const char *in, *out;
};

/* What a command works with; buf is given back when the device is closed. */
struct program {
	struct settings set;
	struct vdma_arena *arena;
	struct vdma_ioas *ioas;
	struct crypto crypto;
	struct vdma_buf buf;
};

/* Prints to stderr, returns -1. */
int complain(const char *what, const char *why);
/* len bytes for the device, once. */
int get_buf(struct program *p, size_t len);
/* Bytes of the program's memory, as a buffer. */
struct vdma_buf part_of(const struct program *p, size_t at, size_t len);

/* Commands: 0, or -1 after complaining. */
int do_info(struct program *p);
int do_encrypt(struct program *p);
int do_decrypt(struct program *p);
int do_bench(struct program *p);

#endif
