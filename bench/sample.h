/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Samples of a measurement, taken in several processes one after another: what
 * differs from process to process (where memory lies, which pages it got) is
 * among what the median is of.
 *
 * A record is one sample of everything that is compared, taken in turn. Most are
 * arrays of doubles, a column for each of the things.
 */
#ifndef SAMPLE_H
#define SAMPLE_H

#include <stddef.h>

/* Of the monotonic clock. */
double now_ns(void);

/* Sorts values; their median. */
double median(double *values, size_t n);

/* What a process measures; it hands on each record with sample_put(). */
typedef void sample_fn(const void *arg, int out);

void sample_put(int out, const void *record, size_t size);

/*
 * Runs @measure in @processes processes. Returns how many records of @size bytes there are
 * and, to be freed, the records; the program ends if a process fails, or none came.
 */
size_t sample_collect(unsigned int processes, sample_fn *measure, const void *arg, size_t size,
		      void **records);

struct spread {
	double median, min, max;
};

/* Of one column of @n records. */
struct spread sample_spread(const double *records, size_t n, size_t columns, size_t column);

/* Of the ratios of two columns, each within one record. */
struct spread sample_ratio(const double *records, size_t n, size_t columns, size_t column,
			   size_t to);

#endif
