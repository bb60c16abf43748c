// SPDX-License-Identifier: BSD-3-Clause
/*
 * failnth [--all] [PATTERN]: every step fails once.
 *
 * Each operation is repeated with its first, second, ... allocation or copy made
 * to fail, through /proc/thread-self/fail-nth, until it passes without one. After
 * each: the errno is a documented one, nothing is held any more, and a plain
 * allocation succeeds; after each operation's loop, memory is as before.
 *
 * First are the steps that the module makes, itself or through the kernel:
 * failures are confined to call stacks that the module is in. There, fork must
 * never fail. With --all, also those that the kernel makes on the way to the
 * module and back, as when mmap fails after the module's part is done; without
 * fork.
 *
 *	scripts/guest --kernel debug --device edu -- build/tests/stress/failnth
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/close_range.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "failnth.h"

/* Safe from endless loops, not a limit that is reached. */
#define STEPS_MAX 5000
/* Page tables and slabs that the kernel keeps for later. */
#define SLACK (6 * (int64_t)MIB)

static bool only_ours = true;

static int first_fd;

/* --- What to make fail --- */

static const char *const attributes[] = {
	"/sys/kernel/debug/failslab",
	"/sys/kernel/debug/fail_page_alloc",
	"/sys/kernel/debug/fail_usercopy",
	"/sys/kernel/debug/map_contig/fail",
};

static void set(const char *folder, const char *name, const char *value)
{
	char path[128];
	int err;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	err = write_text(path, "%s", value);
	if (err)
		fail("%s: %s (a debug kernel?)", path, strerror(-err));
}

static void attributes_set(void)
{
	uint64_t text = read_hex("/sys/module/map_contig/sections/.text"), size;
	char start[32], end[32];
	FILE *f = fopen("/sys/module/map_contig/coresize", "re");

	if (!f || fscanf(f, "%lu", &size) != 1)
		fail("the module's size: %m");
	fclose(f);
	snprintf(start, sizeof(start), "0x%lx", only_ours ? text : 0);
	snprintf(end, sizeof(end), "0x%lx", only_ours ? text + size : UINT64_MAX);
	for (size_t i = 0; i < sizeof(attributes) / sizeof(*attributes); i++) {
		set(attributes[i], "verbose", "0");
		set(attributes[i], "require-start", start);
		set(attributes[i], "require-end", end);
		/* A fault inside mmap has the module far up the stack. */
		set(attributes[i], "stacktrace-depth", "32");
	}
	set("/sys/kernel/debug/failslab", "ignore-gfp-wait", "N");
	set("/sys/kernel/debug/failslab", "cache-filter", "N");
	set("/sys/kernel/debug/fail_page_alloc", "ignore-gfp-wait", "N");
	set("/sys/kernel/debug/fail_page_alloc", "ignore-gfp-highmem", "N");
	set("/sys/kernel/debug/fail_page_alloc", "min-order", "0");
}

static int nth_fd;

static void nth_begin(unsigned int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", n);

	if (pwrite(nth_fd, text, (size_t)len, 0) != len)
		fail("/proc/thread-self/fail-nth: %m");
}

/* Whether a failure was injected; none will be from now on. */
static bool nth_end(void)
{
	char text[16] = "";
	ssize_t got = pread(nth_fd, text, sizeof(text) - 1, 0);

	/* Reading, or writing, can be what fails: then the operation did not. */
	if (pwrite(nth_fd, "0", 1, 0) != 1) {
		if (pwrite(nth_fd, "0", 1, 0) != 1)
			fail("fail-nth cannot be turned off: %m");
		return false;
	}
	return got > 0 && atoi(text) == 0;
}

/* --- What must hold afterwards --- */

static sigjmp_buf jump;

static void on_fault(int signal)
{
	siglongjmp(jump, signal);
}

/* In the child: it may have the bytes of its parent, or nothing of them. */
static int look_at_memory(void)
{
	struct sigaction action = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };
	volatile unsigned int good = 0, bus = 0, segv = 0;
	unsigned int pages = ctx.length / PAGE;

	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	for (volatile size_t i = 0; i < ctx.length; i += PAGE) {
		int signal = sigsetjmp(jump, 1);

		if (signal) {
			bus = bus + (signal == SIGBUS);
			segv = segv + (signal == SIGSEGV);
			continue;
		}
		for (size_t j = 0; j < PAGE; j++)
			if (ctx.addr[i + j] != (char)(1 + i / PAGE % 250))
				return CHILD_WRONG;
		good = good + 1;
	}
	if (good == pages)
		return CHILD_GOOD;
	return bus == pages ? CHILD_SIGBUS : segv == pages ? CHILD_SIGSEGV : CHILD_MIXED;
}

static unsigned int child_outcomes[CHILD_WRONG + 1];

