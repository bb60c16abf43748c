// SPDX-License-Identifier: BSD-3-Clause
#include "sample.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what)
{
	fprintf(stderr, "%s: %s: %m\n", program_invocation_short_name, what);
	exit(1);
}

double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double median(double *values, size_t n)
{
	qsort(values, n, sizeof(*values), ascending);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

void sample_put(int out, const void *record, size_t size)
{
	/* Less than PIPE_BUF, so all of it or nothing. */
	if (write(out, record, size) != (ssize_t)size)
		die("write");
}

/* Appends what comes out of one process. */
static size_t receive(int in, size_t size, void **records, size_t n)
{
	for (;; n++) {
		char *more = realloc(*records, (n + 1) * size);
		ssize_t got;

		if (!more)
			die("realloc");
		*records = more;
		got = read(in, more + n * size, size);
		if (!got)
			return n;
		if (got != (ssize_t)size)
			die("read");
	}
}

size_t sample_collect(unsigned int processes, sample_fn *measure, const void *arg, size_t size,
		      void **records)
{
	size_t n = 0;

	*records = NULL;
	for (unsigned int i = 0; i < processes; i++) {
		int ends[2], wstatus;
		pid_t pid;

		fflush(stdout);
		if (pipe(ends))
			die("pipe");
		pid = fork();
		if (pid < 0)
			die("fork");
		if (!pid) {
			close(ends[0]);
			measure(arg, ends[1]);
			exit(0);
		}
		close(ends[1]);
		n = receive(ends[0], size, records, n);
		close(ends[0]);
		if (waitpid(pid, &wstatus, 0) != pid || wstatus)
			exit(1);
	}
	if (!n)
		exit(1);
	return n;
}

static struct spread spread(double *values, size_t n)
{
	struct spread s = { .median = median(values, n) };

	s.min = values[0];
	s.max = values[n - 1];
	free(values);
	return s;
}

struct spread sample_spread(const double *records, size_t n, size_t columns, size_t column)
{
	double *values = calloc(n, sizeof(*values));

	if (!values)
		die("calloc");
	for (size_t i = 0; i < n; i++)
		values[i] = records[i * columns + column];
	return spread(values, n);
}

struct spread sample_ratio(const double *records, size_t n, size_t columns, size_t column,
			   size_t to)
{
	double *values = calloc(n, sizeof(*values));

	if (!values)
		die("calloc");
	for (size_t i = 0; i < n; i++)
		values[i] = records[i * columns + column] / records[i * columns + to];
	return spread(values, n);
}
