// SPDX-License-Identifier: BSD-3-Clause
/* VFIO's containers, groups and devices, with the entries that they have in sysfs. */
#include <errno.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../libvdma/iommufd_abi.h"
#include "fake_internal.h"
#include "fake_iommufd.h"

#define MAX_MAPS 64
#define MAX_DEVICES 8
#define MAX_GROUPS 16
#define MAX_VIEWS 256

struct device {
	char bdf[16];
	int group;
	struct fake_pci pci;
	uint8_t config[256];
	int eventfd[3][8];
	int request; /* eventfd of VFIO_PCI_REQ_IRQ_INDEX */
	bool masked;
	unsigned int resets, hot_resets;
	bool vfio;	/* is it bound to vfio-pci? */
	int physfn;	/* index of its physical function; -1: it is not virtual */
	char token[40]; /* VF token, if it is a physical function with SR-IOV */
	unsigned int opens;
	int iommufd; /* that its node is bound to; -1: none */
};

struct mapping {
	uint64_t iova, len;
	uintptr_t va;
};

struct container {
	bool open, iommu;
	struct vdma_range ranges[8]; /* as they were at VFIO_SET_IOMMU */
	size_t nranges;		     /* of all its groups together: see ranges_of() */
	struct mapping maps[MAX_MAPS];
	size_t nmaps;
};

struct group {
	int number;
	struct vdma_range reserved; /* or beyond its IOMMU's reach; last 0: nothing */
	bool not_viable;
	bool open; /* its descriptor; in a container its devices keep its file, too */
	pid_t holder;
	int container; /* -1: none */
	int iommufd;   /* in its place; -1: none */
	unsigned int devices;
};

/* What is mapped of a device: it keeps the device open, whatever becomes of the descriptor. */
struct view {
	int fd; /* fake_fds[fd] */
	char *first, *end;
};

static struct device devices[MAX_DEVICES];
static size_t ndevices;
static struct container containers[FAKE_FDS];
static struct group groups[MAX_GROUPS];
static size_t ngroups;
static struct view views[MAX_VIEWS];
static size_t nviews;

void fake_vfio_reset(void)
{
	nviews = 0;
	memset(devices, 0, sizeof(devices));
	memset(containers, 0, sizeof(containers));
	memset(groups, 0, sizeof(groups));
	ndevices = ngroups = 0;
}

static struct group *find_group(int number)
{
	size_t i;

	for (i = 0; i < ngroups; i++)
		if (groups[i].number == number)
			return &groups[i];
	if (ngroups == MAX_GROUPS)
		abort();
	groups[ngroups] = (struct group){ .number = number, .container = -1, .iommufd = -1 };
	return &groups[ngroups++];
}

static void add_group(const char *bdf, int group)
{
	char path[128], target[128];

	find_group(group);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", bdf);
	snprintf(target, sizeof(target), "../../../kernel/iommu_groups/%d", group);
	fake_link(path, target);
	snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%d/devices/%s", group, bdf);
	fake_file(path, "");
	snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%d/reserved_regions", group);
	fake_file(path, "0x00000000fee00000 0x00000000feefffff msi\n");
}

void fake_device(const char *bdf, int group, const char *driver, const struct fake_pci *pci)
{
	struct device *d = &devices[ndevices++];
	char path[128], target[128];

	snprintf(d->bdf, sizeof(d->bdf), "%s", bdf);
	d->group = group;
	d->pci = *pci;
	memset(d->eventfd, 0xff, sizeof(d->eventfd));
	memcpy(d->config, &pci->vendor, 2);
	memcpy(d->config + 2, &pci->device, 2);
	d->iommufd = d->physfn = -1;
	d->vfio = driver && strstr(driver, "vfio");
	d->config[4] = 4; /* bus mastering was left on */
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", bdf);
	fake_file(path, "");
	if (group >= 0)
		add_group(bdf, group);
	if (driver) {
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", bdf);
		snprintf(target, sizeof(target), "../../../bus/pci/drivers/%s", driver);
		fake_link(path, target);
	}
	if (driver && !strcmp(driver, "uio_pci_generic"))
		fake_uio_device(bdf, pci);
	if (driver && strstr(driver, "vfio")) {
		snprintf(path, sizeof(path), "/dev/vfio/%d", group);
		fake_file(path, "");
		snprintf(path, sizeof(path), "/dev/vfio/devices/vfio%zu", ndevices - 1);
		fake_file(path, "");
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev/vfio%zu", bdf,
			 ndevices - 1);
		fake_file(path, "");
	}
}

