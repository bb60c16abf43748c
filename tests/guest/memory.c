// SPDX-License-Identifier: BSD-3-Clause
/*
 * Regions and devices: reach, replay, all or none, nothing left after 200 cycles, or as
 * many as VDMA_TEST_CYCLES says, or a SIGKILL.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "guest.h"
#include "vfio_edu.h"

/* MemFree wavers by what other caches do; a region must be far larger. */
#define SLACK ((int64_t)(6 * MIB))
#define BIG (64 * MIB)
#define ALL_BITS 48

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

static struct vdma_region_info region_info(struct vdma_region *region)
{
	struct vdma_region_info info = { .size = sizeof(info) };

	WORKS(vdma_region_query(region, &info));
	return info;
}

static struct vdma_ioas_info ioas_info(struct vdma_ioas *ioas)
{
	struct vdma_ioas_info info = { .size = sizeof(info) };

	WORKS(vdma_ioas_query(ioas, &info));
	return info;
}

/* type1 adds to what the process has locked, iommufd to what it has pinned. */
static const char *charged(void)
{
	return backend() == VDMA_BACKEND_IOMMUFD ? "VmPin" : "VmLck";
}

/* What the library counts as locked is what the kernel has charged since. */
static void assert_locked(const struct space *s, int64_t before)
{
	struct vdma_stats stats = { .size = sizeof(stats) };

	WORKS(vdma_arena_stats(s->arena, &stats));
	assert_int_equal(status(charged()) - before, stats.locked);
}

static void open_edu(struct edu *edu, struct vdma_ioas *ioas, const char *variable,
		     unsigned int bits)
{
	EDU_WORKS(edu, edu_open(edu, ioas, bdf_of(variable), bits));
	EDU_WORKS(edu, edu_irq_use(edu, VDMA_IRQ_MSI));
}

/* One run of memory, where the library says that it is. */
static void contiguous(void **state)
{
	struct space s = space_create();
	struct vdma_region *region = region_of(s.arena, VDMA_PROVIDER_CONTIG, BIG, 0);
	struct vdma_region_info info = region_info(region);
	struct vdma_buf buf = vdma_region_buf(region), part;
	uint64_t *frames = pagemap_frames(buf.va, buf.len);

	(void)state;
	assert_true(frames_consecutive(frames, buf.len / PAGE));
	assert_int_equal(buf.pa, frames[0] * PAGE);
	assert_int_equal(info.extents, 1);
	assert_int_equal(info.dma_entries, 1);
	assert_int_equal(buf.len, BIG);
	/* VA, IOVA and PA agree modulo the page that it is built of. */
	assert_int_equal(buf.iova % FOLIO, 0);
	assert_int_equal((uintptr_t)buf.va % FOLIO, 0);
	assert_int_equal(buf.pa % info.granule, 0);
	assert_int_equal(vdma_iova(s.arena, buf.va), buf.iova);
	WORKS(vdma_region_slice(region, 12345, 99, &part));
	assert_int_equal(part.pa, buf.pa + 12345);
	assert_int_equal(part.iova, buf.iova + 12345);
	assert_ptr_equal(vdma_va(s.arena, part.iova), part.va);
	free(frames);
	WORKS(vdma_region_destroy(region));
	space_destroy(&s);
}

/* Address bits that the IOMMU's hardware says it has (VT-d, 11.4.2: MGAW). */
static unsigned int iommu_bits(void)
{
	char cap[32];

	file_read("/sys/class/iommu/dmar0/intel-iommu/cap", cap, sizeof(cap));
	return (strtoull(cap, NULL, 16) >> 16 & 0x3f) + 1;
}

/*
 * Before a device 39 bits are assumed, afterwards it is what the IOMMU has; a
 * window larger than either changes nothing about that.
 */
