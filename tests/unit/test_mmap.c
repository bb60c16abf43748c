// SPDX-License-Identifier: BSD-3-Clause
/*
 * vdma_mmap(): what it lets through, what it refuses, and what it leaves.
 */
#include "unit.h"

#include <sys/mman.h>
#include <unistd.h>

#define RW (PROT_READ | PROT_WRITE)
#define CONTIG (MAP_CONTIG | MAP_ANONYMOUS | MAP_PRIVATE)

static void *contig(size_t length, int flags)
{
	return vdma_mmap(NULL, length, RW, flags, -1, 0);
}

#define ASSERT_MMAP_FAILS(err, call) \
	do { \
		errno = 0; \
		assert_ptr_equal(call, MAP_FAILED); \
		assert_int_equal(errno, err); \
		assert_int_equal(fake_open_files(), 0); \
	} while (0)

static void test_allocates(void **state)
{
	char *va;

	(void)state;
	errno = 77;
	va = contig(5000, CONTIG);
	assert_ptr_not_equal(va, MAP_FAILED);
	assert_int_equal(errno, 77);
	assert_int_equal(fake.alloc.length, 5000);
	assert_int_equal(fake.alloc.want.fork, MAP_CONTIG_FORK_COPY);
	memset(va, 1, 8192);
	assert_int_equal(fake_open_files(), 0);
	munmap(va, 8192);

	va = contig(4096, CONTIG | MAP_POPULATE | MAP_LOCKED | MAP_NORESERVE);
	assert_ptr_not_equal(va, MAP_FAILED);
	munmap(va, 4096);
}

static void test_fixed(void **state)
{
	char *va = mmap(NULL, 8192, RW, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);

	(void)state;
	va[0] = 1;
	assert_ptr_equal(vdma_mmap(va, 4096, RW, CONTIG | MAP_FIXED, -1, 0), va);
	assert_int_equal(va[0], 0);
	va[0] = 2;
	/* What was there is there still if there is no memory. */
	fake.contig_err = ENOMEM;
	ASSERT_MMAP_FAILS(ENOMEM, vdma_mmap(va, 4096, RW, CONTIG | MAP_FIXED, -1, 0));
	assert_int_equal(va[0], 2);
	fake.contig_err = 0;
	ASSERT_MMAP_FAILS(EEXIST, vdma_mmap(va, 4096, RW, CONTIG | MAP_FIXED_NOREPLACE, -1, 0));
	assert_int_equal(va[0], 2);
	ASSERT_MMAP_FAILS(EINVAL, vdma_mmap(va + 1, 4096, RW, CONTIG | MAP_FIXED, -1, 0));
	munmap(va, 4096);
	assert_ptr_equal(vdma_mmap(va, 4096, RW, CONTIG | MAP_FIXED_NOREPLACE, -1, 0), va);
	munmap(va, 8192);
}

static void test_refused(void **state)
{
	static const int others[] = { MAP_SHARED,   MAP_GROWSDOWN, MAP_HUGETLB,
				      MAP_STACK,    MAP_32BIT,	   MAP_SYNC,
				      MAP_NONBLOCK, MAP_DENYWRITE, MAP_EXECUTABLE };
	unsigned int i, bit;

	(void)state;
	ASSERT_MMAP_FAILS(EINVAL, contig(4096, MAP_CONTIG | MAP_PRIVATE));
	ASSERT_MMAP_FAILS(EINVAL, contig(4096, MAP_CONTIG | MAP_ANONYMOUS));
	ASSERT_MMAP_FAILS(EINVAL, contig(4096, MAP_CONTIG | MAP_ANONYMOUS | MAP_SHARED));
	ASSERT_MMAP_FAILS(EINVAL, contig(4096, MAP_CONTIG | MAP_ANONYMOUS | MAP_SHARED_VALIDATE));
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		ASSERT_MMAP_FAILS(EINVAL, contig(4096, CONTIG | others[i]));
	for (bit = 26; bit < 32; bit++)
		ASSERT_MMAP_FAILS(EINVAL, contig(4096, CONTIG | (int)(1u << bit)));
	ASSERT_MMAP_FAILS(EINVAL, contig(0, CONTIG));
	ASSERT_MMAP_FAILS(EINVAL, vdma_mmap(NULL, 4096, RW, CONTIG, 0, 0));
	ASSERT_MMAP_FAILS(EINVAL, vdma_mmap(NULL, 4096, RW, CONTIG, -2, 0));
	ASSERT_MMAP_FAILS(EINVAL, vdma_mmap(NULL, 4096, RW, CONTIG, -1, 4096));
	/* Nothing of all this reached the module. */
	assert_int_equal(fake.calls, 0);
	fake.contig_err = EINVAL;
	ASSERT_MMAP_FAILS(ENOMEM, contig(SIZE_MAX, CONTIG));
}

