// SPDX-License-Identifier: BSD-3-Clause
/*
 * What an arena counts, step by step, and that its JSON is strict and says the
 * same.
 */
#include "unit.h"

#include <ctype.h>
#include <linux/vfio.h>
#include <sys/mman.h>

static struct vdma_arena *arena;

static int with_arena(void **state)
{
	reset(state);
	add_edu(EDU, 5);
	add_edu(NIC, 6);
	fake.clock_step = 1000;
	return vdma_arena_create(NULL, &arena);
}

static int without_arena(void **state)
{
	return vdma_arena_destroy(arena) ? -1 : check_clean(state);
}

/*
 * JSON, as far as the library writes it: objects of names that need no escapes
 * and of whole numbers. Anything else fails, so what passes is JSON. "a.b" is
 * member b of the object a.
 */
static struct {
	char path[64];
	uint64_t value;
	bool seen;
} numbers[256];
static size_t nnumbers;

static const char *parse_object(const char *at, const char *path);

static const char *parse_value(const char *at, const char *path)
{
	char *end;

	if (*at == '{')
		return parse_object(at, path);
	if (!isdigit((unsigned char)*at) || (*at == '0' && isdigit((unsigned char)at[1])))
		fail_msg("no number: %.40s", at);
	assert_true(nnumbers < sizeof(numbers) / sizeof(numbers[0]));
	snprintf(numbers[nnumbers].path, sizeof(numbers[0].path), "%s", path);
	errno = 0;
	numbers[nnumbers].value = strtoull(at, &end, 10);
	assert_int_equal(errno, 0);
	numbers[nnumbers++].seen = false;
	return end;
}

static const char *parse_object(const char *at, const char *path)
{
	char name[64];
	int n, used;

	assert_int_equal(*at, '{');
	if (at[1] == '}')
		return at + 2;
	do {
		used = 0;
		n = snprintf(name, sizeof(name), "%s%s", path, *path ? "." : "");
		if (sscanf(at + 1, "\"%20[a-z0-9_]\":%n", name + n, &used) != 1 || !used)
			fail_msg("no name: %.40s", at);
		at = parse_value(at + 1 + used, name);
	} while (*at == ',');
	if (*at != '}')
		fail_msg("no end of an object: %.40s", at);
	return at + 1;
}

static uint64_t number(const char *path)
{
	size_t i;

	for (i = 0; i < nnumbers; i++)
		if (!strcmp(numbers[i].path, path)) {
			/* Each name once, and asked for once. */
			assert_false(numbers[i].seen);
			numbers[i].seen = true;
			return numbers[i].value;
		}
	fail_msg("there is no %s", path);
	return 0;
}

static void check_histogram(const char *path, const uint64_t *counts, unsigned int n)
{
	char name[128];
	unsigned int i;

	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%s.%llu", path, i ? 1ULL << i : 0ULL);
		if (counts[i])
			assert_int_equal(number(name), counts[i]);
	}
}

static void check_calls(const char *path, const struct vdma_call_stats *calls)
{
	const struct {
		const char *name;
		uint64_t value;
	} members[] = {
		{ "calls", calls->calls },   { "failures", calls->failures },
		{ "sum_ns", calls->sum_ns }, { "min_ns", calls->min_ns },
		{ "max_ns", calls->max_ns },
	};
	uint64_t sum = 0;
	char name[64];
	size_t i;

	for (i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		snprintf(name, sizeof(name), "%s.%s", path, members[i].name);
		assert_int_equal(number(name), members[i].value);
	}
	snprintf(name, sizeof(name), "%s.log2_ns", path);
	check_histogram(name, calls->log2_ns, VDMA_STATS_NS);
	for (i = 0; i < VDMA_STATS_NS; i++)
		sum += calls->log2_ns[i];
	assert_int_equal(sum, calls->calls);
}

static char json[8192];

/* The numbers, and that the JSON has them all and no others. */
static struct vdma_stats stats_of(void)
{
	struct vdma_stats s = { .size = sizeof(s) };
	size_t len = sizeof(json), i;

