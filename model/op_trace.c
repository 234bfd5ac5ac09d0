#include "model/op_trace.h"

#include <stdlib.h>
#include <string.h>

#include "model/flops.h"
#include "model/op_log.h"

enum { FIRST_ADDRESS = 1 << 20, ALIGN_BYTES = 4096 };

struct gb_device {
    bool bf16;
    uintptr_t next_address;
    int64_t used[GB_MEM_GROUPS];
    gb_phase phase;
    int layer;
    gb_op which;
    op_log log;
    gb_error error;
};

/* ---- life ---- */

static const char *trace_unavailable(gb_precision precision)
{
    return precision == GB_FP64 ? "the trace takes fp32 or bf16, not fp64" : NULL;
}

static int64_t trace_workspace_bytes(const gb_options *options)
{
    (void)options;
    return 0;
}

static void trace_close(gb_device *dev)
{
    if (dev) {
        op_log_clear(&dev->log);
        free(dev);
    }
}

static gb_status trace_open(const gb_options *options, gb_device **out, gb_error *err)
{
    gb_device *dev = *out = calloc(1, sizeof *dev);
    if (!dev) {
        return gb_fail(err, GB_ERR_OOM, "no memory for a trace");
    }
    dev->bf16 = options->precision == GB_BF16;
    dev->next_address = FIRST_ADDRESS;
    dev->layer = -1;
    return GB_OK;
}

static void trace_describe(gb_device *dev, gb_description *out)
{
    *out = (gb_description){.threads = 1, .act_bytes = dev->bf16 ? 2 : 4, .wide_bytes = 4};
}

static const char *trace_last_error(gb_device *dev)
{
    return dev->error.message;
}

static double trace_measure_gemm_peak(gb_device *dev)
{
    (void)dev;
    return 0;
}

void op_trace_begin(gb_device *dev, bool list)
{
    op_log_begin(&dev->log, list, dev->bf16); /* the type of everything that follows */
}

uint64_t op_trace_hash(const gb_device *dev)
{
    return dev->log.hash;
}

int64_t op_trace_count(const gb_device *dev)
{
    return dev->log.count;
}

const op_trace_call *op_trace_calls(const gb_device *dev)
{
    return dev->log.list && !dev->log.lost ? dev->log.calls : NULL;
}

/* ---- one call ---- */

static gb_status call_add(gb_device *dev, const char *entry, gb_op op, double flops,
                          const void *const *buffers, int n_buffers, const op_trace_number *numbers,
                          int n_numbers)
{
    op_trace_call call = {.entry = entry,
                          .phase = dev->phase,
                          .layer = dev->layer,
                          .op = op,
                          .flops = flops,
                          .n_numbers = n_numbers};
    memcpy(call.numbers, numbers, (size_t)n_numbers * sizeof *numbers);
    if (!op_log_add(&dev->log, &call, buffers, n_buffers)) {
        return gb_fail(&dev->error, GB_ERR_OOM, "no memory for a trace");
    }
    return GB_OK;
}

/* Writes the call of the function that this stands in, minus its prefix `trace_`; the buffers and
 * numbers are the two arrays of that name there. */
#define CALL(op, flops)                                                                            \
    call_add(dev, __func__ + sizeof "trace_" - 1, op, flops, buffers,                              \
             (int)(sizeof buffers / sizeof buffers[0]), numbers,                                   \
             (int)(sizeof numbers / sizeof numbers[0]))
#define BUFFERS const void *const buffers[] =
#define NUMBERS const op_trace_number numbers[] =
#define WHOLE(argument)                                                                            \
    {                                                                                              \
#argument, false, (int64_t)(argument), 0                                                   \
    }
#define REAL(argument)                                                                             \
    {                                                                                              \
#argument, true, 0, argument                                                               \
    }

/* ---- memory and results ---- */

static gb_status trace_alloc(gb_device *dev, gb_memory_group group, int64_t bytes, void **out)
{
    uintptr_t size = ((uintptr_t)bytes + ALIGN_BYTES) / ALIGN_BYTES * ALIGN_BYTES;
    *out = NULL;
    if (bytes < 0 || size > INTPTR_MAX - dev->next_address) {
        return gb_fail(&dev->error, GB_ERR_OOM,
                       "%lld bytes of %s are more than there are addresses", (long long)bytes,
                       gb_memory_group_name(group));
    }
    *out = (void *)dev->next_address;
    dev->next_address += size;
    dev->used[group] += bytes;
    return GB_OK;
}

static void trace_free(gb_device *dev, void *ptr)
{
    (void)dev; /* addresses are not used again */
    (void)ptr;
}

