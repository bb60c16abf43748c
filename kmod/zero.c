// SPDX-License-Identifier: GPL-2.0-only
/*
 * Clearing pages that neither the buddy allocator nor init_on_alloc has
 * cleared: one processor does not use all of the memory's bandwidth, so large
 * runs are cleared by several. The caller is one of them and does all of it where
 * the others do not come to run.
 */
#include <linux/atomic.h>
#include <linux/cpumask.h>
#include <linux/highmem.h>
#include <linux/sched/signal.h>
#include <linux/workqueue.h>

#include "map_contig.h"

/* From here on it is worth waking others. */
#define ZERO_PARALLEL_PAGES ((64UL << 20) >> PAGE_SHIFT)
/* What each takes at a time. */
#define ZERO_STEP_PAGES ((4UL << 20) >> PAGE_SHIFT)
#define ZERO_WORKERS_MAX 7

struct zeroing {
	unsigned long pfn;
	unsigned long npages;
	atomic_long_t next;
	bool stopped;
};

struct zero_worker {
	struct work_struct work;
	struct zeroing *zeroing;
};

static void zero_some(unsigned long pfn, unsigned long npages)
{
	unsigned long i;

	for (i = 0; i < npages; i++) {
		clear_highpage(pfn_to_page(pfn + i));
		if (i % 256 == 255)
			cond_resched();
	}
}

/* The one who waits for it looks out for a fatal signal; the others have none. */
static void zero_steps(struct zeroing *zeroing, bool killable)
{
	unsigned long at;

	while (!READ_ONCE(zeroing->stopped)) {
		at = atomic_long_fetch_add(ZERO_STEP_PAGES, &zeroing->next);
		if (at >= zeroing->npages)
			break;
		if (killable && fatal_signal_pending(current))
			WRITE_ONCE(zeroing->stopped, true);
		else
			zero_some(zeroing->pfn + at, min(ZERO_STEP_PAGES, zeroing->npages - at));
	}
}

static void zero_work(struct work_struct *work)
{
	zero_steps(container_of(work, struct zero_worker, work)->zeroing, false);
}

int zero_pages(unsigned long pfn, unsigned long npages)
{
	struct zero_worker workers[ZERO_WORKERS_MAX];
	struct zeroing zeroing = { .pfn = pfn, .npages = npages };
	unsigned int nworkers = 0, i;

	if (npages >= ZERO_PARALLEL_PAGES)
		nworkers = min(num_online_cpus() - 1, (unsigned int)ZERO_WORKERS_MAX);
	for (i = 0; i < nworkers; i++) {
		workers[i].zeroing = &zeroing;
		INIT_WORK_ONSTACK(&workers[i].work, zero_work);
		queue_work(system_unbound_wq, &workers[i].work);
	}
	zero_steps(&zeroing, true);
	/* Waits for those that run; those that do not have nothing to do any more. */
	for (i = 0; i < nworkers; i++) {
		cancel_work_sync(&workers[i].work);
		destroy_work_on_stack(&workers[i].work);
	}
	return zeroing.stopped ? -EINTR : 0;
}
