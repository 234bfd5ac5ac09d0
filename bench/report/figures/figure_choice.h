/* figure_choice.h: which configs the figures draw. A suite may have hundreds, a figure has room for
 * the names and colours of some two dozen: every baseline, then the configs on the Pareto front,
 * the surest first, then the fastest, the slowest and others evenly between them. Tables,
 * results.tsv and report.json leave nobody out. */
#ifndef GPTBENCH_BENCH_FIGURE_CHOICE_H
#define GPTBENCH_BENCH_FIGURE_CHOICE_H

#include "bench/analysis/verdicts.h"

enum { FIGURE_ENTRIES_MAX = 24 };

typedef struct figure_choice {
    const findings *all;
    findings drawn; /* as `all`, with the entries and verdicts that are drawn; borrows the rest */
    int *slots;     /* of each entry of `all`: its place in drawn.entries, -1: left out. NULL:
                     * everything is drawn, and `drawn` is `all` */
    config_verdicts verdicts;
} figure_choice;

/* GB_ERR_OOM. *out is valid as long as `data`; figure_choice_free in any case. */
gb_status figure_choice_make(figure_choice *out, const findings *data, gb_error *err);
void figure_choice_free(figure_choice *choice);

/* Place of an entry among those that are drawn, -1: none. */
int figure_choice_slot(const figure_choice *choice, int entry);

#endif
