// SPDX-License-Identifier: BSD-3-Clause
/*
 * Files and BARs, which are mapped into the window; and what holds for all imports.
 */
#include "import.h"

#include <stdlib.h>

#include "arena.h"
#include "device.h"
#include "explain.h"
#include "guard.h"
#include "ioas.h"
#include "opts.h"
#include "region.h"
#include "sys.h"
#include "vacant.h"

int vdma_import_check(struct vdma_arena *arena, const struct vdma_import_opts *opts,
		      struct vdma_region_opts *o)
{
	struct vdma_import_opts ours;
	int err = vdma_arena_check_own(arena);

	if (!err)
		err = vdma_opts_get(&ours, sizeof(ours), opts,
				    VDMA_UP_TO(struct vdma_import_opts, access));
	if (err)
		return err;
	if (arena->slots)
		return vdma_fail(VDMA_CAUSE_TRANSLATION, NULL,
				 "A physical arena imports no memory: without an IOMMU nothing keeps "
				 "it where it is while a device writes to it. Have it from "
				 "VDMA_PROVIDER_CONTIG, or use a machine with an IOMMU.");
	if (ours.access > VDMA_ACCESS_WRITE)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "There is no access %d.",
				 (int)ours.access);
	if (ours.address_bits > 64)
		return vdma_fail(VDMA_CAUSE_ARGUMENT,
				 &(struct vdma_facts){ .need = ours.address_bits, .limit = 64 },
				 "address_bits is %u; it is 1 to 64, or 0 for no limit.",
				 ours.address_bits);
	if (ours.nioas && !ours.ioas)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL,
				 "An import for %zu address spaces takes their list, which is NULL.",
				 ours.nioas);
	*o = (struct vdma_region_opts){
		.size = sizeof(*o),
		.address_bits = ours.address_bits,
		.access = ours.access,
		.ioas = ours.ioas,
		.nioas = ours.nioas,
	};
	return 0;
}

/* Whole pages, inside; *@len 0 becomes what there is. @end: UINT64_MAX if that is not known. */
static int check_part(const char *of, uint64_t offset, size_t *len, uint64_t page, uint64_t end)
{
	struct vdma_facts facts = { .need = offset + *len, .limit = end };

	if (offset % page)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, &facts,
				 "The offset, 0x%llx, is no multiple of %s, the page of %s.",
				 (unsigned long long)offset, vdma_bytes(page).s, of);
	if (!*len && end == UINT64_MAX)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, &facts,
				 "The length is 0, and how long %s is cannot be found out. Give one.",
				 of);
	if (offset >= end || *len > end - offset || (!*len && end - offset > SIZE_MAX / 2))
		return vdma_fail(
			VDMA_CAUSE_ARGUMENT, &facts,
			"0x%zx bytes at 0x%llx are not inside %s, which has 0x%llx: access to "
			"what is behind would raise SIGBUS. Make it longer (ftruncate), or "
			"import less.",
			*len, (unsigned long long)offset, of, (unsigned long long)end);
	if (!*len)
		*len = (size_t)(end - offset);
	*len = (*len + page - 1) & ~(page - 1);
	return 0;
}

/* The arena is locked. */
static int build(struct vdma_arena *arena, enum vdma_provider provider,
		 const struct vdma_provider_ops *ops, size_t unit, size_t len, int fd,
		 uint64_t offset, const struct vdma_region_opts *o, const void *pc,
		 struct vdma_region **out)
{
	const struct vdma_constraints c = { .address_bits = o->address_bits };
	struct vdma_region *region;
	int err;

	if (!len || len > arena->window.len)
		return vdma_fail(
			VDMA_CAUSE_WINDOW,
			&(struct vdma_facts){ .need = len, .limit = arena->window.len },
			"%s do not fit into the arena's window of %s. Create the arena with a "
			"larger one, or import less.",
			vdma_bytes(len).s, vdma_bytes(arena->window.len).s);
	region = vdma_region_new(arena, o->access, pc);
	if (!region)
		return vdma_fail_malloc(sizeof(*region));
	vdma_region_shape(region, provider, ops, len);
	region->fd = fd;
	region->offset = offset;
	err = vdma_ioas_name(region, o->ioas, o->nioas);
	if (!err) {
		err = vdma_region_build(region, unit, unit, &c);
		if (err)
			vdma_ioas_unname(region);
	}
	if (err) {
		vdma_region_free(region);
		return err;
	}
	*out = region;
	return 0;
}

