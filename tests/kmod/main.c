// SPDX-License-Identifier: BSD-3-Clause
/*
 *	scripts/guest [OPTIONS] -- build/tests/kmod/kmod-tests IMPORTER GROUP...
 *
 * as root. IMPORTER is where the importer's modules are, RELEASE/importer.ko.
 */
#include <stdio.h>
#include <string.h>

#include "suite.h"

const char *importer_path;

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(void);
	} groups[] = {
		{ "dmabuf", run_dmabuf },
		{ "hold", run_hold },
		{ "poison", run_poison },
	};
	int failed = 0;

	if (argc < 3) {
		fprintf(stderr, "Usage: %s IMPORTER GROUP...\n", argv[0]);
		return 2;
	}
	importer_path = argv[1];
	for (int i = 2; i < argc; i++) {
		bool found = false;

		for (size_t j = 0; j < sizeof(groups) / sizeof(*groups); j++) {
			if (strcmp(argv[i], groups[j].name))
				continue;
			found = true;
			failed += groups[j].run();
		}
		if (!found) {
			fprintf(stderr, "no group '%s'\n", argv[i]);
			return 2;
		}
	}
	return failed ? 1 : 0;
}
