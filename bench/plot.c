// SPDX-License-Identifier: BSD-3-Clause
#include "plot.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#define WIDTH 880.0
#define MARGIN 24.0
#define FONT 13.0
#define SMALL 11.0
#define BAR 13.0
#define BAR_STEP 16.0
#define GROUP_GAP 10.0
#define SECTION 28.0
/* Of a character, as a part of the font's size: above the average of common fonts. */
#define CHARACTER 0.58
#define TICKS 24

/* Background, text, lesser text, lines, and bars: ours stands out. */
static const char style[] =
	"<style>\n"
	"text{font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,'DejaVu Sans',"
	"sans-serif;font-size:13px;fill:#1f2328}\n"
	".bg{fill:#fff;stroke:#d1d9e0}.grid{stroke:#e4e8ec}.base{stroke:#8b949e}\n"
	".title{font-size:17px;font-weight:600}.section{font-weight:600}\n"
	".less{fill:#59636e}.small{font-size:11px;fill:#59636e}\n"
	".s0{fill:#1a6fc4}.s1{fill:#d98e2b}.s2{fill:#8b949e}.s3{fill:#5aa469}\n"
	"@media (prefers-color-scheme:dark){\n"
	"text{fill:#e6edf3}.bg{fill:#0d1117;stroke:#3d444d}.grid{stroke:#262c34}"
	".base{stroke:#768390}\n"
	".less,.small{fill:#9aa4af}\n"
	".s0{fill:#58a6ff}.s1{fill:#e3a84f}.s2{fill:#8b949e}.s3{fill:#6fbf80}\n"
	"}\n"
	"</style>\n";

/**
 * struct picture - one that is being drawn
 * @plot: what
 * @f: where to
 * @shown: series that have values
 * @nshown: how many
 * @left: where bars begin
 * @right: where the longest may end
 * @top: of the first group
 * @bottom: of the last one
 * @max: value at the right end
 */
struct picture {
	const struct plot *plot;
	FILE *f;
	bool shown[PLOT_SERIES];
	size_t nshown;
	double left, right, top, bottom;
	double max;
};

const char *plot_number(char *text, size_t size, double value)
{
	int decimals = value < 0.095 ? 3 : value < 9.95 ? 2 : value < 99.5 ? 1 : 0;
	char plain[64];
	size_t digits, at = 0;

	if (value == floor(value))
		decimals = 0;
	snprintf(plain, sizeof(plain), "%.*f", decimals, value);
	digits = strcspn(plain, ".");
	for (const char *p = plain; *p && at + 2 < size; p++) {
		size_t left = digits - (size_t)(p - plain);

		if (p > plain && (size_t)(p - plain) < digits && left % 3 == 0)
			text[at++] = ',';
		text[at++] = *p;
	}
	text[at] = 0;
	return text;
}

static void put_escaped(FILE *f, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '&': fputs("&amp;", f); break;
		case '<': fputs("&lt;", f); break;
		case '>': fputs("&gt;", f); break;
		case '"': fputs("&quot;", f); break;
		default: putc(*text, f);
		}
	}
}

static void put_text(FILE *f, double x, double y, const char *class, const char *anchor,
		     const char *text)
{
	fprintf(f, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\" text-anchor=\"%s\">", x, y, class,
		anchor);
	put_escaped(f, text);
	fputs("</text>\n", f);
}

static double width_of(const char *text, double font)
{
	double characters = 0;

	/* Of UTF-8, what begins a character. */
	for (; *text; text++)
		characters += ((unsigned char)*text & 0xc0) != 0x80;
	return characters * font * CHARACTER;
}

static const char *text_of(const struct plot *plot, const struct plot_group *g, size_t s,
			   char *text, size_t size)
{
	char number[64];

	if (g->texts[s])
		return g->texts[s];
	snprintf(text, size, "%s%s", plot_number(number, sizeof(number), g->values[s]), plot->unit);
	return text;
}

static double x_of(const struct picture *p, double value)
{
	double base = p->plot->base, part = base > 0 ? 0 : value / p->max;

	if (base > 0)
		part = value <= base ? 0 : log(value / base) / log(p->max / base);
	return p->left + part * (p->right - p->left);
}

/* What has values, how much room labels and texts need, and where all ends. */
static void lay_out(struct picture *p)
{
	const struct plot *plot = p->plot;
	double label = 0, beside = 0;
	char text[96];

	p->max = plot->base * 2;
	for (size_t i = 0; i < plot->n; i++) {
		const struct plot_group *g = &plot->groups[i];

		label = fmax(label, width_of(g->label, FONT));
		if (g->section)
			label = fmax(label, width_of(g->section, FONT));
		for (size_t s = 0; s < PLOT_SERIES && plot->series[s]; s++) {
			if (isnan(g->values[s]))
				continue;
			p->nshown += !p->shown[s];
			p->shown[s] = true;
			p->max = fmax(p->max, g->values[s]);
			beside = fmax(beside,
				      width_of(text_of(plot, g, s, text, sizeof(text)), FONT));
		}
	}
	if (p->max <= 0)
		p->max = 1;
	p->left = MARGIN + label + 12;
	p->right = WIDTH - MARGIN - beside - 8;
	p->top = p->nshown > 1 ? 104 : 78;
	p->bottom = p->top;
	for (size_t i = 0; i < plot->n; i++)
		p->bottom += (plot->groups[i].section ? SECTION : 0) +
			     (double)p->nshown * BAR_STEP + GROUP_GAP;
}

