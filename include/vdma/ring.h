/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rings of descriptors: memory that driver and device both go round in. Whoever
 * produces fills entries from the tail on, whoever consumes takes them from the
 * head on. For entries of any size, and any number of them: there is no division and
 * no mask in it.
 *
 *	 slot 0                                  count - 1
 *	|      |  consumed   . . in use . . .   |     free     |
 *	               head ^                    ^ tail
 *
 * A ring that the driver produces into, and the device tells how far it has come:
 *
 *	struct vdma_ring_opts opts = { .size = sizeof(opts), .gap = 1 };
 *
 *	vdma_ring_create(arena, sizeof(*d), 256, &opts, &tx);
 *	vdma_ring_set_doorbell(&tx, bar.va, TDT);
 *	...
 *	if (vdma_ring_free(&tx)) {
 *		d = vdma_ring_at(&tx, tx.tail);
 *		d->addr = vdma_pool_iova(pool, number);
 *		vdma_ring_produce(&tx, 1);
 *		vdma_ring_publish(&tx);
 *	}
 *	vdma_ring_consume(&tx, vdma_ring_between(&tx, tx.head, vdma_mmio_read32(bar.va, TDH)));
 *
 * One that the device produces into, whose entries tell by their phase that they are
 * new, as NVMe's completions do:
 *
 *	while ((c = vdma_ring_at(&cq, cq.head))->phase == vdma_ring_head_phase(&cq)) {
 *		vdma_barrier_from_device();
 *		...
 *		vdma_ring_consume(&cq, 1);
 *	}
 *	vdma_ring_release(&cq);
 *
 * A ring is the program's own, as a value; nothing of it but the entries lies where a
 * device can write. The functions are for one thread at a time.
 */
#ifndef VDMA_RING_H
#define VDMA_RING_H

#include <vdma/arena.h>
#include <vdma/barrier.h>
#include <vdma/buf.h>
#include <vdma/mmio.h>
#include <vdma/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct vdma_ring - a ring of entries
 * @buf: its memory
 * @arena: where it is from, NULL if the program gave it
 * @entry: bytes of an entry
 * @count: entries
 * @room: entries that may be in use at a time: @count less the gap
 * @head: slot of the next entry to consume, 0 to @count - 1
 * @tail: slot of the next entry to produce
 * @consumed: entries that were consumed, modulo 2^32
 * @produced: entries that were produced, modulo 2^32
 * @head_lap: times that @head has passed the last slot, modulo 2^32
 * @tail_lap: times that @tail has
 * @published: what @produced was when the device was told last
 * @released: what @consumed was when the device was told last
 * @bar: where its doorbell is: start of a mapped BAR, NULL: none
 * @doorbell: its offset in there
 *
 * To be read by the program and written by the functions below.
 */
struct vdma_ring {
	struct vdma_buf buf;
	struct vdma_arena *arena;
	uint32_t entry;
	uint32_t count;
	uint32_t room;
	uint32_t head;
	uint32_t tail;
	uint32_t consumed;
	uint32_t produced;
	uint32_t head_lap;
	uint32_t tail_lap;
	uint32_t published;
	uint32_t released;
	volatile void *bar;
	size_t doorbell;
};

/**
 * struct vdma_ring_opts - how a ring is made
 * @size: sizeof(struct vdma_ring_opts)
 * @gap: entries that are never in use, less than the ring has: 1 for devices to which
 *       a tail that is at the head means an empty ring
 * @buf: what its memory must be, NULL: aligned to 4096 bytes. It is zeroed in any case.
 */
struct vdma_ring_opts {
	size_t size;
	uint32_t gap;
	const struct vdma_buf_opts *buf;
};

/**
 * vdma_ring_create() - make a ring in new memory
 * @arena: where from
 * @entry: bytes of an entry, at least 1
 * @count: entries, at least 1, at most 2^31; no power of two is needed
 * @opts: NULL for defaults
 * @ring: out: empty, without a doorbell; vdma_ring_destroy() gives its memory back
 *
 * Return: 0, -EINVAL, -E2BIG, and what vdma_buf_alloc() returns. Thread-safe.
 */
VDMA_API int vdma_ring_create(struct vdma_arena *arena, size_t entry, uint32_t count,
			      const struct vdma_ring_opts *opts, struct vdma_ring *ring);

/**
 * vdma_ring_init() - make a ring in memory that there is
 * @buf: the memory, which stays the program's and is not written
 * @entry: bytes of an entry, at least 1
 * @count: entries, at least 1, at most 2^31; all of them fit into @buf
 * @gap: entries that are never in use, less than @count
 * @ring: out: empty, without a doorbell
 *
 * Return: 0, -EINVAL. Thread-safe.
 */
VDMA_API int vdma_ring_init(const struct vdma_buf *buf, size_t entry, uint32_t count, uint32_t gap,
			    struct vdma_ring *ring);

/**
 * vdma_ring_destroy() - give a ring's memory back
 * @ring: NULL is allowed; no device uses it any more
 *
 * Return: 0, and what vdma_buf_free() returns. Thread-safe, but nobody else may use
 * @ring.
 */
VDMA_API int vdma_ring_destroy(struct vdma_ring *ring);

/**
 * vdma_ring_set_doorbell() - tell where the device is told
 * @ring: the ring
 * @bar: start of a mapped BAR
 * @offset: of a register of 32 bits, which takes slots
 *
 * One thread at a time.
 */
static inline void vdma_ring_set_doorbell(struct vdma_ring *ring, volatile void *bar, size_t offset)
{
	ring->bar = bar;
	ring->doorbell = offset;
}

