/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What vdma-echo answers: ARP (RFC 826), ICMP echo (RFC 792) and UDP echo (RFC 862) over
 * IPv4 (RFC 791) on Ethernet. An answer is the packet that asked, changed where it lies.
 */
#ifndef ECHO_H
#define ECHO_H

#include "e1000e.h"

/**
 * struct echo - who answers
 * @mac: Ethernet address
 * @ip: IPv4 address
 * @port: of UDP
 */
struct echo {
	uint8_t mac[6];
	uint8_t ip[4];
	uint16_t port;
};

/* What was asked; ECHO_NONE: nothing that is answered, and the packet is as it was. */
enum echo_kind {
	ECHO_NONE,
	ECHO_ARP,
	ECHO_ICMP,
	ECHO_UDP,
	ECHO_KINDS,
};

/*
 * Makes a packet its answer, and tells which checksums the device is to put in. head:
 * where the packet's first segment lies.
 */
enum echo_kind echo_answer(const struct echo *e, uint8_t *head, struct e1000e_packet *packet);

#endif
