// SPDX-License-Identifier: BSD-3-Clause
#include "sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
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
