/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the stress programs see from outside: memory, the ledger, the module's
 * parameters. A look that fails ends the program: what is not seen must never
 * count as good.
 */
#ifndef STRESS_H
#define STRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdma/uapi/map_contig.h>

#define KIB 1024UL
#define MIB (1024UL * KIB)
#define PAGE (4 * KIB)

#define PARAMETERS "/sys/module/map_contig/parameters/"

/* Ends the program with status 1. */
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* Returns 0 or -errno. */
int write_text(const char *path, const char *format, ...) __attribute__((format(printf, 2, 3)));
uint64_t read_hex(const char *path);

/* Bytes: a field of /proc/meminfo. */
int64_t meminfo(const char *field);
/* Bytes free, per-CPU lists included, with caches dropped. */
int64_t memory_free(void);
/* Waits up to 3 s for as much to be free as before, less slack. What is missing, or 0. */
int64_t memory_missing(int64_t before, int64_t slack);

/* Regions in the ledger; waits up to 5 s for them to become n. */
unsigned int ledger_regions(void);
unsigned int ledger_wait(unsigned int n);

/* Through an open of the node of its own. */
void limits_get(struct map_contig_limits *limits);
/* Nobody holds anything: waits for the ledger, then ends the program if LIMITS disagrees. */
void expect_nothing_held(const char *after);

/* Frame of the page at addr, 0 if none is present. */
uint64_t frame_of(const void *addr);

/* "0000:00:10.0" as bus << 8 | device << 3 | function; -1 if it is none. */
int64_t parse_bdf(const char *text);

double now(void);

#endif
