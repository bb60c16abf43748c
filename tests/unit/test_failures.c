// SPDX-License-Identifier: BSD-3-Clause
/*
 * Every system call and every allocation is made to fail once, one after the
 * other, while a program goes through its life. Whatever fails is said with a reason, and nothing is
 * left when the program is over.
 */
#include "unit.h"

#include <linux/vfio.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vdma/uapi/map_contig.h>

#include "../../libvdma/iommufd_abi.h"

#define CARD "0000:01:00.0"

static bool failed;

/* What a call that fails may not change. */
static struct {
	size_t files, mappings, mapped, allocations;
} before;

static void look(void)
{
	before.files = fake_open_files();
	before.mappings = fake_mappings();
	before.mapped = fake_mapped();
	before.allocations = fake_allocations();
}

/* A failing call has a reason of its own, and says how it ends. */
static bool undone(int ret)
{
	if (!ret)
		return true;
	failed = true;
	assert_true(ret < 0);
	assert_int_equal(vdma_last_failure()->err, ret);
	assert_true(vdma_last_failure()->cause != VDMA_CAUSE_NONE);
	assert_true(strlen(vdma_explain()) > 10);
	return false;
}

static bool unchanged(int ret, const char *call)
{
	if (undone(ret))
		return true;
	if (before.files != fake_open_files() || before.mappings != fake_mappings() ||
	    before.mapped != fake_mapped() || before.allocations != fake_allocations())
		fail_msg("%s failed (%s), and left %zd files, %zd mappings, %zd of address space, "
			 "%zd allocations",
			 call, vdma_explain(), fake_open_files() - before.files,
			 fake_mappings() - before.mappings, fake_mapped() - before.mapped,
			 fake_allocations() - before.allocations);
	return false;
}

/*
 * After a call that fails all is as before. What takes away (undone()) may have begun; the
 * first import of a pointer leaves its table, a buffer that cannot be noted down its chunk.
 */
#define ok(call) (look(), unchanged(call, #call))

static void use_device(struct vdma_device *dev, const char *bdf)
{
	struct vdma_bar bar;
	uint32_t value;

	if (ok(vdma_device_bar(dev, 0, &bar)))
		vdma_mmio_write32(bar.va, 0, 1);
	ok(vdma_device_config_read(dev, 0, 4, &value));
	ok(vdma_device_set_bus_master(dev, 1));
	if (ok(vdma_device_irq_enable(dev, VDMA_IRQ_MSI, 2))) {
		fake_fire(bdf, VFIO_PCI_MSI_IRQ_INDEX, 1);
		ok(vdma_device_irq_wait(dev, 1, 1000, NULL));
		undone(vdma_device_irq_disable(dev));
	}
	ok(vdma_device_reset(dev));
}

static void use_region(struct vdma_arena *arena, enum vdma_provider provider, size_t len)
{
	struct vdma_region_opts opts = { .size = sizeof(opts), .provider = provider };
	struct vdma_region *region;
	struct vdma_buf buf;

	if (!ok(vdma_region_create(arena, len, &opts, &region)))
		return;
	buf = vdma_region_buf(region);
	memset(buf.va, 1, buf.len);
	if (!undone(vdma_region_destroy(region)))
		assert_int_equal(vdma_region_destroy(region), 0);
}

