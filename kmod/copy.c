// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a child has instead of its parent's contiguous memory: a copy, in
 * ordinary pages of its own (C6).
 *
 * Made at fork, as the kernel does for anonymous pages that a device has
 * pinned: a copy made later would hold bytes that a device wrote after the
 * fork. The pages are charged to the memory cgroup, and to the user's quota.
 * None of it may disturb fork: no reserves are tapped, the OOM killer is not
 * called, and a fatal signal ends the copying.
 */
#include <linux/highmem.h>
#include <linux/sched/signal.h>

#include "compat.h"
#include "map_contig.h"

static const gfp_t copy_gfp = GFP_HIGHUSER | __GFP_NORETRY | __GFP_NOWARN | __GFP_ACCOUNT;

/* The page of mapping at index, with a reference; NULL, or -EHWPOISON. */
static struct page *source_page(struct mapping *mapping, unsigned long index)
{
	return mapping->region ? region_page_get(mapping->region, index) :
				 copy_page_get(mapping, index);
}

static int copy_one(struct mapping *child, struct mapping *parent, unsigned long index)
{
	struct page *from = source_page(parent, index), *to;
	int err = 0;

	/* What the parent cannot read, the child cannot either. */
	if (IS_ERR_OR_NULL(from))
		return 0;
	to = inject() ? NULL : alloc_page(copy_gfp);
	if (!to) {
		err = -ENOMEM;
		goto put_from;
	}
	copy_highpage(to, from);
	__SetPageUptodate(to);
	err = inject() ? -ENOMEM :
			 xa_err(xa_store(&child->copy, index, to,
					 GFP_KERNEL_ACCOUNT | __GFP_NORETRY | __GFP_NOWARN));
	if (err)
		put_page(to);
put_from:
	put_page(from);
	return err;
}

/**
 * copy_create - copy what a vma of the parent maps
 * @child: its ->copy is filled
 * @vma: the child's vma
 *
 * Return: 0; or -errno, and the caller calls copy_destroy().
 */
int copy_create(struct mapping *child, struct mapping *parent, struct vm_area_struct *vma)
{
	unsigned long npages = vma_pages(vma), index;
	struct account *account;
	int err;

	account = account_charge(npages, ACCOUNT_COPY);
	if (IS_ERR(account))
		return PTR_ERR(account);
	child->account = account;
	atomic_long_set(&child->ncopied, npages);
	err = policy_take_begin(npages, NULL);
	if (err)
		return err;
	for (index = vma->vm_pgoff; !err && index < vma->vm_pgoff + npages; index++) {
		err = fatal_signal_pending(current) ? -EINTR : copy_one(child, parent, index);
		cond_resched();
	}
	policy_take_end(npages);
	return err;
}

/* Return: the page with a reference; NULL if there is none, or -EHWPOISON. */
struct page *copy_page_get(struct mapping *mapping, unsigned long index)
{
	struct page *page;

	xa_lock(&mapping->copy);
	page = xa_load(&mapping->copy, index);
	if (page && PageHWPoison(page))
		page = ERR_PTR(-EHWPOISON);
	else if (page)
		get_page(page);
	xa_unlock(&mapping->copy);
	return page;
}

static bool vma_maps_copy(struct vm_area_struct *vma, void *mapping)
{
	return mapping_of(vma) == mapping;
}

static void copy_uncharge(struct mapping *mapping, unsigned long npages)
{
	if (!npages)
		return;
	atomic_long_sub(npages, &mapping->ncopied);
	account_uncharge(mapping->account, npages, ACCOUNT_COPY);
}

/* A vma goes, or a part of it: what no other vma of the copy maps goes, too. */
void copy_unmapped(struct mapping *mapping, struct vm_area_struct *vma, unsigned long first,
		   unsigned long npages)
{
	unsigned long index, freed = 0;
	struct page *page;

	for (index = first; index < first + npages; index++) {
		bool mapped;

		fs_file_lock(vma->vm_file);
		mapped = fs_file_is_mapped(vma->vm_file, index, index, vma_maps_copy, mapping, vma);
		fs_file_unlock(vma->vm_file);
		if (mapped)
			continue;
		page = xa_erase(&mapping->copy, index);
		if (page)
			put_page(page);
		freed++;
		cond_resched();
	}
	copy_uncharge(mapping, freed);
}

void copy_destroy(struct mapping *mapping)
{
	unsigned long index;
	struct page *page;

	xa_for_each(&mapping->copy, index, page) {
		put_page(page);
		cond_resched();
	}
	xa_destroy(&mapping->copy);
	if (mapping->account)
		copy_uncharge(mapping, atomic_long_read(&mapping->ncopied));
}
