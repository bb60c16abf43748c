// SPDX-License-Identifier: BSD-3-Clause
/*
 * e1000e-tests BDF SLOT OTHER: the driver by its calls, where no program shows it; run by
 * in-guest. SLOT is the address of a card that has a slot of its own. OTHER is the Ethernet
 * address of the kernel's card, 10.9.0.1.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <e1000e.h>

#define BUFFERS 1024

static const char *bdf, *slot_bdf;
static uint8_t other[6];
static struct vdma_arena *arena;
static struct vdma_ioas *ioas;
static struct vdma_pool *pool;
static struct e1000e nic;

static void works(int err, const char *why, const char *call, int line)
{
	if (err) {
		print_error("%s = %d\n%s\n", call, err, why);
		_fail(__FILE__, line);
	}
}
#define WORKS(call) works((call), vdma_explain(), #call, __LINE__)
#define NIC_WORKS(call) works((call), nic.why, #call, __LINE__)

static void fails(int got, int err, const char *why, const char *word)
{
	printf("  | %s\n", why);
	assert_int_equal(got, err);
	if (!strstr(why, word))
		fail_msg("the text does not name '%s'", word);
}

/* The ledger of buffers is even after each: a pool with buffers out is not destroyed. */
static int set_up(void **state)
{
	(void)state;
	WORKS(vdma_arena_create(NULL, &arena));
	WORKS(vdma_ioas_create(arena, NULL, &ioas));
	WORKS(vdma_pool_create(arena, E1000E_RX_BUF_LEN, BUFFERS, NULL, &pool));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	NIC_WORKS(e1000e_close(&nic));
	WORKS(vdma_pool_destroy(pool));
	WORKS(vdma_ioas_destroy(ioas));
	WORKS(vdma_arena_destroy(arena));
	return 0;
}

static int open_with(struct e1000e_opts opts)
{
	return e1000e_open(&nic, arena, ioas, bdf, pool, &opts);
}

static void refusals(void **state)
{
	struct vdma_pool *good = pool;

	(void)state;
	fails(open_with((struct e1000e_opts){ .queues = 3 }), -EINVAL, nic.why, "3 queues");
	fails(open_with((struct e1000e_opts){ .rx_ring = 100 }), -EINVAL, nic.why,
	      "multiples of 8");
	fails(open_with((struct e1000e_opts){ .tx_ring = 8192 }), -EINVAL, nic.why, "8192");
	fails(open_with((struct e1000e_opts){ .frame = 9217 }), -EINVAL, nic.why, "9217");
	WORKS(vdma_pool_create(arena, 1024, BUFFERS, NULL, &pool));
	fails(open_with((struct e1000e_opts){ 0 }), -EINVAL, nic.why, "1024 bytes");
	WORKS(vdma_pool_destroy(pool));
	pool = good;
	/* More descriptors than buffers: told of when they are needed, and none is lost. */
	NIC_WORKS(open_with((struct e1000e_opts){ .rx_ring = 2048 }));
	fails(e1000e_start(&nic), -ENOMEM, nic.why, "takes 2047");
	NIC_WORKS(e1000e_close(&nic));
	NIC_WORKS(e1000e_close(&nic));
}

/* What CTRL.RST by somebody else, or a reset of the function, would leave of RCTL. */
static void reset_by_somebody(void **state)
{
	struct e1000e_packet packet;

	(void)state;
	NIC_WORKS(open_with((struct e1000e_opts){ 0 }));
	for (unsigned int i = 0; i < 3; i++) {
		NIC_WORKS(e1000e_start(&nic));
		NIC_WORKS(e1000e_look(&nic, nic.why, sizeof(nic.why)));
		vdma_mmio_write32(nic.regs, E1000E_RCTL, 0);
		fails(e1000e_wait(&nic.queues[0], &packet, 1, 1000), -ECONNRESET, nic.queues[0].why,
		      "somebody has reset");
		assert_int_equal(e1000e_stop(&nic), -ECONNRESET);
	}
	NIC_WORKS(e1000e_start(&nic));
	assert_int_equal(e1000e_wait(&nic.queues[0], &packet, 1, 50), 0);
	e1000e_cancel(&nic);
	fails(e1000e_wait(&nic.queues[0], &packet, 1, 1000), -ECANCELED, nic.queues[0].why,
	      "about to be stopped");
	NIC_WORKS(e1000e_close(&nic));
}

/*
 * The slot is reset under the driver; QEMU's card has no FLR, and does nothing when its power
 * state changes. No vectors: QEMU 7.2 ends itself if MSI-X goes off just after a message.
 */
