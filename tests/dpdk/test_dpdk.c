// SPDX-License-Identifier: BSD-3-Clause
/*
 * libvdma-dpdk with a DPDK that has no huge pages and no devices, on a machine that is made
 * up. The container of DPDK's ports is ours: what DPDK would map there is kept in a list.
 */
#include "../unit/unit.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_memory.h>
#include <rte_mempool.h>

#define WINDOW (4 * GIB)
/* Beyond 39 bits, where AddressSanitizer leaves room as well. */
#define FAR ((uintptr_t)1 << 45)

static struct vdma_arena *arena;
static struct vdma_dpdk *dpdk;

/* DPDK's default container, as rte_vfio_container_dma_map() shows it. */
static struct {
	bool there; /* a port was probed */
	bool fails; /* with this in rte_errno */
	int err;
	bool keeps; /* it does not unmap */
	bool gone;  /* the last port is: it forgets what rte_errno lets it forget */
	unsigned int calls;
	size_t n;
	struct vdma_buf mapped[256];
} vfio;
static bool follows;
static enum rte_iova_mode mode;
static enum rte_proc_type_t process;

int __wrap_rte_vfio_container_dma_map(int container, uint64_t va, uint64_t iova, uint64_t len);
int __wrap_rte_vfio_container_dma_unmap(int container, uint64_t va, uint64_t iova, uint64_t len);
int __wrap_rte_mem_event_callback_register(const char *name, rte_mem_event_callback_t fn,
					   void *arg);
int __wrap_rte_mem_event_callback_unregister(const char *name, void *arg);
enum rte_iova_mode __wrap_rte_eal_iova_mode(void);
enum rte_proc_type_t __wrap_rte_eal_process_type(void);

static struct vdma_buf *mapping(uint64_t iova)
{
	for (size_t i = 0; i < vfio.n; i++)
		if (iova - vfio.mapped[i].iova < vfio.mapped[i].len)
			return &vfio.mapped[i];
	return NULL;
}

/* What is mapped already counts as done, as DPDK has it. */
int __wrap_rte_vfio_container_dma_map(int container, uint64_t va, uint64_t iova, uint64_t len)
{
	assert_int_equal(container, -1);
	vfio.calls++;
	if (!vfio.there || vfio.fails) {
		rte_errno = vfio.there ? vfio.err : ENODEV;
		return -1;
	}
	if (!mapping(iova))
		vfio.mapped[vfio.n++] =
			(struct vdma_buf){ .va = (void *)va, .len = len, .iova = iova };
	assert_true(vfio.n < 256);
	return 0;
}

int __wrap_rte_vfio_container_dma_unmap(int container, uint64_t va, uint64_t iova, uint64_t len)
{
	struct vdma_buf *was = mapping(iova);

	assert_int_equal(container, -1);
	if (!was || (vfio.gone ? rte_errno != ENODEV : vfio.keeps))
		return -1;
	assert_int_equal(was->iova, iova);
	assert_int_equal((uintptr_t)was->va, va);
	assert_int_equal(was->len, len);
	*was = vfio.mapped[--vfio.n];
	return 0;
}

int __wrap_rte_mem_event_callback_register(const char *name, rte_mem_event_callback_t fn, void *arg)
{
	assert_non_null(name);
	fn(RTE_MEM_EVENT_ALLOC, NULL, 0, arg);
	rte_errno = ENOTSUP;
	return follows ? 0 : -1;
}

int __wrap_rte_mem_event_callback_unregister(const char *name, void *arg)
{
	(void)arg;
	assert_non_null(name);
	assert_true(follows);
	return 0;
}

enum rte_iova_mode __wrap_rte_eal_iova_mode(void)
{
	return mode;
}

enum rte_proc_type_t __wrap_rte_eal_process_type(void)
{
	return process;
}

static bool is_mapped(const struct vdma_buf *buf)
{
	const struct vdma_buf *m = mapping(buf->iova);

	return m && m->va == buf->va && m->iova == buf->iova && m->len == buf->len;
}

static struct vdma_arena *arena_of(uint32_t flags)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts), .window = WINDOW, .flags = flags };
	struct vdma_arena *new;

	if (flags & VDMA_ARENA_IDENTITY && vdma_arena_create(&opts, &new)) {
		opts.base = FAR;
		ASSERT_OK(vdma_arena_create(&opts, &new));
	} else if (!(flags & VDMA_ARENA_IDENTITY)) {
		ASSERT_OK(vdma_arena_create(&opts, &new));
	}
	return new;
}

static int begin(void **state)
{
	reset(state);
	memset(&vfio, 0, sizeof(vfio));
	follows = false;
	mode = RTE_IOVA_VA;
	process = RTE_PROC_PRIMARY;
	arena = arena_of(VDMA_ARENA_IDENTITY);
	return 0;
}

