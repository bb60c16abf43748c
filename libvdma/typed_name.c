// SPDX-License-Identifier: BSD-3-Clause
#include "typed_name.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* _XOPEN_PATH_MAX, with its NUL, and _XOPEN_NAME_MAX: what POSIX lets a name have. */
#define NAME_LENGTH 1023
#define COMPONENT_LENGTH 255

/* A piece of the name that is being read. */
struct part {
	const char *at, *end;
};

static bool too_long(const char *name)
{
	size_t len = strlen(name), n;

	if (len > NAME_LENGTH)
		return true;
	for (; *name; name += n + (name[n] != '\0')) {
		n = strcspn(name, "/&");
		if (n > COMPONENT_LENGTH)
			return true;
	}
	return false;
}

/* Steps over the component if it is this one. */
static bool eat_component(struct part *p, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(p->end - p->at) < len || memcmp(p->at, word, len))
		return false;
	if (p->at + len == p->end)
		p->at = p->end;
	else if (p->at[len] == '/' && p->at + len + 1 < p->end)
		p->at += len + 1;
	else
		return false;
	return true;
}

static bool eat_word(struct part *p, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(p->end - p->at) < len || memcmp(p->at, word, len))
		return false;
	p->at += len;
	return true;
}

/* A decimal number without leading zeroes. */
static bool eat_number(struct part *p, uint64_t *value)
{
	const char *first = p->at;
	uint64_t v = 0;

	for (; p->at < p->end && *p->at >= '0' && *p->at <= '9'; p->at++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*p->at - '0'), &v))
			return false;
	*value = v;
	return p->at > first && (*first != '0' || p->at == first + 1);
}

static int read_node(struct part *p, struct vdma_typed_pool *pool)
{
	uint64_t node;

	if (!eat_number(p, &node) || p->at != p->end || node > INT32_MAX)
		return -ENOENT;
	/* No memory is on two nodes. */
	if (pool->node >= 0 && pool->node != (int)node)
		return -ENOENT;
	pool->node = (int)node;
	return 0;
}

static int read_below(struct part *p, struct vdma_typed_pool *pool)
{
	static const char units[] = "KMGT";
	const char *unit;
	uint64_t limit;

	if (!eat_number(p, &limit) || !limit || p->end - p->at != 1)
		return -ENOENT;
	unit = memchr(units, *p->at, sizeof(units) - 1);
	if (!unit || __builtin_mul_overflow(limit, UINT64_C(1024) << (10 * (unit - units)), &limit))
		return -ENOENT;
	if (limit - 1 < pool->phys_max)
		pool->phys_max = limit - 1;
	return 0;
}

/* What a name between "&" adds to the constraints. */
static int read_name(struct part p, struct vdma_typed_pool *pool)
{
	if (p.at == p.end)
		return -ENOENT;
	if (*p.at == '/') {
		p.at++;
		if (!eat_component(&p, "memory"))
			return -ENOENT;
	} else {
		eat_component(&p, "memory");
	}
	if (p.at != p.end)
		eat_component(&p, "ram");
	if (p.at == p.end)
		return 0;
	if (eat_word(&p, "sysram"))
		return p.at == p.end ? 0 : -ENOENT;
	if (eat_word(&p, "node"))
		return read_node(&p, pool);
	if (eat_word(&p, "below"))
		return read_below(&p, pool);
	return -ENOENT;
}

int vdma_typed_name_parse(const char *name, struct vdma_typed_pool *pool)
{
	struct vdma_typed_pool found = { .phys_max = UINT64_MAX, .node = -1 };
	int err;

	if (too_long(name))
		return -ENAMETOOLONG;
	for (;;) {
		size_t len = strcspn(name, "&");

		err = read_name((struct part){ name, name + len }, &found);
		if (err)
			return err;
		if (!name[len])
			break;
		name += len + 1;
	}
	*pool = found;
	return 0;
}
