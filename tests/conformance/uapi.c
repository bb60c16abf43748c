// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "check.h"
#include "uapi.h"

int node_open(void)
{
	int node = open(MAP_CONTIG_DEVICE, O_RDWR | O_CLOEXEC);

	if (node < 0)
		FAIL("%s: %m", MAP_CONTIG_DEVICE);
	return node;
}

int region_alloc(int node, size_t len, const struct map_contig_constraints *want)
{
	struct map_contig_alloc alloc = { .size = sizeof(alloc), .length = len };

	if (want)
		alloc.want = *want;
	return ioctl(node, MAP_CONTIG_ALLOC, &alloc) ? -1 : alloc.fd;
}

void *region_map(int region, size_t len)
{
	return mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, region, 0);
}

void *region_mmap(size_t len, const struct map_contig_constraints *want)
{
	int node = open(MAP_CONTIG_DEVICE, O_RDWR | O_CLOEXEC), region, err;
	void *va = MAP_FAILED;

	if (node < 0)
		return va;
	region = region_alloc(node, len, want);
	err = errno;
	close(node);
	if (region >= 0) {
		va = region_map(region, len);
		err = errno;
		close(region);
	}
	errno = err;
	return va;
}

int node_query(int fd, const void *addr, struct map_contig_query *query)
{
	*query = (struct map_contig_query){ .size = sizeof(*query), .addr = (uintptr_t)addr };
	return ioctl(fd, MAP_CONTIG_QUERY, query);
}

int node_limits(int node, struct map_contig_limits *limits)
{
	*limits = (struct map_contig_limits){ .size = sizeof(*limits) };
	return ioctl(node, MAP_CONTIG_LIMITS, limits);
}

struct map_contig_limits limits_now(void)
{
	struct map_contig_limits limits;
	int node = node_open();

	CHECK_OK(node_limits(node, &limits));
	close(node);
	return limits;
}

size_t oracle_largest(const struct map_contig_constraints *want)
{
	struct map_contig_oracle oracle = { .size = sizeof(oracle), .want = *want };
	int node = node_open();

	CHECK_OK(ioctl(node, MAP_CONTIG_ORACLE, &oracle));
	close(node);
	return oracle.largest;
}

int node_configure(int node, const struct map_contig_constraints *want)
{
	struct map_contig_configure configure = { .size = sizeof(configure), .want = *want };

	return ioctl(node, MAP_CONTIG_CONFIGURE, &configure);
}

unsigned long long node_features(void)
{
	struct map_contig_version version = { .size = sizeof(version) };
	int node = node_open();

	CHECK_OK(ioctl(node, MAP_CONTIG_VERSION, &version));
	close(node);
	return version.features;
}
