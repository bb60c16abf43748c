/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A machine for unit tests, in place of libvdma/sys.c: a tree of small files,
 * the device nodes of VFIO and map_contig with the kernel's rules as far as
 * the library depends on them, and failures on demand. Memory is real.
 *
 * Threads may use it: a lock of its own makes each system call one step. So it
 * orders what the library's locks should order, and ThreadSanitizer sees less than
 * without it. Knobs, and failures by number, are for tests of one thread.
 */
#ifndef VDMA_TEST_FAKE_H
#define VDMA_TEST_FAKE_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>
#include <sys/types.h>
#include <vdma/types.h>
#include <vdma/uapi/map_contig.h>

#define FAKE_PID 4242

/* Knobs and counters; fake_reset() gives them useful values. */
struct fake {
	/* The process */
	uint64_t memlock_limit;
	uint64_t locked;      /* by type1: the process's */
	uint64_t user_locked; /* by iommufd: of all processes of the user */
	bool cap_ipc_lock;
	uint64_t max_mmap;	/* anonymous mappings larger than this are ENOMEM */
	void (*at_unmap)(void); /* called once, before something is unmapped */
	uint64_t clock_step;	/* each look at the clock is so much later; 0: the real one */

	/* type1 */
	int api_version;
	int type1v2;
	int noiommu;	   /* VFIO's parameter enable_unsafe_noiommu_mode */
	int set_iommu_err; /* errno that VFIO_SET_IOMMU gives; 0: works */
	int second_group_err;
	uint32_t entry_limit;
	bool no_ranges;
	struct vdma_range ranges[8];
	size_t nranges;
	uint32_t map_access; /* VFIO_DMA_MAP_FLAG_* of the last mapping */
	bool short_unmap;    /* unmap says that it did nothing */
	int map_err;	     /* errno of mapping for devices; 0: works */

	/* map_contig and hugetlb */
	int contig_err;	    /* errno of the allocation; 0: works */
	int contig_map_err; /* errno of mapping a region; 0: works */
	bool contig_old;    /* the first release: QUERY and mmap of the node alone */
	bool contig_secret; /* QUERY is EPERM */
	uint64_t contig_pa;
	uint64_t contig_step;		 /* it moves on by this with each allocation */
	uint64_t contig_max;		 /* more than this is ENOMEM */
	int contig_node;		 /* of what was allocated last */
	int hold_err;			 /* errno of HOLD; 0: works */
	struct map_contig_limits limits; /* what the ioctl answers */
	uint64_t largest; /* what the oracle answers, and what it says is in the way */
	uint32_t blocker;
	int32_t blocker_node;
	uint64_t blocker_phys;
	struct map_contig_oracle oracle; /* what it was asked last */
	struct map_contig_alloc alloc;	 /* what was allocated last */
	struct fake_contig_map {	 /* a mapping of a node, for OFFSET */
		const char *va;
		uint64_t len, offset;
		int32_t fd;
	} contig_map;
	bool foreign; /* another thread's mapping falls into the gap that a failing mmap leaves */
	uint64_t hugetlb_free;
	bool lazy;	  /* nothing is populated: faster, where nobody looks for that */
	int populate_err; /* errno of MADV_POPULATE_WRITE; 0: works */

	/* NUMA nodes 0 and 1 */
	struct {
		const char *va;
		size_t len;
		unsigned int node;
	} bound;	    /* what was bound last */
	int bind_err;	    /* errno of it; 0: works */
	int stray_node;	    /* where memory that was bound comes from all the same; -1: does not */
	uint64_t file_page; /* the unit in which files are mapped; 0: 4096 */

	/* Failures: the nth system call from now, or the nth ioctl with this number. */
	unsigned long calls;
	unsigned long fail_at;
	int fail_err;
	const char *failed_call;      /* the one that failed so, as in libvdma/sys.h */
	unsigned long failed_request; /* the ioctl that failed so; 0: another call */
	unsigned long fail_request;
	unsigned int fail_request_skip;
	int fail_request_err;
	uint64_t fail_memlock; /* when it fails, RLIMIT_MEMLOCK is this by then; 0: as it was */
};

extern struct fake fake;

/* An empty machine: no device, VFIO and map_contig loaded, an IOMMU. */
void fake_reset(void);

void fake_file(const char *path, const char *text);
void fake_link(const char *path, const char *target);
void fake_deny(const char *path, int err);
void fake_remove(const char *path); /* with all below it */

struct fake_pci {
	uint16_t vendor, device;
	uint64_t bar[6];
	bool bar_io[6];
	struct vdma_range sparse; /* of BAR 0, offsets; last 0: none */
	uint32_t irqs[3];
	bool can_reset;
};

/*
 * A PCI device with its sysfs entries; its group's node if @driver is vfio-pci, its
 * UIO node if it is uio_pci_generic. @group: -1 for none.
 */
void fake_device(const char *bdf, int group, const char *driver, const struct fake_pci *pci);

/* Another process has the group open. */
void fake_group_held(int group, pid_t pid, const char *comm);
void fake_group_not_viable(int group);
/* The group is VFIO's own, of a device without an IOMMU. */
void fake_group_noiommu(int group);

/*
 * It is a physical function with SR-IOV; and a virtual one of it. fake_token(): the VF
 * token that the kernel has of the former.
 */
void fake_sriov(const char *bdf);
void fake_virtual(const char *bdf, const char *physfn);
const char *fake_token(const char *bdf);

/* The group reserves this, more than what its IOMMU cannot do. */
void fake_reserve(int group, struct vdma_range range);
/* Its IOMMU has fewer address bits: @last is the last one. sysfs does not say so. */
void fake_reach(int group, uint64_t last);

/* What the device sees and does. */
uint8_t *fake_config(const char *bdf);
void fake_fire(const char *bdf, uint32_t index, unsigned int vector);
void fake_request(const char *bdf); /* the kernel wants it back */
bool fake_irq_masked(const char *bdf);
unsigned int fake_resets(const char *bdf);
unsigned int fake_hot_resets(const char *bdf); /* all but bus 0 can be reset */
void fake_uio_fire(const char *bdf);
void fake_uio_gone(const char *bdf); /* it was removed */
unsigned int fake_uio_resets(const char *bdf);

/* Mappings over all containers, and whether one is exactly this. */
size_t fake_mappings(void);
bool fake_is_mapped(unsigned int container, uint64_t iova, const void *va, uint64_t len);

/* Ties of memory to devices, and whether the one that begins at @va is tied to @bdf. */
size_t fake_holds(void);
bool fake_is_held(const void *va, const char *bdf);

/* Into how many address spaces with a device all of that is mapped, at those addresses. */
unsigned int fake_reachable(uint64_t iova, const void *va, uint64_t len);

size_t fake_open_files(void);

/* Bytes of address space that the library has mapped and not unmapped. */
size_t fake_mapped(void);

/* What malloc() and its like have handed out and free() has not got back, since the start. */
size_t fake_allocations(void);

/* The nth such call from now fails; 0: none. And how many there were since. */
void fake_fail_alloc(unsigned long nth);
unsigned long fake_alloc_calls(void);

/* A node's configuration, and whether it stays open over exec. */
const struct map_contig_configure *fake_configuration(int fd);
bool fake_is_kept(int fd);

/* Does one inaccessible mapping of /proc/self/maps cover this? */
bool fake_is_reserved(const void *va, size_t len);

#endif
