// SPDX-License-Identifier: BSD-3-Clause
/* C3, C5, and what changes to a mapping do and do not do. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "suite.h"

static void c5_cannot_grow(void)
{
	char *va = contig_alloc(4 * MIB);

	CHECK_OK(va);
	CHECK(mremap(va, 4 * MIB, 4 * MIB + PAGE, 0) == MAP_FAILED);
	CHECK(mremap(va, 4 * MIB, 8 * MIB, MREMAP_MAYMOVE) == MAP_FAILED);
	/* A second mapping of the same pages would be growth too. */
	CHECK(mremap(va, 0, 4 * MIB, MREMAP_MAYMOVE) == MAP_FAILED);
	CHECK(mremap(va, 4 * MIB, 4 * MIB, MREMAP_MAYMOVE | MREMAP_DONTUNMAP) == MAP_FAILED);
	CHECK_EQ(syscall(SYS_remap_file_pages, va, PAGE, 0, 1UL, 0), -1);
	va[4 * MIB - 1] = 1;
	munmap(va, 4 * MIB);
}

static void c5_moves_whole(void)
{
	size_t len = 4 * MIB + 12 * KIB;
	char *va = contig_alloc(len);
	char *to = mmap(NULL, 8 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t *before = pagemap_frames(va, len), *after;
	char *moved;

	strcpy(va + len - 8, "bytes");
	moved = mremap(va, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to + 5 * PAGE);
	CHECK(moved == to + 5 * PAGE);
	/* Where PMDs no longer fit the address, pages come back by minor faults. */
	for (size_t i = 0; i < len; i += PAGE)
		(void)*(volatile char *)(moved + i);
	after = pagemap_frames(moved, len);
	CHECK(!memcmp(before, after, len / PAGE * sizeof(*before)));
	CHECK(!strcmp(moved + len - 8, "bytes"));
	CHECK_EQ(ledger_lines(), 1);
	free(before);
	free(after);
	munmap(to, 8 * MIB);
	CHECK_EQ(ledger_wait(0), 0);
}

/* What is cut off goes back at once, what is left stays where it is. */
static void c5_shrinks(void)
{
	size_t len = 64 * MIB;
	char *va = contig_alloc(len);
	uint64_t *before = pagemap_frames(va, len), *after;
	int64_t free_before = mem_free_at_rest();

	CHECK(mremap(va, len, 16 * MIB, 0) == va);
	after = pagemap_frames(va, 16 * MIB);
	CHECK(!memcmp(before, after, 16 * MIB / PAGE * sizeof(*before)));
	CHECK(mem_free_at_rest() - free_before > (int64_t)(44 * MIB));
	free(before);
	free(after);
	munmap(va, 16 * MIB);
}

/* Protection changes split vmas and PMDs, not the memory. */
static void c4_mprotect(void)
{
	size_t len = 6 * MIB;
	char *va = contig_alloc(len);
	uint64_t *before = pagemap_frames(va, len), *after;

	memset(va, 3, len);
	CHECK_OK(mprotect(va + PAGE, PAGE, PROT_READ));
	CHECK_EQ(touch_write(va + PAGE), SIGSEGV);
	CHECK_OK(mprotect(va + 3 * MIB, MIB, PROT_NONE));
	CHECK_OK(mprotect(va, len, PROT_READ | PROT_WRITE));
	for (size_t i = 0; i < len; i += PAGE) {
		CHECK_EQ(va[i], 3);
		va[i] = 4;
	}
	after = pagemap_frames(va, len);
	CHECK(!memcmp(before, after, len / PAGE * sizeof(*before)));
	free(before);
	free(after);
	munmap(va, len);

	/* The node, mapped without the right to write, or to do anything. */
	va = contig_mmap_at(NULL, len, PROT_READ, MAP_SHARED);
	CHECK_OK(va);
	CHECK_EQ(va[len - 1], 0);
	munmap(va, len);
	va = contig_mmap_at(NULL, len, PROT_NONE, MAP_SHARED);
	CHECK_OK(va);
	munmap(va, len);
	CHECK_EQ(ledger_wait(0), 0);
}

/* A mapping that is moved in part: each part keeps its frames. */
static void c5_moves_in_part(void)
{
	size_t len = 6 * MIB;
	char *va = contig_alloc(len), *to;
	uint64_t *before;

	CHECK_OK(va);
	before = pagemap_frames(va, len);
	memset(va, 5, len);
	to = mremap(va + 2 * MIB, 2 * MIB, 2 * MIB, MREMAP_MAYMOVE | MREMAP_FIXED,
		    mmap(NULL, 2 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	CHECK_OK(to);
	CHECK(is_filled(to, 2 * MIB, 5));
	CHECK(is_filled(va, 2 * MIB, 5));
	CHECK(is_filled(va + 4 * MIB, 2 * MIB, 5));
	CHECK(frames_are(to, 2 * MIB, before + 2 * MIB / PAGE));
	CHECK(frames_are(va, 2 * MIB, before));
	CHECK(frames_are(va + 4 * MIB, 2 * MIB, before + 4 * MIB / PAGE));
	CHECK_EQ(ledger_lines(), 1);
	munmap(va, 2 * MIB);
	munmap(va + 4 * MIB, 2 * MIB);
	CHECK(is_filled(to, 2 * MIB, 5));
	munmap(to, 2 * MIB);
	CHECK_EQ(ledger_wait(0), 0);
	free(before);
}

/* What madvise may be asked: what it answers, and that frames and bytes stay. */
static void c4_madvise(void)
{
	static const struct {
		const char *name;
		int advice;
		int err;  /* 0: succeeds and changes nothing */
		int err2; /* another answer that a kernel may give */
	} advices[] = {
		{ "DONTNEED", MADV_DONTNEED, 0, 0 },
		{ "FREE", MADV_FREE, EINVAL, EINVAL },
		{ "REMOVE", MADV_REMOVE, EOPNOTSUPP, ENODEV },
		{ "COLD", MADV_COLD, 0, EINVAL },
		{ "PAGEOUT", MADV_PAGEOUT, 0, EINVAL },
		{ "MERGEABLE", MADV_MERGEABLE, 0, 0 },
		{ "UNMERGEABLE", MADV_UNMERGEABLE, 0, 0 },
		{ "HUGEPAGE", MADV_HUGEPAGE, 0, EINVAL },
		{ "NOHUGEPAGE", MADV_NOHUGEPAGE, 0, EINVAL },
		{ "WILLNEED", MADV_WILLNEED, 0, 0 },
		{ "RANDOM", MADV_RANDOM, 0, 0 },
		{ "DONTDUMP", MADV_DONTDUMP, 0, 0 },
	};
	size_t len = 4 * MIB + 12 * KIB;
	unsigned char *va = contig_alloc(len);
	uint64_t *before;

	CHECK_OK(va);
	memset(va, 0x4d, len);
	before = pagemap_frames(va, len);
	for (size_t i = 0; i < sizeof(advices) / sizeof(advices[0]); i++) {
		int err = madvise(va, len, advices[i].advice) ? errno : 0;

		if (err != advices[i].err && err != advices[i].err2)
			FAIL("MADV_%s: errno %d (%s)", advices[i].name, err, strerror(err));
		/* And for a part that is no folio. */
		madvise(va + PAGE, PAGE, advices[i].advice);
		if (!is_filled(va, len, 0x4d))
			FAIL("MADV_%s changed a byte", advices[i].name);
		if (!frames_are(va, len, before))
			FAIL("MADV_%s changed a frame", advices[i].name);
	}
	/* MADV_POPULATE_WRITE brings back what DONTNEED has unmapped, without a fault. */
	CHECK_OK(madvise(va, len, MADV_DONTNEED));
	CHECK_OK(madvise(va, len, MADV_POPULATE_WRITE));
	CHECK(frames_are(va, len, before));
	free(before);
	munmap(va, len);
}

/* It is locked already: mlock neither charges nor undoes anything. */
static void c4_mlock(void)
{
	size_t len = 4 * MIB;
	char *va = contig_alloc(len);
	uint64_t *before;
	int64_t lck = status("VmLck");

	CHECK_OK(va);
	before = pagemap_frames(va, len);
	CHECK_OK(mlock(va, len));
	CHECK_EQ(status("VmLck"), lck);
	CHECK_OK(munlock(va, len));
	CHECK_OK(mlock2(va, len, MLOCK_ONFAULT));
	CHECK_OK(mlockall(MCL_CURRENT | MCL_FUTURE));
	memset(va, 1, len);
	CHECK(frames_are(va, len, before));
	munmap(va, len);
	/* A mapping made while all future ones are locked. */
	va = contig_alloc(len);
	CHECK_OK(va);
	memset(va, 1, len);
	CHECK_OK(munlockall());
	CHECK(is_filled(va, len, 1));
	munmap(va, len);
	CHECK_EQ(ledger_wait(0), 0);
	free(before);
}

/* Registered with userfaultfd, whose faults would come between a device and its memory? */
static void c8_userfaultfd_is_refused(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	size_t len = 2 * MIB;
	char *va = contig_alloc(len);
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	CHECK_OK(va);
	CHECK_OK(uffd);
	CHECK_OK(ioctl(uffd, UFFDIO_API, &api));
	reg.range.start = (uintptr_t)va;
	reg.range.len = len;
	CHECK_ERRNO(ioctl(uffd, UFFDIO_REGISTER, &reg), EINVAL);
	reg.mode = UFFDIO_REGISTER_MODE_MINOR;
	CHECK_ERRNO(ioctl(uffd, UFFDIO_REGISTER, &reg), EINVAL);
	memset(va, 1, len);
	munmap(va, len);
}

static int write_other(void *arg)
{
	char *va = arg;
	struct iovec from = { .iov_base = "from outside", .iov_len = 13 };
	struct iovec to = { .iov_base = va + PAGE - 3, .iov_len = 13 };
	char text[16] = "", path[64];
	int fd;

	CHECK_EQ(process_vm_writev(getppid(), &from, 1, &to, 1, 0), 13);
	from.iov_base = text;
	CHECK_EQ(process_vm_readv(getppid(), &from, 1, &to, 1, 0), 13);
	CHECK(!strcmp(text, "from outside"));
	snprintf(path, sizeof(path), "/proc/%d/mem", getppid());
	fd = open(path, O_RDWR | O_CLOEXEC);
	CHECK_OK(fd);
	CHECK_EQ(pwrite(fd, "proc", 4, (off_t)(uintptr_t)(va + 3 * MIB)), 4);
	CHECK_EQ(pread(fd, text, 4, (off_t)(uintptr_t)(va + 3 * MIB)), 4);
	CHECK(!memcmp(text, "proc", 4));
	return 0;
}

/* A debugger reads and writes it, read-only mappings too, and nothing moves. */
static void c4_ptrace_access(void)
{
	size_t len = 4 * MIB;
	char *va = contig_alloc(len);
	uint64_t *before;

	CHECK_OK(va);
	before = pagemap_frames(va, len);
	CHECK_EQ(in_child(write_other, va), 0);
	CHECK(!strcmp(va + PAGE - 3, "from outside"));
	CHECK(!memcmp(va + 3 * MIB, "proc", 4));
	CHECK(frames_are(va, len, before));
	free(before);
	munmap(va, len);
}

static int dump_core(void *arg)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	char *va = contig_alloc(4 * MIB);

	CHECK_OK(va);
	memset(va, 0x77, 4 * MIB);
	CHECK_OK(chdir(arg));
	CHECK_OK(setrlimit(RLIMIT_CORE, &unlimited));
	abort();
}

/* A process with contiguous memory may crash: the core is written, the memory goes. */
static void c9_core_dump(void)
{
	char dir[] = "/tmp/vdma-core.XXXXXX", pattern[256];

	CHECK(file_text("/proc/sys/kernel/core_pattern", pattern, sizeof(pattern)));
	CHECK(mkdtemp(dir));
	file_set("/proc/sys/kernel/core_pattern", "%s/core", dir);
	CHECK_EQ(in_child(dump_core, dir), 256 + SIGABRT);
	file_set("/proc/sys/kernel/core_pattern", "%s", pattern);
	CHECK_EQ(ledger_wait(0), 0);
	strcat(strcpy(pattern, dir), "/core");
	/* With the kernel's default filter, file-backed shared memory is not in it. */
	CHECK_OK(access(pattern, F_OK));
	unlink(pattern);
	rmdir(dir);
}

const struct test mapping_tests[] = {
	TEST_FRONTS(c5_cannot_grow, FRONT_ALL),
	TEST_FRONTS(c5_moves_whole, FRONT_ALL),
	TEST_FRONTS(c5_moves_in_part, FRONT_ALL),
	TEST_FRONTS(c5_shrinks, FRONT_ALL),
	TEST_FRONTS(c4_mprotect, FRONT_ALL),
	TEST_FRONTS(c4_madvise, FRONT_IOCTL | FRONT_MMAP),
	TEST_FRONTS(c4_mlock, FRONT_IOCTL | FRONT_MMAP),
	TEST_FRONTS(c4_ptrace_access, FRONT_IOCTL | FRONT_MMAP),
	TEST_FRONTS(c8_userfaultfd_is_refused, FRONT_IOCTL | FRONT_MMAP),
	TEST_FRONTS(c9_core_dump, FRONT_IOCTL | FRONT_MMAP),
	TESTS_END,
};
