// SPDX-License-Identifier: BSD-3-Clause
/* What vdma-echo answers, as frames go in and come out, without a device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <echo.h>

static const struct echo we = { { 0x52, 0x54, 0, 0, 0, 1 }, { 10, 9, 0, 2 }, 7 };
static const uint8_t their_mac[6] = { 0x52, 0x54, 0, 0, 0, 2 };
static const uint8_t their_ip[4] = { 10, 9, 0, 1 };

struct frame {
	uint8_t bytes[9014];
	struct e1000e_packet packet;
};

static void put16(uint8_t *p, unsigned int value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

/* RFC 1071 */
static uint32_t add(uint32_t sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum += (uint32_t)p[i] << (i % 2 ? 0 : 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* As the driver hands it over: segments of 2048 bytes. */
static void cut(struct frame *f, uint32_t len)
{
	struct e1000e_packet *p = &f->packet;

	memset(p, 0, sizeof(*p));
	p->len = len;
	p->flags = E1000E_IP_GOOD;
	for (uint32_t at = 0; at < len; at += 2048)
		p->segments[p->count++].len = (uint16_t)(len - at < 2048 ? len - at : 2048);
}

static void ethernet(struct frame *f, const uint8_t *to, unsigned int type)
{
	memset(f, 0, sizeof(*f));
	memcpy(f->bytes, to, 6);
	memcpy(f->bytes + 6, their_mac, 6);
	put16(f->bytes + 12, type);
}

static void arp(struct frame *f)
{
	static const uint8_t all[6] = { 255, 255, 255, 255, 255, 255 };
	static const uint8_t kinds[8] = { 0, 1, 8, 0, 6, 4, 0, 1 };

	ethernet(f, all, 0x0806);
	memcpy(f->bytes + 14, kinds, 8);
	memcpy(f->bytes + 22, their_mac, 6);
	memcpy(f->bytes + 28, their_ip, 4);
	memcpy(f->bytes + 38, we.ip, 4);
	cut(f, 60);
}

/* len: of the IP packet. The frame has 60 bytes at least, of which the last are no zeroes. */
static void ip(struct frame *f, uint8_t protocol, uint32_t len)
{
	ethernet(f, we.mac, 0x0800);
	f->bytes[14] = 0x45;
	put16(f->bytes + 16, len);
	f->bytes[20] = 0x40; /* do not fragment */
	f->bytes[22] = 3;
	f->bytes[23] = protocol;
	memcpy(f->bytes + 26, their_ip, 4);
	memcpy(f->bytes + 30, we.ip, 4);
	put16(f->bytes + 24, ~add(0, f->bytes + 14, 20));
	for (uint32_t i = 42; i < 14 + len; i++)
		f->bytes[i] = (uint8_t)(i * 7);
	if (len < 46)
		memset(f->bytes + 14 + len, 0xee, 46 - len);
	cut(f, len < 46 ? 60 : 14 + len);
}

static void ping(struct frame *f, uint32_t data)
{
	ip(f, 1, 28 + data);
	memset(f->bytes + 34, 0, 8);
	f->bytes[34] = 8;
	put16(f->bytes + 38, 0x1234);
	put16(f->bytes + 36, ~add(0, f->bytes + 34, 8 + data));
}

static void udp(struct frame *f, uint32_t data, bool sum)
{
	static const uint8_t pseudo[2] = { 0, 17 };
	uint32_t value;

	ip(f, 17, 28 + data);
	put16(f->bytes + 34, 40000);
	put16(f->bytes + 36, 7);
	put16(f->bytes + 38, 8 + data);
	put16(f->bytes + 40, 0);
	value = add(add(add(0, f->bytes + 26, 8), pseudo, 2), f->bytes + 38, 2);
	value = ~add(value, f->bytes + 34, 8 + data) & 0xffff;
	if (sum)
		put16(f->bytes + 40, value ? value : 0xffff);
}

static enum echo_kind ask(struct frame *f)
{
	return echo_answer(&we, f->bytes, &f->packet);
}

/* What is not answered stays as it is, for somebody else. */
static void not_answered(const struct frame *f)
{
	struct frame got = *f;

	assert_int_equal(ask(&got), ECHO_NONE);
	assert_memory_equal(&got, f, sizeof(got));
}

static void back(const struct frame *f)
{
	assert_memory_equal(f->bytes, their_mac, 6);
	assert_memory_equal(f->bytes + 6, we.mac, 6);
}

/* The device's part: sums where it is told to put them, of what it is told. */
static void device(struct frame *f)
{
	const struct e1000e_packet *p = &f->packet;

	if (p->flags & E1000E_PUT_IP)
		put16(f->bytes + p->l3 + 10, ~add(0, f->bytes + p->l3, (size_t)(p->l4 - p->l3)));
	if (p->flags & E1000E_PUT_UDP)
		put16(f->bytes + p->l4 + 6, ~add(0, f->bytes + p->l4, p->len - p->l4));
}

static void check_ip(const struct frame *f)
{
	back(f);
	assert_memory_equal(f->bytes + 26, we.ip, 4);
	assert_memory_equal(f->bytes + 30, their_ip, 4);
	assert_int_equal(f->bytes[22], 64);
	assert_int_equal(add(0, f->bytes + 14, 20), 0xffff);
}

static void answers_arp(void **state)
{
	struct frame f;

	(void)state;
	arp(&f);
	assert_int_equal(ask(&f), ECHO_ARP);
	back(&f);
	assert_int_equal(f.bytes[21], 2);
	assert_memory_equal(f.bytes + 22, we.mac, 6);
	assert_memory_equal(f.bytes + 28, we.ip, 4);
	assert_memory_equal(f.bytes + 32, their_mac, 6);
	assert_memory_equal(f.bytes + 38, their_ip, 4);
	assert_int_equal(f.packet.flags, 0);
	/* Another's address, a reply, another kind, too short. */
	arp(&f);
	f.bytes[41] = 3;
	not_answered(&f);
	arp(&f);
	f.bytes[21] = 2;
	not_answered(&f);
	arp(&f);
	f.bytes[15] = 6;
	not_answered(&f);
	arp(&f);
	cut(&f, 41);
	not_answered(&f);
}

static void answers_ping(void **state)
{
	static const uint32_t lengths[] = { 0, 1, 17, 18, 56, 1472, 8971, 8972 };
	struct frame f, asked;

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		ping(&f, lengths[i]);
		asked = f;
		assert_int_equal(ask(&f), ECHO_ICMP);
		device(&f);
		check_ip(&f);
		assert_int_equal(f.packet.len, 42 + lengths[i]);
		assert_int_equal(f.packet.flags, E1000E_PUT_IP);
		assert_int_equal(f.bytes[34], 0);
		assert_int_equal(add(0, f.bytes + 34, 8 + lengths[i]), 0xffff);
		assert_memory_equal(f.bytes + 38, asked.bytes + 38, 4 + lengths[i]);
	}
	/* The sum of the answer is 0xffff or 0, which is the same, where the carry goes round. */
	ping(&f, 2);
	for (unsigned int value = 0; value <= 0xffff; value++) {
		ping(&f, 2);
		put16(f.bytes + 42, value);
		put16(f.bytes + 36, 0);
		put16(f.bytes + 36, ~add(0, f.bytes + 34, 10));
		assert_int_equal(ask(&f), ECHO_ICMP);
		assert_int_equal(add(0, f.bytes + 34, 10), 0xffff);
	}
	ping(&f, 8);
	f.bytes[34] = 0;
	not_answered(&f);
	f.bytes[34] = 8;
	f.bytes[35] = 1;
	not_answered(&f);
}

static void answers_udp(void **state)
{
	static const uint32_t lengths[] = { 0, 1, 17, 18, 1001, 1472, 8971, 8972 };
	static const uint8_t pseudo[2] = { 0, 17 };
	struct frame f, asked;
	uint32_t sum;

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		udp(&f, lengths[i], true);
		asked = f;
		assert_int_equal(ask(&f), ECHO_UDP);
		assert_int_equal(f.packet.flags, E1000E_PUT_IP | E1000E_PUT_UDP);
		device(&f);
		check_ip(&f);
		assert_int_equal(f.packet.len, 42 + lengths[i]);
		sum = add(add(add(0, f.bytes + 26, 8), pseudo, 2), f.bytes + 38, 2);
		assert_int_equal(add(sum, f.bytes + 34, 8 + lengths[i]), 0xffff);
		assert_memory_equal(f.bytes + 34, asked.bytes + 36, 2);
		assert_memory_equal(f.bytes + 36, asked.bytes + 34, 2);
		assert_memory_equal(f.bytes + 42, asked.bytes + 42, lengths[i]);
	}
	udp(&f, 100, false);
	assert_int_equal(ask(&f), ECHO_UDP);
	assert_int_equal(f.packet.flags, E1000E_PUT_IP);
	assert_int_equal(f.bytes[40] | f.bytes[41], 0);
	/* Another port, one that would answer our answer, none, a length that is not so, a bad sum. */
	udp(&f, 100, true);
	f.bytes[37] = 8;
	not_answered(&f);
	udp(&f, 100, true);
	put16(f.bytes + 34, 7);
	not_answered(&f);
	put16(f.bytes + 34, 0);
	not_answered(&f);
	udp(&f, 100, true);
	put16(f.bytes + 38, 107);
	not_answered(&f);
	udp(&f, 100, true);
	f.packet.flags |= E1000E_L4_BAD;
	not_answered(&f);
}

