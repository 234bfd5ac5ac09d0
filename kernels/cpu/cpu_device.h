/* cpu_device.h: the CPU backend's device, shared by its files. */
#ifndef GPTBENCH_KERNELS_CPU_DEVICE_H
#define GPTBENCH_KERNELS_CPU_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/backend.h"
#include "kernels/cpu/cpu_kernels.h"
#include "kernels/cpu/cpu_sizes.h"
#include "kernels/ledger.h"
#include "kernels/results_queue.h"

typedef enum cpu_isa {
    CPU_ISA_GENERIC,
    CPU_ISA_AVX2,
    CPU_ISA_AVX512,
    CPU_ISA_AVX512_BF16, /* the same, and products of bfloat16 matrices run natively */
    CPU_ISA_COUNT
} cpu_isa;

/* Parts of the workspace; each is a slice of the arena, or memory of its own once a call needs
 * more than the shape given at open. */
typedef enum cpu_slot {
    CPU_SLOT_ATTENTION, /* per-thread tiles */
    CPU_SLOT_LOGITS,    /* float (rows, V), lots of columns one after the other */
    CPU_SLOT_DLOGITS,   /* bfloat16 (rows, columns), bf16 only */
    CPU_SLOT_DH,        /* float (rows, C), bf16 only */
    CPU_SLOT_HIDDEN,    /* bfloat16 (rows, C) packed, bf16 only */
    CPU_SLOT_LOSSES,    /* cpu_softmax_row (rows) */
    CPU_SLOT_ROPE,      /* float (T, D) cosines and sines */
    CPU_SLOT_PARTIALS,  /* double (CPU_SUM_MAX_BLOCKS) */
    CPU_SLOT_GEMM_PAD,  /* oneDNN scratchpad */
    CPU_SLOT_PRODUCT,   /* what kernels.product needs */
    CPU_SLOT_GEMM_A,    /* transposed or packed copies for oneDNN */
    CPU_SLOT_GEMM_B,
    CPU_SLOT_GEMM_C,
    CPU_SLOT_COUNT
} cpu_slot;

typedef struct cpu_onednn cpu_onednn;
typedef struct cpu_block cpu_block;

struct gb_device {
    gb_options options;
    bool bf16;
    bool bf16_emulated; /* products of bf16 matrices run in float */
    bool packs;         /* products of bf16 matrices read packed ones */
    int threads;
    cpu_isa isa;
    cpu_kernels kernels;
    cpu_onednn *onednn; /* NULL where it is not used */
    gb_ledger *ledger;
    bool timing;  /* of each op */
    double *ends; /* (threads * CPU_ENDS_STRIDE) when each had done its share; 0: not noted */
    double timers_start_ms;
    cpu_block *blocks; /* what alloc gave out */
    int64_t used[GB_MEM_GROUPS];
    gb_results_queue results;
    void *arena;
    struct {
        void *data;
        int64_t bytes;
        bool own; /* not part of the arena */
    } slots[CPU_SLOT_COUNT];
    int64_t rope_T, rope_D; /* what CPU_SLOT_ROPE holds */
    gb_error error;
};

/* ---- cpu_isa.c ---- */

/* The fastest instruction set that this CPU has, or the one that GPTBENCH_ISA names. GB_ERR_USAGE
 * for an unknown name, GB_ERR_ENV for one that the CPU lacks. CPU_ISA_AVX512_BF16 is the fastest
 * where the CPU has tiles for bfloat16 (AMX), which oneDNN then uses, or where its dot products of
 * bfloat16 pairs were measured to do more multiply-adds than its float ones; once per process. */
gb_status cpu_isa_select(cpu_isa *out, gb_error *err);
const char *cpu_isa_name(cpu_isa isa);
void cpu_isa_fill(cpu_isa isa, cpu_kernels *table);
/* Whether this CPU has it at all. */
bool cpu_isa_exists(cpu_isa isa);
/* "model name" of /proc/cpuinfo; "unknown CPU, aarch64" where that has none. */
void cpu_model_name(char *out, size_t size);

/* ---- cpu_memory.c ---- */

