// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "fuzz.h"

/* Does a vma begin at addr? Without stdio: see child(). */
static bool vma_begins(const char *addr)
{
	static char maps[512 * KIB];
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	size_t length = 0;
	char start[32];
	ssize_t got;

	while ((got = read(fd, maps + length, sizeof(maps) - 1 - length)) > 0)
		length += (size_t)got;
	close(fd);
	maps[length] = 0;
	snprintf(start, sizeof(start), "\n%lx-", (unsigned long)addr);
	return strstr(maps, start);
}

/* A copy of a vma is complete, or there is none of it: SIGBUS at every page. */
static void child_check_copy(const struct region *region, const struct piece *piece)
{
	volatile unsigned int good = 0, dead = 0;
	volatile bool was_dead = false;

	for (volatile unsigned int i = 0; i < piece->n; i++) {
		volatile bool right = false;
		char *page = piece->addr + i * PAGE;
		int signal = GUARDED(right = page_is_right(region, page, piece->first + i));

		if (signal && signal != SIGBUS)
			fail("child: signal %d at page %u of a copy at %p, %u pages", signal, i,
			     (void *)piece->addr, piece->n);
		if (!signal && !right)
			fail("child: page %u of %u is no copy of its parent's", piece->first + i,
			     region->npages);
		/* A piece may be several vmas (madvise). */
		if (i && was_dead != (signal != 0) && !vma_begins(page))
			fail("child: a part of a copy is there, from page %u of %u on it is %s", i,
			     piece->n, signal ? "not" : "again");
		was_dead = signal != 0;
		if (signal)
			dead = dead + 1;
		else
			good = good + 1;
	}
	shared->copies_good += good && !dead;
	shared->copies_dead += dead != 0;
}

static void child_check(const struct region *region, const struct piece *piece)
{
	int signal;

	if (!(piece->prot & PROT_READ))
		return;
	switch (region->fork) {
	case MAP_CONTIG_FORK_COPY: child_check_copy(region, piece); break;
	case MAP_CONTIG_FORK_SHARE:
		/* Its parent may be writing by now. */
		signal = GUARDED((void)*(volatile char *)piece->addr);
		if (signal && signal != SIGBUS)
			fail("child: signal %d at a shared region", signal);
		break;
	default:
		signal = GUARDED((void)*(volatile char *)piece->addr);
		if (signal != SIGSEGV)
			fail("child: signal %d where nothing must be mapped", signal);
	}
}

/* Parts go, change and move; what is left of a copy stays a copy. */
static void child_play(struct fuzzer *fuzzer, const struct region *region, struct piece *piece)
{
	unsigned int n;

	if (region->fork != MAP_CONTIG_FORK_COPY || !(piece->prot & PROT_READ))
		return;
	switch (draw(fuzzer, 4)) {
	case 0:
		n = draw(fuzzer, piece->n);
		munmap(piece->addr + n * PAGE, (piece->n - n) * PAGE);
		piece->n = n;
		break;
	case 1: madvise(piece->addr, piece->n * PAGE, MADV_DONTNEED); break;
	case 2:
		n = draw(fuzzer, piece->n);
		/* Its own page: what it writes there, nobody else sees. */
		if (piece->prot & PROT_WRITE)
			GUARDED(memset(piece->addr + n * PAGE, 0x5a, PAGE));
		piece->n = n;
		break;
	case 3: mprotect(piece->addr, piece->n / 2 * PAGE, PROT_READ); break;
	}
	child_check_copy(region, piece);
}

/*
 * Only those regions whose lock was held at the fork are known. No lock is
 * taken and no memory allocated here: other threads may have been at it.
 */
static void child_look(struct fuzzer *fuzzer, uint32_t known)
{
	for (int i = 0; i < REGIONS; i++) {
		struct region *region = &regions[i];

		if (!(known & 1U << i) || !region->npages || region->poisoned)
			continue;
		for (int j = 0; j < PIECES; j++)
			if (region->pieces[j].n)
				child_check(region, &region->pieces[j]);
		for (int j = 0; j < PIECES; j++)
			if (region->pieces[j].n && !draw(fuzzer, 3))
				child_play(fuzzer, region, &region->pieces[j]);
	}
}

