// SPDX-License-Identifier: GPL-2.0-only
/*
 * The search for a run of pages, and the migration of what lies there.
 *
 * First choice are windows that begin with a pageblock, cheapest first: of all
 * that the request allows, the one with the fewest pages to move. On kernels
 * that can, these become folios. Second choice, also for what the first one
 * did not find, are windows that begin at any page that the request allows.
 *
 * A window is taken pageblock by pageblock, with alloc_contig_range(): what of
 * a pageblock has been taken already would be unmovable to a second call. That
 * is also a folio's size, the largest compound page that a PMD maps. Free blocks
 * are taken first, so that what has to move does not go where it would have to
 * move again; and those that failed before even earlier, so that a window
 * that cannot be had costs little.
 *
 * Each call of alloc_contig_range() waits for a work item on every CPU.
 *
 * Never from ZONE_MOVABLE or CMA, whose pages cannot be pinned for long.
 */
#include <linux/memory_hotplug.h>
#include <linux/mmzone.h>
#include <linux/moduleparam.h>
#include <linux/nodemask.h>
#include <linux/slab.h>

#include "compat.h"
#include "map_contig.h"
#include "trace.h"

/* What failed because it was busy for a moment is tried again. */
#define SEARCH_ROUNDS 3

/* As many blocks, 4 GiB, are looked at before the first window is tried. */
#define SEARCH_FIRST_LOOK 2048UL

/* Free pages that are taken by one call. */
#define PIECE_PAGES_MAX (128 * FOLIO_PAGES)

static bool search_length_aligned_only;
module_param(search_length_aligned_only, bool, 0644);
MODULE_PARM_DESC(
	search_length_aligned_only,
	"For tests only: try only runs aligned to their length, as the kernel's alloc_contig_pages() does");

static const gfp_t contig_gfp = GFP_USER | __GFP_NOWARN | __GFP_RETRY_MAYFAIL;

/**
 * struct search - one round
 * @maps: of the zones that the request allows, in the order in which to try
 * @failures: pieces that looked well but could not be had
 * @drained: the lists of the CPUs have been drained in this round
 */
struct search {
	const struct request *request;
	struct zone_map *maps;
	unsigned int nmaps;
	unsigned long failures;
	bool drained;
};

static struct block *block_at(const struct zone_map *map, unsigned long pfn)
{
	return &map->blocks[(pfn - map->first) / FOLIO_PAGES];
}

static void put_pages_at(unsigned long pfn, unsigned long end)
{
	for (; pfn < end; pfn++)
		put_page(pfn_to_page(pfn));
}

/* Make folios of the single pages [pfn, end). -EBUSY, and all are given back. */
static int build_folios(unsigned long pfn, unsigned long end)
{
	unsigned long at;

	for (at = pfn; at < end; at += FOLIO_PAGES) {
		if (compat_build_folio(pfn_to_page(at)))
			continue;
		put_pages_at(at, end);
		while (at > pfn) {
			at -= FOLIO_PAGES;
			put_page(pfn_to_page(at));
		}
		return -EBUSY;
	}
	return 0;
}

/*
 * Take [pfn, end) as folios or as single pages.
 * alloc_contig_range() does not isolate a compound page by its tail, so where
 * pfn is inside one, all of it is moved and the head given back. Compound pages
 * that can move do not reach over a pageblock.
 */
static int range_take(const struct search *search, unsigned long pfn, unsigned long end, bool folio)
{
	unsigned long head = page_to_pfn(compound_head(pfn_to_page(pfn)));
	unsigned long from = pfn;
	int err;

	if (head >= ALIGN_DOWN(pfn, FOLIO_PAGES) && head < pfn)
		from = head;
	err = request_interrupted(search->request);
	if (err)
		return err;
	if (inject())
		return -EBUSY;
	err = alloc_contig_range(from, end, MIGRATE_MOVABLE, contig_gfp);
	if (!err && folio)
		err = build_folios(pfn, end);
	if (err == -EINTR)
		return err;
	if (err)
		return err == -ENOMEM ? err : -EBUSY;
	put_pages_at(from, pfn);
	cond_resched();
	return 0;
}

