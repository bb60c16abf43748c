// SPDX-License-Identifier: BSD-3-Clause
#include "region.h"

#include <errno.h>
#include <stdlib.h>

#include "arena.h"
#include "explain.h"
#include "ioas.h"
#include "opts.h"
#include "reserve.h"
#include "sys.h"

#define SIZE_2M ((size_t)2 << 20)
#define SIZE_1G ((size_t)1 << 30)

static const struct vdma_provider_ops *const providers[] = {
	[VDMA_PROVIDER_CONTIG] = &vdma_provider_contig,
	[VDMA_PROVIDER_HUGETLB] = &vdma_provider_hugetlb,
	[VDMA_PROVIDER_ANON] = &vdma_provider_anon,
};

static int check_opts(const struct vdma_arena *arena, const struct vdma_region_opts *o)
{
	if ((size_t)o->provider >= sizeof(providers) / sizeof(providers[0]))
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "There is no provider %d.",
				 (int)o->provider);
	if (arena->slots && !providers[o->provider]->hold)
		return vdma_fail(
			VDMA_CAUSE_TRANSLATION, NULL,
			"A physical arena takes memory of VDMA_PROVIDER_CONTIG only: without "
			"an IOMMU nothing pins any other, which may move or be freed while a "
			"device writes to it.");
	if (o->access > VDMA_ACCESS_WRITE)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "There is no access %d.",
				 (int)o->access);
	if (o->address_bits > 64)
		return vdma_fail(VDMA_CAUSE_ARGUMENT,
				 &(struct vdma_facts){ .need = o->address_bits, .limit = 64 },
				 "address_bits is %u; it is 1 to 64, or 0 for no limit.",
				 o->address_bits);
	return 0;
}

static int no_room(const struct vdma_arena *arena, size_t len, uint64_t limit,
		   const struct vdma_region_opts *o)
{
	const char *with_gap = arena->guard ? "With the guard gap behind, " : "";
	struct vdma_facts facts = { .need = len + arena->guard };

	facts.limit = vdma_iova_largest(&arena->space, limit);
	if (limit < arena->window.len - 1)
		return vdma_fail(
			VDMA_CAUSE_ADDRESS_BITS, &facts,
			"%s%s do not fit below 2^%u: the largest free run of device addresses "
			"there is %s. Use a smaller region, more address_bits, or destroy "
			"regions that lie there.",
			with_gap, vdma_bytes(facts.need).s, o->address_bits,
			vdma_bytes(facts.limit).s);
	return vdma_fail(VDMA_CAUSE_WINDOW, &facts,
			 "%s%s do not fit into the arena: its largest free run of device addresses is "
			 "%s, its window %s. Create the arena with a larger window, or destroy "
			 "regions.",
			 with_gap, vdma_bytes(facts.need).s, vdma_bytes(facts.limit).s,
			 vdma_bytes(arena->window.len).s);
}

/*
 * Where @len bytes go. Aligned to what page tables of CPU and IOMMU can map by
 * one entry, as long as there is room for that; at least to @unit.
 */
static int find_place(struct vdma_arena *arena, size_t len, size_t unit,
		      struct vdma_iova_request req, uint64_t *at)
{
	int err;

	if (len >= SIZE_1G)
		req.align = SIZE_1G;
	else if (len >= SIZE_2M && unit < SIZE_2M)
		req.align = SIZE_2M;
	err = vdma_iova_alloc(&arena->space, &req, at);
	if (err == -ENOSPC && req.align == SIZE_1G && unit < SIZE_1G) {
		req.align = SIZE_2M;
		err = vdma_iova_alloc(&arena->space, &req, at);
	}
	if (err == -ENOSPC && req.align > unit && !arena->slots) {
		req.align = unit;
		err = vdma_iova_alloc(&arena->space, &req, at);
	}
	return err;
}

