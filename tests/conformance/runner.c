// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "machine.h"
#include "runner.h"
#include "vfio_edu.h"

/* Many times what the slowest takes on an emulator that has the machine for itself. */
#define USUAL_TIMEOUT 240

/* What a test's processes tell the runner; shared by all of them. */
struct verdict {
	volatile int failed;
	volatile int skipped;
	char reason[256];
};

static struct verdict *verdict;
static int verdict_fd;
static int tap_fd = -1;
static const struct front *front;

/* One write for each line: several processes may print. */
static void print(const char *prefix, const char *format, va_list args)
{
	char line[1024];
	int len = snprintf(line, sizeof(line), "%s", prefix);

	len += vsnprintf(line + len, sizeof(line) - (size_t)len - 1, format, args);
	if (len > (int)sizeof(line) - 2)
		len = (int)sizeof(line) - 2;
	for (int i = 0; i < len; i++)
		if (line[i] == '\n')
			line[i] = ' ';
	line[len++] = '\n';
	if (write(STDOUT_FILENO, line, (size_t)len) != len ||
	    (tap_fd >= 0 && write(tap_fd, line, (size_t)len) != len))
		_exit(1);
}

static void tap(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void tap(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print("", format, args);
	va_end(args);
}

void note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print("# ", format, args);
	va_end(args);
}

/* The first to say it is right: a check that fails because of it is its echo. */
static void vtell(volatile int *what, const char *format, va_list args)
{
	if (!__sync_lock_test_and_set(what, 1))
		vsnprintf(verdict->reason, sizeof(verdict->reason), format, args);
}

static void tell_failure(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vtell(&verdict->failed, format, args);
	va_end(args);
}

_Noreturn void check_fail(const char *file, int line, const char *format, ...)
{
	const char *name = strrchr(file, '/');
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	note("%s:%d: %s", name ? name + 1 : file, line, text);
	tell_failure("%s", text);
	_exit(1);
}

_Noreturn void check_skip(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vtell(&verdict->skipped, format, args);
	va_end(args);
	_exit(0);
}

_Noreturn void edu_is_missing(void)
{
	check_skip("no edu device (VDMA_BDF_EDU)");
}

void *contig_alloc(size_t len)
{
	return front ? front->alloc(len) : contig_mmap(len);
}

double kill_ms(pid_t pid)
{
	double start = now_ms();

	CHECK_OK(kill(pid, SIGKILL));
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	return now_ms() - start;
}

pid_t holder(size_t len, void (*forever)(void))
{
	int ends[2];
	char byte;
	pid_t pid;

	CHECK_OK(pipe(ends));
	pid = fork();
	CHECK_OK(pid);
	if (!pid) {
		CHECK_OK(contig_alloc(len));
		CHECK_EQ(write(ends[1], "", 1), 1);
		for (;;)
			forever();
	}
	CHECK_EQ(read(ends[0], &byte, 1), 1);
	close(ends[0]);
	close(ends[1]);
	return pid;
}

static void sleep_on(void)
{
	pause();
}

double kill_idle_ms(size_t len)
{
	return kill_ms(holder(len, sleep_on));
}

void *contig_map(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	return front->map(addr, len, prot, flags, fd, offset);
}

static void full_name(char *name, size_t size, const struct test *test, const struct front *f)
{
	snprintf(name, size, f ? "%s/%s" : "%s", test->name, f ? f->name : "");
}

