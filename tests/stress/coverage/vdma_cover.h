/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VDMA_COVER_H
#define VDMA_COVER_H

/* As far from the hook as any code of map_contig lies, and as much as its init code takes. */
#define COVER_RANGE (512L << 10)
#define COVER_INIT (64L << 10)

/* A byte per address: around the hook, then behind the start of the init code. */
extern unsigned char vdma_cover[2 * COVER_RANGE + COVER_INIT];

#endif
