// SPDX-License-Identifier: BSD-3-Clause
/*
 * POSIX typed memory: names, what an open descriptor is configured as, and the
 * errors that POSIX lists.
 */
#include "unit.h"

#include <fcntl.h>
#include <stdbool.h>

#include "../../libvdma/sys.h"
#include "../../libvdma/typed_name.h"

static void test_names(void **state)
{
	static const struct {
		const char *name;
		uint64_t phys_max;
		int node;
	} good[] = {
		{ "/memory", UINT64_MAX, -1 },
		{ "/memory/ram", UINT64_MAX, -1 },
		{ "/memory/ram/sysram", UINT64_MAX, -1 },
		{ "/memory/sysram", UINT64_MAX, -1 },
		{ "memory", UINT64_MAX, -1 },
		{ "memory/ram", UINT64_MAX, -1 },
		{ "ram", UINT64_MAX, -1 },
		{ "ram/sysram", UINT64_MAX, -1 },
		{ "sysram", UINT64_MAX, -1 },
		{ "node0", UINT64_MAX, 0 },
		{ "/memory/ram/node12", UINT64_MAX, 12 },
		{ "/memory/node1", UINT64_MAX, 1 },
		{ "below4G", 0xffffffff, -1 },
		{ "/memory/below4G", 0xffffffff, -1 },
		{ "ram/below16M", 0xffffff, -1 },
		{ "below640K", 0x9ffff, -1 },
		{ "below1T", (UINT64_C(1) << 40) - 1, -1 },
		{ "sysram&below4G", 0xffffffff, -1 },
		{ "below4G&/memory/ram", 0xffffffff, -1 },
		{ "below4G&below1G&below2G", 0x3fffffff, -1 },
		{ "node1&below4G", 0xffffffff, 1 },
		{ "node1&node1", UINT64_MAX, 1 },
		{ "/memory/ram/node1&/memory/ram/below4G&sysram", 0xffffffff, 1 },
	};
	static const char *const bad[] = {
		"",
		"/",
		"//memory",
		"/sysram",
		"/ram",
		"/node0",
		"/memory/",
		"/memory//ram",
		"memory/memory",
		"ram/ram",
		"sysram/ram",
		"sysram/",
		"ram/memory",
		"sysram/node0",
		"node",
		"node-1",
		"node00",
		"node01",
		"node0x",
		"node0/",
		"node",
		"node99999999999999999999",
		"node4294967296",
		"below",
		"below4",
		"belowG",
		"below0G",
		"below04G",
		"below4g",
		"below4GB",
		"below4G/",
		"below16777216T",
		"below99999999999999999999G",
		"below4P",
		"sysram&",
		"&sysram",
		"sysram&&ram",
		"&",
		"node0&node1",
		"node1&ram&node0",
		"sysram below4G",
		"sysram|node0",
		"Sysram",
		"sysram ",
		"ramnode0",
		"memory/ramx",
		"above4G",
	};
	struct vdma_typed_pool pool;
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		memset(&pool, 0x55, sizeof(pool));
		if (vdma_typed_name_parse(good[i].name, &pool))
			fail_msg("%s is refused", good[i].name);
		if (pool.phys_max != good[i].phys_max || pool.node != good[i].node)
			fail_msg("%s: up to %#llx, node %d", good[i].name,
				 (unsigned long long)pool.phys_max, pool.node);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (vdma_typed_name_parse(bad[i], &pool) != -ENOENT)
			fail_msg("\"%s\" is not ENOENT", bad[i]);
}

static void test_long_names(void **state)
{
	struct vdma_typed_pool pool;
	char name[2000] = "";
	unsigned int i;

	(void)state;
	memset(name, 'x', 255);
	assert_int_equal(vdma_typed_name_parse(name, &pool), -ENOENT);
	name[255] = 'x';
	assert_int_equal(vdma_typed_name_parse(name, &pool), -ENAMETOOLONG);
	/* 1023 bytes, the last two of them a "&" and a component that fits. */
	memset(name, 0, sizeof(name));
	for (i = 0; i < 204; i++)
		memcpy(name + 5 * i, "/ram&", 5);
	memcpy(name + 1020, "ram", 3);
	assert_int_equal(vdma_typed_name_parse(name, &pool), -ENOENT);
	name[1023] = '&';
	assert_int_equal(vdma_typed_name_parse(name, &pool), -ENAMETOOLONG);
	memset(name, 0, sizeof(name));
	for (i = 0; i < 255; i++)
		memcpy(name + 4 * i, "ram&", 4);
	memcpy(name + 1020, "ram", 3);
	assert_int_equal(vdma_typed_name_parse(name, &pool), 0);
}

