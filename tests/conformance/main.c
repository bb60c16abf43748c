// SPDX-License-Identifier: BSD-3-Clause
/*
 * The clauses of MAP_CONTIG, as tests: run in a guest as root, with the module
 * loaded and edu bound to vfio-pci.
 *
 *	scripts/guest --device edu -- build/tests/conformance/conformance [PATTERN]
 */
#include <stdio.h>
#include <sys/utsname.h>

#include "suite.h"

int kernel_has_folios(void)
{
	struct utsname u;
	int major = 0, minor = 0;

	if (uname(&u) || sscanf(u.release, "%d.%d", &major, &minor) != 2)
		fail_msg("what kernel is this?");
	return major > 6 || (major == 6 && minor >= 12);
}

int main(int argc, char **argv)
{
	int failed = 0;

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	failed += run_allocation();
	failed += run_query();
	failed += run_limits();
	failed += run_mapping();
	failed += run_teardown();
	return failed ? 1 : 0;
}
