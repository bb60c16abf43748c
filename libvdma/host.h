/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the machine says about itself in /sys and /proc. Read-only facts, for
 * decisions and explanations; it records no reasons.
 */
#ifndef VDMA_INTERNAL_HOST_H
#define VDMA_INTERNAL_HOST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <vdma/types.h>

struct vdma_bdf {
	char s[16]; /* "0000:00:10.0" */
	unsigned int domain, bus, dev, func;
};

/* -EINVAL unless it is [dddd:]bb:dd.f and nothing else. */
int vdma_bdf_parse(const char *text, struct vdma_bdf *bdf);

/* A VF token, as text and as the kernel's ioctl takes it. */
struct vdma_token {
	char s[37];
	unsigned char bytes[16];
};

/* -EINVAL unless it is a UUID, with its hyphens. */
int vdma_token_parse(const char *text, struct vdma_token *token);

bool vdma_host_has_device(const char *bdf);

/* Its kernel driver, "" if none. */
void vdma_host_driver(const char *bdf, char *buf, size_t size);

/* Is this the name of vfio-pci or a driver derived from it? */
bool vdma_host_is_vfio_driver(const char *driver);

/* Can it have virtual functions? Its physical function if it is one, or -ENOENT. */
bool vdma_host_has_sriov(const char *bdf);
int vdma_host_physfn(const char *bdf, char *physfn, size_t size);

/* The names of the ways in which the kernel can reset it alone, the first choice first; "" if none. */
void vdma_host_reset_methods(const char *bdf, char *buf, size_t size);

/* Number of its IOMMU group, or -ENOENT. */
int vdma_host_group(const char *bdf);

/* Its own device node, /dev/vfio/devices/vfioN; -ENOENT if there is none. */
int vdma_host_node(const char *bdf, char *path, size_t size);

/* Is its group one that VFIO made for a device without an IOMMU? */
bool vdma_host_group_is_noiommu(int group);

/* Its UIO node, /dev/uioN, or -ENOENT. */
int vdma_host_uio(const char *bdf, char *path, size_t size);

/* Is there any IOMMU group, of an IOMMU? */
bool vdma_host_has_iommu(void);

/*
 * The devices of a group but @bdf, each with its driver, as text lines; only
 * those that keep the group from VFIO if @offending.
 */
void vdma_host_group_text(int group, const char *bdf, bool offending, char *buf, size_t size);

/* Device addresses that a group reserves, so that nothing may be mapped there: their number. */
size_t vdma_host_reserved(int group, struct vdma_range *ranges, size_t max);

/* Who has @path open: 0, or -ENOENT if that cannot be found out. */
int vdma_host_holder(const char *path, pid_t *pid, char *comm, size_t size);

struct vdma_memlock {
	uint64_t limit;	 /* bytes; UINT64_MAX for none */
	uint64_t locked; /* bytes that the process has locked now */
	bool exempt;	 /* CAP_IPC_LOCK */
};

int vdma_host_memlock(struct vdma_memlock *m);

/* A decimal number from a file; or -errno. */
int vdma_host_u64(const char *path, uint64_t *value);

/* A line of /proc/meminfo in bytes, "MemFree:"; 0 if there is none. */
uint64_t vdma_host_meminfo(const char *key);

/*
 * Bytes that a NUMA node has, and what it could free of them without swapping. -errno,
 * and both are 0, if there is no such node.
 */
int vdma_host_node_memory(unsigned int node, uint64_t *total, uint64_t *available);

#endif
