// SPDX-License-Identifier: BSD-3-Clause
/* C4, D7: whose memory may be locked, how much of it, and that it stays put. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "observe.h"
#include "suite.h"

#define USER 1000

/* linux/mman.h has them, glibc 2.36 not yet. */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif

static int node;

static void *user_mmap(size_t len)
{
	return mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, node, 0);
}

static int limit_zero(void *arg)
{
	(void)arg;
	become(USER, 0);
	return user_mmap(PAGE) == MAP_FAILED ? errno : 0;
}

static void c4_no_limit_no_memory(void **state)
{
	(void)state;
	assert_int_equal(in_child(limit_zero, NULL), EPERM);
}

/* Exactly the limit, not a page more; what was unmapped counts no more. */
static int limit_exact(void *arg)
{
	char *a, *b;

	(void)arg;
	become(USER, 4 * MIB);
	if (user_mmap(4 * MIB + PAGE) != MAP_FAILED || errno != EAGAIN)
		return 1;
	a = user_mmap(3 * MIB);
	if (a == MAP_FAILED)
		return 2;
	if (user_mmap(MIB + PAGE) != MAP_FAILED || errno != EAGAIN)
		return 3;
	b = user_mmap(MIB);
	if (b == MAP_FAILED)
		return 4;
	if (munmap(a, 3 * MIB))
		return 5;
	for (int i = 0; i < 100; i++) {
		a = user_mmap(3 * MIB);
		if (a == MAP_FAILED)
			return 6;
		if (munmap(a, 3 * MIB))
			return 7;
	}
	/* Nothing is charged a second time as mlocked or pinned memory. */
	return 0;
}

static void c4_limit_is_exact(void **state)
{
	(void)state;
	assert_int_equal(in_child(limit_exact, NULL), 0);
	/* The first child's memory is off the account when it is dead. */
	assert_int_equal(in_child(limit_exact, NULL), 0);
}

/* The sum is the user's, not the process's. */
static int limit_in_second_process(void *arg)
{
	int wstatus;
	pid_t pid;

	(void)arg;
	become(USER, 4 * MIB);
	if (user_mmap(3 * MIB) == MAP_FAILED)
		return 1;
	pid = fork();
	if (!pid)
		_exit(user_mmap(2 * MIB) == MAP_FAILED && errno == EAGAIN ? 0 : 2);
	if (waitpid(pid, &wstatus, 0) != pid || !WIFEXITED(wstatus))
		return 3;
	return WEXITSTATUS(wstatus);
}

static void c4_limit_is_per_user(void **state)
{
	(void)state;
	assert_int_equal(in_child(limit_in_second_process, NULL), 0);
}

static void c4_capability_lifts_the_limit(void **state)
{
	struct rlimit old, none = { 0, 0 };
	void *va;

	(void)state;
	assert_return_code(getrlimit(RLIMIT_MEMLOCK, &old), errno);
	none.rlim_max = old.rlim_max;
	assert_return_code(setrlimit(RLIMIT_MEMLOCK, &none), errno);
	va = contig_mmap(64 * MIB);
	assert_ptr_not_equal(va, MAP_FAILED);
	munmap(va, 64 * MIB);
	assert_return_code(setrlimit(RLIMIT_MEMLOCK, &old), errno);
}

/* RLIMIT_MEMLOCK of N is enough to hold N and to register it with VFIO. */
static int limit_with_vfio(void *arg)
{
	struct vfio *vfio = arg;
	void *va;

	become(USER, 8 * MIB);
	va = user_mmap(8 * MIB);
	if (va == MAP_FAILED)
		return errno;
	if (vfio_map(vfio, va, 8 * MIB, 1 << 20))
		return 2;
	return vfio_unmap(vfio, 8 * MIB, 1 << 20) ? 3 : 0;
}

static void d7_the_limit_is_enough_for_vfio(void **state)
{
	struct vfio vfio;

	(void)state;
	vfio_open(&vfio);
	assert_int_equal(in_child(limit_with_vfio, &vfio), 0);
	vfio_close(&vfio);
	assert_int_equal(ledger_wait(0), 0);
}

static void write_number(const char *path, unsigned long n)
{
	char text[32];
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t len = snprintf(text, sizeof(text), "0x%lx", n);

	/* Refusing is the expected answer of some; the frames decide. */
	assert_true(fd >= 0);
	if (write(fd, text, (size_t)len) != len)
		print_message("%s: %s\n", path, strerror(errno));
	close(fd);
}

/* Whoever tries to move or drop pages: frames and bytes stay. */
static void c4_pages_never_move(void **state)
{
	size_t len = 4 * MIB + 16 * KIB, n = len / PAGE;
	unsigned char *va = contig_mmap(len);
	uint64_t *before, *after;
	void *page;
	int nodes = 0, st = 0;

	(void)state;
	assert_ptr_not_equal(va, MAP_FAILED);
	for (size_t i = 0; i < len; i++)
		va[i] = (unsigned char)(i * 7 + i / PAGE);
	before = pagemap_frames(va, len);

	write_number("/proc/sys/vm/compact_memory", 1);
	write_number("/proc/sys/vm/drop_caches", 3);
	page = va;
	syscall(SYS_move_pages, 0, 1UL, &page, &nodes, &st, 2 /* MPOL_MF_MOVE */);
	syscall(SYS_mbind, va, len, 1 /* MPOL_PREFERRED */, &(unsigned long){ 1 }, 8UL, 2U);
	madvise(va, len, MADV_DONTNEED);
	madvise(va, len, MADV_FREE);
	madvise(va, len, MADV_COLD);
	madvise(va, len, MADV_PAGEOUT);
	madvise(va, len, MADV_MERGEABLE);
	madvise(va, len, MADV_HUGEPAGE);
	madvise(va, len, MADV_COLLAPSE);
	madvise(va, len, MADV_REMOVE);
	madvise(va, PAGE, MADV_SOFT_OFFLINE);
	write_number("/sys/devices/system/memory/soft_offline_page", before[600] * PAGE);
	memory_churn();

	for (size_t i = 0; i < len; i++)
		if (va[i] != (unsigned char)(i * 7 + i / PAGE))
			fail_msg("byte %zu changed", i);
	after = pagemap_frames(va, len);
	assert_memory_equal(before, after, n * sizeof(*before));
	free(before);
	free(after);
	munmap(va, len);
}

static int open_node(void **state)
{
	(void)state;
	/* The node's permissions are the administrator's; these tests are on limits. */
	node = open("/dev/map_contig", O_RDWR | O_CLOEXEC);
	return node < 0;
}

static int close_node(void **state)
{
	(void)state;
	return close(node);
}

int run_limits(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(c4_no_limit_no_memory),
		cmocka_unit_test(c4_limit_is_exact),
		cmocka_unit_test(c4_limit_is_per_user),
		cmocka_unit_test(c4_capability_lifts_the_limit),
		cmocka_unit_test(d7_the_limit_is_enough_for_vfio),
		cmocka_unit_test(c4_pages_never_move),
	};

	return cmocka_run_group_tests_name("limits", tests, open_node, close_node);
}
