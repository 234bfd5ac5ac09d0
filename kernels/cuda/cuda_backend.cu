/* gb_backend_cuda: choice of device, life and the table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/cuda_attention.cuh"
#include "kernels/cuda/cuda_device.cuh"
#include "kernels/cuda/cuda_ops.cuh"
#include "kernels/cuda/cuda_sizes.cuh"

/* The lowest compute capability that this binary has code for; the compiler lists them as 10 times
 * ours ("750,800"). */
#ifdef __CUDA_ARCH_LIST__
static int lowest_compiled(void)
{
    static const int compiled[] = {__CUDA_ARCH_LIST__};
    int lowest = compiled[0];
    for (int arch : compiled) {
        lowest = arch < lowest ? arch : lowest;
    }
    return lowest / 10;
}
#else
static int lowest_compiled(void)
{
    return 0;
}
#endif

/* ---- availability ---- */

/* Compute capability of a device, 90 for 9.0; 0 where it cannot be read. */
static int capability_of(int ordinal)
{
    int major = 0, minor = 0;
    if (cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, ordinal) != cudaSuccess ||
        cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, ordinal) != cudaSuccess) {
        (void)cudaGetLastError();
        return 0;
    }
    return 10 * major + minor;
}

/* Why no device can be used, or NULL; *count receives the number of visible devices. */
static const char *no_device(int *count)
{
    *count = 0;
    cudaError_t code = cudaGetDeviceCount(count);
    (void)cudaGetLastError();
    if (code == cudaErrorInsufficientDriver) {
        return "no NVIDIA driver, or one older than this program's CUDA runtime";
    }
    if (code == cudaErrorNoDevice || (code == cudaSuccess && *count == 0)) {
        return "no NVIDIA GPU is visible (CUDA_VISIBLE_DEVICES hides those that it does not list)";
    }
    return code == cudaSuccess ? NULL : cudaGetErrorString(code);
}

static const char *device_unfit(int ordinal, gb_precision precision)
{
    const int capability = capability_of(ordinal);
    if (capability == 0) {
        return "the GPU's properties cannot be read";
    }
    if (capability < lowest_compiled()) {
        return "the GPU is older than those that this program was built for (make CUDA_ARCHS=all "
               "builds for compute capability 7.5 and up)";
    }
    if (precision == GB_BF16 && capability < 80) {
        return "the GPU does not compute in bf16 (compute capability below 8.0); fp32 works";
    }
    return cublasLtGetVersion() == 0 ? "the library cuBLASLt is not installed" : NULL;
}

static const char *backend_unavailable(gb_precision precision)
{
    int count;
    if (precision == GB_FP64) {
        return "the cuda backend computes in fp32 or bf16, not fp64";
    }
    const char *reason = no_device(&count);
    return reason != NULL ? reason : device_unfit(0, precision);
}

static int backend_list_devices(gb_device_entry *rows, int capacity)
{
    int count;
    if (no_device(&count) != NULL) {
        return 0;
    }
    for (int i = 0; i < count && i < capacity; i++) {
        cudaDeviceProp properties;
        memset(&rows[i], 0, sizeof rows[i]);
        snprintf(rows[i].name, sizeof rows[i].name, "CUDA device %d", i);
        if (cudaGetDeviceProperties(&properties, i) == cudaSuccess) {
            snprintf(rows[i].name, sizeof rows[i].name, "%.120s", properties.name);
            rows[i].memory_bytes = (int64_t)properties.totalGlobalMem;
        }
        (void)cudaGetLastError();
        snprintf(rows[i].isa, sizeof rows[i].isa, "sm_%d", capability_of(i));
        rows[i].unavailable[GB_FP32] = device_unfit(i, GB_FP32);
        rows[i].unavailable[GB_BF16] = device_unfit(i, GB_BF16);
    }
    return count;
}

/* ---- life ---- */

static gb_status check_options(const gb_options *options, gb_error *err)
{
    const gb_shape *s = &options->shape;
    int count;
    if (options->precision == GB_FP64) {
        return gb_fail(err, GB_ERR_USAGE, "%s", backend_unavailable(GB_FP64));
    }
    if (s->batch_size <= 0 || s->sequence_length <= 0 || s->n_embd <= 0 || s->n_head <= 0 ||
        s->n_kv_head <= 0 || s->head_dim <= 0 || s->mlp_hidden <= 0 || s->vocab_size <= 0) {
        return gb_fail(err, GB_ERR_USAGE, "the cuda backend needs a shape with positive sizes");
    }
    if (s->vocab_size > INT32_MAX / 4 || s->batch_size > INT32_MAX / 4 / s->sequence_length) {
        return gb_fail(err, GB_ERR_USAGE,
                       "the cuda backend counts tokens and vocabulary in 32 bits: batch size, "
                       "sequence length or vocabulary is too large");
    }
    const char *reason = no_device(&count);
    if (reason != NULL) {
        return gb_fail(err, GB_ERR_ENV, "cuda: %s", reason);
    }
    if (options->device_index >= count) {
        return gb_fail(err, GB_ERR_USAGE, "device %d: the visible CUDA devices are 0 to %d",
                       options->device_index, count - 1);
    }
    const int ordinal = options->device_index > 0 ? options->device_index : 0;
    reason = device_unfit(ordinal, options->precision);
    return reason == NULL ? GB_OK : gb_fail(err, GB_ERR_ENV, "cuda device %d: %s", ordinal, reason);
}

