// SPDX-License-Identifier: BSD-3-Clause
/*
 * Pools: their chunks, and the store of numbers that no handle has.
 */
#include "pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "explain.h"
#include "opts.h"
#include "poison.h"
#include "region.h"
#include "sys.h"

#define MAX_LEN ((size_t)1 << 30)
#define MAX_INDEXES (UINT32_C(1) << 24)
#define MAX_CACHE 65536
#define DEFAULT_CACHE 2048
#define LINE 64

int vdma_pool_fail_forked(void)
{
	return vdma_fail(VDMA_CAUSE_FORKED, NULL,
			 "This process was forked from the one that made the pool, with which its "
			 "memory has stayed. Create an arena and a pool in this process.");
}

int vdma_pool_check(const struct vdma_pool *pool)
{
	if (!pool)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "The pool is NULL.");
	return *pool->ours ? 0 : vdma_pool_fail_forked();
}

int vdma_pool_fail_foreign(uint32_t number)
{
	return vdma_fail(VDMA_CAUSE_ARGUMENT, &(struct vdma_facts){ .need = number },
			 "0x%x is the number of no buffer of this pool: it is another pool's, or was "
			 "overwritten.",
			 number);
}

/*
 * Not from malloc(), which clears what somebody had before, and so would use all of
 * it; most is never written.
 */
int vdma_pool_table(size_t len, void **table)
{
	int err = vdma_sys_mmap(NULL, len, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0, table);

	return err ? vdma_fail_malloc(len) : 0;
}

void vdma_pool_table_free(void *table, size_t len)
{
	if (table)
		vdma_sys_munmap(table, len);
}

/* The store: a line that says whose it is, then the numbers. A child finds it empty. */
static size_t store_len(const struct vdma_pool *pool)
{
	return LINE + pool->opts.max * sizeof(*pool->store);
}

static int create_store(struct vdma_pool *pool)
{
	void *table;
	int err = vdma_pool_table(store_len(pool), &table);

	if (err)
		return err;
	err = vdma_sys_madvise(table, store_len(pool), MADV_WIPEONFORK);
	if (err) {
		vdma_pool_table_free(table, store_len(pool));
		return vdma_fail_sys(err, "MADV_WIPEONFORK");
	}
	pool->ours = table;
	*pool->ours = 1;
	pool->store = (uint32_t *)(void *)((char *)table + LINE);
	return 0;
}

uint32_t vdma_pool_take(struct vdma_pool *pool, uint32_t *numbers, uint32_t count, bool *low)
{
	pthread_mutex_lock(&pool->lock);
	if (count > pool->nfree)
		count = pool->nfree;
	pool->nfree -= count;
	memcpy(numbers, pool->store + pool->nfree, count * sizeof(*numbers));
	if (pool->nfree < pool->least)
		pool->least = pool->nfree;
	if (pool->nfree < pool->opts.low && !pool->is_low) {
		pool->is_low = true;
		pool->lows++;
		*low = pool->opts.on_low;
	}
	pthread_mutex_unlock(&pool->lock);
	return count;
}

int vdma_pool_give_locked(struct vdma_pool *pool, const uint32_t *numbers, uint32_t count)
{
	uint32_t fit = pool->buffers - pool->nfree, over = 0;

	if (count > fit) {
		over = count - fit;
		count = fit;
	}
	memcpy(pool->store + pool->nfree, numbers, count * sizeof(*numbers));
	pool->nfree += count;
	if (pool->nfree >= pool->opts.low)
		pool->is_low = false;
	pool->double_puts += over;
	if (!over)
		return 0;
	return vdma_fail(VDMA_CAUSE_ARGUMENT,
			 &(struct vdma_facts){ .need = over, .limit = pool->buffers },
			 "More numbers were put, by %u, than the pool has buffers, %u: some were put "
			 "twice. Make the pool with VDMA_POOL_CHECK to find out where.",
			 over, pool->buffers);
}

int vdma_pool_give(struct vdma_pool *pool, const uint32_t *numbers, uint32_t count)
{
	int err;

	pthread_mutex_lock(&pool->lock);
	err = vdma_pool_give_locked(pool, numbers, count);
	pthread_mutex_unlock(&pool->lock);
	return err;
}

/* Numbers from the first one on are got first. */
static void add_numbers(struct vdma_pool *pool, uint32_t c, uint32_t count)
{
	uint32_t first = c << pool->layout.shift, i;

	pthread_mutex_lock(&pool->lock);
	__atomic_store_n(&pool->layout.nchunks, c + 1, __ATOMIC_RELEASE);
	pool->buffers += count;
	for (i = count; i-- > 0;)
		pool->store[pool->nfree++] =
			(first + i) | (pool->marks ? (uint32_t)pool->marks[first + i] << 24 : 0);
	if (pool->nfree >= pool->opts.low)
		pool->is_low = false;
	pthread_mutex_unlock(&pool->lock);
}

