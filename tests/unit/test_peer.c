// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a process that joins an arena is told, by a creator that is made up: every
 * message that makes no sense is refused with words, every call and allocation made to
 * fail, random bytes; nothing is left of it.
 */
#include "unit.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../libvdma/peer.h"
#include "../random.h"

#define BASE UINT64_C(0x410000000000)
#define VALGRIND_BASE UINT64_C(0x3000000000)

static int creator, joiner; /* the ends of the socket */

static int with_socket(void **state)
{
	int pair[2];

	reset(state);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -1;
	creator = pair[0];
	joiner = pair[1];
	return 0;
}

static int without_socket(void **state)
{
	close(creator);
	close(joiner);
	return check_clean(state) || fake_mapped() ? -1 : 0;
}

static uint64_t base(void)
{
	return on_valgrind() ? VALGRIND_BASE : BASE;
}

/* @fds: descriptors that come with it. */
static void send_bytes(const void *bytes, size_t len, const int *fds, unsigned int nfds)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = len };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(4 * sizeof(int))] = { 0 };
	struct cmsghdr *c = (struct cmsghdr *)(void *)control;

	if (nfds) {
		c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
		header.msg_control = control;
		header.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
	}
	assert_int_equal(sendmsg(creator, &header, MSG_NOSIGNAL), len);
}

/* A file of @len bytes, with a message that has it. */
static void say_with(struct vdma_peer_msg msg, uint64_t len)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	bool has_fd;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	send_bytes(&msg, vdma_peer_size(msg.kind, &has_fd), &fd, 1);
	close(fd);
}

static void say(struct vdma_peer_msg msg)
{
	bool has_fd;

	send_bytes(&msg, vdma_peer_size(msg.kind, &has_fd), NULL, 0);
}

static struct vdma_peer_msg of(uint16_t kind)
{
	struct vdma_peer_msg msg;

	memset(&msg, 0, sizeof(msg));
	msg.magic = VDMA_PEER_MAGIC;
	msg.version = VDMA_PEER_VERSION;
	msg.kind = kind;
	return msg;
}

static struct vdma_peer_msg hello(void)
{
	struct vdma_peer_msg msg = of(VDMA_PEER_HELLO);

	msg.hello.va = base();
	msg.hello.len = GIB;
	return msg;
}

static struct vdma_peer_msg region(uint64_t place, uint64_t len)
{
	struct vdma_peer_msg msg = of(VDMA_PEER_REGION);

	msg.region = (struct vdma_peer_region){
		.place = place,
		.room = len,
		.len = len,
		.iova = place,
		.pa = VDMA_PA_NONE,
		.granule = 4096,
		.node = -1,
		.provider = VDMA_PROVIDER_ANON,
	};
	return msg;
}

static struct vdma_peer_msg gone(uint64_t place)
{
	struct vdma_peer_msg msg = of(VDMA_PEER_REGION_GONE);

	msg.place = place;
	return msg;
}

static struct vdma_peer_msg device(uint16_t kind, const char *bdf)
{
	struct vdma_peer_msg msg = of(kind);

	snprintf(msg.device.bdf, sizeof(msg.device.bdf), "%s", bdf);
	return msg;
}

static struct vdma_peer_msg ranges(void)
{
	struct vdma_peer_msg msg = of(VDMA_PEER_RANGES_ARE);

	msg.ranges.n = 2;
	msg.ranges.range[0] = (struct vdma_range){ 4096, 16 * MIB - 1 };
	msg.ranges.range[1] = (struct vdma_range){ 32 * MIB, GIB - 1 };
	return msg;
}

/* All that a creator says before one has joined. */
static void say_all(void)
{
	say(hello());
	say_with(region(1 * MIB, 8192), 8192);
	say_with(region(64 * MIB, 4096), 4096);
	say_with(device(VDMA_PEER_DEVICE, EDU), 0);
	say(ranges());
	say(of(VDMA_PEER_READY));
}

static void test_told(void **state)
{
	struct vdma_arena *arena = NULL;
	struct vdma_arena_info info = { .size = sizeof(info) };
	struct vdma_range got[4];
	size_t n = 4;

	(void)state;
	say_all();
	ASSERT_OK(vdma_arena_join(joiner, NULL, &arena));
	ASSERT_OK(vdma_arena_query(arena, &info));
	assert_int_equal(info.regions, 2);
	assert_int_equal(info.bytes, 12288);
	assert_int_equal(info.assumed, 0);
	ASSERT_OK(vdma_arena_ranges(arena, got, &n));
	assert_int_equal(n, 2);
	assert_int_equal(got[1].first, 32 * MIB);
	/* What is not there need not go; a device may be told twice. */
	say(gone(5 * MIB));
	say_with(device(VDMA_PEER_DEVICE, EDU), 0);
	say(gone(64 * MIB));
	say(device(VDMA_PEER_DEVICE_GONE, NIC));
	ASSERT_OK(vdma_join_process(arena));
	ASSERT_OK(vdma_arena_query(arena, &info));
	assert_int_equal(info.regions, 1);
	/* The socket, a device; a region is held by its mapping. */
	assert_int_equal(fake_open_files(), 2);
	ASSERT_OK(vdma_arena_destroy(arena));
}

