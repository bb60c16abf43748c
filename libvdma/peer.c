// SPDX-License-Identifier: BSD-3-Clause
#include "peer.h"

#include <errno.h>
#include <string.h>

#include "explain.h"
#include "sys.h"

#define HEAD offsetof(struct vdma_peer_msg, hello)

static const struct {
	uint16_t size;
	bool has_fd;
} kinds[] = {
	[VDMA_PEER_HELLO] = { HEAD + sizeof(struct vdma_peer_hello), false },
	[VDMA_PEER_REGION] = { HEAD + sizeof(struct vdma_peer_region), true },
	[VDMA_PEER_REGION_GONE] = { HEAD + sizeof(uint64_t), false },
	[VDMA_PEER_DEVICE] = { HEAD + sizeof(struct vdma_peer_device), true },
	[VDMA_PEER_DEVICE_GONE] = { HEAD + sizeof(struct vdma_peer_device), false },
	[VDMA_PEER_RANGES_ARE] = { HEAD + sizeof(struct vdma_peer_ranges), false },
	[VDMA_PEER_READY] = { HEAD, false },
};

int vdma_peer_of(int socket, pid_t *pid)
{
	int err = vdma_sys_unix_peer(socket, pid);

	if (err != -EPROTOTYPE && err != -ENOTCONN && err != -ENOTSOCK && err != -EBADF)
		return err ? vdma_fail_sys(err, "ask who is at the end of socket %d", socket) : 0;
	return vdma_fail(VDMA_CAUSE_ARGUMENT, &(struct vdma_facts){ .sys_errno = -err },
			 "Descriptor %d is no socket to join an arena over (%s): that is a connected "
			 "Unix socket of type SOCK_SEQPACKET.",
			 socket, vdma_error_words(err).s);
}

size_t vdma_peer_size(uint16_t kind, bool *has_fd)
{
	if (kind >= sizeof(kinds) / sizeof(kinds[0]))
		return 0;
	*has_fd = kinds[kind].has_fd;
	return kinds[kind].size;
}

static int wrong(const char *what)
{
	return vdma_fail(VDMA_CAUSE_PROTOCOL, NULL,
			 "What came over the socket is no message of an arena's creator: %s. Pass "
			 "the other end to vdma_arena_share(), and use the socket for nothing else.",
			 what);
}

static bool ranges_are_good(const struct vdma_peer_ranges *r)
{
	uint32_t i;

	if (r->n > VDMA_PEER_RANGES)
		return false;
	for (i = 0; i < r->n; i++)
		if (r->range[i].first > r->range[i].last ||
		    (i && r->range[i].first <= r->range[i - 1].last))
			return false;
	return true;
}

int vdma_peer_check(const struct vdma_peer_msg *msg, size_t len, unsigned int nfds)
{
	bool has_fd = false;

	if (len < HEAD || msg->magic != VDMA_PEER_MAGIC)
		return wrong("it does not begin as one");
	if (msg->version != VDMA_PEER_VERSION)
		return vdma_fail(
			VDMA_CAUSE_PROTOCOL,
			&(struct vdma_facts){ .need = msg->version, .limit = VDMA_PEER_VERSION },
			"The arena's creator speaks version %u, this library version %u. Link "
			"both programs with the same release of libvdma.",
			msg->version, VDMA_PEER_VERSION);
	if (!vdma_peer_size(msg->kind, &has_fd))
		return wrong("there is no such kind");
	if (len != vdma_peer_size(msg->kind, &has_fd))
		return wrong("its length is another");
	if (nfds != has_fd)
		return wrong("its descriptors are fewer or more");
	switch (msg->kind) {
	case VDMA_PEER_DEVICE:
	case VDMA_PEER_DEVICE_GONE:
		if (!memchr(msg->device.bdf, 0, sizeof(msg->device.bdf)))
			return wrong("a device's address does not end");
		break;
	case VDMA_PEER_RANGES_ARE:
		if (!ranges_are_good(&msg->ranges))
			return wrong("the ranges make no sense");
		break;
	}
	return 0;
}
