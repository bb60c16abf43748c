// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/map_contig: the device node, and what one open() of it remembers.
 * include/vdma/uapi/map_contig.h says what it does for a program.
 */
#include <linux/capability.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "compat.h"
#include "map_contig.h"

/*
 * An opaque offset: bit 62, the region's id, the offset in the region. No
 * physical address is that high.
 */
#define OFFSET_OPAQUE (1ULL << 62)
#define OFFSET_ID_SHIFT 40

/**
 * struct node - an open node
 * @lock: guards what follows
 * @request: constraints of what mmap() allocates
 * @mode: MAP_CONTIG_MODE_*
 * @shared: what it allocates may be mapped by offset
 * @object: its number, 0 until it is configured
 */
struct node {
	spinlock_t lock;
	struct request request;
	u32 mode;
	bool shared;
	u64 object;
};

static atomic64_t node_objects;

static int node_open(struct inode *inode, struct file *file)
{
	static const struct map_contig_constraints none;
	struct node *node = inject() ? NULL : kzalloc(sizeof(*node), GFP_KERNEL_ACCOUNT);
	int err;

	if (!node)
		return -ENOMEM;
	spin_lock_init(&node->lock);
	request_set_constraints(&node->request, &none);
	err = fs_pin();
	if (err) {
		kfree(node);
		return err;
	}
	file->private_data = node;
	return 0;
}

static int node_release(struct inode *inode, struct file *file)
{
	kfree(file->private_data);
	fs_unpin();
	return 0;
}

