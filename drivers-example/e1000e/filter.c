// SPDX-License-Identifier: BSD-3-Clause
/* Which packets come in (7.1.1, 10.2.5). */
#include "e1000e.h"

#include <errno.h>
#include <string.h>

static void set(const struct e1000e *nic, size_t reg, uint32_t value)
{
	vdma_mmio_write32(nic->regs, reg, value);
}

/* 10.2.5.22, 10.2.5.23 */
static void set_address(const struct e1000e *nic, unsigned int n, const uint8_t *mac)
{
	set(nic, E1000E_RAL(n),
	    mac ? mac[0] | (uint32_t)mac[1] << 8 | (uint32_t)mac[2] << 16 | (uint32_t)mac[3] << 24 :
		  0);
	set(nic, E1000E_RAH(n), mac ? mac[4] | (uint32_t)mac[5] << 8 | E1000E_RAH_AV : 0);
}

void e1000e_filter_write(const struct e1000e *nic)
{
	set_address(nic, 0, nic->mac);
	for (unsigned int i = 0; i < E1000E_RA_COUNT - 1; i++)
		set_address(nic, i + 1, i < nic->others_count ? nic->others[i] : NULL);
	for (unsigned int i = 0; i < E1000E_MTA_COUNT; i++)
		set(nic, E1000E_MTA(i), nic->multicast[i]);
}

/* They take effect at once if the controller runs, else when it is started. */
static void use_filters(struct e1000e *nic, uint32_t filter)
{
	uint32_t changed = nic->filter ^ filter;

	nic->filter = filter;
	if (!nic->rctl)
		return;
	e1000e_filter_write(nic);
	nic->rctl ^= changed;
	set(nic, E1000E_RCTL, nic->rctl);
}

void e1000e_set_promiscuous(struct e1000e *nic, bool on)
{
	use_filters(nic, on ? E1000E_RCTL_UPE | E1000E_RCTL_MPE : 0);
}

/* 10.2.5.21: with RCTL.MO = 0, bits 47:36 of the address choose the bit of the table. */
static unsigned int multicast_hash(const uint8_t *mac)
{
	return mac[4] >> 4 | (unsigned int)mac[5] << 4;
}

int e1000e_set_addresses(struct e1000e *nic, const uint8_t (*macs)[6], unsigned int n)
{
	unsigned int unicast = 0;

	for (unsigned int i = 0; i < n; i++)
		unicast += !(macs[i][0] & 1);
	if (unicast > E1000E_RA_COUNT - 1)
		return e1000e_fail(
			nic->why, sizeof(nic->why), -ENOSPC,
			"e1000e: %u more addresses, %s has room for %u: let it be promiscuous",
			unicast, nic->bdf, E1000E_RA_COUNT - 1);
	nic->others_count = 0;
	memset(nic->multicast, 0, sizeof(nic->multicast));
	for (unsigned int i = 0; i < n; i++) {
		unsigned int hash = multicast_hash(macs[i]);

		if (macs[i][0] & 1)
			nic->multicast[hash / 32] |= 1U << hash % 32;
		else
			memcpy(nic->others[nic->others_count++], macs[i], 6);
	}
	use_filters(nic, nic->filter);
	return 0;
}
