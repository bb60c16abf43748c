// SPDX-License-Identifier: BSD-3-Clause
/* An IOMMU that translates, but does not remap interrupts. */
#include <errno.h>

#include "guest.h"

static void no_interrupt_remapping(void **state)
{
	const char *bdf = bdf_of("VDMA_BDF_EDU");
	struct space s = space_create();
	struct vdma_region *region =
		region_of(s.arena, VDMA_PROVIDER_CONTIG, 2 * PAGE, EDU_ADDRESS_BITS);
	struct vdma_buf buf = vdma_region_buf(region);
	struct vdma_device *dev = NULL;
	struct edu edu;

	(void)state;
	assert_true(EXPLAINED(vdma_device_open(s.ioas, bdf, NULL, &dev), EPERM, UNSAFE_IRQ,
			      "interrupt remapping", "allow_unsafe_interrupts"));
	assert_null(dev);
	/* Accept it, as it says; the same objects work then. */
	follow_remedy();
	EDU_WORKS(&edu, edu_open(&edu, s.ioas, bdf, EDU_ADDRESS_BITS));
	EDU_WORKS(&edu, edu_irq_use(&edu, VDMA_IRQ_MSI));
	dma_verify(&edu, &buf, 1);
	edu_close(&edu);
	WORKS(vdma_region_destroy(region));
	space_destroy(&s);
}

int run_unsafe(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_interrupt_remapping),
	};

	return cmocka_run_group_tests_name("unsafe", tests, NULL, NULL);
}
