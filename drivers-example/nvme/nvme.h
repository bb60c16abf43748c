/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver of NVM Express controllers over PCI Express. To be read beside the NVM
 * Express Base Specification, revision 1.4, whose sections are named here:
 *
 *	spec.h        layouts
 *	controller.c  registers: reset, enable, shutdown, removal
 *	admin.c       admin commands: identify, features, queues, abort
 *	queue.c       commands, completions, waiting, timeouts
 *	prp.c, sgl.c  where a command's data lie
 *	namespace.c   read, write, flush, deallocate
 *	verify.c      a test of a whole namespace, by several threads
 *
 *	nvme_open(&nvme, arena, ioas, "0000:00:10.0", NULL);
 *	nvme_ns_open(&ns, &nvme, 1);
 *	vdma_buf_alloc(arena, 65536, NULL, &buf);
 *	nvme_write(nvme.queues[0], &ns, lba, &buf, 1);
 *	nvme_flush(nvme.queues[0], &ns);
 *	nvme_close(&nvme);
 *
 * Threads: an I/O queue is used by one thread at a time, and no call on it takes a
 * lock or touches what another queue's thread writes; so one queue for each thread.
 * Calls on the controller are for one thread at a time, but for nvme_abort(), which
 * takes the admin queue's lock, and nvme_cancel().
 *
 * Data may lie in any memory of the arena. It is the device's until the command
 * has completed: a timeout does not give it back, nvme_reset() does.
 *
 * Skipped: metadata and protection information, fused commands, asynchronous events
 * and log pages, namespace management, controller memory buffers, priorities of queues,
 * power states.
 */
#ifndef NVME_H
#define NVME_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <vdma.h>

#include "spec.h"

/* Most that one command transfers, where the controller would take more. */
#define NVME_TRANSFER_MAX (4U << 20)
#define NVME_DEPTH_MAX 4095U
#define NVME_QUEUES_MAX 64U
/* Pieces that the data of one call may have. */
#define NVME_PIECES_MAX 64U

struct nvme;

/**
 * enum nvme_list - how a command tells where its data lie
 * @NVME_LIST_AUTO: by SGL if the controller has them
 * @NVME_LIST_PRP: an entry for each page; all but the first start at one, all but the
 *                 last end at one
 * @NVME_LIST_SGL: a descriptor for each piece that is contiguous for the device
 */
enum nvme_list {
	NVME_LIST_AUTO,
	NVME_LIST_PRP,
	NVME_LIST_SGL,
};

/**
 * struct nvme_opts - how a controller is used; all-zero is the default
 * @queues: I/O queues, up to NVME_QUEUES_MAX; 0 for 1
 * @depth: commands that are under way in each at most; 0 for 256, or what the
 *         controller has
 * @poll: completions are looked for all the time; else MSI-X tells
 * @list: see enum nvme_list
 * @timeout_ms: for each command; 0 for 5000
 */
struct nvme_opts {
	unsigned int queues;
	unsigned int depth;
	bool poll;
	enum nvme_list list;
	unsigned int timeout_ms;
};

/*
 * A command is over. status is 0, what the controller says (4.6.1: status code in bits
 * 7:0, its type in 10:8), or -ECANCELED if the controller was reset. result is the
 * completion's first word. Called by the queue's thread out of nvme_poll() or
 * nvme_wait(), where it may submit commands, but not wait; or by nvme_reset() and
 * nvme_close(), where it may not.
 */
typedef void nvme_done_fn(void *ctx, int status, uint32_t result);

/**
 * struct nvme_slot - a command that is under way, or could be
 * @done: whom to tell; NULL for nobody
 * @ctx: handed to @done
 * @since_ms: when it was submitted
 * @busy: it is under way
 * @next: next free slot
 *
 * In memory that no device can write.
 */
struct nvme_slot {
	nvme_done_fn *done;
	void *ctx;
	uint64_t since_ms;
	bool busy;
	unsigned int next;
};

