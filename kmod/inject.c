// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fault injection, on debug kernels only: every step of ours that may fail asks
 * here whether it should. Driven by /proc/PID/fail-nth, or by the attributes in
 * debugfs (map_contig/fail).
 */
#include <linux/debugfs.h>
#include <linux/fault-inject.h>

#include "map_contig.h"

static DECLARE_FAULT_ATTR(inject_attr);

void inject_init(struct dentry *dir)
{
	fault_create_debugfs_attr("fail", dir, &inject_attr);
}

bool inject(void)
{
	return should_fail(&inject_attr, 1);
}
