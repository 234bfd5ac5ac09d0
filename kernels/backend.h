/* backend.h: the table of ops that the model is written against, once.
 *
 * A backend is a const table of functions (gb_backend) plus an opaque device (gb_device) that it
 * opens. kernels/cpu and kernels/cuda implement the table; tests/ref holds a plain float64 one
 * that serves as the written-out specification.
 *
 * Types. A backend works with two element types, reported by `describe`:
 *   act   activations, activation gradients and the weights' compute copy (float or bfloat16;
 *         double in the reference backend)
 *   wide  master weights, weight gradients, optimiser state, saved statistics, losses (float;
 *         double in the reference backend)
 * Every product of two act values is accumulated in wide. Buffers are `void *` device addresses
 * that `alloc` returned (or offsets into such a buffer); on the CPU they are ordinary memory.
 *
 * Layout. All matrices are row-major and dense; a weight is stored (out, in) as PyTorch does.
 * N = B*T rows of tokens, row n = b*T + t.  C = n_embd, H query heads, K key/value heads,
 * D = head_dim, V = vocab_size, F = MLP hidden width.
 *
 * Contract. Buffers of one call do not overlap unless its comment says "in place". Outputs are
 * overwritten whatever they held, unless the call says "accumulates". Ops may be asynchronous:
 * an error may surface at a later call; results on the host are valid after `sync` or a
 * blocking call. Numbers that change from step to step (learning rate, loss, gradient norm) live
 * in device memory, so that a step can be issued, or recorded and replayed, without waiting for any
 * of them. All ops are deterministic: the same inputs, shapes and thread count give
 * bit-equal outputs. Every op returns GB_OK or an error whose text is in `last_error(dev)`.
 *
 * Sizes are int64_t; every implementation supports any positive size that its comment allows.
 */
#ifndef GPTBENCH_KERNELS_BACKEND_H
#define GPTBENCH_KERNELS_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum gb_precision { GB_FP32 = 0, GB_BF16 = 1, GB_FP64 = 2 } gb_precision;

/* "fp32", "bf16", "fp64". */
const char *gb_precision_name(gb_precision precision);

/* What the ops of one model need to know to size the backend's own workspace. */
typedef struct gb_shape {
    int64_t batch_size;      /* B */
    int64_t sequence_length; /* T */
    int64_t n_embd;          /* C */
    int64_t n_head;          /* H */
    int64_t n_kv_head;       /* K */
    int64_t head_dim;        /* D of attention (n_latent / H with latent attention) */
    int64_t mlp_hidden;      /* F */
    int64_t vocab_size;      /* V */
    bool swiglu;
} gb_shape;

typedef struct gb_nvtx gb_nvtx; /* opaque: kernels/nvtx.h */

typedef struct gb_options {
    gb_precision precision;
    int threads;      /* CPU: worker threads, 0 = OMP_NUM_THREADS, or all CPUs that it may use */
    int device_index; /* CUDA: device ordinal, -1 = first visible */
    gb_shape shape;   /* workspace is sized for this, once, at open */
    gb_nvtx *nvtx;    /* each op gets a range there (kernels/nvtx.h); not owned; NULL: none */
} gb_options;

typedef struct gb_device gb_device; /* opaque; owned by the backend */

typedef struct gb_description {
    char device[128];         /* "AMD EPYC 9B14", "NVIDIA H200" */
    char driver[64];          /* driver or kernel version; may be empty */
    char libraries[576];      /* "own products, oneDNN 2.6.3 (unused)" */
    char isa[64];             /* "avx512_bf16", "avx2", "sm_90a": the path in use */
    char precision_note[160]; /* non-empty where the precision is emulated: says how, and why */
    char threads_note[160];   /* CPU: non-empty where there are more threads than CPUs: says so */
    int threads;
    int act_bytes;        /* sizeof(act) */
    int wide_bytes;       /* sizeof(wide) */
    int64_t memory_bytes; /* memory of the device, 0 if unknown */
    int steps_ahead;      /* steps worth issuing before the results of the first are taken: 0 where
                           * every op has finished when it returns; below GB_RESULTS_UNDER_WAY */
    bool records;         /* record_begin and its fellows are there and wanted */
    char bus_id[20];      /* PCI address of a GPU, "0000:3b:00.0"; empty on the CPU */
    bool times_replays;   /* the timers, now that they are on, see the ops of a replay and all that
                           * the device does: what is left of a step is idle */
} gb_description;

