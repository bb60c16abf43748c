/* SPDX-License-Identifier: BSD-3-Clause */
/* The module's ioctls, each as a call. They answer -1 and errno on failure. */
#ifndef UAPI_H
#define UAPI_H

#include <stddef.h>
#include <vdma/uapi/map_contig.h>

/* The device node; fails the test if it cannot be opened. */
int node_open(void);

/* A region descriptor. */
int region_alloc(int node, size_t len, const struct map_contig_constraints *want);
/* The same, mapped as a whole, its descriptor closed. */
void *region_mmap(size_t len, const struct map_contig_constraints *want);
void *region_map(int region, size_t len);

int node_query(int fd, const void *addr, struct map_contig_query *query);
int node_limits(int node, struct map_contig_limits *limits);
/* What holds for the caller at this moment. */
struct map_contig_limits limits_now(void);
/* The largest run that ORACLE says could be had now, bytes. */
size_t oracle_largest(const struct map_contig_constraints *want);
int node_configure(int node, const struct map_contig_constraints *want);
unsigned long long node_features(void);

#endif
