// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/dma-buf.h>
#include <linux/userfaultfd.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "fuzz.h"

/* Not in every C library's headers. */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif

static int error_of(int r)
{
	return r < 0 ? -errno : 0;
}

static unsigned int draw_npages(struct fuzzer *fuzzer)
{
	switch (draw(fuzzer, 32)) {
	case 0:
		/* From 64 MiB on, several processors clear it. */
		if (!draw(fuzzer, 24))
			return 64 * MIB / PAGE + draw(fuzzer, 1000);
		return 1 + draw(fuzzer, 8 * MIB / PAGE);
	case 1 ... 3: return 512 * (1 + draw(fuzzer, 4));
	case 4 ... 9: return 1 + draw(fuzzer, 1300);
	default: return 1 + draw(fuzzer, 64);
	}
}

static uint32_t draw_fork(struct fuzzer *fuzzer, unsigned int npages)
{
	/* Copies of what is large take most of the time. */
	if (npages > 1024 && draw(fuzzer, 8))
		return MAP_CONTIG_FORK_SHARE + draw(fuzzer, 2);
	return draw(fuzzer, 3);
}

static void draw_want(struct fuzzer *fuzzer, struct map_contig_constraints *want)
{
	memset(want, 0, sizeof(*want));
	if (draw(fuzzer, 2))
		return;
	if (!draw(fuzzer, 3))
		want->alignment = 1ULL << draw(fuzzer, 26);
	if (!draw(fuzzer, 3))
		want->boundary = 1ULL << (12 + draw(fuzzer, 18));
	switch (draw(fuzzer, 8)) {
	case 0: want->phys_max = 0xffffffff; break;
	case 1: want->phys_max = 0x3fffffff + draw(fuzzer, 0x40000000); break;
	case 2: want->phys_max = 0xffffff; break;
	case 3: want->phys_max = draw(fuzzer, 0x10000); break;
	}
	want->node_mode = draw(fuzzer, 3);
	if (want->node_mode)
		want->node = draw(fuzzer, 3);
	if (!draw(fuzzer, 4))
		want->deadline_ms = 1 + draw(fuzzer, 500);
}

static void check_want(const struct map_contig_constraints *want, uint64_t phys, uint64_t length)
{
	if (phys == MAP_CONTIG_PHYS_NONE)
		return;
	if ((want->alignment && phys % want->alignment) ||
	    (want->boundary && phys / want->boundary != (phys + length - 1) / want->boundary) ||
	    (want->phys_max && phys + length - 1 > want->phys_max))
		fail("0x%lx, %lu bytes: alignment 0x%llx, boundary 0x%llx or phys_max 0x%llx is not met",
		     phys, length, want->alignment, want->boundary, want->phys_max);
}

/*
 * mremap() to a place that it clears first may fail then, and leave a hole, where
 * nobody must map anything before it is known.
 */
static pthread_rwlock_t holes = PTHREAD_RWLOCK_INITIALIZER;

static void *map_here(size_t length, int prot, int flags, int fd, off_t offset)
{
	void *addr;

	pthread_rwlock_rdlock(&holes);
	addr = mmap(NULL, length, prot, flags, fd, offset);
	pthread_rwlock_unlock(&holes);
	return addr;
}

/* --- To get memory --- */

static void call_alloc(struct fuzzer *fuzzer)
{
	struct region *region = region_new(fuzzer);
	struct map_contig_alloc alloc = { .size = sizeof(alloc) };
	unsigned int npages = draw_npages(fuzzer);
	int err;

	if (!region)
		return;
	draw_want(fuzzer, &alloc.want);
	alloc.want.fork = draw_fork(fuzzer, npages);
	alloc.length = npages * PAGE - draw(fuzzer, PAGE);
	err = error_of(ioctl(fuzzer->node, MAP_CONTIG_ALLOC, &alloc));
	note(fuzzer, CALL_ALLOC, err,
	     "alloc %u pages, alignment 0x%llx, boundary 0x%llx, phys_max 0x%llx", npages,
	     alloc.want.alignment, alloc.want.boundary, alloc.want.phys_max);
	expect(fuzzer, "alloc", err, ENOMEM, EDQUOT, ETIME, EINVAL, 0);
	if (err && err == -EINVAL && !alloc.want.boundary && !alloc.want.node &&
	    !alloc.want.phys_max)
		fail("alloc: EINVAL for nothing");
	if (!err) {
		check_want(&alloc.want, alloc.phys, npages * PAGE);
		region_begin(fuzzer, region, npages, alloc.want.fork);
		region->fd = alloc.fd;
		if (alloc.phys != MAP_CONTIG_PHYS_NONE)
			region->frame = alloc.phys / PAGE;
	}
	pthread_mutex_unlock(&region->lock);
}

