/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The system calls that the library makes, and nothing else makes them. All
 * return 0 (or what is said) or -errno. Unit tests link a substitute.
 */
#ifndef VDMA_INTERNAL_SYS_H
#define VDMA_INTERNAL_SYS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Where libpci looks for the PCI bus. */
const char *vdma_sys_pci_path(void);

/* A descriptor, close-on-exec. */
int vdma_sys_open(const char *path, int flags);
void vdma_sys_close(int fd);

/* A second descriptor of the same open file, close-on-exec. */
int vdma_sys_dup(int fd);

/* Locks the open file (flock) until it is closed; -EWOULDBLOCK if somebody has. */
int vdma_sys_lock(int fd);

/* No longer close-on-exec. */
int vdma_sys_keep_over_exec(int fd);

/* What the ioctl returned. */
int vdma_sys_ioctl(int fd, unsigned long request, void *arg);

int vdma_sys_mmap(void *addr, size_t len, int prot, int flags, int fd, uint64_t offset, void **out);
int vdma_sys_munmap(void *addr, size_t len);
int vdma_sys_madvise(void *addr, size_t len, int advice);

/* What is not populated yet comes from that NUMA node, 0 to 1023, or not at all. */
int vdma_sys_bind_node(void *addr, size_t len, unsigned int node);

/* The nodes that @n pages of this process lie on, negative where one is not there. */
int vdma_sys_nodes_of(void **pages, size_t n, int *nodes);

/* Bytes read or written. */
ssize_t vdma_sys_read(int fd, void *buf, size_t len);
ssize_t vdma_sys_pread(int fd, void *buf, size_t len, uint64_t offset);
ssize_t vdma_sys_pwrite(int fd, const void *buf, size_t len, uint64_t offset);

/* A descriptor, close-on-exec and nonblocking. */
int vdma_sys_eventfd(void);

/* A file without a name, empty; close-on-exec. */
int vdma_sys_memfd(const char *name);

/*
 * A file without a name of @len bytes of memory, which nobody can make shorter;
 * close-on-exec. @huge_shift: log2 of its hugetlb pages, or 0.
 */
int vdma_sys_memory_file(const char *name, unsigned int huge_shift, uint64_t len);

struct vdma_sys_file {
	uint64_t size; /* bytes; 0 where it has none to tell */
	uint64_t page; /* the unit in which it is mapped */
	bool regular;  /* so its size is where it ends */
};

int vdma_sys_file_stat(int fd, struct vdma_sys_file *file);

/* From a handler, too. */
int vdma_sys_sigaction(int sig, const struct sigaction *action, struct sigaction *old);

/*
 * Which of two is readable: bit 0 is @fd, bit 1 is @other; 0 if none is within the time.
 * Negative ones are left out.
 */
int vdma_sys_poll_in(int fd, int other, int timeout_ms);

/* Until it can be written to, or a signal comes; -ETIMEDOUT. */
int vdma_sys_poll_out(int fd, int timeout_ms);

/*
 * Who is at the other end of a Unix socket that keeps the bounds of messages:
 * -EPROTOTYPE if it is another, -ENOTCONN if nobody is.
 */
int vdma_sys_unix_peer(int fd, pid_t *pid);

/* A message with a descriptor (-1: without), or -EAGAIN if there is no room. */
int vdma_sys_send(int fd, const void *msg, size_t len, int passed);

/*
 * The bytes of a message, also if it has more than @len; 0 at the end; -EAGAIN if there
 * is none. The *@n descriptors that came with it are the caller's, close-on-exec; of
 * more than two the rest is gone.
 */
ssize_t vdma_sys_receive(int fd, void *msg, size_t len, int passed[2], unsigned int *n);

/* Closes it, and ends the connection, though others may have descriptors of it. */
void vdma_sys_hang_up(int fd);

int vdma_sys_file_size(int fd, uint64_t *size);

/* Adds one to an eventfd. */
int vdma_sys_eventfd_signal(int fd);

/* A whole small file as a string, cut to @size - 1. */
int vdma_sys_read_file(const char *path, char *buf, size_t size);

/* What a symbolic link says, cut to @size - 1. */
int vdma_sys_readlink(const char *path, char *buf, size_t size);

/* 0 if the path exists. */
int vdma_sys_exists(const char *path);

/* @fn for each entry but . and .., until it returns other than 0. */
int vdma_sys_list(const char *path, int (*fn)(const char *name, void *ctx), void *ctx);

/* Soft limit in bytes, UINT64_MAX for none. */
int vdma_sys_memlock_limit(uint64_t *limit);

size_t vdma_sys_page_size(void);
uint64_t vdma_sys_now_ns(void);
pid_t vdma_sys_pid(void);
pid_t vdma_sys_tid(void);

#endif
