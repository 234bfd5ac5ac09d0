/* The reference backend's life, memory and ledger, and its table. The ops are in ref_ops.c and
 * ref_attention.c. */
#include "tests/ref/ref_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/clock.h"

enum { ALIGNMENT_BYTES = 64 };

/* The header of an allocation; the caller's bytes follow, so it keeps their alignment. */
struct ref_block {
    _Alignas(ALIGNMENT_BYTES) ref_block *next;
    gb_memory_group group;
    int64_t bytes;
};

gb_status ref_fail(gb_device *dev, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    dev->error.status = GB_ERR_INTERNAL;
    vsnprintf(dev->error.message, sizeof dev->error.message, format, args);
    va_end(args);
    return GB_ERR_INTERNAL;
}

/* ---- life ---- */

static const char *ref_unavailable(gb_precision precision)
{
    return precision == GB_FP64 ? NULL : "the reference backend computes in fp64 only";
}

static int64_t ref_workspace_bytes(const gb_options *options)
{
    (void)options;
    return 0;
}

static gb_status ref_open(const gb_options *options, gb_device **out, gb_error *err)
{
    const char *reason = ref_unavailable(options->precision);
    if (reason) {
        return gb_fail(err, GB_ERR_ENV, "%s, not %s", reason,
                       gb_precision_name(options->precision));
    }
    gb_device *dev = calloc(1, sizeof *dev);
    if (!dev) {
        return gb_fail(err, GB_ERR_OOM, "no memory for the reference device");
    }
    dev->ledger = gb_ledger_open();
    if (!dev->ledger) {
        free(dev);
        return gb_fail(err, GB_ERR_OOM, "no memory for the reference device's ledger");
    }
    gb_ledger_set_scope(dev->ledger, GB_PHASE_FORWARD, -1, GB_OP_LINEAR_QKV);
    *out = dev;
    return GB_OK;
}

static void ref_close(gb_device *dev)
{
    if (!dev) {
        return;
    }
    while (dev->blocks) {
        ref_block *next = dev->blocks->next;
        free(dev->blocks);
        dev->blocks = next;
    }
    gb_ledger_close(dev->ledger);
    free(dev);
}

static void ref_describe(gb_device *dev, gb_description *out)
{
    (void)dev;
    memset(out, 0, sizeof *out);
    snprintf(out->device, sizeof out->device, "reference");
    snprintf(out->isa, sizeof out->isa, "plain C");
    out->threads = 1;
    out->act_bytes = sizeof(double);
    out->wide_bytes = sizeof(double);
}

static const char *ref_last_error(gb_device *dev)
{
    return dev->error.message;
}

static double ref_measure_gemm_peak(gb_device *dev)
{
    enum { SIDE = 128 };
    double *a = calloc((size_t)3 * SIDE * SIDE, sizeof *a);
    if (!a) {
        return 0;
    }
    double best_ms = 0;
    for (int run = 0; run < 3; run++) {
        double start_ms = gb_monotonic_ms();
        gb_status status =
            ref_linear_forward(dev, a, a + SIDE * SIDE, a + 2 * SIDE * SIDE, SIDE, SIDE, SIDE);
        double ms = gb_monotonic_ms() - start_ms;
        if (status != GB_OK) {
            best_ms = 0;
            break;
        }
        best_ms = best_ms > 0 && best_ms < ms ? best_ms : ms;
    }
    free(a);
    return best_ms > 0 ? 2.0 * SIDE * SIDE * SIDE / (best_ms / 1e3) : 0;
}

static double ref_measure_copy_rate(gb_device *dev, int64_t bytes)
{
    (void)dev;
    size_t n = (size_t)(bytes > 0 ? bytes : 1 << 24);
    char *buffer = calloc(2, n);
    double best_ms = 0;
    for (int run = 0; run < 3 && buffer; run++) {
        double start_ms = gb_monotonic_ms();
        memcpy(buffer + n, buffer, n);
        double ms = gb_monotonic_ms() - start_ms;
        best_ms = best_ms > 0 && best_ms < ms ? best_ms : ms;
    }
    free(buffer);
    return best_ms > 0 ? 2.0 * (double)n / (best_ms / 1e3) : 0;
}

/* ---- memory ---- */

static gb_status ref_alloc(gb_device *dev, gb_memory_group group, int64_t bytes, void **out)
{
    if (bytes < 0 || bytes > INT64_MAX / 2) {
        return ref_fail(dev, "alloc of %lld bytes", (long long)bytes);
    }
    size_t padded = ((size_t)bytes + ALIGNMENT_BYTES - 1) / ALIGNMENT_BYTES * ALIGNMENT_BYTES;
    ref_block *block = aligned_alloc(ALIGNMENT_BYTES, sizeof *block + padded);
    if (!block) {
        ref_fail(dev, "no memory for %lld bytes of %s", (long long)bytes,
                 gb_memory_group_name(group));
        return dev->error.status = GB_ERR_OOM;
    }
    dev->used[group] += bytes;
    *block = (ref_block){.next = dev->blocks, .group = group, .bytes = bytes};
    dev->blocks = block;
    *out = block + 1;
    return GB_OK;
}

static void ref_free(gb_device *dev, void *ptr)
{
    if (!ptr) {
        return;
    }
    ref_block *block = (ref_block *)ptr - 1;
    for (ref_block **link = &dev->blocks; *link; link = &(*link)->next) {
        if (*link == block) {
            *link = block->next;
            dev->used[block->group] -= block->bytes;
            free(block);
            return;
        }
    }
}