static int child_wait(void)
{
	int status;

	if (waitpid(ctx.child, &status, 0) != ctx.child)
		fail("waitpid: %m");
	ctx.child = 0;
	if (!WIFEXITED(status))
		fail("a child ended with status 0x%x", status);
	if (WEXITSTATUS(status) > CHILD_WRONG)
		fail("a child's status %d", WEXITSTATUS(status));
	child_outcomes[WEXITSTATUS(status)]++;
	return WEXITSTATUS(status);
}

static bool is_documented(const struct operation *operation, int err)
{
	/* The kernel's own copies from a program, on the way to us. */
	if (err == -ENOMEM || (err == -EFAULT && !only_ours))
		return true;
	for (int i = 0; i < 4 && operation->errors[i]; i++)
		if (err == -operation->errors[i])
			return true;
	return false;
}

/* The lowest that is free. */
static int free_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static void cleanup(void)
{
	if (ctx.addr)
		munmap(ctx.addr, ctx.length);
	if (ctx.moved)
		munmap(ctx.moved, ctx.length);
	if (close_range((unsigned int)first_fd, ~0U, 0))
		fail("close_range: %m");
	if (write_text(PARAMETERS "reserve", "0"))
		fail("reserve cannot be given back: %m");
}

static void works_still(const char *after)
{
	need(node_open(), after);
	need(map(ctx.node, SMALL, 0), after);
	for (size_t i = 0; i < SMALL; i++)
		if (ctx.addr[i])
			fail("%s: new memory is not zero", after);
	cleanup();
}

/* One failure, at step n. Returns whether there was one. */
static bool step(const struct operation *operation, unsigned int n)
{
	char after[64];
	bool injected;
	int err, fd;

	memset(&ctx, 0, sizeof(ctx));
	snprintf(after, sizeof(after), "%s, step %u", operation->name, n);
	operation->setup();
	fd = free_fd();
	nth_begin(n);
	err = operation->run();
	if (operation->outcomes && !err && !ctx.child)
		_exit(look_at_memory());
	injected = nth_end();

	if (err && !injected)
		fail("%s: %s without a failure injected", after, strerror(-err));
	if (err && !is_documented(operation, err))
		fail("%s: %s is not documented", after, strerror(-err));
	if (err && free_fd() != fd)
		fail("%s: %s, and descriptor %d is left behind", after, strerror(-err), fd);
	if (operation->outcomes) {
		if (err && only_ours)
			fail("%s: fork failed because of us", after);
		if (!err && !(operation->outcomes & 1U << child_wait()))
			fail("%s: the child saw what it must not see", after);
		if (operation->outcomes & 1U << CHILD_GOOD && look_at_memory() != CHILD_GOOD)
			fail("%s: the parent's bytes are not as they were", after);
		signal(SIGBUS, SIG_DFL);
		signal(SIGSEGV, SIG_DFL);
	}
	cleanup();
	expect_nothing_held(after);
	memset(&ctx, 0, sizeof(ctx));
	works_still(after);
	expect_nothing_held(after);
	return injected;
}

static void run(const struct operation *operation)
{
	double start = now();
	int64_t before, missing;
	unsigned int n;

	memset(child_outcomes, 0, sizeof(child_outcomes));
	/* Far away: once without a failure, to have in memory what stays there. */
	step(operation, 1000000000);
	before = memory_free();
	for (n = 1; step(operation, n); n++)
		if (n == STEPS_MAX)
			fail("%s: no end after %u steps", operation->name, n);
	missing = memory_missing(before, SLACK);
	if (missing)
		fail("%s: %ld KiB of memory are missing", operation->name, (long)(missing / 1024));
	printf("%-20s %5u steps made to fail, %5.1f s", operation->name, n - 1, now() - start);
	if (operation->outcomes)
		printf(", children: %u as they should, %u SIGBUS",
		       child_outcomes[CHILD_GOOD] + child_outcomes[CHILD_SIGSEGV],
		       child_outcomes[CHILD_SIGBUS]);
	printf("\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	const char *pattern = "";
	unsigned int ran = 0;
	bool has_device;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--all"))
			only_ours = false;
		else
			pattern = argv[i];
	}
	has_device = operations_begin();
	attributes_set();
	nth_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (nth_fd < 0)
		fail("/proc/thread-self/fail-nth: %m");
	first_fd = free_fd();
	for (size_t i = 0; i < noperations; i++) {
		if (!strstr(operations[i].name, pattern))
			continue;
		/*
		 * Where fork fails by itself the kernel warns (its stack), or ends the
		 * program (rseq, whose page it must copy then).
		 */
		if (operations[i].outcomes && !only_ours)
			continue;
		if (operations[i].needs_device && !has_device) {
			printf("%-20s skipped: no edu device\n", operations[i].name);
			continue;
		}
		run(&operations[i]);
		ran++;
	}
	if (!ran)
		fail("no operation is named '%s'", pattern);
	printf("every step of %u operations has failed once\n", ran);
	return 0;
}
