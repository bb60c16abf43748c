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
#include <linux/lockdep.h>
#include <linux/mutex.h>
#include <linux/workqueue.h>

#include "map_contig.h"

/* Often at first, since most pins go soon after, then less and less often. */
#define ORPHAN_PERIOD_MIN msecs_to_jiffies(10)
#define ORPHAN_PERIOD_MAX msecs_to_jiffies(250)

static LIST_HEAD(orphans);
static DEFINE_MUTEX(orphans_lock);
static unsigned long orphan_period; /* guarded by orphans_lock */

static void orphan_work(struct work_struct *work);
static DECLARE_DELAYED_WORK(orphan_dwork, orphan_work);

/* Returns whether orphans are left. */
static bool orphan_scan(bool let_go)
{
	struct region *region, *next;

	lockdep_assert_held(&orphans_lock);
	list_for_each_entry_safe(region, next, &orphans, orphans) {
		region_retry_orphans(region, let_go);
		if (READ_ONCE(region->norphans))
			continue;
		list_del_init(&region->orphans);
		region_put(region);
	}
	return !list_empty(&orphans);
}

static void orphan_work(struct work_struct *work)
{
	mutex_lock(&orphans_lock);
	if (orphan_scan(false)) {
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
		list_add_tail(&region->orphans, &orphans);
	}
	orphan_period = ORPHAN_PERIOD_MIN;
	mod_delayed_work(system_unbound_wq, &orphan_dwork, orphan_period);
	mutex_unlock(&orphans_lock);
}

void orphan_collect(void)
{
	mutex_lock(&orphans_lock);
	orphan_scan(false);
	mutex_unlock(&orphans_lock);
}

/* Hand all of them over to whoever pins them: no callback into us is left. */
void orphan_exit(void)
{
	cancel_delayed_work_sync(&orphan_dwork);
	mutex_lock(&orphans_lock);
	orphan_scan(true);
	mutex_unlock(&orphans_lock);
}
