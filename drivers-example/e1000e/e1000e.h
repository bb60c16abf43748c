/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver of the Intel 82574L network controller, which QEMU calls e1000e. To be read
 * beside the Intel 82574 GbE Controller Family Datasheet, revision 2.7, whose sections
 * are named here; where QEMU 7.2's e1000e is another, "Erratum" says so:
 *
 *	spec.h    registers and descriptors
 *	nic.c     reset, PHY, link, start and stop, statistics
 *	filter.c  which packets come in
 *	queue.c   packets in and out, polling and interrupts
 *
 *	vdma_pool_create(arena, E1000E_RX_BUF_LEN, 4096, NULL, &pool);
 *	e1000e_open(&nic, arena, ioas, "0000:00:10.0", pool, NULL);
 *	e1000e_start(&nic);
 *	q = &nic.queues[0];
 *	while ((n = e1000e_wait(q, packets, 32, 1000)) >= 0) {
 *		...		what e1000e_tx() has not taken is put back
 *		sent = e1000e_tx(q, packets, n);
 *	}
 *	e1000e_stop(&nic);
 *	e1000e_close(&nic);
 *
 * A packet is a list of the pool's buffers, each with some of its bytes. Who has the
 * packet owns them: e1000e_rx() gives them to the program, e1000e_tx() takes them and
 * puts them back when the device has read them. So several ports that have one pool
 * pass packets on without a copy.
 *
 * Threads: a queue is used by one thread at a time, with all that is in it, its handle
 * included; no call on it takes a lock. Of the calls on the controller e1000e_look(),
 * e1000e_cancel() and e1000e_link() are for any thread at any time, e1000e_read_stats() for
 * one at a time; all others for one thread, while none uses a queue.
 *
 * Skipped: VLAN tags, segmentation offload, flow control, header split, wake-up,
 * time stamps, manageability, half duplex.
 */
#ifndef E1000E_H
#define E1000E_H

#include <stdatomic.h>
#include <stdbool.h>
#include <vdma.h>

#include "spec.h"

/* 7.1.11, 7.2: the device has two of each kind. */
#define E1000E_QUEUES 2U
/* Descriptors of a ring; their number is a multiple of 8 (7.1.8, 7.2.4). */
#define E1000E_RING_MIN 64U
#define E1000E_RING_MAX 4096U
/* Bytes of a frame with its header, without its CRC: the device takes 9 KB. */
#define E1000E_FRAME_MIN 1514U
#define E1000E_FRAME_MAX 9216U
/* Buffers that a packet may have; a received one of E1000E_FRAME_MAX bytes has 5. */
#define E1000E_SEGMENTS 8U

struct e1000e;

/**
 * enum e1000e_mode - how a queue's thread learns of packets
 * @E1000E_ADAPTIVE: it looks for more as long as they come, then sleeps until MSI-X tells
 * @E1000E_INTERRUPT: it sleeps whenever there are none
 * @E1000E_POLL: it looks all the time; no vectors are used
 */
enum e1000e_mode {
	E1000E_ADAPTIVE,
	E1000E_INTERRUPT,
	E1000E_POLL,
};

/**
 * struct e1000e_opts - how a controller is used; all-zero is the default
 * @queues: 1 or 2, each with a ring in and a ring out; 0 for 1. Of two, a hash of IPv4
 *          addresses (with TCP's ports) tells which gets a packet; all else gets queue 0
 * @rx_ring: descriptors of a ring in, a multiple of 8; 0 for 256
 * @tx_ring: the same of a ring out
 * @frame: bytes of the longest frame, from E1000E_FRAME_MIN to _MAX; 0 for 1514. Longer
 *         ones that come nevertheless are dropped
 * @mode: see enum e1000e_mode
 */
struct e1000e_opts {
	unsigned int queues;
	uint32_t rx_ring;
	uint32_t tx_ring;
	uint32_t frame;
	enum e1000e_mode mode;
};

/**
 * struct e1000e_segment - a part of a packet
 * @number: of the buffer
 * @offset: of the first byte in it
 * @len: bytes, at least 1
 */
struct e1000e_segment {
	uint32_t number;
	uint16_t offset;
	uint16_t len;
};

/* A received packet's checksums, where the device looked at them. */
#define E1000E_IP_GOOD (1U << 0)
#define E1000E_IP_BAD (1U << 1)
#define E1000E_L4_GOOD (1U << 2)
#define E1000E_L4_BAD (1U << 3)
/*
 * Those that the device is to put into a packet: IPv4's, in whose place is 0; UDP's or
 * TCP's, in whose place is the sum of the pseudo header, folded and not inverted.
 */
#define E1000E_PUT_IP (1U << 8)
#define E1000E_PUT_UDP (1U << 9)
#define E1000E_PUT_TCP (1U << 10)

