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
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "stress.h"

/* More than a folio, so that it takes a search; folios and single pages. */
#define LARGE (2 * MIB + 3 * PAGE)
#define SMALL (5 * PAGE)
/* Safe from endless loops, not a limit that is reached. */
#define STEPS_MAX 5000
/* Page tables and slabs that the kernel keeps for later. */
#define SLACK (6 * (int64_t)MIB)

static bool only_ours = true;

/* What an operation works on; made by its setup, without failures. */
static struct {
	int node;
	int fd;
	int buffer;
	char *addr;
	size_t length;
	char *moved;
	pid_t child;
	uint64_t offset;
} ctx;

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

/* --- Setups --- */

static int result(int r)
{
	return r < 0 ? -errno : 0;
}

static int node_open(void)
{
	ctx.node = open(MAP_CONTIG_DEVICE, O_RDWR | O_CLOEXEC);
	return result(ctx.node);
}

static void need(int err, const char *what)
{
	if (err)
		fail("setup: %s: %s", what, strerror(-err));
}

static void setup_nothing(void)
{
}

static void setup_node(void)
{
	need(node_open(), "open");
}

static int alloc_want(size_t length, const struct map_contig_constraints *want)
{
	struct map_contig_alloc alloc = { .size = sizeof(alloc), .length = length };

	if (want)
		alloc.want = *want;
	if (ioctl(ctx.node, MAP_CONTIG_ALLOC, &alloc))
		return -errno;
	ctx.fd = alloc.fd;
	ctx.length = length;
	return 0;
}

static int map(int fd, size_t length, off_t offset)
{
	void *addr = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);

	if (addr == MAP_FAILED)
		return -errno;
	ctx.addr = addr;
	ctx.length = length;
	return 0;
}

static void fill(void)
{
	for (size_t i = 0; i < ctx.length; i += PAGE)
		memset(ctx.addr + i, (int)(1 + i / PAGE % 250), PAGE);
}

static void setup_descriptor(void)
{
	setup_node();
	need(alloc_want(LARGE, NULL), "alloc");
}

static void setup_mapped(void)
{
	setup_node();
	need(map(ctx.node, LARGE, 0), "mmap");
	fill();
}

static void setup_exported(void)
{
	struct map_contig_export export = { .size = sizeof(export), .length = 4 * PAGE };

	setup_descriptor();
	need(result(ioctl(ctx.fd, MAP_CONTIG_EXPORT, &export)), "export");
	ctx.buffer = export.fd;
}

static void setup_fork(uint32_t policy)
{
	struct map_contig_configure configure = { .size = sizeof(configure), .want.fork = policy };

	setup_node();
	need(result(ioctl(ctx.node, MAP_CONTIG_CONFIGURE, &configure)), "configure");
	need(map(ctx.node, SMALL, 0), "mmap");
	fill();
}

static void setup_copy(void)
{
	setup_fork(MAP_CONTIG_FORK_COPY);
}

static void setup_share(void)
{
	setup_fork(MAP_CONTIG_FORK_SHARE);
}

static void setup_none(void)
{
	setup_fork(MAP_CONTIG_FORK_NONE);
}

static void setup_reserve(void)
{
	setup_node();
	need(write_text(PARAMETERS "reserve", "8M"), "reserve");
}

static int64_t bdf = -1;

static int hold(uint32_t flags)
{
	struct map_contig_hold want = { .size = sizeof(want),
					.flags = flags,
					.bdf = (uint32_t)bdf };

	return result(ioctl(ctx.fd, MAP_CONTIG_HOLD, &want));
}

static void setup_held(void)
{
	setup_descriptor();
	need(hold(0), "hold");
}

static void setup_shared_offset(void)
{
	struct map_contig_configure configure = { .size = sizeof(configure),
						  .flags = MAP_CONTIG_CONFIGURE_SHARED };
	struct map_contig_offset offset = { .size = sizeof(offset) };

	setup_node();
	need(result(ioctl(ctx.node, MAP_CONTIG_CONFIGURE, &configure)), "configure");
	need(map(ctx.node, SMALL, 0), "mmap");
	fill();
	offset.addr = (uintptr_t)ctx.addr;
	need(result(ioctl(ctx.node, MAP_CONTIG_OFFSET, &offset)), "offset");
	ctx.offset = offset.offset;
	configure.mode = MAP_CONTIG_MODE_MAP;
	need(result(ioctl(ctx.node, MAP_CONTIG_CONFIGURE, &configure)), "configure");
}

/* --- Operations --- */

static int do_alloc_small(void)
{
	return alloc_want(SMALL, NULL);
}

static int do_alloc_large(void)
{
	return alloc_want(LARGE, NULL);
}

static int do_alloc_constrained(void)
{
	struct map_contig_constraints want = { .alignment = 64 * KIB,
					       .boundary = 16 * MIB,
					       .phys_max = 0xffffffff,
					       .node_mode = MAP_CONTIG_NODE_STRICT };

	return alloc_want(SMALL, &want);
}

