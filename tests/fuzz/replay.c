// SPDX-License-Identifier: BSD-3-Clause
/*
 * Where there is no libFuzzer: runs a target once on each file of the folders, or
 * files, that are named.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "input.h"

static unsigned int inputs;

static void replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = malloc(65536), *exact;
	size_t size;

	MUST(f && data);
	size = fread(data, 1, 65536, f);
	MUST(!ferror(f));
	fclose(f);
	/* So that a sanitizer sees who reads past the end. */
	exact = malloc(size ? size : 1);
	MUST(exact);
	memcpy(exact, data, size);
	free(data);
	LLVMFuzzerTestOneInput(exact, size);
	free(exact);
	inputs++;
}

static void replay(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	char name[PATH_MAX];

	if (!dir) {
		MUST(errno == ENOTDIR);
		replay_file(path);
		return;
	}
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		MUST(snprintf(name, sizeof(name), "%s/%s", path, entry->d_name) < PATH_MAX);
		replay_file(name);
	}
	closedir(dir);
}

int main(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		replay(argv[i]);
	printf("%u inputs\n", inputs);
	return !inputs;
}