static void backend_close(gb_device *dev)
{
    if (dev == NULL ||
        dev->lost) { /* closing waits; what a lost device has ends with the process */
        return;
    }
    if (cudaSetDevice(dev->ordinal) == cudaSuccess && dev->stream != NULL) {
        cudaStreamSynchronize(dev->stream);
    }
    cuda_gemm_close(dev);
    cuda_step_close(dev->step);
    cuda_blocks_close(dev);
    cuda_arena_close(dev);
    cuda_timers_close(dev);
    if (dev->stream != NULL) {
        cudaStreamDestroy(dev->stream);
    }
    (void)cudaGetLastError();
    free(dev);
}

static gb_status device_open(gb_device *dev)
{
    int shared_bytes;
    CUDA_TRY(dev, "open", cudaSetDevice(dev->ordinal));
    CUDA_TRY(dev, "open",
             cudaDeviceGetAttribute(&dev->multiprocessors, cudaDevAttrMultiProcessorCount,
                                    dev->ordinal));
    CUDA_TRY(dev, "open",
             cudaDeviceGetAttribute(&shared_bytes, cudaDevAttrMaxSharedMemoryPerMultiprocessor,
                                    dev->ordinal));
    dev->shared_bytes = shared_bytes;
    dev->memory_bytes = cuda_memory_bytes(dev->ordinal);
    CUDA_TRY(dev, "open", cudaStreamCreateWithFlags(&dev->stream, cudaStreamNonBlocking));
    GB_TRY(cuda_timers_open(dev));
    GB_TRY(cuda_attention_open(dev));
    GB_TRY(cuda_arena_open(dev));
    GB_TRY(cuda_step_open(dev));
    return cuda_gemm_open(dev);
}

static gb_status backend_open(const gb_options *options, gb_device **out, gb_error *err)
{
    *out = NULL;
    GB_TRY(check_options(options, err));
    gb_device *dev = (gb_device *)calloc(1, sizeof *dev);
    if (dev == NULL) {
        return gb_fail(err, GB_ERR_OOM, "out of memory");
    }
    dev->options = *options;
    dev->classifier_rows = CUDA_CLASSIFIER_ROWS;
    dev->most_accesses = INT32_MAX;
    dev->bf16 = options->precision == GB_BF16;
    dev->ordinal = options->device_index > 0 ? options->device_index : 0;
    dev->compute_capability = capability_of(dev->ordinal);
    gb_status status = device_open(dev);
    if (status != GB_OK) {
        gb_fail(err, status, "cuda: %s", dev->error.message);
        backend_close(dev);
        return status;
    }
    *out = dev;
    return GB_OK;
}

static void backend_describe(gb_device *dev, gb_description *out)
{
    cudaDeviceProp properties;
    char algorithms[160], attention[320];
    int driver = 0, runtime = 0;
    const size_t blas = cublasLtGetVersion();
    memset(out, 0, sizeof *out);
    out->threads = 1;
    out->act_bytes = dev->bf16 ? 2 : 4;
    out->wide_bytes = 4;
    out->steps_ahead = 1;
    out->records = cuda_step_records(dev);
    out->times_replays = cuda_profiler_runs(dev);
    snprintf(out->device, sizeof out->device, "CUDA device %d", dev->ordinal);
    if (cudaGetDeviceProperties(&properties, dev->ordinal) == cudaSuccess) {
        snprintf(out->device, sizeof out->device, "%.120s", properties.name);
        out->memory_bytes = (int64_t)properties.totalGlobalMem;
    }
    if (cudaDeviceGetPCIBusId(out->bus_id, (int)sizeof out->bus_id, dev->ordinal) != cudaSuccess) {
        out->bus_id[0] = '\0';
    }
    (void)cudaDriverGetVersion(&driver);
    (void)cudaRuntimeGetVersion(&runtime);
    snprintf(out->driver, sizeof out->driver, "CUDA driver %d.%d", driver / 1000,
             driver % 1000 / 10);
    cuda_gemm_describe(dev, algorithms, sizeof algorithms);
    cuda_attention_describe(dev, attention, sizeof attention);
    snprintf(out->libraries, sizeof out->libraries,
             "CUDA runtime %d.%d, cuBLASLt %zu.%zu.%zu, %s, %s", runtime / 1000,
             runtime % 1000 / 10, blas / 10000, blas / 100 % 100, blas % 100, algorithms,
             attention);
    /* What the environment may change of a run's numbers is part of the code path, which runs are
     * told apart by. */
    snprintf(out->isa, sizeof out->isa, "sm_%d%s%s", dev->compute_capability,
             cuda_attention_path(dev), out->records ? "" : ", without graphs");
}

