// SPDX-License-Identifier: BSD-3-Clause
/*
 * An observer that keeps DPDK's tables of memory in step with an arena, and the regions of
 * a heap of rte_malloc.
 *
 * Who maps what for ports (DPDK 22.11, lib/eal/linux/eal_vfio.c): all ports on VFIO have
 * one container. DPDK maps each page of a heap itself, when the first port is probed and,
 * unless it runs in its legacy mode, when memory is added; of the latter it ignores the
 * outcome. In legacy mode, and for memory that is no heap's, we do it, a mapping for each
 * region. What DPDK maps itself we must not map besides: unmapping would go wrong, whichever
 * comes first.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_memory.h>
#include <rte_vfio.h>
#include <vdma/dpdk.h>
#include <vdma/observer.h>

#include "explain.h"
#include "opts.h"

/* DPDK counts bits of a page's size in 32. */
#define MAX_PAGE ((size_t)1 << 30)
#define HEAP_UNIT ((size_t)2 << 20)
#define NAME_LEN 32 /* RTE_HEAP_NAME_MAX_LEN */

/* A region that DPDK knows of. */
struct known {
	LIST_ENTRY(known) link;
	struct vdma_region *region;
	struct vdma_buf buf;
	bool heap;
	bool out;     /* the heap has it no more */
	bool leaving; /* a thread is about to destroy it, and frees this then */
	bool mapped;  /* by us */
	bool stale;   /* it is gone, and could not be unmapped */
};

/* A thread that grows the heap: the region that it creates is the heap's. */
struct grower {
	LIST_ENTRY(grower) link;
	pthread_t thread;
	bool refused;
	struct vdma_kept why;
};

struct vdma_dpdk {
	struct vdma_arena *arena;
	struct vdma_observer *observer;
	char name[NAME_LEN];
	int socket;
	bool follows; /* DPDK maps and unmaps the heap's memory */

	/* Taken inside of observers: with it held, nothing changes the arena or looks into it. */
	pthread_mutex_t lock; /* guards what follows */
	LIST_HEAD(, known) known;
	LIST_HEAD(, grower) growers;
	struct vdma_kept why; /* the last region was refused; zeros if none was */
};

static int check(const struct vdma_dpdk *dpdk)
{
	struct vdma_arena_info info = { .size = sizeof(info) };

	if (!dpdk)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "An argument is NULL.");
	return vdma_arena_query(dpdk->arena, &info);
}

static int unmappable(const struct vdma_buf *buf, int err)
{
	struct vdma_facts facts = { .sys_errno = err, .need = buf->len };

	if (err == ENOMEM)
		return vdma_fail(VDMA_CAUSE_TOO_MANY, &facts,
				 "DPDK has no room for the mapping of %s at IOVA 0x%llx: it keeps 256 "
				 "for memory that is not its own. Use fewer, larger regions.",
				 vdma_bytes(buf->len).s, (unsigned long long)buf->iova);
	return vdma_fail(
		VDMA_CAUSE_SYSTEM, &facts,
		"DPDK could not map %s at IOVA 0x%llx for its ports on VFIO. Its log has the "
		"kernel's answer. ENOMEM: RLIMIT_MEMLOCK. " VDMA_MEMLOCK_REMEDY ". ENOSPC: "
		"/sys/module/vfio_iommu_type1/parameters/dma_entry_limit. EINVAL: no port is "
		"left, or their IOMMU does not reach there: create the arena without a base of "
		"its own.",
		vdma_bytes(buf->len).s, (unsigned long long)buf->iova);
}

/* It stays unmapped if there was no port on VFIO yet. */
static int map(struct known *known)
{
	const struct vdma_buf *buf = &known->buf;

	if (known->mapped)
		return 0;
	rte_errno = 0;
	known->mapped = !rte_vfio_container_dma_map(RTE_VFIO_DEFAULT_CONTAINER_FD,
						    (uintptr_t)buf->va, buf->iova, buf->len);
	return known->mapped || rte_errno == ENODEV ? 0 : unmappable(buf, rte_errno);
}

/*
 * Without a port the kernel refuses, and DPDK then goes by an error number that it does not
 * set itself: with another one it would keep the mapping, for the ports that come.
 */
static bool unmap(struct known *known)
{
	const struct vdma_buf *buf = &known->buf;

	rte_errno = ENODEV;
	if (known->mapped)
		known->mapped = rte_vfio_container_dma_unmap(RTE_VFIO_DEFAULT_CONTAINER_FD,
							     (uintptr_t)buf->va, buf->iova,
							     buf->len);
	return !known->mapped;
}