/* mmap of npages at offset, as another piece of the region. */
static int map_piece(struct fuzzer *fuzzer, struct region *region, int fd, off_t offset,
		     unsigned int first, unsigned int n)
{
	struct piece *piece = piece_new(region);
	int prot = draw(fuzzer, 6) ? PROT_READ | PROT_WRITE : PROT_READ;
	void *addr;

	if (!piece)
		return -ENOBUFS;
	addr = map_here(n * PAGE, prot, MAP_SHARED, fd, offset);
	if (addr == MAP_FAILED)
		return -errno;
	*piece = (struct piece){ .addr = addr, .first = first, .n = n, .prot = prot };
	if (draw(fuzzer, 2))
		piece_check(fuzzer, region, piece);
	return 0;
}

static void call_mmap_node(struct fuzzer *fuzzer)
{
	struct map_contig_configure configure = { .size = sizeof(configure) };
	struct region *region = region_new(fuzzer);
	unsigned int npages = draw_npages(fuzzer);
	int node, err;

	if (!region)
		return;
	configure.flags = draw(fuzzer, 2) ? MAP_CONTIG_CONFIGURE_SHARED : 0;
	configure.want.fork = draw_fork(fuzzer, npages);
	node = open(MAP_CONTIG_DEVICE, O_RDWR | O_CLOEXEC);
	if (node < 0 || ioctl(node, MAP_CONTIG_CONFIGURE, &configure))
		fail("open or configure: %m");
	region_begin(fuzzer, region, npages, configure.want.fork);
	err = map_piece(fuzzer, region, node, 0, 0, npages);
	close(node);
	note(fuzzer, CALL_MMAP_NODE, err, "mmap node, %u pages, fork %u", npages,
	     configure.want.fork);
	expect(fuzzer, "mmap", err, ENOMEM, EDQUOT, 0);
	region_settle(region);
	pthread_mutex_unlock(&region->lock);
}

static void call_mmap_descriptor(struct fuzzer *fuzzer, struct region *region)
{
	unsigned int first = draw(fuzzer, 2) ? draw(fuzzer, region->npages) : 0, n;
	int err;

	if (region->fd < 0)
		return;
	n = 1 + draw(fuzzer, region->npages - first);
	if (!first && draw(fuzzer, 2))
		n = region->npages;
	err = map_piece(fuzzer, region, region->fd, (off_t)(first * PAGE), first, n);
	note(fuzzer, CALL_MMAP_DESCRIPTOR, err, "mmap descriptor, pages %u + %u", first, n);
	expect(fuzzer, "mmap of a descriptor", err, ENOMEM, ENOBUFS, 0);
}

static void call_mmap_buffer(struct fuzzer *fuzzer, struct region *region)
{
	struct map_contig_export export = { .size = sizeof(export) };
	unsigned int first = draw(fuzzer, region->npages), n;
	int err;

	if (region->buffer < 0 && region->fd >= 0 && !ioctl(region->fd, MAP_CONTIG_EXPORT, &export))
		region->buffer = export.fd;
	if (region->buffer < 0)
		return;
	n = 1 + draw(fuzzer, region->npages - first);
	err = map_piece(fuzzer, region, region->buffer, (off_t)(first * PAGE), first, n);
	note(fuzzer, CALL_MMAP_BUFFER, err, "mmap dma-buf, pages %u + %u", first, n);
	expect(fuzzer, "mmap of a dma-buf", err, ENOMEM, ENOBUFS, 0);
}

static void call_mmap_offset(struct fuzzer *fuzzer, struct region *region)
{
	struct map_contig_configure configure = { .size = sizeof(configure),
						  .mode = MAP_CONTIG_MODE_MAP,
						  .want.fork = region->fork };
	struct map_contig_offset offset = { .size = sizeof(offset) };
	struct piece *piece = piece_pick(fuzzer, region);
	int node, err;

	if (!piece)
		return;
	offset.addr = (uintptr_t)piece->addr;
	node = open(MAP_CONTIG_DEVICE, O_RDWR | O_CLOEXEC);
	if (node < 0 || ioctl(node, MAP_CONTIG_OFFSET, &offset) ||
	    ioctl(node, MAP_CONTIG_CONFIGURE, &configure))
		fail("offset, configure: %m");
	/* Up to the end of the vma: madvise splits it, and two pieces may be one. */
	if (!offset.length || offset.length % PAGE)
		fail("offset: %llu bytes", offset.length);
	err = map_piece(fuzzer, region, node, (off_t)offset.offset, piece->first, piece->n);
	close(node);
	note(fuzzer, CALL_MMAP_OFFSET, err, "mmap offset 0x%llx", offset.offset);
	expect(fuzzer, "mmap of an offset", err, EACCES, ENOMEM, ENOBUFS, 0);
}

