/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A PCI function that this process drives: its BARs, its config space, its
 * interrupts, its reset. It must be bound to vfio-pci (or a driver derived
 * from it) beforehand; vdma_explain() says how where it is not. Without an IOMMU, in a
 * physical arena, it may be bound to uio_pci_generic instead, which has INTx alone.
 *
 * Opening a device resets it if it can be reset, and maps all regions of the
 * arena for it. Its memory space is enabled, bus mastering (DMA) is off: a
 * driver switches it on when the device is known to be quiet. Closing it
 * switches interrupts and bus mastering off.
 *
 *	vdma_device_open(ioas, "0000:00:10.0", NULL, &dev);
 *	vdma_device_bar(dev, 0, &bar);
 *	vdma_device_set_bus_master(dev, 1);
 *	vdma_device_irq_enable(dev, VDMA_IRQ_MSI, 1);
 *	...
 *	vdma_device_irq_wait(dev, 0, 1000, NULL);
 *
 * After vdma_device_let_go() (removal.h) all calls but vdma_device_query() and
 * vdma_device_close() fail with ENODEV.
 */
#ifndef VDMA_DEVICE_H
#define VDMA_DEVICE_H

#include <vdma/ioas.h>
#include <vdma/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An open PCI function. */
struct vdma_device;

/**
 * struct vdma_device_opts - how a device is opened
 * @size: sizeof(struct vdma_device_opts)
 * @flags: must be 0
 * @vf_token: the VF token, a UUID as text, "bd8d9d2b-5a5f-4f5a-a211-f591514ba1f3"; NULL for
 *            none. Who opens a physical function with SR-IOV sets it; once virtual
 *            functions of it are in use it has to be the same. Who opens a virtual
 *            function of one that is bound to vfio-pci has to give the same, by which
 *            its driver says that it trusts the other one. Functions whose physical
 *            function the kernel drives take none. Over iommufd only the former can
 *            be given one, and Linux before 6.17 does not ask the latter for it
 */
struct vdma_device_opts {
	size_t size;
	uint64_t flags;
	const char *vf_token;
};

/**
 * enum vdma_reset - how a function is reset; bits of a mask
 * @VDMA_RESET_FLR: function level reset, of PCI Express or of Advanced Features
 * @VDMA_RESET_PM: power state D3hot and back
 * @VDMA_RESET_BUS: of the bus or slot, on which it is alone
 * @VDMA_RESET_OTHER: the device's own way, the firmware's, or one that is not told
 * @VDMA_RESET_HOT: of the bus or slot with all that is on it: vdma_device_hot_reset()
 */
enum vdma_reset {
	VDMA_RESET_FLR = 1 << 0,
	VDMA_RESET_PM = 1 << 1,
	VDMA_RESET_BUS = 1 << 2,
	VDMA_RESET_OTHER = 1 << 3,
	VDMA_RESET_HOT = 1 << 4,
};

/**
 * enum vdma_irq_kind - how a device signals
 * @VDMA_IRQ_INTX: the wire; masked by the kernel each time it fires
 * @VDMA_IRQ_MSI: message signalled, one or a power of two
 * @VDMA_IRQ_MSIX: message signalled, a table of up to 2048
 */
enum vdma_irq_kind {
	VDMA_IRQ_INTX,
	VDMA_IRQ_MSI,
	VDMA_IRQ_MSIX,
};

/**
 * struct vdma_device_info - what an open device offers
 * @size: in: sizeof(struct vdma_device_info)
 * @bdf: its address, "dddd:bb:dd.f"; vdma_pci_query() has its names
 * @vendor: vendor id
 * @device: device id
 * @group: its IOMMU group; -1 if it has none
 * @can_reset: 1 if vdma_device_reset() works
 * @irqs: vectors it has, by enum vdma_irq_kind
 * @bar_len: bytes of each BAR; 0 where there is none
 * @resets: what there is, of enum vdma_reset; 0 for a device that was let go
 * @reset: which of them vdma_device_reset() does; 0 if it does not work
 * @hot_functions: functions that vdma_device_hot_reset() resets, this one
 *                 included; 0 if it does not work here at all
 */
struct vdma_device_info {
	size_t size;
	char bdf[16];
	uint16_t vendor;
	uint16_t device;
	int32_t group;
	uint32_t can_reset;
	uint32_t irqs[3];
	uint64_t bar_len[6];
	uint32_t resets;
	uint32_t reset;
	uint32_t hot_functions;
};