static void child(struct fuzzer *fuzzer, uint32_t known)
{
	char *const arguments[] = { (char *)"true", NULL };
	int status;
	pid_t pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	child_look(fuzzer, known);
	while (!draw(fuzzer, 3)) {
		/* A grandchild copies from its parent, the child; this one goes on as it. */
		pid = fork();
		if (pid > 0) {
			if (waitpid(pid, &status, 0) != pid || status)
				fail("grandchild: status 0x%x", status);
			_exit(0);
		}
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			child_look(fuzzer, known);
		}
	}
	switch (draw(fuzzer, 4)) {
	case 0: execv("/bin/true", arguments); break;
	case 1: usleep(draw(fuzzer, 20000)); break;
	}
	_exit(0);
}

void call_fork(struct fuzzer *fuzzer)
{
	useconds_t patience = draw(fuzzer, 3) ? 0 : 1 + draw(fuzzer, 30000);
	uint32_t known = 0;
	int status, err;
	pid_t pid;

	for (int i = 0; i < REGIONS; i++)
		if (!pthread_mutex_trylock(&regions[i].lock))
			known |= 1U << i;
	pid = fork();
	if (!pid)
		child(fuzzer, known);
	err = pid < 0 ? -errno : 0;
	for (int i = 0; i < REGIONS; i++)
		if (known & 1U << i)
			pthread_mutex_unlock(&regions[i].lock);
	note(fuzzer, CALL_FORK, err, "fork, regions 0x%x%s", known, patience ? ", killed" : "");
	expect(fuzzer, "fork", err, ENOMEM, EAGAIN, 0);
	if (err)
		return;
	if (patience) {
		usleep(patience);
		kill(pid, SIGKILL);
	}
	if (waitpid(pid, &status, 0) != pid)
		fail("waitpid: %m");
	if (status && !(patience && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL))
		fail("%u.%u: a child ended with status 0x%x", fuzzer->worker, fuzzer->thread,
		     status);
}

/* Somebody without privileges, through the node that he was given. */
static void user(struct fuzzer *fuzzer)
{
	struct rlimit limit = { 16 * PAGE, 16 * PAGE };
	struct map_contig_query query = { .size = sizeof(query) };
	struct map_contig_alloc alloc = { .size = sizeof(alloc), .length = 8 * PAGE };
	uid_t uid = 1000 + draw(fuzzer, 3);
	int got = 0;
	void *addr;

	if (!draw(fuzzer, 4))
		limit.rlim_cur = limit.rlim_max = 0;
	if (setrlimit(RLIMIT_MEMLOCK, &limit) || setresgid(uid, uid, uid) ||
	    setresuid(uid, uid, uid))
		fail("user: %m");
	for (int i = 0; i < 4; i++) {
		if (!ioctl(fuzzer->node, MAP_CONTIG_ALLOC, &alloc)) {
			got++;
			continue;
		}
		expect(fuzzer, "user: alloc", -errno, EPERM, EAGAIN, EDQUOT, ENOMEM, 0);
		if (errno == EPERM && limit.rlim_cur)
			fail("user: EPERM with a limit of %lu", (unsigned long)limit.rlim_cur);
	}
	if (got > 2 || (got && !limit.rlim_cur))
		fail("user: %d times 32 KiB with a limit of %lu", got,
		     (unsigned long)limit.rlim_cur);
	addr = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fuzzer->node, 0);
	if (addr != MAP_FAILED) {
		query.addr = (uintptr_t)addr;
		/* The administrator changes phys_for_all meanwhile. */
		if (ioctl(fuzzer->node, MAP_CONTIG_QUERY, &query))
			expect(fuzzer, "user: query", -errno, EPERM, 0);
	}
	_exit(0);
}

void call_user(struct fuzzer *fuzzer)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		user(fuzzer);
	note(fuzzer, CALL_USER, pid < 0 ? -errno : 0, "user");
	if (pid > 0 && (waitpid(pid, &status, 0) != pid || status))
		fail("user: status 0x%x", status);
}
