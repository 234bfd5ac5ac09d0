#include "model/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "kernels/process_limits.h"
#include "model/checkpoint_dir.h"
#include "model/json_text.h"

#define FORMAT_NAME      "gptbench checkpoint 1"
#define METADATA         "__metadata__"
#define CHUNK_BYTES      (1 << 20)
#define CHECKSUM_BYTES   16
#define HEADER_MAX_BYTES (64 << 20) /* some 500,000 tensors */

/* ---- the header ---- */

/* The entries of all tensors, in the order of the data, whose size goes to *bytes. NULL without
 * memory. */
static json_t *tensors_describe(const gpt *model, int64_t *bytes)
{
    static const char *const prefixes[GPT_SLABS] = {"", "adamw.m.", "adamw.v."};
    const gpt_layout *layout = gpt_get_layout(model);
    const int wide_bytes = gpt_wide_bytes(model);
    const char *dtype = wide_bytes == 8 ? "F64" : "F32";
    json_t *all = json_object();
    int failed = 0;
    *bytes = 0;
    for (int slab = 0; slab < GPT_SLABS; slab++) {
        for (int i = 0; i < layout->n_tensors; i++) {
            gpt_tensor t = gpt_layout_tensor(layout, i);
            char name[96];
            int64_t end = *bytes + t.rows * t.cols * wide_bytes;
            snprintf(name, sizeof name, "%s%s", prefixes[slab], t.name);
            failed |= json_object_set_new(
                all, name,
                json_pack("{s:s, s:[I,I], s:[I,I]}", "dtype", dtype, "shape", (json_int_t)t.rows,
                          (json_int_t)t.cols, "data_offsets", (json_int_t)*bytes, (json_int_t)end));
            *bytes = end;
        }
    }
    failed |= json_object_set_new(all, "checksum",
                                  json_pack("{s:s, s:[i], s:[I,I]}", "dtype", "U8", "shape",
                                            CHECKSUM_BYTES, "data_offsets", (json_int_t)*bytes,
                                            (json_int_t)(*bytes + CHECKSUM_BYTES)));
    *bytes += CHECKSUM_BYTES;
    if (failed) {
        json_decref(all);
        return NULL;
    }
    return all;
}

static json_t *metadata_make(const checkpoint_state *state, const char *run)
{
    char steps[24], session[24], batch[24], time_ms[40];
    snprintf(steps, sizeof steps, "%" PRId64, state->steps_done);
    snprintf(session, sizeof session, "%" PRId64, state->session);
    snprintf(batch, sizeof batch, "%" PRId64, state->batch_index);
    snprintf(time_ms, sizeof time_ms, "%a", state->train_time_ms);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "format", FORMAT_NAME, "run", run,
                     "steps_done", steps, "session", session, "batch_index", batch, "train_time_ms",
                     time_ms);
}

/* To be freed; NULL without memory. */
static char *header_make(const gpt *model, const checkpoint_state *state, const char *run)
{
    int64_t bytes;
    char *text = NULL;
    json_memory_watch();
    json_t *header = json_object(), *tensors = tensors_describe(model, &bytes);
    if (header && tensors &&
        json_object_set_new(header, METADATA, metadata_make(state, run)) == 0 &&
        json_object_update(header, tensors) == 0 && !json_memory_lacked()) {
        text = json_text(header, JSON_COMPACT);
    }
    json_decref(header);
    json_decref(tensors);
    return text;
}

/* ---- chunks ---- */

typedef gb_status (*chunk_fn)(void *user, gpt *model, gpt_slab slab, int64_t offset, int64_t n,
                              gb_error *err);

/* Calls `fn` for every stretch of the data, in its order. */
static gb_status chunks_walk(gpt *model, chunk_fn fn, void *user, gb_error *err)
{
    const gpt_layout *layout = gpt_get_layout(model);
    const int64_t most = CHUNK_BYTES / gpt_wide_bytes(model);
    for (int slab = 0; slab < GPT_SLABS; slab++) {
        for (int i = 0; i < layout->n_tensors; i++) {
            gpt_tensor t = gpt_layout_tensor(layout, i);
            const int64_t count = t.rows * t.cols;
            for (int64_t at = 0; at < count; at += most) {
                int64_t n = count - at < most ? count - at : most;
                GB_TRY(fn(user, model, (gpt_slab)slab, t.offset + at, n, err));
            }
        }
    }
    return GB_OK;
}

/* ---- writing ---- */

typedef struct writer {
    const char *path;
    int fd;
    XXH3_state_t *hash; /* of all that was written */
    int64_t bytes;
    char *chunk;
} writer;

static gb_status write_fail(const char *path, int why, gb_error *err)
{
    return gb_fail(err, GB_ERR_IO, "%s: the checkpoint cannot be written: %s", path,
                   gb_reason(why));
}

