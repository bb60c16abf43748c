// SPDX-License-Identifier: BSD-3-Clause
/* D9: a region handed on, as a descriptor and as a dma-buf. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/dma-buf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "suite.h"
#include "uapi.h"
#include "vfio_edu.h"

#define LEN (8 * MIB)
#define BYTE 0x6b

static void send_fd(int to, int fd)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = "", .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	CHECK_EQ(sendmsg(to, &msg, 0), 1);
}

static int receive_fd(int from)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	int fd = -1;

	CHECK_EQ(recvmsg(from, &msg, MSG_CMSG_CLOEXEC), 1);
	CHECK(CMSG_FIRSTHDR(&msg));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

/* What a family shares for these tests. */
struct shared {
	int sockets[2];
	struct vfio vfio;
};

/* Allocates, registers with the device, hands over, and waits for its end. */
static void first_process(struct shared *s, bool with_device)
{
	int region = region_alloc(node_open(), LEN, NULL);
	char *va;

	CHECK_OK(region);
	va = region_map(region, LEN);
	CHECK_OK(va);
	strcpy(va + MIB, "from the first process");
	if (with_device) {
		CHECK_OK(vfio_map(&s->vfio, va, LEN, DMA_IOVA));
		dev_load(&s->vfio, va, DMA_IOVA, BYTE);
	}
	send_fd(s->sockets[1], region);
	pause();
}

static pid_t start_first(struct shared *s, bool with_device)
{
	pid_t pid;

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s->sockets));
	pid = fork();
	CHECK_OK(pid);
	if (!pid) {
		first_process(s, with_device);
		_exit(0);
	}
	return pid;
}

static void d9_descriptor_over_a_socket(void)
{
	struct shared s;
	pid_t pid = start_first(&s, false);
	int region = receive_fd(s.sockets[0]);
	char *va = region_map(region, LEN);

	CHECK_OK(va);
	CHECK(!strcmp(va + MIB, "from the first process"));
	CHECK_OK(kill(pid, SIGKILL));
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	CHECK_EQ(ledger_lines(), 1);
	CHECK(!strcmp(va + MIB, "from the first process"));
	/* Handed on again, by a descriptor that is in flight alone. */
	munmap(va, LEN);
	send_fd(s.sockets[1], region);
	close(region);
	CHECK_EQ(ledger_lines(), 1);
	region = receive_fd(s.sockets[0]);
	va = region_map(region, LEN);
	CHECK_OK(va);
	CHECK(!strcmp(va + MIB, "from the first process"));
	munmap(va, LEN);
	close(region);
	CHECK_EQ(ledger_wait(0), 0);
}

/* The first process is killed; the second one and the device go on. */
static void d9_first_is_killed_second_and_device_go_on(void)
{
	struct shared s;
	unsigned char *va;
	uint64_t *frames;
	int region;
	pid_t pid;

	vfio_open(&s.vfio);
	dev_open(&s.vfio);
	pid = start_first(&s, true);
	region = receive_fd(s.sockets[0]);
	va = region_map(region, LEN);
	CHECK_OK(va);
	frames = pagemap_frames(va, LEN);
	CHECK(frames_consecutive(frames, LEN / PAGE));

	dev_write_memory(&s.vfio, DMA_IOVA + 2 * MIB);
	CHECK_OK(kill(pid, SIGKILL));
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	dev_wait(&s.vfio);
	CHECK(is_filled(va + 2 * MIB, EDU_LEN, BYTE));
	dev_write_memory(&s.vfio, DMA_IOVA + 3 * MIB);
	dev_wait(&s.vfio);
	CHECK(is_filled(va + 3 * MIB, EDU_LEN, BYTE));
	CHECK(frames_are(va, LEN, frames));

	/* And the other way: what the second process writes, the device reads. */
	memset(va + 4 * MIB, 0x17, PAGE);
	dev_read_memory(&s.vfio, DMA_IOVA + 4 * MIB);
	dev_write_memory(&s.vfio, DMA_IOVA + 5 * MIB);
	dev_wait(&s.vfio);
	CHECK(is_filled(va + 5 * MIB, EDU_LEN, 0x17));
	free(frames);
	munmap(va, LEN);
	close(region);
	CHECK_EQ(ledger_lines(), 1);
	CHECK_OK(vfio_unmap(&s.vfio, LEN, DMA_IOVA));
	vfio_close(&s.vfio);
	CHECK_EQ(ledger_wait(0), 0);
}

