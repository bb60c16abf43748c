// SPDX-License-Identifier: BSD-3-Clause
#include "ioas.h"

#include <errno.h>
#include <stdlib.h>

#include "explain.h"
#include "hold.h"
#include "opts.h"
#include "region.h"
#include "sys.h"

static const struct vdma_backend_ops *const backends[] = {
	[VDMA_BACKEND_TYPE1] = &vdma_backend_type1,
	[VDMA_BACKEND_IOMMUFD] = &vdma_backend_iommufd,
	[VDMA_BACKEND_NOIOMMU] = &vdma_backend_noiommu,
};

static int create_space(struct vdma_ioas *ioas, enum vdma_backend backend, const char *reason)
{
	ioas->ops = backends[backend];
	ioas->reason = reason;
	return ioas->ops->create(&ioas->space);
}

static int wrong_kind(const struct vdma_arena *arena)
{
	if (arena->window.slots)
		return vdma_fail(VDMA_CAUSE_TRANSLATION, NULL,
				 "In this arena device addresses are physical ones, which an IOMMU's "
				 "backend does not take. Create a linear arena "
				 "(VDMA_TRANSLATION_LINEAR), or use VDMA_BACKEND_AUTO.");
	return vdma_fail(VDMA_CAUSE_TRANSLATION, NULL,
			 "In this arena device addresses are not physical ones, and without an IOMMU "
			 "nothing translates them. Create a physical arena "
			 "(VDMA_TRANSLATION_PHYSICAL, or _AUTO), or use VDMA_BACKEND_AUTO.");
}

/* Containers first, which every kernel has that has VFIO; both can do the same. */
static int choose(struct vdma_ioas *ioas)
{
	static const char *const has = "VFIO has containers of type1 v2";
	struct vdma_kept before;
	int err;

	if (ioas->arena->window.slots)
		return create_space(ioas, VDMA_BACKEND_NOIOMMU,
				    "the arena's device addresses are physical ones");
	vdma_keep_failure(&before);
	err = create_space(ioas, VDMA_BACKEND_TYPE1, has);
	if (err != -ENOENT && err != -EOPNOTSUPP)
		return err;
	err = create_space(ioas, VDMA_BACKEND_IOMMUFD,
			   "VFIO has no containers of type1 v2, but iommufd is there");
	if (!err)
		vdma_restore_failure(&before);
	/* Without either, VFIO's reason is the one to tell. */
	return err == -ENOENT ? create_space(ioas, VDMA_BACKEND_TYPE1, has) : err;
}

int vdma_ioas_create(struct vdma_arena *arena, const struct vdma_ioas_opts *opts,
		     struct vdma_ioas **out)
{
	struct vdma_ioas_opts o;
	struct vdma_ioas *ioas;
	unsigned int slot = 0;
	int err;

	if (!out)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "An argument is NULL.");
	err = vdma_arena_check_own(arena);
	if (!err)
		err = vdma_opts_get(&o, sizeof(o), opts,
				    VDMA_UP_TO(struct vdma_ioas_opts, backend));
	if (err)
		return err;
	if ((size_t)o.backend >= sizeof(backends) / sizeof(backends[0]))
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL,
				 "There is no backend %d; use VDMA_BACKEND_AUTO.", (int)o.backend);
	if (o.backend != VDMA_BACKEND_AUTO &&
	    backends[o.backend]->translates != !arena->window.slots)
		return wrong_kind(arena);

	ioas = calloc(1, sizeof(*ioas));
	if (!ioas)
		return vdma_fail_malloc(sizeof(*ioas));
	ioas->arena = arena;
	LIST_INIT(&ioas->devices);
	LIST_INIT(&ioas->functions);
	err = o.backend == VDMA_BACKEND_AUTO ? choose(ioas) :
					       create_space(ioas, o.backend, "the caller named it");
	if (err)
		goto free_ioas;

	pthread_mutex_lock(&arena->lock);
	while (slot < VDMA_ARENA_MAX_IOAS && arena->ioas[slot])
		slot++;
	if (slot < VDMA_ARENA_MAX_IOAS) {
		ioas->slot = slot;
		arena->ioas[slot] = ioas;
		arena->nioas++;
	}
	pthread_mutex_unlock(&arena->lock);
	if (slot == VDMA_ARENA_MAX_IOAS) {
		err = vdma_fail(VDMA_CAUSE_TOO_MANY,
				&(struct vdma_facts){ .need = slot + 1, .limit = slot },
				"An arena has at most %d address spaces. Open several devices through "
				"one.",
				VDMA_ARENA_MAX_IOAS);
		goto destroy;
	}
	*out = ioas;
	return 0;