static int end(void **state)
{
	if (rte_malloc_heap_get_socket("vdma") >= 0 || vfio.n) {
		print_error("the heap, or %zu mappings, are left\n", vfio.n);
		return -1;
	}
	return vdma_arena_destroy(arena) ? -1 : check_clean(state);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, begin, end)

static void create(void)
{
	ASSERT_OK(vdma_dpdk_create(arena, NULL, &dpdk));
}

static struct vdma_buf grow(size_t len)
{
	struct vdma_buf buf = { .va = NULL };

	ASSERT_OK(vdma_dpdk_grow(dpdk, len, NULL, &buf));
	return buf;
}

static struct vdma_dpdk_info info(void)
{
	struct vdma_dpdk_info now = { .size = sizeof(now) };

	ASSERT_OK(vdma_dpdk_query(dpdk, &now));
	assert_int_equal(now.size, sizeof(now));
	return now;
}

static uint64_t regions(void)
{
	struct vdma_arena_info now = { .size = sizeof(now) };

	ASSERT_OK(vdma_arena_query(arena, &now));
	return now.regions;
}

/* DPDK has the page that @va lies in: its device address, and that of @va. */
static const struct rte_memseg *assert_known(const void *va)
{
	const struct rte_memseg *ms = rte_mem_virt2memseg(va, NULL);

	assert_non_null(ms);
	assert_int_equal(ms->iova, vdma_iova(arena, ms->addr));
	assert_int_equal(ms->iova + ((uintptr_t)va - (uintptr_t)ms->addr), vdma_iova(arena, va));
	assert_int_equal(rte_mem_virt2iova(va), vdma_iova(arena, va));
	return ms;
}

static void assert_unknown(const void *va)
{
	assert_null(rte_mem_virt2memseg(va, NULL));
}

static void test_arguments(void **state)
{
	const char *long_name = "a name of thirty-two characters.";
	struct vdma_dpdk_opts opts = { .size = sizeof(opts), .name = long_name };
	struct vdma_region_opts read = { .size = sizeof(read),
					 .provider = VDMA_PROVIDER_ANON,
					 .access = VDMA_ACCESS_READ };
	struct vdma_dpdk_info small = { .size = 8 };
	struct vdma_arena *linear = arena_of(0);
	struct vdma_dpdk *none = NULL;
	struct vdma_buf buf = { .len = 5 };

	(void)state;
	ASSERT_FAILS(vdma_dpdk_create(NULL, NULL, &none), EINVAL, VDMA_CAUSE_ARGUMENT, "NULL");
	ASSERT_FAILS(vdma_dpdk_create(arena, NULL, NULL), EINVAL, VDMA_CAUSE_ARGUMENT, "NULL");
	ASSERT_FAILS(vdma_dpdk_create(linear, NULL, &none), EINVAL, VDMA_CAUSE_TRANSLATION,
		     "VDMA_ARENA_IDENTITY");
	ASSERT_OK(vdma_arena_destroy(linear));
	ASSERT_FAILS(vdma_dpdk_create(arena, &opts, &none), EINVAL, VDMA_CAUSE_ARGUMENT, long_name,
		     "1 to 31");
	opts.name = "";
	ASSERT_FAILS(vdma_dpdk_create(arena, &opts, &none), EINVAL, VDMA_CAUSE_ARGUMENT, "name");
	opts.name = "socket_0"; /* DPDK's own */
	ASSERT_FAILS(vdma_dpdk_create(arena, &opts, &none), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "\"socket_0\" already");
	mode = RTE_IOVA_PA;
	ASSERT_FAILS(vdma_dpdk_create(arena, NULL, &none), EINVAL, VDMA_CAUSE_TRANSLATION,
		     "physical", "--iova-mode=va");
	mode = RTE_IOVA_DC;
	ASSERT_FAILS(vdma_dpdk_create(arena, NULL, &none), EINVAL, VDMA_CAUSE_TRANSLATION,
		     "rte_eal_init()");
	process = RTE_PROC_SECONDARY;
	ASSERT_FAILS(vdma_dpdk_create(arena, NULL, &none), EOPNOTSUPP, VDMA_CAUSE_UNSUPPORTED,
		     "secondary");
	assert_null(none);

	mode = RTE_IOVA_VA;
	process = RTE_PROC_PRIMARY;
	create();
	ASSERT_FAILS(vdma_dpdk_create(arena, NULL, &none), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "\"vdma\" already");
	ASSERT_FAILS(vdma_dpdk_grow(NULL, 1, NULL, &buf), EINVAL, VDMA_CAUSE_ARGUMENT, "NULL");
	ASSERT_FAILS(vdma_dpdk_grow(dpdk, 1, &read, &buf), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "VDMA_ACCESS_BOTH");
	ASSERT_FAILS(vdma_dpdk_grow(dpdk, 0, NULL, &buf), EINVAL, VDMA_CAUSE_ARGUMENT, "0 bytes");
	ASSERT_FAILS(vdma_dpdk_grow(dpdk, SIZE_MAX, NULL, &buf), EADDRNOTAVAIL, VDMA_CAUSE_WINDOW,
		     "window");
	assert_int_equal(buf.len, 5);
	ASSERT_FAILS(vdma_dpdk_shrink(NULL, NULL), EINVAL, VDMA_CAUSE_ARGUMENT, "NULL");
	ASSERT_FAILS(vdma_dpdk_shrink(dpdk, NULL), EINVAL, VDMA_CAUSE_ARGUMENT, "\"vdma\"");
	ASSERT_FAILS(vdma_dpdk_map(NULL), EINVAL, VDMA_CAUSE_ARGUMENT, "NULL");
	ASSERT_FAILS(vdma_dpdk_query(dpdk, NULL), EINVAL, VDMA_CAUSE_ARGUMENT, "NULL");
	ASSERT_FAILS(vdma_dpdk_query(dpdk, &small), EINVAL, VDMA_CAUSE_ARGUMENT, "sizeof");
	ASSERT_FAILS(vdma_arena_destroy(arena), EBUSY, VDMA_CAUSE_CHILDREN, "observer");
	ASSERT_OK(vdma_dpdk_destroy(dpdk));
	ASSERT_OK(vdma_dpdk_destroy(NULL));
}

