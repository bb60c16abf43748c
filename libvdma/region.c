// SPDX-License-Identifier: BSD-3-Clause
#include "region.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "arena.h"
#include "constraints.h"
#include "explain.h"
#include "foreign.h"
#include "guard.h"
#include "ioas.h"
#include "node.h"
#include "observer.h"
#include "opts.h"
#include "reserve.h"
#include "sys.h"

#define SIZE_2M ((size_t)2 << 20)
#define SIZE_1G ((size_t)1 << 30)

static const struct vdma_provider_ops *const providers[] = {
	[VDMA_PROVIDER_CONTIG] = &vdma_provider_contig,
	[VDMA_PROVIDER_HUGETLB] = &vdma_provider_hugetlb,
	[VDMA_PROVIDER_ANON] = &vdma_provider_anon,
	[VDMA_PROVIDER_MEMFD] = &vdma_provider_memfd,
};

/* What is asked for, however the caller said it. */
struct plan {
	size_t len;
	size_t page_size;
	size_t unit; /* of the provider; 0 if there may be several */
	struct vdma_constraints c;
};

size_t vdma_region_granule(enum vdma_provider provider, size_t page_size)
{
	return providers[provider]->granule ? providers[provider]->granule(page_size) : 0;
}

static int check_provider(const struct vdma_arena *arena, const struct vdma_region_opts *o,
			  struct plan *plan)
{
	if (o->provider == VDMA_PROVIDER_AUTO) {
		if (o->page_size)
			return vdma_fail(VDMA_CAUSE_ARGUMENT,
					 &(struct vdma_facts){ .need = o->page_size },
					 "page_size is %zu, but VDMA_PROVIDER_AUTO takes what memory "
					 "there is, in its own pages. Leave it at 0.",
					 o->page_size);
		return 0;
	}
	if (o->provider > VDMA_PROVIDER_MEMFD && o->provider <= VDMA_PROVIDER_USER)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL,
				 "Provider %d is for memory that is there already. Import it: "
				 "vdma_region_import_fd(), _bar() or _user().",
				 (int)o->provider);
	if ((size_t)o->provider >= sizeof(providers) / sizeof(providers[0]))
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "There is no provider %d.",
				 (int)o->provider);
	if (arena->slots && !providers[o->provider]->hold)
		return vdma_fail(
			VDMA_CAUSE_TRANSLATION, NULL,
			"A physical arena takes memory of VDMA_PROVIDER_CONTIG only: without "
			"an IOMMU nothing pins any other, which may move or be freed while a "
			"device writes to it.");
	if (plan->c.contiguity == VDMA_CONTIG_REQUIRED && providers[o->provider]->granule)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL,
				 "Memory of the provider %s is built of pages, and not contiguous as "
				 "required. Use VDMA_PROVIDER_AUTO or VDMA_PROVIDER_CONTIG.",
				 providers[o->provider]->name);
	return providers[o->provider]->unit(o->page_size, &plan->unit);
}

static int check_opts(const struct vdma_arena *arena, const struct vdma_region_opts *o,
		      struct plan *plan)
{
	int err = vdma_constraints_check(&plan->c, plan->len);

	if (!err)
		err = check_provider(arena, o, plan);
	if (!err && o->access > VDMA_ACCESS_WRITE)
		err = vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "There is no access %d.",
				(int)o->access);
	if (!err && o->nioas && (!o->ioas || arena->slots))
		err = vdma_fail(o->ioas ? VDMA_CAUSE_TRANSLATION : VDMA_CAUSE_ARGUMENT, NULL,
				"A region for %zu address spaces %s.", o->nioas,
				o->ioas ? "takes an arena that is linear: without an IOMMU every "
					  "device reaches all memory" :
					  "takes their list, which is NULL");
	return err || !plan->c.node ? err : vdma_node_check(plan->c.node);
}

