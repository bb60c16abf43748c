/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the guest tests share. They use the library by its public headers; what
 * they see from outside comes from conformance/observe.h.
 */
#ifndef GUEST_H
#define GUEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>
#include <edu.h>
#include <vdma.h>

#include "observe.h"

/* An unprivileged user; children become it. */
#define NOBODY 65534

/* Path of edu-demo. */
extern const char *demo_path;

int run_demo(void);
int run_device(void);
int run_interrupts(void);
int run_memory(void);
int run_constraints(void);
int run_overrun(void);
int run_join(void);
int run_setup(void);
int run_limits(void);
int run_zone(void);
int run_reset(void);
int run_bare(void);
int run_unsafe(void);
int run_combination(void);
int run_superpages(void);
int run_provider(void);
int run_hotplug(void);
int run_ten(void);
int run_probes(void);

/* Address of the guest's device, by the variable that scripts/guest sets. */
const char *bdf_of(const char *variable);

/*
 * Did a call return err, with this cause, and a text that has all words? Prints
 * the text, for a person who reads the log, and what is wrong with it. Works in
 * children, where cmocka's assertions do not.
 */
bool explained(int got, int err, enum vdma_cause cause, const char *const *words);
#define EXPLAINED(call, err, cause, ...) \
	explained((call), -(err), VDMA_CAUSE_##cause, (const char *const[]){ __VA_ARGS__, NULL })

/* Fails the test with the explanation if a call of the library failed. */
#define WORKS(call) works((call), #call, __FILE__, __LINE__)
void works(int err, const char *call, const char *file, int line);
/* The same for the edu driver. */
#define EDU_WORKS(edu, call) edu_works((edu), (call), #call, __FILE__, __LINE__)
void edu_works(const struct edu *edu, int err, const char *call, const char *file, int line);

/* The backend that VDMA_TEST_BACKEND names, type1 or iommufd; without it, the library's choice. */
enum vdma_backend backend(void);
struct vdma_ioas *ioas_of(struct vdma_arena *arena);

/* An arena with an address space. */
struct space {
	struct vdma_arena *arena;
	struct vdma_ioas *ioas;
};
struct space space_create(void);
/* Fails the test if anything is left in it. */
void space_destroy(struct space *space);

/* Memory of provider that a device with bits address bits can reach. */
struct vdma_region *region_of(struct vdma_arena *arena, enum vdma_provider provider, size_t len,
			      unsigned int bits);

/* Sends the first bytes of buf through the device into its last ones. */
void dma_verify(struct edu *edu, const struct vdma_buf *buf, unsigned int seed);

void file_write(const char *path, const char *text);
/* The file without the newline at its end. */
void file_read(const char *path, char *text, size_t size);
bool file_has(const char *path, const char *word);

/* Bytes of the config space as the kernel has it, not VFIO. */
uint32_t sysfs_config(const char *bdf, unsigned int offset, unsigned int width);

/* What the backend opens for a device: /dev/vfio/N, or /dev/vfio/devices/vfioN. */
const char *node_path(const char *bdf);
/* What it opens first: /dev/vfio/vfio or /dev/iommu. */
const char *space_path(void);

/*
 * Runs the commands that the last explanation gives, its lines that begin with
 * two blanks or what follows "as root: ", as a person would.
 */
void follow_remedy(void);

#endif
