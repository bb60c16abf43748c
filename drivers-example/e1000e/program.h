/* SPDX-License-Identifier: BSD-3-Clause */
/* What the programs vdma-echo and vdma-fwd share. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include "e1000e.h"

/* Packets that are handled together. */
#define BURST 32

/* Of an option that both have; struct option's val. */
enum option_id {
	OPT_MTU = 256,
	OPT_MODE,
	OPT_BACKEND,
	OPT_HELP,
	OPT_OWN, /* the first that is a program's own */
};

/* clang-format off */
#define PROGRAM_OPTIONS \
	{ "mtu", required_argument, NULL, OPT_MTU }, \
	{ "mode", required_argument, NULL, OPT_MODE }, \
	{ "backend", required_argument, NULL, OPT_BACKEND }, \
	{ "help", no_argument, NULL, OPT_HELP }

#define PROGRAM_USAGE \
	"  --mtu BYTES        longest IP packet, 1500 to 9000 (default 1500)\n" \
	"  --mode adaptive|interrupt|poll\n" \
	"                     how it learns of packets (default adaptive: polling while they come)\n" \
	"  --backend auto|type1|iommufd|noiommu\n" \
	"                     without an IOMMU, auto is noiommu: the device then reaches all memory\n" \
	"  --help\n"
/* clang-format on */

/**
 * struct space - what ports lie in
 * @backend: of the address space
 * @opts: of each port
 * @arena: as a struct e1000e has it
 * @ioas: of all ports
 * @pool: of all ports
 */
struct space {
	enum vdma_backend backend;
	struct e1000e_opts opts;
	struct vdma_arena *arena;
	struct vdma_ioas *ioas;
	struct vdma_pool *pool;
};

/* The program's. */
extern const char *const program_name;

/* Prints to stderr, returns -1. */
int complain(const char *what, const char *why);
/* A number of decimal digits, from min to max. */
bool number(const char *text, unsigned long min, unsigned long max, unsigned long *value);
/* An option of PROGRAM_OPTIONS that has a value, and its complaint about the value. */
bool set_shared_option(struct space *s, int option, const char *text);
bool complain_about(const char *text);

/* 0, or -1 after complaining; what was made is given back by space_destroy() in any case. */
int space_create(struct space *s);
int space_destroy(struct space *s);

/* What queue and device have counted; the device may be gone. */
void report_queue(const struct e1000e_queue *q);
void report_device(struct e1000e *nic);

#endif
