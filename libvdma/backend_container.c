// SPDX-License-Identifier: BSD-3-Clause
/*
 * The API is in linux/vfio.h; where its words are not enough, drivers/vfio/ of
 * Linux 6.1 and 6.12 was read.
 */
#include "backend_container.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend_explain.h"
#include "explain.h"
#include "sys.h"

#define CONTAINER "/dev/vfio/vfio"
#define UDEV "SUBSYSTEM==\"vfio\""
#define UNSAFE "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts"
#define UNSAFE_IOMMUFD "/sys/module/iommufd/parameters/allow_unsafe_interrupts"

struct group {
	LIST_ENTRY(group) link;
	int number;
	int fd;
	unsigned int devices;
};

static bool has_iommu(const struct vdma_container *c)
{
	return c->iommu != VFIO_NOIOMMU_IOMMU;
}

static int no_iommu_driver(const struct vdma_container *c, int err)
{
	struct vdma_facts facts = { .sys_errno = -err };

	if (has_iommu(c))
		return vdma_fail(VDMA_CAUSE_NO_VFIO, &facts,
				 "VFIO has no IOMMU driver of type1 v2: its module is not loaded. "
				 "As root: modprobe vfio_iommu_type1");
	return vdma_fail(VDMA_CAUSE_NO_VFIO, &facts,
			 "VFIO does not lend devices without an IOMMU: its parameter "
			 "enable_unsafe_noiommu_mode is off, or it was built without. As root, for "
			 "devices and programs that are trusted with all memory: echo Y > "
			 "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode, or bind the "
			 "device to uio_pci_generic.");
}

int vdma_container_open(struct vdma_container *c, unsigned long iommu)
{
	int ret;

	c->iommu = iommu;
	LIST_INIT(&c->groups);
	c->fd = vdma_sys_open(CONTAINER, O_RDWR);
	if (c->fd < 0)
		return vdma_backend_open_failed(c->fd, CONTAINER, "vfio-pci", UDEV);
	ret = vdma_sys_ioctl(c->fd, VFIO_GET_API_VERSION, NULL);
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
	ret = vdma_sys_ioctl(c->fd, VFIO_CHECK_EXTENSION, (void *)iommu);
	if (ret <= 0) {
		ret = no_iommu_driver(c, ret);
		goto close;
	}
	return 0;
close:
	vdma_sys_close(c->fd);
	return ret;
}

void vdma_container_from(struct vdma_container *c, int iommufd)
{
	*c = (struct vdma_container){ .fd = iommufd };
	LIST_INIT(&c->groups);
}

void vdma_container_close(struct vdma_container *c)
{
	vdma_sys_close(c->fd);
}

static int no_rawio(int err)
{
	return vdma_fail(VDMA_CAUSE_PRIVILEGE, &(struct vdma_facts){ .sys_errno = -err },
			 "Without an IOMMU a device reaches all memory, so its driver needs "
			 "CAP_SYS_RAWIO. Run it as root.");
}

static int explain_join(const struct vdma_container *c, int err, bool first, int group,
			const char *bdf)
{
	switch (-err) {
	case EPERM:
		if (!has_iommu(c))
			return no_rawio(err);
		/* Here the first group is only claimed, any other also attached. */
		return first ? vdma_backend_not_viable(group, bdf) :
			       vdma_backend_unsafe_irq(err, UNSAFE);
	case EINVAL:
		if (!first)
			return vdma_backend_reserved(err, group, bdf);
	}
	return vdma_fail_sys(err, "VFIO_GROUP_SET_CONTAINER, group %d", group);
}

static int explain_set_iommu(const struct vdma_container *c, int err)
{
	switch (-err) {
	case EPERM: return has_iommu(c) ? vdma_backend_unsafe_irq(err, UNSAFE) : no_rawio(err);
	case ENODEV: return no_iommu_driver(c, err);
	}
	return vdma_fail_sys(err, "VFIO_SET_IOMMU");
}

static int join_group(struct vdma_container *c, const char *bdf, int number, struct group **out)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	bool first = LIST_EMPTY(&c->groups);
	struct group *group;
	char path[32];
	int err;

	group = calloc(1, sizeof(*group));
	if (!group)
		return vdma_fail_malloc(sizeof(*group));
	group->number = number;
	snprintf(path, sizeof(path), "/dev/vfio/%s%d", has_iommu(c) ? "" : "noiommu-", number);
	group->fd = vdma_sys_open(path, O_RDWR);
	if (group->fd < 0) {
		err = group->fd == -EBUSY ?
			      vdma_backend_busy(group->fd, path, bdf) :
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
	err = vdma_sys_ioctl(group->fd, VFIO_GROUP_SET_CONTAINER, &c->fd);
	if (err < 0) {
		err = explain_join(c, err, first, number, bdf);
		goto close;
	}
	if (first && c->iommu) {
		err = vdma_sys_ioctl(c->fd, VFIO_SET_IOMMU, (void *)c->iommu);
		if (err < 0) {
			err = explain_set_iommu(c, err);
			goto close; /* takes the group out of the container */
		}
	}
	LIST_INSERT_HEAD(&c->groups, group, link);
	*out = group;
	return 0;
close:
	vdma_sys_close(group->fd);
free_group:
	free(group);
	return err;
}

static void put_group(struct group *group)
{
	if (group->devices)
		return;
	LIST_REMOVE(group, link);
	vdma_sys_close(group->fd);
	free(group);
}

static struct group *find_group(const struct vdma_container *c, int number)
{
	struct group *group;

	LIST_FOREACH(group, &c->groups, link)
	if (group->number == number)
		return group;
	return NULL;
}

int vdma_container_group_fd(const struct vdma_container *c, int number)
{
	const struct group *group = find_group(c, number);

	return group ? group->fd : -ENOENT;
}

static int explain_device(const struct vdma_container *c, int err, int group, const char *bdf,
			  const struct vdma_token *token)
{
	switch (-err) {
	case EACCES: return vdma_backend_wrong_token(err, bdf, token);
	case EADDRINUSE: return vdma_backend_reserved(err, group, bdf);
	case EPERM:
		if (!has_iommu(c))
			return no_rawio(err);
		if (!c->iommu) /* which is not asked before */
			return vdma_backend_unsafe_irq(err, UNSAFE_IOMMUFD);
	}
	return vdma_fail_sys(err, "VFIO_GROUP_GET_DEVICE_FD, %s in group %d", bdf, group);
}

int vdma_container_attach(struct vdma_container *c, const char *bdf, int number,
			  const struct vdma_token *token)
{
	struct group *group = find_group(c, number);
	char name[80];
	int fd, err;

	if (!group) {
		err = join_group(c, bdf, number, &group);
		if (err)
			return err;
	}
	snprintf(name, sizeof(name), "%s%s%s", bdf, token ? " vf_token=" : "",
		 token ? token->s : "");
	fd = vdma_sys_ioctl(group->fd, VFIO_GROUP_GET_DEVICE_FD, name);
	if (fd < 0) {
		err = explain_device(c, fd, number, bdf, token);
		put_group(group);
		return err;
	}
	group->devices++;
	return fd;
}

bool vdma_container_detach(struct vdma_container *c, int number, int fd)
{
	struct group *group = find_group(c, number);

	vdma_sys_close(fd);
	group->devices--;
	put_group(group);
	return LIST_EMPTY(&c->groups);
}
