// SPDX-License-Identifier: BSD-3-Clause
#include "arena.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base.h"
#include "buf.h"
#include "explain.h"
#include "foreign.h"
#include "host.h"
#include "ioas.h"
#include "join.h"
#include "opts.h"
#include "owner.h"
#include "region.h"
#include "reserve.h"
#include "share.h"
#include "sys.h"

#define GIB (UINT64_C(1) << 30)
#define DEFAULT_WINDOW (256 * GIB)
#define MAX_WINDOW (UINT64_C(1) << 46)
/* Flags of which an arena has one at most: they say where its window lies. */
#define PLACED (VDMA_ARENA_SHARED | VDMA_ARENA_IDENTITY)
/* Device addresses are handed out in pages of 4 KiB, the smallest of any IOMMU. */
#define UNIT_SHIFT 12
#define SLOT (UINT64_C(1) << VDMA_SLOT_SHIFT)

/* More than the longest transfer of most devices, with which they overrun. */
#define DEFAULT_GUARD ((uint32_t)64 << 10)
#define MAX_GUARD ((uint32_t)1 << 30)
#define DEFAULT_BUF_QUARANTINE ((uint64_t)4 << 20)

/* Until a device is attached: what any IOMMU reaches, but the MSI range of x86. */
static const struct vdma_range assumed[] = {
	{ 0, 0xfedfffff },
	{ 0xfef00000, (UINT64_C(1) << 39) - 1 },
};

static int too_far(const struct vdma_region *region, const struct vdma_range *ranges, size_t n)
{
	const struct vdma_buf *buf = &region->buf;
	struct vdma_facts facts = {
		.need = buf->iova + (buf->len - 1),
		.limit = n ? ranges[n - 1].last : 0,
	};

	return vdma_fail(VDMA_CAUSE_UNREACHABLE, &facts,
			 "The region of %s at IOVA 0x%llx (virtual address 0x%llx) lies where the "
			 "IOMMU of this device cannot reach: up to 0x%llx, in %zu ranges. Open the "
			 "device before the region is created, or destroy the region first.",
			 vdma_bytes(buf->len).s, (unsigned long long)buf->iova,
			 (unsigned long long)(uintptr_t)buf->va, (unsigned long long)facts.limit,
			 n);
}

/* Are all regions that are for this space inside its ranges? */
static int check_reach(const struct vdma_arena *arena, const struct vdma_ioas *ioas,
		       const struct vdma_range *ranges, size_t n)
{
	const struct vdma_region *region;

	LIST_FOREACH(region, &arena->regions, link)
	if (region->spaces >> ioas->slot & 1 && !region->gone &&
	    !vdma_iova_inside(ranges, n, region->buf.iova,
			      region->buf.iova + (region->buf.len - 1)))
		return too_far(region, ranges, n);
	return 0;
}

int vdma_arena_set_usable(struct vdma_arena *arena, const struct vdma_ioas *with,
			  const struct vdma_range *ranges, size_t n)
{
	/* The first page stays out: a device address of 0 is too often "none". */
	const struct vdma_range whole = {
		arena->slots || arena->identity ? arena->space.base : 4096,
		vdma_arena_last(arena),
	};
	size_t room = 1 + sizeof(assumed) / sizeof(assumed[0]), count = 1, i;
	struct vdma_range *now, *next;
	bool assume = true;
	int err = 0;

	for (i = 0; i < VDMA_ARENA_MAX_IOAS; i++)
		if (arena->ioas[i])
			room += arena->ioas[i] == with ? n : arena->ioas[i]->nranges;
	now = calloc(2 * room, sizeof(*now));
	if (!now)
		return vdma_fail_malloc(2 * room * sizeof(*now));
	next = now + room;

	now[0] = whole;
	/* Where physical memory is, is not the window's matter. */
	for (i = 0; i < VDMA_ARENA_MAX_IOAS && !arena->slots; i++) {
		const struct vdma_ioas *ioas = arena->ioas[i];
		struct vdma_range *swap = now;

		if (!ioas || !(ioas == with ? n : ioas->nranges))
			continue;
		count = vdma_iova_intersect(now, count, ioas == with ? ranges : ioas->ranges,
					    ioas == with ? n : ioas->nranges, next);
		now = next;
		next = swap;
		assume = false;
	}
	if (assume && !arena->slots) {
		/* Who names a base beyond what any IOMMU reaches knows one that reaches more. */
		const struct vdma_range up_to[] = {
			assumed[0],
			{ assumed[1].first, arena->identity ? UINT64_MAX : assumed[1].last },
		};

		count = vdma_iova_intersect(&whole, 1, up_to, sizeof(up_to) / sizeof(up_to[0]),
					    now);
	} else if (with && n && !arena->slots) {
		err = check_reach(arena, with, ranges, n);
	}
	if (!err && vdma_iova_set_usable(&arena->space, now, count))
		err = vdma_fail_malloc(count * sizeof(*now));
	if (!err)
		arena->assumed = assume && !arena->slots;
	free(now < next ? now : next);
	return err;
}

