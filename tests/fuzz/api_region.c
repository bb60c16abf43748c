// SPDX-License-Identifier: BSD-3-Clause
/* Regions, and whose a device address is. */
#include "api.h"

static const int destroy_errors[] = { EIO, ENOMEM, 0 };
static const int argument_errors[] = { EINVAL, 0 };

static bool region_opts_wrong(const struct vdma_region_opts *o, size_t len)
{
	const struct vdma_constraints *c = o->constraints;
	size_t p = o->page_size;

	if ((unsigned int)o->provider > VDMA_PROVIDER_MEMFD || o->address_bits > 64 ||
	    (unsigned int)o->access > VDMA_ACCESS_WRITE)
		return true;
	if (c && (o->address_bits || (c->boundary && c->boundary < len) || no_such_node(c) ||
		  (c->contiguity == VDMA_CONTIG_REQUIRED && o->provider != VDMA_PROVIDER_CONTIG &&
		   o->provider != VDMA_PROVIDER_AUTO)))
		return true;
	switch (o->provider) {
	case VDMA_PROVIDER_CONTIG:
	case VDMA_PROVIDER_AUTO: return p;
	case VDMA_PROVIDER_HUGETLB: return p && p != 2 * MIB && p != GIB;
	case VDMA_PROVIDER_MEMFD: return p && p != 4096 && p != 2 * MIB && p != GIB;
	default: return p && p != 4096 && p != 2 * MIB;
	}
}

static size_t region_unit(const struct vdma_region_opts *o, enum vdma_provider provider)
{
	if (o->page_size)
		return o->page_size;
	return provider == VDMA_PROVIDER_HUGETLB ? 2 * MIB : 4096;
}

uint32_t name_spaces(unsigned int arena, struct vdma_ioas *const **ioas, size_t *nioas)
{
	static struct vdma_ioas *named[SPACES];
	uint8_t how = take(&w.in);
	uint32_t spaces = 0;
	unsigned int i;

	for (i = 0; i < SPACES && how >= 192; i++) {
		if (!w.spaces[i].ioas || !(how >> i % 6 & 1))
			continue;
		named[(*nioas)++] = w.spaces[i].ioas;
		spaces |= 1u << (w.spaces[i].arena == arena ? i : SPACES);
	}
	*ioas = *nioas ? named : NULL;
	return spaces;
}

void region_create(void)
{
	static const size_t pages[] = { 0, 0, 0, 0, 4096, 2 << 20, 1 << 30, 8192 };
	unsigned int arena = take_arena(), i = 0;
	struct vdma_region_opts opts = {
		.provider = (enum vdma_provider)take_below(&w.in, VDMA_PROVIDER_MEMFD + 2),
		.address_bits = take_bits(),
		.page_size = pages[take_below(&w.in, 8)],
		.access = (enum vdma_access)(take(&w.in) % 13 % 4),
	};
	struct vdma_region_info info = { .size = sizeof(info) };
	struct vdma_region *region = UNTOUCHED;
	size_t len = take_len(), unit;
	bool wrong = !len, senseless = false, foreign;
	struct vdma_constraints c = { 0 };
	uint32_t spaces;
	struct vdma_buf buf;
	void *given;
	int ret;

	while (i < REGIONS && w.regions[i].region)
		i++;
	if (arena == ARENAS || i == REGIONS)
		return;
	spaces = name_spaces(arena, &opts.ioas, &opts.nioas);
	if (take_below(&w.in, 2)) {
		senseless = take_constraints(&c);
		opts.constraints = &c;
	}
	given = shaped_since(&opts, offsetof(struct vdma_region_opts, access), sizeof(opts),
			     &wrong);
	if (!opts.nioas)
		spaces = 0;
	foreign = spaces >> SPACES;
	wrong |= region_opts_wrong(&opts, len) || (opts.constraints && senseless) ||
		 (w.physical[arena] && (spaces || (opts.provider != VDMA_PROVIDER_CONTIG &&
						   opts.provider != VDMA_PROVIDER_AUTO)));
	if (!opts.constraints)
		c = (struct vdma_constraints){ .address_bits = opts.address_bits };
	ret = CALL(memory_errors, vdma_region_create(w.arenas[arena], len, given, &region));
	free(given);
	/* In whole pages it may be longer than the boundary; another arena's space is found last. */
	MUST(refused(ret) == wrong || (w.hit && opts.constraints && no_such_node(&c)) ||
	     (ret && (foreign || (c.boundary && c.boundary < rounded(len, GIB)))));
	/* The machine itself may not have so much. */
	w.lost |= w.hit && len > GIB;
	if (ret) {
		MUST(region == UNTOUCHED);
		MUST(ret != -ENOMEM || w.hit || w.trouble || len > 64 * MIB || c.max_segments ||
		     opts.provider == VDMA_PROVIDER_HUGETLB || w.bare ||
		     (opts.provider == VDMA_PROVIDER_MEMFD && opts.page_size > 4096));
		return;
	}
	buf = vdma_region_buf(region);
	MUST(!vdma_region_query(region, &info));
	MUST(opts.provider == VDMA_PROVIDER_AUTO || info.provider == opts.provider);
	unit = region_unit(&opts, info.provider);
	MUST(buf.len == rounded(len, unit) && buf.iova % unit == 0);
	check_place(arena, &buf, buf.len, c.address_bits);
	check_met(&buf, &c, &info);
	MUST(buf.pa == VDMA_PA_NONE || (info.provider == VDMA_PROVIDER_CONTIG &&
					buf.pa == fake.contig_pa && !fake.contig_secret));
	MUST(!*(char *)buf.va && !((char *)buf.va)[buf.len - 1]);
	w.regions[i] = (struct region){ .region = region,
					.arena = arena,
					.buf = buf,
					.spaces = spaces,
					.provider = info.provider,
					.no_fd = info.provider == VDMA_PROVIDER_CONTIG &&
						 fake.contig_old };
	for (i = 0; i < SPACES; i++)
		w.spaces[i].named += spaces >> i & 1;
	for (i = 0; w.regions[i].region != region; i++)
		;
	mark(&w.regions[i].buf);
}

