// SPDX-License-Identifier: BSD-3-Clause
/*
 * fuzz [--seed N] [--seconds N] [--workers N] [--verbose]: random sequences of
 * all calls, from several processes of several threads, while an administrator
 * changes limits and the reserve, takes memory away and brings it back, and kills
 * processes.
 *
 * What must hold: a region has the bytes that were last written to it, a new
 * one is zero, its frames follow one another and stay; a child has what the
 * policy says; an errno is a documented one. At the end nothing is held and
 * memory is as before. What the kernel has to report, scripts/guest looks for.
 *
 * The seed decides what each thread draws; how threads run against each other
 * it does not. To be run as root in a guest:
 *
 *	scripts/guest --kernel debug --device edu -- build/tests/stress/fuzz --seconds 60
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "fuzz.h"

struct shared *shared;
bool verbose;
int post[2];
int64_t edu = -1;
const char *edu_name;

/* What the kernel keeps of its own: page tables, stacks, lists. */
#define SLACK (24 * (int64_t)MIB)
#define PRESSURE_MAX (int64_t)(384 * MIB)
/* What others must be left with when memory is taken away. */
#define PRESSURE_MARGIN (int64_t)(160 * MIB)

static uint64_t seed;
static unsigned int nworkers = 2;
static pid_t workers[WORKERS_MAX];
static unsigned int generation;

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return (x ^ x >> 31) | 1;
}

/* --- Workers --- */

static void *thread(void *argument)
{
	struct fuzzer *fuzzer = argument;

	/* malloc() maps what a thread gets now, and not later (see map_here()). */
	free(malloc(1));
	while (now() < shared->end && !shared->failed)
		call_any(fuzzer);
	return NULL;
}

static void worker(unsigned int number)
{
	struct fuzzer fuzzers[THREADS];
	pthread_t threads[THREADS];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	guard_setup();
	if (!number)
		vfio_setup();
	for (int i = 0; i < REGIONS; i++)
		pthread_mutex_init(&regions[i].lock, NULL);
	for (unsigned int i = 0; i < THREADS; i++) {
		fuzzers[i].worker = number;
		fuzzers[i].thread = i;
		fuzzers[i].since = now();
		fuzzers[i].random = mix(seed ^ mix(generation << 16 | number << 8 | i));
		fuzzers[i].node = open(MAP_CONTIG_DEVICE, O_RDWR | O_CLOEXEC);
		if (fuzzers[i].node < 0)
			fail(MAP_CONTIG_DEVICE ": %m");
		if (pthread_create(&threads[i], NULL, thread, &fuzzers[i]))
			fail("pthread_create: %m");
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	_exit(0);
}

static void worker_start(unsigned int number)
{
	generation++;
	workers[number] = fork();
	if (!workers[number])
		worker(number);
	if (workers[number] < 0)
		fail("fork: %m");
}

/* wanted: the status that it may have beside 0. */
static void worker_wait(unsigned int number, int wanted)
{
	int status;

	if (waitpid(workers[number], &status, 0) != workers[number])
		fail("waitpid: %m");
	if (status && status != wanted) {
		shared->failed++;
		fprintf(stderr, "FAILED: worker %u ended with status 0x%x\n", number, status);
	}
}

/* --- The administrator --- */

static void read_text(const char *path)
{
	char text[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, sizeof(text)) <= 0)
		fail("%s cannot be read: %m", path);
	close(fd);
}

static void set_parameter(struct fuzzer *fuzzer, const char *name, const char *value)
{
	char path[128];
	int err;

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	err = write_text(path, "%s", value);
	/* What it reads as, too. */
	read_text(path);
	note(fuzzer, !strcmp(name, "reserve") ? CALL_RESERVE : CALL_PARAMETER, err, "%s = %s", name,
	     value);
	expect(fuzzer, name, err, EINVAL, ENOMEM, ERANGE, 0);
}

static void parameter(struct fuzzer *fuzzer)
{
	static const char *const names[] = { "user_quota", "ceiling", "floor", "phys_for_all",
					     "search_length_aligned_only" };
	static const char *const values[] = { "none", "none", "16M", "64M", "1M",
					      "4096", "0",    "x",   "12Q", "-1" };
	const char *name = names[draw(fuzzer, 5)];

	if (!strcmp(name, "phys_for_all") || !strcmp(name, "search_length_aligned_only")) {
		set_parameter(fuzzer, name, draw(fuzzer, 2) ? "Y" : "N");
		return;
	}
	set_parameter(fuzzer, name, values[draw(fuzzer, sizeof(values) / sizeof(*values))]);
	/* Most of the time there is something to be had. */
	if (draw(fuzzer, 4)) {
		usleep(50 * 1000);
		set_parameter(fuzzer, name, "none");
	}
}

