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

static int no_physical(void)
{
	return vdma_fail(VDMA_CAUSE_PRIVILEGE, &(struct vdma_facts){ .sys_errno = EPERM },
			 "Physical addresses are told, and may be asked for, with CAP_SYS_RAWIO only. "
			 "Run the program as root, or give it that capability.");
}

static int explain_no_run(int node, size_t len, const struct vdma_want *want,
			  struct vdma_facts *facts)
{
	struct map_contig_oracle oracle = {
		.size = sizeof(oracle),
		.length = len,
		.want.phys_max = want->phys_max,
	};
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
		if (want->phys_max)
			return vdma_fail(
				VDMA_CAUSE_NO_RUN, facts,
				"The kernel has no physically contiguous run of %s up to physical "
				"address 0x%llx: the largest that it could make there now is %s. "
				"Ask for less or for more address_bits, allocate soon after boot, "
				"or use a device that drives more address bits.",
				vdma_bytes(len).s, (unsigned long long)want->phys_max,
				vdma_bytes(oracle.largest).s);
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

static int explain(int err, int node, size_t len, const struct vdma_want *want)
{
	struct vdma_facts facts = { .sys_errno = -err, .need = len };
	struct vdma_memlock m;

	switch (-err) {
	case ENOMEM: return explain_no_run(node, len, want, &facts);
	case EDQUOT: return explain_quota(node, len, &facts);
	case EAGAIN:
		if (!vdma_host_memlock(&m))
			facts.limit = m.limit;
		return vdma_fail(VDMA_CAUSE_MEMLOCK, &facts,
				 "%s more of contiguous memory would exceed RLIMIT_MEMLOCK, %s, "
				 "for all that this user holds of it. " VDMA_MEMLOCK_REMEDY ".",
				 vdma_bytes(len).s, vdma_bytes(facts.limit).s);
	case EPERM:
		if (want->phys_max)
			return no_physical();
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
static int allocate_and_map(int node, void *va, size_t len, const struct vdma_want *want,
			    bool *lost)
{
	struct map_contig_alloc alloc = {
		.size = sizeof(alloc),
		.length = len,
		.want.phys_max = want->phys_max,
		.want.fork = MAP_CONTIG_FORK_NONE,
	};
	int err;

	err = vdma_sys_ioctl(node, MAP_CONTIG_ALLOC, &alloc);
	/* The first release of the module has mmap only. */
	if (err == -ENOTTY && !want->phys_max)
		return vdma_reserve_fill(va, len, MAP_SHARED, node, lost);
	if (err)
		return err;
	err = vdma_reserve_fill(va, len, MAP_SHARED, alloc.fd, lost);
	/* The mapping holds the memory by itself. */
	vdma_sys_close(alloc.fd);
	return err;
}

static int contig_populate(void *va, size_t len, const struct vdma_want *want,
			   struct vdma_memory *mem)
{
	int node, err;

	node = open_device();
	if (node < 0)
		return node;
	err = allocate_and_map(node, va, len, want, &mem->lost);
	if (err) {
		err = explain(err, node, len, want);
	} else {
		mem->extents = 1;
		query(node, va, len, mem);
	}
	vdma_sys_close(node);
	return err;
}

static int explain_hold(int err, const struct vdma_bdf *bdf)
{
	struct vdma_facts facts = { .sys_errno = -err };

	switch (-err) {
	case EPERM: return no_physical();
	case ENODEV: return vdma_fail_no_device(bdf->s);
	case ENOSPC:
		facts.limit = 16;
		return vdma_fail(
			VDMA_CAUSE_TOO_MANY, &facts,
			"Memory is used by 16 devices already, which is as many as the module "
			"can stop before it frees that. Give %s an arena of its own.",
			bdf->s);
	case ENOTTY:
	case EOPNOTSUPP:
		return vdma_fail(VDMA_CAUSE_UNSUPPORTED, &facts,
				 "The loaded map_contig cannot stop a device before it frees its "
				 "memory (MAP_CONTIG_HOLD). Load the module of this version.");
	}
	return vdma_fail_sys(err, "MAP_CONTIG_HOLD for %s", bdf->s);
}

static int contig_hold(void *va, const struct vdma_bdf *bdf, bool on)
{
	struct map_contig_hold hold = {
		.size = sizeof(hold),
		.flags = on ? 0 : MAP_CONTIG_HOLD_RELEASE,
		.addr = (uintptr_t)va,
		.domain = bdf->domain,
		.bdf = bdf->bus << 8 | bdf->dev << 3 | bdf->func,
	};
	int node = open_device(), err;

	if (node < 0)
		return node;
	err = vdma_sys_ioctl(node, MAP_CONTIG_HOLD, &hold);
	vdma_sys_close(node);
	/*
	 * Held since the device was closed while it might not have been silent; or not
	 * held any more, since the module has stopped the device, or it was taken out.
	 */
	if (!err || (on ? err == -EEXIST : err == -ENOENT || err == -ENODEV))
		return 0;
	return explain_hold(err, bdf);
}

const struct vdma_provider_ops vdma_provider_contig = {
	.name = "contig",
	.unit = contig_unit,
	.populate = contig_populate,
	.hold = contig_hold,
};
