// SPDX-License-Identifier: BSD-3-Clause
#include "backend_explain.h"

#include <errno.h>
#include <stdio.h>

#include "explain.h"
#include "sys.h"

int vdma_backend_busy(int err, const char *path, const char *bdf)
{
	struct vdma_facts facts = { .sys_errno = -err };
	char node[64], comm[32];
	bool found;

	found = !vdma_host_holder(path, &facts.pid, comm, sizeof(comm));
	if (!found && !vdma_host_node(bdf, node, sizeof(node)) &&
	    !vdma_host_holder(node, &facts.pid, comm, sizeof(comm))) {
		found = true;
		path = node;
	}
	if (!found)
		return vdma_fail(VDMA_CAUSE_GROUP_BUSY, &facts,
				 "%s is in use by another process, of another user. As root, "
				 "fuser -v %s names it. End it, or use a device of another group.",
				 path, path);
	if (facts.pid == vdma_sys_pid())
		return vdma_fail(VDMA_CAUSE_GROUP_BUSY, &facts,
				 "This process has %s open already, through another address "
				 "space. Open it, and all devices of its IOMMU group, through the "
				 "same ioas.",
				 path);
	return vdma_fail(VDMA_CAUSE_GROUP_BUSY, &facts,
			 "%s is in use by process %ld (%s). End it, or use a device of "
			 "another group.",
			 path, (long)facts.pid, comm);
}

int vdma_backend_open_failed(int err, const char *path, const char *module, const char *udev)
{
	struct vdma_facts facts = { .sys_errno = -err };

	switch (-err) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return vdma_fail(VDMA_CAUSE_NO_VFIO, &facts,
				 "There is no %s: VFIO's modules are not loaded, or this "
				 "container's /dev lacks it. As root: modprobe %s",
				 path, module);
	case EACCES:
		return vdma_fail(VDMA_CAUSE_PERMISSION, &facts,
				 "This user may not open %s. As root: chown it to this user, best by "
				 "a udev rule (%s).",
				 path, udev);
	}
	return vdma_fail_sys(err, "open %s", path);
}

int vdma_backend_not_viable(int group, const char *bdf)
{
	char others[1024];

	vdma_host_group_text(group, bdf, true, others, sizeof(others));
	return vdma_fail(
		VDMA_CAUSE_NOT_VIABLE, NULL,
		"%s shares IOMMU group %d with devices that the kernel drives, so VFIO does "
		"not give it away:%s\nBind them to vfio-pci as well, or unbind them (as root: "
		"echo ADDRESS > /sys/bus/pci/devices/ADDRESS/driver/unbind), or move the "
		"device to another slot.",
		bdf, group, *others ? others : "\n  (not to be found in sysfs)");
}

int vdma_backend_unsafe_irq(int err, const char *parameter)
{
	return vdma_fail(VDMA_CAUSE_UNSAFE_IRQ, &(struct vdma_facts){ .sys_errno = -err },
			 "The machine has no interrupt remapping, so a device could send any "
			 "interrupt. Switch it on (firmware; intel_iommu=on; QEMU: intremap=on), or "
			 "accept that for trusted devices, as root: echo Y > %s",
			 parameter);
}

int vdma_backend_wrong_token(int err, const char *bdf, const struct vdma_token *token)
{
	const char *which = token ? "vdma_device_opts.vf_token is another one than" :
				    "vdma_device_opts.vf_token is not set to";
	struct vdma_facts facts = { .sys_errno = -err };
	char physfn[32];

	if (vdma_host_physfn(bdf, physfn, sizeof(physfn)))
		return vdma_fail(VDMA_CAUSE_VF_TOKEN, &facts,
				 "Virtual functions of %s are in use, and %s the VF token that they "
				 "were opened with. Give that one, or end those who use them.",
				 bdf, which);
	return vdma_fail(VDMA_CAUSE_VF_TOKEN, &facts,
			 "%s is a virtual function of %s, which is bound to vfio-pci, so that its "
			 "driver is a program; and %s the VF token that this has set. Open both with "
			 "the same token, a UUID that no other program knows.",
			 bdf, physfn, which);
}

int vdma_backend_reserved(int err, int group, const char *bdf)
{
	char path[64], reserved[512];

	snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%d/reserved_regions", group);
	if (vdma_sys_read_file(path, reserved, sizeof(reserved)))
		snprintf(reserved, sizeof(reserved), "(%s cannot be read)", path);
	return vdma_fail(VDMA_CAUSE_UNREACHABLE, &(struct vdma_facts){ .sys_errno = -err },
			 "A region is mapped where the IOMMU of %s cannot reach. Its group, %d, "
			 "reserves\n%sOpen this device first, or through an arena of its own.",
			 bdf, group, reserved);
}

/* Why N devices may take N times the limit. */
#define COUNTS_AGAIN \
	"Each address space (ioas) with a device counts its memory again: devices that share one " \
	"need it once."

