// SPDX-License-Identifier: BSD-3-Clause
/*
 * Pages that are imported lie in segments: runs that the same views claim, and that
 * one region maps. The table has an entry for each claimed page, and no other: what
 * the caller has unmapped must not be found, and not be shared, though a region may
 * still map it for the sake of its other pages. A region goes when no segment is its,
 * and no view's device address lies in it.
 */
#include "foreign.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <vdma/import.h>

#include "arena.h"
#include "explain.h"
#include "foreign_table.h"
#include "import.h"
#include "ioas.h"
#include "region.h"
#include "sys.h"

#define SIZE_2M ((size_t)2 << 20)
#define TAGS 1024

struct segment {
	uintptr_t first, end;
	struct vdma_region *region;
	uint32_t claims;
};

struct vdma_foreign {
	struct vdma_foreign_table table;
	struct segment *segments; /* ascending */
	size_t n, room;
	LIST_HEAD(, vdma_region) views;
	size_t nviews;
	LIST_HEAD(, vdma_region) idle; /* to be unmapped */
	unsigned int tags;
};

/* The pages of a view. */
static uintptr_t first_of(const struct vdma_region *view)
{
	return (uintptr_t)view->buf.va & ~(uintptr_t)(vdma_sys_page_size() - 1);
}

static uintptr_t end_of(const struct vdma_region *view)
{
	uintptr_t page = vdma_sys_page_size();

	return ((uintptr_t)view->buf.va + view->buf.len + page - 1) & ~(page - 1);
}

static struct vdma_foreign *make_foreign(struct vdma_arena *arena)
{
	struct vdma_foreign *f = arena->foreign;

	if (f)
		return f;
	f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	if (vdma_foreign_table_init(&f->table)) {
		free(f);
		return NULL;
	}
	LIST_INIT(&f->views);
	LIST_INIT(&f->idle);
	arena->foreign = f;
	__atomic_store_n(&arena->window.foreign, f->table.slots, __ATOMIC_RELAXED);
	__atomic_store_n(&arena->window.foreign_end, (uintptr_t)1 << VDMA_FOREIGN_BITS,
			 __ATOMIC_RELEASE);
	return f;
}

void vdma_foreign_destroy(struct vdma_arena *arena)
{
	struct vdma_foreign *f = arena->foreign;

	if (!f)
		return;
	vdma_foreign_table_fini(&f->table);
	free(f->segments);
	free(f);
}

