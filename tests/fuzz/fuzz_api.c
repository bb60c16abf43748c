// SPDX-License-Identifier: BSD-3-Clause
/*
 * Calls of the public functions in any order, with any arguments, on the machine
 * that is made up for unit tests, some of whose system calls and allocations fail.
 * After each call: what lives is mapped for all devices of its arena, and nothing
 * else is. At the end all can be given back, and nothing is left.
 */
#include <sys/prctl.h>

#include "api.h"

struct world w;

/* Without an IOMMU: is memory tied to all open devices of its arena? */
static bool is_held(unsigned int arena, const void *va)
{
	bool all = true;
	unsigned int i;

	for (i = 0; i < DEVICES; i++)
		all &= !is_open(&w.devices[i], arena) || fake_is_held(va, bdfs[i]);
	return all;
}

/* What lives is mapped everywhere, or held, and is all that is. */
static void check_world(void)
{
	uint64_t mappings = 0, holds = 0, chunks = 0;
	unsigned int a, i;

	for (a = 0; a < ARENAS; a++) {
		struct vdma_arena_info info = { .size = sizeof(info) };
		uint64_t regions = 0, torn = 0, bytes = 0, bufs = 0, spaces = 0;
		bool views = false;
		unsigned int to = attached(a);

		if (!w.arenas[a])
			continue;
		MUST(!vdma_arena_query(w.arenas[a], &info));
		for (i = 0; i < SPACES; i++)
			spaces += w.spaces[i].ioas && w.spaces[i].arena == a;
		for (i = 0; i < REGIONS; i++) {
			const struct region *r = &w.regions[i];
			unsigned int reached, wanted;

			if (!r->region || r->arena != a)
				continue;
			/* Several may lie in one region, and one that was torn be there, or not. */
			views |= r->view;
			regions += !r->view;
			torn += !r->view && r->torn;
			bytes += r->view ? 0 : r->buf.len;
			MUST(r->torn || !w.physical[a] || is_held(a, r->buf.va));
			reached = fake_reachable(r->buf.iova, r->buf.va, r->buf.len);
			wanted = reached_by(r) + reached_besides(r, r->buf.iova);
			MUST(r->torn || r->half || w.physical[a] || reached == wanted ||
			     (r->view && w.inexact && reached > wanted));
			/* Below they count as if they were for all. */
			mappings -= w.physical[a] ? 0 : to - reached_by(r);
		}
		for (i = 0; i < BUFS; i++) {
			const struct vdma_buf *b = &w.bufs[i].buf;

			if (!b->va || w.bufs[i].arena != a)
				continue;
			bufs++;
			MUST(w.physical[a] || fake_reachable(b->iova, b->va, b->len) == to);
		}
		MUST(info.regions == regions + info.chunks ||
		     (views && info.regions > regions + info.chunks));
		MUST(info.bytes >= bytes && (info.chunks || views || info.bytes == bytes));
		MUST(info.bufs == bufs || (info.bufs > bufs && has_heaps(a)));
		MUST(info.ioas == spaces);
		/*
		 * Of one that could not be destroyed it was told that it is gone, as of a chunk;
		 * of memory at pointers it is not told.
		 */
		for (i = 0; i < OBSERVERS; i++) {
			const struct observer *o = &w.observers[a][i];

			MUST(!o->observer || o->known == regions - torn + info.chunks ||
			     (w.untold && o->known < regions - torn + info.chunks));
		}
		chunks += info.chunks;
		if (!w.physical[a])
			mappings += info.regions * to;
		for (i = 0; i < DEVICES && w.physical[a]; i++)
			holds += is_open(&w.devices[i], a) ? info.regions : 0;
	}
	MUST(w.inexact || w.tied || fake_holds() == holds);
	MUST(w.inexact || fake_mappings() == mappings);
	w.untold &= chunks || fake.short_unmap;
	for (i = 0; i < PEERS; i++)
		check_peer(&w.peers[i]);
	check_objects();
	w.hit_lately = false;
}

/*
 * What could not be unmapped, or given back, is gone with what it was mapped for, or lay
 * in: then the world is exact again.
 */
static void settle(void)
{
	unsigned int i, open = 0, arenas = 0;

	for (i = 0; i < SPACES; i++)
		open += w.spaces[i].ioas ? w.spaces[i].devices : 0;
	for (i = 0; i < ARENAS; i++)
		arenas += w.arenas[i] != NULL;
	/* iommufd's space may keep what it could not clear until somebody needs it. */
	MUST(open || w.inexact || !fake_mappings());
	MUST(open || w.tied || !fake_holds());
	if (!open && !fake.short_unmap && !fake_mappings() && !fake_holds())
		w.inexact = w.tied = false;
	if (arenas)
		return;
	MUST(!fake_open_files() && !fake.locked && !fake.user_locked &&
	     fake_allocations() == w.allocations);
	MUST(w.lost || fake_mapped() == w.stray);
	w.stray = fake_mapped();
	w.lost = false;
}