static void reserve(struct fuzzer *fuzzer)
{
	static const char *const values[] = { "0",
					      "0",
					      "2M",
					      "8M",
					      "32M",
					      "16M",
					      "0:16M",
					      "0:4M,1:4M",
					      "1:",
					      "x",
					      "9999999999999G",
					      "5000K",
					      "0:0",
					      " 6M" };

	set_parameter(fuzzer, "reserve", values[draw(fuzzer, sizeof(values) / sizeof(*values))]);
}

/* In a process of its own, which may be killed: some of this can take for ever. */
static void aside(struct fuzzer *fuzzer, enum call call, const char *what,
		  void (*run)(struct fuzzer *fuzzer), unsigned int patience_ms)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		write_text("/proc/self/oom_score_adj", "1000");
		run(fuzzer);
		_exit(0);
	}
	if (pid < 0)
		return;
	for (unsigned int i = 0; i < patience_ms / 5 && !waitpid(pid, &status, WNOHANG); i++)
		usleep(5000);
	if (!kill(pid, SIGKILL))
		waitpid(pid, &status, 0);
	note(fuzzer, call, WIFSIGNALED(status) ? -EINTR : 0, "%s", what);
	/* Both draw the same; go on from elsewhere. */
	fuzzer->random = mix(fuzzer->random);
}

static void pressure(struct fuzzer *fuzzer)
{
	int64_t length = meminfo("MemAvailable") - PRESSURE_MARGIN;
	char *addr;

	if (length <= 0)
		return;
	/* More than that would take most of the time on an emulator. */
	if (length > PRESSURE_MAX)
		length = PRESSURE_MAX;
	length = (int64_t)draw(fuzzer, (uint64_t)length) & -(int64_t)PAGE;
	addr = mmap(NULL, (size_t)length, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (addr == MAP_FAILED)
		return;
	if (draw(fuzzer, 2))
		madvise(addr, (size_t)length, MADV_NOHUGEPAGE);
	for (int64_t i = 0; i < length; i += PAGE) {
		addr[i] = 1;
		/* Others take memory, too. */
		if (i % (int64_t)(4 * MIB) == 0 && meminfo("MemAvailable") < PRESSURE_MARGIN)
			break;
	}
	usleep(draw(fuzzer, 300 * 1000));
}

static void compact(struct fuzzer *fuzzer)
{
	(void)fuzzer;
	write_text("/proc/sys/vm/compact_memory", "1");
}

/* A block of memory goes, and comes back; those with our regions cannot go. */
static char block[300];

static void block_off(struct fuzzer *fuzzer)
{
	(void)fuzzer;
	write_text(block, "offline");
}

static void offline(struct fuzzer *fuzzer)
{
	const char *folder = "/sys/devices/system/memory";
	struct dirent *entry;
	unsigned int n = 0;
	DIR *dir = opendir(folder);
	char *name = NULL;

	while (dir && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, "memory", 6) && !draw(fuzzer, ++n)) {
			free(name);
			name = strdup(entry->d_name);
		}
	if (dir)
		closedir(dir);
	if (!name)
		return;
	snprintf(block, sizeof(block), "%s/%s/state", folder, name);
	free(name);
	if (meminfo("MemAvailable") < (int64_t)(600 * MIB))
		return;
	aside(fuzzer, CALL_OFFLINE, block, block_off, 1500);
	usleep(draw(fuzzer, 200 * 1000));
	write_text(block, "online");
}

static void unload(struct fuzzer *fuzzer)
{
	int err = syscall(SYS_delete_module, "map_contig", O_NONBLOCK) ? -errno : 0;

	note(fuzzer, CALL_UNLOAD, err, "unload");
	if (!err)
		fail("the module could be unloaded while it was in use");
	expect(fuzzer, "unload", err, EAGAIN, EBUSY, EWOULDBLOCK, 0);
}

static void kill_worker(struct fuzzer *fuzzer)
{
	unsigned int number = draw(fuzzer, nworkers);

	kill(workers[number], SIGKILL);
	worker_wait(number, SIGKILL);
	note(fuzzer, CALL_KILL, 0, "kill worker %u", number);
	worker_start(number);
}

static void administer(struct fuzzer *fuzzer)
{
	/* The module is in use from now on, also while no worker has come as far. */
	int node = open(MAP_CONTIG_DEVICE, O_RDWR | O_CLOEXEC);

	if (node < 0)
		fail(MAP_CONTIG_DEVICE ": %m");
	while (now() < shared->end && !shared->failed) {
		int status;

		switch (draw(fuzzer, 16)) {
		case 0 ... 3: parameter(fuzzer); break;
		case 4 ... 6: reserve(fuzzer); break;
		case 7 ... 8: aside(fuzzer, CALL_PRESSURE, "pressure", pressure, 4000); break;
		case 9: aside(fuzzer, CALL_COMPACT, "compact", compact, 3000); break;
		case 10: offline(fuzzer); break;
		case 11 ... 12: unload(fuzzer); break;
		case 13: kill_worker(fuzzer); break;
		case 14: ledger_regions(); break;
		}
		usleep(draw(fuzzer, 100 * 1000));
		/* One that has found something ends; so do all. */
		for (unsigned int i = 0; i < nworkers; i++)
			if (waitpid(workers[i], &status, WNOHANG | WNOWAIT) && now() < shared->end)
				shared->failed += status != 0;
	}
	close(node);
}

