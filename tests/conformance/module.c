// SPDX-License-Identifier: BSD-3-Clause
/* D10: the module cannot go while a region lives, and leaves nothing when it goes. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "suite.h"
#include "uapi.h"
#include "vfio_edu.h"

#define IOVA (1UL << 30)

static int module_remove(void)
{
	return (int)syscall(SYS_delete_module, "map_contig", O_NONBLOCK);
}

/* The last descriptor's release may still be on its way. */
static void module_remove_now(void)
{
	for (int i = 0; i < 100; i++) {
		if (!module_remove()) {
			CHECK_ERRNO(access(MAP_CONTIG_DEVICE, F_OK), ENOENT);
			return;
		}
		usleep(20 * 1000);
	}
	FAIL("the module cannot be removed: %m");
}

static void module_insert(void)
{
	const char *path = getenv("VDMA_MODULE");
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	CHECK_OK(fd);
	CHECK_OK(syscall(SYS_finit_module, fd, "", 0));
	close(fd);
}

static void need_module_file(void)
{
	SKIP_IF(!getenv("VDMA_MODULE"), "VDMA_MODULE does not name the module's file");
}

static void d10_not_unloaded_while_mapped(void)
{
	char *va;

	need_module_file();
	va = contig_alloc(4 * MIB);
	CHECK_OK(va);
	va[0] = 9;
	/* Mapped without a descriptor, then a part of it. */
	CHECK_ERRNO(module_remove(), EWOULDBLOCK);
	munmap(va + PAGE, 4 * MIB - PAGE);
	CHECK_ERRNO(module_remove(), EWOULDBLOCK);
	CHECK_EQ(va[0], 9);
	munmap(va, PAGE);
}

static void d10_not_unloaded_while_open(void)
{
	int node, region;

	need_module_file();
	node = node_open();
	CHECK_ERRNO(module_remove(), EWOULDBLOCK);
	region = region_alloc(node, MIB, NULL);
	CHECK_OK(region);
	close(node);
	CHECK_ERRNO(module_remove(), EWOULDBLOCK);
	close(region);
	module_remove_now();
	module_insert();
}

/* A child's copy is served by the module too. */
static int child_holds_on(void *arg)
{
	int *ends = arg;
	char byte;

	CHECK_EQ(read(ends[0], &byte, 1), 1);
	return 0;
}

static void d10_not_unloaded_while_a_copy_lives(void)
{
	int ends[2];
	char *va;
	pid_t pid;

	need_module_file();
	CHECK_OK(pipe(ends));
	va = contig_alloc(4 * MIB);
	CHECK_OK(va);
	pid = fork();
	CHECK_OK(pid);
	if (!pid)
		_exit(child_holds_on(ends));
	munmap(va, 4 * MIB);
	CHECK_EQ(ledger_wait(0), 0);
	CHECK_ERRNO(module_remove(), EWOULDBLOCK);
	CHECK_EQ(write(ends[1], "", 1), 1);
	module_remove_now();
	module_insert();
}

static void d10_leaves_nothing(void)
{
	int64_t before;

	need_module_file();
	module_remove_now();
	before = mem_free_settled();
	for (int i = 0; i < 5; i++) {
		char *va;

		module_insert();
		va = contig_alloc(128 * MIB);
		CHECK_OK(va);
		munmap(va, 128 * MIB);
		module_remove_now();
		CHECK_ERRNO(access("/sys/kernel/debug/map_contig", F_OK), ENOENT);
	}
	check_free(before);
	module_insert();
}

/* Unloaded while orphans are pinned: the pin keeps them, then they are free. */
static void d10_unloads_with_orphans(void)
{
	size_t len = 32 * MIB;
	int64_t before;
	struct vfio vfio;
	char *va;

	need_module_file();
	vfio_open(&vfio);
	before = mem_free_at_rest();
	va = contig_alloc(len);
	CHECK_OK(va);
	CHECK_OK(vfio_map(&vfio, va, len, IOVA));
	munmap(va, len);
	CHECK_EQ(ledger_lines(), 1);

	module_remove_now();
	CHECK(before - mem_free_at_rest() > (int64_t)(len - 8 * MIB));
	CHECK_OK(vfio_unmap(&vfio, len, IOVA));
	check_free(before);
	vfio_close(&vfio);

	module_insert();
	va = contig_alloc(len);
	CHECK_OK(va);
	munmap(va, len);
}

const struct test module_tests[] = {
	TEST_FRONTS(d10_not_unloaded_while_mapped, FRONT_ALL),
	TEST(d10_not_unloaded_while_open),
	TEST(d10_not_unloaded_while_a_copy_lives),
	TEST(d10_leaves_nothing),
	TEST(d10_unloads_with_orphans),
	TESTS_END,
};
