// SPDX-License-Identifier: BSD-3-Clause
/* A split virtqueue (2.7). */
#include "virtqueue.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int virtio_fail(char *why, size_t size, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, size, format, args);
	va_end(args);
	return err;
}

/* 2.7: where the parts lie behind each other. */
static size_t avail_at(const struct virtqueue *vq)
{
	return vq->size * sizeof(struct virtq_desc);
}

static size_t used_at(const struct virtqueue *vq)
{
	/* flags, idx and used_event besides the ring; on a cache line of its own */
	size_t end = avail_at(vq) + sizeof(uint16_t) * (3 + vq->size);

	return (end + 63) / 64 * 64;
}

static size_t mem_len(const struct virtqueue *vq)
{
	/* flags, idx and avail_event besides the ring */
	return used_at(vq) + sizeof(uint16_t) * 3 + sizeof(struct virtq_used_elem) * vq->size;
}

vdma_iova_t virtqueue_desc_iova(const struct virtqueue *vq)
{
	return vq->mem.iova;
}

vdma_iova_t virtqueue_avail_iova(const struct virtqueue *vq)
{
	return vq->mem.iova + avail_at(vq);
}

vdma_iova_t virtqueue_used_iova(const struct virtqueue *vq)
{
	return vq->mem.iova + used_at(vq);
}

void virtqueue_reset(struct virtqueue *vq)
{
	memset(vq->mem.va, 0, vq->mem.len);
	memset(vq->length, 0, vq->chains * sizeof(*vq->length));
	for (unsigned int i = 0; i < vq->chains; i++)
		vq->next[i] = (uint16_t)(i + 1);
	vq->free = 0;
	vq->n_free = vq->chains;
	vq->out = 0;
	vq->added = 0;
	vq->told = 0;
	vq->taken = 0;
	if (vq->quiet)
		vq->avail->flags = VIRTQ_AVAIL_NO_INTERRUPT;
}

int virtqueue_create(struct virtqueue *vq, struct vdma_arena *arena, unsigned int size,
		     unsigned int chains, unsigned int table_entries, char *why, size_t why_size)
{
	struct vdma_buf_opts opts = { .size = sizeof(opts), .align = 4096 };
	int err;

	memset(vq, 0, sizeof(*vq));
	vq->arena = arena;
	vq->size = size;
	vq->chains = table_entries ? chains : size;
	/* 2.7.5.3.1: not even a chain in a table is longer than the queue. */
	vq->table_entries = table_entries < size ? table_entries : size;
	vq->next = calloc(vq->chains, sizeof(*vq->next));
	vq->length = calloc(vq->chains, sizeof(*vq->length));
	if (!vq->next || !vq->length) {
		virtqueue_destroy(vq);
		return virtio_fail(why, why_size, -ENOMEM,
				   "virtio: no memory for a queue of %u entries", size);
	}
	err = vdma_buf_alloc(arena, mem_len(vq), &opts, &vq->mem);
	if (!err && table_entries)
		err = vdma_buf_alloc(arena,
				     (size_t)chains * vq->table_entries * sizeof(struct virtq_desc),
				     &opts, &vq->tables);
	if (err) {
		virtqueue_destroy(vq);
		return virtio_fail(why, why_size, err, "%s", vdma_explain());
	}
	vq->desc = vq->mem.va;
	vq->avail = (struct virtq_avail *)(void *)((char *)vq->mem.va + avail_at(vq));
	vq->used = (struct virtq_used *)(void *)((char *)vq->mem.va + used_at(vq));
	virtqueue_reset(vq);
	return 0;
}

void virtqueue_destroy(struct virtqueue *vq)
{
	if (vq->tables.va)
		vdma_buf_free(vq->arena, &vq->tables);
	if (vq->mem.va)
		vdma_buf_free(vq->arena, &vq->mem);
	free(vq->length);
	free(vq->next);
	memset(vq, 0, sizeof(*vq));
}

unsigned int virtqueue_next(const struct virtqueue *vq)
{
	return vq->free;
}

static void fill(struct virtq_desc *desc, const struct vdma_buf *piece, bool last, bool write,
		 uint16_t next)
{
	*desc = (struct virtq_desc){
		.addr = piece->iova,
		.len = (uint32_t)piece->len,
		.flags = (uint16_t)((last ? 0 : VIRTQ_DESC_NEXT) | (write ? VIRTQ_DESC_WRITE : 0)),
		.next = last ? 0 : next,
	};
}

