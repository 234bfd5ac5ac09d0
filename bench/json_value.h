/* json_value.h: values for JSON output, and writing it. */
#ifndef GPTBENCH_BENCH_JSON_VALUE_H
#define GPTBENCH_BENCH_JSON_VALUE_H

#include <jansson.h>
#include <stdbool.h>

#include "kernels/status.h"

/* A call of jansson that gets no memory leaves out what it was to add, and most of its callers
 * cannot know. So from json_value_begin on its memory is watched, in this thread: */
void json_value_begin(void);
/* false when memory has lacked since: what was made is not whole. */
bool json_value_whole(void);

/* A string whatever its bytes: JSON must be UTF-8. NULL without memory. */
json_t *json_value_text(const char *text);
/* null where it is not finite. */
json_t *json_value_number(double x);
/* Writes `root` to stdout, indented, with all digits, and lets it go. GB_ERR_OOM when `root` is
 * NULL or not whole; GB_ERR_IO. */
gb_status json_value_print(json_t *root, gb_error *err);

#endif
