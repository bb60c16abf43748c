// SPDX-License-Identifier: BSD-3-Clause
/*
 * Two processes, one arena: this one creates it, a child joins, or the other way round.
 * The machine is made up in each of them, memory and sockets are real. What comes over
 * the socket is test_peer.c's.
 */
#include "unit.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct vdma_arena *arena;
static pid_t child;
static int over; /* our end of the socket that the arena is joined over */
static int line; /* our end of another one, over which the two talk */

/* A child whose assertion fails must die of it, not go on with the tests. */
static void begin(void (*other)(void))
{
	int join[2], talk[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, join), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, talk), 0);
	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	over = join[!child];
	line = talk[!child];
	close(join[!!child]);
	close(talk[!!child]);
	if (child)
		return;
	setenv("CMOCKA_TEST_ABORT", "1", 1);
	fake_reset();
	other();
	close(over);
	/* Nothing is left there either. */
	_exit(fake_open_files() || fake_mapped() ? 3 : 0);
}

static void end(void)
{
	int wstatus;

	assert_int_equal(waitpid(child, &wstatus, 0), child);
	if (!WIFEXITED(wstatus) || WEXITSTATUS(wstatus))
		fail_msg("the other process ended with status 0x%x", wstatus);
	close(over);
	close(line);
}

static void kill_other(void)
{
	int wstatus;

	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &wstatus, 0), child);
	assert_true(WIFSIGNALED(wstatus));
	close(line);
}

static void say(const void *what, size_t len)
{
	assert_int_equal(send(line, what, len, MSG_NOSIGNAL), len);
}

static void hear(void *what, size_t len)
{
	assert_int_equal(recv(line, what, len, 0), len);
}

static void go_on(void)
{
	say("", 1);
}

static void wait_for_other(void)
{
	char byte;

	hear(&byte, 1);
}

static void create(enum vdma_translation translation)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts),
					.window = GIB,
					.translation = translation,
					.flags = VDMA_ARENA_SHARED };

	ASSERT_OK(vdma_arena_create(&opts, &arena));
}

static struct vdma_region *region_of(enum vdma_provider provider, size_t len)
{
	struct vdma_region_opts opts = { .size = sizeof(opts), .provider = provider };
	struct vdma_region *region = NULL;

	ASSERT_OK(vdma_region_create(arena, len, &opts, &region));
	return region;
}

/* A machine that is busy may take long. */
static void join(void)
{
	const struct vdma_join_opts opts = { .size = sizeof(opts), .timeout_ms = 60000 };

	ASSERT_OK(vdma_arena_join(over, &opts, &arena));
}

static bool dumps(const char *words)
{
	char text[4096];
	size_t len = sizeof(text);

	ASSERT_OK(vdma_arena_dump(arena, text, &len));
	return strstr(text, words);
}

/* What only its creator may do. */
static void assert_refused(void)
{
	struct vdma_buf buf = { .va = NULL, .len = 64 };
	struct vdma_region *region;
	struct vdma_ioas *ioas;

	ASSERT_FAILS(vdma_region_create(arena, 4096, NULL, &region), EROFS, VDMA_CAUSE_JOINED,
		     "joined", "created it");
	ASSERT_FAILS(vdma_buf_alloc(arena, 64, NULL, &buf), EROFS, VDMA_CAUSE_JOINED, "");
	ASSERT_FAILS(vdma_buf_free(arena, &buf), EROFS, VDMA_CAUSE_JOINED, "");
	ASSERT_FAILS(vdma_buf_trim(arena), EROFS, VDMA_CAUSE_JOINED, "");
	ASSERT_FAILS(vdma_ioas_create(arena, NULL, &ioas), EROFS, VDMA_CAUSE_JOINED, "");
	ASSERT_FAILS(vdma_arena_share(arena, over, NULL), EROFS, VDMA_CAUSE_JOINED, "");
}

