// SPDX-License-Identifier: BSD-3-Clause
/* Devices that go. */
#include "unit.h"

#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct machine {
	struct vdma_arena *arena;
	struct vdma_ioas *ioas;
	struct vdma_device *dev;
};

static struct machine machine_of(enum vdma_backend backend)
{
	struct machine m;

	add_edu(EDU, 5);
	ASSERT_OK(vdma_arena_create(NULL, &m.arena));
	m.ioas = ioas_of(m.arena, backend);
	m.dev = device_of(m.ioas, EDU);
	return m;
}

static void destroy(struct machine *m)
{
	ASSERT_OK(vdma_ioas_destroy(m->ioas));
	ASSERT_OK(vdma_arena_destroy(m->arena));
}

static bool is_vacant(const struct vdma_bar *bar)
{
	const unsigned char *at = bar->va;
	size_t i;

	for (i = 0; i < bar->len; i++)
		if (at[i] != 0xff)
			return false;
	return true;
}

static void everything_fails(struct vdma_device *dev)
{
	struct vdma_device_info info = { .size = sizeof(info) };
	struct vdma_bar bar;
	uint32_t value;
	int fd;

	ASSERT_FAILS(vdma_device_bar(dev, 0, &bar), ENODEV, VDMA_CAUSE_GONE, EDU, "let go");
	ASSERT_FAILS(vdma_device_config_read(dev, 0, 4, &value), ENODEV, VDMA_CAUSE_GONE, EDU);
	ASSERT_FAILS(vdma_device_config_write(dev, 4, 2, 0), ENODEV, VDMA_CAUSE_GONE, EDU);
	ASSERT_FAILS(vdma_device_set_bus_master(dev, 1), ENODEV, VDMA_CAUSE_GONE, EDU);
	ASSERT_FAILS(vdma_device_reset(dev), ENODEV, VDMA_CAUSE_GONE, EDU);
	ASSERT_FAILS(vdma_device_hot_reset(dev), ENODEV, VDMA_CAUSE_GONE, EDU);
	ASSERT_FAILS(vdma_device_irq_enable(dev, VDMA_IRQ_MSI, 1), ENODEV, VDMA_CAUSE_GONE, EDU);
	ASSERT_FAILS(vdma_device_irq_disable(dev), ENODEV, VDMA_CAUSE_GONE, EDU);
	ASSERT_FAILS(vdma_device_irq_wait(dev, 0, -1, NULL), ENODEV, VDMA_CAUSE_GONE, EDU);
	ASSERT_FAILS(vdma_device_removal_fd(dev, &fd), ENODEV, VDMA_CAUSE_GONE, EDU);
	ASSERT_OK(vdma_device_query(dev, &info));
	assert_string_equal(info.bdf, EDU);
}

static void asked_and_let_go_over(enum vdma_backend backend)
{
	struct machine m = machine_of(backend);
	struct vdma_region *region = anon_region(m.arena, 4096);
	struct pollfd p = { .events = POLLIN };
	struct vdma_bar bar;

	assert_int_equal(fake_mappings(), 1);
	ASSERT_OK(vdma_device_bar(m.dev, 0, &bar));
	vdma_mmio_write32(bar.va, 8, 0);
	ASSERT_OK(vdma_device_removal_fd(m.dev, &p.fd));
	assert_int_equal(poll(&p, 1, 0), 0);
	ASSERT_OK(vdma_device_irq_enable(m.dev, VDMA_IRQ_MSI, 1));
	ASSERT_FAILS(vdma_device_irq_wait(m.dev, 0, 1, NULL), ETIMEDOUT, VDMA_CAUSE_TIMEOUT, EDU);
	fake_request(EDU);
	assert_int_equal(poll(&p, 1, 0), 1);
	/* What has fired before is told first. */
	fake_fire(EDU, VFIO_PCI_MSI_IRQ_INDEX, 0);
	ASSERT_OK(vdma_device_irq_wait(m.dev, 0, -1, NULL));
	ASSERT_FAILS(vdma_device_irq_wait(m.dev, 0, -1, NULL), ENODEV, VDMA_CAUSE_GONE, EDU,
		     "wants", "vdma_device_let_go");
	ASSERT_OK(vdma_device_set_bus_master(m.dev, 1));
	ASSERT_OK(vdma_device_let_go(m.dev));
	ASSERT_OK(vdma_device_let_go(m.dev));
	/* Its object refers to the address space still. */
	ASSERT_FAILS(vdma_ioas_destroy(m.ioas), EBUSY, VDMA_CAUSE_CHILDREN, "1 devices", "let go");
	assert_false(fake_config(EDU)[PCI_COMMAND] & PCI_COMMAND_MASTER);
	assert_true(is_vacant(&bar));
	assert_int_equal(ioas_info(m.ioas).devices, 0);
	assert_int_equal(fake_mappings(), 0);
	everything_fails(m.dev);
	/* The next one comes while the object of the last is still there. */
	{
		struct vdma_device *again = device_of(m.ioas, EDU);

		assert_int_equal(fake_mappings(), 1);
		ASSERT_OK(vdma_device_close(m.dev));
		ASSERT_OK(vdma_device_close(again));
	}
	ASSERT_OK(vdma_region_destroy(region));
	destroy(&m);
}

