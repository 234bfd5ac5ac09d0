/* shard.h: one .bin shard of tokens, the format of llm.c and modded-nanogpt: a header of 256
 * little-endian int32 (magic 20240520, version 1, token count, the rest ignored), then that many
 * little-endian uint16 tokens, and nothing after them.
 *
 * Files are read with pread into buffers, never mapped: a file that shrinks or changes under a
 * reader is an error message, not a signal. */
#ifndef GPTBENCH_MODEL_SHARD_H
#define GPTBENCH_MODEL_SHARD_H

#include <stdint.h>
#include <sys/stat.h>

#include "kernels/status.h"

#define SHARD_MAGIC        20240520
#define SHARD_VERSION      1
#define SHARD_HEADER_BYTES 1024
#define SHARD_TOKENS_MAX   INT32_MAX /* what the header's count can say */

typedef struct shard_info {
    int64_t tokens;    /* at least 1 */
    int32_t max_token; /* largest token in it */
    char hash[33];     /* XXH3-128 of the whole file, 32 hex digits */
    struct stat stat;  /* the file as it was scanned */
} shard_info;

/* Opens, checks and hashes a whole file in one pass. vocab_size > 0: every token must be below
 * it; 0: any token will do. GB_ERR_FORMAT says what is wrong with the content, GB_ERR_USAGE that
 * there is no such file or that it is not a regular one, GB_ERR_IO what the system said. Messages
 * start with the path. */
gb_status shard_scan(const char *path, int64_t vocab_size, shard_info *out, gb_error *err);

/* Opens a scanned file again, read-only; *fd is the caller's to close. GB_ERR_IO when it is no
 * longer the file that was scanned (other file, size or time of change). */
gb_status shard_open(const char *path, const shard_info *info, int *fd, gb_error *err);
/* Reads tokens first .. first+count-1 (which lie inside info->tokens) from such a file. GB_ERR_IO
 * when the file became shorter; GB_ERR_FORMAT when vocab_size > 0 and a token is not below it. */
gb_status shard_read(const char *path, int fd, int64_t first, int64_t count, int64_t vocab_size,
                     int32_t *out, gb_error *err);

/* Writes a shard to PATH.tmp-PID; finish writes the header, flushes to disk and renames, so that
 * PATH is whole or not there. */
typedef struct shard_writer shard_writer;

gb_status shard_writer_open(shard_writer **out, const char *path, gb_error *err);
/* Tokens must be in 0..65535 (GB_ERR_INTERNAL). GB_ERR_USAGE beyond SHARD_TOKENS_MAX tokens. */
gb_status shard_writer_append(shard_writer *writer, const int32_t *tokens, int64_t count,
                              gb_error *err);
int64_t shard_writer_tokens(const shard_writer *writer);
/* GB_ERR_USAGE when there are no tokens. Ends the writer in any case: without success the
 * temporary file is removed. */
gb_status shard_writer_finish(shard_writer *writer, gb_error *err);
/* Removes the temporary file and ends the writer; NULL is fine. */
void shard_writer_abandon(shard_writer *writer);

#endif
