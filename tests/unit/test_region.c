// SPDX-License-Identifier: BSD-3-Clause
/*
 * Regions without devices: where they lie, what they are made of, and that
 * the reservation is whole whatever happens.
 */
#include "unit.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct vdma_arena *arena;

static int with_arena(void **state)
{
	reset(state);
	return vdma_arena_create(NULL, &arena);
}

static int without_arena(void **state)
{
	const struct vdma_window *w = (const struct vdma_window *)(const void *)arena;
	bool whole = fake_is_reserved((void *)w->va, w->len);

	if (!whole)
		print_error("the reservation has a gap\n");
	return vdma_arena_destroy(arena) || !whole ? -1 : check_clean(state);
}

static struct vdma_region_opts with(enum vdma_provider provider, uint32_t bits, size_t page_size)
{
	return (struct vdma_region_opts){ .size = sizeof(struct vdma_region_opts),
					  .provider = provider,
					  .address_bits = bits,
					  .page_size = page_size };
}

static struct vdma_region *create(size_t len, enum vdma_provider provider, uint32_t bits)
{
	struct vdma_region_opts opts = with(provider, bits, 0);
	struct vdma_region *region = NULL;

	ASSERT_OK(vdma_region_create(arena, len, &opts, &region));
	return region;
}

static uint64_t used_bytes(void)
{
	struct vdma_arena_info info = { .size = sizeof(info) };

	ASSERT_OK(vdma_arena_query(arena, &info));
	return info.bytes;
}

static void test_contig(void **state)
{
	struct vdma_region_info info = { .size = sizeof(info) };
	struct vdma_region *region;
	struct vdma_buf buf, part = { 0 };

	(void)state;
	ASSERT_OK(vdma_region_create(arena, 5000, NULL, &region));
	buf = vdma_region_buf(region);
	assert_int_equal(buf.len, 8192);
	assert_int_equal(buf.iova, vdma_iova(arena, buf.va));
	assert_int_equal(buf.pa, fake.contig_pa);
	assert_int_equal(((char *)buf.va)[8191], 0);
	memset(buf.va, 1, buf.len);
	assert_int_equal(used_bytes(), 8192);

	ASSERT_OK(vdma_region_query(region, &info));
	assert_int_equal(info.provider, VDMA_PROVIDER_CONTIG);
	assert_int_equal(info.extents, 1);
	assert_int_equal(info.buf_len, 8192);
	assert_int_equal(info.granule, 4096);
	assert_int_equal(info.dma_entries, 1);
	assert_int_equal(info.mapped, 0);
	assert_int_equal(info.map_ns, 0);
	assert_true(info.populate_ns > 0);
	assert_int_equal(info.node, 0);

	ASSERT_OK(vdma_region_slice(region, 100, 50, &part));
	assert_ptr_equal(part.va, (char *)buf.va + 100);
	assert_int_equal(part.len, 50);
	assert_int_equal(part.iova, buf.iova + 100);
	assert_int_equal(part.pa, buf.pa + 100);
	ASSERT_OK(vdma_region_slice(region, 8191, 1, &part));
	ASSERT_FAILS(vdma_region_slice(region, 8191, 2, &part), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "8192");
	ASSERT_FAILS(vdma_region_slice(region, 8192, 0, &part), EINVAL, VDMA_CAUSE_ARGUMENT, "");
	ASSERT_FAILS(vdma_region_slice(region, 1, SIZE_MAX, &part), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "");
	assert_int_equal(part.iova, buf.iova + 8191);
	ASSERT_OK(vdma_region_destroy(region));
	assert_true(fake_is_reserved(buf.va, buf.len));
	assert_int_equal(used_bytes(), 0);
	ASSERT_OK(vdma_region_destroy(NULL));
}

static void test_physical_address_secret(void **state)
{
	struct vdma_region *region;
	struct vdma_buf part;

	(void)state;
	fake.contig_secret = true;
	ASSERT_OK(vdma_region_create(arena, 4096, NULL, &region));
	assert_true(vdma_region_buf(region).pa == VDMA_PA_NONE);
	ASSERT_OK(vdma_region_slice(region, 8, 8, &part));
	assert_true(part.pa == VDMA_PA_NONE);
	ASSERT_OK(vdma_region_destroy(region));
}

