// SPDX-License-Identifier: BSD-3-Clause
/* All memory: it lies where it was asked to, alone, and keeps its bytes. */
#include "api.h"

const int memory_errors[] = { EINVAL,	  EINTR,  E2BIG,  ENOMEM,    ENOENT, EACCES,
			      EPERM,	  EAGAIN, EDQUOT, ECANCELED, ENOSPC, EADDRNOTAVAIL,
			      EOPNOTSUPP, EMFILE, EIO,	  0 };

bool refused(int ret)
{
	return ret == -EINVAL || ret == -E2BIG;
}

bool power_of_two(uint64_t x)
{
	return !(x & (x - 1));
}

size_t rounded(size_t len, size_t unit)
{
	return (len + unit - 1) & ~(unit - 1);
}

/* Mostly what fits several times, at times anything but what is there and takes long. */
size_t take_len(void)
{
	uint64_t len = take_edge(&w.in);

	/* As far as memory lies apart. */
	if (w.bare)
		return len % GIB;
	if (take_below(&w.in, 8))
		return 1 + len % (96 * MIB);
	return len < UINT64_C(1) << 42 ? len % GIB : len;
}

uint32_t take_bits(void)
{
	uint8_t how = take(&w.in);

	return how < 160 ? 0 : how < 240 ? 12 + how % 32 : how % 80;
}

static bool apart(const struct vdma_buf *a, size_t a_len, const struct vdma_buf *b, size_t b_len)
{
	return a->iova + a_len <= b->iova || b->iova + b_len <= a->iova;
}

void check_place(unsigned int arena, const struct vdma_buf *buf, size_t taken, uint32_t bits)
{
	const struct vdma_window *window =
		(const struct vdma_window *)(const void *)w.arenas[arena];
	const unsigned char *va = buf->va;
	struct vdma_range ranges[16];
	size_t count = 16, i;

	MUST(buf->iova == vdma_iova(w.arenas[arena], va));
	MUST(buf->iova == vdma_iova_checked(w.arenas[arena], va, buf->len));
	MUST(vdma_va(w.arenas[arena], buf->iova) == buf->va);
	MUST(w.physical[arena] ? buf->iova == buf->pa :
				 buf->iova >= 4096 && buf->iova + taken <= window->len);
	MUST(!bits || bits >= 64 || (buf->iova + (buf->len - 1)) >> bits == 0);
	MUST(!vdma_arena_ranges(w.arenas[arena], ranges, &count) && count <= 16);
	for (i = 0; i < REGIONS; i++)
		if (w.regions[i].region && w.regions[i].arena == arena &&
		    !(w.regions[i].torn && w.regions[i].view))
			MUST(apart(buf, taken, &w.regions[i].buf, w.regions[i].buf.len));
	for (i = 0; i < BUFS; i++)
		if (w.bufs[i].buf.va && w.bufs[i].arena == arena)
			MUST(apart(buf, taken, &w.bufs[i].buf, rounded(w.bufs[i].buf.len, 64)));
}

/* A number that no other has. */
static unsigned char mark_of(const void *of)
{
	return (unsigned char)(1 + (uintptr_t)of / 8 % 251);
}

void mark(const struct vdma_buf *buf)
{
	unsigned char *va = buf->va;

	va[0] = va[buf->len - 1] = mark_of(buf);
}

void check_mark(const struct vdma_buf *buf)
{
	const unsigned char *va = buf->va;

	MUST(va[0] == mark_of(buf) && va[buf->len - 1] == mark_of(buf));
}

bool take_constraints(struct vdma_constraints *c)
{
	uint8_t how = take(&w.in);

	*c = (struct vdma_constraints){
		.size = how < 250 ? sizeof(*c) : how - 250U,
		.address_bits = how & 1 ? take_bits() : 0,
		.node = how & 2 ? (uint32_t)take_below(&w.in, 8) / 2 : 0,
		.align = how & 4 ? take_power(&w.in, 32) : 0,
		.boundary = how & 8 ? take_power(&w.in, 64) : 0,
		.max_segments = how & 16 ? (uint32_t)take_below(&w.in, 64) : 0,
		.contiguity = (enum vdma_contiguity)(how >> 5 & 3),
	};
	return c->size != sizeof(*c) || !power_of_two(c->align) || c->align > GIB ||
	       !power_of_two(c->boundary) || c->address_bits > 64 ||
	       c->contiguity > VDMA_CONTIG_INDIFFERENT;
}

/* The machine has nodes 0 and 1. */
bool no_such_node(const struct vdma_constraints *c)
{
	return c->node > VDMA_NODE(1);
}

void check_met(const struct vdma_buf *buf, const struct vdma_constraints *c,
	       const struct vdma_region_info *info)
{
	uint64_t first = buf->iova, last = buf->iova + (buf->len - 1);

	MUST(!c->align || first % c->align == 0);
	MUST(!c->boundary || first / c->boundary == last / c->boundary);
	MUST(!c->node || (uint32_t)info->node == c->node - 1);
	MUST(!c->max_segments || info->delivered == VDMA_DELIVERED_CONTIGUOUS ||
	     last / info->granule - first / info->granule < c->max_segments);
	MUST(!info->cause == !*info->reason);
}