/* With the grow_lock held. */
static int add_chunk(struct vdma_pool *pool)
{
	uint32_t c = pool->layout.nchunks, first = c << pool->layout.shift;
	uint32_t count = c ? pool->opts.grow : pool->count, left = pool->opts.max - pool->buffers;
	size_t stride = pool->layout.stride, priv = pool->layout.priv_stride;
	struct vdma_region *region;
	struct vdma_buf buf;
	char *privs;
	int err;

	if (count > left)
		count = left;
	if (!count)
		return vdma_fail(VDMA_CAUSE_TOO_MANY,
				 &(struct vdma_facts){ .need = pool->buffers + 1,
						       .limit = pool->opts.max,
						       .used = pool->buffers },
				 "The pool has all of the %u buffers that it may have. Make it with a "
				 "larger max.",
				 pool->opts.max);
	privs = calloc(1, count * priv + LINE);
	if (!privs)
		return vdma_fail_malloc(count * priv + LINE);
	err = vdma_region_make(pool->arena, count * stride, &pool->region_opts, false, pool->maker,
			       &region);
	if (err) {
		free(privs);
		return err;
	}
	buf = vdma_region_buf(region);
	pool->regions[c] = region;
	pool->privs[c] = privs;
	privs += -(uintptr_t)privs % LINE;
	pool->chunks[c] = (struct vdma_pool_chunk){
		.va = (uintptr_t)buf.va - first * stride,
		.iova = buf.iova - first * stride,
		.priv = (uintptr_t)privs - first * priv,
		.count = count,
	};
	if (pool->marks)
		vdma_pool_checks_chunk(pool, c);
	add_numbers(pool, c, count);
	return 0;
}

uint32_t vdma_pool_take_grown(struct vdma_pool *pool, uint32_t *numbers, uint32_t count, bool *low)
{
	uint32_t n = 0;
	int err = 0;

	if (pool->opts.flags & VDMA_POOL_GROW_BY_HAND || pool->opts.max == pool->count) {
		vdma_fail(VDMA_CAUSE_TOO_MANY,
			  &(struct vdma_facts){ .need = count, .limit = pool->opts.max },
			  "No buffer of the pool is left: all are out, or with other handles. Make it "
			  "with more, or call vdma_pool_grow() if it may have more.");
		return 0;
	}
	pthread_mutex_lock(&pool->grow_lock);
	/* Another thread may have been faster, to add buffers or to take those that were added. */
	while (!(n = vdma_pool_take(pool, numbers, count, low)) && !err)
		err = !pool->grow_failed ?
			      add_chunk(pool) :
			      vdma_fail(VDMA_CAUSE_NO_MEMORY,
					&(struct vdma_facts){ .need = count,
							      .limit = pool->opts.max },
					"No buffer of the pool is left, and when it was to grow it "
					"could not. Call vdma_pool_grow(), which tries again, and "
					"tells the reason.");
	if (err && vdma_last_failure()->cause != VDMA_CAUSE_TOO_MANY)
		pool->grow_failed = true;
	pthread_mutex_unlock(&pool->grow_lock);
	return n;
}

int vdma_pool_grow(struct vdma_pool *pool)
{
	int err = vdma_pool_check(pool);

	if (err)
		return err;
	pthread_mutex_lock(&pool->grow_lock);
	err = add_chunk(pool);
	pool->grow_failed = err;
	pthread_mutex_unlock(&pool->grow_lock);
	return err;
}

static uint32_t log2_up(uint32_t n)
{
	return n < 2 ? 0 : 32 - (uint32_t)__builtin_clz(n - 1);
}

static int fail_opts(size_t len, uint32_t count, const struct vdma_pool_opts *o)
{
	return vdma_fail(
		VDMA_CAUSE_ARGUMENT, &(struct vdma_facts){ .need = count, .limit = o->max },
		"There is no pool of %u to %u buffers of %zu bytes, in steps of %u, aligned to "
		"%u, with private areas of %u, a cache of %u and flags 0x%x: it has 1 to 2^24 - "
		"1 buffers, max is 0 or at least what it begins with, a buffer has 1 byte to 1 "
		"GiB, alignment is a power of two from 64 to 4096, private areas have less than "
		"64 KiB, the cache has 2 to 65536 numbers.",
		count, o->max, len, o->grow, o->align, o->private_len, o->cache, o->flags);
}