static const char *backend_last_error(gb_device *dev)
{
    return dev->error.message;
}

static gb_status backend_sync(gb_device *dev)
{
    CUDA_TRY(dev, "sync", cudaSetDevice(dev->ordinal));
    CUDA_TRY(dev, "sync", cudaStreamSynchronize(dev->stream));
    return GB_OK;
}

/* ---- attention: the ledger around the launchers ---- */

/* (query, key) pairs of one head of one sequence. */
static double attention_pairs(int64_t T, int64_t window)
{
    if (window <= 0 || window >= T) {
        return 0.5 * (double)T * (double)(T + 1);
    }
    const double triangle = 0.5 * (double)(window + 1) * (double)(window + 2);
    return triangle + (double)(T - window - 1) * (double)(window + 1);
}

static gb_status backend_attention_forward(gb_device *dev, void *out, void *lse, const void *qkv,
                                           int64_t B, int64_t T, int64_t H, int64_t K, int64_t D,
                                           int64_t window)
{
    GB_TRY(cuda_op_begin(dev, GB_OP_ATTENTION));
    GB_TRY(cuda_attention_forward(dev, out, (float *)lse, qkv, B, T, H, K, D, window));
    return cuda_op_end(dev, 4.0 * (double)B * (double)H * (double)D * attention_pairs(T, window));
}

static gb_status backend_attention_backward(gb_device *dev, void *dqkv, const void *dout,
                                            const void *qkv, const void *out, const void *lse,
                                            int64_t B, int64_t T, int64_t H, int64_t K, int64_t D,
                                            int64_t window)
{
    GB_TRY(cuda_op_begin(dev, GB_OP_ATTENTION));
    GB_TRY(cuda_attention_backward(dev, dqkv, dout, qkv, out, (const float *)lse, B, T, H, K, D,
                                   window));
    return cuda_op_end(dev, 8.0 * (double)B * (double)H * (double)D * attention_pairs(T, window));
}

/* In the order of the declaration: C++17 has no names here, but types that differ. */
extern "C" const gb_backend gb_backend_cuda;
extern "C" const gb_backend gb_backend_cuda = {
    "cuda",
    backend_unavailable,
    backend_list_devices,
    cuda_backend_workspace_bytes,
    nullptr,
    backend_open,
    backend_close,
    backend_describe,
    backend_last_error,
    cuda_backend_measure_gemm_peak,
    cuda_backend_measure_copy_rate,
    cuda_backend_measure_gemm_sustained,
    cuda_backend_alloc,
    cuda_backend_free,
    cuda_backend_memory_used,
    cuda_backend_upload,
    cuda_backend_download,
    cuda_backend_stage,
    cuda_backend_zero,
    cuda_backend_upload_wide,
    cuda_backend_download_wide,
    cuda_weights_refresh,
    backend_sync,
    cuda_backend_clock_start,
    cuda_backend_results_post,
    cuda_backend_results_take,
    cuda_backend_record_begin,
    cuda_backend_record_end,
    cuda_backend_replay,
    cuda_backend_recording_free,
    cuda_backend_set_scope,
    cuda_backend_timers_enable,
    cuda_backend_timers_reset,
    cuda_backend_timers_read,
    cuda_backend_timers_spans,
    cuda_backend_timers_zero_s,
    cuda_backend_kernels_read,
    cuda_backend_profile_note,
    cuda_backend_profiler_describe,
    cuda_embed_forward,
    cuda_embed_backward,
    cuda_add_norm_forward,
    cuda_add_norm_backward,
    cuda_linear_forward,
    cuda_linear_backward_input,
    cuda_linear_backward_weight,
    cuda_qk_rope_forward,
    cuda_qk_rope_backward,
    backend_attention_forward,
    backend_attention_backward,
    cuda_gelu_forward,
    cuda_gelu_backward,
    cuda_swiglu_forward,
    cuda_swiglu_backward,
    cuda_classifier,
    cuda_sum_squares,
    cuda_adamw,
};
