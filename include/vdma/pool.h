/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pools: buffers of one size, for packets and commands, that come and go all the
 * time. A pool takes regions from an arena, chunks, and cuts each into buffers. What
 * goes round is a buffer's number, 32 bits: its addresses follow by arithmetic, and
 * a ring of descriptors needs to keep no more.
 *
 *	vdma_pool_create(arena, 2048, 8192, NULL, &pool);
 *
 *	in each thread:
 *	vdma_pool_handle_create(pool, &handle);
 *	...
 *	number = vdma_pool_get(handle);
 *	if (number != VDMA_POOL_NONE) {
 *		descriptor->addr = vdma_pool_iova(pool, number);
 *		mine[tail] = number;
 *	}
 *	...
 *	packet = vdma_pool_va(pool, mine[head]);
 *	...
 *	vdma_pool_put(handle, mine[head]);
 *	...
 *	vdma_pool_handle_destroy(handle);
 *
 * A handle is for one thread at a time. It holds a stack of numbers, so that get and
 * put are a few instructions, and touch neither the buffer nor anything that other
 * threads write. Any thread may put, by its own handle, what another has got:
 *
 *	get <-- stack <--------- inbox <--------- stack <-- put
 *	            ^ \                            /
 *	             \ `------>  store  <---------'      store <-- chunks
 *	              `------------'
 *
 * Whoever takes a number out of the store owns it. A stack that is full passes the
 * upper 256 on: if 128 or more are of one owner these to that one's inbox at once, the
 * thread's own and what is left to the store. A stack that is empty is filled from its inbox, else
 * from the store, else from what lies in others' inboxes, else the pool grows. So a
 * handle may hold up to opts.cache numbers that others miss: vdma_pool_flush()
 * before a thread rests, and a pool that is larger than what is needed by opts.cache
 * for each handle.
 *
 * All that the library keeps of buffers is outside of them, where no device can write;
 * so is each buffer's private area, which is the program's.
 *
 * In a child process get finds nothing, and put and all other calls fail with ECHILD,
 * but for those that only compute: addresses and numbers.
 */
#ifndef VDMA_POOL_H
#define VDMA_POOL_H

#include <vdma/arena.h>
#include <vdma/region.h>
#include <vdma/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Buffers of one size, and what is known of them. */
struct vdma_pool;

/* No buffer. */
#define VDMA_POOL_NONE UINT32_MAX

/*
 * The lower 24 bits of a number are the buffer's index: below 2^24, and the same
 * for as long as the pool lives, so a program may have tables of its own by it. The
 * upper 8 bits are 0, but in the checking mode change each time the buffer is put.
 */
#define VDMA_POOL_INDEX(number) ((uint32_t)(number)&0xffffffU)

/* At most so many handles of a pool at a time. */
#define VDMA_POOL_HANDLES 1024

/*
 * The checking mode, for tests and for the search for errors: a number that is put
 * twice, or is not of this pool, is refused and told of. A mark of 8 bits tells them: what
 * was put 255 times since, or is of another pool, with an index and a mark that is out
 * here, passes for good. Every get and put takes the pool's lock then, and keeps no number
 * with the handle. AddressSanitizer and Valgrind know which buffers are out, and tell of
 * others.
 */
#define VDMA_POOL_CHECK (1U << 0)

/* A get never grows the pool, and so makes no system call; only vdma_pool_grow() does. */
#define VDMA_POOL_GROW_BY_HAND (1U << 1)

/* Called when the store has become low, see struct vdma_pool_opts. */
typedef void vdma_pool_low_fn(struct vdma_pool *pool, void *ctx);