static gb_status write_all(writer *w, const void *bytes, size_t n, gb_error *err)
{
    const char *p = bytes;
    XXH3_128bits_update(w->hash, bytes, n);
    w->bytes += (int64_t)n;
    while (n > 0) {
        ssize_t wrote = write(w->fd, p, n);
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote <= 0) {
            return write_fail(w->path, wrote < 0 ? errno : ENOSPC, err);
        }
        p += wrote;
        n -= (size_t)wrote;
    }
    return GB_OK;
}

static gb_status header_write(writer *w, const char *header, gb_error *err)
{
    /* The data starts at a multiple of 8, as the format asks for. */
    static const char blanks[8] = "        ";
    const size_t length = strlen(header), padding = (8 - length % 8) % 8;
    unsigned char prefix[8];
    for (int i = 0; i < 8; i++) {
        prefix[i] = (unsigned char)((uint64_t)(length + padding) >> (8 * i));
    }
    GB_TRY(write_all(w, prefix, sizeof prefix, err));
    GB_TRY(write_all(w, header, length, err));
    return write_all(w, blanks, padding, err);
}

static gb_status chunk_write(void *user, gpt *model, gpt_slab slab, int64_t offset, int64_t n,
                             gb_error *err)
{
    writer *w = user;
    GB_TRY(gpt_read_slab(model, slab, offset, n, w->chunk, err));
    return write_all(w, w->chunk, (size_t)n * (size_t)gpt_wide_bytes(model), err);
}

static gb_status contents_write(writer *w, gpt *model, const char *header, gb_error *err)
{
    XXH128_canonical_t checksum;
    XXH3_128bits_reset(w->hash);
    GB_TRY(header_write(w, header, err));
    GB_TRY(chunks_walk(model, chunk_write, w, err));
    XXH128_canonicalFromHash(&checksum, XXH3_128bits_digest(w->hash));
    GB_TRY(write_all(w, checksum.digest, CHECKSUM_BYTES, err));
    return fsync(w->fd) == 0 ? GB_OK : write_fail(w->path, errno, err);
}

static gb_status file_write(writer *w, gpt *model, const char *header, const char *path,
                            gb_error *err)
{
    char temporary[4096];
    if (snprintf(temporary, sizeof temporary, "%s.tmp", path) >= (int)sizeof temporary) {
        return gb_fail(err, GB_ERR_IO, "%.200s...: the path is too long", path);
    }
    w->fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->fd < 0) {
        return write_fail(path, errno, err);
    }
    gb_status status = contents_write(w, model, header, err);
    if (close(w->fd) != 0 && status == GB_OK) {
        status = write_fail(path, errno, err);
    }
    if (status == GB_OK && rename(temporary, path) != 0) {
        status = write_fail(path, errno, err);
    }
    if (status != GB_OK) {
        unlink(temporary);
        return status;
    }
    return checkpoint_dir_sync(path, err);
}

gb_status checkpoint_save(gpt *model, const checkpoint_state *state, const char *run,
                          const char *path, int64_t *bytes, gb_error *err)
{
    writer w = {.path = path, .fd = -1, .hash = XXH3_createState(), .chunk = malloc(CHUNK_BYTES)};
    char *header = header_make(model, state, run);
    gb_status status = w.hash && w.chunk && header
                           ? file_write(&w, model, header, path, err)
                           : gb_fail(err, GB_ERR_OOM, "%s: no memory for the checkpoint", path);
    *bytes = status == GB_OK ? w.bytes : 0;
    free(header);
    free(w.chunk);
    XXH3_freeState(w.hash);
    return status;
}

/* ---- reading ---- */

struct checkpoint {
    char *path;
    int fd;
    int64_t size;       /* of the file */
    int64_t data_start; /* where the tensors begin */
    checkpoint_state state;
    char *chunk;
};

static gb_status read_exactly(const checkpoint *c, void *bytes, int64_t n, int64_t at,
                              gb_error *err)
{
    char *p = bytes;
    while (n > 0) {
        ssize_t got = pread(c->fd, p, (size_t)n, at);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return gb_fail(err, GB_ERR_IO, "%s: cannot be read: %s", c->path,
                           got < 0 ? gb_reason(errno) : "it has become shorter");
        }
        p += got;
        n -= got;
        at += got;
    }
    return GB_OK;
}

