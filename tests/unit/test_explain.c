// SPDX-License-Identifier: BSD-3-Clause
/*
 * The reasons themselves: one errno has one meaning, docs/errors.md says
 * which, and each thread has its own. What each cause's text says is asserted
 * where the cause is provoked, in the other tests.
 */
#include "unit.h"

#include <pthread.h>

#include "../../libvdma/explain.h"

static char *read_doc(void)
{
	static char text[1 << 16];
	FILE *f = fopen(SOURCE_DIR "/docs/errors.md", "r");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	return text;
}

/* The errno's row: "| `EBUSY` | meaning | `children`, `open` |". */
static const char *row_of(const char *doc, int err)
{
	const char *row, *end;
	char key[64];

	snprintf(key, sizeof(key), "| `%.32s` |", strerrorname_np(err));
	row = strstr(doc, key);
	if (!row) {
		fail_msg("docs/errors.md has no row %s", key);
		return doc; /* gcc does not know that nobody comes here */
	}
	if (strstr(row + 1, key))
		fail_msg("docs/errors.md has %s twice: one errno, one meaning", key);
	end = strchr(row, '\n');
	assert_non_null(end);
	return row;
}

static void test_doc(void **state)
{
	const char *doc = read_doc(), *at;
	unsigned int cause, named = 0, listed = 0;

	(void)state;
	for (cause = VDMA_CAUSE_NONE + 1; strcmp(vdma_cause_name(cause), "unknown"); cause++) {
		const char *row = row_of(doc, vdma_cause_errno(cause));
		const char *end = strchr(row, '\n'), *hit;
		char name[64];

		snprintf(name, sizeof(name), "`%s`", vdma_cause_name(cause));
		hit = strstr(row, name);
		if (!hit || hit > end)
			fail_msg("docs/errors.md: the row of %s lacks %s",
				 strerrorname_np(vdma_cause_errno(cause)), name);
		named++;
	}
	assert_int_equal(named, VDMA_CAUSE_PARTED);
	/* and no row that no cause stands for */
	for (at = doc; (at = strstr(at, "\n| `E")); at++) {
		char err[32];
		bool found = false;

		assert_int_equal(sscanf(at, "\n| `%31[A-Z0-9]`", err), 1);
		for (cause = 1; cause <= VDMA_CAUSE_PARTED; cause++)
			found |= !strcmp(err, strerrorname_np(vdma_cause_errno(cause)));
		if (!found)
			fail_msg("docs/errors.md lists %s, which is never returned", err);
		listed++;
	}
	assert_true(listed > 10);
}

static void test_names(void **state)
{
	unsigned int a, b;

	(void)state;
	assert_string_equal(vdma_cause_name(VDMA_CAUSE_MEMLOCK), "memlock");
	assert_string_equal(vdma_cause_name(VDMA_CAUSE_SYSTEM), "system");
	assert_string_equal(vdma_cause_name((enum vdma_cause)1000), "unknown");
	assert_string_equal(vdma_cause_name((enum vdma_cause) - 1), "unknown");
	for (a = 0; a <= VDMA_CAUSE_PARTED; a++)
		for (b = 0; b < a; b++)
			assert_string_not_equal(vdma_cause_name(a), vdma_cause_name(b));
}

static void *other_thread(void *arg)
{
	(void)arg;
	assert_int_equal(vdma_last_failure()->err, 0);
	assert_int_equal(vdma_last_failure()->cause, VDMA_CAUSE_NONE);
	assert_non_null(strstr(vdma_explain(), "No call"));
	vdma_fail(VDMA_CAUSE_WINDOW, NULL, "theirs");
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t thread;

	(void)state;
	vdma_fail(VDMA_CAUSE_TIMEOUT, &(struct vdma_facts){ .limit = 5, .pid = 9 }, "ours %d", 1);
	assert_int_equal(pthread_create(&thread, NULL, other_thread, NULL), 0);
	pthread_join(thread, NULL);
	assert_string_equal(vdma_explain(), "ours 1");
	assert_int_equal(vdma_last_failure()->err, -ETIMEDOUT);
	assert_int_equal(vdma_last_failure()->limit, 5);
	assert_int_equal(vdma_last_failure()->pid, 9);
	/* Numbers of an earlier failure do not linger. */
	assert_int_equal(vdma_fail(VDMA_CAUSE_BDF, NULL, "%s", "x"), -EINVAL);
	assert_int_equal(vdma_last_failure()->limit, 0);
	assert_int_equal(vdma_last_failure()->pid, 0);
}

static void test_success_keeps_the_reason(void **state)
{
	struct vdma_arena *arena;

	(void)state;
	vdma_fail(VDMA_CAUSE_BDF, NULL, "before");
	ASSERT_OK(vdma_arena_create(NULL, &arena));
	ASSERT_OK(vdma_arena_destroy(arena));
	assert_string_equal(vdma_explain(), "before");
}

static void test_long_text(void **state)
{
	char text[8192];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	vdma_fail(VDMA_CAUSE_SYSTEM, NULL, "%s", text);
	assert_true(strlen(vdma_explain()) > 1000);
	assert_true(strlen(vdma_explain()) < sizeof(text));
}

static void test_words(void **state)
{
	(void)state;
	assert_string_equal(vdma_bytes(0).s, "0 bytes");
	assert_string_equal(vdma_bytes(4095).s, "4095 bytes");
	assert_string_equal(vdma_bytes(4096).s, "4 KiB");
	assert_string_equal(vdma_bytes(UINT64_C(1) << 46).s, "64 TiB");
	assert_string_equal(vdma_bytes((UINT64_C(1) << 30) + 4096).s, "1048580 KiB");
	assert_string_equal(vdma_bytes((UINT64_C(16) << 30) + 4096).s, "16 GiB");
	assert_string_equal(vdma_bytes(UINT64_MAX).s, "unlimited");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLEAN_TEST(test_doc),	    CLEAN_TEST(test_names),
		CLEAN_TEST(test_threads),   CLEAN_TEST(test_success_keeps_the_reason),
		CLEAN_TEST(test_long_text), CLEAN_TEST(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
