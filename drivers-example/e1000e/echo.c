// SPDX-License-Identifier: BSD-3-Clause
#include "echo.h"

#include <string.h>

/* Ethernet II: where its fields and what it carries begin */
#define ETH_DST 0
#define ETH_SRC 6
#define ETH_TYPE 12
#define ETH_LEN 14
#define ETH_TYPE_IPV4 0x0800
#define ETH_TYPE_ARP 0x0806

/* RFC 826, of Ethernet and IPv4: from ETH_LEN on */
#define ARP_KINDS 0 /* hardware, protocol, and the lengths of their addresses */
#define ARP_OP 6
#define ARP_SENDER_MAC 8
#define ARP_SENDER_IP 14
#define ARP_TARGET_MAC 18
#define ARP_TARGET_IP 24
#define ARP_LEN 28
#define ARP_REQUEST 1
#define ARP_REPLY 2

/* RFC 791: from ETH_LEN on */
#define IP_VERSION 0
#define IP_TOTAL 2
#define IP_FRAGMENT 6
#define IP_TTL 8
#define IP_PROTOCOL 9
#define IP_SUM 10
#define IP_SRC 12
#define IP_DST 16
#define IP_LEN 20
#define IP_PROTOCOL_ICMP 1
#define IP_PROTOCOL_UDP 17

/* RFC 792, RFC 768: from the end of the IP header on */
#define ICMP_TYPE 0
#define ICMP_SUM 2
#define ICMP_ECHO 0x0800 /* type and code */
#define ICMP_ECHO_REPLY 0x0000
#define UDP_SRC 0
#define UDP_DST 2
#define UDP_LENGTH 4
#define UDP_SUM 6
#define L4_LEN 8 /* both headers */

#define TTL 64

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, uint16_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

/* RFC 1071: a sum in ones' complement. */
static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void swap(uint8_t *a, uint8_t *b, size_t len)
{
	uint8_t kept[6];

	memcpy(kept, a, len);
	memcpy(a, b, len);
	memcpy(b, kept, len);
}

static enum echo_kind answer_arp(const struct echo *e, uint8_t *head, struct e1000e_packet *packet)
{
	static const uint8_t kinds[6] = { 0, 1, 8, 0, 6, 4 };
	uint8_t *arp = head + ETH_LEN;

	if (packet->segments[0].len < ETH_LEN + ARP_LEN ||
	    memcmp(arp + ARP_KINDS, kinds, sizeof(kinds)) != 0 ||
	    get16(arp + ARP_OP) != ARP_REQUEST || memcmp(arp + ARP_TARGET_IP, e->ip, 4) != 0 ||
	    arp[ARP_SENDER_MAC] & 1)
		return ECHO_NONE;
	put16(arp + ARP_OP, ARP_REPLY);
	memcpy(arp + ARP_TARGET_MAC, arp + ARP_SENDER_MAC, 6);
	memcpy(arp + ARP_TARGET_IP, arp + ARP_SENDER_IP, 4);
	memcpy(arp + ARP_SENDER_MAC, e->mac, 6);
	memcpy(arp + ARP_SENDER_IP, e->ip, 4);
	memcpy(head + ETH_DST, arp + ARP_TARGET_MAC, 6);
	memcpy(head + ETH_SRC, e->mac, 6);
	packet->flags = 0;
	return ECHO_ARP;
}

/*
 * The device has looked at all sums but ICMP's, which changes by what the type does (RFC
 * 1624): if it was wrong it stays so, and whoever asked notices.
 */
static enum echo_kind answer_icmp(uint8_t *icmp)
{
	if (get16(icmp + ICMP_TYPE) != ICMP_ECHO)
		return ECHO_NONE;
	put16(icmp + ICMP_TYPE, ICMP_ECHO_REPLY);
	put16(icmp + ICMP_SUM, (uint16_t)~fold((uint16_t)~get16(icmp + ICMP_SUM) +
					       (uint16_t)~ICMP_ECHO + ICMP_ECHO_REPLY));
	return ECHO_ICMP;
}

