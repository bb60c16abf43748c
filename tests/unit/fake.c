// SPDX-License-Identifier: BSD-3-Clause
#include "fake.h"
#include "fake_internal.h"
#include "fake_iommufd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <vdma/uapi/map_contig.h>

#include "../../libvdma/sys.h"

#define MAX_NODES 512

struct fake fake;

struct node {
	char path[128];
	char text[512];
	bool link;
	int err;
};

struct fake_fd fake_fds[FAKE_FDS];
static struct node nodes[MAX_NODES];
static size_t nnodes;
static size_t real_fds; /* eventfds, memfds, and /proc/self/maps */
static size_t mapped;
static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

bool fake_lock(void)
{
	pthread_mutex_lock(&lock);
	return true;
}

void fake_unlock(bool *locked)
{
	(void)locked;
	pthread_mutex_unlock(&lock);
}

/* The nth call fails if a test wants that. */
static int injected_into(const char *call)
{
	FAKE_LOCKED;

	if (++fake.calls != fake.fail_at)
		return 0;
	fake.failed_call = call;
	return -fake.fail_err;
}

#define injected() injected_into(__func__)

static struct node *find_node(const char *path)
{
	size_t i;

	for (i = 0; i < nnodes; i++)
		if (!strcmp(nodes[i].path, path))
			return &nodes[i];
	return NULL;
}

static struct node *new_node(const char *path)
{
	struct node *n = find_node(path);

	if (!n) {
		if (nnodes == MAX_NODES)
			abort();
		n = &nodes[nnodes++];
	}
	memset(n, 0, sizeof(*n));
	snprintf(n->path, sizeof(n->path), "%s", path);
	return n;
}

void fake_file(const char *path, const char *text)
{
	snprintf(new_node(path)->text, sizeof(nodes->text), "%s", text);
}

void fake_link(const char *path, const char *target)
{
	struct node *n = new_node(path);

	snprintf(n->text, sizeof(n->text), "%s", target);
	n->link = true;
}

void fake_deny(const char *path, int err)
{
	new_node(path)->err = err;
}

static bool below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return !strncmp(path, dir, len) && path[len] == '/';
}

void fake_remove(const char *path)
{
	size_t i = 0;

	while (i < nnodes) {
		if (!strcmp(nodes[i].path, path) || below(nodes[i].path, path))
			nodes[i] = nodes[--nnodes];
		else
			i++;
	}
}

