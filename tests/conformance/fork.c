// SPDX-License-Identifier: BSD-3-Clause
/* C6: what a child gets at fork, and that the parent's memory stays as it is. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "suite.h"
#include "uapi.h"

#define LEN (4 * MIB + 12 * KIB)

/* A family: what a child has to look at, and pipes to keep step. */
struct family {
	unsigned char *va;
	size_t len;
	uint64_t *frames; /* the parent's */
	int to_child[2];
	int to_parent[2];
};

static struct family family_create(void *va, size_t len)
{
	struct family f = { .va = va, .len = len };

	CHECK_OK(va);
	for (size_t i = 0; i < len; i += 8)
		*(uint64_t *)(f.va + i) = i * 0x9e3779b97f4a7c15;
	f.frames = pagemap_frames(va, len);
	CHECK(frames_consecutive(f.frames, len / PAGE));
	CHECK_OK(pipe2(f.to_child, O_CLOEXEC));
	CHECK_OK(pipe2(f.to_parent, O_CLOEXEC));
	return f;
}

static void family_end(struct family *f)
{
	free(f->frames);
	munmap(f->va, f->len);
	CHECK_EQ(ledger_wait(0), 0);
}

static void say(const int *ends)
{
	CHECK_EQ(write(ends[1], "", 1), 1);
}

static void hear(const int *ends)
{
	char byte;

	CHECK_EQ(read(ends[0], &byte, 1), 1);
}

static void check_bytes(const struct family *f)
{
	for (size_t i = 0; i < f->len; i += 8)
		if (*(uint64_t *)(f->va + i) != i * 0x9e3779b97f4a7c15)
			FAIL("byte %zu is not as it was at fork", i);
}

/* Pages of its own: none of the parent's frames, and writable. */
static void check_own_pages(const struct family *f)
{
	uint64_t *mine;

	check_bytes(f);
	mine = pagemap_frames(f->va, f->len);
	for (size_t i = 0; i < f->len / PAGE; i++)
		if (mine[i] >= f->frames[0] && mine[i] <= f->frames[f->len / PAGE - 1])
			FAIL("page %zu of the child is frame 0x%lx of the parent", i, mine[i]);
	free(mine);
	memset(f->va, 0xcc, f->len);
	CHECK(is_filled(f->va, f->len, 0xcc));
}

static void check_parent(const struct family *f)
{
	check_bytes(f);
	CHECK(frames_are(f->va, f->len, f->frames));
}

static void wait_ok(pid_t pid)
{
	int wstatus;

	CHECK_EQ(waitpid(pid, &wstatus, 0), pid);
	if (wstatus)
		FAIL("the child ended with wait status 0x%x", wstatus);
}

static int child_looks(void *arg)
{
	check_own_pages(arg);
	return 0;
}

static void c6_child_gets_a_copy(void)
{
	struct family f = family_create(contig_alloc(LEN), LEN);

	CHECK_EQ(in_child(child_looks, &f), 0);
	check_parent(&f);
	/* The parent writes, also through the page tables as they are after fork. */
	CHECK_EQ(in_child(child_looks, &f), 0);
	memset(f.va, 1, f.len);
	CHECK(frames_are(f.va, f.len, f.frames));
	family_end(&f);
}

/* What the parent writes after fork is not the child's. */
static int child_looks_late(void *arg)
{
	struct family *f = arg;

	hear(f->to_child);
	check_own_pages(f);
	return 0;
}

static void c6_copy_is_of_the_time_of_fork(void)
{
	struct family f = family_create(contig_alloc(LEN), LEN);
	pid_t pid = fork();

	CHECK_OK(pid);
	if (!pid)
		_exit(child_looks_late(&f));
	memset(f.va, 0xee, f.len);
	CHECK(frames_are(f.va, f.len, f.frames));
	say(f.to_child);
	wait_ok(pid);
	CHECK(is_filled(f.va, f.len, 0xee));
	CHECK(frames_are(f.va, f.len, f.frames));
	family_end(&f);
}

