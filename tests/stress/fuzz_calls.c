// SPDX-License-Identifier: BSD-3-Clause
/* Which call comes next, and what calls draw in common. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"

int error_of(int r)
{
	return r < 0 ? -errno : 0;
}

unsigned int draw_npages(struct fuzzer *fuzzer)
{
	switch (draw(fuzzer, 32)) {
	case 0:
		/* From 64 MiB on, several processors clear it. */
		if (!draw(fuzzer, 24))
			return 64 * MIB / PAGE + draw(fuzzer, 1000);
		return 1 + draw(fuzzer, 8 * MIB / PAGE);
	case 1 ... 3: return 512 * (1 + draw(fuzzer, 4));
	case 4 ... 9: return 1 + draw(fuzzer, 1300);
	default: return 1 + draw(fuzzer, 64);
	}
}

void draw_want(struct fuzzer *fuzzer, struct map_contig_constraints *want)
{
	memset(want, 0, sizeof(*want));
	if (draw(fuzzer, 2))
		return;
	if (!draw(fuzzer, 3))
		want->alignment = 1ULL << draw(fuzzer, 26);
	if (!draw(fuzzer, 3))
		want->boundary = 1ULL << (12 + draw(fuzzer, 18));
	switch (draw(fuzzer, 8)) {
	case 0: want->phys_max = 0xffffffff; break;
	case 1: want->phys_max = 0x3fffffff + draw(fuzzer, 0x40000000); break;
	case 2: want->phys_max = 0xffffff; break;
	case 3: want->phys_max = draw(fuzzer, 0x10000); break;
	}
	want->node_mode = draw(fuzzer, 3);
	if (want->node_mode)
		want->node = draw(fuzzer, 3);
	if (!draw(fuzzer, 4))
		want->deadline_ms = 1 + draw(fuzzer, 500);
}

/* As any tool may look at the process. */
static void call_maps(struct fuzzer *fuzzer)
{
	static const char *const files[] = { "/proc/self/maps", "/proc/self/smaps",
					     "/proc/self/numa_maps" };
	char text[4096];
	int fd = open(files[draw(fuzzer, 3)], O_RDONLY | O_CLOEXEC);

	while (fd >= 0 && read(fd, text, sizeof(text)) > 0)
		;
	if (fd >= 0)
		close(fd);
	note(fuzzer, CALL_MAPS, 0, "maps");
}

static const struct {
	unsigned int weight;
	void (*on_region)(struct fuzzer *fuzzer, struct region *region);
	void (*alone)(struct fuzzer *fuzzer);
} calls[] = {
	{ 8, NULL, call_alloc },
	{ 8, NULL, call_mmap_node },
	{ 10, call_mmap_descriptor, NULL },
	{ 3, call_mmap_buffer, NULL },
	{ 3, call_mmap_offset, NULL },
	{ 10, call_munmap, NULL },
	{ 4, call_mprotect, NULL },
	{ 4, call_mremap, NULL },
	{ 8, call_madvise, NULL },
	{ 1, call_soft_offline, NULL },
	{ 1, call_poison, NULL },
	{ 1, call_mlock, NULL },
	{ 1, call_uffd, NULL },
	{ 10, call_write, NULL },
	{ 10, call_check, NULL },
	{ 3, call_query, NULL },
	{ 2, call_hold, NULL },
	{ 3, call_export, NULL },
	{ 5, call_close, NULL },
	{ 1, NULL, call_limits },
	{ 1, NULL, call_oracle },
	{ 1, NULL, call_version },
	{ 1, NULL, call_configure },
	{ 4, NULL, call_malformed },
	{ 3, call_send, NULL },
	{ 3, NULL, call_receive },
	{ 4, call_pin, NULL },
	{ 4, call_unpin, NULL },
	{ 1, NULL, call_obstacle },
	{ 1, NULL, call_maps },
	{ 5, call_drop, NULL },
	{ 2, NULL, call_fork },
	{ 1, NULL, call_user },
};

void call_any(struct fuzzer *fuzzer)
{
	unsigned int weights = 0, at, i;
	struct region *region;

	for (i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		weights += calls[i].weight;
	at = draw(fuzzer, weights);
	for (i = 0; at >= calls[i].weight; i++)
		at -= calls[i].weight;
	if (calls[i].alone) {
		calls[i].alone(fuzzer);
		return;
	}
	region = region_pick(fuzzer);
	if (!region)
		return;
	calls[i].on_region(fuzzer, region);
	pthread_mutex_unlock(&region->lock);
}