/* The largest page that it can be made of; virtual and device addresses are the same. */
static size_t page_of(const struct vdma_buf *buf)
{
	size_t all = (uintptr_t)buf->va | buf->len | MAX_PAGE;

	return all & -all;
}

static int unlisted(const struct vdma_buf *buf, int err)
{
	struct vdma_facts facts = { .sys_errno = err, .need = buf->len };

	if (err == ENOSPC)
		return vdma_fail(
			VDMA_CAUSE_TOO_MANY, &facts,
			"DPDK has no room for another range of memory, of %s: it has %d lists, "
			"one for each. Use fewer, larger regions, or an arena that is DPDK's "
			"alone.",
			vdma_bytes(buf->len).s, RTE_MAX_MEMSEG_LISTS);
	if (err == EEXIST)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, &facts,
				 "DPDK has the memory of %s at %p in its tables already. Is there "
				 "another vdma_dpdk_create() for this arena?",
				 vdma_bytes(buf->len).s, buf->va);
	return vdma_fail_sys(-err, "DPDK's tables for %s of memory at %p", vdma_bytes(buf->len).s,
			     buf->va);
}

/* Into DPDK's tables, with the device address of each page. */
static int list(const struct vdma_dpdk *dpdk, const struct known *known)
{
	const struct vdma_buf *buf = &known->buf;
	size_t page = page_of(buf), n = buf->len / page, i;
	rte_iova_t *iovas = malloc(n * sizeof(*iovas));
	int err;

	if (!iovas)
		return vdma_fail_malloc(n * sizeof(*iovas));
	for (i = 0; i < n; i++)
		iovas[i] = buf->iova + i * page;
	rte_errno = 0;
	if (known->heap)
		err = rte_malloc_heap_memory_add(dpdk->name, buf->va, buf->len, iovas,
						 (unsigned int)n, page);
	else
		err = rte_extmem_register(buf->va, buf->len, iovas, (unsigned int)n, page);
	free(iovas);
	return err ? unlisted(buf, rte_errno) : 0;
}

/* A range that is still mapped for what was there is no other region's. */
static int check_stale(const struct vdma_dpdk *dpdk, const struct vdma_buf *buf)
{
	const struct known *known;

	LIST_FOREACH(known, &dpdk->known, link)
	if (known->stale && buf->iova < known->buf.iova + known->buf.len &&
	    known->buf.iova < buf->iova + buf->len)
		return vdma_fail(VDMA_CAUSE_SYSTEM, NULL,
				 "DPDK did not unmap what was at IOVA 0x%llx before, so its ports "
				 "would use that in place of a region there. Close the ports.",
				 (unsigned long long)known->buf.iova);
	return 0;
}

/* Mapped first, for once it is the heap's anybody may allocate there. */
static int add(const struct vdma_dpdk *dpdk, struct known *known)
{
	int err = check_stale(dpdk, &known->buf);

	if (!err)
		err = map(known);
	/* A trial, where DPDK does it and tells nobody how it went. */
	if (!err && known->heap && dpdk->follows && !unmap(known))
		err = unmappable(&known->buf, EIO);
	if (err)
		return err;
	err = list(dpdk, known);
	if (err)
		unmap(known);
	return err;
}

/* One that could not be unmapped again: its memory goes, its addresses stay taken. */
static void keep_stale(struct vdma_dpdk *dpdk, struct known *known)
{
	known->region = NULL;
	known->stale = true;
	LIST_INSERT_HEAD(&dpdk->known, known, link);
}

static struct grower *this_thread(const struct vdma_dpdk *dpdk)
{
	struct grower *grower;

	LIST_FOREACH(grower, &dpdk->growers, link)
	if (pthread_equal(grower->thread, pthread_self()))
		break;
	return grower;
}

static int added(void *ctx, struct vdma_region *region)
{
	struct vdma_region_info info = { .size = sizeof(info) };
	struct vdma_dpdk *dpdk = ctx;
	struct grower *grower;
	struct known *known;
	int err;

	err = vdma_region_query(region, &info);
	/* DPDK lets its ports read and write whatever they have. */
	if (err || info.access != VDMA_ACCESS_BOTH)
		return err;
	known = calloc(1, sizeof(*known));
	pthread_mutex_lock(&dpdk->lock);
	grower = this_thread(dpdk);
	if (known) {
		known->region = region;
		known->buf = vdma_region_buf(region);
		known->heap = grower;
		err = add(dpdk, known);
	} else {
		err = vdma_fail_malloc(sizeof(*known));
	}
	if (!err) {
		LIST_INSERT_HEAD(&dpdk->known, known, link);
	} else {
		if (known && known->mapped)
			keep_stale(dpdk, known);
		else
			free(known);
		vdma_keep_failure(&dpdk->why);
		if (grower) {
			grower->refused = true;
			grower->why = dpdk->why;
		}
	}
	pthread_mutex_unlock(&dpdk->lock);
	return err;
}