/*
 * Drain the lists of all CPUs on which pages wait for the LRU lists: nothing
 * that does this is exported, but every migration begins with it.
 */
static void drain(const struct search *search, const struct zone_map *map)
{
	struct claim claim, other;
	unsigned long i, pfn;
	int err;

	for (i = 0; i < map->nlooked; i++) {
		const struct block *block = &map->blocks[i];

		pfn = map->first + i * FOLIO_PAGES;
		if (block->flags || block->lead < FOLIO_PAGES || pfn < map->start)
			continue;
		if (!claim_begin(&claim, pfn, pfn + 1, &other))
			continue;
		err = range_take(search, pfn, pfn + 1, false);
		if (!err)
			put_pages_at(pfn, pfn + 1);
		claim_end(&claim);
		if (!err)
			return;
	}
}

/* Do pages in [pfn, end) wait for the LRU lists? Isolation refuses them as long. */
static bool range_awaits_lru(const struct zone_map *map, unsigned long pfn, unsigned long end)
{
	struct block block;

	for (pfn = ALIGN_DOWN(pfn, FOLIO_PAGES); pfn < end; pfn += FOLIO_PAGES) {
		block_look(map->zone, pfn, false, &block, NULL);
		if (block.flags & BLOCK_AWAITS_LRU)
			return true;
	}
	return false;
}

static int piece_take(struct search *search, const struct zone_map *map, unsigned long pfn,
		      unsigned long end, bool folio)
{
	int err = range_take(search, pfn, end, folio);

	if (err == -EBUSY && (!search->drained || range_awaits_lru(map, pfn, end))) {
		search->drained = true;
		drain(search, map);
		err = range_take(search, pfn, end, folio);
	}
	return err;
}

/* The lower, the earlier a piece of the block is taken. */
enum { PIECE_FAILED, PIECE_FREE, PIECE_USED, PIECE_RANKS };

static unsigned int piece_rank(const struct block *block)
{
	if (block->flags & BLOCK_FAILED)
		return PIECE_FAILED;
	return block->move ? PIECE_USED : PIECE_FREE;
}

/* Give back what window_take() took. */
static void window_undo(const struct zone_map *map, const struct run *run)
{
	unsigned long end = run->pfn + run->npages, pfn, next;

	for (pfn = run->pfn; pfn < end; pfn = next) {
		struct block *block = block_at(map, pfn);

		next = min(ALIGN(pfn + 1, FOLIO_PAGES), end);
		if (!(block->flags & BLOCK_TAKEN))
			continue;
		block->flags &= ~BLOCK_TAKEN;
		if (pfn < run->pfn + run->nfolios * FOLIO_PAGES)
			put_page(pfn_to_page(pfn)); /* a folio is a block */
		else
			put_pages_at(pfn, next);
		cond_resched();
	}
}

/*
 * How far the piece at pfn reaches: a block, or many that are free, to wait less
 * often. Not where pages move, since the deadline is looked at between pieces.
 */
static unsigned long piece_end(const struct zone_map *map, const struct run *run, unsigned long pfn)
{
	unsigned long in_folios = run->pfn + run->nfolios * FOLIO_PAGES;
	unsigned long end = pfn < in_folios ? in_folios : run->pfn + run->npages;
	unsigned long next = ALIGN(pfn + 1, FOLIO_PAGES);

	if (piece_rank(block_at(map, pfn)) == PIECE_FREE)
		while (next < end && next - pfn < PIECE_PAGES_MAX &&
		       piece_rank(block_at(map, next)) == PIECE_FREE)
			next += FOLIO_PAGES;
	return min(next, end);
}

