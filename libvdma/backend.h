/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How the kernel is asked for an I/O address space. A backend carries out; all
 * policy stands above it, in ioas.c. Every failing call is explained, and
 * leaves things as they were.
 */
#ifndef VDMA_INTERNAL_BACKEND_H
#define VDMA_INTERNAL_BACKEND_H

#include <stdbool.h>
#include <vdma/ioas.h>
#include <vdma/region.h>
#include <vdma/types.h>

#include "host.h"

/* A backend's own; it begins as the backend says. */
struct vdma_space;

struct vdma_space_state {
	struct vdma_range *ranges; /* ascending; free() is the caller's */
	size_t nranges;
	uint64_t page_sizes;
	uint64_t entries_left; /* UINT64_MAX if the kernel does not say */
};

struct vdma_backend_ops {
	enum vdma_backend id;

	/*
	 * Do devices see addresses of the IOMMU? If not, map and unmap are NULL: they see
	 * physical ones, and nothing but the module's HOLD ties memory to them.
	 */
	bool translates;

	int (*create)(struct vdma_space **space);
	void (*destroy)(struct vdma_space *space);

	/*
	 * Opens a device through the space: its descriptor, or -errno. @group: -1 for
	 * none. @token: NULL for none; the device is one that can have it.
	 */
	int (*attach)(struct vdma_space *space, const char *bdf, int group,
		      const struct vdma_token *token);

	/*
	 * Closes it. With the last device of a space all mappings are gone
	 * and the space is as new.
	 */
	void (*detach)(struct vdma_space *space, int group, int fd);

	/*
	 * The descriptor of a group that devices of the space were opened through, or
	 * -ENOENT: of their own nodes the kernel knows whose they are.
	 */
	int (*group_fd)(const struct vdma_space *space, int group);

	/* While a device is attached. */
	int (*state)(struct vdma_space *space, struct vdma_space_state *state);

	/*
	 * Would mapping @bytes in @entries calls be refused? @charged: what
	 * will be locked by then for other spaces of this backend.
	 */
	int (*room)(struct vdma_space *space, uint64_t bytes, uint64_t entries, uint64_t charged);

	/* @access: what the device may do: VDMA_ACCESS_READ, _WRITE or _BOTH. */
	int (*map)(struct vdma_space *space, const void *va, uint64_t iova, uint64_t len,
		   enum vdma_access access);
	int (*unmap)(struct vdma_space *space, uint64_t iova, uint64_t len);
};

extern const struct vdma_backend_ops vdma_backend_type1;
extern const struct vdma_backend_ops vdma_backend_iommufd;
extern const struct vdma_backend_ops vdma_backend_noiommu;

#endif
