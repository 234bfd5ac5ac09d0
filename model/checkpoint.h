/* checkpoint.h: a training run at rest: weights, optimiser state and where the run stood, in one
 * file that any safetensors reader opens. What is read back is bit for bit what was there, so that
 * a run that goes on from a checkpoint is the run that was never stopped. Nothing is drawn at
 * random after the first weights, which are keyed by seed and replicate, so there is no random
 * state to keep.
 *
 * The file:
 *   u64 little-endian length of the header, the header (JSON, padded with blanks), the data
 *   tensors   NAME, adamw.m.NAME, adamw.v.NAME for each NAME of the layout, in the backend's wide
 *             type (F32 or F64), in this order; then
 *   checksum  U8 (16): XXH3-128, canonical, of every byte before it
 *   __metadata__  format, run (what the run is, line by line), steps_done, session, batch_index,
 *             train_time_ms (hexadecimal, exact)
 * The header is given by layout, state and run; one that says anything else is refused. */
#ifndef GPTBENCH_MODEL_CHECKPOINT_H
#define GPTBENCH_MODEL_CHECKPOINT_H

#include "model/gpt.h"

typedef struct checkpoint_state {
    int64_t steps_done;   /* AdamW's step number is that of the last one */
    int64_t session;      /* that wrote it, from 1 */
    int64_t batch_index;  /* of the training data's loader: the next batch */
    double train_time_ms; /* sum of the steps' times */
} checkpoint_state;

/* Writes `path`: to PATH.tmp, which is synced and then renamed; the folder is synced too. *bytes is
 * the file's size. `run` is a text of lines "key=value" that says what the run is. Nothing may be
 * under way on the device. GB_ERR_IO or GB_ERR_OOM: there is then no such file, and what was there
 * before is as it was. */
gb_status checkpoint_save(gpt *model, const checkpoint_state *state, const char *run,
                          const char *path, int64_t *bytes, gb_error *err);

typedef struct checkpoint checkpoint;

/* Opens and checks a checkpoint, all of it: the checksum first, then that it is of this run and of
 * such a model. GB_ERR_FORMAT when it is damaged, or of anything else than `run`; the message says
 * in what. GB_ERR_IO, GB_ERR_OOM. *out is owned by the caller: checkpoint_close. */
gb_status checkpoint_open(checkpoint **out, const gpt *model, const char *run, const char *path,
                          gb_error *err);
void checkpoint_close(checkpoint *c); /* NULL is fine */

const checkpoint_state *checkpoint_get_state(const checkpoint *c);
/* Weights and optimiser state into the model that it was opened for. After a failure (GB_ERR_IO,
 * GB_ERR_OOM) the model is good for nothing. */
gb_status checkpoint_restore(checkpoint *c, gpt *model, gb_error *err);

#endif