/* Bound to a node; and if it is less than preferred, it has a reason. */
static void use_constraints(struct vdma_arena *arena, enum vdma_contiguity contiguity)
{
	const struct vdma_constraints constraints = {
		.size = sizeof(constraints),
		.align = 8192,
		.boundary = 4 * MIB,
		.node = VDMA_NODE(1),
		.max_segments = 1024,
		.contiguity = contiguity,
	};
	struct vdma_region_opts opts = {
		.size = sizeof(opts),
		.provider = VDMA_PROVIDER_AUTO,
		.constraints = &constraints,
	};
	struct vdma_buf_opts buf_opts = {
		.size = sizeof(buf_opts),
		.constraints = &constraints,
	};
	struct vdma_region_info info = { .size = sizeof(info) };
	bool preferred = contiguity == VDMA_CONTIG_PREFERRED;
	struct vdma_region *region;
	struct vdma_buf buf;

	if (ok(vdma_region_create(arena, 3 * MIB, &opts, &region))) {
		assert_int_equal(vdma_region_query(region, &info), 0);
		assert_int_equal(info.node, 1);
		assert_int_equal(info.cause != VDMA_CAUSE_NONE, *info.reason != 0);
		assert_int_equal(preferred && info.provider != VDMA_PROVIDER_CONTIG,
				 info.cause != VDMA_CAUSE_NONE);
		if (!undone(vdma_region_destroy(region)))
			assert_int_equal(vdma_region_destroy(region), 0);
	}
	/* Otherwise a failure may be noticed by nobody: a smaller chunk will do. */
	if (preferred && ok(vdma_buf_alloc(arena, MIB, &buf_opts, &buf))) {
		assert_int_equal(vdma_buf_query(arena, &buf, &info), 0);
		assert_int_equal(info.node, 1);
		assert_int_equal(vdma_buf_free(arena, &buf), 0);
		if (!undone(vdma_buf_trim(arena)))
			assert_int_equal(vdma_buf_trim(arena), 0);
	}
}

/* A file, a BAR, and a pointer twice, the second time in part; whatever of it there can be. */
static void use_imports(struct vdma_arena *arena, struct vdma_device *dev)
{
	struct vdma_region *regions[4] = { NULL };
	int fd = memfd_create("test", MFD_CLOEXEC), i;
	char *va = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(fd >= 0 && !ftruncate(fd, 8192) && va != MAP_FAILED);
	ok(vdma_region_import_fd(arena, fd, 4096, 0, NULL, &regions[0]));
	if (dev)
		ok(vdma_region_import_bar(arena, dev, 0, 4096, 8192, NULL, &regions[1]));
	if (undone(vdma_region_import_user(arena, va + 100, 8192, NULL, &regions[2])))
		assert_int_equal(vdma_iova_any(arena, va + 100, 8192),
				 vdma_region_buf(regions[2]).iova);
	if (undone(vdma_region_import_user(arena, va + 8192, 8192, NULL, &regions[3])))
		assert_int_equal(vdma_iova_any(arena, va + 8192, 8192),
				 vdma_region_buf(regions[3]).iova);
	for (i = 0; i < 4; i++)
		if (regions[i] && !undone(vdma_region_destroy(regions[i])))
			assert_int_equal(vdma_region_destroy(regions[i]), 0);
	assert_true(vdma_iova_any(arena, va + 100, 8192) == VDMA_IOVA_NONE);
	munmap(va, 16384);
	close(fd);
}

/* Of which the second half is a chunk that get adds. */
static void use_pool(struct vdma_arena *arena, uint32_t flags)
{
	static const struct vdma_region_opts contig = { .size = sizeof(contig) };
	struct vdma_pool_opts opts = { .size = sizeof(opts),
				       .max = 64,
				       .private_len = 32,
				       .flags = flags,
				       .region = &contig };
	struct vdma_pool_info info = { .size = sizeof(info) };
	struct vdma_pool_handle *handle;
	struct vdma_pool *pool;
	uint32_t numbers[64], n;

	if (!ok(vdma_pool_create(arena, 2048, 32, &opts, &pool)))
		return;
	if (ok(vdma_pool_handle_create(pool, &handle))) {
		n = vdma_pool_get_bulk(handle, numbers, 64);
		assert_true(n == 64 || n == 32);
		/* No result, but the reason is there. */
		if (n < 64)
			ok(vdma_last_failure()->err);
		if (n < 64 && ok(vdma_pool_grow(pool)))
			n += vdma_pool_get_bulk(handle, numbers + n, 32);
		for (uint32_t i = 0; i < n; i++)
			memset(vdma_pool_va(pool, numbers[i]), 1, 2048);
		assert_int_equal(vdma_pool_query(pool, &info), 0);
		assert_int_equal(info.out, n);
		assert_int_equal(info.buffers, n);
		assert_int_equal(vdma_pool_put_bulk(handle, numbers, n), 0);
		assert_int_equal(vdma_pool_handle_destroy(handle), 0);
	}
	if (!undone(vdma_pool_destroy(pool)))
		assert_int_equal(vdma_pool_destroy(pool), 0);
}