static int node_map_new(const struct node *node, struct vm_area_struct *vma)
{
	struct request request = node->request;
	struct region *region;
	int err;

	if (vma->vm_pgoff || !(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	request_start(&request);
	err = request_set_length(&request, vma->vm_end - vma->vm_start);
	if (err)
		return err;
	region = region_create(&request);
	if (IS_ERR(region))
		return PTR_ERR(region);
	region->offset_shared = node->shared;
	err = mapping_create(vma, region, request.fork, node->object);
	region_user_put(region);
	return err;
}

/* Does what the node may map, by its constraints, hold the region up to page last? */
static bool node_reaches(const struct node *node, const struct region *region, unsigned long last)
{
	const struct request *request = &node->request;

	return region->run.pfn + last <= request->pfn_max &&
	       (request->node_mode != MAP_CONTIG_NODE_STRICT ||
		request->node == pfn_to_nid(region->run.pfn));
}

/* Memory that is there, by the offset that MAP_CONTIG_OFFSET told. */
static int node_map_again(const struct node *node, struct vm_area_struct *vma)
{
	u64 offset = (u64)vma->vm_pgoff << PAGE_SHIFT;
	struct region *region = NULL;
	unsigned long index = 0;
	int err;

	if (offset & OFFSET_OPAQUE) {
		offset &= ~OFFSET_OPAQUE;
		region = ledger_get(offset >> OFFSET_ID_SHIFT);
		index = (offset & ((1ULL << OFFSET_ID_SHIFT) - 1)) >> PAGE_SHIFT;
	} else if (policy_may_see_phys()) {
		region = ledger_get_pfn(vma->vm_pgoff);
		if (region)
			index = vma->vm_pgoff - region->run.pfn;
	}
	if (!region)
		return -ENXIO;
	if (!region->offset_shared ||
	    (!uid_eq(current_uid(), region->uid) && !capable(CAP_SYS_RAWIO))) {
		err = -EACCES;
	} else if (!node_reaches(node, region, index + vma_pages(vma) - 1)) {
		err = -ENXIO;
	} else {
		vma->vm_pgoff = index;
		err = mapping_create(vma, region, node->request.fork, node->object);
	}
	region_user_put(region);
	return err;
}

static int node_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct node *node = file->private_data, now;

	spin_lock(&node->lock);
	now = *node;
	spin_unlock(&node->lock);
	return now.mode == MAP_CONTIG_MODE_MAP ? node_map_again(&now, vma) :
						 node_map_new(&now, vma);
}

static long node_version(void __user *user)
{
	struct map_contig_version version;
	long err;

	err = ioctl_get(version, features, user);
	if (err)
		return err;
	if (version.flags)
		return -EOPNOTSUPP;
	version.abi = MAP_CONTIG_ABI;
	version.page_size = PAGE_SIZE;
	version.features = (compat_has_folios ? MAP_CONTIG_HAS_FOLIOS : 0) |
			   (dmabuf_is_there() ? MAP_CONTIG_HAS_EXPORT : 0) |
			   (IS_ENABLED(CONFIG_PCI) ? MAP_CONTIG_HAS_HOLD : 0) |
			   (poison_is_watched() ? MAP_CONTIG_HAS_POISON : 0) |
			   (IS_ENABLED(CONFIG_DEBUG_FS) ? MAP_CONTIG_HAS_LEDGER : 0);
	return ioctl_write(user, &version, sizeof(version));
}

static struct file *node_alloc_file(const struct request *request)
{
	struct region *region = region_create(request);
	struct file *file;

	if (IS_ERR(region))
		return ERR_CAST(region);
	file = region_file_create(region);
	region_user_put(region);
	return file;
}

static long node_alloc(void __user *user)
{
	struct map_contig_alloc alloc;
	struct request request;
	struct region *region;
	struct file *file;
	int fd;
	long err;

	err = ioctl_get(alloc, fd, user);
	if (err)
		return err;
	if (alloc.flags)
		return -EOPNOTSUPP;
	err = request_set_constraints(&request, &alloc.want);
	if (!err)
		err = request_set_length(&request, alloc.length);
	if (err)
		return err;
	request_start(&request);

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	file = node_alloc_file(&request);
	if (IS_ERR(file)) {
		err = PTR_ERR(file);
		goto put_fd;
	}
	region = file->private_data;
	alloc.phys = policy_may_see_phys() ? PFN_PHYS(region->run.pfn) : MAP_CONTIG_PHYS_NONE;
	alloc.node = pfn_to_nid(region->run.pfn);
	alloc.fd = fd;
	err = ioctl_write(user, &alloc, sizeof(alloc));
	if (err)
		goto put_file;
	fd_install(fd, file);
	return 0;

put_file:
	fput(file);
put_fd:
	put_unused_fd(fd);
	return err;
}

static u64 to_bytes(unsigned long pages)
{
	return pages == ULONG_MAX ? MAP_CONTIG_UNLIMITED : (u64)pages << PAGE_SHIFT;
}

static unsigned long left_of(unsigned long limit, unsigned long held)
{
	return limit == ULONG_MAX ? ULONG_MAX : limit > held ? limit - held : 0;
}

static long node_limits(void __user *user)
{
	unsigned long memlock = rlimit(RLIMIT_MEMLOCK), left;
	bool may_lock = capable(CAP_IPC_LOCK);
	struct map_contig_limits limits;
	struct account_sums sums;
	long err;

	err = ioctl_get(limits, pad, user);
	if (err)
		return err;
	if (limits.flags)
		return -EOPNOTSUPP;
	orphan_collect();
	account_sums(&sums);
	memlock = memlock == RLIM_INFINITY ? ULONG_MAX : memlock >> PAGE_SHIFT;

	left = policy_available() + reserve_free_pages();
	left = min(left, left_of(policy_ceiling(), sums.total));
	left = min(left, left_of(policy_user_quota(),
				 sums.user[ACCOUNT_REGION] + sums.user[ACCOUNT_COPY]));
	if (!may_lock)
		left = min(left, left_of(memlock, sums.user[ACCOUNT_REGION]));

	limits.memlock = to_bytes(memlock);
	limits.user = to_bytes(sums.user[ACCOUNT_REGION]);
	limits.user_copies = to_bytes(sums.user[ACCOUNT_COPY]);
	limits.user_quota = to_bytes(policy_user_quota());
	limits.total = to_bytes(sums.total);
	limits.ceiling = to_bytes(policy_ceiling());
	limits.floor = to_bytes(policy_floor());
	limits.available = to_bytes(policy_available());
	limits.reserve_free = to_bytes(reserve_free_pages());
	limits.left = to_bytes(left);
	limits.privileges = (may_lock ? MAP_CONTIG_MAY_LOCK : 0) |
			    (policy_may_see_phys() ? MAP_CONTIG_MAY_SEE_PHYS : 0);
	limits.pad = 0;
	return ioctl_write(user, &limits, sizeof(limits));
}

static long node_oracle(void __user *user)
{
	struct map_contig_oracle oracle;
	struct request request;
	long err;

	err = ioctl_get(oracle, blocker_phys, user);
	if (err)
		return err;
	if (oracle.flags)
		return -EOPNOTSUPP;
	err = request_set_constraints(&request, &oracle.want);
	if (err)
		return err;
	request.npages = 0;
	request.deadline_ms = 0;
	if (oracle.length)
		err = request_set_length(&request, oracle.length);
	if (!err)
		err = oracle_ask(&request, &oracle);
	if (err)
		return err;
	if (!policy_may_see_phys())
		oracle.blocker_phys = MAP_CONTIG_PHYS_NONE;
	return ioctl_write(user, &oracle, sizeof(oracle));
}

static void request_get_constraints(const struct request *request,
				    struct map_contig_constraints *want)
{
	*want = (struct map_contig_constraints){
		.alignment = (u64)request->align << PAGE_SHIFT,
		.boundary = (u64)request->boundary << PAGE_SHIFT,
		.phys_max = request->pfn_max == ULONG_MAX ?
				    0 :
				    ((u64)(request->pfn_max + 1) << PAGE_SHIFT) - 1,
		.node = request->node == NUMA_NO_NODE ? 0 : request->node,
		.node_mode = request->node_mode,
		.fork = request->fork,
		.deadline_ms = request->deadline_ms,
	};
}

static long node_configuration(struct node *node, void __user *user)
{
	struct map_contig_configure configure;
	struct node now;
	u32 size;
	long err;

	err = ioctl_get(configure, object, user);
	if (err)
		return err;
	spin_lock(&node->lock);
	now = *node;
	spin_unlock(&node->lock);
	size = configure.size;
	configure = (struct map_contig_configure){
		.size = size,
		.flags = now.shared ? MAP_CONTIG_CONFIGURE_SHARED : 0,
		.mode = now.mode,
		.object = now.object,
	};
	request_get_constraints(&now.request, &configure.want);
	return ioctl_write(user, &configure, sizeof(configure));
}

static long node_configure(struct node *node, void __user *user)
{
	struct map_contig_configure configure;
	struct request request;
	long err;

	err = ioctl_get(configure, object, user);
	if (err)
		return err;
	if (configure.flags & ~MAP_CONTIG_CONFIGURE_SHARED || configure.mode > MAP_CONTIG_MODE_MAP)
		return -EOPNOTSUPP;
	if (configure.pad)
		return -EINVAL;
	err = request_set_constraints(&request, &configure.want);
	if (err)
		return err;
	spin_lock(&node->lock);
	if (!node->object)
		node->object = atomic64_inc_return(&node_objects);
	node->request = request;
	node->mode = configure.mode;
	node->shared = configure.flags & MAP_CONTIG_CONFIGURE_SHARED;
	configure.object = node->object;
	spin_unlock(&node->lock);
	return ioctl_write(user, &configure, sizeof(configure));
}

static const struct file_operations node_ops;

static int file_is_object(const void *object, struct file *file, unsigned int fd)
{
	const struct node *node = file->private_data;

	/* 0 goes on. */
	return file->f_op == &node_ops && READ_ONCE(node->object) == *(const u64 *)object ?
		       (int)fd + 1 :
		       0;
}

/* The caller's lowest descriptor of an open node, -1 if there is none. */
static int object_fd(u64 object)
{
	return object ? iterate_fd(current->files, 0, file_is_object, &object) - 1 : -1;
}

static long node_offset(void __user *user)
{
	struct map_contig_offset offset;
	struct region *region;
	u64 inside;
	long err;

	err = ioctl_get(offset, pad, user);
	if (err)
		return err;
	if (offset.flags)
		return -EOPNOTSUPP;
	region = mapping_find(offset.addr, &inside, &offset.length, &offset.object);
	if (!region)
		return -ENXIO;
	if (policy_may_see_phys())
		offset.offset = PFN_PHYS(region->run.pfn) + inside;
	else if (inside >> OFFSET_ID_SHIFT)
		err = -EOVERFLOW;
	else
		offset.offset = OFFSET_OPAQUE | (u64)region->id << OFFSET_ID_SHIFT | inside;
	offset.fd = object_fd(offset.object);
	offset.pad = 0;
	region_user_put(region);
	return err ?: ioctl_write(user, &offset, sizeof(offset));
}

static int node_find(const struct finder *finder, u64 addr, struct place *place)
{
	u64 object;

	place->region = mapping_find(addr, &place->offset, &place->length, &object);
	return place->region ? 0 : -ENXIO;
}

static long node_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct finder finder = { .find = node_find, .file = file };
	void __user *user = (void __user *)arg;

	switch (cmd) {
	case MAP_CONTIG_VERSION: return node_version(user);
	case MAP_CONTIG_ALLOC: return node_alloc(user);
	case MAP_CONTIG_LIMITS: return node_limits(user);
	case MAP_CONTIG_ORACLE: return node_oracle(user);
	case MAP_CONTIG_CONFIGURE: return node_configure(file->private_data, user);
	case MAP_CONTIG_CONFIGURATION: return node_configuration(file->private_data, user);
	case MAP_CONTIG_OFFSET: return node_offset(user);
	default: return ioctl_place(&finder, cmd, user);
	}
}

static const struct file_operations node_ops = {
	.owner = THIS_MODULE,
	.open = node_open,
	.release = node_release,
	.mmap = node_mmap,
	/* An address at which folios can be mapped by PMD. */
	.get_unmapped_area = thp_get_unmapped_area,
	.unlocked_ioctl = node_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice node_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "map_contig",
	.fops = &node_ops,
	.mode = 0660,
};

static int __init node_init(void)
{
	int err;

	ledger_init();
	poison_init();
	err = reserve_init();
	if (!err)
		err = misc_register(&node_device);
	if (err) {
		poison_exit();
		reserve_exit();
		ledger_exit();
	}
	return err;
}

static void __exit node_exit(void)
{
	misc_deregister(&node_device);
	poison_exit();
	orphan_exit();
	reserve_exit();
	ledger_exit();
}

module_init(node_init);
module_exit(node_exit);
MODULE_LICENSE("GPL");
MODULE_AUTHOR("The libvdma developers");
MODULE_DESCRIPTION("Physically contiguous memory for user space: mmap(MAP_CONTIG) as a device");
