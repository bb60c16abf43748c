// SPDX-License-Identifier: BSD-3-Clause
/* A forked child: every call with what is its parent's is refused, and changes nothing. */
#include "unit.h"

#include <sys/wait.h>
#include <unistd.h>

static struct vdma_arena *arena;

/* What a child asks of its parent's objects; 0 if all of it is refused. */
static int child(struct vdma_ioas *ioas, struct vdma_device *dev, struct vdma_region *region,
		 struct vdma_buf *buf)
{
	struct vdma_arena_info arena_info = { .size = sizeof(arena_info) };
	struct vdma_region_info region_info = { .size = sizeof(region_info) };
	struct vdma_iova_info iova_info = { .size = sizeof(iova_info) };
	struct vdma_ioas_info ioas_info = { .size = sizeof(ioas_info) };
	struct vdma_device_info dev_info = { .size = sizeof(dev_info) };
	struct vdma_stats stats = { .size = sizeof(stats) };
	struct vdma_region *other;
	struct vdma_device *nic;
	struct vdma_bar bar;
	uint32_t value;
	size_t n = 0;
	struct vdma_arena *own;
	struct vdma_ioas *more;
	struct vdma_buf b;
	struct vdma_observer_ops observer_ops = { .size = sizeof(observer_ops) };
	struct vdma_observer *observer;
	int fd;

	ASSERT_FAILS(vdma_region_create(arena, 4096, NULL, &other), ECHILD, VDMA_CAUSE_FORKED,
		     "forked", "Create an arena in this process");
	ASSERT_FAILS(vdma_region_destroy(region), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_buf_alloc(arena, 4096, NULL, &b), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_buf_free(arena, buf), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_buf_trim(arena), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_ioas_create(arena, NULL, &more), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_device_open(ioas, EDU, NULL, &nic), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_device_close(dev), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_arena_query(arena, &arena_info), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_arena_ranges(arena, NULL, &n), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_explain_iova(arena, 0, &iova_info), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_arena_stats(arena, &stats), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_arena_json(arena, NULL, &n), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_arena_dump(arena, NULL, &n), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_region_query(region, &region_info), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_ioas_query(ioas, &ioas_info), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_ioas_ranges(ioas, NULL, &n), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_device_query(dev, &dev_info), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_device_bar(dev, 0, &bar), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_device_config_read(dev, 0, 4, &value), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_device_config_write(dev, 4, 2, 0), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_device_set_bus_master(dev, 0), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_device_reset(dev), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_device_irq_enable(dev, VDMA_IRQ_MSI, 1), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_device_irq_disable(dev), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_device_irq_mask(dev), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_device_irq_wait(dev, 0, 0, NULL), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_ioas_destroy(ioas), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_arena_destroy(arena), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_device_hot_reset(dev), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_device_irq_fd(dev, 0, &fd), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_device_irq_unmask(dev), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_device_removal_fd(dev, &fd), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_device_let_go(dev), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_buf_query(arena, buf, &region_info), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_region_find(arena, buf->va, &other), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_region_import_fd(arena, 0, 0, 4096, NULL, &other), ECHILD,
		     VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_region_import_bar(arena, dev, 0, 0, 4096, NULL, &other), ECHILD,
		     VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_region_import_user(arena, &n, 1, NULL, &other), ECHILD, VDMA_CAUSE_FORKED,
		     "");
	ASSERT_FAILS(vdma_observer_add(arena, &observer_ops, NULL, &observer), ECHILD,
		     VDMA_CAUSE_FORKED, "");
	ASSERT_FAILS(vdma_arena_share(arena, 0, NULL), ECHILD, VDMA_CAUSE_FORKED, "");
	ASSERT_OK(vdma_arena_create(NULL, &own));
	/* What its parent's thread was called is forgotten. */
	other = anon_region(own, 4096);
	ASSERT_OK(vdma_explain_iova(own, vdma_region_buf(other).iova, &iova_info));
	assert_int_equal(iova_info.alloc_tid, gettid());
	ASSERT_OK(vdma_region_destroy(other));
	ASSERT_OK(vdma_arena_destroy(own));
	return 0;
}

static void test_fork(void **state)
{
	struct vdma_region *region;
	struct vdma_device *dev;
	struct vdma_ioas *ioas;
	struct vdma_buf buf;
	int wstatus;
	pid_t pid;

	(void)state;
	add_edu(EDU, 5);
	ASSERT_OK(vdma_arena_create(NULL, &arena));
	ioas = ioas_of(arena, VDMA_BACKEND_AUTO);
	dev = device_of(ioas, EDU);
	region = anon_region(arena, 4096);
	ASSERT_OK(vdma_buf_alloc(arena, 4096, NULL, &buf));
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	/* cmocka's failures end a child's test, too: it returns from this one then. */
	if (!pid)
		_exit(child(ioas, dev, region, &buf));
	assert_int_equal(waitpid(pid, &wstatus, 0), pid);
	assert_true(WIFEXITED(wstatus));
	assert_int_equal(WEXITSTATUS(wstatus), 0);
	ASSERT_OK(vdma_buf_free(arena, &buf));
	ASSERT_OK(vdma_region_destroy(region));
	ASSERT_OK(vdma_device_close(dev));
	ASSERT_OK(vdma_ioas_destroy(ioas));
	ASSERT_OK(vdma_arena_destroy(arena));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLEAN_TEST(test_fork),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
