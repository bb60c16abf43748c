// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "suite.h"

int region_alloc_at(struct region *region, size_t len, uint64_t alignment, uint64_t phys_max)
{
	struct map_contig_alloc alloc = {
		.size = sizeof(alloc),
		.length = len,
		.want = { .alignment = alignment, .phys_max = phys_max },
	};
	int fd = open(MAP_CONTIG_DEVICE, O_RDWR | O_CLOEXEC), err = 0;

	if (fd < 0)
		fail_msg(MAP_CONTIG_DEVICE ": %m");
	if (ioctl(fd, MAP_CONTIG_ALLOC, &alloc))
		err = -errno;
	close(fd);
	if (!err)
		*region = (struct region){ .fd = alloc.fd, .phys = alloc.phys, .len = len };
	return err;
}

struct region region_alloc(size_t len)
{
	struct region region;

	assert_int_equal(region_alloc_at(&region, len, 0, 0), 0);
	return region;
}

void *region_map(const struct region *region)
{
	void *va = mmap(NULL, region->len, PROT_READ | PROT_WRITE, MAP_SHARED, region->fd, 0);

	if (va == MAP_FAILED)
		fail_msg("mmap of a region: %m");
	return va;
}

void region_close(struct region *region)
{
	close(region->fd);
	region->fd = -1;
}

int region_export(int fd, uint64_t addr, uint64_t len)
{
	struct map_contig_export export = {
		.size = sizeof(export),
		.addr = addr,
		.length = len,
		.fd = -1,
	};

	return ioctl(fd, MAP_CONTIG_EXPORT, &export) ? -errno : export.fd;
}

int region_hold(int fd, uint64_t addr, const char *bdf, uint32_t flags)
{
	struct map_contig_hold hold = { .size = sizeof(hold), .flags = flags, .addr = addr };
	unsigned int bus, slot, function;

	if (sscanf(bdf, "%x:%x:%x.%x", &hold.domain, &bus, &slot, &function) != 4)
		fail_msg("'%s' is no PCI address", bdf);
	hold.bdf = bus << 8 | slot << 3 | function;
	return ioctl(fd, MAP_CONTIG_HOLD, &hold) ? -errno : 0;
}

const char *bdf_of(const char *variable)
{
	const char *bdf = getenv(variable);

	if (!bdf)
		fail_msg("%s is not set: tests/kmod/CMakeLists.txt has the guest's options",
			 variable);
	return bdf;
}

void file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		fail_msg("write %s to %s: %m", text, path);
	close(fd);
}

unsigned long file_number(const char *path)
{
	FILE *f = fopen(path, "re");
	unsigned long value = 0;

	if (!f || fscanf(f, "%lu", &value) != 1)
		fail_msg("%s: no number", path);
	fclose(f);
	return value;
}

unsigned long ledger_sum(const char *column)
{
	FILE *f = fopen("/sys/kernel/debug/map_contig/ledger", "re");
	unsigned long sum = 0;
	char line[512], *word, *rest;
	int wanted = -1, i;

	if (!f)
		fail_msg("the ledger: %m");
	while (fgets(line, sizeof(line), f)) {
		bool head = wanted < 0;

		if (!head && line[0] == '#')
			continue;
		/* The head's first word is the #. */
		i = head ? -1 : 0;
		for (word = strtok_r(line, " \n", &rest); word;
		     word = strtok_r(NULL, " \n", &rest), i++) {
			if (head && !strcmp(word, column))
				wanted = i;
			else if (!head && i == wanted)
				sum += strtoul(word, NULL, 0);
		}
		if (wanted < 0)
			fail_msg("the ledger has no column %s", column);
	}
	fclose(f);
	return sum;
}
