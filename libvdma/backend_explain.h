/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What VFIO's containers and iommufd refuse for the same reasons, in the same
 * words. Each records the reason and returns its errno.
 */
#ifndef VDMA_INTERNAL_BACKEND_EXPLAIN_H
#define VDMA_INTERNAL_BACKEND_EXPLAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "host.h"

/* A device is in use already, here or in another process, through @path or its own node. */
int vdma_backend_busy(int err, const char *path, const char *bdf);

/*
 * @path could not be opened. @module makes it, @udev is what a rule finds it by.
 * EBUSY is not among it.
 */
int vdma_backend_open_failed(int err, const char *path, const char *module, const char *udev);

/* The kernel drives other devices of the group. */
int vdma_backend_not_viable(int group, const char *bdf);

/* No interrupt remapping; @parameter is the file that allows that. */
int vdma_backend_unsafe_irq(int err, const char *parameter);

/* The kernel wants a VF token, and another one than @token, which may be NULL. */
int vdma_backend_wrong_token(int err, const char *bdf, const struct vdma_token *token);

/*
 * A mapping lies in what the device's group reserves, or beyond the reach of its IOMMU;
 * which one, ioas.c adds.
 */
int vdma_backend_reserved(int err, int group, const char *bdf);

/* Would @bytes more be refused? */
bool vdma_backend_exceeds(const struct vdma_memlock *m, uint64_t bytes);

/* They were, or would be: @charged of them by other spaces of the backend. */
int vdma_backend_over_memlock(const struct vdma_memlock *m, uint64_t bytes, uint64_t charged,
			      int err);

/* The same for iommufd, which counts for each user, and tells nobody how much. */
int vdma_backend_over_user_memlock(uint64_t limit, uint64_t bytes, uint64_t charged, int err);

/* The kernel has a mapping where we have none. */
int vdma_backend_overlap(int err, uint64_t iova, uint64_t len);

/*
 * The kernel cannot pin memory (EFAULT, EOPNOTSUPP). @bars: this backend takes those,
 * at least.
 */
int vdma_backend_cannot_pin(int err, const char *backend, bool bars, uint64_t len);

/* Not all of a mapping, or more than it, was unmapped. */
int vdma_backend_short_unmap(uint64_t iova, uint64_t len, uint64_t done);

#endif
