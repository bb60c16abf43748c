/* SPDX-License-Identifier: BSD-3-Clause */
/* The groups of the suite; each test's name begins with its clause. */
#ifndef SUITE_H
#define SUITE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

/* Kernel under test: folios, and so PMD mappings, are there since 6.12. */
int kernel_has_folios(void);

int run_allocation(void);
int run_limits(void);
int run_mapping(void);
int run_teardown(void);
int run_query(void);

#endif
