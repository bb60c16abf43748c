// SPDX-License-Identifier: BSD-3-Clause
#include "fake.h"
#include "fake_iommufd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <vdma/uapi/map_contig.h>

#include "../../libvdma/iommufd_abi.h"
#include "../../libvdma/sys.h"

#define FIRST_FD 10000
#define MAX_FDS 256
#define MAX_NODES 512
#define MAX_MAPS 64
#define MAX_DEVICES 8
#define MAX_GROUPS 16

struct fake fake;

struct node {
	char path[128];
	char text[512];
	bool link;
	int err;
};

struct device {
	char bdf[16];
	int group;
	struct fake_pci pci;
	uint8_t config[256];
	int eventfd[3][8];
	bool masked;
	unsigned int resets;
	int iommufd; /* that its node is bound to; -1: none */
};

struct mapping {
	uint64_t iova, len;
	uintptr_t va;
};

struct container {
	bool open, iommu;
	struct vdma_range ranges[8]; /* as they were at VFIO_SET_IOMMU */
	size_t nranges;
	struct mapping maps[MAX_MAPS];
	size_t nmaps;
};

struct group {
	int number;
	bool not_viable, open;
	pid_t holder;
	int container; /* -1: none */
	unsigned int devices;
};

enum kind { FREE, FILE_FD, CONTAINER, GROUP, DEVICE, CONTIG, REGION, IOMMUFD, NODE };

static struct {
	enum kind kind;
	int index;
	bool kept;
	uint64_t length;		    /* of a region */
	struct map_contig_configure config; /* of an open node */
	bool bound, attached;		    /* a device's node */
} fds[MAX_FDS];
static struct node nodes[MAX_NODES];
static size_t nnodes;
static struct device devices[MAX_DEVICES];
static size_t ndevices;
static struct container containers[MAX_FDS];
static struct group groups[MAX_GROUPS];
static size_t ngroups, eventfds;
static uint64_t objects;

/* The nth call fails if a test wants that. */
static int injected(void)
{
	return ++fake.calls == fake.fail_at ? -fake.fail_err : 0;
}

static struct node *find_node(const char *path)
{
	size_t i;

	for (i = 0; i < nnodes; i++)
		if (!strcmp(nodes[i].path, path))
			return &nodes[i];
	return NULL;
}

static struct node *new_node(const char *path)
{
	struct node *n = find_node(path);

	if (!n) {
		if (nnodes == MAX_NODES)
			abort();
		n = &nodes[nnodes++];
	}
	memset(n, 0, sizeof(*n));
	snprintf(n->path, sizeof(n->path), "%s", path);
	return n;
}

void fake_file(const char *path, const char *text)
{
	snprintf(new_node(path)->text, sizeof(nodes->text), "%s", text);
}

void fake_link(const char *path, const char *target)
{
	struct node *n = new_node(path);

	snprintf(n->text, sizeof(n->text), "%s", target);
	n->link = true;
}

void fake_deny(const char *path, int err)
{
	new_node(path)->err = err;
}

static bool below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return !strncmp(path, dir, len) && path[len] == '/';
}

void fake_remove(const char *path)
{
	size_t i = 0;

	while (i < nnodes) {
		if (!strcmp(nodes[i].path, path) || below(nodes[i].path, path))
			nodes[i] = nodes[--nnodes];
		else
			i++;
	}
}