static void reach(void **state)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts), .window = 2048 * GIB };
	uint64_t end = 1ULL << iommu_bits();
	struct vdma_region *before, *after;
	struct vdma_range ranges[8], usable[8];
	size_t n = 8, m = 8;
	struct vdma_buf b, a;
	struct edu edu;
	struct space s;

	(void)state;
	WORKS(vdma_arena_create(&opts, &s.arena));
	s.ioas = ioas_of(s.arena);
	before = region_of(s.arena, VDMA_PROVIDER_CONTIG, 2 * PAGE, 0);
	b = vdma_region_buf(before);
	assert_in_range(b.iova, 1ULL << 38, (1ULL << 39) - b.len);
	WORKS(vdma_ioas_ranges(s.ioas, ranges, &m));
	assert_int_equal(m, 0);

	open_edu(&edu, s.ioas, "VDMA_BDF_EDU2", ALL_BITS);
	m = 8;
	WORKS(vdma_ioas_ranges(s.ioas, ranges, &m));
	assert_in_range(m, 1, 8);
	assert_int_equal(ranges[m - 1].last, end - 1);
	/* The MSI range is a hole, in the arena too. */
	for (size_t i = 0; i < m; i++)
		assert_false(ranges[i].first <= 0xfee00000 && ranges[i].last >= 0xfee00000);
	WORKS(vdma_arena_ranges(s.arena, usable, &n));
	assert_in_range(n, 1, 8);
	assert_int_equal(usable[n - 1].last, (end < opts.window ? end : opts.window) - 1);

	after = region_of(s.arena, VDMA_PROVIDER_CONTIG, 2 * PAGE, 0);
	a = vdma_region_buf(after);
	if (iommu_bits() > 39)
		assert_int_equal(a.iova, opts.window - a.len);
	else
		assert_in_range(a.iova, 1ULL << 38, (1ULL << 39) - a.len);
	dma_verify(&edu, &b, 1);
	dma_verify(&edu, &a, 2);
	edu_close(&edu);
	WORKS(vdma_region_destroy(after));
	WORKS(vdma_region_destroy(before));
	space_destroy(&s);
}

/* A window of 256 GiB costs what is in use of it, for arenas that come after others as well. */
static void empty_arenas(void **state)
{
	struct vdma_arena *arenas[8];
	int64_t rss = status("VmRSS");

	(void)state;
	for (unsigned int round = 0; round < 3; round++) {
		for (unsigned int i = 0; i < 8; i++)
			WORKS(vdma_arena_create(NULL, &arenas[i]));
		assert_true(status("VmRSS") < rss + (int64_t)(2 * MIB));
		for (unsigned int i = 0; i < 8; i++)
			WORKS(vdma_arena_destroy(arenas[i]));
	}
}

/*
 * Regions before, between and after devices, and the container wiped when its
 * last device leaves: the device reaches all that exist, each time.
 */
static void replay(void **state)
{
	struct space s = space_create();
	struct vdma_region *first, *second, *third;
	struct vdma_buf a, b, c;
	struct edu edu;

	(void)state;
	first = region_of(s.arena, VDMA_PROVIDER_CONTIG, 3 * PAGE, EDU_ADDRESS_BITS);
	a = vdma_region_buf(first);
	assert_int_equal(region_info(first).mapped, 0);

	open_edu(&edu, s.ioas, "VDMA_BDF_EDU", EDU_ADDRESS_BITS);
	assert_int_equal(region_info(first).mapped, 1);
	dma_verify(&edu, &a, 1);
	second = region_of(s.arena, VDMA_PROVIDER_ANON, 8 * PAGE, EDU_ADDRESS_BITS);
	b = vdma_region_buf(second);
	dma_verify(&edu, &b, 2);
	assert_int_equal(ioas_info(s.ioas).entries_used, 2);
	edu_close(&edu);

	assert_int_equal(region_info(first).mapped, 0);
	assert_int_equal(ioas_info(s.ioas).entries_used, 0);
	/* While no device is there: one more, and one fewer. */
	WORKS(vdma_region_destroy(first));
	third = region_of(s.arena, VDMA_PROVIDER_CONTIG, BIG, EDU_ADDRESS_BITS);
	c = vdma_region_buf(third);

	for (unsigned int i = 0; i < 2; i++) {
		open_edu(&edu, s.ioas, "VDMA_BDF_EDU", EDU_ADDRESS_BITS);
		assert_int_equal(ioas_info(s.ioas).entries_used, 2);
		dma_verify(&edu, &b, 3 + i);
		dma_verify(&edu, &c, 4 + i);
		edu_close(&edu);
	}
	WORKS(vdma_region_destroy(second));
	WORKS(vdma_region_destroy(third));
	space_destroy(&s);
}

