// SPDX-License-Identifier: BSD-3-Clause
/*
 * Memory that the caller has, and that stays where it is.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "explain.h"
#include "provider.h"
#include "sys.h"

/* Of the mappings from @at to @end: are they without a gap, readable, and @writable? */
static bool has_access(uintptr_t at, uintptr_t end, bool writable)
{
	char buf[4096];
	size_t used = 0;
	int fd = vdma_sys_open("/proc/self/maps", 0);
	ssize_t n;

	if (fd < 0)
		return false;
	while (at < end && (n = vdma_sys_read(fd, buf + used, sizeof(buf) - 1 - used)) > 0) {
		char *line = buf, *stop;

		used += (size_t)n;
		buf[used] = '\0';
		while ((stop = strchr(line, '\n'))) {
			unsigned long first, last;
			char prot[5];

			*stop = '\0';
			if (sscanf(line, "%lx-%lx %4s", &first, &last, prot) == 3 && first <= at &&
			    at < last && prot[0] == 'r' && (!writable || prot[1] == 'w'))
				at = last;
			line = stop + 1;
		}
		used = (size_t)(buf + used - line);
		memmove(buf, line, used);
		if (used == sizeof(buf) - 1)
			break;
	}
	vdma_sys_close(fd);
	return at >= end;
}

static int explain(int err, const void *va, size_t len, bool writable)
{
	struct vdma_facts facts = { .sys_errno = -err, .need = len };
	struct vdma_words what = vdma_bytes(len);

	switch (-err) {
	case EINVAL:
		return vdma_fail(VDMA_CAUSE_PERMISSION, &facts,
				 "Not all of the %s at %p may be %s by this process. Change that "
				 "(mprotect)%s.",
				 what.s, va, writable ? "read and written" : "read",
				 writable ? ", or import it with VDMA_ACCESS_READ" : "");
	case ENOMEM:
		return vdma_fail(VDMA_CAUSE_ARGUMENT, &facts,
				 "Not all of the %s at %p is mapped in this process, or there is no "
				 "memory for it. Check address and length (whole pages are "
				 "imported), and that it has not been unmapped.",
				 what.s, va);
	case EFAULT:
		return vdma_fail(VDMA_CAUSE_ARGUMENT, &facts,
				 "Not all of the %s at %p has memory behind it: touching it would "
				 "raise SIGBUS, as behind the end of a file. Check address and "
				 "length.",
				 what.s, va);
	case EHWPOISON:
		return vdma_fail(VDMA_CAUSE_SYSTEM, &facts,
				 "A page of the %s at %p is bad hardware. Use other memory.",
				 what.s, va);
	}
	return vdma_fail_sys(err, "populate %s at %p", what.s, va);
}

static int user_populate(void *va, size_t len, const struct vdma_want *want,
			 struct vdma_memory *mem)
{
	bool writable = want->access != VDMA_ACCESS_READ;
	int err = vdma_sys_madvise(va, len, writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);

	/*
	 * Not only for want of access: also for what has nothing to be populated, as a
	 * BAR, which the IOMMU's driver may take; and before Linux 5.14 always.
	 */
	if (err == -EINVAL && has_access((uintptr_t)va, (uintptr_t)va + len, writable))
		err = 0;
	if (err)
		return explain(err, va, len, writable);
	mem->granule = vdma_sys_page_size();
	if (len == mem->granule)
		mem->extents = 1;
	return 0;
}

const struct vdma_provider_ops vdma_provider_user = {
	.name = "user",
	.stays = true,
	.populate = user_populate,
};
