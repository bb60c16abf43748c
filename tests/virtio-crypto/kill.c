// SPDX-License-Identifier: BSD-3-Clause
/* SIGKILL at random moments: the device is usable again at once. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/wait.h>

#include "../random.h"
#include "crypto_tests.h"

/* AddressSanitizer keeps for a while what this process has freed. */
#ifdef __SANITIZE_ADDRESS__
#define KEEPS_FREED true
#else
#define KEEPS_FREED false
#endif

static unsigned int times(void)
{
	const char *text = getenv("VDMA_TEST_TIMES");

	return text ? (unsigned int)atoi(text) : 5;
}

static void killed(void **state)
{
	const char *bdf = bdf_of("VDMA_BDF_VIRTIO_CRYPTO");
	static struct pipeline p;
	uint64_t chance = 3;
	struct accel a;
	int left = 0, n_left;
	int64_t free_before = 0;

	(void)state;
	/* Not what other tests' resets have left. */
	accel_open(&a, bdf, NULL);
	assert_true(crypto_sessions_sweep(&a.crypto) >= 0);
	accel_close(&a);
	/* What is needed once is there after the first time. */
	for (unsigned int n = 0; n <= times(); n++) {
		int status;
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (!pid) {
			execl(own_path, own_path, "load", bdf, NULL);
			_exit(127);
		}
		usleep((useconds_t)random_below(&chance, 1500) * 1000);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		/* It was at work, or about to be, and had not failed. */
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		accel_open(&a, bdf, NULL);
		n_left = crypto_sessions_sweep(&a.crypto);
		if (n_left < 0)
			fail_msg("%s", a.crypto.why);
		left += n_left;
		ACCEL_WORKS(p.why, pipeline_begin(&p, &a, CRYPTO_AES_CBC, 64 * KIB, n + 1));
		ACCEL_WORKS(p.why, pipeline_run(&p, 100));
		ACCEL_WORKS(p.why, pipeline_end(&p));
		accel_close(&a);
		if (!n)
			free_before = mem_free_at_rest();
	}
	if (!KEEPS_FREED)
		check_free(free_before);
	/* Each had two for each key. */
	printf("%d sessions were left by those that were killed\n", left);
	assert_true(left <= ((int)times() + 1) * 2 * KEYS);
}

int run_kill(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed),
	};

	return cmocka_run_group_tests_name("kill", tests, NULL, NULL);
}
