// SPDX-License-Identifier: BSD-3-Clause
#include "iommu_tables.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TRACING "/sys/kernel/tracing/"
#define DEBUGFS "/sys/kernel/debug/iommu/intel/"
/* For 65,536 calls on one processor. */
#define BUFFER_KIB "16384"

static const uint64_t sizes[IOMMU_SIZES] = { UINT64_C(4) << 10, UINT64_C(2) << 20,
					     UINT64_C(1) << 30 };

static bool put(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");
	bool good = f && fputs(text, f) >= 0;

	return f ? !fclose(f) && good : good;
}

bool iommu_trace_begin(void)
{
	return put(TRACING "buffer_size_kb", BUFFER_KIB) && put(TRACING "trace", "") &&
	       put(TRACING "events/iommu/map/enable", "1");
}

/* iommu_pgsize() of drivers/iommu/iommu.c */
static unsigned int entry_of(uint64_t iova, uint64_t physical, uint64_t left)
{
	unsigned int i = IOMMU_SIZES - 1;

	while (i && (sizes[i] > left || (iova | physical) % sizes[i]))
		i--;
	return i;
}

bool iommu_trace_end(uint64_t iova, size_t len, struct iommu_tables *tables)
{
	uint64_t first, end, physical, mapped = 0;
	FILE *f;
	char line[256];

	memset(tables, 0, sizeof(*tables));
	put(TRACING "events/iommu/map/enable", "0");
	f = fopen(TRACING "trace", "re");
	while (f && fgets(line, sizeof(line), f)) {
		const char *at = strstr(line, "iova=");

		if (!at || sscanf(at, "iova=%" SCNx64 " - %" SCNx64 " paddr=%" SCNx64, &first, &end,
				  &physical) != 3)
			continue;
		if (first < iova || end > iova + len)
			continue;
		tables->maps++;
		mapped += end - first;
		while (first < end) {
			unsigned int i = entry_of(first, physical, end - first);

			tables->leaves[i]++;
			first += sizes[i];
			physical += sizes[i];
		}
	}
	if (f)
		fclose(f);
	put(TRACING "trace", "");
	return mapped == len;
}

bool iommu_dump(const char *bdf, uint64_t iova, size_t len, struct iommu_tables *tables)
{
	uint64_t mapped = 0;
	char path[128], line[256];
	FILE *f;

	snprintf(path, sizeof(path), DEBUGFS "%s/domain_translation_struct", bdf);
	f = fopen(path, "re");
	memset(tables->leaves, 0, sizeof(tables->leaves));
	/* Columns behind the address, the last of them the entry: PML5E, PML4E, PDPE, ... */
	while (f && fgets(line, sizeof(line), f)) {
		const char *at = strchr(line, '|');
		unsigned int columns = 0;
		uint64_t frame;

		if (!at || sscanf(line, "%" SCNx64, &frame) != 1 || frame < iova >> 12 ||
		    frame >= (iova + len) >> 12)
			continue;
		while ((at = strstr(at, "0x"))) {
			columns++;
			at += 2;
		}
		if (columns < 3 || columns > 5)
			continue;
		tables->leaves[5 - columns]++;
		mapped += sizes[5 - columns];
	}
	if (f)
		fclose(f);
	return mapped == len;
}

int64_t iommu_table_pages(void)
{
	int64_t pages = -1;
	char line[128];
	FILE *f;

	/* What each processor has counted for itself so far. */
	put("/proc/sys/vm/stat_refresh", "1");
	f = fopen("/proc/vmstat", "re");

	while (f && fgets(line, sizeof(line), f))
		(void)sscanf(line, "nr_iommu_pages %" SCNd64, &pages);
	if (f)
		fclose(f);
	return pages;
}

/* VT-d 11.4.2: bits 12:8 of the capability register are the widths that there are, by levels. */
unsigned int iommu_levels(void)
{
	FILE *f = fopen("/sys/class/iommu/dmar0/intel-iommu/cap", "re");
	uint64_t cap = 0;
	unsigned int levels = 0;

	if (f && fscanf(f, "%" SCNx64, &cap) == 1)
		for (unsigned int i = 0; i < 5; i++)
			if (cap >> (8 + i) & 1)
				levels = i + 2;
	if (f)
		fclose(f);
	return levels;
}