static int reserve_at(const struct vdma_arena_opts *o, size_t len, uintptr_t *va)
{
	if (!(o->flags & PLACED))
		return vdma_reserve_create(len, GIB, va);
	*va = o->base;
	return o->flags & VDMA_ARENA_SHARED ? vdma_base_reserve(len, va) :
					      vdma_base_reserve_low(len, va);
}

/* Lays the window; a default one may shrink to what the system allows. */
static int reserve(const struct vdma_arena_opts *o, struct vdma_window *window)
{
	size_t len = o->window ? o->window : DEFAULT_WINDOW;
	struct vdma_kept before;
	int err;

	vdma_keep_failure(&before);
	for (;;) {
		err = reserve_at(o, len, &window->va);
		if (!err || o->window || len == GIB)
			break;
		len /= 2;
	}
	if (err && o->flags & PLACED)
		return err;
	vdma_restore_failure(&before);
	if (err)
		return vdma_fail(
			VDMA_CAUSE_RESERVE, &(struct vdma_facts){ .sys_errno = -err, .need = len },
			"%s of address space cannot be reserved: %s. Ask for a smaller window, "
			"raise RLIMIT_AS (ulimit -v), or do not use mlockall(MCL_FUTURE).",
			vdma_bytes(len).s, vdma_error_words(err).s);
	window->len = len;
	window->reach = len;
	window->delta = o->flags & VDMA_ARENA_IDENTITY ? 0 : window->va;
	return 0;
}

int vdma_arena_check(const struct vdma_arena *arena)
{
	if (!arena)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "The arena is NULL.");
	if (*arena->ours)
		return 0;
	return vdma_fail(VDMA_CAUSE_FORKED, NULL,
			 "This process was forked from the one that created the arena, with which "
			 "memory and devices have stayed. Create an arena in this process.");
}

static bool is_observing(const struct vdma_arena *arena)
{
	return __atomic_load_n(&arena->observing, __ATOMIC_RELAXED) == pthread_self();
}

int vdma_arena_check_change(const struct vdma_arena *arena)
{
	int err = vdma_arena_check(arena);

	if (err || !is_observing(arena))
		return err;
	return vdma_fail(
		VDMA_CAUSE_OBSERVING, NULL,
		"An observer of the arena (vdma_observer_add()) is being called, in the middle "
		"of a change: it cannot make another one. Do that later, or from a thread that "
		"it does not wait for.");
}

int vdma_arena_check_own(const struct vdma_arena *arena)
{
	int err;

	/* In one step, for where buffers pass. */
	if (__builtin_expect(arena && *arena->ours && !arena->joined &&
				     !__atomic_load_n(&arena->observing, __ATOMIC_RELAXED),
			     1))
		return 0;
	err = vdma_arena_check_change(arena);
	if (err || !arena->joined)
		return err;
	return vdma_fail(
		VDMA_CAUSE_JOINED, NULL,
		"This process has joined the arena (vdma_arena_join()): what is in it, only the "
		"process that created it may change. Ask that one, or create an arena here.");
}

void vdma_arena_lock_bufs(struct vdma_arena *arena)
{
	if (!is_observing(arena))
		pthread_mutex_lock(&arena->buf_lock);
}

void vdma_arena_unlock_bufs(struct vdma_arena *arena)
{
	if (!is_observing(arena))
		pthread_mutex_unlock(&arena->buf_lock);
}

static int mark_ours(struct vdma_arena *arena)
{
	size_t len = vdma_sys_page_size();
	void *page;
	int err;

	err = vdma_sys_mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0,
			    &page);
	if (err)
		return vdma_fail_malloc(len);
	err = vdma_sys_madvise(page, len, MADV_WIPEONFORK);
	if (err) {
		vdma_sys_munmap(page, len);
		return vdma_fail_sys(err, "MADV_WIPEONFORK");
	}
	arena->ours = page;
	*arena->ours = 1;
	return 0;
}

