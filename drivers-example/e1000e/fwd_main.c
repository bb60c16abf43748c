// SPDX-License-Identifier: BSD-3-Clause
/*
 * vdma-fwd: a wire from one port to another through user space, without a copy: what the
 * one device has written into a buffer the other reads there. Exit status: 0 if all went
 * as it should until SIGTERM or SIGINT came, 1 if not, 2 for wrong usage. Of ports that were
 * opened it tells what they have counted, however it ends.
 */
#define _GNU_SOURCE
#include "program.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
	"Usage: vdma-fwd [OPTIONS] BDF BDF\n"
	"\n"
	"Drives the 82574Ls (QEMU's e1000e) at these PCI addresses, such as 0000:00:10.0, which\n"
	"have to be bound to vfio-pci, and passes each packet that comes to one on to the other.\n"
	"Until SIGTERM or SIGINT, then it tells what it has seen.\n"
	"\n" PROGRAM_USAGE;

const char *const program_name = "vdma-fwd";

#define PORTS 2
/* As e1000e_wait() has it: between looks at the ports, and polling after the last packet. */
#define LOOK_MS 20
#define BUSY_US 200

struct program {
	struct space space;
	struct e1000e ports[PORTS];
	unsigned int links[PORTS];
	uint64_t dropped[PORTS];
};

static volatile sig_atomic_t told;

static void on_signal(int signal)
{
	(void)signal;
	told = 1;
}

/* What has come to one port goes out through the other. */
static unsigned int forward(struct program *p, unsigned int from)
{
	struct e1000e_queue *in = &p->ports[from].queues[0], *out = &p->ports[!from].queues[0];
	struct e1000e_packet packets[BURST];
	int n = e1000e_rx(in, packets, BURST), sent;

	for (int i = 0; i < n; i++)
		packets[i].flags = 0;
	sent = n ? e1000e_tx(out, packets, (unsigned int)n) : 0;
	/* A ring that is full, as when the link is down: as any network would. */
	for (int i = sent < 0 ? 0 : sent; i < n; i++) {
		e1000e_put(in, &packets[i]);
		p->dropped[!from]++;
	}
	return (unsigned int)n;
}

/* Until a packet comes to either, or it is time to look at the ports. */
static int rest(struct program *p)
{
	struct pollfd fds[PORTS] = { { .fd = -1 }, { .fd = -1 } };
	bool quiet = true;

	for (unsigned int i = 0; i < PORTS; i++) {
		if (vdma_device_irq_fd(p->ports[i].dev, 0, &fds[i].fd))
			return complain("waiting", vdma_explain());
		fds[i].events = POLLIN;
	}
	for (unsigned int i = 0; i < PORTS; i++)
		quiet = e1000e_arm(&p->ports[i].queues[0]) && quiet;
	if (quiet && !told)
		poll(fds, PORTS, LOOK_MS);
	for (unsigned int i = 0; i < PORTS; i++) {
		e1000e_disarm(&p->ports[i].queues[0]);
		/* Takes the event, if there is one. */
		vdma_device_irq_wait(p->ports[i].dev, 0, 0, NULL);
	}
	return 0;
}

/* Are the ports there, and have their links changed? */
static int look(struct program *p)
{
	bool changed = false;

	for (unsigned int i = 0; i < PORTS; i++) {
		struct e1000e *port = &p->ports[i];
		int err = e1000e_look(port, port->why, sizeof(port->why));

		if (err) {
			complain("forwarding", port->why);
			return err;
		}
		changed |= e1000e_link(port) != p->links[i];
		p->links[i] = e1000e_link(port);
		/* Buffers that were sent are needed by the other one. */
		e1000e_queue_reclaim(&port->queues[0]);
	}
	if (changed)
		printf("link %u and %u Mb/s\n", p->links[0], p->links[1]);
	fflush(stdout);
	return 0;
}

/* Until a signal comes, which is 0, or a port has failed. */
static int forward_until_told(struct program *p)
{
	uint64_t busy_us = e1000e_now_us(), looked_us = 0, now;
	enum e1000e_mode mode = p->space.opts.mode;
	int err;

	while (!told) {
		unsigned int moved = forward(p, 0) + forward(p, 1);

		now = e1000e_now_us();
		if (now - looked_us >= LOOK_MS * 1000) {
			looked_us = now;
			err = look(p);
			if (err)
				return err;
		}
		if (moved)
			busy_us = now;
		else if (mode == E1000E_POLL ||
			 (mode == E1000E_ADAPTIVE && now - busy_us < BUSY_US))
			sched_yield();
		else if (rest(p))
			return -1;
	}
	return 0;
}

static int run(struct program *p, char **bdfs)
{
	const struct sigaction action = { .sa_handler = on_signal };
	int err = 0;

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	if (space_create(&p->space))
		return -1;
	for (unsigned int i = 0; i < PORTS; i++) {
		struct e1000e *port = &p->ports[i];

		if (e1000e_open(port, p->space.arena, p->space.ioas, bdfs[i], p->space.pool,
				&p->space.opts))
			return complain("opening a port", port->why);
		e1000e_set_promiscuous(port, true);
	}
	do {
		for (unsigned int i = 0; i < PORTS; i++)
			if (e1000e_start(&p->ports[i]))
				return complain("starting a port", p->ports[i].why);
		printf("%s and %s\n", p->ports[0].bdf, p->ports[1].bdf);
		err = forward_until_told(p);
		for (unsigned int i = 0; i < PORTS; i++)
			if (e1000e_stop(&p->ports[i]) && !err)
				err = complain("stopping a port", p->ports[i].why);
		/* Somebody has reset one: anew. */
	} while (err == -ECONNRESET && !told);
	return err;
}

static const struct option options[] = {
	PROGRAM_OPTIONS,
	{ NULL, 0, NULL, 0 },
};

int main(int argc, char **argv)
{
	static struct program p;
	int option, err;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == OPT_HELP) {
			fputs(usage, stdout);
			return 0;
		}
		if (!set_shared_option(&p.space, option, optarg))
			goto wrong;
	}
	if (argc - optind != PORTS)
		goto wrong;
	err = run(&p, argv + optind);
	for (unsigned int i = 0; i < PORTS; i++) {
		if (!p.ports[i].dev)
			continue;
		report_queue(&p.ports[i].queues[0]);
		printf("dropped before it %" PRIu64 "\n", p.dropped[i]);
		report_device(&p.ports[i]);
	}
	/* In the reverse order of run(); what was never made is NULL. */
	for (unsigned int i = PORTS; i-- > 0;)
		if (e1000e_close(&p.ports[i]))
			err = complain("closing a port", p.ports[i].why);
	if (space_destroy(&p.space))
		err = -1;
	return err ? 1 : 0;

wrong:
	fputs("vdma-fwd --help tells more\n", stderr);
	return 2;
}
