#include "bench/base/whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernels/process_limits.h"

#define PATH_BYTES 4200

static bool temporary_name(char *out, const char *path)
{
    return snprintf(out, PATH_BYTES, "%s.tmp-%ld", path, (long)getpid()) < PATH_BYTES;
}

FILE *whole_file_open(const char *path, gb_error *err)
{
    char temporary[PATH_BYTES];
    struct stat there;
    if (!temporary_name(temporary, path)) {
        gb_fail(err, GB_ERR_IO, "%.200s...: the path is too long", path);
        return NULL;
    }
    /* Renaming would take its place, and that may not be meant. */
    if (lstat(path, &there) == 0 && !S_ISREG(there.st_mode)) {
        gb_fail(err, GB_ERR_IO, "%s: cannot be written: %s", path,
                S_ISLNK(there.st_mode) ? "it is a symbolic link; remove it"
                                       : "not a regular file; remove it");
        return NULL;
    }
    unlink(temporary); /* of a process that had our number and was killed */
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!file) {
        gb_fail(err, GB_ERR_IO, "%s: cannot be written: %s", path, gb_reason(errno));
        if (fd >= 0) {
            close(fd);
            unlink(temporary);
        }
    }
    return file;
}

gb_status whole_file_close(FILE *file, const char *path, bool keep, gb_error *err)
{
    char temporary[PATH_BYTES];
    bool named = temporary_name(temporary, path);
    bool lost = ferror(file) != 0; /* why is no longer known */
    bool good = fclose(file) == 0 && !lost && named;
    if (keep && good && rename(temporary, path) == 0) {
        return GB_OK;
    }
    int why = errno;
    if (named) {
        unlink(temporary);
    }
    return !keep  ? GB_OK
           : lost ? gb_fail(err, GB_ERR_IO, "%s: writing failed (%s)", path, gb_write_doubt())
                  : gb_fail(err, GB_ERR_IO, "%s: writing failed: %s", path, gb_reason(why));
}
