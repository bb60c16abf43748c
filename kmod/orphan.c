// SPDX-License-Identifier: GPL-2.0-only
/*
 * Orphans: pages that nothing maps any more, but that a device may still
 * reach because somebody pins them (clause D1).
 *
 * No kernel tells us when the last pin goes, so they are looked at from time
 * to time, and before every allocation, so that what was unpinned counts as
 * free when a limit is checked.
 */
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/workqueue.h>

#include "map_contig.h"

/* Often at first, since most pins go soon after, then less and less often. */
#define ORPHAN_PERIOD_MIN msecs_to_jiffies(10)
#define ORPHAN_PERIOD_MAX msecs_to_jiffies(250)

static LIST_HEAD(orphans); /* by orphan_number */
static u64 orphan_last;
static DEFINE_MUTEX(orphans_lock);
static unsigned long orphan_period; /* guarded by orphans_lock */

static void orphan_work(struct work_struct *work);
static DECLARE_DELAYED_WORK(orphan_dwork, orphan_work);

/* The next region on the list behind *number and up to last, referenced; or NULL. */
static struct region *orphan_next(u64 *number, u64 last)
{
	struct region *region, *next = NULL;

	mutex_lock(&orphans_lock);
	list_for_each_entry(region, &orphans, orphans)
		if (region->orphan_number > *number) {
			next = region;
			break;
		}
	if (next && next->orphan_number <= last) {
		*number = next->orphan_number;
		refcount_inc(&next->refs);
	} else {
		next = NULL;
	}
	mutex_unlock(&orphans_lock);
	return next;
}

/* Off the list, if it has no orphans any more. */
static void orphan_check(struct region *region)
{
	bool listed = false;

	mutex_lock(&orphans_lock);
	if (!READ_ONCE(region->norphans) && !list_empty(&region->orphans)) {
		list_del_init(&region->orphans);
		listed = true;
	}
	mutex_unlock(&orphans_lock);
	if (listed)
		region_put(region);
}

/* All that are on the list now. Without the lock, for each may take its time. */
static void orphan_scan(enum orphan_look look)
{
	struct region *region;
	u64 number = 0, last;

	mutex_lock(&orphans_lock);
	last = orphan_last;
	mutex_unlock(&orphans_lock);
	while ((region = orphan_next(&number, last))) {
		region_retry_orphans(region, look);
		orphan_check(region);
		region_put(region);
	}
}

static void orphan_work(struct work_struct *work)
{
	orphan_scan(ORPHAN_LOOK);
	mutex_lock(&orphans_lock);
	if (!list_empty(&orphans)) {
		orphan_period = min(2 * orphan_period, ORPHAN_PERIOD_MAX);
		mod_delayed_work(system_unbound_wq, &orphan_dwork, orphan_period);
	}
	mutex_unlock(&orphans_lock);
}

/* The region has orphans: watch them. The list holds a reference. */
void orphan_add(struct region *region)
{
	mutex_lock(&orphans_lock);
	if (list_empty(&region->orphans)) {
		refcount_inc(&region->refs);
		region->orphan_number = ++orphan_last;
		list_add_tail(&region->orphans, &orphans);
	}
	orphan_period = ORPHAN_PERIOD_MIN;
	mod_delayed_work(system_unbound_wq, &orphan_dwork, orphan_period);
	mutex_unlock(&orphans_lock);
}

/* What can be had back at once, so that it counts as free. */
void orphan_collect(void)
{
	orphan_scan(ORPHAN_LOOK_QUICK);
}

/* Hand all of them over to whoever pins them: no callback into us is left. */
void orphan_exit(void)
{
	cancel_delayed_work_sync(&orphan_dwork);
	orphan_scan(ORPHAN_LOOK_LET_GO);
}
