// SPDX-License-Identifier: BSD-3-Clause
/* Arenas: made, asked and destroyed; and calls with nothing where something must be. */
#include "api.h"

static const int create_errors[] = { EINVAL, E2BIG, ENOMEM, EADDRINUSE, EIO, 0 };
static const int destroy_errors[] = { EBUSY, EIO, ENOMEM, 0 };
static const int query_errors[] = { EINVAL, 0 };

unsigned int take_arena(void)
{
	unsigned int first = take_below(&w.in, ARENAS), i;

	for (i = 0; i < ARENAS; i++)
		if (w.arenas[(first + i) % ARENAS])
			return (first + i) % ARENAS;
	return ARENAS;
}

void arena_create(void)
{
	static const uint64_t windows[] = { 1, 1, 2, 4, 4, 8, 8, 16 };
	struct vdma_arena_opts opts = { .window = windows[take_below(&w.in, 8)] * GIB };
	unsigned int slot = w.arenas[0] ? 1 : 0;
	struct vdma_arena *arena = UNTOUCHED;
	bool wrong = false;
	void *given;
	int ret;

	if (w.arenas[slot])
		return;
	if (take_below(&w.in, 16) == 0)
		opts.window = take_edge(&w.in);
	if (take_below(&w.in, 4) == 0) {
		opts.flags = VDMA_ARENA_CHECK;
		opts.guard = take_below(&w.in, 2) ? take_edge(&w.in) % GIB : 0;
		opts.quarantine = take_below(&w.in, 2) ? take_edge(&w.in) : 0;
		opts.buf_quarantine = take_below(&w.in, 2) ? take_edge(&w.in) : 0;
	}
	if (take_below(&w.in, 4) == 0)
		opts.flags |= VDMA_ARENA_SHARED;
	/* What there is decides of the latter, and may not be found out. */
	if (w.bare)
		opts.translation = take(&w.in) & 1 || w.fail_call || w.fail_alloc ||
						   w.fail_request ?
					   VDMA_TRANSLATION_PHYSICAL :
					   VDMA_TRANSLATION_AUTO;
	given = shaped(&opts, sizeof(opts), &wrong);
	wrong |= opts.window % GIB || opts.window > UINT64_C(1) << 46 ||
		 (opts.translation && opts.flags & VDMA_ARENA_CHECK);
	ret = CALL(create_errors, vdma_arena_create(given, &arena));
	free(given);
	MUST((ret == -EINVAL || ret == -E2BIG) == wrong || (w.hit && opts.translation));
	if (ret) {
		MUST(arena == UNTOUCHED);
		return;
	}
	w.arenas[slot] = arena;
	w.checks[slot] = opts.flags & VDMA_ARENA_CHECK;
	w.shared[slot] = opts.flags & VDMA_ARENA_SHARED;
	w.physical[slot] = opts.translation;
	if (opts.window)
		MUST(((const struct vdma_window *)(const void *)arena)->len == opts.window);
}

static unsigned int children(unsigned int arena)
{
	unsigned int i, sum = 0;

	for (i = 0; i < SPACES; i++)
		sum += w.spaces[i].ioas && w.spaces[i].arena == arena;
	for (i = 0; i < REGIONS; i++)
		sum += w.regions[i].region && w.regions[i].arena == arena;
	for (i = 0; i < BUFS; i++)
		sum += w.bufs[i].buf.va && w.bufs[i].arena == arena;
	return sum + observers(arena);
}

void arena_destroy(unsigned int arena)
{
	int ret;

	/* A heap that has no memory does not keep it from going, and may not outlive it. */
	if (has_heaps(arena) && !children(arena))
		return;
	ret = CALL_CHANGES(destroy_errors, vdma_arena_destroy(w.arenas[arena]));
	MUST(ret || !children(arena));
	if (!ret) {
		w.arenas[arena] = NULL;
		peers_orphaned(arena);
	} else if (!w.hit && !w.trouble) {
		MUST(children(arena) && ret == -EBUSY);
	}
	may_be_mapped(ret && ret != -EBUSY);
}

void arena_look(unsigned int arena)
{
	struct vdma_range ranges[16];
	size_t count = take_below(&w.in, 16), room = count, i;
	bool wrong;
	void *info = info_room(sizeof(struct vdma_arena_info), &wrong);
	int ret = CALL(query_errors, vdma_arena_query(w.arenas[arena], info));

	MUST(!ret == !wrong);
	info_checked(info, sizeof(struct vdma_arena_info), ret);
	free(info);
	MUST(!CALL(query_errors, vdma_arena_ranges(w.arenas[arena], ranges, &count)));
	for (i = 0; i < count && i < room && !w.physical[arena]; i++)
		MUST(ranges[i].first >= 4096 && ranges[i].first <= ranges[i].last &&
		     (!i || ranges[i - 1].last < ranges[i].first));
}

