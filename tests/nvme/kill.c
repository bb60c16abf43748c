// SPDX-License-Identifier: BSD-3-Clause
/* SIGKILL at random moments: the disk is usable again at once, its bytes are whole. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/wait.h>

#include "nvme_tests.h"
#include "../random.h"

static unsigned int times(void)
{
	const char *text = getenv("VDMA_TEST_TIMES");

	return text ? (unsigned int)atoi(text) : 5;
}

static void killed(void **state)
{
	const struct nvme_opts opts = { .queues = THREADS };
	const char *bdf = bdf_of("VDMA_BDF_NVME");
	uint64_t chance = 3;
	struct nvme_verify v;
	struct disk d;
	int64_t free_before = 0;

	(void)state;
	disk_open(&d, bdf, &opts);
	load_prepare(&v, &d);
	disk_close(&d);
	/* What is needed once is there after the first time. */
	for (unsigned int n = 0; n <= times(); n++) {
		int status;
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (!pid) {
			execl(own_path, own_path, "load", bdf, NULL);
			_exit(127);
		}
		usleep((useconds_t)random_below(&chance, 2500) * 1000);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		/* It was at work, or about to be, and had not failed. */
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		disk_open(&d, bdf, &opts);
		/* All of it each time would take too long. */
		if (n == times())
			load_check(&v, &d);
		disk_close(&d);
		if (!n)
			free_before = mem_free_at_rest();
	}
	check_free(free_before);
	nvme_verify_end(&v, NULL);
}

int run_kill(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed),
	};

	return cmocka_run_group_tests_name("kill", tests, NULL, NULL);
}
