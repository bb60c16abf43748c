/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the window of an arena lies that other processes join: at the same virtual
 * address in all of them, so not where the kernel happens to put it. And of one whose
 * virtual addresses are device addresses: where IOMMUs reach.
 */
#ifndef VDMA_INTERNAL_BASE_H
#define VDMA_INTERNAL_BASE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Reserves @len bytes at *@base, a multiple of 1 GiB, or, if that is 0, where most
 * processes have nothing. Explained, with what is in the way.
 */
int vdma_base_reserve(size_t len, uintptr_t *base);

/*
 * The same for a window whose virtual addresses are device addresses: if *@base is 0, as
 * high below 2^39 as there is room, in steps of @len, and not below 4 GiB.
 */
int vdma_base_reserve_low(size_t len, uintptr_t *base);

#endif
