// SPDX-License-Identifier: BSD-3-Clause
/*
 * Queues, requests and sessions of drivers-example/virtio-crypto against a device that is
 * made up: it reads the queue as the specification says, at device addresses, does its work
 * by a cipher of its own, and is done with requests in any order, or goes wrong.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <crypto.h>

#include "../random.h"

#define INDEX 3
#define DOORBELL 6
#define SIZE 64
#define SESSION 77

/* Memory for the device: what it reaches is what was allocated, and no byte beside it. */
#define BLOCKS_MAX 64
static struct vdma_buf blocks[BLOCKS_MAX];
static vdma_iova_t next_iova = UINT64_C(0x7000000000);

int vdma_buf_alloc(struct vdma_arena *arena, size_t len, const struct vdma_buf_opts *opts,
		   struct vdma_buf *buf)
{
	unsigned int i = 0;

	(void)arena;
	(void)opts;
	while (i < BLOCKS_MAX && blocks[i].va)
		i++;
	assert_true(i < BLOCKS_MAX);
	*buf = (struct vdma_buf){ .va = malloc(len), .len = len, .iova = next_iova };
	assert_non_null(buf->va);
	memset(buf->va, 0xee, len);
	next_iova += (len + 8191) / 4096 * 4096;
	blocks[i] = *buf;
	return 0;
}

int vdma_buf_free(struct vdma_arena *arena, const struct vdma_buf *buf)
{
	(void)arena;
	for (unsigned int i = 0; i < BLOCKS_MAX; i++) {
		if (!blocks[i].va || blocks[i].iova != buf->iova)
			continue;
		free(blocks[i].va);
		blocks[i].va = NULL;
		return 0;
	}
	fail_msg("memory was given back that is not there");
	return -EINVAL;
}

/* What keeps a device open; and how often one was closed. */
static int close_err;
static unsigned int closed;

int vdma_device_close(struct vdma_device *dev)
{
	(void)dev;
	closed += !close_err;
	return close_err;
}

static void *at(vdma_iova_t iova, size_t len)
{
	for (unsigned int i = 0; i < BLOCKS_MAX; i++)
		if (blocks[i].va && iova >= blocks[i].iova &&
		    iova - blocks[i].iova < blocks[i].len &&
		    len <= blocks[i].len - (iova - blocks[i].iova))
			return (char *)blocks[i].va + (iova - blocks[i].iova);
	fail_msg("the device was told of an address at which there is nothing");
	return NULL;
}

/* The driver's side: a device with one data queue, whose registers are memory. */
struct host {
	struct crypto crypto;
	struct crypto_queue *q;
	struct crypto_session session;
	uint8_t registers[64];
	uint8_t doorbells[16];
	struct vdma_buf data;
};

static void set16(uint8_t *registers, size_t reg, uint16_t value)
{
	memcpy(registers + reg, &value, sizeof(value));
}

static void host_begin(struct host *h, bool indirect, unsigned int depth)
{
	memset(h, 0, sizeof(*h));
	h->registers[VIRTIO_DEVICE_STATUS] = VIRTIO_STATUS_DRIVER_OK;
	set16(h->registers, VIRTIO_NUM_QUEUES, 2);
	h->crypto = (struct crypto){
		.arena = (struct vdma_arena *)h,
		.pci = { .bdf = "0000:00:10.0",
			 .common = h->registers,
			 .queues = 2,
			 .removal_fd = -1 },
		.opts = { .poll = true, .timeout_ms = 10000 },
		.ciphers = 1 << CRYPTO_AES_CBC,
		.key_max = 64,
		.size_max = 1 << 20,
		.n_queues = 1,
	};
	assert_int_equal(pthread_mutex_init(&h->crypto.lock, NULL), 0);
	assert_int_equal(crypto_queue_create(&h->crypto, INDEX, SIZE, depth, indirect, &h->q), 0);
	h->crypto.queues[0] = h->q;
	h->q->vq.bar = h->doorbells;
	h->q->vq.doorbell = DOORBELL;
	h->session = (struct crypto_session){
		.crypto = &h->crypto,
		.id = SESSION,
		.cipher = CRYPTO_AES_CBC,
		.encrypt = true,
		.iv_len = 16,
		.unit = 16,
	};
	assert_int_equal(vdma_buf_alloc(NULL, 1 << 20, NULL, &h->data), 0);
}

static void host_end(struct host *h)
{
	vdma_buf_free(NULL, &h->data);
	crypto_queue_destroy(h->q);
	pthread_mutex_destroy(&h->crypto.lock);
	for (unsigned int i = 0; i < BLOCKS_MAX; i++)
		assert_null(blocks[i].va);
}

