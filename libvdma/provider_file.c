// SPDX-License-Identifier: BSD-3-Clause
/*
 * A file that somebody else has made, or the BAR of a device: mapped shared into the
 * window. The mapping holds it; the descriptor is the caller's.
 */
#include <errno.h>
#include <sys/mman.h>

#include "explain.h"
#include "provider.h"
#include "reserve.h"
#include "sys.h"

static int explain(int err, size_t len, const struct vdma_want *want)
{
	struct vdma_facts facts = { .sys_errno = -err, .need = len };
	unsigned long long offset = want->offset;

	switch (-err) {
	case EACCES:
		return vdma_fail(VDMA_CAUSE_PERMISSION, &facts,
				 "Descriptor %d is not open for reading and writing, and devices "
				 "shall write to its memory. Open it O_RDWR, or import it with "
				 "VDMA_ACCESS_READ.",
				 want->fd);
	case EPERM:
		return vdma_fail(VDMA_CAUSE_PRIVILEGE, &facts,
				 "The file of descriptor %d is sealed against writing (F_SEAL_WRITE "
				 "or F_SEAL_FUTURE_WRITE). Import it before it is sealed, or with "
				 "VDMA_ACCESS_READ.",
				 want->fd);
	case ENODEV:
		return vdma_fail(VDMA_CAUSE_UNSUPPORTED, &facts,
				 "The file of descriptor %d cannot be mapped. A memfd, a file of "
				 "hugetlbfs or a dma-buf can be.",
				 want->fd);
	case EINVAL:
	case ENXIO:
		return vdma_fail(
			VDMA_CAUSE_UNSUPPORTED, &facts,
			"%s at 0x%llx of descriptor %d cannot be mapped: it has no such part, "
			"or keeps it to itself, as VFIO does with the MSI-X table of a BAR. "
			"Import another part.",
			vdma_bytes(len).s, offset, want->fd);
	case EBADF:
		return vdma_fail(VDMA_CAUSE_ARGUMENT, &facts, "Descriptor %d is not open.",
				 want->fd);
	case ENOMEM:
	case EFAULT:
		return vdma_fail(VDMA_CAUSE_NO_MEMORY, &facts,
				 "There is no memory for all of the %s at 0x%llx of descriptor %d: "
				 "the file has holes there that cannot be filled (no memory, no free "
				 "hugetlb pages, or its file system is full). Free some.",
				 vdma_bytes(len).s, offset, want->fd);
	}
	return vdma_fail_sys(err, "map %s at 0x%llx of descriptor %d", vdma_bytes(len).s, offset,
			     want->fd);
}

static int file_populate(void *va, size_t len, const struct vdma_want *want,
			 struct vdma_memory *mem)
{
	int prot = PROT_READ | PROT_WRITE, err;

	mem->granule = want->page_size;
	err = vdma_reserve_fill_at(va, len, prot, MAP_SHARED, want->fd, want->offset, &mem->lost);
	/* What devices only read, nobody need be able to write. */
	if ((err == -EACCES || err == -EPERM) && want->access == VDMA_ACCESS_READ && !mem->lost) {
		prot = PROT_READ;
		err = vdma_reserve_fill_at(va, len, prot, MAP_SHARED, want->fd, want->offset,
					   &mem->lost);
	}
	if (err)
		return explain(err, len, want);
	err = vdma_sys_madvise(va, len, MADV_DONTFORK);
	if (!err)
		err = vdma_sys_madvise(va, len,
				       prot & PROT_WRITE ? MADV_POPULATE_WRITE :
							   MADV_POPULATE_READ);
	/* What is no memory with page structs (VM_PFNMAP) has nothing to be populated. */
	if (err == -EINVAL)
		err = 0;
	if (!err)
		return 0;
	err = explain(err, len, want);
	mem->lost = vdma_reserve_restore(va, len);
	return err;
}

const struct vdma_provider_ops vdma_provider_file = {
	.name = "file",
	.populate = file_populate,
};

/* It is one run of addresses on the bus. */
static int bar_populate(void *va, size_t len, const struct vdma_want *want, struct vdma_memory *mem)
{
	mem->extents = 1;
	return file_populate(va, len, want, mem);
}

const struct vdma_provider_ops vdma_provider_bar = {
	.name = "bar",
	.io = true,
	.populate = bar_populate,
};
