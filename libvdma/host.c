// SPDX-License-Identifier: BSD-3-Clause
#include "host.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sys.h"

#define PCI_DEVICES "/sys/bus/pci/devices"
#define IOMMU_GROUPS "/sys/kernel/iommu_groups"

static bool hex_field(const char **text, unsigned int digits, char end, unsigned int *value)
{
	*value = 0;
	for (; digits; digits--, (*text)++) {
		static const char hex[] = "0123456789abcdef";
		const char *c = **text ? strchr(hex, **text | ((**text & 0x40) >> 1)) : NULL;

		if (!c)
			return false;
		*value = *value * 16 + (unsigned int)(c - hex);
	}
	if (**text != end)
		return false;
	*text += end != '\0';
	return true;
}

int vdma_bdf_parse(const char *text, struct vdma_bdf *bdf)
{
	const char *p = text;
	struct vdma_bdf b = { .domain = 0 };

	if (!text)
		return -EINVAL;
	if (!hex_field(&p, 4, ':', &b.domain)) {
		p = text;
		b.domain = 0;
	}
	if (!hex_field(&p, 2, ':', &b.bus) || !hex_field(&p, 2, '.', &b.dev) ||
	    !hex_field(&p, 1, '\0', &b.func) || b.dev > 31 || b.func > 7)
		return -EINVAL;
	snprintf(b.s, sizeof(b.s), "%04x:%02x:%02x.%x", b.domain & 0xffff, b.bus & 0xff,
		 b.dev & 0x1f, b.func & 7);
	*bdf = b;
	return 0;
}

int vdma_token_parse(const char *text, struct vdma_token *token)
{
	static const unsigned int fields[] = { 8, 4, 4, 4, 12 };
	unsigned char *byte = token->bytes;
	const char *p = text;
	unsigned int i, n, value;

	for (i = 0; i < 5; i++) {
		for (n = 0; n < fields[i]; n += 2) {
			char two[3] = { p[0], p[0] ? p[1] : '\0', '\0' };
			const char *q = two;

			if (!hex_field(&q, 2, '\0', &value))
				return -EINVAL;
			*byte++ = (unsigned char)value;
			p += 2;
		}
		if (*p++ != (i < 4 ? '-' : '\0'))
			return -EINVAL;
	}
	snprintf(token->s, sizeof(token->s), "%s", text);
	return 0;
}

bool vdma_host_has_device(const char *bdf)
{
	char path[64];

	snprintf(path, sizeof(path), PCI_DEVICES "/%s", bdf);
	return !vdma_sys_exists(path);
}

/* Last part of what a link says, "" if there is no link. */
static void link_name(const char *path, char *buf, size_t size)
{
	char target[256], *slash;

	if (vdma_sys_readlink(path, target, sizeof(target)))
		target[0] = '\0';
	slash = strrchr(target, '/');
	snprintf(buf, size, "%s", slash ? slash + 1 : target);
}

void vdma_host_driver(const char *bdf, char *buf, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/driver", bdf);
	link_name(path, buf, size);
}

bool vdma_host_has_sriov(const char *bdf)
{
	char path[80];

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/sriov_totalvfs", bdf);
	return !vdma_sys_exists(path);
}

int vdma_host_physfn(const char *bdf, char *physfn, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/physfn", bdf);
	link_name(path, physfn, size);
	return *physfn ? 0 : -ENOENT;
}

void vdma_host_reset_methods(const char *bdf, char *buf, size_t size)
{
	char path[80];

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/reset_method", bdf);
	if (vdma_sys_read_file(path, buf, size))
		*buf = '\0';
}

bool vdma_host_is_vfio_driver(const char *driver)
{
	/* vfio-pci, mlx5_vfio_pci, hisi_acc_vfio_pci, ... */
	return strstr(driver, "vfio");
}

int vdma_host_group(const char *bdf)
{
	char path[64], name[32], *end;
	long group;

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/iommu_group", bdf);
	link_name(path, name, sizeof(name));
	group = strtol(name, &end, 10);
	return *name && !*end && group >= 0 ? (int)group : -ENOENT;
}

static int first_name(const char *name, void *ctx)
{
	snprintf(ctx, 32, "%s", name);
	return 1;
}

/* Finds the node that the device has in a class: its name is in @class of its folder. */
static int class_node(const char *bdf, const char *class, const char *dev, char *path, size_t size)
{
	char dir[64], name[32];
	int ret;

	snprintf(dir, sizeof(dir), PCI_DEVICES "/%s/%s", bdf, class);
	ret = vdma_sys_list(dir, first_name, name);
	if (ret != 1)
		return ret < 0 ? ret : -ENOENT;
	snprintf(path, size, "%s/%s", dev, name);
	return 0;
}

int vdma_host_node(const char *bdf, char *path, size_t size)
{
	return class_node(bdf, "vfio-dev", "/dev/vfio/devices", path, size);
}

int vdma_host_uio(const char *bdf, char *path, size_t size)
{
	return class_node(bdf, "uio", "/dev", path, size);
}

bool vdma_host_group_is_noiommu(int group)
{
	char path[64], name[32];

	snprintf(path, sizeof(path), IOMMU_GROUPS "/%d/name", group);
	return !vdma_sys_read_file(path, name, sizeof(name)) &&
	       !strncmp(name, "vfio-noiommu", strlen("vfio-noiommu"));
}

static int real_group(const char *name, void *ctx)
{
	(void)ctx;
	return !vdma_host_group_is_noiommu(atoi(name));
}

bool vdma_host_has_iommu(void)
{
	return vdma_sys_list(IOMMU_GROUPS, real_group, NULL) == 1;
}

