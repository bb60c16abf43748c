// SPDX-License-Identifier: BSD-3-Clause
/*
 * The table of docs/providers.md, cell by cell: what it says that an address space takes
 * a device reads and writes, what it says that it does not is refused with words.
 * VDMA_TEST_PRESENT names the backends that there are, VDMA_TEST_KERNEL the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <vdma/uapi/map_contig.h>

#include "guest.h"

#define LEN (4 * MIB)
#define UDMABUF "/dev/udmabuf"

struct setting {
	const char *column;
	enum vdma_backend backend;
	struct space s;
	struct edu edu;
	struct vdma_device *peer; /* whose BAR is imported; NULL in a physical arena */
};

/* Memory and what comes along with it. */
struct piece {
	struct vdma_region *region;
	void *va; /* of the program's own */
};

static int create(struct setting *at, enum vdma_provider provider, size_t page_size,
		  struct piece *piece)
{
	struct vdma_region_opts opts = {
		.size = sizeof(opts),
		.provider = provider,
		.page_size = page_size,
		.address_bits = EDU_ADDRESS_BITS,
	};

	return vdma_region_create(at->s.arena, LEN, &opts, &piece->region);
}

static const struct vdma_import_opts low = { .size = sizeof(low),
					     .address_bits = EDU_ADDRESS_BITS };

static int contig(struct setting *at, struct piece *piece)
{
	return create(at, VDMA_PROVIDER_CONTIG, 0, piece);
}

static int hugetlb(struct setting *at, struct piece *piece)
{
	return create(at, VDMA_PROVIDER_HUGETLB, 0, piece);
}

static int memfd(struct setting *at, struct piece *piece)
{
	return create(at, VDMA_PROVIDER_MEMFD, 0, piece);
}

static int memfd_huge(struct setting *at, struct piece *piece)
{
	return create(at, VDMA_PROVIDER_MEMFD, FOLIO, piece);
}

static int anon(struct setting *at, struct piece *piece)
{
	return create(at, VDMA_PROVIDER_ANON, 0, piece);
}

static int own_file(void)
{
	int fd = memfd_create("provider", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_return_code(fd, errno);
	assert_return_code(ftruncate(fd, LEN), errno);
	return fd;
}

/* The mapping holds the file. */
static int import_and_close(struct setting *at, int fd, struct piece *piece)
{
	int err = vdma_region_import_fd(at->s.arena, fd, 0, 0, &low, &piece->region);

	close(fd);
	return err;
}

static int file(struct setting *at, struct piece *piece)
{
	return import_and_close(at, own_file(), piece);
}

static int user(struct setting *at, struct piece *piece)
{
	piece->va = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(piece->va != MAP_FAILED);
	return vdma_region_import_user(at->s.arena, piece->va, LEN, &low, &piece->region);
}

static int udmabuf(struct setting *at, struct piece *piece)
{
	struct udmabuf_create create = { .flags = UDMABUF_FLAGS_CLOEXEC, .size = LEN };
	int node = open(UDMABUF, O_RDWR | O_CLOEXEC), fd, memfd = own_file();

	assert_return_code(node, errno);
	assert_return_code(fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK), errno);
	create.memfd = (uint32_t)memfd;
	fd = ioctl(node, UDMABUF_CREATE, &create);
	assert_return_code(fd, errno);
	close(memfd);
	close(node);
	return import_and_close(at, fd, piece);
}

static int contig_dmabuf(struct setting *at, struct piece *piece)
{
	struct map_contig_export export = { .size = sizeof(export) };
	struct map_contig_alloc alloc = { .size = sizeof(alloc), .length = LEN };
	int node = open(MAP_CONTIG_DEVICE, O_RDWR | O_CLOEXEC);

	assert_return_code(node, errno);
	assert_return_code(ioctl(node, MAP_CONTIG_ALLOC, &alloc), errno);
	assert_return_code(ioctl(alloc.fd, MAP_CONTIG_EXPORT, &export), errno);
	close(alloc.fd);
	close(node);
	return import_and_close(at, export.fd, piece);
}

static int bar(struct setting *at, struct piece *piece)
{
	return vdma_region_import_bar(at->s.arena, at->peer, 0, 0, PAGE, &low, &piece->region);
}