/**
 * struct vdma_bar - registers or memory of a device
 * @va: where it is mapped, uncached; see vdma/mmio.h
 * @len: bytes
 *
 * Good until the device is closed.
 */
struct vdma_bar {
	void *va;
	size_t len;
};

/**
 * vdma_device_open() - take a PCI function
 * @ioas: the address space that its DMA goes through; several devices may
 *        share it
 * @bdf: its address, "0000:00:10.0", or "00:10.0" for domain 0
 * @opts: NULL for defaults
 * @dev: out: owned by the caller, vdma_device_close() gives it back
 *
 * Return: 0; -EINVAL (@bdf is not an address), -E2BIG, -ENODEV (no such
 * device, or not bound to vfio-pci), -ENOENT (VFIO is not loaded), -EOPNOTSUPP
 * (no IOMMU; an arena with VDMA_TRANSLATION_AUTO can do without), -EBUSY (the group is not viable, or somebody has it open),
 * -EACCES (a device node's permissions; a VF token), -EPERM (no interrupt remapping), -ERANGE (an existing region lies
 * where this device's IOMMU cannot reach), -EAGAIN (RLIMIT_MEMLOCK), -ENOSPC
 * (DMA entries), -ENOMEM, -EMFILE, -EIO. Nothing stays open or mapped on
 * failure. Thread-safe.
 */
VDMA_API int vdma_device_open(struct vdma_ioas *ioas, const char *bdf,
			      const struct vdma_device_opts *opts, struct vdma_device **dev);

/**
 * vdma_device_close() - silence a device and give it back
 * @dev: NULL is allowed
 *
 * Its interrupts and bus mastering are switched off, its BARs unmapped, its
 * interrupt descriptors closed. Without an IOMMU it waits until the device has ended
 * what was under way, up to 0.7 s; memory stays tied to one that does not end.
 *
 * Return: 0; -EBUSY while a region is part of one of its BARs
 * (vdma_region_import_bar()); -ECHILD in a forked child. Thread-safe, but nobody
 * else may use @dev.
 */
VDMA_API int vdma_device_close(struct vdma_device *dev);

/**
 * vdma_device_query() - what an open device offers
 * @dev: the device
 * @info: in: its size, out: the rest
 *
 * Return: 0, -EINVAL. Thread-safe; it waits for other threads' calls on the arena.
 */
VDMA_API int vdma_device_query(struct vdma_device *dev, struct vdma_device_info *info);

/**
 * vdma_device_bar() - map a BAR
 * @dev: the device
 * @index: 0 to 5
 * @bar: out: where it is; the same for each call
 *
 * Parts that VFIO keeps to itself are not accessible (SIGSEGV). Access
 * to a BAR while the device's memory space is disabled raises SIGBUS.
 *
 * Return: 0, -EINVAL, -ENXIO (no such BAR), -EOPNOTSUPP (I/O ports), -ENOMEM,
 * -EIO. Thread-safe.
 */
VDMA_API int vdma_device_bar(struct vdma_device *dev, unsigned int index, struct vdma_bar *bar);

/**
 * vdma_device_config_read() - read config space (PCI Local Bus 3.0, 6.1)
 * @dev: the device
 * @offset: multiple of @width
 * @width: 1, 2 or 4 bytes
 * @value: out: in the CPU's byte order
 *
 * Return: 0, -EINVAL, -ENXIO (beyond its config space), -EIO. Thread-safe.
 */
VDMA_API int vdma_device_config_read(struct vdma_device *dev, unsigned int offset,
				     unsigned int width, uint32_t *value);

/**
 * vdma_device_config_write() - write config space
 * @dev: the device
 * @offset: multiple of @width
 * @width: 1, 2 or 4 bytes
 * @value: in the CPU's byte order, less than 2^(8 * @width)
 *
 * VFIO emulates some fields and ignores writes to others (vfio-pci's permission
 * tables). With uio_pci_generic all of it is the device's own.
 *
 * Return: 0, -EINVAL, -ENXIO (beyond its config space), -EIO. Thread-safe.
 */
VDMA_API int vdma_device_config_write(struct vdma_device *dev, unsigned int offset,
				      unsigned int width, uint32_t value);

/**
 * vdma_device_set_bus_master() - let a device do DMA, or stop it
 * @dev: the device
 * @on: 1 or 0
 *
 * Return: 0, -EINVAL, -EIO. Thread-safe.
 */
