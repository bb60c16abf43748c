// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a page frame is to the search: free, movable, or in the way.
 *
 * All of this reads page state without a reference or a lock, so it may be
 * wrong either way: a frame passed here can still be refused by
 * alloc_contig_range(), one refused here is a chance missed. Flags are read from
 * a copy, since what page_folio() and its like assert does not hold for pages
 * that change meanwhile.
 *
 * There are two ways to be in the way. alloc_contig_range() isolates whole
 * pageblocks, and refuses one that holds any frame that is neither free nor
 * on the LRU lists nor hugetlb, also where it lies outside the wanted range: such a
 * frame spoils its pageblock ("refuses"). A pinned page of user space is moved
 * only if it lies in the range: it ends runs, but its neighbours can be had.
 */
#include <linux/hugetlb.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/page-flags.h>
#include <linux/slab.h>

#include "compat.h"
#include "map_contig.h"

/* The largest compound page that a look may meet: 1 GiB of hugetlb. */
#define FRAME_MAX_ORDER (PUD_SHIFT - PAGE_SHIFT)

/*
 * What is said of a page that looks movable but has more references than its
 * mappings and the page cache explain. One more is likely one of the per-CPU lists
 * that alloc_contig_range() drains.
 */
#define FRAME_REFS_DOUBTFUL 2
#define FRAME_COST_DOUBTFUL 64

static void frame_blocks(struct frame *frame, u32 reason, bool refuses)
{
	frame->blocks = reason;
	frame->refuses = refuses;
}

/* References beyond those of mappings, page cache, swap cache and buffers. */
static long excess_refs(struct page *head, unsigned long flags, unsigned int order)
{
	unsigned long mapping = (unsigned long)READ_ONCE(head->mapping);
	long mapcount = compat_mapcount(head, order), expected;

	if (mapcount < 0)
		return 0;
	expected = mapcount;
	if (mapping & PAGE_MAPPING_ANON)
		expected += (flags & BIT(PG_swapbacked)) && (flags & BIT(PG_swapcache)) ?
				    1L << order :
				    0;
	else
		expected += (mapping ? 1L << order : 0) + !!(flags & BIT(PG_private));
	return page_ref_count(head) - expected;
}

/*
 * A page on its way to the LRU lists: it waits on a list of its CPU. Isolation
 * refuses it, but alloc_contig_range() drains these lists before it migrates.
 */
static bool awaits_lru(struct page *head)
{
	return READ_ONCE(head->mapping) && !PageSlab(head) && !page_has_type(head);
}

static void frame_look_used(struct page *head, unsigned long flags, unsigned int order,
			    struct frame *frame)
{
	if (!(flags & BIT(PG_lru)) && !__PageMovable(head)) {
		if (!awaits_lru(head)) {
			frame_blocks(frame,
				     PageOffline(head)	      ? MAP_CONTIG_BLOCK_OFFLINE :
				     flags & BIT(PG_hwpoison) ? MAP_CONTIG_BLOCK_POISON :
				     compat_pins(head, order) ? MAP_CONTIG_BLOCK_PINNED :
								MAP_CONTIG_BLOCK_UNMOVABLE,
				     true);
			return;
		}
		frame->awaits_lru = true;
	}
	if (compat_pins(head, order))
		frame_blocks(frame, MAP_CONTIG_BLOCK_PINNED, false);
	else if (excess_refs(head, flags, order) >= FRAME_REFS_DOUBTFUL)
		frame->doubtful = true;
}

/**
 * frame_look - what is at pfn
 *
 * frame->npages tells how far that holds, counted from pfn.
 */
void frame_look(struct zone *zone, unsigned long pfn, struct frame *frame)
{
	struct page *page = pfn_to_online_page(pfn), *head;
	unsigned long flags;
	unsigned int order;

	*frame = (struct frame){ .npages = 1 };
	if (!page) {
		frame->npages = FOLIO_PAGES - pfn % FOLIO_PAGES;
		frame_blocks(frame, MAP_CONTIG_BLOCK_OFFLINE, true);
		return;
	}
	if (page_zone(page) != zone) {
		frame_blocks(frame, MAP_CONTIG_BLOCK_ZONE, true);
		return;
	}
	flags = READ_ONCE(page->flags);
	if (flags & BIT(PG_reserved)) {
		frame_blocks(frame, MAP_CONTIG_BLOCK_RESERVED, true);
		return;
	}
	if (PageBuddy(page)) {
		frame->free = true;
		order = READ_ONCE(page->private);
		if (order <= compat_max_order && IS_ALIGNED(pfn, 1UL << order))
			frame->npages = 1UL << order;
		return;
	}

	head = compound_head(page);
	order = 0;
	if (head != page)
		flags = READ_ONCE(head->flags);
	if (flags & BIT(PG_head)) {
		order = compound_order(head);
		if (order > FRAME_MAX_ORDER || page_to_pfn(head) + (1UL << order) <= pfn)
			order = 0;
		else
			frame->npages = page_to_pfn(head) + (1UL << order) - pfn;
		if (PageHuge(head)) {
			/* Moving one takes another one, so it is as good as pinned. */
			frame_blocks(frame, MAP_CONTIG_BLOCK_HUGETLB, false);
			return;
		}
	}
	if (!page_ref_count(head)) {
		frame->npages = 1;
		frame->free = true; /* on a list of its CPU, or on its way */
		return;
	}
	frame_look_used(head, flags, order, frame);
}

