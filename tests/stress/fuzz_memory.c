// SPDX-License-Identifier: BSD-3-Clause
/* The fuzzer's calls that get memory, change how it is mapped, use it and let it go. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "fuzz.h"

/* Not in every C library's headers. */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif

static uint32_t draw_fork(struct fuzzer *fuzzer, unsigned int npages)
{
	/* Copies of what is large take most of the time. */
	if (npages > 1024 && draw(fuzzer, 8))
		return MAP_CONTIG_FORK_SHARE + draw(fuzzer, 2);
	return draw(fuzzer, 3);
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

void *map_here(size_t length, int prot, int flags, int fd, off_t offset)
{
	void *addr;

	pthread_rwlock_rdlock(&holes);
	addr = mmap(NULL, length, prot, flags, fd, offset);
	pthread_rwlock_unlock(&holes);
	return addr;
}

/* --- To get memory --- */

void call_alloc(struct fuzzer *fuzzer)
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

void call_mmap_node(struct fuzzer *fuzzer)
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

void call_mmap_descriptor(struct fuzzer *fuzzer, struct region *region)
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

void call_mmap_buffer(struct fuzzer *fuzzer, struct region *region)
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

void call_mmap_offset(struct fuzzer *fuzzer, struct region *region)
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
	/* However it has been split; and two pieces may lie one behind the other. */
	if (offset.length < piece->n * PAGE || offset.length % PAGE)
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

void call_munmap(struct fuzzer *fuzzer, struct region *region)
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

void call_mprotect(struct fuzzer *fuzzer, struct region *region)
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

void call_mremap(struct fuzzer *fuzzer, struct region *region)
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

void call_madvise(struct fuzzer *fuzzer, struct region *region)
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

void call_soft_offline(struct fuzzer *fuzzer, struct region *region)
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

void call_poison(struct fuzzer *fuzzer, struct region *region)
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

void call_mlock(struct fuzzer *fuzzer, struct region *region)
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

void call_uffd(struct fuzzer *fuzzer, struct region *region)
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

/* --- To use it, and to let it go --- */

void call_write(struct fuzzer *fuzzer, struct region *region)
{
	struct piece *piece = piece_pick(fuzzer, region);

	if (piece)
		piece_write(fuzzer, region, piece);
}

void call_check(struct fuzzer *fuzzer, struct region *region)
{
	struct piece *piece = piece_pick(fuzzer, region);

	if (piece)
		piece_check(fuzzer, region, piece);
}

void call_close(struct fuzzer *fuzzer, struct region *region)
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

void call_drop(struct fuzzer *fuzzer, struct region *region)
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
