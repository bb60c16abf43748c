// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ledger: who holds what, for root, in debugfs (map_contig/ledger).
 */
#include <linux/cred.h>
#include <linux/debugfs.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>

#include "map_contig.h"

static LIST_HEAD(ledger);
static DEFINE_MUTEX(ledger_lock);
static u64 ledger_next_id;
static struct dentry *ledger_dir;

static int ledger_show(struct seq_file *m, void *unused)
{
	struct region *region;

	seq_puts(m, "# id pid uid comm state bytes bytes_held physical node age_s\n");
	mutex_lock(&ledger_lock);
	list_for_each_entry(region, &ledger, ledger) {
		unsigned long held, norphans;

		spin_lock(&region->lock);
		held = region->held;
		norphans = region->norphans;
		spin_unlock(&region->lock);

		seq_printf(m, "%llu %d %u ", region->id, region->pid,
			   from_kuid_munged(&init_user_ns, region->uid));
		seq_escape(m, region->comm, " \t\n\\");
		seq_printf(m, " %s %lu %lu 0x%llx %d %lld\n",
			   refcount_read(&region->maps) ? norphans ? "partly-orphaned" : "mapped" :
							  "orphaned",
			   region->run.npages << PAGE_SHIFT, held << PAGE_SHIFT,
			   (u64)PFN_PHYS(region->run.pfn), pfn_to_nid(region->run.pfn),
			   ktime_divns(ktime_sub(ktime_get_boottime(), region->born),
				       NSEC_PER_SEC));
	}
	mutex_unlock(&ledger_lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(ledger);

void ledger_add(struct region *region)
{
	mutex_lock(&ledger_lock);
	region->id = ++ledger_next_id;
	list_add_tail(&region->ledger, &ledger);
	mutex_unlock(&ledger_lock);
}

void ledger_remove(struct region *region)
{
	mutex_lock(&ledger_lock);
	list_del(&region->ledger);
	mutex_unlock(&ledger_lock);
}

/* Without debugfs there is no ledger, and nothing else is lost. */
void ledger_init(void)
{
	ledger_dir = debugfs_create_dir("map_contig", NULL);
	debugfs_create_file("ledger", 0400, ledger_dir, NULL, &ledger_fops);
}

void ledger_exit(void)
{
	debugfs_remove(ledger_dir);
}
