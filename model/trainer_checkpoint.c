/* Checkpoints of a run: when they are due, what they say of the run, going on from them. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kernels/clock.h"
#include "model/checkpoint.h"
#include "model/checkpoint_dir.h"
#include "model/trainer_internal.h"

static void note_emit(trainer *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note_emit(trainer *t, const char *format, ...)
{
    train_event event = {.type = TRAIN_EVENT_NOTE};
    va_list args;
    va_start(args, format);
    vsnprintf(event.u.note, sizeof event.u.note, format, args);
    va_end(args);
    trainer_emit(t, &event);
}

static void checkpoint_emit(trainer *t, train_event_type type, int64_t bytes, double began_ms)
{
    train_event event = {.type = type};
    event.u.checkpoint = (train_checkpoint){.step = t->steps_done,
                                            .session = t->session,
                                            .train_time_ms = t->train_time_ms,
                                            .bytes = bytes,
                                            .ms = gb_monotonic_ms() - began_ms};
    trainer_emit(t, &event);
}

/* ---- what the run is ---- */

static void keys_print(FILE *out, const void *object, const gb_key *keys, const gpt_config *config)
{
    for (; keys->name; keys++) {
        if (!config || gpt_config_key_matters(config, keys->name, NULL)) {
            char value[320];
            gb_key_format(object, keys, value, sizeof value);
            fprintf(out, "%s=%s\n", keys->name, value);
        }
    }
}

/* Everything that decides the bits of the result, as far as it is known here; the identity stands
 * for the rest, such as the program's version. Paths of the data may differ, its contents may not.
 */
static gb_status run_describe(trainer *t, gb_error *err)
{
    gb_description about;
    size_t size;
    FILE *out = t->run_text ? NULL : open_memstream(&t->run_text, &size);
    if (!out) {
        return t->run_text ? GB_OK : gb_fail(err, GB_ERR_OOM, "no memory for a checkpoint");
    }
    t->be->describe(t->dev, &about);
    fprintf(out, "identity=%s\n", t->job->checkpoints.identity ? t->job->checkpoints.identity : "");
    fprintf(out, "backend=%s\nisa=%s\nthreads=%d\nreplicate=%lld\n", t->be->name, about.isa,
            about.threads, (long long)t->job->replicate);
    keys_print(out, &t->job->config, gpt_config_keys(), &t->job->config);
    keys_print(out, t->spec, train_spec_keys(), NULL);
    fprintf(out, "train_data_hash=%s\nval_data_hash=%s\n", token_source_hash(t->train_source),
            token_source_hash(t->val_source));
    if (fclose(out) != 0) {
        free(t->run_text);
        t->run_text = NULL;
        return gb_fail(err, GB_ERR_OOM, "no memory for a checkpoint");
    }
    return GB_OK;
}

/* ---- the folder ---- */

/* Its checkpoints are this process's alone from the first time on that it needs them. */
static bool folder_take(trainer *t, bool make)
{
    const char *dir = t->job->checkpoints.dir;
    gb_error why = {GB_OK, ""};
    if (t->checkpoint_lock != 0) {
        return t->checkpoint_lock > 0;
    }
    if (make && checkpoint_dir_make(dir, &why) != GB_OK) {
        note_emit(t, "no checkpoint: %s", why.message);
        return false;
    }
    gb_status status = checkpoint_dir_lock(dir, &t->checkpoint_lock, &why);
    if (status != GB_OK) {
        t->checkpoint_lock = status == GB_ERR_USAGE ? -1 : 0;
        if (make || status == GB_ERR_USAGE) {
            note_emit(t, "no checkpoint: %s", why.message);
        }
        return false;
    }
    checkpoint_dir_sweep(dir);
    return true;
}

void trainer_checkpoint_end(trainer *t)
{
    if (t->checkpoint_lock > 0) {
        close(t->checkpoint_lock);
    }
    free(t->run_text);
}

/* ---- writing ---- */

/* Not within the profiled steps, which are done in one go, nor at the end. */
static bool belongs_here(const trainer *t, int64_t steps)
{
    return steps <= t->profile_from && steps < t->spec->num_iterations;
}

static bool is_possible(const trainer *t, int64_t steps)
{
    return t->job->checkpoints.dir && t->checkpoint_lock >= 0 && steps > t->checkpointed_steps &&
           belongs_here(t, steps);
}

