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
				 "fuser -v %s names it. End it.",
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

bool vdma_backend_exceeds(const struct vdma_memlock *m, uint64_t bytes)
{
	return !m->exempt && (m->locked > m->limit || bytes > m->limit - m->locked);
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
	struct vdma_words again = { "" };

	if (charged)
		snprintf(again.s, sizeof(again.s), " (every address space counts again)");
	return vdma_fail(VDMA_CAUSE_MEMLOCK, &facts,
			 "Mapping for DMA would lock %s%s, the process has %s locked, and "
			 "RLIMIT_MEMLOCK is %s. " VDMA_MEMLOCK_REMEDY ".",
			 vdma_bytes(facts.need).s, again.s, vdma_bytes(m->locked).s,
			 vdma_bytes(m->limit).s);
}

int vdma_backend_short_unmap(uint64_t iova, uint64_t len, uint64_t done)
{
	return vdma_fail(VDMA_CAUSE_SYSTEM, &(struct vdma_facts){ .need = len, .limit = done },
			 "The kernel unmapped 0x%llx bytes at IOVA 0x%llx instead of 0x%llx: "
			 "somebody else (a forked child?) has changed the mappings of this "
			 "address space.",
			 (unsigned long long)done, (unsigned long long)iova,
			 (unsigned long long)len);
}
