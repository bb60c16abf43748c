// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a caller wants: the uapi's constraints, checked and turned into frames.
 */
#include <linux/log2.h>
#include <linux/nodemask.h>
#include <linux/sched/signal.h>

#include "map_contig.h"

/* More than any machine has; keeps sums of pages far from overflow. */
#define LENGTH_MAX (1ULL << 52)

/*
 * Who may not see physical addresses must not be able to find one out by what he gets and
 * what he does not, and has no use for a constraint on them either. Up to a folio it
 * says nothing that could not be had by asking for folios.
 */
static bool constraints_tell(const struct map_contig_constraints *want)
{
	u64 most = FOLIO_PAGES << PAGE_SHIFT;

	return want->alignment > most || want->boundary > most ||
	       (want->phys_max && want->phys_max != U64_MAX);
}

/**
 * request_set_constraints - take over what the caller asked for
 *
 * Return: 0; -EINVAL for what makes no sense (an alignment that is no power of
 * two, a node that is not there), -EOPNOTSUPP for a value that we do not know,
 * -EPERM for what would tell an address to who may not see it.
 */
int request_set_constraints(struct request *request, const struct map_contig_constraints *want)
{
	if (want->node_mode > MAP_CONTIG_NODE_STRICT || want->fork > MAP_CONTIG_FORK_NONE)
		return -EOPNOTSUPP;
	if (want->alignment && !is_power_of_2(want->alignment))
		return -EINVAL;
	if (want->boundary && (!is_power_of_2(want->boundary) || want->boundary < PAGE_SIZE))
		return -EINVAL;
	if (want->node_mode == MAP_CONTIG_NODE_ANY) {
		if (want->node)
			return -EINVAL;
		request->node = NUMA_NO_NODE;
	} else {
		if (want->node < 0 || want->node >= MAX_NUMNODES || !node_online(want->node))
			return -EINVAL;
		request->node = want->node;
	}
	request->node_mode = want->node_mode;
	request->fork = want->fork;
	request->align = max(want->alignment >> PAGE_SHIFT, 1ULL);
	request->boundary = want->boundary >> PAGE_SHIFT;
	/* The last frame all of whose bytes are allowed. */
	request->pfn_max = ULONG_MAX;
	if (want->phys_max) {
		/* ~0 is all there is, and has no successor. */
		u64 frames = want->phys_max == U64_MAX ? U64_MAX >> PAGE_SHIFT :
							 (want->phys_max + 1) >> PAGE_SHIFT;

		if (!frames)
			return -EINVAL;
		request->pfn_max = frames - 1;
	}
	if (constraints_tell(want) && !policy_may_see_phys())
		return -EPERM;
	request->deadline_ms = want->deadline_ms;
	request->exact = false;
	return 0;
}

void request_start(struct request *request)
{
	request->deadline = jiffies + msecs_to_jiffies(request->deadline_ms);
}

/* After the constraints. Return: 0; -EINVAL if the length is 0 or crosses any boundary. */
int request_set_length(struct request *request, u64 length)
{
	if (!length || length > LENGTH_MAX)
		return -EINVAL;
	request->npages = PAGE_ALIGN(length) >> PAGE_SHIFT;
	if (request->boundary && request->npages > request->boundary)
		return -EINVAL;
	return 0;
}

int request_interrupted(const struct request *request)
{
	if (fatal_signal_pending(current))
		return -EINTR;
	if (request->deadline_ms && time_after_eq(jiffies, request->deadline))
		return -ETIME;
	return 0;
}
