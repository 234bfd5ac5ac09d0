/* facts_internal.h: what the files that read facts share. Not for others. */
#ifndef GPTBENCH_BENCH_FACTS_INTERNAL_H
#define GPTBENCH_BENCH_FACTS_INTERNAL_H

#include "bench/read/facts.h"

/* A step with all that any fact is made of. */
typedef struct step_row {
    int64_t step;
    char tag;
    bool watched; /* by sensors: `mask` is known */
    unsigned mask;
    double step_ms, ended_s;
} step_row;

/* Each reads one kind of rows; errors as rows_read. Runs are those of the suite, or with run_id not
 * 0 that one. */
gb_status run_rows_read(row_reader *r, facts *f, int64_t run_id); /* run_rows.c */
gb_status run_summaries_read(row_reader *r, facts *f);            /* run_rows.c */
gb_status run_details_read(row_reader *r, run_facts *run);        /* run_rows.c */
gb_status ledger_rows_read(row_reader *r, run_facts *run);        /* ledger_rows.c */
gb_status sensor_rows_read(row_reader *r, run_facts *run);        /* sensor_rows.c */
/* Counts the marks of timed steps and joins marked steps that follow each other to stretches; after
 * sensor_rows_read. False without memory. */
bool sensor_marks_add(sensor_facts *s, const step_row *steps, int64_t n);
gb_status segment_rows_read(row_reader *r, run_facts *run); /* segment_rows.c */
gb_status timing_rows_read(row_reader *r, facts *f);        /* timing_rows.c */
void timing_facts_free(timing_facts *t);                    /* timing_rows.c */

#endif