bool vdma_backend_exceeds(const struct vdma_memlock *m, uint64_t bytes)
{
	return !m->exempt && (m->locked > m->limit || bytes > m->limit - m->locked);
}

static const char *again(char *s, size_t size, uint64_t bytes, uint64_t charged)
{
	*s = '\0';
	if (charged)
		snprintf(s, size, " (%s in each of %llu address spaces)", vdma_bytes(bytes).s,
			 (unsigned long long)(charged / bytes + 1));
	return s;
}

int vdma_backend_over_memlock(const struct vdma_memlock *m, uint64_t bytes, uint64_t charged,
			      int err)
{
	struct vdma_facts facts = {
		.sys_errno = -err,
		.need = bytes + charged,
		.limit = m->limit,
		.used = m->locked,
	};
	char s[128];

	return vdma_fail(VDMA_CAUSE_MEMLOCK, &facts,
			 "Mapping for DMA would lock %s%s, the process has %s locked, and "
			 "RLIMIT_MEMLOCK is %s; it has to be %s at least. " VDMA_MEMLOCK_REMEDY
			 ". " COUNTS_AGAIN,
			 vdma_bytes(facts.need).s, again(s, sizeof(s), bytes, charged),
			 vdma_bytes(m->locked).s, vdma_bytes(m->limit).s,
			 vdma_bytes(m->locked + facts.need).s);
}

int vdma_backend_over_user_memlock(uint64_t limit, uint64_t bytes, uint64_t charged, int err)
{
	struct vdma_facts facts = { .sys_errno = -err, .need = bytes + charged, .limit = limit };
	char s[128];

	return vdma_fail(VDMA_CAUSE_MEMLOCK, &facts,
			 "Mapping for DMA would lock %s more%s, and RLIMIT_MEMLOCK is %s for all that "
			 "this user has locked through iommufd in all processes, which the kernel "
			 "does not tell. " VDMA_MEMLOCK_REMEDY ". " COUNTS_AGAIN,
			 vdma_bytes(facts.need).s, again(s, sizeof(s), bytes, charged),
			 vdma_bytes(limit).s);
}

/* What to do about mappings that are not as we made them. */
#define AS_NEW \
	"Keep VFIO's descriptors from everybody else. Close the devices of this address space: " \
	"with the last one all of its mappings go"

int vdma_backend_overlap(int err, uint64_t iova, uint64_t len)
{
	return vdma_fail(
		VDMA_CAUSE_SYSTEM, &(struct vdma_facts){ .sys_errno = -err, .need = len },
		"Something is mapped in IOVA 0x%llx to 0x%llx, where this library has "
		"nothing: somebody else (a forked child?) has changed the mappings of this "
		"address space, and devices may reach old memory there. Nothing was mapped. " AS_NEW
		".",
		(unsigned long long)iova, (unsigned long long)(iova + (len - 1)));
}

int vdma_backend_cannot_pin(int err, const char *backend, bool bars, uint64_t len)
{
	struct vdma_facts facts = { .sys_errno = -err, .need = len };

	/* check_vma_flags() in mm/gup.c: FOLL_LONGTERM and vma_is_fsdax(). */
	if (err == -EOPNOTSUPP)
		return vdma_fail(VDMA_CAUSE_UNSUPPORTED, &facts,
				 "%s cannot map these %s for a device, which needs them for long "
				 "(FOLL_LONGTERM): they are of a file on a DAX file system (fsdax), "
				 "which moves and frees its blocks as it likes. Use device DAX "
				 "(/dev/daxN.N), a memfd, or the library's own memory.",
				 backend, vdma_bytes(len).s);
	return vdma_fail(VDMA_CAUSE_UNSUPPORTED, &facts,
			 "%s cannot map these %s for a device: it takes memory that the kernel can "
			 "pin for long (FOLL_LONGTERM), and %s. Others are addresses where nothing "
			 "is mapped, memory that may only be read, for a device that writes, files "
			 "whose file system tracks dirty pages (use a memfd or hugetlbfs), and RAM "
			 "that was mapped without its page structs (VM_PFNMAP, as udmabuf does from "
			 "Linux 6.12 on: import the memfd behind it).",
			 backend, vdma_bytes(len).s,
			 bars ? "BARs, but not this" :
				"no BAR of a device (a container does: VDMA_BACKEND_TYPE1)");
}

int vdma_backend_short_unmap(uint64_t iova, uint64_t len, uint64_t done)
{
	return vdma_fail(
		VDMA_CAUSE_SYSTEM, &(struct vdma_facts){ .need = len, .limit = done },
		"The kernel unmapped 0x%llx bytes at IOVA 0x%llx instead of 0x%llx: "
		"somebody else (a forked child?) has changed the mappings of this "
		"address space. Memory and address are kept, since a device may reach them. " AS_NEW
		", and the region can be destroyed.",
		(unsigned long long)done, (unsigned long long)iova, (unsigned long long)len);
}
