// SPDX-License-Identifier: BSD-3-Clause
#include "reserve.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "maps.h"
#include "sys.h"

#define RESERVED (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

int vdma_reserve_create(size_t len, size_t align, uintptr_t *va)
{
	uintptr_t start, at;
	void *map;
	int err;

	err = vdma_sys_mmap(NULL, len + align, PROT_NONE, RESERVED, -1, 0, &map);
	if (err)
		return err;
	start = (uintptr_t)map;
	at = (start + align - 1) & ~(uintptr_t)(align - 1);
	if (at > start)
		vdma_sys_munmap(map, at - start);
	if (start + align > at)
		vdma_sys_munmap((void *)(at + len), start + align - at);
	*va = at;
	return 0;
}

void vdma_reserve_destroy(uintptr_t va, size_t len)
{
	vdma_sys_munmap((void *)va, len);
}

int vdma_reserve_at(uintptr_t va, size_t len)
{
	void *map;

	return vdma_sys_mmap((void *)va, len, PROT_NONE, RESERVED | MAP_FIXED_NOREPLACE, -1, 0,
			     &map);
}

/* Does one inaccessible anonymous mapping cover the whole range? */
static bool is_reserved(uintptr_t va, size_t len)
{
	struct vdma_map map;

	return !vdma_maps_find(va, len, &map) && map.first <= va && map.end >= va + len &&
	       !strcmp(map.prot, "---p") && !map.inode;
}

int vdma_reserve_fill_at(void *va, size_t len, int prot, int flags, int fd, uint64_t offset,
			 bool *lost)
{
	void *map;
	int err, again;

	err = vdma_sys_mmap(va, len, prot, flags | MAP_FIXED, fd, offset, &map);
	if (!err)
		return 0;
	/*
	 * The kernel unmaps what was there before it asks the driver, and does
	 * not bring it back when the driver fails; in earlier failures it is
	 * still there. In between another thread may have mapped the gap:
	 * MAP_FIXED here would destroy that.
	 */
	again = vdma_sys_mmap(va, len, PROT_NONE, RESERVED | MAP_FIXED_NOREPLACE, -1, 0, &map);
	*lost = again && !is_reserved((uintptr_t)va, len);
	return err;
}

int vdma_reserve_fill(void *va, size_t len, int flags, int fd, bool *lost)
{
	return vdma_reserve_fill_at(va, len, PROT_READ | PROT_WRITE, flags, fd, 0, lost);
}

int vdma_reserve_fill_shared(void *va, size_t len, unsigned int huge_shift, int *fd, bool *lost)
{
	int file = vdma_sys_memory_file("libvdma", huge_shift, len), err;

	if (file < 0)
		return file;
	err = vdma_reserve_fill(va, len, MAP_SHARED, file, lost);
	if (err)
		vdma_sys_close(file);
	else
		*fd = file;
	return err;
}

int vdma_reserve_restore(void *va, size_t len)
{
	void *map;

	return vdma_sys_mmap(va, len, PROT_NONE, RESERVED | MAP_FIXED, -1, 0, &map);
}
