// SPDX-License-Identifier: BSD-3-Clause
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "observe.h"

#define PM_PRESENT (1ULL << 63)
#define PM_FRAME ((1ULL << 55) - 1)

void *contig_mmap_at(void *addr, size_t len, int prot, int flags)
{
	int fd = open("/dev/map_contig", O_RDWR | O_CLOEXEC);
	void *va;

	if (fd < 0)
		fail_msg("/dev/map_contig: %m");
	va = mmap(addr, len, prot, flags, fd, 0);
	/* The mapping must not need the descriptor. */
	close(fd);
	return va;
}

void *contig_mmap(size_t len)
{
	return contig_mmap_at(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED);
}

static uint64_t *pagemap_read(const void *addr, size_t len)
{
	size_t n = len / PAGE;
	uint64_t *entries = malloc(n * sizeof(*entries));
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	size_t want = n * sizeof(*entries), got = 0;

	assert_non_null(entries);
	assert_true(fd >= 0);
	while (got < want) {
		ssize_t r = pread(fd, (char *)entries + got, want - got,
				  (off_t)((uintptr_t)addr / PAGE * sizeof(*entries) + got));

		if (r <= 0)
			fail_msg("/proc/self/pagemap: %m");
		got += (size_t)r;
	}
	close(fd);
	return entries;
}

uint64_t *pagemap_frames(const void *addr, size_t len)
{
	uint64_t *entries = pagemap_read(addr, len);

	for (size_t i = 0; i < len / PAGE; i++) {
		if (!(entries[i] & PM_PRESENT))
			fail_msg("page %zu of %p is not present", i, addr);
		entries[i] &= PM_FRAME;
		if (!entries[i])
			fail_msg("no frame numbers in pagemap: not root?");
	}
	return entries;
}

bool pagemap_any_present(const void *addr, size_t len)
{
	uint64_t *entries = pagemap_read(addr, len);
	bool any = false;

	for (size_t i = 0; i < len / PAGE; i++)
		any |= (entries[i] & PM_PRESENT) != 0;
	free(entries);
	return any;
}

bool frames_consecutive(const uint64_t *frames, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (frames[i] != frames[0] + i)
			return false;
	return true;
}

/* "Field:   123 kB" in a file, from the line that begins with after on. */
static int64_t field_of(const char *path, const char *after, const char *field)
{
	char line[512], name[64];
	FILE *f = fopen(path, "re");
	bool seen = !after;
	int64_t value;

	if (!f)
		fail_msg("%s: %m", path);
	while (fgets(line, sizeof(line), f)) {
		if (!seen) {
			seen = !strncmp(line, after, strlen(after));
			continue;
		}
		if (sscanf(line, "%63[^:]: %ld", name, &value) == 2 && !strcmp(name, field)) {
			fclose(f);
			return value * (int64_t)KIB;
		}
	}
	fail_msg("%s has no %s", path, field);
	return -1;
}

int64_t meminfo(const char *field)
{
	return field_of("/proc/meminfo", NULL, field);
}

int64_t status(const char *field)
{
	return field_of("/proc/self/status", NULL, field);
}

int64_t smaps(const void *addr, const char *field)
{
	char start[32];

	snprintf(start, sizeof(start), "%lx-", (unsigned long)addr);
	return field_of("/proc/self/smaps", start, field);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		fail_msg("%s: %m", path);
	close(fd);
}

/*
 * Free pages that lie on per-CPU lists; MemFree leaves them out, and since 2 MiB
 * folios are kept there too, it may be by tens of MiB.
 */
static int64_t per_cpu_free(void)
{
	FILE *f = fopen("/proc/zoneinfo", "re");
	int64_t count, pages = 0;
	char line[256];

	if (!f)
		fail_msg("/proc/zoneinfo: %m");
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, " count: %ld", &count) == 1)
			pages += count;
	fclose(f);
	return pages * (int64_t)PAGE;
}

