// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/ioctl.h>

#include "stress.h"

#define PM_PRESENT (1ULL << 63)
#define PM_FRAME ((1ULL << 55) - 1)

void fail(const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	dprintf(STDERR_FILENO, "FAILED: %s\n", text);
	_exit(1);
}

int write_text(const char *path, const char *format, ...)
{
	char text[128];
	va_list args;
	int fd, len, err = 0;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, (size_t)len) != len)
		err = -errno;
	close(fd);
	return err;
}

uint64_t read_hex(const char *path)
{
	FILE *f = fopen(path, "re");
	uint64_t value;

	if (!f || fscanf(f, "%lx", &value) != 1)
		fail("%s: %m", path);
	fclose(f);
	return value;
}

int64_t meminfo(const char *field)
{
	FILE *f = fopen("/proc/meminfo", "re");
	char line[128], name[64];
	int64_t kib, value = -1;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%63[^:]: %ld", name, &kib) == 2 && !strcmp(name, field))
			value = kib * (int64_t)KIB;
	if (value < 0)
		fail("/proc/meminfo has no %s", field);
	fclose(f);
	return value;
}

int64_t memory_free(void)
{
	int64_t count, bytes;
	char line[256];
	FILE *f;

	if (write_text("/proc/sys/vm/drop_caches", "3"))
		fail("/proc/sys/vm/drop_caches: %m");
	/* KASAN keeps for a while what has been freed of slabs; kmemleak sees their leaks. */
	bytes = meminfo("MemFree") + meminfo("Slab");
	f = fopen("/proc/zoneinfo", "re");
	if (!f)
		fail("/proc/zoneinfo: %m");
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, " count: %ld", &count) == 1)
			bytes += count * (int64_t)PAGE;
	fclose(f);
	return bytes;
}

int64_t memory_missing(int64_t before, int64_t slack)
{
	int64_t missing = 0;

	for (int i = 0; i < 30; i++) {
		missing = before - slack - memory_free();
		if (missing <= 0)
			return 0;
		usleep(100 * 1000);
	}
	return missing;
}

unsigned int ledger_regions(void)
{
	FILE *f = fopen("/sys/kernel/debug/map_contig/ledger", "re");
	unsigned int n = 0;
	char line[512];

	if (!f)
		fail("the ledger: %m");
	while (fgets(line, sizeof(line), f))
		n += line[0] != '#';
	fclose(f);
	return n;
}

unsigned int ledger_wait(unsigned int n)
{
	unsigned int regions = ledger_regions();

	for (int i = 0; i < 500 && regions != n; i++) {
		usleep(10 * 1000);
		regions = ledger_regions();
	}
	return regions;
}

void limits_get(struct map_contig_limits *limits)
{
	int fd = open(MAP_CONTIG_DEVICE, O_RDWR | O_CLOEXEC);

	*limits = (struct map_contig_limits){ .size = sizeof(*limits) };
	if (fd < 0 || ioctl(fd, MAP_CONTIG_LIMITS, limits))
		fail("MAP_CONTIG_LIMITS: %m");
	close(fd);
}

void expect_nothing_held(const char *after)
{
	struct map_contig_limits limits;
	unsigned int regions = ledger_wait(0);

	if (regions)
		fail("%s: %u regions are in the ledger", after, regions);
	limits_get(&limits);
	if (limits.user || limits.user_copies || limits.total)
		fail("%s: LIMITS says user %llu, copies %llu, total %llu", after,
		     (unsigned long long)limits.user, (unsigned long long)limits.user_copies,
		     (unsigned long long)limits.total);
}

uint64_t frame_of(const void *addr)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry;

	if (fd < 0 || pread(fd, &entry, sizeof(entry),
			    (off_t)((uintptr_t)addr / PAGE * sizeof(entry))) != sizeof(entry))
		fail("/proc/self/pagemap: %m");
	close(fd);
	return entry & PM_PRESENT ? entry & PM_FRAME : 0;
}

int64_t parse_bdf(const char *text)
{
	unsigned int domain, bus, device, function;

	if (!text || sscanf(text, "%x:%x:%x.%x", &domain, &bus, &device, &function) != 4 || domain)
		return -1;
	return bus << 8 | device << 3 | function;
}

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
