/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state machine that fuzz_api.c drives: what the library has handed out, and
 * what must hold of it. Each api_*.c has the calls on what it is named after;
 * api_call.c has what all calls have in common, api_memory.c what all memory has.
 */
#ifndef VDMA_FUZZ_API_H
#define VDMA_FUZZ_API_H

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <vdma.h>

#include "../unit/fake.h"
#include "input.h"

#define ARENAS 2
#define SPACES 6
#define DEVICES 4
#define REGIONS 16
#define BUFS 32
#define OBSERVERS 2 /* in each arena */
#define PEERS 2
#define TOLD 64 /* more than there can be regions and chunks */
#define HEAPS 2
#define OBJECTS 24

#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)

/* A result that a failing call must not touch. */
#define UNTOUCHED ((void *)0xdead0)

struct space {
	struct vdma_ioas *ioas;
	unsigned int arena;
	unsigned int devices;
	unsigned int gone;  /* devices that were let go, and not closed */
	unsigned int named; /* by regions */
};

struct device {
	struct vdma_device *dev;
	unsigned int space;
	enum vdma_irq_kind kind;
	unsigned int vectors;
	bool gone; /* it was let go: no device of its space any more */
};

struct region {
	struct vdma_region *region;
	unsigned int arena;
	struct vdma_buf buf;
	uint32_t spaces; /* bit n: it names w.spaces[n]; 0: it is for all */
	enum vdma_provider provider;
	bool no_fd; /* of the module as it was of old */
	bool view;  /* of memory at a pointer */
	bool alien; /* imported: others may have its bytes, too */
	bool torn;  /* could not be destroyed: unmapped from some address spaces */
	bool bar;   /* a part of w.devices[dev]'s */
	unsigned int dev;
	bool gone; /* as that device is: mapped for nobody */
	bool half; /* that could not be let go: it may be gone */
};

/* What a ring has to agree with. */
struct ring {
	bool here;
	struct vdma_ring ring;
	uint64_t produced, consumed, published, released;
	uint32_t bell; /* its doorbell */
};

struct piece {
	unsigned int arena;
	struct vdma_buf buf; /* va NULL: none */
	struct ring ring;    /* whose memory it is */
};

struct heap {
	struct vdma_heap *heap;
	unsigned int arena;
	bool checks;   /* VDMA_HEAP_CHECK, or its arena's */
	bool nowhere;  /* its node has no memory */
	uint32_t bits; /* that its addresses have */
};

struct object {
	struct heap *heap;
	struct vdma_buf buf; /* va NULL: none */
};

/* One who joined, as the relay between the two sees it. */
struct peer {
	bool here;
	unsigned int arena;
	bool wants_devices;
	int from, to; /* the creator; who joined: -1 if it did not, or not any more */
	bool ready, parted;
	struct told {
		uint64_t place, len, iova;
	} told[TOLD]; /* regions */
	unsigned int ntold;
	unsigned int devices; /* bit n: bdfs[n] */
	uintptr_t base;
	struct vdma_arena *joined;
	bool missed; /* it could not take something in */
};

struct observer {
	struct vdma_observer *observer;
	uint64_t known; /* regions that it was told of, and not told were gone */
};

struct world {
	struct input in;
	bool bare; /* a machine without an IOMMU: bdfs[0] is UIO's, the others VFIO's */
	struct vdma_arena *arenas[ARENAS];
	bool checks[ARENAS]; /* VDMA_ARENA_CHECK */
	bool physical[ARENAS];
	bool shared[ARENAS]; /* VDMA_ARENA_SHARED */
	struct observer observers[ARENAS][OBSERVERS];
	struct space spaces[SPACES];
	struct device devices[DEVICES];
	struct region regions[REGIONS];
	struct piece bufs[BUFS];
	struct peer peers[PEERS];
	struct heap heaps[HEAPS];
	struct object objects[OBJECTS];

	/* What the next call meets: its nth system call, or allocation, or ioctl of a kind fails. */
	unsigned long fail_call, fail_alloc, fail_request;
	unsigned int fail_skip;
	int fail_err;

	/* And which region that observers are told of by it is refused; 0: none. */
	unsigned int refuse;
	int refuse_with;

	/* What the last call met. */
	bool hit;	/* one that was made to fail */
	bool hit_unmap; /* and that was an unmapping */
	bool refused;	/* an observer refused a region */

	bool hit_lately; /* any since check_world() */
	bool trouble;	 /* the machine is not as it should be */
	bool inexact;	 /* something was not unmapped: there may be more mappings than regions */
	bool untold;	 /* and that may be a chunk, which observers were told is gone */
	bool tied;	 /* to a device that is gone memory may be; without an IOMMU */
	bool lost;	 /* two failures at once may have lost a place in a window */
	size_t stray;	 /* bytes of address space that were lost so, and nobody has any more */
	size_t allocations; /* that there were before */
};

