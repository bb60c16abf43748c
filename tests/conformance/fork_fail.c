// SPDX-License-Identifier: BSD-3-Clause
/*
 * C6, when the copy cannot be had: fork succeeds all the same, the child gets
 * SIGBUS where its copy would be, and nobody else notices.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "suite.h"
#include "uapi.h"

#define GROUPS "/sys/fs/cgroup"
#define GROUP GROUPS "/vdma-conformance"

static int64_t vmstat(const char *field)
{
	static char text[1 << 15];
	char *at;

	CHECK(file_text("/proc/vmstat", text, sizeof(text)));
	at = strstr(text, field);
	CHECK(at);
	return strtoll(at + strlen(field), NULL, 10);
}

struct parent {
	char *va;
	size_t len;
	char *other; /* memory of the process that is none of ours */
};

/* The last page is what cannot have been copied; all else works. */
static int child_without(void *arg)
{
	struct parent *p = arg;

	CHECK_EQ(touch_read(p->va + p->len - 1), SIGBUS);
	CHECK_EQ(touch_write(p->va + p->len - PAGE), SIGBUS);
	CHECK(is_filled(p->other, MIB, 8));
	memset(p->other, 9, MIB);
	CHECK_OK(munmap(p->va, p->len));
	return 0;
}

static int child_plain(void *arg)
{
	struct parent *p = arg;

	CHECK_EQ(touch_read(p->va), SIGSEGV);
	CHECK(is_filled(p->other, MIB, 8));
	return 0;
}

static void fork_without_copy(size_t len)
{
	struct parent p = { .va = contig_alloc(len), .len = len };
	int64_t kills = vmstat("oom_kill ");
	uint64_t *frames;

	CHECK_OK(p.va);
	p.other = malloc(MIB);
	memset(p.other, 8, MIB);
	memset(p.va, 0x42, len);
	frames = pagemap_frames(p.va, len);
	CHECK_EQ(in_child(child_without, &p), 0);
	CHECK_EQ(vmstat("oom_kill "), kills);
	CHECK(is_filled(p.va, len, 0x42));
	CHECK(frames_are(p.va, len, frames));
	CHECK(is_filled(p.other, MIB, 8));
	/* Without it, fork is what it always was. */
	CHECK_OK(madvise(p.va, len, MADV_DONTFORK));
	CHECK_EQ(in_child(child_plain, &p), 0);
	free(frames);
	munmap(p.va, len);
}

/* Not enough memory in the machine; no OOM killer for our sake. */
static void c6_no_memory_for_the_copy(void)
{
	size_t len;
	void *fill = memory_fill(480 * MIB, &len);

	fork_without_copy(320 * MIB);
	memory_fill_check(fill, len);
	munmap(fill, len);
}

/* The copy counts for the memory cgroup of who forks. */
static int in_group(void *arg)
{
	char events[512];

	(void)arg;
	file_set(GROUP "/cgroup.procs", "0");
	fork_without_copy(64 * MIB);
	CHECK(file_text(GROUP "/memory.events", events, sizeof(events)));
	CHECK(strstr(events, "oom_kill 0"));
	return 0;
}

static void group_end(void)
{
	for (int i = 0; i < 100 && rmdir(GROUP); i++)
		usleep(10 * 1000);
}

/* Run fn in a child, for it to join a memory cgroup of this limit. */
static int with_group(const char *max, int (*fn)(void *arg))
{
	char controllers[256];
	int result;

	SKIP_IF(!file_text(GROUPS "/cgroup.controllers", controllers, sizeof(controllers)) ||
			!strstr(controllers, "memory"),
		"no cgroup2 with the memory controller at " GROUPS);
	file_set(GROUPS "/cgroup.subtree_control", "+memory");
	group_end();
	CHECK_OK(mkdir(GROUP, 0755));
	file_set(GROUP "/memory.max", "%s", max);
	result = in_child(fn, NULL);
	group_end();
	return result;
}

static void c6_copy_is_limited_by_memory_cgroup(void)
{
	CHECK_EQ(with_group("24M", in_group), 0);
}

/* Charged there: what a child's copy takes shows in memory.current. */
static int64_t group_current(void)
{
	char text[64];

	CHECK(file_text(GROUP "/memory.current", text, sizeof(text)));
	return strtoll(text, NULL, 10);
}

static int copy_is_there(void *arg)
{
	int64_t *before = arg;

	CHECK(group_current() - *before > (int64_t)(15 * MIB));
	return 0;
}

static int in_wide_group(void *arg)
{
	char *va;
	int64_t before;

	(void)arg;
	file_set(GROUP "/cgroup.procs", "0");
	va = contig_alloc(16 * MIB);
	CHECK_OK(va);
	memset(va, 1, 16 * MIB);
	before = group_current();
	CHECK_EQ(in_child(copy_is_there, &before), 0);
	return 0;
}

static void c6_copy_is_charged_to_memory_cgroup(void)
{
	CHECK_EQ(with_group("max", in_wide_group), 0);
}

static void fork_once(void)
{
	if (!fork())
		_exit(0);
}

/* What is copied for so long that a kill comes in the midst; a slow machine has enough with less. */
static size_t len_to_copy(void)
{
	const size_t little = 32 * MIB;
	char *va = contig_alloc(little);
	double start;
	pid_t pid;

	CHECK_OK(va);
	memset(va, 1, little);
	start = now_ms();
	pid = fork();
	if (!pid)
		_exit(0);
	start = now_ms() - start;
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	munmap(va, little);
	return start > 200 ? 2 * little : 400 * MIB;
}

/* Killed in the midst of copying: it ends at once. */
static void c6_fork_can_be_killed(void)
{
	size_t len = len_to_copy();
	double worst = 0, idle = kill_idle_ms(len);

	for (unsigned int i = 0; i < 3; i++) {
		pid_t pid = holder(len, fork_once);
		double took;

		usleep(20 * 1000 + i * 30 * 1000);
		took = kill_ms(pid);
		if (took > worst)
			worst = took;
		CHECK_EQ(ledger_wait(0), 0);
	}
	note("a process that copies %zu MiB at fork is gone %.0f ms after SIGKILL, at worst, one that sleeps %.0f ms",
	     len / MIB, worst, idle);
	CHECK(worst < 3000 + 2 * idle);
}

const struct test fork_fail_tests[] = {
	TEST_FRONTS(c6_no_memory_for_the_copy, FRONT_IOCTL),
	TEST_FRONTS(c6_copy_is_limited_by_memory_cgroup, FRONT_IOCTL | FRONT_MMAP),
	TEST_FRONTS(c6_copy_is_charged_to_memory_cgroup, FRONT_IOCTL | FRONT_MMAP),
	TEST_FRONTS(c6_fork_can_be_killed, FRONT_MMAP),
	TESTS_END,
};