/* The test's process, after exec if it had to be. */
static _Noreturn void run_here(const struct test *test)
{
	/* Should the runner be killed, so is its test. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	test->run();
	_exit(0);
}

/* By its name and where to look for it: LD_PRELOAD takes no path with a blank in it. */
static void set_preload(const char *preload)
{
	const char *name = strrchr(preload, '/'), *others = getenv("LD_LIBRARY_PATH");
	char path[4096];

	if (name) {
		snprintf(path, sizeof(path), "%.*s%s%s", (int)(name - preload), preload,
			 others ? ":" : "", others ? others : "");
		setenv("LD_LIBRARY_PATH", path, 1);
		preload = name + 1;
	}
	setenv("LD_PRELOAD", preload, 1);
}

static _Noreturn void exec_child(const char *name, const char *preload)
{
	char verdict_text[16], tap_text[16];
	char *words[] = { "vdma-conformance", RUNNER_CHILD, (char *)name,
			  verdict_text,	      tap_text,	    NULL };

	snprintf(verdict_text, sizeof(verdict_text), "%d", verdict_fd);
	snprintf(tap_text, sizeof(tap_text), "%d", tap_fd);
	fcntl(verdict_fd, F_SETFD, 0);
	if (tap_fd >= 0)
		fcntl(tap_fd, F_SETFD, 0);
	set_preload(preload);
	execv("/proc/self/exe", words);
	FAIL("exec: %m");
}

static void map_verdict(void)
{
	verdict = mmap(NULL, sizeof(*verdict), PROT_READ | PROT_WRITE, MAP_SHARED, verdict_fd, 0);
	if (verdict == MAP_FAILED) {
		perror("vdma-conformance: memory for the verdict");
		exit(2);
	}
}

/* Waits until the test's first process is gone; its status, or -1 at the time limit. */
static int wait_for(pid_t pid, unsigned int timeout)
{
	double end = now_ms() + timeout * 1e3;
	int status;

	for (;;) {
		/* Its orphans are ours to bury. */
		pid_t gone = waitpid(-1, &status, WNOHANG);

		if (gone == pid)
			return status;
		if (gone < 0 && errno != EINTR)
			return 0;
		if (now_ms() > end)
			return -1;
		if (!gone)
			usleep(2000);
	}
}

/* Whatever the test has left running, in whatever session. */
static void kill_the_rest(pid_t pid)
{
	double end = now_ms() + 10e3;

	kill(-pid, SIGKILL);
	while (now_ms() < end) {
		pid_t gone;

		machine_kill_children();
		gone = waitpid(-1, NULL, WNOHANG);
		if (gone < 0)
			return;
		if (!gone)
			usleep(2000);
	}
	tell_failure("a process of the test cannot be killed");
}

static void judge(int status, unsigned int timeout)
{
	if (status == -1)
		tell_failure("not done after %u s", timeout);
	else if (WIFSIGNALED(status))
		tell_failure("killed by signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status))
		tell_failure("exit status %d", WEXITSTATUS(status));
}

static bool run_one(unsigned int number, const struct test *test, const struct front *f,
		    const struct runner_options *options)
{
	unsigned int timeout = test->timeout ? test->timeout : USUAL_TIMEOUT;
	double start = now_ms();
	char name[128];
	unsigned int left;
	int status;
	pid_t pid;

	full_name(name, sizeof(name), test, f);
	memset(verdict, 0, sizeof(*verdict));
	pid = fork();
	if (!pid) {
		setpgid(0, 0);
		front = f;
		if (f && f->preload)
			exec_child(name, options->preload);
		run_here(test);
	}
	if (pid < 0)
		tell_failure("fork: %s", strerror(errno));
	else
		judge(status = wait_for(pid, timeout), timeout);
	kill_the_rest(pid);
	left = machine_restore();
	if (left)
		tell_failure("%u regions are left in the ledger", left);

	if (verdict->failed)
		tap("not ok %u - %s # %s", number, name, verdict->reason);
	else if (verdict->skipped)
		tap("ok %u - %s # SKIP %s", number, name, verdict->reason);
	else
		tap("ok %u - %s", number, name);
	note("%s took %.0f ms", name, now_ms() - start);
	return !verdict->failed;
}

typedef bool (*each_fn)(const struct test *test, const struct front *f, void *arg);

/* Those of a test's front ends that it is run through; turn picks the one. */
static unsigned int fronts_of(const struct test *test, bool one, unsigned int turn)
{
	unsigned int which = test->fronts;

	if (!one)
		return which;
	/* Clear the lowest ones, until the one whose turn it is is the lowest. */
	for (turn %= (unsigned int)__builtin_popcount(which); turn; turn--)
		which &= which - 1;
	return which & -which;
}

/* Calls fn for each test that the options let through; how often it returned false. */
static unsigned int each(const struct test *const *tables, const struct runner_options *options,
			 each_fn fn, void *arg)
{
	unsigned int bad = 0, turn = 0;
	char name[128];

	for (; *tables; tables++)
		for (const struct test *test = *tables; test->name; test++) {
			unsigned int which = 0;

			if (test->fronts)
				which = fronts_of(test, options->one_front, turn++);
			for (unsigned int i = 0; i < FRONTS; i++) {
				const struct front *f = test->fronts ? &fronts[i] : NULL;

				if (f && !(which & 1U << i))
					continue;
				full_name(name, sizeof(name), test, f);
				if (!options->filter ||
				    !fnmatch(options->filter, name, FNM_EXTMATCH))
					bad += !fn(test, f, arg);
				if (!f)
					break;
			}
		}
	return bad;
}

struct run {
	const struct runner_options *options;
	unsigned int number;
};

static bool each_list(const struct test *test, const struct front *f, void *arg)
{
	char name[128];

	(void)arg;
	full_name(name, sizeof(name), test, f);
	puts(name);
	return true;
}

static bool each_count(const struct test *test, const struct front *f, void *arg)
{
	(void)test;
	(void)f;
	++*(unsigned int *)arg;
	return true;
}

static bool each_run(const struct test *test, const struct front *f, void *arg)
{
	struct run *run = arg;

	return run_one(++run->number, test, f, run->options);
}

unsigned int runner_run(const struct test *const *tables, const struct runner_options *options)
{
	struct run run = { .options = options };
	unsigned int count = 0, failed;

	if (options->list)
		return each(tables, options, each_list, NULL);
	if (options->tap) {
		tap_fd = open(options->tap, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC,
			      0644);
		if (tap_fd < 0) {
			perror(options->tap);
			return 1;
		}
	}
	verdict_fd = memfd_create("verdict", MFD_CLOEXEC);
	if (verdict_fd < 0 || ftruncate(verdict_fd, sizeof(*verdict))) {
		perror("vdma-conformance: memory for the verdict");
		return 1;
	}
	map_verdict();
	/* What a test's processes leave behind is ours to end. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	each(tables, options, each_count, &count);
	if (!count) {
		fprintf(stderr, "vdma-conformance: no test is called '%s'\n", options->filter);
		return 1;
	}
	tap("TAP version 13");
	tap("1..%u", count);
	machine_save();
	failed = each(tables, options, each_run, &run);
	note("%u of %u failed", failed, count);
	return failed;
}

struct find {
	const char *name;
	const struct test *test;
	const struct front *front;
};

static bool each_find(const struct test *test, const struct front *f, void *arg)
{
	struct find *find = arg;
	char name[128];

	full_name(name, sizeof(name), test, f);
	if (!strcmp(name, find->name)) {
		find->test = test;
		find->front = f;
	}
	return true;
}

_Noreturn void runner_run_child(const struct test *const *tables, char **words)
{
	const struct runner_options all = { 0 };
	struct find find = { .name = words[0] };

	if (!words[0] || !words[1] || !words[2])
		exit(2);
	verdict_fd = atoi(words[1]);
	tap_fd = atoi(words[2]);
	fcntl(verdict_fd, F_SETFD, FD_CLOEXEC);
	if (tap_fd >= 0)
		fcntl(tap_fd, F_SETFD, FD_CLOEXEC);
	map_verdict();
	each(tables, &all, each_find, &find);
	if (!find.test)
		FAIL("no test is called '%s'", find.name);
	front = find.front;
	run_here(find.test);
}
