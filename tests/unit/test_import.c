// SPDX-License-Identifier: BSD-3-Clause
/*
 * Memory that was there before: files, BARs, pointers; and the table that pointers are
 * translated by.
 */
#include "unit.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../random.h"

#define PAGE ((size_t)4096)

static struct vdma_arena *arena;

static int with_arena(void **state)
{
	reset(state);
	return vdma_arena_create(NULL, &arena);
}

static int without_arena(void **state)
{
	const struct vdma_window *w = (const struct vdma_window *)(const void *)arena;
	bool whole = fake_is_reserved((void *)w->va, w->len);

	if (!whole)
		print_error("the reservation has a gap\n");
	return vdma_arena_destroy(arena) || !whole || fake_mapped() ? -1 : check_clean(state);
}

static struct vdma_import_opts with(enum vdma_access access, uint32_t bits)
{
	return (struct vdma_import_opts){ .size = sizeof(struct vdma_import_opts),
					  .address_bits = bits,
					  .access = access };
}

static struct vdma_region_info info_of(struct vdma_region *region)
{
	struct vdma_region_info info = { .size = sizeof(info) };

	ASSERT_OK(vdma_region_query(region, &info));
	return info;
}

static uint64_t regions(void)
{
	struct vdma_arena_info info = { .size = sizeof(info) };

	ASSERT_OK(vdma_arena_query(arena, &info));
	return info.regions;
}

static int file_of(size_t len, unsigned int flags)
{
	int fd = memfd_create("test", MFD_CLOEXEC | flags);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	return fd;
}

static char *pages(size_t n)
{
	char *va = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(va != MAP_FAILED);
	return va;
}

static struct vdma_region *user(void *va, size_t len)
{
	struct vdma_region *region = NULL;

	ASSERT_OK(vdma_region_import_user(arena, va, len, NULL, &region));
	assert_ptr_equal(vdma_region_buf(region).va, va);
	assert_int_equal(vdma_region_buf(region).len, len);
	return region;
}

static void test_memfd(void **state)
{
	struct vdma_region_opts opts = { .size = sizeof(opts), .provider = VDMA_PROVIDER_MEMFD };
	struct vdma_region *region;

	(void)state;
	ASSERT_OK(vdma_region_create(arena, 5000, &opts, &region));
	assert_int_equal(vdma_region_buf(region).len, 2 * PAGE);
	assert_int_equal(info_of(region).provider, VDMA_PROVIDER_MEMFD);
	memset(vdma_region_buf(region).va, 1, 2 * PAGE);
	assert_int_equal(fake_open_files(), 0);
	ASSERT_OK(vdma_region_destroy(region));
	opts.page_size = 2 * MIB;
	ASSERT_OK(vdma_region_create(arena, 1, &opts, &region));
	assert_int_equal(vdma_region_buf(region).len, 2 * MIB);
	assert_int_equal(vdma_region_buf(region).iova % (2 * MIB), 0);
	assert_int_equal(info_of(region).granule, 2 * MIB);
	assert_int_equal(info_of(region).extents, 1);
	ASSERT_OK(vdma_region_destroy(region));
	ASSERT_FAILS(vdma_region_create(arena, 9 * MIB, &opts, &region), ENOMEM,
		     VDMA_CAUSE_NO_HUGETLB, "5 hugetlb pages of 2 MiB", "4 are free");
	opts.page_size = 8192;
	ASSERT_FAILS(vdma_region_create(arena, 1, &opts, &region), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "1073741824");
	opts.provider = VDMA_PROVIDER_USER;
	ASSERT_FAILS(vdma_region_create(arena, 1, &opts, &region), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "vdma_region_import_fd()");
}

static void test_file(void **state)
{
	int fd = file_of(3 * PAGE + 100, 0);
	struct vdma_region *part, *rest;
	struct vdma_buf p, r;

	(void)state;
	ASSERT_OK(vdma_region_import_fd(arena, fd, PAGE, 5000, NULL, &part));
	ASSERT_OK(vdma_region_import_fd(arena, fd, 2 * PAGE, 0, NULL, &rest));
	p = vdma_region_buf(part);
	r = vdma_region_buf(rest);
	assert_int_equal(p.len, 2 * PAGE);
	assert_int_equal(r.len, 2 * PAGE);
	assert_int_equal(p.iova, vdma_iova_checked(arena, p.va, p.len));
	assert_int_equal(p.iova, vdma_iova_any(arena, p.va, p.len));
	assert_ptr_equal(vdma_va(arena, p.iova), p.va);
	assert_ptr_equal(vdma_va_any(arena, p.iova + 5), (char *)p.va + 5);
	/* The same page of the file. */
	((char *)p.va)[PAGE + 7] = 'x';
	assert_int_equal(((char *)r.va)[7], 'x');
	assert_int_equal(info_of(part).provider, VDMA_PROVIDER_FILE);
	close(fd);
	((char *)r.va)[PAGE + 99] = 'y';
	ASSERT_OK(vdma_region_destroy(part));
	ASSERT_OK(vdma_region_destroy(rest));
}

