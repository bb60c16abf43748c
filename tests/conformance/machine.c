// SPDX-License-Identifier: BSD-3-Clause
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "machine.h"
#include "observe.h"
#include "uapi.h"

#define PARAMETERS "/sys/module/map_contig/parameters"

static struct parameter {
	char path[320];
	char value[256];
} parameters[32];
static unsigned int nparameters;
static struct stat node_stat;
static bool had_module;

/* The reserve reads as "0:64K held=... free=..." for each node, and takes "0:64K,1:...". */
static void read_parameter(const struct parameter *p, char *value, size_t size)
{
	char text[1024], *line, *save;

	*value = 0;
	if (!file_text(p->path, text, sizeof(text)))
		return;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		size_t len = strlen(value);

		line[strcspn(line, " ")] = 0;
		snprintf(value + len, size - len, "%s%s", len ? "," : "", line);
	}
}

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fprintf(stderr, "vdma-conformance: %s: %m\n", path);
	if (fd >= 0)
		close(fd);
}

void machine_save(void)
{
	DIR *dir = opendir(PARAMETERS);
	struct dirent *entry;

	had_module = !stat(MAP_CONTIG_DEVICE, &node_stat);
	if (had_module)
		ledger_set_base();
	while (dir && (entry = readdir(dir)) && nparameters < 32) {
		struct parameter *p = &parameters[nparameters];

		snprintf(p->path, sizeof(p->path), PARAMETERS "/%s", entry->d_name);
		if (entry->d_name[0] == '.' || access(p->path, R_OK | W_OK))
			continue;
		read_parameter(p, p->value, sizeof(p->value));
		nparameters++;
	}
	if (dir)
		closedir(dir);
}

static void insert_module(void)
{
	const char *path = getenv("VDMA_MODULE");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
		fprintf(stderr, "vdma-conformance: the module is gone: %m\n");
	if (fd >= 0)
		close(fd);
}

unsigned int machine_restore(void)
{
	char now[256];
	unsigned int left;

	if (!had_module)
		return 0;
	if (access(MAP_CONTIG_DEVICE, F_OK))
		insert_module();
	for (unsigned int i = 0; i < nparameters; i++) {
		read_parameter(&parameters[i], now, sizeof(now));
		if (strcmp(now, parameters[i].value))
			write_text(parameters[i].path, parameters[i].value);
	}
	if (chown(MAP_CONTIG_DEVICE, node_stat.st_uid, node_stat.st_gid) ||
	    chmod(MAP_CONTIG_DEVICE, node_stat.st_mode & 07777))
		fprintf(stderr, "vdma-conformance: " MAP_CONTIG_DEVICE ": %m\n");
	left = ledger_wait(0);
	if (left)
		/* Known now: the next test is not to be blamed. */
		ledger_set_base();
	return left;
}

/* The children of this process, adopted ones included. */
void machine_kill_children(void)
{
	char path[64], text[4096], *at, *end;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	if (!file_text(path, text, sizeof(text)))
		return;
	for (at = text;; at = end) {
		long pid = strtol(at, &end, 10);

		if (end == at)
			break;
		kill((pid_t)pid, SIGKILL);
	}
}
