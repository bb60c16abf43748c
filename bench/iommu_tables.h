/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the kernel puts into an IOMMU's page tables for a range of device addresses: seen in
 * the trace of its iommu_map(), and in its own dump of the tables where it has one (debugfs of
 * Intel's driver).
 */
#ifndef IOMMU_TABLES_H
#define IOMMU_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sizes of entries: 4 KiB, 2 MiB, 1 GiB. */
#define IOMMU_SIZES 3

/**
 * struct iommu_tables - what is mapped, and how
 * @maps: calls of iommu_map(), each for a piece that is physically contiguous
 * @leaves: entries that map memory, by size
 */
struct iommu_tables {
	uint64_t maps;
	uint64_t leaves[IOMMU_SIZES];
};

/* Begins to listen to iommu_map(). False if the kernel does not tell. */
bool iommu_trace_begin(void);
/*
 * Stops, and tells of the calls for these device addresses. leaves are what the kernel makes
 * of such calls: iommu_pgsize() takes the largest entry that fits addresses and length. False
 * if calls were missed.
 */
bool iommu_trace_end(uint64_t iova, size_t len, struct iommu_tables *tables);

/* Entries as the kernel shows them. False if it has no dump for that device. */
bool iommu_dump(const char *bdf, uint64_t iova, size_t len, struct iommu_tables *tables);

/* Pages that all IOMMUs' tables have; -1 if the kernel does not count them (6.11 does). */
int64_t iommu_table_pages(void);

/* Levels of a table, 0 if it is not Intel's. */
unsigned int iommu_levels(void);

#endif