/* A grandchild copies from its parent, the child; and so on. */
static int child_forks(void *arg)
{
	struct family *f = arg;
	pid_t pid;

	check_bytes(f);
	f->va[0] ^= 0x55;
	f->va[f->len - 1] ^= 0x55;
	pid = fork();
	CHECK_OK(pid);
	if (!pid) {
		CHECK_EQ(f->va[0], 0x55);
		f->va[0] ^= 0x55;
		f->va[f->len - 1] ^= 0x55;
		check_own_pages(f);
		pid = fork();
		CHECK_OK(pid);
		if (!pid) {
			CHECK(is_filled(f->va, f->len, 0xcc));
			_exit(0);
		}
		wait_ok(pid);
		_exit(0);
	}
	wait_ok(pid);
	return 0;
}

static void c6_grandchildren(void)
{
	struct family f = family_create(contig_alloc(LEN), LEN);

	CHECK_EQ(in_child(child_forks, &f), 0);
	check_parent(&f);
	family_end(&f);
}

/* The parent goes first, by SIGKILL; its memory goes back, the child's copy stays. */
static int parent_dies(void *arg)
{
	struct family *outer = arg;
	struct family f = family_create(contig_alloc(LEN), LEN);

	if (!fork()) {
		hear(outer->to_child);
		check_own_pages(&f);
		say(outer->to_parent);
		_exit(0);
	}
	return kill(getpid(), SIGKILL);
}

static void c6_parent_is_killed_first(void)
{
	struct family outer = { 0 };

	CHECK_OK(pipe2(outer.to_child, O_CLOEXEC));
	CHECK_OK(pipe2(outer.to_parent, O_CLOEXEC));
	CHECK_EQ(in_child(parent_dies, &outer), 256 + SIGKILL);
	CHECK_EQ(ledger_wait(0), 0);
	say(outer.to_child);
	hear(outer.to_parent);
}

static int child_dies(void *arg)
{
	struct family *f = arg;

	memset(f->va, 9, f->len / 2);
	return kill(getpid(), SIGKILL);
}

static int child_execs(void *arg)
{
	(void)arg;
	return execl("/bin/true", "true", NULL);
}

static void c6_child_is_killed_or_execs(void)
{
	struct family f = family_create(contig_alloc(LEN), LEN);

	CHECK_EQ(in_child(child_dies, &f), 256 + SIGKILL);
	check_parent(&f);
	CHECK_EQ(in_child(child_execs, NULL), 0);
	check_parent(&f);
	family_end(&f);
}

/* The copy is memory that goes back like any other. */
static int child_unmaps(void *arg)
{
	struct family *f = arg;
	int64_t before = mem_free_at_rest();

	CHECK_OK(munmap(f->va + MIB, 32 * MIB));
	CHECK(mem_free_at_rest() - before > (int64_t)(26 * MIB));
	CHECK_EQ(f->va[0], 0);
	CHECK_EQ(touch_read(f->va + MIB), SIGSEGV);
	/* Moved and protected, it is still the child's. */
	f->va = mremap(f->va + 48 * MIB, 8 * MIB, 8 * MIB, MREMAP_MAYMOVE | MREMAP_FIXED,
		       f->va + 8 * MIB);
	CHECK_OK(f->va);
	for (size_t i = 0; i < 8 * MIB; i += 8)
		CHECK(*(uint64_t *)(f->va + i) == (48 * MIB + i) * 0x9e3779b97f4a7c15);
	CHECK_OK(mprotect(f->va, PAGE, PROT_READ));
	CHECK_EQ(touch_write(f->va), SIGSEGV);
	CHECK_OK(madvise(f->va, MIB, MADV_DONTNEED));
	CHECK(*(uint64_t *)(f->va + 8) == (48 * MIB + 8) * 0x9e3779b97f4a7c15);
	return 0;
}

