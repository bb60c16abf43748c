// SPDX-License-Identifier: BSD-3-Clause
/*
 * Two processes, one arena, real devices: what one writes the other's device sends, at
 * one address and registered once; and either is killed while a device writes.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "guest.h"

#define SLACK ((int64_t)(6 * MIB))
#define BIG (64 * MIB)
#define LEN 1000
#define ALL_BITS 48

/* The other process, over which its arena comes, and over which the two talk. */
struct other {
	pid_t pid;
	int over, line;
};

static struct other begin(void (*run)(struct other *me))
{
	struct other me, other;
	int arena[2], talk[2];

	assert_return_code(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, arena), errno);
	assert_return_code(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, talk), errno);
	fflush(stdout);
	other.pid = fork();
	assert_return_code(other.pid, errno);
	if (!other.pid) {
		close(arena[0]);
		close(talk[0]);
		me = (struct other){ getppid(), arena[1], talk[1] };
		run(&me);
		_exit(0);
	}
	close(arena[1]);
	close(talk[1]);
	other.over = arena[0];
	other.line = talk[0];
	return other;
}

static void end(struct other *other, bool killed)
{
	int wstatus;

	assert_int_equal(waitpid(other->pid, &wstatus, 0), other->pid);
	if (killed)
		assert_true(WIFSIGNALED(wstatus) && WTERMSIG(wstatus) == SIGKILL);
	else
		assert_true(WIFEXITED(wstatus) && !WEXITSTATUS(wstatus));
	close(other->over);
	close(other->line);
}

static void say(const struct other *other, const void *what, size_t len)
{
	assert_int_equal(send(other->line, what, len, MSG_NOSIGNAL), len);
}

static void hear(const struct other *other, void *what, size_t len)
{
	assert_int_equal(recv(other->line, what, len, 0), len);
}

static void go_on(const struct other *other)
{
	say(other, "", 1);
}

static void wait_for(const struct other *other)
{
	char byte;

	hear(other, &byte, 1);
}

static struct space shared_space(void)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts), .flags = VDMA_ARENA_SHARED };
	struct space space;

	WORKS(vdma_arena_create(&opts, &space.arena));
	space.ioas = ioas_of(space.arena);
	return space;
}

static void assert_free(int64_t before)
{
	int64_t now = 0;

	/* Exit and unpin finish behind our back: give them a moment. */
	for (int i = 0; i < 20; i++) {
		now = mem_free_settled();
		if (now > before - SLACK)
			return;
		usleep(100 * 1000);
	}
	fail_msg("MemFree was %ld MiB, is %ld MiB", before / (int64_t)MIB, now / (int64_t)MIB);
}

static void open_edu(struct edu *edu, struct vdma_ioas *ioas, const char *variable,
		     unsigned int bits)
{
	EDU_WORKS(edu, edu_open(edu, ioas, bdf_of(variable), bits));
	EDU_WORKS(edu, edu_irq_use(edu, VDMA_IRQ_MSI));
}

static uint8_t byte_of(unsigned int seed, unsigned int i)
{
	return (uint8_t)(i * 31 + i / 256 + seed);
}

static void fill(void *va, unsigned int seed)
{
	for (unsigned int i = 0; i < LEN; i++)
		((uint8_t *)va)[i] = byte_of(seed, i);
}

static bool has(const void *va, unsigned int seed)
{
	for (unsigned int i = 0; i < LEN; i++)
		if (((const volatile uint8_t *)va)[i] != byte_of(seed, i))
			return false;
	return true;
}

/* A guest that is busy may take long. */
static int join(const struct other *creator, struct vdma_arena **arena)
{
	struct vdma_join_opts opts = { .size = sizeof(opts), .timeout_ms = 60000 };

	return vdma_arena_join(creator->over, &opts, arena);
}

