// SPDX-License-Identifier: GPL-2.0-only
/*
 * What could be had, and what blocks more: the search's look at the page frames,
 * without the migration.
 *
 * The search takes what looks movable at its word and finds out; here, what is in
 * doubt counts as blocked, so that what is promised can be had.
 */
#include <linux/mmzone.h>

#include "compat.h"
#include "map_contig.h"

/**
 * struct oracle - what has been found so far
 * @largest: of the runs that the search could have, in pages; @pfn and @zone say where
 * @before: what ends it in front
 * @behind: what ends it behind
 * @buddy: the largest run that the buddy allocator could give at once
 */
struct oracle {
	const struct request *request;
	unsigned long largest;
	unsigned long pfn;
	struct zone *zone;
	struct blocker before;
	struct blocker behind;
	unsigned long buddy;
};

/* A run of frames without blockers, [pfn, end), between two that do block. */
static void consider(struct oracle *oracle, struct zone *zone, unsigned long pfn, unsigned long end,
		     const struct blocker *before, const struct blocker *behind)
{
	unsigned long length = frames_fitting(oracle->request, &pfn, end, oracle->request->align);

	if (oracle->zone && length <= oracle->largest)
		return;
	oracle->largest = length;
	oracle->pfn = pfn;
	oracle->zone = zone;
	oracle->before = *before;
	oracle->behind = *behind;
	if (length && length == oracle->request->boundary)
		oracle->behind = oracle->before = (struct blocker){
			.reason = MAP_CONTIG_BLOCK_LIMIT,
			.pfn = pfn + length,
		};
}

/* What ends a run at the end of what may be used of the zone. */
static struct blocker zone_end(const struct zone_map *map, unsigned long pfn)
{
	bool limited = pfn == map->end && pfn < zone_end_pfn(map->zone);

	return (struct blocker){
		.reason = limited ? MAP_CONTIG_BLOCK_LIMIT : MAP_CONTIG_BLOCK_ZONE,
		.pfn = pfn,
	};
}

/*
 * Free pages in a block that isolation refuses: the search cannot have them, the
 * buddy allocator can.
 */
static void consider_buddy(struct oracle *oracle, const struct zone_map *map, unsigned long first)
{
	const struct request *request = oracle->request;
	unsigned long pfn, end = min(first + FOLIO_PAGES, map->end), length;
	struct frame frame;

	/* It takes any page of the zone, not one below a limit. */
	if (map->end < zone_end_pfn(map->zone))
		return;
	for (pfn = max(first, map->start); pfn < end; pfn += frame.npages) {
		frame_look(map->zone, pfn, &frame);
		length = min(frame.npages, FOLIO_PAGES);
		if (frame.free && length > oracle->buddy && request->align <= length &&
		    (!request->boundary || length <= request->boundary))
			oracle->buddy = length;
	}
}

static int look_at_zone(struct oracle *oracle, struct zone_map *map)
{
	unsigned long start = map->start, pfn = start, next;
	struct blocker before = { .reason = MAP_CONTIG_BLOCK_ZONE, .pfn = start ? start - 1 : 0 };
	struct blocker behind;
	struct frame frame;
	int err;

	map->strict = true;
	err = zone_map_look(map, map->nblocks, oracle->request);
	if (err)
		return err;
	for (; pfn < map->end; pfn = next) {
		unsigned long first = ALIGN_DOWN(pfn, FOLIO_PAGES);
		struct block *block = &map->blocks[(first - map->first) / FOLIO_PAGES];

		next = min(first + FOLIO_PAGES, map->end);
		behind.reason = MAP_CONTIG_BLOCK_NONE;
		if (block->flags & BLOCK_REFUSED) {
			behind = (struct blocker){ .reason = MAP_CONTIG_BLOCK_UNMOVABLE,
						   .pfn = pfn };
			block_look(map->zone, first, true, block, &behind);
			consider_buddy(oracle, map, first);
		} else if (block->lead < FOLIO_PAGES) {
			frame_look(map->zone, pfn, &frame);
			next = min(pfn + frame.npages, next);
			if (frame.doubtful)
				frame.blocks = MAP_CONTIG_BLOCK_PINNED;
			if (frame.blocks)
				behind = (struct blocker){ .reason = frame.blocks, .pfn = pfn };
		}
		if (behind.reason) {
			consider(oracle, map->zone, start, pfn, &before, &behind);
			before = behind;
			start = next;
		}
		if (next % FOLIO_PAGES == 0) {
			err = request_interrupted(oracle->request);
			if (err)
				return err;
			cond_resched();
		}
	}
	behind = zone_end(map, map->end);
	consider(oracle, map->zone, start, map->end, &before, &behind);
	return 0;
}

