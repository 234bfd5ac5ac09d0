#include "kernels/cuda/gemm_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "kernels/process_limits.h"

enum {
    SUM_DIGITS = 16,
    ALGO_AT = SUM_DIGITS + 1,
    TIME_AT = ALGO_AT + 2 * GEMM_CACHE_ALGO_BYTES + 1,
    REASON_CHARS = 120 /* shown in one line with other things */
};

/* A thousand shapes take some 400 kB. What is larger is not ours. */
static const int64_t FILE_LIMIT_BYTES = 16 << 20;

static const char HEADING[] = "# The fastest cuBLASLt algorithm for each matrix product, as "
                              "gptbench measured it. Delete this file to measure anew.\n";

struct gemm_cache {
    const char *heading;
    char *path; /* NULL where there is no directory to use */
    char reason[REASON_CHARS];
};

/* ---- where ---- */

static bool is_set(const char *variable)
{
    return variable != NULL && variable[0] != '\0';
}

/* The directory's name, to be freed; NULL where no variable says it or there is no memory. */
static char *directory_name(void)
{
    const char *own = getenv("GPTBENCH_CACHE_DIR"), *xdg = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    char *name = NULL;
    int length = -1;
    if (is_set(own)) {
        length = asprintf(&name, "%s", own);
    } else if (is_set(xdg) && xdg[0] == '/') { /* the XDG specification ignores relative ones */
        length = asprintf(&name, "%s/gptbench", xdg);
    } else if (is_set(home)) {
        length = asprintf(&name, "%s/.cache/gptbench", home);
    }
    return length >= 0 ? name : NULL;
}

/* Makes the directory and those above it, where they are not there. */
static bool directory_make(char *name)
{
    struct stat about;
    for (char *slash = strchr(name + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        const bool there = stat(name, &about) == 0 || mkdir(name, 0700) == 0 || errno == EEXIST;
        *slash = '/';
        if (!there) {
            return false;
        }
    }
    if (mkdir(name, 0700) != 0 && stat(name, &about) != 0) {
        return false;
    }
    return access(name, W_OK | X_OK) == 0;
}

static void not_remembered(gemm_cache *cache, const char *why, const char *where)
{
    snprintf(cache->reason, sizeof cache->reason, "%s: %s", why, where);
}

static char *file_name(const char *directory, const char *prefix, const char *name)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s-%s.txt", directory, prefix, name) < 0) {
        return NULL;
    }
    for (char *c = path + strlen(directory) + 1; *c != '\0'; c++) {
        const bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                           (*c >= '0' && *c <= '9') || *c == '.' || *c == '-';
        *c = plain ? *c : '_';
    }
    return path;
}

gemm_cache *gemm_cache_open(const char *name)
{
    return gemm_cache_open_as("gemm", HEADING, name);
}

gemm_cache *gemm_cache_open_as(const char *prefix, const char *heading, const char *name)
{
    gemm_cache *cache = calloc(1, sizeof *cache);
    char *directory = directory_name();
    if (cache != NULL) {
        cache->heading = heading;
    }
    if (cache != NULL && directory == NULL) {
        not_remembered(cache, "not set", "GPTBENCH_CACHE_DIR, XDG_CACHE_HOME, HOME");
    } else if (cache != NULL) {
        cache->path = file_name(directory, prefix, name);
        const int code = directory_make(directory) ? 0 : errno;
        if (cache->path == NULL) {
            not_remembered(cache, gb_reason(ENOMEM), directory);
        } else if (access(cache->path, R_OK | W_OK) != 0 && errno != ENOENT) {
            not_remembered(cache, gb_reason(errno), cache->path); /* it may still be readable */
        } else if (code != 0) {
            not_remembered(cache, gb_reason(code), directory);
        }
    }
    free(directory);
    return cache;
}

void gemm_cache_close(gemm_cache *cache)
{
    if (cache != NULL) {
        free(cache->path);
        free(cache);
    }
}

const char *gemm_cache_reason(const gemm_cache *cache)
{
    return cache->reason[0] != '\0' ? cache->reason : NULL;
}

/* ---- lines ---- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The line of a choice, with its newline; to be freed. NULL without memory. */
static char *line_write(const char *key, const gemm_choice *choice)
{
    char algo[2 * GEMM_CACHE_ALGO_BYTES + 1], *body = NULL, *line = NULL;
    for (int i = 0; i < GEMM_CACHE_ALGO_BYTES; i++) {
        snprintf(algo + 2 * i, 3, "%02x", choice->algo[i]);
    }
    if (asprintf(&body, "%s %.6f %s", algo, choice->time_ms, key) < 0) {
        return NULL;
    }
    if (asprintf(&line, "%016llx %s\n", (unsigned long long)XXH64(body, strlen(body), 0), body) <
        0) {
        line = NULL;
    }
    free(body);
    return line;
}

