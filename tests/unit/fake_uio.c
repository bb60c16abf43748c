// SPDX-License-Identifier: BSD-3-Clause
/* uio_pci_generic's nodes, and the files of its devices in sysfs. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_internal.h"

#define MAX_UIO 4

struct uio {
	char bdf[16];
	struct fake_pci pci;
	uint32_t fired, taken;
	bool locked, gone;
	unsigned int resets;
};

static struct uio uios[MAX_UIO];
static size_t nuios;

void fake_uio_reset(void)
{
	memset(uios, 0, sizeof(uios));
	nuios = 0;
}

static void add_file(const char *bdf, const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", bdf, name);
	fake_file(path, text);
}

void fake_uio_device(const char *bdf, const struct fake_pci *pci)
{
	struct uio *u = &uios[nuios];
	char text[512] = "", name[64];
	size_t used = 0;
	int i;

	snprintf(u->bdf, sizeof(u->bdf), "%s", bdf);
	u->pci = *pci;
	fake_config(bdf)[PCI_INTERRUPT_PIN] = pci->irqs[0] ? 1 : 0;
	for (i = 0; i < 6; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used,
					 "0x%016llx 0x%016llx 0x%016x\n",
					 pci->bar[i] ? 0xfe000000ull : 0,
					 pci->bar[i] ? 0xfe000000ull + pci->bar[i] - 1 : 0,
					 !pci->bar[i]	? 0 :
					 pci->bar_io[i] ? 0x40101 :
							  0x40200);
	add_file(bdf, "resource", text);
	add_file(bdf, "config", "");
	for (i = 0; i < 6; i++) {
		snprintf(name, sizeof(name), "resource%d", i);
		if (pci->bar[i])
			add_file(bdf, name, "");
	}
	if (pci->can_reset)
		add_file(bdf, "reset", "");
	snprintf(name, sizeof(name), "uio/uio%zu", nuios);
	add_file(bdf, name, "");
	snprintf(name, sizeof(name), "/dev/uio%zu", nuios);
	fake_file(name, "");
	nuios++;
}

static struct uio *find(const char *bdf)
{
	size_t i;

	for (i = 0; i < nuios; i++)
		if (!strcmp(uios[i].bdf, bdf))
			return &uios[i];
	return NULL;
}

/* As uio_pci_generic does: masked until the driver asks for more. */
void fake_uio_fire(const char *bdf)
{
	uint8_t *command = fake_config(bdf) + PCI_COMMAND + 1;

	if (*command & PCI_COMMAND_INTX_DISABLE >> 8)
		return;
	*command |= PCI_COMMAND_INTX_DISABLE >> 8;
	find(bdf)->fired++;
}

void fake_uio_gone(const char *bdf)
{
	find(bdf)->gone = true;
}

unsigned int fake_uio_resets(const char *bdf)
{
	return find(bdf)->resets;
}

int fake_uio_open(const char *path)
{
	char bdf[16], name[32];
	int number;

	if (sscanf(path, "/dev/uio%d", &number) == 1)
		return fake_new_fd(FAKE_UIO, number);
	if (sscanf(path, "/sys/bus/pci/devices/%12s/%31s", bdf, name) != 2 || !find(bdf))
		return -ENOENT;
	number = (int)(find(bdf) - uios);
	if (!strcmp(name, "config"))
		return fake_new_fd(FAKE_UIO_CONFIG, number);
	if (!strcmp(name, "reset"))
		return fake_new_fd(FAKE_UIO_RESET, number);
	return fake_new_fd(FAKE_UIO_BAR, number);
}

static unsigned int nodes(int number)
{
	unsigned int n = 0;
	int i;

	for (i = 0; i < FAKE_FDS; i++)
		n += fake_fds[i].kind == FAKE_UIO && fake_fds[i].index == number;
	return n;
}

void fake_uio_close(int i)
{
	struct uio *u = &uios[fake_fds[i].index];

	if (fake_fds[i].kind != FAKE_UIO || nodes(fake_fds[i].index) > 1)
		return;
	u->locked = false;
	fake_config(u->bdf)[PCI_COMMAND] &= (uint8_t)~PCI_COMMAND_MASTER;
}

int fake_uio_dup(int i)
{
	return fake_new_fd(FAKE_UIO, fake_fds[i].index);
}

int fake_uio_lock(int i)
{
	struct uio *u = &uios[fake_fds[i].index];

	if (u->locked)
		return -EWOULDBLOCK;
	u->locked = true;
	return 0;
}

bool fake_uio_readable(int i)
{
	struct uio *u = &uios[fake_fds[i].index];

	return u->gone || u->fired != u->taken;
}

ssize_t fake_uio_read(int i, void *buf, size_t len)
{
	struct uio *u = &uios[fake_fds[i].index];

	if (len != sizeof(u->fired))
		return -EINVAL;
	if (u->gone)
		return -EIO;
	if (!fake_uio_readable(i))
		return -EAGAIN;
	u->taken = u->fired;
	memcpy(buf, &u->fired, len);
	return (ssize_t)len;
}

ssize_t fake_uio_config(int i, void *buf, size_t len, uint64_t offset, bool write)
{
	struct uio *u = &uios[fake_fds[i].index];
	uint8_t *config = fake_config(u->bdf);

	if (fake_fds[i].kind == FAKE_UIO_RESET) {
		u->resets++;
		return (ssize_t)len;
	}
	if (fake_fds[i].kind != FAKE_UIO_CONFIG || offset + len > 256)
		return 0; /* as at the end of a file */
	if (write)
		memcpy(config + offset, buf, len);
	else
		memcpy(buf, config + offset, len);
	return (ssize_t)len;
}
