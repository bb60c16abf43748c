// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mapping: a region's vmas.
 *
 * They are ordinary shared file mappings: the fault handler hands out pages,
 * so get_user_pages() and with it VFIO can pin them, which they refuse for
 * VM_PFNMAP and VM_IO. VM_MIXEDMAP would make fork copy the page tables.
 *
 * Fork: a child does not inherit the mapping (VM_DONTCOPY). Where MADV_DOFORK
 * takes that back, the child's vma is dead: SIGBUS on access. Policies for fork
 * (clause C6) are not here yet.
 */
#include <linux/file.h>
#include <linux/mempolicy.h>
#include <linux/sched/signal.h>

#include "compat.h"
#include "map_contig.h"

static vm_fault_t mapping_fault(struct vm_fault *vmf)
{
	struct region *region = vmf->vma->vm_private_data;
	struct page *page;

	if (!region || vmf->pgoff >= region->run.npages)
		return VM_FAULT_SIGBUS;
	WRITE_ONCE(region->faults, region->faults + 1);
	page = pfn_to_page(region->run.pfn + vmf->pgoff);
	get_page(page);
	vmf->page = page;
	return 0;
}

/* A split, a move or, by its address space, a fork. */
static void mapping_open(struct vm_area_struct *vma)
{
	struct region *region = vma->vm_private_data;

	if (!region)
		return;
	if (vma->vm_mm == region->mm) {
		region_map_get(region);
		return;
	}
	vma->vm_private_data = NULL;
	/* For userfaultfd's sake fork would copy the page tables after all. */
	vm_flags_clear(vma, VM_UFFD_WP);
}

static void mapping_close(struct vm_area_struct *vma)
{
	struct region *region = vma->vm_private_data;

	if (region)
		region_map_put(region, vma, vma->vm_pgoff, vma_pages(vma));
}

#ifdef CONFIG_NUMA
/* No policy: NUMA balancing then takes no hint faults here. */
static struct mempolicy *mapping_get_policy(COMPAT_GET_POLICY_ARGS)
{
	return NULL;
}
#endif

static const struct vm_operations_struct mapping_ops = {
	.fault = mapping_fault,
	.open = mapping_open,
	.close = mapping_close,
#ifdef CONFIG_NUMA
	.get_policy = mapping_get_policy,
#endif
};

/* The region that a vma maps, NULL if it is not ours or a dead copy. */
struct region *mapping_region(struct vm_area_struct *vma)
{
	return vma->vm_ops == &mapping_ops ? vma->vm_private_data : NULL;
}

/* Fault one page in. Returns 0 or -errno; *faulted tells if we were asked. */
static int populate_page(struct vm_area_struct *vma, unsigned long addr, bool *faulted)
{
	struct region *region = vma->vm_private_data;
	unsigned long before = region->faults;
	vm_fault_t ret;

	ret = handle_mm_fault(vma, addr, vma->vm_flags & VM_WRITE ? FAULT_FLAG_WRITE : 0, NULL);
	*faulted = region->faults != before;
	if (ret & VM_FAULT_ERROR)
		return vm_fault_to_errno(ret, 0);
	return 0;
}

/*
 * Map every page of a folio, by one PMD if the kernel will: then the fault for
 * its first page serves the last one too. Otherwise page by page.
 */
static int populate_chunk(struct vm_area_struct *vma, unsigned long addr, unsigned long npages)
{
	unsigned long i;
	bool faulted;
	int err;

	err = populate_page(vma, addr, &faulted);
	if (err || npages == 1)
		return err;
	err = populate_page(vma, addr + (npages - 1) * PAGE_SIZE, &faulted);
	for (i = 1; !err && faulted && i < npages - 1; i++)
		err = populate_page(vma, addr + i * PAGE_SIZE, &faulted);
	return err;
}

/* Inside mmap, so that no later access can fail for lack of memory (C8). */
static int mapping_populate(struct vm_area_struct *vma, struct region *region)
{
	unsigned long nchunks = run_chunks(&region->run), chunk;
	int err;

	for (chunk = 0; chunk < nchunks; chunk++) {
		unsigned long addr =
			vma->vm_start + run_chunk_first(&region->run, chunk) * PAGE_SIZE;

		if (fatal_signal_pending(current))
			return -EINTR;
		err = populate_chunk(vma, addr, run_chunk_pages(&region->run, chunk));
		if (err)
			return err;
		cond_resched();
	}
	return 0;
}

/**
 * mapping_create - make a region as long as the vma, and map it there
 *
 * Called from mmap, under mmap_lock held for writing. On failure the caller of
 * .mmap removes what has been mapped.
 */
int mapping_create(struct vm_area_struct *vma)
{
	struct region *region;
	struct file *file;
	int err;

	region = region_create(vma_pages(vma), &file);
	if (IS_ERR(region))
		return PTR_ERR(region);

	vma_set_file(vma, file);
	fput(file);
	/*
	 * VM_DONTEXPAND refuses mremap to a larger size. It also makes the vma
	 * special: never merged, never mlocked (and so never charged twice).
	 */
	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTCOPY);
	vma->vm_private_data = region;
	vma->vm_ops = &mapping_ops;

	err = mapping_populate(vma, region);
	if (err) {
		vma->vm_private_data = NULL;
		region_map_put(region, vma, 0, region->run.npages);
	}
	return err;
}