static void c6_copy_goes_back(void)
{
	struct family f = family_create(contig_alloc(64 * MIB), 64 * MIB);
	int64_t before = mem_free_settled();

	CHECK_EQ(in_child(child_unmaps, &f), 0);
	check_free(before);
	check_parent(&f);
	family_end(&f);
}

/* MADV_DONTFORK, and MADV_DOFORK after it. */
static int child_has_none(void *arg)
{
	struct family *f = arg;

	CHECK_EQ(touch_read(f->va), SIGSEGV);
	CHECK_EQ(touch_read(f->va + f->len - 1), SIGSEGV);
	return 0;
}

static void c6_dontfork_and_dofork(void)
{
	struct family f = family_create(contig_alloc(LEN), LEN);

	CHECK_OK(madvise(f.va, f.len, MADV_DONTFORK));
	CHECK_EQ(in_child(child_has_none, &f), 0);
	check_parent(&f);
	CHECK_OK(madvise(f.va, f.len, MADV_DOFORK));
	CHECK_EQ(in_child(child_looks, &f), 0);
	check_parent(&f);
	family_end(&f);
}

static void *alloc_forking(uint32_t policy)
{
	struct map_contig_constraints want = { .fork = policy };

	return region_mmap(LEN, &want);
}

/* Fork policy none: as if MADV_DONTFORK. */
static void c6_policy_none(void)
{
	struct family f = family_create(alloc_forking(MAP_CONTIG_FORK_NONE), LEN);

	CHECK_EQ(in_child(child_has_none, &f), 0);
	check_parent(&f);
	family_end(&f);
}

/* Fork policy share: the same frames, both ways, for as long as either lives. */
static int child_shares(void *arg)
{
	struct family *f = arg;

	check_bytes(f);
	CHECK(frames_are(f->va, f->len, f->frames));
	memcpy(f->va + 100, "from the child", 15);
	say(f->to_parent);
	hear(f->to_child);
	CHECK(!memcmp(f->va + 200, "from the parent", 16));
	CHECK(frames_are(f->va, f->len, f->frames));
	return 0;
}

static void c6_policy_share(void)
{
	struct family f = family_create(alloc_forking(MAP_CONTIG_FORK_SHARE), LEN);
	pid_t pid = fork();

	CHECK_OK(pid);
	if (!pid)
		_exit(child_shares(&f));
	hear(f.to_parent);
	CHECK(!memcmp(f.va + 100, "from the child", 15));
	memcpy(f.va + 200, "from the parent", 16);
	/* It is the child's too: unmapping here takes nothing from it. */
	munmap(f.va, f.len);
	CHECK_EQ(ledger_lines(), 1);
	say(f.to_child);
	wait_ok(pid);
	CHECK_EQ(ledger_wait(0), 0);
	free(f.frames);
}

/* So it is with typed memory, by its own rules. */
static void c6_typed_memory_is_shared(void)
{
	struct family f = family_create(contig_alloc(LEN), LEN);
	pid_t pid = fork();

	CHECK_OK(pid);
	if (!pid)
		_exit(child_shares(&f));
	hear(f.to_parent);
	CHECK(!memcmp(f.va + 100, "from the child", 15));
	memcpy(f.va + 200, "from the parent", 16);
	say(f.to_child);
	wait_ok(pid);
	CHECK(frames_are(f.va, f.len, f.frames));
	family_end(&f);
}

/* The policy of an open node is that of what it maps. */
static void c6_policy_of_a_node(void)
{
	struct map_contig_constraints want = { .fork = MAP_CONTIG_FORK_SHARE };
	int node = node_open();
	struct family f;
	pid_t pid;

	CHECK_OK(node_configure(node, &want));
	f = family_create(mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, node, 0), LEN);
	pid = fork();
	CHECK_OK(pid);
	if (!pid)
		_exit(child_shares(&f));
	hear(f.to_parent);
	CHECK(!memcmp(f.va + 100, "from the child", 15));
	memcpy(f.va + 200, "from the parent", 16);
	say(f.to_child);
	wait_ok(pid);
	family_end(&f);
}