/* 2.7.5.3: the chain in a table, which is one descriptor of the queue's */
static void fill_table(struct virtqueue *vq, const struct vdma_buf *pieces, unsigned int n_out,
		       unsigned int n)
{
	size_t at = (size_t)vq->free * vq->table_entries * sizeof(struct virtq_desc);
	struct virtq_desc *table = (struct virtq_desc *)(void *)((char *)vq->tables.va + at);

	for (unsigned int i = 0; i < n; i++)
		fill(&table[i], &pieces[i], i == n - 1, i >= n_out, (uint16_t)(i + 1));
	vq->desc[vq->free] = (struct virtq_desc){
		.addr = vq->tables.iova + at,
		.len = (uint32_t)(n * sizeof(struct virtq_desc)),
		.flags = VIRTQ_DESC_INDIRECT,
	};
}

int virtqueue_add(struct virtqueue *vq, const struct vdma_buf *pieces, unsigned int n_out,
		  unsigned int n_in)
{
	unsigned int n = n_out + n_in, entries = vq->table_entries ? 1 : n;
	unsigned int head = vq->free, i, at;

	if (!n || n > (vq->table_entries ? vq->table_entries : vq->size))
		return n ? -E2BIG : -EINVAL;
	for (i = 0; i < n; i++)
		if (!pieces[i].len || pieces[i].len > UINT32_MAX)
			return -EINVAL;
	if (entries > vq->n_free)
		return -EAGAIN;

	/* 2.7.13.1 */
	if (vq->table_entries)
		fill_table(vq, pieces, n_out, n);
	for (i = 0, at = head; i < entries; i++, at = vq->next[at])
		if (!vq->table_entries)
			fill(&vq->desc[at], &pieces[i], i == n - 1, i >= n_out, vq->next[at]);
	vq->free = at;
	vq->n_free -= entries;
	vq->length[head] = (uint16_t)entries;
	vq->out++;

	/* 2.7.13.2, 2.7.13.3: the entry, and after all that the index that shows it */
	vq->avail->ring[vq->added & (vq->size - 1)] = (uint16_t)head;
	vq->added++;
	vdma_barrier_to_device();
	__atomic_store_n(&vq->avail->idx, vq->added, __ATOMIC_RELAXED);
	return (int)head;
}

void virtqueue_kick(struct virtqueue *vq)
{
	if (vq->told == vq->added)
		return;
	vq->told = vq->added;
	/* 2.7.13.4: the device says that it sleeps before it looks at the index once more. */
	vdma_barrier_to_and_from_device();
	if (__atomic_load_n(&vq->used->flags, __ATOMIC_RELAXED) & VIRTQ_USED_NO_NOTIFY)
		return;
	/* 4.1.5.2 */
	vdma_mmio_write16(vq->bar, vq->doorbell, vq->index);
}

bool virtqueue_has_used(const struct virtqueue *vq)
{
	return __atomic_load_n(&vq->used->idx, __ATOMIC_RELAXED) != vq->taken;
}

int virtqueue_take(struct virtqueue *vq, uint32_t *len)
{
	uint16_t idx = __atomic_load_n(&vq->used->idx, __ATOMIC_RELAXED);
	const struct virtq_used_elem *elem;
	unsigned int id, last, n;

	if (idx == vq->taken)
		return -EAGAIN;
	if ((uint16_t)(idx - vq->taken) > vq->out)
		return -EIO;
	/* 2.7.14: the entry, and the data, are read after the index. */
	vdma_barrier_from_device();
	elem = &vq->used->ring[vq->taken & (vq->size - 1)];
	vq->taken++;
	/* Once: what is checked is what is used, even if the device writes it again. */
	id = __atomic_load_n(&elem->id, __ATOMIC_RELAXED);
	*len = __atomic_load_n(&elem->len, __ATOMIC_RELAXED);
	if (id >= vq->chains || !vq->length[id])
		return -EIO;

	/* The chain's descriptors go back to the list, in one piece. */
	n = vq->length[id];
	for (last = id; --n;)
		last = vq->next[last];
	vq->next[last] = (uint16_t)vq->free;
	vq->free = id;
	vq->n_free += vq->length[id];
	vq->length[id] = 0;
	vq->out--;
	return (int)id;
}
