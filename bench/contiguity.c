// SPDX-License-Identifier: BSD-3-Clause
/*
 * bench-contiguity [--check] [--iommufd] [--mib N] [--svg FILE] [NVME [NIC NIC [CRYPTO]]]: what physically
 * contiguous memory saves, beside as much of 4 KiB pages of which no two are neighbours: to
 * have it, to register it, in the IOMMU's page tables, in a disk's descriptors, and in the time
 * of transfers. Counts are exact; times are medians, both memories in turn. Devices are PCI
 * addresses, by default those that scripts/guest tells of. As root, scripts/bench contiguity
 * runs it:
 *
 *	scripts/guest --device nvme,mdts=0 --device e1000e --device e1000e \
 *		--device virtio-crypto -- build/bench/bench-contiguity
 *
 * --check is for a test: little memory, and counts have to be what they should.
 */
#include "contiguity.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "iommu_tables.h"
#include "plot.h"
#include "registration.h"
#include "sample.h"
#include "scatter.h"

#define MIB ((size_t)1 << 20)
#define PAGE ((size_t)4096)
#define ROWS 40
#define ROUNDS 15
#define SLICE_NS 1e8
/* What devices' data need besides. */
#define MORE (48 * MIB)
#define CHECKED (16 * MIB) /* with --check */

/**
 * struct row - a line of the table
 * @section: the heading above it; NULL for none
 * @what: what it tells
 * @unit: of its values, with a blank; "" of counts
 * @values: for each memory
 */
struct row {
	const char *section;
	char what[64];
	const char *unit;
	double values[MEMORIES];
};

static struct row rows[ROWS];
static size_t nrows;
static const char *section;

static const enum registration_kind kinds[MEMORIES] = { REGISTRATION_CONTIG, REGISTRATION_SMALL };

void contiguity_fail(const char *what, const char *why)
{
	fflush(stdout);
	fprintf(stderr, "bench-contiguity: %s: %s\n", what, why);
	exit(1);
}

void contiguity_section(const char *name)
{
	section = name;
	printf("%s\n", name);
}

static const char *value_text(char *text, size_t size, const struct row *row, enum memory memory)
{
	char number[32];

	snprintf(text, size, "%s%s", plot_number(number, sizeof(number), row->values[memory]),
		 row->unit);
	return text;
}

void contiguity_row(const char *what, const char *unit, double contiguous, double scattered)
{
	struct row *row = &rows[nrows];
	char a[48], b[48], ratio[32] = "";

	if (nrows++ == ROWS)
		contiguity_fail(what, "too many rows");
	*row = (struct row){ .section = section,
			     .unit = unit,
			     .values = { contiguous, scattered } };
	snprintf(row->what, sizeof(row->what), "%s", what);
	section = NULL;
	if (contiguous > 0)
		plot_number(ratio, sizeof(ratio), scattered / contiguous);
	printf("  %-44s %14s %14s %9s\n", what, value_text(a, sizeof(a), row, CONTIGUOUS),
	       value_text(b, sizeof(b), row, SCATTERED), ratio);
	fflush(stdout);
}

void contiguity_time(const struct contiguity *c, const char *what, contiguity_run *run, void *ctx)
{
	double *us[MEMORIES], medians[MEMORIES];

	/* What is done for the first time takes longer. */
	for (int m = 0; m < MEMORIES; m++)
		run(ctx, (enum memory)m);
	if (!c->rounds) {
		printf("  %-44s works\n", what);
		return;
	}
	for (int m = 0; m < MEMORIES; m++) {
		us[m] = calloc(c->rounds, sizeof(**us));
		if (!us[m])
			contiguity_fail(what, "no memory");
	}
	for (unsigned int i = 0; i < c->rounds; i++)
		for (unsigned int k = 0; k < MEMORIES; k++) {
			enum memory memory = (enum memory)((i + k) % MEMORIES);

			us[memory][i] = run(ctx, memory) / 1e3;
		}
	for (int m = 0; m < MEMORIES; m++) {
		medians[m] = median(us[m], c->rounds);
		free(us[m]);
	}
	contiguity_row(what, " us", medians[CONTIGUOUS], medians[SCATTERED]);
}

struct vdma_region_opts contiguity_opts(enum memory memory)
{
	return (struct vdma_region_opts){
		.size = sizeof(struct vdma_region_opts),
		.provider = memory == CONTIGUOUS ? VDMA_PROVIDER_CONTIG : VDMA_PROVIDER_ANON,
		.page_size = memory == CONTIGUOUS ? 0 : PAGE,
	};
}

