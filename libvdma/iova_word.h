/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sets of 64: the bits of a word, and the bytes of a cache line, of which all are looked
 * at at once. Included by iova.c alone, whose names these are.
 */
#ifndef VDMA_INTERNAL_IOVA_WORD_H
#define VDMA_INTERNAL_IOVA_WORD_H

#include <endian.h>
#include <stdint.h>
#include <string.h>
#if defined(__SSE2__) && !defined(VDMA_IOVA_PORTABLE)
#define HAVE_SSE2
#include <emmintrin.h>
#endif

#define ONES UINT64_C(0x0101010101010101)

/* Bits whose number is a multiple of 2^i. */
static const uint64_t aligned[7] = {
	UINT64_MAX,
	UINT64_C(0x5555555555555555),
	UINT64_C(0x1111111111111111),
	UINT64_C(0x0101010101010101),
	UINT64_C(0x0001000100010001),
	UINT64_C(0x0000000100000001),
	UINT64_C(0x0000000000000001),
};

/* The starts of aligned runs of 2^order bits that are set. */
static inline uint64_t runs(uint64_t set, unsigned int order)
{
	unsigned int i;

	for (i = 0; i < order; i++)
		set &= set >> (1U << i) & aligned[i + 1];
	return set;
}

/* Bits lo to hi. */
static inline uint64_t bits(unsigned int lo, unsigned int hi)
{
	return UINT64_MAX << lo & UINT64_MAX >> (63 - hi);
}

/* What the largest aligned run of free children lacks of 64; 7 if there is none. */
static inline uint8_t lack(uint64_t free)
{
	unsigned int order = 0;

	if (!free)
		return 7;
	for (; order < 6; order++) {
		free &= free >> (1U << order) & aligned[order + 1];
		if (!free)
			break;
	}
	return (uint8_t)(6 - order);
}

#ifdef HAVE_SSE2
static inline uint64_t at_most_16(const uint8_t *bytes, __m128i most)
{
	__m128i b = _mm_loadu_si128((const __m128i *)(const void *)bytes);

	return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(b, most), b));
}

/* Which of 64 bytes are at most @most. */
static inline uint64_t at_most(const uint8_t *bytes, uint8_t most)
{
	const __m128i m = _mm_set1_epi8((char)most);

	return at_most_16(bytes, m) | at_most_16(bytes + 16, m) << 16 |
	       at_most_16(bytes + 32, m) << 32 | at_most_16(bytes + 48, m) << 48;
}

static inline uint8_t least(const uint8_t *bytes)
{
	const __m128i *b = (const __m128i *)(const void *)bytes;
	__m128i m = _mm_min_epu8(_mm_min_epu8(_mm_loadu_si128(b), _mm_loadu_si128(b + 1)),
				 _mm_min_epu8(_mm_loadu_si128(b + 2), _mm_loadu_si128(b + 3)));

	m = _mm_min_epu8(m, _mm_srli_si128(m, 8));
	m = _mm_min_epu8(m, _mm_srli_si128(m, 4));
	m = _mm_min_epu8(m, _mm_srli_si128(m, 2));
	m = _mm_min_epu8(m, _mm_srli_si128(m, 1));
	return (uint8_t)_mm_cvtsi128_si32(m);
}
#else
/* Which of 64 bytes are at most @most; all are below 128. */
static inline uint64_t at_most(const uint8_t *bytes, uint8_t most)
{
	uint64_t mask = 0;
	unsigned int i;

	for (i = 0; i < 8; i++) {
		uint64_t eight;

		memcpy(&eight, bytes + 8 * i, sizeof(eight));
		eight = (((uint64_t)most | 0x80) * ONES - le64toh(eight)) >> 7 & ONES;
		/* The product gathers the eight bits in its highest byte. */
		mask |= eight * UINT64_C(0x0102040810204080) >> 56 << 8 * i;
	}
	return mask;
}

static inline uint8_t least(const uint8_t *bytes)
{
	uint8_t least = UINT8_MAX;
	unsigned int i;

	for (i = 0; i < 64; i++)
		least = bytes[i] < least ? bytes[i] : least;
	return least;
}
#endif

#endif
