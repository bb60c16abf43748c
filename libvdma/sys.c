// SPDX-License-Identifier: BSD-3-Clause
#include "sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mempolicy.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

const char *vdma_sys_pci_path(void)
{
	return "/sys/bus/pci";
}

/*
 * Not open() and close(): those are cancellation points, and a thread that ends
 * between them would leave descriptors behind.
 */
int vdma_sys_open(const char *path, int flags)
{
	long fd = syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC);

	return fd < 0 ? -errno : (int)fd;
}

void vdma_sys_close(int fd)
{
	syscall(SYS_close, fd);
}

int vdma_sys_dup(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return copy < 0 ? -errno : copy;
}

int vdma_sys_lock(int fd)
{
	return flock(fd, LOCK_EX | LOCK_NB) ? -errno : 0;
}

int vdma_sys_keep_over_exec(int fd)
{
	return fcntl(fd, F_SETFD, 0) ? -errno : 0;
}

int vdma_sys_ioctl(int fd, unsigned long request, void *arg)
{
	int ret = ioctl(fd, request, arg);

	return ret < 0 ? -errno : ret;
}

int vdma_sys_mmap(void *addr, size_t len, int prot, int flags, int fd, uint64_t offset, void **out)
{
	void *va = mmap(addr, len, prot, flags, fd, (off_t)offset);

	if (va == MAP_FAILED)
		return -errno;
	/* Who does not know the flag (Valgrind 3.19) takes the address for a wish. */
	if (flags & MAP_FIXED_NOREPLACE && va != addr) {
		munmap(va, len);
		return -EEXIST;
	}
	*out = va;
	return 0;
}

int vdma_sys_munmap(void *addr, size_t len)
{
	return munmap(addr, len) ? -errno : 0;
}

int vdma_sys_madvise(void *addr, size_t len, int advice)
{
	return madvise(addr, len, advice) ? -errno : 0;
}

/* By themselves, for libnuma comes with state and a constructor. */
int vdma_sys_bind_node(void *addr, size_t len, unsigned int node)
{
	unsigned long mask[1024 / 64] = { 0 };

	mask[node / 64] = 1UL << node % 64;
	/* The kernel takes one bit less than it is told. */
	return syscall(SYS_mbind, addr, len, MPOL_BIND, mask, 1024UL + 1, 0UL) ? -errno : 0;
}

int vdma_sys_nodes_of(void **pages, size_t n, int *nodes)
{
	return syscall(SYS_move_pages, 0, n, pages, NULL, nodes, 0) < 0 ? -errno : 0;
}

ssize_t vdma_sys_read(int fd, void *buf, size_t len)
{
	ssize_t n = read(fd, buf, len);

	return n < 0 ? -errno : n;
}

ssize_t vdma_sys_pread(int fd, void *buf, size_t len, uint64_t offset)
{
	ssize_t n = pread(fd, buf, len, (off_t)offset);

	return n < 0 ? -errno : n;
}

ssize_t vdma_sys_pwrite(int fd, const void *buf, size_t len, uint64_t offset)
{
	ssize_t n = pwrite(fd, buf, len, (off_t)offset);

	return n < 0 ? -errno : n;
}

int vdma_sys_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

int vdma_sys_eventfd_signal(int fd)
{
	uint64_t one = 1;

	return write(fd, &one, sizeof(one)) == sizeof(one) ? 0 : -errno;
}

int vdma_sys_memfd(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int vdma_sys_memory_file(const char *name, unsigned int huge_shift, uint64_t len)
{
	unsigned int huge = huge_shift ? MFD_HUGETLB | huge_shift << MAP_HUGE_SHIFT : 0;
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | huge), err;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)len) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		err = -errno;
		vdma_sys_close(fd);
		return err;
	}
	return fd;
}

int vdma_sys_file_stat(int fd, struct vdma_sys_file *file)
{
	struct statfs fs;
	struct stat st;

	if (fstat(fd, &st) || fstatfs(fd, &fs))
		return -errno;
	file->size = (uint64_t)st.st_size;
	file->regular = S_ISREG(st.st_mode);
	file->page = fs.f_type == HUGETLBFS_MAGIC ? (uint64_t)fs.f_bsize : vdma_sys_page_size();
	return 0;
}

