#include "model/shard.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "kernels/process_limits.h"
#include "model/near_file.h"

#define SHARD_LLAMA3_MAGIC 20240801 /* llm.c's 32-bit tokens */
#define SCAN_BYTES         ((size_t)1 << 20)
#define READ_TOKENS        8192
#define WRITE_TOKENS       32768

static uint32_t u32_from_le(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void u32_to_le(unsigned char *p, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        p[i] = (unsigned char)(value >> (8 * i));
    }
}

static int32_t token_from_le(const unsigned char *p)
{
    /* Callers have read the bytes.
     * NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult) */
    return p[0] | p[1] << 8;
}

/* Reads exactly `bytes`; GB_ERR_IO names the file when it ends before. */
static gb_status read_exact(const char *path, int fd, void *out, size_t bytes, int64_t offset,
                            gb_error *err)
{
    size_t done = 0;
    while (done < bytes) {
        ssize_t n = pread(fd, (char *)out + done, bytes - done, (off_t)(offset + (int64_t)done));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return gb_fail(err, GB_ERR_IO, "%s: cannot read: %s", path, gb_reason(errno));
        }
        if (n == 0) {
            return gb_fail(err, GB_ERR_IO,
                           "%s: the file became shorter while it was in use: it ends at byte "
                           "%" PRId64,
                           path, offset + (int64_t)done);
        }
        done += (size_t)n;
    }
    return GB_OK;
}

/* ---- checks ---- */

