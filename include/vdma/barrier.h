/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Barriers between this thread's accesses to DMA memory, named by the direction in
 * which data go. They order what the device sees there, and hold the compiler.
 * Register accesses (mmio.h) need none: each brings its own.
 *
 *	descriptor->addr = iova;			while (descriptor->flags & DONE) {
 *	descriptor->len = len;					vdma_barrier_from_device();
 *	vdma_barrier_to_device();				len = descriptor->len;
 *	descriptor->flags = READY;				...
 *
 * x86 keeps stores in order with stores, and loads with loads, for devices as for
 * CPUs (Intel SDM 3A, 9.2.2), so only a store before a load takes an instruction. On
 * arm64 they are barriers of the outer shareable domain, in which devices are (Arm
 * ARM, B2.3). Memory is to be write-back, as all of an arena's is.
 */
#ifndef VDMA_BARRIER_H
#define VDMA_BARRIER_H

#include <vdma/mmio.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * vdma_barrier_to_device() - what was written, before what is written next
 *
 * A device that sees a later write to DMA memory (the flag) sees all earlier ones (the
 * descriptor), too. Thread-safe.
 */
static inline void vdma_barrier_to_device(void)
{
	VDMA_MMIO_BEFORE_WRITE();
}

/**
 * vdma_barrier_from_device() - what was read, before what is read next
 *
 * Later reads from DMA memory (the packet) are not older than earlier ones (the flag that
 * it is there). Thread-safe.
 */
static inline void vdma_barrier_from_device(void)
{
	VDMA_MMIO_AFTER_READ();
}

/**
 * vdma_barrier_to_and_from_device() - what was written, before what is read next
 *
 * For two sides that each write and then look what the other has written: "there is
 * more", then "does it sleep?". Orders all else, too. Thread-safe.
 */
static inline void vdma_barrier_to_and_from_device(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__asm__ volatile("mfence" ::: "memory");
#elif defined(__aarch64__)
	__asm__ volatile("dmb osh" ::: "memory");
#else
	__sync_synchronize();
#endif
}

#ifdef __cplusplus
}
#endif

#endif
