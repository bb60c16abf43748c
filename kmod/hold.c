// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices that must be silent before a region's pages go.
 *
 * Without an IOMMU a device's writes go wherever it was last told to, whoever
 * has the memory by then. What stops every PCI function alike is its bus master
 * bit. It stops new requests only, so those under way are waited for.
 */
#include <linux/delay.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "map_contig.h"

#ifdef CONFIG_PCI
#define HOLDS_MAX 16

/*
 * A conventional function has no bit that tells of requests under way. It gives
 * the bus up after its latency timer, 255 cycles at most, and bridges discard
 * what is delayed after 2^15 cycles: 1 ms at 33 MHz.
 */
#define CONVENTIONAL_MS 5

struct hold {
	struct list_head node;
	struct pci_dev *dev;
};

/* Guards all regions' lists, not held while a device is waited for. A leaf. */
static DEFINE_MUTEX(holds_lock);

static struct hold *hold_find(struct region *region, const struct pci_dev *dev)
{
	struct hold *hold;

	list_for_each_entry(hold, &region->holds, node)
		if (hold->dev == dev)
			return hold;
	return NULL;
}

static unsigned int hold_count(struct region *region)
{
	unsigned int n = 0;
	struct hold *hold;

	list_for_each_entry(hold, &region->holds, node)
		n++;
	return n;
}

/* Referenced; NULL if there is no such device. */
static struct pci_dev *hold_device(u32 domain, u32 bdf)
{
	if (domain > INT_MAX || bdf > U16_MAX)
		return NULL;
	return pci_get_domain_bus_and_slot(domain, PCI_BUS_NUM(bdf), bdf & 0xff);
}

static void hold_drop(struct hold *hold)
{
	list_del(&hold->node);
	pci_dev_put(hold->dev);
	kfree(hold);
}

int hold_add(struct region *region, u32 domain, u32 bdf)
{
	struct pci_dev *dev = hold_device(domain, bdf);
	struct hold *hold;
	int err = 0;

	if (!dev)
		return -ENODEV;
	hold = inject() ? NULL : kzalloc(sizeof(*hold), GFP_KERNEL_ACCOUNT);
	if (!hold) {
		pci_dev_put(dev);
		return -ENOMEM;
	}
	hold->dev = dev;

	mutex_lock(&holds_lock);
	if (hold_find(region, dev))
		err = -EEXIST;
	else if (hold_count(region) >= HOLDS_MAX)
		err = -ENOSPC;
	else
		list_add_tail(&hold->node, &region->holds);
	mutex_unlock(&holds_lock);

	if (err) {
		pci_dev_put(dev);
		kfree(hold);
	}
	return err;
}

int hold_remove(struct region *region, u32 domain, u32 bdf)
{
	struct pci_dev *dev = hold_device(domain, bdf);
	struct hold *hold;

	if (!dev)
		return -ENODEV;
	mutex_lock(&holds_lock);
	hold = hold_find(region, dev);
	if (hold)
		hold_drop(hold);
	mutex_unlock(&holds_lock);
	pci_dev_put(dev);
	return hold ? 0 : -ENOENT;
}

/* Do pages have to stay until devices are silent? */
bool hold_is_held(struct region *region)
{
	return !list_empty_careful(&region->holds);
}

/* May take 700 ms, for a device that goes on having requests under way. */
static bool device_silence(struct pci_dev *dev)
{
	u16 command;

	/* Taken out, or without power: either way it has forgotten all it was told. */
	if (!pci_device_is_present(dev))
		return true;

	pci_clear_master(dev);
	if (!pci_is_pcie(dev))
		msleep(CONVENTIONAL_MS);
	else if (!pci_wait_for_pending_transaction(dev))
		return !pci_device_is_present(dev);

	/* Writes need no answer and so are never pending; but no answer to a read passes them. */
	if (pci_read_config_word(dev, PCI_COMMAND, &command) || PCI_POSSIBLE_ERROR(command))
		return !pci_device_is_present(dev);
	/* Somebody may have set it again. */
	return !(command & PCI_COMMAND_MASTER);
}

/**
 * hold_quiesce - stop the devices that hold a region which nobody uses any more
 *
 * A device that has fallen silent does not hold the region any longer, so it
 * can be put to use again while the region waits for something else.
 *
 * Return: false if one may still write; to be called again, later.
 */
bool hold_quiesce(struct region *region)
{
	struct pci_dev *devs[HOLDS_MAX];
	unsigned int n = 0, i;
	bool silent = true;
	struct hold *hold;

	mutex_lock(&holds_lock);
	list_for_each_entry(hold, &region->holds, node)
		devs[n++] = pci_dev_get(hold->dev);
	mutex_unlock(&holds_lock);

	for (i = 0; i < n; i++) {
		if (device_silence(devs[i])) {
			mutex_lock(&holds_lock);
			hold = hold_find(region, devs[i]);
			if (hold)
				hold_drop(hold);
			mutex_unlock(&holds_lock);
		} else {
			silent = false;
		}
		pci_dev_put(devs[i]);
	}
	return silent;
}

/* The region goes, and with it what holds it. */
void hold_free(struct region *region)
{
	struct hold *hold, *next;

	mutex_lock(&holds_lock);
	list_for_each_entry_safe(hold, next, &region->holds, node)
		hold_drop(hold);
	mutex_unlock(&holds_lock);
}

#else
int hold_add(struct region *region, u32 domain, u32 bdf)
{
	return -EOPNOTSUPP;
}

int hold_remove(struct region *region, u32 domain, u32 bdf)
{
	return -EOPNOTSUPP;
}

bool hold_is_held(struct region *region)
{
	return false;
}

bool hold_quiesce(struct region *region)
{
	return true;
}

void hold_free(struct region *region)
{
}
#endif