/* The descriptor goes over to the child: mapped there, it is the memory itself. */
static int child_maps(void *arg)
{
	int region = *(int *)arg;
	char *va = region_map(region, LEN);

	CHECK_OK(va);
	CHECK(!strcmp(va, "before fork"));
	strcpy(va + MIB, "after fork");
	return 0;
}

static void c6_region_descriptor_is_inherited(void)
{
	int node = node_open(), region = region_alloc(node, LEN, NULL);
	char *va;

	CHECK_OK(region);
	va = region_map(region, LEN);
	CHECK_OK(va);
	strcpy(va, "before fork");
	CHECK_EQ(in_child(child_maps, &region), 0);
	CHECK(!strcmp(va + MIB, "after fork"));
	munmap(va, LEN);
	/* The last to hold it is a child. */
	CHECK_EQ(in_child(child_maps, &region), 0);
	close(region);
	CHECK_EQ(ledger_wait(0), 0);
	close(node);
}

/* vfork and posix_spawn copy nothing, whatever the size. */
static void c6_vfork_and_spawn(void)
{
	struct family f = family_create(contig_alloc(LEN), LEN);
	char *const words[] = { "true", NULL };
	pid_t pid;

	CHECK_EQ(posix_spawn(&pid, "/bin/true", NULL, NULL, words, environ), 0);
	wait_ok(pid);
	check_parent(&f);
	pid = vfork();
	if (!pid) {
		f.va[3]++;
		execl("/bin/true", "true", NULL);
		_exit(1);
	}
	wait_ok(pid);
	/* The address space was the same one. */
	f.va[3]--;
	check_parent(&f);
	family_end(&f);
}

/* Another thread writes while the copy is made: each word is the old or the new one. */
static volatile bool writing;

static void *writer(void *arg)
{
	const struct family *f = arg;
	uint64_t *at = (uint64_t *)f->va;

	for (uint64_t word = 1; writing; word = 3 - word)
		for (size_t i = 0; i < f->len / 8; i++)
			*(volatile uint64_t *)&at[i] = word * 0x1111111111111111;
	return NULL;
}

static int child_compares(void *arg)
{
	const struct family *f = arg;
	const uint64_t *at = (const uint64_t *)f->va;

	for (size_t i = 0; i < f->len / 8; i++)
		CHECK(at[i] == 0x1111111111111111 || at[i] == 0x2222222222222222);
	return 0;
}

static void c6_fork_while_a_thread_writes(void)
{
	struct family f = family_create(contig_alloc(LEN), LEN);
	pthread_t thread;

	memset(f.va, 0x11, f.len);
	writing = true;
	CHECK_EQ(pthread_create(&thread, NULL, writer, &f), 0);
	for (int i = 0; i < 5; i++)
		CHECK_EQ(in_child(child_compares, &f), 0);
	writing = false;
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK(frames_are(f.va, f.len, f.frames));
	family_end(&f);
}

/* How long fork takes for the copy, and what it takes without. */
static void c6_time_of_fork(void)
{
	static const size_t sizes[] = { 4 * MIB, 64 * MIB, 256 * MIB };

	for (size_t i = 0; i < 3; i++) {
		char *va = contig_alloc(sizes[i]);
		double start, with, without;
		pid_t pid;

		CHECK_OK(va);
		start = now_ms();
		pid = fork();
		if (!pid)
			_exit(0);
		with = now_ms() - start;
		wait_ok(pid);
		CHECK_OK(madvise(va, sizes[i], MADV_DONTFORK));
		start = now_ms();
		pid = fork();
		if (!pid)
			_exit(0);
		without = now_ms() - start;
		wait_ok(pid);
		note("fork with %zu MiB copied: %.1f ms, with MADV_DONTFORK %.1f ms",
		     sizes[i] / MIB, with, without);
		munmap(va, sizes[i]);
	}
}

/* linux/userfaultfd.h of 6.1 does not have them yet. */
#define FEATURE_WP_UNPOPULATED (1 << 13)
#define FEATURE_WP_ASYNC (1 << 15)

