// SPDX-License-Identifier: BSD-3-Clause
/*
 * Runs with libvdma-preload.so, and holds mmap() against the system call. On a
 * machine without the module MAP_CONTIG is EOPNOTSUPP, with it there is memory.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vdma/mmap.h>

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_ANONYMOUS | MAP_PRIVATE)

#define CHECK(cond) \
	do { \
		if (!(cond)) { \
			fprintf(stderr, "line %d: %s does not hold (errno %s)\n", __LINE__, #cond, \
				strerrorname_np(errno)); \
			exit(1); \
		} \
	} while (0)

static bool with_module;

static unsigned int open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void test_in_place(void)
{
	Dl_info info;

	CHECK(dladdr(dlsym(RTLD_DEFAULT, "mmap"), &info));
	CHECK(strstr(info.dli_fname, "libvdma-preload.so"));
	CHECK(dladdr(dlsym(RTLD_DEFAULT, "mmap64"), &info));
	CHECK(strstr(info.dli_fname, "libvdma-preload.so"));
}

/* The same outcome and errno as the system call, for calls without MAP_CONTIG. */
static void test_untouched(int file)
{
	const struct {
		size_t length;
		int prot, flags, fd;
		off_t offset;
	} calls[] = {
		{ 4096, RW, ANON, -1, 0 },
		{ 1, PROT_NONE, ANON | MAP_NORESERVE, -1, 0 },
		{ 1 << 21, RW, ANON | MAP_POPULATE, -1, 0 },
		{ 4096, RW, MAP_ANONYMOUS | MAP_SHARED, -1, 0 },
		{ 4096, RW, ANON, 77, 0 },
		{ 4096, PROT_READ, MAP_SHARED, file, 4096 },
		{ 4096, RW, MAP_PRIVATE, file, 0 },
		{ 4096, PROT_READ, MAP_SHARED_VALIDATE, file, 0 },
		{ 4096, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, file, 0 },
		{ 4096, RW, ANON | MAP_32BIT, -1, 0 },
		{ 4096, RW, ANON | MAP_STACK | MAP_GROWSDOWN, -1, 0 },
		{ 0, RW, ANON, -1, 0 },
		{ SIZE_MAX, RW, ANON, -1, 0 },
		{ 4096, RW, 0, -1, 0 },
		{ 4096, RW, MAP_ANONYMOUS, -1, 0 },
		{ 4096, RW, MAP_PRIVATE, -1, 0 },
		{ 4096, RW, MAP_PRIVATE, file, 1 },
		{ 4096, RW, MAP_PRIVATE, file, INT64_MIN },
	};
	unsigned int i;

	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		void *(*const entry[])(void *, size_t, int, int, int, off_t) = { mmap, mmap64 };
		unsigned int e;

		for (e = 0; e < 2; e++) {
			long raw;
			void *va;
			int err;

			errno = 0;
			raw = syscall(SYS_mmap, NULL, calls[i].length, calls[i].prot,
				      calls[i].flags, calls[i].fd, calls[i].offset);
			err = errno;
			if (raw != -1)
				syscall(SYS_munmap, raw, calls[i].length);
			errno = 0;
			va = entry[e](NULL, calls[i].length, calls[i].prot, calls[i].flags,
				      calls[i].fd, calls[i].offset);
			if (errno != err || (va == MAP_FAILED) != (raw == -1)) {
				fprintf(stderr, "call %u: %d, the system call: %d\n", i, errno,
					err);
				exit(1);
			}
			if (va != MAP_FAILED)
				CHECK(!munmap(va, calls[i].length));
		}
	}
}

/* One page with MAP_CONTIG: there, or EOPNOTSUPP. */
static bool contig_page(void)
{
	char *va = mmap(NULL, 4096, RW, MAP_CONTIG | ANON, -1, 0);

	if (!with_module)
		return va == MAP_FAILED && errno == EOPNOTSUPP;
	if (va == MAP_FAILED || va[0] || va[4095])
		return false;
	va[0] = 1;
	return !munmap(va, 4096);
}

static void test_contig(int file)
{
	CHECK(contig_page());
	CHECK(mmap(NULL, 4096, RW, MAP_CONTIG | MAP_PRIVATE, file, 0) == MAP_FAILED);
	CHECK(errno == EINVAL);
	CHECK(mmap(NULL, 4096, RW, MAP_CONTIG | MAP_SHARED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
	CHECK(errno == EINVAL);
	CHECK(mmap64(NULL, 0, RW, MAP_CONTIG | ANON, -1, 0) == MAP_FAILED);
	CHECK(errno == EINVAL);
}

/* With the module: it is one mapping that munmap and mremap work on as they are. */
static void test_mapping(void)
{
	char *va, *moved;

	if (!with_module)
		return;
	errno = 77;
	va = mmap(NULL, 4 << 12, RW, MAP_CONTIG | ANON | MAP_POPULATE, -1, 0);
	CHECK(va != MAP_FAILED && errno == 77);
	strcpy(va, "moves");
	CHECK(mremap(va, 4 << 12, 8 << 12, MREMAP_MAYMOVE) == MAP_FAILED);
	moved = mremap(va, 4 << 12, 4 << 12, MREMAP_MAYMOVE | MREMAP_FIXED,
		       mmap(NULL, 4 << 12, PROT_NONE, ANON, -1, 0));
	CHECK(moved != MAP_FAILED && !strcmp(moved, "moves"));
	CHECK(mremap(moved, 4 << 12, 2 << 12, 0) == moved && !strcmp(moved, "moves"));
	CHECK(!munmap(moved, 2 << 12));
}

static atomic_uint bad;

static void *worker(void *arg)
{
	unsigned int i;

	(void)arg;
	for (i = 0; i < 500; i++) {
		char *va = mmap(NULL, 4096, RW, ANON, -1, 0);

		if (va == MAP_FAILED || !contig_page())
			bad++;
		else
			munmap(va, 4096);
	}
	return NULL;
}

static void on_alarm(int sig)
{
	int err = errno;

	(void)sig;
	if (!contig_page())
		bad++;
	errno = err;
}

/* From threads, from a signal handler that interrupts them, and from children. */
static void test_everywhere(void)
{
	const struct itimerval often = { { 0, 1000 }, { 0, 1000 } }, never = { 0 };
	pthread_t thread[4];
	unsigned int i;
	int status;

	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &often, NULL);
	for (i = 0; i < 4; i++)
		CHECK(!pthread_create(&thread[i], NULL, worker, NULL));
	for (i = 0; i < 20; i++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (!pid) {
			worker(NULL);
			_exit(bad != 0);
		}
		while (waitpid(pid, &status, 0) < 0)
			CHECK(errno == EINTR);
		CHECK(WIFEXITED(status) && !WEXITSTATUS(status));
	}
	for (i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	setitimer(ITIMER_REAL, &never, NULL);
	CHECK(!bad);
}

int main(void)
{
	FILE *file = tmpfile();
	unsigned int before;

	with_module = !access("/dev/map_contig", R_OK | W_OK);
	CHECK(file && !ftruncate(fileno(file), 8192));
	before = open_files();
	test_in_place();
	test_untouched(fileno(file));
	test_contig(fileno(file));
	test_mapping();
	test_everywhere();
	CHECK(open_files() == before);
	printf("mmap() is itself, and MAP_CONTIG %s\n", with_module ? "memory" : "EOPNOTSUPP");
	return 0;
}
