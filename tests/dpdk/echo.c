// SPDX-License-Identifier: BSD-3-Clause
/*
 * dpdk-echo EAL-OPTIONS -- IP: an ordinary program of DPDK, all of whose packets and rings
 * lie in libvdma's memory. It answers ARP, ping and UDP echo on DPDK's first port, until
 * SIGTERM. Meanwhile regions come and go: of the heap, of which packets are sent, and others,
 * into which packets point.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>

#include <rte_bus.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_memzone.h>
#include <vdma.h>

#include "echo.h"

#define MIB ((size_t)1 << 20)
#define BURST 32
#define RING 128
/* The largest buffer that the device has: a jumbo frame lies in one. */
#define FRAME 16384
#define PACKETS 511
#define FIRST (10 * MIB)
#define GUESTS (4 * MIB)
#define SLOTS 64

static struct vdma_arena *arena;
static struct vdma_dpdk *dpdk;
static int heap_socket;
static uint16_t port;
static struct echo echo;
static atomic_bool stopping;

/* Of the receiving thread. */
static uint64_t in, out, from_slots, from_guests, in_segments;

/* Packets of a region that comes and goes: who sends uses the pool while it is there. */
static pthread_mutex_t guest_lock = PTHREAD_MUTEX_INITIALIZER;
static struct rte_mempool *guest_pool;
static unsigned int guests_sent;

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	_exit(1);
}

