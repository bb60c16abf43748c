// SPDX-License-Identifier: BSD-3-Clause
/*
 * Ten devices of three kinds in three address spaces of one arena: every region has
 * one device address for all of them, be it older than the first or younger than the
 * last, and each of them reads and writes through it.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "guest.h"

#define KINDS 3
#define SPACES 3
#define REGIONS 4
#define WINDOW_BITS 39

/* NVM Express 1.4, 3.1: registers; figures 105, 121 and 245: entries, and Identify. */
#define NVME_CC 0x14
#define NVME_CSTS 0x1c
#define NVME_AQA 0x24
#define NVME_ASQ 0x28
#define NVME_ACQ 0x30
#define NVME_SQ0_TAIL 0x1000
#define NVME_ENTRIES 8
#define NVME_IDENTIFY 6
#define NVME_CONTROLLER 1

/* Intel 82574 datasheet, 10.2.6 and 7.2.10: transmission, legacy descriptors. */
#define E1000E_TCTL 0x400
#define E1000E_TCTL_EN 2u
#define E1000E_TDBAL 0x3800
#define E1000E_TDBAH 0x3804
#define E1000E_TDLEN 0x3808
#define E1000E_TDH 0x3810
#define E1000E_TDT 0x3818
#define E1000E_RING 8
#define E1000E_CMD (0x0bu << 24) /* end of packet, checksum, report status */
#define E1000E_DONE 1u

struct user {
	struct vdma_device *dev; /* edu has its own */
	struct vdma_bar bar;
	struct edu edu;
	void (*use)(struct user *user, const struct vdma_buf *buf);
};

static void wait_until(volatile const uint32_t *word, uint32_t mask, uint32_t value)
{
	for (int i = 0; i < 5000 && (*word & mask) != value; i++)
		usleep(1000);
	assert_int_equal(*word & mask, value);
}

static volatile const uint32_t *reg(const struct user *user, size_t at)
{
	return (volatile const uint32_t *)((char *)user->bar.va + at);
}

static void use_edu(struct user *user, const struct vdma_buf *buf)
{
	static unsigned int seed;

	dma_verify(&user->edu, buf, ++seed);
}

/* Reads a command, writes what was asked for and a completion: all in @buf. */
static void use_nvme(struct user *user, const struct vdma_buf *buf)
{
	uint32_t *command = buf->va, *completion = command + PAGE / 4,
		 *data = command + 2 * PAGE / 4;
	uint64_t at = buf->iova;

	memset(buf->va, 0, 3 * PAGE);
	vdma_mmio_write32(user->bar.va, NVME_CC, 0);
	wait_until(reg(user, NVME_CSTS), 1, 0);
	vdma_mmio_write32(user->bar.va, NVME_AQA, (NVME_ENTRIES - 1) << 16 | (NVME_ENTRIES - 1));
	vdma_mmio_write64(user->bar.va, NVME_ASQ, at);
	vdma_mmio_write64(user->bar.va, NVME_ACQ, at + PAGE);
	vdma_mmio_write32(user->bar.va, NVME_CC, 4 << 20 | 6 << 16 | 1);
	wait_until(reg(user, NVME_CSTS), 1, 1);
	command[0] = NVME_IDENTIFY | 7 << 16;
	command[6] = (uint32_t)(at + 2 * PAGE);
	command[7] = (uint32_t)((at + 2 * PAGE) >> 32);
	command[10] = NVME_CONTROLLER;
	vdma_mmio_write32(user->bar.va, NVME_SQ0_TAIL, 1);
	/* The phase bit tells that it is new, the status above it that all is well. */
	wait_until(&completion[3], 0x0001ffff, 0x00010007);
	assert_int_equal(completion[3] >> 17, 0);
	assert_int_equal(data[0] & 0xffff, 0x1b36); /* QEMU's PCI vendor id */
	vdma_mmio_write32(user->bar.va, NVME_CC, 0);
	wait_until(reg(user, NVME_CSTS), 1, 0);
}

