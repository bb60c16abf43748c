// SPDX-License-Identifier: BSD-3-Clause
/* What a disk is told of where data lie, and how fast it is. */
#include "contiguity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvme.h"
#include "registration.h"
#include "sample.h"

#define PAGE ((size_t)4096)
#define MIB ((size_t)1 << 20)
#define DEPTH 16
/* Pages of a command. */
#define PAGES (MIB / PAGE)
/* Room for lists: more than either form takes for 1 MiB. */
#define LIST_LEN (16 * PAGE)

struct lists {
	int prp, prp_pages, sgl;
};

/* How many pages of a list have been written. */
static int pages_used(const char *list)
{
	int used = 0;

	for (size_t page = 0; page < LIST_LEN / PAGE; page++)
		for (size_t i = 0; i < PAGE; i++)
			if (list[page * PAGE + i]) {
				used++;
				break;
			}
	return used;
}

/* What the driver makes of n pieces of memory. */
static struct lists lists_of(const struct vdma_buf *data, unsigned int n)
{
	struct vdma_buf list = { .va = aligned_alloc(PAGE, LIST_LEN),
				 .iova = PAGE,
				 .len = LIST_LEN };
	union nvme_dptr dptr;
	struct lists l;

	if (!list.va)
		contiguity_fail("lists", "no memory");
	memset(list.va, 0, LIST_LEN);
	l.prp = nvme_prp_build(&list, PAGE, data, n, &dptr);
	l.prp_pages = pages_used(list.va);
	l.sgl = nvme_sgl_build(&list, 4, data, n, &dptr);
	free(list.va);
	if (l.prp < 0 || l.sgl < 0)
		contiguity_fail("lists", "the driver refuses the memory");
	return l;
}

/* By the pages' physical addresses, as without an IOMMU. */
static struct lists physical_lists(const struct vdma_buf *buf)
{
	struct vdma_buf pieces[PAGES];
	uint64_t physical[PAGES];

	if (!physical_pages(buf->va, MIB, physical))
		contiguity_fail("lists", "pagemap does not tell physical addresses");
	for (size_t i = 0; i < PAGES; i++)
		pieces[i] = (struct vdma_buf){ .iova = physical[i], .len = PAGE };
	return lists_of(pieces, PAGES);
}

static void count(struct vdma_region *const regions[MEMORIES])
{
	struct lists iommu[MEMORIES], physical[MEMORIES];

	for (int m = 0; m < MEMORIES; m++) {
		struct vdma_buf buf = vdma_region_buf(regions[m]);

		buf.len = MIB;
		iommu[m] = lists_of(&buf, 1);
		physical[m] = physical_lists(&buf);
	}
	contiguity_section("NVMe: descriptors for 1 MiB");
	contiguity_row("SGL, by physical address", "", physical[CONTIGUOUS].sgl,
		       physical[SCATTERED].sgl);
	contiguity_row("SGL, behind an IOMMU", "", iommu[CONTIGUOUS].sgl, iommu[SCATTERED].sgl);
	contiguity_row("PRP, by physical address", "", physical[CONTIGUOUS].prp,
		       physical[SCATTERED].prp);
	contiguity_row("PRP, behind an IOMMU", "", iommu[CONTIGUOUS].prp, iommu[SCATTERED].prp);
	contiguity_row("pages of PRP lists", "", physical[CONTIGUOUS].prp_pages,
		       physical[SCATTERED].prp_pages);
}

/**
 * struct reads - commands that are read by
 * @c: the run
 * @q: by which queue
 * @ns: what
 * @regions: into which memory
 * @len: bytes of a command
 * @paged: scattered memory is told page by page, in an order in which none is the next one's
 *         neighbour: what a device sees without an IOMMU
 * @sgl: by SGL
 */
struct reads {
	const struct contiguity *c;
	struct nvme_queue *q;
	struct nvme_ns *ns;
	struct vdma_region *const *regions;
	size_t len;
	bool paged;
	bool sgl;
};

