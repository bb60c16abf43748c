// SPDX-License-Identifier: BSD-3-Clause
/*
 * The state is the process's, as handlers of signals are: vdma_bus_guard() says so.
 */
#include "guard.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <vdma/removal.h>

#include "explain.h"
#include "sys.h"
#include "vacant.h"

#define MAX_BARS 1024

static struct {
	_Atomic uintptr_t va; /* 0: nothing */
	_Atomic size_t len;
} bars[MAX_BARS];

static struct sigaction before;
static int ones = -1; /* a page of 0xff; the guard is on */

int vdma_guard_add(void *va, size_t len)
{
	size_t i;

	for (i = 0; i < MAX_BARS; i++) {
		uintptr_t none = 0;

		/* 1 is nobody's address: the slot is taken, and its length not yet right. */
		if (!atomic_compare_exchange_strong(&bars[i].va, &none, 1))
			continue;
		atomic_store(&bars[i].len, len);
		atomic_store(&bars[i].va, (uintptr_t)va);
		return 0;
	}
	return -ENOSPC;
}

void vdma_guard_remove(void *va)
{
	size_t i;

	for (i = 0; i < MAX_BARS; i++)
		if (atomic_load(&bars[i].va) == (uintptr_t)va)
			atomic_store(&bars[i].va, 0);
}

static bool is_bar(uintptr_t addr)
{
	size_t i;

	for (i = 0; i < MAX_BARS; i++) {
		uintptr_t va = atomic_load(&bars[i].va);

		if (va > 1 && addr - va < atomic_load(&bars[i].len))
			return true;
	}
	return false;
}

/* As if we had not been there. */
static void pass_on(int sig, siginfo_t *info, void *context)
{
	if (before.sa_flags & SA_SIGINFO)
		before.sa_sigaction(sig, info, context);
	else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN)
		before.sa_handler(sig);
	else
		/* The access is repeated, and ends the process this time. */
		vdma_sys_sigaction(sig, &before, NULL);
}

static void on_bus_error(int sig, siginfo_t *info, void *context)
{
	uintptr_t page = vdma_sys_page_size();
	uintptr_t addr = (uintptr_t)info->si_addr;
	int saved = errno;
	void *map;

	if (!is_bar(addr) ||
	    vdma_sys_mmap((void *)(addr & ~(page - 1)), page, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_FIXED, ones, 0, &map))
		pass_on(sig, info, context);
	errno = saved;
}

int vdma_bus_guard(int on)
{
	struct sigaction action = { .sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO };
	int err;

	if (!on == (ones < 0))
		return 0;
	if (!on) {
		err = vdma_sys_sigaction(SIGBUS, &before, NULL);
		if (err)
			return vdma_fail_sys(err, "restore the handler of SIGBUS");
		vdma_sys_close(ones);
		ones = -1;
		return 0;
	}
	ones = vdma_vacant_open(vdma_sys_page_size());
	if (ones < 0)
		return vdma_fail_sys(ones, "make a page of 0xff bytes");
	err = vdma_sys_sigaction(SIGBUS, &action, &before);
	if (err) {
		vdma_sys_close(ones);
		ones = -1;
		return vdma_fail_sys(err, "install a handler of SIGBUS");
	}
	return 0;
}
