// SPDX-License-Identifier: BSD-3-Clause
/* D8: every way in which the kernel pins user memory for long, and O_DIRECT. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/if_xdp.h>
#include <linux/io_uring.h>
#include <linux/loop.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#ifdef HAVE_IBVERBS
#include <infiniband/verbs.h>
#endif

#include "../../libvdma/iommufd_abi.h"
#include "suite.h"
#include "vfio_edu.h"

#define LEN (4 * MIB)

static char *new_memory(void)
{
	char *va = contig_alloc(LEN);

	CHECK_OK(va);
	return va;
}

/* Pinned, then unmapped: in the ledger until fn has let go. */
static void check_pinned_until(char *va, size_t pinned, void (*let_go)(void *arg), void *arg)
{
	CHECK(ledger_number(0, "bytes_pinned") >= (int64_t)pinned);
	munmap(va, LEN);
	CHECK_EQ(ledger_lines(), 1);
	CHECK(ledger_number(0, "bytes_held") >= (int64_t)pinned);
	let_go(arg);
	CHECK_EQ(ledger_wait(0), 0);
}

static void close_it(void *fd)
{
	CHECK_OK(close(*(int *)fd));
}

static void d8_vfio_type1(void)
{
	struct vfio vfio;
	char *va;

	vfio_open(&vfio);
	va = new_memory();
	CHECK_OK(vfio_map(&vfio, va, LEN, DMA_IOVA));
	/* The group has the container open too, and the mapping is gone with the last. */
	close(vfio.container);
	check_pinned_until(va, LEN, close_it, &vfio.group);
}

/* With VFIO's cdev, as there is no other way to have iommufd pin. */
static int vfio_cdev_open(void)
{
	const char *bdf = getenv("VDMA_BDF_EDU");
	struct dirent *entry;
	char path[320];
	DIR *dir;
	int fd = -1;

	SKIP_IF(!bdf, "no edu device (VDMA_BDF_EDU)");
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev", bdf);
	dir = opendir(path);
	SKIP_IF(!dir, "the kernel has no VFIO character devices");
	while ((entry = readdir(dir)))
		if (!strncmp(entry->d_name, "vfio", 4)) {
			snprintf(path, sizeof(path), "/dev/vfio/devices/%s", entry->d_name);
			fd = open(path, O_RDWR | O_CLOEXEC);
		}
	closedir(dir);
	CHECK_OK(fd);
	return fd;
}

static void d8_iommufd(void)
{
	int iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC), device;
	struct iommufd_abi_ioas_alloc ioas = { .size = sizeof(ioas) };
	struct iommufd_abi_ioas_map map = { .size = sizeof(map) };
	struct iommufd_abi_bind bind = { .argsz = sizeof(bind) };
	struct iommufd_abi_attach attach = { .argsz = sizeof(attach) };
	char *va;

	SKIP_IF(iommufd < 0, "the kernel has no iommufd");
	device = vfio_cdev_open();
	va = new_memory();
	bind.iommufd = iommufd;
	CHECK_OK(ioctl(device, IOMMUFD_ABI_DEVICE_BIND, &bind));
	CHECK_OK(ioctl(iommufd, IOMMUFD_ABI_IOAS_ALLOC, &ioas));
	attach.pt_id = ioas.out_ioas_id;
	CHECK_OK(ioctl(device, IOMMUFD_ABI_DEVICE_ATTACH, &attach));
	map.flags = IOMMUFD_ABI_MAP_FIXED_IOVA | IOMMUFD_ABI_MAP_WRITEABLE |
		    IOMMUFD_ABI_MAP_READABLE;
	map.ioas_id = ioas.out_ioas_id;
	map.user_va = (uintptr_t)va;
	map.length = LEN;
	map.iova = DMA_IOVA;
	CHECK_OK(ioctl(iommufd, IOMMUFD_ABI_IOAS_MAP, &map));
	/* The device has it open too; the pin is gone when the device leaves. */
	close(iommufd);
	check_pinned_until(va, LEN, close_it, &device);
}

