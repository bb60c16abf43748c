// SPDX-License-Identifier: BSD-3-Clause
/* Observers: told of each region once, also where something fails, or one of them refuses it. */
#include "api.h"

/* An observer asks, and is let, in the middle of whatever goes on. */
static int added(void *ctx, struct vdma_region *region)
{
	struct vdma_region_info info = { .size = sizeof(info) };

	MUST(!vdma_region_query(region, &info) && info.buf_len == vdma_region_buf(region).len);
	if (w.refuse && !--w.refuse) {
		w.refused = true;
		return w.refuse_with;
	}
	((struct observer *)ctx)->known++;
	return 0;
}

static void removed(void *ctx, struct vdma_region *region)
{
	struct observer *o = ctx;

	MUST(vdma_region_buf(region).len && o->known);
	o->known--;
}

unsigned int observers(unsigned int arena)
{
	unsigned int i, sum = 0;

	for (i = 0; i < OBSERVERS; i++)
		sum += w.observers[arena][i].observer != NULL;
	return sum;
}

static const int add_errors[] = { ENOMEM, ECANCELED, 0 };
static const int remove_errors[] = { ENOMEM, 0 };

static void add(struct observer *o, struct vdma_arena *arena)
{
	static const struct vdma_observer_ops ops = {
		.size = sizeof(ops),
		.added = added,
		.removed = removed,
	};
	struct vdma_observer *observer = UNTOUCHED;
	int ret = CALL(add_errors, vdma_observer_add(arena, &ops, o, &observer));

	MUST((ret == -ECANCELED) == w.refused);
	if (ret)
		MUST(observer == UNTOUCHED && !o->known);
	else
		o->observer = observer;
}

void observer_remove(struct observer *o)
{
	if (!o->observer || CALL(remove_errors, vdma_observer_remove(o->observer)))
		return;
	o->observer = NULL;
	MUST(!o->known);
}

/* One comes, or goes. */
void observe(unsigned int arena)
{
	struct observer *o = &w.observers[arena][take_below(&w.in, OBSERVERS)];

	if (o->observer)
		observer_remove(o);
	else
		add(o, w.arenas[arena]);
}
