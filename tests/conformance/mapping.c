// SPDX-License-Identifier: BSD-3-Clause
/* C5, C6 as far as it goes today, and how the device node is mapped. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "observe.h"
#include "suite.h"

static void c5_cannot_grow(void **state)
{
	char *va = contig_mmap(4 * MIB);

	(void)state;
	assert_ptr_not_equal(va, MAP_FAILED);
	assert_ptr_equal(mremap(va, 4 * MIB, 4 * MIB + PAGE, 0), MAP_FAILED);
	assert_ptr_equal(mremap(va, 4 * MIB, 8 * MIB, MREMAP_MAYMOVE), MAP_FAILED);
	/* A second mapping of the same pages would be growth too. */
	assert_ptr_equal(mremap(va, 0, 4 * MIB, MREMAP_MAYMOVE), MAP_FAILED);
	assert_ptr_equal(mremap(va, 4 * MIB, 4 * MIB, MREMAP_MAYMOVE | MREMAP_DONTUNMAP),
			 MAP_FAILED);
	assert_int_equal(syscall(SYS_remap_file_pages, va, PAGE, 0, 1UL, 0), -1);
	va[4 * MIB - 1] = 1;
	munmap(va, 4 * MIB);
}

static void c5_moves_whole(void **state)
{
	size_t len = 4 * MIB + 12 * KIB;
	char *va = contig_mmap(len);
	char *to = mmap(NULL, 8 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t *before = pagemap_frames(va, len), *after;
	char *moved;

	(void)state;
	strcpy(va + len - 8, "bytes");
	moved = mremap(va, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to + 5 * PAGE);
	assert_ptr_equal(moved, to + 5 * PAGE);
	/* Where PMDs no longer fit the address, pages come back by minor faults. */
	for (size_t i = 0; i < len; i += PAGE)
		(void)*(volatile char *)(moved + i);
	after = pagemap_frames(moved, len);
	assert_memory_equal(before, after, len / PAGE * sizeof(*before));
	assert_string_equal(moved + len - 8, "bytes");
	assert_int_equal(ledger_lines(), 1);
	free(before);
	free(after);
	munmap(to, 8 * MIB);
	assert_int_equal(ledger_wait(0), 0);
}

/* What is cut off goes back at once, what is left stays where it is. */
static void c5_shrinks(void **state)
{
	size_t len = 64 * MIB;
	char *va = contig_mmap(len);
	uint64_t *before = pagemap_frames(va, len), *after;
	int64_t free_before = mem_free_settled();

	(void)state;
	assert_ptr_equal(mremap(va, len, 16 * MIB, 0), va);
	after = pagemap_frames(va, 16 * MIB);
	assert_memory_equal(before, after, 16 * MIB / PAGE * sizeof(*before));
	assert_true(mem_free_settled() - free_before > (int64_t)(44 * MIB));
	free(before);
	free(after);
	munmap(va, 16 * MIB);
}

static sigjmp_buf fault_jmp;

static void on_fault(int sig)
{
	siglongjmp(fault_jmp, sig);
}

/* 0 if *va can be written, else the signal. */
static int touch(void *va)
{
	struct sigaction sa = { .sa_handler = on_fault }, segv, bus;
	int sig;

	sigaction(SIGSEGV, &sa, &segv);
	sigaction(SIGBUS, &sa, &bus);
	sig = sigsetjmp(fault_jmp, 1);
	if (!sig)
		*(volatile char *)va = 7;
	sigaction(SIGSEGV, &segv, NULL);
	sigaction(SIGBUS, &bus, NULL);
	return sig;
}

static void c6_child_does_not_inherit(void **state)
{
	size_t len = 4 * MIB;
	char *va = contig_mmap(len);
	uint64_t *before = pagemap_frames(va, len), *after;

	(void)state;
	va[0] = 1;
	assert_int_equal(in_child(touch, va), SIGSEGV);
	assert_int_equal(va[0], 1);

	/* Asked to inherit it, the child gets an address that is dead. */
	assert_return_code(madvise(va, len, MADV_DOFORK), errno);
	assert_int_equal(in_child(touch, va), SIGBUS);
	assert_int_equal(va[0], 1);
	after = pagemap_frames(va, len);
	assert_memory_equal(before, after, len / PAGE * sizeof(*before));
	free(before);
	free(after);
	munmap(va, len);
	assert_int_equal(ledger_wait(0), 0);
}

/* The dead copy outlives the parent's mapping, and holds nothing. */
static void c6_dead_copy_holds_nothing(void **state)
{
	char *va = contig_mmap(4 * MIB);
	int hold[2], wstatus;
	char go;
	pid_t pid;

	(void)state;
	assert_return_code(madvise(va, 4 * MIB, MADV_DOFORK), errno);
	assert_return_code(pipe(hold), errno);
	pid = fork();
	assert_return_code(pid, errno);
	if (!pid) {
		close(hold[1]);
		_exit(read(hold[0], &go, 1) == 0 ? touch(va) : 99);
	}
	munmap(va, 4 * MIB);
	assert_int_equal(ledger_wait(0), 0);
	close(hold[0]);
	close(hold[1]);
	assert_int_equal(waitpid(pid, &wstatus, 0), pid);
	assert_true(WIFEXITED(wstatus));
	assert_int_equal(WEXITSTATUS(wstatus), SIGBUS);
}

static int kernel_log_count(const char *text)
{
	int len = klogctl(10, NULL, 0), n = 0;
	char *log = calloc(1, (size_t)len + 1);

	assert_true(klogctl(3, log, len) > 0);
	for (char *at = log; (at = strstr(at, text)); at++)
		n++;
	free(log);
	return n;
}

static void private_is_refused(void **state)
{
	const char *text = "map_contig: conformance: mmap with MAP_PRIVATE is refused";

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_ptr_equal(contig_mmap_at(NULL, PAGE, PROT_READ, MAP_PRIVATE), MAP_FAILED);
		assert_int_equal(errno, EINVAL);
	}
	assert_int_equal(kernel_log_count(text), 1);
}

