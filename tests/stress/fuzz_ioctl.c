// SPDX-License-Identifier: BSD-3-Clause
/* The fuzzer's ioctls, those that make no sense included. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <linux/dma-buf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "fuzz.h"

/* --- Ioctls about memory --- */

/* On a descriptor by offset, on the node by address. */
static int place_of(struct fuzzer *fuzzer, struct region *region, __u64 *addr, unsigned int *index)
{
	struct piece *piece = piece_pick(fuzzer, region);

	if (region->fd >= 0 && (!piece || draw(fuzzer, 2))) {
		*index = draw(fuzzer, region->npages);
		*addr = *index * PAGE;
		return region->fd;
	}
	if (!piece)
		return -1;
	*index = draw(fuzzer, piece->n);
	*addr = (uintptr_t)piece->addr + *index * PAGE;
	*index += piece->first;
	return fuzzer->node;
}

void call_query(struct fuzzer *fuzzer, struct region *region)
{
	struct map_contig_query query = { .size = sizeof(query) };
	unsigned int index;
	int fd = place_of(fuzzer, region, &query.addr, &index), err;

	if (fd < 0)
		return;
	err = error_of(ioctl(fd, MAP_CONTIG_QUERY, &query));
	note(fuzzer, CALL_QUERY, err, "query page %u", index);
	expect(fuzzer, "query", err, 0);
	if (region->frame && query.phys != (region->frame + index) * PAGE)
		fail("query: 0x%llx, not page %u of 0x%lx", query.phys, index,
		     region->frame * PAGE);
	region->frame = query.phys / PAGE - index;
}

void call_hold(struct fuzzer *fuzzer, struct region *region)
{
	struct map_contig_hold hold = { .size = sizeof(hold), .bdf = (uint32_t)edu };
	unsigned int index;
	int fd = place_of(fuzzer, region, &hold.addr, &index), err;

	if (fd < 0 || edu < 0)
		return;
	hold.flags = region->held ? MAP_CONTIG_HOLD_RELEASE : 0;
	err = error_of(ioctl(fd, MAP_CONTIG_HOLD, &hold));
	note(fuzzer, CALL_HOLD, err, "hold, flags %u", hold.flags);
	/* Somebody else who has the region may have been here. */
	expect(fuzzer, "hold", err, region->frozen ? EEXIST : 0, region->frozen ? ENOENT : 0, 0);
	if (!err)
		region->held = !region->held;
}

void call_export(struct fuzzer *fuzzer, struct region *region)
{
	struct map_contig_export export = { .size = sizeof(export) };
	unsigned int index;
	int fd = place_of(fuzzer, region, &export.addr, &index), err;

	if (fd < 0)
		return;
	export.length = draw(fuzzer, 3) ? 0 : PAGE * (1 + draw(fuzzer, region->npages));
	/* All of it through the descriptor, to be mapped later. */
	if (region->fd >= 0 && region->buffer < 0 && draw(fuzzer, 2)) {
		fd = region->fd;
		index = export.addr = export.length = 0;
	}
	err = error_of(ioctl(fd, MAP_CONTIG_EXPORT, &export));
	note(fuzzer, CALL_EXPORT, err, "export from page %u, %llu bytes", index, export.length);
	/* Too long. */
	expect(fuzzer, "export", err, ENOMEM, export.length ? ENXIO : ENOMEM, EOPNOTSUPP, 0);
	if (err)
		return;
	for (int i = 0; i < 2; i++) {
		struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_RW |
						      (i ? DMA_BUF_SYNC_END : DMA_BUF_SYNC_START) };

		expect(fuzzer, "dma-buf sync",
		       error_of(ioctl(export.fd, DMA_BUF_IOCTL_SYNC, &sync)), 0);
	}
	if (!index && !export.length && fd == region->fd && region->buffer < 0)
		region->buffer = export.fd;
	else
		close(export.fd);
}

/* --- Ioctls about the machine, and those that make no sense --- */

void call_limits(struct fuzzer *fuzzer)
{
	struct map_contig_limits limits = { .size = sizeof(limits) };
	int err = error_of(ioctl(fuzzer->node, MAP_CONTIG_LIMITS, &limits));

	note(fuzzer, CALL_LIMITS, err, "limits: total %llu", limits.total);
	expect(fuzzer, "limits", err, 0);
	if (limits.user + limits.user_copies > limits.total)
		fail("limits: user %llu, copies %llu, but total %llu", limits.user,
		     limits.user_copies, limits.total);
}

