/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A heap: memory of any size and alignment for devices, as malloc() has it for the
 * program; out of one arena, so that vdma_iova() tells the device address of any
 * byte of it.
 *
 *	struct vdma_heap *heap;
 *	struct command *cmd;
 *
 *	vdma_heap_create(arena, NULL, &heap);
 *	cmd = vdma_malloc(heap, sizeof(*cmd));
 *	if (!cmd)
 *		fprintf(stderr, "%s\n", vdma_explain());
 *	descriptor->addr = vdma_iova(arena, cmd);
 *	...
 *	vdma_free(heap, cmd);
 *
 * A heap is what its memory is: for devices with few address bits, or for memory
 * that has to be physically contiguous, there is a heap each. It takes memory from
 * the arena in large steps, as vdma_buf_alloc() gives it, and keeps what was freed,
 * so that a heap that is in use makes no system call; vdma_heap_trim() gives back
 * what can be. An object is contiguous for devices, and physically if its heap's
 * memory is (VDMA_CONTIG_REQUIRED).
 *
 * Objects of up to 64 KiB come out of a cache that each thread has of each heap, and
 * go back into it, without a lock; also those that another thread allocated. Nothing
 * that the heap believes lies in memory that it hands out: a device, or the program,
 * may write anywhere into its freed memory, and breaks nothing but its own data.
 *
 * A library of its own: link with -lvdma-heap as well (pkg-config vdma-heap, CMake
 * vdma::heap). It is there if libvdma was built where jemalloc is, of which it has a
 * copy of its own: the program's malloc() stays as it is. A program is linked with it,
 * or starts with it; dlopen() of it needs GLIBC_TUNABLES=glibc.rtld.optional_static_tls
 * of 4096. It is configured by nothing but what stands here: MALLOC_CONF and
 * /etc/malloc.conf are not for it.
 *
 * In a process it has a thread-specific key (pthread_key_create()), for what threads
 * leave when they end, and handlers for fork(). A child gets ECHILD from every call.
 */
#ifndef VDMA_HEAP_H
#define VDMA_HEAP_H

#include <vdma/arena.h>
#include <vdma/constraints.h>
#include <vdma/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Memory of an arena, out of which objects are cut. */
struct vdma_heap;

/*
 * Every object is remembered with where it came from: vdma_free() finds what is no
 * object, or no more, and vdma_heap_destroy() tells what was not freed. It takes a
 * lock, a call of malloc() and some 100 bytes for each. On in an arena that was made
 * with VDMA_ARENA_CHECK.
 */
#define VDMA_HEAP_CHECK (1U << 0)

/**
 * struct vdma_heap_opts - what a heap's memory is
 * @size: sizeof(struct vdma_heap_opts)
 * @grow: bytes that it takes from the arena at a time, at least, rounded up to 2 MiB;
 *        0: as much as it has, but 2 MiB at least and 64 MiB at most. If there is not
 *        as much, it takes what it needs.
 * @flags: VDMA_HEAP_CHECK
 * @constraints: of all of it, and so of each object; copied. NULL for none. Alignment
 *               and boundary are 0: the one is vdma_memalign()'s, and for the other
 *               there is vdma_buf_alloc(), since objects lie anywhere in the memory.
 */
struct vdma_heap_opts {
	size_t size;
	size_t grow;
	uint32_t flags;
	const struct vdma_constraints *constraints;
};

/**
 * struct vdma_heap_info - what a heap holds
 * @size: in: sizeof(struct vdma_heap_info)
 * @bytes: that it has from the arena
 * @chunks: in how many pieces
 * @objects: that live, and those in threads' caches but for the calling thread's
 * @object_bytes: of them, as vdma_usable_size() has it
 * @caches: threads that have a cache
 * @checks: 1 if it has VDMA_HEAP_CHECK
 */
struct vdma_heap_info {
	size_t size;
	uint64_t bytes;
	uint64_t chunks;
	uint64_t objects;
	uint64_t object_bytes;
	uint32_t caches;
	uint32_t checks;
};

/**
 * vdma_heap_create() - a heap in an arena
 * @arena: where its memory comes from
 * @opts: NULL for defaults
 * @heap: out: owned by the caller, vdma_heap_destroy() gives it back
 *
 * It takes no memory from the arena before it is asked for some.
 *
 * Return: 0, -EINVAL, -E2BIG, -ENOMEM, -EOPNOTSUPP (a jemalloc without what this
 * needs), -ENOSPC (more than about 4,000 heaps), -ECHILD. Thread-safe.
 */