	ASSERT_OK(vdma_arena_stats(arena, &s));
	ASSERT_OK(vdma_arena_json(arena, json, &len));
	assert_int_equal(strlen(json), len);
	nnumbers = 0;
	assert_int_equal(*parse_object(json, ""), '\0');
	assert_int_equal(number("regions"), s.regions);
	assert_int_equal(number("regions_ever"), s.regions_ever);
	assert_int_equal(number("bytes"), s.bytes);
	assert_int_equal(number("bytes_ever"), s.bytes_ever);
	assert_int_equal(number("contig_bytes"), s.contig_bytes);
	assert_int_equal(number("chunks"), s.chunks);
	assert_int_equal(number("chunks_ever"), s.chunks_ever);
	assert_int_equal(number("bufs"), s.bufs);
	assert_int_equal(number("bufs_ever"), s.bufs_ever);
	assert_int_equal(number("buf_bytes"), s.buf_bytes);
	assert_int_equal(number("ioas"), s.ioas);
	assert_int_equal(number("devices"), s.devices);
	assert_int_equal(number("entries"), s.entries);
	assert_int_equal(number("locked"), s.locked);
	check_histogram("extents", s.extents, VDMA_STATS_BYTES);
	check_calls("populate", &s.populate);
	check_calls("map", &s.map);
	check_calls("unmap", &s.unmap);
	for (i = 0; i < nnumbers; i++)
		if (!numbers[i].seen)
			fail_msg("what is %s?", numbers[i].path);
	return s;
}

static struct vdma_region *region_of(enum vdma_provider provider, size_t len)
{
	struct vdma_region_opts opts = { .size = sizeof(opts), .provider = provider };
	struct vdma_region *region = NULL;

	ASSERT_OK(vdma_region_create(arena, len, &opts, &region));
	return region;
}

static void test_nothing_yet(void **state)
{
	struct vdma_stats s = stats_of(), none = { .size = sizeof(none) };

	(void)state;
	assert_memory_equal(&s, &none, sizeof(s));
}

static void test_regions(void **state)
{
	struct vdma_region *page = region_of(VDMA_PROVIDER_ANON, 100), *anon, *contig, *huge;
	struct vdma_stats s = stats_of();

	(void)state;
	assert_int_equal(s.regions, 1);
	assert_int_equal(s.bytes, 4096);
	assert_int_equal(s.extents[12], 1);
	assert_int_equal(s.populate.calls, 1);
	assert_int_equal(s.populate.sum_ns, 1000);
	assert_int_equal(s.contig_bytes, 0);

	anon = region_of(VDMA_PROVIDER_ANON, 3 * MIB);
	contig = region_of(VDMA_PROVIDER_CONTIG, 5 * MIB);
	huge = region_of(VDMA_PROVIDER_HUGETLB, 4 * MIB);
	s = stats_of();
	assert_int_equal(s.regions, 4);
	assert_int_equal(s.bytes, 12 * MIB + 4096);
	assert_int_equal(s.contig_bytes, 5 * MIB);
	/* One run; pages of 2 MiB; pages of 4 KiB. */
	assert_int_equal(s.extents[22], 1);
	assert_int_equal(s.extents[21], 2);
	assert_int_equal(s.extents[12], 1 + 768);
	assert_int_equal(s.populate.calls, 4);
	assert_int_equal(s.map.calls, 0);

	fake.contig_err = ENOMEM;
	ASSERT_FAILS(vdma_region_create(arena, 4096, NULL, &page), ENOMEM, VDMA_CAUSE_NO_RUN, "");
	s = stats_of();
	assert_int_equal(s.populate.calls, 5);
	assert_int_equal(s.populate.failures, 1);
	assert_int_equal(s.regions_ever, 4);

	ASSERT_OK(vdma_region_destroy(contig));
	ASSERT_OK(vdma_region_destroy(huge));
	ASSERT_OK(vdma_region_destroy(anon));
	ASSERT_OK(vdma_region_destroy(page));
	s = stats_of();
	assert_int_equal(s.regions, 0);
	assert_int_equal(s.bytes, 0);
	assert_int_equal(s.contig_bytes, 0);
	assert_int_equal(s.extents[12] + s.extents[21] + s.extents[22], 0);
	assert_int_equal(s.regions_ever, 4);
	assert_int_equal(s.bytes_ever, 12 * MIB + 4096);
}