static void joiner_looks(void)
{
	struct vdma_region_info info = { .size = sizeof(info) };
	struct vdma_arena_info arena_info = { .size = sizeof(arena_info) };
	struct vdma_stats stats = { .size = sizeof(stats) };
	struct vdma_iova_info owner = { .size = sizeof(owner) };
	struct vdma_buf theirs[3], buf;
	struct vdma_region *region;
	struct vdma_range ranges[8];
	size_t n = 8, i;
	pid_t pid;

	hear(theirs, sizeof(theirs));
	join();
	assert_int_equal(window_of(arena), GIB);
	for (i = 0; i < 3; i++) {
		ASSERT_OK(vdma_region_find(arena, (char *)theirs[i].va + 5, &region));
		buf = vdma_region_buf(region);
		assert_memory_equal(&buf, &theirs[i], sizeof(buf));
		assert_int_equal(vdma_iova(arena, buf.va), buf.iova);
		assert_int_equal(vdma_iova_checked(arena, buf.va, buf.len), buf.iova);
		assert_ptr_equal(vdma_va(arena, buf.iova), buf.va);
		ASSERT_OK(vdma_region_query(region, &info));
		assert_int_equal(info.buf_len, buf.len);
		assert_int_equal(info.mapped, 0);
		ASSERT_FAILS(vdma_region_destroy(region), EROFS, VDMA_CAUSE_JOINED, "");
		ASSERT_OK(vdma_explain_iova(arena, buf.iova + 5, &owner));
		assert_int_equal(owner.state, VDMA_IOVA_LIVE);
		assert_int_equal(owner.base, buf.iova);
	}
	assert_int_equal(info.provider, VDMA_PROVIDER_CONTIG);
	assert_int_equal(info.extents, 1);
	ASSERT_FAILS(vdma_region_find(arena, theirs, &region), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "No region");
	ASSERT_OK(vdma_arena_query(arena, &arena_info));
	assert_int_equal(arena_info.regions, 3);
	ASSERT_OK(vdma_arena_stats(arena, &stats));
	assert_int_equal(stats.regions, 3);
	ASSERT_OK(vdma_arena_ranges(arena, ranges, &n));
	assert_int_equal(n, 1);
	assert_int_equal(ranges[0].first, 4096);
	assert_refused();
	ASSERT_OK(vdma_join_process(arena));
	assert_true(dumps("joined; created by process"));

	/* The made-up module's memory cannot be passed on; the others are the same bytes. */
	assert_string_equal(theirs[0].va, "from the creator");
	strcpy((char *)theirs[0].va + 4096, "from the joiner");
	*((unsigned char *)theirs[1].va + theirs[1].len - 1) = 77;
	ASSERT_OK(vdma_join_fd(arena, &(int){ 0 }));
	pid = fork();
	if (!pid) {
		ASSERT_FAILS(vdma_join_process(arena), ECHILD, VDMA_CAUSE_FORKED, "");
		ASSERT_FAILS(vdma_region_find(arena, NULL, &region), ECHILD, VDMA_CAUSE_FORKED, "");
		_exit(0);
	}
	assert_int_equal(waitpid(pid, (int *)&i, 0), pid);
	go_on();
	wait_for_other();
	ASSERT_OK(vdma_arena_destroy(arena));
}

static void test_same(void **state)
{
	struct vdma_region *regions[3];
	struct vdma_buf bufs[3];
	size_t i;

	(void)state;
	begin(joiner_looks);
	create(VDMA_TRANSLATION_LINEAR);
	regions[0] = region_of(VDMA_PROVIDER_ANON, 8192);
	regions[1] = region_of(VDMA_PROVIDER_HUGETLB, 4 * MIB);
	regions[2] = region_of(VDMA_PROVIDER_CONTIG, 3 * MIB);
	for (i = 0; i < 3; i++)
		bufs[i] = vdma_region_buf(regions[i]);
	strcpy(bufs[0].va, "from the creator");
	say(bufs, sizeof(bufs));
	ASSERT_OK(vdma_arena_share(arena, over, NULL));
	assert_true(dumps("joined by processes"));
	wait_for_other();
	assert_string_equal((char *)bufs[0].va + 4096, "from the joiner");
	assert_int_equal(*((unsigned char *)bufs[1].va + bufs[1].len - 1), 77);
	go_on();
	for (i = 0; i < 3; i++)
		ASSERT_OK(vdma_region_destroy(regions[i]));
	ASSERT_OK(vdma_arena_destroy(arena));
	end();
}

/* How many regions there are, and one that is refused, as an observer sees it. */
struct mirror {
	int regions;
	bool refuse;
};

static int added(void *ctx, struct vdma_region *region)
{
	struct mirror *m = ctx;

	assert_true(vdma_region_buf(region).len);
	if (m->refuse)
		return -ENOSPC;
	m->regions++;
	return 0;
}

