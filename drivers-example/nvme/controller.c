// SPDX-License-Identifier: BSD-3-Clause
/* The controller: registers (3.1), initialization, reset, shutdown (7.3, 7.6). */
#define _POSIX_C_SOURCE 200809L
#include "nvme.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* One admin command at a time, but for those that were given up. */
#define ADMIN_DEPTH 31
#define DEFAULT_DEPTH 256
#define DEFAULT_TIMEOUT_MS 5000
#define DEFAULT_SHUTDOWN_MS 5000
/* A reset waits so long for what is under way. */
#define DRAIN_MS 100

#define FAIL(nvme, err, ...) nvme_fail((nvme)->why, sizeof((nvme)->why), err, __VA_ARGS__)
#define FAIL_VDMA(nvme, err) FAIL(nvme, err, "%s", vdma_explain())

static uint32_t get(const struct nvme *nvme, size_t reg)
{
	return vdma_mmio_read32(nvme->regs, reg);
}

static void set(const struct nvme *nvme, size_t reg, uint32_t value)
{
	vdma_mmio_write32(nvme->regs, reg, value);
}

/* 3.1.2: a constant. What is not there reads ones, or zeroes in QEMU. */
static bool is_gone(const struct nvme *nvme)
{
	return get(nvme, NVME_VS) != nvme->version;
}

int nvme_look(struct nvme *nvme, char *why, size_t size)
{
	struct pollfd p = { .fd = nvme->removal_fd, .events = POLLIN };
	uint32_t csts;

	if (p.fd >= 0 && poll(&p, 1, 0) > 0)
		return nvme_fail(why, size, -ENODEV, "nvme: the kernel asks for %s to be let go",
				 nvme->bdf);
	csts = get(nvme, NVME_CSTS);
	if (is_gone(nvme))
		return nvme_fail(why, size, -ENODEV, "nvme: %s is gone: no register answers",
				 nvme->bdf);
	if (csts & NVME_CSTS_CFS)
		return nvme_fail(why, size, -EIO,
				 "nvme: %s reports a fatal error (CSTS 0x%" PRIx32 "): reset it",
				 nvme->bdf, csts);
	if (!(csts & NVME_CSTS_RDY))
		return nvme_fail(why, size, -ECONNRESET,
				 "nvme: somebody has reset %s (CSTS 0x%" PRIx32
				 "): reset it here, too",
				 nvme->bdf, csts);
	return 0;
}

/* 3.1.6: until these bits of CSTS are so. */
static int await(struct nvme *nvme, uint32_t mask, uint32_t value, unsigned int ms,
		 const char *what)
{
	const struct timespec tick = { .tv_nsec = 1000000 };
	uint64_t start = nvme_now_ms();
	uint32_t csts;

	for (;;) {
		csts = get(nvme, NVME_CSTS);
		if (is_gone(nvme))
			return FAIL(nvme, -ENODEV, "nvme: %s is gone: no register answers",
				    nvme->bdf);
		if ((csts & mask) == value)
			return 0;
		if (value && (csts & NVME_CSTS_CFS))
			return FAIL(nvme, -EIO, "nvme: %s reports a fatal error while it should %s",
				    nvme->bdf, what);
		if (nvme_now_ms() - start > ms)
			return FAIL(nvme, -ETIMEDOUT,
				    "nvme: %s did not %s within %u ms (CSTS 0x%" PRIx32 ")",
				    nvme->bdf, what, ms, csts);
		nanosleep(&tick, NULL);
	}
}

/* 3.1.1, CAP.TO: worst time for CSTS.RDY to follow CC.EN */
static unsigned int ready_ms(const struct nvme *nvme)
{
	unsigned int ms = NVME_CAP_TO(nvme->cap) * 500;

	return ms ? ms : 500;
}