/* --- The end --- */

static int64_t memory_left(void)
{
	/* What the kernel remembers of its own objects, kmemleak looks after. */
	return memory_free() + meminfo("Slab");
}

static void post_drain(void)
{
	char control[CMSG_SPACE(sizeof(int))], text[64];
	struct iovec iov = { text, sizeof(text) };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };

	while (recvmsg(post[1], &message, MSG_DONTWAIT) > 0) {
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		int fd;

		if (!header)
			continue;
		memcpy(&fd, CMSG_DATA(header), sizeof(fd));
		close(fd);
		message.msg_controllen = sizeof(control);
	}
	close(post[0]);
	close(post[1]);
}

static void report(void)
{
	static const char *const names[CALLS] = {
		"alloc",       "mmap node", "mmap descriptor", "mmap dma-buf",
		"mmap offset", "munmap",    "mprotect",	       "mremap",
		"madvise",     "poison",    "soft-offline",    "write",
		"check",       "query",	    "offset",	       "limits",
		"oracle",      "version",   "configure",       "hold",
		"export",      "close",	    "malformed",       "send",
		"receive",     "pin",	    "unpin",	       "userfaultfd",
		"mlock",       "fork",	    "obstacle",	       "maps",
		"drop",	       "user",	    "parameter",       "reserve",
		"pressure",    "compact",   "offline",	       "unload",
		"kill",
	};
	unsigned long total = 0;

	for (int i = 0; i < CALLS; i++) {
		if (i == CALL_OFFSET)
			continue;
		if (!shared->done[i])
			printf("%-16s never\n", names[i]);
		else
			printf("%-16s %7lu, %6lu refused, %8.2f ms each\n", names[i],
			       (unsigned long)shared->done[i], (unsigned long)shared->refused[i],
			       (double)shared->us[i] / 1e3 / (double)shared->done[i]);
		total += shared->done[i];
	}
	printf("%lu calls; copies at fork: %lu good, %lu dead\n", total,
	       (unsigned long)shared->copies_good, (unsigned long)shared->copies_dead);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "seconds", required_argument, NULL, 't' },
		{ "workers", required_argument, NULL, 'w' },
		{ "verbose", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	unsigned int seconds = 60;
	struct fuzzer admin = { .worker = 9 };
	int64_t before, missing;
	double start;
	int option;

	seed = (uint64_t)time(NULL) << 16 ^ (uint64_t)getpid();
	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (option) {
		case 's': seed = strtoull(optarg, NULL, 0); break;
		case 't': seconds = (unsigned int)strtoul(optarg, NULL, 0); break;
		case 'w': nworkers = (unsigned int)strtoul(optarg, NULL, 0); break;
		case 'v': verbose = true; break;
		default: return 2;
		}
	}
	if (!nworkers || nworkers > WORKERS_MAX || !seconds) {
		fprintf(stderr, "fuzz: 1 to %d workers, at least a second\n", WORKERS_MAX);
		return 2;
	}
	printf("seed %lu\n", seed);
	fflush(stdout);
	edu_name = getenv("VDMA_BDF_EDU");
	edu = parse_bdf(edu_name);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		fail("no memory for the fuzzer itself");
	expect_nothing_held("before the start");
	before = memory_left();
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, post))
		fail("socketpair: %m");
	/* Into a ring that nobody reads. */
	if (write_text("/sys/kernel/tracing/events/map_contig/enable", "1"))
		fail("the tracepoints cannot be enabled");
	admin.random = mix(seed);
	admin.since = now();
	start = now();
	shared->end = start + seconds;
	for (unsigned int i = 0; i < nworkers; i++)
		worker_start(i);
	administer(&admin);
	for (unsigned int i = 0; i < nworkers; i++)
		worker_wait(i, 0);
	write_text("/sys/kernel/tracing/events/map_contig/enable", "0");
	post_drain();
	set_parameter(&admin, "user_quota", "none");
	set_parameter(&admin, "ceiling", "none");
	set_parameter(&admin, "floor", "default");
	set_parameter(&admin, "phys_for_all", "N");
	set_parameter(&admin, "search_length_aligned_only", "N");
	set_parameter(&admin, "reserve", "0");
	report();
	if (shared->failed)
		fail("with seed %lu, after %.0f s", seed, now() - start);

	expect_nothing_held("at the end");
	/* What was bad stays out of use: with a whole folio each. */
	missing = memory_missing(before - meminfo("Slab"),
				 SLACK + shared->poisoned * 2 * (int64_t)MIB +
					 shared->soft_offlined * (int64_t)PAGE);
	if (missing)
		fail("%ld KiB of memory are missing", (long)(missing / 1024));
	printf("nothing is left\n");
	return 0;
}
