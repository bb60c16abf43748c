// SPDX-License-Identifier: BSD-3-Clause
#include "site.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "sys.h"

/* This thread's number, which is a system call to ask for; 0: not asked yet. */
static _Thread_local pid_t tid;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool forgets;

/* A child has one thread, which goes on with what its parent's knew. */
static void forget(void)
{
	tid = 0;
}

static void forget_in_children(void)
{
	forgets = !pthread_atfork(NULL, NULL, forget);
}

static pid_t ask_tid(void)
{
	pid_t mine = vdma_sys_tid();

	pthread_once(&once, forget_in_children);
	if (forgets)
		tid = mine;
	return mine;
}

struct vdma_site vdma_site_now(const void *pc)
{
	return (struct vdma_site){ .pc = pc,
				   .ns = vdma_sys_now_ns(),
				   .tid = tid ? tid : ask_tid() };
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
