/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Typed memory objects of POSIX (IEEE Std 1003.1, option TYM), which Linux's C
 * library lacks. A name stands for a pool of memory; a descriptor of it,
 * given to plain mmap(), allocates physically contiguous memory from that pool.
 *
 *	int fd = posix_typed_mem_open("sysram&below4G", O_RDWR,
 *				      POSIX_TYPED_MEM_ALLOCATE_CONTIG);
 *	void *va = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
 *	off_t off;
 *	size_t contig;
 *	int from;
 *
 *	posix_mem_offset(va, len, &off, &contig, &from);
 *
 * Names. The pools are
 *
 *	/memory, /memory/ram, /memory/ram/sysram	all memory
 *	/memory/ram/node0, node1, ...			a NUMA node
 *	/memory/ram/below4G, below16M, ...		physical addresses below a
 *							number of K, M, G or T;
 *							EACCES for who may not see
 *							physical addresses
 *
 * where "/ram" may be left out before the last component. As on QNX, a name that
 * begins with "/" is matched as a whole, another one by its last components:
 * "sysram", "ram/sysram", "node1", but not "/sysram". "&" between names is what
 * they have in common: "node1&below4G". What has nothing in common
 * ("node0&node1") is no object: ENOENT. QNX's "|" is not known, for one run of
 * memory cannot lie in two places.
 *
 * What POSIX leaves open: POSIX_TYPED_MEM_ALLOCATE gives one run as well, not
 * several pieces. A descriptor with POSIX_TYPED_MEM_MAP_ALLOCATABLE, or with 0,
 * maps memory again that is allocated already, by the offset that
 * posix_mem_offset() told, for processes of the same user, or with
 * CAP_SYS_RAWIO; it has that memory stay allocated until it is unmapped. Memory
 * at an offset that is not allocated cannot be mapped (ENXIO). Mappings are
 * shared with a child process, as POSIX has it for MAP_SHARED; MAP_PRIVATE is
 * EINVAL.
 *
 * The offset is the physical address for those that may see one, else a number
 * that says nothing but maps the same memory.
 *
 * These calls report errors as POSIX says; vdma_explain() does not know of them.
 */
#ifndef VDMA_TYPED_MEM_H
#define VDMA_TYPED_MEM_H

#include <stddef.h>
#include <sys/types.h>
#include <vdma/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Allocate on mmap(). */
#define POSIX_TYPED_MEM_ALLOCATE 1
/* Allocate contiguously on mmap(). */
#define POSIX_TYPED_MEM_ALLOCATE_CONTIG 2
/* Map on mmap(), without affecting allocatability. */
#define POSIX_TYPED_MEM_MAP_ALLOCATABLE 4

/**
 * struct posix_typed_mem_info - what is left of a typed memory object
 * @posix_tmi_length: the largest length, in bytes, that mmap() could allocate
 *                    now; 0 for a descriptor that does not allocate
 */
struct posix_typed_mem_info {
	size_t posix_tmi_length;
};

/**
 * posix_typed_mem_open() - open a typed memory object
 * @name: see above
 * @oflag: O_RDONLY, O_WRONLY or O_RDWR; mmap() needs one that can read. O_CLOEXEC
 *         may be added, which POSIX does not have: without it the descriptor stays
 *         open over exec
 * @tflag: one of POSIX_TYPED_MEM_ALLOCATE, POSIX_TYPED_MEM_ALLOCATE_CONTIG,
 *         POSIX_TYPED_MEM_MAP_ALLOCATABLE, or 0
 *
 * Return: a new descriptor; -1 with errno: ENOENT (no such object, or
 * map_contig.ko is not loaded), EINVAL (more than one flag in @tflag, or one that
 * is unknown, or more than the above in @oflag), EACCES (this user may not open
 * it so), ENAMETOOLONG, EMFILE, ENFILE, EINTR. EPERM is not returned: mapping
 * again needs no privilege before mmap(). Thread-safe.
 */
VDMA_API int posix_typed_mem_open(const char *name, int oflag, int tflag);

/**
 * posix_typed_mem_get_info() - how much could be allocated
 * @fildes: descriptor from posix_typed_mem_open(), from whichever process
 * @info: out
 *
 * Limits and quotas of the caller count. The answer is out of date as soon as
 * anybody allocates, and what looked movable may turn out not to be.
 *
 * Return: 0; EBADF; ENODEV (not a typed memory object); EPERM (an object "below" an
 * address, opened by another who may see physical addresses: how much there is would tell);
 * ENOMEM, EINTR; as a positive number and not in errno. Thread-safe.
 */
VDMA_API int posix_typed_mem_get_info(int fildes, struct posix_typed_mem_info *info);

/**
 * posix_mem_offset() - where memory lies in its typed memory object
 * @addr: in a mapping of a typed memory object; need not begin a page
 * @len: bytes of interest
 * @off: out: offset of the byte at @addr. To map it again, by a descriptor with
 *       POSIX_TYPED_MEM_MAP_ALLOCATABLE or 0, it must be a multiple of the page size
 * @contig_len: out: @len, or the contiguous bytes that are mapped from @addr on, if
 *              those are fewer
 * @fildes: out: the lowest descriptor of this process that refers to the open file
 *          by which @addr was mapped; -1 if it has been closed
 *
 * Other memory of map_contig.ko, as from vdma_mmap(), has an offset as well, and -1
 * for @fildes; nobody can map it again by that offset.
 *
 * Return: 0; EACCES (no such memory at @addr, a child's copy being none; or this
 * user may not open the device node), EMFILE, ENFILE, as a positive number and
 * not in errno. Nothing is written on failure. Thread-safe.
 */
VDMA_API int posix_mem_offset(const void *__restrict addr, size_t len, off_t *__restrict off,
			      size_t *__restrict contig_len, int *__restrict fildes);

#ifdef __cplusplus
}
#endif

#endif