/* Allocates the arena; GB_ERR_OOM. */
gb_status cpu_arena_open(gb_device *dev, gb_error *err);
void cpu_arena_close(gb_device *dev);
/* At least `bytes` of the slot; what it held is lost when it grows. NULL when memory is short:
 * the error is then in dev->error. */
void *cpu_slot_get(gb_device *dev, cpu_slot slot, int64_t bytes);

int64_t cpu_backend_workspace_bytes(const gb_options *options);
int64_t cpu_backend_overhead_bytes(const gb_options *options, const int64_t groups[GB_MEM_GROUPS]);
gb_status cpu_backend_alloc(gb_device *dev, gb_memory_group group, int64_t bytes, void **out);
void cpu_backend_free(gb_device *dev, void *ptr);
void cpu_backend_memory_used(gb_device *dev, int64_t bytes[GB_MEM_GROUPS]);
void cpu_blocks_close(gb_device *dev);

/* ---- cpu_ledger.c ---- */

typedef struct cpu_op {
    gb_scope scope;
    double start_ms; /* 0 with timers off */
} cpu_op;

/* An op starts: sets the OpenMP team. GB_OP_COUNT stands for the `which` of set_scope. */
cpu_op cpu_op_begin(gb_device *dev, gb_op op);
/* Where a kernel notes when its threads are done; NULL with timers off. For ops that are one
 * kernel: what an op's threads took is known from the last one that it ran. */
double *cpu_op_ends(gb_device *dev);
/* The op of cpu_op_begin ended. */
void cpu_op_end(gb_device *dev, cpu_op op, double flops);
void cpu_backend_set_scope(gb_device *dev, gb_phase phase, int layer, gb_op which);
void cpu_backend_timers_enable(gb_device *dev, bool on);
void cpu_backend_timers_reset(gb_device *dev);
int cpu_backend_timers_read(gb_device *dev, gb_op_time *rows, int capacity);
int cpu_backend_timers_spans(gb_device *dev, gb_op_span *spans, int capacity);
double cpu_backend_timers_zero_s(gb_device *dev);

/* ---- cpu_gemm.c ---- */

/* c (M, N) = a (M, K) . b (K, N), row-major. With a_transposed a is stored (K, M), with
 * b_transposed b is stored (N, K). a and b are act; c is float with c_float, else act. */
typedef struct cpu_gemm {
    int64_t M, N, K;
    bool a_transposed, b_transposed;
    bool b_packed;            /* b is as kernels.pack leaves it; only where cpu_onednn_packs */
    bool c_float, accumulate; /* accumulate only with c_float */
    const void *a, *b;
    void *c;
} cpu_gemm;

/* Row strides as stored. */
static inline int64_t cpu_gemm_a_stride(const cpu_gemm *g)
{
    return g->a_transposed ? g->M : g->K;
}

static inline int64_t cpu_gemm_b_stride(const cpu_gemm *g)
{
    return g->b_transposed ? g->K : g->N;
}

gb_status cpu_gemm_open(gb_device *dev, gb_error *err);
void cpu_gemm_close(gb_device *dev);
gb_status cpu_gemm_run(gb_device *dev, const cpu_gemm *gemm);
/* What multiplies: "own products, oneDNN 2.6.3 (unused)" */
void cpu_gemm_libraries(const gb_device *dev, char *out, size_t size);

/* ---- cpu_onednn.c: products of bfloat16 matrices that the CPU has instructions for ---- */

gb_status cpu_onednn_open(gb_device *dev, gb_error *err);
/* Also where it was not opened. */
void cpu_onednn_close(gb_device *dev);
/* Whether products of these sizes read a packed right-hand side. */
bool cpu_onednn_packs(const gb_device *dev, int64_t M, int64_t N, int64_t K);
/* *done is false, and c as it was, where oneDNN has nothing for such a product. */
gb_status cpu_onednn_run(gb_device *dev, const cpu_gemm *gemm, bool *done);
/* "oneDNN 2.6.3"; empty where the program is built without it. */
void cpu_onednn_describe(char *out, size_t size);

/* ---- cpu_rates.c ---- */

double cpu_backend_measure_gemm_peak(gb_device *dev);
double cpu_backend_measure_copy_rate(gb_device *dev, int64_t bytes);

#endif
