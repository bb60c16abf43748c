// SPDX-License-Identifier: BSD-3-Clause
/*
 * The clauses of MAP_CONTIG as tests, for any machine that has map_contig.ko:
 * see usage. In a guest:
 *
 *	scripts/guest --device edu -- build/tests/conformance/vdma-conformance
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runner.h"

/* The module goes, and pages are lost, when all else has been seen to work. */
static const struct test *const tables[] = {
	contiguous_tests, query_tests,	     abi_tests,	   rules_tests,	    limits_tests,
	stay_tests,	  mapping_tests,     fork_tests,   fork_fail_tests, dma_tests,
	teardown_tests,	  constraints_tests, policy_tests, search_tests,    pin_tests,
	share_tests,	  reserve_tests,     module_tests, poison_tests,    NULL,
};

static void usage(FILE *to)
{
	fputs("Usage: vdma-conformance [--list] [--filter PATTERN] [--one-front] [--tap FILE]\n"
	      "                        [--preload FILE]\n"
	      "\n"
	      "Tests what contiguous memory promises, clause by clause, as root on a machine with\n"
	      "map_contig.ko loaded. Prints TAP; the exit status is 0 if no test failed.\n"
	      "\n"
	      "  --list            print the names of the tests\n"
	      "  --filter PATTERN  just those whose name is like the shell pattern: 'c6_*',\n"
	      "                    '*/ioctl', '@(c5_*|c6_*)'\n"
	      "  --one-front       each test through one front end only, another one from test to\n"
	      "                    test: all tests and all front ends, in half the time\n"
	      "  --tap FILE        the TAP goes to FILE as well\n"
	      "  --preload FILE    the preload library (default libvdma-preload.so, which is\n"
	      "                    found where ld.so looks)\n"
	      "\n"
	      "It fills memory, changes module parameters (and back), and unloads the module:\n"
	      "not for a machine that is in use. Tests with a device need VDMA_BDF_EDU, an edu of\n"
	      "QEMU bound to vfio-pci; VDMA_MODULE is the module's file, to load it again.\n",
	      to);
}

int main(int argc, char **argv)
{
	struct runner_options options = { .preload = "libvdma-preload.so" };

	if (argc > 1 && !strcmp(argv[1], RUNNER_CHILD))
		runner_run_child(tables, argv + 2);
	for (int i = 1; i < argc; i++) {
		const char **value = NULL;

		if (!strcmp(argv[i], "--help")) {
			usage(stdout);
			return 0;
		}
		if (!strcmp(argv[i], "--list")) {
			options.list = true;
			continue;
		}
		if (!strcmp(argv[i], "--one-front")) {
			options.one_front = true;
			continue;
		}
		if (!strcmp(argv[i], "--filter"))
			value = &options.filter;
		else if (!strcmp(argv[i], "--tap"))
			value = &options.tap;
		else if (!strcmp(argv[i], "--preload"))
			value = &options.preload;
		if (!value || i + 1 == argc) {
			usage(stderr);
			return 2;
		}
		*value = argv[++i];
	}
	if (!options.list && geteuid()) {
		fputs("vdma-conformance: page frame numbers are for root only\n", stderr);
		return 2;
	}
	return runner_run(tables, &options) ? 1 : 0;
}
