/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table that vdma_iova_any() reads: for each slot of 2 MiB of virtual addresses
 * an entry, which stands for the whole slot, or leads to a leaf with one for each
 * page. Readers take no lock: entries are stored in one piece, and what once is a leaf
 * stays one as long as the table lives. Writers are one at a time.
 */
#ifndef VDMA_INTERNAL_FOREIGN_TABLE_H
#define VDMA_INTERNAL_FOREIGN_TABLE_H

#include <stdint.h>
#include <sys/queue.h>

struct vdma_leaf;

struct vdma_foreign_table {
	uint64_t *slots;
	SLIST_HEAD(, vdma_leaf) leaves;
};

/* Or -errno. It costs what is written of it. */
int vdma_foreign_table_init(struct vdma_foreign_table *t);
void vdma_foreign_table_fini(struct vdma_foreign_table *t);

/* Sees to it that a range may begin or end at @va, which is inside a slot. Or -ENOMEM. */
int vdma_foreign_table_cut(struct vdma_foreign_table *t, uintptr_t va);

/* Pages from @first to @end, where it was cut, or at slots; @entry 0: nothing is there. */
void vdma_foreign_table_set(struct vdma_foreign_table *t, uintptr_t first, uintptr_t end,
			    uint64_t entry);

#endif
