// SPDX-License-Identifier: BSD-3-Clause
/*
 * VFIO's type1 v2, the IOMMU of a container.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "backend_container.h"
#include "backend_explain.h"
#include "explain.h"
#include "host.h"
#include "sys.h"

#define PARAMETERS "/sys/module/vfio_iommu_type1/parameters"

struct vdma_space {
	struct vdma_container container;
	uint64_t entries; /* mapped; the kernel tells only how many are left */
};

static int type1_create(struct vdma_space **out)
{
	struct vdma_space *space = calloc(1, sizeof(*space));
	int err;

	if (!space)
		return vdma_fail_malloc(sizeof(*space));
	err = vdma_container_open(&space->container, VFIO_TYPE1v2_IOMMU);
	if (err) {
		free(space);
		return err;
	}
	*out = space;
	return 0;
}

static void type1_destroy(struct vdma_space *space)
{
	vdma_container_close(&space->container);
	free(space);
}

static int type1_attach(struct vdma_space *space, const char *bdf, int group,
			const struct vdma_token *token)
{
	return vdma_container_attach(&space->container, bdf, group, token);
}

static int type1_group_fd(const struct vdma_space *space, int group)
{
	return vdma_container_group_fd(&space->container, group);
}

static void type1_detach(struct vdma_space *space, int group, int fd)
{
	/* The last group takes all mappings with it. */
	if (vdma_container_detach(&space->container, group, fd))
		space->entries = 0;
}

/* VFIO_IOMMU_GET_INFO with its capabilities; free() is the caller's. */
static int get_info(struct vdma_space *space, struct vfio_iommu_type1_info **out)
{
	struct vfio_iommu_type1_info *info = NULL, *more;
	uint32_t size = sizeof(*info);
	int err;

	for (;;) {
		more = realloc(info, size);
		if (!more) {
			free(info);
			return vdma_fail_malloc(size);
		}
		info = more;
		memset(info, 0, size);
		info->argsz = size;
		err = vdma_sys_ioctl(space->container.fd, VFIO_IOMMU_GET_INFO, info);
		if (err < 0) {
			free(info);
			return vdma_fail_sys(err, "VFIO_IOMMU_GET_INFO");
		}
		if (info->argsz <= size)
			break;
		size = info->argsz;
	}
	*out = info;
	return 0;
}

/*
 * Copies the fixed part of a capability, and says where what follows it lies;
 * 0 if there is none. Before Linux 6.6 capabilities are not aligned.
 */
static uint32_t get_cap(const struct vfio_iommu_type1_info *info, uint16_t id, void *cap,
			size_t size)
{
	uint32_t at = info->flags & VFIO_IOMMU_INFO_CAPS ? info->cap_offset : 0;

	while (at && at <= info->argsz && info->argsz - at >= size) {
		struct vfio_info_cap_header header;

		memcpy(&header, (const char *)info + at, sizeof(header));
		if (header.id == id) {
			memcpy(cap, (const char *)info + at, size);
			return at + (uint32_t)size;
		}
		at = header.next;
	}
	return 0;
}

static uint64_t entries_left(const struct vfio_iommu_type1_info *info)
{
	struct vfio_iommu_type1_info_dma_avail cap;

	return get_cap(info, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, &cap, sizeof(cap)) ? cap.avail :
										   UINT64_MAX;
}

/* The usable ranges; free() is the caller's. */
static int get_ranges(const struct vfio_iommu_type1_info *info, struct vdma_range **out, size_t *n)
{
	struct vfio_iommu_type1_info_cap_iova_range cap = { .nr_iovas = 0 };
	struct vfio_iova_range r;
	struct vdma_range *ranges;
	uint32_t at, i;

	at = get_cap(info, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, &cap, sizeof(cap));
	if (!cap.nr_iovas || cap.nr_iovas > (info->argsz - at) / sizeof(r))
		return vdma_fail(VDMA_CAUSE_UNSUPPORTED, NULL,
				 "The kernel does not say which device addresses its IOMMU can "
				 "translate (VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE). Use Linux 5.4 or "
				 "newer.");
	ranges = calloc(cap.nr_iovas, sizeof(*ranges));
	if (!ranges)
		return vdma_fail_malloc(cap.nr_iovas * sizeof(*ranges));
	for (i = 0; i < cap.nr_iovas; i++) {
		memcpy(&r, (const char *)info + at + i * sizeof(r), sizeof(r));
		ranges[i] = (struct vdma_range){ r.start, r.end };
	}
	*out = ranges;
	*n = cap.nr_iovas;
	return 0;
}

