// SPDX-License-Identifier: BSD-3-Clause
/* What a device refuses, errors that need a reset, and resets under load. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto_tests.h"

static const uint8_t key[16] = "sixteen letters", iv[16];

static void refused(void **state)
{
	const char *bdf = bdf_of("VDMA_BDF_VIRTIO_CRYPTO");
	struct crypto_session session, bogus;
	struct vdma_buf src, dst;
	struct crypto_queue *q;
	struct crypto crypto;
	struct accel a;

	(void)state;
	accel_open(&a, bdf, NULL);
	q = a.crypto.queues[0];
	assert_int_equal(a.crypto.ciphers, 1U << CRYPTO_AES_CBC);
	assert_int_equal(crypto_session_create(&a.crypto, CRYPTO_AES_CTR, true, key, 16, &session),
			 -EOPNOTSUPP);
	assert_non_null(strstr(a.crypto.why, "AES-CTR"));
	ACCEL_WORKS(a.crypto.why,
		    crypto_session_create(&a.crypto, CRYPTO_AES_CBC, true, key, 16, &session));
	WORKS(vdma_buf_alloc(a.s.arena, PAGE, NULL, &src));
	WORKS(vdma_buf_alloc(a.s.arena, PAGE, NULL, &dst));
	dst.len = PAGE / 2;
	assert_int_equal(crypto_run(q, &session, iv, &src, 1, &dst, 1), -EINVAL);
	dst.len = PAGE;
	/* A session that there is not: the device says so, and goes on. */
	bogus = session;
	bogus.id = 200;
	assert_int_equal(crypto_run(q, &bogus, iv, &src, 1, &dst, 1), -EIO);
	assert_int_equal(q->status, CRYPTO_INVSESS);
	assert_non_null(strstr(q->why, "no such session"));
	ACCEL_WORKS(q->why, crypto_run(q, &session, iv, &src, 1, &dst, 1));
	ACCEL_WORKS(a.crypto.why, crypto_session_destroy(&session));
	assert_int_equal(crypto_run(q, &session, iv, &src, 1, &dst, 1), -ESTALE);
	/* It is taken already. */
	assert_int_equal(crypto_open(&crypto, a.s.arena, a.s.ioas, bdf, NULL), -EBUSY);
	assert_int_equal(crypto_close(&crypto), 0);
	WORKS(vdma_buf_free(a.s.arena, &src));
	WORKS(vdma_buf_free(a.s.arena, &dst));
	accel_close(&a);
	/* More than its queues have. */
	a.s = space_create();
	assert_int_equal(crypto_open(&a.crypto, a.s.arena, a.s.ioas, bdf,
				     &(struct crypto_opts){ .depth = 2048 }),
			 -ERANGE);
	assert_non_null(strstr(a.crypto.why, "1024 entries"));
	/* A device whose DMA would go past the IOMMU. */
	assert_int_equal(crypto_open(&a.crypto, a.s.arena, a.s.ioas,
				     bdf_of("VDMA_BDF_VIRTIO_CRYPTO3"), NULL),
			 -EOPNOTSUPP);
	assert_non_null(strstr(a.crypto.why, "iommu_platform=on"));
	space_destroy(&a.s);
}

/* As many sessions as there are, into the array. */
static unsigned int take_all(struct accel *a, struct crypto_session *sessions, unsigned int room)
{
	unsigned int n = 0;
	int err = 0;

	while (n < room && !err) {
		err = crypto_session_create(&a->crypto, CRYPTO_AES_CBC, n % 2, key, 16,
					    &sessions[n]);
		n += !err;
	}
	/* Without REVISION_1 a device cannot say that there is none left. */
	assert_int_equal(err, -EIO);
	return n;
}

/*
 * As many sessions as the device has, and all of them again: none is left over. Those that a
 * reset took from the driver, but not from QEMU's backend, are found and destroyed.
 */
static void all_sessions(void **state)
{
	static struct crypto_session sessions[300];
	unsigned int had;
	struct accel a;
	int swept;

	(void)state;
	accel_open(&a, bdf_of("VDMA_BDF_VIRTIO_CRYPTO"), NULL);
	assert_int_equal(crypto_sessions_sweep(&a.crypto), 0);
	had = take_all(&a, sessions, 300);
	assert_true(had > 100 && had <= 256);
	for (unsigned int i = had; i;)
		ACCEL_WORKS(a.crypto.why, crypto_session_destroy(&sessions[--i]));
	assert_int_equal(take_all(&a, sessions, 300), had);
	ACCEL_WORKS(a.crypto.why, crypto_reset(&a.crypto));
	swept = crypto_sessions_sweep(&a.crypto);
	printf("%u sessions, %d of them after a reset\n", had, swept);
	assert_true(swept == (int)had || swept == 0);
	assert_int_equal(crypto_sessions_sweep(&a.crypto), 0);
	/* Those from before are no more, whatever their ids. */
	for (unsigned int i = had; i;)
		ACCEL_WORKS(a.crypto.why, crypto_session_destroy(&sessions[--i]));
	assert_int_equal(take_all(&a, sessions, 300), had);
	for (unsigned int i = had; i;)
		ACCEL_WORKS(a.crypto.why, crypto_session_destroy(&sessions[--i]));
	accel_close(&a);
}

