// SPDX-License-Identifier: BSD-3-Clause
/*
 * vdma-echo: answers ping and UDP echo from user space. Exit status: 0 if all went as it
 * should until SIGTERM or SIGINT came, 1 if not, 2 for wrong usage. If the controller was
 * opened it tells what was counted, however it ends.
 */
#define _GNU_SOURCE
#include "echo.h"
#include "program.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char usage[] =
	"Usage: vdma-echo [OPTIONS] BDF ADDRESS\n"
	"\n"
	"Drives the 82574L (QEMU's e1000e) at this PCI address, such as 0000:00:10.0, which has\n"
	"to be bound to vfio-pci, and answers for this IPv4 address: ARP, ping and UDP echo.\n"
	"Until SIGTERM or SIGINT, then it tells what it has seen.\n"
	"\n"
	"  --queues 1|2       threads, a queue for each (default 1)\n"
	"  --port N           of UDP echo (default 7)\n"
	"  --listen MAC       lets packets to this Ethernet address in, too, such as\n"
	"                     01:00:5e:00:00:01; they are counted, not answered; repeatable\n" PROGRAM_USAGE;

const char *const program_name = "vdma-echo";

#define LISTEN_MAX 64

struct worker {
	struct program *program;
	struct e1000e_queue *q;
	pthread_t thread;
	bool running;
	int err;
	uint64_t answers[ECHO_KINDS];
	uint64_t dropped;
};

struct program {
	struct space space;
	struct echo echo;
	uint8_t listen[LISTEN_MAX][6];
	unsigned int listen_count;
	struct e1000e nic;
	struct worker workers[E1000E_QUEUES];
	_Atomic unsigned int ended;
	bool told; /* to end, by a signal */
};

static void answer(struct worker *w, struct e1000e_packet *packets, unsigned int n)
{
	const struct vdma_pool *pool = w->program->space.pool;
	unsigned int answers = 0;
	int sent;

	for (unsigned int i = 0; i < n; i++) {
		const struct e1000e_segment *first = &packets[i].segments[0];
		uint8_t *head = (uint8_t *)vdma_pool_va(pool, first->number) + first->offset;
		enum echo_kind kind = echo_answer(&w->program->echo, head, &packets[i]);

		w->answers[kind]++;
		if (kind == ECHO_NONE)
			e1000e_put(w->q, &packets[i]);
		else
			packets[answers++] = packets[i];
	}
	sent = e1000e_tx(w->q, packets, answers);
	/* A ring that is full, as when the link is down: as any network would. */
	for (unsigned int i = sent < 0 ? 0 : (unsigned int)sent; i < answers; i++) {
		e1000e_put(w->q, &packets[i]);
		w->dropped++;
	}
}

static void *serve(void *arg)
{
	struct worker *w = arg;
	struct e1000e_packet packets[BURST];
	int n;

	while ((n = e1000e_wait(w->q, packets, BURST, 1000)) >= 0)
		answer(w, packets, (unsigned int)n);
	w->err = n;
	w->program->ended++;
	return NULL;
}

static void say_link(const struct program *p)
{
	unsigned int speed = e1000e_link(&p->nic);

	if (speed)
		printf("link up, %u Mb/s\n", speed);
	else
		printf("link down\n");
	fflush(stdout);
}

/* Threads that are there end; the error is that of the first that failed. */
static int join(struct program *p)
{
	int err = 0;

	e1000e_cancel(&p->nic);
	for (unsigned int i = 0; i < E1000E_QUEUES; i++) {
		struct worker *w = &p->workers[i];

		if (!w->running)
			continue;
		pthread_join(w->thread, NULL);
		w->running = false;
		if (w->err == -ECANCELED || err)
			continue;
		err = w->err;
		complain("answering", w->q->why);
	}
	return err;
}

/* Until a signal comes, which is 0, or a thread has failed. */
static int serve_until_told(struct program *p, const sigset_t *signals)
{
	const struct timespec tick = { .tv_nsec = 100000000 };
	unsigned int speed;
	int err;

	p->ended = 0;
	for (unsigned int i = 0; i < p->nic.opts.queues; i++) {
		struct worker *w = &p->workers[i];

		w->program = p;
		w->q = &p->nic.queues[i];
		err = pthread_create(&w->thread, NULL, serve, w);
		if (err) {
			join(p);
			return complain("starting a thread", strerror(err));
		}
		w->running = true;
	}
	speed = e1000e_link(&p->nic);
	say_link(p);
	while (!p->ended) {
		p->told = sigtimedwait(signals, NULL, &tick) > 0;
		if (p->told)
			break;
		if (e1000e_link(&p->nic) == speed)
			continue;
		speed = e1000e_link(&p->nic);
		say_link(p);
	}
	return join(p);
}

