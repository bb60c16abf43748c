/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the conformance suite sees from outside: /proc, pagemap, the ledger,
 * the kernel's own counters. Nothing here goes through libvdma.
 *
 * A helper that cannot look fails the running test: an observation that is
 * missing must never count as a good one.
 */
#ifndef OBSERVE_H
#define OBSERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define KIB (1024UL)
#define MIB (1024UL * KIB)
#define GIB (1024UL * MIB)
#define PAGE (4 * KIB)
#define FOLIO (2 * MIB)

/* A new mapping of /dev/map_contig; MAP_FAILED and errno on failure. */
void *contig_mmap(size_t len);
void *contig_mmap_at(void *addr, size_t len, int prot, int flags);

/* Page frame of each page; fails the test if one is not present. */
uint64_t *pagemap_frames(const void *addr, size_t len);
bool frames_consecutive(const uint64_t *frames, size_t n);

/* Is any page of the range mapped in this process? */
bool pagemap_any_present(const void *addr, size_t len);

/* Bytes: a field of /proc/meminfo, of /proc/self/status, of an address in smaps. */
int64_t meminfo(const char *field);
int64_t status(const char *field);
int64_t smaps(const void *addr, const char *field);

/* MemFree and the free pages of the per-CPU lists, with caches dropped. */
int64_t mem_free_settled(void);
/* The same once it has come to rest, or after 3 s: to tell how much is taken, not just given back. */
int64_t mem_free_at_rest(void);

/* MemAvailable, and the per-CPU lists, which a search drains. */
int64_t mem_available(void);

/* Waits until as much memory is free as before, or nearly; fails the test else. */
#define SLACK ((int64_t)(6 * MIB))
void check_free(int64_t before);

/*
 * Lines of the ledger, less those that were there at ledger_set_base(); wait
 * waits up to 3 s for them to become n.
 */
unsigned int ledger_lines(void);
unsigned int ledger_wait(unsigned int n);
void ledger_set_base(void);
/* A column, by the name in the heading, of line n, from 0. */
void ledger_text(unsigned int n, const char *column, char *text, size_t size);
int64_t ledger_number(unsigned int n, const char *column);

/* Minor and major faults of this process so far. */
long faults(void);

/* A whole file as text; false if it cannot be read. A write that fails fails the test. */
bool file_text(const char *path, char *text, size_t size);
void file_set(const char *path, const char *format, ...) __attribute__((format(printf, 2, 3)));

unsigned int kernel_version(void); /* 6.12 is 612 */
/* Nodes that have memory: 0 to n - 1, as in the guests. */
int numa_nodes(void);
bool frames_are(const void *addr, size_t len, const uint64_t *frames);
bool is_filled(const void *addr, size_t len, unsigned char byte);
/* 0 if *addr can be read, or written, else the signal. */
int touch_read(const void *addr);
int touch_write(void *addr);

/* Take all memory but spare, each page of it marked; is every mark still there? */
void *memory_fill(size_t spare, size_t *len);
void memory_fill_check(const void *va, size_t len);

/* Fill all memory that is free with movable pages, then free it again. */
void memory_churn(void);

/* Run fn in a child; its exit status, or 256 + signal. */
int in_child(int (*fn)(void *), void *arg);
/* The unprivileged user of the tests. */
#define USER 1000
/* Become uid with this RLIMIT_MEMLOCK and no capabilities. */
void become(uid_t uid, size_t memlock);
void become_of(uid_t uid, gid_t gid, size_t memlock);
/* Give the device node to a group, until the test is over. */
void node_let_in(gid_t gid);

double now_ms(void);

#endif
