// SPDX-License-Identifier: BSD-3-Clause
#include "vacant.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "sys.h"

/* A file of so much at most is mapped again and again, in at most so many pieces. */
#define PIECE ((size_t)2 << 20)
#define PIECES 1024

int vdma_vacant_open(size_t len)
{
	int fd = vdma_sys_memfd("libvdma: no device");
	unsigned char ones[4096];
	size_t at;

	if (fd < 0)
		return fd;
	memset(ones, 0xff, sizeof(ones));
	for (at = 0; at < len; at += sizeof(ones)) {
		ssize_t n = vdma_sys_pwrite(fd, ones, sizeof(ones), at);

		if (n != (ssize_t)sizeof(ones)) {
			vdma_sys_close(fd);
			return n < 0 ? (int)n : -EIO;
		}
	}
	return fd;
}

int vdma_vacant_map(void *va, size_t len)
{
	size_t page = vdma_sys_page_size();
	size_t piece = len / PIECES > PIECE ? (len / PIECES + page - 1) & ~(page - 1) : PIECE, at;
	int fd, err = 0;
	void *map;

	if (piece > len)
		piece = len;
	fd = vdma_vacant_open(piece);
	if (fd < 0)
		return fd;
	/* The last one may be shorter. */
	for (at = 0; at < len && !err; at += piece)
		err = vdma_sys_mmap((char *)va + at, piece < len - at ? piece : len - at,
				    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE,
				    fd, 0, &map);
	vdma_sys_close(fd);
	return err;
}