static void count_done(void *ctx, int status)
{
	unsigned int *counts = ctx;

	counts[status == -ECANCELED]++;
}

/*
 * What is no request: QEMU gives the device up until it is reset. What came behind it ends
 * by the reset, and afterwards all is as if nothing had been, with new keys.
 */
static void broken(void **state)
{
	static struct pipeline p;
	struct accel a;

	(void)state;
	accel_open(&a, bdf_of("VDMA_BDF_VIRTIO_CRYPTO"), NULL);
	ACCEL_WORKS(p.why, pipeline_begin(&p, &a, CRYPTO_AES_CBC, 64 * KIB, 3));
	for (unsigned int round = 0; round < 2; round++) {
		unsigned int counts[2] = { 0, 0 };
		struct vdma_buf buf, pieces[2];
		int n;

		WORKS(vdma_buf_alloc(a.s.arena, PAGE, NULL, &buf));
		pieces[0] = pieces[1] = buf;
		/* Too short for what a request begins with; nothing for the device to write. */
		pieces[0].len = 10;
		assert_true(virtqueue_add(&p.q->vq, pieces, 1, round ? 1 : 0) >= 0);
		ACCEL_WORKS(p.q->why, crypto_submit(p.q, &p.sessions[0][1], iv, &buf, 1, &buf, 1,
						    count_done, counts));
		while ((n = crypto_wait(p.q)) > 0)
			;
		assert_int_equal(n, -EIO);
		assert_non_null(strstr(p.q->why, "cannot recover"));
		ACCEL_WORKS(a.crypto.why, crypto_reset(&a.crypto));
		assert_int_equal(counts[0], 0);
		assert_int_equal(counts[1], 1);
		WORKS(vdma_buf_free(a.s.arena, &buf));
		assert_int_equal(pipeline_run(&p, 10), -ESTALE);
		ACCEL_WORKS(p.why, pipeline_sessions(&p));
		ACCEL_WORKS(p.why, pipeline_run(&p, 50));
	}
	ACCEL_WORKS(p.why, pipeline_end(&p));
	accel_close(&a);
}

/*
 * Source, then destination, at an address at which nothing is mapped. The IOMMU stops it,
 * and no byte of anybody's memory changes; whether the device notices is its own affair,
 * QEMU's does not.
 */
static void outside(void **state)
{
	static struct pipeline p;
	struct accel a;

	(void)state;
	accel_open(&a, bdf_of("VDMA_BDF_VIRTIO_CRYPTO"), NULL);
	ACCEL_WORKS(p.why, pipeline_begin(&p, &a, CRYPTO_AES_CBC, 64 * KIB, 4));
	for (unsigned int round = 0; round < 2; round++) {
		struct vdma_buf whole, buf, nowhere;
		int err;

		WORKS(vdma_buf_alloc(a.s.arena, 3 * PAGE, NULL, &whole));
		memset(whole.va, 0x5c, whole.len);
		buf = nowhere = whole;
		buf.len = nowhere.len = PAGE;
		buf.va = (char *)whole.va + PAGE;
		buf.iova += PAGE;
		/* Page 0 is never mapped. */
		nowhere.iova = 0;
		err = crypto_run(p.q, &p.sessions[0][1], iv, round ? &buf : &nowhere, 1,
				 round ? &nowhere : &buf, 1);
		printf("%s at 0: %d\n", round ? "destination" : "source", err);
		assert_true(err == 0 || err == -EIO);
		for (unsigned int i = 0; i < 3 * PAGE; i++)
			if (round || i / PAGE != 1)
				assert_int_equal(((uint8_t *)whole.va)[i], 0x5c);
		ACCEL_WORKS(a.crypto.why, crypto_reset(&a.crypto));
		WORKS(vdma_buf_free(a.s.arena, &whole));
		ACCEL_WORKS(p.why, pipeline_sessions(&p));
		ACCEL_WORKS(p.why, pipeline_run(&p, 50));
	}
	ACCEL_WORKS(p.why, pipeline_end(&p));
	accel_close(&a);
}

/* Closing with requests under way resets, and says so. */
static void close_while_busy(void **state)
{
	unsigned int counts[2] = { 0, 0 };
	struct crypto_session session;
	struct vdma_buf buf;
	struct accel a;

	(void)state;
	accel_open(&a, bdf_of("VDMA_BDF_VIRTIO_CRYPTO2"), NULL);
	ACCEL_WORKS(a.crypto.why,
		    crypto_session_create(&a.crypto, CRYPTO_AES_CBC, true, key, 16, &session));
	WORKS(vdma_buf_alloc(a.s.arena, MIB, NULL, &buf));
	for (unsigned int i = 0; i < 5; i++)
		ACCEL_WORKS(a.crypto.queues[0]->why,
			    crypto_submit(a.crypto.queues[0], &session, iv, &buf, 1, &buf, 1,
					  count_done, counts));
	/* They are in the queue, but nobody has told the device. */
	assert_int_equal(crypto_close(&a.crypto), -ECONNRESET);
	assert_non_null(strstr(a.crypto.why, "5 requests"));
	assert_int_equal(counts[0], 0);
	assert_int_equal(counts[1], 5);
	assert_int_equal(crypto_session_destroy(&session), 0);
	WORKS(vdma_buf_free(a.s.arena, &buf));
	space_destroy(&a.s);
	assert_int_equal(ledger_wait(0), 0);
}