/* Out of the heap; -1 and rte_errno if something is in it. */
static int take_out(const struct vdma_dpdk *dpdk, struct known *known)
{
	if (!known->out && rte_malloc_heap_memory_remove(dpdk->name, known->buf.va, known->buf.len))
		return -1;
	known->out = true;
	return 0;
}

static void forget(struct known *known)
{
	known->region = NULL;
	if (known->stale)
		return;
	LIST_REMOVE(known, link);
	free(known);
}

/* Its memory goes whatever happens here. */
static void removed(void *ctx, struct vdma_region *region)
{
	struct vdma_dpdk *dpdk = ctx;
	struct known *known;

	pthread_mutex_lock(&dpdk->lock);
	LIST_FOREACH(known, &dpdk->known, link)
	if (known->region == region)
		break;
	if (known) {
		if (known->heap)
			take_out(dpdk, known);
		else
			rte_extmem_unregister(known->buf.va, known->buf.len);
		/* If the first port came after it, DPDK mapped it, and can undo only what it was told. */
		if (known->heap && !dpdk->follows)
			map(known);
		known->stale = !unmap(known);
		if (!known->leaving)
			forget(known);
	}
	pthread_mutex_unlock(&dpdk->lock);
}

static int check_arena(struct vdma_arena *arena)
{
	struct vdma_arena_info info = { .size = sizeof(info) };
	int err = vdma_arena_query(arena, &info);

	if (err || info.flags & VDMA_ARENA_IDENTITY)
		return err;
	return vdma_fail(VDMA_CAUSE_TRANSLATION, NULL,
			 "DPDK takes virtual addresses for device addresses, and those of this arena "
			 "are others. Create it with VDMA_ARENA_IDENTITY.");
}

static int check_dpdk(void)
{
	if (rte_eal_process_type() != RTE_PROC_PRIMARY)
		return vdma_fail(VDMA_CAUSE_UNSUPPORTED, NULL,
				 "This is a secondary process of DPDK. Only the primary one can have "
				 "an arena's memory.");
	if (rte_eal_iova_mode() == RTE_IOVA_VA)
		return 0;
	return vdma_fail(VDMA_CAUSE_TRANSLATION, NULL,
			 "DPDK %s. Start it with --iova-mode=va, and its ports behind an IOMMU.",
			 rte_eal_iova_mode() == RTE_IOVA_PA ?
				 "takes physical addresses for device addresses" :
				 "is not initialized: call rte_eal_init() first");
}

static int no_heap(const char *name, int err)
{
	struct vdma_facts facts = { .sys_errno = err };

	switch (err) {
	case EEXIST:
		return vdma_fail(VDMA_CAUSE_ARGUMENT, &facts,
				 "DPDK has a heap \"%s\" already. Choose another name (struct "
				 "vdma_dpdk_opts).",
				 name);
	case ENOSPC:
		return vdma_fail(
			VDMA_CAUSE_TOO_MANY, &facts,
			"DPDK has no room for another heap: it has %d at most, one of them for "
			"each NUMA node. Destroy some.",
			RTE_MAX_HEAPS);
	}
	return vdma_fail_sys(-err, "DPDK's heap \"%s\"", name);
}

static void nothing(enum rte_mem_event event, const void *addr, size_t len, void *arg)
{
	(void)event;
	(void)addr;
	(void)len;
	(void)arg;
}

/* Who can be told of memory as it comes and goes, is; DPDK's own part for VFIO, too. */
static bool can_follow(const struct vdma_dpdk *dpdk)
{
	char name[NAME_LEN];

	snprintf(name, sizeof(name), "vdma %p", (const void *)dpdk);
	if (rte_mem_event_callback_register(name, nothing, NULL))
		return false;
	rte_mem_event_callback_unregister(name, NULL);
	return true;
}

static int start(struct vdma_dpdk *dpdk)
{
	static const struct vdma_observer_ops ops = {
		.size = sizeof(ops),
		.added = added,
		.removed = removed,
	};
	int err;

	rte_errno = 0;
	if (rte_malloc_heap_create(dpdk->name))
		return no_heap(dpdk->name, rte_errno);
	dpdk->socket = rte_malloc_heap_get_socket(dpdk->name);
	dpdk->follows = can_follow(dpdk);
	err = vdma_observer_add(dpdk->arena, &ops, dpdk, &dpdk->observer);
	if (!err)
		return 0;
	rte_malloc_heap_destroy(dpdk->name);
	if (!dpdk->why.last.err)
		return err;
	vdma_restore_failure(&dpdk->why);
	return dpdk->why.last.err;
}

