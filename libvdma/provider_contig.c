// SPDX-License-Identifier: BSD-3-Clause
/*
 * One physically contiguous run from the kernel module map_contig.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
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

/* Up to a folio the module takes alignment and boundary from everybody. */
#define FOLIO (UINT64_C(2) << 20)

static bool tells_physical(const struct vdma_want *want)
{
	return want->phys_max || want->align > FOLIO || want->boundary > FOLIO;
}

static bool is_constrained(const struct vdma_want *want)
{
	return want->phys_max || want->align || want->boundary || want->node;
}

static struct map_contig_constraints constraints(const struct vdma_want *want)
{
	return (struct map_contig_constraints){
		.alignment = want->align,
		.boundary = want->boundary,
		.phys_max = want->phys_max,
		.node = want->node ? (int32_t)want->node - 1 : 0,
		.node_mode = want->node ? MAP_CONTIG_NODE_STRICT : MAP_CONTIG_NODE_ANY,
		.fork = MAP_CONTIG_FORK_NONE,
	};
}

/* A text that is written bit by bit. */
struct line {
	char s[256];
	size_t used;
};

__attribute__((format(printf, 2, 3))) static void add(struct line *line, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(line->s + line->used, sizeof(line->s) - line->used, fmt, args);
	va_end(args);
	if (n > 0)
		line->used += (size_t)n;
	if (line->used >= sizeof(line->s))
		line->used = sizeof(line->s) - 1;
}

/* Where it has to lie: "", or " up to physical address 0xffffffff on NUMA node 1". */
static struct line constraint_words(const struct vdma_want *want)
{
	struct line line = { .used = 0 };

	if (want->phys_max)
		add(&line, " up to physical address 0x%llx", (unsigned long long)want->phys_max);
	if (want->align)
		add(&line, " at a multiple of 0x%llx", (unsigned long long)want->align);
	if (want->boundary)
		add(&line, " across no multiple of 0x%llx", (unsigned long long)want->boundary);
	if (want->node)
		add(&line, " on NUMA node %u", want->node - 1);
	return line;
}

/* What ends the largest run: "", or ", behind which there are hugetlb pages (...)". */
static struct line blocker_words(const struct map_contig_oracle *oracle)
{
	static const char *const reasons[] = {
		[MAP_CONTIG_BLOCK_RESERVED] = "memory of the kernel's own or of the firmware",
		[MAP_CONTIG_BLOCK_UNMOVABLE] = "memory of the kernel, which does not move",
		[MAP_CONTIG_BLOCK_PINNED] = "memory that a driver pins, or contiguous already",
		[MAP_CONTIG_BLOCK_HUGETLB] = "hugetlb pages",
		[MAP_CONTIG_BLOCK_OFFLINE] = "memory that is not there, or not online",
		[MAP_CONTIG_BLOCK_POISON] = "bad memory",
		[MAP_CONTIG_BLOCK_ZONE] = "the end of what memory there is",
		[MAP_CONTIG_BLOCK_LIMIT] = "the end of what the constraints allow",
		[MAP_CONTIG_BLOCK_MEMORY] = "too little free memory for what would have to move",
	};
	struct line line = { .used = 0 };

	if (oracle->blocker >= sizeof(reasons) / sizeof(reasons[0]) || !reasons[oracle->blocker])
		return line;
	add(&line, ". In the way of more: %s", reasons[oracle->blocker]);
	if (oracle->blocker_node >= 0)
		add(&line, ", NUMA node %d", oracle->blocker_node);
	if (oracle->blocker_phys != MAP_CONTIG_PHYS_NONE)
		add(&line, ", physical address 0x%llx", (unsigned long long)oracle->blocker_phys);
	return line;
}

static int explain_limits(size_t len, const struct map_contig_limits *limits,
			  struct vdma_facts *facts)
{
	facts->limit = limits->left;
	return vdma_fail(VDMA_CAUSE_NO_MEMORY, facts,
			 "%s of memory are wanted, at most %s can be had. The kernel could make "
			 "%s available, without the %s that the module's parameter floor keeps "
			 "for others, and its reserve has %s. Ask for less, or free memory.",
			 vdma_bytes(len).s, vdma_bytes(limits->left).s,
			 vdma_bytes(limits->available).s, vdma_bytes(limits->floor).s,
			 vdma_bytes(limits->reserve_free).s);
}

#define OTHERS \
	"use memory that is one run for the device only (VDMA_PROVIDER_HUGETLB, " \
	"VDMA_PROVIDER_ANON, or VDMA_PROVIDER_AUTO, which takes what there is)"

