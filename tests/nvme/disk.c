// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nvme_tests.h"

void disk_works(const char *why, int err, const char *call, const char *file, int line)
{
	if (err) {
		print_error("%s = %d\n%s\n", call, err, why);
		_fail(file, line);
	}
}

void disk_open(struct disk *d, const char *bdf, const struct nvme_opts *opts)
{
	memset(d, 0, sizeof(*d));
	d->s = space_create();
	DISK_WORKS(d->nvme.why, nvme_open(&d->nvme, d->s.arena, d->s.ioas, bdf, opts));
	DISK_WORKS(d->nvme.why, nvme_ns_open(&d->ns, &d->nvme, 1));
}

void disk_close(struct disk *d)
{
	DISK_WORKS(d->nvme.why, nvme_close(&d->nvme));
	space_destroy(&d->s);
	assert_int_equal(ledger_wait(0), 0);
}

static void bind(const char *bdf, const char *driver)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver/unbind", bdf);
	file_write(path, bdf);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver_override", bdf);
	file_write(path, driver);
	file_write("/sys/bus/pci/drivers_probe", bdf);
}

/* The kernel looks at the disk on a thread of its own. */
void give_to_kernel(const char *bdf, char *path, size_t size)
{
	double start = now_ms();
	char pattern[96];
	glob_t found;

	if (access("/sys/bus/pci/drivers/nvme", F_OK))
		assert_int_equal(system("modprobe nvme"), 0);
	bind(bdf, "nvme");
	snprintf(pattern, sizeof(pattern), "/sys/bus/pci/devices/%s/nvme/nvme*/nvme*n1", bdf);
	while (glob(pattern, 0, NULL, &found)) {
		if (now_ms() - start > 20000)
			fail_msg("the kernel's driver made no block device of %s", bdf);
		usleep(20 * 1000);
	}
	snprintf(path, size, "/dev/%s", strrchr(found.gl_pathv[0], '/') + 1);
	globfree(&found);
	while (access(path, R_OK | W_OK)) {
		if (now_ms() - start > 20000)
			fail_msg("%s did not appear", path);
		usleep(20 * 1000);
	}
}

void take_from_kernel(const char *bdf)
{
	bind(bdf, "vfio-pci");
}

void image_path(unsigned int n, char *path, size_t size)
{
	snprintf(path, size, "%s/nvme%u.img", getenv("VDMA_RESULTS"), n);
}

void compare_file(const struct nvme_verify *v, const char *path, int flags)
{
	size_t step = MIB, len = v->ns.block_len;
	uint64_t total = v->ns.blocks * len, at = 0;
	uint8_t *got = aligned_alloc(PAGE, step), *want = malloc(len);
	int fd = open(path, O_RDONLY | O_CLOEXEC | flags);

	if (fd < 0)
		fail_msg("%s: %s", path, strerror(errno));
	while (at < total) {
		ssize_t n = pread(fd, got, total - at < step ? total - at : step, (off_t)at);

		if (n <= 0 || (size_t)n % len)
			fail_msg("%s at %llu: %s", path, (unsigned long long)at, strerror(errno));
		for (ssize_t i = 0; i < n; i += (ssize_t)len, at += len) {
			nvme_verify_block(v, at / len, want);
			if (memcmp(got + i, want, len))
				fail_msg("%s: block %llu is another than that which was written",
					 path, (unsigned long long)(at / len));
		}
	}
	close(fd);
	free(got);
	free(want);
}
