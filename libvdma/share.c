// SPDX-License-Identifier: BSD-3-Clause
#include "share.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "device.h"
#include "explain.h"
#include "ioas.h"
#include "observer.h"
#include "opts.h"
#include "peer.h"
#include "region.h"
#include "sys.h"

#define TIMEOUT_MS 5000

static void part(struct vdma_peer *peer, int err)
{
	vdma_sys_hang_up(peer->fd);
	peer->fd = -1;
	peer->err = err;
}

/* While all is told, for a while; later not at all. */
static int wait_for_room(const struct vdma_peer *peer)
{
	uint64_t now = vdma_sys_now_ns();

	if (now >= peer->deadline)
		return -ETIMEDOUT;
	return vdma_sys_poll_out(peer->fd, (int)((peer->deadline - now) / 1000000) + 1);
}

/* Does not wait: -EAGAIN if there is no room. */
static int send_now(const struct vdma_peer *peer, uint16_t kind, struct vdma_peer_msg *msg,
		    int passed)
{
	bool has_fd;
	size_t len = vdma_peer_size(kind, &has_fd);

	msg->magic = VDMA_PEER_MAGIC;
	msg->version = VDMA_PEER_VERSION;
	msg->kind = kind;
	return vdma_sys_send(peer->fd, msg, len, passed);
}

/* Who cannot be told is parted from. */
static int tell(struct vdma_peer *peer, uint16_t kind, struct vdma_peer_msg *msg, int passed)
{
	int err;

	if (peer->fd < 0)
		return peer->err;
	do {
		err = send_now(peer, kind, msg, passed);
		if (err != -EAGAIN)
			break;
		err = wait_for_room(peer);
	} while (!err);
	if (err)
		part(peer, err);
	return err;
}

static int region_added(void *ctx, struct vdma_region *region)
{
	struct vdma_peer *peer = ctx;
	struct vdma_peer_msg msg = { .region = {
					     .place = region->place,
					     .room = region->room,
					     .len = region->buf.len,
					     .iova = region->buf.iova,
					     .pa = region->buf.pa,
					     .granule = region->memory.granule,
					     .extents = region->memory.extents,
					     .node = region->memory.node,
					     .provider = (uint32_t)region->provider,
					     .access = (uint32_t)region->access,
				     } };

	/*
	 * What has no descriptor cannot be passed on. No region is refused for the sake of
	 * one who is gone.
	 */
	if (region->memory.fd >= 0)
		tell(peer, VDMA_PEER_REGION, &msg, region->memory.fd);
	return 0;
}

static void region_removed(void *ctx, struct vdma_region *region)
{
	struct vdma_peer_msg msg = { .place = region->place };

	if (region->memory.fd >= 0)
		tell(ctx, VDMA_PEER_REGION_GONE, &msg, -1);
}

static struct vdma_peer_msg about(const struct vdma_device *dev)
{
	struct vdma_peer_msg msg = { .kind = 0 };

	memset(&msg.device, 0, sizeof(msg.device));
	memcpy(msg.device.bdf, dev->bdf.s, strlen(dev->bdf.s));
	return msg;
}

static void tell_device(struct vdma_peer *peer, const struct vdma_device *dev, bool there)
{
	struct vdma_peer_msg msg = about(dev);

	if (peer->devices)
		tell(peer, there ? VDMA_PEER_DEVICE : VDMA_PEER_DEVICE_GONE, &msg,
		     there ? dev->fd : -1);
}

/* The arena is locked. */
static void fill_ranges(const struct vdma_arena *arena, struct vdma_peer_msg *msg)
{
	size_t i, n = arena->space.nusable;

	memset(&msg->ranges, 0, sizeof(msg->ranges));
	if (n > VDMA_PEER_RANGES)
		n = VDMA_PEER_RANGES;
	for (i = 0; i < n; i++)
		msg->ranges.range[i] = arena->space.usable[i];
	msg->ranges.n = (uint32_t)n;
	msg->ranges.assumed = arena->assumed;
}

