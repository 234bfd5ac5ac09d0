#include "bench/commands/data_pack.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/base/same_file.h"
#include "kernels/process_limits.h"
#include "model/near_file.h"

#define FIRST_BUFFER_BYTES ((size_t)4 << 20)
#define CHUNK_TOKENS       4096

typedef struct packer {
    data_pack *job;
    shard_writer *writer;
    bpe_tokens tokens; /* of one piece */
    char *buffer;
    size_t capacity, filled;
    bool in_document; /* its opening token is written */
    const char *const *inputs;
    int n_inputs;
    gb_error *err;
} packer;

/* ---- shards out ---- */

static int prefix_length(const data_pack *job)
{
    size_t length = strlen(job->output);
    bool suffix = length > 4 && strcmp(job->output + length - 4, ".bin") == 0;
    return (int)(suffix ? length - 4 : length);
}

static gb_status check_output_free(const data_pack *job, gb_error *err)
{
    char first[4096];
    snprintf(first, sizeof first, "%.*s_000000.bin", prefix_length(job), job->output);
    if (job->shard_tokens > 0 && access(first, F_OK) == 0) {
        return gb_fail(err, GB_ERR_USAGE,
                       "%s: exists; remove the shards of that name, or name others, so that old "
                       "and new ones do not mix",
                       first);
    }
    return GB_OK;
}

/* Whether standard input comes from the file of that name. */
static bool is_standard_input(const char *path)
{
    struct stat out, in;
    return stat(path, &out) == 0 && fstat(STDIN_FILENO, &in) == 0 && out.st_dev == in.st_dev &&
           out.st_ino == in.st_ino;
}

/* The text is more than its tokens: it does not come back. */
static gb_status check_no_input(const packer *p, const char *path)
{
    const char *taken = p->job->merges && same_file(path, p->job->merges) ? p->job->merges : NULL;
    for (int i = 0; i < p->n_inputs && !taken; i++) {
        bool standard = strcmp(p->inputs[i], "-") == 0;
        if (standard ? is_standard_input(path) : same_file(path, p->inputs[i])) {
            taken = standard ? "standard input" : p->inputs[i];
        }
    }
    return !taken
               ? GB_OK
               : gb_fail(p->err, GB_ERR_USAGE,
                         "-o %s: would replace %s, which is read; name another file", path, taken);
}

static gb_status open_shard(packer *p)
{
    data_pack *job = p->job;
    shard_entry *grown =
        realloc(job->written.shards, (size_t)(job->written.count + 1) * sizeof *grown);
    if (!grown) {
        return gb_fail(p->err, GB_ERR_OOM, "no memory for the list of shards");
    }
    job->written.shards = grown;
    char *path = NULL;
    int rc = job->shard_tokens > 0 ? asprintf(&path, "%.*s_%06" PRId64 ".bin", prefix_length(job),
                                              job->output, job->written.count)
                                   : asprintf(&path, "%s", job->output);
    if (rc < 0) {
        return gb_fail(p->err, GB_ERR_OOM, "no memory for a file name");
    }
    gb_status status = check_no_input(p, path);
    if (status == GB_OK) {
        status = shard_writer_open(&p->writer, path, p->err);
    }
    if (status != GB_OK) {
        free(path);
        return status;
    }
    job->written.shards[job->written.count++] = (shard_entry){.path = path};
    return GB_OK;
}

static gb_status finish_shard(packer *p)
{
    shard_writer *writer = p->writer;
    p->writer = NULL;
    return shard_writer_finish(writer, p->err);
}

static gb_status emit(packer *p, const int32_t *tokens, int64_t count)
{
    data_pack *job = p->job;
    while (count > 0) {
        if (!p->writer) {
            GB_TRY(open_shard(p));
        }
        int64_t n = count;
        if (job->shard_tokens > 0) {
            int64_t room = job->shard_tokens - shard_writer_tokens(p->writer);
            n = n < room ? n : room;
        }
        GB_TRY(shard_writer_append(p->writer, tokens, n, p->err));
        job->tokens += n;
        tokens += n;
        count -= n;
        if (job->shard_tokens > 0 && shard_writer_tokens(p->writer) == job->shard_tokens) {
            GB_TRY(finish_shard(p));
        }
    }
    return GB_OK;
}

/* ---- text in ---- */

static gb_status emit_bytes(packer *p, const char *text, size_t bytes)
{
    int32_t chunk[CHUNK_TOKENS];
    for (size_t at = 0; at < bytes;) {
        int64_t n = 0;
        while (n < CHUNK_TOKENS && at < bytes) {
            chunk[n++] = (unsigned char)text[at++];
        }
        GB_TRY(emit(p, chunk, n));
    }
    return GB_OK;
}

