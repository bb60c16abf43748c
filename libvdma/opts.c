// SPDX-License-Identifier: BSD-3-Clause
#include "opts.h"

#include <string.h>

#include "explain.h"

static size_t size_of(const void *theirs)
{
	size_t size;

	memcpy(&size, theirs, sizeof(size));
	return size;
}

static int too_small(size_t size, size_t min)
{
	return vdma_fail(VDMA_CAUSE_ARGUMENT, &(struct vdma_facts){ .need = min, .limit = size },
			 "The struct says that its size is %zu, less than %zu. Set its first "
			 "member to its sizeof.",
			 size, min);
}

int vdma_opts_get(void *ours, size_t size, const void *theirs, size_t min)
{
	size_t given, i;

	memset(ours, 0, size);
	if (!theirs)
		return 0;
	given = size_of(theirs);
	if (given < min)
		return too_small(given, min);
	for (i = size; i < given; i++)
		if (((const unsigned char *)theirs)[i])
			return vdma_fail(VDMA_CAUSE_OPTIONS,
					 &(struct vdma_facts){ .need = given, .limit = size },
					 "An option at byte %zu of the options struct is unknown to "
					 "this library (it knows %zu bytes). Use a newer libvdma, or "
					 "leave the option at 0.",
					 i, size);
	memcpy(ours, theirs, given < size ? given : size);
	return 0;
}

int vdma_info_check(const void *theirs, size_t min)
{
	if (!theirs)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "The info struct is NULL.");
	if (size_of(theirs) < min)
		return too_small(size_of(theirs), min);
	return 0;
}

void vdma_info_put(void *theirs, const void *ours, size_t size)
{
	size_t given = size_of(theirs);

	memset((char *)theirs + sizeof(given), 0, given - sizeof(given));
	memcpy((char *)theirs + sizeof(given), (const char *)ours + sizeof(given),
	       (given < size ? given : size) - sizeof(given));
}
