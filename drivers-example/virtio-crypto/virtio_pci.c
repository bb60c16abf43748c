// SPDX-License-Identifier: BSD-3-Clause
/* A modern virtio device on the PCI bus (4.1). */
#define _POSIX_C_SOURCE 200809L
#include "virtio_pci.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#define RESET_TIMEOUT_MS 2000
/* Each capability has 4 bytes at least, all lie in the 192 behind the header. */
#define CAPABILITIES_MAX 48

#define FAIL(pci, err, ...) virtio_fail((pci)->why, sizeof((pci)->why), err, __VA_ARGS__)
#define FAIL_VDMA(pci, err) FAIL(pci, err, "%s", vdma_explain())

uint64_t virtio_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint8_t status(const struct virtio_pci *pci)
{
	return vdma_mmio_read8(pci->common, VIRTIO_DEVICE_STATUS);
}

/* 3.1.1: bits are added one after the other, and none is taken away but by a reset. */
static void add_status(struct virtio_pci *pci, uint8_t bits)
{
	vdma_mmio_write8(pci->common, VIRTIO_DEVICE_STATUS, status(pci) | bits);
}

/* What is not there reads ones, or zeroes in QEMU. */
static bool is_gone(const struct virtio_pci *pci)
{
	return vdma_mmio_read16(pci->common, VIRTIO_NUM_QUEUES) != pci->queues;
}

static int gone(struct virtio_pci *pci)
{
	return FAIL(pci, -ENODEV, "virtio: %s is gone: no register answers", pci->bdf);
}

int virtio_pci_look(struct virtio_pci *pci, char *why, size_t size)
{
	struct pollfd p = { .fd = pci->removal_fd, .events = POLLIN };
	uint8_t now;

	if (p.fd >= 0 && poll(&p, 1, 0) > 0)
		return virtio_fail(why, size, -ENODEV,
				   "virtio: the kernel asks for %s to be let go", pci->bdf);
	now = status(pci);
	if (is_gone(pci))
		return virtio_fail(why, size, -ENODEV, "virtio: %s is gone: no register answers",
				   pci->bdf);
	if (!(now & VIRTIO_STATUS_DRIVER_OK))
		return virtio_fail(why, size, -ECONNRESET,
				   "virtio: somebody has reset %s (status 0x%x): reset it here, too",
				   pci->bdf, now);
	if (now & VIRTIO_STATUS_NEEDS_RESET)
		return virtio_fail(why, size, -EIO,
				   "virtio: %s has met an error that it cannot recover from (status "
				   "0x%x): reset it",
				   pci->bdf, now);
	return 0;
}

int virtio_pci_reset(struct virtio_pci *pci)
{
	const struct timespec tick = { .tv_nsec = 1000000 };
	uint64_t start = virtio_now_ms();

	if (is_gone(pci))
		return gone(pci);
	vdma_mmio_write8(pci->common, VIRTIO_DEVICE_STATUS, 0);
	/* 4.1.4.3.2: until it reads 0 */
	while (status(pci)) {
		if (is_gone(pci))
			return gone(pci);
		if (virtio_now_ms() - start > RESET_TIMEOUT_MS)
			return FAIL(pci, -ETIMEDOUT,
				    "virtio: %s did not reset within %u ms (status 0x%x)", pci->bdf,
				    RESET_TIMEOUT_MS, status(pci));
		nanosleep(&tick, NULL);
	}
	pci->features = 0;
	return 0;
}

static uint32_t config_read(struct virtio_pci *pci, unsigned int offset, unsigned int width)
{
	uint32_t value = 0;

	/* What cannot be read is no capability. */
	if (vdma_device_config_read(pci->dev, offset, width, &value))
		return 0;
	return value;
}

/* 4.1.4: a structure in a BAR, if the capability at cap describes one that can be used. */
static void *structure(struct virtio_pci *pci, unsigned int cap, size_t *len)
{
	uint32_t index = config_read(pci, cap + VIRTIO_CAP_BAR, 1);
	uint32_t offset = config_read(pci, cap + VIRTIO_CAP_OFFSET, 4);
	uint32_t length = config_read(pci, cap + VIRTIO_CAP_LENGTH, 4);
	struct vdma_bar bar;

	if (index > 5 || vdma_device_bar(pci->dev, index, &bar))
		return NULL;
	if (offset % 4 || offset > bar.len || length > bar.len - offset)
		return NULL;
	*len = length;
	return (char *)bar.va + offset;
}

