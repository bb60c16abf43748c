/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * iommufd and the devices' own nodes, for the machine in fake.c. A descriptor
 * of /dev/iommu has one IOAS at most, which is all that the library makes.
 */
#ifndef VDMA_TEST_FAKE_IOMMUFD_H
#define VDMA_TEST_FAKE_IOMMUFD_H

#include <stddef.h>
#include <stdint.h>
#include <vdma/types.h>

#define FAKE_IOMMUFDS 16

void fake_iommufd_reset(void);
int fake_iommufd_open(void); /* which one */
void fake_iommufd_close(int which);
int fake_iommufd_ioctl(int which, unsigned long request, void *arg);

/*
 * A device that was bound to @which through its node is attached; or is closed. @reserved:
 * what its group reserves, last 0: nothing. -EADDRINUSE if that is mapped.
 */
int fake_iommufd_attach(int which, struct vdma_range reserved);
void fake_iommufd_detach(int which, struct vdma_range reserved);

size_t fake_iommufd_mappings(void);
unsigned int fake_iommufd_reachable(uint64_t iova, const void *va, uint64_t len);

#endif