/* Whether the line (without newline) is a good one for this key; then its choice. */
static bool line_read(const char *line, size_t length, const char *key, gemm_choice *out)
{
    char sum[SUM_DIGITS + 1];
    const size_t key_length = strlen(key);
    if (length < TIME_AT + key_length || memcmp(line + length - key_length, key, key_length) != 0) {
        return false;
    }
    snprintf(sum, sizeof sum, "%016llx",
             (unsigned long long)XXH64(line + ALGO_AT, length - ALGO_AT, 0));
    if (memcmp(line, sum, SUM_DIGITS) != 0 || line[SUM_DIGITS] != ' ') {
        return false;
    }
    for (int i = 0; i < GEMM_CACHE_ALGO_BYTES; i++) {
        const int high = hex_digit(line[ALGO_AT + 2 * i]),
                  low = hex_digit(line[ALGO_AT + 2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        out->algo[i] = (unsigned char)(16 * high + low);
    }
    /* Between algorithm and key there is a number and nothing else: else the key is the end of a
     * longer one. The line is part of a text that ends with NUL, so that strtod stops. */
    char *end;
    out->time_ms = strtod(line + TIME_AT, &end);
    return line[TIME_AT - 1] == ' ' && end > line + TIME_AT && *end == ' ' &&
           end + 1 == line + length - key_length;
}

/* The last good line for the key. An unfinished line at the end is none. */
static bool text_find(const char *text, size_t size, const char *key, gemm_choice *out)
{
    bool found = false;
    for (const char *line = text, *end; line < text + size; line = end + 1) {
        gemm_choice choice;
        end = memchr(line, '\n', (size_t)(text + size - line));
        if (end == NULL) {
            break;
        }
        if (line_read(line, (size_t)(end - line), key, &choice)) {
            *out = choice;
            found = true;
        }
    }
    return found;
}

/* ---- file ---- */

/* The whole file and a NUL behind it; to be freed. NULL, with errno, where that is not possible. */
static char *file_read(int fd, size_t *size)
{
    struct stat about;
    if (fstat(fd, &about) != 0) {
        return NULL;
    }
    if (!S_ISREG(about.st_mode) || about.st_size > FILE_LIMIT_BYTES) {
        errno = S_ISREG(about.st_mode) ? EFBIG : EINVAL;
        return NULL;
    }
    char *text = malloc((size_t)about.st_size + 1);
    *size = 0;
    while (text != NULL && *size < (size_t)about.st_size) {
        const ssize_t n = pread(fd, text + *size, (size_t)about.st_size - *size, (off_t)*size);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            break; /* shorter than it was, or damaged: what there is counts */
        }
        *size += (size_t)n;
    }
    if (text != NULL) {
        text[*size] = '\0';
    }
    return text;
}

/* Not to wait for the other end where the name is a pipe's. */
static int file_open(const gemm_cache *cache, int flags)
{
    return open(cache->path, flags | O_CLOEXEC | O_NONBLOCK, 0644);
}

bool gemm_cache_find(const gemm_cache *cache, const char *key, gemm_choice *out)
{
    const int fd = cache->path != NULL ? file_open(cache, O_RDONLY) : -1;
    if (fd < 0) {
        return false;
    }
    size_t size;
    char *text = file_read(fd, &size);
    const bool found = text != NULL && text_find(text, size, key, out);
    free(text);
    close(fd);
    return found;
}

/* One write, so that a line is there as a whole or is the unfinished last one. */
static bool file_append(int fd, const char *heading, const char *text, size_t size,
                        const char *line)
{
    char *all = NULL;
    const bool unfinished = size > 0 && text[size - 1] != '\n';
    const int length =
        asprintf(&all, "%s%s%s", size == 0 ? heading : "", unfinished ? "\n" : "", line);
    if (length < 0) {
        errno = ENOMEM;
        return false;
    }
    const ssize_t written = write(fd, all, (size_t)length);
    free(all);
    if (written >= 0 && written < length) {
        errno = ENOSPC; /* the part that was written is ignored as an unfinished line */
    }
    return written == length;
}

/* With the lock held. */
static bool store_locked(int fd, const char *heading, const char *key, const gemm_choice *refused,
                         gemm_choice *choice)
{
    size_t size;
    gemm_choice there;
    bool done = false;
    char *text = file_read(fd, &size), *line = NULL;
    if (text != NULL && text_find(text, size, key, &there) &&
        (refused == NULL || memcmp(there.algo, refused->algo, sizeof there.algo) != 0)) {
        *choice = there;
        done = true;
    } else if (text != NULL) {
        line = line_write(key, choice);
        done = line != NULL && file_append(fd, heading, text, size, line);
    }
    const int code = errno;
    free(line);
    free(text);
    errno = code;
    return done;
}

void gemm_cache_store(gemm_cache *cache, const char *key, const gemm_choice *refused,
                      gemm_choice *choice)
{
    if (cache->reason[0] != '\0') {
        return;
    }
    const int fd = file_open(cache, O_RDWR | O_APPEND | O_CREAT);
    int locked = -1;
    if (fd >= 0) {
        do {
            locked = flock(fd, LOCK_EX);
        } while (locked != 0 && errno == EINTR);
    }
    if (locked != 0 || !store_locked(fd, cache->heading, key, refused, choice)) {
        not_remembered(cache, gb_reason(errno), cache->path);
    }
    if (fd >= 0) {
        close(fd); /* and with it the lock */
    }
}
