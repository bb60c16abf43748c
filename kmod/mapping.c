// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mapping: what one mmap() made, and its vmas.
 *
 * They are ordinary shared file mappings: the fault handler hands out pages,
 * so get_user_pages() and with it VFIO can pin them, which they refuse for
 * VM_PFNMAP and VM_IO. VM_MIXEDMAP would make fork copy the page tables.
 *
 * Fork (C6) calls ->open for the child's vma, whose address space tells it from
 * a split or a move. The child gets what the policy says: a mapping of its own
 * over a copy (copy.c), one over the same region, or none (VM_DONTCOPY). If that
 * cannot be had its vma is dead: SIGBUS on access. The parent is not concerned,
 * for no page table of it is touched.
 */
#include <linux/file.h>
#include <linux/mempolicy.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "compat.h"
#include "map_contig.h"

static struct mapping *mapping_alloc(struct mm_struct *mm, u32 fork, u64 object, gfp_t gfp)
{
	struct mapping *mapping = inject() ? NULL : kzalloc(sizeof(*mapping), gfp);

	if (!mapping)
		return NULL;
	refcount_set(&mapping->refs, 1);
	mmgrab(mm);
	mapping->mm = mm;
	mapping->fork = fork;
	mapping->object = object;
	xa_init(&mapping->copy);
	return mapping;
}

static void mapping_put(struct mapping *mapping)
{
	if (!refcount_dec_and_test(&mapping->refs))
		return;
	if (mapping->region)
		region_user_put(mapping->region);
	else
		copy_destroy(mapping);
	mmdrop(mapping->mm);
	kfree(mapping);
}

static vm_fault_t mapping_fault(struct vm_fault *vmf)
{
	struct mapping *mapping = vmf->vma->vm_private_data;
	struct page *page;

	if (!mapping)
		return VM_FAULT_SIGBUS;
	if (mapping->region)
		page = vmf->pgoff < mapping->region->run.npages ?
			       region_page_get(mapping->region, vmf->pgoff) :
			       NULL;
	else
		page = copy_page_get(mapping, vmf->pgoff);
	WRITE_ONCE(mapping->faults, mapping->faults + 1);
	if (!page)
		return VM_FAULT_SIGBUS;
	if (IS_ERR(page))
		return VM_FAULT_HWPOISON;
	vmf->page = page;
	return 0;
}

/* What the child gets for its vma, or NULL. Fork must not fail because of us. */
static struct mapping *mapping_fork(struct vm_area_struct *vma, struct mapping *parent)
{
	struct mapping *child;

	if (parent->fork == MAP_CONTIG_FORK_NONE)
		return NULL;
	child = mapping_alloc(vma->vm_mm, parent->fork, parent->object,
			      GFP_KERNEL_ACCOUNT | __GFP_NORETRY | __GFP_NOWARN);
	if (!child)
		return NULL;
	if (parent->fork == MAP_CONTIG_FORK_SHARE && parent->region) {
		region_user_get(parent->region);
		child->region = parent->region;
	} else if (copy_create(child, parent, vma)) {
		mapping_put(child);
		child = NULL;
	}
	return child;
}

/* A split, a move or, by its address space, a fork. */
static void mapping_open(struct vm_area_struct *vma)
{
	struct mapping *mapping = vma->vm_private_data;

	if (!mapping)
		return;
	if (vma->vm_mm == mapping->mm) {
		refcount_inc(&mapping->refs);
		return;
	}
	/*
	 * For userfaultfd's sake fork would copy the page tables after all: the
	 * child's vma is not registered. Flag and context go together, or the
	 * kernel has a BUG when the child's userfaultfd is closed; the context has
	 * its reference from that descriptor, not from the vma.
	 */
	vm_flags_clear(vma, VM_UFFD_MISSING | VM_UFFD_WP);
	vma->vm_userfaultfd_ctx = NULL_VM_UFFD_CTX;
	vma->vm_private_data = mapping_fork(vma, mapping);
}