static gb_status checksum_compare(const checkpoint *c, XXH3_state_t *hash, gb_error *err)
{
    const int64_t covered = c->size - CHECKSUM_BYTES;
    unsigned char stored[CHECKSUM_BYTES];
    XXH128_canonical_t computed;
    XXH3_128bits_reset(hash);
    for (int64_t at = 0; at < covered;) {
        int64_t n = covered - at < CHUNK_BYTES ? covered - at : CHUNK_BYTES;
        GB_TRY(read_exactly(c, c->chunk, n, at, err));
        XXH3_128bits_update(hash, c->chunk, (size_t)n);
        at += n;
    }
    GB_TRY(read_exactly(c, stored, CHECKSUM_BYTES, covered, err));
    XXH128_canonicalFromHash(&computed, XXH3_128bits_digest(hash));
    return memcmp(stored, computed.digest, CHECKSUM_BYTES) == 0
               ? GB_OK
               : gb_fail(err, GB_ERR_FORMAT, "%s: damaged: its checksum does not fit its contents",
                         c->path);
}

static gb_status checksum_check(const checkpoint *c, gb_error *err)
{
    if (c->size < 8 + 2 + CHECKSUM_BYTES) {
        return gb_fail(err, GB_ERR_FORMAT, "%s: too short for a checkpoint", c->path);
    }
    XXH3_state_t *hash = XXH3_createState();
    gb_status status = hash ? checksum_compare(c, hash, err)
                            : gb_fail(err, GB_ERR_OOM, "%s: no memory to check it", c->path);
    XXH3_freeState(hash);
    return status;
}

static gb_status header_read(checkpoint *c, json_t **out, gb_error *err)
{
    unsigned char prefix[8];
    uint64_t size = 0;
    json_error_t why;
    GB_TRY(read_exactly(c, prefix, sizeof prefix, 0, err));
    for (int i = 7; i >= 0; i--) {
        size = size << 8 | prefix[i];
    }
    if (size > HEADER_MAX_BYTES || (int64_t)size > c->size - 8 - CHECKSUM_BYTES) {
        return gb_fail(err, GB_ERR_FORMAT,
                       "%s: not a checkpoint: its header claims %" PRIu64 " bytes of %" PRId64,
                       c->path, size, c->size);
    }
    char *text = malloc((size_t)size + 1);
    gb_status status = text ? read_exactly(c, text, (int64_t)size, 8, err)
                            : gb_fail(err, GB_ERR_OOM, "%s: no memory for the header", c->path);
    *out = status == GB_OK ? json_loadb(text, (size_t)size, JSON_REJECT_DUPLICATES, &why) : NULL;
    free(text);
    if (status == GB_OK && !json_is_object(*out)) {
        status = gb_fail(err, GB_ERR_FORMAT, "%s: not a checkpoint: its header is no JSON object",
                         c->path);
    }
    c->data_start = 8 + (int64_t)size;
    return status;
}

/* The first line in which two texts differ, without its newline. */
static void lines_differ(const char **a, const char **b, int *a_length, int *b_length)
{
    size_t same = 0;
    while ((*a)[same] && (*a)[same] == (*b)[same]) {
        same++;
    }
    while (same > 0 && (*a)[same - 1] != '\n') {
        same--;
    }
    *a += same;
    *b += same;
    *a_length = (int)strcspn(*a, "\n");
    *b_length = (int)strcspn(*b, "\n");
}

static gb_status run_check(const checkpoint *c, const char *found, const char *wanted,
                           gb_error *err)
{
    int found_length, wanted_length;
    if (strcmp(found, wanted) == 0) {
        return GB_OK;
    }
    lines_differ(&found, &wanted, &found_length, &wanted_length);
    return gb_fail(err, GB_ERR_FORMAT,
                   "%s: a checkpoint of another run: '%.*s' there, '%.*s' here; a run goes on from"
                   " its own checkpoints alone",
                   c->path, found_length < 200 ? found_length : 200, found,
                   wanted_length < 200 ? wanted_length : 200, wanted);
}

static bool whole_number(const json_t *metadata, const char *name, int64_t least, int64_t *out)
{
    const char *text = json_string_value(json_object_get(metadata, name));
    char *end;
    errno = 0;
    *out = text && *text >= '0' && *text <= '9' ? strtoll(text, &end, 10) : -1;
    return *out >= least && errno == 0 && *end == '\0';
}

static gb_status state_read(checkpoint *c, const json_t *metadata, gb_error *err)
{
    checkpoint_state *s = &c->state;
    const char *time_ms = json_string_value(json_object_get(metadata, "train_time_ms"));
    char *end = NULL;
    s->train_time_ms = time_ms && *time_ms ? strtod(time_ms, &end) : NAN;
    const bool whole = end && *end == '\0';
    if (!whole_number(metadata, "steps_done", 1, &s->steps_done) ||
        !whole_number(metadata, "session", 1, &s->session) ||
        !whole_number(metadata, "batch_index", 0, &s->batch_index) || s->session >= INT32_MAX ||
        !whole || !isfinite(s->train_time_ms) || s->train_time_ms < 0) {
        return gb_fail(err, GB_ERR_FORMAT,
                       "%s: needs steps_done, session, batch_index and train_time_ms, numbers as"
                       " text, in its metadata",
                       c->path);
    }
    return GB_OK;
}

