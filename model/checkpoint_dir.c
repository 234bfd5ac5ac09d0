#include "model/checkpoint_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernels/process_limits.h"

#define NAME_FORMAT "step-%012" PRId64 ".safetensors"
#define UNFINISHED  ".tmp"

/* The steps in a name of NAME_FORMAT, -1 for any other name. */
static int64_t name_steps(const char *name)
{
    int64_t steps;
    char again[64];
    if (sscanf(name, "step-%" SCNd64, &steps) != 1 || steps < 0) {
        return -1;
    }
    snprintf(again, sizeof again, NAME_FORMAT, steps);
    return strcmp(name, again) == 0 ? steps : -1;
}

void checkpoint_dir_path(char *out, size_t out_size, const char *dir, int64_t steps)
{
    snprintf(out, out_size, "%s/" NAME_FORMAT, dir, steps);
}

/* ---- making ---- */

gb_status checkpoint_dir_sync(const char *path, gb_error *err)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash && slash != path ? (size_t)(slash - path) : 1;
    char *folder = slash ? strndup(path, length) : strdup(".");
    if (!folder) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %s", path);
    }
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && fsync(fd) == 0;
    int why = errno;
    if (fd >= 0) {
        close(fd);
    }
    free(folder);
    return good ? GB_OK
                : gb_fail(err, GB_ERR_IO, "the folder of %s cannot be synced: %s", path,
                          gb_reason(why));
}

/* One folder; the one above it is synced when this one is new. */
static gb_status level_make(const char *path, gb_error *err)
{
    if (mkdir(path, 0777) != 0) {
        return errno == EEXIST ? GB_OK
                               : gb_fail(err, GB_ERR_IO, "%s: cannot make this folder: %s", path,
                                         gb_reason(errno));
    }
    return checkpoint_dir_sync(path, err);
}

gb_status checkpoint_dir_make(const char *dir, gb_error *err)
{
    char *path = strdup(dir);
    gb_status status = path && *path ? GB_OK : gb_fail(err, GB_ERR_OOM, "no memory for %s", dir);
    for (char *slash = path && *path ? strchr(path + 1, '/') : NULL; slash && status == GB_OK;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        status = level_make(path, err);
        *slash = '/';
    }
    if (status == GB_OK) {
        status = level_make(path, err);
    }
    free(path);
    return status;
}

gb_status checkpoint_dir_lock(const char *dir, int *fd, gb_error *err)
{
    *fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0) {
        return gb_fail(err, GB_ERR_IO, "%s: %s", dir, gb_reason(errno));
    }
    if (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
        close(*fd);
        *fd = -1;
        return gb_fail(err, GB_ERR_USAGE, "%s: another process works with these checkpoints", dir);
    }
    return GB_OK;
}

/* ---- what is there ---- */

static int compare_descending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

gb_status checkpoint_dir_list(const char *dir, int64_t **steps, int *n, gb_error *err)
{
    DIR *folder = opendir(dir);
    *steps = NULL;
    *n = 0;
    if (!folder) {
        return GB_OK;
    }
    gb_status status = GB_OK;
    for (struct dirent *entry; status == GB_OK && (entry = readdir(folder)) != NULL;) {
        int64_t found = name_steps(entry->d_name);
        int64_t *more = found < 0 ? *steps : realloc(*steps, ((size_t)*n + 1) * sizeof **steps);
        if (found >= 0 && more) {
            more[(*n)++] = found;
            *steps = more;
        } else if (found >= 0) {
            status = gb_fail(err, GB_ERR_OOM, "no memory to list %s", dir);
        }
    }
    closedir(folder);
    if (*n > 0) {
        qsort(*steps, (size_t)*n, sizeof **steps, compare_descending);
    }
    return status;
}

/* ---- removing: what cannot be removed stays, and does no harm ---- */

static void steps_remove(const char *dir, int64_t steps)
{
    char path[4096];
    checkpoint_dir_path(path, sizeof path, dir, steps);
    unlink(path);
}

void checkpoint_dir_prune(const char *dir, int64_t steps)
{
    int64_t *found;
    int n, kept = 0;
    if (checkpoint_dir_list(dir, &found, &n, NULL) == GB_OK) {
        for (int i = 0; i < n; i++) {
            if (found[i] <= steps && ++kept > CHECKPOINTS_KEPT) {
                steps_remove(dir, found[i]);
            }
        }
    }
    free(found);
}

void checkpoint_dir_trim(const char *dir, int64_t steps)
{
    int64_t *found;
    int n;
    if (checkpoint_dir_list(dir, &found, &n, NULL) == GB_OK) {
        for (int i = 0; i < n && found[i] > steps; i++) {
            steps_remove(dir, found[i]);
        }
    }
    free(found);
}

static bool name_is_unfinished(const char *name)
{
    char whole[64];
    size_t length = strlen(name), suffix = sizeof UNFINISHED - 1;
    if (length <= suffix || length - suffix >= sizeof whole ||
        strcmp(name + length - suffix, UNFINISHED) != 0) {
        return false;
    }
    snprintf(whole, sizeof whole, "%.*s", (int)(length - suffix), name);
    return name_steps(whole) >= 0;
}

void checkpoint_dir_sweep(const char *dir)
{
    DIR *folder = opendir(dir);
    for (struct dirent *entry; folder && (entry = readdir(folder)) != NULL;) {
        if (name_is_unfinished(entry->d_name)) {
            unlinkat(dirfd(folder), entry->d_name, 0);
        }
    }
    if (folder) {
        closedir(folder);
    }
}

void checkpoint_dir_clear(const char *dir)
{
    checkpoint_dir_trim(dir, -1);
    checkpoint_dir_sweep(dir);
    rmdir(dir);
}

void checkpoint_dir_remove(const char *dir)
{
    char above[4096];
    checkpoint_dir_clear(dir);
    int length = snprintf(above, sizeof above, "%s", dir);
    char *slash = length < (int)sizeof above ? strrchr(above, '/') : NULL;
    if (slash && slash != above) {
        *slash = '\0';
        rmdir(above); /* the last run's: only an empty folder goes */
    }
}