/* --- Address space --- */

static void piece_drop(struct region *region, struct piece *piece, unsigned int first,
		       unsigned int n)
{
	struct piece behind = {
		.addr = piece->addr + (first + n) * PAGE,
		.first = piece->first + first + n,
		.n = piece->n - first - n,
		.prot = piece->prot,
	};

	piece->n = first;
	if (behind.n)
		*piece_new(region) = behind;
}

static void call_munmap(struct fuzzer *fuzzer, struct region *region)
{
	struct piece *piece = piece_pick(fuzzer, region);
	unsigned int first = 0, n;
	int err;

	if (!piece)
		return;
	n = piece->n;
	if (draw(fuzzer, 2) && piece_new(region)) {
		first = draw(fuzzer, piece->n);
		n = 1 + draw(fuzzer, piece->n - first);
	}
	err = error_of(munmap(piece->addr + first * PAGE, n * PAGE));
	note(fuzzer, CALL_MUNMAP, err, "munmap %p, pages %u + %u of %u", (void *)piece->addr, first,
	     n, piece->n);
	expect(fuzzer, "munmap", err, ENOMEM, 0);
	if (!err)
		piece_drop(region, piece, first, n);
	region_settle(region);
}

static void call_mprotect(struct fuzzer *fuzzer, struct region *region)
{
	static const int prots[] = { PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE,
				     PROT_NONE };
	struct piece *piece = piece_pick(fuzzer, region), *behind = piece_new(region);
	unsigned int n;
	int prot = prots[draw(fuzzer, 4)], err;

	if (!piece || !behind)
		return;
	n = 1 + draw(fuzzer, piece->n);
	err = error_of(mprotect(piece->addr, n * PAGE, prot));
	note(fuzzer, CALL_MPROTECT, err, "mprotect %p, %u pages, %d", (void *)piece->addr, n, prot);
	expect(fuzzer, "mprotect", err, ENOMEM, 0);
	if (err)
		return;
	*behind = (struct piece){
		.addr = piece->addr + n * PAGE,
		.first = piece->first + n,
		.n = piece->n - n,
		.prot = piece->prot,
	};
	piece->n = n;
	piece->prot = prot;
}