static void check_mbuf(struct rte_mempool *pool, void *ctx, void *object, unsigned int i)
{
	const struct vdma_buf *buf = ctx;
	struct rte_mbuf *m = object;

	(void)pool;
	(void)i;
	assert_true((char *)m >= (char *)buf->va);
	assert_true((char *)m->buf_addr + m->buf_len <= (char *)buf->va + buf->len);
	assert_int_equal(rte_mbuf_iova_get(m), vdma_iova(arena, m->buf_addr));
	assert_int_equal(rte_mbuf_data_iova_default(m),
			 vdma_iova(arena, (char *)m->buf_addr + RTE_PKTMBUF_HEADROOM));
}

/* What DPDK allocates by the heap's socket lies in the region, at the arena's addresses. */
static void test_heap(void **state)
{
	const struct vdma_constraints contig = { .size = sizeof(contig),
						 .contiguity = VDMA_CONTIG_REQUIRED };
	struct vdma_region_opts opts = { .size = sizeof(opts), .constraints = &contig };
	struct rte_mempool *pool;
	struct vdma_buf buf;
	int socket;
	char *p;

	(void)state;
	create();
	socket = vdma_dpdk_socket(dpdk);
	assert_int_equal(rte_malloc_heap_get_socket("vdma"), socket);
	assert_int_equal(rte_malloc_heap_socket_is_external(socket), 1);
	assert_null(rte_malloc_socket(NULL, 100, 0, socket));

	/* In pages of 2 MiB, which 6 MiB have for their largest common one. */
	ASSERT_OK(vdma_dpdk_grow(dpdk, 5 * MIB, &opts, &buf));
	assert_int_equal(buf.len, 6 * MIB);
	assert_int_equal(buf.iova, (uintptr_t)buf.va);
	assert_int_equal(fake.alloc.length, 6 * MIB);
	assert_int_equal(assert_known(buf.va)->len, 2 * MIB);
	assert_int_equal(assert_known((char *)buf.va + buf.len - 1)->len, 2 * MIB);
	assert_int_equal(info().socket, socket);
	assert_int_equal(info().heap_regions, 1);
	assert_int_equal(info().heap_bytes, 6 * MIB);
	assert_int_equal(info().heap_used, 0);
	assert_int_equal(info().regions, 0);

	/* Larger than a page: one run of device addresses. */
	p = rte_zmalloc_socket(NULL, 5 * MIB, 4096, socket);
	assert_non_null(p);
	assert_true(p > (char *)buf.va && p + 5 * MIB <= (char *)buf.va + buf.len);
	assert_int_equal(rte_malloc_virt2iova(p), vdma_iova(arena, p));
	assert_int_equal(rte_malloc_virt2iova(p) % 4096, 0);
	assert_true(info().heap_used > 5 * MIB && info().heap_used < 6 * MIB);
	ASSERT_FAILS(vdma_dpdk_shrink(dpdk, buf.va), EBUSY, VDMA_CAUSE_CHILDREN, "6 MiB",
		     "1 objects", "rte_mempool_free()");
	ASSERT_FAILS(vdma_dpdk_shrink(dpdk, (char *)buf.va + 1), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "begins");
	ASSERT_FAILS(vdma_dpdk_destroy(dpdk), EBUSY, VDMA_CAUSE_CHILDREN, "\"vdma\"");
	assert_int_equal(info().heap_regions, 1);
	rte_free(p);

	pool = rte_pktmbuf_pool_create("packets", 1023, 32, 16, RTE_MBUF_DEFAULT_BUF_SIZE, socket);
	assert_non_null(pool);
	assert_int_equal(rte_mempool_obj_iter(pool, check_mbuf, &buf), 1023);
	ASSERT_FAILS(vdma_dpdk_shrink(dpdk, buf.va), EBUSY, VDMA_CAUSE_CHILDREN, "");
	rte_mempool_free(pool);
	ASSERT_OK(vdma_dpdk_shrink(dpdk, buf.va));
	assert_unknown(buf.va);
	assert_int_equal(info().heap_regions + info().heap_bytes, 0);
	assert_int_equal(regions(), 0);
	ASSERT_FAILS(vdma_dpdk_shrink(dpdk, buf.va), EINVAL, VDMA_CAUSE_ARGUMENT, "begins");

	/* One page, as far as its length and address allow; 1 GiB is the largest. */
	buf = grow(64 * MIB);
	assert_int_equal(assert_known(buf.va)->len, 64 * MIB);
	ASSERT_OK(vdma_dpdk_shrink(dpdk, buf.va));
	ASSERT_OK(vdma_dpdk_destroy(dpdk));
	assert_int_equal(regions(), 0);
}

