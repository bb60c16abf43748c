// SPDX-License-Identifier: BSD-3-Clause
#include "iova.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "iova_word.h"

#define NONE UINT64_MAX

/*
 * A node of level l has 64 children of 64^l units each; at level 0 they are
 * the bits of a word. Its byte says what the largest aligned block that is
 * free in it lacks of the node's own size, in powers of two: 0 if the node is
 * free altogether, ORDER(l) if there is but one unit. Above that nothing is free:
 */
#define ORDER(level) (6 * ((level) + 1))
#define FULL(level) (ORDER(level) + 1)
/* Taken as a whole: what lies below still says free. */
#define WHOLE(level) (ORDER(level) + 2)

static uint8_t node_state(const struct vdma_iova_space *space, unsigned int level, uint64_t node)
{
	const uint8_t *children;
	uint64_t free;

	if (!level)
		return lack(~space->taken[node]);
	children = space->state[level - 1] + 64 * node;
	free = at_most(children, 0);
	if (free)
		return lack(free);
	free = 6U + least(children);
	return (uint8_t)(free < FULL(level) ? free : FULL(level));
}

/* Units lo to hi of a node become taken or free; they are the other now. */
static void mark(struct vdma_iova_space *space, unsigned int level, uint64_t node, uint64_t lo,
		 uint64_t hi, bool take)
{
	uint64_t size = UINT64_C(1) << 6 * level, child, first = lo / size, last = hi / size;
	uint8_t *state = &space->state[level][node], *children;
	bool changed = *state == WHOLE(level);

	if (!lo && hi == 64 * size - 1 && (take || changed)) {
		*state = (uint8_t)(take ? WHOLE(level) : 0);
		return;
	}
	if (!level) {
		if (changed)
			space->taken[node] = UINT64_MAX;
		space->taken[node] ^= bits((unsigned int)lo, (unsigned int)hi);
		*state = node_state(space, 0, node);
		return;
	}
	children = space->state[level - 1] + 64 * node;
	if (changed)
		memset(children, (int)WHOLE(level - 1), 64);
	for (child = first; child <= last; child++) {
		uint8_t before = children[child];

		mark(space, level - 1, 64 * node + child, child == first ? lo % size : 0,
		     child == last ? hi % size : size - 1, take);
		changed |= children[child] != before;
	}
	if (changed)
		*state = node_state(space, level, node);
}

/*
 * The same for whole children of one node, as most ranges are: from there
 * upwards, as far as something changes. False, and nothing is done, if they
 * are not that, or are not all taken, or all free, as they should be. What is
 * below a node that was taken as a whole says free, though it is not.
 */
static bool mark_children(struct vdma_iova_space *space, uint64_t lo, uint64_t hi, bool take)
{
	unsigned int level = lo == hi ? 0 : (63U - (unsigned int)__builtin_clzll(lo ^ hi)) / 6, l;
	uint64_t node = lo >> 6 * (level + 1), child = lo >> 6 * level, last = hi >> 6 * level;

	if ((lo | (hi + 1)) & ((UINT64_C(1) << 6 * level) - 1))
		return false;
	if (!level) {
		uint64_t mask = bits(child & 63, last & 63);

		if ((space->taken[node] & mask) != (take ? 0 : mask))
			return false;
		space->taken[node] ^= mask;
	} else {
		uint8_t *state = space->state[level - 1],
			old = (uint8_t)(take ? 0 : WHOLE(level - 1));
		uint64_t i;

		for (i = child; i <= last; i++)
			if (state[i] != old)
				return false;
		memset(state + child, take ? (int)WHOLE(level - 1) : 0, last - child + 1);
	}
	for (l = level; l < space->levels; l++, node >>= 6) {
		uint8_t *state = &space->state[l][node], now = node_state(space, l, node);

		if (*state == now)
			break;
		*state = now;
	}
	return true;
}

/* Lowest or highest of the children. */
static unsigned int pick(uint64_t children, bool up)
{
	return (unsigned int)(up ? __builtin_ctzll(children) : 63 - __builtin_clzll(children));
}

/* The children that units lo to hi touch. */
static uint64_t touched(unsigned int level, uint64_t lo, uint64_t hi)
{
	return bits((unsigned int)(lo >> 6 * level), (unsigned int)(hi >> 6 * level));
}

/* Narrows lo to hi, of a node, to what is in one child. */
static void clip(unsigned int level, unsigned int child, uint64_t *lo, uint64_t *hi)
{
	uint64_t size = UINT64_C(1) << 6 * level, start = child * size;

	*lo = *lo > start ? *lo - start : 0;
	*hi = *hi - start < size ? *hi - start : size - 1;
}

