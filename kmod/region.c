// SPDX-License-Identifier: GPL-2.0-only
/*
 * The region: its pages, and when each of them goes back.
 *
 * Pages go back in chunks (run_chunk()), as soon as no vma maps any part of
 * the chunk and no descriptor or dma-buf could. Which vmas there are is not
 * counted here: splits and moves would have to be followed through callbacks
 * that do not tell enough. The region's file has an i_mmap that the kernel
 * keeps right, under i_mmap_rwsem.
 *
 * A chunk goes back by dropping the one reference that the region holds. If
 * others still hold some (a device's pin), the chunk becomes an orphan: it
 * stays charged and in the ledger until the region's reference is the last.
 * All that safety needs is this: a chunk goes only while its reference count is
 * one, under region->lock, and whoever takes a new reference from the region
 * does so under region->lock, and not once the chunk is gone.
 */
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "compat.h"
#include "map_contig.h"
#include "trace.h"

enum release {
	RELEASE_UNUSED, /* unless a descriptor or a pin keeps it */
	RELEASE_ORPHAN, /* just if it is one, and nobody pins it any more */
	RELEASE_LET_GO, /* the same, pinned or not: off our books */
	RELEASE_LOSE,	/* the same, but nobody gets it: a device may write there */
};

/* Give a chunk back, or make it an orphan. Returns the pages to uncharge. */
static unsigned long chunk_release(struct region *region, unsigned long chunk, enum release how)
{
	unsigned long npages = run_chunk_size(&region->run, chunk);
	bool lose, pinned;

	spin_lock(&region->lock);
	if (region->keepers)
		region->kept = true;
	if (region->keepers || test_bit(chunk, region->gone) ||
	    (how != RELEASE_UNUSED && !test_bit(chunk, region->orphaned))) {
		spin_unlock(&region->lock);
		return 0;
	}
	/* Of a bad page the count tells nothing (poison.c), and nobody gets it anyway. */
	lose = how == RELEASE_LOSE || test_bit(chunk, region->bad) ||
	       run_chunk_is_bad(&region->run, chunk);
	pinned = !lose && page_ref_count(run_chunk_page(&region->run, chunk)) != 1;
	if (pinned && how != RELEASE_LET_GO) {
		if (!__test_and_set_bit(chunk, region->orphaned))
			region->norphans++;
		spin_unlock(&region->lock);
		return 0;
	}
	__set_bit(chunk, region->gone);
	if (__test_and_clear_bit(chunk, region->orphaned))
		region->norphans--;
	region->held -= npages;
	spin_unlock(&region->lock);

	/* What must stay out of use for good keeps its reference. */
	if (lose)
		run_lose_chunk(&region->run, chunk);
	else
		run_put_chunk(&region->run, chunk, pinned);
	return npages;
}

static void region_uncharge(struct region *region, unsigned long npages)
{
	if (!npages)
		return;
	account_uncharge(region->account, npages, ACCOUNT_REGION);
	trace_map_contig_free(region->id, region->run.pfn, npages);
}

static bool vma_maps_region(struct vm_area_struct *vma, void *region)
{
	struct mapping *mapping = mapping_of(vma);

	return mapping && mapping->region == region;
}

/* Not an orphan any more: it is mapped, or going to be. Under the lock. */
static void chunk_revive(struct region *region, unsigned long chunk)
{
	lockdep_assert_held(&region->lock);
	if (__test_and_clear_bit(chunk, region->orphaned))
		region->norphans--;
}

/*
 * Release a chunk unless a vma but except maps it; then it is no orphan either. A
 * vma that is linked after this look has its references to the pages by then.
 */
static unsigned long chunk_release_unmapped(struct region *region, unsigned long chunk,
					    enum release how, struct vm_area_struct *except)
{
	unsigned long first = run_chunk_first(&region->run, chunk), freed = 0;
	unsigned long last = first + run_chunk_pages(&region->run, chunk) - 1;

	fs_file_lock(region->file);
	if (!fs_file_is_mapped(region->file, first, last, vma_maps_region, region, except)) {
		freed = chunk_release(region, chunk, how);
	} else {
		spin_lock(&region->lock);
		chunk_revive(region, chunk);
		spin_unlock(&region->lock);
	}
	fs_file_unlock(region->file);
	return freed;
}

/*
 * Release what no vma but except maps of pages [first, first + npages); with
 * unmapped, none does.
 */
static void region_release(struct region *region, struct vm_area_struct *except,
			   unsigned long first, unsigned long npages, bool unmapped)
{
	unsigned long chunk = run_chunk(&region->run, first);
	unsigned long last = run_chunk(&region->run, first + npages - 1);
	unsigned long freed = 0;

	for (; chunk <= last; chunk++) {
		freed += unmapped ? chunk_release(region, chunk, RELEASE_UNUSED) :
				    chunk_release_unmapped(region, chunk, RELEASE_UNUSED, except);
		cond_resched();
	}
	region_uncharge(region, freed);
	if (READ_ONCE(region->norphans))
		orphan_add(region);
}

