// SPDX-License-Identifier: BSD-3-Clause
/* What runs out: locked memory, DMA entries, memory, addresses; and what is not pinned. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "guest.h"

#define ENTRY_LIMIT "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit"
#define SLACK ((int64_t)(6 * MIB))

/* A child makes one of its own. */
static struct space space;

static int create(void **state)
{
	(void)state;
	space = space_create();
	return 0;
}

static int destroy(void **state)
{
	(void)state;
	space_destroy(&space);
	return 0;
}

/* A region that shall fail, and leave its result alone. */
static int create_fails(size_t len, enum vdma_provider provider, unsigned int bits)
{
	struct vdma_region_opts opts = {
		.size = sizeof(opts),
		.provider = provider,
		.address_bits = bits,
	};
	struct vdma_region *const none = (struct vdma_region *)&space;
	struct vdma_region *region = none;
	int err = vdma_region_create(space.arena, len, &opts, &region);

	if (err && region != none)
		_exit(98);
	return err;
}

/* Everybody may open the nodes: what is refused then is refused by a limit. */
static void let_everybody(const char *bdf)
{
	assert_return_code(chmod("/dev/map_contig", 0666), errno);
	assert_return_code(chmod(space_path(), 0666), errno);
	assert_return_code(chmod(node_path(bdf), 0666), errno);
}

/* The module's own sum per user: what the user holds counts, also without a device. */
static int memlock_contig(void *unused)
{
	struct vdma_region *region;
	bool good;

	(void)unused;
	space = space_create();
	become(NOBODY, 8 * MIB);
	WORKS(vdma_region_create(space.arena, 6 * MIB, NULL, &region));
	good = EXPLAINED(create_fails(4 * MIB, VDMA_PROVIDER_CONTIG, 0), EAGAIN, MEMLOCK, "4 MiB",
			 "RLIMIT_MEMLOCK", "8 MiB", "ulimit -l", "CAP_IPC_LOCK");
	good &= vdma_last_failure()->need == 4 * MIB && vdma_last_failure()->limit == 8 * MIB;
	WORKS(vdma_region_destroy(region));
	WORKS(vdma_region_create(space.arena, 8 * MIB, NULL, &region));
	WORKS(vdma_region_destroy(region));
	return good ? 0 : 1;
}

static int memlock_zero(void *unused)
{
	(void)unused;
	space = space_create();
	become(NOBODY, 0);
	return EXPLAINED(create_fails(PAGE, VDMA_PROVIDER_CONTIG, 0), EPERM, PRIVILEGE,
			 "RLIMIT_MEMLOCK is 0", "CAP_IPC_LOCK") ?
		       0 :
		       1;
}

/*
 * VFIO's charge, for memory that is not locked before it is mapped. What a user
 * has locked through iommufd the kernel does not tell.
 */
static int memlock_map(void *bdf)
{
	bool told = backend() != VDMA_BACKEND_IOMMUFD;
	struct vdma_region *region;
	struct vdma_device *dev;
	bool good;

	space = space_create();
	become(NOBODY, 8 * MIB);
	WORKS(vdma_device_open(space.ioas, bdf, NULL, &dev));
	region = region_of(space.arena, VDMA_PROVIDER_ANON, 6 * MIB, 0);
	good = EXPLAINED(create_fails(4 * MIB, VDMA_PROVIDER_ANON, 0), EAGAIN, MEMLOCK, "4 MiB",
			 told ? "6 MiB" : "iommufd", "8 MiB", "ulimit -l");
	good &= vdma_last_failure()->need == 4 * MIB && vdma_last_failure()->limit == 8 * MIB &&
		vdma_last_failure()->used == (told ? 6 * MIB : 0);
	WORKS(vdma_region_destroy(region));
	vdma_device_close(dev);
	return good ? 0 : 1;
}

/* The same at the device: its regions do not fit, it is not opened. */
static int memlock_attach(void *bdf)
{
	struct vdma_region *region;
	struct vdma_device *dev = NULL;
	bool good;

	space = space_create();
	become(NOBODY, 8 * MIB);
	region = region_of(space.arena, VDMA_PROVIDER_ANON, 12 * MIB, 0);
	good = EXPLAINED(vdma_device_open(space.ioas, bdf, NULL, &dev), EAGAIN, MEMLOCK, "12 MiB",
			 "8 MiB", "ulimit -l") &&
	       !dev;
	WORKS(vdma_region_destroy(region));
	/* Nothing stayed open. */
	WORKS(vdma_device_open(space.ioas, bdf, NULL, &dev));
	vdma_device_close(dev);
	return good ? 0 : 1;
}

