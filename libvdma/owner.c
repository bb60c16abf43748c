// SPDX-License-Identifier: BSD-3-Clause
/*
 * What is known of an address is gathered under the arena's locks, and put into
 * words without them: the dynamic linker is asked for names, whose lock a
 * constructor may hold that waits for the arena.
 */
#include "owner.h"

#include <search.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "buf.h"
#include "explain.h"
#include "ioas.h"
#include "opts.h"
#include "region.h"

/* How far from an owner an address still has to do with it, where there is no guard gap. */
#define NEAR 4096
/* A leak report names so many. */
#define LEAKS 4

struct text {
	char *s;
	size_t size, used;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(t->s + t->used, t->size - t->used, fmt, args);
	va_end(args);
	/* What does not fit is cut. */
	t->used += (size_t)n < t->size - t->used ? (size_t)n : t->size - t->used - 1;
}

static int compare(const void *a, const void *b)
{
	const struct vdma_record *one = a, *other = b;

	return (one->iova > other->iova) - (one->iova < other->iova);
}

int vdma_owner_add(struct vdma_arena *arena, vdma_iova_t iova, uint64_t len, const void *pc)
{
	struct vdma_record *record = malloc(sizeof(*record));

	if (record) {
		*record = (struct vdma_record){
			.iova = iova,
			.len = len,
			.owner = VDMA_OWNER_BUF,
			.born = vdma_site_now(pc),
		};
		if (tsearch(record, &arena->owners, compare))
			return 0;
	}
	free(record);
	return vdma_fail_malloc(sizeof(*record));
}

static struct vdma_record *find(struct vdma_arena *arena, vdma_iova_t iova)
{
	struct vdma_record key = { .iova = iova }, **node;

	node = tfind(&key, &arena->owners, compare);
	return node ? *node : NULL;
}

bool vdma_owner_has(struct vdma_arena *arena, vdma_iova_t iova, uint64_t len)
{
	const struct vdma_record *found = find(arena, iova);

	return found && found->len == len;
}

bool vdma_owner_remove(struct vdma_arena *arena, vdma_iova_t iova, uint64_t len,
		       struct vdma_record *record)
{
	struct vdma_record *found = find(arena, iova);

	if (!found || found->len != len)
		return false;
	*record = *found;
	tdelete(found, &arena->owners, compare);
	free(found);
	return true;
}

/* What there is to know of an address; a record without length is none. */
struct facts {
	vdma_iova_t iova;
	struct vdma_record here;	 /* lives */
	struct vdma_record last;	 /* was freed; or ends shortly before */
	struct vdma_record below, above; /* the nearest that live */
	struct vdma_range hole;		 /* of the usable addresses */
	bool in_hole;
	bool checks;
	struct vdma_range window;
	uint64_t near;
};

static struct vdma_record of_region(const struct vdma_region *region)
{
	return (struct vdma_record){
		.iova = region->buf.iova,
		.len = region->buf.len,
		.owner = region->chunk ? VDMA_OWNER_CHUNK : VDMA_OWNER_REGION,
		.born = region->born,
	};
}

/* A live buffer at @iova; if there is none, @range has the rest of what is there instead. */
static bool buf_at(struct vdma_arena *arena, const struct vdma_chunk *chunk, vdma_iova_t iova,
		   struct vdma_range *range, struct vdma_record *record)
{
	const struct vdma_record *found;

	if (!vdma_chunk_look(chunk, iova, range))
		return false;
	if (arena->checks) {
		found = find(arena, range->first);
		if (found)
			*record = *found;
		return found;
	}
	*record = (struct vdma_record){
		.iova = range->first,
		.len = range->last - range->first + 1,
		.owner = VDMA_OWNER_BUF,
	};
	return true;
}

