// SPDX-License-Identifier: BSD-3-Clause
#include "join.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "arena.h"
#include "explain.h"
#include "observer.h"
#include "opts.h"
#include "peer.h"
#include "region.h"
#include "reserve.h"
#include "sys.h"

#define GIB (UINT64_C(1) << 30)
#define MAX_WINDOW (UINT64_C(1) << 46)
#define PAGE UINT64_C(4096)
#define TIMEOUT_MS 5000

/* A device of the creator's, held open. */
struct device {
	LIST_ENTRY(device) link;
	char bdf[16];
	int fd;
};

struct vdma_joined {
	int fd;
	pid_t pid;
	pthread_mutex_t lock; /* one takes in at a time; before the arena's locks */
	bool ready;	      /* all that there was is told */
	LIST_HEAD(, device) devices;
};

/* A message with its descriptor, which whoever takes it sets to -1. */
struct message {
	struct vdma_peer_msg msg;
	int fd;
};

static int parted(pid_t pid, bool ready)
{
	return vdma_fail(
		VDMA_CAUSE_PARTED, &(struct vdma_facts){ .pid = pid },
		ready ? "The arena's creator, process %d, has ended, or has parted from this one, which "
			"did not take messages in for too long. What is mapped stays; nothing new will "
			"be. Leave the arena (vdma_arena_destroy()), and join anew if it is there." :
			"The arena's creator, process %d, has ended or given up before it had told all. "
			"Connect to it again.",
		(int)pid);
}

/* -EAGAIN, without a word, if there is none. */
static int receive(int socket, pid_t pid, bool ready, struct message *m)
{
	int fds[2];
	unsigned int n = 0;
	ssize_t len = vdma_sys_receive(socket, &m->msg, sizeof(m->msg), fds, &n);
	int err = 0;

	m->fd = -1;
	if (!len)
		while (n)
			vdma_sys_close(fds[--n]);
	if (!len || len == -ECONNRESET)
		return parted(pid, ready);
	if (len < 0)
		return len == -EAGAIN ? -EAGAIN : vdma_fail_sys((int)len, "receive from an arena");
	err = vdma_peer_check(&m->msg, (size_t)len, n);
	if (!err && n)
		m->fd = fds[0];
	while (err && n)
		vdma_sys_close(fds[--n]);
	return err;
}

/* The same, but waits for it. */
static int await(int socket, pid_t pid, uint64_t deadline, struct message *m)
{
	for (;;) {
		uint64_t now = vdma_sys_now_ns();
		int err = receive(socket, pid, false, m);

		if (err != -EAGAIN)
			return err;
		if (now >= deadline)
			return vdma_fail(VDMA_CAUSE_TIMEOUT, &(struct vdma_facts){ .pid = pid },
					 "Process %d does not let this one join: it has not called "
					 "vdma_arena_share() for the other end of the socket, or not "
					 "in time.",
					 (int)pid);
		err = vdma_sys_poll_in(socket, -1, (int)((deadline - now) / 1000000) + 1);
		if (err < 0 && err != -EINTR)
			return vdma_fail_sys(err, "wait for an arena");
	}
}

static int senseless(const char *what)
{
	return vdma_fail(VDMA_CAUSE_PROTOCOL, NULL,
			 "What the arena's creator sent makes no sense: %s. Is it a program with the "
			 "same release of libvdma?",
			 what);
}

static struct vdma_region *find(const struct vdma_arena *arena, uint64_t place)
{
	struct vdma_region *region;

	LIST_FOREACH(region, &arena->regions, link)
	if (region->place == place)
		break;
	return region;
}

