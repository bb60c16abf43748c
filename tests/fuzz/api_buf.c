// SPDX-License-Identifier: BSD-3-Clause
/* Buffers. */
#include "api.h"

static const int argument_errors[] = { EINVAL, 0 };
static const int trim_errors[] = { EINVAL, EIO, ENOMEM, 0 };

static bool buf_opts_wrong(size_t len, const struct vdma_buf_opts *o)
{
	const struct vdma_constraints *c = o->constraints;

	if (c && (o->align || o->boundary || o->address_bits || o->contiguity ||
		  (c->boundary && c->boundary < len)))
		return true;
	return !len || len > UINT64_MAX / 2 || !power_of_two(o->align) || o->align > GIB ||
	       !power_of_two(o->boundary) || (o->boundary && o->boundary < len) ||
	       o->address_bits > 64 || (unsigned int)o->contiguity > VDMA_CONTIG_INDIFFERENT ||
	       o->flags & ~VDMA_BUF_ZERO;
}

void buf_alloc(void)
{
	unsigned int arena = take_arena(), i = 0;
	uint8_t how = take(&w.in);
	struct vdma_buf_opts opts = {
		.align = how & 1 ? take_power(&w.in, 32) : 0,
		.boundary = how & 2 ? take_power(&w.in, 64) : 0,
		.address_bits = how & 4 ? take_bits() : 0,
		.contiguity = (enum vdma_contiguity)(how >> 3 & 3),
		.flags = how & 32 ? VDMA_BUF_ZERO : 0,
	};
	struct vdma_region_info info = { .size = sizeof(info) };
	struct vdma_buf buf = { .va = UNTOUCHED };
	bool wrong = false, senseless = false;
	struct vdma_constraints c = { 0 };
	size_t len = take_len();
	void *given;
	int ret;

	/* To clear it takes long. */
	if (how & 32)
		len %= MIB;
	if (how >= 250)
		opts.align += take(&w.in);
	if (how >= 252)
		opts.flags |= take(&w.in);
	while (i < BUFS && w.bufs[i].buf.va)
		i++;
	if (arena == ARENAS || i == BUFS)
		return;
	/* Mostly instead of the other members. */
	if (take_below(&w.in, 2)) {
		senseless = take_constraints(&c);
		if (how < 240)
			opts = (struct vdma_buf_opts){ .flags = opts.flags };
		opts.constraints = &c;
	}
	given = shaped_since(&opts, offsetof(struct vdma_buf_opts, constraints), sizeof(opts),
			     &wrong);
	wrong |= buf_opts_wrong(len, &opts) || (opts.constraints && senseless);
	if (!opts.constraints)
		c = (struct vdma_constraints){
			.address_bits = opts.address_bits,
			.align = opts.align,
			.boundary = opts.boundary,
		};
	call_begins();
	ret = vdma_buf_alloc(w.arenas[arena], len, given, &buf);
	/* Where there are checks, a chunk may stay for the next that came for nothing. */
	call_ended(ret, memory_errors, "vdma_buf_alloc", !w.checks[arena]);
	free(given);
	/* A node is looked for when a chunk is made. */
	MUST(refused(ret) == wrong || (ret && no_such_node(&c)));
	w.lost |= w.hit && len > GIB / 2;
	if (ret) {
		MUST(buf.va == UNTOUCHED);
		return;
	}
	MUST(buf.len == len && buf.iova % 64 == 0);
	MUST(!vdma_buf_query(w.arenas[arena], &buf, &info));
	check_place(arena, &buf, rounded(len, 64), c.address_bits);
	check_met(&buf, &c, &info);
	MUST(buf.pa == VDMA_PA_NONE || w.bare || buf.pa >= fake.contig_pa);
	if (opts.flags & VDMA_BUF_ZERO)
		MUST(!*(char *)buf.va && !((char *)buf.va)[len / 2] && !((char *)buf.va)[len - 1]);
	w.bufs[i] = (struct piece){ .arena = arena, .buf = buf };
	mark(&w.bufs[i].buf);
}

void buf_free(struct piece *p)
{
	if (!p->buf.va)
		return;
	check_mark(&p->buf);
	MUST(!CALL_CHANGES(argument_errors, p->ring.here ?
						    ring_destroy(&p->ring) :
						    vdma_buf_free(w.arenas[p->arena], &p->buf)));
	/* A chunk that could not be destroyed may be unmapped. */
	may_be_mapped(w.hit);
	p->buf.va = NULL;
}

/* A buffer that is none, or another than it was said to be. */
void buf_free_wrong(void)
{
	struct piece *p = &w.bufs[take_below(&w.in, BUFS)], *is = NULL;
	unsigned int arena = take_arena(), i;
	struct vdma_buf buf = p->buf;
	int ret;

	if (arena == ARENAS)
		return;
	if (take_below(&w.in, 2))
		buf.iova +=
			(uint64_t)(int64_t)(int8_t)take(&w.in) * (take_below(&w.in, 2) ? 64 : 1);
	if (take_below(&w.in, 2))
		buf.len += take_below(&w.in, 2) ? take_edge(&w.in) : 0 - take_edge(&w.in);
	for (i = 0; i < BUFS; i++) {
		const struct vdma_buf *b = &w.bufs[i].buf;

		/* Without checks only units are known. */
		if (b->va && w.bufs[i].arena == arena && b->iova == buf.iova &&
		    (w.checks[arena] ? b->len == buf.len :
				       (b->len + 63) / 64 == buf.len / 64 + !!(buf.len % 64)))
			is = &w.bufs[i];
	}
	ret = CALL_CHANGES(argument_errors, vdma_buf_free(w.arenas[arena], &buf));
	MUST(!ret == !!is);
	may_be_mapped(w.hit);
	if (is)
		is->buf.va = NULL;
}

void buf_trim(unsigned int arena)
{
	/* A chunk that could not be destroyed may be unmapped. */
	w.inexact |= CALL_CHANGES(trim_errors, vdma_buf_trim(w.arenas[arena])) != 0;
}
