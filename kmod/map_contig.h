/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * map_contig: physically contiguous memory for user space.
 *
 * One mmap() of the device node makes one region. What it is made of, and who
 * holds it:
 *
 *   device.c   the node: checks the request, makes a region, maps it; ioctls
 *   mapping.c  the region's vmas: faults, split, move, unmap, population
 *   region.c   the region: its pages, and when each of them goes back
 *   orphan.c   pages that somebody still pins after the last unmap
 *   pages.c    where a run of pages comes from: buddy allocator, migration
 *   account.c  the sum per user that RLIMIT_MEMLOCK is held against
 *   fs.c       a pseudo file system: each region is a file of its own
 *   ledger.c   debugfs: who holds what
 *   compat.h   what differs between kernels
 *
 * Locks. All are leaves under mmap_lock, none is held over a page search:
 *   i_mmap_rwsem (of the region's own file) > region->lock
 *   orphans_lock > region->lock, accounts_lock, ledger_lock
 *   ledger_lock > region->lock
 *   accounts_lock: nothing below it
 */
#ifndef MAP_CONTIG_H
#define MAP_CONTIG_H

#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/uidgid.h>

#define FOLIO_ORDER (PMD_SHIFT - PAGE_SHIFT)
#define FOLIO_PAGES (1UL << FOLIO_ORDER)

/* --- account.c --- */

struct account;

/* The account of the calling user; each page charged holds a reference. */
struct account *account_charge(unsigned long npages);
void account_uncharge(struct account *account, unsigned long npages);

/* --- pages.c --- */

/*
 * A run of pages: nfolios compound pages of FOLIO_PAGES each, then single
 * pages up to npages. Each of them has one reference, which the run's owner
 * holds.
 */
struct run {
	unsigned long pfn;
	unsigned long npages;
	unsigned long nfolios;
};

int run_alloc(struct run *run, unsigned long npages);
void run_free(const struct run *run);

/* A chunk is what goes back to the kernel at once: a folio or a single page. */
static inline unsigned long run_chunks(const struct run *run)
{
	return run->nfolios + run->npages - run->nfolios * FOLIO_PAGES;
}

static inline unsigned long run_chunk(const struct run *run, unsigned long index)
{
	unsigned long in_folios = run->nfolios * FOLIO_PAGES;

	return index < in_folios ? index / FOLIO_PAGES : run->nfolios + index - in_folios;
}

static inline unsigned long run_chunk_first(const struct run *run, unsigned long chunk)
{
	return chunk < run->nfolios ? chunk * FOLIO_PAGES :
				      chunk - run->nfolios + run->nfolios * FOLIO_PAGES;
}

static inline unsigned long run_chunk_pages(const struct run *run, unsigned long chunk)
{
	return chunk < run->nfolios ? FOLIO_PAGES : 1;
}

/* --- region.c --- */

/**
 * struct region - one contiguous allocation
 * @maps: vmas that map it; at 0 the file side (@inode) is let go
 * @refs: one for all vmas together, one while any chunk is an orphan
 * @run: the pages
 * @inode: of the file that the vmas map; its i_mmap tells which pages are mapped
 * @mm: the address space that made the region; compared only, never followed
 * @account: charged for every page that has not gone back
 * @faults: calls of the fault handler, by which population sees what it got
 * @lock: guards what follows
 * @gone: a bit per chunk that has been given back to the kernel
 * @orphaned: a bit per chunk that nothing maps but somebody pins
 * @held: pages not given back
 * @norphans: chunks in @orphaned
 * @orphans: on orphan.c's list while @norphans
 * @ledger: on the ledger's list, always
 */
struct region {
	refcount_t maps;
	refcount_t refs;
	struct run run;
	struct inode *inode;
	struct mm_struct *mm;
	struct account *account;
	unsigned long faults;

	spinlock_t lock;
	unsigned long *gone;
	unsigned long *orphaned;
	unsigned long held;
	unsigned long norphans;

	struct list_head orphans;
	struct list_head ledger;
	u64 id;
	pid_t pid;
	kuid_t uid;
	char comm[TASK_COMM_LEN];
	ktime_t born;
};

struct region *region_create(unsigned long npages, struct file **file);
void region_map_get(struct region *region);
void region_map_put(struct region *region, struct vm_area_struct *vma, unsigned long first,
		    unsigned long npages);
void region_put(struct region *region);
void region_retry_orphans(struct region *region, bool let_go);

/* --- orphan.c --- */

void orphan_add(struct region *region);
void orphan_collect(void);
void orphan_exit(void);

/* --- mapping.c --- */

int mapping_create(struct vm_area_struct *vma);
struct region *mapping_region(struct vm_area_struct *vma);

/* --- fs.c --- */

int fs_pin(void);
void fs_unpin(void);
struct file *fs_file_create(loff_t size);
void fs_inode_put(struct inode *inode);

/* --- ledger.c --- */

void ledger_init(void);
void ledger_exit(void);
void ledger_add(struct region *region);
void ledger_remove(struct region *region);

#endif
