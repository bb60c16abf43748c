// SPDX-License-Identifier: BSD-3-Clause
/*
 * A ring in (7.1) and a ring out (7.2), and how to wait (7.4). Nothing here is shared
 * with another queue's thread but what e1000e_start() has settled, nic->canceled, which is
 * read, and the interrupts' mask, which is changed bit by bit.
 */
#define _POSIX_C_SOURCE 200809L
#include "e1000e.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Descriptors that are given back to the device together, to spare doorbells. */
#define REFILL (E1000E_RING_MIN / 2)
/* Between looks at the controller; no sleep is longer. */
#define LOOK_MS 20
/* Adaptive: how long after the last packet it goes on to look for more. */
#define BUSY_US 200
/* Looks at the ring before the processor is offered to others. */
#define SPINS 100

#define FAIL(q, err, ...) e1000e_fail((q)->why, sizeof((q)->why), err, __VA_ARGS__)
#define FAIL_VDMA(q, err) FAIL(q, err, "%s", vdma_explain())

static void set(const struct e1000e_queue *q, size_t reg, uint32_t value)
{
	vdma_mmio_write32(q->nic->regs, reg, value);
}

int e1000e_queue_create(struct e1000e *nic, unsigned int id)
{
	struct vdma_ring_opts opts = { .size = sizeof(opts), .gap = 1 };
	struct e1000e_queue *q = &nic->queues[id];
	int err;

	q->nic = nic;
	q->id = id;
	q->rx_numbers = calloc(nic->opts.rx_ring, sizeof(*q->rx_numbers));
	q->tx_slots = calloc(nic->opts.tx_ring, sizeof(*q->tx_slots));
	if (!q->rx_numbers || !q->tx_slots)
		return e1000e_fail(nic->why, sizeof(nic->why), -ENOMEM,
				   "e1000e: no memory for rings of %u and %u descriptors",
				   nic->opts.rx_ring, nic->opts.tx_ring);
	err = vdma_pool_handle_create(nic->pool, &q->handle);
	/* 7.1.8, 7.2.4: a ring's tail at its head is an empty ring, so one entry is never in use. */
	if (!err)
		err = vdma_ring_create(nic->arena, sizeof(union e1000e_rx_desc), nic->opts.rx_ring,
				       &opts, &q->rx);
	if (!err)
		err = vdma_ring_create(nic->arena, sizeof(union e1000e_tx_desc), nic->opts.tx_ring,
				       &opts, &q->tx);
	if (err)
		return e1000e_fail(nic->why, sizeof(nic->why), err, "%s", vdma_explain());
	vdma_ring_set_doorbell(&q->rx, nic->regs, E1000E_RDT(id));
	vdma_ring_set_doorbell(&q->tx, nic->regs, E1000E_TDT(id));
	return 0;
}

void e1000e_queue_destroy(struct e1000e_queue *q)
{
	if (q->tx.count)
		vdma_ring_destroy(&q->tx);
	if (q->rx.count)
		vdma_ring_destroy(&q->rx);
	vdma_pool_handle_destroy(q->handle);
	free(q->tx_slots);
	free(q->rx_numbers);
	memset(q, 0, sizeof(*q));
}

void e1000e_put(struct e1000e_queue *q, const struct e1000e_packet *packet)
{
	for (uint32_t i = 0; i < packet->count; i++)
		vdma_pool_put(q->handle, packet->segments[i].number);
}

/* Gives the device buffers for all free descriptors, or as many as the pool has. */
static void refill(struct e1000e_queue *q)
{
	uint32_t numbers[REFILL], want, n;

	while ((want = vdma_ring_free(&q->rx)) > 0) {
		want = want < REFILL ? want : REFILL;
		n = vdma_pool_get_bulk(q->handle, numbers, want);
		for (uint32_t i = 0; i < n; i++) {
			union e1000e_rx_desc *d = vdma_ring_at(&q->rx, q->rx.tail);

			d->addr = vdma_pool_iova(q->nic->pool, numbers[i]);
			d->zero = 0;
			q->rx_numbers[q->rx.tail] = numbers[i];
			vdma_ring_produce(&q->rx, 1);
		}
		if (n < want) {
			q->no_buffer++;
			break;
		}
	}
	/* The descriptors are in memory before it: vdma/ring.h. */
	vdma_ring_publish(&q->rx);
}

