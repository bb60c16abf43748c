// SPDX-License-Identifier: BSD-3-Clause
/*
 * What is where in an arena, as a text. From the coarse to the fine: who has
 * ten thousand regions sees what matters before their lines begin.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <vdma/stats.h>

#include "arena.h"
#include "buf.h"
#include "device.h"
#include "explain.h"
#include "ioas.h"
#include "join.h"
#include "region.h"
#include "share.h"
#include "text.h"

#define COLUMNS 64
#define ROWS 8

static const char *provider_name(enum vdma_provider provider)
{
	switch (provider) {
	case VDMA_PROVIDER_CONTIG: return "contig";
	case VDMA_PROVIDER_HUGETLB: return "hugetlb";
	case VDMA_PROVIDER_ANON: return "anon";
	case VDMA_PROVIDER_AUTO: break; /* memory is one of these */
	case VDMA_PROVIDER_MEMFD: return "memfd";
	case VDMA_PROVIDER_FILE: return "file";
	case VDMA_PROVIDER_BAR: return "bar";
	case VDMA_PROVIDER_USER: return "user";
	}
	return "?";
}

static const char *access_name(enum vdma_access access)
{
	switch (access) {
	case VDMA_ACCESS_BOTH: return "both";
	case VDMA_ACCESS_READ: return "read";
	case VDMA_ACCESS_WRITE: return "write";
	}
	return "?";
}

static const char *backend_name(enum vdma_backend backend)
{
	switch (backend) {
	case VDMA_BACKEND_AUTO: break;
	case VDMA_BACKEND_TYPE1: return "type1";
	case VDMA_BACKEND_IOMMUFD: return "iommufd";
	case VDMA_BACKEND_NOIOMMU: return "noiommu";
	}
	return "?";
}

static void add_ranges(struct vdma_text *text, const struct vdma_range *ranges, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		vdma_text_add(text, "%s0x%" PRIx64 "-0x%" PRIx64, i ? ", " : "", ranges[i].first,
			      ranges[i].last);
}

/* Bytes that two ranges share. */
static uint64_t shared(struct vdma_range a, struct vdma_range b)
{
	uint64_t first = a.first > b.first ? a.first : b.first;
	uint64_t last = a.last < b.last ? a.last : b.last;

	return first <= last ? last - first + 1 : 0;
}

/* What it has of the window. */
static struct vdma_range range_of(const struct vdma_region *region)
{
	return (struct vdma_range){ region->place, region->place + (region->room - 1) };
}

/* The character of a part of the window in which regions have @used bytes. */
static char symbol(const struct vdma_arena *arena, struct vdma_range part, uint64_t used)
{
	uint64_t len = part.last - part.first + 1, usable = 0;
	size_t i;

	for (i = 0; i < arena->space.nusable; i++)
		usable += shared(part, arena->space.usable[i]);
	if (used)
		return used >= usable ? '#' : used > usable / 2 ? '+' : ':';
	if (!vdma_iova_is_free(&arena->space, part.first, len))
		return '?';
	return usable == len ? '.' : usable ? '-' : 'x';
}

/* One of the parts of a window, all of which have @part bytes. */
static struct vdma_range nth(uint64_t base, uint64_t part, uint64_t i)
{
	return (struct vdma_range){ base + i * part, base + i * part + (part - 1) };
}

