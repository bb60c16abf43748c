// SPDX-License-Identifier: BSD-3-Clause
/*
 * Pages of the kernel's hugetlb pool.
 */
#include <errno.h>
#include <linux/mman.h>
#include <stdio.h>
#include <sys/mman.h>

#include "explain.h"
#include "host.h"
#include "node.h"
#include "provider.h"
#include "reserve.h"
#include "sys.h"

#define SIZE_2M ((size_t)2 << 20)
#define SIZE_1G ((size_t)1 << 30)

static int hugetlb_unit(size_t page_size, size_t *unit)
{
	if (page_size && page_size != SIZE_2M && page_size != SIZE_1G)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, &(struct vdma_facts){ .need = page_size },
				 "page_size is %zu; hugetlb pages of 2097152 or 1073741824 bytes "
				 "can be had, or 0 for the former.",
				 page_size);
	*unit = page_size ? page_size : SIZE_2M;
	return 0;
}

/* A node's pool is filled for itself. */
static int explain_node(size_t unit, uint32_t node, struct vdma_facts *facts)
{
	char dir[96], path[128];
	uint64_t total = 0;

	snprintf(dir, sizeof(dir), "/sys/devices/system/node/node%u/hugepages/hugepages-%zukB",
		 node - 1, unit >> 10);
	snprintf(path, sizeof(path), "%s/nr_hugepages", dir);
	vdma_host_u64(path, &total);
	snprintf(path, sizeof(path), "%s/free_hugepages", dir);
	vdma_host_u64(path, &facts->limit);
	return vdma_fail(VDMA_CAUSE_NO_HUGETLB, facts,
			 "%llu hugetlb pages of %s are needed on NUMA node %u, %llu are free there. "
			 "As root: echo %llu > %s/nr_hugepages",
			 (unsigned long long)facts->need, vdma_bytes(unit).s, node - 1,
			 (unsigned long long)facts->limit,
			 (unsigned long long)(total + facts->need -
					      (facts->limit < facts->need ? facts->limit : 0)),
			 dir);
}

int vdma_provider_no_hugetlb(int err, size_t len, size_t unit, uint32_t node)
{
	uint64_t total = 0, avail = 0, reserved = 0;
	struct vdma_facts facts = { .sys_errno = -err, .need = len / unit };
	char dir[64], path[96];

	snprintf(dir, sizeof(dir), "/sys/kernel/mm/hugepages/hugepages-%zukB", unit >> 10);
	if (vdma_sys_exists(dir))
		return vdma_fail(VDMA_CAUSE_UNSUPPORTED, &facts,
				 "This machine has no hugetlb pages of %s (there is no %s). Use "
				 "another page_size.",
				 vdma_bytes(unit).s, dir);
	if (err != -ENOMEM && err != -EFAULT)
		return vdma_fail_sys(err, "map %s of hugetlb pages", vdma_bytes(len).s);
	if (node)
		return explain_node(unit, node, &facts);
	snprintf(path, sizeof(path), "%s/nr_hugepages", dir);
	vdma_host_u64(path, &total);
	snprintf(path, sizeof(path), "%s/free_hugepages", dir);
	vdma_host_u64(path, &avail);
	snprintf(path, sizeof(path), "%s/resv_hugepages", dir);
	vdma_host_u64(path, &reserved);
	facts.limit = avail > reserved ? avail - reserved : 0;
	return vdma_fail(VDMA_CAUSE_NO_HUGETLB, &facts,
			 "%llu hugetlb pages of %s are needed, %llu are free. As root: "
			 "echo %llu > %s/nr_hugepages",
			 (unsigned long long)facts.need, vdma_bytes(unit).s,
			 (unsigned long long)facts.limit,
			 (unsigned long long)(total + facts.need -
					      (facts.limit < facts.need ? facts.limit : 0)),
			 dir);
}

static size_t hugetlb_granule(size_t page_size)
{
	return page_size ? page_size : SIZE_2M;
}

static int hugetlb_populate(void *va, size_t len, const struct vdma_want *want,
			    struct vdma_memory *mem)
{
	size_t page_size = want->page_size;
	size_t unit = page_size ? page_size : SIZE_2M;
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB |
		    (unit == SIZE_1G ? MAP_HUGE_1GB : MAP_HUGE_2MB);
	int err, refused = 0;

	err = want->share ? vdma_reserve_fill_shared(va, len, unit == SIZE_1G ? 30 : 21, &mem->fd,
						     &mem->lost) :
			    vdma_reserve_fill(va, len, flags, -1, &mem->lost);
	if (err)
		return vdma_provider_no_hugetlb(err, len, unit, want->node);
	err = vdma_sys_madvise(va, len, MADV_DONTFORK);
	if (!err && want->node)
		refused = vdma_node_bind(va, len, want->node, false);
	if (!err && !refused)
		err = vdma_sys_madvise(va, len, MADV_POPULATE_WRITE);
	if (!err && !refused && want->node)
		refused = vdma_node_verify(va, len, unit, want->node);
	if (err || refused) {
		mem->lost = vdma_reserve_restore(va, len);
		/* After that, or those that were had already would not count as free. */
		return err ? vdma_provider_no_hugetlb(err, len, unit, want->node) : refused;
	}
	mem->node = (int32_t)want->node - 1;
	mem->granule = unit;
	if (len == unit)
		mem->extents = 1;
	return 0;
}

const struct vdma_provider_ops vdma_provider_hugetlb = {
	.name = "hugetlb",
	.unit = hugetlb_unit,
	.granule = hugetlb_granule,
	.populate = hugetlb_populate,
};