static void test_file_refused(void **state)
{
	struct vdma_import_opts opts = with(VDMA_ACCESS_READ, 0);
	int fd = file_of(3 * PAGE, MFD_ALLOW_SEALING), out, pipes[2];
	struct vdma_region *region = (void *)1;
	char path[32];

	(void)state;
	ASSERT_FAILS(vdma_region_import_fd(arena, fd, 100, PAGE, NULL, &region), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "0x64", "no multiple of 4 KiB");
	ASSERT_FAILS(vdma_region_import_fd(arena, fd, PAGE, 2 * PAGE + 1, NULL, &region), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "0x2001 bytes at 0x1000", "0x3000", "ftruncate");
	assert_int_equal(vdma_last_failure()->limit, 3 * PAGE);
	ASSERT_FAILS(vdma_region_import_fd(arena, fd, 3 * PAGE, 0, NULL, &region), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "SIGBUS");
	ASSERT_FAILS(vdma_region_import_fd(arena, fd, PAGE, SIZE_MAX, NULL, &region), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "SIGBUS");
	ASSERT_FAILS(vdma_region_import_fd(arena, fd, 0, 0, NULL, NULL), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "NULL");
	ASSERT_FAILS(vdma_region_import_fd(NULL, fd, 0, 0, NULL, &region), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "NULL");
	ASSERT_FAILS(vdma_region_import_fd(arena, -1, 0, 0, NULL, &region), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "Descriptor -1", "open");
	opts.address_bits = 65;
	ASSERT_FAILS(vdma_region_import_fd(arena, fd, 0, 0, &opts, &region), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "65");
	opts = with((enum vdma_access)3, 0);
	ASSERT_FAILS(vdma_region_import_fd(arena, fd, 0, 0, &opts, &region), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "access 3");
	opts = with(VDMA_ACCESS_BOTH, 12);
	ASSERT_FAILS(vdma_region_import_fd(arena, fd, 0, 0, &opts, &region), EADDRNOTAVAIL,
		     VDMA_CAUSE_ADDRESS_BITS, "12 KiB");
	fake.file_page = 2 * MIB;
	ASSERT_FAILS(vdma_region_import_fd(arena, fd, PAGE, PAGE, NULL, &region), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "2 MiB");
	fake.file_page = 0;
	assert_int_equal(pipe(pipes), 0);
	ASSERT_FAILS(vdma_region_import_fd(arena, pipes[0], 0, 0, NULL, &region), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "Give one");
	ASSERT_FAILS(vdma_region_import_fd(arena, pipes[0], 0, PAGE, NULL, &region), EACCES,
		     VDMA_CAUSE_PERMISSION, "O_RDWR");
	ASSERT_FAILS(vdma_region_import_fd(arena, pipes[0], 0, 512 * GIB, NULL, &region),
		     EADDRNOTAVAIL, VDMA_CAUSE_WINDOW, "512 GiB");
	close(pipes[0]);
	close(pipes[1]);
	out = eventfd(0, EFD_CLOEXEC);
	ASSERT_FAILS(vdma_region_import_fd(arena, out, 0, PAGE, NULL, &region), EOPNOTSUPP,
		     VDMA_CAUSE_UNSUPPORTED, "cannot be mapped", "dma-buf");
	close(out);

	/* What is sealed or open for reading is good for devices that read. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	out = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(out >= 0);
	ASSERT_FAILS(vdma_region_import_fd(arena, out, 0, 0, NULL, &region), EACCES,
		     VDMA_CAUSE_PERMISSION, "O_RDWR", "VDMA_ACCESS_READ");
	opts = with(VDMA_ACCESS_READ, 0);
	ASSERT_OK(vdma_region_import_fd(arena, out, 0, 0, &opts, &region));
	assert_int_equal(*(char *)vdma_region_buf(region).va, 0);
	ASSERT_OK(vdma_region_destroy(region));
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	ASSERT_FAILS(vdma_region_import_fd(arena, fd, 0, 0, NULL, &region), EPERM,
		     VDMA_CAUSE_PRIVILEGE, "F_SEAL_WRITE", "VDMA_ACCESS_READ");
	close(out);
	close(fd);
	assert_int_equal(regions(), 0);
}

/* What kernels cannot pin is said so, by both. */
static void test_not_pinned(void **state)
{
	static const enum vdma_backend backends[] = { VDMA_BACKEND_TYPE1, VDMA_BACKEND_IOMMUFD };
	char *va = pages(1);
	size_t i;

	(void)state;
	add_edu(EDU, 5);
	for (i = 0; i < 2; i++) {
		struct vdma_ioas *ioas = ioas_of(arena, backends[i]);
		struct vdma_device *dev = device_of(ioas, EDU);
		struct vdma_region *region;

		fake.map_err = EFAULT;
		ASSERT_FAILS(vdma_region_import_user(arena, va, PAGE, NULL, &region), EOPNOTSUPP,
			     VDMA_CAUSE_UNSUPPORTED, i ? "no BAR" : "BARs", "udmabuf", "memfd");
		assert_int_equal(vdma_last_failure()->sys_errno, EFAULT);
		fake.map_err = 0;
		assert_true(vdma_iova_any(arena, va, 1) == VDMA_IOVA_NONE);
		assert_int_equal(regions(), 0);
		ASSERT_OK(vdma_device_close(dev));
		ASSERT_OK(vdma_ioas_destroy(ioas));
	}
	munmap(va, PAGE);
}

static void test_user(void **state)
{
	char *va = pages(4);
	struct vdma_region *region, *found;
	struct vdma_device *dev;
	struct vdma_ioas *ioas;
	struct vdma_buf buf, part;

	(void)state;
	add_edu(EDU, 5);
	assert_true(vdma_iova_any(arena, va, 1) == VDMA_IOVA_NONE);
	region = user(va + PAGE + 100, 5000);
	buf = vdma_region_buf(region);
	assert_int_equal(buf.iova % PAGE, 100);
	/* Not the one below, which is nobody's to destroy. */
	ASSERT_OK(vdma_region_find(arena, va + PAGE + 100, &found));
	assert_ptr_equal(found, region);
	ASSERT_FAILS(vdma_region_find(arena, va + PAGE, &found), EINVAL, VDMA_CAUSE_ARGUMENT, "");
	assert_int_equal(vdma_iova_any(arena, buf.va, buf.len), buf.iova);
	assert_int_equal(vdma_iova_any(arena, va + PAGE, 2 * PAGE), buf.iova - 100);
	assert_true(vdma_iova_any(arena, va + PAGE - 1, 1) == VDMA_IOVA_NONE);
	assert_true(vdma_iova_any(arena, va + PAGE, 2 * PAGE + 1) == VDMA_IOVA_NONE);
	assert_true(vdma_iova_any(arena, va + PAGE, 0) == VDMA_IOVA_NONE);
	assert_true(vdma_iova_any(arena, va + PAGE, SIZE_MAX) == VDMA_IOVA_NONE);
	assert_true(vdma_iova_any(arena, (void *)UINTPTR_MAX, 1) == VDMA_IOVA_NONE);
	assert_ptr_equal(vdma_va_any(arena, buf.iova + 9), (char *)buf.va + 9);
	ASSERT_OK(vdma_region_slice(region, 50, 10, &part));
	assert_ptr_equal(part.va, va + PAGE + 150);
	assert_int_equal(part.iova, buf.iova + 50);
	/* Mapped for a device that comes, and unmapped from one that is there. */
	ioas = ioas_of(arena, VDMA_BACKEND_TYPE1);
	dev = device_of(ioas, EDU);
	assert_int_equal(fake_reachable(buf.iova - 100, va + PAGE, 2 * PAGE), 1);
	assert_int_equal(info_of(region).mapped, 1);
	assert_int_equal(info_of(region).provider, VDMA_PROVIDER_USER);
	assert_int_equal(fake.locked, 2 * PAGE);
	ASSERT_FAILS(vdma_arena_destroy(arena), EBUSY, VDMA_CAUSE_CHILDREN, "8 KiB");
	va[PAGE + 100] = 1;
	ASSERT_OK(vdma_region_destroy(region));
	assert_int_equal(va[PAGE + 100], 1);
	assert_int_equal(fake_mappings(), 0);
	assert_true(vdma_iova_any(arena, va + PAGE + 100, 1) == VDMA_IOVA_NONE);
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
	munmap(va, 4 * PAGE);
}

static void test_user_refused(void **state)
{
	struct vdma_import_opts opts = with(VDMA_ACCESS_READ, 0);
	const struct vdma_window *w = (const struct vdma_window *)(const void *)arena;
	struct vdma_region *region = (void *)1;
	char *va = pages(3);
	int fd;

	(void)state;
	ASSERT_FAILS(vdma_region_import_user(arena, NULL, 1, NULL, &region), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "no memory");
	ASSERT_FAILS(vdma_region_import_user(arena, va, 0, NULL, &region), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "at least 1");
	ASSERT_FAILS(vdma_region_import_user(arena, va, SIZE_MAX, NULL, &region), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "2^");
	ASSERT_FAILS(vdma_region_import_user(arena, (void *)(UINTPTR_MAX - 9), 4, NULL, &region),
		     EINVAL, VDMA_CAUSE_ARGUMENT, "2^");
	ASSERT_FAILS(vdma_region_import_user(arena,
					     (void *)((UINT64_C(1) << VDMA_FOREIGN_BITS) - 2048),
					     SIZE_MAX / 4, NULL, &region),
		     EINVAL, VDMA_CAUSE_ARGUMENT, "2^");
	ASSERT_FAILS(vdma_region_import_user(arena, (void *)w->va, 4, NULL, &region), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "window", "vdma_iova_checked()");
	ASSERT_FAILS(vdma_region_import_user(arena, (void *)(w->va - 1), 2, NULL, &region), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "window");
	munmap(va + PAGE, PAGE);
	ASSERT_FAILS(vdma_region_import_user(arena, va, 2 * PAGE, NULL, &region), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "8 KiB", "mapped");
	assert_int_equal(mprotect(va, PAGE, PROT_READ), 0);
	ASSERT_FAILS(vdma_region_import_user(arena, va, PAGE, NULL, &region), EACCES,
		     VDMA_CAUSE_PERMISSION, "4 KiB", "mprotect", "VDMA_ACCESS_READ");
	assert_true(vdma_iova_any(arena, va, 1) == VDMA_IOVA_NONE);
	ASSERT_OK(vdma_region_import_user(arena, va, PAGE, &opts, &region));
	/* Devices that write have nothing from that. */
	ASSERT_FAILS(vdma_region_import_user(arena, va, PAGE, NULL, &region), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "read only", "VDMA_ACCESS_BOTH");
	opts = with(VDMA_ACCESS_READ, 32);
	ASSERT_FAILS(vdma_region_import_user(arena, va, PAGE, &opts, &region), EADDRNOTAVAIL,
		     VDMA_CAUSE_ADDRESS_BITS, "2^32", "imported already");
	ASSERT_OK(vdma_region_destroy(region));
	assert_int_equal(mprotect(va, PAGE, PROT_NONE), 0);
	ASSERT_FAILS(vdma_region_import_user(arena, va, PAGE, &opts, &region), EACCES,
		     VDMA_CAUSE_PERMISSION, "read by");
	/* Behind the end of a file. */
	fd = file_of(PAGE, 0);
	assert_ptr_equal(mmap(va, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0),
			 va);
	close(fd);
	ASSERT_FAILS(vdma_region_import_user(arena, va, 2 * PAGE, NULL, &region), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "SIGBUS");
	ASSERT_OK(vdma_region_import_user(arena, va, PAGE, NULL, &region));
	ASSERT_OK(vdma_region_destroy(region));
	munmap(va, 3 * PAGE);
}

/* Locked memory is counted before anything is done. */
static void test_memlock(void **state)
{
	struct vdma_ioas *ioas = ioas_of(arena, VDMA_BACKEND_TYPE1);
	struct vdma_region *region;
	struct vdma_device *dev;
	char *va = pages(4);

	(void)state;
	add_edu(EDU, 5);
	dev = device_of(ioas, EDU);
	fake.memlock_limit = 3 * PAGE;
	ASSERT_FAILS(vdma_region_import_user(arena, va, 4 * PAGE, NULL, &region), EAGAIN,
		     VDMA_CAUSE_MEMLOCK, "16 KiB", "12 KiB", "ulimit -l");
	fake.memlock_limit = UINT64_MAX;
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
	munmap(va, 4 * PAGE);
}

/* A part of what is there is the same mapping, which lasts as long as either. */
static void test_shared(void **state)
{
	char *va = pages(8);
	struct vdma_region *all, *part, *again;
	vdma_iova_t iova;

	(void)state;
	all = user(va, 8 * PAGE);
	iova = vdma_region_buf(all).iova;
	part = user(va + 2 * PAGE + 10, PAGE);
	assert_int_equal(vdma_region_buf(part).iova, iova + 2 * PAGE + 10);
	assert_int_equal(regions(), 1);
	ASSERT_OK(vdma_region_destroy(all));
	assert_int_equal(regions(), 1);
	assert_int_equal(vdma_iova_any(arena, va + 2 * PAGE, 2 * PAGE), iova + 2 * PAGE);
	/* The rest is nobody's, and must not be found, nor shared: it may be other memory by now. */
	assert_true(vdma_iova_any(arena, va, 1) == VDMA_IOVA_NONE);
	assert_true(vdma_iova_any(arena, va + 4 * PAGE, 1) == VDMA_IOVA_NONE);
	again = user(va, PAGE);
	assert_int_equal(regions(), 2);
	assert_true(vdma_region_buf(again).iova != iova);
	ASSERT_OK(vdma_region_destroy(part));
	assert_int_equal(regions(), 1);
	ASSERT_OK(vdma_region_destroy(again));
	munmap(va, 8 * PAGE);
}

/* Two buffers of malloc() that have a page in common. */
static void test_overlapping(void **state)
{
	char *va = pages(4);
	struct vdma_region *one = user(va, 6000), *other = user(va + 6000, 6000);
	vdma_iova_t a = vdma_region_buf(one).iova, b = vdma_region_buf(other).iova;

	(void)state;
	assert_int_equal(regions(), 2);
	assert_int_equal(vdma_iova_any(arena, va, 6000), a);
	/* Across the border of what they share, and within it. */
	assert_int_equal(vdma_iova_any(arena, va + 6000, 6000), b);
	assert_int_equal(vdma_iova_any(arena, va + 6000, 100), a + 6000);
	assert_true(vdma_iova_any(arena, va, 3 * PAGE) == VDMA_IOVA_NONE);
	/* The page in common stays where it is known to be. */
	ASSERT_OK(vdma_region_destroy(one));
	assert_int_equal(regions(), 2);
	assert_int_equal(vdma_iova_any(arena, va + 6000, 100), a + 6000);
	assert_int_equal(vdma_iova_any(arena, va + 6000, 6000), b);
	assert_true(vdma_iova_any(arena, va, 1) == VDMA_IOVA_NONE);
	ASSERT_OK(vdma_region_destroy(other));
	assert_int_equal(regions(), 0);
	assert_true(vdma_iova_foreign(arena, va, 1) == VDMA_IOVA_NONE);
	munmap(va, 4 * PAGE);
}

/* Neighbours at neighbouring addresses are not one buffer, above all not with a gap between. */
static void test_neighbours(void **state)
{
	char *va = pages(3);
	struct vdma_region *r[3];
	int i;

	(void)state;
	for (i = 2; i >= 0; i--)
		r[i] = user(va + (size_t)i * PAGE, PAGE);
	ASSERT_OK(vdma_region_destroy(r[1]));
	assert_true(vdma_iova_any(arena, va, 3 * PAGE) == VDMA_IOVA_NONE);
	assert_true(vdma_iova_any(arena, va, PAGE) != VDMA_IOVA_NONE);
	ASSERT_OK(vdma_region_destroy(r[0]));
	ASSERT_OK(vdma_region_destroy(r[2]));
	munmap(va, 3 * PAGE);
}

/* Large ones: the IOMMU can use large pages, and the table has one entry for 2 MiB. */
static void test_large(void **state)
{
	char *va = pages(4096), *at = va + 5 * PAGE;
	struct vdma_region *region = user(at, 10 * MIB), *inside, *beside;
	vdma_iova_t iova = vdma_region_buf(region).iova;
	size_t i;

	(void)state;
	assert_int_equal((iova - (uintptr_t)at) % (2 * MIB), 0);
	for (i = 0; i < 10 * MIB; i += PAGE)
		assert_int_equal(vdma_iova_any(arena, at + i, PAGE), iova + i);
	assert_int_equal(vdma_iova_any(arena, at, 10 * MIB), iova);
	assert_true(vdma_iova_any(arena, at, 10 * MIB + 1) == VDMA_IOVA_NONE);
	/* An entry for 2 MiB is cut. */
	inside = user(at + 5 * MIB, PAGE);
	beside = user(at + 10 * MIB - PAGE, 4 * MIB);
	ASSERT_OK(vdma_region_destroy(region));
	assert_int_equal(vdma_iova_any(arena, at + 5 * MIB, PAGE), iova + 5 * MIB);
	assert_true(vdma_iova_any(arena, at + 5 * MIB - PAGE, PAGE) == VDMA_IOVA_NONE);
	assert_true(vdma_iova_any(arena, at + 5 * MIB + PAGE, PAGE) == VDMA_IOVA_NONE);
	assert_int_equal(vdma_iova_any(arena, at + 10 * MIB - PAGE, 4 * MIB),
			 vdma_region_buf(beside).iova);
	ASSERT_OK(vdma_region_destroy(inside));
	ASSERT_OK(vdma_region_destroy(beside));
	munmap(va, 4096 * PAGE);
}

#define VIEWS 40
#define NPAGES 1200 /* more than two slots */

static void check_view(const struct vdma_region *view)
{
	struct vdma_buf buf = vdma_region_buf(view);
	vdma_iova_t any;
	size_t i;

	/* Its own address, and what is found for each page and for all of it, reaches it. */
	assert_int_equal(fake_reachable(buf.iova, buf.va, buf.len), 1);
	any = vdma_iova_any(arena, buf.va, buf.len);
	assert_true(any != VDMA_IOVA_NONE);
	assert_int_equal(fake_reachable(any, buf.va, buf.len), 1);
	for (i = 0; i < buf.len; i += PAGE) {
		any = vdma_iova_any(arena, (char *)buf.va + i, 1);
		assert_true(any != VDMA_IOVA_NONE);
		assert_int_equal(fake_reachable(any, (char *)buf.va + i, 1), 1);
	}
}

/* By chance, against a count for each page. */
static void test_chance(void **state)
{
	struct vdma_ioas *ioas = ioas_of(arena, VDMA_BACKEND_IOMMUFD);
	struct vdma_region *views[VIEWS] = { NULL };
	unsigned int counts[NPAGES] = { 0 };
	char *va = pages(NPAGES);
	uint64_t rng = 20261126;
	struct vdma_device *dev;
	size_t step, i, n;

	(void)state;
	add_edu(EDU, 5);
	dev = device_of(ioas, EDU);
	for (step = 0; step < (on_valgrind() ? 100 : 3000); step++) {
		struct vdma_region **v = &views[random_below(&rng, VIEWS)];
		size_t first, last;
		struct vdma_buf buf;

		if (!*v) {
			size_t len = 1 + random_below(&rng, PAGE << random_below(&rng, 10));
			size_t at = random_below(&rng, NPAGES * PAGE - len);

			*v = user(va + at, len);
			n = 1;
		} else {
			n = (size_t)-1;
		}
		buf = vdma_region_buf(*v);
		first = (size_t)((char *)buf.va - va) / PAGE;
		last = (size_t)((char *)buf.va + buf.len - 1 - va) / PAGE;
		for (i = first; i <= last; i++)
			counts[i] += (unsigned int)n;
		if (n != 1) {
			ASSERT_OK(vdma_region_destroy(*v));
			*v = NULL;
		}
		for (i = 0; i < VIEWS; i++)
			if (views[i] && (i == step % VIEWS || &views[i] == v))
				check_view(views[i]);
		for (i = 0; i < NPAGES; i++)
			assert_int_equal(vdma_iova_any(arena, va + i * PAGE, 1) != VDMA_IOVA_NONE,
					 counts[i] != 0);
		assert_int_equal(fake_mappings(), regions());
	}
	for (i = 0; i < VIEWS; i++)
		ASSERT_OK(vdma_region_destroy(views[i]));
	assert_int_equal(regions(), 0);
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
	munmap(va, NPAGES * PAGE);
}

/* What could not be unmapped is not found any more, and is unmapped by the next call. */
static void test_destroy_can_be_repeated(void **state)
{
	struct vdma_ioas *ioas = ioas_of(arena, VDMA_BACKEND_TYPE1);
	char *va = pages(1);
	struct vdma_region *region = user(va, PAGE);
	struct vdma_device *dev;

	(void)state;
	add_edu(EDU, 5);
	dev = device_of(ioas, EDU);
	fake.short_unmap = true;
	ASSERT_FAILS(vdma_region_destroy(region), EIO, VDMA_CAUSE_SYSTEM, "unmapped");
	assert_true(vdma_iova_any(arena, va, 1) == VDMA_IOVA_NONE);
	assert_int_equal(info_of(region).mapped, 0);
	assert_int_equal(fake_mappings(), 1);
	fake.short_unmap = false;
	ASSERT_OK(vdma_region_destroy(region));
	assert_int_equal(fake_mappings(), 0);
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
	munmap(va, PAGE);
}

static void test_bar(void **state)
{
	struct vdma_ioas *ioas = ioas_of(arena, VDMA_BACKEND_TYPE1);
	struct vdma_stats stats = { .size = sizeof(stats) };
	struct vdma_region *region = NULL, *other;
	struct vdma_device *edu, *nic;
	struct fake_pci large = edu_pci;
	struct vdma_buf buf;
	size_t i;

	(void)state;
	add_edu(EDU, 5);
	large.bar[0] = 8 * MIB;
	fake_device(NIC, 6, "vfio-pci", &large);
	edu = device_of(ioas, EDU);
	nic = device_of(ioas, NIC);
	ASSERT_OK(vdma_region_import_bar(arena, nic, 0, PAGE, 2 * PAGE, NULL, &region));
	/* Nobody counts it. */
	ASSERT_OK(vdma_arena_stats(arena, &stats));
	assert_int_equal(stats.entries, 1);
	assert_int_equal(stats.locked, 0);
	assert_int_equal(stats.extents[13], 1);
	buf = vdma_region_buf(region);
	assert_int_equal(buf.len, 2 * PAGE);
	assert_int_equal(buf.iova, vdma_iova_checked(arena, buf.va, buf.len));
	assert_int_equal(fake_reachable(buf.iova, buf.va, buf.len), 1);
	assert_int_equal(info_of(region).provider, VDMA_PROVIDER_BAR);
	ASSERT_FAILS(vdma_device_close(nic), EBUSY, VDMA_CAUSE_CHILDREN, "1 regions",
		     "vdma_region_import_bar");
	ASSERT_FAILS(vdma_region_import_bar(arena, nic, 0, 1, PAGE, NULL, &other), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "multiple of 4 KiB");
	ASSERT_FAILS(vdma_region_import_bar(arena, nic, 0, 0, 1, NULL, &other), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "length");
	ASSERT_FAILS(vdma_region_import_bar(arena, nic, 0, 8 * MIB, 0, NULL, &other), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "0x800000");
	ASSERT_FAILS(vdma_region_import_bar(arena, nic, 1, 0, 0, NULL, &other), ENXIO,
		     VDMA_CAUSE_NOT_THERE, "no BAR 1");
	ASSERT_FAILS(vdma_region_import_bar(arena, nic, 6, 0, 0, NULL, &other), ENXIO,
		     VDMA_CAUSE_NOT_THERE, "no BAR 6");
	ASSERT_FAILS(vdma_region_import_bar(arena, nic, 2, 0, 0, NULL, &other), EOPNOTSUPP,
		     VDMA_CAUSE_UNSUPPORTED, "I/O ports");
	ASSERT_OK(vdma_region_destroy(region));
	ASSERT_OK(vdma_arena_stats(arena, &stats));
	for (i = 0; i < sizeof(stats.extents) / sizeof(stats.extents[0]); i++)
		assert_int_equal(stats.extents[i], 0);

	/* Its device goes: nobody reaches it, and it can still be read and destroyed. */
	ASSERT_OK(vdma_region_import_bar(arena, nic, 0, 3 * MIB, 0, NULL, &region));
	buf = vdma_region_buf(region);
	assert_int_equal(buf.len, 5 * MIB);
	ASSERT_OK(vdma_device_let_go(nic));
	assert_int_equal(fake_mappings(), 0);
	assert_int_equal(*(unsigned char *)buf.va, 0xff);
	assert_int_equal(((unsigned char *)buf.va)[buf.len - 1], 0xff);
	ASSERT_FAILS(vdma_region_import_bar(arena, nic, 0, 0, 0, NULL, &other), ENODEV,
		     VDMA_CAUSE_GONE, "let go");
	ASSERT_OK(vdma_device_close(nic));
	/* Nor does one that comes later. */
	ASSERT_OK(vdma_device_close(edu));
	edu = device_of(ioas, EDU);
	assert_int_equal(fake_mappings(), 0);
	ASSERT_OK(vdma_region_destroy(region));
	ASSERT_OK(vdma_device_close(edu));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

/* A file, a pointer and a BAR for one of two spaces; the second takes no BARs. */
static void test_named(void **state)
{
	struct vdma_ioas *a = ioas_of(arena, VDMA_BACKEND_TYPE1),
			 *b = ioas_of(arena, VDMA_BACKEND_TYPE1), *none[1] = { NULL };
	struct vdma_import_opts opts = { .size = sizeof(opts), .ioas = &a, .nioas = 1 };
	struct vdma_region *regions[4], *other;
	struct vdma_device *edu, *nic;
	char *va = pages(2);
	int fd = file_of(PAGE, 0);
	size_t i;

	(void)state;
	add_edu(EDU, 5);
	fake_device(NIC, 6, "vfio-pci", &edu_pci);
	edu = device_of(a, EDU);
	nic = device_of(b, NIC);
	ASSERT_OK(vdma_region_import_fd(arena, fd, 0, 0, &opts, &regions[0]));
	ASSERT_OK(vdma_region_import_bar(arena, nic, 0, 0, PAGE, &opts, &regions[1]));
	ASSERT_OK(vdma_region_import_user(arena, va, 2 * PAGE, &opts, &regions[2]));
	ASSERT_OK(vdma_region_import_user(arena, va, PAGE, &opts, &regions[3]));
	assert_int_equal(fake_mappings(), 3);
	for (i = 0; i < 4; i++)
		assert_int_equal(info_of(regions[i]).mapped, 1);
	ASSERT_FAILS(vdma_region_import_user(arena, va, PAGE, NULL, &other), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "other address spaces");
	opts.ioas = none;
	ASSERT_FAILS(vdma_region_import_fd(arena, fd, 0, 0, &opts, &other), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "NULL");
	ASSERT_FAILS(vdma_region_import_user(arena, va, PAGE, &opts, &other), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "NULL");
	opts.ioas = NULL;
	ASSERT_FAILS(vdma_region_import_fd(arena, fd, 0, 0, &opts, &other), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "list");
	/* They name it until the last of them goes. */
	ASSERT_OK(vdma_device_close(edu));
	for (i = 0; i < 4; i++) {
		ASSERT_FAILS(vdma_ioas_destroy(a), EBUSY, VDMA_CAUSE_CHILDREN, "");
		ASSERT_OK(vdma_region_destroy(regions[i]));
	}
	ASSERT_OK(vdma_ioas_destroy(a));
	ASSERT_OK(vdma_device_close(nic));
	ASSERT_OK(vdma_ioas_destroy(b));
	munmap(va, 2 * PAGE);
	close(fd);
}

static void test_bar_of_another_arena(void **state)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts), .window = GIB };
	struct vdma_ioas *ioas = ioas_of(arena, VDMA_BACKEND_TYPE1);
	struct vdma_import_opts r = with(VDMA_ACCESS_READ, 0);
	struct vdma_arena *another;
	struct vdma_region *region;
	struct vdma_device *dev;

	(void)state;
	add_edu(EDU, 5);
	dev = device_of(ioas, EDU);
	ASSERT_OK(vdma_arena_create(&opts, &another));
	ASSERT_FAILS(vdma_region_import_bar(another, dev, 0, 0, 0, &r, &region), EINVAL,
		     VDMA_CAUSE_ARGUMENT, "another arena");
	ASSERT_OK(vdma_arena_destroy(another));
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

