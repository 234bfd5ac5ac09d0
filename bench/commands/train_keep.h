/* train_keep.h: what `gptbench train` keeps of a training that is stopped: where its checkpoints
 * lie, whether it goes on from one, and what is said at a stop. */
#ifndef GPTBENCH_BENCH_TRAIN_KEEP_H
#define GPTBENCH_BENCH_TRAIN_KEEP_H

#include "model/trainer.h"

typedef struct train_keep {
    /* as the command line has them */
    const char *dir;   /* NULL: beside `save`, or nowhere */
    const char *every; /* as checkpoint_every of a suite; NULL: its default */
    bool resume;
    const char *load, *save; /* files of weights; NULL: none */
    /* found out */
    char folder[4096], identity[40];
    int64_t kept_step; /* of the last checkpoint; 0: none */
} train_keep;

/* Fills job->checkpoints, which point into `keep`, and load and save. GB_ERR_USAGE: an unknown
 * --checkpoint-every, nothing to go on from, checkpoints of an earlier training in the way, or
 * `save` would overwrite `load`. */
gb_status train_keep_begin(train_keep *keep, train_job *job, gb_error *err);
/* Takes note of CHECKPOINT and RESUME; removes checkpoints that are not needed any more. */
void train_keep_event(train_keep *keep, const train_event *event);
/* After the training: removes the checkpoints of one that ended well. Of one that was stopped it
 * puts into *err what was kept, and how to go on; returns `status`. */
gb_status train_keep_end(train_keep *keep, const train_job *job, const train_end *end,
                         gb_status status, gb_error *err);

#endif