void fake_group_held(int group, pid_t pid, const char *comm)
{
	char path[64], target[64];

	find_group(group)->holder = pid;
	snprintf(path, sizeof(path), "/proc/%ld/fd/7", (long)pid);
	snprintf(target, sizeof(target), "/dev/vfio/%d", group);
	fake_link(path, target);
	snprintf(path, sizeof(path), "/proc/%ld/comm", (long)pid);
	fake_file(path, comm);
}

void fake_group_noiommu(int group)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%d/name", group);
	fake_file(path, "vfio-noiommu\n");
	snprintf(path, sizeof(path), "/dev/vfio/%d", group);
	fake_remove(path);
	snprintf(path, sizeof(path), "/dev/vfio/noiommu-%d", group);
	fake_file(path, "");
}

void fake_group_not_viable(int group)
{
	find_group(group)->not_viable = true;
}

static struct device *find_device(const char *bdf)
{
	size_t i;

	for (i = 0; i < ndevices; i++)
		if (!strcmp(devices[i].bdf, bdf))
			return &devices[i];
	return NULL;
}

void fake_sriov(const char *bdf)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/sriov_totalvfs", bdf);
	fake_file(path, "4\n");
	/* The kernel begins with one by chance. */
	strcpy(find_device(bdf)->token, "9f1e6c1a-0000-4000-8000-000000000000");
}

