// SPDX-License-Identifier: BSD-3-Clause
/*
 * vdma-blast send ADDRESS PORT RATE SECONDS LENGTH [COUNT]
 * vdma-blast receive PORT BYTES
 *
 * Datagrams of which the other end knows every byte: each follows from its number, its
 * length too, up to LENGTH. RATE is in datagrams a second, 0 for as many as go, COUNT of them
 * at most. What comes is lost, duplicated, out of order or corrupted, or as it should be; the
 * receiver, whose socket holds so many BYTES, counts until SIGTERM, and then what has come
 * before it. There is no UDP checksum: a datagram that was changed on its way comes here, not
 * to the kernel's own counter.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* A number, twice, the second time mixed. */
#define HEADER_LEN 16
#define LEN_MAX 8972
/* As many datagrams are told apart. */
#define NUMBERS (UINT64_C(1) << 26)
/* What a sender's socket holds; the kernel counts more than a datagram's bytes. */
#define SENDER_BYTES (4 << 20)
/* Between looks at the clock; and most that go out at once, if it was late. */
#define TICK_NS 1000000
#define AT_ONCE 32

static volatile sig_atomic_t told;

static void on_signal(int signal)
{
	(void)signal;
	told = 1;
}

static int complain(const char *what)
{
	fprintf(stderr, "vdma-blast: %s: %s\n", what, strerror(errno));
	return 1;
}

/* splitmix64 */
static uint64_t mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* Half of them of any length, the others short. */
static size_t length_of(uint64_t number, size_t max)
{
	uint64_t word = mix(~number);
	size_t top = word & 1 ? max : max / 16;

	return top <= HEADER_LEN ? HEADER_LEN : HEADER_LEN + (word >> 1) % (top - HEADER_LEN + 1);
}

static void build(uint64_t number, uint8_t *bytes, size_t len)
{
	uint64_t word = mix(number ^ (uint64_t)len << 48);

	memcpy(bytes, &number, 8);
	for (size_t i = 8; i < len; i += 8) {
		memcpy(bytes + i, &word, len - i < 8 ? len - i : 8);
		word += UINT64_C(0xda942042e4dd58b5);
	}
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int open_socket(int option, int bytes)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;

	/* RECVERR: what the kernel drops on its way to the card is an error of ours. */
	if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, option, &bytes, sizeof(bytes)) ||
			setsockopt(fd, SOL_SOCKET, SO_NO_CHECK, &on, sizeof(on)) ||
			setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on)))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* How many are to be under way by now. */
static uint64_t due(uint64_t rate, uint64_t start, uint64_t sent)
{
	uint64_t all = (now_ns() - start) / 1000 * rate / 1000000;

	if (!rate || all > sent + AT_ONCE)
		return sent + AT_ONCE;
	return all;
}

static int send_all(struct sockaddr_in to, uint64_t rate, uint64_t seconds, size_t max,
		    uint64_t count)
{
	const struct timespec tick = { .tv_nsec = TICK_NS };
	uint64_t sent = 0, refused = 0, start, end, until;
	int fd = open_socket(SO_SNDBUFFORCE, SENDER_BYTES);
	uint8_t bytes[LEN_MAX];

	if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)))
		return complain("opening a socket");
	start = now_ns();
	end = start + seconds * 1000000000;
	while (!told && now_ns() < end && sent < count) {
		for (until = due(rate, start, sent); sent < until && sent < count && !told;) {
			size_t len = length_of(sent, max);

			build(sent, bytes, len);
			if (send(fd, bytes, len, 0) == (ssize_t)len) {
				sent++;
			} else if (errno == ENOBUFS || errno == EAGAIN) {
				/* The same one again. */
				refused++;
			} else {
				return complain("sending");
			}
		}
		if (rate)
			nanosleep(&tick, NULL);
	}
	printf("sent %" PRIu64 " refused %" PRIu64 " ms %" PRIu64 "\n", sent, refused,
	       (now_ns() - start) / 1000000);
	return 0;
}

struct counts {
	uint64_t good, corrupted, duplicated, reordered;
	uint64_t bytes;
	uint64_t next;
};

static void look(struct counts *c, uint8_t *seen, const uint8_t *got, size_t len)
{
	static uint8_t want[LEN_MAX];
	uint64_t number;

	memcpy(&number, got, 8);
	if (len >= HEADER_LEN && len <= LEN_MAX)
		build(number, want, len);
	if (len < HEADER_LEN || len > LEN_MAX || number >= NUMBERS || memcmp(got, want, len)) {
		c->corrupted++;
		return;
	}
	if (seen[number / 8] & 1 << number % 8) {
		c->duplicated++;
		return;
	}
	seen[number / 8] |= (uint8_t)(1 << number % 8);
	c->good++;
	c->bytes += len;
	if (number < c->next)
		c->reordered++;
	else
		c->next = number + 1;
}

static int receive_all(uint16_t port, int bytes)
{
	const struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(port) };
	const struct timeval a_while = { .tv_usec = 100000 };
	int fd = open_socket(SO_RCVBUFFORCE, bytes);
	uint8_t *seen = malloc(NUMBERS / 8);
	static uint8_t got[65536];
	struct counts c = { 0 };

	if (!seen || fd < 0 || bind(fd, (const struct sockaddr *)&any, sizeof(any)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &a_while, sizeof(a_while)))
		return complain("opening a socket");
	/* All of it now, so that memory stays as it is. */
	memset(seen, 0, NUMBERS / 8);
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		bool last = told;
		ssize_t n = recv(fd, got, sizeof(got), last ? MSG_DONTWAIT : 0);

		if (n >= 0)
			look(&c, seen, got, (size_t)n);
		else if (errno != EAGAIN && errno != EINTR)
			return complain("receiving");
		else if (last && errno == EAGAIN)
			break;
	}
	printf("good %" PRIu64 " corrupted %" PRIu64 " duplicated %" PRIu64 " reordered %" PRIu64
	       " bytes %" PRIu64 "\n",
	       c.good, c.corrupted, c.duplicated, c.reordered, c.bytes);
	free(seen);
	return 0;
}

static bool number(const char *text, unsigned long max, unsigned long *value)
{
	char *end;

	errno = 0;
	*value = strtoul(text, &end, 10);
	return !errno && end != text && !*end && *value <= max;
}

int main(int argc, char **argv)
{
	const struct sigaction action = { .sa_handler = on_signal };
	struct sockaddr_in to = { .sin_family = AF_INET };
	unsigned long port, rate, seconds, len, bytes, count = NUMBERS;

	sigaction(SIGTERM, &action, NULL);
	if (argc == 4 && !strcmp(argv[1], "receive") && number(argv[2], 65535, &port) &&
	    number(argv[3], 1 << 30, &bytes))
		return receive_all((uint16_t)port, (int)bytes);
	if ((argc == 7 || (argc == 8 && number(argv[7], NUMBERS, &count))) &&
	    !strcmp(argv[1], "send") && inet_pton(AF_INET, argv[2], &to.sin_addr) == 1 &&
	    number(argv[3], 65535, &port) && number(argv[4], 1000000, &rate) &&
	    number(argv[5], 100000, &seconds) && number(argv[6], LEN_MAX, &len)) {
		to.sin_port = htons((uint16_t)port);
		return send_all(to, rate, seconds, len, count);
	}
	fprintf(stderr, "Usage: vdma-blast send ADDRESS PORT RATE SECONDS LENGTH [COUNT]\n"
			"       vdma-blast receive PORT BYTES\n");
	return 2;
}
