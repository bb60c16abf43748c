/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A VFIO container and the groups in it, for type1 v2 and for devices without an
 * IOMMU alike. Failures are explained.
 */
#ifndef VDMA_INTERNAL_BACKEND_CONTAINER_H
#define VDMA_INTERNAL_BACKEND_CONTAINER_H

#include <stdbool.h>
#include <sys/queue.h>

struct group;

struct vdma_container {
	int fd;
	unsigned long iommu; /* VFIO_TYPE1v2_IOMMU or VFIO_NOIOMMU_IOMMU */
	LIST_HEAD(, group) groups;
};

int vdma_container_open(struct vdma_container *c, unsigned long iommu);

/* All devices are detached. */
void vdma_container_close(struct vdma_container *c);

/* The device's descriptor. The first group makes the container an IOMMU. */
int vdma_container_attach(struct vdma_container *c, const char *bdf, int group);

/* Closes it. Was it the last one? Then no mapping is left. */
bool vdma_container_detach(struct vdma_container *c, int group, int fd);

#endif
