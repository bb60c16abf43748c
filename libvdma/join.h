/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The side of who joined an arena: struct vdma_joined is what such an arena has in
 * addition, from vdma_arena_join() on.
 */
#ifndef VDMA_INTERNAL_JOIN_H
#define VDMA_INTERNAL_JOIN_H

#include <sys/types.h>
#include <vdma/join.h>

/* Gives back what was taken in, if the arena was joined. Nobody observes it any more. */
void vdma_join_leave(struct vdma_arena *arena);

/* The process that created the arena, as the kernel says; 0 if that is this one. */
pid_t vdma_join_creator(const struct vdma_arena *arena);

#endif