void fake_reset(void)
{
	memset(&fake, 0, sizeof(fake));
	memset(fake_fds, 0, sizeof(fake_fds));
	nnodes = real_fds = mapped = 0;
	fake_vfio_reset();
	fake_iommufd_reset();
	fake_uio_reset();
	fake_contig_reset();

	fake.memlock_limit = UINT64_MAX;
	fake.max_mmap = UINT64_MAX;
	fake.type1v2 = 1;
	fake.entry_limit = 100;
	fake.ranges[0] = (struct vdma_range){ 0, 0xfedfffff };
	fake.ranges[1] = (struct vdma_range){ 0xfef00000, (UINT64_C(1) << 39) - 1 };
	fake.nranges = 2;
	fake.contig_pa = UINT64_C(0x40000000);
	fake.contig_max = UINT64_MAX;
	fake.blocker_node = -1;
	fake.blocker_phys = MAP_CONTIG_PHYS_NONE;
	fake.stray_node = -1;
	fake.limits = (struct map_contig_limits){
		.memlock = MAP_CONTIG_UNLIMITED,
		.user_quota = MAP_CONTIG_UNLIMITED,
		.ceiling = MAP_CONTIG_UNLIMITED,
		.available = UINT64_C(1) << 40,
		.left = UINT64_C(1) << 40,
	};
	fake.largest = UINT64_C(1) << 38;
	fake.hugetlb_free = 4;
	fake_file("/dev/vfio/vfio", "");
	fake_file("/dev/iommu", "");
	fake_file("/dev/map_contig", "");
	fake_file("/proc/meminfo",
		  "MemTotal: 2048000 kB\nMemFree: 1024000 kB\nMemAvailable: 1500000 kB\n");
	fake_file("/sys/devices/system/node/node0", "");
	fake_file("/sys/devices/system/node/node1", "");
	fake_file("/sys/devices/system/node/has_memory", "0-1\n");
	fake_file("/sys/devices/system/node/node0/meminfo",
		  "Node 0 MemTotal: 1024000 kB\nNode 0 MemFree: 1000000 kB\n");
	fake_file("/sys/devices/system/node/node1/meminfo",
		  "Node 1 MemTotal:        1024000 kB\nNode 1 HighMemFree: 1 kB\n"
		  "Node 1 MemFree:          960000 kB\nNode 1 Inactive(file): 40000 kB\n");
	fake_file("/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages", "3\n");
	fake_file("/sys/devices/system/node/node1/hugepages/hugepages-2048kB/free_hugepages",
		  "1\n");
	fake_file("/proc/1/comm", "init\n");
	fake_file("/sys/module/vfio_iommu_type1/parameters/dma_entry_limit", "100\n");
	fake_file("/sys/kernel/iommu_groups/0/type", "DMA\n");
	fake_file("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "6\n");
	fake_file("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "5\n");
	fake_file("/sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages", "1\n");
}

size_t fake_open_files(void)
{
	FAKE_LOCKED;
	size_t i, sum = real_fds;

	for (i = 0; i < FAKE_FDS; i++)
		sum += fake_fds[i].kind != FAKE_FREE;
	return sum;
}

size_t fake_mapped(void)
{
	return mapped;
}

bool fake_is_reserved(const void *va, size_t len)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long first, last, at = (unsigned long)va;
	char line[512], prot[5];

	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx %4s", &first, &last, prot) == 3 && first <= at &&
		    at < last && !strcmp(prot, "---p"))
			at = last;
	fclose(f);
	return at >= (unsigned long)va + len;
}

int fake_new_fd(enum fake_kind kind, int index)
{
	int i;

	for (i = 0; i < FAKE_FDS; i++)
		if (fake_fds[i].kind == FAKE_FREE) {
			memset(&fake_fds[i], 0, sizeof(fake_fds[i]));
			fake_fds[i].kind = kind;
			fake_fds[i].index = index;
			return FAKE_FIRST_FD + i;
		}
	return -EMFILE;
}

const char *vdma_sys_pci_path(void)
{
	const char *path = getenv("FAKE_PCI_PATH");

	return path ? path : "/nonexistent";
}

int vdma_sys_open(const char *path, int flags)
{
	FAKE_LOCKED;
	const struct node *n;
	int err = injected();

	if (err)
		return err;
	if (!strcmp(path, "/proc/self/maps")) {
		err = open(path, flags | O_CLOEXEC);
		real_fds += err >= 0;
		return err < 0 ? -errno : err;
	}
	n = find_node(path);
	if (!n)
		return -ENOENT;
	if (n->err)
		return -n->err;
	if (!strncmp(path, "/dev/vfio/", 10))
		return fake_vfio_open(path);
	if (!strcmp(path, "/dev/iommu"))
		return fake_new_fd(FAKE_IOMMUFD, fake_iommufd_open());
	if (!strcmp(path, MAP_CONTIG_DEVICE))
		return fake_new_fd(FAKE_CONTIG, 0);
	if (!strncmp(path, "/dev/uio", 8) || !strncmp(path, "/sys/bus/pci/devices/", 21))
		return fake_uio_open(path);
	return fake_new_fd(FAKE_FILE_FD, (int)(n - nodes));
}

void vdma_sys_close(int fd)
{
	FAKE_LOCKED;
	int i = fd - FAKE_FIRST_FD;

	if (i < 0) {
		real_fds--;
		close(fd);
		return;
	}
	if (fake_fds[i].closed)
		abort(); /* twice */
	switch (fake_fds[i].kind) {
	case FAKE_FREE: abort(); /* the same */
	case FAKE_IOMMUFD: fake_iommufd_close(fake_fds[i].index); break;
	case FAKE_UIO: fake_uio_close(i); break;
	default:
		if (!fake_vfio_close(i))
			return;
	}
	fake_fds[i].kind = FAKE_FREE;
}