static void use_ring(struct vdma_arena *arena, const struct vdma_buf_opts *buf)
{
	struct vdma_ring_opts opts = { .size = sizeof(opts), .buf = buf };
	struct vdma_ring ring;

	if (!ok(vdma_ring_create(arena, 16, 1000, &opts, &ring)))
		return;
	memset(ring.buf.va, 1, ring.buf.len);
	undone(vdma_ring_destroy(&ring));
}

/* Whatever has failed, what is counted agrees with what there is. */
static void look_on(struct vdma_arena *arena)
{
	struct vdma_stats stats = { .size = sizeof(stats) };
	size_t json = 0, dump = 0;

	assert_int_equal(vdma_arena_stats(arena, &stats), 0);
	assert_int_equal(stats.entries, fake_mappings());
	assert_true(stats.populate.calls - stats.populate.failures >= stats.regions_ever);
	if (ok(vdma_arena_json(arena, NULL, &json)))
		assert_true(json > 100);
	if (ok(vdma_arena_dump(arena, NULL, &dump)))
		assert_true(dump > 600);
}

/* The same without an IOMMU: EDU of UIO, NIC of VFIO, memory tied to both. */
static void bare_life(void)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts),
					.translation = VDMA_TRANSLATION_PHYSICAL };
	struct vdma_region *region = NULL, *late = NULL;
	struct vdma_device *edu = NULL, *nic = NULL;
	struct vdma_ioas *ioas = NULL;
	struct vdma_arena *arena;
	struct vdma_bar bar;
	struct vdma_buf buf;

	if (!ok(vdma_arena_create(&opts, &arena)))
		return;
	ok(vdma_region_create(arena, 3 << 20, NULL, &region));
	if (ok(vdma_ioas_create(arena, NULL, &ioas))) {
		if (ok(vdma_device_open(ioas, EDU, NULL, &edu))) {
			ok(vdma_device_bar(edu, 0, &bar));
			if (ok(vdma_device_irq_enable(edu, VDMA_IRQ_INTX, 1))) {
				fake_uio_fire(EDU);
				ok(vdma_device_irq_wait(edu, 0, 1000, NULL));
				ok(vdma_device_irq_unmask(edu));
			}
			ok(vdma_device_reset(edu));
		}
		if (ok(vdma_device_open(ioas, NIC, NULL, &nic)))
			use_device(nic, NIC);
	}
	ok(vdma_region_create(arena, 4096, NULL, &late));
	look_on(arena);
	if (ok(vdma_buf_alloc(arena, MIB, NULL, &buf)))
		undone(vdma_buf_free(arena, &buf));
	if (!undone(vdma_buf_trim(arena)))
		assert_int_equal(vdma_buf_trim(arena), 0);
	if (region && !undone(vdma_region_destroy(region)))
		assert_int_equal(vdma_region_destroy(region), 0);
	assert_int_equal(vdma_device_close(edu), 0);
	assert_int_equal(vdma_device_close(nic), 0);
	if (late && !undone(vdma_region_destroy(late)))
		assert_int_equal(vdma_region_destroy(late), 0);
	assert_int_equal(vdma_ioas_destroy(ioas), 0);
	assert_int_equal(vdma_arena_destroy(arena), 0);
}

