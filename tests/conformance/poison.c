// SPDX-License-Identifier: BSD-3-Clause
/*
 * D11: a page that the hardware reports as bad. MADV_HWPOISON says so without
 * broken hardware; the frame is lost to the machine until it boots again.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>

#include "suite.h"
#include "uapi.h"

#define LEN (4 * MIB)
#define BAD (2 * MIB + 7 * PAGE)

/* Bits of /proc/kpageflags. */
#define KPF_BUDDY 10
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

const struct test poison_tests[] = {
	TEST(d11_bad_page),
	TESTS_END,
};
