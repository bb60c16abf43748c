// SPDX-License-Identifier: BSD-3-Clause
/* What a device does beyond its buffers, or too late, in an arena that checks. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest.h"

/* Bytes on either side of a buffer's end. */
#define HALF 100U

struct checked {
	struct space s;
	const char *bdf;
	struct edu edu;
	struct vdma_buf source; /* what the device is loaded from */
	struct vdma_region *region;
};

static void open_checked(struct checked *c)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts), .flags = VDMA_ARENA_CHECK };

	WORKS(vdma_arena_create(&opts, &c->s.arena));
	c->s.ioas = ioas_of(c->s.arena);
	/* The demo looks for faults of the other one. */
	c->bdf = bdf_of("VDMA_BDF_EDU2");
	EDU_WORKS(&c->edu, edu_open(&c->edu, c->s.ioas, c->bdf, 48));
	EDU_WORKS(&c->edu, edu_irq_use(&c->edu, VDMA_IRQ_MSI));
	c->region = region_of(c->s.arena, VDMA_PROVIDER_CONTIG, PAGE, 0);
	c->source = vdma_region_buf(c->region);
	memset(c->source.va, 0xee, PAGE);
	EDU_WORKS(&c->edu, edu_dma_write(&c->edu, 0, c->source.iova, 2 * HALF));
	memset(c->source.va, 0x11, PAGE);
}

static void close_checked(struct checked *c)
{
	edu_close(&c->edu);
	WORKS(vdma_region_destroy(c->region));
	space_destroy(&c->s);
}

static void assert_all(const struct vdma_buf *buf, size_t from, size_t to, unsigned char byte)
{
	const unsigned char *va = buf->va;

	for (size_t i = from; i < to; i++)
		if (va[i] != byte)
			fail_msg("byte 0x%zx at IOVA 0x%" PRIx64 " is 0x%02x, not 0x%02x", i,
				 buf->iova + i, va[i], byte);
}

/* The address of the last write of a device that the IOMMU stopped, as the kernel's log has it. */
static vdma_iova_t last_fault(const char *bdf)
{
	vdma_iova_t iova = VDMA_IOVA_NONE;
	char line[1024], device[64];
	FILE *f = popen("dmesg", "re");
	const char *at;

	assert_non_null(f);
	snprintf(device, sizeof(device), "device [%s] fault addr ", bdf + strlen("0000:"));
	while (fgets(line, sizeof(line), f)) {
		at = strstr(line, device);
		if (at && strstr(line, "DMAR: [DMA Write"))
			iova = strtoull(at + strlen(device), NULL, 16);
	}
	assert_int_equal(pclose(f), 0);
	return iova;
}

/*
 * Has the device write @len bytes to @iova, again and again until the kernel logs a
 * fault at @fault: it limits the rate, and earlier tests may have used that up.
 */
static struct vdma_iova_info fault_of(struct checked *c, vdma_iova_t iova, unsigned int len,
				      vdma_iova_t fault)
{
	struct vdma_iova_info info = { .size = sizeof(info) };
	vdma_iova_t seen;

	for (unsigned int i = 0; i < 15; i++) {
		EDU_WORKS(&c->edu, edu_dma_read(&c->edu, iova, 0, len));
		seen = last_fault(c->bdf);
		if (seen == fault)
			break;
		sleep(1);
	}
	if (seen != fault)
		fail_msg("the last fault is at 0x%" PRIx64 ", not 0x%" PRIx64, seen, fault);
	WORKS(vdma_explain_iova(c->s.arena, seen, &info));
	printf("  | %s\n", info.text);
	return info;
}

