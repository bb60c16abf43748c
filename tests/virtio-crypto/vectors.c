// SPDX-License-Identifier: BSD-3-Clause
/* Every result is OpenSSL's: random keys, IVs and data, 16 B to 1 MiB, in one piece and in many. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto_tests.h"

/* Of what is said below. */
static unsigned int percent(void)
{
	const char *text = getenv("VDMA_TEST_PERCENT");

	return text ? (unsigned int)atoi(text) : 100;
}

static void compare(const char *bdf, const struct crypto_opts *opts, enum crypto_cipher cipher,
		    size_t max_len, unsigned int count, bool indirect)
{
	static struct pipeline p;
	double start = now_ms();
	struct accel a;

	count = count * percent() / 100;
	accel_open(&a, bdf, opts);
	assert_int_equal(!!a.crypto.queues[0]->vq.table_entries, indirect);
	ACCEL_WORKS(p.why, pipeline_begin(&p, &a, cipher, max_len, 11 + (unsigned int)cipher));
	ACCEL_WORKS(p.why, pipeline_run(&p, count));
	assert_true(p.compared >= count && p.begun == p.compared && p.canceled == 0);
	assert_true(p.scattered > count / 4 && p.scattered < p.compared);
	/* Without indirect descriptors pieces fill the queue. */
	assert_true(p.deepest == FLIGHTS || !indirect);
	printf("%s: %u vectors, %u at once, %llu MiB, %u of them scattered, %.0f ms\n",
	       crypto_cipher_name(cipher), p.compared, p.deepest, (unsigned long long)p.bytes >> 20,
	       p.scattered, now_ms() - start);
	ACCEL_WORKS(p.why, pipeline_end(&p));
	accel_close(&a);
}

static void cbc_interrupts(void **state)
{
	(void)state;
	compare(bdf_of("VDMA_BDF_VIRTIO_CRYPTO"), NULL, CRYPTO_AES_CBC, MIB, 3000, true);
}

static void cbc_polled_direct(void **state)
{
	(void)state;
	compare(bdf_of("VDMA_BDF_VIRTIO_CRYPTO"),
		&(struct crypto_opts){ .poll = true, .direct = true }, CRYPTO_AES_CBC, MIB, 1000,
		false);
}

/* Short ones, since OpenSSL takes its time on an emulator. */
static void ten_thousand(void **state)
{
	(void)state;
	compare(bdf_of("VDMA_BDF_VIRTIO_CRYPTO"), NULL, CRYPTO_AES_CBC, 16 * KIB, 10000, true);
}

/* A device that has no indirect descriptors. */
static void cbc_other_device(void **state)
{
	(void)state;
	compare(bdf_of("VDMA_BDF_VIRTIO_CRYPTO2"), NULL, CRYPTO_AES_CBC, 64 * KIB, 500, false);
}

/* What QEMU's backend has besides, and does not tell of. */
static void other_ciphers(void **state)
{
	static const enum crypto_cipher ciphers[] = {
		CRYPTO_AES_ECB,	 CRYPTO_AES_CTR,  CRYPTO_AES_XTS,
		CRYPTO_3DES_ECB, CRYPTO_3DES_CBC, CRYPTO_3DES_CTR,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(ciphers) / sizeof(ciphers[0]); i++)
		compare(bdf_of("VDMA_BDF_VIRTIO_CRYPTO"),
			&(struct crypto_opts){ .any_cipher = true }, ciphers[i], 32 * KIB, 300,
			true);
}

static void count_done(void *ctx, int status)
{
	unsigned int *counts = ctx;

	counts[status != 0]++;
}

/* All that a queue holds, 256 and 1024 requests at once, and not one more. */
static void deep(void **state)
{
	static const uint8_t key[16] = "sixteen letters", iv[16];
	static const unsigned int depths[] = { 0, 1024 };

	(void)state;
	for (unsigned int k = 0; k < 2; k++) {
		unsigned int n = depths[k] ? depths[k] : 256, counts[2] = { 0, 0 };
		struct crypto_session encrypt, decrypt;
		struct crypto_queue *q;
		struct vdma_buf buf;
		struct accel a;

		accel_open(&a, bdf_of("VDMA_BDF_VIRTIO_CRYPTO"),
			   &(struct crypto_opts){ .depth = depths[k] });
		q = a.crypto.queues[0];
		assert_int_equal(q->depth, n);
		ACCEL_WORKS(a.crypto.why, crypto_session_create(&a.crypto, CRYPTO_AES_CBC, true,
								key, 16, &encrypt));
		ACCEL_WORKS(a.crypto.why, crypto_session_create(&a.crypto, CRYPTO_AES_CBC, false,
								key, 16, &decrypt));
		WORKS(vdma_buf_alloc(a.s.arena, 2 * n * PAGE, NULL, &buf));
		for (unsigned int i = 0; i < n; i++)
			memset((char *)buf.va + i * PAGE, (int)i, PAGE);
		/* There and back; the second round wraps the rings at another place. */
		for (unsigned int round = 0; round < 2; round++) {
			for (unsigned int i = 0; i < n; i++) {
				struct vdma_buf from = { .iova = buf.iova + i * PAGE, .len = PAGE };
				struct vdma_buf to = { .iova = from.iova + n * PAGE, .len = PAGE };
				bool back = round;

				ACCEL_WORKS(q->why,
					    crypto_submit(q, back ? &decrypt : &encrypt, iv,
							  back ? &to : &from, 1, back ? &from : &to,
							  1, count_done, counts));
			}
			if (!round) {
				struct vdma_buf data = { .iova = buf.iova, .len = PAGE };

				assert_int_equal(crypto_submit(q, &encrypt, iv, &data, 1, &data, 1,
							       count_done, counts),
						 -EAGAIN);
			}
			while (q->vq.out)
				if (crypto_wait(q) <= 0)
					fail_msg("%s", q->why);
			assert_int_equal(counts[0], (round + 1) * n);
			assert_int_equal(counts[1], 0);
			if (!round)
				memset(buf.va, 0, n * PAGE);
		}
		for (unsigned int i = 0; i < n; i++)
			for (unsigned int at = 0; at < PAGE; at++)
				assert_int_equal(((uint8_t *)buf.va)[i * PAGE + at], i & 0xff);
		WORKS(vdma_buf_free(a.s.arena, &buf));
		ACCEL_WORKS(a.crypto.why, crypto_session_destroy(&encrypt));
		ACCEL_WORKS(a.crypto.why, crypto_session_destroy(&decrypt));
		accel_close(&a);
	}
}

int run_vectors(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cbc_interrupts), cmocka_unit_test(cbc_polled_direct),
		cmocka_unit_test(ten_thousand),	  cmocka_unit_test(cbc_other_device),
		cmocka_unit_test(other_ciphers),  cmocka_unit_test(deep),
	};

	return cmocka_run_group_tests_name("vectors", tests, NULL, NULL);
}
