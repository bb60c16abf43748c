// SPDX-License-Identifier: GPL-2.0-only
/*
 * Linked into map_contig: every basic block of it calls this at its start
 * (-fsanitize-coverage=trace-pc). Unlike the kernel's own function of this name
 * (KCOV) it works on every kernel, and in every process, interrupt and work item.
 */
#include <linux/module.h>

#include "vdma_cover.h"

/* Of which the init section begins with, or near it. */
static int __init __used hook_init(void)
{
	return 0;
}

/* Its address; no more is made of it once it is gone. */
static int (*hook_anchor)(void) __refdata = hook_init;

void __sanitizer_cov_trace_pc(void);

void notrace __sanitizer_cov_trace_pc(void)
{
	unsigned long ip = _RET_IP_;
	long at;

	if (within_module_init(ip, THIS_MODULE)) {
		at = ip - (unsigned long)hook_anchor + COVER_INIT / 2;
		if (at >= 0 && at < COVER_INIT)
			vdma_cover[2 * COVER_RANGE + at] = 1;
		return;
	}
	at = ip - (unsigned long)__sanitizer_cov_trace_pc + COVER_RANGE;
	if (at >= 0 && at < 2 * COVER_RANGE)
		vdma_cover[at] = 1;
}
