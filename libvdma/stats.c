// SPDX-License-Identifier: BSD-3-Clause
#include "stats.h"

#include "arena.h"
#include "buf.h"
#include "explain.h"
#include "ioas.h"
#include "opts.h"
#include "probe.h"
#include "region.h"
#include "text.h"

static unsigned int log2_of(uint64_t value, unsigned int buckets)
{
	unsigned int n = value ? 63U - (unsigned int)__builtin_clzll(value) : 0;

	return n < buckets ? n : buckets - 1;
}

static void count_call(struct vdma_call_stats *calls, uint64_t ns, int err)
{
	calls->min_ns = !calls->calls || ns < calls->min_ns ? ns : calls->min_ns;
	calls->max_ns = ns > calls->max_ns ? ns : calls->max_ns;
	calls->sum_ns += ns;
	calls->calls++;
	calls->failures += !!err;
	calls->log2_ns[log2_of(ns, VDMA_STATS_NS)]++;
}

/* The number of its histogram that a region's runs are in; *@n: how many there are. */
static uint64_t *runs_of(const struct vdma_region *region, uint64_t *n)
{
	uint64_t run = region->memory.extents == 1 ? region->buf.len : region->memory.granule;

	*n = region->buf.len / run;
	return &region->arena->counters.extents[log2_of(run, VDMA_STATS_BYTES)];
}

void vdma_stats_region_created(const struct vdma_region *region)
{
	struct vdma_counters *c = &region->arena->counters;
	uint64_t n, *runs = runs_of(region, &n);

	*runs += n;
	c->regions_ever++;
	c->bytes_ever += region->buf.len;
	if (region->provider == VDMA_PROVIDER_CONTIG)
		c->contig_bytes += region->buf.len;
	VDMA_PROBE(region_create, region->arena, region->buf.iova, region->buf.len, region->buf.va,
		   region->provider);
}

void vdma_stats_region_destroyed(const struct vdma_region *region)
{
	struct vdma_counters *c = &region->arena->counters;
	uint64_t n, *runs = runs_of(region, &n);

	*runs -= n;
	if (region->provider == VDMA_PROVIDER_CONTIG)
		c->contig_bytes -= region->buf.len;
	VDMA_PROBE(region_destroy, region->arena, region->buf.iova, region->buf.len);
}

void vdma_stats_populated(const struct vdma_region *region, uint64_t ns, int err)
{
	count_call(&region->arena->counters.populate, ns, err);
}

void vdma_stats_mapped(const struct vdma_ioas *ioas, const struct vdma_region *region, uint64_t ns,
		       int err)
{
	count_call(&ioas->arena->counters.map, ns, err);
	VDMA_PROBE(map, ioas, region->buf.iova, region->buf.len, ns, err);
}

void vdma_stats_unmapped(const struct vdma_ioas *ioas, const struct vdma_region *region,
			 uint64_t ns, int err)
{
	count_call(&ioas->arena->counters.unmap, ns, err);
	VDMA_PROBE(unmap, ioas, region->buf.iova, region->buf.len, ns, err);
}

static void collect(struct vdma_arena *arena, struct vdma_stats *now)
{
	const struct vdma_counters *c = &arena->counters;
	const struct vdma_chunk *chunk;
	unsigned int i;

	vdma_arena_lock_bufs(arena);
	pthread_mutex_lock(&arena->lock);
	*now = (struct vdma_stats){
		.regions = arena->nregions,
		.regions_ever = c->regions_ever,
		.bytes = arena->bytes,
		.bytes_ever = c->bytes_ever,
		.contig_bytes = c->contig_bytes,
		.chunks = arena->nchunks,
		.chunks_ever = arena->chunks_ever,
		.bufs = arena->nbufs,
		.bufs_ever = arena->bufs_ever,
		.ioas = arena->nioas,
		.populate = c->populate,
		.map = c->map,
		.unmap = c->unmap,
	};
	for (i = 0; i < VDMA_STATS_BYTES; i++)
		now->extents[i] = c->extents[i];
	LIST_FOREACH(chunk, &arena->chunks, link)
	now->buf_bytes += chunk->space.used << chunk->space.shift;
	for (i = 0; i < VDMA_ARENA_MAX_IOAS; i++) {
		const struct vdma_ioas *ioas = arena->ioas[i];

		if (!ioas)
			continue;
		now->devices += ioas->ndevices;
		if (!vdma_ioas_translates(ioas))
			continue;
		now->entries += ioas->entries_used;
		now->locked += ioas->bytes;
	}
	pthread_mutex_unlock(&arena->lock);
	vdma_arena_unlock_bufs(arena);
}

