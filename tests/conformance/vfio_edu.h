/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VFIO type1 by its plain ioctls, with QEMU's edu behind it: a device that
 * copies between memory and a buffer of its own, 100 ms after it was told to.
 * Nothing here goes through libvdma.
 */
#ifndef VFIO_EDU_H
#define VFIO_EDU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* edu has 28 address bits. */
#define DMA_IOVA (16UL << 20)
/* Its buffer, less the last byte: see drivers-example/edu/edu.h. */
#define EDU_LEN 4095U

/* A container with the device of $VDMA_BDF_EDU in it, and that device. */
struct vfio {
	int container;
	int group;
	int device;
	volatile unsigned char *bar;
};

/* What there is to do then is the program's that links this. */
_Noreturn void edu_is_missing(void);
void vfio_open(struct vfio *vfio);
void vfio_close(struct vfio *vfio);
int vfio_map(struct vfio *vfio, const void *addr, size_t len, uint64_t iova);
int vfio_unmap(struct vfio *vfio, size_t len, uint64_t iova);

/* Opens the device and lets it master the bus. */
void dev_open(struct vfio *vfio);
/* Starts a copy of EDU_LEN bytes; it happens 100 ms later. */
void dev_write_memory(struct vfio *vfio, uint64_t iova);
void dev_read_memory(struct vfio *vfio, uint64_t iova);
/* Is the last copy done? */
bool dev_idle(struct vfio *vfio);
void dev_wait(struct vfio *vfio);
/* Fills the device's buffer with EDU_LEN bytes at from, by way of iova, which is mapped there. */
void dev_load(struct vfio *vfio, void *at, uint64_t iova, unsigned char byte);

#endif
