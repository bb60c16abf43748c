// SPDX-License-Identifier: BSD-3-Clause
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <vdma/mmap.h>
#include <vdma/typed_mem.h>

#include "check.h"
#include "front.h"
#include "observe.h"
#include "uapi.h"

static void *ioctl_alloc(size_t len)
{
	return region_mmap(len, NULL);
}

static void *vdma_alloc(size_t len)
{
	return vdma_mmap(NULL, len, PROT_READ | PROT_WRITE,
			 MAP_CONTIG | MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
}

static void *vdma_map(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	return vdma_mmap(addr, len, prot, flags, fd, offset);
}

/* Not loaded, ld.so just says so, and the kernel ignores the flag: then this is no test. */
static void preload_is_loaded(void)
{
	static char maps[1 << 16];
	static bool seen;

	if (seen)
		return;
	if (!file_text("/proc/self/maps", maps, sizeof(maps)) || !strstr(maps, "libvdma-preload"))
		FAIL("libvdma-preload.so is not loaded: see --preload");
	seen = true;
}

static void *preload_alloc(size_t len)
{
	preload_is_loaded();
	return mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_CONTIG | MAP_ANONYMOUS | MAP_PRIVATE, -1,
		    0);
}

static void *preload_map(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	preload_is_loaded();
	return mmap(addr, len, prot, flags, fd, offset);
}

static void *typed_alloc(size_t len)
{
	int fd = posix_typed_mem_open("/memory/ram", O_RDWR, POSIX_TYPED_MEM_ALLOCATE_CONTIG), err;
	void *va;

	if (fd < 0)
		return MAP_FAILED;
	va = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	err = errno;
	close(fd);
	errno = err;
	return va;
}

const struct front fronts[FRONTS] = {
	{ .name = "ioctl", .alloc = ioctl_alloc },
	{ .name = "mmap", .alloc = contig_mmap },
	{ .name = "vdma_mmap", .alloc = vdma_alloc, .map = vdma_map },
	{ .name = "preload", .alloc = preload_alloc, .map = preload_map, .preload = true },
	{ .name = "typed", .alloc = typed_alloc },
};