void fake_virtual(const char *bdf, const char *physfn)
{
	char path[128], target[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/physfn", bdf);
	snprintf(target, sizeof(target), "../%s", physfn);
	fake_link(path, target);
	find_device(bdf)->physfn = (int)(find_device(physfn) - devices);
}

const char *fake_token(const char *bdf)
{
	return find_device(bdf)->token;
}

void fake_reserve(int group, struct vdma_range range)
{
	char path[128], text[256];

	find_group(group)->reserved = range;
	snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%d/reserved_regions", group);
	snprintf(text, sizeof(text),
		 "0x00000000fee00000 0x00000000feefffff msi\n0x%016llx 0x%016llx reserved\n"
		 "0x0000000000001000 0x0000007ffffffff0 direct-relaxable\n",
		 (unsigned long long)range.first, (unsigned long long)range.last);
	fake_file(path, text);
}

void fake_reach(int group, uint64_t last)
{
	find_group(group)->reserved = (struct vdma_range){ last + 1, UINT64_MAX };
}

size_t fake_without(struct vdma_range *ranges, size_t n, struct vdma_range gone)
{
	struct vdma_range left[32];
	size_t i, count = 0;

	if (!gone.last)
		return n;
	for (i = 0; i < n; i++) {
		struct vdma_range r = ranges[i];

		if (gone.last < r.first || r.last < gone.first) {
			left[count++] = r;
			continue;
		}
		if (r.first < gone.first)
			left[count++] = (struct vdma_range){ r.first, gone.first - 1 };
		if (gone.last < r.last)
			left[count++] = (struct vdma_range){ gone.last + 1, r.last };
	}
	memcpy(ranges, left, count * sizeof(*left));
	return count;
}

uint8_t *fake_config(const char *bdf)
{
	return find_device(bdf)->config;
}

void fake_fire(const char *bdf, uint32_t index, unsigned int vector)
{
	uint64_t one = 1;
	FAKE_LOCKED;

	if (write(find_device(bdf)->eventfd[index][vector], &one, sizeof(one)) != sizeof(one))
		abort();
}

void fake_request(const char *bdf)
{
	uint64_t one = 1;

	if (write(find_device(bdf)->request, &one, sizeof(one)) != sizeof(one))
		abort();
}

bool fake_irq_masked(const char *bdf)
{
	return find_device(bdf)->masked;
}

unsigned int fake_resets(const char *bdf)
{
	return find_device(bdf)->resets;
}

unsigned int fake_hot_resets(const char *bdf)
{
	return find_device(bdf)->hot_resets;
}

size_t fake_mappings(void)
{
	FAKE_LOCKED;
	size_t i, sum = 0;

	for (i = 0; i < FAKE_FDS; i++)
		sum += containers[i].nmaps;
	return sum + fake_iommufd_mappings();
}

bool fake_is_mapped(unsigned int container, uint64_t iova, const void *va, uint64_t len)
{
	const struct container *c = &containers[container];
	size_t i;

	for (i = 0; i < c->nmaps; i++)
		if (c->maps[i].iova == iova && c->maps[i].va == (uintptr_t)va &&
		    c->maps[i].len == len)
			return true;
	return false;
}

unsigned int fake_reachable(uint64_t iova, const void *va, uint64_t len)
{
	FAKE_LOCKED;
	unsigned int sum = fake_iommufd_reachable(iova, va, len);
	size_t i, j;

	for (i = 0; i < FAKE_FDS; i++)
		for (j = 0; j < containers[i].nmaps; j++) {
			const struct mapping *m = &containers[i].maps[j];

			sum += iova >= m->iova && iova - m->iova + len <= m->len &&
			       m->va + (iova - m->iova) == (uintptr_t)va;
		}
	return sum;
}

static int open_group(int number)
{
	struct group *g = find_group(number);
	char path[64], target[64];
	size_t i;
	int fd;

	if (g->open || g->devices || g->holder)
		return -EBUSY;
	/* One of its devices has been taken by its own node. */
	for (i = 0; i < ndevices; i++)
		if (devices[i].group == number && devices[i].iommufd >= 0)
			return -EBUSY;
	fd = fake_new_fd(FAKE_GROUP, (int)(g - groups));
	g->open = true;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", FAKE_PID, fd);
	snprintf(target, sizeof(target), "/dev/vfio/%d", number);
	fake_link(path, target);
	return fd;
}

static int open_node(int number)
{
	char path[64], target[64];
	int fd = fake_new_fd(FAKE_NODE, number);

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", FAKE_PID, fd);
	snprintf(target, sizeof(target), "/dev/vfio/devices/vfio%d", number);
	fake_link(path, target);
	return fd;
}

static void close_node(int i)
{
	struct device *d = &devices[fake_fds[i].index];

	if (fake_fds[i].attached)
		fake_iommufd_detach(d->iommufd, find_group(d->group)->reserved);
	if (fake_fds[i].bound) {
		d->iommufd = -1;
		d->opens--;
	}
}

/* What remains of a container's ranges, for all groups in it. */
static size_t ranges_of(const struct container *c, struct vdma_range *ranges)
{
	size_t n = c->nranges, i;

	memcpy(ranges, c->ranges, n * sizeof(*ranges));
	for (i = 0; i < ngroups; i++)
		if (groups[i].container == (int)(c - containers))
			n = fake_without(ranges, n, groups[i].reserved);
	return n;
}

static bool is_reserved(const struct container *c, const struct group *g)
{
	size_t i;

	for (i = 0; i < c->nmaps && g->reserved.last; i++)
		if (c->maps[i].iova <= g->reserved.last &&
		    g->reserved.first < c->maps[i].iova + c->maps[i].len)
			return true;
	return false;
}

/* What the kernel does when a group leaves its container. */
static void leave_container(struct group *g)
{
	struct container *c = g->container < 0 ? NULL : &containers[g->container];
	size_t i;

	if (!c || g->open || g->devices)
		return;
	g->container = -1;
	for (i = 0; i < ngroups; i++)
		if (groups[i].container == (int)(c - containers))
			return;
	for (i = 0; i < c->nmaps; i++)
		fake.locked -= c->maps[i].len;
	c->nmaps = 0;
	c->iommu = false;
}

static int map_dma(struct container *c, const struct vfio_iommu_type1_dma_map *m)
{
	struct vdma_range ranges[16];
	size_t i, n;

	if (!c->iommu || !m->size || (m->size | m->iova | m->vaddr) & 4095 || !m->flags ||
	    m->flags & ~(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE))
		return -EINVAL;
	if (fake.map_err)
		return -fake.map_err;
	for (i = 0; i < c->nmaps; i++)
		if (m->iova < c->maps[i].iova + c->maps[i].len &&
		    c->maps[i].iova < m->iova + m->size)
			return -EEXIST;
	if (c->nmaps >= fake.entry_limit || c->nmaps == MAX_MAPS)
		return -ENOSPC;
	n = ranges_of(c, ranges);
	for (i = 0; i < n; i++)
		if (m->iova >= ranges[i].first && m->iova + m->size - 1 <= ranges[i].last)
			break;
	if (i == n)
		return -EINVAL;
	if (!fake.cap_ipc_lock && fake.locked + m->size > fake.memlock_limit)
		return -ENOMEM;
	fake.locked += m->size;
	fake.map_access = m->flags;
	c->maps[c->nmaps++] = (struct mapping){ m->iova, m->size, m->vaddr };
	return 0;
}

static int unmap_dma(struct container *c, struct vfio_iommu_type1_dma_unmap *u)
{
	uint64_t done = 0;
	size_t i;

	if (!c->iommu)
		return -EINVAL;
	for (i = 0; i < c->nmaps && !fake.short_unmap; i++)
		if (c->maps[i].iova == u->iova && c->maps[i].len == u->size) {
			done = u->size;
			fake.locked -= done;
			c->maps[i] = c->maps[--c->nmaps];
			break;
		}
	u->size = done;
	return 0;
}

/* The capabilities lie as in Linux 6.1: one behind the other, unaligned. */
static int iommu_info(const struct container *c, struct vfio_iommu_type1_info *info)
{
	struct vfio_iommu_type1_info_dma_avail avail = {
		.header = { .id = VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, .version = 1 },
		.avail = fake.entry_limit - (uint32_t)c->nmaps,
	};
	struct vdma_range ranges[16];
	struct vfio_iommu_type1_info_cap_iova_range cap = {
		.header = { .id = VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, .version = 1 },
		.nr_iovas = (uint32_t)ranges_of(c, ranges),
	};
	size_t need = sizeof(*info) + sizeof(avail), i;
	char *at = (char *)info + sizeof(*info);

	if (!c->iommu)
		return -EINVAL;
	if (!fake.no_ranges) {
		avail.header.next = (uint32_t)need;
		need += sizeof(cap) + cap.nr_iovas * sizeof(struct vfio_iova_range);
	}
	info->flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
	info->iova_pgsizes = 0x40201000;
	info->cap_offset = 0;
	if (info->argsz < need) {
		info->argsz = (uint32_t)need;
		return 0;
	}
	info->cap_offset = sizeof(*info);
	memcpy(at, &avail, sizeof(avail));
	if (fake.no_ranges)
		return 0;
	at += sizeof(avail);
	memcpy(at, &cap, sizeof(cap));
	at += sizeof(cap);
	for (i = 0; i < cap.nr_iovas; i++) {
		struct vfio_iova_range r = { ranges[i].first, ranges[i].last };

		memcpy(at + i * sizeof(r), &r, sizeof(r));
	}
	return 0;
}

static int container_ioctl(struct container *c, unsigned long request, void *arg)
{
	size_t i, members = 0;

	switch (request) {
	case VFIO_GET_API_VERSION: return fake.api_version;
	case VFIO_CHECK_EXTENSION:
		return (uintptr_t)arg == VFIO_TYPE1v2_IOMMU ? fake.type1v2 :
		       (uintptr_t)arg == VFIO_NOIOMMU_IOMMU ? fake.noiommu :
							      0;
	case VFIO_SET_IOMMU:
		for (i = 0; i < ngroups; i++)
			members += groups[i].container == (int)(c - containers);
		if (!members || c->iommu ||
		    ((uintptr_t)arg != VFIO_TYPE1v2_IOMMU && (uintptr_t)arg != VFIO_NOIOMMU_IOMMU))
			return -EINVAL;
		if (fake.set_iommu_err)
			return -fake.set_iommu_err;
		c->iommu = true;
		memcpy(c->ranges, fake.ranges, sizeof(c->ranges));
		c->nranges = fake.nranges;
		return 0;
	case VFIO_IOMMU_GET_INFO: return iommu_info(c, arg);
	case VFIO_IOMMU_MAP_DMA: return map_dma(c, arg);
	case VFIO_IOMMU_UNMAP_DMA: return unmap_dma(c, arg);
	}
	return -ENOTTY;
}

/* vfio_pci_validate_vf_token() */
static int check_token(struct device *d, const char *token)
{
	const struct device *pf = d->physfn < 0 ? NULL : &devices[d->physfn];
	size_t i;

	if (pf && !pf->vfio)
		return token ? -EINVAL : 0;
	if (pf)
		return token && !strcmp(token, pf->token) ? 0 : -EACCES;
	if (!*d->token)
		return token ? -EINVAL : 0;
	for (i = 0; i < ndevices; i++)
		if (devices[i].physfn == (int)(d - devices) && devices[i].opens)
			return token && !strcmp(token, d->token) ? 0 : -EACCES;
	if (token)
		snprintf(d->token, sizeof(d->token), "%s", token);
	return 0;
}

/* @name: an address, and perhaps the token. */
static int get_device(struct group *g, const char *name)
{
	const char *blank = strchr(name, ' ');
	struct device *d;
	char bdf[16];
	int fd, err;

	snprintf(bdf, sizeof(bdf), "%.*s", (int)strcspn(name, " "), name);
	d = find_device(bdf);
	if (!d || d->group != g->number)
		return -ENODEV;
	if (blank && strncmp(blank, " vf_token=", 10))
		return -EINVAL;
	err = check_token(d, blank ? blank + 10 : NULL);
	if (err)
		return err;
	if (g->iommufd < 0 && (g->container < 0 || !containers[g->container].iommu))
		return -EINVAL;
	if (g->iommufd >= 0 && (fake.set_iommu_err || fake.second_group_err))
		return -(fake.set_iommu_err ? fake.set_iommu_err : fake.second_group_err);
	fd = fake_new_fd(FAKE_DEVICE, (int)(d - devices));
	err = fd >= 0 && g->iommufd >= 0 ? fake_iommufd_attach(g->iommufd, g->reserved) : 0;
	if (err) {
		fake_fds[fd - FAKE_FIRST_FD].kind = FAKE_FREE;
		return err;
	}
	if (fd >= 0) {
		g->devices++;
		d->opens++;
	}
	return fd;
}

static int group_ioctl(struct group *g, unsigned long request, void *arg)
{
	struct vfio_group_status *status = arg;
	int fd;

	switch (request) {
	case VFIO_GROUP_GET_STATUS:
		status->flags = g->not_viable ? 0 : VFIO_GROUP_FLAGS_VIABLE;
		return 0;
	case VFIO_GROUP_SET_CONTAINER:
		fd = *(int *)arg - FAKE_FIRST_FD;
		if (g->container >= 0 || g->iommufd >= 0 || fd < 0)
			return -EINVAL;
		if (fake_fds[fd].kind == FAKE_IOMMUFD) {
			g->iommufd = fake_fds[fd].index;
			return 0;
		}
		if (fake_fds[fd].kind != FAKE_CONTAINER)
			return -EINVAL;
		if (containers[fake_fds[fd].index].iommu && fake.second_group_err)
			return -fake.second_group_err;
		if (is_reserved(&containers[fake_fds[fd].index], g))
			return -EINVAL;
		g->container = fake_fds[fd].index;
		return 0;
	case VFIO_GROUP_GET_DEVICE_FD: return get_device(g, arg);
	}
	return -ENOTTY;
}

static int region_info(const struct device *d, struct vfio_region_info *r)
{
	struct vfio_region_info_cap_sparse_mmap *cap;
	size_t need = sizeof(*r) + sizeof(*cap) + sizeof(cap->areas[0]);

	r->offset = (uint64_t)r->index << 40;
	r->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	r->size = 0;
	if (r->index == VFIO_PCI_CONFIG_REGION_INDEX) {
		r->size = sizeof(d->config);
	} else if (r->index < 6) {
		r->size = d->pci.bar[r->index];
		if (r->size && !d->pci.bar_io[r->index])
			r->flags |= VFIO_REGION_INFO_FLAG_MMAP;
		if (r->index == 0 && d->pci.sparse.last) {
			r->flags |= VFIO_REGION_INFO_FLAG_CAPS;
			if (r->argsz >= need) {
				r->cap_offset = sizeof(*r);
				cap = (void *)(r + 1);
				cap->header = (struct vfio_info_cap_header){
					VFIO_REGION_INFO_CAP_SPARSE_MMAP, 1, 0
				};
				cap->nr_areas = 1;
				cap->areas[0].offset = d->pci.sparse.first;
				cap->areas[0].size = d->pci.sparse.last - d->pci.sparse.first + 1;
			} else {
				r->cap_offset = 0;
				r->argsz = (uint32_t)need;
			}
		}
	} else if (r->index >= VFIO_PCI_NUM_REGIONS) {
		return -EINVAL;
	}
	return 0;
}

static int set_irqs(struct device *d, const struct vfio_irq_set *s)
{
	uint32_t i;
	int fd;

	if (s->index == VFIO_PCI_REQ_IRQ_INDEX && s->count == 1) {
		memcpy(&d->request, s->data, sizeof(d->request));
		return 0;
	}
	if (s->index > 2 || s->start + s->count > d->pci.irqs[s->index])
		return -EINVAL;
	switch (s->flags) {
	case VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER:
		for (i = 0; i < s->count; i++) {
			memcpy(&fd, s->data + i * sizeof(fd), sizeof(fd));
			d->eventfd[s->index][i] = fd;
		}
		return 0;
	case VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER:
		if (s->count)
			return -EINVAL;
		memset(d->eventfd[s->index], 0xff, sizeof(d->eventfd[0]));
		return 0;
	case VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_MASK:
	case VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK:
		if (s->index != VFIO_PCI_INTX_IRQ_INDEX)
			return -ENOTTY;
		d->masked = s->flags & VFIO_IRQ_SET_ACTION_MASK;
		return 0;
	}
	return -EINVAL;
}

/* On the same bus, of which all but bus 0 can be reset. */
static bool is_near(const struct device *d, const struct device *other)
{
	return !strncmp(d->bdf, other->bdf, strlen("0000:00:"));
}

static bool on_root_bus(const struct device *d)
{
	return !strncmp(d->bdf + strlen("0000:"), "00", 2);
}

/* Of a device's own node: is it bound to the same iommufd, or another one of its group? */
static bool in_iommufd(const struct device *d, int iommufd)
{
	size_t i;

	for (i = 0; i < ndevices; i++)
		if (devices[i].group == d->group && devices[i].iommufd == iommufd)
			return true;
	return false;
}

#define DEV_ID 1 /* VFIO_PCI_HOT_RESET_FLAG_DEV_ID */

static int hot_reset_info(const struct device *d, struct vfio_pci_hot_reset_info *info)
{
	uint32_t room = (info->argsz - (uint32_t)sizeof(*info)) / sizeof(info->devices[0]), n = 0;
	unsigned int domain, bus, dev, func;
	size_t i;

	if (on_root_bus(d))
		return -ENODEV;
	info->flags = d->iommufd >= 0 ? DEV_ID : 0;
	for (i = 0; i < ndevices; i++) {
		if (!is_near(d, &devices[i]))
			continue;
		if (n < room) {
			sscanf(devices[i].bdf, "%x:%x:%x.%x", &domain, &bus, &dev, &func);
			info->devices[n].segment = (uint16_t)domain;
			info->devices[n].bus = (uint8_t)bus;
			info->devices[n].devfn = (uint8_t)(dev << 3 | func);
			info->devices[n].group_id = (uint32_t)devices[i].group;
			if (info->flags & DEV_ID)
				info->devices[n].group_id =
					devices[i].vfio && in_iommufd(&devices[i], d->iommufd) ?
						0 :
						UINT32_MAX;
		}
		n++;
	}
	info->count = n;
	return n > room ? -ENOSPC : 0;
}

static int hot_reset(const struct device *d, const struct vfio_pci_hot_reset *reset)
{
	bool node = d->iommufd >= 0;
	size_t i;
	uint32_t j;

	if (on_root_bus(d))
		return -ENODEV;
	if (reset->flags || !reset->count != node)
		return -EINVAL;
	for (i = 0; i < ndevices; i++) {
		bool ours = node && in_iommufd(&devices[i], d->iommufd);

		for (j = 0; j < reset->count; j++) {
			const struct fake_fd *f = &fake_fds[reset->group_fds[j] - FAKE_FIRST_FD];

			if (f->kind != FAKE_GROUP)
				return -EINVAL;
			ours |= groups[f->index].number == devices[i].group;
		}
		if (is_near(d, &devices[i]) && (!ours || !devices[i].vfio))
			return -EINVAL;
	}
	for (i = 0; i < ndevices; i++)
		devices[i].hot_resets += is_near(d, &devices[i]);
	return 0;
}

static int set_feature(struct device *d, const struct iommufd_abi_token *set)
{
	const uint8_t *u = set->uuid;

	if (set->flags != IOMMUFD_ABI_FEATURE_SET_TOKEN || set->argsz != sizeof(*set))
		return -EINVAL;
	if (!*d->token)
		return -ENOTTY;
	snprintf(d->token, sizeof(d->token),
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1],
		 u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14],
		 u[15]);
	return 0;
}

