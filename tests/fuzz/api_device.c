// SPDX-License-Identifier: BSD-3-Clause
/* Address spaces and devices. */
#include <linux/pci_regs.h>

#include "api.h"

const char *const bdfs[DEVICES] = { "0000:00:10.0", "0000:00:11.0", "0000:00:11.1",
				    "0000:01:00.0" };

static const int ioas_errors[] = { EINVAL, E2BIG,  ENOENT, EACCES, EOPNOTSUPP,
				   ENOSPC, ENOMEM, EMFILE, EIO,	   0 };
static const int busy_errors[] = { EBUSY, 0 };
static const int look_errors[] = { EINVAL, EIO, ENOMEM, 0 };
static const int open_errors[] = { EINVAL, E2BIG,  ENODEV, ENOENT, EOPNOTSUPP, EBUSY, EACCES, EPERM,
				   ERANGE, EAGAIN, ENOSPC, ENOMEM, EMFILE,     EIO,   0 };
static const int no_errors[] = { 0 };
static const int query_errors[] = { EINVAL, 0 };
static const int bar_errors[] = { EINVAL, ENXIO, EOPNOTSUPP, ENOMEM, EIO, 0 };
static const int config_errors[] = { EINVAL, ENXIO, EIO, 0 };
static const int master_errors[] = { EINVAL, EIO, 0 };
static const int reset_errors[] = { EOPNOTSUPP, EIO, 0 };
static const int hot_errors[] = { EINVAL, EOPNOTSUPP, EBUSY, ENOMEM, EIO, 0 };
static const int asked_errors[] = { ENODEV, ENXIO, EINTR, EIO, 0 };
static const int gone_errors[] = { ENODEV, 0 };
static const int let_go_errors[] = { EINVAL, ENOMEM, EMFILE, EIO, 0 };
static const int enable_errors[] = { EINVAL, EBUSY, ENXIO, ENOMEM, EMFILE, EIO, 0 };
static const int disable_errors[] = { EIO, 0 };
static const int fd_errors[] = { ENXIO, 0 };
static const int wait_errors[] = { ETIMEDOUT, EINTR, ENXIO, EIO, 0 };
static const int mask_errors[] = { EOPNOTSUPP, ENXIO, EIO, 0 };

unsigned int attached(unsigned int arena)
{
	unsigned int i, sum = 0;

	for (i = 0; i < SPACES; i++)
		sum += w.spaces[i].ioas && w.spaces[i].arena == arena && w.spaces[i].devices;
	return sum;
}

bool is_open(const struct device *d, unsigned int arena)
{
	return d->dev && !d->gone && w.spaces[d->space].arena == arena;
}

unsigned int reached_by(const struct region *r)
{
	unsigned int i, sum = 0;

	if (r->half) {
		struct vdma_region_info info = { .size = sizeof(info) };

		MUST(!vdma_region_query(r->region, &info));
		return info.mapped;
	}
	for (i = 0; i < SPACES && !r->gone; i++)
		sum += w.spaces[i].ioas && w.spaces[i].arena == r->arena && w.spaces[i].devices &&
		       (!r->spaces || r->spaces >> i & 1);
	return sum;
}

void ioas_create(void)
{
	unsigned int arena = take_arena(), i = 0;
	struct vdma_ioas_opts opts = { .backend = (enum vdma_backend)(take(&w.in) % 10 % 4) };
	struct vdma_ioas *ioas = UNTOUCHED;
	bool wrong = false;
	void *given;
	int ret;

	while (i < SPACES && w.spaces[i].ioas)
		i++;
	if (arena == ARENAS || i == SPACES)
		return;
	given = shaped(&opts, sizeof(opts), &wrong);
	wrong |= w.physical[arena] ? opts.backend == VDMA_BACKEND_TYPE1 ||
					     opts.backend == VDMA_BACKEND_IOMMUFD :
				     (unsigned int)opts.backend > VDMA_BACKEND_IOMMUFD;
	ret = CALL(ioas_errors, vdma_ioas_create(w.arenas[arena], given, &ioas));
	free(given);
	MUST((ret == -EINVAL || ret == -E2BIG) == wrong);
	if (ret)
		MUST(ioas == UNTOUCHED);
	else
		w.spaces[i] = (struct space){ .ioas = ioas, .arena = arena };
}

