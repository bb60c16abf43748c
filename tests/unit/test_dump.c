// SPDX-License-Identifier: BSD-3-Clause
/*
 * The dump: its map of the window, character by character, and that it says
 * what there is, of one region or of ten thousand, and no secret.
 */
#include "unit.h"

#include <sys/mman.h>

#define ROWS 8
#define COLUMNS 64
#define CELL (2 * MIB) /* of a window of 1 GiB */

static struct vdma_arena *arena;
static char *text;
static int with_arena(void **state)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts), .window = GIB };

	reset(state);
	add_edu(EDU, 5);
	add_edu(NIC, 6);
	return vdma_arena_create(&opts, &arena);
}

static int without_arena(void **state)
{
	free(text);
	text = NULL;
	return vdma_arena_destroy(arena) ? -1 : check_clean(state);
}

static void dump(void)
{
	size_t len = 0, room;

	ASSERT_OK(vdma_arena_dump(arena, NULL, &len));
	free(text);
	room = len + 1;
	text = malloc(room);
	assert_non_null(text);
	ASSERT_OK(vdma_arena_dump(arena, text, &room));
	assert_int_equal(room, len);
	assert_int_equal(strlen(text), len);
}

static void assert_has(const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in:\n%s", part, text);
}

static void assert_lacks(const char *part)
{
	if (strstr(text, part))
		fail_msg("\"%s\" is in:\n%s", part, text);
}

/* The map alone; its form is checked. */
static void get_map(char map[ROWS * COLUMNS + 1])
{
	const char *at = strstr(text, ", a character for 2 MiB:\n");
	unsigned long long iova;
	int row, used;

	assert_non_null(at);
	for (row = 0; row < ROWS; row++) {
		at = strchr(at, '\n') + 1;
		used = 0;
		assert_int_equal(sscanf(at, "  0x%12llx %n", &iova, &used), 1);
		assert_int_equal(iova, (unsigned long long)row * COLUMNS * CELL);
		memcpy(map + (size_t)row * COLUMNS, at + used, COLUMNS);
		assert_int_equal(at[used + COLUMNS], '\n');
	}
	map[ROWS * COLUMNS] = '\0';
	assert_int_equal(strspn(map, ".:+#-x?"), ROWS * COLUMNS);
}

/* All of the map is @rest but for what is at some places. */
static void assert_map(char rest, const char *symbols, const size_t *places)
{
	char map[ROWS * COLUMNS + 1];
	size_t i;

	dump();
	get_map(map);
	for (i = 0; i < strlen(symbols); i++) {
		if (map[places[i]] != symbols[i])
			fail_msg("there is %c at %zu, not %c:\n%s", map[places[i]], places[i],
				 symbols[i], text);
		map[places[i]] = rest;
	}
	for (i = 0; i < ROWS * COLUMNS; i++)
		if (map[i] != rest)
			fail_msg("there is %c at %zu:\n%s", map[i], i, text);
}

static void test_empty(void **state)
{
	(void)state;
	/* Page 0 is a hole. */
	assert_map('.', "-", (const size_t[]){ 0 });
	assert_has("window of 1 GiB");
	assert_has("usable 0x1000-0x3fffffff (assumed, until a device is open)\n");
	assert_has("address spaces: 0\n");
	assert_has("buffers: 0, in chunks: 0\n");
	assert_has("regions: 0, 0 bytes\n");
}