int64_t mem_free_settled(void)
{
	write_file("/proc/sys/vm/drop_caches", "3");
	return meminfo("MemFree") + per_cpu_free();
}

unsigned int ledger_lines(void)
{
	FILE *f = fopen("/sys/kernel/debug/map_contig/ledger", "re");
	unsigned int n = 0;
	char line[512];

	if (!f)
		fail_msg("the ledger: %m");
	while (fgets(line, sizeof(line), f))
		n += line[0] != '#';
	fclose(f);
	return n;
}

unsigned int ledger_wait(unsigned int n)
{
	unsigned int lines = 0;

	for (int i = 0; i < 300; i++) {
		lines = ledger_lines();
		if (lines == n)
			break;
		usleep(10 * 1000);
	}
	return lines;
}

long faults(void)
{
	struct rusage usage;

	assert_return_code(getrusage(RUSAGE_SELF, &usage), 0);
	return usage.ru_minflt + usage.ru_majflt;
}

void memory_churn(void)
{
	int64_t len = meminfo("MemAvailable") - (int64_t)(96 * MIB);
	char *va;

	assert_true(len > 0);
	va = mmap(NULL, (size_t)len, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(va, MAP_FAILED);
	/* Huge and small pages, so that folios of every size have lain everywhere. */
	madvise(va, (size_t)len / 2 / FOLIO * FOLIO, MADV_NOHUGEPAGE);
	memset(va, 0xa5, (size_t)len);
	munmap(va, (size_t)len);
}

int in_child(int (*fn)(void *), void *arg)
{
	int wstatus;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	assert_return_code(pid, 0);
	if (!pid)
		_exit(fn(arg));
	assert_int_equal(waitpid(pid, &wstatus, 0), pid);
	return WIFEXITED(wstatus) ? WEXITSTATUS(wstatus) : 256 + WTERMSIG(wstatus);
}

void become(uid_t uid, size_t memlock)
{
	struct rlimit limit = { memlock, memlock };

	/* Called in a child: a failure must not look like the parent's test. */
	if (setrlimit(RLIMIT_MEMLOCK, &limit) || setgid(uid) || setuid(uid))
		_exit(99);
}

static int iommu_group(const char *bdf)
{
	char path[64], link[256];
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", bdf);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		fail_msg("%s: %m", path);
	link[n] = 0;
	return atoi(strrchr(link, '/') + 1);
}

void vfio_open(struct vfio *vfio)
{
	struct vfio_group_status st = { .argsz = sizeof(st) };
	const char *bdf = getenv("VDMA_BDF_EDU");
	char path[64];

	if (!bdf)
		fail_msg("VDMA_BDF_EDU is not set: run this in scripts/guest --device edu");
	snprintf(path, sizeof(path), "/dev/vfio/%d", iommu_group(bdf));
	vfio->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	vfio->group = open(path, O_RDWR | O_CLOEXEC);
	if (vfio->container < 0 || vfio->group < 0)
		fail_msg("%s: %m", path);
	assert_return_code(ioctl(vfio->group, VFIO_GROUP_GET_STATUS, &st), 0);
	assert_true(st.flags & VFIO_GROUP_FLAGS_VIABLE);
	assert_return_code(ioctl(vfio->group, VFIO_GROUP_SET_CONTAINER, &vfio->container), 0);
	assert_return_code(ioctl(vfio->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
}

void vfio_close(struct vfio *vfio)
{
	close(vfio->group);
	close(vfio->container);
}

int vfio_map(struct vfio *vfio, const void *addr, size_t len, uint64_t iova)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)addr,
		.iova = iova,
		.size = len,
	};

	return ioctl(vfio->container, VFIO_IOMMU_MAP_DMA, &map);
}

int vfio_unmap(struct vfio *vfio, size_t len, uint64_t iova)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = iova,
		.size = len,
	};

	if (ioctl(vfio->container, VFIO_IOMMU_UNMAP_DMA, &unmap))
		return -1;
	return unmap.size == len ? 0 : -1;
}

double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}