/* A dma-buf of a part: the same frames, of the length asked for, and it keeps them. */
static void d9_dma_buf(void)
{
	struct map_contig_export export = { .size = sizeof(export),
					    .addr = 2 * MIB,
					    .length = 3 * MIB };
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW };
	int node = node_open(), region;
	uint64_t *frames, *all;
	char *va, *buf;

	SKIP_IF(!(node_features() & MAP_CONTIG_HAS_EXPORT), "the kernel has no dma-buf");
	region = region_alloc(node, LEN, NULL);
	CHECK_OK(region);
	CHECK_OK(ioctl(region, MAP_CONTIG_EXPORT, &export));
	CHECK_EQ(lseek(export.fd, 0, SEEK_END), 3 * MIB);
	va = region_map(region, LEN);
	buf = mmap(NULL, 3 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, export.fd, 0);
	CHECK_OK(va);
	CHECK_OK(buf);
	CHECK_OK(ioctl(export.fd, DMA_BUF_IOCTL_SYNC, &sync));
	strcpy(va + 2 * MIB, "the same frames");
	CHECK(!strcmp(buf, "the same frames"));
	memset(buf, 0x44, 3 * MIB);
	all = pagemap_frames(va, LEN);
	frames = pagemap_frames(buf, 3 * MIB);
	CHECK(!memcmp(frames, all + 2 * MIB / PAGE, 3 * MIB / PAGE * sizeof(*all)));
	sync.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW;
	CHECK_OK(ioctl(export.fd, DMA_BUF_IOCTL_SYNC, &sync));

	/* It keeps the memory when all else is gone. */
	munmap(va, LEN);
	munmap(buf, 3 * MIB);
	close(region);
	close(node);
	CHECK_EQ(ledger_lines(), 1);
	buf = mmap(NULL, 3 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, export.fd, 0);
	CHECK_OK(buf);
	CHECK(is_filled(buf, 3 * MIB, 0x44));
	CHECK(frames_are(buf, 3 * MIB, frames));
	munmap(buf, 3 * MIB);
	close(export.fd);
	CHECK_EQ(ledger_wait(0), 0);
	free(frames);
	free(all);
}

/*
 * Another process maps memory again by its offset, page by page at an address that is
 * no folio's, while the first unmaps some of it: it is the other's then, and a dma-buf
 * that the other makes of it keeps it.
 */
#define AGAIN (64 * MIB)
#define TOO_LATE 2

static void map_again(int node, uint64_t offset, int ready)
{
	struct map_contig_export export = { .size = sizeof(export), .length = FOLIO };
	char *hole = mmap(NULL, AGAIN + 2 * FOLIO, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *at = (char *)(((uintptr_t)hole + FOLIO - 1) / FOLIO * FOLIO) + 3 * PAGE, *buf;
	uint64_t *frames;

	CHECK_OK(hole);
	CHECK_EQ(write(ready, "", 1), 1);
	if (mmap(at, AGAIN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, node, (off_t)offset) !=
	    at) {
		/* The other one was faster: what has been given back cannot be mapped. */
		CHECK_EQ(errno, ENXIO);
		_exit(TOO_LATE);
	}
	frames = pagemap_frames(at, FOLIO);
	export.addr = (uintptr_t)at;
	CHECK_OK(ioctl(node, MAP_CONTIG_EXPORT, &export));
	munmap(at, AGAIN);
	/* Time for whoever would give them back. */
	usleep(600 * 1000);
	buf = mmap(NULL, FOLIO, PROT_READ | PROT_WRITE, MAP_SHARED, export.fd, 0);
	CHECK_OK(buf);
	CHECK(frames_are(buf, FOLIO, frames));
	CHECK(is_filled(buf, FOLIO, 0x3b));
}

static void d9_dma_buf_while_another_mapping_goes(void)
{
	struct map_contig_configure shared = { .size = sizeof(shared),
					       .flags = MAP_CONTIG_CONFIGURE_SHARED };
	struct map_contig_configure again = { .size = sizeof(again), .mode = MAP_CONTIG_MODE_MAP };
	struct map_contig_offset offset = { .size = sizeof(offset) };
	int from = node_open(), to = node_open();
	unsigned int met = 0;

	SKIP_IF(!(node_features() & MAP_CONTIG_HAS_EXPORT), "the kernel has no dma-buf");
	CHECK_OK(ioctl(from, MAP_CONTIG_CONFIGURE, &shared));
	CHECK_OK(ioctl(to, MAP_CONTIG_CONFIGURE, &again));
	for (unsigned int round = 0; met < 4; round++) {
		char *va = mmap(NULL, AGAIN, PROT_READ | PROT_WRITE, MAP_SHARED, from, 0), byte;
		int ready[2], wstatus;
		pid_t pid;

		CHECK_OK(va);
		memset(va, 0x3b, AGAIN);
		offset.addr = (uintptr_t)va;
		CHECK_OK(ioctl(from, MAP_CONTIG_OFFSET, &offset));
		CHECK_OK(madvise(va, AGAIN, MADV_DONTFORK));
		CHECK_OK(pipe(ready));
		pid = fork();
		CHECK_OK(pid);
		if (!pid) {
			map_again(to, offset.offset, ready[1]);
			_exit(0);
		}
		CHECK_EQ(read(ready[0], &byte, 1), 1);
		/* Sooner and later in the midst of it. */
		usleep(1000U << 2 * (round % 4));
		CHECK_OK(munmap(va, FOLIO));
		CHECK_EQ(waitpid(pid, &wstatus, 0), pid);
		CHECK(!wstatus || (WIFEXITED(wstatus) && WEXITSTATUS(wstatus) == TOO_LATE));
		met += !wstatus;
		if (round == 40)
			FAIL("they did not meet but in %u of 40 rounds", met);
		CHECK_OK(munmap(va + FOLIO, AGAIN - FOLIO));
		CHECK_EQ(ledger_wait(0), 0);
	}
}

const struct test share_tests[] = {
	TEST(d9_descriptor_over_a_socket),
	TEST(d9_first_is_killed_second_and_device_go_on),
	TEST(d9_dma_buf),
	TEST(d9_dma_buf_while_another_mapping_goes),
	TESTS_END,
};