destroy:
	ioas->ops->destroy(ioas->space);
free_ioas:
	free(ioas);
	return err;
}

int vdma_ioas_destroy(struct vdma_ioas *ioas)
{
	struct vdma_arena *arena;
	unsigned int devices, gone, named;
	int err;

	if (!ioas)
		return 0;
	arena = ioas->arena;
	err = vdma_arena_check_own(arena);
	if (err)
		return err;
	pthread_mutex_lock(&arena->lock);
	devices = ioas->ndevices;
	gone = ioas->ngone;
	named = ioas->named;
	if (!devices && !gone && !named) {
		arena->ioas[ioas->slot] = NULL;
		arena->nioas--;
	}
	pthread_mutex_unlock(&arena->lock);
	if (devices)
		return vdma_fail(VDMA_CAUSE_CHILDREN, &(struct vdma_facts){ .used = devices },
				 "The address space still has %u open devices. Close them first.",
				 devices);
	if (gone)
		return vdma_fail(
			VDMA_CAUSE_CHILDREN, &(struct vdma_facts){ .used = gone },
			"%u devices of the address space were let go, and not closed yet. Close "
			"them first.",
			gone);
	if (named)
		return vdma_fail(VDMA_CAUSE_CHILDREN, &(struct vdma_facts){ .used = named },
				 "The address space is named by %u regions (vdma_region_opts.ioas). "
				 "Destroy them first.",
				 named);
	ioas->ops->destroy(ioas->space);
	free(ioas);
	return 0;
}

int vdma_ioas_query(struct vdma_ioas *ioas, struct vdma_ioas_info *info)
{
	struct vdma_ioas_info now = { .entries_left = UINT64_MAX };
	struct vdma_space_state state;
	int err;

	if (!ioas)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "The address space is NULL.");
	err = vdma_arena_check(ioas->arena);
	if (!err)
		err = vdma_info_check(info, VDMA_UP_TO(struct vdma_ioas_info, page_sizes));
	if (err)
		return err;
	pthread_mutex_lock(&ioas->arena->lock);
	now.backend = ioas->ops->id;
	now.reason = ioas->reason;
	now.devices = ioas->ndevices;
	now.entries_used = ioas->entries_used;
	now.page_sizes = ioas->page_sizes;
	if (ioas->ndevices) {
		err = ioas->ops->state(ioas->space, &state);
		if (!err) {
			now.entries_left = state.entries_left;
			free(state.ranges);
		}
	}
	pthread_mutex_unlock(&ioas->arena->lock);
	if (!err)
		vdma_info_put(info, &now, sizeof(now));
	return err;
}

int vdma_ioas_ranges(struct vdma_ioas *ioas, struct vdma_range *ranges, size_t *count)
{
	size_t i;
	int err;

	if (!ioas || !count || (*count && !ranges))
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "An argument is NULL.");
	err = vdma_arena_check(ioas->arena);
	if (err)
		return err;
	pthread_mutex_lock(&ioas->arena->lock);
	for (i = 0; i < ioas->nranges && i < *count; i++)
		ranges[i] = ioas->ranges[i];
	*count = ioas->nranges;
	pthread_mutex_unlock(&ioas->arena->lock);
	return 0;
}

