#include "bench/commands/outputs.h"

#include <string.h>

#include "bench/base/same_file.h"
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

gb_status outputs_check(const named_file *written, const named_file *read, gb_error *err)
{
    for (const named_file *out = written; out->option; out++) {
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