static void ref_memory_used(gb_device *dev, int64_t bytes[GB_MEM_GROUPS])
{
    memcpy(bytes, dev->used, sizeof dev->used);
}

static gb_status ref_upload(gb_device *dev, void *dst, const void *host_src, int64_t bytes)
{
    (void)dev;
    memcpy(dst, host_src, (size_t)bytes);
    return GB_OK;
}

static gb_status ref_zero(gb_device *dev, void *dst, int64_t bytes)
{
    ref_begin(dev);
    memset(dst, 0, (size_t)bytes);
    return ref_end(dev, GB_OP_ZERO, 0);
}

static gb_status ref_upload_wide(gb_device *dev, void *dst, const double *host_src, int64_t n)
{
    return ref_upload(dev, dst, host_src, n * (int64_t)sizeof(double));
}

static gb_status ref_download_wide(gb_device *dev, double *host_dst, const void *src, int64_t n)
{
    return ref_upload(dev, host_dst, src, n * (int64_t)sizeof(double));
}

static gb_status ref_weights_refresh(gb_device *dev, void *weights, const void *master, int64_t n)
{
    ref_begin(dev);
    if (weights != master) {
        memcpy(weights, master, (size_t)n * sizeof(double));
    }
    return ref_end(dev, GB_OP_COPY, 0);
}

/* ---- step and timers ---- */

static gb_status ref_sync(gb_device *dev)
{
    (void)dev;
    return GB_OK;
}

static gb_status ref_clock_start(gb_device *dev)
{
    gb_results_queue_start(&dev->results);
    return GB_OK;
}

static gb_status ref_results_post(gb_device *dev, const void *src, int count)
{
    return gb_results_queue_post(&dev->results, src, count, &dev->error);
}

static gb_status ref_results_take(gb_device *dev, double *values, double *elapsed_ms)
{
    return gb_results_queue_take(&dev->results, values, elapsed_ms, &dev->error);
}

static void ref_set_scope(gb_device *dev, gb_phase phase, int layer, gb_op which)
{
    gb_ledger_set_scope(dev->ledger, phase, layer, which);
}

static void ref_timers_enable(gb_device *dev, bool on)
{
    dev->timers_on = on;
}

static void ref_timers_reset(gb_device *dev)
{
    gb_ledger_reset(dev->ledger);
    dev->timers_start_ms = gb_monotonic_ms();
}

static int ref_timers_read(gb_device *dev, gb_op_time *rows, int capacity)
{
    return gb_ledger_read(dev->ledger, rows, capacity);
}

static int ref_timers_spans(gb_device *dev, gb_op_span *spans, int capacity)
{
    return gb_ledger_spans(dev->ledger, spans, capacity);
}

void ref_begin(gb_device *dev)
{
    dev->op_start_ms = dev->timers_on ? gb_monotonic_ms() : 0;
}

gb_status ref_end(gb_device *dev, gb_op op, double flops)
{
    const gb_scope scope = gb_ledger_scope_of(dev->ledger, op);
    bool ok = gb_ledger_add(dev->ledger, scope, 1, 0, flops);
    if (dev->timers_on) {
        ok = gb_ledger_add_span(dev->ledger, scope, dev->op_start_ms - dev->timers_start_ms,
                                gb_monotonic_ms() - dev->timers_start_ms) &&
             ok;
    }
    return ok ? GB_OK : ref_fail(dev, "no memory for the ledger of ops");
}

const gb_backend gb_backend_ref = {
    .name = "ref",
    .unavailable = ref_unavailable,
    .workspace_bytes = ref_workspace_bytes,
    .open = ref_open,
    .close = ref_close,
    .describe = ref_describe,
    .last_error = ref_last_error,
    .measure_gemm_peak = ref_measure_gemm_peak,
    .measure_copy_rate = ref_measure_copy_rate,
    .alloc = ref_alloc,
    .free = ref_free,
    .memory_used = ref_memory_used,
    .upload = ref_upload,
    .download = ref_upload,
    .stage = ref_upload,
    .zero = ref_zero,
    .upload_wide = ref_upload_wide,
    .download_wide = ref_download_wide,
    .weights_refresh = ref_weights_refresh,
    .sync = ref_sync,
    .clock_start = ref_clock_start,
    .results_post = ref_results_post,
    .results_take = ref_results_take,
    .set_scope = ref_set_scope,
    .timers_enable = ref_timers_enable,
    .timers_reset = ref_timers_reset,
    .timers_read = ref_timers_read,
    .timers_spans = ref_timers_spans,
    .embed_forward = ref_embed_forward,
    .embed_backward = ref_embed_backward,
    .add_norm_forward = ref_add_norm_forward,
    .add_norm_backward = ref_add_norm_backward,
    .linear_forward = ref_linear_forward,
    .linear_backward_input = ref_linear_backward_input,
    .linear_backward_weight = ref_linear_backward_weight,
    .qk_rope_forward = ref_qk_rope_forward,
    .qk_rope_backward = ref_qk_rope_backward,
    .attention_forward = ref_attention_forward,
    .attention_backward = ref_attention_backward,
    .gelu_forward = ref_gelu_forward,
    .gelu_backward = ref_gelu_backward,
    .swiglu_forward = ref_swiglu_forward,
    .swiglu_backward = ref_swiglu_backward,
    .classifier = ref_classifier,
    .sum_squares = ref_sum_squares,
    .adamw = ref_adamw,
};