static void *read_events(void *arg)
{
	int uffd = *(int *)arg;
	struct pollfd poller = { .fd = uffd, .events = POLLIN };
	struct uffd_msg msg;

	while (poll(&poller, 1, -1) >= 0)
		if (read(uffd, &msg, sizeof(msg)) == sizeof(msg) && msg.event == UFFD_EVENT_FORK)
			close((int)msg.arg.fork.ufd);
	return NULL;
}

/* userfaultfd makes fork copy page tables where it protects from writing. */
static void c6_userfaultfd_protects_and_follows_fork(void)
{
	struct uffdio_api api = { .api = UFFD_API,
				  .features = UFFD_FEATURE_EVENT_FORK | FEATURE_WP_ASYNC |
					      FEATURE_WP_UNPOPULATED };
	struct family f = family_create(contig_alloc(LEN), LEN);
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_WP };
	struct uffdio_writeprotect wp = { .mode = UFFDIO_WRITEPROTECT_MODE_WP };
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	pthread_t thread;

	CHECK_OK(uffd);
	if (ioctl(uffd, UFFDIO_API, &api)) {
		/* An older kernel, without asynchronous write protection: a descriptor is asked once. */
		close(uffd);
		uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
		api = (struct uffdio_api){ .api = UFFD_API, .features = UFFD_FEATURE_EVENT_FORK };
		CHECK_OK(ioctl(uffd, UFFDIO_API, &api));
	}
	reg.range.start = wp.range.start = (uintptr_t)f.va;
	reg.range.len = wp.range.len = f.len;
	if (ioctl(uffd, UFFDIO_REGISTER, &reg)) {
		/* A kernel may refuse: that is an outcome too, if nothing comes of it. */
		CHECK_EQ(errno, EINVAL);
		note("userfaultfd refuses to register contiguous memory for write protection");
	} else {
		CHECK_OK(ioctl(uffd, UFFDIO_WRITEPROTECT, &wp));
	}
	/* Fork waits until the event is read. */
	CHECK_EQ(pthread_create(&thread, NULL, read_events, &uffd), 0);
	CHECK_EQ(in_child(child_looks, &f), 0);
	check_parent(&f);
	CHECK_EQ(in_child(child_looks, &f), 0);
	memset(f.va, 1, f.len);
	CHECK(frames_are(f.va, f.len, f.frames));
	pthread_cancel(thread);
	pthread_join(thread, NULL);
	close(uffd);
	family_end(&f);
}

const struct test fork_tests[] = {
	TEST_FRONTS(c6_child_gets_a_copy, FRONT_COPY),
	TEST_FRONTS(c6_copy_is_of_the_time_of_fork, FRONT_COPY),
	TEST_FRONTS(c6_grandchildren, FRONT_COPY),
	TEST_FRONTS(c6_parent_is_killed_first, FRONT_COPY),
	TEST_FRONTS(c6_child_is_killed_or_execs, FRONT_COPY),
	TEST_FRONTS(c6_copy_goes_back, FRONT_IOCTL | FRONT_MMAP),
	TEST_FRONTS(c6_dontfork_and_dofork, FRONT_COPY),
	TEST(c6_policy_none),
	TEST(c6_policy_share),
	TEST(c6_policy_of_a_node),
	TEST(c6_region_descriptor_is_inherited),
	TEST_FRONTS(c6_typed_memory_is_shared, FRONT_TYPED),
	TEST_FRONTS(c6_vfork_and_spawn, FRONT_IOCTL | FRONT_MMAP),
	TEST_FRONTS(c6_fork_while_a_thread_writes, FRONT_IOCTL | FRONT_MMAP),
	TEST_FRONTS(c6_time_of_fork, FRONT_IOCTL | FRONT_MMAP),
	TEST_FRONTS(c6_userfaultfd_protects_and_follows_fork, FRONT_IOCTL | FRONT_MMAP),
	TESTS_END,
};