static int device_ioctl(struct device *d, unsigned long request, void *arg)
{
	struct vfio_device_info *info = arg;
	struct vfio_irq_info *irq = arg;

	switch (request) {
	case VFIO_DEVICE_GET_INFO:
		info->flags = VFIO_DEVICE_FLAGS_PCI |
			      (d->pci.can_reset ? VFIO_DEVICE_FLAGS_RESET : 0);
		info->num_regions = VFIO_PCI_NUM_REGIONS;
		info->num_irqs = VFIO_PCI_NUM_IRQS;
		return 0;
	case VFIO_DEVICE_GET_REGION_INFO: return region_info(d, arg);
	case VFIO_DEVICE_GET_IRQ_INFO:
		irq->flags = VFIO_IRQ_INFO_EVENTFD;
		irq->count = irq->index < 3 ? d->pci.irqs[irq->index] :
					      irq->index == VFIO_PCI_REQ_IRQ_INDEX;
		return 0;
	case VFIO_DEVICE_SET_IRQS: return set_irqs(d, arg);
	case VFIO_DEVICE_RESET:
		if (!d->pci.can_reset)
			return -EINVAL;
		d->resets++;
		return 0;
	case VFIO_DEVICE_GET_PCI_HOT_RESET_INFO: return hot_reset_info(d, arg);
	case VFIO_DEVICE_PCI_HOT_RESET: return hot_reset(d, arg);
	case IOMMUFD_ABI_DEVICE_FEATURE: return set_feature(d, arg);
	}
	return -ENOTTY;
}