/* 7.3.2: Controller Level Reset by clearing CC.EN. No DMA of the controller's comes after it. */
static int disable(struct nvme *nvme)
{
	uint32_t cc = get(nvme, NVME_CC);
	int err;

	/* 3.1.5: EN is not to be cleared before RDY has followed an earlier setting of it. */
	if ((cc & NVME_CC_EN) && !(get(nvme, NVME_CSTS) & NVME_CSTS_CFS)) {
		err = await(nvme, NVME_CSTS_RDY, NVME_CSTS_RDY, ready_ms(nvme), "become ready");
		if (err && err != -ETIMEDOUT && err != -EIO)
			return err;
	}
	set(nvme, NVME_CC, cc & ~(NVME_CC_EN | NVME_CC_SHN_MASK));
	return await(nvme, NVME_CSTS_RDY, 0, ready_ms(nvme), "stop");
}

/* 7.6.1: initialization, from a disabled controller on */
static int enable(struct nvme *nvme)
{
	unsigned int mps = NVME_CAP_MPSMIN(nvme->cap);

	set(nvme, NVME_AQA, ADMIN_DEPTH << 16 | ADMIN_DEPTH);
	vdma_mmio_write64(nvme->regs, NVME_ASQ, nvme->admin->sq_mem.iova);
	vdma_mmio_write64(nvme->regs, NVME_ACQ, nvme->admin->cq_mem.iova);
	/* Round robin, the NVM command set: both are 0. */
	set(nvme, NVME_CC,
	    NVME_CC_EN | NVME_CC_MPS(mps) | NVME_CC_IOSQES(NVME_SQE_SHIFT) |
		    NVME_CC_IOCQES(NVME_CQE_SHIFT));
	return await(nvme, NVME_CSTS_RDY, NVME_CSTS_RDY, ready_ms(nvme), "become ready");
}

static int check_opts(struct nvme *nvme, const struct nvme_opts *opts)
{
	if (opts)
		nvme->opts = *opts;
	if (!nvme->opts.queues)
		nvme->opts.queues = 1;
	if (!nvme->opts.timeout_ms)
		nvme->opts.timeout_ms = DEFAULT_TIMEOUT_MS;
	if (nvme->opts.queues > NVME_QUEUES_MAX)
		return FAIL(nvme, -EINVAL, "nvme: %u queues, there are up to %u in this driver",
			    nvme->opts.queues, NVME_QUEUES_MAX);
	if (nvme->opts.depth > NVME_DEPTH_MAX)
		return FAIL(nvme, -EINVAL, "nvme: depth %u, there are up to %u in this driver",
			    nvme->opts.depth, NVME_DEPTH_MAX);
	return 0;
}

/* 3.1.1: what the controller can do has to go with what was asked for. */
static int check_capabilities(struct nvme *nvme)
{
	uint32_t entries;

	nvme->cap = vdma_mmio_read64(nvme->regs, NVME_CAP);
	nvme->version = get(nvme, NVME_VS);
	if (nvme->version == UINT32_MAX || !nvme->version)
		return FAIL(nvme, -ENODEV, "nvme: %s is gone: no register answers", nvme->bdf);
	if (!NVME_CAP_CSS_NVM(nvme->cap))
		return FAIL(nvme, -EOPNOTSUPP,
			    "nvme: %s has no NVM command set (CAP 0x%" PRIx64 ")", nvme->bdf,
			    nvme->cap);
	nvme->page_len = (size_t)4096 << NVME_CAP_MPSMIN(nvme->cap);
	entries = NVME_CAP_MQES(nvme->cap) + 1;
	if (!nvme->opts.depth)
		nvme->opts.depth = DEFAULT_DEPTH < entries ? DEFAULT_DEPTH : entries - 1;
	if (nvme->opts.depth >= entries)
		return FAIL(nvme, -ERANGE,
			    "nvme: depth %u, but queues of %s have %" PRIu32
			    " entries, one of which stays empty",
			    nvme->opts.depth, nvme->bdf, entries);
	return 0;
}

