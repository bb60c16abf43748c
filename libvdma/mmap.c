// SPDX-License-Identifier: BSD-3-Clause
/*
 * mmap() that knows MAP_CONTIG: the library's vdma_mmap(), and all that
 * libvdma-preload.so is made of, which has system calls of its own. So there are no
 * locks, no memory and no words for vdma_explain() here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <vdma/mmap.h>
#include <vdma/uapi/map_contig.h>

#include "sys.h"

/* Populated and locked is what the memory is anyway, overcommitted never. */
#define IMPLIED (MAP_POPULATE | MAP_LOCKED | MAP_NORESERVE)
#define PLACED (MAP_FIXED | MAP_FIXED_NOREPLACE)
#define NEEDED (MAP_CONTIG | MAP_ANONYMOUS | MAP_PRIVATE)

/* What x86 and the other architectures have in flags, MAP_HUGE_MASK and MAP_UNINITIALIZED too. */
_Static_assert(!(MAP_CONTIG & (0x1fffffu | 0x200000u | 0xfc000000u)),
	       "MAP_CONTIG is a bit that mmap() knows under another name");
_Static_assert(!(MAP_CONTIG &
		 (MAP_SYNC | MAP_HUGETLB | MAP_STACK | MAP_NONBLOCK | IMPLIED | PLACED)),
	       "MAP_CONTIG is a bit that mmap() knows under another name");
_Static_assert(sizeof(off_t) == sizeof(uint64_t), "offsets of files have 64 bits");

static int open_node(void)
{
	int fd = vdma_sys_open(MAP_CONTIG_DEVICE, O_RDWR);

	switch (-fd) {
	case ENOENT:
	case ENODEV:
	case ENXIO: return -EOPNOTSUPP;
	case EPERM: return -EACCES;
	}
	return fd;
}

/* A region descriptor, or -errno. */
static int alloc(size_t length)
{
	struct map_contig_alloc alloc = { .size = sizeof(alloc), .length = length };
	int node = open_node(), err;

	if (node < 0)
		return node;
	err = vdma_sys_ioctl(node, MAP_CONTIG_ALLOC, &alloc);
	vdma_sys_close(node);
	switch (-err) {
	case 0: return alloc.fd;
	case ENOTTY: return -EOPNOTSUPP;
	/* Only the length can be wrong: a machine has not as much. */
	case EINVAL: return -ENOMEM;
	}
	return err;
}

static int map_contig(void *addr, size_t length, int prot, int flags, int fd, off_t offset,
		      void **va)
{
	int region, err;

	if ((flags & ~(IMPLIED | PLACED)) != NEEDED || fd != -1 || offset || !length)
		return -EINVAL;
	region = alloc(length);
	if (region < 0)
		return region;
	/* Shared with nobody: the descriptor goes, and fork copies. */
	err = vdma_sys_mmap(addr, length, prot, MAP_SHARED | (flags & PLACED), region, 0, va);
	vdma_sys_close(region);
	return err;
}

void *vdma_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	void *va;
	int err;

	if (flags & MAP_CONTIG)
		err = map_contig(addr, length, prot, flags, fd, offset, &va);
	else
		err = vdma_sys_mmap(addr, length, prot, flags, fd, (uint64_t)offset, &va);
	if (err) {
		errno = -err;
		return MAP_FAILED;
	}
	return va;
}
