// SPDX-License-Identifier: BSD-3-Clause
/*
 * Sharing and joining. A process cannot join its own arena, for the window has to lie
 * where it lies already. So a relay stands between the two, which counts what is told, as
 * one who joins would, and passes it on as if the creator's window lay elsewhere.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vdma/join.h>

#include "../../libvdma/peer.h"
#include "api.h"

/* Where nothing else is, also with AddressSanitizer; one behind the other. */
#define JOIN_BASE UINT64_C(0x200000000000)
#define JOIN_ROOM (UINT64_C(1) << 44)

static const int share_errors[] = { EINVAL, E2BIG, ENOMEM, EMFILE, EPIPE, ETIMEDOUT, EIO, 0 };
static const int join_errors[] = { EINVAL, E2BIG, ENOMEM, EMFILE, EPIPE, EIO, 0 };
static const int process_errors[] = { ENOMEM, EMFILE, EPIPE, EIO, 0 };
static const int joined_errors[] = { EROFS, 0 };
static const int no_errors[] = { 0 };

static const struct vdma_window *window_of(const struct vdma_arena *arena)
{
	return (const struct vdma_window *)(const void *)arena;
}

/* A whole message, whose descriptors are the caller's. 0: it was the last; -1: there is none. */
static ssize_t hear(int socket, struct vdma_peer_msg *msg, int fds[2], unsigned int *n)
{
	struct iovec iov = { .iov_base = msg, .iov_len = sizeof(*msg) };
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))];
	struct msghdr header = { .msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control) };
	ssize_t len = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	const struct cmsghdr *c = len > 0 ? CMSG_FIRSTHDR(&header) : NULL;

	*n = 0;
	if (c) {
		*n = (unsigned int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(c), *n * sizeof(int));
	}
	return len;
}

static bool say(int socket, const struct vdma_peer_msg *msg, size_t len, const int *fd)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)msg, .iov_len = len };
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct cmsghdr *c = (struct cmsghdr *)(void *)control;
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd) {
		c->cmsg_len = CMSG_LEN(sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(c), fd, sizeof(int));
		header.msg_control = control;
		header.msg_controllen = sizeof(control);
	}
	return sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len;
}

