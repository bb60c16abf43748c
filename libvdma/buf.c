// SPDX-License-Identifier: BSD-3-Clause
/*
 * Buffers out of chunks. Each chunk is a region with a space of units over its
 * own device addresses, so what holds for the arena's addresses (alignment,
 * boundaries, limits) holds inside of a chunk.
 *
 * arena->buf_lock is taken before arena->lock, which the regions take.
 */
#include "buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "constraints.h"
#include "explain.h"
#include "opts.h"
#include "owner.h"
#include "poison.h"
#include "probe.h"
#include "region.h"

#define UNIT_SHIFT VDMA_BUF_UNIT_SHIFT
#define PAGE 4096
#define MIB (UINT64_C(1) << 20)
#define CHUNK (64 * MIB)
/* Buffers in a chunk whose gaps are quickly looked through. */
#define FEW 16

static int get_opts(const struct vdma_buf_opts *opts, struct vdma_constraints *c, uint32_t *flags)
{
	struct vdma_buf_opts o;
	int err = vdma_opts_get(&o, sizeof(o), opts, offsetof(struct vdma_buf_opts, constraints));

	if (err)
		return err;
	*flags = o.flags;
	if (o.constraints)
		return vdma_constraints_get(c, o.constraints,
					    o.align || o.boundary || o.address_bits ||
						    o.contiguity);
	c->address_bits = o.address_bits;
	c->align = o.align;
	c->boundary = o.boundary;
	c->contiguity = o.contiguity;
	return 0;
}

static int check(uint64_t len, const struct vdma_constraints *c, uint32_t flags)
{
	if (flags & ~VDMA_BUF_ZERO || len > UINT64_MAX / 2)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, &(struct vdma_facts){ .need = len },
				 "There is no buffer of 0x%llx bytes with flags 0x%x: it has at most "
				 "2^63 bytes, and one flag, VDMA_BUF_ZERO.",
				 (unsigned long long)len, flags);
	return vdma_constraints_check(c, len);
}

/*
 * May a buffer be taken from this chunk? Who prefers one run takes what was had for
 * somebody who does, be it less: it was tried then, and will be when this is full.
 */
static bool suits(const struct vdma_arena *arena, const struct vdma_chunk *chunk,
		  const struct vdma_constraints *c)
{
	if (chunk->stuck || (chunk->address_bits && !c->address_bits) || chunk->node != c->node)
		return false;
	if (arena->slots) /* all of it is one run each */
		return true;
	switch (c->contiguity) {
	case VDMA_CONTIG_REQUIRED: return chunk->region->provider == VDMA_PROVIDER_CONTIG;
	case VDMA_CONTIG_INDIFFERENT: return chunk->region->provider == VDMA_PROVIDER_ANON;
	default: return chunk->contiguity != VDMA_CONTIG_INDIFFERENT;
	}
}

static void request(uint64_t len, const struct vdma_constraints *c, struct vdma_iova_request *req)
{
	/* What is not longer than a boundary inside of a unit crosses none, at the unit's start. */
	*req = (struct vdma_iova_request){
		.len = len,
		.align = c->align,
		.boundary = c->boundary >> UNIT_SHIFT ? c->boundary : 0,
		.limit = vdma_constraints_limit(c->address_bits),
		.bottom_up = true,
	};
}

/* Places @req so that it is in @max pages of @granule at most; false if it cannot be. */
static bool in_few(struct vdma_iova_request *req, uint64_t granule, uint32_t max)
{
	if ((req->len - 1) / granule >= max)
		return false;
	/* Anywhere, it may be in one more. */
	if ((req->len + granule - 2) / granule < max)
		return true;
	if (req->len > granule)
		req->align = req->align > granule ? req->align : granule;
	else if (!req->boundary || req->boundary > granule)
		req->boundary = granule;
	return true;
}

/* Out of pages, where they count. */
__attribute__((noinline)) static bool cut_few(struct vdma_chunk *chunk, uint32_t max,
					      struct vdma_iova_request req, uint64_t *iova)
{
	const struct vdma_memory *memory = &chunk->region->memory;

	return (memory->extents == 1 || in_few(&req, memory->granule, max)) &&
	       !vdma_iova_alloc(&chunk->space, &req, iova);
}

/* Takes it out of a chunk, if that has room. */
static inline bool cut(struct vdma_chunk *chunk, const struct vdma_constraints *c,
		       const struct vdma_iova_request *req, uint64_t *iova)
{
	return c->max_segments ? cut_few(chunk, c->max_segments, *req, iova) :
				 !vdma_iova_alloc(&chunk->space, req, iova);
}