/* `tensors` must be what this model's own header would say. */
static gb_status tensors_check(const checkpoint *c, const json_t *tensors, const gpt *model,
                               gb_error *err)
{
    int64_t bytes;
    const char *name, *wrong = NULL;
    json_t *wanted = tensors_describe(model, &bytes), *entry;
    if (!wanted) {
        return gb_fail(err, GB_ERR_OOM, "%s: no memory to check it", c->path);
    }
    json_object_foreach(wanted, name, entry)
    {
        wrong = !wrong && !json_equal(entry, json_object_get(tensors, name)) ? name : wrong;
    }
    gb_status status = GB_OK;
    if (wrong) {
        status = gb_fail(err, GB_ERR_FORMAT,
                         "%s: %s is not there, or not as this model has it; a run goes on from its"
                         " own checkpoints alone",
                         c->path, wrong);
    } else if (json_object_size(wanted) != json_object_size(tensors)) {
        status =
            gb_fail(err, GB_ERR_FORMAT, "%s: has tensors that the model does not have", c->path);
    } else if (c->size - c->data_start != bytes) {
        status = gb_fail(err, GB_ERR_FORMAT,
                         "%s: has %" PRId64 " bytes of data, the model needs %" PRId64, c->path,
                         c->size - c->data_start, bytes);
    }
    json_decref(wanted);
    return status;
}

static gb_status contents_check(checkpoint *c, json_t *header, const gpt *model, const char *run,
                                gb_error *err)
{
    const json_t *metadata = json_object_get(header, METADATA);
    const char *format = json_string_value(json_object_get(metadata, "format"));
    const char *found = json_string_value(json_object_get(metadata, "run"));
    if (!format || strcmp(format, FORMAT_NAME) != 0 || !found) {
        return gb_fail(err, GB_ERR_FORMAT, "%s: not a '" FORMAT_NAME "'", c->path);
    }
    GB_TRY(run_check(c, found, run, err));
    GB_TRY(state_read(c, metadata, err));
    json_object_del(header, METADATA);
    return tensors_check(c, header, model, err);
}

static gb_status file_check(checkpoint *c, const gpt *model, const char *run, gb_error *err)
{
    struct stat info;
    json_t *header = NULL;
    c->fd = open(c->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (c->fd < 0 || fstat(c->fd, &info) != 0) {
        return gb_fail(err, GB_ERR_IO, "%s: %s", c->path, gb_reason(errno));
    }
    if (!S_ISREG(info.st_mode)) {
        return gb_fail(err, GB_ERR_FORMAT, "%s: not a regular file", c->path);
    }
    c->size = info.st_size;
    GB_TRY(checksum_check(c, err));
    gb_status status = header_read(c, &header, err);
    if (status == GB_OK) {
        status = contents_check(c, header, model, run, err);
    }
    json_decref(header);
    return status;
}

gb_status checkpoint_open(checkpoint **out, const gpt *model, const char *run, const char *path,
                          gb_error *err)
{
    *out = NULL;
    checkpoint *c = calloc(1, sizeof *c);
    if (!c) {
        return gb_fail(err, GB_ERR_OOM, "%s: no memory to open it", path);
    }
    c->fd = -1;
    c->path = strdup(path);
    c->chunk = malloc(CHUNK_BYTES);
    gb_status status = c->path && c->chunk
                           ? file_check(c, model, run, err)
                           : gb_fail(err, GB_ERR_OOM, "%s: no memory to open it", path);
    if (status != GB_OK) {
        checkpoint_close(c);
        return status;
    }
    *out = c;
    return GB_OK;
}

void checkpoint_close(checkpoint *c)
{
    if (!c) {
        return;
    }
    if (c->fd >= 0) {
        close(c->fd);
    }
    free(c->path);
    free(c->chunk);
    free(c);
}

const checkpoint_state *checkpoint_get_state(const checkpoint *c)
{
    return &c->state;
}

typedef struct restorer {
    checkpoint *c;
    int64_t at;
} restorer;

static gb_status chunk_restore(void *user, gpt *model, gpt_slab slab, int64_t offset, int64_t n,
                               gb_error *err)
{
    restorer *r = user;
    const int64_t bytes = n * gpt_wide_bytes(model);
    GB_TRY(read_exactly(r->c, r->c->chunk, bytes, r->at, err));
    r->at += bytes;
    return gpt_write_slab(model, slab, offset, n, r->c->chunk, err);
}

gb_status checkpoint_restore(checkpoint *c, gpt *model, gb_error *err)
{
    restorer r = {c, c->data_start};
    GB_TRY(chunks_walk(model, chunk_restore, &r, err));
    return gpt_refresh_weights(model, err);
}