static void mark(const struct zone_map *map, unsigned long pfn, unsigned long end, u16 flag)
{
	for (; pfn < end; pfn = ALIGN(pfn + 1, FOLIO_PAGES))
		block_at(map, pfn)->flags |= flag;
}

/*
 * Take the window [run->pfn, run->pfn + run->npages). -EBUSY or -ENOMEM: the
 * piece that begins at *failed, of one block, could not be had.
 */
static int window_take(struct search *search, const struct zone_map *map, struct run *run,
		       unsigned long *failed)
{
	unsigned long end = run->pfn + run->npages, pfn, next, block_end, move;
	ktime_t start = ktime_get();
	unsigned int rank;
	int err;

	run->moved = 0;
	for (rank = 0; rank < PIECE_RANKS; rank++) {
		for (pfn = run->pfn; pfn < end; pfn = next) {
			bool folio = pfn < run->pfn + run->nfolios * FOLIO_PAGES;

			next = piece_end(map, run, pfn);
			if (piece_rank(block_at(map, pfn)) != rank)
				continue;
			move = frames_to_move(map->zone, pfn, next - pfn);
			err = piece_take(search, map, pfn, next, folio);
			block_end = ALIGN(pfn + 1, FOLIO_PAGES);
			if (err == -EBUSY && next > block_end) {
				/* One of these blocks: this one? */
				next = block_end;
				err = piece_take(search, map, pfn, next, folio);
			}
			if (err) {
				*failed = pfn;
				search->failures++;
				mark(map, pfn, next, BLOCK_FAILED);
				trace_map_contig_migrate(run->pfn, run->npages, run->moved, err,
							 ktime_us_delta(ktime_get(), start));
				window_undo(map, run);
				return err;
			}
			run->moved += move;
			mark(map, pfn, next, BLOCK_TAKEN);
		}
	}
	trace_map_contig_migrate(run->pfn, run->npages, run->moved, 0,
				 ktime_us_delta(ktime_get(), start));
	return 0;
}

static bool is_final(int err)
{
	return err != -EBUSY && err != -ENOMEM;
}

/* Another search is at work there: keep off, until unclaim(). */
static void mark_claimed(const struct zone_map *map, const struct claim *other)
{
	unsigned long pfn = max(other->first, map->first);
	unsigned long end = min(other->end, map->first + map->nlooked * FOLIO_PAGES);

	mark(map, pfn, end, BLOCK_CLAIMED);
}

/* Look again at what others were at work on, once one of them has ended. */
static int unclaim(const struct search *search, struct zone_map *map, const struct claim *other)
{
	unsigned long i;
	int err = claim_wait(other, search->request);

	for (i = 0; i < map->nlooked; i++)
		if (map->blocks[i].flags & BLOCK_CLAIMED)
			block_look(map->zone, map->first + i * FOLIO_PAGES, map->strict,
				   &map->blocks[i], NULL);
	return err;
}

/*
 * Look again at a window that has been claimed: another search may have got it
 * since. Returns whether nothing blocks any more than it did.
 */
static bool window_is_fresh(const struct zone_map *map, unsigned long pfn, unsigned long end)
{
	bool fresh = true;

	for (pfn = ALIGN_DOWN(pfn, FOLIO_PAGES); pfn < end; pfn += FOLIO_PAGES) {
		struct block *block = block_at(map, pfn), old = *block;

		block_look(map->zone, pfn, map->strict, block, NULL);
		block->flags |= old.flags & BLOCK_FAILED;
		fresh &= !(block->flags & BLOCK_REFUSED) && block->lead >= old.lead;
	}
	return fresh;
}

