/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The BARs that are mapped in this process, for the handler of SIGBUS. Thread-safe,
 * and never waits.
 */
#ifndef VDMA_INTERNAL_GUARD_H
#define VDMA_INTERNAL_GUARD_H

#include <stddef.h>

/* -ENOSPC if there are too many; it is just not guarded then. */
int vdma_guard_add(void *va, size_t len);
void vdma_guard_remove(void *va);

#endif
