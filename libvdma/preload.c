// SPDX-License-Identifier: BSD-3-Clause
/*
 * libvdma-preload.so: for programs that pass MAP_CONTIG to mmap() and know nothing
 * of libvdma.
 *
 *	LD_PRELOAD=libvdma-preload.so program
 *
 * It stands in for mmap() and mmap64(). munmap(), mremap() and the others need
 * nobody in their place: contiguous memory is an ordinary mapping, of
 * which nothing is remembered here. What the program's C library maps
 * by itself (malloc, threads' stacks, the loader) does not come through here.
 *
 * System calls are made directly. Calls come before this library or the C library
 * is initialized, from signal handlers and between vfork and exec: so there is nothing to
 * initialize, no dlsym(), no lock, no memory and no thread-local variable of its
 * own, and none of these calls is a cancellation point, as mmap() is none.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vdma/mmap.h>

#include "sys.h"

#define EXPORT __attribute__((visibility("default")))

static int result(long ret)
{
	return ret < 0 ? -errno : (int)ret;
}

int vdma_sys_open(const char *path, int flags)
{
	return result(syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC));
}

void vdma_sys_close(int fd)
{
	syscall(SYS_close, fd);
}

int vdma_sys_ioctl(int fd, unsigned long request, void *arg)
{
	return result(syscall(SYS_ioctl, fd, request, arg));
}

int vdma_sys_mmap(void *addr, size_t len, int prot, int flags, int fd, uint64_t offset, void **out)
{
	long va = syscall(SYS_mmap, addr, len, prot, flags, fd, offset);

	if (va == -1)
		return -errno;
	*out = (void *)va;
	return 0;
}

EXPORT void *mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	return vdma_mmap(addr, length, prot, flags, fd, offset);
}

EXPORT void *mmap64(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	return vdma_mmap(addr, length, prot, flags, fd, offset);
}
