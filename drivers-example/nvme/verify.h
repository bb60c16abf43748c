/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Is every byte that is read from a namespace the one that was written there? Several
 * threads, each with a queue and a part of the namespace of its own, write all of it,
 * then read and write at random, then read all. What is in each block afterwards is
 * known, so that others can look, too: the kernel's driver, or whoever has the image.
 *
 *	nvme_verify_begin(&v, &ns, seed);
 *	nvme_verify_run(&v, rounds, max_len);
 *	nvme_verify_block(&v, lba, block);
 *	nvme_verify_end(&v, arena);
 */
#ifndef NVME_VERIFY_H
#define NVME_VERIFY_H

#include "nvme.h"

/**
 * struct nvme_verify - what is known of a namespace
 * @ns: the namespace
 * @seed: of what is written, and of all that is done by chance
 * @versions: of each block: how often it was written
 * @mem: memory of each thread
 * @reads: commands, or several if the controller takes less at once, as those below
 * @writes: and
 * @bytes: read and compared
 * @why: after a failed call: cause in words
 */
struct nvme_verify {
	struct nvme_ns ns;
	uint64_t seed;
	uint16_t *versions;
	struct vdma_buf mem[NVME_QUEUES_MAX];
	uint64_t reads, writes, bytes;
	char why[1024];
};

/* -ENOMEM */
int nvme_verify_begin(struct nvme_verify *v, const struct nvme_ns *ns, uint64_t seed);
/* After a failure the device may still use the memory: first nvme_reset() or nvme_close(). */
void nvme_verify_end(struct nvme_verify *v, struct vdma_arena *arena);

/*
 * By a thread for each of the controller's I/O queues, which nobody else may use: rounds
 * reads and writes each, of a block to max_len bytes. Returns 0; -EILSEQ if a byte was
 * not the one that was written, and why tells which; what nvme_read() returns; -ENOMEM.
 * If several threads fail, what one of them has met.
 */
int nvme_verify_run(struct nvme_verify *v, unsigned int rounds, size_t max_len);

/* What a block must hold, if it was written. */
void nvme_verify_block(const struct nvme_verify *v, uint64_t lba, void *block);

#endif
