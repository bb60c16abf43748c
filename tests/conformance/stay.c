// SPDX-License-Identifier: BSD-3-Clause
/* C4: whoever tries to move pages, take them away or share them: frames and bytes stay. */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "suite.h"
#include "uapi.h"

/* linux/mman.h has them, glibc 2.36 not yet. */
#define ADVICE_COLLAPSE 25
#define ADVICE_SOFT_OFFLINE 101

#define LEN (6 * MIB + 16 * KIB)

/* Memory with known bytes in known frames. */
struct subject {
	unsigned char *va;
	uint64_t *frames;
};

static struct subject subject_create(void)
{
	struct subject s = { .va = contig_alloc(LEN) };

	CHECK_OK(s.va);
	for (size_t i = 0; i < LEN; i++)
		s.va[i] = (unsigned char)(i * 7 + i / PAGE);
	s.frames = pagemap_frames(s.va, LEN);
	return s;
}

static void subject_check(const struct subject *s, const char *after)
{
	for (size_t i = 0; i < LEN; i++)
		if (s->va[i] != (unsigned char)(i * 7 + i / PAGE))
			FAIL("byte %zu changed after %s", i, after);
	if (!frames_are(s->va, LEN, s->frames))
		FAIL("a frame changed after %s", after);
}

static void subject_end(struct subject *s)
{
	free(s->frames);
	munmap(s->va, LEN);
	CHECK_EQ(ledger_wait(0), 0);
}

/* Writes where the kernel may refuse; the frames decide. False if it does. */
static bool try_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool good;

	if (fd < 0)
		return false;
	good = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return good;
}

static void c4_compaction(void)
{
	struct subject s = subject_create();

	file_set("/proc/sys/vm/drop_caches", "3");
	for (int i = 0; i < 3; i++)
		file_set("/proc/sys/vm/compact_memory", "1");
	subject_check(&s, "compaction");
	subject_end(&s);
}

/* Memory is tight: everything that can be reclaimed or moved is. */
static void c4_reclaim_and_swap(void)
{
	struct subject s = subject_create();
	void *fill;
	size_t len;

	fill = memory_fill(48 * MIB, &len);
	madvise(s.va, LEN, MADV_COLD);
	madvise(s.va, LEN, MADV_PAGEOUT);
	file_set("/proc/sys/vm/drop_caches", "3");
	file_set("/proc/sys/vm/compact_memory", "1");
	subject_check(&s, "reclaim");
	munmap(fill, len);
	CHECK_EQ(smaps(s.va, "Swap"), 0);
	subject_end(&s);
}

static void c4_move_pages_and_mbind(void)
{
	struct subject s = subject_create();
	void *pages[4] = { s.va, s.va + PAGE, s.va + 2 * MIB, s.va + LEN - PAGE };
	int nodes[4] = { 0 }, st[4];
	unsigned long mask = 1;

	for (int node = 0; node < numa_nodes(); node++) {
		for (int i = 0; i < 4; i++)
			nodes[i] = node;
		mask = 1UL << node;
		syscall(SYS_move_pages, 0, 4UL, pages, nodes, st, MPOL_MF_MOVE_ALL);
		subject_check(&s, "move_pages");
		syscall(SYS_mbind, s.va, LEN, MPOL_BIND, &mask, 65UL, MPOL_MF_MOVE_ALL);
		subject_check(&s, "mbind");
		syscall(SYS_migrate_pages, 0, 65UL, &(unsigned long){ ~0UL }, &mask);
		subject_check(&s, "migrate_pages");
	}
	subject_end(&s);
}

/* On every node in turn, while the balancer is at work: no hint faults, no moves. */
static void c4_numa_balancing(void)
{
	struct subject s;
	char was[16];
	double end;

	SKIP_IF(numa_nodes() < 2, "one NUMA node");
	SKIP_IF(!file_text("/proc/sys/kernel/numa_balancing", was, sizeof(was)),
		"the kernel has no NUMA balancing");
	s = subject_create();
	file_set("/proc/sys/kernel/numa_balancing", "1");
	for (int cpu = 0; cpu < 2; cpu++) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		CHECK_OK(sched_setaffinity(0, sizeof(set), &set));
		end = now_ms() + 3000;
		while (now_ms() < end)
			subject_check(&s, "NUMA balancing");
	}
	file_set("/proc/sys/kernel/numa_balancing", "%s", was);
	subject_end(&s);
}

