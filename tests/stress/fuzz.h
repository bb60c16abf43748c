/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fuzzer's parts:
 *
 *   fuzz.c          main: worker processes, the administrator, the end
 *   fuzz_region.c   what a worker knows of its regions, and what must hold for them
 *   fuzz_calls.c    which call comes next
 *   fuzz_memory.c   calls that get memory, map it, use it and let it go
 *   fuzz_ioctl.c    ioctls, those that make no sense included
 *   fuzz_others.c   calls that have others hold memory: processes and devices
 *   fuzz_fork.c     children
 *
 * A worker is a process of several threads. Each region has a lock, held by the
 * thread that changes or checks it, so that what must be in it is known; calls on
 * different regions, and those of different processes on a shared one, run
 * against each other.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "stress.h"

#define REGIONS 16
#define PIECES 12
#define THREADS 3
#define WORKERS_MAX 4
#define POISON_MAX 3
#define SOFT_OFFLINE_MAX 40
#define OBSTACLES_MAX 60

/* Counted over all processes. */
enum call {
	CALL_ALLOC,
	CALL_MMAP_NODE,
	CALL_MMAP_DESCRIPTOR,
	CALL_MMAP_BUFFER,
	CALL_MMAP_OFFSET,
	CALL_MUNMAP,
	CALL_MPROTECT,
	CALL_MREMAP,
	CALL_MADVISE,
	CALL_POISON,
	CALL_SOFT_OFFLINE,
	CALL_WRITE,
	CALL_CHECK,
	CALL_QUERY,
	CALL_OFFSET,
	CALL_LIMITS,
	CALL_ORACLE,
	CALL_VERSION,
	CALL_CONFIGURE,
	CALL_HOLD,
	CALL_EXPORT,
	CALL_CLOSE,
	CALL_MALFORMED,
	CALL_SEND,
	CALL_RECEIVE,
	CALL_PIN,
	CALL_UNPIN,
	CALL_UFFD,
	CALL_MLOCK,
	CALL_FORK,
	CALL_OBSTACLE,
	CALL_MAPS,
	CALL_DROP,
	CALL_USER,
	CALL_PARAMETER,
	CALL_RESERVE,
	CALL_PRESSURE,
	CALL_COMPACT,
	CALL_OFFLINE,
	CALL_UNLOAD,
	CALL_KILL,
	CALLS
};

/* Shared by all processes. */
struct shared {
	double end;
	_Atomic unsigned long done[CALLS];
	_Atomic unsigned long refused[CALLS];
	_Atomic unsigned long us[CALLS];
	_Atomic unsigned long copies_good;
	_Atomic unsigned long copies_dead;
	_Atomic unsigned long failed;
	_Atomic int poisoned;
	_Atomic int soft_offlined;
};

extern struct shared *shared;
extern bool verbose;
/* A socket pair for descriptors: everybody sends to the first, receives at the second. */
extern int post[2];
extern int64_t edu;
extern const char *edu_name;

/* A part of a region that is mapped: pages [first, first + n) at addr. */
struct piece {
	char *addr;
	unsigned int first;
	unsigned int n;
	int prot;
};

/**
 * struct region - a region as this process knows it
 * @fd: its descriptor, -1
 * @buffer: a dma-buf of all of it, -1
 * @npages: its length, 0 if this slot is free
 * @frame: of its first page, 0 if not known yet
 * @tag: what its bytes are made from
 * @version: of each page: how often it was written; 0 is all zero
 * @frozen: somebody else has it too: never written again
 * @poisoned: a page of it is bad: nothing is known of its bytes
 * @fork: MAP_CONTIG_FORK_*
 * @iova: pinned by VFIO there, 0 if not
 * @pinned: bytes
 * @held: by edu
 */
struct region {
	pthread_mutex_t lock;
	int fd;
	int buffer;
	unsigned int npages;
	uint64_t frame;
	uint32_t tag;
	uint8_t *version;
	bool frozen;
	bool poisoned;
	uint32_t fork;
	uint64_t iova;
	uint64_t pinned;
	bool held;
	struct piece pieces[PIECES];
};

/* A thread of a worker; since: when its last call ended. */
struct fuzzer {
	unsigned int worker;
	unsigned int thread;
	uint64_t random;
	int node;
	double since;
};

extern struct region regions[REGIONS];