/*
 * The IOMMU keeps a device from writing what is there to be read; the program may
 * do both. From reading what is there to be written Linux's driver does not keep it.
 */
static void access_of_devices(void **state)
{
	struct vdma_region_opts opts = { .size = sizeof(opts), .address_bits = EDU_ADDRESS_BITS };
	struct space s = space_create();
	const unsigned int len = 64;
	struct vdma_region *out, *in;
	uint8_t *sent, *got;
	struct vdma_buf o, i;
	struct edu edu;

	(void)state;
	open_edu(&edu, s.ioas, "VDMA_BDF_EDU", EDU_ADDRESS_BITS);
	opts.access = VDMA_ACCESS_READ;
	WORKS(vdma_region_create(s.arena, PAGE, &opts, &out));
	opts.access = VDMA_ACCESS_WRITE;
	WORKS(vdma_region_create(s.arena, PAGE, &opts, &in));
	o = vdma_region_buf(out);
	i = vdma_region_buf(in);
	sent = o.va;
	got = i.va;
	memset(sent, 0x5a, len);
	memset(got, 0xa5, len + 1);

	/* As it should be: read there, written here. */
	EDU_WORKS(&edu, edu_dma_write(&edu, 0, o.iova, len));
	EDU_WORKS(&edu, edu_dma_read(&edu, i.iova, 0, len));
	assert_memory_equal(sent, got, len);
	assert_int_equal(got[len], 0xa5);

	/* Written where it may read only: nothing has changed. */
	memset(sent, 0x11, len);
	EDU_WORKS(&edu, edu_dma_read(&edu, o.iova, 0, len));
	for (unsigned int at = 0; at < len; at++)
		assert_int_equal(sent[at], 0x11);
	edu_close(&edu);
	WORKS(vdma_region_destroy(in));
	WORKS(vdma_region_destroy(out));
	space_destroy(&s);
}

/* Two devices in one address space, a third in another of the same arena. */
static void several(void **state)
{
	struct space s = space_create();
	struct vdma_region *low, *high;
	struct vdma_ioas *other;
	struct vdma_buf l, h;
	struct edu edu, edu2;
	struct vdma_device *dev;
	int64_t locked = status(charged());

	(void)state;
	low = region_of(s.arena, VDMA_PROVIDER_CONTIG, 2 * MIB, EDU_ADDRESS_BITS);
	high = region_of(s.arena, VDMA_PROVIDER_CONTIG, BIG, 0);
	l = vdma_region_buf(low);
	h = vdma_region_buf(high);
	assert_true(l.iova + l.len <= 1ULL << EDU_ADDRESS_BITS);
	assert_true(h.iova >= 1ULL << 32);

	open_edu(&edu, s.ioas, "VDMA_BDF_EDU", EDU_ADDRESS_BITS);
	WORKS(vdma_device_open(s.ioas, bdf_of("VDMA_BDF_NVME"), NULL, &dev));
	other = ioas_of(s.arena);
	open_edu(&edu2, other, "VDMA_BDF_EDU2", ALL_BITS);
	assert_int_equal(region_info(low).mapped, 2);
	assert_int_equal(region_info(high).mapped, 2);
	assert_locked(&s, locked);

	/* Both see the same bytes at the same address. */
	dma_verify(&edu, &l, 1);
	dma_verify(&edu2, &l, 2);
	dma_verify(&edu2, &h, 3);
	assert_int_equal(edu_dma_write(&edu, 0, h.iova, 100), -ERANGE);

	/* One address space loses its last device, the others go on. */
	edu_close(&edu2);
	assert_int_equal(region_info(low).mapped, 1);
	assert_locked(&s, locked);
	dma_verify(&edu, &l, 4);
	vdma_device_close(dev);
	dma_verify(&edu, &l, 5);
	open_edu(&edu2, other, "VDMA_BDF_EDU2", ALL_BITS);
	dma_verify(&edu2, &h, 6);

	edu_close(&edu2);
	edu_close(&edu);
	WORKS(vdma_ioas_destroy(other));
	WORKS(vdma_region_destroy(high));
	WORKS(vdma_region_destroy(low));
	space_destroy(&s);
}