static void test_errors(void **state)
{
	static const int errs[] = { ENOMEM, EAGAIN, EPERM, EDQUOT, EINTR, EMFILE, ENFILE };
	unsigned int i;

	(void)state;
	vdma_pci_query("none", &(struct vdma_pci_info){ .size = sizeof(struct vdma_pci_info) });
	for (i = 0; i < sizeof(errs) / sizeof(errs[0]); i++) {
		fake.contig_err = errs[i];
		ASSERT_MMAP_FAILS(errs[i], contig(4096, CONTIG));
	}
	fake.contig_err = 0;
	fake.contig_map_err = ENOMEM;
	ASSERT_MMAP_FAILS(ENOMEM, contig(4096, CONTIG));
	fake.contig_old = true;
	ASSERT_MMAP_FAILS(EOPNOTSUPP, contig(4096, CONTIG));
	fake_deny("/dev/map_contig", EACCES);
	ASSERT_MMAP_FAILS(EACCES, contig(4096, CONTIG));
	fake_deny("/dev/map_contig", EPERM);
	ASSERT_MMAP_FAILS(EACCES, contig(4096, CONTIG));
	fake_deny("/dev/map_contig", EMFILE);
	ASSERT_MMAP_FAILS(EMFILE, contig(4096, CONTIG));
	fake_deny("/dev/map_contig", ENXIO);
	ASSERT_MMAP_FAILS(EOPNOTSUPP, contig(4096, CONTIG));
	fake_remove("/dev/map_contig");
	ASSERT_MMAP_FAILS(EOPNOTSUPP, contig(4096, CONTIG));
	/* The reason of an earlier failure is still there. */
	assert_int_equal(vdma_last_failure()->cause, VDMA_CAUSE_BDF);
}

/* Each system call in turn fails: nothing is left open. */
static void test_each_call(void **state)
{
	unsigned long n;

	(void)state;
	for (n = 1;; n++) {
		void *va;

		fake_reset();
		fake.fail_at = n;
		fake.fail_err = ENOMEM;
		va = contig(4096, CONTIG);
		if (fake.calls < n) {
			assert_ptr_not_equal(va, MAP_FAILED);
			munmap(va, 4096);
			break;
		}
		assert_ptr_equal(va, MAP_FAILED);
		assert_int_equal(errno, ENOMEM);
		assert_int_equal(fake_open_files(), 0);
	}
	assert_int_equal(n, 4); /* open, ioctl, mmap */
}

static void test_passes_through(void **state)
{
	char name[] = "/tmp/vdma-mmap-XXXXXX";
	int fd = mkstemp(name);
	char *va;

	(void)state;
	assert_true(fd >= 0);
	unlink(name);
	assert_int_equal(pwrite(fd, "page two", 8, 4096), 8);
	va = vdma_mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 4096);
	assert_ptr_not_equal(va, MAP_FAILED);
	assert_memory_equal(va, "page two", 8);
	munmap(va, 4096);
	ASSERT_MMAP_FAILS(EINVAL, vdma_mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 1));
	ASSERT_MMAP_FAILS(EINVAL, vdma_mmap(NULL, 4096, PROT_READ, 0, fd, 0));
	close(fd);
	va = vdma_mmap(NULL, 4096, RW, MAP_ANONYMOUS | MAP_SHARED, -1, 0);
	assert_ptr_not_equal(va, MAP_FAILED);
	munmap(va, 4096);
	assert_int_equal(fake.alloc.length, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLEAN_TEST(test_allocates), CLEAN_TEST(test_fixed),
		CLEAN_TEST(test_refused),   CLEAN_TEST(test_errors),
		CLEAN_TEST(test_each_call), CLEAN_TEST(test_passes_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
