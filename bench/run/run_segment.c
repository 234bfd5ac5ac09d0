#include "bench/run/run_segment.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/store/store_segment.h"
#include "model/checkpoint_dir.h"

gb_status run_segment_begin(run_segment *r, store *s, int64_t run_id, const char *dir,
                            gb_error *err)
{
    int lock;
    *r = (run_segment){.run_id = run_id, .dir = dir};
    if (!dir) {
        return GB_OK;
    }
    GB_TRY(store_resume_find(s, run_id, &r->resume_from, &r->resume_step, err));
    if (checkpoint_dir_lock(dir, &lock, NULL) == GB_OK) {
        checkpoint_dir_trim(dir, r->resume_step);
        close(lock);
    }
    return GB_OK;
}

bool run_segment_accepts(const run_segment *r, const train_event *event, gb_error *why)
{
    const long long step = event->u.checkpoint.step;
    bool known = r->number == 0 && r->resume_from != 0 && step <= r->resume_step;
    if (event->type == TRAIN_EVENT_RESUME && !known) {
        gb_fail(why, GB_ERR_FORMAT,
                "the worker goes on from a checkpoint at step %lld that the database does not know",
                step);
        return false;
    }
    return true;
}

static gb_status resume_take(run_segment *r, store *s, const train_checkpoint *c, progress *display,
                             gb_error *err)
{
    r->number = c->session;
    r->checkpoint_step = c->step;
    GB_TRY(store_segment_resume(s, r->run_id, r->resume_from, c, &r->warmup_before, err));
    progress_note(display, "going on from the checkpoint at step %lld", (long long)c->step);
    return GB_OK;
}

/* The steps before it are safe, and it is: only now may older ones go. */
static gb_status checkpoint_take(run_segment *r, store *s, const train_checkpoint *c, gb_error *err)
{
    GB_TRY(store_segment_checkpoint(s, r->run_id, r->number, c->step, err));
    r->checkpoint_step = c->step;
    if (r->dir) {
        checkpoint_dir_prune(r->dir, c->step);
    }
    return GB_OK;
}

gb_status run_segment_event(run_segment *r, store *s, const train_event *event, progress *display,
                            gb_error *err)
{
    switch (event->type) {
    case TRAIN_EVENT_RESUME:
        return resume_take(r, s, &event->u.checkpoint, display, err);
    case TRAIN_EVENT_NOTE:
        progress_note(display, "%s", event->u.note);
        return GB_OK;
    case TRAIN_EVENT_STEP:
    case TRAIN_EVENT_EVAL:
    case TRAIN_EVENT_CHECKPOINT:
        if (r->number == 0) {
            r->number = 1;
            GB_TRY(store_segment_begin(s, r->run_id, r->number, 0, err));
        }
        return event->type == TRAIN_EVENT_CHECKPOINT
                   ? checkpoint_take(r, s, &event->u.checkpoint, err)
                   : GB_OK;
    default:
        return GB_OK;
    }
}

/* A run that ended so is not to be continued: it is done, or its loss, which is not finite, would
 * come again. */
static bool status_is_final(const char *status)
{
    return strcmp(status, "ok") == 0 || strcmp(status, "nan") == 0;
}

gb_status run_segment_end(run_segment *r, store *s, const char *status, char *message, size_t size,
                          gb_error *err)
{
    size_t used = strlen(message);
    if (r->number > 0) {
        GB_TRY(store_segment_end(s, r->run_id, r->number, err));
    }
    if (r->checkpoint_step > 0 && !status_is_final(status)) {
        snprintf(message + used, size - used, "%sa checkpoint at step %lld is kept",
                 used ? "; " : "", (long long)r->checkpoint_step);
    }
    return GB_OK;
}

void run_segment_clear(const run_segment *r, const char *status)
{
    int lock;
    if (r->dir && status_is_final(status) && checkpoint_dir_lock(r->dir, &lock, NULL) == GB_OK) {
        checkpoint_dir_remove(r->dir);
        close(lock);
    }
}