static void hugetlb_dma(void **state)
{
	struct space s = space_create();
	struct vdma_region *region;
	struct vdma_buf buf;
	struct edu edu;

	(void)state;
	file_write("/proc/sys/vm/nr_hugepages", "4");
	region = region_of(s.arena, VDMA_PROVIDER_HUGETLB, 5 * MIB, EDU_ADDRESS_BITS);
	buf = vdma_region_buf(region);
	assert_int_equal(buf.len, 6 * MIB);
	assert_int_equal(buf.pa, VDMA_PA_NONE);
	assert_int_equal(meminfo("HugePages_Free") / (int64_t)KIB, 1);
	open_edu(&edu, s.ioas, "VDMA_BDF_EDU", EDU_ADDRESS_BITS);
	dma_verify(&edu, &buf, 9);
	edu_close(&edu);
	WORKS(vdma_region_destroy(region));
	assert_int_equal(meminfo("HugePages_Free") / (int64_t)KIB, 4);
	file_write("/proc/sys/vm/nr_hugepages", "0");
	space_destroy(&s);
}

/* Point 3 of the first issue, through the library. */
static void cycles(void **state)
{
	const char *text = getenv("VDMA_TEST_CYCLES"), *other;
	const size_t len = 4 * MIB;
	struct space s = space_create();
	int64_t mem, locked, pinned;
	struct edu edu;

	(void)state;
	open_edu(&edu, s.ioas, "VDMA_BDF_EDU", EDU_ADDRESS_BITS);
	WORKS(vdma_region_destroy(region_of(s.arena, VDMA_PROVIDER_CONTIG, len, 0)));
	other = backend() == VDMA_BACKEND_IOMMUFD ? "VmLck" : "VmPin";
	locked = status(charged());
	pinned = status(other);
	mem = mem_free_settled();
	for (unsigned int i = 0; i < (text ? strtoul(text, NULL, 0) : 200); i++) {
		struct vdma_region *region;

		region =
			region_of(s.arena, VDMA_PROVIDER_CONTIG, len, i % 2 ? EDU_ADDRESS_BITS : 0);
		/* VFIO's charge is the only one: the module has a sum of its own. */
		assert_int_equal(status(charged()), locked + (int64_t)len);
		assert_locked(&s, locked);
		assert_int_equal(status(other), pinned);
		assert_int_equal(ioas_info(s.ioas).entries_used, 1);
		if (i == 9) {
			struct vdma_buf buf = vdma_region_buf(region);

			dma_verify(&edu, &buf, i);
		}
		WORKS(vdma_region_destroy(region));
	}
	assert_int_equal(status(charged()), locked);
	assert_int_equal(status(other), pinned);
	assert_int_equal(ledger_lines(), 0);
	assert_free(mem);
	edu_close(&edu);
	space_destroy(&s);
}

/* The newest descriptor of this process for VFIO's container. */
static int newest_container(void)
{
	char path[32], link[32];
	int newest = -1;

	for (int fd = 0; fd < 256; fd++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, link, sizeof(link) - 1);
		if (n < 0)
			continue;
		link[n] = 0;
		if (!strcmp(link, "/dev/vfio/vfio"))
			newest = fd;
	}
	assert_true(newest >= 0);
	return newest;
}

/*
 * The second address space refuses a region: it must not stay in the first
 * either. Once foreseen (only one entry was allowed when it got its device),
 * once not (behind the library's back, something is mapped there).
 */