/* The device's side: it knows the addresses of the queue's parts, and nothing else. */
struct device {
	unsigned int size;
	struct virtq_desc *desc;
	struct virtq_avail *avail;
	struct virtq_used *used;
	bool indirect;
	uint16_t seen, done;
	/* Requests that it works on. */
	struct work {
		uint16_t id;
		uint32_t len;
	} works[SIZE];
	unsigned int n;
};

static void device_begin(struct device *d, const struct virtqueue *vq)
{
	memset(d, 0, sizeof(*d));
	d->size = vq->size;
	d->indirect = vq->table_entries;
	/* 2.7: alignment and length of the parts */
	assert_int_equal(virtqueue_desc_iova(vq) % VIRTQ_DESC_ALIGN, 0);
	assert_int_equal(virtqueue_avail_iova(vq) % VIRTQ_AVAIL_ALIGN, 0);
	assert_int_equal(virtqueue_used_iova(vq) % VIRTQ_USED_ALIGN, 0);
	d->desc = at(virtqueue_desc_iova(vq), 16 * d->size);
	d->avail = at(virtqueue_avail_iova(vq), 6 + 2 * d->size);
	d->used = at(virtqueue_used_iova(vq), 6 + 8 * d->size);
}

/* A chain's pieces: those that are read come before those that are written. */
struct chain {
	struct virtq_desc out[2 * CRYPTO_PIECES_MAX], in[2 * CRYPTO_PIECES_MAX];
	unsigned int n_out, n_in;
};

static void read_chain(const struct device *d, unsigned int head, struct chain *c)
{
	const struct virtq_desc *table = d->desc;
	unsigned int entries = d->size, i = head, n = 0;

	memset(c, 0, sizeof(*c));
	assert_true(head < d->size);
	assert_int_equal(!!(d->desc[head].flags & VIRTQ_DESC_INDIRECT), d->indirect);
	if (d->indirect) {
		/* 2.7.5.3.1: alone in the queue, and its table is read from its start. */
		assert_int_equal(d->desc[head].flags, VIRTQ_DESC_INDIRECT);
		assert_int_equal(d->desc[head].len % 16, 0);
		entries = d->desc[head].len / 16;
		assert_true(entries && entries <= d->size);
		table = at(d->desc[head].addr, d->desc[head].len);
		i = 0;
	}
	for (;; i = table[i].next) {
		assert_true(i < entries && n++ < d->size);
		assert_true(table[i].len);
		assert_int_equal(table[i].flags & ~(VIRTQ_DESC_NEXT | VIRTQ_DESC_WRITE), 0);
		if (table[i].flags & VIRTQ_DESC_WRITE)
			c->in[c->n_in++] = table[i];
		else
			c->out[c->n_out++] = table[i];
		assert_true(c->n_in == 0 || table[i].flags & VIRTQ_DESC_WRITE);
		if (!(table[i].flags & VIRTQ_DESC_NEXT))
			break;
	}
	if (d->indirect)
		assert_int_equal(n, entries);
}

static size_t gather(const struct virtq_desc *pieces, unsigned int n, uint8_t *to, size_t room)
{
	size_t len = 0;

	for (unsigned int i = 0; i < n; i++) {
		assert_true(len + pieces[i].len <= room);
		memcpy(to + len, at(pieces[i].addr, pieces[i].len), pieces[i].len);
		len += pieces[i].len;
	}
	return len;
}

static size_t scatter(const struct virtq_desc *pieces, unsigned int n, const uint8_t *from,
		      size_t len)
{
	size_t done = 0;

	for (unsigned int i = 0; i < n && done < len; i++) {
		size_t step = pieces[i].len < len - done ? pieces[i].len : len - done;

		memcpy(at(pieces[i].addr, pieces[i].len), from + done, step);
		done += step;
	}
	return done;
}

/* No cipher to trust anything to, but each byte depends on session, IV, place and opcode. */
static uint8_t toy(uint8_t byte, uint64_t session, const uint8_t *iv, size_t i, bool encrypt)
{
	return (uint8_t)(byte ^ iv[i % 16] ^ (i * 131 + session * 7 + (encrypt ? 1 : 99)));
}