static void joiner_writes(struct other *me)
{
	int64_t locked = status("VmLck"), pinned = status("VmPin");
	struct vdma_region *region;
	struct vdma_arena *arena;
	struct vdma_buf buf, here;

	WORKS(join(me, &arena));
	for (unsigned int i = 0; i < 3; i++) {
		hear(me, &buf, sizeof(buf));
		WORKS(vdma_join_process(arena));
		WORKS(vdma_region_find(arena, buf.va, &region));
		here = vdma_region_buf(region);
		assert_memory_equal(&here, &buf, sizeof(buf));
		assert_int_equal(vdma_iova(arena, buf.va), buf.iova);
		fill(buf.va, i);
		go_on(me);
		/* Their device has sent it, and written it to the end. */
		wait_for(me);
		assert_true(has((char *)buf.va + buf.len - LEN, i));
		/* Registered once: not by us. */
		assert_int_equal(status("VmLck"), locked);
		assert_int_equal(status("VmPin"), pinned);
		go_on(me);
	}
	wait_for(me);
	WORKS(vdma_arena_destroy(arena));
}

/* Memory of each kind, after the other has joined. */
static void same(void **state)
{
	static const enum vdma_provider providers[] = {
		VDMA_PROVIDER_CONTIG,
		VDMA_PROVIDER_HUGETLB,
		VDMA_PROVIDER_ANON,
	};
	struct vdma_ioas_info info = { .size = sizeof(info) };
	struct other other = begin(joiner_writes);
	struct vdma_region *regions[3];
	struct space s = shared_space();
	int64_t mem, locked;
	struct edu edu;

	(void)state;
	file_write("/proc/sys/vm/nr_hugepages", "2");
	open_edu(&edu, s.ioas, "VDMA_BDF_EDU", EDU_ADDRESS_BITS);
	WORKS(vdma_arena_share(s.arena, other.over, NULL));
	for (unsigned int i = 0; i < 3; i++) {
		struct vdma_buf buf;

		regions[i] = region_of(s.arena, providers[i], 4 * MIB, EDU_ADDRESS_BITS);
		buf = vdma_region_buf(regions[i]);
		mem = mem_free_settled();
		locked = status("VmLck");
		say(&other, &buf, sizeof(buf));
		wait_for(&other);
		assert_true(has(buf.va, i));
		EDU_WORKS(&edu, edu_dma_write(&edu, 8, buf.iova, LEN));
		EDU_WORKS(&edu, edu_dma_read(&edu, buf.iova + buf.len - LEN, 8, LEN));
		go_on(&other);
		wait_for(&other);
		WORKS(vdma_ioas_query(s.ioas, &info));
		assert_int_equal(info.entries_used, i + 1);
		assert_int_equal(status("VmLck"), locked);
		/* It is the same memory. */
		assert_true(mem - mem_free_settled() < (int64_t)(2 * MIB));
	}
	assert_int_equal(ledger_lines(), 1);
	go_on(&other);
	end(&other, false);
	for (unsigned int i = 0; i < 3; i++)
		WORKS(vdma_region_destroy(regions[i]));
	assert_int_equal(ledger_wait(0), 0);
	assert_int_equal(meminfo("HugePages_Free") / (int64_t)KIB, 2);
	file_write("/proc/sys/vm/nr_hugepages", "0");
	edu_close(&edu);
	space_destroy(&s);
}

static void joiner_waits(struct other *me)
{
	struct vdma_arena *arena;

	WORKS(join(me, &arena));
	go_on(me);
	for (;;)
		pause();
}

static void *kill_soon(void *arg)
{
	const struct other *other = arg;

	usleep(40 * 1000);
	kill(other->pid, SIGKILL);
	return NULL;
}

