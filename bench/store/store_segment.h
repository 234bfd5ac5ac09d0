/* store_segment.h: the segments of a run (bench/run/run_segment.h). Their table and its number are
 * named `session`: the schema is public and keeps its names. */
#ifndef GPTBENCH_BENCH_STORE_SEGMENT_H
#define GPTBENCH_BENCH_STORE_SEGMENT_H

#include "bench/store/store.h"

/* The attempt at the same run that has the latest recorded checkpoint, and how many steps are done
 * there; both 0 when none has. Attempts that ended ok or nan, or still run, cannot be continued. */
gb_status store_resume_find(store *s, int64_t run_id, int64_t *from_run, int64_t *steps,
                            gb_error *err);

gb_status store_segment_begin(store *s, int64_t run_id, int64_t segment, int64_t first_step,
                              gb_error *err);
/* The run takes over the steps, validations and segments that `from_run` has before the checkpoint,
 * and begins a segment there. *warmup_steps are those among what was taken over. */
gb_status store_segment_resume(store *s, int64_t run_id, int64_t from_run,
                               const train_checkpoint *checkpoint, int64_t *warmup_steps,
                               gb_error *err);
/* A checkpoint is safe on disk. So is, afterwards, everything written here before. */
gb_status store_segment_checkpoint(store *s, int64_t run_id, int64_t segment, int64_t steps,
                                   gb_error *err);
gb_status store_segment_end(store *s, int64_t run_id, int64_t segment, gb_error *err);

#endif
