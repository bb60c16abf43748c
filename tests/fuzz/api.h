/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state machine that fuzz_api.c drives: what the library has handed out, and
 * what must hold of it. Calls on arenas and the checks are in fuzz_api.c, on
 * regions and buffers in api_memory.c, on address spaces and devices in api_device.c.
 */
#ifndef VDMA_FUZZ_API_H
#define VDMA_FUZZ_API_H

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <vdma.h>

#include "../unit/fake.h"
#include "input.h"

#define ARENAS 2
#define SPACES 6
#define DEVICES 4
#define REGIONS 16
#define BUFS 32

#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)

/* A result that a failing call must not touch. */
#define UNTOUCHED ((void *)0xdead0)

struct space {
	struct vdma_ioas *ioas;
	unsigned int arena;
	unsigned int devices;
};

struct device {
	struct vdma_device *dev;
	unsigned int space;
	enum vdma_irq_kind kind;
	unsigned int vectors;
};

struct region {
	struct vdma_region *region;
	unsigned int arena;
	struct vdma_buf buf;
	bool torn; /* could not be destroyed: unmapped from some address spaces */
};

struct piece {
	unsigned int arena;
	struct vdma_buf buf; /* va NULL: none */
};

struct world {
	struct input in;
	struct vdma_arena *arenas[ARENAS];
	bool checks[ARENAS]; /* VDMA_ARENA_CHECK */
	struct space spaces[SPACES];
	struct device devices[DEVICES];
	struct region regions[REGIONS];
	struct piece bufs[BUFS];

	/* What the next call meets: its nth system call, or allocation, or ioctl of a kind fails. */
	unsigned long fail_call, fail_alloc, fail_request;
	unsigned int fail_skip;
	int fail_err;

	/* What the last call met. */
	bool hit;	/* one that was made to fail */
	bool hit_unmap; /* and that was an unmapping */

	bool trouble; /* the machine is not as it should be */
	bool inexact; /* something was not unmapped: there may be more mappings than regions */
	bool lost;    /* two failures at once may have lost a place in a window */
};

extern struct world w;

/*
 * An API call with what was put in its way. A failure must be one of @errors, which
 * its header lists, be explained, and leave no descriptor; CALL: and change nothing.
 */
#define CALL(errors, call) (call_begins(), call_ended((call), errors, #call, true))
#define CALL_CHANGES(errors, call) (call_begins(), call_ended((call), errors, #call, false))
void call_begins(void);
int call_ended(int ret, const int *errors, const char *what, bool same);

/*
 * Options as a caller may pass them: @opts itself, NULL (then @opts are zeroed), or of
 * another size. free() is the caller's. *@wrong: the call must refuse them.
 */
void *shaped(void *opts, size_t size, bool *wrong);

/* Room for an info struct of any size, and whether a call did with it what it must. */
void *info_room(size_t size, bool *wrong);
void info_checked(void *info, size_t size, int ret);

/* Address spaces of an arena that have a device. */
unsigned int attached(unsigned int arena);

/* An arena that there is, or ARENAS. */
unsigned int take_arena(void);

void region_create(void);
void region_destroy(struct region *r);
void region_look(void);
void buf_alloc(void);
void buf_free(struct piece *p);
void buf_free_wrong(void);

void ioas_create(void);
void ioas_destroy(struct space *s);
void ioas_look(void);
void device_open(void);
void device_close(struct device *d);
void device_use(void);

extern const char *const bdfs[DEVICES];

#endif