/* Who joined is killed while a device writes: it goes on, and the memory is freed with us. */
static void joiner_dies(void **state)
{
	struct other other = begin(joiner_waits);
	struct space s = shared_space();
	int64_t mem = mem_free_settled();
	struct vdma_region *region = region_of(s.arena, VDMA_PROVIDER_CONTIG, BIG, 0);
	struct vdma_buf buf = vdma_region_buf(region);
	pthread_t killer;
	struct edu edu;

	(void)state;
	open_edu(&edu, s.ioas, "VDMA_BDF_EDU2", ALL_BITS);
	WORKS(vdma_arena_share(s.arena, other.over, NULL));
	wait_for(&other);
	assert_int_equal(pthread_create(&killer, NULL, kill_soon, &other), 0);
	for (unsigned int i = 0; i < 3; i++)
		dma_verify(&edu, &buf, i);
	assert_int_equal(pthread_join(killer, NULL), 0);
	end(&other, true);
	dma_verify(&edu, &buf, 9);
	assert_int_equal(ledger_lines(), 1);
	edu_close(&edu);
	WORKS(vdma_region_destroy(region));
	assert_int_equal(ledger_wait(0), 0);
	assert_free(mem);
	space_destroy(&s);
}

/* hw/misc/edu.c: 1 is set while a transfer is under way. */
#define EDU_DMA_CMD 0x98

struct worker {
	const struct other *me;
	struct edu edu;
};

/* By itself, for on a busy machine the other process comes late. */
static void *die_at_work(void *arg)
{
	const struct worker *worker = arg;

	while (!(vdma_mmio_read32(worker->edu.regs, EDU_DMA_CMD) & 1))
		;
	go_on(worker->me);
	kill(getpid(), SIGKILL);
	return NULL;
}

/* Has its device write to the start of a region, and is killed meanwhile. */
static void creator(struct other *me, uint32_t flags)
{
	struct vdma_share_opts opts = { .size = sizeof(opts), .flags = flags };
	struct space s = shared_space();
	struct vdma_region *region = region_of(s.arena, VDMA_PROVIDER_CONTIG, BIG, 0);
	struct vdma_buf buf = vdma_region_buf(region);
	pthread_t killer;
	struct worker worker = { .me = me };
	struct edu *edu = &worker.edu;

	open_edu(edu, s.ioas, "VDMA_BDF_EDU2", ALL_BITS);
	WORKS(vdma_arena_share(s.arena, me->over, &opts));
	say(me, &buf, sizeof(buf));
	wait_for(me);
	fill((char *)buf.va + PAGE, 7);
	EDU_WORKS(edu, edu_dma_write(edu, 0, buf.iova + PAGE, LEN));
	memset(buf.va, 0, LEN);
	assert_int_equal(pthread_create(&killer, NULL, die_at_work, &worker), 0);
	EDU_WORKS(edu, edu_dma_read(edu, buf.iova, 0, LEN));
	pthread_join(killer, NULL);
}

static void creator_alone(struct other *me)
{
	creator(me, 0);
}

static void creator_with_devices(struct other *me)
{
	creator(me, VDMA_SHARE_DEVICES);
}

/*
 * The creator is killed while its device writes. True if that came first: then a device
 * that is @kept finishes its work, and any other does not. What is done between the kill and
 * the last of the creator counts for the former only, which nobody stops meanwhile.
 */
static bool creator_dies(void (*run)(struct other *me), bool kept)
{
	int64_t mem = mem_free_settled(); /* first: the other one begins to allocate at once */
	struct other other = begin(run);
	struct vdma_region *region;
	struct vdma_arena *arena;
	struct vdma_buf buf;
	struct edu edu;
	struct space s;
	bool early;

	WORKS(join(&other, &arena));
	hear(&other, &buf, sizeof(buf));
	go_on(&other);
	wait_for(&other);
	assert_return_code(kill(other.pid, SIGKILL), errno);
	early = !has(buf.va, 7);
	end(&other, true);
	early &= kept || !has(buf.va, 7);
	for (unsigned int i = 0; i < 2; i++)
		assert_true(EXPLAINED(vdma_join_process(arena), EPIPE, PARTED, "ended", "stays"));
	/* The memory is ours, wherever the device is. */
	assert_true(has((char *)buf.va + PAGE, 7));
	memset((char *)buf.va + MIB, 1, buf.len - MIB);
	assert_int_equal(ledger_lines(), 1);
	assert_true(mem - mem_free_settled() > (int64_t)BIG - SLACK);
	assert_int_equal(!!(sysfs_config(bdf_of("VDMA_BDF_EDU2"), 4, 2) & 4), kept);
	usleep(400 * 1000);
	if (early)
		assert_int_equal(has(buf.va, 7), kept);

	/* Where it is not kept it can be opened at once, else when we leave. */
	s = space_create();
	if (kept) {
		assert_true(edu_open(&edu, s.ioas, bdf_of("VDMA_BDF_EDU2"), ALL_BITS) == -EBUSY);
		WORKS(vdma_arena_destroy(arena));
	}
	open_edu(&edu, s.ioas, "VDMA_BDF_EDU2", ALL_BITS);
	region = region_of(s.arena, VDMA_PROVIDER_CONTIG, MIB, 0);
	buf = vdma_region_buf(region);
	dma_verify(&edu, &buf, 3);
	edu_close(&edu);
	WORKS(vdma_region_destroy(region));
	space_destroy(&s);
	if (!kept)
		WORKS(vdma_arena_destroy(arena));
	assert_int_equal(ledger_wait(0), 0);
	assert_free(mem);
	return early;
}

