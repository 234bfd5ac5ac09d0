#include "model/near_file.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "model/config.h"

static bool name_ends(const char *name, const char *ending)
{
    size_t length = strlen(name), wanted = ending ? strlen(ending) : 0;
    return length > wanted && (!ending || strcmp(name + length - wanted, ending) == 0);
}

/* Length of a name without its ending. */
static size_t stem_length(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && dot > name ? (size_t)(dot - name) : strlen(name);
}

static bool same_stem(const char *a, const char *b)
{
    size_t length = stem_length(a);
    return length == stem_length(b) && strncmp(a, b, length) == 0;
}

static void near_name_find(char chosen[256], const char *folder, const char *name,
                           const char *ending)
{
    DIR *dir = opendir(folder[0] ? folder : ".");
    for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.' || !name_ends(entry->d_name, ending)) {
            continue;
        }
        /* The nearest of those seen so far and this one; a slip goes before another ending. */
        const char *const names[] = {entry->d_name, chosen[0] ? chosen : NULL, NULL};
        const char *near = gb_nearest_name(name, names);
        if (near == entry->d_name || (!near && !chosen[0] && same_stem(name, entry->d_name))) {
            snprintf(chosen, 256, "%s", entry->d_name);
        }
    }
    if (dir) {
        closedir(dir);
    }
}

near_file near_file_find(const char *path, const char *ending)
{
    near_file out = {.hint = ""};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    char folder[200], chosen[256] = "";
    int length = slash ? (int)(slash - path) + 1 : 0;
    if (length >= (int)sizeof folder || !*name) {
        return out;
    }
    snprintf(folder, sizeof folder, "%.*s", length, path);
    const int why = errno;
    near_name_find(chosen, folder, name, ending);
    errno = why;
    if (chosen[0]) {
        snprintf(out.hint, sizeof out.hint, "; did you mean %s%s?", folder, chosen);
    }
    return out;
}