/* What is 0 becomes what it stands for. */
static int complete(size_t len, uint32_t count, struct vdma_pool_opts *o)
{
	if (!o->max)
		o->max = count;
	if (!o->grow)
		o->grow = count;
	if (!o->align)
		o->align = LINE;
	if (!o->cache)
		o->cache = count / 8 < 2	     ? 2 :
			   count / 8 < DEFAULT_CACHE ? count / 8 :
						       DEFAULT_CACHE;
	if (!count || o->max < count || o->max >= MAX_INDEXES || !len || len > MAX_LEN ||
	    o->align & (o->align - 1) || o->align < LINE || o->align > 4096 ||
	    o->private_len >= 65536 || o->cache < 2 || o->cache > MAX_CACHE ||
	    o->flags & ~(VDMA_POOL_CHECK | VDMA_POOL_GROW_BY_HAND))
		return fail_opts(len, count, o);
	return 0;
}

/* Chunks have a power of two of indexes each, so that an index tells its chunk. */
static int lay_out(struct vdma_pool *pool)
{
	const struct vdma_pool_opts *o = &pool->opts;
	uint32_t more = o->max - pool->count, grow = o->grow < more ? o->grow : more;
	uint64_t chunks = 1 + (more ? (more - 1) / o->grow + 1 : 0);

	pool->layout.shift = log2_up(pool->count > grow ? pool->count : grow);
	pool->layout.stride = (uint32_t)((pool->len + o->align - 1) & ~(size_t)(o->align - 1));
	pool->layout.priv_stride = (o->private_len + 7) & ~7U;
	if (chunks << pool->layout.shift > MAX_INDEXES)
		return vdma_fail(VDMA_CAUSE_ARGUMENT,
				 &(struct vdma_facts){ .need = chunks << pool->layout.shift,
						       .limit = MAX_INDEXES },
				 "A pool of %u buffers that grows by %u to %u takes more than 2^24 "
				 "numbers, because each chunk takes 2^%u. Let it begin with about as "
				 "many as it grows by, or with fewer.",
				 pool->count, o->grow, o->max, pool->layout.shift);
	pool->max_chunks = (uint32_t)chunks;
	pool->indexes = pool->max_chunks << pool->layout.shift;
	return 0;
}

static void free_pool(struct vdma_pool *pool)
{
	size_t inbox_len = pool->opts.max * sizeof(uint32_t);

	for (uint32_t i = 0; i < pool->nports; i++) {
		vdma_pool_table_free(pool->ports[i]->inbox, inbox_len);
		free(pool->ports[i]);
	}
	vdma_pool_checks_destroy(pool);
	vdma_pool_table_free(pool->owners, pool->indexes * sizeof(*pool->owners));
	vdma_pool_table_free((void *)(uintptr_t)pool->ours, store_len(pool));
	free(pool->chunks);
	free(pool->regions);
	free(pool->privs);
	free(pool);
}

void vdma_pool_init_lock(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(lock, &attr);
	pthread_mutexattr_destroy(&attr);
}

static int build(struct vdma_pool *pool)
{
	size_t n = pool->max_chunks;
	void *owners;
	int err;

	pthread_mutex_init(&pool->grow_lock, NULL);
	vdma_pool_init_lock(&pool->lock);
	pool->least = pool->count;
	pool->chunks = calloc(n, sizeof(*pool->chunks));
	pool->regions = calloc(n, sizeof(*pool->regions));
	pool->privs = calloc(n, sizeof(*pool->privs));
	if (!pool->chunks || !pool->regions || !pool->privs)
		return vdma_fail_malloc(n * sizeof(*pool->chunks));
	pool->layout.chunks = pool->chunks;
	err = create_store(pool);
	if (!err)
		err = vdma_pool_table(pool->indexes * sizeof(*pool->owners), &owners);
	if (err)
		return err;
	pool->owners = owners;
	if (pool->opts.flags & VDMA_POOL_CHECK)
		err = vdma_pool_checks_create(pool);
	if (!err)
		err = add_chunk(pool);
	return err;
}

int vdma_pool_create(struct vdma_arena *arena, size_t len, uint32_t count,
		     const struct vdma_pool_opts *opts, struct vdma_pool **out)
{
	struct vdma_pool *pool;
	int err;

	if (!arena || !out)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "An argument is NULL.");
	pool = calloc(1, sizeof(*pool));
	if (!pool)
		return vdma_fail_malloc(sizeof(*pool));
	pool->arena = arena;
	pool->maker = __builtin_return_address(0);
	pool->len = len;
	pool->count = count;
	err = vdma_opts_get(&pool->opts, sizeof(pool->opts), opts, sizeof(pool->opts));
	if (!err)
		err = vdma_opts_get(&pool->region_opts, sizeof(pool->region_opts),
				    pool->opts.region, sizeof(size_t));
	pool->region_opts.size = sizeof(pool->region_opts);
	if (!pool->opts.region)
		pool->region_opts.provider = VDMA_PROVIDER_AUTO;
	if (!err)
		err = complete(len, count, &pool->opts);
	if (!err)
		err = lay_out(pool);
	if (!err)
		err = build(pool);
	if (err) {
		free_pool(pool);
		return err;
	}
	*out = pool;
	return 0;
}