/* A transfer takes 100 ms, which is seldom not enough to die in. */
static void creator_dies_often(void (*run)(struct other *me), bool kept)
{
	unsigned int early = 0;

	for (unsigned int i = 0; i < 30 && early < 2; i++)
		early += creator_dies(run, kept);
	assert_int_equal(early, 2);
}

static void devices_stop(void **state)
{
	(void)state;
	creator_dies_often(creator_alone, false);
}

static void devices_go_on(void **state)
{
	(void)state;
	creator_dies_often(creator_with_devices, true);
}

/* Closed by its creator, a device is only free when who joined has heard of it. */
static void joiner_holds(struct other *me)
{
	struct vdma_arena *arena;

	WORKS(join(me, &arena));
	go_on(me);
	wait_for(me);
	WORKS(vdma_join_process(arena));
	go_on(me);
	wait_for(me);
	WORKS(vdma_arena_destroy(arena));
}

static void devices_close(void **state)
{
	struct vdma_share_opts opts = { .size = sizeof(opts), .flags = VDMA_SHARE_DEVICES };
	struct other other = begin(joiner_holds);
	struct space s = shared_space();
	struct edu edu;

	(void)state;
	open_edu(&edu, s.ioas, "VDMA_BDF_EDU2", ALL_BITS);
	WORKS(vdma_arena_share(s.arena, other.over, &opts));
	wait_for(&other);
	edu_close(&edu);
	assert_int_equal(edu_open(&edu, s.ioas, bdf_of("VDMA_BDF_EDU2"), ALL_BITS), -EBUSY);
	go_on(&other);
	wait_for(&other);
	open_edu(&edu, s.ioas, "VDMA_BDF_EDU2", ALL_BITS);
	go_on(&other);
	end(&other, false);
	edu_close(&edu);
	space_destroy(&s);
}

static void joiner_has_no_room(struct other *me)
{
	struct vdma_arena *arena = NULL;
	uintptr_t va;
	void *at;

	hear(me, &va, sizeof(va));
	at = mmap((void *)(va + GIB), PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_int_equal((uintptr_t)at, va + GIB);
	assert_true(EXPLAINED(join(me, &arena), EADDRINUSE, OCCUPIED,
			      "without a name at 0x400040000000", "another base", "setarch -R"));
}

static void no_room(void **state)
{
	struct other other = begin(joiner_has_no_room);
	struct space s = shared_space();
	const struct vdma_window *w = (const struct vdma_window *)(const void *)s.arena;

	(void)state;
	say(&other, &w->va, sizeof(w->va));
	WORKS(vdma_arena_share(s.arena, other.over, NULL));
	end(&other, false);
	space_destroy(&s);
}

int run_join(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same),		 cmocka_unit_test(joiner_dies),
		cmocka_unit_test(devices_stop),	 cmocka_unit_test(devices_go_on),
		cmocka_unit_test(devices_close), cmocka_unit_test(no_room),
	};

	return cmocka_run_group_tests_name("join", tests, NULL, NULL);
}