/* What is counted and written down of an arena, by the model's count. */
void arena_tell(unsigned int arena)
{
	static const int errors[] = { EINVAL, ENOMEM, 0 };
	char text[512], *whole;
	size_t room = take_below(&w.in, sizeof(text) + 1), len = room, i;
	uint64_t regions = 0, bufs = 0, spaces = 0, devices = 0;
	const struct vdma_stats *stats;
	bool wrong, views = false, dump = take(&w.in) & 1;
	void *info = info_room(sizeof(*stats), &wrong);
	int ret = CALL(query_errors, vdma_arena_stats(w.arenas[arena], info));

	MUST(!ret == !wrong);
	info_checked(info, sizeof(*stats), ret);
	for (i = 0; i < REGIONS; i++) {
		if (!w.regions[i].region || w.regions[i].arena != arena)
			continue;
		/* As check_world() says. */
		views |= w.regions[i].view;
		regions += !w.regions[i].view;
	}
	for (i = 0; i < BUFS; i++)
		bufs += w.bufs[i].buf.va && w.bufs[i].arena == arena;
	for (i = 0; i < SPACES; i++)
		if (w.spaces[i].ioas && w.spaces[i].arena == arena) {
			spaces++;
			devices += w.spaces[i].devices;
		}
	stats = info;
	if (!ret)
		MUST((stats->regions == regions + stats->chunks ||
		      (views && stats->regions > regions + stats->chunks)) &&
		     (stats->bufs == bufs || has_heaps(arena)) && stats->ioas == spaces &&
		     stats->devices == devices && stats->regions_ever >= stats->regions &&
		     stats->bufs_ever >= stats->bufs && stats->bufs >= bufs);
	free(info);

	/* As much as fits, with a 0 behind; and how long the whole is. */
	memset(text, 0x5a, sizeof(text));
	ret = dump ? CALL(errors, vdma_arena_dump(w.arenas[arena], text, &len)) :
		     CALL(errors, vdma_arena_json(w.arenas[arena], text, &len));
	MUST(!ret || len == room);
	if (ret)
		return;
	MUST(len > 100 && (!room || strlen(text) == (len < room ? len : room - 1)));
	for (i = room; i < sizeof(text); i++)
		MUST(text[i] == 0x5a);
	room = len + 1;
	whole = malloc(room);
	MUST(whole);
	ret = dump ? CALL(errors, vdma_arena_dump(w.arenas[arena], whole, &room)) :
		     CALL(errors, vdma_arena_json(w.arenas[arena], whole, &room));
	/* Of the dump, times are a part. */
	MUST(ret || dump || (room == len && strlen(whole) == len));
	free(whole);
}

/* What is passed where something must be. */
void nothing(void)
{
	static const int errors[] = { EINVAL, 0 };
	struct vdma_buf buf;

	MUST(CALL(errors, vdma_arena_create(NULL, NULL)));
	MUST(CALL(errors, vdma_arena_query(NULL, NULL)));
	MUST(CALL(errors, vdma_arena_ranges(NULL, NULL, NULL)));
	MUST(CALL(errors, vdma_ioas_create(NULL, NULL, NULL)));
	MUST(CALL(errors, vdma_ioas_query(NULL, NULL)));
	MUST(CALL(errors, vdma_ioas_ranges(NULL, NULL, NULL)));
	MUST(CALL(errors, vdma_device_open(NULL, NULL, NULL, NULL)));
	MUST(CALL(errors, vdma_device_query(NULL, NULL)));
	MUST(CALL(errors, vdma_device_bar(NULL, 0, NULL)));
	MUST(CALL(errors, vdma_device_reset(NULL)));
	MUST(CALL(errors, vdma_device_irq_disable(NULL)));
	MUST(CALL(errors, vdma_device_hot_reset(NULL)));
	MUST(CALL(errors, vdma_device_let_go(NULL)));
	MUST(CALL(errors, vdma_device_removal_fd(NULL, NULL)));
	MUST(CALL(errors, vdma_arena_stats(NULL, NULL)));
	MUST(CALL(errors, vdma_arena_json(NULL, NULL, NULL)));
	MUST(CALL(errors, vdma_arena_dump(NULL, NULL, NULL)));
	MUST(CALL(errors, vdma_explain_iova(NULL, 0, NULL)));
	MUST(CALL(errors, vdma_region_create(NULL, 1, NULL, NULL)));
	MUST(CALL(errors, vdma_region_import_fd(NULL, 0, 0, 1, NULL, NULL)));
	MUST(CALL(errors, vdma_region_import_bar(NULL, NULL, 0, 0, 1, NULL, NULL)));
	MUST(CALL(errors, vdma_region_import_user(NULL, NULL, 1, NULL, NULL)));
	MUST(CALL(errors, vdma_region_query(NULL, NULL)));
	MUST(CALL(errors, vdma_region_slice(NULL, 0, 1, &buf)));
	MUST(CALL(errors, vdma_buf_alloc(NULL, 1, NULL, &buf)));
	MUST(CALL(errors, vdma_buf_free(NULL, &buf)));
	MUST(CALL(errors, vdma_buf_trim(NULL)));
	MUST(CALL(errors, vdma_observer_add(NULL, NULL, NULL, NULL)));
	MUST(!vdma_arena_destroy(NULL) && !vdma_ioas_destroy(NULL) && !vdma_device_close(NULL) &&
	     !vdma_region_destroy(NULL) && !vdma_buf_free(NULL, NULL) &&
	     !vdma_observer_remove(NULL));
}