int vdma_sys_ioctl(int fd, unsigned long request, void *arg)
{
	FAKE_LOCKED;
	int i = fd - FAKE_FIRST_FD, err = injected();

	if (err) {
		fake.failed_request = request;
		return err;
	}
	if (i < 0 || i >= FAKE_FDS || fake_fds[i].kind == FAKE_FREE || fake_fds[i].closed)
		return -EBADF;
	if (request == fake.fail_request && fake.fail_request_err) {
		if (!fake.fail_request_skip) {
			err = -fake.fail_request_err;
			fake.failed_request = request;
			fake.fail_request_err = 0;
			if (fake.fail_memlock)
				fake.memlock_limit = fake.fail_memlock;
			return err;
		}
		fake.fail_request_skip--;
	}
	switch (fake_fds[i].kind) {
	case FAKE_CONTIG: return fake_contig_ioctl(i, request, arg);
	case FAKE_IOMMUFD: return fake_iommufd_ioctl(fake_fds[i].index, request, arg);
	default: return fake_vfio_ioctl(i, request, arg);
	}
}

int vdma_sys_mmap(void *addr, size_t len, int prot, int flags, int fd, uint64_t offset, void **out)
{
	FAKE_LOCKED;
	int i = fd - FAKE_FIRST_FD, err = injected();
	void *va;

	if (err)
		return err;
	if (fd < 0 && len > fake.max_mmap)
		return -ENOMEM;
	if (i >= 0 && (fake_fds[i].kind == FAKE_CONTIG || fake_fds[i].kind == FAKE_REGION)) {
		if (!(flags & MAP_SHARED) || offset)
			return -EINVAL;
		if (fake_fds[i].kind == FAKE_REGION && len > fake_fds[i].length)
			return -ENXIO;
		err = fake_fds[i].kind == FAKE_CONTIG ? fake.contig_err : fake.contig_map_err;
	}
	if (err) {
		/* As the kernel: what was there is gone before the driver is asked. */
		munmap(addr, len);
		fake_vfio_unmapped(addr, len);
		if (!fake.foreign)
			mapped -= len;
		else
			mmap(addr, 4096, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		return -err;
	}
	if (i >= 0 && !fake_vfio_may_map(i, len, offset))
		return -EINVAL;
	if (flags & MAP_HUGETLB) {
		if (len >> 21 > fake.hugetlb_free)
			return -ENOMEM;
		flags &= (1 << MAP_HUGE_SHIFT) - 1 - MAP_HUGETLB;
	}
	/* A file that is real stays so. */
	if (fd >= FAKE_FIRST_FD) {
		flags |= MAP_ANONYMOUS;
		fd = -1;
	}
	va = mmap(addr, len, prot, flags, fd, fd < 0 ? 0 : (off_t)offset);
	if (va == MAP_FAILED) {
		err = -errno;
		/* Too much for this machine: what was there may be gone by now, or not. */
		if (flags & MAP_FIXED && !munmap(addr, len)) {
			fake_vfio_unmapped(addr, len);
			mapped -= len;
		}
		return err;
	}
	if (flags & MAP_FIXED_NOREPLACE && va != addr) {
		munmap(va, len);
		return -EEXIST;
	}
	if (!(flags & MAP_FIXED))
		mapped += len;
	fake_vfio_mapped(i, va, len);
	*out = va;
	return 0;
}

int vdma_sys_keep_over_exec(int fd)
{
	FAKE_LOCKED;
	int err = injected();

	if (!err)
		fake_fds[fd - FAKE_FIRST_FD].kept = true;
	return err;
}

int vdma_sys_dup(int fd)
{
	FAKE_LOCKED;
	int err = injected();

	if (err)
		return err;
	if (fd >= FAKE_FIRST_FD)
		return fake_uio_dup(fd - FAKE_FIRST_FD);
	err = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	real_fds += err >= 0;
	return err < 0 ? -errno : err;
}

int vdma_sys_lock(int fd)
{
	FAKE_LOCKED;
	int err = injected();

	return err ? err : fake_uio_lock(fd - FAKE_FIRST_FD);
}

bool fake_is_kept(int fd)
{
	return fake_fds[fd - FAKE_FIRST_FD].kept;
}

const struct map_contig_configure *fake_configuration(int fd)
{
	return &fake_fds[fd - FAKE_FIRST_FD].config;
}

static int unmap(void *addr, size_t len)
{
	FAKE_LOCKED;

	if (munmap(addr, len))
		return -errno;
	fake_vfio_unmapped(addr, len);
	mapped -= len;
	return 0;
}

int vdma_sys_munmap(void *addr, size_t len)
{
	void (*at_unmap)(void) = fake.at_unmap;

	if (at_unmap) {
		fake.at_unmap = NULL;
		at_unmap();
	}
	return unmap(addr, len);
}

int vdma_sys_madvise(void *addr, size_t len, int advice)
{
	FAKE_LOCKED;
	int err = injected();

	if (!err && fake.populate_err && advice == MADV_POPULATE_WRITE)
		err = -fake.populate_err;
	if (err || (fake.lazy && advice == MADV_POPULATE_WRITE))
		return err;
	return madvise(addr, len, advice) ? -errno : 0;
}

int vdma_sys_bind_node(void *addr, size_t len, unsigned int node)
{
	FAKE_LOCKED;
	int err = injected();

	if (err || fake.bind_err)
		return err ? err : -fake.bind_err;
	fake.bound.va = addr;
	fake.bound.len = len;
	fake.bound.node = node;
	return 0;
}

int vdma_sys_nodes_of(void **pages, size_t n, int *on)
{
	FAKE_LOCKED;
	int err = injected();
	size_t i;

	for (i = 0; i < n && !err; i++) {
		size_t at = (size_t)((const char *)pages[i] - fake.bound.va);

		on[i] = fake.stray_node;
		/* Every other one is swapped out. */
		if (on[i] < 0)
			on[i] = at >= fake.bound.len || at / 4096 % 2 ? -ENOENT :
									(int)fake.bound.node;
	}
	return err;
}

ssize_t vdma_sys_read(int fd, void *buf, size_t len)
{
	FAKE_LOCKED;
	int err = injected();
	ssize_t n;

	if (err)
		return err;
	if (fd >= FAKE_FIRST_FD)
		return fake_uio_read(fd - FAKE_FIRST_FD, buf, len);
	n = read(fd, buf, len);
	return n < 0 ? -errno : n;
}

static bool is_uio(int fd)
{
	enum fake_kind kind = fake_fds[fd - FAKE_FIRST_FD].kind;

	return kind == FAKE_UIO_CONFIG || kind == FAKE_UIO_RESET;
}

ssize_t vdma_sys_pread(int fd, void *buf, size_t len, uint64_t offset)
{
	FAKE_LOCKED;
	uint8_t *config = fake_vfio_config(fd - FAKE_FIRST_FD, len, offset);
	int err = injected();

	if (err)
		return err;
	if (is_uio(fd))
		return fake_uio_config(fd - FAKE_FIRST_FD, buf, len, offset, false);
	if (!config)
		return -EINVAL;
	memcpy(buf, config, len);
	return (ssize_t)len;
}

ssize_t vdma_sys_pwrite(int fd, const void *buf, size_t len, uint64_t offset)
{
	FAKE_LOCKED;
	int err = injected();
	uint8_t *config;

	if (err)
		return err;
	if (fd < FAKE_FIRST_FD) { /* a memfd */
		ssize_t n = pwrite(fd, buf, len, (off_t)offset);

		return n < 0 ? -errno : n;
	}
	if (is_uio(fd))
		return fake_uio_config(fd - FAKE_FIRST_FD, (void *)(uintptr_t)buf, len, offset,
				       true);
	config = fake_vfio_config(fd - FAKE_FIRST_FD, len, offset);
	if (!config)
		return -EINVAL;
	memcpy(config, buf, len);
	return (ssize_t)len;
}

int vdma_sys_eventfd(void)
{
	FAKE_LOCKED;
	int err = injected(), fd;

	if (err)
		return err;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	real_fds += fd >= 0;
	return fd < 0 ? -errno : fd;
}

int vdma_sys_eventfd_signal(int fd)
{
	FAKE_LOCKED;
	uint64_t one = 1;
	int err = injected();

	if (err)
		return err;
	return write(fd, &one, sizeof(one)) == sizeof(one) ? 0 : -errno;
}

int vdma_sys_memfd(const char *name)
{
	FAKE_LOCKED;
	int err = injected(), fd;

	if (err)
		return err;
	fd = memfd_create(name, MFD_CLOEXEC);
	real_fds += fd >= 0;
	return fd < 0 ? -errno : fd;
}

/* Hugetlb pages are ordinary ones here, as many as there are said to be. */
int vdma_sys_memory_file(const char *name, unsigned int huge_shift, uint64_t len)
{
	FAKE_LOCKED;
	int err = injected(), fd;

	if (err)
		return err;
	/* The pool has pages of 2 MiB. */
	if (huge_shift && (huge_shift != 21 || len >> huge_shift > fake.hugetlb_free))
		return -ENOMEM;
	fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)len) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		abort();
	real_fds++;
	return fd;
}

