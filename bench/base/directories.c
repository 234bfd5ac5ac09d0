#include "bench/base/directories.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "kernels/process_limits.h"

static bool is_directory(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

gb_status directories_make(const char *path, bool last, gb_error *err)
{
    char *copy = strdup(path);
    if (!copy) {
        return gb_fail(err, GB_ERR_OOM, "%s: no memory for a path", path);
    }
    gb_status status = GB_OK;
    for (char *p = copy + 1; status == GB_OK && p[-1]; p++) {
        const char end = *p;
        if (end != '/' && (end != '\0' || !last)) {
            continue;
        }
        *p = '\0';
        if (mkdir(copy, 0777) != 0) {
            const int why = errno; // before a look at what is there changes it
            if (!is_directory(copy)) {
                status = gb_fail(err, GB_ERR_IO, "%s: cannot make the directory %s: %s", path, copy,
                                 gb_reason(why));
            }
        }
        *p = end;
    }
    free(copy);
    return status;
}