static void test_physical(void **state)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts),
					.translation = VDMA_TRANSLATION_PHYSICAL,
					.window = GIB };
	int fd = file_of(PAGE, 0);
	struct vdma_arena *bare;
	struct vdma_region *region;
	char *va = pages(1);

	(void)state;
	ASSERT_OK(vdma_arena_create(&opts, &bare));
	ASSERT_FAILS(vdma_region_import_fd(bare, fd, 0, 0, NULL, &region), EINVAL,
		     VDMA_CAUSE_TRANSLATION, "VDMA_PROVIDER_CONTIG", "IOMMU");
	ASSERT_FAILS(vdma_region_import_user(bare, va, 1, NULL, &region), EINVAL,
		     VDMA_CAUSE_TRANSLATION, "IOMMU");
	assert_true(vdma_iova_any(bare, va, 1) == VDMA_IOVA_NONE);
	ASSERT_OK(vdma_region_create(bare, PAGE, NULL, &region));
	assert_int_equal(vdma_iova_any(bare, vdma_region_buf(region).va, PAGE),
			 vdma_region_buf(region).pa);
	ASSERT_OK(vdma_region_destroy(region));
	ASSERT_OK(vdma_arena_destroy(bare));
	close(fd);
	munmap(va, PAGE);
}