static void call_mremap(struct fuzzer *fuzzer, struct region *region)
{
	struct piece *piece = piece_pick(fuzzer, region);
	size_t length, new_length;
	void *to, *moved;
	int err;

	if (!piece)
		return;
	length = new_length = piece->n * PAGE;
	switch (draw(fuzzer, 4)) {
	case 0:
		moved = mremap(piece->addr, length, length + PAGE, MREMAP_MAYMOVE);
		err = -errno;
		if (moved != MAP_FAILED)
			fail("mremap to a larger size succeeds");
		note(fuzzer, CALL_MREMAP, err, "mremap %p, larger", (void *)piece->addr);
		expect(fuzzer, "mremap, larger", err, EFAULT, EINVAL, ENOMEM, 0);
		return;
	case 1:
		if (piece->n > 1)
			new_length = length - PAGE * (1 + draw(fuzzer, piece->n - 1));
		break;
	}
	pthread_rwlock_wrlock(&holes);
	to = mmap(NULL, new_length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (to == MAP_FAILED) {
		pthread_rwlock_unlock(&holes);
		return;
	}
	moved = mremap(piece->addr, length, new_length, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	err = moved == MAP_FAILED ? -errno : 0;
	if (err) {
		munmap(to, new_length);
		munmap(piece->addr, length);
		piece->n = 0;
	} else {
		piece->addr = moved;
		piece->n = new_length / PAGE;
	}
	pthread_rwlock_unlock(&holes);
	note(fuzzer, CALL_MREMAP, err, "mremap %p, %u pages to %lu at %p", (void *)piece->addr,
	     piece->n, new_length / PAGE, to);
	/*
	 * Two parts that were protected differently are two vmas. What was at the
	 * new address, or behind the new length, may be gone.
	 */
	expect(fuzzer, "mremap", err, ENOMEM, EFAULT, 0);
	region_settle(region);
}

static void call_madvise(struct fuzzer *fuzzer, struct region *region)
{
	static const int advices[] = {
		MADV_DONTNEED,	      MADV_DONTNEED,	   MADV_FREE,	    MADV_REMOVE,
		MADV_PAGEOUT,	      MADV_COLD,	   MADV_HUGEPAGE,   MADV_NOHUGEPAGE,
		MADV_MERGEABLE,	      MADV_UNMERGEABLE,	   MADV_WILLNEED,   MADV_RANDOM,
		MADV_POPULATE_READ,   MADV_POPULATE_WRITE, MADV_DONTDUMP,   MADV_DODUMP,
		MADV_COLLAPSE,	      MADV_SEQUENTIAL,	   MADV_WIPEONFORK, MADV_KEEPONFORK,
		MADV_DONTNEED_LOCKED,
	};
	struct piece *piece = piece_pick(fuzzer, region);
	int advice = advices[draw(fuzzer, sizeof(advices) / sizeof(*advices))], err;
	unsigned int first, n;

	if (!piece)
		return;
	first = draw(fuzzer, piece->n);
	n = 1 + draw(fuzzer, piece->n - first);
	err = error_of(madvise(piece->addr + first * PAGE, n * PAGE, advice));
	note(fuzzer, CALL_MADVISE, err, "madvise %p, pages %u + %u, %d", (void *)piece->addr, first,
	     n, advice);
	expect(fuzzer, "madvise", err, EINVAL, ENOMEM, EOPNOTSUPP, EACCES, EAGAIN, EBUSY, EFAULT,
	       EBADF, ENODEV, region->poisoned ? EHWPOISON : 0, region->poisoned ? EFAULT : 0, 0);
	piece_check(fuzzer, region, piece);
}

static void call_soft_offline(struct fuzzer *fuzzer, struct region *region)
{
	struct piece *piece = piece_pick(fuzzer, region);
	int err;

	if (!piece || region->poisoned || !(piece->prot & PROT_READ) ||
	    shared->soft_offlined++ >= SOFT_OFFLINE_MAX)
		return;
	err = error_of(
		madvise(piece->addr + draw(fuzzer, piece->n) * PAGE, PAGE, MADV_SOFT_OFFLINE));
	note(fuzzer, CALL_SOFT_OFFLINE, err, "soft-offline in %p", (void *)piece->addr);
	piece_check(fuzzer, region, piece);
}

static void call_poison(struct fuzzer *fuzzer, struct region *region)
{
	struct piece *piece = piece_pick(fuzzer, region);
	volatile int err = 0;
	int signal;

	if (!piece || region->frozen || region->poisoned || !(piece->prot & PROT_READ) ||
	    draw(fuzzer, 8) || shared->poisoned++ >= POISON_MAX)
		return;
	region->poisoned = true;
	signal = GUARDED(err = error_of(madvise(piece->addr + draw(fuzzer, piece->n) * PAGE, PAGE,
						MADV_HWPOISON)));
	note(fuzzer, CALL_POISON, signal ? -EINTR : err, "poison in %p", (void *)piece->addr);
}

static void call_mlock(struct fuzzer *fuzzer, struct region *region)
{
	struct piece *piece = piece_pick(fuzzer, region);
	int err;

	if (!piece || region->poisoned)
		return;
	err = error_of(draw(fuzzer, 2) ? mlock(piece->addr, piece->n * PAGE) :
					 munlock(piece->addr, piece->n * PAGE));
	note(fuzzer, CALL_MLOCK, err, "mlock or munlock %p", (void *)piece->addr);
	expect(fuzzer, "mlock", err, ENOMEM, EAGAIN, 0);
	piece_check(fuzzer, region, piece);
}

static void call_uffd(struct fuzzer *fuzzer, struct region *region)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct piece *piece = piece_pick(fuzzer, region);
	int fd, err;

	if (!piece)
		return;
	if (draw(fuzzer, 2))
		reg.mode |= UFFDIO_REGISTER_MODE_WP;
	reg.range.start = (uintptr_t)piece->addr;
	reg.range.len = piece->n * PAGE;
	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return;
	err = error_of(ioctl(fd, UFFDIO_API, &api)) ?: error_of(ioctl(fd, UFFDIO_REGISTER, &reg));
	close(fd);
	note(fuzzer, CALL_UFFD, err, "userfaultfd %p", (void *)piece->addr);
	expect(fuzzer, "userfaultfd", err, EINVAL, ENOMEM, EPERM, EBUSY, 0);
}

/* --- Ioctls about memory --- */

/* On a descriptor by offset, on the node by address. */
static int place_of(struct fuzzer *fuzzer, struct region *region, __u64 *addr, unsigned int *index)
{
	struct piece *piece = piece_pick(fuzzer, region);

	if (region->fd >= 0 && (!piece || draw(fuzzer, 2))) {
		*index = draw(fuzzer, region->npages);
		*addr = *index * PAGE;
		return region->fd;
	}
	if (!piece)
		return -1;
	*index = draw(fuzzer, piece->n);
	*addr = (uintptr_t)piece->addr + *index * PAGE;
	*index += piece->first;
	return fuzzer->node;
}

static void call_query(struct fuzzer *fuzzer, struct region *region)
{
	struct map_contig_query query = { .size = sizeof(query) };
	unsigned int index;
	int fd = place_of(fuzzer, region, &query.addr, &index), err;

	if (fd < 0)
		return;
	err = error_of(ioctl(fd, MAP_CONTIG_QUERY, &query));
	note(fuzzer, CALL_QUERY, err, "query page %u", index);
	expect(fuzzer, "query", err, 0);
	if (region->frame && query.phys != (region->frame + index) * PAGE)
		fail("query: 0x%llx, not page %u of 0x%lx", query.phys, index,
		     region->frame * PAGE);
	region->frame = query.phys / PAGE - index;
}

static void call_hold(struct fuzzer *fuzzer, struct region *region)
{
	struct map_contig_hold hold = { .size = sizeof(hold), .bdf = (uint32_t)edu };
	unsigned int index;
	int fd = place_of(fuzzer, region, &hold.addr, &index), err;

	if (fd < 0 || edu < 0)
		return;
	hold.flags = region->held ? MAP_CONTIG_HOLD_RELEASE : 0;
	err = error_of(ioctl(fd, MAP_CONTIG_HOLD, &hold));
	note(fuzzer, CALL_HOLD, err, "hold, flags %u", hold.flags);
	/* Somebody else who has the region may have been here. */
	expect(fuzzer, "hold", err, region->frozen ? EEXIST : 0, region->frozen ? ENOENT : 0, 0);
	if (!err)
		region->held = !region->held;
}

static void call_export(struct fuzzer *fuzzer, struct region *region)
{
	struct map_contig_export export = { .size = sizeof(export) };
	unsigned int index;
	int fd = place_of(fuzzer, region, &export.addr, &index), err;

	if (fd < 0)
		return;
	export.length = draw(fuzzer, 3) ? 0 : PAGE * (1 + draw(fuzzer, region->npages));
	/* All of it through the descriptor, to be mapped later. */
	if (region->fd >= 0 && region->buffer < 0 && draw(fuzzer, 2)) {
		fd = region->fd;
		index = export.addr = export.length = 0;
	}
	err = error_of(ioctl(fd, MAP_CONTIG_EXPORT, &export));
	note(fuzzer, CALL_EXPORT, err, "export from page %u, %llu bytes", index, export.length);
	/* Too long. */
	expect(fuzzer, "export", err, ENOMEM, export.length ? ENXIO : ENOMEM, EOPNOTSUPP, 0);
	if (err)
		return;
	for (int i = 0; i < 2; i++) {
		struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_RW |
						      (i ? DMA_BUF_SYNC_END : DMA_BUF_SYNC_START) };

		expect(fuzzer, "dma-buf sync",
		       error_of(ioctl(export.fd, DMA_BUF_IOCTL_SYNC, &sync)), 0);
	}
	if (!index && !export.length && fd == region->fd && region->buffer < 0)
		region->buffer = export.fd;
	else
		close(export.fd);
}

