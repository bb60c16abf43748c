// SPDX-License-Identifier: BSD-3-Clause
/* The ABI: sizes first, both ways forward, one errno for one meaning. */
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "suite.h"
#include "uapi.h"

/* Each ioctl, with a struct that it takes, and what it then answers. */
struct call {
	const char *name;
	unsigned int cmd;
	uint32_t size;
	void (*fill)(void *at, const void *va);
	void (*undo)(const void *at);
};

static void fill_query(void *at, const void *va)
{
	((struct map_contig_query *)at)->addr = (uintptr_t)va;
}

static void fill_alloc(void *at, const void *va)
{
	(void)va;
	((struct map_contig_alloc *)at)->length = PAGE;
}

static void undo_alloc(const void *at)
{
	CHECK_OK(close(((const struct map_contig_alloc *)at)->fd));
}

static void fill_offset(void *at, const void *va)
{
	((struct map_contig_offset *)at)->addr = (uintptr_t)va;
}

static void fill_export(void *at, const void *va)
{
	((struct map_contig_export *)at)->addr = (uintptr_t)va;
}

static void undo_export(const void *at)
{
	CHECK_OK(close(((const struct map_contig_export *)at)->fd));
}

static void fill_nothing(void *at, const void *va)
{
	(void)at;
	(void)va;
}

static void undo_nothing(const void *at)
{
	(void)at;
}

#define CALL(name, type, fill, undo) \
	{ \
#name, name, sizeof(struct type), fill, undo \
	}
static const struct call calls[] = {
	CALL(MAP_CONTIG_VERSION, map_contig_version, fill_nothing, undo_nothing),
	CALL(MAP_CONTIG_QUERY, map_contig_query, fill_query, undo_nothing),
	CALL(MAP_CONTIG_ALLOC, map_contig_alloc, fill_alloc, undo_alloc),
	CALL(MAP_CONTIG_LIMITS, map_contig_limits, fill_nothing, undo_nothing),
	CALL(MAP_CONTIG_ORACLE, map_contig_oracle, fill_nothing, undo_nothing),
	CALL(MAP_CONTIG_CONFIGURE, map_contig_configure, fill_nothing, undo_nothing),
	CALL(MAP_CONTIG_OFFSET, map_contig_offset, fill_offset, undo_nothing),
	CALL(MAP_CONTIG_EXPORT, map_contig_export, fill_export, undo_export),
};
#define NCALLS (sizeof(calls) / sizeof(calls[0]))

/* The largest of the structs, and a tail that no module knows yet. */
union argument {
	uint32_t size;
	uint32_t words[80];
};

static union argument argument_of(const struct call *call, const void *va)
{
	union argument arg;

	memset(&arg, 0, sizeof(arg));
	arg.size = call->size;
	call->fill(&arg, va);
	return arg;
}

