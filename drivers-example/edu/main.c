// SPDX-License-Identifier: BSD-3-Clause
/*
 * Shows the edu driver at work: edu-demo BDF. Exit status: 0 if all went as it
 * should, 1 if not, 2 for wrong usage.
 */
#define _POSIX_C_SOURCE 200809L
#include "edu.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/*
 * What the demo works with. near is where the device can reach it, in 28 bits,
 * and takes part in the transfers; far is mapped for the device as well, and
 * nothing must ever change in it.
 */
struct demo {
	struct vdma_arena *arena;
	struct vdma_ioas *ioas;
	struct vdma_region *near_region, *far_region;
	struct vdma_buf near, far;
	struct edu edu;
};

#define NEAR_LEN (2 * EDU_BUF_LEN)
#define FAR_LEN (1 << 20)

/* near: sent from the first half, received in the second. */
#define SEND 0
#define RECEIVE EDU_BUF_LEN

static void say(const char *what, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(const char *what, const char *format, ...)
{
	va_list args;

	printf("%-18s", what);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

static int complain(const char *what, const char *why)
{
	fflush(stdout);
	fprintf(stderr, "edu-demo: %s failed\n%s\n", what, why);
	return -1;
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* No two neighbouring bytes alike, nor bytes at the same place of two seeds. */
static uint8_t pattern(size_t i, uint8_t seed)
{
	return (uint8_t)(i * 7 + i / 256 + seed);
}

static void fill(void *va, size_t len, uint8_t seed)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)va)[i] = pattern(i, seed);
}

/* The first byte that is not of the pattern; len if all are. */
static size_t first_wrong(const void *va, size_t len, uint8_t seed)
{
	size_t i;

	for (i = 0; i < len && ((const uint8_t *)va)[i] == pattern(i, seed); i++)
		;
	return i;
}

/* All of both regions, byte by byte. */
static int memory_untouched(struct demo *d, uint8_t near_seed, uint8_t far_seed)
{
	size_t near = first_wrong(d->near.va, d->near.len, near_seed);
	size_t far = first_wrong(d->far.va, d->far.len, far_seed);

	if (near != d->near.len || far != d->far.len) {
		fprintf(stderr,
			"edu-demo: memory changed: near at byte %zu of %zu, far at %zu of "
			"%zu\n",
			near, d->near.len, far, d->far.len);
		return -1;
	}
	return 0;
}

static int show_identity(struct demo *d, const char *bdf)
{
	struct vdma_pci_info pci = { .size = sizeof(pci) };
	uint32_t id = edu_id(&d->edu), answer;

	if (vdma_pci_query(bdf, &pci))
		return complain("looking the device up", vdma_explain());
	say("device", "%s, %04x:%04x, driver %s, IOMMU group %d", pci.bdf, pci.vendor, pci.device,
	    pci.driver, pci.group);
	say("", "%s: %s", pci.vendor_name, pci.device_name);
	say("identification", "0x%08" PRIx32 ": edu, version %u.%u", id, id >> 24, id >> 16 & 0xff);
	if (edu_check_alive(&d->edu, 0x12345678, &answer))
		return complain("liveness check", d->edu.why);
	say("liveness", "wrote 0x12345678, read its inverse 0x%08" PRIx32, answer);
	return 0;
}

static int show_interrupts(struct demo *d, enum vdma_irq_kind irq, const char *name, uint32_t n)
{
	uint32_t result, expected = 1;
	double start;

	for (uint32_t i = 2; i <= n; i++)
		expected *= i;
	if (edu_irq_use(&d->edu, irq))
		return complain(name, d->edu.why);
	start = now_ms();
	if (edu_raise(&d->edu, 1 << 16))
		return complain(name, d->edu.why);
	say("interrupt", "%s: raised on demand, arrived in %.2f ms", name, now_ms() - start);
	start = now_ms();
	if (edu_factorial(&d->edu, n, &result))
		return complain("factorial", d->edu.why);
	if (result != expected) {
		fprintf(stderr,
			"edu-demo: %" PRIu32 "! is %" PRIu32 ", the device says %" PRIu32 "\n", n,
			expected, result);
		return -1;
	}
	say("factorial", "%" PRIu32 "! = %" PRIu32 ", %s after %.2f ms", n, result, name,
	    now_ms() - start);
	return 0;
}

static void show_buffer(const char *name, const struct vdma_buf *buf)
{
	char pa[32] = "not told";

	if (buf->pa != VDMA_PA_NONE)
		snprintf(pa, sizeof(pa), "0x%" PRIx64, buf->pa);
	say(name, "%zu KiB contiguous: address %p, IOVA 0x%" PRIx64 ", physical %s", buf->len >> 10,
	    buf->va, buf->iova, pa);
}

