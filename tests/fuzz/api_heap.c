// SPDX-License-Identifier: BSD-3-Clause
/*
 * Heaps: objects lie alone, have device addresses, and keep their bytes. With
 * AddressSanitizer, which is told of each object, there are no caches of threads.
 */
#include <vdma/heap.h>

#include "api.h"

static const int create_errors[] = { EINVAL, E2BIG, ENOMEM, EOPNOTSUPP, ENOSPC, 0 };
static const int busy_errors[] = { EBUSY, 0 };
static const int argument_errors[] = { EINVAL, 0 };
static const int look_errors[] = { EINVAL, ENOMEM, 0 };

static unsigned int objects(const struct heap *h, uint64_t *bytes)
{
	unsigned int i, sum = 0;

	*bytes = 0;
	for (i = 0; i < OBJECTS; i++) {
		if (!w.objects[i].buf.va || w.objects[i].heap != h)
			continue;
		sum++;
		*bytes += w.objects[i].buf.len;
	}
	return sum;
}

bool has_heaps(unsigned int arena)
{
	unsigned int i;

	for (i = 0; i < HEAPS; i++)
		if (w.heaps[i].heap && w.heaps[i].arena == arena)
			return true;
	return false;
}

void check_objects(void)
{
	unsigned int i;

	for (i = 0; i < OBJECTS; i++) {
		const struct object *o = &w.objects[i];

		if (!o->buf.va)
			continue;
		check_mark(&o->buf);
		MUST(w.physical[o->heap->arena] ||
		     fake_reachable(o->buf.iova, o->buf.va, o->buf.len) ==
			     attached(o->heap->arena));
	}
}

void heap_create(unsigned int arena)
{
	struct vdma_constraints c = { 0 };
	bool wrong = false, senseless = take_constraints(&c);
	struct vdma_heap_opts opts = {
		.grow = take_below(&w.in, 4) ? 0 : take_edge(&w.in),
		.flags = take(&w.in) % 3 % 2,
	};
	struct vdma_heap *heap = UNTOUCHED;
	unsigned int i = 0;
	void *given;
	int ret;

	while (i < HEAPS && w.heaps[i].heap)
		i++;
	/* Its table is as large as the window. */
	if (i == HEAPS || ((struct vdma_window *)(void *)w.arenas[arena])->len > 1024 * GIB)
		return;
	if (take(&w.in) < 192)
		c.align = c.boundary = 0;
	opts.constraints = take(&w.in) & 1 ? &c : NULL;
	given = shaped(&opts, sizeof(opts), &wrong);
	wrong |= opts.grow > (size_t)1 << 46 ||
		 (opts.constraints && (senseless || c.align || c.boundary));
	ret = CALL(create_errors, vdma_heap_create(w.arenas[arena], given, &heap));
	free(given);
	MUST(refused(ret) == wrong);
	if (ret)
		MUST(heap == UNTOUCHED);
	else
		w.heaps[i] = (struct heap){ .heap = heap,
					    .arena = arena,
					    .checks = opts.flags || w.checks[arena],
					    .nowhere = opts.constraints && no_such_node(&c),
					    .bits = opts.constraints ? c.address_bits : 0 };
}

void heap_destroy(struct heap *h)
{
	uint64_t bytes;
	int ret;

	if (!h->heap)
		return;
	ret = CALL_CHANGES(busy_errors, vdma_heap_destroy(h->heap));
	MUST(!ret == !objects(h, &bytes));
	may_be_mapped(w.hit);
	if (!ret)
		h->heap = NULL;
}

/* What all heaps of an arena have, it has from that. */
void heap_look(struct heap *h)
{
	struct vdma_arena_info arena = { .size = sizeof(arena) };
	uint64_t bytes, bufs = 0;
	unsigned int i, n;
	bool wrong;
	void *info;
	int ret;

	if (!h->heap)
		return;
	info = info_room(sizeof(struct vdma_heap_info), &wrong);
	ret = CALL_CHANGES(look_errors, vdma_heap_query(h->heap, info));
	MUST(ret == -EINVAL ? wrong : !wrong || w.hit);
	info_checked(info, sizeof(struct vdma_heap_info), ret);
	if (!ret) {
		const struct vdma_heap_info *now = info;

		n = objects(h, &bytes);
		MUST(now->objects == n && now->object_bytes >= bytes && now->checks == h->checks);
		MUST(now->bytes >= now->object_bytes);
	}
	free(info);
	ret = CALL_CHANGES(look_errors, vdma_heap_trim(h->heap));
	MUST(ret != -EINVAL);
	may_be_mapped(w.hit);
	for (i = 0; i < HEAPS; i++) {
		struct vdma_heap_info now = { .size = sizeof(now) };

		if (!w.heaps[i].heap || w.heaps[i].arena != h->arena)
			continue;
		MUST(!vdma_heap_query(w.heaps[i].heap, &now));
		bufs += now.chunks;
	}
	for (i = 0; i < BUFS; i++)
		bufs += w.bufs[i].buf.va && w.bufs[i].arena == h->arena;
	MUST(!vdma_arena_query(w.arenas[h->arena], &arena) && arena.bufs == bufs);
}

