/* step_trace.h: what one training step of a configuration does, as the model code really issues it:
 * the same calls as in training, against a backend that computes nothing (op_trace.h). Nothing is
 * loaded or initialised. */
#ifndef GPTBENCH_MODEL_STEP_TRACE_H
#define GPTBENCH_MODEL_STEP_TRACE_H

#include "model/op_trace.h"
#include "model/train_spec.h"

typedef struct step_trace {
    uint64_t hash; /* op_trace_hash, with the number of micro-batches */
    int64_t n_calls;
    op_trace_call *calls; /* NULL unless asked for */
} step_trace;

/* The first step of training by `spec`, which is resolved; both are valid. Of the micro-batches the
 * first and, where there are more, one of the further ones, which are all alike. With `list` the
 * calls are kept; step_trace_clear frees them. GB_ERR_OOM. */
gb_status step_trace_make(step_trace *out, const gpt_config *config, const train_spec *spec,
                          bool list, gb_error *err);
void step_trace_clear(step_trace *trace);

/* Whether the key of train_spec_keys acts within the step and is therefore seen in the trace; false
 * for what acts around it: num_iterations, warm-up and warm-down, validations, the seed. */
bool step_trace_shows(const char *spec_key);

#endif