VDMA_API int vdma_device_set_bus_master(struct vdma_device *dev, int on);

/**
 * vdma_device_reset() - function reset
 * @dev: the device
 *
 * The kernel saves and restores the config header; bus mastering stays as it
 * was, registers in BARs are as after power on. Which way it takes is in struct
 * vdma_device_info: the first one of the kernel's list (reset_method in sysfs).
 *
 * Return: 0, -EOPNOTSUPP (the device has no reset of its own), -EIO.
 * Thread-safe.
 */
VDMA_API int vdma_device_reset(struct vdma_device *dev);

/**
 * vdma_device_hot_reset() - reset of the slot or bus, with all that is on it
 * @dev: the device, of VFIO
 *
 * All functions that it hits have to be bound to vfio-pci, and their IOMMU groups to
 * be this arena's: through any of its address spaces, over iommufd through the same.
 * If one is not, vdma_explain() names it and who has it, and nothing has happened. Their
 * config headers are saved and restored as by vdma_device_reset(); no thread may
 * access a BAR of any of them meanwhile, which takes a second. Calls on the arena wait.
 *
 * Return: 0, -EINVAL, -EOPNOTSUPP (the device is on the root bus, which has no reset, or
 * VFIO does not lend it), -EBUSY (others' functions would be hit), -ENODEV (it
 * was let go), -ENOMEM, -EIO. Thread-safe.
 */
VDMA_API int vdma_device_hot_reset(struct vdma_device *dev);

/**
 * vdma_device_irq_enable() - switch interrupts on
 * @dev: the device
 * @kind: INTx, MSI or MSI-X; one kind at a time
 * @count: vectors, at least 1; each gets a descriptor
 *
 * Return: 0, -EINVAL, -EBUSY (interrupts are on already), -ENXIO (the device
 * has fewer), -ENOMEM, -EMFILE, -EIO. Thread-safe.
 */
VDMA_API int vdma_device_irq_enable(struct vdma_device *dev, enum vdma_irq_kind kind,
				    unsigned int count);

/**
 * vdma_device_irq_disable() - switch interrupts off and close their descriptors
 * @dev: the device; nothing happens if they are off
 *
 * No thread may be in vdma_device_irq_wait(), or use one of the descriptors.
 *
 * Return: 0, -EIO.
 */
VDMA_API int vdma_device_irq_disable(struct vdma_device *dev);

/**
 * vdma_device_irq_fd() - descriptor of a vector, for poll or epoll
 * @dev: the device
 * @vector: 0 to count - 1
 * @fd: out: owned by the device; nonblocking, close-on-exec. It becomes
 *      readable when the vector fires, until the event is taken, best by
 *      vdma_device_irq_wait() with a timeout of 0. An eventfd with VFIO; with
 *      uio_pci_generic its node, which counts otherwise
 *
 * Return: 0, -ENXIO (no such vector). Thread-safe.
 */
VDMA_API int vdma_device_irq_fd(struct vdma_device *dev, unsigned int vector, int *fd);

/**
 * vdma_device_irq_wait() - wait for a vector to fire
 * @dev: the device
 * @vector: 0 to count - 1
 * @timeout_ms: milliseconds; 0 looks without waiting, -1 waits for ever
 * @count: out: how often it fired since the last wait; NULL is allowed
 *
 * After INTx has fired it stays masked until vdma_device_irq_unmask().
 *
 * Return: 0, -ETIMEDOUT, -EINTR, -ENXIO (no such vector), -EIO. Thread-safe;
 * no lock is held while it waits. One waiter gets the event. -ENODEV, when no event
 * is left, if the device has to go (vdma/removal.h).
 */
VDMA_API int vdma_device_irq_wait(struct vdma_device *dev, unsigned int vector, int timeout_ms,
				  uint64_t *count);

/**
 * vdma_device_irq_mask() - hold INTx back
 * @dev: the device, with INTx enabled
 *
 * Return: 0, -EOPNOTSUPP (MSI and MSI-X cannot be masked here), -ENXIO
 * (interrupts are off), -EIO. Thread-safe.
 */
VDMA_API int vdma_device_irq_mask(struct vdma_device *dev);

/**
 * vdma_device_irq_unmask() - let INTx fire again
 * @dev: the device, with INTx enabled
 *
 * Return: as vdma_device_irq_mask(). Thread-safe.
 */
VDMA_API int vdma_device_irq_unmask(struct vdma_device *dev);

#ifdef __cplusplus
}
#endif

#endif