static void be_sure(enum memory memory, uint64_t runs, size_t len)
{
	uint64_t wanted = memory == CONTIGUOUS ? 1 : len / PAGE;
	char why[96];

	if (runs == wanted)
		return;
	snprintf(why, sizeof(why), "%zu MiB lie in %llu physical runs, not in %llu", len / MIB,
		 (unsigned long long)runs, (unsigned long long)wanted);
	contiguity_fail("memory", why);
}

struct vdma_region *contiguity_region(const struct contiguity *c, enum memory memory, size_t len)
{
	const struct vdma_region_opts opts = contiguity_opts(memory);
	struct vdma_region *region;

	if (vdma_region_create(c->arena, len, &opts, &region))
		contiguity_fail("memory", vdma_explain());
	be_sure(memory, physical_runs(vdma_region_buf(region).va, len), len);
	return region;
}

/**
 * struct facts - of a registered region
 * @c: the run
 * @tables: the IOMMU's, by the trace
 * @table_pages: that they have grown by; -1 if not known
 * @dumped: the kernel has shown them, too
 * @touch_faults: page faults while each page was written to
 */
struct facts {
	const struct contiguity *c;
	struct iommu_tables tables;
	int64_t table_pages;
	bool dumped;
	uint64_t touch_faults;
};

static void look(const struct vdma_buf *buf, void *ctx)
{
	struct facts *f = ctx;
	struct iommu_tables dump;
	uint64_t faults;

	if (f->table_pages >= 0)
		f->table_pages = iommu_table_pages() - f->table_pages;
	if (!iommu_trace_end(buf->iova, buf->len, &f->tables))
		contiguity_fail("tracing iommu_map()", "it does not tell of all of the memory");
	f->dumped = iommu_dump(f->c->nvme, buf->iova, buf->len, &dump);
	if (f->dumped && memcmp(dump.leaves, f->tables.leaves, sizeof(dump.leaves)))
		contiguity_fail("page tables", "they are not what the trace makes of them");
	faults = page_faults();
	for (size_t at = 0; at < buf->len; at += PAGE)
		((volatile char *)buf->va)[at] = 1;
	f->touch_faults = page_faults() - faults;
}

/* Page faults of memory that comes when it is used. */
static uint64_t faults_unpopulated(size_t len)
{
	volatile char *va = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t faults;

	if (va == MAP_FAILED)
		contiguity_fail("memory", "mmap() has none");
	madvise((void *)va, len, MADV_NOHUGEPAGE);
	mprotect((void *)va, len, PROT_READ | PROT_WRITE);
	faults = page_faults();
	for (size_t at = 0; at < len; at += PAGE)
		va[at] = 1;
	faults = page_faults() - faults;
	munmap((void *)va, len);
	return faults;
}

/* Levels that are walked to an entry, of the most frequent size. */
static unsigned int walked(const struct iommu_tables *tables)
{
	unsigned int most = 0;

	for (unsigned int i = 1; i < IOMMU_SIZES; i++)
		if (tables->leaves[i] > tables->leaves[most])
			most = i;
	return iommu_levels() - most;
}

static uint64_t leaves_of(const struct iommu_tables *tables)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < IOMMU_SIZES; i++)
		n += tables->leaves[i];
	return n;
}

enum time { POPULATE, REGISTER, UNMAP, TIMES };

static void time_registration(const struct contiguity *c, size_t len)
{
	static const char *const names[TIMES] = { "time until all of it is there",
						  "time to register it", "time to unmap it" };
	double ms[TIMES][MEMORIES][ROUNDS];

	for (unsigned int i = 0; i < c->rounds; i++)
		for (unsigned int k = 0; k < MEMORIES; k++) {
			unsigned int m = (i + k) % MEMORIES;
			struct registration_sample s;

			if (registration_measure_one(c->arena, len, kinds[m], NULL, NULL, &s))
				contiguity_fail("registering", vdma_explain());
			be_sure((enum memory)m, s.runs, len);
			ms[POPULATE][m][i] = s.populate_ms;
			ms[REGISTER][m][i] = s.register_ms;
			ms[UNMAP][m][i] = s.unmap_ms;
		}
	contiguity_section("Time of registration");
	for (int t = 0; t < TIMES; t++)
		contiguity_row(names[t], " ms", median(ms[t][CONTIGUOUS], c->rounds),
			       median(ms[t][SCATTERED], c->rounds));
}

