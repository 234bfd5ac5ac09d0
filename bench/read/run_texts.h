/* run_texts.h: the columns of a run as names and texts, for `gptbench show`. */
#ifndef GPTBENCH_BENCH_RUN_TEXTS_H
#define GPTBENCH_BENCH_RUN_TEXTS_H

#include "bench/read/facts.h"

/* A heading has no text: NULL. What the database does not have is left out. */
typedef struct run_text {
    const char *name, *text;
} run_text;

enum { RUN_TEXTS_MAX = 64 };

typedef struct run_texts {
    run_text items[RUN_TEXTS_MAX];
    int n;
    row_texts texts;
} run_texts;
void run_texts_free(run_texts *texts);

/* Which run, how it went; training keys and data; provenance. Of the model nothing: its keys are in
 * config_facts.model. Both begin as {0}; to be freed, also after an error. GB_ERR_FORMAT,
 * GB_ERR_OOM. */
gb_status run_texts_read(run_texts *before_model, run_texts *after_model, struct store *s,
                         int64_t run_id, gb_error *err);

/* What the sensors saw beside it; none where none was read. */
gb_status run_texts_read_sensors(run_texts *out, struct store *s, int64_t run_id, gb_error *err);

#endif
