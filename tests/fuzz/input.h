/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a fuzz target takes its decisions from: the bytes of its input, one after
 * the other. At their end all is 0, and the target stops.
 */
#ifndef VDMA_FUZZ_INPUT_H
#define VDMA_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *at;
	size_t left;
};

static inline uint8_t take(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->at++;
}

/* 0 to @below - 1. */
static inline unsigned int take_below(struct input *in, unsigned int below)
{
	return take(in) % below;
}

/* A number of any size, near a power of two, where mistakes are. */
static inline uint64_t take_edge(struct input *in)
{
	uint8_t shape = take(in);
	uint64_t power = UINT64_C(1) << shape % 64;

	switch (shape / 64) {
	case 0: return power;
	case 1: return power - 1;
	case 2: return power + (uint64_t)(int64_t)(int8_t)take(in);
	default: return (uint64_t)take(in) << shape % 64;
	}
}

/* A power of two, or 0. */
static inline uint64_t take_power(struct input *in, unsigned int orders)
{
	unsigned int order = take_below(in, orders + 1);

	return order ? UINT64_C(1) << (order - 1) : 0;
}

/* The sanitizers and libFuzzer take an abort for what it is. */
#define MUST(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

#endif
