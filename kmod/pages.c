// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where a run of contiguous pages comes from.
 *
 * Small runs are the buddy allocator's: no migration, no waiting for other
 * CPUs. Larger ones are searched for: a cheap scan walks each zone once,
 * starting anew behind every frame that cannot be moved, and each run of
 * frames that it finds is taken by alloc_contig_range(), which migrates what
 * lies there. It is taken in pieces of a folio's size: that is the largest
 * compound page a PMD can map, and a piece that cannot be had tells where to
 * go on.
 *
 * Never from ZONE_MOVABLE or CMA, whose pages cannot be pinned for long, and
 * not from ZONE_DMA, which is for those who can use no other.
 */
#include <linux/highmem.h>
#include <linux/memory_hotplug.h>
#include <linux/mmzone.h>
#include <linux/nodemask.h>
#include <linux/page-flags.h>
#include <linux/sched/signal.h>
#include <linux/topology.h>

#include "compat.h"
#include "map_contig.h"

/* The largest compound page that the scan may meet: 1 GiB of hugetlb. */
#define SCAN_MAX_ORDER (PUD_SHIFT - PAGE_SHIFT)

static const gfp_t buddy_gfp = GFP_USER | __GFP_ZERO | __GFP_NOWARN | __GFP_NORETRY;
static const gfp_t contig_gfp = GFP_USER | __GFP_NOWARN | __GFP_RETRY_MAYFAIL;

static unsigned long folios_in(unsigned long npages)
{
	return compat_has_folios ? npages / FOLIO_PAGES : 0;
}

void run_free(const struct run *run)
{
	unsigned long chunk;

	for (chunk = 0; chunk < run_chunks(run); chunk++) {
		put_page(pfn_to_page(run->pfn + run_chunk_first(run, chunk)));
		cond_resched();
	}
}

/* One folio, or less than one: the buddy allocator has it or has it not. */
static int run_alloc_buddy(struct run *run)
{
	unsigned int order = get_order(run->npages << PAGE_SHIFT);
	unsigned long i;
	struct page *page;

	if (run->nfolios) {
		if (run->npages != FOLIO_PAGES)
			return -ENOMEM;
		page = alloc_pages(buddy_gfp | __GFP_COMP, order);
		if (!page)
			return -ENOMEM;
	} else {
		if (order > compat_max_order)
			return -ENOMEM;
		page = alloc_pages(buddy_gfp, order);
		if (!page)
			return -ENOMEM;
		split_page(page, order);
		for (i = run->npages; i < 1UL << order; i++)
			__free_page(page + i);
	}
	run->pfn = page_to_pfn(page);
	return 0;
}

/*
 * How far the frame at pfn reaches, and whether a run can lie over it. This
 * reads page state without a reference, so it may be wrong either way: a frame
 * passed here can still be refused by alloc_contig_range(), one refused here is
 * a chance missed.
 */
static unsigned long frame_scan(struct zone *zone, unsigned long pfn, bool *blocks)
{
	struct page *page = pfn_to_online_page(pfn), *head;
	unsigned long left;
	unsigned int order;

	*blocks = true;
	if (!page)
		return PAGES_PER_SECTION - pfn % PAGES_PER_SECTION;
	if (page_zone(page) != zone || PageReserved(page))
		return 1;

	if (PageBuddy(page)) {
		*blocks = false;
		order = READ_ONCE(page->private);
		return order <= compat_max_order ? 1UL << order : 1;
	}

	head = compound_head(page);
	left = 1;
	if (PageHead(head)) {
		order = compound_order(head);
		if (order <= SCAN_MAX_ORDER && page_to_pfn(head) + (1UL << order) > pfn)
			left = page_to_pfn(head) + (1UL << order) - pfn;
	}
	if (PageHuge(head))
		return left;
	if (!page_ref_count(head))
		*blocks = false; /* on its way to or from the free lists */
	else if (PageLRU(head) || __PageMovable(head))
		*blocks = page_ref_count(head) >= GUP_PIN_COUNTING_BIAS;
	return left;
}