static int check_region(const struct vdma_arena *arena, const struct vdma_peer_region *r, int fd)
{
	const struct vdma_region *other;
	uint64_t size = 0;
	int err;

	if (!r->len || r->len % PAGE || r->place % PAGE || r->room < r->len ||
	    r->place >= arena->window.len || r->room > arena->window.len - r->place)
		return senseless("a region lies outside of the window");
	if (arena->slots ? r->place % (1 << VDMA_SLOT_SHIFT) || r->iova % PAGE :
			   r->iova != r->place)
		return senseless("a region has another device address");
	if (!r->granule || r->granule & (r->granule - 1) || r->granule > r->len)
		return senseless("a region's pages are none");
	LIST_FOREACH(other, &arena->regions, link)
	if (r->place < other->place + other->room && other->place < r->place + r->room)
		return senseless("a region lies over another one");
	err = vdma_sys_file_size(fd, &size);
	if (err)
		return vdma_fail_sys(err, "size of a region that is joined");
	if (size < r->len)
		return senseless("a region's memory is too short");
	return 0;
}

static int map(struct vdma_region *region)
{
	const struct vdma_buf *buf = &region->buf;
	int err = vdma_reserve_fill(buf->va, buf->len, MAP_SHARED, region->memory.fd,
				    &region->memory.lost);

	if (!err) {
		err = vdma_sys_madvise(buf->va, buf->len, MADV_DONTFORK);
		if (err)
			vdma_reserve_restore(buf->va, buf->len);
	}
	if (err)
		return vdma_fail_sys(err, "map %s that were joined, at %p", vdma_bytes(buf->len).s,
				     buf->va);
	/* The pages are there; only this process's tables may not have them yet. */
	vdma_sys_madvise(buf->va, buf->len, MADV_POPULATE_WRITE);
	return 0;
}

static void list(struct vdma_region *region)
{
	struct vdma_arena *arena = region->arena;

	if (arena->slots)
		vdma_arena_publish(arena, region->place, region->room,
				   (uintptr_t)region->buf.va - region->buf.iova);
	region->observed = TAILQ_EMPTY(&arena->observers);
	LIST_INSERT_HEAD(&arena->regions, region, link);
	arena->nregions++;
	arena->bytes += region->buf.len;
	vdma_stats_region_created(region);
}

/* Takes it out again, and gives its memory back. */
static int drop(struct vdma_region *region)
{
	struct vdma_arena *arena = region->arena;
	int err;

	pthread_mutex_lock(&arena->lock);
	if (arena->slots)
		vdma_arena_publish(arena, region->place, region->room, 0);
	LIST_REMOVE(region, link);
	arena->nregions--;
	arena->bytes -= region->buf.len;
	vdma_stats_region_destroyed(region);
	/* One that stays is replaced by the next region that lies there. */
	err = vdma_reserve_restore(region->buf.va, region->buf.len);
	pthread_mutex_unlock(&arena->lock);
	if (err)
		err = vdma_fail_sys(err, "unmap %s at %p", vdma_bytes(region->buf.len).s,
				    region->buf.va);
	vdma_region_free(region);
	return err;
}

static int take_region(struct vdma_arena *arena, struct message *m)
{
	const struct vdma_peer_region *r = &m->msg.region;
	struct vdma_region *region;
	struct vdma_kept why;
	int err;

	region = calloc(1, sizeof(*region));
	if (!region)
		return vdma_fail_malloc(sizeof(*region));
	region->arena = arena;
	region->buf = (struct vdma_buf){
		.va = vdma_arena_at(arena, r->place),
		.len = r->len,
		.iova = r->iova,
		.pa = r->pa,
	};
	region->place = r->place;
	region->room = r->room;
	region->provider = (enum vdma_provider)r->provider;
	region->access = (enum vdma_access)r->access;
	region->memory = (struct vdma_memory){
		.pa = r->pa,
		.extents = r->extents,
		.granule = r->granule,
		.node = r->node,
		.fd = m->fd,
	};
	m->fd = -1;
	pthread_mutex_lock(&arena->lock);
	err = check_region(arena, r, region->memory.fd);
	if (!err)
		err = map(region);
	if (!err)
		list(region);
	/* The mapping holds the memory by itself. */
	vdma_sys_close(region->memory.fd);
	region->memory.fd = -1;
	pthread_mutex_unlock(&arena->lock);
	if (err) {
		vdma_region_free(region);
		return err;
	}
	err = vdma_observers_added(region);
	if (err) {
		vdma_keep_failure(&why);
		drop(region);
		vdma_restore_failure(&why);
	}
	return err;
}

