// SPDX-License-Identifier: GPL-2.0-only
/*
 * The reserve: memory that the administrator has set aside, when the machine
 * was still young or at any time later. Runs come from it first.
 *
 * It is a list of extents, each a run that the search has found. An extent is cut
 * into units: folios where the search has built it of folios, else pages. The
 * reserve holds one reference to each unit that is not handed out; a unit that
 * is handed out has one too, its user's, and goes back when its user is the
 * only one who holds it. What is handed out is cleared then, not before.
 *
 * Where more is set aside than wanted, units that are free are given back to
 * the kernel at once, the others when their users give them back.
 */
#include <linux/bitmap.h>
#include <linux/ctype.h>
#include <linux/limits.h>
#include <linux/list.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/nodemask.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "compat.h"
#include "map_contig.h"

/**
 * struct reserve_extent
 * @run: all of it, as the search found it
 * @node: where it lies
 * @unit: pages of a unit
 * @nunits: how many
 * @nheld: of these, those that have not been given back to the kernel
 * @busy: a bit per unit that is handed out, or has been given back
 */
struct reserve_extent {
	struct list_head list;
	struct run run;
	int node;
	unsigned long unit;
	unsigned long nunits;
	unsigned long nheld;
	unsigned long *busy;
};

/* In pages; guarded by reserve_lock. */
struct reserve_node {
	unsigned long target;
	unsigned long held;
	unsigned long free;
};

static LIST_HEAD(extents);
static DEFINE_SPINLOCK(reserve_lock);
static struct reserve_node nodes[MAX_NUMNODES];
static unsigned long nfree;

/* One who resizes; guards reserve_is_up. */
static DEFINE_MUTEX(reserve_resize_lock);
static bool reserve_is_up;

unsigned long reserve_free_pages(void)
{
	return READ_ONCE(nfree);
}

static void extent_free(struct reserve_extent *extent)
{
	kvfree(extent->busy);
	kfree(extent);
}

static struct page *unit_page(const struct reserve_extent *extent, unsigned long unit)
{
	return pfn_to_page(extent->run.pfn + unit * extent->unit);
}

static void count_free(struct reserve_extent *extent, long units)
{
	lockdep_assert_held(&reserve_lock);
	nodes[extent->node].free += units * extent->unit;
	WRITE_ONCE(nfree, nfree + units * extent->unit);
}

/*
 * The unit, busy, is the reserve's no more; the caller drops the reference. Returns
 * whether the extent has none left: then the caller frees it, without the lock.
 */
static bool unit_forget(struct reserve_extent *extent)
{
	lockdep_assert_held(&reserve_lock);
	nodes[extent->node].held -= extent->unit;
	if (--extent->nheld)
		return false;
	list_del(&extent->list);
	return true;
}

/* --- Handing out --- */

/* Where in the extent a run that meets the request begins, as a unit; nunits if nowhere. */
static unsigned long extent_find(const struct reserve_extent *extent, const struct request *request)
{
	unsigned long need = DIV_ROUND_UP(request->npages, extent->unit);
	unsigned long step = max(request->align, extent->unit);
	unsigned long pfn = extent->run.pfn, first, busy;

	for (;;) {
		pfn = ALIGN(pfn, step);
		first = (pfn - extent->run.pfn) / extent->unit;
		if (first + need > extent->nunits || pfn < extent->run.pfn)
			return extent->nunits;
		if (!request_fits(request, pfn)) {
			if (pfn + request->npages - 1 > request->pfn_max)
				return extent->nunits;
			/* It is the boundary. */
			pfn = ALIGN(pfn + 1, request->boundary);
			continue;
		}
		busy = find_next_bit(extent->busy, first + need, first);
		if (busy >= first + need)
			return first;
		pfn = extent->run.pfn + (busy + 1) * extent->unit;
	}
}

/* Hand out a run, bad pages and all. */
static int node_take(struct run *run, const struct request *request, int nid)
{
	struct reserve_extent *extent;
	unsigned long first, n;

	spin_lock(&reserve_lock);
	list_for_each_entry(extent, &extents, list) {
		if (extent->node != nid || (request->exact && request->npages % extent->unit))
			continue;
		n = DIV_ROUND_UP(request->npages, extent->unit);
		first = extent_find(extent, request);
		if (first == extent->nunits)
			continue;
		bitmap_set(extent->busy, first, n);
		count_free(extent, -(long)n);
		*run = (struct run){
			.pfn = page_to_pfn(unit_page(extent, first)),
			.npages = request->npages,
			.nfolios = extent->unit > 1 ? n : 0,
			.reserve = extent,
		};
		spin_unlock(&reserve_lock);
		return 0;
	}
	spin_unlock(&reserve_lock);
	return -ENOMEM;
}