/*
 * The device adds the sum of header and data to that of the pseudo header, which is there
 * (RFC 768). Two such services would go on for ever, so none is answered from its own port.
 */
static enum echo_kind answer_udp(const struct echo *e, const uint8_t *ip, uint8_t *udp,
				 uint16_t len, struct e1000e_packet *packet)
{
	uint32_t sum = IP_PROTOCOL_UDP + len;

	if (get16(udp + UDP_DST) != e->port || get16(udp + UDP_SRC) == e->port ||
	    !get16(udp + UDP_SRC) || get16(udp + UDP_LENGTH) != len ||
	    packet->flags & E1000E_L4_BAD)
		return ECHO_NONE;
	swap(udp + UDP_SRC, udp + UDP_DST, 2);
	packet->flags = 0;
	/* 0: there is none, and so there is none in the answer. */
	if (!get16(udp + UDP_SUM))
		return ECHO_UDP;
	for (unsigned int i = IP_SRC; i < IP_LEN; i += 2)
		sum += get16(ip + i);
	put16(udp + UDP_SUM, fold(sum));
	packet->flags = E1000E_PUT_UDP;
	return ECHO_UDP;
}

/* Without options and in one piece: nothing is put together here. */
static enum echo_kind answer_ip(const struct echo *e, uint8_t *head, struct e1000e_packet *packet)
{
	struct e1000e_segment *last = &packet->segments[packet->count - 1];
	uint8_t *ip = head + ETH_LEN;
	enum echo_kind kind;
	uint32_t total, fill;

	if (packet->segments[0].len < ETH_LEN + IP_LEN + L4_LEN || ip[IP_VERSION] != 0x45 ||
	    memcmp(head + ETH_DST, e->mac, 6) != 0 || memcmp(ip + IP_DST, e->ip, 4) != 0 ||
	    memcmp(ip + IP_SRC, e->ip, 4) == 0 || !ip[IP_SRC] || ip[IP_SRC] >= 224 ||
	    get16(ip + IP_FRAGMENT) & 0x3fff || !(packet->flags & E1000E_IP_GOOD))
		return ECHO_NONE;
	total = get16(ip + IP_TOTAL);
	if (total < IP_LEN + L4_LEN || ETH_LEN + total > packet->len)
		return ECHO_NONE;
	/* What fills a short frame up is no part of the packet, and would count in sums. */
	fill = packet->len - (ETH_LEN + total);
	if (fill >= last->len)
		return ECHO_NONE;
	if (ip[IP_PROTOCOL] == IP_PROTOCOL_UDP) {
		kind = answer_udp(e, ip, ip + IP_LEN, (uint16_t)(total - IP_LEN), packet);
	} else if (ip[IP_PROTOCOL] == IP_PROTOCOL_ICMP) {
		kind = answer_icmp(ip + IP_LEN);
		packet->flags = kind == ECHO_NONE ? packet->flags : 0;
	} else {
		kind = ECHO_NONE;
	}
	if (kind == ECHO_NONE)
		return kind;
	last->len = (uint16_t)(last->len - fill);
	packet->len -= fill;
	swap(head + ETH_DST, head + ETH_SRC, 6);
	swap(ip + IP_SRC, ip + IP_DST, 4);
	ip[IP_TTL] = TTL;
	put16(ip + IP_SUM, 0);
	packet->flags |= E1000E_PUT_IP;
	packet->l3 = ETH_LEN;
	packet->l4 = ETH_LEN + IP_LEN;
	return kind;
}

enum echo_kind echo_answer(const struct echo *e, uint8_t *head, struct e1000e_packet *packet)
{
	if (packet->segments[0].len < ETH_LEN || head[ETH_SRC] & 1)
		return ECHO_NONE;
	switch (get16(head + ETH_TYPE)) {
	case ETH_TYPE_ARP: return answer_arp(e, head, packet);
	case ETH_TYPE_IPV4: return answer_ip(e, head, packet);
	default: return ECHO_NONE;
	}
}
