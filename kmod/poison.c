// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that the hardware reports as bad.
 *
 * memory_failure() marks such a page (PG_hwpoison), but gives up on ours: it
 * looks for those who map a page only if it is on an LRU list or in hugetlb. So
 * they would go on using it. What it did it tells by the tracepoint
 * ras:memory_failure_event, whatever the outcome, and that is where we listen.
 *
 * On the way it may take a reference that it never drops (single pages that
 * came by MADV_HWPOISON), or none: the count of a bad page tells nothing.
 */
#include <linux/kfifo.h>
#include <linux/spinlock.h>
#include <linux/tracepoint.h>
#include <linux/workqueue.h>

#include "map_contig.h"

#if defined(CONFIG_MEMORY_FAILURE) && defined(CONFIG_TRACEPOINTS)
/*
 * Page frames on their way from the probe, which must not sleep. Reports come
 * one at a time and take long; what finds no place here is still refused by the
 * fault handler.
 */
static DEFINE_KFIFO(reports, unsigned long, 128);
static DEFINE_RAW_SPINLOCK(reports_lock);

static struct tracepoint *point;

static void poison_work(struct work_struct *work)
{
	struct region *region;
	unsigned long pfn;

	while (kfifo_get(&reports, &pfn)) {
		region = ledger_find_pfn(pfn);
		if (!region)
			continue;
		region_poison(region, pfn - region->run.pfn);
		region_put(region);
		cond_resched();
	}
}

static DECLARE_WORK(reports_work, poison_work);

/* Arguments of the event after the first: type of the page, outcome. */
static void poison_report(void *data, unsigned long pfn, int type, int result)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&reports_lock, flags);
	kfifo_put(&reports, pfn);
	raw_spin_unlock_irqrestore(&reports_lock, flags);
	queue_work(system_unbound_wq, &reports_work);
}

static void poison_find_point(struct tracepoint *tp, void *found)
{
	if (!strcmp(tp->name, "memory_failure_event"))
		*(struct tracepoint **)found = tp;
}

/* The kernel's own (drivers/ras, or mm) is in no module. */
void poison_init(void)
{
	for_each_kernel_tracepoint(poison_find_point, &point);
	if (point && tracepoint_probe_register(point, poison_report, NULL))
		point = NULL;
}

void poison_exit(void)
{
	if (!point)
		return;
	tracepoint_probe_unregister(point, poison_report, NULL);
	tracepoint_synchronize_unregister();
	cancel_work_sync(&reports_work);
}

bool poison_is_watched(void)
{
	return point;
}

#else
void poison_init(void)
{
}

void poison_exit(void)
{
}

bool poison_is_watched(void)
{
	return false;
}
#endif