int e1000e_queue_fill(struct e1000e_queue *q)
{
	vdma_ring_reset(&q->rx);
	vdma_ring_reset(&q->tx);
	q->partial.count = 0;
	q->skip = false;
	refill(q);
	if (!vdma_ring_free(&q->rx))
		return 0;
	return FAIL(q, -ENOMEM,
		    "e1000e: the pool has %u buffers for queue %u, whose ring in takes %u",
		    vdma_ring_used(&q->rx), q->id, q->rx.room);
}

/* 7.1.4, 7.1.10: what the device tells of a packet in its last descriptor. */
static uint32_t rx_flags(uint32_t status)
{
	uint32_t flags = 0;

	if (status & E1000E_RXD_IPCS)
		flags |= status & E1000E_RXD_IPE ? E1000E_IP_BAD : E1000E_IP_GOOD;
	if (status & E1000E_RXD_L4CS)
		flags |= status & E1000E_RXD_L4E ? E1000E_L4_BAD : E1000E_L4_GOOD;
	return flags;
}

/* 7.1.8: DD tells that the device is done with the entry at the head, not RDH. */
static bool rx_ready(const struct e1000e_queue *q, uint32_t *status)
{
	const union e1000e_rx_desc *d = vdma_ring_at(&q->rx, q->rx.head);

	*status = __atomic_load_n(&d->status, __ATOMIC_RELAXED);
	return vdma_ring_used(&q->rx) && (*status & E1000E_RXD_DD);
}

/*
 * Adds the buffer at the head to the packet that is coming, and tells whether that is
 * whole. Nothing that the device writes is relied on: not the length, nor that a packet
 * ends. A packet that is wrong is dropped, to its last descriptor.
 */
static bool rx_segment(struct e1000e_queue *q, uint32_t status)
{
	const union e1000e_rx_desc *d = vdma_ring_at(&q->rx, q->rx.head);
	uint32_t number = q->rx_numbers[q->rx.head];
	uint32_t len = __atomic_load_n(&d->len, __ATOMIC_RELAXED);
	struct e1000e_packet *p = &q->partial;
	bool last = status & E1000E_RXD_EOP;

	if (!p->count)
		p->len = 0;
	vdma_ring_consume(&q->rx, 1);
	if (!q->skip &&
	    (!len || len > E1000E_RX_BUF_LEN || p->count == E1000E_SEGMENTS ||
	     p->len + len > q->nic->opts.frame || (last && (status & E1000E_RXD_BAD)))) {
		q->skip = true;
		q->rx_dropped++;
		e1000e_put(q, p);
		p->count = 0;
	}
	if (q->skip) {
		vdma_pool_put(q->handle, number);
		q->skip = !last;
		return false;
	}
	p->segments[p->count++] = (struct e1000e_segment){ .number = number, .len = (uint16_t)len };
	p->len += len;
	p->flags = rx_flags(status);
	return last;
}

int e1000e_rx(struct e1000e_queue *q, struct e1000e_packet *packets, unsigned int max)
{
	unsigned int n = 0;
	uint32_t status;

	while (n < max && rx_ready(q, &status)) {
		/* The entry's rest and the packet are not older than DD. */
		vdma_barrier_from_device();
		if (!rx_segment(q, status))
			continue;
		packets[n] = q->partial;
		q->partial.count = 0;
		q->rx_packets++;
		q->rx_bytes += packets[n].len;
		n++;
	}
	if (vdma_ring_free(&q->rx) >= REFILL)
		refill(q);
	return (int)n;
}

/* Puts the buffers of the packet at the head of the ring out back. */
static void tx_put(struct e1000e_queue *q)
{
	uint32_t last = q->tx_slots[q->tx.head].last;

	for (uint32_t left = vdma_ring_between(&q->tx, q->tx.head, last) + 1; left; left--) {
		if (q->tx_slots[q->tx.head].number != VDMA_POOL_NONE)
			vdma_pool_put(q->handle, q->tx_slots[q->tx.head].number);
		vdma_ring_consume(&q->tx, 1);
	}
}