static void test_mappings(void **state)
{
	struct vdma_region_opts opts = { .size = sizeof(opts), .provider = VDMA_PROVIDER_ANON };
	struct vdma_ioas *a = ioas_of(arena, VDMA_BACKEND_AUTO),
			 *b = ioas_of(arena, VDMA_BACKEND_AUTO);
	struct vdma_region *one = anon_region(arena, 4096), *two, *none;
	struct vdma_device *edu = device_of(a, EDU), *nic = device_of(b, NIC);
	struct vdma_stats s;

	(void)state;
	two = anon_region(arena, MIB);
	s = stats_of();
	assert_int_equal(s.ioas, 2);
	assert_int_equal(s.devices, 2);
	assert_int_equal(s.entries, 4);
	assert_int_equal(s.locked, 2 * (MIB + 4096));
	assert_int_equal(s.map.calls, 4);
	assert_int_equal(s.map.failures, 0);
	assert_int_equal(s.unmap.calls, 0);

	/* The second of two spaces refuses: the first gives back. */
	fake.fail_request = VFIO_IOMMU_MAP_DMA;
	fake.fail_request_skip = 1;
	fake.fail_request_err = ENXIO;
	ASSERT_FAILS(vdma_region_create(arena, 4096, &opts, &none), EIO, VDMA_CAUSE_SYSTEM, "");
	s = stats_of();
	assert_int_equal(s.map.calls, 6);
	assert_int_equal(s.map.failures, 1);
	assert_int_equal(s.unmap.calls, 1);
	assert_int_equal(s.entries, 4);
	assert_int_equal(s.locked, 2 * (MIB + 4096));

	fake.fail_request = VFIO_IOMMU_UNMAP_DMA;
	fake.fail_request_skip = 0;
	fake.fail_request_err = ENXIO;
	ASSERT_FAILS(vdma_region_destroy(two), EIO, VDMA_CAUSE_SYSTEM, "");
	s = stats_of();
	assert_int_equal(s.unmap.calls, 3);
	assert_int_equal(s.unmap.failures, 1);
	assert_int_equal(s.entries, 3);
	assert_int_equal(s.locked, MIB + 2 * 4096);
	assert_int_equal(s.regions, 2);
	ASSERT_OK(vdma_region_destroy(two));
	assert_int_equal(stats_of().locked, 2 * 4096);

	/* The last device takes the mappings along, without a call. */
	ASSERT_OK(vdma_device_close(nic));
	s = stats_of();
	assert_int_equal(s.unmap.calls, 4);
	assert_int_equal(s.devices, 1);
	assert_int_equal(s.entries, 1);
	assert_int_equal(s.locked, 4096);
	ASSERT_OK(vdma_device_close(edu));
	ASSERT_OK(vdma_ioas_destroy(a));
	ASSERT_OK(vdma_ioas_destroy(b));
	ASSERT_OK(vdma_region_destroy(one));
	s = stats_of();
	assert_int_equal(s.ioas + s.devices + s.entries + s.locked, 0);
}

/* Nothing is mapped, and what is locked the module has locked. */
static void test_without_iommu(void **state)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts),
					.translation = VDMA_TRANSLATION_PHYSICAL };
	struct vdma_region *before, *after;
	struct vdma_device *dev;
	struct vdma_ioas *ioas;
	struct vdma_stats s;

	(void)state;
	ASSERT_OK(vdma_arena_destroy(arena));
	fake_reset();
	bare_machine();
	ASSERT_OK(vdma_arena_create(&opts, &arena));
	before = region_of(VDMA_PROVIDER_CONTIG, 4096);
	ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	dev = device_of(ioas, EDU);
	after = region_of(VDMA_PROVIDER_CONTIG, MIB);
	s = stats_of();
	assert_int_equal(s.regions, 2);
	assert_int_equal(s.contig_bytes, MIB + 4096);
	assert_int_equal(s.extents[12], 1);
	assert_int_equal(s.extents[20], 1);
	assert_int_equal(s.devices, 1);
	assert_int_equal(s.entries + s.locked + s.map.calls, 0);
	ASSERT_OK(vdma_region_destroy(before));
	ASSERT_OK(vdma_region_destroy(after));
	assert_int_equal(stats_of().unmap.calls, 0);
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

static void test_times(void **state)
{
	static const uint64_t steps[] = { 1, 7, 8, 1000000, UINT64_C(1) << 40 };
	struct vdma_ioas *ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	struct vdma_device *dev = device_of(ioas, EDU);
	struct vdma_stats s;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		fake.clock_step = steps[i];
		ASSERT_OK(vdma_region_destroy(anon_region(arena, 4096)));
	}
	s = stats_of();
	assert_memory_equal(&s.map, &s.unmap, sizeof(s.map));
	assert_memory_equal(&s.map, &s.populate, sizeof(s.map));
	assert_int_equal(s.map.calls, 5);
	assert_int_equal(s.map.min_ns, 1);
	assert_int_equal(s.map.max_ns, UINT64_C(1) << 40);
	assert_int_equal(s.map.sum_ns, (UINT64_C(1) << 40) + 1000016);
	assert_int_equal(s.map.log2_ns[0], 1);
	assert_int_equal(s.map.log2_ns[2], 1);
	assert_int_equal(s.map.log2_ns[3], 1);
	assert_int_equal(s.map.log2_ns[19], 1);
	assert_int_equal(s.map.log2_ns[VDMA_STATS_NS - 1], 1);
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

