/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a test says that something is wrong. Works in every process that the
 * test starts: a failed check ends the process, and the test has failed,
 * whatever becomes of the others.
 */
#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <stdint.h>

/* Ends the process; the test fails. The program that links this defines it. */
_Noreturn void check_fail(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define FAIL(...) check_fail(__FILE__, __LINE__, __VA_ARGS__)

#define CHECK(condition) \
	do { \
		if (!(condition)) \
			FAIL("not so: %s", #condition); \
	} while (0)

/* A call that answers -1, or MAP_FAILED, and errno. */
#define CHECK_OK(call) \
	do { \
		if ((intptr_t)(call) == -1) \
			FAIL("%s: %m", #call); \
	} while (0)

#define CHECK_ERRNO(call, number) \
	do { \
		errno = 0; \
		if ((intptr_t)(call) != -1) \
			FAIL("%s succeeds, should be %s", #call, #number); \
		if (errno != (number)) \
			FAIL("%s: %m, should be %s", #call, #number); \
	} while (0)

#define CHECK_EQ(value, expected) \
	do { \
		long long got_ = (long long)(value), want_ = (long long)(expected); \
		if (got_ != want_) \
			FAIL("%s is %lld (0x%llx), should be %s = %lld", #value, got_, \
			     (unsigned long long)got_, #expected, want_); \
	} while (0)

#define CHECK_RANGE(value, low, high) \
	do { \
		long long got_ = (long long)(value), low_ = (long long)(low), \
			  high_ = (long long)(high); \
		if (got_ < low_ || got_ > high_) \
			FAIL("%s is %lld, should be %lld to %lld", #value, got_, low_, high_); \
	} while (0)

#endif
