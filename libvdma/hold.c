// SPDX-License-Identifier: BSD-3-Clause
#include "hold.h"

#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "explain.h"
#include "region.h"

static int hold(struct vdma_region *region, const struct vdma_bdf *bdf)
{
	return region->ops->hold(region->buf.va, bdf, true);
}

static int release(struct vdma_region *region, const struct vdma_bdf *bdf)
{
	return region->ops->hold(region->buf.va, bdf, false);
}

int vdma_hold_region(struct vdma_ioas *ioas, struct vdma_region *region)
{
	struct vdma_function *f, *done;
	int err;

	LIST_FOREACH(f, &ioas->functions, link)
	{
		err = hold(region, &f->bdf);
		if (!err)
			continue;
		LIST_FOREACH(done, &ioas->functions, link)
		{
			if (done == f)
				break;
			release(region, &done->bdf);
		}
		return err;
	}
	return 0;
}

int vdma_release_region(struct vdma_ioas *ioas, struct vdma_region *region)
{
	struct vdma_function *f;
	int err, ret = 0;

	LIST_FOREACH(f, &ioas->functions, link)
	{
		err = release(region, &f->bdf);
		if (!ret)
			ret = err;
	}
	return ret;
}

int vdma_hold_all(struct vdma_ioas *ioas, const struct vdma_bdf *bdf)
{
	struct vdma_function *f = malloc(sizeof(*f));
	struct vdma_region *region, *done;
	int err;

	if (!f)
		return vdma_fail_malloc(sizeof(*f));
	LIST_FOREACH(region, &ioas->arena->regions, link)
	{
		err = hold(region, bdf);
		if (!err)
			continue;
		LIST_FOREACH(done, &ioas->arena->regions, link)
		{
			if (done == region)
				break;
			release(done, bdf);
		}
		free(f);
		return err;
	}
	f->bdf = *bdf;
	LIST_INSERT_HEAD(&ioas->functions, f, link);
	return 0;
}

void vdma_release_all(struct vdma_ioas *ioas, const struct vdma_bdf *bdf, bool silent)
{
	struct vdma_region *region;
	struct vdma_function *f;

	LIST_FOREACH(f, &ioas->functions, link)
	if (!strcmp(f->bdf.s, bdf->s))
		break;
	/* One that failed to attach has left nothing. */
	if (!f)
		return;
	LIST_REMOVE(f, link);
	free(f);
	if (!silent)
		return;
	LIST_FOREACH(region, &ioas->arena->regions, link)
	release(region, bdf);
}
