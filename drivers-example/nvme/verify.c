// SPDX-License-Identifier: BSD-3-Clause
#define _POSIX_C_SOURCE 200809L
#include "verify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECES 8
#define POISON 0xa5

/**
 * struct worker - a thread with its queue and its part of the namespace
 * @v: shared; of versions only its own part is touched
 * @q: its queue
 * @thread: if @started
 * @started: and not yet joined
 * @first: block
 * @end: block behind its last
 * @chance: state of the random numbers
 * @max_blocks: of a transfer
 * @rounds: reads and writes at random
 * @mem: where transfers go to and come from, all POISON but for those
 * @pieces: of the transfer
 * @n: how many
 * @linear: the same bytes in one piece, in the program's own memory
 * @block: one block's
 * @reads: counted, as those below
 * @writes: and
 * @bytes: read and compared
 * @err: what it ended with
 * @why: in words
 */
struct worker {
	struct nvme_verify *v;
	struct nvme_queue *q;
	pthread_t thread;
	bool started;
	uint64_t first, end;
	uint64_t chance;
	uint64_t max_blocks;
	unsigned int rounds;
	struct vdma_buf mem;
	struct vdma_buf pieces[PIECES];
	unsigned int n;
	uint8_t *linear, *block;
	uint64_t reads, writes, bytes;
	int err;
	char why[1024];
};

/* splitmix64 */
static uint64_t mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static uint64_t below(struct worker *w, uint64_t n)
{
	w->chance = mix(w->chance);
	return (w->chance >> 8) % n;
}

/* No two blocks alike, nor two versions of one. */
static void fill(uint64_t seed, uint64_t lba, uint16_t version, void *block, size_t len)
{
	uint64_t word = mix(mix(seed ^ version) ^ lba);

	for (size_t i = 0; i < len; i += sizeof(word)) {
		memcpy((char *)block + i, &word, sizeof(word));
		word += UINT64_C(0xda942042e4dd58b5);
	}
}

void nvme_verify_block(const struct nvme_verify *v, uint64_t lba, void *block)
{
	fill(v->seed, lba, v->versions[lba], block, v->ns.block_len);
}

/*
 * Where the transfer's bytes lie: up to PIECES pieces, with and without gaps between
 * them, as PRPs or SGLs can tell them.
 */
static void lay_out(struct worker *w, size_t len)
{
	bool sgl = w->q->sgl;
	size_t page = w->q->nvme->page_len, unit = sgl ? w->q->nvme->sgl_align : page;
	size_t at = sgl ? below(w, page) / unit * unit : below(w, page / 4) * 4;

	w->n = 0;
	while (len) {
		size_t step = unit * (1 + below(w, 2 * len / PIECES / unit + 1));

		/* The first ends where a page does, the last wherever. */
		if (!sgl && !w->n)
			step -= at % page;
		if (step > len || w->n == PIECES - 1)
			step = len;
		w->pieces[w->n++] = (struct vdma_buf){
			.va = (char *)w->mem.va + at,
			.iova = w->mem.iova + at,
			.len = step,
			.pa = VDMA_PA_NONE,
		};
		len -= step;
		at += step + below(w, 3) * (sgl ? 20 * unit : unit);
	}
}

static size_t mem_len(const struct worker *w)
{
	return (size_t)w->max_blocks * w->v->ns.block_len + 4 * PIECES * w->q->nvme->page_len;
}

/* Bytes between the pieces and the linear memory, one way or the other. */
static void scatter(struct worker *w)
{
	const uint8_t *from = w->linear;

	for (unsigned int i = 0; i < w->n; i++) {
		memcpy(w->pieces[i].va, from, w->pieces[i].len);
		from += w->pieces[i].len;
	}
}

static void gather(struct worker *w)
{
	uint8_t *to = w->linear;

	for (unsigned int i = 0; i < w->n; i++) {
		memcpy(to, w->pieces[i].va, w->pieces[i].len);
		memset(w->pieces[i].va, POISON, w->pieces[i].len);
		to += w->pieces[i].len;
	}
}

/* What is not of the pieces was not to be touched, and the pieces were overwritten just now. */
static int check_rest(struct worker *w)
{
	const uint8_t *mem = w->mem.va;

	if (mem[0] == POISON && !memcmp(mem, mem + 1, w->mem.len - 1))
		return 0;
	return nvme_fail(w->why, sizeof(w->why), -EILSEQ,
			 "queue %u: memory beside the data was written", w->q->id);
}

static int check(struct worker *w, uint64_t lba, uint64_t blocks)
{
	size_t len = w->v->ns.block_len;

	for (uint64_t i = 0; i < blocks; i++) {
		const uint8_t *got = w->linear + i * len;
		size_t at = 0;

		nvme_verify_block(w->v, lba + i, w->block);
		if (!memcmp(got, w->block, len))
			continue;
		while (got[at] == w->block[at])
			at++;
		return nvme_fail(w->why, sizeof(w->why), -EILSEQ,
				 "block %" PRIu64
				 ", byte %zu: read 0x%02x, version %u of it has 0x%02x "
				 "(%" PRIu64 " blocks from %" PRIu64 " in %u pieces, queue %u, %s)",
				 lba + i, at, got[at], w->v->versions[lba + i], w->block[at],
				 blocks, lba, w->n, w->q->id, w->q->sgl ? "SGL" : "PRP");
	}
	return check_rest(w);
}

static int failed(struct worker *w, int err)
{
	return nvme_fail(w->why, sizeof(w->why), err, "%.1000s", w->q->why);
}

