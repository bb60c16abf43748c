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

#define ORPHAN_PERIOD (HZ / 10)

static LIST_HEAD(orphans);
static DEFINE_MUTEX(orphans_lock);

static void orphan_work(struct work_struct *work);
static DECLARE_DELAYED_WORK(orphan_dwork, orphan_work);

/* Returns whether orphans are left. */
static bool orphan_scan(bool let_go)
{
	struct region *region, *next;
	bool left;

	mutex_lock(&orphans_lock);
	list_for_each_entry_safe(region, next, &orphans, orphans) {
		region_retry_orphans(region, let_go);
		if (READ_ONCE(region->norphans))
			continue;
		list_del_init(&region->orphans);
		region_put(region);
	}
	left = !list_empty(&orphans);
	mutex_unlock(&orphans_lock);
	return left;
}

static void orphan_work(struct work_struct *work)
{
	if (orphan_scan(false))
		queue_delayed_work(system_unbound_wq, &orphan_dwork, ORPHAN_PERIOD);
}

/* The region has orphans: watch them. The list holds a reference. */
void orphan_add(struct region *region)
{
	mutex_lock(&orphans_lock);
	if (list_empty(&region->orphans)) {
		refcount_inc(&region->refs);
		list_add_tail(&region->orphans, &orphans);
	}
	mutex_unlock(&orphans_lock);
	queue_delayed_work(system_unbound_wq, &orphan_dwork, ORPHAN_PERIOD);
}

void orphan_collect(void)
{
	orphan_scan(false);
}

/* Hand all of them over to whoever pins them: no callback into us is left. */
void orphan_exit(void)
{
	cancel_delayed_work_sync(&orphan_dwork);
	orphan_scan(true);
}
