// SPDX-License-Identifier: BSD-3-Clause
/*
 * The C library's memory, counted. The linker sends calls of the library and of the
 * tests here (--wrap); what the C library allocates by itself is not seen, so
 * strdup() and its like must not be used. The counters tell threads nothing about
 * each other, lest they hide something from ThreadSanitizer.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "fake_internal.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *p);

static atomic_size_t live;
static atomic_ulong calls, fail_at;

static bool fails(void)
{
	unsigned long n = 1 + atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);

	return n == atomic_load_explicit(&fail_at, memory_order_relaxed);
}

static void *counted(void *p)
{
	if (p)
		atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
	return p;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : counted(__real_calloc(n, size));
}

void *__wrap_realloc(void *old, size_t size)
{
	void *p;

	if (fails())
		return NULL;
	p = __real_realloc(old, size);
	return old ? p : counted(p);
}

void __wrap_free(void *p)
{
	if (p)
		atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
	__real_free(p);
}

void fake_fail_alloc(unsigned long nth)
{
	atomic_store(&calls, 0);
	atomic_store(&fail_at, nth);
}

unsigned long fake_alloc_calls(void)
{
	return atomic_load(&calls);
}

size_t fake_allocations(void)
{
	return atomic_load(&live);
}
