// SPDX-License-Identifier: GPL-2.0-only
/*
 * A pseudo file system that gives each region a file of its own.
 *
 * Why not map the device node's file: a PMD mapping needs an i_size that
 * covers the folio, and unmapping a part needs to know what else is mapped:
 * the file's own i_mmap tells. Why a pseudo file system: it has no writeback,
 * and long-term writable pins are refused for files that have.
 *
 * All vmas of a region map one file, which nobody can have open; a region
 * descriptor is a second file over the same inode. So the end of a descriptor
 * is told from the end of a mapping.
 *
 * The file system is mounted while the device node is open or a region has a
 * file, no longer: a mounted instance holds the module.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/interval_tree_generic.h>
#include <linux/magic.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>

#include "map_contig.h"

#define MAP_CONTIG_FS_MAGIC 0x436f6e74 /* "Cont" */

static struct vfsmount *fs_mount;
static int fs_mount_count;

static unsigned long vma_first_index(struct vm_area_struct *vma)
{
	return vma->vm_pgoff;
}

static unsigned long vma_last_index(struct vm_area_struct *vma)
{
	return vma->vm_pgoff + vma_pages(vma) - 1;
}

/* The kernel's own iterators over i_mmap are not exported; these only read. */
INTERVAL_TREE_DEFINE(struct vm_area_struct, shared.rb, unsigned long, shared.rb_subtree_last,
		     vma_first_index, vma_last_index, static inline __maybe_unused, i_mmap);

static char *fs_dname(struct dentry *dentry, char *buffer, int buflen)
{
	static const char name[] = "/dev/map_contig";

	if (buflen < (int)sizeof(name))
		return ERR_PTR(-ENAMETOOLONG);
	return memcpy(buffer + buflen - sizeof(name), name, sizeof(name));
}

static const struct dentry_operations fs_dentry_ops = {
	.d_dname = fs_dname,
};

static int fs_init_context(struct fs_context *fc)
{
	struct pseudo_fs_context *ctx = init_pseudo(fc, MAP_CONTIG_FS_MAGIC);

	if (!ctx)
		return -ENOMEM;
	ctx->dops = &fs_dentry_ops;
	return 0;
}

static struct file_system_type fs_type = {
	.name = "map_contig",
	.owner = THIS_MODULE,
	.init_fs_context = fs_init_context,
	.kill_sb = kill_anon_super,
};

/* Nothing can be done to the file but to map it, and that is done in-kernel. */
static const struct file_operations fs_file_ops = {
	.owner = THIS_MODULE,
	.llseek = noop_llseek,
};

/* Keep it mounted, so that no mmap() has to mount it. */
int fs_pin(void)
{
	return simple_pin_fs(&fs_type, &fs_mount, &fs_mount_count);
}

void fs_unpin(void)
{
	simple_release_fs(&fs_mount, &fs_mount_count);
}

/* Takes over the reference to the inode, also on failure. */
static struct file *fs_file_open(struct inode *inode, const struct file_operations *ops)
{
	struct file *file;

	/* __fput() drops the module reference by f_op->owner. */
	__module_get(THIS_MODULE);
	file = inject() ? ERR_PTR(-ENOMEM) :
			  alloc_file_pseudo(inode, fs_mount, "map_contig", O_RDWR, ops);
	if (IS_ERR(file)) {
		module_put(THIS_MODULE);
		iput(inode);
	}
	return file;
}

/**
 * fs_file_create - a file of the given size for one region
 *
 * Return: the file, for fs_file_put(), or an error pointer.
 */
struct file *fs_file_create(loff_t size)
{
	struct inode *inode;
	struct file *file;
	int err;

	err = inject() ? -ENOMEM : fs_pin();
	if (err)
		return ERR_PTR(err);

	inode = alloc_anon_inode(fs_mount->mnt_sb);
	if (IS_ERR(inode)) {
		file = ERR_CAST(inode);
		goto unpin;
	}
	inode->i_flags |= S_NOATIME | S_NOCMTIME;
	i_size_write(inode, size);
	file = fs_file_open(inode, &fs_file_ops);
	if (IS_ERR(file))
		goto unpin;
	return file;

unpin:
	fs_unpin();
	return file;
}

struct file *fs_file_reopen(struct file *file, const struct file_operations *ops, void *data)
{
	struct inode *inode = file_inode(file);
	struct file *reopened;

	ihold(inode);
	reopened = fs_file_open(inode, ops);
	if (!IS_ERR(reopened))
		reopened->private_data = data;
	return reopened;
}

void fs_file_put(struct file *file)
{
	fput(file);
	fs_unpin();
}

/* No vma of the file comes or goes meanwhile. */
void fs_file_lock(struct file *file)
{
	i_mmap_lock_read(file->f_mapping);
}

void fs_file_unlock(struct file *file)
{
	i_mmap_unlock_read(file->f_mapping);
}

/**
 * fs_file_is_mapped - whether a page is mapped by a vma that counts
 * @first: first page of the range, by its index in the file
 * @last: last page
 * @wanted: which vmas count
 * @except: a vma that does not: it is going, but may still be in i_mmap
 *
 * Under fs_file_lock().
 */
bool fs_file_is_mapped(struct file *file, unsigned long first, unsigned long last,
		       bool (*wanted)(struct vm_area_struct *vma, void *arg), void *arg,
		       struct vm_area_struct *except)
{
	struct address_space *mapping = file->f_mapping;
	struct vm_area_struct *vma;
	bool found = false;

	for (vma = i_mmap_iter_first(&mapping->i_mmap, first, last); vma && !found;
	     vma = i_mmap_iter_next(vma, first, last))
		found = vma != except && wanted(vma, arg);
	return found;
}
