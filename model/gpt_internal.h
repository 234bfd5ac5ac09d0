/* gpt_internal.h: the model's own record; private to gpt*.c.
 *   gpt.c       life, weights
 *   gpt_pass.c  forward and backward of one batch
 *   gpt_step.c  what a training step is made of: batches, recordings, update, results */
#ifndef GPTBENCH_MODEL_GPT_INTERNAL_H
#define GPTBENCH_MODEL_GPT_INTERNAL_H

#include "kernels/nvtx.h"
#include "model/gpt.h"
#include "model/gpt_memory.h"

/* Sequences of ops that are the same in every step, so that a backend can record them once. */
typedef enum gpt_unit_kind {
    GPT_UNIT_FIRST, /* first micro-batch of a step: loss and gradients start anew */
    GPT_UNIT_MORE,  /* any further one */
    GPT_UNIT_UPDATE,
    GPT_UNITS
} gpt_unit_kind;

typedef struct gpt_unit {
    gb_recording *recording; /* NULL until it has run often enough */
    int runs;
    double constant; /* the one argument that is not on the device: grad_scale, or clips or not */
} gpt_unit;

/* Numbers of a step, on the device: what results_post sends. */
enum { GPT_RESULT_LOSS, GPT_RESULT_GRAD_SQUARES, GPT_RESULTS };

struct gpt {
    gpt_config config;
    gpt_options options;
    gpt_layout layout;
    const gb_backend *be;
    gb_device *dev;
    int act_bytes, wide_bytes;
    bool records; /* by the backend's wish; gpt_set_recording turns it off */
    int64_t B, T, N, C, H, K, D, F, window;
    double attn_scale; /* s = 1/sqrt(2L), of the attention branch */
    /* slabs; element i of tensor t is at offset t.offset + i */
    char *weights; /* act: what the GEMMs read; equal to master where the types agree */
    char *master, *grad, *m, *v; /* wide */
    char *activations;
    char *data;      /* gb_adamw, results, inputs and targets, as gpt_data_* of gpt_memory.h say */
    double *results; /* (GPT_RESULTS) */
    int32_t *inputs, *targets; /* (N) */
    gpt_buffers buf;
    gpt_unit units[GPT_UNITS];
};

/* Ops tell why they failed through the device. */
#define OP(model, call)                                                                            \
    do {                                                                                           \
        gb_status op_status_ = (model)->be->call;                                                  \
        if (op_status_ != GB_OK) {                                                                 \
            return gb_fail(err, op_status_, "%s", (model)->be->last_error((model)->dev));          \
        }                                                                                          \
    } while (0)

/* What the following ops belong to, for the ledger and for ranges. */
static inline void gpt_set_scope(gpt *g, gb_phase phase, int layer, gb_op which)
{
    g->be->set_scope(g->dev, phase, layer, which);
    gb_nvtx_scope(g->options.nvtx, phase, layer);
}

/* The batch in g->inputs and g->targets. Forward adds its loss to the sum in g->results, or
 * starts that anew with `first`; backward, with grad_scale, does the same to the gradients. */
gb_status gpt_forward_only(gpt *g, bool first, gb_error *err);
gb_status gpt_forward_backward(gpt *g, double grad_scale, bool first, gb_error *err);

#endif
