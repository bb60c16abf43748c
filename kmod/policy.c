// SPDX-License-Identifier: GPL-2.0-only
/*
 * The administrator's limits, as module parameters that can be changed at any
 * time. They hold for what is asked for from then on; nothing is taken away.
 */
#include <linux/capability.h>
#include <linux/ctype.h>
#include <linux/kernel.h>
#include <linux/moduleparam.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/wait.h>

#include "map_contig.h"

static bool phys_for_all;
module_param(phys_for_all, bool, 0644);
MODULE_PARM_DESC(
	phys_for_all,
	"Tell physical addresses to everyone who can open the device node, not only to CAP_SYS_RAWIO");

/* A limit in bytes, ULONG_MAX for none. */
static unsigned long ceiling = ULONG_MAX;
static unsigned long user_quota = ULONG_MAX;
/* ULONG_MAX: not set. */
static unsigned long floor = ULONG_MAX;

/*
 * memparse() without its way of wrapping around. from: in: where the number begins;
 * out: behind it.
 */
int policy_parse_size(const char **from, unsigned long *bytes)
{
	static const char suffixes[] = "KMGT";
	const char *text = *from;
	size_t digits = strspn(text, "0123456789");
	const char *suffix = NULL;
	char number[24];
	int err;

	if (digits >= sizeof(number))
		return -EINVAL;
	strscpy(number, text, digits + 1);
	err = kstrtoul(number, 10, bytes);
	if (err)
		return -EINVAL;
	text += digits;
	if (*text)
		suffix = strchr(suffixes, toupper(*text));
	if (suffix) {
		text++;
		if (check_shl_overflow(*bytes, 10 * (suffix - suffixes + 1), bytes))
			return -EINVAL;
	}
	*from = text;
	return *bytes < ULONG_MAX ? 0 : -EINVAL;
}

/* "64M", "none", or "default" where that is something else. */
static int size_set(const char *text, const struct kernel_param *kp)
{
	unsigned long bytes;
	int err;

	if (!text)
		return -EINVAL;
	if (sysfs_streq(text, "none") || sysfs_streq(text, "default")) {
		WRITE_ONCE(*(unsigned long *)kp->arg, ULONG_MAX);
		return 0;
	}
	err = policy_parse_size(&text, &bytes);
	if (!err && !sysfs_streq(text, ""))
		err = -EINVAL;
	if (!err)
		WRITE_ONCE(*(unsigned long *)kp->arg, bytes);
	return err;
}

static int size_get(char *buffer, const struct kernel_param *kp)
{
	unsigned long bytes = READ_ONCE(*(unsigned long *)kp->arg);

	if (bytes == ULONG_MAX)
		return sysfs_emit(buffer, "%s\n", kp->arg == &floor ? "default" : "none");
	return sysfs_emit(buffer, "%lu\n", bytes);
}

static const struct kernel_param_ops size_ops = {
	.set = size_set,
	.get = size_get,
};

module_param_cb(ceiling, &size_ops, &ceiling, 0644);
MODULE_PARM_DESC(ceiling, "What all users together may hold, bytes (64M, 2G; none)");
module_param_cb(user_quota, &size_ops, &user_quota, 0644);
MODULE_PARM_DESC(user_quota, "What one user may hold, root too, bytes (64M, 2G; none)");
module_param_cb(floor, &size_ops, &floor, 0644);
MODULE_PARM_DESC(floor,
		 "Memory that must stay available to others, bytes (default: 1/64 of all memory)");

static unsigned long to_pages(unsigned long bytes)
{
	return bytes == ULONG_MAX ? ULONG_MAX : bytes >> PAGE_SHIFT;
}

unsigned long policy_ceiling(void)
{
	return to_pages(READ_ONCE(ceiling));
}

unsigned long policy_user_quota(void)
{
	return to_pages(READ_ONCE(user_quota));
}

unsigned long policy_floor(void)
{
	unsigned long pages = to_pages(READ_ONCE(floor));

	return pages == ULONG_MAX ? totalram_pages() / 64 : pages;
}

unsigned long policy_available(void)
{
	long available = si_mem_available();
	unsigned long keep = policy_floor();

	return available > 0 && available > keep ? available - keep : 0;
}

/* Pages that are being taken, and may or may not count as available still. */
static unsigned long taking;
static DEFINE_SPINLOCK(taking_lock);
static DECLARE_WAIT_QUEUE_HEAD(taking_queue);

/* -EAGAIN: there is as much, but others may be about to take it. */
static int take(unsigned long npages)
{
	unsigned long available;
	int err = 0;

	/* Looked up under the lock: who has ended since would be in neither. */
	spin_lock(&taking_lock);
	available = policy_available();
	if (npages > available)
		err = -ENOMEM;
	else if (taking && npages + taking > available)
		err = -EAGAIN;
	else
		taking += npages;
	spin_unlock(&taking_lock);
	return err;
}

int policy_take_begin(unsigned long npages, const struct request *request)
{
	int err;

	for (;;) {
		err = take(npages);
		if (err != -EAGAIN)
			return err;
		err = request			    ? request_interrupted(request) :
		      fatal_signal_pending(current) ? -EINTR :
						      0;
		if (err)
			return err;
		/* Not longer than a tick or two, for the deadline, and what others free. */
		wait_event_killable_timeout(taking_queue, !READ_ONCE(taking), HZ / 50 + 1);
	}
}

void policy_take_end(unsigned long npages)
{
	spin_lock(&taking_lock);
	taking -= npages;
	spin_unlock(&taking_lock);
	wake_up_all(&taking_queue);
}

bool policy_may_see_phys(void)
{
	return READ_ONCE(phys_for_all) || capable(CAP_SYS_RAWIO);
}