static int no_room(const struct vdma_arena *arena, size_t len, uint64_t limit,
		   const struct vdma_constraints *c)
{
	const char *with_gap = arena->guard ? "With the guard gap behind, " : "";
	struct vdma_facts facts = { .need = len + arena->guard };
	char shape[96] = "";

	if (c->align || c->boundary)
		snprintf(shape, sizeof(shape),
			 ", aligned to 0x%llx and crossing no multiple of 0x%llx,",
			 (unsigned long long)c->align, (unsigned long long)c->boundary);
	facts.limit = vdma_iova_largest(&arena->space, limit);
	if (limit < vdma_arena_last(arena))
		return vdma_fail(
			VDMA_CAUSE_ADDRESS_BITS, &facts,
			"%s%s%s do not fit below 2^%u: the largest free run of device addresses "
			"there is %s. Use a smaller region, more address_bits, or destroy "
			"regions that lie there.",
			with_gap, vdma_bytes(facts.need).s, shape, c->address_bits,
			vdma_bytes(facts.limit).s);
	return vdma_fail(
		VDMA_CAUSE_WINDOW, &facts,
		"%s%s%s do not fit into the arena: its largest free run of device addresses is "
		"%s, its window %s. Create the arena with a larger window, or destroy "
		"regions.",
		with_gap, vdma_bytes(facts.need).s, shape, vdma_bytes(facts.limit).s,
		vdma_bytes(arena->window.len).s);
}

/*
 * Where @len bytes go. Aligned to what page tables of CPU and IOMMU can map by
 * one entry, as long as there is room for that; at least as @req has it.
 */
static int find_place(struct vdma_arena *arena, size_t len, struct vdma_iova_request req,
		      uint64_t *at)
{
	uint64_t least = req.align;
	int err;

	if (len >= SIZE_1G && least < SIZE_1G)
		req.align = SIZE_1G;
	else if (len >= SIZE_2M && least < SIZE_2M)
		req.align = SIZE_2M;
	err = vdma_iova_alloc(&arena->space, &req, at);
	if (err == -ENOSPC && req.align == SIZE_1G && least < SIZE_2M) {
		req.align = SIZE_2M;
		err = vdma_iova_alloc(&arena->space, &req, at);
	}
	if (err == -ENOSPC && req.align > least && !arena->slots) {
		req.align = least;
		err = vdma_iova_alloc(&arena->space, &req, at);
	}
	return err;
}

/* The smallest power of two that is not less. */
static uint64_t power_of_two(uint64_t len)
{
	return len > 1 ? UINT64_C(1) << (64 - __builtin_clzll(len - 1)) : 1;
}

/* With a guard gap behind, which may lie above the limit, and across the boundary. */
static int place(struct vdma_arena *arena, struct vdma_region *region, size_t unit,
		 const struct vdma_constraints *c)
{
	struct vdma_iova_request req = { .len = region->room, .align = unit };
	size_t len = region->room - arena->guard;
	uint64_t limit = UINT64_MAX, count;
	int err;

	if (req.align < c->align)
		req.align = c->align;
	/* Those of a physical arena are the module's to keep. */
	if (!arena->slots) {
		limit = vdma_constraints_limit(c->address_bits);
		req.bottom_up = limit < vdma_arena_last(arena);
		req.boundary = c->boundary;
	}
	/* So aligned it crosses none, wherever the gap ends. */
	if (req.boundary && arena->guard) {
		req.boundary = 0;
		if (req.align < power_of_two(len))
			req.align = power_of_two(len);
	}
	req.limit = limit < UINT64_MAX - arena->guard ? limit + arena->guard : UINT64_MAX;
	err = find_place(arena, len, req, &region->place);
	/* Twice as many each time: there may be thousands, and a search takes time. */
	for (count = 1; err == -ENOSPC && vdma_quarantine_release(&arena->freed_regions, count);
	     count *= 2)
		err = find_place(arena, len, req, &region->place);
	return err == -ENOSPC ? no_room(arena, len, limit, c) : err;
}