/* The device sends from its first bytes to its last ones. */
static void memory_is_reached(struct setting *at, const struct piece *piece)
{
	struct vdma_buf buf = vdma_region_buf(piece->region);

	assert_int_equal(vdma_iova_any(at->s.arena, buf.va, buf.len), buf.iova);
	assert_ptr_equal(vdma_va_any(at->s.arena, buf.iova), buf.va);
	dma_verify(&at->edu, &buf, 3);
}

/* Of the peer, an edu as well, the register at 4 gives back what is written, inverted. */
static void registers_are_reached(struct setting *at, const struct piece *piece)
{
	struct vdma_buf buf = vdma_region_buf(piece->region), out;
	struct vdma_buf_opts opts = { .size = sizeof(opts), .address_bits = EDU_ADDRESS_BITS };
	volatile uint32_t *word;

	WORKS(vdma_buf_alloc(at->s.arena, 64, &opts, &out));
	word = out.va;
	word[0] = 0x12345678;
	word[1] = 0;
	EDU_WORKS(&at->edu, edu_dma_write(&at->edu, 0, out.iova, 4));
	EDU_WORKS(&at->edu, edu_dma_read(&at->edu, buf.iova + 4, 0, 4));
	EDU_WORKS(&at->edu, edu_dma_write(&at->edu, 16, buf.iova + 4, 4));
	EDU_WORKS(&at->edu, edu_dma_read(&at->edu, out.iova + 4, 16, 4));
	assert_int_equal(word[1], (uint32_t)~0x12345678u);
	assert_int_equal(vdma_mmio_read32(buf.va, 4), (uint32_t)~0x12345678u);
	WORKS(vdma_buf_free(at->s.arena, &out));
	WORKS(vdma_buf_trim(at->s.arena));
}

static const struct kind {
	const char *name;
	int (*get)(struct setting *at, struct piece *piece);
	void (*reach)(struct setting *at, const struct piece *piece);
	const char *node; /* what it takes, if a kernel may be built without */
} kinds[] = {
	{ "contig", contig, memory_is_reached, NULL },
	{ "hugetlb", hugetlb, memory_is_reached, NULL },
	{ "memfd", memfd, memory_is_reached, NULL },
	{ "memfd-huge", memfd_huge, memory_is_reached, NULL },
	{ "anon", anon, memory_is_reached, NULL },
	{ "file", file, memory_is_reached, NULL },
	{ "user", user, memory_is_reached, NULL },
	{ "udmabuf", udmabuf, memory_is_reached, UDMABUF },
	{ "contig-dmabuf", contig_dmabuf, memory_is_reached, NULL },
	{ "bar", bar, registers_are_reached, NULL },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* Cause and remedy are there, and nothing of it stays. */
static void is_refused(const struct setting *at, const struct kind *kind, int err)
{
	struct vdma_arena_info info = { .size = sizeof(info) };

	if (at->backend == VDMA_BACKEND_NOIOMMU)
		assert_true(EXPLAINED(err, EINVAL, TRANSLATION, "without an IOMMU",
				      "VDMA_PROVIDER_CONTIG"));
	else
		assert_true(EXPLAINED(err, EOPNOTSUPP, UNSUPPORTED, "pin",
				      strcmp(kind->name, "bar") ? "import the memfd" :
								  "VDMA_BACKEND_TYPE1"));
	WORKS(vdma_arena_query(at->s.arena, &info));
	assert_int_equal(info.regions, 0);
}

static void try(struct setting *at, const struct kind *kind, const char *cell)
{
	struct piece piece = { NULL, NULL };
	int err;

	printf("  %s, %s: %s\n", at->column, kind->name, cell);
	if (kind->node && access(kind->node, F_OK)) {
		/* A physical arena refuses any, and on other kernels this one. */
		assert_string_equal(cell, at->backend == VDMA_BACKEND_NOIOMMU ? "no" : "none");
		return;
	}
	err = kind->get(at, &piece);
	if (!strcmp(cell, "yes")) {
		WORKS(err);
		kind->reach(at, &piece);
		WORKS(vdma_region_destroy(piece.region));
	} else {
		assert_string_equal(cell, "no");
		is_refused(at, kind, err);
	}
	if (piece.va)
		munmap(piece.va, LEN);
}

/* The next cell of a line of the table, without blanks; NULL at its end. */
static char *next_cell(char **line)
{
	char *cell = *line, *end = strchr(cell, '|');

	if (!end)
		return NULL;
	*line = end + 1;
	while (*cell == ' ')
		cell++;
	while (end > cell && end[-1] == ' ')
		end--;
	*end = '\0';
	return cell;
}

static unsigned int column_of(char *line, const char *name)
{
	unsigned int n = 0;
	char *cell;

	while ((cell = next_cell(&line)) && strcmp(cell, name))
		n++;
	if (!cell)
		fail_msg("the table has no column '%s'", name);
	return n;
}

static void try_row(struct setting *at, char *line, unsigned int column, bool *tried)
{
	const char *name = next_cell(&line), *cell = NULL;
	size_t i = 0;

	while (i < KINDS && strcmp(kinds[i].name, name))
		i++;
	if (i == KINDS || tried[i])
		fail_msg("the row '%s' is none that is known, or there twice", name);
	tried[i] = true;
	while (column--)
		cell = next_cell(&line);
	assert_non_null(cell);
	try(at, &kinds[i], cell);
}

static void try_column(struct setting *at)
{
	unsigned int column = 0;
	bool tried[KINDS] = { false };
	char line[512];
	FILE *f = fopen(VDMA_PROVIDERS_TABLE, "re");

	if (!f)
		fail_msg(VDMA_PROVIDERS_TABLE ": %s", strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "| memory ", 9))
			column = column_of(line + 1, at->column);
		else if (line[0] == '|' && line[1] != '-')
			try_row(at, line + 1, column, tried);
	}
	fclose(f);
	for (size_t i = 0; i < KINDS; i++)
		if (!tried[i])
			fail_msg("the table has no row '%s'", kinds[i].name);
}

