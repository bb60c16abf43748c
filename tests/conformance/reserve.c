// SPDX-License-Identifier: BSD-3-Clause
/*
 * The reserve, and what it is for: memory of which nothing has to move, and that
 * waits for no other processor (D6).
 */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "suite.h"
#include "uapi.h"

#define RESERVE "/sys/module/map_contig/parameters/reserve"

static bool is_of_reserve(unsigned int line)
{
	char source[16];

	ledger_text(line, "source", source, sizeof(source));
	return !strcmp(source, "reserve");
}

static void d6_reserve_is_drawn_from_and_refilled(void)
{
	int64_t before = mem_free_settled();
	char *first, *second;

	file_set(RESERVE, "16M");
	CHECK(before - mem_free_at_rest() > (int64_t)(12 * MIB));
	CHECK_EQ(limits_now().reserve_free, 16 * MIB);
	first = contig_alloc(10 * MIB);
	CHECK_OK(first);
	CHECK(is_of_reserve(0));
	CHECK(is_filled(first, 10 * MIB, 0));
	memset(first, 0x5d, 10 * MIB);
	CHECK_EQ(limits_now().reserve_free, 6 * MIB);
	/* What it has not comes from elsewhere. */
	second = contig_alloc(8 * MIB);
	CHECK_OK(second);
	CHECK(!is_of_reserve(1));
	munmap(second, 8 * MIB);
	/* What goes back is handed out again, and nobody finds what was in it. */
	munmap(first, 10 * MIB);
	CHECK_EQ(limits_now().reserve_free, 16 * MIB);
	first = contig_alloc(16 * MIB);
	CHECK_OK(first);
	CHECK(is_of_reserve(0));
	CHECK(is_filled(first, 16 * MIB, 0));
	/* Given up, it keeps what is in use, until that is freed. */
	munmap(first + 4 * MIB, 12 * MIB);
	file_set(RESERVE, "0");
	CHECK_EQ(limits_now().reserve_free, 0);
	first[0] = 1;
	munmap(first, 4 * MIB);
	CHECK_EQ(ledger_wait(0), 0);
	CHECK_EQ(limits_now().reserve_free, 0);
	check_free(before);
}

/* A part of a unit of the reserve takes the whole unit, on the user's account. */
static int charged_whole(void *arg)
{
	(void)arg;
	become(USER, 8 * MIB);
	CHECK_OK(contig_alloc(2 * MIB + PAGE));
	CHECK_EQ(limits_now().reserve_free, 12 * MIB);
	CHECK_EQ(limits_now().user, 4 * MIB);
	return 0;
}

static int too_much_for_the_limit(void *arg)
{
	(void)arg;
	become(USER, 3 * MIB);
	CHECK_OK(contig_alloc(2 * MIB + PAGE));
	CHECK_EQ(limits_now().user, 2 * MIB + PAGE);
	CHECK_EQ(limits_now().reserve_free, 16 * MIB);
	return 0;
}

static void d5_reserve_is_charged_in_whole_units(void)
{
	SKIP_IF(!(node_features() & MAP_CONTIG_HAS_FOLIOS), "the units are single pages");
	node_let_in(USER);
	file_set(RESERVE, "16M");
	CHECK_EQ(in_child(charged_whole, NULL), 0);
	CHECK_EQ(ledger_wait(0), 0);
	/* Who may not have the whole unit gets his memory elsewhere. */
	CHECK_EQ(in_child(too_much_for_the_limit, NULL), 0);
	CHECK_EQ(ledger_wait(0), 0);
	CHECK_EQ(limits_now().reserve_free, 16 * MIB);
	CHECK_EQ(limits_now().user, 0);
}

/* As a driver's thread that polls a device, with all of a processor for itself. */
static pid_t start_poller(int cpu)
{
	struct sched_param param = { .sched_priority = 90 };
	cpu_set_t set;
	int ends[2];
	pid_t pid;
	char byte;

	CHECK_OK(pipe(ends));
	pid = fork();
	CHECK_OK(pid);
	if (!pid) {
		alarm(40);
		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		CHECK_OK(sched_setaffinity(0, sizeof(set), &set));
		CHECK_OK(sched_setscheduler(0, SCHED_FIFO, &param));
		CHECK_EQ(write(ends[1], "", 1), 1);
		for (;;)
			;
	}
	CHECK_EQ(read(ends[0], &byte, 1), 1);
	return pid;
}

static void d6_poller_does_not_stall_small_sizes(void)
{
	static const size_t sizes[] = { PAGE, 12 * KIB, 256 * KIB, 2 * MIB, 2 * MIB, 16 * MIB };
	char throttle[32], *va[6];
	cpu_set_t set;
	double start;
	pid_t poller;

	SKIP_IF(sysconf(_SC_NPROCESSORS_ONLN) < 2, "one processor only");
	file_set(RESERVE, "16M");
	CPU_ZERO(&set);
	CPU_SET(0, &set);
	CHECK_OK(sched_setaffinity(0, sizeof(set), &set));
	CHECK(file_text("/proc/sys/kernel/sched_rt_runtime_us", throttle, sizeof(throttle)));
	file_set("/proc/sys/kernel/sched_rt_runtime_us", "-1");
	poller = start_poller(1);
	start = now_ms();
	for (int i = 0; i < 6; i++) {
		va[i] = contig_alloc(sizes[i]);
		CHECK_OK(va[i]);
		memset(va[i], 1, sizes[i]);
	}
	for (int i = 0; i < 6; i++)
		CHECK_OK(munmap(va[i], sizes[i]));
	note("%.0f ms beside a poller", now_ms() - start);
	CHECK_OK(kill(poller, SIGKILL));
	CHECK_EQ(waitpid(poller, NULL, 0), poller);
	file_set("/proc/sys/kernel/sched_rt_runtime_us", "%d", atoi(throttle));
}

const struct test reserve_tests[] = {
	TEST_FRONTS(d6_reserve_is_drawn_from_and_refilled, FRONT_IOCTL | FRONT_MMAP),
	TEST_FRONTS(d5_reserve_is_charged_in_whole_units, FRONT_IOCTL | FRONT_MMAP),
	/* The poller's alarm comes before the limit does. */
	TEST_SLOW(d6_poller_does_not_stall_small_sizes, 50),
	TESTS_END,
};
