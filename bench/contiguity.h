/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of bench-contiguity share. */
#ifndef CONTIGUITY_H
#define CONTIGUITY_H

#include <stdbool.h>
#include <stddef.h>
#include <vdma.h>

enum memory {
	CONTIGUOUS, /* the module's, one piece */
	SCATTERED,  /* 4 KiB pages, no two of which are neighbours */
	MEMORIES,
};

/**
 * struct contiguity - a run
 * @arena: where the memory lies
 * @ioas: its address space
 * @rounds: samples of whatever is timed; 0: it is only tried
 * @slice_ns: that a sample of throughput takes at least
 * @nvme: BDF of a disk
 * @nics: BDFs of two network cards on one wire; NULL for none
 * @crypto: BDF of a crypto device; NULL for none
 */
struct contiguity {
	struct vdma_arena *arena;
	struct vdma_ioas *ioas;
	unsigned int rounds;
	double slice_ns;
	const char *nvme;
	const char *nics[2];
	const char *crypto;
};

/* Prints what has failed, and why, and ends the program. */
void contiguity_fail(const char *what, const char *why) __attribute__((noreturn));

/* A heading; a line of the table, and of the picture: less is better. */
void contiguity_section(const char *name);
void contiguity_row(const char *what, const char *unit, double contiguous, double scattered);

/* A region of either memory, which really is so. */
struct vdma_region *contiguity_region(const struct contiguity *c, enum memory memory, size_t len);

/* How the library is asked for it. */
struct vdma_region_opts contiguity_opts(enum memory memory);

/*
 * Times run() with both memories in turn: what it returns is nanoseconds for each of its
 * operations. Adds a line with the medians.
 */
typedef double contiguity_run(void *ctx, enum memory memory);
void contiguity_time(const struct contiguity *c, const char *what, contiguity_run *run, void *ctx);

/* Throughput of each device. */
void contiguity_nvme(const struct contiguity *c);
void contiguity_nics(const struct contiguity *c);
void contiguity_crypto(const struct contiguity *c);

#endif
