// SPDX-License-Identifier: BSD-3-Clause
/*
 * A program that has nothing but an installed libvdma.
 */
#include <stdio.h>
#include <string.h>
#include <vdma.h>

int main(void)
{
	struct vdma_region_opts opts = { .size = sizeof(opts), .provider = VDMA_PROVIDER_ANON };
	struct vdma_pci_info info = { .size = sizeof(info) };
	struct vdma_region *region;
	struct vdma_arena *arena;
	struct vdma_buf buf;

	if (vdma_arena_create(NULL, &arena) || vdma_region_create(arena, 100, &opts, &region)) {
		puts(vdma_explain());
		return 1;
	}
	buf = vdma_region_buf(region);
	memset(buf.va, 1, buf.len);
	if (vdma_iova(arena, buf.va) != buf.iova || vdma_pci_query("none", &info) == 0 ||
	    vdma_last_failure()->cause != VDMA_CAUSE_BDF)
		return 1;
	if (vdma_region_destroy(region) || vdma_arena_destroy(arena)) {
		puts(vdma_explain());
		return 1;
	}
	puts("consumer works");
	return 0;
}