static int node_ioctl(int i, unsigned long request, void *arg)
{
	struct device *d = &devices[fake_fds[i].index];
	struct group *g = find_group(d->group);
	const struct iommufd_abi_bind *bind = arg;
	const struct iommufd_abi_attach *attach = arg;
	int to;

	switch (request) {
	case IOMMUFD_ABI_DEVICE_BIND:
		to = bind->iommufd - FAKE_FIRST_FD;
		if (g->open || g->devices || g->holder)
			return -EBUSY;
		if (g->not_viable || fake.set_iommu_err)
			return g->not_viable ? -EPERM : -fake.set_iommu_err;
		if (d->iommufd >= 0 || to < 0 || fake_fds[to].kind != FAKE_IOMMUFD)
			return -EINVAL;
		d->iommufd = fake_fds[to].index;
		fake_fds[i].bound = true;
		d->opens++;
		return 0;
	case IOMMUFD_ABI_DEVICE_ATTACH:
		if (!fake_fds[i].bound || fake_fds[i].attached || attach->pt_id != 77)
			return -EINVAL;
		if (fake.second_group_err)
			return -fake.second_group_err;
		to = fake_iommufd_attach(d->iommufd, g->reserved);
		fake_fds[i].attached = !to;
		return to;
	}
	return fake_fds[i].bound ? device_ioctl(d, request, arg) : -EINVAL;
}

