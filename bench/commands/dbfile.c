#include "bench/commands/dbfile.h"

#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* When a database was last written: what is in its -wal file is newer than the file itself. */
static double changed_at(const char *path)
{
    char wal[4096];
    struct stat st;
    double newest = 0;
    snprintf(wal, sizeof wal, "%s-wal", path);
    const char *paths[] = {path, wal};
    for (int i = 0; i < 2; i++) {
        if (stat(paths[i], &st) == 0) {
            double t = (double)st.st_mtim.tv_sec + (double)st.st_mtim.tv_nsec * 1e-9;
            newest = t > newest ? t : newest;
        }
    }
    return newest;
}

gb_status dbfile_choose(char *out, size_t size, const char *given, gb_error *err)
{
    glob_t found = {0};
    const char *chosen = given;
    double newest = -1;
    if (!given && glob(DBFILE_PATTERN, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            double t = changed_at(found.gl_pathv[i]);
            if (t > newest) {
                newest = t;
                chosen = found.gl_pathv[i];
            }
        }
    }
    gb_status status = GB_OK;
    if (!chosen) {
        status = gb_fail(err, GB_ERR_USAGE,
                         "no database in results/; `gptbench run SUITE.ini` makes one, --db FILE"
                         " names one elsewhere");
    } else if (snprintf(out, size, "%s", chosen) >= (int)size) {
        status = gb_fail(err, GB_ERR_USAGE, "%s: the path is too long", chosen);
    }
    globfree(&found);
    return status;
}