int vdma_arena_stats(struct vdma_arena *arena, struct vdma_stats *stats)
{
	struct vdma_stats now;
	int err = vdma_arena_check(arena);

	if (!err)
		err = vdma_info_check(stats, VDMA_UP_TO(struct vdma_stats, unmap));
	if (err)
		return err;
	collect(arena, &now);
	vdma_info_put(stats, &now, sizeof(now));
	return 0;
}

static void add_number(struct vdma_text *text, const char *name, uint64_t value)
{
	vdma_text_add(text, "\"%s\":%llu,", name, (unsigned long long)value);
}

/* What comes last in an object. */
static void add_histogram(struct vdma_text *text, const char *name, const uint64_t *counts,
			  unsigned int n)
{
	const char *comma = "";
	unsigned int i;

	vdma_text_add(text, "\"%s\":{", name);
	for (i = 0; i < n; i++) {
		if (!counts[i])
			continue;
		/* Number 0 has what took no time at all, too. */
		vdma_text_add(text, "%s\"%llu\":%llu", comma, i ? 1ULL << i : 0ULL,
			      (unsigned long long)counts[i]);
		comma = ",";
	}
	vdma_text_add(text, "}");
}

static void add_calls(struct vdma_text *text, const char *name, const struct vdma_call_stats *calls)
{
	vdma_text_add(text, ",\"%s\":{", name);
	add_number(text, "calls", calls->calls);
	add_number(text, "failures", calls->failures);
	add_number(text, "sum_ns", calls->sum_ns);
	add_number(text, "min_ns", calls->min_ns);
	add_number(text, "max_ns", calls->max_ns);
	add_histogram(text, "log2_ns", calls->log2_ns, VDMA_STATS_NS);
	vdma_text_add(text, "}");
}

int vdma_arena_json(struct vdma_arena *arena, char *buf, size_t *len)
{
	struct vdma_stats s;
	struct vdma_text text;
	int err = vdma_arena_check(arena);

	if (!err)
		err = vdma_text_init(&text, buf, len);
	if (err)
		return err;
	collect(arena, &s);
	vdma_text_add(&text, "{");
	add_number(&text, "regions", s.regions);
	add_number(&text, "regions_ever", s.regions_ever);
	add_number(&text, "bytes", s.bytes);
	add_number(&text, "bytes_ever", s.bytes_ever);
	add_number(&text, "contig_bytes", s.contig_bytes);
	add_number(&text, "chunks", s.chunks);
	add_number(&text, "chunks_ever", s.chunks_ever);
	add_number(&text, "bufs", s.bufs);
	add_number(&text, "bufs_ever", s.bufs_ever);
	add_number(&text, "buf_bytes", s.buf_bytes);
	add_number(&text, "ioas", s.ioas);
	add_number(&text, "devices", s.devices);
	add_number(&text, "entries", s.entries);
	add_number(&text, "locked", s.locked);
	add_histogram(&text, "extents", s.extents, VDMA_STATS_BYTES);
	add_calls(&text, "populate", &s.populate);
	add_calls(&text, "map", &s.map);
	add_calls(&text, "unmap", &s.unmap);
	vdma_text_add(&text, "}");
	*len = text.len;
	return 0;
}