/* Of files that a test has, and of what the machine lends. */
int vdma_sys_file_stat(int fd, struct vdma_sys_file *file)
{
	FAKE_LOCKED;
	int err = injected();
	struct stat st;

	if (err)
		return err;
	*file = (struct vdma_sys_file){ .page = fake.file_page ? fake.file_page : 4096 };
	if (fd >= FAKE_FIRST_FD) {
		file->size = fake_fds[fd - FAKE_FIRST_FD].length;
		return 0;
	}
	if (fstat(fd, &st))
		return -errno;
	file->size = (uint64_t)st.st_size;
	file->regular = S_ISREG(st.st_mode);
	return 0;
}

int vdma_sys_sigaction(int sig, const struct sigaction *action, struct sigaction *old)
{
	int err = injected();

	if (err)
		return err;
	return sigaction(sig, action, old) ? -errno : 0;
}

int vdma_sys_poll_in(int fd, int other, int timeout_ms)
{
	struct pollfd p[] = { { .fd = fd, .events = POLLIN }, { .fd = other, .events = POLLIN } };
	int n, err = injected();

	if (err)
		return err;
	if (fd >= FAKE_FIRST_FD) {
		if (fake_uio_readable(fd - FAKE_FIRST_FD))
			return 1;
		p[0].fd = -1;
	}
	n = poll(p, 2, timeout_ms);
	return n < 0 ? -errno : (p[0].revents != 0) | (p[1].revents != 0) << 1;
}

