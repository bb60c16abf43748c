// SPDX-License-Identifier: BSD-3-Clause
/* Scatter Gather Lists (4.4): a descriptor for each piece of the data. */
#include "nvme.h"

#include <errno.h>
#include <string.h>

int nvme_sgl_build(const struct vdma_buf *list, unsigned int align, const struct vdma_buf *data,
		   unsigned int n, union nvme_dptr *dptr)
{
	struct nvme_sgl_desc *desc = list->va, last = { 0 };
	size_t room = list->len / sizeof(*desc);
	unsigned int used = 0;

	memset(dptr, 0, sizeof(*dptr));
	for (unsigned int i = 0; i < n; i++) {
		uint64_t at = data[i].iova, len = data[i].len;

		if (!len || len > UINT32_MAX || at % align || len % align)
			return -EINVAL;
		/* Neighbours are one piece for the device. */
		if (used && last.addr + last.len == at && last.len + len <= UINT32_MAX) {
			last.len += (uint32_t)len;
		} else {
			/* One fits into the command, and leaves the list alone. */
			if (used && used >= room)
				return -E2BIG;
			if (used)
				desc[used - 1] = last;
			used++;
			last = (struct nvme_sgl_desc){
				.addr = at,
				.len = (uint32_t)len,
				.type = NVME_SGL_DATA,
			};
		}
	}
	if (used == 1)
		dptr->sgl = last;
	if (used < 2)
		return (int)used;
	/* More are a segment, here always the last one. */
	desc[used - 1] = last;
	dptr->sgl = (struct nvme_sgl_desc){
		.addr = list->iova,
		.len = used * (uint32_t)sizeof(*desc),
		.type = NVME_SGL_LAST_SEGMENT,
	};
	return (int)used;
}