/* The nearest live buffer of a chunk at @iova or below it, or above; or none. */
static bool buf_towards(struct vdma_arena *arena, const struct vdma_chunk *chunk, vdma_iova_t iova,
			bool up, struct vdma_record *record)
{
	struct vdma_range range;

	/* Observers are told of a region before it is a chunk. */
	while (chunk && iova - chunk->region->buf.iova < chunk->region->buf.len) {
		if (buf_at(arena, chunk, iova, &range, record))
			return true;
		iova = up ? range.last + 1 : range.first - 1;
	}
	return false;
}

static bool is_near(const struct facts *f, const struct vdma_record *record)
{
	if (f->iova < record->iova)
		return record->len && record->iova - f->iova <= f->near;
	return record->len && f->iova - record->iova < record->len + f->near;
}

/* In place of a chunk, its buffer that lies on this side, if it is not far. */
static void refine(struct vdma_arena *arena, struct facts *f, bool up, struct vdma_record *beside)
{
	vdma_iova_t iova = up ? beside->iova : beside->iova + (beside->len - 1);
	struct vdma_record buf;

	if (beside->owner == VDMA_OWNER_CHUNK &&
	    buf_towards(arena, vdma_chunk_of(arena, iova), iova, up, &buf) && is_near(f, &buf))
		*beside = buf;
}

static void look_into_chunk(struct vdma_arena *arena, struct facts *f)
{
	const struct vdma_chunk *chunk = vdma_chunk_of(arena, f->iova);
	struct vdma_range range;

	if (!chunk)
		return;
	f->below.len = f->above.len = 0;
	buf_at(arena, chunk, f->iova, &range, &f->here);
	buf_towards(arena, chunk, range.first - 1, false, &f->below);
	buf_towards(arena, chunk, range.last + 1, true, &f->above);
}

static void look_at_regions(struct vdma_arena *arena, struct facts *f)
{
	const struct vdma_region *region;

	LIST_FOREACH(region, &arena->regions, link)
	{
		struct vdma_record r = of_region(region);

		if (f->iova - r.iova < r.len)
			f->here = r;
		else if (r.iova < f->iova && (!f->below.len || f->below.iova < r.iova))
			f->below = r;
		else if (r.iova > f->iova && (!f->above.len || f->above.iova > r.iova))
			f->above = r;
	}
	if (f->here.owner == VDMA_OWNER_CHUNK) {
		look_into_chunk(arena, f);
	} else {
		refine(arena, f, false, &f->below);
		refine(arena, f, true, &f->above);
	}
}

/* A buffer is newer than its chunk, and says more. */
static void look_at_freed(const struct vdma_arena *arena, struct facts *f)
{
	const struct vdma_record *buf, *region;

	if (!arena->checks)
		return;
	buf = vdma_quarantine_find(&arena->freed_bufs, f->iova, 0);
	region = vdma_quarantine_find(&arena->freed_regions, f->iova, arena->guard);
	if (region)
		f->last = *region;
	if (buf && (!region || buf->born.ns >= region->born.ns)) {
		f->last = *buf;
		f->last.held |= region && region->held;
	}
}

static void look_at_ranges(const struct vdma_arena *arena, struct facts *f)
{
	size_t i;

	if (arena->slots)
		return;
	f->hole = (struct vdma_range){ arena->space.base, vdma_arena_last(arena) };
	for (i = 0; i < arena->space.nusable; i++) {
		const struct vdma_range *u = &arena->space.usable[i];

		if (f->iova < u->first) {
			f->hole.last = u->first - 1;
			break;
		}
		if (f->iova <= u->last)
			return;
		f->hole.first = u->last + 1;
	}
	f->in_hole = true;
}

/* The state, and whose words go first. */
static enum vdma_iova_state judge(const struct facts *f, const struct vdma_record **owner)
{
	bool beyond_last = f->iova - f->last.iova >= f->last.len;

