/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the library uses of iommufd (Linux 6.2) and of VFIO's device nodes
 * (6.6), which the headers of Debian 12 lack. Written from
 * Documentation/userspace-api/iommufd.rst and vfio.rst; a test compares it
 * with the headers of a newer kernel.
 *
 * Every structure begins with its size; what is reserved is zero.
 */
#ifndef VDMA_INTERNAL_IOMMUFD_ABI_H
#define VDMA_INTERNAL_IOMMUFD_ABI_H

#include <stdint.h>

/* _IO(';', nr): the size is in the structure, not in the number. */
#define IOMMUFD_ABI_NR(nr) (';' << 8 | (nr))

/* On /dev/iommu. */
#define IOMMUFD_ABI_IOAS_ALLOC IOMMUFD_ABI_NR(0x81)
#define IOMMUFD_ABI_IOAS_IOVA_RANGES IOMMUFD_ABI_NR(0x84)
#define IOMMUFD_ABI_IOAS_MAP IOMMUFD_ABI_NR(0x85)
#define IOMMUFD_ABI_IOAS_UNMAP IOMMUFD_ABI_NR(0x86)
/* Which IOAS groups of VFIO get that take it for a container. */
#define IOMMUFD_ABI_VFIO_IOAS IOMMUFD_ABI_NR(0x88)
#define IOMMUFD_ABI_VFIO_IOAS_SET 1

/* On a device's node. */
#define IOMMUFD_ABI_DEVICE_BIND IOMMUFD_ABI_NR(100 + 18)
#define IOMMUFD_ABI_DEVICE_ATTACH IOMMUFD_ABI_NR(100 + 19)

/* Sets the VF token of a physical function; Linux 5.7. */
#define IOMMUFD_ABI_DEVICE_FEATURE IOMMUFD_ABI_NR(100 + 17)
#define IOMMUFD_ABI_FEATURE_SET_TOKEN (1U << 17 | 0)

#define IOMMUFD_ABI_MAP_FIXED_IOVA (1U << 0)
#define IOMMUFD_ABI_MAP_WRITEABLE (1U << 1)
#define IOMMUFD_ABI_MAP_READABLE (1U << 2)

struct iommufd_abi_ioas_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t out_ioas_id;
};

/* EMSGSIZE if there are more ranges than @num_iovas, which says how many then. */
struct iommufd_abi_iova_ranges {
	uint32_t size;
	uint32_t ioas_id;
	uint32_t num_iovas;
	uint32_t reserved;
	uint64_t allowed_iovas; /* pointer to struct vdma_range, which is as the kernel's */
	uint64_t out_iova_alignment;
};

struct iommufd_abi_ioas_map {
	uint32_t size;
	uint32_t flags;
	uint32_t ioas_id;
	uint32_t reserved;
	uint64_t user_va;
	uint64_t length;
	uint64_t iova;
};

/* @length: out: what was unmapped. 0 and UINT64_MAX unmap everything. */
struct iommufd_abi_ioas_unmap {
	uint32_t size;
	uint32_t ioas_id;
	uint64_t iova;
	uint64_t length;
};

struct iommufd_abi_vfio_ioas {
	uint32_t size;
	uint32_t ioas_id;
	uint16_t op;
	uint16_t reserved;
};

struct iommufd_abi_bind {
	uint32_t argsz;
	uint32_t flags;
	int32_t iommufd;
	uint32_t out_devid;
};

struct iommufd_abi_token {
	uint32_t argsz;
	uint32_t flags;
	uint8_t uuid[16];
};

struct iommufd_abi_attach {
	uint32_t argsz;
	uint32_t flags;
	uint32_t pt_id;
};

#endif
