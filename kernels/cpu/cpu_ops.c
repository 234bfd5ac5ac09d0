/* The ops of gb_backend_cpu: each opens its ledger row and calls a kernel or a matrix product. */
#include <math.h>
#include <string.h>

#include "kernels/cpu/cpu_device.h"
#include "kernels/cpu/cpu_ops.h"

gb_status cpu_embed_forward(gb_device *dev, void *out, const int32_t *tokens, const void *wte,
                            int64_t N, int64_t C)
{
    const cpu_op op = cpu_op_begin(dev, GB_OP_EMBED);
    dev->kernels.embed_forward(out, tokens, wte, N, C, dev->bf16, cpu_op_ends(dev));
    cpu_op_end(dev, op, 0);
    return GB_OK;
}

gb_status cpu_embed_backward(gb_device *dev, void *dwte, const void *dout, const int32_t *tokens,
                             int64_t N, int64_t C, int64_t V)
{
    (void)V;
    const cpu_op op = cpu_op_begin(dev, GB_OP_EMBED);
    dev->kernels.embed_backward(dwte, dout, tokens, N, C, dev->bf16, cpu_op_ends(dev));
    cpu_op_end(dev, op, 0);
    return GB_OK;
}

gb_status cpu_add_norm_forward(gb_device *dev, void *x_out, void *h, void *inv_rms_h,
                               void *inv_rms_y, const void *x_in, const void *y, double scale,
                               bool post_norm, int64_t N, int64_t C)
{
    const cpu_op op = cpu_op_begin(dev, GB_OP_NORM);
    dev->kernels.add_norm_forward(&(cpu_norm_args){.x_out = x_out,
                                                   .h = h,
                                                   .inv_rms_h = inv_rms_h,
                                                   .inv_rms_y = inv_rms_y,
                                                   .x_in = x_in,
                                                   .y = y,
                                                   .scale = (float)scale,
                                                   .post_norm = post_norm,
                                                   .bf16 = dev->bf16,
                                                   .N = N,
                                                   .C = C,
                                                   .ends = cpu_op_ends(dev)});
    cpu_op_end(dev, op, 0);
    return GB_OK;
}

gb_status cpu_add_norm_backward(gb_device *dev, void *dx, void *dy, const void *dh, const void *h,
                                const void *inv_rms_h, const void *y, const void *inv_rms_y,
                                double scale, bool post_norm, bool first, int64_t N, int64_t C)
{
    const cpu_op op = cpu_op_begin(dev, GB_OP_NORM);
    dev->kernels.add_norm_backward(&(cpu_norm_grad_args){.dx = dx,
                                                         .dy = dy,
                                                         .dh = dh,
                                                         .h = h,
                                                         .y = y,
                                                         .inv_rms_h = inv_rms_h,
                                                         .inv_rms_y = inv_rms_y,
                                                         .scale = (float)scale,
                                                         .post_norm = post_norm,
                                                         .first = first,
                                                         .bf16 = dev->bf16,
                                                         .N = N,
                                                         .C = C,
                                                         .ends = cpu_op_ends(dev)});
    cpu_op_end(dev, op, 0);
    return GB_OK;
}

static gb_status linear(gb_device *dev, const cpu_gemm *gemm)
{
    const cpu_op op = cpu_op_begin(dev, GB_OP_COUNT);
    gb_status status = cpu_gemm_run(dev, gemm);
    cpu_op_end(dev, op, 2.0 * (double)gemm->M * (double)gemm->N * (double)gemm->K);
    return status;
}

gb_status cpu_linear_forward(gb_device *dev, void *y, const void *x, const void *w, int64_t N,
                             int64_t I, int64_t O)
{
    return linear(
        dev, &(cpu_gemm){.M = N, .N = O, .K = I, .b_transposed = true, .a = x, .b = w, .c = y});
}

gb_status cpu_linear_backward_input(gb_device *dev, void *dx, const void *dy, const void *w,
                                    int64_t N, int64_t I, int64_t O)
{
    return linear(dev, &(cpu_gemm){.M = N, .N = I, .K = O, .a = dy, .b = w, .c = dx});
}

gb_status cpu_linear_backward_weight(gb_device *dev, void *dw, const void *dy, const void *x,
                                     bool first, int64_t N, int64_t I, int64_t O)
{
    return linear(dev, &(cpu_gemm){.M = O,
                                   .N = I,
                                   .K = N,
                                   .a_transposed = true,
                                   .c_float = true,
                                   .accumulate = !first,
                                   .a = dy,
                                   .b = x,
                                   .c = dw});
}