static void trace_memory_used(gb_device *dev, int64_t bytes[GB_MEM_GROUPS])
{
    memcpy(bytes, dev->used, sizeof dev->used);
}

static gb_status trace_upload(gb_device *dev, void *dst, const void *src, int64_t bytes)
{
    (void)src;
    BUFFERS{dst};
    NUMBERS{WHOLE(bytes)};
    return CALL(GB_OP_COPY, 0);
}

static gb_status nothing_computed(gb_device *dev)
{
    return gb_fail(&dev->error, GB_ERR_INTERNAL, "a trace computes nothing that could be read");
}

static gb_status trace_download(gb_device *dev, void *dst, const void *src, int64_t bytes)
{
    (void)dst;
    (void)src;
    (void)bytes;
    return nothing_computed(dev);
}

static gb_status trace_stage(gb_device *dev, void *dst, const void *host_src, int64_t bytes)
{
    BUFFERS{dst};
    if (host_src && dev->which == GB_OP_ADAMW && bytes == (int64_t)sizeof(gb_adamw)) {
        gb_adamw p;
        memcpy(&p, host_src, sizeof p);
        NUMBERS{{"learning_rate", true, 0, p.learning_rate},
                {"beta1", true, 0, p.beta1},
                {"beta2", true, 0, p.beta2},
                {"eps", true, 0, p.eps},
                {"weight_decay", true, 0, p.weight_decay},
                {"grad_clip", true, 0, p.grad_clip},
                {"step", true, 0, p.step}};
        return CALL(GB_OP_DATA, 0);
    }
    NUMBERS{WHOLE(bytes)};
    return CALL(GB_OP_DATA, 0);
}

static gb_status trace_zero(gb_device *dev, void *dst, int64_t bytes)
{
    BUFFERS{dst};
    NUMBERS{WHOLE(bytes)};
    return CALL(GB_OP_ZERO, 0);
}

static gb_status trace_upload_wide(gb_device *dev, void *dst, const double *src, int64_t n)
{
    (void)src;
    BUFFERS{dst};
    NUMBERS{WHOLE(n)};
    return CALL(GB_OP_COPY, 0);
}

static gb_status trace_download_wide(gb_device *dev, double *dst, const void *src, int64_t n)
{
    (void)dst;
    (void)src;
    (void)n;
    return nothing_computed(dev);
}

static gb_status trace_weights_refresh(gb_device *dev, void *weights, const void *master, int64_t n)
{
    BUFFERS{weights, master};
    NUMBERS{WHOLE(n)};
    return CALL(GB_OP_COPY, 0);
}

static gb_status trace_sync(gb_device *dev)
{
    (void)dev;
    return GB_OK;
}

static gb_status trace_results_post(gb_device *dev, const void *src, int count)
{
    BUFFERS{src};
    NUMBERS{WHOLE(count)};
    return CALL(GB_OP_DATA, 0);
}

static gb_status trace_results_take(gb_device *dev, double *values, double *elapsed_ms)
{
    (void)values;
    (void)elapsed_ms;
    return nothing_computed(dev);
}

/* ---- scope and timers ---- */

static void trace_set_scope(gb_device *dev, gb_phase phase, int layer, gb_op which)
{
    dev->phase = phase;
    dev->layer = layer;
    dev->which = which;
}

static void trace_timers_enable(gb_device *dev, bool on)
{
    (void)dev;
    (void)on;
}

static void trace_timers_reset(gb_device *dev)
{
    (void)dev;
}

static int trace_timers_read(gb_device *dev, gb_op_time *rows, int capacity)
{
    (void)dev;
    (void)rows;
    (void)capacity;
    return 0;
}

static int trace_timers_spans(gb_device *dev, gb_op_span *spans, int capacity)
{
    (void)dev;
    (void)spans;
    (void)capacity;
    return 0;
}

/* ---- ops ---- */

static gb_status trace_embed_forward(gb_device *dev, void *out, const int32_t *tokens,
                                     const void *wte, int64_t N, int64_t C)
{
    BUFFERS{out, tokens, wte};
    NUMBERS{WHOLE(N), WHOLE(C)};
    return CALL(GB_OP_EMBED, 0);
}

static gb_status trace_embed_backward(gb_device *dev, void *dwte, const void *dout,
                                      const int32_t *tokens, int64_t N, int64_t C, int64_t V)
{
    BUFFERS{dwte, dout, tokens};
    NUMBERS{WHOLE(N), WHOLE(C), WHOLE(V)};
    return CALL(GB_OP_EMBED, 0);
}

