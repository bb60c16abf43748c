// SPDX-License-Identifier: BSD-3-Clause
/* The operations whose steps failnth.c makes fail, and what each needs before. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "failnth.h"

struct subject ctx;

/* --- Setups --- */

static int result(int r)
{
	return r < 0 ? -errno : 0;
}

int node_open(void)
{
	ctx.node = open(MAP_CONTIG_DEVICE, O_RDWR | O_CLOEXEC);
	return result(ctx.node);
}

void need(int err, const char *what)
{
	if (err)
		fail("setup: %s: %s", what, strerror(-err));
}

static void setup_nothing(void)
{
}

static void setup_node(void)
{
	need(node_open(), "open");
}

static int alloc_want(size_t length, const struct map_contig_constraints *want)
{
	struct map_contig_alloc alloc = { .size = sizeof(alloc), .length = length };

	if (want)
		alloc.want = *want;
	if (ioctl(ctx.node, MAP_CONTIG_ALLOC, &alloc))
		return -errno;
	ctx.fd = alloc.fd;
	ctx.length = length;
	return 0;
}

int map(int fd, size_t length, off_t offset)
{
	void *addr = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);

	if (addr == MAP_FAILED)
		return -errno;
	ctx.addr = addr;
	ctx.length = length;
	return 0;
}

static void fill(void)
{
	for (size_t i = 0; i < ctx.length; i += PAGE)
		memset(ctx.addr + i, (int)(1 + i / PAGE % 250), PAGE);
}

static void setup_descriptor(void)
{
	setup_node();
	need(alloc_want(LARGE, NULL), "alloc");
}

static void setup_mapped(void)
{
	setup_node();
	need(map(ctx.node, LARGE, 0), "mmap");
	fill();
}

static void setup_exported(void)
{
	struct map_contig_export export = { .size = sizeof(export), .length = 4 * PAGE };

	setup_descriptor();
	need(result(ioctl(ctx.fd, MAP_CONTIG_EXPORT, &export)), "export");
	ctx.buffer = export.fd;
}

static void setup_fork(uint32_t policy)
{
	struct map_contig_configure configure = { .size = sizeof(configure), .want.fork = policy };

	setup_node();
	need(result(ioctl(ctx.node, MAP_CONTIG_CONFIGURE, &configure)), "configure");
	need(map(ctx.node, SMALL, 0), "mmap");
	fill();
}

static void setup_copy(void)
{
	setup_fork(MAP_CONTIG_FORK_COPY);
}

static void setup_share(void)
{
	setup_fork(MAP_CONTIG_FORK_SHARE);
}

static void setup_none(void)
{
	setup_fork(MAP_CONTIG_FORK_NONE);
}

static void setup_reserve(void)
{
	setup_node();
	need(write_text(PARAMETERS "reserve", "8M"), "reserve");
}

static int64_t bdf = -1;

static int hold(uint32_t flags)
{
	struct map_contig_hold want = { .size = sizeof(want),
					.flags = flags,
					.bdf = (uint32_t)bdf };

	return result(ioctl(ctx.fd, MAP_CONTIG_HOLD, &want));
}

static void setup_held(void)
{
	setup_descriptor();
	need(hold(0), "hold");
}

static void setup_shared_offset(void)
{
	struct map_contig_configure configure = { .size = sizeof(configure),
						  .flags = MAP_CONTIG_CONFIGURE_SHARED };
	struct map_contig_offset offset = { .size = sizeof(offset) };

	setup_node();
	need(result(ioctl(ctx.node, MAP_CONTIG_CONFIGURE, &configure)), "configure");
	need(map(ctx.node, SMALL, 0), "mmap");
	fill();
	offset.addr = (uintptr_t)ctx.addr;
	need(result(ioctl(ctx.node, MAP_CONTIG_OFFSET, &offset)), "offset");
	ctx.offset = offset.offset;
	configure.mode = MAP_CONTIG_MODE_MAP;
	need(result(ioctl(ctx.node, MAP_CONTIG_CONFIGURE, &configure)), "configure");
}

/* --- Operations --- */

static int do_alloc_small(void)
{
	return alloc_want(SMALL, NULL);
}