/*
 * D7: a limit of N is enough to allocate N and to register it once; not twice.
 * An unprivileged user drives the device, and does not learn where memory lies.
 */
static int memlock_exact(void *bdf)
{
	struct vdma_device *second = NULL;
	struct vdma_region *region;
	struct vdma_ioas *other;
	struct vdma_buf buf;
	struct edu edu;
	bool good;

	space = space_create();
	become(NOBODY, 8 * MIB);
	EDU_WORKS(&edu, edu_open(&edu, space.ioas, bdf, EDU_ADDRESS_BITS));
	EDU_WORKS(&edu, edu_irq_use(&edu, VDMA_IRQ_MSI));
	region = region_of(space.arena, VDMA_PROVIDER_CONTIG, 8 * MIB, EDU_ADDRESS_BITS);
	buf = vdma_region_buf(region);
	assert_int_equal(buf.pa, VDMA_PA_NONE);
	dma_verify(&edu, &buf, 1);
	other = ioas_of(space.arena);
	good = EXPLAINED(vdma_device_open(other, bdf_of("VDMA_BDF_EDU2"), NULL, &second), EAGAIN,
			 MEMLOCK, "8 MiB", "RLIMIT_MEMLOCK") &&
	       !second;
	WORKS(vdma_ioas_destroy(other));
	dma_verify(&edu, &buf, 2);
	WORKS(vdma_region_destroy(region));
	edu_close(&edu);
	return good ? 0 : 1;
}

static void memlock(void **state)
{
	const char *bdf = bdf_of("VDMA_BDF_EDU");
	int64_t mem = mem_free_settled();

	(void)state;
	let_everybody(bdf);
	let_everybody(bdf_of("VDMA_BDF_EDU2"));
	assert_int_equal(in_child(memlock_contig, NULL), 0);
	assert_int_equal(in_child(memlock_zero, NULL), 0);
	assert_int_equal(in_child(memlock_map, (void *)(uintptr_t)bdf), 0);
	assert_int_equal(in_child(memlock_attach, (void *)(uintptr_t)bdf), 0);
	assert_int_equal(in_child(memlock_exact, (void *)(uintptr_t)bdf), 0);
	assert_int_equal(ledger_wait(0), 0);
	assert_true(mem_free_settled() > mem - SLACK);
}

static void dma_entries(void **state)
{
	struct vdma_region *region[3];
	struct vdma_device *dev;
	struct vdma_ioas_info info = { .size = sizeof(info) };
	struct space s;
	char normal[32];

	(void)state;
	if (backend() == VDMA_BACKEND_IOMMUFD)
		skip(); /* it has no such limit */
	file_read(ENTRY_LIMIT, normal, sizeof(normal));
	file_write(ENTRY_LIMIT, "2");
	s = space_create();
	WORKS(vdma_device_open(s.ioas, bdf_of("VDMA_BDF_EDU"), NULL, &dev));
	for (int i = 0; i < 2; i++)
		region[i] = region_of(s.arena, VDMA_PROVIDER_CONTIG, PAGE, 0);
	assert_true(EXPLAINED(vdma_region_create(s.arena, PAGE, NULL, &region[2]), ENOSPC,
			      DMA_ENTRIES, "2 of 2", ENTRY_LIMIT, "as root",
			      "fewer and larger regions"));
	assert_int_equal(vdma_last_failure()->limit, 2);
	assert_int_equal(vdma_last_failure()->used, 2);
	WORKS(vdma_ioas_query(s.ioas, &info));
	assert_int_equal(info.entries_used, 2);
	assert_int_equal(info.entries_left, 0);
	vdma_device_close(dev);

	/* At the device: three regions that are there already. */
	region[2] = region_of(s.arena, VDMA_PROVIDER_CONTIG, PAGE, 0);
	assert_true(EXPLAINED(vdma_device_open(s.ioas, bdf_of("VDMA_BDF_EDU"), NULL, &dev), ENOSPC,
			      DMA_ENTRIES, "3", "2", ENTRY_LIMIT));
	/* The remedy: a higher limit. It counts when the first device comes. */
	file_write(ENTRY_LIMIT, normal);
	WORKS(vdma_device_open(s.ioas, bdf_of("VDMA_BDF_EDU"), NULL, &dev));
	vdma_device_close(dev);
	for (int i = 0; i < 3; i++)
		WORKS(vdma_region_destroy(region[i]));
	space_destroy(&s);
}

