/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What was freed lately: a ring of records. The youngest of them are held back,
 * so that nobody gets their addresses while a device may still use them; the
 * others are remembered until the ring comes round. The oldest are released
 * first: when more bytes are held than may be, when the ring is full, or when
 * somebody needs the room. No lock; it never fails once it is there.
 */
#ifndef VDMA_INTERNAL_QUARANTINE_H
#define VDMA_INTERNAL_QUARANTINE_H

#include <stdbool.h>
#include <vdma/owner.h>

#include "site.h"

/* Half a MiB of them, written only as they are needed. */
#define VDMA_QUARANTINE_RECORDS 8192

/* Somebody who has, or had, device addresses. */
struct vdma_record {
	vdma_iova_t iova;
	uint64_t len;
	enum vdma_owner owner;
	bool held;
	struct vdma_site born, died; /* died.ns is 0 while it lives */
};

struct vdma_quarantine {
	struct vdma_record *records; /* NULL: there is no quarantine */
	uint64_t next;		     /* records so far; the next one's number */
	uint64_t oldest;	     /* those below are not held */
	uint64_t held;		     /* bytes */
	uint64_t limit;
	void (*release)(void *ctx, const struct vdma_record *record);
	void *ctx;
};

/* @release is called for each record when it is no longer held. Or -errno. */
int vdma_quarantine_init(struct vdma_quarantine *q, uint64_t limit,
			 void (*release)(void *ctx, const struct vdma_record *record), void *ctx);

/* Releases nothing. Does nothing if there is none. */
void vdma_quarantine_fini(struct vdma_quarantine *q);

/* Holds it back, as long as the limit allows. */
void vdma_quarantine_add(struct vdma_quarantine *q, const struct vdma_record *record);

/* Releases the @count oldest that are held. False if there are none, or no quarantine. */
bool vdma_quarantine_release(struct vdma_quarantine *q, uint64_t count);

/* Releases what lies between these addresses. */
void vdma_quarantine_release_within(struct vdma_quarantine *q, const struct vdma_range *range);

/* The youngest that has @iova, or ends at most @behind bytes before it; NULL if there is none. */
const struct vdma_record *vdma_quarantine_find(const struct vdma_quarantine *q, vdma_iova_t iova,
					       uint64_t behind);

#endif