/* One of the devices that gb_options.device_index counts. */
typedef struct gb_device_entry {
    char name[128];
    char isa[64];               /* "sm_90" */
    int64_t memory_bytes;       /* 0 if unknown */
    const char *unavailable[2]; /* for GB_FP32, GB_BF16: NULL, or why the device cannot be used */
} gb_device_entry;

/* What a buffer is for; shown by the memory plan. */
typedef enum gb_memory_group {
    GB_MEM_WEIGHTS,     /* compute copy, act */
    GB_MEM_MASTER,      /* master weights, wide */
    GB_MEM_OPTIMIZER,   /* m and v, wide */
    GB_MEM_GRADIENTS,   /* weight gradients, wide */
    GB_MEM_ACTIVATIONS, /* saved activations and activation gradients */
    GB_MEM_WORKSPACE,   /* the backend's own */
    GB_MEM_DATA,        /* tokens */
    GB_MEM_GROUPS
} gb_memory_group;

const char *gb_memory_group_name(gb_memory_group group);

/* The ops, for timers and FLOP counts. X(enum suffix, name in the database). */
#define GB_OPS(X)                                                                                  \
    X(EMBED, "embed")                                                                              \
    X(NORM, "norm")                                                                                \
    X(LINEAR_QKV, "linear_qkv")                                                                    \
    X(QK_ROPE, "qk_rope")                                                                          \
    X(ATTENTION, "attention")                                                                      \
    X(LINEAR_ATTN_OUT, "linear_attn_out")                                                          \
    X(LINEAR_MLP_UP, "linear_mlp_up")                                                              \
    X(MLP_ACT, "mlp_act")                                                                          \
    X(LINEAR_MLP_DOWN, "linear_mlp_down")                                                          \
    X(CLASSIFIER, "classifier")                                                                    \
    X(GRAD_NORM, "grad_norm")                                                                      \
    X(ADAMW, "adamw")                                                                              \
    X(ZERO, "zero")                                                                                \
    X(COPY, "copy")                                                                                \
    X(DATA, "data")                                                                                \
    X(IDLE, "idle")                 /* the device had nothing to do; the trainer's own row */      \
    X(UNATTRIBUTED, "unattributed") /* what the timers did not see; the trainer's own row */

typedef enum gb_op {
#define X(suffix, name) GB_OP_##suffix,
    GB_OPS(X)
#undef X
        GB_OP_COUNT
} gb_op;

const char *gb_op_name(gb_op op);

typedef enum gb_phase {
    GB_PHASE_DATA,
    GB_PHASE_FORWARD,
    GB_PHASE_BACKWARD,
    GB_PHASE_UPDATE,
    GB_PHASE_EVAL,
    GB_PHASE_IDLE, /* of the row `unattributed` */
    GB_PHASE_COUNT
} gb_phase;

const char *gb_phase_name(gb_phase phase);

/* One row of the per-op ledger since the last timers_reset. */
typedef struct gb_op_time {
    gb_phase phase;
    int layer; /* 0..L-1, or -1 for ops outside the blocks */
    gb_op op;
    int64_t calls;
    double time_ms;
    double flops; /* as issued: 2*M*N*K per GEMM; attention counts the (query, key) pairs it must */
    /* Where a backend sees its threads one by one: how long from the start of a call they took for
     * their shares, the mean over the team and the slowest one, summed over the calls. Their ratio
     * is the imbalance. 0: not known (products of a library, one thread, a GPU). */
    double thread_mean_ms, thread_max_ms;
} gb_op_time;

/* One op that ran while timers were on; times since the last timers_reset. */
typedef struct gb_op_span {
    gb_phase phase;
    int layer;
    gb_op op;
    double begin_ms, end_ms;
} gb_op_span;

enum { GB_KERNEL_NAME = 128 };

/* What a device's profiler saw of one kernel (or copy, or fill) of one op, summed over its calls
 * with the same launch. */