/* The heap's memory is zeroed by DPDK; a gigabyte of it is left out under Valgrind's eyes. */
static void test_largest_page(void **state)
{
	struct vdma_region *region;
	struct vdma_buf buf;

	(void)state;
	fake.lazy = true;
	create();
	region = anon_region(arena, 2 * GIB);
	buf = vdma_region_buf(region);
	assert_int_equal(assert_known(buf.va)->len, GIB);
	ASSERT_OK(vdma_region_destroy(region));
	ASSERT_OK(vdma_dpdk_destroy(dpdk));
}

/* Regions that are not the heap's: those that there are, and as they come and go. */
static void test_regions(void **state)
{
	struct vdma_region_opts read = { .size = sizeof(read),
					 .provider = VDMA_PROVIDER_ANON,
					 .access = VDMA_ACCESS_READ };
	struct vdma_buf_opts any = { .size = sizeof(any) };
	struct vdma_region *first, *later, *private;
	struct vdma_buf a, b, c, cut;

	(void)state;
	first = anon_region(arena, 3 * MIB);
	a = vdma_region_buf(first);
	memset(a.va, 7, a.len);
	create();
	assert_int_equal(info().regions, 1);
	assert_int_equal(assert_known((char *)a.va + a.len - 1)->len, MIB);
	assert_int_equal(((char *)a.va)[MIB], 7);
	assert_null(rte_malloc_socket(NULL, 100, 0, vdma_dpdk_socket(dpdk)));

	later = anon_region(arena, 4096);
	b = vdma_region_buf(later);
	assert_int_equal(assert_known(b.va)->len, 4096);
	ASSERT_OK(vdma_region_create(arena, 4096, &read, &private));
	c = vdma_region_buf(private);
	assert_unknown(c.va);
	ASSERT_OK(vdma_buf_alloc(arena, 1000, &any, &cut));
	assert_known(cut.va);
	assert_int_equal(info().regions, 3);
	assert_int_equal(info().heap_regions, 0);

	ASSERT_OK(vdma_region_destroy(first));
	assert_unknown(a.va);
	ASSERT_OK(vdma_region_destroy(private));
	ASSERT_OK(vdma_buf_free(arena, &cut));
	ASSERT_OK(vdma_buf_trim(arena));
	assert_unknown(cut.va);
	assert_int_equal(info().regions, 1);
	ASSERT_OK(vdma_dpdk_destroy(dpdk));
	assert_unknown(b.va);
	ASSERT_OK(vdma_region_destroy(later));
}

