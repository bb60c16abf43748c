// SPDX-License-Identifier: BSD-3-Clause
/*
 * What must work the same through every backend, on every IOMMU and kernel:
 * VDMA_TEST_PRESENT names the backends that there are, VDMA_TEST_ABSENT those that
 * there are not (combinations.txt).
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/pci_regs.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "guest.h"

/* A backend, and the device that is bound for it. */
struct way {
	const char *name;
	const char *option; /* of edu-demo */
	enum vdma_backend backend;
	const char *device;
};

static const struct way ways[] = {
	{ "type1", "type1", VDMA_BACKEND_TYPE1, "VDMA_BDF_EDU" },
	{ "iommufd", "iommufd", VDMA_BACKEND_IOMMUFD, "VDMA_BDF_EDU" },
	{ "noiommu-vfio", "noiommu", VDMA_BACKEND_NOIOMMU, "VDMA_BDF_EDU" },
	{ "noiommu-uio", "noiommu", VDMA_BACKEND_NOIOMMU, "VDMA_BDF_EDU2" },
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

static bool is_in(const char *variable, const struct way *way)
{
	const char *names = getenv(variable), *at = names;
	size_t len = strlen(way->name);

	while (at && (at = strstr(at, way->name))) {
		if ((at == names || at[-1] == ' ') && strchr(" :", at[len]))
			return true;
		at += len;
	}
	return false;
}

/* The cause that is named behind it. */
static bool is_cause(const struct way *way, const char *cause)
{
	char named[64];
	const char *names = getenv("VDMA_TEST_ABSENT");

	snprintf(named, sizeof(named), "%s:%s ", way->name, cause);
	return strstr(names, named);
}

static void for_each(const char *variable, void (*fn)(const struct way *))
{
	unsigned int n = 0;

	for (size_t i = 0; i < WAYS; i++)
		if (is_in(variable, &ways[i])) {
			printf("  %s\n", ways[i].name);
			fn(&ways[i]);
			n++;
		}
	assert_true(n);
}

static bool physical(const struct way *way)
{
	return way->backend == VDMA_BACKEND_NOIOMMU;
}

static int space_of(const struct way *way, struct space *s)
{
	struct vdma_arena_opts arena = {
		.size = sizeof(arena),
		.translation = physical(way) ? VDMA_TRANSLATION_PHYSICAL : VDMA_TRANSLATION_LINEAR,
	};
	struct vdma_ioas_opts opts = { .size = sizeof(opts), .backend = way->backend };
	int err;

	WORKS(vdma_arena_create(&arena, &s->arena));
	err = vdma_ioas_create(s->arena, &opts, &s->ioas);
	if (err)
		WORKS(vdma_arena_destroy(s->arena));
	return err;
}

static void open_edu(const struct way *way, struct space *s, struct edu *edu)
{
	struct vdma_device_info info = { .size = sizeof(info) };

	EDU_WORKS(edu, edu_open(edu, s->ioas, bdf_of(way->device), EDU_ADDRESS_BITS));
	WORKS(vdma_device_query(edu->dev, &info));
	EDU_WORKS(edu, edu_irq_use(edu, info.irqs[VDMA_IRQ_MSI] ? VDMA_IRQ_MSI : VDMA_IRQ_INTX));
}

struct demo {
	const struct way *way;
	int said; /* a file */
};

static int exec_demo(void *arg)
{
	const struct demo *d = arg;

	if (dup2(d->said, STDOUT_FILENO) >= 0)
		execl(demo_path, "edu-demo", "--backend", d->way->option, bdf_of(d->way->device),
		      NULL);
	return 127;
}

/* And says over which backend, by the name that was asked for. */
static void demo_runs(const struct way *way)
{
	struct demo d = { way, memfd_create("said", MFD_CLOEXEC) };
	char said[4096], backend[64];
	ssize_t len;
	int status;

	assert_return_code(d.said, errno);
	status = in_child(exec_demo, &d);
	len = pread(d.said, said, sizeof(said) - 1, 0);
	assert_in_range(len, 1, sizeof(said) - 2);
	said[len] = '\0';
	printf("%s", said);
	assert_int_equal(status, 0);
	snprintf(backend, sizeof(backend), "%-18s%s: ", "backend", way->option);
	assert_non_null(strstr(said, backend));
	close(d.said);
	assert_int_equal(ledger_wait(0), 0);
}

static void demo(void **state)
{
	(void)state;
	for_each("VDMA_TEST_PRESENT", demo_runs);
}

/* Where a region is, its frames say; what the device is told, its kind of arena. */
static void check_addresses(const struct way *way, struct vdma_arena *arena,
			    const struct vdma_buf *buf)
{
	uint64_t *frames = pagemap_frames(buf->va, buf->len);

	assert_true(frames_consecutive(frames, buf->len / PAGE));
	assert_int_equal(buf->pa, frames[0] * PAGE);
	assert_true(buf->iova + buf->len <= 1ULL << EDU_ADDRESS_BITS);
	if (physical(way))
		assert_int_equal(buf->iova, buf->pa);
	assert_int_equal(vdma_iova(arena, (char *)buf->va + 123), buf->iova + 123);
	assert_int_equal(vdma_iova_checked(arena, buf->va, buf->len), buf->iova);
	assert_ptr_equal(vdma_va(arena, buf->iova + 123), (char *)buf->va + 123);
	free(frames);
}

/* Before, between and after devices; twice, since the last one takes all mappings along. */
static void regions_are_reached(const struct way *way)
{
	static const size_t lens[] = { 2 * PAGE, 3 * MIB, 4 * MIB };
	struct vdma_region *regions[3];
	struct vdma_buf bufs[3], small;
	struct vdma_buf_opts opts = { .size = sizeof(opts), .address_bits = EDU_ADDRESS_BITS };
	struct space s;
	struct edu edu;

	WORKS(space_of(way, &s));
	for (unsigned int i = 0; i < 3; i++) {
		if (i)
			open_edu(way, &s, &edu);
		regions[i] = region_of(s.arena, VDMA_PROVIDER_CONTIG, lens[i], EDU_ADDRESS_BITS);
		bufs[i] = vdma_region_buf(regions[i]);
		check_addresses(way, s.arena, &bufs[i]);
		for (unsigned int j = 0; i && j <= i; j++)
			dma_verify(&edu, &bufs[j], i + 10 * j);
		if (i == 1)
			edu_close(&edu);
	}
	WORKS(vdma_buf_alloc(s.arena, 8 * PAGE, &opts, &small));
	dma_verify(&edu, &small, 77);
	WORKS(vdma_buf_free(s.arena, &small));
	for (unsigned int i = 0; i < 3; i++)
		WORKS(vdma_region_destroy(regions[i]));
	/* What goes while a device is there takes nothing from it. */
	assert_int_equal(sysfs_config(bdf_of(way->device), PCI_COMMAND, 2) & PCI_COMMAND_MASTER,
			 PCI_COMMAND_MASTER);
	edu_close(&edu);
	assert_int_equal(sysfs_config(bdf_of(way->device), PCI_COMMAND, 2) & PCI_COMMAND_MASTER, 0);
	space_destroy(&s);
	assert_int_equal(ledger_wait(0), 0);
}

static void memory(void **state)
{
	(void)state;
	for_each("VDMA_TEST_PRESENT", regions_are_reached);
}

struct victim {
	const struct way *way;
	int ready;
};

static int write_for_ever(void *arg)
{
	struct victim *v = arg;
	struct vdma_region *region;
	struct vdma_buf buf;
	struct space s;
	struct edu edu;

	WORKS(space_of(v->way, &s));
	region = region_of(s.arena, VDMA_PROVIDER_CONTIG, 4 * MIB, EDU_ADDRESS_BITS);
	buf = vdma_region_buf(region);
	open_edu(v->way, &s, &edu);
	dma_verify(&edu, &buf, 1);
	if (write(v->ready, "r", 1) != 1)
		return 1;
	for (;;)
		EDU_WORKS(&edu, edu_dma_read(&edu, buf.iova, 0, EDU_BUF_USABLE));
}

/* A process that dies under its device's writes: all comes back, the device is silent. */
static void killed(const struct way *way)
{
	int fds[2], status;
	pid_t pid;
	char c;

	assert_return_code(pipe(fds), errno);
	pid = fork();
	assert_return_code(pid, errno);
	if (!pid)
		_exit(write_for_ever(&(struct victim){ way, fds[1] }));
	close(fds[1]);
	assert_int_equal(read(fds[0], &c, 1), 1);
	close(fds[0]);
	usleep(50 * 1000); /* a transfer takes 100 ms */
	assert_return_code(kill(pid, SIGKILL), errno);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(sysfs_config(bdf_of(way->device), PCI_COMMAND, 2) & PCI_COMMAND_MASTER, 0);
	assert_int_equal(ledger_wait(0), 0);
	regions_are_reached(way);
}

static void sigkill(void **state)
{
	(void)state;
	for_each("VDMA_TEST_PRESENT", killed);
}

/* With words of why. */
static void is_refused(const struct way *way)
{
	struct vdma_device *dev = NULL;
	struct space s;
	int err = space_of(way, &s);

	if (!err) {
		err = vdma_device_open(s.ioas, bdf_of(way->device), NULL, &dev);
		printf("  | %s\n", vdma_explain());
		assert_true(err < 0);
		space_destroy(&s);
	} else {
		printf("  | %s\n", vdma_explain());
	}
	if (!is_cause(way, vdma_cause_name(vdma_last_failure()->cause)))
		fail_msg("cause %s", vdma_cause_name(vdma_last_failure()->cause));
}

static void absent(void **state)
{
	(void)state;
	for_each("VDMA_TEST_ABSENT", is_refused);
}

static int open_second(void *arg)
{
	const struct way *way = arg;
	struct vdma_device *dev;
	struct space s;

	WORKS(space_of(way, &s));
	return EXPLAINED(vdma_device_open(s.ioas, bdf_of(way->device), NULL, &dev), EBUSY,
			 GROUP_BUSY, "in use by process") ?
		       0 :
		       1;
}

static int open_as_nobody(void *arg)
{
	const struct way *way = arg;
	struct vdma_device *dev;
	struct space s;

	WORKS(space_of(way, &s));
	become(NOBODY, 64 * MIB);
	return EXPLAINED(vdma_device_open(s.ioas, bdf_of(way->device), NULL, &dev), EACCES,
			 PERMISSION, "This user may not open") ?
		       0 :
		       1;
}

static void one_owner(const struct way *way)
{
	struct space s;
	struct edu edu;

	WORKS(space_of(way, &s));
	open_edu(way, &s, &edu);
	assert_int_equal(in_child(open_second, (void *)(uintptr_t)way), 0);
	edu_close(&edu);
	space_destroy(&s);
	if (way->backend != VDMA_BACKEND_NOIOMMU || is_in("VDMA_TEST_ABSENT", &ways[2]))
		assert_int_equal(in_child(open_as_nobody, (void *)(uintptr_t)way), 0);
}

static void owners(void **state)
{
	(void)state;
	for_each("VDMA_TEST_PRESENT", one_owner);
}

#define TABLES "/sys/kernel/debug/iommu/intel"

/* Bytes that the page-table entry of a device address maps; 0 if there is none. */
static uint64_t entry_size(const char *bdf, uint64_t iova)
{
	/* Columns behind the address, the last of them the entry: PML5E, PML4E, PDPE, ... */
	static const uint64_t sizes[] = { [3] = GIB, [4] = 2 * MIB, [5] = PAGE };
	unsigned long long pfn;
	uint64_t size = 0;
	char path[96], line[256];
	FILE *f;

	snprintf(path, sizeof(path), TABLES "/%s/domain_translation_struct", bdf);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		unsigned int columns = 0;
		char *at = strchr(line, '|');

		if (!at || sscanf(line, "%llx", &pfn) != 1 || pfn != iova / PAGE)
			continue;
		while ((at = strstr(at, "0x"))) {
			columns++;
			at += 2;
		}
		assert_in_range(columns, 3, 5);
		size = sizes[columns];
	}
	fclose(f);
	return size;
}