int vdma_sys_sigaction(int sig, const struct sigaction *action, struct sigaction *old)
{
	return sigaction(sig, action, old) ? -errno : 0;
}

int vdma_sys_poll_in(int fd, int other, int timeout_ms)
{
	struct pollfd p[] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = other, .events = POLLIN },
	};
	int n = poll(p, 2, timeout_ms);

	return n < 0 ? -errno : (p[0].revents != 0) | (p[1].revents != 0) << 1;
}

int vdma_sys_poll_out(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int n = poll(&p, 1, timeout_ms);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	return n ? 0 : -ETIMEDOUT;
}

int vdma_sys_unix_peer(int fd, pid_t *pid)
{
	int domain = 0, type = 0;
	socklen_t len = sizeof(int);
	struct ucred cred;

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len))
		return -errno;
	if (domain != AF_UNIX || type != SOCK_SEQPACKET)
		return -EPROTOTYPE;
	len = sizeof(cred);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return -errno;
	/* Nobody's, as long as it is not connected. (The pid is 0 for one of another PID namespace.) */
	if (cred.uid == (uid_t)-1)
		return -ENOTCONN;
	*pid = cred.pid;
	return 0;
}

/* Room for two descriptors, lest one too many be taken for none; and for SO_PASSCRED's. */
union control {
	struct cmsghdr head;
	char room[CMSG_SPACE(2 * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
};

int vdma_sys_send(int fd, const void *msg, size_t len, int passed)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)msg, .iov_len = len };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control control;

	if (passed >= 0) {
		memset(&control, 0, sizeof(control));
		control.head.cmsg_len = CMSG_LEN(sizeof(int));
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(&control.head), &passed, sizeof(int));
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(sizeof(int));
	}
	return sendmsg(fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

ssize_t vdma_sys_receive(int fd, void *msg, size_t len, int passed[2], unsigned int *n)
{
	struct iovec iov = { .iov_base = msg, .iov_len = len };
	union control control;
	struct msghdr header = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t got = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC | MSG_TRUNC);
	int all[sizeof(control.room) / sizeof(int)];
	unsigned int i, count = 0;
	struct cmsghdr *c;

	if (got < 0)
		return -errno;
	for (c = CMSG_FIRSTHDR(&header); c; c = CMSG_NXTHDR(&header, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (unsigned int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(all, CMSG_DATA(c), count * sizeof(int));
	}
	*n = count < 2 ? count : 2;
	memcpy(passed, all, *n * sizeof(int));
	for (i = *n; i < count; i++)
		close(all[i]);
	/* There was no descriptor free for one that came; or many more came than should. */
	if (header.msg_flags & MSG_CTRUNC) {
		while (*n)
			close(passed[--*n]);
		return -EMFILE;
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
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	*size = (uint64_t)st.st_size;
	return 0;
}

int vdma_sys_read_file(const char *path, char *buf, size_t size)
{
	int fd = vdma_sys_open(path, O_RDONLY);
	size_t used = 0;
	ssize_t n;

	if (fd < 0)
		return fd;
	do {
		n = read(fd, buf + used, size - 1 - used);
		if (n < 0) {
			int err = -errno;

			close(fd);
			return err;
		}
		used += (size_t)n;
	} while (n > 0 && used < size - 1);
	close(fd);
	buf[used] = '\0';
	return 0;
}

int vdma_sys_readlink(const char *path, char *buf, size_t size)
{
	ssize_t n = readlink(path, buf, size - 1);

	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return 0;
}

int vdma_sys_exists(const char *path)
{
	return access(path, F_OK) ? -errno : 0;
}

int vdma_sys_list(const char *path, int (*fn)(const char *name, void *ctx), void *ctx)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int ret = 0;

	if (!dir)
		return -errno;
	while (!ret && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			ret = fn(entry->d_name, ctx);
	closedir(dir);
	return ret;
}

int vdma_sys_memlock_limit(uint64_t *limit)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_MEMLOCK, &rl))
		return -errno;
	*limit = rl.rlim_cur == RLIM_INFINITY ? UINT64_MAX : rl.rlim_cur;
	return 0;
}

size_t vdma_sys_page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

uint64_t vdma_sys_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

pid_t vdma_sys_pid(void)
{
	return getpid();
}

pid_t vdma_sys_tid(void)
{
	return gettid();
}