/* Looks what is new, and does the work, but does not say so yet. */
static void device_look(struct device *d, uint8_t status)
{
	static _Alignas(8) uint8_t out[1 << 17];
	static uint8_t result[1 << 17];

	while (d->seen != __atomic_load_n(&d->avail->idx, __ATOMIC_ACQUIRE)) {
		uint16_t head = d->avail->ring[d->seen++ % d->size];
		const struct crypto_data_req *req = (const void *)out;
		const uint8_t *iv = out + sizeof(*req), *src = iv + 16;
		struct chain c;
		size_t len;

		read_chain(d, head, &c);
		len = gather(c.out, c.n_out, out, sizeof(out));
		assert_true(len > sizeof(*req) + 16);
		len -= sizeof(*req) + 16;
		assert_int_equal(req->session, SESSION);
		assert_int_equal(req->algo, CRYPTO_AES_CBC);
		assert_int_equal(req->op_type, CRYPTO_SYM_CIPHER);
		assert_int_equal(req->iv_len, 16);
		assert_int_equal(req->src_len, len);
		assert_int_equal(req->dst_len, len);
		for (size_t i = 0; i < len; i++)
			result[i] = toy(src[i], SESSION, iv, i, req->opcode == CRYPTO_OP_ENCRYPT);
		result[len] = status;
		/* Room for the result and the status, and for no byte more. */
		assert_int_equal(scatter(c.in, c.n_in, result, len + 1), len + 1);
		for (unsigned int i = 0; i < c.n_in; i++)
			len -= c.in[i].len;
		assert_int_equal(len, (size_t)-1);
		assert_true(d->n < SIZE);
		d->works[d->n++] = (struct work){ .id = head, .len = req->src_len + 1 };
	}
}

static void device_say(struct device *d, uint32_t id, uint32_t len)
{
	d->used->ring[d->done % d->size] = (struct virtq_used_elem){ .id = id, .len = len };
	__atomic_store_n(&d->used->idx, ++d->done, __ATOMIC_RELEASE);
}

/* Is done with the one at place i of those that it works on. */
static void device_end(struct device *d, unsigned int i)
{
	device_say(d, d->works[i].id, d->works[i].len);
	d->works[i] = d->works[--d->n];
}

/* A request that is checked when it ends. */
struct request {
	struct host *h;
	unsigned int number, ended;
	int status;
	bool encrypt, idle;
	uint8_t iv[16];
	size_t at, len;
	struct vdma_buf src[4], dst[4];
	unsigned int n_src, n_dst;
};

static unsigned int last_ended, overtaken;

static void request_done(void *ctx, int status)
{
	struct request *r = ctx;

	r->ended++;
	r->status = status;
	overtaken += r->number < last_ended;
	last_ended = r->number;
}

static struct vdma_buf part(const struct host *h, size_t offset, size_t len)
{
	return (struct vdma_buf){ .va = (char *)h->data.va + offset,
				  .iova = h->data.iova + offset,
				  .len = len };
}

/* len bytes from offset on in up to 4 pieces, none of them empty. */
static unsigned int cut(const struct host *h, size_t offset, size_t len, struct vdma_buf *pieces,
			uint64_t *chance)
{
	unsigned int n = 1 + (unsigned int)random_below(chance, 4);

	for (unsigned int i = 0; i < n; i++) {
		size_t step = i == n - 1 ? len : 1 + random_below(chance, len - (n - 1 - i));

		pieces[i] = part(h, offset, step);
		offset += step;
		len -= step;
	}
	return n;
}

/* Each request has 2048 bytes, the source in the first half of them. */
static int begin(struct host *h, struct request *r, unsigned int slot, unsigned int number,
		 uint64_t *chance)
{
	*r = (struct request){ .h = h,
			       .number = number,
			       .status = -1,
			       .encrypt = h->session.encrypt,
			       .at = slot * 2048 };
	r->len = 16 * (1 + random_below(chance, 60));
	for (size_t i = 0; i < 16; i++)
		r->iv[i] = (uint8_t)random_below(chance, 256);
	for (size_t i = 0; i < r->len; i++)
		((uint8_t *)h->data.va)[r->at + i] = (uint8_t)random_below(chance, 256);
	memset((char *)h->data.va + r->at + 1024, 0xa5, 1024);
	r->n_src = cut(h, r->at, r->len, r->src, chance);
	r->n_dst = cut(h, r->at + 1024, r->len, r->dst, chance);
	return crypto_submit(h->q, &h->session, r->iv, r->src, r->n_src, r->dst, r->n_dst,
			     request_done, r);
}

static void check(const struct request *r)
{
	const uint8_t *src = (const uint8_t *)r->h->data.va + r->at, *dst = src + 1024;

	assert_int_equal(r->ended, 1);
	assert_int_equal(r->status, 0);
	for (size_t i = 0; i < r->len; i++)
		if (dst[i] != toy(src[i], SESSION, r->iv, i, r->encrypt))
			fail_msg("byte %zu of request %u is wrong", i, r->number);
	for (size_t i = r->len; i < 1024; i++)
		assert_int_equal(dst[i], 0xa5);
}

/* Under Valgrind a tenth is enough. */
static unsigned int requests_in_all(void)
{
	return getenv("VDMA_VALGRIND") ? 7000 : 70000;
}