/* From @first to @last there is a buffer now, or is none any more. */
static void flip(struct vdma_chunk *chunk, uint64_t first, uint64_t last)
{
	chunk->starts[first / 64] ^= UINT64_C(1) << first % 64;
	chunk->ends[last / 64] ^= UINT64_C(1) << last % 64;
}

static bool is_start(const struct vdma_chunk *chunk, uint64_t unit)
{
	return chunk->starts[unit / 64] >> unit % 64 & 1;
}

/* The unit in which the buffer that @unit lies in ends, or the next one. */
static uint64_t end_from(const struct vdma_chunk *chunk, uint64_t unit)
{
	uint64_t word = unit / 64, words = chunk->space.units / 64;
	uint64_t bits = chunk->ends[word] & UINT64_MAX << unit % 64;

	while (!bits && ++word < words)
		bits = chunk->ends[word];
	return bits ? 64 * word + (uint64_t)__builtin_ctzll(bits) : UINT64_MAX;
}

static uint64_t unit_of(const struct vdma_chunk *chunk, uint64_t iova)
{
	return (iova - chunk->space.base) >> UNIT_SHIFT;
}

struct vdma_chunk *vdma_chunk_of(const struct vdma_arena *arena, vdma_iova_t iova)
{
	struct vdma_chunk *chunk;

	LIST_FOREACH(chunk, &arena->chunks, link)
	if (iova - chunk->space.base < chunk->space.units << UNIT_SHIFT)
		break;
	return chunk;
}

bool vdma_chunk_look(const struct vdma_chunk *chunk, vdma_iova_t iova, struct vdma_range *range)
{
	uint64_t unit = unit_of(chunk, iova), first, last;

	if (!vdma_iova_run(&chunk->space, iova, range))
		return false;
	/* Buffers that lie side by side: from behind the end before to the next one. */
	first = unit_of(chunk, range->first);
	while (first < unit && (last = end_from(chunk, first)) < unit)
		first = last + 1;
	range->first = chunk->space.base + (first << UNIT_SHIFT);
	range->last = chunk->space.base + ((end_from(chunk, unit) + 1) << UNIT_SHIFT) - 1;
	return true;
}

/* Nobody's, and can be had by the next. */
static int release(struct vdma_chunk *chunk, uint64_t iova, uint64_t len)
{
	if (vdma_iova_free(&chunk->space, iova, len))
		return -EINVAL;
	flip(chunk, unit_of(chunk, iova), unit_of(chunk, iova + (len - 1)));
	return 0;
}

void vdma_buf_release(void *ctx, const struct vdma_record *record)
{
	struct vdma_chunk *chunk = vdma_chunk_of(ctx, record->iova);

	chunk->held--;
	release(chunk, record->iova, record->len);
}

static inline bool is_buffer(const struct vdma_chunk *chunk, uint64_t iova, uint64_t len)
{
	uint64_t first = unit_of(chunk, iova), last = unit_of(chunk, iova + (len - 1));

	return len && last >= first && is_start(chunk, first) && end_from(chunk, first) == last;
}

/* Gives back what was taken as one, and nothing else: not a part of a buffer, not two. */
static int give_back(struct vdma_chunk *chunk, uint64_t iova, uint64_t len)
{
	return is_buffer(chunk, iova, len) ? release(chunk, iova, len) : -EINVAL;
}

/* The same if the arena checks: it knows each buffer, and holds back what was one. */
static int hold_back(struct vdma_arena *arena, struct vdma_chunk *chunk, const struct vdma_buf *buf,
		     const void *pc)
{
	struct vdma_record record;

	if (!vdma_owner_remove(arena, buf->iova, buf->len, &record))
		return -EINVAL;
	record.died = vdma_site_now(pc);
	chunk->held++;
	vdma_quarantine_add(&arena->freed_bufs, &record);
	return 0;
}

static bool is_empty(const struct vdma_chunk *chunk)
{
	return chunk->space.live == chunk->held;
}

static void chunk_free(struct vdma_chunk *chunk)
{
	vdma_iova_fini(&chunk->space);
	free(chunk->tree);
	free(chunk->starts);
	free(chunk);
}

/* One that cannot be unmapped is kept, for vdma_buf_trim() to try again. */
static int chunk_destroy(struct vdma_arena *arena, struct vdma_chunk *chunk, const void *pc)
{
	struct vdma_buf all = chunk->region->buf;
	struct vdma_range range = { all.iova, all.iova + (all.len - 1) };
	int err;

	/* Before somebody else can have these addresses. */
	vdma_unpoison(all.va, all.len);
	chunk->region->freer = pc;
	err = vdma_region_destroy(chunk->region);
	chunk->stuck = err;
	if (err) {
		vdma_poison(all.va, all.len);
		return err;
	}
	/* They are given back to the chunk, which is without its region now. */
	vdma_quarantine_release_within(&arena->freed_bufs, &range);
	LIST_REMOVE(chunk, link);
	arena->nchunks--;
	arena->cramped = false;
	chunk_free(chunk);
	return 0;
}