static void test_placement(void **state)
{
	struct vdma_region *small = create(4096, VDMA_PROVIDER_ANON, 0);
	struct vdma_region *low = create(4096, VDMA_PROVIDER_ANON, 28);
	struct vdma_region *low2m = create(2 * MIB + 4096, VDMA_PROVIDER_CONTIG, 32);
	struct vdma_region *large = create(3 * MIB, VDMA_PROVIDER_CONTIG, 0);
	/* More bits than the window has are no constraint. */
	struct vdma_region *wide = create(4096, VDMA_PROVIDER_ANON, 48);
	struct vdma_region *all = create(4096, VDMA_PROVIDER_ANON, 64);

	(void)state;
	assert_int_equal(vdma_region_buf(small).iova, window_of(arena) - 4096);
	assert_int_equal(vdma_region_buf(low).iova, 4096);
	assert_int_equal(vdma_region_buf(low2m).iova, 4 * MIB);
	assert_int_equal(vdma_region_buf(large).iova, window_of(arena) - 8 * MIB);
	assert_int_equal(vdma_region_buf(wide).iova, window_of(arena) - 8192);
	assert_int_equal(vdma_region_buf(all).iova, window_of(arena) - 12288);
	ASSERT_OK(vdma_region_destroy(all));
	ASSERT_OK(vdma_region_destroy(wide));
	ASSERT_OK(vdma_region_destroy(large));
	ASSERT_OK(vdma_region_destroy(low2m));
	ASSERT_OK(vdma_region_destroy(low));
	ASSERT_OK(vdma_region_destroy(small));
}

static void test_reserved_range_is_a_hole(void **state)
{
	/* 1 GiB fits twice at a multiple of 1 GiB, 1000 MiB above and below that. */
	const size_t len[] = { GIB, GIB, 1000 * MIB, 1000 * MIB };
	struct vdma_region *regions[4];
	unsigned int i;

	(void)state;
	for (i = 0; i < 4; i++)
		regions[i] = create(len[i], VDMA_PROVIDER_CONTIG, 32);
	for (i = 0; i < 4; i++) {
		uint64_t first = vdma_region_buf(regions[i]).iova;
		uint64_t last = first + vdma_region_buf(regions[i]).len - 1;

		assert_true(first >= 4096);
		assert_true(last < 0xfee00000 || (first > 0xfeefffff && last <= UINT32_MAX));
		assert_int_equal(first % (2 * MIB), 0);
	}
	for (i = 0; i < 4; i++)
		ASSERT_OK(vdma_region_destroy(regions[i]));
}

/* 1 GiB alignment where there is room, the next best where there is not. */
static void test_gib_alignment(void **state)
{
	struct vdma_region *region = create(GIB, VDMA_PROVIDER_CONTIG, 0);

	(void)state;
	assert_int_equal(vdma_region_buf(region).iova % GIB, 0);
	assert_int_equal((uintptr_t)vdma_region_buf(region).va % GIB, 0);
	ASSERT_OK(vdma_region_destroy(region));
	region = create(1500 * MIB, VDMA_PROVIDER_CONTIG, 31);
	assert_int_equal(vdma_region_buf(region).iova, 2 * MIB);
	ASSERT_OK(vdma_region_destroy(region));
}

static void test_hugetlb(void **state)
{
	struct vdma_region_opts opts = with(VDMA_PROVIDER_HUGETLB, 0, GIB);
	struct vdma_region_info info = { .size = sizeof(info) };
	struct vdma_region *region = create(1, VDMA_PROVIDER_HUGETLB, 0);

	(void)state;
	assert_int_equal(vdma_region_buf(region).len, 2 * MIB);
	assert_int_equal(vdma_region_buf(region).iova % (2 * MIB), 0);
	assert_true(vdma_region_buf(region).pa == VDMA_PA_NONE);
	ASSERT_OK(vdma_region_query(region, &info));
	assert_int_equal(info.granule, 2 * MIB);
	assert_int_equal(info.extents, 1);
	ASSERT_OK(vdma_region_destroy(region));

	/* The pool has 6 pages, 5 free, 1 of them promised: 4; needed are 5. */
	opts.page_size = 0;
	ASSERT_FAILS(vdma_region_create(arena, 9 * MIB, &opts, &region), ENOMEM,
		     VDMA_CAUSE_NO_HUGETLB, "5 hugetlb pages of 2 MiB", "4 are free",
		     "echo 7 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages");
	assert_int_equal(vdma_last_failure()->need, 5);
	assert_int_equal(vdma_last_failure()->limit, 4);
	/* That failed before the reservation was touched: its place is free. */
	ASSERT_OK(vdma_region_create(arena, 8 * MIB, &opts, &region));
	assert_int_equal(vdma_region_buf(region).iova, window_of(arena) - 8 * MIB);
	ASSERT_OK(vdma_region_destroy(region));
	opts.page_size = GIB;
	fake.hugetlb_free = 0;
	ASSERT_FAILS(vdma_region_create(arena, 1, &opts, &region), EOPNOTSUPP,
		     VDMA_CAUSE_UNSUPPORTED, "no hugetlb pages of 1 GiB");
	opts.page_size = 4096;
	ASSERT_FAILS(vdma_region_create(arena, 1, &opts, &region), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "1073741824");
}

