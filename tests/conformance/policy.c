// SPDX-License-Identifier: BSD-3-Clause
/* D5: the administrator's ceiling, quota and floor, and who holds what. */
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

#define PARAMETER(name) "/sys/module/map_contig/parameters/" name

static int user_within_quota(void *arg)
{
	struct map_contig_limits limits;
	struct map_contig_query query;
	char *va;

	(void)arg;
	become(USER, 64 * MIB);
	CHECK_ERRNO(contig_alloc(8 * MIB + PAGE), EDQUOT);
	va = contig_alloc(6 * MIB);
	CHECK_OK(va);
	limits = limits_now();
	CHECK_EQ(limits.user_quota, 8 * MIB);
	CHECK_EQ(limits.user, 6 * MIB);
	CHECK_EQ(limits.left, 2 * MIB);
	CHECK_ERRNO(contig_alloc(2 * MIB + PAGE), EDQUOT);
	CHECK_OK(contig_alloc(2 * MIB));
	CHECK_ERRNO(contig_alloc(PAGE), EDQUOT);
	CHECK_OK(munmap(va, 6 * MIB));
	va = contig_alloc(6 * MIB);
	CHECK_OK(va);
	/* Nor does he learn where it lies (D3). */
	CHECK_ERRNO(node_query(node_open(), va, &query), EPERM);
	return 0;
}

/* Who is in the device's group allocates within the quota, and no more. */
static void d5_user_quota(void)
{
	node_let_in(USER);
	file_set(PARAMETER("user_quota"), "8M");
	CHECK_EQ(in_child(user_within_quota, NULL), 0);
	CHECK_EQ(ledger_wait(0), 0);
	/* Root is a user like others. */
	CHECK_ERRNO(contig_alloc(8 * MIB + PAGE), EDQUOT);
	/* Changed at run time, it holds from then on. */
	file_set(PARAMETER("user_quota"), "none");
	CHECK_EQ(limits_now().user_quota, MAP_CONTIG_UNLIMITED);
	CHECK_OK(contig_alloc(9 * MIB));
}

static int not_let_in(void *arg)
{
	(void)arg;
	become(USER, 64 * MIB);
	CHECK_ERRNO(open(MAP_CONTIG_DEVICE, O_RDWR), EACCES);
	CHECK_ERRNO(open(MAP_CONTIG_DEVICE, O_RDONLY), EACCES);
	CHECK_ERRNO(contig_alloc(PAGE), EACCES);
	return 0;
}

static int let_in(void *arg)
{
	(void)arg;
	become(USER, 64 * MIB);
	CHECK_OK(contig_alloc(PAGE));
	return 0;
}

static void d5_node_permissions(void)
{
	struct stat st;

	CHECK_OK(stat(MAP_CONTIG_DEVICE, &st));
	CHECK(!(st.st_mode & 0007));
	CHECK_EQ(in_child(not_let_in, NULL), 0);
	node_let_in(USER);
	CHECK_EQ(in_child(let_in, NULL), 0);
}

/* For all users together. */
static int user_under_ceiling(void *arg)
{
	(void)arg;
	become(USER, 64 * MIB);
	CHECK_ERRNO(contig_alloc(4 * MIB + PAGE), EDQUOT);
	CHECK_OK(contig_alloc(4 * MIB));
	return 0;
}

static void d5_ceiling(void)
{
	struct map_contig_limits before = limits_now();
	char *va;

	node_let_in(USER);
	file_set(PARAMETER("ceiling"), "%llu", (unsigned long long)(before.total + 16 * MIB));
	CHECK_EQ(limits_now().ceiling, before.total + 16 * MIB);
	va = contig_alloc(12 * MIB);
	CHECK_OK(va);
	CHECK_EQ(limits_now().total, before.total + 12 * MIB);
	CHECK_EQ(limits_now().left, 4 * MIB);
	CHECK_EQ(in_child(user_under_ceiling, NULL), 0);
	CHECK_ERRNO(contig_alloc(4 * MIB + PAGE), EDQUOT);
	/* Lowered below what is held: nothing is taken away. */
	file_set(PARAMETER("ceiling"), "1M");
	CHECK_EQ(limits_now().left, 0);
	CHECK_ERRNO(contig_alloc(PAGE), EDQUOT);
	memset(va, 1, 12 * MIB);
	munmap(va, 12 * MIB);
}