static bool is_device(int i)
{
	return !fake_fds[i].closed && (fake_fds[i].kind == FAKE_DEVICE ||
				       (fake_fds[i].kind == FAKE_NODE && fake_fds[i].bound));
}

/* May this part of a device not be mapped? */
static bool outside_bar(const struct device *d, size_t len, uint64_t offset)
{
	uint64_t index = offset >> 40, at = offset & ((UINT64_C(1) << 40) - 1);
	uint64_t first = 0, last = index < 6 ? d->pci.bar[index] - 1 : 0;

	if (index == 0 && d->pci.sparse.last) {
		first = d->pci.sparse.first;
		last = d->pci.sparse.last;
	}
	return index > 5 || d->pci.bar_io[index] || at < first || at + len - 1 > last;
}

int fake_vfio_open(const char *path)
{
	int number, i;

	if (!strcmp(path, "/dev/vfio/vfio")) {
		for (i = 0; containers[i].open; i++)
			;
		containers[i] = (struct container){ .open = true };
		return fake_new_fd(FAKE_CONTAINER, i);
	}
	if (sscanf(path, "/dev/vfio/devices/vfio%d", &number) == 1)
		return open_node(number);
	if (sscanf(path, "/dev/vfio/noiommu-%d", &number) == 1 ||
	    sscanf(path, "/dev/vfio/%d", &number) == 1)
		return open_group(number);
	return -ENXIO;
}