/* More buffers, until an entry is missing: nothing is half-mapped then. */
static void exhaust_entries(const struct space *s)
{
	const struct vdma_buf_opts ordinary = { .size = sizeof(ordinary),
						.contiguity = VDMA_CONTIG_INDIFFERENT };
	struct vdma_ioas_info info = { .size = sizeof(info) };
	struct vdma_buf bufs[8];
	unsigned int n = 0;

	while (n < 8 && !vdma_buf_alloc(s->arena, 60 * MIB, &ordinary, &bufs[n]))
		n++;
	assert_in_range(n, 1, 7);
	assert_true(EXPLAINED(vdma_buf_alloc(s->arena, 60 * MIB, NULL, &bufs[n]), ENOSPC,
			      DMA_ENTRIES, "8 of 8", "as root", ENTRY_LIMIT));
	WORKS(vdma_ioas_query(s->ioas, &info));
	assert_int_equal(info.entries_used, 8);
	assert_int_equal(info.entries_left, 0);
	while (n--)
		WORKS(vdma_buf_free(s->arena, &bufs[n]));
}

/* 64 buffers where eight entries are allowed: in chunks, which the device reaches. */
static void buffers(void **state)
{
	static const size_t sizes[] = { 64, PAGE, 100, 64 * KIB, MIB, 9 * MIB, 2048, 9000 };
	struct vdma_arena_info info = { .size = sizeof(info) };
	bool limited = backend() != VDMA_BACKEND_IOMMUFD; /* which knows no entries */
	int64_t rss = status("VmRSS");
	struct vdma_buf bufs[64];
	struct space s;
	struct edu edu;
	char normal[32];

	(void)state;
	file_read(ENTRY_LIMIT, normal, sizeof(normal));
	file_write(ENTRY_LIMIT, "8");
	s = space_create();
	EDU_WORKS(&edu, edu_open(&edu, s.ioas, bdf_of("VDMA_BDF_EDU"), EDU_ADDRESS_BITS));
	EDU_WORKS(&edu, edu_irq_use(&edu, VDMA_IRQ_MSI));
	file_write(ENTRY_LIMIT, normal);
	for (unsigned int i = 0; i < 64; i++) {
		struct vdma_buf_opts opts = {
			.size = sizeof(opts),
			.align = i % 3 ? 0 : PAGE,
			.address_bits = EDU_ADDRESS_BITS,
			.contiguity = i % 4 ? VDMA_CONTIG_REQUIRED : VDMA_CONTIG_INDIFFERENT,
		};

		WORKS(vdma_buf_alloc(s.arena, sizes[i % 8], &opts, &bufs[i]));
		if (bufs[i].len >= 2000 && i < 16)
			dma_verify(&edu, &bufs[i], i);
	}
	WORKS(vdma_arena_query(s.arena, &info));
	/* Of each kind one, and one more of what has 64 MiB and more. */
	assert_in_range(info.chunks, 3, 7);
	assert_int_equal(ledger_lines(), info.chunks - 1);
	if (limited)
		exhaust_entries(&s);
	for (unsigned int i = 0; i < 64; i++)
		WORKS(vdma_buf_free(s.arena, &bufs[i]));
	WORKS(vdma_buf_trim(s.arena));
	edu_close(&edu);
	space_destroy(&s);
	/* Contiguous memory is in the ledger; the rest is the process's, as long as it has it. */
	assert_int_equal(ledger_wait(0), 0);
	assert_true(status("VmRSS") < rss + SLACK);
}

static void no_contiguous_run(void **state)
{
	int64_t total = meminfo("MemTotal"), mem = mem_free_settled();
	size_t len = (size_t)total / MIB * MIB + 64 * MIB;
	char need[32];

	(void)state;
	snprintf(need, sizeof(need), "%zu MiB", len / MIB);
	/* More than there is: not a matter of where it lies. */
	assert_true(EXPLAINED(create_fails(len, VDMA_PROVIDER_CONTIG, 0), ENOMEM, NO_MEMORY, need,
			      "parameter floor"));
	assert_int_equal(vdma_last_failure()->need, len);
	assert_int_equal(ledger_lines(), 0);
	assert_true(mem_free_settled() > mem - SLACK);
	/* Ordinary memory: refused at once, not by the OOM killer. */
	assert_true(EXPLAINED(create_fails(64 * GIB, VDMA_PROVIDER_ANON, 0), ENOMEM, NO_MEMORY,
			      "64 GiB"));
	assert_true(mem_free_settled() > mem - SLACK);
}

