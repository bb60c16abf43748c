// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "registration.h"

#define MIB (1024UL * 1024)
#define FOLIO (2 * MIB)
#define PAGE 4096UL
#define PM_PRESENT (1ULL << 63)
#define PM_FRAME ((1ULL << 55) - 1)

static const struct {
	const char *name;
	enum vdma_provider provider;
	size_t page_size;
} kinds[REGISTRATION_KINDS] = {
	[REGISTRATION_CONTIG] = { "contiguous (libvdma)", VDMA_PROVIDER_CONTIG, 0 },
	[REGISTRATION_SMALL] = { "4 KiB pages", VDMA_PROVIDER_ANON, PAGE },
	[REGISTRATION_THP] = { "transparent huge pages", VDMA_PROVIDER_ANON, FOLIO },
	[REGISTRATION_HUGETLB] = { "hugetlb, 2 MiB", VDMA_PROVIDER_HUGETLB, FOLIO },
};

const char *registration_name(enum registration_kind kind)
{
	return kinds[kind].name;
}

bool physical_pages(const void *va, size_t len, uint64_t *physical)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	size_t n = len / PAGE, i = 0;

	while (fd >= 0 && i < n) {
		ssize_t got = pread(fd, physical + i, (n - i) * sizeof(*physical),
				    (off_t)(((uintptr_t)va / PAGE + i) * sizeof(*physical)));

		if (got <= 0)
			break;
		for (size_t end = i + (size_t)got / sizeof(*physical); i < end; i++) {
			uint64_t frame = physical[i] & PM_FRAME;

			if (!(physical[i] & PM_PRESENT) || !frame)
				goto out;
			physical[i] = frame * PAGE;
		}
	}
out:
	if (fd >= 0)
		close(fd);
	return i == n;
}

uint64_t physical_runs(const void *va, size_t len)
{
	uint64_t *physical = calloc(len / PAGE + 1, sizeof(*physical)), runs = 0;

	if (physical && physical_pages(va, len, physical))
		for (size_t i = 0; i < len / PAGE; i++)
			runs += !i || physical[i] != physical[i - 1] + PAGE;
	free(physical);
	return runs;
}

uint64_t page_faults(void)
{
	struct rusage usage = { 0 };

	getrusage(RUSAGE_SELF, &usage);
	return (uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt;
}

int64_t pmd_mapped(const void *va)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	char line[256], start[32];
	int64_t kib = -1, value;
	int seen = 0;

	if (!f)
		return -1;
	snprintf(start, sizeof(start), "%lx-", (unsigned long)(uintptr_t)va);
	while (kib < 0 && fgets(line, sizeof(line), f)) {
		seen |= !strncmp(line, start, strlen(start));
		if (seen && sscanf(line, "FilePmdMapped: %ld", &value) == 1)
			kib = value;
	}
	fclose(f);
	return kib < 0 ? -1 : kib * 1024;
}

int hugetlb_pool_set(size_t len)
{
	const char *path = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
	size_t want = (len + FOLIO - 1) / FOLIO, have = 0;
	FILE *f = fopen(path, "r+e");

	if (!f)
		return -errno;
	fprintf(f, "%zu\n", want);
	fflush(f);
	rewind(f);
	if (fscanf(f, "%zu", &have) != 1)
		have = 0;
	fclose(f);
	return have < want ? -ENOMEM : 0;
}

/* A field of /proc/meminfo in bytes, -1 if it is not there. */
static int64_t meminfo(const char *field)
{
	FILE *f = fopen("/proc/meminfo", "re");
	char line[128], name[64];
	int64_t kib, value = -1;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%63[^:]: %ld", name, &kib) == 2 && !strcmp(name, field))
			value = kib * 1024;
	if (f)
		fclose(f);
	return value;
}

int64_t free_memory(void)
{
	int64_t pages = 0, count, bytes = meminfo("MemFree");
	FILE *f = fopen("/proc/zoneinfo", "re");
	char line[256];

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, " count: %ld", &count) == 1)
			pages += count;
	fclose(f);
	return bytes < 0 ? -1 : bytes + pages * (int64_t)PAGE;
}

int use_memory_up(void)
{
	int64_t len = meminfo("MemAvailable") - (int64_t)(96 * MIB);
	void *va;

	if (len <= 0)
		return -ENOMEM;
	va = mmap(NULL, (size_t)len, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (va == MAP_FAILED)
		return -errno;
	/* Half in huge pages, half in small ones. */
	madvise(va, (size_t)len / 2 / FOLIO * FOLIO, MADV_NOHUGEPAGE);
	memset(va, 0xa5, (size_t)len);
	munmap(va, (size_t)len);
	return 0;
}

int registration_measure_one(struct vdma_arena *arena, size_t len, enum registration_kind kind,
			     registration_look *look, void *ctx, struct registration_sample *sample)
{
	struct vdma_region_opts opts = {
		.size = sizeof(opts),
		.provider = kinds[kind].provider,
		.page_size = kinds[kind].page_size,
	};
	struct vdma_region_info info = { .size = sizeof(info) };
	struct vdma_stats before = { .size = sizeof(before) }, after = before;
	struct vdma_region *region;
	uint64_t faults;
	int err;

	err = vdma_arena_stats(arena, &before);
	if (err)
		return err;
	faults = page_faults();
	err = vdma_region_create(arena, len, &opts, &region);
	if (err)
		return err;
	sample->faults = page_faults() - faults;
	err = vdma_region_query(region, &info);
	if (!err)
		err = vdma_arena_stats(arena, &after);
	if (!err) {
		sample->populate_ms = (double)info.populate_ns / 1e6;
		sample->register_ms = (double)info.map_ns / 1e6;
		sample->dma_entries = info.dma_entries;
		sample->map_calls = after.map.calls - before.map.calls;
		sample->runs = physical_runs(vdma_region_buf(region).va, len);
	}
	if (!err && look) {
		const struct vdma_buf buf = vdma_region_buf(region);

		look(&buf, ctx);
	}
	before = after;
	vdma_region_destroy(region);
	if (!err)
		err = vdma_arena_stats(arena, &after);
	sample->unmap_ms = (double)(after.unmap.sum_ns - before.unmap.sum_ns) / 1e6;
	return err;
}

int registration_measure(struct vdma_arena *arena, size_t len, int round,
			 struct registration_sample samples[REGISTRATION_KINDS])
{
	int err = 0;

	for (int i = 0; i < REGISTRATION_KINDS && !err; i++) {
		int kind = (round + i) % REGISTRATION_KINDS;

		err = registration_measure_one(arena, len, (enum registration_kind)kind, NULL, NULL,
					       &samples[kind]);
	}
	return err;
}