bool vdma_ioas_translates(const struct vdma_ioas *ioas)
{
	return ioas->ops->translates;
}

static uint64_t bit(const struct vdma_ioas *ioas)
{
	return UINT64_C(1) << ioas->slot;
}

int vdma_ioas_name(struct vdma_region *region, struct vdma_ioas *const *ioas, size_t n)
{
	size_t i;

	region->named = n;
	region->spaces = n ? 0 : UINT64_MAX;
	for (i = 0; i < n; i++) {
		if (!ioas[i] || ioas[i]->arena != region->arena)
			return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL,
					 "Address space %zu of the region's %s.", i,
					 ioas[i] ? "belongs to another arena" : "is NULL");
		region->spaces |= bit(ioas[i]);
	}
	/* Each once, however often it is in the list. */
	for (i = 0; i < n; i++)
		if (region->spaces & bit(ioas[i]) & ~region->mapped) {
			region->mapped |= bit(ioas[i]);
			ioas[i]->named++;
		}
	region->mapped = 0;
	return 0;
}

void vdma_ioas_unname(struct vdma_region *region)
{
	uint64_t left;

	for (left = region->named ? region->spaces : 0; left; left &= left - 1)
		region->arena->ioas[__builtin_ctzll(left)]->named--;
}

int vdma_ioas_group_fd(const struct vdma_arena *arena, int group)
{
	unsigned int i;

	for (i = 0; i < VDMA_ARENA_MAX_IOAS; i++) {
		const struct vdma_ioas *ioas = arena->ioas[i];
		int fd = ioas ? ioas->ops->group_fd(ioas->space, group) : -ENOENT;

		if (fd >= 0)
			return fd;
	}
	return -ENOENT;
}

static int map(struct vdma_ioas *ioas, struct vdma_region *region)
{
	uint64_t start = vdma_sys_now_ns();
	int err;

	if (ioas->ops->translates) {
		err = ioas->ops->map(ioas->space, region->buf.va, region->buf.iova, region->buf.len,
				     region->access);
		vdma_stats_mapped(ioas, region, vdma_sys_now_ns() - start, err);
	} else {
		err = vdma_hold_region(ioas, region);
	}
	if (!err) {
		region->mapped |= bit(ioas);
		ioas->entries_used++;
		ioas->bytes += vdma_region_locked(region);
	}
	return err;
}

static int unmap(struct vdma_ioas *ioas, struct vdma_region *region)
{
	uint64_t start = vdma_sys_now_ns();
	int err;

	if (ioas->ops->translates) {
		err = ioas->ops->unmap(ioas->space, region->buf.iova, region->buf.len);
		vdma_stats_unmapped(ioas, region, vdma_sys_now_ns() - start, err);
	} else {
		err = vdma_release_region(ioas, region);
	}
	if (!err) {
		region->mapped &= ~bit(ioas);
		ioas->entries_used--;
		ioas->bytes -= vdma_region_locked(region);
	}
	return err;
}

/* Is it attached, and the region to be mapped into it? */
static bool takes(const struct vdma_ioas *ioas, const struct vdma_region *region)
{
	return ioas && ioas->ndevices && region->spaces & bit(ioas) && !region->gone;
}

/* Each backend has a counter of its own: type1 the process's, iommufd the user's. */
int vdma_ioas_room_all(const struct vdma_region *region)
{
	uint64_t bytes = vdma_region_locked(region);
	uint64_t charged[sizeof(backends) / sizeof(backends[0])] = { 0 };
	unsigned int i;
	int err;

	for (i = 0; i < VDMA_ARENA_MAX_IOAS; i++) {
		struct vdma_ioas *ioas = region->arena->ioas[i];

		if (!takes(ioas, region))
			continue;
		err = ioas->ops->room(ioas->space, bytes, 1, charged[ioas->ops->id]);
		if (err)
			return err;
		charged[ioas->ops->id] += bytes;
	}
	return 0;
}