void vdma_share_device(const struct vdma_device *dev, bool there)
{
	struct vdma_arena *arena = dev->ioas->arena;
	struct vdma_peer_msg ranges;
	struct vdma_peer *peer;

	if (!arena->shared)
		return;
	vdma_arena_lock_bufs(arena);
	pthread_mutex_lock(&arena->lock);
	fill_ranges(arena, &ranges);
	pthread_mutex_unlock(&arena->lock);
	LIST_FOREACH(peer, &arena->peers, link)
	{
		tell_device(peer, dev, there);
		tell(peer, VDMA_PEER_RANGES_ARE, &ranges, -1);
	}
	vdma_arena_unlock_bufs(arena);
}

static int hello(struct vdma_peer *peer)
{
	const struct vdma_arena *arena = peer->arena;
	struct vdma_peer_msg msg = { .hello = {
					     .va = arena->window.va,
					     .len = arena->window.len,
					     .physical = arena->slots != NULL,
					     .guard = (uint32_t)arena->guard,
				     } };

	return tell(peer, VDMA_PEER_HELLO, &msg, -1);
}

/* A device that was not told of; the arena is locked, here and below. */
static struct vdma_device *next_untold(const struct vdma_arena *arena)
{
	struct vdma_device *dev;
	unsigned int i;

	for (i = 0; i < VDMA_ARENA_MAX_IOAS; i++) {
		if (!arena->ioas[i])
			continue;
		LIST_FOREACH(dev, &arena->ioas[i]->devices, link)
		if (!dev->told)
			return dev;
	}
	return NULL;
}

static void forget_told(const struct vdma_arena *arena)
{
	struct vdma_device *dev;
	unsigned int i;

	for (i = 0; i < VDMA_ARENA_MAX_IOAS; i++) {
		if (!arena->ioas[i])
			continue;
		LIST_FOREACH(dev, &arena->ioas[i]->devices, link)
		dev->told = false;
	}
}

/*
 * Devices come and go while there is no room in the socket, for the arena is not locked
 * then. So each is found anew, and its descriptor is good for as long as it is sent.
 */
static int tell_devices(struct vdma_peer *peer, struct vdma_peer_msg *ranges)
{
	struct vdma_arena *arena = peer->arena;
	struct vdma_device *dev;
	struct vdma_peer_msg msg;
	int err = 0;

	pthread_mutex_lock(&arena->lock);
	forget_told(arena);
	while (peer->devices && !err && (dev = next_untold(arena))) {
		msg = about(dev);
		err = send_now(peer, VDMA_PEER_DEVICE, &msg, dev->fd);
		dev->told = !err;
		if (err != -EAGAIN)
			continue;
		pthread_mutex_unlock(&arena->lock);
		err = wait_for_room(peer);
		pthread_mutex_lock(&arena->lock);
	}
	fill_ranges(arena, ranges);
	pthread_mutex_unlock(&arena->lock);
	if (err)
		part(peer, err);
	return err;
}

/*
 * The rest, in one step with entering the list: who comes before is told of here, who
 * comes later by the list.
 */
static int enter(struct vdma_peer *peer)
{
	struct vdma_arena *arena = peer->arena;
	struct vdma_peer_msg msg;
	int err;

	pthread_mutex_lock(&arena->buf_lock);
	/* A region may have been one too many. */
	err = peer->err;
	if (!err)
		err = tell_devices(peer, &msg);
	if (!err)
		err = tell(peer, VDMA_PEER_RANGES_ARE, &msg, -1);
	if (!err)
		err = tell(peer, VDMA_PEER_READY, &msg, -1);
	if (!err) {
		LIST_INSERT_HEAD(&arena->peers, peer, link);
		peer->deadline = 0;
	}
	pthread_mutex_unlock(&arena->buf_lock);
	return err;
}

static void forget(struct vdma_peer *peer)
{
	if (peer->observer)
		vdma_observer_detach(peer->observer);
	if (peer->fd >= 0)
		part(peer, 0);
	free(peer);
}

/* One of whom nothing will be heard: parted from, or gone without a word. */
static bool is_gone(const struct vdma_peer *peer)
{
	return peer->fd < 0 || vdma_sys_poll_in(peer->fd, -1, 0) > 0;
}