static unsigned int pieces_of(const struct reads *r, enum memory memory, unsigned int command,
			      struct vdma_buf *pieces)
{
	const struct vdma_buf all = vdma_region_buf(r->regions[memory]);
	vdma_iova_t iova = all.iova + command * r->len;
	unsigned int n = (unsigned int)(r->len / PAGE);

	if (memory == CONTIGUOUS || !r->paged) {
		pieces[0] = (struct vdma_buf){ .iova = iova, .len = r->len };
		return 1;
	}
	/* 97 has no divisor in common with a power of two. */
	for (unsigned int i = 0; i < n; i++)
		pieces[i] = (struct vdma_buf){ .iova = iova + i * 97 % n * PAGE, .len = PAGE };
	return n;
}

static double read_ns(void *ctx, enum memory memory)
{
	static struct vdma_buf pieces[DEPTH][PAGES];
	const struct reads *r = ctx;
	uint32_t blocks = (uint32_t)(r->len / r->ns->block_len);
	unsigned int n = 0, done = 0;
	double start, took;

	for (unsigned int i = 0; i < DEPTH; i++)
		n = pieces_of(r, memory, i, pieces[i]);
	r->q->sgl = r->sgl;
	start = now_ns();
	do {
		struct nvme_batch batch = { 0 };

		for (unsigned int i = 0; i < DEPTH; i++, batch.left++) {
			struct nvme_sqe cmd = nvme_read_command(r->ns, i * blocks, blocks);

			if (nvme_submit(r->q, &cmd, pieces[i], n, nvme_batch_done, &batch))
				contiguity_fail("reading", r->q->why);
		}
		if (nvme_batch_wait(r->q, &batch))
			contiguity_fail("reading", r->q->why);
		done += DEPTH;
		took = now_ns() - start;
	} while (took < r->c->slice_ns);
	return took / done;
}

void contiguity_nvme(const struct contiguity *c)
{
	static const struct nvme_opts opts = { .depth = DEPTH, .poll = true };
	static const struct {
		const char *name;
		size_t len;
		bool sgl, paged;
	} loads[] = {
		{ "reads of 1 MiB, SGL, page by page", MIB, true, true },
		{ "reads of 1 MiB, SGL", MIB, true, false },
		{ "reads of 1 MiB, PRP", MIB, false, false },
		{ "reads of 4 KiB", PAGE, false, false },
	};
	struct vdma_region *regions[MEMORIES];
	struct nvme nvme;
	struct nvme_ns ns;

	if (nvme_open(&nvme, c->arena, c->ioas, c->nvme, &opts) || nvme_ns_open(&ns, &nvme, 1))
		contiguity_fail(c->nvme, nvme.why);
	if (nvme.transfer_max < MIB || ns.blocks * ns.block_len < DEPTH * MIB)
		contiguity_fail(c->nvme,
				"it takes less than 1 MiB a command (QEMU: mdts=0), or is smaller "
				"than 16 MiB");
	for (int m = 0; m < MEMORIES; m++)
		regions[m] = contiguity_region(c, (enum memory)m, DEPTH * MIB);
	count(regions);
	contiguity_section("Time of a transfer");
	for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++) {
		struct reads reads = {
			.c = c,
			.q = nvme.queues[0],
			.ns = &ns,
			.regions = regions,
			.len = loads[i].len,
			.paged = loads[i].paged,
			.sgl = loads[i].sgl,
		};
		char what[64];

		if (loads[i].sgl && !nvme.has_sgl)
			continue;
		snprintf(what, sizeof(what), "NVMe, %s", loads[i].name);
		contiguity_time(c, what, read_ns, &reads);
	}
	if (nvme_close(&nvme))
		contiguity_fail(c->nvme, nvme.why);
	for (int m = 0; m < MEMORIES; m++)
		vdma_region_destroy(regions[m]);
}