static void removed(void *ctx, struct vdma_region *region)
{
	struct mirror *m = ctx;

	assert_true(vdma_region_buf(region).len);
	m->regions--;
}

static void joiner_follows(void)
{
	const struct vdma_observer_ops ops = { .size = sizeof(ops),
					       .added = added,
					       .removed = removed };
	struct vdma_observer *observer;
	struct vdma_region *region;
	struct mirror m = { 0 };
	struct pollfd p = { .events = POLLIN };
	struct vdma_buf buf;

	join();
	go_on();
	ASSERT_OK(vdma_join_fd(arena, &p.fd));
	ASSERT_OK(vdma_observer_add(arena, &ops, &m, &observer));
	assert_int_equal(m.regions, 0);
	ASSERT_FAILS(vdma_arena_destroy(arena), EBUSY, VDMA_CAUSE_CHILDREN, "1 observers");

	/* A chunk, and a buffer out of it. */
	hear(&buf, sizeof(buf));
	assert_int_equal(poll(&p, 1, 0), 1);
	ASSERT_OK(vdma_join_process(arena));
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_int_equal(m.regions, 1);
	assert_int_equal(vdma_iova_checked(arena, buf.va, buf.len), buf.iova);
	assert_string_equal(buf.va, "a buffer");
	strcpy(buf.va, "and back");
	go_on();

	/* One goes, and another one comes where it was, before this process looks. */
	hear(&buf, sizeof(buf));
	assert_string_equal(buf.va, "and back");
	ASSERT_OK(vdma_join_process(arena));
	assert_string_equal(buf.va, "another one");
	assert_int_equal(m.regions, 1);
	go_on();

	/* An observer here does not want it: it is not here. */
	hear(&buf, sizeof(buf));
	m.refuse = true;
	ASSERT_FAILS(vdma_join_process(arena), ECANCELED, VDMA_CAUSE_OBSERVER, "");
	m.refuse = false;
	assert_int_equal(m.regions, 1);
	ASSERT_FAILS(vdma_region_find(arena, buf.va, &region), EINVAL, VDMA_CAUSE_ARGUMENT, "");
	go_on();

	/* Both are gone. */
	wait_for_other();
	ASSERT_OK(vdma_join_process(arena));
	assert_int_equal(m.regions, 0);
	assert_true(fake_is_reserved(buf.va, buf.len));
	ASSERT_OK(vdma_observer_remove(observer));
	ASSERT_OK(vdma_arena_destroy(arena));
}

static void test_changes(void **state)
{
	const struct vdma_buf_opts any = { .size = sizeof(any),
					   .contiguity = VDMA_CONTIG_INDIFFERENT };
	struct vdma_region *region, *refused;
	struct vdma_buf buf, chunk;

	(void)state;
	begin(joiner_follows);
	create(VDMA_TRANSLATION_LINEAR);
	ASSERT_OK(vdma_arena_share(arena, over, NULL));
	wait_for_other();
	ASSERT_OK(vdma_buf_alloc(arena, 100, &any, &buf));
	strcpy(buf.va, "a buffer");
	say(&buf, sizeof(buf));
	wait_for_other();
	assert_string_equal(buf.va, "and back");

	ASSERT_OK(vdma_region_find(arena, buf.va, &region));
	chunk = vdma_region_buf(region);
	ASSERT_OK(vdma_buf_free(arena, &buf));
	ASSERT_OK(vdma_buf_trim(arena));
	region = anon_region(arena, chunk.len);
	assert_ptr_equal(vdma_region_buf(region).va, chunk.va);
	strcpy(buf.va, "another one");
	say(&buf, sizeof(buf));
	wait_for_other();

	refused = anon_region(arena, 4096);
	buf = vdma_region_buf(refused);
	say(&buf, sizeof(buf));
	wait_for_other();

	ASSERT_OK(vdma_region_destroy(refused));
	ASSERT_OK(vdma_region_destroy(region));
	go_on();
	end();
	ASSERT_OK(vdma_arena_destroy(arena));
}

