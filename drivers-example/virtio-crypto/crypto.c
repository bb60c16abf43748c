// SPDX-License-Identifier: BSD-3-Clause
/* The device: its configuration (5.9.5), how it is set up (3.1.1, 5.9.6) and reset (2.4). */
#define _POSIX_C_SOURCE 200809L
#include "crypto.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define DEFAULT_DEPTH 256
#define DEFAULT_TIMEOUT_MS 10000
/* One control request at a time, of up to two pieces. */
#define CONTROL_SIZE 4
#define PAGE_LEN 4096

#define WANTED \
	(VIRTIO_F_VERSION_1 | VIRTIO_F_ACCESS_PLATFORM | VIRTIO_F_ORDER_PLATFORM | \
	 VIRTIO_F_INDIRECT_DESC)

#define FAIL(crypto, err, ...) virtio_fail((crypto)->why, sizeof((crypto)->why), err, __VA_ARGS__)
#define FAIL_VDMA(crypto, err) FAIL(crypto, err, "%s", vdma_explain())
#define FAIL_PCI(crypto, err) FAIL(crypto, err, "%s", (crypto)->pci.why)

static uint32_t get(const struct crypto *crypto, size_t reg)
{
	return vdma_mmio_read32(crypto->pci.config, reg);
}

/* 4.1.4.3.1: all of it of one generation */
static uint32_t read_config(struct crypto *crypto)
{
	uint8_t before, after;
	uint32_t queues;

	do {
		before = vdma_mmio_read8(crypto->pci.common, VIRTIO_CONFIG_GENERATION);
		queues = get(crypto, CRYPTO_MAX_DATAQUEUES);
		crypto->ciphers = get(crypto, CRYPTO_SERVICES) & CRYPTO_SERVICE_CIPHER ?
					  get(crypto, CRYPTO_CIPHER_ALGO_L) :
					  0;
		crypto->key_max = get(crypto, CRYPTO_MAX_CIPHER_KEY_LEN);
		crypto->size_max = get(crypto, CRYPTO_MAX_SIZE) |
				   (uint64_t)get(crypto, CRYPTO_MAX_SIZE + 4) << 32;
		after = vdma_mmio_read8(crypto->pci.common, VIRTIO_CONFIG_GENERATION);
	} while (before != after);
	return queues;
}

/* What the device can do has to go with what was asked for. */
static int check_config(struct crypto *crypto)
{
	const char *bdf = crypto->pci.bdf;
	uint32_t queues;

	if (crypto->pci.config_len < CRYPTO_CONFIG_LEN)
		return FAIL(crypto, -EOPNOTSUPP,
			    "virtio-crypto: %s has a configuration of %zu bytes, not of %d", bdf,
			    crypto->pci.config_len, CRYPTO_CONFIG_LEN);
	queues = read_config(crypto);
	if (!crypto->ciphers)
		return FAIL(crypto, -EOPNOTSUPP, "virtio-crypto: %s has no cipher service", bdf);
	/* 5.9.2: the control queue comes after all of them. */
	if (!queues || queues > CRYPTO_QUEUES_MAX || queues >= crypto->pci.queues)
		return FAIL(crypto, -EOPNOTSUPP,
			    "virtio-crypto: %s has %" PRIu32 " data queues and %u queues in all; "
			    "this driver uses up to %u, and a control queue",
			    bdf, queues, crypto->pci.queues, CRYPTO_QUEUES_MAX);
	crypto->n_queues = queues;
	if (!crypto->opts.poll && crypto->pci.vectors < queues)
		return FAIL(crypto, -ENOSPC,
			    "virtio-crypto: %s has %u MSI-X vectors, its %" PRIu32
			    " data queues need one each: poll",
			    bdf, crypto->pci.vectors, queues);
	return 0;
}

