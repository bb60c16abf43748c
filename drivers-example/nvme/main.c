// SPDX-License-Identifier: BSD-3-Clause
/*
 * vdma-nvme: an NVMe disk from user space. Exit status: 0 if all went as it should,
 * 1 if not, 2 for wrong usage.
 */
#define _GNU_SOURCE
#include "program.h"
#include "verify.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"Usage: vdma-nvme identify BDF\n"
	"       vdma-nvme read BDF [FILE]       namespace to file, or stdout\n"
	"       vdma-nvme write BDF [FILE]      file, or stdin, to namespace\n"
	"       vdma-nvme deallocate BDF        what is there is not needed any more\n"
	"       vdma-nvme verify BDF [IMAGE]    writes all of the namespace, at random and by\n"
	"                                       several threads, and compares all that it reads;\n"
	"                                       then the namespace's image, if there is one\n"
	"       vdma-nvme bench BDF             as many transfers as there can be\n"
	"\n"
	"Drives the NVMe controller at this PCI address, such as 0000:00:10.0, which has to be\n"
	"bound to vfio-pci. write, deallocate, verify and bench --write destroy what is there.\n"
	"\n"
	"  --namespace N      its id (default 1)\n"
	"  --offset BYTES     where read, write and deallocate begin (default 0)\n"
	"  --length BYTES     how much (default: to the end)\n"
	"  --threads N        of verify (default 4) and bench (1), a queue for each\n"
	"  --depth N          commands under way in a queue at most (default 256)\n"
	"  --list prp|sgl     how commands tell where data lie (default sgl, if there are any)\n"
	"  --poll             look for completions all the time, instead of MSI-X interrupts\n"
	"  --timeout MS       for each command (default 5000)\n"
	"  --size BYTES       of bench's transfers (default 4K), of verify's largest (1M)\n"
	"  --random           bench: anywhere (default: one behind the other)\n"
	"  --write            bench: write (default: read)\n"
	"  --seconds N        bench: how long (default 5)\n"
	"  --rounds N         verify: reads and writes at random of each thread (default 1000)\n"
	"  --seed N           of what is done by chance (default 1)\n"
	"  --backend auto|type1|iommufd|noiommu\n"
	"                     without an IOMMU, auto is noiommu: the device then reaches all memory\n"
	"  --help\n"
	"\n"
	"BYTES may end in K, M, G. Exit status: 0, 1 if something failed, 2 for wrong usage.\n";

int complain(const char *what, const char *why)
{
	fflush(stdout);
	fprintf(stderr, "vdma-nvme: %s failed\n%s\n", what, why);
	return -1;
}

int get_buf(struct program *p, size_t len)
{
	struct vdma_buf_opts opts = { .size = sizeof(opts), .align = p->nvme.page_len };

	return vdma_buf_alloc(p->arena, len, &opts, &p->buf) ? complain("memory", vdma_explain()) :
							       0;
}

int do_identify(struct program *p)
{
	const struct nvme *nvme = &p->nvme;
	uint32_t id = 0;

	printf("controller   %s, NVMe %" PRIu32 ".%" PRIu32 "\n", nvme->bdf, nvme->version >> 16,
	       nvme->version >> 8 & 0xff);
	printf("model        %s, serial %s, firmware %s\n", nvme->model, nvme->serial,
	       nvme->firmware);
	printf("commands     up to %zu bytes, queues of up to %" PRIu32 " entries\n",
	       nvme->transfer_max, NVME_CAP_MQES(nvme->cap) + 1);
	printf("lists        PRP%s\n", !nvme->has_sgl	    ? "" :
				       nvme->sgl_align == 1 ? ", SGL of any alignment" :
							      ", SGL of multiples of 4 bytes");
	printf("write cache  %s\n", nvme->has_cache ? "yes" : "no");
	printf("deallocate   %s\n", nvme->has_deallocate ? "yes" : "no");
	for (;;) {
		struct nvme_ns ns;

		if (nvme_ns_next(&p->nvme, id, &id))
			return complain("listing namespaces", nvme->why);
		if (!id)
			return 0;
		if (nvme_ns_open(&ns, &p->nvme, id))
			printf("namespace    %" PRIu32 ": %s\n", id, nvme->why);
		else
			printf("namespace    %" PRIu32 ": %" PRIu64 " blocks of %" PRIu32
			       " bytes, %" PRIu64 " MiB\n",
			       id, ns.blocks, ns.block_len, ns.blocks * ns.block_len >> 20);
		if (id == UINT32_MAX - 1)
			return 0;
	}
}

