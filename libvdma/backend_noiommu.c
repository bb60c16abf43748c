// SPDX-License-Identifier: BSD-3-Clause
/*
 * No IOMMU: a device address is a physical one. A device comes from VFIO's mode
 * without an IOMMU, or from uio_pci_generic, by the driver that it is bound to;
 * there is nothing to map.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend.h"
#include "backend_container.h"
#include "backend_explain.h"
#include "explain.h"
#include "host.h"
#include "sys.h"

struct vdma_space {
	struct vdma_container container; /* open while it has a device */
	unsigned int devices;		 /* of it */
};

static int noiommu_create(struct vdma_space **out)
{
	struct vdma_space *space = calloc(1, sizeof(*space));

	if (!space)
		return vdma_fail_malloc(sizeof(*space));
	*out = space;
	return 0;
}

static void noiommu_destroy(struct vdma_space *space)
{
	free(space);
}

static int attach_vfio(struct vdma_space *space, const char *bdf, int group,
		       const struct vdma_token *token)
{
	int fd, err;

	if (!space->devices) {
		err = vdma_container_open(&space->container, VFIO_NOIOMMU_IOMMU);
		if (err)
			return err;
	}
	fd = vdma_container_attach(&space->container, bdf, group, token);
	if (fd >= 0)
		space->devices++;
	else if (!space->devices)
		vdma_container_close(&space->container);
	return fd;
}

/* Unlike VFIO's, the node may be opened by many: a lock says whose the device is. */
static int attach_uio(const char *bdf)
{
	char path[64];
	int fd, err;

	if (vdma_host_uio(bdf, path, sizeof(path)))
		return vdma_fail(VDMA_CAUSE_SYSTEM, NULL,
				 "uio_pci_generic has made no UIO node for %s: see the kernel's log.",
				 bdf);
	fd = vdma_sys_open(path, O_RDWR | O_NONBLOCK);
	if (fd < 0)
		return vdma_backend_open_failed(fd, path, "uio_pci_generic", "SUBSYSTEM==\"uio\"");
	err = vdma_sys_lock(fd);
	if (!err)
		return fd;
	err = err == -EWOULDBLOCK ? vdma_backend_busy(err, path, bdf) :
				    vdma_fail_sys(err, "lock %s", path);
	vdma_sys_close(fd);
	return err;
}

static int noiommu_attach(struct vdma_space *space, const char *bdf, int group,
			  const struct vdma_token *token)
{
	return group < 0 ? attach_uio(bdf) : attach_vfio(space, bdf, group, token);
}

static int noiommu_group_fd(const struct vdma_space *space, int group)
{
	return space->devices ? vdma_container_group_fd(&space->container, group) : -ENOENT;
}

static void noiommu_detach(struct vdma_space *space, int group, int fd)
{
	if (group < 0) {
		vdma_sys_close(fd);
		return;
	}
	vdma_container_detach(&space->container, group, fd);
	if (!--space->devices)
		vdma_container_close(&space->container);
}

static int noiommu_state(struct vdma_space *space, struct vdma_space_state *state)
{
	struct vdma_range *all = malloc(sizeof(*all));

	(void)space;
	if (!all)
		return vdma_fail_malloc(sizeof(*all));
	*all = (struct vdma_range){ 0, UINT64_MAX };
	*state = (struct vdma_space_state){
		.ranges = all,
		.nranges = 1,
		.entries_left = UINT64_MAX,
	};
	return 0;
}

static int noiommu_room(struct vdma_space *space, uint64_t bytes, uint64_t entries,
			uint64_t charged)
{
	(void)space;
	(void)bytes;
	(void)entries;
	(void)charged;
	return 0;
}

const struct vdma_backend_ops vdma_backend_noiommu = {
	.id = VDMA_BACKEND_NOIOMMU,
	.create = noiommu_create,
	.destroy = noiommu_destroy,
	.attach = noiommu_attach,
	.detach = noiommu_detach,
	.group_fd = noiommu_group_fd,
	.state = noiommu_state,
	.room = noiommu_room,
};
