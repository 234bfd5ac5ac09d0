/* nvtx.h: names for what the host issues, as ranges that NVIDIA's tools (Nsight Systems) and any
 * other NVTX listener show: step > phase > layer > op, in a domain of our own, "gptbench". The
 * names are those of the ledger, registered once.
 *
 * The header of NVTX comes with the CUDA toolkit; a build without it has these functions too, and
 * they do nothing. Where nothing listens gb_nvtx_open gives NULL, which every function takes: an
 * op's range is then two comparisons with NULL, about a nanosecond (0.9 to 1.3 ns in three runs of
 * `make bench`, line "ranges of an op", on two shared cores of an AMD EPYC; a step of d12 has some
 * 300 ops).
 *
 * Ranges are of the host, around what it issues. A replay of recorded ops is one call: it has the
 * range of its phase ("forward and backward" for a whole pass) and no ranges of layers and ops,
 * which stand in the steps that issue op by op: the first ones, the one that records, and all where
 * a backend does not record. */
#ifndef GPTBENCH_KERNELS_NVTX_H
#define GPTBENCH_KERNELS_NVTX_H

#include "kernels/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

#define GB_NVTX_DOMAIN        "gptbench"
#define GB_NVTX_WHOLE_PASS    "forward and backward"
#define GB_NVTX_CATEGORIES(X) /* X(enum suffix, name): what a range is */                          \
    X(STEP, "step")                                                                                \
    X(PHASE, "phase")                                                                              \
    X(LAYER, "layer")                                                                              \
    X(OP, "op")

/* Whether this build has NVTX. */
bool gb_nvtx_built_in(void);

/* The ranges of one thread that trains. NULL where nothing listens, where NVTX is not built in, and
 * where memory is short. Layers are 0 to n_layers - 1. */
gb_nvtx *gb_nvtx_open(int n_layers);
void gb_nvtx_close(gb_nvtx *ranges); /* ends what is open; NULL is fine */

/* The functions behind those below; `ranges` is not NULL. */
void gb_nvtx_enter_step(gb_nvtx *ranges, int64_t step);
void gb_nvtx_enter_scope(gb_nvtx *ranges, gb_phase phase, int layer);
void gb_nvtx_enter_pass(gb_nvtx *ranges);
void gb_nvtx_enter_op(gb_nvtx *ranges, gb_op op);
void gb_nvtx_leave_op(gb_nvtx *ranges);
void gb_nvtx_leave_scope(gb_nvtx *ranges);
void gb_nvtx_leave_step(gb_nvtx *ranges);

/* A step, 0-based; its number is the range's payload. Ending it ends what is open in it. */
static inline void gb_nvtx_step_begin(gb_nvtx *ranges, int64_t step)
{
    if (ranges) {
        gb_nvtx_enter_step(ranges, step);
    }
}

static inline void gb_nvtx_step_end(gb_nvtx *ranges)
{
    if (ranges) {
        gb_nvtx_leave_step(ranges);
    }
}

/* What follows is of this phase and layer (-1: none): ends and begins ranges where they differ from
 * those that are open. */
static inline void gb_nvtx_scope(gb_nvtx *ranges, gb_phase phase, int layer)
{
    if (ranges) {
        gb_nvtx_enter_scope(ranges, phase, layer);
    }
}

/* What follows is a replay of a whole pass. */
static inline void gb_nvtx_pass(gb_nvtx *ranges)
{
    if (ranges) {
        gb_nvtx_enter_pass(ranges);
    }
}

static inline void gb_nvtx_scope_end(gb_nvtx *ranges)
{
    if (ranges) {
        gb_nvtx_leave_scope(ranges);
    }
}

/* An op is issued. Ops do not nest; one that failed before its end is ended by whatever comes next.
 */
static inline void gb_nvtx_op_begin(gb_nvtx *ranges, gb_op op)
{
    if (ranges) {
        gb_nvtx_enter_op(ranges, op);
    }
}

static inline void gb_nvtx_op_end(gb_nvtx *ranges)
{
    if (ranges) {
        gb_nvtx_leave_op(ranges);
    }
}

#ifdef __cplusplus
}
#endif
#endif
