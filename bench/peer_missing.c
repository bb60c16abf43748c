// SPDX-License-Identifier: BSD-3-Clause
#include "peer.h"
#include "pool.h"

const char *peer_name(void)
{
	return "DPDK is missing (libdpdk-dev was not installed when this was built)";
}

bool peer_start(unsigned int heap_mib)
{
	(void)heap_mib;
	return false;
}

bool peer_register(void *va, size_t len, size_t page)
{
	(void)va, (void)len, (void)page;
	return false;
}

bool peer_unregister(void *va, size_t len)
{
	(void)va, (void)len;
	return false;
}

double peer_translate(enum mode mode, void *const *vas)
{
	(void)mode, (void)vas;
	return 0;
}

void *peer_alloc(size_t len)
{
	(void)len;
	return NULL;
}

void peer_free(void *va)
{
	(void)va;
}

bool peer_mempool_start(uint32_t count, size_t len)
{
	(void)count, (void)len;
	return false;
}

bool peer_pktmbuf_start(uint32_t count, size_t len)
{
	(void)count, (void)len;
	return false;
}

double peer_mempool_ns(enum pattern pattern)
{
	(void)pattern;
	return 0;
}

double peer_pktmbuf_ns(enum pattern pattern)
{
	(void)pattern;
	return 0;
}