static void reset_of_the_slot(void **state)
{
	struct e1000e_opts opts = { .mode = E1000E_POLL };
	struct e1000e_packet packet;

	(void)state;
	NIC_WORKS(e1000e_open(&nic, arena, ioas, slot_bdf, pool, &opts));
	for (unsigned int i = 0; i < 3; i++) {
		NIC_WORKS(e1000e_start(&nic));
		NIC_WORKS(e1000e_look(&nic, nic.why, sizeof(nic.why)));
		WORKS(vdma_device_hot_reset(nic.dev));
		fails(e1000e_wait(&nic.queues[0], &packet, 1, 1000), -ECONNRESET, nic.queues[0].why,
		      "somebody has reset");
		assert_int_equal(e1000e_stop(&nic), -ECONNRESET);
	}
	/* Its address, and the link, are as they were. */
	NIC_WORKS(e1000e_start(&nic));
	for (unsigned int i = 0; i < 50 && !e1000e_link(&nic); i++)
		assert_int_equal(e1000e_wait(&nic.queues[0], &packet, 1, 100), 0);
	assert_int_equal(e1000e_link(&nic), 1000);
	NIC_WORKS(e1000e_close(&nic));
}

static void put16(uint8_t *p, unsigned int value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

/* A connection's first segment to a port where nobody is: the answer is a reset, if all sums are right. */
#define FRAME_LEN 1014
static void build(uint8_t *frame)
{
	static const uint8_t addresses[8] = { 10, 9, 0, 8, 10, 9, 0, 1 };
	uint32_t sum = 6 + FRAME_LEN - 34;

	memset(frame, 0x5a, FRAME_LEN);
	memcpy(frame, other, 6);
	memcpy(frame + 6, nic.mac, 6);
	put16(frame + 12, 0x0800);
	memset(frame + 14, 0, 40);
	frame[14] = 0x45;
	put16(frame + 16, FRAME_LEN - 14);
	frame[22] = 64;
	frame[23] = 6;
	memcpy(frame + 26, addresses, 8);
	put16(frame + 34, 4000);
	put16(frame + 36, 9);
	frame[46] = 0x50;
	frame[47] = 0x02;
	put16(frame + 48, 1000);
	for (unsigned int i = 0; i < 8; i += 2)
		sum += (uint32_t)addresses[i] << 8 | addresses[i + 1];
	put16(frame + 50, (sum & 0xffff) + (sum >> 16));
}

/* That segment as a packet, of 5 buffers: headers are cut, too. */
static struct e1000e_packet make_syn(struct e1000e_queue *q)
{
	static const uint16_t lengths[] = { 17, 1, 30, 500, 466 };
	struct e1000e_packet syn = { .flags = E1000E_PUT_IP | E1000E_PUT_TCP,
				     .l3 = 14,
				     .l4 = 34,
				     .count = 5,
				     .len = FRAME_LEN };
	uint8_t frame[FRAME_LEN];
	uint32_t at = 0;

	build(frame);
	for (unsigned int i = 0; i < 5; i++) {
		struct e1000e_segment *s = &syn.segments[i];

		s->number = vdma_pool_get(q->handle);
		assert_true(s->number != VDMA_POOL_NONE);
		s->offset = (uint16_t)(100 * i + 1);
		s->len = lengths[i];
		memcpy((char *)vdma_pool_va(pool, s->number) + s->offset, frame + at, s->len);
		at += s->len;
	}
	assert_int_equal(at, FRAME_LEN);
	return syn;
}

/* Nothing comes until somebody is called. */
static void await_link(struct e1000e_queue *q)
{
	struct e1000e_packet packet;

	for (unsigned int i = 0; i < 50 && !e1000e_link(&nic); i++)
		assert_int_equal(e1000e_wait(q, &packet, 1, 100), 0);
}

static void sums_of_tcp(void **state)
{
	struct e1000e_packet packets[8], syn;
	struct e1000e_queue *q;
	bool answered = false;

	(void)state;
	NIC_WORKS(open_with((struct e1000e_opts){ 0 }));
	NIC_WORKS(e1000e_start(&nic));
	assert_true(e1000e_link(&nic) == 0 || e1000e_link(&nic) == 1000);
	q = &nic.queues[0];
	fails(e1000e_tx(q, &(struct e1000e_packet){ 0 }, 1), -EINVAL, q->why, "0 segments");
	syn = make_syn(q);
	await_link(q);
	assert_int_equal(e1000e_tx(q, &syn, 1), 1);
	for (unsigned int tries = 0; tries < 50 && !answered; tries++) {
		int n = e1000e_wait(q, packets, 8, 100);

		assert_true(n >= 0);
		for (int i = 0; i < n; i++) {
			const struct e1000e_segment *s = &packets[i].segments[0];
			const uint8_t *p = vdma_pool_va(pool, s->number);

			/* From port 9, a reset; the device found its sums right. */
			answered |= s->len >= 54 && p[12] == 8 && p[23] == 6 && p[35] == 9 &&
				    (p[47] & 4) && (packets[i].flags & E1000E_IP_GOOD) &&
				    (packets[i].flags & E1000E_L4_GOOD);
			e1000e_put(q, &packets[i]);
		}
	}
	assert_true(answered);
	assert_int_equal(e1000e_queue_reclaim(q), 0);
	NIC_WORKS(e1000e_close(&nic));
}

/* One packet has come that nobody takes, and one cannot go out: a stop counts both. */
static void what_a_stop_loses(void **state)
{
	struct e1000e_opts opts = { .mode = E1000E_POLL };
	struct e1000e_packet syn;
	struct e1000e_stats stats;
	struct e1000e_queue *q;
	bool came = false;

	(void)state;
	NIC_WORKS(open_with(opts));
	NIC_WORKS(e1000e_start(&nic));
	q = &nic.queues[0];
	await_link(q);
	syn = make_syn(q);
	assert_int_equal(e1000e_tx(q, &syn, 1), 1);
	for (uint64_t start = e1000e_now_ms(); !came && e1000e_now_ms() - start < 5000;) {
		const union e1000e_rx_desc *d = vdma_ring_at(&q->rx, q->rx.head);

		came = __atomic_load_n(&d->status, __ATOMIC_RELAXED) & E1000E_RXD_DD;
	}
	assert_true(came);
	vdma_mmio_write32(nic.regs, E1000E_TCTL, 0);
	syn = make_syn(q);
	assert_int_equal(e1000e_tx(q, &syn, 1), 1);
	fails(e1000e_stop(&nic), -ETIMEDOUT, nic.why, "did not send");
	assert_int_equal(q->tx_packets, 1);
	assert_int_equal(q->tx_bytes, FRAME_LEN);
	assert_int_equal(q->tx_dropped, 1);
	assert_int_equal(q->rx_packets, 0);
	assert_true(q->rx_dropped > 0);
	e1000e_read_stats(&nic, &stats);
	assert_int_equal(stats.tx_packets, 1);
	assert_int_equal(stats.rx_packets, q->rx_dropped);
	NIC_WORKS(e1000e_close(&nic));
}

/* A device whose BAR is in use is not closed, and keeps what it has. */
static void close_while_in_use(void **state)
{
	struct vdma_ioas_opts opts = { .size = sizeof(opts), .backend = VDMA_BACKEND_TYPE1 };
	struct vdma_region *region;

	(void)state;
	/* iommufd maps no BARs. */
	WORKS(vdma_ioas_destroy(ioas));
	WORKS(vdma_ioas_create(arena, &opts, &ioas));
	NIC_WORKS(open_with((struct e1000e_opts){ .mode = E1000E_POLL }));
	NIC_WORKS(e1000e_start(&nic));
	WORKS(vdma_region_import_bar(arena, nic.dev, E1000E_BAR, 0, 4096, NULL, &region));
	fails(e1000e_close(&nic), -EBUSY, nic.why, "vdma_region_import_bar");
	NIC_WORKS(e1000e_start(&nic));
	NIC_WORKS(e1000e_look(&nic, nic.why, sizeof(nic.why)));
	WORKS(vdma_region_destroy(region));
	NIC_WORKS(e1000e_close(&nic));
	assert_null(nic.dev);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(refusals, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reset_by_somebody, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reset_of_the_slot, set_up, tear_down),
		cmocka_unit_test_setup_teardown(sums_of_tcp, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_a_stop_loses, set_up, tear_down),
		cmocka_unit_test_setup_teardown(close_while_in_use, set_up, tear_down),
	};
	unsigned int part[6];

	if (argc != 4 || sscanf(argv[3], "%x:%x:%x:%x:%x:%x", &part[0], &part[1], &part[2],
				&part[3], &part[4], &part[5]) != 6) {
		fprintf(stderr, "Usage: e1000e-tests BDF SLOT OTHER\n");
		return 2;
	}
	bdf = argv[1];
	slot_bdf = argv[2];
	for (unsigned int i = 0; i < 6; i++)
		other[i] = (uint8_t)part[i];
	return cmocka_run_group_tests_name("driver", tests, NULL, NULL);
}
