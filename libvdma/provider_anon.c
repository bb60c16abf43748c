// SPDX-License-Identifier: BSD-3-Clause
/*
 * Ordinary memory, scattered over the machine's pages.
 */
#include <errno.h>
#include <sys/mman.h>

#include "explain.h"
#include "host.h"
#include "node.h"
#include "provider.h"
#include "reserve.h"
#include "sys.h"

#define SIZE_2M ((size_t)2 << 20)

static int anon_unit(size_t page_size, size_t *unit)
{
	size_t page = vdma_sys_page_size();

	if (page_size && page_size != page && page_size != SIZE_2M)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, &(struct vdma_facts){ .need = page_size },
				 "page_size is %zu; ordinary memory can be had in pages of %zu or "
				 "2097152 bytes, or 0 for what the system chooses.",
				 page_size, page);
	*unit = page_size ? page_size : page;
	return 0;
}

static size_t anon_granule(size_t page_size)
{
	(void)page_size; /* no more than a wish */
	return vdma_sys_page_size();
}

static int explain(int err, size_t len)
{
	struct vdma_facts facts = { .sys_errno = -err, .need = len };

	if (err != -ENOMEM && err != -EAGAIN)
		return vdma_fail_sys(err, "map %s of ordinary memory", vdma_bytes(len).s);
	facts.limit = vdma_host_meminfo("MemAvailable:");
	return vdma_fail(VDMA_CAUSE_NO_MEMORY, &facts,
			 "The kernel has no %s of memory for this process (available: %s). Ask "
			 "for less, or free memory.",
			 vdma_bytes(len).s, vdma_bytes(facts.limit).s);
}

static int anon_populate(void *va, size_t len, const struct vdma_want *want,
			 struct vdma_memory *mem)
{
	size_t page_size = want->page_size;
	size_t page = vdma_sys_page_size();
	int err, refused = 0;

	err = want->share ? vdma_reserve_fill_shared(va, len, 0, &mem->fd, &mem->lost) :
			    vdma_reserve_fill(va, len, MAP_PRIVATE | MAP_ANONYMOUS, -1, &mem->lost);
	if (err)
		return explain(err, len);
	err = vdma_sys_madvise(va, len, MADV_DONTFORK);
	/* A kernel without transparent huge pages (EINVAL) has none to avoid. */
	if (!err && page_size) {
		err = vdma_sys_madvise(va, len,
				       page_size == page ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
		if (err == -EINVAL && page_size == page)
			err = 0;
	}
	if (!err && want->node)
		refused = vdma_node_bind(va, len, want->node, true);
	if (!err && !refused)
		err = vdma_sys_madvise(va, len, MADV_POPULATE_WRITE);
	if (!err && !refused && want->node)
		refused = vdma_node_verify(va, len, page, want->node);
	if (err || refused) {
		mem->lost = vdma_reserve_restore(va, len);
		return err ? explain(err, len) : refused;
	}
	mem->granule = page;
	mem->node = (int32_t)want->node - 1;
	if (len == page)
		mem->extents = 1;
	return 0;
}

const struct vdma_provider_ops vdma_provider_anon = {
	.name = "anon",
	.unit = anon_unit,
	.granule = anon_granule,
	.populate = anon_populate,
};