/* Freed addresses are remembered, and held back; leaks are told; the dump has it. */
static void test_observed(void **state)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts),
					.window = GIB,
					.flags = VDMA_ARENA_CHECK };
	struct vdma_iova_info info = { .size = sizeof(info) };
	struct vdma_stats stats = { .size = sizeof(stats) };
	struct vdma_arena *before = arena;
	char *va = pages(600), text[8192];
	struct vdma_region *region;
	size_t len = sizeof(text);
	vdma_iova_t iova;

	(void)state;
	ASSERT_OK(vdma_arena_create(&opts, &arena));
	region = user(va + 10, 600 * PAGE - 10);
	iova = vdma_region_buf(region).iova;
	ASSERT_OK(vdma_explain_iova(arena, iova, &info));
	assert_int_equal(info.state, VDMA_IOVA_LIVE);
	assert_int_equal(info.base, iova - 10);
	ASSERT_OK(vdma_arena_stats(arena, &stats));
	assert_int_equal(stats.regions, 1);
	assert_int_equal(stats.bytes, 600 * PAGE);
	ASSERT_OK(vdma_arena_dump(arena, text, &len));
	assert_non_null(strstr(text, " user "));
	ASSERT_FAILS(vdma_arena_destroy(arena), EBUSY, VDMA_CAUSE_CHILDREN, "a region of");
	ASSERT_OK(vdma_region_destroy(region));
	ASSERT_OK(vdma_explain_iova(arena, iova, &info));
	assert_int_equal(info.state, VDMA_IOVA_FREED);
	assert_int_equal(info.held, 1);
	region = user(va, PAGE);
	assert_true(vdma_region_buf(region).iova != iova - 10);
	ASSERT_OK(vdma_region_destroy(region));
	ASSERT_OK(vdma_arena_destroy(arena));
	arena = before;
	munmap(va, 600 * PAGE);
}

#define ARENA_TEST(fn) cmocka_unit_test_setup_teardown(fn, with_arena, without_arena)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ARENA_TEST(test_memfd),
		ARENA_TEST(test_file),
		ARENA_TEST(test_file_refused),
		ARENA_TEST(test_not_pinned),
		ARENA_TEST(test_user),
		ARENA_TEST(test_user_refused),
		ARENA_TEST(test_memlock),
		ARENA_TEST(test_shared),
		ARENA_TEST(test_overlapping),
		ARENA_TEST(test_neighbours),
		ARENA_TEST(test_large),
		ARENA_TEST(test_chance),
		ARENA_TEST(test_destroy_can_be_repeated),
		ARENA_TEST(test_bar),
		ARENA_TEST(test_bar_of_another_arena),
		ARENA_TEST(test_named),
		ARENA_TEST(test_physical),
		ARENA_TEST(test_observed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
