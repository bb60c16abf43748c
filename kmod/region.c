// SPDX-License-Identifier: GPL-2.0-only
/*
 * The region: its pages, and when each of them goes back to the kernel.
 *
 * Pages go back in chunks (run_chunk()), as soon as no vma maps any part of
 * the chunk. Which vmas there are is not counted here: splits and moves would
 * have to be followed through callbacks that do not tell enough. The region's
 * file has an i_mmap that the kernel keeps right, under i_mmap_rwsem.
 *
 * A chunk goes back by dropping the one reference that the region holds. If
 * others still hold some (a device's pin), the chunk becomes an orphan: it
 * stays charged and in the ledger until the region's reference is the last.
 */
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/interval_tree_generic.h>
#include <linux/slab.h>

#include "map_contig.h"

static unsigned long vma_first_index(struct vm_area_struct *vma)
{
	return vma->vm_pgoff;
}

static unsigned long vma_last_index(struct vm_area_struct *vma)
{
	return vma->vm_pgoff + vma_pages(vma) - 1;
}

/* The kernel's own iterators over i_mmap are not exported; these only read. */
INTERVAL_TREE_DEFINE(struct vm_area_struct, shared.rb, unsigned long, shared.rb_subtree_last,
		     vma_first_index, vma_last_index, static inline __maybe_unused, i_mmap);

static bool region_is_mapped(struct region *region, struct vm_area_struct *except,
			     unsigned long first, unsigned long last)
{
	struct rb_root_cached *root = &region->inode->i_mapping->i_mmap;
	struct vm_area_struct *vma;

	for (vma = i_mmap_iter_first(root, first, last); vma;
	     vma = i_mmap_iter_next(vma, first, last))
		if (vma != except && mapping_region(vma) == region)
			return true;
	return false;
}

static struct page *chunk_page(struct region *region, unsigned long chunk)
{
	return pfn_to_page(region->run.pfn + run_chunk_first(&region->run, chunk));
}

/*
 * Give a chunk back, or make it an orphan if it is pinned. let_go gives it
 * back in any case: whoever pins it keeps it alive, but off our books. Returns
 * the pages to uncharge.
 */
static unsigned long chunk_release(struct region *region, unsigned long chunk, bool let_go)
{
	struct page *page = chunk_page(region, chunk);
	unsigned long npages = run_chunk_pages(&region->run, chunk);

	spin_lock(&region->lock);
	if (test_bit(chunk, region->gone)) {
		spin_unlock(&region->lock);
		return 0;
	}
	if (page_ref_count(page) != 1 && !let_go) {
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

	put_page(page);
	return npages;
}

/* Release what no vma but except maps of pages [first, first + npages). */
static void region_release(struct region *region, struct vm_area_struct *except,
			   unsigned long first, unsigned long npages)
{
	struct address_space *mapping = region->inode->i_mapping;
	unsigned long chunk = run_chunk(&region->run, first);
	unsigned long last = run_chunk(&region->run, first + npages - 1);
	unsigned long freed = 0;

	for (; chunk <= last; chunk++) {
		unsigned long index = run_chunk_first(&region->run, chunk);
		unsigned long len = run_chunk_pages(&region->run, chunk);
		bool mapped;

		i_mmap_lock_read(mapping);
		mapped = region_is_mapped(region, except, index, index + len - 1);
		i_mmap_unlock_read(mapping);
		if (!mapped)
			freed += chunk_release(region, chunk, false);
		cond_resched();
	}
	if (freed)
		account_uncharge(region->account, freed);
	if (READ_ONCE(region->norphans))
		orphan_add(region);
}

/**
 * region_retry_orphans - give back the orphans that nobody pins any more
 * @let_go: give back the others as well; the module is being unloaded
 */
void region_retry_orphans(struct region *region, bool let_go)
{
	unsigned long nchunks = run_chunks(&region->run), chunk, freed = 0;

	for_each_set_bit(chunk, region->orphaned, nchunks) {
		freed += chunk_release(region, chunk, let_go);
		cond_resched();
	}
	if (freed)
		account_uncharge(region->account, freed);
}

/**
 * region_create - allocate a region for the calling process
 * @npages: its length
 * @file: out: the file that its vmas map; the caller owns the reference
 *
 * Return: the region, with one map reference for the vma to be, or an error
 * pointer: what account_charge() and run_alloc() answer.
 */
struct region *region_create(unsigned long npages, struct file **file)
{
	struct region *region;
	size_t bitmap;
	int err;

	orphan_collect();

	region = kzalloc(sizeof(*region), GFP_KERNEL_ACCOUNT);
	if (!region)
		return ERR_PTR(-ENOMEM);
	refcount_set(&region->maps, 1);
	refcount_set(&region->refs, 1);
	spin_lock_init(&region->lock);
	INIT_LIST_HEAD(&region->orphans);
	region->mm = current->mm;
	region->pid = task_tgid_nr(current);
	region->uid = current_uid();
	get_task_comm(region->comm, current);
	region->born = ktime_get_boottime();

	region->account = account_charge(npages);
	if (IS_ERR(region->account)) {
		err = PTR_ERR(region->account);
		goto free_region;
	}
	err = run_alloc(&region->run, npages);
	if (err)
		goto uncharge;
	region->held = npages;

	err = -ENOMEM;
	bitmap = BITS_TO_LONGS(run_chunks(&region->run)) * sizeof(long);
	region->gone = kvzalloc(bitmap, GFP_KERNEL_ACCOUNT);
	region->orphaned = kvzalloc(bitmap, GFP_KERNEL_ACCOUNT);
	if (!region->gone || !region->orphaned)
		goto free_run;

	*file = fs_file_create((loff_t)npages << PAGE_SHIFT);
	if (IS_ERR(*file)) {
		err = PTR_ERR(*file);
		goto free_run;
	}
	region->inode = file_inode(*file);
	ledger_add(region);
	return region;

free_run:
	run_free(&region->run);
	kvfree(region->orphaned);
	kvfree(region->gone);
uncharge:
	account_uncharge(region->account, npages);
free_region:
	kfree(region);
	return ERR_PTR(err);
}

/* One more vma: a split or a move. */
void region_map_get(struct region *region)
{
	refcount_inc(&region->maps);
}

/**
 * region_map_put - a vma goes
 * @vma: it is no longer in the address space, but may still be in i_mmap
 * @first: first page of the region that it maps
 * @npages: how many; may be 0
 */
void region_map_put(struct region *region, struct vm_area_struct *vma, unsigned long first,
		    unsigned long npages)
{
	/* 6.1 closes a vma that it could not split off with a length of 0. */
	if (npages)
		region_release(region, vma, first, npages);
	if (refcount_dec_and_test(&region->maps)) {
		fs_inode_put(region->inode);
		region->inode = NULL;
		region_put(region);
	}
}

void region_put(struct region *region)
{
	if (!refcount_dec_and_test(&region->refs))
		return;
	WARN_ON(region->held);
	ledger_remove(region);
	kvfree(region->orphaned);
	kvfree(region->gone);
	kfree(region);
}