/* Bad pages may have come about since: then all but those goes back. */
static bool run_weed_out(const struct run *run)
{
	unsigned long nchunks = run_chunks(run), chunk;
	bool bad = false;

	for (chunk = 0; chunk < nchunks && !bad; chunk++) {
		bad = run_chunk_is_bad(run, chunk);
		cond_resched();
	}
	if (!bad)
		return false;
	for (chunk = 0; chunk < nchunks; chunk++) {
		if (run_chunk_is_bad(run, chunk))
			run_lose_chunk(run, chunk);
		else
			run_put_chunk(run, chunk, false);
	}
	return true;
}

static int node_alloc(struct run *run, const struct request *request, int nid)
{
	int err;

	do {
		err = node_take(run, request, nid);
	} while (!err && run_weed_out(run));
	return err;
}

/**
 * reserve_alloc - a run of the reserve, cleared; the first that meets the request
 *
 * Return: 0, -ENOMEM, or -EINTR.
 */
int reserve_alloc(struct run *run, const struct request *request)
{
	nodemask_t seen = NODE_MASK_NONE;
	int nid, err;

	if (inject())
		return -ENOMEM;
	while ((nid = request_node_next(request, &seen)) != NUMA_NO_NODE) {
		if (node_alloc(run, request, nid))
			continue;
		/* Whole units: what lies behind the run can be seen through no mapping. */
		err = zero_pages(run->pfn, run->npages);
		if (err)
			run_free(run);
		return err;
	}
	return -ENOMEM;
}

/**
 * reserve_put_chunk - a chunk of a run that reserve_alloc() gave
 * @let_go: somebody else holds it too; the kernel frees it when he lets go
 */
void reserve_put_chunk(const struct run *run, unsigned long chunk, bool let_go)
{
	struct reserve_extent *extent = run->reserve;
	struct page *page = run_chunk_page(run, chunk);
	bool last = false;

	spin_lock(&reserve_lock);
	if (let_go || nodes[extent->node].held > nodes[extent->node].target) {
		last = unit_forget(extent);
	} else {
		__clear_bit((page_to_pfn(page) - extent->run.pfn) / extent->unit, extent->busy);
		count_free(extent, 1);
		page = NULL;
	}
	spin_unlock(&reserve_lock);

	if (page)
		put_page(page);
	if (last)
		extent_free(extent);
}

/* A chunk that nobody must get. */
void reserve_lose_chunk(const struct run *run, unsigned long chunk)
{
	bool last;

	spin_lock(&reserve_lock);
	last = unit_forget(run->reserve);
	spin_unlock(&reserve_lock);
	if (last)
		extent_free(run->reserve);
}

/* The longest run of free units that meets all of the request but its length. */
static unsigned long extent_longest(const struct reserve_extent *extent,
				    const struct request *request)
{
	unsigned long step = max(request->align, extent->unit), longest = 0;
	unsigned long unit = 0, busy, pfn, end, length;

	for (; unit < extent->nunits; unit = busy) {
		unit = find_next_zero_bit(extent->busy, extent->nunits, unit);
		busy = find_next_bit(extent->busy, extent->nunits, unit);
		end = extent->run.pfn + busy * extent->unit;
		if (request->pfn_max < end)
			end = request->pfn_max + 1;
		pfn = ALIGN(extent->run.pfn + unit * extent->unit, step);
		length = frames_fitting(request, &pfn, end, step);
		longest = max(longest, length);
	}
	return longest;
}

unsigned long reserve_largest(const struct request *request)
{
	struct reserve_extent *extent;
	unsigned long longest = 0;

	spin_lock(&reserve_lock);
	list_for_each_entry(extent, &extents, list)
		if (request->node_mode != MAP_CONTIG_NODE_STRICT || extent->node == request->node)
			longest = max(longest, extent_longest(extent, request));
	spin_unlock(&reserve_lock);
	return longest;
}

/* --- Resizing --- */

