// SPDX-License-Identifier: GPL-2.0-only
/*
 * The region descriptor, which MAP_CONTIG_ALLOC makes: the region as a file. It
 * can be mapped, passed on, and keeps the memory until it is closed.
 */
#include <linux/module.h>

#include "map_contig.h"

static int region_file_find(const struct finder *finder, u64 addr, struct place *place)
{
	struct region *region = finder->file->private_data;
	u64 length = (u64)region->run.npages << PAGE_SHIFT;

	if (addr >= length)
		return -ENXIO;
	region_user_get(region);
	place->region = region;
	place->offset = addr;
	place->length = length - addr;
	return 0;
}

static long region_file_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct finder finder = { .find = region_file_find, .file = file };

	return ioctl_place(&finder, cmd, (void __user *)arg);
}

static int region_file_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct region *region = file->private_data;

	return mapping_create(vma, region, region->fork, 0);
}

static int region_file_release(struct inode *inode, struct file *file)
{
	region_keeper_put(file->private_data);
	return 0;
}

static const struct file_operations region_file_ops = {
	.owner = THIS_MODULE,
	.mmap = region_file_mmap,
	.get_unmapped_area = thp_get_unmapped_area,
	.release = region_file_release,
	.unlocked_ioctl = region_file_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = generic_file_llseek,
};

/* A descriptor's file for a region all of which is there. */
struct file *region_file_create(struct region *region)
{
	struct file *file;

	if (WARN_ON(!region_keeper_get(region, 0, region->run.npages)))
		return ERR_PTR(-ENXIO);
	/* Nothing maps it yet; nobody else knows the region. */
	region->kept = true;
	file = fs_file_reopen(region->file, &region_file_ops, region);
	if (IS_ERR(file))
		region_keeper_put(region);
	return file;
}