/*
 * More requests than 16 bits can count, several under way at all times, and the device ends
 * any of them: each is told of once, with its own data.
 */
static void out_of_order(bool indirect)
{
	static struct request requests[SIZE];
	static struct host h;
	struct device d;
	uint64_t chance = 7;
	unsigned int begun = 0, ended = 0, most = 0, full = 0;

	host_begin(&h, indirect, SIZE / 2);
	device_begin(&d, &h.q->vq);
	last_ended = overtaken = 0;
	for (unsigned int i = 0; i < SIZE; i++)
		requests[i].idle = true;
	while (ended < requests_in_all()) {
		unsigned int burst = (unsigned int)random_below(&chance, SIZE / 2);
		int n = 0;

		h.session.encrypt = random_below(&chance, 2);
		for (unsigned int i = 0; i < SIZE && burst && !n; i++) {
			if (!requests[i].idle)
				continue;
			n = begin(&h, &requests[i], i, begun, &chance);
			if (n) {
				/* 10 pieces are the most that one has here. */
				assert_int_equal(n, -EAGAIN);
				assert_true(h.q->vq.out == SIZE / 2 ||
					    (!indirect && h.q->vq.n_free < 10));
				requests[i].idle = true;
				full++;
				break;
			}
			begun++;
			burst--;
		}
		crypto_ring(h.q);
		device_look(&d, CRYPTO_OK);
		most = d.n > most ? d.n : most;
		for (unsigned int k = (unsigned int)random_below(&chance, d.n + 1); k; k--)
			device_end(&d, (unsigned int)random_below(&chance, d.n));
		n = crypto_poll(h.q);
		assert_true(n >= 0);
		ended += (unsigned int)n;
		assert_int_equal(begun - ended, h.q->vq.out);
		for (unsigned int i = 0; i < SIZE; i++) {
			if (requests[i].idle || !requests[i].ended)
				continue;
			check(&requests[i]);
			requests[i].idle = true;
		}
	}
	printf("%u requests, up to %u under way, %u ended before one that had begun earlier\n",
	       ended, most, overtaken);
	assert_true(overtaken > 1000 && full > 100);
	assert_true(most >= (indirect ? SIZE / 2 : SIZE / 10));
	host_end(&h);
}

static void out_of_order_indirect(void **state)
{
	(void)state;
	out_of_order(true);
}

static void out_of_order_direct(void **state)
{
	(void)state;
	out_of_order(false);
}

/* A request that begins the next one when it ends, as a pipeline does. */
struct chained {
	struct host *h;
	unsigned int left;
};

static void chained_done(void *ctx, int status)
{
	static const uint8_t iv[16];
	struct chained *c = ctx;
	struct vdma_buf src = part(c->h, 0, 32), dst = part(c->h, 1024, 32);

	assert_int_equal(status, 0);
	if (c->left) {
		c->left--;
		assert_int_equal(crypto_submit(c->h->q, &c->h->session, iv, &src, 1, &dst, 1,
					       chained_done, c),
				 0);
	}
}

static void submit_from_done(void **state)
{
	static struct host h;
	struct chained c = { .h = &h, .left = 1000 };
	struct device d;
	unsigned int n = 0;

	(void)state;
	host_begin(&h, true, 1);
	device_begin(&d, &h.q->vq);
	chained_done(&c, 0);
	while (h.q->vq.out) {
		crypto_ring(h.q);
		device_look(&d, CRYPTO_OK);
		device_end(&d, 0);
		assert_int_equal(crypto_wait(h.q), 1);
		n++;
	}
	assert_int_equal(n, 1000);
	host_end(&h);
}

/* One request of 32 bytes, and what it ended with. */
static void submit_one(struct host *h, struct request *r)
{
	uint64_t chance = 3;

	assert_int_equal(begin(h, r, 0, 0, &chance), 0);
	crypto_ring(h->q);
}

static void statuses(void **state)
{
	static const uint8_t told[] = { CRYPTO_ERR, CRYPTO_BADMSG, CRYPTO_NOTSUPP, CRYPTO_INVSESS };
	static struct host h;
	struct request r;
	struct device d;

	(void)state;
	host_begin(&h, true, 8);
	device_begin(&d, &h.q->vq);
	for (size_t i = 0; i < sizeof(told); i++) {
		submit_one(&h, &r);
		device_look(&d, told[i]);
		device_end(&d, 0);
		assert_int_equal(crypto_poll(h.q), 1);
		assert_int_equal(r.status, told[i]);
	}
	/* Success, but a byte of the result, or of the status, was not written. */
	submit_one(&h, &r);
	device_look(&d, CRYPTO_OK);
	device_say(&d, d.works[0].id, d.works[0].len - 1);
	d.n = 0;
	assert_int_equal(crypto_poll(h.q), 1);
	assert_int_equal(r.status, -EIO);
	/* No status at all. */
	submit_one(&h, &r);
	device_look(&d, 0xff);
	device_end(&d, 0);
	assert_int_equal(crypto_poll(h.q), 1);
	assert_int_equal(r.status, -EIO);
	host_end(&h);
}

