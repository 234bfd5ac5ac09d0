/* What the kinds of kernels/backend.h are called, on the screen and in the database. */
#include "kernels/backend.h"

const char *gb_precision_name(gb_precision precision)
{
    static const char *const names[] = {"fp32", "bf16", "fp64"};
    return names[precision];
}

const char *gb_memory_group_name(gb_memory_group group)
{
    static const char *const names[GB_MEM_GROUPS] = {
        "weights", "master", "optimizer", "gradients", "activations", "workspace", "data"};
    return names[group];
}

const char *gb_op_name(gb_op op)
{
    static const char *const names[GB_OP_COUNT] = {
#define X(suffix, name) name,
        GB_OPS(X)
#undef X
    };
    return names[op];
}

const char *gb_phase_name(gb_phase phase)
{
    static const char *const names[GB_PHASE_COUNT] = {"data",   "forward", "backward",
                                                      "update", "eval",    "idle"};
    return names[phase];
}