/* Where DPDK does not follow: each region is mapped, in one piece, the heap's before it is the heap's. */
static void test_mapped(void **state)
{
	struct vdma_region *before = anon_region(arena, 4096), *after;
	struct vdma_buf a = vdma_region_buf(before), b, heap;

	(void)state;
	vfio.there = true;
	create();
	assert_int_equal(info().follows, 0);
	assert_true(is_mapped(&a));
	after = anon_region(arena, 3 * MIB);
	b = vdma_region_buf(after);
	assert_true(is_mapped(&b));
	heap = grow(2 * MIB);
	assert_true(is_mapped(&heap));
	assert_int_equal(vfio.n, 3);
	assert_int_equal(info().unmapped, 0);
	vfio.calls = 0;
	ASSERT_OK(vdma_dpdk_map(dpdk));
	assert_int_equal(vfio.calls, 0);

	ASSERT_OK(vdma_region_destroy(after));
	assert_false(is_mapped(&b));
	ASSERT_OK(vdma_dpdk_shrink(dpdk, heap.va));
	assert_false(is_mapped(&heap));
	heap = grow(2 * MIB);
	ASSERT_OK(vdma_dpdk_destroy(dpdk));
	assert_int_equal(vfio.n, 0);
	ASSERT_OK(vdma_region_destroy(before));
}

/* The first port comes after the regions. DPDK maps the heap's for it, by pages. */
static void test_late_port(void **state)
{
	struct vdma_region *region = anon_region(arena, 4096);
	struct vdma_buf a = vdma_region_buf(region), heap, other;

	(void)state;
	create();
	heap = grow(2 * MIB);
	other = grow(4 * MIB);
	assert_int_equal(info().unmapped, 3);
	ASSERT_OK(vdma_dpdk_map(dpdk));
	assert_int_equal(info().unmapped, 3);

	vfio.there = true;
	vfio.mapped[vfio.n++] = heap;
	vfio.mapped[vfio.n++] = other;
	ASSERT_OK(vdma_dpdk_shrink(dpdk, heap.va));
	assert_false(is_mapped(&heap));
	ASSERT_OK(vdma_dpdk_map(dpdk));
	assert_int_equal(info().unmapped, 0);
	assert_true(is_mapped(&a));
	assert_true(is_mapped(&other));
	ASSERT_OK(vdma_dpdk_destroy(dpdk));
	assert_int_equal(vfio.n, 0);
	ASSERT_OK(vdma_region_destroy(region));
}

/* DPDK maps the heap's memory itself: we try, and leave it to that. */
static void test_follows(void **state)
{
	struct vdma_region_opts anon = { .size = sizeof(anon), .provider = VDMA_PROVIDER_ANON };
	struct vdma_region *region;
	struct vdma_buf a, heap;

	(void)state;
	follows = true;
	vfio.there = true;
	create();
	assert_int_equal(info().follows, 1);
	heap = grow(2 * MIB);
	assert_int_equal(vfio.calls, 1);
	assert_false(is_mapped(&heap));
	region = anon_region(arena, 4096);
	a = vdma_region_buf(region);
	assert_true(is_mapped(&a));
	assert_int_equal(info().unmapped, 0);
	vfio.calls = 0;
	ASSERT_OK(vdma_dpdk_map(dpdk));
	ASSERT_OK(vdma_dpdk_shrink(dpdk, heap.va));
	assert_int_equal(vfio.calls, 0);

	/* The trial is what tells of a failure; and what is tried is not left. */
	vfio.fails = true;
	ASSERT_FAILS(vdma_dpdk_grow(dpdk, 2 * MIB, NULL, &heap), EIO, VDMA_CAUSE_SYSTEM, "2 MiB",
		     "RLIMIT_MEMLOCK");
	vfio.fails = false;
	ASSERT_OK(vdma_region_destroy(region));
	vfio.keeps = true;
	ASSERT_FAILS(vdma_dpdk_grow(dpdk, 2 * MIB, NULL, &heap), EIO, VDMA_CAUSE_SYSTEM, "2 MiB");
	assert_int_equal(regions(), 0);
	/* What the trial left behind is nobody else's. */
	ASSERT_FAILS(vdma_region_create(arena, 2 * MIB, &anon, &region), ECANCELED,
		     VDMA_CAUSE_OBSERVER, "2 MiB");
	assert_non_null(strstr(info().refused, "did not unmap"));
	ASSERT_FAILS(vdma_dpdk_destroy(dpdk), EIO, VDMA_CAUSE_SYSTEM, "does not unmap");
	vfio.keeps = false;
	ASSERT_OK(vdma_dpdk_destroy(dpdk));
	assert_int_equal(vfio.n, 0);
}