static void c4_ksm(void)
{
	size_t len = 4 * MIB;
	char *a = contig_alloc(len), *b = contig_alloc(len);
	uint64_t *fa, *fb;

	CHECK_OK(a);
	CHECK_OK(b);
	SKIP_IF(access("/sys/kernel/mm/ksm/run", W_OK), "the kernel has no KSM");
	memset(a, 0x33, len);
	memset(b, 0x33, len);
	fa = pagemap_frames(a, len);
	fb = pagemap_frames(b, len);
	madvise(a, len, MADV_MERGEABLE);
	madvise(b, len, MADV_MERGEABLE);
	file_set("/sys/kernel/mm/ksm/sleep_millisecs", "0");
	file_set("/sys/kernel/mm/ksm/pages_to_scan", "100000");
	file_set("/sys/kernel/mm/ksm/run", "1");
	usleep(1000 * 1000);
	file_set("/sys/kernel/mm/ksm/run", "2");
	file_set("/sys/kernel/mm/ksm/run", "0");
	CHECK(frames_are(a, len, fa));
	CHECK(frames_are(b, len, fb));
	CHECK(is_filled(a, len, 0x33));
	munmap(a, len);
	munmap(b, len);
	free(fa);
	free(fb);
}

/* A page is to be taken out of use by moving what is in it: that is refused. */
static void c4_soft_offline(void)
{
	struct subject s;
	char address[32];
	int fd;

	fd = open("/sys/devices/system/memory/soft_offline_page", O_WRONLY | O_CLOEXEC);
	SKIP_IF(fd < 0, "the kernel has no soft offlining");
	s = subject_create();
	CHECK_EQ(madvise(s.va + 3 * PAGE, PAGE, ADVICE_SOFT_OFFLINE), -1);
	subject_check(&s, "MADV_SOFT_OFFLINE");
	snprintf(address, sizeof(address), "0x%lx", s.frames[600] * PAGE);
	CHECK_EQ(write(fd, address, strlen(address)), -1);
	subject_check(&s, "soft_offline_page");
	CHECK_EQ(madvise(s.va, LEN, ADVICE_COLLAPSE), -1);
	subject_check(&s, "MADV_COLLAPSE");
	close(fd);
	subject_end(&s);
}

/* The memory block that holds it cannot be taken out of the machine. */
static void c4_memory_hot_remove(void)
{
	char block_size[32], path[96];
	struct subject s;
	unsigned long size;

	SKIP_IF(!file_text("/sys/devices/system/memory/block_size_bytes", block_size,
			   sizeof(block_size)),
		"the kernel has no memory hotplug");
	size = strtoul(block_size, NULL, 16);
	s = subject_create();
	snprintf(path, sizeof(path), "/sys/devices/system/memory/memory%lu/state",
		 s.frames[0] * PAGE / size);
	SKIP_IF(access(path, W_OK), "the kernel has no memory hotplug for this memory");
	CHECK(!try_write(path, "offline"));
	subject_check(&s, "hot-remove");
	subject_end(&s);
}

const struct test stay_tests[] = {
	TEST_FRONTS(c4_compaction, FRONT_ALL),
	TEST_FRONTS(c4_reclaim_and_swap, FRONT_MMAP),
	TEST_FRONTS(c4_move_pages_and_mbind, FRONT_IOCTL | FRONT_MMAP),
	TEST_FRONTS(c4_numa_balancing, FRONT_IOCTL | FRONT_MMAP),
	TEST_FRONTS(c4_ksm, FRONT_IOCTL),
	TEST_FRONTS(c4_soft_offline, FRONT_IOCTL | FRONT_MMAP),
	TEST_FRONTS(c4_memory_hot_remove, FRONT_IOCTL),
	TESTS_END,
};