/* The same as find_block(), in a node that has such a block, and may be used everywhere. */
static uint64_t descend(const struct vdma_iova_space *space, unsigned int level, uint64_t node,
			unsigned int order, bool up)
{
	uint64_t start = node << 6 * (level + 1), free;

	for (; level && order < 6 * level; level--) {
		free = at_most(space->state[level - 1] + 64 * node, (uint8_t)(6 * level - order));
		node = 64 * node + pick(free, up);
	}
	free = level ? at_most(space->state[level - 1] + 64 * node, 0) : ~space->taken[node];
	free = runs(free, order - 6 * level);
	return ((64 * node + pick(free, up)) << 6 * level) - start;
}

/*
 * A free block of 2^order units, aligned to its size and to 2^align units, as
 * far from lo or hi as @up says; all relative to the node. NONE if there is none.
 */
static uint64_t find_block(const struct vdma_iova_space *space, unsigned int level, uint64_t node,
			   uint64_t lo, uint64_t hi, unsigned int order, unsigned int align,
			   bool up)
{
	unsigned int below = 6 * level; /* the order of a child */
	uint64_t found = NONE, size = UINT64_C(1) << below, candidates, free;

	if (!level)
		free = ~space->taken[node];
	else
		free = at_most(space->state[level - 1] + 64 * node,
			       (uint8_t)(order < below ? below - order : 0));
	candidates = runs(free, order < below ? 0 : order - below);
	if (align > below)
		candidates &= aligned[align - below < 6 ? align - below : 6];
	if (order >= below) {
		/* Whole children; their first and their last lie between lo and hi. */
		uint64_t len = UINT64_C(1) << order;

		if (hi - lo < len - 1)
			return NONE;
		lo = (lo + size - 1) >> below;
		hi = (hi + 1 - len) >> below;
		candidates &= lo <= hi && lo < 64 ? bits((unsigned int)lo, (unsigned int)hi) : 0;
		return candidates ? (uint64_t)pick(candidates, up) << below : NONE;
	}
	for (candidates &= touched(level, lo, hi); candidates && found == NONE;) {
		unsigned int child = pick(candidates, up);
		uint64_t first = lo, last = hi;

		clip(level, child, &first, &last);
		if (!first && last == size - 1 && align <= order)
			return child * size +
			       descend(space, level - 1, 64 * node + child, order, up);
		found = find_block(space, level - 1, 64 * node + child, first, last, order, align,
				   up);
		if (found != NONE)
			found += child * size;
		candidates &= ~(UINT64_C(1) << child);
	}
	return found;
}

/* The first unit from lo up, or from hi down, that is free, or that is taken. */
static uint64_t seek(const struct vdma_iova_space *space, unsigned int level, uint64_t node,
		     uint64_t lo, uint64_t hi, bool free, bool up)
{
	const uint8_t *state = &space->state[level][node];
	uint64_t found = NONE, children;

	if (free ? !*state : *state > ORDER(level))
		return up ? lo : hi;
	if (free ? *state > ORDER(level) : !*state)
		return NONE;
	if (!level) {
		children = free ? ~space->taken[node] : space->taken[node];
		children &= bits((unsigned int)lo, (unsigned int)hi);
		return children ? pick(children, up) : NONE;
	}
	state = space->state[level - 1] + 64 * node;
	children = free ? at_most(state, (uint8_t)ORDER(level - 1)) : ~at_most(state, 0);
	for (children &= touched(level, lo, hi); children && found == NONE;) {
		unsigned int child = pick(children, up);
		uint64_t first = lo, last = hi;

		clip(level, child, &first, &last);
		found = seek(space, level - 1, 64 * node + child, first, last, free, up);
		if (found != NONE)
			found += (uint64_t)child << 6 * level;
		children &= ~(UINT64_C(1) << child);
	}
	return found;
}

/* The next free run of lo to hi; what is left of them then does not have it. */
static bool next_run(const struct vdma_iova_space *space, uint64_t *lo, uint64_t *hi, bool up,
		     struct vdma_range *run)
{
	unsigned int root = space->levels - 1;
	uint64_t start, end;

	if (*lo > *hi || *hi == NONE)
		return false;
	start = seek(space, root, 0, *lo, *hi, true, up);
	if (start == NONE)
		return false;
	end = up ? seek(space, root, 0, start, *hi, false, true) :
		   seek(space, root, 0, *lo, start, false, false);
	if (up) {
		*run = (struct vdma_range){ start, end == NONE ? *hi : end - 1 };
		*lo = run->last + 1;
	} else {
		*run = (struct vdma_range){ end == NONE ? *lo : end + 1, start };
		*hi = run->first - 1; /* NONE below 0 */
	}
	return true;
}

