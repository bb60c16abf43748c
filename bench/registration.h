/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What it costs to register memory with the IOMMU, by the kind of memory: each
 * kind is allocated, registered and given back in turn, so that all see the
 * same machine.
 */
#ifndef REGISTRATION_H
#define REGISTRATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vdma.h>

enum registration_kind {
	REGISTRATION_CONTIG,  /* ours */
	REGISTRATION_SMALL,   /* 4 KiB pages, MADV_NOHUGEPAGE */
	REGISTRATION_THP,     /* transparent huge pages */
	REGISTRATION_HUGETLB, /* 2 MiB of the hugetlb pool */
	REGISTRATION_KINDS,
};

/**
 * struct registration_sample - one kind of memory, once
 * @populate_ms: to get the memory, all of it present
 * @register_ms: the VFIO call that maps it
 * @unmap_ms: the one that unmaps it, in vdma_region_destroy()
 * @runs: physically contiguous runs that it consists of
 * @faults: page faults until all of it was present
 * @map_calls: VFIO calls that mapped it
 * @dma_entries: entries that it takes in the container
 */
struct registration_sample {
	double populate_ms;
	double register_ms;
	double unmap_ms;
	uint64_t runs;
	uint64_t faults;
	uint64_t map_calls;
	uint32_t dma_entries;
};

/* Called while the memory is there and registered. */
typedef void registration_look(const struct vdma_buf *buf, void *ctx);

const char *registration_name(enum registration_kind kind);

/*
 * One sample of one kind. look may be NULL. Returns 0, or -errno and the words in
 * vdma_explain().
 */
int registration_measure_one(struct vdma_arena *arena, size_t len, enum registration_kind kind,
			     registration_look *look, void *ctx,
			     struct registration_sample *sample);

/*
 * One sample of each kind, len bytes each. A device must be open in the arena.
 * Which kind comes first changes with the round, so that none is always
 * measured in what the same other one left behind. Returns 0, or -errno and the
 * words in vdma_explain().
 */
int registration_measure(struct vdma_arena *arena, size_t len, int round,
			 struct registration_sample samples[REGISTRATION_KINDS]);

/* Physically contiguous runs in a populated range; 0 if pagemap does not tell. */
uint64_t physical_runs(const void *va, size_t len);

/*
 * Physical addresses of the pages of a populated range, in physical; false if pagemap does
 * not tell, which takes CAP_SYS_ADMIN.
 */
bool physical_pages(const void *va, size_t len, uint64_t *physical);

/* Page faults of this process so far. */
uint64_t page_faults(void);

/* Bytes of a mapping that are mapped by PMD, from smaps; -1 if that fails. */
int64_t pmd_mapped(const void *va);

/* Have a hugetlb pool of at least len bytes; 0 to give it back. 0 or -errno. */
int hugetlb_pool_set(size_t len);

/* Fill all free memory once and free it, as a machine does by being used. */
int use_memory_up(void);

/* Bytes free: MemFree and what lies on the per-CPU lists. -1 if unknown. */
int64_t free_memory(void);

#endif
