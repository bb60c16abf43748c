// SPDX-License-Identifier: BSD-3-Clause
/*
 * A machine that has memory for movable pages only (movablecore=): what lies there
 * cannot be pinned for long, so contiguous memory never does.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"

#define LEN (32 * MIB)
#define MAX_REGIONS 128

struct zone {
	uint64_t first, spanned, managed, free; /* pages; spanned is 0 if there is none */
};

static struct zone movable_zone(void)
{
	FILE *f = fopen("/proc/zoneinfo", "re");
	struct zone zone = { .spanned = 0 };
	bool in_zone = false;
	char line[256], name[16];
	unsigned int node;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Node %u, zone %15s", &node, name) == 2)
			in_zone = !strcmp(name, "Movable");
		if (!in_zone)
			continue;
		sscanf(line, " pages free %lu", &zone.free);
		sscanf(line, " spanned %lu", &zone.spanned);
		sscanf(line, " managed %lu", &zone.managed);
		sscanf(line, " start_pfn: %lu", &zone.first);
	}
	fclose(f);
	return zone;
}

static void assert_outside(const struct vdma_region *region, const struct zone *zone)
{
	struct vdma_buf buf = vdma_region_buf(region);
	uint64_t *frames = pagemap_frames(buf.va, buf.len);

	assert_true(frames_consecutive(frames, LEN / PAGE));
	assert_true(frames[LEN / PAGE - 1] < zone->first ||
		    frames[0] >= zone->first + zone->spanned);
	free(frames);
}

/* All that there is, each pinned at once, until it is refused with the reason. */
static void outside_movable_zone(void **state)
{
	struct zone zone = movable_zone();
	struct vdma_region *regions[MAX_REGIONS];
	struct space s = space_create();
	struct vdma_device *dev;
	unsigned int n = 0;

	(void)state;
	assert_true(zone.managed * PAGE >= 4 * LEN);
	WORKS(vdma_device_open(s.ioas, bdf_of("VDMA_BDF_EDU"), NULL, &dev));
	while (n < MAX_REGIONS && !vdma_region_create(s.arena, LEN, NULL, &regions[n]))
		assert_outside(regions[n++], &zone);
	assert_in_range(n, 4, MAX_REGIONS - 1);
	assert_int_equal(vdma_last_failure()->err, -ENOMEM);
	printf("  | %u times 32 MiB; then: %s\n", n, vdma_explain());
	assert_non_null(strstr(vdma_explain(), "32 MiB"));
	assert_true(vdma_last_failure()->limit < LEN);
	/* For which there was room in the zone. */
	assert_true(movable_zone().free * PAGE >= 2 * LEN);
	while (n)
		WORKS(vdma_region_destroy(regions[--n]));
	WORKS(vdma_device_close(dev));
	space_destroy(&s);
}

int run_zone(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outside_movable_zone),
	};

	return cmocka_run_group_tests_name("zone", tests, NULL, NULL);
}
