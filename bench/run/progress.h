/* progress.h: what a person sees while a suite runs. On a terminal one or two lines that are
 * redrawn in place, as wide as it is at that moment; elsewhere plain lines, one per validation, in
 * the form step:100/2000 val_loss:3.1234 train_time:12345ms step_avg:123.45ms step_avg is the mean
 * of the timed steps so far, `nan` before the first. */
#ifndef GPTBENCH_BENCH_PROGRESS_H
#define GPTBENCH_BENCH_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "model/observer.h"

typedef struct progress progress;

typedef struct progress_run {
    int64_t run_id;     /* as `show` takes it; 0: none */
    const char *config; /* borrowed */
    int64_t replicate, attempt;
    double lr_scale; /* of its learning rate; 0 counts as 1 */
    bool again;      /* another attempt at the run before: it counts once */
    int64_t num_iterations, tokens_per_step;
    double flops; /* of the whole run; what the suite's ETA is made of */
} progress_run;

/* `live` redraws in place and `color` uses SGR colours; progress_wants_* say what suits a stream
 * (a terminal, TERM, NO_COLOR). NULL when there is no memory; all calls accept NULL. */
progress *progress_create(FILE *out, bool live, bool color);
/* What suits the stream. */
progress *progress_create_for(FILE *out);
void progress_free(progress *p);
bool progress_wants_live(FILE *out);
bool progress_wants_color(FILE *out);

/* n runs will be done, flops_total all together. */
void progress_suite(progress *p, int n_runs, double flops_total);
void progress_run_begin(progress *p, const progress_run *run);
/* Something else that takes time: `what` and for how long it has gone on; on a terminal alone,
 * until the end of it. */
void progress_task_begin(progress *p, const char *what, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
/* Of a task in n_blocks blocks (at most so many where `at_most`), or whatever `unit` names, each in
 * n_turns turns: how many blocks are done, turns of the current one, and whose turn it is. Texts
 * are borrowed; NULL: "block", nobody. */
typedef struct progress_blocks {
    const char *unit;
    int64_t done, n_blocks;
    bool at_most;
    int turn, n_turns;
    const char *name;
} progress_blocks;
void progress_task_blocks(progress *p, const progress_blocks *blocks);
void progress_task_end(progress *p);
void progress_event(progress *p, const train_event *event);
/* Redraws when the last drawing is old; for the event loop. */
void progress_tick(progress *p);
void progress_run_end(progress *p, const char *status, const char *message);
/* A line of its own, where there is no display that says so: what a task is about. */
void progress_note_plain(progress *p, const char *text);
/* A line of its own, above the display. */
void progress_note(progress *p, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

#endif
