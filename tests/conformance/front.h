/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front ends: the ways in which a program gets contiguous memory. What a
 * clause promises holds through each of them.
 */
#ifndef FRONT_H
#define FRONT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define FRONT_IOCTL (1U << 0)	/* MAP_CONTIG_ALLOC, then mmap of the region's descriptor */
#define FRONT_MMAP (1U << 1)	/* mmap of the device node */
#define FRONT_VDMA (1U << 2)	/* vdma_mmap() */
#define FRONT_PRELOAD (1U << 3) /* mmap with MAP_CONTIG, under libvdma-preload.so */
#define FRONT_TYPED (1U << 4)	/* posix_typed_mem_open(), then mmap */
#define FRONT_ALL 0x1fU
/* Typed memory is mapped MAP_SHARED, as POSIX says, and so it is after fork. */
#define FRONT_COPY (FRONT_ALL & ~FRONT_TYPED)
#define FRONTS 5

/**
 * struct front - a front end
 * @name: behind the slash in a test's name
 * @alloc: new memory, readable and writable; MAP_FAILED and errno on failure
 * @map: mmap() with MAP_CONTIG, for the front ends that have it
 * @preload: only in a process that was started with the preload library
 */
struct front {
	const char *name;
	void *(*alloc)(size_t len);
	void *(*map)(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
	bool preload;
};

extern const struct front fronts[FRONTS];

#endif
