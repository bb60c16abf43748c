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

/*
 * alloc_contig_range() builds a compound page with __GFP_COMP since 6.12; and
 * finish_fault() maps a folio by PMD only if folio->index, which
 * alloc_contig_range() leaves as the last owner had it, lies inside the file.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#define compat_has_folios true
static inline void compat_set_folio_index(struct page *head, pgoff_t index)
{
	page_folio(head)->index = index;
}
#else
#define compat_has_folios false
static inline void compat_set_folio_index(struct page *head, pgoff_t index)
{
}
#endif

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

#endif