/* 5.9.5.2: no request before it says so; it is asked again after each reset. */
static int check_ready(struct crypto *crypto)
{
	if (get(crypto, CRYPTO_STATUS) & CRYPTO_STATUS_READY)
		return 0;
	return FAIL(crypto, -EAGAIN,
		    "virtio-crypto: %s is not ready: what is behind it in the host is not",
		    crypto->pci.bdf);
}

static int negotiate(struct crypto *crypto)
{
	uint64_t needed = VIRTIO_F_VERSION_1;
	struct vdma_arena_info info = { .size = sizeof(info) };
	int err;

	/* Without an IOMMU there is nothing that it could go past. */
	err = vdma_arena_query(crypto->arena, &info);
	if (err)
		return FAIL_VDMA(crypto, err);
	if (info.translation == VDMA_TRANSLATION_LINEAR)
		needed |= VIRTIO_F_ACCESS_PLATFORM;
	err = virtio_pci_negotiate(&crypto->pci, WANTED, needed);
	return err ? FAIL_PCI(crypto, err) : 0;
}

/* 5.9.6.1: all of them; memory is there already after a reset. */
static int create_queues(struct crypto *crypto)
{
	bool indirect = crypto->pci.features & VIRTIO_F_INDIRECT_DESC && !crypto->opts.direct;
	unsigned int size;
	int err = 0;

	for (unsigned int i = 0; i < crypto->n_queues && !err; i++) {
		unsigned int depth = crypto->opts.depth;

		err = virtio_pci_queue_size(&crypto->pci, i, &size);
		if (err)
			return FAIL_PCI(crypto, err);
		if (!depth)
			depth = size < DEFAULT_DEPTH ? size : DEFAULT_DEPTH;
		if (depth > size)
			return FAIL(crypto, -ERANGE,
				    "virtio-crypto: depth %u, but queue %u of %s has %u entries",
				    depth, i, crypto->pci.bdf, size);
		err = crypto_queue_create(crypto, i, size, depth, indirect, &crypto->queues[i]);
	}
	if (err)
		return err;
	err = virtio_pci_queue_size(&crypto->pci, crypto->n_queues, &size);
	if (err)
		return FAIL_PCI(crypto, err);
	if (size > CONTROL_SIZE)
		size = CONTROL_SIZE;
	err = virtqueue_create(&crypto->control, crypto->arena, size, 0, 0, crypto->why,
			       sizeof(crypto->why));
	if (err)
		return err;
	err = vdma_buf_alloc(crypto->arena, PAGE_LEN, NULL, &crypto->page);
	if (err)
		return FAIL_VDMA(crypto, err);
	crypto->control.index = (uint16_t)crypto->n_queues;
	/* Its requests are few and short: whoever waits for one looks at it. */
	crypto->control.quiet = true;
	virtqueue_reset(&crypto->control);
	return 0;
}

/* 3.1.1, from features that were agreed on to a device that works */
static int start(struct crypto *crypto)
{
	int err = 0;

	for (unsigned int i = 0; i < crypto->n_queues && !err; i++)
		err = virtio_pci_queue_enable(&crypto->pci, &crypto->queues[i]->vq,
					      crypto->opts.poll ? VIRTIO_NO_VECTOR : (uint16_t)i);
	if (!err)
		err = virtio_pci_queue_enable(&crypto->pci, &crypto->control, VIRTIO_NO_VECTOR);
	if (err)
		return FAIL_PCI(crypto, err);
	virtio_pci_start(&crypto->pci);
	return check_ready(crypto);
}

/* Whatever a struct crypto was before: sessions of then are not those of now. */
static uint64_t next_reset(void)
{
	static _Atomic uint64_t last;

	return ++last;
}

/*
 * Bus mastering is off first, and the memory ours, however the device has stopped. If it
 * cannot be closed it may still reach the memory, so all stays as it is.
 */