/* What DPDK cannot map is refused, and nothing of it is left. */
static void test_unmappable(void **state)
{
	struct vdma_region_opts anon = { .size = sizeof(anon), .provider = VDMA_PROVIDER_ANON };
	struct vdma_region *region = NULL, *before;
	struct vdma_buf buf = { .len = 5 };

	(void)state;
	vfio.there = true;
	create();
	assert_string_equal(info().refused, "");
	vfio.fails = true;
	ASSERT_FAILS(vdma_dpdk_grow(dpdk, 1, NULL, &buf), EIO, VDMA_CAUSE_SYSTEM, "2 MiB",
		     "dma_entry_limit");
	assert_int_equal(buf.len, 5);
	vfio.err = ENOMEM;
	ASSERT_FAILS(vdma_dpdk_grow(dpdk, 1, NULL, &buf), ENOSPC, VDMA_CAUSE_TOO_MANY, "256");
	ASSERT_FAILS(vdma_region_create(arena, 4096, &anon, &region), ECANCELED,
		     VDMA_CAUSE_OBSERVER, "4 KiB");
	assert_int_equal(vdma_last_failure()->sys_errno, ENOSPC);
	assert_null(region);
	assert_non_null(strstr(info().refused, "no room for the mapping of 4 KiB"));
	assert_int_equal(info().regions + info().heap_regions + regions(), 0);
	ASSERT_OK(vdma_dpdk_destroy(dpdk));

	/* Nor is the heap, if a region that there is cannot be mapped. */
	vfio.err = 0;
	before = anon_region(arena, 4096);
	dpdk = NULL;
	ASSERT_FAILS(vdma_dpdk_create(arena, NULL, &dpdk), EIO, VDMA_CAUSE_SYSTEM, "4 KiB");
	assert_null(dpdk);
	assert_int_equal(rte_malloc_heap_get_socket("vdma"), -1);

	/* With the next port it works. */
	vfio.there = false;
	create();
	vfio.there = true;
	ASSERT_FAILS(vdma_dpdk_map(dpdk), EIO, VDMA_CAUSE_SYSTEM, "4 KiB");
	assert_int_equal(info().unmapped, 1);
	vfio.fails = false;
	ASSERT_OK(vdma_dpdk_map(dpdk));
	assert_int_equal(info().unmapped, 0);
	ASSERT_OK(vdma_region_destroy(before));
	ASSERT_OK(vdma_dpdk_destroy(dpdk));
}

/* What stays mapped for ports is no other region's, as long as this is there. */
static void test_stale(void **state)
{
	struct vdma_region_opts anon = { .size = sizeof(anon), .provider = VDMA_PROVIDER_ANON };
	struct vdma_region *region, *none;
	struct vdma_buf first, second;

	(void)state;
	vfio.there = true;
	create();
	region = anon_region(arena, 8192);
	first = vdma_region_buf(region);
	vfio.keeps = true;
	ASSERT_OK(vdma_region_destroy(region));
	assert_true(is_mapped(&first));
	assert_int_equal(info().regions, 0);
	ASSERT_FAILS(vdma_region_create(arena, 4096, &anon, &none), ECANCELED, VDMA_CAUSE_OBSERVER,
		     "4 KiB");
	assert_non_null(strstr(info().refused, "did not unmap"));
	ASSERT_FAILS(vdma_dpdk_destroy(dpdk), EIO, VDMA_CAUSE_SYSTEM, "Close them");
	vfio.keeps = false;
	ASSERT_OK(vdma_dpdk_destroy(dpdk));
	assert_int_equal(vfio.n, 0);
	create();
	second = grow(2 * MIB);
	vfio.keeps = true;
	ASSERT_OK(vdma_dpdk_shrink(dpdk, second.va));
	ASSERT_FAILS(vdma_dpdk_grow(dpdk, 2 * MIB, NULL, NULL), EIO, VDMA_CAUSE_SYSTEM,
		     "did not unmap");
	assert_int_equal(info().heap_regions, 0);
	assert_int_equal(regions(), 0);
	/* No port is there any more: DPDK takes that for done by this number. */
	vfio.gone = true;
	ASSERT_OK(vdma_dpdk_destroy(dpdk));
	assert_int_equal(vfio.n, 0);
}

/* DPDK's table of memory is full after some 120 of them. */
static void test_many(void **state)
{
	struct vdma_region_opts anon = { .size = sizeof(anon), .provider = VDMA_PROVIDER_ANON };
	struct vdma_region *region[RTE_MAX_MEMSEG_LISTS + 1];
	struct vdma_dpdk_opts other = { .size = sizeof(other), .name = "other" };
	struct vdma_dpdk *none = NULL;
	unsigned int n = 0;

	(void)state;
	create();
	while (n <= RTE_MAX_MEMSEG_LISTS && !vdma_region_create(arena, 4096, &anon, &region[n]))
		n++;
	assert_true(n > 100 && n < RTE_MAX_MEMSEG_LISTS);
	assert_int_equal(vdma_last_failure()->cause, VDMA_CAUSE_OBSERVER);
	assert_int_equal(vdma_last_failure()->sys_errno, ENOSPC);
	assert_int_equal(info().regions, n);
	assert_non_null(strstr(info().refused, "128 lists"));
	ASSERT_FAILS(vdma_dpdk_grow(dpdk, 1, NULL, NULL), ENOSPC, VDMA_CAUSE_TOO_MANY, "lists",
		     "larger regions");

	/* What is in the tables already, is another's. */
	ASSERT_FAILS(vdma_dpdk_create(arena, &other, &none), EINVAL, VDMA_CAUSE_ARGUMENT,
		     "another vdma_dpdk_create()");
	assert_null(none);
	assert_int_equal(rte_malloc_heap_get_socket("other"), -1);

	ASSERT_OK(vdma_region_destroy(region[--n]));
	region[n] = anon_region(arena, 8192);
	n++;
	while (n)
		ASSERT_OK(vdma_region_destroy(region[--n]));
	ASSERT_OK(vdma_dpdk_destroy(dpdk));
}