/* Reads a descriptor and a packet, and writes the descriptor's status. */
static void use_e1000e(struct user *user, const struct vdma_buf *buf)
{
	uint32_t *descriptor = buf->va;
	uint64_t at = buf->iova;

	memset(buf->va, 0, 2 * PAGE);
	vdma_mmio_write32(user->bar.va, E1000E_TCTL, 0);
	vdma_mmio_write32(user->bar.va, E1000E_TDBAL, (uint32_t)at);
	vdma_mmio_write32(user->bar.va, E1000E_TDBAH, (uint32_t)(at >> 32));
	vdma_mmio_write32(user->bar.va, E1000E_TDLEN, E1000E_RING * 16);
	vdma_mmio_write32(user->bar.va, E1000E_TDH, 0);
	vdma_mmio_write32(user->bar.va, E1000E_TDT, 0);
	descriptor[0] = (uint32_t)(at + PAGE);
	descriptor[1] = (uint32_t)((at + PAGE) >> 32);
	descriptor[2] = 64 | E1000E_CMD;
	vdma_mmio_write32(user->bar.va, E1000E_TCTL, E1000E_TCTL_EN);
	vdma_mmio_write32(user->bar.va, E1000E_TDT, 1);
	wait_until(&descriptor[3], E1000E_DONE, E1000E_DONE);
	vdma_mmio_write32(user->bar.va, E1000E_TCTL, 0);
}

static const struct {
	const char *variable;
	unsigned int count;
	void (*use)(struct user *user, const struct vdma_buf *buf);
} kinds[KINDS] = {
	{ "VDMA_BDF_EDU", 4, use_edu },
	{ "VDMA_BDF_NVME", 3, use_nvme },
	{ "VDMA_BDF_E1000E", 3, use_e1000e },
};

static void open_user(struct user *user, unsigned int kind, unsigned int n, struct vdma_ioas *ioas)
{
	char variable[32];

	snprintf(variable, sizeof(variable), n ? "%s%u" : "%s", kinds[kind].variable, n + 1);
	user->use = kinds[kind].use;
	if (user->use == use_edu) {
		EDU_WORKS(&user->edu, edu_open(&user->edu, ioas, bdf_of(variable), WINDOW_BITS));
		EDU_WORKS(&user->edu, edu_irq_use(&user->edu, VDMA_IRQ_MSI));
		return;
	}
	WORKS(vdma_device_open(ioas, bdf_of(variable), NULL, &user->dev));
	WORKS(vdma_device_bar(user->dev, 0, &user->bar));
	WORKS(vdma_device_set_bus_master(user->dev, 1));
}

static struct vdma_region *add_region(struct vdma_arena *arena, unsigned int n)
{
	static const struct {
		enum vdma_provider provider;
		size_t len;
		unsigned int bits;
	} all[REGIONS] = {
		{ VDMA_PROVIDER_CONTIG, 4 * MIB, 0 },
		{ VDMA_PROVIDER_ANON, 16 * PAGE, 32 },
		{ VDMA_PROVIDER_CONTIG, 3 * PAGE, 0 },
		{ VDMA_PROVIDER_ANON, 2 * MIB, 0 },
	};

	return region_of(arena, all[n].provider, all[n].len, all[n].bits);
}

static void ten_devices(void **state)
{
	struct vdma_region_info info = { .size = sizeof(info) };
	struct vdma_region *regions[REGIONS];
	struct vdma_ioas *ioas[SPACES];
	static struct user users[10];
	struct vdma_arena *arena;
	unsigned int n = 0;

	(void)state;
	WORKS(vdma_arena_create(NULL, &arena));
	for (unsigned int i = 0; i < 2; i++)
		regions[i] = add_region(arena, i);
	for (unsigned int i = 0; i < SPACES; i++)
		ioas[i] = ioas_of(arena);
	for (unsigned int k = 0; k < KINDS; k++)
		for (unsigned int i = 0; i < kinds[k].count; i++, n++)
			open_user(&users[n], k, i, ioas[n % SPACES]);
	assert_int_equal(n, 10);
	for (unsigned int i = 2; i < REGIONS; i++)
		regions[i] = add_region(arena, i);

	for (unsigned int i = 0; i < REGIONS; i++) {
		struct vdma_buf buf = vdma_region_buf(regions[i]);

		WORKS(vdma_region_query(regions[i], &info));
		assert_int_equal(info.mapped, SPACES);
		assert_int_equal(vdma_iova(arena, buf.va), buf.iova);
		for (n = 0; n < 10; n++)
			users[n].use(&users[n], &buf);
	}
	for (n = 0; n < 10; n++) {
		if (users[n].dev)
			WORKS(vdma_device_close(users[n].dev));
		else
			edu_close(&users[n].edu);
	}
	for (unsigned int i = 0; i < REGIONS; i++)
		WORKS(vdma_region_destroy(regions[i]));
	for (unsigned int i = 0; i < SPACES; i++)
		WORKS(vdma_ioas_destroy(ioas[i]));
	WORKS(vdma_arena_destroy(arena));
	assert_int_equal(ledger_wait(0), 0);
}

int run_ten(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(ten_devices) };

	return cmocka_run_group_tests_name("ten", tests, NULL, NULL);
}
