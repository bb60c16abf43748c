/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who called, when, from where: kept with what was allocated or given back, and
 * put into words only when somebody asks.
 */
#ifndef VDMA_INTERNAL_SITE_H
#define VDMA_INTERNAL_SITE_H

#include <stdint.h>
#include <sys/types.h>
#include <vdma/types.h>

struct vdma_site {
	const void *pc; /* where the call returns to; NULL if it was not kept */
	uint64_t ns;	/* CLOCK_MONOTONIC; 0 if it was not kept */
	pid_t tid;
};

/* Of this thread, now. A public function gives its __builtin_return_address(0). */
VDMA_API struct vdma_site vdma_site_now(const void *pc);

struct vdma_site_words {
	char s[320];
};

/*
 * " 1.250 s ago at start_queue+0x42 (nic.so+0x1042) by thread 77", or "" if nothing
 * was kept. No debug information is needed; a function that its object does not
 * export is left out, and "addr2line -f -e OBJECT OFFSET" finds it. Asks the dynamic
 * linker, so no lock may be held that a constructor could want.
 */
VDMA_API struct vdma_site_words vdma_site_words(const struct vdma_site *site);

#endif