/* Its addresses are free again, at once or, if the arena checks, after some time. */
static void leave(struct vdma_region *region, const void *pc)
{
	struct vdma_arena *arena = region->arena;
	struct vdma_record record = {
		.iova = region->buf.iova,
		.len = region->buf.len,
		.owner = region->chunk ? VDMA_OWNER_CHUNK : VDMA_OWNER_REGION,
		.born = region->born,
	};

	if (!arena->checks) {
		vdma_iova_free(&arena->space, region->place, region->room);
		return;
	}
	record.died = vdma_site_now(pc);
	vdma_quarantine_add(&arena->freed_regions, &record);
}

static int populate(struct vdma_region *region, size_t page_size, const struct vdma_constraints *c)
{
	uint64_t start = vdma_sys_now_ns();
	struct vdma_want want = {
		.page_size = page_size,
		.node = c->node,
		.fd = region->fd,
		.offset = region->offset,
		.access = region->access,
		.share = region->arena->shared,
	};
	int err;

	if (region->arena->slots) {
		want.phys_max = vdma_constraints_limit(c->address_bits);
		/* All there is, which is no constraint. */
		if (want.phys_max == UINT64_MAX)
			want.phys_max = 0;
		want.align = c->align;
		want.boundary = c->boundary;
	}
	region->memory = (struct vdma_memory){
		.pa = VDMA_PA_NONE,
		.node = -1,
		.fd = -1,
	};
	err = region->ops->populate(region->buf.va, region->buf.len, &want, &region->memory);
	region->populate_ns = vdma_sys_now_ns() - start;
	vdma_stats_populated(region, region->populate_ns, err);
	if (err)
		return err;
	region->buf.pa = region->memory.pa;
	return 0;
}

/* Devices of a physical arena are told physical addresses. */
static int set_physical(struct vdma_region *region)
{
	if (region->buf.pa == VDMA_PA_NONE)
		return vdma_fail(VDMA_CAUSE_PRIVILEGE, NULL,
				 "The module does not tell this process where its memory lies, and "
				 "without an IOMMU that is what devices have to be told. Run it as "
				 "root or with CAP_SYS_RAWIO.");
	region->buf.iova = region->buf.pa;
	return 0;
}

static void publish(const struct vdma_region *region, bool there)
{
	uint64_t delta = (uintptr_t)region->buf.va - region->buf.iova;

	if (region->arena->slots)
		vdma_arena_publish(region->arena, region->place, region->room, there ? delta : 0);
}

/* Memory that is mapped nowhere, and its place. */
static void give_back(struct vdma_region *region)
{
	if (region->ops->stays || !vdma_reserve_restore(region->buf.va, region->buf.len))
		vdma_iova_free(&region->arena->space, region->place, region->room);
}

static void close_memory(struct vdma_region *region)
{
	if (region->memory.fd >= 0)
		vdma_sys_close(region->memory.fd);
	region->memory.fd = -1;
}

void vdma_region_free(struct vdma_region *region)
{
	close_memory(region);
	if (region->why.cause)
		vdma_why_free(&region->why);
	free(region);
}

int vdma_region_build(struct vdma_region *region, size_t unit, size_t page_size,
		      const struct vdma_constraints *c)
{
	struct vdma_arena *arena = region->arena;
	int err;

	/* What can be foreseen is refused before anything is done. */
	err = vdma_ioas_room_all(region);
	if (err)
		return err;
	err = place(arena, region, unit, c);
	if (err)
		return err;
	region->buf.iova = region->place + region->skew;
	if (!region->ops->stays)
		region->buf.va = vdma_arena_at(arena, region->place);
	err = populate(region, page_size, c);
	if (err) {
		/* A place that was lost to a foreign mapping stays taken. */
		if (!region->memory.lost)
			vdma_iova_free(&arena->space, region->place, region->room);
		return err;
	}
	if (arena->slots)
		err = set_physical(region);
	if (!err)
		err = vdma_ioas_map_all(region);
	if (err) {
		/*
		 * Memory that could not be unmapped again is given up for
		 * good: a device may reach it.
		 */
		if (!region->mapped)
			give_back(region);
		return err;
	}
	publish(region, true);
	/* Where nobody observes, nobody has to be told; of pointers nobody is. */
	region->observed = TAILQ_EMPTY(&arena->observers) && !region->ops->stays;
	LIST_INSERT_HEAD(&arena->regions, region, link);
	arena->nregions++;
	arena->bytes += region->buf.len;
	vdma_stats_region_created(region);
	return 0;
}

