// SPDX-License-Identifier: BSD-3-Clause
/*
 * C6, C9 and D1 while a device writes: the memory that it reaches is nobody
 * else's before the last pin is gone.
 *
 * The device, edu, writes 100 ms after it is told to. Tell it, do what may go
 * wrong, then see where its bytes are.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "suite.h"
#include "uapi.h"
#include "vfio_edu.h"

#define IOVA (1UL << 30)
/* A page of our own for the device's buffer to be filled from, and emptied to. */
#define WINDOW (64UL << 20)
#define BYTE 0xd7

/* Memory pinned by VFIO, torn down in a way, with the device writing meanwhile. */
struct victim {
	struct vfio vfio;
	size_t len;
	const char *how;
};

static void c9_cycles_with_vfio(void)
{
	int64_t before, lck = status("VmLck"), pin = status("VmPin");
	struct vfio vfio;
	size_t len = 8 * MIB;

	vfio_open(&vfio);
	before = mem_free_settled();
	for (int i = 0; i < 20; i++) {
		void *va = contig_alloc(len);

		CHECK_OK(va);
		CHECK_OK(vfio_map(&vfio, va, len, IOVA));
		munmap(va, len);
		CHECK_OK(vfio_unmap(&vfio, len, IOVA));
	}
	CHECK_EQ(ledger_wait(0), 0);
	check_free(before);
	CHECK_EQ(status("VmLck"), lck);
	CHECK_EQ(status("VmPin"), pin);
	vfio_close(&vfio);
}

/*
 * Torn down while pinned: the frames stay out of the allocator's hands, in the
 * ledger and on the account, until the pin goes.
 */
static void d1_pinned_memory_is_kept(void)
{
	size_t len = 64 * MIB;
	int64_t before;
	struct vfio vfio;
	char *va, state[32];

	vfio_open(&vfio);
	before = mem_free_at_rest();
	va = contig_alloc(len);
	CHECK_OK(va);
	CHECK_OK(vfio_map(&vfio, va, len, IOVA));
	munmap(va, len);
	CHECK(before - mem_free_at_rest() > (int64_t)(len - 8 * MIB));
	CHECK_EQ(ledger_lines(), 1);
	ledger_text(0, "state", state, sizeof(state));
	CHECK(!strcmp(state, "orphaned"));
	CHECK_EQ(ledger_number(0, "bytes_held"), len);

	CHECK_OK(vfio_unmap(&vfio, len, IOVA));
	CHECK_EQ(ledger_wait(0), 0);
	check_free(before);
	vfio_close(&vfio);
}

/* Part pinned, all unmapped: just the pinned part is kept. */
static void d1_pinned_part_is_kept(void)
{
	size_t len = 64 * MIB;
	int64_t before, kept;
	struct vfio vfio;
	char *va;

	vfio_open(&vfio);
	before = mem_free_at_rest();
	va = contig_alloc(len);
	CHECK_OK(va);
	CHECK_OK(vfio_map(&vfio, va + 16 * MIB, 16 * MIB, IOVA));
	munmap(va, len);
	CHECK_EQ(ledger_lines(), 1);
	CHECK_EQ(ledger_number(0, "bytes_held"), 16 * MIB);
	kept = before - mem_free_at_rest();
	CHECK_RANGE(kept, 12 * MIB, 22 * MIB);
	CHECK_OK(vfio_unmap(&vfio, 16 * MIB, IOVA));
	CHECK_EQ(ledger_wait(0), 0);
	check_free(before);
	vfio_close(&vfio);
}

/* map, munmap, repeat does not escape the limit, and the limit recovers. */
static int escape(void *arg)
{
	struct vfio *vfio = arg;
	void *va;

	become(USER, 16 * MIB);
	va = contig_alloc(12 * MIB);
	CHECK_OK(va);
	CHECK_OK(vfio_map(vfio, va, 12 * MIB, IOVA));
	CHECK_OK(munmap(va, 12 * MIB));
	CHECK_ERRNO(contig_alloc(12 * MIB), EAGAIN);
	CHECK_OK(vfio_unmap(vfio, 12 * MIB, IOVA));
	/* At once: whoever asks has the orphans looked at first. */
	CHECK_OK(contig_alloc(12 * MIB));
	return 0;
}

static void d1_pinned_memory_stays_charged(void)
{
	struct vfio vfio;

	vfio_open(&vfio);
	node_let_in(USER);
	CHECK_EQ(in_child(escape, &vfio), 0);
	vfio_close(&vfio);
	CHECK_EQ(ledger_wait(0), 0);
}