static void test_map(void **state)
{
	struct vdma_ioas *ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	struct vdma_region *regions[4], *none;
	struct vdma_device *dev;
	char *lost;
	size_t i;

	(void)state;
	/* Holes: one part whole, 1 MiB of the next, and all from 512 MiB on. */
	fake.ranges[0] = (struct vdma_range){ 0, 100 * CELL - 1 };
	fake.ranges[1] = (struct vdma_range){ 101 * CELL + MIB, 256 * CELL - 1 };
	dev = device_of(ioas, EDU);
	dump();
	{
		char map[ROWS * COLUMNS + 1];

		get_map(map);
		assert_int_equal(map[0], '-');
		assert_int_equal(strspn(map + 1, "."), 99);
		assert_int_equal(map[100], 'x');
		assert_int_equal(map[101], '-');
		assert_int_equal(strspn(map + 102, "."), 154);
		assert_int_equal(strspn(map + 256, "x"), 256);
	}
	assert_has("usable 0x1000-0xc7fffff, 0xcb00000-0x1fffffff\n");
	assert_has("  0: type1 (VFIO has containers of type1 v2), 0 bytes locked in 0 entries\n"
		   "     reach 0x0-0xc7fffff, 0xcb00000-0x1fffffff\n"
		   "     devices " EDU "\n");

	/* From the top: two parts full, one more than half, one half, one nearly full. */
	regions[0] = anon_region(arena, 2 * CELL);
	regions[1] = anon_region(arena, CELL - MIB + 4096);
	regions[2] = anon_region(arena, MIB);
	regions[3] = anon_region(arena, CELL - 4096);
	dump();
	{
		char map[ROWS * COLUMNS + 1];

		get_map(map);
		assert_memory_equal(map + 251, "+:+##x", 6);
	}
	for (i = 0; i < 4; i++)
		ASSERT_OK(vdma_region_destroy(regions[i]));
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));

	/* A place that was lost to another thread's mapping. */
	fake.contig_map_err = ENOMEM;
	fake.foreign = true;
	ASSERT_FAILS(vdma_region_create(arena, 4096, NULL, &none), ENOMEM, VDMA_CAUSE_NO_RUN, "");
	assert_map('.', "-?", (const size_t[]){ 0, 511 });
	lost = vdma_va(arena, GIB - 4096);
	mmap(lost, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

static void test_regions(void **state)
{
	struct vdma_ioas *a = ioas_of(arena, VDMA_BACKEND_TYPE1),
			 *b = ioas_of(arena, VDMA_BACKEND_TYPE1);
	struct vdma_region_opts opts = { .size = sizeof(opts), .access = VDMA_ACCESS_READ };
	struct vdma_region *before = anon_region(arena, 4096), *region;
	struct vdma_device *edu, *nic;
	struct vdma_buf buf;
	char line[128];

	(void)state;
	buf = vdma_region_buf(before);
	snprintf(line, sizeof(line), "0x%012llx 0x%012llx %14s         4 KiB anon    both   -\n",
		 (unsigned long long)buf.iova, (unsigned long long)(uintptr_t)buf.va, "-");
	dump();
	assert_has(line);
	edu = device_of(a, EDU);
	nic = device_of(b, NIC);
	ASSERT_OK(vdma_region_create(arena, 6 * MIB, &opts, &region));
	buf = vdma_region_buf(region);
	snprintf(line, sizeof(line),
		 "0x%012llx 0x%012llx 0x%012llx         6 MiB contig  read   0,1\n",
		 (unsigned long long)buf.iova, (unsigned long long)(uintptr_t)buf.va,
		 (unsigned long long)fake.contig_pa);
	dump();
	assert_has(line);
	assert_has("  0: type1 ");
	assert_has("  1: type1 ");
	assert_has("6148 KiB locked in 2 entries");
	assert_has("devices " NIC "\n");
	assert_has("regions: 2, 6148 KiB\n");
	ASSERT_OK(vdma_device_close(edu));
	dump();
	assert_has("0 bytes locked in 0 entries\n     no device\n");
	assert_has("read   1\n");
	ASSERT_OK(vdma_device_close(nic));
	ASSERT_OK(vdma_ioas_destroy(a));
	ASSERT_OK(vdma_ioas_destroy(b));
	ASSERT_OK(vdma_region_destroy(before));
	ASSERT_OK(vdma_region_destroy(region));
}

static void test_physical_address_secret(void **state)
{
	struct vdma_region *region;
	static const char pa[] = " 0x0005a5a5a000 ";

	(void)state;
	fake.contig_pa = 0x5a5a5a000;
	ASSERT_OK(vdma_region_create(arena, 4096, NULL, &region));
	dump();
	assert_has(pa);
	ASSERT_OK(vdma_region_destroy(region));
	fake.contig_secret = true;
	ASSERT_OK(vdma_region_create(arena, 4096, NULL, &region));
	dump();
	assert_has("contig");
	assert_lacks(pa);
	ASSERT_OK(vdma_region_destroy(region));
}

static void test_chunks(void **state)
{
	struct vdma_buf_opts low = { .size = sizeof(low), .address_bits = 28 };
	struct vdma_buf a, b, c;

	(void)state;
	ASSERT_OK(vdma_buf_alloc(arena, 16 * MIB, NULL, &a));
	ASSERT_OK(vdma_buf_alloc(arena, 64, NULL, &b));
	ASSERT_OK(vdma_buf_alloc(arena, 64 * MIB, &low, &c));
	dump();
	assert_has("buffers: 3, in chunks: 2\n");
	assert_has("  0x00003c000000     64 MiB of contig,  25 % in 2 buffers\n");
	assert_has("  0x000004000000     64 MiB of contig, 100 % in 1 buffers\n");
	ASSERT_OK(vdma_buf_free(arena, &a));
	ASSERT_OK(vdma_buf_free(arena, &b));
	ASSERT_OK(vdma_buf_free(arena, &c));
	ASSERT_OK(vdma_buf_trim(arena));
}

/* Freed addresses that are held back show, in the map and in numbers. */
static void test_checked(void **state)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts),
					.window = GIB,
					.flags = VDMA_ARENA_CHECK };
	struct vdma_buf a, b;

	(void)state;
	ASSERT_OK(vdma_arena_destroy(arena));
	ASSERT_OK(vdma_arena_create(&opts, &arena));
	ASSERT_OK(vdma_region_destroy(anon_region(arena, MIB)));
	assert_map('.', "-?", (const size_t[]){ 0, 511 });
	ASSERT_OK(vdma_buf_alloc(arena, 100, NULL, &a));
	ASSERT_OK(vdma_buf_alloc(arena, 32 * MIB, NULL, &b));
	ASSERT_OK(vdma_buf_free(arena, &a));
	dump();
	assert_has(
		"\nchecked, with gaps of 64 KiB; held back: 1 MiB of regions, 100 bytes of buffers\n");
	assert_has("50 % in 1 buffers and 1 held back\n");
	ASSERT_OK(vdma_buf_free(arena, &b));
}

