// SPDX-License-Identifier: BSD-3-Clause
#include "quarantine.h"

#include <sys/mman.h>

#include "sys.h"

#define BYTES (VDMA_QUARANTINE_RECORDS * sizeof(struct vdma_record))

int vdma_quarantine_init(struct vdma_quarantine *q, uint64_t limit,
			 void (*release)(void *ctx, const struct vdma_record *record), void *ctx)
{
	void *records;
	int err;

	err = vdma_sys_mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0,
			    &records);
	if (!err)
		*q = (struct vdma_quarantine){
			.records = records,
			.limit = limit,
			.release = release,
			.ctx = ctx,
		};
	return err;
}

void vdma_quarantine_fini(struct vdma_quarantine *q)
{
	if (q->records)
		vdma_sys_munmap(q->records, BYTES);
	q->records = NULL;
}

static struct vdma_record *record(const struct vdma_quarantine *q, uint64_t number)
{
	return &q->records[number % VDMA_QUARANTINE_RECORDS];
}

static bool let_go(struct vdma_quarantine *q, uint64_t number)
{
	struct vdma_record *r = record(q, number);

	if (!r->held)
		return false;
	r->held = false;
	q->held -= r->len;
	q->release(q->ctx, r);
	return true;
}

void vdma_quarantine_add(struct vdma_quarantine *q, const struct vdma_record *freed)
{
	/* The oldest one's place is needed. */
	if (q->next - q->oldest == VDMA_QUARANTINE_RECORDS)
		let_go(q, q->oldest++);
	*record(q, q->next) = *freed;
	record(q, q->next)->held = true;
	q->next++;
	q->held += freed->len;
	while (q->held > q->limit)
		let_go(q, q->oldest++);
}

bool vdma_quarantine_release(struct vdma_quarantine *q, uint64_t count)
{
	uint64_t released = 0;

	while (released < count && q->oldest < q->next)
		released += let_go(q, q->oldest++);
	return released;
}

void vdma_quarantine_release_within(struct vdma_quarantine *q, const struct vdma_range *range)
{
	uint64_t n;

	for (n = q->oldest; n < q->next; n++)
		if (record(q, n)->iova >= range->first && record(q, n)->iova <= range->last)
			let_go(q, n);
}

const struct vdma_record *vdma_quarantine_find(const struct vdma_quarantine *q, vdma_iova_t iova,
					       uint64_t behind)
{
	uint64_t n, first = 0;

	if (q->next > VDMA_QUARANTINE_RECORDS)
		first = q->next - VDMA_QUARANTINE_RECORDS;
	for (n = q->next; n > first; n--) {
		const struct vdma_record *r = record(q, n - 1);

		/* Below its start this wraps around. */
		if (iova - r->iova < r->len + behind)
			return r;
	}
	return NULL;
}