struct vdma_region *vdma_region_new(struct vdma_arena *arena, enum vdma_access access,
				    const void *pc)
{
	struct vdma_region *region = calloc(1, sizeof(*region));

	if (!region)
		return NULL;
	region->arena = arena;
	region->access = access;
	region->spaces = UINT64_MAX;
	region->memory.fd = -1;
	region->born = vdma_site_now(pc);
	return region;
}

void vdma_region_shape(struct vdma_region *region, enum vdma_provider provider,
		       const struct vdma_provider_ops *ops, size_t len)
{
	const struct vdma_arena *arena = region->arena;

	region->provider = provider;
	region->ops = ops;
	region->mapped = 0;
	region->buf.len = len;
	region->room = len;
	/* A slot has one number, so it has one region. */
	if (arena->slots)
		region->room = (region->room + SIZE_2M - 1) & ~(SIZE_2M - 1);
	region->room += arena->guard;
}

static int too_long(const struct vdma_region *region, size_t unit, const struct vdma_constraints *c)
{
	return vdma_fail(VDMA_CAUSE_ARGUMENT,
			 &(struct vdma_facts){ .need = region->buf.len, .limit = c->boundary },
			 "In whole pages of %s the region is %s, longer than its boundary, %s. Use a "
			 "larger boundary, a provider with smaller pages, or a buffer (vdma/buf.h).",
			 vdma_bytes(unit).s, vdma_bytes(region->buf.len).s,
			 vdma_bytes(c->boundary).s);
}

/* With memory of one provider; the arena is locked. */
static int attempt(struct vdma_region *region, enum vdma_provider provider, const struct plan *plan)
{
	const struct vdma_provider_ops *ops = providers[provider];
	size_t unit = plan->unit, granule;
	int err = unit ? 0 : ops->unit(plan->page_size, &unit);

	if (err)
		return err;
	vdma_region_shape(region, provider, ops, (plan->len + unit - 1) & ~(unit - 1));
	if (plan->c.boundary && plan->c.boundary < region->buf.len)
		return too_long(region, unit, &plan->c);
	granule = plan->c.max_segments ? vdma_region_granule(provider, plan->page_size) : 0;
	if (granule && (region->buf.len - 1) / granule >= plan->c.max_segments)
		return vdma_fail_segments(&plan->c, region->buf.len, granule, &region->why);
	err = vdma_region_build(region, unit, plan->page_size, &plan->c);
	if (err)
		close_memory(region);
	return err;
}

/*
 * With memory of the first provider that has some as it has to be; the arena is locked.
 * Out of line, for its frame is large.
 */
__attribute__((noinline)) static int attempt_all(struct vdma_region *region,
						 const struct plan *plan)
{
	const enum vdma_provider *order;
	size_t n = vdma_constraints_order(plan->c.contiguity, region->arena->slots, &order), i;
	struct vdma_kept before;
	int err = 0;

	vdma_keep_failure(&before);
	for (i = 0; i < n; i++) {
		err = attempt(region, order[i], plan);
		if (!err) {
			vdma_restore_failure(&before);
			return 0;
		}
		if (i < n - 1)
			vdma_why_add(&region->why);
	}
	vdma_why_free(&region->why);
	return err;
}

static int get_plan(struct plan *plan, size_t len, const struct vdma_region_opts *o)
{
	plan->len = len;
	plan->page_size = o->page_size;
	plan->unit = 0;
	if (o->constraints)
		return vdma_constraints_get(&plan->c, o->constraints, o->address_bits);
	plan->c = (struct vdma_constraints){ .address_bits = o->address_bits };
	return 0;
}

/* No longer one of the arena's; which is locked. */
static void unlist(struct vdma_region *region)
{
	struct vdma_arena *arena = region->arena;

	LIST_REMOVE(region, link);
	vdma_ioas_unname(region);
	arena->nregions--;
	arena->bytes -= region->buf.len;
	if (region->users)
		--*region->users;
	vdma_stats_region_destroyed(region);
}

