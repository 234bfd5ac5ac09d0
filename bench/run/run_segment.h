/* run_segment.h: the segments of a run. A run that was interrupted is taken up by another attempt
 * from a checkpoint: the attempt takes over what the one before recorded up to there, and does the
 * rest as a segment of its own, whose timing stands apart. (The database and the report call a
 * segment a session.)
 *
 * The database decides from where a run may continue: a checkpoint counts once the steps before it
 * are safely in there, and only then are older ones removed. One that it does not know is of no
 * use, for its steps would be missing, and is removed before the worker starts. */
#ifndef GPTBENCH_BENCH_RUN_SEGMENT_H
#define GPTBENCH_BENCH_RUN_SEGMENT_H

#include "bench/run/progress.h"
#include "bench/store/store.h"

typedef struct run_segment {
    int64_t run_id;
    const char *dir;         /* of its checkpoints; borrowed; NULL: none */
    int64_t resume_from;     /* the attempt that is continued; 0: none */
    int64_t resume_step;     /* its last recorded checkpoint */
    int64_t number;          /* from 1; 0: nothing has happened yet */
    int64_t warmup_before;   /* warm-up steps of the segments before */
    int64_t checkpoint_step; /* of the last checkpoint; 0: none */
} run_segment;

/* Looks for an attempt that the run may continue; before the worker starts. `dir` may be NULL. */
gb_status run_segment_begin(run_segment *r, store *s, int64_t run_id, const char *dir,
                            gb_error *err);
/* False, and why, for a resume from a checkpoint that the database does not know. Called with every
 * event, before run_segment_event. */
bool run_segment_accepts(const run_segment *r, const train_event *event, gb_error *why);
/* Hears every event of the run before it is stored; commits at checkpoints. */
gb_status run_segment_event(run_segment *r, store *s, const train_event *event, progress *display,
                            gb_error *err);
/* The worker is gone and the run about to be ended with `status`: writes the segment's last facts,
 * and adds to the message, of `size` bytes, that a checkpoint is kept from which it can continue.
 */
gb_status run_segment_end(run_segment *r, store *s, const char *status, char *message, size_t size,
                          gb_error *err);
/* The run's end is safely in the database: removes checkpoints that nobody needs any more. */
void run_segment_clear(const run_segment *r, const char *status);

#endif