/* Whatever a device says that cannot be is noticed, and nobody is told that a request is over. */
static void liars(void **state)
{
	static struct host h;
	struct request r[2];
	uint64_t chance = 5;
	struct device d;

	(void)state;
	for (int lie = 0; lie < 5; lie++) {
		host_begin(&h, lie % 2, 8);
		device_begin(&d, &h.q->vq);
		assert_int_equal(begin(&h, &r[0], 0, 0, &chance), 0);
		assert_int_equal(begin(&h, &r[1], 1, 1, &chance), 0);
		device_look(&d, CRYPTO_OK);
		switch (lie) {
		case 0: device_say(&d, SIZE, 100); break; /* no descriptor */
		case 1: device_say(&d, 5, 100); break;	  /* one that is not under way */
		case 2: device_say(&d, UINT32_MAX, UINT32_MAX); break;
		case 3: d.used->idx = 3; break; /* more than are under way */
		case 4:
			device_say(&d, (uint32_t)d.works[0].id + 1, 100);
			break; /* within a chain */
		}
		assert_int_equal(crypto_poll(h.q), -EIO);
		assert_non_null(strstr(h.q->why, "reset it"));
		assert_int_equal(r[0].ended + r[1].ended, 0);
		/* The reset makes all of it good: each is told once. */
		crypto_queue_reset(h.q);
		for (int i = 0; i < 2; i++) {
			assert_int_equal(r[i].ended, 1);
			assert_int_equal(r[i].status, -ECANCELED);
		}
		device_begin(&d, &h.q->vq);
		submit_one(&h, &r[0]);
		device_look(&d, CRYPTO_OK);
		device_end(&d, 0);
		assert_int_equal(crypto_poll(h.q), 1);
		check(&r[0]);
		/* The same one twice. */
		submit_one(&h, &r[0]);
		submit_one(&h, &r[1]);
		device_look(&d, CRYPTO_OK);
		device_say(&d, d.works[0].id, d.works[0].len);
		device_say(&d, d.works[0].id, d.works[0].len);
		assert_int_equal(crypto_poll(h.q), -EIO);
		assert_int_equal(r[0].ended, 1);
		assert_int_equal(r[1].ended, 0);
		h.q->slots[0].done = NULL;
		host_end(&h);
	}
}

/* 2.7.10, 2.7.7: who wants to be told. */
static void notifications(void **state)
{
	static struct host h;
	struct request r;
	struct device d;
	uint64_t chance = 9;
	uint16_t rung;

	(void)state;
	host_begin(&h, true, 8);
	device_begin(&d, &h.q->vq);
	assert_int_equal(d.avail->flags, VIRTQ_AVAIL_NO_INTERRUPT);
	/* Nothing new: nothing is written. */
	crypto_ring(h.q);
	memcpy(&rung, h.doorbells + DOORBELL, sizeof(rung));
	assert_int_equal(rung, 0);
	assert_int_equal(begin(&h, &r, 0, 0, &chance), 0);
	memcpy(&rung, h.doorbells + DOORBELL, sizeof(rung));
	assert_int_equal(rung, 0);
	crypto_ring(h.q);
	memcpy(&rung, h.doorbells + DOORBELL, sizeof(rung));
	assert_int_equal(rung, INDEX);
	/* Once. */
	memset(h.doorbells, 0, sizeof(h.doorbells));
	crypto_ring(h.q);
	memcpy(&rung, h.doorbells + DOORBELL, sizeof(rung));
	assert_int_equal(rung, 0);
	/* The device is at work and needs not be told. */
	d.used->flags = VIRTQ_USED_NO_NOTIFY;
	assert_int_equal(begin(&h, &r, 1, 1, &chance), 0);
	crypto_ring(h.q);
	memcpy(&rung, h.doorbells + DOORBELL, sizeof(rung));
	assert_int_equal(rung, 0);
	d.used->flags = 0;
	assert_int_equal(begin(&h, &r, 2, 2, &chance), 0);
	crypto_ring(h.q);
	memcpy(&rung, h.doorbells + DOORBELL, sizeof(rung));
	assert_int_equal(rung, INDEX);
	h.crypto.opts.poll = h.q->vq.quiet = false;
	crypto_queue_forget(h.q);
	crypto_queue_reset(h.q);
	assert_int_equal(d.avail->flags, 0);
	host_end(&h);
}

