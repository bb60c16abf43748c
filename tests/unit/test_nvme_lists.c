// SPDX-License-Identifier: BSD-3-Clause
/*
 * PRP lists and SGLs of drivers-example/nvme against a controller that reads them as
 * the specification says, byte by byte, and against the data that they are made of.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <nvme.h>

#include "../random.h"

#define LIST_IOVA UINT64_C(0x7000000000)
#define MAX_PIECES 64

/* What the builders get: data, and a list that ends where malloc()'s memory ends. */
struct lists {
	struct vdma_buf data[MAX_PIECES];
	unsigned int n;
	size_t len;
	struct vdma_buf list;
	size_t page_len;
	union nvme_dptr dptr;
};

/* A fresh list each time, full of addresses that are nowhere. */
static void list_begin(struct lists *l, size_t pages)
{
	l->list.len = pages * l->page_len;
	l->list.iova = LIST_IOVA;
	l->list.va = malloc(l->list.len ? l->list.len : 1);
	assert_non_null(l->list.va);
	memset(l->list.va, 0xee, l->list.len);
}

static void list_end(struct lists *l, int n)
{
	/* One is told in the command. */
	for (size_t i = 0; n == 1 && i < l->list.len; i++)
		assert_int_equal(((uint8_t *)l->list.va)[i], 0xee);
	free(l->list.va);
}

/* Bytes of the list at a device address, which must lie in it. */
static const void *list_at(const struct lists *l, uint64_t iova, size_t len)
{
	assert_true(iova >= l->list.iova && iova - l->list.iova <= l->list.len &&
		    len <= l->list.len - (iova - l->list.iova));
	return (const char *)l->list.va + (iova - l->list.iova);
}

/* The data, a run of addresses after the other, as the builder was told. */
struct cursor {
	const struct lists *l;
	unsigned int i;
	size_t offset;
	size_t done;
};

static void follow(struct cursor *c, uint64_t at, size_t len)
{
	while (len) {
		size_t step = c->l->data[c->i].len - c->offset;

		step = step < len ? step : len;
		assert_true(c->i < c->l->n);
		assert_int_equal(at, c->l->data[c->i].iova + c->offset);
		at += step;
		len -= step;
		c->done += step;
		c->offset += step;
		if (c->offset == c->l->data[c->i].len) {
			c->i++;
			c->offset = 0;
		}
	}
}

/* 4.3, as a controller walks it. Returns the number of entries. */
static int walk_prp(const struct lists *l)
{
	struct cursor c = { .l = l };
	size_t page = l->page_len, left = l->len, step, in_list = 0;
	uint64_t at = l->dptr.prp[0], list = l->dptr.prp[1];
	int n = 1;

	assert_int_equal(at % 4, 0);
	step = page - at % page;
	step = step < left ? step : left;
	follow(&c, at, step);
	left -= step;
	if (!left) {
		assert_int_equal(list, 0);
		return n;
	}
	if (left <= page) {
		assert_int_equal(list % page, 0);
		follow(&c, list, left);
		return n + 1;
	}
	assert_int_equal(list % page, 0);
	for (; left; left -= step) {
		memcpy(&at, list_at(l, list + in_list * 8, 8), 8);
		assert_int_equal(at % page, 0);
		/* The last of a page points to the next, if that is not all. */
		if (in_list == page / 8 - 1 && left > page) {
			list = at;
			in_list = 0;
			step = 0;
			continue;
		}
		step = left < page ? left : page;
		follow(&c, at, step);
		in_list++;
		n++;
	}
	assert_int_equal(c.done, l->len);
	return n;
}

/* 4.4 */
static int walk_sgl(const struct lists *l)
{
	struct cursor c = { .l = l };
	struct nvme_sgl_desc d = l->dptr.sgl;
	int n = 0;

	if (d.type == NVME_SGL_DATA) {
		follow(&c, d.addr, d.len);
		n = 1;
	} else {
		const struct nvme_sgl_desc *segment = list_at(l, d.addr, d.len);

		assert_int_equal(d.type, NVME_SGL_LAST_SEGMENT);
		assert_int_equal(d.len % sizeof(*segment), 0);
		for (; n < (int)(d.len / sizeof(*segment)); n++) {
			assert_int_equal(segment[n].type, NVME_SGL_DATA);
			assert_true(segment[n].len);
			assert_memory_equal(segment[n].rsvd, "\0\0\0", 3);
			follow(&c, segment[n].addr, segment[n].len);
		}
		assert_true(n > 1);
	}
	assert_int_equal(c.done, l->len);
	return n;
}

