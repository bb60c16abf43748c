// SPDX-License-Identifier: BSD-3-Clause
/*
 * vdma-crypto: a virtio crypto device from user space. Exit status: 0 if all went as it
 * should, 1 if not, 2 for wrong usage.
 */
#define _GNU_SOURCE
#include "program.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"Usage: vdma-crypto info BDF\n"
	"       vdma-crypto encrypt --key FILE --iv HEX BDF [IN [OUT]]\n"
	"       vdma-crypto decrypt --key FILE --iv HEX BDF [IN [OUT]]\n"
	"                          AES-CBC with PKCS#7 padding, from file or stdin to file or stdout\n"
	"       vdma-crypto bench BDF\n"
	"                          as many requests as there can be\n"
	"\n"
	"Drives the virtio crypto device at this PCI address, such as 0000:00:10.0, which has to\n"
	"be bound to vfio-pci. 'openssl enc -aes-128-cbc -K KEY -iv HEX' does the same as encrypt.\n"
	"\n"
	"  --key FILE         file with the key: 32, 48 or 64 hexadecimal digits\n"
	"  --iv HEX           initialization vector: 32 hexadecimal digits, others for each file\n"
	"  --depth N          requests under way at most (default 256)\n"
	"  --direct           no indirect descriptors\n"
	"  --poll             look for completions all the time, instead of MSI-X interrupts\n"
	"  --timeout MS       for each request (default 10000)\n"
	"  --size BYTES       of bench's requests, a multiple of 16 (default 4K)\n"
	"  --pieces N         bench: source and destination in N pieces each (default 1)\n"
	"  --decrypt          bench: decrypt (default: encrypt)\n"
	"  --seconds N        bench: how long (default 5)\n"
	"  --backend auto|type1|iommufd|noiommu\n"
	"                     without an IOMMU, auto is noiommu: the device then reaches all memory\n"
	"  --help\n"
	"\n"
	"BYTES may end in K, M, G. Exit status: 0, 1 if something failed, 2 for wrong usage.\n";

int complain(const char *what, const char *why)
{
	fflush(stdout);
	fprintf(stderr, "vdma-crypto: %s failed\n%s\n", what, why);
	return -1;
}

int get_buf(struct program *p, size_t len)
{
	return vdma_buf_alloc(p->arena, len, NULL, &p->buf) ? complain("memory", vdma_explain()) :
							      0;
}

struct vdma_buf part_of(const struct program *p, size_t at, size_t len)
{
	return (struct vdma_buf){
		.va = (char *)p->buf.va + at,
		.iova = p->buf.iova + at,
		.len = len,
		.pa = VDMA_PA_NONE,
	};
}

