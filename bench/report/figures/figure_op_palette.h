/* figure_op_palette.h: colours of ops, the same in every figure of a report. The ops that take most
 * time over all configs have one of their own. */
#ifndef GPTBENCH_BENCH_FIGURE_OP_PALETTE_H
#define GPTBENCH_BENCH_FIGURE_OP_PALETTE_H

#include "bench/analysis/findings.h"

enum { FIGURE_OPS_OWN = 9 };
enum { FIGURE_OP_OTHER_COLOR = 0xc8c8c8, FIGURE_OP_UNATTRIBUTED_COLOR = 0x707070 };

typedef struct figure_op_palette {
    const char *names[FIGURE_OPS_OWN]; /* in the order of a step; borrowed from the findings */
    int colors[FIGURE_OPS_OWN];        /* 0xRRGGBB */
    int n;
} figure_op_palette;

figure_op_palette figure_op_palette_make(const findings *data);
/* The colour of an op; FIGURE_OP_UNATTRIBUTED_COLOR for one without a colour of its own. */
int figure_op_color(const figure_op_palette *palette, const char *op);

/* Milliseconds of a profiled step that an op takes over all layers and phases, of all ops where
 * `op` is NULL: the mean over the runs with profiled steps, 0 where there is none. */
double figure_op_ms(const result_entry *entry, const char *op);

#endif