static int write_blocks(struct worker *w, uint64_t lba, uint64_t blocks)
{
	size_t len = w->v->ns.block_len;
	int err;

	for (uint64_t i = 0; i < blocks; i++) {
		w->v->versions[lba + i]++;
		nvme_verify_block(w->v, lba + i, w->linear + i * len);
	}
	lay_out(w, blocks * len);
	scatter(w);
	err = nvme_write(w->q, &w->v->ns, lba, w->pieces, w->n);
	if (err)
		return failed(w, err);
	for (unsigned int i = 0; i < w->n; i++)
		memset(w->pieces[i].va, POISON, w->pieces[i].len);
	w->writes++;
	return check_rest(w);
}

static int read_blocks(struct worker *w, uint64_t lba, uint64_t blocks)
{
	int err;

	lay_out(w, blocks * w->v->ns.block_len);
	err = nvme_read(w->q, &w->v->ns, lba, w->pieces, w->n);
	if (err)
		return failed(w, err);
	gather(w);
	w->reads++;
	w->bytes += blocks * w->v->ns.block_len;
	return check(w, lba, blocks);
}

/* As many small ones as large ones, but not beyond the end. */
static uint64_t some_blocks(struct worker *w, uint64_t lba)
{
	uint64_t top = w->max_blocks >> below(w, 12), n;

	n = 1 + below(w, top ? top : 1);
	return n < w->end - lba ? n : w->end - lba;
}

static int work(struct worker *w)
{
	uint64_t lba, n;
	int err;

	for (lba = w->first; lba < w->end; lba += n) {
		n = some_blocks(w, lba);
		err = write_blocks(w, lba, n);
		if (err)
			return err;
	}
	for (unsigned int i = 0; i < w->rounds && w->first < w->end; i++) {
		lba = w->first + below(w, w->end - w->first);
		n = some_blocks(w, lba);
		err = below(w, 2) ? write_blocks(w, lba, n) : read_blocks(w, lba, n);
		if (err)
			return err;
	}
	err = nvme_flush(w->q, &w->v->ns);
	if (err)
		return failed(w, err);
	for (lba = w->first; lba < w->end; lba += n) {
		n = some_blocks(w, lba);
		err = read_blocks(w, lba, n);
		if (err)
			return err;
	}
	return 0;
}

static void *work_thread(void *arg)
{
	struct worker *w = arg;

	w->err = work(w);
	return NULL;
}

static int start(struct worker *w, unsigned int i, unsigned int n, unsigned int rounds,
		 size_t max_len)
{
	struct vdma_buf_opts opts = { .size = sizeof(opts), .align = w->q->nvme->page_len };
	size_t block_len = w->v->ns.block_len;
	int err;

	w->first = w->v->ns.blocks * i / n;
	w->end = w->v->ns.blocks * (i + 1) / n;
	w->chance = mix(w->v->seed + i);
	w->max_blocks = max_len < block_len ? 1 : max_len / block_len;
	w->rounds = rounds;
	w->linear = malloc(w->max_blocks * block_len);
	w->block = malloc(block_len);
	if (!w->linear || !w->block)
		return nvme_fail(w->v->why, sizeof(w->v->why), -ENOMEM,
				 "no memory to compare with");
	err = vdma_buf_alloc(w->q->nvme->arena, mem_len(w), &opts, &w->mem);
	if (err)
		return nvme_fail(w->v->why, sizeof(w->v->why), err, "%s", vdma_explain());
	w->v->mem[i] = w->mem;
	memset(w->mem.va, POISON, w->mem.len);
	err = -pthread_create(&w->thread, NULL, work_thread, w);
	if (err)
		return nvme_fail(w->v->why, sizeof(w->v->why), err, "no thread: %s",
				 strerror(-err));
	w->started = true;
	return 0;
}

int nvme_verify_run(struct nvme_verify *v, unsigned int rounds, size_t max_len)
{
	struct nvme *nvme = v->ns.nvme;
	unsigned int n = nvme->opts.queues;
	struct worker *workers = calloc(n, sizeof(*workers));
	int err = 0;

	if (!workers)
		return nvme_fail(v->why, sizeof(v->why), -ENOMEM, "no memory for threads");
	for (unsigned int i = 0; i < n && !err; i++) {
		workers[i].v = v;
		workers[i].q = nvme->queues[i];
		err = start(&workers[i], i, n, rounds, max_len);
	}
	for (unsigned int i = 0; i < n; i++) {
		struct worker *w = &workers[i];

		if (w->started)
			pthread_join(w->thread, NULL);
		if (w->err && !err)
			err = nvme_fail(v->why, sizeof(v->why), w->err, "%s", w->why);
		if (!w->err && w->mem.va) {
			vdma_buf_free(nvme->arena, &w->mem);
			v->mem[i].va = NULL;
		}
		v->reads += w->reads;
		v->writes += w->writes;
		v->bytes += w->bytes;
		free(w->linear);
		free(w->block);
	}
	free(workers);
	return err;
}

int nvme_verify_begin(struct nvme_verify *v, const struct nvme_ns *ns, uint64_t seed)
{
	memset(v, 0, sizeof(*v));
	v->ns = *ns;
	v->seed = seed;
	v->versions = calloc(ns->blocks, sizeof(*v->versions));
	if (!v->versions)
		return nvme_fail(v->why, sizeof(v->why), -ENOMEM,
				 "no memory to remember %" PRIu64 " blocks", ns->blocks);
	return 0;
}

void nvme_verify_end(struct nvme_verify *v, struct vdma_arena *arena)
{
	for (unsigned int i = 0; i < NVME_QUEUES_MAX; i++)
		if (v->mem[i].va)
			vdma_buf_free(arena, &v->mem[i]);
	free(v->versions);
	memset(v->mem, 0, sizeof(v->mem));
	v->versions = NULL;
}
