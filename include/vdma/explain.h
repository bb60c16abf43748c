/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Why a call failed, in words for a person and in numbers for a program.
 *
 * A call that returns a negative errno leaves its reason with the thread that
 * made it. It stays until that thread's next failed call; calls that succeed
 * do not touch it.
 *
 *	err = vdma_device_open(ioas, bdf, NULL, &dev);
 *	if (err) {
 *		fprintf(stderr, "%s\n", vdma_explain());
 *		return err;
 *	}
 */
#ifndef VDMA_EXPLAIN_H
#define VDMA_EXPLAIN_H

#include <stdint.h>
#include <sys/types.h>
#include <vdma/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * enum vdma_cause - what stood in the way
 * @VDMA_CAUSE_NONE: no call of this thread has failed
 * @VDMA_CAUSE_ARGUMENT: an argument makes no sense
 * @VDMA_CAUSE_BDF: not a PCI address
 * @VDMA_CAUSE_OPTIONS: an option that this library does not know
 * @VDMA_CAUSE_CHILDREN: the object still has children
 * @VDMA_CAUSE_OPEN: this process has the device open already
 * @VDMA_CAUSE_NO_DEVICE: no PCI device at this address
 * @VDMA_CAUSE_NOT_BOUND: the device is not bound to vfio-pci
 * @VDMA_CAUSE_NO_IOMMU: no IOMMU translates for the device
 * @VDMA_CAUSE_NO_VFIO: VFIO's kernel modules are not loaded
 * @VDMA_CAUSE_NO_MODULE: map_contig.ko is not loaded
 * @VDMA_CAUSE_NOT_VIABLE: a kernel driver has part of the group
 * @VDMA_CAUSE_GROUP_BUSY: somebody else has the group open
 * @VDMA_CAUSE_PERMISSION: a device node's permissions
 * @VDMA_CAUSE_PRIVILEGE: RLIMIT_MEMLOCK is 0, and no CAP_IPC_LOCK
 * @VDMA_CAUSE_UNSAFE_IRQ: no interrupt remapping
 * @VDMA_CAUSE_MEMLOCK: RLIMIT_MEMLOCK
 * @VDMA_CAUSE_DMA_ENTRIES: dma_entry_limit of vfio_iommu_type1
 * @VDMA_CAUSE_NO_RUN: no such run of contiguous pages
 * @VDMA_CAUSE_NO_HUGETLB: too few free hugetlb pages
 * @VDMA_CAUSE_NO_MEMORY: no memory, contiguous or not
 * @VDMA_CAUSE_ADDRESS_BITS: no room below the address limit
 * @VDMA_CAUSE_WINDOW: the arena's window is full
 * @VDMA_CAUSE_RESERVE: no room for the arena's window
 * @VDMA_CAUSE_UNREACHABLE: a region outside the IOMMU's reach
 * @VDMA_CAUSE_NOT_THERE: the device has no such BAR, register, vector
 * @VDMA_CAUSE_UNSUPPORTED: the kernel or the device cannot do this
 * @VDMA_CAUSE_TIMEOUT: nothing happened in time
 * @VDMA_CAUSE_SIGNAL: a signal came meanwhile
 * @VDMA_CAUSE_FILES: no free file descriptor
 * @VDMA_CAUSE_TOO_MANY: more objects than the parent can hold
 * @VDMA_CAUSE_SYSTEM: the system answered what it should not
 * @VDMA_CAUSE_QUOTA: the administrator's quota or ceiling
 * @VDMA_CAUSE_DEADLINE: the memory was not found in time
 * @VDMA_CAUSE_FORKED: the object is the parent process's
 * @VDMA_CAUSE_GONE: the device was given back, or has to be
 * @VDMA_CAUSE_TRANSLATION: arena, device or memory do not go with an IOMMU, or without
 * @VDMA_CAUSE_VF_TOKEN: a VF token is missing, or another one
 * @VDMA_CAUSE_AFFECTED: a reset would hit functions that others have
 * @VDMA_CAUSE_NODE: no such NUMA node, or not for this process
 * @VDMA_CAUSE_SEGMENTS: more physical runs than allowed
 * @VDMA_CAUSE_OBSERVER: an observer refused a region
 * @VDMA_CAUSE_OBSERVING: called from inside of an observer
 * @VDMA_CAUSE_OCCUPIED: something is mapped where the window has to lie
 * @VDMA_CAUSE_JOINED: only the process that created the arena may do that
 * @VDMA_CAUSE_PROTOCOL: the other process does not say what it should
 * @VDMA_CAUSE_PARTED: the other process is gone, or has parted from this one
 *
 * The errno that goes with each is in docs/errors.md. The list grows at its
 * end.
 */
