/* entry_floor.h: the least work of an op in a step of an entry, from the model as the database has
 * it, and the rates to hold it against. */
#ifndef GPTBENCH_BENCH_ENTRY_FLOOR_H
#define GPTBENCH_BENCH_ENTRY_FLOOR_H

#include "bench/analysis/findings.h"
#include "model/config.h"
#include "model/op_floor.h"

/* The model of an entry's config, and what each micro-batch of the entry's runs is; false where
 * they cannot be. */
bool entry_work(const findings *data, const result_entry *entry, gpt_config *model,
                op_floor_shape *shape);

/* The least that the op must do in this phase, per step (model/op_floor.h; the micro-batches of a
 * step together). {0, 0} where nothing is known: an op without a floor, a model that cannot be. */
op_floor entry_op_floor(const findings *data, const result_entry *entry, const char *phase,
                        const char *op);

/* The measured rates of the machine that it ran on. */
op_rates entry_rates(const result_entry *entry);

#endif
