// SPDX-License-Identifier: BSD-3-Clause
/* Rings: where head and tail are is what was produced and consumed, by division. */
#include <vdma/ring.h>

#include "api.h"

static const int argument_errors[] = { EINVAL, 0 };

/* Mostly what can be cleared in no time. */
static void take_shape(size_t *entry, uint32_t *count, uint32_t *gap)
{
	uint8_t how = take(&w.in);
	uint64_t len;

	*entry = take_edge(&w.in);
	*count = (uint32_t)take_edge(&w.in);
	*gap = take_below(&w.in, 4) ? take_below(&w.in, 2) : (uint32_t)take_edge(&w.in);
	if (how < 240)
		*entry = 1 + *entry % 100;
	if (how < 224)
		*count = 1 + *count % 1000;
	/* What there may be, and takes long. */
	if (!__builtin_mul_overflow(*entry, *count, &len) && len > MIB && len < UINT64_C(1) << 42)
		*count = 1;
	if (*count == 1 && *entry < UINT64_C(1) << 42)
		*entry %= MIB;
}

static bool is_none(size_t entry, uint32_t count, uint32_t gap)
{
	return !entry || entry > UINT32_MAX || !count || count > UINT32_C(1) << 31 || gap >= count;
}

static void check(const struct ring *m)
{
	const struct vdma_ring *r = &m->ring;
	uint64_t head = m->consumed % r->count, tail = m->produced % r->count;

	MUST(r->head == head && r->tail == tail);
	MUST(vdma_ring_used(r) == m->produced - m->consumed);
	MUST(vdma_ring_free(r) == r->room - (m->produced - m->consumed));
	MUST(vdma_ring_head_phase(r) == !(m->consumed / r->count & 1));
	MUST(vdma_ring_tail_phase(r) == !(m->produced / r->count & 1));
	MUST(vdma_ring_at(r, r->tail) == (char *)r->buf.va + tail * r->entry);
	MUST(vdma_ring_iova(r, r->head) == r->buf.iova + head * r->entry);
	/* All of it in use looks as none of it. */
	MUST(vdma_ring_between(r, r->head, r->tail) == (m->produced - m->consumed) % r->count);
}

void ring_create(void)
{
	unsigned int arena = take_arena(), i = 0;
	struct vdma_buf_opts mem = { .size = sizeof(mem), .address_bits = take_bits() };
	struct vdma_ring_opts opts = { .buf = take(&w.in) & 1 ? &mem : NULL };
	struct vdma_region_info info = { .size = sizeof(info) };
	struct vdma_ring ring, untouched;
	bool wrong = false;
	uint32_t count;
	size_t entry;
	void *given;
	int ret;

	take_shape(&entry, &count, &opts.gap);
	mem.align = take_power(&w.in, 16);
	while (i < BUFS && w.bufs[i].buf.va)
		i++;
	if (arena == ARENAS || i == BUFS)
		return;
	given = shaped(&opts, sizeof(opts), &wrong);
	wrong |= is_none(entry, count, opts.gap) || (opts.buf && mem.address_bits > 64);
	memset(&ring, 0x5a, sizeof(ring));
	untouched = ring;
	call_begins();
	ret = vdma_ring_create(w.arenas[arena], entry, count, given, &ring);
	call_ended(ret, memory_errors, "vdma_ring_create", !w.checks[arena]);
	free(given);
	MUST(refused(ret) == wrong);
	if (ret) {
		MUST(!memcmp(&ring, &untouched, sizeof(ring)));
		return;
	}
	MUST(ring.buf.len == entry * count && ring.room == count - opts.gap);
	MUST(opts.buf ? !mem.align || ring.buf.iova % mem.align == 0 : ring.buf.iova % 4096 == 0);
	MUST(!vdma_buf_query(w.arenas[arena], &ring.buf, &info));
	check_place(arena, &ring.buf, rounded(ring.buf.len, 64), opts.buf ? mem.address_bits : 0);
	MUST(!*(char *)ring.buf.va && !((char *)ring.buf.va)[ring.buf.len / 2] &&
	     !((char *)ring.buf.va)[ring.buf.len - 1]);
	w.bufs[i] = (struct piece){ .arena = arena,
				    .buf = ring.buf,
				    .ring = { .here = true, .ring = ring } };
	vdma_ring_set_doorbell(&w.bufs[i].ring.ring, &w.bufs[i].ring.bell, 0);
	mark(&w.bufs[i].buf);
	check(&w.bufs[i].ring);
}

/* In memory that there is, of which nothing is touched. */
void ring_init(void)
{
	const struct vdma_buf *buf = &w.bufs[take_below(&w.in, BUFS)].buf;
	struct ring m = { .here = false };
	uint32_t count, gap;
	size_t entry;
	int ret;

	take_shape(&entry, &count, &gap);
	if (!buf->va)
		return;
	ret = CALL(argument_errors, vdma_ring_init(buf, entry, count, gap, &m.ring));
	MUST(!ret == (!is_none(entry, count, gap) && buf->len / entry >= count));
	if (!ret)
		check(&m);
	MUST(!ring_destroy(&m));
}

void ring_use(void)
{
	unsigned int first = take_below(&w.in, BUFS), n, how;
	struct ring *m = NULL;

	for (n = 0; n < BUFS && !m; n++)
		if (w.bufs[(first + n) % BUFS].buf.va && w.bufs[(first + n) % BUFS].ring.here)
			m = &w.bufs[(first + n) % BUFS].ring;
	if (!m)
		return;
	how = take(&w.in);
	switch (how % 8) {
	case 0:
	case 1:
		n = (uint32_t)take_edge(&w.in) % (vdma_ring_free(&m->ring) + 1);
		vdma_ring_produce(&m->ring, n);
		m->produced += n;
		break;
	case 2:
	case 3:
		n = (uint32_t)take_edge(&w.in) % (vdma_ring_used(&m->ring) + 1);
		vdma_ring_consume(&m->ring, n);
		m->consumed += n;
		break;
	case 4:
		m->bell = UINT32_MAX;
		vdma_ring_publish(&m->ring);
		MUST(m->bell == (m->published == m->produced ? UINT32_MAX : m->ring.tail));
		m->published = m->produced;
		break;
	case 5:
		m->bell = UINT32_MAX;
		vdma_ring_release(&m->ring);
		MUST(m->bell == (m->released == m->consumed ? UINT32_MAX : m->ring.head));
		m->released = m->consumed;
		break;
	case 6:
		n = (uint32_t)take_edge(&w.in) % (m->ring.count + 1);
		MUST(vdma_ring_add(&m->ring, m->ring.tail, n) ==
		     ((uint64_t)m->ring.tail + n) % m->ring.count);
		break;
	default:
		vdma_ring_reset(&m->ring);
		m->produced = m->consumed = m->published = m->released = 0;
	}
	check(m);
}

/* Twice is as good as once. */
int ring_destroy(struct ring *r)
{
	int ret = vdma_ring_destroy(&r->ring);

	MUST(ret || !vdma_ring_destroy(&r->ring));
	return ret;
}
