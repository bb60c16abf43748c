// SPDX-License-Identifier: BSD-3-Clause
/* Memory that is there already: parts of a file, of a program's memory, of a BAR. */
#include <sys/mman.h>
#include <unistd.h>

#include "api.h"

#define POOL (4 * MIB)

static const int import_errors[] = { EINVAL, E2BIG,  EACCES,	    EPERM, EOPNOTSUPP, ENOMEM,
				     EAGAIN, ENOSPC, EADDRNOTAVAIL, EINTR, EMFILE,     EIO,
				     ENODEV, ENXIO,  ECANCELED,	    0 };

/* A view's bytes may be another arena's, too, and at the same address: spaces of such. */
unsigned int reached_besides(const struct region *r, vdma_iova_t iova)
{
	unsigned int a, sum = 0;

	for (a = 0; a < ARENAS; a++)
		if (r->view && a != r->arena && w.arenas[a] && !w.physical[a] &&
		    vdma_iova_any(w.arenas[a], r->buf.va, r->buf.len) == iova)
			sum += attached(a);
	return sum;
}

/* What is found of a view, by table and by search. */
static void check_view(const struct region *r)
{
	const struct vdma_arena *arena = w.arenas[r->arena];
	vdma_iova_t any = vdma_iova_any(arena, r->buf.va, r->buf.len);
	unsigned int reached = fake_reachable(any, r->buf.va, r->buf.len);
	unsigned int wanted = attached(r->arena) + reached_besides(r, any);

	MUST(any != VDMA_IOVA_NONE && any % 4096 == r->buf.iova % 4096);
	MUST(vdma_va_any(arena, any) == r->buf.va);
	MUST(vdma_va_any(arena, r->buf.iova) == r->buf.va);
	MUST(vdma_iova_foreign(arena, r->buf.va, r->buf.len) != VDMA_IOVA_NONE);
	/* More if another arena could not unmap them. */
	MUST(w.inexact ? reached >= wanted : reached == wanted);
}

static bool is_part_of(const struct region *r, const struct device *d)
{
	return r->region && r->bar && !r->gone && &w.devices[r->dev] == d;
}

unsigned int imported(const struct device *d, bool half)
{
	unsigned int i, sum = 0;

	for (i = 0; i < REGIONS; i++)
		sum += is_part_of(&w.regions[i], d) && (half || !w.regions[i].half);
	return sum;
}

void import_let_go(const struct device *d)
{
	unsigned int i;

	for (i = 0; i < REGIONS; i++)
		if (is_part_of(&w.regions[i], d)) {
			w.regions[i].gone = true;
			w.regions[i].half = false;
		}
}

void import_half(const struct device *d)
{
	unsigned int i;

	for (i = 0; i < REGIONS; i++)
		w.regions[i].half |= is_part_of(&w.regions[i], d);
}

/* A file, and a program's memory, which are there for all the time. */
static int file = -1;
static char *pool;

static void make_memory(void)
{
	if (pool)
		return;
	file = memfd_create("fuzz", MFD_CLOEXEC);
	pool = mmap(NULL, POOL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(file >= 0 && !ftruncate(file, POOL) && pool != MAP_FAILED);
}

/* BAR 0 is memory, BAR 2 is ports, and there are no others. */
static int import_bar(unsigned int arena, unsigned int dev, uint64_t offset, size_t len,
		      const void *opts, struct vdma_region **region)
{
	static const unsigned int bars[] = { 0, 0, 0, 0, 0, 0, 1, 2 };
	unsigned int index = bars[take_below(&w.in, 8)];
	const struct device *d = &w.devices[dev];
	int ret = vdma_region_import_bar(w.arenas[arena], d->dev, index, offset, len, opts, region);
	uint64_t end = len ? offset + len : MIB;

	MUST(ret || (!d->gone && w.spaces[d->space].arena == arena && !index && offset < MIB &&
		     len <= MIB - offset && offset % 4096 == 0 && len % 4096 == 0));
	/* Of two of them a part is VFIO's own. */
	MUST(ret || (dev != 0 && dev != 3) || (offset >= 4096 && end <= 65536));
	return ret;
}

/* A part of one of these. */
void region_import(unsigned int arena)
{
	enum { VIEW, VIEW_TOO, FILE, BAR } kind = take_below(&w.in, 4);
	bool view = kind <= VIEW_TOO, wrong = false;
	unsigned int dev = take_below(&w.in, DEVICES), i = 0;
	struct vdma_import_opts opts = { .address_bits = take_bits(),
					 .access = (enum vdma_access)(take(&w.in) % 13 % 4) };
	uint64_t offset = take_edge(&w.in), len = take_edge(&w.in);
	uint64_t most = kind == BAR ? 65536 : POOL;
	struct vdma_region *region = UNTOUCHED;
	uint32_t spaces = 0;
	struct vdma_buf buf;
	void *given;
	int ret;

	make_memory();
	while (i < REGIONS && w.regions[i].region)
		i++;
	if (i == REGIONS || (kind == BAR && !w.devices[dev].dev))
		return;
	if (take_below(&w.in, 8)) {
		offset %= most;
		offset -= view ? 0 : offset % 4096;
		len = 1 + len % (most - offset);
		if (kind == BAR)
			len = rounded(len, 4096);
	} else if (view) {
		/* What else is mapped nobody knows. */
		offset = 0;
		len = 0;
	}
	/* Of pages that are imported already the same have to be named. */
	if (!view)
		spaces = name_spaces(arena, &opts.ioas, &opts.nioas);
	given = shaped_since(&opts, offsetof(struct vdma_import_opts, ioas), sizeof(opts), &wrong);
	if (!opts.nioas)
		spaces = 0;
	wrong |= spaces >> SPACES;
	call_begins();
	ret = kind == BAR ?
		      import_bar(arena, dev, offset, len, given, &region) :
	      kind == FILE ?
		      vdma_region_import_fd(w.arenas[arena], file, offset, len, given, &region) :
		      vdma_region_import_user(w.arenas[arena], pool + offset, len, given, &region);
	/* A table stays for those that come after one that failed. */
	call_ended(ret, import_errors, "vdma_region_import", !view);
	free(given);
	if (ret) {
		MUST(region == UNTOUCHED);
		return;
	}
	MUST(!wrong);
	buf = vdma_region_buf(region);
	if (!view)
		check_place(arena, &buf, buf.len, opts.address_bits);
	w.regions[i] = (struct region){ .region = region,
					.arena = arena,
					.buf = buf,
					.spaces = spaces,
					.view = view,
					.alien = true,
					.bar = kind == BAR,
					.dev = dev };
	for (i = 0; i < SPACES; i++)
		w.spaces[i].named += spaces >> i & 1;
	for (i = 0; w.regions[i].region != region; i++)
		;
	if (view)
		check_view(&w.regions[i]);
}