/* A floor of memory for others: not ENOMEM by bad luck, but before anything is moved. */
static void d5_floor(void)
{
	int64_t available = meminfo("MemAvailable");
	struct map_contig_limits limits;

	file_set(PARAMETER("floor"), "%lld", (long long)(available - (int64_t)(64 * MIB)));
	limits = limits_now();
	CHECK_EQ(limits.floor, (available - (int64_t)(64 * MIB)) / (int64_t)PAGE * (int64_t)PAGE);
	CHECK_RANGE(limits.available, 16 * MIB, 112 * MIB);
	CHECK_ERRNO(contig_alloc(160 * MIB), ENOMEM);
	CHECK_OK(contig_alloc(8 * MIB));
	file_set(PARAMETER("floor"), "%lld", (long long)available + (long long)GIB);
	CHECK_EQ(limits_now().left, 0);
	CHECK_ERRNO(contig_alloc(PAGE), ENOMEM);
	file_set(PARAMETER("floor"), "0");
	CHECK_OK(contig_alloc(160 * MIB));
}

/* Many at once do not get below the floor together, where one alone would not. */
static int64_t had_at_once(unsigned int n, size_t len)
{
	int start[2], done[2];
	int64_t had = 0;
	char byte;

	CHECK_OK(pipe(start));
	CHECK_OK(pipe(done));
	for (unsigned int i = 0; i < n; i++) {
		pid_t pid = fork();

		CHECK_OK(pid);
		if (pid)
			continue;
		close(start[1]);
		CHECK_EQ(read(start[0], &byte, 1), 0);
		byte = contig_alloc(len) != MAP_FAILED;
		CHECK_EQ(write(done[1], &byte, 1), 1);
		pause();
	}
	close(start[1]);
	for (unsigned int i = 0; i < n; i++) {
		CHECK_EQ(read(done[0], &byte, 1), 1);
		had += byte;
	}
	return had;
}

static void d5_floor_holds_for_many(void)
{
	int64_t floor, had;

	mem_free_at_rest();
	floor = mem_available() - (int64_t)(288 * MIB);
	file_set(PARAMETER("floor"), "%lld", (long long)floor);
	had = had_at_once(8, 64 * MIB);
	note("%lld of 8 had their 64 MiB of 288", (long long)had);
	CHECK_RANGE(had, 2, 4);
	CHECK(mem_available() > floor - (int64_t)(32 * MIB));
}

static void d5_parameters_refuse_nonsense(void)
{
	static const char *const names[] = { PARAMETER("ceiling"), PARAMETER("user_quota"),
					     PARAMETER("floor"), PARAMETER("reserve") };
	static const char *const texts[] = {
		"lots",		"-1",	     "",      "8M8",	  "99999999999999999999999",
		"17179869185G", "0:4M,0:2M", "0:4M,", "16777216T"
	};
	size_t n = sizeof(texts) / sizeof(texts[0]);

	for (size_t i = 0; i < 4; i++)
		for (size_t j = 0; j < n; j++) {
			char before[512], after[512];
			int fd = open(names[i], O_WRONLY | O_CLOEXEC);

			CHECK(file_text(names[i], before, sizeof(before)));
			CHECK_OK(fd);
			if (*texts[j] && write(fd, texts[j], strlen(texts[j])) != -1)
				FAIL("%s takes '%s'", names[i], texts[j]);
			close(fd);
			CHECK(file_text(names[i], after, sizeof(after)));
			CHECK(!strcmp(before, after));
		}
}

