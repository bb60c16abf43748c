// SPDX-License-Identifier: BSD-3-Clause
/* DPDK's packet buffers: got with a header that is set up. */
#include <stdlib.h>

#include <rte_lcore.h>
#include <rte_mbuf.h>

typedef struct rte_mbuf *item_t;
typedef struct rte_mempool access_t;

static void check(int err)
{
	if (err)
		abort();
}

static struct rte_mbuf *get(struct rte_mempool *pool)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);

	check(!mbuf);
	return mbuf;
}

#define BEGIN() check(rte_thread_register())
#define END() rte_thread_unregister()
#define GET(pool, item) ((item) = get(pool))
#define PUT(pool, item) rte_pktmbuf_free(item)
#define GET_BULK(pool, items) check(rte_pktmbuf_alloc_bulk(pool, items, BULK))
#define PUT_BULK(pool, items) rte_pktmbuf_free_bulk(items, BULK)

#include "pool_loops.h"

static struct rte_mempool *pool;

bool peer_pktmbuf_start(uint32_t count, size_t len)
{
	pool = rte_pktmbuf_pool_create("pktmbuf", count, CACHE, 0,
				       (uint16_t)(len + RTE_PKTMBUF_HEADROOM), SOCKET_ID_ANY);
	return pool;
}

double peer_pktmbuf_ns(enum pattern pattern)
{
	return pool_ns(pattern, pool, pool);
}