/*
 * A random piece of data after another. legal: as PRPs can tell them, from 4 bytes to
 * some pages, some of them neighbours.
 */
static void random_data(struct lists *l, uint64_t *chance, bool legal, unsigned int most)
{
	size_t page = l->page_len;
	uint64_t at = 0x100000 + random_below(chance, page / 4) * 4;

	l->n = 1 + (unsigned int)random_below(chance, most);
	l->len = 0;
	for (unsigned int i = 0; i < l->n; i++) {
		size_t len;

		if (!legal) {
			at += random_below(chance, 3) * random_below(chance, 10000);
			len = 1 + random_below(chance, 3 * page);
		} else if (i == l->n - 1) {
			len = 4 * (1 + random_below(chance, 3 * page / 4));
		} else {
			len = page * (1 + random_below(chance, 4)) - at % page;
		}
		l->data[i] = (struct vdma_buf){ .iova = at, .len = len };
		l->len += len;
		at += len;
		if (legal)
			at += random_below(chance, 3) * page;
	}
}

/* How many entries there must be: a page counts once for each time that the data enter it. */
static int count_prp(const struct lists *l)
{
	uint64_t end = 0, at;
	int n = 0;

	for (unsigned int i = 0; i < l->n; i++) {
		at = l->data[i].iova;
		n += at != end || at % l->page_len == 0;
		end = at + l->data[i].len;
		n += (int)((end - 1) / l->page_len - at / l->page_len);
	}
	return n;
}

static int count_sgl(const struct lists *l)
{
	int n = 1;

	for (unsigned int i = 1; i < l->n; i++)
		n += l->data[i].iova != l->data[i - 1].iova + l->data[i - 1].len;
	return n;
}

static void prp_random(void **state)
{
	uint64_t chance = 7;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		struct lists l = { .page_len = round % 4 ? 4096 : 512 };
		int n, pages;

		random_data(&l, &chance, true, round % 8 ? 8 : MAX_PIECES);
		n = count_prp(&l);
		/* Exactly what is needed: all but the first, and a pointer at each page's end. */
		pages = 0;
		if (n > 2)
			for (int left = n - 1; left > 0; pages++)
				left -= left <= (int)l.page_len / 8 ? left :
								      (int)l.page_len / 8 - 1;
		/* With two, the list is used on the way. */
		list_begin(&l, pages ? (size_t)pages : 1);
		assert_int_equal(nvme_prp_build(&l.list, l.page_len, l.data, l.n, &l.dptr), n);
		assert_int_equal(walk_prp(&l), n);
		list_end(&l, n);
		/* A page less is too little. */
		if (pages > 0) {
			list_begin(&l, (size_t)pages - 1);
			assert_int_equal(nvme_prp_build(&l.list, l.page_len, l.data, l.n, &l.dptr),
					 -E2BIG);
			list_end(&l, -E2BIG);
		}
	}
}

/* Data of one piece, of all lengths about where pages and pages of the list end. */
static void prp_edges(void **state)
{
	static const size_t offsets[] = { 0, 4, 2048, 4092 };

	(void)state;
	for (size_t entries = 1; entries<1100; entries += entries> 6 && entries < 505 ? 97 : 1)
		for (size_t o = 0; o < 4; o++)
			for (int more = -4; more <= 4; more += 4) {
				struct lists l = { .page_len = 4096, .n = 1 };

				l.len = entries * 4096 + (size_t)more;
				l.data[0] = (struct vdma_buf){ .iova = 0x200000 + offsets[o],
							       .len = l.len };
				list_begin(&l, 3);
				assert_int_equal(nvme_prp_build(&l.list, 4096, l.data, 1, &l.dptr),
						 count_prp(&l));
				assert_int_equal(walk_prp(&l), count_prp(&l));
				list_end(&l, count_prp(&l));
			}
}

