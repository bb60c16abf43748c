/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Devices that go: hot-unplug, unbinding, and cards that are pulled out. The kernel
 * asks the process to let go of the device, and whoever wants it removed waits until
 * it has. So a driver that waits for interrupts is told (-ENODEV), and one that does
 * not polls a descriptor; then it lets go:
 *
 *	err = vdma_device_irq_wait(dev, 0, -1, NULL);
 *	if (err == -ENODEV) {
 *		vdma_device_let_go(dev);
 *		...               stop the driver's threads
 *		vdma_device_close(dev);
 *	}
 *
 * From vdma_device_let_go() on, pointers into BARs read 0xff bytes, as a PCI device
 * that is not there does, so that other threads need no lock for each register.
 */
#ifndef VDMA_REMOVAL_H
#define VDMA_REMOVAL_H

#include <vdma/device.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * vdma_device_removal_fd() - descriptor that tells when the device has to go
 * @dev: the device
 * @fd: out: owned by the device; for poll and epoll, not to be read. It becomes
 *      readable when the kernel asks for the device, and stays so
 *
 * Return: 0, -EINVAL, -EOPNOTSUPP (uio_pci_generic asks nobody: the interrupt's
 * descriptor fails instead), -ECHILD. Thread-safe.
 */
VDMA_API int vdma_device_removal_fd(struct vdma_device *dev, int *fd);

/**
 * vdma_device_let_go() - give a device back to the kernel, and keep the object
 * @dev: the device; nothing happens if it was let go already
 *
 * Its interrupts and bus mastering are switched off, its BARs replaced by memory
 * of 0xff bytes (writes to which go nowhere), and it leaves its address space. Regions
 * that are parts of its BARs (vdma_region_import_bar()) become such memory, too, which no
 * device reaches; they are still to be destroyed. All
 * calls but vdma_device_query() and vdma_device_close() fail with -ENODEV from then
 * on; those that wait for an interrupt return so at once.
 *
 * Return: 0, -EINVAL, -ENOMEM and -EMFILE (there is nothing to replace the BARs by), -EIO
 * (the same, or a region that is part of its BARs could not be unmapped), -ECHILD. After
 * -ENOMEM, -EMFILE and -EIO the device is not let go: it runs as it did, in its address
 * space. But of its BARs, and of regions that are parts of them, some may have become what
 * they are to become. Call it again; or destroy those regions, and close the device.
 * Thread-safe, but of other threads only those may be in calls on @dev that wait for
 * interrupts.
 */
VDMA_API int vdma_device_let_go(struct vdma_device *dev);

/**
 * vdma_bus_guard() - survive access to BARs of devices that are gone
 * @on: 1 or 0
 *
 * Between a device's end and vdma_device_let_go() access to a BAR may raise SIGBUS
 * instead of reading 0xff bytes. With the guard on, the library's handler of SIGBUS
 * replaces the page by one of 0xff bytes if the address is in a BAR that it mapped,
 * and the access is repeated; that page stays so until the device is closed. Any other
 * SIGBUS goes to the handler that was there before. It is one for the process, and off
 * until it is switched on; the program must not install another meanwhile.
 *
 * Return: 0, -ENOMEM, -EMFILE, -EIO. Not thread-safe: call it while no other thread
 * does.
 */
VDMA_API int vdma_bus_guard(int on);

#ifdef __cplusplus
}
#endif

#endif