int vdma_dpdk_create(struct vdma_arena *arena, const struct vdma_dpdk_opts *opts,
		     struct vdma_dpdk **out)
{
	struct vdma_dpdk_opts o;
	struct vdma_dpdk *dpdk;
	const char *name;
	int err;

	if (!out)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "An argument is NULL.");
	err = vdma_opts_get(&o, sizeof(o), opts, sizeof(o));
	if (!err)
		err = check_arena(arena);
	if (!err)
		err = check_dpdk();
	if (err)
		return err;
	name = o.name ? o.name : "vdma";
	if (!*name || strlen(name) >= NAME_LEN)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL,
				 "\"%s\" is no name of a heap: that has 1 to %d characters.", name,
				 NAME_LEN - 1);
	dpdk = calloc(1, sizeof(*dpdk));
	if (!dpdk)
		return vdma_fail_malloc(sizeof(*dpdk));
	dpdk->arena = arena;
	snprintf(dpdk->name, sizeof(dpdk->name), "%s", name);
	LIST_INIT(&dpdk->known);
	LIST_INIT(&dpdk->growers);
	pthread_mutex_init(&dpdk->lock, NULL);
	err = start(dpdk);
	if (err) {
		pthread_mutex_destroy(&dpdk->lock);
		free(dpdk);
		return err;
	}
	*out = dpdk;
	return 0;
}

/* In whole pages of 2 MiB, of which DPDK then need not make smaller ones. */
static int check_grow(size_t *len, const struct vdma_region_opts *o)
{
	if (o->access != VDMA_ACCESS_BOTH)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL,
				 "DPDK's ports read and write the heap's memory: its access is "
				 "VDMA_ACCESS_BOTH.");
	if (*len && *len <= SIZE_MAX - HEAP_UNIT)
		*len = (*len + HEAP_UNIT - 1) & ~(HEAP_UNIT - 1);
	return 0;
}

int vdma_dpdk_grow(struct vdma_dpdk *dpdk, size_t len, const struct vdma_region_opts *opts,
		   struct vdma_buf *buf)
{
	struct grower grower = { .thread = pthread_self() };
	struct vdma_region_opts o;
	struct vdma_region *region;
	int err;

	err = check(dpdk);
	if (!err)
		err = vdma_opts_get(&o, sizeof(o), opts, sizeof(o.size));
	if (!err)
		err = check_grow(&len, &o);
	if (err)
		return err;
	pthread_mutex_lock(&dpdk->lock);
	LIST_INSERT_HEAD(&dpdk->growers, &grower, link);
	pthread_mutex_unlock(&dpdk->lock);
	o.size = sizeof(o);
	err = vdma_region_create(dpdk->arena, len, &o, &region);
	pthread_mutex_lock(&dpdk->lock);
	LIST_REMOVE(&grower, link);
	pthread_mutex_unlock(&dpdk->lock);
	if (err && grower.refused) {
		vdma_restore_failure(&grower.why);
		return grower.why.last.err;
	}
	if (!err && buf)
		*buf = vdma_region_buf(region);
	return err;
}

static int busy(const struct vdma_dpdk *dpdk, const struct known *known)
{
	struct rte_malloc_socket_stats stats = { 0 };

	rte_malloc_get_socket_stats(dpdk->socket, &stats);
	return vdma_fail(VDMA_CAUSE_CHILDREN,
			 &(struct vdma_facts){ .need = known->buf.len,
					       .used = stats.heap_allocsz_bytes },
			 "DPDK has something in the %s at %p: of its heap \"%s\", %u objects of %s "
			 "are allocated. Free pools, queues and other objects that lie there first "
			 "(rte_mempool_free(), rte_eth_dev_close(), rte_free()).",
			 vdma_bytes(known->buf.len).s, known->buf.va, dpdk->name, stats.alloc_count,
			 vdma_bytes(stats.heap_allocsz_bytes).s);
}

/* A region of the heap, which nobody else destroys at the same time. */
static int destroy(struct vdma_dpdk *dpdk, struct known *known)
{
	int err;

	known->leaving = true;
	pthread_mutex_unlock(&dpdk->lock);
	err = vdma_region_destroy(known->region);
	pthread_mutex_lock(&dpdk->lock);
	known->leaving = false;
	if (!err)
		forget(known);
	return err;
}

