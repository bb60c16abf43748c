/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Observers towards those who make regions. Calls to observers are made with
 * arena->buf_lock held, which is all that keeps them one after the other, and
 * without arena->lock, so that they can ask.
 *
 * A region is told of from when region->observed is set until it is cleared. Both
 * locks guard that, and the list of observers: who writes has both, who reads has one.
 */
#ifndef VDMA_INTERNAL_OBSERVER_H
#define VDMA_INTERNAL_OBSERVER_H

#include <vdma/observer.h>

/*
 * A region that is in the arena's list, with region->observed as it was when it came:
 * set if there was nobody to be told. Explained on failure, and nobody knows of it then.
 */
int vdma_observers_added(struct vdma_region *region);

/* Before it goes; nothing if they were told already. */
void vdma_observers_removed(struct vdma_region *region);

/*
 * For one of the library's own, which does not keep the arena from being destroyed: as
 * vdma_observer_add(), without its checks; and out again, without a word.
 */
int vdma_observer_attach(struct vdma_arena *arena, const struct vdma_observer_ops *ops, void *ctx,
			 struct vdma_observer **observer);
void vdma_observer_detach(struct vdma_observer *observer);

#endif