int vdma_sys_poll_out(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int n, err = injected();

	if (err)
		return err;
	n = poll(&p, 1, timeout_ms);
	return n < 0 ? -errno : n ? 0 : -ETIMEDOUT;
}

int vdma_sys_unix_peer(int fd, pid_t *pid)
{
	FAKE_LOCKED;
	socklen_t len = sizeof(int), cred_len = sizeof(struct ucred);
	int err = injected(), domain, type;
	struct ucred cred;

	if (err)
		return err;
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &cred_len))
		return -errno;
	*pid = cred.pid;
	return domain != AF_UNIX || type != SOCK_SEQPACKET ? -EPROTOTYPE : cred.pid ? 0 : -ENOTCONN;
}

/* In place of a descriptor that is none: as much memory, so that something can be passed on. */
static int stand_in(int fd)
{
	const struct fake_fd *f = &fake_fds[fd - FAKE_FIRST_FD];
	int real = memfd_create("fake", MFD_CLOEXEC);

	if (f->kind == FAKE_FREE || real < 0 || ftruncate(real, (off_t)f->length))
		abort();
	return real;
}

int vdma_sys_send(int fd, const void *msg, size_t len, int passed)
{
	FAKE_LOCKED;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)msg, .iov_len = len };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	int err = injected(), real = passed;

	if (err)
		return err;
	if (passed >= 0) {
		struct cmsghdr *c = (struct cmsghdr *)(void *)control;

		if (passed >= FAKE_FIRST_FD)
			real = stand_in(passed);
		c->cmsg_len = CMSG_LEN(sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(c), &real, sizeof(int));
		header.msg_control = control;
		header.msg_controllen = sizeof(control);
	}
	err = sendmsg(fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
	if (real != passed)
		close(real);
	return err;
}