static void call_close(struct fuzzer *fuzzer, struct region *region)
{
	int *fd = draw(fuzzer, 2) ? &region->fd : &region->buffer;

	if (*fd < 0)
		return;
	close(*fd);
	*fd = -1;
	note(fuzzer, CALL_CLOSE, 0, "close of the descriptor or the dma-buf of %u pages",
	     region->npages);
	region_settle(region);
}

/* --- Ioctls about the machine, and those that make no sense --- */

static void call_limits(struct fuzzer *fuzzer)
{
	struct map_contig_limits limits = { .size = sizeof(limits) };
	int err = error_of(ioctl(fuzzer->node, MAP_CONTIG_LIMITS, &limits));

	note(fuzzer, CALL_LIMITS, err, "limits: total %llu", limits.total);
	expect(fuzzer, "limits", err, 0);
	if (limits.user + limits.user_copies > limits.total)
		fail("limits: user %llu, copies %llu, but total %llu", limits.user,
		     limits.user_copies, limits.total);
}

static void call_oracle(struct fuzzer *fuzzer)
{
	struct map_contig_oracle oracle = { .size = sizeof(oracle) };
	int err;

	draw_want(fuzzer, &oracle.want);
	oracle.length = draw(fuzzer, 3) ? draw_npages(fuzzer) * PAGE << draw(fuzzer, 8) : 0;
	err = error_of(ioctl(fuzzer->node, MAP_CONTIG_ORACLE, &oracle));
	note(fuzzer, CALL_ORACLE, err, "oracle: %llu bytes, largest %llu, blocker %u",
	     oracle.length, oracle.largest, oracle.blocker);
	expect(fuzzer, "oracle", err, EINVAL, ENOMEM, 0);
	if (!err && oracle.length && oracle.length <= oracle.largest && oracle.blocker)
		fail("oracle: %llu of %llu bytes are blocked", oracle.length, oracle.largest);
}