/* Where device addresses are physical ones. */
static void joiner_translates(void)
{
	struct vdma_buf buf;

	hear(&buf, sizeof(buf));
	join();
	assert_int_equal(vdma_iova(arena, (char *)buf.va + 4097), buf.iova + 4097);
	assert_int_equal(vdma_iova_checked(arena, buf.va, buf.len), buf.iova);
	assert_ptr_equal(vdma_va(arena, buf.iova + 1), (char *)buf.va + 1);
	go_on();
	wait_for_other();
	ASSERT_OK(vdma_join_process(arena));
	assert_int_equal(vdma_iova_checked(arena, buf.va, buf.len), VDMA_IOVA_NONE);
	assert_null(vdma_va(arena, buf.iova));
	ASSERT_OK(vdma_arena_destroy(arena));
}

static void test_physical(void **state)
{
	struct vdma_region *region;
	struct vdma_buf buf;

	(void)state;
	begin(joiner_translates);
	bare_machine();
	create(VDMA_TRANSLATION_PHYSICAL);
	region = region_of(VDMA_PROVIDER_CONTIG, 3 * MIB);
	buf = vdma_region_buf(region);
	assert_int_equal(buf.iova, buf.pa);
	say(&buf, sizeof(buf));
	ASSERT_OK(vdma_arena_share(arena, over, NULL));
	wait_for_other();
	ASSERT_OK(vdma_region_destroy(region));
	go_on();
	end();
	ASSERT_OK(vdma_arena_destroy(arena));
}

/* The creator never waits: who does not read is parted from, and takes in what is left. */
static void joiner_sleeps(void)
{
	struct vdma_arena_info info = { .size = sizeof(info) };
	unsigned int told;

	join();
	go_on();
	hear(&told, sizeof(told));
	ASSERT_FAILS(vdma_join_process(arena), EPIPE, VDMA_CAUSE_PARTED, "parted", "stays");
	ASSERT_OK(vdma_arena_query(arena, &info));
	assert_in_range(info.regions, 50, told);
	ASSERT_FAILS(vdma_join_process(arena), EPIPE, VDMA_CAUSE_PARTED, "");
	ASSERT_OK(vdma_arena_destroy(arena));
}

static void test_lags(void **state)
{
	struct vdma_region *regions[1000];
	unsigned int n = 0;

	(void)state;
	begin(joiner_sleeps);
	create(VDMA_TRANSLATION_LINEAR);
	ASSERT_OK(vdma_arena_share(arena, over, NULL));
	wait_for_other();
	while (!dumps("(parted from)")) {
		assert_true(n < 900);
		regions[n++] = anon_region(arena, 4096);
	}
	/* And things go on. */
	regions[n] = anon_region(arena, 4096);
	say(&n, sizeof(n));
	end();
	for (; n; n--)
		ASSERT_OK(vdma_region_destroy(regions[n]));
	ASSERT_OK(vdma_region_destroy(regions[0]));
	ASSERT_OK(vdma_arena_destroy(arena));
}

/* Nobody takes in what there is: the call gives up, and nothing is left of it. */
static void joiner_is_none(void)
{
	wait_for_other();
}

static void test_nobody_reads(void **state)
{
	struct vdma_share_opts opts = { .size = sizeof(opts), .timeout_ms = 20 };
	struct vdma_region *regions[900];
	unsigned int n;
	size_t files;

	(void)state;
	begin(joiner_is_none);
	create(VDMA_TRANSLATION_LINEAR);
	for (n = 0; n < 900; n++)
		regions[n] = anon_region(arena, 4096);
	files = fake_open_files();
	ASSERT_FAILS(vdma_arena_share(arena, over, &opts), ETIMEDOUT, VDMA_CAUSE_TIMEOUT, "Process",
		     "timeout_ms");
	assert_int_equal(fake_open_files(), files);
	assert_false(dumps("joined by"));
	go_on();
	end();
	while (n)
		ASSERT_OK(vdma_region_destroy(regions[--n]));
	ASSERT_OK(vdma_arena_destroy(arena));
}

static void *look_on(void *unused)
{
	struct vdma_region *region = unused;
	struct vdma_region_info info = { .size = sizeof(info) };

	/* As soon as the socket is full. */
	usleep(100 * 1000);
	ASSERT_OK(vdma_region_query(region, &info));
	assert_null(vdma_va_any(arena, 4096));
	go_on();
	return NULL;
}

/* The other end takes nothing in before this one has looked at its own arena. */
static void joiner_is_late(void)
{
	wait_for_other();
	join();
	wait_for_other();
	ASSERT_OK(vdma_arena_destroy(arena));
}