/* A function of a card with SR-IOV, that is reset with its bus, and memory for it alone. */
static void use_card(struct vdma_arena *arena, struct vdma_ioas *ioas)
{
	struct vdma_device_opts dev_opts = { .size = sizeof(dev_opts),
					     .vf_token = "bd8d9d2b-5a5f-4f5a-a211-f591514ba1f3" };
	struct vdma_region_opts opts = {
		.size = sizeof(opts), .provider = VDMA_PROVIDER_ANON, .ioas = &ioas, .nioas = 1
	};
	struct vdma_region *region = NULL;
	struct vdma_device *card = NULL;

	ok(vdma_region_create(arena, 4096, &opts, &region));
	if (ok(vdma_device_open(ioas, CARD, &dev_opts, &card)))
		ok(vdma_device_hot_reset(card));
	assert_int_equal(vdma_device_close(card), 0);
	if (region && !undone(vdma_region_destroy(region)))
		assert_int_equal(vdma_region_destroy(region), 0);
}

/* One who has as many regions in mind as he was told of. */
static int watch_added(void *ctx, struct vdma_region *region)
{
	(void)region;
	++*(unsigned int *)ctx;
	return 0;
}

static void watch_removed(void *ctx, struct vdma_region *region)
{
	(void)region;
	--*(unsigned int *)ctx;
}

static const struct vdma_observer_ops watch = {
	.size = sizeof(watch),
	.added = watch_added,
	.removed = watch_removed,
};

static void life(enum vdma_backend backend, uint32_t flags)
{
	struct vdma_arena_opts arena_opts = { .size = sizeof(arena_opts), .flags = flags };
	struct vdma_ioas_opts opts = { .size = sizeof(opts), .backend = backend };
	struct vdma_ioas *ioas = NULL, *second = NULL;
	struct vdma_device *edu = NULL, *nic = NULL;
	struct vdma_region *region = NULL;
	struct vdma_ioas_info info = { .size = sizeof(info) };
	struct vdma_observer *observer = NULL;
	unsigned int watched = 0;
	struct vdma_arena *arena;
	/* Otherwise, or for less than a usual chunk, there is something to fall back on. */
	struct vdma_buf_opts required = { .size = sizeof(required),
					  .contiguity = VDMA_CONTIG_REQUIRED };
	struct vdma_buf buf;

	if (!ok(vdma_arena_create(&arena_opts, &arena)))
		return;
	ok(vdma_region_create(arena, 3 << 20, NULL, &region));
	if (ok(vdma_observer_add(arena, &watch, &watched, &observer)))
		assert_int_equal(watched, !!region);
	if (ok(vdma_ioas_create(arena, &opts, &ioas))) {
		if (ok(vdma_device_open(ioas, EDU, NULL, &edu)))
			use_device(edu, EDU);
		ok(vdma_ioas_query(ioas, &info));
	}
	if (ok(vdma_ioas_create(arena, &opts, &second)))
		ok(vdma_device_open(second, NIC, NULL, &nic));
	if (second)
		use_card(arena, second);
	use_region(arena, VDMA_PROVIDER_CONTIG, 4096);
	use_region(arena, VDMA_PROVIDER_HUGETLB, 2 << 20);
	use_region(arena, VDMA_PROVIDER_ANON, 8192);
	use_constraints(arena, VDMA_CONTIG_INDIFFERENT);
	use_region(arena, VDMA_PROVIDER_MEMFD, 8192);
	use_imports(arena, nic);
	use_pool(arena, flags ? VDMA_POOL_CHECK : 0);
	if (undone(vdma_buf_alloc(arena, 65 * MIB, &required, &buf)))
		undone(vdma_buf_free(arena, &buf));
	use_ring(arena, &required);
	look_on(arena);
	if (!undone(vdma_buf_trim(arena)))
		assert_int_equal(vdma_buf_trim(arena), 0);
	assert_int_equal(vdma_device_close(edu), 0);
	if (region && !undone(vdma_region_destroy(region)))
		assert_int_equal(vdma_region_destroy(region), 0);
	assert_int_equal(watched, 0);
	if (!undone(vdma_observer_remove(observer)))
		assert_int_equal(vdma_observer_remove(observer), 0);
	if (nic)
		undone(vdma_device_let_go(nic));
	assert_int_equal(vdma_device_close(nic), 0);
	assert_int_equal(vdma_ioas_destroy(second), 0);
	assert_int_equal(vdma_ioas_destroy(ioas), 0);
	look_on(arena);
	{
		const struct vdma_window *w = (const struct vdma_window *)(const void *)arena;

		assert_true(fake_is_reserved((void *)w->va, w->len));
	}
	assert_int_equal(vdma_arena_destroy(arena), 0);
}

