/* progress_line.h: a line of the live display: parts of which the least important leave where the
 * terminal is narrow, and a bar that takes what is left. */
#ifndef GPTBENCH_BENCH_PROGRESS_LINE_H
#define GPTBENCH_BENCH_PROGRESS_LINE_H

#include <stddef.h>

enum { PROGRESS_PARTS_MAX = 8, PROGRESS_PART_BYTES = 512 };

typedef struct progress_line {
    struct {
        char text[PROGRESS_PART_BYTES]; /* empty: the bar */
        int rank;
    } parts[PROGRESS_PARTS_MAX];
    int n, indent;
    double bar; /* share that is done, 0 to 1 */
} progress_line;

/* printf-style. The part with the highest rank leaves first, of equal ones the last; those of rank
 * 0 stay. Parts stand in the order in which they are added; empty ones are left out. */
void progress_line_add(progress_line *line, int rank, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;
/* One bar at most. */
void progress_line_add_bar(progress_line *line, int rank, double share);

/* The line, at most `width` columns of a terminal wide. */
void progress_line_write(const progress_line *line, int width, char *out, size_t size);

#endif
