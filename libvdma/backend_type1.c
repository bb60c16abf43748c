// SPDX-License-Identifier: BSD-3-Clause
/*
 * VFIO container and groups, type1 v2. The API is in linux/vfio.h; where its
 * words are not enough, drivers/vfio/ of Linux 6.1 and 6.12 was read.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "backend.h"
#include "backend_explain.h"
#include "explain.h"
#include "host.h"
#include "sys.h"

#define CONTAINER "/dev/vfio/vfio"
#define UDEV "SUBSYSTEM==\"vfio\""
#define PARAMETERS "/sys/module/vfio_iommu_type1/parameters"
#define UNSAFE PARAMETERS "/allow_unsafe_interrupts"

struct group {
	LIST_ENTRY(group) link;
	int number;
	int fd;
	unsigned int devices;
};

struct vdma_space {
	int fd;
	LIST_HEAD(, group) groups;
	uint64_t entries; /* mapped; the kernel tells only how many are left */
};

static int no_type1(int err)
{
	return vdma_fail(VDMA_CAUSE_NO_VFIO, &(struct vdma_facts){ .sys_errno = -err },
			 "VFIO has no IOMMU driver of type1 v2: its module is not loaded. As root: "
			 "modprobe vfio_iommu_type1");
}

static int type1_create(struct vdma_space **out)
{
	struct vdma_space *space;
	int fd, ret;

	fd = vdma_sys_open(CONTAINER, O_RDWR);
	if (fd < 0)
		return vdma_backend_open_failed(fd, CONTAINER, "vfio-pci", UDEV);
	ret = vdma_sys_ioctl(fd, VFIO_GET_API_VERSION, NULL);
	if (ret < 0) {
		ret = vdma_fail_sys(ret, "VFIO_GET_API_VERSION");
		goto close;
	}
	if (ret != VFIO_API_VERSION) {
		ret = vdma_fail(VDMA_CAUSE_UNSUPPORTED, NULL,
				"The kernel's VFIO has API version %d, this library knows %d. Use a "
				"kernel or a libvdma that fit.",
				ret, VFIO_API_VERSION);
		goto close;
	}
	ret = vdma_sys_ioctl(fd, VFIO_CHECK_EXTENSION, (void *)VFIO_TYPE1v2_IOMMU);
	if (ret <= 0) {
		ret = no_type1(ret);
		goto close;
	}
	space = calloc(1, sizeof(*space));
	if (!space) {
		ret = vdma_fail_malloc(sizeof(*space));
		goto close;
	}
	space->fd = fd;
	LIST_INIT(&space->groups);
	*out = space;
	return 0;
close:
	vdma_sys_close(fd);
	return ret;
}

static void type1_destroy(struct vdma_space *space)
{
	vdma_sys_close(space->fd);
	free(space);
}

static int explain_join(int err, bool first, int group, const char *bdf)
{
	switch (-err) {
	case EPERM:
		/* Here the first group is only claimed, any other also attached. */
		return first ? vdma_backend_not_viable(group, bdf) :
			       vdma_backend_unsafe_irq(err, UNSAFE);
	case EINVAL:
		if (!first)
			return vdma_backend_reserved(err, group, bdf);
	}
	return vdma_fail_sys(err, "VFIO_GROUP_SET_CONTAINER, group %d", group);
}

static int explain_set_iommu(int err)
{
	switch (-err) {
	case EPERM: return vdma_backend_unsafe_irq(err, UNSAFE);
	case ENODEV: return no_type1(err);
	}
	return vdma_fail_sys(err, "VFIO_SET_IOMMU");
}

