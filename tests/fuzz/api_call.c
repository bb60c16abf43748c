// SPDX-License-Identifier: BSD-3-Clause
/* What a call is given, what is put in its way, and what must hold of its result. */
#include <linux/vfio.h>

#include "../../libvdma/iommufd_abi.h"
#include "api.h"

static size_t files_before, mappings_before, allocations_before;
static struct vdma_failure failure_before;
static char words_before[4096];

void call_begins(void)
{
	files_before = fake_open_files();
	mappings_before = fake_mappings();
	allocations_before = fake_allocations();
	failure_before = *vdma_last_failure();
	snprintf(words_before, sizeof(words_before), "%s", vdma_explain());
	w.refused = false;
	fake.calls = 0;
	fake.fail_at = w.fail_call;
	fake.fail_err = w.fail_err;
	fake.fail_request = w.fail_request;
	fake.fail_request_skip = w.fail_skip;
	fake.fail_request_err = w.fail_request ? w.fail_err : 0;
	fake.failed_request = 0;
	fake_fail_alloc(w.fail_alloc);
}

void may_be_mapped(bool may)
{
	w.inexact |= may;
	w.untold |= may;
}

static bool listed(const int *errors, int err)
{
	for (; *errors; errors++)
		if (*errors == err)
			return true;
	return false;
}

int call_ended(int ret, const int *errors, const char *what, bool same)
{
	/* What a calm machine never answers. */
	static const int storm[] = { EIO, EMFILE, EINTR, EACCES, EPERM, EAGAIN, EDQUOT, ENOENT, 0 };
	const struct vdma_failure *f = vdma_last_failure();
	bool call, alloc, request, twice;
	int failures;

	call = w.fail_call && fake.calls >= w.fail_call;
	request = w.fail_request && !fake.fail_request_err;
	alloc = w.fail_alloc && fake_alloc_calls() >= w.fail_alloc;
	w.hit = call || alloc || request;
	w.hit_lately |= w.hit;
	w.hit_unmap = fake.failed_request == VFIO_IOMMU_UNMAP_DMA ||
		      fake.failed_request == IOMMUFD_ABI_IOAS_UNMAP;
	fake.fail_at = w.fail_call = w.fail_alloc = 0;
	fake.fail_request = w.fail_request = w.refuse = 0;
	fake.fail_request_err = 0;
	fake_fail_alloc(0);
	/* Then what is to be undone may not be. */
	failures = call + alloc + request + w.refused;
	twice = failures > 1 || (failures && (w.trouble || w.tied));
	may_be_mapped(w.hit_unmap || twice);
	w.lost |= twice;
	w.tied |= twice && w.bare;
	if (!ret) {
		/* Who succeeds tells of no failure on the way. */
		MUST(f->err == failure_before.err && f->cause == failure_before.cause &&
		     !strcmp(f->text, words_before));
		return 0;
	}
	/*
	 * These may come from no such system call; they are passed on. Without an IOMMU there are
	 * files to be opened at any time.
	 */
	if (!listed(errors, -ret) && !(w.hit && w.bare) &&
	    !(w.hit && ret == -w.fail_err && (ret == -EMFILE || ret == -EINTR || ret == -ENOMEM))) {
		fprintf(stderr, "%s: %d is not documented: %s\n", what, ret, vdma_explain());
		abort();
	}
	if (!w.hit && !w.trouble && !w.tied && listed(storm, -ret)) {
		fprintf(stderr, "%s: %d without a reason: %s\n", what, ret, vdma_explain());
		abort();
	}
	MUST(f->err == ret && f->cause != VDMA_CAUSE_NONE && strlen(f->text) > 10);
	if (ret == -ECANCELED)
		MUST(w.refused && f->cause == VDMA_CAUSE_OBSERVER &&
		     f->sys_errno == abs(w.refuse_with));
	if (!same)
		return ret;
	/* On the way a peer may have been parted from. */
	if (files_before - fake_open_files() > (w.hit ? PEERS : 0) ||
	    (!twice && fake_allocations() != allocations_before) ||
	    (!w.inexact && fake_mappings() != mappings_before)) {
		fprintf(stderr,
			"%s: failed with %d (%s), and left %zu descriptors, %zu mappings, "
			"%zu allocations where %zu, %zu, %zu were\n",
			what, ret, f->text, fake_open_files(), fake_mappings(), fake_allocations(),
			files_before, mappings_before, allocations_before);
		abort();
	}
	return ret;
}

void *shaped(void *opts, size_t size, bool *wrong)
{
	return shaped_since(opts, size, size, wrong);
}

void *shaped_since(void *opts, size_t min, size_t size, bool *wrong)
{
	unsigned int shape = take_below(&w.in, 16);
	size_t given = size;
	char *copy;

	if (shape == 0) {
		memset(opts, 0, size);
		return NULL;
	}
	if (shape == 1)
		given = sizeof(given); /* between this and @min may be what was never released */
	if (shape == 4) {
		given = min;
		memset((char *)opts + min, 0, size - min);
	}
	if (shape == 2 || shape == 3)
		given = size + 1 + take_below(&w.in, 16);
	*wrong |= given < min || shape == 3;
	copy = calloc(1, given);
	MUST(copy);
	memcpy(copy, opts, given < size ? given : size);
	memcpy(copy, &given, sizeof(given));
	if (shape == 3)
		copy[given - 1] = 1;
	return copy;
}

void *info_room(size_t size, bool *wrong)
{
	unsigned int shape = take_below(&w.in, 8);
	size_t given = shape < 2 ? sizeof(given) : size + (shape == 2) * 9;
	char *info = malloc(given);

	MUST(info);
	memset(info, 0xa5, given);
	memcpy(info, &given, sizeof(given));
	*wrong = given < size;
	return info;
}

void info_checked(void *info, size_t size, int ret)
{
	size_t given, i;

	memcpy(&given, info, sizeof(given));
	for (i = ret ? sizeof(given) : size; i < given; i++)
		MUST(((unsigned char *)info)[i] == (ret ? 0xa5 : 0));
}