static int do_alloc_large(void)
{
	return alloc_want(LARGE, NULL);
}

static int do_alloc_constrained(void)
{
	struct map_contig_constraints want = { .alignment = 64 * KIB,
					       .boundary = 16 * MIB,
					       .phys_max = 0xffffffff,
					       .node_mode = MAP_CONTIG_NODE_STRICT };

	return alloc_want(SMALL, &want);
}

static int do_alloc_deadline(void)
{
	struct map_contig_constraints want = { .deadline_ms = 60000 };

	return alloc_want(LARGE, &want);
}

static int do_alloc_reserve(void)
{
	return alloc_want(4 * MIB, NULL);
}

static int do_mmap_node(void)
{
	return map(ctx.node, LARGE, 0);
}

static int do_mmap_node_small(void)
{
	return map(ctx.node, SMALL, 0);
}

static int do_mmap_descriptor(void)
{
	return map(ctx.fd, LARGE - 2 * PAGE, PAGE);
}

static int do_mmap_buffer(void)
{
	return map(ctx.buffer, 3 * PAGE, PAGE);
}

/* Beside the mapping that is there. */
static int do_mmap_offset(void)
{
	char *first = ctx.addr;
	int err = map(ctx.node, SMALL, (off_t)ctx.offset);

	if (!err) {
		ctx.moved = ctx.addr;
		ctx.addr = first;
	}
	return err;
}

static int do_export(void)
{
	struct map_contig_export export = { .size = sizeof(export) };

	return result(ioctl(ctx.fd, MAP_CONTIG_EXPORT, &export));
}

static int do_hold(void)
{
	return hold(0);
}

static int do_release(void)
{
	return hold(MAP_CONTIG_HOLD_RELEASE);
}

static int do_query(void)
{
	struct map_contig_query query = { .size = sizeof(query), .addr = (uintptr_t)ctx.addr };

	return result(ioctl(ctx.node, MAP_CONTIG_QUERY, &query));
}

static int do_limits(void)
{
	struct map_contig_limits limits = { .size = sizeof(limits) };

	return result(ioctl(ctx.node, MAP_CONTIG_LIMITS, &limits));
}

static int do_oracle(void)
{
	struct map_contig_oracle oracle = { .size = sizeof(oracle), .length = LARGE };

	return result(ioctl(ctx.node, MAP_CONTIG_ORACLE, &oracle));
}

static int do_version(void)
{
	struct map_contig_version version = { .size = sizeof(version) };

	return result(ioctl(ctx.node, MAP_CONTIG_VERSION, &version));
}

static int do_configure(void)
{
	struct map_contig_configure configure = { .size = sizeof(configure) };

	return result(ioctl(ctx.node, MAP_CONTIG_CONFIGURE, &configure));
}

static int do_offset(void)
{
	struct map_contig_offset offset = { .size = sizeof(offset), .addr = (uintptr_t)ctx.addr };

	return result(ioctl(ctx.node, MAP_CONTIG_OFFSET, &offset));
}

static int do_munmap(void)
{
	return result(munmap(ctx.addr, ctx.length));
}

static int do_munmap_part(void)
{
	return result(munmap(ctx.addr + 3 * PAGE, 2 * PAGE));
}

static int do_mprotect(void)
{
	return result(mprotect(ctx.addr + PAGE, PAGE, PROT_READ));
}

static int do_mremap(void)
{
	void *to =
		mremap(ctx.addr, ctx.length, ctx.length, MREMAP_MAYMOVE | MREMAP_FIXED, ctx.moved);

	if (to == MAP_FAILED)
		return -errno;
	ctx.addr = to;
	return 0;
}

static void setup_mremap(void)
{
	setup_mapped();
	/* Somewhere else, with page tables that are not there yet. */
	ctx.moved =
		mmap(NULL, 64 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ctx.moved == MAP_FAILED)
		fail("setup: %m");
	munmap(ctx.moved, 64 * MIB);
}

static int do_shrink(void)
{
	return result(mremap(ctx.addr, ctx.length, PAGE, 0) == MAP_FAILED ? -1 : 0);
}

static int do_dontneed(void)
{
	return result(madvise(ctx.addr, ctx.length, MADV_DONTNEED));
}