static void call_version(struct fuzzer *fuzzer)
{
	struct map_contig_version version = { .size = sizeof(version) };
	int err = error_of(ioctl(fuzzer->node, MAP_CONTIG_VERSION, &version));

	note(fuzzer, CALL_VERSION, err, "version");
	if (err || version.abi != MAP_CONTIG_ABI)
		fail("version: %d, ABI %u", err, version.abi);
}

static void call_configure(struct fuzzer *fuzzer)
{
	struct map_contig_configure configure = { .size = sizeof(configure) };
	int node = open(MAP_CONTIG_DEVICE, O_RDWR | O_CLOEXEC), err;
	void *addr;

	if (node < 0)
		fail("open: %m");
	draw_want(fuzzer, &configure.want);
	configure.flags = draw(fuzzer, 2);
	configure.mode = draw(fuzzer, 2);
	err = error_of(ioctl(node, MAP_CONTIG_CONFIGURE, &configure));
	note(fuzzer, CALL_CONFIGURE, err, "configure, mode %u", configure.mode);
	expect(fuzzer, "configure", err, EINVAL, 0);
	/* In either mode: an offset out of nowhere, or an allocation that goes at once. */
	addr = map_here(8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, node,
			configure.mode ? (off_t)(draw(fuzzer, 1UL << 40) * PAGE) : 0);
	if (addr != MAP_FAILED) {
		/* In MODE_MAP it is somebody else's. */
		if (!configure.mode && *(volatile uint64_t *)addr)
			fail("new memory is not zero");
		munmap(addr, 8 * PAGE);
	}
	close(node);
}

union any {
	__u32 size;
	struct map_contig_alloc alloc;
	struct map_contig_export export;
	struct map_contig_hold hold;
	unsigned char bytes[256];
};

static void call_malformed(struct fuzzer *fuzzer)
{
	static const __u32 sizes[] = { 0,  1,  4,   8,	 24,  32,  40,	 48,   80,
				       88, 96, 100, 128, 200, 256, 4096, 4097, ~0U };
	int node = open(MAP_CONTIG_DEVICE, O_RDWR | O_CLOEXEC), fd = node, err;
	struct region *region = draw(fuzzer, 2) ? region_pick(fuzzer) : NULL;
	unsigned int number = draw(fuzzer, 16) ? draw(fuzzer, 10) : draw(fuzzer, 256);
	unsigned int command = _IO(MAP_CONTIG_TYPE, number);
	union any any;
	void *argument = &any;

	if (node < 0)
		fail("open: %m");
	if (region && region->fd >= 0)
		fd = region->fd;
	memset(&any, 0, sizeof(any));
	for (unsigned int n = draw(fuzzer, 40); n; n--)
		any.bytes[draw(fuzzer, sizeof(any))] = (unsigned char)draw(fuzzer, 256);
	any.size = draw(fuzzer, 4) ? sizes[draw(fuzzer, sizeof(sizes) / sizeof(*sizes))] :
				     (__u32)draw(fuzzer, UINT32_MAX);
	/* A device that the guest lives on must not be stopped. */
	if (number == MAP_CONTIG_CMD_HOLD)
		any.hold.bdf |= 0x10000;
	switch (draw(fuzzer, 12)) {
	case 0: argument = NULL; break;
	case 1: argument = (void *)(uintptr_t)draw(fuzzer, 1UL << 48); break;
	case 2: argument = (char *)-16; break;
	}
	err = error_of(ioctl(fd, command, argument));
	note(fuzzer, CALL_MALFORMED, err, "ioctl %u, size %u", number, any.size);
	if (!err && number == MAP_CONTIG_CMD_ALLOC && argument == &any)
		close(any.alloc.fd);
	if (!err && number == MAP_CONTIG_CMD_EXPORT && argument == &any)
		close(any.export.fd);
	expect(fuzzer, "a malformed ioctl", err, EFAULT, EINVAL, E2BIG, EOPNOTSUPP, ENOTTY, ENXIO,
	       ENOMEM, EDQUOT, ETIME, ENODEV, ENOENT, 0);
	if (region)
		pthread_mutex_unlock(&region->lock);
	close(node);
}