static void refused(void **state)
{
	static const uint8_t iv[16];
	struct vdma_buf many[CRYPTO_PIECES_MAX + 1], src, dst;
	static struct host h;
	struct crypto_session old;

	(void)state;
	host_begin(&h, true, 8);
	src = part(&h, 0, 32);
	dst = part(&h, 1024, 32);
#define SUBMIT(n_src, n_dst) \
	crypto_submit(h.q, &h.session, iv, &src, n_src, &dst, n_dst, NULL, NULL)
	dst.len = 48;
	assert_int_equal(SUBMIT(1, 1), -EINVAL);
	src.len = dst.len = 40;
	assert_int_equal(SUBMIT(1, 1), -EINVAL);
	assert_int_equal(SUBMIT(0, 0), -EINVAL);
	src.len = dst.len = 1 << 19; /* with the IV more than max_size */
	assert_int_equal(SUBMIT(1, 1), -E2BIG);
	src.len = dst.len = (size_t)1 << 32;
	h.crypto.size_max = UINT64_MAX;
	assert_int_equal(SUBMIT(1, 1), -E2BIG);
	src.len = dst.len = 32;
	for (unsigned int i = 0; i <= CRYPTO_PIECES_MAX; i++)
		many[i] = part(&h, i * 16, 16);
	assert_int_equal(crypto_submit(h.q, &h.session, iv, many, CRYPTO_PIECES_MAX + 1, many, 1,
				       NULL, NULL),
			 -E2BIG);
	/* As many as a request can have, but not as many as the queue has entries. */
	assert_int_equal(crypto_submit(h.q, &h.session, iv, many, CRYPTO_PIECES_MAX, many,
				       CRYPTO_PIECES_MAX, NULL, NULL),
			 -E2BIG);
	assert_non_null(strstr(h.q->why, "64 entries"));
	many[1].len = 0;
	many[2].len = 32;
	assert_int_equal(crypto_submit(h.q, &h.session, iv, many, 3, many, 3, NULL, NULL), -EINVAL);
	/* A session from before a reset, one that was destroyed, one of another device. */
	old = h.session;
	old.reset--;
	assert_int_equal(crypto_submit(h.q, &old, iv, &src, 1, &dst, 1, NULL, NULL), -ESTALE);
	old = h.session;
	old.crypto = NULL;
	assert_int_equal(crypto_submit(h.q, &old, iv, &src, 1, &dst, 1, NULL, NULL), -ESTALE);
	assert_int_equal(h.q->vq.out, 0);
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(SUBMIT(1, 1), 0);
	assert_int_equal(SUBMIT(1, 1), -EAGAIN);
	host_end(&h);
	/* The depth counts, also where there are descriptors left. */
	host_begin(&h, false, 3);
	src = part(&h, 0, 32);
	dst = part(&h, 1024, 32);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(SUBMIT(1, 1), 0);
	assert_int_equal(SUBMIT(1, 1), -EAGAIN);
	assert_true(h.q->vq.n_free > 40);
	host_end(&h);
}

/* What whoever waits is told of a device that does not work any more. */
static void trouble(void **state)
{
	static struct host h;
	struct request r;

	(void)state;
	host_begin(&h, true, 8);
	assert_int_equal(crypto_wait(h.q), 0);
	h.crypto.opts.timeout_ms = 40;
	submit_one(&h, &r);
	assert_int_equal(crypto_wait(h.q), -ETIMEDOUT);
	assert_non_null(strstr(h.q->why, "within 40 ms"));
	assert_true(h.q->slots[h.q->late].busy);
	h.crypto.opts.timeout_ms = 100000;
	h.registers[VIRTIO_DEVICE_STATUS] |= VIRTIO_STATUS_NEEDS_RESET;
	assert_int_equal(crypto_wait(h.q), -EIO);
	h.registers[VIRTIO_DEVICE_STATUS] = 0;
	assert_int_equal(crypto_wait(h.q), -ECONNRESET);
	memset(h.registers, 0xff, sizeof(h.registers));
	assert_int_equal(crypto_wait(h.q), -ENODEV);
	memset(h.registers, 0, sizeof(h.registers));
	assert_int_equal(crypto_wait(h.q), -ENODEV);
	crypto_cancel(&h.crypto);
	assert_int_equal(crypto_wait(h.q), -ECANCELED);
	assert_int_equal(r.ended, 0);
	crypto_queue_reset(h.q);
	assert_int_equal(r.ended, 1);
	assert_int_equal(r.status, -ECANCELED);
	host_end(&h);
}

/*
 * The control queue is waited for, so its device is a thread. It checks nothing, for
 * assertions are the main thread's: it keeps what it was asked.
 */
