// SPDX-License-Identifier: BSD-3-Clause
/* Section names are those of QEMU's docs/specs/edu.rst. */
#define _POSIX_C_SOURCE 200809L
#include "edu.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* PCI specs */
#define EDU_VENDOR 0x1234
#define EDU_DEVICE 0x11e8
#define EDU_BAR 0 /* "I/O memory, 1 MB in size" */
#define EDU_BAR_LEN (1 << 20)

/*
 * MMIO area spec: registers below 0x80 take accesses of 4 bytes only, the DMA
 * registers 4 or 8. Other widths are ignored, and read all ones.
 */
#define EDU_ID 0x00	    /* RO: 0xRRrr00ed, major and minor version */
#define EDU_ALIVE 0x04	    /* RW: reads the inverse of what was written */
#define EDU_FACTORIAL 0x08  /* RW: n in, n! out; ignores writes while it computes */
#define EDU_STATUS 0x20	    /* RW */
#define EDU_IRQ_STATUS 0x24 /* RO: causes of the interrupt */
#define EDU_IRQ_RAISE 0x60  /* WO: causes to add */
#define EDU_IRQ_ACK 0x64    /* WO: causes to clear */
#define EDU_DMA_SRC 0x80    /* RW, as the two below: ignores writes while DMA runs */
#define EDU_DMA_DST 0x88
#define EDU_DMA_COUNT 0x90
#define EDU_DMA_CMD 0x98 /* RW: ignores writes without EDU_DMA_RUN */

#define EDU_ID_MASK 0x0000ffff
#define EDU_ID_VALUE 0x000000ed

#define EDU_STATUS_COMPUTING 0x01 /* RO */
#define EDU_STATUS_IRQ 0x80	  /* interrupt when a factorial is done */

#define EDU_DMA_RUN 0x01      /* clears itself when the transfer is done */
#define EDU_DMA_FROM_EDU 0x02 /* direction; 0 is from memory to the device */
#define EDU_DMA_IRQ 0x04      /* interrupt when the transfer is done */

/* What the device puts into EDU_IRQ_STATUS by itself. */
#define EDU_CAUSE_FACTORIAL 0x001
#define EDU_CAUSE_DMA 0x100

/* DMA controller: where the device's buffer lies in the device's own addresses. */
#define EDU_BUF 0x40000

static_assert(EDU_DMA_CMD + 8 <= EDU_BAR_LEN, "registers lie in the BAR");
static_assert(EDU_BUF_USABLE < EDU_BUF_LEN, "see the erratum in edu.h");

/* hw/misc/edu.c: a transfer begins 100 ms after its command, of guest time. */
#define EDU_TIMEOUT_MS 5000

static uint32_t edu_get(const struct edu *edu, size_t reg)
{
	return vdma_mmio_read32(edu->regs, reg);
}

static void edu_set(struct edu *edu, size_t reg, uint32_t value)
{
	vdma_mmio_write32(edu->regs, reg, value);
}

