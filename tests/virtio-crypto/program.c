// SPDX-License-Identifier: BSD-3-Clause
/* vdma-crypto as a person calls it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/wait.h>

#include "crypto_tests.h"

#define KEY "000102030405060708090a0b0c0d0e0f1011121314151617"
#define IV "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"

static char output[16384];

/* Runs "vdma-crypto WORDS", which may name $B, the device, and files in /tmp. */
static int run(const char *words)
{
	char command[1024];
	FILE *pipe;
	size_t n;
	int status;

	snprintf(command, sizeof(command), "B=%s; P='%s'; cd /tmp; { %s; } 2>&1",
		 bdf_of("VDMA_BDF_VIRTIO_CRYPTO"), program_path, words);
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
	SAYS("\"$P\" --help", 0, "Usage: vdma-crypto", "--timeout");
	SAYS("\"$P\"", 2, "--help");
	SAYS("\"$P\" sign $B", 2, "no command 'sign'");
	SAYS("\"$P\" info $B too many", 2, "--help");
	SAYS("\"$P\" encrypt $B", 2, "needs --key and --iv");
	SAYS("\"$P\" --depth 0 bench $B", 2, "'0' is no value");
	SAYS("\"$P\" --size 100 bench $B", 2, "'100' is no value");
	SAYS("\"$P\" --size 16 --pieces 2 bench $B", 2, "more --pieces than");
	SAYS("\"$P\" --iv 0123 encrypt $B", 2, "'0123' is no value");
	SAYS("echo 0123 >short; \"$P\" --key short encrypt $B", 2, "no key of 32, 48 or 64");
	SAYS("\"$P\" --key nofile encrypt $B", 2, "No such file");
}

static size_t file_bytes(const char *path, uint8_t *bytes, size_t size)
{
	FILE *file = fopen(path, "rb");
	size_t n;

	assert_non_null(file);
	n = fread(bytes, 1, size, file);
	fclose(file);
	return n;
}

/* What "openssl enc -aes-192-cbc" would have written, and back; with these options. */
static void there_and_back(const char *options, size_t len)
{
	uint8_t *in = malloc(4 * MIB), *got = malloc(4 * MIB), *want = malloc(4 * MIB);
	size_t pad = 16 - len % 16;
	uint8_t key[24], iv[16];
	char words[320];

	assert_true(in && got && want);
	for (unsigned int i = 0; i < 24; i++)
		key[i] = (uint8_t)i;
	for (unsigned int i = 0; i < 16; i++)
		iv[i] = (uint8_t)(0xf0 + i);
	snprintf(words, sizeof(words),
		 "echo " KEY " >key; head -c %zu /dev/urandom >in; "
		 "\"$P\" %s --key key --iv " IV " encrypt $B in out && "
		 "\"$P\" %s --key key --iv " IV
		 " decrypt $B <out >back && cmp in back && echo same",
		 len, options, options);
	SAYS(words, 0, "same");
	assert_int_equal(file_bytes("/tmp/in", in, 4 * MIB), len);
	memset(in + len, (int)pad, pad);
	assert_int_equal(file_bytes("/tmp/out", got, 4 * MIB), len + pad);
	assert_int_equal(oracle(CRYPTO_AES_CBC, true, key, sizeof(key), iv, in, want, len + pad),
			 0);
	assert_memory_equal(got, want, len + pad);
	free(in);
	free(got);
	free(want);
}

static void files(void **state)
{
	static const size_t lens[] = { 0, 15, 16, MIB - 1, MIB, 3 * MIB + 17 };

	(void)state;
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++)
		there_and_back("", lens[i]);
	/* Another key, and what no encryption wrote. */
	SAYS("echo 00" KEY " | head -c 48 >other; \"$P\" --key other --iv " IV
	     " decrypt $B out back",
	     1, "its end is not as it should be");
	SAYS("head -c 17 out | \"$P\" --key key --iv " IV " decrypt $B - back", 1,
	     "no multiple of 16");
	SAYS("\"$P\" --key key --iv " IV " decrypt $B /dev/null back", 1, "no multiple of 16");
	SAYS("\"$P\" --key key --iv " IV " encrypt $B nofile out", 1, "No such file");
	SAYS("\"$P\" --key key --iv " IV " encrypt $B in /nowhere/out", 1, "No such file");
	SAYS("\"$P\" --key key --iv " IV " encrypt $B in /dev/full", 1, "No space left");
}

static void commands(void **state)
{
	(void)state;
	SAYS("\"$P\" info $B", 0, "AES-CBC", "indirect", "1024 entries", "256 under way");
	SAYS("\"$P\" --seconds 1 --depth 64 bench $B", 0, "encryption of 4096 bytes in 1 pieces",
	     "depth 64, MSI-X, indirect");
	SAYS("\"$P\" --seconds 1 --poll --direct --decrypt --size 64K --pieces 8 --depth 128 bench $B",
	     0, "decryption of 65536 bytes in 8 pieces", "depth 128, polled, direct");
}

static void mistakes(void **state)
{
	(void)state;
	SAYS("\"$P\" info 0000:00:1e.7", 1, "0000:00:1e.7");
	SAYS("\"$P\" info nonsense", 1, "nonsense");
	SAYS("\"$P\" info 0000:00:1f.0", 1, "no virtio crypto device");
	SAYS("\"$P\" --depth 2000 bench $B", 1, "1024 entries");
	/* Bound to another driver: told how to bind, and what is told works. */
	bind_to(bdf_of("VDMA_BDF_VIRTIO_CRYPTO"), "virtio-pci");
	SAYS("\"$P\" info $B", 1, "vfio-pci", "driver_override");
	bind_to(bdf_of("VDMA_BDF_VIRTIO_CRYPTO"), "vfio-pci");
	/* No memory that may be locked, no descriptors. */
	SAYS("ulimit -l 1024; setpriv --bounding-set -ipc_lock,-sys_rawio --inh-caps -ipc_lock \"$P\" info $B",
	     1, "RLIMIT_MEMLOCK");
	SAYS("prlimit --nofile=6 \"$P\" info $B", 1, "descriptor");
	SAYS("\"$P\" info $B", 0, "AES-CBC");
	assert_int_equal(ledger_wait(0), 0);
}

int run_program(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(usage),
		cmocka_unit_test(commands),
		cmocka_unit_test(files),
		cmocka_unit_test(mistakes),
	};

	return cmocka_run_group_tests_name("program", tests, NULL, NULL);
}

/* Nothing translates, and nobody tells by interrupts: bound to uio_pci_generic. */
static void physical(void **state)
{
	(void)state;
	SAYS("\"$P\" info $B", 1, "0 MSI-X vectors", "poll");
	there_and_back("--poll", 2 * MIB + 5);
	there_and_back("--poll --direct", 100);
	SAYS("\"$P\" --poll --seconds 1 --pieces 8 bench $B", 0, "4096 bytes in 8 pieces");
	/* There is no IOMMU that its DMA could go past. */
	SAYS("\"$P\" --poll --seconds 1 bench $VDMA_BDF_VIRTIO_CRYPTO2", 0, "polled, indirect");
	assert_int_equal(ledger_wait(0), 0);
}

int run_physical(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(physical),
	};

	return cmocka_run_group_tests_name("physical", tests, NULL, NULL);
}