static gb_status trace_add_norm_forward(gb_device *dev, void *x_out, void *h, void *inv_rms_h,
                                        void *inv_rms_y, const void *x_in, const void *y,
                                        double scale, bool post_norm, int64_t N, int64_t C)
{
    BUFFERS{x_out, h, inv_rms_h, inv_rms_y, x_in, y};
    NUMBERS{REAL(scale), WHOLE(post_norm), WHOLE(N), WHOLE(C)};
    return CALL(GB_OP_NORM, 0);
}

static gb_status trace_add_norm_backward(gb_device *dev, void *dx, void *dy, const void *dh,
                                         const void *h, const void *inv_rms_h, const void *y,
                                         const void *inv_rms_y, double scale, bool post_norm,
                                         bool first, int64_t N, int64_t C)
{
    BUFFERS{dx, dy, dh, h, inv_rms_h, y, inv_rms_y};
    NUMBERS{REAL(scale), WHOLE(post_norm), WHOLE(first), WHOLE(N), WHOLE(C)};
    return CALL(GB_OP_NORM, 0);
}

static double gemm_flops(int64_t N, int64_t I, int64_t O)
{
    return 2.0 * (double)N * (double)I * (double)O;
}

static gb_status trace_linear_forward(gb_device *dev, void *y, const void *x, const void *w,
                                      int64_t N, int64_t I, int64_t O)
{
    BUFFERS{y, x, w};
    NUMBERS{WHOLE(N), WHOLE(I), WHOLE(O)};
    return CALL(dev->which, gemm_flops(N, I, O));
}

static gb_status trace_linear_backward_input(gb_device *dev, void *dx, const void *dy,
                                             const void *w, int64_t N, int64_t I, int64_t O)
{
    BUFFERS{dx, dy, w};
    NUMBERS{WHOLE(N), WHOLE(I), WHOLE(O)};
    return CALL(dev->which, gemm_flops(N, I, O));
}

static gb_status trace_linear_backward_weight(gb_device *dev, void *dw, const void *dy,
                                              const void *x, bool first, int64_t N, int64_t I,
                                              int64_t O)
{
    BUFFERS{dw, dy, x};
    NUMBERS{WHOLE(first), WHOLE(N), WHOLE(I), WHOLE(O)};
    return CALL(dev->which, gemm_flops(N, I, O));
}

static gb_status trace_qk_rope_forward(gb_device *dev, void *qkv, void *inv_rms, bool qk_norm,
                                       int64_t B, int64_t T, int64_t H, int64_t K, int64_t D)
{
    BUFFERS{qkv, inv_rms};
    NUMBERS{WHOLE(qk_norm), WHOLE(B), WHOLE(T), WHOLE(H), WHOLE(K), WHOLE(D)};
    return CALL(GB_OP_QK_ROPE, 0);
}

static gb_status trace_qk_rope_backward(gb_device *dev, void *dqkv, const void *qkv,
                                        const void *inv_rms, bool qk_norm, int64_t B, int64_t T,
                                        int64_t H, int64_t K, int64_t D)
{
    BUFFERS{dqkv, qkv, inv_rms};
    NUMBERS{WHOLE(qk_norm), WHOLE(B), WHOLE(T), WHOLE(H), WHOLE(K), WHOLE(D)};
    return CALL(GB_OP_QK_ROPE, 0);
}

/* FLOPs of one product of heads with heads: scores, or what they weigh. */
static double heads_flops(int64_t B, int64_t T, int64_t H, int64_t D, int64_t window)
{
    return 2.0 * (double)B * (double)H * (double)D * (double)gpt_attention_pairs(T, window);
}

static int64_t window_seen(int64_t window, int64_t T)
{
    return window >= T - 1 ? 0 : window;
}

static gb_status trace_attention_forward(gb_device *dev, void *out, void *lse, const void *qkv,
                                         int64_t B, int64_t T, int64_t H, int64_t K, int64_t D,
                                         int64_t window)
{
    window = window_seen(window, T);
    BUFFERS{out, lse, qkv};
    NUMBERS{WHOLE(B), WHOLE(T), WHOLE(H), WHOLE(K), WHOLE(D), WHOLE(window)};
    return CALL(GB_OP_ATTENTION, 2 * heads_flops(B, T, H, D, window));
}

static gb_status trace_attention_backward(gb_device *dev, void *dqkv, const void *dout,
                                          const void *qkv, const void *out, const void *lse,
                                          int64_t B, int64_t T, int64_t H, int64_t K, int64_t D,
                                          int64_t window)
{
    window = window_seen(window, T);
    BUFFERS{dqkv, dout, qkv, out, lse};
    NUMBERS{WHOLE(B), WHOLE(T), WHOLE(H), WHOLE(K), WHOLE(D), WHOLE(window)};
    return CALL(GB_OP_ATTENTION, 4 * heads_flops(B, T, H, D, window));
}

