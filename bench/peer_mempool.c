// SPDX-License-Identifier: BSD-3-Clause
/* DPDK's pools of anything: a pointer is got, and nothing behind it is touched. */
#include <stdlib.h>

#include <rte_lcore.h>
#include <rte_mempool.h>

typedef void *item_t;
typedef struct rte_mempool access_t;

static void check(int err)
{
	if (err)
		abort();
}

/* A thread that DPDK does not know has no cache. */
#define BEGIN() check(rte_thread_register())
#define END() rte_thread_unregister()
#define GET(pool, item) check(rte_mempool_get(pool, &(item)))
#define PUT(pool, item) rte_mempool_put(pool, item)
#define GET_BULK(pool, items) check(rte_mempool_get_bulk(pool, items, BULK))
#define PUT_BULK(pool, items) rte_mempool_put_bulk(pool, items, BULK)

#include "pool_loops.h"

static struct rte_mempool *pool;

bool peer_mempool_start(uint32_t count, size_t len)
{
	pool = rte_mempool_create("mempool", count, (unsigned int)len, CACHE, 0, NULL, NULL, NULL,
				  NULL, SOCKET_ID_ANY, 0);
	return pool;
}

double peer_mempool_ns(enum pattern pattern)
{
	return pool_ns(pattern, pool, pool);
}