static void with(const char *column, enum vdma_backend backend, const char *device)
{
	struct vdma_arena_opts arena = { .size = sizeof(arena) };
	struct vdma_ioas_opts opts = { .size = sizeof(opts), .backend = backend };
	struct setting at = { .column = column, .backend = backend };
	bool physical = backend == VDMA_BACKEND_NOIOMMU;

	if (physical)
		arena.translation = VDMA_TRANSLATION_PHYSICAL;
	WORKS(vdma_arena_create(&arena, &at.s.arena));
	WORKS(vdma_ioas_create(at.s.arena, &opts, &at.s.ioas));
	EDU_WORKS(&at.edu, edu_open(&at.edu, at.s.ioas, bdf_of(device), EDU_ADDRESS_BITS));
	EDU_WORKS(&at.edu, edu_irq_use(&at.edu, physical ? VDMA_IRQ_INTX : VDMA_IRQ_MSI));
	if (!physical)
		WORKS(vdma_device_open(at.s.ioas, bdf_of("VDMA_BDF_EDU3"), NULL, &at.peer));
	try_column(&at);
	WORKS(vdma_device_close(at.peer));
	edu_close(&at.edu);
	space_destroy(&at.s);
}

static void table(void **state)
{
	const char *present = getenv("VDMA_TEST_PRESENT"), *kernel = getenv("VDMA_TEST_KERNEL");
	unsigned int n = 0;
	char column[32];

	(void)state;
	assert_non_null(present);
	assert_non_null(kernel);
	file_write("/proc/sys/vm/nr_hugepages", "4");
	if (strstr(present, "type1 ")) {
		snprintf(column, sizeof(column), "type1 %s", kernel);
		with(column, VDMA_BACKEND_TYPE1, "VDMA_BDF_EDU");
		n++;
	}
	if (strstr(present, "iommufd ")) {
		snprintf(column, sizeof(column), "iommufd %s", kernel);
		with(column, VDMA_BACKEND_IOMMUFD, "VDMA_BDF_EDU");
		n++;
	}
	if (strstr(present, "noiommu-uio ")) {
		with("noiommu", VDMA_BACKEND_NOIOMMU, "VDMA_BDF_EDU2");
		n++;
	}
	file_write("/proc/sys/vm/nr_hugepages", "0");
	assert_true(n);
}

int run_provider(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(table) };

	return cmocka_run_group_tests_name("provider", tests, NULL, NULL);
}