static void test_bufs(void **state)
{
	struct vdma_stats s;
	struct vdma_buf a, b;

	(void)state;
	ASSERT_OK(vdma_buf_alloc(arena, 100, NULL, &a));
	ASSERT_OK(vdma_buf_alloc(arena, 4096, NULL, &b));
	s = stats_of();
	assert_int_equal(s.bufs, 2);
	assert_int_equal(s.buf_bytes, 128 + 4096);
	assert_int_equal(s.chunks, 1);
	assert_int_equal(s.regions, 1);
	assert_int_equal(s.extents[26], 1);

	/* As long as it is the same buffer, its length need not be the one asked for. */
	a.len = 128;
	ASSERT_OK(vdma_buf_free(arena, &a));
	assert_int_equal(stats_of().buf_bytes, 4096);
	ASSERT_FAILS(vdma_buf_free(arena, &a), EINVAL, VDMA_CAUSE_ARGUMENT, "");
	ASSERT_OK(vdma_buf_free(arena, &b));
	ASSERT_OK(vdma_buf_trim(arena));
	s = stats_of();
	assert_int_equal(s.bufs + s.buf_bytes + s.chunks + s.regions, 0);
	assert_int_equal(s.bufs_ever, 2);
	assert_int_equal(s.chunks_ever, 1);
}

/* What was freed is no buffer, but nobody else's bytes yet either. */
static void test_held_back(void **state)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts), .flags = VDMA_ARENA_CHECK };
	struct vdma_stats s;
	struct vdma_buf buf;

	(void)state;
	ASSERT_OK(vdma_arena_destroy(arena));
	ASSERT_OK(vdma_arena_create(&opts, &arena));
	ASSERT_OK(vdma_buf_alloc(arena, 100, NULL, &buf));
	assert_int_equal(stats_of().buf_bytes, 128);
	ASSERT_OK(vdma_buf_free(arena, &buf));
	s = stats_of();
	assert_int_equal(s.bufs, 0);
	assert_int_equal(s.buf_bytes, 128);
	ASSERT_OK(vdma_buf_trim(arena));
	assert_int_equal(stats_of().buf_bytes, 0);
}

/* Cut anywhere, the text is a beginning of the whole, and its length is told. */
static void test_cut(void **state)
{
	struct vdma_region *region = anon_region(arena, 4096);
	char *part;
	size_t room, len, whole = 0;

	(void)state;
	stats_of();
	ASSERT_OK(vdma_arena_json(arena, NULL, &whole));
	assert_int_equal(whole, strlen(json));
	for (room = 0; room <= whole + 1; room++) {
		/* Of that size, for AddressSanitizer. */
		part = malloc(room + 1);
		assert_non_null(part);
		part[room] = 'x';
		len = room;
		ASSERT_OK(vdma_arena_json(arena, part, &len));
		assert_int_equal(len, whole);
		assert_int_equal(part[room], 'x');
		if (room) {
			assert_int_equal(strlen(part), room - 1);
			assert_memory_equal(part, json, room - 1);
		}
		free(part);
	}
	ASSERT_OK(vdma_region_destroy(region));
}

static void test_arguments(void **state)
{
	struct {
		struct vdma_stats s;
		uint64_t newer;
	} larger = { .s.size = sizeof(larger), .newer = 7 };
	struct vdma_stats s = { .size = sizeof(s) - 1, .regions = 42 };
	size_t len = 10;

	(void)state;
	ASSERT_FAILS(vdma_arena_stats(NULL, &s), EINVAL, VDMA_CAUSE_ARGUMENT, "arena");
	ASSERT_FAILS(vdma_arena_stats(arena, NULL), EINVAL, VDMA_CAUSE_ARGUMENT, "NULL");
	ASSERT_FAILS(vdma_arena_stats(arena, &s), EINVAL, VDMA_CAUSE_ARGUMENT, "sizeof");
	assert_int_equal(s.regions, 42);
	ASSERT_FAILS(vdma_arena_json(NULL, json, &len), EINVAL, VDMA_CAUSE_ARGUMENT, "arena");
	ASSERT_FAILS(vdma_arena_json(arena, json, NULL), EINVAL, VDMA_CAUSE_ARGUMENT, "NULL");
	ASSERT_FAILS(vdma_arena_json(arena, NULL, &len), EINVAL, VDMA_CAUSE_ARGUMENT, "NULL");
	assert_int_equal(len, 10);

	/* A newer program's struct: what this library does not know is 0. */
	ASSERT_OK(vdma_arena_stats(arena, &larger.s));
	assert_int_equal(larger.s.size, sizeof(larger));
	assert_int_equal(larger.newer, 0);
}

#define ARENA_TEST(fn) cmocka_unit_test_setup_teardown(fn, with_arena, without_arena)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ARENA_TEST(test_nothing_yet), ARENA_TEST(test_regions),
		ARENA_TEST(test_mappings),    ARENA_TEST(test_without_iommu),
		ARENA_TEST(test_times),	      ARENA_TEST(test_bufs),
		ARENA_TEST(test_held_back),   ARENA_TEST(test_cut),
		ARENA_TEST(test_arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
