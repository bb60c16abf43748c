/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Another process joins an arena: it has the same memory at the same virtual and at
 * the same device address, without registering it a second time. So a pointer, or a
 * struct vdma_buf, means the same in both, and what one writes there a device of the
 * other can read.
 *
 *	creator                                  who joins
 *
 *	opts.flags = VDMA_ARENA_SHARED;
 *	vdma_arena_create(&opts, &arena);
 *	...accept() a connection, or
 *	socketpair() and fork() + exec()
 *	vdma_arena_share(arena, socket, NULL);   vdma_arena_join(socket, NULL, &arena);
 *	                                         vdma_iova(arena, packet) ...
 *	vdma_region_create(...)
 *	                                         vdma_join_process(arena);
 *
 * The socket is a Unix one that keeps the bounds of messages (SOCK_SEQPACKET), which the
 * program makes: so it decides who joins. Who does gets descriptors of the memory, may
 * write all of it, and is told physical addresses where the creator knows them. Both
 * have to have the same release of libvdma.
 *
 * The arena is its creator's. In the process that joined, all that only looks works:
 * translation, vdma_region_find(), queries, ranges, vdma_explain_iova(), statistics,
 * dump, observers; but for what is asked of a buffer (vdma_buf_query()), which only the
 * creator knows. What makes or unmakes regions, buffers or address spaces fails with
 * EROFS. Buffers are the creator's, which hands them over and takes them back by any
 * means that the two have. What the creator imported (import.h) it keeps for itself.
 *
 * What changes is told in messages, which wait until vdma_join_process() takes them
 * in; vdma_join_fd() is readable when there are any. Until then a new region is not
 * mapped there, and one that is gone still is: its memory, not its device address,
 * which may be another region's already. So the creator destroys a region when nobody
 * uses it, in whichever process.
 *
 * The creator never waits for those who joined, nor reads what they send. Who does not
 * take messages in has as many waiting as the socket's send buffer holds (SO_SNDBUF; about
 * 250 of them in Linux's default of 208 KiB), and then is parted from; so is one who has
 * ended. shutdown(2) of the socket parts from one at once.
 *
 * Either may end first, killed or not. If the one who joined does, nothing changes for
 * the creator. If the creator does, the other keeps the memory, and is told by EPIPE
 * from vdma_join_process() (a child that the creator forked has the socket open, too:
 * then when that ends). Devices are closed then, which stops them, and memory that
 * they may still reach is not given to anybody before; with VDMA_SHARE_DEVICES they go
 * on, and their mappings stay, until the last who joined is gone, too. The memory is
 * freed when nobody has it.
 *
 * Fork: the child has joined nothing (ECHILD), as with any arena.
 */
#ifndef VDMA_JOIN_H
#define VDMA_JOIN_H

#include <vdma/arena.h>
#include <vdma/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Who joins gets the descriptors of the arena's devices, too, those that are opened later
 * included. A device that its creator closes stays open in the kernel until that
 * process has taken in the message; meanwhile it cannot be opened again, nor removed.
 */
#define VDMA_SHARE_DEVICES (1U << 0)

/**
 * struct vdma_share_opts - how a process is let join
 * @size: sizeof(struct vdma_share_opts)
 * @flags: VDMA_SHARE_DEVICES
 * @timeout_ms: how long to wait at most, milliseconds, for room in the socket while all
 *              that there is is told; 0 for 5000. So long may other threads have to wait,
 *              too: those that get, give back or ask of buffers, create or destroy regions
 *              (but for memory at a pointer), open or close devices or let them go, add or
 *              remove observers, or ask of the arena (vdma_arena_query(), statistics, dump,
 *              vdma_explain_iova()). Who translates, uses a device, or asks of a region or
 *              an address space does not.
 */
struct vdma_share_opts {
	size_t size;
	uint32_t flags;
	uint32_t timeout_ms;
};

/**
 * vdma_arena_share() - let a process join
 * @arena: an arena with VDMA_ARENA_SHARED
 * @socket: connected, AF_UNIX, SOCK_SEQPACKET; the caller's, who may close it: the
 *          library keeps a duplicate. The connection serves for nothing else, and is
 *          ended (shutdown) when the two part, which is when this fails, too
 * @opts: NULL for defaults
 *
 * Tells all that there is, and from now on what changes. vdma_arena_dump() names who has
 * joined, by the process that connected the socket (SO_PEERCRED).
 *
 * Return: 0, -EINVAL (no such socket, or the arena is not a shared one), -E2BIG, -ENOMEM,
 * -EMFILE, -EPIPE (nobody is at the other end), -ETIMEDOUT (nobody reads there), -EROFS,
 * -EDEADLK, -ECHILD, -EIO. Thread-safe.
 */
VDMA_API int vdma_arena_share(struct vdma_arena *arena, int socket,
			      const struct vdma_share_opts *opts);

/**
 * struct vdma_join_opts - how an arena is joined
 * @size: sizeof(struct vdma_join_opts)
 * @timeout_ms: how long to wait for its creator, milliseconds; 0 for 5000
 */
struct vdma_join_opts {
	size_t size;
	uint32_t timeout_ms;
};

/**
 * vdma_arena_join() - join another process's arena
 * @socket: connected, AF_UNIX, SOCK_SEQPACKET, the other end of vdma_arena_share()'s;
 *          the caller's, who may close it: the library keeps a duplicate. It is
 *          ended (shutdown) when the arena is left, or cannot be joined
 * @opts: NULL for defaults
 * @arena: out: owned by the caller, vdma_arena_destroy() leaves it
 *
 * Waits until all is told.
 *
 * Return: 0, -EINVAL, -E2BIG, -EADDRINUSE (something of this process is mapped where
 * the window has to lie: vdma_explain() names it, and the remedies), -EPROTO (what
 * comes is not from the same libvdma), -EPIPE (the creator is gone), -ETIMEDOUT, -ENOMEM,
 * -EMFILE, -EIO. Thread-safe.
 */
VDMA_API int vdma_arena_join(int socket, const struct vdma_join_opts *opts,
			     struct vdma_arena **arena);

/**
 * vdma_join_fd() - readable when there is something to take in
 * @arena: an arena that was joined
 * @fd: out: for poll() and its like, nothing else; good until the arena is left
 *
 * Return: 0, -EINVAL (this process did not join it), -ECHILD. Thread-safe.
 */
VDMA_API int vdma_join_fd(struct vdma_arena *arena, int *fd);

/**
 * vdma_join_process() - take in what has changed
 * @arena: an arena that was joined
 *
 * Takes all messages that wait, and waits for none. One that cannot be taken in, for
 * there is no memory or an observer refuses it, ends the call; its region is not mapped
 * here, and the next call goes on behind it.
 *
 * Return: 0; -EPIPE, each time, when the creator is gone or has parted from this process
 * and all is taken in: what is mapped stays; -EINVAL, -EPROTO, -ENOMEM, -ECANCELED (an
 * observer), -EDEADLK, -ECHILD, -EIO. Thread-safe.
 */
VDMA_API int vdma_join_process(struct vdma_arena *arena);

#ifdef __cplusplus
}
#endif

#endif
