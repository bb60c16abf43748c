// SPDX-License-Identifier: BSD-3-Clause
/* C4, D7: who may have memory that stays locked, and how much of it. */
#include <signal.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "suite.h"
#include "uapi.h"
#include "vfio_edu.h"

static int limit_zero(void *arg)
{
	(void)arg;
	become(USER, 0);
	CHECK_ERRNO(contig_alloc(PAGE), EPERM);
	return 0;
}

static void c4_no_limit_no_memory(void)
{
	node_let_in(USER);
	CHECK_EQ(in_child(limit_zero, NULL), 0);
}

/* Exactly the limit, not a page more; what was unmapped counts no more. */
static int limit_exact(void *arg)
{
	char *a, *b;

	(void)arg;
	become(USER, 4 * MIB);
	CHECK_ERRNO(contig_alloc(4 * MIB + PAGE), EAGAIN);
	a = contig_alloc(3 * MIB);
	CHECK_OK(a);
	CHECK_ERRNO(contig_alloc(MIB + PAGE), EAGAIN);
	b = contig_alloc(MIB);
	CHECK_OK(b);
	CHECK_OK(munmap(a, 3 * MIB));
	for (int i = 0; i < 10; i++) {
		a = contig_alloc(3 * MIB);
		CHECK_OK(a);
		CHECK_OK(munmap(a, 3 * MIB));
	}
	/* Nothing is charged a second time as mlocked or pinned memory. */
	CHECK_EQ(status("VmLck"), 0);
	CHECK_EQ(status("VmPin"), 0);
	return 0;
}

static void c4_limit_is_exact(void)
{
	node_let_in(USER);
	CHECK_EQ(in_child(limit_exact, NULL), 0);
	/* The first child's memory is off the account when it is dead. */
	CHECK_EQ(in_child(limit_exact, NULL), 0);
}

static int limit_second(void *arg)
{
	(void)arg;
	become(USER, 4 * MIB);
	CHECK_ERRNO(contig_alloc(2 * MIB), EAGAIN);
	CHECK_OK(contig_alloc(MIB));
	return 0;
}

static int limit_first(void *arg)
{
	int *ready = arg;
	char go;

	become(USER, 4 * MIB);
	CHECK_OK(contig_alloc(3 * MIB));
	CHECK_EQ(write(ready[1], "", 1), 1);
	return (int)read(ready[2], &go, 1);
}

/* The sum is the user's, not the process's: two that have nothing to do with each other. */
static void c4_limit_is_per_user(void)
{
	int pipes[4], wstatus;
	char byte;
	pid_t pid;

	node_let_in(USER);
	CHECK_OK(pipe(pipes));
	CHECK_OK(pipe(pipes + 2));
	pid = fork();
	CHECK_OK(pid);
	if (!pid) {
		close(pipes[3]);
		_exit(limit_first(pipes));
	}
	CHECK_EQ(read(pipes[0], &byte, 1), 1);
	CHECK_EQ(in_child(limit_second, NULL), 0);
	close(pipes[3]);
	CHECK_EQ(waitpid(pid, &wstatus, 0), pid);
	CHECK_EQ(wstatus, 0);
}

/* Another user's memory does not count. */
static int limit_other_user(void *arg)
{
	(void)arg;
	become_of(USER + 1, USER, 4 * MIB);
	CHECK_OK(contig_alloc(4 * MIB));
	return 0;
}

static void c4_users_are_apart(void)
{
	int pipes[4];
	char byte;
	pid_t pid;

	node_let_in(USER);
	CHECK_OK(pipe(pipes));
	CHECK_OK(pipe(pipes + 2));
	pid = fork();
	CHECK_OK(pid);
	if (!pid)
		_exit(limit_first(pipes));
	CHECK_EQ(read(pipes[0], &byte, 1), 1);
	CHECK_EQ(in_child(limit_other_user, NULL), 0);
	CHECK_OK(kill(pid, SIGKILL));
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
}

