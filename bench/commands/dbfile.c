#include "bench/commands/dbfile.h"

#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "bench/base/same_file.h"
#include "bench/base/terminal.h"
#include "bench/store/store.h"

/* When a database was last written: what is in its -wal file is newer than the file itself. An
 * empty one is what reading leaves behind. */
static double changed_at(const char *path)
{
    char wal[4096];
    struct stat st;
    double newest = 0;
    snprintf(wal, sizeof wal, "%s-wal", path);
    const char *paths[] = {path, wal};
    for (int i = 0; i < 2; i++) {
        if (stat(paths[i], &st) == 0 && (i == 0 || st.st_size > 0)) {
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

void dbfile_say(const char *path, const char *suite)
{
    terminal_say(stdout, 2, "suite %s in %s\n", suite, path);
}

/* ---- what others have ---- */

/* Whether the database has all that is wanted; false too where it cannot be read. */
static bool database_has(const char *path, const dbfile_wanted *wanted)
{
    static const char suites[] = "SELECT count(*) FROM suite WHERE ?1 IS NULL OR name = ?1";
    static const char configs[] =
        "SELECT count(*) FROM config c JOIN suite s USING (suite_id) WHERE c.in_plan = 1"
        " AND (?1 IS NULL OR s.name = ?1) AND (c.name = ?2"
        " OR substr(?2, 1, length(c.name) + 1) = c.name || ' ')";
    static const char runs[] = "SELECT count(*) FROM run WHERE run_id = ?1";
    store *s = NULL;
    int64_t n = 0;
    gb_error unused = {.message = ""};
    gb_status status = store_open(&s, path, STORE_READ, &unused);
    if (status == GB_OK) {
        status = store_get_int(s, &n, 0, &unused, suites, "t", wanted->suite);
    }
    for (int i = 0; i < 2 && status == GB_OK && n > 0 && wanted->configs[i]; i++) {
        status = store_get_int(s, &n, 0, &unused, configs, "tt", wanted->suite, wanted->configs[i]);
    }
    if (status == GB_OK && n > 0 && wanted->run_id > 0) {
        status = store_get_int(s, &n, 0, &unused, runs, "i", wanted->run_id);
    }
    store_close(s);
    return status == GB_OK && n > 0;
}

static void wanted_format(char *out, size_t size, const dbfile_wanted *wanted)
{
    if (wanted->run_id > 0) {
        snprintf(out, size, "run %lld", (long long)wanted->run_id);
    } else if (wanted->configs[0]) {
        snprintf(out, size, "`%.100s`%s%.100s%s", wanted->configs[0],
                 wanted->configs[1] ? " and `" : "", wanted->configs[1] ? wanted->configs[1] : "",
                 wanted->configs[1] ? "`" : "");
    } else {
        snprintf(out, size, "suite `%.100s`", wanted->suite);
    }
}

/* Adds to the message which files other than `path` have what is wanted; returns how many. */
static int others_tell(const glob_t *found, const char *path, const dbfile_wanted *wanted,
                       gb_error *err)
{
    enum { TOLD = 3 };
    char what[256];
    const char *option = wanted->option ? wanted->option : "--db";
    int others = 0;
    wanted_format(what, sizeof what, wanted);
    for (size_t i = 0; i < found->gl_pathc && others < TOLD; i++) {
        const char *other = found->gl_pathv[i];
        size_t used = strlen(err->message), room = sizeof err->message - used;
        if (same_file(other, path) || !database_has(other, wanted)) {
            continue;
        }
        if (others++ == 0) {
            snprintf(err->message + used, room, "; %s has %s: %s %s", other, what, option, other);
        } else {
            snprintf(err->message + used, room, ", or %s %s", option, other);
        }
    }
    return others;
}

gb_status dbfile_tell_others(const char *path, const dbfile_wanted *wanted, gb_error *err)
{
    glob_t found = {0};
    if (!err || err->status != GB_ERR_USAGE || database_has(path, wanted) ||
        glob(DBFILE_PATTERN, 0, NULL, &found) != 0) {
        return err ? err->status : GB_ERR_USAGE;
    }
    if (others_tell(&found, path, wanted, err) == 0 && wanted->configs[1]) {
        /* None has both; one may have what is missing here. */
        for (int i = 0; i < 2; i++) {
            dbfile_wanted one = *wanted;
            one.configs[0] = wanted->configs[i];
            one.configs[1] = NULL;
            if (!database_has(path, &one)) {
                others_tell(&found, path, &one, err);
            }
        }
    }
    globfree(&found);
    return err->status;
}