extern struct world w;

/*
 * An API call with what was put in its way. A failure must be one of @errors, which
 * its header lists, be explained, and leave no descriptor; CALL: and change nothing.
 */
#define CALL(errors, call) (call_begins(), call_ended((call), errors, #call, true))
#define CALL_CHANGES(errors, call) (call_begins(), call_ended((call), errors, #call, false))
void call_begins(void);
int call_ended(int ret, const int *errors, const char *what, bool same);

/* Something may still be mapped. Until the world is known to be exact again: settle(). */
void may_be_mapped(bool may);

/*
 * Options as a caller may pass them: @opts itself, NULL (then @opts are zeroed), or of
 * another size. free() is the caller's. *@wrong: the call must refuse them.
 */
void *shaped(void *opts, size_t size, bool *wrong);

/* The same of a struct that has grown: callers may have one of @min bytes. */
void *shaped_since(void *opts, size_t min, size_t size, bool *wrong);

/* Room for an info struct of any size, and whether a call did with it what it must. */
void *info_room(size_t size, bool *wrong);
void info_checked(void *info, size_t size, int ret);

/* Address spaces of an arena that have a device. */
unsigned int attached(unsigned int arena);

/* Open devices of an arena. */
bool is_open(const struct device *d, unsigned int arena);

/* Those of the spaces that a region is for. */
unsigned int reached_by(const struct region *r);
unsigned int reached_besides(const struct region *r, vdma_iova_t iova);

/* The machine as it is when an input begins; as it should be; not so; and one failure to come. */
void set_up(void);
void calm(void);
void disturb(void);
void inject(void);
void refuse(void);

/* An arena that there is, or ARENAS. */
unsigned int take_arena(void);

void arena_create(void);
void arena_destroy(unsigned int arena);
void arena_look(unsigned int arena);
void arena_tell(unsigned int arena);
void nothing(void);
void observe(unsigned int arena);
void observer_remove(struct observer *o);
unsigned int observers(unsigned int arena);

void ioas_create(void);
void ioas_destroy(struct space *s);
void ioas_look(void);
void device_open(void);
void device_close(struct device *d);
void device_use(void);

/* What may go wrong with memory; and what says that a call made no sense. */
extern const int memory_errors[];
bool refused(int ret);

size_t take_len(void);
uint32_t take_bits(void);
bool power_of_two(uint64_t x);
size_t rounded(size_t len, size_t unit);

/* Constraints, now and then; true if they make no sense. */
bool take_constraints(struct vdma_constraints *c);
bool no_such_node(const struct vdma_constraints *c);

/* What holds for all memory of an arena: where it is, and that nothing else is there. */
void check_place(unsigned int arena, const struct vdma_buf *buf, size_t taken, uint32_t bits);
void check_met(const struct vdma_buf *buf, const struct vdma_constraints *c,
	       const struct vdma_region_info *info);

/* Its first and its last byte are its own. */
void mark(const struct vdma_buf *buf);
void check_mark(const struct vdma_buf *buf);

void region_create(void);
void region_import(unsigned int arena);

/* Regions that are parts of a device's BARs; those that may be no more, or not. */
unsigned int imported(const struct device *d, bool half);
/* The device is let go: so are they. It could not be: what they are is unknown. */
void import_let_go(const struct device *d);
void import_half(const struct device *d);

/* Spaces of the arena to be named, seldom; and one of another, a bit above them. */
uint32_t name_spaces(unsigned int arena, struct vdma_ioas *const **ioas, size_t *nioas);
void region_destroy(struct region *r);
void region_look(void);
void iova_look(void);

void buf_alloc(void);
void buf_free(struct piece *p);
void buf_free_wrong(void);
void buf_trim(unsigned int arena);

/* What a peer was told is what there is; and all of an arena's are, when that is gone. */
void peer_share(unsigned int arena);
void peer_process(struct peer *p);
void peer_end(struct peer *p);
void check_peer(struct peer *p);
void peers_orphaned(unsigned int arena);

/* There is no heap where there is no jemalloc. */
#ifdef VDMA_HEAP
void heap_create(unsigned int arena);
void heap_destroy(struct heap *h);
void heap_look(struct heap *h);
bool has_heaps(unsigned int arena);
void object_make(void);
void object_resize(struct object *o);
void object_free(struct object *o);
void object_free_wrong(void);
void check_objects(void);
#else
#define heap_create(arena) ((void)(arena))
#define heap_destroy(h) ((void)(h))
#define heap_look(h) ((void)(h))
#define has_heaps(arena) ((void)(arena), false)
#define object_make()
#define object_resize(o) ((void)(o))
#define object_free(o) ((void)(o))
#define object_free_wrong()
#define check_objects()
#endif

void ring_create(void);
void ring_init(void);
void ring_use(void);
int ring_destroy(struct ring *r);

extern const char *const bdfs[DEVICES];

#endif