static int type1_state(struct vdma_space *space, struct vdma_space_state *state)
{
	struct vfio_iommu_type1_info *info;
	int err;

	err = get_info(space, &info);
	if (err)
		return err;
	err = get_ranges(info, &state->ranges, &state->nranges);
	state->page_sizes = info->flags & VFIO_IOMMU_INFO_PGSIZES ? info->iova_pgsizes : 0;
	state->entries_left = entries_left(info);
	free(info);
	return err;
}

/*
 * The limit is the container's own, which took the parameter when its first
 * device came; the parameter may have changed since.
 */
static int no_entries(const struct vdma_space *space, int err, uint64_t need, uint64_t left)
{
	struct vdma_facts facts = {
		.sys_errno = -err,
		.need = need,
		.limit = space->entries + left,
		.used = space->entries,
	};

	return vdma_fail(VDMA_CAUSE_DMA_ENTRIES, &facts,
			 "%llu more DMA entries are needed, %llu of %llu are in use. Use fewer and "
			 "larger regions, or raise the limit, as root: echo NUMBER > " PARAMETERS
			 "/dma_entry_limit (it counts when the address space gets its first device).",
			 (unsigned long long)need, (unsigned long long)facts.used,
			 (unsigned long long)facts.limit);
}

static int type1_room(struct vdma_space *space, uint64_t bytes, uint64_t entries, uint64_t charged)
{
	struct vfio_iommu_type1_info *info;
	struct vdma_memlock m;
	uint64_t left;
	int err;

	err = get_info(space, &info);
	if (err)
		return err;
	left = entries_left(info);
	free(info);
	if (left < entries)
		return no_entries(space, 0, entries, left);
	/* If /proc does not tell, the kernel will. */
	if (!vdma_host_memlock(&m) && vdma_backend_exceeds(&m, bytes + charged))
		return vdma_backend_over_memlock(&m, bytes, charged, 0);
	return 0;
}

static int type1_map(struct vdma_space *space, const void *va, uint64_t iova, uint64_t len,
		     enum vdma_access access)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = (access != VDMA_ACCESS_WRITE ? VFIO_DMA_MAP_FLAG_READ : 0) |
			 (access != VDMA_ACCESS_READ ? VFIO_DMA_MAP_FLAG_WRITE : 0),
		.vaddr = (uintptr_t)va,
		.iova = iova,
		.size = len,
	};
	struct vdma_memlock m;
	int err = vdma_sys_ioctl(space->container.fd, VFIO_IOMMU_MAP_DMA, &map);

	if (err >= 0) {
		space->entries++;
		return 0;
	}
	switch (-err) {
	case ENOSPC: return no_entries(space, err, 1, 0);
	case EEXIST: return vdma_backend_overlap(err, iova, len);
	case EFAULT:
	case EOPNOTSUPP: return vdma_backend_cannot_pin(err, "VFIO's type1", true, len);
	case ENOMEM: /* for the limit as well */
		if (!vdma_host_memlock(&m) && vdma_backend_exceeds(&m, len))
			return vdma_backend_over_memlock(&m, len, 0, err);
	}
	return vdma_fail_sys(err, "VFIO_IOMMU_MAP_DMA of %s at IOVA 0x%llx", vdma_bytes(len).s,
			     (unsigned long long)iova);
}

static int type1_unmap(struct vdma_space *space, uint64_t iova, uint64_t len)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = iova,
		.size = len,
	};
	int err = vdma_sys_ioctl(space->container.fd, VFIO_IOMMU_UNMAP_DMA, &unmap);

	if (err < 0)
		return vdma_fail_sys(err, "VFIO_IOMMU_UNMAP_DMA of %s at IOVA 0x%llx",
				     vdma_bytes(len).s, (unsigned long long)iova);
	if (unmap.size != len)
		return vdma_backend_short_unmap(iova, len, unmap.size);
	space->entries--;
	return 0;
}

const struct vdma_backend_ops vdma_backend_type1 = {
	.id = VDMA_BACKEND_TYPE1,
	.translates = true,
	.create = type1_create,
	.destroy = type1_destroy,
	.attach = type1_attach,
	.detach = type1_detach,
	.group_fd = type1_group_fd,
	.state = type1_state,
	.room = type1_room,
	.map = type1_map,
	.unmap = type1_unmap,
};
