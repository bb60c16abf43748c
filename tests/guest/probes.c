// SPDX-License-Identifier: BSD-3-Clause
/*
 * The library's probes as a listener has them: the kernel puts an uprobe where each ELF
 * note says, and writes down the arguments, which have to be those of <vdma/stats.h>.
 */
#include <ctype.h>
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "guest.h"

#define TRACING "/sys/kernel/tracing/"
#define ARGS 5

/* The library's file, as it was linked. */
static struct {
	const char *path;
	const uint8_t *bytes;
	size_t len;
} library;

/* The kernel takes no path with a blank. */
#define LINK "/tmp/vdma-probed.so"

static void open_library(void)
{
	Dl_info info;
	struct stat st;
	int fd;

	assert_int_not_equal(dladdr((void *)(uintptr_t)vdma_arena_create, &info), 0);
	library.path = info.dli_fname;
	assert_true(!symlink(library.path, LINK) || errno == EEXIST);
	fd = open(library.path, O_RDONLY | O_CLOEXEC);
	assert_return_code(fd, errno);
	assert_return_code(fstat(fd, &st), errno);
	library.len = (size_t)st.st_size;
	library.bytes = mmap(NULL, library.len, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(library.bytes, MAP_FAILED);
	close(fd);
}

static const Elf64_Shdr *section(const char *name)
{
	const Elf64_Ehdr *elf = (const void *)library.bytes;
	const Elf64_Shdr *all = (const void *)(library.bytes + elf->e_shoff);
	const char *names = (const char *)library.bytes + all[elf->e_shstrndx].sh_offset;

	for (unsigned int i = 0; i < elf->e_shnum; i++)
		if (!strcmp(names + all[i].sh_name, name))
			return &all[i];
	fail_msg("%s has no section %s", library.path, name);
	return NULL;
}

/* Where in the file the code at an address lies. */
static uint64_t file_offset(uint64_t address)
{
	const Elf64_Ehdr *elf = (const void *)library.bytes;
	const Elf64_Phdr *all = (const void *)(library.bytes + elf->e_phoff);

	for (unsigned int i = 0; i < elf->e_phnum; i++)
		if (all[i].p_type == PT_LOAD && all[i].p_flags & PF_X &&
		    address - all[i].p_vaddr < all[i].p_filesz)
			return address - all[i].p_vaddr + all[i].p_offset;
	fail_msg("%s has no code at 0x%lx", library.path, (unsigned long)address);
	return 0;
}

/* "rbx" of the note is "bx" to the kernel, "r14d" is "r14", of any width. */
static void kernel_register(const char *from, char to[8])
{
	bool numbered = from[0] == 'r' && isdigit(from[1]);
	size_t n = strcspn(from, ")");

	assert_true(n >= 2 && n < 5);
	if (!numbered && (from[0] == 'r' || from[0] == 'e')) {
		from++;
		n--;
	} else if (numbered && !isdigit(from[n - 1])) {
		n--;
	}
	memcpy(to, from, n);
	to[n] = 0;
}

/*
 * One argument of the note, "-4@64(%rbx)": its size, negative if it is signed, and where it
 * is; as the kernel has it, "+64(%bx):s32". A pointer to text is followed.
 */
static void kernel_argument(const char *from, bool text, char *to, size_t size)
{
	char place[40], reg[8], *at;
	int bits = 8 * (int)strtol(from, &at, 10);

	assert_int_equal(*at++, '@');
	if (*at == '$') {
		snprintf(place, sizeof(place), "\\%s", at + 1);
	} else if (*at == '%') {
		kernel_register(at + 1, reg);
		snprintf(place, sizeof(place), "%%%s", reg);
	} else {
		long offset = strtol(at, &at, 0);

		/* No index, no name: what uprobes cannot fetch, perf cannot either. */
		if (at[0] != '(' || at[1] != '%' || strchr(at, ','))
			fail_msg("uprobes have no argument like %s", from);
		kernel_register(at + 2, reg);
		snprintf(place, sizeof(place), "%+ld(%%%s)", offset, reg);
	}
	if (text)
		snprintf(to, size, "+0(%s):ustring", place);
	else
		snprintf(to, size, "%s:%c%d", place, bits < 0 ? 's' : 'x', abs(bits));
}

static void append(const char *file, const char *line)
{
	int fd = open(file, O_WRONLY | O_APPEND | O_CLOEXEC);

	if (fd < 0 || write(fd, line, strlen(line)) != (ssize_t)strlen(line))
		fail_msg("%s to %s: %s", line, file, strerror(errno));
	close(fd);
}

/* These are emptied by being opened so; truncate(2) does nothing to them. */
static void empty(const char *file)
{
	int fd = open(file, O_WRONLY | O_TRUNC | O_CLOEXEC);

	assert_return_code(fd, errno);
	close(fd);
}

/* "p:vdma/map /path/libvdma.so:0x20150 a0=%r8:x64 a1=+40(%r9):x64 ..." */
static void listen_to(uint64_t address, const char *name, char *args)
{
	char line[1024], arg[96], *rest = NULL;
	unsigned int n = 0;

	snprintf(line, sizeof(line), "p:vdma/%s %s:0x%lx", name, LINK,
		 (unsigned long)file_offset(address));
	for (char *word = strtok_r(args, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		bool text = strstr(name, "tach") && n == 1;

		kernel_argument(word, text, arg, sizeof(arg));
		snprintf(line + strlen(line), sizeof(line) - strlen(line), " a%u=%s", n++, arg);
	}
	print_message("%s\n", line);
	append(TRACING "uprobe_events", line);
}

static unsigned int nprobes;

/* A note: three addresses (the probe, the section's base when it was made, a semaphore), three texts. */
static int listen_to_all(void **state)
{
	const Elf64_Shdr *notes, *base;
	const uint8_t *at, *end;

	(void)state;
	open_library();
	notes = section(".note.stapsdt");
	base = section(".stapsdt.base");
	at = library.bytes + notes->sh_offset;
	end = at + notes->sh_size;
	while (at < end) {
		const Elf64_Nhdr *head = (const void *)at;
		const uint8_t *desc = at + sizeof(*head) + (head->n_namesz + 3U) / 4 * 4;
		const char *provider, *name;
		uint64_t address[3];
		char args[256];

		at = desc + (head->n_descsz + 3U) / 4 * 4;
		memcpy(address, desc, sizeof(address));
		provider = (const char *)desc + sizeof(address);
		name = provider + strlen(provider) + 1;
		assert_string_equal(provider, "libvdma");
		assert_int_equal(address[2], 0);
		snprintf(args, sizeof(args), "%s", name + strlen(name) + 1);
		listen_to(address[0] + base->sh_addr - address[1], name, args);
		nprobes++;
	}
	assert_int_not_equal(nprobes, 0);
	append(TRACING "events/vdma/enable", "1");
	return 0;
}

static int listen_no_more(void **state)
{
	(void)state;
	append(TRACING "events/vdma/enable", "0");
	empty(TRACING "uprobe_events");
	return 0;
}

/* What a probe told, one time. */
struct event {
	char name[16];
	uint64_t a[ARGS];
	char text[32];
};

static struct event events[8];
static unsigned int nevents;

/* "guest-tests-99 [000] ..... 12.3: map: (0x7f0123456789) a0=0x55 a1=0x10 a4=-16" */
static void parse(const char *line)
{
	const char *head = strstr(line, ": ("), *name = head, *arg;
	struct event *e = &events[nevents];

	assert_non_null(head);
	assert_true(nevents < sizeof(events) / sizeof(events[0]));
	while (name > line && name[-1] != ' ')
		name--;
	memset(e, 0, sizeof(*e));
	snprintf(e->name, sizeof(e->name), "%.*s", (int)(head - name), name);
	for (arg = strstr(head, " a"); arg; arg = strstr(arg + 1, " a")) {
		unsigned int n = (unsigned int)(arg[2] - '0');

		assert_true(n < ARGS && arg[3] == '=');
		if (arg[4] == '"')
			snprintf(e->text, sizeof(e->text), "%.*s", (int)strcspn(arg + 5, "\""),
				 arg + 5);
		else
			e->a[n] = arg[4] == '-' ? (uint64_t)strtoll(arg + 4, NULL, 0) :
						  strtoull(arg + 4, NULL, 0);
	}
	nevents++;
}

/* What they told since the last time. */
static void hear(void)
{
	FILE *f = fopen(TRACING "trace", "re");
	char line[512];

	assert_non_null(f);
	nevents = 0;
	while (fgets(line, sizeof(line), f)) {
		if (*line == '#')
			continue;
		print_message("%s", line);
		parse(line);
	}
	fclose(f);
	empty(TRACING "trace");
}

/* The one event of this name. */
static const struct event *heard(const char *name)
{
	const struct event *found = NULL;

	for (unsigned int i = 0; i < nevents; i++) {
		if (!strcmp(events[i].name, name)) {
			assert_null(found);
			found = &events[i];
		}
	}
	if (!found)
		fail_msg("the probe %s was not hit", name);
	return found;
}

static void assert_at(const struct event *e, const void *whose, const struct vdma_buf *buf)
{
	assert_int_equal(e->a[0], (uintptr_t)whose);
	assert_int_equal(e->a[1], buf->iova);
	assert_int_equal(e->a[2], buf->len);
}

static void assert_device(const struct event *e, const struct vdma_ioas *ioas, const char *bdf)
{
	struct vdma_pci_info pci = { .size = sizeof(pci) };

	WORKS(vdma_pci_query(bdf, &pci));
	assert_int_equal(e->a[0], (uintptr_t)ioas);
	assert_string_equal(e->text, bdf);
	assert_int_equal(e->a[2], pci.group);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void devices(void **state)
{
	const char *bdf = bdf_of("VDMA_BDF_EDU");
	struct vdma_device *dev, *none;
	struct space s = space_create();
	struct vdma_ioas *other;

	(void)state;
	hear();
	assert_int_equal(nevents, 0);
	WORKS(vdma_device_open(s.ioas, bdf, NULL, &dev));
	hear();
	assert_int_equal(nevents, 1);
	assert_device(heard("attach"), s.ioas, bdf);
	assert_int_equal(heard("attach")->a[3], 0);

	other = ioas_of(s.arena);
	assert_int_equal(vdma_device_open(other, bdf, NULL, &none), -EBUSY);
	hear();
	assert_int_equal(nevents, 1);
	assert_device(heard("attach"), other, bdf);
	assert_int_equal((int64_t)heard("attach")->a[3], -EBUSY);
	WORKS(vdma_ioas_destroy(other));

	WORKS(vdma_device_close(dev));
	hear();
	assert_int_equal(nevents, 1);
	assert_device(heard("detach"), s.ioas, bdf);
	space_destroy(&s);
}

static void regions(void **state)
{
	const char *bdf = bdf_of("VDMA_BDF_EDU");
	struct space s = space_create();
	struct vdma_region *region;
	struct vdma_device *dev;
	struct vdma_buf buf;
	uint64_t start;

	(void)state;
	WORKS(vdma_device_open(s.ioas, bdf, NULL, &dev));
	hear();
	start = now_ns();
	region = region_of(s.arena, VDMA_PROVIDER_ANON, 2 * MIB, 0);
	start = now_ns() - start;
	buf = vdma_region_buf(region);
	hear();
	assert_int_equal(nevents, 2);
	assert_at(heard("map"), s.ioas, &buf);
	assert_in_range(heard("map")->a[3], 1, start);
	assert_int_equal(heard("map")->a[4], 0);
	assert_at(heard("region_create"), s.arena, &buf);
	assert_int_equal(heard("region_create")->a[3], (uintptr_t)buf.va);
	assert_int_equal(heard("region_create")->a[4], VDMA_PROVIDER_ANON);

	start = now_ns();
	WORKS(vdma_region_destroy(region));
	start = now_ns() - start;
	hear();
	assert_int_equal(nevents, 2);
	assert_at(heard("unmap"), s.ioas, &buf);
	assert_in_range(heard("unmap")->a[3], 1, start);
	assert_int_equal(heard("unmap")->a[4], 0);
	assert_at(heard("region_destroy"), s.arena, &buf);
	WORKS(vdma_device_close(dev));
	space_destroy(&s);
}

/* The first one comes with its chunk; the second with nothing. */
static void buffers(void **state)
{
	struct vdma_buf_opts opts = { .size = sizeof(opts), .contiguity = VDMA_CONTIG_INDIFFERENT };
	struct vdma_buf first, second;
	struct vdma_arena *arena;

	(void)state;
	WORKS(vdma_arena_create(NULL, &arena));
	hear();
	WORKS(vdma_buf_alloc(arena, 100, &opts, &first));
	hear();
	assert_int_equal(nevents, 2);
	assert_int_equal(heard("region_create")->a[0], (uintptr_t)arena);
	assert_at(heard("buf_alloc"), arena, &first);
	WORKS(vdma_buf_alloc(arena, 5000, &opts, &second));
	hear();
	assert_int_equal(nevents, 1);
	assert_at(heard("buf_alloc"), arena, &second);
	WORKS(vdma_buf_free(arena, &second));
	hear();
	assert_int_equal(nevents, 1);
	assert_at(heard("buf_free"), arena, &second);
	WORKS(vdma_buf_free(arena, &first));
	WORKS(vdma_arena_destroy(arena));
}

/* By the kernel's own count, "  /path/libvdma.so  map  12": a probe that is new as well. */
static void all_of_them(void **state)
{
	FILE *f = fopen(TRACING "uprobe_profile", "re");
	unsigned int n = 0;
	char line[512];

	(void)state;
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		const char *hits = strrchr(line, ' ');

		assert_non_null(hits);
		if (!strtoul(hits, NULL, 10))
			fail_msg("nothing above hits the probe of %s", line);
		n++;
	}
	fclose(f);
	assert_int_equal(n, nprobes);
}

int run_probes(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(devices),
		cmocka_unit_test(regions),
		cmocka_unit_test(buffers),
		cmocka_unit_test(all_of_them),
	};

	return cmocka_run_group_tests_name("probes", tests, listen_to_all, listen_no_more);
}
