#include "bench/commands/train_keep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "bench/run/identity.h"
#include "bench/suite/suite.h"
#include "kernels/process_limits.h"
#include "model/checkpoint_dir.h"
#include "version.h"

/* ---- before ---- */

/* XXH3-128 of a file's bytes, 32 hex digits; "" without one. */
static gb_status file_hash(const char *path, char out[33], gb_error *err)
{
    enum { CHUNK = 1 << 20 };
    FILE *file = path ? fopen(path, "rbe") : NULL;
    out[0] = '\0';
    if (!file) {
        return path ? gb_fail(err, GB_ERR_USAGE, "--load %.300s: %s", path, gb_reason(errno))
                    : GB_OK;
    }
    XXH3_state_t *hash = XXH3_createState();
    char *chunk = malloc(CHUNK);
    gb_status status = hash && chunk ? GB_OK : gb_fail(err, GB_ERR_OOM, "no memory for %s", path);
    if (status == GB_OK) {
        XXH128_canonical_t bytes;
        XXH3_128bits_reset(hash);
        for (size_t n; (n = fread(chunk, 1, CHUNK, file)) > 0;) {
            XXH3_128bits_update(hash, chunk, n);
        }
        XXH128_canonicalFromHash(&bytes, XXH3_128bits_digest(hash));
        for (int i = 0; i < 16; i++) {
            snprintf(out + 2 * i, 3, "%02x", bytes.digest[i]);
        }
        status = ferror(file) ? gb_fail(err, GB_ERR_IO, "%s: cannot be read", path) : GB_OK;
    }
    free(chunk);
    XXH3_freeState(hash);
    fclose(file);
    return status;
}

/* What decides the bits of a training besides its settings and data. */
static gb_status identity_make(train_keep *keep, gb_error *err)
{
    char text[512], weights[33];
    GB_TRY(file_hash(keep->load, weights, err));
    snprintf(text, sizeof text, "train\nversion=%s\ncode=%s\ncompiler=%s\nweights=%s\n",
             GPTBENCH_VERSION, GPTBENCH_CODE, identity_compiler(), weights);
    identity_hash_text(text, keep->identity);
    return GB_OK;
}

/* Where the checkpoints go; "": nowhere. */
static gb_status folder_choose(train_keep *keep, gb_error *err)
{
    const char *dir = keep->dir ? keep->dir : keep->save;
    int length = snprintf(keep->folder, sizeof keep->folder, "%s%s", dir ? dir : "",
                          dir && !keep->dir ? ".checkpoints" : "");
    return length + 64 < (int)sizeof keep->folder
               ? GB_OK
               : gb_fail(err, GB_ERR_USAGE, "%.200s...: the path is too long", keep->folder);
}

/* Checkpoints that are there are gone on from only where that is asked for. */
static gb_status refuse_old(const train_keep *keep, gb_error *err)
{
    int64_t *steps = NULL;
    int n = 0;
    GB_TRY(checkpoint_dir_list(keep->folder, &steps, &n, err));
    int64_t newest = n > 0 ? steps[0] : 0;
    free(steps);
    return n == 0 ? GB_OK
                  : gb_fail(err, GB_ERR_USAGE,
                            "%.300s: holds checkpoints of a training that was stopped, the last at "
                            "step %lld; --resume goes on from there; to begin anew remove them, or "
                            "name another folder with --checkpoints",
                            keep->folder, (long long)newest);
}

/* Whether the folders above the last one, which are not there, can be made. */
static bool above_is_open(const char *folder)
{
    char above[4096];
    snprintf(above, sizeof above, "%s", folder);
    while (access(above, F_OK) != 0 && errno == ENOENT && strchr(above, '/') &&
           strcmp(above, "/") != 0) {
        char *slash = strrchr(above, '/');
        slash[slash == above] = '\0';
    }
    return access(strchr(above, '/') || access(above, F_OK) == 0 ? above : ".", W_OK | X_OK) == 0;
}

/* Now, not at the first checkpoint. What was not there is gone again: it is made when it is needed,
 * and so are the folders above it. */
static gb_status folder_try(const train_keep *keep, gb_error *err)
{
    if (mkdir(keep->folder, 0777) == 0) {
        rmdir(keep->folder);
        return GB_OK;
    }
    struct stat there;
    const int why = errno;
    if (why == ENOENT && above_is_open(keep->folder)) {
        return GB_OK;
    }
    if (why == EEXIST && stat(keep->folder, &there) == 0 && !S_ISDIR(there.st_mode)) {
        return gb_fail(err, GB_ERR_USAGE, "%.300s: is no folder, and checkpoints lie in one",
                       keep->folder);
    }
    if (why == EEXIST && access(keep->folder, W_OK | X_OK) == 0) {
        return GB_OK;
    }
    return gb_fail(err, GB_ERR_IO, "%.300s: checkpoints cannot be kept there: %s", keep->folder,
                   gb_reason(why == EEXIST ? EACCES : why));
}