/* A call of libvdma's. */
#define DO(call) \
	do { \
		if (call) \
			die("%s: %s", #call, vdma_explain()); \
	} while (0)

/* One of DPDK's. */
#define DPDK(condition) \
	do { \
		if (!(condition)) \
			die("%s: %s", #condition, rte_strerror(rte_errno)); \
	} while (0)

#define EXPECT(condition) \
	do { \
		if (!(condition)) \
			die("line %d: not %s", __LINE__, #condition); \
	} while (0)

static void stop(int signal)
{
	(void)signal;
	stopping = true;
}

/* Whatever DPDK believes of an address, the arena says, too. */
static void check_address(const void *va, size_t len, rte_iova_t iova)
{
	const struct rte_memseg *ms = rte_mem_virt2memseg(va, NULL);

	EXPECT(vdma_iova_checked(arena, va, len) == iova);
	EXPECT(vdma_iova(arena, va) == iova);
	EXPECT(rte_mem_virt2iova(va) == iova);
	EXPECT(ms);
	EXPECT(ms->iova + ((uintptr_t)va - (uintptr_t)ms->addr) == iova);
}

static void check_mbuf(struct rte_mempool *pool, void *ctx, void *object, unsigned int i)
{
	struct rte_mbuf *m = object;
	unsigned int *n = ctx;

	(void)i;
	EXPECT(m->buf_len == rte_pktmbuf_data_room_size(pool));
	check_address(m->buf_addr, m->buf_len, rte_mbuf_iova_get(m));
	EXPECT(rte_mbuf_data_iova(m) == vdma_iova(arena, rte_pktmbuf_mtod(m, void *)));
	EXPECT(rte_mbuf_data_iova_default(m) ==
	       vdma_iova(arena, (char *)m->buf_addr + RTE_PKTMBUF_HEADROOM));
	EXPECT(rte_mempool_virt2iova(m) == vdma_iova(arena, m));
	++*n;
}

/* All of a pool's mbufs. */
static void check_pool(struct rte_mempool *pool)
{
	unsigned int n = 0;

	EXPECT(rte_mempool_obj_iter(pool, check_mbuf, &n) == pool->size);
	EXPECT(n == pool->size);
}

static void check_ring(const char *name)
{
	const struct rte_memzone *mz = rte_memzone_lookup(name);

	DPDK(mz);
	check_address(mz->addr, mz->len, mz->iova);
}

static void start_port(struct rte_mempool *pool)
{
	struct rte_eth_conf conf = { .rxmode.mtu = 9000 };
	struct rte_ether_addr mac;
	struct rte_eth_link link = { 0 };

	DPDK(rte_eth_dev_count_avail() == 1);
	DPDK(!rte_eth_dev_configure(port, 1, 1, &conf));
	DPDK(!rte_eth_rx_queue_setup(port, 0, RING, (unsigned int)heap_socket, NULL, pool));
	DPDK(!rte_eth_tx_queue_setup(port, 0, RING, (unsigned int)heap_socket, NULL));
	check_ring("eth_p0_q0_rx_ring");
	check_ring("eth_p0_q0_tx_ring");
	DPDK(!rte_eth_dev_start(port));
	DPDK(!rte_eth_macaddr_get(port, &mac));
	memcpy(echo.mac, mac.addr_bytes, sizeof(echo.mac));
	for (int i = 0; !link.link_status && i < 200; i++) {
		usleep(50000);
		rte_eth_link_get_nowait(port, &link);
	}
	EXPECT(link.link_status);
}

/* Changes a frame into its answer; 0 if it gets none, else its bytes. */
static uint16_t answer(uint8_t *frame, uint16_t len)
{
	struct e1000e_packet packet = {
		.count = 1,
		.flags = E1000E_IP_GOOD,
		.len = len,
		.segments = { { .len = len } },
	};
	struct rte_ipv4_hdr *ip = (void *)(frame + RTE_ETHER_HDR_LEN);

	if (echo_answer(&echo, frame, &packet) == ECHO_NONE)
		return 0;
	if (packet.flags & E1000E_PUT_IP)
		ip->hdr_checksum = rte_ipv4_cksum(ip);
	/* The sender of this program's tests asks for no sum. */
	if (packet.flags & E1000E_PUT_UDP)
		((struct rte_udp_hdr *)(ip + 1))->dgram_cksum = 0;
	return (uint16_t)packet.len;
}

/* A region that is not the heap's, into slots of which packets point. */
static struct {
	struct vdma_region *region;
	struct vdma_buf buf;
	struct rte_mbuf_ext_shared_info info[SLOTS];
	atomic_bool used[SLOTS];
} outside;

static void slot_is_free(void *va, void *used)
{
	(void)va;
	*(atomic_bool *)used = false;
}

static void open_slots(void)
{
	DO(vdma_region_create(arena, SLOTS * (size_t)FRAME, NULL, &outside.region));
	outside.buf = vdma_region_buf(outside.region);
	check_address(outside.buf.va, outside.buf.len, outside.buf.iova);
	for (unsigned int i = 0; i < SLOTS; i++) {
		outside.info[i].free_cb = slot_is_free;
		outside.info[i].fcb_opaque = &outside.used[i];
	}
}

static void close_slots(void)
{
	for (unsigned int i = 0; i < SLOTS; i++)
		EXPECT(!outside.used[i]);
	DO(vdma_region_destroy(outside.region));
}

/* A packet with a copy of @m in a slot; NULL if there is none free. */
static struct rte_mbuf *in_slot(const struct rte_mbuf *m)
{
	static unsigned int last;
	unsigned int i = last++ % SLOTS;
	char *va = (char *)outside.buf.va + i * (size_t)FRAME;
	struct rte_mbuf *copy;

	if (outside.used[i])
		return NULL;
	copy = rte_pktmbuf_alloc(m->pool);
	if (!copy)
		return NULL;
	outside.used[i] = true;
	rte_mbuf_ext_refcnt_set(&outside.info[i], 1);
	rte_pktmbuf_attach_extbuf(copy, va, vdma_iova(arena, va), FRAME, &outside.info[i]);
	rte_pktmbuf_reset_headroom(copy);
	memcpy(rte_pktmbuf_append(copy, m->data_len), rte_pktmbuf_mtod(m, char *), m->data_len);
	EXPECT(rte_mbuf_data_iova(copy) == vdma_iova(arena, rte_pktmbuf_mtod(copy, void *)));
	from_slots++;
	return copy;
}

/* The same in a packet of the region that comes and goes. */
static struct rte_mbuf *in_guest(const struct rte_mbuf *m)
{
	struct rte_mbuf *copy = NULL;

	pthread_mutex_lock(&guest_lock);
	if (guest_pool &&
	    m->data_len + RTE_PKTMBUF_HEADROOM <= rte_pktmbuf_data_room_size(guest_pool))
		copy = rte_pktmbuf_alloc(guest_pool);
	if (copy)
		guests_sent++;
	pthread_mutex_unlock(&guest_lock);
	if (!copy)
		return NULL;
	memcpy(rte_pktmbuf_append(copy, m->data_len), rte_pktmbuf_mtod(m, char *), m->data_len);
	EXPECT(rte_mbuf_data_iova(copy) == vdma_iova(arena, rte_pktmbuf_mtod(copy, void *)));
	from_guests++;
	return copy;
}

/* Every third from elsewhere. */
static struct rte_mbuf *move(struct rte_mbuf *m)
{
	struct rte_mbuf *copy = in % 3 == 1 ? in_slot(m) : in % 3 == 2 ? in_guest(m) : NULL;

	if (!copy)
		return m;
	rte_pktmbuf_free(m);
	return copy;
}

static void serve(void)
{
	struct rte_mbuf *m[BURST];
	uint16_t n, i, len;

	while (!stopping) {
		n = rte_eth_rx_burst(port, 0, m, BURST);
		for (i = 0; i < n; i++) {
			in++;
			in_segments += m[i]->nb_segs;
			check_address(rte_pktmbuf_mtod(m[i], void *), m[i]->data_len,
				      rte_mbuf_data_iova(m[i]));
			len = m[i]->nb_segs == 1 ?
				      answer(rte_pktmbuf_mtod(m[i], uint8_t *), m[i]->data_len) :
				      0;
			if (!len) {
				rte_pktmbuf_free(m[i]);
				continue;
			}
			m[i]->data_len = len;
			m[i]->pkt_len = len;
			m[i] = move(m[i]);
			while (!rte_eth_tx_burst(port, 0, &m[i], 1) && !stopping)
				;
			if (stopping) {
				rte_pktmbuf_free_bulk(&m[i], n - i);
				return;
			}
			out++;
		}
		/* Other threads of this guest have the other processor, and its pings. */
		if (!n)
			usleep(50);
	}
}

static void set_guest_pool(struct rte_mempool *pool)
{
	pthread_mutex_lock(&guest_lock);
	guest_pool = pool;
	guests_sent = 0;
	pthread_mutex_unlock(&guest_lock);
}

static bool guests_were_sent(void)
{
	bool enough;

	pthread_mutex_lock(&guest_lock);
	enough = guests_sent >= 8;
	pthread_mutex_unlock(&guest_lock);
	return enough;
}

static void expect_busy(const struct vdma_buf *buf)
{
	EXPECT(vdma_dpdk_shrink(dpdk, buf->va) == -EBUSY);
	EXPECT(vdma_last_failure()->cause == VDMA_CAUSE_CHILDREN);
	EXPECT(strstr(vdma_explain(), "rte_mempool_free()"));
}

/* Of the heap's regions all is allocated, so what comes next is from another one. */
static void *filler[256];

static void fill(void)
{
	unsigned int n = 0;

	for (size_t size = MIB; size >= 4096; size /= 2)
		while (n < RTE_DIM(filler) &&
		       (filler[n] = rte_malloc_socket(NULL, size, 0, heap_socket))) {
			check_address(filler[n], size, rte_malloc_virt2iova(filler[n]));
			n++;
		}
	EXPECT(n && n < RTE_DIM(filler));
}

static void empty(void)
{
	for (unsigned int n = 0; n < RTE_DIM(filler); n++)
		rte_free(filler[n]);
}

static void check_inside(struct rte_mempool *pool, void *ctx, void *object, unsigned int i)
{
	const struct vdma_buf *buf = ctx;

	(void)pool;
	(void)i;
	EXPECT((char *)object >= (char *)buf->va && (char *)object < (char *)buf->va + buf->len);
}

/* Packets of a region of its own are sent, and it goes when all are back. */
static bool guests(void)
{
	struct rte_mempool *pool;
	struct vdma_buf buf;

	DO(vdma_dpdk_grow(dpdk, GUESTS, NULL, &buf));
	pool = rte_pktmbuf_pool_create("guests", 63, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, heap_socket);
	DPDK(pool);
	check_pool(pool);
	rte_mempool_obj_iter(pool, check_inside, &buf);
	expect_busy(&buf);
	set_guest_pool(pool);
	while (!stopping && !guests_were_sent())
		usleep(1000);
	expect_busy(&buf);
	set_guest_pool(NULL);
	while (!stopping && rte_mempool_avail_count(pool) < pool->size)
		usleep(1000);
	/* The port keeps the last ones until it is closed: then main() frees the pool. */
	if (rte_mempool_avail_count(pool) < pool->size)
		return false;
	rte_mempool_free(pool);
	DO(vdma_dpdk_shrink(dpdk, buf.va));
	EXPECT(!rte_mem_virt2memseg(buf.va, NULL));
	return true;
}

/* A region that has nothing to do with DPDK comes and goes. */
static void stranger(size_t len)
{
	struct vdma_region *region;
	struct vdma_buf buf;

	DO(vdma_region_create(arena, len, NULL, &region));
	buf = vdma_region_buf(region);
	check_address(buf.va, buf.len, buf.iova);
	DO(vdma_region_destroy(region));
	EXPECT(!rte_mem_virt2memseg(buf.va, NULL));
}

static uint64_t rounds;

static void *come_and_go(void *first)
{
	while (!stopping) {
		stranger(4096 + rounds % 7 * MIB);
		expect_busy(first);
		if (guests())
			rounds++;
	}
	return NULL;
}

static void destroy_pool(const char *name)
{
	struct rte_mempool *pool = rte_mempool_lookup(name);

	if (!pool)
		return;
	EXPECT(rte_mempool_avail_count(pool) == pool->size);
	rte_mempool_free(pool);
}

static void contiguous(const struct vdma_buf *buf)
{
	struct vdma_region_info info = { .size = sizeof(info) };
	struct vdma_region *region;

	DO(vdma_region_find(arena, buf->va, &region));
	DO(vdma_region_query(region, &info));
	EXPECT(info.delivered == VDMA_DELIVERED_CONTIGUOUS);
}

int main(int argc, char **argv)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts), .flags = VDMA_ARENA_IDENTITY };
	struct vdma_dpdk_info info = { .size = sizeof(info) };
	struct rte_mempool *pool;
	struct vdma_buf first;
	pthread_t thread;
	int n;

	setlinebuf(stdout);
	n = rte_eal_init(argc, argv);
	if (n < 0 || n + 2 != argc || inet_pton(AF_INET, argv[n + 1], echo.ip) != 1)
		die("dpdk-echo EAL-OPTIONS -- IP");
	echo.port = 7;
	signal(SIGTERM, stop);

	DO(vdma_arena_create(&opts, &arena));
	DO(vdma_dpdk_create(arena, NULL, &dpdk));
	heap_socket = vdma_dpdk_socket(dpdk);
	DO(vdma_dpdk_grow(dpdk, FIRST, NULL, &first));
	contiguous(&first);
	pool = rte_pktmbuf_pool_create("packets", PACKETS, 64, 0, FRAME + RTE_PKTMBUF_HEADROOM,
				       heap_socket);
	DPDK(pool);
	check_pool(pool);
	printf("%u mbufs are where they should be\n", pool->size);
	open_slots();
	start_port(pool);
	fill();
	DO(vdma_dpdk_query(dpdk, &info));
	printf("%s maps the heap; link up\n", info.follows ? "DPDK" : "libvdma");

	if (pthread_create(&thread, NULL, come_and_go, &first))
		die("no thread");
	serve();
	pthread_join(thread, NULL);
	EXPECT(vdma_dpdk_destroy(dpdk) == -EBUSY);
	DPDK(!rte_eth_dev_stop(port));
	DPDK(!rte_eth_dev_close(port));
	destroy_pool("guests");
	destroy_pool("packets");
	close_slots();
	empty();
	DO(vdma_dpdk_query(dpdk, &info));
	EXPECT(info.heap_used == 0);
	EXPECT(info.unmapped == 0 && info.regions == 0);
	EXPECT(!*info.refused);
	DO(vdma_dpdk_destroy(dpdk));
	DO(vdma_arena_destroy(arena));
	printf("in %llu in %llu segments, out %llu, of them %llu from slots and %llu from guests\n",
	       (unsigned long long)in, (unsigned long long)in_segments, (unsigned long long)out,
	       (unsigned long long)from_slots, (unsigned long long)from_guests);
	printf("regions came and went %llu times\n", (unsigned long long)rounds);
	return rte_eal_cleanup() ? 1 : 0;
}