/* The first message, or one after all is told, is this: it is refused with these words. */
static void refused(struct vdma_peer_msg msg, uint64_t file, bool first, const char *words)
{
	struct vdma_arena *arena = NULL;
	bool has_fd = false;

	with_socket(NULL);
	if (!first) {
		say_all();
		ASSERT_OK(vdma_arena_join(joiner, NULL, &arena));
	}
	if (vdma_peer_size(msg.kind, &has_fd) && has_fd)
		say_with(msg, file);
	else if (vdma_peer_size(msg.kind, &has_fd))
		say(msg);
	else
		send_bytes(&msg, sizeof(msg), NULL, 0);
	if (first)
		ASSERT_FAILS(vdma_arena_join(joiner, NULL, &arena), EPROTO, VDMA_CAUSE_PROTOCOL,
			     words);
	else
		ASSERT_FAILS(vdma_join_process(arena), EPROTO, VDMA_CAUSE_PROTOCOL, words);
	if (first)
		assert_null(arena);
	ASSERT_OK(vdma_arena_destroy(arena));
	assert_int_equal(without_socket(NULL), 0);
}

#define REFUSED(kind_of, words, file, first, ...) \
	do { \
		struct vdma_peer_msg m = kind_of; \
		__VA_ARGS__; \
		refused(m, file, first, words); \
	} while (0)

static void test_refused(void **state)
{
	(void)state;
	REFUSED(hello(), "does not begin as one", 0, true, m.magic++);
	REFUSED(hello(), "version 2, this library version 1", 0, true, m.version++);
	REFUSED(hello(), "no such kind", 0, true, m.kind = 99);
	REFUSED(hello(), "no such kind", 0, true, m.kind = 0);
	REFUSED(of(VDMA_PEER_READY), "does not begin with", 0, true, );
	REFUSED(region(MIB, 4096), "does not begin with", 4096, true, );
	REFUSED(hello(), "no such window", 0, true, m.hello.va = 0);
	REFUSED(hello(), "no such window", 0, true, m.hello.va += 4096);
	REFUSED(hello(), "no such window", 0, true, m.hello.va = UINT64_MAX - GIB + 1);
	REFUSED(hello(), "no such window", 0, true, m.hello.len = 0);
	REFUSED(hello(), "no such window", 0, true, m.hello.len = UINT64_C(1) << 47);
	REFUSED(hello(), "no such window", 0, true, m.hello.physical = 2);
	REFUSED(hello(), "no such window", 0, true, m.hello.guard = 1);
	REFUSED(hello(), "begins anew", 0, false, );
	REFUSED(region(2 * MIB, 8192), "too short", 4096, false, );
	REFUSED(region(2 * MIB, 0), "outside", 4096, false, );
	REFUSED(region(2 * MIB, 5000), "outside", 8192, false, );
	REFUSED(region(2 * MIB + 1, 4096), "outside", 8192, false, );
	REFUSED(region(GIB, 4096), "outside", 8192, false, );
	REFUSED(region(GIB - 4096, 8192), "outside", 8192, false, );
	REFUSED(region(2 * MIB, 8192), "outside", 8192, false, m.region.room = 4096);
	REFUSED(region(2 * MIB, 8192), "outside", 8192, false, m.region.room = UINT64_MAX);
	REFUSED(region(2 * MIB, 8192), "device address", 8192, false, m.region.iova++);
	REFUSED(region(2 * MIB, 8192), "pages", 8192, false, m.region.granule = 0);
	REFUSED(region(2 * MIB, 8192), "pages", 8192, false, m.region.granule = 5000);
	REFUSED(region(2 * MIB, 8192), "pages", 8192, false, m.region.granule = 16384);
	REFUSED(region(MIB, 4096), "over another", 4096, false, );
	REFUSED(region(MIB - 4096, 8192), "over another", 8192, false, );
	REFUSED(device(VDMA_PEER_DEVICE, ""), "does not end", 0, false,
		memset(m.device.bdf, 'x', sizeof(m.device.bdf)));
	REFUSED(device(VDMA_PEER_DEVICE_GONE, ""), "does not end", 0, false,
		memset(m.device.bdf, 'x', sizeof(m.device.bdf)));
	REFUSED(ranges(), "ranges", 0, false, m.ranges.n = 65);
	REFUSED(ranges(), "outside", 0, false, m.ranges.n = 0);
	REFUSED(ranges(), "outside", 0, false, m.ranges.range[1].last++);
	REFUSED(ranges(), "ranges", 0, false, m.ranges.range[0].last = 0);
	REFUSED(ranges(), "ranges", 0, false, m.ranges.range[1].first = 8192);
	with_socket(NULL);
}