static int edu_fail(struct edu *edu, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int edu_fail(struct edu *edu, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(edu->why, sizeof(edu->why), format, args);
	va_end(args);
	return err;
}

/* A call of the library failed: it knows why. */
static int edu_fail_vdma(struct edu *edu, int err)
{
	return edu_fail(edu, err, "%s", vdma_explain());
}

/*
 * Whoever had the device before may have been killed half way, and edu has no
 * reset: wait until it has finished, then drop what it would have told.
 */
static int edu_quiesce(struct edu *edu)
{
	const struct timespec tick = { .tv_nsec = 1000000 };
	int i;

	for (i = 0; i < EDU_TIMEOUT_MS; i++) {
		if (!(edu_get(edu, EDU_STATUS) & EDU_STATUS_COMPUTING) &&
		    !(edu_get(edu, EDU_DMA_CMD) & EDU_DMA_RUN))
			break;
		nanosleep(&tick, NULL);
	}
	if (i == EDU_TIMEOUT_MS)
		return edu_fail(edu, -ETIMEDOUT,
				"edu: still busy after %d ms with what it was "
				"told before it was opened",
				EDU_TIMEOUT_MS);
	edu_set(edu, EDU_STATUS, 0);
	edu_set(edu, EDU_IRQ_ACK, edu_get(edu, EDU_IRQ_STATUS));
	return 0;
}

int edu_open(struct edu *edu, struct vdma_ioas *ioas, const char *bdf, unsigned int address_bits)
{
	struct vdma_device_info info = { .size = sizeof(info) };
	struct vdma_bar bar;
	int err;

	memset(edu, 0, sizeof(*edu));
	edu->address_bits = address_bits;
	err = vdma_device_open(ioas, bdf, NULL, &edu->dev);
	if (err)
		return edu_fail_vdma(edu, err);
	err = vdma_device_query(edu->dev, &info);
	if (err) {
		edu_fail_vdma(edu, err);
		goto close;
	}
	if (info.vendor != EDU_VENDOR || info.device != EDU_DEVICE ||
	    info.bar_len[EDU_BAR] < EDU_BAR_LEN) {
		err = edu_fail(edu, -ENODEV, "edu: %s is a %04x:%04x, edu is %04x:%04x", info.bdf,
			       info.vendor, info.device, EDU_VENDOR, EDU_DEVICE);
		goto close;
	}
	err = vdma_device_bar(edu->dev, EDU_BAR, &bar);
	if (err) {
		edu_fail_vdma(edu, err);
		goto close;
	}
	edu->regs = bar.va;
	if ((edu_id(edu) & EDU_ID_MASK) != EDU_ID_VALUE) {
		err = edu_fail(edu, -ENODEV,
			       "edu: %s has identification 0x%08" PRIx32
			       ", it should end in 0x%04x",
			       info.bdf, edu_id(edu), EDU_ID_VALUE);
		goto close;
	}
	err = edu_quiesce(edu);
	if (err)
		goto close;
	/* Not before it is quiet: an old transfer would go to old addresses. */
	err = vdma_device_set_bus_master(edu->dev, 1);
	if (err) {
		edu_fail_vdma(edu, err);
		goto close;
	}
	return 0;

close:
	edu_close(edu);
	return err;
}

void edu_close(struct edu *edu)
{
	vdma_device_close(edu->dev);
	edu->dev = NULL;
	edu->regs = NULL;
}

uint32_t edu_id(const struct edu *edu)
{
	return edu_get(edu, EDU_ID);
}

int edu_check_alive(struct edu *edu, uint32_t value, uint32_t *answer)
{
	uint32_t got;

	edu_set(edu, EDU_ALIVE, value);
	got = edu_get(edu, EDU_ALIVE);
	if (got != ~value)
		return edu_fail(edu, -EIO,
				"edu: liveness register reads 0x%08" PRIx32 " after 0x%08" PRIx32
				" was written",
				got, value);
	*answer = got;
	return 0;
}

int edu_irq_use(struct edu *edu, enum vdma_irq_kind irq)
{
	int err;

	err = vdma_device_irq_disable(edu->dev);
	if (!err)
		err = vdma_device_irq_enable(edu->dev, irq, 1);
	if (err)
		return edu_fail_vdma(edu, err);
	edu->irq = irq;
	edu->pending = 0;
	return 0;
}

/*
 * IRQ controller: the device signals as long as a cause is set, "Even if the
 * driver disabled INTx and only uses MSI, it still needs to update the
 * acknowledge register". The kernel has masked INTx when it fired; unmasking
 * comes after the acknowledgement, or the wire would fire at once again.
 */
static int edu_irq_wait(struct edu *edu, uint32_t causes)
{
	uint32_t status;
	int err;

	while ((edu->pending & causes) != causes) {
		err = vdma_device_irq_wait(edu->dev, 0, EDU_TIMEOUT_MS, NULL);
		if (err == -ETIMEDOUT)
			return edu_fail(edu, err,
					"edu: no interrupt within %d ms, causes wanted "
					"0x%" PRIx32 ", set 0x%" PRIx32,
					EDU_TIMEOUT_MS, causes, edu_get(edu, EDU_IRQ_STATUS));
		if (err)
			return edu_fail_vdma(edu, err);
		status = edu_get(edu, EDU_IRQ_STATUS);
		edu_set(edu, EDU_IRQ_ACK, status);
		edu->pending |= status;
		if (edu->irq == VDMA_IRQ_INTX) {
			err = vdma_device_irq_unmask(edu->dev);
			if (err)
				return edu_fail_vdma(edu, err);
		}
	}
	edu->pending &= ~causes;
	return 0;
}

int edu_raise(struct edu *edu, uint32_t causes)
{
	edu_set(edu, EDU_IRQ_RAISE, causes);
	return edu_irq_wait(edu, causes);
}

int edu_factorial(struct edu *edu, uint32_t n, uint32_t *result)
{
	int err;

	if (n > 12)
		return edu_fail(edu, -ERANGE,
				"edu: %" PRIu32 "! does not fit the device's 32 bits,"
				" 12! does",
				n);
	edu_set(edu, EDU_STATUS, EDU_STATUS_IRQ);
	edu_set(edu, EDU_FACTORIAL, n);
	err = edu_irq_wait(edu, EDU_CAUSE_FACTORIAL);
	if (err)
		return err;
	/* The device clears EDU_STATUS_COMPUTING before it interrupts. */
	*result = edu_get(edu, EDU_FACTORIAL);
	return 0;
}

/* DMA controller: "specify, source, destination, size, and start the transfer" */
static int edu_dma(struct edu *edu, uint64_t src, uint64_t dst, unsigned int len,
		   uint32_t direction)
{
	vdma_mmio_write64(edu->regs, EDU_DMA_SRC, src);
	vdma_mmio_write64(edu->regs, EDU_DMA_DST, dst);
	vdma_mmio_write64(edu->regs, EDU_DMA_COUNT, len);
	/* Orders earlier writes to memory before it: see vdma/mmio.h. */
	vdma_mmio_write64(edu->regs, EDU_DMA_CMD, EDU_DMA_RUN | EDU_DMA_IRQ | direction);
	return edu_irq_wait(edu, EDU_CAUSE_DMA);
}

/*
 * The device checks neither: beyond its buffer QEMU 7.2 ends itself, and an
 * address with too many bits is cut by dma_mask and hits other memory.
 */
static int edu_dma_check(struct edu *edu, vdma_iova_t iova, unsigned int offset, unsigned int len)
{
	uint64_t top = edu->address_bits < 64 ? UINT64_C(1) << edu->address_bits : UINT64_MAX;

	if (!len || offset >= EDU_BUF_USABLE || len > EDU_BUF_USABLE - offset)
		return edu_fail(edu, -EINVAL,
				"edu: %u bytes at %u do not lie in the device's "
				"buffer of %d usable bytes",
				len, offset, EDU_BUF_USABLE);
	if (iova >= top || len > top - iova)
		return edu_fail(edu, -ERANGE,
				"edu: IOVA 0x%" PRIx64 " with %u bytes needs more "
				"than the device's %u address bits: set address_bits of the "
				"region",
				iova, len, edu->address_bits);
	return 0;
}

int edu_dma_write(struct edu *edu, unsigned int offset, vdma_iova_t iova, unsigned int len)
{
	int err = edu_dma_check(edu, iova, offset, len);

	return err ? err : edu_dma(edu, iova, EDU_BUF + offset, len, 0);
}

int edu_dma_read(struct edu *edu, vdma_iova_t iova, unsigned int offset, unsigned int len)
{
	int err = edu_dma_check(edu, iova, offset, len);

	return err ? err : edu_dma(edu, EDU_BUF + offset, iova, len, EDU_DMA_FROM_EDU);
}