static void count_registration(const struct contiguity *c, size_t len)
{
	struct registration_sample s[MEMORIES];
	struct facts f[MEMORIES];
	unsigned int levels = iommu_levels();

	/* What the library does for the first time has page faults, too. */
	if (registration_measure_one(c->arena, len, kinds[CONTIGUOUS], NULL, NULL, &s[CONTIGUOUS]))
		contiguity_fail("registering", vdma_explain());
	for (int m = 0; m < MEMORIES; m++) {
		f[m] = (struct facts){ .c = c, .table_pages = iommu_table_pages() };
		if (!iommu_trace_begin())
			contiguity_fail("tracing iommu_map()",
					"the kernel has no events of it in /sys/kernel/tracing");
		if (registration_measure_one(c->arena, len, kinds[m], look, &f[m], &s[m]))
			contiguity_fail("registering", vdma_explain());
		be_sure((enum memory)m, s[m].runs, len);
	}
	contiguity_section("To have it");
	contiguity_row("physically contiguous runs", "", (double)s[CONTIGUOUS].runs,
		       (double)s[SCATTERED].runs);
	contiguity_row("page faults until all of it is there", "", (double)s[CONTIGUOUS].faults,
		       (double)s[SCATTERED].faults);
	contiguity_row("page faults at first use", "", (double)f[CONTIGUOUS].touch_faults,
		       (double)f[SCATTERED].touch_faults);
	contiguity_row("the same if it is not populated", "", (double)f[CONTIGUOUS].touch_faults,
		       (double)faults_unpopulated(len));
	contiguity_section("To register it with the IOMMU");
	contiguity_row("calls of the program (ioctl)", "", (double)s[CONTIGUOUS].map_calls,
		       (double)s[SCATTERED].map_calls);
	contiguity_row("DMA entries of the address space", "", s[CONTIGUOUS].dma_entries,
		       s[SCATTERED].dma_entries);
	contiguity_row("calls of iommu_map() in the kernel", "", (double)f[CONTIGUOUS].tables.maps,
		       (double)f[SCATTERED].tables.maps);
	contiguity_row("entries of the IOMMU's page tables", "",
		       (double)leaves_of(&f[CONTIGUOUS].tables),
		       (double)leaves_of(&f[SCATTERED].tables));
	if (f[SCATTERED].table_pages >= 0)
		contiguity_row("pages that these tables take", "",
			       (double)f[CONTIGUOUS].table_pages, (double)f[SCATTERED].table_pages);
	if (levels)
		contiguity_row("levels walked to an entry", "", walked(&f[CONTIGUOUS].tables),
			       walked(&f[SCATTERED].tables));
	printf("  entries: %s\n",
	       f[SCATTERED].dumped ?
		       "from the kernel's dump of the tables, as the trace has them" :
		       "from the trace of iommu_map(), by the kernel's rule for sizes");
}

/* What has to be so for CHECKED bytes, on any kernel. */
static int check(void)
{
	static const struct {
		const char *what;
		double values[MEMORIES];
	} wanted[] = {
		{ "physically contiguous runs", { 1, CHECKED / PAGE } },
		{ "page faults at first use", { 0, 0 } },
		{ "calls of the program (ioctl)", { 1, 1 } },
		{ "DMA entries of the address space", { 1, 1 } },
		{ "calls of iommu_map() in the kernel", { 1, CHECKED / PAGE } },
		{ "entries of the IOMMU's page tables", { CHECKED / (2 * MIB), CHECKED / PAGE } },
		{ "levels walked to an entry", { 2, 3 } },
		{ "SGL, by physical address", { 1, 256 } },
		{ "SGL, behind an IOMMU", { 1, 1 } },
		{ "PRP, by physical address", { 256, 256 } },
		{ "PRP, behind an IOMMU", { 256, 256 } },
		{ "pages of PRP lists", { 1, 1 } },
	};
	int failed = 0;

	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		const struct row *row = rows;

		while (row < rows + nrows && strcmp(row->what, wanted[i].what))
			row++;
		for (int m = 0; m < MEMORIES; m++)
			if (row == rows + nrows || row->values[m] != wanted[i].values[m]) {
				fprintf(stderr, "bench-contiguity: %s: not %.0f\n", wanted[i].what,
					wanted[i].values[m]);
				failed = 1;
			}
	}
	return failed;
}