ssize_t vdma_sys_receive(int fd, void *msg, size_t len, int passed[2], unsigned int *n)
{
	FAKE_LOCKED;
	struct iovec iov = { .iov_base = msg, .iov_len = len };
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))];
	struct msghdr header = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	const struct cmsghdr *c;
	int err = injected();
	ssize_t got;

	*n = 0;
	if (err)
		return err;
	got = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC | MSG_TRUNC);
	if (got < 0)
		return -errno;
	c = CMSG_FIRSTHDR(&header);
	if (c) {
		*n = (unsigned int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(passed, CMSG_DATA(c), *n * sizeof(int));
		real_fds += *n;
	}
	return got;
}

void vdma_sys_hang_up(int fd)
{
	shutdown(fd, SHUT_RDWR);
	vdma_sys_close(fd);
}

int vdma_sys_file_size(int fd, uint64_t *size)
{
	FAKE_LOCKED;
	int err = injected();
	struct stat st;

	if (err)
		return err;
	if (fstat(fd, &st))
		return -errno;
	*size = (uint64_t)st.st_size;
	return 0;
}

int vdma_sys_read_file(const char *path, char *buf, size_t size)
{
	FAKE_LOCKED;
	const struct node *n = find_node(path);
	int err = injected();

	if (err)
		return err;
	if (!strcmp(path, "/proc/self/status")) {
		snprintf(buf, size, "Name:\ttest\nVmLck:\t%8llu kB\nCapEff:\t%016llx\n",
			 (unsigned long long)(fake.locked >> 10),
			 fake.cap_ipc_lock ? 1ull << 14 : 0ull);
		return 0;
	}
	if (!n || n->link)
		return -ENOENT;
	if (n->err)
		return -n->err;
	snprintf(buf, size, "%s", n->text);
	return 0;
}

int vdma_sys_readlink(const char *path, char *buf, size_t size)
{
	FAKE_LOCKED;
	const struct node *n = find_node(path);
	int err = injected();

	if (err)
		return err;
	if (!n || !n->link)
		return -ENOENT;
	snprintf(buf, size, "%s", n->text);
	return 0;
}

int vdma_sys_exists(const char *path)
{
	FAKE_LOCKED;
	int err = injected();
	size_t i;

	if (err)
		return err;
	for (i = 0; i < nnodes; i++)
		if (!strcmp(nodes[i].path, path) || below(nodes[i].path, path))
			return 0;
	return -ENOENT;
}

int vdma_sys_list(const char *path, int (*fn)(const char *name, void *ctx), void *ctx)
{
	FAKE_LOCKED;
	size_t len = strlen(path), i, j;
	int ret = injected();

	if (ret)
		return ret;
	for (i = 0; i < nnodes && !ret; i++) {
		char name[128];

		if (!below(nodes[i].path, path))
			continue;
		snprintf(name, sizeof(name), "%s", nodes[i].path + len + 1);
		name[strcspn(name, "/")] = '\0';
		/* Each entry once, though several nodes lie below it. */
		for (j = 0; j < i; j++)
			if (below(nodes[j].path, path) &&
			    !strncmp(nodes[j].path + len + 1, name, strlen(name)) &&
			    (nodes[j].path[len + 1 + strlen(name)] == '/' ||
			     !nodes[j].path[len + 1 + strlen(name)]))
				break;
		if (j == i)
			ret = fn(name, ctx);
	}
	return ret;
}

int vdma_sys_memlock_limit(uint64_t *limit)
{
	FAKE_LOCKED;
	int err = injected();

	if (err)
		return err;
	*limit = fake.memlock_limit;
	return 0;
}

size_t vdma_sys_page_size(void)
{
	return 4096;
}

uint64_t vdma_sys_now_ns(void)
{
	static uint64_t clock;
	struct timespec ts;

	if (fake.clock_step)
		return clock += fake.clock_step;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

pid_t vdma_sys_tid(void)
{
	return gettid();
}

pid_t vdma_sys_pid(void)
{
	return FAKE_PID;
}