static void sweep(struct vdma_arena *arena, bool all)
{
	LIST_HEAD(, vdma_peer) gone = LIST_HEAD_INITIALIZER(gone);
	struct vdma_peer *peer, *next;

	pthread_mutex_lock(&arena->buf_lock);
	for (peer = LIST_FIRST(&arena->peers); peer; peer = next) {
		next = LIST_NEXT(peer, link);
		if (!all && !is_gone(peer))
			continue;
		LIST_REMOVE(peer, link);
		LIST_INSERT_HEAD(&gone, peer, link);
	}
	pthread_mutex_unlock(&arena->buf_lock);
	for (peer = LIST_FIRST(&gone); peer; peer = next) {
		next = LIST_NEXT(peer, link);
		forget(peer);
	}
}

void vdma_share_stop(struct vdma_arena *arena)
{
	sweep(arena, true);
}

static int explain(int err, pid_t pid)
{
	struct vdma_facts facts = { .sys_errno = -err, .pid = pid };

	switch (-err) {
	case EPIPE:
	case ECONNRESET:
	case ENOTCONN:
		return vdma_fail(
			VDMA_CAUSE_PARTED, &facts,
			"Nobody is at the other end of the socket (process %d made it): it was "
			"closed, or its process has ended. Start that again.",
			(int)pid);
	case ETIMEDOUT:
		return vdma_fail(
			VDMA_CAUSE_TIMEOUT, &facts,
			"Process %d did not read from the socket in time. Let it call "
			"vdma_arena_join() at the same time, or allow more time (timeout_ms).",
			(int)pid);
	case ETOOMANYREFS:
		return vdma_fail(
			VDMA_CAUSE_FILES, &facts,
			"This user has too many descriptors on their way in sockets: no more "
			"than RLIMIT_NOFILE. Raise it (ulimit -n), or have process %d read.",
			(int)pid);
	}
	return vdma_fail_sys(err, "send to process %d", (int)pid);
}

static int check(const struct vdma_arena *arena, int socket, const struct vdma_share_opts *o,
		 pid_t *pid)
{
	if (!arena->shared)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL,
				 "The arena was created without VDMA_ARENA_SHARED: its memory has no "
				 "descriptors, and its window lies anywhere.");
	if (o->flags & ~VDMA_SHARE_DEVICES)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "There are no flags 0x%x of sharing.",
				 o->flags & ~VDMA_SHARE_DEVICES);
	return vdma_peer_of(socket, pid);
}

int vdma_arena_share(struct vdma_arena *arena, int socket, const struct vdma_share_opts *opts)
{
	static const struct vdma_observer_ops ops = {
		.size = sizeof(ops),
		.added = region_added,
		.removed = region_removed,
	};
	struct vdma_share_opts o;
	struct vdma_peer *peer;
	int err;

	err = vdma_arena_check_own(arena);
	if (!err)
		err = vdma_opts_get(&o, sizeof(o), opts, sizeof(o));
	if (err)
		return err;
	peer = calloc(1, sizeof(*peer));
	if (!peer)
		return vdma_fail_malloc(sizeof(*peer));
	peer->fd = -1;
	err = check(arena, socket, &o, &peer->pid);
	if (err)
		goto free_peer;
	peer->fd = vdma_sys_dup(socket);
	if (peer->fd < 0) {
		err = vdma_fail_sys(peer->fd, "duplicate descriptor %d", socket);
		goto free_peer;
	}
	sweep(arena, false);
	peer->arena = arena;
	peer->devices = o.flags & VDMA_SHARE_DEVICES;
	peer->deadline =
		vdma_sys_now_ns() + (uint64_t)(o.timeout_ms ? o.timeout_ms : TIMEOUT_MS) * 1000000;
	err = hello(peer);
	if (err) {
		err = explain(err, peer->pid);
		goto forget;
	}
	err = vdma_observer_attach(arena, &ops, peer, &peer->observer);
	if (err)
		goto forget;
	err = enter(peer);
	if (!err)
		return 0;
	err = explain(err, peer->pid);
forget:
	forget(peer);
	return err;
free_peer:
	free(peer);
	return err;
}