static gb_status open_regular(const char *path, int *out, struct stat *stat, gb_error *err)
{
    /* O_NONBLOCK: a FIFO must be refused below, not waited for. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return gb_fail(err, errno == ENOENT || errno == ENOTDIR ? GB_ERR_USAGE : GB_ERR_IO,
                       "%s: cannot open: %s%s", path, gb_reason(errno),
                       near_file_find(path, ".bin").hint);
    }
    if (fstat(fd, stat) != 0) {
        gb_fail(err, GB_ERR_IO, "%s: cannot stat: %s", path, gb_reason(errno));
        close(fd);
        return GB_ERR_IO;
    }
    if (!S_ISREG(stat->st_mode)) {
        close(fd);
        return gb_fail(err, GB_ERR_USAGE, "%s: is %s, expected a .bin shard of tokens", path,
                       S_ISDIR(stat->st_mode) ? "a directory" : "not a regular file");
    }
    *out = fd;
    return GB_OK;
}

static gb_status check_magic(const char *path, uint32_t magic, gb_error *err)
{
    if (magic == SHARD_MAGIC) {
        return GB_OK;
    }
    if (__builtin_bswap32(magic) == SHARD_MAGIC) {
        return gb_fail(err, GB_ERR_FORMAT,
                       "%s: a token shard in big-endian byte order; expected little-endian", path);
    }
    if (magic == SHARD_LLAMA3_MAGIC) {
        return gb_fail(err, GB_ERR_FORMAT,
                       "%s: a shard of 32-bit tokens (magic %d); expected 16-bit ones (magic %d)",
                       path, SHARD_LLAMA3_MAGIC, SHARD_MAGIC);
    }
    return gb_fail(err, GB_ERR_FORMAT,
                   "%s: not a token shard (magic 0x%08" PRIx32 ", expected %d = 0x%08x)", path,
                   magic, SHARD_MAGIC, SHARD_MAGIC);
}

/* `header` holds the first min(size, 1024) bytes of a file of `size` bytes. */
static gb_status check_header(const char *path, const unsigned char *header, int64_t size,
                              int64_t *tokens, gb_error *err)
{
    if (size == 0) {
        return gb_fail(err, GB_ERR_FORMAT,
                       "%s: the file is empty; a token shard starts with a header of %d bytes",
                       path, SHARD_HEADER_BYTES);
    }
    if (size >= 4) {
        GB_TRY(check_magic(path, u32_from_le(header), err));
    }
    if (size < SHARD_HEADER_BYTES) {
        return gb_fail(err, GB_ERR_FORMAT,
                       "%s: truncated header: the file holds %" PRId64
                       " byte%s, a token shard starts with %d",
                       path, size, size == 1 ? "" : "s", SHARD_HEADER_BYTES);
    }
    int32_t version = (int32_t)u32_from_le(header + 4);
    if (version != SHARD_VERSION) {
        return gb_fail(err, GB_ERR_FORMAT, "%s: shard version %" PRId32 ", expected %d", path,
                       version, SHARD_VERSION);
    }
    int32_t count = (int32_t)u32_from_le(header + 8);
    if (count <= 0) {
        return gb_fail(err, GB_ERR_FORMAT,
                       "%s: header says %" PRId32 " tokens, expected at least 1", path, count);
    }
    int64_t body = size - SHARD_HEADER_BYTES, wanted = (int64_t)count * 2;
    if (body < wanted) {
        return gb_fail(err, GB_ERR_FORMAT,
                       "%s: truncated: header says %" PRId32 " token%s, the file holds %" PRId64,
                       path, count, count == 1 ? "" : "s", body / 2);
    }
    if (body > wanted) {
        return gb_fail(err, GB_ERR_FORMAT,
                       "%s: %" PRId64 " byte%s too many: header says %" PRId32
                       " token%s, a file of %" PRId64 " bytes; this one has %" PRId64,
                       path, body - wanted, body - wanted == 1 ? "" : "s", count,
                       count == 1 ? "" : "s", SHARD_HEADER_BYTES + wanted, size);
    }
    *tokens = count;
    return GB_OK;
}

static gb_status fail_range(const char *path, int32_t token, int64_t position, int64_t vocab_size,
                            gb_error *err)
{
    return gb_fail(err, GB_ERR_FORMAT,
                   "%s: token %" PRId32 " at position %" PRId64
                   " is not below vocab_size = %" PRId64,
                   path, token, position, vocab_size);
}

static gb_status check_tokens(const char *path, const unsigned char *bytes, int64_t count,
                              int64_t first, int64_t vocab_size, int32_t *max_token, gb_error *err)
{
    int32_t max = *max_token;
    for (int64_t i = 0; i < count; i++) {
        int32_t token = token_from_le(bytes + 2 * i);
        max = token > max ? token : max;
    }
    *max_token = max;
    for (int64_t i = 0; vocab_size > 0 && max >= vocab_size && i < count; i++) {
        int32_t token = token_from_le(bytes + 2 * i);
        if (token >= vocab_size) {
            return fail_range(path, token, first + i, vocab_size, err);
        }
    }
    return GB_OK;
}

static gb_status scan_body(const char *path, int fd, int64_t vocab_size, shard_info *info,
                           unsigned char *buffer, XXH3_state_t *hash, gb_error *err)
{
    int64_t bytes = info->tokens * 2;
    info->max_token = -1;
    for (int64_t done = 0; done < bytes;) {
        int64_t n = bytes - done < (int64_t)SCAN_BYTES ? bytes - done : (int64_t)SCAN_BYTES;
        GB_TRY(read_exact(path, fd, buffer, (size_t)n, SHARD_HEADER_BYTES + done, err));
        XXH3_128bits_update(hash, buffer, (size_t)n);
        GB_TRY(check_tokens(path, buffer, n / 2, done / 2, vocab_size, &info->max_token, err));
        done += n;
    }
    return GB_OK;
}

gb_status shard_scan(const char *path, int64_t vocab_size, shard_info *out, gb_error *err)
{
    int fd = -1;
    *out = (shard_info){0};
    GB_TRY(open_regular(path, &fd, &out->stat, err));
    gb_status status;
    unsigned char *buffer = malloc(SCAN_BYTES);
    XXH3_state_t *hash = XXH3_createState();
    if (!buffer || !hash) {
        status = gb_fail(err, GB_ERR_OOM, "%s: no memory to read it", path);
        goto close_file;
    }
    int64_t size = (int64_t)out->stat.st_size;
    size_t header = size < SHARD_HEADER_BYTES ? (size_t)size : SHARD_HEADER_BYTES;
    status = read_exact(path, fd, buffer, header, 0, err);
    if (status == GB_OK) {
        status = check_header(path, buffer, size, &out->tokens, err);
    }
    if (status != GB_OK) {
        goto close_file;
    }
    XXH3_128bits_reset(hash);
    XXH3_128bits_update(hash, buffer, header);
    status = scan_body(path, fd, vocab_size, out, buffer, hash, err);
    XXH128_hash_t digest = XXH3_128bits_digest(hash);
    snprintf(out->hash, sizeof out->hash, "%016" PRIx64 "%016" PRIx64, (uint64_t)digest.high64,
             (uint64_t)digest.low64);
close_file:
    XXH3_freeState(hash);
    free(buffer);
    close(fd);
    return status;
}

/* ---- reading ---- */

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

gb_status shard_open(const char *path, const shard_info *info, int *fd, gb_error *err)
{
    struct stat now;
    *fd = -1;
    GB_TRY(open_regular(path, fd, &now, err));
    if (!same_file(&now, &info->stat)) {
        close(*fd);
        *fd = -1;
        return gb_fail(err, GB_ERR_IO,
                       "%s: the file changed while it was in use; start again with one that stays",
                       path);
    }
    return GB_OK;
}

gb_status shard_read(const char *path, int fd, int64_t first, int64_t count, int64_t vocab_size,
                     int32_t *out, gb_error *err)
{
    unsigned char buffer[2 * READ_TOKENS];
    int32_t max_token = -1;
    for (int64_t done = 0; done < count;) {
        int64_t n = count - done < READ_TOKENS ? count - done : READ_TOKENS;
        GB_TRY(read_exact(path, fd, buffer, (size_t)n * 2, SHARD_HEADER_BYTES + 2 * (first + done),
                          err));
        GB_TRY(check_tokens(path, buffer, n, first + done, vocab_size, &max_token, err));
        for (int64_t i = 0; i < n; i++) {
            out[done + i] = token_from_le(buffer + 2 * i);
        }
        done += n;
    }
    return GB_OK;
}

/* ---- writing ---- */

struct shard_writer {
    int fd;
    int64_t tokens;
    int64_t pending; /* tokens in the buffer */
    char *path, *temporary;
    unsigned char buffer[2 * WRITE_TOKENS];
};

static gb_status write_exact(shard_writer *writer, const void *data, size_t bytes, int64_t offset,
                             gb_error *err)
{
    size_t done = 0;
    while (done < bytes) {
        ssize_t n = pwrite(writer->fd, (const char *)data + done, bytes - done,
                           (off_t)(offset + (int64_t)done));
        if (n < 0 && errno != EINTR) {
            return gb_fail(err, GB_ERR_IO, "%s: cannot write: %s", writer->temporary,
                           gb_reason(errno));
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return GB_OK;
}

static gb_status writer_flush(shard_writer *writer, gb_error *err)
{
    int64_t offset = SHARD_HEADER_BYTES + 2 * (writer->tokens - writer->pending);
    size_t bytes = (size_t)writer->pending * 2;
    writer->pending = 0;
    return write_exact(writer, writer->buffer, bytes, offset, err);
}

static void writer_free(shard_writer *writer)
{
    free(writer->path);
    free(writer->temporary);
    free(writer);
}

gb_status shard_writer_open(shard_writer **out, const char *path, gb_error *err)
{
    *out = NULL;
    struct stat old;
    if (stat(path, &old) == 0 && !S_ISREG(old.st_mode)) {
        return gb_fail(err, GB_ERR_USAGE, "%s: exists and is not a regular file; name another",
                       path);
    }
    shard_writer *writer = calloc(1, sizeof *writer);
    if (!writer || !(writer->path = strdup(path)) ||
        asprintf(&writer->temporary, "%s.tmp-%ld", path, (long)getpid()) < 0) {
        if (writer) {
            free(writer->path);
            free(writer);
        }
        return gb_fail(err, GB_ERR_OOM, "%s: no memory to write it", path);
    }
    writer->fd = open(writer->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (writer->fd < 0) {
        gb_status status =
            gb_fail(err, GB_ERR_IO, "%s: cannot create: %s", writer->temporary, gb_reason(errno));
        writer_free(writer);
        return status;
    }
    *out = writer;
    return GB_OK;
}

gb_status shard_writer_append(shard_writer *writer, const int32_t *tokens, int64_t count,
                              gb_error *err)
{
    if (count > SHARD_TOKENS_MAX - writer->tokens) {
        return gb_fail(err, GB_ERR_USAGE,
                       "%s: more than %d tokens do not fit in one shard; write several "
                       "(--shard-tokens)",
                       writer->path, SHARD_TOKENS_MAX);
    }
    for (int64_t i = 0; i < count; i++) {
        if (tokens[i] < 0 || tokens[i] > 65535) {
            return gb_fail(err, GB_ERR_INTERNAL, "%s: token %" PRId32 " does not fit in 16 bits",
                           writer->path, tokens[i]);
        }
        if (writer->pending == WRITE_TOKENS) {
            GB_TRY(writer_flush(writer, err));
        }
        writer->buffer[2 * writer->pending] = (unsigned char)(tokens[i] & 255);
        writer->buffer[2 * writer->pending + 1] = (unsigned char)(tokens[i] >> 8);
        writer->pending++;
        writer->tokens++;
    }
    return GB_OK;
}

int64_t shard_writer_tokens(const shard_writer *writer)
{
    return writer->tokens;
}

/* The rename itself must survive a crash; a file system that cannot sync a directory is not an
 * error of ours. */
static void sync_directory_of(const char *path)
{
    char *copy = strdup(path);
    int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
    free(copy);
}

static gb_status writer_complete(shard_writer *writer, gb_error *err)
{
    if (writer->tokens == 0) {
        return gb_fail(err, GB_ERR_USAGE, "%s: nothing to write: the input has no tokens",
                       writer->path);
    }
    unsigned char header[SHARD_HEADER_BYTES] = {0};
    u32_to_le(header, SHARD_MAGIC);
    u32_to_le(header + 4, SHARD_VERSION);
    u32_to_le(header + 8, (uint32_t)writer->tokens);
    GB_TRY(writer_flush(writer, err));
    GB_TRY(write_exact(writer, header, sizeof header, 0, err));
    if (fsync(writer->fd) != 0) {
        return gb_fail(err, GB_ERR_IO, "%s: cannot flush: %s", writer->temporary, gb_reason(errno));
    }
    if (rename(writer->temporary, writer->path) != 0) {
        return gb_fail(err, GB_ERR_IO, "%s: cannot rename from %s: %s", writer->path,
                       writer->temporary, gb_reason(errno));
    }
    sync_directory_of(writer->path);
    return GB_OK;
}

gb_status shard_writer_finish(shard_writer *writer, gb_error *err)
{
    gb_status status = writer_complete(writer, err);
    if (status != GB_OK) {
        shard_writer_abandon(writer);
        return status;
    }
    close(writer->fd);
    writer_free(writer);
    return GB_OK;
}

void shard_writer_abandon(shard_writer *writer)
{
    if (writer) {
        close(writer->fd);
        unlink(writer->temporary);
        writer_free(writer);
    }
}