static int fail_busy(struct vdma_pool *pool, uint32_t out)
{
	uint32_t index = 0;
	struct vdma_site_words first = vdma_pool_first_out(pool, &index);
	struct vdma_facts facts = { .used = out, .limit = pool->buffers };

	if (pool->nhandles)
		return vdma_fail(
			VDMA_CAUSE_CHILDREN, &(struct vdma_facts){ .used = pool->nhandles },
			"The pool has %u handles, and %u buffers are out or with them. Destroy "
			"the handles first.",
			pool->nhandles, out);
	if (*first.s)
		return vdma_fail(
			VDMA_CAUSE_CHILDREN, &facts,
			"%u of the pool's %u buffers are out. The first, with index %u, was got%s. "
			"Put them first.",
			out, pool->buffers, index, first.s);
	return vdma_fail(
		VDMA_CAUSE_CHILDREN, &facts,
		"%u of the pool's %u buffers are out. Put them first; a pool that is made with "
		"VDMA_POOL_CHECK tells where they were got.",
		out, pool->buffers);
}

int vdma_pool_destroy(struct vdma_pool *pool)
{
	const void *pc = __builtin_return_address(0);
	uint32_t c;
	int err;

	if (!pool)
		return 0;
	err = vdma_pool_check(pool);
	if (err)
		return err;
	/* Without handles there is nothing in an inbox. */
	if (pool->nhandles || pool->nfree < pool->buffers)
		return fail_busy(pool, pool->buffers - pool->nfree);
	while (pool->layout.nchunks) {
		struct vdma_buf buf;

		c = pool->layout.nchunks - 1;
		buf = vdma_region_buf(pool->regions[c]);
		if (pool->marks)
			vdma_unpoison(buf.va, buf.len);
		pool->regions[c]->freer = pc;
		err = vdma_region_destroy(pool->regions[c]);
		if (err)
			return err;
		free(pool->privs[c]);
		pool->layout.nchunks = c;
	}
	free_pool(pool);
	return 0;
}

struct vdma_buf vdma_pool_buf(const struct vdma_pool *pool, uint32_t number)
{
	uint32_t i = VDMA_POOL_INDEX(number), c = i >> pool->layout.shift;
	vdma_pa_t pa = vdma_region_buf(pool->regions[c]).pa;

	if (pa != VDMA_PA_NONE)
		pa += (uint64_t)(i - (c << pool->layout.shift)) * pool->layout.stride;
	return (struct vdma_buf){
		.va = vdma_pool_va(pool, number),
		.len = pool->len,
		.iova = vdma_pool_iova(pool, number),
		.pa = pa,
	};
}

static uint64_t look(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* Numbers move on meanwhile, so all of them may seem to be somewhere twice. */
static void count_ports(struct vdma_pool *pool, struct vdma_pool_info *info)
{
	uint32_t out = pool->buffers - pool->nfree, i;

	for (i = 0; i < pool->nports; i++) {
		const struct vdma_pool_port *port = pool->ports[i];

		info->inboxes += __atomic_load_n(&port->n, __ATOMIC_RELAXED);
		if (port->handle)
			info->cached += __atomic_load_n(&port->handle->n, __ATOMIC_RELAXED);
		info->refills += look(&port->refills);
		info->spills += look(&port->spills);
		info->returned += look(&port->returned);
		info->scavenged += look(&port->scavenged);
		info->exhausted += look(&port->exhausted);
	}
	info->out = out > info->inboxes + info->cached ? out - info->inboxes - info->cached : 0;
}

int vdma_pool_query(struct vdma_pool *pool, struct vdma_pool_info *info)
{
	struct vdma_pool_info ours = { 0 };
	int err = vdma_info_check(info, sizeof(*info));

	if (!err)
		err = vdma_pool_check(pool);
	if (err)
		return err;
	pthread_mutex_lock(&pool->lock);
	ours.buffers = pool->buffers;
	ours.max = pool->opts.max;
	ours.stride = pool->layout.stride;
	ours.chunks = pool->layout.nchunks;
	for (uint32_t c = 0; c < ours.chunks; c++)
		ours.bytes += vdma_region_buf(pool->regions[c]).len;
	ours.handles = pool->nhandles;
	ours.free = pool->nfree;
	ours.least = pool->least;
	ours.lows = pool->lows;
	ours.double_puts = pool->double_puts;
	ours.foreign_puts = pool->foreign_puts;
	count_ports(pool, &ours);
	pthread_mutex_unlock(&pool->lock);
	vdma_info_put(info, &ours, sizeof(ours));
	return 0;
}
