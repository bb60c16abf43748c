/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The few types that every other header needs: addresses as a device sees
 * them, physical addresses, ranges, and the buffer that a driver holds.
 */
#ifndef VDMA_TYPES_H
#define VDMA_TYPES_H

#include <stddef.h>
#include <stdint.h>

/* Marks what the shared library exports. */
#define VDMA_API __attribute__((visibility("default")))

/* An address as a device puts it on the bus; translated by the IOMMU. */
typedef uint64_t vdma_iova_t;

/* A physical address of the machine. */
typedef uint64_t vdma_pa_t;

/* No such device address. */
#define VDMA_IOVA_NONE UINT64_MAX

/* A physical address that is not known, not told, or not one run. */
#define VDMA_PA_NONE UINT64_MAX

/**
 * struct vdma_range - a range of addresses
 * @first: its first byte
 * @last: its last byte (inclusive, so that a range can end at 2^64 - 1)
 */
struct vdma_range {
	uint64_t first;
	uint64_t last;
};

/**
 * struct vdma_buf - memory that a device can reach
 * @va: where the CPU reads and writes it
 * @len: bytes
 * @iova: what is written into descriptors and registers of a device
 * @pa: physical address of the first byte if the whole buffer is one
 *      physically contiguous run that this process may know, VDMA_PA_NONE
 *      otherwise
 *
 * A value, not an object: it owns nothing, and is good for as long as the
 * region that it was taken from.
 */
struct vdma_buf {
	void *va;
	size_t len;
	vdma_iova_t iova;
	vdma_pa_t pa;
};

#endif