/* The victim's part: contiguous memory, pinned; the device told to write; then it ends. */
static int be_torn_down(void *arg)
{
	struct victim *v = arg;
	char *va = contig_alloc(v->len);

	CHECK_OK(va);
	CHECK_OK(vfio_map(&v->vfio, va, v->len, DMA_IOVA));
	dev_write_memory(&v->vfio, DMA_IOVA + 5 * PAGE);
	if (!strcmp(v->how, "munmap"))
		CHECK_OK(munmap(va, v->len));
	else if (!strcmp(v->how, "kill"))
		kill(getpid(), SIGKILL);
	else
		execl("/bin/true", "true", NULL);
	return 0;
}

/*
 * What the device wrote is where it was told to write, and in no page that
 * anybody has been given since: memory, all but spare, is taken and marked.
 */
static void torn_down_while_written(const char *how, size_t spare)
{
	struct victim v = { .len = 16 * MIB, .how = how };
	unsigned char *window, *fill;
	size_t len;

	vfio_open(&v.vfio);
	dev_open(&v.vfio);
	window = contig_alloc(PAGE);
	CHECK_OK(window);
	CHECK_OK(vfio_map(&v.vfio, window, PAGE, WINDOW));
	dev_load(&v.vfio, window, WINDOW, BYTE);

	CHECK_EQ(in_child(be_torn_down, &v), strcmp(how, "kill") ? 0 : 256 + SIGKILL);
	/* A second time, when memory is certainly torn down. */
	fill = memory_fill(spare, &len);
	dev_wait(&v.vfio);
	dev_write_memory(&v.vfio, DMA_IOVA + 9 * PAGE);
	dev_wait(&v.vfio);
	memory_fill_check(fill, len);
	munmap(fill, len);

	/* It did write: read it back the way it came. */
	for (int i = 5; i <= 9; i += 4) {
		memset(window, 0, PAGE);
		dev_load(&v.vfio, window, WINDOW, 0);
		dev_read_memory(&v.vfio, DMA_IOVA + (uint64_t)i * PAGE);
		dev_write_memory(&v.vfio, WINDOW);
		dev_wait(&v.vfio);
		CHECK(is_filled(window, EDU_LEN, BYTE));
	}
	CHECK_EQ(ledger_lines(), 2);
	CHECK_OK(vfio_unmap(&v.vfio, v.len, DMA_IOVA));
	CHECK_OK(vfio_unmap(&v.vfio, PAGE, WINDOW));
	munmap(window, PAGE);
	vfio_close(&v.vfio);
	CHECK_EQ(ledger_wait(0), 0);
}

static void d1_munmap_while_the_device_writes(void)
{
	torn_down_while_written("munmap", 192 * MIB);
}

static void d1_sigkill_while_the_device_writes(void)
{
	torn_down_while_written("kill", 192 * MIB);
}

static void d1_exec_while_the_device_writes(void)
{
	torn_down_while_written("exec", (size_t)meminfo("MemAvailable") / 2);
}

/* The owner is killed with all that it has open: the pin goes with the container. */
static int be_killed_alone(void *arg)
{
	struct victim v = { .len = 64 * MIB };
	unsigned char *va;

	(void)arg;
	vfio_open(&v.vfio);
	dev_open(&v.vfio);
	va = contig_alloc(v.len);
	CHECK_OK(va);
	CHECK_OK(vfio_map(&v.vfio, va, v.len, DMA_IOVA));
	dev_load(&v.vfio, va, DMA_IOVA, BYTE);
	dev_write_memory(&v.vfio, DMA_IOVA + 5 * PAGE);
	return kill(getpid(), SIGKILL);
}

static void d1_owner_of_all_is_killed(void)
{
	int64_t before = mem_free_settled();
	unsigned char *fill;
	size_t len;

	SKIP_IF(!getenv("VDMA_BDF_EDU"), "no edu device (VDMA_BDF_EDU)");
	CHECK_EQ(in_child(be_killed_alone, NULL), 256 + SIGKILL);
	fill = memory_fill((size_t)meminfo("MemAvailable") / 2, &len);
	usleep(300 * 1000);
	memory_fill_check(fill, len);
	munmap(fill, len);
	CHECK_EQ(ledger_wait(0), 0);
	check_free(before);
}

/* Fork while the device writes into the parent's memory. */
struct live {
	struct vfio vfio;
	unsigned char *va;
	size_t len;
};

static struct live live_create(void)
{
	struct live live = { .len = 4 * MIB };

	vfio_open(&live.vfio);
	dev_open(&live.vfio);
	live.va = contig_alloc(live.len);
	CHECK_OK(live.va);
	CHECK_OK(vfio_map(&live.vfio, live.va, live.len, DMA_IOVA));
	dev_load(&live.vfio, live.va, DMA_IOVA, BYTE);
	memset(live.va, 0, live.len);
	return live;
}

