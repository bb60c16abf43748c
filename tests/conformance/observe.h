/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the conformance suite sees from outside: /proc, pagemap, the ledger,
 * and VFIO by its plain ioctls. Nothing here goes through libvdma.
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

/* Lines of the ledger, waiting up to 3 s for them to become n. */
unsigned int ledger_lines(void);
unsigned int ledger_wait(unsigned int n);

/* Minor and major faults of this process so far. */
long faults(void);

/* Fill all memory that is free with movable pages, then free it again. */
void memory_churn(void);

/* Run fn in a child; its exit status, or 256 + signal. */
int in_child(int (*fn)(void *), void *arg);
/* Become uid with this RLIMIT_MEMLOCK and no capabilities. */
void become(uid_t uid, size_t memlock);

/* A VFIO container with the device of $VDMA_BDF_EDU in it. */
struct vfio {
	int container;
	int group;
};
void vfio_open(struct vfio *vfio);
void vfio_close(struct vfio *vfio);
int vfio_map(struct vfio *vfio, const void *addr, size_t len, uint64_t iova);
int vfio_unmap(struct vfio *vfio, size_t len, uint64_t iova);

double now_ms(void);

#endif
