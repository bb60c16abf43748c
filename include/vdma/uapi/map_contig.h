/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR BSD-3-Clause */
/*
 * The ioctls of /dev/map_contig, the device node of map_contig.ko.
 *
 * Memory comes from mmap() on the device node: MAP_SHARED, offset 0, any
 * length. The kernel finds that many physically contiguous pages, or the call
 * fails:
 *
 *   EINVAL  MAP_PRIVATE, or an offset other than 0
 *   EPERM   RLIMIT_MEMLOCK is 0 and the caller has no CAP_IPC_LOCK
 *   EAGAIN  the caller's user would hold more than RLIMIT_MEMLOCK
 *   ENOMEM  no such run of pages can be had
 *   EINTR   a fatal signal came meanwhile
 *
 * What mmap has no word for is an ioctl on the device node. Every ioctl takes
 * a struct that begins with its own size as the caller knows it. A shorter
 * struct than the module's is taken as padded with zeroes (the module's answer
 * is cut to it); a longer one is accepted if the tail that the module does not
 * know is zero, and refused with E2BIG otherwise. A size smaller than the
 * first released struct is EINVAL. Flags that are not defined are EOPNOTSUPP.
 */
#ifndef VDMA_UAPI_MAP_CONTIG_H
#define VDMA_UAPI_MAP_CONTIG_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define MAP_CONTIG_DEVICE "/dev/map_contig"

#define MAP_CONTIG_TYPE 0xb7

enum {
	MAP_CONTIG_CMD_QUERY = 0x00,
};

/**
 * struct map_contig_query - where one address of a contiguous mapping lies
 * @size: in: sizeof(struct map_contig_query) as the caller knows it
 * @flags: in: must be 0
 * @addr: in: virtual address, in the calling process, inside a mapping of this
 *        device; it need not be aligned
 * @phys: out: physical address of the byte at @addr
 * @length: out: bytes from @addr to the end of its mapping: all of them are
 *          physically contiguous
 * @node: out: NUMA node of the memory
 * @folio_shift: out: log2 of the unit that the page at @addr is built of, in
 *               bytes: the page size, or 21 for a 2 MiB folio
 *
 * Errors: EFAULT (the struct cannot be read or written), EINVAL (@size),
 * EOPNOTSUPP (@flags), E2BIG (the tail), ENXIO (no mapping of this device at
 * @addr), EPERM (the caller has no CAP_SYS_RAWIO, and the administrator has
 * not set the module's parameter phys_for_all).
 */
struct map_contig_query {
	__u32 size;
	__u32 flags;
	__aligned_u64 addr;
	__aligned_u64 phys;
	__aligned_u64 length;
	__s32 node;
	__u32 folio_shift;
};
#define MAP_CONTIG_QUERY _IO(MAP_CONTIG_TYPE, MAP_CONTIG_CMD_QUERY)

#endif