/* What fails is replaced, as long as there is something. */
static void modest_life(void)
{
	struct vdma_arena *arena;

	if (!ok(vdma_arena_create(NULL, &arena)))
		return;
	use_constraints(arena, VDMA_CONTIG_PREFERRED);
	fake.contig_max = MIB;
	use_constraints(arena, VDMA_CONTIG_PREFERRED);
	fake.hugetlb_free = 0;
	use_constraints(arena, VDMA_CONTIG_PREFERRED);
	assert_int_equal(vdma_arena_destroy(arena), 0);
}

static void nothing_left(unsigned long fail_at, int err, unsigned long fail_alloc,
			 size_t allocations)
{
	if (fake_open_files() || fake_mappings() || fake.locked || fake.user_locked ||
	    fake_mapped() || allocations)
		fail_msg("call %lu failed with %d, or allocation %lu: %zu files, %zu mappings, %llu "
			 "bytes locked, %zu of address space, %zu allocations are left",
			 fail_at, err, fail_alloc, fake_open_files(), fake_mappings(),
			 (unsigned long long)(fake.locked + fake.user_locked), fake_mapped(),
			 allocations);
}

static void one_life(enum vdma_backend backend, uint32_t flags, unsigned long fail_at, int err,
		     unsigned long fail_alloc)
{
	size_t allocations = fake_allocations();

	fake_reset();
	if (backend == VDMA_BACKEND_NOIOMMU) {
		bare_machine();
	} else {
		add_edu(EDU, 5);
		add_edu(NIC, 6);
		add_edu(CARD, 7);
		fake_sriov(CARD);
	}
	failed = false;
	fake.fail_at = fail_at;
	fake.fail_err = err;
	fake_fail_alloc(fail_alloc);
	if (backend == VDMA_BACKEND_NOIOMMU)
		bare_life();
	else
		life(backend, flags);
	nothing_left(fail_at, err, fail_alloc, fake_allocations() - allocations);
}

/*
 * A kind of system call, by name and request of an ioctl; and how many of them may fail in
 * a life without anybody being told, or, where that is the exception, being told.
 */
struct tally {
	const char *call;
	unsigned long request;
	unsigned int times;
};

static struct tally counted[32];
static size_t ncounted;

static void count(void)
{
	size_t i = 0;

	while (i < ncounted && (strcmp(counted[i].call, fake.failed_call) ||
				counted[i].request != fake.failed_request))
		i++;
	assert_true(i < sizeof(counted) / sizeof(counted[0]));
	if (i == ncounted)
		counted[ncounted++] =
			(struct tally){ .call = fake.failed_call, .request = fake.failed_request };
	counted[i].times++;
}

static unsigned int times_of(const struct tally *t, const struct tally *all, size_t n)
{
	while (n--)
		if (!strcmp(t->call, all[n].call) && t->request == all[n].request)
			return all[n].times;
	return 0;
}

/* Of @list, neither more nor fewer; what is not there, not at all. */
static void assert_counted(const struct tally *list, size_t n)
{
	unsigned int wrong = 0;
	size_t i;

	for (i = 0; i < n + ncounted; i++) {
		const struct tally *t = i < n ? &list[i] : &counted[i - n];
		unsigned int was = times_of(t, list, n), is = times_of(t, counted, ncounted);

		if (is == was)
			continue;
		print_error("%s, request 0x%lx: %u times, not %u\n", t->call, t->request, is, was);
		wrong++;
	}
	assert_int_equal(wrong, 0);
	ncounted = 0;
}