static int prp_of(uint64_t iova, size_t len, uint64_t iova2, size_t len2)
{
	struct lists l = { .page_len = 4096 };
	int got;

	l.data[0] = (struct vdma_buf){ .iova = iova, .len = len };
	l.data[1] = (struct vdma_buf){ .iova = iova2, .len = len2 };
	list_begin(&l, 1);
	got = nvme_prp_build(&l.list, 4096, l.data, 2, &l.dptr);
	list_end(&l, got);
	return got;
}

static void prp_refused(void **state)
{
	(void)state;
	assert_int_equal(prp_of(0x10000, 4096, 0x20000, 512), 2);
	assert_int_equal(prp_of(0x10002, 4094, 0x20000, 512), -EINVAL); /* not of words */
	assert_int_equal(prp_of(0x10000, 4096, 0x20004, 512), -EINVAL); /* not at a page's start */
	assert_int_equal(prp_of(0x10000, 512, 0x20000, 512), -EINVAL);	/* not to a page's end */
	assert_int_equal(prp_of(0x10000, 512, 0x10204, 512), -EINVAL);	/* a gap in a page */
	assert_int_equal(prp_of(0x10000, 512, 0x10200, 512), 1);	/* neighbours in one */
	assert_int_equal(prp_of(0x10000, 0, 0x20000, 512), -EINVAL);
	assert_int_equal(prp_of(0x10000, 4096, 0x20000, 0), -EINVAL);
}

static void sgl_random(void **state)
{
	uint64_t chance = 11;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		struct lists l = { .page_len = 4096 };
		int n;

		random_data(&l, &chance, false, MAX_PIECES);
		n = count_sgl(&l);
		/* Exactly what is needed. */
		l.page_len = sizeof(struct nvme_sgl_desc);
		list_begin(&l, (size_t)n);
		assert_int_equal(nvme_sgl_build(&l.list, 1, l.data, l.n, &l.dptr), n);
		assert_int_equal(walk_sgl(&l), n);
		list_end(&l, n);
		if (n == 1)
			continue;
		list_begin(&l, (size_t)n - 1);
		assert_int_equal(nvme_sgl_build(&l.list, 1, l.data, l.n, &l.dptr), -E2BIG);
		list_end(&l, -E2BIG);
	}
}

static void sgl_refused(void **state)
{
	struct lists l = { .page_len = 4096, .n = 1 };

	(void)state;
	list_begin(&l, 1);
	l.data[0] = (struct vdma_buf){ .iova = 0x10001, .len = 7 };
	assert_int_equal(nvme_sgl_build(&l.list, 1, l.data, 1, &l.dptr), 1);
	assert_int_equal(nvme_sgl_build(&l.list, 4, l.data, 1, &l.dptr), -EINVAL);
	l.data[0] = (struct vdma_buf){ .iova = 0x10004, .len = 7 };
	assert_int_equal(nvme_sgl_build(&l.list, 4, l.data, 1, &l.dptr), -EINVAL);
	l.data[0] = (struct vdma_buf){ .iova = 0x10004, .len = 0 };
	assert_int_equal(nvme_sgl_build(&l.list, 1, l.data, 1, &l.dptr), -EINVAL);
	l.data[0].len = (size_t)1 << 32;
	assert_int_equal(nvme_sgl_build(&l.list, 1, l.data, 1, &l.dptr), -EINVAL);
	/* Neighbours that together are longer than a descriptor can tell stay two. */
	l.n = 2;
	l.data[0].len = 0xffffffff;
	l.data[1] = (struct vdma_buf){ .iova = 0x10004 + UINT64_C(0xffffffff), .len = 9 };
	l.len = l.data[0].len + l.data[1].len;
	assert_int_equal(nvme_sgl_build(&l.list, 1, l.data, 2, &l.dptr), 2);
	assert_int_equal(walk_sgl(&l), 2);
	list_end(&l, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prp_random),  cmocka_unit_test(prp_edges),
		cmocka_unit_test(prp_refused), cmocka_unit_test(sgl_random),
		cmocka_unit_test(sgl_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