static void add_map(struct vdma_text *text, const struct vdma_arena *arena)
{
	const uint64_t base = arena->space.base;
	uint64_t used[ROWS * COLUMNS] = { 0 }, part = arena->window.len / (ROWS * COLUMNS), i;
	const struct vdma_region *region;
	char line[COLUMNS + 1] = "";

	LIST_FOREACH(region, &arena->regions, link)
	{
		struct vdma_range all = range_of(region);

		for (i = (all.first - base) / part; i <= (all.last - base) / part; i++)
			used[i] += shared(all, nth(base, part, i));
	}
	/* Where addresses are physical, these are only offsets. */
	vdma_text_add(text, "\nmap of the window%s, a character for %s:\n",
		      arena->slots ? " by offset" : "", vdma_bytes(part).s);
	for (i = 0; i < ROWS * COLUMNS; i++) {
		line[i % COLUMNS] = symbol(arena, nth(base, part, i), used[i]);
		if (i % COLUMNS == COLUMNS - 1)
			vdma_text_add(text, "  0x%012" PRIx64 " %s\n",
				      nth(base, part, i + 1 - COLUMNS).first, line);
	}
	vdma_text_add(text,
		      "  . free   : used by regions, up to half   + more   # all of it\n"
		      "  - free, but for a hole   x no device address   ? held back, or given up\n");
}

static void add_ioas(struct vdma_text *text, const struct vdma_ioas *ioas)
{
	const struct vdma_device *dev;

	vdma_text_add(text, "  %u: %s (%s), ", ioas->slot, backend_name(ioas->ops->id),
		      ioas->reason);
	vdma_text_add(text,
		      vdma_ioas_translates(ioas) ? "%s locked in %" PRIu64 " entries\n" :
						   "%s tied to its devices in %" PRIu64
						   " regions\n",
		      vdma_bytes(ioas->bytes).s, ioas->entries_used);
	if (!ioas->ndevices) {
		vdma_text_add(text, "     no device\n");
		return;
	}
	vdma_text_add(text, "     reach ");
	add_ranges(text, ioas->ranges, ioas->nranges);
	vdma_text_add(text, "\n     devices");
	LIST_FOREACH(dev, &ioas->devices, link)
	vdma_text_add(text, " %s", dev->bdf.s);
	vdma_text_add(text, "\n");
}

static void add_spaces(struct vdma_text *text, const struct vdma_arena *arena)
{
	unsigned int i;

	vdma_text_add(text, "\naddress spaces: %u\n", arena->nioas);
	for (i = 0; i < VDMA_ARENA_MAX_IOAS; i++)
		if (arena->ioas[i])
			add_ioas(text, arena->ioas[i]);
}

static void add_chunks(struct vdma_text *text, const struct vdma_arena *arena)
{
	const struct vdma_chunk *chunk;

	vdma_text_add(text, "\nbuffers: %" PRIu64 ", in chunks: %" PRIu64 "\n", arena->nbufs,
		      arena->nchunks);
	LIST_FOREACH(chunk, &arena->chunks, link)
	{
		vdma_text_add(text, "  0x%012" PRIx64 " %10s of %s, %3u %% in %" PRIu64 " buffers",
			      chunk->region->buf.iova, vdma_bytes(chunk->region->buf.len).s,
			      provider_name(chunk->region->provider),
			      (unsigned int)(chunk->space.used * 100 / chunk->space.units),
			      chunk->space.live - chunk->held);
		if (chunk->held)
			vdma_text_add(text, " and %" PRIu64 " held back", chunk->held);
		vdma_text_add(text, "\n");
	}
}

static int by_place(const void *a, const void *b)
{
	uint64_t x = (*(const struct vdma_region *const *)a)->place;
	uint64_t y = (*(const struct vdma_region *const *)b)->place;

	return x < y ? -1 : x > y;
}

static void add_region(struct vdma_text *text, const struct vdma_region *region)
{
	const char *comma = "";
	unsigned int i;

	vdma_text_add(text, "  0x%012" PRIx64 " 0x%012" PRIxPTR " ", region->buf.iova,
		      (uintptr_t)region->buf.va);
	/* Only what the module told, who asks whether this process may know. */
	if (region->buf.pa == VDMA_PA_NONE)
		vdma_text_add(text, "%14s", "-");
	else
		vdma_text_add(text, "0x%012" PRIx64, region->buf.pa);
	vdma_text_add(text, " %13s %-7s %-6s ", vdma_bytes(region->buf.len).s,
		      provider_name(region->provider), access_name(region->access));
	for (i = 0; i < VDMA_ARENA_MAX_IOAS; i++) {
		if (!(region->mapped >> i & 1))
			continue;
		vdma_text_add(text, "%s%u", comma, i);
		comma = ",";
	}
	vdma_text_add(text, "%s\n", region->mapped ? "" : "-");
}