/* Mostly small, at times in a page or a chunk of its own, seldom as long as a region. */
static size_t take_size(void)
{
	uint8_t how = take(&w.in);
	size_t len = take_edge(&w.in);

	return how < 160 ? len % 4096 : how < 248 ? len % (4 * MIB) : how < 252 ? take_len() : len;
}

static void check_object(const struct object *o, size_t align, bool zeroed)
{
	struct vdma_arena *arena = w.arenas[o->heap->arena];
	const struct vdma_buf *b = &o->buf;
	const char *va = b->va;
	unsigned int i;

	MUST(vdma_iova_checked(arena, va, b->len) == b->iova);
	MUST((uintptr_t)va % align == 0 && b->iova % align == 0);
	MUST(vdma_usable_size(o->heap->heap, va) >= b->len);
	MUST(!o->heap->bits || o->heap->bits >= 64 ||
	     (b->iova + (b->len - 1)) >> o->heap->bits == 0);
	MUST(!zeroed || (!va[0] && !va[b->len / 2] && !va[b->len - 1]));
	for (i = 0; i < OBJECTS; i++) {
		const struct vdma_buf *other = &w.objects[i].buf;

		MUST(other == b || !other->va || (char *)other->va + other->len <= va ||
		     va + b->len <= (char *)other->va);
	}
}

static void keep(struct object *o, struct heap *h, void *p, size_t len)
{
	len += !len;
	o->heap = h;
	o->buf = (struct vdma_buf){
		.va = p, .len = len, .iova = vdma_iova(w.arenas[h->arena], p), .pa = VDMA_PA_NONE
	};
}

static int result(const void *p)
{
	return p ? 0 : -errno;
}

void object_make(void)
{
	struct heap *h = &w.heaps[take_below(&w.in, HEAPS)];
	size_t len = take_size(), align = 1, n = 1;
	uint8_t how = take(&w.in);
	unsigned int i = 0;
	void *p = NULL;
	int ret;

	while (i < OBJECTS && w.objects[i].buf.va)
		i++;
	if (!h->heap || i == OBJECTS)
		return;
	if (how % 4 == 2) {
		n = take_below(&w.in, 8);
		len = how < 248 ? len % MIB : len;
	}
	if (how % 4 == 3)
		align = how < 248 ? (size_t)1 << take_below(&w.in, 23) : take_edge(&w.in);
	call_begins();
	p = how % 4 == 2 ? vdma_calloc(h->heap, n, len) :
	    how % 4 == 3 ? vdma_memalign(h->heap, align, len) :
			   vdma_malloc(h->heap, len);
	ret = result(p);
	/* A chunk may stay for those that come after one that failed. */
	call_ended(ret, memory_errors, "vdma_malloc", false);
	may_be_mapped(w.hit);
	if (h->nowhere)
		MUST(ret);
	else
		MUST((ret == -EINVAL) == (!align || (align & (align - 1)) || align > GIB));
	if (ret)
		return;
	keep(&w.objects[i], h, p, n * len);
	check_object(&w.objects[i], align, how % 4 == 2);
	mark(&w.objects[i].buf);
}

void object_resize(struct object *o)
{
	size_t len = take_size();
	unsigned char first;
	void *p = NULL;
	int ret;

	if (!o->buf.va)
		return;
	check_mark(&o->buf);
	first = *(unsigned char *)o->buf.va;
	call_begins();
	p = vdma_realloc(o->heap->heap, o->buf.va, len);
	ret = result(p);
	call_ended(ret, memory_errors, "vdma_realloc", false);
	may_be_mapped(w.hit);
	MUST(ret != -EINVAL);
	if (ret) {
		check_mark(&o->buf);
		return;
	}
	MUST(*(unsigned char *)p == first);
	if (len >= o->buf.len)
		MUST(((unsigned char *)p)[o->buf.len - 1] == first);
	keep(o, o->heap, p, len);
	check_object(o, 1, false);
	mark(&o->buf);
}

void object_free(struct object *o)
{
	if (!o->buf.va)
		return;
	check_mark(&o->buf);
	MUST(!CALL_CHANGES(argument_errors, vdma_free(o->heap->heap, o->buf.va)));
	may_be_mapped(w.hit);
	o->buf.va = NULL;
}

/* What is no object is found out, in the arena if the heap checks. */
void object_free_wrong(void)
{
	const struct object *o = &w.objects[take_below(&w.in, OBJECTS)];
	struct heap *h = &w.heaps[take_below(&w.in, HEAPS)];
	char *p = o->buf.va;

	if (!h->heap)
		return;
	if (!p || !h->checks)
		p = (char *)&w;
	else if (o->heap == h)
		p += 1 + take_below(&w.in, 64);
	MUST(CALL(argument_errors, vdma_free(h->heap, p)) == -EINVAL);
	MUST(!vdma_usable_size(h->heap, p));
}