/* The same, where a failure changes nothing for the caller. */
static void chunk_give_up(struct vdma_arena *arena, struct vdma_chunk *chunk, const void *pc)
{
	struct vdma_kept before;

	vdma_keep_failure(&before);
	chunk_destroy(arena, chunk, pc);
	vdma_restore_failure(&before);
}

/* All of it is free, and none of it a buffer. */
static int lay_tree(struct vdma_chunk *chunk)
{
	const struct vdma_buf *buf = &chunk->region->buf;
	struct vdma_range whole = { buf->iova, buf->iova + (buf->len - 1) };
	uint64_t words = buf->len >> UNIT_SHIFT >> 6;

	chunk->tree = calloc(1, vdma_iova_memory(buf->len, UNIT_SHIFT));
	chunk->starts = calloc(2 * words, sizeof(*chunk->starts));
	if (!chunk->tree || !chunk->starts)
		return vdma_fail_malloc(2 * words * sizeof(*chunk->starts));
	chunk->ends = chunk->starts + words;
	vdma_iova_init(&chunk->space, whole.first, buf->len, UNIT_SHIFT, chunk->tree);
	if (vdma_iova_set_usable(&chunk->space, &whole, 1))
		return vdma_fail_malloc(2 * sizeof(whole));
	return 0;
}

static int chunk_create(struct vdma_arena *arena, uint64_t len, enum vdma_provider provider,
			const struct vdma_constraints *c, const void *pc, struct vdma_chunk **out)
{
	const struct vdma_constraints own = {
		.size = sizeof(own),
		.address_bits = c->address_bits,
		.node = c->node,
	};
	struct vdma_region_opts opts = {
		.size = sizeof(opts),
		.provider = provider,
		.constraints = &own,
	};
	struct vdma_chunk *chunk = calloc(1, sizeof(*chunk));
	int err;

	if (!chunk)
		return vdma_fail_malloc(sizeof(*chunk));
	err = vdma_region_make(arena, len, &opts, true, pc, &chunk->region);
	if (err) {
		free(chunk);
		return err;
	}
	chunk->address_bits = c->address_bits;
	chunk->node = c->node;
	chunk->contiguity = c->contiguity;
	vdma_poison(chunk->region->buf.va, chunk->region->buf.len);
	LIST_INSERT_HEAD(&arena->chunks, chunk, link);
	arena->nchunks++;
	err = lay_tree(chunk);
	if (err) {
		chunk_give_up(arena, chunk, pc);
		return err;
	}
	arena->chunks_ever++;
	*out = chunk;
	return 0;
}

/*
 * As large as usual, else as large as need be. Chunks of 2 MiB and more lie at
 * multiples of 2 MiB, if the window has room for that, but in a physical arena anywhere.
 * A larger alignment needs room to move in, and so does what could cross a larger
 * boundary, up to its own length.
 */
static int grow_with(struct vdma_arena *arena, uint64_t len, const struct vdma_constraints *c,
		     enum vdma_provider provider, const void *pc, struct vdma_chunk **chunk)
{
	uint64_t sure = arena->slots ? PAGE : 2 * MIB, need = len, usual = CHUNK;
	int err;

	if (c->align > sure)
		need += c->align;
	if (c->boundary > sure && len > sure)
		need += len;
	need = (need + 2 * MIB - 1) & ~(2 * MIB - 1);
	if (usual < need)
		usual = need;
	err = chunk_create(arena, usual, provider, c, pc, chunk);
	if (err && usual > need)
		err = chunk_create(arena, need, provider, c, pc, chunk);
	return err;
}

static int grow(struct vdma_arena *arena, uint64_t len, const struct vdma_constraints *c,
		const void *pc, struct vdma_chunk **chunk)
{
	const enum vdma_provider *order;
	size_t n = vdma_constraints_order(c->contiguity, arena->slots, &order), i;
	struct vdma_why why = { .cause = VDMA_CAUSE_NONE };
	int err = 0;

	for (i = 0; i < n; i++) {
		uint64_t granule = c->max_segments ? vdma_region_granule(order[i], 0) : 0;

		if (granule && (len - 1) / granule >= c->max_segments)
			err = vdma_fail_segments(c, len, granule, &why);
		else
			err = grow_with(arena, len, c, order[i], pc, chunk);
		if (!err) {
			(*chunk)->region->why = why;
			return 0;
		}
		if (i < n - 1)
			vdma_why_add(&why);
	}
	vdma_why_free(&why);
	return err;
}