/* A request in units. */
struct want {
	uint64_t len, align, boundary, origin; /* origin: number of the space's first unit */
	bool up;
};

/* Where it fits into a free run, NONE if it does not. */
static uint64_t fit(const struct want *w, struct vdma_range run)
{
	uint64_t mask = w->align - 1, more = w->len - 1, at, crossed;

	if (run.last - run.first < more)
		return NONE;
	run.first += w->origin;
	run.last += w->origin;
	at = w->up ? (run.first + mask) & ~mask : (run.last - more) & ~mask;
	if (w->boundary && at / w->boundary != (at + more) / w->boundary) {
		crossed = (at + more) & ~(w->boundary - 1);
		at = w->up ? (crossed + mask) & ~mask : (crossed - w->len) & ~mask;
	}
	if (at < run.first || at > run.last || run.last - at < more)
		return NONE;
	return at - w->origin;
}

/* The whole units in a range of bytes. */
static bool to_units(const struct vdma_iova_space *space, uint64_t first, uint64_t last,
		     struct vdma_range *out)
{
	uint64_t end = space->base + ((space->units << space->shift) - 1);
	uint64_t below = (UINT64_C(1) << space->shift) - 1;

	if (first < space->base)
		first = space->base;
	if (last > end)
		last = end;
	if (first > last)
		return false;
	first -= space->base;
	last -= space->base;
	out->first = (first >> space->shift) + !!(first & below);
	out->last = (last >> space->shift) - ((last & below) != below); /* may pass below 0 */
	return out->first <= out->last && out->last != NONE;
}

/* The units that a range which was handed out has; false if it cannot have been. */
static bool exactly(const struct vdma_iova_space *space, uint64_t iova, uint64_t len,
		    struct vdma_range *out)
{
	uint64_t at = iova - space->base, below = (UINT64_C(1) << space->shift) - 1;

	out->first = at >> space->shift;
	out->last = out->first + ((len - 1) >> space->shift);
	return iova >= space->base && len && !(at & below) && out->first <= out->last &&
	       out->last < space->units;
}

static unsigned int top(const struct vdma_iova_space *space)
{
	return space->levels - 1;
}

/* Where the tree lies in @memory, which may be NULL, and how many bytes it has. */
static size_t lay_out(struct vdma_iova_space *space, unsigned char *memory)
{
	uint64_t nodes = (space->units + 63) / 64, room = 64;
	unsigned int level;
	size_t used = 0;

	for (space->levels = 1; room < space->units; space->levels++) {
		if (space->levels == VDMA_IOVA_LEVELS)
			return 0;
		room *= 64;
	}
	for (level = 0; level < space->levels; level++, nodes /= 64) {
		/* All children of a node that there is. */
		if (level < top(space))
			nodes = (nodes + 63) & ~UINT64_C(63);
		if (!level) {
			space->taken = (uint64_t *)(void *)memory;
			used = nodes * sizeof(*space->taken);
		}
		space->state[level] = memory ? memory + used : NULL;
		used += nodes;
	}
	return used;
}

size_t vdma_iova_memory(uint64_t len, unsigned int shift)
{
	struct vdma_iova_space space = { .units = len >> shift };

	return lay_out(&space, NULL);
}

void vdma_iova_init(struct vdma_iova_space *space, uint64_t base, uint64_t len, unsigned int shift,
		    void *memory)
{
	uint64_t room;

	memset(space, 0, sizeof(*space));
	space->base = base;
	space->shift = shift;
	space->units = len >> shift;
	lay_out(space, memory);
	room = UINT64_C(1) << 6 * space->levels;
	if (space->units < room)
		mark(space, top(space), 0, space->units, room - 1, true);
}

