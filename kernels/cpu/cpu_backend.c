/* gb_backend_cpu: life, copies and the table. The ops are in cpu_ops.c. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kernels/cpu/cpu_device.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_threads.h"

static const char *backend_unavailable(gb_precision precision)
{
    return precision == GB_FP64 ? "the cpu backend computes in fp32 or bf16, not fp64" : NULL;
}

static void backend_close(gb_device *dev)
{
    if (dev == NULL) {
        return;
    }
    cpu_gemm_close(dev);
    cpu_blocks_close(dev);
    cpu_arena_close(dev);
    gb_ledger_close(dev->ledger);
    free(dev->ends);
    free(dev);
}

static gb_status check_options(const gb_options *options, gb_error *err)
{
    const gb_shape *s = &options->shape;
    const char *reason = backend_unavailable(options->precision);
    if (reason != NULL) {
        return gb_fail(err, GB_ERR_USAGE, "%s", reason);
    }
    if (options->threads < 0) {
        return gb_fail(err, GB_ERR_USAGE, "threads = %d: must be 0 (all) or more",
                       options->threads);
    }
    if (s->batch_size <= 0 || s->sequence_length <= 0 || s->n_embd <= 0 || s->n_head <= 0 ||
        s->n_kv_head <= 0 || s->head_dim <= 0 || s->mlp_hidden <= 0 || s->vocab_size <= 0) {
        return gb_fail(err, GB_ERR_USAGE, "the cpu backend needs a shape with positive sizes");
    }
    return GB_OK;
}

static gb_status backend_open(const gb_options *options, gb_device **out, gb_error *err)
{
    *out = NULL;
    GB_TRY(check_options(options, err));
    gb_device *dev = calloc(1, sizeof *dev);
    if (dev == NULL) {
        return gb_fail(err, GB_ERR_OOM, "out of memory");
    }
    dev->options = *options;
    dev->bf16 = options->precision == GB_BF16;
    gb_status status = cpu_threads_choose(options->threads, &dev->threads, err);
    if (status == GB_OK) {
        status = cpu_isa_select(&dev->isa, err);
    }
    if (status == GB_OK) {
        status = cpu_threads_start(dev->threads, err);
    }
    if (status != GB_OK) {
        goto fail;
    }
    cpu_isa_fill(dev->isa, &dev->kernels);
    dev->ledger = gb_ledger_open();
    dev->ends = calloc((size_t)dev->threads * CPU_ENDS_STRIDE, sizeof *dev->ends);
    if (dev->ledger == NULL || dev->ends == NULL) {
        status = gb_fail(err, GB_ERR_OOM, "out of memory");
        goto fail;
    }
    status = cpu_arena_open(dev, err);
    if (status != GB_OK) {
        goto fail;
    }
    status = cpu_gemm_open(dev, err);
    if (status != GB_OK) {
        goto fail;
    }
    *out = dev;
    return GB_OK;
fail:
    backend_close(dev);
    return status;
}

static void backend_describe(gb_device *dev, gb_description *out)
{
    *out = (gb_description){.threads = dev->threads,
                            .act_bytes = dev->bf16 ? 2 : 4,
                            .wide_bytes = 4,
                            .memory_bytes =
                                (int64_t)sysconf(_SC_PHYS_PAGES) * (int64_t)sysconf(_SC_PAGESIZE)};
    struct utsname system;
    if (uname(&system) == 0) {
        snprintf(out->driver, sizeof out->driver, "%.20s %.40s", system.sysname, system.release);
    }
    cpu_model_name(out->device, sizeof out->device);
    cpu_threads_note(dev->threads, out->threads_note, sizeof out->threads_note);
    cpu_gemm_libraries(dev, out->libraries, sizeof out->libraries);
    const bool in_float = !dev->bf16 && dev->isa > CPU_ISA_AVX512;
    snprintf(out->isa, sizeof out->isa, "%s", cpu_isa_name(in_float ? CPU_ISA_AVX512 : dev->isa));
    if (dev->bf16_emulated) {
        snprintf(out->precision_note, sizeof out->precision_note,
                 "bf16 storage, products in fp32: this CPU %s, so expect fp32 speed at best",
                 cpu_isa_exists(CPU_ISA_AVX512_BF16)
                     ? "does more multiply-adds in fp32 than in bf16 dot products (avx512_bf16)"
                     : "has no bf16 dot product (avx512_bf16)");
    }
}

static const char *backend_last_error(gb_device *dev)
{
    return dev->error.message;
}

static gb_status backend_copy(gb_device *dev, void *dst, const void *src, int64_t bytes)
{
    const cpu_op op = cpu_op_begin(dev, GB_OP_COPY);
    memcpy(dst, src, (size_t)bytes);
    cpu_op_end(dev, op, 0);
    return GB_OK;
}

static gb_status backend_zero(gb_device *dev, void *dst, int64_t bytes)
{
    const int64_t block = 1 << 20;
    const cpu_op op = cpu_op_begin(dev, GB_OP_ZERO);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < bytes; i += block) {
        memset((char *)dst + i, 0, (size_t)(bytes - i < block ? bytes - i : block));
    }
    cpu_op_end(dev, op, 0);
    return GB_OK;
}

static gb_status backend_upload_wide(gb_device *dev, void *dst, const double *host_src, int64_t n)
{
    const cpu_op op = cpu_op_begin(dev, GB_OP_COPY);
    float *to = dst;
    for (int64_t i = 0; i < n; i++) {
        to[i] = (float)host_src[i];
    }
    cpu_op_end(dev, op, 0);
    return GB_OK;
}

static gb_status backend_download_wide(gb_device *dev, double *host_dst, const void *src, int64_t n)
{
    const cpu_op op = cpu_op_begin(dev, GB_OP_COPY);
    const float *from = src;
    for (int64_t i = 0; i < n; i++) {
        host_dst[i] = (double)from[i];
    }
    cpu_op_end(dev, op, 0);
    return GB_OK;
}

static gb_status backend_weights_refresh(gb_device *dev, void *weights, const void *master,
                                         int64_t n)
{
    const cpu_op op = cpu_op_begin(dev, GB_OP_COPY);
    if (dev->bf16) {
        dev->kernels.to_bf16(weights, master, n);
    } else if (weights != master) {
        memcpy(weights, master, (size_t)n * sizeof(float));
    }
    cpu_op_end(dev, op, 0);
    return GB_OK;
}

static gb_status backend_sync(gb_device *dev)
{
    (void)dev; /* every op has finished when it returns */
    return GB_OK;
}

