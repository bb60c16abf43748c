/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Text into a caller's buffer that may be too small: what fits is there, and
 * how long the whole would be is known in the end, as with snprintf().
 */
#ifndef VDMA_INTERNAL_TEXT_H
#define VDMA_INTERNAL_TEXT_H

#include <stddef.h>

struct vdma_text {
	char *buf;
	size_t room; /* of buf, bytes */
	size_t len;  /* of the whole so far, without a 0 */
};

/* -EINVAL, explained, if a caller's @buf cannot have *@len bytes. */
int vdma_text_init(struct vdma_text *text, char *buf, const size_t *len);

void vdma_text_add(struct vdma_text *text, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
