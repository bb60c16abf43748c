// SPDX-License-Identifier: BSD-3-Clause
/* Disks that are busy while something happens to them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nvme_tests.h"
#include "../random.h"

#define FLIGHTS 32
#define FLIGHT_LEN (32 * KIB)
#define SEED 99

struct flight {
	struct load *load;
	uint64_t lba;
	struct vdma_buf buf;
	bool idle, read;
};

static void landed(void *ctx, int status, uint32_t result)
{
	struct flight *f = ctx;

	(void)result;
	f->idle = true;
	f->load->ended++;
	if (status && status != -ECANCELED && !f->load->err)
		f->load->err = nvme_fail(f->load->q->why, sizeof(f->load->q->why), -EIO, "%s",
					 nvme_status_text(status));
}

static void fill_blocks(const struct nvme_verify *v, uint64_t lba, uint8_t *to, size_t len)
{
	for (size_t at = 0; at < len; at += v->ns.block_len)
		nvme_verify_block(v, lba + at / v->ns.block_len, to + at);
}

static int check_blocks(const struct nvme_verify *v, uint64_t lba, const uint8_t *got, size_t len)
{
	uint8_t want[4096];

	for (size_t at = 0; at < len; at += v->ns.block_len) {
		nvme_verify_block(v, lba + at / v->ns.block_len, want);
		if (memcmp(got + at, want, v->ns.block_len))
			return -EILSEQ;
	}
	return 0;
}

static int fly(struct load *l, struct flight *f)
{
	uint32_t blocks = (uint32_t)(FLIGHT_LEN / l->v->ns.block_len);
	struct nvme_sqe cmd;

	/* What was read last time. */
	if (f->read && check_blocks(l->v, f->lba, f->buf.va, FLIGHT_LEN))
		return nvme_fail(l->q->why, sizeof(l->q->why), -EILSEQ,
				 "read at block %llu is wrong", (unsigned long long)f->lba);
	f->lba = random_below(&l->chance, l->v->ns.blocks - blocks);
	f->read = random_below(&l->chance, 2);
	f->idle = false;
	if (f->read)
		memset(f->buf.va, 0, FLIGHT_LEN);
	else
		fill_blocks(l->v, f->lba, f->buf.va, FLIGHT_LEN);
	cmd = f->read ? nvme_read_command(&l->v->ns, f->lba, blocks) :
			nvme_write_command(&l->v->ns, f->lba, blocks);
	l->begun++;
	return nvme_submit(l->q, &cmd, &f->buf, 1, landed, f);
}

static struct flight flights[THREADS][FLIGHTS];

static void *fly_on(void *arg)
{
	struct load *l = arg;
	struct flight *mine = flights[l->q->id - 1];

	while (!l->err) {
		int n;

		for (unsigned int i = 0; i < FLIGHTS && !l->err; i++)
			if (mine[i].idle)
				l->err = fly(l, &mine[i]);
		if (l->err)
			break;
		n = nvme_wait(l->q);
		if (n < 0)
			l->err = n;
	}
	return NULL;
}

void load_start(struct load *loads, struct nvme_verify *v)
{
	memset(loads, 0, THREADS * sizeof(*loads));
	memset(flights, 0, sizeof(flights));
	for (unsigned int i = 0; i < THREADS; i++) {
		struct load *l = &loads[i];

		l->v = v;
		l->q = v->ns.nvme->queues[i];
		l->chance = 1000 + i;
		l->arena = v->ns.nvme->arena;
		WORKS(vdma_buf_alloc(l->arena, FLIGHTS * FLIGHT_LEN, NULL, &l->buf));
		for (unsigned int k = 0; k < FLIGHTS; k++)
			flights[i][k] = (struct flight){
				.load = l,
				.buf = { .va = (char *)l->buf.va + k * FLIGHT_LEN,
					 .iova = l->buf.iova + k * FLIGHT_LEN,
					 .len = FLIGHT_LEN },
				.idle = true,
			};
		assert_int_equal(pthread_create(&l->thread, NULL, fly_on, l), 0);
	}
}

void load_join(struct load *loads, int err, int other)
{
	for (unsigned int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(loads[i].thread, NULL), 0);
	for (unsigned int i = 0; i < THREADS; i++)
		if (loads[i].err != err && loads[i].err != other)
			fail_msg("thread %u ended with %d, %s", i, loads[i].err, loads[i].q->why);
}

/* After the reset each has ended, once. */
void load_end(struct load *loads)
{
	for (unsigned int i = 0; i < THREADS; i++) {
		assert_int_equal(loads[i].begun, loads[i].ended);
		for (unsigned int k = 0; k < FLIGHTS; k++)
			assert_true(flights[i][k].idle);
		WORKS(vdma_buf_free(loads[i].arena, &loads[i].buf));
	}
}

static void every_block_once(struct nvme_verify *v)
{
	for (uint64_t lba = 0; lba < v->ns.blocks; lba++)
		v->versions[lba] = 1;
}

void load_prepare(struct nvme_verify *v, const struct disk *d)
{
	struct vdma_buf buf;

	assert_int_equal(nvme_verify_begin(v, &d->ns, SEED), 0);
	every_block_once(v);
	WORKS(vdma_buf_alloc(d->s.arena, MIB, NULL, &buf));
	for (uint64_t lba = 0; lba < d->ns.blocks; lba += MIB / d->ns.block_len) {
		fill_blocks(v, lba, buf.va, MIB);
		DISK_WORKS(d->nvme.queues[0]->why,
			   nvme_write(d->nvme.queues[0], &d->ns, lba, &buf, 1));
	}
	WORKS(vdma_buf_free(d->s.arena, &buf));
}

void load_check(const struct nvme_verify *v, struct disk *d)
{
	struct vdma_buf buf;

	WORKS(vdma_buf_alloc(d->s.arena, MIB, NULL, &buf));
	for (uint64_t lba = 0; lba < d->ns.blocks; lba += MIB / d->ns.block_len) {
		memset(buf.va, 0, MIB);
		DISK_WORKS(d->nvme.queues[0]->why,
			   nvme_read(d->nvme.queues[0], &d->ns, lba, &buf, 1));
		assert_int_equal(check_blocks(v, lba, buf.va, MIB), 0);
	}
	WORKS(vdma_buf_free(d->s.arena, &buf));
}

int load_for_ever(const char *bdf)
{
	const struct nvme_opts opts = { .queues = THREADS };
	static struct load loads[THREADS];
	static struct disk d;
	struct nvme_verify v;

	d.s = space_create();
	if (nvme_open(&d.nvme, d.s.arena, d.s.ioas, bdf, &opts) ||
	    nvme_ns_open(&d.ns, &d.nvme, 1)) {
		fprintf(stderr, "%s\n", d.nvme.why);
		return 1;
	}
	if (nvme_verify_begin(&v, &d.ns, SEED))
		return 1;
	every_block_once(&v);
	load_start(loads, &v);
	pthread_join(loads[0].thread, NULL);
	fprintf(stderr, "%s\n", loads[0].q->why);
	return 1;
}