void vdma_iova_fini(struct vdma_iova_space *space)
{
	free(space->usable);
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

/* What a request may have of a usable range. */
static bool allowed(const struct vdma_iova_space *space, const struct vdma_iova_request *req,
		    size_t i, struct vdma_range *out)
{
	const struct vdma_range *u = &space->usable[req->bottom_up ? i : space->nusable - 1 - i];

	return to_units(space, u->first, u->last < req->limit ? u->last : req->limit, out);
}

/* A block aligned to its own size crosses no boundary that it could keep. */
static uint64_t from_blocks(const struct vdma_iova_space *space,
			    const struct vdma_iova_request *req, const struct want *w)
{
	unsigned int order = w->len > 1 ? 64U - (unsigned int)__builtin_clzll(w->len - 1) : 0;
	unsigned int align = (unsigned int)__builtin_ctzll(w->align);
	uint64_t at = NONE;
	size_t i;

	/* The root tells at once that no block is large enough. */
	if (order > ORDER(top(space)) || *space->state[top(space)] > ORDER(top(space)) - order)
		return NONE;
	/* Blocks are aligned within the space, as far as the space is. */
	if (w->origin & ((UINT64_C(1) << (order > align ? order : align)) - 1))
		return NONE;
	for (i = 0; i < space->nusable && at == NONE; i++) {
		struct vdma_range r;

		if (!allowed(space, req, i, &r))
			continue;
		at = find_block(space, top(space), 0, r.first, r.last, order, align,
				req->bottom_up);
	}
	if (at != NONE && !req->bottom_up)
		at += ((UINT64_C(1) << order) - w->len) & ~(w->align - 1);
	return at;
}

static uint64_t from_gaps(const struct vdma_iova_space *space, const struct vdma_iova_request *req,
			  const struct want *w)
{
	uint64_t at = NONE;
	size_t i;

	for (i = 0; i < space->nusable && at == NONE; i++) {
		struct vdma_range r, run;

		if (!allowed(space, req, i, &r))
			continue;
		while (at == NONE && next_run(space, &r.first, &r.last, w->up, &run))
			at = fit(w, run);
	}
	return at;
}

int vdma_iova_alloc(struct vdma_iova_space *space, const struct vdma_iova_request *req,
		    uint64_t *iova)
{
	uint64_t unit = UINT64_C(1) << space->shift, at;
	struct want w = {
		.len = ((req->len - 1) >> space->shift) + 1,
		.align = req->align > unit ? req->align >> space->shift : 1,
		.boundary = req->boundary >> space->shift,
		.origin = space->base >> space->shift,
		.up = req->bottom_up,
	};

	if (w.len > space->units || (req->boundary && w.len > w.boundary))
		return -ENOSPC;
	at = from_blocks(space, req, &w);
	if (at == NONE && !req->blocks_only)
		at = from_gaps(space, req, &w);
	if (at == NONE)
		return -ENOSPC;
	if (!mark_children(space, at, at + w.len - 1, true))
		mark(space, top(space), 0, at, at + w.len - 1, true);
	space->live++;
	space->used += w.len;
	*iova = space->base + (at << space->shift);
	return 0;
}

bool vdma_iova_is_free(const struct vdma_iova_space *space, uint64_t iova, uint64_t len)
{
	struct vdma_range r;

	return exactly(space, iova, len, &r) &&
	       seek(space, top(space), 0, r.first, r.last, false, true) == NONE;
}

int vdma_iova_free(struct vdma_iova_space *space, uint64_t iova, uint64_t len)
{
	struct vdma_range r;

	if (!exactly(space, iova, len, &r))
		return -EINVAL;
	if (!mark_children(space, r.first, r.last, false)) {
		if (seek(space, top(space), 0, r.first, r.last, true, true) != NONE)
			return -EINVAL;
		mark(space, top(space), 0, r.first, r.last, false);
	}
	space->live--;
	space->used -= r.last - r.first + 1;
	return 0;
}

bool vdma_iova_run(const struct vdma_iova_space *space, uint64_t iova, struct vdma_range *run)
{
	uint64_t unit = (iova - space->base) >> space->shift, before, after;
	bool taken = seek(space, top(space), 0, unit, unit, false, true) != NONE;

	before = seek(space, top(space), 0, 0, unit, taken, false);
	after = seek(space, top(space), 0, unit, space->units - 1, taken, true);
	/* NONE + 1 is 0. */
	run->first = space->base + ((before + 1) << space->shift);
	run->last = space->base + ((after == NONE ? space->units : after) << space->shift) - 1;
	return taken;
}

uint64_t vdma_iova_usable(const struct vdma_iova_space *space)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < space->nusable; i++)
		sum += space->usable[i].last - space->usable[i].first + 1;
	return sum;
}

uint64_t vdma_iova_largest(const struct vdma_iova_space *space, uint64_t limit)
{
	uint64_t longest = 0;
	size_t i;

	for (i = 0; i < space->nusable; i++) {
		const struct vdma_range *u = &space->usable[i];
		struct vdma_range r, run;

		if (!to_units(space, u->first, u->last < limit ? u->last : limit, &r))
			continue;
		while (next_run(space, &r.first, &r.last, true, &run))
			if (run.last - run.first + 1 > longest)
				longest = run.last - run.first + 1;
	}
	return longest << space->shift;
}

bool vdma_iova_inside(const struct vdma_range *ranges, size_t n, uint64_t first, uint64_t last)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (ranges[i].first <= first && last <= ranges[i].last)
			return true;
	return false;
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
