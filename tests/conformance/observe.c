// SPDX-License-Identifier: BSD-3-Clause
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>

#include "check.h"
#include "observe.h"

#define PM_PRESENT (1ULL << 63)
#define PM_FRAME ((1ULL << 55) - 1)

void *contig_mmap_at(void *addr, size_t len, int prot, int flags)
{
	int fd = open("/dev/map_contig", O_RDWR | O_CLOEXEC), err;
	void *va;

	if (fd < 0)
		return MAP_FAILED;
	va = mmap(addr, len, prot, flags, fd, 0);
	err = errno;
	/* The mapping must not need the descriptor. */
	close(fd);
	errno = err;
	return va;
}

void *contig_mmap(size_t len)
{
	return contig_mmap_at(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED);
}

static uint64_t *pagemap_read(const void *addr, size_t len)
{
	size_t n = len / PAGE;
	uint64_t *entries = malloc(n * sizeof(*entries));
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	size_t want = n * sizeof(*entries), got = 0;

	CHECK(entries);
	CHECK(fd >= 0);
	while (got < want) {
		ssize_t r = pread(fd, (char *)entries + got, want - got,
				  (off_t)((uintptr_t)addr / PAGE * sizeof(*entries) + got));

		if (r <= 0)
			FAIL("/proc/self/pagemap: %m");
		got += (size_t)r;
	}
	close(fd);
	return entries;
}

uint64_t *pagemap_frames(const void *addr, size_t len)
{
	uint64_t *entries = pagemap_read(addr, len);

	for (size_t i = 0; i < len / PAGE; i++) {
		if (!(entries[i] & PM_PRESENT))
			FAIL("page %zu of %p is not present", i, addr);
		entries[i] &= PM_FRAME;
		if (!entries[i])
			FAIL("no frame numbers in pagemap: not root?");
	}
	return entries;
}

bool pagemap_any_present(const void *addr, size_t len)
{
	/* Not from malloc(), which may map its memory just where we look. */
	static uint64_t entries[512];
	const char *at = addr, *end = at + len;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	bool any = false;

	CHECK(fd >= 0);
	while (at < end) {
		size_t n = (size_t)(end - at) / PAGE < 512 ? (size_t)(end - at) / PAGE : 512;
		ssize_t size = (ssize_t)(n * sizeof(*entries));

		CHECK_EQ(pread(fd, entries, (size_t)size,
			       (off_t)((uintptr_t)at / PAGE * sizeof(*entries))),
			 size);
		for (size_t i = 0; i < n; i++)
			any |= (entries[i] & PM_PRESENT) != 0;
		at += n * PAGE;
	}
	close(fd);
	return any;
}

bool frames_consecutive(const uint64_t *frames, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (frames[i] != frames[0] + i)
			return false;
	return true;
}

int numa_nodes(void)
{
	char text[64];
	int last = 0;

	/* "0" or "0-1" */
	if (file_text("/sys/devices/system/node/has_memory", text, sizeof(text)) &&
	    sscanf(text, "0-%d", &last) != 1)
		last = 0;
	return last + 1;
}

bool frames_are(const void *addr, size_t len, const uint64_t *frames)
{
	uint64_t *now = pagemap_frames(addr, len);
	bool same = !memcmp(now, frames, len / PAGE * sizeof(*now));

	free(now);
	return same;
}

bool is_filled(const void *addr, size_t len, unsigned char byte)
{
	const unsigned char *at = addr;

	return at[0] == byte && !memcmp(at, at + 1, len - 1);
}

/* "Field:   123 kB" in a file, from the line that begins with after on. */
static int64_t field_of(const char *path, const char *after, const char *field)
{
	char line[512], name[64];
	FILE *f = fopen(path, "re");
	bool seen = !after;
	int64_t value;

	if (!f)
		FAIL("%s: %m", path);
	while (fgets(line, sizeof(line), f)) {
		if (!seen) {
			seen = !strncmp(line, after, strlen(after));
			continue;
		}
		if (sscanf(line, "%63[^:]: %ld", name, &value) == 2 && !strcmp(name, field)) {
			fclose(f);
			return value * (int64_t)KIB;
		}
	}
	FAIL("%s has no %s", path, field);
	return -1;
}