static void unmark(struct vdma_arena *arena)
{
	vdma_sys_munmap((void *)(uintptr_t)arena->ours, vdma_sys_page_size());
}

/*
 * 8 MiB for a default window, of which little is ever written. Not from malloc(), which
 * clears what somebody had before, and without huge pages: both would use it all.
 */
static int make_tree(struct vdma_arena *arena)
{
	size_t len = vdma_iova_memory(arena->window.len, UNIT_SHIFT);
	int err;

	err = vdma_sys_mmap(NULL, len, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0, &arena->tree);
	if (err)
		return vdma_fail_malloc(len);
	/* A kernel that was built without huge pages refuses it, and need not be told. */
	vdma_sys_madvise(arena->tree, len, MADV_NOHUGEPAGE);
	arena->tree_len = len;
	vdma_iova_init(&arena->space, arena->identity ? arena->window.va : 0, arena->window.len,
		       UNIT_SHIFT, arena->tree);
	return 0;
}

/* A number for each slot: 1 MiB for a default window, written where regions are. */
static int make_slots(struct vdma_arena *arena)
{
	size_t len = (arena->window.len >> VDMA_SLOT_SHIFT) * sizeof(*arena->slots);
	void *slots;
	int err;

	err = vdma_sys_mmap(NULL, len, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0, &slots);
	if (err)
		return vdma_fail_malloc(len);
	/* A child has none of the memory, and finds no address. */
	err = vdma_sys_madvise(slots, len, MADV_WIPEONFORK);
	if (err) {
		vdma_sys_munmap(slots, len);
		return vdma_fail_sys(err, "MADV_WIPEONFORK");
	}
	arena->slots = slots;
	arena->window.slots = slots;
	arena->window.reach = 0;
	return 0;
}

static void free_slots(struct vdma_arena *arena)
{
	if (arena->slots)
		vdma_sys_munmap(arena->slots,
				(arena->window.len >> VDMA_SLOT_SHIFT) * sizeof(*arena->slots));
}

void vdma_arena_publish(struct vdma_arena *arena, uint64_t place, uint64_t room, uint64_t delta)
{
	uint64_t slot;

	for (slot = place / SLOT; slot < (place + room) / SLOT; slot++)
		__atomic_store_n(&arena->slots[slot], delta, __ATOMIC_RELEASE);
}

static void free_tree(struct vdma_arena *arena)
{
	vdma_iova_fini(&arena->space);
	vdma_sys_munmap(arena->tree, arena->tree_len);
}

static int check_opts(const struct vdma_arena_opts *o)
{
	if (o->window % GIB || o->window > MAX_WINDOW)
		return vdma_fail(
			VDMA_CAUSE_ARGUMENT,
			&(struct vdma_facts){ .need = o->window, .limit = MAX_WINDOW },
			"A window of 0x%llx bytes is not possible: it is a multiple of 1 GiB, "
			"at most 64 TiB, or 0 for the default.",
			(unsigned long long)o->window);
	if (o->flags & ~(VDMA_ARENA_CHECK | PLACED))
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "There are no flags 0x%x of an arena.",
				 o->flags & ~(VDMA_ARENA_CHECK | PLACED));
	if ((o->flags & PLACED) == PLACED)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL,
				 "An arena has VDMA_ARENA_SHARED or VDMA_ARENA_IDENTITY, not both.");
	if (o->base % GIB || (o->base && !(o->flags & PLACED)))
		return vdma_fail(
			VDMA_CAUSE_ARGUMENT, NULL,
			"A base of 0x%llx is not possible: it is a multiple of 1 GiB, or 0, and "
			"takes the flag VDMA_ARENA_SHARED or VDMA_ARENA_IDENTITY.",
			(unsigned long long)o->base);
	if (!(o->flags & VDMA_ARENA_CHECK) && (o->guard || o->quarantine || o->buf_quarantine))
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL,
				 "Guard gaps and quarantines take the flag VDMA_ARENA_CHECK.");
	if (o->translation > VDMA_TRANSLATION_AUTO)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "There is no translation %d.",
				 (int)o->translation);
	if (o->guard > MAX_GUARD)
		return vdma_fail(VDMA_CAUSE_ARGUMENT,
				 &(struct vdma_facts){ .need = o->guard, .limit = MAX_GUARD },
				 "A guard gap of %s is not possible: it has at most 1 GiB.",
				 vdma_bytes(o->guard).s);
	return 0;
}

