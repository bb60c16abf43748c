/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an open device is made of; shared by device.c and device_irq.c, which hold
 * what is common, and device_vfio.c and device_uio.c, which ask the kernel.
 */
#ifndef VDMA_INTERNAL_DEVICE_H
#define VDMA_INTERNAL_DEVICE_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/queue.h>
#include <vdma/device.h>

#include "host.h"

#define VDMA_NBARS 6

struct vdma_device_bar {
	uint64_t len; /* 0: there is none */
	bool mappable;
};

/* A function that a reset hits. */
struct vdma_affected {
	struct vdma_bdf bdf;
	int group; /* -1: the kernel has told at once */
	bool ours; /* whether it may be reset by us */
};

/*
 * How a PCI driver of the kernel lends its device. All are explained, and leave
 * things as they were on failure.
 */
struct vdma_device_ops {
	/*
	 * Fills in what the device offers: config space, BARs, vectors, reset; and
	 * has dev->removal_fd signalled when it has to go, if that can be.
	 */
	int (*probe)(struct vdma_device *dev);
	/* Gives back what probe() took, but for the device's descriptor. */
	void (*release)(struct vdma_device *dev);

	int (*map_bar)(struct vdma_device *dev, unsigned int index, void **va);
	/* Where in the device's descriptor the BAR lies; NULL: it is not there. */
	int (*bar_offset)(struct vdma_device *dev, unsigned int index, uint64_t *offset);
	int (*reset)(struct vdma_device *dev);

	/*
	 * Those that a reset of the slot or bus hits: their number, *@all is for free().
	 * -EOPNOTSUPP if there is no such reset.
	 */
	int (*affected)(struct vdma_device *dev, struct vdma_affected **all);
	/* That reset. @groups: descriptors of all groups that are affected, or none. */
	int (*hot_reset)(struct vdma_device *dev, const int *groups, size_t n);

	/* Descriptors for @count vectors, one after the other; and back. */
	int (*irq_open)(struct vdma_device *dev, unsigned int vector);
	/* Lets them fire: dev->vectors, of kind dev->irq_kind. */
	int (*irq_on)(struct vdma_device *dev);
	int (*irq_off)(struct vdma_device *dev);
	int (*irq_mask)(struct vdma_device *dev, bool on); /* INTx */
	/* Events since the last call; -EAGAIN if none, -ENODEV if it is gone. Not explained. */
	int (*irq_take)(struct vdma_device *dev, int fd, uint64_t *count);
};

extern const struct vdma_device_ops vdma_device_vfio;
extern const struct vdma_device_ops vdma_device_uio;

struct vdma_device {
	LIST_ENTRY(vdma_device) link; /* guarded by the arena's lock */
	struct vdma_ioas *ioas;
	const struct vdma_device_ops *ops;
	struct vdma_bdf bdf;
	int group; /* -1: none */
	int fd;
	int removal_fd; /* an eventfd, readable when the device has to go */
	bool tells;	/* somebody signals it */
	bool has_token;
	struct vdma_token token; /* VF token, if it has one */
	_Atomic bool gone;
	uint16_t vendor_id;
	uint16_t device_id;
	bool can_reset;
	int config_fd;
	uint64_t config_offset;
	uint64_t config_len;
	struct vdma_device_bar bars[VDMA_NBARS];
	uint32_t irqs[3]; /* vectors, by enum vdma_irq_kind */
	/* Guarded by the arena's lock: */
	unsigned int imports; /* regions that are parts of its BARs */
	bool told;	      /* to the one who is joining now: share.c's */

	pthread_mutex_t lock; /* guards what follows */
	void *bar_va[VDMA_NBARS];
	enum vdma_irq_kind irq_kind;
	unsigned int nvectors; /* 0: interrupts are off */
	int *vectors;	       /* descriptors */
	uint32_t fired;	       /* UIO: events that were taken */
};

/* Is there a device, its arena this process's, and was it not let go? Explained. */
int vdma_device_check(const struct vdma_device *dev);

/* What vdma_device_query() tells of resets. */
void vdma_device_reset_info(struct vdma_device *dev, struct vdma_device_info *info);

/* Takes a VF token, if it goes with the device. Explained. */
int vdma_device_take_token(struct vdma_device *dev, const char *text);

/* Switches interrupts off, and keeps their descriptors; closes them. */
void vdma_device_irq_off(struct vdma_device *dev);
void vdma_device_irq_forget(struct vdma_device *dev);

/* Sets and clears bits of the command register (PCI 6.2.2); the device is locked. */
int vdma_device_command(struct vdma_device *dev, uint32_t set, uint32_t clear);

#endif
