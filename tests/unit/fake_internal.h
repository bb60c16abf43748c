/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of the machine share: descriptors (fake.c), VFIO with its
 * devices (fake_vfio.c), UIO (fake_uio.c) and map_contig (fake_contig.c). iommufd has a
 * header of its own.
 */
#ifndef VDMA_TEST_FAKE_INTERNAL_H
#define VDMA_TEST_FAKE_INTERNAL_H

#include "fake.h"

#define FAKE_FIRST_FD 10000
#define FAKE_FDS 256

enum fake_kind {
	FAKE_FREE,
	FAKE_FILE_FD,
	FAKE_CONTAINER,
	FAKE_GROUP,
	FAKE_DEVICE,
	FAKE_NODE, /* a device's own */
	FAKE_IOMMUFD,
	FAKE_CONTIG,
	FAKE_REGION,
	FAKE_UIO, /* its node, or a file of the device in sysfs */
	FAKE_UIO_CONFIG,
	FAKE_UIO_RESET,
	FAKE_UIO_BAR,
};

/* Descriptor FAKE_FIRST_FD + i is fake_fds[i]. */
struct fake_fd {
	enum fake_kind kind;
	int index; /* which one of its kind */
	bool kept;
	uint64_t length;		    /* of a region */
	struct map_contig_configure config; /* of an open node of map_contig */
	bool bound, attached;		    /* a device's node */
	bool closed;			    /* but what is mapped of the device keeps it open */
};

extern struct fake_fd fake_fds[FAKE_FDS];

/* Held from here to the end of the block, by one thread, which may take it again. */
#define FAKE_LOCKED bool locked_ __attribute__((cleanup(fake_unlock), unused)) = fake_lock()
bool fake_lock(void);
void fake_unlock(bool *locked);

/* Takes @gone (last 0: nothing) out of @n ranges, which may become one more: how many. */
size_t fake_without(struct vdma_range *ranges, size_t n, struct vdma_range gone);

int fake_new_fd(enum fake_kind kind, int index);

void fake_vfio_reset(void);
int fake_vfio_open(const char *path); /* the descriptor */
bool fake_vfio_close(int i);	      /* false: it is closed, but its device stays open */
int fake_vfio_ioctl(int i, unsigned long request, void *arg);
/* May that part of a device be mapped? Of what is none, all. */
bool fake_vfio_may_map(int i, size_t len, uint64_t offset);
/* That part of the address space is of descriptor @i now; it is of none any more. */
void fake_vfio_mapped(int i, void *va, size_t len);
void fake_vfio_unmapped(void *va, size_t len);
/* Its config space; NULL if it is no device, or that is not there. */
uint8_t *fake_vfio_config(int i, size_t len, uint64_t offset);

void fake_uio_reset(void);
void fake_uio_device(const char *bdf, const struct fake_pci *pci);
int fake_uio_open(const char *path); /* the descriptor */
void fake_uio_close(int i);
int fake_uio_dup(int i);
int fake_uio_lock(int i);
bool fake_uio_readable(int i);
ssize_t fake_uio_read(int i, void *buf, size_t len);
ssize_t fake_uio_config(int i, void *buf, size_t len, uint64_t offset, bool write);

void fake_contig_reset(void);
int fake_contig_ioctl(int i, unsigned long request, void *arg);

#endif