/* In every life with an IOMMU. */
static const struct tally quiet_everywhere[] = {
	/* How much may be locked, how much is, who else is there: to refuse early, and for words. */
	{ "vdma_sys_memlock_limit", 0, 27 },
	{ "vdma_sys_read_file", 0, 31 },
	/* A physical address is told where it is known. */
	{ "vdma_sys_ioctl", MAP_CONTIG_QUERY, 5 },
	/* A kind of interrupt that cannot be asked for is not there. */
	{ "vdma_sys_ioctl", VFIO_DEVICE_GET_IRQ_INFO, 3 },
	/* Huge pages for a tree and a table would be a waste, and no more. */
	{ "vdma_sys_madvise", 0, 2 },
	/* A default window that is not to be had is asked for again, smaller. */
	{ "vdma_sys_mmap", 0, 1 },
	/* A device that goes is silenced if it is there, and waiters are told if there are some. */
	{ "vdma_sys_pread", 0, 3 },
	{ "vdma_sys_pwrite", 0, 1 },
	{ "vdma_sys_eventfd_signal", 0, 1 },
};

/* Containers: of type1v2 or of the first one; and what is usable when a device has gone. */
static const struct tally quiet_type1[] = {
	{ "vdma_sys_ioctl", VFIO_CHECK_EXTENSION, 2 },
	{ "vdma_sys_ioctl", VFIO_IOMMU_GET_INFO, 2 },
	{ "vdma_sys_readlink", 0, 1 },
};

/* What is usable; and a space is cleared when the next device comes, too. */
static const struct tally quiet_iommufd[] = {
	{ "vdma_sys_ioctl", IOMMUFD_ABI_IOAS_IOVA_RANGES, 2 },
	{ "vdma_sys_ioctl", IOMMUFD_ABI_IOAS_UNMAP, 2 },
	{ "vdma_sys_readlink", 0, 2 },
};

/*
 * Without an IOMMU: memory that could not be untied stays the device's, and is kept; a
 * chunk of buffers may be smaller; UIO's extended configuration may be there or not.
 */
static const struct tally quiet_noiommu[] = {
	{ "vdma_sys_ioctl", VFIO_DEVICE_GET_IRQ_INFO, 1 },
	{ "vdma_sys_ioctl", MAP_CONTIG_QUERY, 1 },
	{ "vdma_sys_ioctl", MAP_CONTIG_ALLOC, 1 },
	{ "vdma_sys_ioctl", MAP_CONTIG_HOLD, 4 },
	{ "vdma_sys_madvise", 0, 1 },
	{ "vdma_sys_mmap", 0, 2 },
	{ "vdma_sys_open", 0, 5 },
	{ "vdma_sys_poll_in", 0, 2 },
	{ "vdma_sys_pread", 0, 6 },
	{ "vdma_sys_pwrite", 0, 2 },
	{ "vdma_sys_readlink", 0, 1 },
};

#define LIST(list) list, sizeof(list) / sizeof(list[0])

/*
 * @quiet_allocs: allocations whose failure nobody notices: what they are for has an alternative.
 * Under Valgrind, which takes half an hour for all, every sixteenth call fails for each error,
 * every fourth for one of them; AddressSanitizer sees all.
 */