static void refuses(void **state)
{
	struct frame f;

	(void)state;
	/* Too short, for each header. */
	for (uint32_t len = 1; len < 42; len++) {
		ping(&f, 0);
		cut(&f, len);
		not_answered(&f);
	}
	/* To another, by Ethernet and by IP; from nobody, from many, from us. */
	ping(&f, 56);
	f.bytes[5] = 9;
	not_answered(&f);
	ping(&f, 56);
	f.bytes[33] = 3;
	not_answered(&f);
	ping(&f, 56);
	f.bytes[26] = 0;
	not_answered(&f);
	f.bytes[26] = 224;
	not_answered(&f);
	memcpy(f.bytes + 26, we.ip, 4);
	not_answered(&f);
	ping(&f, 56);
	f.bytes[6] = 1;
	not_answered(&f);
	/* Another version, options, fragments: the first, and the last. */
	ping(&f, 56);
	f.bytes[14] = 0x65;
	not_answered(&f);
	f.bytes[14] = 0x46;
	not_answered(&f);
	ping(&f, 56);
	f.bytes[20] = 0x20;
	not_answered(&f);
	f.bytes[20] = 0;
	f.bytes[21] = 1;
	not_answered(&f);
	/* Longer than its frame; shorter than its headers; by a whole segment and more. */
	ping(&f, 56);
	put16(f.bytes + 16, 85);
	not_answered(&f);
	put16(f.bytes + 16, 27);
	not_answered(&f);
	ping(&f, 2040);
	put16(f.bytes + 16, 100);
	not_answered(&f);
	/* A wrong sum, one that nobody has looked at; another protocol. */
	ping(&f, 56);
	f.packet.flags = E1000E_IP_BAD;
	not_answered(&f);
	f.packet.flags = 0;
	not_answered(&f);
	ip(&f, 6, 100);
	not_answered(&f);
	ethernet(&f, we.mac, 0x86dd);
	cut(&f, 60);
	not_answered(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_arp),
		cmocka_unit_test(answers_ping),
		cmocka_unit_test(answers_udp),
		cmocka_unit_test(refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
