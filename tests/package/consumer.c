// SPDX-License-Identifier: BSD-3-Clause
/*
 * A program that has nothing but an installed libvdma.
 */
#include <stdio.h>
#include <string.h>
#include <vdma.h>
#ifdef DPDK
#include <rte_eal.h>
#include <rte_malloc.h>

/* The heap of an arena, and something in it. */
static int use_dpdk(char *name)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts), .flags = VDMA_ARENA_IDENTITY };
	char *argv[] = { name,
			 "--no-huge",
			 "--no-pci",
			 "--no-shconf",
			 "--no-telemetry",
			 "--log-level=lib.*:critical",
			 "-m",
			 "32",
			 NULL };
	struct vdma_region_opts anon = { .size = sizeof(anon), .provider = VDMA_PROVIDER_ANON };
	struct vdma_arena *arena;
	struct vdma_dpdk *dpdk;
	void *p;

	if (rte_eal_init(8, argv) < 0 || vdma_arena_create(&opts, &arena) ||
	    vdma_dpdk_create(arena, NULL, &dpdk) || vdma_dpdk_grow(dpdk, 1, &anon, NULL))
		return -1;
	p = rte_malloc_socket(NULL, 100, 0, vdma_dpdk_socket(dpdk));
	if (!p || rte_malloc_virt2iova(p) != vdma_iova(arena, p))
		return -1;
	rte_free(p);
	return vdma_dpdk_destroy(dpdk) || vdma_arena_destroy(arena) || rte_eal_cleanup();
}
#endif

int main(int argc, char **argv)
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
	(void)argc;
	(void)argv;
	buf = vdma_region_buf(region);
	memset(buf.va, 1, buf.len);
	if (vdma_iova(arena, buf.va) != buf.iova || vdma_pci_query("none", &info) == 0 ||
	    vdma_last_failure()->cause != VDMA_CAUSE_BDF)
		return 1;
#ifdef HEAP
	struct vdma_constraints any = { .size = sizeof(any),
					.contiguity = VDMA_CONTIG_INDIFFERENT };
	struct vdma_heap_opts heap_opts = { .size = sizeof(heap_opts), .constraints = &any };
	struct vdma_heap *heap;

	if (vdma_heap_create(arena, &heap_opts, &heap) || vdma_free(heap, vdma_malloc(heap, 100)) ||
	    vdma_heap_destroy(heap)) {
		puts(vdma_explain());
		return 1;
	}
#endif
#ifdef DPDK
	if (use_dpdk(argv[0])) {
		puts(vdma_explain());
		return 1;
	}
#endif
	if (vdma_region_destroy(region) || vdma_arena_destroy(arena)) {
		puts(vdma_explain());
		return 1;
	}
	puts("consumer works");
	return 0;
}
