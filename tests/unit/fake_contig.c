// SPDX-License-Identifier: BSD-3-Clause
/* The ioctls of map_contig, as far as the library makes them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fake_internal.h"

static uint64_t objects;

static struct {
	uint64_t addr;
	uint32_t domain, bdf;
} holds[512];
static size_t nholds;

void fake_contig_reset(void)
{
	nholds = 0;
}

size_t fake_holds(void)
{
	return nholds;
}

static size_t find_hold(uint64_t addr, uint32_t domain, uint32_t bdf)
{
	size_t i = 0;

	while (i < nholds &&
	       (holds[i].addr != addr || holds[i].domain != domain || holds[i].bdf != bdf))
		i++;
	return i;
}

bool fake_is_held(const void *va, const char *bdf)
{
	unsigned int domain, bus, dev, func;

	if (sscanf(bdf, "%x:%x:%x.%x", &domain, &bus, &dev, &func) != 4)
		abort();
	return find_hold((uintptr_t)va, domain, bus << 8 | dev << 3 | func) < nholds;
}

static int contig_hold(const struct map_contig_hold *h)
{
	size_t i = find_hold(h->addr, h->domain, h->bdf);

	if (fake.hold_err)
		return -fake.hold_err;
	if (h->flags & MAP_CONTIG_HOLD_RELEASE) {
		if (i == nholds)
			return -ENOENT;
		holds[i] = holds[--nholds];
		return 0;
	}
	if (i < nholds)
		return -EEXIST;
	if (nholds == sizeof(holds) / sizeof(holds[0]))
		abort();
	holds[nholds].addr = h->addr;
	holds[nholds].domain = h->domain;
	holds[nholds++].bdf = h->bdf;
	return 0;
}

static int contig_query(struct map_contig_query *q)
{
	if (fake.contig_secret)
		return -EPERM;
	q->phys = fake.contig_pa;
	q->length = UINT64_C(1) << 40;
	q->node = fake.contig_node;
	q->folio_shift = 12;
	return 0;
}

static int contig_alloc(struct map_contig_alloc *a)
{
	int fd;
	const struct map_contig_constraints *want = &a->want;
	uint64_t at, len = (a->length + 4095) & ~UINT64_C(4095);
	uint64_t align = want->alignment ? want->alignment : 4096;

	fake.alloc = *a;
	if (fake.contig_err)
		return -fake.contig_err;
	if (want->node > 1 || (want->boundary && want->boundary < len))
		return -EINVAL;
	at = (fake.contig_pa + fake.contig_step + align - 1) & ~(align - 1);
	if (want->boundary && at / want->boundary != (at + len - 1) / want->boundary) {
		at = (at + len - 1) & ~(want->boundary - 1);
		at = (at + align - 1) & ~(align - 1);
	}
	if (len > fake.contig_max || (want->phys_max && at + len - 1 > want->phys_max))
		return -ENOMEM;
	fake.contig_pa = at;
	fake.contig_node = want->node;
	fd = fake_new_fd(FAKE_REGION, 0);
	if (fd < 0)
		return fd;
	fake_fds[fd - FAKE_FIRST_FD].length = len;
	a->phys = fake.contig_secret ? MAP_CONTIG_PHYS_NONE : fake.contig_pa;
	a->node = fake.contig_node;
	a->fd = fd;
	return 0;
}

static int contig_configure(int i, struct map_contig_configure *c)
{
	/* A node that has gone offline; not one page below the address. */
	if (c->want.node > 1 || (c->want.phys_max && c->want.phys_max < 4095))
		return -EINVAL;
	c->object = ++objects;
	fake_fds[i].config = *c;
	return 0;
}

static int contig_offset(struct map_contig_offset *o)
{
	const struct fake_contig_map *m = &fake.contig_map;
	uint64_t at = o->addr - (uintptr_t)m->va;

	if (!m->va || at >= m->len)
		return -ENXIO;
	o->offset = m->offset + at;
	o->length = m->len - at;
	o->object = 1;
	o->fd = m->fd;
	return 0;
}

int fake_contig_ioctl(int i, unsigned long request, void *arg)
{
	struct map_contig_oracle *oracle = arg;
	struct map_contig_limits *limits = arg;

	if (request == MAP_CONTIG_QUERY)
		return contig_query(arg);
	if (fake.contig_old)
		return -ENOTTY;
	switch (request) {
	case MAP_CONTIG_ALLOC: return contig_alloc(arg);
	case MAP_CONTIG_CONFIGURE: return contig_configure(i, arg);
	case MAP_CONTIG_CONFIGURATION:
		*(struct map_contig_configure *)arg = fake_fds[i].config;
		return 0;
	case MAP_CONTIG_OFFSET: return contig_offset(arg);
	case MAP_CONTIG_HOLD: return contig_hold(arg);
	case MAP_CONTIG_LIMITS: *limits = fake.limits; return 0;
	case MAP_CONTIG_ORACLE:
		fake.oracle = *oracle;
		oracle->largest = fake.largest;
		oracle->blocker = fake.blocker;
		oracle->blocker_node = fake.blocker_node;
		oracle->blocker_phys = fake.blocker_phys;
		return 0;
	}
	return -ENOTTY;
}
