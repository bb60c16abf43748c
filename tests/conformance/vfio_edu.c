// SPDX-License-Identifier: BSD-3-Clause
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "check.h"
#include "observe.h"
#include "vfio_edu.h"

/* Registers of edu, and where its buffer lies in its own addresses. */
#define EDU_DMA_SRC 0x80
#define EDU_DMA_DST 0x88
#define EDU_DMA_COUNT 0x90
#define EDU_DMA_CMD 0x98
#define EDU_DMA_RUN 1
#define EDU_DMA_FROM_EDU 2
#define EDU_BUF 0x40000
#define EDU_BAR_LEN (1 << 20)

static int iommu_group(const char *bdf)
{
	char path[64], link[256];
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", bdf);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		FAIL("%s: %m", path);
	link[n] = 0;
	return atoi(strrchr(link, '/') + 1);
}

void vfio_open(struct vfio *vfio)
{
	struct vfio_group_status st = { .argsz = sizeof(st) };
	const char *bdf = getenv("VDMA_BDF_EDU");
	char path[64];

	if (!bdf)
		edu_is_missing();
	*vfio = (struct vfio){ .device = -1 };
	snprintf(path, sizeof(path), "/dev/vfio/%d", iommu_group(bdf));
	vfio->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	vfio->group = open(path, O_RDWR | O_CLOEXEC);
	if (vfio->container < 0 || vfio->group < 0)
		FAIL("%s: %m", path);
	CHECK_OK(ioctl(vfio->group, VFIO_GROUP_GET_STATUS, &st));
	CHECK(st.flags & VFIO_GROUP_FLAGS_VIABLE);
	CHECK_OK(ioctl(vfio->group, VFIO_GROUP_SET_CONTAINER, &vfio->container));
	CHECK_OK(ioctl(vfio->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
}

void vfio_close(struct vfio *vfio)
{
	if (vfio->bar)
		munmap((void *)(uintptr_t)vfio->bar, EDU_BAR_LEN);
	if (vfio->device >= 0)
		close(vfio->device);
	close(vfio->group);
	close(vfio->container);
}

int vfio_map(struct vfio *vfio, const void *addr, size_t len, uint64_t iova)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)addr,
		.iova = iova,
		.size = len,
	};

	return ioctl(vfio->container, VFIO_IOMMU_MAP_DMA, &map);
}

int vfio_unmap(struct vfio *vfio, size_t len, uint64_t iova)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = iova,
		.size = len,
	};

	if (ioctl(vfio->container, VFIO_IOMMU_UNMAP_DMA, &unmap))
		return -1;
	return unmap.size == len ? 0 : -1;
}

static void bus_master_on(struct vfio *vfio)
{
	struct vfio_region_info config = { .argsz = sizeof(config),
					   .index = VFIO_PCI_CONFIG_REGION_INDEX };
	uint16_t command;

	CHECK_OK(ioctl(vfio->device, VFIO_DEVICE_GET_REGION_INFO, &config));
	CHECK_EQ(pread(vfio->device, &command, 2, (off_t)config.offset + 4), 2);
	command |= 0x6; /* memory space, bus master */
	CHECK_EQ(pwrite(vfio->device, &command, 2, (off_t)config.offset + 4), 2);
}

void dev_open(struct vfio *vfio)
{
	struct vfio_region_info bar = { .argsz = sizeof(bar), .index = VFIO_PCI_BAR0_REGION_INDEX };

	vfio->device = ioctl(vfio->group, VFIO_GROUP_GET_DEVICE_FD, getenv("VDMA_BDF_EDU"));
	CHECK_OK(vfio->device);
	CHECK_OK(ioctl(vfio->device, VFIO_DEVICE_GET_REGION_INFO, &bar));
	bus_master_on(vfio);
	vfio->bar = mmap(NULL, EDU_BAR_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, vfio->device,
			 (off_t)bar.offset);
	CHECK_OK(vfio->bar);
	dev_wait(vfio);
}

static volatile uint64_t *dev_register(struct vfio *vfio, size_t reg)
{
	return (volatile uint64_t *)(vfio->bar + reg);
}

static void dev_copy(struct vfio *vfio, uint64_t from, uint64_t to, uint64_t direction)
{
	dev_wait(vfio);
	*dev_register(vfio, EDU_DMA_SRC) = from;
	*dev_register(vfio, EDU_DMA_DST) = to;
	*dev_register(vfio, EDU_DMA_COUNT) = EDU_LEN;
	__sync_synchronize();
	*dev_register(vfio, EDU_DMA_CMD) = EDU_DMA_RUN | direction;
}

void dev_write_memory(struct vfio *vfio, uint64_t iova)
{
	dev_copy(vfio, EDU_BUF, iova, EDU_DMA_FROM_EDU);
}

void dev_read_memory(struct vfio *vfio, uint64_t iova)
{
	dev_copy(vfio, iova, EDU_BUF, 0);
}

bool dev_idle(struct vfio *vfio)
{
	return !(*dev_register(vfio, EDU_DMA_CMD) & EDU_DMA_RUN);
}

void dev_wait(struct vfio *vfio)
{
	double end = now_ms() + 10e3;

	while (!dev_idle(vfio)) {
		if (now_ms() > end)
			FAIL("edu is still busy after 10 s");
		usleep(1000);
	}
}

void dev_load(struct vfio *vfio, void *at, uint64_t iova, unsigned char byte)
{
	memset(at, byte, EDU_LEN);
	dev_read_memory(vfio, iova);
	dev_wait(vfio);
}