/* The first segment that ends behind @va. */
static size_t find(const struct vdma_foreign *f, uintptr_t va)
{
	size_t low = 0, high = f->n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (f->segments[middle].end > va)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static struct segment *insert(struct vdma_foreign *f, size_t at)
{
	struct segment *s = &f->segments[at];

	memmove(s + 1, s, (f->n++ - at) * sizeof(*s));
	return s;
}

static void give_up(struct vdma_foreign *f, struct vdma_region *region)
{
	if (!--region->claims)
		LIST_INSERT_HEAD(&f->idle, region, idle);
}

static void erase(struct vdma_foreign *f, size_t at)
{
	struct segment *s = &f->segments[at];

	give_up(f, s->region);
	memmove(s, s + 1, (--f->n - at) * sizeof(*s));
}

/* A segment that goes on over @va becomes two. */
static void split(struct vdma_foreign *f, uintptr_t va)
{
	size_t at = find(f, va);
	struct segment *s;

	if (at == f->n || f->segments[at].first >= va)
		return;
	s = insert(f, at);
	s[0] = s[1];
	s[0].end = s[1].first = va;
	s->region->claims++;
}

/* Two that meet at @va, and are alike, become one. */
static void join(struct vdma_foreign *f, uintptr_t va)
{
	size_t at = find(f, va);
	struct segment *s = &f->segments[at];

	if (!at || at == f->n || s[-1].end != va || s->first != va || s[-1].region != s->region ||
	    s[-1].claims != s->claims)
		return;
	s->first = s[-1].first;
	erase(f, at - 1);
}

/*
 * What claiming will need, so that neither that nor giving up fails: the former makes at
 * most one more segment for each gap and two borders, the latter two for each view.
 */
static int prepare(struct vdma_foreign *f, uintptr_t first, uintptr_t end)
{
	size_t need = 2 * f->n + 3 + 2 * (f->nviews + 1);
	struct segment *more;

	if (vdma_foreign_table_cut(&f->table, first) || vdma_foreign_table_cut(&f->table, end))
		return vdma_fail_malloc(SIZE_2M / 4096 * sizeof(uint64_t));
	if (need <= f->room)
		return 0;
	more = realloc(f->segments, 2 * need * sizeof(*more));
	if (!more)
		return vdma_fail_malloc(2 * need * sizeof(*more));
	f->segments = more;
	f->room = 2 * need;
	return 0;
}

/* Is what is imported already of any use to a view? Its region if it has all of it. */
static int look(const struct vdma_foreign *f, uintptr_t first, uintptr_t end, uint64_t spaces,
		const struct vdma_region_opts *o, struct vdma_region **whole)
{
	uint64_t limit = o->address_bits && o->address_bits < 64 ?
				 (UINT64_C(1) << o->address_bits) - 1 :
				 UINT64_MAX;
	size_t at = find(f, first);
	uintptr_t next = first;

	*whole = at < f->n ? f->segments[at].region : NULL;
	for (; at < f->n && f->segments[at].first < end; at++) {
		const struct segment *s = &f->segments[at];
		const struct vdma_region *r = s->region;
		uintptr_t last = (s->end < end ? s->end : end) - 1;
		uint64_t iova = r->buf.iova + (last - (uintptr_t)r->buf.va);

		if (r->spaces != spaces)
			return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL,
					 "The page at 0x%llx is imported already, for other address "
					 "spaces. Name the same, or destroy that region.",
					 (unsigned long long)s->first);
		if (r->access != VDMA_ACCESS_BOTH && r->access != o->access)
			return vdma_fail(
				VDMA_CAUSE_ARGUMENT, NULL,
				"The page at 0x%llx is imported already, for devices to %s "
				"only. Import it first with VDMA_ACCESS_BOTH, or destroy that "
				"region.",
				(unsigned long long)s->first,
				r->access == VDMA_ACCESS_READ ? "read" : "write");
		if (iova > limit)
			return vdma_fail(VDMA_CAUSE_ADDRESS_BITS,
					 &(struct vdma_facts){ .need = iova, .limit = limit },
					 "The page at 0x%llx is imported already, at IOVA 0x%llx, "
					 "which is not below 2^%u. Import it first for the device "
					 "with the fewest address bits, or destroy that region.",
					 (unsigned long long)last & ~4095ULL,
					 (unsigned long long)iova & ~4095ULL, o->address_bits);
		if (s->first > next || r != *whole)
			*whole = NULL;
		next = s->end;
	}
	if (next < end)
		*whole = NULL;
	return 0;
}

/* A region of its own for whole pages. */
static int map(struct vdma_arena *arena, uintptr_t first, uintptr_t end, uint64_t spaces,
	       const struct vdma_region_opts *o, const void *pc, struct vdma_region **out)
{
	const struct vdma_constraints c = { .address_bits = o->address_bits };
	struct vdma_region *region = vdma_region_new(arena, o->access, pc);
	int err;

	if (!region)
		return vdma_fail_malloc(sizeof(*region));
	vdma_region_shape(region, VDMA_PROVIDER_USER, &vdma_provider_user, end - first);
	region->buf.va = (void *)first;
	/* Congruent, for large pages of the IOMMU; who checks has addresses to spare. */
	if (region->buf.len >= SIZE_2M && !arena->checks) {
		region->skew = first & (SIZE_2M - 1);
		region->room += region->skew;
	}
	region->spaces = spaces;
	err = vdma_region_build(region, vdma_sys_page_size(), 0, &c);
	if (err) {
		free(region);
		return err;
	}
	region->tag = (uint16_t)(arena->foreign->tags++ % TAGS);
	*out = region;
	return 0;
}

