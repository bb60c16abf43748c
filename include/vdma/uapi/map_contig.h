/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR BSD-3-Clause */
/*
 * The ABI of /dev/map_contig, the device node of map_contig.ko.
 *
 * Two kinds of descriptor take part. The *node* is what open() of the device
 * gives. A *region descriptor* is what MAP_CONTIG_ALLOC gives: it is one run of
 * physically contiguous memory, may be mapped (MAP_SHARED; any part that
 * begins and ends at a page; as often as wanted; by every process that gets it,
 * over fork or a Unix socket; beyond its end is ENXIO), and its memory is freed
 * when the last descriptor, the last mapping and the last pin are gone.
 *
 * mmap() of the node, MAP_SHARED, offset 0, any length, allocates and maps in
 * one call; the memory is then freed as it is unmapped, in part or whole.
 * MAP_CONTIG_CONFIGURE says otherwise for one open file. Either way the memory
 * is zeroed and there before the call returns, or the call fails:
 *
 *   EINVAL  MAP_PRIVATE, an offset that is none, a constraint that makes no sense
 *   EPERM   RLIMIT_MEMLOCK is 0 and the caller has no CAP_IPC_LOCK; or a
 *           constraint (see there) that would tell where the memory lies
 *   EAGAIN  the caller's user would hold more than RLIMIT_MEMLOCK
 *   EDQUOT  a quota of the administrator, for this user or for all, is reached
 *   ENOMEM  no such run of pages can be had (MAP_CONTIG_ORACLE tells why), or
 *           less memory than the administrator's floor would stay free
 *   ETIME   it could not be had before the deadline
 *   EINTR   a fatal signal came meanwhile
 *
 * Every ioctl takes a struct that begins with its own size as the caller knows
 * it. A shorter struct than the module's is taken as padded with zeroes (the
 * module's answer is cut to it); a longer one is accepted if the tail that the
 * module does not know is zero, and refused with E2BIG otherwise, as is one above
 * the page size. A size smaller than the first released struct is EINVAL. Flags
 * and values of enumerations that the module does not know are EOPNOTSUPP, an
 * ioctl that it does not know, or not on this kind of descriptor, is ENOTTY.
 * All-zero options are the defaults.
 */
#ifndef VDMA_UAPI_MAP_CONTIG_H
#define VDMA_UAPI_MAP_CONTIG_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define MAP_CONTIG_DEVICE "/dev/map_contig"

#define MAP_CONTIG_TYPE 0xb7

enum {
	MAP_CONTIG_CMD_QUERY = 0x00,
	MAP_CONTIG_CMD_VERSION = 0x01,
	MAP_CONTIG_CMD_ALLOC = 0x02,
	MAP_CONTIG_CMD_LIMITS = 0x03,
	MAP_CONTIG_CMD_ORACLE = 0x04,
	MAP_CONTIG_CMD_CONFIGURE = 0x05,
	MAP_CONTIG_CMD_OFFSET = 0x06,
	MAP_CONTIG_CMD_HOLD = 0x07,
	MAP_CONTIG_CMD_EXPORT = 0x08,
	MAP_CONTIG_CMD_CONFIGURATION = 0x09,
};

/* An address that is not told. */
#define MAP_CONTIG_PHYS_NONE (~0ULL)

/**
 * struct map_contig_query - where one byte of contiguous memory lies
 * @size: in: sizeof(struct map_contig_query) as the caller knows it
 * @flags: in: must be 0
 * @addr: in: on the node, a virtual address of the calling process, inside a
 *        mapping of this device; on a region descriptor, an offset into the
 *        region. It need not be aligned
 * @phys: out: physical address of the byte at @addr
 * @length: out: bytes from @addr to the end of its mapping, or region: all of
 *          them are physically contiguous
 * @node: out: NUMA node of the memory
 * @folio_shift: out: log2 of the unit that the page at @addr is built of, in
 *               bytes: the page size, or 21 for a 2 MiB folio
 *
 * Errors: EFAULT (the struct cannot be read or written), EINVAL (@size),
 * EOPNOTSUPP (@flags), E2BIG (the tail), ENXIO (no contiguous memory of this
 * device at @addr; a child's copy after fork is none), EPERM (the caller has
 * no CAP_SYS_RAWIO, and the administrator has not set the module's parameter
 * phys_for_all).
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

/* Bits of map_contig_version.features. */
#define MAP_CONTIG_HAS_FOLIOS (1ULL << 0) /* built of, and mapped by, 2 MiB folios */
#define MAP_CONTIG_HAS_EXPORT (1ULL << 1) /* MAP_CONTIG_EXPORT: the kernel has dma-buf */
#define MAP_CONTIG_HAS_HOLD (1ULL << 2)	  /* MAP_CONTIG_HOLD: the kernel has PCI */
#define MAP_CONTIG_HAS_POISON (1ULL << 3) /* bad pages are found out and unmapped */
#define MAP_CONTIG_HAS_LEDGER (1ULL << 4) /* debugfs is there */

