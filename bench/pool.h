/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is timed of pools, and the peers': DPDK's, if there was one when this was built.
 */
#ifndef POOL_H
#define POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of DPDK's threads: the most that there is. Ours have as many, or 2,048 by the pool's size. */
#define CACHE 512

enum pattern {
	SINGLE,	     /* get one, put it */
	BULKS,	     /* 32 at once */
	DEEPS,	     /* 1,024, one by one, and back */
	DEEP_BULKS,  /* the same by 32 */
	TWO_THREADS, /* two that each get one and put it */
	CONSUMER,    /* one gets 32, the other puts them */
	PATTERNS,
};

/* After peer_start(); buffers of @len bytes. False if there is no memory. */
bool peer_mempool_start(uint32_t count, size_t len);
bool peer_pktmbuf_start(uint32_t count, size_t len);

/* Nanoseconds a buffer. */
double peer_mempool_ns(enum pattern pattern);
double peer_pktmbuf_ns(enum pattern pattern);

#endif
