/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Registers of a device, in a BAR mapped by vdma_device_bar(). One access of
 * the given width each, little-endian as on PCI, never merged, split or
 * repeated by the compiler, in program order among each other.
 *
 * What the device sees:
 *   vdma_mmio_writeN()  all earlier writes of this thread to DMA memory (the
 *                       descriptor) come before the register write (the
 *                       doorbell)
 *   vdma_mmio_readN()   all later reads of this thread from DMA memory come
 *                       after the register read (the status)
 *
 *	ring[tail] = descriptor;
 *	vdma_mmio_write32(bar.va, DOORBELL, tail);
 *
 * @base is the start of the mapped BAR, @offset a multiple of the width.
 * Writes are posted: a read from the same device makes sure that they have
 * arrived.
 */
#ifndef VDMA_MMIO_H
#define VDMA_MMIO_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * x86 keeps uncached accesses in order with each other and with stores to
 * write-back memory (Intel SDM 3A, 9.2): holding the compiler is enough.
 * arm64 needs a barrier in the outer shareable domain (Arm ARM, B2.3).
 */
#if defined(__x86_64__) || defined(__i386__)
#define VDMA_MMIO_BEFORE_WRITE() __asm__ volatile("" ::: "memory")
#define VDMA_MMIO_AFTER_READ() __asm__ volatile("" ::: "memory")
#elif defined(__aarch64__)
#define VDMA_MMIO_BEFORE_WRITE() __asm__ volatile("dmb oshst" ::: "memory")
#define VDMA_MMIO_AFTER_READ() __asm__ volatile("dmb oshld" ::: "memory")
#else
#define VDMA_MMIO_BEFORE_WRITE() __sync_synchronize()
#define VDMA_MMIO_AFTER_READ() __sync_synchronize()
#endif

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define VDMA_MMIO_LE16(v) (v)
#define VDMA_MMIO_LE32(v) (v)
#define VDMA_MMIO_LE64(v) (v)
#else
#define VDMA_MMIO_LE16(v) __builtin_bswap16(v)
#define VDMA_MMIO_LE32(v) __builtin_bswap32(v)
#define VDMA_MMIO_LE64(v) __builtin_bswap64(v)
#endif

/**
 * vdma_mmio_read8() - read a register of 8 bits
 * @base: start of the mapped BAR
 * @offset: bytes into it
 *
 * Return: the register. Thread-safe.
 */
static inline uint8_t vdma_mmio_read8(const volatile void *base, size_t offset)
{
	uint8_t v = *(const volatile uint8_t *)((const volatile char *)base + offset);

	VDMA_MMIO_AFTER_READ();
	return v;
}

/**
 * vdma_mmio_read16() - read a register of 16 bits
 * @base: start of the mapped BAR
 * @offset: bytes into it, a multiple of 2
 *
 * Return: the register. Thread-safe.
 */
static inline uint16_t vdma_mmio_read16(const volatile void *base, size_t offset)
{
	uint16_t v = *(const volatile uint16_t *)((const volatile char *)base + offset);

	VDMA_MMIO_AFTER_READ();
	return VDMA_MMIO_LE16(v);
}

/**
 * vdma_mmio_read32() - read a register of 32 bits
 * @base: start of the mapped BAR
 * @offset: bytes into it, a multiple of 4
 *
 * Return: the register. Thread-safe.
 */
static inline uint32_t vdma_mmio_read32(const volatile void *base, size_t offset)
{
	uint32_t v = *(const volatile uint32_t *)((const volatile char *)base + offset);

	VDMA_MMIO_AFTER_READ();
	return VDMA_MMIO_LE32(v);
}

/**
 * vdma_mmio_read64() - read a register of 64 bits
 * @base: start of the mapped BAR
 * @offset: bytes into it, a multiple of 8
 *
 * One access where the CPU has 64 bits.
 *
 * Return: the register. Thread-safe.
 */
static inline uint64_t vdma_mmio_read64(const volatile void *base, size_t offset)
{
	uint64_t v = *(const volatile uint64_t *)((const volatile char *)base + offset);

	VDMA_MMIO_AFTER_READ();
	return VDMA_MMIO_LE64(v);
}

/**
 * vdma_mmio_write8() - write a register of 8 bits
 * @base: start of the mapped BAR
 * @offset: bytes into it
 * @value: what to write
 *
 * Thread-safe.
 */
static inline void vdma_mmio_write8(volatile void *base, size_t offset, uint8_t value)
{
	VDMA_MMIO_BEFORE_WRITE();
	*(volatile uint8_t *)((volatile char *)base + offset) = value;
}

/**
 * vdma_mmio_write16() - write a register of 16 bits
 * @base: start of the mapped BAR
 * @offset: bytes into it, a multiple of 2
 * @value: what to write
 *
 * Thread-safe.
 */
static inline void vdma_mmio_write16(volatile void *base, size_t offset, uint16_t value)
{
	VDMA_MMIO_BEFORE_WRITE();
	*(volatile uint16_t *)((volatile char *)base + offset) = VDMA_MMIO_LE16(value);
}

/**
 * vdma_mmio_write32() - write a register of 32 bits
 * @base: start of the mapped BAR
 * @offset: bytes into it, a multiple of 4
 * @value: what to write
 *
 * Thread-safe.
 */
static inline void vdma_mmio_write32(volatile void *base, size_t offset, uint32_t value)
{
	VDMA_MMIO_BEFORE_WRITE();
	*(volatile uint32_t *)((volatile char *)base + offset) = VDMA_MMIO_LE32(value);
}

/**
 * vdma_mmio_write64() - write a register of 64 bits
 * @base: start of the mapped BAR
 * @offset: bytes into it, a multiple of 8
 * @value: what to write
 *
 * One access where the CPU has 64 bits.
 *
 * Thread-safe.
 */
static inline void vdma_mmio_write64(volatile void *base, size_t offset, uint64_t value)
{
	VDMA_MMIO_BEFORE_WRITE();
	*(volatile uint64_t *)((volatile char *)base + offset) = VDMA_MMIO_LE64(value);
}

#ifdef __cplusplus
}
#endif

#endif
