// SPDX-License-Identifier: BSD-3-Clause
#include "site.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "sys.h"

struct vdma_site vdma_site_now(const void *pc)
{
	return (struct vdma_site){ .pc = pc, .ns = vdma_sys_now_ns(), .tid = vdma_sys_tid() };
}

struct vdma_site_words vdma_site_words(const struct vdma_site *site)
{
	/* A call that does not return is the last thing of its function. */
	const char *call = (const char *)site->pc - 1, *object;
	struct vdma_site_words w = { .s = "" };
	unsigned long long ms;
	char symbol[128] = "";
	Dl_info info;

	if (!site->pc)
		return w;
	ms = (vdma_sys_now_ns() - site->ns) / 1000000;
	if (!dladdr(call, &info) || !info.dli_fname) {
		snprintf(w.s, sizeof(w.s), " %llu.%03llu s ago at %p by thread %d", ms / 1000,
			 ms % 1000, (const void *)call, (int)site->tid);
		return w;
	}
	if (info.dli_sname)
		snprintf(symbol, sizeof(symbol), "%.100s+0x%tx ", info.dli_sname,
			 call - (const char *)info.dli_saddr);
	object = strrchr(info.dli_fname, '/');
	snprintf(w.s, sizeof(w.s), " %llu.%03llu s ago at %s(%.100s+0x%tx) by thread %d", ms / 1000,
		 ms % 1000, symbol, object ? object + 1 : info.dli_fname,
		 call - (const char *)info.dli_fbase, (int)site->tid);
	return w;
}