#define EXPECT(call_, fd_, arg_, err_) \
	do { \
		int got = ioctl(fd_, (call_)->cmd, arg_) ? errno : 0; \
		if (got != (err_)) \
			FAIL("%s: errno %d, should be %s", (call_)->name, got, #err_); \
	} while (0)

static void abi_sizes(void)
{
	int node = node_open();
	char *va = contig_mmap(PAGE);

	CHECK_OK(va);
	for (const struct call *call = calls; call < calls + NCALLS; call++) {
		union argument arg = argument_of(call, va);

		EXPECT(call, node, &arg, 0);
		call->undo(&arg);

		/* A newer program, with an unknown tail that asks for nothing. */
		arg = argument_of(call, va);
		arg.size = sizeof(arg);
		EXPECT(call, node, &arg, 0);
		call->undo(&arg);
		/* One that asks for something. */
		arg = argument_of(call, va);
		arg.size = sizeof(arg);
		arg.words[79] = 1;
		EXPECT(call, node, &arg, E2BIG);
		/* Larger than any struct can ever be. */
		arg.size = 1 << 20;
		arg.words[79] = 0;
		CHECK_ERRNO(ioctl(node, call->cmd, &arg), E2BIG);

		/* Shorter than what was released first. */
		for (uint32_t size = 0; size < call->size; size += 4) {
			arg = argument_of(call, va);
			arg.size = size;
			EXPECT(call, node, &arg, EINVAL);
		}
		EXPECT(call, node, NULL, EFAULT);
		EXPECT(call, node, (void *)1, EFAULT);
	}
	munmap(va, PAGE);
	close(node);
	CHECK_EQ(ledger_wait(0), 0);
}

/* The flags of all but CONFIGURE are none so far. */
static void abi_unknown_flags(void)
{
	int node = node_open();
	char *va = contig_mmap(PAGE);

	CHECK_OK(va);
	for (const struct call *call = calls; call < calls + NCALLS; call++)
		for (unsigned int bit = 0; bit < 32; bit++) {
			union argument arg = argument_of(call, va);

			if (call->cmd == MAP_CONTIG_CONFIGURE && !bit)
				continue;
			arg.words[1] = 1U << bit;
			EXPECT(call, node, &arg, EOPNOTSUPP);
		}
	munmap(va, PAGE);
	close(node);
}

/* Memory that can be read but not written to: no descriptor is lost. */
static void abi_answer_cannot_be_written(void)
{
	int node = node_open(), probe, again;
	char *va = contig_mmap(PAGE);
	union argument *arg =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK_OK(va);
	CHECK_OK(arg);
	probe = dup(node);
	close(probe);
	for (const struct call *call = calls; call < calls + NCALLS; call++) {
		CHECK_OK(mprotect(arg, PAGE, PROT_READ | PROT_WRITE));
		*arg = argument_of(call, va);
		CHECK_OK(mprotect(arg, PAGE, PROT_READ));
		EXPECT(call, node, arg, EFAULT);
	}
	again = dup(node);
	CHECK_EQ(again, probe);
	munmap(va, PAGE);
	CHECK_EQ(ledger_wait(0), 0);
}

/* An ioctl on the wrong kind of descriptor, or that there is not. */
static void abi_unknown_ioctl(void)
{
	int node = node_open(), region = region_alloc(node, PAGE, NULL);
	static const unsigned int on_node_only[] = { MAP_CONTIG_ALLOC, MAP_CONTIG_LIMITS,
						     MAP_CONTIG_ORACLE, MAP_CONTIG_CONFIGURE,
						     MAP_CONTIG_OFFSET };
	union argument arg;

	CHECK_OK(region);
	memset(&arg, 0, sizeof(arg));
	arg.size = sizeof(arg);
	CHECK_ERRNO(ioctl(node, _IO(MAP_CONTIG_TYPE, 0x7f), &arg), ENOTTY);
	CHECK_ERRNO(ioctl(region, _IO(MAP_CONTIG_TYPE, 0x7f), &arg), ENOTTY);
	CHECK_ERRNO(ioctl(node, _IO('v', MAP_CONTIG_CMD_QUERY), &arg), ENOTTY);
	for (size_t i = 0; i < sizeof(on_node_only) / sizeof(on_node_only[0]); i++)
		CHECK_ERRNO(ioctl(region, on_node_only[i], &arg), ENOTTY);
	close(region);
	close(node);
}

static void abi_version_and_features(void)
{
	struct map_contig_version version = { .size = sizeof(version) };
	int node = node_open();

	CHECK_OK(ioctl(node, MAP_CONTIG_VERSION, &version));
	CHECK_EQ(version.abi, MAP_CONTIG_ABI);
	CHECK_EQ(version.page_size, PAGE);
	/* No bit that this header does not know, of a module that is not newer. */
	CHECK_EQ(version.features &
			 ~(MAP_CONTIG_HAS_FOLIOS | MAP_CONTIG_HAS_EXPORT | MAP_CONTIG_HAS_HOLD |
			   MAP_CONTIG_HAS_POISON | MAP_CONTIG_HAS_LEDGER),
		 0);
	CHECK(version.features & MAP_CONTIG_HAS_LEDGER);
	close(node);
}

static void abi_region_descriptor(void)
{
	int node = node_open(), region = region_alloc(node, 3 * PAGE + 1, NULL);
	struct map_contig_query query;
	struct stat st;

	CHECK_OK(region);
	CHECK_OK(fstat(region, &st));
	CHECK_EQ(st.st_size, 4 * PAGE);
	CHECK(fcntl(region, F_GETFD) & FD_CLOEXEC);
	/* An address is an offset there. */
	CHECK_OK(node_query(region, (void *)(2 * PAGE + 5), &query));
	CHECK_EQ(query.length, 2 * PAGE - 5);
	CHECK_ERRNO(node_query(region, (void *)(4 * PAGE), &query), ENXIO);
	/* It is memory, not a file: read and write are for those who map it. */
	CHECK_EQ(read(region, &query, 1), -1);
	CHECK_EQ(write(region, &query, 1), -1);
	CHECK_EQ(ftruncate(region, 0), -1);
	CHECK_ERRNO(region_alloc(node, 0, NULL), EINVAL);
	CHECK_EQ(region_alloc(node, (size_t)-1, NULL), -1);
	CHECK_EQ(region_alloc(node, 1UL << 62, NULL), -1);
	close(region);
	close(node);
}

/* Nothing of ours under an address: ENXIO; a child's copy is none. */
static int query_copy(void *arg)
{
	struct map_contig_query query;

	CHECK_ERRNO(node_query(node_open(), arg, &query), ENXIO);
	return 0;
}

static void abi_query_of_other_memory(void)
{
	struct map_contig_query query;
	int node = node_open();
	char *va = contig_mmap(PAGE);
	char *other = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK_ERRNO(node_query(node, other, &query), ENXIO);
	CHECK_ERRNO(node_query(node, NULL, &query), ENXIO);
	CHECK_ERRNO(node_query(node, (void *)-1, &query), ENXIO);
	CHECK_EQ(in_child(query_copy, va), 0);
	munmap(va, PAGE);
	CHECK_ERRNO(node_query(node, va, &query), ENXIO);
}

const struct test abi_tests[] = {
	TEST(abi_sizes),
	TEST(abi_unknown_flags),
	TEST(abi_answer_cannot_be_written),
	TEST(abi_unknown_ioctl),
	TEST(abi_version_and_features),
	TEST(abi_region_descriptor),
	TEST(abi_query_of_other_memory),
	TESTS_END,
};