static void all_or_none(void **state)
{
	const char *parameter = "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit";
	struct vdma_region_opts page_1 = { .size = sizeof(page_1), .address_bits = 13 };
	struct space s = space_create();
	struct vdma_region *one, *two = NULL;
	struct vdma_ioas_info before, after;
	struct vdma_ioas *narrow;
	struct edu edu, edu2;
	struct vdma_buf buf;
	char normal[32];
	int64_t mem;
	struct vfio raw;
	void *va;

	(void)state;
	if (backend() == VDMA_BACKEND_IOMMUFD) {
		/* No limit of entries, and no way to its mappings but its descriptor. */
		space_destroy(&s);
		skip();
	}
	narrow = ioas_of(s.arena);
	raw.container = newest_container();
	one = region_of(s.arena, VDMA_PROVIDER_CONTIG, 2 * MIB, EDU_ADDRESS_BITS);
	buf = vdma_region_buf(one);
	assert_true(buf.iova > PAGE);
	open_edu(&edu, s.ioas, "VDMA_BDF_EDU", EDU_ADDRESS_BITS);
	file_read(parameter, normal, sizeof(normal));
	file_write(parameter, "1");
	open_edu(&edu2, narrow, "VDMA_BDF_EDU2", ALL_BITS);
	file_write(parameter, normal);
	assert_int_equal(region_info(one).mapped, 2);
	assert_int_equal(ioas_info(narrow).entries_left, 0);
	before = ioas_info(s.ioas);
	mem = mem_free_settled();
	assert_true(EXPLAINED(vdma_region_create(s.arena, BIG, NULL, &two), ENOSPC, DMA_ENTRIES,
			      "dma_entry_limit"));
	assert_null(two);
	after = ioas_info(s.ioas);
	assert_int_equal(after.entries_used, before.entries_used);
	assert_int_equal(after.entries_left, before.entries_left);
	assert_int_equal(ledger_lines(), 1);
	assert_free(mem);

	edu_close(&edu2);
	open_edu(&edu2, narrow, "VDMA_BDF_EDU2", ALL_BITS);
	va = contig_mmap(PAGE);
	assert_return_code(vfio_map(&raw, va, PAGE, PAGE), errno);
	assert_true(EXPLAINED(vdma_region_create(s.arena, PAGE, &page_1, &two), EIO, SYSTEM,
			      "mapped in IOVA 0x1000 to 0x1fff", "Nothing was mapped",
			      "Close the devices"));
	assert_int_equal(vdma_last_failure()->sys_errno, EEXIST);
	assert_null(two);
	after = ioas_info(s.ioas);
	assert_int_equal(after.entries_used, before.entries_used);
	assert_int_equal(after.entries_left, before.entries_left);
	assert_int_equal(ledger_lines(), 2);
	/* The address is free again. */
	assert_return_code(vfio_unmap(&raw, PAGE, PAGE), errno);
	munmap(va, PAGE);
	WORKS(vdma_region_create(s.arena, PAGE, &page_1, &two));
	assert_int_equal(vdma_region_buf(two).iova, PAGE);
	WORKS(vdma_region_destroy(two));
	dma_verify(&edu, &buf, 1);
	dma_verify(&edu2, &buf, 2);

	edu_close(&edu2);
	edu_close(&edu);
	WORKS(vdma_region_destroy(one));
	WORKS(vdma_ioas_destroy(narrow));
	space_destroy(&s);
}

/*
 * Somebody else takes a mapping away: the kernel unmaps nothing, and says so by the
 * size alone. Memory and address stay ours until the device is closed.
 */