static int join_group(struct vdma_space *space, const char *bdf, int number, struct group **out)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	bool first = LIST_EMPTY(&space->groups);
	struct group *group;
	char path[32];
	int err;

	group = calloc(1, sizeof(*group));
	if (!group)
		return vdma_fail_malloc(sizeof(*group));
	group->number = number;
	snprintf(path, sizeof(path), "/dev/vfio/%d", number);
	group->fd = vdma_sys_open(path, O_RDWR);
	if (group->fd < 0) {
		err = group->fd == -EBUSY ?
			      vdma_backend_busy(group->fd, number, bdf) :
			      vdma_backend_open_failed(group->fd, path, "vfio-pci", UDEV);
		goto free_group;
	}
	err = vdma_sys_ioctl(group->fd, VFIO_GROUP_GET_STATUS, &status);
	if (err < 0) {
		err = vdma_fail_sys(err, "VFIO_GROUP_GET_STATUS, group %d", number);
		goto close;
	}
	if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE)) {
		err = vdma_backend_not_viable(number, bdf);
		goto close;
	}
	err = vdma_sys_ioctl(group->fd, VFIO_GROUP_SET_CONTAINER, &space->fd);
	if (err < 0) {
		err = explain_join(err, first, number, bdf);
		goto close;
	}
	if (first) {
		err = vdma_sys_ioctl(space->fd, VFIO_SET_IOMMU, (void *)VFIO_TYPE1v2_IOMMU);
		if (err < 0) {
			err = explain_set_iommu(err);
			goto close; /* takes the group out of the container */
		}
	}
	LIST_INSERT_HEAD(&space->groups, group, link);
	*out = group;
	return 0;
close:
	vdma_sys_close(group->fd);
free_group:
	free(group);
	return err;
}

static void put_group(struct vdma_space *space, struct group *group)
{
	if (group->devices)
		return;
	LIST_REMOVE(group, link);
	vdma_sys_close(group->fd);
	free(group);
	/* The last group takes all mappings with it. */
	if (LIST_EMPTY(&space->groups))
		space->entries = 0;
}

static struct group *find_group(struct vdma_space *space, int number)
{
	struct group *group;

	LIST_FOREACH(group, &space->groups, link)
	if (group->number == number)
		return group;
	return NULL;
}

static int type1_attach(struct vdma_space *space, const char *bdf, int number)
{
	struct group *group = find_group(space, number);
	int fd, err;

	if (!group) {
		err = join_group(space, bdf, number, &group);
		if (err)
			return err;
	}
	fd = vdma_sys_ioctl(group->fd, VFIO_GROUP_GET_DEVICE_FD, (void *)bdf);
	if (fd < 0) {
		err = vdma_fail_sys(fd, "VFIO_GROUP_GET_DEVICE_FD, %s in group %d", bdf, number);
		put_group(space, group);
		return err;
	}
	group->devices++;
	return fd;
}

static void type1_detach(struct vdma_space *space, int number, int fd)
{
	struct group *group = find_group(space, number);

	vdma_sys_close(fd);
	group->devices--;
	put_group(space, group);
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
		err = vdma_sys_ioctl(space->fd, VFIO_IOMMU_GET_INFO, info);
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
	int err = vdma_sys_ioctl(space->fd, VFIO_IOMMU_MAP_DMA, &map);

	if (err >= 0) {
		space->entries++;
		return 0;
	}
	if (err == -ENOSPC)
		return no_entries(space, err, 1, 0);
	/* type1 answers ENOMEM for the limit as well. */
	if (err == -ENOMEM && !vdma_host_memlock(&m) && vdma_backend_exceeds(&m, len))
		return vdma_backend_over_memlock(&m, len, 0, err);
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
	int err = vdma_sys_ioctl(space->fd, VFIO_IOMMU_UNMAP_DMA, &unmap);

	if (err < 0)
		return vdma_fail_sys(err, "VFIO_IOMMU_UNMAP_DMA of %s at IOVA 0x%llx",
				     vdma_bytes(len).s, (unsigned long long)iova);
	if (unmap.size != len)
		return vdma_backend_short_unmap(iova, len, unmap.size);
	return 0;
}

const struct vdma_backend_ops vdma_backend_type1 = {
	.id = VDMA_BACKEND_TYPE1,
	.create = type1_create,
	.destroy = type1_destroy,
	.attach = type1_attach,
	.detach = type1_detach,
	.state = type1_state,
	.room = type1_room,
	.map = type1_map,
	.unmap = type1_unmap,
};