/**
 * struct e1000e_packet - a packet from its Ethernet header on, without its CRC
 * @count: segments, 1 to E1000E_SEGMENTS
 * @flags: E1000E_IP_GOOD and so on
 * @l3: with E1000E_PUT_*: where the IP header begins in the packet
 * @l4: where the header of UDP or TCP does
 * @len: bytes of all segments
 * @segments: its parts
 */
struct e1000e_packet {
	uint32_t count;
	uint32_t flags;
	uint8_t l3;
	uint8_t l4;
	uint32_t len;
	struct e1000e_segment segments[E1000E_SEGMENTS];
};

/**
 * struct e1000e_tx_slot - what a descriptor on its way out belongs to
 * @number: its buffer; VDMA_POOL_NONE for a context
 * @last: slot of the packet's last descriptor, in its first one
 * @len: bytes of the packet, there, too
 *
 * In memory that no device can write.
 */
struct e1000e_tx_slot {
	uint32_t number;
	uint32_t last;
	uint32_t len;
};

/**
 * struct e1000e_queue - a ring in and a ring out
 * @nic: whose
 * @id: 0 or 1, and its vector's number
 * @handle: to the pool
 * @rx: ring in
 * @tx: ring out
 * @rx_numbers: buffers by slot of @rx
 * @tx_slots: by slot of @tx
 * @partial: the packet whose first segments have come
 * @skip: the rest of a packet that was dropped is still to come
 * @busy_us: when packets came last
 * @looked_ms: when the controller was last looked at
 * @rx_packets: packets that came
 * @rx_bytes: their bytes
 * @rx_dropped: packets that were wrong or too long, or in the ring when it was stopped
 * @tx_packets: packets that went out; those that e1000e_queue_reclaim() has not seen yet are
 *              not among them, so after e1000e_stop() it is exact
 * @tx_bytes: their bytes
 * @tx_dropped: packets that e1000e_tx() took, and that a stop threw away
 * @no_buffer: times that the pool had too few for the ring
 * @sleeps: times that the thread has slept
 * @why: after a failed call: cause and remedy in words
 */
struct e1000e_queue {
	struct e1000e *nic;
	unsigned int id;
	struct vdma_pool_handle *handle;
	struct vdma_ring rx, tx;
	uint32_t *rx_numbers;
	struct e1000e_tx_slot *tx_slots;
	struct e1000e_packet partial;
	bool skip;
	uint64_t busy_us;
	uint64_t looked_ms;
	uint64_t rx_packets, rx_bytes, rx_dropped;
	uint64_t tx_packets, tx_bytes, tx_dropped;
	uint64_t no_buffer;
	uint64_t sleeps;
	char why[1024];
};

/**
 * struct e1000e_stats - 10.2.7: what the device has counted since e1000e_open()
 * @rx_packets: received
 * @rx_bytes: their bytes, with CRC
 * @tx_packets: sent
 * @tx_bytes: their bytes, with CRC
 * @missed: packets for which it had no room
 * @no_buffers: packets that found no descriptor
 * @crc_errors: packets with a wrong CRC
 * @data_errors: packets that the PHY saw errors in
 * @too_long: packets longer than the device takes
 */
struct e1000e_stats {
	uint64_t rx_packets, rx_bytes;
	uint64_t tx_packets, tx_bytes;
	uint64_t missed;
	uint64_t no_buffers;
	uint64_t crc_errors;
	uint64_t data_errors;
	uint64_t too_long;
};

/**
 * struct e1000e - an open controller
 * @arena: where rings' memory comes from
 * @pool: where packets lie
 * @dev: the PCI function
 * @bdf: its address
 * @regs: BAR 0
 * @removal_fd: readable when the device has to go; -1 if nobody tells
 * @mac: its address
 * @others: more addresses to which packets come
 * @others_count: how many
 * @multicast: a bit for each hash of multicast addresses to which packets come
 * @opts: as asked for, without zeroes
 * @filter: bits of RCTL that let more packets in
 * @rctl: what RCTL was set to; 0 while it is stopped
 * @canceled: see e1000e_cancel()
 * @queues: opts.queues of them
 * @stats: what was counted until the last reading
 * @why: after a failed call on the controller: cause and remedy in words
 */
struct e1000e {
	struct vdma_arena *arena;
	struct vdma_pool *pool;
	struct vdma_device *dev;
	char bdf[16];
	void *regs;
	int removal_fd;
	uint8_t mac[6];
	uint8_t others[E1000E_RA_COUNT - 1][6];
	unsigned int others_count;
	uint32_t multicast[E1000E_MTA_COUNT];
	struct e1000e_opts opts;
	uint32_t filter;
	uint32_t rctl;
	_Atomic bool canceled;
	struct e1000e_queue queues[E1000E_QUEUES];
	struct e1000e_stats stats;
	char why[1024];
};

/*
 * Each call returns 0 (or what it says) or a negative errno, and leaves words in why
 * of the controller or the queue then:
 *
 *	-ENODEV      the device is gone or has to go: e1000e_close()
 *	-ECONNRESET  somebody has reset it: e1000e_stop(), e1000e_start()
 *	-ETIMEDOUT   it did not answer in time
 *	-ECANCELED   e1000e_cancel() was called
 */