/* There is no room for what there is to be told of devices: who asks meanwhile is answered. */
static void test_late(void **state)
{
	struct vdma_share_opts opts = { .size = sizeof(opts),
					.flags = VDMA_SHARE_DEVICES,
					.timeout_ms = 60000 };
	struct vdma_region *region;
	struct vdma_device *devs[8];
	struct vdma_ioas *ioas;
	pthread_t thread;
	char bdf[16];
	unsigned int i;

	(void)state;
	begin(joiner_is_late);
	assert_int_equal(setsockopt(over, SOL_SOCKET, SO_SNDBUF, &(int){ 1 }, sizeof(int)), 0);
	create(VDMA_TRANSLATION_LINEAR);
	region = anon_region(arena, 4096);
	ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	for (i = 0; i < 8; i++) {
		snprintf(bdf, sizeof(bdf), "0000:02:%02x.0", i);
		add_edu(bdf, 20 + (int)i);
		devs[i] = device_of(ioas, bdf);
	}
	assert_int_equal(pthread_create(&thread, NULL, look_on, region), 0);
	ASSERT_OK(vdma_arena_share(arena, over, &opts));
	assert_int_equal(pthread_join(thread, NULL), 0);
	go_on();
	for (i = 0; i < 8; i++)
		ASSERT_OK(vdma_device_close(devs[i]));
	ASSERT_OK(vdma_ioas_destroy(ioas));
	ASSERT_OK(vdma_region_destroy(region));
	end();
	ASSERT_OK(vdma_arena_destroy(arena));
}

static void joiner_writes(void)
{
	struct vdma_buf buf;

	hear(&buf, sizeof(buf));
	join();
	strcpy(buf.va, "written");
	go_on();
	for (;;)
		pause();
}

/* The one who joined is killed: nothing changes, it is forgotten in time. */
static void test_joiner_dies(void **state)
{
	struct vdma_region *region, *other;
	struct vdma_buf buf;
	size_t files;

	(void)state;
	begin(joiner_writes);
	create(VDMA_TRANSLATION_LINEAR);
	region = anon_region(arena, 4096);
	buf = vdma_region_buf(region);
	files = fake_open_files();
	say(&buf, sizeof(buf));
	ASSERT_OK(vdma_arena_share(arena, over, NULL));
	wait_for_other();
	kill_other();
	assert_string_equal(buf.va, "written");
	other = anon_region(arena, 4096);
	assert_true(dumps("(parted from)"));
	assert_int_equal(fake_open_files(), files + 1);
	ASSERT_FAILS(vdma_arena_share(arena, over, NULL), EPIPE, VDMA_CAUSE_PARTED, "Nobody");
	/* Who is gone was forgotten by that. */
	assert_false(dumps("joined by"));
	close(over);
	ASSERT_OK(vdma_region_destroy(other));
	ASSERT_OK(vdma_region_destroy(region));
	ASSERT_OK(vdma_arena_destroy(arena));
}

static void creator(void)
{
	struct vdma_region *region;
	struct vdma_buf buf;

	create(VDMA_TRANSLATION_LINEAR);
	region = anon_region(arena, 2 * MIB);
	buf = vdma_region_buf(region);
	strcpy(buf.va, "the last words");
	ASSERT_OK(vdma_arena_share(arena, over, NULL));
	say(&buf, sizeof(buf));
	/* Told, and not taken in before the end. */
	region = anon_region(arena, 4096);
	buf = vdma_region_buf(region);
	strcpy(buf.va, "postscript");
	say(&buf, sizeof(buf));
	for (;;)
		pause();
}

/* The creator is killed: the memory stays, and what was told is still taken in. */
static void test_creator_dies(void **state)
{
	struct vdma_buf buf, late;
	int i;

	(void)state;
	begin(creator);
	join();
	hear(&buf, sizeof(buf));
	hear(&late, sizeof(late));
	kill_other();
	assert_string_equal(buf.va, "the last words");
	for (i = 0; i < 2; i++)
		ASSERT_FAILS(vdma_join_process(arena), EPIPE, VDMA_CAUSE_PARTED, "ended", "stays");
	assert_string_equal(late.va, "postscript");
	memset(buf.va, 1, buf.len);
	assert_int_equal(vdma_iova_checked(arena, buf.va, buf.len), buf.iova);
	ASSERT_OK(vdma_arena_destroy(arena));
	close(over);
}

