// SPDX-License-Identifier: BSD-3-Clause
/* D9: dma-bufs, by an importer in the kernel and by mmap. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/dma-buf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "suite.h"

/* Folios, and single pages behind them. */
#define LEN (4 * MIB + 12 * KIB)

/* 0 or -errno. */
static int tell(int importer, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int tell(int importer, const char *format, ...)
{
	char line[80];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	return write(importer, line, (size_t)len) == len ? 0 : -errno;
}

static int importer_open(void)
{
	int fd = open("/dev/vdma_importer", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		fail_msg("/dev/vdma_importer: %m");
	return fd;
}

static int import(int dmabuf, const char *bdf)
{
	int importer = importer_open(), err = tell(importer, "import %d %s", dmabuf, bdf);

	if (err)
		fail_msg("import: %s", strerror(-err));
	return importer;
}

/* What the importer got: one entry, else the test fails. */
struct entry {
	uint64_t phys, dma;
	size_t len;
};

static struct entry entry_of(int importer)
{
	struct entry entry;
	char text[512];
	unsigned int dma_len, len;
	ssize_t n;
	int end = 0;

	n = pread(importer, text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	text[n] = 0;
	if (sscanf(text, "phys %" SCNx64 " %x dma %" SCNx64 " %x %n", &entry.phys, &len, &entry.dma,
		   &dma_len, &end) != 4 ||
	    text[end])
		fail_msg("not one entry:\n%s", text);
	assert_int_equal(dma_len, len);
	entry.len = len;
	return entry;
}

static void *dmabuf_map(int dmabuf, size_t len, off_t offset)
{
	return mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf, offset);
}

static void dmabuf_sync(int dmabuf, uint64_t flags)
{
	struct dma_buf_sync sync = { .flags = flags };

	assert_return_code(ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &sync), errno);
}

static void assert_same_frames(const void *a, const void *b, size_t len)
{
	uint64_t *of_a = pagemap_frames(a, len), *of_b = pagemap_frames(b, len);

	assert_memory_equal(of_a, of_b, len / PAGE * sizeof(*of_a));
	free(of_a);
	free(of_b);
}

static void d9_importer_sees_one_entry_and_the_same_bytes(void **state)
{
	struct region region = region_alloc(LEN);
	char *va = region_map(&region);
	uint64_t *frames = pagemap_frames(va, LEN);
	int dmabuf = region_export(region.fd, 0, 0), importer;
	struct entry entry;

	(void)state;
	assert_return_code(dmabuf, -dmabuf);
	assert_int_equal(fcntl(dmabuf, F_GETFD), FD_CLOEXEC);
	assert_int_equal(lseek(dmabuf, 0, SEEK_END), LEN);
	importer = import(dmabuf, "");
	entry = entry_of(importer);
	assert_int_equal(entry.phys, frames[0] * PAGE);
	assert_int_equal(entry.dma, frames[0] * PAGE);
	assert_int_equal(entry.len, LEN);

	dmabuf_sync(dmabuf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_WRITE);
	memset(va, 1, LEN);
	va[LEN - 1] = 2;
	dmabuf_sync(dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE);
	assert_int_equal(tell(importer, "check 0 %zu 1", LEN - 1), 0);
	assert_int_equal(tell(importer, "check 0 %zu 1", LEN), -EILSEQ);
	assert_int_equal(tell(importer, "check %zu 1 2", LEN - 1), 0);

	assert_int_equal(tell(importer, "fill %zu 100 3", LEN - 100), 0);
	dmabuf_sync(dmabuf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ);
	for (size_t i = 1; i <= 100; i++)
		assert_int_equal(va[LEN - i], 3);
	assert_int_equal(va[LEN - 101], 1);
	dmabuf_sync(dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ);

	close(importer);
	close(dmabuf);
	munmap(va, LEN);
	region_close(&region);
	free(frames);
}

/* Behind the IOMMU too it is one run of device addresses. */
static void d9_one_entry_for_a_device_behind_an_iommu(void **state)
{
	struct region region = region_alloc(LEN);
	int dmabuf = region_export(region.fd, 0, 0);
	int importer = import(dmabuf, bdf_of("VDMA_BDF_EDU"));
	struct entry entry = entry_of(importer);

	(void)state;
	assert_int_equal(entry.phys, region.phys);
	assert_int_equal(entry.len, LEN);
	/* 32 bits, which every PCI device has if no driver says otherwise. */
	assert_int_not_equal(entry.dma, entry.phys);
	assert_true(entry.dma + LEN <= 1UL << 32);
	close(importer);
	close(dmabuf);
	region_close(&region);
}

static void d9_mmap_shows_the_same_frames(void **state)
{
	struct region region = region_alloc(LEN);
	char *va = region_map(&region), *whole, *tail, *through;
	int dmabuf = region_export(region.fd, 0, 0), importer = import(dmabuf, "");

	(void)state;
	whole = dmabuf_map(dmabuf, LEN, 0);
	assert_ptr_not_equal(whole, MAP_FAILED);
	assert_same_frames(va, whole, LEN);
	tail = dmabuf_map(dmabuf, 8 * KIB, LEN - 8 * KIB);
	assert_ptr_not_equal(tail, MAP_FAILED);
	assert_same_frames(va + LEN - 8 * KIB, tail, 8 * KIB);
	/* dma_buf_mmap(), as a driver calls it that hands out its importer's memory. */
	through = mmap(NULL, 8 * KIB, PROT_READ | PROT_WRITE, MAP_SHARED, importer, LEN - 8 * KIB);
	assert_ptr_not_equal(through, MAP_FAILED);
	assert_same_frames(tail, through, 8 * KIB);

	tail[0] = 7;
	assert_int_equal(va[LEN - 8 * KIB], 7);
	assert_int_equal(through[0], 7);

	assert_ptr_equal(dmabuf_map(dmabuf, LEN, 4 * KIB), MAP_FAILED);
	assert_int_equal(errno, EINVAL);
	assert_ptr_equal(dmabuf_map(dmabuf, 4 * KIB, LEN), MAP_FAILED);
	assert_int_equal(errno, EINVAL);
	assert_ptr_equal(mmap(NULL, LEN, PROT_READ, MAP_PRIVATE, dmabuf, 0), MAP_FAILED);
	assert_int_equal(errno, EINVAL);

	munmap(through, 8 * KIB);
	munmap(tail, 8 * KIB);
	munmap(whole, LEN);
	munmap(va, LEN);
	close(importer);
	close(dmabuf);
	region_close(&region);
	assert_int_equal(ledger_wait(0), 0);
}

static void d9_part_of_a_region(void **state)
{
	struct region region = region_alloc(LEN);
	char *va = region_map(&region), *part;
	int dmabuf = region_export(region.fd, 1 * MIB, 64 * KIB), importer = import(dmabuf, "");
	struct entry entry = entry_of(importer);

	(void)state;
	assert_int_equal(entry.phys, region.phys + 1 * MIB);
	assert_int_equal(entry.len, 64 * KIB);
	part = dmabuf_map(dmabuf, 32 * KIB, 32 * KIB);
	assert_ptr_not_equal(part, MAP_FAILED);
	assert_same_frames(va + 1 * MIB + 32 * KIB, part, 32 * KIB);
	/* What lies behind belongs to the region, and not to the dma-buf. */
	assert_ptr_equal(dmabuf_map(dmabuf, 64 * KIB, 4 * KIB), MAP_FAILED);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(tell(importer, "fill 0 65536 9"), 0);
	assert_int_equal(va[1 * MIB - 1], 0);
	assert_int_equal(va[1 * MIB], 9);
	assert_int_equal(va[1 * MIB + 64 * KIB - 1], 9);
	assert_int_equal(va[1 * MIB + 64 * KIB], 0);

	munmap(part, 32 * KIB);
	munmap(va, LEN);
	close(importer);
	close(dmabuf);
	region_close(&region);
}

static void d9_dmabuf_keeps_the_memory(void **state)
{
	int64_t before = mem_free_settled();
	struct region region = region_alloc(64 * MIB);
	char *va = region_map(&region), *again;
	int dmabuf = region_export(region.fd, 0, 0), importer;

	(void)state;
	memset(va, 5, 64 * MIB);
	munmap(va, 64 * MIB);
	region_close(&region);
	assert_int_equal(ledger_lines(), 1);
	assert_int_equal(ledger_sum("bytes_held"), 64 * MIB);
	assert_true(before - mem_free_settled() > (int64_t)(48 * MIB));

	/* An importer needs no descriptor. */
	importer = import(dmabuf, "");
	close(dmabuf);
	assert_int_equal(ledger_lines(), 1);
	assert_int_equal(tell(importer, "check 0 %lu 5", 64 * MIB), 0);

	/* Nor does a mapping need an importer. */
	again = mmap(NULL, 64 * KIB, PROT_READ, MAP_SHARED, importer, 0);
	assert_ptr_not_equal(again, MAP_FAILED);
	close(importer);
	assert_int_equal(ledger_lines(), 1);
	assert_int_equal(again[0], 5);
	munmap(again, 64 * KIB);
	assert_int_equal(ledger_wait(0), 0);
	assert_in_range(before - mem_free_settled() + (int64_t)(16 * MIB), 0, 32 * MIB);
}

/* Exported by its address, from what mmap() of the node made. */
static void d9_mapping_is_exported_by_address(void **state)
{
	int node = open(MAP_CONTIG_DEVICE, O_RDWR | O_CLOEXEC), dmabuf, importer;
	char *va = contig_mmap(LEN);
	uint64_t *frames = pagemap_frames(va, LEN);
	struct entry entry;

	(void)state;
	dmabuf = region_export(node, (uintptr_t)va + 8 * KIB, 0);
	assert_return_code(dmabuf, -dmabuf);
	importer = import(dmabuf, "");
	entry = entry_of(importer);
	assert_int_equal(entry.phys, frames[2] * PAGE);
	assert_int_equal(entry.len, LEN - 8 * KIB);
	/* All of it stays, as the dma-buf's neighbours may be mapped again by nobody. */
	munmap(va, LEN);
	assert_int_equal(ledger_lines(), 1);
	assert_int_equal(tell(importer, "check 0 %lu 0", LEN - 8 * KIB), 0);
	close(importer);
	close(dmabuf);
	assert_int_equal(ledger_wait(0), 0);
	close(node);
	free(frames);
}

static void d9_export_refuses(void **state)
{
	struct map_contig_export export = { .size = sizeof(export) };
	struct region region = region_alloc(LEN);
	int node = open(MAP_CONTIG_DEVICE, O_RDWR | O_CLOEXEC);
	struct rlimit limit, none;

	(void)state;
	assert_int_equal(region_export(region.fd, 1, 0), -EINVAL);
	assert_int_equal(region_export(region.fd, 0, 100), -EINVAL);
	assert_int_equal(region_export(region.fd, LEN, 0), -ENXIO);
	assert_int_equal(region_export(region.fd, 0, LEN + PAGE), -ENXIO);
	assert_int_equal(region_export(region.fd, LEN - PAGE, 2 * PAGE), -ENXIO);
	assert_int_equal(region_export(region.fd, -PAGE, 2 * PAGE), -ENXIO);
	assert_int_equal(region_export(region.fd, PAGE, -PAGE), -ENXIO);
	assert_int_equal(region_export(node, 0, 0), -ENXIO);
	export.flags = 1;
	assert_int_equal(ioctl(region.fd, MAP_CONTIG_EXPORT, &export), -1);
	assert_int_equal(errno, EOPNOTSUPP);
	export = (struct map_contig_export){ .size = sizeof(export) - 1 };
	assert_int_equal(ioctl(region.fd, MAP_CONTIG_EXPORT, &export), -1);
	assert_int_equal(errno, EINVAL);

	assert_return_code(getrlimit(RLIMIT_NOFILE, &limit), errno);
	none = (struct rlimit){ (rlim_t)node + 1, limit.rlim_max };
	assert_return_code(setrlimit(RLIMIT_NOFILE, &none), errno);
	assert_int_equal(region_export(region.fd, 0, 0), -EMFILE);
	assert_return_code(setrlimit(RLIMIT_NOFILE, &limit), errno);

	close(node);
	region_close(&region);
	/* None of it keeps the region. */
	assert_int_equal(ledger_wait(0), 0);
}

static void d10_dmabuf_holds_the_module(void **state)
{
	struct region region = region_alloc(LEN);
	int dmabuf = region_export(region.fd, 0, 0);

	(void)state;
	region_close(&region);
	assert_int_equal(syscall(SYS_delete_module, "map_contig", O_NONBLOCK), -1);
	assert_true(errno == EAGAIN || errno == EBUSY);
	close(dmabuf);
	assert_int_equal(ledger_wait(0), 0);
}

static int importer_load(void **state)
{
	struct utsname name;
	char path[4096];
	int fd;

	(void)state;
	if (uname(&name))
		return -1;
	snprintf(path, sizeof(path), "%s/%s/importer.ko", importer_path, name.release);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || syscall(SYS_finit_module, fd, "", 0)) {
		print_error("%s: %s\n", path, strerror(errno));
		return -1;
	}
	return close(fd);
}

static int importer_unload(void **state)
{
	(void)state;
	return (int)syscall(SYS_delete_module, "importer", O_NONBLOCK);
}

int run_dmabuf(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(d9_importer_sees_one_entry_and_the_same_bytes),
		cmocka_unit_test(d9_one_entry_for_a_device_behind_an_iommu),
		cmocka_unit_test(d9_mmap_shows_the_same_frames),
		cmocka_unit_test(d9_part_of_a_region),
		cmocka_unit_test(d9_dmabuf_keeps_the_memory),
		cmocka_unit_test(d9_mapping_is_exported_by_address),
		cmocka_unit_test(d9_export_refuses),
		cmocka_unit_test(d10_dmabuf_holds_the_module),
	};

	return cmocka_run_group_tests_name("dmabuf", tests, importer_load, importer_unload);
}