/* --- To others --- */

struct parcel {
	unsigned int npages;
	uint32_t tag;
	uint32_t fork;
	uint8_t version;
	uint64_t frame;
};

static void call_send(struct fuzzer *fuzzer, struct region *region)
{
	struct parcel parcel = { region->npages, region->tag, region->fork, region->version[0],
				 region->frame };
	char control[CMSG_SPACE(sizeof(int))] = "";
	struct iovec iov = { &parcel, sizeof(parcel) };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int err;

	/* Who gets it must know its bytes, and so must we from then on. */
	if (region->fd < 0 || region->poisoned ||
	    memcmp(region->version, region->version + 1, region->npages - 1))
		return;
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &region->fd, sizeof(int));
	region->frozen = true;
	err = error_of((int)sendmsg(post[0], &message, MSG_DONTWAIT));
	note(fuzzer, CALL_SEND, err, "send %u pages", region->npages);
	expect(fuzzer, "sendmsg", err, EAGAIN, ENOBUFS, ENOMEM, ETOOMANYREFS, 0);
}

static void call_receive(struct fuzzer *fuzzer)
{
	struct region *region = region_new(fuzzer);
	char control[CMSG_SPACE(sizeof(int))];
	struct parcel parcel;
	struct iovec iov = { &parcel, sizeof(parcel) };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *header;

	if (!region)
		return;
	if (recvmsg(post[1], &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) == sizeof(parcel) &&
	    (header = CMSG_FIRSTHDR(&message))) {
		region_begin(fuzzer, region, parcel.npages, parcel.fork);
		memcpy(&region->fd, CMSG_DATA(header), sizeof(int));
		region->tag = parcel.tag;
		region->frame = parcel.frame;
		region->frozen = true;
		memset(region->version, parcel.version, parcel.npages);
		note(fuzzer, CALL_RECEIVE, 0, "receive %u pages", parcel.npages);
	}
	pthread_mutex_unlock(&region->lock);
}

/* The first worker's, of threads with different regions. */
static int container = -1;
static _Atomic uint64_t next_iova = 1UL << 20;

void vfio_setup(void)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	char path[64], link[256];
	ssize_t len;
	int group;

	if (!edu_name)
		return;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", edu_name);
	len = readlink(path, link, sizeof(link) - 1);
	if (len < 0)
		return;
	link[len] = 0;
	snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(link, '/') + 1);
	group = open(path, O_RDWR | O_CLOEXEC);
	if (group < 0)
		return;
	container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (container < 0 || ioctl(group, VFIO_GROUP_GET_STATUS, &status) ||
	    ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) ||
	    ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		fail("VFIO: %m");
}

static void call_unpin(struct fuzzer *fuzzer, struct region *region)
{
	struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof(unmap),
						    .iova = region->iova,
						    .size = region->pinned };
	int err;

	if (!region->iova)
		return;
	err = error_of(ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap));
	note(fuzzer, CALL_UNPIN, err, "unpin 0x%lx", region->iova);
	expect(fuzzer, "unpin", err, 0);
	region->iova = 0;
	region_settle(region);
}

static void call_pin(struct fuzzer *fuzzer, struct region *region)
{
	struct vfio_iommu_type1_dma_map map = { .argsz = sizeof(map) };
	struct piece *piece = piece_pick(fuzzer, region);
	int err;

	if (container < 0 || region->iova || !piece || region->poisoned ||
	    piece->prot != (PROT_READ | PROT_WRITE))
		return;
	map.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
	map.vaddr = (uintptr_t)piece->addr;
	map.size = piece->n * PAGE;
	/* Below the window of the interrupts, round and round. */
	map.iova = next_iova;
	next_iova = map.iova + map.size + PAGE;
	if (next_iova > 0xe0000000)
		next_iova = 1UL << 20;
	err = error_of(ioctl(container, VFIO_IOMMU_MAP_DMA, &map));
	note(fuzzer, CALL_PIN, err, "pin %p, %u pages", (void *)piece->addr, piece->n);
	expect(fuzzer, "pin", err, ENOMEM, EEXIST, 0);
	if (!err) {
		region->iova = map.iova;
		region->pinned = map.size;
	}
}

