/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The creator's side of an arena that others join: each of them is an observer, which
 * sends what it is told.
 */
#ifndef VDMA_INTERNAL_SHARE_H
#define VDMA_INTERNAL_SHARE_H

#include <stdbool.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <vdma/join.h>

struct vdma_device;
struct vdma_observer;

/* One who has joined; in arena->peers, which the lock of buffers guards. */
struct vdma_peer {
	LIST_ENTRY(vdma_peer) link;
	struct vdma_arena *arena;
	struct vdma_observer *observer;
	int fd;	 /* -1: parted from */
	int err; /* for this reason */
	pid_t pid;
	bool devices;	   /* VDMA_SHARE_DEVICES */
	uint64_t deadline; /* while all is told: until when to wait; else 0 */
};

/* A device was opened, or is closed: who joined is told, and what can be used now. */
void vdma_share_device(const struct vdma_device *dev, bool there);

/* Parts from all. */
void vdma_share_stop(struct vdma_arena *arena);

#endif
