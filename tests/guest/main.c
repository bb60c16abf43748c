// SPDX-License-Identifier: BSD-3-Clause
/*
 * guest-tests EDU-DEMO GROUP...: runs groups of tests, as root, in a guest made
 * for them (CMakeLists.txt).
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest.h"

static const struct {
	const char *name;
	int (*run)(void);
} groups[] = {
	{ "demo", run_demo },
	{ "device", run_device },
	{ "interrupts", run_interrupts },
	{ "memory", run_memory },
	{ "constraints", run_constraints },
	{ "overrun", run_overrun },
	{ "join", run_join },
	{ "setup", run_setup },
	{ "limits", run_limits },
	{ "zone", run_zone },
	{ "reset", run_reset },
	{ "bare", run_bare },
	{ "unsafe", run_unsafe },
	{ "combination", run_combination },
	{ "superpages", run_superpages },
	{ "provider", run_provider },
	{ "hotplug", run_hotplug },
	{ "ten", run_ten },
	{ "probes", run_probes },
};

const char *demo_path;

static int run_group(const char *name)
{
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (!strcmp(groups[i].name, name))
			return groups[i].run();
	fprintf(stderr, "guest-tests: no group '%s'\n", name);
	return 1;
}

/* A child whose assertion fails must die of it, not go on with the tests. */
static void in_fork(void)
{
	setenv("CMOCKA_TEST_ABORT", "1", 1);
}

int main(int argc, char **argv)
{
	int failed = 0;

	if (argc < 3) {
		fprintf(stderr, "Usage: guest-tests EDU-DEMO GROUP...\n");
		return 2;
	}
	if (getuid() || access("/run/vdma", F_OK)) {
		fprintf(stderr, "guest-tests: run this in scripts/guest\n");
		return 2;
	}
	/* cmocka writes to both; in a log they must keep their order. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	dup2(STDOUT_FILENO, STDERR_FILENO);
	if (pthread_atfork(NULL, NULL, in_fork))
		return 2;
	demo_path = argv[1];
	for (int i = 2; i < argc; i++)
		failed += run_group(argv[i]);
	return failed ? 1 : 0;
}