/* Windows that begin with a block, cheapest first. */
static int search_blocks(struct search *search, struct zone_map *map, struct run *run)
{
	const struct request *request = search->request;
	struct claim claim, other;
	unsigned long cost, failed;
	bool found, met = false;
	int err;

	for (;;) {
		err = request_interrupted(request);
		if (err)
			return err;
		found = zone_map_cheapest(map, request, &run->pfn, &cost);
		/* None is better than one where nothing has to move. */
		if ((!found || cost) && map->nlooked < map->nblocks) {
			err = zone_map_look(map, max(map->nlooked, SEARCH_FIRST_LOOK), request);
			if (err)
				return err;
			continue;
		}
		if (!found && met) {
			met = false;
			err = unclaim(search, map, &other);
			if (err)
				return err;
			continue;
		}
		if (!found)
			return -ENOMEM;
		if (!claim_begin(&claim, run->pfn, run->pfn + request->npages, &other)) {
			met = true;
			mark_claimed(map, &other);
			continue;
		}
		run->nfolios = compat_has_folios ? request->npages / FOLIO_PAGES : 0;
		err = -EBUSY;
		if (window_is_fresh(map, run->pfn, run->pfn + request->npages))
			err = window_take(search, map, run, &failed);
		claim_end(&claim);
		if (is_final(err))
			return err;
	}
}

/* The frame of [pfn, end) that blocks, which is known to be there. */
static int find_blocking(const struct search *search, unsigned long pfn, unsigned long end,
			 unsigned long *frame)
{
	unsigned long middle;
	int err;

	while (end - pfn > 1) {
		middle = pfn + (end - pfn) / 2;
		err = range_take(search, pfn, middle, false);
		if (is_final(err) && err)
			return err;
		if (err) {
			end = middle;
		} else {
			put_pages_at(pfn, middle);
			pfn = middle;
		}
	}
	*frame = pfn;
	return 0;
}

/*
 * Where to go on behind the piece at pfn, of a window that ends at end: behind
 * the frame that could not be moved, or behind the block if it is refused as
 * such.
 */
static int behind_failure(const struct search *search, const struct zone_map *map,
			  unsigned long pfn, unsigned long end, unsigned long *behind)
{
	unsigned long first = ALIGN_DOWN(pfn, FOLIO_PAGES), next = first + FOLIO_PAGES, frame_pfn;
	struct block *block = block_at(map, pfn);
	struct frame frame;
	u16 failed;
	int err;

	err = find_blocking(search, pfn, min(next, end), &frame_pfn);
	if (err)
		return err;
	failed = block->flags & BLOCK_FAILED;
	block_look(map->zone, first, map->strict, block, NULL);
	block->flags |= failed;
	if (block->flags & BLOCK_REFUSED) {
		*behind = next;
	} else {
		frame_look(map->zone, frame_pfn, &frame);
		*behind = frame_pfn + (frame.free ? 1 : min(frame.npages, next - frame_pfn));
	}
	return 0;
}

/* The first frame from pfn on at which a run may begin, ULONG_MAX if there is none. */
static unsigned long next_fit(const struct request *request, unsigned long pfn)
{
	unsigned long start = ALIGN(pfn, request->align);

	if (start < pfn || start + request->npages < start)
		return ULONG_MAX;
	if (request->boundary &&
	    start / request->boundary != (start + request->npages - 1) / request->boundary) {
		start = ALIGN(ALIGN(start, request->boundary), request->align);
		if (start < pfn)
			return ULONG_MAX;
	}
	return request_fits(request, start) ? start : ULONG_MAX;
}