/* 4.1.4: the first one of each type that the driver can use */
static int find_structures(struct virtio_pci *pci)
{
	unsigned int cap = config_read(pci, 0x34, 1) & ~3U;
	size_t common_len = 0;

	/* PCI Local Bus 3.0, 6.7: a list of capabilities; 9 is a vendor's own. */
	for (int i = 0; cap && i < CAPABILITIES_MAX; i++) {
		uint32_t head = config_read(pci, cap, 4);

		switch ((head & 0xff) == 9 ? head >> 24 : 0) {
		case VIRTIO_CFG_COMMON:
			if (!pci->common)
				pci->common = structure(pci, cap, &common_len);
			break;
		case VIRTIO_CFG_NOTIFY:
			if (pci->notify)
				break;
			pci->notify = structure(pci, cap, &pci->notify_len);
			pci->notify_step = config_read(pci, cap + VIRTIO_CAP_MULTIPLIER, 4);
			break;
		case VIRTIO_CFG_DEVICE:
			if (!pci->config)
				pci->config = structure(pci, cap, &pci->config_len);
			break;
		}
		cap = head >> 8 & 0xfc;
	}
	if (!pci->common || common_len < VIRTIO_COMMON_LEN || !pci->notify || !pci->config)
		return FAIL(
			pci, -EOPNOTSUPP,
			"virtio: %s does not tell where its registers are, as a modern device does",
			pci->bdf);
	return 0;
}

int virtio_pci_open(struct virtio_pci *pci, struct vdma_ioas *ioas, const char *bdf,
		    uint16_t device_id, const char *what)
{
	struct vdma_device_info device = { .size = sizeof(device) };
	struct vdma_pci_info info = { .size = sizeof(info) };
	int err;

	memset(pci, 0, sizeof(*pci));
	pci->removal_fd = -1;
	err = vdma_pci_query(bdf, &info);
	if (err)
		return FAIL_VDMA(pci, err);
	memcpy(pci->bdf, info.bdf, sizeof(pci->bdf));
	if (info.vendor != VIRTIO_PCI_VENDOR || info.device != device_id)
		return FAIL(pci, -ENODEV, "virtio: %s is no %s, but: %s %s (%s)", info.bdf, what,
			    info.vendor_name, info.device_name, info.class_name);
	err = vdma_device_open(ioas, bdf, NULL, &pci->dev);
	if (!err)
		err = vdma_device_query(pci->dev, &device);
	if (err)
		return FAIL_VDMA(pci, err);
	pci->vectors = device.irqs[VDMA_IRQ_MSIX];
	if (vdma_device_removal_fd(pci->dev, &pci->removal_fd))
		pci->removal_fd = -1;
	err = find_structures(pci);
	if (err)
		return err;
	pci->queues = vdma_mmio_read16(pci->common, VIRTIO_NUM_QUEUES);
	if (!pci->queues || pci->queues == UINT16_MAX)
		return gone(pci);
	/* Whoever had it before may have been killed: nothing of his goes on. */
	return virtio_pci_reset(pci);
}

int virtio_pci_close(struct virtio_pci *pci)
{
	int err = vdma_device_close(pci->dev);

	if (err)
		return FAIL_VDMA(pci, err);
	pci->dev = NULL;
	return 0;
}

static uint64_t offered(const struct virtio_pci *pci)
{
	uint64_t features = 0;

	for (uint32_t half = 0; half < 2; half++) {
		vdma_mmio_write32(pci->common, VIRTIO_DEVICE_FEATURE_SELECT, half);
		features |= (uint64_t)vdma_mmio_read32(pci->common, VIRTIO_DEVICE_FEATURE)
			    << 32 * half;
	}
	return features;
}

