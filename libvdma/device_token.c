// SPDX-License-Identifier: BSD-3-Clause
/*
 * VF tokens, by which the programs that drive a physical function and its virtual
 * ones say that they trust each other (drivers/vfio/pci/vfio_pci_core.c,
 * vfio_pci_validate_vf_token()). What the kernel refuses with EINVAL is found here.
 */
#include "device.h"
#include "explain.h"

int vdma_device_take_token(struct vdma_device *dev, const char *text)
{
	const char *bdf = dev->bdf.s;
	char physfn[32], driver[64];

	if (vdma_token_parse(text, &dev->token))
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL,
				 "'%.64s' is not a VF token: it is a UUID, such as "
				 "bd8d9d2b-5a5f-4f5a-a211-f591514ba1f3.",
				 text);
	if (dev->group < 0)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL,
				 "%s is lent by uio_pci_generic, which knows no VF tokens. Open it "
				 "without, or bind it to vfio-pci.",
				 bdf);
	if (!vdma_host_physfn(bdf, physfn, sizeof(physfn))) {
		vdma_host_driver(physfn, driver, sizeof(driver));
		if (!vdma_host_is_vfio_driver(driver))
			return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL,
					 "%s is a virtual function of %s, whose driver is %s: only "
					 "vfio-pci there asks for a VF token. Open it without.",
					 bdf, physfn, *driver ? driver : "none");
	} else if (!vdma_host_has_sriov(bdf)) {
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL,
				 "%s is neither a physical function with SR-IOV nor a virtual one, so "
				 "it has no VF token. Open it without.",
				 bdf);
	}
	dev->has_token = true;
	return 0;
}
