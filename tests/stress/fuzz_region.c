// SPDX-License-Identifier: BSD-3-Clause
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>

#include "fuzz.h"
#include "../random.h"

/* Beyond, a check looks at some pages only. */
#define CHECK_PAGES 600

struct region regions[REGIONS];

_Thread_local sigjmp_buf guard_jump;
_Thread_local volatile sig_atomic_t guard_on;
_Thread_local volatile sig_atomic_t guard_signal;

static void on_fault(int signal, siginfo_t *info, void *context)
{
	(void)context;
	if (guard_on) {
		guard_signal = signal;
		siglongjmp(guard_jump, 1);
	}
	/* A bad page is told of to whoever maps it. */
	if (signal == SIGBUS && (info->si_code == BUS_MCEERR_AO || info->si_code == BUS_MCEERR_AR))
		return;
	fail("signal %d at %p, code %d", signal, info->si_addr, info->si_code);
}

void guard_setup(void)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER };

	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
}

/* xorshift64* */
uint64_t draw(struct fuzzer *fuzzer, uint64_t below)
{
	return random_below(&fuzzer->random, below);
}

void note(struct fuzzer *fuzzer, enum call call, int err, const char *format, ...)
{
	double t = now();
	char text[200];
	va_list args;

	shared->us[call] += (unsigned long)((t - fuzzer->since) * 1e6);
	fuzzer->since = t;
	shared->done[call]++;
	if (err)
		shared->refused[call]++;
	if (!verbose)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	dprintf(STDOUT_FILENO, "%u.%u %s -> %s\n", fuzzer->worker, fuzzer->thread, text,
		err ? strerrorname_np(-err) : "0");
}

void expect(struct fuzzer *fuzzer, const char *what, int err, ...)
{
	va_list args;
	int allowed;

	if (!err)
		return;
	va_start(args, err);
	do {
		allowed = va_arg(args, int);
	} while (allowed && err != -allowed);
	va_end(args);
	if (!allowed)
		fail("%u.%u: %s: %s is not documented", fuzzer->worker, fuzzer->thread, what,
		     strerror(-err));
}

struct region *region_new(struct fuzzer *fuzzer)
{
	for (unsigned int i = draw(fuzzer, REGIONS), n = 0; n < REGIONS; n++, i++) {
		struct region *region = &regions[i % REGIONS];

		if (pthread_mutex_trylock(&region->lock))
			continue;
		if (!region->npages)
			return region;
		pthread_mutex_unlock(&region->lock);
	}
	return NULL;
}

struct region *region_pick(struct fuzzer *fuzzer)
{
	for (unsigned int i = draw(fuzzer, REGIONS), n = 0; n < REGIONS; n++, i++) {
		struct region *region = &regions[i % REGIONS];

		if (pthread_mutex_trylock(&region->lock))
			continue;
		if (region->npages)
			return region;
		pthread_mutex_unlock(&region->lock);
	}
	return NULL;
}

void region_begin(struct fuzzer *fuzzer, struct region *region, unsigned int npages, uint32_t fork)
{
	region->fd = -1;
	region->buffer = -1;
	region->frame = 0;
	region->tag = (uint32_t)draw(fuzzer, UINT32_MAX) | 1;
	region->frozen = false;
	region->poisoned = false;
	region->fork = fork;
	region->iova = 0;
	region->held = false;
	memset(region->pieces, 0, sizeof(region->pieces));
	region->version = calloc(npages, 1);
	if (!region->version)
		fail("no memory for the fuzzer itself");
	region->npages = npages;
}

void region_end(struct region *region)
{
	free(region->version);
	region->version = NULL;
	region->npages = 0;
}

void region_settle(struct region *region)
{
	if (region->fd >= 0 || region->buffer >= 0)
		return;
	for (int i = 0; i < PIECES; i++)
		if (region->pieces[i].n)
			return;
	/* VFIO still has it: the slot waits for the unpin. */
	if (!region->iova)
		region_end(region);
}

