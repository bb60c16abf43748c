/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a failing function says why. The errno follows from the cause.
 *
 * VDMA_API here, and in other headers that are not installed, is for libvdma-heap,
 * which is built with this library: such functions are in the stanza VDMA_PRIVATE,
 * and no program's.
 */
#ifndef VDMA_INTERNAL_EXPLAIN_H
#define VDMA_INTERNAL_EXPLAIN_H

#include <vdma/explain.h>

struct vdma_facts {
	int sys_errno; /* positive */
	uint64_t need;
	uint64_t limit;
	uint64_t used;
	pid_t pid;
};

/* Keeps the reason for this thread; @facts may be NULL. Returns -errno. */
VDMA_API int vdma_fail(enum vdma_cause cause, const struct vdma_facts *facts, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* A system call's error @err (negative) that has no explanation of its own. */
VDMA_API int vdma_fail_sys(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

VDMA_API int vdma_fail_malloc(size_t bytes);

/* @bdf, which may be NULL, is not an address, or there is nothing at it. */
int vdma_fail_bdf(const char *bdf);
int vdma_fail_no_device(const char *bdf);

/* errno (positive) of a cause. */
int vdma_cause_errno(enum vdma_cause cause);

/* A number of bytes for a person: "256 MiB". */
struct vdma_words {
	char s[64];
};

VDMA_API struct vdma_words vdma_bytes(uint64_t bytes);

/* "Permission denied" and the like; @err negative or positive. */
VDMA_API struct vdma_words vdma_error_words(int err);

/* How RLIMIT_MEMLOCK is raised. */
#define VDMA_MEMLOCK_REMEDY \
	"Raise it (ulimit -l, memlock in /etc/security/limits.conf, LimitMEMLOCK= of a systemd " \
	"unit), or give the program CAP_IPC_LOCK"

/*
 * The thread's last failure, kept by a call that goes on after another one, inside
 * of it, and must not tell of that.
 */
#define VDMA_WORDS 2048

struct vdma_kept {
	struct vdma_failure last;
	char words[VDMA_WORDS];
};

VDMA_API void vdma_keep_failure(struct vdma_kept *kept);
VDMA_API void vdma_restore_failure(const struct vdma_kept *kept);

#endif