/* One read of fixed buffer 0 from fd, through rings that the kernel made. */
static void uring_read_fixed(int ring, const struct io_uring_params *p, int fd, void *to,
			     unsigned int len)
{
	size_t sq_len = p->sq_off.array + p->sq_entries * 4;
	size_t cq_len = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
	char *sq = mmap(NULL, sq_len, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	char *cq = mmap(NULL, cq_len, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
	struct io_uring_sqe *sqe = mmap(NULL, p->sq_entries * sizeof(*sqe), PROT_READ | PROT_WRITE,
					MAP_SHARED, ring, (off_t)IORING_OFF_SQES);
	struct io_uring_cqe *cqe;

	CHECK_OK(sq);
	CHECK_OK(cq);
	CHECK_OK(sqe);
	*sqe = (struct io_uring_sqe){
		.opcode = IORING_OP_READ_FIXED, .fd = fd, .addr = (uintptr_t)to, .len = len
	};
	((uint32_t *)(sq + p->sq_off.array))[0] = 0;
	__atomic_store_n((uint32_t *)(sq + p->sq_off.tail), 1, __ATOMIC_RELEASE);
	CHECK_EQ(syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0), 1);
	cqe = (struct io_uring_cqe *)(cq + p->cq_off.cqes);
	CHECK_EQ(cqe->res, len);
	munmap(sq, sq_len);
	munmap(cq, cq_len);
	munmap(sqe, p->sq_entries * sizeof(*sqe));
}

static void d8_io_uring_registered_buffer(void)
{
	struct io_uring_params params = { 0 };
	int ring = (int)syscall(SYS_io_uring_setup, 4, &params);
	int file = memfd_create("file", MFD_CLOEXEC);
	struct iovec iov;
	char *va;

	SKIP_IF(ring < 0 && errno == ENOSYS, "the kernel has no io_uring");
	SKIP_IF(ring < 0 && errno == EPERM, "io_uring is turned off (kernel.io_uring_disabled)");
	CHECK_OK(ring);
	va = new_memory();
	iov = (struct iovec){ .iov_base = va, .iov_len = LEN };
	if (kernel_version() < 604) {
		/* What that kernel says to all memory of files; nothing stays pinned. */
		CHECK_ERRNO(syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &iov, 1),
			    EOPNOTSUPP);
		munmap(va, LEN);
		CHECK_EQ(ledger_wait(0), 0);
		check_skip("the kernel registers no memory of files (EOPNOTSUPP)");
	}
	CHECK_OK(syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &iov, 1));
	CHECK_EQ(write(file, "read into registered memory", 28), 28);
	CHECK_EQ(lseek(file, 0, SEEK_SET), 0);
	uring_read_fixed(ring, &params, file, va + MIB, 28);
	CHECK(!strcmp(va + MIB, "read into registered memory"));
	check_pinned_until(va, LEN, close_it, &ring);
}

static void d8_af_xdp_umem(void)
{
	int xsk = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	struct xdp_umem_reg reg = { .len = LEN, .chunk_size = 4096 };
	char *va;

	SKIP_IF(xsk < 0 && errno == EAFNOSUPPORT, "the kernel has no AF_XDP");
	CHECK_OK(xsk);
	va = new_memory();
	reg.addr = (uintptr_t)va;
	CHECK_OK(setsockopt(xsk, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)));
	check_pinned_until(va, LEN, close_it, &xsk);
}

#ifdef HAVE_IBVERBS
static void deregister(void *mr)
{
	CHECK_EQ(ibv_dereg_mr(mr), 0);
}

/* The RDMA card of the kernel's own, over the loopback network. */
static struct ibv_context *rxe_open(void)
{
	struct ibv_device **devices;
	struct ibv_context *context;

	(void)!system("modprobe -a rdma_rxe ib_uverbs 2>/dev/null;"
		      "ip link set lo up; rdma link add rxe0 type rxe netdev lo 2>/dev/null");
	devices = ibv_get_device_list(NULL);
	SKIP_IF(!devices || !devices[0], "no RDMA device, and none can be made (rdma_rxe)");
	context = ibv_open_device(devices[0]);
	CHECK(context);
	ibv_free_device_list(devices);
	return context;
}
#endif

