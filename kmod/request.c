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
 * Who may not see physical addresses must not be able to pin one down by what he asks
 * for, either: a limit is of an address width, from ISA's on.
 */
#define BLIND_PHYS_MAX_MIN ((1ULL << 24) - 1)
/* And an alignment above a folio's is no larger than the length calls for. */
#define BLIND_ALIGN_MAX FOLIO_PAGES

static bool phys_max_is_coarse(u64 phys_max)
{
	return phys_max == U64_MAX ||
	       (phys_max >= BLIND_PHYS_MAX_MIN && is_power_of_2(phys_max + 1));
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
		if (!phys_max_is_coarse(want->phys_max) && !policy_may_see_phys())
			return -EPERM;
		request->pfn_max = frames - 1;
	}
	request->deadline_ms = want->deadline_ms;
	request->exact = false;
	return 0;
}

void request_start(struct request *request)
{
	request->deadline = jiffies + msecs_to_jiffies(request->deadline_ms);
}

/*
 * After the constraints. Return: 0; -EINVAL if the length is 0 or crosses any boundary;
 * -EPERM as above.
 */
int request_set_length(struct request *request, u64 length)
{
	if (!length || length > LENGTH_MAX)
		return -EINVAL;
	request->npages = PAGE_ALIGN(length) >> PAGE_SHIFT;
	if (request->boundary && request->npages > request->boundary)
		return -EINVAL;
	if (request->align > max(BLIND_ALIGN_MAX, roundup_pow_of_two(request->npages)) &&
	    !policy_may_see_phys())
		return -EPERM;
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
