/* SPDX-License-Identifier: GPL-2.0-only */
/* Tracepoints: /sys/kernel/tracing/events/map_contig/. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM map_contig

#if !defined(MAP_CONTIG_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define MAP_CONTIG_TRACE_H

#include <linux/tracepoint.h>

/* A region was made: where, of how many folios, and what it cost. */
TRACE_EVENT(map_contig_alloc,
	    TP_PROTO(u32 id, unsigned long pfn, unsigned long npages, unsigned long nfolios,
		     unsigned long moved, s64 us),
	    TP_ARGS(id, pfn, npages, nfolios, moved, us),
	    TP_STRUCT__entry(__field(u32, id) __field(unsigned long, pfn)
				     __field(unsigned long, npages) __field(unsigned long, nfolios)
					     __field(unsigned long, moved) __field(s64, us)),
	    TP_fast_assign(__entry->id = id; __entry->pfn = pfn; __entry->npages = npages;
			   __entry->nfolios = nfolios; __entry->moved = moved; __entry->us = us;),
	    TP_printk("id=%u pfn=0x%lx pages=%lu folios=%lu moved=%lu us=%lld", __entry->id,
		      __entry->pfn, __entry->npages, __entry->nfolios, __entry->moved,
		      __entry->us));

/* An allocation failed: the errno says why. */
TRACE_EVENT(map_contig_fail, TP_PROTO(unsigned long npages, unsigned long align, int err, s64 us),
	    TP_ARGS(npages, align, err, us),
	    TP_STRUCT__entry(__field(unsigned long, npages) __field(unsigned long, align)
				     __field(int, err) __field(s64, us)),
	    TP_fast_assign(__entry->npages = npages; __entry->align = align; __entry->err = err;
			   __entry->us = us;),
	    TP_printk("pages=%lu align=%lu err=%d us=%lld", __entry->npages, __entry->align,
		      __entry->err, __entry->us));

/* A run of pages was emptied: what was moved, and how long that took. */
TRACE_EVENT(map_contig_migrate,
	    TP_PROTO(unsigned long pfn, unsigned long npages, unsigned long moved, int err, s64 us),
	    TP_ARGS(pfn, npages, moved, err, us),
	    TP_STRUCT__entry(__field(unsigned long, pfn) __field(unsigned long, npages)
				     __field(unsigned long, moved) __field(int, err)
					     __field(s64, us)),
	    TP_fast_assign(__entry->pfn = pfn; __entry->npages = npages; __entry->moved = moved;
			   __entry->err = err; __entry->us = us;),
	    TP_printk("pfn=0x%lx pages=%lu moved=%lu err=%d us=%lld", __entry->pfn, __entry->npages,
		      __entry->moved, __entry->err, __entry->us));

/* Pages of a region went back. */
TRACE_EVENT(map_contig_free, TP_PROTO(u32 id, unsigned long pfn, unsigned long npages),
	    TP_ARGS(id, pfn, npages),
	    TP_STRUCT__entry(__field(u32, id) __field(unsigned long, pfn)
				     __field(unsigned long, npages)),
	    TP_fast_assign(__entry->id = id; __entry->pfn = pfn; __entry->npages = npages;),
	    TP_printk("id=%u region_pfn=0x%lx pages=%lu", __entry->id, __entry->pfn,
		      __entry->npages));

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
