/* figure_layout.h: what gnuplot does not do by itself: ticks with thousands separators, colours
 * that stay with a config over all figures, and labels that do not overlap. It knows nothing of a
 * report. */
#ifndef GPTBENCH_BENCH_FIGURE_LAYOUT_H
#define GPTBENCH_BENCH_FIGURE_LAYOUT_H

#include <stdbool.h>
#include <stdio.h>

/* Colour (0xRRGGBB, Okabe and Ito's palette, readable with any colour vision), filled point type
 * and dash type of entry i. From the ninth entry on a colour comes again with another shape and
 * dash. */
int figure_color(int i);
int figure_point_type(int i);
int figure_dash_type(int i);
/* Whether text on this colour is better read in white. */
bool figure_color_is_dark(int color);

/* A name as it may stand in a data file and in a figure: valid UTF-8, no quotes, backslashes or
 * control characters (gnuplot gives them a meaning), at most FIGURE_LABEL_MAX characters with an
 * ellipsis in the middle. */
#define FIGURE_CHAR_PX   8.1 /* a wide guess of a character's mean width at the figures' size */
#define FIGURE_LABEL_MAX 34
typedef struct figure_label {
    char text[4 * FIGURE_LABEL_MAX + 8];
    int width; /* in characters */
} figure_label;
figure_label figure_label_make(const char *name);

/* What an axis must show; {INFINITY, -INFINITY} to begin with. */
typedef struct figure_range {
    double low, high;
} figure_range;
/* Widens it to hold x; not for what is not finite. */
void figure_range_add(figure_range *range, double x);

/* Ticks at round values within [low, high]: about `wanted` of them. */
typedef struct figure_ticks {
    double first, step;
    int count;
} figure_ticks;
figure_ticks figure_ticks_make(double low, double high, int wanted);
/* Writes a gnuplot string constant for `set xtics @name`:  name = '("1,000" 1000, ...)'.
 * With `si` labels are 0.5M, 1M, ..., else plain numbers with thousands separators. */
void figure_ticks_write(FILE *out, const char *name, figure_ticks ticks, bool si);

/* Placing labels around points, all in pixels with y upwards. */
typedef struct figure_point {
    double x, y;                         /* the marker */
    double low_x, high_x, low_y, high_y; /* ends of its intervals */
    double width;                        /* of the label's text */
    double label_x, label_y;             /* result: left end and middle line of the text */
    bool leader; /* result: the label is so far away that a line should join them */
} figure_point;
typedef struct figure_box {
    double left, bottom, right, top;
} figure_box;
/* Greedy: each label takes the place around its point with the least overlap with points, labels
 * placed before and the frame. */
void figure_labels_place(figure_point *points, int n, double text_height, figure_box frame);

#endif
