/* json_value.h: values for JSON output, and writing it. */
#ifndef GPTBENCH_BENCH_JSON_VALUE_H
#define GPTBENCH_BENCH_JSON_VALUE_H

#include <jansson.h>

#include "kernels/status.h"

/* A string whatever its bytes: JSON must be UTF-8. NULL without memory. */
json_t *json_value_text(const char *text);
/* null where it is not finite. */
json_t *json_value_number(double x);
/* Writes `root` to stdout, indented, with all digits, and lets it go. GB_ERR_OOM when `root` is
 * NULL or memory lacked since json_memory_watch (model/json_text.h); GB_ERR_IO. */
gb_status json_value_print(json_t *root, gb_error *err);

#endif