/*
 * A new region that an observer refused. Who was told of it before may have passed its
 * addresses on, so they are left as those of any other are.
 */
static void undo(struct vdma_region *region)
{
	struct vdma_arena *arena = region->arena;
	struct vdma_kept why;

	vdma_keep_failure(&why);
	pthread_mutex_lock(&arena->lock);
	publish(region, false);
	if (region->ops->io)
		vdma_guard_remove(region->buf.va);
	/* What cannot be unmapped is given up, as in vdma_region_build(). */
	if (!vdma_ioas_unmap_all(region) && !vdma_reserve_restore(region->buf.va, region->buf.len))
		leave(region, region->born.pc);
	unlist(region);
	pthread_mutex_unlock(&arena->lock);
	vdma_restore_failure(&why);
}

int vdma_region_announce(struct vdma_region *region)
{
	int err = region->observed ? 0 : vdma_observers_added(region);

	if (err)
		undo(region);
	return err;
}

int vdma_region_create(struct vdma_arena *arena, size_t len, const struct vdma_region_opts *opts,
		       struct vdma_region **out)
{
	return vdma_region_make(arena, len, opts, false, __builtin_return_address(0), out);
}

int vdma_region_over_window(const struct vdma_arena *arena, size_t len)
{
	return vdma_fail(VDMA_CAUSE_WINDOW,
			 &(struct vdma_facts){ .need = len, .limit = arena->window.len },
			 "A region of %s is not possible: it has at most what the arena's window "
			 "holds, %s.",
			 vdma_bytes(len).s, vdma_bytes(arena->window.len).s);
}

int vdma_region_make(struct vdma_arena *arena, size_t len, const struct vdma_region_opts *opts,
		     bool chunk, const void *pc, struct vdma_region **out)
{
	struct vdma_region_opts o;
	struct vdma_region *region;
	struct plan plan;
	int err;

	if (!out)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "An argument is NULL.");
	err = vdma_arena_check_own(arena);
	if (!err)
		err = vdma_opts_get(&o, sizeof(o), opts,
				    VDMA_UP_TO(struct vdma_region_opts, page_size));
	if (!err)
		err = get_plan(&plan, len, &o);
	if (!err)
		err = check_opts(arena, &o, &plan);
	if (!err && len > arena->window.len)
		err = vdma_region_over_window(arena, len);
	if (err)
		return err;

	region = vdma_region_new(arena, o.access, pc);
	if (!region)
		return vdma_fail_malloc(sizeof(*region));
	region->chunk = chunk;
	pthread_mutex_lock(&arena->lock);
	err = vdma_ioas_name(region, o.ioas, o.nioas);
	if (!err) {
		err = o.provider == VDMA_PROVIDER_AUTO ? attempt_all(region, &plan) :
							 attempt(region, o.provider, &plan);
		if (err)
			vdma_ioas_unname(region);
	}
	pthread_mutex_unlock(&arena->lock);
	if (!err)
		err = vdma_region_announce(region);
	if (err) {
		vdma_region_free(region);
		return err;
	}
	*out = region;
	return 0;
}

int vdma_region_tear(struct vdma_region *region, const void *pc)
{
	int err = vdma_ioas_unmap_all(region);

	if (err)
		return err;
	publish(region, false);
	if (region->ops->io)
		vdma_guard_remove(region->buf.va);
	if (!region->ops->stays)
		err = vdma_reserve_restore(region->buf.va, region->buf.len);
	if (err)
		return vdma_fail_sys(err, "unmap %s at %p", vdma_bytes(region->buf.len).s,
				     region->buf.va);
	leave(region, pc);
	unlist(region);
	return 0;
}

/* Has somebody to be told that it goes? If not, nobody will be told of it. */
static bool is_observed(struct vdma_region *region)
{
	region->observed &= !TAILQ_EMPTY(&region->arena->observers);
	return region->observed;
}