static void each_call(enum vdma_backend backend, uint32_t flags, const struct tally *quiet,
		      size_t nquiet, unsigned long quiet_allocs)
{
	static const int errs[] = { ENOMEM, EIO, EMFILE, EINTR };
	struct tally all[sizeof(counted) / sizeof(counted[0])];
	const unsigned long step = on_valgrind() ? 16 : 1, alloc_step = on_valgrind() ? 4 : 1;
	unsigned long calls, allocs, n, noticed = 0, tried = 0;
	size_t e, nall = 0;

	if (backend != VDMA_BACKEND_NOIOMMU)
		for (; nall < sizeof(quiet_everywhere) / sizeof(quiet_everywhere[0]); nall++)
			all[nall] = quiet_everywhere[nall];
	for (e = 0; e < nquiet; e++)
		all[nall++] = quiet[e];
	one_life(backend, flags, 0, 0, 0);
	assert_false(failed);
	allocs = fake_alloc_calls();
	calls = fake.calls;
	assert_true(calls > 90);
	for (e = 0; e < sizeof(errs) / sizeof(errs[0]); e++) {
		for (n = 1 + e * step / 4; n <= calls; n += step, tried++) {
			one_life(backend, flags, n, errs[e], 0);
			noticed += failed;
			if (!failed && step == 1)
				count();
		}
		if (step == 1)
			assert_counted(all, nall);
	}
	print_message("%lu calls, %lu of %lu failures noticed\n", calls, noticed, tried);

	assert_true(allocs > 30);
	for (noticed = 0, tried = 0, n = 1; n <= allocs; n += alloc_step, tried++) {
		one_life(backend, flags, 0, 0, n);
		noticed += failed;
	}
	fake_fail_alloc(0);
	print_message("%lu of %lu allocations that failed were noticed\n", noticed, tried);
	if (alloc_step == 1)
		assert_int_equal(allocs - noticed, quiet_allocs);
}

/* What is usable when a device has gone stays as it was; so does what a container still takes. */
static void test_type1(void **state)
{
	(void)state;
	each_call(VDMA_BACKEND_AUTO, 0, LIST(quiet_type1), 9);
}

static void test_iommufd(void **state)
{
	(void)state;
	each_call(VDMA_BACKEND_IOMMUFD, 0, LIST(quiet_iommufd), 7);
}

static void test_checks(void **state)
{
	(void)state;
	each_call(VDMA_BACKEND_AUTO, VDMA_ARENA_CHECK, LIST(quiet_type1), 9);
}

static void test_shared(void **state)
{
	(void)state;
	each_call(VDMA_BACKEND_AUTO, VDMA_ARENA_SHARED, LIST(quiet_type1), 9);
}

/* And a smaller chunk of buffers will do. */
static void test_noiommu(void **state)
{
	(void)state;
	each_call(VDMA_BACKEND_NOIOMMU, 0, LIST(quiet_noiommu), 10);
}

/*
 * What is noticed although there is something to fall back on: the arena itself, and what
 * the last resort is made of; which node memory has to be on, and is.
 */
static const struct tally loud[] = {
	{ "vdma_sys_mmap", 0, 9 },	{ "vdma_sys_madvise", 0, 3 },
	{ "vdma_sys_read_file", 0, 4 }, { "vdma_sys_nodes_of", 0, 3 },
	{ "vdma_sys_bind_node", 0, 1 },
};

static void test_fallback(void **state)
{
	unsigned long n, calls = 1, allocs = 1, noticed = 0;
	size_t allocations;

	(void)state;
	for (n = 0; n <= calls + allocs; n++) {
		fake_reset();
		fake.lazy = true;
		failed = false;
		allocations = fake_allocations();
		fake.fail_at = n <= calls ? n : 0;
		fake.fail_err = ENOMEM;
		fake_fail_alloc(n > calls ? n - calls : 0);
		modest_life();
		nothing_left(fake.fail_at, ENOMEM, n > calls ? n - calls : 0,
			     fake_allocations() - allocations);
		if (failed && n <= calls)
			count();
		else
			noticed += failed;
		if (!n) {
			assert_false(failed);
			allocs = fake_alloc_calls();
			calls = fake.calls;
		}
	}
	fake_fail_alloc(0);
	print_message("%lu calls, %lu allocations, %lu of these noticed\n", calls, allocs, noticed);
	assert_true(calls > 40 && allocs > 20);
	assert_counted(LIST(loud));
	/* The arena's, a region's, a chunk's. */
	assert_int_equal(noticed, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_type1),	cmocka_unit_test(test_iommufd),
		cmocka_unit_test(test_noiommu), cmocka_unit_test(test_checks),
		cmocka_unit_test(test_shared),	cmocka_unit_test(test_fallback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
