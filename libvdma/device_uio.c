// SPDX-License-Identifier: BSD-3-Clause
/*
 * A PCI function that uio_pci_generic lends (Documentation/driver-api/uio-howto.rst,
 * "Generic PCI UIO driver"): INTx by the UIO node, all else by the device's files
 * in sysfs (Documentation/PCI/sysfs-pci.rst).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "device.h"
#include "explain.h"
#include "sys.h"

/* Third column of "resource": include/linux/ioport.h. */
#define IORESOURCE_MEM 0x200

static void file_path(const struct vdma_device *dev, const char *name, char *path, size_t size)
{
	snprintf(path, size, "/sys/bus/pci/devices/%s/%s", dev->bdf.s, name);
}

static int open_file(const struct vdma_device *dev, const char *name, int flags)
{
	char path[80];
	int fd;

	file_path(dev, name, path, sizeof(path));
	fd = vdma_sys_open(path, flags);
	if (fd == -EACCES || fd == -EPERM)
		return vdma_fail(VDMA_CAUSE_PERMISSION, &(struct vdma_facts){ .sys_errno = -fd },
				 "This user may not open %s. Without an IOMMU a driver needs to be "
				 "root: its device reaches all memory.",
				 path);
	return fd < 0 ? vdma_fail_sys(fd, "open %s", path) : fd;
}

/* A line for each BAR: first and last address, flags. */
static int probe_bars(struct vdma_device *dev)
{
	char path[80], text[2048], *at = text;
	unsigned int i;
	int err;

	file_path(dev, "resource", path, sizeof(path));
	err = vdma_sys_read_file(path, text, sizeof(text));
	if (err)
		return vdma_fail_sys(err, "read %s", path);
	for (i = 0; i < VDMA_NBARS; i++) {
		uint64_t first = strtoull(at, &at, 16), last = strtoull(at, &at, 16);
		uint64_t flags = strtoull(at, &at, 16);

		dev->bars[i].len = last ? last - first + 1 : 0;
		/* A smaller one shares its page with something else. */
		dev->bars[i].mappable = flags & IORESOURCE_MEM &&
					dev->bars[i].len >= vdma_sys_page_size();
	}
	return 0;
}

static int probe_config(struct vdma_device *dev)
{
	unsigned char extended[4];
	int fd = open_file(dev, "config", O_RDWR);

	if (fd < 0)
		return fd;
	dev->config_fd = fd;
	dev->config_offset = 0;
	dev->config_len = vdma_sys_pread(fd, extended, sizeof(extended), 256) == 4 ? 4096 : 256;
	return 0;
}

static int probe_rest(struct vdma_device *dev)
{
	char path[80];
	uint32_t pin;
	int err;

	err = probe_bars(dev);
	if (!err)
		err = vdma_device_config_read(dev, PCI_INTERRUPT_PIN, 1, &pin);
	if (err)
		return err;
	/* MSI needs a driver in the kernel that knows where to send it. */
	dev->irqs[VDMA_IRQ_INTX] = pin ? 1 : 0;
	file_path(dev, "reset", path, sizeof(path));
	dev->can_reset = !vdma_sys_exists(path);
	return vdma_device_command(dev, PCI_COMMAND_INTX_DISABLE, 0);
}

static void uio_release(struct vdma_device *dev)
{
	vdma_sys_close(dev->config_fd);
}

static int uio_probe(struct vdma_device *dev)
{
	int err = probe_config(dev);

	if (err)
		return err;
	err = probe_rest(dev);
	if (err)
		uio_release(dev);
	return err;
}

static int uio_map_bar(struct vdma_device *dev, unsigned int index, void **va)
{
	char name[16];
	int fd, err;

	snprintf(name, sizeof(name), "resource%u", index);
	fd = open_file(dev, name, O_RDWR);
	if (fd < 0)
		return fd;
	err = vdma_sys_mmap(NULL, dev->bars[index].len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0,
			    va);
	vdma_sys_close(fd);
	if (err == -EPERM)
		return vdma_fail(VDMA_CAUSE_PERMISSION, &(struct vdma_facts){ .sys_errno = -err },
				 "The kernel does not let BAR %u of %s be mapped by its file in "
				 "sysfs: it is locked down (Secure Boot). Use an IOMMU and VFIO.",
				 index, dev->bdf.s);
	return err ? vdma_fail_sys(err, "map BAR %u of %s", index, dev->bdf.s) : 0;
}

static int uio_reset(struct vdma_device *dev)
{
	ssize_t n;
	int fd = open_file(dev, "reset", O_WRONLY);

	if (fd < 0)
		return fd;
	n = vdma_sys_pwrite(fd, "1", 1, 0);
	vdma_sys_close(fd);
	return n < 0 ? vdma_fail_sys((int)n, "reset %s", dev->bdf.s) : 0;
}

/*
 * The node again, but not opened again: each close of the node switches the
 * device's bus mastering off.
 */
static int uio_irq_open(struct vdma_device *dev, unsigned int vector)
{
	int fd = vdma_sys_dup(dev->fd);

	(void)vector; /* there is one */
	return fd < 0 ? vdma_fail_sys(fd, "duplicate the UIO node of %s", dev->bdf.s) : fd;
}

/* The number of all interrupts so far; -EAGAIN if it is what it was. */
static int take(struct vdma_device *dev, int fd, uint64_t *count)
{
	uint32_t total;
	ssize_t n = vdma_sys_read(fd, &total, sizeof(total));

	/* UIO has nobody left behind the node: the device is gone. */
	if (n == -EIO)
		return -ENODEV;
	if (n != sizeof(total))
		return n < 0 ? (int)n : -EIO;
	*count = total - dev->fired;
	dev->fired = total;
	return 0;
}

static int uio_irq_take(struct vdma_device *dev, int fd, uint64_t *count)
{
	int err;

	pthread_mutex_lock(&dev->lock);
	err = take(dev, fd, count);
	pthread_mutex_unlock(&dev->lock);
	return err;
}

static int uio_irq_on(struct vdma_device *dev)
{
	uint64_t old;
	int err = take(dev, dev->fd, &old);

	if (err && err != -EAGAIN)
		return vdma_fail_sys(err, "read the UIO node of %s", dev->bdf.s);
	return vdma_device_command(dev, 0, PCI_COMMAND_INTX_DISABLE);
}

static int uio_irq_off(struct vdma_device *dev)
{
	return vdma_device_command(dev, PCI_COMMAND_INTX_DISABLE, 0);
}

static int uio_irq_mask(struct vdma_device *dev, bool on)
{
	return vdma_device_command(dev, on ? PCI_COMMAND_INTX_DISABLE : 0,
				   on ? 0 : PCI_COMMAND_INTX_DISABLE);
}

const struct vdma_device_ops vdma_device_uio = {
	.probe = uio_probe,
	.release = uio_release,
	.map_bar = uio_map_bar,
	.reset = uio_reset,
	.irq_open = uio_irq_open,
	.irq_on = uio_irq_on,
	.irq_off = uio_irq_off,
	.irq_mask = uio_irq_mask,
	.irq_take = uio_irq_take,
};