static int do_alloc_deadline(void)
{
	struct map_contig_constraints want = { .deadline_ms = 60000 };

	return alloc_want(LARGE, &want);
}

static int do_alloc_reserve(void)
{
	return alloc_want(4 * MIB, NULL);
}

static int do_mmap_node(void)
{
	return map(ctx.node, LARGE, 0);
}

static int do_mmap_node_small(void)
{
	return map(ctx.node, SMALL, 0);
}

static int do_mmap_descriptor(void)
{
	return map(ctx.fd, LARGE - 2 * PAGE, PAGE);
}

static int do_mmap_buffer(void)
{
	return map(ctx.buffer, 3 * PAGE, PAGE);
}

/* Beside the mapping that is there. */
static int do_mmap_offset(void)
{
	char *first = ctx.addr;
	int err = map(ctx.node, SMALL, (off_t)ctx.offset);

	if (!err) {
		ctx.moved = ctx.addr;
		ctx.addr = first;
	}
	return err;
}

static int do_export(void)
{
	struct map_contig_export export = { .size = sizeof(export) };

	return result(ioctl(ctx.fd, MAP_CONTIG_EXPORT, &export));
}

static int do_hold(void)
{
	return hold(0);
}

static int do_release(void)
{
	return hold(MAP_CONTIG_HOLD_RELEASE);
}

static int do_query(void)
{
	struct map_contig_query query = { .size = sizeof(query), .addr = (uintptr_t)ctx.addr };

	return result(ioctl(ctx.node, MAP_CONTIG_QUERY, &query));
}

static int do_limits(void)
{
	struct map_contig_limits limits = { .size = sizeof(limits) };

	return result(ioctl(ctx.node, MAP_CONTIG_LIMITS, &limits));
}

static int do_oracle(void)
{
	struct map_contig_oracle oracle = { .size = sizeof(oracle), .length = LARGE };

	return result(ioctl(ctx.node, MAP_CONTIG_ORACLE, &oracle));
}

static int do_version(void)
{
	struct map_contig_version version = { .size = sizeof(version) };

	return result(ioctl(ctx.node, MAP_CONTIG_VERSION, &version));
}

static int do_configure(void)
{
	struct map_contig_configure configure = { .size = sizeof(configure) };

	return result(ioctl(ctx.node, MAP_CONTIG_CONFIGURE, &configure));
}

static int do_offset(void)
{
	struct map_contig_offset offset = { .size = sizeof(offset), .addr = (uintptr_t)ctx.addr };

	return result(ioctl(ctx.node, MAP_CONTIG_OFFSET, &offset));
}

static int do_munmap(void)
{
	return result(munmap(ctx.addr, ctx.length));
}

static int do_munmap_part(void)
{
	return result(munmap(ctx.addr + 3 * PAGE, 2 * PAGE));
}

static int do_mprotect(void)
{
	return result(mprotect(ctx.addr + PAGE, PAGE, PROT_READ));
}

static int do_mremap(void)
{
	void *to =
		mremap(ctx.addr, ctx.length, ctx.length, MREMAP_MAYMOVE | MREMAP_FIXED, ctx.moved);

	if (to == MAP_FAILED)
		return -errno;
	ctx.addr = to;
	return 0;
}

static void setup_mremap(void)
{
	setup_mapped();
	/* Somewhere else, with page tables that are not there yet. */
	ctx.moved =
		mmap(NULL, 64 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ctx.moved == MAP_FAILED)
		fail("setup: %m");
	munmap(ctx.moved, 64 * MIB);
}

static int do_shrink(void)
{
	return result(mremap(ctx.addr, ctx.length, PAGE, 0) == MAP_FAILED ? -1 : 0);
}

static int do_dontneed(void)
{
	return result(madvise(ctx.addr, ctx.length, MADV_DONTNEED));
}

static int do_fork(void)
{
	ctx.child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (!ctx.child) {
		/* It has no failure coming: fail-nth is not inherited. */
		return 0;
	}
	return result(ctx.child);
}

/* The file is open already: its own steps are not ours. */
static int reserve_fd = -1;

static int reserve_write(const char *text)
{
	return result(pwrite(reserve_fd, text, strlen(text), 0) < 0 ? -1 : 0);
}

static int do_reserve_grow(void)
{
	return reserve_write("6M");
}

static int do_reserve_shrink(void)
{
	return reserve_write("0");
}

/* --- What must hold afterwards --- */

static sigjmp_buf jump;

static void on_fault(int signal)
{
	siglongjmp(jump, signal);
}

enum { CHILD_GOOD, CHILD_SIGBUS, CHILD_SIGSEGV, CHILD_MIXED, CHILD_WRONG };

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

struct operation {
	const char *name;
	void (*setup)(void);
	int (*run)(void);
	/* Beside ENOMEM; 0 ends it. */
	int errors[4];
	/* Of a child: the outcomes that are right, as bits. */
	unsigned int outcomes;
	bool needs_device;
};

#define GOOD (1U << CHILD_GOOD)
#define BUS (1U << CHILD_SIGBUS)
#define SEGV (1U << CHILD_SIGSEGV)