/**
 * struct nvme_queue - a submission queue and its completion queue (4.1)
 * @nvme: whose
 * @id: 0 for the admin queue
 * @depth: commands under way at most; each queue has one entry more, for a full one
 *         cannot be told from an empty one (4.1.2)
 * @sgl: the next commands have SGLs; may be changed at any time where the controller
 *       has them
 * @sq_mem: memory of the submission queue
 * @cq_mem: memory of the completion queue
 * @lists: memory of PRP lists and SGL segments, @list_len bytes for each slot
 * @list_len: bytes
 * @slots: by command id
 * @free: first free slot; @depth if there is none
 * @out: commands under way
 * @tail: where the next command goes
 * @rung: what the controller knows of @tail
 * @head: where the next completion comes
 * @phase: phase tag of a completion that is new
 * @looked_ms: when the controller was last looked at
 * @late: after -ETIMEDOUT: id of the command that took too long
 * @status: status of the last command that failed
 * @why: after a failed call: cause and remedy in words
 */
struct nvme_queue {
	struct nvme *nvme;
	unsigned int id;
	unsigned int depth;
	bool sgl;
	struct vdma_buf sq_mem, cq_mem, lists;
	size_t list_len;
	struct nvme_slot *slots;
	unsigned int free;
	unsigned int out;
	unsigned int tail;
	unsigned int rung;
	unsigned int head;
	unsigned int phase;
	uint64_t looked_ms;
	unsigned int late;
	int status;
	char why[1024];
};

/**
 * struct nvme - an open controller
 * @arena: where queues' memory comes from
 * @dev: the PCI function
 * @bdf: its address
 * @regs: BAR 0
 * @removal_fd: readable when the device has to go; -1 if nobody tells
 * @cap: controller capabilities
 * @version: of the specification, major in bits 31:16
 * @page_len: bytes of a memory page as the controller counts
 * @transfer_max: most bytes of a command
 * @has_sgl: SGLs can be used
 * @sgl_align: of their addresses and lengths
 * @has_cache: writes may be lost with the power until they are flushed
 * @has_deallocate: Dataset Management
 * @shutdown_ms: what a shutdown may take
 * @namespaces: ids that there can be, from 1
 * @serial: serial number
 * @model: model number
 * @firmware: firmware revision
 * @opts: as asked for, without zeroes
 * @canceled: see nvme_cancel()
 * @lock: of the admin queue
 * @admin: the admin queue
 * @page: data of admin commands, with @lock held
 * @queues: I/O queues, opts.queues of them
 * @why: after a failed call on the controller: cause and remedy in words
 */
struct nvme {
	struct vdma_arena *arena;
	struct vdma_device *dev;
	char bdf[16];
	void *regs;
	int removal_fd;
	uint64_t cap;
	uint32_t version;
	size_t page_len;
	size_t transfer_max;
	bool has_sgl;
	unsigned int sgl_align;
	bool has_cache;
	bool has_deallocate;
	unsigned int shutdown_ms;
	uint32_t namespaces;
	char serial[21], model[41], firmware[9];
	struct nvme_opts opts;
	_Atomic bool canceled;
	pthread_mutex_t lock;
	struct nvme_queue *admin;
	struct vdma_buf page;
	struct nvme_queue *queues[NVME_QUEUES_MAX];
	char why[1024];
};

/**
 * struct nvme_ns - a namespace (6.1)
 * @nvme: whose
 * @id: from 1
 * @blocks: logical blocks
 * @block_len: bytes of each
 */
struct nvme_ns {
	struct nvme *nvme;
	uint32_t id;
	uint64_t blocks;
	uint32_t block_len;
};