gb_status train_keep_begin(train_keep *keep, train_job *job, gb_error *err)
{
    train_checkpoints *c = &job->checkpoints;
    const char *every = keep->every ? keep->every : SUITE_CHECKPOINT_DEFAULT;
    if (!suite_checkpoint_parse(every, &c->every_steps, &c->every_s)) {
        return gb_fail(
            err, GB_ERR_USAGE,
            "--checkpoint-every %.64s: write so many steps, as '200', a time of at least "
            "a second, as '10 min', '30 s' or '2 h', or 'never'",
            every);
    }
    GB_TRY(folder_choose(keep, err));
    const bool never = c->every_steps == 0 && c->every_s == 0;
    if (keep->resume && !keep->folder[0]) {
        return gb_fail(
            err, GB_ERR_USAGE,
            "--resume: say where the checkpoints lie, with --checkpoints DIR, or with the "
            "--save FILE beside which they are");
    }
    if (keep->every && !never && !keep->folder[0]) {
        return gb_fail(
            err, GB_ERR_USAGE,
            "--checkpoint-every %.64s: say where they are to lie, with --checkpoints DIR, "
            "or with --save FILE",
            keep->every);
    }
    if (never && keep->dir && !keep->resume) {
        return gb_fail(err, GB_ERR_USAGE,
                       "--checkpoints %.200s with --checkpoint-every never: leave one of them out",
                       keep->dir);
    }
    job->load_weights = keep->load;
    job->save_weights = keep->save;
    job->program_version = GPTBENCH_VERSION;
    if (!keep->folder[0] || (never && !keep->resume)) {
        keep->folder[0] = '\0';
        return GB_OK;
    }
    GB_TRY(identity_make(keep, err));
    c->dir = keep->folder;
    c->identity = keep->identity;
    c->required = keep->resume;
    if (keep->resume) {
        return GB_OK;
    }
    GB_TRY(refuse_old(keep, err));
    return folder_try(keep, err);
}

/* ---- meanwhile ---- */

void train_keep_event(train_keep *keep, const train_event *event)
{
    if (event->type == TRAIN_EVENT_RESUME) {
        /* Later ones are of another course of things: this one writes its own. */
        checkpoint_dir_trim(keep->folder, event->u.checkpoint.step);
    } else if (event->type == TRAIN_EVENT_CHECKPOINT) {
        checkpoint_dir_prune(keep->folder, event->u.checkpoint.step);
    } else {
        return;
    }
    keep->kept_step = event->u.checkpoint.step;
}

/* ---- after ---- */

static gb_status stop_describe(const train_keep *keep, const train_job *job, const train_end *end,
                               gb_error *err)
{
    char checkpoint[160] = "", weights[400] = "";
    if (keep->kept_step > 0) {
        snprintf(checkpoint, sizeof checkpoint, "; a checkpoint at step %lld is kept in ",
                 (long long)keep->kept_step);
    }
    if (job->save_weights && end->steps_done > 0) {
        snprintf(weights, sizeof weights, "; the weights as they are now: %.300s",
                 job->save_weights);
    }
    const char *how = keep->kept_step == 0 ? ""
                      : keep->resume       ? "; the same command goes on:"
                                           : "; to go on, add --resume:";
    if (end->steps_done == 0) {
        how = "; there is nothing to keep yet; the same command begins anew:";
    } else if (!checkpoint[0] && !weights[0]) {
        how = keep->folder[0] ? "; nothing of it could be kept"
                              : "; nothing of it is kept: --checkpoints DIR keeps it";
    }
    return gb_fail(err, GB_ERR_INTERRUPTED, "stopped after %lld of %lld steps%s%.300s%s%s",
                   (long long)end->steps_done, (long long)job->spec.num_iterations, checkpoint,
                   checkpoint[0] ? keep->folder : "", weights, how);
}

gb_status train_keep_end(train_keep *keep, const train_job *job, const train_end *end,
                         gb_status status, gb_error *err)
{
    /* One that diverged would do so again. */
    if ((status == GB_OK || status == GB_ERR_NAN) && keep->folder[0]) {
        checkpoint_dir_clear(keep->folder);
    }
    if (status != GB_ERR_INTERRUPTED) {
        return status;
    }
    return stop_describe(keep, job, end, err);
}
