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

static int explain(int err, size_t len, size_t unit)
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

static int hugetlb_populate(void *va, size_t len, const struct vdma_want *want,
			    struct vdma_memory *mem)
{
	size_t page_size = want->page_size;
	size_t unit = page_size ? page_size : SIZE_2M;
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB |
		    (unit == SIZE_1G ? MAP_HUGE_1GB : MAP_HUGE_2MB);
	int err;

	err = vdma_reserve_fill(va, len, flags, -1, &mem->lost);
	if (err)
		return explain(err, len, unit);
	err = vdma_sys_madvise(va, len, MADV_DONTFORK);
	if (!err)
		err = vdma_sys_madvise(va, len, MADV_POPULATE_WRITE);
	if (err) {
		err = explain(err, len, unit);
		mem->lost = vdma_reserve_restore(va, len);
		return err;
	}
	mem->granule = unit;
	if (len == unit)
		mem->extents = 1;
	return 0;
}

const struct vdma_provider_ops vdma_provider_hugetlb = {
	.name = "hugetlb",
	.unit = hugetlb_unit,
	.populate = hugetlb_populate,
};
