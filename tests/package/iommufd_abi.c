// SPDX-License-Identifier: BSD-3-Clause
/* Compiled only: libvdma/iommufd_abi.h beside the headers of a newer kernel. */
#include <assert.h>
#include <linux/iommufd.h>
#include <linux/vfio.h>
#include <stddef.h>
#include <vdma/types.h>

#include "iommufd_abi.h"

#define SAME(ours, theirs) static_assert((ours) == (theirs), #ours " is not " #theirs)
#define SAME_SIZE(ours, theirs) SAME(sizeof(struct ours), sizeof(struct theirs))
#define SAME_MEMBER(ours, theirs, member) \
	SAME(offsetof(struct ours, member), offsetof(struct theirs, member)); \
	SAME(sizeof(((struct ours *)0)->member), sizeof(((struct theirs *)0)->member))

SAME(IOMMUFD_ABI_IOAS_ALLOC, IOMMU_IOAS_ALLOC);
SAME(IOMMUFD_ABI_IOAS_IOVA_RANGES, IOMMU_IOAS_IOVA_RANGES);
SAME(IOMMUFD_ABI_IOAS_MAP, IOMMU_IOAS_MAP);
SAME(IOMMUFD_ABI_IOAS_UNMAP, IOMMU_IOAS_UNMAP);
SAME(IOMMUFD_ABI_VFIO_IOAS, IOMMU_VFIO_IOAS);
SAME(IOMMUFD_ABI_VFIO_IOAS_SET, IOMMU_VFIO_IOAS_SET);
SAME(IOMMUFD_ABI_DEVICE_BIND, VFIO_DEVICE_BIND_IOMMUFD);
SAME(IOMMUFD_ABI_DEVICE_ATTACH, VFIO_DEVICE_ATTACH_IOMMUFD_PT);
SAME(IOMMUFD_ABI_DEVICE_FEATURE, VFIO_DEVICE_FEATURE);
SAME(IOMMUFD_ABI_FEATURE_SET_TOKEN, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_PCI_VF_TOKEN);
SAME(IOMMUFD_ABI_MAP_FIXED_IOVA, IOMMU_IOAS_MAP_FIXED_IOVA);
SAME(IOMMUFD_ABI_MAP_WRITEABLE, IOMMU_IOAS_MAP_WRITEABLE);
SAME(IOMMUFD_ABI_MAP_READABLE, IOMMU_IOAS_MAP_READABLE);

SAME_SIZE(iommufd_abi_ioas_alloc, iommu_ioas_alloc);
SAME_MEMBER(iommufd_abi_ioas_alloc, iommu_ioas_alloc, size);
SAME_MEMBER(iommufd_abi_ioas_alloc, iommu_ioas_alloc, flags);
SAME_MEMBER(iommufd_abi_ioas_alloc, iommu_ioas_alloc, out_ioas_id);

SAME_SIZE(vdma_range, iommu_iova_range);
SAME(offsetof(struct vdma_range, first), offsetof(struct iommu_iova_range, start));
SAME_MEMBER(vdma_range, iommu_iova_range, last);

SAME_SIZE(iommufd_abi_iova_ranges, iommu_ioas_iova_ranges);
SAME_MEMBER(iommufd_abi_iova_ranges, iommu_ioas_iova_ranges, ioas_id);
SAME_MEMBER(iommufd_abi_iova_ranges, iommu_ioas_iova_ranges, num_iovas);
SAME_MEMBER(iommufd_abi_iova_ranges, iommu_ioas_iova_ranges, allowed_iovas);
SAME_MEMBER(iommufd_abi_iova_ranges, iommu_ioas_iova_ranges, out_iova_alignment);

SAME_SIZE(iommufd_abi_ioas_map, iommu_ioas_map);
SAME_MEMBER(iommufd_abi_ioas_map, iommu_ioas_map, flags);
SAME_MEMBER(iommufd_abi_ioas_map, iommu_ioas_map, ioas_id);
SAME_MEMBER(iommufd_abi_ioas_map, iommu_ioas_map, user_va);
SAME_MEMBER(iommufd_abi_ioas_map, iommu_ioas_map, length);
SAME_MEMBER(iommufd_abi_ioas_map, iommu_ioas_map, iova);

SAME_SIZE(iommufd_abi_ioas_unmap, iommu_ioas_unmap);
SAME_MEMBER(iommufd_abi_ioas_unmap, iommu_ioas_unmap, ioas_id);
SAME_MEMBER(iommufd_abi_ioas_unmap, iommu_ioas_unmap, iova);
SAME_MEMBER(iommufd_abi_ioas_unmap, iommu_ioas_unmap, length);

SAME_SIZE(iommufd_abi_vfio_ioas, iommu_vfio_ioas);
SAME_MEMBER(iommufd_abi_vfio_ioas, iommu_vfio_ioas, ioas_id);
SAME_MEMBER(iommufd_abi_vfio_ioas, iommu_vfio_ioas, op);

SAME_SIZE(iommufd_abi_bind, vfio_device_bind_iommufd);
SAME_MEMBER(iommufd_abi_bind, vfio_device_bind_iommufd, argsz);
SAME_MEMBER(iommufd_abi_bind, vfio_device_bind_iommufd, iommufd);
SAME_MEMBER(iommufd_abi_bind, vfio_device_bind_iommufd, out_devid);

SAME(offsetof(struct iommufd_abi_token, uuid), offsetof(struct vfio_device_feature, data));
SAME_MEMBER(iommufd_abi_token, vfio_device_feature, argsz);
SAME_MEMBER(iommufd_abi_token, vfio_device_feature, flags);

SAME_SIZE(iommufd_abi_attach, vfio_device_attach_iommufd_pt);
SAME_MEMBER(iommufd_abi_attach, vfio_device_attach_iommufd_pt, argsz);
SAME_MEMBER(iommufd_abi_attach, vfio_device_attach_iommufd_pt, pt_id);
