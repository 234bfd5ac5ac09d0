#include "bench/report/figures/figure_layout.h"

#include <math.h>
#include <string.h>

#include "bench/base/numbers.h"

/* ---- colours and names ---- */

/* Okabe and Ito 2008 with grey for the pale yellow, which cannot be read on white, and black toned
 * down a little. */
static const int palette[] = {0x303030, 0x0072b2, 0xd55e00, 0x009e73,
                              0xcc79a7, 0xe69f00, 0x56b4e9, 0x8c8c8c};
enum { PALETTE_SIZE = sizeof palette / sizeof *palette };

int figure_color(int i)
{
    return palette[i % PALETTE_SIZE];
}

int figure_point_type(int i)
{
    static const int filled[] = {7, 5, 9, 13, 11}; /* circle, square, triangles, diamond */
    return filled[i / PALETTE_SIZE % 5];
}

int figure_dash_type(int i)
{
    return i / PALETTE_SIZE % 5 + 1;
}

bool figure_color_is_dark(int color)
{
    double red = color >> 16 & 255, green = color >> 8 & 255, blue = color & 255;
    return 0.299 * red + 0.587 * green + 0.114 * blue < 140;
}

/* Length of the valid UTF-8 sequence at p, 0 if there is none. */
static int utf8_length(const unsigned char *p)
{
    int n = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : 4;
    if (n == 4 && (p[0] < 0xf0 || p[0] > 0xf4)) {
        return 0;
    }
    for (int i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool surrogate = p[0] == 0xed && p[1] >= 0xa0, beyond = p[0] == 0xf4 && p[1] >= 0x90;
    bool control = n == 2 && p[0] == 0xc2 && p[1] < 0xa0;
    /* XML has no U+FFFE and U+FFFF. */
    bool nonchar = n == 3 && p[0] == 0xef && p[1] == 0xbf && p[2] >= 0xbe;
    return overlong || surrogate || beyond || control || nonchar ? 0 : n;
}

static char harmless(unsigned char c)
{
    return c == '"' ? '\'' : c == '\\' ? '/' : c < 0x20 || c == 0x7f ? ' ' : (char)c;
}

figure_label figure_label_make(const char *name)
{
    const unsigned char *p = (const unsigned char *)(*name ? name : "(no name)");
    int total = 0;
    for (const unsigned char *q = p; *q; total++) {
        int n = utf8_length(q);
        q += n ? n : 1;
    }
    int keep_head = FIGURE_LABEL_MAX / 2, keep_tail = FIGURE_LABEL_MAX - keep_head - 1;
    figure_label out = {.width = total};
    size_t used = 0;
    for (int i = 0; *p; i++) {
        int n = utf8_length(p);
        bool cut = total > FIGURE_LABEL_MAX && i >= keep_head && i < total - keep_tail;
        if (cut && i == keep_head) {
            memcpy(out.text + used, "\xe2\x80\xa6", 3);
            used += 3;
        } else if (!cut && n > 1) {
            memcpy(out.text + used, p, (size_t)n);
            used += (size_t)n;
        } else if (!cut) {
            out.text[used++] = n ? harmless(*p) : '?';
        }
        p += n ? n : 1;
    }
    /* The one sequence that gnuplot's SVG writes as it stands and XML forbids. */
    for (char *end = strstr(out.text, "]]>"); end; end = strstr(end, "]]>")) {
        end[2] = ' ';
    }
    if (total > FIGURE_LABEL_MAX) {
        out.width = FIGURE_LABEL_MAX;
    }
    return out;
}

/* ---- ranges and ticks ---- */

void figure_range_add(figure_range *range, double x)
{
    if (isfinite(x)) {
        range->low = fmin(range->low, x);
        range->high = fmax(range->high, x);
    }
}

figure_ticks figure_ticks_make(double low, double high, int wanted)
{
    double span = high - low;
    if (!(span > 0) || !isfinite(span)) {
        return (figure_ticks){low, 1, 1};
    }
    double power = pow(10, floor(log10(span / wanted))), step = power;
    const double steps[] = {1, 2, 2.5, 5, 10};
    for (int i = 0; i < 5; i++) {
        step = steps[i] * power;
        if (span / step <= wanted + 0.5) {
            break;
        }
    }
    double first = ceil(low / step - 1e-9) * step;
    return (figure_ticks){first, step, (int)floor((high - first) / step + 1e-9) + 1};
}

/* Digits after the point that tell multiples of `step` apart. */
static int decimals_of(double step)
{
    for (int d = 0; d < 9; d++) {
        double scaled = step * pow(10, d);
        if (fabs(scaled - round(scaled)) < 1e-6 * scaled) {
            return d;
        }
    }
    return 9;
}

void figure_ticks_write(FILE *out, const char *name, figure_ticks ticks, bool si)
{
    static const char *const suffixes[] = {"", "k", "M", "G", "T", "P", "E", "Z"};
    double last = ticks.first + ticks.step * (ticks.count - 1), scale = 1;
    int suffix = 0;
    while (si && fabs(last) / scale >= 1000 && suffix < 7) {
        scale *= 1000;
        suffix++;
    }
    int decimals = decimals_of(ticks.step / scale);
    fprintf(out, "%s = '(", name);
    for (int i = 0; i < ticks.count; i++) {
        double value = ticks.first + i * ticks.step;
        value = fabs(value) < 1e-9 * ticks.step ? 0 : value;
        fprintf(out, "%s\"", i ? ", " : "");
        if (decimals == 0 && !si) {
            fprintf(out, "%s", number_rounded(value).text);
        } else {
            fprintf(out, "%.*f%s", value == 0 && si ? 0 : decimals, value / scale,
                    value == 0 ? "" : suffixes[suffix]);
        }
        fprintf(out, "\" %.10g", value);
    }
    fprintf(out, ")'\n");
}

/* ---- labels ---- */

static double overlap(figure_box a, figure_box b)
{
    double width = fmin(a.right, b.right) - fmax(a.left, b.left);
    double height = fmin(a.top, b.top) - fmax(a.bottom, b.bottom);
    return width > 0 && height > 0 ? width * height : 0;
}

static double outside(figure_box a, figure_box frame)
{
    return fmax(0, frame.left - a.left) + fmax(0, a.right - frame.right) +
           fmax(0, frame.bottom - a.bottom) + fmax(0, a.top - frame.top);
}

static figure_box label_box(const figure_point *p, double text_height)
{
    return (figure_box){p->label_x - 2, p->label_y - text_height / 2, p->label_x + p->width + 2,
                        p->label_y + text_height / 2};
}

/* How bad the label of points[i] is where it stands now; labels before i are fixed. */
static double label_cost(const figure_point *points, int i, int n, double text_height,
                         figure_box frame)
{
    figure_box box = label_box(&points[i], text_height);
    double cost = 50 * outside(box, frame);
    for (int k = 0; k < n; k++) {
        figure_box marker = {points[k].x - 7, points[k].y - 7, points[k].x + 7, points[k].y + 7};
        figure_box across = {points[k].low_x, points[k].y - 2, points[k].high_x, points[k].y + 2};
        figure_box along = {points[k].x - 2, points[k].low_y, points[k].x + 2, points[k].high_y};
        cost += 3 * overlap(box, marker) + 2 * overlap(box, across) + 2 * overlap(box, along);
        if (k < i) {
            cost += 4 * overlap(box, label_box(&points[k], text_height));
        }
    }
    return cost;
}

void figure_labels_place(figure_point *points, int n, double text_height, figure_box frame)
{
    /* right, left, above, below, then the diagonals: (where the text's middle goes) */
    static const double around[8][2] = {{1, 0},      {-1, 0},      {0, 1},       {0, -1},
                                        {0.8, 0.75}, {0.8, -0.75}, {-0.8, 0.75}, {-0.8, -0.75}};
    static const double rings[] = {11, 22, 36, 54, 76, 104};
    for (int i = 0; i < n; i++) {
        figure_point *p = &points[i], best = *p;
        double best_cost = INFINITY;
        for (int ring = 0; ring < 6; ring++) {
            for (int side = 0; side < 8; side++) {
                double dx = around[side][0], dy = around[side][1];
                double middle = p->x + dx * (rings[ring] + (dx != 0 ? p->width / 2 : 0));
                p->label_x = middle - p->width / 2;
                p->label_y = p->y + dy * (rings[ring] + text_height / 2 - 2);
                p->leader = ring > 1;
                double cost = label_cost(points, i, n, text_height, frame) + 12 * ring + side;
                if (cost < best_cost) {
                    best_cost = cost;
                    best = *p;
                }
            }
        }
        *p = best;
    }
}