void ioas_destroy(struct space *s)
{
	int ret;

	if (!s->ioas)
		return;
	ret = CALL_CHANGES(busy_errors, vdma_ioas_destroy(s->ioas));
	MUST(!ret == (!s->devices && !s->gone && !s->named));
	if (!ret)
		s->ioas = NULL;
}

void ioas_look(void)
{
	const struct space *s = &w.spaces[take_below(&w.in, SPACES)];
	struct vdma_range ranges[8];
	size_t count = take_below(&w.in, 9), room = count, i;
	bool wrong;
	void *info;
	int ret;

	if (!s->ioas)
		return;
	info = info_room(sizeof(struct vdma_ioas_info), &wrong);
	ret = CALL(look_errors, vdma_ioas_query(s->ioas, info));
	MUST(ret == -EINVAL ? wrong : !wrong);
	info_checked(info, sizeof(struct vdma_ioas_info), ret);
	if (!ret)
		MUST(((const struct vdma_ioas_info *)info)->devices == s->devices);
	free(info);
	MUST(!CALL(query_errors, vdma_ioas_ranges(s->ioas, ranges, &count)));
	MUST(!count == !s->devices);
	for (i = 0; i < count && i < room; i++)
		MUST(ranges[i].first <= ranges[i].last);
}

void device_open(void)
{
	static const char *const others[] = { "0000:00:1f.7", "10.0", "0000:00:10.0 ", "" };
	unsigned int which = take_below(&w.in, 32), first = take_below(&w.in, SPACES), i, n = 0;
	static const char *const tokens[] = { NULL, "bd8d9d2b-5a5f-4f5a-a211-f591514ba1f3",
					      "bd8d" };
	uint8_t how = take(&w.in);
	struct vdma_device_opts opts = { .flags = how == 1,
					 .vf_token = tokens[how < 192 ? 0 : how % 3] };
	const char *bdf = which < 4 ? others[which] : bdfs[which % DEVICES];
	struct vdma_device *dev = UNTOUCHED;
	bool wrong = false;
	struct space *s;
	void *given;
	int ret;

	for (i = first; n < SPACES && !w.spaces[i].ioas; n++)
		i = (i + 1) % SPACES;
	s = &w.spaces[i];
	if (!s->ioas)
		return;
	given = shaped(&opts, sizeof(opts), &wrong);
	/* Only the last one can have a token. */
	wrong |=
		opts.flags || (which < 4 && which) ||
		(which >= 4 && opts.vf_token && (opts.vf_token[4] == '\0' || which % DEVICES != 3));
	ret = CALL(open_errors, vdma_device_open(s->ioas, bdf, given, &dev));
	free(given);
	/* What sysfs does not tell for once decides whether there can be a token, or an IOMMU. */
	MUST((ret == -EINVAL || ret == -E2BIG) == wrong ||
	     (opts.vf_token ? w.hit || w.bare : w.hit && w.bare));
	if (ret) {
		MUST(dev == UNTOUCHED);
		return;
	}
	/* One that was let go may be had again while its old object lives. */
	MUST(which >= 4 && (!w.devices[which % DEVICES].dev || w.devices[which % DEVICES].gone));
	device_close(&w.devices[which % DEVICES]);
	w.devices[which % DEVICES] = (struct device){ .dev = dev, .space = i };
	s->devices++;
	MUST((fake_config(bdf)[PCI_COMMAND] & (PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)) ==
	     PCI_COMMAND_MEMORY);
}

