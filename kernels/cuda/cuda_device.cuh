/* cuda_device.cuh: the CUDA backend's device, shared by its files. */
#ifndef GPTBENCH_KERNELS_CUDA_DEVICE_CUH
#define GPTBENCH_KERNELS_CUDA_DEVICE_CUH

#include <cublasLt.h>
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/attribution.h"
#include "kernels/backend.h"
#include "kernels/ledger.h"

/* Parts of the workspace; each is a slice of the arena, or memory of its own once a call needs
 * more than the shape given at open. */
enum cuda_slot {
    CUDA_SLOT_GEMM,      /* cuBLASLt's own, cuda_gemm_workspace_bytes; never grows */
    CUDA_SLOT_LOGITS,    /* act (chunk, V padded) */
    CUDA_SLOT_LOSSES,    /* double (N) */
    CUDA_SLOT_ROPE,      /* float (T, D): cosines, then sines, of each position */
    CUDA_SLOT_PARTIALS,  /* double (CUDA_SUM_MAX_BLOCKS): partial sums */
    CUDA_SLOT_EMBED,     /* int32 (2 V + 1 + 2 N): token positions by vocabulary row */
    CUDA_SLOT_ATTENTION, /* cuda_attention_delta_bytes */
    CUDA_SLOT_ADAMW,     /* the optimiser's factors of this step */
    CUDA_SLOT_STAGE,     /* (CUDA_STAGE_ENTRIES, cuda_stage_entry_bytes): uploads on their way */
    CUDA_SLOT_COUNT
};

/* The kernels of attention of which there are two. */
enum { CUDA_ATTENTION_FORWARD, CUDA_ATTENTION_BACKWARD, CUDA_ATTENTION_KERNELS };

/* Where the faster one is used, and why there, or why not (attention_dispatch.cu). */
struct cuda_attention_use {
    int64_t head_dim; /* for this one; 0: nowhere, -1: wherever it fits */
    char words[128];  /* "agreed on 2026-12-01, driver 13.0"; empty: nobody tried */
};

enum { CUDA_SUM_MAX_BLOCKS = 1024, CUDA_STAGE_ENTRIES = 8, CUDA_ADAMW_BYTES = 64 };

struct cuda_timers;
struct cuda_profiler;
struct cuda_step;
struct gemm_plan;
struct gemm_tuner;
struct cuda_block;

struct gb_device {
    gb_options options;
    bool bf16;
    int ordinal;            /* among the visible devices */
    int compute_capability; /* 90 for sm_90 */
    int multiprocessors;
    cudaStream_t stream; /* everything runs on it, in order */
    cublasLtHandle_t blas;
    bool lost; /* a kernel runs and does not end: nothing that waits for the device may be called */
    cuda_attention_use attention[CUDA_ATTENTION_KERNELS];
    gemm_plan *plans;
    gemm_tuner *tuner; /* NULL: the heuristic chooses algorithms */
    cuda_timers *timers;
    cuda_profiler *profiler;
    gb_ledger *ledger;
    gb_scope op;         /* under way */
    gb_ledger *recorded; /* while recording: where calls and FLOPs go instead */
    cuda_step *step;
    cuda_block *blocks; /* what alloc gave out */
    int64_t used[GB_MEM_GROUPS];
    char *arena;
    struct {
        void *data;
        int64_t bytes;
        bool own; /* not part of the arena */
    } slots[CUDA_SLOT_COUNT];
    int64_t classifier_rows; /* the most at once; CUDA_CLASSIFIER_ROWS, which a test may lower */
    int64_t most_accesses;   /* of a launch that counts them in 32 bits; a test may lower it */
    int64_t memory_bytes;    /* of the GPU, in all */
    int64_t shared_bytes;    /* of a multiprocessor */
    int64_t rope_T, rope_D;  /* what CUDA_SLOT_ROPE holds */
    float *staging;          /* host, for upload_wide and download_wide */
    gb_error error;
};

/* ---- cuda_error.cu ---- */

/* Writes "op: what: reason (file:line)" into dev->error; GB_ERR_OOM for a failed allocation, else
 * GB_ERR_INTERNAL. */
gb_status cuda_fail(gb_device *dev, cudaError_t code, const char *op, const char *what,
                    const char *file, int line);
gb_status cuda_fail_blas(gb_device *dev, cublasStatus_t code, const char *op, const char *what,
                         const char *file, int line);