/* Pages that cannot move, here and there, for the search to stumble over. */
static void call_obstacle(struct fuzzer *fuzzer)
{
	static _Atomic int n;
	size_t length = 2 * MIB;
	int err = 0;
	char *addr;

	if (container < 0 || n++ >= OBSTACLES_MAX)
		return;
	addr = map_here(length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (addr == MAP_FAILED || madvise(addr, length, MADV_NOHUGEPAGE))
		return;
	for (size_t i = 0; i < length; i += PAGE)
		addr[i] = 1;
	for (size_t i = draw(fuzzer, 64); i < length / PAGE; i += 64 + draw(fuzzer, 256)) {
		struct vfio_iommu_type1_dma_map map = {
			.argsz = sizeof(map),
			.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
			.vaddr = (uintptr_t)addr + i * PAGE,
			.size = PAGE,
			.iova = 0x100000000ULL + (uintptr_t)(addr + i * PAGE) % 0x1000000000ULL,
		};

		err = error_of(ioctl(container, VFIO_IOMMU_MAP_DMA, &map)) ?: err;
		madvise(addr + i * PAGE, PAGE, MADV_DONTFORK);
	}
	note(fuzzer, CALL_OBSTACLE, err, "obstacles at %p", (void *)addr);
	expect(fuzzer, "pin of other memory", err, ENOMEM, EEXIST, 0);
}

static void call_drop(struct fuzzer *fuzzer, struct region *region)
{
	unsigned int npages = region->npages;

	for (int i = 0; i < PIECES; i++) {
		struct piece *piece = &region->pieces[i];

		if (piece->n && munmap(piece->addr, piece->n * PAGE))
			fail("munmap: %m");
		piece->n = 0;
	}
	if (region->fd >= 0)
		close(region->fd);
	if (region->buffer >= 0)
		close(region->buffer);
	region->fd = region->buffer = -1;
	note(fuzzer, CALL_DROP, 0, "drop %u pages", npages);
	region_settle(region);
}

/* As any tool may look at the process. */
static void call_maps(struct fuzzer *fuzzer)
{
	static const char *const files[] = { "/proc/self/maps", "/proc/self/smaps",
					     "/proc/self/numa_maps" };
	char text[4096];
	int fd = open(files[draw(fuzzer, 3)], O_RDONLY | O_CLOEXEC);

	while (fd >= 0 && read(fd, text, sizeof(text)) > 0)
		;
	if (fd >= 0)
		close(fd);
	note(fuzzer, CALL_MAPS, 0, "maps");
}

static void call_write(struct fuzzer *fuzzer, struct region *region)
{
	struct piece *piece = piece_pick(fuzzer, region);

	if (piece)
		piece_write(fuzzer, region, piece);
}

static void call_check(struct fuzzer *fuzzer, struct region *region)
{
	struct piece *piece = piece_pick(fuzzer, region);

	if (piece)
		piece_check(fuzzer, region, piece);
}

static const struct {
	unsigned int weight;
	void (*on_region)(struct fuzzer *fuzzer, struct region *region);
	void (*alone)(struct fuzzer *fuzzer);
} calls[] = {
	{ 8, NULL, call_alloc },
	{ 8, NULL, call_mmap_node },
	{ 10, call_mmap_descriptor, NULL },
	{ 3, call_mmap_buffer, NULL },
	{ 3, call_mmap_offset, NULL },
	{ 10, call_munmap, NULL },
	{ 4, call_mprotect, NULL },
	{ 4, call_mremap, NULL },
	{ 8, call_madvise, NULL },
	{ 1, call_soft_offline, NULL },
	{ 1, call_poison, NULL },
	{ 1, call_mlock, NULL },
	{ 1, call_uffd, NULL },
	{ 10, call_write, NULL },
	{ 10, call_check, NULL },
	{ 3, call_query, NULL },
	{ 2, call_hold, NULL },
	{ 3, call_export, NULL },
	{ 5, call_close, NULL },
	{ 1, NULL, call_limits },
	{ 1, NULL, call_oracle },
	{ 1, NULL, call_version },
	{ 1, NULL, call_configure },
	{ 4, NULL, call_malformed },
	{ 3, call_send, NULL },
	{ 3, NULL, call_receive },
	{ 4, call_pin, NULL },
	{ 4, call_unpin, NULL },
	{ 1, NULL, call_obstacle },
	{ 1, NULL, call_maps },
	{ 5, call_drop, NULL },
	{ 2, NULL, call_fork },
	{ 1, NULL, call_user },
};

void call_any(struct fuzzer *fuzzer)
{
	unsigned int weights = 0, at, i;
	struct region *region;

	for (i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		weights += calls[i].weight;
	at = draw(fuzzer, weights);
	for (i = 0; at >= calls[i].weight; i++)
		at -= calls[i].weight;
	if (calls[i].alone) {
		calls[i].alone(fuzzer);
		return;
	}
	region = region_pick(fuzzer);
	if (!region)
		return;
	calls[i].on_region(fuzzer, region);
	pthread_mutex_unlock(&region->lock);
}
