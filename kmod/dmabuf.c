// SPDX-License-Identifier: GPL-2.0-only
/*
 * The dma-buf of a region, or of a part of it.
 *
 * It keeps the region, as a region descriptor does. Importers and processes
 * that map it see the region's own page frames: nothing is copied, and nothing
 * moves, so there is nothing to tell importers of either (no pin, no move_notify).
 */
#include "map_contig.h"

#if IS_ENABLED(CONFIG_DMA_SHARED_BUFFER)
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/iosys-map.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include "compat.h"

COMPAT_IMPORT_DMA_BUF;

/**
 * struct buffer - what a dma-buf is of: pages [first, first + npages) of region
 * @lock: guards @maps; taken with the dma-buf's reservation lock held, or without
 * @maps: what importers have mapped, for the CPU's accesses
 */
struct buffer {
	struct region *region;
	unsigned long first;
	unsigned long npages;
	struct mutex lock;
	struct list_head maps;
};

/* What one map_dma_buf() of an importer made. */
struct buffer_map {
	struct sg_table table;
	struct device *device;
	struct list_head node;
};

/* An entry's length is an unsigned int; beyond, entries that stay aligned. */
#define SG_LONGEST (UINT_MAX & PAGE_MASK)
#define SG_STEP (1UL << 31)

static int buffer_fill(struct buffer *buffer, struct sg_table *table)
{
	struct page *page = pfn_to_page(buffer->region->run.pfn + buffer->first);
	size_t left = (size_t)buffer->npages << PAGE_SHIFT;
	size_t step = left <= SG_LONGEST ? left : SG_STEP;
	struct scatterlist *sg;
	unsigned int i;
	int err;

	err = sg_alloc_table(table, DIV_ROUND_UP(left, step), GFP_KERNEL);
	if (err)
		return err;
	for_each_sgtable_sg(table, sg, i) {
		size_t len = min(left, step);

		sg_set_page(sg, page, len, 0);
		page = pfn_to_page(page_to_pfn(page) + (len >> PAGE_SHIFT));
		left -= len;
	}
	return 0;
}

static struct sg_table *buffer_map(struct dma_buf_attachment *attachment,
				   enum dma_data_direction direction)
{
	struct buffer *buffer = attachment->dmabuf->priv;
	struct buffer_map *map;
	int err;

	map = kzalloc(sizeof(*map), GFP_KERNEL);
	if (!map)
		return ERR_PTR(-ENOMEM);
	map->device = attachment->dev;
	err = buffer_fill(buffer, &map->table);
	if (err)
		goto free;
	err = dma_map_sgtable(map->device, &map->table, direction, 0);
	if (err)
		goto free_table;
	mutex_lock(&buffer->lock);
	list_add(&map->node, &buffer->maps);
	mutex_unlock(&buffer->lock);
	return &map->table;

free_table:
	sg_free_table(&map->table);
free:
	kfree(map);
	return ERR_PTR(err);
}

static void buffer_unmap(struct dma_buf_attachment *attachment, struct sg_table *table,
			 enum dma_data_direction direction)
{
	struct buffer_map *map = container_of(table, struct buffer_map, table);
	struct buffer *buffer = attachment->dmabuf->priv;

	mutex_lock(&buffer->lock);
	list_del(&map->node);
	mutex_unlock(&buffer->lock);
	dma_unmap_sgtable(map->device, table, direction, 0);
	sg_free_table(table);
	kfree(map);
}

static int buffer_begin_cpu_access(struct dma_buf *dmabuf, enum dma_data_direction direction)
{
	struct buffer *buffer = dmabuf->priv;
	struct buffer_map *map;

	mutex_lock(&buffer->lock);
	list_for_each_entry(map, &buffer->maps, node)
		dma_sync_sgtable_for_cpu(map->device, &map->table, direction);
	mutex_unlock(&buffer->lock);
	return 0;
}

static int buffer_end_cpu_access(struct dma_buf *dmabuf, enum dma_data_direction direction)
{
	struct buffer *buffer = dmabuf->priv;
	struct buffer_map *map;

	mutex_lock(&buffer->lock);
	list_for_each_entry(map, &buffer->maps, node)
		dma_sync_sgtable_for_device(map->device, &map->table, direction);
	mutex_unlock(&buffer->lock);
	return 0;
}

/*
 * Both the dma-buf's own mmap and dma_buf_mmap() come here, the range checked
 * against the dma-buf's size, with its file in the vma: the region's takes its
 * place, so the mapping outlives the dma-buf.
 */
static int buffer_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct buffer *buffer = dmabuf->priv;

	if (!(vma->vm_flags & VM_MAYSHARE) || vma->vm_pgoff >= buffer->npages ||
	    vma_pages(vma) > buffer->npages - vma->vm_pgoff)
		return -EINVAL;
	vma->vm_pgoff += buffer->first;
	return mapping_create(vma, buffer->region, buffer->region->fork, 0);
}

/* Contiguous in the direct map as it is in memory. */
static int buffer_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct buffer *buffer = dmabuf->priv;
	struct page *page = pfn_to_page(buffer->region->run.pfn + buffer->first);

	if (PageHighMem(page))
		return -EOPNOTSUPP;
	iosys_map_set_vaddr(map, page_address(page));
	return 0;
}

static void buffer_release(struct dma_buf *dmabuf)
{
	struct buffer *buffer = dmabuf->priv;

	region_keeper_put(buffer->region);
	mutex_destroy(&buffer->lock);
	kfree(buffer);
}

static const struct dma_buf_ops buffer_ops = {
	.map_dma_buf = buffer_map,
	.unmap_dma_buf = buffer_unmap,
	.begin_cpu_access = buffer_begin_cpu_access,
	.end_cpu_access = buffer_end_cpu_access,
	.mmap = buffer_mmap,
	.vmap = buffer_vmap,
	.release = buffer_release,
};

/**
 * dmabuf_export - make a dma-buf of pages [first, first + npages)
 *
 * The range is the caller's to check.
 *
 * Return: its file, not yet installed; or -ENFILE, -ENOMEM, and -ENXIO if pages
 * of it have been given back.
 */
struct file *dmabuf_export(struct region *region, unsigned long first, unsigned long npages)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct buffer *buffer;
	struct dma_buf *dmabuf;
	int err;

	buffer = inject() ? NULL : kzalloc(sizeof(*buffer), GFP_KERNEL_ACCOUNT);
	if (!buffer)
		return ERR_PTR(-ENOMEM);
	buffer->region = region;
	buffer->first = first;
	buffer->npages = npages;
	mutex_init(&buffer->lock);
	INIT_LIST_HEAD(&buffer->maps);
	if (!region_keeper_get(region, first, npages)) {
		err = -ENXIO;
		goto free;
	}

	info.ops = &buffer_ops;
	info.size = (size_t)npages << PAGE_SHIFT;
	info.flags = O_RDWR;
	info.priv = buffer;
	dmabuf = dma_buf_export(&info);
	if (!IS_ERR(dmabuf))
		return dmabuf->file;

	err = PTR_ERR(dmabuf);
	region_keeper_put(region);
free:
	mutex_destroy(&buffer->lock);
	kfree(buffer);
	return ERR_PTR(err);
}

bool dmabuf_is_there(void)
{
	return true;
}

#else
struct file *dmabuf_export(struct region *region, unsigned long first, unsigned long npages)
{
	return ERR_PTR(-EOPNOTSUPP);
}

bool dmabuf_is_there(void)
{
	return false;
}
#endif
