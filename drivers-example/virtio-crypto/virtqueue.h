/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A split virtqueue (2.7), of any virtio device: chains of memory go to the device, and
 * come back in whatever order it is done with them. To be read beside the VIRTIO
 * specification, version 1.2, sections 2.7.5 to 2.7.14.
 *
 *	virtqueue_create(&vq, arena, 1024, 256, 130, why, sizeof(why));
 *	id = virtqueue_add(&vq, pieces, n_out, n_in);
 *	virtqueue_kick(&vq);
 *	...
 *	while ((id = virtqueue_take(&vq, &len)) >= 0)
 *		...
 *
 * What is known of chains that are under way lies in memory that no device can write, and
 * nothing that the device says is used without a check. One thread at a time.
 *
 * Skipped: the event index (VIRTIO_F_EVENT_IDX), completion in order as a feature
 * (VIRTIO_F_IN_ORDER), packed virtqueues.
 */
#ifndef VIRTQUEUE_H
#define VIRTQUEUE_H

#include <stdbool.h>
#include <vdma.h>

#include "spec.h"

/**
 * struct virtqueue - a queue
 * @arena: where its memory is from
 * @size: entries, as the device was told
 * @chains: chains that are under way at most, and so their ids: 0 to @chains - 1
 * @table_entries: with indirect descriptors (2.7.5.3): those of a chain at most, each
 *                 chain has a table of its own and takes one entry of the queue; 0
 *                 without: a chain takes an entry for each piece
 * @mem: descriptors, the available ring and the used ring
 * @desc: in there
 * @avail: in there
 * @used: in there
 * @tables: indirect descriptors, @table_entries for each chain
 * @next: of each descriptor: the next one in its chain, or in the list of free ones
 * @length: of each that begins a chain that is under way: its descriptors; else 0
 * @free: first free descriptor
 * @n_free: free ones
 * @out: chains under way
 * @added: chains that were put into the available ring, modulo 2^16
 * @told: those of which the device was told
 * @taken: chains that were taken from the used ring, modulo 2^16
 * @quiet: the device is asked not to interrupt
 * @bar: where the device is told that there is more: start of a mapped BAR
 * @doorbell: its offset in there (4.1.4.4)
 * @index: the queue's number, which is written there
 */
struct virtqueue {
	struct vdma_arena *arena;
	unsigned int size;
	unsigned int chains;
	unsigned int table_entries;
	struct vdma_buf mem;
	struct virtq_desc *desc;
	struct virtq_avail *avail;
	struct virtq_used *used;
	struct vdma_buf tables;
	uint16_t *next;
	uint16_t *length;
	unsigned int free;
	unsigned int n_free;
	unsigned int out;
	uint16_t added;
	uint16_t told;
	uint16_t taken;
	bool quiet;
	void *bar;
	size_t doorbell;
	uint16_t index;
};

/*
 * Memory for a queue of size entries, a power of two. With indirect descriptors chains is
 * the number of them under way at most, up to size, and table_entries that of the pieces of
 * each; with table_entries 0 both are given by size. The caller sets quiet, bar, doorbell
 * and index, and calls virtqueue_reset(). Returns what vdma_buf_alloc() does, or -ENOMEM,
 * and words in why.
 */
int virtqueue_create(struct virtqueue *vq, struct vdma_arena *arena, unsigned int size,
		     unsigned int chains, unsigned int table_entries, char *why, size_t why_size);
/* Of one that was never created, too. */
void virtqueue_destroy(struct virtqueue *vq);
/* As it was created, for a device that was reset. */
void virtqueue_reset(struct virtqueue *vq);

/* Device addresses of the three parts (2.7). */
vdma_iova_t virtqueue_desc_iova(const struct virtqueue *vq);
vdma_iova_t virtqueue_avail_iova(const struct virtqueue *vq);
vdma_iova_t virtqueue_used_iova(const struct virtqueue *vq);

/* The id that virtqueue_add() would return; @chains or more if there is no room. */
unsigned int virtqueue_next(const struct virtqueue *vq);

/*
 * A chain: n_out pieces that the device reads, then n_in that it writes, at least one in
 * all. Returns its id, which is the lowest that is free only by chance; -EAGAIN if there is no room
 * now, -E2BIG if it has more pieces than a chain can have, -EINVAL (a piece is empty, or
 * of 4 GiB or more).
 */
int virtqueue_add(struct virtqueue *vq, const struct vdma_buf *pieces, unsigned int n_out,
		  unsigned int n_in);

/* Tells the device of what was added, if it wants to be told. */
void virtqueue_kick(struct virtqueue *vq);

/* Is there a chain that the device is done with? */
bool virtqueue_has_used(const struct virtqueue *vq);

/*
 * Takes it: returns its id, and in len the bytes that the device says it has written.
 * -EAGAIN if there is none, -EIO if the device names a chain that is not under way, or
 * more of them than are.
 */
int virtqueue_take(struct virtqueue *vq, uint32_t *len);

/* Writes words, returns err. */
int virtio_fail(char *why, size_t size, int err, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#endif
