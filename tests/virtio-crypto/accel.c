// SPDX-License-Identifier: BSD-3-Clause
#include <stdio.h>
#include <string.h>

#include "crypto_tests.h"

void accel_works(const char *why, int err, const char *call, const char *file, int line)
{
	if (err) {
		print_error("%s = %d\n%s\n", call, err, why);
		_fail(file, line);
	}
}

void accel_open(struct accel *a, const char *bdf, const struct crypto_opts *opts)
{
	struct crypto_opts mine = { 0 };

	if (opts)
		mine = *opts;
	/* A machine that is busy with others is no device that does not answer. */
	mine.timeout_ms = 60000;
	memset(a, 0, sizeof(*a));
	a->s = space_create();
	ACCEL_WORKS(a->crypto.why, crypto_open(&a->crypto, a->s.arena, a->s.ioas, bdf, &mine));
}

void accel_close(struct accel *a)
{
	ACCEL_WORKS(a->crypto.why, crypto_close(&a->crypto));
	space_destroy(&a->s);
	assert_int_equal(ledger_wait(0), 0);
}

void bind_to(const char *bdf, const char *driver)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver/unbind", bdf);
	file_write(path, bdf);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver_override", bdf);
	file_write(path, driver);
	file_write("/sys/bus/pci/drivers_probe", bdf);
}