/**
 * struct vdma_pool_opts - how a pool is made
 * @size: sizeof(struct vdma_pool_opts)
 * @max: buffers that it may grow to, below 2^24; 0: it does not grow
 * @grow: buffers in each further chunk; 0: as many as in the first
 * @align: of every buffer's addresses, a power of two from 64 to 4096; 0 for 64
 * @private_len: bytes of each buffer's private area, rounded up to 8; 0: none
 * @cache: numbers that a handle holds at most, 2 to 65536; 0: an eighth of the first
 *         chunk, at most 2048. Below 512, stacks pass on a half of that, and inboxes
 *         get a quarter and more.
 * @flags: VDMA_POOL_CHECK, VDMA_POOL_GROW_BY_HAND
 * @low: @on_low is called when fewer than so many numbers are left in the store, and
 *       not again before it had so many; 0: never
 * @on_low: called in the thread that took them, within its get, without a lock: it may
 *          tell another thread to call vdma_pool_grow(), or do so itself
 * @ctx: what @on_low gets
 * @region: how chunks are made, NULL: by VDMA_PROVIDER_AUTO. Copied, but not what it
 *          points to, which has to stay while the pool may grow.
 */
struct vdma_pool_opts {
	size_t size;
	uint32_t max;
	uint32_t grow;
	uint32_t align;
	uint32_t private_len;
	uint32_t cache;
	uint32_t flags;
	uint32_t low;
	vdma_pool_low_fn *on_low;
	void *ctx;
	const struct vdma_region_opts *region;
};

/**
 * struct vdma_pool_info - what a pool has, and has done
 * @size: in: sizeof(struct vdma_pool_info)
 * @buffers: in all chunks
 * @max: that it may grow to
 * @stride: bytes from one buffer to the next
 * @chunks: regions that it is made of
 * @bytes: their size
 * @handles: that there are
 * @free: numbers in the store
 * @inboxes: numbers in inboxes
 * @cached: numbers that handles hold
 * @out: buffers that the program has; exact if no thread gets or puts meanwhile
 * @least: the fewest numbers that were in the store since the pool was created
 * @refills: times that an empty stack was filled
 * @spills: times that a full stack passed numbers on
 * @returned: numbers that were passed on to an owner's inbox
 * @scavenged: numbers that were taken out of another handle's inbox
 * @exhausted: gets that found too little
 * @lows: times that the store has become low
 * @double_puts: puts that were refused because the buffer was free; without the
 *               checking mode, numbers that were more than the pool has
 * @foreign_puts: puts that were refused because the number is not of this pool
 */
struct vdma_pool_info {
	size_t size;
	uint32_t buffers;
	uint32_t max;
	uint32_t stride;
	uint32_t chunks;
	uint64_t bytes;
	uint32_t handles;
	uint32_t free;
	uint32_t inboxes;
	uint32_t cached;
	uint32_t out;
	uint32_t least;
	uint64_t refills;
	uint64_t spills;
	uint64_t returned;
	uint64_t scavenged;
	uint64_t exhausted;
	uint64_t lows;
	uint64_t double_puts;
	uint64_t foreign_puts;
};

/**
 * struct vdma_pool_chunk - where buffers lie
 * @va: virtual address of the buffer with index 0, as if it lay in this chunk
 * @iova: its device address, as if
 * @priv: address of its private area, as if
 * @count: buffers in this chunk
 */
struct vdma_pool_chunk {
	uintptr_t va;
	uint64_t iova;
	uintptr_t priv;
	uint64_t count;
};

/**
 * struct vdma_pool_layout - from numbers to addresses
 * @chunks: of them; buffer i lies in chunk i >> @shift
 * @shift: log2 of the indexes that each chunk has, used or not
 * @stride: bytes from one buffer to the next
 * @priv_stride: bytes from one private area to the next
 * @nchunks: chunks that there are
 * @marks: NULL, but in the checking mode: bits 24 to 31 of each index's number
 *
 * Every pool begins with this struct, which is what the inline functions below stand
 * on. It is constant but for @nchunks and @marks; what lies in @chunks is, too.
 */
struct vdma_pool_layout {
	const struct vdma_pool_chunk *chunks;
	uint32_t shift;
	uint32_t stride;
	uint32_t priv_stride;
	uint32_t nchunks;
	const uint8_t *marks;
};

/**
 * struct vdma_pool_handle - a thread's access to a pool
 * @n: numbers in the stack, which lies behind this struct
 * @limit: its room
 * @pool: the pool
 * @port: what others know of this handle
 * @line: nothing: the stack begins with a cache line
 *
 * Made and freed by the library; for the inline functions below.
 */
