/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs tests, each in a process of its own, and prints TAP. */
#ifndef RUNNER_H
#define RUNNER_H

#include <stdbool.h>

#include "suite.h"

/**
 * struct runner_options - how to run
 * @filter: shell pattern of names, or NULL for all
 * @tap: a file that gets the TAP too, or NULL
 * @preload: libvdma-preload.so, by its path, or by its name as LD_PRELOAD takes it
 * @one_front: each test through one of its front ends, another one from test to test
 * @list: print names only
 */
struct runner_options {
	const char *filter;
	const char *tap;
	const char *preload;
	bool one_front;
	bool list;
};

/* The number of tests that failed. */
unsigned int runner_run(const struct test *const *tables, const struct runner_options *options);

/* In the process that was started for one test, when it needs the preload library. */
_Noreturn void runner_run_child(const struct test *const *tables, char **words);
#define RUNNER_CHILD "--child"

#endif