static void test_heaps(void **state)
{
	char name[RTE_MAX_HEAPS][8];
	struct vdma_dpdk *none = NULL;
	int n = 0;

	(void)state;
	for (; n < RTE_MAX_HEAPS; n++) {
		snprintf(name[n], sizeof(name[n]), "heap%d", n);
		if (rte_malloc_heap_create(name[n]))
			break;
	}
	ASSERT_FAILS(vdma_dpdk_create(arena, NULL, &none), ENOSPC, VDMA_CAUSE_TOO_MANY, "heap");
	while (n--)
		assert_int_equal(rte_malloc_heap_destroy(name[n]), 0);
}

static int refuse(void *ctx, struct vdma_region *region)
{
	struct vdma_dpdk *of = ctx;

	(void)region;
	/* In the middle of a change there is no other. */
	ASSERT_FAILS(vdma_dpdk_grow(of, 1, NULL, NULL), EDEADLK, VDMA_CAUSE_OBSERVING, "");
	ASSERT_FAILS(vdma_dpdk_create(arena, NULL, &of), EINVAL, VDMA_CAUSE_ARGUMENT, "already");
	assert_int_equal(info().size, sizeof(struct vdma_dpdk_info));
	return -EPERM;
}

/* A later observer refuses what DPDK knows of already: it forgets it. */
static void test_refused_later(void **state)
{
	const struct vdma_observer_ops ops = { .size = sizeof(ops), .added = refuse };
	struct vdma_region_opts anon = { .size = sizeof(anon), .provider = VDMA_PROVIDER_ANON };
	struct vdma_observer *observer;
	struct vdma_region *none = NULL;

	(void)state;
	vfio.there = true;
	create();
	ASSERT_OK(vdma_observer_add(arena, &ops, dpdk, &observer));
	ASSERT_FAILS(vdma_region_create(arena, 4096, &anon, &none), ECANCELED, VDMA_CAUSE_OBSERVER,
		     "4 KiB");
	ASSERT_FAILS(vdma_dpdk_grow(dpdk, 1, NULL, NULL), ECANCELED, VDMA_CAUSE_OBSERVER, "2 MiB");
	assert_string_equal(info().refused, "");
	assert_int_equal(info().heap_regions + info().regions + regions() + vfio.n, 0);
	ASSERT_OK(vdma_observer_remove(observer));
	ASSERT_OK(vdma_dpdk_destroy(dpdk));
}

/* Of a region of the heap's that cannot be unmapped for a device of ours. */
static void test_shrink_again(void **state)
{
	struct vdma_device *dev;
	struct vdma_ioas *ioas;
	struct vdma_buf buf;

	(void)state;
	fake.ranges[1].last = ((uint64_t)1 << 48) - 1;
	add_edu(EDU, 5);
	ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	dev = device_of(ioas, EDU);
	create();
	buf = grow(2 * MIB);
	assert_int_equal(fake_reachable(buf.iova, buf.va, buf.len), 1);
	fake.short_unmap = true;
	ASSERT_FAILS(vdma_dpdk_shrink(dpdk, buf.va), EIO, VDMA_CAUSE_SYSTEM, "");
	assert_unknown(buf.va);
	assert_int_equal(info().heap_regions, 0);
	assert_int_equal(regions(), 1);
	ASSERT_FAILS(vdma_dpdk_destroy(dpdk), EIO, VDMA_CAUSE_SYSTEM, "");
	fake.short_unmap = false;
	ASSERT_OK(vdma_dpdk_shrink(dpdk, buf.va));
	assert_int_equal(regions(), 0);
	ASSERT_OK(vdma_dpdk_destroy(dpdk));
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
}