static int create_memory(struct demo *d)
{
	const struct vdma_constraints reach = { .size = sizeof(reach),
						.address_bits = EDU_ADDRESS_BITS };
	struct vdma_region_opts opts = { .size = sizeof(opts), .constraints = &reach };

	if (vdma_region_create(d->arena, NEAR_LEN, &opts, &d->near_region))
		return complain("memory below 2^28", vdma_explain());
	d->near = vdma_region_buf(d->near_region);
	if (vdma_region_create(d->arena, FAR_LEN, NULL, &d->far_region))
		return complain("memory", vdma_explain());
	d->far = vdma_region_buf(d->far_region);
	show_buffer("memory, near", &d->near);
	show_buffer("memory, far", &d->far);
	return 0;
}

/* Memory to device to memory: what arrives must be what was sent, and nothing else. */
static int round_trip(struct demo *d, uint8_t seed)
{
	uint8_t *va = d->near.va;
	size_t wrong;

	fill(d->near.va, d->near.len, (uint8_t)(seed + 128));
	fill(va + SEND, EDU_BUF_USABLE, seed);
	if (edu_dma_write(&d->edu, 0, d->near.iova + SEND, EDU_BUF_USABLE) ||
	    edu_dma_read(&d->edu, d->near.iova + RECEIVE, 0, EDU_BUF_USABLE))
		return complain("DMA", d->edu.why);
	wrong = first_wrong(va + RECEIVE, EDU_BUF_USABLE, seed);
	if (wrong != EDU_BUF_USABLE ||
	    first_wrong(va + SEND, EDU_BUF_USABLE, seed) != EDU_BUF_USABLE ||
	    va[NEAR_LEN - 1] != pattern(NEAR_LEN - 1, (uint8_t)(seed + 128))) {
		fprintf(stderr,
			"edu-demo: DMA: sent bytes changed, byte %zu of %d received wrong, "
			"or more than that written\n",
			wrong, EDU_BUF_USABLE);
		return -1;
	}
	return 0;
}

static int show_dma(struct demo *d, const char *what, uint8_t seed)
{
	double start = now_ms();

	if (round_trip(d, seed))
		return -1;
	say(what, "%d bytes to the device and back, contents equal, %.0f ms", EDU_BUF_USABLE,
	    now_ms() - start);
	return 0;
}

/*
 * The device is told to write to, then to read from, an address at which
 * nothing is mapped. PCI has no way of telling the writer; the IOMMU drops the
 * write, answers the read without data, and reports both to the kernel, which
 * logs them ("DMAR: ... fault addr"). A read leaves zeroes in QEMU's device,
 * other hardware all ones: in no case bytes of anybody's memory.
 */
static int outside(struct demo *d, const char *where, vdma_iova_t iova)
{
	const uint8_t near_seed = 3, far_seed = 61, device_seed = 137;
	uint8_t *va = d->near.va;
	unsigned int same = 0;

	/* Load the device with a pattern that would be seen if it went anywhere. */
	fill(va, EDU_BUF_USABLE, device_seed);
	if (edu_dma_write(&d->edu, 0, d->near.iova, EDU_BUF_USABLE))
		return complain("DMA", d->edu.why);
	fill(d->near.va, d->near.len, near_seed);
	fill(d->far.va, d->far.len, far_seed);

	if (edu_dma_read(&d->edu, iova, 0, EDU_BUF_USABLE))
		return complain("DMA outside", d->edu.why);
	if (memory_untouched(d, near_seed, far_seed))
		return -1;
	if (edu_dma_write(&d->edu, 0, iova, EDU_BUF_USABLE))
		return complain("DMA outside", d->edu.why);
	if (memory_untouched(d, near_seed, far_seed))
		return -1;

	/* What did it read there? */
	if (edu_dma_read(&d->edu, d->near.iova, 0, EDU_BUF_USABLE))
		return complain("DMA", d->edu.why);
	for (size_t i = 1; i < EDU_BUF_USABLE; i++)
		same += va[i] == va[0];
	if (same != EDU_BUF_USABLE - 1 || (va[0] != 0x00 && va[0] != 0xff)) {
		fprintf(stderr,
			"edu-demo: the device read something at IOVA 0x%" PRIx64
			", where nothing is mapped\n",
			iova);
		return -1;
	}
	say("outside", "write to IOVA 0x%" PRIx64 ", %s: no byte of memory changed", iova, where);
	say("", "read from there: the device got 0x%02x only, nobody's data", va[0]);
	return 0;
}