static void unmapped_elsewhere(void **state)
{
	struct space s = space_create();
	struct vdma_region *region;
	struct vdma_buf buf;
	struct edu edu;
	struct vfio raw;

	(void)state;
	if (backend() == VDMA_BACKEND_IOMMUFD) {
		space_destroy(&s);
		skip();
	}
	raw.container = newest_container();
	region = region_of(s.arena, VDMA_PROVIDER_ANON, PAGE, EDU_ADDRESS_BITS);
	buf = vdma_region_buf(region);
	open_edu(&edu, s.ioas, "VDMA_BDF_EDU", EDU_ADDRESS_BITS);
	dma_verify(&edu, &buf, 1);
	assert_return_code(vfio_unmap(&raw, buf.iova, PAGE), errno);
	assert_true(EXPLAINED(vdma_region_destroy(region), EIO, SYSTEM, "unmapped 0x0 bytes",
			      "instead of 0x1000", "address are kept", "Close the devices",
			      "can be destroyed"));
	assert_int_equal(vdma_last_failure()->need, PAGE);
	memset(buf.va, 1, buf.len);
	edu_close(&edu);
	/* It is mapped again for the next one, and goes then. */
	open_edu(&edu, s.ioas, "VDMA_BDF_EDU", EDU_ADDRESS_BITS);
	dma_verify(&edu, &buf, 2);
	WORKS(vdma_region_destroy(region));
	edu_close(&edu);
	space_destroy(&s);
}

/* A child that has the device write into its memory until it is killed. */
static void victim(int ready)
{
	struct space s = space_create();
	struct vdma_region *region = region_of(s.arena, VDMA_PROVIDER_CONTIG, BIG, 0);
	struct vdma_buf buf = vdma_region_buf(region);
	struct edu edu;

	open_edu(&edu, s.ioas, "VDMA_BDF_EDU2", ALL_BITS);
	dma_verify(&edu, &buf, 1);
	if (write(ready, "", 1) != 1)
		_exit(1);
	for (size_t at = 0;; at = (at + PAGE) % buf.len)
		EDU_WORKS(&edu, edu_dma_read(&edu, buf.iova + at, 0, EDU_BUF_USABLE));
}

/* Point 5 of the first issue. */
static void killed(void **state)
{
	struct space s = space_create();
	int64_t mem = mem_free_settled();
	struct vdma_region *region;
	struct vdma_buf buf;
	struct edu edu;

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		int ready[2], wstatus;
		char byte;
		pid_t pid;

		assert_return_code(pipe(ready), errno);
		fflush(stdout);
		pid = fork();
		assert_return_code(pid, errno);
		if (!pid) {
			close(ready[0]);
			victim(ready[1]);
			_exit(1);
		}
		close(ready[1]);
		assert_int_equal(read(ready[0], &byte, 1), 1);
		close(ready[0]);
		assert_int_equal(ledger_lines(), 1);
		assert_true(mem - meminfo("MemFree") > (int64_t)BIG - SLACK);
		/* A transfer takes 100 ms and the next follows at once: some of each. */
		usleep(40 * 1000 * (i + 1));
		assert_return_code(kill(pid, SIGKILL), errno);
		assert_int_equal(waitpid(pid, &wstatus, 0), pid);
		assert_true(WIFSIGNALED(wstatus) && WTERMSIG(wstatus) == SIGKILL);

		/* At once: no waiting for anything to settle. */
		open_edu(&edu, s.ioas, "VDMA_BDF_EDU2", ALL_BITS);
		region = region_of(s.arena, VDMA_PROVIDER_CONTIG, BIG, 0);
		buf = vdma_region_buf(region);
		dma_verify(&edu, &buf, i);
		WORKS(vdma_region_destroy(region));
		edu_close(&edu);
		assert_int_equal(ledger_wait(0), 0);
		assert_free(mem);
	}
	space_destroy(&s);
}

int run_memory(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(contiguous),
		cmocka_unit_test(reach),
		cmocka_unit_test(empty_arenas),
		cmocka_unit_test(replay),
		cmocka_unit_test(access_of_devices),
		cmocka_unit_test(several),
		cmocka_unit_test(hugetlb_dma),
		cmocka_unit_test(cycles),
		cmocka_unit_test(all_or_none),
		cmocka_unit_test(unmapped_elsewhere),
		cmocka_unit_test(killed),
	};

	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