/* This header's version of the ABI; a new minor thing is a feature bit instead. */
#define MAP_CONTIG_ABI 1

/**
 * struct map_contig_version - what this module can do
 * @size: in: as the caller knows it
 * @flags: in: must be 0
 * @abi: out: MAP_CONTIG_ABI of the module
 * @page_size: out: bytes
 * @features: out: MAP_CONTIG_HAS_*
 */
struct map_contig_version {
	__u32 size;
	__u32 flags;
	__u32 abi;
	__u32 page_size;
	__aligned_u64 features;
};
#define MAP_CONTIG_VERSION _IO(MAP_CONTIG_TYPE, MAP_CONTIG_CMD_VERSION)

/* What a node is to the caller. */
enum {
	MAP_CONTIG_NODE_ANY = 0,       /* the caller's own first, then the others */
	MAP_CONTIG_NODE_PREFERRED = 1, /* the named one first, then the others */
	MAP_CONTIG_NODE_STRICT = 2,    /* the named one, or ENOMEM */
};

/* What a child process finds where its parent has contiguous memory. */
enum {
	MAP_CONTIG_FORK_COPY = 0,  /* a copy, made at fork, in ordinary pages of its own */
	MAP_CONTIG_FORK_SHARE = 1, /* the same memory */
	MAP_CONTIG_FORK_NONE = 2,  /* no mapping */
};

/**
 * struct map_contig_constraints - where memory may lie, and how it behaves
 * @alignment: of the physical address, bytes, a power of two; 0 is the page size
 * @boundary: bytes, a power of two of at least a page: the memory crosses no
 *            multiple of it; 0 is none. A length above it is EINVAL
 * @phys_max: the highest physical address that any of its bytes may have, for
 *            example 0xffffffff; 0 is no limit
 * @node: NUMA node, with @node_mode other than MAP_CONTIG_NODE_ANY; else 0
 * @node_mode: MAP_CONTIG_NODE_*
 * @fork: MAP_CONTIG_FORK_*: what a child gets of the mappings
 * @deadline_ms: give up with ETIME after so many milliseconds; 0 is never. Zeroing and
 *               mapping come on top
 *
 * A constraint is met or the call fails; none is ever relaxed. Who may not see physical
 * addresses could find one out by what is had and what is not: for him @phys_max, and
 * an @alignment or a @boundary above 2 MiB, are EPERM.
 */
struct map_contig_constraints {
	__aligned_u64 alignment;
	__aligned_u64 boundary;
	__aligned_u64 phys_max;
	__s32 node;
	__u32 node_mode;
	__u32 fork;
	__u32 deadline_ms;
};

/**
 * struct map_contig_alloc - allocate a region
 * @size: in: as the caller knows it
 * @flags: in: must be 0
 * @length: in: bytes, rounded up to pages
 * @want: in: constraints
 * @phys: out: physical address of the first byte, or MAP_CONTIG_PHYS_NONE if
 *        the caller may not see it
 * @node: out: NUMA node of the memory
 * @fd: out: the region descriptor, close-on-exec; its size (fstat) is @length
 *      rounded up
 *
 * On the node. Search and migration run without the caller's mmap_lock.
 * Errors: those of mmap (see above), EMFILE, ENFILE.
 */
struct map_contig_alloc {
	__u32 size;
	__u32 flags;
	__aligned_u64 length;
	struct map_contig_constraints want;
	__aligned_u64 phys;
	__s32 node;
	__s32 fd;
};
#define MAP_CONTIG_ALLOC _IO(MAP_CONTIG_TYPE, MAP_CONTIG_CMD_ALLOC)

/* Bits of map_contig_limits.privileges. */
#define MAP_CONTIG_MAY_LOCK (1U << 0)	  /* CAP_IPC_LOCK: RLIMIT_MEMLOCK does not count */
#define MAP_CONTIG_MAY_SEE_PHYS (1U << 1) /* physical addresses are told */

/* No limit. */
#define MAP_CONTIG_UNLIMITED (~0ULL)

/**
 * struct map_contig_limits - what is left for the caller
 * @size: in: as the caller knows it
 * @flags: in: must be 0
 * @memlock: out: RLIMIT_MEMLOCK of the caller, bytes, or MAP_CONTIG_UNLIMITED
 * @user: out: what the caller's user holds, orphans included
 * @user_copies: out: of children's copies after fork; count for @user_quota only
 * @user_quota: out: the administrator's quota for one user, or MAP_CONTIG_UNLIMITED
 * @total: out: what all users hold, copies included
 * @ceiling: out: the administrator's for all, or MAP_CONTIG_UNLIMITED
 * @floor: out: bytes of memory that must stay available to others
 * @available: out: memory that the kernel could make available, less @floor
 * @reserve_free: out: free bytes of the reserve, which come on top
 * @left: out: the least of all of these: more than this fails for sure, this
 *        much fails only where there is no contiguous run of it
 * @privileges: out: MAP_CONTIG_MAY_*
 * @pad: out: 0
 */
