// SPDX-License-Identifier: GPL-2.0-only
/*
 * An importer of dma-bufs, for the tests. Every open of /dev/vdma_importer is
 * one importer, told what to do by lines of text:
 *
 *   import FD         attach a device without an IOMMU, map, vmap
 *   import FD BDF     attach this PCI device instead
 *   fill OFF LEN BYTE write through the vmap
 *   check OFF LEN BYTE  EILSEQ if other bytes are there
 *
 * Reading gives a line for each scatterlist entry, "phys ADDRESS LENGTH", and one
 * for each that the device has, "dma ADDRESS LENGTH", all hexadecimal. mmap() is dma_buf_mmap(). Closing undoes the import.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/iosys-map.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
MODULE_IMPORT_NS("DMA_BUF");
#else
MODULE_IMPORT_NS(DMA_BUF);
#endif

/* Until 6.2 importers of a buffer that does not move took no lock. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define dma_buf_map_attachment_unlocked dma_buf_map_attachment
#define dma_buf_unmap_attachment_unlocked dma_buf_unmap_attachment
#define dma_buf_vmap_unlocked dma_buf_vmap
#define dma_buf_vunmap_unlocked dma_buf_vunmap
#endif

static struct platform_device *plain_device;

struct importer {
	struct mutex lock;
	struct dma_buf *dmabuf;
	struct device *device;
	struct dma_buf_attachment *attachment;
	struct sg_table *table;
	struct iosys_map map;
};

static struct device *device_get(const char *bdf)
{
	unsigned int domain, bus, slot, function;
	struct pci_dev *pci;

	if (!*bdf)
		return get_device(&plain_device->dev);
	if (sscanf(bdf, "%x:%x:%x.%x", &domain, &bus, &slot, &function) != 4)
		return NULL;
	pci = pci_get_domain_bus_and_slot(domain, bus, PCI_DEVFN(slot, function));
	return pci ? &pci->dev : NULL;
}

static int import(struct importer *importer, int fd, const char *bdf)
{
	int err;

	if (importer->dmabuf)
		return -EBUSY;
	importer->device = device_get(bdf);
	if (!importer->device)
		return -ENODEV;
	importer->dmabuf = dma_buf_get(fd);
	if (IS_ERR(importer->dmabuf)) {
		err = PTR_ERR(importer->dmabuf);
		goto put_device;
	}
	importer->attachment = dma_buf_attach(importer->dmabuf, importer->device);
	if (IS_ERR(importer->attachment)) {
		err = PTR_ERR(importer->attachment);
		goto put;
	}
	importer->table = dma_buf_map_attachment_unlocked(importer->attachment, DMA_BIDIRECTIONAL);
	if (IS_ERR(importer->table)) {
		err = PTR_ERR(importer->table);
		goto detach;
	}
	err = dma_buf_vmap_unlocked(importer->dmabuf, &importer->map);
	if (err)
		goto unmap;
	return 0;

unmap:
	dma_buf_unmap_attachment_unlocked(importer->attachment, importer->table, DMA_BIDIRECTIONAL);
detach:
	dma_buf_detach(importer->dmabuf, importer->attachment);
put:
	dma_buf_put(importer->dmabuf);
put_device:
	importer->dmabuf = NULL;
	put_device(importer->device);
	return err;
}

static void import_undo(struct importer *importer)
{
	if (!importer->dmabuf)
		return;
	dma_buf_vunmap_unlocked(importer->dmabuf, &importer->map);
	dma_buf_unmap_attachment_unlocked(importer->attachment, importer->table, DMA_BIDIRECTIONAL);
	dma_buf_detach(importer->dmabuf, importer->attachment);
	dma_buf_put(importer->dmabuf);
	put_device(importer->device);
}

static int access(struct importer *importer, bool write, size_t offset, size_t len, u8 byte)
{
	enum dma_data_direction direction = write ? DMA_TO_DEVICE : DMA_FROM_DEVICE;
	size_t size;
	int err;

	if (!importer->dmabuf)
		return -ENODEV;
	size = importer->dmabuf->size;
	if (offset > size || len > size - offset)
		return -ERANGE;
	err = dma_buf_begin_cpu_access(importer->dmabuf, direction);
	if (err)
		return err;
	if (write)
		memset(importer->map.vaddr + offset, byte, len);
	else if (memchr_inv(importer->map.vaddr + offset, byte, len))
		err = -EILSEQ;
	return dma_buf_end_cpu_access(importer->dmabuf, direction) ?: err;
}

static int command(struct importer *importer, const char *line)
{
	size_t offset, len;
	char bdf[16] = "";
	unsigned int byte;
	int fd;

	if (sscanf(line, "import %d %15s", &fd, bdf) >= 1)
		return import(importer, fd, bdf);
	if (sscanf(line, "fill %zu %zu %u", &offset, &len, &byte) == 3)
		return access(importer, true, offset, len, byte);
	if (sscanf(line, "check %zu %zu %u", &offset, &len, &byte) == 3)
		return access(importer, false, offset, len, byte);
	return -EINVAL;
}

static int importer_open(struct inode *inode, struct file *file)
{
	struct importer *importer = kzalloc(sizeof(*importer), GFP_KERNEL);

	if (!importer)
		return -ENOMEM;
	mutex_init(&importer->lock);
	file->private_data = importer;
	return 0;
}

static int importer_release(struct inode *inode, struct file *file)
{
	struct importer *importer = file->private_data;

	import_undo(importer);
	kfree(importer);
	return 0;
}

static ssize_t importer_write(struct file *file, const char __user *user, size_t len,
			      loff_t *offset)
{
	struct importer *importer = file->private_data;
	char line[80];
	int err;

	if (len >= sizeof(line))
		return -EINVAL;
	if (copy_from_user(line, user, len))
		return -EFAULT;
	line[len] = 0;
	mutex_lock(&importer->lock);
	err = command(importer, line);
	mutex_unlock(&importer->lock);
	return err ?: len;
}

static ssize_t importer_read(struct file *file, char __user *user, size_t len, loff_t *offset)
{
	struct importer *importer = file->private_data;
	struct scatterlist *sg;
	char text[512];
	unsigned int i;
	int n = 0;

	mutex_lock(&importer->lock);
	if (importer->dmabuf)
		for_each_sgtable_sg(importer->table, sg, i)
			n += scnprintf(text + n, sizeof(text) - n, "phys %llx %x\n",
				       (u64)sg_phys(sg), sg->length);
	if (importer->dmabuf)
		for_each_sgtable_dma_sg(importer->table, sg, i)
			n += scnprintf(text + n, sizeof(text) - n, "dma %llx %x\n",
				       (u64)sg_dma_address(sg), sg_dma_len(sg));
	mutex_unlock(&importer->lock);
	return simple_read_from_buffer(user, len, offset, text, n);
}

static int importer_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct importer *importer = file->private_data;

	if (!importer->dmabuf)
		return -ENODEV;
	return dma_buf_mmap(importer->dmabuf, vma, vma->vm_pgoff);
}

static const struct file_operations importer_fops = {
	.owner = THIS_MODULE,
	.open = importer_open,
	.release = importer_release,
	.read = importer_read,
	.write = importer_write,
	.mmap = importer_mmap,
};

static struct miscdevice importer_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vdma_importer",
	.fops = &importer_fops,
};

static int __init importer_init(void)
{
	int err;

	plain_device =
		platform_device_register_simple("vdma_importer", PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(plain_device))
		return PTR_ERR(plain_device);
	err = dma_coerce_mask_and_coherent(&plain_device->dev, DMA_BIT_MASK(64));
	if (!err)
		err = misc_register(&importer_misc);
	if (err)
		platform_device_unregister(plain_device);
	return err;
}

static void __exit importer_exit(void)
{
	misc_deregister(&importer_misc);
	platform_device_unregister(plain_device);
}

module_init(importer_init);
module_exit(importer_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Imports dma-bufs, for the tests of map_contig");