void region_destroy(struct region *r)
{
	unsigned int i;
	int ret;

	if (!r->region)
		return;
	if (!r->alien)
		check_mark(&r->buf);
	ret = CALL_CHANGES(destroy_errors, vdma_region_destroy(r->region));
	if (ret) {
		MUST(w.hit || w.trouble);
		r->torn = true;
		may_be_mapped(true);
		return;
	}
	r->region = NULL;
	for (i = 0; i < SPACES; i++)
		w.spaces[i].named -= r->spaces >> i & 1;
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

		MUST(i->buf_len == r->buf.len && i->mapped == reached_by(r));
	}
	free(info);
}

static uint64_t rounded_down(uint64_t iova)
{
	return iova & ~UINT64_C(4095);
}

static uint64_t whole_pages(const struct vdma_buf *buf)
{
	return rounded(buf->iova + buf->len, 4096) - rounded_down(buf->iova);
}

/* Whose an address is: what lives there says so, and has its whole length. */
void iova_look(void)
{
	unsigned int arena = take_arena(), i;
	uint64_t iova = take_edge(&w.in), base = 0, len = 0;
	struct vdma_iova_info *info;
	bool wrong, chunk = false, pages = false, torn = false;
	int ret;

	if (arena == ARENAS)
		return;
	if (take(&w.in) & 1) {
		const struct region *r = &w.regions[take_below(&w.in, REGIONS)];

		iova = r->region ? r->buf.iova + iova % r->buf.len : iova;
	}
	for (i = 0; i < REGIONS; i++) {
		const struct region *r = &w.regions[i];

		if (!r->region || r->arena != arena)
			continue;
		if (!r->view && iova - r->buf.iova < r->buf.len) {
			base = r->buf.iova;
			len = r->buf.len;
		}
		/* Whose pages lie in a region, with others' or not. */
		pages |= r->view && iova - rounded_down(r->buf.iova) < whole_pages(&r->buf);
		torn |= r->view && r->torn;
	}
	for (i = 0; i < BUFS; i++)
		chunk |= w.bufs[i].buf.va && w.bufs[i].arena == arena &&
			 iova - w.bufs[i].buf.iova < w.bufs[i].buf.len;
	info = info_room(sizeof(*info), &wrong);
	ret = CALL(argument_errors, vdma_explain_iova(w.arenas[arena], iova, info));
	MUST(!ret == !wrong);
	info_checked(info, sizeof(*info), ret);
	if (!ret) {
		MUST(strlen(info->text) > 10);
		if (len)
			MUST(info->state == VDMA_IOVA_LIVE && info->base == base &&
			     info->len == len && info->owner == VDMA_OWNER_REGION);
		else if (pages && !torn)
			MUST(info->state == VDMA_IOVA_LIVE && info->owner == VDMA_OWNER_REGION);
		else if (chunk)
			MUST(info->state == VDMA_IOVA_LIVE);
		else if (!torn)
			MUST(info->state != VDMA_IOVA_LIVE || info->owner != VDMA_OWNER_REGION);
	}
	free(info);
}