/* Virtual minus device address, and a tag, so that neighbours are not taken for one. */
static uint64_t entry_of(const struct vdma_region *r)
{
	return ((uintptr_t)r->buf.va - r->buf.iova) | (uint64_t)r->tag << 2 | VDMA_FOREIGN_HERE;
}

/* One more view has these pages; those that nobody had are @region's. */
static void claim(struct vdma_foreign *f, uintptr_t first, uintptr_t end,
		  struct vdma_region *region)
{
	uintptr_t next = first;
	size_t at;

	split(f, first);
	split(f, end);
	for (at = find(f, first); next < end; at++) {
		struct segment *s = &f->segments[at];

		if (at == f->n || s->first > next) {
			uintptr_t stop = at == f->n || s->first > end ? end : s->first;

			s = insert(f, at);
			*s = (struct segment){ next, stop, region, 0 };
			region->claims++;
			vdma_foreign_table_set(&f->table, next, stop, entry_of(region));
		}
		s->claims++;
		next = s->end;
	}
}

static void unclaim(struct vdma_foreign *f, uintptr_t first, uintptr_t end)
{
	size_t at;

	split(f, first);
	split(f, end);
	at = find(f, first);
	while (at < f->n && f->segments[at].first < end) {
		struct segment *s = &f->segments[at];

		if (--s->claims) {
			at++;
			continue;
		}
		vdma_foreign_table_set(&f->table, s->first, s->end, 0);
		erase(f, at);
	}
	join(f, first);
	join(f, end);
}

static int import(struct vdma_region *view, const struct vdma_region_opts *o, const void *pc)
{
	struct vdma_arena *arena = view->arena;
	uintptr_t first = first_of(view), end = end_of(view);
	struct vdma_foreign *f = make_foreign(arena);
	struct vdma_region *region;
	int err;

	if (!f)
		return vdma_fail(VDMA_CAUSE_NO_MEMORY, NULL,
				 "There is no address space for the table of imported memory "
				 "(512 MiB). Raise RLIMIT_AS (ulimit -v), or do not use "
				 "mlockall(MCL_FUTURE).");
	err = prepare(f, first, end);
	if (!err)
		err = look(f, first, end, view->spaces, o, &region);
	if (!err && !region)
		err = map(arena, first, end, view->spaces, o, pc, &region);
	if (err)
		return err;
	claim(f, first, end, region);
	region->claims++;
	view->base = region;
	view->memory = region->memory;
	view->populate_ns = region->populate_ns;
	view->buf.iova = region->buf.iova + ((uintptr_t)view->buf.va - (uintptr_t)region->buf.va);
	view->buf.pa = VDMA_PA_NONE;
	view->claimed = true;
	LIST_INSERT_HEAD(&f->views, view, link);
	f->nviews++;
	return 0;
}

int vdma_foreign_drop(struct vdma_region *view, const void *pc)
{
	struct vdma_foreign *f = view->arena->foreign;
	struct vdma_region *region, *next, *stuck = NULL;
	bool own = true;
	int err, ret = 0;

	if (view->claimed) {
		stuck = LIST_FIRST(&f->idle);
		unclaim(f, first_of(view), end_of(view));
		give_up(f, view->base);
		view->base = NULL;
		view->claimed = false;
		LIST_REMOVE(view, link);
		f->nviews--;
		vdma_ioas_unname(view);
	}
	/* Its own, and, from there on, what calls that failed have left. */
	for (region = LIST_FIRST(&f->idle); region; region = next) {
		own &= region != stuck;
		next = LIST_NEXT(region, idle);
		err = vdma_region_tear(region, pc);
		if (err) {
			ret = own ? err : ret;
			continue;
		}
		LIST_REMOVE(region, idle);
		free(region);
	}
	return ret;
}