static gb_status trace_gelu_forward(gb_device *dev, void *out, const void *in, int64_t n)
{
    BUFFERS{out, in};
    NUMBERS{WHOLE(n)};
    return CALL(GB_OP_MLP_ACT, 0);
}

static gb_status trace_gelu_backward(gb_device *dev, void *din, const void *dout, const void *in,
                                     int64_t n)
{
    BUFFERS{din, dout, in};
    NUMBERS{WHOLE(n)};
    return CALL(GB_OP_MLP_ACT, 0);
}

static gb_status trace_swiglu_forward(gb_device *dev, void *out, const void *gv, int64_t N,
                                      int64_t F)
{
    BUFFERS{out, gv};
    NUMBERS{WHOLE(N), WHOLE(F)};
    return CALL(GB_OP_MLP_ACT, 0);
}

static gb_status trace_swiglu_backward(gb_device *dev, void *dgv, const void *dout, const void *gv,
                                       int64_t N, int64_t F)
{
    BUFFERS{dgv, dout, gv};
    NUMBERS{WHOLE(N), WHOLE(F)};
    return CALL(GB_OP_MLP_ACT, 0);
}

static gb_status trace_classifier(gb_device *dev, void *loss_sum, void *dh, void *dwte,
                                  const void *h, const void *wte, const int32_t *targets,
                                  double grad_scale, bool first, int64_t N, int64_t C, int64_t V)
{
    BUFFERS{loss_sum, dh, dwte, h, wte, targets};
    NUMBERS{REAL(grad_scale), WHOLE(first), WHOLE(N), WHOLE(C), WHOLE(V)};
    return CALL(GB_OP_CLASSIFIER, (dh ? 3 : 1) * gemm_flops(N, C, V));
}

static gb_status trace_sum_squares(gb_device *dev, void *out, const void *x, int64_t n)
{
    BUFFERS{out, x};
    NUMBERS{WHOLE(n)};
    return CALL(GB_OP_GRAD_NORM, 0);
}

static gb_status trace_adamw(gb_device *dev, void *weights, void *master, void *m, void *v,
                             const void *grad, int64_t n, const void *params, const void *loss,
                             const void *grad_squares)
{
    BUFFERS{weights, master, m, v, grad, params, loss, grad_squares};
    NUMBERS{WHOLE(n)};
    return CALL(GB_OP_ADAMW, 0);
}

const gb_backend op_trace_backend = {
    .name = "trace",
    .unavailable = trace_unavailable,
    .workspace_bytes = trace_workspace_bytes,
    .open = trace_open,
    .close = trace_close,
    .describe = trace_describe,
    .last_error = trace_last_error,
    .measure_gemm_peak = trace_measure_gemm_peak,
    .alloc = trace_alloc,
    .free = trace_free,
    .memory_used = trace_memory_used,
    .upload = trace_upload,
    .download = trace_download,
    .stage = trace_stage,
    .zero = trace_zero,
    .upload_wide = trace_upload_wide,
    .download_wide = trace_download_wide,
    .weights_refresh = trace_weights_refresh,
    .sync = trace_sync,
    .clock_start = trace_sync,
    .results_post = trace_results_post,
    .results_take = trace_results_take,
    .set_scope = trace_set_scope,
    .timers_enable = trace_timers_enable,
    .timers_reset = trace_timers_reset,
    .timers_read = trace_timers_read,
    .timers_spans = trace_timers_spans,
    .embed_forward = trace_embed_forward,
    .embed_backward = trace_embed_backward,
    .add_norm_forward = trace_add_norm_forward,
    .add_norm_backward = trace_add_norm_backward,
    .linear_forward = trace_linear_forward,
    .linear_backward_input = trace_linear_backward_input,
    .linear_backward_weight = trace_linear_backward_weight,
    .qk_rope_forward = trace_qk_rope_forward,
    .qk_rope_backward = trace_qk_rope_backward,
    .attention_forward = trace_attention_forward,
    .attention_backward = trace_attention_backward,
    .gelu_forward = trace_gelu_forward,
    .gelu_backward = trace_gelu_backward,
    .swiglu_forward = trace_swiglu_forward,
    .swiglu_backward = trace_swiglu_backward,
    .classifier = trace_classifier,
    .sum_squares = trace_sum_squares,
    .adamw = trace_adamw,
};
