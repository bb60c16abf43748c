// SPDX-License-Identifier: BSD-3-Clause
/*
 * One physically contiguous run from the kernel module map_contig.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <vdma/uapi/map_contig.h>

#include "explain.h"
#include "host.h"
#include "provider.h"
#include "reserve.h"
#include "sys.h"

static int contig_unit(size_t page_size, size_t *unit)
{
	if (page_size)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, &(struct vdma_facts){ .need = page_size },
				 "page_size is %zu, but contiguous memory has none to choose: "
				 "the module builds it of the largest pages it can. Leave it at 0.",
				 page_size);
	*unit = vdma_sys_page_size();
	return 0;
}

static int open_device(void)
{
	int fd = vdma_sys_open(MAP_CONTIG_DEVICE, O_RDWR);
	struct vdma_facts facts = { .sys_errno = -fd };

	switch (-fd) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return vdma_fail(VDMA_CAUSE_NO_MODULE, &facts,
				 "There is no " MAP_CONTIG_DEVICE ": the kernel module map_contig "
				 "is not loaded. As root: insmod map_contig.ko (the build's target "
				 "kmod makes it), or modprobe map_contig where it is installed.");
	case EACCES:
	case EPERM:
		return vdma_fail(VDMA_CAUSE_PERMISSION, &facts,
				 "This user may not open " MAP_CONTIG_DEVICE ". As root: chgrp it "
				 "to a group of this user and chmod g+rw, best by a udev rule.");
	}
	return fd < 0 ? vdma_fail_sys(fd, "open " MAP_CONTIG_DEVICE) : fd;
}

static int explain_mmap(int err, size_t len)
{
	struct vdma_facts facts = { .sys_errno = -err, .need = len };
	struct vdma_memlock m;

	switch (-err) {
	case ENOMEM:
		facts.limit = vdma_host_meminfo("MemFree:");
		return vdma_fail(VDMA_CAUSE_NO_RUN, &facts,
				 "The kernel has no physically contiguous run of %s (free memory: "
				 "%s, in all: %s). Ask for less, free memory, allocate soon after "
				 "boot, or use VDMA_PROVIDER_HUGETLB or VDMA_PROVIDER_ANON, whose "
				 "memory is one run for the device only.",
				 vdma_bytes(len).s, vdma_bytes(facts.limit).s,
				 vdma_bytes(vdma_host_meminfo("MemTotal:")).s);
	case EAGAIN:
		if (!vdma_host_memlock(&m))
			facts.limit = m.limit;
		return vdma_fail(VDMA_CAUSE_MEMLOCK, &facts,
				 "%s more of contiguous memory would exceed RLIMIT_MEMLOCK, %s, "
				 "for all that this user holds of it. " VDMA_MEMLOCK_REMEDY ".",
				 vdma_bytes(len).s, vdma_bytes(facts.limit).s);
	case EPERM:
		return vdma_fail(VDMA_CAUSE_PRIVILEGE, &facts,
				 "RLIMIT_MEMLOCK is 0 and the program has no CAP_IPC_LOCK, so it "
				 "may not have contiguous memory. " VDMA_MEMLOCK_REMEDY ".");
	}
	return vdma_fail_sys(err, "map %s of " MAP_CONTIG_DEVICE, vdma_bytes(len).s);
}

static void query(int fd, void *va, size_t len, struct vdma_memory *mem)
{
	struct map_contig_query q = { .size = sizeof(q), .addr = (uintptr_t)va };

	/* Not being told (EPERM) is no failure: a device needs the IOVA only. */
	if (vdma_sys_ioctl(fd, MAP_CONTIG_QUERY, &q) || q.length < len)
		return;
	mem->pa = q.phys;
	mem->node = q.node;
	mem->granule = UINT64_C(1) << q.folio_shift;
}

static int contig_populate(void *va, size_t len, size_t page_size, struct vdma_memory *mem)
{
	int fd, err;

	(void)page_size;
	fd = open_device();
	if (fd < 0)
		return fd;
	err = vdma_reserve_fill(va, len, MAP_SHARED, fd, &mem->lost);
	if (err) {
		err = explain_mmap(err, len);
	} else {
		mem->extents = 1;
		query(fd, va, len, mem);
	}
	/* The mapping holds the memory by itself. */
	vdma_sys_close(fd);
	return err;
}

const struct vdma_provider_ops vdma_provider_contig = {
	.name = "contig",
	.unit = contig_unit,
	.populate = contig_populate,
};