static void release_region(void *ctx, const struct vdma_record *record)
{
	struct vdma_arena *arena = ctx;

	vdma_iova_free(&arena->space, record->iova, record->len + arena->guard);
}

/* The checking mode, if it is wanted. */
static int start_checks(struct vdma_arena *arena, const struct vdma_arena_opts *o)
{
	uint64_t page = UINT64_C(1) << UNIT_SHIFT;
	uint64_t limit = o->quarantine ? o->quarantine : arena->window.len / 4;
	uint64_t buf_limit = o->buf_quarantine ? o->buf_quarantine : DEFAULT_BUF_QUARANTINE;
	int err;

	if (!(o->flags & VDMA_ARENA_CHECK))
		return 0;
	err = vdma_quarantine_init(&arena->freed_regions, limit, release_region, arena);
	if (!err)
		err = vdma_quarantine_init(&arena->freed_bufs, buf_limit, vdma_buf_release, arena);
	if (err) {
		vdma_quarantine_fini(&arena->freed_regions);
		return vdma_fail_malloc(sizeof(struct vdma_record) * VDMA_QUARANTINE_RECORDS);
	}
	arena->guard = ((o->guard ? o->guard : DEFAULT_GUARD) + page - 1) & ~(page - 1);
	arena->checks = true;
	return 0;
}

static void stop_checks(struct vdma_arena *arena)
{
	vdma_quarantine_fini(&arena->freed_regions);
	vdma_quarantine_fini(&arena->freed_bufs);
}

static bool is_physical(const struct vdma_arena_opts *o)
{
	return o->translation == VDMA_TRANSLATION_PHYSICAL ||
	       (o->translation == VDMA_TRANSLATION_AUTO && !vdma_host_has_iommu());
}

/* What takes an IOMMU. */
static int check_physical(const struct vdma_arena_opts *o)
{
	if (!is_physical(o))
		return 0;
	if (o->flags & VDMA_ARENA_IDENTITY)
		return vdma_fail(VDMA_CAUSE_TRANSLATION, NULL,
				 "A physical arena cannot have virtual addresses for device addresses "
				 "(VDMA_ARENA_IDENTITY): that takes an IOMMU, which translates.");
	if (!(o->flags & VDMA_ARENA_CHECK))
		return 0;
	return vdma_fail(VDMA_CAUSE_TRANSLATION, NULL,
			 "A physical arena cannot check (VDMA_ARENA_CHECK): without an IOMMU nothing "
			 "stops a device beyond its memory. Check on a machine that has one.");
}

int vdma_arena_make(const struct vdma_arena_opts *o, struct vdma_arena **out)
{
	struct vdma_arena *arena;
	int err;

	arena = calloc(1, sizeof(*arena));
	if (!arena)
		return vdma_fail_malloc(sizeof(*arena));
	err = check_physical(o);
	if (!err)
		err = mark_ours(arena);
	if (err)
		goto free_arena;
	arena->shared = o->flags & VDMA_ARENA_SHARED;
	arena->identity = o->flags & VDMA_ARENA_IDENTITY;
	arena->wanted = o->window ? o->window : DEFAULT_WINDOW;
	err = reserve(o, &arena->window);
	if (err)
		goto unmark;
	if (is_physical(o))
		err = make_slots(arena);
	if (err)
		goto unreserve;
	err = make_tree(arena);
	if (err)
		goto free_slots;
	LIST_INIT(&arena->regions);
	LIST_INIT(&arena->chunks);
	TAILQ_INIT(&arena->observers);
	LIST_INIT(&arena->peers);
	err = vdma_arena_set_usable(arena, NULL, NULL, 0);
	if (err)
		goto fini;
	err = start_checks(arena, o);
	if (err)
		goto fini;
	pthread_mutex_init(&arena->lock, NULL);
	pthread_mutex_init(&arena->buf_lock, NULL);
	*out = arena;
	return 0;
fini:
	free_tree(arena);
free_slots:
	free_slots(arena);
unreserve:
	vdma_reserve_destroy(arena->window.va, arena->window.len);
unmark:
	unmark(arena);
free_arena:
	free(arena);
	return err;
}

int vdma_arena_create(const struct vdma_arena_opts *opts, struct vdma_arena **out)
{
	struct vdma_arena_opts o;
	int err;

	if (!out)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "The result argument is NULL.");
	err = vdma_opts_get(&o, sizeof(o), opts, VDMA_UP_TO(struct vdma_arena_opts, window));
	if (!err)
		err = check_opts(&o);
	return err ? err : vdma_arena_make(&o, out);
}

