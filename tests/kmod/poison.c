// SPDX-License-Identifier: BSD-3-Clause
/*
 * D11: bad pages. MADV_HWPOISON is memory_failure() with a reference taken by
 * the caller, hwpoison-inject without one, as a machine check has it: the kernel
 * takes different ways, which leave different reference counts behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "suite.h"

#define LEN (4 * MIB + 12 * KIB)
#define LONG (64 * MIB + 12 * KIB)
#define BAD 77 /* a page inside the first folio */

#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101 /* which glibc leaves to the kernel */
#endif

/* Of /proc/kpageflags: include/uapi/linux/kernel-page-flags.h. */
#define KPF_BUDDY 10
#define KPF_HWPOISON 19

static uint64_t kpage(const char *path, uint64_t frame)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t value = 0;

	if (fd < 0 || pread(fd, &value, sizeof(value), (off_t)(frame * sizeof(value))) !=
			      (ssize_t)sizeof(value))
		fail_msg("%s of frame %" PRIu64 ": %m", path, frame);
	close(fd);
	return value;
}

static bool is_marked_bad(uint64_t frame)
{
	return kpage("/proc/kpageflags", frame) >> KPF_HWPOISON & 1;
}

/* Those that went bad in the tests so far. */
static uint64_t bad_frames[16];
static size_t bad_count;

/* Still out of everybody's hands? */
static void assert_out_of_use(uint64_t frame)
{
	assert_true(is_marked_bad(frame));
	assert_false(kpage("/proc/kpageflags", frame) >> KPF_BUDDY & 1);
	assert_int_equal(kpage("/proc/kpagecount", frame), 0);
}

static void went_bad(uint64_t frame)
{
	assert_out_of_use(frame);
	assert_true(bad_count < sizeof(bad_frames) / sizeof(*bad_frames));
	bad_frames[bad_count++] = frame;
}

static sigjmp_buf bus_return;
static siginfo_t bus_info;

static void on_bus(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	bus_info = *info;
	siglongjmp(bus_return, 1);
}

/* The signal code of an access, 0 if it is allowed. */
static int touch(volatile char *p, bool write)
{
	struct sigaction action = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO }, old;
	int code = 0;

	sigaction(SIGBUS, &action, &old);
	memset(&bus_info, 0, sizeof(bus_info));
	if (sigsetjmp(bus_return, 1))
		code = bus_info.si_code;
	else if (write)
		*p = 1;
	else
		(void)*p;
	sigaction(SIGBUS, &old, NULL);
	return code;
}

static void assert_bad(char *page)
{
	for (int write = 0; write < 2; write++) {
		assert_int_equal(touch(page + 100, write), BUS_MCEERR_AR);
		assert_ptr_equal((char *)((uintptr_t)bus_info.si_addr & -PAGE), page);
		assert_int_equal(1UL << bus_info.si_addr_lsb, PAGE);
	}
}

/* The module is told by the kernel, and acts a moment later. */
static void wait_unmapped(const char *page)
{
	for (int i = 0; i < 1000 && pagemap_any_present(page, PAGE); i++)
		usleep(10 * 1000);
	assert_false(pagemap_any_present(page, PAGE));
}

/* Each page begins with its number. */
static void fill(char *va, size_t len)
{
	for (size_t i = 0; i < len / PAGE; i++)
		memcpy(va + i * PAGE, &i, sizeof(i));
}

static void assert_frames(const char *va, size_t len, const uint64_t *frames)
{
	uint64_t *now;

	if (!len)
		return;
	now = pagemap_frames(va, len);
	assert_memory_equal(now, frames, len / PAGE * sizeof(*now));
	free(now);
}

/* All pages but bad still are where they were, with what they held. */
static void assert_others_fine(char *va, size_t len, const uint64_t *frames, size_t bad)
{
	size_t behind = bad + 1;

	for (size_t i = 0; i < len / PAGE; i++) {
		size_t held;

		if (i == bad)
			continue;
		assert_int_equal(touch(va + i * PAGE + 100, true), 0);
		memcpy(&held, va + i * PAGE, sizeof(held));
		assert_int_equal(held, i);
	}
	assert_frames(va, bad * PAGE, frames);
	if (behind < len / PAGE)
		assert_frames(va + behind * PAGE, len - behind * PAGE, frames + behind);
}

