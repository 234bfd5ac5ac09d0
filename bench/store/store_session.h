/* store_session.h: the rows of a run's sessions (bench/run/run_session.h). */
#ifndef GPTBENCH_BENCH_STORE_SESSION_H
#define GPTBENCH_BENCH_STORE_SESSION_H

#include "bench/store/store.h"

/* The attempt at the same run that has the latest recorded checkpoint, and how many steps are done
 * there; both 0 when none has. Attempts that ended ok or nan, or go on, are none to go on from. */
gb_status store_resume_find(store *s, int64_t run_id, int64_t *from_run, int64_t *steps,
                            gb_error *err);

gb_status store_session_begin(store *s, int64_t run_id, int64_t session, int64_t first_step,
                              gb_error *err);
/* The run takes over the steps, validations and sessions that `from_run` has before the checkpoint,
 * and begins a session there. *warmup_steps are those among what was taken over. */
gb_status store_session_resume(store *s, int64_t run_id, int64_t from_run,
                               const train_checkpoint *checkpoint, int64_t *warmup_steps,
                               gb_error *err);
/* A checkpoint is safe on disk. So is, afterwards, everything written here before. */
gb_status store_session_checkpoint(store *s, int64_t run_id, int64_t session, int64_t steps,
                                   gb_error *err);
gb_status store_session_end(store *s, int64_t run_id, int64_t session, gb_error *err);

#endif