/* Every CUDA runtime call goes through CUDA_TRY, every cuBLASLt call through CUBLAS_TRY. */
#define CUDA_TRY(dev, op, call)                                                                    \
    do {                                                                                           \
        cudaError_t cuda_try_code_ = (call);                                                       \
        if (cuda_try_code_ != cudaSuccess) {                                                       \
            return cuda_fail((dev), cuda_try_code_, (op), #call, __FILE__, __LINE__);              \
        }                                                                                          \
    } while (0)
#define CUBLAS_TRY(dev, op, call)                                                                  \
    do {                                                                                           \
        cublasStatus_t cublas_try_code_ = (call);                                                  \
        if (cublas_try_code_ != CUBLAS_STATUS_SUCCESS) {                                           \
            return cuda_fail_blas((dev), cublas_try_code_, (op), #call, __FILE__, __LINE__);       \
        }                                                                                          \
    } while (0)

/* ---- cuda_memory.cu ---- */

/* Memory of a visible GPU, in all; 0 where that cannot be read. */
int64_t cuda_memory_bytes(int ordinal);
int64_t cuda_backend_workspace_bytes(const gb_options *options);
gb_status cuda_arena_open(gb_device *dev);
void cuda_arena_close(gb_device *dev);
/* At least `bytes` of the slot in *out; what it held is lost when it grows. */
gb_status cuda_slot_get(gb_device *dev, cuda_slot slot, int64_t bytes, void **out);

gb_status cuda_backend_alloc(gb_device *dev, gb_memory_group group, int64_t bytes, void **out);
void cuda_backend_free(gb_device *dev, void *ptr);
void cuda_backend_memory_used(gb_device *dev, int64_t bytes[GB_MEM_GROUPS]);
void cuda_blocks_close(gb_device *dev);
gb_status cuda_backend_upload(gb_device *dev, void *dst, const void *host_src, int64_t bytes);
gb_status cuda_backend_download(gb_device *dev, void *host_dst, const void *src, int64_t bytes);
gb_status cuda_backend_zero(gb_device *dev, void *dst, int64_t bytes);
gb_status cuda_backend_upload_wide(gb_device *dev, void *dst, const double *host_src, int64_t n);
gb_status cuda_backend_download_wide(gb_device *dev, double *host_dst, const void *src, int64_t n);

/* ---- cuda_ledger.cu ---- */

/* The ledger and its timers. */
gb_status cuda_timers_open(gb_device *dev);
void cuda_timers_close(gb_device *dev);
/* An op starts: makes the device current and, with timers on, records an event. GB_OP_COUNT stands
 * for the `which` of set_scope. */
gb_status cuda_op_begin(gb_device *dev, gb_op op);
/* The op of cuda_op_begin is issued. */
gb_status cuda_op_end(gb_device *dev, double flops);
void cuda_backend_set_scope(gb_device *dev, gb_phase phase, int layer, gb_op which);
void cuda_backend_timers_enable(gb_device *dev, bool on);
void cuda_backend_timers_reset(gb_device *dev);
int cuda_backend_timers_read(gb_device *dev, gb_op_time *rows, int capacity);
int cuda_backend_timers_spans(gb_device *dev, gb_op_span *spans, int capacity);
bool cuda_timers_on(const gb_device *dev);

/* ---- cuda_profiler.cu ---- */

gb_status cuda_profiler_open(gb_device *dev);
void cuda_profiler_close(cuda_profiler *profiler); /* NULL is fine */
/* False, with the reason in the note, where there are no activities to be had. */
bool cuda_profiler_start(gb_device *dev);
/* Adds what was seen to the ledger. Nothing where none runs. */
void cuda_profiler_stop(gb_device *dev);
bool cuda_profiler_runs(const gb_device *dev);
const char *cuda_backend_profile_note(gb_device *dev);
int cuda_backend_kernels_read(gb_device *dev, gb_kernel_time *rows, int capacity);
double cuda_backend_timers_zero_s(gb_device *dev);
void cuda_backend_profiler_describe(gb_profiler_description *out);
/* Around an op, around what runs beside the stream, around a replay. */
void cuda_profiler_op_begin(gb_device *dev, gb_scope scope);
void cuda_profiler_op_end(gb_device *dev);
void cuda_profiler_overlap_begin(gb_device *dev, gb_scope scope);
void cuda_profiler_overlap_end(gb_device *dev);
void cuda_profiler_replay_begin(gb_device *dev, const gb_node_mark *marks, int n_marks);
void cuda_profiler_replay_end(gb_device *dev);
/* An op of the recording under way ends here; false when memory is short. */
bool cuda_profiler_mark(gb_device *dev, gb_scope scope);
/* The marks since the last take; owned by the caller (free). */
int cuda_profiler_marks_take(gb_device *dev, gb_node_mark **out);

/* ---- cuda_step.cu ---- */

gb_status cuda_step_open(gb_device *dev);
void cuda_step_close(cuda_step *step); /* NULL is fine */
bool cuda_step_records(const gb_device *dev);
gb_status cuda_backend_stage(gb_device *dev, void *dst, const void *host_src, int64_t bytes);
gb_status cuda_backend_clock_start(gb_device *dev);
gb_status cuda_backend_results_post(gb_device *dev, const void *src, int count);
gb_status cuda_backend_results_take(gb_device *dev, double *values, double *elapsed_ms);
gb_status cuda_backend_record_begin(gb_device *dev);
gb_status cuda_backend_record_end(gb_device *dev, gb_recording **out);
gb_status cuda_backend_replay(gb_device *dev, gb_recording *recording);
void cuda_backend_recording_free(gb_device *dev, gb_recording *recording);

/* ---- gemm.cu, gemm_tune.cu ---- */

/* c (M, N) = a (M, K) . b (K, N), row-major. With a_transposed a is stored (K, M), with
 * b_transposed b is stored (N, K). a and b are act; c is float with c_float, else act. lda, ldb
 * and ldc are elements between rows as stored; 0 stands for dense. */
struct cuda_gemm {
    int64_t M, N, K;
    int64_t lda, ldb, ldc;
    bool a_transposed, b_transposed;
    bool c_float, accumulate;
    const void *a, *b;
    void *c;
};

gb_status cuda_gemm_open(gb_device *dev);
void cuda_gemm_close(gb_device *dev);
gb_status cuda_gemm_run(gb_device *dev, const cuda_gemm *gemm);
/* How algorithms are chosen, for the description of the libraries. */
void cuda_gemm_describe(const gb_device *dev, char *out, size_t size);

/* ---- rates.cu ---- */

double cuda_backend_measure_gemm_peak(gb_device *dev);
double cuda_backend_measure_copy_rate(gb_device *dev, int64_t bytes);
double cuda_backend_measure_gemm_sustained(gb_device *dev);
#endif