/* Whoever has the image sees what we have seen. */
static int compare_image(const struct program *p, const struct nvme_verify *v)
{
	size_t len = p->ns.block_len;
	uint8_t got[65536], want[65536];
	FILE *file = fopen(p->set.file, "rb");
	char why[128];
	uint64_t lba;

	if (!file)
		return complain(p->set.file, strerror(errno));
	for (lba = 0; lba < p->ns.blocks; lba++) {
		nvme_verify_block(v, lba, want);
		if (fread(got, 1, len, file) != len || memcmp(got, want, len))
			break;
	}
	fclose(file);
	if (lba < p->ns.blocks) {
		snprintf(why, sizeof(why), "block %" PRIu64 " of the image is another", lba);
		return complain("verify", why);
	}
	printf("the image has the same %" PRIu64 " blocks\n", lba);
	return 0;
}

int do_verify(struct program *p)
{
	struct nvme_verify v;
	int err;

	if (nvme_verify_begin(&v, &p->ns, p->set.seed))
		return complain("verify", v.why);
	err = nvme_verify_run(&v, p->set.rounds, p->set.size);
	if (err)
		complain("verify", v.why);
	else
		printf("%" PRIu64 " MiB: %" PRIu64 " writes, %" PRIu64
		       " reads by %u threads, %s, seed "
		       "%" PRIu64 "; %" PRIu64 " MiB compared, no difference\n",
		       p->ns.blocks * p->ns.block_len >> 20, v.writes, v.reads, p->nvme.opts.queues,
		       p->nvme.queues[0]->sgl ? "SGL" : "PRP", p->set.seed, v.bytes >> 20);
	if (!err && p->set.file)
		err = compare_image(p, &v);
	/*
	 * Commands that have not ended use memory of v's. Whatever err is: it is one thread's,
	 * and another may have ended with commands under way.
	 */
	if (err && nvme_close(&p->nvme))
		complain("shutdown", p->nvme.why);
	nvme_verify_end(&v, p->arena);
	return err;
}

static const struct {
	const char *name;
	int (*run)(struct program *p);
	unsigned int threads;
	size_t size;
} commands[] = {
	{ "identify", do_identify, 1, 0 },   { "read", do_read, 1, 0 },
	{ "write", do_write, 1, 0 },	     { "deallocate", do_deallocate, 1, 0 },
	{ "verify", do_verify, 4, 1 << 20 }, { "bench", do_bench, 1, 4096 },
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const char *const backends[] = { "auto", "type1", "iommufd", "noiommu" };
static const char *const lists[] = { "auto", "prp", "sgl" };

enum option_id {
	OPT_NAMESPACE = 256,
	OPT_OFFSET,
	OPT_LENGTH,
	OPT_THREADS,
	OPT_DEPTH,
	OPT_LIST,
	OPT_POLL,
	OPT_TIMEOUT,
	OPT_SIZE,
	OPT_RANDOM,
	OPT_WRITE,
	OPT_SECONDS,
	OPT_ROUNDS,
	OPT_SEED,
	OPT_BACKEND,
	OPT_HELP,
};

static const struct option options[] = {
	{ "namespace", required_argument, NULL, OPT_NAMESPACE },
	{ "offset", required_argument, NULL, OPT_OFFSET },
	{ "length", required_argument, NULL, OPT_LENGTH },
	{ "threads", required_argument, NULL, OPT_THREADS },
	{ "depth", required_argument, NULL, OPT_DEPTH },
	{ "list", required_argument, NULL, OPT_LIST },
	{ "poll", no_argument, NULL, OPT_POLL },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "size", required_argument, NULL, OPT_SIZE },
	{ "random", no_argument, NULL, OPT_RANDOM },
	{ "write", no_argument, NULL, OPT_WRITE },
	{ "seconds", required_argument, NULL, OPT_SECONDS },
	{ "rounds", required_argument, NULL, OPT_ROUNDS },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "backend", required_argument, NULL, OPT_BACKEND },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

/* A number from min to max, with K, M, G if it is one of bytes. */
static bool number(const char *text, bool bytes, uint64_t min, uint64_t max, uint64_t *value)
{
	const char *suffix, *units = "KMG";
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 10);
	if (errno || end == text || text[0] == '-')
		return false;
	if (bytes && *end && (suffix = strchr(units, *end))) {
		unsigned int shift = 10 * (unsigned int)(suffix - units + 1);

		if (*value > UINT64_MAX >> shift)
			return false;
		*value <<= shift;
		end++;
	}
	return !*end && *value >= min && *value <= max;
}

static bool choice(const char *text, const char *const *words, size_t n, unsigned int *value)
{
	for (*value = 0; *value < n; (*value)++)
		if (!strcmp(text, words[*value]))
			return true;
	return false;
}