/* Device addresses have nothing to do with the window then. */
static void test_physical(void **state)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts),
					.window = GIB,
					.translation = VDMA_TRANSLATION_PHYSICAL };
	struct vdma_region *region;
	struct vdma_device *dev;
	struct vdma_ioas *ioas;
	struct vdma_buf buf;
	char line[128], map[ROWS * COLUMNS + 1];

	(void)state;
	ASSERT_OK(vdma_arena_destroy(arena));
	fake_reset();
	bare_machine();
	ASSERT_OK(vdma_arena_create(&opts, &arena));
	ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	dev = device_of(ioas, EDU);
	ASSERT_OK(vdma_region_create(arena, 5000, NULL, &region));
	buf = vdma_region_buf(region);
	dump();
	assert_has(", device addresses are physical\n\nmap of the window by offset, ");
	assert_lacks("usable");
	assert_has("  0: noiommu (");
	assert_has("), 8 KiB tied to its devices in 1 regions\n");
	snprintf(line, sizeof(line),
		 "0x%012llx 0x%012llx 0x%012llx         8 KiB contig  both   0\n",
		 (unsigned long long)buf.pa, (unsigned long long)(uintptr_t)buf.va,
		 (unsigned long long)buf.pa);
	assert_has(line);
	/* It has a slot for itself, the last one. */
	get_map(map);
	assert_int_equal(strspn(map, "."), ROWS * COLUMNS - 1);
	assert_int_equal(map[ROWS * COLUMNS - 1], '#');
	ASSERT_OK(vdma_region_destroy(region));
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

/* However many there are, what matters comes first, and the rest is sorted. */
static void test_many(void **state)
{
	static struct vdma_region *regions[10000];
	const char *at, *end;
	unsigned long long iova, last = 0;
	size_t i, lines = 0;

	(void)state;
	for (i = 0; i < 10000; i++)
		regions[i] = anon_region(arena, 4096);
	/* Not in the order in which they were made. */
	for (i = 0; i < 10000; i += 3) {
		ASSERT_OK(vdma_region_destroy(regions[i]));
		regions[i] = anon_region(arena, 8192);
	}
	dump();
	at = strstr(text, "\nregions: 10000, ");
	assert_non_null(at);
	assert_true(at - text < 1500);
	for (at = strchr(at + 1, '\n') + 1; *at; at = end + 1) {
		end = strchr(at, '\n');
		assert_true(end - at <= 100);
		if (!lines++)
			continue; /* the heads of the columns */
		assert_int_equal(sscanf(at, "  0x%12llx 0x", &iova), 1);
		assert_true(iova > last);
		last = iova;
	}
	assert_int_equal(lines, 10001);
	for (i = 0; i < 10000; i++)
		ASSERT_OK(vdma_region_destroy(regions[i]));
}

static void test_failures(void **state)
{
	char buf[8] = "as was";
	size_t len = sizeof(buf);

	(void)state;
	ASSERT_FAILS(vdma_arena_dump(NULL, buf, &len), EINVAL, VDMA_CAUSE_ARGUMENT, "arena");
	ASSERT_FAILS(vdma_arena_dump(arena, NULL, &len), EINVAL, VDMA_CAUSE_ARGUMENT, "NULL");
	ASSERT_FAILS(vdma_arena_dump(arena, buf, NULL), EINVAL, VDMA_CAUSE_ARGUMENT, "NULL");
	fake_fail_alloc(1);
	ASSERT_FAILS(vdma_arena_dump(arena, buf, &len), ENOMEM, VDMA_CAUSE_NO_MEMORY, "bytes");
	fake_fail_alloc(0);
	assert_int_equal(len, sizeof(buf));
	assert_string_equal(buf, "as was");
	ASSERT_OK(vdma_arena_dump(arena, buf, &len));
	assert_true(len > sizeof(buf));
	assert_string_equal(buf, "arena 0");
}

#define ARENA_TEST(fn) cmocka_unit_test_setup_teardown(fn, with_arena, without_arena)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ARENA_TEST(test_empty),	   ARENA_TEST(test_map),
		ARENA_TEST(test_regions),  ARENA_TEST(test_physical_address_secret),
		ARENA_TEST(test_chunks),   ARENA_TEST(test_physical),
		ARENA_TEST(test_checked),  ARENA_TEST(test_many),
		ARENA_TEST(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