struct map_contig_limits {
	__u32 size;
	__u32 flags;
	__aligned_u64 memlock;
	__aligned_u64 user;
	__aligned_u64 user_copies;
	__aligned_u64 user_quota;
	__aligned_u64 total;
	__aligned_u64 ceiling;
	__aligned_u64 floor;
	__aligned_u64 available;
	__aligned_u64 reserve_free;
	__aligned_u64 left;
	__u32 privileges;
	__u32 pad;
};
#define MAP_CONTIG_LIMITS _IO(MAP_CONTIG_TYPE, MAP_CONTIG_CMD_LIMITS)

/* Why no run lies over a page frame. */
enum {
	MAP_CONTIG_BLOCK_NONE = 0,	/* nothing blocks */
	MAP_CONTIG_BLOCK_RESERVED = 1,	/* the kernel's own, or the firmware's */
	MAP_CONTIG_BLOCK_UNMOVABLE = 2, /* the kernel's: slab, page tables, ... */
	MAP_CONTIG_BLOCK_PINNED = 3,	/* pinned for long by a device or a driver, */
	/* or contiguous memory of this module */
	MAP_CONTIG_BLOCK_HUGETLB = 4, /* hugetlb */
	MAP_CONTIG_BLOCK_OFFLINE = 5, /* no memory there, or not online */
	MAP_CONTIG_BLOCK_POISON = 6,  /* bad hardware */
	MAP_CONTIG_BLOCK_ZONE = 7,    /* the zone ends there, or ZONE_MOVABLE, CMA */
	MAP_CONTIG_BLOCK_LIMIT = 8,   /* the constraints end there */
	MAP_CONTIG_BLOCK_MEMORY = 9,  /* no frame: not enough memory is left for */
				      /* what would have to move there */
};

/**
 * struct map_contig_oracle - what could be had now, and what blocks more
 * @size: in: as the caller knows it
 * @flags: in: must be 0
 * @length: in: bytes that are wanted; 0 asks for @largest only
 * @want: in: constraints; fork and deadline do not matter
 * @largest: out: the largest run that a look at the page frames promises, bytes,
 *           for @want. Quotas and RLIMIT_MEMLOCK are MAP_CONTIG_LIMITS' matter
 * @move: out: pages that would have to move for a run of @length if it is not
 *        above @largest, else for one of @largest
 * @blocker: out: MAP_CONTIG_BLOCK_*: NONE if @length is not above @largest, else
 *           why the largest run ends where it ends
 * @blocker_node: out: its NUMA node, -1 if it has none
 * @blocker_phys: out: physical address of the blocking frame, or
 *                MAP_CONTIG_PHYS_NONE if there is none or it is not told
 *
 * On the node. A look, not a promise: what looks movable may turn out to be
 * pinned, and all of it changes while others allocate.
 */
struct map_contig_oracle {
	__u32 size;
	__u32 flags;
	__aligned_u64 length;
	struct map_contig_constraints want;
	__aligned_u64 largest;
	__aligned_u64 move;
	__u32 blocker;
	__s32 blocker_node;
	__aligned_u64 blocker_phys;
};
#define MAP_CONTIG_ORACLE _IO(MAP_CONTIG_TYPE, MAP_CONTIG_CMD_ORACLE)

/* What mmap() of an open node does. */
enum {
	MAP_CONTIG_MODE_ALLOC = 0, /* allocate, at offset 0 */
	MAP_CONTIG_MODE_MAP = 1,   /* map again what MAP_CONTIG_OFFSET told the offset of */
};

/* Flags of MAP_CONTIG_CONFIGURE. */
#define MAP_CONTIG_CONFIGURE_SHARED (1U << 0) /* others of the same user may map by offset */

/**
 * struct map_contig_configure - give an open node its mode and constraints
 * @size: in: as the caller knows it
 * @flags: in: MAP_CONTIG_CONFIGURE_*
 * @mode: in: MAP_CONTIG_MODE_*
 * @pad: in: must be 0
 * @want: in: constraints of what mmap() of this open file allocates; with
 *        MAP_CONTIG_MODE_MAP, fork, and where phys_max and a strict node let it map
 * @object: out: a number of this open file, unique while the module is loaded
 *
 * In MAP_CONTIG_MODE_MAP, mmap() at an offset that MAP_CONTIG_OFFSET told maps
 * the same memory, for as long as it is mapped by anybody. It must have been
 * allocated through an open file with MAP_CONTIG_CONFIGURE_SHARED, and the
 * caller be its owner's user or have CAP_SYS_RAWIO (EACCES else). ENXIO if no
 * memory is at that offset, or not as much.
 */
