/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a test file gives to the suite, and what it gets from it.
 *
 * A test runs in a process of its own, with a time limit. Its name begins with
 * its clause. What it leaves behind (processes, module parameters, an absent
 * module) is put right by the runner; memory that it leaves in the ledger is
 * its failure.
 */
#ifndef SUITE_H
#define SUITE_H

#include <stdbool.h>
#include <stddef.h>

#include "check.h"
#include "front.h"
#include "observe.h"

/**
 * struct test - one test
 * @name: clause, underscore, what is so
 * @run: returns if it is so
 * @fronts: FRONT_* through which it runs, each time as a test of its own; 0 for
 *          a test that has no front end as its subject
 * @timeout: seconds; 0 is the usual limit
 */
struct test {
	const char *name;
	void (*run)(void);
	unsigned int fronts;
	unsigned int timeout;
};

#define TEST(function) \
	{ \
		.name = #function, .run = function \
	}
#define TEST_FRONTS(function, which) \
	{ \
		.name = #function, .run = function, .fronts = which \
	}
#define TEST_SLOW(function, seconds) \
	{ \
		.name = #function, .run = function, .timeout = seconds \
	}
#define TESTS_END \
	{ \
		.name = NULL \
	}

extern const struct test contiguous_tests[];
extern const struct test query_tests[];
extern const struct test abi_tests[];
extern const struct test rules_tests[];
extern const struct test limits_tests[];
extern const struct test stay_tests[];
extern const struct test mapping_tests[];
extern const struct test fork_tests[];
extern const struct test fork_fail_tests[];
extern const struct test dma_tests[];
extern const struct test teardown_tests[];
extern const struct test constraints_tests[];
extern const struct test policy_tests[];
extern const struct test search_tests[];
extern const struct test pin_tests[];
extern const struct test share_tests[];
extern const struct test reserve_tests[];
extern const struct test module_tests[];
extern const struct test poison_tests[];

/* The thing that the test is about cannot exist here; never for a failure. */
_Noreturn void check_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define SKIP_IF(condition, ...) \
	do { \
		if (condition) \
			check_skip(__VA_ARGS__); \
	} while (0)

/* A TAP comment. */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Contiguous memory through the front end that the test runs with. */
void *contig_alloc(size_t len);
/* Milliseconds until pid is gone after SIGKILL. */
double kill_ms(pid_t pid);
/* A child that has len bytes when this returns, and then does what is said, for ever. */
pid_t holder(size_t len, void (*forever)(void));
/* kill_ms() of a holder that sleeps: what tearing down costs by itself. */
double kill_idle_ms(size_t len);
/* mmap() as that front end has it, if it takes MAP_CONTIG. */
void *contig_map(void *addr, size_t len, int prot, int flags, int fd, off_t offset);

#endif