struct group_text {
	const char *bdf;
	bool offending;
	char *buf;
	size_t size;
	size_t used;
};

static int add_group_device(const char *name, void *ctx)
{
	struct group_text *t = ctx;
	char driver[64];
	int n;

	if (!strcmp(name, t->bdf))
		return 0;
	vdma_host_driver(name, driver, sizeof(driver));
	/* Drivers that do no DMA of their own (driver_managed_dma in the kernel). */
	if (t->offending && (!*driver || vdma_host_is_vfio_driver(driver) ||
			     !strcmp(driver, "pci-stub") || !strcmp(driver, "pcieport")))
		return 0;
	n = snprintf(t->buf + t->used, t->size - t->used, "\n  %s, driver %s", name,
		     *driver ? driver : "none");
	if (n < 0 || (size_t)n >= t->size - t->used)
		return 1;
	t->used += (size_t)n;
	return 0;
}

void vdma_host_group_text(int group, const char *bdf, bool offending, char *buf, size_t size)
{
	struct group_text t = { .bdf = bdf, .offending = offending, .buf = buf, .size = size };
	char path[64];

	*buf = '\0';
	snprintf(path, sizeof(path), IOMMU_GROUPS "/%d/devices", group);
	vdma_sys_list(path, add_group_device, &t);
}

size_t vdma_host_reserved(int group, struct vdma_range *ranges, size_t max)
{
	char path[64], text[4096], *line, *at = text;
	size_t n = 0;

	snprintf(path, sizeof(path), IOMMU_GROUPS "/%d/reserved_regions", group);
	if (vdma_sys_read_file(path, text, sizeof(text)))
		return 0;
	while (n < max && (line = strsep(&at, "\n")) && *line) {
		char *end;

		ranges[n].first = strtoull(line, &end, 16);
		ranges[n].last = strtoull(end, &end, 16);
		/* VFIO and iommufd let these be mapped. */
		if (strcmp(end, " direct-relaxable"))
			n++;
	}
	return n;
}

struct holder {
	const char *path;
	char dir[64];
	pid_t pid;
};

static int holder_fd(const char *name, void *ctx)
{
	struct holder *h = ctx;
	char path[128], target[256];

	snprintf(path, sizeof(path), "%s/%.32s", h->dir, name);
	return !vdma_sys_readlink(path, target, sizeof(target)) && !strcmp(target, h->path);
}

static int holder_pid(const char *name, void *ctx)
{
	struct holder *h = ctx;
	char *end;
	long pid = strtol(name, &end, 10);

	if (*end || pid <= 0)
		return 0;
	snprintf(h->dir, sizeof(h->dir), "/proc/%ld/fd", pid);
	if (vdma_sys_list(h->dir, holder_fd, h) != 1)
		return 0;
	h->pid = (pid_t)pid;
	return 1;
}

int vdma_host_holder(const char *path, pid_t *pid, char *comm, size_t size)
{
	struct holder h = { .path = path };
	char comm_path[64];

	if (vdma_sys_list("/proc", holder_pid, &h) != 1)
		return -ENOENT;
	*pid = h.pid;
	snprintf(comm_path, sizeof(comm_path), "/proc/%ld/comm", (long)h.pid);
	if (vdma_sys_read_file(comm_path, comm, size))
		snprintf(comm, size, "?");
	comm[strcspn(comm, "\n")] = '\0';
	return 0;
}

int vdma_host_memlock(struct vdma_memlock *m)
{
	char status[8192], *line;
	int err;

	err = vdma_sys_memlock_limit(&m->limit);
	if (err)
		return err;
	err = vdma_sys_read_file("/proc/self/status", status, sizeof(status));
	if (err)
		return err;
	line = strstr(status, "\nVmLck:");
	m->locked = line ? strtoull(line + 7, NULL, 10) << 10 : 0;
	line = strstr(status, "\nCapEff:");
	m->exempt = line && strtoull(line + 8, NULL, 16) >> CAP_IPC_LOCK & 1;
	return 0;
}

int vdma_host_u64(const char *path, uint64_t *value)
{
	char text[32], *end;
	int err = vdma_sys_read_file(path, text, sizeof(text));
	uint64_t v;

	if (err)
		return err;
	v = strtoull(text, &end, 10);
	if (end == text)
		return -EINVAL;
	*value = v;
	return 0;
}

uint64_t vdma_host_meminfo(const char *key)
{
	char text[4096], *line;

	if (vdma_sys_read_file("/proc/meminfo", text, sizeof(text)))
		return 0;
	line = strstr(text, key);
	return line ? strtoull(line + strlen(key), NULL, 10) << 10 : 0;
}

/* A line of a node's: "Node 0 MemFree: 1024 kB". @key has the blanks around it. */
static uint64_t node_line(const char *text, const char *key)
{
	const char *line = strstr(text, key);

	return line ? strtoull(line + strlen(key), NULL, 10) << 10 : 0;
}

int vdma_host_node_memory(unsigned int node, uint64_t *total, uint64_t *available)
{
	char path[64], text[4096];
	int err;

	*total = *available = 0;
	snprintf(path, sizeof(path), "/sys/devices/system/node/node%u/meminfo", node);
	err = vdma_sys_read_file(path, text, sizeof(text));
	if (err)
		return err;
	*total = node_line(text, " MemTotal: ");
	*available = node_line(text, " MemFree: ") + node_line(text, " Active(file): ") +
		     node_line(text, " Inactive(file): ") + node_line(text, " SReclaimable: ");
	return 0;
}