static int look(struct oracle *oracle, struct zone_maps *maps)
{
	unsigned int i;
	int err;

	for (i = 0; i < maps->nmaps; i++) {
		err = look_at_zone(oracle, &maps->maps[i]);
		if (err)
			return err;
	}
	return 0;
}

/* Pages that would move for a run of npages: the search's first choice. */
static unsigned long pages_to_move(const struct oracle *oracle, const struct zone_maps *maps,
				   unsigned long npages)
{
	struct request request = *oracle->request;
	unsigned long pfn, cost;
	unsigned int i;

	if (!npages)
		return 0;
	request.npages = npages;
	if (npages <= reserve_largest(&request) || npages <= oracle->buddy)
		return 0;
	for (i = 0; i < maps->nmaps; i++)
		if (zone_map_cheapest(&maps->maps[i], &request, &pfn, &cost))
			return frames_to_move(maps->maps[i].zone, pfn, npages);
	return oracle->zone ? frames_to_move(oracle->zone, oracle->pfn, npages) : 0;
}

static bool is_edge(const struct blocker *blocker)
{
	return blocker->reason == MAP_CONTIG_BLOCK_ZONE ||
	       blocker->reason == MAP_CONTIG_BLOCK_LIMIT;
}

static void answer_blocker(const struct oracle *oracle, unsigned long available,
			   struct map_contig_oracle *answer)
{
	const struct blocker *blocker = &oracle->behind;

	if (oracle->largest > available) {
		answer->blocker = MAP_CONTIG_BLOCK_MEMORY;
		return;
	}
	if (!oracle->zone) {
		answer->blocker = MAP_CONTIG_BLOCK_LIMIT;
		return;
	}
	if (is_edge(blocker) && !is_edge(&oracle->before))
		blocker = &oracle->before;
	answer->blocker = blocker->reason;
	answer->blocker_node = zone_to_nid(oracle->zone);
	answer->blocker_phys = PFN_PHYS(blocker->pfn);
}

/**
 * oracle_ask - what could be had now, and what blocks more
 * @request: npages may be 0
 * @answer: largest and the fields behind it are set
 *
 * Return: 0, -ENOMEM if the look itself needs memory that cannot be had, -EINTR, -ETIME.
 */
int oracle_ask(const struct request *request, struct map_contig_oracle *answer)
{
	struct oracle oracle = { .request = request };
	unsigned long available = policy_available(), largest;
	struct zone_maps maps;
	int err;

	err = zone_maps_create(&maps, request);
	if (err)
		return err;
	err = look(&oracle, &maps);
	if (err)
		goto out;

	largest = min(max(oracle.largest, oracle.buddy), available);
	largest = max(largest, reserve_largest(request));
	answer->largest = (u64)largest << PAGE_SHIFT;
	answer->blocker = MAP_CONTIG_BLOCK_NONE;
	answer->blocker_node = NUMA_NO_NODE;
	answer->blocker_phys = MAP_CONTIG_PHYS_NONE;
	if (request->npages > largest)
		answer_blocker(&oracle, available, answer);
	answer->move = pages_to_move(&oracle, &maps,
				     request->npages && request->npages <= largest ?
					     request->npages :
					     largest);
out:
	zone_maps_destroy(&maps);
	return err;
}