/* Each memory's value as so many times the contiguous one's. */
static int draw(const char *path, size_t len)
{
	static char texts[ROWS][MEMORIES][48];
	struct plot_group groups[ROWS] = { 0 };
	char title[96], machine[160], source[256];
	struct plot plot = {
		.title = title,
		.subtitle = "Shorter is better. Length: times the contiguous memory's value, "
			    "logarithmic. Beside it: the value.",
		.unit = "x",
		.base = 0.7,
		.series = { "contiguous (libvdma)", "4 KiB pages, scattered" },
		.groups = groups,
		.n = nrows,
		.source = source,
	};
	int err;

	for (size_t i = 0; i < nrows; i++) {
		double one = rows[i].values[CONTIGUOUS] > 0 ? rows[i].values[CONTIGUOUS] : 1;

		groups[i].section = rows[i].section;
		groups[i].label = rows[i].what;
		for (int m = 0; m < MEMORIES; m++) {
			groups[i].values[m] = rows[i].values[m] / one;
			groups[i].texts[m] = value_text(texts[i][m], sizeof(texts[i][m]), &rows[i],
							(enum memory)m);
		}
	}
	snprintf(title, sizeof(title), "What contiguity buys: %zu MiB", len / MIB);
	plot_machine(machine, sizeof(machine), NULL);
	snprintf(source, sizeof(source), "bench-contiguity, medians of %d samples in turn; %s",
		 ROUNDS, machine);
	err = plot_write(&plot, path);
	if (err)
		contiguity_fail(path, strerror(-err));
	return 0;
}

/*
 * Contiguous memory of the same size is held meanwhile, and lies free behind it: so none that
 * comes later needs to move pages, which would go where the single ones are.
 */
static void scatter(const struct contiguity *c, size_t len)
{
	struct vdma_region *hold = contiguity_region(c, CONTIGUOUS, len);
	int err = scatter_begin(len);

	if (err)
		contiguity_fail("scattered memory", strerror(-err));
	vdma_region_destroy(hold);
}

static int usage(void)
{
	fputs("usage: bench-contiguity [--check] [--iommufd] [--mib N] [--svg FILE] "
	      "[NVME [NIC NIC [CRYPTO]]]\n",
	      stderr);
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "check", no_argument, NULL, 'c' },
		{ "iommufd", no_argument, NULL, 'i' },
		{ "mib", required_argument, NULL, 'm' },
		{ "svg", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	struct contiguity c = {
		.rounds = ROUNDS,
		.slice_ns = SLICE_NS,
		.nvme = getenv("VDMA_BDF_NVME"),
		.nics = { getenv("VDMA_BDF_E1000E"), getenv("VDMA_BDF_E1000E2") },
		.crypto = getenv("VDMA_BDF_VIRTIO_CRYPTO"),
	};
	struct vdma_ioas_opts ioas = { .size = sizeof(ioas) };
	size_t len = 256 * MIB;
	const char *svg = NULL;
	struct vdma_device *dev;
	bool checking = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			checking = true;
			len = CHECKED;
			c.rounds = 0;
			c.slice_ns = 1;
			break;
		case 'i': ioas.backend = VDMA_BACKEND_IOMMUFD; break;
		case 'm': len = strtoul(optarg, NULL, 0) * MIB; break;
		case 's': svg = optarg; break;
		default: return usage();
		}
	}
	argc -= optind;
	argv += optind;
	if (argc) {
		c.nvme = argv[0];
		c.nics[0] = argc > 2 ? argv[1] : NULL;
		c.nics[1] = argc > 2 ? argv[2] : NULL;
		c.crypto = argc > 3 ? argv[3] : NULL;
	}
	if (!c.nvme || argc == 2 || argc > 4 || !len)
		return usage();
	if (vdma_arena_create(NULL, &c.arena))
		contiguity_fail("an arena", vdma_explain());
	scatter(&c, len + MORE);
	if (vdma_ioas_create(c.arena, &ioas, &c.ioas) ||
	    vdma_device_open(c.ioas, c.nvme, NULL, &dev))
		contiguity_fail(c.nvme, vdma_explain());
	printf("%zu MiB %40s %14s %14s %9s\n", len / MIB, "", "contiguous", "4 KiB pages", "times");
	count_registration(&c, len);
	if (c.rounds)
		time_registration(&c, len);
	vdma_device_close(dev);
	contiguity_nvme(&c);
	if (c.nics[0] && c.nics[1])
		contiguity_nics(&c);
	if (c.crypto)
		contiguity_crypto(&c);
	scatter_end();
	if (vdma_ioas_destroy(c.ioas) || vdma_arena_destroy(c.arena))
		contiguity_fail("giving everything back", vdma_explain());
	if (svg)
		draw(svg, len);
	return checking ? check() : 0;
}
