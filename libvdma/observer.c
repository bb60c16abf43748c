// SPDX-License-Identifier: BSD-3-Clause
#include "observer.h"

#include <stdlib.h>

#include "arena.h"
#include "explain.h"
#include "opts.h"
#include "region.h"

struct vdma_observer {
	TAILQ_ENTRY(vdma_observer) link;
	struct vdma_arena *arena;
	struct vdma_observer_ops ops;
	void *ctx;
};

/* From here on until end(), calls are made. Who has the lock of buffers says so. */
static void begin(struct vdma_arena *arena, bool locked)
{
	if (!locked)
		pthread_mutex_lock(&arena->buf_lock);
	__atomic_store_n(&arena->observing, pthread_self(), __ATOMIC_RELAXED);
}

static void end(struct vdma_arena *arena, bool locked)
{
	__atomic_store_n(&arena->observing, 0, __ATOMIC_RELAXED);
	if (!locked)
		pthread_mutex_unlock(&arena->buf_lock);
}

static int added(const struct vdma_observer *observer, struct vdma_region *region)
{
	return observer->ops.added ? observer->ops.added(observer->ctx, region) : 0;
}

static void removed(const struct vdma_observer *observer, struct vdma_region *region)
{
	if (observer->ops.removed)
		observer->ops.removed(observer->ctx, region);
}

static int refused(const struct vdma_region *region, int err)
{
	struct vdma_facts facts = { .sys_errno = err < 0 ? -err : err, .need = region->buf.len };

	return vdma_fail(VDMA_CAUSE_OBSERVER, &facts,
			 "An observer of the arena refused the region of %s at IOVA 0x%llx: it "
			 "returned %d (%s). Ask the adapter that observes for its reason, or remove "
			 "it (vdma_observer_remove()).",
			 vdma_bytes(region->buf.len).s, (unsigned long long)region->buf.iova, err,
			 vdma_error_words(err).s);
}

static void set_observed(struct vdma_region *region, bool observed)
{
	pthread_mutex_lock(&region->arena->lock);
	region->observed = observed;
	pthread_mutex_unlock(&region->arena->lock);
}

int vdma_observers_added(struct vdma_region *region)
{
	struct vdma_arena *arena = region->arena;
	struct vdma_observer *o;
	int err = 0;

	if (region->observed)
		return 0;
	begin(arena, region->chunk);
	TAILQ_FOREACH(o, &arena->observers, link)
	{
		err = added(o, region);
		if (err)
			break;
	}
	if (err)
		while ((o = TAILQ_PREV(o, vdma_observers, link)))
			removed(o, region);
	else
		set_observed(region, true);
	end(arena, region->chunk);
	return err ? refused(region, err) : 0;
}

void vdma_observers_removed(struct vdma_region *region)
{
	struct vdma_arena *arena = region->arena;
	struct vdma_observer *o;
	bool any;

	pthread_mutex_lock(&arena->lock);
	any = region->observed && !TAILQ_EMPTY(&arena->observers);
	if (!any)
		region->observed = false;
	pthread_mutex_unlock(&arena->lock);
	if (!any)
		return;
	begin(arena, region->chunk);
	TAILQ_FOREACH_REVERSE(o, &arena->observers, vdma_observers, link)
	removed(o, region);
	set_observed(region, false);
	end(arena, region->chunk);
}

/*
 * The regions that observers know of, newest first. They stay, for who destroys one
 * waits for the lock of buffers: somebody is to be told. The arena is locked.
 */
static struct vdma_region **observed(struct vdma_arena *arena, size_t *n)
{
	struct vdma_region **all = malloc((arena->nregions + 1) * sizeof(struct vdma_region *));
	struct vdma_region *region;

	*n = 0;
	LIST_FOREACH(region, &arena->regions, link)
	if (all && region->observed)
		all[(*n)++] = region;
	return all;
}

/* Tells of all that there are, or of none. */
static int catch_up(struct vdma_observer *observer, struct vdma_region *const *all, size_t n)
{
	size_t i = n;
	int err;

	while (i) {
		err = added(observer, all[--i]);
		if (!err)
			continue;
		err = refused(all[i], err);
		while (++i < n)
			removed(observer, all[i]);
		return err;
	}
	return 0;
}

/* The lock of buffers is held. */
static void unlink_observer(struct vdma_observer *observer)
{
	pthread_mutex_lock(&observer->arena->lock);
	TAILQ_REMOVE(&observer->arena->observers, observer, link);
	pthread_mutex_unlock(&observer->arena->lock);
}

int vdma_observer_attach(struct vdma_arena *arena, const struct vdma_observer_ops *ops, void *ctx,
			 struct vdma_observer **out)
{
	struct vdma_observer *observer = calloc(1, sizeof(*observer));
	struct vdma_region **all;
	size_t n;
	int err;

	if (!observer)
		return vdma_fail_malloc(sizeof(*observer));
	observer->arena = arena;
	observer->ops = *ops;
	observer->ctx = ctx;
	begin(arena, false);
	pthread_mutex_lock(&arena->lock);
	all = observed(arena, &n);
	if (all)
		TAILQ_INSERT_TAIL(&arena->observers, observer, link);
	pthread_mutex_unlock(&arena->lock);
	err = all ? catch_up(observer, all, n) : vdma_fail_malloc(sizeof(struct vdma_region *));
	if (all && err)
		unlink_observer(observer);
	end(arena, false);
	free(all);
	if (err)
		free(observer);
	else
		*out = observer;
	return err;
}

void vdma_observer_detach(struct vdma_observer *observer)
{
	pthread_mutex_lock(&observer->arena->buf_lock);
	unlink_observer(observer);
	pthread_mutex_unlock(&observer->arena->buf_lock);
	free(observer);
}

static void count(struct vdma_arena *arena, int by)
{
	pthread_mutex_lock(&arena->lock);
	arena->nobservers += (unsigned int)by;
	pthread_mutex_unlock(&arena->lock);
}

int vdma_observer_add(struct vdma_arena *arena, const struct vdma_observer_ops *ops, void *ctx,
		      struct vdma_observer **out)
{
	struct vdma_observer_ops o;
	int err;

	if (!out || !ops)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "An argument is NULL.");
	err = vdma_arena_check_change(arena);
	if (!err)
		err = vdma_opts_get(&o, sizeof(o), ops, sizeof(o));
	if (!err)
		err = vdma_observer_attach(arena, &o, ctx, out);
	if (!err)
		count(arena, 1);
	return err;
}

int vdma_observer_remove(struct vdma_observer *observer)
{
	struct vdma_region **all;
	struct vdma_arena *arena;
	size_t n, i;
	int err;

	if (!observer)
		return 0;
	arena = observer->arena;
	err = vdma_arena_check_change(arena);
	if (err)
		return err;
	begin(arena, false);
	pthread_mutex_lock(&arena->lock);
	all = observed(arena, &n);
	pthread_mutex_unlock(&arena->lock);
	for (i = 0; i < n; i++)
		removed(observer, all[i]);
	if (all)
		unlink_observer(observer);
	end(arena, false);
	if (!all)
		return vdma_fail_malloc(sizeof(struct vdma_region *));
	free(all);
	free(observer);
	count(arena, -1);
	return 0;
}
