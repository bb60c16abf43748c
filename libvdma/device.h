/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an open device is made of; shared by device.c and device_irq.c.
 */
#ifndef VDMA_INTERNAL_DEVICE_H
#define VDMA_INTERNAL_DEVICE_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/queue.h>
#include <vdma/device.h>

#include "host.h"

#define VDMA_NBARS 6

struct vdma_device_region {
	uint64_t offset; /* in the device's descriptor */
	uint64_t len;
	uint32_t flags; /* VFIO_REGION_INFO_FLAG_* */
};

struct vdma_device {
	LIST_ENTRY(vdma_device) link; /* guarded by the arena's lock */
	struct vdma_ioas *ioas;
	struct vdma_bdf bdf;
	int group;
	int fd;
	uint16_t vendor_id;
	uint16_t device_id;
	bool can_reset;
	struct vdma_device_region config;
	struct vdma_device_region bars[VDMA_NBARS];
	uint32_t irqs[3]; /* vectors, by enum vdma_irq_kind */

	pthread_mutex_t lock; /* guards what follows */
	void *bar_va[VDMA_NBARS];
	enum vdma_irq_kind irq_kind;
	unsigned int nvectors; /* 0: interrupts are off */
	int *vectors;	       /* eventfds */
};

/* Is there a device, and its arena this process's? Explained. */
int vdma_device_check(const struct vdma_device *dev);

/* The vectors of each kind, at open. */
int vdma_device_irq_probe(struct vdma_device *dev);

#endif