int virtio_pci_negotiate(struct virtio_pci *pci, uint64_t wanted, uint64_t needed)
{
	uint64_t features;

	add_status(pci, VIRTIO_STATUS_ACKNOWLEDGE);
	add_status(pci, VIRTIO_STATUS_DRIVER);
	features = offered(pci);
	if (needed & ~features) {
		bool platform = needed & ~features & VIRTIO_F_ACCESS_PLATFORM;

		add_status(pci, VIRTIO_STATUS_FAILED);
		return FAIL(pci, -EOPNOTSUPP,
			    "virtio: %s lacks features that are needed: 0x%" PRIx64 "%s", pci->bdf,
			    needed & ~features,
			    platform ? ", VIRTIO_F_ACCESS_PLATFORM: its DMA would go past the "
				       "IOMMU. QEMU gives it to a device with iommu_platform=on" :
				       "");
	}
	features &= wanted | needed;
	for (uint32_t half = 0; half < 2; half++) {
		vdma_mmio_write32(pci->common, VIRTIO_DRIVER_FEATURE_SELECT, half);
		vdma_mmio_write32(pci->common, VIRTIO_DRIVER_FEATURE,
				  (uint32_t)(features >> 32 * half));
	}
	add_status(pci, VIRTIO_STATUS_FEATURES_OK);
	if (!(status(pci) & VIRTIO_STATUS_FEATURES_OK)) {
		add_status(pci, VIRTIO_STATUS_FAILED);
		return FAIL(pci, -EOPNOTSUPP, "virtio: %s does not accept features 0x%" PRIx64,
			    pci->bdf, features);
	}
	pci->features = features;
	return 0;
}

int virtio_pci_queue_size(struct virtio_pci *pci, unsigned int index, unsigned int *size)
{
	uint16_t entries = 0;

	if (index < pci->queues) {
		vdma_mmio_write16(pci->common, VIRTIO_QUEUE_SELECT, (uint16_t)index);
		entries = vdma_mmio_read16(pci->common, VIRTIO_QUEUE_SIZE);
	}
	/* 2.7: a power of two */
	if (!entries || entries > VIRTQ_SIZE_MAX || (entries & (entries - 1)))
		return FAIL(pci, -ENXIO, "virtio: %s has no queue %u (%u entries)", pci->bdf, index,
			    entries);
	*size = entries;
	return 0;
}

/* 4.1.3.1: two accesses of 32 bits */
static void write_address(struct virtio_pci *pci, size_t reg, vdma_iova_t iova)
{
	vdma_mmio_write32(pci->common, reg, (uint32_t)iova);
	vdma_mmio_write32(pci->common, reg + 4, (uint32_t)(iova >> 32));
}

int virtio_pci_queue_enable(struct virtio_pci *pci, struct virtqueue *vq, uint16_t vector)
{
	size_t at;

	vdma_mmio_write16(pci->common, VIRTIO_QUEUE_SELECT, vq->index);
	/* 4.1.4.4: where in the structure */
	at = (size_t)vdma_mmio_read16(pci->common, VIRTIO_QUEUE_NOTIFY_OFF) * pci->notify_step;
	if (at + sizeof(uint16_t) > pci->notify_len)
		return FAIL(pci, -EIO,
			    "virtio: queue %u of %s is notified outside of its registers",
			    vq->index, pci->bdf);
	vq->bar = pci->notify;
	vq->doorbell = at;
	vdma_mmio_write16(pci->common, VIRTIO_QUEUE_SIZE, (uint16_t)vq->size);
	write_address(pci, VIRTIO_QUEUE_DESC, virtqueue_desc_iova(vq));
	write_address(pci, VIRTIO_QUEUE_DRIVER, virtqueue_avail_iova(vq));
	write_address(pci, VIRTIO_QUEUE_DEVICE, virtqueue_used_iova(vq));
	/* 4.1.5.1.2: it reads back what the device could have. */
	vdma_mmio_write16(pci->common, VIRTIO_QUEUE_VECTOR, vector);
	if (vdma_mmio_read16(pci->common, VIRTIO_QUEUE_VECTOR) != vector)
		return FAIL(pci, -ENOSPC, "virtio: %s has no vector for queue %u", pci->bdf,
			    vq->index);
	vdma_mmio_write16(pci->common, VIRTIO_QUEUE_ENABLE, 1);
	return 0;
}

void virtio_pci_start(struct virtio_pci *pci)
{
	add_status(pci, VIRTIO_STATUS_DRIVER_OK);
}
