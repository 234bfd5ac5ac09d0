#include "bench/commands/outputs.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/base/same_file.h"
#include "bench/base/terminal.h"
#include "kernels/process_limits.h"
#include "model/shard_set.h"

static gb_status read_refuse(const named_file *out, const named_file *in, const char *path,
                             gb_error *err)
{
    return gb_fail(err, GB_ERR_USAGE, "%s %s: would replace %s, which %s reads; name another file",
                   out->option, out->path, path, in->option);
}

static gb_status one_check(const named_file *out, const named_file *in, gb_error *err)
{
    shard_set set = {0};
    gb_status status = GB_OK;
    if (strncmp(in->path, "synth:", 6) == 0) {
        return GB_OK;
    }
    if (same_file(out->path, in->path)) {
        return read_refuse(out, in, in->path, err);
    }
    /* What is not there, or cannot be listed, its reader says. */
    if (shard_set_find(&set, in->path, NULL) == GB_OK) {
        for (int64_t i = 0; i < set.count && status == GB_OK; i++) {
            if (same_file(out->path, set.shards[i].path)) {
                status = read_refuse(out, in, set.shards[i].path, err);
            }
        }
    }
    shard_set_free(&set);
    return status;
}

/* Now, not once everything is computed. */
static gb_status folder_check(const named_file *out, gb_error *err)
{
    char folder[4096] = ".";
    struct stat there;
    const char *slash = strrchr(out->path, '/');
    if (stat(out->path, &there) == 0 && S_ISDIR(there.st_mode)) {
        return gb_fail(err, GB_ERR_USAGE, "%s %s: is a folder; name a file in it", out->option,
                       out->path);
    }
    if (slash == out->path || (slash && slash - out->path >= (ptrdiff_t)sizeof folder)) {
        return GB_OK;
    }
    if (slash) {
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - out->path), out->path);
    }
    return access(folder, W_OK | X_OK) == 0
               ? GB_OK
               : gb_fail(err, GB_ERR_IO, "%s %s: cannot be written there: %s: %s", out->option,
                         out->path, folder, gb_reason(errno));
}

gb_status outputs_check(const named_file *written, const named_file *read, gb_error *err)
{
    for (const named_file *out = written; out->option; out++) {
        if (out->path) {
            GB_TRY(folder_check(out, err));
        }
        for (const named_file *in = read; out->path && in->option; in++) {
            if (in->path) {
                GB_TRY(one_check(out, in, err));
            }
        }
        for (const named_file *other = written; out->path && other < out; other++) {
            if (other->path && same_file(out->path, other->path)) {
                return gb_fail(err, GB_ERR_USAGE,
                               "%s %s: is also what %s writes; name another file", out->option,
                               out->path, other->option);
            }
        }
    }
    return GB_OK;
}

void outputs_say_safetensors(const char *option, const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    const char *dot = path ? strrchr(slash ? slash : path, '.') : NULL;
    if (path && (!dot || (strcmp(dot, ".safetensors") != 0 && strcmp(dot, ".st") != 0))) {
        terminal_say(stderr, 2,
                     "%s %s: what is written there is safetensors; other programs know it by the "
                     "ending .safetensors\n",
                     option, path);
    }
}