static int do_fork(void)
{
	ctx.child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (!ctx.child) {
		/* It has no failure coming: fail-nth is not inherited. */
		return 0;
	}
	return result(ctx.child);
}

/* The file is open already: its own steps are not ours. */
static int reserve_fd = -1;

static int reserve_write(const char *text)
{
	return result(pwrite(reserve_fd, text, strlen(text), 0) < 0 ? -1 : 0);
}

static int do_reserve_grow(void)
{
	return reserve_write("6M");
}

static int do_reserve_shrink(void)
{
	return reserve_write("0");
}

#define GOOD (1U << CHILD_GOOD)
#define BUS (1U << CHILD_SIGBUS)
#define SEGV (1U << CHILD_SIGSEGV)

const struct operation operations[] = {
	{ "open", setup_nothing, node_open, { 0 }, 0, false },
	{ "version", setup_node, do_version, { EFAULT }, 0, false },
	{ "limits", setup_node, do_limits, { EFAULT }, 0, false },
	{ "configure", setup_node, do_configure, { EFAULT }, 0, false },
	{ "oracle", setup_node, do_oracle, { EFAULT }, 0, false },
	{ "alloc-small", setup_node, do_alloc_small, { EFAULT, EMFILE, ENFILE }, 0, false },
	{ "alloc-large", setup_node, do_alloc_large, { EFAULT, EMFILE, ENFILE }, 0, false },
	{ "alloc-constrained",
	  setup_node,
	  do_alloc_constrained,
	  { EFAULT, EMFILE, ENFILE },
	  0,
	  false },
	{ "alloc-deadline", setup_node, do_alloc_deadline, { EFAULT, EMFILE, ENFILE }, 0, false },
	{ "alloc-reserve", setup_reserve, do_alloc_reserve, { EFAULT, EMFILE, ENFILE }, 0, false },
	{ "mmap-node", setup_node, do_mmap_node, { ENFILE }, 0, false },
	{ "mmap-node-small", setup_node, do_mmap_node_small, { ENFILE }, 0, false },
	{ "mmap-descriptor", setup_descriptor, do_mmap_descriptor, { 0 }, 0, false },
	{ "mmap-buffer", setup_exported, do_mmap_buffer, { 0 }, 0, false },
	{ "mmap-offset", setup_shared_offset, do_mmap_offset, { 0 }, 0, false },
	{ "query", setup_mapped, do_query, { EFAULT }, 0, false },
	{ "offset", setup_mapped, do_offset, { EFAULT }, 0, false },
	{ "export", setup_descriptor, do_export, { EFAULT, EMFILE, ENFILE }, 0, false },
	{ "hold", setup_descriptor, do_hold, { EFAULT }, 0, true },
	{ "release", setup_held, do_release, { EFAULT }, 0, true },
	{ "munmap", setup_mapped, do_munmap, { 0 }, 0, false },
	{ "munmap-part", setup_mapped, do_munmap_part, { 0 }, 0, false },
	{ "mprotect", setup_mapped, do_mprotect, { 0 }, 0, false },
	{ "mremap", setup_mremap, do_mremap, { 0 }, 0, false },
	{ "mremap-shrink", setup_mapped, do_shrink, { 0 }, 0, false },
	{ "madvise-dontneed", setup_mapped, do_dontneed, { 0 }, 0, false },
	{ "fork-copy", setup_copy, do_fork, { EAGAIN }, GOOD | BUS, false },
	{ "fork-share", setup_share, do_fork, { EAGAIN }, GOOD | BUS, false },
	{ "fork-none", setup_none, do_fork, { EAGAIN }, SEGV, false },
	{ "reserve-grow", setup_nothing, do_reserve_grow, { EFAULT }, 0, false },
	{ "reserve-shrink", setup_reserve, do_reserve_shrink, { EFAULT }, 0, false },
};

const size_t noperations = sizeof(operations) / sizeof(*operations);

bool operations_begin(void)
{
	bdf = parse_bdf(getenv("VDMA_BDF_EDU"));
	reserve_fd = open(PARAMETERS "reserve", O_RDWR | O_CLOEXEC);
	if (reserve_fd < 0)
		fail("the reserve: %m");
	return bdf >= 0;
}