/* The (T, D) table of cosines and sines; angles are computed in double. */
static float *rope_table(gb_device *dev, int64_t T, int64_t D)
{
    float *table = cpu_slot_get(dev, CPU_SLOT_ROPE, T * D * (int64_t)sizeof *table);
    if (table == NULL || (dev->rope_D == D && dev->rope_T >= T)) {
        return table;
    }
    const int64_t half = D / 2;
    for (int64_t i = 0; i < half; i++) {
        double frequency = pow(10000.0, -2.0 * (double)i / (double)D);
        for (int64_t t = 0; t < T; t++) {
            table[t * D + i] = (float)cos((double)t * frequency);
            table[t * D + half + i] = (float)sin((double)t * frequency);
        }
    }
    dev->rope_T = T;
    dev->rope_D = D;
    return table;
}

gb_status cpu_qk_rope_forward(gb_device *dev, void *qkv, void *inv_rms, bool qk_norm, int64_t B,
                              int64_t T, int64_t H, int64_t K, int64_t D)
{
    const cpu_op op = cpu_op_begin(dev, GB_OP_QK_ROPE);
    const float *table = rope_table(dev, T, D);
    if (table == NULL) {
        return GB_ERR_OOM;
    }
    dev->kernels.rope_forward(&(cpu_rope_args){.x = qkv,
                                               .inv_rms = qk_norm ? inv_rms : NULL,
                                               .cos_sin = table,
                                               .bf16 = dev->bf16,
                                               .B = B,
                                               .T = T,
                                               .H = H,
                                               .K = K,
                                               .D = D,
                                               .ends = cpu_op_ends(dev)});
    cpu_op_end(dev, op, 0);
    return GB_OK;
}

gb_status cpu_qk_rope_backward(gb_device *dev, void *dqkv, const void *qkv, const void *inv_rms,
                               bool qk_norm, int64_t B, int64_t T, int64_t H, int64_t K, int64_t D)
{
    const cpu_op op = cpu_op_begin(dev, GB_OP_QK_ROPE);
    const float *table = rope_table(dev, T, D);
    if (table == NULL) {
        return GB_ERR_OOM;
    }
    /* The kernel only reads inv_rms here; one argument type serves both directions. */
    float *saved = qk_norm ? (float *)(uintptr_t)inv_rms : NULL;
    dev->kernels.rope_backward(&(cpu_rope_args){.x = dqkv,
                                                .qkv = qkv,
                                                .inv_rms = saved,
                                                .cos_sin = table,
                                                .bf16 = dev->bf16,
                                                .B = B,
                                                .T = T,
                                                .H = H,
                                                .K = K,
                                                .D = D,
                                                .ends = cpu_op_ends(dev)});
    cpu_op_end(dev, op, 0);
    return GB_OK;
}

/* (query, key) pairs of one head of one sequence. */
static double attention_pairs(int64_t T, int64_t window)
{
    if (window <= 0 || window >= T) {
        return 0.5 * (double)T * (double)(T + 1);
    }
    double triangle = 0.5 * (double)(window + 1) * (double)(window + 2);
    return triangle + (double)(T - window - 1) * (double)(window + 1);
}

static gb_status attention(gb_device *dev, cpu_attention_args *args, bool backward)
{
    const cpu_op op = cpu_op_begin(dev, GB_OP_ATTENTION);
    args->bf16 = dev->bf16;
    args->ends = cpu_op_ends(dev);
    args->scratch_floats = cpu_attention_scratch_floats(args->T, args->D);
    args->scratch = cpu_slot_get(dev, CPU_SLOT_ATTENTION,
                                 dev->threads * args->scratch_floats * (int64_t)sizeof(float));
    if (args->scratch == NULL) {
        return GB_ERR_OOM;
    }
    double flops = (double)args->B * (double)args->H * (double)args->D *
                   attention_pairs(args->T, args->window);
    const cpu_kernels *k = &dev->kernels;
    const bool dots = dev->bf16 && !dev->bf16_emulated && k->attention_dots_forward != NULL;
    if (backward) {
        (dots ? k->attention_dots_backward : k->attention_backward)(args);
    } else {
        (dots ? k->attention_dots_forward : k->attention_forward)(args);
    }
    cpu_op_end(dev, op, (backward ? 8.0 : 4.0) * flops);
    return GB_OK;
}