/* Of the wrong length, and with the wrong number of descriptors. */
static void test_shape(void **state)
{
	static const char *const words[] = { "descriptors", NULL, "descriptors", "descriptors" };
	struct vdma_peer_msg msg = region(2 * MIB, 4096);
	struct vdma_arena *arena = NULL;
	char longer[8192] = { 0 };
	int fds[3] = { creator, creator, creator };
	bool has_fd;
	size_t len = vdma_peer_size(msg.kind, &has_fd), cut;
	unsigned int n;

	(void)state;
	say_all();
	ASSERT_OK(vdma_arena_join(joiner, NULL, &arena));
	for (n = 0; n <= 3; n++) {
		if (!words[n])
			continue;
		send_bytes(&msg, len, fds, n);
		ASSERT_FAILS(vdma_join_process(arena), EPROTO, VDMA_CAUSE_PROTOCOL, words[n]);
	}
	for (cut = 1; cut < len; cut += 3) {
		send_bytes(&msg, cut, fds, 1);
		ASSERT_FAILS(vdma_join_process(arena), EPROTO, VDMA_CAUSE_PROTOCOL, "no message");
	}
	send_bytes(&msg, 0, fds, 2);
	ASSERT_FAILS(vdma_join_process(arena), EPIPE, VDMA_CAUSE_PARTED, "");
	memcpy(longer, &msg, len);
	send_bytes(longer, len + 1, fds, 1);
	ASSERT_FAILS(vdma_join_process(arena), EPROTO, VDMA_CAUSE_PROTOCOL, "length");
	send_bytes(longer, sizeof(longer), fds, 1);
	ASSERT_FAILS(vdma_join_process(arena), EPROTO, VDMA_CAUSE_PROTOCOL, "length");
	/* It goes on behind that. */
	say_with(region(2 * MIB, 4096), 4096);
	ASSERT_OK(vdma_join_process(arena));
	assert_int_equal(fake_open_files(), 2);
	ASSERT_OK(vdma_arena_destroy(arena));
}

static struct vdma_peer_msg any_message(uint64_t *rng)
{
	switch (random_below(rng, 6)) {
	case 0: return gone(random_below(rng, 8) * MIB);
	case 1:
		return device((uint16_t)(VDMA_PEER_DEVICE + random_below(rng, 2)),
			      random_below(rng, 2) ? EDU : NIC);
	case 2: return ranges();
	case 3: return of(VDMA_PEER_READY);
	default: return region(random_below(rng, 8) * MIB, (1 + random_below(rng, 300)) * 4096);
	}
}

/* Whatever comes, it is taken in or refused, and all of it can be left. */
static void test_random(void **state)
{
	struct vdma_arena *arena = NULL;
	unsigned int i, taken = 0, refusals = 0;
	uint64_t rng = 4;
	size_t none = 0;

	(void)state;
	say_all();
	ASSERT_OK(vdma_arena_join(joiner, NULL, &arena));
	for (i = 0; i < 5000; i++) {
		struct vdma_peer_msg msg = any_message(&rng);
		size_t len, flips = random_below(&rng, 3);
		bool has_fd = false;
		int ret;

		len = vdma_peer_size(msg.kind, &has_fd);
		while (flips--)
			((unsigned char *)&msg)[random_below(&rng, len)] ^=
				(unsigned char)(1 << random_below(&rng, 8));
		if (random_below(&rng, 50) == 0)
			len = 1 + random_below(&rng, sizeof(msg));
		if (random_below(&rng, 50) == 0)
			has_fd = !has_fd;
		if (has_fd) {
			int fd = memfd_create("random", MFD_CLOEXEC);

			assert_int_equal(ftruncate(fd, (off_t)(2 * MIB)), 0);
			send_bytes(&msg, len, &fd, 1);
			close(fd);
		} else {
			send_bytes(&msg, len, NULL, 0);
		}
		ret = vdma_join_process(arena);
		if (ret && ret != -EPROTO)
			fail_msg("message %u: %d: %s", i, ret, vdma_explain());
		taken += !ret;
		refusals += !!ret;
		none = 0;
		if (i % 100 == 0)
			ASSERT_OK(vdma_arena_dump(arena, NULL, &none));
	}
	print_message("%u messages taken in, %u refused\n", taken, refusals);
	assert_true(taken > 1000 && refusals > 500);
	ASSERT_OK(vdma_arena_destroy(arena));
}

