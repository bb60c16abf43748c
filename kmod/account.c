// SPDX-License-Identifier: GPL-2.0-only
/*
 * What each user holds, for RLIMIT_MEMLOCK and the administrator's quotas.
 *
 * The sum is the module's own and per user, not mm->locked_vm or
 * mm->pinned_vm: VFIO, RDMA and others add the same pages to those, so that a
 * limit of N would not let a process allocate N and register it. A page is
 * uncharged when it is free, not when its mapping goes: memory torn down while
 * a device pins it stays on its owner's account.
 *
 * A child's copies after fork are ordinary pages, of which the limit on locked
 * memory says nothing; they count for the quotas.
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
	unsigned long npages[ACCOUNT_KINDS];
};

static LIST_HEAD(accounts);
static unsigned long accounts_total;
static DEFINE_MUTEX(accounts_lock);

static struct account *account_find(kuid_t uid)
{
	struct account *account;

	list_for_each_entry(account, &accounts, node)
		if (uid_eq(account->uid, uid))
			return account;
	return NULL;
}

static unsigned long account_sum(const struct account *account)
{
	return account->npages[ACCOUNT_REGION] + account->npages[ACCOUNT_COPY];
}

static bool exceeds(unsigned long held, unsigned long npages, unsigned long limit)
{
	return npages > limit || held > limit - npages;
}

/* Under accounts_lock; account may be NULL. */
static int account_check(const struct account *account, unsigned long npages,
			 enum account_kind kind)
{
	unsigned long locked = account ? account->npages[ACCOUNT_REGION] : 0;

	if (kind == ACCOUNT_REGION &&
	    exceeds(locked, npages, rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT) && !capable(CAP_IPC_LOCK))
		return -EAGAIN;
	if (exceeds(account ? account_sum(account) : 0, npages, policy_user_quota()) ||
	    exceeds(accounts_total, npages, policy_ceiling()))
		return -EDQUOT;
	return 0;
}

/**
 * account_charge - charge the calling user for npages
 *
 * Return: the account, or an error pointer as mmap(MAP_LOCKED) would answer:
 * -EPERM if the caller may not lock memory at all, -EAGAIN if RLIMIT_MEMLOCK
 * would be exceeded; -EDQUOT if a quota would; -ENOMEM if there is no memory
 * for the account itself.
 */
struct account *account_charge(unsigned long npages, enum account_kind kind)
{
	struct account *account;
	int err;

	if (kind == ACCOUNT_REGION && !can_do_mlock())
		return ERR_PTR(-EPERM);

	mutex_lock(&accounts_lock);
	account = account_find(current_uid());
	err = account_check(account, npages, kind);
	if (!err && !account) {
		account = inject() ? NULL : kzalloc(sizeof(*account), GFP_KERNEL_ACCOUNT);
		if (account) {
			account->uid = current_uid();
			list_add(&account->node, &accounts);
		} else {
			err = -ENOMEM;
		}
	}
	if (!err) {
		account->npages[kind] += npages;
		accounts_total += npages;
	}
	mutex_unlock(&accounts_lock);
	return err ? ERR_PTR(err) : account;
}

void account_uncharge(struct account *account, unsigned long npages, enum account_kind kind)
{
	mutex_lock(&accounts_lock);
	account->npages[kind] -= npages;
	accounts_total -= npages;
	if (!account_sum(account)) {
		list_del(&account->node);
		kfree(account);
	}
	mutex_unlock(&accounts_lock);
}

/* What the calling user, and all of them, hold now. */
void account_sums(struct account_sums *sums)
{
	struct account *account;
	int kind;

	mutex_lock(&accounts_lock);
	account = account_find(current_uid());
	for (kind = 0; kind < ACCOUNT_KINDS; kind++)
		sums->user[kind] = account ? account->npages[kind] : 0;
	sums->total = accounts_total;
	mutex_unlock(&accounts_lock);
}