static int drop_region(struct vdma_arena *arena, uint64_t place)
{
	struct vdma_region *region;

	pthread_mutex_lock(&arena->lock);
	region = find(arena, place);
	pthread_mutex_unlock(&arena->lock);
	/* None if it could not be taken in. */
	if (!region)
		return 0;
	vdma_observers_removed(region);
	return drop(region);
}

static struct device *find_device(const struct vdma_joined *joined, const char *bdf)
{
	struct device *dev;

	LIST_FOREACH(dev, &joined->devices, link)
	if (!strcmp(dev->bdf, bdf))
		break;
	return dev;
}

static void drop_device(struct device *dev)
{
	if (!dev)
		return;
	LIST_REMOVE(dev, link);
	vdma_sys_close(dev->fd);
	free(dev);
}

static int take_device(struct vdma_joined *joined, struct message *m)
{
	struct device *dev = calloc(1, sizeof(*dev));

	if (!dev)
		return vdma_fail_malloc(sizeof(*dev));
	/* Told twice if it was opened at the same time. */
	drop_device(find_device(joined, m->msg.device.bdf));
	memcpy(dev->bdf, m->msg.device.bdf, sizeof(dev->bdf));
	dev->fd = m->fd;
	m->fd = -1;
	LIST_INSERT_HEAD(&joined->devices, dev, link);
	return 0;
}

static int take_ranges(struct vdma_arena *arena, const struct vdma_peer_ranges *r)
{
	int err;

	if (!r->n || r->range[r->n - 1].last >= arena->window.len)
		return senseless("the ranges lie outside of the window");
	pthread_mutex_lock(&arena->lock);
	err = vdma_iova_set_usable(&arena->space, r->range, r->n);
	if (!err)
		arena->assumed = r->assumed;
	pthread_mutex_unlock(&arena->lock);
	return err ? vdma_fail_malloc(sizeof(*r)) : 0;
}

static int take(struct vdma_arena *arena, struct message *m)
{
	switch (m->msg.kind) {
	case VDMA_PEER_REGION: return take_region(arena, m);
	case VDMA_PEER_REGION_GONE: return drop_region(arena, m->msg.place);
	case VDMA_PEER_DEVICE: return take_device(arena->joined, m);
	case VDMA_PEER_DEVICE_GONE:
		drop_device(find_device(arena->joined, m->msg.device.bdf));
		return 0;
	case VDMA_PEER_RANGES_ARE: return take_ranges(arena, &m->msg.ranges);
	case VDMA_PEER_READY: arena->joined->ready = true; return 0;
	}
	return senseless("it begins anew");
}

/* Takes a message in, or gives its descriptor back. */
static int take_and_close(struct vdma_arena *arena, struct message *m)
{
	int err = take(arena, m);

	if (m->fd >= 0)
		vdma_sys_close(m->fd);
	return err;
}

static int check_hello(const struct vdma_peer_msg *msg)
{
	const struct vdma_peer_hello *h = &msg->hello;

	if (msg->kind != VDMA_PEER_HELLO)
		return senseless("it does not begin with where the window lies");
	if (!h->va || h->va % GIB || !h->len || h->len % GIB || h->len > MAX_WINDOW ||
	    h->va > UINTPTR_MAX - h->len || h->physical > 1 || h->guard % PAGE)
		return senseless("there is no such window");
	return 0;
}

