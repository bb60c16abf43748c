// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/map_contig: the device node. include/vdma/uapi/map_contig.h says what
 * it does for a program.
 */
#include <linux/capability.h>
#include <linux/log2.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include <vdma/uapi/map_contig.h>

#include "map_contig.h"

static bool phys_for_all;
module_param(phys_for_all, bool, 0644);
MODULE_PARM_DESC(
	phys_for_all,
	"Tell physical addresses to everyone who can open the device node, not only to CAP_SYS_RAWIO");

static int device_open(struct inode *inode, struct file *file)
{
	return fs_pin();
}

static int device_release(struct inode *inode, struct file *file)
{
	fs_unpin();
	return 0;
}

static int device_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (!(vma->vm_flags & VM_SHARED)) {
		pr_warn_once(
			"map_contig: %s: mmap with MAP_PRIVATE is refused, use MAP_SHARED: a private mapping would leave contiguous memory at its first write\n",
			current->comm);
		return -EINVAL;
	}
	if (vma->vm_pgoff)
		return -EINVAL;
	return mapping_create(vma);
}

static long device_query(struct map_contig_query *query)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	struct region *region;
	unsigned long index, chunk;
	long err = -ENXIO;

	if (query->flags)
		return -EOPNOTSUPP;
	if (!phys_for_all && !capable(CAP_SYS_RAWIO))
		return -EPERM;

	mmap_read_lock(mm);
	vma = find_vma(mm, query->addr);
	if (!vma || vma->vm_start > query->addr)
		goto unlock;
	region = mapping_region(vma);
	if (!region)
		goto unlock;

	index = vma->vm_pgoff + ((query->addr - vma->vm_start) >> PAGE_SHIFT);
	chunk = run_chunk(&region->run, index);
	query->phys = PFN_PHYS(region->run.pfn + index) + offset_in_page(query->addr);
	query->length = vma->vm_end - query->addr;
	query->node = pfn_to_nid(region->run.pfn + index);
	query->folio_shift = PAGE_SHIFT + ilog2(run_chunk_pages(&region->run, chunk));
	err = 0;
unlock:
	mmap_read_unlock(mm);
	return err;
}

static long device_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *user = (void __user *)arg;
	struct map_contig_query query;
	u32 size;
	long err;

	if (cmd != MAP_CONTIG_QUERY)
		return -ENOTTY;
	if (get_user(size, (u32 __user *)user))
		return -EFAULT;
	if (size < sizeof(query))
		return -EINVAL;
	err = copy_struct_from_user(&query, sizeof(query), user, size);
	if (err)
		return err;
	err = device_query(&query);
	if (err)
		return err;
	return copy_to_user(user, &query, sizeof(query)) ? -EFAULT : 0;
}

static const struct file_operations device_ops = {
	.owner = THIS_MODULE,
	.open = device_open,
	.release = device_release,
	.mmap = device_mmap,
	/* An address at which folios can be mapped by PMD. */
	.get_unmapped_area = thp_get_unmapped_area,
	.unlocked_ioctl = device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "map_contig",
	.fops = &device_ops,
	.mode = 0660,
};

static int __init device_init(void)
{
	int err;

	ledger_init();
	err = misc_register(&device);
	if (err)
		ledger_exit();
	return err;
}

static void __exit device_exit(void)
{
	misc_deregister(&device);
	orphan_exit();
	ledger_exit();
}

module_init(device_init);
module_exit(device_exit);
MODULE_LICENSE("GPL");
MODULE_AUTHOR("The libvdma developers");
MODULE_DESCRIPTION("Physically contiguous memory for user space: mmap(MAP_CONTIG) as a device");
