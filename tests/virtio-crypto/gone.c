// SPDX-License-Identifier: BSD-3-Clause
/* A device that is pulled out under load: the slot of the second one loses its power. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto_tests.h"

static void *run_thread(void *arg)
{
	pipeline_run(arg, UINT32_MAX / 2);
	return NULL;
}

static void pulled_out(void **state)
{
	static struct pipeline p;
	unsigned int over = 0;
	pthread_t thread;
	struct accel a;
	double start;

	(void)state;
	WORKS(vdma_bus_guard(1));
	accel_open(&a, bdf_of("VDMA_BDF_VIRTIO_CRYPTO2"), NULL);
	ACCEL_WORKS(p.why, pipeline_begin(&p, &a, CRYPTO_AES_CBC, 64 * KIB, 23));
	assert_int_equal(pthread_create(&thread, NULL, run_thread, &p), 0);
	start = now_ms();
	while (!__atomic_load_n(&p.compared, __ATOMIC_RELAXED) && now_ms() - start < 20000)
		usleep(20 * 1000);
	/* PCI Express 3.0, 7.8.10: as tests/guest/hotplug.c does it */
	assert_int_equal(system("setpci -s $VDMA_BDF_PCIE_ROOT_PORT CAP_EXP+18.w=0700:0720 "
				"CAP_EXP+18.w=0100:0700 CAP_EXP+18.w=0020:0020"),
			 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	printf("%s\n", p.why);
	/* On its way out it looks for a moment as if somebody had reset it. */
	assert_true(p.err == -ENODEV || p.err == -ECONNRESET);
	assert_true(p.compared > 0);
	start = now_ms();
	while (crypto_reset(&a.crypto) != -ENODEV)
		assert_true(now_ms() - start < 20000);
	printf("%s\n", a.crypto.why);
	WORKS(vdma_device_let_go(a.crypto.pci.dev));
	assert_int_equal(crypto_reset(&a.crypto), -ENODEV);
	assert_int_equal(crypto_close(&a.crypto), -ENODEV);
	/* Each request has ended, once. */
	for (unsigned int i = 0; i < FLIGHTS; i++) {
		assert_true(p.flights[i].idle || p.flights[i].landed);
		over += !p.flights[i].idle;
	}
	printf("%u compared, %u under way when it went\n", p.compared, over);
	assert_int_equal(p.begun, p.compared + p.canceled + over);
	for (unsigned int i = 0; i < FLIGHTS; i++)
		free(p.flights[i].plain);
	free(p.got);
	free(p.want);
	WORKS(vdma_buf_free(a.s.arena, &p.mem));
	space_destroy(&a.s);
	assert_int_equal(ledger_wait(0), 0);
	WORKS(vdma_bus_guard(0));
}

int run_gone(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pulled_out),
	};

	return cmocka_run_group_tests_name("gone", tests, NULL, NULL);
}
