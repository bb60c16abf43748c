// SPDX-License-Identifier: BSD-3-Clause
/* C9, D1, D10: when memory goes back, and when not yet. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "observe.h"
#include "suite.h"

#define IOVA (1UL << 30)

/* MemFree wavers by what other caches do; a region must be far larger. */
#define SLACK ((int64_t)(6 * MIB))

static void assert_free(int64_t before)
{
	int64_t now = 0;

	/* Exit and unpin finish behind our back: give them a moment. */
	for (int i = 0; i < 20; i++) {
		now = mem_free_settled();
		if (now > before - SLACK)
			return;
		usleep(100 * 1000);
	}
	fail_msg("MemFree was %ld MiB, is %ld MiB", before / (int64_t)MIB, now / (int64_t)MIB);
}

static void c9_munmap_whole(void **state)
{
	int64_t before = mem_free_settled();
	void *va = contig_mmap(128 * MIB);

	(void)state;
	assert_ptr_not_equal(va, MAP_FAILED);
	assert_true(before - mem_free_settled() > (int64_t)(120 * MIB));
	assert_int_equal(ledger_lines(), 1);
	munmap(va, 128 * MIB);
	assert_int_equal(ledger_lines(), 0);
	assert_free(before);
}

/* Parts go back by themselves: by page, or by folio where built of folios. */
static void c9_munmap_part(void **state)
{
	size_t len = 128 * MIB;
	int64_t before = mem_free_settled(), whole;
	char *va = contig_mmap(len);
	uint64_t *frames, *after;

	(void)state;
	assert_ptr_not_equal(va, MAP_FAILED);
	memset(va, 6, len);
	frames = pagemap_frames(va, len);
	whole = mem_free_settled();
	/* From the middle, off by some pages from the folios' borders. */
	munmap(va + 32 * MIB + 4 * PAGE, 64 * MIB);
	assert_in_range(mem_free_settled() - whole, 58 * MIB, 68 * MIB);
	/* What is left of a folio that was cut comes back by minor faults. */
	for (size_t i = 0; i < 32 * MIB + 4 * PAGE; i += PAGE)
		assert_int_equal(va[i], 6);
	after = pagemap_frames(va, 32 * MIB + 4 * PAGE);
	assert_memory_equal(frames, after, (32 * MIB / PAGE + 4) * sizeof(*frames));
	free(after);
	assert_false(pagemap_any_present(va + 32 * MIB + 4 * PAGE, 64 * MIB));
	for (size_t i = 96 * MIB + 4 * PAGE; i < len; i += PAGE)
		assert_int_equal(va[i], 6);
	assert_int_equal(ledger_lines(), 1);

	/* The rest, page by page at one border, so that a folio goes with its last page. */
	for (size_t i = 30 * MIB; i < 32 * MIB + 4 * PAGE; i += PAGE)
		munmap(va + i, PAGE);
	munmap(va, 30 * MIB);
	munmap(va + 96 * MIB + 4 * PAGE, 32 * MIB - 4 * PAGE);
	assert_int_equal(ledger_lines(), 0);
	assert_free(before);
	free(frames);
}

struct holder {
	size_t len;
	const char *how;
	int ready;
};

static int hold(void *arg)
{
	struct holder *holder = arg;
	char *va = contig_mmap(holder->len);

	if (va == MAP_FAILED)
		return 1;
	memset(va, 1, holder->len);
	if (!strcmp(holder->how, "exit"))
		return 0;
	if (!strcmp(holder->how, "exec"))
		return execl("/bin/true", "true", NULL);
	if (!strcmp(holder->how, "kill"))
		kill(getpid(), SIGKILL);
	if (!strcmp(holder->how, "crash"))
		raise(SIGABRT);
	return 2;
}