/* Values that lines are drawn at: 1, 10, 100, with 2 and 5 where those are few; or even steps. */
static size_t ticks_of(const struct picture *p, double ticks[TICKS])
{
	static const double steps[] = { 1, 2, 5, 10 };
	double base = p->plot->base, decade, unit;
	size_t n = 0, k = 0;

	if (base > 0) {
		bool few = log10(p->max / base) < 2.5;

		for (decade = pow(10, floor(log10(base))); decade <= p->max; decade *= 10)
			for (k = 0; k < (few ? 3 : 1); k++)
				if (decade * steps[k] >= base * 0.999 &&
				    decade * steps[k] <= p->max && n < TICKS)
					ticks[n++] = decade * steps[k];
		return n;
	}
	unit = pow(10, floor(log10(p->max / 5)));
	while (k < 3 && p->max / (unit * steps[k]) > 6)
		k++;
	for (; (double)n * unit * steps[k] <= p->max && n < TICKS; n++)
		ticks[n] = (double)n * unit * steps[k];
	return n;
}

static void put_axis(const struct picture *p)
{
	double ticks[TICKS], end = -1;
	size_t n = ticks_of(p, ticks);
	char number[64], text[96];

	for (size_t i = 0; i < n; i++) {
		double x = x_of(p, ticks[i]), half;

		fprintf(p->f,
			"<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"grid\"/>\n",
			x, p->top - 4, x, p->bottom);
		snprintf(text, sizeof(text), "%s%s", plot_number(number, sizeof(number), ticks[i]),
			 p->plot->unit);
		half = width_of(text, SMALL) / 2;
		if (x - half < end)
			continue;
		put_text(p->f, x, p->bottom + 16, "small", "middle", text);
		end = x + half + 6;
	}
}

static void put_legend(const struct picture *p)
{
	double x = MARGIN;

	for (size_t s = 0; p->nshown > 1 && s < PLOT_SERIES; s++) {
		if (!p->shown[s])
			continue;
		fprintf(p->f,
			"<rect x=\"%.1f\" y=\"73\" width=\"12\" height=\"12\" rx=\"2\" "
			"class=\"key s%zu\"/>\n",
			x, s);
		put_text(p->f, x + 18, 84, "less", "start", p->plot->series[s]);
		x += 18 + width_of(p->plot->series[s], FONT) + 20;
	}
}

static void put_group(const struct picture *p, const struct plot_group *g, double y)
{
	double middle = y + ((double)p->nshown * BAR_STEP - (BAR_STEP - BAR)) / 2;
	char text[96];

	put_text(p->f, MARGIN, middle + 4.5, "label", "start", g->label);
	for (size_t s = 0; s < PLOT_SERIES; s++) {
		double end;

		if (!p->shown[s])
			continue;
		if (!isnan(g->values[s])) {
			end = x_of(p, g->values[s]);
			fprintf(p->f,
				"<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.0f\" "
				"rx=\"2\" class=\"s%zu\"/>\n",
				p->left, y, fmax(end - p->left, 1), BAR, s);
			put_text(p->f, fmax(end, p->left + 1) + 6, y + 11, "value", "start",
				 text_of(p->plot, g, s, text, sizeof(text)));
		}
		y += BAR_STEP;
	}
}

static void put_picture(const struct picture *p)
{
	const struct plot *plot = p->plot;
	double height = p->bottom + 58, y = p->top;

	fprintf(p->f,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" "
		"width=\"%.0f\" height=\"%.0f\" role=\"img\">\n<title>",
		WIDTH, height, WIDTH, height);
	put_escaped(p->f, plot->title);
	fprintf(p->f,
		"</title>\n%s<rect x=\"0.5\" y=\"0.5\" width=\"%.0f\" height=\"%.0f\" rx=\"8\" "
		"class=\"bg\"/>\n",
		style, WIDTH - 1, height - 1);
	put_text(p->f, MARGIN, 36, "title", "start", plot->title);
	put_text(p->f, MARGIN, 58, "less", "start", plot->subtitle);
	put_legend(p);
	put_axis(p);
	for (size_t i = 0; i < plot->n; i++) {
		const struct plot_group *g = &plot->groups[i];

		if (g->section) {
			put_text(p->f, MARGIN, y + 17, "section", "start", g->section);
			y += SECTION;
		}
		put_group(p, g, y);
		y += (double)p->nshown * BAR_STEP + GROUP_GAP;
	}
	fprintf(p->f, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"base\"/>\n",
		p->left, p->top - 4, p->left, p->bottom);
	put_text(p->f, MARGIN, p->bottom + 42, "small", "start", plot->source);
	fputs("</svg>\n", p->f);
}

int plot_write(const struct plot *plot, const char *path)
{
	struct picture p = { .plot = plot };
	int err;

	lay_out(&p);
	p.f = fopen(path, "we");
	if (!p.f)
		return -errno;
	put_picture(&p);
	err = ferror(p.f) ? -EIO : 0;
	if (fclose(p.f) && !err)
		err = -errno;
	return err;
}

void plot_machine(char *text, size_t size, const char *more)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256], cpu[128] = "";
	struct utsname u = { 0 };

	while (f && !cpu[0] && fgets(line, sizeof(line), f))
		(void)sscanf(line, "model name : %127[^\n]", cpu);
	if (f)
		fclose(f);
	uname(&u);
	/* Without what distributions and machines' owners add. */
	u.release[strspn(u.release, "0123456789.")] = 0;
	snprintf(text, size, "%s, %s %s%s%s", cpu[0] ? cpu : u.machine, u.sysname, u.release,
		 more ? ", " : "", more ? more : "");
}

const char *plot_option(int *argc, char ***argv)
{
	if (*argc < 3 || strcmp((*argv)[1], "--svg"))
		return NULL;
	*argc -= 2;
	*argv += 2;
	return (*argv)[0];
}