int vdma_region_destroy(struct vdma_region *region)
{
	const void *pc = __builtin_return_address(0);
	struct vdma_arena *arena;
	int err;

	if (!region)
		return 0;
	arena = region->arena;
	err = vdma_arena_check_own(arena);
	if (err)
		return err;
	pthread_mutex_lock(&arena->lock);
	if (is_observed(region)) {
		pthread_mutex_unlock(&arena->lock);
		vdma_observers_removed(region);
		pthread_mutex_lock(&arena->lock);
	}
	err = region->view ? vdma_foreign_drop(region, pc) :
			     vdma_region_tear(region, region->freer ? region->freer : pc);
	pthread_mutex_unlock(&arena->lock);
	if (!err)
		vdma_region_free(region);
	return err;
}

struct vdma_buf vdma_region_buf(const struct vdma_region *region)
{
	return region->buf;
}

int vdma_region_slice(const struct vdma_region *region, size_t offset, size_t len,
		      struct vdma_buf *buf)
{
	if (!region || !buf)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "An argument is NULL.");
	if (!len || offset >= region->buf.len || len > region->buf.len - offset)
		return vdma_fail(VDMA_CAUSE_ARGUMENT,
				 &(struct vdma_facts){ .need = len, .limit = region->buf.len },
				 "%zu bytes at %zu are not inside the region, which has %zu.", len,
				 offset, region->buf.len);
	*buf = (struct vdma_buf){
		.va = (char *)region->buf.va + offset,
		.len = len,
		.iova = region->buf.iova + offset,
		.pa = region->buf.pa == VDMA_PA_NONE ? VDMA_PA_NONE : region->buf.pa + offset,
	};
	return 0;
}

int vdma_region_find(struct vdma_arena *arena, const void *va, struct vdma_region **out)
{
	struct vdma_region *region;
	int err = vdma_arena_check(arena);

	if (err)
		return err;
	if (!out)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "An argument is NULL.");
	pthread_mutex_lock(&arena->lock);
	/* What maps memory at a pointer is nobody's; views of it are callers'. */
	LIST_FOREACH(region, &arena->regions, link)
	if (region->provider != VDMA_PROVIDER_USER &&
	    (uintptr_t)va - (uintptr_t)region->buf.va < region->buf.len)
		break;
	if (!region)
		region = vdma_foreign_find(arena, va);
	pthread_mutex_unlock(&arena->lock);
	if (!region)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL,
				 "No region of the arena has address %p.", va);
	*out = region;
	return 0;
}

static enum vdma_delivered delivered(const struct vdma_memory *memory)
{
	if (memory->extents == 1)
		return VDMA_DELIVERED_CONTIGUOUS;
	return memory->granule > vdma_sys_page_size() ? VDMA_DELIVERED_HUGE :
							VDMA_DELIVERED_SCATTERED;
}

int vdma_region_tell(struct vdma_region *region, struct vdma_region_info *info)
{
	struct vdma_region_info now = { .dma_entries = 1 };
	const struct vdma_region *mapped;
	int err = vdma_info_check(info, VDMA_UP_TO(struct vdma_region_info, node));

	if (err)
		return err;
	now.buf_len = region->buf.len;
	now.provider = region->provider;
	now.extents = region->memory.extents;
	now.granule = region->memory.granule;
	now.populate_ns = region->populate_ns;
	now.node = region->memory.node;
	now.access = region->access;
	now.delivered = delivered(&region->memory);
	now.cause = region->why.cause;
	now.reason = vdma_why_words(&region->why);
	pthread_mutex_lock(&region->arena->lock);
	mapped = region->base ? region->base : region;
	now.mapped = (uint32_t)__builtin_popcountll(mapped->mapped);
	now.map_ns = mapped->map_ns;
	pthread_mutex_unlock(&region->arena->lock);
	vdma_info_put(info, &now, sizeof(now));
	return 0;
}

int vdma_region_query(struct vdma_region *region, struct vdma_region_info *info)
{
	int err;

	if (!region)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "The region is NULL.");
	err = vdma_arena_check(region->arena);
	return err ? err : vdma_region_tell(region, info);
}
