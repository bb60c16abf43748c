// SPDX-License-Identifier: BSD-3-Clause
#include "explain.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
	int err;
	const char *name;
} causes[] = {
	[VDMA_CAUSE_NONE] = { 0, "none" },
	[VDMA_CAUSE_ARGUMENT] = { EINVAL, "argument" },
	[VDMA_CAUSE_BDF] = { EINVAL, "bdf" },
	[VDMA_CAUSE_OPTIONS] = { E2BIG, "options" },
	[VDMA_CAUSE_CHILDREN] = { EBUSY, "children" },
	[VDMA_CAUSE_OPEN] = { EBUSY, "open" },
	[VDMA_CAUSE_NO_DEVICE] = { ENODEV, "no-device" },
	[VDMA_CAUSE_NOT_BOUND] = { ENODEV, "not-bound" },
	[VDMA_CAUSE_NO_IOMMU] = { EOPNOTSUPP, "no-iommu" },
	[VDMA_CAUSE_NO_VFIO] = { ENOENT, "no-vfio" },
	[VDMA_CAUSE_NO_MODULE] = { ENOENT, "no-module" },
	[VDMA_CAUSE_NOT_VIABLE] = { EBUSY, "not-viable" },
	[VDMA_CAUSE_GROUP_BUSY] = { EBUSY, "group-busy" },
	[VDMA_CAUSE_PERMISSION] = { EACCES, "permission" },
	[VDMA_CAUSE_PRIVILEGE] = { EPERM, "privilege" },
	[VDMA_CAUSE_UNSAFE_IRQ] = { EPERM, "unsafe-irq" },
	[VDMA_CAUSE_MEMLOCK] = { EAGAIN, "memlock" },
	[VDMA_CAUSE_DMA_ENTRIES] = { ENOSPC, "dma-entries" },
	[VDMA_CAUSE_NO_RUN] = { ENOMEM, "no-run" },
	[VDMA_CAUSE_NO_HUGETLB] = { ENOMEM, "no-hugetlb" },
	[VDMA_CAUSE_NO_MEMORY] = { ENOMEM, "no-memory" },
	[VDMA_CAUSE_ADDRESS_BITS] = { EADDRNOTAVAIL, "address-bits" },
	[VDMA_CAUSE_WINDOW] = { EADDRNOTAVAIL, "window" },
	[VDMA_CAUSE_RESERVE] = { ENOMEM, "reserve" },
	[VDMA_CAUSE_UNREACHABLE] = { ERANGE, "unreachable" },
	[VDMA_CAUSE_NOT_THERE] = { ENXIO, "not-there" },
	[VDMA_CAUSE_UNSUPPORTED] = { EOPNOTSUPP, "unsupported" },
	[VDMA_CAUSE_TIMEOUT] = { ETIMEDOUT, "timeout" },
	[VDMA_CAUSE_SIGNAL] = { EINTR, "signal" },
	[VDMA_CAUSE_FILES] = { EMFILE, "files" },
	[VDMA_CAUSE_TOO_MANY] = { ENOSPC, "too-many" },
	[VDMA_CAUSE_SYSTEM] = { EIO, "system" },
	[VDMA_CAUSE_QUOTA] = { EDQUOT, "quota" },
	[VDMA_CAUSE_DEADLINE] = { ETIME, "deadline" },
	[VDMA_CAUSE_FORKED] = { ECHILD, "forked" },
	[VDMA_CAUSE_GONE] = { ENODEV, "gone" },
	[VDMA_CAUSE_TRANSLATION] = { EINVAL, "translation" },
	[VDMA_CAUSE_VF_TOKEN] = { EACCES, "vf-token" },
	[VDMA_CAUSE_AFFECTED] = { EBUSY, "affected" },
	[VDMA_CAUSE_NODE] = { EINVAL, "node" },
	[VDMA_CAUSE_SEGMENTS] = { ENOMEM, "segments" },
	[VDMA_CAUSE_OBSERVER] = { ECANCELED, "observer" },
	[VDMA_CAUSE_OBSERVING] = { EDEADLK, "observing" },
	[VDMA_CAUSE_OCCUPIED] = { EADDRINUSE, "occupied" },
	[VDMA_CAUSE_JOINED] = { EROFS, "joined" },
	[VDMA_CAUSE_PROTOCOL] = { EPROTO, "protocol" },
	[VDMA_CAUSE_PARTED] = { EPIPE, "parted" },
};

#define NCAUSES (sizeof(causes) / sizeof(causes[0]))