static gb_status backend_clock_start(gb_device *dev)
{
    gb_results_queue_start(&dev->results);
    return GB_OK;
}

static gb_status backend_results_post(gb_device *dev, const void *src, int count)
{
    return gb_results_queue_post(&dev->results, src, count, &dev->error);
}

static gb_status backend_results_take(gb_device *dev, double *values, double *elapsed_ms)
{
    return gb_results_queue_take(&dev->results, values, elapsed_ms, &dev->error);
}

const gb_backend gb_backend_cpu = {
    .name = "cpu",
    .unavailable = backend_unavailable,
    .workspace_bytes = cpu_backend_workspace_bytes,
    .overhead_bytes = cpu_backend_overhead_bytes,
    .open = backend_open,
    .close = backend_close,
    .describe = backend_describe,
    .last_error = backend_last_error,
    .measure_gemm_peak = cpu_backend_measure_gemm_peak,
    .measure_copy_rate = cpu_backend_measure_copy_rate,
    .alloc = cpu_backend_alloc,
    .free = cpu_backend_free,
    .memory_used = cpu_backend_memory_used,
    .upload = backend_copy,
    .download = backend_copy,
    .stage = backend_copy,
    .zero = backend_zero,
    .upload_wide = backend_upload_wide,
    .download_wide = backend_download_wide,
    .weights_refresh = backend_weights_refresh,
    .sync = backend_sync,
    .clock_start = backend_clock_start,
    .results_post = backend_results_post,
    .results_take = backend_results_take,
    .set_scope = cpu_backend_set_scope,
    .timers_enable = cpu_backend_timers_enable,
    .timers_reset = cpu_backend_timers_reset,
    .timers_read = cpu_backend_timers_read,
    .timers_spans = cpu_backend_timers_spans,
    .timers_zero_s = cpu_backend_timers_zero_s,
    .embed_forward = cpu_embed_forward,
    .embed_backward = cpu_embed_backward,
    .add_norm_forward = cpu_add_norm_forward,
    .add_norm_backward = cpu_add_norm_backward,
    .linear_forward = cpu_linear_forward,
    .linear_backward_input = cpu_linear_backward_input,
    .linear_backward_weight = cpu_linear_backward_weight,
    .qk_rope_forward = cpu_qk_rope_forward,
    .qk_rope_backward = cpu_qk_rope_backward,
    .attention_forward = cpu_attention_forward,
    .attention_backward = cpu_attention_backward,
    .gelu_forward = cpu_gelu_forward,
    .gelu_backward = cpu_gelu_backward,
    .swiglu_forward = cpu_swiglu_forward,
    .swiglu_backward = cpu_swiglu_backward,
    .classifier = cpu_classifier,
    .sum_squares = cpu_sum_squares,
    .adamw = cpu_adamw,
};
