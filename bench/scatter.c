// SPDX-License-Identifier: BSD-3-Clause
#include "scatter.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "registration.h"

#define PAGE ((size_t)4096)

static char *kept;
static size_t kept_len;

/* Without transparent huge pages before the first page comes. */
static int have(size_t len)
{
	kept = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (kept == MAP_FAILED)
		return -errno;
	kept_len = len;
	/* A kernel without huge pages has none to avoid: EINVAL. */
	if (madvise(kept, len, MADV_NOHUGEPAGE) && errno != EINVAL)
		return -errno;
	if (mprotect(kept, len, PROT_READ | PROT_WRITE) || madvise(kept, len, MADV_POPULATE_WRITE))
		return -errno;
	return 0;
}

int scatter_begin(size_t len)
{
	uint64_t *physical = calloc(2 * len / PAGE, sizeof(*physical));
	int err = physical ? have(2 * len) : -ENOMEM;

	if (!err && !physical_pages(kept, kept_len, physical))
		err = -EPERM;
	for (size_t i = 0; i < kept_len / PAGE && !err; i++)
		if (!(physical[i] / PAGE % 2) && madvise(kept + i * PAGE, PAGE, MADV_DONTNEED))
			err = -errno;
	free(physical);
	if (err)
		scatter_end();
	return err;
}

void scatter_end(void)
{
	if (kept_len)
		munmap(kept, kept_len);
	kept_len = 0;
}