static gb_status pack_piece(packer *p, const char *text, size_t bytes)
{
    data_pack *job = p->job;
    if (bytes == 0) {
        return GB_OK;
    }
    if (!p->in_document) {
        p->in_document = true;
        job->documents++;
        if (job->encoder) {
            GB_TRY(emit(p, &(int32_t){bpe_end_of_text(job->encoder)}, 1));
        }
    }
    if (!job->encoder) {
        return emit_bytes(p, text, bytes);
    }
    p->tokens.count = 0;
    GB_TRY(bpe_encode(job->encoder, text, bytes, &p->tokens, &job->replaced, p->err));
    return emit(p, p->tokens.ids, p->tokens.count);
}

/* Packs what can be packed of the buffer, all of it at the end of a file, and moves the rest to
 * the front. */
static gb_status pack_buffer(packer *p, bool at_end)
{
    const data_pack *job = p->job;
    size_t at = 0, separator = job->separator ? (size_t)job->separator_bytes : 0;
    const char *found;
    while (separator &&
           (found = memmem(p->buffer + at, p->filled - at, job->separator, separator)) != NULL) {
        GB_TRY(pack_piece(p, p->buffer + at, (size_t)(found - p->buffer) - at));
        p->in_document = false;
        at = (size_t)(found - p->buffer) + separator;
    }
    size_t rest = p->filled - at;
    if (!at_end) {
        /* What may be the start of a separator waits for the next read. */
        size_t held = separator ? separator - 1 : 0;
        rest = rest > held ? rest - held : 0;
        rest = job->encoder ? bpe_find_seam(p->buffer + at, rest) : rest;
    }
    GB_TRY(pack_piece(p, p->buffer + at, rest));
    at += rest;
    memmove(p->buffer, p->buffer + at, p->filled - at);
    p->filled -= at;
    return GB_OK;
}

static gb_status reserve_buffer(packer *p, const char *path)
{
    if (p->filled < p->capacity) {
        return GB_OK;
    }
    size_t capacity = p->capacity ? 2 * p->capacity : FIRST_BUFFER_BYTES;
    char *buffer = realloc(p->buffer, capacity);
    if (!buffer) {
        return gb_fail(p->err, GB_ERR_OOM,
                       "%s: no memory for %zu bytes of text that cannot be cut at white space",
                       path, capacity);
    }
    p->buffer = buffer;
    p->capacity = capacity;
    return GB_OK;
}

static gb_status pack_stream(packer *p, const char *path, int fd)
{
    p->filled = 0;
    p->in_document = false;
    for (;;) {
        GB_TRY(reserve_buffer(p, path));
        ssize_t n = read(fd, p->buffer + p->filled, p->capacity - p->filled);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return gb_fail(p->err, GB_ERR_IO, "%s: cannot read: %s", path, gb_reason(errno));
        }
        p->filled += (size_t)n;
        if (n == 0 || p->filled == p->capacity) {
            GB_TRY(pack_buffer(p, n == 0));
        }
        if (n == 0) {
            return GB_OK;
        }
    }
}

static gb_status pack_file(packer *p, const char *path)
{
    if (strcmp(path, "-") == 0) {
        return pack_stream(p, "standard input", STDIN_FILENO);
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return gb_fail(p->err, errno == ENOENT ? GB_ERR_USAGE : GB_ERR_IO, "%s: cannot open: %s%s",
                       path, gb_reason(errno), near_file_find(path, NULL).hint);
    }
    struct stat stat;
    gb_status status = GB_OK;
    if (fstat(fd, &stat) == 0 && S_ISDIR(stat.st_mode)) {
        status = gb_fail(p->err, GB_ERR_USAGE, "%s: is a directory, expected a text file", path);
    } else {
        status = pack_stream(p, path, fd);
    }
    close(fd);
    return status;
}

gb_status data_pack_files(data_pack *job, const char *const *paths, int count, gb_error *err)
{
    packer p = {.job = job, .inputs = paths, .n_inputs = count, .err = err};
    GB_TRY(check_output_free(job, err));
    gb_status status = GB_OK;
    for (int i = 0; i < count && status == GB_OK; i++) {
        status = pack_file(&p, paths[i]);
    }
    if (status == GB_OK && job->tokens == 0) {
        status =
            gb_fail(err, GB_ERR_USAGE, "%s: nothing to write: the input is empty", job->output);
    }
    if (status == GB_OK && p.writer) {
        status = finish_shard(&p);
    }
    shard_writer_abandon(p.writer);
    bpe_tokens_free(&p.tokens);
    free(p.buffer);
    return status;
}