struct map_contig_configure {
	__u32 size;
	__u32 flags;
	__u32 mode;
	__u32 pad;
	struct map_contig_constraints want;
	__aligned_u64 object;
};
#define MAP_CONTIG_CONFIGURE _IO(MAP_CONTIG_TYPE, MAP_CONTIG_CMD_CONFIGURE)

/*
 * The same struct the other way round: everything but @size, which is in, is
 * out, as MAP_CONTIG_CONFIGURE left it; @object is 0 before the first one. So an
 * open node that came over exec or a Unix socket tells what it is.
 */
#define MAP_CONTIG_CONFIGURATION _IO(MAP_CONTIG_TYPE, MAP_CONTIG_CMD_CONFIGURATION)

/**
 * struct map_contig_offset - the offset at which memory can be mapped again
 * @size: in: as the caller knows it
 * @flags: in: must be 0
 * @addr: in: virtual address inside a mapping of this device
 * @offset: out: for mmap() in MAP_CONTIG_MODE_MAP: the physical address for those
 *          who may see it, else an opaque number that maps the same memory
 * @length: out: contiguous bytes from @addr to the end of its mapping
 * @object: out: the open file that mmap() was called with, by the number that
 *          MAP_CONTIG_CONFIGURE gave it; 0 if it was not configured, or mapped
 *          through a region descriptor
 * @fd: out: the lowest descriptor of the calling process that refers to the open
 *      file that @object names; -1 if there is none
 * @pad: out: 0
 *
 * On the node. ENXIO if @addr is not in contiguous memory of this device; EOVERFLOW
 * for an opaque number of what is more than 1 TiB into a region.
 */
struct map_contig_offset {
	__u32 size;
	__u32 flags;
	__aligned_u64 addr;
	__aligned_u64 offset;
	__aligned_u64 length;
	__aligned_u64 object;
	__s32 fd;
	__u32 pad;
};
#define MAP_CONTIG_OFFSET _IO(MAP_CONTIG_TYPE, MAP_CONTIG_CMD_OFFSET)

/* Flags of MAP_CONTIG_HOLD. */
#define MAP_CONTIG_HOLD_RELEASE (1U << 0) /* undo: the device has been stopped */

/**
 * struct map_contig_hold - tie a region to a PCI device that writes into it
 * @size: in: as the caller knows it
 * @flags: in: 0 or MAP_CONTIG_HOLD_RELEASE
 * @addr: in: as in struct map_contig_query; any byte of the region
 * @domain: in: PCI domain of the device
 * @bdf: in: bus << 8 | device << 3 | function
 *
 * Without an IOMMU nothing pins memory that a device writes to. Before any
 * page of a region that is held is freed, for whatever reason, the module
 * clears the bus master bit of the device and waits for its transactions to
 * end; the memory of a device that does not fall silent stays an orphan. Parts
 * that are unmapped stay until the region goes as a whole. A program that ends
 * in good order stops its device and releases the hold before it unmaps.
 *
 * Errors: EPERM (needs CAP_SYS_RAWIO), ENODEV (no such device), ENXIO (no region
 * at @addr), EEXIST (held by this device already), ENOENT (RELEASE: it is not),
 * ENOSPC (16 devices hold it).
 */
struct map_contig_hold {
	__u32 size;
	__u32 flags;
	__aligned_u64 addr;
	__u32 domain;
	__u32 bdf;
};
#define MAP_CONTIG_HOLD _IO(MAP_CONTIG_TYPE, MAP_CONTIG_CMD_HOLD)

/**
 * struct map_contig_export - make a dma-buf of a region or a part of it
 * @size: in: as the caller knows it
 * @flags: in: must be 0
 * @addr: in: as in struct map_contig_query; page-aligned
 * @length: in: bytes, whole pages, inside one mapping or region; 0 is all from
 *          @addr on
 * @fd: out: the dma-buf, close-on-exec, readable and writable
 * @pad: out: 0
 *
 * The dma-buf keeps the memory, as a region descriptor does. Importers get one
 * scatterlist entry (below 4 GiB; that is what an entry can hold).
 * Errors: ENXIO (no region at @addr, or not as much), EINVAL (not aligned),
 * EOPNOTSUPP (the kernel has no dma-buf), EMFILE, ENFILE, ENOMEM.
 */
struct map_contig_export {
	__u32 size;
	__u32 flags;
	__aligned_u64 addr;
	__aligned_u64 length;
	__s32 fd;
	__u32 pad;
};
#define MAP_CONTIG_EXPORT _IO(MAP_CONTIG_TYPE, MAP_CONTIG_CMD_EXPORT)

#endif
