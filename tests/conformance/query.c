// SPDX-License-Identifier: BSD-3-Clause
/* D3 and the ioctl's own rules: what the module tells, and to whom. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <vdma/uapi/map_contig.h>

#include "observe.h"
#include "suite.h"

#define PARAM "/sys/module/map_contig/parameters/phys_for_all"

static int query_fd;

static int query(struct map_contig_query *q, const void *addr)
{
	*q = (struct map_contig_query){ .size = sizeof(*q), .addr = (uintptr_t)addr };
	return ioctl(query_fd, MAP_CONTIG_QUERY, q);
}

static void d3_query_tells_what_pagemap_shows(void **state)
{
	size_t len = 4 * MIB + 8 * KIB;
	char *va = contig_mmap(len);
	uint64_t *frames = pagemap_frames(va, len);
	struct map_contig_query q;

	(void)state;
	assert_return_code(query(&q, va), errno);
	assert_int_equal(q.phys, frames[0] * PAGE);
	assert_int_equal(q.length, len);
	assert_int_equal(q.node, 0);
	assert_int_equal(q.folio_shift, kernel_has_folios() ? 21 : 12);

	/* In the middle, unaligned; and in the tail, which is no folio. */
	assert_return_code(query(&q, va + 5 * PAGE + 7), errno);
	assert_int_equal(q.phys, frames[5] * PAGE + 7);
	assert_int_equal(q.length, len - 5 * PAGE - 7);
	assert_return_code(query(&q, va + len - 1), errno);
	assert_int_equal(q.phys, frames[len / PAGE - 1] * PAGE + PAGE - 1);
	assert_int_equal(q.length, 1);
	assert_int_equal(q.folio_shift, 12);
	free(frames);
	munmap(va, len);
}

static void query_refuses(void **state)
{
	struct {
		struct map_contig_query q;
		uint64_t tail;
	} longer;
	char *va = contig_mmap(PAGE), *other;
	struct map_contig_query q;

	(void)state;
	other = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(query(&q, other), -1);
	assert_int_equal(errno, ENXIO);
	assert_int_equal(query(&q, NULL), -1);
	assert_int_equal(errno, ENXIO);

	q = (struct map_contig_query){ .size = sizeof(q) - 1, .addr = (uintptr_t)va };
	assert_int_equal(ioctl(query_fd, MAP_CONTIG_QUERY, &q), -1);
	assert_int_equal(errno, EINVAL);
	q = (struct map_contig_query){ .size = sizeof(q), .flags = 1, .addr = (uintptr_t)va };
	assert_int_equal(ioctl(query_fd, MAP_CONTIG_QUERY, &q), -1);
	assert_int_equal(errno, EOPNOTSUPP);

	memset(&longer, 0, sizeof(longer));
	longer.q.size = sizeof(longer);
	longer.q.addr = (uintptr_t)va;
	assert_return_code(ioctl(query_fd, MAP_CONTIG_QUERY, &longer), errno);
	assert_true(longer.q.phys != 0);
	longer.tail = 1;
	assert_int_equal(ioctl(query_fd, MAP_CONTIG_QUERY, &longer), -1);
	assert_int_equal(errno, E2BIG);

	assert_int_equal(ioctl(query_fd, MAP_CONTIG_QUERY, NULL), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(ioctl(query_fd, MAP_CONTIG_QUERY + 1, &q), -1);
	assert_int_equal(errno, ENOTTY);
	munmap(va, PAGE);
	munmap(other, PAGE);
}

static int query_as_user(void *arg)
{
	struct map_contig_query q;
	char *va;

	(void)arg;
	become(1000, 64 * KIB);
	va = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, query_fd, 0);
	if (va == MAP_FAILED)
		return 98;
	memset(va, 1, PAGE);
	return query(&q, va) ? errno : q.phys ? 0 : 97;
}

static void set_param(const char *text)
{
	int fd = open(PARAM, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, 1), 1);
	close(fd);
}

/* An address is a secret; the memory itself is not denied. */
static void d3_physical_address_needs_privilege(void **state)
{
	(void)state;
	assert_int_equal(in_child(query_as_user, NULL), EPERM);
	set_param("Y");
	assert_int_equal(in_child(query_as_user, NULL), 0);
	set_param("N");
	assert_int_equal(in_child(query_as_user, NULL), EPERM);
}

static int open_node(void **state)
{
	(void)state;
	query_fd = open(MAP_CONTIG_DEVICE, O_RDWR | O_CLOEXEC);
	return query_fd < 0;
}

static int close_node(void **state)
{
	(void)state;
	return close(query_fd);
}

int run_query(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(d3_query_tells_what_pagemap_shows),
		cmocka_unit_test(query_refuses),
		cmocka_unit_test(d3_physical_address_needs_privilege),
	};

	return cmocka_run_group_tests_name("query", tests, open_node, close_node);
}
