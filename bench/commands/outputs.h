/* outputs.h: what a command writes: never what it reads, and what it is. */
#ifndef GPTBENCH_BENCH_OUTPUTS_H
#define GPTBENCH_BENCH_OUTPUTS_H

#include "kernels/status.h"

/* A file of the command line, by the option that names it; `path` NULL: it was not given. Of what
 * is read it may also be a glob, or a source that is no file ("synth:..."). */
typedef struct named_file {
    const char *option, *path;
} named_file;

/* Before anything is written. Both lists end with an option that is NULL. GB_ERR_USAGE where one
 * file is to be written and read, or written twice, whatever it is called: links and other paths
 * count; and where a folder has that name. GB_ERR_IO where the folder of one is not there, or
 * closed to this user. */
gb_status outputs_check(const named_file *written, const named_file *read, gb_error *err);

/* Says on stderr that a file will hold safetensors where its name says something else, as `w.txt`
 * does; nothing for .safetensors, .st, or where `path` is NULL. */
void outputs_say_safetensors(const char *option, const char *path);

#endif