/*
 * Take [pfn, pfn + npages): 0, or -errno and in *at the frame behind the piece
 * that could not be had.
 */
static int run_take(unsigned long pfn, unsigned long npages, unsigned long *at)
{
	unsigned long end = pfn + npages, piece = pfn, piece_end, i;
	int err = 0;

	for (; piece < end; piece = piece_end) {
		bool folio = compat_has_folios && end - piece >= FOLIO_PAGES;

		piece_end = min(ALIGN(piece + 1, FOLIO_PAGES), end);
		if (fatal_signal_pending(current))
			err = -EINTR;
		else
			err = alloc_contig_range(piece, piece_end, MIGRATE_MOVABLE,
						 folio ? contig_gfp | __GFP_COMP : contig_gfp);
		if (err)
			break;
		if (!compat_contig_is_zeroed())
			for (i = piece; i < piece_end; i++)
				clear_highpage(pfn_to_page(i));
		cond_resched();
	}
	if (err) {
		struct run taken = {
			.pfn = pfn,
			.npages = piece - pfn,
			.nfolios = folios_in(piece - pfn),
		};

		run_free(&taken);
		*at = piece_end;
	}
	return err;
}

/* Search one zone. A run that holds folios begins at a folio's alignment. */
static int run_alloc_zone(struct run *run, struct zone *zone)
{
	unsigned long align = run->nfolios ? FOLIO_PAGES : 1;
	unsigned long pfn = zone->zone_start_pfn, end = zone_end_pfn(zone);
	unsigned long start = ALIGN(pfn, align), scanned = 0, step;
	bool blocks;
	int err;

	while (start + run->npages <= end) {
		if (pfn < start)
			pfn = start;
		if (pfn >= start + run->npages) {
			err = run_take(start, run->npages, &pfn);
			if (!err) {
				run->pfn = start;
				return 0;
			}
			if (err == -EINTR)
				return err;
			start = ALIGN(pfn, align);
			continue;
		}
		step = frame_scan(zone, pfn, &blocks);
		pfn += step;
		if (blocks)
			start = ALIGN(pfn, align);
		scanned += step;
		if (scanned >= PAGES_PER_SECTION) {
			scanned = 0;
			if (fatal_signal_pending(current))
				return -EINTR;
			cond_resched();
		}
	}
	return -ENOMEM;
}

static int run_alloc_node(struct run *run, int nid)
{
	static const enum zone_type zones[] = {
		ZONE_NORMAL,
#ifdef CONFIG_ZONE_DMA32
		ZONE_DMA32,
#endif
	};
	unsigned int i;
	int err;

	for (i = 0; i < ARRAY_SIZE(zones); i++) {
		struct zone *zone = &NODE_DATA(nid)->node_zones[zones[i]];

		if (!populated_zone(zone))
			continue;
		err = run_alloc_zone(run, zone);
		if (err != -ENOMEM)
			return err;
	}
	return -ENOMEM;
}

/**
 * run_alloc - npages contiguous zeroed pages
 *
 * The caller's own node first, then the others. May sleep for long; ends early
 * at a fatal signal.
 *
 * Return: 0; -ENOMEM if there is no such run, -EINTR.
 */
int run_alloc(struct run *run, unsigned long npages)
{
	int local = numa_mem_id(), nid, err;
	unsigned long i;

	run->npages = npages;
	run->nfolios = folios_in(npages);

	/* Migrating pages about cannot make more of them. */
	if (npages > si_mem_available())
		return -ENOMEM;

	if (!run_alloc_buddy(run))
		goto done;
	err = run_alloc_node(run, local);
	for_each_online_node(nid) {
		if (err != -ENOMEM)
			break;
		if (nid != local)
			err = run_alloc_node(run, nid);
	}
	if (err)
		return err;
done:
	for (i = 0; i < run->nfolios; i++)
		compat_set_folio_index(pfn_to_page(run->pfn + i * FOLIO_PAGES), i * FOLIO_PAGES);
	return 0;
}
