/* Validation: the loss on the same tokens each time, between two steps. */
#include <math.h>

#include "kernels/clock.h"
#include "kernels/nvtx.h"
#include "model/trainer_internal.h"

/* The next n sequences of the validation data. */
static gb_status read_sequences(trainer *t, int64_t n, gb_error *err)
{
    const int64_t T = t->spec->sequence_length;
    for (int64_t i = 0; i < n; i++) {
        GB_TRY(token_loader_next(&t->val, t->inputs + i * T, t->targets + i * T, err));
    }
    return GB_OK;
}

/* Sequence by sequence from the first one on, so that every batch_size reads the same tokens: the
 * last batch may hold fewer. */
gb_status trainer_validate(trainer *t, gb_error *err)
{
    const int64_t T = t->spec->sequence_length, sequences = t->spec->val_tokens / T;
    int64_t n;
    double started_ms = gb_monotonic_ms();
    gpt_results results;
    token_loader_rewind(&t->val);
    for (int64_t done = 0; done < sequences; done += n) {
        n = sequences - done < t->spec->batch_size ? sequences - done : t->spec->batch_size;
        GB_TRY(read_sequences(t, n, err));
        GB_TRY(gpt_stage_eval_batch(t->model, t->inputs, t->targets, err));
        GB_TRY(gpt_evaluate(t->model, n, done == 0, err));
        trainer_alive(t);
        if (t->steps_done == 0 && trainer_stop_wanted(t)) {
            /* nothing to lose; later ones are brought to an end */
            return gb_fail(err, GB_ERR_INTERRUPTED, "asked to stop after 0 of %lld steps",
                           (long long)t->spec->num_iterations);
        }
    }
    GB_TRY(gpt_results_post(t->model, err));
    GB_TRY(gpt_results_take(t->model, &results, err));
    gb_nvtx_scope_end(t->nvtx);
    train_event event = {.type = TRAIN_EVENT_EVAL};
    event.u.eval = (train_eval){.step = t->steps_done,
                                .val_loss = results.loss_sum / (double)(sequences * T),
                                .val_tokens = sequences * T,
                                .eval_ms = gb_monotonic_ms() - started_ms,
                                .train_time_ms = t->train_time_ms};
    trainer_emit(t, &event);
    t->after_eval = true;
    if (!isfinite(event.u.eval.val_loss)) {
        return gb_fail(err, GB_ERR_NAN, "validation loss is not finite after %lld steps",
                       (long long)t->steps_done);
    }
    return GB_OK;
}