/* When neither its descriptor nor a device is open any more. */
static void put_group(struct group *g)
{
	if (g->open || g->devices)
		return;
	g->iommufd = -1;
	leave_container(g);
}

static void close_device(int i)
{
	struct group *g;

	if (fake_fds[i].kind == FAKE_NODE) {
		close_node(i);
		return;
	}
	g = find_group(devices[fake_fds[i].index].group);
	g->devices--;
	devices[fake_fds[i].index].opens--;
	if (g->iommufd >= 0)
		fake_iommufd_detach(g->iommufd, g->reserved);
	put_group(g);
}

static bool is_viewed(int i)
{
	size_t v;

	for (v = 0; v < nviews; v++)
		if (views[v].fd == i)
			return true;
	return false;
}

static void add_view(int i, char *first, char *end)
{
	if (first >= end)
		return;
	if (nviews == MAX_VIEWS)
		abort();
	views[nviews++] = (struct view){ i, first, end };
}

void fake_vfio_mapped(int i, void *va, size_t len)
{
	/* If it was fixed, it is in place of what was there. */
	fake_vfio_unmapped(va, len);
	if (i >= 0 && is_device(i))
		add_view(i, va, (char *)va + len);
}

void fake_vfio_unmapped(void *va, size_t len)
{
	char *first = va, *end = first + len;
	size_t i;

	for (i = nviews; i--;) {
		struct view v = views[i];

		if (v.end <= first || end <= v.first)
			continue;
		views[i] = views[--nviews];
		add_view(v.fd, v.first, first);
		add_view(v.fd, end, v.end);
		if (!fake_fds[v.fd].closed || is_viewed(v.fd))
			continue;
		close_device(v.fd);
		fake_fds[v.fd].kind = FAKE_FREE;
	}
}