int vdma_ioas_unmap_all(struct vdma_region *region)
{
	struct vdma_arena *arena = region->arena;
	uint64_t left;
	int err, ret = 0;

	for (left = region->mapped; left; left &= left - 1) {
		err = unmap(arena->ioas[__builtin_ctzll(left)], region);
		if (err)
			ret = err; /* the one that is explained */
	}
	return ret;
}

int vdma_ioas_map_all(struct vdma_region *region)
{
	struct vdma_arena *arena = region->arena;
	uint64_t start = vdma_sys_now_ns();
	unsigned int i;

	for (i = 0; i < VDMA_ARENA_MAX_IOAS; i++) {
		struct vdma_ioas *ioas = arena->ioas[i];
		int err;

		if (!takes(ioas, region))
			continue;
		err = map(ioas, region);
		if (err) {
			int worse = vdma_ioas_unmap_all(region);

			return worse ? worse : err;
		}
	}
	if (region->mapped)
		region->map_ns = vdma_sys_now_ns() - start;
	return 0;
}

/* Maps all its regions into a space that has none. */
static int replay(struct vdma_ioas *ioas)
{
	struct vdma_arena *arena = ioas->arena;
	struct vdma_region *region;
	uint64_t bytes = 0, n = 0;
	int err;

	LIST_FOREACH(region, &arena->regions, link)
	if (takes(ioas, region)) {
		bytes += vdma_region_locked(region);
		n++;
	}
	if (!n)
		return 0;
	err = ioas->ops->room(ioas->space, bytes, n, 0);
	if (err)
		return err;
	LIST_FOREACH(region, &arena->regions, link)
	{
		uint64_t start = vdma_sys_now_ns();

		if (!takes(ioas, region))
			continue;
		err = map(ioas, region);
		if (err)
			return err;
		region->map_ns = vdma_sys_now_ns() - start;
	}
	return 0;
}

/* Held for a device that comes to others, or is the first one. */
static int hold_all(struct vdma_ioas *ioas, const struct vdma_bdf *bdf)
{
	struct vdma_region *region;
	int err = vdma_hold_all(ioas, bdf);

	if (err)
		return err;
	LIST_FOREACH(region, &ioas->arena->regions, link)
	region->mapped |= bit(ioas);
	ioas->entries_used = ioas->arena->nregions;
	ioas->bytes = ioas->arena->bytes;
	return 0;
}

/* The backend has dropped all mappings with the last device. */
static void forget(struct vdma_ioas *ioas)
{
	struct vdma_region *region;

	LIST_FOREACH(region, &ioas->arena->regions, link)
	region->mapped &= ~bit(ioas);
	ioas->entries_used = 0;
	ioas->bytes = 0;
	ioas->page_sizes = 0;
	free(ioas->ranges);
	ioas->ranges = NULL;
	ioas->nranges = 0;
}

static void take_state(struct vdma_ioas *ioas, const struct vdma_space_state *state)
{
	free(ioas->ranges);
	ioas->ranges = state->ranges;
	ioas->nranges = state->nranges;
	ioas->page_sizes = state->page_sizes;
}

#define MAX_RESERVED 64

/*
 * A device that comes to others: the kernel refuses it when something is mapped in
 * what its group reserves, and does not say what.
 */