static int take(struct nvme *nvme, struct vdma_ioas *ioas, const char *bdf)
{
	struct vdma_device_info info = { .size = sizeof(info) };
	struct vdma_pci_info pci = { .size = sizeof(pci) };
	struct vdma_bar bar;
	int err;

	err = vdma_pci_query(bdf, &pci);
	if (err)
		return FAIL_VDMA(nvme, err);
	memcpy(nvme->bdf, pci.bdf, sizeof(nvme->bdf));
	if (pci.class_code != NVME_PCI_CLASS)
		return FAIL(nvme, -ENODEV, "nvme: %s is no NVMe controller, but: %s %s (%s)",
			    pci.bdf, pci.vendor_name, pci.device_name, pci.class_name);
	err = vdma_device_open(ioas, bdf, NULL, &nvme->dev);
	if (!err)
		err = vdma_device_query(nvme->dev, &info);
	if (!err)
		err = vdma_device_bar(nvme->dev, NVME_BAR, &bar);
	if (err)
		return FAIL_VDMA(nvme, err);
	nvme->regs = bar.va;
	if (vdma_device_removal_fd(nvme->dev, &nvme->removal_fd))
		nvme->removal_fd = -1;
	err = check_capabilities(nvme);
	if (err)
		return err;
	if (!nvme->opts.poll && info.irqs[VDMA_IRQ_MSIX] <= nvme->opts.queues)
		return FAIL(
			nvme, -ENOSPC,
			"nvme: %s has %u MSI-X vectors, the admin queue and %u more need one each: "
			"poll, or take fewer queues",
			nvme->bdf, info.irqs[VDMA_IRQ_MSIX], nvme->opts.queues);
	/* Whoever had it before may have been killed: nothing of his goes on. */
	err = disable(nvme);
	if (err)
		return err;
	err = vdma_device_set_bus_master(nvme->dev, 1);
	if (!err && !nvme->opts.poll)
		err = vdma_device_irq_enable(nvme->dev, VDMA_IRQ_MSIX, nvme->opts.queues + 1);
	return err ? FAIL_VDMA(nvme, err) : 0;
}

/* A list page for each page of entries that the longest transfer can need, and its offset one more. */
static size_t list_len(const struct nvme *nvme)
{
	size_t per_page = nvme->page_len / sizeof(uint64_t) - 1;
	size_t entries = nvme->transfer_max / nvme->page_len + 1;

	return (entries + per_page - 1) / per_page * nvme->page_len;
}

/*
 * Bus mastering is off first, and the memory ours, however the controller has stopped. If it
 * cannot be closed it may still reach the memory, so all stays as it is.
 */
static int give_back(struct nvme *nvme)
{
	int err = vdma_device_close(nvme->dev);

	if (err)
		return FAIL_VDMA(nvme, err);
	for (unsigned int i = 0; i < NVME_QUEUES_MAX; i++) {
		if (!nvme->queues[i])
			continue;
		nvme_queue_reset(nvme->queues[i]);
		nvme_queue_destroy(nvme->queues[i]);
		nvme->queues[i] = NULL;
	}
	nvme_queue_destroy(nvme->admin);
	nvme->admin = NULL;
	if (nvme->page.va)
		vdma_buf_free(nvme->arena, &nvme->page);
	pthread_mutex_destroy(&nvme->lock);
	nvme->dev = NULL;
	nvme->regs = NULL;
	nvme->arena = NULL;
	return 0;
}

int nvme_open(struct nvme *nvme, struct vdma_arena *arena, struct vdma_ioas *ioas, const char *bdf,
	      const struct nvme_opts *opts)
{
	int err;

	memset(nvme, 0, sizeof(*nvme));
	nvme->arena = arena;
	nvme->removal_fd = -1;
	pthread_mutex_init(&nvme->lock, NULL);
	err = check_opts(nvme, opts);
	if (!err)
		err = take(nvme, ioas, bdf);
	if (err)
		goto close;
	err = nvme_queue_create(nvme, 0, ADMIN_DEPTH, 0, &nvme->admin);
	if (err)
		goto close;
	err = vdma_buf_alloc(arena, NVME_IDENTIFY_LEN,
			     &(struct vdma_buf_opts){ .size = sizeof(struct vdma_buf_opts),
						      .align = nvme->page_len },
			     &nvme->page);
	if (err) {
		FAIL_VDMA(nvme, err);
		goto close;
	}
	err = enable(nvme);
	if (!err)
		err = nvme_admin_identify(nvme);
	if (!err && nvme->opts.list == NVME_LIST_SGL && !nvme->has_sgl)
		err = FAIL(nvme, -EOPNOTSUPP, "nvme: %s has no SGLs: take PRPs", nvme->bdf);
	for (unsigned int i = 0; i < nvme->opts.queues && !err; i++) {
		err = nvme_queue_create(nvme, i + 1, nvme->opts.depth, list_len(nvme),
					&nvme->queues[i]);
		if (!err)
			nvme->queues[i]->sgl = nvme->has_sgl && nvme->opts.list != NVME_LIST_PRP;
	}
	if (!err)
		err = nvme_admin_create_queues(nvme);
	if (err)
		goto close;
	return 0;

close:
	/* Nobody but us has had the device, so nothing keeps it from being closed. */
	give_back(nvme);
	return err;
}