static void asked_and_let_go(void **state)
{
	(void)state;
	asked_and_let_go_over(VDMA_BACKEND_TYPE1);
}

static void over_iommufd(void **state)
{
	(void)state;
	asked_and_let_go_over(VDMA_BACKEND_IOMMUFD);
}

static void *wait_for_ever(void *arg)
{
	return (void *)(intptr_t)vdma_device_irq_wait(arg, 0, -1, NULL);
}

/* Nobody asked, but another thread waits. */
static void waiters_wake(void **state)
{
	struct machine m = machine_of(VDMA_BACKEND_TYPE1);
	pthread_t threads[3];
	unsigned int i;
	void *ret;

	(void)state;
	ASSERT_OK(vdma_device_irq_enable(m.dev, VDMA_IRQ_MSI, 1));
	for (i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, wait_for_ever, m.dev), 0);
	usleep(20 * 1000);
	ASSERT_OK(vdma_device_let_go(m.dev));
	for (i = 0; i < 3; i++) {
		assert_int_equal(pthread_join(threads[i], &ret), 0);
		assert_int_equal((intptr_t)ret, -ENODEV);
	}
	ASSERT_OK(vdma_device_close(m.dev));
	destroy(&m);
}

/*
 * The nth system call of letting go fails: the device runs on, whatever became of its
 * BARs, and goes when it is let go again. True if there was no such call.
 */
static bool let_go_fails(unsigned long nth, unsigned int *refused)
{
	struct machine m = machine_of(VDMA_BACKEND_TYPE1);
	struct vdma_region *region = NULL;
	struct vdma_bar bar;
	uint32_t value = 0;
	bool over;
	int ret;

	ASSERT_OK(vdma_device_bar(m.dev, 0, &bar));
	ASSERT_OK(vdma_region_import_bar(m.arena, m.dev, 0, 4096, 4096, NULL, &region));
	ASSERT_OK(vdma_device_set_bus_master(m.dev, 1));
	fake.fail_at = fake.calls + nth;
	fake.fail_err = ENOMEM;
	ret = vdma_device_let_go(m.dev);
	over = fake.calls < fake.fail_at;
	fake.fail_at = 0;
	if (ret) {
		++*refused;
		assert_true(ret == -ENOMEM || ret == -EIO);
		assert_int_equal(vdma_last_failure()->err, ret);
		assert_true(fake_config(EDU)[PCI_COMMAND] & PCI_COMMAND_MASTER);
		ASSERT_OK(vdma_device_config_read(m.dev, 0, 4, &value));
		assert_int_equal(ioas_info(m.ioas).devices, 1);
		ASSERT_FAILS(vdma_device_close(m.dev), EBUSY, VDMA_CAUSE_CHILDREN, EDU);
		ASSERT_OK(vdma_device_let_go(m.dev));
	}
	assert_true(is_vacant(&bar));
	assert_int_equal(*(unsigned char *)vdma_region_buf(region).va, 0xff);
	assert_int_equal(fake_mappings(), 0);
	ASSERT_OK(vdma_device_close(m.dev));
	ASSERT_OK(vdma_region_destroy(region));
	destroy(&m);
	return over;
}

