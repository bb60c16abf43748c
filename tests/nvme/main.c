// SPDX-License-Identifier: BSD-3-Clause
/*
 * nvme-tests VDMA-NVME GROUP...: runs groups of tests, as root, in a guest made for
 * them (CMakeLists.txt). nvme-tests load BDF is the program that is killed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nvme_tests.h"

static const struct {
	const char *name;
	int (*run)(void);
} groups[] = {
	{ "data", run_data }, { "program", run_program }, { "trouble", run_trouble },
	{ "kill", run_kill }, { "gone", run_gone },
};

const char *program_path, *own_path;

static int run_group(const char *name)
{
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (!strcmp(groups[i].name, name))
			return groups[i].run();
	fprintf(stderr, "nvme-tests: no group '%s'\n", name);
	return 1;
}

int main(int argc, char **argv)
{
	int failed = 0;

	if (argc == 3 && !strcmp(argv[1], "load"))
		return load_for_ever(argv[2]);
	if (argc < 3) {
		fprintf(stderr, "Usage: nvme-tests VDMA-NVME GROUP...\n");
		return 2;
	}
	if (getuid() || access("/run/vdma", F_OK)) {
		fprintf(stderr, "nvme-tests: run this in scripts/guest\n");
		return 2;
	}
	/* cmocka writes to both; in a log they must keep their order. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	dup2(STDOUT_FILENO, STDERR_FILENO);
	own_path = argv[0];
	/* Some go to other folders. */
	program_path = realpath(argv[1], NULL);
	if (!program_path) {
		perror(argv[1]);
		return 2;
	}
	for (int i = 2; i < argc; i++)
		failed += run_group(argv[i]);
	return failed ? 1 : 0;
}