void device_close(struct device *d)
{
	const char *bdf = bdfs[d - w.devices];
	int ret;

	if (!d->dev)
		return;
	ret = CALL_CHANGES(busy_errors, vdma_device_close(d->dev));
	MUST(ret ? imported(d, true) : !imported(d, false));
	if (ret)
		return;
	import_let_go(d);
	/* It may not have fallen silent. */
	w.tied |= w.bare && !d->gone && (w.hit || fake.hold_err);
	MUST(w.hit || d->gone || !(fake_config(bdf)[PCI_COMMAND] & PCI_COMMAND_MASTER));
	if (d->gone)
		w.spaces[d->space].gone--;
	else
		w.spaces[d->space].devices--;
	d->dev = NULL;
}

static void use_config(struct device *d)
{
	unsigned int offset = (unsigned int)take_edge(&w.in), width = take_below(&w.in, 6);
	uint32_t value = 0xdead, write = (uint32_t)take_edge(&w.in);
	bool odd = (width != 1 && width != 2 && width != 4) || offset % width;
	int ret;

	ret = CALL(config_errors, vdma_device_config_read(d->dev, offset, width, &value));
	MUST((ret == -EINVAL) == odd && (odd || (ret == -ENXIO) == (offset >= 256)));
	MUST(!ret || value == 0xdead);
	ret = CALL(config_errors, vdma_device_config_write(d->dev, offset, width, write));
	odd |= width < 4 && (uint64_t)write >> 8 * width;
	MUST((ret == -EINVAL) == odd && (odd || (ret == -ENXIO) == (offset >= 256)));
}

static void use_bar(struct device *d)
{
	unsigned int index = take_below(&w.in, 8);
	struct vdma_bar bar = { .va = UNTOUCHED }, again;
	int ret = CALL(bar_errors, vdma_device_bar(d->dev, index, &bar));

	MUST(ret ? bar.va == UNTOUCHED : index == 0 && bar.len == MIB);
	if (ret)
		return;
	((volatile char *)bar.va)[4096] = ((volatile char *)bar.va)[65535] = 1;
	MUST(!CALL(bar_errors, vdma_device_bar(d->dev, index, &again)) && again.va == bar.va);
}

static void irq_enable(struct device *d)
{
	static const unsigned int has[] = { 1, 4, 8, 0 };
	unsigned int kind = take_below(&w.in, 4), count = take_below(&w.in, 10);
	int ret = CALL(enable_errors,
		       vdma_device_irq_enable(d->dev, (enum vdma_irq_kind)kind, count));

	MUST((ret == -EINVAL) == (kind == 3 || !count));
	if (ret)
		return;
	MUST(!d->vectors && count <= has[kind]);
	d->kind = (enum vdma_irq_kind)kind;
	d->vectors = count;
}

static void irq_wait(struct device *d, const char *bdf)
{
	unsigned int vector = take_below(&w.in, 10);
	uint64_t count = 0xdead;
	bool fired = vector < d->vectors && take_below(&w.in, 2);
	int ret, fd = -7;

	ret = CALL(fd_errors, vdma_device_irq_fd(d->dev, vector, &fd));
	MUST((ret == -ENXIO) == (vector >= d->vectors) && (ret ? fd == -7 : fd >= 0));
	if (fired)
		fake_fire(bdf, d->kind, vector);
	ret = CALL(wait_errors, vdma_device_irq_wait(d->dev, vector, 0, &count));
	MUST(ret ? count == 0xdead : fired);
	if (ret == -ETIMEDOUT)
		MUST(!fired);
	/* It shall not have fired for the next one. */
	if (ret && fired)
		MUST(!vdma_device_irq_wait(d->dev, vector, 0, NULL));
}

static void device_look(struct device *d, const char *bdf)
{
	bool wrong;
	void *info = info_room(sizeof(struct vdma_device_info), &wrong);
	int ret = CALL(query_errors, vdma_device_query(d->dev, info));

	MUST(!ret == !wrong);
	info_checked(info, sizeof(struct vdma_device_info), ret);
	if (!ret)
		MUST(!strcmp(((const struct vdma_device_info *)info)->bdf, bdf));
	free(info);
}

