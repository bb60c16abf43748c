/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What takes the place of a BAR whose device is gone: memory of 0xff bytes, which is
 * what a read of nothing gives on a PCI bus.
 */
#ifndef VDMA_INTERNAL_VACANT_H
#define VDMA_INTERNAL_VACANT_H

#include <stddef.h>

/* A file of 0xff bytes: its descriptor, or -errno. */
int vdma_vacant_open(size_t len);

/* Over @len bytes that are mapped at @va; or -errno, and the rest is as it was. */
int vdma_vacant_map(void *va, size_t len);

#endif
