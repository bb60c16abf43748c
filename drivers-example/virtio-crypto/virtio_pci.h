/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A modern virtio device on the PCI bus (4.1), of any kind: where its registers are,
 * features, queues, reset.
 *
 *	virtio_pci_open(&pci, ioas, "0000:00:10.0", VIRTIO_PCI_CRYPTO, "virtio-crypto device");
 *	vdma_device_set_bus_master(pci.dev, 1);
 *	virtio_pci_negotiate(&pci, wanted, needed);
 *	virtio_pci_queue_enable(&pci, &vq, VIRTIO_NO_VECTOR);
 *	virtio_pci_start(&pci);
 *
 * Skipped: devices that are transitional and used as legacy ones, access to registers
 * through config space (4.1.4.9), interrupts of the wire, changes of configuration.
 */
#ifndef VIRTIO_PCI_H
#define VIRTIO_PCI_H

#include <vdma.h>

#include "virtqueue.h"

/**
 * struct virtio_pci - an open device
 * @dev: the PCI function
 * @bdf: its address
 * @vectors: MSI-X vectors that it has
 * @common: common configuration (4.1.4.3)
 * @notify: where queues are notified (4.1.4.4)
 * @notify_len: bytes of it
 * @notify_step: notify_off_multiplier
 * @config: configuration of this kind of device (4.1.4.6)
 * @config_len: bytes of it
 * @queues: that it has; a constant, by which it is seen to be there
 * @features: that were agreed on
 * @removal_fd: readable when the device has to go; -1 if nobody tells
 * @why: after a failed call: cause and remedy in words
 */
struct virtio_pci {
	struct vdma_device *dev;
	char bdf[16];
	unsigned int vectors;
	void *common;
	void *notify;
	size_t notify_len;
	uint32_t notify_step;
	void *config;
	size_t config_len;
	uint16_t queues;
	uint64_t features;
	int removal_fd;
	char why[1024];
};

/*
 * Each returns 0 or a negative errno, and leaves words in why then. A device that is gone,
 * or has to go, is -ENODEV, one that does not answer -ETIMEDOUT.
 */

/*
 * Takes the device at bdf, which has to be one with this device id (what is that in words),
 * finds its registers and resets it. Bus mastering is off. Besides: what
 * vdma_device_open() returns, -EOPNOTSUPP (no modern device). virtio_pci_close() is
 * allowed after a failure.
 */
int virtio_pci_open(struct virtio_pci *pci, struct vdma_ioas *ioas, const char *bdf,
		    uint16_t device_id, const char *what);
/* Afterwards it reaches no memory. What vdma_device_close() returns: then it stays open. */
int virtio_pci_close(struct virtio_pci *pci);

/* 2.4: nothing of the device's is under way afterwards, and no queue is enabled. */
int virtio_pci_reset(struct virtio_pci *pci);

/*
 * 3.1.1, steps 2 to 6, after a reset: those of wanted that the device offers.
 * -EOPNOTSUPP if one of needed is not, or it does not accept them.
 */
int virtio_pci_negotiate(struct virtio_pci *pci, uint64_t wanted, uint64_t needed);

/* Entries that queue index can have at most (4.1.4.3); -ENXIO if there is none. */
int virtio_pci_queue_size(struct virtio_pci *pci, unsigned int index, unsigned int *size);

/*
 * 4.1.5.1.3: the device is told where queue vq->index is, and vq where it is notified.
 * vector is of MSI-X, VIRTIO_NO_VECTOR for none. -ENOSPC if the device has no more of them.
 */
int virtio_pci_queue_enable(struct virtio_pci *pci, struct virtqueue *vq, uint16_t vector);

/* 3.1.1, step 8: DRIVER_OK */
void virtio_pci_start(struct virtio_pci *pci);

/*
 * Is the device there, and does it work? -EIO if it has met an error that only a reset
 * mends (2.1.1), -ECONNRESET if somebody has reset it. Words go to why. Thread-safe.
 */
int virtio_pci_look(struct virtio_pci *pci, char *why, size_t size);

/* Milliseconds of a clock that only goes forward, coarse. */
uint64_t virtio_now_ms(void);

#endif