static void step(void)
{
	unsigned int op = take_below(&w.in, 46), arena = ARENAS;

	if ((op >= 2 && op < 6) || op >= 42) {
		arena = take_arena();
		if (arena == ARENAS)
			return;
	}
	switch (op) {
	case 0: nothing(); break;
	case 1: arena_create(); break;
	case 2: arena_destroy(arena); break;
	case 3: arena_look(arena); break;
	case 4: buf_trim(arena); break;
	case 5:
		switch (take_below(&w.in, 4)) {
		case 0: arena_tell(arena); break;
		case 1: arena_look(arena); break;
		case 2: take(&w.in) & 1 ? observe(arena) : refuse(); break;
		default: region_import(arena);
		}
		break;
	case 6:
	case 15:
	case 16: device_use(); break;
	case 7:
	case 8: ioas_create(); break;
	case 9: ioas_destroy(&w.spaces[take_below(&w.in, SPACES)]); break;
	case 10: ioas_look(); break;
	case 11:
	case 12:
	case 13: device_open(); break;
	case 14: device_close(&w.devices[take_below(&w.in, DEVICES)]); break;
	case 17:
	case 18:
	case 19: region_create(); break;
	case 20:
	case 21: region_destroy(&w.regions[take_below(&w.in, REGIONS)]); break;
	case 22: take(&w.in) & 1 ? iova_look() : region_look(); break;
	case 23:
	case 24:
	case 25: buf_alloc(); break;
	case 26:
	case 27: buf_free(&w.bufs[take_below(&w.in, BUFS)]); break;
	case 28: buf_free_wrong(); break;
	case 29: disturb(); break;
	case 30:
	case 31: inject(); break;
	case 32: ring_create(); break;
	case 33:
	case 34: ring_use(); break;
	case 35: ring_init(); break;
	case 36:
	case 37: object_make(); break;
	case 38: object_resize(&w.objects[take_below(&w.in, OBJECTS)]); break;
	case 39: object_free(&w.objects[take_below(&w.in, OBJECTS)]); break;
	case 40:
		switch (take_below(&w.in, 4)) {
		case 0: heap_destroy(&w.heaps[take_below(&w.in, HEAPS)]); break;
		case 1: object_free_wrong(); break;
		default: heap_look(&w.heaps[take_below(&w.in, HEAPS)]);
		}
		break;
	case 41:
		take(&w.in) & 3 ? peer_process(&w.peers[take_below(&w.in, PEERS)]) :
				  peer_end(&w.peers[take_below(&w.in, PEERS)]);
		break;
	case 42: region_import(arena); break;
	case 43: peer_share(arena); break;
	case 44: heap_create(arena); break;
	default: take(&w.in) & 1 ? refuse() : observe(arena);
	}
}

/* All goes, devices or memory first, and without a failure. */
static void tear_down(bool devices_first)
{
	unsigned int i, j;

	calm();
	w.fail_call = w.fail_alloc = w.fail_request = w.refuse = 0;
	for (i = 0; i < DEVICES && devices_first; i++)
		device_close(&w.devices[i]);
	for (i = 0; i < REGIONS; i++)
		region_destroy(&w.regions[i]);
	for (i = 0; i < BUFS; i++)
		buf_free(&w.bufs[i]);
	for (i = 0; i < OBJECTS; i++)
		object_free(&w.objects[i]);
	for (i = 0; i < HEAPS; i++)
		heap_destroy(&w.heaps[i]);
	check_world();
	for (i = 0; i < DEVICES; i++)
		device_close(&w.devices[i]);
	for (i = 0; i < SPACES; i++)
		ioas_destroy(&w.spaces[i]);
	for (i = 0; i < ARENAS; i++) {
		for (j = 0; j < OBSERVERS; j++)
			observer_remove(&w.observers[i][j]);
		if (w.arenas[i])
			arena_destroy(i);
		MUST(!w.arenas[i]);
	}
}

/* An arena with so many address spaces that have a device, which is where much begins. */
static void begin_with(unsigned int spaces, uint32_t flags)
{
	static const unsigned int which[] = { 0, 1, 3 };
	const struct vdma_arena_opts arena = { .size = sizeof(arena),
					       .window = 4 * GIB,
					       .translation = w.bare ? VDMA_TRANSLATION_AUTO :
								       VDMA_TRANSLATION_LINEAR,
					       .flags = flags };
	unsigned int i;

	MUST(!vdma_arena_create(&arena, &w.arenas[0]));
	w.checks[0] = flags & VDMA_ARENA_CHECK;
	w.shared[0] = flags & VDMA_ARENA_SHARED;
	w.physical[0] = w.bare;
	for (i = 0; i < spaces; i++) {
		struct vdma_ioas_opts opts = { .size = sizeof(opts),
					       .backend = w.bare ? VDMA_BACKEND_NOIOMMU :
							  i % 2	 ? VDMA_BACKEND_IOMMUFD :
								   VDMA_BACKEND_TYPE1 };
		struct device *d = &w.devices[which[i]];

		MUST(!vdma_ioas_create(w.arenas[0], &opts, &w.spaces[i].ioas));
		MUST(!vdma_device_open(w.spaces[i].ioas, bdfs[which[i]], NULL, &d->dev));
		w.spaces[i].devices = 1;
		d->space = i;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t how;

	/* A byte that is written shall cost a page, not 2 MiB. */
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	memset(&w, 0, sizeof(w));
	w.allocations = fake_allocations();
	w.in = (struct input){ data, size };
	how = take(&w.in);
	w.bare = how >= 192;
	set_up();
	if (how % 8 < 4)
		begin_with(how % 4, (how & 16 && !w.bare ? VDMA_ARENA_CHECK : 0) |
					    (how & 32 ? VDMA_ARENA_SHARED : 0));
	while (w.in.left) {
		step();
		check_world();
		settle();
	}
	tear_down(how & 8);
	settle();
	MUST(!fake_mappings() && (!fake_holds() || w.tied));
	return 0;
}