struct control {
	struct device d;
	_Atomic bool stop;
	bool silent;
	uint32_t status;
	uint32_t short_by;
	_Alignas(8) uint8_t request[256];
	size_t len;
	unsigned int asked;
};

static void *control_thread(void *arg)
{
	struct control *c = arg;

	while (!c->stop) {
		const struct virtq_desc *out, *in;
		uint64_t session = SESSION;
		uint16_t head;

		if (c->d.seen == __atomic_load_n(&c->d.avail->idx, __ATOMIC_ACQUIRE)) {
			usleep(200);
			continue;
		}
		head = c->d.avail->ring[c->d.seen++ % c->d.size];
		out = &c->d.desc[head];
		in = &c->d.desc[out->next];
		c->len = out->len;
		memcpy(c->request, at(out->addr, out->len), out->len);
		c->asked++;
		if (c->silent)
			continue;
		if (in->len == sizeof(struct crypto_create_answer)) {
			memcpy(at(in->addr, 8), &session, 8);
			memcpy((char *)at(in->addr, 16) + 8, &c->status, 4);
		} else {
			*(uint8_t *)at(in->addr, 1) = (uint8_t)c->status;
		}
		device_say(&c->d, head, in->len - c->short_by);
	}
	return NULL;
}

static void control_begin(struct host *h, struct control *c, pthread_t *thread)
{
	host_begin(h, true, 8);
	memset(c, 0, sizeof(*c));
	assert_int_equal(virtqueue_create(&h->crypto.control, NULL, 4, 0, 0, h->crypto.why,
					  sizeof(h->crypto.why)),
			 0);
	h->crypto.control.bar = h->doorbells;
	assert_int_equal(vdma_buf_alloc(NULL, 4096, NULL, &h->crypto.page), 0);
	device_begin(&c->d, &h->crypto.control);
	assert_int_equal(pthread_create(thread, NULL, control_thread, c), 0);
}

static void control_end(struct host *h, struct control *c, pthread_t thread)
{
	c->stop = true;
	assert_int_equal(pthread_join(thread, NULL), 0);
	virtqueue_destroy(&h->crypto.control);
	vdma_buf_free(NULL, &h->crypto.page);
	host_end(h);
}

static bool page_has(const struct host *h, const void *bytes, size_t len)
{
	for (size_t i = 0; i + len <= h->crypto.page.len; i++)
		if (!memcmp((char *)h->crypto.page.va + i, bytes, len))
			return true;
	return false;
}

static void sessions(void **state)
{
	static const char key[33] = "0123456789abcdefghijklmnopqrstuv";
	static struct host h;
	static struct control c;
	const struct crypto_create_req *create = (const void *)c.request;
	const struct crypto_destroy_req *destroy = (const void *)c.request;
	struct crypto_session s, copy;
	pthread_t thread;

	(void)state;
	control_begin(&h, &c, &thread);
#define CREATE(cipher, len) crypto_session_create(&h.crypto, cipher, false, key, len, &s)
	for (unsigned int round = 0; round < 20; round++) {
		assert_int_equal(CREATE(CRYPTO_AES_CBC, 24), 0);
		assert_int_equal(create->header.opcode, CRYPTO_OP_CREATE_SESSION);
		assert_int_equal(create->algo, CRYPTO_AES_CBC);
		assert_int_equal(create->op, CRYPTO_SESSION_DECRYPT);
		assert_int_equal(create->op_type, CRYPTO_SYM_CIPHER);
		assert_int_equal(create->key_len, 24);
		assert_int_equal(c.len, sizeof(*create) + 24);
		assert_memory_equal(create + 1, key, 24);
		/* The key does not stay where the device can read it. */
		assert_false(page_has(&h, key, 8));
		assert_int_equal(s.id, SESSION);
		assert_int_equal(s.iv_len, 16);
		copy = s;
		assert_int_equal(crypto_session_destroy(&s), 0);
		assert_int_equal(destroy->header.opcode, CRYPTO_OP_DESTROY_SESSION);
		assert_int_equal(destroy->session, SESSION);
		assert_int_equal(c.len, sizeof(*destroy));
	}
	/* One that was destroyed, or is from before a reset, is not asked for. */
	c.asked = 0;
	assert_int_equal(crypto_session_destroy(&s), 0);
	copy.reset--;
	assert_int_equal(crypto_session_destroy(&copy), 0);
	/* Nor are ciphers that the device has not got, and keys that there are not. */
	assert_int_equal(CREATE(CRYPTO_AES_CTR, 16), -EOPNOTSUPP);
	assert_int_equal(CREATE(CRYPTO_AES_CBC, 17), -EINVAL);
	assert_int_equal(CREATE(CRYPTO_AES_CBC, 0), -EINVAL);
	assert_int_equal(CREATE((enum crypto_cipher)6, 8), -EINVAL);
	h.crypto.key_max = 16;
	assert_int_equal(CREATE(CRYPTO_AES_CBC, 24), -EINVAL);
	assert_int_equal(c.asked, 0);
	h.crypto.opts.any_cipher = true;
	assert_int_equal(CREATE(CRYPTO_AES_CTR, 16), 0);
	assert_int_equal(s.unit, 1);
	/* What the device answers. */
	c.status = CRYPTO_NOTSUPP;
	assert_int_equal(CREATE(CRYPTO_AES_CBC, 16), -EOPNOTSUPP);
	c.status = CRYPTO_NOSPC;
	assert_int_equal(CREATE(CRYPTO_AES_CBC, 16), -ENOSPC);
	c.status = CRYPTO_ERR;
	assert_int_equal(CREATE(CRYPTO_AES_CBC, 16), -EIO);
	assert_int_equal(crypto_session_destroy(&s), -EIO);
	c.status = CRYPTO_OK;
	c.short_by = 1;
	assert_int_equal(CREATE(CRYPTO_AES_CBC, 16), -EIO);
	c.short_by = 0;
	assert_int_equal(CREATE(CRYPTO_AES_CBC, 16), 0);
	/* None: the page stays the device's until it is reset. */
	c.silent = true;
	h.crypto.opts.timeout_ms = 50;
	assert_int_equal(CREATE(CRYPTO_AES_CBC, 16), -ETIMEDOUT);
	c.asked = 0;
	assert_int_equal(CREATE(CRYPTO_AES_CBC, 16), -ECONNRESET);
	assert_int_equal(crypto_session_destroy(&s), -ECONNRESET);
	assert_int_equal(c.asked, 0);
	control_end(&h, &c, thread);
}