/* shutdown() parts from one. */
static void joiner_is_parted(void)
{
	join();
	go_on();
	wait_for_other();
	ASSERT_FAILS(vdma_join_process(arena), EPIPE, VDMA_CAUSE_PARTED, "");
	ASSERT_OK(vdma_arena_destroy(arena));
}

static void test_shutdown(void **state)
{
	struct vdma_region *region;

	(void)state;
	begin(joiner_is_parted);
	create(VDMA_TRANSLATION_LINEAR);
	ASSERT_OK(vdma_arena_share(arena, over, NULL));
	wait_for_other();
	assert_int_equal(shutdown(over, SHUT_RDWR), 0);
	region = anon_region(arena, 4096);
	assert_true(dumps("(parted from)"));
	go_on();
	end();
	ASSERT_OK(vdma_region_destroy(region));
	ASSERT_OK(vdma_arena_destroy(arena));
}

/* Something else is where the window has to lie. */
static void joiner_has_no_room(void)
{
	const struct vdma_join_opts opts = { .size = sizeof(opts), .timeout_ms = 60000 };
	struct vdma_window window;
	struct vdma_arena *none = NULL;
	char first[32];
	void *at;

	hear(&window, sizeof(window));
	at = mmap((char *)window.va + 64 * MIB, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		  0);
	assert_ptr_not_equal(at, MAP_FAILED);
	if (at != (char *)window.va + 64 * MIB) /* Valgrind takes it for less than a wish */
		_exit(at == MAP_FAILED);
	snprintf(first, sizeof(first), "at 0x%llx", (unsigned long long)(uintptr_t)at);
	ASSERT_FAILS(vdma_arena_join(over, &opts, &none), EADDRINUSE, VDMA_CAUSE_OCCUPIED,
		     "without a name", first, "another base", "setarch -R");
	assert_null(none);
	munmap(at, 8192);
}

static void test_no_room(void **state)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts),
					.window = GIB,
					.flags = VDMA_ARENA_SHARED };
	struct vdma_arena *other = NULL;
	char words[32];
	int err;

	(void)state;
	begin(joiner_has_no_room);
	create(VDMA_TRANSLATION_LINEAR);
	say(arena, sizeof(struct vdma_window));
	/* The other one may give up before all is told. */
	err = vdma_arena_share(arena, over, NULL);
	assert_true(!err || err == -EPIPE);
	end();

	opts.base = ((const struct vdma_window *)(const void *)arena)->va;
	snprintf(words, sizeof(words), "0x%llx", (unsigned long long)opts.base);
	ASSERT_FAILS(vdma_arena_create(&opts, &other), EADDRINUSE, VDMA_CAUSE_OCCUPIED, words,
		     "another base");
	/* The library's choice is the next one then. */
	if (!on_valgrind()) {
		opts.base = 0;
		ASSERT_OK(vdma_arena_create(&opts, &other));
		ASSERT_OK(vdma_arena_destroy(other));
		other = NULL;
	}
	ASSERT_OK(vdma_arena_destroy(arena));
	opts.base = 1 << 20;
	ASSERT_FAILS(vdma_arena_create(&opts, &other), EINVAL, VDMA_CAUSE_ARGUMENT, "1 GiB");
	opts.base = GIB;
	opts.flags = 0;
	ASSERT_FAILS(vdma_arena_create(&opts, &other), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "VDMA_ARENA_SHARED");
	assert_null(other);
}

/* Devices are passed on for as long as the creator has them. */
static void joiner_keeps_devices(void)
{
	size_t files;

	join();
	files = fake_open_files();
	go_on();
	wait_for_other(); /* opened */
	ASSERT_OK(vdma_join_process(arena));
	assert_int_equal(fake_open_files(), files + 1);
	go_on();
	wait_for_other(); /* closed, both */
	ASSERT_OK(vdma_join_process(arena));
	assert_int_equal(fake_open_files(), files - 1);
	ASSERT_OK(vdma_arena_destroy(arena));
}