/* All that is left, while a device may still write: orphans, until it is silent. */
static void region_orphan_all(struct region *region)
{
	unsigned long nchunks = run_chunks(&region->run);

	spin_lock(&region->lock);
	bitmap_complement(region->orphaned, region->gone, nchunks);
	region->norphans = bitmap_weight(region->orphaned, nchunks);
	spin_unlock(&region->lock);
	if (region->norphans)
		orphan_add(region);
}

/* What is being given back counts as held until it has been uncharged: one at a time. */
static DEFINE_MUTEX(retry_lock);

/**
 * region_retry_orphans - give back the orphans that nobody pins any more
 *
 * With ORPHAN_LOOK_LET_GO the others are handed over to who pins them; with a device
 * that cannot be silenced, nobody ever gets any. The caller holds region->refs, and no
 * lock: the last user may be us.
 */
void region_retry_orphans(struct region *region, enum orphan_look look)
{
	bool let_go = look == ORPHAN_LOOK_LET_GO, used;
	unsigned long nchunks = run_chunks(&region->run), chunk, freed = 0;
	enum release how = let_go ? RELEASE_LET_GO : RELEASE_ORPHAN;

	used = refcount_inc_not_zero(&region->users);
	/* While the region is used its devices may work; after that they must not. */
	if (hold_is_held(region) && (used || look == ORPHAN_LOOK_QUICK || !hold_quiesce(region))) {
		if (!let_go)
			goto put;
		how = RELEASE_LOSE;
	}
	mutex_lock(&retry_lock);
	for_each_set_bit(chunk, region->orphaned, nchunks) {
		freed += used ? chunk_release_unmapped(region, chunk, how, NULL) :
				chunk_release(region, chunk, how);
		cond_resched();
	}
	region_uncharge(region, freed);
	mutex_unlock(&retry_lock);
put:
	if (used)
		region_user_put(region);
}

static int region_alloc_bitmaps(struct region *region)
{
	size_t size = BITS_TO_LONGS(run_chunks(&region->run)) * sizeof(long);

	region->gone = inject() ? NULL : kvzalloc(size, GFP_KERNEL_ACCOUNT);
	region->orphaned = inject() ? NULL : kvzalloc(size, GFP_KERNEL_ACCOUNT);
	region->bad = inject() ? NULL : kvzalloc(size, GFP_KERNEL_ACCOUNT);
	return region->gone && region->orphaned && region->bad ? 0 : -ENOMEM;
}

static void region_destroy(struct region *region)
{
	kvfree(region->bad);
	kvfree(region->orphaned);
	kvfree(region->gone);
	kfree(region);
}

/*
 * The caller is charged for request->npages. Whole units of the reserve may be more:
 * for these, too, or they are not for him.
 */
static int region_alloc_run(struct run *run, const struct request *request)
{
	struct request exact = *request;
	unsigned long more;
	int err = run_alloc(run, request);

	if (err)
		return err;
	more = run_size(run) - request->npages;
	if (!more || !IS_ERR(account_charge(more, ACCOUNT_REGION)))
		return 0;
	run_free(run);
	exact.exact = true;
	return run_alloc(run, &exact);
}

/**
 * region_create - allocate a region for the calling process
 *
 * Return: the region, with one user, the caller; or an error pointer: what
 * account_charge() and run_alloc() answer.
 */
struct region *region_create(const struct request *request)
{
	struct region *region = NULL;
	struct account *account;
	struct run run = {};
	unsigned long charged = request->npages;
	ktime_t start = ktime_get();
	int err;

	orphan_collect();

	account = account_charge(request->npages, ACCOUNT_REGION);
	if (IS_ERR(account)) {
		err = PTR_ERR(account);
		goto fail;
	}
	region = inject() ? NULL : kzalloc(sizeof(*region), GFP_KERNEL_ACCOUNT);
	if (!region) {
		err = -ENOMEM;
		goto uncharge;
	}
	err = region_alloc_run(&run, request);
	if (err)
		goto free_region;
	charged = run_size(&run);
	region->run = run;
	err = region_alloc_bitmaps(region);
	if (err)
		goto free_run;
	region->file = fs_file_create((loff_t)run.npages << PAGE_SHIFT);
	if (IS_ERR(region->file)) {
		err = PTR_ERR(region->file);
		goto free_run;
	}