static void mapping_close(struct vm_area_struct *vma)
{
	struct mapping *mapping = vma->vm_private_data;

	if (!mapping)
		return;
	if (mapping->region)
		region_unmapped(mapping->region, vma, vma->vm_pgoff, vma_pages(vma));
	else
		copy_unmapped(mapping, vma, vma->vm_pgoff, vma_pages(vma));
	mapping_put(mapping);
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

/* What a vma maps; NULL if it is not ours or dead. */
struct mapping *mapping_of(struct vm_area_struct *vma)
{
	return vma->vm_ops == &mapping_ops ? vma->vm_private_data : NULL;
}

/* Where the vmas end that map one region, from vma on, without a gap. */
static unsigned long mapping_end(struct vm_area_struct *vma)
{
	struct region *region = mapping_of(vma)->region;
	struct vm_area_struct *next;

	for (;;) {
		next = find_vma(vma->vm_mm, vma->vm_end);
		if (!next || next->vm_start != vma->vm_end || !mapping_of(next) ||
		    mapping_of(next)->region != region ||
		    next->vm_pgoff != vma->vm_pgoff + vma_pages(vma))
			return vma->vm_end;
		vma = next;
	}
}

/**
 * mapping_find - the region under an address of the calling process
 * @offset: out: of the address in the region, bytes
 * @length: out: bytes from there to the end of what maps the region without a gap:
 *          the kernel does not merge vmas that it has split, by mprotect() say
 * @object: out: the mapping's
 *
 * Return: the region, with a user reference, or NULL. A copy has no region.
 */
struct region *mapping_find(u64 addr, u64 *offset, u64 *length, u64 *object)
{
	struct mm_struct *mm = current->mm;
	struct region *region = NULL;
	struct vm_area_struct *vma;
	struct mapping *mapping;

	mmap_read_lock(mm);
	vma = find_vma(mm, addr);
	mapping = vma && vma->vm_start <= addr ? mapping_of(vma) : NULL;
	if (mapping && mapping->region) {
		region = mapping->region;
		region_user_get(region);
		*offset = ((u64)vma->vm_pgoff << PAGE_SHIFT) + addr - vma->vm_start;
		*object = mapping->object;
		*length = mapping_end(vma) - addr;
	}
	mmap_read_unlock(mm);
	return region;
}

/* Fault one page in. Returns 0 or -errno; *faulted tells if we were asked. */
static int populate_page(struct vm_area_struct *vma, unsigned long addr, bool *faulted)
{
	struct mapping *mapping = vma->vm_private_data;
	unsigned long before = mapping->faults;
	vm_fault_t ret;

	/* Remote: a protection key that keeps the program from reading does not matter here. */
	ret = handle_mm_fault(vma, addr,
			      FAULT_FLAG_REMOTE | (vma->vm_flags & VM_WRITE ? FAULT_FLAG_WRITE : 0),
			      NULL);
	*faulted = mapping->faults != before;
	/* A bad page stays unmapped; the others are as good as ever. */
	if (ret & (VM_FAULT_HWPOISON | VM_FAULT_HWPOISON_LARGE))
		return 0;
	if (ret & VM_FAULT_ERROR)
		return vm_fault_to_errno(ret, 0);
	return 0;
}

/*
 * Map every page of [addr, end), which lies in one chunk, by one PMD if the
 * kernel will: then the fault for its first page serves the last one too.
 * Otherwise page by page.
 */
static int populate_chunk(struct vm_area_struct *vma, unsigned long addr, unsigned long end)
{
	bool faulted;
	int err;

	err = populate_page(vma, addr, &faulted);
	if (err || end - addr == PAGE_SIZE)
		return err;
	err = populate_page(vma, end - PAGE_SIZE, &faulted);
	for (addr += PAGE_SIZE; !err && faulted && addr < end - PAGE_SIZE; addr += PAGE_SIZE)
		err = populate_page(vma, addr, &faulted);
	return err;
}

/* Inside mmap, so that no later access can fail for lack of memory (C8). */
static int mapping_populate(struct vm_area_struct *vma, const struct run *run)
{
	unsigned long addr = vma->vm_start, end;
	int err;

	for (; addr < vma->vm_end; addr = end) {
		unsigned long index = vma->vm_pgoff + ((addr - vma->vm_start) >> PAGE_SHIFT);
		unsigned long chunk = run_chunk(run, index);
		unsigned long left =
			run_chunk_first(run, chunk) + run_chunk_pages(run, chunk) - index;

		end = min(addr + left * PAGE_SIZE, vma->vm_end);
		if (fatal_signal_pending(current))
			return -EINTR;
		err = populate_chunk(vma, addr, end);
		if (err)
			return err;
		cond_resched();
	}
	return 0;
}

/**
 * mapping_create - map a region, from the page vma->vm_pgoff on
 * @fork: MAP_CONTIG_FORK_*
 * @object: of the open node, 0 if it has none
 *
 * Called from mmap, under mmap_lock held for writing. On failure the caller of
 * .mmap removes what has been mapped.
 *
 * Return: 0; -EINVAL for MAP_PRIVATE, -ENXIO if the vma reaches beyond the
 * region or over a part that has been given back, -ENOMEM, -EINTR.
 */
int mapping_create(struct vm_area_struct *vma, struct region *region, u32 fork, u64 object)
{
	struct mapping *mapping;
	int err;

	/*
	 * A private mapping would leave contiguous memory at its first write. A shared one of
	 * a file that was opened for reading alone is not VM_SHARED, and never writable.
	 */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (vma->vm_pgoff >= region->run.npages ||
	    vma_pages(vma) > region->run.npages - vma->vm_pgoff ||
	    !region_keeper_get(region, vma->vm_pgoff, vma_pages(vma)))
		return -ENXIO;
	mapping = mapping_alloc(vma->vm_mm, fork, object, GFP_KERNEL_ACCOUNT);
	if (!mapping) {
		err = -ENOMEM;
		goto put;
	}
	region_user_get(region);
	mapping->region = region;

	vma_set_file(vma, region->file);
	/*
	 * VM_DONTEXPAND refuses mremap to a larger size. It also makes the vma
	 * special: never merged, never mlocked (and so never charged twice).
	 */
	vm_flags_set(vma, VM_DONTEXPAND | (fork == MAP_CONTIG_FORK_NONE ? VM_DONTCOPY : 0));
	vma->vm_private_data = mapping;
	vma->vm_ops = &mapping_ops;

	err = mapping_populate(vma, &region->run);
	if (err) {
		vma->vm_private_data = NULL;
		region_unmapped(region, vma, vma->vm_pgoff, vma_pages(vma));
		mapping_put(mapping);
	}
put:
	/* Until now i_mmap has not told of this vma; what it has populated has references. */
	region_keeper_put(region);
	return err;
}
