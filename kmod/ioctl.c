// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the ioctls of both kinds of descriptor have in common: size-first
 * structs, and those that are about a byte of a region.
 */
#include <linux/file.h>
#include <linux/log2.h>
#include <linux/uaccess.h>

#include "map_contig.h"

/**
 * ioctl_read - copy a size-first struct in
 * @to: of the size that we know
 * @first: the size that was first released
 * @ours: the size that we know
 *
 * Return: 0; -EFAULT, -EINVAL (too short), -E2BIG (a tail that we do not know).
 */
int ioctl_read(void *to, size_t first, size_t ours, void __user *user)
{
	u32 size;
	int err;

	if (get_user(size, (u32 __user *)user))
		return -EFAULT;
	if (size < first)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	err = copy_struct_from_user(to, ours, user, size);
	/* It may have changed meanwhile. */
	*(u32 *)to = size;
	return err;
}

/* The answer, cut to the size that the caller knows. */
int ioctl_write(void __user *user, const void *from, size_t ours)
{
	size_t theirs = *(const u32 *)from;

	return copy_to_user(user, from, min(theirs, ours)) ? -EFAULT : 0;
}

static long ioctl_query(const struct finder *finder, void __user *user)
{
	struct map_contig_query query;
	struct place place;
	unsigned long index;
	long err;

	err = ioctl_get(query, folio_shift, user);
	if (err)
		return err;
	if (query.flags)
		return -EOPNOTSUPP;
	if (!policy_may_see_phys())
		return -EPERM;
	err = finder->find(finder, query.addr, &place);
	if (err)
		return err;
	index = place.offset >> PAGE_SHIFT;
	query.phys = PFN_PHYS(place.region->run.pfn) + place.offset;
	query.length = place.length;
	query.node = pfn_to_nid(place.region->run.pfn + index);
	query.folio_shift =
		PAGE_SHIFT + (index < place.region->run.nfolios * FOLIO_PAGES ? FOLIO_ORDER : 0);
	region_user_put(place.region);
	return ioctl_write(user, &query, sizeof(query));
}

static long ioctl_hold(const struct finder *finder, void __user *user)
{
	struct map_contig_hold hold;
	struct place place;
	long err;

	err = ioctl_get(hold, bdf, user);
	if (err)
		return err;
	if (hold.flags & ~MAP_CONTIG_HOLD_RELEASE)
		return -EOPNOTSUPP;
	if (!capable(CAP_SYS_RAWIO))
		return -EPERM;
	err = finder->find(finder, hold.addr, &place);
	if (err)
		return err;
	if (hold.flags & MAP_CONTIG_HOLD_RELEASE) {
		err = hold_remove(place.region, hold.domain, hold.bdf);
		/* What was unmapped meanwhile has waited for this. */
		if (!err)
			region_release_unmapped(place.region);
	} else {
		err = hold_add(place.region, hold.domain, hold.bdf);
	}
	region_user_put(place.region);
	return err;
}

static long ioctl_export(const struct finder *finder, void __user *user)
{
	struct map_contig_export export;
	struct place place;
	struct file *file;
	long err;

	err = ioctl_get(export, pad, user);
	if (err)
		return err;
	if (export.flags)
		return -EOPNOTSUPP;
	if (!PAGE_ALIGNED(export.addr) || !PAGE_ALIGNED(export.length))
		return -EINVAL;
	err = finder->find(finder, export.addr, &place);
	if (err)
		return err;
	if (!export.length)
		export.length = place.length;
	file = export.length > place.length ?
		       ERR_PTR(-ENXIO) :
		       dmabuf_export(place.region, place.offset >> PAGE_SHIFT,
				     export.length >> PAGE_SHIFT);
	region_user_put(place.region);
	if (IS_ERR(file))
		return PTR_ERR(file);

	export.fd = get_unused_fd_flags(O_CLOEXEC);
	export.pad = 0;
	err = export.fd < 0 ? export.fd : ioctl_write(user, &export, sizeof(export));
	if (err) {
		if (export.fd >= 0)
			put_unused_fd(export.fd);
		fput(file);
		return err;
	}
	fd_install(export.fd, file);
	return 0;
}

/* The ioctls that are about a byte of a region. */
long ioctl_place(const struct finder *finder, unsigned int cmd, void __user *user)
{
	switch (cmd) {
	case MAP_CONTIG_QUERY: return ioctl_query(finder, user);
	case MAP_CONTIG_HOLD: return ioctl_hold(finder, user);
	case MAP_CONTIG_EXPORT: return ioctl_export(finder, user);
	default: return -ENOTTY;
	}
}
