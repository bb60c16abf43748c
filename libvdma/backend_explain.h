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

/* A mapping lies in what the device's group reserves. */
int vdma_backend_reserved(int err, int group, const char *bdf);

/* Would @bytes more be refused? */
bool vdma_backend_exceeds(const struct vdma_memlock *m, uint64_t bytes);

/* They were, or would be: @charged of them by other address spaces. */
int vdma_backend_over_memlock(const struct vdma_memlock *m, uint64_t bytes, uint64_t charged,
			      int err);

/* Not all of a mapping, or more than it, was unmapped. */
int vdma_backend_short_unmap(uint64_t iova, uint64_t len, uint64_t done);

#endif
