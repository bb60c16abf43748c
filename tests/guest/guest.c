// SPDX-License-Identifier: BSD-3-Clause
#include "guest.h"
#include "check.h"
#include "vfio_edu.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/wait.h>

_Noreturn void edu_is_missing(void)
{
	FAIL("VDMA_BDF_EDU is not set");
}

const char *bdf_of(const char *variable)
{
	const char *bdf = getenv(variable);

	if (!bdf)
		fail_msg("%s is not set: see tests/guest/CMakeLists.txt for the guest's options",
			 variable);
	return bdf;
}

bool explained(int got, int err, enum vdma_cause cause, const char *const *words)
{
	const struct vdma_failure *last = vdma_last_failure();
	bool good = true;

	if (got != err) {
		printf("returned %d (%s), not %d (%s)\n", got, strerrorname_np(-got), err,
		       strerrorname_np(-err));
		good = false;
	}
	if (got >= 0) {
		fflush(stdout);
		return false;
	}
	printf("  | %s\n", last->text);
	if (last->err != got || last->cause != cause) {
		printf("recorded as %d, %s, not %d, %s\n", last->err, vdma_cause_name(last->cause),
		       err, vdma_cause_name(cause));
		good = false;
	}
	for (; *words; words++) {
		if (!strstr(last->text, *words)) {
			printf("the text does not name %s\n", *words);
			good = false;
		}
	}
	fflush(stdout);
	return good;
}

void works(int err, const char *call, const char *file, int line)
{
	if (err) {
		print_error("%s = %d\n%s\n", call, err, vdma_explain());
		_fail(file, line);
	}
}

void edu_works(const struct edu *edu, int err, const char *call, const char *file, int line)
{
	if (err) {
		print_error("%s = %d\n%s\n", call, err, edu->why);
		_fail(file, line);
	}
}

enum vdma_backend backend(void)
{
	const char *name = getenv("VDMA_TEST_BACKEND");

	if (!name)
		return VDMA_BACKEND_AUTO;
	if (!strcmp(name, "type1"))
		return VDMA_BACKEND_TYPE1;
	assert_string_equal(name, "iommufd");
	return VDMA_BACKEND_IOMMUFD;
}

struct vdma_ioas *ioas_of(struct vdma_arena *arena)
{
	struct vdma_ioas_opts opts = { .size = sizeof(opts), .backend = backend() };
	struct vdma_ioas *ioas = NULL;

	WORKS(vdma_ioas_create(arena, &opts, &ioas));
	return ioas;
}

struct space space_create(void)
{
	struct space space;

	WORKS(vdma_arena_create(NULL, &space.arena));
	space.ioas = ioas_of(space.arena);
	return space;
}

void space_destroy(struct space *space)
{
	WORKS(vdma_ioas_destroy(space->ioas));
	WORKS(vdma_arena_destroy(space->arena));
}

struct vdma_region *region_of(struct vdma_arena *arena, enum vdma_provider provider, size_t len,
			      unsigned int bits)
{
	struct vdma_region_opts opts = {
		.size = sizeof(opts),
		.provider = provider,
		.address_bits = bits,
	};
	struct vdma_region *region;

	WORKS(vdma_region_create(arena, len, &opts, &region));
	return region;
}

void dma_verify(struct edu *edu, const struct vdma_buf *buf, unsigned int seed)
{
	const unsigned int len = 1000;
	uint8_t *first = buf->va, *last = first + buf->len - len;

	assert_true(buf->len >= 2 * len);
	for (unsigned int i = 0; i < len; i++)
		first[i] = (uint8_t)(i * 31 + i / 256 + seed);
	memset(last, (int)~seed, len);
	EDU_WORKS(edu, edu_dma_write(edu, 8, buf->iova, len));
	EDU_WORKS(edu, edu_dma_read(edu, buf->iova + buf->len - len, 8, len));
	assert_memory_equal(first, last, len);
}

void file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		fail_msg("write %s to %s: %s", text, path, strerror(errno));
	close(fd);
}

void file_read(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);

	if (n < 0)
		fail_msg("read %s: %s", path, strerror(errno));
	close(fd);
	text[n] = 0;
	text[strcspn(text, "\n")] = 0;
}

bool file_has(const char *path, const char *word)
{
	FILE *f = fopen(path, "re");
	bool found = false;
	char line[4096];

	if (!f)
		fail_msg("%s: %s", path, strerror(errno));
	while (!found && fgets(line, sizeof(line), f))
		found = strstr(line, word);
	fclose(f);
	return found;
}

uint32_t sysfs_config(const char *bdf, unsigned int offset, unsigned int width)
{
	uint8_t bytes[4] = { 0 };
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", bdf);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || pread(fd, bytes, width, offset) != (ssize_t)width)
		fail_msg("%s: %s", path, strerror(errno));
	close(fd);
	return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
	       (uint32_t)bytes[3] << 24;
}

const char *space_path(void)
{
	return backend() == VDMA_BACKEND_IOMMUFD ? "/dev/iommu" : "/dev/vfio/vfio";
}

const char *node_path(const char *bdf)
{
	struct vdma_pci_info pci = { .size = sizeof(pci) };
	static char path[64];
	glob_t found;

	if (backend() == VDMA_BACKEND_IOMMUFD) {
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev/vfio*", bdf);
		assert_int_equal(glob(path, 0, NULL, &found), 0);
		snprintf(path, sizeof(path), "/dev/vfio/devices%s",
			 strrchr(found.gl_pathv[0], '/'));
		globfree(&found);
		return path;
	}
	WORKS(vdma_pci_query(bdf, &pci));
	assert_true(pci.group >= 0);
	snprintf(path, sizeof(path), "/dev/vfio/%d", pci.group);
	return path;
}

static void run(const char *command)
{
	int status;

	printf("  # %s\n", command);
	fflush(stdout);
	status = system(command);
	if (status)
		fail_msg("'%s' from an explanation ends with status %d", command,
			 WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

void follow_remedy(void)
{
	char *text = strdup(vdma_explain()), *line, *next, *command;
	unsigned int found = 0;

	for (line = text; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		command = strcasestr(line, "as root: ");
		if (command)
			command += strlen("as root: ");
		else if (!strncmp(line, "  ", 2))
			command = line + 2;
		if (!command || !*command)
			continue;
		run(command);
		found++;
	}
	free(text);
	if (!found)
		fail_msg("the explanation gives no command");
}