struct vdma_pool_handle {
	uint32_t n;
	uint32_t limit;
	struct vdma_pool *pool;
	struct vdma_pool_port *port;
	uint64_t line[5];
};

/* The stack of a handle. */
#define VDMA_POOL_STACK(handle) ((uint32_t *)(void *)((handle) + 1))

/**
 * vdma_pool_create() - make a pool
 * @arena: where its chunks lie
 * @len: bytes of a buffer, 1 to 1 GiB
 * @count: buffers in the first chunk, at least 1, below 2^24
 * @opts: NULL for defaults
 * @pool: out: owned by the caller, vdma_pool_destroy() gives it back
 *
 * Return: 0, -EINVAL, -E2BIG, -ENOMEM, and what vdma_region_create() returns.
 * Thread-safe.
 */
VDMA_API int vdma_pool_create(struct vdma_arena *arena, size_t len, uint32_t count,
			      const struct vdma_pool_opts *opts, struct vdma_pool **pool);

/**
 * vdma_pool_destroy() - give a pool's memory back
 * @pool: NULL is allowed; no device may use it
 *
 * Return: 0; -EBUSY while it has handles, or buffers are out: vdma_explain() tells how
 * many, and in the checking mode from where the first was taken; -ECHILD; -EIO or
 * -ENOMEM if a chunk could not be unmapped: then this call can be repeated, and no
 * other made. No other thread may use the pool meanwhile.
 */
VDMA_API int vdma_pool_destroy(struct vdma_pool *pool);

/**
 * vdma_pool_grow() - add a chunk
 * @pool: the pool
 *
 * Other threads' gets and puts go on meanwhile. A get that could not grow the pool is
 * the last that tries, until this call has.
 *
 * Return: 0; -EINVAL; -ENOSPC if the pool has opts.max buffers; -ECHILD; -ENOMEM, and
 * what vdma_region_create() returns. Thread-safe.
 */
VDMA_API int vdma_pool_grow(struct vdma_pool *pool);

/**
 * vdma_pool_query() - what a pool has, and has done
 * @pool: the pool
 * @info: in: its size, out: the rest
 *
 * Return: 0, -EINVAL, -ECHILD. Thread-safe.
 */
VDMA_API int vdma_pool_query(struct vdma_pool *pool, struct vdma_pool_info *info);

/**
 * vdma_pool_handle_create() - a thread's access to a pool
 * @pool: the pool
 * @handle: out: for one thread at a time, vdma_pool_handle_destroy() gives it back
 *
 * Return: 0, -EINVAL, -ECHILD, -ENOMEM, -ENOSPC (VDMA_POOL_HANDLES). Thread-safe.
 */
VDMA_API int vdma_pool_handle_create(struct vdma_pool *pool, struct vdma_pool_handle **handle);

/**
 * vdma_pool_handle_destroy() - give back a handle, and all numbers that it holds
 * @handle: NULL is allowed
 *
 * For a thread that ends; any thread may call it when that one uses the handle no
 * more. What it has got can be put by other handles, before or after.
 *
 * Return: 0; -ECHILD; -EINVAL if more numbers were put than the pool has: the handle
 * is gone then, too. Thread-safe, but nobody else may use @handle.
 */
VDMA_API int vdma_pool_handle_destroy(struct vdma_pool_handle *handle);

/**
 * vdma_pool_flush() - pass on all numbers that a handle holds, as before a rest
 * @handle: the thread's handle
 *
 * Return: 0; -ECHILD; -EINVAL without a handle, or if more numbers were put than the pool has.
 * Thread-safe, with a handle for each thread.
 */
VDMA_API int vdma_pool_flush(struct vdma_pool_handle *handle);

/**
 * vdma_pool_buf() - a buffer as a value, with its physical address
 * @pool: the pool
 * @number: of a buffer
 *
 * Return: the buffer, good until the number is put. Thread-safe, no lock.
 */