/* nic.c */

/*
 * Takes the controller at bdf and resets it. pool: its buffers have at least
 * E1000E_RX_BUF_LEN bytes; it stays the program's, and has to have some more of them than
 * all rings of its ports have descriptors. Besides: what vdma_device_open() and
 * vdma_buf_alloc() return; -EINVAL (options, pool), -ENODEV (another device), -ENOSPC
 * (vectors).
 */
int e1000e_open(struct e1000e *nic, struct vdma_arena *arena, struct vdma_ioas *ioas,
		const char *bdf, struct vdma_pool *pool, const struct e1000e_opts *opts);

/*
 * Stops it, and gives everything back. Allowed after a failed e1000e_open(), and again.
 * After an error of e1000e_stop() it is closed nevertheless. After one of
 * vdma_device_close() it is stopped, but open, and nothing was given back: -EBUSY while there
 * is a region that is part of one of its BARs (vdma_region_import_bar()). Destroy that, and
 * call this again.
 */
int e1000e_close(struct e1000e *nic);

/* Fills rings and lets packets in and out. The link comes up when it does. */
int e1000e_start(struct e1000e *nic);

/*
 * Lets no more packets in, waits until those on their way out are sent, and resets. All
 * buffers are back in the pool, but for those of packets that the program has. What has
 * come and nobody has taken counts in rx_dropped, what did not get out in tx_dropped. An
 * error tells that packets were lost; -ETIMEDOUT may also tell, why says so then, that the
 * device has requests under way, to buffers that are in the pool. It is stopped in any case.
 */
int e1000e_stop(struct e1000e *nic);

/* Has e1000e_wait() end with -ECANCELED, soon, until e1000e_start(). Any thread, any time. */
void e1000e_cancel(struct e1000e *nic);

/* Is the controller there, and does it work? why is where words go. Thread-safe. */
int e1000e_look(struct e1000e *nic, char *why, size_t size);

/* Speed in Mb/s, 0 if the link is down. */
unsigned int e1000e_link(const struct e1000e *nic);

/* Of a device that is gone or closed: what was there the last time that it was read. */
void e1000e_read_stats(struct e1000e *nic, struct e1000e_stats *stats);

/* filter.c */

/*
 * Which packets come besides broadcast and those to mac: all of them; or those to n more
 * addresses. Others may come, too: multicast addresses are filtered by a hash. -ENOSPC:
 * more than 15 addresses that are not multicast.
 */
void e1000e_set_promiscuous(struct e1000e *nic, bool on);
int e1000e_set_addresses(struct e1000e *nic, const uint8_t (*macs)[6], unsigned int n);
/* What nic.c needs: tells the device. */
void e1000e_filter_write(const struct e1000e *nic);

/* queue.c */

/*
 * What nic.c needs: memory; an empty ring with buffers for the device; all buffers back, when
 * the device does not reach memory any more, with the packets in them counted as dropped.
 */
int e1000e_queue_create(struct e1000e *nic, unsigned int id);
void e1000e_queue_destroy(struct e1000e_queue *q);
int e1000e_queue_fill(struct e1000e_queue *q);
void e1000e_queue_empty(struct e1000e_queue *q);
/*
 * Puts buffers of packets that are sent back, and counts those; how many descriptors are
 * still under way.
 */
uint32_t e1000e_queue_reclaim(struct e1000e_queue *q);

/*
 * Up to max packets that have come, without waiting, for the program to send on or to
 * give back.
 */
int e1000e_rx(struct e1000e_queue *q, struct e1000e_packet *packets, unsigned int max);

/*
 * The same, but waits until there is one, timeout_ms milliseconds at most, as the
 * mode says. 0 when the time is over.
 */
int e1000e_wait(struct e1000e_queue *q, struct e1000e_packet *packets, unsigned int max,
		unsigned int timeout_ms);

/*
 * For who waits for several queues: has the queue's vector fire when a packet comes; false
 * if there is one already, and then it does not. After the wait for its descriptor
 * (vdma_device_irq_fd(), vector q->id) e1000e_disarm() has it be quiet again.
 */
bool e1000e_arm(struct e1000e_queue *q);
void e1000e_disarm(struct e1000e_queue *q);

/*
 * Sends packets, and owns their buffers from then on. Returns how many it took: fewer
 * than n if the ring is full. -EINVAL, if the first is no packet that can be sent.
 */
int e1000e_tx(struct e1000e_queue *q, const struct e1000e_packet *packets, unsigned int n);

/* Gives a packet's buffers back. */
void e1000e_put(struct e1000e_queue *q, const struct e1000e_packet *packet);

/* Milliseconds and microseconds of a clock that only goes forward. */
uint64_t e1000e_now_ms(void);
uint64_t e1000e_now_us(void);
/* Writes words, returns err. */
int e1000e_fail(char *why, size_t size, int err, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#endif