/*
 * A device that cannot be closed may still reach memory, so none is given back, and nobody
 * is told that a request is over, until it can. But its sessions are no more.
 */
static void closing(void **state)
{
	static struct host h;
	struct crypto_session old;
	struct vdma_buf data;
	struct request r;
	unsigned int kept;

	(void)state;
	host_begin(&h, true, 8);
	submit_one(&h, &r);
	old = h.session;
	data = h.data;
	close_err = -EBUSY;
	closed = 0;
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(crypto_close(&h.crypto), -EBUSY);
		assert_ptr_equal(h.crypto.queues[0], h.q);
		assert_int_equal(r.ended, 0);
		assert_int_equal(h.registers[VIRTIO_DEVICE_STATUS], 0);
		/* With no control queue in this test, asking the device would end it. */
		h.session = old;
		assert_int_equal(crypto_session_destroy(&h.session), 0);
	}
	assert_int_equal(crypto_submit(h.q, &old, r.iv, &data, 1, &data, 1, NULL, NULL), -ESTALE);
	kept = 0;
	for (unsigned int i = 0; i < BLOCKS_MAX; i++)
		kept += blocks[i].va != NULL;
	assert_true(kept > 2);
	close_err = 0;
	assert_int_equal(crypto_close(&h.crypto), -ECONNRESET);
	assert_int_equal(closed, 1);
	assert_int_equal(r.ended, 1);
	assert_int_equal(r.status, -ECANCELED);
	assert_int_equal(crypto_close(&h.crypto), 0);
	vdma_buf_free(NULL, &data);
	for (unsigned int i = 0; i < BLOCKS_MAX; i++)
		assert_null(blocks[i].va);
}

/* Sessions are told apart by it, also when the same struct crypto is opened again. */
static void no_two_alike(void **state)
{
	static struct crypto crypto, other;
	uint64_t before;

	(void)state;
	assert_true(crypto_open(&crypto, NULL, NULL, "none", NULL) < 0);
	before = crypto.resets;
	assert_true(crypto_open(&other, NULL, NULL, "none", NULL) < 0);
	assert_int_not_equal(other.resets, before);
	assert_true(crypto_open(&crypto, NULL, NULL, "none", NULL) < 0);
	assert_int_not_equal(crypto.resets, before);
	assert_int_not_equal(crypto.resets, other.resets);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(out_of_order_indirect),
		cmocka_unit_test(out_of_order_direct),
		cmocka_unit_test(submit_from_done),
		cmocka_unit_test(statuses),
		cmocka_unit_test(liars),
		cmocka_unit_test(notifications),
		cmocka_unit_test(refused),
		cmocka_unit_test(trouble),
		cmocka_unit_test(sessions),
		cmocka_unit_test(closing),
		cmocka_unit_test(no_two_alike),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
