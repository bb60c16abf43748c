// SPDX-License-Identifier: BSD-3-Clause
/*
 * vdma-echo with a controller that is not there, by the linker's --wrap: somebody resets it
 * just when SIGTERM comes. The program has to end, and to tell what it has counted; else
 * SIGALRM ends it.
 */
#define _POSIX_C_SOURCE 200809L
#include "program.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int __wrap_space_create(struct space *s);
int __wrap_space_destroy(struct space *s);
int __wrap_e1000e_open(struct e1000e *nic, struct vdma_arena *arena, struct vdma_ioas *ioas,
		       const char *bdf, struct vdma_pool *pool, const struct e1000e_opts *opts);
int __wrap_e1000e_set_addresses(struct e1000e *nic, const uint8_t (*macs)[6], unsigned int n);
int __wrap_e1000e_start(struct e1000e *nic);
int __wrap_e1000e_stop(struct e1000e *nic);
int __wrap_e1000e_close(struct e1000e *nic);
unsigned int __wrap_e1000e_link(const struct e1000e *nic);
int __wrap_e1000e_wait(struct e1000e_queue *q, struct e1000e_packet *packets, unsigned int max,
		       unsigned int timeout_ms);

int __wrap_space_create(struct space *s)
{
	(void)s;
	alarm(10);
	return 0;
}

int __wrap_space_destroy(struct space *s)
{
	(void)s;
	return 0;
}

int __wrap_e1000e_open(struct e1000e *nic, struct vdma_arena *arena, struct vdma_ioas *ioas,
		       const char *bdf, struct vdma_pool *pool, const struct e1000e_opts *opts)
{
	static char device;

	(void)arena, (void)ioas, (void)bdf, (void)pool, (void)opts;
	memset(nic, 0, sizeof(*nic));
	nic->dev = (struct vdma_device *)&device;
	nic->opts.queues = 1;
	nic->queues[0].nic = nic;
	return 0;
}

int __wrap_e1000e_set_addresses(struct e1000e *nic, const uint8_t (*macs)[6], unsigned int n)
{
	(void)nic, (void)macs, (void)n;
	return 0;
}

int __wrap_e1000e_start(struct e1000e *nic)
{
	nic->canceled = false;
	return 0;
}

int __wrap_e1000e_stop(struct e1000e *nic)
{
	(void)nic;
	return 0;
}

int __wrap_e1000e_close(struct e1000e *nic)
{
	(void)nic;
	return 0;
}

unsigned int __wrap_e1000e_link(const struct e1000e *nic)
{
	(void)nic;
	return 1000;
}

int __wrap_e1000e_wait(struct e1000e_queue *q, struct e1000e_packet *packets, unsigned int max,
		       unsigned int timeout_ms)
{
	const struct timespec ms = { .tv_nsec = 1000000 };
	static bool was_reset;
	sigset_t pending;

	(void)packets, (void)max, (void)timeout_ms;
	if (!was_reset) {
		was_reset = true;
		kill(getpid(), SIGTERM);
		/* Until the other thread has taken it. */
		do {
			nanosleep(&ms, NULL);
			sigpending(&pending);
		} while (sigismember(&pending, SIGTERM));
		return e1000e_fail(q->why, sizeof(q->why), -ECONNRESET, "reset by somebody");
	}
	while (!q->nic->canceled)
		nanosleep(&ms, NULL);
	return -ECANCELED;
}