/* Of the pageblock: the kinds that no isolation of ours gets, or must get. */
static bool block_is_excluded(unsigned long pfn)
{
	int type;

	if (!pfn_to_online_page(pfn))
		return false;
	type = compat_pageblock_type(pfn);
	return type == MIGRATE_ISOLATE || compat_is_cma(type);
}

/**
 * block_look - sum up the pageblock that begins at first
 * @strict: what is doubtful is in the way
 * @refusal: out, may be NULL: the frame that spoils it, and why
 */
void block_look(struct zone *zone, unsigned long first, bool strict, struct block *block,
		struct blocker *refusal)
{
	unsigned long pfn = first, end = first + FOLIO_PAGES, npages, move = 0;
	struct frame frame;

	*block = (struct block){ .lead = FOLIO_PAGES, .trail = FOLIO_PAGES };
	if (block_is_excluded(first)) {
		frame_blocks(&frame, MAP_CONTIG_BLOCK_ZONE, true);
		goto refused;
	}
	for (; pfn < end; pfn += npages) {
		frame_look(zone, pfn, &frame);
		npages = min(frame.npages, end - pfn);
		if (frame.refuses)
			goto refused;
		if (frame.doubtful && strict)
			frame.blocks = MAP_CONTIG_BLOCK_PINNED;
		if (frame.blocks) {
			if (block->lead == FOLIO_PAGES)
				block->lead = pfn - first;
			block->trail = end - (pfn + npages);
		} else if (!frame.free) {
			move += npages;
			if (frame.doubtful)
				move += FRAME_COST_DOUBTFUL * npages;
			if (frame.awaits_lru)
				block->flags |= BLOCK_AWAITS_LRU;
		}
	}
	block->move = min(move, (unsigned long)U16_MAX);
	return;
refused:
	*block = (struct block){ .flags = BLOCK_REFUSED };
	if (refusal)
		*refusal = (struct blocker){ .reason = frame.blocks, .pfn = pfn };
}

/* Pages of [pfn, pfn + npages) that would have to move. */
unsigned long frames_to_move(struct zone *zone, unsigned long pfn, unsigned long npages)
{
	unsigned long end = pfn + npages, move = 0, step;
	struct frame frame;

	for (; pfn < end; pfn += step) {
		frame_look(zone, pfn, &frame);
		step = min(frame.npages, end - pfn);
		if (!frame.free && !frame.blocks)
			move += step;
		cond_resched();
	}
	return move;
}

/**
 * frames_fitting - the longest run inside [*pfn, end) that the request's constraints allow
 * @pfn: in: the first frame; out: where the run begins
 * @align: the request's, or a larger one
 *
 * Return: its length, 0 if there is none.
 */
unsigned long frames_fitting(const struct request *request, unsigned long *pfn, unsigned long end,
			     unsigned long align)
{
	unsigned long first = ALIGN(*pfn, align), second, length, other;

	if (first < *pfn || first >= end)
		return 0;
	*pfn = first;
	length = end - first;
	if (!request->boundary)
		return length;
	length = min(length, request->boundary - first % request->boundary);
	/* One that begins at a boundary is as long as can be. */
	second = ALIGN(ALIGN(first + 1, request->boundary), align);
	other = second > first && second < end ? min(request->boundary, end - second) : 0;
	if (other > length) {
		*pfn = second;
		length = other;
	}
	return length;
}

static int zone_map_create(struct zone_map *map, struct zone *zone, unsigned long pfn_max)
{
	BUILD_BUG_ON(pageblock_nr_pages != FOLIO_PAGES);

	map->zone = zone;
	map->start = zone->zone_start_pfn;
	map->end = zone_end_pfn(zone);
	if (pfn_max < map->end)
		map->end = pfn_max + 1;
	map->first = ALIGN_DOWN(map->start, FOLIO_PAGES);
	map->nblocks = map->end > map->start ? DIV_ROUND_UP(map->end - map->first, FOLIO_PAGES) : 0;
	map->nlooked = 0;
	map->strict = false;
	map->blocks = inject() ? NULL :
				 kvmalloc_array(map->nblocks, sizeof(*map->blocks), GFP_KERNEL);
	return map->blocks || !map->nblocks ? 0 : -ENOMEM;
}

