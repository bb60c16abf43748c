// SPDX-License-Identifier: BSD-3-Clause
/* Packets from one network card to another, from and into either memory. */
#include "contiguity.h"

#include <string.h>
#include <time.h>

#include "e1000e.h"
#include "sample.h"

#define BURST 32
#define BUFFERS 2048
#define FRAME 1514
#define LINK_MS 10000
/* Those that have not come by then are lost. */
#define WAY_MS 1000

struct nics {
	const struct contiguity *c;
	struct vdma_pool *pools[MEMORIES];
	struct e1000e ports[2];
	uint32_t segments; /* most that a packet had */
};

static void start(struct nics *n, struct vdma_pool *pool)
{
	static const struct e1000e_opts opts = { .mode = E1000E_POLL };
	const struct timespec ms = { .tv_nsec = 1000000 };
	uint64_t since;

	for (int i = 0; i < 2; i++)
		if (e1000e_open(&n->ports[i], n->c->arena, n->c->ioas, n->c->nics[i], pool,
				&opts) ||
		    e1000e_start(&n->ports[i]))
			contiguity_fail(n->c->nics[i], n->ports[i].why);
	since = e1000e_now_ms();
	while (!e1000e_link(&n->ports[0]) || !e1000e_link(&n->ports[1])) {
		if (e1000e_now_ms() - since > LINK_MS)
			contiguity_fail(n->c->nics[0], "the link does not come up");
		nanosleep(&ms, NULL);
	}
}

static void stop(struct nics *n)
{
	for (int i = 0; i < 2; i++)
		if (e1000e_close(&n->ports[i]))
			contiguity_fail(n->c->nics[i], n->ports[i].why);
}

/* An Ethernet header from the first card to the second, of the type for experiments. */
static void fill(const struct nics *n, struct vdma_pool *pool, struct e1000e_packet *packet)
{
	uint32_t number = vdma_pool_get(n->ports[0].queues[0].handle);
	uint8_t *frame;

	if (number == VDMA_POOL_NONE)
		contiguity_fail("a packet", vdma_explain());
	frame = vdma_pool_va(pool, number);
	memcpy(frame, n->ports[1].mac, 6);
	memcpy(frame + 6, n->ports[0].mac, 6);
	frame[12] = 0x88;
	frame[13] = 0xb5;
	*packet = (struct e1000e_packet){ .count = 1, .len = FRAME };
	packet->segments[0] = (struct e1000e_segment){ .number = number, .len = FRAME };
}

static void burst(struct nics *n, struct vdma_pool *pool)
{
	struct e1000e_queue *out = &n->ports[0].queues[0], *in = &n->ports[1].queues[0];
	struct e1000e_packet packets[BURST];
	int got = 0, more;

	for (int i = 0; i < BURST; i++)
		fill(n, pool, &packets[i]);
	if (e1000e_tx(out, packets, BURST) != BURST)
		contiguity_fail("sending", "the ring is full");
	while (got < BURST) {
		more = e1000e_wait(in, packets, BURST, WAY_MS);
		if (more <= 0)
			contiguity_fail("receiving", more ? in->why : "packets were lost");
		for (int i = 0; i < more; i++) {
			if (packets[i].count > n->segments)
				n->segments = packets[i].count;
			e1000e_put(in, &packets[i]);
		}
		got += more;
	}
	e1000e_queue_reclaim(out);
}

static double packet_ns(void *ctx, enum memory memory)
{
	struct nics *n = ctx;
	unsigned int done = 0;
	double begin, took;

	start(n, n->pools[memory]);
	begin = now_ns();
	do {
		burst(n, n->pools[memory]);
		done += BURST;
		took = now_ns() - begin;
	} while (took < n->c->slice_ns);
	stop(n);
	return took / done;
}

void contiguity_nics(const struct contiguity *c)
{
	struct nics n = { .c = c };

	for (int m = 0; m < MEMORIES; m++) {
		struct vdma_region_opts region = contiguity_opts((enum memory)m);
		const struct vdma_pool_opts opts = { .size = sizeof(opts), .region = &region };

		if (vdma_pool_create(c->arena, E1000E_RX_BUF_LEN, BUFFERS, &opts, &n.pools[m]))
			contiguity_fail("a pool", vdma_explain());
	}
	contiguity_time(c, "e1000e, packets of 1,514 bytes", packet_ns, &n);
	if (n.segments != 1)
		contiguity_fail("receiving", "a packet had more than one descriptor");
	for (int m = 0; m < MEMORIES; m++)
		if (vdma_pool_destroy(n.pools[m]))
			contiguity_fail("a pool", vdma_explain());
}
