/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The loops in which translations are timed: ours and the peer's are compiled
 * from the same lines, each beside the function that it calls, so that what is
 * inline stays inline.
 */
#ifndef TRANSLATE_H
#define TRANSLATE_H

#include <stddef.h>
#include <stdint.h>

#include "sample.h"

#define BURST_LEN 32
/* Of pointers: what L2 holds, so that where they come from costs little. */
#define POINTERS 16384
#define PASSES 64

enum mode {
	THROUGHPUT, /* one after another, each into a descriptor */
	LATENCY,    /* each needs the one before */
	BURST,	    /* 32 into a ring */
	MODES,
};

typedef uint64_t translate_fn(const void *with, const void *va);
typedef void burst_fn(const void *with, void *const *vas, uint64_t *restrict ring);

/*
 * Fills 32 descriptors, as a driver does: in a function of its own, and nothing else
 * lies where they are. Without being told so, the compiler reads the window for each.
 */
#define BURST_OF(name, translate) \
	static __attribute__((noinline)) void name(const void *with, void *const *vas, \
						   uint64_t *restrict ring) \
	{ \
		for (size_t i = 0; i < BURST_LEN; i++) \
			ring[i] = translate(with, vas[i]); \
	}

/* Nanoseconds a translation. */
static inline __attribute__((always_inline)) double translate_loop(enum mode mode,
								   translate_fn *translate,
								   burst_fn *burst,
								   const void *with,
								   void *const *vas)
{
	uint64_t ring[BURST_LEN], iova = 0, zero = 0;
	double start = now_ns();

	/* The compiler does not know that it is 0. */
	__asm__ volatile("" : "+r"(zero));
	for (int pass = 0; pass < PASSES; pass++) {
		switch (mode) {
		case THROUGHPUT:
			for (size_t i = 0; i < POINTERS; i++) {
				iova = translate(with, vas[i]);
				__asm__ volatile("" : : "r"(iova) : "memory");
			}
			break;
		case LATENCY:
			for (size_t i = 0; i < POINTERS; i++)
				iova = translate(with, (char *)vas[i] + (iova & zero));
			__asm__ volatile("" : : "r"(iova) : "memory");
			break;
		default:
			for (size_t i = 0; i < POINTERS; i += BURST_LEN) {
				burst(with, vas + i, ring);
				__asm__ volatile("" : : "r"(ring) : "memory");
			}
		}
	}
	return (now_ns() - start) / PASSES / POINTERS;
}

#endif
