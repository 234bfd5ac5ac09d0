/* data_check.h: the data of a suite, opened, checked and hashed as its runs will: what `run` and
 * `plan` want to know before anything is trained. */
#ifndef GPTBENCH_BENCH_DATA_CHECK_H
#define GPTBENCH_BENCH_DATA_CHECK_H

#include "bench/plan/data_use.h"
#include "bench/suite/suite.h"

/* Data as cells name them. */
typedef struct data_facts {
    char spec[256];
    bool validation;
    int64_t vocab_size;
    char hash[40];
    double entropy_rate_nats;
    data_shards shards; /* a synthetic source is one without an end */
} data_facts;

typedef struct data_check data_check;

/* Opens what every cell names and looks whether it holds what the cell asks for. GB_ERR_USAGE,
 * GB_ERR_FORMAT, GB_ERR_IO: "FILE:LINE: ..." with the line of `train` or `val`, or "--train: ..."
 * where suite_override_data gave it. */
gb_status data_check_make(data_check **out, const suite *suite, gb_error *err);
void data_check_free(data_check *check); /* NULL is fine */

/* The training or validation data of a cell of that suite. */
const data_facts *data_check_find(const data_check *check, const suite_cell *cell, bool validation);

/* Which of the validation tokens stand in the training data, whatever the config; points into
 * check. Zeroed where one of them is synthetic. */
const data_overlap *data_check_overlap(const data_check *check);

/* How the cells, or those of them that the glob `only` names (NULL: all), use the data. *use points
 * into check and suite. GB_ERR_OOM. */
gb_status data_check_use(data_use *use, const data_check *check, const suite *suite,
                         const char *only, gb_error *err);

#endif