uint64_t draw(struct fuzzer *fuzzer, uint64_t below);
void note(struct fuzzer *fuzzer, enum call call, int err, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* Ends the process with a report if err is none of the errnos, which 0 ends. */
void expect(struct fuzzer *fuzzer, const char *what, int err, ...);

/* Runs code that may fault: 0, or the signal. */
extern _Thread_local sigjmp_buf guard_jump;
extern _Thread_local volatile sig_atomic_t guard_on;
#define GUARDED(code) \
	(sigsetjmp(guard_jump, 1) ? (guard_on = 0, guard_signal) : ({ \
		guard_on = 1; \
		code; \
		guard_on = 0; \
		0; \
	}))
extern _Thread_local volatile sig_atomic_t guard_signal;
void guard_setup(void);

/* --- fuzz_region.c --- */

/* A free slot, or one in use; locked. NULL if there is none, or it is busy. */
struct region *region_new(struct fuzzer *fuzzer);
struct region *region_pick(struct fuzzer *fuzzer);
void region_begin(struct fuzzer *fuzzer, struct region *region, unsigned int npages, uint32_t fork);
void region_end(struct region *region);
/* Is nothing of it left with us? Then the slot is free again. */
void region_settle(struct region *region);
struct piece *piece_new(struct region *region);
struct piece *piece_pick(struct fuzzer *fuzzer, struct region *region);
void piece_write(struct fuzzer *fuzzer, struct region *region, struct piece *piece);
void piece_check(struct fuzzer *fuzzer, struct region *region, const struct piece *piece);
/* Does the page hold what it must? For a child, too. */
bool page_is_right(const struct region *region, const char *page, unsigned int index);

/* --- fuzz_calls.c --- */

void call_any(struct fuzzer *fuzzer);
/* -errno of a call that answers below 0. */
int error_of(int r);
unsigned int draw_npages(struct fuzzer *fuzzer);
void draw_want(struct fuzzer *fuzzer, struct map_contig_constraints *want);

/* --- fuzz_memory.c --- */

/* mmap() where no thread is about to put something else. */
void *map_here(size_t length, int prot, int flags, int fd, off_t offset);
void call_alloc(struct fuzzer *fuzzer);
void call_mmap_node(struct fuzzer *fuzzer);
void call_mmap_descriptor(struct fuzzer *fuzzer, struct region *region);
void call_mmap_buffer(struct fuzzer *fuzzer, struct region *region);
void call_mmap_offset(struct fuzzer *fuzzer, struct region *region);
void call_munmap(struct fuzzer *fuzzer, struct region *region);
void call_mprotect(struct fuzzer *fuzzer, struct region *region);
void call_mremap(struct fuzzer *fuzzer, struct region *region);
void call_madvise(struct fuzzer *fuzzer, struct region *region);
void call_soft_offline(struct fuzzer *fuzzer, struct region *region);
void call_poison(struct fuzzer *fuzzer, struct region *region);
void call_mlock(struct fuzzer *fuzzer, struct region *region);
void call_uffd(struct fuzzer *fuzzer, struct region *region);
void call_write(struct fuzzer *fuzzer, struct region *region);
void call_check(struct fuzzer *fuzzer, struct region *region);
void call_close(struct fuzzer *fuzzer, struct region *region);
void call_drop(struct fuzzer *fuzzer, struct region *region);

/* --- fuzz_ioctl.c --- */

void call_query(struct fuzzer *fuzzer, struct region *region);
void call_hold(struct fuzzer *fuzzer, struct region *region);
void call_export(struct fuzzer *fuzzer, struct region *region);
void call_limits(struct fuzzer *fuzzer);
void call_oracle(struct fuzzer *fuzzer);
void call_version(struct fuzzer *fuzzer);
void call_configure(struct fuzzer *fuzzer);
void call_malformed(struct fuzzer *fuzzer);

/* --- fuzz_others.c --- */

void vfio_setup(void);
void call_send(struct fuzzer *fuzzer, struct region *region);
void call_receive(struct fuzzer *fuzzer);
void call_unpin(struct fuzzer *fuzzer, struct region *region);
void call_pin(struct fuzzer *fuzzer, struct region *region);
void call_obstacle(struct fuzzer *fuzzer);

/* --- fuzz_fork.c --- */

void call_fork(struct fuzzer *fuzzer);
void call_user(struct fuzzer *fuzzer);

#endif
