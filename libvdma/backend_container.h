/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A VFIO container and the groups in it, for type1 v2 and for devices without an
 * IOMMU alike; or an iommufd in the place of one. Failures are explained.
 */
#ifndef VDMA_INTERNAL_BACKEND_CONTAINER_H
#define VDMA_INTERNAL_BACKEND_CONTAINER_H

#include <stdbool.h>
#include <sys/queue.h>

#include "host.h"

struct group;

struct vdma_container {
	int fd;
	unsigned long iommu; /* VFIO_TYPE1v2_IOMMU or VFIO_NOIOMMU_IOMMU; 0: an iommufd */
	LIST_HEAD(, group) groups;
};

int vdma_container_open(struct vdma_container *c, unsigned long iommu);

/* An iommufd of the caller's, which stays open. */
void vdma_container_from(struct vdma_container *c, int iommufd);

/* All devices are detached. */
void vdma_container_close(struct vdma_container *c);

/* The device's descriptor. The first group makes the container an IOMMU. @token may be NULL. */
int vdma_container_attach(struct vdma_container *c, const char *bdf, int group,
			  const struct vdma_token *token);

/* A group's descriptor, or -ENOENT if it is not in the container. */
int vdma_container_group_fd(const struct vdma_container *c, int group);

/* Closes it. Was it the last one? Then no mapping is left. */
bool vdma_container_detach(struct vdma_container *c, int group, int fd);

#endif
