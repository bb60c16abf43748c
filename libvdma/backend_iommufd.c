// SPDX-License-Identifier: BSD-3-Clause
/*
 * iommufd and the device nodes of VFIO. What the documents leave open was read
 * in drivers/iommu/iommufd/ and drivers/vfio/ of Linux 6.12.
 *
 * The kernel counts locked memory for each user, once for each address space,
 * and does not say how much that is; so only what can never be had is foreseen.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend.h"
#include "backend_explain.h"
#include "explain.h"
#include "iommufd_abi.h"
#include "sys.h"

#define IOMMU "/dev/iommu"
#define UNSAFE "/sys/module/iommufd/parameters/allow_unsafe_interrupts"

struct vdma_space {
	int fd;
	uint32_t ioas;
	unsigned int devices;
	bool stale; /* could not be cleared when the last device went */
};

static int iommufd_create(struct vdma_space **out)
{
	struct iommufd_abi_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct vdma_space *space;
	int fd, err;

	fd = vdma_sys_open(IOMMU, O_RDWR);
	if (fd < 0)
		return vdma_backend_open_failed(fd, IOMMU, "iommufd", "KERNEL==\"iommu\"");
	space = calloc(1, sizeof(*space));
	if (!space) {
		err = vdma_fail_malloc(sizeof(*space));
		goto close;
	}
	err = vdma_sys_ioctl(fd, IOMMUFD_ABI_IOAS_ALLOC, &alloc);
	if (err < 0) {
		err = vdma_fail_sys(err, "IOMMU_IOAS_ALLOC");
		goto free_space;
	}
	space->fd = fd;
	space->ioas = alloc.out_ioas_id;
	*out = space;
	return 0;
free_space:
	free(space);
close:
	vdma_sys_close(fd);
	return err;
}

static void iommufd_destroy(struct vdma_space *space)
{
	vdma_sys_close(space->fd);
	free(space);
}

static int no_node(const char *bdf)
{
	return vdma_fail(VDMA_CAUSE_NO_VFIO, &(struct vdma_facts){ .sys_errno = ENOENT },
			 "%s has no device node of its own, below /dev/vfio/devices: the kernel was "
			 "built without CONFIG_VFIO_DEVICE_CDEV, or is older than 6.6. Use a VFIO "
			 "container (VDMA_BACKEND_TYPE1).",
			 bdf);
}

static int explain_bind(int err, int group, const char *bdf)
{
	char others[256], path[32];

	switch (-err) {
	case EPERM:
		/* No interrupt remapping, or not all of the group is ours to have. */
		vdma_host_group_text(group, bdf, true, others, sizeof(others));
		return *others ? vdma_backend_not_viable(group, bdf) :
				 vdma_backend_unsafe_irq(err, UNSAFE);
	case EBUSY:  /* somebody has its group */
	case EINVAL: /* or has bound it before */
		snprintf(path, sizeof(path), "/dev/vfio/%d", group);
		return vdma_backend_busy(err, path, bdf);
	}
	return vdma_fail_sys(err, "VFIO_DEVICE_BIND_IOMMUFD, %s", bdf);
}

/*
 * Mappings stay when the last device goes, and the next attach would pin what
 * is long gone. There need not be any.
 */
static int clear(struct vdma_space *space)
{
	struct iommufd_abi_ioas_unmap all = {
		.size = sizeof(all),
		.ioas_id = space->ioas,
		.length = UINT64_MAX,
	};
	int err = vdma_sys_ioctl(space->fd, IOMMUFD_ABI_IOAS_UNMAP, &all);

	return err < 0 && err != -ENOENT ? vdma_fail_sys(err, "IOMMU_IOAS_UNMAP of everything") : 0;
}

static int iommufd_attach(struct vdma_space *space, const char *bdf, int group)
{
	struct iommufd_abi_bind bind = { .argsz = sizeof(bind), .iommufd = space->fd };
	struct iommufd_abi_attach attach = { .argsz = sizeof(attach), .pt_id = space->ioas };
	char path[64];
	int fd, err;

	if (space->stale) {
		err = clear(space);
		if (err)
			return err;
		space->stale = false;
	}
	if (vdma_host_node(bdf, path, sizeof(path)))
		return no_node(bdf);
	fd = vdma_sys_open(path, O_RDWR);
	if (fd < 0)
		return vdma_backend_open_failed(fd, path, "vfio-pci", "SUBSYSTEM==\"vfio-dev\"");
	err = vdma_sys_ioctl(fd, IOMMUFD_ABI_DEVICE_BIND, &bind);
	if (err < 0) {
		/* First, lest we be found as who has it open. */
		vdma_sys_close(fd);
		return explain_bind(err, group, bdf);
	}
	err = vdma_sys_ioctl(fd, IOMMUFD_ABI_DEVICE_ATTACH, &attach);
	if (err < 0) {
		err = err == -EADDRINUSE ?
			      vdma_backend_reserved(err, group, bdf) :
			      vdma_fail_sys(err, "VFIO_DEVICE_ATTACH_IOMMUFD_PT, %s", bdf);
		goto close;
	}
	space->devices++;
	return fd;
close:
	vdma_sys_close(fd);
	return err;
}

