// SPDX-License-Identifier: BSD-3-Clause
#include "constraints.h"

#include <stdlib.h>
#include <string.h>

#include "explain.h"
#include "opts.h"

int vdma_constraints_get(struct vdma_constraints *c, const struct vdma_constraints *given,
			 bool others)
{
	if (others)
		return vdma_fail(
			VDMA_CAUSE_ARGUMENT, NULL,
			"The options have constraints, and beside them members that say the "
			"same (address_bits, align, boundary, contiguity). Leave these at 0.");
	return vdma_opts_get(c, sizeof(*c), given, sizeof(*c));
}

int vdma_fail_constraints(const struct vdma_constraints *c, uint64_t len)
{
	return vdma_fail(
		VDMA_CAUSE_ARGUMENT, &(struct vdma_facts){ .need = len, .limit = c->boundary },
		"There is no memory of 0x%llx bytes, aligned to 0x%llx, that crosses no multiple of "
		"0x%llx, below 2^%u, with node %u and contiguity %d: it has at least 1 byte, "
		"alignment and boundary are powers of two, alignment at most 1 GiB, the boundary at "
		"least its length, address_bits at most 64, the node is 0 or VDMA_NODE(0) to "
		"VDMA_NODE(1023).",
		(unsigned long long)len, (unsigned long long)c->align,
		(unsigned long long)c->boundary, c->address_bits, c->node, (int)c->contiguity);
}

size_t vdma_constraints_order(enum vdma_contiguity contiguity, bool physical,
			      const enum vdma_provider **order)
{
	static const enum vdma_provider all[] = {
		VDMA_PROVIDER_CONTIG,
		VDMA_PROVIDER_HUGETLB,
		VDMA_PROVIDER_ANON,
	};

	*order = all;
	if (physical || contiguity == VDMA_CONTIG_REQUIRED)
		return 1;
	if (contiguity == VDMA_CONTIG_PREFERRED)
		return 3;
	*order = &all[2];
	return 1;
}

void vdma_why_add(struct vdma_why *why)
{
	const struct vdma_failure *f = vdma_last_failure();
	size_t used = why->words ? strlen(why->words) : 0, more = strlen(f->text);
	char *words;

	if (!why->cause)
		why->cause = f->cause;
	else if (why->words && used >= more && !strcmp(why->words + used - more, f->text))
		return; /* as the one before */
	words = realloc(why->words, used + more + 2);
	if (!words)
		return;
	if (used)
		words[used++] = '\n';
	memcpy(words + used, f->text, more + 1);
	why->words = words;
}

void vdma_why_free(struct vdma_why *why)
{
	free(why->words);
	*why = (struct vdma_why){ .cause = VDMA_CAUSE_NONE };
}

const char *vdma_why_words(const struct vdma_why *why)
{
	if (why->words)
		return why->words;
	return why->cause ? vdma_cause_name(why->cause) : "";
}

int vdma_fail_segments(const struct vdma_constraints *c, uint64_t len, uint64_t granule,
		       const struct vdma_why *why)
{
	struct vdma_facts facts = { .need = (len - 1) / granule + 1, .limit = c->max_segments };

	return vdma_fail(VDMA_CAUSE_SEGMENTS, &facts,
			 "%s in pages of %s may be %llu physically contiguous runs; max_segments is "
			 "%u. Allow more, ask for less, or for contiguous memory "
			 "(VDMA_CONTIG_PREFERRED, VDMA_CONTIG_REQUIRED).%s%s",
			 vdma_bytes(len).s, vdma_bytes(granule).s, (unsigned long long)facts.need,
			 c->max_segments, why->cause ? " That was refused: " : "",
			 vdma_why_words(why));
}
