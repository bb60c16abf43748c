// SPDX-License-Identifier: BSD-3-Clause
/* plot-samples FOLDER: draws what is hard to draw; check looks at it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "plot.h"

static int draw(const char *folder, const char *name, const struct plot *plot)
{
	char path[512];
	int err;

	snprintf(path, sizeof(path), "%s/%s.svg", folder, name);
	err = plot_write(plot, path);
	if (err)
		fprintf(stderr, "%s: %s\n", path, strerror(-err));
	return err;
}

int main(int argc, char **argv)
{
	static const struct plot_group even[] = {
		{ .label = "one", .values = { 100 } },
		{ .label = "two", .values = { 200 } },
		{ .label = "four", .values = { 400 } },
	};
	static const struct plot_group decades[] = {
		{ .section = "a <section> & \"more\"", .label = "1", .values = { 1, NAN, 1e6 } },
		{ .label = "a long label, of which there is much to say",
		  .values = { 10, NAN, 1e5 } },
		{ .section = "another", .label = "100", .values = { 100, NAN, NAN } },
		{ .label = "its own words", .values = { 1000, NAN, 0.2 }, .texts = { "1 µs <2>" } },
		{ .label = "nothing at all", .values = { NAN, NAN, NAN } },
	};
	static const struct plot_group few[] = { { .label = "few", .values = { 0.15, 7.25 } } };
	const struct plot plots[] = {
		{ "Linear", "Bars are as long as values.", " ms", 0, { "only" }, even, 3, "none" },
		{ "Logarithmic",
		  "The second series has no values.",
		  "",
		  0.5,
		  { "ours", "missing", "others'" },
		  decades,
		  5,
		  "none & nobody" },
		{ "Few decades", "Lines at 2 and 5.", " ns", 0.1, { "a", "b" }, few, 1, "none" },
	};
	static const struct {
		double value;
		const char *text;
	} numbers[] = {
		{ 0, "0" },
		{ 1, "1" },
		{ 0.023, "0.023" },
		{ 0.821, "0.82" },
		{ 11.66, "11.7" },
		{ 99.96, "100" },
		{ 633.7, "634" },
		{ 1000, "1,000" },
		{ 65536, "65,536" },
		{ 9186.4, "9,186" },
		{ 1234567, "1,234,567" },
	};
	char text[32];

	if (argc != 2)
		return 2;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (strcmp(plot_number(text, sizeof(text), numbers[i].value), numbers[i].text)) {
			fprintf(stderr, "%f is '%s', not '%s'\n", numbers[i].value, text,
				numbers[i].text);
			return 1;
		}
	return draw(argv[1], "linear", &plots[0]) || draw(argv[1], "logarithmic", &plots[1]) ||
	       draw(argv[1], "few", &plots[2]);
}