struct piece *piece_new(struct region *region)
{
	for (int i = 0; i < PIECES; i++)
		if (!region->pieces[i].n)
			return &region->pieces[i];
	return NULL;
}

struct piece *piece_pick(struct fuzzer *fuzzer, struct region *region)
{
	for (unsigned int i = draw(fuzzer, PIECES), n = 0; n < PIECES; n++, i++)
		if (region->pieces[i % PIECES].n)
			return &region->pieces[i % PIECES];
	return NULL;
}

static uint64_t word_of(const struct region *region, unsigned int index)
{
	return region->version[index] ? ((uint64_t)region->tag << 32 | index) *
						(2 * (uint64_t)region->version[index] + 1) :
					0;
}

bool page_is_right(const struct region *region, const char *page, unsigned int index)
{
	const volatile uint64_t *words = (const volatile uint64_t *)page;
	uint64_t word = word_of(region, index);

	for (size_t i = 0; i < PAGE / sizeof(*words); i += 8)
		if (words[i] != word)
			return false;
	return words[PAGE / sizeof(*words) - 1] == word;
}

static void page_write(struct region *region, char *page, unsigned int index)
{
	uint64_t *words = (uint64_t *)page, word;

	if (!++region->version[index])
		region->version[index] = 1;
	word = word_of(region, index);
	for (size_t i = 0; i < PAGE / sizeof(*words); i++)
		words[i] = word;
}

void piece_write(struct fuzzer *fuzzer, struct region *region, struct piece *piece)
{
	unsigned int first = draw(fuzzer, piece->n), n = 1 + draw(fuzzer, 64);
	int signal;

	if (region->frozen || region->poisoned || !(piece->prot & PROT_WRITE))
		return;
	if (n > piece->n - first)
		n = piece->n - first;
	signal = GUARDED(for (unsigned int i = first; i < first + n; i++)
				 page_write(region, piece->addr + i * PAGE, piece->first + i));
	if (signal)
		fail("signal %d at a write to a region of %u pages", signal, region->npages);
	note(fuzzer, CALL_WRITE, 0, "write %p, %u pages", (void *)piece->addr, n);
}

/* The bytes are what was written, and the frames follow one another. */
void piece_check(struct fuzzer *fuzzer, struct region *region, const struct piece *piece)
{
	unsigned int step = piece->n > CHECK_PAGES ? 37 : 1;
	int signal;

	if (region->poisoned || !(piece->prot & PROT_READ))
		return;
	signal = GUARDED(for (unsigned int i = 0; i < piece->n; i += step) {
		if (!page_is_right(region, piece->addr + i * PAGE, piece->first + i)) {
			guard_on = 0;
			fail("page %u of %u at %p holds 0x%lx, not version %u of tag 0x%x",
			     piece->first + i, region->npages, (void *)piece->addr,
			     *(unsigned long *)(piece->addr + i * PAGE),
			     region->version[piece->first + i], region->tag);
		}
	});
	if (signal)
		fail("signal %d at a read of a region of %u pages", signal, region->npages);
	for (unsigned int i = 0; i<piece->n; i += piece->n> 8 ? piece->n / 8 : 1) {
		uint64_t frame = frame_of(piece->addr + i * PAGE);

		/* Another thread's MADV_DONTNEED cannot be meanwhile: we have the lock. */
		if (!frame && step == 1)
			fail("page %u at %p is not there", i, (void *)piece->addr);
		if (!frame)
			continue;
		if (!region->frame)
			region->frame = frame - piece->first - i;
		if (frame != region->frame + piece->first + i)
			fail("page %u has frame 0x%lx, the region begins at 0x%lx",
			     piece->first + i, frame, region->frame);
	}
	note(fuzzer, CALL_CHECK, 0, "check %p, %u pages", (void *)piece->addr, piece->n);
}