static void offset_is_refused(void **state)
{
	int fd = open("/dev/map_contig", O_RDWR | O_CLOEXEC);

	(void)state;
	assert_ptr_equal(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, (off_t)PAGE), MAP_FAILED);
	assert_int_equal(errno, EINVAL);
	close(fd);
}

/* One descriptor makes as many regions as it is mapped, each its own. */
static void regions_are_separate(void **state)
{
	int fd = open("/dev/map_contig", O_RDWR | O_CLOEXEC);
	char *a = mmap(NULL, FOLIO, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *b = mmap(NULL, FOLIO, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	(void)state;
	assert_ptr_not_equal(a, MAP_FAILED);
	assert_ptr_not_equal(b, MAP_FAILED);
	a[0] = 1;
	assert_int_equal(b[0], 0);
	assert_int_equal(ledger_lines(), 2);
	close(fd);
	/* One laid over the other: the old one goes, the new one stands. */
	b[0] = 2;
	assert_ptr_equal(contig_mmap_at(b, FOLIO, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED),
			 b);
	assert_int_equal(b[0], 0);
	assert_int_equal(ledger_wait(2), 2);
	munmap(a, FOLIO);
	munmap(b, FOLIO);
	assert_int_equal(ledger_wait(0), 0);
}

/* Protection changes split vmas and PMDs, not the memory. */
static void protection_changes(void **state)
{
	size_t len = 6 * MIB;
	char *va = contig_mmap(len);
	uint64_t *before = pagemap_frames(va, len), *after;

	(void)state;
	memset(va, 3, len);
	assert_return_code(mprotect(va + PAGE, PAGE, PROT_READ), errno);
	assert_int_equal(touch(va + PAGE), SIGSEGV);
	assert_return_code(mprotect(va + 3 * MIB, MIB, PROT_NONE), errno);
	assert_return_code(mprotect(va, len, PROT_READ | PROT_WRITE), errno);
	for (size_t i = 0; i < len; i += PAGE) {
		assert_int_equal(va[i], 3);
		va[i] = 4;
	}
	after = pagemap_frames(va, len);
	assert_memory_equal(before, after, len / PAGE * sizeof(*before));
	free(before);
	free(after);
	munmap(va, len);

	va = contig_mmap_at(NULL, len, PROT_READ, MAP_SHARED);
	assert_ptr_not_equal(va, MAP_FAILED);
	assert_int_equal(va[len - 1], 0);
	munmap(va, len);
	va = contig_mmap_at(NULL, len, PROT_NONE, MAP_SHARED);
	assert_ptr_not_equal(va, MAP_FAILED);
	munmap(va, len);
	assert_int_equal(ledger_wait(0), 0);
}

int run_mapping(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(c5_cannot_grow),
		cmocka_unit_test(c5_moves_whole),
		cmocka_unit_test(c5_shrinks),
		cmocka_unit_test(c6_child_does_not_inherit),
		cmocka_unit_test(c6_dead_copy_holds_nothing),
		cmocka_unit_test(private_is_refused),
		cmocka_unit_test(offset_is_refused),
		cmocka_unit_test(regions_are_separate),
		cmocka_unit_test(protection_changes),
	};

	return cmocka_run_group_tests_name("mapping", tests, NULL, NULL);
}