static int check_reserved(const struct vdma_ioas *ioas, const struct vdma_bdf *bdf, int group)
{
	struct vdma_range reserved[MAX_RESERVED];
	const struct vdma_region *region;
	size_t n, i;

	if (!ioas->ops->translates || !ioas->entries_used)
		return 0;
	n = vdma_host_reserved(group, reserved, MAX_RESERVED);
	LIST_FOREACH(region, &ioas->arena->regions, link)
	{
		uint64_t first = region->buf.iova, last = first + (region->buf.len - 1);

		for (i = 0; i < n && region->mapped & bit(ioas); i++)
			if (first <= reserved[i].last && reserved[i].first <= last)
				return vdma_fail(
					VDMA_CAUSE_UNREACHABLE,
					&(struct vdma_facts){ .need = last },
					"The region of %s at IOVA 0x%llx lies in 0x%llx to 0x%llx, "
					"which the IOMMU group of %s, %d, reserves. Open this device "
					"before the region is created, or destroy the region first.",
					vdma_bytes(region->buf.len).s, (unsigned long long)first,
					(unsigned long long)reserved[i].first,
					(unsigned long long)reserved[i].last, bdf->s, group);
	}
	return 0;
}

/*
 * The same, where no reserved range is in the way that sysfs tells of: the IOMMU of one
 * that comes to others may reach less far than theirs, which the kernel refuses as well.
 */
static int name_highest(const struct vdma_ioas *ioas)
{
	const struct vdma_region *region, *highest = NULL;
	struct vdma_kept why;
	uint64_t last;

	LIST_FOREACH(region, &ioas->arena->regions, link)
	if (region->mapped & bit(ioas) && (!highest || highest->buf.iova < region->buf.iova))
		highest = region;
	vdma_keep_failure(&why);
	if (!highest)
		return why.last.err;
	last = highest->buf.iova + (highest->buf.len - 1);
	return vdma_fail(VDMA_CAUSE_UNREACHABLE,
			 &(struct vdma_facts){ .sys_errno = why.last.sys_errno, .need = last },
			 "%s Of this address space, the highest of its regions, of %s, ends at IOVA "
			 "0x%llx; the device's IOMMU may have fewer address bits.",
			 why.words, vdma_bytes(highest->buf.len).s, (unsigned long long)last);
}

int vdma_ioas_attach(struct vdma_ioas *ioas, const struct vdma_bdf *bdf, int group,
		     const struct vdma_token *token)
{
	struct vdma_space_state state;
	int fd, err;

	err = check_reserved(ioas, bdf, group);
	if (err)
		return err;
	fd = ioas->ops->attach(ioas->space, bdf->s, group, token);
	if (fd < 0)
		return vdma_last_failure()->cause == VDMA_CAUSE_UNREACHABLE ? name_highest(ioas) :
									      fd;
	err = ioas->ops->state(ioas->space, &state);
	if (err)
		goto detach;
	err = vdma_arena_set_usable(ioas->arena, ioas, state.ranges, state.nranges);
	if (err) {
		free(state.ranges);
		goto detach;
	}
	take_state(ioas, &state);
	ioas->ndevices++;
	if (!ioas->ops->translates)
		err = hold_all(ioas, bdf);
	else if (ioas->ndevices == 1)
		err = replay(ioas);
	if (err) {
		vdma_ioas_detach(ioas, bdf, group, fd, true);
		return err;
	}
	return fd;
detach:
	ioas->ops->detach(ioas->space, group, fd);
	return err;
}

void vdma_ioas_detach(struct vdma_ioas *ioas, const struct vdma_bdf *bdf, int group, int fd,
		      bool silent)
{
	struct vdma_space_state state;
	struct vdma_kept before;

	vdma_keep_failure(&before);
	if (!ioas->ops->translates)
		vdma_release_all(ioas, bdf, silent);
	ioas->ops->detach(ioas->space, group, fd);
	ioas->ndevices--;
	if (!ioas->ndevices)
		forget(ioas);
	else if (!ioas->ops->state(ioas->space, &state))
		take_state(ioas, &state);
	/*
	 * Without memory for this the old ranges stay: too narrow at worst, and
	 * what they allow is checked again by the next attach.
	 */
	vdma_arena_set_usable(ioas->arena, NULL, NULL, 0);
	vdma_restore_failure(&before);
}