static void c4_capability_lifts_the_limit(void)
{
	struct rlimit old, none = { 0, 0 };
	void *va;

	CHECK_OK(getrlimit(RLIMIT_MEMLOCK, &old));
	none.rlim_max = old.rlim_max;
	CHECK_OK(setrlimit(RLIMIT_MEMLOCK, &none));
	va = contig_alloc(64 * MIB);
	CHECK_OK(va);
	munmap(va, 64 * MIB);
	CHECK_OK(setrlimit(RLIMIT_MEMLOCK, &old));
}

/* RLIMIT_MEMLOCK of N is enough to hold N and to register it with VFIO. */
static int limit_with_vfio(void *arg)
{
	struct vfio *vfio = arg;
	void *va;

	become(USER, 8 * MIB);
	va = contig_alloc(8 * MIB);
	CHECK_OK(va);
	CHECK_OK(vfio_map(vfio, va, 8 * MIB, 1 << 20));
	CHECK_OK(vfio_unmap(vfio, 8 * MIB, 1 << 20));
	return 0;
}

static void d7_the_limit_is_enough_for_vfio(void)
{
	struct vfio vfio;

	vfio_open(&vfio);
	node_let_in(USER);
	CHECK_EQ(in_child(limit_with_vfio, &vfio), 0);
	vfio_close(&vfio);
	CHECK_EQ(ledger_wait(0), 0);
}

/* What LIMITS says is left can be had, and a page more cannot. */
static int limits_agree(void *arg)
{
	struct map_contig_limits limits;
	int node = node_open();
	void *va;

	(void)arg;
	become(USER, 8 * MIB);
	CHECK_OK(node_limits(node, &limits));
	CHECK_EQ(limits.memlock, 8 * MIB);
	CHECK_EQ(limits.user, 0);
	CHECK_EQ(limits.left, 8 * MIB);
	CHECK_EQ(limits.privileges & MAP_CONTIG_MAY_LOCK, 0);
	va = contig_alloc(3 * MIB);
	CHECK_OK(va);
	CHECK_OK(node_limits(node, &limits));
	CHECK_EQ(limits.user, 3 * MIB);
	CHECK_EQ(limits.left, 5 * MIB);
	CHECK_ERRNO(contig_alloc(limits.left + PAGE), EAGAIN);
	va = contig_alloc(limits.left);
	CHECK_OK(va);
	CHECK_OK(node_limits(node, &limits));
	CHECK_EQ(limits.left, 0);
	return 0;
}

static void d7_limits_tells_what_is_left(void)
{
	struct map_contig_limits limits;
	int node = node_open();

	node_let_in(USER);
	CHECK_EQ(in_child(limits_agree, NULL), 0);
	CHECK_EQ(ledger_wait(0), 0);
	CHECK_OK(node_limits(node, &limits));
	CHECK(limits.privileges & MAP_CONTIG_MAY_LOCK);
	CHECK(limits.privileges & MAP_CONTIG_MAY_SEE_PHYS);
	CHECK_EQ(limits.user, 0);
	CHECK(limits.left > 64 * MIB);
	CHECK(limits.left <= limits.available + limits.reserve_free);
}

const struct test limits_tests[] = {
	TEST_FRONTS(c4_no_limit_no_memory, FRONT_ALL),
	TEST_FRONTS(c4_limit_is_exact, FRONT_ALL),
	TEST_FRONTS(c4_limit_is_per_user, FRONT_ALL),
	TEST_FRONTS(c4_users_are_apart, FRONT_IOCTL | FRONT_MMAP),
	TEST_FRONTS(c4_capability_lifts_the_limit, FRONT_ALL),
	TEST_FRONTS(d7_the_limit_is_enough_for_vfio, FRONT_ALL),
	TEST_FRONTS(d7_limits_tells_what_is_left, FRONT_IOCTL | FRONT_MMAP),
	TESTS_END,
};
