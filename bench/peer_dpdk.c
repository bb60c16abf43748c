// SPDX-License-Identifier: BSD-3-Clause
/*
 * Memory that DPDK did not allocate itself is looked up in the same tables as
 * what it did, so its own huge pages are not needed. rte_mem_virt2iova() is no
 * peer here: without huge pages DPDK takes virtual addresses for device addresses,
 * and returns what it was given; with physical ones it reads /proc/self/pagemap.
 */
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>

#include <rte_eal.h>
#include <rte_malloc.h>
#include <rte_memory.h>
#include <rte_version.h>

const char *peer_name(void)
{
	return rte_version();
}

bool peer_start(unsigned int heap_mib)
{
	char mib[16], *argv[] = {
		"bench",
		"--no-huge",
		"--no-pci",
		"--no-shconf",
		"--no-telemetry",
		"--log-level=lib.*:critical",
		"-m",
		mib,
		NULL,
	};

	snprintf(mib, sizeof(mib), "%u", heap_mib);
	return rte_eal_init(sizeof(argv) / sizeof(argv[0]) - 1, argv) >= 0;
}

bool peer_register(void *va, size_t len, size_t page)
{
	unsigned int n = (unsigned int)(len / page);
	rte_iova_t *iovas = calloc(n, sizeof(*iovas));
	bool done;

	if (!iovas)
		return false;
	for (unsigned int i = 0; i < n; i++)
		iovas[i] = (rte_iova_t)(uintptr_t)va + i * page;
	done = !rte_extmem_register(va, len, iovas, n, page);
	free(iovas);
	return done;
}

bool peer_unregister(void *va, size_t len)
{
	return !rte_extmem_unregister(va, len);
}

static inline uint64_t translate(const void *with, const void *va)
{
	const struct rte_memseg *ms = rte_mem_virt2memseg(va, with);

	return ms ? ms->iova + (uint64_t)((const char *)va - (const char *)ms->addr) : RTE_BAD_IOVA;
}

BURST_OF(burst, translate)

double peer_translate(enum mode mode, void *const *vas)
{
	switch (mode) {
	case THROUGHPUT: return translate_loop(THROUGHPUT, translate, burst, NULL, vas);
	case LATENCY: return translate_loop(LATENCY, translate, burst, NULL, vas);
	default: return translate_loop(BURST, translate, burst, NULL, vas);
	}
}

void *peer_alloc(size_t len)
{
	return rte_malloc(NULL, len, 0);
}

void peer_free(void *va)
{
	rte_free(va);
}