uint32_t e1000e_queue_reclaim(struct e1000e_queue *q)
{
	while (vdma_ring_used(&q->tx)) {
		const struct e1000e_tx_slot *first = &q->tx_slots[q->tx.head];
		const union e1000e_tx_desc *d = vdma_ring_at(&q->tx, first->last);

		/* 7.2.4: only a packet's last descriptor has RS, so only there is DD. */
		if (!(__atomic_load_n(&d->status, __ATOMIC_RELAXED) & E1000E_TXD_DD))
			break;
		q->tx_packets++;
		q->tx_bytes += first->len;
		tx_put(q);
	}
	return vdma_ring_used(&q->tx);
}

void e1000e_queue_empty(struct e1000e_queue *q)
{
	uint32_t status;

	/* Packets that have come count: the device has counted them, too. */
	while (rx_ready(q, &status)) {
		vdma_barrier_from_device();
		if (rx_segment(q, status)) {
			q->rx_dropped++;
			e1000e_put(q, &q->partial);
			q->partial.count = 0;
		}
	}
	e1000e_put(q, &q->partial);
	q->partial.count = 0;
	while (vdma_ring_used(&q->rx)) {
		vdma_pool_put(q->handle, q->rx_numbers[q->rx.head]);
		vdma_ring_consume(&q->rx, 1);
	}
	e1000e_queue_reclaim(q);
	while (vdma_ring_used(&q->tx)) {
		q->tx_dropped++;
		tx_put(q);
	}
	vdma_pool_flush(q->handle);
}

#define PUT_ANY (E1000E_PUT_IP | E1000E_PUT_UDP | E1000E_PUT_TCP)
#define IP_SUM_AT 10
#define UDP_SUM_AT 6
#define TCP_SUM_AT 16

/*
 * 7.2.6, second note: the device has one context for both queues, the last that it
 * was given. So each packet brings its own.
 */
static void put_context(struct e1000e_queue *q, const struct e1000e_packet *p)
{
	union e1000e_tx_desc *d = vdma_ring_at(&q->tx, q->tx.tail);
	uint32_t cmd = E1000E_TXD_DEXT | E1000E_TXD_IP;

	if (p->flags & E1000E_PUT_TCP)
		cmd |= E1000E_TXD_TCP;
	*d = (union e1000e_tx_desc){
		.ipcss = p->l3,
		.ipcso = (uint8_t)(p->l3 + IP_SUM_AT),
		.ipcse = (uint16_t)(p->l4 - 1),
		.tucss = p->l4,
		.tucso = (uint8_t)(p->l4 + (p->flags & E1000E_PUT_TCP ? TCP_SUM_AT : UDP_SUM_AT)),
		.context_cmd = cmd,
	};
	q->tx_slots[q->tx.tail].number = VDMA_POOL_NONE;
	vdma_ring_produce(&q->tx, 1);
}

/* 7.2.10: pieces of a packet, in legacy descriptors if there are no checksums to put in. */
static void put_pieces(struct e1000e_queue *q, const struct e1000e_packet *p)
{
	uint32_t cmd = E1000E_TXD_IFCS;
	uint8_t popts = 0;

	if (p->flags & PUT_ANY)
		cmd |= E1000E_TXD_DEXT | E1000E_TXD_DATA;
	if (p->flags & E1000E_PUT_IP)
		popts |= E1000E_TXD_IXSM;
	if (p->flags & (E1000E_PUT_UDP | E1000E_PUT_TCP))
		popts |= E1000E_TXD_TXSM;
	for (uint32_t i = 0; i < p->count; i++) {
		const struct e1000e_segment *s = &p->segments[i];
		union e1000e_tx_desc *d = vdma_ring_at(&q->tx, q->tx.tail);

		if (i == p->count - 1)
			cmd |= E1000E_TXD_EOP | E1000E_TXD_RS;
		/* The device needs popts in the first; QEMU goes by the last. */
		*d = (union e1000e_tx_desc){
			.addr = vdma_pool_iova(q->nic->pool, s->number) + s->offset,
			.cmd = cmd | s->len,
			.popts = popts,
		};
		q->tx_slots[q->tx.tail].number = s->number;
		vdma_ring_produce(&q->tx, 1);
	}
}

static bool can_be_sent(const struct e1000e_packet *p)
{
	if (!p->count || p->count > E1000E_SEGMENTS || p->len > E1000E_FRAME_MAX)
		return false;
	for (uint32_t i = 0; i < p->count; i++)
		if (!p->segments[i].len)
			return false;
	return !(p->flags & PUT_ANY) || (p->l4 > p->l3 && p->l4 < p->len);
}