static void live_end(struct live *live)
{
	CHECK_OK(vfio_unmap(&live->vfio, live->len, DMA_IOVA));
	munmap(live->va, live->len);
	vfio_close(&live->vfio);
	CHECK_EQ(ledger_wait(0), 0);
}

/* What the device wrote before the copy was made is in it, what it wrote after is not. */
enum { COPY_IS_OLDER = 10, COPY_IS_NEWER };

static int live_child(struct live *live, const unsigned char *page)
{
	bool older = is_filled(page, EDU_LEN, 0);

	for (size_t i = 0; i < EDU_LEN; i++)
		CHECK(page[i] == 0 || page[i] == BYTE);
	CHECK(is_filled(live->va, (size_t)(page - live->va), 0));
	CHECK(is_filled(page + PAGE, live->len - (size_t)(page + PAGE - live->va), 0));
	memset(live->va, 3, live->len);
	dev_wait(&live->vfio);
	CHECK(is_filled(live->va, live->len, 3));
	return older ? COPY_IS_OLDER : COPY_IS_NEWER;
}

/* Until fork was faster than the device three times. */
static void c6_fork_while_the_device_writes(void)
{
	struct live live = live_create();
	uint64_t *frames = pagemap_frames(live.va, live.len);

	for (unsigned int older = 0, round = 0; older < 3; round++) {
		unsigned char *page = live.va + (round % 3) * MIB + PAGE;
		int wstatus;
		pid_t pid;

		if (round == 60)
			FAIL("the device was faster than fork in all but %u of 60 rounds", older);
		dev_write_memory(&live.vfio, DMA_IOVA + (uint64_t)(page - live.va));
		pid = fork();
		CHECK_OK(pid);
		if (!pid)
			_exit(live_child(&live, page));
		/* The parent writes while the child lives: with MAP_PRIVATE it would lose its frames. */
		memset(page + 4 * PAGE, 0x11, PAGE);
		dev_wait(&live.vfio);
		if (!is_filled(page, EDU_LEN, BYTE))
			FAIL("the parent does not see what the device wrote after fork");
		CHECK(frames_are(live.va, live.len, frames));
		CHECK_EQ(waitpid(pid, &wstatus, 0), pid);
		CHECK(WIFEXITED(wstatus));
		CHECK_RANGE(WEXITSTATUS(wstatus), COPY_IS_OLDER, COPY_IS_NEWER);
		older += WEXITSTATUS(wstatus) == COPY_IS_OLDER;
		memset(page, 0, 5 * PAGE);
	}
	free(frames);
	live_end(&live);
}

/* The child is killed in the midst of it, or ends first, or goes on alone. */
static void c6_child_is_killed_while_the_device_writes(void)
{
	struct live live = live_create();
	uint64_t *frames = pagemap_frames(live.va, live.len);

	for (unsigned int i = 0; i < 5; i++) {
		pid_t pid;

		dev_write_memory(&live.vfio, DMA_IOVA + i * PAGE);
		pid = fork();
		CHECK_OK(pid);
		if (!pid)
			for (;;)
				memset(live.va, 7, live.len);
		usleep(i * 15000);
		CHECK_OK(kill(pid, SIGKILL));
		CHECK_EQ(waitpid(pid, NULL, 0), pid);
		dev_wait(&live.vfio);
		CHECK(is_filled(live.va + i * PAGE, EDU_LEN, BYTE));
		CHECK(frames_are(live.va, live.len, frames));
	}
	CHECK(is_filled(live.va + 5 * PAGE, live.len - 5 * PAGE, 0));
	free(frames);
	live_end(&live);
}

const struct test dma_tests[] = {
	TEST_FRONTS(c9_cycles_with_vfio, FRONT_IOCTL | FRONT_MMAP),
	TEST_FRONTS(d1_pinned_memory_is_kept, FRONT_ALL),
	TEST_FRONTS(d1_pinned_part_is_kept, FRONT_IOCTL | FRONT_MMAP),
	TEST_FRONTS(d1_pinned_memory_stays_charged, FRONT_ALL),
	TEST_FRONTS(d1_munmap_while_the_device_writes, FRONT_IOCTL),
	TEST_FRONTS(d1_sigkill_while_the_device_writes, FRONT_MMAP),
	TEST_FRONTS(d1_exec_while_the_device_writes, FRONT_IOCTL),
	TEST_FRONTS(d1_owner_of_all_is_killed, FRONT_MMAP),
	TEST_FRONTS(c6_fork_while_the_device_writes, FRONT_COPY),
	TEST_FRONTS(c6_child_is_killed_while_the_device_writes, FRONT_IOCTL | FRONT_MMAP),
	TESTS_END,
};
