/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the module does with devices and with bad memory, seen from outside. The
 * clauses that need no device of their own are tests/conformance's.
 */
#ifndef SUITE_H
#define SUITE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>
#include <vdma/uapi/map_contig.h>

#include "observe.h"

/* Folder of the importer's modules, one folder for each kernel release. */
extern const char *importer_path;

int run_dmabuf(void);
int run_hold(void);
int run_poison(void);

/* A region descriptor. */
struct region {
	int fd;
	uint64_t phys;
	size_t len;
};
struct region region_alloc(size_t len);
/* want.alignment and .phys_max; -errno if there is none. */
int region_alloc_at(struct region *region, size_t len, uint64_t alignment, uint64_t phys_max);
void *region_map(const struct region *region);
void region_close(struct region *region);

/* The dma-buf, or -errno. On a region descriptor addr is an offset. */
int region_export(int fd, uint64_t addr, uint64_t len);

/* 0 or -errno. */
int region_hold(int fd, uint64_t addr, const char *bdf, uint32_t flags);

const char *bdf_of(const char *variable);
void file_write(const char *path, const char *text);
/* A number in a file of one line. */
unsigned long file_number(const char *path);

/* The sum of a column of the ledger, by the column's name. */
unsigned long ledger_sum(const char *column);

#endif
