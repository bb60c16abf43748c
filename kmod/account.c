// SPDX-License-Identifier: GPL-2.0-only
/*
 * What each user holds, for RLIMIT_MEMLOCK.
 *
 * The sum is the module's own and per user, not mm->locked_vm or
 * mm->pinned_vm: VFIO, RDMA and others add the same pages to those, so that a
 * limit of N would not let a process allocate N and register it. A page is
 * uncharged when it is free, not when its mapping goes: memory torn down while
 * a device pins it stays on its owner's account.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "map_contig.h"

struct account {
	struct list_head node;
	kuid_t uid;
	unsigned long npages;
};

static LIST_HEAD(accounts);
static DEFINE_MUTEX(accounts_lock);

static struct account *account_find(kuid_t uid)
{
	struct account *account;

	list_for_each_entry(account, &accounts, node)
		if (uid_eq(account->uid, uid))
			return account;
	return NULL;
}

/**
 * account_charge - charge the calling user for npages
 *
 * Return: the account, or an error pointer as mmap(MAP_LOCKED) would answer:
 * -EPERM if the caller may not lock memory at all, -EAGAIN if the limit would
 * be exceeded, -ENOMEM if there is no memory for the account itself.
 */
struct account *account_charge(unsigned long npages)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	struct account *account;

	if (!can_do_mlock())
		return ERR_PTR(-EPERM);

	mutex_lock(&accounts_lock);
	account = account_find(current_uid());
	if ((npages > limit || (account && account->npages > limit - npages)) &&
	    !capable(CAP_IPC_LOCK)) {
		account = ERR_PTR(-EAGAIN);
		goto unlock;
	}
	if (!account) {
		account = kzalloc(sizeof(*account), GFP_KERNEL_ACCOUNT);
		if (!account) {
			account = ERR_PTR(-ENOMEM);
			goto unlock;
		}
		account->uid = current_uid();
		list_add(&account->node, &accounts);
	}
	account->npages += npages;
unlock:
	mutex_unlock(&accounts_lock);
	return account;
}

void account_uncharge(struct account *account, unsigned long npages)
{
	mutex_lock(&accounts_lock);
	account->npages -= npages;
	if (!account->npages) {
		list_del(&account->node);
		kfree(account);
	}
	mutex_unlock(&accounts_lock);
}