static void poison_by_madvise(char *page, uint64_t frame)
{
	(void)frame;
	/* It says that it could not help those who use the page: we do. */
	assert_int_equal(madvise(page, PAGE, MADV_HWPOISON), -1);
	if (errno != EBUSY && errno != EHWPOISON)
		fail_msg("MADV_HWPOISON: %m");
}

static void poison_by_frame(char *page, uint64_t frame)
{
	char text[32];
	int fd;

	(void)page;
	snprintf(text, sizeof(text), "%#" PRIx64, frame);
	if (access("/sys/kernel/debug/hwpoison", F_OK) && system("modprobe hwpoison_inject"))
		fail_msg("no hwpoison_inject");
	fd = open("/sys/kernel/debug/hwpoison/corrupt-pfn", O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	/* Fails as madvise() does. */
	if (write(fd, text, strlen(text)) > 0 || (errno != EBUSY && errno != EHWPOISON))
		fail_msg("corrupt-pfn: %m");
	close(fd);
}

/* What a page goes back with. */
static bool has_folios(void)
{
	struct map_contig_version version = { .size = sizeof(version) };
	int fd = open(MAP_CONTIG_DEVICE, O_RDWR | O_CLOEXEC);

	assert_return_code(ioctl(fd, MAP_CONTIG_VERSION, &version), errno);
	close(fd);
	assert_true(version.features & MAP_CONTIG_HAS_POISON);
	return version.features & MAP_CONTIG_HAS_FOLIOS;
}

static unsigned long bytes_lost(void)
{
	FILE *f = fopen("/sys/kernel/debug/map_contig/ledger", "re");
	unsigned long lost = 0;
	char line[512];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "# bytes out of use for good: %lu", &lost) == 1)
			break;
	fclose(f);
	return lost;
}

/*
 * The whole of it: one page of a mapping goes bad, its users get SIGBUS, all
 * others stay, and when the mapping is gone the page, or the folio around it,
 * is in nobody's hands.
 */
static void bad_page(void (*poison)(char *page, uint64_t frame))
{
	size_t chunk = has_folios() ? FOLIO : PAGE;
	unsigned long lost = bytes_lost();
	int64_t before = mem_free_settled();
	char *va = contig_mmap(LONG);
	uint64_t *frames = pagemap_frames(va, LONG);
	int pipes[2];

	fill(va, LONG);
	poison(va + BAD * PAGE, frames[BAD]);
	wait_unmapped(va + BAD * PAGE);
	assert_true(is_marked_bad(frames[BAD]));
	assert_bad(va + BAD * PAGE);
	assert_others_fine(va, LONG, frames, BAD);
	assert_bad(va + BAD * PAGE);
	assert_int_equal(ledger_sum("bytes_bad"), chunk);

	/* The kernel does not touch it for us either. */
	assert_return_code(pipe(pipes), errno);
	assert_int_equal(write(pipes[1], va + BAD * PAGE, 16), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(write(pipes[1], va + (BAD + 1) * PAGE, 16), 16);

	munmap(va, LONG);
	assert_int_equal(ledger_wait(0), 0);
	assert_int_equal(bytes_lost(), lost + chunk);
	went_bad(frames[BAD]);
	/* All else went back: a debug kernel has 20 MiB more in use than before, for itself. */
	assert_true(before - mem_free_settled() < (int64_t)(LONG / 2));

	close(pipes[0]);
	close(pipes[1]);
	free(frames);
}

static void d11_bad_page_found_by_its_user(void **state)
{
	(void)state;
	bad_page(poison_by_madvise);
}

static void d11_bad_page_found_by_the_machine(void **state)
{
	(void)state;
	bad_page(poison_by_frame);
}

/* The last page is a chunk of its own on every kernel. */
static void d11_bad_single_page(void **state)
{
	size_t bad = LEN / PAGE - 1;
	unsigned long lost = bytes_lost();
	char *va = contig_mmap(LEN);
	uint64_t *frames = pagemap_frames(va, LEN);

	(void)state;
	fill(va, LEN);
	poison_by_madvise(va + bad * PAGE, frames[bad]);
	wait_unmapped(va + bad * PAGE);
	assert_bad(va + bad * PAGE);
	assert_others_fine(va, LEN, frames, bad);
	munmap(va, LEN);
	/* The reference that memory_failure() keeps makes no orphan of it. */
	assert_int_equal(ledger_wait(0), 0);
	assert_int_equal(bytes_lost(), lost + PAGE);
	went_bad(frames[bad]);
	free(frames);
}

/* Every mapping, in every process. */
static void d11_all_mappings_lose_it(void **state)
{
	struct region region = region_alloc(LEN);
	char *one = region_map(&region), *two = region_map(&region), *through;
	int dmabuf = region_export(region.fd, BAD * PAGE, 2 * PAGE);
	uint64_t *frames = pagemap_frames(one, LEN);

	(void)state;
	through = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf, 0);
	assert_ptr_not_equal(through, MAP_FAILED);
	fill(one, LEN);
	poison_by_madvise(two + BAD * PAGE, frames[BAD]);
	/* They lose it one after the other. */
	wait_unmapped(one + BAD * PAGE);
	wait_unmapped(two + BAD * PAGE);
	wait_unmapped(through);
	assert_bad(one + BAD * PAGE);
	assert_bad(two + BAD * PAGE);
	assert_bad(through);
	assert_int_equal(touch(through + PAGE + 100, true), 0);
	assert_others_fine(one, LEN, frames, BAD);
	assert_others_fine(two, LEN, frames, BAD);

	munmap(one, LEN);
	munmap(two, LEN);
	munmap(through, 2 * PAGE);
	close(dmabuf);
	region_close(&region);
	assert_int_equal(ledger_wait(0), 0);
	went_bad(frames[BAD]);
	free(frames);
}

