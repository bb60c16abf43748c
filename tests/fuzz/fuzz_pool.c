// SPDX-License-Identifier: BSD-3-Clause
/*
 * Pools by what the input says: handles come and go, buffers are got and put by any of them,
 * one by one and many at once, the pool grows, calls and allocations fail, and in the checking
 * mode numbers are put that must be refused. A table has what is out; after each step the
 * pool counts the same.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <vdma.h>

#include "../unit/fake.h"
#include "input.h"

#define HANDLES 4
#define MOST 600
#define GIB ((size_t)1 << 30)

static struct input in;
static struct vdma_pool *pool;
static struct vdma_pool_handle *handles[HANDLES];
static uint32_t out[MOST], nout;
static bool checks;

static bool is_out(uint32_t number)
{
	for (uint32_t i = 0; i < nout; i++)
		if (out[i] == number)
			return true;
	return false;
}

/* Nobody has it, and its addresses are its own. */
static void got(uint32_t number)
{
	for (uint32_t i = 0; i < nout; i++)
		MUST(VDMA_POOL_INDEX(out[i]) != VDMA_POOL_INDEX(number));
	MUST(vdma_pool_number(pool, vdma_pool_va(pool, number)) == number);
	MUST(vdma_pool_buf(pool, number).iova == vdma_pool_iova(pool, number));
	*(uint32_t *)vdma_pool_va(pool, number) = number;
	*(uint32_t *)vdma_pool_private(pool, number) = number;
	out[nout++] = number;
}

static void get(struct vdma_pool_handle *handle, uint32_t want)
{
	uint32_t numbers[256], n;

	if (want == 1)
		n = (numbers[0] = vdma_pool_get(handle)) != VDMA_POOL_NONE;
	else
		n = vdma_pool_get_bulk(handle, numbers, want);
	MUST(n <= want && nout + n <= MOST);
	for (uint32_t i = 0; i < n; i++)
		got(numbers[i]);
	if (n < want)
		MUST(vdma_last_failure()->err < 0);
}

static void put(struct vdma_pool_handle *handle, uint32_t n)
{
	uint32_t from = take(&in);

	if (n > nout)
		n = nout;
	if (!n)
		return;
	from %= nout - n + 1;
	for (uint32_t i = from; i < from + n; i++) {
		MUST(*(uint32_t *)vdma_pool_va(pool, out[i]) == out[i]);
		MUST(*(uint32_t *)vdma_pool_private(pool, out[i]) == out[i]);
	}
	MUST(!(n == 1 ? vdma_pool_put(handle, out[from]) :
			vdma_pool_put_bulk(handle, out + from, n)));
	nout -= n;
	memmove(out + from, out + from + n, (nout - from) * sizeof(*out));
}

static void put_wrong(struct vdma_pool_handle *handle)
{
	uint32_t number = (uint32_t)take_edge(&in) ^ (nout ? out[0] : 0);

	if (checks && !is_out(number))
		MUST(vdma_pool_put(handle, number) == -EINVAL);
}

static void handle_goes(unsigned int i)
{
	MUST(!vdma_pool_handle_destroy(handles[i]));
	handles[i] = NULL;
}

static void count(void)
{
	struct vdma_pool_info info = { .size = sizeof(info) };

	MUST(!vdma_pool_query(pool, &info));
	MUST(info.out == nout);
	MUST(info.free + info.inboxes + info.cached + info.out == info.buffers);
	MUST(info.buffers <= info.max);
}

/* The next call or allocation that is made, and comes to it, fails. */
static void inject(void)
{
	if (take_below(&in, 2)) {
		fake.fail_at = fake.calls + 1 + take_below(&in, 16);
		fake.fail_err = ENOMEM;
	} else {
		fake_fail_alloc(1 + take_below(&in, 4));
	}
}

static void calm(void)
{
	fake.fail_at = 0;
	fake_fail_alloc(0);
}

static void step(void)
{
	uint8_t op = take(&in);
	unsigned int i = op % HANDLES;

	if (!handles[i]) {
		if (vdma_pool_handle_create(pool, &handles[i])) {
			MUST(vdma_last_failure()->err < 0);
			calm();
		}
		return;
	}
	switch (op / HANDLES % 16) {
	case 0: handle_goes(i); break;
	case 1: MUST(!vdma_pool_flush(handles[i])); break;
	case 2: vdma_pool_grow(pool); break;
	case 3: inject(); break;
	case 4: put_wrong(handles[i]); break;
	case 5:
	case 6: get(handles[i], 1); break;
	case 7:
	case 8: put(handles[i], 1); break;
	case 9:
	case 10:
	case 11: get(handles[i], take(&in)); break;
	default: put(handles[i], take(&in));
	}
}

static bool begin(struct vdma_arena *arena)
{
	const struct vdma_region_opts anon = { .size = sizeof(anon),
					       .provider = VDMA_PROVIDER_ANON };
	uint32_t first = 1 + 2 * (uint32_t)take(&in);
	struct vdma_pool_opts opts = {
		.size = sizeof(opts),
		.max = first + take_below(&in, MOST - 512),
		.grow = take(&in),
		.align = (uint32_t)take_power(&in, 12),
		.private_len = 4 + take_below(&in, 16),
		.cache = take(&in) * 2U,
		.low = take(&in),
		.region = &anon,
	};
	uint8_t flags = take(&in);
	size_t len = 4 + take(&in) * 8U;

	checks = flags & VDMA_POOL_CHECK;
	opts.flags = flags & 7;
	if (vdma_pool_create(arena, len, first, &opts, &pool)) {
		MUST((opts.align && opts.align < 64) || flags & 4);
		return false;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct vdma_arena_opts opts = { .size = sizeof(opts), .window = 4 * GIB };
	size_t allocations = fake_allocations();
	struct vdma_arena *arena;

	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	fake_reset();
	fake.lazy = true;
	in = (struct input){ data, size };
	nout = 0;
	MUST(!vdma_arena_create(&opts, &arena));
	if (begin(arena)) {
		while (in.left) {
			step();
			count();
		}
		calm();
		if (nout)
			MUST(vdma_pool_destroy(pool) == -EBUSY);
		for (unsigned int i = 0; i < HANDLES; i++)
			if (handles[i])
				handle_goes(i);
		MUST(!vdma_pool_handle_create(pool, &handles[0]));
		MUST(!vdma_pool_put_bulk(handles[0], out, nout));
		handle_goes(0);
		MUST(!vdma_pool_destroy(pool));
	}
	calm();
	MUST(!vdma_arena_destroy(arena));
	MUST(!fake_mapped() && !fake_open_files());
	MUST(fake_allocations() == allocations);
	return 0;
}
