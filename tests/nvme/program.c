// SPDX-License-Identifier: BSD-3-Clause
/* vdma-nvme as a person calls it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/wait.h>

#include "nvme_tests.h"

static char output[16384];

/* Runs "vdma-nvme WORDS", which may name $B, the disk, and files in /tmp. */
static int run(const char *words)
{
	char command[1024];
	FILE *pipe;
	size_t n;
	int status;

	snprintf(command, sizeof(command), "B=%s; P='%s'; cd /tmp; { %s; } 2>&1",
		 bdf_of("VDMA_BDF_NVME"), program_path, words);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	n = fread(output, 1, sizeof(output) - 1, pipe);
	output[n] = 0;
	status = pclose(pipe);
	printf("# %s\n%s", words, output);
	fflush(stdout);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void says(const char *words, int status, const char *const *texts)
{
	assert_int_equal(run(words), status);
	for (; *texts; texts++)
		if (!strstr(output, *texts))
			fail_msg("'%s' does not say '%s'", words, *texts);
}
#define SAYS(words, status, ...) says(words, status, (const char *const[]){ __VA_ARGS__, NULL })

static void usage(void **state)
{
	(void)state;
	SAYS("\"$P\" --help", 0, "Usage: vdma-nvme", "--timeout");
	SAYS("\"$P\"", 2, "--help");
	SAYS("\"$P\" format $B", 2, "no command 'format'");
	SAYS("\"$P\" --depth 0 bench $B", 2, "'0' is no value");
	SAYS("\"$P\" --size 4T bench $B", 2, "'4T' is no value");
}

static void commands(void **state)
{
	(void)state;
	SAYS("\"$P\" identify $B", 0, "QEMU NVMe Ctrl", "nvme1", "SGL",
	     "131072 blocks of 512 bytes");
	/* A file, at an offset, whose end is in the middle of a block. */
	assert_int_equal(run("head -c 3000001 /dev/urandom >in"), 0);
	SAYS("\"$P\" --offset 1M write $B in", 0, "3000001 bytes written");
	SAYS("\"$P\" --offset 1M --length 3000001 --list prp read $B >out; cmp in out && echo same",
	     0, "3000001 bytes read", "same");
	/* The rest of that block is as it was. */
	SAYS("yes | head -c 512 | \"$P\" --offset 1M write $B && yes no | head -c 3 | \"$P\" --offset 1M write $B && "
	     "\"$P\" --offset 1M --length 512 read $B | head -c 6 | tr '\\n' ' '",
	     0, "no  y");
	SAYS("\"$P\" --rounds 20 --size 256K verify $B \"$VDMA_RESULTS/nvme1.img\"", 0,
	     "no difference", "the image has the same 131072 blocks");
	SAYS("\"$P\" --offset 1M --length 4M deallocate $B", 0, "4194304 bytes deallocated");
	SAYS("\"$P\" --seconds 1 --depth 64 bench $B", 0, "sequential reads", "MSI-X, SGL",
	     "addresses for a command: 1");
	SAYS("\"$P\" --seconds 1 --threads 2 --random --write --poll --list prp --size 128K --depth 16 bench $B",
	     0, "random writes", "polled, PRP", "addresses for a command: 32");
}

static void mistakes(void **state)
{
	char path[64];

	(void)state;
	SAYS("\"$P\" identify 0000:00:1e.7", 1, "0000:00:1e.7");
	SAYS("\"$P\" identify nonsense", 1, "nonsense");
	SAYS("\"$P\" identify 0000:00:1f.0", 1, "no NVMe controller");
	SAYS("\"$P\" --namespace 7 read $B", 1, "namespace 7");
	SAYS("\"$P\" --offset 64M read $B", 1, "67108864");
	SAYS("\"$P\" --depth 4000 bench $B", 1, "2048 entries");
	SAYS("\"$P\" --threads 64 --depth 4 --seconds 1 --size 4K bench $B", 0, "64 queues");
	SAYS("\"$P\" write $B nofile", 1, "No such file");
	SAYS("\"$P\" --offset 63M write $B in", 1, "longer than the namespace");
	/* Bound to another driver: told how to bind, and what is told works. */
	give_to_kernel(bdf_of("VDMA_BDF_NVME"), path, sizeof(path));
	SAYS("\"$P\" identify $B", 1, "vfio-pci", "driver_override");
	take_from_kernel(bdf_of("VDMA_BDF_NVME"));
	/* No memory that may be locked, no descriptors. */
	SAYS("ulimit -l 1024; setpriv --bounding-set -ipc_lock,-sys_rawio --inh-caps -ipc_lock \"$P\" identify $B",
	     1, "RLIMIT_MEMLOCK");
	SAYS("prlimit --nofile=6 \"$P\" identify $B", 1, "descriptor");
	SAYS("\"$P\" identify $B", 0, "QEMU NVMe Ctrl");
	assert_int_equal(ledger_wait(0), 0);
}

int run_program(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(usage),
		cmocka_unit_test(commands),
		cmocka_unit_test(mistakes),
	};

	return cmocka_run_group_tests_name("program", tests, NULL, NULL);
}