static void hang_up(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static struct told *find(struct peer *p, uint64_t place)
{
	unsigned int i;

	for (i = 0; i < p->ntold; i++)
		if (p->told[i].place == place)
			return &p->told[i];
	return NULL;
}

static void take_region(struct peer *p, const struct vdma_peer_region *r, int fd)
{
	struct stat st;

	MUST(p->ntold < TOLD && !find(p, r->place));
	MUST(!fstat(fd, &st) && (uint64_t)st.st_size >= r->len);
	MUST(w.physical[p->arena] ? r->iova == r->pa : r->iova == r->place);
	p->told[p->ntold++] = (struct told){ r->place, r->len, r->iova };
}

static void take_device(struct peer *p, const char *bdf, bool there)
{
	unsigned int i = 0;

	while (i < DEVICES && strcmp(bdfs[i], bdf))
		i++;
	MUST(i < DEVICES && p->wants_devices);
	p->devices = there ? p->devices | 1U << i : p->devices & ~(1U << i);
}

static void take_message(struct peer *p, struct vdma_peer_msg *msg, const int *fds)
{
	struct told *t;

	switch (msg->kind) {
	case VDMA_PEER_HELLO:
		MUST(!p->ready && msg->hello.va == window_of(w.arenas[p->arena])->va);
		msg->hello.va = p->base;
		break;
	case VDMA_PEER_REGION: take_region(p, &msg->region, fds[0]); break;
	case VDMA_PEER_REGION_GONE:
		t = find(p, msg->place);
		MUST(t);
		*t = p->told[--p->ntold];
		break;
	case VDMA_PEER_DEVICE: take_device(p, msg->device.bdf, true); break;
	case VDMA_PEER_DEVICE_GONE: take_device(p, msg->device.bdf, false); break;
	case VDMA_PEER_READY: p->ready = true; break;
	}
}

/* All that was told; and on with it to the one who joined, as long as that takes it. */
static void relay(struct peer *p)
{
	struct vdma_peer_msg msg;
	unsigned int n, i;
	int fds[2];
	ssize_t len;

	while (p->from >= 0 && (len = hear(p->from, &msg, fds, &n)) >= 0) {
		if (!len) {
			hang_up(&p->from);
			hang_up(&p->to);
			return;
		}
		MUST(!vdma_peer_check(&msg, (size_t)len, n));
		take_message(p, &msg, fds);
		if (p->to >= 0 && !say(p->to, &msg, (size_t)len, n ? fds : NULL))
			hang_up(&p->to);
		for (i = 0; i < n; i++)
			close(fds[i]);
	}
}

/* What the creator passes on: what it made, not what it imported. */
static bool is_told(const struct region *r, unsigned int arena)
{
	return r->region && r->arena == arena && !r->alien && !r->torn && !r->no_fd;
}

void check_peer(struct peer *p)
{
	unsigned int i, regions = 0, devices = 0;
	struct vdma_arena_info info = { .size = sizeof(info) };

	if (!p->here)
		return;
	relay(p);
	if (p->from < 0) {
		/* Who cannot be told is parted from; who was, is told no more. */
		MUST(p->parted || w.hit_lately);
		p->parted = true;
		return;
	}
	for (i = 0; i < REGIONS; i++) {
		const struct region *r = &w.regions[i];
		const struct told *t;

		if (!is_told(r, p->arena))
			continue;
		regions++;
		t = find(p, (uintptr_t)r->buf.va - window_of(w.arenas[p->arena])->va);
		MUST(t && t->len == r->buf.len && t->iova == r->buf.iova);
	}
	for (i = 0; i < DEVICES && p->wants_devices; i++)
		devices |= (unsigned int)is_open(&w.devices[i], p->arena) << i;
	MUST(p->devices == devices);
	MUST(!vdma_arena_query(w.arenas[p->arena], &info));
	MUST(p->ntold >= regions && p->ntold - regions <= info.chunks);
}

/* In the joined arena the same is at the same place. */
static void check_joined(struct peer *p)
{
	const struct vdma_window *from = window_of(w.arenas[p->arena]);
	struct vdma_arena_info info = { .size = sizeof(info) };
	struct vdma_region *region;
	unsigned int i;

	if (p->missed)
		return;
	MUST(!vdma_arena_query(p->joined, &info) && info.regions == p->ntold);
	for (i = 0; i < REGIONS && !p->parted; i++) {
		const struct region *r = &w.regions[i];
		char *va;

		if (!is_told(r, p->arena))
			continue;
		va = (char *)p->base + ((uintptr_t)r->buf.va - from->va);
		MUST(vdma_iova_checked(p->joined, va, r->buf.len) == r->buf.iova);
		MUST(!vdma_region_find(p->joined, va, &region));
		MUST(vdma_region_buf(region).len == r->buf.len);
		/* The module's memory is made up, and cannot be passed on. */
		if (r->provider != VDMA_PROVIDER_CONTIG)
			MUST(*va == *(char *)r->buf.va);
	}
}

static void leave(struct peer *p)
{
	if (p->joined)
		MUST(!CALL_CHANGES(no_errors, vdma_arena_destroy(p->joined)));
	p->joined = NULL;
	hang_up(&p->to);
}

void peer_process(struct peer *p)
{
	int ret;

	if (!p->here || !p->joined)
		return;
	ret = CALL_CHANGES(process_errors, vdma_join_process(p->joined));
	if (ret == -EPIPE) {
		MUST(p->to < 0);
		check_joined(p);
		leave(p);
		return;
	}
	MUST(!ret ? p->to >= 0 || w.hit : w.hit);
	p->missed |= ret || w.hit;
	check_joined(p);
}

static void join(struct peer *p, int socket)
{
	struct vdma_join_opts opts = { .size = sizeof(opts) };
	struct vdma_arena *joined = UNTOUCHED;
	struct vdma_region *region;
	struct vdma_ioas *ioas;
	struct vdma_buf buf;
	int ret = CALL(join_errors, vdma_arena_join(socket, &opts, &joined));

	MUST(!ret || w.hit);
	if (ret) {
		MUST(joined == UNTOUCHED);
		leave(p);
		return;
	}
	p->joined = joined;
	p->missed = w.hit;
	check_joined(p);
	/* It is its creator's. */
	MUST(CALL(joined_errors, vdma_region_create(joined, 4096, NULL, &region)));
	MUST(CALL(joined_errors, vdma_buf_alloc(joined, 64, NULL, &buf)));
	MUST(CALL(joined_errors, vdma_ioas_create(joined, NULL, &ioas)));
	MUST(CALL(joined_errors, vdma_arena_share(joined, socket, NULL)));
}

void peer_share(unsigned int arena)
{
	static const int types[] = { SOCK_SEQPACKET, SOCK_SEQPACKET, SOCK_SEQPACKET, SOCK_STREAM };
	uint8_t how = take(&w.in);
	int type = types[how % 4], ours[2], theirs[2] = { -1, -1 }, ret;
	struct vdma_share_opts opts = { .flags = how < 250 ? how >> 2 & 1 : how, .timeout_ms = 1 };
	bool wrong = type == SOCK_STREAM || !w.shared[arena], joins = how & 8;
	unsigned int i = 0;
	struct peer *p;
	void *given;

	while (i < PEERS && w.peers[i].here)
		i++;
	if (i == PEERS)
		return;
	p = &w.peers[i];
	MUST(!socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ours));
	given = shaped(&opts, sizeof(opts), &wrong);
	wrong |= (opts.flags & ~VDMA_SHARE_DEVICES) != 0;
	/* Who has parted is forgotten by this. */
	ret = CALL_CHANGES(share_errors, vdma_arena_share(w.arenas[arena], ours[0], given));
	free(given);
	MUST(refused(ret) == wrong || (w.hit && wrong));
	close(ours[0]);
	if (ret) {
		close(ours[1]);
		return;
	}
	*p = (struct peer){ .here = true,
			    .arena = arena,
			    .from = ours[1],
			    .to = -1,
			    .base = JOIN_BASE + i * JOIN_ROOM,
			    .wants_devices = opts.flags & VDMA_SHARE_DEVICES };
	joins &= window_of(w.arenas[arena])->len <= JOIN_ROOM;
	if (joins)
		MUST(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, theirs));
	p->to = theirs[0];
	check_peer(p);
	MUST(p->ready || p->parted);
	if (joins && p->ready)
		join(p, theirs[1]);
	hang_up(&theirs[1]);
}

/* One ends; its creator will find out. */
void peer_end(struct peer *p)
{
	if (!p->here)
		return;
	leave(p);
	hang_up(&p->from);
	p->here = false;
}

void peers_orphaned(unsigned int arena)
{
	unsigned int i;

	for (i = 0; i < PEERS; i++) {
		struct peer *p = &w.peers[i];

		if (!p->here || p->arena != arena)
			continue;
		relay(p);
		MUST(p->from < 0);
		p->parted = true;
		if (p->joined)
			MUST(CALL_CHANGES(process_errors, vdma_join_process(p->joined)) == -EPIPE);
		peer_end(p);
	}
}