static void d8_rdma_memory_region(void)
{
#ifdef HAVE_IBVERBS
	struct ibv_context *context = rxe_open();
	struct ibv_pd *pd = ibv_alloc_pd(context);
	char *va = new_memory();
	struct ibv_mr *mr;

	CHECK(pd);
	mr = ibv_reg_mr(pd, va, LEN, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
	if (!mr)
		FAIL("ibv_reg_mr: %m");
	check_pinned_until(va, LEN, deregister, mr);
	CHECK_EQ(ibv_dealloc_pd(pd), 0);
	CHECK_EQ(ibv_close_device(context), 0);
#else
	check_skip("built without libibverbs");
#endif
}

/* A block device in memory: shmem has no O_DIRECT of its own on 6.1. */
static int loop_open(int backing)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), number, fd;
	struct loop_config config = { .fd = (uint32_t)backing };
	char path[32];

	if (control < 0 && !system("modprobe loop 2>/dev/null"))
		control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	SKIP_IF(control < 0, "the kernel has no loop device");
	number = ioctl(control, LOOP_CTL_GET_FREE);
	CHECK_OK(number);
	close(control);
	snprintf(path, sizeof(path), "/dev/loop%d", number);
	fd = open(path, O_RDWR | O_CLOEXEC);
	CHECK_OK(fd);
	CHECK_OK(ioctl(fd, LOOP_CONFIGURE, &config));
	close(fd);
	fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	CHECK_OK(fd);
	return fd;
}

static void d8_o_direct(void)
{
	int backing = memfd_create("disk", MFD_CLOEXEC), loop;
	uint64_t *frames;
	char *va, *text;

	CHECK_OK(backing);
	CHECK_OK(ftruncate(backing, LEN));
	text = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, backing, 0);
	CHECK_OK(text);
	memset(text, 0x6e, LEN);
	loop = loop_open(backing);
	va = new_memory();
	frames = pagemap_frames(va, LEN);
	CHECK_EQ(pread(loop, va, LEN, 0), LEN);
	CHECK(is_filled(va, LEN, 0x6e));
	CHECK(frames_are(va, LEN, frames));
	memset(va, 0x3c, LEN);
	CHECK_EQ(pwrite(loop, va + 512, LEN / 2, 512), LEN / 2);
	CHECK_OK(fsync(loop));
	CHECK(is_filled(text + 512, LEN / 2, 0x3c));
	CHECK_OK(ioctl(loop, LOOP_CLR_FD));
	close(loop);
	munmap(va, LEN);
	CHECK_EQ(ledger_wait(0), 0);
	free(frames);
}

/* In a pipe: not pinned for long, but held; unmapped meanwhile, it is not freed. */
static void d8_vmsplice(void)
{
	struct iovec iov = { .iov_len = 8 * PAGE };
	unsigned char got[8 * 4096];
	char *va = new_memory();
	int ends[2];

	CHECK_OK(pipe2(ends, O_CLOEXEC));
	memset(va, 0x2f, LEN);
	iov.iov_base = va + MIB;
	CHECK_EQ(vmsplice(ends[1], &iov, 1, 0), 8 * PAGE);
	munmap(va, LEN);
	CHECK_EQ(ledger_lines(), 1);
	CHECK_EQ(read(ends[0], got, sizeof(got)), sizeof(got));
	CHECK(is_filled(got, sizeof(got), 0x2f));
	CHECK_EQ(ledger_wait(0), 0);
}

const struct test pin_tests[] = {
	TEST_FRONTS(d8_vfio_type1, FRONT_ALL),
	TEST_FRONTS(d8_iommufd, FRONT_IOCTL | FRONT_MMAP),
	TEST_FRONTS(d8_io_uring_registered_buffer, FRONT_ALL),
	TEST_FRONTS(d8_af_xdp_umem, FRONT_IOCTL | FRONT_MMAP),
	TEST_FRONTS(d8_rdma_memory_region, FRONT_IOCTL | FRONT_MMAP),
	TEST_FRONTS(d8_o_direct, FRONT_ALL),
	TEST_FRONTS(d8_vmsplice, FRONT_IOCTL | FRONT_MMAP),
	TESTS_END,
};