static void c9_process_ends(void **state)
{
	static const char *const how[] = { "exit", "exec", "kill", "crash" };
	int64_t before = mem_free_settled();

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct holder holder = { .len = 64 * MIB, .how = how[i] };
		int expected[] = { 0, 0, 256 + SIGKILL, 256 + SIGABRT };

		assert_int_equal(in_child(hold, &holder), expected[i]);
		assert_int_equal(ledger_wait(0), 0);
		assert_free(before);
	}
}

/* SIGKILL in the midst of mmap: nothing stays. */
static void c9_killed_during_mmap(void **state)
{
	int64_t before = mem_free_settled();

	(void)state;
	for (int i = 0; i < 10; i++) {
		pid_t pid = fork();
		int wstatus;

		assert_return_code(pid, errno);
		if (!pid)
			for (;;) {
				void *va = contig_mmap(256 * MIB);

				if (va == MAP_FAILED)
					_exit(1);
				munmap(va, 256 * MIB);
			}
		usleep(20000 + 37000 * (unsigned int)i);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &wstatus, 0), pid);
		assert_true(WIFSIGNALED(wstatus));
	}
	assert_int_equal(ledger_wait(0), 0);
	assert_free(before);
}

static void c9_cycles_with_vfio(void **state)
{
	int64_t before, lck = status("VmLck"), pin = status("VmPin");
	struct vfio vfio;
	size_t len = 8 * MIB;

	(void)state;
	vfio_open(&vfio);
	before = mem_free_settled();
	for (int i = 0; i < 200; i++) {
		void *va = contig_mmap(len);

		assert_ptr_not_equal(va, MAP_FAILED);
		assert_return_code(vfio_map(&vfio, va, len, IOVA), errno);
		munmap(va, len);
		assert_return_code(vfio_unmap(&vfio, len, IOVA), errno);
	}
	assert_int_equal(ledger_wait(0), 0);
	assert_free(before);
	assert_int_equal(status("VmLck"), lck);
	assert_int_equal(status("VmPin"), pin);
	vfio_close(&vfio);
}

/*
 * Torn down while pinned: the frames stay out of the allocator's hands, in the
 * ledger and on the account, until the pin goes.
 */
static void d1_pinned_memory_is_kept(void **state)
{
	size_t len = 64 * MIB;
	int64_t before;
	struct vfio vfio;
	char *va;

	(void)state;
	vfio_open(&vfio);
	before = mem_free_settled();
	va = contig_mmap(len);
	assert_ptr_not_equal(va, MAP_FAILED);
	assert_return_code(vfio_map(&vfio, va, len, IOVA), errno);
	munmap(va, len);
	usleep(300 * 1000);
	assert_true(before - mem_free_settled() > (int64_t)(len - 8 * MIB));
	assert_int_equal(ledger_lines(), 1);

	assert_return_code(vfio_unmap(&vfio, len, IOVA), errno);
	assert_int_equal(ledger_wait(0), 0);
	assert_free(before);
	vfio_close(&vfio);
}

/* Part pinned, all unmapped: just the pinned part is kept. */
static void d1_pinned_part_is_kept(void **state)
{
	size_t len = 64 * MIB;
	int64_t before, kept;
	struct vfio vfio;
	char *va;

	(void)state;
	vfio_open(&vfio);
	before = mem_free_settled();
	va = contig_mmap(len);
	assert_ptr_not_equal(va, MAP_FAILED);
	assert_return_code(vfio_map(&vfio, va + 16 * MIB, 16 * MIB, IOVA), errno);
	munmap(va, len);
	kept = before - mem_free_settled();
	assert_in_range(kept, 12 * MIB, 22 * MIB);
	assert_return_code(vfio_unmap(&vfio, 16 * MIB, IOVA), errno);
	assert_int_equal(ledger_wait(0), 0);
	assert_free(before);
	vfio_close(&vfio);
}