/* The copies of children count too, for the quota: forking does not escape it. */
static int fork_beyond_quota(void *arg)
{
	char *va;

	(void)arg;
	become(USER, 64 * MIB);
	va = contig_alloc(4 * MIB);
	CHECK_OK(va);
	memset(va, 5, 4 * MIB);
	/* 4 + 4 + 4 are above 10: the second child's copy cannot be had. */
	if (!fork()) {
		int status;

		CHECK(is_filled(va, 4 * MIB, 5));
		CHECK_EQ(limits_now().user_copies, 4 * MIB);
		if (!fork()) {
			CHECK_EQ(touch_read(va + 4 * MIB - PAGE), SIGBUS);
			_exit(0);
		}
		CHECK(wait(&status) > 0);
		CHECK_EQ(status, 0);
		CHECK(is_filled(va, 4 * MIB, 5));
		_exit(0);
	}
	CHECK(wait(NULL) > 0);
	CHECK(is_filled(va, 4 * MIB, 5));
	CHECK_EQ(limits_now().user_copies, 0);
	return 0;
}

static void d5_copies_count(void)
{
	node_let_in(USER);
	file_set(PARAMETER("user_quota"), "10M");
	CHECK_EQ(in_child(fork_beyond_quota, NULL), 0);
}

/* Root sees who holds what. */
static int held_by_user(void *arg)
{
	int *ends = arg;
	char *va, byte;

	become(USER, 64 * MIB);
	va = contig_alloc(5 * MIB);
	CHECK_OK(va);
	CHECK_EQ(write(ends[1], &va, sizeof(va)), sizeof(va));
	CHECK_EQ(read(ends[2], &byte, 1), 1);
	return 0;
}

static void d5_ledger(void)
{
	int ends[4], fd, wstatus;
	char text[64], path[64];
	uint64_t entry;
	char *va;
	pid_t pid;

	node_let_in(USER);
	CHECK_OK(pipe(ends));
	CHECK_OK(pipe(ends + 2));
	pid = fork();
	CHECK_OK(pid);
	if (!pid)
		_exit(held_by_user(ends));
	CHECK_EQ(read(ends[0], &va, sizeof(va)), sizeof(va));
	CHECK_EQ(ledger_lines(), 1);
	CHECK_EQ(ledger_number(0, "pid"), pid);
	CHECK_EQ(ledger_number(0, "uid"), USER);
	CHECK_EQ(ledger_number(0, "bytes"), 5 * MIB);
	CHECK_EQ(ledger_number(0, "bytes_held"), 5 * MIB);
	CHECK_EQ(ledger_number(0, "bytes_pinned"), 0);
	CHECK_RANGE(ledger_number(0, "age_s"), 0, 10);
	CHECK_RANGE(ledger_number(0, "node"), 0, numa_nodes() - 1);
	ledger_text(0, "comm", text, sizeof(text));
	CHECK(!strncmp(text, "vdma-conformanc", 15));
	ledger_text(0, "state", text, sizeof(text));
	CHECK(!strcmp(text, "mapped"));
	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK_OK(fd);
	CHECK_EQ(pread(fd, &entry, 8, (off_t)((uintptr_t)va / PAGE * 8)), 8);
	CHECK_EQ(ledger_number(0, "physical"), (entry & ((1ULL << 55) - 1)) * PAGE);
	CHECK_EQ(write(ends[3], "", 1), 1);
	CHECK_EQ(waitpid(pid, &wstatus, 0), pid);
	CHECK_EQ(wstatus, 0);
	CHECK_EQ(ledger_wait(0), 0);
}

const struct test policy_tests[] = {
	TEST_FRONTS(d5_user_quota, FRONT_ALL),
	TEST_FRONTS(d5_node_permissions, FRONT_ALL),
	TEST_FRONTS(d5_ceiling, FRONT_ALL),
	TEST_FRONTS(d5_floor, FRONT_IOCTL | FRONT_MMAP),
	TEST_FRONTS(d5_floor_holds_for_many, FRONT_IOCTL | FRONT_MMAP),
	TEST(d5_parameters_refuse_nonsense),
	TEST_FRONTS(d5_copies_count, FRONT_COPY),
	TEST_FRONTS(d5_ledger, FRONT_IOCTL | FRONT_MMAP),
	TESTS_END,
};
