/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the suite needs of linux/iommufd.h (since 6.2) and of the newer half of
 * linux/vfio.h, for build machines whose headers are older.
 */
#ifndef IOMMUFD_ABI_H
#define IOMMUFD_ABI_H

#include <stdint.h>
#include <sys/ioctl.h>

struct iommufd_ioas_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t out_ioas_id;
};
#define IOMMUFD_IOAS_ALLOC _IO(';', 0x81)

#define IOMMUFD_MAP_FIXED (1U << 0)
#define IOMMUFD_MAP_WRITE (1U << 1)
#define IOMMUFD_MAP_READ (1U << 2)
struct iommufd_ioas_map {
	uint32_t size;
	uint32_t flags;
	uint32_t ioas_id;
	uint32_t reserved;
	uint64_t user_va;
	uint64_t length;
	uint64_t iova;
};
#define IOMMUFD_IOAS_MAP _IO(';', 0x85)

struct vfio_bind_iommufd {
	uint32_t argsz;
	uint32_t flags;
	int32_t iommufd;
	uint32_t out_devid;
};
#define VFIO_BIND_IOMMUFD _IO(';', 100 + 18)

struct vfio_attach_pt {
	uint32_t argsz;
	uint32_t flags;
	uint32_t pt_id;
};
#define VFIO_ATTACH_PT _IO(';', 100 + 19)

#endif
