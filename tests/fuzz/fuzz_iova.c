// SPDX-License-Identifier: BSD-3-Clause
/*
 * Address arithmetic on spaces of any place and size up to the top of 64 bits,
 * against a reference that knows a list of live ranges and 128-bit numbers. Where
 * in a space a range goes is not compared, but that it is free, usable and as
 * asked for, and that what is refused is nowhere to be had.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "../../libvdma/iova.h"
#include "input.h"

#define MAX_LIVE 256
#define MAX_USABLE 6

/* What no sum of two addresses exceeds. */
typedef unsigned __int128 wide;

struct run {
	wide first, end; /* the end is not part of it */
};

struct reference {
	struct vdma_iova_space s;
	wide base, end;
	unsigned int shift;
	struct vdma_range usable[MAX_USABLE];
	size_t nusable;
	struct run live[MAX_LIVE]; /* ascending */
	size_t nlive;
};

static wide round_up(wide x, wide to)
{
	return (x + to - 1) / to * to;
}

/* Calls @fn for each free run of whole units that ends at or below @limit, until it says true. */
static bool each_gap(const struct reference *r, uint64_t limit,
		     bool (*fn)(const struct run *gap, void *ctx), void *ctx)
{
	wide unit = (wide)1 << r->shift;
	size_t i, j;

	for (i = 0; i < r->nusable; i++) {
		struct run gap = { r->usable[i].first, (wide)r->usable[i].last + 1 };
		wide end;

		if (gap.end > (wide)limit + 1)
			gap.end = (wide)limit + 1;
		if (gap.first < r->base)
			gap.first = r->base;
		if (gap.end > r->end)
			gap.end = r->end;
		gap.first = round_up(gap.first, unit);
		end = gap.end = gap.end / unit * unit;
		for (j = 0; j < r->nlive && gap.first < end; j++) {
			if (r->live[j].end <= gap.first || r->live[j].first >= end)
				continue;
			gap.end = r->live[j].first;
			if (gap.first < gap.end && fn(&gap, ctx))
				return true;
			gap.first = r->live[j].end;
			gap.end = end;
		}
		if (gap.first < gap.end && fn(&gap, ctx))
			return true;
	}
	return false;
}

struct need {
	wide len, align, boundary; /* in bytes, whole units */
};

static bool fits(const struct run *gap, void *ctx)
{
	const struct need *n = ctx;
	wide at = round_up(gap->first, n->align);

	/* What would cross a multiple begins there, which no later start improves. */
	if (n->boundary && at / n->boundary != (at + n->len - 1) / n->boundary)
		at = round_up(round_up(at, n->boundary), n->align);
	return (!n->boundary || n->len <= n->boundary) && at + n->len <= gap->end;
}

static bool longest(const struct run *gap, void *ctx)
{
	wide *len = ctx;

	if (gap->end - gap->first > *len)
		*len = gap->end - gap->first;
	return false;
}

static struct need need_of(const struct reference *r, const struct vdma_iova_request *req)
{
	wide unit = (wide)1 << r->shift;
	struct need n = {
		.len = round_up(req->len, unit),
		.align = req->align > unit ? req->align : unit,
		.boundary = req->boundary,
	};

	return n;
}

/* Ranges where the space is, at its edges, or anywhere; ascending, with or without holes. */
static void change_usable(struct reference *r, struct input *in)
{
	unsigned int n = take_below(in, MAX_USABLE + 1);
	wide at = take(in) % 2 ? r->base : 0, sum = 0;
	size_t i;

	r->nusable = 0;
	for (i = 0; i < n; i++) {
		wide first = at + (take(in) % 2 ? take_edge(in) : 0), last = first + take_edge(in);

		if (take(in) % 8 == 0)
			last = r->end - 1;
		if (first > UINT64_MAX || last < first)
			break;
		if (last > UINT64_MAX)
			last = UINT64_MAX;
		r->usable[r->nusable++] = (struct vdma_range){ (uint64_t)first, (uint64_t)last };
		sum += last - first + 1;
		/* Adjacent ranges would count as two. */
		at = last + 2;
	}
	MUST(!vdma_iova_set_usable(&r->s, r->usable, r->nusable));
	MUST(vdma_iova_usable(&r->s) == (uint64_t)sum);
}

