/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the creator of an arena sends to a process that joins it: messages over a Unix
 * socket that keeps their bounds (SOCK_SEQPACKET). All go one way, so nothing that the
 * other one does can confuse the creator, or keep it waiting.
 *
 *	HELLO
 *	REGION for each, DEVICE for each if wanted, RANGES_ARE
 *	READY
 *	... REGION, REGION_GONE, DEVICE, DEVICE_GONE, RANGES_ARE as things change
 *
 * Both are on one machine, so numbers are as the machine has them. A message is
 * exactly as long as its kind says, and has the descriptor that it says.
 */
#ifndef VDMA_INTERNAL_PEER_H
#define VDMA_INTERNAL_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <vdma/types.h>

/* "vdma" and a version: what changes a struct, or adds a kind, makes a new one. */
#define VDMA_PEER_MAGIC UINT32_C(0x616d6476)
#define VDMA_PEER_VERSION 1
/* More than any IOMMU has. */
#define VDMA_PEER_RANGES 64

enum vdma_peer_kind {
	VDMA_PEER_HELLO = 1,
	VDMA_PEER_REGION,
	VDMA_PEER_REGION_GONE,
	VDMA_PEER_DEVICE,
	VDMA_PEER_DEVICE_GONE,
	VDMA_PEER_RANGES_ARE,
	VDMA_PEER_READY,
};

struct vdma_peer_hello {
	uint64_t va, len;  /* of the window */
	uint32_t physical; /* device addresses are */
	uint32_t guard;
};

/* Descriptor: of its memory, from offset 0. */
struct vdma_peer_region {
	uint64_t place, room;
	uint64_t len, iova, pa;
	uint64_t granule;
	uint32_t extents;
	int32_t node;
	uint32_t provider, access;
};

/* Descriptor, unless it is gone: the device's, which keeps it and its mappings alive. */
struct vdma_peer_device {
	char bdf[16];
};

struct vdma_peer_ranges {
	uint32_t n;
	uint32_t assumed; /* no device is open */
	struct vdma_range range[VDMA_PEER_RANGES];
};

struct vdma_peer_msg {
	uint32_t magic;
	uint16_t version;
	uint16_t kind;
	union {
		struct vdma_peer_hello hello;
		struct vdma_peer_region region;
		uint64_t place; /* REGION_GONE */
		struct vdma_peer_device device;
		struct vdma_peer_ranges ranges;
	};
};

/* Who is at the other end; explained if that is no socket for this. */
int vdma_peer_of(int socket, pid_t *pid);

/* Bytes of a message of this kind, and whether a descriptor comes with it; 0: no such kind. */
size_t vdma_peer_size(uint16_t kind, bool *has_fd);

/*
 * Is this a message that may be believed? @len: its bytes, @nfds: its descriptors.
 * Explained.
 */
int vdma_peer_check(const struct vdma_peer_msg *msg, size_t len, unsigned int nfds);

#endif
