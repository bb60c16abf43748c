// SPDX-License-Identifier: BSD-3-Clause
#include "maps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "sys.h"

/* A line of the file; false if it is none. */
static int parse(const char *line, struct vdma_map *map)
{
	unsigned long first, end;
	int name = 0;

	if (sscanf(line, "%lx-%lx %4s %*s %*s %lu %n", &first, &end, map->prot, &map->inode,
		   &name) != 4)
		return 0;
	map->first = first;
	map->end = end;
	snprintf(map->name, sizeof(map->name), "%s", name ? line + name : "");
	return 1;
}

int vdma_maps_find(uintptr_t va, size_t len, struct vdma_map *map)
{
	char buf[4096];
	size_t used = 0;
	int fd = vdma_sys_open("/proc/self/maps", O_RDONLY), err = -ENOENT;
	ssize_t n;

	if (fd < 0)
		return fd;
	while (err && (n = vdma_sys_read(fd, buf + used, sizeof(buf) - 1 - used)) > 0) {
		char *line = buf, *end;

		used += (size_t)n;
		buf[used] = '\0';
		while (err && (end = strchr(line, '\n'))) {
			*end = '\0';
			if (parse(line, map) && map->first < va + len && map->end > va)
				err = 0;
			line = end + 1;
		}
		used = (size_t)(buf + used - line);
		memmove(buf, line, used);
		if (used == sizeof(buf) - 1)
			break;
	}
	vdma_sys_close(fd);
	return err;
}