bool trainer_checkpoint_due(const trainer *t, int64_t steps)
{
    const train_checkpoints *c = &t->job->checkpoints;
    if (!is_possible(t, steps)) {
        return false;
    }
    return (c->every_steps > 0 && steps % c->every_steps == 0) ||
           (c->every_s > 0 && gb_monotonic_ms() - t->checkpointed_ms >= 1e3 * c->every_s);
}

void trainer_checkpoint_write(trainer *t)
{
    char path[4096];
    int64_t bytes;
    gb_error why = {GB_OK, ""};
    const double began_ms = gb_monotonic_ms();
    const checkpoint_state state = {.steps_done = t->steps_done,
                                    .session = t->session,
                                    .batch_index = t->train.batch_index,
                                    .train_time_ms = t->train_time_ms};
    if (!is_possible(t, t->steps_done)) {
        return;
    }
    t->checkpointed_ms = began_ms; /* what fails is not tried again at every step */
    if (!folder_take(t, true)) {
        return;
    }
    checkpoint_dir_path(path, sizeof path, t->job->checkpoints.dir, t->steps_done);
    gb_status status = run_describe(t, &why);
    if (status == GB_OK) {
        status = checkpoint_save(t->model, &state, t->run_text, path, &bytes, &why);
    }
    t->after_checkpoint = true;
    t->checkpointed_ms = gb_monotonic_ms();
    if (status != GB_OK) {
        note_emit(t, "no checkpoint after %lld steps: %s", (long long)t->steps_done, why.message);
        return;
    }
    t->checkpointed_steps = t->steps_done;
    checkpoint_emit(t, TRAIN_EVENT_CHECKPOINT, bytes, began_ms);
}

/* ---- going on ---- */

/* GB_OK also where it is no good: then nothing has changed. */
static gb_status resume_from(trainer *t, int64_t steps, gb_error *err)
{
    char path[4096];
    checkpoint *c = NULL;
    gb_error why = {GB_OK, ""};
    const double began_ms = gb_monotonic_ms();
    checkpoint_dir_path(path, sizeof path, t->job->checkpoints.dir, steps);
    gb_status status = checkpoint_open(&c, t->model, t->run_text, path, &why);
    const checkpoint_state state = c ? *checkpoint_get_state(c) : (checkpoint_state){0};
    if (c && (state.steps_done != steps || !belongs_here(t, steps) ||
              state.batch_index >= t->train.batches)) {
        status = gb_fail(&why, GB_ERR_FORMAT, "%s: holds %lld steps, which is not what it says",
                         path, (long long)state.steps_done);
    }
    if (status != GB_OK) {
        note_emit(t, "passed over: %s", why.message);
        checkpoint_close(c);
        return GB_OK;
    }
    status = checkpoint_restore(c, t->model, err);
    if (status == GB_OK) {
        t->steps_done = t->steps_issued = t->checkpointed_steps = state.steps_done;
        t->session = state.session + 1;
        t->train.batch_index = state.batch_index;
        t->train_time_ms = state.train_time_ms;
        checkpoint_emit(t, TRAIN_EVENT_RESUME, 0, began_ms);
    }
    checkpoint_close(c);
    return status;
}

/* Whether it was enough: `n` checkpoints were there. */
static gb_status resume_check(const trainer *t, int n, gb_error *err)
{
    const train_checkpoints *c = &t->job->checkpoints;
    if (!c->required || t->steps_done > 0) {
        return GB_OK;
    }
    return gb_fail(err, GB_ERR_USAGE, "%s: %s", c->dir ? c->dir : "no folder",
                   t->checkpoint_lock < 0 ? "another process works with these checkpoints"
                   : n == 0               ? "holds no checkpoint to go on from"
                                          : "holds no checkpoint that this run can go on from");
}

gb_status trainer_resume(trainer *t, gb_error *err)
{
    int64_t *steps = NULL;
    int n = 0;
    t->checkpointed_ms = gb_monotonic_ms();
    if (!t->job->checkpoints.dir || !folder_take(t, false)) {
        return resume_check(t, 0, err);
    }
    gb_status status = checkpoint_dir_list(t->job->checkpoints.dir, &steps, &n, err);
    if (status == GB_OK && n > 0) {
        status = run_describe(t, err);
    }
    for (int i = 0; i < n && status == GB_OK && t->steps_done == 0; i++) {
        status = resume_from(t, steps[i], err);
    }
    free(steps);
    return status == GB_OK ? resume_check(t, n, err) : status;
}