static int open_ok(const char *name, int oflag, int tflag)
{
	int fd;

	errno = 77;
	fd = posix_typed_mem_open(name, oflag, tflag);
	if (fd < 0)
		fail_msg("%s: errno %d", name, errno);
	assert_int_equal(errno, 77);
	return fd;
}

#define ASSERT_OPEN_FAILS(err, name, oflag, tflag) \
	do { \
		errno = 0; \
		assert_int_equal(posix_typed_mem_open(name, oflag, tflag), -1); \
		assert_int_equal(errno, err); \
		assert_int_equal(fake_open_files(), 0); \
	} while (0)

static void test_open(void **state)
{
	const struct map_contig_configure *c;
	int fd = open_ok("node1&below4G", O_RDWR, POSIX_TYPED_MEM_ALLOCATE_CONTIG);

	(void)state;
	c = fake_configuration(fd);
	assert_int_equal(c->mode, MAP_CONTIG_MODE_ALLOC);
	assert_int_equal(c->flags, MAP_CONTIG_CONFIGURE_SHARED);
	assert_int_equal(c->pad, 0);
	assert_int_equal(c->want.phys_max, 0xffffffff);
	assert_int_equal(c->want.node, 1);
	assert_int_equal(c->want.node_mode, MAP_CONTIG_NODE_STRICT);
	assert_int_equal(c->want.fork, MAP_CONTIG_FORK_SHARE);
	assert_int_equal(c->want.alignment | c->want.boundary | c->want.deadline_ms, 0);
	/* POSIX: FD_CLOEXEC is clear. */
	assert_true(fake_is_kept(fd));
	vdma_sys_close(fd);

	fd = open_ok("/memory/ram", O_RDONLY | O_CLOEXEC, POSIX_TYPED_MEM_ALLOCATE);
	c = fake_configuration(fd);
	assert_int_equal(c->mode, MAP_CONTIG_MODE_ALLOC);
	assert_int_equal(c->want.phys_max | c->want.node_mode, 0);
	assert_false(fake_is_kept(fd));
	vdma_sys_close(fd);

	fd = open_ok("sysram", O_RDWR, POSIX_TYPED_MEM_MAP_ALLOCATABLE);
	assert_int_equal(fake_configuration(fd)->mode, MAP_CONTIG_MODE_MAP);
	assert_int_equal(fake_configuration(fd)->flags, 0);
	vdma_sys_close(fd);
	fd = open_ok("sysram", O_RDWR, 0);
	assert_int_equal(fake_configuration(fd)->mode, MAP_CONTIG_MODE_MAP);
	vdma_sys_close(fd);
}

static void test_open_fails(void **state)
{
	(void)state;
	ASSERT_OPEN_FAILS(EINVAL, "sysram", O_RDWR, 3);
	ASSERT_OPEN_FAILS(EINVAL, "sysram", O_RDWR, 5);
	ASSERT_OPEN_FAILS(EINVAL, "sysram", O_RDWR, 6);
	ASSERT_OPEN_FAILS(EINVAL, "sysram", O_RDWR, 8);
	ASSERT_OPEN_FAILS(EINVAL, "sysram", O_RDWR, -1);
	ASSERT_OPEN_FAILS(EINVAL, "sysram", O_RDWR | O_CREAT, 1);
	ASSERT_OPEN_FAILS(EINVAL, "sysram", O_ACCMODE, 1);
	ASSERT_OPEN_FAILS(ENOENT, "sysrom", O_RDWR, 1);
	ASSERT_OPEN_FAILS(ENOENT, "node0&node1", O_RDWR, 1);
	/* There is none such, and one that went while it was asked for. */
	ASSERT_OPEN_FAILS(ENOENT, "node7", O_RDWR, 1);
	fake_file("/sys/devices/system/node/node7", "");
	ASSERT_OPEN_FAILS(ENOENT, "node7", O_RDWR, 1);
	ASSERT_OPEN_FAILS(ENOENT, "below1K", O_RDWR, 1);
	fake_deny("/dev/map_contig", EACCES);
	ASSERT_OPEN_FAILS(EACCES, "sysram", O_RDWR, 1);
	fake_deny("/dev/map_contig", EMFILE);
	ASSERT_OPEN_FAILS(EMFILE, "sysram", O_RDWR, 1);
	fake_deny("/dev/map_contig", ENFILE);
	ASSERT_OPEN_FAILS(ENFILE, "sysram", O_RDWR, 1);
	fake_remove("/dev/map_contig");
	ASSERT_OPEN_FAILS(ENOENT, "sysram", O_RDWR, 1);
	fake_file("/dev/map_contig", "");
	fake.contig_old = true;
	ASSERT_OPEN_FAILS(ENOENT, "sysram", O_RDWR, 1);
}