static const struct operation operations[] = {
	{ "open", setup_nothing, node_open, { 0 }, 0, false },
	{ "version", setup_node, do_version, { EFAULT }, 0, false },
	{ "limits", setup_node, do_limits, { EFAULT }, 0, false },
	{ "configure", setup_node, do_configure, { EFAULT }, 0, false },
	{ "oracle", setup_node, do_oracle, { EFAULT }, 0, false },
	{ "alloc-small", setup_node, do_alloc_small, { EFAULT, EMFILE, ENFILE }, 0, false },
	{ "alloc-large", setup_node, do_alloc_large, { EFAULT, EMFILE, ENFILE }, 0, false },
	{ "alloc-constrained",
	  setup_node,
	  do_alloc_constrained,
	  { EFAULT, EMFILE, ENFILE },
	  0,
	  false },
	{ "alloc-deadline", setup_node, do_alloc_deadline, { EFAULT, EMFILE, ENFILE }, 0, false },
	{ "alloc-reserve", setup_reserve, do_alloc_reserve, { EFAULT, EMFILE, ENFILE }, 0, false },
	{ "mmap-node", setup_node, do_mmap_node, { ENFILE }, 0, false },
	{ "mmap-node-small", setup_node, do_mmap_node_small, { ENFILE }, 0, false },
	{ "mmap-descriptor", setup_descriptor, do_mmap_descriptor, { 0 }, 0, false },
	{ "mmap-buffer", setup_exported, do_mmap_buffer, { 0 }, 0, false },
	{ "mmap-offset", setup_shared_offset, do_mmap_offset, { 0 }, 0, false },
	{ "query", setup_mapped, do_query, { EFAULT }, 0, false },
	{ "offset", setup_mapped, do_offset, { EFAULT }, 0, false },
	{ "export", setup_descriptor, do_export, { EFAULT, EMFILE, ENFILE }, 0, false },
	{ "hold", setup_descriptor, do_hold, { EFAULT }, 0, true },
	{ "release", setup_held, do_release, { EFAULT }, 0, true },
	{ "munmap", setup_mapped, do_munmap, { 0 }, 0, false },
	{ "munmap-part", setup_mapped, do_munmap_part, { 0 }, 0, false },
	{ "mprotect", setup_mapped, do_mprotect, { 0 }, 0, false },
	{ "mremap", setup_mremap, do_mremap, { 0 }, 0, false },
	{ "mremap-shrink", setup_mapped, do_shrink, { 0 }, 0, false },
	{ "madvise-dontneed", setup_mapped, do_dontneed, { 0 }, 0, false },
	{ "fork-copy", setup_copy, do_fork, { EAGAIN }, GOOD | BUS, false },
	{ "fork-share", setup_share, do_fork, { EAGAIN }, GOOD | BUS, false },
	{ "fork-none", setup_none, do_fork, { EAGAIN }, SEGV, false },
	{ "reserve-grow", setup_nothing, do_reserve_grow, { EFAULT }, 0, false },
	{ "reserve-shrink", setup_reserve, do_reserve_shrink, { EFAULT }, 0, false },
};

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

static void cleanup(void)
{
	if (ctx.addr)
		munmap(ctx.addr, ctx.length);
	if (ctx.moved)
		munmap(ctx.moved, ctx.length);
	/* Also a dma-buf whose number could not be told. */
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
	int err;

	memset(&ctx, 0, sizeof(ctx));
	snprintf(after, sizeof(after), "%s, step %u", operation->name, n);
	operation->setup();
	nth_begin(n);
	err = operation->run();
	if (operation->outcomes && !err && !ctx.child)
		_exit(look_at_memory());
	injected = nth_end();

	if (err && !injected)
		fail("%s: %s without a failure injected", after, strerror(-err));
	if (err && !is_documented(operation, err))
		fail("%s: %s is not documented", after, strerror(-err));
	if (operation->outcomes) {
		if (err && only_ours)
			fail("%s: fork failed because of us", after);
		if (!err && !(operation->outcomes & 1U << child_wait()))
			fail("%s: the child saw what it must not see", after);
		if (operation->outcomes & GOOD && look_at_memory() != CHILD_GOOD)
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

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--all"))
			only_ours = false;
		else
			pattern = argv[i];
	}
	bdf = parse_bdf(getenv("VDMA_BDF_EDU"));
	attributes_set();
	nth_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	reserve_fd = open(PARAMETERS "reserve", O_RDWR | O_CLOEXEC);
	if (nth_fd < 0 || reserve_fd < 0)
		fail("/proc/thread-self/fail-nth or the reserve: %m");
	first_fd = dup(0);
	for (size_t i = 0; i < sizeof(operations) / sizeof(*operations); i++) {
		if (!strstr(operations[i].name, pattern))
			continue;
		/*
		 * Where fork fails by itself the kernel warns (its stack), or ends the
		 * program (rseq, whose page it must copy then).
		 */
		if (operations[i].outcomes && !only_ours)
			continue;
		if (operations[i].needs_device && bdf < 0) {
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