static int extent_add(int nid, unsigned long npages)
{
	struct request request = {
		.npages = npages,
		.align = FOLIO_PAGES,
		.pfn_max = ULONG_MAX,
		.node = nid,
		.node_mode = MAP_CONTIG_NODE_STRICT,
	};
	struct reserve_extent *extent;
	int err = -ENOMEM;

	extent = inject() ? NULL : kzalloc(sizeof(*extent), GFP_KERNEL);
	if (!extent)
		return -ENOMEM;
	/* As if of pages: what the search finds is not known yet. */
	extent->busy = inject() ? NULL : kvcalloc(BITS_TO_LONGS(npages), sizeof(long), GFP_KERNEL);
	if (extent->busy)
		err = policy_take_begin(npages, &request);
	if (!err) {
		err = search_run(&extent->run, &request);
		policy_take_end(npages);
	}
	if (err) {
		extent_free(extent);
		return err;
	}
	extent->node = nid;
	extent->unit = extent->run.nfolios ? FOLIO_PAGES : 1;
	extent->nunits = npages / extent->unit;
	extent->nheld = extent->nunits;

	spin_lock(&reserve_lock);
	list_add_tail(&extent->list, &extents);
	nodes[nid].held += npages;
	count_free(extent, extent->nunits);
	spin_unlock(&reserve_lock);
	return 0;
}

static unsigned long node_missing(int nid)
{
	unsigned long missing;

	spin_lock(&reserve_lock);
	missing = nodes[nid].target > nodes[nid].held ? nodes[nid].target - nodes[nid].held : 0;
	spin_unlock(&reserve_lock);
	return ALIGN(missing, FOLIO_PAGES);
}

/* In as few extents as can be had. */
static int node_grow(int nid)
{
	unsigned long missing, length = ULONG_MAX;
	int err;

	for (;;) {
		missing = node_missing(nid);
		if (!missing)
			return 0;
		length = min(length, missing);
		err = extent_add(nid, length);
		if (!err)
			continue;
		if (err != -ENOMEM || length == FOLIO_PAGES)
			return err;
		length = ALIGN(length / 2, FOLIO_PAGES);
	}
}

#define SHRINK_BATCH 64

/*
 * Collects free units that are too many, in pages[]; NULL for a bad one, which is lost:
 * the kernel would not notice. Returns how many.
 */
static unsigned int collect_free(int nid, struct page **pages, struct list_head *dead)
{
	struct reserve_extent *extent, *next;
	unsigned int n = 0;

	spin_lock(&reserve_lock);
	/* The youngest go first. */
	list_for_each_entry_safe_reverse(extent, next, &extents, list) {
		unsigned long unit = 0;

		if (extent->node != nid)
			continue;
		while (n < SHRINK_BATCH && nodes[nid].held > nodes[nid].target) {
			unit = find_next_zero_bit(extent->busy, extent->nunits, unit);
			if (unit == extent->nunits)
				break;
			__set_bit(unit, extent->busy);
			count_free(extent, -1);
			pages[n] = unit_page(extent, unit);
			if (pages_are_bad(pages[n], extent->unit)) {
				pages_lose(extent->unit);
				pages[n] = NULL;
			}
			n++;
			if (unit_forget(extent)) {
				list_add(&extent->list, dead);
				break;
			}
		}
	}
	spin_unlock(&reserve_lock);
	return n;
}

static void node_shrink(int nid)
{
	struct page *pages[SHRINK_BATCH];
	struct reserve_extent *extent, *next;
	LIST_HEAD(dead);
	unsigned int n;

	while ((n = collect_free(nid, pages, &dead))) {
		while (n--)
			if (pages[n])
				put_page(pages[n]);
		cond_resched();
	}
	list_for_each_entry_safe(extent, next, &dead, list)
		extent_free(extent);
}

static void set_target(int nid, unsigned long target)
{
	spin_lock(&reserve_lock);
	nodes[nid].target = target;
	spin_unlock(&reserve_lock);
}

/* Bring all nodes to their targets; 0, or what kept one from growing. */
static int resize(void)
{
	unsigned long missing = 0, available = policy_available();
	int nid, err = 0;

	lockdep_assert_held(&reserve_resize_lock);
	/* What cannot be is refused at once, not after all memory has been taken for it. */
	for (nid = 0; nid < MAX_NUMNODES; nid++) {
		missing += node_missing(nid);
		if (missing > available)
			return -ENOMEM;
	}
	for (nid = 0; nid < MAX_NUMNODES && !err; nid++)
		err = node_grow(nid);
	if (err)
		return err;
	for (nid = 0; nid < MAX_NUMNODES; nid++)
		node_shrink(nid);
	return 0;
}

/* --- The parameter --- */

static int parse_size(const char **text, unsigned long *npages)
{
	unsigned long bytes;
	int err = policy_parse_size(text, &bytes);

	if (err || bytes > LONG_MAX)
		return -EINVAL;
	*npages = ALIGN(DIV_ROUND_UP(bytes, PAGE_SIZE), FOLIO_PAGES);
	return 0;
}

