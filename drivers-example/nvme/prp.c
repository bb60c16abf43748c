// SPDX-License-Identifier: BSD-3-Clause
/* Physical Region Pages (4.3): an entry for each page of the data. */
#include "nvme.h"

#include <errno.h>

#define ENTRY sizeof(uint64_t)

struct prp {
	uint64_t *list;
	vdma_iova_t iova;
	size_t room;	 /* entries of the list */
	size_t per_page; /* entries of one page of it */
	size_t used;	 /* entries of the list */
	unsigned int n;	 /* entries that tell of data */
	uint64_t last;	 /* of them */
	union nvme_dptr *dptr;
};

/*
 * 4.3: "If more PRP List pages are needed, the last entry of a page points to the next."
 * Whether an entry is the last of all is known when another comes: it then makes room.
 */
static int prp_add(struct prp *p, uint64_t addr)
{
	uint64_t before = p->last;

	p->last = addr;
	if (p->n++ == 0) {
		p->dptr->prp[0] = addr;
		return 0;
	}
	if (p->used && p->used % p->per_page == 0 && p->used < p->room) {
		p->list[p->used] = before;
		p->list[p->used - 1] = p->iova + p->used * ENTRY;
		p->used++;
	}
	if (p->used == p->room)
		return -E2BIG;
	p->list[p->used++] = addr;
	return 0;
}

int nvme_prp_build(const struct vdma_buf *list, size_t page_len, const struct vdma_buf *data,
		   unsigned int n, union nvme_dptr *dptr)
{
	struct prp p = {
		.list = list->va,
		.iova = list->iova,
		.room = list->len / ENTRY,
		.per_page = page_len / ENTRY,
		.dptr = dptr,
	};
	uint64_t in_page = page_len - 1, end = 0;

	dptr->prp[0] = 0;
	dptr->prp[1] = 0;
	for (unsigned int i = 0; i < n; i++) {
		uint64_t at = data[i].iova, left = data[i].len;

		if (!left)
			return -EINVAL;
		/* In the page where the last piece ended, and right behind it: told already. */
		if (i && at == end && (at & in_page)) {
			uint64_t step = page_len - (at & in_page);

			step = step < left ? step : left;
			at += step;
			left -= step;
			end = at;
		} else if (i && ((at & in_page) || (end & in_page))) {
			return -EINVAL;
		} else if (at % 4) {
			return -EINVAL; /* 4.3: "bits 1:0 shall be cleared" */
		}
		while (left) {
			uint64_t step = page_len - (at & in_page);

			step = step < left ? step : left;
			if (prp_add(&p, at))
				return -E2BIG;
			at += step;
			left -= step;
			end = at;
		}
	}
	/* 4.2: the second entry is that of the second page, or of the list. */
	if (p.n == 2)
		dptr->prp[1] = p.last;
	else if (p.n > 2)
		dptr->prp[1] = p.iova;
	return (int)p.n;
}