/*
 * Each call returns 0 (or what it says) or a negative errno, and leaves words in why
 * of the controller or the queue then:
 *
 *	-ENODEV      the device is gone or has to go: nvme_close()
 *	-ECONNRESET  somebody has reset it, or pulls it out: nvme_reset() finds out
 *	-ETIMEDOUT   no answer in time: nvme_reset(); data of commands are the device's until then
 *	-ECANCELED   nvme_cancel() was called
 *	-EIO         the controller reports an error: status of the queue, or a fatal one
 */

/* controller.c */

/*
 * Takes the controller at bdf, resets and enables it, and creates its queues.
 * Besides: what vdma_device_open() and vdma_buf_alloc() return; -ERANGE (depth),
 * -ENOSPC (it has fewer queues or vectors), -EOPNOTSUPP (no SGLs).
 */
int nvme_open(struct nvme *nvme, struct vdma_arena *arena, struct vdma_ioas *ioas, const char *bdf,
	      const struct nvme_opts *opts);

/*
 * Shuts the controller down in order, if no command is under way, and gives
 * everything back, also if it fails: then the controller did not shut down. It
 * is allowed after a failed nvme_open(), and again. No other thread may be in a call.
 *
 * But for what vdma_device_close() returns, -EBUSY while a region is part of one of the
 * device's BARs: then nothing was given back, for the device might still reach it. Call it
 * again when that region is destroyed; until then commands under way have not ended, and
 * only nvme_reset(), which has the controller work again, is allowed besides.
 */
int nvme_close(struct nvme *nvme);

/*
 * Controller reset (7.3.2), and everything anew. Commands under way that the controller
 * completes within 100 ms end as it says, the others with -ECANCELED; their data is the
 * caller's again. No other thread may be in a call.
 */
int nvme_reset(struct nvme *nvme);

/*
 * Has all calls on I/O queues end with -ECANCELED, soon, until nvme_reset(): that is
 * how threads are brought out of them. May be called by any thread at any time.
 */
void nvme_cancel(struct nvme *nvme);

/* Is the controller there, and does it work? why is where words go. Thread-safe. */
int nvme_look(struct nvme *nvme, char *why, size_t size);

/* admin.c */

/* Identify (5.15): data has NVME_IDENTIFY_LEN bytes, of the program's own memory. */
int nvme_identify(struct nvme *nvme, uint8_t cns, uint32_t nsid, void *data);

/* Numbers in what it tells. */
uint16_t nvme_get16(const void *data, size_t at);
uint32_t nvme_get32(const void *data, size_t at);
uint64_t nvme_get64(const void *data, size_t at);

/*
 * Abort (5.1) of a command of q, best effort. done: the controller says that it has
 * aborted it. Called by q's thread, which finds words in q->why.
 */
int nvme_abort(struct nvme_queue *q, unsigned int cid, bool *done);

/* What controller.c needs. */
int nvme_admin_identify(struct nvme *nvme);
int nvme_admin_create_queues(struct nvme *nvme);
int nvme_admin_delete_queues(struct nvme *nvme);

/* queue.c */

int nvme_queue_create(struct nvme *nvme, unsigned int id, unsigned int depth, size_t list_len,
		      struct nvme_queue **q);
void nvme_queue_destroy(struct nvme_queue *q);
/* As it was created, for a controller that was reset; tells of commands under way. */
void nvme_queue_reset(struct nvme_queue *q);

/*
 * Puts a command into the queue; nvme_ring() or nvme_wait() shows it to the controller.
 * cid and data pointer of cmd are filled in here. data: n pieces, n may be 0; the
 * array is not needed afterwards. Returns -EAGAIN if depth commands are under way,
 * -EINVAL (data that PRPs or SGLs cannot tell), -E2BIG (too many pieces).
 */
int nvme_submit(struct nvme_queue *q, const struct nvme_sqe *cmd, const struct vdma_buf *data,
		unsigned int n, nvme_done_fn *done, void *ctx);
void nvme_ring(struct nvme_queue *q);

/*
 * Memory for the list of the next command. A command whose data lie there, at the start
 * and within a page of the controller, has no list.
 */