	refcount_set(&region->users, 1);
	refcount_set(&region->refs, 1);
	spin_lock_init(&region->lock);
	INIT_LIST_HEAD(&region->orphans);
	INIT_LIST_HEAD(&region->holds);
	region->account = account;
	region->fork = request->fork;
	region->held = charged;
	region->pid = task_tgid_nr(current);
	region->uid = current_uid();
	get_task_comm(region->comm, current);
	region->born = ktime_get_boottime();
	err = ledger_add(region);
	if (err)
		goto put_file;
	trace_map_contig_alloc(region->id, run.pfn, run.npages, run.nfolios, run.moved,
			       ktime_us_delta(ktime_get(), start));
	return region;

put_file:
	fs_file_put(region->file);
free_run:
	run_free(&run);
free_region:
	region_destroy(region);
uncharge:
	account_uncharge(account, charged, ACCOUNT_REGION);
fail:
	trace_map_contig_fail(request->npages, request->align, err,
			      ktime_us_delta(ktime_get(), start));
	return ERR_PTR(err);
}

void region_user_get(struct region *region)
{
	refcount_inc(&region->users);
}

void region_user_put(struct region *region)
{
	if (!refcount_dec_and_test(&region->users))
		return;
	if (hold_quiesce(region))
		region_release(region, NULL, 0, region->run.npages, true);
	else
		region_orphan_all(region);
	fs_file_put(region->file);
	region->file = NULL;
	region_put(region);
}

/**
 * region_keeper_get - keep pages from being freed as they are unmapped
 *
 * For a descriptor, a dma-buf, or a mapping until the kernel knows it; a keeper is a
 * user, too. Return: false if one of the pages [first, first + npages) has been given
 * back already.
 */
bool region_keeper_get(struct region *region, unsigned long first, unsigned long npages)
{
	unsigned long chunk = run_chunk(&region->run, first);
	unsigned long last = run_chunk(&region->run, first + npages - 1);
	bool there;

	spin_lock(&region->lock);
	there = find_next_bit(region->gone, last + 1, chunk) > last;
	if (there)
		region->keepers++;
	for (; there && region->norphans && chunk <= last; chunk++)
		chunk_revive(region, chunk);
	spin_unlock(&region->lock);
	if (there)
		region_user_get(region);
	return there;
}

void region_keeper_put(struct region *region)
{
	bool release;

	spin_lock(&region->lock);
	release = !--region->keepers && region->kept;
	if (release)
		region->kept = false;
	spin_unlock(&region->lock);
	if (release)
		region_release_unmapped(region);
	region_user_put(region);
}

/* What is not mapped now, and was kept until now, goes. */
void region_release_unmapped(struct region *region)
{
	if (!hold_is_held(region))
		region_release(region, NULL, 0, region->run.npages, false);
}

/**
 * region_unmapped - a vma goes
 * @vma: it is no longer in the address space, but may still be in i_mmap
 * @first: first page of the region that it maps
 * @npages: how many; may be 0
 */
void region_unmapped(struct region *region, struct vm_area_struct *vma, unsigned long first,
		     unsigned long npages)
{
	bool kept;

	/* The last keeper looks again; it sees that this vma is gone, or we that it is. */
	spin_lock(&region->lock);
	kept = region->keepers;
	region->kept |= kept;
	spin_unlock(&region->lock);
	/* 6.1 closes a vma that it could not split off with a length of 0. */
	if (npages && !kept && !hold_is_held(region))
		region_release(region, vma, first, npages, false);
}

/**
 * region_page_get - the page at index, for a fault
 *
 * Return: the page with a reference, NULL if it has been given back, an error
 * pointer (-EHWPOISON) if it is bad.
 */
struct page *region_page_get(struct region *region, unsigned long index)
{
	unsigned long chunk = run_chunk(&region->run, index);
	struct page *page = pfn_to_page(region->run.pfn + index);

	spin_lock(&region->lock);
	if (test_bit(chunk, region->gone))
		page = NULL;
	else if (PageHWPoison(page))
		page = ERR_PTR(-EHWPOISON);
	else
		get_page(page);
	spin_unlock(&region->lock);
	return page;
}

/**
 * region_poison - a page turned out to be bad
 *
 * It is unmapped everywhere; the fault handler refuses it from then on, and its
 * chunk is never given back. The caller holds region->refs.
 */
void region_poison(struct region *region, unsigned long index)
{
	unsigned long chunk = run_chunk(&region->run, index);

	spin_lock(&region->lock);
	if (!test_bit(chunk, region->gone)) {
		__set_bit(chunk, region->bad);
		/* Else the kernel would map the folio by PMD again, bad page and all. */
		if (chunk < region->run.nfolios)
			SetPageHasHWPoisoned(run_chunk_page(&region->run, chunk));
	}
	spin_unlock(&region->lock);
	if (refcount_inc_not_zero(&region->users)) {
		unmap_mapping_range(region->file->f_mapping, (loff_t)index << PAGE_SHIFT, PAGE_SIZE,
				    1);
		region_user_put(region);
	}
}

void region_put(struct region *region)
{
	if (!refcount_dec_and_test(&region->refs))
		return;
	WARN_ON(region->held);
	ledger_remove(region);
	hold_free(region);
	region_destroy(region);
}
