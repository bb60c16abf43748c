// SPDX-License-Identifier: BSD-3-Clause
#include "base.h"

#include <errno.h>

#include "explain.h"
#include "maps.h"
#include "reserve.h"

/* The program's, if it was built with ThreadSanitizer. */
extern void __tsan_init(void) __attribute__((weak));

/*
 * Far from where Linux puts programs, heaps, stacks and what is mapped without an
 * address, on machines with 47 bits of it and more. Then places for those who use much
 * of the rest themselves: ThreadSanitizer lets a program have the top and its own
 * places only, and ends it when it asks for another; Valgrind, and machines with 39
 * bits, have the bottom only.
 */
static const uintptr_t places[] = {
	UINT64_C(0x400000000000),
	UINT64_C(0x7e8000000000),
	UINT64_C(0x002000000000),
};

static int occupied(uintptr_t base, size_t len)
{
	struct vdma_facts facts = { .sys_errno = EEXIST, .need = len };
	struct vdma_map map;

	if (vdma_maps_find(base, len, &map))
		map = (struct vdma_map){ .first = base, .end = base + len, .name = "something" };
	return vdma_fail(
		VDMA_CAUSE_OCCUPIED, &facts,
		"The arena's window has to lie at 0x%llx to 0x%llx, but in this process there "
		"is %s at 0x%llx to 0x%llx. Create the arena, or join it, before that is "
		"mapped, have its creator choose another base (struct vdma_arena_opts), or run "
		"this program without random addresses (setarch -R).",
		(unsigned long long)base, (unsigned long long)(base + (len - 1)),
		*map.name ? map.name : "memory without a name", (unsigned long long)map.first,
		(unsigned long long)(map.end - 1));
}

static int reserve(uintptr_t base, size_t len)
{
	int err = vdma_reserve_at(base, len);

	if (!err)
		return 0;
	if (err == -EEXIST)
		return occupied(base, len);
	return vdma_fail(VDMA_CAUSE_RESERVE, &(struct vdma_facts){ .sys_errno = -err, .need = len },
			 "%s of address space at 0x%llx cannot be reserved: %s. Ask for a smaller "
			 "window or another base, or raise RLIMIT_AS (ulimit -v).",
			 vdma_bytes(len).s, (unsigned long long)base, vdma_error_words(err).s);
}

int vdma_base_reserve(size_t len, uintptr_t *base)
{
	struct vdma_kept before;
	size_t i;
	int err = -ENOMEM;

	if (*base)
		return reserve(*base, len);
	vdma_keep_failure(&before);
	for (i = __tsan_init ? 1 : 0; i < sizeof(places) / sizeof(places[0]); i++) {
		err = reserve(places[i], len);
		if (err)
			continue;
		vdma_restore_failure(&before);
		*base = places[i];
		return 0;
	}
	return err;
}

/* Below 4 GiB are programs without PIE, and the MSI range of x86. */
int vdma_base_reserve_low(size_t len, uintptr_t *base)
{
	const uint64_t bottom = UINT64_C(1) << 32;
	uint64_t at = UINT64_C(1) << 39, step = UINT64_C(1) << 30;
	struct vdma_kept before;
	int err;

	if (*base)
		return reserve(*base, len);
	if (len > at - bottom)
		return vdma_fail(
			VDMA_CAUSE_ARGUMENT, NULL,
			"A window of %s does not fit between 4 GiB and 2^39, where its addresses "
			"have to be to be device addresses everywhere. Ask for a smaller one, or "
			"give it a base.",
			vdma_bytes(len).s);
	while (step < len)
		step *= 2;
	vdma_keep_failure(&before);
	do {
		at = at - bottom > step ? at - step : bottom;
		err = reserve(at, len);
	} while (err == -vdma_cause_errno(VDMA_CAUSE_OCCUPIED) && at != bottom);
	if (err)
		return err;
	vdma_restore_failure(&before);
	*base = at;
	return 0;
}
