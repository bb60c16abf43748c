/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the kernels that map_contig is built for: Debian's 6.1
 * (bookworm) and 6.12 (bookworm-backports). The only file that asks for
 * LINUX_VERSION_CODE.
 */
#ifndef MAP_CONTIG_COMPAT_H
#define MAP_CONTIG_COMPAT_H

#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/version.h>

/* The largest order that the buddy allocator serves. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
#define compat_max_order MAX_PAGE_ORDER
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#define compat_max_order MAX_ORDER
#else
#define compat_max_order (MAX_ORDER - 1)
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags |= flags;
}

static inline void vm_flags_clear(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags &= ~flags;
}
#endif

/* The arguments of vm_operations_struct.get_policy. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
#define COMPAT_GET_POLICY_ARGS struct vm_area_struct *vma, unsigned long addr, pgoff_t *ilx
#else
#define COMPAT_GET_POLICY_ARGS struct vm_area_struct *vma, unsigned long addr
#endif

/* MODULE_IMPORT_NS takes a string since 6.13. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
#define COMPAT_IMPORT_DMA_BUF MODULE_IMPORT_NS("DMA_BUF")
#else
#define COMPAT_IMPORT_DMA_BUF MODULE_IMPORT_NS(DMA_BUF)
#endif

/*
 * A folio of single pages from alloc_contig_range(), each with one reference:
 * what prep_compound_page() does, which is not exported. On 6.1 there is no
 * other way. On 6.12 __GFP_COMP gives folios, but warns, and loses the pages, if
 * the free block reaches beyond the range by then, as it may when the next
 * pageblock is being isolated as well; and it gives one at a time, each at the price of
 * a drain of every processor's lists. How a compound page is laid out is another thing
 * in each of the kernels between these two, and there are no folios there.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0) && LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
#define compat_has_folios true
static inline void compat_prep_head(struct page *head)
{
	struct folio *folio = (struct folio *)head;

	folio->_flags_1 = (folio->_flags_1 & ~0xffUL) | HPAGE_PMD_ORDER;
	folio->_folio_nr_pages = HPAGE_PMD_NR;
	atomic_set(&folio->_large_mapcount, -1);
	atomic_set(&folio->_entire_mapcount, -1);
	atomic_set(&folio->_nr_pages_mapped, 0);
	atomic_set(&folio->_pincount, 0);
	INIT_LIST_HEAD(&folio->_deferred_list);
}
#elif LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define compat_has_folios true
static inline void compat_prep_head(struct page *head)
{
	set_compound_page_dtor(head, COMPOUND_PAGE_DTOR);
	set_compound_order(head, HPAGE_PMD_ORDER);
	atomic_set(compound_mapcount_ptr(head), -1);
	atomic_set(compound_pincount_ptr(head), 0);
}
#else
#define compat_has_folios false
static inline void compat_prep_head(struct page *head)
{
}
#endif

/*
 * False, and all is as before, if somebody just looks at one of the pages, and
 * has a reference to it: then its count cannot be taken away.
 */
static inline bool compat_build_folio(struct page *head)
{
	int i;

	for (i = 1; i < HPAGE_PMD_NR; i++)
		if (!page_ref_freeze(head + i, 1))
			break;
	if (i < HPAGE_PMD_NR) {
		while (--i > 0)
			page_ref_unfreeze(head + i, 1);
		return false;
	}
	__SetPageHead(head);
	set_page_private(head, 0);
	for (i = 1; i < HPAGE_PMD_NR; i++) {
		head[i].mapping = TAIL_MAPPING;
		set_compound_head(head + i, head);
		set_page_private(head + i, 0);
	}
	compat_prep_head(head);
	return true;
}

/*
 * finish_fault() maps a folio by PMD only if folio->index, which
 * alloc_contig_range() leaves as the last owner had it, lies inside the file.
 */
static inline void compat_set_folio_index(struct page *head, pgoff_t index)
{
	head->index = index;
}

/*
 * alloc_contig_range() ignores __GFP_ZERO on 6.1, and on a 6.12 older than
 * 6.12.10 refuses it; but on all of them its pages pass post_alloc_hook(),
 * which clears them under init_on_alloc (Debian's default), while
 * init_on_free has cleared them before. Only else they must be cleared here.
 */
static inline bool compat_contig_is_zeroed(void)
{
	return want_init_on_alloc(0) || want_init_on_free();
}

/*
 * The migrate type of pfn's pageblock. The kernel's own reader is not exported, but what it
 * reads is declared in a header. The type of a block without such a map is -1.
 */
static inline int compat_pageblock_type(unsigned long pfn)
{
#ifdef CONFIG_SPARSEMEM
	unsigned long *usemap = section_to_usemap(__pfn_to_section(pfn));
	unsigned long bit =
		((pfn & (PAGES_PER_SECTION - 1)) >> pageblock_order) * NR_PAGEBLOCK_BITS;

	return READ_ONCE(usemap[bit / BITS_PER_LONG]) >> bit % BITS_PER_LONG & MIGRATETYPE_MASK;
#else
	return -1;
#endif
}

static inline bool compat_is_cma(int type)
{
	return is_migrate_cma(type);
}

/*
 * How often a page is mapped, or -1 if that takes a walk over its tails: before
 * 6.6 a compound page has no such sum.
 */
static inline long compat_mapcount(struct page *head, unsigned int order)
{
	if (!order)
		return max(atomic_read(&head->_mapcount) + 1, 0);
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
	return atomic_read(&((struct folio *)head)->_large_mapcount) + 1;
#else
	return -1;
#endif
}

/* Is it pinned, for a device most likely? Compound pages count that exactly. */
static inline bool compat_pins(struct page *head, unsigned int order)
{
	if (!order)
		return page_ref_count(head) >= GUP_PIN_COUNTING_BIAS;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	return atomic_read(&((struct folio *)head)->_pincount) > 0;
#else
	return atomic_read(folio_pincount_ptr((struct folio *)head)) > 0;
#endif
}

#endif