static void no_hugetlb_pages(void **state)
{
	struct vdma_region *region;

	(void)state;
	file_write("/proc/sys/vm/nr_hugepages", "1");
	assert_true(EXPLAINED(create_fails(8 * MIB, VDMA_PROVIDER_HUGETLB, 0), ENOMEM, NO_HUGETLB,
			      "4 hugetlb pages of 2 MiB", "1 are free", "nr_hugepages"));
	assert_int_equal(vdma_last_failure()->need, 4);
	assert_int_equal(vdma_last_failure()->limit, 1);
	follow_remedy();
	region = region_of(space.arena, VDMA_PROVIDER_HUGETLB, 8 * MIB, 0);
	WORKS(vdma_region_destroy(region));
	file_write("/proc/sys/vm/nr_hugepages", "0");
}

static void address_bits(void **state)
{
	struct vdma_region *region;

	(void)state;
	/* Page 0 is never handed out, so 12 bits hold nothing and 13 one page. */
	assert_true(EXPLAINED(create_fails(PAGE, VDMA_PROVIDER_CONTIG, 12), EADDRNOTAVAIL,
			      ADDRESS_BITS, "2^12", "4 KiB", "address_bits"));
	assert_true(EXPLAINED(create_fails(2 * PAGE, VDMA_PROVIDER_CONTIG, 13), EADDRNOTAVAIL,
			      ADDRESS_BITS, "2^13", "8 KiB"));
	region = region_of(space.arena, VDMA_PROVIDER_CONTIG, PAGE, 13);
	assert_int_equal(vdma_region_buf(region).iova, PAGE);
	assert_true(EXPLAINED(create_fails(PAGE, VDMA_PROVIDER_CONTIG, 13), EADDRNOTAVAIL,
			      ADDRESS_BITS, "2^13"));
	WORKS(vdma_region_destroy(region));
	assert_true(EXPLAINED(create_fails(512 * MIB, VDMA_PROVIDER_CONTIG, 28), EADDRNOTAVAIL,
			      ADDRESS_BITS, "2^28", "512 MiB"));
	assert_int_equal(vdma_last_failure()->need, 512 * MIB);
	assert_true(
		EXPLAINED(create_fails(PAGE, VDMA_PROVIDER_CONTIG, 65), EINVAL, ARGUMENT, "65"));
}

static void window(void **state)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts), .window = GIB };
	struct vdma_region *region = NULL;
	struct vdma_arena *arena = NULL;

	(void)state;
	WORKS(vdma_arena_create(&opts, &arena));
	assert_true(EXPLAINED(vdma_region_create(arena, 2 * GIB, NULL, &region), EADDRNOTAVAIL,
			      WINDOW, "1 GiB"));
	/* As long as the window, but page 0 is not to be had. */
	assert_true(EXPLAINED(vdma_region_create(arena, GIB, NULL, &region), EADDRNOTAVAIL, WINDOW,
			      "1 GiB", "larger window"));
	assert_null(region);
	WORKS(vdma_arena_destroy(arena));
}

/* Memory that the kernel does not pin, found when the device comes: the program has put it there. */
static void not_pinned(void **state)
{
	struct vdma_region *region = region_of(space.arena, VDMA_PROVIDER_ANON, 2 * PAGE, 0);
	char *page = (char *)vdma_region_buf(region).va + PAGE;
	const char *bdf = bdf_of("VDMA_BDF_EDU");
	struct vdma_device *dev = NULL;

	(void)state;
	assert_return_code(munmap(page, PAGE), errno);
	for (unsigned int i = 0; i < 2; i++) {
		assert_true(EXPLAINED(vdma_device_open(space.ioas, bdf, NULL, &dev), EOPNOTSUPP,
				      UNSUPPORTED, "cannot map these 8 KiB", "FOLL_LONGTERM",
				      "nothing is mapped", "only be read", "memfd"));
		assert_null(dev);
		assert_int_equal(vdma_last_failure()->sys_errno, EFAULT);
		assert_int_equal(vdma_last_failure()->need, 2 * PAGE);
		/* Then one that the process may not write; then as it was. */
		assert_ptr_equal(mmap(page, PAGE, i ? PROT_READ | PROT_WRITE : PROT_READ,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
				 page);
	}
	WORKS(vdma_device_open(space.ioas, bdf, NULL, &dev));
	WORKS(vdma_device_close(dev));
	WORKS(vdma_region_destroy(region));
}

int run_limits(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memlock),	    cmocka_unit_test(dma_entries),
		cmocka_unit_test(buffers),	    cmocka_unit_test(no_contiguous_run),
		cmocka_unit_test(no_hugetlb_pages), cmocka_unit_test(address_bits),
		cmocka_unit_test(window),	    cmocka_unit_test(not_pinned),
	};

	return cmocka_run_group_tests_name("limits", tests, create, destroy);
}
