// SPDX-License-Identifier: BSD-3-Clause
/*
 * POSIX typed memory over open nodes of map_contig. What a descriptor is, and by
 * which one memory was mapped, is asked of the kernel each time: descriptors
 * are closed, duplicated and passed on behind the back of a library.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <vdma/typed_mem.h>
#include <vdma/uapi/map_contig.h>

#include "sys.h"
#include "typed_name.h"

#define ALLOCATES (POSIX_TYPED_MEM_ALLOCATE | POSIX_TYPED_MEM_ALLOCATE_CONTIG)
#define ALL_TFLAGS (ALLOCATES | POSIX_TYPED_MEM_MAP_ALLOCATABLE)

static int check_flags(int oflag, int tflag)
{
	if (tflag & ~ALL_TFLAGS || tflag & (tflag - 1))
		return -EINVAL;
	if (oflag & ~(O_ACCMODE | O_CLOEXEC) || (oflag & O_ACCMODE) == O_ACCMODE)
		return -EINVAL;
	return 0;
}

static int find_pool(const char *name, struct vdma_typed_pool *pool)
{
	char path[64];
	int err;

	err = vdma_typed_name_parse(name, pool);
	/* A kernel without NUMA has no folder, and a node 0 all the same. */
	if (err || pool->node <= 0)
		return err;
	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d", pool->node);
	return vdma_sys_exists(path) ? -ENOENT : 0;
}

static int open_node(int oflag)
{
	int fd = vdma_sys_open(MAP_CONTIG_DEVICE, oflag);

	switch (-fd) {
	case ENODEV:
	case ENXIO: return -ENOENT;
	case EPERM: return -EACCES;
	}
	return fd;
}

static int configure(int fd, const struct vdma_typed_pool *pool, int tflag)
{
	struct map_contig_configure c = {
		.size = sizeof(c),
		.mode = MAP_CONTIG_MODE_MAP,
		.want.fork = MAP_CONTIG_FORK_SHARE,
	};
	int err;

	if (tflag & ALLOCATES) {
		c.mode = MAP_CONTIG_MODE_ALLOC;
		c.flags = MAP_CONTIG_CONFIGURE_SHARED;
	}
	if (pool->phys_max != UINT64_MAX)
		c.want.phys_max = pool->phys_max;
	if (pool->node >= 0) {
		c.want.node = pool->node;
		c.want.node_mode = MAP_CONTIG_NODE_STRICT;
	}
	err = vdma_sys_ioctl(fd, MAP_CONTIG_CONFIGURE, &c);
	switch (-err) {
	/* A module before typed memory; a node that is offline, an address below a page. */
	case ENOTTY:
	case EINVAL: return -ENOENT;
	/* A limit that would tell who must not know where memory lies. */
	case EPERM: return -EACCES;
	}
	return err;
}

static int open_typed(const char *name, int oflag, int tflag)
{
	struct vdma_typed_pool pool;
	int fd, err;

	err = check_flags(oflag, tflag);
	if (!err)
		err = find_pool(name, &pool);
	if (err)
		return err;
	fd = open_node(oflag & O_ACCMODE);
	if (fd < 0)
		return fd;
	err = configure(fd, &pool, tflag);
	if (!err && !(oflag & O_CLOEXEC))
		err = vdma_sys_keep_over_exec(fd);
	if (err) {
		vdma_sys_close(fd);
		return err;
	}
	return fd;
}

int posix_typed_mem_open(const char *name, int oflag, int tflag)
{
	int fd = open_typed(name, oflag, tflag);

	if (fd < 0) {
		errno = -fd;
		return -1;
	}
	return fd;
}

/* Largest run that a caller may have of what constraints describe. */
static int largest(int fd, const struct map_contig_constraints *want, uint64_t *length)
{
	struct map_contig_oracle oracle = { .size = sizeof(oracle), .want = *want };
	struct map_contig_limits limits = { .size = sizeof(limits) };
	int err;

	err = vdma_sys_ioctl(fd, MAP_CONTIG_LIMITS, &limits);
	if (!err)
		err = vdma_sys_ioctl(fd, MAP_CONTIG_ORACLE, &oracle);
	if (!err)
		*length = oracle.largest < limits.left ? oracle.largest : limits.left;
	return err;
}

int posix_typed_mem_get_info(int fildes, struct posix_typed_mem_info *info)
{
	struct map_contig_configure c = { .size = sizeof(c) };
	uint64_t length = 0;
	int err;

	err = vdma_sys_ioctl(fildes, MAP_CONTIG_CONFIGURATION, &c);
	if (err)
		return err == -EBADF ? EBADF : ENODEV;
	/* A node that nobody has opened as typed memory. */
	if (!c.object)
		return ENODEV;
	if (c.mode == MAP_CONTIG_MODE_ALLOC)
		err = largest(fildes, &c.want, &length);
	if (err)
		return -err;
	info->posix_tmi_length = length;
	return 0;
}

int posix_mem_offset(const void *restrict addr, size_t len, off_t *restrict off,
		     size_t *restrict contig_len, int *restrict fildes)
{
	struct map_contig_offset o = { .size = sizeof(o), .addr = (uintptr_t)addr };
	int fd, err;

	fd = open_node(O_RDONLY);
	if (fd < 0)
		return fd == -ENOENT ? EACCES : -fd;
	err = vdma_sys_ioctl(fd, MAP_CONTIG_OFFSET, &o);
	vdma_sys_close(fd);
	if (err)
		return err == -ENXIO || err == -ENOTTY ? EACCES : -err;
	*off = (off_t)o.offset;
	*contig_len = o.length < len ? o.length : len;
	*fildes = o.fd;
	return 0;
}
