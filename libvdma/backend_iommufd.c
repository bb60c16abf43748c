// SPDX-License-Identifier: BSD-3-Clause
/*
 * iommufd and the device nodes of VFIO, or its groups where the kernel has no such
 * nodes (before 6.6, or without CONFIG_VFIO_DEVICE_CDEV). What the documents leave open was read
 * in drivers/iommu/iommufd/ and drivers/vfio/ of Linux 6.12.
 *
 * The kernel counts locked memory for each user, once for each address space,
 * and does not say how much that is; so only what can never be had is foreseen.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "backend_container.h"
#include "backend_explain.h"
#include "explain.h"
#include "iommufd_abi.h"
#include "sys.h"

#define IOMMU "/dev/iommu"
#define UNSAFE "/sys/module/iommufd/parameters/allow_unsafe_interrupts"

struct vdma_space {
	int fd;
	uint32_t ioas;
	struct vdma_container groups; /* that take the iommufd for a container */
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
	vdma_container_from(&space->groups, fd);
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

static int explain_bind(int err, int group, const char *bdf)
{
	char others[256], path[32];

	switch (-err) {
	case EACCES: /* Linux 6.17 asks for it when a device is bound */
		return vdma_backend_wrong_token(err, bdf, NULL);
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

static int no_token(const char *bdf)
{
	return vdma_fail(VDMA_CAUSE_UNSUPPORTED, NULL,
			 "A virtual function cannot be given a VF token when it is opened over "
			 "iommufd, which before Linux 6.17 does not ask for one: leave it out for %s, "
			 "or use a VFIO container (VDMA_BACKEND_TYPE1).",
			 bdf);
}

static int set_token(int fd, const char *bdf, const struct vdma_token *token)
{
	struct iommufd_abi_token set = {
		.argsz = sizeof(set),
		.flags = IOMMUFD_ABI_FEATURE_SET_TOKEN,
	};
	int err;

	memcpy(set.uuid, token->bytes, sizeof(set.uuid));
	err = vdma_sys_ioctl(fd, IOMMUFD_ABI_DEVICE_FEATURE, &set);
	return err < 0 ? vdma_fail_sys(err, "VFIO_DEVICE_FEATURE_PCI_VF_TOKEN of %s", bdf) : 0;
}

/* A device's descriptor, bound and attached. */
static int attach_node(struct vdma_space *space, int fd, const char *bdf, int group,
		       const struct vdma_token *token)
{
	struct iommufd_abi_bind bind = { .argsz = sizeof(bind), .iommufd = space->fd };
	struct iommufd_abi_attach attach = { .argsz = sizeof(attach), .pt_id = space->ioas };
	int err = vdma_sys_ioctl(fd, IOMMUFD_ABI_DEVICE_BIND, &bind);

	if (err < 0) {
		/* First, lest we be found as who has it open. */
		vdma_sys_close(fd);
		return explain_bind(err, group, bdf);
	}
	err = token ? set_token(fd, bdf, token) : 0;
	if (err)
		goto close;
	err = vdma_sys_ioctl(fd, IOMMUFD_ABI_DEVICE_ATTACH, &attach);
	if (err < 0) {
		err = err == -EADDRINUSE ?
			      vdma_backend_reserved(err, group, bdf) :
			      vdma_fail_sys(err, "VFIO_DEVICE_ATTACH_IOMMUFD_PT, %s", bdf);
		goto close;
	}
	return fd;
close:
	vdma_sys_close(fd);
	return err;
}

/* The IOAS is ours, not one that VFIO would make. */
static int attach_group(struct vdma_space *space, const char *bdf, int group,
			const struct vdma_token *token)
{
	struct iommufd_abi_vfio_ioas set = {
		.size = sizeof(set),
		.ioas_id = space->ioas,
		.op = IOMMUFD_ABI_VFIO_IOAS_SET,
	};
	int err = vdma_sys_ioctl(space->fd, IOMMUFD_ABI_VFIO_IOAS, &set);

	return err < 0 ? vdma_fail_sys(err, "IOMMU_VFIO_IOAS") :
			 vdma_container_attach(&space->groups, bdf, group, token);
}

static int attach(struct vdma_space *space, const char *bdf, int group,
		  const struct vdma_token *token)
{
	char path[64], physfn[32];
	int fd = vdma_host_node(bdf, path, sizeof(path));

	if (fd && fd != -ENOENT)
		return vdma_fail_sys(fd, "look for the device node of %s", bdf);
	if (!fd)
		fd = vdma_sys_open(path, O_RDWR);
	if (fd == -ENOENT)
		return attach_group(space, bdf, group, token);
	if (fd < 0)
		return vdma_backend_open_failed(fd, path, "vfio-pci", "SUBSYSTEM==\"vfio-dev\"");
	if (token && !vdma_host_physfn(bdf, physfn, sizeof(physfn))) {
		vdma_sys_close(fd);
		return no_token(bdf);
	}
	return attach_node(space, fd, bdf, group, token);
}

static int iommufd_attach(struct vdma_space *space, const char *bdf, int group,
			  const struct vdma_token *token)
{
	int fd;

	if (space->stale) {
		int err = clear(space);

		if (err)
			return err;
		space->stale = false;
	}
	fd = attach(space, bdf, group, token);
	if (fd >= 0)
		space->devices++;
	return fd;
}

static int iommufd_group_fd(const struct vdma_space *space, int group)
{
	return vdma_container_group_fd(&space->groups, group);
}

static void iommufd_detach(struct vdma_space *space, int group, int fd)
{
	struct vdma_kept before;

	if (iommufd_group_fd(space, group) >= 0)
		vdma_container_detach(&space->groups, group, fd);
	else
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
		return vdma_backend_over_user_memlock(m.limit, bytes, charged, 0);
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
	switch (-err) {
	case EEXIST: return vdma_backend_overlap(err, iova, len);
	case EFAULT:
	case EOPNOTSUPP: return vdma_backend_cannot_pin(err, "iommufd", false, len);
	case ENOMEM:
		if (!vdma_host_memlock(&m) && !m.exempt && m.limit != UINT64_MAX)
			return vdma_backend_over_user_memlock(m.limit, len, 0, err);
	}
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

	/* How it says that there is nothing. */
	if (err == -ENOENT)
		return vdma_backend_short_unmap(iova, len, 0);
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
	.group_fd = iommufd_group_fd,
	.state = iommufd_state,
	.room = iommufd_room,
	.map = iommufd_map,
	.unmap = iommufd_unmap,
};
