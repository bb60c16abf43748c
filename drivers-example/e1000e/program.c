// SPDX-License-Identifier: BSD-3-Clause
#define _POSIX_C_SOURCE 200809L
#include "program.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rings of two queues or ports take 1024 buffers, and threads keep some at hand. */
#define BUFFERS 4096
#define ETHERNET_LEN 14

static const char *const backends[] = { "auto", "type1", "iommufd", "noiommu" };
static const char *const modes[] = { "adaptive", "interrupt", "poll" };

int complain(const char *what, const char *why)
{
	fflush(stdout);
	fprintf(stderr, "%s: %s failed\n%s\n", program_name, what, why);
	return -1;
}

bool complain_about(const char *text)
{
	fprintf(stderr, "%s: '%s' is no value for this option\n", program_name, text);
	return false;
}

bool number(const char *text, unsigned long min, unsigned long max, unsigned long *value)
{
	char *end;

	errno = 0;
	*value = strtoul(text, &end, 10);
	return !errno && end != text && !*end && text[0] != '-' && *value >= min && *value <= max;
}

static bool choice(const char *text, const char *const *words, size_t n, unsigned int *value)
{
	for (*value = 0; *value < n; (*value)++)
		if (!strcmp(text, words[*value]))
			return true;
	return false;
}

bool set_shared_option(struct space *s, int option, const char *text)
{
	unsigned int word = 0;
	unsigned long n = 0;
	bool good;

	switch (option) {
	case OPT_MTU:
		good = number(text, 1500, 9000, &n);
		s->opts.frame = (uint32_t)n + ETHERNET_LEN;
		break;
	case OPT_MODE:
		good = choice(text, modes, 3, &word);
		s->opts.mode = (enum e1000e_mode)word;
		break;
	case OPT_BACKEND:
		good = choice(text, backends, 4, &word);
		s->backend = (enum vdma_backend)word;
		break;
	default: return false;
	}
	return good || complain_about(text);
}

int space_create(struct space *s)
{
	struct vdma_arena_opts arena = { .size = sizeof(arena) };
	struct vdma_ioas_opts ioas = { .size = sizeof(ioas), .backend = s->backend };

	if (s->backend == VDMA_BACKEND_AUTO)
		arena.translation = VDMA_TRANSLATION_AUTO;
	else if (s->backend == VDMA_BACKEND_NOIOMMU)
		arena.translation = VDMA_TRANSLATION_PHYSICAL;
	/* A device that is pulled out ends in an error, not in SIGBUS. */
	if (vdma_bus_guard(1))
		return complain("watching for devices that go", vdma_explain());
	if (vdma_arena_create(&arena, &s->arena))
		return complain("reserving addresses", vdma_explain());
	if (vdma_ioas_create(s->arena, &ioas, &s->ioas))
		return complain("opening an I/O address space", vdma_explain());
	if (vdma_pool_create(s->arena, E1000E_RX_BUF_LEN, BUFFERS, NULL, &s->pool))
		return complain("memory for packets", vdma_explain());
	return 0;
}

int space_destroy(struct space *s)
{
	if (vdma_pool_destroy(s->pool) || vdma_ioas_destroy(s->ioas) ||
	    vdma_arena_destroy(s->arena))
		return complain("giving everything back", vdma_explain());
	return 0;
}

void report_queue(const struct e1000e_queue *q)
{
	printf("%s queue %u: in %" PRIu64 " (%" PRIu64 " bytes), out %" PRIu64 " (%" PRIu64
	       " bytes), dropped %" PRIu64 ", unsent %" PRIu64 ", short of buffers %" PRIu64
	       ", slept %" PRIu64 " times\n",
	       q->nic->bdf, q->id, q->rx_packets, q->rx_bytes, q->tx_packets, q->tx_bytes,
	       q->rx_dropped, q->tx_dropped, q->no_buffer, q->sleeps);
}

void report_device(struct e1000e *nic)
{
	struct e1000e_stats s;

	e1000e_read_stats(nic, &s);
	printf("%s: in %" PRIu64 ", out %" PRIu64 ", missed %" PRIu64
	       ", without descriptors %" PRIu64 ", CRC errors %" PRIu64 ", data errors %" PRIu64
	       ", too long %" PRIu64 "\n",
	       nic->bdf, s.rx_packets, s.tx_packets, s.missed, s.no_buffers, s.crc_errors,
	       s.data_errors, s.too_long);
}