static void iommufd_detach(struct vdma_space *space, int group, int fd)
{
	struct vdma_kept before;

	(void)group;
	vdma_sys_close(fd);
	if (--space->devices)
		return;
	vdma_keep_failure(&before);
	space->stale = clear(space);
	vdma_restore_failure(&before);
}

static int iommufd_state(struct vdma_space *space, struct vdma_space_state *state)
{
	struct iommufd_abi_iova_ranges get = { .size = sizeof(get), .ioas_id = space->ioas };
	struct vdma_range *ranges = NULL, *more;
	int err;

	for (;;) {
		get.allowed_iovas = (uintptr_t)ranges;
		err = vdma_sys_ioctl(space->fd, IOMMUFD_ABI_IOAS_IOVA_RANGES, &get);
		if (err != -EMSGSIZE)
			break;
		more = realloc(ranges, get.num_iovas * sizeof(*ranges));
		if (!more) {
			free(ranges);
			return vdma_fail_malloc(get.num_iovas * sizeof(*ranges));
		}
		ranges = more;
	}
	if (err < 0) {
		free(ranges);
		return vdma_fail_sys(err, "IOMMU_IOAS_IOVA_RANGES");
	}
	*state = (struct vdma_space_state){
		.ranges = ranges,
		.nranges = get.num_iovas,
		.page_sizes = get.out_iova_alignment,
		.entries_left = UINT64_MAX,
	};
	return 0;
}

/* Each address space counts anew, and against the sum of all of the user's. */
static int iommufd_room(struct vdma_space *space, uint64_t bytes, uint64_t entries,
			uint64_t charged)
{
	struct vdma_memlock m;

	(void)space;
	(void)entries;
	if (vdma_host_memlock(&m))
		return 0; /* the kernel will tell */
	m.locked = 0;
	if (vdma_backend_exceeds(&m, bytes + charged))
		return vdma_backend_over_memlock(&m, bytes, charged, 0);
	return 0;
}

static int iommufd_map(struct vdma_space *space, const void *va, uint64_t iova, uint64_t len,
		       enum vdma_access access)
{
	struct iommufd_abi_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMUFD_ABI_MAP_FIXED_IOVA |
			 (access != VDMA_ACCESS_WRITE ? IOMMUFD_ABI_MAP_READABLE : 0) |
			 (access != VDMA_ACCESS_READ ? IOMMUFD_ABI_MAP_WRITEABLE : 0),
		.ioas_id = space->ioas,
		.user_va = (uintptr_t)va,
		.length = len,
		.iova = iova,
	};
	struct vdma_memlock m;
	int err = vdma_sys_ioctl(space->fd, IOMMUFD_ABI_IOAS_MAP, &map);

	if (err >= 0)
		return 0;
	if (err == -ENOMEM && !vdma_host_memlock(&m) && !m.exempt && m.limit != UINT64_MAX)
		return vdma_fail(
			VDMA_CAUSE_MEMLOCK,
			&(struct vdma_facts){ .sys_errno = ENOMEM, .need = len, .limit = m.limit },
			"Mapping for DMA would lock %s more, and RLIMIT_MEMLOCK is %s for all "
			"that this user has locked through iommufd, every address space "
			"counted again. " VDMA_MEMLOCK_REMEDY ".",
			vdma_bytes(len).s, vdma_bytes(m.limit).s);
	return vdma_fail_sys(err, "IOMMU_IOAS_MAP of %s at IOVA 0x%llx", vdma_bytes(len).s,
			     (unsigned long long)iova);
}

static int iommufd_unmap(struct vdma_space *space, uint64_t iova, uint64_t len)
{
	struct iommufd_abi_ioas_unmap unmap = {
		.size = sizeof(unmap),
		.ioas_id = space->ioas,
		.iova = iova,
		.length = len,
	};
	int err = vdma_sys_ioctl(space->fd, IOMMUFD_ABI_IOAS_UNMAP, &unmap);

	if (err < 0)
		return vdma_fail_sys(err, "IOMMU_IOAS_UNMAP of %s at IOVA 0x%llx",
				     vdma_bytes(len).s, (unsigned long long)iova);
	if (unmap.length != len)
		return vdma_backend_short_unmap(iova, len, unmap.length);
	return 0;
}

const struct vdma_backend_ops vdma_backend_iommufd = {
	.id = VDMA_BACKEND_IOMMUFD,
	.translates = true,
	.create = iommufd_create,
	.destroy = iommufd_destroy,
	.attach = iommufd_attach,
	.detach = iommufd_detach,
	.state = iommufd_state,
	.room = iommufd_room,
	.map = iommufd_map,
	.unmap = iommufd_unmap,
};