int e1000e_tx(struct e1000e_queue *q, const struct e1000e_packet *packets, unsigned int n)
{
	unsigned int sent;

	for (sent = 0; sent < n; sent++) {
		const struct e1000e_packet *p = &packets[sent];
		uint32_t need = p->count + !!(p->flags & PUT_ANY), first = q->tx.tail;

		if (!can_be_sent(p)) {
			if (!sent)
				return FAIL(
					q, -EINVAL,
					"e1000e: a packet of %u segments and %u bytes cannot be "
					"sent: there are 1 to %u, none empty, and up to %u bytes",
					p->count, p->len, E1000E_SEGMENTS, E1000E_FRAME_MAX);
			break;
		}
		if (vdma_ring_free(&q->tx) < need)
			e1000e_queue_reclaim(q);
		if (vdma_ring_free(&q->tx) < need)
			break;
		if (p->flags & PUT_ANY)
			put_context(q, p);
		put_pieces(q, p);
		q->tx_slots[first].last = vdma_ring_add(&q->tx, first, need - 1);
		q->tx_slots[first].len = p->len;
	}
	vdma_ring_publish(&q->tx);
	return (int)sent;
}

void e1000e_disarm(struct e1000e_queue *q)
{
	set(q, E1000E_IMC, E1000E_CAUSE_RXQ(q->id));
}

/*
 * 7.4: causes of packets that are in the ring already are cleared, then the mask is
 * opened. The read makes sure that both have arrived: after it the ring has every packet
 * whose cause was cleared, and all others interrupt.
 */
bool e1000e_arm(struct e1000e_queue *q)
{
	uint32_t status;

	set(q, E1000E_ICR, E1000E_CAUSE_RXQ(q->id));
	set(q, E1000E_IMS, E1000E_CAUSE_RXQ(q->id));
	(void)vdma_mmio_read32(q->nic->regs, E1000E_STATUS);
	if (!rx_ready(q, &status)) {
		q->sleeps++;
		return true;
	}
	e1000e_disarm(q);
	return false;
}

/* Until a packet comes, ms at most. */
static int sleep_until(struct e1000e_queue *q, unsigned int ms)
{
	int err;

	if (!e1000e_arm(q))
		return 0;
	err = vdma_device_irq_wait(q->nic->dev, q->id, (int)ms, NULL);
	e1000e_disarm(q);
	if (err && err != -ETIMEDOUT && err != -EINTR)
		return FAIL_VDMA(q, err);
	return 0;
}

/* Nothing has come: spins or sleeps, ms at most. */
static int idle(struct e1000e_queue *q, unsigned int ms)
{
	enum e1000e_mode mode = q->nic->opts.mode;
	uint32_t status;

	if (mode == E1000E_INTERRUPT ||
	    (mode == E1000E_ADAPTIVE && e1000e_now_us() - q->busy_us > BUSY_US))
		return sleep_until(q, ms);
	for (unsigned int i = 0; i < SPINS; i++)
		if (rx_ready(q, &status))
			return 0;
	sched_yield();
	return 0;
}

int e1000e_wait(struct e1000e_queue *q, struct e1000e_packet *packets, unsigned int max,
		unsigned int timeout_ms)
{
	uint64_t start = e1000e_now_ms(), now;
	unsigned int left;
	int n, err;

	for (;;) {
		if (q->nic->canceled)
			return FAIL(q, -ECANCELED, "e1000e: %s is about to be stopped",
				    q->nic->bdf);
		n = e1000e_rx(q, packets, max);
		if (n)
			q->busy_us = e1000e_now_us();
		/* Also while packets come, lest nobody notice that we are to end. */
		now = e1000e_now_ms();
		if (now - q->looked_ms >= LOOK_MS) {
			q->looked_ms = now;
			err = e1000e_look(q->nic, q->why, sizeof(q->why));
			if (err && !n)
				return err;
		}
		if (n)
			return n;
		if (now - start >= timeout_ms)
			return 0;
		/* Others may need what has been sent. */
		e1000e_queue_reclaim(q);
		left = timeout_ms - (unsigned int)(now - start);
		err = idle(q, left < LOOK_MS ? left : LOOK_MS);
		if (err)
			return err;
	}
}