static int explain_oracle(size_t len, const struct vdma_want *want,
			  const struct map_contig_oracle *oracle, struct vdma_facts *facts)
{
	/* Of these there is none but without an IOMMU. */
	bool physical = want->phys_max || want->align || want->boundary;

	facts->limit = oracle->largest;
	if (oracle->largest >= len)
		return vdma_fail(
			VDMA_CAUSE_NO_RUN, facts,
			"The kernel got no physically contiguous run of %s%s, though one of "
			"%s looks possible now: others were using the pages, or there is no "
			"memory for page tables. Call again.",
			vdma_bytes(len).s, constraint_words(want).s, vdma_bytes(oracle->largest).s);
	return vdma_fail(VDMA_CAUSE_NO_RUN, facts,
			 "The kernel has no physically contiguous run of %s%s: the largest that it "
			 "could make%s now is %s%s. Ask for less%s, free memory, allocate soon after "
			 "boot, have the administrator set memory aside (the module's parameter "
			 "reserve)%s.",
			 vdma_bytes(len).s, constraint_words(want).s,
			 is_constrained(want) ? " there" : "", vdma_bytes(oracle->largest).s,
			 blocker_words(oracle).s,
			 want->phys_max	      ? " or for more address_bits" :
			 is_constrained(want) ? " or with fewer constraints" :
						"",
			 physical ? "" : ", or " OTHERS);
}

static int explain_no_run(int node, size_t len, const struct vdma_want *want,
			  struct vdma_facts *facts)
{
	struct map_contig_oracle oracle = {
		.size = sizeof(oracle),
		.length = len,
		.want = constraints(want),
	};
	struct map_contig_limits limits = { .size = sizeof(limits) };

	/* An older module has neither. */
	if (!vdma_sys_ioctl(node, MAP_CONTIG_LIMITS, &limits) && limits.left < len)
		return explain_limits(len, &limits, facts);
	if (!vdma_sys_ioctl(node, MAP_CONTIG_ORACLE, &oracle))
		return explain_oracle(len, want, &oracle, facts);
	facts->limit = vdma_host_meminfo("MemFree:");
	return vdma_fail(VDMA_CAUSE_NO_RUN, facts,
			 "The kernel has no physically contiguous run of %s (free memory: %s, in all: "
			 "%s). Ask for less, free memory, allocate soon after boot, or " OTHERS ".",
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
		if (tells_physical(want))
			return no_physical();
		return vdma_fail(VDMA_CAUSE_PRIVILEGE, &facts,
				 "RLIMIT_MEMLOCK is 0 and the program has no CAP_IPC_LOCK, so it "
				 "may not have contiguous memory. " VDMA_MEMLOCK_REMEDY ".");
	case EINVAL:
		/* It was there a moment ago. */
		if (want->node)
			return vdma_fail(VDMA_CAUSE_NODE, &facts,
					 "NUMA node %u went offline. Use another one.",
					 want->node - 1);
		break;
	case ENOTTY:
		if (!is_constrained(want))
			return vdma_fail(VDMA_CAUSE_UNSUPPORTED, &facts,
					 "The loaded map_contig is its first release, which has no "
					 "descriptors of regions for other processes. Load the module "
					 "of this version.");
		return vdma_fail(VDMA_CAUSE_UNSUPPORTED, &facts,
				 "The loaded map_contig takes no constraints (MAP_CONTIG_ALLOC), and "
				 "%s%s are wanted. Load the module of this version.",
				 vdma_bytes(len).s, constraint_words(want).s);
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
			    struct vdma_memory *mem)
{
	struct map_contig_alloc alloc = {
		.size = sizeof(alloc),
		.length = len,
		.want = constraints(want),
	};
	int err;

	err = vdma_sys_ioctl(node, MAP_CONTIG_ALLOC, &alloc);
	/* The first release of the module has mmap only. */
	if (err == -ENOTTY && !is_constrained(want) && !want->share)
		return vdma_reserve_fill(va, len, MAP_SHARED, node, &mem->lost);
	if (err)
		return err;
	mem->node = alloc.node;
	err = vdma_reserve_fill(va, len, MAP_SHARED, alloc.fd, &mem->lost);
	if (!err && want->share)
		mem->fd = alloc.fd;
	else /* The mapping holds the memory by itself. */
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
	err = allocate_and_map(node, va, len, want, mem);
	if (err) {
		err = explain(err, node, len, want);
	} else {
		mem->extents = 1;
		mem->granule = vdma_sys_page_size();
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
