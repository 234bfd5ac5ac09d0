#include "bench/analysis/entry_floor.h"

#include <string.h>

#include "model/gemm_shape.h"

static gb_phase phase_find(const char *name)
{
    int phase = 0;
    while (phase < GB_PHASE_COUNT && strcmp(gb_phase_name((gb_phase)phase), name) != 0) {
        phase++;
    }
    return (gb_phase)phase;
}

bool entry_work(const findings *data, const result_entry *entry, gpt_config *model,
                op_floor_shape *shape)
{
    const config_facts *config = &data->facts->configs[entry->config];
    const run_facts *run = entry->runs[0];
    *model = config->model;
    *shape = (op_floor_shape){.batch_size = run->batch_size,
                              .sequence_length = run->sequence_length,
                              .act_bytes = strcmp(entry->precision, "bf16") == 0 ? 2 : 4};
    return run->batch_size > 0 && run->sequence_length > 0 && config->model_known;
}

op_floor entry_op_floor(const findings *data, const result_entry *entry, const char *phase,
                        const char *op)
{
    gpt_config model;
    op_floor_shape shape;
    gb_phase in = phase_find(phase);
    gb_op which = gpt_op_find(op);
    if (in == GB_PHASE_COUNT || which == GB_OP_COUNT || !entry_work(data, entry, &model, &shape)) {
        return (op_floor){0, 0};
    }
    return op_floor_of_batches(&model, &shape, entry->runs[0]->grad_accumulation_steps, in, which);
}

op_rates entry_rates(const result_entry *entry)
{
    const run_facts *run = entry->runs[0];
    return (op_rates){run->gemm_peak_flops_per_s, run->copy_bytes_per_s};
}
