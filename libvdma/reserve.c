// SPDX-License-Identifier: BSD-3-Clause
#include "reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

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

/* Does one inaccessible anonymous mapping cover the whole range? */
static bool is_reserved(uintptr_t va, size_t len)
{
	static const char path[] = "/proc/self/maps";
	char buf[4096];
	size_t used = 0;
	int fd = vdma_sys_open(path, O_RDONLY);
	bool found = false;
	ssize_t n;

	if (fd < 0)
		return false;
	while (!found && (n = vdma_sys_read(fd, buf + used, sizeof(buf) - 1 - used)) > 0) {
		char *line = buf, *end;

		used += (size_t)n;
		buf[used] = '\0';
		while (!found && (end = strchr(line, '\n'))) {
			unsigned long first, last, inode;
			char prot[5];

			*end = '\0';
			if (sscanf(line, "%lx-%lx %4s %*s %*s %lu", &first, &last, prot, &inode) ==
			    4)
				found = first <= va && last >= va + len && !strcmp(prot, "---p") &&
					!inode;
			line = end + 1;
		}
		used = (size_t)(buf + used - line);
		memmove(buf, line, used);
		if (used == sizeof(buf) - 1)
			break;
	}
	vdma_sys_close(fd);
	return found;
}

int vdma_reserve_fill(void *va, size_t len, int flags, int fd, bool *lost)
{
	void *map;
	int err, again;

	err = vdma_sys_mmap(va, len, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0, &map);
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

int vdma_reserve_restore(void *va, size_t len)
{
	void *map;

	return vdma_sys_mmap(va, len, PROT_NONE, RESERVED | MAP_FIXED, -1, 0, &map);
}