static void test_anon(void **state)
{
	struct vdma_region_opts opts = with(VDMA_PROVIDER_ANON, 0, 4096);
	struct vdma_region *region;

	(void)state;
	ASSERT_OK(vdma_region_create(arena, 4097, &opts, &region));
	assert_int_equal(vdma_region_buf(region).len, 8192);
	ASSERT_OK(vdma_region_destroy(region));
	opts.page_size = 2 * MIB;
	ASSERT_OK(vdma_region_create(arena, 4097, &opts, &region));
	assert_int_equal(vdma_region_buf(region).len, 2 * MIB);
	assert_int_equal(vdma_region_buf(region).iova % (2 * MIB), 0);
	ASSERT_OK(vdma_region_destroy(region));
	opts.page_size = 8192;
	ASSERT_FAILS(vdma_region_create(arena, 1, &opts, &region), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "8192");
}

/* A child that reads @va: the signal that ends it, or 0. */
static int child_reads(const volatile char *va)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		/* Sanitizers would report and exit. */
		signal(SIGSEGV, SIG_DFL);
		_exit(*va & 0);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void test_not_inherited(void **state)
{
	struct vdma_region *anon = create(4096, VDMA_PROVIDER_ANON, 0);
	struct vdma_region *huge = create(2 * MIB, VDMA_PROVIDER_HUGETLB, 0);

	(void)state;
	assert_int_equal(child_reads(vdma_region_buf(anon).va), SIGSEGV);
	assert_int_equal(child_reads(vdma_region_buf(huge).va), SIGSEGV);
	ASSERT_OK(vdma_region_destroy(huge));
	ASSERT_OK(vdma_region_destroy(anon));
}

static void test_bad_arguments(void **state)
{
	struct vdma_region_opts opts = with(VDMA_PROVIDER_CONTIG, 0, 0);
	struct vdma_region *region;

	(void)state;
	ASSERT_FAILS(vdma_region_create(NULL, 1, NULL, &region), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "NULL");
	ASSERT_FAILS(vdma_region_create(arena, 1, NULL, NULL), EINVAL, VDMA_CAUSE_ARGUMENT, "NULL");
	ASSERT_FAILS(vdma_region_create(arena, 0, NULL, &region), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "1 byte");
	opts.page_size = 4096;
	ASSERT_FAILS(vdma_region_create(arena, 1, &opts, &region), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "page_size");
	opts = with((enum vdma_provider)8, 0, 0);
	ASSERT_FAILS(vdma_region_create(arena, 1, &opts, &region), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "provider 8");
	opts = with(VDMA_PROVIDER_CONTIG, 65, 0);
	ASSERT_FAILS(vdma_region_create(arena, 1, &opts, &region), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "65");
}

static void test_no_addresses(void **state)
{
	struct vdma_region_opts opts = with(VDMA_PROVIDER_ANON, 16, 0);
	struct vdma_region *region, *other;

	(void)state;
	if (on_valgrind())
		skip();
	ASSERT_FAILS(vdma_region_create(arena, 64 << 10, &opts, &region), EADDRNOTAVAIL,
		     VDMA_CAUSE_ADDRESS_BITS, "64 KiB", "2^16", "60 KiB");
	assert_int_equal(vdma_last_failure()->need, 64 << 10);
	assert_int_equal(vdma_last_failure()->limit, 60 << 10);
	ASSERT_OK(vdma_region_create(arena, 60 << 10, &opts, &region));
	ASSERT_FAILS(vdma_region_create(arena, 1, &opts, &other), EADDRNOTAVAIL,
		     VDMA_CAUSE_ADDRESS_BITS, "0 bytes");
	ASSERT_OK(vdma_region_destroy(region));
	opts.address_bits = 0;
	ASSERT_FAILS(vdma_region_create(arena, 254 * GIB, &opts, &region), EADDRNOTAVAIL,
		     VDMA_CAUSE_WINDOW, "254 GiB", "window 256 GiB");
	ASSERT_FAILS(vdma_region_create(arena, SIZE_MAX, &opts, &region), EADDRNOTAVAIL,
		     VDMA_CAUSE_WINDOW, "256 GiB");
}