VDMA_API struct vdma_buf vdma_pool_buf(const struct vdma_pool *pool, uint32_t number);

/**
 * vdma_pool_get_more() - vdma_pool_get_bulk(), when the stack has too few
 * @handle: the thread's handle
 * @numbers: out: of buffers
 * @count: how many are wanted
 *
 * Return: how many there were. Thread-safe, with a handle for each thread.
 */
VDMA_API uint32_t vdma_pool_get_more(struct vdma_pool_handle *handle, uint32_t *numbers,
				     uint32_t count);

/**
 * vdma_pool_get_one_more() - vdma_pool_get(), when the stack is empty
 * @handle: the thread's handle
 *
 * Return: a number, or VDMA_POOL_NONE. Thread-safe, with a handle for each thread.
 */
VDMA_API uint32_t vdma_pool_get_one_more(struct vdma_pool_handle *handle);

/**
 * vdma_pool_put_more() - vdma_pool_put_bulk(), when the stack is full
 * @handle: the thread's handle
 * @numbers: of buffers
 * @count: how many
 *
 * Return: 0, -EINVAL, -ECHILD. Thread-safe, with a handle for each thread.
 */
VDMA_API int vdma_pool_put_more(struct vdma_pool_handle *handle, const uint32_t *numbers,
				uint32_t count);

/**
 * vdma_pool_put_one_more() - vdma_pool_put(), when the stack is full
 * @handle: the thread's handle
 * @number: of a buffer
 *
 * Return: 0, -EINVAL, -ECHILD. Thread-safe, with a handle for each thread.
 */
VDMA_API int vdma_pool_put_one_more(struct vdma_pool_handle *handle, uint32_t number);

/**
 * vdma_pool_get() - get a buffer
 * @handle: the thread's handle
 *
 * What is in the buffer and in its private area is what was left there; both are zero
 * when they are new.
 *
 * Return: its number; VDMA_POOL_NONE if there is no more, of which vdma_explain()
 * tells why. Thread-safe, with a handle for each thread.
 */
static inline uint32_t vdma_pool_get(struct vdma_pool_handle *handle)
{
	uint32_t n = handle->n;

	if (__builtin_expect(!n, 0))
		return vdma_pool_get_one_more(handle);
	/* vdma_pool_query() of another thread looks at it. */
	__atomic_store_n(&handle->n, n - 1, __ATOMIC_RELAXED);
	return VDMA_POOL_STACK(handle)[n - 1];
}

/**
 * vdma_pool_put() - give a buffer back
 * @handle: the thread's handle, be it this or another by which it was got
 * @number: of a buffer that is out; no device uses it any more
 *
 * Return: 0. -EINVAL in the checking mode, if that is no number of this pool, or the
 * buffer is not out; without it such a number is taken, and the same buffer will be
 * got twice, or memory corrupted, but if that makes more numbers than the pool has, it
 * may be found. -ECHILD. Thread-safe, with a handle for each thread.
 */
static inline int vdma_pool_put(struct vdma_pool_handle *handle, uint32_t number)
{
	uint32_t n = handle->n;

	if (__builtin_expect(n >= handle->limit, 0))
		return vdma_pool_put_one_more(handle, number);
	VDMA_POOL_STACK(handle)[n] = number;
	__atomic_store_n(&handle->n, n + 1, __ATOMIC_RELAXED);
	return 0;
}

/**
 * vdma_pool_get_bulk() - get many buffers
 * @handle: the thread's handle
 * @numbers: out: room for @count, as many as are returned are filled in
 * @count: how many are wanted
 *
 * Fastest if the compiler knows @count.
 *
 * Return: how many there were: @count, or fewer if there are no more, of which
 * vdma_explain() tells why. Thread-safe, with a handle for each thread.
 */
static inline uint32_t vdma_pool_get_bulk(struct vdma_pool_handle *handle, uint32_t *numbers,
					  uint32_t count)
{
	uint32_t n = handle->n;

	if (__builtin_expect(n < count, 0))
		return vdma_pool_get_more(handle, numbers, count);
	n -= count;
	__builtin_memcpy(numbers, VDMA_POOL_STACK(handle) + n, count * sizeof(*numbers));
	__atomic_store_n(&handle->n, n, __ATOMIC_RELAXED);
	return count;
}