static void spread(unsigned long npages, unsigned long *targets)
{
	unsigned long left = num_node_state(N_MEMORY), share;
	int nid;

	for_each_node_state(nid, N_MEMORY) {
		share = ALIGN(DIV_ROUND_UP(npages, left), FOLIO_PAGES);
		share = min(share, npages);
		targets[nid] = share;
		npages -= share;
		left--;
	}
}

static int parse(const char *text, unsigned long *targets)
{
	DECLARE_BITMAP(named, MAX_NUMNODES) = {};
	const char *at = text;
	unsigned long npages, nid;
	char *end;
	int err;

	text = skip_spaces(text);
	at = text;
	if (!strchr(text, ':')) {
		err = parse_size(&at, &npages);
		if (err || *skip_spaces(at))
			return -EINVAL;
		spread(npages, targets);
		return 0;
	}
	for (;;) {
		if (!isdigit(*at))
			return -EINVAL;
		nid = simple_strtoul(at, &end, 10);
		if (*end != ':' || nid >= MAX_NUMNODES || !node_state(nid, N_MEMORY) ||
		    __test_and_set_bit(nid, named))
			return -EINVAL;
		at = end + 1;
		err = parse_size(&at, &targets[nid]);
		if (err)
			return err;
		if (*at != ',')
			return *skip_spaces(at) ? -EINVAL : 0;
		at++;
	}
}

/* Swaps the targets of all nodes with targets[]. */
static void swap_targets(unsigned long *targets)
{
	int nid;

	spin_lock(&reserve_lock);
	for (nid = 0; nid < MAX_NUMNODES; nid++)
		swap(nodes[nid].target, targets[nid]);
	spin_unlock(&reserve_lock);
}

/*
 * A write that cannot be met changes nothing: what has been had of it is given
 * back. Before the module is up, it is only noted: of a module that cannot be
 * loaded after all, nobody would give it back.
 */
static int reserve_set(const char *text, const struct kernel_param *param)
{
	unsigned long *targets;
	int err, nid;

	targets = kcalloc(MAX_NUMNODES, sizeof(*targets), GFP_KERNEL);
	if (!targets)
		return -ENOMEM;
	err = parse(text, targets);
	if (err)
		goto out;
	mutex_lock(&reserve_resize_lock);
	swap_targets(targets);
	if (reserve_is_up)
		err = resize();
	if (err) {
		swap_targets(targets);
		for (nid = 0; nid < MAX_NUMNODES; nid++)
			node_shrink(nid);
	}
	mutex_unlock(&reserve_resize_lock);
out:
	kfree(targets);
	return err;
}

static unsigned long kib(unsigned long npages)
{
	return npages << (PAGE_SHIFT - 10);
}

static int reserve_get(char *buffer, const struct kernel_param *param)
{
	int nid, length = 0;

	for_each_node_state(nid, N_MEMORY) {
		struct reserve_node node;

		spin_lock(&reserve_lock);
		node = nodes[nid];
		spin_unlock(&reserve_lock);
		length += scnprintf(buffer + length, PAGE_SIZE - length,
				    "%d:%luK held=%luK free=%luK\n", nid, kib(node.target),
				    kib(node.held), kib(node.free));
	}
	return length;
}

static const struct kernel_param_ops reserve_ops = {
	.set = reserve_set,
	.get = reserve_get,
};
module_param_cb(reserve, &reserve_ops, NULL, 0644);
MODULE_PARM_DESC(
	reserve,
	"Memory to set aside for contiguous allocations: \"512M\", spread over all nodes, or \"0:512M,1:64M\"; "
	"nodes that are not named get none. In steps of 2 MiB. ENOMEM, and nothing is changed, if it cannot be had. "
	"What is given up and in use goes back when its users free it. "
	"Reads as NODE:SIZE, and what of it is held and free");

/**
 * reserve_init - set aside what the module was loaded with
 *
 * Return: 0; or -ENOMEM, -EINTR: then reserve_exit() gives back what there is.
 */
int reserve_init(void)
{
	int err;

	mutex_lock(&reserve_resize_lock);
	err = resize();
	reserve_is_up = !err;
	mutex_unlock(&reserve_resize_lock);
	return err;
}

/**
 * reserve_exit - give everything back
 *
 * No region is left, so nothing is handed out.
 */
void reserve_exit(void)
{
	int nid;

	mutex_lock(&reserve_resize_lock);
	reserve_is_up = false;
	for (nid = 0; nid < MAX_NUMNODES; nid++) {
		set_target(nid, 0);
		node_shrink(nid);
	}
	mutex_unlock(&reserve_resize_lock);
	WARN_ON(!list_empty(&extents));
}