static void runs_on(void **state)
{
	unsigned int refused = 0;
	unsigned long nth = 1;

	for (; !let_go_fails(nth, &refused); nth++) {
		check_clean(state);
		reset(state);
	}
	/*
	 * Of the BAR a file, each of its pages, and a mapping; of the region the same, it has one
	 * page, and unmapping.
	 */
	assert_int_equal(refused, 1 + MIB / 4096 + 1 + 3 + 1);
}

static void nobody_tells_of_uio(void **state)
{
	struct vdma_arena_opts opts = { .size = sizeof(opts),
					.translation = VDMA_TRANSLATION_AUTO };
	struct machine m;
	int fd;

	(void)state;
	bare_machine();
	ASSERT_OK(vdma_arena_create(&opts, &m.arena));
	m.ioas = ioas_of(m.arena, VDMA_BACKEND_AUTO);
	m.dev = device_of(m.ioas, EDU);
	ASSERT_FAILS(vdma_device_removal_fd(m.dev, &fd), EOPNOTSUPP, VDMA_CAUSE_UNSUPPORTED, EDU);
	ASSERT_OK(vdma_device_irq_enable(m.dev, VDMA_IRQ_INTX, 1));
	fake_uio_gone(EDU);
	ASSERT_FAILS(vdma_device_irq_wait(m.dev, 0, -1, NULL), ENODEV, VDMA_CAUSE_GONE, EDU);
	ASSERT_OK(vdma_device_let_go(m.dev));
	ASSERT_OK(vdma_device_close(m.dev));
	destroy(&m);
}

/* What a BAR is to the kernel when its device is gone: a file that ends before it. */
static void pull_out(const struct vdma_bar *bar)
{
	int fd = memfd_create("bar", 0);

	assert_true(mmap(bar->va, bar->len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
			 0) == bar->va);
	close(fd);
}

static volatile sig_atomic_t seen;

static void note(int sig)
{
	seen = sig;
	_exit(77);
}

/* Access elsewhere ends the process as if there were no guard, or asks who was first. */
static int access_elsewhere(void (*handler)(int))
{
	int fd = memfd_create("other", 0), status;
	volatile char *other = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	pid_t pid = fork();

	if (!pid) {
		signal(SIGBUS, handler);
		if (vdma_bus_guard(1))
			_exit(1);
		_exit(*other ? 2 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	munmap((void *)(uintptr_t)other, 4096);
	close(fd);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void guarded(void **state)
{
	struct machine m = machine_of(VDMA_BACKEND_TYPE1);
	struct vdma_bar bar;

	(void)state;
	ASSERT_OK(vdma_device_bar(m.dev, 0, &bar));
	pull_out(&bar);
	ASSERT_OK(vdma_bus_guard(1));
	ASSERT_OK(vdma_bus_guard(1));
	assert_int_equal(vdma_mmio_read32(bar.va, 0), UINT32_MAX);
	assert_int_equal(vdma_mmio_read32(bar.va, bar.len - 4), UINT32_MAX);
	vdma_mmio_write32(bar.va, 8192, 1); /* goes nowhere, and harms nobody */
	ASSERT_OK(vdma_device_let_go(m.dev));
	assert_true(is_vacant(&bar));
	ASSERT_OK(vdma_bus_guard(0));
	ASSERT_OK(vdma_bus_guard(0));
	ASSERT_OK(vdma_device_close(m.dev));
	destroy(&m);
	assert_int_equal(access_elsewhere(SIG_DFL), -SIGBUS);
	assert_int_equal(access_elsewhere(note), 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLEAN_TEST(asked_and_let_go),	 CLEAN_TEST(over_iommufd),
		CLEAN_TEST(waiters_wake),	 CLEAN_TEST(runs_on),
		CLEAN_TEST(nobody_tells_of_uio), CLEAN_TEST(guarded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