/**
 * vdma_ring_reset() - empty a ring, as after a reset of the device
 * @ring: the ring; its entries are left as they are
 *
 * One thread at a time.
 */
static inline void vdma_ring_reset(struct vdma_ring *ring)
{
	ring->head = ring->tail = 0;
	ring->head_lap = ring->tail_lap = 0;
	ring->consumed = ring->produced = 0;
	ring->published = ring->released = 0;
}

/**
 * vdma_ring_used() - entries that are in use
 * @ring: the ring
 *
 * Return: produced, and not consumed; 0 to its room. One thread at a time.
 */
static inline uint32_t vdma_ring_used(const struct vdma_ring *ring)
{
	return ring->produced - ring->consumed;
}

/**
 * vdma_ring_free() - entries that can be produced
 * @ring: the ring
 *
 * Return: 0 to its room. One thread at a time.
 */
static inline uint32_t vdma_ring_free(const struct vdma_ring *ring)
{
	return ring->room - vdma_ring_used(ring);
}

/**
 * vdma_ring_at() - an entry
 * @ring: the ring
 * @slot: which, less than its count
 *
 * Return: where the CPU finds it. Thread-safe.
 */
static inline void *vdma_ring_at(const struct vdma_ring *ring, uint32_t slot)
{
	return (char *)ring->buf.va + (size_t)slot * ring->entry;
}

/**
 * vdma_ring_iova() - an entry's device address
 * @ring: the ring
 * @slot: which, less than its count
 *
 * Return: where devices find it. Thread-safe.
 */
static inline vdma_iova_t vdma_ring_iova(const struct vdma_ring *ring, uint32_t slot)
{
	return ring->buf.iova + (uint64_t)slot * ring->entry;
}

/**
 * vdma_ring_add() - a slot further on
 * @ring: the ring
 * @slot: a slot, less than its count
 * @n: how many further, at most its count
 *
 * Return: the slot, less than its count. Thread-safe.
 */
static inline uint32_t vdma_ring_add(const struct vdma_ring *ring, uint32_t slot, uint32_t n)
{
	/* Both are at most 2^31, so the sum may be 2^32 - 1. */
	slot += n;
	return slot >= ring->count ? slot - ring->count : slot;
}

/**
 * vdma_ring_between() - how far it is from one slot to another
 * @ring: the ring
 * @from: a slot, less than its count
 * @to: a slot, less than its count; as a device reports where it is
 *
 * Return: entries from @from to the one before @to, 0 if they are the same. A ring
 * that may be all in use needs a gap to be told from an empty one by slots. Thread-safe.
 */
static inline uint32_t vdma_ring_between(const struct vdma_ring *ring, uint32_t from, uint32_t to)
{
	return to >= from ? to - from : to + (ring->count - from);
}

/**
 * vdma_ring_produce() - entries from the tail on are filled
 * @ring: the ring
 * @n: how many, at most vdma_ring_free()
 *
 * The device is told by vdma_ring_publish(). One thread at a time.
 */
static inline void vdma_ring_produce(struct vdma_ring *ring, uint32_t n)
{
	uint32_t tail = vdma_ring_add(ring, ring->tail, n);

	/* All of them is once round, too. */
	ring->tail_lap += n && tail <= ring->tail;
	ring->tail = tail;
	ring->produced += n;
}

/**
 * vdma_ring_consume() - entries from the head on are done with
 * @ring: the ring
 * @n: how many; at most vdma_ring_used(), if the driver produces
 *
 * If the device produces, it is not counted: vdma_ring_used() and vdma_ring_free() tell
 * nothing of such a ring. One thread at a time.
 */
static inline void vdma_ring_consume(struct vdma_ring *ring, uint32_t n)
{
	uint32_t head = vdma_ring_add(ring, ring->head, n);

	ring->head_lap += n && head <= ring->head;
	ring->head = head;
	ring->consumed += n;
}

/**
 * vdma_ring_head_phase() - what marks a new entry at the head
 * @ring: the ring
 *
 * Return: 1 in the first lap, 0 in the second, and so on. One thread at a time.
 */
static inline uint32_t vdma_ring_head_phase(const struct vdma_ring *ring)
{
	return !(ring->head_lap & 1);
}

/**
 * vdma_ring_tail_phase() - what is to mark an entry at the tail as new
 * @ring: the ring
 *
 * Return: 1 in the first lap, 0 in the second, and so on. One thread at a time.
 */
static inline uint32_t vdma_ring_tail_phase(const struct vdma_ring *ring)
{
	return !(ring->tail_lap & 1);
}

/**
 * vdma_ring_publish() - tell the device what was produced: the doorbell gets the tail
 * @ring: the ring, with a doorbell
 *
 * Nothing is written if there is nothing new. What was written to DMA memory before
 * comes before it. One thread at a time.
 */
static inline void vdma_ring_publish(struct vdma_ring *ring)
{
	if (ring->published == ring->produced)
		return;
	ring->published = ring->produced;
	vdma_mmio_write32(ring->bar, ring->doorbell, ring->tail);
}

/**
 * vdma_ring_release() - tell the device what was consumed: the doorbell gets the head
 * @ring: the ring, with a doorbell
 *
 * Nothing is written if there is nothing new. What was read from DMA memory before is
 * not changed by what the device does then. One thread at a time.
 */
static inline void vdma_ring_release(struct vdma_ring *ring)
{
	if (ring->released == ring->consumed)
		return;
	ring->released = ring->consumed;
	/* Reads come before the write; what orders writes alone does not do that. */
	VDMA_MMIO_AFTER_READ();
	vdma_mmio_write32(ring->bar, ring->doorbell, ring->head);
}

#ifdef __cplusplus
}
#endif

#endif
