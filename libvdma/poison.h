/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that the program must not touch, told to AddressSanitizer and to
 * Valgrind. Nothing happens where neither is at work; devices are never kept
 * from anything by it.
 */
#ifndef VDMA_INTERNAL_POISON_H
#define VDMA_INTERNAL_POISON_H

#include <stdbool.h>
#include <stddef.h>
#ifdef VDMA_HAVE_VALGRIND
#include <valgrind/memcheck.h>
#endif

/*
 * AddressSanitizer's, if the program was built with it: the library need not be,
 * which a look at __SANITIZE_ADDRESS__ would ask for.
 */
void __asan_poison_memory_region(const volatile void *addr, size_t size) __attribute__((weak));
void __asan_unpoison_memory_region(const volatile void *addr, size_t size) __attribute__((weak));

/* Is there anybody who wants to know? */
static inline bool vdma_poison_is_seen(void)
{
#ifdef VDMA_HAVE_VALGRIND
	const char one = 0;
	char bits;

	/* Of Valgrind's tools only memcheck knows this, and says so. */
	if (VALGRIND_GET_VBITS(&one, &bits, 1) == 1)
		return true;
#endif
	return __asan_poison_memory_region != NULL;
}

static inline void vdma_poison(const void *va, size_t len)
{
	if (__asan_poison_memory_region)
		__asan_poison_memory_region(va, len);
#ifdef VDMA_HAVE_VALGRIND
	VALGRIND_MAKE_MEM_NOACCESS(va, len);
#endif
}

/* Defined, not undefined: Valgrind does not see what a device writes there. */
static inline void vdma_unpoison(const void *va, size_t len)
{
	if (__asan_unpoison_memory_region)
		__asan_unpoison_memory_region(va, len);
#ifdef VDMA_HAVE_VALGRIND
	VALGRIND_MAKE_MEM_DEFINED(va, len);
#endif
}

#endif
