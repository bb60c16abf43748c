// SPDX-License-Identifier: BSD-3-Clause
/* The machine: how it begins, what is wrong with it, and what fails next. */
#include <linux/vfio.h>

#include "../../libvdma/iommufd_abi.h"
#include "api.h"

/* A machine without an IOMMU. Memory lies apart, whatever its length. */
static void set_up_bare(const struct fake_pci *pci)
{
	unsigned int i;

	fake_remove("/sys/kernel/iommu_groups/0");
	fake_device(bdfs[0], -1, "uio_pci_generic", pci);
	for (i = 1; i < DEVICES; i++) {
		fake_device(bdfs[i], (int)i, "vfio-pci", pci);
		fake_group_noiommu((int)i);
	}
	fake_sriov(bdfs[3]);
	fake.noiommu = 1;
	fake.contig_step = 4 * GIB + 2 * MIB + 4096;
	calm();
}

/* A machine with three groups; what the library asks libpci of is not part of it. */
void set_up(void)
{
	const struct fake_pci pci = {
		.vendor = 0x1234,
		.device = 0x11e8,
		.bar = { 1 << 20, 0, 256 },
		.bar_io = { false, false, true },
		.sparse = { 4096, 65535 },
		.irqs = { 1, 4, 8 },
		.can_reset = true,
	};
	struct fake_pci other = pci;

	other.sparse.last = 0;
	other.can_reset = false;
	fake_reset();
	fake.lazy = true;
	if (w.bare) {
		set_up_bare(&pci);
		return;
	}
	fake_device(bdfs[0], 1, "vfio-pci", &pci);
	fake_device(bdfs[1], 2, "vfio-pci", &other);
	fake_device(bdfs[2], 2, "vfio-pci", &other);
	/* One on a bus that can be reset with all that is on it. */
	fake_device(bdfs[3], 3, "vfio-pci", &pci);
	fake_sriov(bdfs[3]);
	calm();
}

void calm(void)
{
	fake.memlock_limit = fake.max_mmap = UINT64_MAX;
	fake.type1v2 = 1;
	fake.api_version = fake.set_iommu_err = fake.second_group_err = 0;
	fake.contig_err = fake.contig_map_err = fake.hold_err = 0;
	fake.entry_limit = 60;
	fake.no_ranges = fake.short_unmap = fake.contig_old = fake.contig_secret = false;
	fake.hugetlb_free = 4;
	fake_file("/dev/map_contig", "");
	w.trouble = false;
}

void disturb(void)
{
	static const int contig[] = { ENOMEM, EDQUOT, EAGAIN, EPERM, EINTR, EIO };
	static const int joins[] = { EPERM, ENODEV, EINVAL, EBUSY, ENOMEM };

	w.trouble = true;
	switch (take_below(&w.in, 16)) {
	case 0: fake.memlock_limit = take_edge(&w.in); break;
	case 1: fake.type1v2 = 0; break;
	case 2: fake.api_version = 1; break;
	case 3: fake.set_iommu_err = joins[take_below(&w.in, 5)]; break;
	case 4: fake.second_group_err = joins[take_below(&w.in, 5)]; break;
	case 5: fake.contig_err = contig[take_below(&w.in, 6)]; break;
	case 6: fake.contig_map_err = contig[take_below(&w.in, 6)]; break;
	case 7: fake.entry_limit = take_below(&w.in, 8); break;
	case 8: fake.no_ranges = !attached(0) && !attached(1); break;
	case 9:
		fake.short_unmap = true;
		may_be_mapped(true);
		break;
	case 10:
		/* Of old, no memory could be tied to a device. */
		fake.contig_old = !w.bare;
		fake.hold_err = w.bare ? (take(&w.in) & 1 ? EIO : ENOMEM) : 0;
		break;
	case 11: fake.contig_secret = true; break;
	case 12: fake.hugetlb_free = take_below(&w.in, 64); break;
	case 13:
		/* It does not go while there is memory of it, which may have to be untied. */
		if (!w.bare)
			fake_remove("/dev/map_contig");
		break;
	case 14:
		if (attached(0) || attached(1))
			break;
		/* What devices that come after this reach. */
		fake.ranges[1].first = 4 * GIB + take_edge(&w.in) % (16 * GIB) / 4096 * 4096;
		break;
	case 15: calm(); break;
	}
}

void inject(void)
{
	/* Those on which more depends than on others. */
	static const unsigned long requests[] = {
		VFIO_IOMMU_MAP_DMA,
		IOMMUFD_ABI_IOAS_MAP,
		VFIO_IOMMU_UNMAP_DMA,
		IOMMUFD_ABI_IOAS_UNMAP,
		VFIO_IOMMU_GET_INFO,
		VFIO_GROUP_GET_DEVICE_FD,
		VFIO_DEVICE_GET_REGION_INFO,
		IOMMUFD_ABI_DEVICE_ATTACH,
		VFIO_DEVICE_SET_IRQS,
		VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
		VFIO_DEVICE_PCI_HOT_RESET,
		IOMMUFD_ABI_DEVICE_FEATURE,
		MAP_CONTIG_ALLOC,
		MAP_CONTIG_QUERY,
		MAP_CONTIG_HOLD,
	};
	static const int errs[] = { ENOMEM, EIO, EMFILE, EINTR, EBUSY, EPERM, ENODEV, EINVAL };

	w.fail_err = errs[take_below(&w.in, 8)];
	switch (take_below(&w.in, 4)) {
	case 0: w.fail_alloc = 1 + take_below(&w.in, 16); break;
	case 1: w.fail_call = 1 + take_below(&w.in, take_below(&w.in, 2) ? 6 : 48); break;
	default:
		w.fail_request =
			requests[take_below(&w.in, sizeof(requests) / sizeof(requests[0]))];
		w.fail_skip = take_below(&w.in, 4);
	}
}

void refuse(void)
{
	static const int with[] = { -ENOSPC, -EINVAL, -1000, 1, EIO };

	w.refuse = 1 + take_below(&w.in, 4);
	w.refuse_with = with[take_below(&w.in, 5)];
}
