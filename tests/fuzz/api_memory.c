// SPDX-License-Identifier: BSD-3-Clause
/* Regions and buffers: they lie where they were asked to, alone, and keep their bytes. */
#include "api.h"

static const int region_errors[] = { EINVAL,	 E2BIG,	 ENOMEM, ENOENT, EACCES,
				     EPERM,	 EAGAIN, EDQUOT, ENOSPC, EADDRNOTAVAIL,
				     EOPNOTSUPP, EINTR,	 EMFILE, EIO,	 0 };
static const int destroy_errors[] = { EIO, ENOMEM, 0 };
static const int argument_errors[] = { EINVAL, 0 };

static bool refused(int ret)
{
	return ret == -EINVAL || ret == -E2BIG;
}

static bool power_of_two(uint64_t x)
{
	return !(x & (x - 1));
}

static size_t rounded(size_t len, size_t unit)
{
	return (len + unit - 1) & ~(unit - 1);
}

/* Mostly what fits several times, at times anything but what is there and takes long. */
static size_t take_len(void)
{
	uint64_t len = take_edge(&w.in);

	if (take_below(&w.in, 8))
		return 1 + len % (96 * MIB);
	return len < UINT64_C(1) << 42 ? len % GIB : len;
}

static uint32_t take_bits(void)
{
	uint8_t how = take(&w.in);

	return how < 160 ? 0 : how < 240 ? 12 + how % 32 : how % 80;
}

static bool apart(const struct vdma_buf *a, size_t a_len, const struct vdma_buf *b, size_t b_len)
{
	return a->iova + a_len <= b->iova || b->iova + b_len <= a->iova;
}

/* What holds for all memory of an arena: where it is, and that nothing else is there. */
static void check_place(unsigned int arena, const struct vdma_buf *buf, size_t taken, uint32_t bits)
{
	const struct vdma_window *window =
		(const struct vdma_window *)(const void *)w.arenas[arena];
	const unsigned char *va = buf->va;
	struct vdma_range ranges[16];
	size_t count = 16, i;

	MUST(buf->iova == vdma_iova(w.arenas[arena], va));
	MUST(buf->iova == vdma_iova_checked(w.arenas[arena], va, buf->len));
	MUST(vdma_va(w.arenas[arena], buf->iova) == buf->va);
	MUST(buf->iova >= 4096 && buf->iova + taken <= window->len);
	MUST(!bits || bits >= 64 || (buf->iova + (buf->len - 1)) >> bits == 0);
	MUST(!vdma_arena_ranges(w.arenas[arena], ranges, &count) && count <= 16);
	for (i = 0; i < REGIONS; i++)
		if (w.regions[i].region && w.regions[i].arena == arena)
			MUST(apart(buf, taken, &w.regions[i].buf, w.regions[i].buf.len));
	for (i = 0; i < BUFS; i++)
		if (w.bufs[i].buf.va && w.bufs[i].arena == arena)
			MUST(apart(buf, taken, &w.bufs[i].buf, rounded(w.bufs[i].buf.len, 64)));
}

/* Its first and its last byte are its own: a number that no other has. */
static unsigned char mark_of(const void *of)
{
	return (unsigned char)(1 + (uintptr_t)of / 8 % 251);
}

static void mark(const struct vdma_buf *buf)
{
	unsigned char *va = buf->va;

	va[0] = va[buf->len - 1] = mark_of(buf);
}

static void check_mark(const struct vdma_buf *buf)
{
	const unsigned char *va = buf->va;

	MUST(va[0] == mark_of(buf) && va[buf->len - 1] == mark_of(buf));
}

static bool region_opts_wrong(const struct vdma_region_opts *o)
{
	size_t p = o->page_size;

	if ((unsigned int)o->provider > VDMA_PROVIDER_ANON || o->address_bits > 64 ||
	    (unsigned int)o->access > VDMA_ACCESS_WRITE)
		return true;
	switch (o->provider) {
	case VDMA_PROVIDER_CONTIG: return p;
	case VDMA_PROVIDER_HUGETLB: return p && p != 2 * MIB && p != GIB;
	default: return p && p != 4096 && p != 2 * MIB;
	}
}

static size_t region_unit(const struct vdma_region_opts *o)
{
	if (o->page_size)
		return o->page_size;
	return o->provider == VDMA_PROVIDER_HUGETLB ? 2 * MIB : 4096;
}

