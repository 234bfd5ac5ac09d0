/* report_json_parts.h: what the files share that make report.json. */
#ifndef GPTBENCH_BENCH_REPORT_JSON_PARTS_H
#define GPTBENCH_BENCH_REPORT_JSON_PARTS_H

#include <jansson.h>

#include "bench/analysis/findings.h"
#include "bench/base/json_value.h"

/* Objects as docs/REPORT_JSON.md describes them under `runs` and `data`; NULL without memory. */
json_t *report_run_json(const findings *data, const run_facts *run);
json_t *report_data_json(const findings *data);

/* "" where the database has nothing. */
static inline json_t *text_or_null(const char *s)
{
    return *s ? json_value_text(s) : json_null();
}

static inline json_t *index_or_null(int index)
{
    return index >= 0 ? json_integer(index) : json_null();
}

static inline json_t *config_name(const findings *data, int config)
{
    return config >= 0 ? json_value_text(data->facts->configs[config].name) : json_null();
}

/* jansson accepts NULL everywhere. Without memory a key is missing; of the outermost object that is
 * found before anything is written, and deeper a reader that needs the key finds it. */
static inline void set(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value);
}

#endif
