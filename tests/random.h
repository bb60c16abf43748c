/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers by chance that a seed repeats, for tests and benchmarks: xorshift64*
 * (Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled").
 */
#ifndef VDMA_RANDOM_H
#define VDMA_RANDOM_H

#include <stdint.h>

/* 0 to @below - 1. The state is the seed at first, and not 0. */
static inline uint64_t random_below(uint64_t *state, uint64_t below)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return (x * UINT64_C(0x2545f4914f6cdd1d) >> 16) % below;
}

#endif
