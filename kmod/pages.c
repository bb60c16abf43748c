// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where a run of contiguous pages comes from.
 *
 * Small runs are the buddy allocator's, if it has one at once: no migration, no
 * waiting for other CPUs. Then comes the reserve, which the administrator has set
 * aside, and then the search, which moves what is in the way. Runs that are
 * larger than a folio, which the buddy allocator would have to be lucky for,
 * begin with the reserve.
 *
 * Never from ZONE_MOVABLE or CMA, whose pages cannot be pinned for long:
 * GFP_USER has no __GFP_MOVABLE.
 */
#include <linux/cpuset.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/nodemask.h>
#include <linux/topology.h>

#include <asm/dma.h>

#include "compat.h"
#include "map_contig.h"

static const gfp_t buddy_gfp = GFP_USER | __GFP_ZERO | __GFP_NOWARN | __GFP_NORETRY;

/* The caller's cpuset, which the buddy allocator goes by, too. */
static bool may_use_node(int nid)
{
	return node_isset(nid, cpuset_current_mems_allowed);
}

int request_node_next(const struct request *request, nodemask_t *seen)
{
	int from = request->node_mode == MAP_CONTIG_NODE_ANY ? numa_mem_id() : request->node;
	int nid, best = NUMA_NO_NODE;

	if (request->node_mode == MAP_CONTIG_NODE_STRICT) {
		if (may_use_node(from) && !node_test_and_set(from, *seen))
			return from;
		return NUMA_NO_NODE;
	}
	for_each_node_state(nid, N_MEMORY)
		if (may_use_node(nid) && !node_isset(nid, *seen) &&
		    (best == NUMA_NO_NODE || node_distance(from, nid) < node_distance(from, best)))
			best = nid;
	if (best != NUMA_NO_NODE)
		node_set(best, *seen);
	return best;
}

/*
 * ZONE_DMA is for those who can use no other, and so for those alone who name a
 * limit below that of ZONE_DMA32.
 */
bool request_may_use_dma(const struct request *request)
{
	return IS_ENABLED(CONFIG_ZONE_DMA) && request->pfn_max < MAX_DMA32_PFN - 1;
}

/* Of the order's 2^order pages, keep npages. */
static void trim(struct page *page, unsigned int order, unsigned long npages)
{
	unsigned long i;

	split_page(page, order);
	for (i = npages; i < 1UL << order; i++)
		__free_page(page + i);
}

static struct page *buddy_pages(const struct request *request, gfp_t gfp, unsigned int order)
{
	switch (request->node_mode) {
	case MAP_CONTIG_NODE_STRICT:
		return alloc_pages_node(request->node, gfp | __GFP_THISNODE, order);
	case MAP_CONTIG_NODE_PREFERRED: return alloc_pages_node(request->node, gfp, order);
	default: return alloc_pages(gfp, order);
	}
}

/* From the zones that gfp says. The buddy allocator's pages are aligned to their order. */
static int run_alloc_zones(struct run *run, const struct request *request, gfp_t gfp)
{
	unsigned int order = get_order(request->npages << PAGE_SHIFT);
	bool folio = compat_has_folios && request->npages == FOLIO_PAGES;
	struct page *page;

	order = max(order, (unsigned int)ilog2(request->align));
	if (order > compat_max_order || (folio && order > FOLIO_ORDER))
		return -ENOMEM;
	page = inject() ? NULL : buddy_pages(request, folio ? gfp | __GFP_COMP : gfp, order);
	if (!page)
		return -ENOMEM;
	if (!request_fits(request, page_to_pfn(page))) {
		__free_pages(page, order);
		return -ENOMEM;
	}
	if (!folio)
		trim(page, order, request->npages);
	*run = (struct run){
		.pfn = page_to_pfn(page),
		.npages = request->npages,
		.nfolios = folio,
	};
	return 0;
}

/* One folio, or less than one: the buddy allocator has it or has it not. */
static int run_alloc_buddy(struct run *run, const struct request *request)
{
	int err = -ENOMEM;

	if (request->npages > FOLIO_PAGES || request->npages > policy_available())
		return -ENOMEM;
	/* The zones below, where one reaches beyond pfn_max and gave what lies there. */
	if (!IS_ENABLED(CONFIG_ZONE_DMA32) || request->pfn_max >= MAX_DMA32_PFN)
		err = run_alloc_zones(run, request, buddy_gfp);
	if (err && IS_ENABLED(CONFIG_ZONE_DMA32) && request->pfn_max < ULONG_MAX)
		err = run_alloc_zones(run, request, buddy_gfp | GFP_DMA32);
	if (err && request_may_use_dma(request))
		err = run_alloc_zones(run, request, buddy_gfp | GFP_DMA);
	return err;
}

static int run_search(struct run *run, const struct request *request)
{
	int err = policy_take_begin(request->npages, request);

	if (err)
		return err;
	err = search_run(run, request);
	policy_take_end(request->npages);
	if (err || compat_contig_is_zeroed())
		return err;
	err = zero_pages(run->pfn, run->npages);
	if (err)
		run_free(run);
	return err;
}

/**
 * run_alloc - a run of zeroed pages that meets the request
 *
 * May sleep for long; ends early at a fatal signal or the deadline.
 *
 * Return: 0; -ENOMEM if there is no such run, -EINTR, -ETIME.
 */
int run_alloc(struct run *run, const struct request *request)
{
	unsigned long i;
	int err;

	if (request->npages > policy_available() + reserve_free_pages())
		return -ENOMEM;

	err = run_alloc_buddy(run, request);
	if (err == -ENOMEM)
		err = request_interrupted(request) ?: reserve_alloc(run, request);
	if (err == -ENOMEM)
		err = run_search(run, request);
	if (err)
		return err;

	for (i = 0; i < run->nfolios; i++)
		compat_set_folio_index(pfn_to_page(run->pfn + i * FOLIO_PAGES), i * FOLIO_PAGES);
	return 0;
}

void run_put_chunk(const struct run *run, unsigned long chunk, bool let_go)
{
	if (run->reserve)
		reserve_put_chunk(run, chunk, let_go);
	else
		put_page(run_chunk_page(run, chunk));
}

/* Pages that were given back, but that nobody must get. */
static atomic_long_t lost;

void pages_lose(unsigned long npages)
{
	atomic_long_add(npages, &lost);
}

unsigned long pages_lost(void)
{
	return atomic_long_read(&lost);
}

/* The reference that its owner had is kept for good. */
void run_lose_chunk(const struct run *run, unsigned long chunk)
{
	pages_lose(run_chunk_size(run, chunk));
	if (run->reserve)
		reserve_lose_chunk(run, chunk);
}

bool pages_are_bad(struct page *page, unsigned long npages)
{
	unsigned long i;

	for (i = 0; i < npages; i++)
		if (PageHWPoison(page + i))
			return true;
	return false;
}

bool run_chunk_is_bad(const struct run *run, unsigned long chunk)
{
	return pages_are_bad(run_chunk_page(run, chunk), run_chunk_size(run, chunk));
}

void run_free(const struct run *run)
{
	unsigned long chunk;

	for (chunk = 0; chunk < run_chunks(run); chunk++) {
		run_put_chunk(run, chunk, false);
		cond_resched();
	}
}