/* map, munmap, repeat does not escape the limit, and the limit recovers. */
static int escape(void *arg)
{
	struct vfio *vfio = arg;
	int node = open("/dev/map_contig", O_RDWR | O_CLOEXEC);
	void *va;

	become(1000, 16 * MIB);
	va = mmap(NULL, 12 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, node, 0);
	if (va == MAP_FAILED)
		return 1;
	if (vfio_map(vfio, va, 12 * MIB, IOVA))
		return 2;
	munmap(va, 12 * MIB);
	va = mmap(NULL, 12 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, node, 0);
	if (va != MAP_FAILED || errno != EAGAIN)
		return 3;
	if (vfio_unmap(vfio, 12 * MIB, IOVA))
		return 4;
	/* At once: whoever asks has the orphans looked at first. */
	va = mmap(NULL, 12 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, node, 0);
	return va == MAP_FAILED ? 5 : 0;
}

static void d1_pinned_memory_stays_charged(void **state)
{
	struct vfio vfio;

	(void)state;
	vfio_open(&vfio);
	assert_int_equal(in_child(escape, &vfio), 0);
	vfio_close(&vfio);
	assert_int_equal(ledger_wait(0), 0);
}

static int module_remove(void)
{
	return syscall(SYS_delete_module, "map_contig", O_NONBLOCK) ? errno : 0;
}

static void module_insert(void)
{
	const char *path = getenv("VDMA_MODULE");
	int fd;

	if (!path)
		fail_msg("VDMA_MODULE does not name the module's file");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_return_code(syscall(SYS_finit_module, fd, "", 0), errno);
	close(fd);
}

static void d10_not_unloaded_while_mapped(void **state)
{
	char *va = contig_mmap(4 * MIB);

	(void)state;
	assert_ptr_not_equal(va, MAP_FAILED);
	va[0] = 9;
	/* Mapped without a descriptor, then a part of it. */
	assert_int_equal(module_remove(), EWOULDBLOCK);
	munmap(va + PAGE, 4 * MIB - PAGE);
	assert_int_equal(module_remove(), EWOULDBLOCK);
	assert_int_equal(va[0], 9);
	munmap(va, PAGE);
}

/* Unloaded while orphans are pinned: the pin keeps them, then they are free. */
static void d10_unloads_and_leaves_nothing(void **state)
{
	size_t len = 32 * MIB;
	int64_t before;
	struct vfio vfio;
	char *va;
	int err = EWOULDBLOCK;

	(void)state;
	vfio_open(&vfio);
	before = mem_free_settled();
	va = contig_mmap(len);
	assert_ptr_not_equal(va, MAP_FAILED);
	assert_return_code(vfio_map(&vfio, va, len, IOVA), errno);
	munmap(va, len);
	assert_int_equal(ledger_lines(), 1);

	/* The last descriptor's release may still be on its way. */
	for (int i = 0; i < 50 && err; i++) {
		err = module_remove();
		if (err)
			usleep(20 * 1000);
	}
	assert_int_equal(err, 0);
	assert_int_equal(access("/dev/map_contig", F_OK), -1);
	assert_true(before - mem_free_settled() > (int64_t)(len - 8 * MIB));
	assert_return_code(vfio_unmap(&vfio, len, IOVA), errno);
	assert_free(before);
	vfio_close(&vfio);

	module_insert();
	va = contig_mmap(len);
	assert_ptr_not_equal(va, MAP_FAILED);
	munmap(va, len);
}

int run_teardown(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(c9_munmap_whole),
		cmocka_unit_test(c9_munmap_part),
		cmocka_unit_test(c9_process_ends),
		cmocka_unit_test(c9_killed_during_mmap),
		cmocka_unit_test(c9_cycles_with_vfio),
		cmocka_unit_test(d1_pinned_memory_is_kept),
		cmocka_unit_test(d1_pinned_part_is_kept),
		cmocka_unit_test(d1_pinned_memory_stays_charged),
		cmocka_unit_test(d10_not_unloaded_while_mapped),
		cmocka_unit_test(d10_unloads_and_leaves_nothing),
	};

	return cmocka_run_group_tests_name("teardown", tests, NULL, NULL);
}