void call_oracle(struct fuzzer *fuzzer)
{
	struct map_contig_oracle oracle = { .size = sizeof(oracle) };
	int err;

	draw_want(fuzzer, &oracle.want);
	oracle.length = draw(fuzzer, 3) ? draw_npages(fuzzer) * PAGE << draw(fuzzer, 8) : 0;
	err = error_of(ioctl(fuzzer->node, MAP_CONTIG_ORACLE, &oracle));
	note(fuzzer, CALL_ORACLE, err, "oracle: %llu bytes, largest %llu, blocker %u",
	     oracle.length, oracle.largest, oracle.blocker);
	expect(fuzzer, "oracle", err, EINVAL, ENOMEM, 0);
	if (!err && oracle.length && oracle.length <= oracle.largest && oracle.blocker)
		fail("oracle: %llu of %llu bytes are blocked", oracle.length, oracle.largest);
}

void call_version(struct fuzzer *fuzzer)
{
	struct map_contig_version version = { .size = sizeof(version) };
	int err = error_of(ioctl(fuzzer->node, MAP_CONTIG_VERSION, &version));

	note(fuzzer, CALL_VERSION, err, "version");
	if (err || version.abi != MAP_CONTIG_ABI)
		fail("version: %d, ABI %u", err, version.abi);
}

void call_configure(struct fuzzer *fuzzer)
{
	struct map_contig_configure configure = { .size = sizeof(configure) };
	int node = open(MAP_CONTIG_DEVICE, O_RDWR | O_CLOEXEC), err;
	void *addr;

	if (node < 0)
		fail("open: %m");
	draw_want(fuzzer, &configure.want);
	configure.flags = draw(fuzzer, 2);
	configure.mode = draw(fuzzer, 2);
	err = error_of(ioctl(node, MAP_CONTIG_CONFIGURE, &configure));
	note(fuzzer, CALL_CONFIGURE, err, "configure, mode %u", configure.mode);
	expect(fuzzer, "configure", err, EINVAL, 0);
	/* In either mode: an offset out of nowhere, or an allocation that goes at once. */
	addr = map_here(8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, node,
			configure.mode ? (off_t)(draw(fuzzer, 1UL << 40) * PAGE) : 0);
	if (addr != MAP_FAILED) {
		/* In MODE_MAP it is somebody else's. */
		if (!configure.mode && *(volatile uint64_t *)addr)
			fail("new memory is not zero");
		munmap(addr, 8 * PAGE);
	}
	close(node);
}

union any {
	__u32 size;
	struct map_contig_alloc alloc;
	struct map_contig_export export;
	struct map_contig_hold hold;
	unsigned char bytes[256];
};

void call_malformed(struct fuzzer *fuzzer)
{
	static const __u32 sizes[] = { 0,  1,  4,   8,	 24,  32,  40,	 48,   80,
				       88, 96, 100, 128, 200, 256, 4096, 4097, ~0U };
	int node = open(MAP_CONTIG_DEVICE, O_RDWR | O_CLOEXEC), fd = node, err;
	struct region *region = draw(fuzzer, 2) ? region_pick(fuzzer) : NULL;
	unsigned int number = draw(fuzzer, 16) ? draw(fuzzer, 10) : draw(fuzzer, 256);
	unsigned int command = _IO(MAP_CONTIG_TYPE, number);
	union any any;
	void *argument = &any;

	if (node < 0)
		fail("open: %m");
	if (region && region->fd >= 0)
		fd = region->fd;
	memset(&any, 0, sizeof(any));
	for (unsigned int n = draw(fuzzer, 40); n; n--)
		any.bytes[draw(fuzzer, sizeof(any))] = (unsigned char)draw(fuzzer, 256);
	any.size = draw(fuzzer, 4) ? sizes[draw(fuzzer, sizeof(sizes) / sizeof(*sizes))] :
				     (__u32)draw(fuzzer, UINT32_MAX);
	/* A device that the guest lives on must not be stopped. */
	if (number == MAP_CONTIG_CMD_HOLD)
		any.hold.bdf |= 0x10000;
	switch (draw(fuzzer, 12)) {
	case 0: argument = NULL; break;
	case 1: argument = (void *)(uintptr_t)draw(fuzzer, 1UL << 48); break;
	case 2: argument = (char *)-16; break;
	}
	err = error_of(ioctl(fd, command, argument));
	note(fuzzer, CALL_MALFORMED, err, "ioctl %u, size %u", number, any.size);
	if (!err && number == MAP_CONTIG_CMD_ALLOC && argument == &any)
		close(any.alloc.fd);
	if (!err && number == MAP_CONTIG_CMD_EXPORT && argument == &any)
		close(any.export.fd);
	expect(fuzzer, "a malformed ioctl", err, EFAULT, EINVAL, E2BIG, EOPNOTSUPP, ENOTTY, ENXIO,
	       ENOMEM, EDQUOT, ETIME, ENODEV, ENOENT, 0);
	if (region)
		pthread_mutex_unlock(&region->lock);
	close(node);
}
