/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory whose 4 KiB pages are surely apart. On a fresh machine the kernel gives out
 * neighbours in a row, as on none that has been in use for long. So all pages with an even
 * number of a large piece are freed, those with an odd one kept: what the kernel has in single
 * pages it gives out first, and no two of those lie side by side.
 */
#ifndef SCATTER_H
#define SCATTER_H

#include <stddef.h>

/* Leaves free memory of len bytes in single pages. 0 or -errno (-EPERM: pagemap does not tell). */
int scatter_begin(size_t len);
/* Gives back what was kept. */
void scatter_end(void);

#endif