/* Behind a buffer that ends with its chunk, between others. */
static void behind_buffer(void **state)
{
	struct vdma_iova_info info;
	struct vdma_region *region;
	struct vdma_buf buf, other, last;
	struct checked c;

	(void)state;
	open_checked(&c);
	region = region_of(c.s.arena, VDMA_PROVIDER_CONTIG, 64 * MIB, 0);
	last = vdma_region_buf(region);
	WORKS(vdma_buf_alloc(c.s.arena, 64 * MIB, NULL, &buf));
	WORKS(vdma_buf_alloc(c.s.arena, 64 * MIB, NULL, &other));
	memset(buf.va, 0x22, buf.len);
	memset(other.va, 0x33, other.len);
	memset(last.va, 0x44, last.len);

	info = fault_of(&c, buf.iova + buf.len - HALF, 2 * HALF, buf.iova + buf.len);
	assert_int_equal(info.state, VDMA_IOVA_GAP);
	assert_int_equal(info.owner, VDMA_OWNER_BUF);
	assert_int_equal(info.base, buf.iova);
	assert_int_equal(info.len, buf.len);
	assert_int_equal(info.offset, buf.len);
	assert_int_equal(info.alloc_tid, getpid());
	assert_non_null(strstr(info.text, "the first byte behind the buffer of 64 MiB"));
	assert_non_null(strstr(info.text, "guest-tests+0x"));

	/* Its own bytes have come; nobody else's have changed. */
	assert_all(&buf, 0, buf.len - HALF, 0x22);
	assert_all(&buf, buf.len - HALF, buf.len, 0xee);
	assert_all(&other, 0, other.len, 0x33);
	assert_all(&last, 0, last.len, 0x44);
	assert_all(&c.source, 0, PAGE, 0x11);
	WORKS(vdma_buf_free(c.s.arena, &buf));
	WORKS(vdma_buf_free(c.s.arena, &other));
	WORKS(vdma_region_destroy(region));
	close_checked(&c);
}

/* Two regions that could lie side by side; and the device before the first one, too. */
static void beside_region(void **state)
{
	struct vdma_region *high, *low;
	struct vdma_iova_info info;
	struct vdma_buf h, l;
	struct checked c;

	(void)state;
	open_checked(&c);
	high = region_of(c.s.arena, VDMA_PROVIDER_CONTIG, PAGE, 0);
	low = region_of(c.s.arena, VDMA_PROVIDER_CONTIG, PAGE, 0);
	h = vdma_region_buf(high);
	l = vdma_region_buf(low);
	assert_true(h.iova > l.iova + PAGE);
	memset(h.va, 0x22, PAGE);
	memset(l.va, 0x33, PAGE);

	info = fault_of(&c, l.iova + PAGE - HALF, 2 * HALF, l.iova + PAGE);
	assert_int_equal(info.state, VDMA_IOVA_GAP);
	assert_int_equal(info.owner, VDMA_OWNER_REGION);
	assert_int_equal(info.base, l.iova);
	assert_int_equal(info.offset, PAGE);
	assert_all(&l, 0, PAGE - HALF, 0x33);
	assert_all(&l, PAGE - HALF, PAGE, 0xee);
	assert_all(&h, 0, PAGE, 0x22);

	memset(l.va, 0x33, PAGE);
	info = fault_of(&c, h.iova - HALF, HALF, h.iova - PAGE);
	assert_int_equal(info.state, VDMA_IOVA_GAP);
	assert_non_null(strstr(info.text, "0x1000 bytes before the region of 4 KiB"));
	assert_all(&h, 0, PAGE, 0x22);
	assert_all(&l, 0, PAGE, 0x33);
	WORKS(vdma_region_destroy(low));
	WORKS(vdma_region_destroy(high));
	close_checked(&c);
}

/* A write to what was freed hits nobody: the next one lies elsewhere. */
static void after_free(void **state)
{
	struct vdma_iova_info info;
	struct vdma_region *region;
	struct vdma_buf freed, next;
	struct checked c;

	(void)state;
	open_checked(&c);
	region = region_of(c.s.arena, VDMA_PROVIDER_CONTIG, PAGE, 0);
	freed = vdma_region_buf(region);
	WORKS(vdma_region_destroy(region));
	region = region_of(c.s.arena, VDMA_PROVIDER_CONTIG, PAGE, 0);
	next = vdma_region_buf(region);
	assert_int_not_equal(next.iova, freed.iova);
	memset(next.va, 0x22, PAGE);

	info = fault_of(&c, freed.iova + 7, HALF, freed.iova);
	assert_int_equal(info.state, VDMA_IOVA_FREED);
	assert_int_equal(info.owner, VDMA_OWNER_REGION);
	assert_int_equal(info.base, freed.iova);
	assert_int_equal(info.held, 1);
	assert_int_equal(info.free_tid, getpid());
	assert_non_null(strstr(info.text, ", freed "));
	assert_all(&next, 0, PAGE, 0x22);
	assert_all(&c.source, 0, PAGE, 0x11);
	WORKS(vdma_region_destroy(region));
	close_checked(&c);
}

int run_overrun(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(behind_buffer),
		cmocka_unit_test(beside_region),
		cmocka_unit_test(after_free),
	};

	return cmocka_run_group_tests_name("overrun", tests, NULL, NULL);
}
