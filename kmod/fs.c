// SPDX-License-Identifier: GPL-2.0-only
/*
 * A pseudo file system that gives each region a file of its own.
 *
 * Why not map the device node's file: a PMD mapping needs an i_size that
 * covers the folio, and unmapping a part needs to know what else is mapped:
 * the file's own i_mmap tells. Why a pseudo file system: it has no writeback,
 * and long-term writable pins are refused for files that have.
 *
 * It is mounted while the device node is open or a region has a file, no
 * longer: a mounted instance holds the module.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>

#include "map_contig.h"

#define MAP_CONTIG_FS_MAGIC 0x436f6e74 /* "Cont" */

static struct vfsmount *fs_mount;
static int fs_mount_count;

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

/**
 * fs_file_create - a file of the given size for one region
 *
 * Return: the file, or an error pointer. Its inode is the caller's to keep as
 * well: file_inode() of it stays valid until fs_inode_put().
 */
struct file *fs_file_create(loff_t size)
{
	struct inode *inode;
	struct file *file;
	int err;

	err = fs_pin();
	if (err)
		return ERR_PTR(err);

	inode = alloc_anon_inode(fs_mount->mnt_sb);
	if (IS_ERR(inode)) {
		file = ERR_CAST(inode);
		goto release;
	}
	inode->i_flags |= S_NOATIME | S_NOCMTIME;
	i_size_write(inode, size);

	/* __fput() drops the module reference by f_op->owner. */
	__module_get(THIS_MODULE);
	file = alloc_file_pseudo(inode, fs_mount, "map_contig", O_RDWR, &fs_file_ops);
	if (IS_ERR(file)) {
		module_put(THIS_MODULE);
		iput(inode);
		goto release;
	}
	ihold(inode);
	return file;

release:
	fs_unpin();
	return file;
}

void fs_inode_put(struct inode *inode)
{
	iput(inode);
	fs_unpin();
}
