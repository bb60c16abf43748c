// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claims: where searches are at work, so that two of them keep out of each other's
 * way. Without them both would take pieces of the same cheapest window, each
 * refused where the other is, give all back and meet again in the next one.
 *
 * A claim is of whole blocks of the buddy allocator's largest order, not just of
 * pageblocks: free pages of two pageblocks that are isolated at the same time are
 * merged, so each search would take hold of pages of the other's for a while. (With
 * __GFP_COMP, which we do not use, alloc_contig_range() even warns of that.)
 *
 * It is no lock: nobody has to have one to use memory, and whoever waits for one
 * can be killed.
 */
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "map_contig.h"

/* Free pages never reach over a multiple of it. */
#define CLAIM_PAGES ((unsigned long)MAX_ORDER_NR_PAGES)

/* A deadline is looked at as often. */
#define CLAIM_WAIT (HZ / 20)

static LIST_HEAD(claims);
static DEFINE_SPINLOCK(claims_lock);
static DECLARE_WAIT_QUEUE_HEAD(claims_wait);
static unsigned long claims_ended; /* so many; guarded by claims_lock */

/**
 * claim_begin - claim the blocks of [pfn, end)
 * @other: out, if that fails: the claim, of somebody else, that is in the way
 */
bool claim_begin(struct claim *claim, unsigned long pfn, unsigned long end, struct claim *other)
{
	struct claim *at;

	claim->first = ALIGN_DOWN(pfn, CLAIM_PAGES);
	claim->end = ALIGN(end, CLAIM_PAGES);
	spin_lock(&claims_lock);
	list_for_each_entry(at, &claims, list) {
		if (at->first >= claim->end || claim->first >= at->end)
			continue;
		*other = *at;
		other->seen = claims_ended;
		spin_unlock(&claims_lock);
		return false;
	}
	list_add(&claim->list, &claims);
	spin_unlock(&claims_lock);
	return true;
}

void claim_end(struct claim *claim)
{
	spin_lock(&claims_lock);
	list_del(&claim->list);
	WRITE_ONCE(claims_ended, claims_ended + 1);
	spin_unlock(&claims_lock);
	wake_up_all(&claims_wait);
}

/* Wait until a claim has ended since *other was met. */
int claim_wait(const struct claim *other, const struct request *request)
{
	int err;

	while (READ_ONCE(claims_ended) == other->seen) {
		err = request_interrupted(request);
		if (err)
			return err;
		wait_event_killable_timeout(claims_wait, READ_ONCE(claims_ended) != other->seen,
					    CLAIM_WAIT);
	}
	return 0;
}
