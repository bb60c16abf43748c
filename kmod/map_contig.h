/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * map_contig: physically contiguous memory for user space.
 *
 * A region is one run of pages. What it is made of, and who holds it:
 *
 *   node.c      the device node: ioctls and mmap
 *   region_file.c  the region descriptor: what MAP_CONTIG_ALLOC gives
 *   dmabuf.c    the dma-buf of a region
 *   request.c   what a caller wants: constraints, checked
 *   mapping.c   a region's vmas: faults, split, move, unmap, population
 *   copy.c      what a child process has instead, after fork
 *   region.c    the region: its pages, and when each of them goes back
 *   orphan.c    pages that somebody still pins after the last unmap
 *   hold.c      devices that must be silent before a region's pages go
 *   poison.c    pages that the hardware reports as bad
 *   pages.c     where a run of pages comes from: buddy allocator, reserve, search
 *   search.c    the search: candidates, cheapest first, and their migration
 *   zero.c      clearing pages, on several processors where that helps
 *   claim.c     where searches are at work
 *   frames.c    what a page frame is to the search: free, movable, or why not
 *   oracle.c    what could be had, and what blocks more
 *   reserve.c   memory that the administrator has set aside
 *   account.c   the sums per user that limits and quotas are held against
 *   policy.c    the administrator's limits: module parameters
 *   fs.c        a pseudo file system: each region is a file of its own
 *   ledger.c    debugfs: who holds what
 *   inject.c    debug kernels: make every step fail once
 *   trace.h     tracepoints
 *   compat.h    what differs between kernels
 *
 * Locks. All are leaves under mmap_lock; none but reserve_resize_lock is held
 * over a page search:
 *   retry_lock > i_mmap_rwsem (of the region's own file) > region->lock, reserve_lock
 *   retry_lock > accounts_lock
 *   ledger_lock > region->lock
 *   reserve_resize_lock > reserve_lock
 *   orphans_lock, accounts_lock, reserve_lock, claims_lock, taking_lock: nothing
 *   below them
 */
#ifndef MAP_CONTIG_H
#define MAP_CONTIG_H

#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/uidgid.h>
#include <linux/xarray.h>

#include <vdma/uapi/map_contig.h>

#define FOLIO_ORDER (PMD_SHIFT - PAGE_SHIFT)
#define FOLIO_PAGES (1UL << FOLIO_ORDER)

/* --- request.c --- */

/**
 * struct request - what a caller wants, checked
 * @npages: length, at least 1
 * @align: of the first frame, in pages, a power of two, at least 1
 * @boundary: in pages, a power of two not below @npages; 0 is none
 * @pfn_max: the last frame that may be used
 * @node: a node that is online, or NUMA_NO_NODE with MAP_CONTIG_NODE_ANY
 * @node_mode: MAP_CONTIG_NODE_*
 * @fork: MAP_CONTIG_FORK_*
 * @deadline_ms: how long it may take, 0 is for ever
 * @deadline: jiffies at which to give up, set by request_start()
 * @exact: not a page more than @npages, as whole units of the reserve may be
 */
struct request {
	unsigned long npages;
	unsigned long align;
	unsigned long boundary;
	unsigned long pfn_max;
	int node;
	u32 node_mode;
	u32 fork;
	u32 deadline_ms;
	unsigned long deadline;
	bool exact;
};

int request_set_constraints(struct request *request, const struct map_contig_constraints *want);
int request_set_length(struct request *request, u64 length);
/* The deadline counts from now. */
void request_start(struct request *request);

/* 0, -EINTR at a fatal signal, -ETIME at the deadline: asked between steps. */
int request_interrupted(const struct request *request);

/* May a run of request->npages begin at pfn? */
static inline bool request_fits(const struct request *request, unsigned long pfn)
{
	unsigned long last = pfn + request->npages - 1;

	return IS_ALIGNED(pfn, request->align) && last <= request->pfn_max &&
	       (!request->boundary || pfn / request->boundary == last / request->boundary);
}

/* --- policy.c --- */

/* The administrator's limits, in pages; ULONG_MAX is none. */
unsigned long policy_ceiling(void);
unsigned long policy_user_quota(void);
unsigned long policy_floor(void);
/* What the kernel could make available, less the floor. */
unsigned long policy_available(void);
bool policy_may_see_phys(void);
/* "64M": 0 or -EINVAL. *text goes behind it. */
int policy_parse_size(const char **text, unsigned long *bytes);
/*
 * Before and after pages are taken from the kernel, if that takes its time: all who do
 * so at once leave it its floor, and some wait for others. request may be NULL. 0,
 * -ENOMEM, or as request_interrupted().
 */
int policy_take_begin(unsigned long npages, const struct request *request);
void policy_take_end(unsigned long npages);

/* --- account.c --- */

struct account;

enum account_kind {
	ACCOUNT_REGION, /* counts for RLIMIT_MEMLOCK and the quotas */
	ACCOUNT_COPY,	/* counts for the quotas */
	ACCOUNT_KINDS
};

struct account_sums {
	unsigned long user[ACCOUNT_KINDS];
	unsigned long total;
};

/* The account of the calling user; each page charged holds a reference. */
struct account *account_charge(unsigned long npages, enum account_kind kind);
void account_uncharge(struct account *account, unsigned long npages, enum account_kind kind);
void account_sums(struct account_sums *sums);

/* --- pages.c --- */

struct reserve_extent;

/**
 * struct run - a run of pages: compound pages of FOLIO_PAGES, then single pages
 * @pfn: the first frame
 * @npages: its length
 * @nfolios: how many compound pages it begins with. The last one may reach
 *           beyond @npages: the reserve hands out whole units
 * @reserve: where it goes back to, NULL if to the kernel
 * @moved: pages that had to move for it, for the tracepoint
 *
 * Each chunk, that is each folio and each single page behind them, has one
 * reference, which the run's owner holds.
 */
struct run {
	unsigned long pfn;
	unsigned long npages;
	unsigned long nfolios;
	struct reserve_extent *reserve;
	unsigned long moved;
};

int run_alloc(struct run *run, const struct request *request);
/* Gives all chunks back. */
void run_free(const struct run *run);
/*
 * Gives one chunk back. let_go: somebody pins it, so it must not go to the
 * reserve; the kernel frees it when the last reference goes.
 */
void run_put_chunk(const struct run *run, unsigned long chunk, bool let_go);
/* Instead: nobody must ever get it. */
void run_lose_chunk(const struct run *run, unsigned long chunk);
/* Is any of the pages known to be bad? */
bool pages_are_bad(struct page *page, unsigned long npages);
bool run_chunk_is_bad(const struct run *run, unsigned long chunk);
/* Pages that are out of use for good: one beside them is bad, or a device may write there. */
void pages_lose(unsigned long npages);
unsigned long pages_lost(void);

/* A chunk is what goes back at once: a folio or a single page. */
static inline unsigned long run_chunks(const struct run *run)
{
	unsigned long in_folios = run->nfolios * FOLIO_PAGES;

	return run->nfolios + (run->npages > in_folios ? run->npages - in_folios : 0);
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

/* The pages of a chunk, also those behind the run's end. */
static inline unsigned long run_chunk_size(const struct run *run, unsigned long chunk)
{
	return chunk < run->nfolios ? FOLIO_PAGES : 1;
}

/* All pages of all chunks. */
static inline unsigned long run_size(const struct run *run)
{
	return max(run->npages, run->nfolios * FOLIO_PAGES);
}

/* The pages of a chunk that belong to the run. */
static inline unsigned long run_chunk_pages(const struct run *run, unsigned long chunk)
{
	return chunk < run->nfolios ? min(FOLIO_PAGES, run->npages - run_chunk_first(run, chunk)) :
				      1;
}

static inline struct page *run_chunk_page(const struct run *run, unsigned long chunk)
{
	return pfn_to_page(run->pfn + run_chunk_first(run, chunk));
}

/* The nodes that a request allows, nearest first; NUMA_NO_NODE behind the last one. */
int request_node_next(const struct request *request, nodemask_t *seen);
bool request_may_use_dma(const struct request *request);

/* --- frames.c --- */

/**
 * struct frame - what a page frame is to the search
 * @npages: how far this holds
 * @blocks: MAP_CONTIG_BLOCK_*, NONE if a run can lie over it
 * @refuses: it spoils its whole pageblock, see frames.c
 * @free: nothing has to move
 * @awaits_lru: it is not movable yet, but after the next drain
 * @doubtful: it may be in use by more than its mappings
 */
struct frame {
	unsigned long npages;
	u32 blocks;
	bool refuses;
	bool free;
	bool awaits_lru;
	bool doubtful;
};

/* A frame that blocks, and why: MAP_CONTIG_BLOCK_*. */
struct blocker {
	u32 reason;
	unsigned long pfn;
};

#define BLOCK_REFUSED BIT(0)	/* holds a frame that refuses */
#define BLOCK_AWAITS_LRU BIT(1) /* refused until the next drain */
#define BLOCK_FAILED BIT(2)	/* looked well, but could not be had */
#define BLOCK_TAKEN BIT(3)	/* what of it is in the window has been taken */
#define BLOCK_CLAIMED BIT(4)	/* another search is at work on it */

/**
 * struct block - a pageblock, summed up
 * @move: about how many pages would have to move
 * @lead: frames before the first one that blocks; all if none does
 * @trail: frames behind the last one
 */
struct block {
	u16 move;
	u16 lead;
	u16 trail;
	u16 flags;
};

/**
 * struct zone_map - the pageblocks of a zone
 * @start: its first frame
 * @end: behind the last one that may be used
 * @first: where the first block begins, at or before @start
 * @nlooked: so many of @nblocks are in @blocks
 * @strict: what is doubtful counts as blocked
 */
struct zone_map {
	struct zone *zone;
	unsigned long start;
	unsigned long end;
	unsigned long first;
	unsigned long nblocks;
	unsigned long nlooked;
	bool strict;
	struct block *blocks;
};

/* Of all zones that a request allows, in the order in which they are tried. */
struct zone_maps {
	struct zone_map *maps;
	unsigned int nmaps;
	unsigned int max;
};

void frame_look(struct zone *zone, unsigned long pfn, struct frame *frame);
unsigned long frames_fitting(const struct request *request, unsigned long *pfn, unsigned long end,
			     unsigned long align);
unsigned long frames_to_move(struct zone *zone, unsigned long pfn, unsigned long npages);
void block_look(struct zone *zone, unsigned long first, bool strict, struct block *block,
		struct blocker *refusal);
int zone_maps_create(struct zone_maps *maps, const struct request *request);
void zone_maps_destroy(struct zone_maps *maps);
int zone_map_look(struct zone_map *map, unsigned long nblocks, const struct request *request);
bool zone_map_cheapest(const struct zone_map *map, const struct request *request,
		       unsigned long *pfn, unsigned long *cost);

/* --- claim.c --- */

/**
 * struct claim - blocks of the largest order that a search is at work on
 * @seen: of one that was met: when
 */
struct claim {
	struct list_head list;
	unsigned long first;
	unsigned long end;
	unsigned long seen;
};

bool claim_begin(struct claim *claim, unsigned long pfn, unsigned long end, struct claim *other);
void claim_end(struct claim *claim);
int claim_wait(const struct claim *other, const struct request *request);

/* --- search.c --- */

/*
 * Without the buddy allocator and the reserve. nfolios: as many as there can be. Not
 * cleared unless compat_contig_is_zeroed().
 */
int search_run(struct run *run, const struct request *request);

/* --- zero.c --- */

/* 0, or -EINTR at a fatal signal. */
int zero_pages(unsigned long pfn, unsigned long npages);

/* --- oracle.c --- */

int oracle_ask(const struct request *request, struct map_contig_oracle *oracle);

/* --- reserve.c --- */

int reserve_alloc(struct run *run, const struct request *request);
void reserve_put_chunk(const struct run *run, unsigned long chunk, bool let_go);
void reserve_lose_chunk(const struct run *run, unsigned long chunk);
unsigned long reserve_free_pages(void);
/* The largest length, in pages, for which reserve_alloc() would succeed. */
unsigned long reserve_largest(const struct request *request);
/* Sets aside what the module was loaded with. */
int reserve_init(void);
void reserve_exit(void);

/* --- region.c --- */

/**
 * struct region - one contiguous allocation
 * @users: mappings (struct mapping), and keepers; at 0 the file side is let go
 * @refs: one for all users together, one while any chunk is an orphan, one per
 *        look-up
 * @run: the pages
 * @file: what its vmas map; its i_mmap tells which pages are mapped
 * @account: charged for every page that has not gone back
 * @fork: MAP_CONTIG_FORK_*, unless a mapping has its own
 * @offset_shared: others of the same user may map it by offset
 * @lock: guards what follows
 * @keepers: descriptors, dma-bufs, and mappings that are being made: while there
 *           is one, nothing is freed
 * @kept: they may have kept what nothing maps
 * @gone: a bit per chunk that has been given back
 * @orphaned: a bit per chunk that nothing maps but somebody pins
 * @bad: a bit per chunk that holds a page that the hardware reports as bad
 * @held: pages not given back
 * @norphans: chunks in @orphaned
 * @orphans: on orphan.c's list while @norphans
 * @orphan_number: its place there
 * @holds: hold.c's: devices that must be silent first
 * @id: its number in the ledger
 */
struct region {
	refcount_t users;
	refcount_t refs;
	struct run run;
	struct file *file;
	struct account *account;
	u32 fork;
	bool offset_shared;

	spinlock_t lock;
	unsigned long keepers;
	bool kept;
	unsigned long *gone;
	unsigned long *orphaned;
	unsigned long *bad;
	unsigned long held;
	unsigned long norphans;

	struct list_head orphans;
	u64 orphan_number;
	struct list_head holds;
	u32 id;
	pid_t pid;
	kuid_t uid;
	char comm[TASK_COMM_LEN];
	ktime_t born;
};

/* Who looks at orphans, and so how long it may take. */
enum orphan_look {
	ORPHAN_LOOK_QUICK,  /* before an allocation: waits for no device */
	ORPHAN_LOOK,	    /* from time to time: silences devices */
	ORPHAN_LOOK_LET_GO, /* the module is being unloaded: none is left */
};

/* A new region with one user, the caller. */
struct region *region_create(const struct request *request);
void region_user_get(struct region *region);
void region_user_put(struct region *region);
bool region_keeper_get(struct region *region, unsigned long first, unsigned long npages);
void region_keeper_put(struct region *region);
void region_release_unmapped(struct region *region);
struct page *region_page_get(struct region *region, unsigned long index);
/* A vma goes that maps pages [first, first + npages); it may still be in i_mmap. */
void region_unmapped(struct region *region, struct vm_area_struct *vma, unsigned long first,
		     unsigned long npages);
void region_put(struct region *region);
void region_retry_orphans(struct region *region, enum orphan_look look);
void region_poison(struct region *region, unsigned long index);

/* --- orphan.c --- */

void orphan_add(struct region *region);
void orphan_collect(void);
void orphan_exit(void);

/* --- hold.c --- */

int hold_add(struct region *region, u32 domain, u32 bdf);
int hold_remove(struct region *region, u32 domain, u32 bdf);
bool hold_is_held(struct region *region);
/* Stops the devices that hold the region. False: one may still write. Sleeps. */
bool hold_quiesce(struct region *region);
void hold_free(struct region *region);

/* --- poison.c --- */

void poison_init(void);
void poison_exit(void);
bool poison_is_watched(void);

/* --- mapping.c --- */

/**
 * struct mapping - what one mmap() made, in one address space
 * @refs: its vmas: splits and moves make more of them
 * @mm: the address space, by which a fork is told from a split; not followed
 * @region: what is mapped; NULL for a copy
 * @copy: pages of a child's own, by their index in the region; see copy.c
 * @account: charged for @ncopied pages of @copy
 * @fork: MAP_CONTIG_FORK_*
 * @object: the open node that it came from (MAP_CONTIG_CONFIGURE), or 0
 * @faults: calls of the fault handler, by which population sees what it got
 */
struct mapping {
	refcount_t refs;
	struct mm_struct *mm;
	struct region *region;
	struct xarray copy;
	struct account *account;
	atomic_long_t ncopied;
	u32 fork;
	u64 object;
	unsigned long faults;
};

/*
 * Maps the region into the vma, from the page that vm_pgoff says, and populates it.
 * From .mmap, under mmap_lock held for writing.
 */
int mapping_create(struct vm_area_struct *vma, struct region *region, u32 fork, u64 object);
/* What a vma maps; NULL if it is not ours or dead. */
struct mapping *mapping_of(struct vm_area_struct *vma);
/* The region under addr of the caller, referenced as a user, and where in it; or NULL. */
struct region *mapping_find(u64 addr, u64 *offset, u64 *length, u64 *object);

/* --- copy.c --- */

/* Fills child->copy with the pages that vma, of child's new address space, had in parent. */
int copy_create(struct mapping *child, struct mapping *parent, struct vm_area_struct *vma);
struct page *copy_page_get(struct mapping *mapping, unsigned long index);
void copy_unmapped(struct mapping *mapping, struct vm_area_struct *vma, unsigned long first,
		   unsigned long npages);
void copy_destroy(struct mapping *mapping);

/* --- fs.c --- */

int fs_pin(void);
void fs_unpin(void);
/* A file of its own, of the given size, that does nothing but to be mapped. */
struct file *fs_file_create(loff_t size);
/* One more file over the same inode. */
struct file *fs_file_reopen(struct file *file, const struct file_operations *ops, void *data);
void fs_file_put(struct file *file);
/* No vma of the file comes or goes between these two. */
void fs_file_lock(struct file *file);
void fs_file_unlock(struct file *file);
/* Is any page of [first, last] mapped by a vma that is wanted, other than except? */
bool fs_file_is_mapped(struct file *file, unsigned long first, unsigned long last,
		       bool (*wanted)(struct vm_area_struct *vma, void *arg), void *arg,
		       struct vm_area_struct *except);

/* --- region_file.c --- */

/* A region descriptor, not yet installed; keeps the region. */
struct file *region_file_create(struct region *region);

/* --- dmabuf.c --- */

/* A dma-buf's file, not yet installed; keeps the region. */
struct file *dmabuf_export(struct region *region, unsigned long first, unsigned long npages);
bool dmabuf_is_there(void);

/* --- ioctl.c --- */

/* A byte of a region, which is referenced as a user, and what follows it. */
struct place {
	struct region *region;
	u64 offset;
	u64 length;
};

/* What an address means on a descriptor. find: 0 or -ENXIO. */
struct finder {
	int (*find)(const struct finder *finder, u64 addr, struct place *place);
	struct file *file;
};

long ioctl_place(const struct finder *finder, unsigned int cmd, void __user *user);
int ioctl_read(void *to, size_t first, size_t ours, void __user *user);
/* last: the last member of the struct as it was first released. */
#define ioctl_get(what, last, user) \
	ioctl_read(&(what), offsetofend(typeof(what), last), sizeof(what), user)
int ioctl_write(void __user *user, const void *from, size_t ours);

/* --- ledger.c --- */

void ledger_init(void);
void ledger_exit(void);
int ledger_add(struct region *region);
void ledger_remove(struct region *region);
struct region *ledger_find_pfn(unsigned long pfn);
struct region *ledger_get(u32 id);
struct region *ledger_get_pfn(unsigned long pfn);

/* --- inject.c --- */

#ifdef CONFIG_FAULT_INJECTION_DEBUG_FS
void inject_init(struct dentry *dir);
/* Should this step of the module fail? */
bool inject(void);
#else
static inline void inject_init(struct dentry *dir)
{
}

static inline bool inject(void)
{
	return false;
}
#endif

#endif