/**
 * vdma_pool_put_bulk() - give many buffers back
 * @handle: the thread's handle
 * @numbers: of buffers that are out
 * @count: how many
 *
 * Return: 0; as vdma_pool_put(), of the first that was refused, and the others were
 * taken. Thread-safe, with a handle for each thread.
 */
static inline int vdma_pool_put_bulk(struct vdma_pool_handle *handle, const uint32_t *numbers,
				     uint32_t count)
{
	uint32_t n = handle->n;

	if (__builtin_expect(handle->limit - n < count, 0))
		return vdma_pool_put_more(handle, numbers, count);
	__builtin_memcpy(VDMA_POOL_STACK(handle) + n, numbers, count * sizeof(*numbers));
	__atomic_store_n(&handle->n, n + count, __ATOMIC_RELAXED);
	return 0;
}

/**
 * vdma_pool_va() - where the CPU finds a buffer
 * @pool: the pool
 * @number: of a buffer; nothing is checked
 *
 * Return: its virtual address. Thread-safe, no lock.
 */
static inline void *vdma_pool_va(const struct vdma_pool *pool, uint32_t number)
{
	const struct vdma_pool_layout *l = (const struct vdma_pool_layout *)(const void *)pool;
	uint32_t i = VDMA_POOL_INDEX(number);

	return (void *)(l->chunks[i >> l->shift].va + (uintptr_t)i * l->stride);
}

/**
 * vdma_pool_iova() - where devices find a buffer
 * @pool: the pool
 * @number: of a buffer; nothing is checked
 *
 * Return: its device address. Thread-safe, no lock.
 */
static inline vdma_iova_t vdma_pool_iova(const struct vdma_pool *pool, uint32_t number)
{
	const struct vdma_pool_layout *l = (const struct vdma_pool_layout *)(const void *)pool;
	uint32_t i = VDMA_POOL_INDEX(number);

	return l->chunks[i >> l->shift].iova + (uint64_t)i * l->stride;
}

/**
 * vdma_pool_private() - a buffer's private area
 * @pool: the pool, made with opts.private_len
 * @number: of a buffer; nothing is checked
 *
 * No device can reach it. What is in it stays when the buffer is put.
 *
 * Return: its address, a multiple of 8, and of 64 if opts.private_len is. Thread-safe, no
 * lock.
 */
static inline void *vdma_pool_private(const struct vdma_pool *pool, uint32_t number)
{
	const struct vdma_pool_layout *l = (const struct vdma_pool_layout *)(const void *)pool;
	uint32_t i = VDMA_POOL_INDEX(number);

	return (void *)(l->chunks[i >> l->shift].priv + (uintptr_t)i * l->priv_stride);
}

/**
 * vdma_pool_number() - the buffer that an address lies in
 * @pool: the pool
 * @va: any of its bytes
 *
 * It takes a division, and for a pool that has grown a look at the chunks.
 *
 * Return: its number; VDMA_POOL_NONE if it lies in no buffer of the pool. Thread-safe,
 * no lock.
 */
static inline uint32_t vdma_pool_number(const struct vdma_pool *pool, const void *va)
{
	const struct vdma_pool_layout *l = (const struct vdma_pool_layout *)(const void *)pool;
	uint32_t n = __atomic_load_n(&l->nchunks, __ATOMIC_ACQUIRE);

	for (uint32_t c = 0; c < n; c++) {
		uint64_t i = ((uintptr_t)va - l->chunks[c].va) / l->stride;

		if (i - ((uint64_t)c << l->shift) < l->chunks[c].count)
			return (uint32_t)i |
			       (l->marks ? (uint32_t)__atomic_load_n(&l->marks[i], __ATOMIC_RELAXED)
						   << 24 :
					   0);
	}
	return VDMA_POOL_NONE;
}

#ifdef __cplusplus
}
#endif

#endif