static const char *const backend_names[] = {
	[VDMA_BACKEND_AUTO] = "auto",
	[VDMA_BACKEND_TYPE1] = "type1",
	[VDMA_BACKEND_IOMMUFD] = "iommufd",
	[VDMA_BACKEND_NOIOMMU] = "noiommu",
};
#define BACKENDS (sizeof(backend_names) / sizeof(backend_names[0]))

/* What an IOMMU is for. Nothing but our two regions is mapped in this address space. */
static int show_outside(struct demo *d)
{
	if (outside(d, "the page after our memory", d->near.iova + d->near.len) ||
	    outside(d, "which is never handed out", 0))
		return -1;
	say("", "the IOMMU stopped them all, the kernel's log has the first few");
	return 0;
}

static int run(struct demo *d, const char *bdf, enum vdma_backend backend)
{
	struct vdma_arena_opts arena = { .size = sizeof(arena) };
	struct vdma_ioas_opts opts = { .size = sizeof(opts), .backend = backend };
	struct vdma_ioas_info info = { .size = sizeof(info) };
	struct vdma_device_info device = { .size = sizeof(device) };
	uint32_t result;
	bool msi;

	if (backend == VDMA_BACKEND_AUTO)
		arena.translation = VDMA_TRANSLATION_AUTO;
	else if (backend == VDMA_BACKEND_NOIOMMU)
		arena.translation = VDMA_TRANSLATION_PHYSICAL;
	if (vdma_arena_create(&arena, &d->arena))
		return complain("reserving addresses", vdma_explain());
	if (vdma_ioas_create(d->arena, &opts, &d->ioas) || vdma_ioas_query(d->ioas, &info))
		return complain("opening an I/O address space", vdma_explain());
	say("backend", "%s: %s", backend_names[info.backend], info.reason);
	if (edu_open(&d->edu, d->ioas, bdf, EDU_ADDRESS_BITS))
		return complain("opening the device", d->edu.why);
	if (vdma_device_query(d->edu.dev, &device))
		return complain("asking the device", vdma_explain());
	/* uio_pci_generic has the wire only. */
	msi = device.irqs[VDMA_IRQ_MSI];
	if (show_identity(d, bdf) || show_interrupts(d, VDMA_IRQ_INTX, "INTx", 10))
		return -1;
	if (msi && show_interrupts(d, VDMA_IRQ_MSI, "MSI", 12))
		return -1;
	if (create_memory(d) || show_dma(d, msi ? "DMA, MSI" : "DMA, INTx", 11))
		return -1;
	if (info.backend == VDMA_BACKEND_NOIOMMU)
		say("outside", "not tried: no IOMMU would stop the device");
	else if (show_outside(d))
		return -1;
	if (edu_irq_use(&d->edu, VDMA_IRQ_INTX))
		return complain("INTx", d->edu.why);
	if (show_dma(d, "afterwards, INTx", 29))
		return -1;
	if (edu_factorial(&d->edu, 5, &result))
		return complain("factorial afterwards", d->edu.why);
	if (result != 120)
		return complain("factorial afterwards", "the device says that 5! is not 120");
	return 0;
}

/* In the reverse order of run(); what was never made is NULL. */
static int tear_down(struct demo *d)
{
	int err;

	edu_close(&d->edu);
	err = vdma_region_destroy(d->far_region);
	if (!err)
		err = vdma_region_destroy(d->near_region);
	if (!err)
		err = vdma_ioas_destroy(d->ioas);
	if (!err)
		err = vdma_arena_destroy(d->arena);
	return err ? complain("giving everything back", vdma_explain()) : 0;
}

int main(int argc, char **argv)
{
	struct demo demo = { 0 };
	size_t backend = 0;
	int err;

	if (argc > 2 && !strcmp(argv[1], "--backend")) {
		while (backend < BACKENDS && strcmp(argv[2], backend_names[backend]))
			backend++;
		argc -= 2;
		argv += 2;
	}
	if (argc != 2 || argv[1][0] == '-' || backend == BACKENDS) {
		fprintf(stderr,
			"Usage: edu-demo [--backend auto|type1|iommufd|noiommu] BDF\n"
			"Drives QEMU's edu device at this PCI address, such as 0000:00:10.0. Without\n"
			"an IOMMU, auto is noiommu: the device then reaches all memory.\n");
		return 2;
	}
	err = run(&demo, argv[1], (enum vdma_backend)backend);
	if (tear_down(&demo))
		err = -1;
	if (err)
		return 1;
	say("done", "all as it should be, everything given back");
	return 0;
}