int do_info(struct program *p)
{
	const struct crypto *crypto = &p->crypto;
	const struct virtqueue *vq = &crypto->queues[0]->vq;

	printf("device       %s, features 0x%" PRIx64 "\n", crypto->pci.bdf, crypto->pci.features);
	printf("queues       %u of %u entries, and a control queue; %u MSI-X vectors\n",
	       crypto->n_queues, vq->size, crypto->pci.vectors);
	printf("descriptors  %s\n", vq->table_entries ? "indirect" : "direct");
	printf("requests     %u under way, of up to %" PRIu64 " bytes\n", crypto->queues[0]->depth,
	       crypto->size_max);
	printf("ciphers     ");
	for (unsigned int i = 0; i < 32; i++) {
		const char *name = crypto_cipher_name((enum crypto_cipher)i);

		if (!(crypto->ciphers >> i & 1))
			continue;
		if (name)
			printf(" %s", name);
		else
			printf(" number %u", i);
	}
	printf(", keys of up to %" PRIu32 " bytes\n", crypto->key_max);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(struct program *p);
	bool needs_key;
	int files;
} commands[] = {
	{ "info", do_info, false, 0 },
	{ "encrypt", do_encrypt, true, 2 },
	{ "decrypt", do_decrypt, true, 2 },
	{ "bench", do_bench, false, 0 },
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const char *const backends[] = { "auto", "type1", "iommufd", "noiommu" };

enum option_id {
	OPT_KEY = 256,
	OPT_IV,
	OPT_DEPTH,
	OPT_DIRECT,
	OPT_POLL,
	OPT_TIMEOUT,
	OPT_SIZE,
	OPT_PIECES,
	OPT_DECRYPT,
	OPT_SECONDS,
	OPT_BACKEND,
	OPT_HELP,
};

static const struct option options[] = {
	{ "key", required_argument, NULL, OPT_KEY },
	{ "iv", required_argument, NULL, OPT_IV },
	{ "depth", required_argument, NULL, OPT_DEPTH },
	{ "direct", no_argument, NULL, OPT_DIRECT },
	{ "poll", no_argument, NULL, OPT_POLL },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "size", required_argument, NULL, OPT_SIZE },
	{ "pieces", required_argument, NULL, OPT_PIECES },
	{ "decrypt", no_argument, NULL, OPT_DECRYPT },
	{ "seconds", required_argument, NULL, OPT_SECONDS },
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

/* Up to max bytes of hexadecimal digits, with white space behind them; their number, or 0. */
static size_t hex(const char *text, uint8_t *bytes, size_t max)
{
	size_t digits = strspn(text, "0123456789abcdefABCDEF");

	if (digits % 2 || digits / 2 > max || text[digits + strspn(text + digits, " \t\r\n")])
		return 0;
	for (size_t i = 0; i < digits / 2; i++) {
		const char pair[3] = { text[2 * i], text[2 * i + 1], '\0' };

		bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
	return digits / 2;
}

/* In a file, because everybody sees the command line. */
static bool read_key(struct settings *set, const char *name)
{
	char text[2 * CRYPTO_KEY_MAX + 8];
	FILE *file = fopen(name, "r");
	size_t n;

	if (!file) {
		fprintf(stderr, "vdma-crypto: %s: %s\n", name, strerror(errno));
		return false;
	}
	n = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[n] = '\0';
	set->key_len = hex(text, set->key, sizeof(set->key));
	memset(text, 0, sizeof(text));
	if (set->key_len == 16 || set->key_len == 24 || set->key_len == 32)
		return true;
	fprintf(stderr, "vdma-crypto: %s has no key of 32, 48 or 64 hexadecimal digits\n", name);
	return false;
}

static bool set_option(struct settings *set, int option, const char *text)
{
	uint64_t n = 0;
	bool good = true;

	switch (option) {
	case OPT_KEY: return read_key(set, text);
	case OPT_IV:
		good = hex(text, set->iv, sizeof(set->iv)) == sizeof(set->iv);
		set->has_iv = true;
		break;
	case OPT_DEPTH:
		good = number(text, false, 1, VIRTQ_SIZE_MAX, &n);
		set->opts.depth = (unsigned int)n;
		break;
	case OPT_DIRECT: set->opts.direct = true; break;
	case OPT_POLL: set->opts.poll = true; break;
	case OPT_TIMEOUT:
		good = number(text, false, 1, 3600000, &n);
		set->opts.timeout_ms = (unsigned int)n;
		break;
	case OPT_SIZE:
		good = number(text, true, 16, 1 << 30, &n) && n % 16 == 0;
		set->size = (size_t)n;
		break;
	case OPT_PIECES:
		good = number(text, false, 1, CRYPTO_PIECES_MAX, &n);
		set->pieces = (unsigned int)n;
		break;
	case OPT_DECRYPT: set->decrypt = true; break;
	case OPT_SECONDS:
		good = number(text, false, 1, 1000000, &n);
		set->seconds = (double)n;
		break;
	case OPT_BACKEND:
		while (n < 4 && strcmp(text, backends[n]))
			n++;
		good = n < 4;
		set->backend = (enum vdma_backend)n;
		break;
	default: return false;
	}
	if (!good)
		fprintf(stderr, "vdma-crypto: '%s' is no value for this option\n", text);
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
	if (crypto_open(&p->crypto, p->arena, p->ioas, bdf, &p->set.opts))
		return complain("opening the device", p->crypto.why);
	/* Whoever had it before may have been killed. */
	if (crypto_sessions_sweep(&p->crypto) < 0)
		return complain("looking for sessions that were left", p->crypto.why);
	return command(p);
}

/* In the reverse order of run(); what was never made is NULL. */
static int tear_down(struct program *p)
{
	int err = 0;

	if (crypto_close(&p->crypto))
		err = complain("closing the device", p->crypto.why);
	if (p->buf.va)
		vdma_buf_free(p->arena, &p->buf);
	if (vdma_ioas_destroy(p->ioas) || vdma_arena_destroy(p->arena))
		err = complain("giving everything back", vdma_explain());
	return err;
}

int main(int argc, char **argv)
{
	static struct program p = { .set = { .size = 4096, .pieces = 1, .seconds = 5 } };
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
	if (argc < 2)
		goto wrong;
	while (command < COMMANDS && strcmp(argv[0], commands[command].name))
		command++;
	if (command == COMMANDS) {
		fprintf(stderr, "vdma-crypto: no command '%s'\n", argv[0]);
		goto wrong;
	}
	if (argc > 2 + commands[command].files)
		goto wrong;
	if (commands[command].needs_key && !(p.set.key_len && p.set.has_iv)) {
		fprintf(stderr, "vdma-crypto: %s needs --key and --iv\n", argv[0]);
		goto wrong;
	}
	if (p.set.size / 16 < p.set.pieces) {
		fprintf(stderr, "vdma-crypto: more --pieces than there are blocks in --size\n");
		goto wrong;
	}
	p.set.in = argc > 2 ? argv[2] : NULL;
	p.set.out = argc > 3 ? argv[3] : NULL;
	err = run(&p, argv[1], commands[command].run);
	if (tear_down(&p))
		err = -1;
	return err ? 1 : 0;

wrong:
	fputs("vdma-crypto --help tells more\n", stderr);
	return 2;
}