bool fake_vfio_close(int i)
{
	struct group *g;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", FAKE_PID, FAKE_FIRST_FD + i);
	fake_remove(path);
	switch (fake_fds[i].kind) {
	case FAKE_CONTAINER: containers[fake_fds[i].index].open = false; break;
	case FAKE_GROUP:
		g = &groups[fake_fds[i].index];
		if (g->devices && g->iommufd >= 0)
			abort(); /* the library never does */
		g->open = false;
		put_group(g);
		break;
	case FAKE_DEVICE:
	case FAKE_NODE:
		fake_fds[i].closed = is_viewed(i);
		if (fake_fds[i].closed)
			return false;
		close_device(i);
		break;
	default: break;
	}
	return true;
}

int fake_vfio_ioctl(int i, unsigned long request, void *arg)
{
	int index = fake_fds[i].index;

	switch (fake_fds[i].kind) {
	case FAKE_CONTAINER: return container_ioctl(&containers[index], request, arg);
	case FAKE_GROUP: return group_ioctl(&groups[index], request, arg);
	case FAKE_DEVICE: return device_ioctl(&devices[index], request, arg);
	case FAKE_NODE: return node_ioctl(i, request, arg);
	default: return -ENOTTY;
	}
}

bool fake_vfio_may_map(int i, size_t len, uint64_t offset)
{
	return !is_device(i) || !outside_bar(&devices[fake_fds[i].index], len, offset);
}

uint8_t *fake_vfio_config(int i, size_t len, uint64_t offset)
{
	uint64_t at = offset - ((uint64_t)VFIO_PCI_CONFIG_REGION_INDEX << 40);

	if (!is_device(i) || at + len > 256)
		return NULL;
	return devices[fake_fds[i].index].config + at;
}
