// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ledger: all regions by their number. For root, in debugfs
 * (map_contig/ledger): who holds what; inside, who owns a page frame.
 */
#include <linux/cred.h>
#include <linux/debugfs.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>

#include "compat.h"
#include "map_contig.h"

/* An opaque offset has 22 bits for a number (node.c). */
#define LEDGER_ID_MAX ((1U << 22) - 1)

static DEFINE_XARRAY_ALLOC1(ledger);
static DEFINE_MUTEX(ledger_lock);
static u32 ledger_last_id;
static struct dentry *ledger_dir;

struct sums {
	unsigned long held;
	unsigned long norphans;
	unsigned long pinned;
	unsigned long bad;
};

/* Pinned as far as can be known: a long-term pin counts in a way of its own. */
static void region_sum(struct region *region, struct sums *sums)
{
	unsigned long nchunks = run_chunks(&region->run), chunk;

	memset(sums, 0, sizeof(*sums));
	for (chunk = 0; chunk < nchunks; chunk++) {
		unsigned long npages = run_chunk_size(&region->run, chunk);

		spin_lock(&region->lock);
		if (test_bit(chunk, region->bad))
			sums->bad += npages;
		if (!test_bit(chunk, region->gone) &&
		    (test_bit(chunk, region->orphaned) ||
		     folio_maybe_dma_pinned(page_folio(run_chunk_page(&region->run, chunk)))))
			sums->pinned += npages;
		spin_unlock(&region->lock);
		cond_resched();
	}
	spin_lock(&region->lock);
	sums->held = region->held;
	sums->norphans = region->norphans;
	spin_unlock(&region->lock);
}

static const char *region_state(struct region *region, const struct sums *sums)
{
	if (!refcount_read(&region->users))
		return "orphaned";
	if (sums->norphans)
		return "partly-orphaned";
	return READ_ONCE(region->keepers) ? "open" : "mapped";
}

static int ledger_show(struct seq_file *m, void *unused)
{
	struct region *region;
	unsigned long id;

	seq_puts(m,
		 "# id pid uid comm state bytes bytes_held bytes_pinned bytes_bad physical node folios source age_s\n");
	seq_printf(m, "# bytes out of use for good: %lu\n", pages_lost() << PAGE_SHIFT);
	mutex_lock(&ledger_lock);
	xa_for_each(&ledger, id, region) {
		struct sums sums;

		region_sum(region, &sums);
		seq_printf(m, "%u %d %u ", region->id, region->pid,
			   from_kuid_munged(&init_user_ns, region->uid));
		seq_escape(m, region->comm, " \t\n\\");
		seq_printf(m, " %s %lu %lu %lu %lu 0x%llx %d %lu %s %lld\n",
			   region_state(region, &sums), region->run.npages << PAGE_SHIFT,
			   sums.held << PAGE_SHIFT, sums.pinned << PAGE_SHIFT,
			   sums.bad << PAGE_SHIFT, (u64)PFN_PHYS(region->run.pfn),
			   pfn_to_nid(region->run.pfn), region->run.nfolios,
			   region->run.reserve ? "reserve" : "kernel",
			   ktime_divns(ktime_sub(ktime_get_boottime(), region->born),
				       NSEC_PER_SEC));
	}
	mutex_unlock(&ledger_lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(ledger);

/* Gives the region its number. Return: 0, -ENOMEM. */
int ledger_add(struct region *region)
{
	int err;

	mutex_lock(&ledger_lock);
	err = inject() ? -ENOMEM :
			 xa_alloc_cyclic(&ledger, &region->id, region, XA_LIMIT(1, LEDGER_ID_MAX),
					 &ledger_last_id, GFP_KERNEL_ACCOUNT);
	mutex_unlock(&ledger_lock);
	/* 1 means that the numbers began anew. */
	return err < 0 ? -ENOMEM : 0;
}

void ledger_remove(struct region *region)
{
	mutex_lock(&ledger_lock);
	xa_erase(&ledger, region->id);
	mutex_unlock(&ledger_lock);
}

/* Under ledger_lock: the region that holds the frame. */
static struct region *ledger_of_pfn(unsigned long pfn)
{
	struct region *region;
	unsigned long id;

	xa_for_each(&ledger, id, region)
		if (pfn >= region->run.pfn && pfn - region->run.pfn < region->run.npages) {
			unsigned long index = pfn - region->run.pfn;

			/* Given back, the frame may be another region's by now. */
			if (!test_bit(run_chunk(&region->run, index), region->gone))
				return region;
		}
	return NULL;
}

/* The region of a page frame, by region->refs (region_put()); or NULL. */
struct region *ledger_find_pfn(unsigned long pfn)
{
	struct region *region;

	mutex_lock(&ledger_lock);
	region = ledger_of_pfn(pfn);
	if (region && !refcount_inc_not_zero(&region->refs))
		region = NULL;
	mutex_unlock(&ledger_lock);
	return region;
}

/* A region that is mapped or open, as a user (region_user_put()); or NULL. */
struct region *ledger_get(u32 id)
{
	struct region *region;

	mutex_lock(&ledger_lock);
	region = xa_load(&ledger, id);
	if (region && !refcount_inc_not_zero(&region->users))
		region = NULL;
	mutex_unlock(&ledger_lock);
	return region;
}

struct region *ledger_get_pfn(unsigned long pfn)
{
	struct region *region;

	mutex_lock(&ledger_lock);
	region = ledger_of_pfn(pfn);
	if (region && !refcount_inc_not_zero(&region->users))
		region = NULL;
	mutex_unlock(&ledger_lock);
	return region;
}

/* Without debugfs nothing can be seen, and nothing else is lost. */
void ledger_init(void)
{
	ledger_dir = debugfs_create_dir("map_contig", NULL);
	debugfs_create_file("ledger", 0400, ledger_dir, NULL, &ledger_fops);
	inject_init(ledger_dir);
}

void ledger_exit(void)
{
	debugfs_remove(ledger_dir);
	xa_destroy(&ledger);
}