/* A chunk without buffers is none of the caller's. */
static int check_children(struct vdma_arena *arena)
{
	uint64_t regions = arena->joined ? 0 : arena->nregions - arena->nchunks;
	char leaks[1536];

	if (!arena->nbufs && !regions && !arena->nioas && !arena->nobservers)
		return 0;
	vdma_owner_leaks(arena, leaks, sizeof(leaks));
	return vdma_fail(VDMA_CAUSE_CHILDREN,
			 &(struct vdma_facts){ .used = arena->nbufs + regions + arena->nioas +
						       arena->nobservers },
			 "The arena still has %llu buffers, %llu regions and %u address spaces. Give "
			 "them back, or destroy them, first:%s",
			 (unsigned long long)arena->nbufs, (unsigned long long)regions,
			 arena->nioas, leaks);
}

int vdma_arena_destroy(struct vdma_arena *arena)
{
	int err;

	if (!arena)
		return 0;
	err = vdma_arena_check_change(arena);
	if (err)
		return err;
	err = check_children(arena);
	if (!err && !arena->joined)
		err = vdma_buf_trim(arena);
	if (err)
		return err;
	vdma_share_stop(arena);
	vdma_join_leave(arena);
	stop_checks(arena);
	vdma_foreign_destroy(arena);
	vdma_reserve_destroy(arena->window.va, arena->window.len);
	free_tree(arena);
	free_slots(arena);
	unmark(arena);
	pthread_mutex_destroy(&arena->lock);
	pthread_mutex_destroy(&arena->buf_lock);
	free(arena);
	return 0;
}

int vdma_arena_query(struct vdma_arena *arena, struct vdma_arena_info *info)
{
	struct vdma_arena_info now = { .size = 0 };
	int err;

	err = vdma_arena_check(arena);
	if (!err)
		err = vdma_info_check(info, offsetof(struct vdma_arena_info, bufs));
	if (err)
		return err;
	now.window = arena->window.len;
	now.window_wanted = arena->wanted;
	now.flags = (arena->checks ? VDMA_ARENA_CHECK : 0) |
		    (arena->shared ? VDMA_ARENA_SHARED : 0) |
		    (arena->identity ? VDMA_ARENA_IDENTITY : 0);
	now.translation = arena->slots ? VDMA_TRANSLATION_PHYSICAL : VDMA_TRANSLATION_LINEAR;
	vdma_arena_lock_bufs(arena);
	now.bufs = arena->nbufs;
	now.chunks = arena->nchunks;
	now.bufs_held = arena->freed_bufs.held;
	vdma_arena_unlock_bufs(arena);
	pthread_mutex_lock(&arena->lock);
	now.regions = arena->nregions;
	now.bytes = arena->bytes;
	now.ioas = arena->nioas;
	now.usable = vdma_iova_usable(&arena->space);
	now.assumed = arena->assumed;
	now.held = arena->freed_regions.held;
	pthread_mutex_unlock(&arena->lock);
	vdma_info_put(info, &now, sizeof(now));
	return 0;
}

int vdma_arena_ranges(struct vdma_arena *arena, struct vdma_range *ranges, size_t *count)
{
	size_t i;
	int err = vdma_arena_check(arena);

	if (err)
		return err;
	if (!count || (*count && !ranges))
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "An argument is NULL.");
	if (arena->slots) {
		if (*count)
			ranges[0] = (struct vdma_range){ 0, UINT64_MAX };
		*count = 1;
		return 0;
	}
	pthread_mutex_lock(&arena->lock);
	for (i = 0; i < arena->space.nusable && i < *count; i++)
		ranges[i] = arena->space.usable[i];
	*count = arena->space.nusable;
	pthread_mutex_unlock(&arena->lock);
	return 0;
}

void *vdma_va_physical(const struct vdma_arena *arena, vdma_iova_t iova)
{
	/* Constant but for the lock, and the list that it guards. */
	pthread_mutex_t *lock = (pthread_mutex_t *)&arena->lock;
	const struct vdma_region *region;
	void *va = NULL;

	if (vdma_arena_check(arena))
		return NULL;
	pthread_mutex_lock(lock);
	LIST_FOREACH(region, &arena->regions, link)
	if (iova - region->buf.iova < region->buf.len)
		va = (char *)region->buf.va + (iova - region->buf.iova);
	pthread_mutex_unlock(lock);
	return va;
}
