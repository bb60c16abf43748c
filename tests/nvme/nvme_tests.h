/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of drivers-example/nvme share; they run in a guest (CMakeLists.txt). */
#ifndef NVME_TESTS_H
#define NVME_TESTS_H

#include <guest.h>
#include <nvme.h>
#include <verify.h>

#define THREADS 4

/* Path of vdma-nvme, and of this program. */
extern const char *program_path;
extern const char *own_path;

/* A disk with a namespace, opened by the driver. */
struct disk {
	struct space s;
	struct nvme nvme;
	struct nvme_ns ns;
};
void disk_open(struct disk *d, const char *bdf, const struct nvme_opts *opts);
/* It shuts down in order, and nothing is left. */
void disk_close(struct disk *d);

/* Fails the test with the words of the controller, the queue or the verification. */
#define DISK_WORKS(why, call) disk_works((why), (call), #call, __FILE__, __LINE__)
void disk_works(const char *why, int err, const char *call, const char *file, int line);

/* Gives the device to the kernel's driver, path of its block device; and back to VFIO. */
void give_to_kernel(const char *bdf, char *path, size_t size);
void take_from_kernel(const char *bdf);
/* Every byte of the disk as a file has it: the image on the host, or the kernel's device. */
void compare_file(const struct nvme_verify *v, const char *path, int flags);
/* The host's image of the n-th nvme. */
void image_path(unsigned int n, char *path, size_t size);

/* Writes and reads without end, 32 commands at a time, until the queue says otherwise. */
struct load {
	struct nvme_verify *v;
	struct nvme_queue *q;
	pthread_t thread;
	uint64_t chance;
	_Atomic uint64_t begun, ended;
	int err;
	struct vdma_arena *arena;
	struct vdma_buf buf;
};
void load_start(struct load *loads, struct nvme_verify *v);
/* They end with err, or other. */
void load_join(struct load *loads, int err, int other);
void load_end(struct load *loads);
/* What they write, everywhere; so a write that was cut off has changed nothing. */
void load_prepare(struct nvme_verify *v, const struct disk *d);
/* The whole namespace, as the driver reads it. */
void load_check(const struct nvme_verify *v, struct disk *d);
/* The program that is killed. */
int load_for_ever(const char *bdf);

int run_data(void);
int run_program(void);
int run_trouble(void);
int run_kill(void);
int run_gone(void);

#endif