/* Windows that begin at any page, the first one that can be had. */
static int search_pages(struct search *search, struct zone_map *map, struct run *run)
{
	const struct request *request = search->request;
	unsigned long start = next_fit(request, map->start), pfn = start, next, failed;
	struct claim claim, other;
	struct frame frame;
	bool done;
	int err;

	err = zone_map_look(map, map->nblocks, request);
	if (err)
		return err;
	while (start < map->end && request->npages <= map->end - start) {
		const struct block *block;

		pfn = max(pfn, start);
		if (pfn >= start + request->npages) {
			if (!claim_begin(&claim, start, start + request->npages, &other)) {
				mark_claimed(map, &other);
				err = unclaim(search, map, &other);
				if (err)
					return err;
				pfn = start;
				continue;
			}
			run->pfn = start;
			run->nfolios = 0;
			err = window_take(search, map, run, &failed);
			done = is_final(err);
			if (!done)
				err = behind_failure(search, map, failed, start + request->npages,
						     &next);
			claim_end(&claim);
			if (done || err)
				return err;
			start = next_fit(request, next);
			continue;
		}
		block = block_at(map, pfn);
		next = ALIGN(pfn + 1, FOLIO_PAGES);
		if (block->flags & BLOCK_REFUSED) {
			start = next_fit(request, next);
		} else if (block->lead < FOLIO_PAGES) {
			frame_look(map->zone, pfn, &frame);
			next = min(pfn + frame.npages, next);
			if (frame.blocks)
				start = next_fit(request, next);
		}
		pfn = next;
		if (pfn % FOLIO_PAGES == 0) {
			err = request_interrupted(request);
			if (err)
				return err;
			cond_resched();
		}
	}
	return -ENOMEM;
}

/* What alloc_contig_pages() would try. */
static int search_length_aligned(struct search *search, struct zone_map *map, struct run *run)
{
	const struct request *request = search->request;
	unsigned long pfn = ALIGN(map->start, request->npages), i, failed;
	int err;

	err = zone_map_look(map, map->nblocks, request);
	if (err)
		return err;
	for (; pfn < map->end && request->npages <= map->end - pfn; pfn += request->npages) {
		bool refused = !request_fits(request, pfn);

		for (i = pfn; i < pfn + request->npages; i = ALIGN(i + 1, FOLIO_PAGES))
			refused |= !!(block_at(map, i)->flags & BLOCK_REFUSED);
		if (refused)
			continue;
		run->pfn = pfn;
		run->nfolios = compat_has_folios && IS_ALIGNED(pfn, FOLIO_PAGES) ?
				       request->npages / FOLIO_PAGES :
				       0;
		err = window_take(search, map, run, &failed);
		if (is_final(err))
			return err;
	}
	return -ENOMEM;
}

static int search_maps(struct search *search, struct run *run)
{
	static int (*const passes[])(struct search * search, struct zone_map * map,
				     struct run * run) = { search_blocks, search_pages };
	unsigned int pass, i;
	int err;

	if (READ_ONCE(search_length_aligned_only)) {
		for (i = 0; i < search->nmaps; i++) {
			err = search_length_aligned(search, &search->maps[i], run);
			if (err != -ENOMEM)
				return err;
		}
		return -ENOMEM;
	}
	for (pass = 0; pass < ARRAY_SIZE(passes); pass++) {
		for (i = 0; i < search->nmaps; i++) {
			err = passes[pass](search, &search->maps[i], run);
			if (err != -ENOMEM)
				return err;
		}
	}
	return -ENOMEM;
}

static int search_round(struct search *search, struct run *run)
{
	struct zone_maps maps;
	int err = zone_maps_create(&maps, search->request);

	if (err)
		return err;
	search->maps = maps.maps;
	search->nmaps = maps.nmaps;
	search->failures = 0;
	search->drained = false;
	err = search_maps(search, run);
	zone_maps_destroy(&maps);
	return err;
}

/**
 * search_run - find a run of pages and take it
 *
 * May sleep for long, and holds no lock meanwhile. The pages are not cleared
 * unless the kernel does so (compat_contig_is_zeroed()).
 *
 * Return: 0; -ENOMEM if there is no such run, -EINTR, -ETIME.
 */
int search_run(struct run *run, const struct request *request)
{
	struct search search = { .request = request };
	unsigned int round;
	int err = -ENOMEM;

	*run = (struct run){ .npages = request->npages };
	for (round = 0; round < SEARCH_ROUNDS; round++) {
		err = search_round(&search, run);
		if (err != -ENOMEM || !search.failures)
			break;
	}
	return err;
}