void fake_reset(void)
{
	memset(&fake, 0, sizeof(fake));
	memset(fds, 0, sizeof(fds));
	memset(devices, 0, sizeof(devices));
	memset(containers, 0, sizeof(containers));
	memset(groups, 0, sizeof(groups));
	nnodes = ndevices = ngroups = eventfds = 0;
	fake_iommufd_reset();

	fake.memlock_limit = UINT64_MAX;
	fake.max_mmap = UINT64_MAX;
	fake.type1v2 = 1;
	fake.entry_limit = 100;
	fake.ranges[0] = (struct vdma_range){ 0, 0xfedfffff };
	fake.ranges[1] = (struct vdma_range){ 0xfef00000, (UINT64_C(1) << 39) - 1 };
	fake.nranges = 2;
	fake.contig_pa = UINT64_C(0x40000000);
	fake.limits = (struct map_contig_limits){
		.memlock = MAP_CONTIG_UNLIMITED,
		.user_quota = MAP_CONTIG_UNLIMITED,
		.ceiling = MAP_CONTIG_UNLIMITED,
		.available = UINT64_C(1) << 40,
		.left = UINT64_C(1) << 40,
	};
	fake.largest = UINT64_C(1) << 38;
	fake.hugetlb_free = 4;
	fake_file("/dev/vfio/vfio", "");
	fake_file("/dev/iommu", "");
	fake_file("/dev/map_contig", "");
	fake_file("/proc/meminfo",
		  "MemTotal: 2048000 kB\nMemFree: 1024000 kB\nMemAvailable: 1500000 kB\n");
	fake_file("/sys/devices/system/node/node0", "");
	fake_file("/sys/devices/system/node/node1", "");
	fake_file("/proc/1/comm", "init\n");
	fake_file("/sys/module/vfio_iommu_type1/parameters/dma_entry_limit", "100\n");
	fake_file("/sys/kernel/iommu_groups/0/type", "DMA\n");
	fake_file("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "6\n");
	fake_file("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "5\n");
	fake_file("/sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages", "1\n");
}

static struct group *find_group(int number)
{
	size_t i;

	for (i = 0; i < ngroups; i++)
		if (groups[i].number == number)
			return &groups[i];
	if (ngroups == MAX_GROUPS)
		abort();
	groups[ngroups] = (struct group){ .number = number, .container = -1 };
	return &groups[ngroups++];
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
	d->iommufd = -1;
	d->config[4] = 4; /* bus mastering was left on */
	find_group(group);

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", bdf);
	fake_file(path, "");
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", bdf);
	snprintf(target, sizeof(target), "../../../kernel/iommu_groups/%d", group);
	fake_link(path, target);
	snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%d/devices/%s", group, bdf);
	fake_file(path, "");
	snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%d/reserved_regions", group);
	fake_file(path, "0x00000000fee00000 0x00000000feefffff msi\n");
	if (driver) {
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", bdf);
		snprintf(target, sizeof(target), "../../../bus/pci/drivers/%s", driver);
		fake_link(path, target);
	}
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

uint8_t *fake_config(const char *bdf)
{
	return find_device(bdf)->config;
}

void fake_fire(const char *bdf, uint32_t index, unsigned int vector)
{
	uint64_t one = 1;

	if (write(find_device(bdf)->eventfd[index][vector], &one, sizeof(one)) != sizeof(one))
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

size_t fake_mappings(void)
{
	size_t i, sum = 0;

	for (i = 0; i < MAX_FDS; i++)
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

size_t fake_open_files(void)
{
	size_t i, sum = eventfds;

	for (i = 0; i < MAX_FDS; i++)
		sum += fds[i].kind != FREE;
	return sum;
}

bool fake_is_reserved(const void *va, size_t len)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long first, last, at = (unsigned long)va;
	char line[512], prot[5];

	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx %4s", &first, &last, prot) == 3 && first <= at &&
		    at < last && !strcmp(prot, "---p"))
			at = last;
	fclose(f);
	return at >= (unsigned long)va + len;
}

static int new_fd(enum kind kind, int index)
{
	int i;

	for (i = 0; i < MAX_FDS; i++)
		if (fds[i].kind == FREE) {
			memset(&fds[i], 0, sizeof(fds[i]));
			fds[i].kind = kind;
			fds[i].index = index;
			return FIRST_FD + i;
		}
	return -EMFILE;
}

static int open_group(int number)
{
	struct group *g = find_group(number);
	char path[64], target[64];
	int fd;

	if (g->open || g->holder)
		return -EBUSY;
	fd = new_fd(GROUP, (int)(g - groups));
	g->open = true;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", FAKE_PID, fd);
	snprintf(target, sizeof(target), "/dev/vfio/%d", number);
	fake_link(path, target);
	return fd;
}

static int open_node(int number)
{
	char path[64], target[64];
	int fd = new_fd(NODE, number);

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", FAKE_PID, fd);
	snprintf(target, sizeof(target), "/dev/vfio/devices/vfio%d", number);
	fake_link(path, target);
	return fd;
}

static void close_node(int i)
{
	struct device *d = &devices[fds[i].index];
	char path[64];

	if (fds[i].attached)
		fake_iommufd_detach(d->iommufd);
	if (fds[i].bound)
		d->iommufd = -1;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", FAKE_PID, i + FIRST_FD);
	fake_remove(path);
}

const char *vdma_sys_pci_path(void)
{
	const char *path = getenv("FAKE_PCI_PATH");

	return path ? path : "/nonexistent";
}

int vdma_sys_open(const char *path, int flags)
{
	const struct node *n;
	int err = injected(), number, i;

	if (err)
		return err;
	if (!strcmp(path, "/proc/self/maps")) {
		err = open(path, flags | O_CLOEXEC);
		return err < 0 ? -errno : err;
	}
	n = find_node(path);
	if (!n)
		return -ENOENT;
	if (n->err)
		return -n->err;
	if (!strcmp(path, "/dev/vfio/vfio")) {
		for (i = 0; containers[i].open; i++)
			;
		containers[i] = (struct container){ .open = true };
		return new_fd(CONTAINER, i);
	}
	if (sscanf(path, "/dev/vfio/%d", &number) == 1)
		return open_group(number);
	if (!strcmp(path, "/dev/iommu"))
		return new_fd(IOMMUFD, fake_iommufd_open());
	if (sscanf(path, "/dev/vfio/devices/vfio%d", &number) == 1)
		return open_node(number);
	if (!strcmp(path, MAP_CONTIG_DEVICE))
		return new_fd(CONTIG, 0);
	return new_fd(FILE_FD, (int)(n - nodes));
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

void vdma_sys_close(int fd)
{
	int i = fd - FIRST_FD;
	char path[64];
	struct group *g;

	if (i < 0) {
		eventfds -= fcntl(fd, F_GETFL) & O_NONBLOCK ? 1 : 0;
		close(fd);
		return;
	}
	switch (fds[i].kind) {
	case FREE: abort(); /* closed twice */
	case CONTAINER: containers[fds[i].index].open = false; break;
	case GROUP:
		g = &groups[fds[i].index];
		g->open = false;
		leave_container(g);
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", FAKE_PID, fd);
		fake_remove(path);
		break;
	case DEVICE:
		g = find_group(devices[fds[i].index].group);
		g->devices--;
		leave_container(g);
		break;
	case IOMMUFD: fake_iommufd_close(fds[i].index); break;
	case NODE: close_node(i); break;
	default: break;
	}
	fds[i].kind = FREE;
}

static int map_dma(struct container *c, const struct vfio_iommu_type1_dma_map *m)
{
	size_t i;

	if (!c->iommu || !m->size || (m->size | m->iova | m->vaddr) & 4095 || !m->flags ||
	    m->flags & ~(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE))
		return -EINVAL;
	for (i = 0; i < c->nmaps; i++)
		if (m->iova < c->maps[i].iova + c->maps[i].len &&
		    c->maps[i].iova < m->iova + m->size)
			return -EEXIST;
	if (c->nmaps >= fake.entry_limit || c->nmaps == MAX_MAPS)
		return -ENOSPC;
	for (i = 0; i < c->nranges; i++)
		if (m->iova >= c->ranges[i].first && m->iova + m->size - 1 <= c->ranges[i].last)
			break;
	if (i == c->nranges)
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
	struct vfio_iommu_type1_info_cap_iova_range cap = {
		.header = { .id = VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, .version = 1 },
		.nr_iovas = (uint32_t)c->nranges,
	};
	size_t need = sizeof(*info) + sizeof(avail), i;
	char *at = (char *)info + sizeof(*info);

	if (!c->iommu)
		return -EINVAL;
	if (!fake.no_ranges) {
		avail.header.next = (uint32_t)need;
		need += sizeof(cap) + c->nranges * sizeof(struct vfio_iova_range);
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
	for (i = 0; i < c->nranges; i++) {
		struct vfio_iova_range r = { c->ranges[i].first, c->ranges[i].last };

		memcpy(at + i * sizeof(r), &r, sizeof(r));
	}
	return 0;
}

static int container_ioctl(struct container *c, unsigned long request, void *arg)
{
	size_t i, members = 0;

	switch (request) {
	case VFIO_GET_API_VERSION: return fake.api_version;
	case VFIO_CHECK_EXTENSION: return (uintptr_t)arg == VFIO_TYPE1v2_IOMMU ? fake.type1v2 : 0;
	case VFIO_SET_IOMMU:
		for (i = 0; i < ngroups; i++)
			members += groups[i].container == (int)(c - containers);
		if (!members || c->iommu || (uintptr_t)arg != VFIO_TYPE1v2_IOMMU)
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

static int group_ioctl(struct group *g, unsigned long request, void *arg)
{
	struct vfio_group_status *status = arg;
	struct device *d;
	int fd;

	switch (request) {
	case VFIO_GROUP_GET_STATUS:
		status->flags = g->not_viable ? 0 : VFIO_GROUP_FLAGS_VIABLE;
		return 0;
	case VFIO_GROUP_SET_CONTAINER:
		fd = *(int *)arg - FIRST_FD;
		if (g->container >= 0 || fd < 0 || fds[fd].kind != CONTAINER)
			return -EINVAL;
		if (containers[fds[fd].index].iommu && fake.second_group_err)
			return -fake.second_group_err;
		g->container = fds[fd].index;
		return 0;
	case VFIO_GROUP_GET_DEVICE_FD:
		d = find_device(arg);
		if (!d || d->group != g->number)
			return -ENODEV;
		if (g->container < 0 || !containers[g->container].iommu)
			return -EINVAL;
		fd = new_fd(DEVICE, (int)(d - devices));
		if (fd >= 0)
			g->devices++;
		return fd;
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
		irq->count = irq->index < 3 ? d->pci.irqs[irq->index] : 0;
		return 0;
	case VFIO_DEVICE_SET_IRQS: return set_irqs(d, arg);
	case VFIO_DEVICE_RESET:
		if (!d->pci.can_reset)
			return -EINVAL;
		d->resets++;
		return 0;
	}
	return -ENOTTY;
}

static int contig_query(struct map_contig_query *q)
{
	if (fake.contig_secret)
		return -EPERM;
	q->phys = fake.contig_pa;
	q->length = UINT64_C(1) << 40;
	q->node = 0;
	q->folio_shift = 12;
	return 0;
}

static int contig_alloc(struct map_contig_alloc *a)
{
	int fd;

	fake.alloc = *a;
	if (fake.contig_err)
		return -fake.contig_err;
	fd = new_fd(REGION, 0);
	if (fd < 0)
		return fd;
	fds[fd - FIRST_FD].length = (a->length + 4095) & ~UINT64_C(4095);
	a->phys = fake.contig_secret ? MAP_CONTIG_PHYS_NONE : fake.contig_pa;
	a->fd = fd;
	return 0;
}

static int contig_configure(int i, struct map_contig_configure *c)
{
	/* A node that has gone offline; not one page below the address. */
	if (c->want.node > 1 || (c->want.phys_max && c->want.phys_max < 4095))
		return -EINVAL;
	c->object = ++objects;
	fds[i].config = *c;
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

static int contig_ioctl(int i, unsigned long request, void *arg)
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
		*(struct map_contig_configure *)arg = fds[i].config;
		return 0;
	case MAP_CONTIG_OFFSET: return contig_offset(arg);
	case MAP_CONTIG_LIMITS: *limits = fake.limits; return 0;
	case MAP_CONTIG_ORACLE:
		fake.oracle = *oracle;
		oracle->largest = fake.largest;
		return 0;
	}
	return -ENOTTY;
}

static int node_ioctl(int i, unsigned long request, void *arg)
{
	struct device *d = &devices[fds[i].index];
	struct group *g = find_group(d->group);
	const struct iommufd_abi_bind *bind = arg;
	const struct iommufd_abi_attach *attach = arg;
	int to;

	switch (request) {
	case IOMMUFD_ABI_DEVICE_BIND:
		to = bind->iommufd - FIRST_FD;
		if (g->open || g->holder)
			return -EBUSY;
		if (g->not_viable || fake.set_iommu_err)
			return g->not_viable ? -EPERM : -fake.set_iommu_err;
		if (d->iommufd >= 0 || to < 0 || fds[to].kind != IOMMUFD)
			return -EINVAL;
		d->iommufd = fds[to].index;
		fds[i].bound = true;
		return 0;
	case IOMMUFD_ABI_DEVICE_ATTACH:
		if (!fds[i].bound || fds[i].attached || attach->pt_id != 77)
			return -EINVAL;
		if (fake.second_group_err)
			return -fake.second_group_err;
		fake_iommufd_attach(d->iommufd);
		fds[i].attached = true;
		return 0;
	}
	return fds[i].bound ? device_ioctl(d, request, arg) : -EINVAL;
}

int vdma_sys_ioctl(int fd, unsigned long request, void *arg)
{
	int i = fd - FIRST_FD, err = injected();

	if (err)
		return err;
	if (i < 0 || i >= MAX_FDS || fds[i].kind == FREE)
		return -EBADF;
	if (request == fake.fail_request && fake.fail_request_err && !fake.fail_request_skip--) {
		err = -fake.fail_request_err;
		fake.fail_request_err = 0;
		return err;
	}
	switch (fds[i].kind) {
	case CONTAINER: return container_ioctl(&containers[fds[i].index], request, arg);
	case GROUP: return group_ioctl(&groups[fds[i].index], request, arg);
	case DEVICE: return device_ioctl(&devices[fds[i].index], request, arg);
	case CONTIG: return contig_ioctl(i, request, arg);
	case IOMMUFD: return fake_iommufd_ioctl(fds[i].index, request, arg);
	case NODE: return node_ioctl(i, request, arg);
	default: return -ENOTTY;
	}
}

static bool is_device(int i)
{
	return fds[i].kind == DEVICE || (fds[i].kind == NODE && fds[i].bound);
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

int vdma_sys_mmap(void *addr, size_t len, int prot, int flags, int fd, uint64_t offset, void **out)
{
	int i = fd - FIRST_FD, err = injected();
	void *va;

	if (err)
		return err;
	if (fd < 0 && len > fake.max_mmap)
		return -ENOMEM;
	if (i >= 0 && (fds[i].kind == CONTIG || fds[i].kind == REGION)) {
		if (!(flags & MAP_SHARED) || offset)
			return -EINVAL;
		if (fds[i].kind == REGION && len > fds[i].length)
			return -ENXIO;
		err = fds[i].kind == CONTIG ? fake.contig_err : fake.contig_map_err;
	}
	if (err) {
		/* As the kernel: what was there is gone before the driver is asked. */
		munmap(addr, len);
		if (fake.foreign)
			mmap(addr, 4096, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		return -err;
	}
	if (i >= 0 && is_device(i) && outside_bar(&devices[fds[i].index], len, offset))
		return -EINVAL;
	if (flags & MAP_HUGETLB) {
		if (len >> 21 > fake.hugetlb_free)
			return -ENOMEM;
		flags &= (1 << MAP_HUGE_SHIFT) - 1 - MAP_HUGETLB;
	}
	/* A file that is real stays so. */
	if (fd >= FIRST_FD) {
		flags |= MAP_ANONYMOUS;
		fd = -1;
	}
	va = mmap(addr, len, prot, flags, fd, fd < 0 ? 0 : (off_t)offset);
	if (va == MAP_FAILED)
		return -errno;
	*out = va;
	return 0;
}

int vdma_sys_keep_over_exec(int fd)
{
	int err = injected();

	if (!err)
		fds[fd - FIRST_FD].kept = true;
	return err;
}

bool fake_is_kept(int fd)
{
	return fds[fd - FIRST_FD].kept;
}

const struct map_contig_configure *fake_configuration(int fd)
{
	return &fds[fd - FIRST_FD].config;
}

int vdma_sys_munmap(void *addr, size_t len)
{
	return munmap(addr, len) ? -errno : 0;
}

int vdma_sys_madvise(void *addr, size_t len, int advice)
{
	int err = injected();

	if (err)
		return err;
	return madvise(addr, len, advice) ? -errno : 0;
}

ssize_t vdma_sys_read(int fd, void *buf, size_t len)
{
	int err = injected();
	ssize_t n;

	if (err)
		return err;
	n = read(fd, buf, len);
	return n < 0 ? -errno : n;
}

static uint8_t *config_at(int fd, size_t len, uint64_t offset)
{
	int i = fd - FIRST_FD;
	uint64_t at = offset - ((uint64_t)VFIO_PCI_CONFIG_REGION_INDEX << 40);

	if (!is_device(i) || at + len > 256)
		return NULL;
	return devices[fds[i].index].config + at;
}

ssize_t vdma_sys_pread(int fd, void *buf, size_t len, uint64_t offset)
{
	uint8_t *config = config_at(fd, len, offset);
	int err = injected();

	if (err)
		return err;
	if (!config)
		return -EINVAL;
	memcpy(buf, config, len);
	return (ssize_t)len;
}

ssize_t vdma_sys_pwrite(int fd, const void *buf, size_t len, uint64_t offset)
{
	uint8_t *config = config_at(fd, len, offset);
	int err = injected();

	if (err)
		return err;
	if (!config)
		return -EINVAL;
	memcpy(config, buf, len);
	return (ssize_t)len;
}

int vdma_sys_eventfd(void)
{
	int err = injected(), fd;

	if (err)
		return err;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	eventfds += fd >= 0;
	return fd < 0 ? -errno : fd;
}

int vdma_sys_poll_in(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int n, err = injected();

	if (err)
		return err;
	n = poll(&p, 1, timeout_ms);
	return n < 0 ? -errno : n > 0;
}

int vdma_sys_read_file(const char *path, char *buf, size_t size)
{
	const struct node *n = find_node(path);
	int err = injected();

	if (err)
		return err;
	if (!strcmp(path, "/proc/self/status")) {
		snprintf(buf, size, "Name:\ttest\nVmLck:\t%8llu kB\nCapEff:\t%016llx\n",
			 (unsigned long long)(fake.locked >> 10),
			 fake.cap_ipc_lock ? 1ull << 14 : 0ull);
		return 0;
	}
	if (!n || n->link)
		return -ENOENT;
	if (n->err)
		return -n->err;
	snprintf(buf, size, "%s", n->text);
	return 0;
}

int vdma_sys_readlink(const char *path, char *buf, size_t size)
{
	const struct node *n = find_node(path);
	int err = injected();

	if (err)
		return err;
	if (!n || !n->link)
		return -ENOENT;
	snprintf(buf, size, "%s", n->text);
	return 0;
}

int vdma_sys_exists(const char *path)
{
	int err = injected();
	size_t i;

	if (err)
		return err;
	for (i = 0; i < nnodes; i++)
		if (!strcmp(nodes[i].path, path) || below(nodes[i].path, path))
			return 0;
	return -ENOENT;
}

int vdma_sys_list(const char *path, int (*fn)(const char *name, void *ctx), void *ctx)
{
	size_t len = strlen(path), i, j;
	int ret = injected();

	if (ret)
		return ret;
	for (i = 0; i < nnodes && !ret; i++) {
		char name[128];

		if (!below(nodes[i].path, path))
			continue;
		snprintf(name, sizeof(name), "%s", nodes[i].path + len + 1);
		name[strcspn(name, "/")] = '\0';
		/* Each entry once, though several nodes lie below it. */
		for (j = 0; j < i; j++)
			if (below(nodes[j].path, path) &&
			    !strncmp(nodes[j].path + len + 1, name, strlen(name)) &&
			    (nodes[j].path[len + 1 + strlen(name)] == '/' ||
			     !nodes[j].path[len + 1 + strlen(name)]))
				break;
		if (j == i)
			ret = fn(name, ctx);
	}
	return ret;
}

int vdma_sys_memlock_limit(uint64_t *limit)
{
	int err = injected();

	if (err)
		return err;
	*limit = fake.memlock_limit;
	return 0;
}

size_t vdma_sys_page_size(void)
{
	return 4096;
}

uint64_t vdma_sys_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

pid_t vdma_sys_pid(void)
{
	return FAKE_PID;
}