gb_status cpu_attention_forward(gb_device *dev, void *out, void *lse, const void *qkv, int64_t B,
                                int64_t T, int64_t H, int64_t K, int64_t D, int64_t window)
{
    cpu_attention_args args = {.qkv = qkv,
                               .out = out,
                               .lse = lse,
                               .B = B,
                               .T = T,
                               .H = H,
                               .K = K,
                               .D = D,
                               .window = window};
    return attention(dev, &args, false);
}

gb_status cpu_attention_backward(gb_device *dev, void *dqkv, const void *dout, const void *qkv,
                                 const void *out, const void *lse, int64_t B, int64_t T, int64_t H,
                                 int64_t K, int64_t D, int64_t window)
{
    /* out and lse are only read here; one argument type serves both directions. */
    cpu_attention_args args = {.qkv = qkv,
                               .out = (void *)(uintptr_t)out,
                               .dout = dout,
                               .dqkv = dqkv,
                               .lse = (float *)(uintptr_t)lse,
                               .B = B,
                               .T = T,
                               .H = H,
                               .K = K,
                               .D = D,
                               .window = window};
    return attention(dev, &args, true);
}

gb_status cpu_gelu_forward(gb_device *dev, void *out, const void *in, int64_t n)
{
    const cpu_op op = cpu_op_begin(dev, GB_OP_MLP_ACT);
    dev->kernels.gelu_forward(out, in, n, dev->bf16, cpu_op_ends(dev));
    cpu_op_end(dev, op, 0);
    return GB_OK;
}

gb_status cpu_gelu_backward(gb_device *dev, void *din, const void *dout, const void *in, int64_t n)
{
    const cpu_op op = cpu_op_begin(dev, GB_OP_MLP_ACT);
    dev->kernels.gelu_backward(din, dout, in, n, dev->bf16, cpu_op_ends(dev));
    cpu_op_end(dev, op, 0);
    return GB_OK;
}

gb_status cpu_swiglu_forward(gb_device *dev, void *out, const void *gv, int64_t N, int64_t F)
{
    const cpu_op op = cpu_op_begin(dev, GB_OP_MLP_ACT);
    dev->kernels.swiglu_forward(out, gv, N, F, dev->bf16, cpu_op_ends(dev));
    cpu_op_end(dev, op, 0);
    return GB_OK;
}

gb_status cpu_swiglu_backward(gb_device *dev, void *dgv, const void *dout, const void *gv,
                              int64_t N, int64_t F)
{
    const cpu_op op = cpu_op_begin(dev, GB_OP_MLP_ACT);
    dev->kernels.swiglu_backward(dgv, dout, gv, N, F, dev->bf16, cpu_op_ends(dev));
    cpu_op_end(dev, op, 0);
    return GB_OK;
}

gb_status cpu_sum_squares(gb_device *dev, void *out, const void *x, int64_t n)
{
    const cpu_op op = cpu_op_begin(dev, GB_OP_GRAD_NORM);
    double *partials =
        cpu_slot_get(dev, CPU_SLOT_PARTIALS, CPU_SUM_MAX_BLOCKS * (int64_t)sizeof *partials);
    *(double *)out = dev->kernels.sum_squares(x, n, partials, cpu_op_ends(dev));
    cpu_op_end(dev, op, 0);
    return GB_OK;
}

gb_status cpu_adamw(gb_device *dev, void *weights, void *master, void *m, void *v, const void *grad,
                    int64_t n, const void *params, const void *loss, const void *grad_squares)
{
    const gb_adamw *p = params;
    const cpu_op op = cpu_op_begin(dev, GB_OP_ADAMW);
    double scale = 1;
    if (loss != NULL && !isfinite(*(const double *)loss)) {
        cpu_op_end(dev, op, 0);
        return GB_OK;
    }
    if (grad_squares != NULL && p->grad_clip > 0) {
        double norm = sqrt(*(const double *)grad_squares);
        scale = norm > p->grad_clip ? p->grad_clip / norm : 1;
    }
    dev->kernels.adamw(dev->bf16 ? weights : NULL, master, m, v, grad, n, p, scale,
                       cpu_op_ends(dev));
    if (!dev->bf16 && weights != master) {
        memcpy(weights, master, (size_t)n * sizeof(float));
    }
    cpu_op_end(dev, op, 0);
    return GB_OK;
}
