/* entry_floor.h: the least bytes of an op in a step of an entry, from the model as the database has
 * it. */
#ifndef GPTBENCH_BENCH_ENTRY_FLOOR_H
#define GPTBENCH_BENCH_ENTRY_FLOOR_H

#include "bench/report_data.h"
#include "model/config.h"

/* The model of a config; false when the database describes none that can be. */
bool entry_model(const report_config *config, gpt_config *out);

/* Bytes per step that the op must move at least in this phase (model/op_floor.h; the micro-batches
 * of a step together). 0 where nothing is known: an op without a floor, a model that cannot be. */
double entry_least_bytes(const report_data *data, const report_entry *entry, const char *phase,
                         const char *op);

#endif
