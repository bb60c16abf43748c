// SPDX-License-Identifier: BSD-3-Clause
/* The controller: reset, PHY, link (4.5, 4.6, 10.2.2), start and stop, statistics (10.2.7). */
#define _POSIX_C_SOURCE 200809L
#include "e1000e.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DEFAULT_RING 256
#define RESET_TIMEOUT_MS 1000
#define PHY_TIMEOUT_MS 100
#define DRAIN_TIMEOUT_MS 1000
#define PENDING_TIMEOUT_MS 700 /* as the library has it, without an IOMMU */
/* Between two messages of a vector: latency of a packet at rest against their number. */
#define THROTTLE_NS 20000

#define FAIL(nic, err, ...) e1000e_fail((nic)->why, sizeof((nic)->why), err, __VA_ARGS__)
#define FAIL_VDMA(nic, err) FAIL(nic, err, "%s", vdma_explain())

int e1000e_fail(char *why, size_t size, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, size, format, args);
	va_end(args);
	return err;
}

uint64_t e1000e_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t e1000e_now_ms(void)
{
	return e1000e_now_us() / 1000;
}

static void sleep_ms(long ms)
{
	const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

static uint32_t get(const struct e1000e *nic, size_t reg)
{
	return vdma_mmio_read32(nic->regs, reg);
}

static void set(const struct e1000e *nic, size_t reg, uint32_t value)
{
	vdma_mmio_write32(nic->regs, reg, value);
}

/* 10.2.2.1: CTRL has bits of both kinds. What is not there reads ones, or zeroes in QEMU. */
static bool is_gone(const struct e1000e *nic)
{
	uint32_t ctrl = get(nic, E1000E_CTRL);

	return !ctrl || ctrl == UINT32_MAX;
}

int e1000e_look(struct e1000e *nic, char *why, size_t size)
{
	struct pollfd p = { .fd = nic->removal_fd, .events = POLLIN };
	uint32_t rctl;

	if (p.fd >= 0 && poll(&p, 1, 0) > 0)
		return e1000e_fail(why, size, -ENODEV,
				   "e1000e: the kernel asks for %s to be let go", nic->bdf);
	rctl = get(nic, E1000E_RCTL);
	if (is_gone(nic))
		return e1000e_fail(why, size, -ENODEV, "e1000e: %s is gone: no register answers",
				   nic->bdf);
	if (rctl != nic->rctl)
		return e1000e_fail(why, size, -ECONNRESET,
				   "e1000e: somebody has reset %s (RCTL is 0x%" PRIx32
				   ", not 0x%" PRIx32 "): stop and start it here, too",
				   nic->bdf, rctl, nic->rctl);
	return 0;
}

/* Until these bits of a register are so. */
static int await(struct e1000e *nic, size_t reg, uint32_t mask, uint32_t value, unsigned int ms,
		 const char *what)
{
	uint64_t start = e1000e_now_ms();
	uint32_t got;

	for (;;) {
		got = get(nic, reg);
		if (is_gone(nic))
			return FAIL(nic, -ENODEV, "e1000e: %s is gone: no register answers",
				    nic->bdf);
		if ((got & mask) == value)
			return 0;
		if (e1000e_now_ms() - start > ms)
			return FAIL(nic, -ETIMEDOUT,
				    "e1000e: %s did not %s within %u ms (register 0x%05zx is "
				    "0x%" PRIx32 ")",
				    nic->bdf, what, ms, reg, got);
		sleep_ms(1);
	}
}

/*
 * 4.6: interrupts off, then the reset, then interrupts off again. Before that the
 * device ends its requests (3.1.3.10), which would else be cut off on the bus.
 *
 * Erratum: QEMU 7.2 resets the address filter alone, so all that the driver relies on
 * is written, here and by e1000e_start(), what is 0 after a reset included.
 */
static int reset(struct e1000e *nic)
{
	int err;

	set(nic, E1000E_IMC, UINT32_MAX);
	set(nic, E1000E_RCTL, 0);
	set(nic, E1000E_TCTL, 0);
	set(nic, E1000E_CTRL, get(nic, E1000E_CTRL) | E1000E_CTRL_MASTER_DISABLE);
	err = await(nic, E1000E_STATUS, E1000E_STATUS_MASTER, 0, RESET_TIMEOUT_MS,
		    "end its requests");
	if (err == -ENODEV)
		return err;
	/* 3.1.3.10: if it does not, the reset is what is left to do. */
	set(nic, E1000E_CTRL, get(nic, E1000E_CTRL) | E1000E_CTRL_RST);
	sleep_ms(1);
	err = await(nic, E1000E_CTRL, E1000E_CTRL_RST, 0, RESET_TIMEOUT_MS, "end its reset");
	if (err)
		return err;
	/* 4.6: its address is read from the NVM meanwhile, which AV tells. */
	err = await(nic, E1000E_RAH(0), E1000E_RAH_AV, E1000E_RAH_AV, RESET_TIMEOUT_MS,
		    "have an address, for which it needs an NVM");
	if (err)
		return err;
	set(nic, E1000E_IMC, UINT32_MAX);
	set(nic, E1000E_EIAC, 0);
	set(nic, E1000E_IAM, 0);
	set(nic, E1000E_IVAR, 0);
	for (unsigned int i = 0; i < E1000E_QUEUES; i++) {
		set(nic, E1000E_RDLEN(i), 0);
		set(nic, E1000E_RDH(i), 0);
		set(nic, E1000E_RDT(i), 0);
		set(nic, E1000E_TDLEN(i), 0);
		set(nic, E1000E_TDH(i), 0);
		set(nic, E1000E_TDT(i), 0);
	}
	return 0;
}

/* 10.2.2.7: an access to the PHY, by the owner of the way there. */
static int mdio(struct e1000e *nic, uint32_t command, uint16_t *value)
{
	int err;

	set(nic, E1000E_MDIC, command | E1000E_MDIC_PHY | E1000E_MDIC_REG(E1000E_PHY_CONTROL));
	err = await(nic, E1000E_MDIC, E1000E_MDIC_READY, E1000E_MDIC_READY, PHY_TIMEOUT_MS,
		    "reach its PHY");
	if (err)
		return err;
	if (get(nic, E1000E_MDIC) & E1000E_MDIC_ERROR)
		return FAIL(nic, -EIO, "e1000e: the PHY of %s does not answer", nic->bdf);
	*value = E1000E_MDIC_DATA(get(nic, E1000E_MDIC));
	return 0;
}

/*
 * The reset above leaves the PHY as it was: it may be powered down, as the kernel's
 * driver does. Else its link is left alone, for a new one takes seconds.
 */
static int wake_phy(struct e1000e *nic)
{
	uint32_t extcnf = get(nic, E1000E_EXTCNF_CTRL);
	uint16_t control, ignored;
	int err;

	/* 4.5.2: it is ours when the bit reads 1. */
	set(nic, E1000E_EXTCNF_CTRL, extcnf | E1000E_EXTCNF_SW_OWNER);
	err = await(nic, E1000E_EXTCNF_CTRL, E1000E_EXTCNF_SW_OWNER, E1000E_EXTCNF_SW_OWNER,
		    PHY_TIMEOUT_MS, "let us at its PHY");
	if (err)
		return err;
	err = mdio(nic, E1000E_MDIC_READ, &control);
	if (!err && (control & (E1000E_PHY_POWER_DOWN | E1000E_PHY_ISOLATE | E1000E_PHY_LOOPBACK |
				E1000E_PHY_AUTONEG)) != E1000E_PHY_AUTONEG)
		err = mdio(nic, E1000E_MDIC_WRITE | E1000E_PHY_AUTONEG | E1000E_PHY_RESTART,
			   &ignored);
	set(nic, E1000E_EXTCNF_CTRL, get(nic, E1000E_EXTCNF_CTRL) & ~E1000E_EXTCNF_SW_OWNER);
	return err;
}

/* 10.2.7: the lower half first; reading the upper one clears both. */
static uint64_t get_pair(const struct e1000e *nic, size_t low, size_t high)
{
	uint64_t value = get(nic, low);

	return value | (uint64_t)get(nic, high) << 32;
}

/*
 * Erratum: of the totals QEMU 7.2 makes copies, which are those of good packets, each
 * time it counts one. So reading these does not clear them, and the totals are read.
 */
static void gather(struct e1000e *nic)
{
	struct e1000e_stats s = nic->stats;

	s.rx_packets += get(nic, E1000E_TPR);
	s.rx_bytes += get_pair(nic, E1000E_TORL, E1000E_TORH);
	s.tx_packets += get(nic, E1000E_TPT);
	s.tx_bytes += get_pair(nic, E1000E_TOTL, E1000E_TOTH);
	s.missed += get(nic, E1000E_MPC);
	s.no_buffers += get(nic, E1000E_RNBC);
	s.crc_errors += get(nic, E1000E_CRCERRS);
	s.data_errors += get(nic, E1000E_RXERRC);
	s.too_long += get(nic, E1000E_ROC);
	/* Asked last: it may go meanwhile, and then these are ones. */
	if (!is_gone(nic))
		nic->stats = s;
}

void e1000e_read_stats(struct e1000e *nic, struct e1000e_stats *stats)
{
	if (nic->regs)
		gather(nic);
	*stats = nic->stats;
}

static int check_opts(struct e1000e *nic, const struct e1000e_opts *opts)
{
	struct vdma_pool_info info = { .size = sizeof(info) };
	struct e1000e_opts *o = &nic->opts;
	int err;

	if (opts)
		*o = *opts;
	if (!o->queues)
		o->queues = 1;
	if (!o->rx_ring)
		o->rx_ring = DEFAULT_RING;
	if (!o->tx_ring)
		o->tx_ring = DEFAULT_RING;
	if (!o->frame)
		o->frame = E1000E_FRAME_MIN;
	if (o->queues > E1000E_QUEUES)
		return FAIL(nic, -EINVAL, "e1000e: %u queues, the device has %u", o->queues,
			    E1000E_QUEUES);
	if (o->rx_ring < E1000E_RING_MIN || o->rx_ring > E1000E_RING_MAX || o->rx_ring % 8 ||
	    o->tx_ring < E1000E_RING_MIN || o->tx_ring > E1000E_RING_MAX || o->tx_ring % 8)
		return FAIL(nic, -EINVAL,
			    "e1000e: rings of %" PRIu32 " and %" PRIu32
			    " descriptors, there are multiples of 8 from %u to %u",
			    o->rx_ring, o->tx_ring, E1000E_RING_MIN, E1000E_RING_MAX);
	if (o->frame < E1000E_FRAME_MIN || o->frame > E1000E_FRAME_MAX)
		return FAIL(nic, -EINVAL,
			    "e1000e: frames of %" PRIu32 " bytes, there are those of %u to %u",
			    o->frame, E1000E_FRAME_MIN, E1000E_FRAME_MAX);
	err = vdma_pool_query(nic->pool, &info);
	if (err)
		return FAIL_VDMA(nic, err);
	if (info.stride < E1000E_RX_BUF_LEN)
		return FAIL(nic, -EINVAL,
			    "e1000e: the pool's buffers have %" PRIu32
			    " bytes, the device writes up to %u into each",
			    info.stride, E1000E_RX_BUF_LEN);
	return 0;
}

static int take(struct e1000e *nic, struct vdma_ioas *ioas, const char *bdf)
{
	struct vdma_device_info info = { .size = sizeof(info) };
	struct vdma_pci_info pci = { .size = sizeof(pci) };
	struct vdma_bar bar;
	uint32_t low, high;
	int err;

	err = vdma_pci_query(bdf, &pci);
	if (err)
		return FAIL_VDMA(nic, err);
	memcpy(nic->bdf, pci.bdf, sizeof(nic->bdf));
	if (pci.vendor != E1000E_PCI_VENDOR || pci.device != E1000E_PCI_82574L)
		return FAIL(nic, -ENODEV, "e1000e: %s is no 82574L, but: %s %s (%s)", pci.bdf,
			    pci.vendor_name, pci.device_name, pci.class_name);
	err = vdma_device_open(ioas, bdf, NULL, &nic->dev);
	if (!err)
		err = vdma_device_query(nic->dev, &info);
	if (!err)
		err = vdma_device_bar(nic->dev, E1000E_BAR, &bar);
	if (err)
		return FAIL_VDMA(nic, err);
	if (bar.len < E1000E_BAR_LEN)
		return FAIL(nic, -ENODEV, "e1000e: %s has %zu bytes of registers, not %u", pci.bdf,
			    bar.len, E1000E_BAR_LEN);
	nic->regs = bar.va;
	if (vdma_device_removal_fd(nic->dev, &nic->removal_fd))
		nic->removal_fd = -1;
	if (nic->opts.mode != E1000E_POLL && info.irqs[VDMA_IRQ_MSIX] < nic->opts.queues)
		return FAIL(nic, -ENOSPC,
			    "e1000e: %s has %u MSI-X vectors, %u queues need one each: poll",
			    nic->bdf, info.irqs[VDMA_IRQ_MSIX], nic->opts.queues);
	/* Whoever had it before may have been killed: nothing of his goes on. */
	err = reset(nic);
	if (err)
		return err;
	/* What was counted for whoever had it before, where the reset has left it. */
	gather(nic);
	memset(&nic->stats, 0, sizeof(nic->stats));
	low = get(nic, E1000E_RAL(0));
	high = get(nic, E1000E_RAH(0));
	for (unsigned int i = 0; i < 6; i++)
		nic->mac[i] = (uint8_t)(i < 4 ? low >> 8 * i : high >> 8 * (i - 4));
	if (nic->opts.mode == E1000E_POLL)
		return 0;
	err = vdma_device_irq_enable(nic->dev, VDMA_IRQ_MSIX, nic->opts.queues);
	return err ? FAIL_VDMA(nic, err) : 0;
}

/* Bus mastering is off first, and the memory ours, however the controller has stopped. */
static int give_back(struct e1000e *nic)
{
	int err = vdma_device_close(nic->dev);

	/* It is as it was, and so is what it may reach. */
	if (err)
		return err;
	for (unsigned int i = 0; i < nic->opts.queues && i < E1000E_QUEUES; i++)
		e1000e_queue_destroy(&nic->queues[i]);
	nic->dev = NULL;
	nic->regs = NULL;
	nic->arena = NULL;
	return 0;
}

int e1000e_open(struct e1000e *nic, struct vdma_arena *arena, struct vdma_ioas *ioas,
		const char *bdf, struct vdma_pool *pool, const struct e1000e_opts *opts)
{
	int err;

	memset(nic, 0, sizeof(*nic));
	nic->arena = arena;
	nic->pool = pool;
	nic->removal_fd = -1;
	err = check_opts(nic, opts);
	if (!err)
		err = take(nic, ioas, bdf);
	for (unsigned int i = 0; i < nic->opts.queues && !err; i++)
		err = e1000e_queue_create(nic, i);
	if (err)
		give_back(nic);
	return err;
}

int e1000e_close(struct e1000e *nic)
{
	int err, err2;

	if (!nic->arena)
		return 0;
	err = e1000e_stop(nic);
	err2 = give_back(nic);
	return err2 ? FAIL_VDMA(nic, err2) : err;
}

/* 7.4.2, 10.2.4.9: a vector for what comes in through each queue. */
static void set_vectors(const struct e1000e *nic)
{
	uint32_t ivar = 0;

	if (nic->opts.mode == E1000E_POLL)
		return;
	for (unsigned int i = 0; i < nic->opts.queues; i++) {
		ivar |= E1000E_IVAR_RXQ(i, i);
		set(nic, E1000E_EITR(i), THROTTLE_NS / E1000E_EITR_NS);
	}
	set(nic, E1000E_IVAR, ivar);
}

/*
 * 7.1.11: every second value of the hash is of queue 1. With this key a connection has
 * the same hash in both directions: its bits have a period of 16, so that swapping
 * addresses and ports changes nothing.
 */
static void set_scaling(const struct e1000e *nic)
{
	for (unsigned int i = 0; i < E1000E_RSSRK_COUNT; i++)
		set(nic, E1000E_RSSRK(i), 0x5a6d5a6d);
	for (unsigned int i = 0; i < E1000E_RETA_COUNT; i++)
		set(nic, E1000E_RETA(i), E1000E_RETA_QUEUE1 << 8 | E1000E_RETA_QUEUE1 << 24);
	set(nic, E1000E_MRQC,
	    nic->opts.queues > 1 ? E1000E_MRQC_RSS | E1000E_MRQC_IPV4 | E1000E_MRQC_TCP_IPV4 : 0);
}

/* 4.6.5: receive initialization, all but RCTL.EN */
static int prepare_rx(struct e1000e *nic)
{
	e1000e_filter_write(nic);
	set_scaling(nic);
	set(nic, E1000E_RDTR, 0);
	set(nic, E1000E_RADV, 0);
	set(nic, E1000E_RFCTL, E1000E_RFCTL_EXTEN);
	set(nic, E1000E_RXCSUM, E1000E_RXCSUM_IP | E1000E_RXCSUM_L4 | E1000E_RXCSUM_PCSD);
	for (unsigned int i = 0; i < nic->opts.queues; i++) {
		struct e1000e_queue *q = &nic->queues[i];
		int err;

		set(nic, E1000E_RXDCTL(i), E1000E_DCTL_GRAN | E1000E_DCTL_WTHRESH(1));
		set(nic, E1000E_RDBAL(i), (uint32_t)vdma_ring_iova(&q->rx, 0));
		set(nic, E1000E_RDBAH(i), (uint32_t)(vdma_ring_iova(&q->rx, 0) >> 32));
		set(nic, E1000E_RDLEN(i), q->rx.count * q->rx.entry);
		err = e1000e_queue_fill(q);
		if (err)
			return FAIL(nic, err, "%s", q->why);
	}
	return 0;
}

/* 4.6.6: transmit initialization */
static void prepare_tx(const struct e1000e *nic)
{
	set(nic, E1000E_TIDV, 0);
	set(nic, E1000E_TADV, 0);
	set(nic, E1000E_TIPG, E1000E_TIPG_DEFAULT);
	for (unsigned int i = 0; i < nic->opts.queues; i++) {
		const struct e1000e_queue *q = &nic->queues[i];

		set(nic, E1000E_TDBAL(i), (uint32_t)vdma_ring_iova(&q->tx, 0));
		set(nic, E1000E_TDBAH(i), (uint32_t)(vdma_ring_iova(&q->tx, 0) >> 32));
		set(nic, E1000E_TDLEN(i), q->tx.count * q->tx.entry);
		set(nic, E1000E_TXDCTL(i),
		    E1000E_DCTL_GRAN | E1000E_DCTL_ONE | E1000E_DCTL_WTHRESH(1));
		set(nic, E1000E_TARC(i), get(nic, E1000E_TARC(i)) | E1000E_TARC_ENABLE);
	}
	set(nic, E1000E_TCTL, E1000E_TCTL_EN | E1000E_TCTL_PSP | E1000E_TCTL_CT | E1000E_TCTL_COLD);
}

int e1000e_start(struct e1000e *nic)
{
	uint32_t rctl = E1000E_RCTL_EN | E1000E_RCTL_BAM | E1000E_RCTL_BSIZE_2048 |
			E1000E_RCTL_SECRC | nic->filter;
	int err;

	if (nic->rctl)
		return 0;
	nic->canceled = false;
	/* 4.6, 10.2.2.1: link by the PHY's negotiation. */
	set(nic, E1000E_CTRL,
	    (get(nic, E1000E_CTRL) &
	     ~(E1000E_CTRL_MASTER_DISABLE | E1000E_CTRL_ASDE | E1000E_CTRL_FRCSPD |
	       E1000E_CTRL_FRCDPLX | E1000E_CTRL_RFCE | E1000E_CTRL_TFCE | E1000E_CTRL_VME)) |
		    E1000E_CTRL_SLU);
	set(nic, E1000E_CTRL_EXT,
	    (get(nic, E1000E_CTRL_EXT) & ~(E1000E_CTRL_EXT_IAME | E1000E_CTRL_EXT_EIAME)) |
		    E1000E_CTRL_EXT_DRV_LOAD);
	err = wake_phy(nic);
	if (err)
		return err;
	err = vdma_device_set_bus_master(nic->dev, 1);
	if (err)
		return FAIL_VDMA(nic, err);
	set_vectors(nic);
	err = prepare_rx(nic);
	if (err) {
		for (unsigned int i = 0; i < nic->opts.queues; i++)
			e1000e_queue_empty(&nic->queues[i]);
		return err;
	}
	prepare_tx(nic);
	/* 10.2.5.1: without LPE frames of up to 1522 bytes come, CRC included. */
	if (nic->opts.frame > 1518)
		rctl |= E1000E_RCTL_LPE;
	nic->rctl = rctl;
	set(nic, E1000E_RCTL, rctl);
	return 0;
}

/* What is on its way out goes out, if there is a link. */
static int drain(struct e1000e *nic)
{
	uint64_t start = e1000e_now_ms();
	uint32_t left;

	for (;;) {
		left = 0;
		for (unsigned int i = 0; i < nic->opts.queues; i++)
			left += e1000e_queue_reclaim(&nic->queues[i]);
		if (!left)
			return 0;
		if (!e1000e_link(nic))
			return FAIL(nic, -ENETDOWN,
				    "e1000e: the link of %s is down, %" PRIu32
				    " descriptors were not sent",
				    nic->bdf, left);
		if (e1000e_now_ms() - start > DRAIN_TIMEOUT_MS)
			return FAIL(nic, -ETIMEDOUT,
				    "e1000e: %s did not send %" PRIu32 " descriptors within %d ms",
				    nic->bdf, left, DRAIN_TIMEOUT_MS);
		sleep_ms(1);
	}
}

/*
 * Erratum: QEMU 7.2 ends itself when its timer of a vector, 128 us after the last message,
 * finds MSI-X off; no reset stops it. Our own sleep is timed by the same list of
 * QEMU's, in their order: after two it has run.
 */
static void outlast_throttling(const struct e1000e *nic)
{
	if (nic->opts.mode == E1000E_POLL)
		return;
	for (unsigned int i = 0; i < 2; i++)
		sleep_ms(5);
}

/*
 * Bus mastering off stops new requests only. Of those that were begun, writes are ahead of
 * the answer to a read of config space, and while there are reads a bit there says so. If
 * there is no answer, or ones, the device is gone, and they with it.
 */
static int silence(struct e1000e *nic)
{
	uint64_t start = e1000e_now_ms();
	uint32_t status;
	int err = vdma_device_set_bus_master(nic->dev, 0);

	if (err)
		return FAIL_VDMA(nic, err);
	for (;;) {
		if (vdma_device_config_read(nic->dev, E1000E_DEVSTA, 2, &status) ||
		    status == UINT16_MAX || !(status & E1000E_DEVSTA_PENDING))
			return 0;
		if (e1000e_now_ms() - start > PENDING_TIMEOUT_MS)
			return FAIL(nic, -ETIMEDOUT,
				    "e1000e: %s did not end its requests within %d ms after bus "
				    "mastering was switched off",
				    nic->bdf, PENDING_TIMEOUT_MS);
		sleep_ms(1);
	}
}

int e1000e_stop(struct e1000e *nic)
{
	char why[sizeof(nic->why)];
	int err, err2 = 0, err3;

	if (!nic->rctl)
		return 0;
	set(nic, E1000E_IMC, UINT32_MAX);
	err = e1000e_look(nic, nic->why, sizeof(nic->why));
	set(nic, E1000E_RCTL, nic->rctl & ~E1000E_RCTL_EN);
	if (!err)
		err = drain(nic);
	memcpy(why, nic->why, sizeof(why));
	nic->rctl = 0;
	if (err == -ENODEV) {
		/* It may be half gone: what it answers means nothing. */
		set(nic, E1000E_TCTL, 0);
	} else {
		gather(nic);
		set(nic, E1000E_CTRL_EXT, get(nic, E1000E_CTRL_EXT) & ~E1000E_CTRL_EXT_DRV_LOAD);
		err2 = reset(nic);
	}
	outlast_throttling(nic);
	err3 = silence(nic);
	/* The first failure is told of, unless the device may still reach memory, which is worse. */
	if (err && err3 != -ETIMEDOUT)
		memcpy(nic->why, why, sizeof(why));
	else
		err = err3 ? err3 : err2;
	/* It does not reach memory now; if it may, no more can be done than to tell of it. */
	for (unsigned int i = 0; i < nic->opts.queues; i++)
		e1000e_queue_empty(&nic->queues[i]);
	return err;
}

void e1000e_cancel(struct e1000e *nic)
{
	nic->canceled = true;
}

unsigned int e1000e_link(const struct e1000e *nic)
{
	static const unsigned int speeds[] = { 10, 100, 1000, 1000 };
	uint32_t status = get(nic, E1000E_STATUS);

	if (status == UINT32_MAX || !(status & E1000E_STATUS_LU))
		return 0;
	return speeds[E1000E_STATUS_SPEED(status)];
}
