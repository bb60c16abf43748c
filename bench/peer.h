/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DPDK, to be measured beside us: peer_dpdk.c if there was one when this was
 * built, else peer_missing.c, which has nothing. One start in a process.
 */
#ifndef PEER_H
#define PEER_H

#include <stdbool.h>
#include <stddef.h>

#include "translate.h"

/* Its version, or that it is missing. */
const char *peer_name(void);

/* With a heap of so many MiB; false if there is none. Without privileges, and without huge pages. */
bool peer_start(unsigned int heap_mib);

/* Makes a range known, in pages of that size, or unknown again; false if it refuses. */
bool peer_register(void *va, size_t len, size_t page);
bool peer_unregister(void *va, size_t len);

/* Nanoseconds, of pointers into what it knows. */
double peer_translate(enum mode mode, void *const *vas);

/* NULL if its heap is full. */
void *peer_alloc(size_t len);
void peer_free(void *va);

#endif
