// SPDX-License-Identifier: BSD-3-Clause
#include "foreign_table.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <vdma/import.h>

#include "sys.h"

#define SLOTS (UINT64_C(1) << (VDMA_FOREIGN_BITS - VDMA_SLOT_SHIFT))
#define SLOT ((uintptr_t)1 << VDMA_SLOT_SHIFT)
#define PAGES (SLOT >> VDMA_FOREIGN_PAGE_SHIFT)

struct vdma_leaf {
	uint64_t entries[PAGES]; /* first: readers know nothing else of it */
	SLIST_ENTRY(vdma_leaf) link;
};

int vdma_foreign_table_init(struct vdma_foreign_table *t)
{
	void *slots;
	int err = vdma_sys_mmap(NULL, SLOTS * sizeof(*t->slots), PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0, &slots);

	if (err)
		return err;
	/* A child's memory there is its own, and no device's. */
	err = vdma_sys_madvise(slots, SLOTS * sizeof(*t->slots), MADV_WIPEONFORK);
	if (err) {
		vdma_sys_munmap(slots, SLOTS * sizeof(*t->slots));
		return err;
	}
	/* Else each touch would be 2 MiB; a kernel without huge pages refuses it. */
	vdma_sys_madvise(slots, SLOTS * sizeof(*t->slots), MADV_NOHUGEPAGE);
	t->slots = slots;
	SLIST_INIT(&t->leaves);
	return 0;
}

void vdma_foreign_table_fini(struct vdma_foreign_table *t)
{
	struct vdma_leaf *leaf;

	while ((leaf = SLIST_FIRST(&t->leaves))) {
		SLIST_REMOVE_HEAD(&t->leaves, link);
		free(leaf);
	}
	vdma_sys_munmap(t->slots, SLOTS * sizeof(*t->slots));
}

int vdma_foreign_table_cut(struct vdma_foreign_table *t, uintptr_t va)
{
	uint64_t *slot = &t->slots[va >> VDMA_SLOT_SHIFT];
	struct vdma_leaf *leaf;
	size_t i;

	if (!(va & (SLOT - 1)) || *slot & VDMA_FOREIGN_LEAF)
		return 0;
	leaf = calloc(1, sizeof(*leaf));
	if (!leaf)
		return -ENOMEM;
	for (i = 0; *slot && i < PAGES; i++)
		leaf->entries[i] = *slot;
	SLIST_INSERT_HEAD(&t->leaves, leaf, link);
	__atomic_store_n(slot, (uintptr_t)leaf->entries | VDMA_FOREIGN_LEAF, __ATOMIC_RELEASE);
	return 0;
}

void vdma_foreign_table_set(struct vdma_foreign_table *t, uintptr_t first, uintptr_t end,
			    uint64_t entry)
{
	while (first < end) {
		uint64_t *slot = &t->slots[first >> VDMA_SLOT_SHIFT];
		uintptr_t stop = (first | (SLOT - 1)) + 1;

		if (stop > end)
			stop = end;
		if (*slot & VDMA_FOREIGN_LEAF) {
			uint64_t *leaf = (uint64_t *)(uintptr_t)(*slot & ~VDMA_FOREIGN_LEAF);

			for (; first < stop; first += SLOT / PAGES)
				__atomic_store_n(&leaf[first >> VDMA_FOREIGN_PAGE_SHIFT &
						       (PAGES - 1)],
						 entry, __ATOMIC_RELEASE);
		} else {
			__atomic_store_n(slot, entry, __ATOMIC_RELEASE);
		}
		first = stop;
	}
}