void region_create(void)
{
	static const size_t pages[] = { 0, 0, 0, 0, 4096, 2 << 20, 1 << 30, 8192 };
	unsigned int arena = take_arena(), i = 0;
	struct vdma_region_opts opts = {
		.provider = (enum vdma_provider)take_below(&w.in, 4),
		.address_bits = take_bits(),
		.page_size = pages[take_below(&w.in, 8)],
		.access = (enum vdma_access)(take(&w.in) % 13 % 4),
	};
	struct vdma_region *region = UNTOUCHED;
	size_t len = take_len();
	bool wrong = !len;
	struct vdma_buf buf;
	void *given;
	int ret;

	while (i < REGIONS && w.regions[i].region)
		i++;
	if (arena == ARENAS || i == REGIONS)
		return;
	given = shaped(&opts, sizeof(opts), &wrong);
	wrong |= region_opts_wrong(&opts);
	ret = CALL(region_errors, vdma_region_create(w.arenas[arena], len, given, &region));
	free(given);
	MUST(refused(ret) == wrong);
	/* The machine itself may not have so much. */
	w.lost |= w.hit && len > GIB;
	if (ret) {
		MUST(region == UNTOUCHED);
		MUST(ret != -ENOMEM || w.hit || w.trouble || len > 64 * MIB ||
		     opts.provider == VDMA_PROVIDER_HUGETLB);
		return;
	}
	buf = vdma_region_buf(region);
	MUST(buf.len == rounded(len, region_unit(&opts)) && buf.iova % region_unit(&opts) == 0);
	check_place(arena, &buf, buf.len, opts.address_bits);
	MUST(buf.pa == VDMA_PA_NONE || (opts.provider == VDMA_PROVIDER_CONTIG &&
					buf.pa == fake.contig_pa && !fake.contig_secret));
	MUST(!*(char *)buf.va && !((char *)buf.va)[buf.len - 1]);
	w.regions[i] = (struct region){ .region = region, .arena = arena, .buf = buf };
	mark(&w.regions[i].buf);
}

void region_destroy(struct region *r)
{
	int ret;

	if (!r->region)
		return;
	check_mark(&r->buf);
	ret = CALL_CHANGES(destroy_errors, vdma_region_destroy(r->region));
	if (ret) {
		MUST(w.hit || w.trouble);
		r->torn = w.inexact = true;
		return;
	}
	r->region = NULL;
}

void region_look(void)
{
	const struct region *r = &w.regions[take_below(&w.in, REGIONS)];
	struct vdma_buf part = { .va = UNTOUCHED };
	size_t offset = take_edge(&w.in), len = take_edge(&w.in);
	bool wrong;
	void *info;
	int ret;

	if (!r->region)
		return;
	if (take_below(&w.in, 2)) {
		offset %= r->buf.len;
		len = len % (r->buf.len - offset) + 1;
	}
	wrong = !len || offset >= r->buf.len || len > r->buf.len - offset;
	ret = CALL(argument_errors, vdma_region_slice(r->region, offset, len, &part));
	MUST(!ret == !wrong);
	if (ret)
		MUST(part.va == UNTOUCHED);
	else
		MUST(part.va == (char *)r->buf.va + offset && part.len == len &&
		     part.iova == r->buf.iova + offset &&
		     (part.pa == VDMA_PA_NONE) == (r->buf.pa == VDMA_PA_NONE) &&
		     (part.pa == VDMA_PA_NONE || part.pa == r->buf.pa + offset));
	info = info_room(sizeof(struct vdma_region_info), &wrong);
	ret = CALL(argument_errors, vdma_region_query(r->region, info));
	MUST(!ret == !wrong);
	info_checked(info, sizeof(struct vdma_region_info), ret);
	if (!ret && !r->torn) {
		const struct vdma_region_info *i = info;

		MUST(i->buf_len == r->buf.len && i->mapped == attached(r->arena));
	}
	free(info);
}

static bool buf_opts_wrong(size_t len, const struct vdma_buf_opts *o)
{
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
	struct vdma_buf buf = { .va = UNTOUCHED };
	size_t len = take_len();
	bool wrong = false;
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
	given = shaped(&opts, sizeof(opts), &wrong);
	wrong |= buf_opts_wrong(len, &opts);
	call_begins();
	ret = vdma_buf_alloc(w.arenas[arena], len, given, &buf);
	/* Where there are checks, a chunk may stay for the next that came for nothing. */
	call_ended(ret, region_errors, "vdma_buf_alloc", !w.checks[arena]);
	free(given);
	MUST(refused(ret) == wrong);
	w.lost |= w.hit && len > GIB / 2;
	if (ret) {
		MUST(buf.va == UNTOUCHED);
		return;
	}
	MUST(buf.len == len && buf.iova % (opts.align > 64 ? opts.align : 64) == 0);
	MUST(!opts.boundary || buf.iova / opts.boundary == (buf.iova + (len - 1)) / opts.boundary);
	check_place(arena, &buf, rounded(len, 64), opts.address_bits);
	MUST(buf.pa == VDMA_PA_NONE || buf.pa >= fake.contig_pa);
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
	MUST(!CALL_CHANGES(argument_errors, vdma_buf_free(w.arenas[p->arena], &p->buf)));
	/* A chunk that could not be destroyed may be unmapped. */
	w.inexact |= w.hit;
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
	w.inexact |= w.hit;
	if (is)
		is->buf.va = NULL;
}