static int check_place(const struct vdma_arena *arena, const void *va, size_t len)
{
	uintptr_t page = vdma_sys_page_size(), at = (uintptr_t)va;
	const struct vdma_window *w = &arena->window;
	uint64_t end = UINT64_C(1) << VDMA_FOREIGN_BITS;

	if (!va || !len)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL,
				 "%zu bytes at %p are no memory. It takes an address, and at least 1 "
				 "byte.",
				 len, va);
	if (at >= end - page || len > end - page - at)
		return vdma_fail(
			VDMA_CAUSE_ARGUMENT, &(struct vdma_facts){ .need = len, .limit = end },
			"%zu bytes at %p do not end below 2^%d, where memory of a program is. "
			"Check address and length.",
			len, va, VDMA_FOREIGN_BITS);
	if (at < w->va + w->len && at + len > w->va)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL,
				 "The %zu bytes at %p reach into the arena's window, where all memory "
				 "has device addresses already: vdma_iova_checked() tells them.",
				 len, va);
	return 0;
}

int vdma_region_import_user(struct vdma_arena *arena, void *va, size_t len,
			    const struct vdma_import_opts *opts, struct vdma_region **out)
{
	const void *pc = __builtin_return_address(0);
	struct vdma_region_opts o;
	struct vdma_region *view;
	int err;

	if (!out)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "An argument is NULL.");
	err = vdma_import_check(arena, opts, &o);
	if (!err)
		err = check_place(arena, va, len);
	if (err)
		return err;
	view = vdma_region_new(arena, o.access, pc);
	if (!view)
		return vdma_fail_malloc(sizeof(*view));
	vdma_region_shape(view, VDMA_PROVIDER_USER, &vdma_provider_user, len);
	view->view = true;
	view->buf.va = va;
	pthread_mutex_lock(&arena->lock);
	err = vdma_ioas_name(view, o.ioas, o.nioas);
	if (!err) {
		err = import(view, &o, pc);
		if (err)
			vdma_ioas_unname(view);
	}
	pthread_mutex_unlock(&arena->lock);
	if (err) {
		free(view);
		return err;
	}
	*out = view;
	return 0;
}

struct vdma_region *vdma_foreign_find(const struct vdma_arena *arena, const void *va)
{
	struct vdma_region *view = NULL;

	if (arena->foreign)
		LIST_FOREACH(view, &arena->foreign->views, link)
	if ((uintptr_t)va - (uintptr_t)view->buf.va < view->buf.len)
		break;
	return view;
}

/* Of a view that has all of it. */
static vdma_iova_t search(const struct vdma_arena *arena, uintptr_t first, uintptr_t last)
{
	/* Constant but for the lock, and the list that it guards. */
	pthread_mutex_t *lock = (pthread_mutex_t *)&arena->lock;
	vdma_iova_t iova = VDMA_IOVA_NONE;
	const struct vdma_region *view;

	pthread_mutex_lock(lock);
	LIST_FOREACH(view, &arena->foreign->views, link)
	if (first_of(view) <= first && last < end_of(view))
		iova = view->buf.iova + (first - (uintptr_t)view->buf.va);
	pthread_mutex_unlock(lock);
	return iova;
}

vdma_iova_t vdma_iova_foreign(const struct vdma_arena *arena, const void *va, size_t len)
{
	uintptr_t end = __atomic_load_n(&arena->window.foreign_end, __ATOMIC_ACQUIRE);
	const uint64_t *table = __atomic_load_n(&arena->window.foreign, __ATOMIC_RELAXED);
	uintptr_t first = (uintptr_t)va, last = first + (len - 1);
	uint64_t entry, other;

	/* len 0 ends before it begins. */
	if (last < first || last >= end)
		return VDMA_IOVA_NONE;
	entry = vdma_foreign_entry(table, first);
	other = vdma_foreign_entry(table, last);
	if (!entry || !other)
		return VDMA_IOVA_NONE;
	if (entry == other)
		return first - (entry & VDMA_FOREIGN_DELTA);
	return vdma_arena_check(arena) ? VDMA_IOVA_NONE : search(arena, first, last);
}