/* A zone that the request allows, or NULL. */
static struct zone *request_zone(const struct request *request, int nid, enum zone_type type)
{
	struct zone *zone = &NODE_DATA(nid)->node_zones[type];

	if (type == ZONE_MOVABLE || zone_is_zone_device(zone) || !populated_zone(zone) ||
	    zone->zone_start_pfn > request->pfn_max)
		return NULL;
#ifdef CONFIG_ZONE_DMA
	if (type == ZONE_DMA && !request_may_use_dma(request))
		return NULL;
#endif
	return zone;
}

/**
 * zone_maps_create - empty maps of all zones that the request allows
 *
 * Nodes as request_node_next() tells them; of each, the highest zone first, as
 * others have no choice but the lower ones.
 */
int zone_maps_create(struct zone_maps *maps, const struct request *request)
{
	nodemask_t seen = NODE_MASK_NONE;
	int nid, type, err;

	maps->nmaps = 0;
	maps->maps = inject() ? NULL :
				kcalloc(num_online_nodes() * MAX_NR_ZONES, sizeof(*maps->maps),
					GFP_KERNEL);
	if (!maps->maps)
		return -ENOMEM;
	maps->max = num_online_nodes() * MAX_NR_ZONES;
	while ((nid = request_node_next(request, &seen)) != NUMA_NO_NODE) {
		for (type = MAX_NR_ZONES - 1; type >= 0; type--) {
			struct zone *zone = request_zone(request, nid, type);

			/* A node may have come meanwhile. */
			if (!zone || maps->nmaps == maps->max)
				continue;
			err = zone_map_create(&maps->maps[maps->nmaps++], zone, request->pfn_max);
			if (err) {
				zone_maps_destroy(maps);
				return err;
			}
		}
	}
	return 0;
}

void zone_maps_destroy(struct zone_maps *maps)
{
	unsigned int i;

	for (i = 0; i < maps->nmaps; i++)
		kvfree(maps->maps[i].blocks);
	kfree(maps->maps);
}

/* Look at nblocks more. -EINTR and -ETIME as request_interrupted(). */
int zone_map_look(struct zone_map *map, unsigned long nblocks, const struct request *request)
{
	unsigned long until = map->nlooked + min(nblocks, map->nblocks - map->nlooked);
	int err;

	while (map->nlooked < until) {
		block_look(map->zone, map->first + map->nlooked * FOLIO_PAGES, map->strict,
			   &map->blocks[map->nlooked], NULL);
		map->nlooked++;
		if (map->nlooked % 64 == 0) {
			err = request_interrupted(request);
			if (err)
				return err;
			cond_resched();
		}
	}
	return 0;
}

static bool block_is_usable(const struct block *block, unsigned long npages)
{
	return !(block->flags & (BLOCK_REFUSED | BLOCK_FAILED | BLOCK_CLAIMED)) &&
	       block->lead >= npages;
}

/**
 * zone_map_cheapest - of the windows that begin with a block, the cheapest
 * @pfn: out: where it begins
 * @cost: out: about how many pages would have to move
 *
 * Return: whether there is one, among the blocks looked at.
 */
bool zone_map_cheapest(const struct zone_map *map, const struct request *request,
		       unsigned long *pfn, unsigned long *cost)
{
	unsigned long full = request->npages / FOLIO_PAGES, tail = request->npages % FOLIO_PAGES;
	unsigned long good = 0, sum = 0, i, start, price;
	bool found = false;

	/* The window's full blocks are [i - full, i), the tail lies in block i. */
	for (i = 0; i <= map->nlooked; i++) {
		const struct block *block = i < map->nlooked ? &map->blocks[i] : NULL;

		if (good >= full && (!tail || (block && block_is_usable(block, tail)))) {
			start = map->first + (i - full) * FOLIO_PAGES;
			price = sum + (tail ? block->move : 0);
			if (start >= map->start && start + request->npages <= map->end &&
			    request_fits(request, start) && (!found || price < *cost)) {
				found = true;
				*pfn = start;
				*cost = price;
			}
		}
		if (!block || !full)
			continue;
		if (!block_is_usable(block, FOLIO_PAGES)) {
			good = 0;
			sum = 0;
			continue;
		}
		sum += block->move;
		if (good == full)
			sum -= map->blocks[i - full].move;
		else
			good++;
	}
	return found;
}