int64_t meminfo(const char *field)
{
	return field_of("/proc/meminfo", NULL, field);
}

int64_t status(const char *field)
{
	return field_of("/proc/self/status", NULL, field);
}

int64_t smaps(const void *addr, const char *field)
{
	char start[32];

	snprintf(start, sizeof(start), "%lx-", (unsigned long)addr);
	return field_of("/proc/self/smaps", start, field);
}

bool file_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t got = 0;
	ssize_t r;

	if (fd < 0)
		return false;
	while (got < size - 1 && (r = read(fd, text + got, size - 1 - got)) > 0)
		got += (size_t)r;
	close(fd);
	text[got] = 0;
	return true;
}

void file_set(const char *path, const char *format, ...)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), len;
	char text[256];
	va_list args;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (fd < 0 || write(fd, text, (size_t)len) != len)
		FAIL("%s to %s: %m", text, path);
	close(fd);
}

unsigned int kernel_version(void)
{
	unsigned int major, minor;
	struct utsname u;

	if (uname(&u) || sscanf(u.release, "%u.%u", &major, &minor) != 2)
		FAIL("what kernel is this?");
	return major * 100 + minor;
}

/*
 * Free pages that lie on per-CPU lists; MemFree leaves them out, and since 2 MiB
 * folios are kept there too, it may be by tens of MiB.
 */
static int64_t per_cpu_free(void)
{
	FILE *f = fopen("/proc/zoneinfo", "re");
	int64_t count, pages = 0;
	char line[256];

	if (!f)
		FAIL("/proc/zoneinfo: %m");
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, " count: %ld", &count) == 1)
			pages += count;
	fclose(f);
	return pages * (int64_t)PAGE;
}

int64_t mem_free_settled(void)
{
	file_set("/proc/sys/vm/drop_caches", "3");
	/* A debug kernel keeps for a while what has been freed of slabs, which are not ours. */
	return meminfo("MemFree") + meminfo("Slab") + per_cpu_free();
}

int64_t mem_available(void)
{
	return meminfo("MemAvailable") + per_cpu_free();
}

int64_t mem_free_at_rest(void)
{
	int64_t last, now = mem_free_settled();

	for (int i = 0; i < 30; i++) {
		last = now;
		usleep(100 * 1000);
		now = mem_free_settled();
		if (llabs(now - last) < (int64_t)(256 * KIB))
			break;
	}
	return now;
}

void check_free(int64_t before)
{
	int64_t now = 0;

	/* Exit and unpin finish behind our back: give them a moment. */
	for (int i = 0; i < 30; i++) {
		now = mem_free_settled();
		if (now > before - SLACK)
			return;
		usleep(100 * 1000);
	}
	FAIL("free memory was %ld MiB, is %ld MiB", before / (int64_t)MIB, now / (int64_t)MIB);
}

static unsigned int ledger_base;

static FILE *ledger_open(void)
{
	FILE *f = fopen("/sys/kernel/debug/map_contig/ledger", "re");

	if (!f)
		FAIL("the ledger: %m");
	return f;
}

static unsigned int ledger_count(void)
{
	FILE *f = ledger_open();
	unsigned int n = 0;
	char line[512];

	while (fgets(line, sizeof(line), f))
		n += line[0] != '#';
	fclose(f);
	return n;
}

unsigned int ledger_lines(void)
{
	unsigned int n = ledger_count();

	return n > ledger_base ? n - ledger_base : 0;
}

void ledger_set_base(void)
{
	ledger_base = ledger_count();
}

void ledger_text(unsigned int n, const char *column, char *text, size_t size)
{
	char heading[512], line[512], *at, *word, *save, *save2;
	FILE *f = ledger_open();

	if (!fgets(heading, sizeof(heading), f))
		FAIL("the ledger has no heading");
	for (n += ledger_base + 1; n; n -= line[0] != '#')
		if (!fgets(line, sizeof(line), f))
			FAIL("the ledger has fewer lines");
	fclose(f);
	at = strtok_r(heading, "# \n", &save);
	word = strtok_r(line, " \n", &save2);
	while (at && word && strcmp(at, column)) {
		at = strtok_r(NULL, " \n", &save);
		word = strtok_r(NULL, " \n", &save2);
	}
	if (!at || !word)
		FAIL("the ledger has no column %s", column);
	snprintf(text, size, "%s", word);
}

