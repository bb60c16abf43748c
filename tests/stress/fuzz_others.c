// SPDX-License-Identifier: BSD-3-Clause
/* The fuzzer's calls that have others hold memory: processes, by a socket, and devices. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "fuzz.h"

struct parcel {
	unsigned int npages;
	uint32_t tag;
	uint32_t fork;
	uint8_t version;
	uint64_t frame;
};

void call_send(struct fuzzer *fuzzer, struct region *region)
{
	struct parcel parcel = { region->npages, region->tag, region->fork, region->version[0],
				 region->frame };
	char control[CMSG_SPACE(sizeof(int))] = "";
	struct iovec iov = { &parcel, sizeof(parcel) };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int err;

	/* Who gets it must know its bytes, and so must we from then on. */
	if (region->fd < 0 || region->poisoned ||
	    memcmp(region->version, region->version + 1, region->npages - 1))
		return;
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &region->fd, sizeof(int));
	region->frozen = true;
	err = error_of((int)sendmsg(post[0], &message, MSG_DONTWAIT));
	note(fuzzer, CALL_SEND, err, "send %u pages", region->npages);
	expect(fuzzer, "sendmsg", err, EAGAIN, ENOBUFS, ENOMEM, ETOOMANYREFS, 0);
}

void call_receive(struct fuzzer *fuzzer)
{
	struct region *region = region_new(fuzzer);
	char control[CMSG_SPACE(sizeof(int))];
	struct parcel parcel;
	struct iovec iov = { &parcel, sizeof(parcel) };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *header;

	if (!region)
		return;
	if (recvmsg(post[1], &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) == sizeof(parcel) &&
	    (header = CMSG_FIRSTHDR(&message))) {
		region_begin(fuzzer, region, parcel.npages, parcel.fork);
		memcpy(&region->fd, CMSG_DATA(header), sizeof(int));
		region->tag = parcel.tag;
		region->frame = parcel.frame;
		region->frozen = true;
		memset(region->version, parcel.version, parcel.npages);
		note(fuzzer, CALL_RECEIVE, 0, "receive %u pages", parcel.npages);
	}
	pthread_mutex_unlock(&region->lock);
}

/* The first worker's, of threads with different regions. */
static int container = -1;
static _Atomic uint64_t next_iova = 1UL << 20;

void vfio_setup(void)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	char path[64], link[256];
	ssize_t len;
	int group;

	if (!edu_name)
		return;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", edu_name);
	len = readlink(path, link, sizeof(link) - 1);
	if (len < 0)
		return;
	link[len] = 0;
	snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(link, '/') + 1);
	group = open(path, O_RDWR | O_CLOEXEC);
	if (group < 0)
		return;
	container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (container < 0 || ioctl(group, VFIO_GROUP_GET_STATUS, &status) ||
	    ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) ||
	    ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		fail("VFIO: %m");
}

void call_unpin(struct fuzzer *fuzzer, struct region *region)
{
	struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof(unmap),
						    .iova = region->iova,
						    .size = region->pinned };
	int err;

	if (!region->iova)
		return;
	err = error_of(ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap));
	note(fuzzer, CALL_UNPIN, err, "unpin 0x%lx", region->iova);
	expect(fuzzer, "unpin", err, 0);
	region->iova = 0;
	region_settle(region);
}

void call_pin(struct fuzzer *fuzzer, struct region *region)
{
	struct vfio_iommu_type1_dma_map map = { .argsz = sizeof(map) };
	struct piece *piece = piece_pick(fuzzer, region);
	int err;

	if (container < 0 || region->iova || !piece || region->poisoned ||
	    piece->prot != (PROT_READ | PROT_WRITE))
		return;
	map.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
	map.vaddr = (uintptr_t)piece->addr;
	map.size = piece->n * PAGE;
	/* Below the window of the interrupts, round and round. */
	map.iova = next_iova;
	next_iova = map.iova + map.size + PAGE;
	if (next_iova > 0xe0000000)
		next_iova = 1UL << 20;
	err = error_of(ioctl(container, VFIO_IOMMU_MAP_DMA, &map));
	note(fuzzer, CALL_PIN, err, "pin %p, %u pages", (void *)piece->addr, piece->n);
	expect(fuzzer, "pin", err, ENOMEM, EEXIST, 0);
	if (!err) {
		region->iova = map.iova;
		region->pinned = map.size;
	}
}

/* Pages that cannot move, here and there, for the search to stumble over. */
void call_obstacle(struct fuzzer *fuzzer)
{
	static _Atomic int n;
	size_t length = 2 * MIB;
	int err = 0;
	char *addr;

	if (container < 0 || n++ >= OBSTACLES_MAX)
		return;
	addr = map_here(length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (addr == MAP_FAILED || madvise(addr, length, MADV_NOHUGEPAGE))
		return;
	for (size_t i = 0; i < length; i += PAGE)
		addr[i] = 1;
	for (size_t i = draw(fuzzer, 64); i < length / PAGE; i += 64 + draw(fuzzer, 256)) {
		struct vfio_iommu_type1_dma_map map = {
			.argsz = sizeof(map),
			.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
			.vaddr = (uintptr_t)addr + i * PAGE,
			.size = PAGE,
			.iova = 0x100000000ULL + (uintptr_t)(addr + i * PAGE) % 0x1000000000ULL,
		};

		err = error_of(ioctl(container, VFIO_IOMMU_MAP_DMA, &map)) ?: err;
		madvise(addr + i * PAGE, PAGE, MADV_DONTFORK);
	}
	note(fuzzer, CALL_OBSTACLE, err, "obstacles at %p", (void *)addr);
	expect(fuzzer, "pin of other memory", err, ENOMEM, EEXIST, 0);
}