struct vdma_buf nvme_next_list(const struct nvme_queue *q);

/* Tells of commands that are over, and returns their number, without waiting. */
int nvme_poll(struct nvme_queue *q);

/*
 * Waits until a command is over, rings before that. Returns how many were, 0 if none is
 * under way.
 */
int nvme_wait(struct nvme_queue *q);

/*
 * Submits a command and waits until it is over. One that takes too long is aborted;
 * -ETIMEDOUT if it then still does not end. Others of the queue that are late are their
 * submitter's affair: nvme_wait() tells. result may be NULL.
 */
int nvme_run(struct nvme_queue *q, const struct nvme_sqe *cmd, const struct vdma_buf *data,
	     unsigned int n, uint32_t *result);

/**
 * struct nvme_batch - commands that are waited for together
 * @left: how many are under way
 * @status: of the first that failed, 0 if none has
 * @result: of the last
 */
struct nvme_batch {
	unsigned int left;
	int status;
	uint32_t result;
};
/* Nobody is told any more of commands that are under way. */
void nvme_queue_forget(struct nvme_queue *q);

/* done of each command of a batch, whose ctx is the batch. */
void nvme_batch_done(void *ctx, int status, uint32_t result);
/* Waits for all as nvme_run() does; batch is not used any more afterwards. */
int nvme_batch_wait(struct nvme_queue *q, struct nvme_batch *batch);

/* A status in words, good until the thread's next call. */
const char *nvme_status_text(int status);

/* Milliseconds of a clock that only goes forward, coarse. */
uint64_t nvme_now_ms(void);
/* Writes words, returns err. */
int nvme_fail(char *why, size_t size, int err, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* prp.c, sgl.c */

/*
 * Fill in a data pointer, and the list if there has to be one, in memory of whole pages
 * of the controller; one entry or descriptor leaves it alone. Return the number of those
 * that tell of data; -EINVAL if data are not aligned or a piece is empty, -E2BIG if list
 * is too small.
 */
int nvme_prp_build(const struct vdma_buf *list, size_t page_len, const struct vdma_buf *data,
		   unsigned int n, union nvme_dptr *dptr);
int nvme_sgl_build(const struct vdma_buf *list, unsigned int align, const struct vdma_buf *data,
		   unsigned int n, union nvme_dptr *dptr);

/* namespace.c: by the queue's thread. */

/* The first active namespace after id `after` (5.15.1); 0 in id if there is none. */
int nvme_ns_next(struct nvme *nvme, uint32_t after, uint32_t *id);
/* -EOPNOTSUPP: formatted with metadata. */
int nvme_ns_open(struct nvme_ns *ns, struct nvme *nvme, uint32_t id);

/* A command for up to transfer_max bytes, for nvme_submit(). */
struct nvme_sqe nvme_read_command(const struct nvme_ns *ns, uint64_t lba, uint32_t blocks);
struct nvme_sqe nvme_write_command(const struct nvme_ns *ns, uint64_t lba, uint32_t blocks);

/*
 * Read or write, and wait: any number of whole blocks, in n pieces of memory. More
 * than one command takes is split into several, which are under way together.
 */
int nvme_read(struct nvme_queue *q, const struct nvme_ns *ns, uint64_t lba,
	      const struct vdma_buf *data, unsigned int n);
int nvme_write(struct nvme_queue *q, const struct nvme_ns *ns, uint64_t lba,
	       const struct vdma_buf *data, unsigned int n);
/* What is written is safe from loss of power afterwards. */
int nvme_flush(struct nvme_queue *q, const struct nvme_ns *ns);
/* These blocks hold nothing that is needed; up to NVME_DATASET_RANGES ranges. */
int nvme_deallocate(struct nvme_queue *q, const struct nvme_ns *ns, const struct nvme_range *ranges,
		    unsigned int n);

#endif