static bool set_option(struct settings *set, int option, const char *text)
{
	unsigned int word = 0;
	uint64_t n = 0;
	bool good = true;

	switch (option) {
	case OPT_NAMESPACE:
		good = number(text, false, 1, UINT32_MAX - 1, &n);
		set->ns = (uint32_t)n;
		break;
	case OPT_OFFSET: good = number(text, true, 0, INT64_MAX, &set->offset); break;
	case OPT_LENGTH: good = number(text, true, 1, INT64_MAX, &set->length); break;
	case OPT_THREADS:
		good = number(text, false, 1, NVME_QUEUES_MAX, &n);
		set->opts.queues = (unsigned int)n;
		break;
	case OPT_DEPTH:
		good = number(text, false, 1, NVME_DEPTH_MAX, &n);
		set->opts.depth = (unsigned int)n;
		break;
	case OPT_LIST:
		good = choice(text, lists, 3, &word);
		set->opts.list = (enum nvme_list)word;
		break;
	case OPT_POLL: set->opts.poll = true; break;
	case OPT_TIMEOUT:
		good = number(text, false, 1, 3600000, &n);
		set->opts.timeout_ms = (unsigned int)n;
		break;
	case OPT_SIZE:
		good = number(text, true, 512, 1 << 30, &n);
		set->size = (size_t)n;
		break;
	case OPT_RANDOM: set->random = true; break;
	case OPT_WRITE: set->write = true; break;
	case OPT_SECONDS:
		good = number(text, false, 1, 1000000, &n);
		set->seconds = (double)n;
		break;
	case OPT_ROUNDS:
		good = number(text, false, 0, 1000000000, &n);
		set->rounds = (unsigned int)n;
		break;
	case OPT_SEED: good = number(text, false, 0, UINT64_MAX, &set->seed); break;
	case OPT_BACKEND:
		good = choice(text, backends, 4, &word);
		set->backend = (enum vdma_backend)word;
		break;
	default: return false;
	}
	if (!good)
		fprintf(stderr, "vdma-nvme: '%s' is no value for this option\n", text);
	return good;
}

static int run(struct program *p, const char *bdf, int (*command)(struct program *p))
{
	struct vdma_arena_opts arena = { .size = sizeof(arena) };
	struct vdma_ioas_opts ioas = { .size = sizeof(ioas), .backend = p->set.backend };

	if (p->set.backend == VDMA_BACKEND_AUTO)
		arena.translation = VDMA_TRANSLATION_AUTO;
	else if (p->set.backend == VDMA_BACKEND_NOIOMMU)
		arena.translation = VDMA_TRANSLATION_PHYSICAL;
	/* A device that is pulled out ends in an error, not in SIGBUS. */
	if (vdma_bus_guard(1))
		return complain("watching for devices that go", vdma_explain());
	if (vdma_arena_create(&arena, &p->arena))
		return complain("reserving addresses", vdma_explain());
	if (vdma_ioas_create(p->arena, &ioas, &p->ioas))
		return complain("opening an I/O address space", vdma_explain());
	if (nvme_open(&p->nvme, p->arena, p->ioas, bdf, &p->set.opts))
		return complain("opening the controller", p->nvme.why);
	if (command != do_identify && nvme_ns_open(&p->ns, &p->nvme, p->set.ns))
		return complain("opening the namespace", p->nvme.why);
	return command(p);
}

/* In the reverse order of run(); what was never made is NULL. */
static int tear_down(struct program *p)
{
	int err = 0;

	if (nvme_close(&p->nvme))
		err = complain("shutting the controller down", p->nvme.why);
	if (p->buf.va)
		vdma_buf_free(p->arena, &p->buf);
	if (vdma_ioas_destroy(p->ioas) || vdma_arena_destroy(p->arena))
		err = complain("giving everything back", vdma_explain());
	return err;
}

int main(int argc, char **argv)
{
	static struct program p = {
		.set = { .ns = 1, .seconds = 5, .rounds = 1000, .seed = 1 },
	};
	size_t command = 0;
	int option, err;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == OPT_HELP) {
			fputs(usage, stdout);
			return 0;
		}
		if (!set_option(&p.set, option, optarg))
			goto wrong;
	}
	argv += optind;
	argc -= optind;
	if (argc < 2 || argc > 3)
		goto wrong;
	while (command < COMMANDS && strcmp(argv[0], commands[command].name))
		command++;
	if (command == COMMANDS) {
		fprintf(stderr, "vdma-nvme: no command '%s'\n", argv[0]);
		goto wrong;
	}
	p.set.file = argv[2];
	if (!p.set.opts.queues)
		p.set.opts.queues = commands[command].threads;
	if (!p.set.size)
		p.set.size = commands[command].size;
	err = run(&p, argv[1], commands[command].run);
	if (tear_down(&p))
		err = -1;
	return err ? 1 : 0;

wrong:
	fputs("vdma-nvme --help tells more\n", stderr);
	return 2;
}