int64_t ledger_number(unsigned int n, const char *column)
{
	char text[64];

	ledger_text(n, column, text, sizeof(text));
	return strtoll(text, NULL, 0);
}

unsigned int ledger_wait(unsigned int n)
{
	unsigned int lines = 0;

	for (int i = 0; i < 300; i++) {
		lines = ledger_lines();
		if (lines == n)
			break;
		usleep(10 * 1000);
	}
	return lines;
}

long faults(void)
{
	struct rusage usage;

	CHECK_OK(getrusage(RUSAGE_SELF, &usage));
	return usage.ru_minflt + usage.ru_majflt;
}

void *memory_fill(size_t spare, size_t *len)
{
	char *va;

	*len = (size_t)(meminfo("MemAvailable") - (int64_t)spare) / FOLIO * FOLIO;
	va = mmap(NULL, *len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		  -1, 0);
	CHECK_OK(va);
	/* A word in each page: nobody else has the page then. */
	for (size_t i = 0; i < *len; i += PAGE)
		*(uint64_t *)(va + i) = ~i;
	return va;
}

void memory_fill_check(const void *va, size_t len)
{
	for (size_t i = 0; i < len; i += PAGE)
		if (*(const uint64_t *)((const char *)va + i) != ~i)
			FAIL("somebody wrote into memory that was given to us");
}

void memory_churn(void)
{
	int64_t len = meminfo("MemAvailable") - (int64_t)(96 * MIB);
	char *va;

	CHECK(len > 0);
	va = mmap(NULL, (size_t)len, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK_OK(va);
	/* Huge and small pages, so that folios of every size have lain everywhere. */
	madvise(va, (size_t)len / 4 / FOLIO * FOLIO, MADV_NOHUGEPAGE);
	for (int64_t i = 0; i < len; i += (int64_t)PAGE)
		*(uint64_t *)(va + i) = 0xa5a5a5a5a5a5a5a5;
	munmap(va, (size_t)len);
}

static sigjmp_buf fault_jmp;

static void on_fault(int sig)
{
	siglongjmp(fault_jmp, sig);
}

static int touch(void *addr, bool write)
{
	struct sigaction sa = { .sa_handler = on_fault }, segv, bus;
	int sig;

	sigaction(SIGSEGV, &sa, &segv);
	sigaction(SIGBUS, &sa, &bus);
	sig = sigsetjmp(fault_jmp, 1);
	if (!sig) {
		volatile char *at = addr;
		char byte = *at;

		if (write)
			*at = byte;
	}
	sigaction(SIGSEGV, &segv, NULL);
	sigaction(SIGBUS, &bus, NULL);
	return sig;
}

int touch_read(const void *addr)
{
	return touch((void *)(uintptr_t)addr, false);
}

int touch_write(void *addr)
{
	return touch(addr, true);
}

int in_child(int (*fn)(void *), void *arg)
{
	int wstatus;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	CHECK_OK(pid);
	if (!pid)
		_exit(fn(arg));
	CHECK_EQ(waitpid(pid, &wstatus, 0), pid);
	return WIFEXITED(wstatus) ? WEXITSTATUS(wstatus) : 256 + WTERMSIG(wstatus);
}

void become_of(uid_t uid, gid_t gid, size_t memlock)
{
	struct rlimit limit = { memlock, memlock };

	if (setrlimit(RLIMIT_MEMLOCK, &limit) || setgroups(0, NULL) || setgid(gid) || setuid(uid))
		FAIL("to become user %u: %m", uid);
	/* What setuid made unreadable: /proc/self/pagemap and its like. */
	CHECK_OK(prctl(PR_SET_DUMPABLE, 1));
}

void become(uid_t uid, size_t memlock)
{
	become_of(uid, uid, memlock);
}

void node_let_in(gid_t gid)
{
	CHECK_OK(chown("/dev/map_contig", 0, gid));
	CHECK_OK(chmod("/dev/map_contig", 0660));
}

double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}
