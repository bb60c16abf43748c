/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What failnth.c makes fail, and what failnth_operations.c gives it: operations, and
 * what each works on.
 */
#ifndef FAILNTH_H
#define FAILNTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "stress.h"

/* More than a folio, so that it takes a search; folios and single pages. */
#define LARGE (2 * MIB + 3 * PAGE)
#define SMALL (5 * PAGE)

/* What an operation works on; made by its setup, without failures. */
struct subject {
	int node;
	int fd;
	int buffer;
	char *addr;
	size_t length;
	char *moved;
	pid_t child;
	uint64_t offset;
};

extern struct subject ctx;

/* What a child finds of its parent's memory. */
enum { CHILD_GOOD, CHILD_SIGBUS, CHILD_SIGSEGV, CHILD_MIXED, CHILD_WRONG };

/**
 * struct operation
 * @setup: makes ctx, without failures
 * @run: 0 or -errno
 * @errors: that are documented beside ENOMEM; 0 ends them
 * @outcomes: of a child: those that are right, as bits
 * @needs_device: an edu
 */
struct operation {
	const char *name;
	void (*setup)(void);
	int (*run)(void);
	int errors[4];
	unsigned int outcomes;
	bool needs_device;
};

extern const struct operation operations[];
extern const size_t noperations;
/* Opens what is not an operation's own to open; is there an edu? */
bool operations_begin(void);

/* What the operations are made of: 0 or -errno. */
int node_open(void);
int map(int fd, size_t length, off_t offset);
/* Fails the run if err. */
void need(int err, const char *what);

#endif