/*
 * A session of a device that was closed is none of the same struct crypto when it is open
 * again: it gets nobody's key, and its end is not that of another session.
 */
static void reopened(void **state)
{
	const char *bdf = bdf_of("VDMA_BDF_VIRTIO_CRYPTO");
	static const uint8_t other_key[16] = "another sixteen";
	struct crypto_session old, session;
	struct crypto_opts opts;
	struct crypto_queue *q;
	struct vdma_buf buf;
	struct accel a;

	(void)state;
	accel_open(&a, bdf, NULL);
	opts = a.crypto.opts;
	assert_true(crypto_sessions_sweep(&a.crypto) >= 0);
	WORKS(vdma_buf_alloc(a.s.arena, PAGE, NULL, &buf));
	ACCEL_WORKS(a.crypto.why,
		    crypto_session_create(&a.crypto, CRYPTO_AES_CBC, true, key, 16, &old));
	ACCEL_WORKS(a.crypto.why, crypto_close(&a.crypto));
	ACCEL_WORKS(a.crypto.why, crypto_open(&a.crypto, a.s.arena, a.s.ioas, bdf, &opts));
	q = a.crypto.queues[0];
	/* What it has left in QEMU, lest the new session have another id for that alone. */
	assert_true(crypto_sessions_sweep(&a.crypto) >= 0);
	ACCEL_WORKS(a.crypto.why, crypto_session_create(&a.crypto, CRYPTO_AES_CBC, true, other_key,
							16, &session));
	assert_int_equal(session.id, old.id);
	assert_int_equal(crypto_run(q, &old, iv, &buf, 1, &buf, 1), -ESTALE);
	ACCEL_WORKS(a.crypto.why, crypto_session_destroy(&old));
	ACCEL_WORKS(q->why, crypto_run(q, &session, iv, &buf, 1, &buf, 1));
	ACCEL_WORKS(a.crypto.why, crypto_session_destroy(&session));
	WORKS(vdma_buf_free(a.s.arena, &buf));
	accel_close(&a);
}

static void *run_thread(void *arg)
{
	pipeline_run(arg, UINT32_MAX / 2);
	return NULL;
}

/*
 * Requests without end, and the device is reset: announced to the thread, and as if by
 * somebody else. Then all goes on, and each request has ended once.
 */
static void reset_under_load(void **state)
{
	static struct pipeline p;
	struct accel a;

	(void)state;
	/* In a slot it has a reset of its own (FLR). */
	accel_open(&a, bdf_of("VDMA_BDF_VIRTIO_CRYPTO2"), NULL);
	ACCEL_WORKS(p.why, pipeline_begin(&p, &a, CRYPTO_AES_CBC, 256 * KIB, 17));
	for (unsigned int round = 0; round < 6; round++) {
		bool announced = round % 2;
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, run_thread, &p), 0);
		usleep((round + 1) * 60 * 1000);
		if (announced)
			crypto_cancel(&a.crypto);
		else
			WORKS(vdma_device_reset(a.crypto.pci.dev));
		assert_int_equal(pthread_join(thread, NULL), 0);
		if (p.err != (announced ? -ECANCELED : -ECONNRESET))
			fail_msg("%d: %s", p.err, p.why);
		ACCEL_WORKS(a.crypto.why, crypto_reset(&a.crypto));
		assert_int_equal(p.q->vq.out, 0);
		for (unsigned int i = 0; i < FLIGHTS; i++)
			assert_true(p.flights[i].idle || p.flights[i].landed);
		ACCEL_WORKS(p.why, pipeline_sessions(&p));
		ACCEL_WORKS(p.why, pipeline_run(&p, 20));
	}
	printf("%u begun, %u compared, %u canceled\n", p.begun, p.compared, p.canceled);
	assert_true(p.canceled > 0);
	assert_int_equal(p.begun, p.compared + p.canceled);
	ACCEL_WORKS(p.why, pipeline_end(&p));
	accel_close(&a);
}

int run_trouble(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused),	    cmocka_unit_test(all_sessions),
		cmocka_unit_test(broken),	    cmocka_unit_test(outside),
		cmocka_unit_test(close_while_busy), cmocka_unit_test(reopened),
		cmocka_unit_test(reset_under_load),
	};

	return cmocka_run_group_tests_name("trouble", tests, NULL, NULL);
}