/* Each call to the system, and each allocation, fails once while one joins and follows. */
static bool one_join(unsigned long fail_at, int err, unsigned long fail_alloc)
{
	struct vdma_arena *arena;
	bool good;
	int ret;

	with_socket(NULL);
	say_all();
	fake.fail_at = fail_at;
	fake.fail_err = err;
	fake_fail_alloc(fail_alloc);
	ret = vdma_arena_join(joiner, NULL, &arena);
	good = !ret;
	if (!ret) {
		say_with(region(2 * MIB, 4096), 4096);
		say(gone(1 * MIB));
		say(ranges());
		ret = vdma_join_process(arena);
		good = !ret;
		/* It goes on behind what it could not do. */
		if (ret)
			vdma_join_process(arena);
		assert_int_equal(vdma_arena_destroy(arena), 0);
	}
	if (ret) {
		assert_int_equal(vdma_last_failure()->err, ret);
		assert_true(strlen(vdma_explain()) > 10);
	}
	fake.fail_at = 0;
	fake_fail_alloc(0);
	assert_int_equal(without_socket(NULL), 0);
	return good;
}

static void test_failures(void **state)
{
	static const int errs[] = { ENOMEM, EIO, EMFILE };
	unsigned long calls, allocs, n, noticed = 0;
	size_t e;

	(void)state;
	without_socket(NULL);
	assert_true(one_join(0, 0, 0));
	calls = fake.calls;
	for (e = 0; e < 3; e++)
		for (n = 1; n <= calls; n++)
			noticed += !one_join(n, errs[e], 0);
	print_message("%lu calls, %lu of %lu failures noticed\n", calls, noticed, 3 * calls);
	/* The rest: more pages at once, no huge pages for the tree. */
	assert_true(calls > 20 && noticed > 2 * calls);
	for (allocs = 1; !one_join(0, 0, allocs); allocs++)
		;
	print_message("%lu allocations\n", allocs - 1);
	assert_true(allocs > 5);
	with_socket(NULL);
}

/* The same for the creator: it shares, or not, and all can be destroyed. */
static bool one_share(unsigned long fail_at, int err, unsigned long fail_alloc)
{
	struct vdma_arena_opts arena_opts = { .size = sizeof(arena_opts),
					      .window = GIB,
					      .flags = VDMA_ARENA_SHARED,
					      .base = base() };
	struct vdma_share_opts opts = { .size = sizeof(opts), .flags = VDMA_SHARE_DEVICES };
	struct vdma_region *made[2];
	struct vdma_device *dev;
	struct vdma_arena *arena;
	struct vdma_ioas *ioas;
	int ret;

	with_socket(NULL);
	add_edu(EDU, 5);
	ASSERT_OK(vdma_arena_create(&arena_opts, &arena));
	made[0] = anon_region(arena, 4096);
	ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	dev = device_of(ioas, EDU);
	fake.fail_at = fail_at ? fake.calls + fail_at : 0;
	fake.fail_err = err;
	fake_fail_alloc(fail_alloc);
	ret = vdma_arena_share(arena, creator, &opts);
	if (ret) {
		assert_int_equal(vdma_last_failure()->err, ret);
		assert_true(strlen(vdma_explain()) > 10);
	}
	fake.fail_at = 0;
	fake_fail_alloc(0);
	/* Whoever joined or not, the arena is as it was. */
	made[1] = anon_region(arena, 4096);
	ASSERT_OK(vdma_region_destroy(made[1]));
	ASSERT_OK(vdma_region_destroy(made[0]));
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
	ASSERT_OK(vdma_arena_destroy(arena));
	assert_int_equal(without_socket(NULL), 0);
	return !ret;
}

static void test_share_failures(void **state)
{
	unsigned long calls, allocs;

	(void)state;
	without_socket(NULL);
	for (calls = 1; !one_share(calls, EIO, 0); calls++)
		;
	for (allocs = 1; !one_share(0, 0, allocs); allocs++)
		;
	print_message("%lu calls, %lu allocations\n", calls - 1, allocs - 1);
	assert_true(calls > 7 && allocs > 3);
	with_socket(NULL);
}

#define PEER_TEST(fn) cmocka_unit_test_setup_teardown(fn, with_socket, without_socket)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PEER_TEST(test_told),	PEER_TEST(test_refused),  PEER_TEST(test_shape),
		PEER_TEST(test_random), PEER_TEST(test_failures), PEER_TEST(test_share_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