/* A chunk has room for what it was made for, but where the window had only places between. */
static int misplaced(struct vdma_arena *arena, struct vdma_chunk *chunk,
		     const struct vdma_constraints *c, const struct vdma_iova_request *req,
		     const void *pc)
{
	chunk_give_up(arena, chunk, pc);
	return vdma_fail(VDMA_CAUSE_WINDOW, &(struct vdma_facts){ .need = req->len },
			 "%s, aligned to 0x%llx and crossing no multiple of 0x%llx, do not fit into "
			 "the arena, which has no free run at a multiple of 2 MiB. Create the arena "
			 "with a larger window, or destroy regions.",
			 vdma_bytes(req->len).s, (unsigned long long)c->align,
			 (unsigned long long)c->boundary);
}

/* A chunk that has room, in which it is taken then; or NULL. */
static struct vdma_chunk *take(struct vdma_arena *arena, const struct vdma_constraints *c,
			       struct vdma_iova_request *req, bool gaps, uint64_t *iova)
{
	struct vdma_chunk *chunk;

	LIST_FOREACH(chunk, &arena->chunks, link)
	{
		req->blocks_only = !gaps && chunk->space.live > FEW;
		if (suits(arena, chunk, c) && cut(chunk, c, req, iova))
			break;
	}
	return chunk;
}

/*
 * The same, where no block of a chunk has room: to look through all gaps of all chunks
 * takes as long as there are gaps, and saves next to no chunk where sizes vary. Gaps are
 * for an arena that cannot grow, which is not asked to again as long as they do; and what
 * is held back goes only if there is nothing else. Out of line, for its frame is large.
 */
__attribute__((noinline)) static int find_more(struct vdma_arena *arena,
					       const struct vdma_constraints *c,
					       struct vdma_iova_request *req, const void *pc,
					       struct vdma_chunk **chunk, uint64_t *iova)
{
	struct vdma_kept before;
	int err;

	vdma_keep_failure(&before);
	err = grow(arena, req->len, c, pc, chunk);
	if (!err) {
		vdma_restore_failure(&before);
		arena->cramped = false;
		req->blocks_only = false;
		return cut(*chunk, c, req, iova) ? 0 : misplaced(arena, *chunk, c, req, pc);
	}
	if (!arena->cramped) {
		*chunk = take(arena, c, req, true, iova);
		arena->cramped = *chunk;
	}
	/* All of it, for the next one would take as long to find that there is no other. */
	if (!*chunk && vdma_quarantine_release(&arena->freed_bufs, UINT64_MAX))
		*chunk = take(arena, c, req, true, iova);
	if (!*chunk)
		return err;
	vdma_restore_failure(&before);
	return 0;
}

static int find(struct vdma_arena *arena, const struct vdma_constraints *c,
		struct vdma_iova_request *req, const void *pc, struct vdma_chunk **chunk,
		uint64_t *iova)
{
	*chunk = take(arena, c, req, arena->cramped, iova);
	return *chunk ? 0 : find_more(arena, c, req, pc, chunk, iova);
}

int vdma_buf_alloc(struct vdma_arena *arena, size_t len, const struct vdma_buf_opts *opts,
		   struct vdma_buf *buf)
{
	return vdma_buf_make(arena, len, opts, __builtin_return_address(0), buf);
}

int vdma_buf_make(struct vdma_arena *arena, size_t len, const struct vdma_buf_opts *opts,
		  const void *pc, struct vdma_buf *buf)
{
	struct vdma_constraints c = { .size = 0 };
	struct vdma_iova_request req;
	uint32_t flags = 0;
	struct vdma_chunk *chunk;
	struct vdma_buf all;
	uint64_t iova = VDMA_IOVA_NONE;
	int err;

	if (!buf)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "An argument is NULL.");
	err = vdma_arena_check_own(arena);
	if (!err && opts)
		err = get_opts(opts, &c, &flags);
	if (!err)
		err = check(len, &c, flags);
	/* No chunk holds that; and what one would have to be longer could wrap. */
	if (!err && len > arena->window.len)
		err = vdma_region_over_window(arena, len);
	if (err)
		return err;
	request(len, &c, &req);

	pthread_mutex_lock(&arena->buf_lock);
	err = find(arena, &c, &req, pc, &chunk, &iova);
	if (!err && arena->checks) {
		err = vdma_owner_add(arena, iova, len, pc);
		if (err)
			vdma_iova_free(&chunk->space, iova, len);
	}
	if (err) {
		pthread_mutex_unlock(&arena->buf_lock);
		return err;
	}
	flip(chunk, unit_of(chunk, iova), unit_of(chunk, iova + (len - 1)));
	all = chunk->region->buf;
	arena->nbufs++;
	arena->bufs_ever++;
	VDMA_PROBE(buf_alloc, arena, iova, len);
	pthread_mutex_unlock(&arena->buf_lock);

	iova -= all.iova;
	*buf = (struct vdma_buf){
		.va = (char *)all.va + iova,
		.len = len,
		.iova = all.iova + iova,
		.pa = all.pa == VDMA_PA_NONE ? VDMA_PA_NONE : all.pa + iova,
	};
	vdma_unpoison(buf->va, len);
	if (flags & VDMA_BUF_ZERO)
		memset(buf->va, 0, len);
	return 0;
}