	*owner = &f->here;
	if (f->here.len && f->here.owner != VDMA_OWNER_CHUNK)
		return f->iova - f->here.iova < f->here.len ? VDMA_IOVA_LIVE : VDMA_IOVA_GAP;
	*owner = &f->last;
	if (f->last.held)
		return beyond_last ? VDMA_IOVA_GAP : VDMA_IOVA_FREED;
	*owner = NULL;
	if (!f->here.len && (f->iova < f->window.first || f->iova > f->window.last))
		return VDMA_IOVA_OUTSIDE;
	if (!f->here.len && f->in_hole)
		return VDMA_IOVA_RESERVED;
	*owner = is_near(f, &f->below) ? &f->below : &f->above;
	if (is_near(f, *owner))
		return VDMA_IOVA_GAP;
	*owner = &f->last;
	if (f->last.len && !beyond_last)
		return VDMA_IOVA_FREED;
	*owner = f->here.len ? &f->here : NULL;
	return VDMA_IOVA_UNUSED;
}

/* "4 KiB at IOVA 0x1000, allocated ..." */
static void add_record(struct text *t, const struct vdma_record *record)
{
	add(t, "%s at IOVA 0x%llx", vdma_bytes(record->len).s, (unsigned long long)record->iova);
	if (record->born.pc)
		add(t, ", allocated%s", vdma_site_words(&record->born).s);
	if (record->died.pc)
		add(t, ", freed%s", vdma_site_words(&record->died).s);
	if (record->held)
		add(t, ", held back since");
}

static void add_place(struct text *t, vdma_iova_t iova, const struct vdma_record *record)
{
	static const char *const owners[] = {
		[VDMA_OWNER_REGION] = "region",
		[VDMA_OWNER_BUF] = "buffer",
		[VDMA_OWNER_CHUNK] = "chunk for buffers",
	};
	unsigned long long at = iova - record->iova;

	if (iova < record->iova)
		add(t, "0x%llx bytes before the ", (unsigned long long)record->iova - iova);
	else if (at < record->len)
		add(t, "byte 0x%llx of the ", at);
	else if (at == record->len)
		add(t, "the first byte behind the ");
	else
		add(t, "0x%llx bytes behind the end of the ", at - record->len);
	add(t, "%s of ", owners[record->owner]);
	add_record(t, record);
}

static void add_state(struct text *t, const struct facts *f, enum vdma_iova_state state,
		      const struct vdma_record *owner)
{
	add(t, "IOVA 0x%llx is ", (unsigned long long)f->iova);
	switch (state) {
	case VDMA_IOVA_LIVE: add_place(t, f->iova, owner); break;
	case VDMA_IOVA_FREED:
		add(t, "nobody's any more; it was ");
		add_place(t, f->iova, owner);
		break;
	case VDMA_IOVA_GAP:
		add(t, "nobody's; it is ");
		add_place(t, f->iova, owner);
		break;
	case VDMA_IOVA_RESERVED:
		add(t,
		    "where no region lies, from 0x%llx to 0x%llx: page 0, the MSI range, or what "
		    "the devices' IOMMUs do not reach",
		    (unsigned long long)f->hole.first, (unsigned long long)f->hole.last);
		break;
	case VDMA_IOVA_OUTSIDE:
		add(t, "outside of the arena's window, ");
		if (f->window.first)
			add(t, "which begins at 0x%llx, and ", (unsigned long long)f->window.first);
		add(t, "which ends at 0x%llx", (unsigned long long)f->window.last);
		break;
	case VDMA_IOVA_UNUSED:
		add(t, "nobody's, and was nobody's as far as is remembered");
		if (owner) {
			add(t, "; it is ");
			add_place(t, f->iova, owner);
		}
		if (!f->checks)
			add(t, ". An arena with VDMA_ARENA_CHECK remembers what was freed");
		break;
	}
	add(t, ".");
}

static void put_into_words(const struct facts *f, enum vdma_iova_state state,
			   const struct vdma_record *owner, char *buf, size_t size)
{
	const struct vdma_record *const beside[] = { &f->below, &f->above };
	struct text t = { .s = buf, .size = size };
	size_t i;

	add_state(&t, f, state, owner);
	for (i = 0; i < 2; i++) {
		if (!beside[i]->len || beside[i] == owner)
			continue;
		add(&t, "\nIt is ");
		add_place(&t, f->iova, beside[i]);
		add(&t, ".");
	}
	if (f->last.len && owner != &f->last) {
		add(&t, "\nIt was ");
		add_place(&t, f->iova, &f->last);
		add(&t, ".");
	}
}

