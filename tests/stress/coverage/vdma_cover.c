// SPDX-License-Identifier: GPL-2.0-only
/*
 * What code of map_contig has run: kept here, in a module of its own, so that
 * it can still be read, in debugfs (vdma_cover), when map_contig is gone.
 */
#include <linux/debugfs.h>
#include <linux/module.h>

#include "vdma_cover.h"

unsigned char vdma_cover[2 * COVER_RANGE + COVER_INIT];
EXPORT_SYMBOL_GPL(vdma_cover);

static struct debugfs_blob_wrapper blob = { .data = vdma_cover, .size = sizeof(vdma_cover) };
static struct dentry *file;

static int __init cover_init(void)
{
	file = debugfs_create_blob("vdma_cover", 0400, NULL, &blob);
	return 0;
}

static void __exit cover_exit(void)
{
	debugfs_remove(file);
}

module_init(cover_init);
module_exit(cover_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("What code of map_contig has run");
