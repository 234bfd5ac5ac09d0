#include "bench/base/staging.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/base/directories.h"
#include "kernels/process_limits.h"

#define NAME ".gptbench-"

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static bool path_join(char *out, size_t size, const char *dir, const char *name)
{
    return snprintf(out, size, "%s/%s", dir, name) < (int)size;
}

/* Follows no links. */
static void tree_remove(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        char inner[4096];
        if (is_dots(entry->d_name) || !path_join(inner, sizeof inner, path, entry->d_name)) {
            continue;
        }
        if (unlink(inner) != 0 && errno == EISDIR) {
            tree_remove(inner);
        }
    }
    if (dir) {
        closedir(dir);
    }
    rmdir(path);
}

/* Of processes that ended in the middle. One whose number was given away again stays for now. */
static void leftovers_remove(const char *out_dir)
{
    DIR *dir = opendir(out_dir);
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        char path[4096];
        const char *name = entry->d_name;
        long pid =
            strncmp(name, NAME, strlen(NAME)) == 0 ? strtol(name + strlen(NAME), NULL, 10) : 0;
        if (pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH &&
            path_join(path, sizeof path, out_dir, name)) {
            tree_remove(path);
        }
    }
    if (dir) {
        closedir(dir);
    }
}

gb_status staging_begin(staging *st, const char *out_dir, gb_error *err)
{
    st->out_dir = out_dir;
    st->dir[0] = '\0';
    GB_TRY(directories_make(out_dir, true, err));
    leftovers_remove(out_dir);
    char path[sizeof st->dir];
    int length = snprintf(path, sizeof path, "%s/" NAME "%ld", out_dir, (long)getpid());
    if (length >= (int)sizeof path) {
        return gb_fail(err, GB_ERR_USAGE, "%.200s...: the path is too long", out_dir);
    }
    tree_remove(path); /* of an earlier process with this number */
    if (mkdir(path, 0777) != 0) {
        return gb_fail(err, GB_ERR_IO, "%s: cannot be written in: %s", out_dir, gb_reason(errno));
    }
    memcpy(st->dir, path, (size_t)length + 1);
    return GB_OK;
}

/* The folder may have come from somebody else, with links in it to files of ours; and what is no
 * file at all is not ours to replace. */
static gb_status place_check(const char *target, bool folder, bool replace, gb_error *err)
{
    struct stat there;
    if (lstat(target, &there) != 0) {
        return GB_OK;
    }
    if (!folder && !replace && S_ISREG(there.st_mode)) {
        return gb_fail(err, GB_ERR_USAGE,
                       "%s: exists, and was not written by gptbench; name another folder", target);
    }
    if (folder ? S_ISDIR(there.st_mode) : S_ISREG(there.st_mode)) {
        return GB_OK;
    }
    return gb_fail(err, GB_ERR_IO, "%s: cannot be written: %s; remove it", target,
                   S_ISLNK(there.st_mode) ? "it is a symbolic link"
                   : folder               ? "not a folder"
                                          : "not a regular file");
}

typedef enum tree_task { TREE_MOVE, TREE_CHECK, TREE_CHECK_FREE } tree_task;

/* Moves the files to their places, or only looks whether they can be, or whether their places are
 * free. */
static gb_status tree_move(const char *from, const char *to, tree_task task, gb_error *err)
{
    DIR *dir = opendir(from);
    struct dirent *entry;
    gb_status status = dir ? GB_OK : gb_fail(err, GB_ERR_IO, "%s: %s", from, gb_reason(errno));
    while (status == GB_OK && (entry = readdir(dir))) {
        char source[4096], target[4096];
        struct stat info;
        if (is_dots(entry->d_name)) {
            continue;
        }
        if (!path_join(source, sizeof source, from, entry->d_name) ||
            !path_join(target, sizeof target, to, entry->d_name) || lstat(source, &info) != 0) {
            status = gb_fail(err, GB_ERR_USAGE, "%.200s...: the path is too long", to);
        } else if ((status = place_check(target, S_ISDIR(info.st_mode), task != TREE_CHECK_FREE,
                                         err)) != GB_OK) {
            break;
        } else if (S_ISDIR(info.st_mode)) {
            status =
                task != TREE_MOVE || mkdir(target, 0777) == 0 || errno == EEXIST
                    ? tree_move(source, target, task, err)
                    : gb_fail(err, GB_ERR_IO, "%s: cannot be made: %s", target, gb_reason(errno));
        } else if (task == TREE_MOVE && rename(source, target) != 0) {
            status = gb_fail(err, GB_ERR_IO, "%s: cannot be written: %s", target, gb_reason(errno));
        }
    }
    if (dir) {
        closedir(dir);
    }
    return status;
}

gb_status staging_check(const staging *st, bool replace, gb_error *err)
{
    return tree_move(st->dir, st->out_dir, replace ? TREE_CHECK : TREE_CHECK_FREE, err);
}

gb_status staging_publish(staging *st, const char *first, gb_error *err)
{
    char source[4096], target[4096];
    if (path_join(source, sizeof source, st->dir, first) &&
        path_join(target, sizeof target, st->out_dir, first) && access(source, F_OK) == 0 &&
        rename(source, target) != 0) {
        return gb_fail(err, GB_ERR_IO, "%s: cannot be written: %s", target, gb_reason(errno));
    }
    return tree_move(st->dir, st->out_dir, TREE_MOVE, err);
}

void staging_drop(staging *st)
{
    if (st->dir[0]) {
        tree_remove(st->dir);
        st->dir[0] = '\0';
    }
}

void staging_rename_in(const staging *st, char *message)
{
    size_t n = strlen(st->dir), kept = strlen(st->out_dir);
    for (char *at = n ? strstr(message, st->dir) : NULL; at; at = strstr(at + kept, st->dir)) {
        memmove(at + kept, at + n, strlen(at + n) + 1);
    }
}
