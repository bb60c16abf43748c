// SPDX-License-Identifier: BSD-3-Clause
/*
 * Calls of the public functions in any order, with any arguments, on the machine
 * that is made up for unit tests, some of whose system calls and allocations fail.
 * After each call: what lives is mapped for all devices of its arena, and nothing
 * else is. At the end all can be given back, and nothing is left.
 */
#include <linux/vfio.h>
#include <sys/prctl.h>

#include "../../libvdma/iommufd_abi.h"
#include "api.h"

struct world w;

static size_t files_before, mappings_before, allocations_before;
static struct vdma_failure failure_before;
static char words_before[4096];

static const int create_errors[] = { EINVAL, E2BIG, ENOMEM, EIO, 0 };
static const int destroy_errors[] = { EBUSY, EIO, ENOMEM, 0 };
static const int query_errors[] = { EINVAL, 0 };
static const int trim_errors[] = { EINVAL, EIO, ENOMEM, 0 };

void call_begins(void)
{
	files_before = fake_open_files();
	mappings_before = fake_mappings();
	allocations_before = fake_allocations();
	failure_before = *vdma_last_failure();
	snprintf(words_before, sizeof(words_before), "%s", vdma_explain());
	fake.calls = 0;
	fake.fail_at = w.fail_call;
	fake.fail_err = w.fail_err;
	fake.fail_request = w.fail_request;
	fake.fail_request_skip = w.fail_skip;
	fake.fail_request_err = w.fail_request ? w.fail_err : 0;
	fake.failed_request = 0;
	fake_fail_alloc(w.fail_alloc);
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

	call = w.fail_call && fake.calls >= w.fail_call;
	request = w.fail_request && !fake.fail_request_err;
	alloc = w.fail_alloc && fake_alloc_calls() >= w.fail_alloc;
	w.hit = call || alloc || request;
	w.hit_unmap = fake.failed_request == VFIO_IOMMU_UNMAP_DMA ||
		      fake.failed_request == IOMMUFD_ABI_IOAS_UNMAP;
	fake.fail_at = w.fail_call = w.fail_alloc = 0;
	fake.fail_request = w.fail_request = 0;
	fake.fail_request_err = 0;
	fake_fail_alloc(0);
	/* Then what is to be undone may not be. */
	twice = call + alloc + request > 1 || (w.hit && w.trouble);
	w.inexact |= w.hit_unmap || twice;
	w.lost |= twice;
	if (!ret) {
		/* Who succeeds tells of no failure on the way. */
		MUST(f->err == failure_before.err && f->cause == failure_before.cause &&
		     !strcmp(f->text, words_before));
		return 0;
	}
	/* These may come from no such system call; they are passed on. */
	if (!listed(errors, -ret) &&
	    !(w.hit && ret == -w.fail_err && (ret == -EMFILE || ret == -EINTR || ret == -ENOMEM))) {
		fprintf(stderr, "%s: %d is not documented: %s\n", what, ret, vdma_explain());
		abort();
	}
	if (!w.hit && !w.trouble && listed(storm, -ret)) {
		fprintf(stderr, "%s: %d without a reason: %s\n", what, ret, vdma_explain());
		abort();
	}
	MUST(f->err == ret && f->cause != VDMA_CAUSE_NONE && strlen(f->text) > 10);
	if (!same)
		return ret;
	if (fake_open_files() != files_before ||
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
	unsigned int shape = take_below(&w.in, 16);
	size_t given = size;
	char *copy;

	if (shape == 0) {
		memset(opts, 0, size);
		return NULL;
	}
	if (shape == 1)
		given = sizeof(given); /* between this and the whole may be a struct of old */
	if (shape == 2 || shape == 3)
		given = size + 1 + take_below(&w.in, 16);
	*wrong |= given < size || shape == 3;
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

unsigned int attached(unsigned int arena)
{
	unsigned int i, sum = 0;

	for (i = 0; i < SPACES; i++)
		sum += w.spaces[i].ioas && w.spaces[i].arena == arena && w.spaces[i].devices;
	return sum;
}

unsigned int take_arena(void)
{
	unsigned int first = take_below(&w.in, ARENAS), i;

	for (i = 0; i < ARENAS; i++)
		if (w.arenas[(first + i) % ARENAS])
			return (first + i) % ARENAS;
	return ARENAS;
}

static void arena_create(void)
{
	static const uint64_t windows[] = { 1, 1, 2, 4, 4, 8, 8, 16 };
	struct vdma_arena_opts opts = { .window = windows[take_below(&w.in, 8)] * GIB };
	unsigned int slot = w.arenas[0] ? 1 : 0;
	struct vdma_arena *arena = UNTOUCHED;
	bool wrong = false;
	void *given;
	int ret;

	if (w.arenas[slot])
		return;
	if (take_below(&w.in, 16) == 0)
		opts.window = take_edge(&w.in);
	if (take_below(&w.in, 4) == 0) {
		opts.flags = VDMA_ARENA_CHECK;
		opts.guard = take_below(&w.in, 2) ? take_edge(&w.in) % GIB : 0;
		opts.quarantine = take_below(&w.in, 2) ? take_edge(&w.in) : 0;
		opts.buf_quarantine = take_below(&w.in, 2) ? take_edge(&w.in) : 0;
	}
	given = shaped(&opts, sizeof(opts), &wrong);
	wrong |= opts.window % GIB || opts.window > UINT64_C(1) << 46;
	ret = CALL(create_errors, vdma_arena_create(given, &arena));
	free(given);
	MUST((ret == -EINVAL || ret == -E2BIG) == wrong);
	if (ret) {
		MUST(arena == UNTOUCHED);
		return;
	}
	w.arenas[slot] = arena;
	w.checks[slot] = opts.flags & VDMA_ARENA_CHECK;
	if (opts.window)
		MUST(((const struct vdma_window *)(const void *)arena)->len == opts.window);
}

static unsigned int children(unsigned int arena)
{
	unsigned int i, sum = 0;

	for (i = 0; i < SPACES; i++)
		sum += w.spaces[i].ioas && w.spaces[i].arena == arena;
	for (i = 0; i < REGIONS; i++)
		sum += w.regions[i].region && w.regions[i].arena == arena;
	for (i = 0; i < BUFS; i++)
		sum += w.bufs[i].buf.va && w.bufs[i].arena == arena;
	return sum;
}

static void arena_destroy(unsigned int arena)
{
	int ret = CALL_CHANGES(destroy_errors, vdma_arena_destroy(w.arenas[arena]));

	MUST(ret || !children(arena));
	if (!ret)
		w.arenas[arena] = NULL;
	else if (!w.hit && !w.trouble)
		MUST(children(arena) && ret == -EBUSY);
	w.inexact |= ret && ret != -EBUSY;
}

static void buf_trim(unsigned int arena)
{
	/* A chunk that could not be destroyed may be unmapped. */
	w.inexact |= CALL_CHANGES(trim_errors, vdma_buf_trim(w.arenas[arena])) != 0;
}

static void arena_look(unsigned int arena)
{
	struct vdma_range ranges[16];
	size_t count = take_below(&w.in, 16), room = count, i;
	bool wrong;
	void *info = info_room(sizeof(struct vdma_arena_info), &wrong);
	int ret = CALL(query_errors, vdma_arena_query(w.arenas[arena], info));

	MUST(!ret == !wrong);
	info_checked(info, sizeof(struct vdma_arena_info), ret);
	free(info);
	MUST(!CALL(query_errors, vdma_arena_ranges(w.arenas[arena], ranges, &count)));
	for (i = 0; i < count && i < room; i++)
		MUST(ranges[i].first >= 4096 && ranges[i].first <= ranges[i].last &&
		     (!i || ranges[i - 1].last < ranges[i].first));
}

/* What is passed where something must be. */
static void nothing(void)
{
	static const int errors[] = { EINVAL, 0 };
	struct vdma_buf buf;

	MUST(CALL(errors, vdma_arena_create(NULL, NULL)));
	MUST(CALL(errors, vdma_arena_query(NULL, NULL)));
	MUST(CALL(errors, vdma_arena_ranges(NULL, NULL, NULL)));
	MUST(CALL(errors, vdma_ioas_create(NULL, NULL, NULL)));
	MUST(CALL(errors, vdma_ioas_query(NULL, NULL)));
	MUST(CALL(errors, vdma_ioas_ranges(NULL, NULL, NULL)));
	MUST(CALL(errors, vdma_device_open(NULL, NULL, NULL, NULL)));
	MUST(CALL(errors, vdma_device_query(NULL, NULL)));
	MUST(CALL(errors, vdma_device_bar(NULL, 0, NULL)));
	MUST(CALL(errors, vdma_device_reset(NULL)));
	MUST(CALL(errors, vdma_device_irq_disable(NULL)));
	MUST(CALL(errors, vdma_region_create(NULL, 1, NULL, NULL)));
	MUST(CALL(errors, vdma_region_query(NULL, NULL)));
	MUST(CALL(errors, vdma_region_slice(NULL, 0, 1, &buf)));
	MUST(CALL(errors, vdma_buf_alloc(NULL, 1, NULL, &buf)));
	MUST(CALL(errors, vdma_buf_free(NULL, &buf)));
	MUST(CALL(errors, vdma_buf_trim(NULL)));
	MUST(!vdma_arena_destroy(NULL) && !vdma_ioas_destroy(NULL) && !vdma_device_close(NULL) &&
	     !vdma_region_destroy(NULL) && !vdma_buf_free(NULL, NULL));
}

static void calm(void)
{
	fake.memlock_limit = fake.max_mmap = UINT64_MAX;
	fake.type1v2 = 1;
	fake.api_version = fake.set_iommu_err = fake.second_group_err = 0;
	fake.contig_err = fake.contig_map_err = 0;
	fake.entry_limit = 60;
	fake.no_ranges = fake.short_unmap = fake.contig_old = fake.contig_secret = false;
	fake.hugetlb_free = 4;
	fake_file("/dev/map_contig", "");
	w.trouble = false;
}

static void disturb(void)
{
	static const int contig[] = { ENOMEM, EDQUOT, EAGAIN, EPERM, EINTR, EIO };
	static const int joins[] = { EPERM, ENODEV, EINVAL, EBUSY, ENOMEM };

	w.trouble = true;
	switch (take_below(&w.in, 16)) {
	case 0: fake.memlock_limit = take_edge(&w.in); break;
	case 1: fake.type1v2 = 0; break;
	case 2: fake.api_version = 1; break;
	case 3: fake.set_iommu_err = joins[take_below(&w.in, 5)]; break;
	case 4: fake.second_group_err = joins[take_below(&w.in, 5)]; break;
	case 5: fake.contig_err = contig[take_below(&w.in, 6)]; break;
	case 6: fake.contig_map_err = contig[take_below(&w.in, 6)]; break;
	case 7: fake.entry_limit = take_below(&w.in, 8); break;
	case 8: fake.no_ranges = !attached(0) && !attached(1); break;
	case 9: fake.short_unmap = w.inexact = true; break;
	case 10: fake.contig_old = true; break;
	case 11: fake.contig_secret = true; break;
	case 12: fake.hugetlb_free = take_below(&w.in, 64); break;
	case 13: fake_remove("/dev/map_contig"); break;
	case 14:
		if (attached(0) || attached(1))
			break;
		/* What devices that come after this reach. */
		fake.ranges[1].first = 4 * GIB + take_edge(&w.in) % (16 * GIB) / 4096 * 4096;
		break;
	case 15: calm(); break;
	}
}

static void inject(void)
{
	/* Those on which more depends than on others. */
	static const unsigned long requests[] = {
		VFIO_IOMMU_MAP_DMA,
		IOMMUFD_ABI_IOAS_MAP,
		VFIO_IOMMU_UNMAP_DMA,
		IOMMUFD_ABI_IOAS_UNMAP,
		VFIO_IOMMU_GET_INFO,
		VFIO_GROUP_GET_DEVICE_FD,
		VFIO_DEVICE_GET_REGION_INFO,
		IOMMUFD_ABI_DEVICE_ATTACH,
		VFIO_DEVICE_SET_IRQS,
		MAP_CONTIG_ALLOC,
		MAP_CONTIG_QUERY,
	};
	static const int errs[] = { ENOMEM, EIO, EMFILE, EINTR, EBUSY, EPERM, ENODEV, EINVAL };

	w.fail_err = errs[take_below(&w.in, 8)];
	switch (take_below(&w.in, 4)) {
	case 0: w.fail_alloc = 1 + take_below(&w.in, 16); break;
	case 1: w.fail_call = 1 + take_below(&w.in, take_below(&w.in, 2) ? 6 : 48); break;
	default:
		w.fail_request =
			requests[take_below(&w.in, sizeof(requests) / sizeof(requests[0]))];
		w.fail_skip = take_below(&w.in, 4);
	}
}

/* What lives is mapped everywhere, and is all that is. */
static void check_world(void)
{
	uint64_t mappings = 0;
	unsigned int a, i;

	for (a = 0; a < ARENAS; a++) {
		struct vdma_arena_info info = { .size = sizeof(info) };
		uint64_t regions = 0, bytes = 0, bufs = 0, spaces = 0;
		unsigned int to = attached(a);

		if (!w.arenas[a])
			continue;
		MUST(!vdma_arena_query(w.arenas[a], &info));
		for (i = 0; i < SPACES; i++)
			spaces += w.spaces[i].ioas && w.spaces[i].arena == a;
		for (i = 0; i < REGIONS; i++) {
			const struct region *r = &w.regions[i];

			if (!r->region || r->arena != a)
				continue;
			regions++;
			bytes += r->buf.len;
			MUST(r->torn || fake_reachable(r->buf.iova, r->buf.va, r->buf.len) == to);
		}
		for (i = 0; i < BUFS; i++) {
			const struct vdma_buf *b = &w.bufs[i].buf;

			if (!b->va || w.bufs[i].arena != a)
				continue;
			bufs++;
			MUST(fake_reachable(b->iova, b->va, b->len) == to);
		}
		MUST(info.regions == regions + info.chunks);
		MUST(info.bytes >= bytes && (info.chunks || info.bytes == bytes));
		MUST(info.bufs == bufs && info.ioas == spaces);
		mappings += info.regions * to;
	}
	MUST(w.inexact || fake_mappings() == mappings);
}

static void step(void)
{
	unsigned int op = take_below(&w.in, 32), arena = ARENAS;

	if (op >= 2 && op < 6) {
		arena = take_arena();
		if (arena == ARENAS)
			return;
	}
	switch (op) {
	case 0: nothing(); break;
	case 1: arena_create(); break;
	case 2: arena_destroy(arena); break;
	case 3: arena_look(arena); break;
	case 4: buf_trim(arena); break;
	case 5: arena_look(arena); break;
	case 6:
	case 15:
	case 16: device_use(); break;
	case 7:
	case 8: ioas_create(); break;
	case 9: ioas_destroy(&w.spaces[take_below(&w.in, SPACES)]); break;
	case 10: ioas_look(); break;
	case 11:
	case 12:
	case 13: device_open(); break;
	case 14: device_close(&w.devices[take_below(&w.in, DEVICES)]); break;
	case 17:
	case 18:
	case 19: region_create(); break;
	case 20:
	case 21: region_destroy(&w.regions[take_below(&w.in, REGIONS)]); break;
	case 22: region_look(); break;
	case 23:
	case 24:
	case 25: buf_alloc(); break;
	case 26:
	case 27: buf_free(&w.bufs[take_below(&w.in, BUFS)]); break;
	case 28: buf_free_wrong(); break;
	case 29: disturb(); break;
	default: inject();
	}
}

/* All goes, devices or memory first, and without a failure. */
static void tear_down(bool devices_first)
{
	unsigned int i;

	calm();
	w.fail_call = w.fail_alloc = w.fail_request = 0;
	for (i = 0; i < DEVICES && devices_first; i++)
		device_close(&w.devices[i]);
	for (i = 0; i < REGIONS; i++)
		region_destroy(&w.regions[i]);
	for (i = 0; i < BUFS; i++)
		buf_free(&w.bufs[i]);
	check_world();
	for (i = 0; i < DEVICES; i++)
		device_close(&w.devices[i]);
	for (i = 0; i < SPACES; i++)
		ioas_destroy(&w.spaces[i]);
	for (i = 0; i < ARENAS; i++) {
		if (w.arenas[i])
			arena_destroy(i);
		MUST(!w.arenas[i]);
	}
}

/* A machine with three groups; what the library asks libpci of is not part of it. */
static void set_up(void)
{
	const struct fake_pci pci = {
		.vendor = 0x1234,
		.device = 0x11e8,
		.bar = { 1 << 20, 0, 256 },
		.bar_io = { false, false, true },
		.sparse = { 4096, 65535 },
		.irqs = { 1, 4, 8 },
		.can_reset = true,
	};
	struct fake_pci other = pci;

	other.sparse.last = 0;
	other.can_reset = false;
	fake_reset();
	fake.lazy = true;
	fake_device(bdfs[0], 1, "vfio-pci", &pci);
	fake_device(bdfs[1], 2, "vfio-pci", &other);
	fake_device(bdfs[2], 2, "vfio-pci", &other);
	fake_device(bdfs[3], 3, "vfio-pci", &pci);
	calm();
}

/* An arena with so many address spaces that have a device, which is where much begins. */
static void begin_with(unsigned int spaces, bool checks)
{
	static const unsigned int which[] = { 0, 1, 3 };
	const struct vdma_arena_opts arena = { .size = sizeof(arena),
					       .window = 4 * GIB,
					       .flags = checks ? VDMA_ARENA_CHECK : 0 };
	unsigned int i;

	MUST(!vdma_arena_create(&arena, &w.arenas[0]));
	w.checks[0] = checks;
	for (i = 0; i < spaces; i++) {
		struct vdma_ioas_opts opts = { .size = sizeof(opts),
					       .backend = i % 2 ? VDMA_BACKEND_IOMMUFD :
								  VDMA_BACKEND_TYPE1 };
		struct device *d = &w.devices[which[i]];

		MUST(!vdma_ioas_create(w.arenas[0], &opts, &w.spaces[i].ioas));
		MUST(!vdma_device_open(w.spaces[i].ioas, bdfs[which[i]], NULL, &d->dev));
		w.spaces[i].devices = 1;
		d->space = i;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t allocations = fake_allocations();
	uint8_t how;

	/* A byte that is written shall cost a page, not 2 MiB. */
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	memset(&w, 0, sizeof(w));
	w.in = (struct input){ data, size };
	set_up();
	how = take(&w.in);
	if (how % 8 < 4)
		begin_with(how % 4, how & 16);
	while (w.in.left) {
		step();
		check_world();
	}
	tear_down(how & 8);
	MUST(!fake_open_files() && !fake_mappings() && !fake.locked);
	MUST(w.lost || !fake_mapped());
	MUST(fake_allocations() == allocations);
	return 0;
}