enum vdma_cause {
	VDMA_CAUSE_NONE,
	VDMA_CAUSE_ARGUMENT,
	VDMA_CAUSE_BDF,
	VDMA_CAUSE_OPTIONS,
	VDMA_CAUSE_CHILDREN,
	VDMA_CAUSE_OPEN,
	VDMA_CAUSE_NO_DEVICE,
	VDMA_CAUSE_NOT_BOUND,
	VDMA_CAUSE_NO_IOMMU,
	VDMA_CAUSE_NO_VFIO,
	VDMA_CAUSE_NO_MODULE,
	VDMA_CAUSE_NOT_VIABLE,
	VDMA_CAUSE_GROUP_BUSY,
	VDMA_CAUSE_PERMISSION,
	VDMA_CAUSE_PRIVILEGE,
	VDMA_CAUSE_UNSAFE_IRQ,
	VDMA_CAUSE_MEMLOCK,
	VDMA_CAUSE_DMA_ENTRIES,
	VDMA_CAUSE_NO_RUN,
	VDMA_CAUSE_NO_HUGETLB,
	VDMA_CAUSE_NO_MEMORY,
	VDMA_CAUSE_ADDRESS_BITS,
	VDMA_CAUSE_WINDOW,
	VDMA_CAUSE_RESERVE,
	VDMA_CAUSE_UNREACHABLE,
	VDMA_CAUSE_NOT_THERE,
	VDMA_CAUSE_UNSUPPORTED,
	VDMA_CAUSE_TIMEOUT,
	VDMA_CAUSE_SIGNAL,
	VDMA_CAUSE_FILES,
	VDMA_CAUSE_TOO_MANY,
	VDMA_CAUSE_SYSTEM,
	VDMA_CAUSE_QUOTA,
	VDMA_CAUSE_DEADLINE,
	VDMA_CAUSE_FORKED,
	VDMA_CAUSE_GONE,
	VDMA_CAUSE_TRANSLATION,
	VDMA_CAUSE_VF_TOKEN,
	VDMA_CAUSE_AFFECTED,
	VDMA_CAUSE_NODE,
	VDMA_CAUSE_SEGMENTS,
	VDMA_CAUSE_OBSERVER,
	VDMA_CAUSE_OBSERVING,
	VDMA_CAUSE_OCCUPIED,
	VDMA_CAUSE_JOINED,
	VDMA_CAUSE_PROTOCOL,
	VDMA_CAUSE_PARTED,
};

/**
 * struct vdma_failure - the last failed call of a thread
 * @err: what it returned, negative; 0 if no call has failed
 * @cause: what stood in the way
 * @sys_errno: errno of the system call behind it, positive; 0 if there was
 *             none
 * @need: how much was asked for (bytes, pages, entries or bits, by @cause);
 *        0 where there is no number
 * @limit: how much there is of it
 * @used: how much of @limit was in use already
 * @pid: process that is in the way; 0 if none, or not to be found
 * @text: cause and remedy in words, one or more lines, no newline at the end
 *
 * Fields are added at the end only.
 */
struct vdma_failure {
	int err;
	enum vdma_cause cause;
	int sys_errno;
	uint64_t need;
	uint64_t limit;
	uint64_t used;
	pid_t pid;
	const char *text;
};

/**
 * vdma_explain() - cause and remedy of this thread's last failed call
 *
 * Return: text, never NULL; it belongs to the thread and is good until its
 * next failed call. Thread-safe.
 */
VDMA_API const char *vdma_explain(void);

/**
 * vdma_last_failure() - the same for a program
 *
 * Return: a struct, never NULL; it belongs to the thread and is good until
 * its next failed call. Thread-safe.
 */
VDMA_API const struct vdma_failure *vdma_last_failure(void);

/**
 * vdma_cause_name() - a cause as a word for logs
 * @cause: any value
 *
 * Return: a constant such as "memlock" or "group-busy", "unknown" for a value
 * that this library does not know. Thread-safe.
 */
VDMA_API const char *vdma_cause_name(enum vdma_cause cause);

#ifdef __cplusplus
}
#endif

#endif
