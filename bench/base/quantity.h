/* quantity.h: a number with its unit, as people write it in a suite: "8 GiB", "90 min", "1%". */
#ifndef GPTBENCH_BENCH_QUANTITY_H
#define GPTBENCH_BENCH_QUANTITY_H

#include <stdbool.h>

typedef struct quantity_unit {
    const char *name; /* NULL ends a table */
    double size;      /* in what the table is of */
} quantity_unit;

extern const quantity_unit quantity_bytes[];   /* B, KiB .. TiB, kB .. TB */
extern const quantity_unit quantity_seconds[]; /* s, min, h, d */
extern const quantity_unit quantity_percent[]; /* %: "1%" is 1 */

/* A number without sign, blanks or none, one of the units and nothing else; the value in the
 * table's own unit. False, with *out undefined, when the text is not that. */
bool quantity_parse(double *out, const char *text, const quantity_unit *units);

#endif
