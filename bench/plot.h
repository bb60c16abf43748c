/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A picture of what a benchmark has measured: groups of horizontal bars, each with its
 * label and its values, as SVG. It has its own background and follows the reader's choice of
 * light or dark, so that it can be read on any page.
 */
#ifndef PLOT_H
#define PLOT_H

#include <stddef.h>

#define PLOT_SERIES 4

/**
 * struct plot_group - bars that are compared
 * @section: a heading above the group; NULL for none
 * @label: what they are of
 * @values: of each series; NAN for no bar
 * @texts: what stands beside each bar; NULL for the value and its unit
 */
struct plot_group {
	const char *section;
	const char *label;
	double values[PLOT_SERIES];
	const char *texts[PLOT_SERIES];
};

/**
 * struct plot - a picture
 * @title: what it shows
 * @subtitle: how to read it
 * @unit: of values, with the blank before it
 * @base: where bars begin on a logarithmic axis, above 0; 0: a linear axis from 0
 * @series: their names; NULL for fewer than PLOT_SERIES. One that has no value is left out
 * @groups: from top to bottom
 * @n: of them
 * @source: below it: what measured, and on what
 */
struct plot {
	const char *title;
	const char *subtitle;
	const char *unit;
	double base;
	const char *series[PLOT_SERIES];
	const struct plot_group *groups;
	size_t n;
	const char *source;
};

/* 0, or -errno if the file cannot be written. */
int plot_write(const struct plot *plot, const char *path);

/* The processor, the kernel, and what else there is to say (NULL for nothing). */
void plot_machine(char *text, size_t size, const char *more);

/* Takes "--svg FILE" off the front of a command line, and returns FILE, or NULL. */
const char *plot_option(int *argc, char ***argv);

/* A number as it stands beside a bar: as many digits as tell something, with commas. */
const char *plot_number(char *text, size_t size, double value);

#endif
