// SPDX-License-Identifier: BSD-3-Clause
/*
 * vdma-demo [--json] BDF: the main job from end to end, with an edu device:
 * contiguous memory, its addresses, what registering it costs beside other
 * kinds of memory, a DMA round trip, an interrupt, and every page back.
 *
 * scripts/demo runs it in a guest. It sizes the machine's hugetlb pool, so it
 * is not for a machine that does something else as well.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <vdma.h>
#include <edu.h>

#include "registration.h"
#include "sample.h"

#define MIB (1024UL * 1024)
#define CONTIG_LEN (256 * MIB)
#define SAMPLES 7

/* Both ways out: lines for a person, or one JSON object for a program. */
static bool json;
static bool json_begun;

struct demo {
	const char *bdf;
	struct vdma_arena *arena;
	struct vdma_ioas *ioas;
	struct edu edu;
	bool edu_open;
};

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *format, ...)
{
	va_list args;

	if (json)
		return;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	fflush(stdout);
}

static void key(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void key(const char *name, const char *format, ...)
{
	va_list args;

	if (!json)
		return;
	printf("%s\n  \"%s\": ", json_begun ? "," : "{", name);
	json_begun = true;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
}

/* A step of something that takes a while; the first of them begins a line. */
static void progress(int step, int steps)
{
	FILE *f = json ? stderr : stdout;

	fprintf(f, "%s %d%s", step == 1 ? "   measuring, round" : ",", step,
		step == steps ? "\n" : "");
	fflush(f);
}

static int complain(const char *what, const char *why)
{
	fflush(stdout);
	fprintf(stderr, "vdma-demo: %s: %s\n", what, why);
	return -1;
}

static int show_machine(struct demo *d)
{
	struct vdma_pci_info pci = { .size = sizeof(pci) };
	struct utsname u;

	uname(&u);
	if (vdma_pci_query(d->bdf, &pci))
		return complain("device", vdma_explain());
	say("Linux %s, map_contig.ko loaded\n", u.release);
	say("device %s, %04x:%04x (%s), driver %s, IOMMU group %d\n\n", pci.bdf, pci.vendor,
	    pci.device, "QEMU edu", pci.driver, pci.group);
	key("kernel", "\"%s\"", u.release);
	key("device", "\"%s\"", pci.bdf);
	return 0;
}

static int show_contiguous(struct demo *d)
{
	struct vdma_region_info info = { .size = sizeof(info) };
	struct vdma_ioas_info ioas = { .size = sizeof(ioas) };
	struct vdma_region *region;
	struct vdma_buf buf;
	uint64_t runs;
	int64_t pmd;

	say("1  Allocate %lu MiB in one piece, and map it for the device\n", CONTIG_LEN / MIB);
	if (vdma_region_create(d->arena, CONTIG_LEN, NULL, &region))
		return complain("contiguous memory", vdma_explain());
	vdma_region_query(region, &info);
	vdma_ioas_query(d->ioas, &ioas);
	buf = vdma_region_buf(region);
	runs = physical_runs(buf.va, buf.len);
	pmd = pmd_mapped(buf.va);

	say("   virtual    0x%012" PRIxPTR "\n", (uintptr_t)buf.va);
	say("   device     0x%012" PRIx64 "  (IOVA: virtual - 0x%" PRIx64 ", for every byte)\n",
	    buf.iova, ((const struct vdma_window *)(const void *)d->arena)->delta);
	if (buf.pa == VDMA_PA_NONE)
		say("   physical   not told (no CAP_SYS_RAWIO)\n");
	else
		say("   physical   0x%012" PRIx64 " to 0x%012" PRIx64
		    ", one run; pagemap counts %" PRIu64 "\n",
		    buf.pa, buf.pa + buf.len - 1, runs);
	say("   took       %.0f ms to find, zero and populate; %" PRId64
	    " MiB mapped by 2 MiB entries\n",
	    (double)info.populate_ns / 1e6, pmd / (int64_t)MIB);
	say("   IOMMU      registered in %.1f ms, %" PRIu32 " of %" PRIu64 " DMA entries used\n\n",
	    (double)info.map_ns / 1e6, info.dma_entries, ioas.entries_used + ioas.entries_left);

	key("contiguous_bytes", "%zu", runs == 1 ? buf.len : 0);
	key("virtual_address", "\"0x%" PRIxPTR "\"", (uintptr_t)buf.va);
	key("physical_address", buf.pa == VDMA_PA_NONE ? "null" : "\"0x%" PRIx64 "\"", buf.pa);
	key("iova", "\"0x%" PRIx64 "\"", buf.iova);
	key("dma_entries", "%" PRIu32, info.dma_entries);
	key("pmd_mapped_bytes", "%" PRId64, pmd);
	key("populate_ms", "%.3f", (double)info.populate_ns / 1e6);

	if (vdma_region_destroy(region))
		return complain("contiguous memory", vdma_explain());
	return runs == 1 ? 0 : complain("contiguous memory", "pagemap shows more than one run");
}

static int show_registration(struct demo *d)
{
	static const char *const names[REGISTRATION_KINDS] = {
		"register_ms",
		"register_ms_4k",
		"register_ms_thp",
		"register_ms_hugetlb",
	};
	double ms[REGISTRATION_KINDS][SAMPLES], medians[REGISTRATION_KINDS];
	struct registration_sample samples[REGISTRATION_KINDS];

	say("2  Register %lu MiB with the IOMMU, by kind of memory (median of %d, in turn)\n",
	    CONTIG_LEN / MIB, SAMPLES);
	if (hugetlb_pool_set(CONTIG_LEN))
		return complain("hugetlb", "the pool could not be filled");
	for (int i = 0; i < SAMPLES; i++) {
		progress(i + 1, SAMPLES);
		if (registration_measure(d->arena, CONTIG_LEN, i, samples))
			return complain("registering", vdma_explain());
		for (int k = 0; k < REGISTRATION_KINDS; k++)
			ms[k][i] = samples[k].register_ms;
	}
	hugetlb_pool_set(0);

	say("   %-24s %12s %15s %16s\n", "", "register", "to contiguous", "physical runs");
	for (int k = 0; k < REGISTRATION_KINDS; k++) {
		medians[k] = median(ms[k], SAMPLES);
		say("   %-24s %9.2f ms %14.2fx %16" PRIu64 "\n",
		    registration_name((enum registration_kind)k), medians[k],
		    medians[k] / medians[0], samples[k].runs);
		key(names[k], "%.3f", medians[k]);
	}
	say("\n");
	key("register_ratio", "%.3f", medians[REGISTRATION_SMALL] / medians[0]);
	key("register_ratio_thp", "%.3f", medians[0] / medians[REGISTRATION_THP]);
	key("register_ratio_hugetlb", "%.3f", medians[0] / medians[REGISTRATION_HUGETLB]);
	return 0;
}

static int show_dma(struct demo *d)
{
	const struct vdma_constraints reach = { .size = sizeof(reach),
						.address_bits = EDU_ADDRESS_BITS };
	struct vdma_region_opts opts = { .size = sizeof(opts), .constraints = &reach };
	struct vdma_region *region;
	unsigned char *va;
	struct vdma_buf buf;
	uint32_t result;
	size_t wrong = 0;
	int err = -1;

	say("3  Let the device read and write it (edu drives %d address bits)\n", EDU_ADDRESS_BITS);
	if (vdma_region_create(d->arena, 2 * EDU_BUF_LEN, &opts, &region))
		return complain("memory for DMA", vdma_explain());
	buf = vdma_region_buf(region);
	va = buf.va;
	for (size_t i = 0; i < EDU_BUF_USABLE; i++)
		va[i] = (unsigned char)(i * 31 + i / 251);

	if (edu_irq_use(&d->edu, VDMA_IRQ_MSI) ||
	    edu_dma_write(&d->edu, 0, buf.iova, EDU_BUF_USABLE) ||
	    edu_dma_read(&d->edu, buf.iova + EDU_BUF_LEN, 0, EDU_BUF_USABLE)) {
		complain("DMA", d->edu.why);
		goto out;
	}
	for (size_t i = 0; i < EDU_BUF_USABLE; i++)
		wrong += va[i] != va[EDU_BUF_LEN + i];
	if (wrong) {
		complain("DMA", "the bytes that came back are not those that were sent");
		goto out;
	}
	say("   DMA        %d bytes from IOVA 0x%" PRIx64 " to the device and back to 0x%" PRIx64
	    ": identical\n",
	    EDU_BUF_USABLE, buf.iova, buf.iova + EDU_BUF_LEN);

	if (edu_factorial(&d->edu, 12, &result)) {
		complain("interrupt", d->edu.why);
		goto out;
	}
	if (result != 479001600) {
		complain("interrupt", "the device got 12! wrong");
		goto out;
	}
	say("   interrupt  MSI through an eventfd: 12! = %" PRIu32 "\n\n", result);
	key("dma_round_trip_bytes", "%d", EDU_BUF_USABLE);
	key("interrupt", "\"msi\"");
	err = 0;
out:
	if (vdma_region_destroy(region) && !err)
		err = complain("memory for DMA", vdma_explain());
	return err;
}

/* Regions that the module still knows, pinned ones included. -1: no ledger. */
static int ledger_regions(void)
{
	FILE *f = fopen("/sys/kernel/debug/map_contig/ledger", "re");
	char line[256];
	int n = 0;

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		n += line[0] != '#';
	fclose(f);
	return n;
}

static int show_teardown(int64_t before)
{
	int64_t left = before - free_memory();
	int regions = ledger_regions();

	say("4  Give everything back\n");
	say("   ledger     %d regions left\n", regions);
	say("   memory     free before %.1f MiB, now %.1f MiB\n", (double)before / MIB,
	    (double)(before - left) / MIB);
	key("ledger_regions", "%d", regions);
	key("free_bytes_before", "%" PRId64, before);
	key("free_bytes_after", "%" PRId64, before - left);
	if (regions)
		return complain("teardown", "the module's ledger is not empty");
	/* What else the system caches wavers; a region that leaked would not fit. */
	if (left > (int64_t)(CONTIG_LEN / 16))
		return complain("teardown", "memory is missing");
	return 0;
}

static int device_open(struct demo *d)
{
	if (vdma_arena_create(NULL, &d->arena) || vdma_ioas_create(d->arena, NULL, &d->ioas))
		return complain("arena", vdma_explain());
	if (edu_open(&d->edu, d->ioas, d->bdf, EDU_ADDRESS_BITS))
		return complain(d->bdf, d->edu.why);
	d->edu_open = true;
	return 0;
}

static void device_close(struct demo *d)
{
	if (d->edu_open)
		edu_close(&d->edu);
	vdma_ioas_destroy(d->ioas);
	vdma_arena_destroy(d->arena);
}

int main(int argc, char **argv)
{
	struct demo d = { 0 };
	int64_t before;
	int err;

	json = argc > 1 && !strcmp(argv[1], "--json");
	if (argc != 2 + json) {
		fprintf(stderr, "usage: vdma-demo [--json] BDF\n");
		return 2;
	}
	d.bdf = argv[1 + json];

	before = free_memory();
	err = show_machine(&d);
	if (!err)
		err = device_open(&d);
	if (!err)
		err = show_contiguous(&d);
	if (!err)
		err = show_registration(&d);
	if (!err)
		err = show_dma(&d);
	device_close(&d);
	if (!err)
		err = show_teardown(before);
	if (json_begun)
		printf("\n}\n");
	return err ? 1 : 0;
}