void vdma_owner_look(struct vdma_arena *arena, vdma_iova_t iova, struct vdma_iova_info *info)
{
	struct facts f = {
		.iova = iova,
		.checks = arena->checks,
		/* What a physical address may be, nobody knows. */
		.window = { arena->space.base, arena->slots ? UINT64_MAX : vdma_arena_last(arena) },
		.near = arena->guard ? arena->guard : NEAR,
	};
	const struct vdma_record *owner;

	vdma_arena_lock_bufs(arena);
	pthread_mutex_lock(&arena->lock);
	look_at_regions(arena, &f);
	look_at_freed(arena, &f);
	look_at_ranges(arena, &f);
	pthread_mutex_unlock(&arena->lock);
	vdma_arena_unlock_bufs(arena);

	*info = (struct vdma_iova_info){ .state = judge(&f, &owner) };
	if (owner) {
		info->owner = owner->owner;
		info->base = owner->iova;
		info->len = owner->len;
		info->offset = (int64_t)(iova - owner->iova);
		info->held = owner->held;
		info->alloc_tid = owner->born.tid;
		info->alloc_ns = owner->born.ns;
		info->alloc_pc = owner->born.pc;
		info->free_tid = owner->died.tid;
		info->free_ns = owner->died.ns;
		info->free_pc = owner->died.pc;
	} else if (info->state == VDMA_IOVA_RESERVED) {
		info->base = f.hole.first;
		info->len = f.hole.last - f.hole.first + 1;
		info->offset = (int64_t)(iova - f.hole.first);
	}
	put_into_words(&f, info->state, owner, info->text, sizeof(info->text));
}

int vdma_explain_iova(struct vdma_arena *arena, vdma_iova_t iova, struct vdma_iova_info *info)
{
	struct vdma_iova_info now;
	int err;

	err = vdma_arena_check(arena);
	if (!err)
		err = vdma_info_check(info, sizeof(now));
	if (err)
		return err;
	vdma_owner_look(arena, iova, &now);
	vdma_info_put(info, &now, sizeof(now));
	return 0;
}

static void add_leak(struct text *t, uint64_t *n, const char *what,
		     const struct vdma_record *record)
{
	if ((*n)++ >= LEAKS)
		return;
	add(t, "\n  a %s of ", what);
	add_record(t, record);
}

void vdma_owner_leaks(struct vdma_arena *arena, char *buf, size_t size)
{
	struct text t = { .s = buf, .size = size };
	const struct vdma_region *region;
	const struct vdma_chunk *chunk;
	struct vdma_record record;
	uint64_t n = 0;
	unsigned int i;

	buf[0] = '\0';
	LIST_FOREACH(chunk, &arena->chunks, link)
	{
		vdma_iova_t iova = chunk->region->buf.iova;

		while (n < LEAKS && buf_towards(arena, chunk, iova, true, &record)) {
			add_leak(&t, &n, "buffer", &record);
			iova = record.iova + vdma_buf_whole_units(record.len);
		}
	}
	n = arena->nbufs;
	LIST_FOREACH(region, &arena->regions, link)
	{
		record = of_region(region);
		if (record.owner == VDMA_OWNER_REGION)
			add_leak(&t, &n, "region", &record);
	}
	for (i = 0; i < VDMA_ARENA_MAX_IOAS; i++)
		if (arena->ioas[i] && n++ < LEAKS)
			add(&t, "\n  an address space with %u open devices",
			    arena->ioas[i]->ndevices);
	if (n > LEAKS)
		add(&t, "\n  and %llu more", (unsigned long long)(n - LEAKS));
	if (arena->nobservers)
		add(&t, "\n  %u observers", arena->nobservers);
}