static void alloc(struct reference *r, struct input *in)
{
	uint8_t how = take(in);
	struct vdma_iova_request req = {
		.len = take_edge(in),
		.align = how & 1 ? take_power(in, 64) : 0,
		.boundary = how & 2 ? take_power(in, 64) : 0,
		.limit = how & 4 ? take_edge(in) : UINT64_MAX,
		.bottom_up = how & 8,
	};
	uint64_t iova = 0xdead, live = r->s.live;
	struct need n;
	struct run got;
	size_t i;
	int err;

	/* In units of the space, which are most that it is asked for. */
	if (how & 16)
		req.len = (1 + req.len % 4096) << r->shift;
	if (how & 32)
		req.limit += (uint64_t)r->base;
	if (!req.len)
		req.len = 1;
	if (r->nlive == MAX_LIVE)
		return;
	n = need_of(r, &req);
	err = vdma_iova_alloc(&r->s, &req, &iova);
	if (err) {
		MUST(err == -ENOSPC && iova == 0xdead && r->s.live == live);
		MUST(!each_gap(r, req.limit, fits, &n));
		return;
	}
	got = (struct run){ iova, iova + n.len };
	MUST(got.first % n.align == 0 && got.end - 1 <= req.limit);
	MUST(!n.boundary || got.first / n.boundary == (got.end - 1) / n.boundary);
	MUST(got.first >= r->base && got.end <= r->end);
	for (i = 0; i < r->nusable; i++)
		if (r->usable[i].first <= got.first && got.end - 1 <= r->usable[i].last)
			break;
	MUST(i < r->nusable);
	for (i = r->nlive++; i && r->live[i - 1].first > got.first; i--)
		r->live[i] = r->live[i - 1];
	MUST(!i || r->live[i - 1].end <= got.first);
	MUST(i + 1 == r->nlive || got.end <= r->live[i + 1].first);
	r->live[i] = got;
	MUST(r->s.live == r->nlive);
}

static void free_one(struct reference *r, size_t i)
{
	struct run old = r->live[i];

	MUST(!vdma_iova_is_free(&r->s, (uint64_t)old.first, 1));
	MUST(!vdma_iova_free(&r->s, (uint64_t)old.first, (uint64_t)(old.end - old.first)));
	memmove(&r->live[i], &r->live[i + 1], (--r->nlive - i) * sizeof(r->live[0]));
	MUST(vdma_iova_is_free(&r->s, (uint64_t)old.first, (uint64_t)(old.end - old.first)));
	MUST(vdma_iova_free(&r->s, (uint64_t)old.first, 1) == -EINVAL);
	MUST(r->s.live == r->nlive);
}

/* Is all of it taken, by whichever ranges, or nothing? */
static void what_is_there(const struct reference *r, wide first, wide end, bool *all, bool *none)
{
	wide at = first;
	size_t i;

	*none = true;
	for (i = 0; i < r->nlive; i++) {
		if (r->live[i].end <= first || r->live[i].first >= end)
			continue;
		*none = false;
		if (r->live[i].first <= at && r->live[i].end > at)
			at = r->live[i].end;
	}
	*all = at >= end;
}

/* Anything is asked, and freed where that must be refused. */
static void probe(struct reference *r, struct input *in)
{
	uint64_t iova = take_edge(in), len = take_edge(in);
	bool all, none, possible;
	wide first, end;

	if (take(in) % 2)
		iova += (uint64_t)r->base;
	first = iova;
	end = first + round_up(len, (wide)1 << r->shift);
	possible = len && first % ((wide)1 << r->shift) == 0 && first >= r->base && end <= r->end;
	what_is_there(r, first, end, &all, &none);
	MUST(vdma_iova_is_free(&r->s, iova, len) == (possible && none));
	if (!possible || !all)
		MUST(vdma_iova_free(&r->s, iova, len) == -EINVAL);
}

static void look_for_largest(const struct reference *r, uint64_t limit)
{
	wide len = 0;

	each_gap(r, limit, longest, &len);
	MUST(vdma_iova_largest(&r->s, limit) == (uint64_t)len);
}

/* Of one unit to 64^6, and of a byte to 2^63 bytes a unit, at the bottom or the top or between. */
static uint64_t lay(struct reference *r, struct input *in)
{
	uint64_t units = take_edge(in), max;

	r->shift = take_below(in, 64);
	max = UINT64_MAX >> r->shift;
	if (max > UINT64_C(1) << 36)
		max = UINT64_C(1) << 36;
	if (!units || units > max)
		units = 1 + units % max;
	switch (take_below(in, 3)) {
	case 0: break;
	case 1: r->base = ((wide)1 << 64) - ((wide)units << r->shift); break;
	case 2:
		r->base = take_edge(in) & UINT64_MAX << r->shift;
		if (r->base + ((wide)units << r->shift) > (wide)1 << 64)
			r->base = 0;
	}
	r->end = r->base + ((wide)units << r->shift);
	return units << r->shift;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	static struct reference r;
	uint64_t len;
	size_t room;
	void *memory;

	memset(&r, 0, sizeof(r));
	len = lay(&r, &in);
	room = vdma_iova_memory(len, r.shift);
	MUST(room);
	/* Little of it is written, and it is zeroed. */
	memory = mmap(NULL, room, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	MUST(memory != MAP_FAILED);
	vdma_iova_init(&r.s, (uint64_t)r.base, len, r.shift, memory);
	change_usable(&r, &in);
	while (in.left) {
		switch (take_below(&in, 8)) {
		case 0:
		case 1:
		case 2:
		case 3: alloc(&r, &in); break;
		case 4:
		case 5:
			if (r.nlive)
				free_one(&r, take(&in) % r.nlive);
			break;
		case 6: probe(&r, &in); break;
		case 7:
			if (take(&in) % 4)
				look_for_largest(&r, take_edge(&in));
			else
				change_usable(&r, &in);
		}
	}
	while (r.nlive)
		free_one(&r, r.nlive / 2);
	look_for_largest(&r, UINT64_MAX);
	vdma_iova_fini(&r.s);
	munmap(memory, room);
	return 0;
}
