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

static int explain_no_run(int node, size_t len, struct vdma_facts *facts)
{
	struct map_contig_oracle oracle = { .size = sizeof(oracle), .length = len };
	struct map_contig_limits limits = { .size = sizeof(limits) };

	/* An older module has neither. */
	if (!vdma_sys_ioctl(node, MAP_CONTIG_LIMITS, &limits) && limits.left < len) {
		facts->limit = limits.left;
		return vdma_fail(
			VDMA_CAUSE_NO_MEMORY, facts,
			"%s of memory are wanted, at most %s can be had. The kernel could make "
			"%s available, without the %s that the module's parameter floor keeps "
			"for others, and its reserve has %s. Ask for less, or free memory.",
			vdma_bytes(len).s, vdma_bytes(limits.left).s,
			vdma_bytes(limits.available).s, vdma_bytes(limits.floor).s,
			vdma_bytes(limits.reserve_free).s);
	}
	if (!vdma_sys_ioctl(node, MAP_CONTIG_ORACLE, &oracle)) {
		facts->limit = oracle.largest;
		if (oracle.largest >= len)
			return vdma_fail(
				VDMA_CAUSE_NO_RUN, facts,
				"The kernel got no physically contiguous run of %s, though one "
				"of %s looks possible now: others were using the pages, or "
				"there is no memory for page tables. Call again.",
				vdma_bytes(len).s, vdma_bytes(oracle.largest).s);
		return vdma_fail(
			VDMA_CAUSE_NO_RUN, facts,
			"The kernel has no physically contiguous run of %s: the largest that "
			"it could make now is %s. Ask for less, free memory, allocate soon "
			"after boot, have the administrator set memory aside (the module's "
			"parameter reserve), or use VDMA_PROVIDER_HUGETLB or "
			"VDMA_PROVIDER_ANON, whose memory is one run for the device only.",
			vdma_bytes(len).s, vdma_bytes(oracle.largest).s);
	}
	facts->limit = vdma_host_meminfo("MemFree:");
	return vdma_fail(VDMA_CAUSE_NO_RUN, facts,
			 "The kernel has no physically contiguous run of %s (free memory: "
			 "%s, in all: %s). Ask for less, free memory, allocate soon after "
			 "boot, or use VDMA_PROVIDER_HUGETLB or VDMA_PROVIDER_ANON, whose "
			 "memory is one run for the device only.",
			 vdma_bytes(len).s, vdma_bytes(facts->limit).s,
			 vdma_bytes(vdma_host_meminfo("MemTotal:")).s);
}

static int explain_quota(int node, size_t len, struct vdma_facts *facts)
{
	struct map_contig_limits l = { .size = sizeof(l) };
	uint64_t mine;

	if (vdma_sys_ioctl(node, MAP_CONTIG_LIMITS, &l))
		return vdma_fail(VDMA_CAUSE_QUOTA, facts,
				 "%s more of contiguous memory would exceed a quota of the "
				 "administrator. Ask for less, or for more quota.",
				 vdma_bytes(len).s);
	mine = l.user + l.user_copies;
	if (l.user_quota != MAP_CONTIG_UNLIMITED && mine + len > l.user_quota) {
		facts->limit = l.user_quota;
		facts->used = mine;
		return vdma_fail(
			VDMA_CAUSE_QUOTA, facts,
			"%s more of contiguous memory would exceed this user's quota of %s, of "
			"which %s are in use. Give some back, or have the administrator raise "
			"the module's parameter user_quota.",
			vdma_bytes(len).s, vdma_bytes(l.user_quota).s, vdma_bytes(mine).s);
	}
	facts->limit = l.ceiling;
	facts->used = l.total;
	return vdma_fail(VDMA_CAUSE_QUOTA, facts,
			 "%s more of contiguous memory would exceed the ceiling of %s for all "
			 "users, of which %s are in use. Have the administrator raise the module's "
			 "parameter ceiling, or free some: the ledger tells who holds what.",
			 vdma_bytes(len).s, vdma_bytes(l.ceiling).s, vdma_bytes(l.total).s);
}

static int explain(int err, int node, size_t len)
{
	struct vdma_facts facts = { .sys_errno = -err, .need = len };
	struct vdma_memlock m;

	switch (-err) {
	case ENOMEM: return explain_no_run(node, len, &facts);
	case EDQUOT: return explain_quota(node, len, &facts);
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
	return vdma_fail_sys(err, "allocate %s from " MAP_CONTIG_DEVICE, vdma_bytes(len).s);
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

/*
 * Memory first, then the mapping: while the kernel searches, the address space is
 * not locked, and the reservation is untouched if there is nothing to be had.
 */
static int allocate_and_map(int node, void *va, size_t len, bool *lost)
{
	struct map_contig_alloc alloc = {
		.size = sizeof(alloc),
		.length = len,
		.want.fork = MAP_CONTIG_FORK_NONE,
	};
	int err;

	err = vdma_sys_ioctl(node, MAP_CONTIG_ALLOC, &alloc);
	/* The first release of the module has mmap only. */
	if (err == -ENOTTY)
		return vdma_reserve_fill(va, len, MAP_SHARED, node, lost);
	if (err)
		return err;
	err = vdma_reserve_fill(va, len, MAP_SHARED, alloc.fd, lost);
	/* The mapping holds the memory by itself. */
	vdma_sys_close(alloc.fd);
	return err;
}

static int contig_populate(void *va, size_t len, size_t page_size, struct vdma_memory *mem)
{
	int node, err;

	(void)page_size;
	node = open_device();
	if (node < 0)
		return node;
	err = allocate_and_map(node, va, len, &mem->lost);
	if (err) {
		err = explain(err, node, len);
	} else {
		mem->extents = 1;
		query(node, va, len, mem);
	}
	vdma_sys_close(node);
	return err;
}

const struct vdma_provider_ops vdma_provider_contig = {
	.name = "contig",
	.unit = contig_unit,
	.populate = contig_populate,
};
