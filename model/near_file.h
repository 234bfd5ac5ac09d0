/* near_file.h: for the message that there is no such file: what lies beside it under almost that
 * name. */
#ifndef GPTBENCH_MODEL_NEAR_FILE_H
#define GPTBENCH_MODEL_NEAR_FILE_H

typedef struct near_file {
    char hint[512]; /* "; did you mean runs/mine.ini?", or "" */
} near_file;

/* Looks in the folder of `path` for a name that is a slip away (gb_nearest_name), or that differs
 * in what follows the last dot alone. `ending` (".ini") is what the name must end with; NULL: any.
 * Leaves errno alone. */
near_file near_file_find(const char *path, const char *ending);

#endif