VDMA_API int vdma_heap_create(struct vdma_arena *arena, const struct vdma_heap_opts *opts,
			      struct vdma_heap **heap);

/**
 * vdma_heap_destroy() - give all of a heap's memory back to the arena
 * @heap: NULL is allowed
 *
 * Return: 0; -EBUSY while an object lives; -ECHILD. No other thread may use the
 * heap meanwhile, but threads that used it may end.
 */
VDMA_API int vdma_heap_destroy(struct vdma_heap *heap);

/**
 * vdma_heap_trim() - give back memory that no object lies in
 * @heap: the heap
 *
 * Empties the calling thread's cache. What lies in others' caches counts as in use.
 *
 * Return: 0, -EINVAL, -ENOMEM (for the thread's cache, if it has none yet), -ECHILD.
 * Thread-safe.
 */
VDMA_API int vdma_heap_trim(struct vdma_heap *heap);

/**
 * vdma_heap_query() - what a heap holds
 * @heap: the heap
 * @info: in: its size, out: the rest
 *
 * Empties the calling thread's cache, so as to count without it.
 *
 * Return: 0, -EINVAL, -ENOMEM (for the thread's cache, if it has none yet), -ECHILD.
 * Thread-safe.
 */
VDMA_API int vdma_heap_query(struct vdma_heap *heap, struct vdma_heap_info *info);

/**
 * vdma_malloc() - get an object
 * @heap: where from
 * @size: bytes; 0 counts as 1
 *
 * Aligned to 16 bytes from 16 bytes on, to 4096 from 16 KiB on. It may hold what
 * another had in it.
 *
 * Return: the object; NULL, with errno set, if there is none: vdma_explain() tells
 * why. What vdma_buf_alloc() returns, as errno: ENOMEM, EADDRNOTAVAIL (more than the
 * window has), EINVAL (the heap's NUMA node has no memory) and so on; ECHILD.
 * Thread-safe.
 */
VDMA_API void *vdma_malloc(struct vdma_heap *heap, size_t size);

/**
 * vdma_calloc() - get zeroed objects side by side
 * @heap: where from
 * @n: how many
 * @size: bytes of each; 0 in all count as 1
 *
 * Return: as vdma_malloc(), EADDRNOTAVAIL if they are more than a size_t has.
 * Thread-safe.
 */
VDMA_API void *vdma_calloc(struct vdma_heap *heap, size_t n, size_t size);

/**
 * vdma_memalign() - get an object with an alignment
 * @heap: where from
 * @align: of its addresses, a power of two up to 1 GiB
 * @size: bytes; 0 counts as 1
 *
 * With 64 it shares no cache line with another one. In a physical arena memory may be
 * aligned to more than 4096 for the program and not for devices: then there is none.
 *
 * Return: as vdma_malloc(), also EINVAL. Thread-safe.
 */
VDMA_API void *vdma_memalign(struct vdma_heap *heap, size_t align, size_t size);

/**
 * vdma_realloc() - make an object larger or smaller
 * @heap: where it came from
 * @p: the object; NULL: as vdma_malloc()
 * @size: bytes; 0 counts as 1
 *
 * It may move: no device may be using it, and its device address has to be asked for
 * anew. Its alignment is that of vdma_malloc() then.
 *
 * Return: the object, with the bytes that it had, as many as fit; NULL, with errno
 * set, if there is no memory for that, then @p is as it was. Thread-safe.
 */
VDMA_API void *vdma_realloc(struct vdma_heap *heap, void *p, size_t size);

/**
 * vdma_free() - give an object back
 * @heap: where it came from
 * @p: the object; NULL is allowed
 *
 * The device must not use it any more. By any thread.
 *
 * Return: 0; -EINVAL if no object of this heap was ever in its page, and with
 * VDMA_HEAP_CHECK if it is no live one; without, that breaks things, as it does with
 * free(). -ECHILD. Thread-safe.
 */
VDMA_API int vdma_free(struct vdma_heap *heap, void *p);

/**
 * vdma_usable_size() - how many bytes an object has
 * @heap: where it came from
 * @p: the object; NULL: 0
 *
 * Return: at least as many as were asked for; all of them may be used. 0 if it is not
 * of this heap, as far as vdma_free() would find out, and in a child. Thread-safe.
 */
VDMA_API size_t vdma_usable_size(struct vdma_heap *heap, const void *p);

#ifdef __cplusplus
}
#endif

#endif