/* To those who observe, and to the caller. */
static int announce(struct vdma_region *region, struct vdma_region **out)
{
	int err = vdma_region_announce(region);

	if (err)
		vdma_region_free(region);
	else
		*out = region;
	return err;
}

int vdma_region_import_fd(struct vdma_arena *arena, int fd, uint64_t offset, size_t len,
			  const struct vdma_import_opts *opts, struct vdma_region **out)
{
	const void *pc = __builtin_return_address(0);
	struct vdma_sys_file file;
	struct vdma_region_opts o;
	struct vdma_region *region;
	int err;

	if (!out)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "An argument is NULL.");
	err = vdma_import_check(arena, opts, &o);
	if (err)
		return err;
	err = vdma_sys_file_stat(fd, &file);
	if (err)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, &(struct vdma_facts){ .sys_errno = -err },
				 "Descriptor %d cannot be asked what it is: %s. Give one that is "
				 "open.",
				 fd, vdma_error_words(err).s);
	/* Device nodes have no size; the kernel knows where they end. */
	err = check_part("the file", offset, &len, file.page,
			 file.size || file.regular ? file.size : UINT64_MAX);
	if (err)
		return err;
	pthread_mutex_lock(&arena->lock);
	err = build(arena, VDMA_PROVIDER_FILE, &vdma_provider_file, file.page, len, fd, offset, &o,
		    pc, &region);
	pthread_mutex_unlock(&arena->lock);
	return err ? err : announce(region, out);
}

static int check_bar(struct vdma_arena *arena, struct vdma_device *dev, unsigned int index)
{
	int err = vdma_device_check(dev);

	if (err)
		return err;
	if (dev->ioas->arena != arena)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL,
				 "%s was opened through an address space of another arena. Import its "
				 "BAR there.",
				 dev->bdf.s);
	if (index >= VDMA_NBARS || !dev->bars[index].len)
		return vdma_fail(VDMA_CAUSE_NOT_THERE, NULL, "%s has no BAR %u.", dev->bdf.s,
				 index);
	if (!dev->bars[index].mappable || !dev->ops->bar_offset)
		return vdma_fail(VDMA_CAUSE_UNSUPPORTED, NULL,
				 "BAR %u of %s cannot be mapped: it is I/O ports, or smaller than a "
				 "page that it shares with something else.",
				 index, dev->bdf.s);
	return 0;
}

int vdma_region_import_bar(struct vdma_arena *arena, struct vdma_device *dev, unsigned int index,
			   uint64_t offset, size_t len, const struct vdma_import_opts *opts,
			   struct vdma_region **out)
{
	const void *pc = __builtin_return_address(0);
	size_t page = vdma_sys_page_size();
	struct vdma_region_opts o;
	struct vdma_region *region;
	uint64_t at;
	int err;

	if (!out)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL, "An argument is NULL.");
	err = vdma_import_check(arena, opts, &o);
	if (!err)
		err = check_bar(arena, dev, index);
	if (!err && len % page)
		err = vdma_fail(VDMA_CAUSE_ARGUMENT, &(struct vdma_facts){ .need = len },
				"The length, 0x%zx, is no multiple of the page size.", len);
	if (!err)
		err = check_part("the BAR", offset, &len, page, dev->bars[index].len);
	if (!err)
		err = dev->ops->bar_offset(dev, index, &at);
	if (err)
		return err;
	pthread_mutex_lock(&arena->lock);
	err = build(arena, VDMA_PROVIDER_BAR, &vdma_provider_bar, page, len, dev->fd, at + offset,
		    &o, pc, &region);
	if (!err) {
		/* One that there is no room for is not guarded. */
		vdma_guard_add(region->buf.va, region->buf.len);
		region->users = &dev->imports;
		dev->imports++;
	}
	pthread_mutex_unlock(&arena->lock);
	return err ? err : announce(region, out);
}

int vdma_import_let_go(struct vdma_device *dev)
{
	struct vdma_arena *arena = dev->ioas->arena;
	struct vdma_region *region;
	int err = 0;

	pthread_mutex_lock(&arena->lock);
	LIST_FOREACH(region, &arena->regions, link)
	{
		if (err || region->users != &dev->imports)
			continue;
		err = vdma_ioas_unmap_all(region);
		if (err)
			continue;
		region->gone = true;
		err = vdma_vacant_map(region->buf.va, region->buf.len);
		if (err) {
			err = vdma_fail_sys(err, "replace a part of a BAR of %s", dev->bdf.s);
			continue;
		}
		region->users = NULL;
		dev->imports--;
	}
	pthread_mutex_unlock(&arena->lock);
	return err;
}