static void test_no_module(void **state)
{
	struct vdma_region *region = (void *)1;

	(void)state;
	fake_remove("/dev/map_contig");
	ASSERT_FAILS(vdma_region_create(arena, 1, NULL, &region), ENOENT, VDMA_CAUSE_NO_MODULE,
		     "/dev/map_contig", "insmod map_contig.ko");
	fake_deny("/dev/map_contig", EACCES);
	ASSERT_FAILS(vdma_region_create(arena, 1, NULL, &region), EACCES, VDMA_CAUSE_PERMISSION,
		     "/dev/map_contig", "chgrp");
	fake_deny("/dev/map_contig", EMFILE);
	ASSERT_FAILS(vdma_region_create(arena, 1, NULL, &region), EMFILE, VDMA_CAUSE_FILES,
		     "ulimit -n");
	assert_ptr_equal(region, (void *)1);
	assert_int_equal(used_bytes(), 0);
}

static void test_allocated_before_mapped(void **state)
{
	struct vdma_region *region = create(3 * MIB, VDMA_PROVIDER_CONTIG, 0);

	(void)state;
	assert_int_equal(fake.alloc.length, 3 * MIB);
	/* A child has nothing of it, as region.h says. */
	assert_int_equal(fake.alloc.want.fork, MAP_CONTIG_FORK_NONE);
	assert_int_equal(fake.alloc.flags, 0);
	assert_int_equal(fake_open_files(), 0);
	ASSERT_OK(vdma_region_destroy(region));
}

/* The module's first release knows neither ALLOC nor LIMITS nor ORACLE. */
static void test_old_module(void **state)
{
	struct vdma_region *region;

	(void)state;
	fake.contig_old = true;
	region = create(64 * MIB, VDMA_PROVIDER_CONTIG, 0);
	assert_int_equal(vdma_region_buf(region).pa, fake.contig_pa);
	ASSERT_OK(vdma_region_destroy(region));
	fake.contig_err = ENOMEM;
	ASSERT_FAILS(vdma_region_create(arena, 64 * MIB, NULL, &region), ENOMEM, VDMA_CAUSE_NO_RUN,
		     "64 MiB", "1000 MiB", "VDMA_PROVIDER_HUGETLB");
	assert_int_equal(vdma_last_failure()->need, 64 * MIB);
	assert_int_equal(vdma_last_failure()->limit, 1024000 * 1024);
}

static void test_no_run(void **state)
{
	struct vdma_region *region;

	(void)state;
	fake.contig_err = ENOMEM;
	fake.largest = 12 * MIB;
	ASSERT_FAILS(vdma_region_create(arena, 64 * MIB, NULL, &region), ENOMEM, VDMA_CAUSE_NO_RUN,
		     "64 MiB", "12 MiB", "reserve", "VDMA_PROVIDER_HUGETLB");
	assert_int_equal(vdma_last_failure()->need, 64 * MIB);
	assert_int_equal(vdma_last_failure()->limit, 12 * MIB);
	assert_int_equal(fake.oracle.length, 64 * MIB);
	fake.largest = 128 * MIB;
	ASSERT_FAILS(vdma_region_create(arena, 64 * MIB, NULL, &region), ENOMEM, VDMA_CAUSE_NO_RUN,
		     "64 MiB", "128 MiB", "again");
	fake.limits.left = 40 * MIB;
	fake.limits.floor = 300 * MIB;
	ASSERT_FAILS(vdma_region_create(arena, 64 * MIB, NULL, &region), ENOMEM,
		     VDMA_CAUSE_NO_MEMORY, "64 MiB", "40 MiB", "floor", "300 MiB");
	assert_int_equal(vdma_last_failure()->limit, 40 * MIB);
}

static void test_quota(void **state)
{
	struct vdma_region *region;

	(void)state;
	fake.contig_err = EDQUOT;
	fake.limits.user = 20 * MIB;
	fake.limits.user_copies = 4 * MIB;
	fake.limits.user_quota = 32 * MIB;
	fake.limits.total = 100 * MIB;
	fake.limits.ceiling = 110 * MIB;
	ASSERT_FAILS(vdma_region_create(arena, 9 * MIB, NULL, &region), EDQUOT, VDMA_CAUSE_QUOTA,
		     "9 MiB", "32 MiB", "24 MiB", "user_quota");
	assert_int_equal(vdma_last_failure()->used, 24 * MIB);
	assert_int_equal(vdma_last_failure()->limit, 32 * MIB);
	fake.limits.user_quota = MAP_CONTIG_UNLIMITED;
	ASSERT_FAILS(vdma_region_create(arena, 11 * MIB, NULL, &region), EDQUOT, VDMA_CAUSE_QUOTA,
		     "11 MiB", "110 MiB", "100 MiB", "ceiling");
	assert_int_equal(vdma_last_failure()->used, 100 * MIB);
	assert_int_equal(vdma_last_failure()->limit, 110 * MIB);
}