static int give_back(struct crypto *crypto)
{
	int err = virtio_pci_close(&crypto->pci);

	if (err)
		return FAIL_PCI(crypto, err);
	for (unsigned int i = 0; i < CRYPTO_QUEUES_MAX; i++) {
		if (!crypto->queues[i])
			continue;
		crypto_queue_reset(crypto->queues[i]);
		crypto_queue_destroy(crypto->queues[i]);
		crypto->queues[i] = NULL;
	}
	virtqueue_destroy(&crypto->control);
	if (crypto->page.va) {
		/* A key may be in it, if the device did not answer. */
		memset(crypto->page.va, 0, crypto->page.len);
		vdma_buf_free(crypto->arena, &crypto->page);
	}
	pthread_mutex_destroy(&crypto->lock);
	crypto->arena = NULL;
	return 0;
}

int crypto_open(struct crypto *crypto, struct vdma_arena *arena, struct vdma_ioas *ioas,
		const char *bdf, const struct crypto_opts *opts)
{
	int err;

	memset(crypto, 0, sizeof(*crypto));
	crypto->arena = arena;
	crypto->resets = next_reset();
	pthread_mutex_init(&crypto->lock, NULL);
	if (opts)
		crypto->opts = *opts;
	if (!crypto->opts.timeout_ms)
		crypto->opts.timeout_ms = DEFAULT_TIMEOUT_MS;
	err = virtio_pci_open(&crypto->pci, ioas, bdf, VIRTIO_PCI_CRYPTO, "virtio crypto device");
	if (err) {
		FAIL_PCI(crypto, err);
		goto close;
	}
	err = vdma_device_set_bus_master(crypto->pci.dev, 1);
	if (err) {
		FAIL_VDMA(crypto, err);
		goto close;
	}
	err = negotiate(crypto);
	if (!err)
		err = check_config(crypto);
	if (!err)
		err = create_queues(crypto);
	if (!err && !crypto->opts.poll) {
		err = vdma_device_irq_enable(crypto->pci.dev, VDMA_IRQ_MSIX, crypto->n_queues);
		if (err)
			FAIL_VDMA(crypto, err);
	}
	if (!err)
		err = start(crypto);
	if (!err)
		return 0;
close:
	/* Nobody but us has had the device, so nothing keeps it from being closed. */
	give_back(crypto);
	return err;
}

void crypto_cancel(struct crypto *crypto)
{
	crypto->canceled = true;
}

int crypto_reset(struct crypto *crypto)
{
	int err = virtio_pci_look(&crypto->pci, crypto->why, sizeof(crypto->why));

	if (err == -ENODEV)
		return err;
	err = virtio_pci_reset(&crypto->pci);
	if (err)
		return FAIL_PCI(crypto, err);
	/* After a reset of the function: of what it restores, see vdma_device_reset(). */
	err = vdma_device_set_bus_master(crypto->pci.dev, 1);
	if (err)
		return FAIL_VDMA(crypto, err);
	crypto->resets = next_reset();
	for (unsigned int i = 0; i < crypto->n_queues; i++)
		crypto_queue_reset(crypto->queues[i]);
	virtqueue_reset(&crypto->control);
	crypto->stuck = false;
	crypto->canceled = false;
	err = negotiate(crypto);
	return err ? err : start(crypto);
}

/* What is under way cannot be taken back but by a reset. */
static int stop(struct crypto *crypto)
{
	unsigned int out = 0;
	int err = virtio_pci_look(&crypto->pci, crypto->why, sizeof(crypto->why));

	if (err == -ENODEV)
		return err;
	for (unsigned int i = 0; i < crypto->n_queues; i++)
		out += crypto->queues[i]->vq.out;
	err = virtio_pci_reset(&crypto->pci);
	if (err)
		return FAIL_PCI(crypto, err);
	return out ? FAIL(crypto, -ECONNRESET,
			  "virtio-crypto: %s was reset with %u requests under way", crypto->pci.bdf,
			  out) :
		     0;
}

int crypto_close(struct crypto *crypto)
{
	int err, kept;

	if (!crypto->arena)
		return 0;
	err = stop(crypto);
	crypto->resets = next_reset();
	kept = give_back(crypto);
	return kept ? kept : err;
}