void nvme_cancel(struct nvme *nvme)
{
	nvme->canceled = true;
}

/*
 * What is about to end may: few controllers have been stopped in the midst of transfers, and
 * QEMU 7.2's at times goes on with one afterwards, and ends itself.
 */
static void drain(struct nvme *nvme)
{
	const struct timespec tick = { .tv_nsec = 1000000 };
	uint64_t start = nvme_now_ms();
	unsigned int out;

	do {
		out = 0;
		for (unsigned int i = 0; i < nvme->opts.queues; i++) {
			struct nvme_queue *q = nvme->queues[i];

			if (nvme_poll(q) < 0)
				return;
			out += q->out;
		}
	} while (out && nvme_now_ms() - start < DRAIN_MS && !nanosleep(&tick, NULL));
}

int nvme_reset(struct nvme *nvme)
{
	int err = nvme_look(nvme, nvme->why, sizeof(nvme->why));

	if (!err)
		drain(nvme);
	if (err != -ENODEV)
		err = disable(nvme);
	if (err)
		return err;
	/* After a reset of the function: of what it restores, see vdma_device_reset(). */
	err = vdma_device_set_bus_master(nvme->dev, 1);
	if (err)
		return FAIL_VDMA(nvme, err);
	nvme_queue_reset(nvme->admin);
	for (unsigned int i = 0; i < nvme->opts.queues; i++)
		nvme_queue_reset(nvme->queues[i]);
	nvme->canceled = false;
	err = enable(nvme);
	return err ? err : nvme_admin_create_queues(nvme);
}

/* 7.6.2: "normal shutdown", for which nothing may be under way */
static int shut_down(struct nvme *nvme)
{
	unsigned int ms = nvme->shutdown_ms > DEFAULT_SHUTDOWN_MS ? nvme->shutdown_ms :
								    DEFAULT_SHUTDOWN_MS;
	int err;

	/* By an nvme_close() that could not close the device. */
	if ((get(nvme, NVME_CSTS) & NVME_CSTS_SHST_MASK) == NVME_CSTS_SHST_DONE)
		return 0;
	err = nvme_admin_delete_queues(nvme);
	if (err)
		return err;
	set(nvme, NVME_CC, (get(nvme, NVME_CC) & ~NVME_CC_SHN_MASK) | NVME_CC_SHN_NORMAL);
	return await(nvme, NVME_CSTS_SHST_MASK, NVME_CSTS_SHST_DONE, ms, "shut down");
}

/* In order if that is possible; what is under way after a timeout cannot be waited for. */
static int stop(struct nvme *nvme)
{
	unsigned int out = nvme->admin->out;
	int err = nvme_look(nvme, nvme->why, sizeof(nvme->why));

	if (err == -ENODEV)
		return err;
	for (unsigned int i = 0; i < nvme->opts.queues; i++)
		out += nvme->queues[i]->out;
	if (!err && !out && !shut_down(nvme))
		return 0;
	err = disable(nvme);
	return err ? err : FAIL(nvme, -ECONNRESET, "nvme: %s was reset, not shut down", nvme->bdf);
}

int nvme_close(struct nvme *nvme)
{
	int err, kept;

	if (!nvme->arena)
		return 0;
	err = stop(nvme);
	kept = give_back(nvme);
	return kept ? kept : err;
}