/* Each allocation of ours fails once. */
static void test_no_memory(void **state)
{
	struct vdma_region *region = anon_region(arena, 4096);
	struct vdma_buf buf;
	unsigned long nth;
	int err;

	(void)state;
	vfio.there = true;
	for (nth = 1;; nth++) {
		fake_fail_alloc(nth);
		err = vdma_dpdk_create(arena, NULL, &dpdk);
		fake_fail_alloc(0);
		if (!err)
			break;
		assert_int_equal(err, -ENOMEM);
		assert_int_equal(vfio.n, 0);
		assert_int_equal(rte_malloc_heap_get_socket("vdma"), -1);
	}
	assert_true(nth > 3);
	for (nth = 1;; nth++) {
		fake_fail_alloc(nth);
		err = vdma_dpdk_grow(dpdk, 1, NULL, &buf);
		fake_fail_alloc(0);
		if (!err)
			break;
		assert_int_equal(err, -ENOMEM);
		assert_int_equal(vfio.n, 1);
		assert_int_equal(info().heap_regions, 0);
		assert_int_equal(regions(), 1);
	}
	assert_true(nth > 3);
	ASSERT_OK(vdma_dpdk_destroy(dpdk));
	ASSERT_OK(vdma_region_destroy(region));
}

#define ROUNDS 50

static void *grow_and_shrink(void *failed)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct vdma_buf buf;
		void *p;

		if (vdma_dpdk_grow(dpdk, 2 * MIB, NULL, &buf))
			*(int *)failed = 1;
		p = rte_malloc_socket(NULL, 4096, 0, vdma_dpdk_socket(dpdk));
		if (!p || rte_malloc_virt2iova(p) != vdma_iova(arena, p))
			*(int *)failed = 1;
		/* The other thread's may lie here. */
		rte_free(p);
		while (vdma_dpdk_shrink(dpdk, buf.va))
			if (vdma_last_failure()->cause != VDMA_CAUSE_CHILDREN)
				*(int *)failed = 1;
	}
	return NULL;
}

static void *come_and_go(void *failed)
{
	struct vdma_region_opts anon = { .size = sizeof(anon), .provider = VDMA_PROVIDER_ANON };

	for (int i = 0; i < ROUNDS; i++) {
		struct vdma_region *region;

		if (vdma_region_create(arena, 4096, &anon, &region))
			*(int *)failed = 1;
		else if (!rte_mem_virt2memseg(vdma_region_buf(region).va, NULL) ||
			 vdma_region_destroy(region))
			*(int *)failed = 1;
	}
	return NULL;
}

static void test_threads(void **state)
{
	void *(*const does[])(void *) = { grow_and_shrink, grow_and_shrink, come_and_go };
	pthread_t thread[3];
	int failed[3] = { 0 };

	(void)state;
	create();
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, does[i], &failed[i]), 0);
	for (int i = 0; i < 3; i++) {
		pthread_join(thread[i], NULL);
		assert_int_equal(failed[i], 0);
	}
	assert_int_equal(info().heap_regions + info().regions + regions(), 0);
	ASSERT_OK(vdma_dpdk_destroy(dpdk));
}

static void test_child(void **state)
{
	struct vdma_dpdk_info now = { .size = sizeof(now) };
	struct vdma_buf buf;
	int status;
	pid_t pid;

	(void)state;
	create();
	buf = grow(1);
	pid = fork();
	if (!pid)
		_exit(!(vdma_dpdk_query(dpdk, &now) == -ECHILD &&
			vdma_dpdk_grow(dpdk, 1, NULL, NULL) == -ECHILD &&
			vdma_dpdk_shrink(dpdk, buf.va) == -ECHILD &&
			vdma_dpdk_map(dpdk) == -ECHILD && vdma_dpdk_destroy(dpdk) == -ECHILD &&
			vdma_dpdk_create(arena, NULL, &dpdk) == -ECHILD));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(info().heap_regions, 1);
	ASSERT_OK(vdma_dpdk_destroy(dpdk));
}

static int start_dpdk(void **state)
{
	char *argv[] = { "test",
			 "--no-huge",
			 "--no-pci",
			 "--no-shconf",
			 "--no-telemetry",
			 "--log-level=lib.*:critical",
			 "-m",
			 "32",
			 NULL };

	(void)state;
	return rte_eal_init(sizeof(argv) / sizeof(argv[0]) - 1, argv) < 0;
}

static int stop_dpdk(void **state)
{
	(void)state;
	return rte_eal_cleanup();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_arguments),	 TEST(test_heap),	TEST(test_largest_page),
		TEST(test_regions),	 TEST(test_mapped),	TEST(test_late_port),
		TEST(test_follows),	 TEST(test_unmappable), TEST(test_stale),
		TEST(test_many),	 TEST(test_heaps),	TEST(test_refused_later),
		TEST(test_shrink_again), TEST(test_no_memory),	TEST(test_threads),
		TEST(test_child),
	};

	return cmocka_run_group_tests(tests, start_dpdk, stop_dpdk);
}
