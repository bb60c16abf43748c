/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the program vdma-nvme share. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include "nvme.h"

/**
 * struct settings - the command line
 * @backend: of the address space
 * @opts: of the controller
 * @ns: id of the namespace
 * @offset: first byte
 * @length: bytes; 0 for all there are
 * @size: bytes of each transfer
 * @random: transfers are anywhere, not one behind the other
 * @write: they write
 * @seconds: how long
 * @rounds: of verify, for each thread
 * @seed: of what is done by chance
 * @file: to read into or to write from, or the namespace's image; NULL for none
 */
struct settings {
	enum vdma_backend backend;
	struct nvme_opts opts;
	uint32_t ns;
	uint64_t offset;
	uint64_t length;
	size_t size;
	bool random;
	bool write;
	double seconds;
	unsigned int rounds;
	uint64_t seed;
	const char *file;
};

/* What a command works with; buf is given back when the controller is closed. */
struct program {
	struct settings set;
	struct vdma_arena *arena;
	struct vdma_ioas *ioas;
	struct nvme nvme;
	struct nvme_ns ns;
	struct vdma_buf buf;
};

/* Prints to stderr, returns -1. */
int complain(const char *what, const char *why);
/* At least len bytes for the device, once. */
int get_buf(struct program *p, size_t len);

/* Commands: 0, or -1 after complaining. */
int do_identify(struct program *p);
int do_read(struct program *p);
int do_write(struct program *p);
int do_deallocate(struct program *p);
int do_verify(struct program *p);
int do_bench(struct program *p);

#endif