static _Thread_local char words[VDMA_WORDS] = "No call of this thread has failed.";
static _Thread_local struct vdma_failure last;

int vdma_cause_errno(enum vdma_cause cause)
{
	return (size_t)cause < NCAUSES ? causes[cause].err : EIO;
}

static int record(enum vdma_cause cause, const struct vdma_facts *facts, const char *fmt,
		  va_list args)
{
	vsnprintf(words, sizeof(words), fmt, args);
	last = (struct vdma_failure){ .err = -vdma_cause_errno(cause), .cause = cause };
	if (facts) {
		last.sys_errno = facts->sys_errno;
		last.need = facts->need;
		last.limit = facts->limit;
		last.used = facts->used;
		last.pid = facts->pid;
	}
	return last.err;
}

int vdma_fail(enum vdma_cause cause, const struct vdma_facts *facts, const char *fmt, ...)
{
	va_list args;
	int err;

	va_start(args, fmt);
	err = record(cause, facts, fmt, args);
	va_end(args);
	return err;
}

int vdma_fail_sys(int err, const char *fmt, ...)
{
	struct vdma_facts facts = { .sys_errno = -err };
	enum vdma_cause cause = VDMA_CAUSE_SYSTEM;
	const char *remedy = ".";
	char what[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);

	switch (-err) {
	case EMFILE:
	case ENFILE:
		cause = VDMA_CAUSE_FILES;
		remedy = ". Raise the limit (ulimit -n), or close descriptors.";
		break;
	case ENOMEM:
		cause = VDMA_CAUSE_NO_MEMORY;
		remedy = ". Free some memory.";
		break;
	case EINTR:
		cause = VDMA_CAUSE_SIGNAL;
		remedy = ". Call again.";
		break;
	case ETIME:
		cause = VDMA_CAUSE_DEADLINE;
		remedy = ". Call again, or give it more time.";
		break;
	case EACCES:
		cause = VDMA_CAUSE_PERMISSION;
		remedy = ". Give this user access to it.";
		break;
	}
	return vdma_fail(cause, &facts, "%s: %s%s", what, vdma_error_words(err).s, remedy);
}

void vdma_keep_failure(struct vdma_kept *kept)
{
	kept->last = last;
	memcpy(kept->words, words, strlen(words) + 1);
}

void vdma_restore_failure(const struct vdma_kept *kept)
{
	last = kept->last;
	memcpy(words, kept->words, strlen(kept->words) + 1);
}

int vdma_fail_malloc(size_t bytes)
{
	return vdma_fail(VDMA_CAUSE_NO_MEMORY, &(struct vdma_facts){ .need = bytes },
			 "The C library has no %zu bytes left for bookkeeping. Free some memory.",
			 bytes);
}

int vdma_fail_bdf(const char *bdf)
{
	return vdma_fail(VDMA_CAUSE_BDF, NULL,
			 "\"%.64s\" is not a PCI address. Write domain:bus:device.function in "
			 "hexadecimal, such as 0000:00:10.0, or 00:10.0 for domain 0.",
			 bdf ? bdf : "(null)");
}

int vdma_fail_no_device(const char *bdf)
{
	return vdma_fail(VDMA_CAUSE_NO_DEVICE, NULL,
			 "There is no PCI device %s. lspci -D lists those that there are.", bdf);
}

struct vdma_words vdma_bytes(uint64_t bytes)
{
	static const char *const unit[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
	struct vdma_words w;
	unsigned int u = 0;

	if (bytes == UINT64_MAX) {
		snprintf(w.s, sizeof(w.s), "unlimited");
		return w;
	}
	/* Exact, but for numbers that nobody can read. */
	while (u < 4 && bytes >= 1024 && (!(bytes & 1023) || bytes >= 10000000)) {
		bytes >>= 10;
		u++;
	}
	snprintf(w.s, sizeof(w.s), "%llu %s", (unsigned long long)bytes, unit[u]);
	return w;
}

struct vdma_words vdma_error_words(int err)
{
	const char *text = strerrordesc_np(err < 0 ? -err : err);
	struct vdma_words w;

	snprintf(w.s, sizeof(w.s), "%s", text ? text : "unknown error");
	return w;
}

const char *vdma_explain(void)
{
	return words;
}

const struct vdma_failure *vdma_last_failure(void)
{
	/* Not in record(): a thread without a failure gets a text as well. */
	last.text = words;
	return &last;
}

const char *vdma_cause_name(enum vdma_cause cause)
{
	return (size_t)cause < NCAUSES ? causes[cause].name : "unknown";
}