static void test_devices(void **state)
{
	struct vdma_share_opts opts = { .size = sizeof(opts), .flags = VDMA_SHARE_DEVICES };
	struct vdma_device *edu, *nic;
	struct vdma_ioas *ioas;

	(void)state;
	add_edu(EDU, 5);
	add_edu(NIC, 6);
	begin(joiner_keeps_devices);
	create(VDMA_TRANSLATION_LINEAR);
	ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	edu = device_of(ioas, EDU);
	opts.flags |= 2;
	ASSERT_FAILS(vdma_arena_share(arena, over, &opts), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "flags 0x2");
	opts.flags = VDMA_SHARE_DEVICES;
	ASSERT_OK(vdma_arena_share(arena, over, &opts));
	wait_for_other();
	nic = device_of(ioas, NIC);
	go_on();
	wait_for_other();
	ASSERT_OK(vdma_device_close(edu));
	ASSERT_OK(vdma_device_close(nic));
	go_on();
	end();
	ASSERT_OK(vdma_ioas_destroy(ioas));
	ASSERT_OK(vdma_arena_destroy(arena));
}

static void test_arguments(void **state)
{
	struct vdma_share_opts opts = { .size = 4 };
	struct vdma_join_opts join_opts = { .size = 4 };
	struct vdma_arena *plain, *none = NULL;
	int pair[2], dgram[2], fd, alone;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, dgram), 0);
	alone = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	create(VDMA_TRANSLATION_LINEAR);
	ASSERT_OK(vdma_arena_create(NULL, &plain));
	ASSERT_FAILS(vdma_arena_share(plain, pair[0], NULL), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "VDMA_ARENA_SHARED");
	ASSERT_FAILS(vdma_arena_share(NULL, pair[0], NULL), EINVAL, VDMA_CAUSE_ARGUMENT, "");
	ASSERT_FAILS(vdma_arena_share(arena, pair[0], &opts), EINVAL, VDMA_CAUSE_ARGUMENT, "");
	ASSERT_FAILS(vdma_arena_share(arena, -1, NULL), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "SOCK_SEQPACKET");
	ASSERT_FAILS(vdma_arena_share(arena, dgram[0], NULL), EINVAL, VDMA_CAUSE_ARGUMENT, "");
	ASSERT_FAILS(vdma_arena_share(arena, alone, NULL), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "not connected");
	ASSERT_FAILS(vdma_arena_join(dgram[0], NULL, &none), EINVAL, VDMA_CAUSE_ARGUMENT, "");
	ASSERT_FAILS(vdma_arena_join(pair[0], NULL, NULL), EINVAL, VDMA_CAUSE_ARGUMENT, "");
	ASSERT_FAILS(vdma_arena_join(pair[0], &join_opts, &none), EINVAL, VDMA_CAUSE_ARGUMENT, "");
	ASSERT_FAILS(vdma_join_fd(arena, &fd), EINVAL, VDMA_CAUSE_ARGUMENT, "created");
	ASSERT_FAILS(vdma_join_process(arena), EINVAL, VDMA_CAUSE_ARGUMENT, "");
	join_opts = (struct vdma_join_opts){ .size = sizeof(join_opts), .timeout_ms = 10 };
	ASSERT_FAILS(vdma_arena_join(pair[0], &join_opts, &none), ETIMEDOUT, VDMA_CAUSE_TIMEOUT,
		     "vdma_arena_share()");
	close(pair[1]);
	ASSERT_FAILS(vdma_arena_join(pair[0], NULL, &none), EPIPE, VDMA_CAUSE_PARTED, "Connect");
	ASSERT_FAILS(vdma_arena_share(arena, pair[0], NULL), EPIPE, VDMA_CAUSE_PARTED, "");
	assert_null(none);
	ASSERT_OK(vdma_arena_destroy(plain));
	ASSERT_OK(vdma_arena_destroy(arena));
	close(pair[0]);
	close(dgram[0]);
	close(dgram[1]);
	close(alone);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLEAN_TEST(test_same),	       CLEAN_TEST(test_changes),
		CLEAN_TEST(test_physical),     CLEAN_TEST(test_lags),
		CLEAN_TEST(test_nobody_reads), CLEAN_TEST(test_late),
		CLEAN_TEST(test_joiner_dies),  CLEAN_TEST(test_creator_dies),
		CLEAN_TEST(test_shutdown),     CLEAN_TEST(test_no_room),
		CLEAN_TEST(test_devices),      CLEAN_TEST(test_arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