static void sort(const struct vdma_arena *arena, const struct vdma_region **sorted)
{
	const struct vdma_region *region;
	size_t n = 0;

	LIST_FOREACH(region, &arena->regions, link)
	sorted[n++] = region;
	qsort(sorted, n, sizeof(*sorted), by_place);
}

static void add_regions(struct vdma_text *text, const struct vdma_arena *arena,
			const struct vdma_region *const *sorted)
{
	uint64_t i;

	vdma_text_add(text, "\nregions: %" PRIu64 ", %s\n", arena->nregions,
		      vdma_bytes(arena->bytes).s);
	if (arena->nregions)
		vdma_text_add(text, "  %-14s %-14s %-14s %13s %-7s %-6s %s\n", "IOVA", "virtual",
			      "physical", "length", "memory", "access", "mapped in");
	for (i = 0; i < arena->nregions; i++)
		add_region(text, sorted[i]);
}

static void add_processes(struct vdma_text *text, const struct vdma_arena *arena)
{
	const struct vdma_peer *peer;

	if (arena->joined)
		vdma_text_add(text, "joined; created by process %d\n",
			      (int)vdma_join_creator(arena));
	if (LIST_EMPTY(&arena->peers))
		return;
	vdma_text_add(text, "joined by processes");
	LIST_FOREACH(peer, &arena->peers, link)
	vdma_text_add(text, " %d%s", (int)peer->pid, peer->fd < 0 ? " (parted from)" : "");
	vdma_text_add(text, "\n");
}

static void add_all(struct vdma_text *text, const struct vdma_arena *arena,
		    const struct vdma_region *const *sorted)
{
	vdma_text_add(text, "arena %p, window of %s at 0x%" PRIxPTR ", ", (const void *)arena,
		      vdma_bytes(arena->window.len).s, arena->window.va);
	if (arena->slots) {
		vdma_text_add(text, "device addresses are physical\n");
	} else {
		vdma_text_add(text, "virtual address = IOVA");
		if (!arena->identity)
			vdma_text_add(text, " + 0x%" PRIx64, arena->window.delta);
		vdma_text_add(text, "\nusable ");
		add_ranges(text, arena->space.usable, arena->space.nusable);
		vdma_text_add(text, "%s\n",
			      arena->assumed ? " (assumed, until a device is open)" : "");
	}
	if (arena->checks)
		vdma_text_add(text,
			      "checked, with gaps of %s; held back: %s of regions, %s of buffers\n",
			      vdma_bytes(arena->guard).s, vdma_bytes(arena->freed_regions.held).s,
			      vdma_bytes(arena->freed_bufs.held).s);
	add_processes(text, arena);
	add_map(text, arena);
	add_spaces(text, arena);
	add_chunks(text, arena);
	add_regions(text, arena, sorted);
}

int vdma_arena_dump(struct vdma_arena *arena, char *buf, size_t *len)
{
	const struct vdma_region **sorted;
	struct vdma_text text;
	size_t size;
	int err = vdma_arena_check(arena);

	if (!err)
		err = vdma_text_init(&text, buf, len);
	if (err)
		return err;
	vdma_arena_lock_bufs(arena);
	pthread_mutex_lock(&arena->lock);
	size = (arena->nregions + 1) * sizeof(*sorted);
	sorted = malloc(size);
	if (sorted) {
		sort(arena, sorted);
		add_all(&text, arena, sorted);
		*len = text.len;
		free(sorted);
	} else {
		err = vdma_fail_malloc(size);
	}
	pthread_mutex_unlock(&arena->lock);
	vdma_arena_unlock_bufs(arena);
	return err;
}
