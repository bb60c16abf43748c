/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What memory must be like: taken over from callers, and who is asked for it.
 * Shared by region and buf.
 */
#ifndef VDMA_INTERNAL_CONSTRAINTS_H
#define VDMA_INTERNAL_CONSTRAINTS_H

#include <stdbool.h>
#include <vdma/constraints.h>
#include <vdma/region.h>

/*
 * @given, a caller's, into @c; @others: what else is set there says the same by members
 * that are older. Explained.
 */
int vdma_constraints_get(struct vdma_constraints *c, const struct vdma_constraints *given,
			 bool others);

#define VDMA_MAX_ALIGN (UINT64_C(1) << 30)
#define VDMA_MAX_NODE VDMA_NODE(1023)

/* There is nothing of @len bytes like that. */
int vdma_fail_constraints(const struct vdma_constraints *c, uint64_t len);

/* Does it make sense, for @len bytes? Explained. Inline, as each buffer passes here. */
static inline int vdma_constraints_check(const struct vdma_constraints *c, uint64_t len)
{
	if (!len || c->align & (c->align - 1) || c->align > VDMA_MAX_ALIGN ||
	    c->boundary & (c->boundary - 1) || (c->boundary && c->boundary < len) ||
	    c->address_bits > 64 || c->node > VDMA_MAX_NODE ||
	    (unsigned int)c->contiguity > VDMA_CONTIG_INDIFFERENT)
		return vdma_fail_constraints(c, len);
	return 0;
}

/* The highest address of so many bits. */
static inline uint64_t vdma_constraints_limit(uint32_t address_bits)
{
	return address_bits && address_bits < 64 ? (UINT64_C(1) << address_bits) - 1 : UINT64_MAX;
}

/* Who is asked, one after the other, in which kind of arena; returns how many. */
size_t vdma_constraints_order(enum vdma_contiguity contiguity, bool physical,
			      const enum vdma_provider **order);

/* Why memory is not better: who was asked before refused. */
struct vdma_why {
	enum vdma_cause cause; /* of the first */
	char *words;	       /* of all, a line or more each; NULL if there is no room for them */
};

/* One more: the thread's last failure. */
void vdma_why_add(struct vdma_why *why);
void vdma_why_free(struct vdma_why *why);

/* "" if nobody has refused. */
const char *vdma_why_words(const struct vdma_why *why);

/* @len bytes, in pieces of @granule, may be more runs than are allowed. */
int vdma_fail_segments(const struct vdma_constraints *c, uint64_t len, uint64_t granule,
		       const struct vdma_why *why);

#endif
