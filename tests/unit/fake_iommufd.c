// SPDX-License-Identifier: BSD-3-Clause
#include "fake_iommufd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../libvdma/iommufd_abi.h"
#include "fake_internal.h"

#define MAX_MAPS 256

struct mapping {
	uint64_t iova, len, va;
};

static struct space {
	bool open, ioas;
	unsigned int devices;
	struct vdma_range reserved[8]; /* by its devices */
	struct mapping maps[MAX_MAPS];
	size_t nmaps;
} spaces[FAKE_IOMMUFDS];

void fake_iommufd_reset(void)
{
	memset(spaces, 0, sizeof(spaces));
}

int fake_iommufd_open(void)
{
	int i = 0;

	while (spaces[i].open)
		if (++i == FAKE_IOMMUFDS)
			abort();
	spaces[i] = (struct space){ .open = true };
	return i;
}

/* What is mapped is pinned, and charged, as long as a device is attached. */
static void charge(const struct space *s, size_t first, bool add)
{
	size_t i;

	for (i = first; s->devices && i < s->nmaps; i++)
		fake.user_locked += add ? s->maps[i].len : -s->maps[i].len;
}

void fake_iommufd_close(int which)
{
	/* The devices keep it, and are closed first. */
	if (spaces[which].devices)
		abort();
	spaces[which].open = false;
	spaces[which].nmaps = 0;
}

int fake_iommufd_attach(int which, struct vdma_range reserved)
{
	struct space *s = &spaces[which];
	size_t i;

	for (i = 0; i < s->nmaps && reserved.last; i++)
		if (s->maps[i].iova <= reserved.last &&
		    reserved.first < s->maps[i].iova + s->maps[i].len)
			return -EADDRINUSE;
	s->reserved[s->devices++] = reserved;
	if (s->devices == 1)
		charge(s, 0, true);
	return 0;
}

void fake_iommufd_detach(int which, struct vdma_range reserved)
{
	struct space *s = &spaces[which];
	size_t i = 0;

	if (s->devices == 1)
		charge(s, 0, false);
	while (memcmp(&s->reserved[i], &reserved, sizeof(reserved)))
		i++;
	s->reserved[i] = s->reserved[--s->devices];
}

static int map(struct space *s, const struct iommufd_abi_ioas_map *m)
{
	size_t i;

	if (!(m->flags & IOMMUFD_ABI_MAP_FIXED_IOVA) || m->flags > 7 || m->flags < 2 ||
	    !m->length || (m->length | m->iova | m->user_va) & 4095 || m->reserved)
		return -EINVAL;
	if (fake.map_err)
		return -fake.map_err;
	for (i = 0; i < s->nmaps; i++)
		if (m->iova < s->maps[i].iova + s->maps[i].len &&
		    s->maps[i].iova < m->iova + m->length)
			return -EEXIST;
	for (i = 0; i < fake.nranges; i++)
		if (m->iova >= fake.ranges[i].first &&
		    m->iova + m->length - 1 <= fake.ranges[i].last)
			break;
	if (s->devices && i == fake.nranges)
		return -EADDRINUSE;
	if (s->devices && !fake.cap_ipc_lock && fake.user_locked + m->length > fake.memlock_limit)
		return -ENOMEM;
	if (s->nmaps == MAX_MAPS)
		abort();
	s->maps[s->nmaps++] = (struct mapping){ m->iova, m->length, m->user_va };
	charge(s, s->nmaps - 1, true);
	/* In type1's bits. */
	fake.map_access = (m->flags & IOMMUFD_ABI_MAP_READABLE ? 1 : 0) |
			  (m->flags & IOMMUFD_ABI_MAP_WRITEABLE ? 2 : 0);
	return 0;
}

static int unmap(struct space *s, struct iommufd_abi_ioas_unmap *u)
{
	bool all = !u->iova && u->length == UINT64_MAX;
	uint64_t done = 0;
	size_t i;

	for (i = s->nmaps; i-- && !fake.short_unmap;)
		if (all || (s->maps[i].iova == u->iova && s->maps[i].len == u->length)) {
			done += s->maps[i].len;
			if (s->devices)
				fake.user_locked -= s->maps[i].len;
			s->maps[i] = s->maps[--s->nmaps];
		}
	u->length = done;
	return done ? 0 : -ENOENT;
}

static int iova_ranges(const struct space *s, struct iommufd_abi_iova_ranges *r)
{
	static const struct vdma_range all[] = { { 0, UINT64_MAX } };
	struct vdma_range ranges[16];
	uint32_t room = r->num_iovas;
	size_t i;

	/* Before there is a device, nothing limits it. */
	r->num_iovas = s->devices ? (uint32_t)fake.nranges : 1;
	r->out_iova_alignment = s->devices ? 4096 : 1;
	memcpy(ranges, s->devices ? fake.ranges : all, r->num_iovas * sizeof(*all));
	for (i = 0; i < s->devices; i++)
		r->num_iovas = (uint32_t)fake_without(ranges, r->num_iovas, s->reserved[i]);
	if (room < r->num_iovas)
		return -EMSGSIZE;
	memcpy((void *)(uintptr_t)r->allowed_iovas, ranges, r->num_iovas * sizeof(*all));
	return 0;
}

int fake_iommufd_ioctl(int which, unsigned long request, void *arg)
{
	struct space *s = &spaces[which];
	struct iommufd_abi_ioas_alloc *alloc = arg;

	if (request == IOMMUFD_ABI_IOAS_ALLOC) {
		if (s->ioas || alloc->size != sizeof(*alloc))
			return -EINVAL;
		s->ioas = true;
		alloc->out_ioas_id = 77;
		return 0;
	}
	/* Of these the second word names the IOAS, of map the third. */
	if (((const uint32_t *)arg)[request == IOMMUFD_ABI_IOAS_MAP ? 2 : 1] != 77 || !s->ioas)
		return -ENOENT;
	switch (request) {
	case IOMMUFD_ABI_IOAS_MAP: return map(s, arg);
	case IOMMUFD_ABI_IOAS_UNMAP: return unmap(s, arg);
	case IOMMUFD_ABI_VFIO_IOAS:
		return ((const struct iommufd_abi_vfio_ioas *)arg)->op ==
				       IOMMUFD_ABI_VFIO_IOAS_SET ?
			       0 :
			       -EINVAL;
	case IOMMUFD_ABI_IOAS_IOVA_RANGES: return iova_ranges(s, arg);
	}
	return -ENOTTY;
}

size_t fake_iommufd_mappings(void)
{
	size_t i, sum = 0;

	for (i = 0; i < FAKE_IOMMUFDS; i++)
		sum += spaces[i].nmaps;
	return sum;
}

unsigned int fake_iommufd_reachable(uint64_t iova, const void *va, uint64_t len)
{
	unsigned int sum = 0;
	size_t i, j;

	for (i = 0; i < FAKE_IOMMUFDS; i++)
		for (j = 0; j < spaces[i].nmaps && spaces[i].devices; j++) {
			const struct mapping *m = &spaces[i].maps[j];

			sum += iova >= m->iova && iova - m->iova + len <= m->len &&
			       m->va + (iova - m->iova) == (uintptr_t)va;
		}
	return sum;
}