static void test_open_each_call(void **state)
{
	unsigned long n;

	(void)state;
	for (n = 1;; n++) {
		int fd;

		fake_reset();
		fake.fail_at = n;
		fake.fail_err = ENOMEM;
		fd = posix_typed_mem_open("node1", O_RDWR, POSIX_TYPED_MEM_ALLOCATE);
		if (fake.calls < n) {
			assert_true(fd >= 0);
			vdma_sys_close(fd);
			break;
		}
		assert_int_equal(fd, -1);
		assert_int_equal(fake_open_files(), 0);
	}
	assert_int_equal(n, 5); /* exists, open, ioctl, fcntl */
}

static void test_get_info(void **state)
{
	struct posix_typed_mem_info info = { 0 };
	int fd = open_ok("node1", O_RDWR, POSIX_TYPED_MEM_ALLOCATE_CONTIG);
	int plain = vdma_sys_open("/dev/map_contig", O_RDWR);
	int other = vdma_sys_open("/proc/meminfo", O_RDONLY);

	(void)state;
	errno = 77;
	fake.limits.left = 60 * MIB;
	fake.largest = 40 * MIB;
	assert_int_equal(posix_typed_mem_get_info(fd, &info), 0);
	assert_int_equal(info.posix_tmi_length, 40 * MIB);
	/* The oracle was asked about this pool. */
	assert_int_equal(fake.oracle.want.node, 1);
	assert_int_equal(fake.oracle.want.node_mode, MAP_CONTIG_NODE_STRICT);
	fake.limits.left = 30 * MIB;
	assert_int_equal(posix_typed_mem_get_info(fd, &info), 0);
	assert_int_equal(info.posix_tmi_length, 30 * MIB);
	vdma_sys_close(fd);
	assert_int_equal(posix_typed_mem_get_info(fd, &info), EBADF);
	assert_int_equal(posix_typed_mem_get_info(plain, &info), ENODEV);
	assert_int_equal(posix_typed_mem_get_info(other, &info), ENODEV);
	assert_int_equal(info.posix_tmi_length, 30 * MIB);
	fd = open_ok("node1", O_RDWR, POSIX_TYPED_MEM_MAP_ALLOCATABLE);
	assert_int_equal(posix_typed_mem_get_info(fd, &info), 0);
	assert_int_equal(info.posix_tmi_length, 0);
	assert_int_equal(errno, 77);
	vdma_sys_close(fd);
	vdma_sys_close(other);
	vdma_sys_close(plain);
}

static void test_mem_offset(void **state)
{
	static const char memory[8192];
	off_t off = 1;
	size_t contig = 1;
	int fd = 1;

	(void)state;
	errno = 77;
	fake.contig_map = (struct fake_contig_map){ memory, sizeof(memory), 0x40000000, 9 };
	assert_int_equal(posix_mem_offset(memory, 4096, &off, &contig, &fd), 0);
	assert_int_equal(off, 0x40000000);
	assert_int_equal(contig, 4096);
	assert_int_equal(fd, 9);
	fake.contig_map.fd = -1;
	assert_int_equal(posix_mem_offset(memory + 5000, 4096, &off, &contig, &fd), 0);
	assert_int_equal(off, 0x40000000 + 5000);
	assert_int_equal(contig, 8192 - 5000);
	assert_int_equal(fd, -1);
	assert_int_equal(posix_mem_offset(memory, 0, &off, &contig, &fd), 0);
	assert_int_equal(contig, 0);

	off = 1;
	contig = 1;
	fd = 1;
	assert_int_equal(posix_mem_offset(memory + 8192, 1, &off, &contig, &fd), EACCES);
	fake_deny("/dev/map_contig", EMFILE);
	assert_int_equal(posix_mem_offset(memory, 1, &off, &contig, &fd), EMFILE);
	fake_remove("/dev/map_contig");
	assert_int_equal(posix_mem_offset(memory, 1, &off, &contig, &fd), EACCES);
	assert_int_equal(off, 1);
	assert_int_equal(contig, 1);
	assert_int_equal(fd, 1);
	assert_int_equal(errno, 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLEAN_TEST(test_names),		 CLEAN_TEST(test_long_names),
		CLEAN_TEST(test_open),		 CLEAN_TEST(test_open_fails),
		CLEAN_TEST(test_open_each_call), CLEAN_TEST(test_get_info),
		CLEAN_TEST(test_mem_offset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
