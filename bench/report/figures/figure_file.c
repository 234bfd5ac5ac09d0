#include "bench/report/figures/figure_file.h"

#include "bench/base/whole_file.h"

FILE *figure_file_open(const char *dir, const char *name, gb_error *err)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path) {
        gb_fail(err, GB_ERR_USAGE, "%.200s...: the path is too long", dir);
        return NULL;
    }
    return whole_file_open(path, err);
}

gb_status figure_file_finish(FILE *file, const char *dir, const char *name, gb_status so_far,
                             gb_error *err)
{
    char path[4096];
    if (!file) {
        return so_far;
    }
    snprintf(path, sizeof path, "%s/%s", dir, name); /* as long as when it was opened */
    gb_status closed = whole_file_close(file, path, so_far == GB_OK, err);
    return so_far != GB_OK ? so_far : closed;
}

gb_status figure_file_close(FILE *file, const char *dir, const char *name, gb_error *err)
{
    return figure_file_finish(file, dir, name, GB_OK, err);
}

gb_status figure_files_open(FILE **files, const char *const *names, int n, const char *dir,
                            gb_error *err)
{
    gb_status status = GB_OK;
    for (int i = 0; i < n; i++) {
        files[i] = status == GB_OK ? figure_file_open(dir, names[i], err) : NULL;
        status = files[i] ? GB_OK : GB_ERR_IO;
    }
    return status;
}

gb_status figure_files_finish(FILE *const *files, const char *const *names, int n, const char *dir,
                              gb_status so_far, gb_error *err)
{
    for (int i = 0; i < n; i++) {
        so_far = figure_file_finish(files[i], dir, names[i], so_far, err);
    }
    return so_far;
}