typedef struct gb_kernel_time {
    char name[GB_KERNEL_NAME]; /* demangled where possible, cut to fit */
    gb_phase phase;
    int layer;
    gb_op op;
    int64_t calls;
    double time_ms;
    int32_t grid[3], block[3];
    int32_t registers; /* per thread */
    int32_t shared_bytes;
} gb_kernel_time;

/* What a backend profiles with. */
typedef struct gb_profiler_description {
    bool found;
    char library[256]; /* the file, where it is known */
    char version[64];  /* empty: unknown */
    char problem[512]; /* why it was not found, and where it was looked for; or what this version is
                        * known to do wrong */
} gb_profiler_description;

/* AdamW over one contiguous slab, Loshchilov & Hutter 2019, bias-corrected as in PyTorch, with the
 * gradient clipped by its global norm as torch.nn.utils.clip_grad_norm_ does:
 *   g  = grad * (grad_clip > 0 and norm > grad_clip ? grad_clip / norm : 1)
 *   p -= lr * weight_decay * p
 *   m  = beta1*m + (1-beta1)*g          v = beta2*v + (1-beta2)*g*g
 *   p -= lr * (m / (1-beta1^step)) / (sqrt(v / (1-beta2^step)) + eps)      step counts from 1
 * All doubles: it is uploaded as it stands and read on the device. */
typedef struct gb_adamw {
    double learning_rate, beta1, beta2, eps, weight_decay;
    double grad_clip; /* 0: none */
    double step;
} gb_adamw;

enum {
    GB_VOCABULARY_STEP =
        128,            /* rows that wte and dwte have room for, behind V, are to make up this */
    GB_RESULTS_MAX = 4, /* doubles of one results_post */
    GB_RESULTS_UNDER_WAY = 4, /* posted and not yet taken, at most */
    GB_STAGE_MIN_BYTES = 256  /* stage overlaps with other work up to the shape's tokens and this */
};

typedef struct gb_recording gb_recording; /* opaque; owned by the backend */

