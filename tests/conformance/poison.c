// SPDX-License-Identifier: BSD-3-Clause
/*
 * D11: a page that the hardware reports as bad. MADV_HWPOISON says so without
 * broken hardware; the frame is lost to the machine until it boots again.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>

#include "suite.h"
#include "uapi.h"

#define LEN (4 * MIB)
#define BAD (2 * MIB + 7 * PAGE)
#define RESERVE "/sys/module/map_contig/parameters/reserve"

/* Bits of /proc/kpageflags. */
#define KPF_BUDDY 10
#define KPF_COMPOUND_HEAD 15
#define KPF_HWPOISON 19

static bool frame_flag(uint64_t frame, unsigned int bit)
{
	int fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
	uint64_t flags;

	CHECK_OK(fd);
	CHECK_EQ(pread(fd, &flags, 8, (off_t)(frame * 8)), 8);
	close(fd);
	return flags >> bit & 1;
}

/* The kernel's own answer is that it could do nothing about it; the mark stays. */
static void bad_frame(const char *offline, uint64_t frame)
{
	char text[32];
	int fd = open(offline, O_WRONLY | O_CLOEXEC), length;

	CHECK_OK(fd);
	length = snprintf(text, sizeof(text), "%llu", (unsigned long long)(frame * PAGE));
	if (write(fd, text, (size_t)length) < 0)
		note("%s: %m", offline);
	close(fd);
	CHECK(frame_flag(frame, KPF_HWPOISON));
}

static int touch_in_child(void *arg)
{
	return touch_read(arg);
}

static void d11_bad_page(void)
{
	struct map_contig_constraints want = { .fork = MAP_CONTIG_FORK_SHARE };
	int node = node_open(), region, sig = 0;
	char *va, *second;
	uint64_t *frames;

	SKIP_IF(!(node_features() & MAP_CONTIG_HAS_POISON),
		"the kernel does not tell of bad pages");
	region = region_alloc(node, LEN, &want);
	CHECK_OK(region);
	va = region_map(region, LEN);
	second = region_map(region, LEN);
	CHECK_OK(va);
	CHECK_OK(second);
	memset(va, 0x29, LEN);
	frames = pagemap_frames(va, LEN);

	/* Its answer is the kernel's; what becomes of the page is ours. */
	madvise(va + BAD, PAGE, MADV_HWPOISON);
	CHECK(frame_flag(frames[BAD / PAGE], KPF_HWPOISON));
	for (int i = 0; i < 100 && !sig; i++) {
		sig = touch_read(va + BAD);
		usleep(10 * 1000);
	}
	CHECK_EQ(sig, SIGBUS);
	CHECK_EQ(touch_read(second + BAD), SIGBUS);
	CHECK_EQ(in_child(touch_in_child, va + BAD), SIGBUS);
	CHECK_EQ(ledger_number(0, "bytes"), LEN);
	CHECK(ledger_number(0, "bytes_bad") >= (int64_t)PAGE);

	/* All else goes on, where it was. */
	CHECK(is_filled(va, BAD, 0x29));
	CHECK(is_filled(va + BAD + PAGE, LEN - BAD - PAGE, 0x29));
	CHECK(frames_are(va, BAD, frames));
	CHECK(frames_are(va + BAD + PAGE, LEN - BAD - PAGE, frames + BAD / PAGE + 1));

	/* It can be mapped again, but for the page. */
	munmap(va, LEN);
	va = region_map(region, LEN);
	CHECK_OK(va);
	CHECK_EQ(touch_read(va + BAD), SIGBUS);
	CHECK(is_filled(va, BAD, 0x29));
	CHECK(is_filled(va + BAD + PAGE, LEN - BAD - PAGE, 0x29));

	/* Freed, the page is nobody's. */
	munmap(va, LEN);
	munmap(second, LEN);
	close(region);
	CHECK_EQ(ledger_wait(0), 0);
	CHECK(frame_flag(frames[BAD / PAGE], KPF_HWPOISON));
	CHECK(!frame_flag(frames[BAD / PAGE], KPF_BUDDY));
	for (int i = 0; i < 20; i++) {
		uint64_t *now;

		va = region_mmap(LEN, NULL);
		CHECK_OK(va);
		now = pagemap_frames(va, LEN);
		for (size_t j = 0; j < LEN / PAGE; j++)
			CHECK(now[j] != frames[BAD / PAGE]);
		free(now);
	}
	free(frames);
}

/* In memory that is set aside and that nobody has: it is neither handed out nor given back. */
static void d11_bad_page_in_the_reserve(void)
{
	static const char offline[] = "/sys/devices/system/memory/hard_offline_page";
	struct map_contig_limits limits;
	int node = node_open();
	uint64_t *frames, *now;
	char *va, source[16];

	SKIP_IF(access(offline, W_OK), "the kernel takes no word of bad pages");
	SKIP_IF(!(node_features() & MAP_CONTIG_HAS_FOLIOS), "the units are single pages");
	file_set(RESERVE, "8M");
	va = region_mmap(8 * MIB, NULL);
	CHECK_OK(va);
	ledger_text(0, "source", source, sizeof(source));
	CHECK(!strcmp(source, "reserve"));
	frames = pagemap_frames(va, 8 * MIB);
	munmap(va, 8 * MIB);
	CHECK_EQ(ledger_wait(0), 0);

	/* One that is found as it is handed out, one as it is given up. */
	bad_frame(offline, frames[BAD / PAGE]);
	va = region_mmap(6 * MIB, NULL);
	CHECK_OK(va);
	now = pagemap_frames(va, 6 * MIB);
	for (size_t i = 0; i < 6 * MIB / PAGE; i++)
		CHECK(now[i] != frames[BAD / PAGE]);
	munmap(va, 6 * MIB);
	CHECK_EQ(ledger_wait(0), 0);
	bad_frame(offline, frames[(6 * MIB + BAD % FOLIO) / PAGE]);
	file_set(RESERVE, "0");
	CHECK_OK(node_limits(node, &limits));
	CHECK_EQ(limits.reserve_free, 0);
	/* Their folios are nobody's, but there. */
	CHECK(frame_flag(frames[2 * MIB / PAGE], KPF_COMPOUND_HEAD));
	CHECK(frame_flag(frames[6 * MIB / PAGE], KPF_COMPOUND_HEAD));
	CHECK(!frame_flag(frames[4 * MIB / PAGE], KPF_COMPOUND_HEAD));
	free(now);
	free(frames);
}

const struct test poison_tests[] = {
	TEST(d11_bad_page),
	TEST(d11_bad_page_in_the_reserve),
	TESTS_END,
};