/* Of two empty chunks of a kind one goes. */
static void shrink(struct vdma_arena *arena, struct vdma_chunk *chunk, const void *pc)
{
	struct vdma_chunk *other;

	if (!is_empty(chunk))
		return;
	LIST_FOREACH(other, &arena->chunks, link)
	if (other != chunk && !other->stuck && is_empty(other) &&
	    other->address_bits == chunk->address_bits && other->node == chunk->node &&
	    other->contiguity == chunk->contiguity) {
		chunk_give_up(arena, chunk, pc);
		return;
	}
}

static int no_such(struct vdma_arena *arena, const struct vdma_buf *buf)
{
	struct vdma_iova_info info;

	vdma_owner_look(arena, buf->iova, &info);
	return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL,
			 "There is no buffer of %zu bytes at IOVA 0x%llx: was it given back already, "
			 "or does it belong to another arena? %s",
			 buf->len, (unsigned long long)buf->iova, info.text);
}

int vdma_buf_free(struct vdma_arena *arena, const struct vdma_buf *buf)
{
	return vdma_buf_drop(arena, buf, __builtin_return_address(0));
}

int vdma_buf_drop(struct vdma_arena *arena, const struct vdma_buf *buf, const void *pc)
{
	struct vdma_chunk *chunk;
	struct vdma_buf all;
	int err;

	if (!buf)
		return 0;
	err = vdma_arena_check_own(arena);
	if (err)
		return err;
	err = -EINVAL;
	pthread_mutex_lock(&arena->buf_lock);
	chunk = vdma_chunk_of(arena, buf->iova);
	if (chunk)
		err = arena->checks ? hold_back(arena, chunk, buf, pc) :
				      give_back(chunk, buf->iova, buf->len);
	if (!err) {
		all = chunk->region->buf;
		vdma_poison((char *)all.va + (buf->iova - all.iova),
			    vdma_buf_whole_units(buf->len));
		arena->nbufs--;
		VDMA_PROBE(buf_free, arena, buf->iova, buf->len);
		shrink(arena, chunk, pc);
	}
	pthread_mutex_unlock(&arena->buf_lock);
	return err ? no_such(arena, buf) : 0;
}

int vdma_buf_query(struct vdma_arena *arena, const struct vdma_buf *buf,
		   struct vdma_region_info *info)
{
	struct vdma_chunk *chunk;
	bool found;
	int err;

	if (!buf)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "An argument is NULL.");
	err = vdma_arena_check(arena);
	if (err)
		return err;
	vdma_arena_lock_bufs(arena);
	chunk = buf->iova % (1 << UNIT_SHIFT) ? NULL : vdma_chunk_of(arena, buf->iova);
	found = chunk && (arena->checks ? vdma_owner_has(arena, buf->iova, buf->len) :
					  is_buffer(chunk, buf->iova, buf->len));
	if (found)
		err = vdma_region_tell(chunk->region, info);
	vdma_arena_unlock_bufs(arena);
	return found ? err : no_such(arena, buf);
}

int vdma_buf_trim(struct vdma_arena *arena)
{
	const void *pc = __builtin_return_address(0);
	struct vdma_chunk *chunk, *next;
	int err, ret = vdma_arena_check_own(arena);

	if (ret)
		return ret;
	pthread_mutex_lock(&arena->buf_lock);
	for (chunk = LIST_FIRST(&arena->chunks); chunk; chunk = next) {
		next = LIST_NEXT(chunk, link);
		if (!is_empty(chunk))
			continue;
		err = chunk_destroy(arena, chunk, pc);
		if (err)
			ret = err; /* the one that is explained */
	}
	pthread_mutex_unlock(&arena->buf_lock);
	return ret;
}
