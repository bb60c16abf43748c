// SPDX-License-Identifier: BSD-3-Clause
#include "node.h"

#include <errno.h>
#include <string.h>

#include "explain.h"
#include "host.h"
#include "sys.h"

#define PAGES 256

int vdma_node_check(uint32_t node)
{
	char with_memory[128] = "none that this kernel tells of";
	uint64_t total, free;
	int err;

	err = vdma_host_node_memory(node - 1, &total, &free);
	if (err && err != -ENOENT)
		return vdma_fail_sys(err, "read what memory NUMA node %u has", node - 1);
	if (total)
		return 0;
	if (!vdma_sys_read_file("/sys/devices/system/node/has_memory", with_memory,
				sizeof(with_memory)))
		with_memory[strcspn(with_memory, "\n")] = '\0';
	return vdma_fail(VDMA_CAUSE_NODE, &(struct vdma_facts){ .need = node - 1 },
			 "There is no NUMA node %u with memory. Nodes that have some: %s.",
			 node - 1, with_memory);
}

/* The kernel keeps some of it for itself. */
static uint64_t available(unsigned int node)
{
	uint64_t total, free;

	vdma_host_node_memory(node, &total, &free);
	return free > total / 32 ? free - total / 32 : 0;
}

int vdma_node_bind(void *va, size_t len, uint32_t node, bool pages)
{
	struct vdma_facts facts = { .need = len };
	int err;

	node--;
	facts.limit = pages ? available(node) : 0;
	if (pages && facts.limit < len)
		return vdma_fail(VDMA_CAUSE_NO_MEMORY, &facts,
				 "NUMA node %u has no %s of memory for this process: it could free "
				 "%s. Ask for less, free memory there, or use another node.",
				 node, vdma_bytes(len).s, vdma_bytes(facts.limit).s);
	err = vdma_sys_bind_node(va, len, node);
	facts.sys_errno = -err;
	if (err == -EINVAL)
		return vdma_fail(VDMA_CAUSE_NODE, &facts,
				 "This process may not have memory of NUMA node %u: its cpuset "
				 "(cpuset.mems of its control group) leaves the node out.",
				 node);
	return err ? vdma_fail_sys(err, "bind %s to NUMA node %u (mbind)", vdma_bytes(len).s,
				   node) :
		     0;
}

int vdma_node_verify(void *va, size_t len, size_t granule, uint32_t node)
{
	void *pages[PAGES];
	int nodes[PAGES], err;
	size_t at = 0, n, i;

	while (at < len) {
		for (n = 0; n < PAGES && at < len; n++, at += granule)
			pages[n] = (char *)va + at;
		err = vdma_sys_nodes_of(pages, n, nodes);
		if (err)
			return vdma_fail_sys(err, "ask for the NUMA node of %s (move_pages)",
					     vdma_bytes(len).s);
		/* Negative: not there now, so swapped out, and the binding holds. */
		for (i = 0; i < n; i++)
			if (nodes[i] >= 0 && (uint32_t)nodes[i] != node - 1)
				return vdma_fail(
					VDMA_CAUSE_NO_MEMORY, &(struct vdma_facts){ .need = len },
					"The kernel gave memory of NUMA node %d, though bound "
					"to node %u. Free memory there, or use another node.",
					nodes[i], node - 1);
	}
	return 0;
}