static int run(struct program *p, const char *bdf)
{
	const uint8_t *mac = p->nic.mac, *ip = p->echo.ip;
	sigset_t signals;
	int err;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	if (space_create(&p->space))
		return -1;
	if (e1000e_open(&p->nic, p->space.arena, p->space.ioas, bdf, p->space.pool, &p->space.opts))
		return complain("opening the controller", p->nic.why);
	memcpy(p->echo.mac, p->nic.mac, sizeof(p->echo.mac));
	if (e1000e_set_addresses(&p->nic, (const uint8_t(*)[6])p->listen, p->listen_count))
		return complain("listening", p->nic.why);
	do {
		if (e1000e_start(&p->nic))
			return complain("starting the controller", p->nic.why);
		printf("%s, %02x:%02x:%02x:%02x:%02x:%02x, answers for %u.%u.%u.%u\n", p->nic.bdf,
		       mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], ip[0], ip[1], ip[2], ip[3]);
		err = serve_until_told(p, &signals);
		if (e1000e_stop(&p->nic) && !err)
			err = complain("stopping the controller", p->nic.why);
		/* Somebody has reset it: anew. */
	} while (err == -ECONNRESET && !p->told);
	return err;
}

static void report(struct program *p)
{
	for (unsigned int i = 0; i < p->nic.opts.queues; i++) {
		const struct worker *w = &p->workers[i];

		report_queue(&p->nic.queues[i]);
		printf("ARP %" PRIu64 ", ICMP %" PRIu64 ", UDP %" PRIu64 ", others %" PRIu64
		       ", answers that were dropped %" PRIu64 "\n",
		       w->answers[ECHO_ARP], w->answers[ECHO_ICMP], w->answers[ECHO_UDP],
		       w->answers[ECHO_NONE], w->dropped);
	}
	report_device(&p->nic);
}

enum own_option_id {
	OPT_QUEUES = OPT_OWN,
	OPT_PORT,
	OPT_LISTEN,
};

static const struct option options[] = {
	PROGRAM_OPTIONS,
	{ "queues", required_argument, NULL, OPT_QUEUES },
	{ "port", required_argument, NULL, OPT_PORT },
	{ "listen", required_argument, NULL, OPT_LISTEN },
	{ NULL, 0, NULL, 0 },
};

static bool ethernet(const char *text, uint8_t *mac)
{
	unsigned int part[6];
	int used = 0;

	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &part[0], &part[1], &part[2], &part[3],
		   &part[4], &part[5], &used) != 6 ||
	    text[used])
		return false;
	for (unsigned int i = 0; i < 6; i++)
		mac[i] = (uint8_t)part[i];
	return true;
}

static bool set_option(struct program *p, int option, const char *text)
{
	unsigned long n;

	switch (option) {
	case OPT_QUEUES:
		if (!number(text, 1, E1000E_QUEUES, &n))
			return complain_about(text);
		p->space.opts.queues = (unsigned int)n;
		return true;
	case OPT_PORT:
		if (!number(text, 1, 65535, &n))
			return complain_about(text);
		p->echo.port = (uint16_t)n;
		return true;
	case OPT_LISTEN:
		if (p->listen_count == LISTEN_MAX || !ethernet(text, p->listen[p->listen_count]))
			return complain_about(text);
		p->listen_count++;
		return true;
	default: return set_shared_option(&p->space, option, text);
	}
}

static bool ipv4(const char *text, uint8_t *ip)
{
	unsigned int part[4];
	int used = 0;

	if (sscanf(text, "%3u.%3u.%3u.%3u%n", &part[0], &part[1], &part[2], &part[3], &used) != 4 ||
	    text[used])
		return false;
	for (unsigned int i = 0; i < 4; i++) {
		if (part[i] > 255)
			return false;
		ip[i] = (uint8_t)part[i];
	}
	return true;
}

int main(int argc, char **argv)
{
	static struct program p = { .echo.port = 7 };
	int option, err;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == OPT_HELP) {
			fputs(usage, stdout);
			return 0;
		}
		if (!set_option(&p, option, optarg))
			goto wrong;
	}
	if (argc - optind != 2)
		goto wrong;
	if (!ipv4(argv[optind + 1], p.echo.ip)) {
		fprintf(stderr, "vdma-echo: '%s' is no IPv4 address\n", argv[optind + 1]);
		goto wrong;
	}
	err = run(&p, argv[optind]);
	if (p.nic.dev)
		report(&p);
	/* In the reverse order of run(); what was never made is NULL. */
	if (e1000e_close(&p.nic))
		err = complain("closing the controller", p.nic.why);
	if (space_destroy(&p.space))
		err = -1;
	return err ? 1 : 0;

wrong:
	fputs("vdma-echo --help tells more\n", stderr);
	return 2;
}
