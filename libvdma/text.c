// SPDX-License-Identifier: BSD-3-Clause
#include "text.h"

#include <stdarg.h>
#include <stdio.h>

#include "explain.h"

int vdma_text_init(struct vdma_text *text, char *buf, const size_t *len)
{
	if (!len || (*len && !buf))
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "An argument is NULL.");
	*text = (struct vdma_text){ .buf = buf, .room = *len };
	return 0;
}

void vdma_text_add(struct vdma_text *text, const char *fmt, ...)
{
	size_t room = text->len < text->room ? text->room - text->len : 0;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(room ? text->buf + text->len : NULL, room, fmt, args);
	va_end(args);
	if (n > 0)
		text->len += (size_t)n;
}
