/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mmap() with the flag MAP_CONTIG, as it was proposed for Linux in 2017 and never
 * came: anonymous memory that is physically contiguous, populated, and stays
 * where it is.
 *
 *	char *va = vdma_mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE,
 *			     MAP_CONTIG | MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
 *
 *	if (va == MAP_FAILED)
 *		err(1, "64 MiB");
 *	munmap(va, 64 << 20);
 *
 * The mapping belongs to the program alone: the library knows nothing of it. It
 * is unmapped by munmap(), in part or whole, moved and shrunk by mremap(), which
 * cannot make it larger, and ends with the process. A child finds a copy of it, in
 * ordinary pages of its own, made when it was forked.
 *
 * A program that is not built with libvdma, but passes this MAP_CONTIG to mmap(),
 * gets the same by LD_PRELOAD=libvdma-preload.so. Without that the kernel
 * ignores the flag, and the memory is ordinary.
 */
#ifndef VDMA_MMAP_H
#define VDMA_MMAP_H

#include <stddef.h>
#include <sys/types.h>
#include <vdma/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A bit that mainline does not use on any architecture. The proposal's patches
 * had 0x80000, which is MAP_SYNC by now. Bits 26 to 31 hold the size of a huge
 * page, and new flags take the lowest free bit (21 is next): so this is the one
 * that will be reached last.
 */
#ifndef MAP_CONTIG
#define MAP_CONTIG 0x2000000
#endif

/**
 * vdma_mmap() - mmap() that knows MAP_CONTIG
 * @addr: where, or NULL, as for mmap()
 * @length: bytes, rounded up to whole pages
 * @prot: PROT_*
 * @flags: MAP_CONTIG | MAP_ANONYMOUS | MAP_PRIVATE, and any of MAP_FIXED,
 *         MAP_FIXED_NOREPLACE, MAP_POPULATE, MAP_LOCKED and MAP_NORESERVE. The last
 *         three change nothing: the memory is populated and never moves, passed or not.
 *         Without MAP_CONTIG: anything, it goes to mmap() as it is
 * @fd: -1
 * @offset: 0
 *
 * The memory is zeroed. It is searched for before the address space is touched
 * or locked: other threads can map and fault meanwhile, and with MAP_FIXED what was
 * mapped at @addr is still there when there is no such memory.
 *
 * Opens the device node and a descriptor of the region, and closes both before it
 * returns; a child that another thread forks meanwhile may have them until it
 * execs. As mmap(), it is no cancellation point and touches errno on failure
 * only. It leaves vdma_explain() alone.
 *
 * Return: the address; MAP_FAILED with errno as mmap() would have it:
 *
 * - EINVAL: @length is 0, MAP_CONTIG with other flags than those above, with a
 *   descriptor, with an offset, or with an @addr that MAP_FIXED cannot use
 * - ENOMEM: no such run of physical pages can be had, or no such address space
 * - EPERM: RLIMIT_MEMLOCK is 0 and the program has no CAP_IPC_LOCK
 * - EAGAIN: this user would hold more than RLIMIT_MEMLOCK of it
 * - EDQUOT: a quota of the administrator is reached
 * - EEXIST: MAP_FIXED_NOREPLACE, and something is mapped there
 * - EINTR: a fatal signal came meanwhile
 * - EACCES: this user may not open the device node
 * - EOPNOTSUPP: the kernel has no MAP_CONTIG: the module is not loaded
 * - EMFILE, ENFILE: no file descriptor is free
 *
 * Thread-safe, and usable wherever mmap() is.
 */
VDMA_API void *vdma_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset);

#ifdef __cplusplus
}
#endif

#endif
