// SPDX-License-Identifier: BSD-3-Clause
/*
 * Live objects of a heap that checks, in a tree by address. Two that overlap compare
 * as equal, so a byte finds the object that it lies in.
 */
#include "heap.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>

#include "explain.h"
#include "site.h"

/* A leak report names so many. */
#define LEAKS 4

struct record {
	uintptr_t va;
	size_t len;
	struct vdma_site born;
};

static int compare(const void *a, const void *b)
{
	const struct record *one = a, *other = b;

	if (one->va + (one->len - 1) < other->va)
		return -1;
	return one->va > other->va + (other->len - 1);
}

int vdma_heap_record(struct vdma_heap *heap, const void *va, size_t len, const void *pc)
{
	struct record *record = malloc(sizeof(*record));
	struct record **found = NULL;

	if (record) {
		*record = (struct record){ (uintptr_t)va, len, vdma_site_now(pc) };
		pthread_mutex_lock(&heap->lock);
		found = tsearch(record, &heap->records, compare);
		heap->nrecords += !!found;
		pthread_mutex_unlock(&heap->lock);
	}
	if (found)
		return 0;
	free(record);
	return vdma_fail_malloc(sizeof(*record));
}

/* The one that a byte lies in, by value; its length is 0 if there is none. */
static struct record look(struct vdma_heap *heap, const void *va)
{
	const struct record key = { .va = (uintptr_t)va, .len = 1 };
	struct record **found, record = { 0 };

	pthread_mutex_lock(&heap->lock);
	found = tfind(&key, &heap->records, compare);
	if (found)
		record = **found;
	pthread_mutex_unlock(&heap->lock);
	return record;
}

static int no_such(const void *va, const struct record *around)
{
	if (around->len)
		return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL,
				 "%p is no object of the heap: it lies %zu bytes into that of %zu "
				 "bytes at %p, allocated%s.",
				 va, (uintptr_t)va - around->va, around->len, (void *)around->va,
				 vdma_site_words(&around->born).s);
	return vdma_fail(VDMA_CAUSE_ARGUMENT, NULL,
			 "%p is no object of the heap: was it freed already, or does it belong to "
			 "another heap, or to a buffer?",
			 va);
}

int vdma_heap_forget(struct vdma_heap *heap, const void *va)
{
	struct record key = { .va = (uintptr_t)va, .len = 1 }, *record = NULL;
	struct record **found;

	pthread_mutex_lock(&heap->lock);
	found = tfind(&key, &heap->records, compare);
	if (found && (*found)->va == key.va) {
		record = *found;
		tdelete(record, &heap->records, compare);
		heap->nrecords--;
	} else if (found) {
		key = **found;
	} else {
		key.len = 0;
	}
	pthread_mutex_unlock(&heap->lock);
	if (!record)
		return no_such(va, &key);
	free(record);
	return 0;
}

size_t vdma_heap_recorded(struct vdma_heap *heap, const void *va)
{
	struct record record = look(heap, va);

	if (record.len && record.va == (uintptr_t)va)
		return record.len;
	no_such(va, &record);
	return 0;
}

struct leaks {
	const struct record *first[LEAKS];
	unsigned int n;
};

static void gather(const void *node, VISIT visit, void *arg)
{
	struct leaks *leaks = arg;

	if ((visit == postorder || visit == leaf) && leaks->n < LEAKS)
		leaks->first[leaks->n++] = *(const struct record *const *)node;
}

/* Nobody else uses the heap, so that records stay. */
void vdma_heap_leaks(struct vdma_heap *heap, char *buf, size_t size)
{
	struct leaks leaks = { .n = 0 };
	size_t used = 0;
	unsigned int i;

	buf[0] = '\0';
	twalk_r(heap->records, gather, &leaks);
	for (i = 0; i < leaks.n && used < size; i++)
		used += (size_t)snprintf(buf + used, size - used,
					 "\n  %zu bytes at %p, allocated%s", leaks.first[i]->len,
					 (void *)leaks.first[i]->va,
					 vdma_site_words(&leaks.first[i]->born).s);
	if (heap->nrecords > LEAKS && used < size)
		snprintf(buf + used, size - used, "\n  and %llu more",
			 (unsigned long long)(heap->nrecords - LEAKS));
}

void vdma_heap_records_drop(struct vdma_heap *heap)
{
	tdestroy(heap->records, free);
}