typedef struct gb_backend {
    const char *name; /* "cpu", "cuda", "ref" */

    /* ---- life ---- */

    /* NULL when this machine can run the backend at this precision, else a reason to print
     * ("no NVIDIA driver: ..."); static storage. Cheap; may be called without open. */
    const char *(*unavailable)(gb_precision precision);

    /* Writes the first `capacity` visible devices to rows and returns how many there are. NULL for
     * a backend to which device_index means nothing. Cheap; may be called without open. */
    int (*list_devices)(gb_device_entry *rows, int capacity);

    /* Bytes that `open` will allocate for workspace with these options, on the device that they
     * name where it is there. Cheap; for plans. */
    int64_t (*workspace_bytes)(const gb_options *options);
    /* Bytes of the host's memory that training takes beside what the groups of the plan say: their
     * rounding to pages, code and scratch of libraries. Pure; for plans. NULL for a backend whose
     * memory is not the host's. */
    int64_t (*overhead_bytes)(const gb_options *options, const int64_t groups[GB_MEM_GROUPS]);

    /* Opens a device; *out is owned by the caller, who ends it with close. */
    gb_status (*open)(const gb_options *options, gb_device **out, gb_error *err);
    void (*close)(gb_device *dev); /* NULL is fine */
    void (*describe)(gb_device *dev, gb_description *out);
    const char *(*last_error)(gb_device *dev); /* text of the last failed call; never NULL */

    /* FLOP/s of a large GEMM at the open precision, measured now (about a second): the best of
     * several short batches of a square product that fits in memory. <= 0 where it failed. */
    double (*measure_gemm_peak)(gb_device *dev);
    /* Sustained bytes per second, read and written ones together, of a large copy from the device's
     * memory to the device's memory, by all threads; measured now (less than a second): the best of
     * several copies of `bytes`, 0: as many as lie far beyond any cache. <= 0 where it failed. */
    double (*measure_copy_rate)(gb_device *dev, int64_t bytes);
    /* FLOP/s that the product of measure_gemm_peak keeps up for more than a second without a pause,
     * as a device that reaches its power limit does not keep up its best: the median of many
     * windows.
     * <= 0 where it failed; NULL for a backend that does not tell the two apart. */
    double (*measure_gemm_sustained)(gb_device *dev);

    /* ---- memory ---- */

    /* Device memory, 64-byte aligned or better, not initialised. GB_ERR_OOM names the group and
     * size. Freed by free, or all at once by close. */
    gb_status (*alloc)(gb_device *dev, gb_memory_group group, int64_t bytes, void **out);
    void (*free)(gb_device *dev, void *ptr);
    /* Bytes that are allocated now, by group; workspace as workspace_bytes said, or more after a
     * call that needed more than the shape given at open. */
    void (*memory_used)(gb_device *dev, int64_t bytes[GB_MEM_GROUPS]);
    /* Blocking copies of raw bytes. */
    gb_status (*upload)(gb_device *dev, void *dst, const void *host_src, int64_t bytes);
    gb_status (*download)(gb_device *dev, void *host_dst, const void *src, int64_t bytes);
    /* An upload that does not block: host_src may be used again at once; dst changes after the ops
     * called before and before those called after, while the transfer itself may overlap with the
     * former. For what every step brings: its tokens and numbers. */
    gb_status (*stage)(gb_device *dev, void *dst, const void *host_src, int64_t bytes);
    gb_status (*zero)(gb_device *dev, void *dst, int64_t bytes);
    /* wide (n) from/to host double (n); blocking. */
    gb_status (*upload_wide)(gb_device *dev, void *dst, const double *host_src, int64_t n);
    gb_status (*download_wide)(gb_device *dev, double *host_dst, const void *src, int64_t n);
    /* Compute copy act (n) from master wide (n). The backend is told here, and by adamw, that
     * weights changed; anything it derived from them (packed copies) is stale from then on.
     * weights == master where act and wide are the same type: then nothing is copied. */
    gb_status (*weights_refresh)(gb_device *dev, void *weights, const void *master, int64_t n);

    /* ---- step and timers ---- */

    gb_status (*sync)(gb_device *dev);

    /* Results that come back while the device goes on. clock_start marks a moment behind all ops so
     * far. results_post marks another and sends `count` <= GB_RESULTS_MAX doubles at src (device)
     * to the host, without waiting; results_take waits for the oldest that was posted and not
     * taken yet, and gives the values and the time from the mark before it: on the device's own
     * clock where it has one. So the times of steps posted one after another add up to all the
     * time that passed, the device's idle time included. */
    gb_status (*clock_start)(gb_device *dev);
    gb_status (*results_post)(gb_device *dev, const void *src, int count);
    gb_status (*results_take)(gb_device *dev, double *values, double *elapsed_ms);

    /* Recording (CUDA graphs); NULL unless gb_description.records. Ops called between the two are
     * recorded with their arguments instead of run, and counted in the ledger at each replay.
     * The same calls must have run before, so that nothing is left to allocate or to choose; not
     * among them: alloc, free, upload, download, stage, results_*, sync. Timers are off, or
     * times_replays.
     * A recording is freed by recording_free, at the latest before close. */
    gb_status (*record_begin)(gb_device *dev);
    gb_status (*record_end)(gb_device *dev, gb_recording **out);
    gb_status (*replay)(gb_device *dev, gb_recording *recording);
    void (*recording_free)(gb_device *dev, gb_recording *recording); /* NULL is fine */

    /* Tells what the following ops belong to, for timers. `which` names a linear op's
     * role (LINEAR_*), and is ignored by other ops. Cheap. */
    void (*set_scope)(gb_device *dev, gb_phase phase, int layer, gb_op which);
    /* Per-op timers: off after open. Times may be there only when timers are off again, calls and
     * FLOPs always. Reading returns rows in (phase, layer, op) order, at most
     * `capacity`; the return value is the number there are. FLOPs are counted always. */
    void (*timers_enable)(gb_device *dev, bool on);
    void (*timers_reset)(gb_device *dev);
    int (*timers_read)(gb_device *dev, gb_op_time *rows, int capacity);
    /* The single ops behind those times, in the order in which they ran; at most `capacity`, the
     * return value is the number there are. */
    int (*timers_spans)(gb_device *dev, gb_op_span *spans, int capacity);
    /* The host's clock, gb_monotonic_s, at the zero of the spans, so that they can stand beside
     * samples and steps; NAN where that is not known. NULL: never known. */
    double (*timers_zero_s)(gb_device *dev);
    /* Kernels behind the last times, the longest first; the number there are. And what is to be
     * known of the profile, in a few words: what is missing and why, what the profiler itself took;
     * NULL when there is nothing to say. These are NULL on backends without a profiler. */
    int (*kernels_read)(gb_device *dev, gb_kernel_time *rows, int capacity);
    const char *(*profile_note)(gb_device *dev);
    /* The profiler, as far as it can be known without a device. */
    void (*profiler_describe)(gb_profiler_description *out);

    /* ---- ops ---- */

    /* out (N, C) act; tokens (N) int32 in [0, V); wte (V, C) act: out[n] = wte[tokens[n]]. */
    gb_status (*embed_forward)(gb_device *dev, void *out, const int32_t *tokens, const void *wte,
                               int64_t N, int64_t C);
    /* dwte (V, C) wide, accumulates: dwte[tokens[n]] += dout[n], in a fixed order. */
    gb_status (*embed_backward)(gb_device *dev, void *dwte, const void *dout, const int32_t *tokens,
                                int64_t N, int64_t C, int64_t V);

    /* Fused residual and norms, with eps = 1e-6 and rms(x) = sqrt(mean(x^2) + eps):
     *   x_out = x_in + scale * n(y),  n(y) = post_norm ? y / rms(y) : y     (x_out = x_in if !y)
     *   h     = x_out / rms(x_out)
     * x_out, x_in, y, h (N, C) act. x_out may be x_in (in place); when y is NULL x_out is not
     * written and may be NULL. h may be NULL (no norm wanted).
     * inv_rms_h (N) wide: 1 / rms(x_out); inv_rms_y (N) wide: 1 / rms(y), only with post_norm. */
    gb_status (*add_norm_forward)(gb_device *dev, void *x_out, void *h, void *inv_rms_h,
                                  void *inv_rms_y, const void *x_in, const void *y, double scale,
                                  bool post_norm, int64_t N, int64_t C);
    /* Backward of the above, from the outputs h and inv_rms_h alone:
     *   g     = dx + inv_rms_h * (dh - h * mean(dh * h))         (g = dx if dh is NULL)
     *   dx    = g                                                 in place, (N, C) act
     *   dy    = scale * (post_norm ? inv_rms_y * (g - ny * mean(g * ny)) : g),  ny = y * inv_rms_y
     * With `first` dx is overwritten as if it had been zero. dy may be NULL (then y is not read);
     * y (N, C) act is read only with post_norm. dy may be dh (in place). */
    gb_status (*add_norm_backward)(gb_device *dev, void *dx, void *dy, const void *dh,
                                   const void *h, const void *inv_rms_h, const void *y,
                                   const void *inv_rms_y, double scale, bool post_norm, bool first,
                                   int64_t N, int64_t C);

    /* y (N, O) act = x (N, I) act . w (O, I)^T act. */
    gb_status (*linear_forward)(gb_device *dev, void *y, const void *x, const void *w, int64_t N,
                                int64_t I, int64_t O);
    /* dx (N, I) act = dy (N, O) act . w (O, I) act. */
    gb_status (*linear_backward_input)(gb_device *dev, void *dx, const void *dy, const void *w,
                                       int64_t N, int64_t I, int64_t O);
    /* dw (O, I) wide += dy (N, O)^T . x (N, I); with `first` dw is overwritten instead. */
    gb_status (*linear_backward_weight)(gb_device *dev, void *dw, const void *dy, const void *x,
                                        bool first, int64_t N, int64_t I, int64_t O);

    /* In place on qkv (N, (H+2K)*D) act, whose columns are H query heads, K key heads, K value
     * heads. For each query and key head, first with qk_norm u = u / rms(u) over its D values
     * (1/rms saved to inv_rms (N, H+K) wide; NULL without qk_norm), then the half-split rotation
     *   y1 = x1*cos + x2*sin,  y2 = -x1*sin + x2*cos,  angle(t, i) = t * 10000^(-2i/D),
     * x1, x2 the halves of the head, i in [0, D/2). D is even. */
    gb_status (*qk_rope_forward)(gb_device *dev, void *qkv, void *inv_rms, bool qk_norm, int64_t B,
                                 int64_t T, int64_t H, int64_t K, int64_t D);
    /* In place on dqkv; qkv and inv_rms as forward left them. */
    gb_status (*qk_rope_backward)(gb_device *dev, void *dqkv, const void *qkv, const void *inv_rms,
                                  bool qk_norm, int64_t B, int64_t T, int64_t H, int64_t K,
                                  int64_t D);

    /* Causal attention with scale 1/sqrt(D). Query (b, h, i) sees keys j <= i, and with
     * window > 0 only those with i - j <= window, of key/value head h / (H/K).
     * out (N, H*D) act; lse (B, H, T) wide: log-sum-exp of the scaled scores; qkv as above.
     * H mod K == 0, D even. Never holds the T x T matrix of all heads. */
    gb_status (*attention_forward)(gb_device *dev, void *out, void *lse, const void *qkv, int64_t B,
                                   int64_t T, int64_t H, int64_t K, int64_t D, int64_t window);
    /* dqkv (N, (H+2K)*D) act is written whole. */
    gb_status (*attention_backward)(gb_device *dev, void *dqkv, const void *dout, const void *qkv,
                                    const void *out, const void *lse, int64_t B, int64_t T,
                                    int64_t H, int64_t K, int64_t D, int64_t window);

    /* out, in (n) act: gelu(x) = x/2 * (1 + erf(x / sqrt 2)), exact. */
    gb_status (*gelu_forward)(gb_device *dev, void *out, const void *in, int64_t n);
    /* din (n) act = dout * gelu'(in). din may be dout (in place). */
    gb_status (*gelu_backward)(gb_device *dev, void *din, const void *dout, const void *in,
                               int64_t n);
    /* gv (N, 2F) act: columns [0, F) gate, [F, 2F) value. out (N, F) = silu(gate) * value. */
    gb_status (*swiglu_forward)(gb_device *dev, void *out, const void *gv, int64_t N, int64_t F);
    /* dgv (N, 2F) act from dout (N, F). dgv may be gv (in place). */
    gb_status (*swiglu_backward)(gb_device *dev, void *dgv, const void *dout, const void *gv,
                                 int64_t N, int64_t F);

    /* Output map and cross-entropy, chunked over tokens so that no (N, V) array of a whole step
     * exists: logits = h . wte^T, loss = sum over n of -log softmax(logits[n])[targets[n]].
     * loss_sum (1) double, on the device: the sum in nats over the N rows is added to it, or
     * overwrites it with `first`.
     * With dh not NULL also, for the loss multiplied by grad_scale:
     *   dh (N, C) act is written; dwte (V, C) wide accumulates, or is overwritten with `first`.
     * h (N, C) act, wte (V, C) act, targets (N) int32 in [0, V).
     * Behind their V rows wte and dwte have rows up to a multiple of GB_VOCABULARY_STEP, so that
     * products may have even extents: zero in wte; in dwte a backend may write zeros there. */
    gb_status (*classifier)(gb_device *dev, void *loss_sum, void *dh, void *dwte, const void *h,
                            const void *wte, const int32_t *targets, double grad_scale, bool first,
                            int64_t N, int64_t C, int64_t V);

    /* out (1) double, on the device: sum of squares of x (n) wide, accumulated in double. */
    gb_status (*sum_squares)(gb_device *dev, void *out, const void *x, int64_t n);
    /* One pass over the slab: master, m, v, grad (n) wide; weights (n) act receives the new
     * compute copy (weights == master where the types agree). params: a gb_adamw on the device.
     * loss, grad_squares (1) double, on the device: where *loss is not finite nothing changes;
     * sqrt(*grad_squares) is the norm that grad_clip is held against. Either may be NULL: then
     * there is no such guard, no clipping. */
    gb_status (*adamw)(gb_device *dev, void *weights, void *master, void *m, void *v,
                       const void *grad, int64_t n, const void *params, const void *loss,
                       const void *grad_squares);
} gb_backend;

/* The registry: every backend that this binary was built with, in order of preference, NULL at
 * the end. "cpu" is always there. */
const gb_backend *const *gb_backends(void);
/* By name; "auto" gives the first that is available at `precision`. NULL when unknown. */
const gb_backend *gb_backend_find(const char *name, gb_precision precision);

extern const gb_backend gb_backend_cpu;
#ifdef GPTBENCH_CUDA
extern const gb_backend gb_backend_cuda;
#endif

#ifdef __cplusplus
}
#endif
#endif