/* With a guard gap behind, which may lie above the limit. */
static int place(struct vdma_arena *arena, struct vdma_region *region, size_t unit,
		 const struct vdma_region_opts *o)
{
	struct vdma_iova_request req = { .len = region->room, .align = unit };
	size_t len = region->room - arena->guard;
	uint64_t limit = UINT64_MAX, count;
	int err;

	if (!arena->slots && o->address_bits && o->address_bits < 64) {
		limit = (UINT64_C(1) << o->address_bits) - 1;
		req.bottom_up = limit < arena->window.len - 1;
	}
	req.limit = limit < UINT64_MAX - arena->guard ? limit + arena->guard : UINT64_MAX;
	err = find_place(arena, len, unit, req, &region->place);
	/* Twice as many each time: there may be thousands, and a search takes time. */
	for (count = 1; err == -ENOSPC && vdma_quarantine_release(&arena->freed_regions, count);
	     count *= 2)
		err = find_place(arena, len, unit, req, &region->place);
	return err == -ENOSPC ? no_room(arena, len, limit, o) : err;
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

static int populate(struct vdma_region *region, const struct vdma_region_opts *o)
{
	uint64_t start = vdma_sys_now_ns();
	struct vdma_want want = { .page_size = o->page_size };
	int err;

	if (region->arena->slots && o->address_bits && o->address_bits < 64)
		want.phys_max = (UINT64_C(1) << o->address_bits) - 1;
	region->memory = (struct vdma_memory){
		.pa = VDMA_PA_NONE,
		.granule = vdma_sys_page_size(),
		.node = -1,
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
	if (!vdma_reserve_restore(region->buf.va, region->buf.len))
		vdma_iova_free(&region->arena->space, region->place, region->room);
}

/* Memory, address and mappings of a new region; the arena is locked. */
static int build(struct vdma_region *region, size_t unit, const struct vdma_region_opts *o)
{
	struct vdma_arena *arena = region->arena;
	int err;

	/* What can be foreseen is refused before anything is done. */
	err = vdma_ioas_room_all(arena, region->buf.len);
	if (err)
		return err;
	err = place(arena, region, unit, o);
	if (err)
		return err;
	region->buf.iova = region->place;
	region->buf.va = (void *)(arena->window.va + region->place);
	err = populate(region, o);
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
	LIST_INSERT_HEAD(&arena->regions, region, link);
	arena->nregions++;
	arena->bytes += region->buf.len;
	vdma_stats_region_created(region);
	return 0;
}

int vdma_region_create(struct vdma_arena *arena, size_t len, const struct vdma_region_opts *opts,
		       struct vdma_region **out)
{
	struct vdma_region_opts o;
	struct vdma_region *region;
	size_t unit;
	int err;

	if (!out)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "An argument is NULL.");
	err = vdma_arena_check(arena);
	if (!err)
		err = vdma_opts_get(&o, sizeof(o), opts, sizeof(o));
	if (!err)
		err = check_opts(arena, &o);
	if (!err)
		err = providers[o.provider]->unit(o.page_size, &unit);
	if (err)
		return err;
	if (!len || len > arena->window.len)
		return vdma_fail(len ? VDMA_CAUSE_WINDOW : VDMA_CAUSE_ARGUMENT,
				 &(struct vdma_facts){ .need = len, .limit = arena->window.len },
				 "A region of %s is not possible: it has at least 1 byte, and at most "
				 "what the arena\'s window holds, %s.",
				 vdma_bytes(len).s, vdma_bytes(arena->window.len).s);

	region = calloc(1, sizeof(*region));
	if (!region)
		return vdma_fail_malloc(sizeof(*region));
	region->arena = arena;
	region->provider = o.provider;
	region->ops = providers[o.provider];
	region->access = o.access;
	region->born = vdma_site_now(__builtin_return_address(0));
	region->buf.len = (len + unit - 1) & ~(unit - 1);
	region->room = region->buf.len;
	/* A slot has one number, so it has one region. */
	if (arena->slots)
		region->room = (region->room + SIZE_2M - 1) & ~(SIZE_2M - 1);
	region->room += arena->guard;
	pthread_mutex_lock(&arena->lock);
	err = build(region, unit, &o);
	pthread_mutex_unlock(&arena->lock);
	if (err) {
		free(region);
		return err;
	}
	*out = region;
	return 0;
}

int vdma_region_destroy(struct vdma_region *region)
{
	struct vdma_arena *arena;
	int err;

	if (!region)
		return 0;
	arena = region->arena;
	err = vdma_arena_check(arena);
	if (err)
		return err;
	pthread_mutex_lock(&arena->lock);
	err = vdma_ioas_unmap_all(region);
	if (!err) {
		publish(region, false);
		err = vdma_reserve_restore(region->buf.va, region->buf.len);
		if (err)
			err = vdma_fail_sys(err, "unmap %s at %p", vdma_bytes(region->buf.len).s,
					    region->buf.va);
	}
	if (!err) {
		leave(region, region->freer ? region->freer : __builtin_return_address(0));
		LIST_REMOVE(region, link);
		arena->nregions--;
		arena->bytes -= region->buf.len;
		vdma_stats_region_destroyed(region);
	}
	pthread_mutex_unlock(&arena->lock);
	if (!err)
		free(region);
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

int vdma_region_query(struct vdma_region *region, struct vdma_region_info *info)
{
	struct vdma_region_info now = { .dma_entries = 1 };
	int err;

	if (!region)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "The region is NULL.");
	err = vdma_arena_check(region->arena);
	if (!err)
		err = vdma_info_check(info, sizeof(now));
	if (err)
		return err;
	now.buf_len = region->buf.len;
	now.provider = region->provider;
	now.extents = region->memory.extents;
	now.granule = region->memory.granule;
	now.populate_ns = region->populate_ns;
	now.node = region->memory.node;
	now.access = region->access;
	pthread_mutex_lock(&region->arena->lock);
	now.mapped = (uint32_t)__builtin_popcountll(region->mapped);
	now.map_ns = region->map_ns;
	pthread_mutex_unlock(&region->arena->lock);
	vdma_info_put(info, &now, sizeof(now));
	return 0;
}