/* The one that is behind a port is alone there. */
static void hot_reset(struct device *d, const char *bdf)
{
	unsigned int before = fake_hot_resets(bdf);
	int ret = CALL(hot_errors, vdma_device_hot_reset(d->dev));

	MUST(fake_hot_resets(bdf) == before + !ret);
	if (bdf == bdfs[3])
		MUST(!ret || w.hit);
	else
		MUST(ret == -EOPNOTSUPP || w.hit);
}

static void let_go(struct device *d, const char *bdf)
{
	int fd = -7, ret = CALL(query_errors, vdma_device_removal_fd(d->dev, &fd));

	MUST(!ret && fd >= 0);
	if (take(&w.in) & 1) {
		fake_request(bdf);
		ret = CALL(asked_errors, vdma_device_irq_wait(d->dev, 0, 0, NULL));
		MUST(ret == (d->vectors ? -ENODEV : -ENXIO) || w.hit);
	}
	ret = CALL_CHANGES(let_go_errors, vdma_device_let_go(d->dev));
	w.tied |= w.bare && (w.hit || fake.hold_err);
	MUST(!ret || w.hit || (w.trouble && imported(d, true)));
	if (ret) {
		import_half(d);
		return;
	}
	import_let_go(d);
	w.spaces[d->space].devices--;
	w.spaces[d->space].gone++;
	d->gone = true;
	d->vectors = 0;
}

/* Nothing goes any more but to ask, and to let go. */
static void use_gone(struct device *d, const char *bdf)
{
	uint32_t value;
	struct vdma_bar bar;
	int fd;

	switch (take_below(&w.in, 8)) {
	case 0: MUST(CALL(gone_errors, vdma_device_config_read(d->dev, 0, 4, &value))); break;
	case 1: MUST(CALL(gone_errors, vdma_device_bar(d->dev, 0, &bar))); break;
	case 2: MUST(CALL(gone_errors, vdma_device_reset(d->dev))); break;
	case 3: MUST(CALL(gone_errors, vdma_device_hot_reset(d->dev))); break;
	case 4: MUST(CALL(gone_errors, vdma_device_irq_enable(d->dev, VDMA_IRQ_MSI, 1))); break;
	case 5: MUST(CALL(gone_errors, vdma_device_removal_fd(d->dev, &fd))); break;
	case 6: MUST(!CALL(no_errors, vdma_device_let_go(d->dev))); break;
	default: device_look(d, bdf);
	}
}

void device_use(void)
{
	unsigned int first = take_below(&w.in, DEVICES), i = first, n;
	struct device *d;

	for (n = 0; n < DEVICES && !w.devices[i].dev; n++)
		i = (i + 1) % DEVICES;
	d = &w.devices[i];
	if (!d->dev)
		return;
	if (d->gone) {
		use_gone(d, bdfs[i]);
		return;
	}
	/* UIO's has one interrupt of another kind, which unit tests look at. */
	switch (take_below(&w.in, w.bare && i == 0 ? 5 : 16)) {
	case 0: device_look(d, bdfs[i]); break;
	case 1: use_config(d); break;
	case 2: CALL(master_errors, vdma_device_set_bus_master(d->dev, take(&w.in) % 2)); break;
	case 3: CALL(reset_errors, vdma_device_reset(d->dev)); break;
	case 4: use_bar(d); break;
	case 5:
		/* They are off even if the device did not take it. */
		CALL_CHANGES(disable_errors, vdma_device_irq_disable(d->dev));
		d->vectors = 0;
		break;
	case 6: irq_wait(d, bdfs[i]); break;
	case 7: CALL(mask_errors, vdma_device_irq_mask(d->dev)); break;
	case 8: CALL(mask_errors, vdma_device_irq_unmask(d->dev)); break;
	case 9: hot_reset(d, bdfs[i]); break;
	case 10: let_go(d, bdfs[i]); break;
	default: irq_enable(d);
	}
}
