// SPDX-License-Identifier: BSD-3-Clause
#include "iova.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void vdma_iova_fini(struct vdma_iova_space *space)
{
	free(space->usable);
	free(space->live);
	memset(space, 0, sizeof(*space));
}

int vdma_iova_set_usable(struct vdma_iova_space *space, const struct vdma_range *ranges, size_t n)
{
	struct vdma_range *copy = calloc(n + 1, sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	if (n)
		memcpy(copy, ranges, n * sizeof(*copy));
	free(space->usable);
	space->usable = copy;
	space->nusable = n;
	return 0;
}

/* Index of the first live range that ends at or above @addr. */
static size_t first_ending_from(const struct vdma_iova_space *space, uint64_t addr)
{
	size_t lo = 0, hi = space->nlive;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (space->live[mid].last < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/*
 * Calls @fn for the free gaps of one usable range below @limit, ascending or
 * descending, until it returns true.
 */
static bool walk_gaps(const struct vdma_iova_space *space, const struct vdma_range *u,
		      uint64_t limit, bool up, bool (*fn)(struct vdma_range gap, void *ctx),
		      void *ctx)
{
	uint64_t lo = u->first, hi = u->last < limit ? u->last : limit;
	size_t i;

	if (lo > hi)
		return false;
	if (up) {
		for (i = first_ending_from(space, lo); i < space->nlive; i++) {
			const struct vdma_range *l = &space->live[i];

			if (l->first > hi)
				break;
			if (l->first > lo && fn((struct vdma_range){ lo, l->first - 1 }, ctx))
				return true;
			if (l->last >= hi)
				return false;
			lo = l->last + 1;
		}
	} else {
		i = first_ending_from(space, hi);
		if (i < space->nlive && space->live[i].first <= hi) {
			if (space->live[i].first <= lo)
				return false;
			hi = space->live[i].first - 1;
		}
		for (; i-- && space->live[i].last >= lo;) {
			const struct vdma_range *l = &space->live[i];

			if (l->last < hi && fn((struct vdma_range){ l->last + 1, hi }, ctx))
				return true;
			if (l->first <= lo)
				return false;
			hi = l->first - 1;
		}
	}
	return fn((struct vdma_range){ lo, hi }, ctx);
}

struct fit {
	const struct vdma_iova_request *req;
	uint64_t iova;
};

static bool fit_gap(struct vdma_range gap, void *ctx)
{
	struct fit *fit = ctx;
	uint64_t mask = fit->req->align - 1, more = fit->req->len - 1, at;

	if (gap.last - gap.first < more)
		return false;
	if (fit->req->bottom_up) {
		if (gap.first > UINT64_MAX - mask)
			return false;
		at = (gap.first + mask) & ~mask;
		if (at > gap.last || gap.last - at < more)
			return false;
	} else {
		at = (gap.last - more) & ~mask;
		if (at < gap.first)
			return false;
	}
	fit->iova = at;
	return true;
}

int vdma_iova_alloc(struct vdma_iova_space *space, const struct vdma_iova_request *req,
		    uint64_t *iova)
{
	struct fit fit = { .req = req };
	bool found = false;
	size_t i;

	for (i = 0; i < space->nusable && !found; i++) {
		size_t u = req->bottom_up ? i : space->nusable - 1 - i;

		found = walk_gaps(space, &space->usable[u], req->limit, req->bottom_up, fit_gap,
				  &fit);
	}
	if (!found)
		return -ENOSPC;

	if (space->nlive == space->room) {
		size_t room = space->room ? 2 * space->room : 16;
		struct vdma_range *live = realloc(space->live, room * sizeof(*live));

		if (!live)
			return -ENOMEM;
		space->live = live;
		space->room = room;
	}
	i = first_ending_from(space, fit.iova);
	memmove(&space->live[i + 1], &space->live[i], (space->nlive - i) * sizeof(*space->live));
	space->live[i] = (struct vdma_range){ fit.iova, fit.iova + (req->len - 1) };
	space->nlive++;
	*iova = fit.iova;
	return 0;
}

void vdma_iova_free(struct vdma_iova_space *space, uint64_t iova)
{
	size_t i = first_ending_from(space, iova);

	if (i == space->nlive || space->live[i].first != iova)
		return;
	space->nlive--;
	memmove(&space->live[i], &space->live[i + 1], (space->nlive - i) * sizeof(*space->live));
}

const struct vdma_range *vdma_iova_outside(const struct vdma_iova_space *space,
					   const struct vdma_range *ranges, size_t n)
{
	size_t i, r = 0;

	for (i = 0; i < space->nlive; i++) {
		while (r < n && ranges[r].last < space->live[i].last)
			r++;
		if (r == n || ranges[r].first > space->live[i].first)
			return &space->live[i];
	}
	return NULL;
}

uint64_t vdma_iova_usable(const struct vdma_iova_space *space)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < space->nusable; i++)
		sum += space->usable[i].last - space->usable[i].first + 1;
	return sum;
}

static bool longer_gap(struct vdma_range gap, void *ctx)
{
	uint64_t *longest = ctx, len = gap.last - gap.first + 1;

	if (len > *longest)
		*longest = len;
	return false;
}

uint64_t vdma_iova_largest(const struct vdma_iova_space *space, uint64_t limit)
{
	uint64_t longest = 0;
	size_t i;

	for (i = 0; i < space->nusable; i++)
		walk_gaps(space, &space->usable[i], limit, true, longer_gap, &longest);
	return longest;
}

size_t vdma_iova_intersect(const struct vdma_range *a, size_t na, const struct vdma_range *b,
			   size_t nb, struct vdma_range *out)
{
	size_t i = 0, j = 0, n = 0;

	while (i < na && j < nb) {
		uint64_t first = a[i].first > b[j].first ? a[i].first : b[j].first;
		uint64_t last = a[i].last < b[j].last ? a[i].last : b[j].last;

		if (first <= last)
			out[n++] = (struct vdma_range){ first, last };
		if (a[i].last < b[j].last)
			i++;
		else
			j++;
	}
	return n;
}