/* The heap's that begins at @va, or any if that is NULL; the lock is held. */
static struct known *find(const struct vdma_dpdk *dpdk, const void *va)
{
	struct known *known;

	LIST_FOREACH(known, &dpdk->known, link)
	if (known->heap && known->region && !known->leaving && (!va || known->buf.va == va))
		break;
	return known;
}

int vdma_dpdk_shrink(struct vdma_dpdk *dpdk, const void *va)
{
	struct known *known;
	int err = check(dpdk);

	if (err)
		return err;
	pthread_mutex_lock(&dpdk->lock);
	known = va ? find(dpdk, va) : NULL;
	if (!known)
		err = vdma_fail(VDMA_CAUSE_ARGUMENT, NULL,
				"No region of DPDK's heap \"%s\" begins at %p. Give it back where "
				"vdma_dpdk_grow() said that it begins.",
				dpdk->name, va);
	else
		err = take_out(dpdk, known) ? busy(dpdk, known) : destroy(dpdk, known);
	pthread_mutex_unlock(&dpdk->lock);
	return err;
}

/* What could not be unmapped, once more. */
static int unmap_stale(const struct vdma_dpdk *dpdk)
{
	struct known *known;

	LIST_FOREACH(known, &dpdk->known, link)
	if (!unmap(known))
		return vdma_fail(VDMA_CAUSE_SYSTEM, &(struct vdma_facts){ .need = known->buf.len },
				 "DPDK does not unmap %s at IOVA 0x%llx, of a region that is gone, so "
				 "its ports still reach that memory. Close them, and call again.",
				 vdma_bytes(known->buf.len).s, (unsigned long long)known->buf.iova);
	return 0;
}

int vdma_dpdk_destroy(struct vdma_dpdk *dpdk)
{
	struct known *known;
	int err;

	if (!dpdk)
		return 0;
	err = check(dpdk);
	if (err)
		return err;
	pthread_mutex_lock(&dpdk->lock);
	while (!err && (known = find(dpdk, NULL)))
		err = take_out(dpdk, known) ? busy(dpdk, known) : destroy(dpdk, known);
	pthread_mutex_unlock(&dpdk->lock);
	if (!err && dpdk->observer) {
		err = vdma_observer_remove(dpdk->observer);
		if (!err)
			dpdk->observer = NULL;
	}
	if (!err)
		err = unmap_stale(dpdk);
	if (err)
		return err;
	while ((known = LIST_FIRST(&dpdk->known))) {
		LIST_REMOVE(known, link);
		free(known);
	}
	rte_malloc_heap_destroy(dpdk->name);
	pthread_mutex_destroy(&dpdk->lock);
	free(dpdk);
	return 0;
}

/* Do we map it? */
static bool is_ours(const struct vdma_dpdk *dpdk, const struct known *known)
{
	return !known->stale && !known->out && !(known->heap && dpdk->follows);
}

int vdma_dpdk_map(struct vdma_dpdk *dpdk)
{
	struct known *known;
	int err = check(dpdk);

	if (err)
		return err;
	pthread_mutex_lock(&dpdk->lock);
	LIST_FOREACH(known, &dpdk->known, link)
	if (!err && is_ours(dpdk, known))
		err = map(known);
	pthread_mutex_unlock(&dpdk->lock);
	return err;
}

int vdma_dpdk_socket(const struct vdma_dpdk *dpdk)
{
	return dpdk->socket;
}

int vdma_dpdk_query(struct vdma_dpdk *dpdk, struct vdma_dpdk_info *info)
{
	struct rte_malloc_socket_stats stats = { 0 };
	struct vdma_dpdk_info now = { .size = 0 };
	const struct known *known;
	int err = check(dpdk);

	if (!err)
		err = vdma_info_check(info, sizeof(*info));
	if (err)
		return err;
	now.socket = dpdk->socket;
	now.follows = dpdk->follows;
	rte_malloc_get_socket_stats(dpdk->socket, &stats);
	now.heap_used = stats.heap_allocsz_bytes;
	pthread_mutex_lock(&dpdk->lock);
	LIST_FOREACH(known, &dpdk->known, link)
	{
		if (known->stale || known->out)
			continue;
		now.unmapped += is_ours(dpdk, known) && !known->mapped;
		now.regions += !known->heap;
		now.heap_regions += known->heap;
		now.heap_bytes += known->heap ? known->buf.len : 0;
	}
	snprintf(now.refused, sizeof(now.refused), "%.511s", dpdk->why.words);
	pthread_mutex_unlock(&dpdk->lock);
	vdma_info_put(info, &now, sizeof(now));
	return 0;
}