/* An empty arena where the creator has it. */
static int make(struct message *m, int fd, pid_t pid, struct vdma_arena **out)
{
	const struct vdma_peer_hello *h = &m->msg.hello;
	struct vdma_arena_opts o = {
		.size = sizeof(o),
		.window = h->len,
		.translation = h->physical ? VDMA_TRANSLATION_PHYSICAL : VDMA_TRANSLATION_LINEAR,
		.flags = VDMA_ARENA_SHARED,
		.base = h->va,
	};
	struct vdma_joined *joined;
	int err = check_hello(&m->msg);

	/* Only what is no HELLO can have one. */
	if (m->fd >= 0)
		vdma_sys_close(m->fd);
	if (err)
		return err;
	joined = calloc(1, sizeof(*joined));
	if (!joined)
		return vdma_fail_malloc(sizeof(*joined));
	err = vdma_arena_make(&o, out);
	if (err) {
		free(joined);
		return err;
	}
	joined->fd = fd;
	joined->pid = pid;
	LIST_INIT(&joined->devices);
	pthread_mutex_init(&joined->lock, NULL);
	(*out)->joined = joined;
	(*out)->guard = h->guard;
	return 0;
}

static int join(int fd, pid_t pid, uint64_t deadline, struct vdma_arena **out)
{
	struct vdma_arena *arena;
	struct vdma_kept why;
	struct message m;
	int err;

	err = await(fd, pid, deadline, &m);
	if (!err)
		err = make(&m, fd, pid, &arena);
	if (err) {
		vdma_sys_hang_up(fd);
		return err;
	}
	while (!err && !arena->joined->ready) {
		err = await(fd, pid, deadline, &m);
		if (!err)
			err = take_and_close(arena, &m);
	}
	if (err) {
		vdma_keep_failure(&why);
		vdma_arena_destroy(arena);
		vdma_restore_failure(&why);
	} else {
		*out = arena;
	}
	return err;
}

int vdma_arena_join(int socket, const struct vdma_join_opts *opts, struct vdma_arena **out)
{
	struct vdma_join_opts o;
	uint64_t deadline;
	pid_t pid;
	int fd, err;

	if (!out)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "The result argument is NULL.");
	err = vdma_opts_get(&o, sizeof(o), opts, sizeof(o));
	if (!err)
		err = vdma_peer_of(socket, &pid);
	if (err)
		return err;
	fd = vdma_sys_dup(socket);
	if (fd < 0)
		return vdma_fail_sys(fd, "duplicate descriptor %d", socket);
	deadline =
		vdma_sys_now_ns() + (uint64_t)(o.timeout_ms ? o.timeout_ms : TIMEOUT_MS) * 1000000;
	return join(fd, pid, deadline, out);
}

static int check(struct vdma_arena *arena)
{
	int err = vdma_arena_check_change(arena);

	if (err || arena->joined)
		return err;
	return vdma_fail(
		VDMA_CAUSE_ARGUMENT, NULL,
		"This process has created the arena, it has not joined it: there is nothing to "
		"take in.");
}

int vdma_join_fd(struct vdma_arena *arena, int *fd)
{
	int err = check(arena);

	if (err)
		return err;
	if (!fd)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "An argument is NULL.");
	*fd = arena->joined->fd;
	return 0;
}

int vdma_join_process(struct vdma_arena *arena)
{
	struct vdma_joined *joined;
	struct message m;
	int err = check(arena);

	if (err)
		return err;
	joined = arena->joined;
	pthread_mutex_lock(&joined->lock);
	do {
		err = receive(joined->fd, joined->pid, true, &m);
		if (!err)
			err = take_and_close(arena, &m);
	} while (!err);
	pthread_mutex_unlock(&joined->lock);
	return err == -EAGAIN ? 0 : err;
}

void vdma_join_leave(struct vdma_arena *arena)
{
	struct vdma_joined *joined = arena->joined;
	struct vdma_region *region;

	if (!joined)
		return;
	/* Devices first: what they may still reach is kept by them. */
	while (!LIST_EMPTY(&joined->devices))
		drop_device(LIST_FIRST(&joined->devices));
	while (!LIST_EMPTY(&arena->regions)) {
		region = LIST_FIRST(&arena->regions);
		LIST_REMOVE(region, link);
		vdma_region_free(region); /* unmapped with the window */
	}
	vdma_sys_hang_up(joined->fd);
	pthread_mutex_destroy(&joined->lock);
	free(joined);
}

pid_t vdma_join_creator(const struct vdma_arena *arena)
{
	return arena->joined ? arena->joined->pid : 0;
}