static void test_module_refuses(void **state)
{
	struct vdma_region *region;

	(void)state;
	fake.contig_err = EAGAIN;
	fake.memlock_limit = 8 * MIB;
	ASSERT_FAILS(vdma_region_create(arena, 64 * MIB, NULL, &region), EAGAIN, VDMA_CAUSE_MEMLOCK,
		     "64 MiB", "8 MiB", "ulimit -l", "LimitMEMLOCK");
	assert_int_equal(vdma_last_failure()->limit, 8 * MIB);
	fake.contig_err = EPERM;
	ASSERT_FAILS(vdma_region_create(arena, 1, NULL, &region), EPERM, VDMA_CAUSE_PRIVILEGE,
		     "CAP_IPC_LOCK");
	fake.contig_err = EINTR;
	ASSERT_FAILS(vdma_region_create(arena, 1, NULL, &region), EINTR, VDMA_CAUSE_SIGNAL,
		     "again");
	fake.contig_err = ETIME;
	ASSERT_FAILS(vdma_region_create(arena, 1, NULL, &region), ETIME, VDMA_CAUSE_DEADLINE,
		     "more time");
	fake.contig_err = EIO;
	ASSERT_FAILS(vdma_region_create(arena, 1, NULL, &region), EIO, VDMA_CAUSE_SYSTEM,
		     "map_contig");
	/* Allocated, but there is no memory for its page tables. */
	fake.contig_err = 0;
	fake.contig_map_err = ENOMEM;
	ASSERT_FAILS(vdma_region_create(arena, 1, NULL, &region), ENOMEM, VDMA_CAUSE_NO_RUN,
		     "page tables");
	assert_int_equal(used_bytes(), 0);
	/* The place is free again, and the reservation whole (checked at the end). */
	fake.contig_map_err = 0;
	ASSERT_OK(vdma_region_create(arena, 4096, NULL, &region));
	assert_int_equal(vdma_region_buf(region).iova, window_of(arena) - 4096);
	ASSERT_OK(vdma_region_destroy(region));
}

static void test_foreign_mapping_survives(void **state)
{
	struct vdma_region *region;
	char *top = (char *)vdma_va(arena, window_of(arena) - 4096);

	(void)state;
	/* While the module says no, another thread's mmap gets the gap. */
	fake.contig_map_err = ENOMEM;
	fake.foreign = true;
	ASSERT_FAILS(vdma_region_create(arena, 4096, NULL, &region), ENOMEM, VDMA_CAUSE_NO_RUN, "");
	top[0] = 1; /* it is alive */
	fake.contig_map_err = 0;
	ASSERT_OK(vdma_region_create(arena, 4096, NULL, &region));
	/* and nothing of ours is ever laid over it */
	assert_int_equal(vdma_region_buf(region).iova, window_of(arena) - 8192);
	assert_int_equal(top[0], 1);
	ASSERT_OK(vdma_region_destroy(region));
	mmap(top, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

static void test_destroy_can_be_repeated(void **state)
{
	struct vdma_region *region = create(4096, VDMA_PROVIDER_ANON, 0);

	(void)state;
	fake.fail_at = fake.calls + 1;
	fake.fail_err = ENOMEM;
	ASSERT_FAILS(vdma_region_destroy(region), ENOMEM, VDMA_CAUSE_NO_MEMORY, "unmap");
	*(char *)vdma_region_buf(region).va = 1;
	ASSERT_OK(vdma_region_destroy(region));
}

#define ARENA_TEST(fn) cmocka_unit_test_setup_teardown(fn, with_arena, without_arena)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ARENA_TEST(test_contig),
		ARENA_TEST(test_physical_address_secret),
		ARENA_TEST(test_placement),
		ARENA_TEST(test_reserved_range_is_a_hole),
		ARENA_TEST(test_gib_alignment),
		ARENA_TEST(test_hugetlb),
		ARENA_TEST(test_anon),
		ARENA_TEST(test_not_inherited),
		ARENA_TEST(test_bad_arguments),
		ARENA_TEST(test_no_addresses),
		ARENA_TEST(test_no_module),
		ARENA_TEST(test_allocated_before_mapped),
		ARENA_TEST(test_old_module),
		ARENA_TEST(test_no_run),
		ARENA_TEST(test_quota),
		ARENA_TEST(test_module_refuses),
		ARENA_TEST(test_foreign_mapping_survives),
		ARENA_TEST(test_destroy_can_be_repeated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