/* What is contiguous and aligned costs the IOMMU one entry for each 2 MiB, or 1 GiB. */
static void superpages_of(const struct way *way)
{
	struct vdma_region_opts huge = { .size = sizeof(huge),
					 .provider = VDMA_PROVIDER_HUGETLB,
					 .page_size = GIB };
	struct vdma_region_opts scattered = { .size = sizeof(scattered),
					      .provider = VDMA_PROVIDER_ANON,
					      .page_size = PAGE };
	const char *bdf = bdf_of(way->device);
	struct vdma_region *contig, *big, *small;
	struct vdma_buf buf;
	struct space s;
	struct edu edu;

	WORKS(space_of(way, &s));
	open_edu(way, &s, &edu);
	contig = region_of(s.arena, VDMA_PROVIDER_CONTIG, 8 * MIB, 0);
	WORKS(vdma_region_create(s.arena, 4 * MIB, &scattered, &small));
	WORKS(vdma_region_create(s.arena, GIB, &huge, &big));
	buf = vdma_region_buf(contig);
	assert_int_equal(buf.pa % FOLIO, 0);
	for (uint64_t at = 0; at < buf.len; at += FOLIO)
		assert_int_equal(entry_size(bdf, buf.iova + at), FOLIO);
	assert_int_equal(entry_size(bdf, vdma_region_buf(small).iova), PAGE);
	assert_int_equal(entry_size(bdf, vdma_region_buf(big).iova), GIB);
	WORKS(vdma_region_destroy(big));
	WORKS(vdma_region_destroy(small));
	WORKS(vdma_region_destroy(contig));
	edu_close(&edu);
	space_destroy(&s);
}

static void superpages(void **state)
{
	(void)state;
	for_each("VDMA_TEST_PRESENT", superpages_of);
}

int run_combination(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(demo),	  cmocka_unit_test(memory), cmocka_unit_test(sigkill),
		cmocka_unit_test(owners), cmocka_unit_test(absent),
	};

	return cmocka_run_group_tests_name("combination", tests, NULL, NULL);
}

/* Where the kernel shows its page tables, and there is a page of 1 GiB. */
int run_superpages(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(superpages) };

	return cmocka_run_group_tests_name("superpages", tests, NULL, NULL);
}
