// SPDX-License-Identifier: BSD-3-Clause
/*
 * Resets: of a function alone, which the kernel chooses, and of its slot or bus with
 * all that is on it, which takes that all of that is ours.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "explain.h"
#include "ioas.h"
#include "sys.h"

/* The kernel's names, in Documentation/ABI/testing/sysfs-bus-pci; the rest are "other". */
static const struct {
	const char *name;
	enum vdma_reset reset;
} methods[] = {
	{ "flr", VDMA_RESET_FLR }, { "af_flr", VDMA_RESET_FLR },  { "pm", VDMA_RESET_PM },
	{ "bus", VDMA_RESET_BUS }, { "cxl_bus", VDMA_RESET_BUS },
};

static enum vdma_reset method(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (!strcmp(name, methods[i].name))
			return methods[i].reset;
	return VDMA_RESET_OTHER;
}

static int affected(struct vdma_device *dev, struct vdma_affected **all)
{
	if (dev->ops->affected)
		return dev->ops->affected(dev, all);
	return vdma_fail(VDMA_CAUSE_UNSUPPORTED, NULL,
			 "%s is lent by uio_pci_generic, which does not reset slots or buses. Bind "
			 "it to vfio-pci.",
			 dev->bdf.s);
}

/* How many there are, without a word if that cannot be told; the arena is locked. */
static unsigned int count_affected(struct vdma_device *dev)
{
	struct vdma_affected *all;
	struct vdma_kept before;
	int n;

	vdma_keep_failure(&before);
	n = affected(dev, &all);
	vdma_restore_failure(&before);
	if (n < 0)
		return 0;
	free(all);
	return (unsigned int)n;
}

void vdma_device_reset_info(struct vdma_device *dev, struct vdma_device_info *info)
{
	struct vdma_arena *arena = dev->ioas->arena;
	char names[128], *at = names, *name;

	pthread_mutex_lock(&arena->lock);
	if (!dev->gone) {
		vdma_host_reset_methods(dev->bdf.s, names, sizeof(names));
		while (dev->can_reset && (name = strsep(&at, " \n")))
			if (*name) {
				info->resets |= method(name);
				if (!info->reset)
					info->reset = method(name);
			}
		/* Before Linux 5.15 there is no list. */
		if (dev->can_reset && !info->reset)
			info->resets = info->reset = VDMA_RESET_OTHER;
		info->hot_functions = count_affected(dev);
		if (info->hot_functions)
			info->resets |= VDMA_RESET_HOT;
	}
	pthread_mutex_unlock(&arena->lock);
}

int vdma_device_reset(struct vdma_device *dev)
{
	unsigned int functions;
	char hot[96] = "";
	int err = vdma_device_check(dev);

	if (err)
		return err;
	if (dev->can_reset)
		return dev->ops->reset(dev);
	pthread_mutex_lock(&dev->ioas->arena->lock);
	functions = dev->gone ? 0 : count_affected(dev);
	pthread_mutex_unlock(&dev->ioas->arena->lock);
	if (functions)
		snprintf(hot, sizeof(hot),
			 ", or by vdma_device_hot_reset(), which resets %u functions with it",
			 functions - 1);
	return vdma_fail(VDMA_CAUSE_UNSUPPORTED, NULL,
			 "%s has no reset of its own (no FLR, no power state reset, not alone on "
			 "its bus). Reset it by its own registers%s, or close and open it.",
			 dev->bdf.s, hot);
}

/* Adds who keeps us from resetting it. */
static void add_other(const struct vdma_affected *a, char *text, size_t size,
		      struct vdma_facts *facts)
{
	char driver[64], group[32], node[64], comm[32];
	size_t used = strlen(text);
	int number = vdma_host_group(a->bdf.s);
	pid_t pid;

	vdma_host_driver(a->bdf.s, driver, sizeof(driver));
	if (!vdma_host_is_vfio_driver(driver)) {
		snprintf(text + used, size - used, "\n  %s, driver %s: bind it to vfio-pci",
			 a->bdf.s, *driver ? driver : "none");
		return;
	}
	snprintf(group, sizeof(group), "/dev/vfio/%d", number);
	if (vdma_host_holder(group, &pid, comm, sizeof(comm)) &&
	    (vdma_host_node(a->bdf.s, node, sizeof(node)) ||
	     vdma_host_holder(node, &pid, comm, sizeof(comm)))) {
		snprintf(text + used, size - used,
			 "\n  %s, IOMMU group %d, not open in any process that can be seen: open it "
			 "here, or a device of its group",
			 a->bdf.s, number);
	} else if (pid == vdma_sys_pid()) {
		snprintf(text + used, size - used,
			 "\n  %s, open in this process, but through another arena, or over iommufd "
			 "through another address space",
			 a->bdf.s);
	} else {
		snprintf(text + used, size - used, "\n  %s, in use by process %ld (%s)", a->bdf.s,
			 (long)pid, comm);
		facts->pid = pid;
	}
}

/* Does the kernel let us reset it, and could it? */
static bool is_ours(const struct vdma_affected *a, const struct vdma_arena *arena)
{
	char driver[64];

	vdma_host_driver(a->bdf.s, driver, sizeof(driver));
	return vdma_host_is_vfio_driver(driver) &&
	       (a->group < 0 ? a->ours : vdma_ioas_group_fd(arena, a->group) >= 0);
}

static int check_ours(const struct vdma_device *dev, const struct vdma_affected *all, size_t n)
{
	struct vdma_facts facts = { .need = n };
	char text[1024] = "";
	size_t i;

	for (i = 0; i < n; i++)
		if (is_ours(&all[i], dev->ioas->arena))
			facts.limit++;
		else
			add_other(&all[i], text, sizeof(text), &facts);
	if (facts.limit == n)
		return 0;
	return vdma_fail(VDMA_CAUSE_AFFECTED, &facts,
			 "A reset of the slot or bus of %s hits %zu functions, of which these are not "
			 "this arena's:%s\nAll have to be bound to vfio-pci and open here.",
			 dev->bdf.s, n, text);
}

/* Descriptors of their groups, each once; none where the kernel knows without. */
static size_t collect_groups(const struct vdma_arena *arena, const struct vdma_affected *all,
			     size_t n, int *groups)
{
	size_t count = 0, i, j;

	for (i = 0; i < n && all[i].group >= 0; i++) {
		int fd = vdma_ioas_group_fd(arena, all[i].group);

		for (j = 0; j < count && groups[j] != fd; j++)
			;
		if (j == count)
			groups[count++] = fd;
	}
	return count;
}

/* The arena is locked, so that no group comes or goes. */
static int hot_reset(struct vdma_device *dev)
{
	struct vdma_affected *all;
	int n, err, *groups;

	n = affected(dev, &all);
	if (n < 0)
		return n;
	err = check_ours(dev, all, (size_t)n);
	if (err)
		goto free_all;
	groups = malloc((size_t)n * sizeof(*groups));
	if (!groups) {
		err = vdma_fail_malloc((size_t)n * sizeof(*groups));
		goto free_all;
	}
	err = dev->ops->hot_reset(dev, groups,
				  collect_groups(dev->ioas->arena, all, (size_t)n, groups));
	free(groups);
free_all:
	free(all);
	return err;
}

int vdma_device_hot_reset(struct vdma_device *dev)
{
	int err = vdma_device_check(dev);

	if (err)
		return err;
	pthread_mutex_lock(&dev->ioas->arena->lock);
	/* It may have been let go since. */
	err = vdma_device_check(dev);
	if (!err)
		err = hot_reset(dev);
	pthread_mutex_unlock(&dev->ioas->arena->lock);
	return err;
}