static int child_looks(void *arg)
{
	char *va = arg;
	size_t held;

	for (size_t i = 0; i < LEN / PAGE; i++) {
		if (i == BAD)
			continue;
		memcpy(&held, va + i * PAGE, sizeof(held));
		if (held != i)
			return 1;
	}
	return touch(va + BAD * PAGE, false) ? 0 : 2;
}

/* There is nothing to copy for a child: it gets SIGBUS there, and the rest. */
static void d11_fork_copies_the_others(void **state)
{
	char *va = contig_mmap(LEN);
	uint64_t *frames = pagemap_frames(va, LEN);

	(void)state;
	fill(va, LEN);
	poison_by_madvise(va + BAD * PAGE, frames[BAD]);
	wait_unmapped(va + BAD * PAGE);
	assert_int_equal(in_child(child_looks, va), 0);
	assert_others_fine(va, LEN, frames, BAD);
	munmap(va, LEN);
	assert_int_equal(ledger_wait(0), 0);
	free(frames);
}

/* All memory passes through somebody's hands, and they do not. */
static void d11_bad_frames_stay_out_of_use(void **state)
{
	(void)state;
	assert_int_equal(bad_count, 4);
	memory_churn();
	for (size_t i = 0; i < bad_count; i++)
		assert_out_of_use(bad_frames[i]);
}

/* A page that may go bad cannot move away either: it stays, and is not marked. */
static void d11_soft_offline_keeps_the_frame(void **state)
{
	char *va = contig_mmap(LEN);
	uint64_t *frames = pagemap_frames(va, LEN);

	(void)state;
	fill(va, LEN);
	assert_int_equal(madvise(va + BAD * PAGE, PAGE, MADV_SOFT_OFFLINE), -1);
	if (errno != EIO && errno != EBUSY)
		fail_msg("MADV_SOFT_OFFLINE: %m");
	assert_false(is_marked_bad(frames[BAD]));
	assert_others_fine(va, LEN, frames, LEN / PAGE);
	munmap(va, LEN);
	assert_int_equal(ledger_wait(0), 0);
	assert_int_equal(ledger_sum("bytes_bad"), 0);
	free(frames);
}

int run_poison(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(d11_bad_page_found_by_its_user),
		cmocka_unit_test(d11_bad_page_found_by_the_machine),
		cmocka_unit_test(d11_bad_single_page),
		cmocka_unit_test(d11_all_mappings_lose_it),
		cmocka_unit_test(d11_fork_copies_the_others),
		cmocka_unit_test(d11_soft_offline_keeps_the_frame),
		cmocka_unit_test(d11_bad_frames_stay_out_of_use),
	};

	return cmocka_run_group_tests_name("poison", tests, NULL, NULL);
}
