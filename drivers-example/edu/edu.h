/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver of QEMU's educational PCI device, "edu". To be read beside QEMU's
 * docs/specs/edu.rst (edu.txt before QEMU 9), whose sections are named here;
 * where that is silent, QEMU 7.2's hw/misc/edu.c was asked.
 *
 * The device inverts a number (liveness), computes factorials, and copies
 * between memory and a buffer of its own by DMA. It does one thing at a time,
 * and so does this driver: a struct edu is used by one thread at a time, and
 * each call returns when the device has finished.
 *
 *	edu_open(&edu, ioas, "0000:00:03.0", EDU_ADDRESS_BITS);
 *	edu_irq_use(&edu, VDMA_IRQ_MSI);
 *	edu_factorial(&edu, 10, &result);
 *	edu_dma_write(&edu, 0, buf.iova, 100);
 *	edu_dma_read(&edu, buf.iova + 100, 0, 100);
 *	edu_close(&edu);
 *
 * Skipped: the interrupt raise register as a way to talk between programs
 * (edu_raise() is there to try interrupts), and transfers without an
 * interrupt, which would only be polled for.
 */
#ifndef EDU_H
#define EDU_H

#include <vdma.h>

/* Command line switches: dma_mask is 28 bits unless QEMU was told otherwise. */
#define EDU_ADDRESS_BITS 28

/* DMA controller: "One 4096 bytes long buffer" in the device. */
#define EDU_BUF_LEN 4096

/*
 * Erratum: QEMU up to 7.2 takes the buffer's last byte for one beyond its end,
 * and ends itself, guest and all, on a transfer that touches it (later ones
 * refuse transfers that really are out of bounds). So it is left alone.
 */
#define EDU_BUF_USABLE (EDU_BUF_LEN - 1)

/**
 * struct edu - one open device
 * @dev: the PCI function
 * @regs: BAR 0
 * @address_bits: what dma_mask leaves of an address
 * @irq: how it signals
 * @pending: causes that were acknowledged, but not yet waited for
 * @why: after a failed call: cause and remedy in words
 */
struct edu {
	struct vdma_device *dev;
	void *regs;
	unsigned int address_bits;
	enum vdma_irq_kind irq;
	uint32_t pending;
	char why[1024];
};

/*
 * Each returns 0 or a negative errno, and leaves words in edu->why then.
 * -ETIMEDOUT is a device that did not answer in time.
 */

/* Takes the device at bdf, waits until it is quiet, and lets it do DMA. */
int edu_open(struct edu *edu, struct vdma_ioas *ioas, const char *bdf, unsigned int address_bits);
void edu_close(struct edu *edu);

/* The identification register; edu_open() has checked that it is an edu. */
uint32_t edu_id(const struct edu *edu);

/* Writes value to the liveness register, answer is what it then reads. */
int edu_check_alive(struct edu *edu, uint32_t value, uint32_t *answer);

/* How the device shall signal from now on: INTx or MSI. Needed by all below. */
int edu_irq_use(struct edu *edu, enum vdma_irq_kind irq);

/* Has the device interrupt with these causes, and waits for all of them. */
int edu_raise(struct edu *edu, uint32_t causes);

/* n!, for n up to 12: the register has 32 bits. */
int edu_factorial(struct edu *edu, uint32_t n, uint32_t *result);

/*
 * Copies len bytes from memory at iova to offset in the device's buffer, and
 * the other way round. The device does not tell whether the IOMMU let it
 * through: success means that it is done trying.
 */
int edu_dma_write(struct edu *edu, unsigned int offset, vdma_iova_t iova, unsigned int len);
int edu_dma_read(struct edu *edu, vdma_iova_t iova, unsigned int offset, unsigned int len);

#endif
