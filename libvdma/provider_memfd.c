// SPDX-License-Identifier: BSD-3-Clause
/*
 * A memfd: memory that has a file, though nobody else has its descriptor.
 */
#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>

#include "explain.h"
#include "host.h"
#include "node.h"
#include "provider.h"
#include "reserve.h"
#include "sys.h"

#define SHIFT_2M 21
#define SHIFT_1G 30

/* log2 of the hugetlb page, 0 for ordinary ones. */
static unsigned int huge_shift(size_t page_size)
{
	if (page_size == (size_t)1 << SHIFT_1G)
		return SHIFT_1G;
	return page_size == (size_t)1 << SHIFT_2M ? SHIFT_2M : 0;
}

static int memfd_unit(size_t page_size, size_t *unit)
{
	size_t page = vdma_sys_page_size();

	if (page_size && page_size != page && !huge_shift(page_size))
		return vdma_fail(VDMA_CAUSE_ARGUMENT, &(struct vdma_facts){ .need = page_size },
				 "page_size is %zu; a memfd can be had in pages of %zu, 2097152 or "
				 "1073741824 bytes, or 0 for the first.",
				 page_size, page);
	*unit = page_size ? page_size : page;
	return 0;
}

static size_t memfd_granule(size_t page_size)
{
	return page_size ? page_size : vdma_sys_page_size();
}

static int explain(int err, size_t len, const struct vdma_want *want)
{
	struct vdma_facts facts = { .sys_errno = -err, .need = len };

	if (huge_shift(want->page_size))
		return vdma_provider_no_hugetlb(err, len, want->page_size, want->node);
	if (err != -ENOMEM && err != -EAGAIN && err != -EFAULT)
		return vdma_fail_sys(err, "make a memfd of %s", vdma_bytes(len).s);
	facts.limit = vdma_host_meminfo("MemAvailable:");
	return vdma_fail(VDMA_CAUSE_NO_MEMORY, &facts,
			 "The kernel has no %s of memory for a memfd of this process (available: "
			 "%s). Ask for less, or free memory.",
			 vdma_bytes(len).s, vdma_bytes(facts.limit).s);
}

static int memfd_populate(void *va, size_t len, const struct vdma_want *want,
			  struct vdma_memory *mem)
{
	bool huge = huge_shift(want->page_size);
	size_t granule = memfd_granule(want->page_size);
	int err, refused = 0;

	err = vdma_reserve_fill_shared(va, len, huge_shift(want->page_size), &mem->fd, &mem->lost);
	if (err)
		return explain(err, len, want);
	/* The mapping holds the memory by itself. */
	if (!want->share) {
		vdma_sys_close(mem->fd);
		mem->fd = -1;
	}
	err = vdma_sys_madvise(va, len, MADV_DONTFORK);
	if (!err && want->node)
		refused = vdma_node_bind(va, len, want->node, !huge);
	if (!err && !refused)
		err = vdma_sys_madvise(va, len, MADV_POPULATE_WRITE);
	if (!err && !refused && want->node)
		refused = vdma_node_verify(va, len, granule, want->node);
	if (err || refused) {
		mem->lost = vdma_reserve_restore(va, len);
		/* After that, or those that were had already would not count as free. */
		return err ? explain(err, len, want) : refused;
	}
	mem->granule = granule;
	mem->node = (int32_t)want->node - 1;
	if (len == granule)
		mem->extents = 1;
	return 0;
}

const struct vdma_provider_ops vdma_provider_memfd = {
	.name = "memfd",
	.unit = memfd_unit,
	.granule = memfd_granule,
	.populate = memfd_populate,
};
